"""Sampling: images, channels first, read at other places than their pixels, and smoothed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INTERPOLATIONS = ("nearest", "bilinear")
# what stands beyond the sides, and what PyTorch calls it
FILLS = {
    "reflect": "reflection",
    "wrap": "border",
    "constant": "zeros",
    "nearest": "border",
    "mirror": "reflection",
}


def sampled(
    images: Tensor, x: Tensor, y: Tensor, interpolation: str, fill_mode: str, fill_value: float = 0.0
) -> Tensor:
    """Images read at points: (batch, channels, height, width) at (batch, rows, columns).

    Args:
        images: floats.
        x: the places along the width, in pixels.
        y: the places along the height.
        interpolation: "nearest" or "bilinear".
        fill_mode: what is read beyond the sides: "constant", "nearest" (the last pixel), "wrap", "reflect"
            (c b a | a b c) or "mirror" (c b | a b c).
        fill_value: the constant.
    """
    if images.dtype in (torch.float16, torch.bfloat16):  # which have too few digits for places
        return sampled(images.float(), x, y, interpolation, fill_mode, fill_value).to(images.dtype)
    x, y = x.to(images.dtype), y.to(images.dtype)
    if interpolation == "nearest":
        x, y = x.round(), y.round()
    if fill_mode == "wrap":
        x, y = x % images.shape[-1], y % images.shape[-2]
        images = F.pad(images, (0, 1, 0, 1), mode="circular")
    mirrors = fill_mode == "mirror"
    grid = torch.stack([_scaled(x, images.shape[-1], mirrors), _scaled(y, images.shape[-2], mirrors)], -1)
    shift = fill_value if fill_mode == "constant" else 0.0
    read = F.grid_sample(images - shift if shift else images, grid, interpolation, FILLS[fill_mode], mirrors)
    return read + shift if shift else read


def _scaled(places: Tensor, length: int, mirrors: bool) -> Tensor:
    """Pixels as `grid_sample` counts them: from -1 to 1 between the middles of the outer pixels, or their edges."""
    return places * (2 / max(length - 1, 1)) - 1 if mirrors else (2 * places + 1) / length - 1


def places(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of all pixels, to be broadcast: (1, 1, width) and (1, height, 1)."""
    options = {"dtype": like.dtype, "device": like.device}
    x, y = torch.arange(width, **options), torch.arange(height, **options)  # type: ignore[call-overload]
    return x[None, None], y[None, :, None]


def projected(matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel is read: ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k) with k = c0 x + c1 y + 1.

    Args:
        matrix: (batch, 8), the rows a, b and c.
        height: of the images.
        width: of the images.
    """
    x, y = places(height, width, matrix)
    a0, a1, a2, b0, b1, b2, c0, c1 = matrix.reshape(-1, 8, 1, 1).unbind(1)
    k = c0 * x + c1 * y + 1
    return (a0 * x + a1 * y + a2) / k, (b0 * x + b1 * y + b2) / k


def as_squares(matrix: Tensor) -> Tensor:
    """(batch, 8) as (batch, 3, 3), with the 1 that is left out."""
    matrix = matrix.reshape(-1, 8)
    return torch.cat([matrix, torch.ones_like(matrix[:, :1])], -1).reshape(-1, 3, 3)


def homography(start_points: Tensor, end_points: Tensor) -> Tensor:
    """The projection that takes four end points to their start points: (batch, 4, 2) twice to (batch, 8)."""
    x, y = end_points.unbind(-1)
    u, v = start_points.unbind(-1)
    ones, zeros = torch.ones_like(x), torch.zeros_like(x)
    rows = [
        torch.stack([x, y, ones, zeros, zeros, zeros, -u * x, -u * y], -1),
        torch.stack([zeros, zeros, zeros, x, y, ones, -v * x, -v * y], -1),
    ]
    found: Tensor = torch.linalg.solve(torch.cat(rows, 1), torch.cat([u, v], 1))
    return found


def blurred(images: Tensor, kernels: tuple[Tensor, Tensor]) -> Tensor:
    """Images, (batch, channels, height, width), smoothed along the width and the height, with zeros around them."""
    along_x, along_y = (each.to(images.dtype) for each in kernels)
    channels = images.shape[1]
    across = along_x.expand(channels, 1, 1, -1)
    down = along_y[:, None].expand(channels, 1, -1, 1)
    x = F.conv2d(images, across, padding=(0, along_x.shape[0] // 2), groups=channels)
    return F.conv2d(x, down, padding=(along_y.shape[0] // 2, 0), groups=channels)


def bell(size: int, sigma: Tensor) -> Tensor:
    """A Gaussian of so many numbers, which add up to 1."""
    steps = torch.arange(size, dtype=sigma.dtype, device=sigma.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (steps / sigma).square())
    return weights / weights.sum()


def resized(images: Tensor, size: tuple[int, int], interpolation: str, *, antialias: bool = False) -> Tensor:
    """Images, (batch, channels, height, width), of another size.

    Whole numbers are rounded, and stay in the range of their dtype.
    """
    if tuple(images.shape[-2:]) == size:
        return images
    x = images if images.is_floating_point() else images.float()
    if interpolation == "nearest":
        x = F.interpolate(x, size, mode="nearest-exact")
    else:
        x = F.interpolate(x, size, mode=interpolation, align_corners=False, antialias=antialias)
    return x if images.is_floating_point() else whole(x, images.dtype)


def whole(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest whole numbers that a dtype has."""
    if dtype is torch.bool:
        return x.round() != 0
    limits = torch.iinfo(dtype)
    return x.round().clamp(limits.min, limits.max).to(dtype)
