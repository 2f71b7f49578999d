"""Coloring: the colours of pixels, their neighbours and what differs between two images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import DTypeError, ShapeError, explain
from torchfunc.ops.conversion import Array, floating, to_tensor
from torchfunc.ops.layout import batch_of, inward, is_last, outward
from torchfunc.ops.op import op


def _channels(data_format: str | None) -> int:
    return -1 if is_last(data_format) else -3


@op
def rgb_to_grayscale(images: Array, data_format: str | None = None) -> Tensor:
    """`0.2989 r + 0.587 g + 0.114 b`, in one channel.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The images, with one channel.

    Raises:
        ShapeError: neither one nor three channels.

    Example:
        >>> ops.image.rgb_to_grayscale(ops.ones((1, 2, 2, 3))).shape
        torch.Size([1, 2, 2, 1])
    """
    images, axis = to_tensor(images), _channels(data_format)
    batch_of(images)
    if images.shape[axis] not in (1, 3):
        got = f"shape {tuple(images.shape)}"
        fix = "another data_format"
        raise ShapeError(explain("rgb_to_grayscale", got=got, expected="3 channels, or 1", fix=fix))
    if images.shape[axis] == 1:
        return images.clone()
    red, green, blue = images.unbind(axis)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(images.dtype).unsqueeze(axis)


def _planes(name: str, images: Array, data_format: str | None) -> tuple[Tensor, Tensor, Tensor]:
    found = to_tensor(images)
    batch_of(found)
    if not found.is_floating_point():
        fix = "ops.cast(images, 'float32') / 255"
        raise DTypeError(explain(name, got=str(found.dtype), expected="floats from 0 to 1", fix=fix))
    first, second, third = found.unbind(_channels(data_format))
    return first, second, third


@op
def rgb_to_hsv(images: Array, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value, each from 0 to 1 (Smith 1978).

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The images in the other colours.

    Raises:
        DTypeError: not of floats.

    Example:
        >>> ops.image.rgb_to_hsv([[[1.0, 0.0, 0.0]]])
        tensor([[[0., 1., 1.]]])
    """
    eps = torch.finfo(to_tensor(images).dtype).eps if to_tensor(images).is_floating_point() else 0.0
    planes = _planes("rgb_to_hsv", images, data_format)
    red, green, blue = (plane.where(plane.abs() >= eps, 0.0) for plane in planes)
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    sixth = 1.0 / (6.0 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = torch.where(spread > 0, torch.where(value == red, sixth * (green - blue), hue), 0.0)
    return torch.stack((torch.where(hue < 0, hue + 1.0, hue), saturation, value), _channels(data_format))


@op
def hsv_to_rgb(images: Array, data_format: str | None = None) -> Tensor:
    """What `rgb_to_hsv` undoes.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The images in the other colours.

    Raises:
        DTypeError: not of floats.

    Example:
        >>> ops.image.hsv_to_rgb([[[0.0, 1.0, 1.0]]])
        tensor([[[1., 0., 0.]]])
    """
    hue, saturation, value = _planes("hsv_to_rgb", images, data_format)
    turn = torch.remainder(hue, 1.0) * 6.0
    shares = ((turn - 3).abs() - 1, 2 - (turn - 2).abs(), 2 - (turn - 4).abs())
    mixed = [value * (1.0 - saturation + saturation * share.clamp(0.0, 1.0)) for share in shares]
    return torch.stack(mixed, _channels(data_format))


def _gaussian(size: int, sigma: float, like: Tensor) -> Tensor:
    places = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    return weights / weights.sum()


def _each_channel(x: Tensor, kernel: Tensor, padding: Sequence[int]) -> Tensor:
    """A kernel over each channel of (batch, channels, height, width)."""
    count = x.shape[1]
    return F.conv2d(x, kernel.expand(count, 1, *kernel.shape), padding=tuple(padding), groups=count)


def blurred(x: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """(batch, channels, height, width) under a window of Gauss."""
    rows, columns = _gaussian(kernel_size[0], sigma[1], x), _gaussian(kernel_size[1], sigma[0], x)
    return _each_channel(x, torch.outer(rows, columns), [size // 2 for size in kernel_size])


@op
def gaussian_blur(
    images: Array,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Each pixel as a mean of those around it, weighed by a normal distribution; black beyond the edge.

    Args:
        kernel_size: the window's height and width.
        sigma: the deviation along the width and along the height.
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The blurred images.

    Example:
        >>> ops.image.gaussian_blur(ops.ones((1, 4, 4, 3))).shape
        torch.Size([1, 4, 4, 3])
    """
    batch, alone = batch_of(to_tensor(images))
    found = outward(blurred(inward(batch, data_format), kernel_size, sigma), data_format)
    return found.squeeze(0) if alone else found


@op
def sobel_edges(images: Array, data_format: str | None = None) -> Tensor:
    """How much each pixel changes downwards and to the right: a last axis of two.

    Args:
        images: one image or a batch of them, (..., height, width, channels) or channels first.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        The edges, two for each channel: down, and to the right.

    Example:
        >>> ops.image.sobel_edges(ops.ones((1, 4, 4, 1))).shape
        torch.Size([1, 4, 4, 1, 2])
    """
    images = to_tensor(images)
    x = inward(images, data_format)
    right = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype, device=x.device)
    edges = [_each_channel(x, kernel, (1, 1)) for kernel in (right.T, right)]
    return torch.stack([outward(each, data_format) for each in edges], -1)


@op
def ssim(
    image1: Array,
    image2: Array,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """The structural similarity of two images, 1 for equal ones (Wang et al. 2004).

    Args:
        image1: images with channels.
        image2: images of the same shape.
        max_val: the largest value that there can be.
        filter_size: the side of the window.
        filter_sigma: the width of its bell curve.
        k1: what holds the means off 0.
        k2: what holds the variances off 0.
        data_format: "channels_last" or "channels_first"; None is the global setting.

    Returns:
        A likeness for each pair of images, at most 1.

    Example:
        >>> ops.image.ssim(ops.ones((1, 16, 16, 1)), ops.ones((1, 16, 16, 1)))
        tensor([1.])
    """
    kind = to_tensor(image1).dtype
    (one, alone), (other, _) = (batch_of(floating(each)) for each in (image1, image2))
    one, other = inward(one, data_format), inward(other, data_format)
    weights = _gaussian(filter_size, filter_sigma, one)
    kernel = torch.outer(weights, weights)

    def mean(x: Tensor) -> Tensor:
        return _each_channel(x, kernel, (0, 0))

    first, second = mean(one), mean(other)
    spread = mean(one * one) - first * first + mean(other * other) - second * second
    together = mean(one * other) - first * second
    low, high = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    same = (2 * first * second + low) * (2 * together + high)
    found = (same / ((first * first + second * second + low) * (spread + high))).mean((1, 2, 3)).to(kind)
    return found.squeeze(0) if alone else found
