"""Comparison: which of two values is larger, whether they are equal or near, and what follows of two truths."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, promoted, tensors
from torchfunc.ops.op import op


@op
def equal(x1: Array, x2: Array) -> Tensor:
    """`x1 == x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.equal([1, 2], [1, 3])
        tensor([ True, False])
    """
    return torch.eq(*promoted(x1, x2))


@op
def not_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 != x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.not_equal([1, 2], [1, 3])
        tensor([False,  True])
    """
    return torch.ne(*promoted(x1, x2))


@op
def greater(x1: Array, x2: Array) -> Tensor:
    """`x1 > x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.greater([1, 4], [2, 3])
        tensor([False,  True])
    """
    return torch.gt(*promoted(x1, x2))


@op
def greater_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 >= x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.greater_equal([1, 3], [2, 3])
        tensor([False,  True])
    """
    return torch.ge(*promoted(x1, x2))


@op
def less(x1: Array, x2: Array) -> Tensor:
    """`x1 < x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.less([1, 4], [2, 3])
        tensor([ True, False])
    """
    return torch.lt(*promoted(x1, x2))


@op
def less_equal(x1: Array, x2: Array) -> Tensor:
    """`x1 <= x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.less_equal([1, 3], [2, 3])
        tensor([True, True])
    """
    return torch.le(*promoted(x1, x2))


@op
def isclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """`abs(x1 - x2) <= atol + rtol * abs(x2)`; of integers whether they are equal.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        rtol: how far apart they may be, as a share.
        atol: how far apart they may be.
        equal_nan: whether nan equals nan.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.isclose([1.0, 1.0], [1.0 + 1e-9, 1.1])
        tensor([ True, False])
    """
    one, other = promoted(x1, x2)
    if not (one.is_floating_point() or one.is_complex()):
        return one == other
    return torch.isclose(one, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def allclose(x1: Array, x2: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds everywhere: one truth value.

    Args:
        x1: the values on the left.
        x2: the values on the right.
        rtol: how far apart they may be, as a share.
        atol: how far apart they may be.
        equal_nan: whether nan equals nan.

    Returns:
        A tensor of one truth value.

    Example:
        >>> ops.allclose([1.0, 2.0], [1.0, 2.0 + 1e-9])
        tensor(True)
    """
    return isclose(x1, x2, rtol, atol, equal_nan).all()


@op
def logical_and(x1: Array, x2: Array) -> Tensor:
    """Whether both are other than 0.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.logical_and([True, True], [True, False])
        tensor([ True, False])
    """
    return torch.logical_and(*tensors(x1, x2))


@op
def logical_or(x1: Array, x2: Array) -> Tensor:
    """Whether one or both are other than 0.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.logical_or([False, True], [False, False])
        tensor([False,  True])
    """
    return torch.logical_or(*tensors(x1, x2))


@op
def logical_xor(x1: Array, x2: Array) -> Tensor:
    """Whether one is other than 0 and the other is 0.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        Truth values, of the shape that both broadcast to.

    Example:
        >>> ops.logical_xor([True, True], [True, False])
        tensor([False,  True])
    """
    return torch.logical_xor(*tensors(x1, x2))
