"""PyTorch's form of images: values from 0 to 1 less the mean, over the deviation of ImageNet."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as parts of 1, less the mean and over the deviation of ImageNet.

    Args:
        x: RGB images, one or a batch: an array, a tensor or a symbolic tensor.
        data_format: "channels_last" or "channels_first"; by default the global setting.

    Returns:
        The same kind and dtype as `x`, integers as floats.

    Example:
        >>> applications.densenet.preprocess_input(torch.full((1, 1, 3), 255.0)).flatten()  # (1 - 0.485) / 0.229, ...
        tensor([2.2489, 2.4286, 2.6400])
    """
    return pixels.preprocess_input(x, data_format, "torch")
