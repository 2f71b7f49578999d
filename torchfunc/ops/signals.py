"""Signals: Fourier transforms of real and imaginary parts, special functions, and sequences of windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import DTypeError, GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, floating, promoted, tensors, to_tensor
from torchfunc.ops.op import op


def _complex(x: Array) -> Tensor:
    """(real, imaginary) as one tensor.

    Raises:
        ShapeError: not two tensors of one shape; DTypeError: not of floats.
    """
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        got = type(x).__name__
        raise ShapeError(explain("x", got=got, expected="a pair (real, imaginary)", fix="(x, zeros_like(x))"))
    real, imaginary = tensors(*x)
    if real.shape != imaginary.shape:
        got = f"shapes {tuple(real.shape)} and {tuple(imaginary.shape)}"
        raise ShapeError(explain("x", got=got, expected="parts of one shape", fix="(x, zeros_like(x))"))
    if not (real.is_floating_point() and imaginary.is_floating_point()):
        got = f"{real.dtype} and {imaginary.dtype}"
        raise DTypeError(explain("x", got=got, expected="parts of floats", fix="ops.cast(x, 'float32')"))
    return torch.complex(real, imaginary)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real, x.imag


@op
def fft(x: Array) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last axis of (real, imaginary).

    Args:
        x: a pair: the real and the imaginary parts.

    Returns:
        A pair: the real and the imaginary parts.

    Example:
        >>> real, imaginary = ops.fft(([1.0, 2.0], [0.0, 0.0]))
        >>> real
        tensor([ 3., -1.])
    """
    return _parts(torch.fft.fft(_complex(x)))


@op
def fft2(x: Array) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last two axes of (real, imaginary).

    Args:
        x: a pair: the real and the imaginary parts.

    Returns:
        A pair: the real and the imaginary parts.

    Example:
        >>> real, imaginary = ops.fft2((ops.ones((2, 2)), ops.zeros((2, 2))))
        >>> real
        tensor([[4., 0.],
                [0., 0.]])
    """
    return _parts(torch.fft.fft2(_complex(x)))


@op
def ifft2(x: Array) -> tuple[Tensor, Tensor]:
    """What `fft2` undoes.

    Args:
        x: a pair: the real and the imaginary parts.

    Returns:
        A pair: the real and the imaginary parts.

    Example:
        >>> real, imaginary = ops.ifft2((ops.ones((2, 2)), ops.zeros((2, 2))))
        >>> real
        tensor([[1., 0.],
                [0., 0.]])
    """
    return _parts(torch.fft.ifft2(_complex(x)))


@op
def rfft(x: Array, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The Fourier transform of real numbers along the last axis, cut or padded to `fft_length`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        fft_length: how many values the transform sees.

    Returns:
        A pair: the real and the imaginary parts.

    Example:
        >>> real, imaginary = ops.rfft([1.0, 2.0, 3.0])
        >>> real
        tensor([ 6.0000, -1.5000])
    """
    return _parts(torch.fft.rfft(to_tensor(x), fft_length))


@op
def irfft(x: Array, fft_length: int | None = None) -> Tensor:
    """What `rfft` undoes.

    Args:
        x: a pair: the real and the imaginary parts.
        fft_length: how long the signal is; None takes twice what there is, less two.

    Returns:
        The signal.

    Example:
        >>> ops.irfft(([6.0, -1.5], [0.0, 0.5]), 3).round(decimals=2)
        tensor([1.0000, 2.2100, 2.7900])
    """
    found: Tensor = torch.fft.irfft(_complex(x), fft_length)
    return found


def _window(window: Any, length: int, like: Tensor) -> Tensor:
    """A window by name or by its values; ones if None.

    Raises:
        GraphError: an unknown name; ShapeError: another length.
    """
    if window is None:
        return torch.ones(length, dtype=like.dtype, device=like.device)
    if isinstance(window, str):
        makers = {"hann": torch.hann_window, "hamming": torch.hamming_window}
        if window not in makers:
            raise GraphError(
                explain("window", got=repr(window), expected="'hann' or 'hamming'", fix="window='hann'")
            )
        return makers[window](length, dtype=like.dtype, device=like.device)
    found = to_tensor(window, like.dtype).to(like.device)
    if tuple(found.shape) != (length,):
        got = f"shape {tuple(found.shape)}"
        raise ShapeError(
            explain("window", got=got, expected=f"({length},), the sequence_length", fix="window='hann'")
        )
    return found


@op
def stft(
    x: Array,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """The short-time Fourier transform: (..., samples) to the parts of (..., sequences, fft_length // 2 + 1).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        sequence_length: the length of a window.
        sequence_stride: how far a window moves.
        fft_length: how many values the transform sees.
        window: "hann", "hamming", a tensor, or None.
        center: whether a window stands in the middle of its place.

    Returns:
        A pair: the real and the imaginary parts (..., frames, frequencies).

    Raises:
        DTypeError: neither float32 nor float64.
        GraphError: an fft_length below the sequence_length.

    Example:
        >>> real, imaginary = ops.stft(ops.ones((1, 32)), 8, 4, 8)
        >>> real.shape
        torch.Size([1, 9, 5])
    """
    x = to_tensor(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise DTypeError(
            explain("stft", got=str(x.dtype), expected="float32 or float64", fix="ops.cast(x, 'float32')")
        )
    if fft_length < sequence_length:
        got = f"fft_length={fft_length}, sequence_length={sequence_length}"
        fix = f"fft_length={sequence_length}"
        raise GraphError(
            explain("stft", got=got, expected="an fft_length of at least sequence_length", fix=fix)
        )
    found = torch.stft(
        x.reshape(-1, x.shape[-1]),
        fft_length,
        sequence_stride,
        sequence_length,
        _window(window, sequence_length, x),
        center=center,
        return_complex=True,
    )
    return _parts(found.reshape(*x.shape[:-1], *found.shape[1:]).transpose(-2, -1))


@op
def istft(
    x: Array,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """What `stft` undoes: the sequences added where they overlap, over the squares of the window that met there.

    With a window shorter than `fft_length`, or without `center`, the squares are those of endless sequences
    (Griffin and Lim 1984), as in TensorFlow's `inverse_stft_window_fn`.

    Args:
        x: a pair: the real and the imaginary parts.
        sequence_length: the length of a window.
        sequence_stride: how far a window moves.
        fft_length: how many values the transform sees.
        length: how long the result is; None takes what there is.
        window: "hann", "hamming", a tensor, or None.
        center: whether a window stands in the middle of its place.

    Returns:
        The signals.

    Example:
        >>> ops.istft(ops.stft(ops.ones((1, 32)), 8, 4, 8), 8, 4, 8).shape
        torch.Size([1, 32])
    """
    frames = torch.fft.irfft(_complex(x), fft_length)
    if window is not None:
        shape = _window(window, sequence_length, frames)
        left = (fft_length - sequence_length) // 2
        shape = F.pad(shape, (left, fft_length - sequence_length - left))
        frames = frames * shape
        if sequence_length == fft_length and center:
            count = frames.shape[-2]
            found = _added(frames, sequence_stride)
            met = _added(shape.square().expand(count, fft_length), sequence_stride)
            return _cut(found / torch.where(met > 1e-11, met, 1.0), fft_length, length, center=center)
        steps = -(-fft_length // sequence_stride)
        squares = F.pad(shape.square(), (0, steps * sequence_stride - fft_length)).reshape(
            steps, sequence_stride
        )
        frames = frames / squares.sum(0).repeat(steps)[:fft_length]
    return _cut(_added(frames, sequence_stride), fft_length, length, center=center)


def _added(frames: Tensor, stride: int) -> Tensor:
    """The sum of (..., sequences, length), each `stride` after the one before."""
    count, length = frames.shape[-2:]
    columns = frames.reshape(-1, count, length).transpose(1, 2)
    total = stride * (count - 1) + length
    return F.fold(columns, (1, total), (1, length), stride=(1, stride)).reshape(*frames.shape[:-2], total)


def _cut(x: Tensor, fft_length: int, length: int | None, *, center: bool) -> Tensor:
    half = fft_length // 2 if center else 0
    if length is None:
        return x[..., half : x.shape[-1] - half]
    found = x[..., half : half + length]
    return F.pad(found, (0, length - found.shape[-1]))


@op
def extract_sequences(x: Array, sequence_length: int, sequence_stride: int) -> Tensor:
    """The windows of the last axis: (..., n) to (..., windows, sequence_length).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        sequence_length: the length of a window.
        sequence_stride: how far a window moves.

    Returns:
        The windows (..., windows, sequence_length).

    Example:
        >>> ops.extract_sequences([1, 2, 3, 4], 2, 1)
        tensor([[1, 2],
                [2, 3],
                [3, 4]], dtype=torch.int32)
    """
    return to_tensor(x).unfold(-1, sequence_length, sequence_stride).clone()


@op
def rsqrt(x: Array) -> Tensor:
    """`1 / sqrt(x)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.rsqrt([4.0, 16.0])
        tensor([0.5000, 0.2500])
    """
    return torch.rsqrt(to_tensor(x))


@op
def erf(x: Array) -> Tensor:
    """The error function.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.erf([0.0, 1.0])
        tensor([0.0000, 0.8427])
    """
    return torch.erf(to_tensor(x))


@op
def erfc(x: Array) -> Tensor:
    """`1 - erf(x)`, exact where erf is near 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.erfc([0.0, 1.0])
        tensor([1.0000, 0.1573])
    """
    return torch.erfc(to_tensor(x))


@op
def erfinv(x: Array) -> Tensor:
    """What `erf` undoes.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.erfinv([0.0, 0.5])
        tensor([0.0000, 0.4769])
    """
    return torch.erfinv(to_tensor(x))


@op
def logdet(x: Array) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        The logarithms.

    Example:
        >>> ops.logdet([[2.0, 0.0], [0.0, 3.0]])
        tensor(1.7918)
    """
    return torch.logdet(to_tensor(x))


@op
def cdist(x: Array, y: Array) -> Tensor:
    """The Euclidean distance of each row of x to each of y: (..., n, d), (..., m, d) to (..., n, m).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        y: the other points.

    Returns:
        The distances (..., rows of `x`, rows of `y`).

    Example:
        >>> ops.cdist([[0.0, 0.0]], [[3.0, 4.0]])
        tensor([[5.]])
    """
    x, y = promoted(x, y)
    return torch.cdist(floating(x), floating(y), compute_mode="donot_use_mm_for_euclid_dist")


@op
def view_as_complex(x: Array) -> Tensor:
    """(..., 2), real and imaginary parts, as complex numbers.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A complex tensor, without the last axis.

    Example:
        >>> ops.view_as_complex([[1.0, 2.0]])
        tensor([1.+2.j])
    """
    return torch.view_as_complex(to_tensor(x))


@op
def view_as_real(x: Array) -> Tensor:
    """Complex numbers as (..., 2), their real and imaginary parts.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor with one axis more, of two.

    Example:
        >>> ops.view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    return torch.view_as_real(to_tensor(x))
