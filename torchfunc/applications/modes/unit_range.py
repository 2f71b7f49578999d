"""TensorFlow's form of images: values from -1 to 1."""

from __future__ import annotations

from typing import Any

from torchfunc.applications import pixels


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as values from -1 to 1.

    Args:
        x: RGB images, one or a batch: an array, a tensor or a symbolic tensor.
        data_format: "channels_last" or "channels_first"; by default the global setting.

    Returns:
        The same kind and dtype as `x`, integers as floats.

    Example:
        >>> applications.xception.preprocess_input(torch.tensor([[[0.0, 127.5, 255.0]]])).flatten()
        tensor([-1.,  0.,  1.])
    """
    return pixels.preprocess_input(x, data_format, "tf")
