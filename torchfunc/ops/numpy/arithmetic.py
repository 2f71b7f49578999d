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
    """`x1 + x2`."""
    return torch.add(*promoted(x1, x2))


@op
def subtract(x1: Array, x2: Array) -> Tensor:
    """`x1 - x2`."""
    return torch.sub(*promoted(x1, x2))


@op
def multiply(x1: Array, x2: Array) -> Tensor:
    """`x1 * x2`."""
    return torch.mul(*promoted(x1, x2))


@op
def divide(x1: Array, x2: Array) -> Tensor:
    """`x1 / x2`, a float."""
    return torch.div(*_floats(x1, x2))


true_divide = divide


@op
def divide_no_nan(x1: Array, x2: Array) -> Tensor:
    """`x1 / x2`, and 0 where x2 is 0; so are the gradients there."""
    one, other = _floats(x1, x2)
    is_zero = other == 0
    return torch.where(is_zero, 0, one / torch.where(is_zero, 1, other))


@op
def floor_divide(x1: Array, x2: Array) -> Tensor:
    """The largest whole number that is not above `x1 / x2`."""
    return torch.floor_divide(*_numbers(x1, x2))


@op
def mod(x1: Array, x2: Array) -> Tensor:
    """What `floor_divide` leaves: it has the sign of x2."""
    return torch.remainder(*_numbers(x1, x2))


@op
def fmod(x1: Array, x2: Array) -> Tensor:
    """What a division towards 0 leaves: it has the sign of x1."""
    return torch.fmod(*_numbers(x1, x2))


@op
def power(x1: Array, x2: Array) -> Tensor:
    """x1 to the power of x2."""
    return torch.pow(*_numbers(x1, x2))


@op
def maximum(x1: Array, x2: Array) -> Tensor:
    """The larger of two; NaN where one is."""
    return torch.maximum(*promoted(x1, x2))


@op
def minimum(x1: Array, x2: Array) -> Tensor:
    """The lesser of two; NaN where one is."""
    return torch.minimum(*promoted(x1, x2))


@op
def fmax(x1: Array, x2: Array) -> Tensor:
    """The larger of two; the other where one is NaN."""
    return torch.fmax(*promoted(x1, x2))


@op
def fmin(x1: Array, x2: Array) -> Tensor:
    """The lesser of two; the other where one is NaN."""
    return torch.fmin(*promoted(x1, x2))


@op
def arctan2(x1: Array, x2: Array) -> Tensor:
    """The radians of the point (x2, x1), from -pi to pi."""
    return torch.atan2(*_wider(x1, x2))


@op
def hypot(x1: Array, x2: Array) -> Tensor:
    """`sqrt(x1^2 + x2^2)`, without overflow."""
    return torch.hypot(*_wider(x1, x2))


@op
def heaviside(x1: Array, x2: Array) -> Tensor:
    """0 below 0, 1 above it, and x2 where x1 is 0."""
    found = promoted(x1, x2)
    return torch.heaviside(*(found if found[0].dtype is torch.bool else _wider(x1, x2)))


@op
def ldexp(x1: Array, x2: Array) -> Tensor:
    """`x1 * 2^x2`, with whole x2.

    Raises:
        DTypeError: x2 is not of integers.
    """
    one, powers = tensors(x1, x2)
    if powers.is_floating_point() or powers.is_complex() or powers.dtype is torch.bool:
        fix = "ops.cast(x2, 'int32')"
        raise DTypeError(explain("ldexp's x2", got=str(powers.dtype), expected="integers", fix=fix))
    return torch.ldexp(_floats(one, 1.0)[0], powers)


@op
def logaddexp(x1: Array, x2: Array) -> Tensor:
    """`log(exp(x1) + exp(x2))`, without overflow."""
    return torch.logaddexp(*_wider(x1, x2))


@op
def logaddexp2(x1: Array, x2: Array) -> Tensor:
    """`log2(2^x1 + 2^x2)`, without overflow."""
    return torch.logaddexp2(*_wider(x1, x2))


@op
def nextafter(x1: Array, x2: Array) -> Tensor:
    """The next number of the dtype from x1 towards x2."""
    return torch.nextafter(*_wider(x1, x2))


@op
def gcd(x1: Array, x2: Array) -> Tensor:
    """The largest whole number that divides both."""
    return torch.gcd(*promoted(x1, x2))


@op
def lcm(x1: Array, x2: Array) -> Tensor:
    """The least whole number that both divide."""
    return torch.lcm(*promoted(x1, x2))


@op
def bitwise_and(x: Array, y: Array) -> Tensor:
    """The bits that both have."""
    return torch.bitwise_and(*promoted(x, y))


@op
def bitwise_or(x: Array, y: Array) -> Tensor:
    """The bits that one or both have."""
    return torch.bitwise_or(*promoted(x, y))


@op
def bitwise_xor(x: Array, y: Array) -> Tensor:
    """The bits that one has and the other has not."""
    return torch.bitwise_xor(*promoted(x, y))


@op
def bitwise_left_shift(x: Array, y: Array) -> Tensor:
    """The bits of x moved up by y places."""
    return torch.bitwise_left_shift(*promoted(x, y))


left_shift = bitwise_left_shift


@op
def bitwise_right_shift(x: Array, y: Array) -> Tensor:
    """The bits of x moved down by y places."""
    return torch.bitwise_right_shift(*promoted(x, y))


right_shift = bitwise_right_shift
