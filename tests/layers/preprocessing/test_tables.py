"""Normalization and Discretization learn what Keras's learn, from data of every form, and keep it in a file."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import keras
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import torchfunc as tf
from torchfunc.errors import DTypeError, GraphError, ShapeError
from torchfunc.layers import CategoryEncoding, Discretization, Normalization


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 2


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (50, 4)), (None, (50, 4)), ((1, 2), (50, 3, 4)), ((-1, 1), (20, 3, 5, 4)), (0, (4, 6)), (-1, (7,))],
)
def test_mean_and_variance_are_those_that_keras_learns(
    axis: Any, shape: tuple[int, ...], invert: bool
) -> None:
    x = drawn(*shape)
    ours, theirs = Normalization(axis, invert=invert), keras.layers.Normalization(axis, invert=invert)
    ours.adapt(x)
    theirs.adapt(x.numpy())
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    for mine, yours in ((ours.mean, theirs.mean), (ours.variance, theirs.variance)):
        assert mine is not None
        torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-6)
    assert [each.shape for each in ours.get_weights()] == [tuple(each.shape) for each in theirs.weights]


@pytest.mark.parametrize(
    "data",
    [
        drawn(50, 3),
        drawn(50, 3).numpy(),
        drawn(50, 3).tolist(),
        [drawn(50, 3)[:7], drawn(50, 3)[7:]],
        TensorDataset(drawn(50, 3), torch.zeros(50)),
        DataLoader(TensorDataset(drawn(50, 3), torch.zeros(50)), batch_size=8),
    ],
    ids=["tensor", "array", "list", "batches", "Dataset", "DataLoader"],
)
def test_batches_give_what_the_whole_gives(data: Any) -> None:
    x = drawn(50, 3).double()
    layer = Normalization()
    layer.adapt(data)
    torch.testing.assert_close(layer.adapt_mean, x.mean(0).float())
    torch.testing.assert_close(layer.adapt_variance, x.var(0, correction=0).float())


def test_the_variance_is_exact_far_from_zero() -> None:
    x = 1e6 + drawn(1000, 2).double()
    layer = Normalization()
    layer.adapt([x[:3], x[3:600], x[600:]])
    torch.testing.assert_close(layer.adapt_variance, x.var(0, correction=0).float())


def test_a_constant_feature_comes_out_as_zero() -> None:
    layer = Normalization()
    layer.adapt(torch.full((4, 1), 3.0))
    assert layer(torch.full((2, 1), 3.0)).tolist() == [[0], [0]]


def test_whole_numbers_are_normalized() -> None:
    layer = Normalization(axis=None)
    layer.adapt([1, 2, 3, 4, 5])
    torch.testing.assert_close(layer([1, 3]), torch.tensor([-(2**0.5), 0.0]))
    symbol = layer(tf.Input((3,), dtype="int64"))
    assert symbol.dtype == torch.float32


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_bounds_are_those_that_keras_learns(mode: str) -> None:
    parts = drawn(900, 3).split(400)
    ours, theirs = (
        Discretization(num_bins=7, output_mode=mode),
        keras.layers.Discretization(num_bins=7, output_mode=mode),
    )
    ours.adapt(list(parts))
    for part in parts:
        theirs.update_state(part.numpy())
    theirs.finalize_state()
    assert ours.bin_boundaries == theirs.bin_boundaries
    x = torch.tensor([[-9.0, ours.bin_boundaries[2], 0.5], [1.0, 99.0, float("inf")]])
    mine, yours = ours(x), theirs(x)
    assert mine.dtype == yours.dtype
    torch.testing.assert_close(mine, yours, rtol=0, atol=0)


def adapted() -> list[Any]:
    made = [
        Normalization(),
        Normalization(None, 3.0, 4.0),
        Normalization(-1, [1.0, 2.0, 3.0], [1.0, 4.0, 9.0]),
    ]
    made += [
        Discretization(num_bins=4),
        Discretization(num_bins=4, output_mode="one_hot"),
        Discretization([0.0, 2.0]),
    ]
    for layer in made:
        if getattr(layer, "num_bins", None) or getattr(layer, "input_mean", 0) is None:
            layer.adapt(drawn(200, 3))
    return made


@pytest.mark.parametrize("layer", adapted(), ids=repr)
def test_what_was_learned_is_in_graphs_files_and_copies(layer: Any) -> None:
    x, inputs = drawn(5, 3), tf.Input((3,))
    expected = layer(x)
    for model in (tf.Model(inputs, layer(inputs)), tf.Sequential([tf.Input((3,)), layer])):
        file = io.BytesIO()
        model.save(file)
        file.seek(0)
        loaded = tf.models.load_model(file)
        clone = tf.models.clone_model(model)
        clone.set_weights(model.get_weights())
        for each in (model, loaded, clone, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            torch.testing.assert_close(each(x), expected, rtol=0, atol=0)


def test_mean_and_variance_travel_as_weights() -> None:
    layer, twin = Normalization(), Normalization()
    layer.adapt(drawn(20, 3))
    twin.build((None, 3))
    twin.load_state_dict(layer.state_dict())
    torch.testing.assert_close(twin(drawn(4, 3)), layer(drawn(4, 3)), rtol=0, atol=0)


def test_what_has_no_place_is_counted_nowhere_or_told() -> None:
    assert CategoryEncoding(3, "count")(torch.tensor([[-1, 0, 2, 2]])).tolist() == [[1, 0, 2]]
    weights = torch.tensor([[0.5, 1.0, 2.0, 4.0]])
    assert CategoryEncoding(3, "count")(torch.tensor([[0, 0, 2, 1]]), count_weights=weights).tolist() == [
        [1.5, 4, 2]
    ]
    with pytest.raises((RuntimeError, GraphError), match="out of bounds"):
        CategoryEncoding(3)(torch.tensor([[3]]))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Normalization(mean=1.0), GraphError, "both, of one shape, or neither, got mean of shape .* variance None"),
        (lambda: Normalization(mean=[1.0, 2.0], variance=[1.0]), GraphError, r"shape \(2,\) and variance of shape \(1,\)"),
        (lambda: Normalization(mean=[[1.0]], variance=[[1.0]]), GraphError, r"no more dimensions than axes"),
        (lambda: Normalization(axis=2)(torch.ones(2, 3)), ShapeError, "an axis from -2 to 1"),
        (lambda: Normalization(mean=1.0, variance=1.0).adapt([1.0]), GraphError, "got mean and variance when it was made"),
        (lambda: Normalization().adapt(["a"]), DTypeError, "expected numbers in rows of one length"),
        (lambda: Normalization()(tf.Input((None,))), ShapeError, "known number of positions"),
        (lambda: Discretization(), GraphError, "either bin_boundaries or num_bins, got neither of them. Fix: num_bins=10"),
        (lambda: Discretization([0.0], 3), GraphError, "got both"),
        (lambda: Discretization([0.0]).adapt([1.0]), GraphError, "got bin_boundaries when it was made"),
        (lambda: Discretization(num_bins=3)(torch.ones(2)), GraphError, r"got no bounds yet. Fix: layer.adapt\(data\)"),
        (lambda: CategoryEncoding(), GraphError, "got num_tokens=None"),
        (lambda: CategoryEncoding(3)([[1]], count_weights=torch.ones(1, 1)), GraphError, "expected output_mode='count'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_a_layer_that_is_built_for_some_positions_refuses_others() -> None:
    layer = Normalization()
    layer.adapt(drawn(9, 3))
    with pytest.raises(ShapeError, match=r"built for \(3,\) along axis"):
        layer.adapt([drawn(9, 4)])


def test_bounds_stay_floats_where_the_dtype_is_whole() -> None:
    """Keras 2 writes its output's dtype, int64; bounds that were cut to it put all into the last bin."""
    numbers = torch.tensor([[-0.6, -0.5], [0.1, 2.0]])
    bounds = [-0.5, 0.0, 0.5]
    expected = keras.layers.Discretization(bounds, dtype="int64")(numbers)
    assert torch.equal(Discretization(bounds, dtype="int64")(numbers), expected)
    assert expected.tolist() == [[0, 1], [2, 3]]
