"""Xception (Chollet 2016, arXiv:1610.02357)."""

from __future__ import annotations

from typing import Any

from torchfunc.applications.definitions.blocks import (
    Head,
    added,
    conv,
    max_pool,
    normal,
    relu,
    separable,
)


def xception(x: Any, head: Head) -> Any:
    for number, filters, strides in ((1, 32, 2), (2, 64, 1)):
        name = f"block1_conv{number}"
        x = conv(filters, 3, strides=strides, padding="valid", name=name)(x)
        x = relu(normal(name=f"{name}_bn")(x), f"{name}_act")
    for number, filters in ((2, 128), (3, 256), (4, 728)):
        x = _halved(x, (filters, filters), f"block{number}", first_relu=number > 2)
    for number in range(5, 13):
        x = added([_separated(x, (728,) * 3, f"block{number}"), x])
    x = _halved(x, (728, 1024), "block13")
    for number, filters in ((1, 1536), (2, 2048)):
        name = f"block14_sepconv{number}"
        x = relu(normal(name=f"{name}_bn")(separable(filters, 3, name=name)(x)), f"{name}_act")
    return head(x)


def _halved(x: Any, widths: tuple[int, ...], name: str, first_relu: bool = True) -> Any:
    residual = normal()(conv(widths[-1], 1, strides=2)(x))
    x = _separated(x, widths, name, first_relu)
    return added([max_pool(3, strides=2, padding="same", name=f"{name}_pool")(x), residual])


def _separated(x: Any, widths: tuple[int, ...], block: str, first_relu: bool = True) -> Any:
    for number, filters in enumerate(widths, 1):
        name = f"{block}_sepconv{number}"
        if number > 1 or first_relu:
            x = relu(x, f"{name}_act")
        x = normal(name=f"{name}_bn")(separable(filters, 3, name=name)(x))
    return x
