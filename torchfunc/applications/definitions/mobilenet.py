"""MobileNet (Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

from typing import Any

from torchfunc import layers
from torchfunc.applications.definitions.blocks import (
    Head,
    activated,
    conv,
    depthwise,
    global_average,
    normal,
    zero_pad,
)

_WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_HALVING = (2, 4, 6, 12)


def mobilenet(
    x: Any, head: Head, alpha: float = 1.0, depth_multiplier: int = 1, dropout: float = 1e-3
) -> Any:
    x = _normal(conv(int(32 * alpha), 3, strides=2, name="conv1")(x), "conv1")
    for block, filters in enumerate(_WIDTHS, 1):
        halves = block in _HALVING
        if halves:
            x = zero_pad(((0, 1), (0, 1)), name=f"conv_pad_{block}")(x)
        name = f"conv_dw_{block}"
        strides, padding = (2, "valid") if halves else (1, "same")
        made = depthwise(3, strides=strides, padding=padding, depth_multiplier=depth_multiplier, name=name)
        x = _normal(made(x), name)
        name = f"conv_pw_{block}"
        x = _normal(conv(int(filters * alpha), 1, name=name)(x), name)
    if not head.include_top:
        return head.pooled(x)
    x = layers.Dropout(dropout, name="dropout")(global_average(keepdims=True)(x))
    x = conv(head.classes, 1, use_bias=True, name="conv_preds")(x)
    return activated(layers.Reshape((head.classes,), name="reshape_2")(x), head.activation, "predictions")


def _normal(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_relu")(normal(name=f"{name}_bn")(x))
