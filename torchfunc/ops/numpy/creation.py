"""Creation: tensors of one value, of a sequence, of a window or of a pattern, by NumPy's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, DType, Shape, kind_of, result_type, tensors, to_dtype, to_tensor
from torchfunc.ops.op import op


def _sizes(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


@op
def array(x: Array, dtype: DType = None) -> Tensor:
    """A value as a tensor.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor.

    Example:
        >>> ops.array([1, 2, 3])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    return to_tensor(x, None if dtype is None else to_dtype(dtype))


@op
def zeros(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor of zeros.

    Args:
        shape: the sizes of the result.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that shape.

    Example:
        >>> ops.zeros((2, 3))
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    return torch.zeros(_sizes(shape), dtype=to_dtype(dtype))


@op
def ones(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor of ones.

    Args:
        shape: the sizes of the result.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that shape.

    Example:
        >>> ops.ones((2, 3))
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """
    return torch.ones(_sizes(shape), dtype=to_dtype(dtype))


@op
def empty(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor whose values nobody may count on: zeros, so that no old memory is shown.

    Args:
        shape: the sizes of the result.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that shape, with values that mean nothing.

    Example:
        >>> ops.empty((2, 3)).shape
        torch.Size([2, 3])
    """
    return torch.zeros(_sizes(shape), dtype=to_dtype(dtype))


@op
def full(shape: Shape, fill_value: Array, dtype: DType = None) -> Tensor:
    """A tensor of a value, or of a row of values repeated, in float32 where no dtype is said.

    Args:
        shape: the sizes of the result.
        fill_value: the value.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of that shape.

    Example:
        >>> ops.full((2, 2), 7)
        tensor([[7., 7.],
                [7., 7.]])
    """
    return to_tensor(fill_value, to_dtype(dtype)).expand(_sizes(shape)).clone()


@op
def zeros_like(x: Array, dtype: DType = None) -> Tensor:
    """Zeros of another tensor's shape, and of its dtype where none is said.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.zeros_like([[1.0, 2.0]])
        tensor([[0., 0.]])
    """
    x = to_tensor(x)
    return torch.zeros_like(x, dtype=x.dtype if dtype is None else to_dtype(dtype))


@op
def ones_like(x: Array, dtype: DType = None) -> Tensor:
    """Ones of another tensor's shape, and of its dtype where none is said.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.ones_like([[1.0, 2.0]])
        tensor([[1., 1.]])
    """
    x = to_tensor(x)
    return torch.ones_like(x, dtype=x.dtype if dtype is None else to_dtype(dtype))


@op
def empty_like(x: Array, dtype: DType = None) -> Tensor:
    """As `empty`, of another tensor's shape, and of its dtype where none is said.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`, with values that mean nothing.

    Example:
        >>> ops.empty_like([[1.0, 2.0]]).shape
        torch.Size([1, 2])
    """
    x = to_tensor(x)
    return torch.zeros_like(x, dtype=x.dtype if dtype is None else to_dtype(dtype))


@op
def full_like(x: Array, fill_value: Array, dtype: DType = None) -> Tensor:
    """A value in another tensor's shape, and in its dtype where none is said.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        fill_value: the value.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.full_like([[1, 2]], 7)
        tensor([[7, 7]], dtype=torch.int32)
    """
    x = to_tensor(x)
    value = to_tensor(fill_value, x.dtype if dtype is None else to_dtype(dtype))
    return value.to(x.device).expand(x.shape).clone()


@op
def eye(N: int, M: int | None = None, k: int | None = 0, dtype: DType = None) -> Tensor:
    """(N, M) zeros with ones on the diagonal k; M is N where it is not said.

    Args:
        N: the rows.
        M: the columns; None makes as many as rows.
        k: which diagonal: 0 is the main one, 1 the one above it.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A matrix (N, M).

    Example:
        >>> ops.eye(2, 3)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    rows = torch.arange(N).unsqueeze(1)
    return (torch.arange(N if M is None else M) - rows == (k or 0)).to(to_dtype(dtype))


@op
def identity(n: int, dtype: DType = None) -> Tensor:
    """(n, n) zeros with ones on the diagonal.

    Args:
        n: the rows and columns.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A matrix (n, n).

    Example:
        >>> ops.identity(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return torch.eye(n).to(to_dtype(dtype))


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Tensor:
    """(N, M) with ones on the diagonal k and below it, zeros above.

    Args:
        N: the rows.
        M: the columns; None makes as many as rows.
        k: which diagonal: 0 is the main one, 1 the one above it.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A matrix (N, M).

    Example:
        >>> ops.tri(2, 3)
        tensor([[1., 0., 0.],
                [1., 1., 0.]])
    """
    return torch.ones(N, N if M is None else M, dtype=to_dtype(dtype)).tril(k)


@op
def arange(start: Array, stop: Array = None, step: Array = None, dtype: DType = None) -> Tensor:
    """Numbers from start (0, where one bound is given) up to and without stop.

    Args:
        start: the first value, or the end where it is given alone.
        stop: the end.
        step: how far apart they are.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.

    Returns:
        A tensor of one axis.

    Example:
        >>> ops.arange(4)
        tensor([0, 1, 2, 3], dtype=torch.int32)
        >>> ops.arange(1.0, 2.0, 0.5)
        tensor([1.0000, 1.5000])
    """
    first, last = (0, start) if stop is None else (start, stop)
    size = 1 if step is None else step
    kinds = [kind_of(each) for each in (start, stop, step) if each is not None]
    found = result_type(*kinds) if dtype is None else to_dtype(dtype)
    bounds: Any = (first, last, size)
    return torch.arange(*bounds, dtype=found)


def _floats(start: Array, stop: Array, dtype: DType) -> torch.dtype:
    return to_dtype(dtype) if dtype is not None else result_type(kind_of(start), kind_of(stop), float)


def _spaced(start: Array, stop: Array, num: int, endpoint: bool, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """`num` numbers from start to stop along a new first axis, computed in floats, and the step between two."""
    if num < 0:
        raise ShapeError(explain("num", got=str(num), expected="at least 0", fix="num=50"))
    wide = kind if kind.is_floating_point else torch.get_default_dtype()
    first, last = (each.to(wide) for each in tensors(start, stop))
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else torch.full_like(last - first, float("nan"))
    places = torch.arange(num, dtype=wide, device=step.device).reshape(-1, *[1] * step.ndim)
    ways = places / max(parts, 1)
    # from both ends, so that the last number is `stop` itself
    found = torch.where(ways < 0.5, first + ways * (last - first), last - (1 - ways) * (last - first))
    return found, step


@op
def linspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: DType = None, axis: int = 0,
) -> Any:  # fmt: skip
    """`num` numbers at equal distances from start to stop along `axis`; with `retstep` the distance too.

    Args:
        start: the first value.
        stop: the end.
        num: how many values there are.
        endpoint: whether the end is the last value.
        retstep: whether the step is given too.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor with `num` values along `axis`; with `retstep` a pair of it and the step.

    Example:
        >>> ops.linspace(0.0, 1.0, 5)
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    kind = _floats(start, stop, dtype)
    found, step = _spaced(start, stop, num, endpoint, kind)
    found = found.to(kind).movedim(0, axis)
    return (found, step) if retstep else found


@op
def logspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, base: float = 10,
    dtype: DType = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    """`base` to the powers that `linspace` gives.

    Args:
        start: the exponent of the first value.
        stop: the exponent of the last.
        num: how many values there are.
        endpoint: whether the end is the last value.
        base: what is raised.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor with `num` values along `axis`.

    Example:
        >>> ops.logspace(0.0, 2.0, 3)
        tensor([  1.,  10., 100.])
    """
    kind = _floats(start, stop, dtype)
    return torch.pow(base, _spaced(start, stop, num, endpoint, kind)[0]).to(kind).movedim(0, axis)


@op
def geomspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, dtype: DType = None, axis: int = 0
) -> Tensor:
    """`num` numbers from start to stop, each the same multiple of the one before; both of one sign.

    Args:
        start: the first value.
        stop: the end.
        num: how many values there are.
        endpoint: whether the end is the last value.
        dtype: the dtype of the result, by name or of torch; None leaves it to the values.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor with `num` values along `axis`.

    Example:
        >>> ops.geomspace(1.0, 8.0, 4)
        tensor([1.0000, 2.0000, 4.0000, 8.0000])
    """
    kind = _floats(start, stop, dtype)
    first, last = (each.to(kind) for each in tensors(start, stop))
    powers = _spaced(first.abs().log10(), last.abs().log10(), num, endpoint, kind)[0]
    return (torch.pow(10.0, powers) * first.sign()).to(kind).movedim(0, axis)


def _window(x: Array, name: str) -> int:
    """How many points a window has: a number of Python, or a tensor that holds one."""
    found = to_tensor(x)
    if found.is_meta:
        fix = f"ops.{name}(8), with a number of Python"
        raise GraphError(explain(f"ops.{name}", got="a symbol", expected="the number of points", fix=fix))
    return int(found)


@op
def bartlett(x: Array) -> Tensor:
    """A triangle of x points: `1 - abs(2 n / (x - 1) - 1)`.

    Args:
        x: how many values.

    Returns:
        A tensor with `x` values.

    Example:
        >>> ops.bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return torch.signal.windows.bartlett(_window(x, "bartlett"))


@op
def blackman(x: Array) -> Tensor:
    """Blackman's window of x points: `0.42 - 0.5 cos(a) + 0.08 cos(2 a)` with `a = 2 pi n / (x - 1)`.

    Args:
        x: how many values.

    Returns:
        A tensor with `x` values.

    Example:
        >>> ops.blackman(5)[1:4]
        tensor([0.3400, 1.0000, 0.3400])
    """
    return torch.signal.windows.blackman(_window(x, "blackman"))


@op
def hamming(x: Array) -> Tensor:
    """Hamming's window of x points: `0.54 - 0.46 cos(2 pi n / (x - 1))`.

    Args:
        x: how many values.

    Returns:
        A tensor with `x` values.

    Example:
        >>> ops.hamming(5)
        tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    return torch.signal.windows.hamming(_window(x, "hamming"))


@op
def hanning(x: Array) -> Tensor:
    """Hann's window of x points: `0.5 - 0.5 cos(2 pi n / (x - 1))`.

    Args:
        x: how many values.

    Returns:
        A tensor with `x` values.

    Example:
        >>> ops.hanning(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return torch.signal.windows.hann(_window(x, "hanning"))


@op
def kaiser(x: Array, beta: float) -> Tensor:
    """Kaiser's window of x points: `i0(beta sqrt(1 - (2 n / (x - 1) - 1)^2)) / i0(beta)`.

    Args:
        x: how many values.
        beta: the form of the window.

    Returns:
        A tensor with `x` values.

    Example:
        >>> ops.kaiser(5, beta=14.0).round(decimals=2)
        tensor([0.0000, 0.1600, 1.0000, 0.1600, 0.0000])
    """
    return torch.signal.windows.kaiser(_window(x, "kaiser"), beta=float(beta))


@op
def meshgrid(*x: Array, indexing: str = "xy") -> Any:
    """A tensor for each vector, of the grid that they span; the first two axes change places with "xy".

    Args:
        x: tensors of one axis.
        indexing: "xy" or "ij".

    Returns:
        A list of tensors of one shape, one for each `x`.

    Example:
        >>> rows, columns = ops.meshgrid([1, 2], [3, 4, 5])
        >>> rows
        tensor([[1, 2],
                [1, 2],
                [1, 2]], dtype=torch.int32)
    """
    return torch.meshgrid(*tensors(*x), indexing=indexing)


@op
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector as columns, N of them (as many as numbers), the highest first.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        N: the columns; None makes as many as values.
        increasing: whether the powers grow.

    Returns:
        A matrix (len(x), N).

    Example:
        >>> ops.vander([1, 2, 3], 3)
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]], dtype=torch.int32)
    """
    found = to_tensor(x)
    powers = torch.arange(found.shape[0] if N is None else N, device=found.device)
    kind = torch.int32 if found.dtype is torch.bool else found.dtype
    return found.to(kind).unsqueeze(-1) ** (powers if increasing else powers.flip(0)).to(kind)
