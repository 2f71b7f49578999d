"""Layers of text, whose vocabulary stands in a file of its own where Keras learned it from data.

Keras has these layers on TensorFlow only, which the tests do without: files are put together as Keras 3.15.1 on
TensorFlow 2.21 wrote them, and there it read those written here with equal outputs.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.keras_files.test_hostile_keras_files import check
from torchfunc.errors import ConfigError
from torchfunc.keras_files.zipped import zip_of

TEXTS = ["the cat sat on the mat", "the dog", "a cat and a dog ran"]
L = tf.layers


def vectorized(**arguments: Any) -> Any:
    words = L.TextVectorization(**arguments)
    words.adapt(TEXTS)
    if arguments.get("output_mode", "int") == "int":
        model = tf.Sequential([words, L.Embedding(20, 3), L.GlobalAveragePooling1D(), L.Dense(2)])
    else:
        model = tf.Sequential([words, L.Dense(2)])
    model(TEXTS)
    return model


KINDS: dict[str, dict[str, Any]] = {
    "numbers": {"output_sequence_length": 4},
    "several": {"output_mode": "multi_hot", "ngrams": 2, "max_tokens": 12},
    "weighed": {"output_mode": "tf_idf"},
}


def parts(model: Any, path: Path) -> dict[str, bytes]:
    """What stands in the file that a model is saved to."""
    import zipfile

    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_learned(model: Any, path: Path, vocabulary: bytes | None = None) -> bytes:
    """The file of a model as Keras writes it where the vocabulary was learned: as a file of its own."""
    files = parts(model, path)
    config = json.loads(files["config.json"])
    layer = config["config"]["layers"][1]["config"]
    words = model.layers[0].get_vocabulary()
    layer |= {"vocabulary": None, "idf_weights": None, "vocabulary_size": len(words)}
    files["config.json"] = json.dumps(config).encode()
    said = "\n".join(words).encode() if vocabulary is None else vocabulary
    for place in ("", "_lookup_layer/"):
        files[f"assets/layers/text_vectorization/{place}vocabulary.txt"] = said
    return bytes(zip_of(files))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_text_goes_through_a_file(kind: str, tmp_path: Path) -> None:
    model = vectorized(**KINDS[kind])
    model.save(tmp_path / "given.keras")
    (tmp_path / "learned.keras").write_bytes(as_learned(model, tmp_path / "m.keras"))
    for name in ("given.keras", "learned.keras"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = tf.load_model(tmp_path / name)
        assert torch.equal(found(TEXTS), model(TEXTS)), name
        assert found.layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
        found.save(tmp_path / "again.keras")
        assert torch.equal(tf.load_model(tmp_path / "again.keras")(TEXTS), model(TEXTS))


def test_a_file_says_what_keras_says_of_text(tmp_path: Path) -> None:
    files = parts(vectorized(**KINDS["weighed"]), tmp_path / "m.keras")
    first = json.loads(files["config.json"])["config"]["layers"][0]["config"]
    assert first["batch_shape"] == [None, 1] and first["dtype"] == "string"
    with h5py.File(io.BytesIO(files["model.weights.h5"])) as file:
        inner = file["layers/text_vectorization"]
        assert inner["vars/idf_weights"].shape == inner["_lookup_layer/vars/idf_weights"].shape == (10,)


def test_other_vocabularies_are_read_too(tmp_path: Path) -> None:
    inputs = tf.Input((2,), dtype="int64")
    model = tf.Model(inputs, L.Embedding(9, 3)(L.IntegerLookup(vocabulary=[3, 5, 9], name="n")(inputs)))
    files = parts(model, tmp_path / "m.keras")
    config = json.loads(files["config.json"])
    next(each for each in config["config"]["layers"] if each["name"] == "n")["config"]["vocabulary"] = None
    files |= {
        "config.json": json.dumps(config).encode(),
        "assets/layers/integer_lookup/vocabulary.txt": b"-1\n3\n5\n9\n",
    }
    (tmp_path / "learned.keras").write_bytes(zip_of(files))
    numbers = torch.tensor([[3, 9], [4, 5]])
    assert torch.equal(tf.load_model(tmp_path / "learned.keras")(numbers), model(numbers))


def test_a_file_without_a_vocabulary_says_so(tmp_path: Path) -> None:
    model = vectorized(**KINDS["numbers"])
    files = parts(model, tmp_path / "m.keras")
    config = json.loads(files["config.json"])
    config["config"]["layers"][1]["config"]["vocabulary"] = None
    (tmp_path / "none.keras").write_bytes(zip_of({**files, "config.json": json.dumps(config).encode()}))
    with pytest.warns(UserWarning, match="no vocabulary for the layer 'text_vectorization"):
        found = tf.load_model(tmp_path / "none.keras")
    found.layers[0].set_vocabulary(model.layers[0].get_vocabulary())
    assert torch.equal(found(TEXTS), model(TEXTS))


def test_text_in_another_place_is_refused_with_a_way_out(tmp_path: Path) -> None:
    files = parts(tf.Sequential([tf.Input((2,)), L.Dense(1)]), tmp_path / "m.keras")
    config = json.loads(files["config.json"])
    config["config"]["layers"][0]["config"]["dtype"] = "string"
    (tmp_path / "text.keras").write_bytes(zip_of({**files, "config.json": json.dumps(config).encode()}))
    with pytest.raises(ConfigError, match="its input is text"):
        tf.load_model(tmp_path / "text.keras")


def test_hostile_vocabularies_are_refused(tmp_path: Path) -> None:
    model = vectorized(**KINDS["numbers"])
    files = parts(model, tmp_path / "m.keras")
    config = json.loads(files["config.json"])
    layers = config["config"]["layers"]

    def changed(place: int, **told: Any) -> bytes:
        entries = [{**each, "config": dict(each["config"])} for each in layers]
        entries[place]["config"] |= told
        text = json.dumps({**config, "config": {**config["config"], "layers": entries}})
        return bytes(zip_of({**files, "config.json": text.encode()}))

    messages = check(
        {
            "a path": changed(1, vocabulary="/etc/passwd"),
            "many texts": changed(0, batch_shape=[None, 10**9, 10**9]),
            "no shape": changed(0, batch_shape=None),
            "no text": as_learned(model, tmp_path / "m.keras", b"\xff\xfe\xff"),
            "nothing": as_learned(model, tmp_path / "m.keras", b""),
            "twice": as_learned(model, tmp_path / "m.keras", b"a\na\n"),
        },
        tmp_path,
    )
    assert not any("root:" in each for each in messages)
    assert np.all([".keras" in each for each in messages])
