"""Inception-ResNet v2 (Szegedy et al. 2016, arXiv:1602.07261)."""

from __future__ import annotations

from typing import Any

from torchfunc.applications.definitions.blocks import (
    Head,
    average_pool,
    conv,
    joined,
    max_pool,
    normal,
    relu,
)

# the branches of a residual block, each a row of (filters, kernel)
_BRANCHES: dict[str, list[list[tuple[int, Any]]]] = {
    "block35": [[(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]],
    "block17": [[(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]],
    "block8": [[(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]],
}


def inception_resnet_v2(x: Any, head: Head) -> Any:
    x = _conv(_conv(x, 32, 3, strides=2, padding="valid"), 32, 3, padding="valid")
    x = max_pool(3, strides=2)(_conv(x, 64, 3))
    x = _conv(_conv(x, 80, 1), 192, 3, padding="valid")
    x = max_pool(3, strides=2)(x)
    ways = [_row(x, *row) for row in ([(96, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)])]
    pooled = average_pool(3, strides=1, padding="same")(x)
    x = joined([*ways, _conv(pooled, 64, 1)], "mixed_5b")
    for number in range(1, 11):
        x = _residual(x, "block35", number, 0.17)
    x = _reduced(x, "mixed_6a", [(384, 3)], [(256, 1), (256, 3), (384, 3)])
    for number in range(1, 21):
        x = _residual(x, "block17", number, 0.1)
    x = _reduced(x, "mixed_7a", [(256, 1), (384, 3)], [(256, 1), (288, 3)], [(256, 1), (288, 3), (320, 3)])
    for number in range(1, 11):
        x = _residual(x, "block8", number, 0.2 if number < 10 else 1.0)
    return head(_conv(x, 1536, 1, name="conv_7b"))


def _conv(x: Any, filters: int, kernel: Any, name: str | None = None, **how: Any) -> Any:
    x = conv(filters, kernel, name=name, **how)(x)
    x = normal(scale=False, name=name and f"{name}_bn")(x)
    return relu(x, name and f"{name}_ac")


def _row(x: Any, *row: tuple[int, Any]) -> Any:
    for filters, kernel in row:
        x = _conv(x, filters, kernel)
    return x


def _reduced(x: Any, name: str, *rows: list[tuple[int, Any]]) -> Any:
    """Branches whose last convolution halves the maps, beside their maximum."""
    ways = [_conv(_row(x, *row[:-1]), *row[-1], strides=2, padding="valid") for row in rows]
    return joined([*ways, max_pool(3, strides=2)(x)], name)


def _residual(x: Any, kind: str, number: int, scale: float) -> Any:
    name = f"{kind}_{number}"
    mixed = joined([_row(x, *row) for row in _BRANCHES[kind]], f"{name}_mixed")
    x = x + scale * conv(x.shape[-1], 1, use_bias=True, name=f"{name}_conv")(mixed)
    return x if scale == 1.0 else relu(x, f"{name}_ac")
