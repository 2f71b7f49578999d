"""Deltas: boxes as what they differ from anchors, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchfunc.arrays_in import tensor_of
from torchfunc.errors import ShapeError, explain
from torchfunc.layers.arguments import choice
from torchfunc.layers.augmentation.boxes import convert_format

_EPSILON = 1e-7


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Sequence[float] | Tensor | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """What boxes differ from anchors: the middles in sizes of the anchor, the sizes as logarithms.

    Source: Ren et al. 2015, Faster R-CNN, section 3.1.2.

    Args:
        anchors: (..., 4).
        boxes: (..., 4).
        anchor_format: a format of `convert_format`.
        box_format: likewise.
        encoding_format: "center_yxhw" or "center_xywh", the order of what is returned.
        variance: four numbers, by which the differences are divided.
        image_shape: (height, width, channels), for formats relative to it.

    Returns:
        (..., 4).

    Raises:
        GraphError: another encoding_format.
        ShapeError: not four variances.

    Example:
        >>> anchors, boxes = [[0.0, 0, 10, 10]], [[5.0, 0, 15, 20]]
        >>> utils.bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xyxy", "center_xywh")
        tensor([[0.5000, 0.5000, 0.0000, 0.6931]])
    """
    sizes = {"target": _encoding("encode_box_to_deltas", encoding_format), **_sizes(image_shape)}
    anchors = convert_format(anchors, anchor_format, **sizes)
    boxes = convert_format(boxes, box_format, **sizes)
    extent = anchors[..., 2:].clamp(min=_EPSILON)
    middles = (boxes[..., :2] - anchors[..., :2]) / extent
    deltas = torch.cat([middles, torch.log(boxes[..., 2:].clamp(min=_EPSILON) / extent)], -1)
    return deltas if variance is None else deltas / _four("encode_box_to_deltas", variance, deltas)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Sequence[float] | Tensor | None = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """The boxes that differ so from anchors: the inverse of `encode_box_to_deltas`.

    Args:
        anchors: (..., 4), or a dict of such, one for each level.
        boxes_delta: (..., 4), or a dict with the same keys.
        anchor_format: a format of `convert_format`.
        box_format: the format that is wanted.
        encoded_format: "center_yxhw" or "center_xywh".
        variance: four numbers, by which the differences are multiplied.
        image_shape: (height, width, channels), for formats relative to it.

    Returns:
        (..., 4), or a dict of such with the keys of `anchors`.

    Raises:
        GraphError: another encoded_format.
        ShapeError: not four variances.

    Example:
        >>> anchors, deltas = [[0.0, 0, 10, 10]], [[0.5, 0.5, 0.0, 0.6931]]
        >>> utils.bounding_boxes.decode_deltas_to_boxes(anchors, deltas, "xyxy", "xyxy", "center_xywh").round()
        tensor([[ 5.,  0., 15., 20.]])
    """
    kind, sizes = _encoding("decode_deltas_to_boxes", encoded_format), _sizes(image_shape)

    def decoded(anchor: Any, delta: Any) -> Tensor:
        anchor, delta = convert_format(anchor, anchor_format, kind, **sizes), tensor_of(delta)
        if variance is not None:
            delta = delta * _four("decode_deltas_to_boxes", variance, delta)
        middles = delta[..., :2] * anchor[..., 2:] + anchor[..., :2]
        box = torch.cat([middles, torch.exp(delta[..., 2:]) * anchor[..., 2:]], -1)
        found: Tensor = convert_format(box, kind, box_format, **sizes)
        return found

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {level: decoded(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decoded(anchors, boxes_delta)


def _encoding(owner: str, kind: str) -> str:
    return choice(owner, "the encoding format", kind, ("center_xywh", "center_yxhw"))


def _sizes(image_shape: Sequence[int] | None) -> dict[str, Any]:
    return {} if image_shape is None else {"height": image_shape[0], "width": image_shape[1]}


def _four(owner: str, variance: Any, like: Tensor) -> Tensor:
    found = torch.as_tensor(variance, dtype=like.dtype, device=like.device)
    if found.ndim == 0 or found.shape[-1] != 4:
        raise ShapeError(
            explain(owner, got=f"variance of shape {tuple(found.shape)}", expected="four numbers")
        )
    return found
