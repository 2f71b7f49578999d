"""In shards a model trains as in one process, and what it writes is read by any number of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchfunc as tf
from tests.distributed import in_shards
from tests.distributed.spawned import done, run
from tests.distributed.test_equal_to_one import assert_close


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    """Two processes that train and write."""
    return run(in_shards.ALL, str(folder))


@pytest.fixture(scope="module")
def again(folder: Path, two: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One process that goes on with what two have written, and two that go on with what it has."""
    in_one = in_shards.going_on(str(folder / "from_two"), str(folder / "from_one"))
    return in_one, run([in_shards.going_on_from_one, in_shards.saved_again], str(folder))


def value(rank: dict[str, Any], check: Any) -> Any:
    found, _ = rank[check.__name__]
    assert not (isinstance(found, str) and found.startswith("Traceback")), found
    return found


@pytest.mark.parametrize("check", in_shards.EQUAL, ids=lambda check: check.__name__)
def test_two_processes_in_shards_are_equal_to_one(check: Any, two: list[dict[str, Any]]) -> None:
    (*expected, _), _ = done(check)
    for rank in two:
        *found, kinds = value(rank, check)
        assert_close(found, expected)
        assert kinds <= {"DTensor"}


def test_a_whole_file_is_written_from_shards(folder: Path, two: list[dict[str, Any]]) -> None:
    expected, _ = value(two[0], in_shards.whole_and_in_shards)
    model = in_shards.cnn()
    for name in ("whole", "by_callback"):
        loaded = tf.load_model(folder / f"{name}.safetensors")
        assert_close(in_shards.weights_of(loaded), expected)
        loaded.fit(in_shards.X[:4], in_shards.Y[:4], verbose=0)
        assert loaded.optimizer.iterations == 6 + 1
    model.load_weights(folder / "weights.safetensors")
    assert_close(in_shards.weights_of(model), expected)


def test_what_cannot_be_divided_is_refused_by_its_name() -> None:
    model = in_shards.cnn(distribute=None, parallelize={"dense": "colwise"})
    with pytest.raises(
        tf.errors.CompileError, match=r"parallelize\['dense'\]: .*got a Dense.*Fix: leave it out, or"
    ):
        model.fit(in_shards.X, in_shards.Y, verbose=0)
    model = in_shards.cnn(distribute=None, parallelize={"linear": "diagonal"})
    with pytest.raises(tf.errors.CompileError, match="got 'diagonal'"):
        model.fit(in_shards.X, in_shards.Y, verbose=0)
    with pytest.raises(tf.errors.CompileError, match="distribute: .*'ddp', 'fsdp'.*got 'dp'"):
        in_shards.cnn(distribute="dp")


def test_each_process_writes_its_shards_without_pickle(two: list[dict[str, Any]]) -> None:
    _, files = value(two[0], in_shards.whole_and_in_shards)
    assert files == [
        "shard-00001-model-00001-of-00001.safetensors", "shard-00002-model-00001-of-00001.safetensors", "training.json",
    ]  # fmt: skip


def test_a_training_goes_on_from_two_processes_in_one_and_from_one_in_two(again: Any) -> None:
    in_one, in_two = again
    three = in_shards.uninterrupted()
    for rank in in_two:
        assert_close(value(rank, in_shards.going_on_from_one), three)
    assert not np.allclose(in_one["conv2d.weight"], three["conv2d.weight"], atol=1e-4)


def test_callbacks_keep_weights_in_shards_and_a_whole_file_is_read_into_shards(
    two: list[dict[str, Any]],
) -> None:
    three = in_shards.uninterrupted()
    for rank in two:
        again, model, files = value(rank, in_shards.best_of_shards)
        assert_close(again, three)
        assert_close(model, three)
        assert files == 3


def test_what_lies_in_shards_is_trained_again_and_loaded_whole(again: Any) -> None:
    _, in_two = again
    for rank in in_two:
        before, after, loaded = value(rank, in_shards.saved_again)
        assert after < before
        assert loaded == pytest.approx(after, rel=1e-6)


def test_a_folder_of_another_model_or_none_is_refused(
    folder: Path, two: list[dict[str, Any]], tmp_path: Path
) -> None:
    value(two[0], in_shards.whole_and_in_shards)
    other = tf.Sequential([tf.Input((4,)), tf.layers.Dense(2)])
    other.compile(loss="mse")
    before = in_shards.weights_of(other)
    with pytest.raises(
        tf.errors.WeightMismatchError, match=r"from_two: expected 'model/dense.weight' of shape \(2, 4\)"
    ):
        other.trainer.load_checkpoint(folder / "from_two")
    assert_close(in_shards.weights_of(other), before)
    with pytest.raises(tf.errors.CorruptFileError, match="expected a folder that save_checkpoint wrote"):
        other.trainer.load_checkpoint(tmp_path)
