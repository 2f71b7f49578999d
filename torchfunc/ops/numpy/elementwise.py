"""Elementwise: what is computed of each value of one tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, finely, floating, promoted, to_tensor
from torchfunc.ops.op import op


@op
def absolute(x: Array) -> Tensor:
    """The size of each value.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.abs([-1.0, 2.0])
        tensor([1., 2.])
    """
    x = to_tensor(x)
    return x if x.dtype is torch.bool else x.abs()


abs = absolute


@op
def fabs(x: Array) -> Tensor:
    """The size of each value, as a float.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.fabs([-1, 2])
        tensor([1., 2.])
    """
    return floating(x).abs()


@op
def angle(x: Array) -> Tensor:
    """The angle of complex values: 0 or pi of real ones.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.angle(torch.tensor([1j, -1.0]))
        tensor([1.5708, 3.1416])
    """
    return to_tensor(x).angle()


@op
def real(x: Array) -> Tensor:
    """The real part.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.real(torch.tensor([1 + 2j]))
        tensor([1.])
    """
    x = to_tensor(x)
    return x.real if x.is_complex() else x


@op
def imag(x: Array) -> Tensor:
    """The imaginary part: zeros of real values.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.imag(torch.tensor([1 + 2j]))
        tensor([2.])
    """
    x = to_tensor(x)
    return x.imag if x.is_complex() else torch.zeros_like(x)


@op
def conjugate(x: Array) -> Tensor:
    """The complex conjugate.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.conj(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return to_tensor(x).conj().resolve_conj()


conj = conjugate


@op
def negative(x: Array) -> Tensor:
    """`-x`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.negative([1, -2])
        tensor([-1,  2], dtype=torch.int32)
    """
    return -to_tensor(x)


@op
def sign(x: Array) -> Tensor:
    """-1, 0 or 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sign([-3.0, 0.0, 2.0])
        tensor([-1.,  0.,  1.])
    """
    return to_tensor(x).sign()


@op
def signbit(x: Array) -> Tensor:
    """Whether a value is below 0, or is -0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.signbit([-1.0, 0.0, -0.0])
        tensor([ True, False,  True])
    """
    return to_tensor(x).signbit()


@op
def square(x: Array) -> Tensor:
    """`x * x`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.square([2.0, -3.0])
        tensor([4., 9.])
    """
    x = to_tensor(x)
    return x.int() if x.dtype is torch.bool else x.square()


@op
def sqrt(x: Array) -> Tensor:
    """The square root.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sqrt([4, 9])
        tensor([2., 3.])
    """
    return floating(x).sqrt()


@op
def cbrt(x: Array) -> Tensor:
    """The real cube root, of negative values too.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.cbrt([8.0, -27.0])
        tensor([ 2., -3.])
    """
    x = finely(x)
    return x.sign() * x.abs().pow(1 / 3)


@op
def reciprocal(x: Array) -> Tensor:
    """`1 / x`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.reciprocal([2.0, 4.0])
        tensor([0.5000, 0.2500])
    """
    return floating(x).reciprocal()


@op
def exp(x: Array) -> Tensor:
    """e to the power of x.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.exp([0.0, 1.0])
        tensor([1.0000, 2.7183])
    """
    return floating(x).exp()


@op
def exp2(x: Array) -> Tensor:
    """2 to the power of x.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.exp2([0.0, 3.0])
        tensor([1., 8.])
    """
    return floating(x).exp2()


@op
def expm1(x: Array) -> Tensor:
    """`exp(x) - 1`, exact near 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.expm1([0.0, 1.0])
        tensor([0.0000, 1.7183])
    """
    return floating(x).expm1()


@op
def log(x: Array) -> Tensor:
    """The natural logarithm.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log([1.0, 10.0])
        tensor([0.0000, 2.3026])
    """
    return floating(x).log()


@op
def log10(x: Array) -> Tensor:
    """The logarithm to base 10.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log10([1.0, 100.0])
        tensor([0., 2.])
    """
    return floating(x).log10()


@op
def log1p(x: Array) -> Tensor:
    """`log(1 + x)`, exact near 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log1p([0.0, 1.0])
        tensor([0.0000, 0.6931])
    """
    return floating(x).log1p()


@op
def log2(x: Array) -> Tensor:
    """The logarithm to base 2.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log2([1.0, 8.0])
        tensor([0., 3.])
    """
    return floating(x).log2()


@op
def sin(x: Array) -> Tensor:
    """The sine of radians.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sin([0.0, 1.5708])
        tensor([0., 1.])
    """
    return floating(x).sin()


@op
def cos(x: Array) -> Tensor:
    """The cosine of radians.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.cos([0.0, 3.1416])
        tensor([ 1., -1.])
    """
    return floating(x).cos()


@op
def tan(x: Array) -> Tensor:
    """The tangent of radians.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.tan([0.0, 0.7854])
        tensor([0.0000, 1.0000])
    """
    return floating(x).tan()


@op
def arcsin(x: Array) -> Tensor:
    """The radians whose sine x is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arcsin([0.0, 1.0])
        tensor([0.0000, 1.5708])
    """
    return floating(x).asin()


@op
def arccos(x: Array) -> Tensor:
    """The radians whose cosine x is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arccos([1.0, 0.0])
        tensor([0.0000, 1.5708])
    """
    return floating(x).acos()


@op
def arctan(x: Array) -> Tensor:
    """The radians whose tangent x is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arctan([0.0, 1.0])
        tensor([0.0000, 0.7854])
    """
    return floating(x).atan()


@op
def sinh(x: Array) -> Tensor:
    """`(exp(x) - exp(-x)) / 2`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sinh([0.0, 1.0])
        tensor([0.0000, 1.1752])
    """
    return floating(x).sinh()


@op
def cosh(x: Array) -> Tensor:
    """`(exp(x) + exp(-x)) / 2`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.cosh([0.0, 1.0])
        tensor([1.0000, 1.5431])
    """
    return floating(x).cosh()


@op
def tanh(x: Array) -> Tensor:
    """`sinh(x) / cosh(x)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.tanh([0.0, 1.0])
        tensor([0.0000, 0.7616])
    """
    return floating(x).tanh()


@op
def arcsinh(x: Array) -> Tensor:
    """The inverse of `sinh`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arcsinh([0.0, 1.0])
        tensor([0.0000, 0.8814])
    """
    return floating(x).asinh()


@op
def arccosh(x: Array) -> Tensor:
    """The inverse of `cosh`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arccosh([1.0, 2.0])
        tensor([0.0000, 1.3170])
    """
    return floating(x).acosh()


@op
def arctanh(x: Array) -> Tensor:
    """The inverse of `tanh`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.arctanh([0.0, 0.5])
        tensor([0.0000, 0.5493])
    """
    return floating(x).atanh()


@op
def deg2rad(x: Array) -> Tensor:
    """Degrees as radians.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.deg2rad([0.0, 180.0])
        tensor([0.0000, 3.1416])
    """
    return finely(x).deg2rad()


@op
def rad2deg(x: Array) -> Tensor:
    """Radians as degrees.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.rad2deg([0.0, 3.1415927])
        tensor([  0., 180.])
    """
    return finely(x).rad2deg()


@op
def sinc(x: Array) -> Tensor:
    """`sin(pi x) / (pi x)`, and 1 at 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sinc([0.0, 0.5])
        tensor([1.0000, 0.6366])
    """
    return floating(x).sinc()


@op
def i0(x: Array) -> Tensor:
    """The modified Bessel function of the first kind and order 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.i0([0.0, 1.0])
        tensor([1.0000, 1.2661])
    """
    return finely(x).i0()


@op
def ceil(x: Array) -> Tensor:
    """The least whole number that is not below x, as a float.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.ceil([1.2, -1.2])
        tensor([ 2., -1.])
    """
    return floating(x).ceil()


@op
def floor(x: Array) -> Tensor:
    """The largest whole number that is not above x, as a float.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.floor([1.2, -1.2])
        tensor([ 1., -2.])
    """
    return floating(x).floor()


@op
def trunc(x: Array) -> Tensor:
    """The whole number next to x towards 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.trunc([1.7, -1.7])
        tensor([ 1., -1.])
    """
    x = to_tensor(x)
    return x.trunc() if x.is_floating_point() else x


@op
def round(x: Array, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals, of two the even one.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        decimals: how many digits stay behind the point.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.round([1.24, 2.5], decimals=1)
        tensor([1.2000, 2.5000])
    """
    x = to_tensor(x)
    if x.is_floating_point():
        return x.round(decimals=decimals)
    return x if decimals >= 0 else x.double().round(decimals=decimals).to(x.dtype)


@op
def clip(x: Array, x_min: Array, x_max: Array) -> Tensor:
    """Held between two bounds, numbers or tensors; a bool becomes int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        x_min: the lowest value.
        x_max: the highest value.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.clip([-1, 2, 7], 0, 5)
        tensor([0, 2, 5], dtype=torch.int32)
    """
    found = to_tensor(x)
    values = promoted(found.int() if found.dtype is torch.bool else found, x_min, x_max)
    return torch.clamp(*values)


@op
def nan_to_num(
    x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers where there are none: for NaN, and for infinities, by default the largest of the dtype.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        nan: what stands for nan.
        posinf: what stands for infinity; None is the largest number.
        neginf: what stands for minus infinity; None is the lowest number.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.nan_to_num([1.0, float("nan")], nan=-1.0)
        tensor([ 1., -1.])
    """
    return to_tensor(x).nan_to_num(nan, posinf, neginf)


@op
def isfinite(x: Array) -> Tensor:
    """Whether a value is a number and not infinite.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isfinite([1.0, float("inf")])
        tensor([ True, False])
    """
    return to_tensor(x).isfinite()


@op
def isinf(x: Array) -> Tensor:
    """Whether a value is infinite.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isinf([1.0, float("inf")])
        tensor([False,  True])
    """
    return to_tensor(x).isinf()


@op
def isnan(x: Array) -> Tensor:
    """Whether a value is not a number.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isnan([1.0, float("nan")])
        tensor([False,  True])
    """
    return to_tensor(x).isnan()


@op
def isneginf(x: Array) -> Tensor:
    """Whether a value is minus infinity.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isneginf([float("inf"), -float("inf")])
        tensor([False,  True])
    """
    return to_tensor(x).isneginf()


@op
def isposinf(x: Array) -> Tensor:
    """Whether a value is plus infinity.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isposinf([float("inf"), -float("inf")])
        tensor([ True, False])
    """
    return to_tensor(x).isposinf()


@op
def isreal(x: Array) -> Tensor:
    """Whether a value has no imaginary part.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.isreal(torch.tensor([1 + 0j, 1j]))
        tensor([ True, False])
    """
    return to_tensor(x).isreal()


@op
def logical_not(x: Array) -> Tensor:
    """Whether a value is 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Truth values, of the shape of `x`.

    Example:
        >>> ops.logical_not([True, False])
        tensor([False,  True])
    """
    return to_tensor(x).logical_not()


@op
def bitwise_not(x: Array) -> Tensor:
    """Each bit turned round, of integers and booleans.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.bitwise_invert([0, 5])
        tensor([-1, -6], dtype=torch.int32)
    """
    return to_tensor(x).bitwise_not()


bitwise_invert = bitwise_not
