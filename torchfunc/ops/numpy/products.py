"""Products: sums of products along axes, and what is made of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, promoted, tensors, to_tensor
from torchfunc.ops.op import op

_SMALL = (torch.bool, torch.int8, torch.int16, torch.uint8)


def _factors(*values: Array) -> tuple[list[Tensor], torch.dtype]:
    """Values of one dtype that PyTorch multiplies, and the dtype of the result: bool as float, then back."""
    found = promoted(*values)
    kind = found[0].dtype
    return [each.float() if kind is torch.bool else each for each in found], kind


@op
def matmul(x1: Array, x2: Array) -> Tensor:
    """The product of matrices, over the last two axes; int8 gives int32.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        The product (..., n, m).

    Example:
        >>> ops.matmul([[1.0, 2.0]], [[3.0], [4.0]])
        tensor([[11.]])
    """
    (one, other), kind = _factors(x1, x2)
    if kind is torch.int8:
        return torch.matmul(one.int(), other.int())
    found: Tensor = torch.matmul(one, other).to(kind)
    return found


@op
def dot(x1: Array, x2: Array) -> Tensor:
    """The sum of products over the last axis of x1 and the last but one of x2 (its only one, of a vector).

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        The product.

    Example:
        >>> ops.dot([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    (one, other), kind = _factors(x1, x2)
    if one.ndim == 0 or other.ndim == 0:
        return (one * other).to(kind)
    found: Tensor = torch.matmul(one, other) if other.ndim <= 2 else torch.tensordot(one, other, ([-1], [-2]))
    return found.to(kind)


@op
def vdot(x1: Array, x2: Array) -> Tensor:
    """The sum of the products of all values, the first conjugated.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of one value.

    Example:
        >>> ops.vdot([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    (one, other), kind = _factors(x1, x2)
    return torch.vdot(one.reshape(-1), other.reshape(-1)).to(kind)


@op
def inner(x1: Array, x2: Array) -> Tensor:
    """The sum of products over the last axes.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        The product, without the last axes of both.

    Example:
        >>> ops.inner([1, 2], [3, 4])
        tensor(11, dtype=torch.int32)
    """
    (one, other), kind = _factors(x1, x2)
    return torch.inner(one, other).to(kind)


@op
def outer(x1: Array, x2: Array) -> Tensor:
    """The product of each value of x1 with each of x2, both flattened.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A matrix: the values of `x1` by those of `x2`.

    Example:
        >>> ops.outer([1, 2], [3, 4])
        tensor([[3, 4],
                [6, 8]], dtype=torch.int32)
    """
    one, other = promoted(x1, x2)
    return one.reshape(-1, 1) * other.reshape(1, -1)


@op
def tensordot(x1: Array, x2: Array, axes: Array = 2) -> Tensor:
    """The sum of products over axes: so many last of x1 and first of x2, or those of x1 and those of x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        axes: the axes.

    Returns:
        The product, without the axes that were summed.

    Example:
        >>> ops.tensordot(ops.ones((2, 3)), ops.ones((3, 4)), axes=1).shape
        torch.Size([2, 4])
    """
    (one, other), kind = _factors(x1, x2)
    if isinstance(axes, int):
        pairs: Any = axes
    else:
        pairs = [[each] if isinstance(each, int) else list(each) for each in axes]  # type: ignore[attr-defined]
    found: Tensor = torch.tensordot(one, other, pairs).to(kind)
    return found


@op
def einsum(subscripts: str, *operands: Array) -> Tensor:
    """Einstein's sum: "ij,jk->ik" sums over what the result does not name; int8 gives int32.

    Args:
        subscripts: the letters of the axes, as in "ij,jk->ik".
        operands: what goes in.

    Returns:
        What the subscripts say behind their arrow.

    Example:
        >>> ops.einsum("ij,jk->ik", ops.ones((2, 3)), ops.ones((3, 4))).shape
        torch.Size([2, 4])
    """
    found, kind = _factors(*operands)
    if kind is torch.int8:
        return torch.einsum(subscripts, *(each.int() for each in found))
    return torch.einsum(subscripts, *found).to(kind)


@op
def cross(
    x1: Array, x2: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The vector that stands upright on two of three numbers; of vectors of two its third number.

    Args:
        x1, x2: tensors.
        axisa, axisb, axisc: the axis of the vectors in x1, in x2 and in the result.
        axis: all three at once.

    Returns:
        The product, whose axis of three stands at `axis`.

    Raises:
        ShapeError: vectors of neither two nor three numbers.

    Example:
        >>> ops.cross([1, 0, 0], [0, 1, 0])
        tensor([0, 0, 1], dtype=torch.int32)
    """
    one, other = promoted(x1, x2)
    first, second, last = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    one, other = one.movedim(first, -1), other.movedim(second, -1)
    sizes = (one.shape[-1], other.shape[-1])
    if not {*sizes} <= {2, 3}:
        raise ShapeError(explain("cross", got=f"vectors of {sizes}", expected="of 2 or 3", fix="axis=..."))
    flat = sizes == (2, 2)
    one, other = (F.pad(each, (0, 3 - each.shape[-1])) for each in (one, other))
    found: Tensor = torch.linalg.cross(*torch.broadcast_tensors(one, other))  # type: ignore[no-untyped-call]
    return found[..., 2] if flat else found.movedim(-1, last)


@op
def kron(x1: Array, x2: Array) -> Tensor:
    """Each value of x1 times the whole of x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor whose sizes are products of those of both.

    Example:
        >>> ops.kron([1, 2], [1, 10])
        tensor([ 1, 10,  2, 20], dtype=torch.int32)
    """
    return torch.kron(*promoted(x1, x2))


@op
def correlate(x1: Array, x2: Array, mode: str = "valid") -> Tensor:
    """The sums of products of two vectors at each shift: "valid" where both overlap wholly, "same", "full".

    Args:
        x1: the values on the left.
        x2: the values on the right.
        mode: "valid", "same" or "full".

    Returns:
        A tensor of one axis.

    Raises:
        GraphError: another mode.
        ShapeError: not two vectors.

    Example:
        >>> ops.correlate([1, 2, 3], [0, 1, 0.5])
        tensor([3.5000])
    """
    if mode not in ("valid", "same", "full"):
        raise GraphError(explain("correlate", got=f"mode={mode!r}", expected="'valid', 'same' or 'full'"))
    one, other = promoted(x1, x2)
    if one.ndim != 1 or other.ndim != 1:
        got = f"shapes {tuple(one.shape)} and {tuple(other.shape)}"
        raise ShapeError(explain("correlate", got=got, expected="two vectors", fix="x.reshape(-1)"))
    kind = one.dtype if one.dtype.is_floating_point else torch.get_default_dtype()
    one, other = one.to(kind), other.to(kind)
    n, m = one.shape[0], other.shape[0]
    full = F.conv1d(one.reshape(1, 1, n), other.reshape(1, 1, m), padding=m - 1).reshape(-1)
    length = {"full": n + m - 1, "same": max(n, m), "valid": max(n, m) - min(n, m) + 1}[mode]
    begin = {"full": 0, "same": (min(n, m) - (n > m or (n - m) % 2 == 0)) // 2, "valid": min(n, m) - 1}[mode]
    return full[begin : begin + length]


@op
def trapezoid(y: Array, x: Array | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The area under values along an axis, at places x or at distances dx.

    Args:
        y: the values.
        x: the places of the values; None puts them `dx` apart.
        dx: how far apart the places are.
        axis: the axis, counted from the end where negative.

    Returns:
        The areas, without `axis`.

    Example:
        >>> ops.trapezoid([1, 2, 3])
        tensor(4.)
    """
    found = to_tensor(y)
    found = found.to(torch.get_default_dtype()) if found.dtype is torch.bool else found
    if x is None:
        return torch.trapezoid(found, dx=dx, dim=axis)
    return torch.trapezoid(found, to_tensor(x).to(found.device), dim=axis)


@op
def diff(a: Array, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along an axis, n times over.

    Args:
        a: the values.
        n: how often.
        axis: the axis, counted from the end where negative.

    Returns:
        The differences: along `axis` there are `n` values less.

    Example:
        >>> ops.diff([1, 4, 9])
        tensor([3, 5], dtype=torch.int32)
    """
    found = to_tensor(a)
    size = found.shape[axis]
    return torch.diff(found, min(n, size), axis)


@op
def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes; small integers are summed in int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        offset: which diagonal: 0 is the main one, 1 the one above it.
        axis1: the first axis.
        axis2: the second axis.

    Returns:
        The sums, without both axes.

    Example:
        >>> ops.trace([[1, 2], [3, 4]])
        tensor(5, dtype=torch.int32)
    """
    found = to_tensor(x)
    kind = torch.int32 if found.dtype in _SMALL else found.dtype
    return found.diagonal(offset, axis1, axis2).sum(-1, dtype=kind)


@op
def slogdet(x: Array) -> Any:
    """The sign of the determinant of square matrices, and the logarithm of its size.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Two tensors: the sign, and the logarithm of the absolute determinant.

    Example:
        >>> sign, logarithm = ops.slogdet([[2.0, 0.0], [0.0, 3.0]])
        >>> sign, logarithm
        (tensor(1.), tensor(1.7918))
    """
    return tuple(torch.linalg.slogdet(to_tensor(x)))


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Sequence[int | str] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of single values, or of the tensors that a signature names, made to work on batches of them.

    Args:
        pyfunc: over tensors, by functions of PyTorch, as `torch.vmap` takes it.
        excluded: places and names of arguments that are handed on whole.
        signature: "(n),(n,m)->(m)" names the last axes that one call takes; single values if None.

    Returns:
        A function whose arguments broadcast against each other.

    Raises:
        GraphError: another number of arguments than the signature names.

    Example:
        >>> larger = ops.vectorize(lambda a, b: torch.maximum(a, b))
        >>> larger([1, 2, 3], 2)
        tensor([2, 2, 3], dtype=torch.int32)
    """
    whole = frozenset(excluded or ())
    parts = None if signature is None else _core_ranks(signature)

    @wraps(pyfunc)
    def called(*args: Any, **kwargs: Any) -> Any:
        mapped = [place for place in range(len(args)) if place not in whole]
        named = [name for name in kwargs if name not in whole]
        values = tensors(*(args[place] for place in mapped), *(kwargs[name] for name in named))
        ranks = [0] * len(values) if parts is None else parts
        if len(ranks) != len(values):
            got, expected = f"{len(values)} arguments", f"{len(ranks)}, as signature={signature!r} says"
            raise GraphError(explain("vectorize", got=got, expected=expected, fix="excluded={...}"))
        batch = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            *(each.shape[: each.ndim - rank] for each, rank in zip(values, ranks, strict=True))
        )
        values = [
            each.expand(*batch, *each.shape[each.ndim - rank :])
            for each, rank in zip(values, ranks, strict=True)
        ]

        def single(*found: Tensor) -> Any:
            placed = dict(zip(mapped, found, strict=False))
            given = {**kwargs, **dict(zip(named, found[len(mapped) :], strict=True))}
            return pyfunc(*(placed.get(place, each) for place, each in enumerate(args)), **given)

        for _ in batch:
            single = torch.vmap(single)
        return single(*values)

    return called


def _core_ranks(signature: str) -> list[int]:
    """How many axes of each argument one call takes: "(n),(),(n,m)->(m)" gives [1, 0, 2]."""
    taken = signature.partition("->")[0].replace(" ", "")
    return [len([name for name in each.split(",") if name]) for each in taken.strip("()").split("),(")]
