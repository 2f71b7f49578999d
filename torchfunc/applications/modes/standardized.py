"""PyTorch's form of images: values from 0 to 1 less the mean, over the deviation of ImageNet."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as parts of 1, less the mean and over the deviation of ImageNet.

    Args and errors as `imagenet_utils.preprocess_input`.
    """
    return pixels.preprocess_input(x, data_format, "torch")
