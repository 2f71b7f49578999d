"""Caffe's form of images: blue, green and red less the mean of ImageNet."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as BGR less the mean of ImageNet, as Keras's networks have them from Caffe.

    Args:
        x: RGB images, one or a batch: an array, a tensor or a symbolic tensor.
        data_format: "channels_last" or "channels_first"; by default the global setting.

    Returns:
        The same kind and dtype as `x`, integers as floats.

    Example:
        >>> applications.resnet.preprocess_input(torch.tensor([[[255.0, 100.0, 0.0]]])).flatten()  # blue comes first
        tensor([-103.9390,  -16.7790,  131.3200])
    """
    return pixels.preprocess_input(x, data_format, "caffe")
