"""Shards: a model in several files of a folder is read as one in one file is, and as carefully."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import SavingError
from torchfunc.saving import archive, shards
from torchfunc.saving.contents import inspect

X = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))


def network() -> tf.Model:
    torch.manual_seed(0)
    inputs = tf.Input((6,))
    hidden = layers.Dense(8, name="hidden")(inputs)
    return tf.Model(inputs, nn.Linear(8, 2)(layers.BatchNormalization(name="norm")(hidden)), name="net")


def sharded(folder: Path, model: Any = None) -> tf.Model:
    model = network() if model is None else model
    model.save_pretrained(folder, max_shard_size=100)
    return model.eval()


def test_no_file_holds_more_than_the_size_unless_one_tensor_does() -> None:
    tensors = {name: torch.zeros(size) for name, size in {"a": 1, "b": 2, "c": 9, "d": 1, "e": 1}.items()}
    assert [list(group) for group in shards.grouped(tensors, 12)] == [["a", "b"], ["c"], ["d", "e"]]
    assert [shards.in_bytes(each) for each in (7, "5GB", "1.5 mb")] == [7, 5 * 10**9, 1_500_000]


@pytest.mark.parametrize("size", ["5 apples", 0, -1, 2.5, "", "GB"])
def test_a_size_that_is_none_is_told(size: Any) -> None:
    with pytest.raises(
        SavingError, match=r'max_shard_size: expected a size, got .*"5GB", "200MB", or a number'
    ):
        shards.in_bytes(size)


def test_a_folder_in_shards_is_the_model_and_any_safetensors_tool_reads_it(tmp_path: Path) -> None:
    model = sharded(tmp_path)
    found = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert found["weight_map"].keys() == model.state_dict().keys()
    assert found["metadata"]["total_size"] == sum(each.nbytes for each in model.state_dict().values())
    files = sorted(set(found["weight_map"].values()))
    assert files == shards.file_names(len(files)) and len(files) > 2
    assert not (tmp_path / "model.safetensors").exists()
    read = {name: each for file in files for name, each in load_file(tmp_path / file).items()}
    assert all(torch.equal(read[name], each) for name, each in model.state_dict().items())
    again = tf.models.load_model(tmp_path)
    assert torch.equal(again.eval()(X), model(X)) and again.code == model.code
    told = inspect(tmp_path)
    assert told.kind == "model" and told.model == ("net", "Model") and len(told.tensors) == len(read)


def test_weights_are_written_in_shards_and_read_as_keras_has_it(tmp_path: Path) -> None:
    model, other = network().eval(), network()
    model.save_weights(tmp_path / "weights", max_shard_size=1e-7)
    assert (tmp_path / "weights" / shards.INDEX_FILE).exists()
    torch.nn.init.zeros_(other.hidden.weight)
    other.load_weights(tmp_path / "weights")
    assert torch.equal(other.eval()(X), model(X))


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    inputs = tf.Input((6,))
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    model = tf.Model(inputs, second(first(inputs)))
    again = tf.models.load_model(tmp_path) if sharded(tmp_path, model) else None
    assert again.linear.weight is again.linear_1.weight and torch.equal(again.eval()(X), model(X))


def test_a_folder_is_saved_anew_whole_in_shards_and_in_fewer(tmp_path: Path) -> None:
    for size in (None, 100, 300, 100, None):
        model = network()
        torch.nn.init.constant_(model.hidden.bias, float(size or 1))
        model.save_pretrained(tmp_path, max_shard_size=size or "1GB")
        names = {each.name for each in tmp_path.glob("*.safetensors")}
        kept = (
            set(json.loads((tmp_path / shards.INDEX_FILE).read_text())["weight_map"].values())
            if size
            else None
        )
        assert names == (kept or {"model.safetensors"}) and (tmp_path / shards.INDEX_FILE).exists() == bool(
            size
        )
        assert torch.equal(tf.models.load_model(tmp_path).hidden.bias, model.hidden.bias)


def moved(homes: dict[str, Any], name: str, home: Any) -> dict[str, Any]:
    return {"weight_map": {**homes, name: home}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda homes: moved(homes, "hidden.bias", "../model-00001-of-00003.safetensors"), "names the file"),
        (lambda homes: moved(homes, "norm.weight", "/etc/passwd"), "names the file '/etc/passwd', expected"),
        (lambda homes: moved(homes, "hidden.bias", 5), "names the file"),
        (lambda homes: moved(homes, "hidden.bias", homes["linear.weight"]), "does not hold the tensors"),
        (lambda homes: moved(homes, "more", homes["linear.weight"]), "does not hold the tensors"),
        (lambda homes: {"weight_map": {}}, "has no 'weight_map'"),
        (lambda homes: [], "has no 'weight_map'"),
    ],
)  # fmt: skip
def test_an_index_that_lies_is_told(change: Callable[..., Any], words: str, tmp_path: Path) -> None:
    sharded(tmp_path)
    index = tmp_path / shards.INDEX_FILE
    index.write_text(json.dumps(change(json.loads(index.read_text())["weight_map"])))
    with pytest.raises(SavingError, match=words):
        tf.models.load_model(tmp_path)


def test_what_is_damaged_missing_or_of_another_save_is_told(tmp_path: Path) -> None:
    sharded(tmp_path)
    shard = tmp_path / "model-00002-of-00004.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(SavingError, match="is damaged"):
        tf.models.load_model(tmp_path)
    shard.write_bytes(data)
    (tmp_path / archive.CONFIG_FILE).write_text("{}")
    with pytest.raises(SavingError, match="is not the config that was saved with the first shard"):
        tf.models.load_model(tmp_path)
    (tmp_path / archive.CONFIG_FILE).unlink()
    assert tf.models.load_model(tmp_path).name == "net"
    shard.unlink()
    with pytest.raises(FileNotFoundError):
        tf.models.load_model(tmp_path)
