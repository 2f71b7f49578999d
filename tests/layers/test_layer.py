"""Layer: how a layer of one's own is built, called and written down."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from torchfunc import Model, interop, layers
from torchfunc.errors import GraphError
from torchfunc.layers import Dense, Dropout, Input, ReLU


class Affine(layers.Layer):
    """x @ kernel + bias, in Keras's words."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), "random_normal", name="kernel")
        self.offset = self.add_weight(name="offset", shape=(self.units,), initializer="ones", trainable=False)

    def call(self, inputs: Any) -> Any:
        return inputs @ self.kernel + self.offset


class InTorchsWords(Affine):
    def forward(self, inputs: Any) -> Any:
        return inputs @ self.kernel + self.offset


@pytest.mark.parametrize("kind", [Affine, InTorchsWords])
def test_a_layer_of_ones_own_is_built_by_its_first_call(kind: Any) -> None:
    layer, x = kind(5), torch.rand(2, 4)
    assert not layer.built and list(layer.state_dict()) == []
    symbol = layer(Input((4,)))

    assert symbol.shape == (None, 5) and layer.built
    assert [name for name, _ in layer.named_parameters()] == ["kernel"]
    assert [name for name, _ in layer.named_buffers()] == ["offset"]
    torch.testing.assert_close(layer(x), x @ layer.kernel + 1)
    assert kind(5)(x).shape == (2, 5) and layer.compute_output_shape((None, 7, 4)) == (None, 7, 5)


def test_its_config_is_what_its_constructor_was_given() -> None:
    config = Affine(5, name="mine").get_config()

    assert config == {"units": 5, "name": "mine", "trainable": True, "dtype": None}
    assert Affine.from_config(config).get_config() == config


def test_a_config_may_be_written_as_keras_does() -> None:
    class Scale(layers.Layer):
        def __init__(self, by: float, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.by = by

        def call(self, inputs: Any) -> Any:
            return inputs * self.by

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "by": self.by}

    assert Scale.from_config(Scale(2.0).get_config()).by == 2.0


@pytest.mark.parametrize("layer", [Dense(2), ReLU()])
def test_training_given_to_a_layer_that_does_not_know_it_is_left_out(layer: Any) -> None:
    x = Input((2,), name="x")
    model = Model(x, layer(x, training=True))

    assert "training" not in model.code and model(torch.ones(3, 2)).shape == (3, 2)


def test_training_given_to_a_layer_that_knows_it_is_kept() -> None:
    x = Input((100,))
    model = Model(x, Dropout(0.5)(x, training=True)).eval()

    assert (model(torch.ones(1, 100)) == 0).any()


def test_an_argument_that_a_layer_does_not_take_is_refused_while_the_graph_is_built() -> None:
    x = Input((2,), name="x")
    words = r"Dense 'head' .*expected inputs, got arguments that it does not take: .*'speed'"
    with pytest.raises(GraphError, match=words):
        Dense(2, name="head")(x, speed=3)
    with pytest.raises(GraphError, match="too many positional arguments"):
        Dense(2, name="head")(x, x)


def test_the_input_may_come_by_its_keyword() -> None:
    x = Input((2,), name="x")
    layer = Dense(3, name="head")
    model = Model(x, layer(inputs=x))

    assert "self.head(x)" in model.code
    assert Dense(3)(inputs=torch.ones(1, 2)).shape == (1, 3)


def test_a_call_on_nothing_is_refused() -> None:
    with pytest.raises(GraphError, match="Dense 'dense': expected a tensor to call it on, got no input"):
        Dense(3)()


def test_eager_quantization_is_told_that_it_leaves_the_layers_as_they_are() -> None:
    inputs = Input((8,))
    model = Model(inputs, nn.Linear(4, 2)(Dense(4, name="first")(inputs))).eval()
    quantize = torch.ao.quantization.quantize_dynamic
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quantized = quantize(model, {nn.Linear}, dtype=torch.qint8)
        plain = quantize(interop.to_torch(model), {nn.Linear}, dtype=torch.qint8)
    assert [str(each.message) for each in told if "torch.nn" in str(each.message)] == [
        "torch.ao.quantization: Dense 'first': got no module of torch.nn, so it stays as it is. "
        "Fix: quantize interop.to_torch(model)."
    ]
    kind = torch.ao.nn.quantized.dynamic.Linear
    assert (type(quantized.linear), type(quantized.first)) == (kind, Dense)
    assert (type(plain.linear), type(plain.first)) == (kind, kind)
