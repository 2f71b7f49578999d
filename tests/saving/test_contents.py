"""Contents: what a file holds is told from its header, in a few lines, whatever stands in it."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import torchfunc as tf
from tests.saving.test_archive import ATTACKS, forged, raw_file
from torchfunc import layers
from torchfunc.errors import LimitError
from torchfunc.saving import Stored


@pytest.fixture
def model() -> Any:
    image, tags = tf.Input((8,), name="image"), tf.Input((3,), name="tags")
    x = layers.Dense(4, name="first")(image)
    x = tf.Sequential([layers.Dense(2, name="inner"), layers.ReLU(name="act")], name="block")(x)
    return tf.Model({"i": image, "t": [tags]}, {"y": x, "z": tags * 2}, name="two")


@pytest.mark.parametrize("place", ["m.safetensors", "folder", None])
def test_a_whole_model_is_told_and_none_is_made(
    model: Any, tmp_path: Path, place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.compile("sgd", "mse")
    data = {"i": np.zeros((2, 8), "float32"), "t": [np.zeros((2, 3), "float32")]}
    model.train_on_batch(data, {"y": np.zeros((2, 2), "float32"), "z": np.zeros((2, 3), "float32")})
    where: Any = io.BytesIO() if place is None else tmp_path / place
    model.save(where)
    if place is None:
        where.seek(0)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("a tensor was allocated"))
    monkeypatch.setattr(torch, "frombuffer", lambda *_, **__: pytest.fail("a tensor was allocated"))
    found = tf.inspect(where)
    assert (found.kind, found.version, found.model) == ("model", 2, ("two", "Model"))
    assert found.layers == {
        "first": "Dense",
        "block": "Sequential",
        "block.inner": "Dense",
        "block.act": "ReLU",
    }
    assert found.classes == {"Dense": 2, "Sequential": 1, "ReLU": 1}
    assert found.inputs == (
        Stored("image", (None, 8), torch.float32),
        Stored("tags", (None, 3), torch.float32),
    )
    assert [(each.shape, each.dtype) for each in found.outputs] == [
        ((None, 2), torch.float32),
        ((None, 3), torch.float32),
    ]
    weights = [each for each in found.tensors if not each.name.startswith("optimizer/")]
    assert {each.name: (each.shape, each.dtype) for each in weights} == {
        name: (tuple(each.shape), each.dtype) for name, each in model.state_dict().items()
    }
    assert found.parameters == model.count_params()
    assert (found.compiled, found.trained, found.aliases) == (True, True, {})
    text = str(found)
    assert "a whole model, format version 2, " in text and "model: 'Model' named 'two'" in text
    assert "'first.weight' (4, 8) float32 128 bytes" in text
    assert "'image' (None, 8) float32" in text


def test_weights_alone_and_those_of_another_tool_are_told_apart(model: Any, tmp_path: Path) -> None:
    model.save_weights(tmp_path / "w.safetensors")
    found = tf.inspect(tmp_path / "w.safetensors")
    assert (found.kind, found.model, found.layers, found.compiled) == ("weights", (None, None), {}, False)
    assert "weights that torchfunc saved, and no model, format version 1" in str(found)
    safetensors.torch.save_file({"x": torch.zeros(2, 3)}, tmp_path / "other.safetensors")
    found = tf.inspect(tmp_path / "other.safetensors")
    assert (found.kind, found.version, found.parameters) == ("tensors", None, 6)
    assert found.size == (tmp_path / "other.safetensors").stat().st_size
    assert found.tensors == (Stored("x", (2, 3), torch.float32, 24),)
    assert str(found).splitlines()[1:] == [
        "  parameters: 6",
        "  tensors: 1",
        "    'x' (2, 3) float32 24 bytes",
    ]


def test_second_names_are_told_and_counted_once(tmp_path: Path) -> None:
    shared = layers.Dense(3, name="d")
    tied = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    x = inputs = tf.Input((3,))
    tf.Model(inputs, tied(shared(x))).save(tmp_path / "m.safetensors")
    found = tf.inspect(tmp_path / "m.safetensors")
    assert len(found.aliases) == 1
    assert found.parameters == 9 + 3 + 9 + 3 + 3
    ((name, stored),) = found.aliases.items()
    assert f"{name!r} is {stored!r}" in str(found)


def test_no_byte_of_a_tensor_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    x = inputs = tf.Input((1000,))
    tf.Model(inputs, layers.Dense(1000)(x)).save(path)
    header = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    real, read = os.preadv, []

    def preadv(descriptor: int, views: Any, place: int) -> int:
        read.append((place, real(descriptor, views, place)))
        return read[-1][1]

    monkeypatch.setattr(os, "preadv", preadv)
    assert tf.inspect(path).parameters == 1_001_000
    assert sum(count for _, count in read) <= header + 16
    assert max(place + count for place, count in read) <= header


def test_the_text_is_short_however_much_there_is(tmp_path: Path) -> None:
    table = {f"{'x' * 900}{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(9_000)}
    (tmp_path / "m.safetensors").write_bytes(raw_file(json.dumps(table).encode()))
    text = str(tf.inspect(tmp_path / "m.safetensors"))
    assert len(text.splitlines()) == 24 and len(text) < 4000
    assert text.endswith("and 8,980 more")
    many = {f"l{i}": {"class_name": f"C{i}", "config": {}} for i in range(1000)}
    names = [{"from": f"l{i}"} for i in range(1000)]
    config = {"class_name": "M" * 10**6, "config": {"layers": many, "inputs": names, "outputs": names}}
    (tmp_path / "m.safetensors").write_bytes(forged({"config": {"model": config}}))
    text = str(tf.inspect(tmp_path / "m.safetensors"))
    assert len(text.splitlines()) < 80 and len(text) < 6000
    assert "layers: 1,000" in text and "and 980 more" in text


def test_what_a_terminal_obeys_is_escaped(tmp_path: Path) -> None:
    trick = "\x1b[2J\u202e\0"
    config = {
        "class_name": trick,
        "config": {
            "name": trick,
            "layers": {trick: {"class_name": trick, "config": {}}},
            "calls": [{"name": trick, "input": [None, 3], "dtype": trick}],
            "inputs": {"from": trick},
            "outputs": [{"from": trick}],
        },
    }
    (tmp_path / "m.safetensors").write_bytes(forged({"config": {"model": config}}))
    text = str(tf.inspect(tmp_path / "m.safetensors"))
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J" in text


NONSENSE: list[Any] = [
    5, "x", [], None, {"class_name": 5}, {"config": []}, {"config": {"layers": 5}},
    {"config": {"layers": [5, {"class_name": "D"}, {"class_name": "E", "config": 7}]}},
    {"config": {"calls": 7, "inputs": 5}}, {"config": {"calls": [5, {"name": []}], "outputs": {"from": 5}}},
    {"config": {"calls": [{"name": "x", "input": "abc", "dtype": []}], "inputs": {"from": "x"}}},
    {"config": {"calls": [{"name": "x", "input": [1.5]}], "inputs": [{"from": "x"}, {"from": "y"}]}},
    {"config": {"table": 5}},
]  # fmt: skip


@pytest.mark.parametrize("model", NONSENSE, ids=map(repr, NONSENSE))
def test_a_config_that_says_no_model_is_told_as_far_as_it_goes(tmp_path: Path, model: Any) -> None:
    (tmp_path / "m.safetensors").write_bytes(forged({"config": {"model": model}}))
    assert str(tf.inspect(tmp_path / "m.safetensors")).isascii()


@pytest.mark.parametrize(("content", "kind", "words"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_a_file_of_a_stranger_gives_the_errors_of_loading_or_its_contents(
    tmp_path: Path, content: bytes, kind: type[Exception], words: str
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    try:
        assert len(str(tf.inspect(path))) < 4000
    except tf.errors.SavingError as error:
        assert type(error) is kind and len(str(error)) < 1000


def test_too_much_to_tell_is_refused(tmp_path: Path) -> None:
    table = {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(70_000)}
    (tmp_path / "m.safetensors").write_bytes(raw_file(json.dumps(table).encode()))
    with pytest.raises(LimitError):
        tf.inspect(tmp_path / "m.safetensors")


def test_a_damaged_config_is_not_told(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model.save(path)
    path.write_bytes(path.read_bytes().replace(b"first", b"worst"))
    with pytest.raises(tf.errors.CorruptFileError, match="is damaged"):
        tf.inspect(path)
