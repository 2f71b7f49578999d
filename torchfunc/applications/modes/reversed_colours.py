"""Caffe's form of images: blue, green and red less the mean of ImageNet."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as BGR less the mean of ImageNet, as Keras's networks have them from Caffe.

    Args and errors as `imagenet_utils.preprocess_input`.
    """
    return pixels.preprocess_input(x, data_format, "caffe")
