"""Shaping: the values of a tensor in another order or shape, put beside others, cut, repeated or padded."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.ops.conversion import (
    Array,
    Arrays,
    Axis,
    DType,
    Shape,
    axes_of,
    promoted,
    to_dtype,
    to_tensor,
)
from torchfunc.ops.op import op


def _ints(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


@op
def reshape(x: Array, newshape: Shape) -> Tensor:
    """The values in a new shape, in which one size may be -1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        newshape: the sizes; one may be -1.

    Returns:
        A tensor of the new shape.

    Example:
        >>> ops.reshape([1, 2, 3, 4], (2, -1))
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    return to_tensor(x).reshape(_ints(newshape))


@op
def ravel(x: Array) -> Tensor:
    """The values in one dimension.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of one axis.

    Example:
        >>> ops.ravel([[1, 2], [3, 4]])
        tensor([1, 2, 3, 4], dtype=torch.int32)
    """
    return to_tensor(x).reshape(-1)


@op
def transpose(x: Array, axes: Axis = None) -> Tensor:
    """The axes in another order; turned round where none is given.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axes: the axes.

    Returns:
        A tensor with its axes in the new order.

    Example:
        >>> ops.transpose([[1, 2], [3, 4]])
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    x = to_tensor(x)
    return x.permute(*(range(x.ndim)[::-1] if axes is None else _ints(axes)))


@op
def moveaxis(x: Array, source: Shape, destination: Shape) -> Tensor:
    """Axes moved to other places; the rest keep their order.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        source: the axes that move.
        destination: where they go.

    Returns:
        A tensor with its axes in the new order.

    Example:
        >>> ops.moveaxis(ops.ones((2, 3, 4)), 0, -1).shape
        torch.Size([3, 4, 2])
    """
    return to_tensor(x).movedim(_ints(source), _ints(destination))


@op
def swapaxes(x: Array, axis1: int, axis2: int) -> Tensor:
    """Two axes in each other's place.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis1: the first axis.
        axis2: the second axis.

    Returns:
        A tensor with its axes in the new order.

    Example:
        >>> ops.swapaxes(ops.ones((2, 3, 4)), 0, 2).shape
        torch.Size([4, 3, 2])
    """
    return to_tensor(x).swapaxes(axis1, axis2)


@op
def expand_dims(x: Array, axis: Shape) -> Tensor:
    """New axes of size 1, at their places in the result.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: where the new axes stand.

    Returns:
        A tensor with one axis more for each in `axis`.

    Example:
        >>> ops.expand_dims([1, 2], axis=1)
        tensor([[1],
                [2]], dtype=torch.int32)
    """
    x, new = to_tensor(x), _ints(axis)
    for each in sorted(axes_of(new, x.ndim + len(new))):
        x = x.unsqueeze(each)
    return x


@op
def squeeze(x: Array, axis: Axis = None) -> Tensor:
    """Without the axes of size 1, or without those that are named.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axes of size 1 that go; None stands for all of them.

    Returns:
        A tensor without those axes.

    Raises:
        ShapeError: a named axis has another size.

    Example:
        >>> ops.squeeze([[[1], [2]]])
        tensor([1, 2], dtype=torch.int32)
    """
    x = to_tensor(x)
    if axis is None:
        return x.squeeze()
    for each in axes_of(axis, x.ndim):
        if x.shape[each] != 1:
            expected = f"axes of size 1, but axis {each} has {x.shape[each]}"
            raise ShapeError(explain("squeeze", got=f"axis={axis}", expected=expected, fix="axis=None"))
    return x.squeeze(axes_of(axis, x.ndim))


@op
def broadcast_to(x: Array, shape: Shape) -> Tensor:
    """The values repeated to a shape, without copies.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        shape: the sizes of the result.

    Returns:
        A tensor of that shape.

    Example:
        >>> ops.broadcast_to([1, 2], (2, 2))
        tensor([[1, 2],
                [1, 2]], dtype=torch.int32)
    """
    return to_tensor(x).broadcast_to(_ints(shape))


@op
def concatenate(xs: Arrays, axis: int | None = 0) -> Tensor:
    """Tensors one after the other along an axis; flattened first where it is None.

    Args:
        xs: a list of tensors.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor, as long along `axis` as all together.

    Example:
        >>> ops.concatenate([[[1, 2]], [[3, 4]]], axis=1)
        tensor([[1, 2, 3, 4]], dtype=torch.int32)
    """
    found = promoted(*xs)
    return torch.cat([each.reshape(-1) for each in found] if axis is None else found, axis or 0)


@op
def stack(x: Arrays, axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor with one axis more.

    Example:
        >>> ops.stack([[1, 2], [3, 4]], axis=1)
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    return torch.stack(promoted(*x), axis)


@op
def hstack(xs: Arrays) -> Tensor:
    """Tensors beside each other: along axis 1, of vectors along axis 0.

    Args:
        xs: a list of tensors.

    Returns:
        A tensor.

    Example:
        >>> ops.hstack([[1, 2], [3]])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.hstack(promoted(*xs))


@op
def vstack(xs: Arrays) -> Tensor:
    """Tensors below each other: along axis 0, vectors as rows.

    Args:
        xs: a list of tensors.

    Returns:
        A tensor of two axes or more.

    Example:
        >>> ops.vstack([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    return torch.vstack(promoted(*xs))


@op
def dstack(xs: Arrays) -> Tensor:
    """Tensors behind each other: along axis 2.

    Args:
        xs: a list of tensors.

    Returns:
        A tensor of three axes or more.

    Example:
        >>> ops.dstack([[1, 2], [3, 4]]).shape
        torch.Size([1, 2, 2])
    """
    return torch.dstack(promoted(*xs))


@op
def append(x1: Array, x2: Array, axis: int | None = None) -> Tensor:
    """One tensor after the other along an axis; flattened first where none is given.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        A tensor; of one axis where `axis` is None.

    Example:
        >>> ops.append([1, 2], [3])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    found = promoted(x1, x2)
    return torch.cat([each.reshape(-1) for each in found] if axis is None else found, axis or 0)


def _places(indices_or_sections: Any) -> Any:
    """Where to cut: a number of parts, or the indices at which parts begin."""
    if isinstance(indices_or_sections, int):
        return indices_or_sections
    found = indices_or_sections
    return found.tolist() if hasattr(found, "tolist") else list(found)


@op
def split(x: Array, indices_or_sections: Shape, axis: int = 0) -> Any:
    """A list of parts: so many of one size, or those that begin at indices.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices_or_sections: how many parts there are, or the places where they begin.
        axis: the axis, counted from the end where negative.

    Returns:
        A list of tensors.

    Raises:
        ShapeError: parts of one size do not fill the axis.

    Example:
        >>> ops.split([1, 2, 3, 4], 2)
        [tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32)]
    """
    x, places = to_tensor(x), _places(indices_or_sections)
    if isinstance(places, int) and (places < 1 or x.shape[axis] % places):
        got = f"{places} parts of an axis of {x.shape[axis]}"
        raise ShapeError(explain("split", got=got, expected="parts of one size", fix="array_split"))
    return list(x.tensor_split(places, axis))


@op
def array_split(x: Array, indices_or_sections: Shape, axis: int = 0) -> Any:
    """As `split`; where parts of one size do not fill the axis the first are longer by one.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices_or_sections: how many parts there are, or the places where they begin.
        axis: the axis, counted from the end where negative.

    Returns:
        A list of tensors.

    Example:
        >>> ops.array_split([1, 2, 3], 2)
        [tensor([1, 2], dtype=torch.int32), tensor([3], dtype=torch.int32)]
    """
    return list(to_tensor(x).tensor_split(_places(indices_or_sections), axis))


@op
def hsplit(x: Array, indices_or_sections: Shape) -> Any:
    """`split` along axis 1, of a vector along axis 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices_or_sections: how many parts there are, or the places where they begin.

    Returns:
        A list of tensors.

    Example:
        >>> ops.hsplit([[1, 2], [3, 4]], 2)[0]
        tensor([[1],
                [3]], dtype=torch.int32)
    """
    x = to_tensor(x)
    return split(x, _places(indices_or_sections), min(1, x.ndim - 1))


@op
def vsplit(x: Array, indices_or_sections: Shape) -> Any:
    """`split` along axis 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices_or_sections: how many parts there are, or the places where they begin.

    Returns:
        A list of tensors.

    Example:
        >>> ops.vsplit([[1, 2], [3, 4]], 2)[0]
        tensor([[1, 2]], dtype=torch.int32)
    """
    return split(x, _places(indices_or_sections), 0)


@op
def dsplit(x: Array, indices_or_sections: Shape) -> Any:
    """`split` along axis 2.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices_or_sections: how many parts there are, or the places where they begin.

    Returns:
        A list of tensors.

    Example:
        >>> ops.dsplit(ops.ones((2, 3, 4)), 2)[0].shape
        torch.Size([2, 3, 2])
    """
    return split(x, _places(indices_or_sections), 2)


@op
def repeat(x: Array, repeats: Array, axis: int | None = None) -> Tensor:
    """Each value or row repeated: all so often, or each as often as its number says.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        repeats: how often, a number or one for each.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        A tensor; of one axis where `axis` is None.

    Example:
        >>> ops.repeat([1, 2], 2)
        tensor([1, 1, 2, 2], dtype=torch.int32)
    """
    x = to_tensor(x)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axes_of(axis, x.ndim)[0])
    if isinstance(repeats, int):
        wide = x.unsqueeze(axis + 1)
        sizes = [*wide.shape]
        sizes[axis + 1] = repeats
        return wide.expand(sizes).flatten(axis, axis + 1)
    times = to_tensor(repeats).to(x.device).long()
    if isinstance(repeats, (list, tuple)) and times.numel() > 1:
        return x.repeat_interleave(times, axis, output_size=sum(repeats))
    if times.numel() == 1 and not times.is_meta:
        return repeat(x, int(times), axis)
    return x.repeat_interleave(times, axis)


@op
def tile(x: Array, repeats: Shape) -> Tensor:
    """The whole tensor repeated along each axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        repeats: how often, a number or one for each.

    Returns:
        A tensor.

    Example:
        >>> ops.tile([1, 2], 2)
        tensor([1, 2, 1, 2], dtype=torch.int32)
    """
    return to_tensor(x).tile(_ints(repeats.tolist() if isinstance(repeats, Tensor) else repeats))


@op
def pad(x: Array, pad_width: Array, mode: str = "constant", constant_values: float | None = None) -> Tensor:
    """Values before and after each axis.

    Args:
        x: a tensor.
        pad_width: one number for all sides, (before, after) for all axes, or one such pair an axis.
        mode: "constant"; "reflect" (mirrored at the edge's centre), "symmetric" (mirrored at the edge) or
            "edge" (its last value).
        constant_values: the value; 0 if None.

    Returns:
        A tensor, longer at both ends of its axes.

    Raises:
        GraphError: another mode, or a constant beside one.
        ShapeError: other pairs than axes.

    Example:
        >>> ops.pad([1, 2], (1, 2))
        tensor([0, 1, 2, 0, 0], dtype=torch.int32)
    """
    x = to_tensor(x)
    modes = ("constant", "reflect", "symmetric", "edge")
    if mode not in modes or (constant_values is not None and mode != "constant"):
        got = f"mode={mode!r}" + ("" if constant_values is None else f", constant_values={constant_values}")
        expected = f"one of {', '.join(modes)}, and a constant beside 'constant' alone"
        raise GraphError(explain("pad", got=got, expected=expected, fix="mode='constant'"))
    sides = _sides(pad_width, x.ndim)
    if mode == "constant":
        flat = [size for pair in reversed(sides) for size in pair]
        return torch.nn.functional.pad(x, flat, value=constant_values or 0)
    for axis, (before, after) in enumerate(sides):
        if before or after:
            x = x.index_select(axis, _mirrored(x.shape[axis], before, after, mode).to(x.device))
    return x


def _sides(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    found = pad_width.tolist() if hasattr(pad_width, "tolist") else pad_width
    if isinstance(found, int):
        return [(found, found)] * ndim
    pairs = [_ints(each) for each in found] if not isinstance(found[0], int) else [_ints(found)]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim or any(len(pair) != 2 for pair in pairs):
        expected = f"(before, after) for each of {ndim} axes"
        raise ShapeError(explain("pad_width", got=repr(pad_width), expected=expected, fix="pad_width=1"))
    return [(before, after) for before, after in pairs]


def _mirrored(size: int, before: int, after: int, mode: str) -> Tensor:
    """Which places of an axis stand at the places of the padded one."""
    places = torch.arange(-before, size + after)
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "symmetric":
        places = places.remainder(2 * size)
        return torch.where(places < size, places, 2 * size - 1 - places)
    period = max(2 * (size - 1), 1)
    places = places.remainder(period)
    return torch.where(places < size, places, period - places)


@op
def roll(x: Array, shift: Shape, axis: Axis = None) -> Tensor:
    """Values moved along axes, from the end to the begin; along all in one where none is given.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        shift: how far.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.roll([1, 2, 3], 1)
        tensor([3, 1, 2], dtype=torch.int32)
    """
    x = to_tensor(x)
    return x.roll(_ints(shift), None if axis is None else _ints(axis))  # type: ignore[arg-type]


@op
def rot90(array: Array, k: int = 1, axes: Shape = (0, 1)) -> Tensor:
    """A plane turned by k quarters, from its first axis to its second.

    Args:
        array: the values.
        k: how often by a quarter.
        axes: the axes.

    Returns:
        A tensor that is turned.

    Raises:
        ShapeError: not two different axes that the tensor has.

    Example:
        >>> ops.rot90([[1, 2], [3, 4]])
        tensor([[2, 4],
                [1, 3]], dtype=torch.int32)
    """
    x = to_tensor(array)
    if len(_ints(axes)) != 2 or len({*axes_of(axes, x.ndim)}) != 2:
        raise ShapeError(explain("rot90", got=f"axes={axes}", expected="two axes", fix="axes=(0, 1)"))
    return x.rot90(k, axes_of(axes, x.ndim))


@op
def flip(x: Array, axis: Axis = None) -> Tensor:
    """Axes turned round; all where none is given.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.flip([1, 2, 3])
        tensor([3, 2, 1], dtype=torch.int32)
    """
    x = to_tensor(x)
    return x.flip(axes_of(axis, x.ndim))


@op
def fliplr(x: Array) -> Tensor:
    """Axis 1 turned round.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.fliplr([[1, 2], [3, 4]])
        tensor([[2, 1],
                [4, 3]], dtype=torch.int32)
    """
    return to_tensor(x).flip(1)


@op
def flipud(x: Array) -> Tensor:
    """Axis 0 turned round.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.flipud([[1, 2], [3, 4]])
        tensor([[3, 4],
                [1, 2]], dtype=torch.int32)
    """
    return to_tensor(x).flip(0)


@op
def view(x: Array, dtype: DType = None) -> Tensor:
    """The same memory read as another dtype.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype as which the memory is read.

    Returns:
        A tensor over the same memory.

    Example:
        >>> ops.view(torch.tensor([1.0]), "int32")
        tensor([1065353216], dtype=torch.int32)
    """
    return to_tensor(x).view(to_dtype(dtype))


def ndim(x: Any) -> int:
    """How many axes there are.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A whole number.

    Example:
        >>> ops.ndim([[1, 2]])
        2
    """
    return len(x.shape) if hasattr(x, "shape") else to_tensor(x).ndim


def size(x: Any) -> Any:
    """How many values there are, as a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A whole number.

    Example:
        >>> ops.size([[1, 2]])
        2
    """
    return prod(x.shape if hasattr(x, "shape") else to_tensor(x).shape)


@op
def diag(x: Array, k: int = 0) -> Tensor:
    """A vector as the diagonal k of a matrix, or the diagonal k of a matrix as a vector.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        k: which diagonal: 0 is the main one, 1 the one above it.

    Returns:
        The matrix of a vector, or the diagonal of a matrix.

    Example:
        >>> ops.diag([1, 2])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return to_tensor(x).diag(k)


@op
def diagflat(x: Array, k: int = 0) -> Tensor:
    """All values as the diagonal k of a matrix.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        k: which diagonal: 0 is the main one, 1 the one above it.

    Returns:
        A square matrix.

    Example:
        >>> ops.diagflat([[1, 2]])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return to_tensor(x).diagflat(k)


@op
def diagonal(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        offset: which diagonal: 0 is the main one, 1 the one above it.
        axis1: the first axis.
        axis2: the second axis.

    Returns:
        A tensor whose last axis is the diagonal.

    Example:
        >>> ops.diagonal([[1, 2], [3, 4]])
        tensor([1, 4], dtype=torch.int32)
    """
    return to_tensor(x).diagonal(offset, axis1, axis2)


@op
def tril(x: Array, k: int = 0) -> Tensor:
    """Zeros above the diagonal k.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        k: which diagonal: 0 is the main one, 1 the one above it.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.tril([[1, 2], [3, 4]])
        tensor([[1, 0],
                [3, 4]], dtype=torch.int32)
    """
    return to_tensor(x).tril(k)


@op
def triu(x: Array, k: int = 0) -> Tensor:
    """Zeros below the diagonal k.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        k: which diagonal: 0 is the main one, 1 the one above it.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.triu([[1, 2], [3, 4]])
        tensor([[1, 2],
                [0, 4]], dtype=torch.int32)
    """
    return to_tensor(x).triu(k)


@op
def copy(x: Array) -> Tensor:
    """The same values in memory of their own.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.copy([1, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    return to_tensor(x).clone()
