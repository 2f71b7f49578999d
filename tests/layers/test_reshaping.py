"""Reshaping: the words of its errors, empty batches, and unknown dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import (
    Cropping1D,
    Cropping2D,
    Dense,
    Flatten,
    Input,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)


def test_an_impossible_shape_is_refused_with_the_number_of_values() -> None:
    with pytest.raises(ShapeError) as caught:
        Reshape((2, 4), name="r")(Input((5, 3), name="x"))
    message = str(caught.value)
    assert " on 'x': expected samples of 8 values, got shape (None, 5, 3)." in message
    assert "The target_shape (2, 4) cannot be made from the 15 values of a sample." in message
    assert "-1 may stand for one dimension" in message


def test_a_rest_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ShapeError, match="expected samples of 4 values or a multiple of it"):
        Reshape((-1, 4))(Input((5, 3)))


@pytest.mark.parametrize("target", [(-1, -1), (2.5,), ("a",), (-2,)])
def test_a_target_that_is_no_shape_is_refused(target: Any) -> None:
    with pytest.raises(GraphError, match="expected integers of 0 or more, and at most one -1"):
        Reshape(target)


def test_an_empty_batch_keeps_its_shape() -> None:
    empty = torch.empty(0, 6, 2)
    assert Reshape((-1, 4))(empty).shape == (0, 3, 4)
    assert Reshape((3, 4))(empty).shape == (0, 3, 4)
    assert Flatten()(empty).shape == (0, 12)
    assert Dense(3)(empty).shape == (0, 6, 3)


def test_unknown_dimensions_stay_unknown() -> None:
    assert Reshape((-1, 2))(Input((None, 4))).shape == (None, None, 2)
    assert Flatten()(Input((None, 4))).shape == (None, None)


def test_a_dense_behind_a_flatten_of_unknown_size_says_what_is_missing() -> None:
    with pytest.raises(ShapeError, match=r"expected a known number of features, got shape \(None, None\)"):
        Dense(2)(Flatten()(Input((None, 4))))


def test_the_batch_is_not_permuted() -> None:
    with pytest.raises(GraphError, match="expected the numbers 1 to 2 in some order"):
        Permute((0, 1))
    with pytest.raises(ShapeError, match=r"expected 3 dimensions, for dims=\(2, 1\)"):
        Permute((2, 1))(Input((3,)))


def test_a_vector_is_repeated_and_nothing_else() -> None:
    with pytest.raises(
        ShapeError, match=r"expected 2 dimensions \(batch, features\), got shape \(None, 3, 4\)"
    ):
        RepeatVector(2)(Input((3, 4)))
    with pytest.raises(GraphError, match="RepeatVector: expected a positive integer, got n=0"):
        RepeatVector(0)


def test_a_repeated_vector_has_a_memory_of_its_own() -> None:
    out = RepeatVector(2)(torch.zeros(1, 2))
    out[0, 0, 0] = 1
    assert out[0, 1, 0] == 0


def test_cropping_must_leave_something() -> None:
    with pytest.raises(ShapeError, match=r"A cropping of \(\(2, 2\),\) leaves nothing"):
        Cropping1D(2)(Input((4, 1)))


def test_sides_are_one_number_one_for_each_or_pairs() -> None:
    assert ZeroPadding2D((1, 2)).padding == ((1, 1), (2, 2))
    with pytest.raises(
        GraphError, match=r"expected an integer, 2 of them, or 2 pairs, got padding=\(1, 2, 3\)"
    ):
        ZeroPadding2D((1, 2, 3))
    with pytest.raises(GraphError, match="Cropping2D: expected an integer of at least 0, got cropping=-1"):
        Cropping2D(-1)


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(GraphError, match=r"got interpolation='bilinar'. Fix: interpolation='bilinear'"):
        UpSampling2D(2, interpolation="bilinar")


def test_upsampling_sums_its_gradient_over_one_dimension_at_a_time() -> None:
    class Sums(TorchDispatchMode):
        dims: ClassVar[list[int]] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.sum.dim_IntList:
                self.dims.append(len(args[1]))
            return func(*args, **(kwargs or {}))

    x = torch.randn(2, 4, 5, 3, dtype=torch.float64, requires_grad=True)
    outputs = UpSampling2D((2, 3))(x)
    weights = torch.randn_like(outputs)
    with Sums() as sums:
        (gradient,) = torch.autograd.grad((outputs * weights).sum(), x)
    assert sums.dims == [1, 1]
    assert torch.allclose(gradient, weights.reshape(2, 4, 2, 5, 3, 3).sum((2, 4)), rtol=1e-12)
