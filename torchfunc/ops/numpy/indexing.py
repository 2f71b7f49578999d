"""Indexing: values chosen by place, by condition or by rank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.ops.conversion import Array, Arrays, Shape, axes_of, promoted, tensors, to_tensor
from torchfunc.ops.op import op


def _counted_from_the_begin(indices: Tensor, size: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


@op
def take(x: Array, indices: Array, axis: int | None = None) -> Tensor:
    """The slices of an axis at indices, of any shape; of the flattened tensor where no axis is given.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices: whole numbers, the places.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        The values taken: the shape of `indices` stands where `axis` stood.

    Example:
        >>> ops.take([[1, 2], [3, 4]], [1, 0], axis=0)
        tensor([[3, 4],
                [1, 2]], dtype=torch.int32)
    """
    x, indices = tensors(x, indices)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axes_of(axis, x.ndim)[0])
    places = _counted_from_the_begin(indices, x.shape[axis])
    found = x.index_select(axis, places.reshape(-1))
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@op
def take_along_axis(x: Array, indices: Array, axis: int | None = None) -> Tensor:
    """For each place of `indices` the value at that index of an axis; of the flattened tensor without one.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        indices: whole numbers, the places.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        The values taken, of the shape of `indices`.

    Example:
        >>> ops.take_along_axis([[3, 1, 2]], [[2, 0]], axis=1)
        tensor([[2, 3]], dtype=torch.int32)
    """
    x, indices = tensors(x, indices)
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    return torch.take_along_dim(x, _counted_from_the_begin(indices, x.shape[axis]), axis)


def get_item(x: Any, key: Any) -> Any:
    """`x[key]`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        key: what stands in the brackets.

    Returns:
        What `x[key]` is.

    Example:
        >>> ops.get_item([[1, 2], [3, 4]], (0, 1))
        tensor(2, dtype=torch.int32)
    """
    return x[key] if isinstance(x, SymbolicTensor) else to_tensor(x)[key]


@op
def where(condition: Array, x1: Array | None = None, x2: Array | None = None) -> Tensor:
    """x1 where the condition holds, x2 elsewhere; alone, the indices where it holds, a row an axis.

    Args:
        condition: the truth values.
        x1: the values where it holds.
        x2: the values where it does not.

    Returns:
        A tensor of the shape that all three broadcast to; without `x1` and `x2` what `nonzero` gives.

    Raises:
        GraphError: one of x1 and x2 without the other.

    Example:
        >>> ops.where([True, False], [1, 2], [3, 4])
        tensor([1, 4], dtype=torch.int32)
    """
    if (x1 is None) != (x2 is None):
        got = "x1 alone" if x2 is None else "x2 alone"
        raise GraphError(explain("where", got=got, expected="both or none", fix="where(c, x1, x2)"))
    chosen = to_tensor(condition).bool()
    if x1 is None or x2 is None:
        return torch.stack(torch.where(chosen))
    one, other = promoted(x1, x2)
    return torch.where(chosen.to(one.device), one, other)


@op
def select(condlist: Arrays, choicelist: Arrays, default: Array = 0) -> Tensor:
    """Of each place the choice whose condition is the first that holds, or the default.

    Args:
        condlist: a list of conditions.
        choicelist: a list of values, one for each condition.
        default: the value where no condition holds.

    Returns:
        A tensor of the shape that all broadcast to.

    Raises:
        ShapeError: another number of choices than of conditions, or none.

    Example:
        >>> ops.select([[True, False], [False, True]], [[1, 2], [3, 4]], default=0)
        tensor([1, 4], dtype=torch.int32)
    """
    if len(condlist) != len(choicelist) or not condlist:
        got = f"{len(condlist)} conditions and {len(choicelist)} choices"
        raise ShapeError(explain("select", got=got, expected="a choice for each", fix="select([c], [x])"))
    *choices, found = promoted(*choicelist, default)
    for condition, choice in zip(reversed(tensors(*condlist)), reversed(choices), strict=True):
        found = torch.where(condition.bool(), choice, found)
    return found


@op
def nonzero(x: Array) -> Tensor:
    """The indices of what is not 0: int32, a row an axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        The places: a row for each axis.

    Example:
        >>> ops.nonzero([[0, 5], [6, 0]])
        tensor([[0, 1],
                [1, 0]], dtype=torch.int32)
    """
    return to_tensor(x).nonzero().T.to(torch.int32)


@op
def sort(x: Array, axis: int | None = -1) -> Tensor:
    """The values of an axis in rising order; of the flattened tensor if None.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sort([3, 1, 2])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    x = to_tensor(x)
    return x.reshape(-1).sort().values if axis is None else x.sort(axis).values


@op
def argsort(x: Array, axis: int | None = -1) -> Tensor:
    """The indices in int32 that `sort` takes; of equal values the first comes first.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        The places of the values in their order, of the shape of `x`.

    Example:
        >>> ops.argsort([3, 1, 2])
        tensor([1, 2, 0], dtype=torch.int32)
    """
    x = to_tensor(x)
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    return x.sort(stable=True, dim=axis).indices.to(torch.int32)


@op
def argpartition(x: Array, kth: int, axis: int | None = -1) -> Tensor:
    """Indices in int32 of an axis that put the kth value in its place, lower ones before and higher ones behind.

    Those of a whole sort do it too, and are given.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        kth: the place that is in order; what is smaller stands before it.
        axis: the axis; None stands for all values in a row.

    Returns:
        The places, of the shape of `x`.

    Raises:
        ShapeError: a place that the axis does not have.

    Example:
        >>> ops.argpartition([3, 1, 2], 1)
        tensor([1, 2, 0], dtype=torch.int32)
    """
    x = to_tensor(x)
    size = x.numel() if axis is None else x.shape[axis]
    if not -size <= kth < size:
        expected = f"at least {-size} and below {size}"
        raise ShapeError(explain("argpartition", got=f"kth={kth}", expected=expected, fix="kth=0"))
    return argsort(x, axis)


@op
def unique(
    x: Array, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None,
    fill_value: float | None = None,
) -> Any:  # fmt: skip
    """The different values, or the different slices of an axis, and what else is asked for.

    Args:
        x: a tensor.
        sorted: taken as in Keras; they are always in rising order.
        return_index: also the first place of each.
        return_inverse: also the place among them of each value.
        return_counts: also how often each is there.
        axis: whose slices; the values of the flattened tensor if None.
        size: how many to return: the first of them, or filled up behind with `fill_value`.
        fill_value: 0 if None.

    Returns:
        One tensor, or a tuple of the values and what was asked for, in the order of the arguments.

    Example:
        >>> ops.unique([3, 1, 3])
        tensor([1, 3], dtype=torch.int32)
    """
    x = to_tensor(x)
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    dim = 0 if axis is None else axes_of(axis, x.ndim)[0]
    number, flat = values.shape[dim], inverse.reshape(-1)
    order = torch.arange(len(flat), device=x.device)
    first = flat.new_full((number,), len(flat)).scatter_reduce(0, flat, order, "amin")
    if size is not None:
        values = _of_size(values, dim, size, fill_value or 0)
        first, counts = _of_size(first, 0, size, 1), _of_size(counts, 0, size, 0)
    asked = ((return_index, first), (return_inverse, inverse), (return_counts, counts))
    also = tuple(each for wanted, each in asked if wanted)
    return (values, *also) if also else values


def _of_size(x: Tensor, dim: int, size: int, value: float) -> Tensor:
    missing = max(size - x.shape[dim], 0)
    filled = x.new_full([missing if axis == dim else each for axis, each in enumerate(x.shape)], value)
    return torch.cat([x.narrow(dim, 0, min(size, x.shape[dim])), filled], dim)


@op
def unravel_index(indices: Array, shape: Shape) -> Any:
    """For each index of a flattened tensor its index along each axis of a shape.

    Args:
        indices: whole numbers, the places.
        shape: the sizes of the result.

    Returns:
        A tuple with the places along each axis.

    Example:
        >>> ops.unravel_index([5, 3], (2, 3))
        (tensor([1, 1], dtype=torch.int32), tensor([2, 0], dtype=torch.int32))
    """
    found = to_tensor(indices)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple(each.to(found.dtype) for each in torch.unravel_index(found.long(), sizes))


@op
def isin(x1: Array, x2: Array, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each value of x1 is somewhere in x2, or is not, with `invert`.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        assume_unique: has no effect on the result.
        invert: whether the opposite is asked.

    Returns:
        Truth values, of the shape of `x1`.

    Example:
        >>> ops.isin([1, 2, 3], [2, 3])
        tensor([False,  True,  True])
    """
    one, other = promoted(x1, x2)
    if one.dtype is torch.bool:
        one, other = one.int(), other.int()
    return torch.isin(one, other, assume_unique=assume_unique, invert=invert)
