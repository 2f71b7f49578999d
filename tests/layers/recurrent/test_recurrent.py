"""Recurrent layers equal Keras's, run on PyTorch's kernels, and keep their states."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.layers.sequence_check import MASK, check, check_compiled, close
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError

SHAPE = (3, 5, 4)
IMAGES = (2, 3, 6, 5, 2)

ROWS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "LSTM": (lambda L: L.LSTM(6), SHAPE),
    "LSTM, sequences": (lambda L: L.LSTM(6, return_sequences=True), SHAPE),
    "LSTM, states": (lambda L: L.LSTM(6, return_state=True), SHAPE),
    "LSTM, all": (lambda L: L.LSTM(6, return_sequences=True, return_state=True, go_backwards=True), SHAPE),
    "LSTM, no bias": (lambda L: L.LSTM(6, use_bias=False, return_sequences=True), SHAPE),
    "LSTM, relu": (lambda L: L.LSTM(6, activation="relu", return_sequences=True, return_state=True), SHAPE),
    "LSTM, hard_sigmoid": (lambda L: L.LSTM(6, recurrent_activation="hard_sigmoid"), SHAPE),
    "LSTM, dropout": (lambda L: L.LSTM(6, dropout=0.4, recurrent_dropout=0.3), SHAPE),
    "LSTM, unrolled": (lambda L: L.LSTM(6, unroll=True), SHAPE),
    "LSTM, zeros": (lambda L: L.LSTM(6, return_sequences=True, zero_output_for_mask=True), SHAPE),
    "LSTM, last zeros": (lambda L: L.LSTM(6, zero_output_for_mask=True, return_state=True), SHAPE),
    "GRU": (lambda L: L.GRU(6), SHAPE),
    "GRU, all": (lambda L: L.GRU(6, return_sequences=True, return_state=True, go_backwards=True), SHAPE),
    "GRU, no bias": (lambda L: L.GRU(6, use_bias=False), SHAPE),
    "GRU, reset before": (lambda L: L.GRU(6, reset_after=False, return_sequences=True), SHAPE),
    "GRU, reset before, no bias": (lambda L: L.GRU(6, reset_after=False, use_bias=False), SHAPE),
    "GRU, softsign": (lambda L: L.GRU(6, activation="softsign", return_sequences=True), SHAPE),
    "GRU, softsign, no bias": (lambda L: L.GRU(6, activation="softsign", use_bias=False), SHAPE),
    "SimpleRNN": (lambda L: L.SimpleRNN(6), SHAPE),
    "SimpleRNN, all": (
        lambda L: L.SimpleRNN(6, return_sequences=True, return_state=True, go_backwards=True),
        SHAPE,
    ),
    "SimpleRNN, relu": (lambda L: L.SimpleRNN(6, activation="relu", return_sequences=True), SHAPE),
    "SimpleRNN, no activation": (lambda L: L.SimpleRNN(6, activation=None, return_state=True), SHAPE),
    "SimpleRNN, no bias": (lambda L: L.SimpleRNN(6, use_bias=False), SHAPE),
    "RNN of LSTMCell": (lambda L: L.RNN(L.LSTMCell(6), return_sequences=True, return_state=True), SHAPE),
    "RNN of GRUCell": (lambda L: L.RNN(L.GRUCell(6, reset_after=False), go_backwards=True), SHAPE),
    "RNN of SimpleRNNCell": (lambda L: L.RNN(L.SimpleRNNCell(6)), SHAPE),
    "RNN of three cells": (
        lambda L: L.RNN([L.LSTMCell(6), L.GRUCell(5), L.SimpleRNNCell(4)], return_sequences=True),
        SHAPE,
    ),
    "RNN of a stack": (
        lambda L: L.RNN(L.StackedRNNCells([L.LSTMCell(6), L.LSTMCell(3)]), return_state=True),
        SHAPE,
    ),
}
CONVOLUTIONS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "ConvLSTM2D": (lambda L: L.ConvLSTM2D(3, 3), IMAGES),
    "ConvLSTM2D, same": (
        lambda L: L.ConvLSTM2D(3, (2, 3), padding="same", return_sequences=True, return_state=True),
        IMAGES,
    ),
    "ConvLSTM2D, strides": (lambda L: L.ConvLSTM2D(3, 3, strides=(2, 1), padding="same"), IMAGES),
    "ConvLSTM2D, dilation": (lambda L: L.ConvLSTM2D(3, 2, dilation_rate=2, use_bias=False), IMAGES),
    "ConvLSTM2D, channels first": (
        lambda L: L.ConvLSTM2D(3, 3, data_format="channels_first", return_sequences=True),
        (2, 3, 2, 6, 5),
    ),
    "ConvLSTM2D, backwards": (
        lambda L: L.ConvLSTM2D(3, 2, go_backwards=True, return_sequences=True, activation="relu"),
        IMAGES,
    ),
    "ConvLSTM1D": (lambda L: L.ConvLSTM1D(3, 3, return_sequences=True), (2, 3, 6, 2)),
    "ConvLSTM3D": (lambda L: L.ConvLSTM3D(2, 2, padding="same"), (2, 2, 3, 4, 3, 2)),
}


@pytest.mark.parametrize("row", [*ROWS, *CONVOLUTIONS])
def test_a_layer_equals_its_keras_twin(row: str) -> None:
    check(*{**ROWS, **CONVOLUTIONS}[row])


@pytest.mark.parametrize("row", [row for row in ROWS if "unrolled" not in row])
def test_a_layer_with_every_kind_of_mask_equals_its_keras_twin(row: str) -> None:
    make, shape = ROWS[row]
    check(make, (*MASK.shape, *shape[2:]), MASK)


@pytest.mark.parametrize(
    "kind, shapes", [("LSTM", [(7, 6), (7, 6)]), ("GRU", [(7, 6)]), ("SimpleRNN", [(7, 6)])]
)
@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_begins_with_the_states_it_is_given(kind: str, shapes: Any, masked: bool) -> None:
    def make(module: Any) -> Any:
        return getattr(module, kind)(6, return_sequences=True, return_state=True)

    check(make, (7, 5, 4), MASK if masked else None, shapes)


def test_conv_lstm_takes_a_mask_of_steps() -> None:
    # Keras cannot broadcast such a mask over images when it masks states
    layer = layers.ConvLSTM2D(2, 3, return_sequences=True)
    images = torch.randn(2, 3, 5, 5, 1)
    layer(images)
    mask = torch.tensor([[True, False, True], [False, True, True]])
    output = layer(images, mask=mask)
    close(output[0, 2], layer(images[:1, [0, 2]])[0, 1], "the second valid step")
    close(output[0, 1], output[0, 0], "a masked step")
    assert not output[1, 0].any()


def test_an_lstm_of_128_on_64_features_has_98816_parameters() -> None:
    inputs = layers.Input((None, 64))
    layer = layers.LSTM(128)
    assert layer(inputs).shape == (None, 128)
    assert layer.count_params() == sum(each.numel() for each in layer.parameters()) == 98_816
    assert list(layer.state_dict()) == ["cell.weight_ih", "cell.weight_hh", "cell.bias"]
    assert layer.cell.bias is not None and layer.cell.bias.chunk(4)[1].eq(1).all()  # the forget gate


def kernels(call: Any) -> dict[str, int]:
    """How often each operation runs in a call."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        call()
    return {event.key: event.count for event in found.key_averages()}


@pytest.mark.parametrize(
    "row, name",
    [
        ("LSTM", "aten::lstm"),
        ("LSTM, all", "aten::lstm"),
        ("LSTM, dropout", "aten::lstm"),
        ("GRU, all", "aten::gru"),
        ("SimpleRNN, all", "aten::rnn_tanh"),
        ("SimpleRNN, relu", "aten::rnn_relu"),
        ("RNN of LSTMCell", "aten::lstm"),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_a_sequence_is_one_call_of_the_kernel(row: str, name: str, masked: bool) -> None:
    layer = ROWS[row][0](layers).eval()
    short, long = (torch.randn(2, time, 4) for time in (3, 60))
    layer(short)

    def count(inputs: Tensor) -> dict[str, int]:
        mask = torch.rand(inputs.shape[:2]) > 0.4 if masked else None
        return kernels(lambda: layer(inputs, mask=mask))

    assert count(long)[name] == 1
    if name == "aten::lstm":  # the other two go step by step on a CPU, inside their kernel
        assert sum(count(long).values()) == sum(count(short).values())


def test_stacked_cells_are_one_call_of_a_kernel_each() -> None:
    layer = layers.RNN([layers.LSTMCell(4), layers.LSTMCell(3)])
    layer(torch.randn(2, 3, 4))
    assert kernels(lambda: layer(torch.randn(2, 30, 4)))["aten::lstm"] == 2


def test_nan_in_masked_steps_reaches_neither_outputs_nor_gradients() -> None:
    layer = layers.LSTM(6, return_sequences=True, return_state=True)
    inputs = torch.randn(7, 5, 4)
    clean = sum(each.sum() for each in layer(inputs, mask=MASK))
    clean.backward()
    expected = [each.grad.clone() for each in layer.parameters()]
    layer.zero_grad()
    sum(each.sum() for each in layer(inputs.masked_fill(~MASK[..., None], torch.nan), mask=MASK)).backward()
    for each, gradient in zip(layer.parameters(), expected, strict=True):
        close(each.grad, gradient, "gradient")


def test_the_carry_is_held_through_a_thousand_masked_steps() -> None:
    layer = layers.LSTM(6, return_state=True)
    inputs = torch.randn(2, 1000, 4)
    mask = torch.arange(1000) < torch.tensor([[3], [500]])
    _, h, c = layer(inputs, mask=mask)
    for sample, steps in enumerate((3, 500)):
        _, expected_h, expected_c = layer(inputs[sample : sample + 1, :steps])
        close(h[sample], expected_h[0], "h")
        close(c[sample], expected_c[0], "c")


COMPILED: dict[str, tuple[Any, tuple[int, ...], bool]] = {
    "a kernel": (lambda: layers.GRU(3, return_sequences=True, go_backwards=True), (2, 3, 4), False),
    "a masked kernel": (lambda: layers.LSTM(3, return_sequences=True, return_state=True), (2, 3, 4), True),
    "a loop": (lambda: layers.LSTM(3, activation="relu"), (2, 2, 4), True),
    "a stateful layer": (lambda: layers.LSTM(3, stateful=True), (2, 3, 4), False),
    "a convolution": (lambda: layers.ConvLSTM2D(2, 3), (2, 2, 4, 4, 1), False),
    "a stack": (lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]), (2, 3, 4), False),
}


@pytest.mark.parametrize("row", COMPILED)
def test_a_layer_compiles_into_one_graph(row: str) -> None:
    make, shape, masked = COMPILED[row]
    layer = make()
    keywords = (
        {"mask": torch.tensor([[True, False, True], [False, True, True]])[:, : shape[1]]} if masked else {}
    )
    if layer.stateful:
        compare_stateful(layer, torch.randn(shape))
    else:
        check_compiled(layer, torch.randn(shape), **keywords)


def compare_stateful(layer: Any, inputs: Tensor) -> None:
    layer(inputs)
    twin = copy.deepcopy(layer)
    compiled = torch.compile(twin, fullgraph=True, backend="eager")
    for _ in range(2):
        close(compiled(inputs), layer(inputs), "output", 1e-6)


def test_a_masked_layer_is_exported_for_every_batch() -> None:
    # PyTorch writes an LSTM out step by step when it exports one, so the time is fixed, as with nn.LSTM
    layer, inputs = layers.LSTM(3, return_sequences=True).eval(), torch.randn(2, 4, 5)
    layer(inputs)
    mask = torch.rand(2, 4) > 0.3
    sizes = {0: torch.export.Dim("batch", max=64)}
    exported = torch.export.export(
        layer, (inputs,), {"mask": mask}, dynamic_shapes={"sequences": sizes, "mask": sizes}
    ).module()
    other, pattern = torch.randn(3, 4, 5), torch.rand(3, 4) > 0.5
    close(exported(other, mask=pattern), layer(other, mask=pattern), "output", 1e-6)


def test_a_stateful_layer_goes_on_where_the_last_batch_ended() -> None:
    whole = layers.LSTM(4, return_sequences=True)
    parts = layers.LSTM(4, return_sequences=True, stateful=True)
    inputs = torch.randn(3, 6, 5)
    whole(inputs)
    assert parts(layers.Input(batch_shape=(3, None, 5))).shape == (3, None, 4)
    parts.set_weights(whole.get_weights())
    for _ in range(2):
        close(parts(inputs[:, :2]), whole(inputs)[:, :2], "the first part")
        (second := parts(inputs[:, 2:])).sum().backward()
        close(second, whole(inputs)[:, 2:], "the second part")
        parts.reset_state()
        assert not any(each.any() for each in parts.states)
    assert list(parts.state_dict()) == list(whole.state_dict())
    assert parts.count_params() == whole.count_params()


def test_a_stateful_layer_needs_one_batch_size() -> None:
    layer = layers.GRU(4, stateful=True, name="memory")
    with pytest.raises(ShapeError, match=r"GRU 'memory'.*known batch size.*Input\(batch_shape="):
        layer(layers.Input((None, 5)))
    layer(torch.zeros(3, 2, 5))
    with pytest.raises(ShapeError, match="a batch of 3"):
        layer(torch.zeros(2, 2, 5))
    layer.reset_state([np.ones((3, 4))])
    assert layer.states[0].eq(1).all()
    with pytest.raises(GraphError, match="stateful=True"):
        layers.GRU(4).reset_state()


def test_an_encoder_hands_its_states_to_a_decoder() -> None:
    source, target = layers.Input((None, 4), name="source"), layers.Input((None, 3), name="target")
    _, h, c = layers.LSTM(6, return_state=True)(source)
    decoded = layers.LSTM(6, return_sequences=True)(target, initial_state=[h, c])
    assert decoded.shape == (None, None, 6)
    assert decoded.node.kwargs["initial_state"] == [h, c]


def test_a_mask_reaches_a_layer_and_passes_on_with_sequences() -> None:
    embedded = layers.Embedding(10, 4, mask_zero=True)(layers.Input((None,), dtype="int64"))
    sequences = layers.LSTM(3, return_sequences=True)(embedded)
    assert sequences.node.kwargs["mask"] is embedded.mask is sequences.mask
    both = layers.LSTM(3, return_sequences=True, return_state=True)(sequences)
    assert both[0].mask is embedded.mask and both[1].mask is None
    assert layers.LSTM(3)(sequences).mask is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_works_in_other_precisions(dtype: torch.dtype, masked: bool) -> None:
    inputs = torch.randn(7, 5, 4)
    mask = MASK if masked else None
    for layer in (layers.LSTM(6, return_state=True), layers.GRU(6), layers.LSTM(6, activation="relu")):
        expected = layer(inputs, mask=mask)
        low = copy.deepcopy(layer).to(dtype)
        found = low(inputs.to(dtype), mask=mask)
        for a, b in zip(found if isinstance(found, tuple) else [found], expected, strict=False):
            assert a.dtype == dtype
            close(a.float(), b if isinstance(found, tuple) else expected, "output", 0.05)


def test_autocast_on_a_cpu_leaves_the_kernel_in_full_precision() -> None:
    inputs = torch.randn(7, 5, 4)
    for layer in (layers.LSTM(6), layers.Bidirectional(layers.GRU(6)), layers.SimpleRNN(6)):
        expected = layer(inputs, mask=MASK)
        with torch.autocast("cpu", torch.bfloat16):
            close(layer(inputs, mask=MASK), expected, "output")
            close(layer(inputs.bfloat16(), mask=MASK), expected, "output", 0.05)


def test_building_a_graph_of_long_sequences_takes_no_steps() -> None:
    inputs = layers.Input((None, 4))
    for layer in (layers.LSTM(3, return_state=True), layers.GRU(3, activation="relu", return_state=True)):
        calls = itertools.count()
        layer.cell.register_forward_hook(lambda *_, c=calls: next(c))
        steps = layer.cell.step
        layer.cell.step = lambda *args, s=steps, c=calls, **kwargs: (next(c), s(*args, **kwargs))[1]
        layer(inputs)
        assert next(calls) <= 3


def test_unrolling_changes_nothing() -> None:
    # Keras crashes on such a layer when it is given a mask
    plain, unrolled = (layers.LSTM(4, go_backwards=True, unroll=unroll) for unroll in (False, True))
    inputs = torch.randn(7, 5, 3)
    plain(inputs)
    unrolled(inputs)
    unrolled.set_weights(plain.get_weights())
    close(unrolled(inputs, mask=MASK), plain(inputs, mask=MASK), "output", 0)
