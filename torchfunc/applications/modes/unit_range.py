"""TensorFlow's form of images: values from -1 to 1."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as values from -1 to 1.

    Args and errors as `imagenet_utils.preprocess_input`.
    """
    return pixels.preprocess_input(x, data_format, "tf")
