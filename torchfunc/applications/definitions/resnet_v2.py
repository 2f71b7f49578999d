"""ResNets that normalize before they convolve (He et al. 2016, arXiv:1603.05027)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchfunc.applications.definitions import blocks
from torchfunc.applications.definitions.blocks import Head, added, conv, max_pool, relu, zero_pad

normal = blocks.made(blocks.normal, epsilon=1.001e-5)


def resnet_v2(x: Any, head: Head, depths: Sequence[int]) -> Any:
    x = zero_pad(3, name="conv1_pad")(x)
    x = conv(64, 7, strides=2, padding="valid", use_bias=True, name="conv1_conv")(x)
    x = max_pool(3, strides=2, name="pool1_pool")(zero_pad(1, name="pool1_pad")(x))
    for stage, depth in enumerate(depths, 2):
        for number in range(1, depth + 1):
            # a stage halves its maps in its last block; the last stage does not
            strides = 2 if number == depth and stage < 5 else 1
            x = _block(x, 32 * 2 ** (stage - 1), strides, number == 1, f"conv{stage}_block{number}")
    return head(relu(normal(name="post_bn")(x), "post_relu"))


def _block(x: Any, filters: int, strides: int, projects: bool, name: str) -> Any:
    before = relu(normal(name=f"{name}_preact_bn")(x), f"{name}_preact_relu")
    if projects:
        x = conv(4 * filters, 1, strides=strides, use_bias=True, name=f"{name}_0_conv")(before)
    elif strides > 1:
        x = max_pool(1, strides=strides)(x)
    y = conv(filters, 1, name=f"{name}_1_conv")(before)
    y = relu(normal(name=f"{name}_1_bn")(y), f"{name}_1_relu")
    y = zero_pad(1, name=f"{name}_2_pad")(y)
    y = conv(filters, 3, strides=strides, padding="valid", name=f"{name}_2_conv")(y)
    y = relu(normal(name=f"{name}_2_bn")(y), f"{name}_2_relu")
    y = conv(4 * filters, 1, use_bias=True, name=f"{name}_3_conv")(y)
    return added([x, y], f"{name}_out")
