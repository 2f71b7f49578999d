"""Masks in a graph: where they come from, how far they go, and what layers make of them, as in Keras."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import TorchfuncError
from torchfunc.models.model import Model

TOLERANCE = 1e-5
A = torch.tensor([[4, 2, 7, 1, 3], [5, 6, 1, 0, 0], [8, 0, 3, 0, 0], [0, 0, 2, 2, 0]])
B = torch.tensor([[9, 1, 0, 0, 0], [2, 2, 8, 7, 1], [1, 4, 0, 0, 0], [6, 3, 2, 1, 0]])
Build = Callable[[Any, Any], Any]


def ids(K: Any, length: int | None = 5, name: str | None = None) -> Any:
    return K.Input((length,), dtype="int64", name=name)


def embedded(K: Any, source: Any, *, masked: bool = True) -> Any:
    return K.layers.Embedding(10, 3, mask_zero=masked)(source)


def twins(build: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Our model and Keras's, made by the same lines, with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where masks end is another test's question
        ours, theirs = build(tf), build(keras)
    ours.set_weights([weight(each.shape) for each in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    return ours.eval(), theirs


def weight(shape: tuple[int, ...]) -> Any:
    """A matrix of any numbers; a vector of positive ones, because it may be a variance."""
    return np.random.randn(*shape) * 0.5 if len(shape) > 1 else np.random.rand(*shape) + 0.1


def close(ours: Any, theirs: Any) -> None:
    first, second = (
        [each.detach().numpy() for each in torch.utils._pytree.tree_leaves(tree)] for tree in (ours, theirs)
    )
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, TOLERANCE, TOLERANCE)


def check(build: Callable[[Any], Any], *data: Tensor) -> None:
    """Outputs and the masks at them are Keras's."""
    ours, theirs = twins(build)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(list(data) if len(data) > 1 else data[0])
    close(ours(*data), expected)
    wanted = [getattr(each, "_keras_mask", None) for each in torch.utils._pytree.tree_leaves(expected)]
    assert ours.output_masks() == tuple(mask is not None for mask in wanted)
    if any(ours.output_masks()):
        outputs, masks = ours(*data, masks=[None] * len(data))
        close(outputs, expected)
        close(masks, [mask for mask in wanted if mask is not None])


MERGES: dict[str, Callable[[Any], Any]] = {
    **{name: lambda L, name=name: getattr(L, name)() for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")},
    "Subtract": lambda L: L.Subtract(),
    "Concatenate features": lambda L: L.Concatenate(),
    "Concatenate steps": lambda L: L.Concatenate(axis=1),
    "Concatenate steps from the end": lambda L: L.Concatenate(axis=-2),
    "Dot": lambda L: L.Dot(axes=(2, 2)),
}  # fmt: skip
MASKED = {
    "both": (True, True),
    "the first": (True, False),
    "the second": (False, True),
    "none": (False, False),
}
BEHIND: dict[str, Build] = {
    "the mask itself": lambda L, x: x,
    "LSTM": lambda L, x: L.LSTM(2, return_sequences=True)(x),
    "GlobalAveragePooling1D": lambda L, x: L.GlobalAveragePooling1D()(x),
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize("merge", MERGES)
def test_a_merging_layer_merges_masks_as_keras(merge: str, masked: str, behind: str) -> None:
    def build(K: Any) -> Any:
        a, b = ids(K, name="a"), ids(K, name="b")
        pair = [embedded(K, each, masked=flag) for each, flag in zip((a, b), MASKED[masked], strict=True)]
        return K.Model([a, b], BEHIND[behind](K.layers, MERGES[merge](K.layers)(pair)))

    check(build, A, B)


@pytest.mark.parametrize("masked", [(1, 1, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0)], ids=str)
@pytest.mark.parametrize("merge", [name for name in MERGES if name not in ("Subtract", "Dot")])
def test_a_merging_layer_merges_three_masks_as_keras(merge: str, masked: tuple[int, ...]) -> None:
    def build(K: Any) -> Any:
        sources = [ids(K, name=name) for name in "abc"]
        three = [embedded(K, each, masked=bool(flag)) for each, flag in zip(sources, masked, strict=True)]
        return K.Model(sources, K.layers.LSTM(2)(MERGES[merge](K.layers)(three)))

    check(build, A, B, A.flip(0))


@pytest.mark.parametrize("merge", ["Add", "Multiply", "Maximum", "Minimum", "Average"])
def test_masks_of_different_lengths_are_spread_as_in_keras(merge: str) -> None:
    def build(K: Any) -> Any:
        a, b = ids(K, name="a"), ids(K, 1, name="b")
        x = MERGES[merge](K.layers)([embedded(K, a), embedded(K, b)])
        return K.Model([a, b], K.layers.LSTM(2, return_sequences=True)(x))

    check(build, A, B[:, 2:3])


@pytest.mark.parametrize("merge", ["Add", "Multiply", "Maximum", "Average"])
def test_tensors_of_different_ranks_are_merged_as_in_keras(merge: str) -> None:
    def build(K: Any) -> Any:
        a, b = ids(K, name="a"), K.Input((3,), name="b")
        return K.Model([a, b], MERGES[merge](K.layers)([embedded(K, a), K.layers.Dense(3)(b)]))

    check(build, A, torch.randn(4, 3))


def test_sequences_of_different_lengths_are_concatenated_with_their_masks() -> None:
    def build(K: Any) -> Any:
        a, b = ids(K, name="a"), ids(K, 3, name="b")
        x = K.layers.Concatenate(axis=1)([embedded(K, a), embedded(K, b)])
        return K.Model([a, b], K.layers.GRU(2, return_sequences=True)(x))

    check(build, A, B[:, :3])


NORMALIZED: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "rank 3": (-1, (4, 5, 3), (4, 5)),
    "rank 3, one for all samples": (-1, (4, 5, 3), (1, 5)),
    "rank 3, one for all steps": (-1, (4, 5, 3), (4, 1)),
    "rank 3, channels first": (1, (4, 5, 3), (4, 5)),
    "rank 4": (-1, (4, 5, 2, 3), (4, 5, 2)),
    "rank 4, broadcast": (-1, (4, 5, 2, 3), (4, 5, 1)),
    "rank 4, channels first": (1, (4, 3, 5, 2), (4, 1, 5)),
    "rank 4, channels between": (2, (4, 5, 3, 2), (4, 5, 1)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("row", NORMALIZED)
def test_batch_normalization_leaves_out_what_is_masked(row: str, training: bool) -> None:
    axis, shape, sizes = NORMALIZED[row]
    inputs, mask = torch.randn(shape) * 3 + 1, torch.rand(sizes) > 0.4
    pair = [L.BatchNormalization(axis=axis) for L in (layers, keras.layers)]
    close(*(each(inputs, mask=mask, training=training) for each in pair))
    close([torch.as_tensor(each) for each in pair[0].get_weights()], [each.value for each in pair[1].weights])


CONSUMERS: dict[str, Build] = {
    "BatchNormalization": lambda L, x: L.BatchNormalization()(x),
    "SimpleRNN": lambda L, x: L.SimpleRNN(2)(x),
    "GRU, backwards": lambda L, x: L.GRU(2, go_backwards=True, return_sequences=True)(x),
    "LSTM, states": lambda L, x: L.LSTM(2, return_sequences=True, return_state=True)(x),
    "LSTM, zeros": lambda L, x: L.LSTM(2, return_sequences=True, zero_output_for_mask=True)(x),
    "LSTM upon LSTM": lambda L, x: L.LSTM(2)(L.LSTM(2, return_sequences=True)(x)),
    "Bidirectional": lambda L, x: L.Bidirectional(L.GRU(2, return_sequences=True))(x),
    "Bidirectional, the last": lambda L, x: L.Bidirectional(L.LSTM(2))(x),
    "Bidirectional, apart": lambda L, x: L.Bidirectional(L.LSTM(2, return_sequences=True), merge_mode=None)(x),
    "TimeDistributed": lambda L, x: L.GRU(2)(L.TimeDistributed(L.Dense(2))(x)),
    "TimeDistributed Softmax": lambda L, x: L.TimeDistributed(L.Activation("softmax"))(x),
    "Masking again": lambda L, x: L.GRU(2)(L.Masking()(x)),
    "Masking twice": lambda L, x: L.GRU(2)(L.Masking()(L.Masking()(x))),
    "Dense, Dropout, Activation": lambda L, x: L.GRU(2)(L.Activation("tanh")(L.Dense(3)(L.Dropout(0.5)(x)))),
    "LayerNormalization": lambda L, x: L.LayerNormalization()(x),
    "UnitNormalization": lambda L, x: L.UnitNormalization()(x),
    "RMSNormalization": lambda L, x: L.GRU(2)(L.RMSNormalization()(x)),
    "SpatialDropout1D": lambda L, x: L.GRU(2)(L.SpatialDropout1D(0.3)(x)),
    "a gate": lambda L, x: L.GRU(2)(L.Multiply()([x, L.Dense(1, activation="sigmoid")(x)])),
    "Flatten": lambda L, x: L.Flatten()(x),
    "Conv1D": lambda L, x: L.Conv1D(2, 2)(x),
    "Lambda without a mask": lambda L, x: L.Lambda(lambda x: x * 2, output_shape=(5, 3))(x),
    "Lambda with a mask": lambda L, x: L.GRU(2)(
        L.Lambda(lambda x: x * 2, output_shape=(5, 3), mask=lambda x, mask: mask)(x)
    ),
    "an operator": lambda L, x: L.GRU(2)(x * 2),
}  # fmt: skip


@pytest.mark.parametrize("row", CONSUMERS)
def test_a_mask_in_a_graph_does_what_it_does_in_keras(row: str) -> None:
    def build(K: Any) -> Any:
        source = ids(K)
        return K.Model(source, CONSUMERS[row](K.layers, embedded(K, source)))

    check(build, A)


def test_a_softmax_says_which_masks_it_takes() -> None:
    with pytest.raises(TorchfuncError, match=r"a mask that broadcasts to .*mask.unsqueeze\(-1\)"):
        layers.Softmax()(embedded(tf, ids(tf)))


def test_batch_normalization_says_which_masks_it_takes() -> None:
    with pytest.raises(TorchfuncError, match="a mask of one dimension less than the inputs"):
        layers.BatchNormalization()(torch.zeros(2, 3, 4), mask=torch.ones(2, dtype=torch.bool))


ARGUMENTS: dict[str, Callable[[Any, Any], Any]] = {
    "Bidirectional": lambda L, kind: kind(L.LSTM(1)),
    "TimeDistributed": lambda L, kind: kind(L.Dense(1)),
    "SpectralNormalization": lambda L, kind: kind(L.Dense(1)),
    "RNN": lambda L, kind: kind(L.LSTMCell(1)),
    "StackedRNNCells": lambda L, kind: kind([L.LSTMCell(1)]),
    "Pipeline": lambda L, kind: kind([L.Dense(1)]),
    "Lambda": lambda L, kind: kind(len),
    "Activation": lambda L, kind: kind("relu"),
    "EinsumDense": lambda L, kind: kind("ab,bc->ac", output_shape=3),
    "GroupQueryAttention": lambda L, kind: kind(2, 4, 2),
    "TorchModuleWrapper": lambda L, kind: kind(nn.Linear(4, 2)),
    "Wrapper": lambda L, kind: kind(L.Dense(1)),
}
NUMBERS = [(), (1,), (0.5,), (1, 1), ((1,),), ((1,), "ab")]


def made(L: Any, name: str) -> Any:
    kind = getattr(L, name)
    if name in ARGUMENTS:
        return ARGUMENTS[name](L, kind)
    for arguments in NUMBERS:
        try:
            return kind(*arguments)
        except (TypeError, ValueError):
            continue
    raise AssertionError(f"{name} was not made")


KINDS = [
    name
    for name in dir(layers)
    if inspect.isclass(getattr(layers, name)) and hasattr(keras.layers, name)
    if name not in ("Layer", "InputLayer", "InputSpec")
    # Keras makes these with TensorFlow alone
    if name not in ("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization")
]


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_supports_masking_where_keras_says_so(name: str) -> None:
    assert made(layers, name).supports_masking == made(keras.layers, name).supports_masking


def test_the_arguments_of_a_layer_decide_too() -> None:
    for L in (layers, keras.layers):
        assert L.Embedding(2, 2, mask_zero=True).supports_masking
        assert L.Lambda(len, mask=lambda x, mask: mask).supports_masking


def word(L: Any) -> Any:
    return embedded(tf, ids(tf))


class Own(layers.Layer):
    def call(self, inputs: Tensor) -> Tensor:
        return inputs + 1


ENDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "operator": (lambda x: x * 1, "`mul` 'mul'.*layers.Lambda"),
    "sum": (lambda x: x + x, "`add` 'add'.*layers.Lambda"),
    "slice": (lambda x: x[:, :, :2], "`getitem` 'getitem'"),
    "function": (torch.tanh, r"`tanh` 'tanh'.*use layers.Activation\('tanh'\)"),
    "method": (lambda x: x.relu(), r"`relu` 'relu'.*use layers.Activation\('relu'\)"),
    "native module": (
        lambda x: nn.LayerNorm(3)(x),
        r"LayerNorm 'layer_norm'.*layers.Torch\(LayerNorm\(...\)\) with layer.supports_masking = True",
    ),
    "own layer": (lambda x: Own()(x), "Own 'own'.*own.supports_masking = True"),
    "Conv1D": (lambda x: layers.Conv1D(3, 2)(x), "Conv1D 'conv1d'.*Fix: give it by hand"),
    "farther up": (lambda x: layers.Dense(3)(x * 1), "`mul` 'mul'"),
    "one of two": (lambda x: layers.Add()([x, x * 1]), "Add 'add'.*give 'mul' a mask too"),
}
WANTS: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: layers.LSTM(2),
    "GlobalAveragePooling1D": lambda: layers.GlobalAveragePooling1D(),
    "BatchNormalization": lambda: layers.BatchNormalization(),
}


@pytest.mark.parametrize("wants", WANTS)
@pytest.mark.parametrize("row", ENDS)
def test_a_mask_that_ends_before_a_layer_that_wants_one_is_told(row: str, wants: str) -> None:
    end, words = ENDS[row]
    x = end(embedded(tf, ids(tf)))
    with pytest.warns(UserWarning, match=rf"mask of 'embedding' ends at {words}") as told:
        WANTS[wants]()(x)
    assert f"{wants} '" in str(told[0].message) and "mask=y.mask" in str(told[0].message)
    assert told[0].filename == __file__
    WANTS[wants]()(x)  # once


QUIET: dict[str, Callable[[Any], Any]] = {
    "nobody wants it": lambda x: layers.Dense(2)(layers.Flatten()(x * 1)),
    "it is used up": lambda x: layers.LSTM(2)(layers.RepeatVector(3)(layers.LSTM(2)(x))),
    "its steps are gone": lambda x: layers.BatchNormalization()(layers.Flatten()(x)),
    "it is given by hand": lambda x: layers.LSTM(2)(x * 1, mask=x.mask),
    "Activation": lambda x: layers.LSTM(2)(layers.Activation("tanh")(x)),
    "Lambda": lambda x: layers.LSTM(2)(layers.Lambda(torch.tanh, mask=lambda x, mask: mask)(x)),
    "no mask at all": lambda x: layers.LSTM(2)(embedded(tf, ids(tf), masked=False) * 1),
}


@pytest.mark.parametrize("row", QUIET)
def test_a_mask_that_nobody_misses_is_not_told(row: str) -> None:
    QUIET[row](embedded(tf, ids(tf)))


def test_the_flag_of_a_layer_may_be_set_as_the_warning_says() -> None:
    own, native = Own(), layers.Torch(nn.LayerNorm(3))
    own.supports_masking = native.supports_masking = True
    x = embedded(tf, ids(tf))
    assert own(x).mask is native(x).mask is x.mask


def test_a_layer_called_on_several_tensors_says_that_it_gets_no_mask_as_in_keras() -> None:
    x, state = embedded(tf, ids(tf)), tf.Input((2,))
    with pytest.warns(
        UserWarning, match=r"GRU 'gru' is called on several tensors .*gru\(x, ..., mask=x.mask\)"
    ):
        assert layers.GRU(2, return_sequences=True)(x, initial_state=state).mask is x.mask
    assert layers.GRU(2)(x, initial_state=state, mask=x.mask).node.kwargs["mask"] is x.mask


def test_a_layer_on_several_tensors_is_given_the_mask_of_each_by_its_name() -> None:
    class Attends(layers.Layer):
        def call(
            self, query: Tensor, value: Tensor, query_mask: Any = None, value_mask: Any = None
        ) -> Tensor:
            return query + value

    x = embedded(tf, ids(tf))
    kwargs = Attends()(embedded(tf, ids(tf), masked=False), x).node.kwargs
    assert kwargs == {"value_mask": x.mask}


def test_a_layer_of_ones_own_decides_about_its_mask() -> None:
    class First(layers.Layer):
        def call(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return inputs, inputs + 1, inputs + 2

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return [mask, None, ~mask]

    x = embedded(tf, ids(tf))
    first, second, third = First()(x)
    assert First().supports_masking and first.mask is x.mask and second.mask is None
    assert third.mask.node.args == (x.mask,)


def test_a_mask_given_by_hand_goes_on() -> None:
    mask = tf.Input((5,), dtype="bool")
    assert layers.GRU(2, return_sequences=True)(tf.Input((5, 3)), mask=mask).mask is mask


def test_calls_that_make_masks_are_no_layers() -> None:
    def build(K: Any) -> Any:
        x, source = K.layers.Masking()(inputs := K.Input((5, 3))), ids(K)
        x = K.layers.Concatenate()([K.layers.BatchNormalization()(x), embedded(K, source)])
        return K.Model([inputs, source], K.layers.LSTM(2)(x))

    ours, theirs = twins(build)
    assert {type(each).__name__ for each in ours.layers} == {type(each).__name__ for each in theirs.layers}
    assert len(ours.layers) == len(theirs.layers)
    close(ours(torch.ones(4, 5, 3), A), theirs([torch.ones(4, 5, 3), A]))


def test_a_function_that_is_needed_beside_masks_is_still_shown() -> None:
    source = ids(tf)
    kept = source != 0
    x = layers.LSTM(2)(layers.Embedding(9, 2)(source), mask=kept)
    assert "ne" not in [each.name for each in tf.Model(source, x).layers]
    assert "ne" in [each.name for each in tf.Model(source, [x, kept]).layers]


@pytest.mark.parametrize("sizes", [(3,), (3, 2), (3, 2, 4)], ids=str)
def test_the_states_of_cells_of_ones_own_are_tensors(sizes: tuple[int, ...]) -> None:
    def outputs(K: Any) -> Any:
        class Cell(K.layers.Layer):  # type: ignore[misc]
            def __init__(self, units: int) -> None:
                super().__init__()
                self.units = self.state_size = self.output_size = units

            def build(self, shape: Any) -> None:
                self.kernel = self.add_weight(
                    shape=(shape[-1], self.units), initializer="ones", name="kernel"
                )

            def call(self, inputs: Any, states: Any) -> Any:
                output = torch.tanh(inputs @ self.kernel * 0.1 + states[0])
                return output, [output]

        layer = K.layers.RNN([Cell(units) for units in sizes], return_state=True)
        first = layer(torch.ones(2, 3, 4))
        return first, layer(torch.ones(2, 3, 4), initial_state=list(first[1:]))

    close(list(outputs(tf)), list(outputs(keras)))
    assert all(torch.is_tensor(each) for each in outputs(tf)[0])


def test_a_sequential_shows_its_layers_alone(capsys: Any, tmp_path: Path) -> None:
    model = tf.Sequential([tf.Input((5, 3)), layers.Masking(), layers.LSTM(2), layers.Dense(1)])
    assert [type(each).__name__ for each in model.layers] == ["Masking", "LSTM", "Dense"]
    assert model.get_layer(index=1).name == "lstm"
    model.summary()
    assert "operator" not in capsys.readouterr().out
    tf.utils.plot_model(model, tmp_path / "model.dot")
    assert "operator" not in (tmp_path / "model.dot").read_text()


def nested_in(K: Any) -> Any:
    inner = K.Model(x := K.Input((5, 3)), K.layers.LSTM(2, return_sequences=True)(x))
    y = inner(embedded(K, source := ids(K)))
    return K.Model(source, [y, K.layers.GRU(2, return_sequences=True)(y)])


def nested_out(K: Any) -> Any:
    inner = K.Model(x := ids(K), embedded(K, x))
    return K.Model(source := ids(K), K.layers.GRU(2)(inner(source)))


def nested_sequential(K: Any) -> Any:
    inner = K.Sequential([K.layers.Embedding(10, 3, mask_zero=True), K.layers.GRU(3, return_sequences=True)])
    return K.Model(source := ids(K), K.layers.GRU(2)(inner(source)))


def in_a_sequential(K: Any) -> Any:
    inner = K.Sequential([K.layers.Dense(3), K.layers.GRU(3, return_sequences=True)])
    embedding = K.layers.Embedding(10, 3, mask_zero=True)
    return K.Sequential([K.layers.Input((5,), dtype="int64"), embedding, inner, K.layers.GRU(2)])


def nested_twice(K: Any) -> Any:
    inner = K.Model(x := K.Input((5, 3)), K.layers.GRU(3, return_sequences=True)(x))
    middle = K.Model(y := K.Input((5, 3)), inner(K.layers.Dense(3)(y)))
    return K.Model(source := ids(K), K.layers.GRU(2)(middle(embedded(K, source))))


def nested_with_two(K: Any) -> Any:
    pair = K.Input((5, 3)), K.Input((5, 3))
    inner = K.Model(
        list(pair), [K.layers.Add()(list(pair)), K.layers.LSTM(3, return_sequences=True)(pair[0])]
    )
    source = ids(K)
    x = embedded(K, source)
    return K.Model(
        source, K.layers.GRU(2)(K.layers.Concatenate()(inner([x, K.layers.RMSNormalization()(x)])))
    )


def shared(K: Any) -> Any:
    inner = K.Model(x := K.Input((5, 3)), K.layers.GRU(3, return_sequences=True)(x))
    y = embedded(K, source := ids(K))
    return K.Model(source, K.layers.GRU(2)(K.layers.Add()([inner(y), inner(K.layers.RMSNormalization()(y))])))


NESTED = [nested_in, nested_out, nested_sequential, in_a_sequential, nested_twice, nested_with_two, shared]


@pytest.mark.parametrize("build", NESTED)
def test_masks_go_into_a_nested_model_and_come_out(build: Callable[[Any], Any], tmp_path: Path) -> None:
    check(build, A)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(tf)
        model.save(tmp_path / "model.safetensors")
        loaded = tf.load_model(tmp_path / "model.safetensors")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        close(other(A), model(A))
        assert other.output_masks() == model.output_masks()


@pytest.mark.parametrize("build", [nested_in, nested_with_two])
def test_a_nested_model_with_masks_compiles_into_one_graph(build: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(tf)
    assert "masks=[" in model.code
    for each in (model, copy.deepcopy(model)):
        close(torch.compile(each, fullgraph=True, backend="eager")(A), each(A))


def test_a_nested_model_takes_a_mask_by_hand() -> None:
    inner = tf.Model(x := tf.Input((5, 3)), layers.GRU(2, return_sequences=True)(x))
    data, kept = tf.Input((5, 3)), tf.Input((5,), dtype="bool")
    y = inner(data, mask=kept)
    assert y.mask is not None
    values, mask = torch.randn(4, 5, 3), A != 0
    close(tf.Model([data, kept], y)(values, mask), inner(values, mask=mask))
    close(inner(values, mask=mask), inner.get_layer("gru")(values, mask=mask))
    with torch.no_grad():
        close(inner(values, mask=mask, training=True), inner(values, mask=mask, training=False))


def test_a_nested_model_with_masks_shows_its_outputs_alone(capsys: Any) -> None:
    inner = tf.Sequential([layers.GRU(2, return_sequences=True)])
    y = inner(embedded(tf, source := ids(tf)))
    assert inner.get_output_at(0).shape == y.shape == (None, 5, 2)
    model = tf.Model(source, layers.GRU(2)(y))
    model.summary()
    assert "sequential (Sequential)         (None, 5, 2) " in capsys.readouterr().out
    model.compile(loss="mse")
    model.fit(A, torch.zeros(4, 2), verbose=0)
    inner.compile(loss="mse")
    inner.fit(torch.ones(4, 5, 3), torch.zeros(4, 5, 2), verbose=0)


def test_a_mask_that_ends_in_a_nested_model_is_told() -> None:
    inner = tf.Model(x := tf.Input((5, 3)), x * 2)
    y = inner(embedded(tf, ids(tf)))
    with pytest.warns(UserWarning, match="ends at Functional 'functional'"):
        layers.LSTM(2)(y)


def test_a_mask_that_ends_in_a_model_with_a_forward_of_its_own_is_told() -> None:
    class Doubles(tf.Model):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs * 2

    y = Doubles(x := tf.Input((5, 3)), layers.Dense(3)(x))(embedded(tf, ids(tf)))
    with pytest.warns(UserWarning, match="ends at Doubles 'doubles'"):
        layers.LSTM(2)(y)


def test_the_layers_of_a_nested_model_may_be_replaced_and_added_to() -> None:
    inner = tf.Sequential([layers.Dense(3), layers.GRU(3, return_sequences=True)])
    x = embedded(tf, source := ids(tf))
    model = tf.Model(source, layers.GRU(2)(inner(x)))
    before = model(A)
    inner.get_layer("dense").set_weights([np.eye(3), np.ones(3)])
    assert not torch.equal(model(A), before)
    inner.add(layers.Dense(7))
    assert tf.Model(source, inner(x))(A).shape == (4, 5, 7)


def test_a_graph_is_asked_for_the_masks_of_its_outputs() -> None:
    source = ids(tf)
    x = embedded(tf, source)
    model = tf.Model(source, {"steps": layers.GRU(2, return_sequences=True)(x), "last": layers.GRU(2)(x)})
    code, kind = model.code, type(model)
    assert model.output_masks() == (True, False)
    assert model.code == code
    outputs, (mask,) = model(A, masks=[None])
    assert outputs.keys() == {"steps", "last"} and torch.equal(mask, A != 0)
    close(list(outputs.values()), list(model(A).values()))
    plain = Model(y := tf.Input((3,)), layers.Dense(2)(y))
    kind = type(plain)
    assert plain.output_masks() == (False,) and type(plain) is kind


def test_the_symbols_of_a_loaded_model_have_their_masks(tmp_path: Path) -> None:
    source = ids(tf)
    tf.Model(source, layers.Dense(2)(embedded(tf, source))).save(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors")
    assert loaded.output.mask is not None and loaded.output_masks() == (True,)


def loaded(model: Any, folder: Path) -> Any:
    model.save(folder / "m.safetensors")
    return tf.load_model(folder / "m.safetensors")


def with_another(model: Any, folder: Path) -> Any:
    model.dense = layers.Dense(2)
    return model


WAYS: dict[str, Callable[[Any, Path], Any]] = {
    "file": loaded,
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "clone": lambda model, folder: tf.clone_model(model),
    "a layer replaced": with_another,
}


@pytest.mark.parametrize("row", WAYS)
def test_a_new_layer_on_a_model_that_was_made_again_gets_the_mask(row: str, tmp_path: Path) -> None:
    model = tf.Model(source := ids(tf), layers.Dense(2)(embedded(tf, source)))
    again = WAYS[row](model, tmp_path)
    lstm = layers.LSTM(2)
    longer = tf.Model(again.input, lstm(again.get_layer("embedding").output))
    close(longer(A), lstm(again.embedding(A), mask=A != 0))
    assert "mask" in longer.code


def test_a_lost_mask_is_told_of_a_model_once_and_not_when_its_layers_change(tmp_path: Path) -> None:
    source = ids(tf)
    with pytest.warns(UserWarning, match="ends at"):
        model = tf.Model(source, layers.Dense(2)(layers.GRU(3)(embedded(tf, source) * 2)))
    model.dense = layers.Dense(5)
    assert model.output_shape == (None, 5)
    assert loaded(model, tmp_path).output_shape == (None, 5)


def test_a_graph_with_masks_is_that_of_the_layers_of_now() -> None:
    inner = tf.Model(x := tf.Input((5, 3)), layers.GRU(3, return_sequences=True)(x))
    assert inner(embedded(tf, ids(tf))).mask is not None
    values, mask = torch.randn(4, 5, 3), A != 0
    before = inner(values, mask=mask)
    inner.gru = layers.Conv1D(3, 1)
    close(inner(values, mask=mask), inner.gru(values))
    assert not torch.equal(before, inner(values, mask=mask)) and inner.output_masks() == (False,)


def test_a_nested_model_that_takes_masks_takes_them_when_it_is_drawn_anew() -> None:
    inner = tf.Sequential([layers.GRU(3, return_sequences=True)])
    model = tf.Model(source := ids(tf), layers.GRU(2)(inner(embedded(tf, source))))
    inner.add(layers.Dense(3))
    kept = inner(model.embedding(A), mask=A != 0)
    close(model(A), model.gru(kept, mask=A != 0))


def test_a_layer_of_ones_own_may_take_an_argument_that_is_called_masks(capsys: Any) -> None:
    class Picks(layers.Layer):
        def call(self, inputs: Tensor, masks: Any = None) -> Tensor:
            return inputs if masks is None else inputs * masks

    x, kept = tf.Input((3,)), tf.Input((3,))
    model = tf.Model([x, kept], Picks()(x, masks=kept))
    model.summary()
    assert "picks (Picks)" in capsys.readouterr().out
    close(model(torch.ones(2, 3), torch.zeros(2, 3)), torch.zeros(2, 3))


def test_a_mask_of_a_layer_of_ones_own_may_need_a_tensor() -> None:
    class Only(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.kept = torch.tensor([True, True, False, True, True])

        def call(self, inputs: Tensor) -> Tensor:
            return inputs + 0

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return self.kept if mask is None else mask & self.kept

    model = tf.Model(source := ids(tf), Only()(embedded(tf, source)))
    assert model.output_masks() == (True,)
    _, (mask,) = model(A, masks=[None])
    close(mask, (A != 0) & model.only.kept)


def test_a_number_among_the_outputs_has_no_mask() -> None:
    x = embedded(tf, source := ids(tf, None))
    model = tf.Model(source, [x, x.shape[1]])
    assert model.output_masks() == (True, False)
    (_, steps), (mask,) = model(A, masks=[None])
    assert steps == 5 and torch.equal(mask, A != 0)


def test_a_model_takes_a_mask_with_its_tensors_as_in_keras() -> None:
    x = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    inputs = tf.Input((3, 2))
    models = [
        tf.Model(inputs, tf.layers.GlobalAveragePooling1D()(inputs)),
        tf.Sequential([tf.layers.GlobalAveragePooling1D()]),
    ]
    for model in models:
        for _ in range(2):
            assert torch.equal(model(x, mask=mask), torch.tensor([[1.0, 2.0], [6.0, 7.0]]))
        assert torch.equal(model(x, mask=mask, training=False), torch.tensor([[1.0, 2.0], [6.0, 7.0]]))
        assert torch.equal(model(x), x.mean(1))
