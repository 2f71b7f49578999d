"""Arrays and lists of numbers go into layers, models, activations and constraints where tensors do, as in Keras."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.layers.test_dtypes import TABLE
from torchfunc import activations, constraints, layers
from torchfunc.arrays_in import tensor_of
from torchfunc.tree import map_leaves

ARRAYS = {
    "float64": np.random.default_rng(0).normal(size=(3, 4)),
    "float16": np.random.default_rng(0).normal(size=(3, 4)).astype("float16"),
    "backwards": np.random.default_rng(0).normal(size=(3, 8)).astype("float32")[::-1, ::-2],
    "int64": np.arange(12).reshape(3, 4),
    "bool": np.arange(12).reshape(3, 4) % 2 == 0,
}


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_layer_makes_of_an_array_what_it_makes_of_the_tensor(case: Any) -> None:
    def array(shape: tuple[int, ...]) -> Any:
        return np.random.randint(4, size=shape) if case.kind == "Embedding" else np.random.randn(*shape)

    inputs = [array(each) for each in case.inputs] if isinstance(case.inputs, list) else array(case.inputs)
    layer = case.layer().eval()
    tensors = map_leaves(
        lambda x: torch.tensor(x, dtype=torch.float32 if x.dtype.kind == "f" else None), inputs
    )
    output = layer(inputs)
    assert output.dtype in (torch.float32, torch.bool)
    torch.testing.assert_close(output, layer(tensors), rtol=0, atol=0)
    torch.testing.assert_close(layer(inputs, training=False), output, rtol=0, atol=0)


@pytest.mark.parametrize("name", ARRAYS)
def test_the_dtype_of_what_comes_out_is_that_of_keras(name: str) -> None:
    for kind, arguments in (("Dense", {"units": 2}), ("ReLU", {}), ("BatchNormalization", {})):
        if (kind, name) == ("ReLU", "bool"):  # which PyTorch has no relu for
            continue
        ours, theirs = (getattr(each, kind)(**arguments) for each in (layers, keras.layers))
        theirs(ARRAYS[name])
        ours(ARRAYS[name])
        theirs.set_weights(ours.get_weights())
        mine, yours = (each(ARRAYS[name], training=False) for each in (ours, theirs))
        assert mine.dtype == yours.dtype
        torch.testing.assert_close(mine, yours, rtol=1e-5, atol=1e-6)


def test_lists_of_numbers_are_taken_for_arrays() -> None:
    rows = [[1.0, -2.0], [3.0, -4.0]]
    torch.testing.assert_close(layers.ReLU()(rows), torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    torch.testing.assert_close(layers.ReLU()(inputs=rows), torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    assert tf.Sequential([layers.Dense(3)])(rows).shape == (2, 3)
    assert layers.Embedding(9, 2)([[1, 2, 3]]).shape == (1, 3, 2)
    assert layers.Add()([np.ones((2, 2)), torch.ones(2, 2)]).sum() == 8


def test_masks_and_states_may_be_arrays() -> None:
    x, mask = np.random.randn(2, 3, 4).astype("float32"), np.array([[1, 1, 0], [1, 0, 0]], bool)
    layer = layers.LSTM(2)
    expected = layer(torch.from_numpy(x), mask=torch.from_numpy(mask))
    torch.testing.assert_close(layer(x, mask=mask), expected)
    embedding = layers.Embedding(5, 2, mask_zero=True)
    assert embedding.compute_mask(np.array([[1, 0]])).tolist() == [[True, False]]
    assert layers.Masking().compute_mask(np.array([[[0.0], [1.0]]])).tolist() == [[False, True]]


def test_a_class_of_yours_gets_tensors_and_text_stays_text() -> None:
    class Twice(layers.Layer):
        def call(self, x: Any, factor: Any = 1) -> Any:
            return (type(x), factor)

    assert Twice()(np.ones(2), factor=[2, 3]) == (torch.Tensor, [2, 3])
    assert Twice()(np.array(["a", "b"]))[0] is np.ndarray


def test_a_model_gives_arrays_the_dtypes_of_its_inputs() -> None:
    inputs = tf.Input((3,), dtype="float64")
    model = tf.Model(inputs, inputs + 1)
    array = np.full((1, 3), 0.1)
    assert model(array).dtype == torch.float64 and (model(array).numpy() == array + 1).all()


@pytest.mark.parametrize("name", ["relu", "softmax", "gelu", "linear", "tanh", "sigmoid", "hard_silu", "glu"])
def test_an_activation_takes_arrays_and_lists(name: str) -> None:
    ours, theirs = getattr(activations, name), getattr(keras.activations, name)
    for given in (ARRAYS["float64"], ARRAYS["float64"].tolist()):
        mine, yours = ours(given), theirs(np.asarray(given))  # Keras's softmax fails on lists
        torch.testing.assert_close(mine, tensor_of(yours), rtol=1e-6, atol=1e-6, check_dtype=False)
        assert mine.dtype is (torch.float32 if isinstance(given, list) else torch.float64)


@pytest.mark.parametrize("name", ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"])
def test_a_constraint_takes_arrays(name: str) -> None:
    mine, yours = (getattr(each, name)()(ARRAYS["float64"]) for each in (constraints, keras.constraints))
    torch.testing.assert_close(mine, yours, check_dtype=False)  # Keras makes float32 of it in NonNeg alone


def test_a_native_module_is_given_what_it_is_called_on() -> None:
    with pytest.raises(TypeError, match="ndarray"):
        nn.Linear(4, 2)(ARRAYS["float64"])


def test_a_layer_takes_arrays_though_nobody_has_made_an_input() -> None:
    code = "import numpy, torchfunc; print(torchfunc.layers.ReLU()(numpy.ones(2)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "tensor([1., 1.])", done.stderr
