"""Weights come and go in Keras's order and layouts, and nothing changes where they do not fit."""

from __future__ import annotations

from typing import Any

import accelerate
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc
from torchfunc import layers
from torchfunc.errors import TorchfuncError
from torchfunc.layers import BatchNormalization, Conv2D, Dense, Input


def built(layer: Any, *shape: int) -> Any:
    layer(Input(shape))
    return layer


def test_keras_has_inputs_before_outputs_and_torch_outputs_before_inputs() -> None:
    dense, convolution = built(Dense(3), 4), built(Conv2D(5, (2, 3)), 8, 8, 4)

    assert [each.shape for each in dense.get_weights()] == [(4, 3), (3,)]
    assert [tuple(each.shape) for each in dense.state_dict().values()] == [(3, 4), (3,)]
    assert [each.shape for each in convolution.get_weights()] == [(2, 3, 4, 5), (5,)]
    assert [tuple(each.shape) for each in convolution.state_dict().values()] == [(5, 4, 2, 3), (5,)]


def test_arrays_are_copies_on_both_ways() -> None:
    layer = built(Dense(3), 4)
    kernel, bias = np.random.rand(4, 3).astype("float32"), np.zeros(3, "float32")
    layer.set_weights([kernel, bias])
    kernel[:] = 0
    layer.get_weights()[0][:] = 0

    assert (layer.weight != 0).all()


def test_tensors_lists_and_other_dtypes_are_taken() -> None:
    layer = built(Dense(2), 2)
    layer.set_weights([nn.Parameter(torch.eye(2, dtype=torch.float64)), [1, 2]])

    assert layer.weight.dtype == torch.float32 and layer.bias.tolist() == [1.0, 2.0]
    assert layer.weight.requires_grad and layer.weight.is_leaf


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([np.ones((4, 3))], "expected 2 arrays, got 1 arrays"),
        ([np.ones((3, 4)), np.ones(3)], r"expected shape \(4, 3\), got shape \(3, 4\) for 'weight'"),
        ([np.ones((4, 3)), np.ones(4)], r"expected shape \(3,\), got shape \(4,\) for 'bias'"),
        ([np.ones((4, 3)), np.array(["a", "b", "c"])], "expected arrays of numbers, got an array of <U1"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(weights: Any, words: str) -> None:
    layer = built(Dense(3, name="head"), 4)
    before = layer.get_weights()
    with pytest.raises(TorchfuncError, match=rf"'head'\.set_weights: {words}"):
        layer.set_weights(weights)

    for now, then in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_layer_that_is_not_built_says_that_it_has_none() -> None:
    assert Dense(3).get_weights() == [] and Dense(3).count_params() == 0
    with pytest.raises(TorchfuncError, match="no weights until it is called or built"):
        Dense(3).set_weights([np.ones((4, 3)), np.ones(3)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_every_precision_come_back_to_the_bit(dtype: torch.dtype) -> None:
    layer = built(BatchNormalization(gamma_initializer="random_normal"), 4).to(dtype)
    other = built(BatchNormalization(), 4).to(dtype)
    other.set_weights(layer.get_weights())

    assert other.weight.dtype == dtype and torch.equal(other.weight, layer.weight)


def test_a_frozen_layer_has_the_same_weights_and_trains_none() -> None:
    layer = built(BatchNormalization(), 4)
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (2, 2)
    layer.trainable = False
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (0, 4)
    assert layer.count_params() == 16 and layer.weights[0] is layer.weight


def test_weights_of_layers_inside_follow_the_layers_own() -> None:
    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Dense(2)

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight((input_shape[-1],), "ones")

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs * self.scale)

    assert [each.shape for each in built(Block(), 3).get_weights()] == [(3,), (3, 2), (2,)]


def test_a_model_made_under_accelerates_init_empty_weights_has_its_names_and_no_numbers() -> None:
    def build() -> torchfunc.Model:
        inputs = layers.Input((8, 8, 3))
        x = layers.BatchNormalization()(layers.SeparableConv2D(4, 3)(inputs))
        x = layers.LSTM(4)(layers.Reshape((36, 4))(x))
        return torchfunc.Model(inputs, layers.Dense(2)(layers.LayerNormalization()(x)))

    whole = build()
    with accelerate.init_empty_weights():
        empty = build()
    assert all(each.is_meta for each in empty.parameters())
    assert list(empty.state_dict()) == list(whole.state_dict())
    empty.load_state_dict(whole.state_dict(), assign=True)
    x = torch.randn(2, 8, 8, 3)
    assert torch.equal(empty.eval()(x), whole.eval()(x))
    assert [each.path for each in empty.weights] == [each.path for each in whole.weights]
