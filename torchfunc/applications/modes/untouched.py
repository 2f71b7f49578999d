"""Images as they are: the network itself puts their values into another form."""

from __future__ import annotations

from typing import Any


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values 0 to 255 as they are: these networks take them so.

    Args:
        x: images.
        data_format: not looked at.

    Returns:
        `x` itself.

    Example:
        >>> images = torch.rand(1, 4, 4, 3)
        >>> applications.convnext.preprocess_input(images) is images
        True
    """
    return x
