"""The dtypes of every layer are Keras's, for inputs of every dtype: said by the symbol, and true of what comes out."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.layers.check import Case
from torchfunc import layers
from torchfunc.errors import DTypeError
from torchfunc.tree import map_leaves

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.int32, torch.int64, torch.uint8, torch.bool)
OF_LAYERS = (None, "float32", "float64", "bfloat16")
IMAGE, SEQUENCE = (2, 6, 6, 3), (2, 6, 3)
PLAIN = {"recurrent_initializer": "glorot_uniform"}  # an orthogonal one Keras cannot make in bfloat16


def row(kind: str, inputs: Any, **arguments: Any) -> Case:
    return Case(kind, arguments, inputs)


TABLE = [
    row("Dense", (2, 4), units=3),
    row("Dense", (2, 4), units=3, activation="softmax"),
    row("Dense", (2, 4), units=4, activation="glu"),
    row("Activation", (2, 4), activation="relu"),
    row("Activation", (2, 4), activation="linear"),
    row("Embedding", (2, 4), input_dim=5, output_dim=3),
    row("Identity", (2, 4)),
    row("Masking", SEQUENCE),
    row("Rescaling", (2, 4), scale=0.5, offset=1.0),
    row("Rescaling", (2, 3), scale=[0.5, 1.0, 2.0]),
    row("Conv1D", SEQUENCE, filters=2, kernel_size=3),
    row("Conv2D", IMAGE, filters=2, kernel_size=3, activation="relu"),
    row("Conv3D", (2, 4, 4, 4, 3), filters=2, kernel_size=3),
    row("Conv1DTranspose", SEQUENCE, filters=2, kernel_size=3),
    row("Conv2DTranspose", IMAGE, filters=2, kernel_size=3),
    row("Conv3DTranspose", (2, 4, 4, 4, 3), filters=2, kernel_size=3),
    row("DepthwiseConv1D", SEQUENCE, kernel_size=3),
    row("DepthwiseConv2D", IMAGE, kernel_size=3),
    row("SeparableConv1D", SEQUENCE, filters=2, kernel_size=3),
    row("SeparableConv2D", IMAGE, filters=2, kernel_size=3),
    row("MaxPooling1D", SEQUENCE),
    row("MaxPooling2D", IMAGE),
    row("MaxPooling3D", (2, 4, 4, 4, 3)),
    row("AveragePooling1D", SEQUENCE, pool_size=2),
    row("AveragePooling2D", IMAGE, pool_size=2),
    row("AveragePooling3D", (2, 4, 4, 4, 3), pool_size=2),
    row("GlobalMaxPooling1D", SEQUENCE),
    row("GlobalMaxPooling2D", IMAGE),
    row("GlobalMaxPooling3D", (2, 4, 4, 4, 3)),
    row("GlobalAveragePooling1D", SEQUENCE),
    row("GlobalAveragePooling2D", IMAGE),
    row("GlobalAveragePooling3D", (2, 4, 4, 4, 3)),
    row("Flatten", SEQUENCE),
    row("Reshape", (2, 6), target_shape=(3, 2)),
    row("Permute", SEQUENCE, dims=(2, 1)),
    row("RepeatVector", (2, 4), n=2),
    row("Cropping1D", SEQUENCE),
    row("Cropping2D", IMAGE, cropping=1),
    row("Cropping3D", (2, 4, 4, 4, 3)),
    row("ZeroPadding1D", SEQUENCE),
    row("ZeroPadding2D", IMAGE),
    row("ZeroPadding3D", (2, 4, 4, 4, 3)),
    row("UpSampling1D", SEQUENCE),
    row("UpSampling2D", IMAGE),
    row("UpSampling2D", IMAGE, interpolation="bilinear"),
    row("UpSampling3D", (2, 2, 2, 2, 3)),
    *(
        row(kind, [(2, 4), (2, 4)])
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    ),
    row("Dot", [(2, 4), (2, 4)], axes=1),
    row("BatchNormalization", (4, 3)),
    row("BatchNormalization", (4, 3), center=False, scale=False),
    row("LayerNormalization", (2, 4)),
    row("LayerNormalization", (2, 4), center=False, scale=False),
    row("GroupNormalization", (2, 4), groups=2),
    row("RMSNormalization", (2, 4)),
    row("UnitNormalization", (2, 4)),
    row("Dropout", (2, 4), rate=0.5),
    *(row(f"SpatialDropout{rank}D", (2, *(4,) * rank, 3), rate=0.5) for rank in (1, 2, 3)),
    row("AlphaDropout", (2, 4), rate=0.5),
    row("GaussianNoise", (2, 4), stddev=0.5),
    row("GaussianDropout", (2, 4), rate=0.5),
    row("ActivityRegularization", (2, 4), l2=0.1),
    row("ReLU", (2, 4)),
    row("ReLU", (2, 4), negative_slope=0.1, max_value=1.0),
    row("LeakyReLU", (2, 4)),
    row("PReLU", (2, 4)),
    row("ELU", (2, 4)),
    row("Softmax", (2, 4)),
    row("SimpleRNN", SEQUENCE, **PLAIN, units=2),
    row("LSTM", SEQUENCE, **PLAIN, units=2),
    row("LSTM", SEQUENCE, **PLAIN, units=2, activation="relu", return_sequences=True),
    row("GRU", SEQUENCE, **PLAIN, units=2),
    row("GRU", SEQUENCE, **PLAIN, units=2, reset_after=False),
    row("ConvLSTM1D", (2, 3, 6, 3), **PLAIN, filters=2, kernel_size=3),
]


def given(case: Case, dtype: torch.dtype) -> Any:
    def one(shape: tuple[int, ...]) -> Tensor:
        numbers = torch.randn(shape) if dtype.is_floating_point else torch.randint(4, shape)
        return (numbers.abs() if case.kind == "Embedding" else numbers).to(dtype)

    return [one(shape) for shape in case.inputs] if isinstance(case.inputs, list) else one(case.inputs)


def symbols(inputs: Any) -> Any:
    return map_leaves(lambda x: layers.Input(batch_shape=x.shape, dtype=x.dtype), inputs)


# Keras computes some of float64 in float32 itself; how exact float64 is, PyTorch's own modules say below
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}

# where Keras 3.15.1 gives another dtype on torch than its own symbol says
_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "UnitNormalization")
_FLOAT32_OF_INTEGERS = dict.fromkeys(_MEANS, WHOLE)
_WHOLE_OF_INTEGERS = {"RMSNormalization": WHOLE}
_NARROWED = dict.fromkeys(("Maximum", "Minimum", "Dot"), (torch.int64, "float64"))
_COUNTED = {"Masking": (torch.bool,)}
OTHER_DTYPES: dict[str, Any] = {**_FLOAT32_OF_INTEGERS, **_WHOLE_OF_INTEGERS, **_NARROWED, **_COUNTED}
# where Keras rounds what it computed to the dtype of the input
ROUNDED = ("LayerNormalization", "GroupNormalization", "RMSNormalization")
# PyTorch has no product of two matrices of bools
NO_KERNEL = [("Dot", torch.bool)]


def keras_twin(case: Case, dtype: str | None, inputs: Any, weights: list[Any]) -> Any:
    """The Keras layer with the same weights."""
    twin = getattr(keras.layers, case.kind)(**case.arguments, dtype=dtype)
    twin.build([each.shape for each in inputs] if isinstance(inputs, list) else inputs.shape)
    if weights:
        twin.set_weights(weights)
    return twin


def result(function: Any, inputs: Any) -> Any:
    """What a call returns, or None where it fails."""
    try:
        with torch.no_grad():
            return function(inputs)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None


@pytest.mark.parametrize("of_layer", OF_LAYERS)
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_the_dtype_of_an_output_is_that_of_keras(case: Case, of_layer: str | None) -> None:
    for dtype in (*FLOATS, *WHOLE):
        inputs = given(case, dtype)
        layer = getattr(layers, case.kind)(**case.arguments, dtype=of_layer).eval()
        symbol = result(layer, symbols(inputs))
        output = result(layer, inputs)
        twin = keras_twin(case, of_layer, inputs, layer.get_weights() if layer.built else [])
        expected = result(twin, inputs)
        if output is not None:
            assert symbol.dtype == output.dtype and symbol.shape == output.shape
        if expected is None:
            continue
        if output is None:
            assert (case.kind, dtype) in NO_KERNEL
            continue
        if not {dtype, of_layer} & {*OTHER_DTYPES.get(case.kind, ())}:
            assert output.dtype == expected.dtype, (dtype, of_layer)
        if case.kind in ROUNDED:
            expected = twin(inputs.to(output.dtype)).detach()
        scale = max(1.0, float(expected.double().abs().max()))
        tolerance = max(TOLERANCES.get(each, 0) for each in (output.dtype, expected.dtype)) * scale
        torch.testing.assert_close(output.double(), expected.double(), rtol=0, atol=tolerance)


WITH_WEIGHTS = [
    case for case in TABLE if getattr(layers, case.kind)._has_build() and case.kind != "Embedding"
]
WITH_WEIGHTS = [case for case in WITH_WEIGHTS if "scale" not in case.arguments]


@pytest.mark.parametrize("case", WITH_WEIGHTS, ids=str)
def test_a_layer_computes_in_the_dtype_that_its_weights_have_now(case: Case) -> None:
    layer = getattr(layers, case.kind)(**case.arguments).eval()
    inputs = given(case, torch.float32)
    before = layer(inputs).detach()
    for dtype in (torch.float64, torch.bfloat16, torch.float32):
        output = layer.to(dtype)(inputs)
        assert output.dtype == dtype
        torch.testing.assert_close(output, layer(inputs.to(dtype)), rtol=0, atol=0)
        scale = max(1.0, float(before.abs().max()))
        torch.testing.assert_close(
            output.float(), before, rtol=0, atol=3 * TOLERANCES[torch.bfloat16] * scale
        )


WITHOUT = [case for case in TABLE if not getattr(layers, case.kind)._has_build() and case.kind != "Rescaling"]


@pytest.mark.parametrize("case", WITHOUT, ids=str)
def test_a_layer_without_weights_follows_its_model_to_another_dtype(case: Case) -> None:
    layer = getattr(layers, case.kind)(**case.arguments).eval()
    inputs = given(case, torch.float16)
    assert layer(symbols(inputs)).dtype == torch.float32
    assert layer.double()(inputs).dtype == torch.float64
    assert not layer.state_dict() and not layer.weights


def small_model(dtype: torch.dtype) -> tf.Model:
    """A model whose every layer has something to cast, and one that has not."""
    image = tf.Input((4, 4, 3), dtype=dtype, name="image")
    sequence = tf.Input((5, 3), dtype=dtype, name="sequence")
    x = layers.Flatten()(layers.Conv2D(2, 3)(layers.ReLU()(image)))
    y = layers.LSTM(4)(layers.Masking()(sequence))
    both = layers.Concatenate()([x, y, layers.Flatten()(sequence)])
    return tf.Model([image, sequence], layers.Dense(2)(layers.LayerNormalization()(both)))


def data(dtype: torch.dtype) -> list[Tensor]:
    return [torch.randn(3, 4, 4, 3).to(dtype), torch.randn(3, 5, 3).to(dtype)]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_model_that_casts_is_compiled_exported_copied_and_saved(dtype: torch.dtype, tmp_path: Any) -> None:
    model, inputs = small_model(dtype).eval(), data(dtype)
    expected = model(inputs)
    assert expected.dtype == model.outputs[0].dtype == torch.float32
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(inputs), expected, rtol=0, atol=1e-6)
    exported = torch.export.export(model, (inputs,))
    torch.testing.assert_close(exported.module()(inputs), expected, rtol=0, atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    loaded = tf.load_model(tmp_path / "model.safetensors").eval()
    torch.testing.assert_close(loaded(inputs), expected, rtol=0, atol=0)
    assert [each.dtype for each in loaded.outputs] == [torch.float32]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_no_cast_to_float32_is_left_in_a_model_of_another_dtype(dtype: torch.dtype) -> None:
    model = small_model(torch.float16).to(dtype).eval()
    seen: list[torch.dtype] = []
    for layer in model.children():
        layer.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    for kind in FLOATS:
        assert model(data(kind)).dtype == dtype
    assert {*seen} == {dtype}


def test_under_a_default_dtype_of_float64_all_is_float64() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        inputs = tf.Input((4,))
        model = tf.Model(inputs, layers.Rescaling(2.0)(layers.Dense(3)(layers.ReLU()(inputs))))
    finally:
        torch.set_default_dtype(torch.float32)
    assert inputs.dtype == model.outputs[0].dtype == torch.float64
    assert model(torch.randn(2, 4)).dtype == model(torch.randn(2, 4).double()).dtype == torch.float64


def test_float64_is_as_exact_as_that_of_torch() -> None:
    x, image = torch.randn(5, 4), torch.randn(2, 6, 6, 3)
    dense, linear = layers.Dense(3, dtype="float64"), nn.Linear(4, 3).double()
    dense(layers.Input((4,)))
    dense.load_state_dict(linear.state_dict())
    torch.testing.assert_close(dense(x), linear(x.double()), rtol=0, atol=0)
    ours, theirs = layers.Conv2D(2, 3), nn.Conv2d(3, 2, 3).double()
    ours(layers.Input((6, 6, 3)))
    ours.double().load_state_dict(theirs.state_dict())
    expected = theirs(image.double().movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(ours(image), expected, rtol=0, atol=1e-14)
    norm, layer_norm = layers.LayerNormalization(dtype="float64"), nn.LayerNorm(4, 1e-3).double()
    torch.testing.assert_close(norm(x), layer_norm(x.double()), rtol=0, atol=0)


def test_batch_normalization_in_half_precision_has_the_statistics_of_torch() -> None:
    x = torch.randn(64, 3) * 3 + 5
    for dtype in (torch.bfloat16, torch.float16):
        layer, twin = layers.BatchNormalization(momentum=0.9), nn.BatchNorm1d(3, 1e-3, 0.1)
        layer(layers.Input((3,)))
        layer, twin = layer.to(dtype), twin.to(dtype)
        torch.testing.assert_close(layer(x.to(dtype)), twin(x.to(dtype)), rtol=0, atol=0.02)
        assert layer.running_var.dtype == twin.running_var.dtype == dtype
        torch.testing.assert_close(layer.running_mean, twin.running_mean, rtol=1e-2, atol=1e-2)
        # PyTorch averages the variance over 63, Keras over 64
        torch.testing.assert_close(layer.running_var, twin.running_var, rtol=3e-2, atol=1e-2)


def test_autocast_leaves_weights_and_statistics_in_float32_and_casts_as_in_a_twin() -> None:
    inputs = layers.Input((8, 8, 3))
    convolved = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(4, 3)(inputs))
    model = tf.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.ReLU()(convolved))))
    convolution, norm, _, _, dense = model.layers[-5:]
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, 1e-3, 0.1), nn.ReLU())
    head = nn.Linear(144, 2)
    twin[0].load_state_dict(convolution.state_dict())
    head.load_state_dict(dense.state_dict())
    x = torch.randn(5, 8, 8, 3)
    with torch.autocast("cpu", torch.bfloat16):
        output, expected = model(x), head(twin(x.movedim(-1, 1)).movedim(1, -1).flatten(1))
    assert output.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(output, expected, rtol=0, atol=0.03)
    assert model._computes_in() is torch.float32
    torch.testing.assert_close(norm.running_mean, twin[1].running_mean, rtol=1e-3, atol=1e-3)
    output.float().sum().backward()
    assert {each.grad.dtype for each in model.parameters()} == {torch.float32}


class Scale(layers.Layer):
    """A layer as a user writes it."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((input_shape[-1],), "ones")

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor


def test_a_layer_of_ones_own_is_given_its_dtype_too() -> None:
    layer, inputs = Scale(), torch.randn(2, 4).double()
    assert layer(layers.Input((4,), dtype="float64")).dtype == layer(inputs).dtype == torch.float32
    assert layer.double()(inputs.half()).dtype == torch.float64
    assert Scale(dtype="bfloat16")(inputs).dtype == torch.bfloat16


class Mixed(layers.Layer):
    """A layer whose weights are of two floating dtypes, so that only itself knows what to cast."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((input_shape[-1],), "ones")
        self.term = self.add_weight((input_shape[-1],), "ones", dtype="float64")

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor + self.term


def test_a_layer_of_two_dtypes_is_given_what_comes() -> None:
    layer = Mixed()
    assert layer(layers.Input((4,), dtype="float16")).dtype == torch.float64
    assert not layer._forward_pre_hooks


def test_native_modules_and_embeddings_are_given_what_comes() -> None:
    with pytest.raises(DTypeError, match="Linear"):
        nn.Linear(4, 2)(layers.Input((4,), dtype="float64"))
    table, last = layers.Embedding(2**24 + 2, 1, "zeros"), torch.tensor([[2**24 + 1]])
    with torch.no_grad():
        table(layers.Input((1,), dtype="float64"))
        table.weight[2**24 + 1] = 1.0
        assert float(table(last.double())) == 1.0 != float(table(last.float()))


def test_a_convolution_refuses_integers_with_the_way_out() -> None:
    words = (
        r"Conv2D 'stem'.*: expected a floating dtype, got torch.uint8. "
        r"Fix: x.to\(torch.float32\), or Input\(dtype='float32'\)."
    )
    with pytest.raises(DTypeError, match=words):
        layers.Conv2D(2, 3, name="stem")(layers.Input((8, 8, 3), dtype="uint8"))
    with pytest.raises(DTypeError, match=words):
        layers.Conv2D(2, 3, name="stem")(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    assert (
        layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(layers.Input((8, 8, 3), dtype="uint8"))).dtype
        == torch.float32
    )


def test_a_policy_is_refused_by_name() -> None:
    with pytest.raises(DTypeError, match=r"expected a torch\.dtype or its name, got 'mixed_bfloat16'"):
        layers.Dense(3, dtype="mixed_bfloat16")


def test_states_and_stacked_cells_are_cast_too() -> None:
    layer = layers.LSTM(3, return_state=True)
    x, states = torch.randn(2, 5, 4), [torch.randn(2, 3), torch.randn(2, 3)]
    expected = layer(x, initial_state=states)
    doubled = [each.double() for each in states]
    for mine, yours in zip(layer(x.double(), initial_state=doubled), expected, strict=True):
        torch.testing.assert_close(mine, yours, rtol=0, atol=0)
    stack = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)
    torch.testing.assert_close(stack(x), stack(x.double()), rtol=0, atol=0)
    both = layers.Bidirectional(layers.GRU(3))
    torch.testing.assert_close(both(x), both(x.double()), rtol=0, atol=0)
    cell = layers.SimpleRNNCell(3)
    torch.testing.assert_close(
        cell(x[:, 0], states[0]), cell(x[:, 0].double(), states[0].double()), rtol=0, atol=0
    )
    steps = layers.TimeDistributed(layers.Dense(3))
    assert steps(layers.Input((5, 4), dtype="int64")).dtype == steps(x.half()).dtype == torch.float32
