"""Reductions: one value of all along axes, and the sums and products on the way there."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.errors import ShapeError, explain
from torchfunc.ops.conversion import Array, Axis, DType, axes_of, promoted, to_dtype, to_tensor
from torchfunc.ops.op import op

_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)


def _joined(x: Tensor, axis: Axis) -> Tensor:
    """The axes that a reduction takes as one, the last."""
    axes = axes_of(axis, x.ndim)
    rest = [each for each in range(x.ndim) if each not in axes]
    x = x.permute((*rest, *axes))
    return x.flatten(len(rest)) if axes else x.unsqueeze(-1)


def _kept(found: Tensor, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """A result of `_joined` with axes of size 1 where those were that are gone, on request."""
    if not keepdims:
        return found
    axes = axes_of(axis, x.ndim)
    ahead = found.ndim - (x.ndim - len(axes))
    for each in sorted(axes):
        found = found.unsqueeze(each + ahead)
    return found


def _wide(x: Tensor) -> torch.dtype:
    return torch.int32 if x.dtype in _SMALL else x.dtype


@op
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every value is other than 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.all([[True, False], [True, True]], axis=1)
        tensor([False,  True])
    """
    x = to_tensor(x).bool()
    return x.all(axes_of(axis, x.ndim), keepdim=keepdims) if axis != () else x


@op
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether some value is other than 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.any([[True, False], [False, False]], axis=1)
        tensor([ True, False])
    """
    x = to_tensor(x).bool()
    return x.any(axes_of(axis, x.ndim), keepdim=keepdims) if axis != () else x


@op
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum; of small integers and truth values in int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.sum([[1, 2], [3, 4]], axis=0)
        tensor([4, 6], dtype=torch.int32)
    """
    x = to_tensor(x)
    axes = axes_of(axis, x.ndim)
    return x.sum(axes, keepdims, dtype=_wide(x)) if axes or x.ndim == 0 else x.to(_wide(x))


@op
def prod(x: Array, axis: Axis = None, keepdims: bool = False, dtype: DType = None) -> Tensor:
    """The product; of small integers and truth values in int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.prod([[1, 2], [3, 4]], axis=0)
        tensor([3, 8], dtype=torch.int32)
    """
    x = to_tensor(x)
    kind = _wide(x) if dtype is None else to_dtype(dtype)
    if axis == ():
        return x.to(kind)
    return _kept(_joined(x, axis).prod(-1, dtype=kind), x, axis, keepdims)


@op
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean, a float.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.mean([[1, 2], [3, 4]], axis=0)
        tensor([2., 3.])
    """
    x = to_tensor(x)
    kind = x.dtype if x.is_floating_point() or x.is_complex() else torch.get_default_dtype()
    return x.mean(axes_of(axis, x.ndim), keepdims, dtype=kind) if axis != () else x.to(kind)


def _extreme(x: Array, axis: Axis, keepdims: bool, initial: float | None, is_max: bool) -> Tensor:
    x = to_tensor(x)
    axes = axes_of(axis, x.ndim)
    if 0 in [x.shape[each] for each in axes]:
        word = "max" if is_max else "min"
        if initial is None:
            got, fix = f"no values in shape {tuple(x.shape)}", f"ops.{word}(x, initial=0)"
            raise ShapeError(explain(f"ops.{word}", got=got, expected="one or more", fix=fix))
        sizes = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        kept = x.new_full(sizes, initial)
        return kept if keepdims else kept.squeeze(axes)
    found = x if axis == () else (x.amax if is_max else x.amin)(axes, keepdims)
    if initial is None:
        return found
    bound = torch.as_tensor(initial, dtype=found.dtype, device=found.device)
    return (torch.maximum if is_max else torch.minimum)(found, bound)


@op
def max(x: Array, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The largest value, or `initial` if that is larger.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.
        initial: a value that takes part as well.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Raises:
        ShapeError: there is no value, and no `initial`.

    Example:
        >>> ops.max([[1, 2], [3, 4]], axis=0)
        tensor([3, 4], dtype=torch.int32)
    """
    return _extreme(x, axis, keepdims, initial, is_max=True)


@op
def min(x: Array, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The least value, or `initial` if that is less.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.
        initial: a value that takes part as well.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Raises:
        ShapeError: there is no value, and no `initial`.

    Example:
        >>> ops.min([[1, 2], [3, 4]], axis=0)
        tensor([1, 2], dtype=torch.int32)
    """
    return _extreme(x, axis, keepdims, initial, is_max=False)


@op
def amax(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest value.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.amax([[1, 2], [3, 4]], axis=1)
        tensor([2, 4], dtype=torch.int32)
    """
    return _extreme(x, axis, keepdims, None, is_max=True)


@op
def amin(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The least value.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.amin([[1, 2], [3, 4]], axis=1)
        tensor([1, 3], dtype=torch.int32)
    """
    return _extreme(x, axis, keepdims, None, is_max=False)


@op
def ptp(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest value less the least.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.ptp([[1, 5], [3, 4]], axis=1)
        tensor([4, 1], dtype=torch.int32)
    """
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


def _place(x: Array, axis: int | None, keepdims: bool, is_max: bool) -> Tensor:
    x = to_tensor(x)
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return (x.argmax if is_max else x.argmin)(axis, keepdims).to(torch.int32)


@op
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index in int32 of the largest value; of the flattened tensor without an axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.argmax([[1, 5], [4, 3]], axis=1)
        tensor([1, 0], dtype=torch.int32)
    """
    return _place(x, axis, keepdims, is_max=True)


@op
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index in int32 of the least value; of the flattened tensor without an axis.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.argmin([[1, 5], [4, 3]], axis=1)
        tensor([0, 1], dtype=torch.int32)
    """
    return _place(x, axis, keepdims, is_max=False)


@op
def count_nonzero(x: Array, axis: Axis = None) -> Tensor:
    """How many values are other than 0: int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.count_nonzero([[0, 5], [4, 3]], axis=1)
        tensor([1, 2], dtype=torch.int32)
    """
    x = to_tensor(x) != 0
    return x.sum(axes_of(axis, x.ndim), dtype=torch.int32) if axis != () else x.to(torch.int32)


def _running(x: Array, axis: int | None, dtype: DType) -> tuple[Tensor, int, torch.dtype]:
    x = to_tensor(x)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    kind = x.dtype if dtype is None else to_dtype(dtype)
    return x, axis, torch.int32 if kind is torch.bool else kind


@op
def cumsum(x: Array, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The sums up to each value along an axis; of the flattened tensor without one.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`, in a row where `axis` is None.

    Example:
        >>> ops.cumsum([1, 2, 3])
        tensor([1, 3, 6], dtype=torch.int32)
    """
    x, axis, kind = _running(x, axis, dtype)
    return x.cumsum(axis, dtype=kind)


@op
def cumprod(x: Array, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The products up to each value along an axis; of the flattened tensor without one.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`, in a row where `axis` is None.

    Example:
        >>> ops.cumprod([1, 2, 3])
        tensor([1, 2, 6], dtype=torch.int32)
    """
    x, axis, kind = _running(x, axis, dtype)
    return x.cumprod(axis, dtype=kind)


@op
def nancumsum(x: Array, axis: int | None = None, dtype: DType = None) -> Tensor:
    """`cumsum` with NaN as 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`, in a row where `axis` is None.

    Example:
        >>> ops.nancumsum([1.0, float("nan"), 3.0])
        tensor([1., 1., 4.])
    """
    return cumsum(_without_nan(x, 0.0), axis, dtype)


@op
def nancumprod(x: Array, axis: int | None = None, dtype: DType = None) -> Tensor:
    """`cumprod` with NaN as 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`, in a row where `axis` is None.

    Example:
        >>> ops.nancumprod([1.0, float("nan"), 3.0])
        tensor([1., 1., 3.])
    """
    return cumprod(_without_nan(x, 1.0), axis, dtype)


def _without_nan(x: Array, value: float) -> Tensor:
    x = to_tensor(x)
    is_exact = not (x.is_floating_point() or x.is_complex())
    return x if is_exact else torch.where(x.isnan(), value, x)


@op
def nansum(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`sum` with NaN as 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nansum([1.0, float("nan"), 3.0])
        tensor(4.)
    """
    return sum(_without_nan(x, 0.0), axis, keepdims)


@op
def nanprod(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`prod` with NaN as 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanprod([2.0, float("nan"), 3.0])
        tensor(6.)
    """
    return prod(_without_nan(x, 1.0), axis, keepdims)


@op
def nanmean(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of what is a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanmean([1.0, float("nan"), 3.0])
        tensor(2.)
    """
    (x,) = promoted(x, beside=float)
    return x.nanmean(axes_of(axis, x.ndim), keepdims) if axis != () else x


@op
def nanvar(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance of what is a number: the mean of the squared distances from the mean.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanvar([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    (x,) = promoted(x, beside=float)
    axes = axes_of(axis, x.ndim)
    if axis == ():
        return torch.where(x.isnan(), x, 0.0)
    is_gone = x.isnan()
    # what is gone is replaced before the square: its gradient would be NaN, and everyone's by the mean
    distances = torch.where(is_gone, 0.0, x - x.nanmean(axes, True)).abs()
    return distances.square().sum(axes, keepdims) / is_gone.logical_not().sum(axes, keepdims)


@op
def nanstd(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The root of `nanvar`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanstd([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    return nanvar(x, axis, keepdims).sqrt()


def _of_numbers(x: Array, axis: Axis, keepdims: bool, is_max: bool) -> Tensor:
    """The extreme of what is a number; NaN where nothing is."""
    x = to_tensor(x)
    found = _extreme(_without_nan(x, float("-inf") if is_max else float("inf")), axis, keepdims, None, is_max)
    if not x.is_floating_point() or axis == ():
        return found if axis != () else x
    return torch.where(x.isnan().all(axes_of(axis, x.ndim), keepdim=keepdims), float("nan"), found)


@op
def nanmax(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest of what is a number; NaN where nothing is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanmax([1.0, float("nan"), 3.0])
        tensor(3.)
    """
    return _of_numbers(x, axis, keepdims, is_max=True)


@op
def nanmin(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The least of what is a number; NaN where nothing is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanmin([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    return _of_numbers(x, axis, keepdims, is_max=False)


def _place_of_numbers(x: Array, axis: int | None, keepdims: bool, is_max: bool) -> Tensor:
    x = to_tensor(x)
    found = _place(_without_nan(x, float("-inf") if is_max else float("inf")), axis, keepdims, is_max)
    nothing = x.isnan().all() if axis is None else x.isnan().all(axis, keepdim=keepdims)
    return torch.where(nothing, -1, found).to(torch.int32)


@op
def nanargmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the largest of what is a number; -1 where nothing is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanargmax([1.0, float("nan"), 3.0])
        tensor(2, dtype=torch.int32)
    """
    return _place_of_numbers(x, axis, keepdims, is_max=True)


@op
def nanargmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the least of what is a number; -1 where nothing is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        A tensor without the axes that were reduced, or with size 1 there.

    Example:
        >>> ops.nanargmin([1.0, float("nan"), 3.0])
        tensor(0, dtype=torch.int32)
    """
    return _place_of_numbers(x, axis, keepdims, is_max=False)
