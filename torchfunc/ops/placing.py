"""Placing: values put together by segment, by rank or by index, and tensors as other kinds of value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.ops.conversion import Array, Axis, DType, Shape, axes_of, tensors, to_dtype, to_tensor
from torchfunc.ops.op import op

_span = slice
Indices = Any

_CONCURRENT = {"max": "amax", "min": "amin", "mul": "prod"}


def _lowest(dtype: torch.dtype) -> float | int:
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> float | int:
    return float("inf") if dtype.is_floating_point else torch.iinfo(dtype).max


def _reduced(data: Array, segment_ids: Array, count: int | None, how: str) -> Tensor:
    data, ids = tensors(data, segment_ids)
    ids = ids.long()
    if ids.ndim != 1 or ids.shape[0] != data.shape[0]:
        got = f"shapes {tuple(ids.shape)} and {tuple(data.shape)}"
        fix = "segment_ids.reshape(-1)"
        raise ShapeError(explain("segment_ids", got=got, expected="one id for each row of data", fix=fix))
    if count is None:
        if data.is_meta:
            raise GraphError(
                "How many segments there are hangs on values. Fix: num_segments=..., which says it."
            )
        count = int(ids.max()) + 1 if len(ids) else 0
    start = {"sum": 0, "prod": 1, "amax": _lowest(data.dtype), "amin": _highest(data.dtype)}[how]
    # ids out of bounds go to one segment more, which is cut off
    ids = torch.where((ids >= 0) & (ids < count), ids, count)
    places = ids.reshape(-1, *[1] * (data.ndim - 1)).expand(data.shape)
    found = torch.full((count + 1, *data.shape[1:]), start, dtype=data.dtype, device=data.device)
    return found.scatter_reduce(0, places, data, how)[:-1]


@op
def segment_sum(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sum of the rows of each segment; 0 where there are none. Ids that are out of bounds are left out.

    Args:
        data: the values, the segments along the first axis.
        segment_ids: the segment of each value.
        num_segments: how many segments there are; None counts them.
        sorted: whether what comes in, or goes out, is in order.

    Returns:
        A value for each segment.

    Example:
        >>> ops.segment_sum([1, 2, 3], [0, 0, 1])
        tensor([3, 3], dtype=torch.int32)
    """
    return _reduced(data, segment_ids, num_segments, "sum")


@op
def segment_prod(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The product of the rows of each segment; 1 where there are none.

    Args:
        data: the values, the segments along the first axis.
        segment_ids: the segment of each value.
        num_segments: how many segments there are; None counts them.
        sorted: whether what comes in, or goes out, is in order.

    Returns:
        A value for each segment.

    Example:
        >>> ops.segment_prod([2, 2, 3], [0, 0, 1])
        tensor([4, 3], dtype=torch.int32)
    """
    return _reduced(data, segment_ids, num_segments, "prod")


@op
def segment_max(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The largest of the rows of each segment; the least number of the dtype where there are none.

    Args:
        data: the values, the segments along the first axis.
        segment_ids: the segment of each value.
        num_segments: how many segments there are; None counts them.
        sorted: whether what comes in, or goes out, is in order.

    Returns:
        A value for each segment.

    Example:
        >>> ops.segment_max([1, 2, 3], [0, 0, 1])
        tensor([2, 3], dtype=torch.int32)
    """
    return _reduced(data, segment_ids, num_segments, "amax")


@op
def segment_min(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The least of the rows of each segment; the largest number of the dtype where there are none.

    Args:
        data: the values, the segments along the first axis.
        segment_ids: the segment of each value.
        num_segments: how many segments there are; None counts them.
        sorted: whether what comes in, or goes out, is in order.

    Returns:
        A value for each segment.

    Example:
        >>> ops.segment_min([1, 2, 3], [0, 0, 1])
        tensor([1, 3], dtype=torch.int32)
    """
    return _reduced(data, segment_ids, num_segments, "amin")


@op
def top_k(x: Array, k: int, sorted: bool = True) -> Any:
    """The k largest values of the last axis, and their indices.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        k: how many.
        sorted: whether what comes in, or goes out, is in order.

    Returns:
        Two tensors: the values and their places.

    Example:
        >>> values, places = ops.top_k([3, 1, 2], 2)
        >>> values, places
        (tensor([3, 2], dtype=torch.int32), tensor([0, 2]))
    """
    return torch.topk(to_tensor(x), k, sorted=sorted)


@op
def in_top_k(targets: Array, predictions: Array, k: int) -> Tensor:
    """Whether the prediction for each target is among the k largest of its row, ties included.

    Args:
        targets: the class of each sample.
        predictions: the scores (samples, classes).
        k: how many.

    Returns:
        A truth value for each target.

    Example:
        >>> ops.in_top_k([0, 1], [[0.9, 0.1], [0.8, 0.2]], 1)
        tensor([ True, False])
    """
    targets, predictions = tensors(targets, predictions)
    least = predictions.topk(k).values[..., -1:]
    return (predictions.gather(-1, targets.long().unsqueeze(-1)) >= least).squeeze(-1)


@op
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` along axes, without overflow.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.logsumexp([0.0, 0.0])
        tensor(0.6931)
    """
    x = to_tensor(x)
    return torch.logsumexp(x, axes_of(axis, x.ndim), keepdim=keepdims)


@op
def scatter(indices: Array, values: Array, shape: Shape) -> Tensor:
    """Zeros of a shape with values added at indices: (..., n) indices of the first n axes.

    Args:
        indices: the places (n, axes).
        values: the values that are put or sought.
        shape: the sizes of the result.

    Returns:
        A tensor of that shape, 0 where nothing was put.

    Example:
        >>> ops.scatter([[0], [2]], [5, 7], (4,))
        tensor([5, 0, 7, 0], dtype=torch.int32)
    """
    indices, values = tensors(indices, values)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    depth = indices.shape[-1]
    rows = values.reshape(-1, *sizes[depth:])
    zeros = torch.zeros(sizes, dtype=values.dtype, device=values.device)
    return zeros.index_put(tuple(indices.long().reshape(-1, depth).unbind(1)), rows, accumulate=True)


@op
def scatter_update(inputs: Array, indices: Array, updates: Array, reduction: str | None = None) -> Tensor:
    """`inputs` with updates at indices, (updates, n): put there, or added ("add"), or "max", "min", "mul".

    Args:
        inputs: the values.
        indices: the places (n, axes).
        updates: the values that are put there.
        reduction: None to put, or "add", "max", "min" or "mul".

    Returns:
        A tensor of the shape of `inputs`.

    Raises:
        GraphError: an unknown reduction.

    Example:
        >>> ops.scatter_update([1, 2, 3], [[1]], [9])
        tensor([1, 9, 3], dtype=torch.int32)
    """
    inputs, indices, updates = tensors(inputs, indices, updates)
    indices, updates = indices.long(), updates.to(inputs.dtype)
    if reduction in (None, "add"):
        return inputs.index_put(tuple(indices.unbind(1)), updates, accumulate=reduction == "add")
    if reduction not in _CONCURRENT:
        expected = "None, 'add', 'max', 'min' or 'mul'"
        raise GraphError(explain("reduction", got=repr(reduction), expected=expected, fix="reduction=None"))
    depth = indices.shape[1]
    place = torch.zeros_like(indices[:, 0])
    for column, size in zip(indices.unbind(1), inputs.shape[:depth], strict=True):
        place = place * size + torch.where(column < 0, column + size, column)
    rows = inputs.reshape(-1, *inputs.shape[depth:])
    where = place.reshape(-1, *[1] * (rows.ndim - 1)).expand(updates.shape)
    return rows.scatter_reduce(0, where, updates, _CONCURRENT[reduction]).reshape(inputs.shape)


def _known(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and not any(isinstance(each, Tensor) for each in values)


@op
def slice(inputs: Array, start_indices: Indices, shape: Shape) -> Tensor:
    """The part of a tensor that begins at these indices and has this shape.

    Args:
        inputs: the values.
        start_indices: where it begins, a number for each axis.
        shape: how many values, a number for each axis.

    Returns:
        A tensor of that shape.

    Example:
        >>> ops.slice([1, 2, 3, 4], [1], [2])
        tensor([2, 3], dtype=torch.int32)
    """
    x = to_tensor(inputs)
    sizes = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
    if _known(start_indices):
        ends = zip(start_indices, sizes, strict=True)
        return x[tuple(_span(start, start + size) for start, size in ends)]
    for axis, (start, size) in enumerate(zip(to_tensor(start_indices).unbind(), sizes, strict=True)):
        x = x.index_select(axis, start + torch.arange(size, device=x.device))
    return x


@op
def slice_update(inputs: Array, start_indices: Indices, updates: Array) -> Tensor:
    """A copy of a tensor with `updates` in it from these indices on.

    Args:
        inputs: the values.
        start_indices: where it begins, a number for each axis.
        updates: the values that are put there.

    Returns:
        A tensor of the shape of `inputs`.

    Example:
        >>> ops.slice_update([1, 2, 3, 4], [1], [8, 9])
        tensor([1, 8, 9, 4], dtype=torch.int32)
    """
    x, updates = tensors(inputs, updates)
    starts = start_indices if _known(start_indices) else to_tensor(start_indices).unbind()
    places = []
    for axis, (start, size) in enumerate(zip(starts, updates.shape, strict=True)):
        along = start + torch.arange(size, device=x.device)
        places.append(along.reshape([-1 if each == axis else 1 for each in range(updates.ndim)]))
    return x.index_put(tuple(places), updates.to(x.dtype))


@op
def unstack(x: Array, num: int | None = None, axis: int = 0) -> Sequence[Tensor]:
    """The parts of a tensor along an axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        num: how many there are; None looks.
        axis: the axis, counted from the end where negative.

    Returns:
        A list of tensors, without `axis`.

    Example:
        >>> ops.unstack([[1, 2], [3, 4]])
        (tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32))
    """
    return to_tensor(x).unbind(axis)


@op
def rearrange(tensor: Array, pattern: str, **axes_lengths: int) -> Tensor:
    """Axes split, moved and joined as a pattern says: `rearrange(x, "b (h p) c -> b h (p c)", p=2)` (einops).

    Args:
        tensor: the values.
        pattern: the axes before and behind an arrow, as in "b h w -> b (h w)".
        axes_lengths: the sizes of axes that the pattern splits.

    Returns:
        A tensor of the shape behind the arrow.

    Example:
        >>> ops.rearrange(ops.ones((2, 3, 4)), "b h w -> b (h w)").shape
        torch.Size([2, 12])
    """
    x = to_tensor(tensor)
    before, after = (
        [(group or name).split() for group, name in re.findall(r"\((.*?)\)|(\S+)", side)]
        for side in pattern.split("->")
    )
    for axis in reversed(range(len(before))):
        if len(before[axis]) > 1:
            x = x.unflatten(axis, [axes_lengths.get(name, -1) for name in before[axis]])  # type: ignore[no-untyped-call]
    names = [name for group in before for name in group]
    x = x.permute([names.index(name) for group in after for name in group])
    for axis, group in enumerate(after):
        if len(group) > 1:
            x = x.flatten(axis, axis + len(group) - 1)
    return x


@op
def cast(x: Array, dtype: DType) -> Tensor:
    """A tensor in another dtype.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that dtype.

    Example:
        >>> ops.cast([1.7, 2.2], "int32")
        tensor([1, 2], dtype=torch.int32)
    """
    return to_tensor(x, to_dtype(dtype))


@op
def saturate_cast(x: Array, dtype: DType) -> Tensor:
    """A tensor in another dtype, what lies outside its range moved to the nearest end.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that dtype.

    Example:
        >>> ops.saturate_cast([-5.0, 300.0], "uint8")
        tensor([  0, 255], dtype=torch.uint8)
    """
    x, kind = to_tensor(x), to_dtype(dtype)
    if kind is torch.bool:
        return x.clamp(0, 1).to(kind)
    known = torch.finfo if kind.is_floating_point else torch.iinfo
    low, high = known(kind).min, known(kind).max
    if x.is_floating_point():
        ends = torch.tensor([low, high], dtype=torch.float64).to(x.dtype)
        # the end of an integer's range may be rounded outwards in floats
        over = ends.double().abs() > torch.tensor([low, high], dtype=torch.float64).abs()
        ends = torch.where(over, torch.nextafter(ends.float(), torch.zeros(())).to(x.dtype), ends)
        return x.clamp(ends[0].item(), ends[1].item()).to(kind) if not x.is_meta else x.to(kind)
    own = torch.iinfo(x.dtype) if x.dtype is not torch.bool else None
    if own is not None and not kind.is_floating_point:
        x = x.clamp(max(low, own.min), min(high, own.max))
    return x.to(kind)


@op
def convert_to_tensor(
    x: Array, dtype: DType = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """A tensor, an array, a number or a list of these as a tensor.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        sparse: must be False: there are no sparse tensors.
        ragged: must be False: there are no ragged tensors.

    Returns:
        A tensor.

    Raises:
        GraphError: sparse or ragged.

    Example:
        >>> ops.convert_to_tensor([1, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    if sparse or ragged:
        raise GraphError(
            "There are no sparse and no ragged tensors here. Fix: leave sparse= and ragged= out."
        )
    return to_tensor(x, None if dtype is None else to_dtype(dtype))


@op
def stop_gradient(variable: Array) -> Tensor:
    """The same values, through which no gradient flows.

    Args:
        variable: the value.

    Returns:
        The value, through which no gradient flows.

    Example:
        >>> ops.stop_gradient(torch.ones(2, requires_grad=True)).requires_grad
        False
    """
    return to_tensor(variable).detach()


def convert_to_numpy(x: Array) -> Any:
    """A tensor, or a list of tensors, as an array; bfloat16 as float32, which NumPy has.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        An array.

    Example:
        >>> ops.convert_to_numpy(torch.ones(2))
        array([1., 1.], dtype=float32)
    """
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(each) for each in x])
    if not isinstance(x, (Tensor, SymbolicTensor)):
        return np.array(x)
    found = x.detach().cpu()
    return np.array((found.float() if found.dtype is torch.bfloat16 else found).numpy())


def shape(x: Array) -> tuple[Any, ...]:
    """The shape as a tuple; an unknown dimension of a symbol is live, as in `x.shape`.

    Args:
        x: a tensor, an array, a list or a symbol.

    Returns:
        A tuple of sizes.

    Example:
        >>> ops.shape([[1, 2]])
        (1, 2)
    """
    return tuple(x.shape) if hasattr(x, "shape") else tuple(to_tensor(x).shape)


def dtype(x: Array) -> str:
    """The name of the dtype: "float32".

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        The name of the dtype.

    Example:
        >>> ops.dtype([1.0])
        'float32'
    """
    found = x.dtype if hasattr(x, "dtype") else to_tensor(x).dtype
    return str(found).removeprefix("torch.")


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor; an array and a symbol are not.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Whether it is a tensor or a symbol.

    Example:
        >>> ops.is_tensor([1.0]), ops.is_tensor(torch.ones(1))
        (False, True)
    """
    return isinstance(x, Tensor) and not isinstance(x, SymbolicTensor)
