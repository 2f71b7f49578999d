"""Statistics: how values lie, and how many lie where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import DTypeError, GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, Axis, axes_of, finely, promoted, tensors, to_tensor
from torchfunc.ops.numpy.reductions import _joined, _kept
from torchfunc.ops.op import op
from torchfunc.tree import leaves


@op
def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance: the mean of the squared distances from the mean.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.var([[1.0, 3.0], [2.0, 2.0]], axis=1)
        tensor([1., 0.])
    """
    return _spread(x, axis, keepdims, torch.var)


@op
def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The root of the variance.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.std([[1.0, 3.0], [2.0, 2.0]], axis=1)
        tensor([1., 0.])
    """
    return _spread(x, axis, keepdims, torch.std)


def _spread(x: Array, axis: Axis, keepdims: bool, kind: Callable[..., Tensor]) -> Tensor:
    (x,) = promoted(x, beside=float)
    if axis == ():
        return torch.zeros_like(x)
    return kind(x, dim=axes_of(axis, x.ndim), correction=0, keepdim=keepdims)


@op
def average(x: Array, axis: Axis = None, weights: Array | None = None) -> Tensor:
    """The mean, of values that weigh differently if `weights` says so.

    Args:
        x: a tensor.
        axis: along which; all if None.
        weights: of x's shape, or of one axis alone.

    Returns:
        The average, without `axis`.

    Raises:
        ShapeError: weights of another shape.

    Example:
        >>> ops.average([1.0, 2.0], weights=[3.0, 1.0])
        tensor(1.2500)
    """
    if weights is None:
        (x,) = promoted(x, beside=float)
        return x.mean(axes_of(axis, x.ndim)) if axis != () else x
    x, weights = promoted(x, weights, beside=float)
    axes = axes_of(axis, x.ndim)
    if weights.ndim != x.ndim or weights.shape != x.shape:  # the ranks first: sizes may be unknown
        if len(axes) != 1 or weights.shape != (x.shape[axes[0]],):
            got, expected = f"shape {tuple(weights.shape)}", f"{tuple(x.shape)}, or that of one axis"
            raise ShapeError(explain("weights", got=got, expected=expected, fix="axis=0"))
        weights = weights.reshape([-1 if axis == axes[0] else 1 for axis in range(x.ndim)])
    return (x * weights).sum(axes) / weights.expand(x.shape).sum(axes)


_ROUNDED = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}


def _quantiles(
    x: Array, q: Array, axis: Axis, method: str, keepdims: bool, skips: bool, whole: int = 1
) -> Tensor:
    """What `torch.quantile` computes, which takes 2^24 values at most and exports that as a bound on the batch."""
    methods = ("linear", *_ROUNDED, "midpoint")
    if method not in methods:
        expected = f"one of {', '.join(methods)}"
        raise GraphError(
            explain("quantile", got=f"method={method!r}", expected=expected, fix="method='linear'")
        )
    for part in leaves(q):
        if isinstance(part, (int, float)) and not 0 <= part <= whole:
            raise GraphError(
                explain("q", got=str(part), expected=f"parts from 0 to {whole}", fix=f"q={whole / 2}")
            )
    (x,) = promoted(x, beside=float)
    wide = x if x.dtype is torch.float64 else x.float()
    parts = to_tensor(q, wide.dtype).to(wide.device)  # at once: 0.4 in float32 is not 0.4 in float64
    ordered = _joined(wide, axis).sort(-1).values  # NaN last
    is_number = ordered.isnan().logical_not()
    last = (is_number.sum(-1, keepdim=True) - 1).clamp(min=0)
    ranks = (parts.reshape(-1) / whole).clamp(0, 1) * last
    ranks = _ROUNDED[method](ranks) if method in _ROUNDED else ranks
    low, high = (
        ordered.gather(-1, torch.minimum(each.long(), last)) for each in (ranks.floor(), ranks.ceil())
    )
    between = torch.lerp(
        low, high, torch.full_like(low, 0.5) if method == "midpoint" else ranks - ranks.floor()
    )
    found = torch.where(low.isinf() & (low == high), low, between)
    found = found if skips else torch.where(is_number[..., -1:], found, float("nan"))
    found = found.movedim(-1, 0).reshape((*parts.shape, *found.shape[:-1]))
    return _kept(found, x, axis, keepdims).to(x.dtype)


@op
def quantile(x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which a part q (0 to 1) of the values lies; of several parts along a new first axis.

    Args:
        x: a tensor.
        q: one part or a vector of them.
        axis: along which; all if None.
        method: between two values "linear", "lower", "higher", "midpoint" or "nearest".
        keepdims: whether axes that are gone stay, of size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Raises:
        GraphError: another method, or a number q outside that range (tensors are held within it).

    Example:
        >>> ops.quantile([1.0, 2.0, 3.0, 4.0], 0.5)
        tensor(2.5000)
    """
    return _quantiles(x, q, axis, method, keepdims, skips=False)


@op
def percentile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of q hundredths (0 to 100).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        q: the percentage that lies below it, or several: from 0 to 100.
        axis: the axis, counted from the end where negative; None stands for all values.
        method: how to choose between two neighbours: "linear", "lower", "higher", "midpoint" or
            "nearest".
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.percentile([1.0, 2.0, 3.0, 4.0], 50.0)
        tensor(2.5000)
    """
    return _quantiles(x, q, axis, method, keepdims, skips=False, whole=100)


@op
def nanquantile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of what is a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        q: the share that lies below it, or several: from 0 to 1.
        axis: the axis, counted from the end where negative; None stands for all values.
        method: how to choose between two neighbours: "linear", "lower", "higher", "midpoint" or
            "nearest".
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanquantile([1.0, float("nan"), 3.0], 0.5)
        tensor(2.)
    """
    return _quantiles(x, q, axis, method, keepdims, skips=True)


@op
def nanpercentile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`percentile` of what is a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        q: the percentage that lies below it, or several: from 0 to 100.
        axis: the axis, counted from the end where negative; None stands for all values.
        method: how to choose between two neighbours: "linear", "lower", "higher", "midpoint" or
            "nearest".
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanpercentile([1.0, float("nan"), 3.0], 50.0)
        tensor(2.)
    """
    return _quantiles(x, q, axis, method, keepdims, skips=True, whole=100)


@op
def median(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The value in the middle; the mean of the two there.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.median([1.0, 2.0, 4.0])
        tensor(2.)
    """
    return _quantiles(x, 0.5, axis, "linear", keepdims, skips=False)


@op
def nanmedian(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`median` of what is a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanmedian([1.0, float("nan"), 4.0])
        tensor(2.5000)
    """
    return _quantiles(x, 0.5, axis, "linear", keepdims, skips=True)


@op
def corrcoef(x: Array) -> Tensor:
    """The correlation of each row with each, -1 to 1: the cosine of what they are without their means.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A square matrix.

    Example:
        >>> ops.corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1.0000, -1.0000],
                [-1.0000,  1.0000]])
    """
    x = finely(x)
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    found: Tensor = rows @ rows.mH
    found = found if found.is_complex() else found.clamp(-1, 1)
    return found if x.ndim == 2 else found.reshape(())


@op
def histogram(x: Array, bins: int = 10, range: Array | None = None) -> Any:
    """How many values lie in each of so many equal bins, and the edges of these.

    Args:
        x: a tensor, flattened.
        bins: how many.
        range: (least, largest), beyond which values are not counted; those of the values if None.

    Returns:
        (bins,) counts and (bins + 1,) edges, floats.

    Raises:
        ShapeError: no bin; GraphError: a range that ends before it begins.

    Example:
        >>> counts, edges = ops.histogram([1.0, 2.0, 2.0], bins=2)
        >>> counts, edges
        (tensor([1., 2.]), tensor([1.0000, 1.5000, 2.0000]))
    """
    if bins < 1:
        raise ShapeError(explain("bins", got=str(bins), expected="at least 1", fix="bins=10"))
    if isinstance(range, (tuple, list)) and not isinstance(range[0], Tensor) and range[0] > range[1]:
        raise GraphError(explain("range", got=repr(range), expected="(least, largest)", fix="range=None"))
    (x,) = promoted(x, beside=float)
    x = x.reshape(-1)
    low, high = tensors(*range) if range is not None else (x.amin(), x.amax())  # type: ignore[misc]
    low, high = low.to(x), high.to(x)
    alike = low == high
    low, high = torch.where(alike, low - 0.5, low), torch.where(alike, high + 0.5, high)
    edges = low + (high - low) * torch.arange(bins + 1, device=x.device).to(x.dtype) / bins
    counted = (x >= low) & (x <= high)
    places = (torch.searchsorted(edges, x.contiguous(), side="right") - 1).clamp(0, bins - 1)
    # whole numbers: a sum of ones in bfloat16 stops at 256
    counts = torch.zeros(bins, dtype=torch.int64, device=x.device).index_add(0, places, counted.long())
    return counts.to(x.dtype), edges


@op
def bincount(x: Array, weights: Array | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each whole number from 0 on is there, or the sum of its weights.

    Args:
        x: (n,) integers of at least 0, or (rows, n), which are counted row by row.
        weights: of x's shape.
        minlength: how many counts there are at least.
        sparse: False alone.

    Returns:
        A tensor (numbers,) or (rows, numbers) in int32, or of the weights' dtype.

    Raises:
        GraphError: sparse.
        DTypeError: x is not of integers; ShapeError: one of them is below 0.

    Example:
        >>> ops.bincount([0, 2, 2])
        tensor([1, 0, 2], dtype=torch.int32)
    """
    if sparse:
        raise GraphError(explain("bincount", got="sparse=True", expected="False", fix="sparse=False"))
    x = to_tensor(x)
    if x.is_floating_point() or x.is_complex():
        fix = "ops.cast(x, 'int32')"
        raise DTypeError(explain("bincount's x", got=str(x.dtype), expected="integers", fix=fix))
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    values = None if weights is None else to_tensor(weights).reshape(rows.shape)
    if x.is_meta:
        raise GraphError(
            "How many numbers bincount counts hangs on values. Fix: ops.one_hot(x, n).sum(-2) counts n of them."
        )
    least, most = map(int, rows.aminmax()) if rows.numel() else (0, -1)
    if least < 0:
        raise ShapeError(explain("bincount's x", got=str(least), expected="0 or more", fix="ops.abs(x)"))
    length = max(minlength, most + 1)
    kind = torch.int32 if values is None else promoted(x, values)[0].dtype
    counts = torch.zeros(rows.shape[0], length, dtype=kind, device=x.device)
    ones = torch.ones_like(rows, dtype=kind) if values is None else values.to(kind)
    counts = counts.scatter_add(1, rows.long(), ones)
    return counts[0] if x.ndim == 1 else counts


@op
def digitize(x: Array, bins: Array) -> Tensor:
    """The bin of each value in int32: how many of the rising `bins` are not above it.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        bins: the edges of the bins.

    Returns:
        The number of the bin of each value.

    Example:
        >>> ops.digitize([0.5, 2.5], [1.0, 2.0])
        tensor([0, 2], dtype=torch.int32)
    """
    x, bins = tensors(x, bins)
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.bucketize(x, bins, right=True).to(torch.int32)


@op
def searchsorted(sorted_sequence: Array, values: Array, side: str = "left") -> Tensor:
    """Where in a rising vector values would stand, in int32: before ("left") or behind ("right") equal ones.

    Args:
        sorted_sequence: the values in order.
        values: the values that are put or sought.
        side: "left" or "right".

    Returns:
        The places, of the shape of `values`.

    Raises:
        GraphError: another side.
        ShapeError: not a vector.

    Example:
        >>> ops.searchsorted([1, 3, 5], [2, 5])
        tensor([1, 2], dtype=torch.int32)
    """
    if side not in ("left", "right"):
        raise GraphError(explain("searchsorted", got=f"side={side!r}", expected="'left' or 'right'"))
    sequence, values = tensors(sorted_sequence, values)
    if sequence.ndim != 1:
        got, fix = f"shape {tuple(sequence.shape)}", "ops.vectorized_map"
        raise ShapeError(explain("sorted_sequence", got=got, expected="a vector", fix=fix))
    sequence, values = promoted(sequence, values)
    return torch.searchsorted(sequence, values.contiguous(), side=side, out_int32=True)
