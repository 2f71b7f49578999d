"""Overlap: how much of two boxes is common to both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.layers.augmentation.boxes import convert_format

_EPSILON = 1e-7


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """The intersection of each of some boxes with each of others, over their union.

    Args:
        boxes1: (boxes, 4) or (batch, boxes, 4).
        boxes2: likewise; without a batch they are compared with those of every image.
        bounding_box_format: a format of `convert_format`.
        use_masking: whether boxes of negative numbers alone are padding, whose overlap is `mask_val`.
        mask_val: that overlap.
        image_shape: (height, width, channels), for formats relative to it.

    Returns:
        (boxes of boxes1, boxes of boxes2), after the batch where one of them has it.

    Raises:
        GraphError: a relative format without image_shape.
        ShapeError: boxes of other ranks.

    Example:
        >>> utils.bounding_boxes.compute_iou([[0, 0, 2, 2]], [[0, 0, 2, 1], [1, 1, 3, 3]], "xyxy")  # 2 / 4, 1 / 7
        tensor([[0.5000, 0.1429]])
    """
    one, two = _as_corners("compute_iou", boxes1, boxes2, bounding_box_format, image_shape)
    for each in (one, two):
        if each.ndim not in (2, 3):
            raise ShapeError(
                explain(
                    "compute_iou",
                    got=f"boxes of shape {tuple(each.shape)}",
                    expected="(boxes, 4) or (batch, boxes, 4)",
                )
            )
    first, second = one.unsqueeze(-2), two.unsqueeze(-3)
    common = _area(
        torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    )
    areas = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:])
    found = common / (areas - common + _EPSILON)
    if not use_masking:
        return found
    padding = (first.amax(-1) < 0) | (second.amax(-1) < 0)
    return found.masked_fill(padding, mask_val)


def compute_ciou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """The complete intersection over union of boxes in pairs: less for middles apart and other proportions.

    Source: Zheng et al. 2021, Enhancing Geometric Factors in Model Learning and Inference.

    Args:
        boxes1: (..., 4).
        boxes2: (..., 4).
        bounding_box_format: a format of `convert_format`, in pixels.
        image_shape: not needed.

    Returns:
        (...).

    Raises:
        GraphError: a relative format, in which proportions are lost.

    Example:
        >>> utils.bounding_boxes.compute_ciou([[0.0, 0, 2, 2]], [[0.0, 0, 2, 1]], "xyxy")  # below the 0.5 of compute_iou
        tensor([0.4655])
    """
    if bounding_box_format.startswith("rel"):
        raise GraphError(
            explain(
                "compute_ciou",
                got=f"bounding_box_format={bounding_box_format!r}",
                expected="a format in pixels",
                fix="convert_format(boxes, ..., 'xyxy', height, width)",
            )
        )
    one, two = _as_corners("compute_ciou", boxes1, boxes2, bounding_box_format, image_shape)
    (width_1, height_1), (width_2, height_2) = (
        (each[..., 2:] - each[..., :2]).unbind(-1) for each in (one, two)
    )
    height_1, height_2 = height_1 + _EPSILON, height_2 + _EPSILON
    common = _area(torch.maximum(one[..., :2], two[..., :2]), torch.minimum(one[..., 2:], two[..., 2:]))
    iou = common / (width_1 * height_1 + width_2 * height_2 - common + 2 * _EPSILON)
    hull = torch.maximum(one[..., 2:], two[..., 2:]) - torch.minimum(one[..., :2], two[..., :2])
    apart = (one[..., :2] + one[..., 2:] - two[..., :2] - two[..., 2:]) / 2
    distance = apart.square().sum(-1) / (hull.square().sum(-1) + _EPSILON)
    v = 4 / math.pi**2 * (torch.atan(width_2 / height_2) - torch.atan(width_1 / height_1)).square()
    return iou - (distance + v * v / (v - iou + (1 + _EPSILON)))


def _as_corners(owner: str, one: Any, two: Any, kind: str, image_shape: Any) -> tuple[Tensor, Tensor]:
    if kind.startswith("rel") and image_shape is None:
        raise GraphError(
            explain(owner, got=f"bounding_box_format={kind!r} and no image_shape", expected="both")
        )
    height, width = (None, None) if image_shape is None else tuple(image_shape)[:2]
    return convert_format(one, kind, "xyxy", height, width), convert_format(two, kind, "xyxy", height, width)


def _area(low: Tensor, high: Tensor) -> Tensor:
    """What lies between two corners; nothing where they are the wrong way round."""
    return (high - low).clamp(min=0).prod(-1)
