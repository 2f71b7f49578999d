"""Arithmetic: what two tensors make, value by value, in the one dtype that Keras gives to them."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.errors import DTypeError, explain
from torchfunc.ops.conversion import Array, promoted, tensors
from torchfunc.ops.op import op


def _numbers(x1: Array, x2: Array) -> list[Tensor]:
    """Two tensors of one dtype; int32 where both are of truth values."""
    found = promoted(x1, x2)
    return [each.int() for each in found] if found[0].dtype is torch.bool else found


def _floats(x1: Array, x2: Array) -> list[Tensor]:
    return promoted(x1, x2, beside=float)


def _wider(x1: Array, x2: Array) -> list[Tensor]:
    """Two tensors of one dtype of floats, to which a float of Python adds float32, as in some ops of Keras."""
    is_float = isinstance(x1, float) or isinstance(x2, float)
    return promoted(x1, x2, beside=torch.get_default_dtype() if is_float else float)


@op
def add(x1: Array, x2: Array) -> Tensor:
    """`x1 + x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.add([1, 2], [3, 4])
        tensor([4, 6], dtype=torch.int32)
    """
    return torch.add(*promoted(x1, x2))


@op
def subtract(x1: Array, x2: Array) -> Tensor:
    """`x1 - x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.subtract([5, 2], 1)
        tensor([4, 1], dtype=torch.int32)
    """
    return torch.sub(*promoted(x1, x2))


@op
def multiply(x1: Array, x2: Array) -> Tensor:
    """`x1 * x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.multiply([1.0, 2.0], [[3.0], [4.0]])
        tensor([[3., 6.],
                [4., 8.]])
    """
    return torch.mul(*promoted(x1, x2))


@op
def divide(x1: Array, x2: Array) -> Tensor:
    """`x1 / x2`, a float.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.divide([1, 2], 4)
        tensor([0.2500, 0.5000])
    """
    return torch.div(*_floats(x1, x2))


true_divide = divide


@op
def divide_no_nan(x1: Array, x2: Array) -> Tensor:
    """`x1 / x2`, and 0 where x2 is 0; so are the gradients there.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.divide_no_nan([1.0, 2.0], [0.0, 4.0])
        tensor([0.0000, 0.5000])
    """
    one, other = _floats(x1, x2)
    is_zero = other == 0
    return torch.where(is_zero, 0, one / torch.where(is_zero, 1, other))


@op
def floor_divide(x1: Array, x2: Array) -> Tensor:
    """The largest whole number that is not above `x1 / x2`.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.floor_divide([7, -7], 2)
        tensor([ 3, -4], dtype=torch.int32)
    """
    return torch.floor_divide(*_numbers(x1, x2))


@op
def mod(x1: Array, x2: Array) -> Tensor:
    """What `floor_divide` leaves: it has the sign of x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.mod([7, -7], 3)
        tensor([1, 2], dtype=torch.int32)
    """
    return torch.remainder(*_numbers(x1, x2))


@op
def fmod(x1: Array, x2: Array) -> Tensor:
    """What a division towards 0 leaves: it has the sign of x1.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.fmod([7.0, -7.0], 3.0)
        tensor([ 1., -1.])
    """
    return torch.fmod(*_numbers(x1, x2))


@op
def power(x1: Array, x2: Array) -> Tensor:
    """x1 to the power of x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.power([1, 2, 3], 2)
        tensor([1, 4, 9], dtype=torch.int32)
    """
    return torch.pow(*_numbers(x1, x2))


@op
def maximum(x1: Array, x2: Array) -> Tensor:
    """The larger of two; NaN where one is.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.maximum([1, 5], [4, 2])
        tensor([4, 5], dtype=torch.int32)
    """
    return torch.maximum(*promoted(x1, x2))


@op
def minimum(x1: Array, x2: Array) -> Tensor:
    """The lesser of two; NaN where one is.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.minimum([1, 5], [4, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    return torch.minimum(*promoted(x1, x2))


@op
def fmax(x1: Array, x2: Array) -> Tensor:
    """The larger of two; the other where one is NaN.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.fmax([1.0, float("nan")], [0.0, 2.0])
        tensor([1., 2.])
    """
    return torch.fmax(*promoted(x1, x2))


@op
def fmin(x1: Array, x2: Array) -> Tensor:
    """The lesser of two; the other where one is NaN.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.fmin([1.0, float("nan")], [0.0, 2.0])
        tensor([0., 2.])
    """
    return torch.fmin(*promoted(x1, x2))


@op
def arctan2(x1: Array, x2: Array) -> Tensor:
    """The radians of the point (x2, x1), from -pi to pi.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.arctan2([0.0, 1.0], [1.0, 0.0])
        tensor([0.0000, 1.5708])
    """
    return torch.atan2(*_wider(x1, x2))


@op
def hypot(x1: Array, x2: Array) -> Tensor:
    """`sqrt(x1^2 + x2^2)`, without overflow.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.hypot([3.0, 5.0], [4.0, 12.0])
        tensor([ 5., 13.])
    """
    return torch.hypot(*_wider(x1, x2))


@op
def heaviside(x1: Array, x2: Array) -> Tensor:
    """0 below 0, 1 above it, and x2 where x1 is 0.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.heaviside([-1.0, 0.0, 2.0], 0.5)
        tensor([0.0000, 0.5000, 1.0000])
    """
    found = promoted(x1, x2)
    return torch.heaviside(*(found if found[0].dtype is torch.bool else _wider(x1, x2)))


@op
def ldexp(x1: Array, x2: Array) -> Tensor:
    """`x1 * 2^x2`, with whole x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Raises:
        DTypeError: x2 is not of integers.

    Example:
        >>> ops.ldexp([1.0, 3.0], [2, 1])
        tensor([4., 6.])
    """
    one, powers = tensors(x1, x2)
    if powers.is_floating_point() or powers.is_complex() or powers.dtype is torch.bool:
        fix = "ops.cast(x2, 'int32')"
        raise DTypeError(explain("ldexp's x2", got=str(powers.dtype), expected="integers", fix=fix))
    return torch.ldexp(_floats(one, 1.0)[0], powers)


@op
def logaddexp(x1: Array, x2: Array) -> Tensor:
    """`log(exp(x1) + exp(x2))`, without overflow.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.logaddexp([0.0, 1.0], [0.0, 1.0])
        tensor([0.6931, 1.6931])
    """
    return torch.logaddexp(*_wider(x1, x2))


@op
def logaddexp2(x1: Array, x2: Array) -> Tensor:
    """`log2(2^x1 + 2^x2)`, without overflow.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.logaddexp2([0.0, 1.0], [0.0, 1.0])
        tensor([1., 2.])
    """
    return torch.logaddexp2(*_wider(x1, x2))


@op
def nextafter(x1: Array, x2: Array) -> Tensor:
    """The next number of the dtype from x1 towards x2.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.nextafter([1.0], [2.0]) > 1.0
        tensor([True])
    """
    return torch.nextafter(*_wider(x1, x2))


@op
def gcd(x1: Array, x2: Array) -> Tensor:
    """The largest whole number that divides both.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.gcd([12, 18], [8, 27])
        tensor([4, 9], dtype=torch.int32)
    """
    return torch.gcd(*promoted(x1, x2))


@op
def lcm(x1: Array, x2: Array) -> Tensor:
    """The least whole number that both divide.

    Args:
        x1: the values on the left.
        x2: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.lcm([4, 6], [6, 9])
        tensor([12, 18], dtype=torch.int32)
    """
    return torch.lcm(*promoted(x1, x2))


@op
def bitwise_and(x: Array, y: Array) -> Tensor:
    """The bits that both have.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.bitwise_and([6, 5], 3)
        tensor([2, 1], dtype=torch.int32)
    """
    return torch.bitwise_and(*promoted(x, y))


@op
def bitwise_or(x: Array, y: Array) -> Tensor:
    """The bits that one or both have.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.bitwise_or([6, 5], 3)
        tensor([7, 7], dtype=torch.int32)
    """
    return torch.bitwise_or(*promoted(x, y))


@op
def bitwise_xor(x: Array, y: Array) -> Tensor:
    """The bits that one has and the other has not.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.bitwise_xor([6, 5], 3)
        tensor([5, 6], dtype=torch.int32)
    """
    return torch.bitwise_xor(*promoted(x, y))


@op
def bitwise_left_shift(x: Array, y: Array) -> Tensor:
    """The bits of x moved up by y places.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.bitwise_left_shift([1, 2], 3)
        tensor([ 8, 16], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(*promoted(x, y))


left_shift = bitwise_left_shift


@op
def bitwise_right_shift(x: Array, y: Array) -> Tensor:
    """The bits of x moved down by y places.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the values on the right.

    Returns:
        A tensor of the shape that both broadcast to.

    Example:
        >>> ops.bitwise_right_shift([8, 17], 3)
        tensor([1, 2], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(*promoted(x, y))


right_shift = bitwise_right_shift
