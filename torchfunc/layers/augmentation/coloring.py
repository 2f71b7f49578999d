"""Layers that change the colours of images, each image in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.layers.arguments import fraction
from torchfunc.layers.augmentation.hues import gray, hsv_of, ranged, rgb_of
from torchfunc.layers.augmentation.image_layer import (
    Draw,
    RandomImageLayer,
    WithBoxes,
    WithFormat,
    each_image,
    pair,
    values_from,
)


@registry.layers.register()
class RandomContrast(RandomImageLayer):
    """In training multiplies what each pixel differs from the mean of its channel.

    Args:
        factor: two numbers (lower, upper) for a contrast from 1 - lower to 1 + upper, or one for both.
        value_range: the lowest and the highest value of a pixel, at which results are cut.
        seed: with one, every run of the same program changes images alike.
        data_format, bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomContrast(0.2)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **common: Unpack[WithFormat],
    ) -> None:
        super().__init__(seed, **common)
        self.factor = pair("RandomContrast", "factor", factor, 0, 1)
        # how much lower, and how much higher: no range
        self.factor = (factor[0], factor[1]) if isinstance(factor, (list, tuple)) else (self.factor[1],) * 2
        self.value_range = values_from("RandomContrast", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        lower, upper = self.factor
        return {"contrast_factor": each_image(draw.uniform(1 - lower, 1 + upper))}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        mean = images.mean((self._height, self._width), keepdim=True)
        return torch.lerp(mean, images, transformation["contrast_factor"].to(images.dtype)).clamp(
            *self.value_range
        )


@registry.layers.register()
class RandomBrightness(RandomImageLayer):
    """In training makes images brighter or darker.

    Args:
        factor: how much, as a share of the value_range: from -factor to factor, or from the first of two numbers to the
            second.
        value_range: the lowest and the highest value of a pixel, at which results are cut.
        seed: with one, every run of the same program changes images alike.
        data_format, bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from -1 to 1, a value_range that is none.

    Example:
        >>> layers.RandomBrightness((0.2, 0.2))(torch.zeros(1, 1, 1, 3)).flatten()
        tensor([51., 51., 51.])
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **common: Unpack[WithFormat],
    ) -> None:
        super().__init__(seed, **common)
        self.factor = pair("RandomBrightness", "factor", factor, -1, 1)
        self.value_range = values_from("RandomBrightness", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        low, high = self.value_range
        return {"rgb_delta": each_image(draw.uniform(*self.factor) * (high - low))}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        delta: Tensor = transformation["rgb_delta"]
        return (images + delta).clamp(*self.value_range)


@registry.layers.register()
class RandomHue(RandomImageLayer):
    """In training turns the colours of images around the wheel of hues.

    Args:
        factor: how far, of half the wheel, either way: from 0 to the factor, or from the first of two numbers to the
            second.
        value_range: the lowest and the highest value of a pixel.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomHue(0.2)(torch.ones(2, 4, 4, 3)).shape
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
        self.factor = pair("RandomHue", "factor", factor, 0, 1)
        self.value_range = values_from("RandomHue", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"factor": draw.signs() * draw.uniform(*self.factor) * 0.5}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        hue, saturation, value = hsv_of(ranged(images, self.value_range, (0, 1)), self._channels)
        hue = (hue + transformation["factor"][:, None, None]) % 1
        turned = rgb_of(hue, saturation, value, self._channels)
        return ranged(turned.clamp(0, 1), (0, 1), self.value_range)


@registry.layers.register()
class RandomSaturation(RandomImageLayer):
    """In training makes colours paler or stronger.

    Args:
        factor: 0 is gray, 0.5 as it was, 1 as strong as can be: from 0 to the factor, or from the first of two numbers
            to the second.
        value_range: the lowest and the highest value of a pixel.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomSaturation((0.0, 0.0))(torch.tensor([[[[10.0, 20.0, 30.0]]]])).flatten()
        tensor([30., 30., 30.])
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
        self.factor = pair("RandomSaturation", "factor", factor, 0, 1)
        self.value_range = values_from("RandomSaturation", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        factor = draw.uniform(*self.factor)
        return {"factor": factor / (1 - factor + 1e-7)}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        hue, saturation, value = hsv_of(images, self._channels)
        # a saturation is a share, whatever the range of the pixels
        saturation = (saturation * transformation["factor"][:, None, None]).clamp(0, 1)
        return rgb_of(hue, saturation, value, self._channels)


@registry.layers.register()
class RandomColorDegeneration(RandomImageLayer):
    """In training takes colour out of images.

    Args:
        factor: how much, from 0 (as it was) to 1 (gray): from 0 to the factor, or from the first of two numbers to the
            second.
        value_range: the lowest and the highest value of a pixel, at which results are cut.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomColorDegeneration(0.5)(torch.ones(2, 4, 4, 3)).shape
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
        self.factor = pair("RandomColorDegeneration", "factor", factor, 0, 1)
        self.value_range = values_from("RandomColorDegeneration", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"factor": each_image(draw.uniform(*self.factor))}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        factor: Tensor = transformation["factor"]
        return (images + factor * (gray(images, self._channels) - images)).clamp(*self.value_range)


@registry.layers.register()
class RandomGrayscale(RandomImageLayer):
    """In training makes some images gray. Whole numbers stay whole.

    Args:
        factor: how probable that is, from 0 to 1.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program makes the same images gray.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1.

    Example:
        >>> layers.RandomGrayscale(1.0)(torch.tensor([[[[100.0, 0.0, 0.0]]]])).flatten()
        tensor([29.8900, 29.8900, 29.8900])
    """

    _integers = "kept"

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = fraction("RandomGrayscale", "factor", factor)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return each_image(draw.uniform() < self.factor)

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        return torch.where(transformation, gray(images, self._channels), images)


@registry.layers.register()
class RandomInvert(RandomImageLayer):
    """In training makes negatives of some images.

    Args:
        factor: how probable that is: a number from 0 to this one, or from the first of two to the second, is drawn for
            each image.
        value_range: the lowest and the highest value of a pixel.
        seed: with one, every run of the same program inverts the same images.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.RandomInvert((1.0, 1.0))(torch.tensor([[[[5.0, 0.0, 255.0]]]])).flatten()
        tensor([250., 255.,   0.])
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomInvert", "factor", factor, 0, 1)
        self.value_range = values_from("RandomInvert", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"apply_inversion": draw.chosen(self.factor)}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        chosen = each_image(transformation["apply_inversion"])
        return torch.where(chosen, sum(self.value_range) - images, images)


@registry.layers.register()
class RandomPosterization(RandomImageLayer):
    """In training keeps only the first bits of each value.

    Args:
        factor: how many of eight: from 1 to below the factor, or from the first of two numbers to below the second; of
            one number that is 1, or two that are equal, as many.
        value_range: the lowest and the highest value of a pixel.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 1 to 8, a value_range that is none.

    Example:
        >>> layers.RandomPosterization(1)(torch.tensor([[[[128.0, 235.0, 87.0]]]])).flatten()
        tensor([128., 128.,   0.])
    """

    def __init__(
        self,
        factor: int | Sequence[int],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomPosterization", "factor", factor, 1, 8)
        self.value_range = values_from("RandomPosterization", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        low, high = (int(each) for each in self.factor)
        return {"shift_factor": 8 - draw.integers(low, max(high, low + 1))}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        shift = each_image(transformation["shift_factor"]).to(torch.int32)
        levels = ranged(images, self.value_range, (0, 255)).to(torch.int32)
        kept = levels.bitwise_right_shift(shift).bitwise_left_shift(shift)
        return ranged(kept.to(images.dtype), (0, 255), self.value_range)


@registry.layers.register()
class Solarization(RandomImageLayer):
    """In training makes negatives of the values above a threshold.

    Args:
        addition_factor: what is added before, as a share of the value_range: from 0 to the factor, or from the first of
            two numbers to the second.
        threshold_factor: the threshold, likewise.
        value_range: the lowest and the highest value of a pixel.
        seed: with one, every run of the same program changes images alike.
        data_format, bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, a value_range that is none.

    Example:
        >>> layers.Solarization()(torch.tensor([[[[59.0, 62.0, 63.0]]]])).flatten()
        tensor([196., 193., 192.])
    """

    def __init__(
        self,
        addition_factor: float | Sequence[float] = 0.0,
        threshold_factor: float | Sequence[float] = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **common: Unpack[WithFormat],
    ) -> None:
        super().__init__(seed, **common)
        self.addition_factor = pair("Solarization", "addition_factor", addition_factor, 0, 1)
        self.threshold_factor = pair("Solarization", "threshold_factor", threshold_factor, 0, 1)
        self.value_range = values_from("Solarization", value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {
            "additions": each_image(draw.uniform(*self.addition_factor) * 255),
            "thresholds": each_image(draw.uniform(*self.threshold_factor) * 255),
        }

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        levels = ranged(images, self.value_range, (0, 255)) + transformation["additions"]
        levels = levels.clamp(0, 255)
        levels = torch.where(levels < transformation["thresholds"], levels, 255 - levels)
        return ranged(levels, (0, 255), self.value_range)
