"""Hues: red, green and blue as gray, and as hue, saturation and value, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.errors import ShapeError, explain


def ranged(images: Tensor, source: tuple[float, float], target: tuple[float, float]) -> Tensor:
    """Values of one range in another."""
    if source == target:
        return images
    (low, high), (least, most) = source, target
    return (images - low) / (high - low) * (most - least) + least


def gray(images: Tensor, axis: int) -> Tensor:
    """The brightness that the eye sees, with one channel on `axis`; by the weights of ITU-R BT.601."""
    if images.shape[axis] == 1:
        return images
    red, green, blue = planes(images, axis)
    seen = (0.2989 * red + 0.587 * green + 0.114 * blue).to(images.dtype)
    return seen.unsqueeze(axis)


def planes(images: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Red, green and blue.

    Raises:
        ShapeError: another number of channels.
    """
    if images.shape[axis] != 3:
        raise ShapeError(
            explain(
                "colours",
                got=f"images of shape {tuple(images.shape)}, with {images.shape[axis]} channels",
                expected="3 channels: red, green and blue",
                fix="data_format='channels_first' or 'channels_last', as the images are",
            )
        )
    red, green, blue = images.unbind(axis)
    return red, green, blue


def hsv_of(images: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Hue and saturation, from 0 to 1, and value, of the range of the pixels.

    Source: Smith 1978, Color Gamut Transform Pairs.
    """
    red, green, blue = planes(images, axis)
    value = torch.maximum(torch.maximum(red, green), blue)
    spread = value - torch.minimum(torch.minimum(red, green), blue)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    unit = 1 / (6 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, unit * (blue - red) + 2 / 6, unit * (red - green) + 4 / 6)
    hue = torch.where(value == red, unit * (green - blue), hue)
    return torch.where(spread > 0, hue, 0.0) % 1, saturation, value


def rgb_of(hue: Tensor, saturation: Tensor, value: Tensor, axis: int) -> Tensor:
    """Red, green and blue on `axis`."""
    turn = hue % 1 * 6
    red = ((turn - 3).abs() - 1).clamp(0, 1)
    green, blue = (2 - (turn - 2).abs()).clamp(0, 1), (2 - (turn - 4).abs()).clamp(0, 1)
    colours = [value * (1 - saturation + saturation * each) for each in (red, green, blue)]
    return torch.stack(colours, axis)
