"""Layers that spread the values of images over their range: by extremes, by histograms, by histograms of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.layers.arguments import count, counts
from torchfunc.layers.augmentation.hues import ranged
from torchfunc.layers.augmentation.image_layer import (
    BaseImagePreprocessingLayer,
    WithBoxes,
    WithFormat,
    values_from,
)


@registry.layers.register()
class AutoContrast(BaseImagePreprocessingLayer):
    """Stretches the values of each channel of each image over the whole range, in training and inference.

    A channel of one value stays as it is.

    Args:
        value_range: the lowest and the highest value of a pixel.
        data_format, bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a value_range that is none.

    Example:
        >>> layers.AutoContrast()(torch.tensor([[[[1.0], [2.0], [3.0]]]])).flatten()
        tensor([  0.0000, 127.5000, 255.0000])
    """

    _always = True

    def __init__(self, value_range: Sequence[float] = (0, 255), **common: Unpack[WithFormat]) -> None:
        super().__init__(**common)
        self.value_range = values_from("AutoContrast", value_range)

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        axes = (self._height, self._width)
        low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
        flat = high == low
        stretched = (images - low) / torch.where(flat, 1.0, high - low)
        return torch.where(flat, images, ranged(stretched, (0, 1), self.value_range))


@registry.layers.register()
class Equalization(BaseImagePreprocessingLayer):
    """In training spreads the values of each channel of each image so that all are about equally frequent.

    A channel of one value stays as it is.

    Args:
        value_range: the lowest and the highest value of a pixel.
        bins: how many values are told apart.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a value_range that is none, bins that are no positive integer.

    Example:
        >>> layers.Equalization()(torch.tensor([[[[1.0], [2.0], [3.0]]]])).flatten()
        tensor([  0., 128., 255.])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(data_format, **common)
        self.value_range = values_from("Equalization", value_range)
        self.bins = count("Equalization", "bins", bins)

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        levels = ranged(self._inward(images), self.value_range, (0, 255))
        flat = levels.flatten(2)
        indices = (flat / 255 * (self.bins - 1)).long().clamp(0, self.bins - 1)
        below = histogram(indices, self.bins).cumsum(-1)
        # as `below` at the lowest value that there is
        least = torch.where(below > 0, below, torch.inf).amin(-1, keepdim=True)
        others = below[..., -1:] - least
        spread = ((below - least) * 255 / others.clamp(min=1)).round().clamp(0, 255)
        equal = torch.where(others == 0, flat, spread.gather(-1, indices).to(flat.dtype))
        return ranged(self._outward(equal.reshape(levels.shape)), (0, 255), self.value_range)


@registry.layers.register()
class ContrastLimitedAdaptiveHistogramEqualization(BaseImagePreprocessingLayer):
    """Spreads the values of each tile of an image, and blends between tiles; in training and inference.

    Source: Zuiderveld 1994, Contrast Limited Adaptive Histogram Equalization. Whole numbers stay whole.

    Args:
        value_range: the lowest and the highest value of a pixel.
        clip_limit: how often, against the mean, a value counts at most, so that noise is not spread; 0 for no limit.
        tile_grid_size: how many tiles along the height and the width.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a value_range that is none, tiles that are no positive integers.

    Example:
        >>> layer = layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(torch.ones(1, 4, 4, 1)).shape
        torch.Size([1, 4, 4, 1])
    """

    _always = True
    _integers = "kept"

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(data_format, **common)
        owner = "ContrastLimitedAdaptiveHistogramEqualization"
        self.value_range = values_from(owner, value_range)
        self.clip_limit = clip_limit
        self.tile_grid_size = counts(owner, "tile_grid_size", tile_grid_size, 2)

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        x = self._inward(images if images.dtype is torch.float64 else images.float())
        levels = ranged(x, self.value_range, (0, 255))
        equal = equalized_by_tiles(levels, self.tile_grid_size, self.clip_limit)
        return ranged(self._outward(equal), (0, 255), self.value_range)


def histogram(indices: Tensor, bins: int) -> Tensor:
    """How often each whole number below `bins` stands along the last dimension, as floats."""
    found = torch.zeros(*indices.shape[:-1], bins, device=indices.device)
    return found.scatter_add_(-1, indices, torch.ones((), device=indices.device).expand(indices.shape))


def equalized_by_tiles(levels: Tensor, grid: Sequence[int], clip_limit: float) -> Tensor:
    """Values from 0 to 255, (batch, channels, height, width), spread by the histograms of their tile and its neighbours."""
    height, width = levels.shape[-2:]
    rows, columns = grid
    tall, wide = -(-height // rows), -(-width // columns)
    down, across = (
        _mirrored(n * size, length, levels.device)
        for n, size, length in ((rows, tall, height), (columns, wide, width))
    )
    whole = levels.long().clamp(0, 255)
    tiles = whole[..., down[:, None], across].unflatten(-1, (columns, wide)).unflatten(-3, (rows, tall))  # type: ignore[no-untyped-call]
    table = _spread(tiles.transpose(-3, -2).flatten(-2), clip_limit).to(levels.dtype)

    y0, y1, toward_y = _neighbours(height, tall, rows, levels)
    x0, x1, toward_x = _neighbours(width, wide, columns, levels)
    flat = table.flatten(-3)

    def read(y: Tensor, x: Tensor) -> Tensor:
        places = (y[:, None] * columns + x) * 256 + whole
        return flat.gather(-1, places.flatten(-2)).reshape(levels.shape)

    above = torch.lerp(read(y0, x0), read(y0, x1), toward_x)
    below = torch.lerp(read(y1, x0), read(y1, x1), toward_x)
    return torch.lerp(above, below, toward_y[:, None])


def _mirrored(number: int, length: int, device: torch.device) -> Tensor:
    """Places 0 to `number` in something shorter, which is continued as in a mirror: 0 1 2 2 1 0 0 1."""
    places = torch.arange(number, device=device) % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)


def _spread(tiles: Tensor, clip_limit: float) -> Tensor:
    """What becomes of each of 256 values in each tile, (..., pixels) to (..., 256)."""
    size = tiles.shape[-1]
    found = histogram(tiles, 256)
    if clip_limit > 0:
        clipped = found.clamp(max=clip_limit * size / 256)
        found = clipped + (found - clipped).sum(-1, keepdim=True) / 256
    below = found.cumsum(-1)
    least = below[..., :1]
    others = size - least
    return ((below - least) * 255 / torch.where(others == 0, 1.0, others)).clamp(0, 255)


def _neighbours(length: int, size: int, number: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel the tiles whose middles are before and behind it, and how far it is on the way."""
    places = torch.arange(length, device=like.device, dtype=like.dtype) / size - 0.5
    before = places.floor()
    tiles = [each.long().clamp(0, number - 1) for each in (before, before + 1)]
    return tiles[0], tiles[1], places - before
