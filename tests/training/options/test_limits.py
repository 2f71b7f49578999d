"""Limits: a run ends where it is told to, takes the batches that it is told to, and shows what it is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.training.modules import classification, mlp, same_weights
from torchfunc import callbacks, layers
from torchfunc.errors import CompileError, DataError
from torchfunc.training import Trainer

X, Y = classification(70)
OTHER = (X[:20] + 1, Y[:20])


def trainer(module: nn.Module | None = None, **options: Any) -> Trainer:
    return Trainer(
        module or mlp(), optimizer="adam", loss=nn.CrossEntropyLoss(), metrics=["accuracy"], **options
    )


def fit(each: Trainer, *more: Any, **options: Any) -> Any:
    given: dict[str, Any] = {"batch_size": 16, "verbose": 0, "shuffle": False, **options}
    return each.fit(X, Y, callbacks=[*more], **given)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_a_training_ends_after_so_many_steps_and_goes_on_there(accumulation: Any) -> None:
    whole, parts = (trainer(gradient_accumulation_steps=accumulation) for _ in range(2))
    expected = fit(whole, epochs=3)
    first = fit(parts, epochs=3, max_steps=4)
    assert parts.step.steps_taken == 4 and first.epoch == ([0] if accumulation is None else [0, 1])

    history = fit(parts, epochs=3, initial_epoch=parts.epoch)

    assert same_weights(whole.module, parts.module)
    assert history.history["loss"] == pytest.approx(expected.history["loss"][-len(history.epoch) :], rel=1e-9)


def test_steps_are_counted_from_where_the_training_began() -> None:
    each = trainer()
    fit(each, epochs=1)
    fit(each, epochs=3, max_steps=7)
    assert each.step.count == 5 + 7
    fit(each, epochs=3, initial_epoch=each.epoch, max_steps=9)
    assert each.step.count == 5 + 9


def test_a_part_of_an_epoch_is_replaced_in_the_history_by_the_whole(tmp_path: Path) -> None:
    inputs = tf.Input((8,))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=16, epochs=3, max_steps=7, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    history = again.fit(X, Y, batch_size=16, epochs=3, initial_epoch=again.trainer.epoch, verbose=0)
    assert history.epoch == [0, 1, 2] and len(history.history["loss"]) == 3


@pytest.mark.parametrize("given", [0.05, timedelta(seconds=0.05)])
def test_a_training_ends_after_so_much_time(given: Any) -> None:
    slow = callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: time.sleep(0.02))
    each = trainer()
    fit(each, slow, epochs=100, max_time=given)
    assert 1 <= each.step.count <= 4
    fit(each, epochs=1, max_time="01:00:00:00")
    assert each.step.count >= 6


def test_several_validation_sets_are_logged_by_their_names() -> None:
    each = trainer()
    history = fit(each, epochs=2, validation_data={"clean": (X, Y), "other": OTHER}).history
    assert set(history) == {
        "loss", "accuracy", "val_clean_loss", "val_clean_accuracy", "val_other_loss", "val_other_accuracy",
    }  # fmt: skip
    loss, accuracy = each.evaluate(*OTHER, batch_size=16, verbose=0)
    assert history["val_other_loss"][-1] == loss and history["val_other_accuracy"][-1] == accuracy


def test_validation_between_batches_changes_nothing_but_its_own_figures() -> None:
    counted: list[int] = []

    class Tests(callbacks.Callback):
        def on_test_end(self, logs: Any = None) -> None:
            counted.append(self.trainer.step.count)

    def module() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 9), nn.BatchNorm1d(9), nn.Dropout(0.2), nn.Linear(9, 3))

    alone, between = trainer(module()), trainer(module())
    torch.manual_seed(1)
    expected = fit(alone, epochs=2)
    torch.manual_seed(1)
    history = fit(between, Tests(), epochs=2, validation_data=OTHER, val_check_interval=3)

    assert counted == [3, 6, 9]
    assert same_weights(alone.module, between.module)
    for name, values in expected.history.items():
        assert history.history[name] == values
    assert len(history.history["val_loss"]) == 2


def test_an_interval_that_no_training_comes_to_the_end_of_is_told_of() -> None:
    words = "val_check_interval: got 11. There are 10 batches in all, so that no validation comes. Fix: a smaller number"
    with pytest.raises(CompileError, match=words):
        fit(trainer(), epochs=2, validation_data=OTHER, val_check_interval=11)
    for interval, options in ((10, {"epochs": 2}), (11, {"epochs": 2, "fast_dev_run": True})):
        history = fit(trainer(), validation_data=OTHER, val_check_interval=interval, **options).history
        assert len(history["val_loss"]) == 1
    unknown = trainer()

    def batches() -> Any:
        for start in range(0, 70, 16):
            yield X[start : start + 16], Y[start : start + 16]

    def of_generator(**options: Any) -> Any:
        given = {"validation_data": OTHER, "val_check_interval": 11, "verbose": 0, **options}
        return unknown.fit(batches, **given).history

    with pytest.warns(UserWarning, match=words):
        assert "val_loss" not in of_generator(epochs=2)
    assert len(of_generator()["val_loss"]) == 1  # batches are counted on


def test_a_dev_run_tries_all_with_one_batch_and_writes_nothing(tmp_path: Path) -> None:
    seen: list[str] = []
    heard = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append("train"),
        on_epoch_end=lambda epoch, logs: seen.append("epoch"),
    )
    saving = callbacks.BackupAndRestore(tmp_path / "b")
    each = trainer()
    history = fit(
        each,
        heard,
        saving,
        callbacks.CSVLogger(tmp_path / "log.csv"),
        epochs=5,
        fast_dev_run=True,
        validation_data=OTHER,
    )
    assert seen == ["train", "epoch"] and history.epoch == [0] and "val_loss" in history.history
    assert not list(tmp_path.iterdir())
    fit(each, fast_dev_run=3)
    assert each.step.count == 1 + 3


@pytest.mark.parametrize("count", [2, 0.4])
def test_a_few_batches_are_learned_by_heart(count: Any) -> None:
    each = trainer()
    history = fit(each, epochs=400, overfit_batches=count, validation_data=OTHER).history
    assert each.step.count == 800
    assert history["accuracy"][-1] == 1 == history["val_accuracy"][-1]
    assert each.evaluate(X[:32], Y[:32], batch_size=16, verbose=0)[0] == pytest.approx(
        history["val_loss"][-1]
    )


def test_the_layer_that_makes_no_number_is_named() -> None:
    class Log(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(x - 100)

    module = nn.Sequential(nn.Linear(8, 4), Log(), nn.Linear(4, 3))
    with pytest.raises(
        DataError, match="The layer '1': expected finite numbers, got NaN or infinity made of finite"
    ):
        fit(trainer(module), anomaly=True)
    assert not any(each._forward_hooks for each in module.modules())

    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sqrt(x - x)

    with pytest.raises(RuntimeError, match=r"Function '\w+Backward0' returned nan"):
        fit(trainer(nn.Sequential(nn.Linear(8, 3), Root())), anomaly=True)


def test_a_trace_of_some_batches_is_written(tmp_path: Path) -> None:
    fit(trainer(), epochs=4, profile=tmp_path / "traces" / "trace.json")
    events = json.loads((tmp_path / "traces" / "trace.json").read_text())["traceEvents"]
    assert any("addmm" in str(each.get("name")) for each in events)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 0}, "max_steps: expected None or a whole number from 1, got 0"),
        ({"max_time": "1h"}, "max_time: expected 'DD:HH:MM:SS', seconds or a timedelta, got '1h'"),
        ({"max_time": -1}, "max_time: expected"),
        ({"fast_dev_run": "yes"}, "fast_dev_run: expected True, False or a number of batches"),
        ({"overfit_batches": 1.5}, "overfit_batches: expected a number of batches, or a share"),
        (
            {"overfit_batches": 1, "fast_dev_run": True},
            "fit: expected one of the two, got fast_dev_run beside",
        ),
        ({"anomaly": 1}, "anomaly: expected True or False"),
        ({"profile": True}, "profile: expected the path of a trace file, such as 'trace.json', got True"),
        (
            {"val_check_interval": 5},
            r"val_check_interval: got no validation data. Fix: fit\(..., validation_data",
        ),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileError, match=words):
        fit(trainer(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_accumulation_steps": 2, "global_clipnorm": 1.0},
        {"precision": "bf16"},
        {"use_ema": True},
        {"clipvalue": 0.5},
        {
            "lr_scheduler": partial(
                torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=200, cycle_momentum=False
            )
        },
    ],
)
def test_nothing_reads_the_device_within_an_epoch_but_the_redraws(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a device where reading waits: the look for NaN keeps a flag there instead of reading each loss."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from torchfunc.training import finite

    monkeypatch.setattr(finite, "reads_freely", lambda device: False)
    reads: list[int] = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is torch.ops.aten._local_scalar_dense.default:
                reads.append(each.step.count)
            return func(*args, **(kwargs or {}))

    each = Trainer(mlp(), optimizer="adam", loss="mse", **options)
    y = np.eye(3, dtype="float32")[Y]
    each.fit(X, y, batch_size=2, verbose=0)
    with Reads():
        each.fit(X, y, batch_size=2, epochs=2, verbose=0, validation_data=(X, y))
    # a look at the data, the figures of each epoch, and whether all was finite: fewer than the batches of one validation
    assert all(count % 35 == 0 for count in reads) and len(reads) < 35, reads
