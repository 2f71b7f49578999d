"""Pooling: the words of its errors, and what it does at the sides."""

from __future__ import annotations

import itertools

import pytest
import torch

from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import (
    AveragePooling2D,
    AveragePooling3D,
    Embedding,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
    MaxPooling1D,
    MaxPooling2D,
)


def test_padding_is_never_the_maximum() -> None:
    x = torch.full((1, 3, 3, 1), -5.0)
    assert (MaxPooling2D(2, padding="same")(x) == -5).all()
    assert (MaxPooling2D(2, strides=1, padding="same")(x) == -5).all()


def test_padding_counts_in_no_average() -> None:
    x = torch.full((1, 5, 4, 2), 3.0)
    for strides in (1, 2, 3):
        torch.testing.assert_close(
            AveragePooling2D(3, strides, "same")(x),
            torch.full((1, -(-5 // strides), -(-4 // strides), 2), 3.0),
        )


@pytest.mark.parametrize("strides", [1, 2, None])
@pytest.mark.parametrize(("window", "lengths"), [(2, (1, 1, 1)), (3, (2, 4, 1)), ((5, 2, 3), (3, 4, 3))])
def test_a_volume_may_be_smaller_than_the_window_of_its_average(
    window: int | tuple[int, ...], lengths: tuple[int, ...], strides: int | None
) -> None:
    x = torch.randn(2, *lengths, 3, dtype=torch.float64, requires_grad=True)
    layer = AveragePooling3D(window, strides, "same")
    pooled = layer(x)
    expected = torch.empty_like(pooled)
    for place in itertools.product(*map(range, pooled.shape[1:4])):
        seen = [slice(None)]
        for at, size, step, length in zip(place, layer.pool_size, layer.strides, lengths, strict=True):
            start = at * step - max((-(-length // step) - 1) * step + size - length, 0) // 2
            seen.append(slice(max(start, 0), start + size))
        expected[(slice(None), *place)] = x.detach()[tuple(seen)].mean((1, 2, 3))
    torch.testing.assert_close(pooled, expected)
    assert torch.autograd.gradcheck(layer, x)


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        MaxPooling2D(4, name="pool")(Input((8, 3, 2)))
    assert "expected a width of at least 4, got shape (None, 8, 3, 2)." in str(caught.value)
    assert "Fix: padding='same', or a smaller window." in str(caught.value)


def test_a_wrong_rank_is_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"expected 3 dimensions \(batch, steps, channels\), got shape \(None, 4\)"
    ):
        MaxPooling1D()(Input((4,)))
    with pytest.raises(ShapeError, match=r"expected 4 dimensions \(batch, height, width, channels\)"):
        GlobalAveragePooling2D()(Input((4, 4)))


def test_sizes_must_be_positive() -> None:
    with pytest.raises(GraphError, match="MaxPooling2D: expected a positive integer, got pool_size=0"):
        MaxPooling2D(0)
    with pytest.raises(GraphError, match="got strides=-1"):
        MaxPooling2D(2, strides=-1)


def test_a_mean_over_time_passes_over_masked_steps() -> None:
    words = Input((4,), dtype="int64")
    vectors = Embedding(5, 3, mask_zero=True)(words)
    pooled = GlobalAveragePooling1D()(vectors)
    assert pooled.shape == (None, 3) and pooled.mask is None
    assert pooled.node.kwargs["mask"] is vectors.mask
