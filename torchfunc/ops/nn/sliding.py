"""Sliding: what windows and kernels make of space. Kernels are Keras's: (*window, channels in, channels out)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import ShapeError, explain
from torchfunc.ops.conversion import Array, Shape, tensors, to_tensor
from torchfunc.ops.layout import each, inward, is_last, outward
from torchfunc.ops.op import op

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_ADAPTIVE_AVERAGE: dict[int, Any] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def _rank(x: Tensor) -> int:
    if x.ndim not in (3, 4, 5):
        expected = "3, 4 or 5 dimensions (batch, space and channels)"
        raise ShapeError(explain("inputs", got=f"shape {tuple(x.shape)}", expected=expected, fix="x[None]"))
    return x.ndim - 2


def same_sides(lengths: Sequence[int], windows: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The padding that makes ceil(length / stride) windows fit, as `F.pad` takes it: the last dimension first."""
    sides: list[int] = []
    for length, window, stride in zip(reversed(lengths), reversed(windows), reversed(strides), strict=True):
        total = max(((length + stride - 1) // stride - 1) * stride + window - length, 0)
        sides += [total // 2, total - total // 2]
    return sides


@op
def max_pool(
    inputs: Array,
    pool_size: Shape,
    strides: Shape | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest value under each window; what padding="same" adds is never the largest.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        pool_size: the size of the window.
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The pooled inputs.

    Example:
        >>> ops.max_pool(ops.reshape(ops.arange(4.0), (1, 4, 1)), 2).ravel()
        tensor([1., 3.])
    """
    x = inward(to_tensor(inputs), data_format)
    rank = _rank(x)
    size = each(pool_size, rank, "pool_size")
    step = size if strides is None else each(strides, rank, "strides")
    if padding == "same":
        lowest = float("-inf") if x.is_floating_point() else torch.iinfo(x.dtype).min
        x = F.pad(x, same_sides(x.shape[2:], size, step), value=lowest)
    return outward(_MAX[rank](x, size, step), data_format)


@op
def average_pool(
    inputs: Array,
    pool_size: Shape,
    strides: Shape | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean under each window; what padding="same" adds is not counted.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        pool_size: the size of the window.
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The pooled inputs.

    Example:
        >>> ops.average_pool(ops.reshape(ops.arange(4.0), (1, 4, 1)), 2).ravel()
        tensor([0.5000, 2.5000])
    """
    x = inward(to_tensor(inputs), data_format)
    rank = _rank(x)
    size = each(pool_size, rank, "pool_size")
    step = size if strides is None else each(strides, rank, "strides")
    if padding != "same":
        return outward(_AVERAGE[rank](x, size, step), data_format)
    sides = same_sides(x.shape[2:], size, step)
    counted = F.pad(torch.ones_like(x[:1, :1]), sides)
    means = _AVERAGE[rank](F.pad(x, sides), size, step)
    return outward(means / _AVERAGE[rank](counted, size, step), data_format)


@op
def adaptive_max_pool(inputs: Array, output_size: Shape, data_format: str | None = None) -> Tensor:
    """The largest value under windows that are as large as `output_size` results ask for.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        output_size: the sizes in space of the result.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The pooled inputs.

    Example:
        >>> ops.adaptive_max_pool(ops.ones((1, 6, 2)), 3).shape
        torch.Size([1, 3, 2])
    """
    x = inward(to_tensor(inputs), data_format)
    size = each(output_size, _rank(x), "output_size")
    return outward(_ADAPTIVE_MAX[x.ndim - 2](x, size), data_format)


@op
def adaptive_average_pool(inputs: Array, output_size: Shape, data_format: str | None = None) -> Tensor:
    """The mean under windows that are as large as `output_size` results ask for.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        output_size: the sizes in space of the result.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The pooled inputs.

    Example:
        >>> ops.adaptive_average_pool(ops.ones((1, 6, 2)), 3).shape
        torch.Size([1, 3, 2])
    """
    x = inward(to_tensor(inputs), data_format)
    size = each(output_size, _rank(x), "output_size")
    return outward(_ADAPTIVE_AVERAGE[x.ndim - 2](x, size), data_format)


@op
def conv(
    inputs: Array,
    kernel: Array,
    strides: Shape = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Shape = 1,
) -> Tensor:
    """A convolution; where the kernel takes fewer channels than there are, in as many groups as fit.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        kernel: the weights, (window..., channels in, channels out).
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.
        dilation_rate: how far apart the values lie that a window sees.

    Returns:
        The convolved inputs.

    Raises:
        ShapeError: channels that the kernel's do not divide.

    Example:
        >>> ops.conv(ops.ones((1, 8, 8, 3)), ops.ones((3, 3, 3, 16))).shape
        torch.Size([1, 6, 6, 16])
    """
    x, kernel = tensors(inputs, kernel)
    return _convolved(x, kernel, strides, padding, data_format, dilation_rate)


def _convolved(
    x: Tensor, kernel: Tensor, strides: Shape, padding: str, data_format: str | None, dilation_rate: Shape
) -> Tensor:
    x, rank = inward(x, data_format), _rank(x)
    weight = kernel.movedim((-1, -2), (0, 1))
    if x.shape[1] % weight.shape[1]:
        raise ShapeError(
            explain(
                "conv",
                got=f"{x.shape[1]} channels",
                expected=f"a multiple of the kernel's {weight.shape[1]}",
                fix="another data_format, or a kernel of (*window, channels in, channels out)",
            )
        )
    step, dilation = each(strides, rank, "strides"), each(dilation_rate, rank, "dilation_rate")
    if padding == "same":
        windows = [(size - 1) * rate + 1 for size, rate in zip(weight.shape[2:], dilation, strict=True)]
        x = F.pad(x, same_sides(x.shape[2:], windows, step))
    groups = x.shape[1] // weight.shape[1]
    return outward(_CONV[rank](x, weight, None, step, 0, dilation, groups), data_format)


def _depthwise(
    x: Tensor, kernel: Tensor, strides: Shape, padding: str, data_format: str | None, dilation_rate: Shape
) -> Tensor:
    channels = x.shape[-1 if is_last(data_format) else 1]
    if kernel.shape[-2] != channels:
        got = f"a kernel of shape {tuple(kernel.shape)}"
        way = "a kernel of (*window, channels, multiplier)"
        raise ShapeError(explain("depthwise_conv", got=got, expected=f"{channels} channels in it", fix=way))
    kernel = kernel.reshape(*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    return _convolved(x, kernel, strides, padding, data_format, dilation_rate)


@op
def depthwise_conv(
    inputs: Array,
    kernel: Array,
    strides: Shape = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Shape = 1,
) -> Tensor:
    """A convolution of each channel by itself, with a kernel of (*window, channels, multiplier).

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        kernel: the weights, (window..., channels, multiplier).
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.
        dilation_rate: how far apart the values lie that a window sees.

    Returns:
        The convolved inputs, with channels for each channel of the inputs.

    Example:
        >>> ops.depthwise_conv(ops.ones((1, 8, 8, 3)), ops.ones((3, 3, 3, 2))).shape
        torch.Size([1, 6, 6, 6])
    """
    x, kernel = tensors(inputs, kernel)
    return _depthwise(x, kernel, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Array,
    depthwise_kernel: Array,
    pointwise_kernel: Array,
    strides: Shape = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Shape = 1,
) -> Tensor:
    """A convolution of each channel by itself, then one that mixes the channels.

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        depthwise_kernel: the weights of each channel, (window..., channels, multiplier).
        pointwise_kernel: the weights that mix the channels.
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; None is the global setting.
        dilation_rate: how far apart the values lie that a window sees.

    Returns:
        The convolved inputs.

    Example:
        >>> ops.separable_conv(ops.ones((1, 8, 3)), ops.ones((3, 3, 1)), ops.ones((1, 3, 16))).shape
        torch.Size([1, 6, 16])
    """
    x, depthwise, pointwise = tensors(inputs, depthwise_kernel, pointwise_kernel)
    x = _depthwise(x, depthwise, strides, padding, data_format, dilation_rate)
    return _convolved(x, pointwise, 1, "valid", data_format, 1)


@op
def conv_transpose(
    inputs: Array,
    kernel: Array,
    strides: Shape = 1,
    padding: str = "valid",
    output_padding: Shape | None = None,
    data_format: str | None = None,
    dilation_rate: Shape = 1,
) -> Tensor:
    """The transpose of a convolution, with a kernel of (*window, channels out, channels in).

    Args:
        inputs: the values (batch, ..., channels), or channels first.
        kernel: the weights, (window..., channels out, channels in).
        strides: how far the window moves, a number or one for each axis.
        padding: "valid" or "same".
        output_padding: what is added to the size of the result.
        data_format: "channels_last" or "channels_first"; None is the global setting.
        dilation_rate: how far apart the values lie that a window sees.

    Returns:
        The inputs, spread.

    Example:
        >>> ops.conv_transpose(ops.ones((1, 4, 4, 3)), ops.ones((2, 2, 8, 3)), strides=2).shape
        torch.Size([1, 8, 8, 8])
    """
    x, kernel = tensors(inputs, kernel)
    x, rank = inward(x, data_format), _rank(x)
    step, dilation = each(strides, rank, "strides"), each(dilation_rate, rank, "dilation_rate")
    more = (None,) * rank if output_padding is None else each(output_padding, rank, "output_padding")
    weight = kernel.movedim((-1, -2), (0, 1))
    sides: list[int] = []
    for size, stride, rate, extra in zip(weight.shape[2:], step, dilation, more, strict=True):
        sides = [*_trimmed((size - 1) * rate + 1, stride, padding, extra), *sides]
    whole = _TRANSPOSED[rank](x, weight, stride=step, dilation=dilation)
    return outward(F.pad(whole, sides), data_format)


def _trimmed(window: int, stride: int, padding: str, extra: int | None) -> tuple[int, int]:
    """What is added to the whole of a transposed convolution at both sides: mostly less than nothing."""
    if padding == "valid":
        return 0, max(stride - window, 0) if extra is None else extra
    total = stride + window - 2 if extra is None else window + window % 2 - 2 + extra
    left = min(total // 2 + total % 2, window - 1)
    return left - window + 1, total - left - window + 1


@op
def unfold(
    x: Array, kernel_size: Shape, dilation: Shape = 1, padding: Shape = 0, stride: Shape = 1
) -> Tensor:
    """The windows of a (batch, channels, height, width) as columns: (batch, channels * window, windows).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        kernel_size: the size of the window.
        dilation: how far apart the values lie that a window sees.
        padding: how many zeros come at each side.
        stride: how far the window moves.

    Returns:
        The windows (batch, channels * window, windows).

    Example:
        >>> ops.unfold(ops.ones((1, 3, 4, 4)), 2).shape
        torch.Size([1, 12, 9])
    """
    return F.unfold(to_tensor(x), kernel_size, dilation, padding, stride)  # type: ignore[arg-type]


@op
def fold(
    x: Array,
    output_size: Shape,
    kernel_size: Shape,
    dilation: Shape = 1,
    padding: Shape = 0,
    stride: Shape = 1,
) -> Tensor:
    """The sum of what `unfold` spread: (batch, channels, height, width).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        output_size: the sizes in space of the result.
        kernel_size: the size of the window.
        dilation: how far apart the values lie that a window sees.
        padding: how many were added at each side.
        stride: how far the window moves.

    Returns:
        The sums (batch, channels, height, width).

    Example:
        >>> ops.fold(ops.ones((1, 12, 9)), (4, 4), 2).shape
        torch.Size([1, 3, 4, 4])
    """
    return F.fold(to_tensor(x), output_size, kernel_size, dilation, padding, stride)  # type: ignore[arg-type]


@op
def depth_to_space(x: Array, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Channels laid out as blocks of space, the position in the block counting before the channel.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        block_size: the side of a block.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        A tensor that is larger in space, with fewer channels.

    Example:
        >>> ops.depth_to_space(ops.ones((1, 2, 2, 4)), 2).shape
        torch.Size([1, 4, 4, 1])
    """
    x = inward(to_tensor(x), data_format)
    count, channels, height, width = x.shape
    rest = channels // block_size**2
    if is_last(data_format):
        x = x.reshape(count, block_size, block_size, rest, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(count, rest, block_size, block_size, height, width).permute(0, 1, 4, 2, 5, 3)
    return outward(x.reshape(count, rest, height * block_size, width * block_size), data_format)


@op
def space_to_depth(x: Array, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of space laid out as channels: what `depth_to_space` undoes.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        block_size: the side of a block.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        A tensor that is smaller in space, with more channels.

    Example:
        >>> ops.space_to_depth(ops.ones((1, 4, 4, 1)), 2).shape
        torch.Size([1, 2, 2, 4])
    """
    x = inward(to_tensor(x), data_format)
    count, channels, height, width = x.shape
    rows, columns = height // block_size, width // block_size
    x = x.reshape(count, channels, rows, block_size, columns, block_size)
    order = (0, 3, 5, 1, 2, 4) if is_last(data_format) else (0, 1, 3, 5, 2, 4)
    return outward(x.permute(*order).flatten(1, 3), data_format)
