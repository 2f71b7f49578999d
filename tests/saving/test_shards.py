"""Shards: several files are one archive, which is always the old save or the new one, and never a mixture."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import torchfunc as tf
from torchfunc.errors import CorruptFileError, LimitError, SavingError
from torchfunc.saving import archive, atomic, shards

TENSORS = {f"layer{index}.weight": torch.arange(8.0) + index for index in range(5)}
MOST = 2 * 32  # bytes: two tensors a file


def written(
    folder: Path, add: float = 0.0, most: int | None = MOST, **config: Any
) -> dict[str, torch.Tensor]:
    tensors = {name: tensor + add for name, tensor in TENSORS.items()}
    archive.write(folder, {"model": "m", **config}, tensors, shard_bytes=most)
    return tensors


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(found: archive.Archive, tensors: dict[str, torch.Tensor]) -> bool:
    return found.tensors.keys() == tensors.keys() and all(
        torch.equal(found.tensors[name], each) for name, each in tensors.items()
    )


def test_what_is_too_much_for_one_file_comes_back_from_several(tmp_path: Path) -> None:
    tensors = written(tmp_path, extra=[1, 2])
    files = [name for name in names(tmp_path) if name.startswith("model-")]
    assert len(files) == 3
    assert names(tmp_path) == sorted(["config.json", *files, "model.safetensors.index.json"])
    found = archive.read(tmp_path)
    assert found.config == {"model": "m", "extra": [1, 2]} and same(found, tensors)
    index = json.loads((tmp_path / shards.INDEX).read_text())
    assert index["metadata"]["total_size"] == 5 * 32
    assert index["weight_map"].keys() == tensors.keys()


def test_each_file_is_read_by_safetensors_as_the_index_says(tmp_path: Path) -> None:
    import safetensors.torch

    tensors = written(tmp_path)
    where = json.loads((tmp_path / shards.INDEX).read_text())["weight_map"]
    for name, file in where.items():
        assert torch.equal(safetensors.torch.load_file(tmp_path / file)[name], tensors[name])


def test_second_names_are_those_of_one_tensor_in_whichever_file(tmp_path: Path) -> None:
    shared = torch.ones(8)
    archive.write(tmp_path, {"model": 1}, {**TENSORS, "last": shared, "same": shared}, shard_bytes=MOST)
    found = archive.read(tmp_path).tensors
    assert found["last"] is found["same"]
    assert len(found) == 7


def test_what_fits_is_one_file_and_shards_of_before_are_gone(tmp_path: Path) -> None:
    written(tmp_path)
    tensors = written(tmp_path, add=1.0, most=10_000)
    assert names(tmp_path) == ["config.json", "model.safetensors"]
    assert same(archive.read(tmp_path), tensors)
    tensors = written(tmp_path, add=2.0)
    assert "model.safetensors" not in names(tmp_path)
    assert same(archive.read(tmp_path), tensors)


@pytest.mark.parametrize("before", [MOST, 10_000], ids=["over shards", "over one file"])
@pytest.mark.parametrize("after", [MOST, 10_000], ids=["shards", "one file"])
def test_a_kill_at_any_step_leaves_the_old_save_or_the_new_one(
    tmp_path: Path, before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        old = written(folder, most=before)
        left = [steps]

        def killed(real: Callable[..., Any], *args: Any, left: list[int] = left, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "replace", partial(killed, atomic.os.replace))
            patch.setattr(atomic.os, "unlink", partial(killed, atomic.os.unlink))
            try:
                written(folder, add=1.0, most=after)
                done = True
            except KeyboardInterrupt:
                done = False
        new = {name: each + 1.0 for name, each in old.items()}
        found = archive.read(folder)
        outcomes.add("old" if same(found, old) else "new" if same(found, new) else "a mixture")
        steps += 1
        if done:
            break
    assert outcomes == {"old", "new"}
    assert steps > 3


def spoil(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / shards.INDEX
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


def leads_away(index: dict[str, Any]) -> None:
    index["metadata"]["files"][1] = "../other/model-00000000-00001-of-00002.safetensors"


def twice(index: dict[str, Any]) -> None:
    index["metadata"]["files"].append(index["metadata"]["files"][0])


def without_files(index: dict[str, Any]) -> None:
    del index["metadata"]["files"]


def other_tensors(index: dict[str, Any]) -> None:
    index["weight_map"]["new"] = next(iter(index["weight_map"].values()))


def elsewhere(index: dict[str, Any]) -> None:
    index["weight_map"]["layer0.weight"] = index["weight_map"]["layer4.weight"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (leads_away, "names '../other/.*', which is no file of this folder"),
        (twice, "which is no file of this folder"),
        (without_files, "does not say 'files'"),
        (other_tensors, "tells of other tensors"),
        (elsewhere, "tells of other tensors"),
    ],
)
def test_an_index_that_lies_is_told(tmp_path: Path, change: Any, words: str) -> None:
    written(tmp_path)
    spoil(tmp_path, change)
    with pytest.raises(CorruptFileError, match=words):
        archive.read(tmp_path)


def test_an_index_names_no_more_files_than_may_be_open(tmp_path: Path) -> None:
    written(tmp_path)
    spoil(tmp_path, lambda index: index["metadata"].update(files=["model"] * 257))
    with pytest.raises(LimitError, match="257 files, expected at most 256"):
        archive.read(tmp_path)


def test_a_file_of_another_save_or_none_at_all_is_told(tmp_path: Path) -> None:
    written(tmp_path / "one")
    written(tmp_path / "two", add=1.0)
    first, second = (sorted((tmp_path / each).glob("model-*"))[0] for each in ("one", "two"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(CorruptFileError):
        archive.read(tmp_path / "one")
    first.unlink()
    with pytest.raises(CorruptFileError, match=f"lacks the file '{first.name}'"):
        archive.read(tmp_path / "one")


def test_a_changed_number_in_any_file_is_told(tmp_path: Path) -> None:
    written(tmp_path)
    for path in tmp_path.glob("model-*"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CorruptFileError, match="is damaged"):
            archive.read(tmp_path)
        path.write_bytes(whole)


@pytest.mark.parametrize("size", ["5 apples", "", "0GB", 0, -1, 1.5, True])
def test_a_size_is_a_number_of_bytes_or_is_told(size: Any) -> None:
    with pytest.raises(
        SavingError, match="max_shard_size: expected a number or a size such as '5GB' or '1500MB', got"
    ):
        shards.bytes_of(size)


def test_sizes_are_read_as_hubs_write_them() -> None:
    assert [shards.bytes_of(each) for each in (7, "5GB", "200 MB", "1kb")] == [7, 5 * 10**9, 2 * 10**8, 1000]
    assert [shards.bytes_of(each, unit=2**30) for each in (2, 0.5, "5GB")] == [2**31, 2**29, 5 * 10**9]


def test_a_folder_in_shards_is_inspected_and_its_weights_are_read_alone(tmp_path: Path) -> None:
    inputs = tf.Input((8,))
    model = tf.Model(inputs, tf.layers.Dense(4)(tf.layers.Dense(16)(inputs)))
    model.save_pretrained(tmp_path, max_shard_size=300)
    assert tf.saving.inspect(tmp_path).parameters == model.count_params()
    again = tf.clone_model(model)
    again.load_weights(tmp_path)
    for name, each in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], each)


def test_weights_alone_lie_in_shards_of_a_folder_and_nowhere_else(tmp_path: Path) -> None:
    inputs = tf.Input((8,))
    model = tf.Model(inputs, tf.layers.Dense(4)(tf.layers.Dense(16)(inputs)))
    model.save_weights(tmp_path / "weights", max_shard_size=300 / 2**30)  # in GB, as Keras has it
    assert len(list((tmp_path / "weights").glob("model-*"))) == 3  # the larger weight alone
    again = tf.clone_model(model)
    again.load_weights(tmp_path / "weights")
    assert all(torch.equal(each, again.state_dict()[name]) for name, each in model.state_dict().items())
    with pytest.raises(
        SavingError, match=r"got max_shard_size with .*Fix: a folder: a path without a suffix"
    ):
        model.save_weights(tmp_path / "weights.safetensors", max_shard_size=300)
