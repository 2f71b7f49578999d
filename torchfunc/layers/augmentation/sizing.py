"""Layers that bring images to one size: by resizing, and by cutting out of their middle or anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.arrays_in import tensor_of
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.augmentation.image_layer import (
    BaseImagePreprocessingLayer,
    Draw,
    RandomImageLayer,
    WithBoxes,
)
from torchfunc.layers.augmentation.sampling import resized


def window(height: int, width: int, target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest part of an image with the proportions of a target, from its middle: top, left, height, width."""
    target_height, target_width = target
    part_height = max(min(height, int(width * target_height / target_width)), 1)
    part_width = max(min(width, int(height * target_width / target_height)), 1)
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


class _Sized(BaseImagePreprocessingLayer):
    """An image layer whose output has one height and width, whatever it is called on."""

    _always = True
    _moves = True
    height: int
    width: int

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = list(shape)
        sizes[self._height], sizes[self._width] = self.height, self.width
        return tuple(sizes)

    def _keep_size(self, height: Any, width: Any) -> None:
        self.height = count(type(self).__name__, "height", height)
        self.width = count(type(self).__name__, "width", width)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"input_shape": tuple(images.shape)}

    def _mask_moved(self, masks: Tensor, transformation: Any) -> Tensor:
        return self._outward(self._fitted(self._inward(masks), transformation, "nearest"))

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        return self._outward(self._fitted(self._inward(images), transformation, self._interpolation()))

    def _interpolation(self) -> str:
        return "bilinear"

    def _fitted(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        """Images, channels first, in the size that is wanted."""
        top, left, height, width = self._window((images.shape[-2], images.shape[-1]))
        part = images[..., top : top + height, left : left + width]
        return resized(part, (self.height, self.width), interpolation)

    def _window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """What of an image of this size is shown: top, left, height, width."""
        return window(*size, (self.height, self.width))

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        return self._shown(boxes, *self._window((height, width)))

    def _shown(self, boxes: Tensor, top: Any, left: Any, height: int, width: int) -> Tensor:
        """Boxes in a part of the image that is then stretched."""
        x, y = self.width / width, self.height / height
        a, b, c, d = boxes.unbind(-1)
        return torch.stack([(a - left) * x, (b - top) * y, (c - left) * x, (d - top) * y], -1)


@registry.layers.register()
class Resizing(_Sized):
    """Images in another size. Shapes: (batch, h, w, channels) to (batch, height, width, channels).

    The dtype stays: whole numbers are interpolated as floats and rounded. Masks are resized by "nearest".

    Args:
        height: of the output.
        width: of the output.
        interpolation: "bilinear", "nearest" or "bicubic".
        crop_to_aspect_ratio: whether the sides are cut rather than the proportions changed.
        pad_to_aspect_ratio: whether the sides are padded rather than that.
        fill_mode: "constant".
        fill_value: what is padded with.
        antialias: whether images are smoothed where they become smaller.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: an unknown interpolation or fill_mode; both crop_to_aspect_ratio and pad_to_aspect_ratio.

    Example:
        >>> layers.Resizing(2, 3)(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 2, 3, 3])
    """

    _integers = "kept"

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(data_format, **common)
        self._keep_size(height, width)
        ways = ("bilinear", "nearest", "bicubic")
        self.interpolation = choice("Resizing", "interpolation", interpolation, ways)
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = choice("Resizing", "fill_mode", fill_mode, ("constant",))
        self.fill_value = fill_value
        self.antialias = bool(antialias)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise GraphError(
                explain(
                    "Resizing",
                    got="crop_to_aspect_ratio and pad_to_aspect_ratio",
                    expected="at most one of them",
                )
            )

    def _interpolation(self) -> str:
        return self.interpolation

    def _window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        if self.crop_to_aspect_ratio:
            return super()._window(size)
        down, across = self._padding(size)
        return -down, -across, size[0] + 2 * down, size[1] + 2 * across

    def _padding(self, size: tuple[int, int]) -> tuple[int, int]:
        """How much is put above and below, and on the left and the right."""
        if not self.pad_to_aspect_ratio:
            return 0, 0
        height, width = size
        tall = max(height, int(width * self.height / self.width))
        wide = max(width, int(height * self.width / self.height))
        return (tall - height) // 2, (wide - width) // 2

    def _fitted(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        if self.crop_to_aspect_ratio:
            top, left, height, width = self._window((images.shape[-2], images.shape[-1]))
            images = images[..., top : top + height, left : left + width]
        elif self.pad_to_aspect_ratio:
            down, across = self._padding((images.shape[-2], images.shape[-1]))
            images = F.pad(images, (across, across, down, down), value=self.fill_value)
        smooth = self.antialias and interpolation != "nearest"
        return resized(images, (self.height, self.width), interpolation, antialias=smooth)


@registry.layers.register()
class CenterCrop(_Sized):
    """The middle of images. Shapes: (batch, h, w, channels) to (batch, height, width, channels).

    Of an image that is smaller the largest part with the proportions of the output is taken, and resized.

    Args:
        height: of the output.
        width: of the output.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Example:
        >>> layers.CenterCrop(1, 2)(torch.arange(16.0).reshape(1, 4, 4, 1)).flatten()
        tensor([5., 6.])
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **common: Unpack[WithBoxes]
    ) -> None:
        super().__init__(data_format, **common)
        self._keep_size(height, width)

    def _window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        down, across = size[0] - self.height, size[1] - self.width
        if down < 0 or across < 0:
            return super()._window(size)
        return down // 2, across // 2, self.height, self.width


@registry.layers.register()
class RandomCrop(_Sized, RandomImageLayer):
    """A part of images, in training anywhere, the same for the whole batch.

    Shapes: (batch, h, w, channels) to (batch, height, width, channels). In inference, and of an image that is
    smaller, the largest part with the proportions of the output is taken from the middle, and resized.

    Args:
        height: of the output.
        width: of the output.
        seed: with one, every run of the same program cuts in the same places.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Example:
        >>> layers.RandomCrop(2, 2)(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 2, 2, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self._keep_size(height, width)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        images = tensor_of(data["images"] if isinstance(data, Mapping) else data)
        shape = tuple(images.shape)
        down, across = (each - mine for each, mine in zip(self._size_of(shape), self._sizes(), strict=True))
        if not training or down < 0 or across < 0:
            return {"input_shape": shape}
        draw = Draw(images, self._generator(images, seed))
        return {
            "input_shape": shape,
            "top": draw.integers(0, down + 1, 1),
            "left": draw.integers(0, across + 1, 1),
        }

    def _sizes(self) -> tuple[int, int]:
        return self.height, self.width

    def _fitted(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        if "top" not in transformation:
            return super()._fitted(images, transformation, interpolation)
        rows = torch.arange(self.height, device=images.device) + transformation["top"]
        columns = torch.arange(self.width, device=images.device) + transformation["left"]
        return images.index_select(-2, rows).index_select(-1, columns)

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        if "top" not in transformation:
            return super()._boxes_moved(boxes, transformation, height, width)
        return self._shown(boxes, transformation["top"], transformation["left"], self.height, self.width)
