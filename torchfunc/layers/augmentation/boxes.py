"""Bounding boxes: their formats, and what happens to them when their image is cut, padded or turned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchfunc.arrays_in import tensor_of
from torchfunc.errors import GraphError, ShapeError, explain, shorten
from torchfunc.graph.symbolic import dtype_of
from torchfunc.layers.arguments import choice

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip


def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: torch.dtype | str = "float32",
) -> Any:
    """Boxes in another format.

    `x` and `y` are pixels from the left and the top, in a format with `rel_` shares of width and height.
    "xyxy" is left, top, right, bottom; "xywh" left, top, width, height; "center_xywh" the middle, width, height.

    Args:
        boxes: (..., 4), or a dict with such "boxes".
        source: the format that they are in: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy",
            "rel_yxyx", "rel_xywh" or "rel_center_xywh".
        target: the format that is wanted.
        height: of the image, needed between pixels and shares.
        width: of the image, likewise.
        dtype: of what is returned.

    Returns:
        The boxes; of a dict a new dict, which has all else of it.

    Raises:
        GraphError: an unknown format, or no height or width where they are needed.
        ShapeError: not four numbers a box.

    Example:
        >>> convert_format([[1.0, 2.0, 3.0, 5.0]], "xyxy", "xywh")
        tensor([[1., 2., 2., 3.]])
    """
    if isinstance(boxes, Mapping):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    boxes = tensor_of(boxes).to(dtype_of(dtype))
    source, target = (choice("convert_format", "a format", each, FORMATS) for each in (source, target))
    if boxes.shape[-1] != 4:
        raise ShapeError(
            explain("convert_format", got=f"boxes of shape {tuple(boxes.shape)}", expected="(..., 4)")
        )
    relative = (source.startswith("rel_"), target.startswith("rel_"))
    if any(relative) and (height is None or width is None):
        raise GraphError(
            explain(
                "convert_format",
                got=f"height={height} and width={width}",
                expected=f"both, for {source!r} or {target!r} is relative to them",
            )
        )
    if source == target:
        return boxes
    left, top, right, bottom = _corners(boxes, source.removeprefix("rel_"))
    if relative == (True, False):
        left, top, right, bottom = left * width, top * height, right * width, bottom * height
    form = _from_corners(left, top, right, bottom, target.removeprefix("rel_"))
    if relative == (False, True):
        sizes = (height, width) if target == "rel_yxyx" else (width, height)
        form = [each / sizes[index % 2] for index, each in enumerate(form)]
    return torch.cat(form, -1)


def _corners(boxes: Tensor, kind: str) -> list[Tensor]:
    """Left, top, right and bottom, (..., 1) each."""
    one, two, three, four = boxes.chunk(4, -1)
    if kind in ("yxyx", "center_yxhw"):
        one, two, three, four = two, one, four, three
    if kind.startswith("center"):
        return [one - three / 2, two - four / 2, one + three / 2, two + four / 2]
    return [one, two, one + three, two + four] if kind == "xywh" else [one, two, three, four]


def _from_corners(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor, kind: str) -> list[Tensor]:
    width, height = right - left, bottom - top
    forms = {
        "xyxy": [left, top, right, bottom],
        "yxyx": [top, left, bottom, right],
        "xywh": [left, top, width, height],
        "center_xywh": [left + width / 2, top + height / 2, width, height],
        "center_yxhw": [top + height / 2, left + width / 2, height, width],
    }
    return forms[kind]


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Boxes cut at the sides of their image; what has nothing left gets the label -1.

    Args:
        bounding_boxes: a dict with "boxes" (..., boxes, 4), and "labels" (..., boxes) where there are any.
        height: of the image; not needed for "rel_xyxy".
        width: of the image, likewise.
        bounding_box_format: "xyxy" or "rel_xyxy".

    Returns:
        A new dict.

    Raises:
        GraphError: another format, or "xyxy" without the sizes.

    Example:
        >>> boxes = {"boxes": [[[-5.0, 0.0, 10.0, 20.0], [40.0, 0.0, 50.0, 9.0]]], "labels": [[1, 2]]}
        >>> utils.bounding_boxes.clip_to_image_size(boxes, height=16, width=32)
        {'boxes': tensor([[[ 0.,  0., 10., 16.],
                 [32.,  0., 32.,  9.]]]), 'labels': tensor([[ 1, -1]])}
    """
    kind = choice("clip_to_image_size", "bounding_box_format", bounding_box_format, ("xyxy", "rel_xyxy"))
    if kind == "xyxy" and (height is None or width is None):
        raise GraphError(
            explain("clip_to_image_size", got=f"height={height} and width={width}", expected="both")
        )
    boxes = tensor_of(bounding_boxes["boxes"])
    boxes = crop(boxes, 0, 0, *((height, width) if kind == "xyxy" else (1.0, 1.0)))
    found = {**bounding_boxes, "boxes": boxes}
    if (labels := tensor_of(bounding_boxes.get("labels"))) is not None:
        area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        found["labels"] = torch.where(area > 0, labels, -1)
    return found


def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Boxes as they are in a part of their image.

    Args:
        boxes: (..., 4).
        top: where the part begins, in pixels.
        left: where it begins, likewise.
        height: of the part.
        width: of the part.
        bounding_box_format: "xyxy".

    Returns:
        (..., 4).

    Raises:
        GraphError: another format.

    Example:
        >>> utils.bounding_boxes.crop([[0.0, 0, 10, 20]], top=5, left=2, height=10, width=10)
        tensor([[ 0.,  0.,  8., 10.]])
    """
    choice("crop", "bounding_box_format", bounding_box_format, ("xyxy",))
    left_side, top_side, right, bottom = tensor_of(boxes).split(1, -1)
    sides = [(each - left).clamp(0, width) for each in (left_side, right)]
    levels = [(each - top).clamp(0, height) for each in (top_side, bottom)]
    return torch.cat([sides[0], levels[0], sides[1], levels[1]], -1)


def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Boxes as they are when their image is padded.

    Args:
        boxes: (..., 4).
        top: how many pixels are put above.
        left: how many are put on the left.
        height: not needed.
        width: not needed.
        bounding_box_format: "xyxy".

    Returns:
        (..., 4).

    Raises:
        GraphError: another format.

    Example:
        >>> utils.bounding_boxes.pad([[0.0, 0, 10, 20]], top=5, left=2)
        tensor([[ 2.,  5., 12., 25.]])
    """
    choice("pad", "bounding_box_format", bounding_box_format, ("xyxy",))
    left_side, top_side, right, bottom = tensor_of(boxes).split(1, -1)
    return torch.cat([left_side + left, top_side + top, right + left, bottom + top], -1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: float | None = None,
    center_y: float | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """The boxes around boxes that are turned, moved, scaled and sheared.

    Args:
        boxes: (batch, boxes, 4).
        angle: (batch,), in degrees.
        translate_x: (batch,), a share of the width.
        translate_y: (batch,), a share of the height.
        scale: (batch,).
        shear_x: (batch,), in degrees.
        shear_y: (batch,), in degrees.
        height: of the images.
        width: of the images.
        center_x: the point that stays, a share of the width; 0.5 if None.
        center_y: likewise.
        bounding_box_format: "xyxy".

    Returns:
        (batch, boxes, 4).

    Raises:
        GraphError: another format.

    Example:
        >>> boxes, none, one = torch.tensor([[[0.0, 0.0, 10.0, 20.0]]]), torch.zeros(1), torch.ones(1)
        >>> utils.bounding_boxes.affine_transform(boxes, none, 0.1 * one, none, one, none, none, 101, 101).round()
        tensor([[[10.,  0., 20., 20.]]])
    """
    choice("affine_transform", "bounding_box_format", bounding_box_format, ("xyxy",))
    angle, translate_x, translate_y, scale, shear_x, shear_y = (
        tensor_of(each) for each in (angle, translate_x, translate_y, scale, shear_x, shear_y)
    )
    x = (0.5 if center_x is None else center_x) * (width - 1)
    y = (0.5 if center_y is None else center_y) * (height - 1)
    turn, lean_x, lean_y = (-each * (math.pi / 180) for each in (angle, shear_x, shear_y))
    a = torch.cos(turn - lean_y) / torch.cos(lean_y)
    b = a * torch.tan(lean_x) + torch.sin(turn)
    c = -torch.sin(turn - lean_y) / torch.cos(lean_y)
    d = torch.cos(turn) - c * torch.tan(lean_x)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    shift_x, shift_y = x - translate_x * (width - 1), y - translate_y * (height - 1)
    zeros = torch.zeros_like(a)
    matrix = [a, b, x - a * shift_x - b * shift_y, c, d, y - c * shift_x - d * shift_y, zeros, zeros]
    return around(tensor_of(boxes), torch.stack([*matrix, torch.ones_like(a)], -1).reshape(-1, 3, 3))


def around(boxes: Tensor, matrix: Tensor) -> Tensor:
    """The smallest boxes around what projections make of boxes.

    Args:
        boxes: (..., boxes, 4), as "xyxy".
        matrix: (batch, 3, 3), which takes a point (x, y, 1) to where it comes to lie.
    """
    left, top, right, bottom = boxes.to(matrix.dtype).unbind(-1)
    xs, ys = torch.stack([left, right, left, right], -1), torch.stack([top, top, bottom, bottom], -1)
    points = matrix[:, None] @ torch.stack([xs, ys, torch.ones_like(xs)], -2)
    xs, ys = points[..., 0, :] / points[..., 2, :], points[..., 1, :] / points[..., 2, :]
    return torch.stack([xs.amin(-1), ys.amin(-1), xs.amax(-1), ys.amax(-1)], -1)


def as_tensors(bounding_boxes: Any) -> dict[str, Any]:
    """Boxes and labels as tensors; where lists have differently many boxes, they get empty ones with the label -1.

    Raises:
        GraphError: no dict of boxes and labels.
    """
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= bounding_boxes.keys():
        raise GraphError(
            explain("bounding_boxes", got=shorten(bounding_boxes), expected="a dict of 'boxes' and 'labels'")
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, list) and boxes and isinstance(boxes[0], list) and isinstance(boxes[0][0], list):
        most = max(map(len, boxes))
        boxes = [each + [[0.0] * 4] * (most - len(each)) for each in boxes]
        labels = [list(each) + [-1] * (most - len(each)) for each in labels]
    boxes = tensor_of(boxes)
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
        raise ShapeError(
            explain(
                "bounding_boxes",
                got=f"'boxes' of shape {tuple(boxes.shape)}",
                expected="(batch, boxes, 4), or (boxes, 4) for one image",
            )
        )
    return {
        **bounding_boxes,
        "boxes": boxes if boxes.is_floating_point() else boxes.float(),
        "labels": tensor_of(labels),
    }
