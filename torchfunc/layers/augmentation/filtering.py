"""Layers that sharpen, blur and erase, each image in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.arguments import counts
from torchfunc.layers.augmentation.image_layer import (
    Draw,
    RandomImageLayer,
    WithBoxes,
    each_image,
    pair,
    values_from,
)
from torchfunc.layers.augmentation.sampling import bell, blurred, places


@registry.layers.register()
class RandomSharpness(RandomImageLayer):
    """In training sharpens or softens images.

    Args:
        factor: 0 is soft, 0.5 as it was, 1 sharp: from 0 to the factor, or from the first of two numbers to the second.
        value_range: the lowest and the highest value of a pixel, at which results are cut.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomSharpness(0.5)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomSharpness", "factor", factor, 0, 1)
        self.value_range = values_from("RandomSharpness", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"factor": draw.uniform(*self.factor)}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        x = self._inward(images)
        kernel = torch.full((x.shape[1], 1, 3, 3), 1 / 13, dtype=x.dtype, device=x.device)
        kernel[..., 1, 1] = 5 / 13
        soft = F.conv2d(x, kernel, padding=1, groups=x.shape[1])
        softness = 1 - 2 * each_image(transformation["factor"])
        return self._outward((x + softness * (soft - x)).clamp(*self.value_range))


@registry.layers.register()
class RandomGaussianBlur(RandomImageLayer):
    """In training blurs some images.

    Args:
        factor: how probable that is: a number from 0 to this one, or from the first of two to the second, is drawn for
            each image.
        kernel_size: how many pixels are blended, an odd number, or two: along the width and along the height.
        sigma: how widely, in pixels: from 0 to the number, or from the first of two to the second, is drawn for each
            batch, once for the width and once for the height.
        value_range: the lowest and the highest value of a pixel, at which results are cut.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor or sigma that is not from 0 to 1, a kernel_size that is even, a value_range that is none.

    Example:
        >>> layers.RandomGaussianBlur()(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: float | Sequence[float] = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomGaussianBlur", "factor", factor, 0, 1)
        self.kernel_size = counts("RandomGaussianBlur", "kernel_size", kernel_size, 2)
        if not all(each % 2 for each in self.kernel_size):
            raise GraphError(
                explain(
                    "RandomGaussianBlur",
                    got=f"kernel_size={shorten(kernel_size)}",
                    expected="an odd number, which has a middle",
                    fix=f"kernel_size={self.kernel_size[0] | 1}",
                )
            )
        self.sigma = pair("RandomGaussianBlur", "sigma", sigma, 0, 1)
        self.value_range = values_from("RandomGaussianBlur", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {
            "should_apply_blur": draw.chosen(self.factor),
            "blur_factor": draw.uniform(*self.sigma, 2) + 1e-6,
        }

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        sigmas = transformation["blur_factor"].unbind()
        across, down = (bell(size, sigma) for size, sigma in zip(self.kernel_size, sigmas, strict=True))
        soft = self._outward(blurred(self._inward(images), (across, down)))
        chosen = each_image(transformation["should_apply_blur"])
        return torch.where(chosen, soft, images).clamp(*self.value_range)


@registry.layers.register()
class RandomErasing(RandomImageLayer):
    """In training fills a rectangle of some images with one value, or with noise.

    Source: Zhong et al. 2017, Random Erasing Data Augmentation.

    Args:
        factor: how probable that is: a number from 0 to this one, or from the first of two to the second, is drawn for
            each image.
        scale: the share of the height, and that of the width, squared: from 0 to the number, or from the first of two to
            the second.
        fill_value: what the rectangle is filled with: a number, one for each channel, or normal noise if None.
        value_range: the lowest and the highest value of a pixel.
        seed: with one, every run of the same program erases the same places.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor or scale that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomErasing(fill_value=0)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float | Sequence[float] = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomErasing", "factor", factor, 0, 1)
        self.scale = pair("RandomErasing", "scale", scale, 0, 1)
        self.fill_value = fill_value
        self.value_range = values_from("RandomErasing", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        height, width = self._size_of(images.shape)
        shares = draw.uniform(*self.scale, draw.images, 2).sqrt()
        inside, _ = rectangles(draw, height, width, shares[:, 0], shares[:, 1])
        return {
            "apply_erasing": draw.chosen(self.factor),
            "batch_masks": inside.unsqueeze(self._channels),
            "fill_value": self._fill(images, draw).clamp(*self.value_range),
        }

    def _fill(self, images: Tensor, draw: Draw) -> Tensor:
        if self.fill_value is None:
            shape = (1, *images.shape) if images.ndim == 3 else tuple(images.shape)
            return draw.normal(*shape) * self.value_range[1]
        fill = torch.as_tensor(self.fill_value, dtype=draw.dtype, device=draw.device)
        return fill if fill.ndim == 0 or self._channels == -1 else fill[:, None, None]

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        chosen = each_image(transformation["apply_erasing"]) & transformation["batch_masks"]
        fill = torch.as_tensor(transformation["fill_value"], dtype=images.dtype, device=images.device)
        return torch.where(chosen, fill, images)


def rectangles(draw: Draw, height: int, width: int, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """A rectangle anywhere in each image, and the share of the image that it takes.

    Args:
        draw: where random numbers come from.
        height: of the images.
        width: of the images.
        across: which share of the width it takes, (batch,).
        down: which share of the height.

    Returns:
        Whether a pixel lies in it, (batch, height, width), and (batch,).
    """
    x, y = places(height, width, across)
    wide, tall = across * width, down * height
    left, top = draw.uniform() * (width - wide), draw.uniform() * (height - tall)
    left, top, right, bottom = (each[:, None, None] for each in (left, top, left + wide, top + tall))
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return inside, wide * tall / (width * height)
