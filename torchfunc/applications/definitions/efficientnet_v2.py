"""The small EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298), scaled from one table of stages."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torchfunc import initializers, layers
from torchfunc.applications.definitions import blocks
from torchfunc.applications.definitions.blocks import Head, activated, added, global_average

_KERNEL = initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="truncated_normal")
_DENSE = initializers.VarianceScaling(scale=1.0 / 3.0, mode="fan_out", distribution="uniform")
conv = blocks.made(blocks.conv, kernel_initializer=_KERNEL)
normal = blocks.made(blocks.normal, momentum=0.9)


class Stage(NamedTuple):
    """Blocks of one width: fused ones, which convolve in one go, or those that also weigh their channels."""

    repeats: int
    filters: int
    expansion: int
    strides: int
    fused: bool


_STAGES = (
    Stage(1, 16, 1, 1, True),
    Stage(2, 32, 4, 2, True),
    Stage(2, 48, 4, 2, True),
    Stage(3, 96, 4, 2, False),
    Stage(5, 112, 6, 1, False),
    Stage(8, 192, 6, 2, False),
)


def efficientnet_v2(x: Any, head: Head, width: float, depth: float) -> Any:
    x = conv(_rounded(32, width), 3, strides=2, name="stem_conv")(x)
    x = _silu(normal(name="stem_bn")(x), name="stem_activation")
    total, count = sum(stage.repeats for stage in _STAGES), 0
    for number, stage in enumerate(_STAGES, 1):
        scaled = stage._replace(filters=_rounded(stage.filters, width))
        for place in range(math.ceil(depth * stage.repeats)):
            here = scaled if place == 0 else scaled._replace(strides=1)
            x = _block(x, here, 0.2 * count / total, f"block{number}{chr(place + ord('a'))}_")
            count += 1
    x = conv(_rounded(1280, width), 1, name="top_conv")(x)
    x = _silu(normal(name="top_bn")(x), name="top_activation")
    return head(x, dropout=0.2, initializer=_DENSE)


def _silu(x: Any, name: str) -> Any:
    return activated(x, "silu", name)


def _rounded(filters: int, width: float) -> int:
    """A width as a multiple of 8."""
    return max(8, int(filters * width + 4) // 8 * 8)


def _block(x: Any, stage: Stage, dropped: float, name: str) -> Any:
    entering = x.shape[-1]
    inner = _fused(x, stage, name) if stage.fused else _weighed(x, stage, name)
    y = normal(name=f"{name}project_bn")(inner)
    if stage.fused and stage.expansion == 1:
        y = _silu(y, name=f"{name}project_activation")
    if stage.strides > 1 or entering != stage.filters:
        return y
    if dropped:
        y = layers.Dropout(dropped, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(y)
    return added([y, x], f"{name}add")


def _fused(x: Any, stage: Stage, name: str) -> Any:
    if stage.expansion == 1:
        return conv(stage.filters, 3, strides=stage.strides, name=f"{name}project_conv")(x)
    x = conv(x.shape[-1] * stage.expansion, 3, strides=stage.strides, name=f"{name}expand_conv")(x)
    x = _silu(normal(name=f"{name}expand_bn")(x), name=f"{name}expand_activation")
    return conv(stage.filters, 1, name=f"{name}project_conv")(x)


def _weighed(x: Any, stage: Stage, name: str) -> Any:
    squeezed = x.shape[-1] // 4
    filters = x.shape[-1] * stage.expansion
    x = conv(filters, 1, name=f"{name}expand_conv")(x)
    x = _silu(normal(name=f"{name}expand_bn")(x), name=f"{name}expand_activation")
    made = blocks.depthwise(3, strides=stage.strides, depthwise_initializer=_KERNEL, name=f"{name}dwconv2")
    x = _silu(normal(name=f"{name}bn")(made(x)), name=f"{name}activation")
    y = layers.Reshape((1, 1, filters), name=f"{name}se_reshape")(global_average(name=f"{name}se_squeeze")(x))
    y = conv(squeezed, 1, use_bias=True, activation="silu", name=f"{name}se_reduce")(y)
    y = conv(filters, 1, use_bias=True, activation="sigmoid", name=f"{name}se_expand")(y)
    x = layers.Multiply(name=f"{name}se_excite")([x, y])
    return conv(stage.filters, 1, name=f"{name}project_conv")(x)
