"""NASNet-A (Zoph et al. 2017, arXiv:1707.07012): two kinds of cells, found by a search."""

from __future__ import annotations

from functools import partial
from typing import Any

from torchfunc.applications.definitions import blocks
from torchfunc.applications.definitions.blocks import (
    Head,
    added,
    average_pool,
    crop,
    halving_pad,
    joined,
    max_pool,
    relu,
    separable,
    zero_pad,
)

conv = blocks.made(blocks.conv, kernel_initializer="he_normal")
normal = blocks.made(blocks.normal, momentum=0.9997)


def nasnet(x: Any, head: Head, penultimate: int, repeats: int, stem: int, skips: bool) -> Any:
    """A network that ends in `penultimate` features.

    Args:
        x: images.
        head: what comes after the last feature maps.
        penultimate: a multiple of 96.
        repeats: how many normal cells stand between two that halve the maps.
        stem: the filters of the first convolution.
        skips: whether the cell after one that halves looks back behind it.
    """
    filters = penultimate // 24
    x = conv(stem, 3, strides=2, padding="valid", name="stem_conv1")(x)
    x = normal(name="stem_bn1")(x)
    x, before = _reduction(x, None, filters // 4, "stem_1")
    x, before = _reduction(x, before, filters // 2, "stem_2")
    for stage in range(3):
        width = filters * 2**stage
        if stage:
            x, entered = _reduction(x, before, width, f"reduce_{stage * repeats}")
            before = before if skips else entered
        for number in range(repeats):
            x, before = _cell(x, before, width, str(stage * repeats + number + (stage > 0)))
    return head(relu(x))


def _cell(x: Any, before: Any, filters: int, place: str) -> tuple[Any, Any]:
    """A normal cell, and what it was given."""
    p = _adjusted(before, x, filters, place)
    h = _entered(x, filters, "normal", place)
    mean = partial(average_pool, 3, strides=1, padding="same")

    def separated(y: Any, kernel: int, side: str) -> Any:
        return _separated(y, filters, kernel, f"normal_{side}_{place}")

    ways = [
        (separated(h, 5, "left1"), separated(p, 3, "right1")),
        (separated(p, 5, "left2"), separated(p, 3, "right2")),
        (mean(name=f"normal_left3_{place}")(h), p),
        (mean(name=f"normal_left4_{place}")(p), mean(name=f"normal_right4_{place}")(p)),
        (separated(h, 3, "left5"), h),
    ]
    sums = [added(pair, f"normal_add_{number}_{place}") for number, pair in enumerate(ways, 1)]
    return joined([p, *sums], f"normal_concat_{place}"), x


def _reduction(x: Any, before: Any, filters: int, place: str) -> tuple[Any, Any]:
    """A cell that halves the maps, and what it was given."""
    p = _adjusted(before, x, filters, place)
    h = _entered(x, filters, "reduction", place)
    padded = zero_pad(halving_pad(h, 3), name=f"reduction_pad_1_{place}")(h)

    def halved(y: Any, kernel: int, side: str) -> Any:
        return _separated(y, filters, kernel, f"reduction_{side}_{place}", strides=2)

    first = added([halved(h, 5, "left1"), halved(p, 7, "right1")], f"reduction_add_1_{place}")
    largest = max_pool(3, strides=2, name=f"reduction_left2_{place}")(padded)
    second = added([largest, halved(p, 7, "right2")], f"reduction_add_2_{place}")
    mean = average_pool(3, strides=2, name=f"reduction_left3_{place}")(padded)
    third = added([mean, halved(p, 5, "right3")], f"reduction_add3_{place}")
    fourth = average_pool(3, strides=1, padding="same", name=f"reduction_left4_{place}")(first)
    fourth = added([second, fourth])
    fifth = _separated(first, filters, 3, f"reduction_left4_{place}")
    largest = max_pool(3, strides=2, name=f"reduction_right5_{place}")(padded)
    fifth = added([fifth, largest], f"reduction_add4_{place}")
    return joined([second, third, fourth, fifth], f"reduction_concat_{place}"), x


def _entered(x: Any, filters: int, kind: str, place: str) -> Any:
    x = conv(filters, 1, name=f"{kind}_conv_1_{place}")(relu(x))
    return normal(name=f"{kind}_bn_1_{place}")(x)


def _separated(x: Any, filters: int, kernel: int, name: str, strides: int = 1) -> Any:
    """Two separable convolutions, the first of which may halve the maps."""
    x, padding = relu(x), "same"
    if strides == 2:
        x = zero_pad(halving_pad(x, kernel), name=f"separable_conv_1_pad_{name}")(x)
        padding = "valid"
    x = separable(filters, kernel, strides=strides, padding=padding, name=f"separable_conv_1_{name}")(x)
    x = relu(normal(name=f"separable_conv_1_bn_{name}")(x))
    x = separable(filters, kernel, name=f"separable_conv_2_{name}")(x)
    return normal(name=f"separable_conv_2_bn_{name}")(x)


def _adjusted(before: Any, x: Any, filters: int, place: str) -> Any:
    """What an earlier cell was given, with as many pixels as `x` and as many features as the cell wants."""
    if before is None:
        return x
    if before.shape[-2] != x.shape[-2]:
        p = relu(before, f"adjust_relu_1_{place}")
        moved = crop(((1, 0), (1, 0)))(zero_pad(((0, 1), (0, 1)))(p))
        ways = [
            conv(filters // 2, 1, name=f"adjust_conv_{number}_{place}")(
                average_pool(1, strides=2, name=f"adjust_avg_pool_{number}_{place}")(each)
            )
            for number, each in ((1, p), (2, moved))
        ]
        return normal(name=f"adjust_bn_{place}")(joined(ways))
    if before.shape[-1] != filters:
        p = conv(filters, 1, name=f"adjust_conv_projection_{place}")(relu(before))
        return normal(name=f"adjust_bn_{place}")(p)
    return before
