"""Layers around layers: both directions, every step alike, and modules of PyTorch."""

from __future__ import annotations

import copy
from typing import Any

import keras
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import torchfunc as tf
from tests.layers.sequence_check import MASK, check, check_compiled, close, equal
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError, UnknownNameError
from torchfunc.graph.interception import interception

SHAPE = (3, 5, 4)

BIDIRECTIONAL: dict[str, Any] = {
    "LSTM": lambda L: L.Bidirectional(L.LSTM(6)),
    "LSTM, all": lambda L: L.Bidirectional(L.LSTM(6, return_sequences=True, return_state=True)),
    "LSTM, no bias": lambda L: L.Bidirectional(L.LSTM(6, use_bias=False, return_state=True), merge_mode=None),
    "LSTM, sum": lambda L: L.Bidirectional(L.LSTM(6, return_sequences=True), merge_mode="sum"),
    "LSTM, relu": lambda L: L.Bidirectional(L.LSTM(6, activation="relu", return_sequences=True)),
    "GRU": lambda L: L.Bidirectional(L.GRU(6, return_state=True)),
    "GRU, mul": lambda L: L.Bidirectional(L.GRU(6, return_sequences=True), merge_mode="mul"),
    "GRU, reset before": lambda L: L.Bidirectional(L.GRU(6, reset_after=False), merge_mode="ave"),
    "SimpleRNN, apart": lambda L: L.Bidirectional(L.SimpleRNN(6, return_sequences=True), merge_mode=None),
    "SimpleRNN, ave": lambda L: L.Bidirectional(L.SimpleRNN(6), merge_mode="ave"),
    "two kinds": lambda L: L.Bidirectional(
        L.LSTM(6, return_sequences=True),
        backward_layer=L.GRU(5, return_sequences=True, go_backwards=True),
    ),
    "two activations": lambda L: L.Bidirectional(
        L.SimpleRNN(6), backward_layer=L.SimpleRNN(6, activation="relu", go_backwards=True)
    ),
    "RNN": lambda L: L.Bidirectional(L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True)),
}
DISTRIBUTED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Dense": (lambda L: L.TimeDistributed(L.Dense(6, activation="relu")), SHAPE),
    "Conv2D": (lambda L: L.TimeDistributed(L.Conv2D(3, 3, padding="same", strides=2)), (2, 3, 6, 5, 2)),
    "Flatten": (lambda L: L.TimeDistributed(L.Flatten()), (2, 3, 4, 5)),
    "GlobalAveragePooling2D": (lambda L: L.TimeDistributed(L.GlobalAveragePooling2D()), (2, 3, 4, 5, 2)),
    "LSTM": (lambda L: L.TimeDistributed(L.LSTM(4, return_sequences=True)), (2, 3, 4, 5)),
    "Bidirectional": (lambda L: L.TimeDistributed(L.Bidirectional(L.GRU(4))), (2, 3, 4, 5)),
}


@pytest.mark.parametrize("row", BIDIRECTIONAL)
def test_both_directions_equal_keras(row: str) -> None:
    check(BIDIRECTIONAL[row], SHAPE)


@pytest.mark.parametrize("row", BIDIRECTIONAL)
def test_both_directions_with_every_kind_of_mask_equal_keras(row: str) -> None:
    check(BIDIRECTIONAL[row], (*MASK.shape, 4), MASK)


@pytest.mark.parametrize("row, count", [("LSTM, all", 4), ("GRU", 2), ("RNN", None)])
def test_both_directions_begin_with_the_states_they_are_given(row: str, count: int | None) -> None:
    if count is not None:
        check(BIDIRECTIONAL[row], (*MASK.shape, 4), None, [(7, 6)] * count)
        check(BIDIRECTIONAL[row], (*MASK.shape, 4), MASK, [(7, 6)] * count)


@pytest.mark.parametrize("row", DISTRIBUTED)
def test_a_layer_at_every_step_equals_keras(row: str) -> None:
    check(*DISTRIBUTED[row])


def calls_of(name: str, layer: Any, *args: Any, **kwargs: Any) -> int:
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        layer(*args, **kwargs)
    return sum(event.count for event in found.key_averages() if event.key == name)


@pytest.mark.parametrize(
    "row, name", [("LSTM, all", "aten::lstm"), ("GRU", "aten::gru"), ("SimpleRNN, ave", "aten::rnn_tanh")]
)
def test_both_directions_are_one_call_of_the_kernel(row: str, name: str) -> None:
    layer = BIDIRECTIONAL[row](layers)
    inputs = torch.randn(2, 5, 4)
    layer(inputs)
    assert calls_of(name, layer, inputs) == 1
    assert calls_of(name, layer, inputs, mask=torch.rand(2, 5) > 0.3) == 2


def test_a_hook_on_a_direction_is_called() -> None:
    layer, inputs, seen = layers.Bidirectional(layers.LSTM(3)), torch.randn(2, 5, 4), []
    expected = layer(inputs)
    layer.backward_layer.register_forward_hook(lambda module, args, output: seen.append(output))
    close(layer(inputs), expected, "output", 1e-6)
    close(seen[0], expected[:, 3:], "what the hook sees", 1e-6)


def test_dropout_of_both_directions_is_at_work_only_in_training() -> None:
    layer, inputs = layers.Bidirectional(layers.GRU(3, dropout=0.5)).eval(), torch.randn(2, 5, 4)
    still = layer(inputs)
    close(layer(inputs), still, "output", 0)
    dropped = layer(inputs, training=True)
    assert not torch.equal(dropped[:, :3], still[:, :3]) and not torch.equal(dropped[:, 3:], still[:, 3:])


def test_weights_of_both_directions_are_named_and_held_once() -> None:
    layer = layers.Bidirectional(layers.LSTM(3, name="reader"))
    layer(layers.Input((None, 4)))
    names = ["weight_ih", "weight_hh", "bias"]
    sides = ("forward_layer", "backward_layer")
    assert list(layer.state_dict()) == [f"{side}.cell.{name}" for side in sides for name in names]
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_reader", "backward_reader")
    assert layer.count_params() == sum(each.numel() for each in layer.parameters()) == 2 * layers_of(3, 4)
    assert not torch.equal(layer.forward_layer.cell.weight_ih, layer.backward_layer.cell.weight_ih)


def layers_of(units: int, features: int) -> int:
    return 4 * units * (features + units + 1)


def test_the_layer_that_is_given_stays_as_it_is() -> None:
    given = layers.LSTM(3)
    given(torch.zeros(1, 2, 4))
    layer = layers.Bidirectional(given)
    layer(torch.zeros(1, 2, 4))
    assert not given.go_backwards and given.given_name is None
    assert not torch.equal(layer.forward_layer.cell.weight_ih, given.cell.weight_ih)


def test_stateful_directions_go_on_and_are_reset() -> None:
    layer, inputs = layers.Bidirectional(layers.LSTM(3, stateful=True)), torch.randn(2, 4, 5)
    first, second = layer(inputs), layer(inputs)
    assert not torch.allclose(first, second)
    assert [each.shape for each in layer.states] == [(2, 3)] * 4
    layer.reset_state()
    close(layer(inputs), first, "output", 1e-6)


def test_a_mask_passes_through_both_directions_and_steps() -> None:
    embedded = layers.Embedding(10, 4, mask_zero=True)(layers.Input((None,), dtype="int64"))
    sequences = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(embedded)
    assert sequences.shape == (None, None, 6)
    assert sequences.node.kwargs["mask"] is sequences.mask is embedded.mask
    stepped = layers.TimeDistributed(layers.Dense(2))(sequences)
    assert stepped.mask is embedded.mask and stepped.shape == (None, None, 2)
    assert layers.Bidirectional(layers.LSTM(3))(stepped).mask is None


@pytest.mark.parametrize("masked", [False, True])
def test_both_directions_compile_into_one_graph(masked: bool) -> None:
    mask = torch.tensor([[True, False, True], [False, True, True]]) if masked else None
    check_compiled(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)), torch.randn(2, 3, 4), mask=mask
    )


def test_a_layer_at_every_step_compiles_into_one_graph() -> None:
    check_compiled(layers.TimeDistributed(layers.Dense(3)), torch.randn(2, 3, 4))


def test_steps_are_folded_into_the_batch() -> None:
    layer, inputs = layers.TimeDistributed(layers.Dense(3)), torch.randn(2, 50, 4)
    layer(inputs)
    assert calls_of("aten::linear", layer, inputs) == 1


def test_batch_normalization_at_every_step_equals_keras_in_both_modes() -> None:
    layer, theirs = (module.TimeDistributed(module.BatchNormalization()) for module in (layers, keras.layers))
    inputs = torch.randn(6, 4, 3) * 2 + 1
    layer(inputs[:1], training=False)
    theirs(inputs[:1])
    theirs.set_weights(layer.get_weights())
    for training in (True, False):
        close(layer(inputs, training=training), theirs(inputs, training=training), "output")
    for mine, variable in zip(layer.get_weights(), theirs.weights, strict=True):
        close(torch.as_tensor(mine), variable.value.detach(), variable.path)


class Centred(layers.Layer):
    """Mixes the samples of its batch."""

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return inputs - inputs.mean(0) + (0 if mask is None else mask[:, None])


def test_a_layer_of_the_users_sees_one_step_at_a_time() -> None:
    layer, inputs = layers.TimeDistributed(Centred()), torch.randn(3, 4, 5)
    assert layer(layers.Input((None, 5))).shape == (None, None, 5)
    close(layer(inputs), inputs - inputs.mean(0), "output", 1e-6)
    mask = torch.rand(3, 4) > 0.5
    close(layer(inputs, mask=mask), inputs - inputs.mean(0) + mask[..., None], "output", 1e-6)


def test_a_mask_is_folded_as_the_inputs_are() -> None:
    layer, inputs = layers.TimeDistributed(layers.LSTM(3)), torch.randn(7, 5, 4, 2)
    mask = torch.rand(7, 5, 4) > 0.4
    expected = torch.stack([layer.layer(inputs[:, t], mask=mask[:, t]) for t in range(5)], 1)
    close(layer(inputs, mask=mask), expected, "output", 1e-6)


def test_a_module_of_torch_at_every_step() -> None:
    layer = layers.TimeDistributed(nn.Conv2d(2, 3, 3))
    assert layer(layers.Input((None, 2, 5, 5))).shape == (None, None, 3, 3, 3)
    assert list(layer.state_dict()) == ["layer.weight", "layer.bias"]


def test_any_module_of_torch_is_a_layer() -> None:
    inputs = layers.Input((8,), name="x")
    layer = layers.Torch(nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)), name="head")
    output = layer(inputs)
    assert output.shape == (None, 4) and output.name == "head" == layer.name
    assert layer.module[1].num_batches_tracked == 0
    assert list(layer.state_dict())[:2] == ["module.0.weight", "module.0.bias"]
    x = torch.randn(3, 8)
    layer.eval()
    close(layer(x), layer.module(x), "output", 0)
    assert layers.Torch(nn.Linear(8, 4))(inputs).name == "linear"
    assert "in_features=8" in repr(layer)


def test_a_wrapped_module_needs_no_interception() -> None:
    inputs = layers.Input((8,))
    interception(False)
    try:
        assert layers.Torch(nn.Linear(8, 3))(inputs).shape == (None, 3)
    finally:
        interception(True)


def test_a_wrapped_module_takes_and_returns_structures() -> None:
    layer, inputs = layers.Torch(nn.LSTM(4, 3, batch_first=True)), layers.Input((5, 4))
    output, (h, c) = layer(inputs)
    assert (output.shape, h.shape, c.shape) == ((None, 5, 3), (1, None, 3), (1, None, 3))


def test_a_wrapped_module_is_frozen_with_its_layer() -> None:
    layer = layers.Torch(nn.Linear(2, 2), trainable=False)
    assert not any(each.requires_grad for each in layer.parameters()) and not layer.trainable_weights
    layer.trainable = True
    assert all(each.requires_grad for each in layer.module.parameters())


def test_a_copy_of_a_wrapper_is_of_its_own() -> None:
    layer = layers.Bidirectional(layers.LSTM(3))
    layer(torch.zeros(1, 2, 4))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.forward_layer.cell.bias.add_(1)
    assert not torch.equal(layer.forward_layer.cell.bias, twin.forward_layer.cell.bias)
    equal(layer(torch.ones(1, 2, 4))[:, 3:], twin(torch.ones(1, 2, 4))[:, 3:])


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "not recurrent": (
        lambda: layers.Bidirectional(layers.Dense(3)),
        GraphError,
        r"Bidirectional: expected a recurrent layer, got Dense. Fix: Bidirectional\(LSTM\(32\)\)",
    ),
    "merge_mode": (
        lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="mean"),
        GraphError,
        r"merge_mode='mean'",
    ),
    "one direction": (
        lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
        GraphError,
        r"one layer for either direction, got go_backwards=False in both",
    ),
    "no pair": (
        lambda: layers.Bidirectional(
            layers.LSTM(3, return_sequences=True), backward_layer=layers.LSTM(3, go_backwards=True)
        ),
        GraphError,
        r"the same return_sequences in both layers, got return_sequences=True forward and False backward",
    ),
    "rank": (
        lambda: layers.Bidirectional(layers.LSTM(3), name="both")(layers.Input((4,))),
        ShapeError,
        r"expected 3 dimensions \(batch, time, features\), got shape \(None, 4\)",
    ),
    "no time": (
        lambda: layers.TimeDistributed(layers.Dense(3), name="each")(layers.Input((4,))),
        ShapeError,
        r"TimeDistributed 'each'.*at least 3 dimensions \(batch, time, ...\), got shape \(None, 4\)",
    ),
    "mask": (
        lambda: layers.TimeDistributed(layers.Dense(3))(torch.zeros(2, 3, 4), mask=torch.ones(2, 5)),
        ShapeError,
        r"a mask that begins with \(batch, time\) = \(2, 3\), got shape \(2, 5\)",
    ),
    "no layer": (
        lambda: layers.TimeDistributed(3),
        GraphError,
        r"TimeDistributed: expected a layer, got int",
    ),
    "a class": (
        lambda: layers.Torch(nn.Linear),
        GraphError,
        r"Torch: expected a torch.nn.Module, got the class Linear. Fix: Torch\(nn.Linear\(4, 2\)\)",
    ),
    "unknown layer": (
        lambda: layers.TimeDistributed({"class_name": "Dens", "config": {}}),
        UnknownNameError,
        r"Did you mean 'Dense'",
    ),
}


@pytest.mark.parametrize("row", MISTAKES)
def test_a_mistake_is_explained(row: str) -> None:
    make, kind, words = MISTAKES[row]
    with pytest.raises(kind, match=words):
        make()


def test_in_a_model_too_the_kernel_stands_before_its_vector() -> None:
    """`get_weights` of equal shapes would else change places unseen."""
    models = []
    for library in (keras, tf):
        inputs = library.Input((3,))
        x = library.layers.SpectralNormalization(library.layers.Dense(3))(inputs)
        models.append(library.Model(inputs, library.layers.SpectralNormalization(library.layers.Dense(2))(x)))
    theirs, ours = models
    theirs.set_weights(ours.get_weights())
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    torch.testing.assert_close(ours.eval()(x), theirs(x), rtol=0, atol=1e-6)
    names = [each.path.rpartition("/")[2] for each in ours.weights]
    assert names == [each.path.rpartition("/")[2] for each in theirs.weights]
