"""Batches by their number are made ahead, in order, and no more of them than asked for."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import layers, utils
from torchfunc.errors import DataError
from torchfunc.training.progress import cells


class Batches(utils.PyDataset):
    """Twelve batches, which tell who made them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begun: list[int] = []
        self.epochs: list[str] = []

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        self.begun.append(index)
        time.sleep(0.002 * (index % 3))
        return np.full((4, 2), index, "float32"), np.full((4, 1), os.getpid(), "int64")

    def on_epoch_begin(self) -> None:
        self.epochs.append("begin")

    def on_epoch_end(self) -> None:
        self.epochs.append("end")


WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"workers": 3},
    {"workers": 3, "max_queue_size": 2},
    {"workers": 2, "use_multiprocessing": True},
    {"workers": 1, "use_multiprocessing": True, "max_queue_size": 1},
)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_batches_come_in_order_in_every_epoch(way: dict[str, Any]) -> None:
    batches = Batches(**way)
    for _ in range(2):
        found = list(batches)
        assert [int(x[0, 0]) for x, _ in found] == list(range(12))
        assert all((int(made[0, 0]) != os.getpid()) == ("use_multiprocessing" in way) for _, made in found)
    assert batches.epochs == ["begin", "end"] * 2 and batches.num_batches == 12


def test_threads_make_batches_at_once() -> None:
    both = threading.Barrier(2, timeout=30)

    class Meeting(utils.PyDataset):
        num_batches = 4

        def __getitem__(self, index: int) -> int:
            both.wait()
            return index

    assert list(Meeting(workers=2)) == [0, 1, 2, 3]


def test_no_more_batches_wait_than_are_asked_for() -> None:
    batches = Batches(workers=2, max_queue_size=3)
    for number, _ in enumerate(batches):
        time.sleep(0.01)
        assert len(batches.begun) <= number + 3


def test_a_set_without_a_last_batch_ends_where_the_epoch_does() -> None:
    class Endless(utils.PyDataset):
        num_batches = None

        def __getitem__(self, index: int) -> Any:
            return np.full((4, 2), index, "float32"), np.zeros((4, 1), "float32")

    for workers in (1, 2):
        some = itertools.islice(Endless(workers=workers), 5)
        assert [int(x[0, 0]) for x, _ in some] == [0, 1, 2, 3, 4]
        model = tf.Sequential([layers.Input((2,)), layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        model.fit(Endless(workers=workers), steps_per_epoch=3, epochs=2, verbose=0)
        assert model.optimizer.iterations == 6


def fitted(batches: Batches, **options: Any) -> list[str]:
    """The epochs that a training told the batches of."""
    model = tf.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(batches, verbose=0, **options)
    return batches.epochs


@pytest.mark.parametrize("steps", [None, 5, 12, 17])
def test_a_training_tells_of_its_epochs_however_many_batches_they_have(steps: int | None) -> None:
    assert fitted(Batches(), epochs=3, steps_per_epoch=steps) == ["begin", "end"] * 3


@pytest.mark.parametrize("way", WAYS[:3], ids=str)
def test_a_training_takes_batches_in_another_order_each_epoch_unless_it_is_told_not_to(way: Any) -> None:
    def orders(seed: int, **options: Any) -> list[list[int]]:
        torch.manual_seed(seed)
        batches = Batches(**way)
        fitted(batches, epochs=2, **options)
        return [sorted(batches.begun[at : at + 12]) if way else batches.begun[at : at + 12] for at in (0, 12)]

    in_order = list(range(12))
    assert orders(1, shuffle=False) == [in_order] * 2
    first, second = orders(1)
    assert sorted(first) == sorted(second) == in_order
    if not way:  # of several threads any may be the first to note what it makes
        assert in_order != first != second != in_order
        assert orders(1) == [first, second] != orders(2)


def test_what_fails_in_a_thread_fails_where_the_batch_is_due() -> None:
    class Failing(Batches):
        def __getitem__(self, index: int) -> Any:
            if index == 4:
                raise KeyError("no such batch")
            return index

    batches = Failing(workers=2)
    found = []
    with pytest.raises(KeyError, match="no such batch"):
        found += iter(batches)
    assert batches.epochs == ["begin"]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_training_on_batches_by_their_number_is_training_on_their_rows(way: dict[str, Any]) -> None:
    draw = np.random.RandomState(0)
    x, y = draw.rand(20, 3).astype("float32"), draw.rand(20, 1).astype("float32")

    class Rows(utils.PyDataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Any:
            return x[4 * index : 4 * index + 4], y[4 * index : 4 * index + 4]

    def trained(*data: Any, **options: Any) -> Any:
        torch.manual_seed(0)
        model = tf.Sequential([layers.Input((3,)), layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        history = model.fit(*data, epochs=3, verbose=0, shuffle=False, **options)
        return history.history["loss"], model

    losses, model = trained(Rows(**way), validation_data=Rows(**way))
    expected, other = trained(x, y, batch_size=4)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(Rows(**way), verbose=0), model.predict(x, verbose=0))
    np.testing.assert_allclose(
        model.evaluate(Rows(**way), verbose=0), other.evaluate(x, y, verbose=0), rtol=1e-6
    )


def test_a_set_that_does_not_say_what_it_must_is_told() -> None:
    class Silent(utils.PyDataset):
        def __init__(self) -> None:
            pass

    assert (Silent().workers, Silent().max_queue_size, Silent().use_multiprocessing) == (1, 10, False)
    with pytest.raises(NotImplementedError, match=r"Silent must define __len__\(\)"):
        len(Silent())
    with pytest.raises(NotImplementedError, match=r"Silent must define __getitem__\(index\)"):
        Silent()[0]


@pytest.mark.parametrize(
    "sizes", [{"left_size": 0.3}, {"right_size": 4}, {"left_size": 2, "right_size": 8}], ids=str
)
def test_data_that_are_drawn_are_divided_as_in_keras(sizes: dict[str, Any]) -> None:
    data = (np.arange(10), np.arange(20).reshape(10, 2))
    asked = {"shuffle": True, "seed": 3, "preferred_backend": "torch", **sizes}
    for given in (data, torch.utils.data.TensorDataset(*map(torch.from_numpy, data))):
        ours, theirs = utils.split_dataset(given, **asked), keras.utils.split_dataset(given, **asked)
        for one, other in zip(ours, theirs, strict=True):
            assert [[x.tolist() for x in row] for row in one] == [[x.tolist() for x in row] for row in other]
    with pytest.raises(DataError, match="preferred_backend: expected 'torch' or None, got 'tensorflow'"):
        utils.split_dataset(data, 0.5, preferred_backend="tensorflow")


def test_a_bar_averages_what_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    bar = utils.Progbar(2, verbose=2, stateless_metrics=["loss"])
    for step in (1, 2):
        bar.update(step, [("loss", step), ("rate", step)])
    assert " - loss: 1.5000 - rate: 2.0000" in capsys.readouterr().out
    with pytest.raises(
        DataError, match="Progbar: expected one of both, got stateful_metrics and stateless_metrics"
    ):
        utils.Progbar(2, stateful_metrics=[], stateless_metrics=[])


def test_a_bar_in_a_terminal_never_wraps(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((50, 24)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    bar = utils.Progbar(3, interval=0.0)
    for step in (1, 2, 3):
        bar.update(step, [("a_loss_with_a_long_name", 1.0), ("日本語の名前の長い名前の", 2.0)])

    text = capsys.readouterr().out
    lines = [line for drawn in text.split("\r") for line in drawn.splitlines()]
    assert all(cells(line) <= 49 for line in lines)
    assert "日本語の名前の長い名前の: 2.0000" in lines[-1]
