"""Every layer of Keras, each by one row, through the same laws: how it is built, called, written, compiled, and on what."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.layers.check import Case, drawn, symbolic
from tests.layers.test_layers import TABLE
from torchfunc import layers
from torchfunc.tree import leaves, map_leaves

# What Keras has and we leave out (docs/absent.md), and what is no layer by itself.
ABSENT = {"FlaxLayer", "JaxLayer", "TFSMLayer"}
BASES = {"InputLayer", "Layer", "Wrapper"}

IMAGES = (2, 8, 8, 3)
ON_IMAGES: dict[str, dict[str, Any]] = {
    "AugMix": {}, "AutoContrast": {}, "CenterCrop": {"height": 4, "width": 4},
    "ContrastLimitedAdaptiveHistogramEqualization": {"tile_grid_size": (2, 2)}, "CutMix": {}, "Equalization": {},
    "MixUp": {}, "RandAugment": {}, "RandomBrightness": {"factor": 0.2}, "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.2, "hue_factor": 0.1}, "RandomContrast": {"factor": 0.2},
    "RandomCrop": {"height": 4, "width": 4}, "RandomElasticTransform": {}, "RandomErasing": {},
    "RandomFlip": {}, "RandomGaussianBlur": {}, "RandomGrayscale": {}, "RandomHue": {"factor": 0.2},
    "RandomInvert": {}, "RandomPerspective": {}, "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.2}, "RandomSaturation": {"factor": 0.5}, "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.2}, "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2}, "Resizing": {"height": 4, "width": 6}, "Solarization": {},
}  # fmt: skip
SEQUENCE = (2, 5, 4)


@tf.register()
def tanh_of(x: Tensor) -> Tensor:
    return x.tanh()


def cells() -> list[Any]:
    return [layers.GRUCell(3), layers.LSTMCell(4)]


# how it is made, and the shapes of what it is called on
OTHERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), SEQUENCE),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(2, 3), (2, 3, 6, 2)),
    "ConvLSTM2D": (lambda: layers.ConvLSTM2D(2, 3), (2, 3, 6, 5, 2)),
    "ConvLSTM3D": (lambda: layers.ConvLSTM3D(2, 2), (2, 2, 4, 4, 4, 2)),
    "GRU": (lambda: layers.GRU(3), SEQUENCE),
    "GRUCell": (lambda: layers.RNN(layers.GRUCell(3)), SEQUENCE),
    "GroupQueryAttention": (lambda: layers.GroupQueryAttention(4, 4, 2), [SEQUENCE, SEQUENCE]),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), SEQUENCE),
    "LSTMCell": (lambda: layers.RNN(layers.LSTMCell(3)), SEQUENCE),
    "Lambda": (lambda: layers.Lambda(tanh_of), (2, 4)),
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(2, 3), [SEQUENCE, SEQUENCE]),
    "RNN": (lambda: layers.RNN(layers.SimpleRNNCell(3)), SEQUENCE),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), SEQUENCE),
    "SimpleRNNCell": (lambda: layers.RNN(layers.SimpleRNNCell(3)), SEQUENCE),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(3)), (2, 4)),
    "StackedRNNCells": (lambda: layers.RNN(layers.StackedRNNCells(cells())), SEQUENCE),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(3)), SEQUENCE),
    "TorchModuleWrapper": (lambda: layers.TorchModuleWrapper(nn.Linear(4, 3)), (2, 4)),
    "Pipeline": (lambda: layers.Pipeline([layers.Rescaling(0.5), layers.RandomFlip()]), IMAGES),
}
OTHERS |= {kind: (lambda kind=kind, kwargs=kwargs: getattr(layers, kind)(**kwargs), IMAGES)
           for kind, kwargs in ON_IMAGES.items()}  # fmt: skip
OF_NUMBERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "HashedCrossing": (lambda: layers.HashedCrossing(5), [(2,), (2,)]),
    "Hashing": (lambda: layers.Hashing(5), (2, 3)),
    "IntegerLookup": (lambda: layers.IntegerLookup(vocabulary=[1, 2, 5]), (2, 3)),
    "ReversibleEmbedding": (lambda: layers.ReversibleEmbedding(7, 3), (2, 3)),
}
# which take text or boxes, and have tests of their own
OF_TEXT = {"StringLookup", "TextVectorization", "MaxNumBoundingBoxes"}


def classes() -> dict[str, type]:
    """Every layer of Keras by its first name."""
    found = {}
    for name, each in sorted(vars(keras.layers).items()):
        if inspect.isclass(each) and issubclass(each, keras.layers.Layer) and name not in ABSENT | BASES:
            found.setdefault(each, each.__name__ if each.__name__ in vars(keras.layers) else name)
    return {name: each for each, name in found.items()}


class Row:
    """A layer with what it is called on."""

    def __init__(self, name: str) -> None:
        self.name = name
        case = next((each for each in TABLE if each.kind == name and each.mask is None), None)
        if name in OTHERS or name in OF_NUMBERS:
            make, inputs = (OTHERS | OF_NUMBERS)[name]
            case = Case(name, inputs=inputs, integers=5 if name in OF_NUMBERS else None)
            self.make = make
        else:
            assert case is not None, f"no row has a {name}"
            self.make = case.layer
        self.case = case
        self.inputs = drawn(case, torch.Generator().manual_seed(0))
        if name in ON_IMAGES:
            self.inputs = self.inputs.sigmoid() * 255

    def __call__(self, layer: Any, inputs: Any) -> Any:
        if self.name in ("MultiHeadAttention", "GroupQueryAttention"):
            return layer(*inputs)
        return layer(inputs)


ROWS = sorted(set(classes()) - OF_TEXT)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    return Row(request.param)


def test_every_layer_of_keras_is_here() -> None:
    assert len(ROWS) + len(OF_TEXT) + len(ABSENT | BASES) == len(
        {
            each
            for each in vars(keras.layers).values()
            if inspect.isclass(each) and issubclass(each, keras.layers.Layer)
        }
    )


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_a_layer_keeps_every_law(row: Row, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = row.make()
    inputs = symbolic(row.case, row.inputs)
    symbol = row(layer, inputs)
    layer.eval()
    output = row(layer, row.inputs)

    check_said(symbol, output)
    same(row(layer, map_leaves(lambda x: x.numpy(), row.inputs)), output)
    config = json.loads(json.dumps(layer.get_config()))
    assert json.loads(json.dumps(type(layer).from_config(config).get_config())) == config
    check_small_batches(row, layer, output)
    check_gradients(row, layer)
    model = tf.Model(inputs, symbol).eval()
    model.save(tmp_path / "m.safetensors")
    same(tf.load_model(tmp_path / "m.safetensors").eval()(row.inputs), output)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=False)
    same(compiled(row.inputs), output, 1e-5)


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_a_layer_is_built_on_unknown_dimensions(row: Row) -> None:
    """All but the last are unknown; what is said is what comes out, and the same as of known ones."""
    torch.manual_seed(0)
    layer = row.make()
    inputs = map_leaves(
        lambda x: tf.Input([*[None] * (x.ndim - 2), *x.shape[1:][-1:]], dtype=x.dtype), row.inputs
    )
    symbol = row(layer, inputs)
    model = tf.Model(inputs, symbol).eval()
    output = row(layer.eval(), row.inputs)
    check_said(symbol, output)
    same(model(row.inputs), output)


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_a_layer_computes_in_bfloat16(row: Row) -> None:
    torch.manual_seed(0)
    layer = row.make()
    row(layer, symbolic(row.case, row.inputs))
    output = row(layer.eval(), row.inputs)
    before = tf.mixed_precision.global_policy()
    tf.mixed_precision.set_global_policy("bfloat16")
    try:
        half, inputs = (
            row.make(),
            map_leaves(lambda x: x.bfloat16() if x.is_floating_point() else x, row.inputs),
        )
        symbol = row(half, symbolic(row.case, inputs))
        half.set_weights(layer.get_weights())
        found = row(half.eval(), inputs)
    finally:
        tf.mixed_precision.set_global_policy(before)
    check_said(symbol, found)
    for mine, wide in zip(leaves(found), leaves(output), strict=True):
        assert mine.dtype is (torch.bfloat16 if wide.is_floating_point() else wide.dtype)
        # eight bits of mantissa, and the logarithm of what is nearly nothing
        tolerance = 0.2 if row.name == "STFTSpectrogram" else 0.03
        scale = max(1.0, wide.abs().max().item())
        torch.testing.assert_close(mine.float() / scale, wide.float() / scale, atol=tolerance, rtol=0)


def check_said(symbol: Any, output: Any) -> None:
    """Shape and dtype of a symbol are those that come out."""
    for said, found in zip(leaves(symbol), leaves(output), strict=True):
        assert len(said.shape) == found.ndim
        assert all(one in (None, other) for one, other in zip(said.shape, found.shape, strict=True))
        assert said.dtype == found.dtype


def check_small_batches(row: Row, layer: Any, output: Any) -> None:
    """A batch of one is the first of many, and of none comes an empty one."""
    one = row(layer, map_leaves(lambda x: x[:1], row.inputs))
    same(one, map_leaves(lambda x: x[:1], output), 1e-5)
    none = row(layer, map_leaves(lambda x: x[:0], row.inputs))
    assert [each.shape for each in leaves(none)] == [(0, *each.shape[1:]) for each in leaves(output)]


def check_gradients(row: Row, layer: Any) -> None:
    """What is learned from is finite, for the inputs and for the weights."""
    given = map_leaves(lambda x: x.clone().requires_grad_(x.is_floating_point()), row.inputs)
    results = [each for each in leaves(row(layer, given)) if each.requires_grad]
    if results:
        sum(each.sum() for each in results).backward()
    moved = [*leaves(given), *layer.parameters()]
    assert all(each.grad is None or bool(each.grad.isfinite().all()) for each in moved)
    layer.zero_grad()


def same(one: Any, other: Any, tolerance: float = 0.0) -> None:
    for mine, yours in zip(leaves(one), leaves(other), strict=True):
        torch.testing.assert_close(mine, yours, rtol=tolerance, atol=tolerance)
