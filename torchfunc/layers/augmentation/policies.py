"""Policies: layers that choose what happens to images from several others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.layers.arguments import count
from torchfunc.layers.augmentation.coloring import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomHue,
    RandomPosterization,
    RandomSaturation,
    Solarization,
)
from torchfunc.layers.augmentation.filtering import RandomSharpness
from torchfunc.layers.augmentation.geometry import RandomRotation, RandomShear, RandomTranslation
from torchfunc.layers.augmentation.histograms import AutoContrast, Equalization
from torchfunc.layers.augmentation.image_layer import (
    BaseImagePreprocessingLayer,
    Draw,
    RandomImageLayer,
    WithBoxes,
    pair,
    values_from,
)

Step = tuple[str, Any]  # the name of a layer inside, and what was drawn for it


class _Policy(RandomImageLayer):
    """An image layer with layers inside, which draw from its generator."""

    _moves = True

    def _keep(self, layers: dict[str, BaseImagePreprocessingLayer]) -> None:
        """Keep layers as submodules under their names."""
        self._steps = list(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def _step(self, name: str, images: Tensor, draw: Draw) -> Step:
        layer: BaseImagePreprocessingLayer = getattr(self, name)
        return name, layer.get_random_transformation(images, training=True, seed=draw.generator)

    def _names(self, draw: Draw, number: int, most: int) -> list[int]:
        """As many whole numbers below `most`."""
        if draw.device.type == "meta":
            return [0] * number
        drawn: list[int] = draw.integers(0, most, number).tolist()
        return drawn


def _augmentations(
    factor: tuple[float, float], value_range: Any, interpolation: str, common: dict[str, Any]
) -> dict[str, BaseImagePreprocessingLayer]:
    """What AugMix and RandAugment choose from; those of AugMix(all_ops=False) first."""
    valued = {**common, "value_range": value_range}
    moved = {**common, "interpolation": interpolation}
    return {
        "random_shear": RandomShear(factor, factor, **moved),
        "random_translation": RandomTranslation(factor, factor, **moved),
        "random_rotation": RandomRotation(factor, **moved),
        "random_posterization": RandomPosterization(max(1, int(8 * factor[1])), **valued),
        "solarization": Solarization(factor, factor, **valued),
        "auto_contrast": AutoContrast(**valued),
        "equalization": Equalization(**valued),
        "random_brightness": RandomBrightness(factor, **valued),
        "random_color_degeneration": RandomColorDegeneration(factor, **valued),
        "random_contrast": RandomContrast(factor, **valued),
        "random_sharpness": RandomSharpness(factor, **valued),
    }


@registry.layers.register()
class RandomColorJitter(_Policy):
    """In training changes brightness, contrast, saturation and hue, in this order.

    Args:
        value_range: the lowest and the highest value of a pixel.
        brightness_factor: as for RandomBrightness; not changed if None.
        contrast_factor: as for RandomContrast, likewise.
        saturation_factor: as for RandomSaturation, likewise.
        hue_factor: as for RandomHue, likewise.
        seed: with one, every run of the same program changes images alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that the layer of that name refuses.

    Example:
        >>> layers.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    _moves = False

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: float | Sequence[float] | None = None,
        contrast_factor: float | Sequence[float] | None = None,
        saturation_factor: float | Sequence[float] | None = None,
        hue_factor: float | Sequence[float] | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.value_range = values_from("RandomColorJitter", value_range)
        self.brightness_factor = brightness_factor
        self.contrast_factor = contrast_factor
        self.saturation_factor = saturation_factor
        self.hue_factor = hue_factor
        kinds: dict[str, Any] = {
            "brightness": RandomBrightness,
            "contrast": RandomContrast,
            "saturation": RandomSaturation,
            "hue": RandomHue,
        }
        given = {word: getattr(self, f"{word}_factor") for word in kinds}
        self._keep(
            {
                f"random_{word}": kinds[word](factor, self.value_range, data_format=self.data_format)
                for word, factor in given.items()
                if factor is not None
            }
        )

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return [self._step(name, images, draw) for name in self._steps]

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        for name, drawn in transformation:
            images = getattr(self, name).transform_images(images, drawn)
        return images


@registry.layers.register()
class RandAugment(_Policy):
    """In training makes a few changes, chosen anew for each batch from eleven; how much is drawn for each image.

    Source: Cubuk et al. 2020, RandAugment. `torch.compile` breaks the graph where they are chosen.

    Args:
        value_range: the lowest and the highest value of a pixel.
        num_ops: how many changes, one after the other.
        factor: how much: from 0 to the factor, or from the first of two numbers to the second.
        interpolation: "bilinear" or "nearest".
        seed: with one, every run of the same program changes images alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, num_ops that is no integer of 0 or more.

    Example:
        >>> layers.RandAugment()(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: float | Sequence[float] = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.value_range = values_from("RandAugment", value_range)
        self.num_ops = count("RandAugment", "num_ops", num_ops, minimum=0)
        self.factor = pair("RandAugment", "factor", factor, 0, 1)
        self.interpolation = interpolation
        inside = {"data_format": self.data_format, "bounding_box_format": self.bounding_box_format}
        self._keep(_augmentations(self.factor, self.value_range, interpolation, inside))

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        numbers = self._names(draw, self.num_ops, len(self._steps))
        return [self._step(self._steps[number], images, draw) for number in numbers]

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        for name, drawn in transformation:
            images = getattr(self, name).transform_images(images, drawn)
        return images

    def _mask_moved(self, masks: Tensor, transformation: Any) -> Tensor:
        for name, drawn in transformation:
            masks = getattr(self, name).transform_segmentation_masks(masks, drawn)
        return masks

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        for name, drawn in transformation if self._acts(transformation, training) else ():
            bounding_boxes = getattr(self, name).transform_bounding_boxes(bounding_boxes, drawn)
        return super().transform_bounding_boxes(bounding_boxes, None, False)


@registry.layers.register()
class AugMix(_Policy):
    """In training blends each image with a mean of several chains of changes; what they are is chosen for each batch.

    Source: Hendrycks et al. 2020, AugMix. Boxes stay as they are. `torch.compile` breaks the graph where changes are
    chosen.

    Args:
        value_range: the lowest and the highest value of a pixel.
        num_chains: how many chains.
        chain_depth: how many changes in each, at most.
        factor: how much: from 0 to the factor, or from the first of two numbers to the second.
        alpha: of the distributions from which the weights of chains and images are drawn.
        all_ops: whether brightness, contrast, colour and sharpness are changed too.
        interpolation: "bilinear" or "nearest".
        seed: with one, every run of the same program changes images alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, chains that are no positive integers.

    Example:
        >>> layers.AugMix()(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | Sequence[float] = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.value_range = values_from("AugMix", value_range)
        self.num_chains = count("AugMix", "num_chains", num_chains)
        self.chain_depth = count("AugMix", "chain_depth", chain_depth)
        self.factor = pair("AugMix", "factor", factor, 0, 1)
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        inside = {"data_format": self.data_format}
        layers = _augmentations(self.factor, self.value_range, interpolation, inside)
        self._keep(dict(list(layers.items())[: None if all_ops else 7]))

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        number = self.num_chains * self.chain_depth
        # one more than there are is no change
        names = [*self._steps, None]
        chosen = [names[each] for each in self._names(draw, number, len(names))]
        steps = [None if name is None else self._step(name, images, draw) for name in chosen]
        depth = self.chain_depth
        chains = [steps[start : start + depth] for start in range(0, number, depth)]
        return {
            "chain_mixing_weights": draw.shares(self.alpha, self.num_chains),
            "weight_sample": draw.beta(self.alpha, 1)[0],
            "chain_transforms": [[step for step in chain if step is not None] for chain in chains],
        }

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        return self._blended(images, transformation, "transform_images").clamp(*self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Tensor:
        masks = self._as_floats(torch.as_tensor(segmentation_masks))  # as blended ones are
        if not self._acts(transformation, training):
            return masks
        return self._blended(masks, transformation, "transform_segmentation_masks")

    def _blended(self, things: Tensor, transformation: Any, method: str) -> Tensor:
        weights = transformation["chain_mixing_weights"].to(things.dtype).unbind()
        own: Tensor = transformation["weight_sample"].to(things.dtype)
        blend = own * things
        for weight, chain in zip(weights, transformation["chain_transforms"], strict=True):
            changed = things
            for name, drawn in chain:
                changed = getattr(getattr(self, name), method)(changed, drawn)
            blend = blend + (1 - own) * weight * changed
        return blend

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        return super().transform_bounding_boxes(bounding_boxes, None, False)
