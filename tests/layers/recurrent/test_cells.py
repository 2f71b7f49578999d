"""Recurrent cells, alone and repeated: weights, dropout, cells of other people, and what is refused."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.layers.sequence_check import MASK, check_compiled, close, equal
from torchfunc import layers, registry
from torchfunc.errors import DTypeError, GraphError, ShapeError
from torchfunc.layers.recurrent import conv_lstm


class MinimalCell(layers.Layer):
    """The cell of Keras's documentation."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units))
        self.recurrent_kernel = self.add_weight((self.units, self.units))

    def call(self, inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        output = inputs @ self.kernel + states[0] @ self.recurrent_kernel
        return output, [output]


def test_a_cell_of_the_users_is_repeated() -> None:
    layer = layers.RNN(MinimalCell(4), return_sequences=True, return_state=True)
    sequence, state = layer(layers.Input((None, 5)))
    assert (sequence.shape, state.shape) == ((None, None, 4), (None, 4))
    inputs = torch.randn(7, 5, 5)
    twin = layers.SimpleRNN(4, activation=None, use_bias=False, return_sequences=True, return_state=True)
    twin(inputs)
    twin.set_weights(layer.get_weights())
    equal(layer(inputs), twin(inputs))
    equal(layer(inputs, mask=MASK), twin(inputs, mask=MASK))
    check_compiled(layer, inputs[:, :2])


def test_cells_of_the_users_are_stacked_with_ours() -> None:
    layer = layers.RNN([MinimalCell(4), layers.LSTMCell(3)], return_state=True)
    output, first, second = layer(torch.randn(2, 5, 3))
    assert output.shape == (2, 3) and first.shape == (2, 4)  # alone, as its state_size is
    assert [each.shape for each in second] == [(2, 3), (2, 3)]


class CellWithStates(nn.Module):
    """A cell that is a plain module, knows `training`, and says how it begins."""

    state_size = 2
    output_size = 2

    def forward(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        output = states[0] + inputs.sum(1, keepdim=True) * (2 if training else 1)
        return output, output

    def get_initial_state(self, batch_size: int) -> Tensor:
        return torch.ones(batch_size, 2)


def test_a_cell_may_be_a_plain_module_that_says_how_it_begins() -> None:
    layer = layers.RNN(CellWithStates())
    assert layer(torch.ones(1, 3, 1), training=False).tolist() == [[4.0, 4.0]]
    assert layer(torch.ones(1, 3, 1), training=True).tolist() == [[7.0, 7.0]]


def test_a_cell_alone_is_one_step_of_its_layer() -> None:
    inputs = torch.randn(3, 1, 4)
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        layer = getattr(layers, kind)(5, return_state=True)
        output, *states = layer(inputs)
        theirs = getattr(keras.layers, f"{kind}Cell")(5)
        begin = layer.cell.get_initial_state(3)
        theirs(inputs[:, 0], begin)
        theirs.set_weights(layer.get_weights())
        equal(layer.cell(inputs[:, 0], begin), theirs(inputs[:, 0], begin))
        equal(layer.cell(inputs[:, 0], begin), (output, states))
        symbol, _ = layer.cell(layers.Input((4,)), [layers.Input((5,)) for _ in begin])
        assert symbol.shape == (None, 5)
    h, state = layer.cell(inputs[:, 0], begin[0])
    assert torch.equal(h, state)


def test_stacked_cells_alone_are_one_step_of_each() -> None:
    stack = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)])
    states = [[torch.zeros(2, 4), torch.zeros(2, 4)], [torch.zeros(2, 3)]]
    output, new = stack(torch.randn(2, 5), states)
    assert stack.state_size == [[4, 4], 3] and stack.output_size == 3
    assert output.shape == (2, 3) and torch.equal(output, new[1][0])


def test_gates_of_a_gru_begin_where_keras_has_them() -> None:
    def gates(shape: Any, dtype: Any = None) -> Tensor:
        return torch.arange(float(shape[-1])).expand(shape).clone()

    for reset_after in (True, False):
        layer = layers.GRU(2, reset_after=reset_after, bias_initializer=gates, kernel_initializer=gates)
        layer(torch.zeros(1, 2, 3))
        for weight in (layer.get_weights()[0], layer.get_weights()[2]):
            np.testing.assert_array_equal(weight, np.broadcast_to(np.arange(6.0), weight.shape))
        assert layer.cell.weight_ih[:, 0].tolist() == [2, 3, 0, 1, 4, 5]


@pytest.mark.parametrize("kind, twin", [("LSTM", nn.LSTM), ("GRU", nn.GRU), ("SimpleRNN", nn.RNN)])
def test_weights_lie_as_in_the_module_of_torch(kind: str, twin: Any) -> None:
    layer, module, inputs = getattr(layers, kind)(6), twin(4, 6, batch_first=True), torch.randn(3, 5, 4)
    layer(inputs)
    weights = layer.cell.kernel_weights()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    module.load_state_dict(dict(zip(names, weights, strict=True)))
    close(layer(inputs), module(inputs)[0][:, -1], "output", 0)


def test_dropout_is_at_work_only_in_training() -> None:
    inputs = torch.randn(4, 6, 5)
    for arguments in (
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"dropout": 0.5, "recurrent_dropout": 0.5},
    ):
        for layer in (
            layers.LSTM(8, **arguments),
            layers.GRU(8, **arguments),
            layers.SimpleRNN(8, **arguments),
        ):
            layer.eval()
            still = layer(inputs)
            close(layer(inputs), still, "output", 0)
            assert not torch.equal(layer(inputs, training=True), still)
            layer.train()
            assert not torch.equal(layer(inputs), still)
            close(layer(inputs, training=False), still, "output", 0)


def test_dropout_drops_the_same_features_at_every_step_and_keeps_the_mean() -> None:
    cell = layers.SimpleRNNCell(3, dropout=0.25)
    dropped = cell.dropped(torch.ones(2000, 4, 5), True)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)


def test_a_gru_that_drops_everything_of_its_state_forgets() -> None:
    layer = layers.GRU(3, recurrent_dropout=1.0, return_sequences=True)
    inputs = torch.randn(2, 1, 4).expand(2, 3, 4)
    output = layer(inputs, training=True)
    weights = layer.get_weights()
    twin = layers.GRU(3, return_sequences=True)
    twin(inputs)
    twin.set_weights([weights[0], weights[1] * 0, weights[2]])
    close(output, twin(inputs), "output")


def test_a_seed_makes_dropout_repeatable() -> None:
    inputs = torch.ones(3, 4, 5)
    first, second, other = (layers.LSTM(4, dropout=0.5, seed=seed) for seed in (7, 7, 8))
    for layer in (first, second, other):
        layer(inputs, training=False)
        layer.set_weights([np.ones(each.shape) for each in layer.get_weights()])
    assert torch.equal(first(inputs), second(inputs))
    assert not torch.equal(copy.deepcopy(first)(inputs), other(inputs))


def test_a_layer_that_is_not_trained_has_frozen_weights() -> None:
    layer = layers.LSTM(4, trainable=False)
    layer(torch.zeros(1, 2, 3))
    assert not any(each.requires_grad for each in layer.parameters())
    layer.trainable = True
    assert all(each.requires_grad for each in layer.parameters())


def test_regularizers_and_constraints_belong_to_the_weights_they_are_given_for() -> None:
    layer = layers.GRU(3, kernel_regularizer="l2", bias_regularizer="l1", recurrent_constraint="unit_norm")
    layer(torch.zeros(1, 2, 4))
    kernel, _, bias = layer.get_weights()
    expected = [0.01 * (kernel**2).sum(), 0.01 * np.abs(bias).sum()]
    assert [each.item() for each in layer.losses] == pytest.approx(expected)
    assert layer.cell._weight_infos["weight_hh"].constraint is not None


def test_the_arguments_of_the_cell_are_those_of_the_layer() -> None:
    layer = layers.GRU(3, dropout=0.5, use_cudnn=False, implementation=1)
    assert (layer.units, layer.dropout, layer.reset_after) == (3, 0.5, True)
    assert layers.ConvLSTM2D(3, 2).kernel_size == (2, 2)
    for kind in (
        "LSTM",
        "GRU",
        "SimpleRNN",
        "RNN",
        "LSTMCell",
        "GRUCell",
        "SimpleRNNCell",
        "ConvLSTM1D",
        "ConvLSTM2D",
    ):
        ours, theirs = (
            inspect.signature(getattr(module, kind).__init__) for module in (layers, keras.layers)
        )
        for name, parameter in theirs.parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD and name != "use_cudnn":
                assert ours.parameters[name].default == parameter.default, f"{kind}.{name}"


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "rank": (
        lambda: layers.LSTM(3, name="reader")(layers.Input((8,), name="x")),
        ShapeError,
        r"LSTM 'reader'.* on 'x': expected 3 dimensions \(batch, time, features\), got shape \(None, 8\)"
        r".*return_sequences=True",
    ),
    "images": (
        lambda: layers.GRU(3)(layers.Input((5, 8, 8))),
        ShapeError,
        r"expected 3 dimensions \(batch, time, features\).*TimeDistributed\(Flatten\(\)\)",
    ),
    "real tensor": (
        lambda: layers.SimpleRNN(3)(torch.zeros(2, 8)),
        ShapeError,
        r"expected 3 dimensions \(batch, time, features\), got shape \(2, 8\)",
    ),
    "features": (
        lambda: layers.LSTM(3)(layers.Input((5, None))),
        ShapeError,
        r"known number of features",
    ),
    "images of ConvLSTM2D": (
        lambda: layers.ConvLSTM2D(3, 3)(layers.Input((8, 8, 3))),
        ShapeError,
        r"expected 5 dimensions \(batch, time, height, width, channels\), got shape \(None, 8, 8, 3\)",
    ),
    "units": (lambda: layers.LSTM(-3), GraphError, r"LSTM: expected a positive integer, got units=-3"),
    "units as text": (
        lambda: layers.GRU("3"),
        GraphError,
        r"GRU: expected a positive integer, got units='3'",
    ),
    "filters": (lambda: layers.ConvLSTM2D(0, 3), GraphError, r"positive integer, got filters=0"),
    "kernel": (
        lambda: layers.ConvLSTM2D(4, (3, 3, 3)),
        GraphError,
        r"ConvLSTM2D.*2 of them, got kernel_size",
    ),
    "padding": (lambda: layers.ConvLSTM2D(4, 3, padding="some"), GraphError, r"padding='some'"),
    "strides": (lambda: layers.ConvLSTM1D(4, 3, 2, dilation_rate=2), GraphError, r"one of them to be 1"),
    "rate": (lambda: layers.LSTM(4, dropout=1.5), GraphError, r"from 0 to 1"),
    "argument": (
        lambda: layers.LSTM(4, return_sequence=True),
        GraphError,
        r"LSTM has no argument 'return_sequence'. Did you mean 'return_sequences'",
    ),
    "no cell": (
        lambda: layers.RNN(layers.Dense(4)),
        GraphError,
        r"RNN: expected a layer .* state_size, got Dense",
    ),
    "states": (
        lambda: layers.LSTM(4)(torch.zeros(2, 3, 5), initial_state=torch.zeros(2, 4)),
        ShapeError,
        r"LSTM 'lstm': expected 2 in initial_state \(\[h, c\]\), got 1 tensors",
    ),
    "mask": (
        lambda: layers.LSTM(4)(torch.zeros(2, 3, 5), mask=torch.ones(2, 4)),
        ShapeError,
        r"a mask of shape \(batch, time\) = \(2, 3\), got shape \(2, 4\)",
    ),
    "complex": (
        lambda: layers.LSTM(4)(layers.Input((3, 5), dtype="complex64")),
        DTypeError,
        r"floating dtype",
    ),
}


@pytest.mark.parametrize("row", MISTAKES)
def test_a_mistake_is_explained(row: str) -> None:
    make, kind, words = MISTAKES[row]
    with pytest.raises(kind, match=words):
        make()


def test_a_shared_layer_refuses_another_number_of_features() -> None:
    layer = layers.LSTM(3, name="shared")
    layer(layers.Input((None, 4)))
    with pytest.raises(ShapeError, match=r"LSTM 'shared'.*expected 4 features.*built for 4 features.* has 5"):
        layer(layers.Input((None, 5)))


def test_every_recurrent_class_is_registered_under_its_own_name() -> None:
    for kind in (
        layers.RNN,
        layers.LSTM,
        layers.GRU,
        layers.SimpleRNN,
        layers.StackedRNNCells,
        layers.LSTMCell,
    ):
        assert registry.layers.lookup(kind.__name__) is kind
    assert registry.layers.lookup("ConvLSTM2D") is conv_lstm.ConvLSTM2D
