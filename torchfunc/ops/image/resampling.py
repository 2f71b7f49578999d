"""Resampling: images in another size or place, and the patches of images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import GraphError, ShapeError, UnknownNameError, explain
from torchfunc.ops.conversion import Array, Shape, result_type, tensors, to_tensor
from torchfunc.ops.image.color_spaces import blurred
from torchfunc.ops.layout import batch_of, each, inward, is_last, outward
from torchfunc.ops.nn.sliding import same_sides
from torchfunc.ops.op import op
from torchfunc.ops.seeding import SeedGenerator, generator

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}
_ORDERS = {"nearest": 0, "bilinear": 1}


def _known(what: str, name: Any, known: Any) -> Any:
    if name not in known:
        raise UnknownNameError(what, name, known)
    return known[name]


@op
def resize(
    images: Array,
    size: Shape,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another (height, width), cropped or padded to its ratio first where that is asked for.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        size: the height and the width.
        interpolation: "bilinear", "nearest" and others that the op lists in its error.
        antialias: whether it is smoothed where it gets smaller.
        crop_to_aspect_ratio: whether what stands out is cut, so that nothing is stretched.
        pad_to_aspect_ratio: whether what lacks is filled, so that nothing is stretched.
        fill_mode: what lies outside: "constant", "nearest", "reflect", "wrap" or "mirror".
        fill_value: the value that fills what is empty.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The images in the new size.

    Raises:
        GraphError: both cropped and padded, or an unknown interpolation.

    Example:
        >>> ops.image.resize(ops.ones((1, 4, 4, 3)), (8, 6)).shape
        torch.Size([1, 8, 6, 3])
    """
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise GraphError("resize: an image is cropped or padded to a ratio, not both. Fix: leave one out.")
    mode, (height, width) = _known("interpolation", interpolation, _MODES), each(size, 2, "size")
    images = to_tensor(images)
    batch, alone = batch_of(images)
    x = inward(batch, data_format)
    x = x if x.dtype in (torch.float32, torch.float64) else x.float()
    rows, columns = x.shape[2:]
    if crop_to_aspect_ratio:
        new = max(min(rows, columns * height // width), 1), max(min(columns, rows * width // height), 1)
        top, left = (rows - new[0]) // 2, (columns - new[1]) // 2
        x = x[..., top : top + new[0], left : left + new[1]]
    elif pad_to_aspect_ratio:
        down = (max(rows, columns * height // width) - rows) // 2
        right = (max(columns, rows * width // height) - columns) // 2
        x = F.pad(x, (right, right, down, down), value=fill_value)
    smooth = interpolation != "nearest"
    x = F.interpolate(
        x, (height, width), mode=mode, align_corners=False if smooth else None, antialias=antialias and smooth
    )
    if images.dtype is torch.uint8:
        x = x.clamp(0, 255)
    x = outward(x if images.is_floating_point() else x.round(), data_format).to(images.dtype)
    return x.squeeze(0) if alone else x


def _mirrored(index: Tensor, size: int) -> Tensor:
    last = size - 1
    return ((index + last) % max(2 * last, 1) - last).abs()


_FIXES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "constant": lambda index, size: index.clamp(0, size - 1),
    "nearest": lambda index, size: index.clamp(0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirrored,
    "reflect": lambda index, size: (_mirrored(2 * index + 1, 2 * size + 1) - 1) // 2,
}


def _corners(coordinate: Tensor, order: int) -> list[tuple[Tensor, Any]]:
    """The whole places around a coordinate, with the weight of each."""
    if order == 0:
        return [((coordinate.round() if coordinate.is_floating_point() else coordinate).long(), 1)]
    low = coordinate.floor() if coordinate.is_floating_point() else coordinate
    share = coordinate - low
    return [(low.long(), 1 - share), (low.long() + 1, share)]


def sampled(
    values: Tensor,
    coordinates: Sequence[Tensor],
    order: int,
    fill_mode: str,
    fill_value: float,
    lead: Any = (),
) -> Tensor:
    """Values at coordinates of the axes after those that `lead` indexes; what axes follow is taken whole."""
    fix = _known("fill_mode", fill_mode, _FIXES)
    sizes = values.shape[len(lead) :]
    rest = (1,) * (len(sizes) - len(coordinates))
    total: Any = 0
    ways = [_corners(coordinate, order) for coordinate in coordinates]
    for corner in itertools.product(*ways):
        index = tuple(fix(place, size) for (place, _), size in zip(corner, sizes, strict=False))
        part = values[(*lead, *index)]
        if fill_mode == "constant":
            inside = torch.ones_like(index[0], dtype=torch.bool)
            for (place, _), size in zip(corner, sizes, strict=False):
                inside = inside & (place >= 0) & (place < size)
            part = torch.where(inside.reshape(*inside.shape, *rest), part, fill_value)
        weight = math.prod(share for _, share in corner)
        total = (
            total + (weight.reshape(*weight.shape, *rest) if isinstance(weight, Tensor) else weight) * part
        )
    exact = values.is_floating_point() or not total.is_floating_point()
    found: Tensor = (total if exact else total.round()).to(values.dtype)
    return found


@op
def map_coordinates(
    inputs: Array, coordinates: Array, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Tensor:
    """Values at coordinates, of which there is a tensor for each axis: (n, ...) to (...).

    Args:
        inputs: the values.
        coordinates: the places: a row for each axis.
        order: 0 takes the nearest, 1 goes straight between two.
        fill_mode: what lies outside: "constant", "nearest", "reflect", "wrap" or "mirror".
        fill_value: the value that fills what is empty.

    Returns:
        The values at these places.

    Raises:
        ShapeError: another number of coordinates than of axes; GraphError: an order that is neither 0 nor 1.

    Example:
        >>> ops.image.map_coordinates([1.0, 3.0], [[0.5]], order=1)
        tensor([2.])
    """
    inputs = to_tensor(inputs)
    places = to_tensor(coordinates).unbind(0)
    if len(places) != inputs.ndim:
        fix = "coordinates of shape (inputs.ndim, ...)"
        got = f"{len(places)} coordinates for {inputs.ndim} axes"
        raise ShapeError(explain("map_coordinates", got=got, expected="one for each axis", fix=fix))
    if order not in (0, 1):
        raise GraphError(
            explain("order", got=repr(order), expected="0 (nearest) or 1 (linear)", fix="order=1")
        )
    return sampled(inputs, places, order, fill_mode, fill_value)


def _grid(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(size, device=like.device, dtype=like.dtype) for size in (height, width))
    return rows.unsqueeze(1).expand(height, width), columns.expand(height, width)


def _moved(
    images: Tensor,
    places: Callable[[int, int], tuple[Tensor, Tensor]],
    order: int,
    fill_mode: str,
    fill_value: float,
    data_format: str | None,
) -> Tensor:
    """Images whose pixels come from other places: `places(height, width)` gives rows and columns of a batch."""
    batch, alone = batch_of(images)
    x = batch if is_last(data_format) else batch.movedim(1, -1)
    rows, columns = places(x.shape[1], x.shape[2])
    count = x.shape[0]
    lead = torch.arange(count, device=x.device).reshape(-1, 1, 1).expand(count, *rows.shape[1:])
    pairs = [place.expand(count, *place.shape[1:]) for place in (rows, columns)]
    found = sampled(x, pairs, order, fill_mode, fill_value, (lead,))
    found = found if is_last(data_format) else found.movedim(-1, 1)
    return found.squeeze(0) if alone else found


def _from(matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from: (batch, 8) of a projective map, for (x, y) in pixels."""
    y, x = _grid(height, width, matrix)
    a0, a1, a2, b0, b1, b2, c0, c1 = (each.reshape(-1, 1, 1) for each in matrix.unbind(-1))
    scale = c0 * x + c1 * y + 1
    return (b0 * x + b1 * y + b2) / scale, (a0 * x + a1 * y + a2) / scale


@op
def affine_transform(
    images: Array,
    transform: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixel (x, y) comes from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        transform: (8,) or (batch, 8): a0, a1, a2, b0, b1, b2, c0, c1.
        interpolation: "bilinear", "nearest" and others that the op lists in its error.
        fill_mode: what lies outside: "constant", "nearest", "reflect", "wrap" or "mirror".
        fill_value: the value that fills what is empty.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The transformed images.

    Raises:
        ShapeError: a transform of another shape.

    Example:
        >>> ops.image.affine_transform(ops.ones((1, 4, 4, 3)), [[1.0, 0, 0, 0, 1, 0, 0, 0]]).shape
        torch.Size([1, 4, 4, 3])
    """
    images, matrix = tensors(images, transform)
    matrix = matrix.unsqueeze(0) if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or matrix.shape[1] != 8:
        got = f"shape {tuple(matrix.shape)}"
        raise ShapeError(
            explain("transform", got=got, expected="(8,) or (batch, 8)", fix="transform.reshape(-1, 8)")
        )
    order = _known("interpolation", interpolation, _ORDERS)
    return _moved(images, lambda h, w: _from(matrix, h, w), order, fill_mode, fill_value, data_format)


@op
def perspective_transform(
    images: Array,
    start_points: Array,
    end_points: Array,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen so that four points of theirs come to lie at four others: (4, 2) or (batch, 4, 2) of (x, y).

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        start_points: four corners of each image.
        end_points: where the four corners come to lie.
        interpolation: "bilinear", "nearest" and others that the op lists in its error.
        fill_value: the value that fills what is empty.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The transformed images.

    Raises:
        ShapeError: points that are not four of each image.

    Example:
        >>> corners = [[[0.0, 0], [0, 3], [3, 0], [3, 3]]]
        >>> ops.image.perspective_transform(ops.ones((1, 4, 4, 3)), corners, corners).shape
        torch.Size([1, 4, 4, 3])
    """
    images, start, end = tensors(images, start_points, end_points)
    if start.shape != end.shape or start.ndim not in (2, 3) or tuple(start.shape[-2:]) != (4, 2):
        got = f"shapes {tuple(start.shape)} and {tuple(end.shape)}"
        fix = "[[0, 0], [0, h], [w, 0], [w, h]]"
        raise ShapeError(explain("points", got=got, expected="two of (4, 2) or (batch, 4, 2)", fix=fix))
    kind = result_type(images.dtype, torch.float32)
    start, end = (each.to(kind).reshape(-1, 4, 2) for each in (start, end))
    ones, zeros = torch.ones_like(end[..., :1]), torch.zeros_like(end)
    projected = start.unsqueeze(-1) * end.unsqueeze(-2)
    rows_x = torch.cat((end, ones, zeros, zeros[..., :1], -projected[..., 0, :]), -1)
    rows_y = torch.cat((zeros, zeros[..., :1], end, ones, -projected[..., 1, :]), -1)
    system = torch.cat((rows_x, rows_y), 1)
    matrix = torch.linalg.solve(system, torch.cat((start[..., 0], start[..., 1]), 1))
    order = _known("interpolation", interpolation, _ORDERS)
    return _moved(images, lambda h, w: _from(matrix, h, w), order, "constant", fill_value, data_format)


@op
def elastic_transform(
    images: Array,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | SeedGenerator | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixels come from places nearby, drawn at random and smoothed (Simard et al. 2003).

    Args:
        alpha: how far they come.
        sigma: the deviation of the noise, and of the window of Gauss that smooths it.
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        interpolation: "bilinear", "nearest" and others that the op lists in its error.
        fill_mode: what lies outside: "constant", "nearest", "reflect", "wrap" or "mirror".
        fill_value: the value that fills what is empty.
        seed: a number or a `SeedGenerator`; None draws from the global one.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The transformed images.

    Example:
        >>> ops.image.elastic_transform(ops.ones((1, 4, 4, 3)), seed=0).shape
        torch.Size([1, 4, 4, 3])
    """
    images = to_tensor(images)
    kind = result_type(images.dtype, torch.float32)
    count = images.shape[0] if images.ndim == 4 else 1
    size = int(6 * sigma) | 1

    def places(height: int, width: int) -> tuple[Tensor, Tensor]:
        source = generator(seed, images.device)
        noise = (
            torch.randn((count, 2, height, width), dtype=kind, device=images.device, generator=source) * sigma
        )
        moved = alpha * blurred(noise, (size, size), (sigma, sigma))
        y, x = _grid(height, width, moved)
        return y + moved[:, 1], x + moved[:, 0]

    order = _known("interpolation", interpolation, _ORDERS)
    return _moved(images, places, order, fill_mode, fill_value, data_format)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x >= 2, 0.0, torch.where(x >= 1, far, near))


def _lanczos(radius: int) -> Callable[[Tensor], Tensor]:
    def kernel(x: Tensor) -> Tensor:
        return torch.where(x > radius, 0.0, torch.sinc(x) * torch.sinc(x / radius))

    return kernel


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


@op
def scale_and_translate(
    images: Array,
    output_shape: Shape,
    scale: Array,
    translation: Array,
    spatial_dims: Shape,
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Images scaled and moved along axes: a place p of the result comes from (p - translation) / scale.

    Args:
        scale: one for each of `spatial_dims`; as `translation` is.
        method: "linear", "cubic", "lanczos3" or "lanczos5".
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        output_shape: the sizes of the result.
        antialias: whether it is smoothed where it gets smaller.

    Returns:
        A tensor of `output_shape`.

    Example:
        >>> x = ops.ones((4, 4))
        >>> ops.image.scale_and_translate(x, (8, 8), [2.0, 2.0], [0.0, 0.0], (0, 1), "linear").shape
        torch.Size([8, 8])
    """
    images, scales, moves = tensors(images, scale, translation)
    kernel, sizes = _known("method", method, _KERNELS), each(output_shape, images.ndim, "output_shape")
    kind = result_type(scales.dtype, moves.dtype, torch.float32)
    x = images if images.is_floating_point() else images.float()
    dims = (spatial_dims,) if isinstance(spatial_dims, int) else spatial_dims
    for place, dim in enumerate(dims):
        weights = _weights(
            x.shape[dim], sizes[dim], scales[place].to(kind), moves[place].to(kind), kernel, antialias
        )
        x = torch.tensordot(x, weights.to(x.dtype), ([dim], [0])).movedim(-1, dim)
    if images.is_floating_point():
        return x
    return torch.minimum(torch.maximum(x.round(), images.min()), images.max()).to(images.dtype)


def _weights(
    old: int, new: int, scale: Tensor, move: Tensor, kernel: Callable[[Tensor], Tensor], antialias: bool
) -> Tensor:
    """What each of the old places gives to each of the new ones, (old, new)."""
    where = (torch.arange(new, dtype=scale.dtype, device=scale.device) + 0.5 - move) / scale - 0.5
    own = torch.arange(old, dtype=scale.dtype, device=scale.device)
    wide = (1 / scale).clamp(min=1) if antialias else 1.0
    weights = kernel((where - own.unsqueeze(1)).abs() / wide)
    total = weights.sum(0, keepdim=True)
    enough = total.abs() > 1000 * torch.finfo(torch.float32).eps
    shares = torch.where(enough, weights / torch.where(enough, total, 1.0), 0.0)
    return torch.where((where >= -0.5) & (where <= old - 0.5), shares, 0.0)


def _patches(
    images: Array,
    size: Any,
    strides: Any,
    dilation_rate: Any,
    padding: str,
    data_format: str | None,
    rank: int,
) -> Tensor:
    batch, alone = batch_of(to_tensor(images), rank)
    x, sizes = inward(batch, data_format), each(size, rank, "size")
    steps, rates = each(strides or sizes, rank, "strides"), each(dilation_rate, rank, "dilation_rate")
    windows = [(length - 1) * rate + 1 for length, rate in zip(sizes, rates, strict=True)]
    if padding == "same":
        x = F.pad(x, same_sides(x.shape[2:], windows, steps))
    for axis, (window, step, rate) in enumerate(zip(windows, steps, rates, strict=True)):
        x = x.unfold(2 + axis, window, step)[..., ::rate]
    places = x.movedim(1, -1).flatten(1 + rank).movedim(-1, 1)
    found = outward(places, data_format)
    return found.squeeze(0) if alone else found


@op
def extract_patches(
    images: Array,
    size: Shape,
    strides: Shape | None = None,
    dilation_rate: Shape = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of images, or of volumes where `size` has three numbers, each laid out as channels.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        size: the height and the width of a patch.
        strides: how far the window moves, a number or one for each axis.
        dilation_rate: how far apart the values lie that a window sees.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The patches (batch, rows, columns, values of a patch).

    Example:
        >>> ops.image.extract_patches(ops.ones((1, 4, 4, 3)), (2, 2)).shape
        torch.Size([1, 2, 2, 12])
    """
    rank = 2 if isinstance(size, int) else len(size)
    return _patches(images, size, strides, dilation_rate, padding, data_format, rank)


@op
def extract_patches_3d(
    volumes: Array,
    size: Shape,
    strides: Shape | None = None,
    dilation_rate: Shape = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of volumes, each laid out as channels.

    Args:
        volumes: one volume or a batch of them, (..., depth, height, width, channels).
        size: the depth, the height and the width of a patch.
        strides: how far the window moves, a number or one for each axis.
        dilation_rate: how far apart the values lie that a window sees.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The patches, each in a row.

    Example:
        >>> ops.image.extract_patches_3d(ops.ones((1, 4, 4, 4, 1)), (2, 2, 2)).shape
        torch.Size([1, 2, 2, 2, 8])
    """
    return _patches(volumes, size, strides, dilation_rate, padding, data_format, 3)


def _sides(name: str, length: int, before: int | None, after: int | None, rest: int) -> tuple[int, int]:
    """Both sides, where one or neither has been left to be worked out from what they are in all.

    Raises:
        GraphError: a side below 0.
    """
    first = rest - (after or 0) if before is None else before
    last = rest - first if after is None else after
    if first < 0 or last < 0:
        fix = "another target, or smaller sides"
        raise GraphError(
            explain(name, got=f"{first} and {last} of {length}", expected="sides of at least 0", fix=fix)
        )
    return first, last


def _two_of_three(name: str, *values: int | None) -> None:
    if [*values].count(None) != 1:
        expected = "two of both sides and a target, the third left out"
        raise GraphError(explain(name, got=repr(values), expected=expected, fix="target_height=None"))


@op
def pad_images(
    images: Array,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with zeros around: two of both sides and the target are said, and the third follows.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        top_padding: rows that come at the top.
        left_padding: columns that come at the left.
        bottom_padding: rows that come at the bottom.
        right_padding: columns that come at the right.
        target_height: the height of the result.
        target_width: the width of the result.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The padded images.

    Raises:
        GraphError: more or fewer are said, or one would be below 0.

    Example:
        >>> ops.image.pad_images(ops.ones((1, 2, 2, 3)), 1, 1, 0, 0).shape
        torch.Size([1, 3, 3, 3])
    """
    return _framed(
        "pad_images", images, (top_padding, bottom_padding, target_height),
        (left_padding, right_padding, target_width), 1, data_format,
    )  # fmt: skip


@op
def crop_images(
    images: Array,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without their edges: two of both sides and the target are said, and the third follows.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        top_cropping: rows that go at the top.
        left_cropping: columns that go at the left.
        bottom_cropping: rows that go at the bottom.
        right_cropping: columns that go at the right.
        target_height: the height of the result.
        target_width: the width of the result.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The cropped images.

    Raises:
        GraphError: more or fewer are said, or one would be below 0.

    Example:
        >>> ops.image.crop_images(ops.ones((1, 4, 4, 3)), 1, 1, 1, 0).shape
        torch.Size([1, 2, 3, 3])
    """
    return _framed(
        "crop_images", images, (top_cropping, bottom_cropping, target_height),
        (left_cropping, right_cropping, target_width), -1, data_format,
    )  # fmt: skip


def _framed(name: str, images: Array, rows: Any, columns: Any, sign: int, data_format: str | None) -> Tensor:
    x = to_tensor(images)
    batch_of(x)
    axes = (-3, -2) if is_last(data_format) else (-2, -1)
    sides: list[int] = [] if axes[1] == -1 else [0, 0]
    for axis, (before, after, target) in reversed([*zip(axes, (rows, columns), strict=True)]):
        _two_of_three(name, before, after, target)
        length = x.shape[axis]
        rest = before + after if target is None else (target - length) * sign
        both = _sides(name, length, before, after, rest)
        if sign < 0 and sum(both) > length:
            raise GraphError(
                explain(name, got=f"{both} of {length}", expected="some of it left", fix="smaller sides")
            )
        sides += [sign * side for side in both]
    return F.pad(x, sides)
