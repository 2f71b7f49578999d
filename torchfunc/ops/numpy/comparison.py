"""Comparison: which of two values is larger, whether they are equal or near, and what follows of two truths."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, promoted, tensors
from torchfunc.ops.op import op


@op
def equal(x1: Array, x2: Array) -> Tensor:
    """`x1 == x2`."""
    return torch.eq(*promoted(x1, x2))


@op
def not_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 != x2`."""
    return torch.ne(*promoted(x1, x2))


@op
def greater(x1: Array, x2: Array) -> Tensor:
    """`x1 > x2`."""
    return torch.gt(*promoted(x1, x2))


@op
def greater_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 >= x2`."""
    return torch.ge(*promoted(x1, x2))


@op
def less(x1: Array, x2: Array) -> Tensor:
    """`x1 < x2`."""
    return torch.lt(*promoted(x1, x2))


@op
def less_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 <= x2`."""
    return torch.le(*promoted(x1, x2))


@op
def isclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """`abs(x1 - x2) <= atol + rtol * abs(x2)`; of integers whether they are equal."""
    one, other = promoted(x1, x2)
    if not (one.is_floating_point() or one.is_complex()):
        return one == other
    return torch.isclose(one, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def allclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds everywhere: one truth value."""
    return isclose(x1, x2, rtol, atol, equal_nan).all()


@op
def logical_and(x1: Array, x2: Array) -> Tensor:
    """Whether both are other than 0."""
    return torch.logical_and(*tensors(x1, x2))


@op
def logical_or(x1: Array, x2: Array) -> Tensor:
    """Whether one or both are other than 0."""
    return torch.logical_or(*tensors(x1, x2))


@op
def logical_xor(x1: Array, x2: Array) -> Tensor:
    """Whether one is other than 0 and the other is 0."""
    return torch.logical_xor(*tensors(x1, x2))
