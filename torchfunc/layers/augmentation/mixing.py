"""Layers that mix each image of a batch with another one, and their labels in the same proportion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.augmentation.boxes import as_tensors
from torchfunc.layers.augmentation.filtering import rectangles
from torchfunc.layers.augmentation.image_layer import (
    Draw,
    RandomImageLayer,
    WithBoxes,
    each_image,
    pair,
)


class _Mixed(RandomImageLayer):
    """An image layer that mixes images with others of the batch, `permutation_order`, at `mix_weight` of their own."""

    _moves = True

    def _other(self, things: Tensor, transformation: Any) -> Tensor:
        order: Tensor = torch.as_tensor(transformation["permutation_order"], device=things.device)
        return things.index_select(0, order)

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True) -> Tensor:
        given = self._as_floats(super().transform_labels(labels))
        if not self._acts(transformation, training):
            return given
        weight = torch.as_tensor(transformation["mix_weight"], dtype=given.dtype, device=given.device)
        weight = weight.reshape(-1, *[1] * (given.ndim - 1))
        return weight * given + (1 - weight) * self._other(given, transformation)


@registry.layers.register()
class MixUp(_Mixed):
    """In training makes each image a weighted mean of itself and another one of the batch, and its label likewise.

    Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization. Labels are (batch, classes). The boxes of both
    images are kept.

    Args:
        alpha: of the beta distribution from which weights are drawn: the larger, the nearer to one half.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program mixes alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: an alpha that is not above 0.

    Example:
        >>> layers.MixUp()({"images": torch.ones(2, 4, 4, 3), "labels": torch.eye(2)})["labels"].sum(1)
        tensor([1., 1.])
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        if not isinstance(alpha, (int, float)) or not alpha > 0:
            raise GraphError(explain("MixUp", got=f"alpha={shorten(alpha)}", expected="a number above 0"))
        self.alpha = alpha

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"permutation_order": draw.order(), "mix_weight": draw.beta(self.alpha)}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        weight = torch.as_tensor(transformation["mix_weight"], device=images.device, dtype=images.dtype)
        other = self._other(images, transformation)
        return each_image(weight) * images + (1 - each_image(weight)) * other

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Tensor:
        masks = self._as_floats(torch.as_tensor(segmentation_masks))  # as shares of two masks are
        return super().transform_segmentation_masks(masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        found = as_tensors(bounding_boxes)
        if not self._acts(transformation, training):
            return found
        both = {key: (found[key], self._other(found[key], transformation)) for key in ("boxes", "labels")}
        return {**found, **{key: torch.cat(each, min(1, each[0].ndim - 1)) for key, each in both.items()}}


@registry.layers.register()
class CutMix(_Mixed):
    """In training puts a rectangle of another image of the batch into each image; labels by the areas.

    Source: Yun et al. 2019, CutMix. Labels are (batch, classes).

    Args:
        factor: of the beta distribution from which areas are drawn: from 0 to the factor, or from the first of two
            numbers to the second, for each batch.
        seed: with one, every run of the same program mixes alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1; called on bounding boxes, which may be cut.

    Example:
        >>> layers.CutMix()({"images": torch.ones(2, 4, 4, 3), "labels": torch.eye(2)})["labels"].sum(1)
        tensor([1., 1.])
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("CutMix", "factor", factor, 0, 1)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        if images.ndim == 3:
            return None
        height, width = self._size_of(images.shape)
        side = (1 - draw.beta(draw.one(*self.factor) + 1e-6)).sqrt()
        inside, share = rectangles(draw, height, width, side, side)
        return {
            "permutation_order": draw.order(),
            "batch_masks": inside.unsqueeze(self._channels),
            "mix_weight": 1 - share,
        }

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        return torch.where(transformation["batch_masks"], self._other(images, transformation), images)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        raise GraphError(
            explain(
                f"CutMix {self.name!r}",
                got="'bounding_boxes'",
                expected="images, labels and segmentation masks",
                why="a box may be covered in part",
                fix="MixUp, which keeps the boxes of both images",
            )
        )
