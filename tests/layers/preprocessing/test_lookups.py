"""Lookups and text: the places that Keras's documentation and tests state, adapted to data of every form, and in files."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import ConfigError, DataError, DTypeError, GraphError, ShapeError
from torchfunc.layers import IndexLookup, IntegerLookup, StringLookup, TextVectorization

SEEN = ["one", "one", "one", "two", "two", "three"]
VOCABULARY = ["one", "two", "three"]
OF_TEXT: dict[str, Any] = {
    "max_tokens": 7, "num_oov_indices": 1, "mask_token": "", "oov_token": "[OOV]", "vocabulary_dtype": "string",
}  # fmt: skip


class Words(Dataset[Any]):
    """Texts with their number, as samples."""

    def __len__(self) -> int:
        return len(SEEN)

    def __getitem__(self, index: int) -> Any:
        return SEEN[index], index


def batches() -> Iterator[Any]:
    yield SEEN[:4]
    yield SEEN[4:]


@pytest.mark.parametrize(
    "data",
    [
        SEEN,
        np.array(SEEN),
        np.array(SEEN, dtype=object),
        np.array(SEEN, dtype="S"),
        [[each] for each in SEEN],
        Words(),
        DataLoader(Words(), batch_size=2),
        DataLoader(SEEN, batch_size=4),  # type: ignore[arg-type]
    ],
    ids=["list", "str", "object", "bytes", "nested", "Dataset", "pairs", "DataLoader"],
)
def test_a_vocabulary_is_learned_from_data_of_any_form(data: Any) -> None:
    layer = IndexLookup(**OF_TEXT)
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[OOV]", *VOCABULARY]
    assert layer.get_vocabulary(include_special_tokens=False) == VOCABULARY
    assert layer(["one", "two", "four"]).tolist() == [2, 3, 1]


def test_a_generator_is_counted_batch_by_batch_as_far_as_is_said() -> None:
    layer = StringLookup()
    layer.adapt(batches())
    assert layer.get_vocabulary() == ["[UNK]", *VOCABULARY]
    layer.adapt(batches(), steps=1)
    assert layer.get_vocabulary() == ["[UNK]", "one", "two"]
    layer.reset_state()
    for batch in batches():
        layer.update_state(batch)
    layer.finalize_state()
    assert layer.get_vocabulary() == ["[UNK]", *VOCABULARY]


def test_of_tokens_that_are_equally_frequent_the_last_comes_first() -> None:
    layer = StringLookup()
    layer.adapt([["a", "c", "d"], ["d", "z", "b"]])
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    assert layer([["a", "c", "d"], ["d", "z", "b"]]).tolist() == [[5, 3, 1], [1, 2, 4]]


def test_whole_numbers_are_learned_and_the_rarest_are_left_out() -> None:
    layer = IntegerLookup(4, mask_token=0)
    layer.adapt(torch.tensor([1, 1, 1, 2, 2, 3]))
    assert layer.get_vocabulary() == [0, -1, 1, 2]
    assert layer([1, 2, 3, 4, 0]).tolist() == [2, 3, 1, 1, 0]


ONE, BATCH = ["one", "two", "four"], [["one", "two", "four", "two"]]


@pytest.mark.parametrize(
    ("arguments", "inputs", "expected"),
    [
        ({}, BATCH, [[2, 3, 1, 3]]),
        ({"output_mode": "multi_hot"}, ONE, [1, 1, 1, 0]),
        ({"output_mode": "binary"}, BATCH, [[1, 1, 1, 0]]),
        ({"output_mode": "one_hot"}, ONE, [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]),
        ({"output_mode": "count"}, BATCH, [[1, 1, 2, 0]]),
        ({"output_mode": "count", "pad_to_max_tokens": True}, BATCH, [[1, 1, 2, 0, 0, 0, 0]]),
        ({"output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.5]}, BATCH, [[0.5, 0.25, 1.5, 0]]),
        ({"output_mode": "multi_hot"}, [["", "one"]], [[0, 1, 0, 0]]),
    ],
)
def test_modes_give_what_keras_states(arguments: dict[str, Any], inputs: Any, expected: Any) -> None:
    layer = IndexLookup(**OF_TEXT, vocabulary=VOCABULARY, **arguments)
    assert layer(inputs).tolist() == expected


def test_frequencies_of_documents_are_those_of_keras() -> None:
    layer = IndexLookup(**OF_TEXT, output_mode="tf_idf")
    layer.adapt(SEEN)
    expected = np.log(1 + 6 / (1 + np.array([3, 2, 1])))
    assert layer.idf_weights is not None
    np.testing.assert_allclose(layer.idf_weights[1:], expected, rtol=1e-6)
    np.testing.assert_allclose(layer(ONE), [1.1337324, 0.91629076, 1.0986123, 0], rtol=1e-6)
    layer.adapt([["one", "one"], ["one", "two"], ["two", "three"]])
    np.testing.assert_allclose(
        layer([["one", "two"], ["two", "four"]]),
        [[0, 0.6931472, 0.6931472, 0], [0.76752836, 0, 0.6931472, 0]],
        rtol=1e-6,
    )


def test_several_unknown_places_are_taken_by_hash_or_remainder() -> None:
    text = StringLookup(vocabulary=["a", "b", "c", "d"], num_oov_indices=2)
    assert text([["a", "c", "d"], ["m", "z", "b"]]).tolist() == [[2, 4, 5], [0, 1, 3]]
    numbers = IntegerLookup(vocabulary=[12, 36, 1138, 42], num_oov_indices=2)
    assert numbers([[12, 1138, 42], [37, 1000, 36]]).tolist() == [[2, 4, 5], [1, 0, 3]]
    hashed = IntegerLookup(vocabulary=[10, 20, 30], num_oov_indices=4, oov_method="farmhash")
    assert hashed([100, 200, 300, 400]).tolist() == [3, 1, 3, 1]
    salted = IntegerLookup(vocabulary=[10], num_oov_indices=4, oov_method="farmhash", salt=3)
    assert salted([100, 200]).tolist() == layers.Hashing(4, salt=3)([100, 200]).tolist()


def test_the_way_back_gives_text_in_lists_and_numbers_in_a_tensor() -> None:
    text = StringLookup(vocabulary=VOCABULARY, mask_token="", invert=True)
    assert text([[2, 3, 1, 0], [4, 9, -1, 2]]) == [
        ["one", "two", "[UNK]", ""],
        ["three", "[UNK]", "[UNK]", "one"],
    ]
    numbers = IntegerLookup(vocabulary=[10, 20, 30], invert=True)
    assert numbers([1, 2, 3, 0, 7]).tolist() == [10, 20, 30, -1, -1]
    there = StringLookup(vocabulary=VOCABULARY)
    assert StringLookup(vocabulary=there.get_vocabulary(), invert=True)(there(["two", "x"])) == [
        "two",
        "[UNK]",
    ]


def test_a_vocabulary_is_a_list_an_array_a_tensor_or_the_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("a\nb\nc\n")
    for vocabulary in (
        ["a", "b", "c"],
        ("a", "b", "c"),
        np.array(["a", "b", "c"]),
        np.array([b"a", b"b", b"c"]),
        path,
    ):
        assert StringLookup(vocabulary=vocabulary)(["b", "c", "d"]).tolist() == [2, 3, 0]
    path.write_text("10\n20\n30\n")
    for numbers in ([10, 20, 30], torch.tensor([10, 20, 30]), str(path)):
        assert IntegerLookup(vocabulary=numbers)([10, 30, 999]).tolist() == [1, 3, 0]


def test_a_file_that_is_loaded_opens_no_other() -> None:
    for config in ({"vocabulary": "/etc/hostname"}, {"vocabulary": {"path": "/etc/hostname"}}):
        with pytest.raises(ConfigError, match="vocabulary: expected a list"):
            StringLookup.from_config(config)


def saved_and_loaded(model: Any) -> Any:
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    return tf.models.load_model(file)


@pytest.mark.parametrize(
    "arguments",
    [
        {"vocabulary": [30, 10, 20]},
        {"vocabulary": [30, 10], "mask_token": 7, "num_oov_indices": 3, "output_mode": "count"},
        {"vocabulary": [30, 10], "oov_method": "farmhash", "num_oov_indices": 3, "salt": [1, 2]},
        {"vocabulary": [30, 10], "output_mode": "tf_idf", "idf_weights": [0.1, 0.3]},
        {"vocabulary": [-1, 30, 10], "output_mode": "tf_idf", "idf_weights": [0.5, 0.1, 0.3], "max_tokens": 5,
         "pad_to_max_tokens": True},
        {"vocabulary": [30, 10], "invert": True},
    ],
)  # fmt: skip
def test_numbers_are_looked_up_in_graphs_files_copies_and_under_compile(arguments: dict[str, Any]) -> None:
    inputs, x = tf.Input((3,), dtype="int64"), torch.tensor([[30, 7, 5], [1, 2, 10]])
    layer = IntegerLookup(**arguments)
    model = tf.Model(inputs, layer(inputs))
    expected = layer(x)
    assert model.outputs[0].shape == (None, *expected.shape[1:]) and model.outputs[0].dtype == expected.dtype
    chain = tf.Sequential([tf.Input((3,), dtype="int64"), IntegerLookup(**arguments)])
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    others = (model, saved_and_loaded(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)))
    for each in (*others, tf.models.clone_model(model), chain, saved_and_loaded(chain), compiled):
        torch.testing.assert_close(each(x), expected, rtol=0, atol=0)


def test_weights_of_documents_are_kept_to_the_last_bit_and_turn_with_the_layer() -> None:
    layer = StringLookup(output_mode="tf_idf")
    layer.adapt([["a", "b"], ["b", "c"], ["c", "c"]])
    twin = StringLookup.from_config(layer.get_config())
    assert torch.equal(twin.idf_weights, layer.idf_weights) and twin.get_config() == layer.get_config()
    assert twin.double().idf_weights.dtype == torch.float64


def test_what_was_learned_may_be_learned_anew_and_what_was_given_not() -> None:
    layer = StringLookup(vocabulary=["a"])
    with pytest.raises(
        GraphError, match=r"adapt: expected none, or nothing to learn from, got a vocabulary when"
    ):
        layer.adapt(["b"])
    twin = StringLookup.from_config(layer.get_config())
    twin.adapt(["b"])
    assert twin.get_vocabulary() == ["[UNK]", "b"]


def test_a_vocabulary_that_is_part_of_a_graph_keeps_its_size() -> None:
    layer = IntegerLookup(output_mode="multi_hot")
    layer.adapt([1, 2])
    symbol = layer(tf.Input((2,), dtype="int64"))
    layer.adapt([3, 4])
    assert symbol.shape == (None, 3)
    with pytest.raises(
        GraphError, match="expected 3, as in the graph that it is part of, got a vocabulary of 4 places"
    ):
        layer.adapt([1, 2, 3])


class Sentences(Dataset[Any]):
    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return self.layer(f"foo bar{index % 2}"), index


def test_text_becomes_numbers_in_a_dataset_or_a_collate_fn() -> None:
    layer = TextVectorization(vocabulary=["foo", "bar0"], output_sequence_length=3)
    batch, _ = next(iter(DataLoader(Sentences(layer), batch_size=4)))
    assert batch.tolist() == [[2, 3, 0], [2, 1, 0], [2, 3, 0], [2, 1, 0]]
    loader = DataLoader(["foo x", "bar0"], batch_size=2, collate_fn=layer)  # type: ignore[arg-type]
    assert next(iter(loader)).tolist() == [[2, 1, 0], [3, 0, 0]]


TEXT = ["Hello, World!. This is just a nice test!"]
FOO = ["foo", "bar", "baz"]


@pytest.mark.parametrize(
    ("arguments", "inputs", "expected"),
    [
        ({"vocabulary": ["hello", "world", "this", "is", "nice", "test"]}, TEXT, [[2, 3, 4, 5, 1, 1, 6, 7]]),
        ({"standardize": "lower", "vocabulary": ["hello,", "world", "this", "nice"]}, TEXT, [[2, 1, 4, 1, 1, 1, 5, 1]]),
        ({"standardize": "strip_punctuation", "vocabulary": ["Hello", "World"]}, ["Hello, World!"], [[2, 3]]),
        ({"standardize": None, "vocabulary": ["Hello"]}, ["Hello hello"], [[2, 1]]),
        ({"standardize": lambda x: np.char.replace(x, "-", " "), "vocabulary": FOO}, ["foo-bar"], [[2, 3]]),
        ({"split": "character", "vocabulary": list("abé")}, ["abcé"], [[2, 3, 1, 4]]),
        ({"split": lambda x: np.char.split(x, "|"), "standardize": None, "vocabulary": FOO}, ["foo|baz", "bar"],
         [[2, 4], [3, 0]]),
        ({"split": None, "vocabulary": FOO}, [["foo"], ["bar"], ["x"]], [[2], [3], [1]]),
        ({"split": None, "vocabulary": FOO, "output_sequence_length": 3}, [["foo"], ["bar"]], [[2, 0, 0], [3, 0, 0]]),
        ({"vocabulary": FOO, "output_sequence_length": 2}, ["foo", "foo bar baz"], [[2, 0], [2, 3]]),
        ({"vocabulary": ["foo bar", "foo"], "ngrams": 2}, ["foo bar"], [[3, 1, 2]]),
        ({"vocabulary": ["a b c", "a"], "ngrams": (1, 3)}, ["a b c"], [[3, 1, 1, 2]]),
        ({"vocabulary": FOO, "output_mode": "multi_hot"}, [["foo bar"], ["baz foo foo"]], [[0, 1, 1, 0], [0, 1, 0, 1]]),
        ({"vocabulary": FOO, "output_mode": "count"}, ["foo bar", "baz foo foo"], [[0, 1, 1, 0], [0, 2, 0, 1]]),
        ({"vocabulary": FOO, "output_mode": "tf_idf", "idf_weights": [0.25, 0.5, 0.75]}, ["foo bar", "baz foo foo"],
         [[0, 0.25, 0.5, 0], [0, 0.5, 0, 0.75]]),
        ({"vocabulary": FOO, "output_mode": "one_hot"}, ["foo x"], [[[0, 1, 0, 0], [1, 0, 0, 0]]]),
        ({"vocabulary": FOO, "output_mode": "count", "max_tokens": 6, "pad_to_max_tokens": True}, ["foo"],
         [[0, 1, 0, 0, 0, 0]]),
        ({"vocabulary": FOO}, "bar foo", [3, 2]),
        ({"vocabulary": FOO}, np.array(["foo", "bar"]), [[2], [3]]),
        ({"vocabulary": FOO}, [], []),
        ({"vocabulary": ["café"], "encoding": "latin-1"}, ["café".encode("latin-1")], [[2]]),
        # as TensorFlow has it: the letters and the whitespace of ASCII alone
        ({"vocabulary": ["É", "a\xa0b"]}, ["É a\xa0b É"], [[2, 3, 2]]),
    ],
)  # fmt: skip
def test_text_becomes_what_keras_states(arguments: dict[str, Any], inputs: Any, expected: Any) -> None:
    assert TextVectorization(**arguments)(inputs).tolist() == expected


@pytest.mark.parametrize("mode", ["int", "tf_idf", "multi_hot"])
def test_text_is_learned_from_and_kept_in_a_configuration(mode: str) -> None:
    length = {"output_sequence_length": 4} if mode == "int" else {}
    layer = TextVectorization(5000, output_mode=mode, ngrams=(1, 2), **length)
    layer.adapt(["foo bar", "bar baz", "baz bada\tboom"])
    assert layer.get_vocabulary(False)[:2] == ["baz", "bar"] and "bada boom" in layer.get_vocabulary()
    twin = tf.config.made({"class_name": "TextVectorization", "config": layer.get_config()}, "$")  # type: ignore[attr-defined]
    for each in (twin, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(
            each([["foo qux bar"], ["baz"]]), layer([["foo qux bar"], ["baz"]]), rtol=0, atol=0
        )


def test_a_text_is_a_document() -> None:
    layer = TextVectorization(output_mode="tf_idf")
    layer.adapt(["a b", "b c", "c c"])
    expected = np.log(1 + 3 / (1 + np.array([2, 2, 1])))
    assert layer.get_vocabulary() == ["[UNK]", "c", "b", "a"] and layer.idf_weights is not None
    np.testing.assert_allclose(layer.idf_weights, [expected.mean(), *expected], rtol=1e-6)


@tf.register()
def dashes_to_spaces(texts: Any) -> Any:
    return np.char.replace(texts, "-", " ")


def test_a_function_is_kept_by_its_registered_name() -> None:
    layer = TextVectorization(standardize=dashes_to_spaces, vocabulary=["foo", "bar"])
    assert layer.get_config()["standardize"] == "dashes_to_spaces"
    assert TextVectorization.from_config(layer.get_config())(["foo-bar"]).tolist() == [[2, 3]]


def text_classifier(**arguments: Any) -> Any:
    embedded = [layers.Embedding(5, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    return tf.Sequential([TextVectorization(vocabulary=FOO, **arguments), *embedded])


@pytest.mark.parametrize("arguments", [{}, {"output_sequence_length": 4}], ids=["any length", "4"])
def test_a_sequential_that_begins_with_text_takes_it_alone_saved_and_copied(
    arguments: dict[str, Any],
) -> None:
    model, texts = text_classifier(**arguments), ["foo bar x", "baz"]
    expected = model(texts)
    numbers = model.layers[0](texts)
    assert [type(each).__name__ for each in model.layers][:2] == ["TextVectorization", "Embedding"]
    assert model.input_shape == (None, arguments.get("output_sequence_length"))
    clones = [tf.models.clone_model(model), tf.models.model_from_json(model.to_json())]
    for each in clones:
        each.set_weights(model.get_weights())
    loaded = saved_and_loaded(model)
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        loaded,
        saved_and_loaded(loaded),
        *clones,
    ]
    for each in (model, *copies):
        for given in (texts, np.array(texts), [[text] for text in texts], numbers):
            torch.testing.assert_close(each(given), expected, rtol=0, atol=0)
    assert model(["foo foo foo foo foo foo"]).shape == (1, 2)


def test_a_sequential_of_text_is_trained_on_what_its_first_layer_makes_of_it() -> None:
    model, texts = text_classifier(output_sequence_length=3), ["foo bar", "baz"]
    before = model(texts).detach()
    model.compile("sgd", "mse")
    model.fit(model.layers[0](texts), np.ones((2, 2)), verbose=0)
    assert not torch.equal(model(texts), before)
    with pytest.raises(DataError, match="expected numbers, got the dtype <U7"):
        model.fit(np.array(texts), np.ones((2, 2)))


@pytest.mark.parametrize(
    "change", [{"after_text": 3}, {"input": None}, {"layers": [{"class_name": "Identity", "config": {}}]}]
)
def test_a_config_says_only_of_a_layer_of_text_that_it_stands_before_the_graph(
    change: dict[str, Any],
) -> None:
    model = text_classifier()
    model(["foo"])
    with pytest.raises(ConfigError, match=r"\$.after_text: expected true behind a layer of text alone"):
        tf.Sequential.from_config({**model.get_config(), **change})


def test_a_model_of_text_is_a_chain_of_pytorch() -> None:
    vectorize = TextVectorization(vocabulary=FOO)
    whole = torch.nn.Sequential(
        vectorize, tf.Sequential([layers.Embedding(5, 3), layers.GlobalAveragePooling1D()])
    )
    assert whole(["foo bar", "baz"]).shape == (2, 3)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: StringLookup(1), GraphError, "max_tokens=1"),
        (lambda: StringLookup(num_oov_indices=-1), GraphError, "an integer of at least 0, got num_oov_indices=-1"),
        (lambda: StringLookup(pad_to_max_tokens=True), GraphError, "expected max_tokens too, got pad_to_max_tokens=True"),
        (lambda: StringLookup(invert=True, output_mode="count"), GraphError, "got invert=True with output_mode='count'"),
        (lambda: StringLookup(idf_weights=[1.0]), GraphError, "got idf_weights with output_mode='int'"),
        (lambda: StringLookup(vocabulary=["a"], output_mode="tf_idf"), GraphError, "expected idf_weights, one for each"),
        (lambda: StringLookup(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1, 2]), GraphError, r"shape \(2,\)"),
        (lambda: StringLookup(sparse=True, output_mode="count"), GraphError, "to_sparse"),
        (lambda: StringLookup(vocabulary=[]), GraphError, "got an empty vocabulary"),
        (lambda: StringLookup(vocabulary=["a", "b", "a"]), GraphError, r"got \['a'\] more than once"),
        (lambda: StringLookup(vocabulary=["a", "m"], mask_token="m"), GraphError, "'m' at place 1 of the vocabulary"),
        (lambda: StringLookup(vocabulary=["a", "b"], max_tokens=2), GraphError, "3 places with the first ones"),
        (lambda: StringLookup(vocabulary="no/such/file"), GraphError, "expected a file that exists"),
        (lambda: StringLookup(vocabulary=[1]), DTypeError, "vocabulary: expected texts, got 1"),
        (lambda: IntegerLookup(vocabulary=["a"]), DTypeError, "vocabulary: expected whole numbers, got 'a'"),
        (lambda: IntegerLookup(vocabulary_dtype="int32"), GraphError, "got vocabulary_dtype='int32'"),
        (lambda: IntegerLookup(oov_method="x"), GraphError, "got oov_method='x'"),
        (lambda: IntegerLookup(salt=1), GraphError, "expected oov_method='farmhash'"),
        (lambda: IntegerLookup(vocabulary=[1], num_oov_indices=0)([1, 5]), GraphError, r"got \[5\].* num_oov_indices=1"),
        (lambda: StringLookup(vocabulary=["a"], num_oov_indices=0)(["z"]), GraphError, r"got \['z'\]"),
        (lambda: StringLookup(output_mode="count")(["a"]), GraphError, r"got no vocabulary yet. Fix: layer.adapt\(data\)"),
        (lambda: StringLookup(vocabulary=["a"])(torch.ones(2)), DTypeError, "expected texts, got tensor"),
        (lambda: StringLookup(vocabulary=["a"])([["a"], ["a", "b"]]), ShapeError, "rows of one length"),
        (lambda: StringLookup(encoding="base64"), GraphError, "expected the name of one, got encoding='base64'"),
        (lambda: StringLookup().adapt([b"\xff"]), DTypeError, "expected UTF-8.* Fix: encoding='latin-1'"),
        (lambda: StringLookup().adapt(iter([])), GraphError, "expected at least one batch, got no data"),
        (lambda: StringLookup().adapt({"a": ["x"]}), GraphError, "an array, a list, a DataLoader"),
        (lambda: StringLookup()(tf.Input((1,))), GraphError, r"got a symbolic tensor.*a Sequential that begins with it"),
        (lambda: tf.Input((1,), dtype="string"), DTypeError, "A graph holds tensors, and text is none. Fix: call TextVec"),
        (lambda: TextVectorization(ragged=True), GraphError, "expected ragged=False, got ragged=True"),
        (lambda: TextVectorization(ngrams="x"), GraphError, "a positive integer, or a tuple of them, got ngrams='x'"),
        (lambda: TextVectorization(split="words"), GraphError, "'whitespace' or 'character', got split='words'"),
        (lambda: TextVectorization(output_mode="count", output_sequence_length=2), GraphError, "Fix: leave it out"),
        (lambda: TextVectorization(vocabulary=FOO)([["a", "b"]]), ShapeError, r"expected \(batch,\) or \(batch, 1\)"),
        (lambda: TextVectorization(vocabulary=FOO, split=lambda x: x)(["a b"]), DTypeError, "list of tokens, got the text"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_up_is_told(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
