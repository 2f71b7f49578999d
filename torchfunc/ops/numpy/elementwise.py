"""Elementwise: what is computed of each value of one tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, finely, floating, promoted, to_tensor
from torchfunc.ops.op import op


@op
def absolute(x: Array) -> Tensor:
    """The size of each value."""
    x = to_tensor(x)
    return x if x.dtype is torch.bool else x.abs()


abs = absolute


@op
def fabs(x: Array) -> Tensor:
    """The size of each value, as a float."""
    return floating(x).abs()


@op
def angle(x: Array) -> Tensor:
    """The angle of complex values: 0 or pi of real ones."""
    return to_tensor(x).angle()


@op
def real(x: Array) -> Tensor:
    """The real part."""
    x = to_tensor(x)
    return x.real if x.is_complex() else x


@op
def imag(x: Array) -> Tensor:
    """The imaginary part: zeros of real values."""
    x = to_tensor(x)
    return x.imag if x.is_complex() else torch.zeros_like(x)


@op
def conjugate(x: Array) -> Tensor:
    """The complex conjugate."""
    return to_tensor(x).conj().resolve_conj()


conj = conjugate


@op
def negative(x: Array) -> Tensor:
    """`-x`."""
    return -to_tensor(x)


@op
def sign(x: Array) -> Tensor:
    """-1, 0 or 1."""
    return to_tensor(x).sign()


@op
def signbit(x: Array) -> Tensor:
    """Whether a value is below 0, or is -0."""
    return to_tensor(x).signbit()


@op
def square(x: Array) -> Tensor:
    """`x * x`."""
    x = to_tensor(x)
    return x.int() if x.dtype is torch.bool else x.square()


@op
def sqrt(x: Array) -> Tensor:
    """The square root."""
    return floating(x).sqrt()


@op
def cbrt(x: Array) -> Tensor:
    """The real cube root, of negative values too."""
    x = finely(x)
    return x.sign() * x.abs().pow(1 / 3)


@op
def reciprocal(x: Array) -> Tensor:
    """`1 / x`."""
    return floating(x).reciprocal()


@op
def exp(x: Array) -> Tensor:
    """e to the power of x."""
    return floating(x).exp()


@op
def exp2(x: Array) -> Tensor:
    """2 to the power of x."""
    return floating(x).exp2()


@op
def expm1(x: Array) -> Tensor:
    """`exp(x) - 1`, exact near 0."""
    return floating(x).expm1()


@op
def log(x: Array) -> Tensor:
    """The natural logarithm."""
    return floating(x).log()


@op
def log10(x: Array) -> Tensor:
    """The logarithm to base 10."""
    return floating(x).log10()


@op
def log1p(x: Array) -> Tensor:
    """`log(1 + x)`, exact near 0."""
    return floating(x).log1p()


@op
def log2(x: Array) -> Tensor:
    """The logarithm to base 2."""
    return floating(x).log2()


@op
def sin(x: Array) -> Tensor:
    """The sine of radians."""
    return floating(x).sin()


@op
def cos(x: Array) -> Tensor:
    """The cosine of radians."""
    return floating(x).cos()


@op
def tan(x: Array) -> Tensor:
    """The tangent of radians."""
    return floating(x).tan()


@op
def arcsin(x: Array) -> Tensor:
    """The radians whose sine x is."""
    return floating(x).asin()


@op
def arccos(x: Array) -> Tensor:
    """The radians whose cosine x is."""
    return floating(x).acos()


@op
def arctan(x: Array) -> Tensor:
    """The radians whose tangent x is."""
    return floating(x).atan()


@op
def sinh(x: Array) -> Tensor:
    """`(exp(x) - exp(-x)) / 2`."""
    return floating(x).sinh()


@op
def cosh(x: Array) -> Tensor:
    """`(exp(x) + exp(-x)) / 2`."""
    return floating(x).cosh()


@op
def tanh(x: Array) -> Tensor:
    """`sinh(x) / cosh(x)`."""
    return floating(x).tanh()


@op
def arcsinh(x: Array) -> Tensor:
    """The inverse of `sinh`."""
    return floating(x).asinh()


@op
def arccosh(x: Array) -> Tensor:
    """The inverse of `cosh`."""
    return floating(x).acosh()


@op
def arctanh(x: Array) -> Tensor:
    """The inverse of `tanh`."""
    return floating(x).atanh()


@op
def deg2rad(x: Array) -> Tensor:
    """Degrees as radians."""
    return finely(x).deg2rad()


@op
def rad2deg(x: Array) -> Tensor:
    """Radians as degrees."""
    return finely(x).rad2deg()


@op
def sinc(x: Array) -> Tensor:
    """`sin(pi x) / (pi x)`, and 1 at 0."""
    return floating(x).sinc()


@op
def i0(x: Array) -> Tensor:
    """The modified Bessel function of the first kind and order 0."""
    return finely(x).i0()


@op
def ceil(x: Array) -> Tensor:
    """The least whole number that is not below x, as a float."""
    return floating(x).ceil()


@op
def floor(x: Array) -> Tensor:
    """The largest whole number that is not above x, as a float."""
    return floating(x).floor()


@op
def trunc(x: Array) -> Tensor:
    """The whole number next to x towards 0."""
    x = to_tensor(x)
    return x.trunc() if x.is_floating_point() else x


@op
def round(x: Array, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals, of two the even one."""
    x = to_tensor(x)
    if x.is_floating_point():
        return x.round(decimals=decimals)
    return x if decimals >= 0 else x.double().round(decimals=decimals).to(x.dtype)


@op
def clip(x: Array, x_min: Array, x_max: Array) -> Tensor:
    """Held between two bounds, numbers or tensors; a bool becomes int32."""
    found = to_tensor(x)
    values = promoted(found.int() if found.dtype is torch.bool else found, x_min, x_max)
    return torch.clamp(*values)


@op
def nan_to_num(
    x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers where there are none: for NaN, and for infinities, by default the largest of the dtype."""
    return to_tensor(x).nan_to_num(nan, posinf, neginf)


@op
def isfinite(x: Array) -> Tensor:
    """Whether a value is a number and not infinite."""
    return to_tensor(x).isfinite()


@op
def isinf(x: Array) -> Tensor:
    """Whether a value is infinite."""
    return to_tensor(x).isinf()


@op
def isnan(x: Array) -> Tensor:
    """Whether a value is not a number."""
    return to_tensor(x).isnan()


@op
def isneginf(x: Array) -> Tensor:
    """Whether a value is minus infinity."""
    return to_tensor(x).isneginf()


@op
def isposinf(x: Array) -> Tensor:
    """Whether a value is plus infinity."""
    return to_tensor(x).isposinf()


@op
def isreal(x: Array) -> Tensor:
    """Whether a value has no imaginary part."""
    return to_tensor(x).isreal()


@op
def logical_not(x: Array) -> Tensor:
    """Whether a value is 0."""
    return to_tensor(x).logical_not()


@op
def bitwise_not(x: Array) -> Tensor:
    """Each bit turned round, of integers and booleans."""
    return to_tensor(x).bitwise_not()


bitwise_invert = bitwise_not
