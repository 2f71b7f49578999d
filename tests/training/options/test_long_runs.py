"""Long runs: a training that was stopped, killed or asked to end goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.training.modules import mlp, same_weights
from tests.training.options.trainings import (
    EPOCHS,
    STEPS,
    Setting,
    Stop,
    X,
    Y,
    differences,
    drawn,
    end_of,
    fitted,
    made,
)
from torchfunc import callbacks, layers
from torchfunc.errors import ConfigError, SavingError, TorchfuncError
from torchfunc.training import Trainer
from torchfunc.training.options.remembered import check_callbacks

ROOT = Path(__file__).parents[3]
IN_PROCESS = ("shuffled", "in order", "validated", "loader", "list")


@cache
def uninterrupted(setting: Setting) -> dict[str, Any]:
    model = made(setting)
    fitted(model, setting)
    return end_of(model)


@pytest.mark.parametrize("number", range(48))
def test_a_training_that_stops_at_any_batch_goes_on_to_the_bit(number: int, tmp_path: Path) -> None:
    setting, path = drawn(number, IN_PROCESS), tmp_path / "m.safetensors"
    whole = uninterrupted(setting)
    steps = whole["training.step"]
    model = made(setting)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, setting, [Stop(1 + number * 7 % (steps - 1), path)])
    again = tf.load_model(path)
    torch.manual_seed(99) if number % 3 == 0 else None

    fitted(again, setting, initial_epoch=again.trainer.epoch)

    assert not differences(whole, end_of(again)), setting


@pytest.mark.parametrize("number", [3, 10])
def test_it_may_stop_again_and_again(number: int, tmp_path: Path) -> None:
    setting, path = drawn(number, IN_PROCESS), tmp_path / "m.safetensors"
    model, done = made(setting), 0
    while True:
        try:
            fitted(model, setting, [Stop(3, path)], initial_epoch=model.trainer.epoch)
            break
        except KeyboardInterrupt:
            model, done = tf.load_model(path), done + 1
    assert done > 5 and not differences(uninterrupted(setting), end_of(model))


def test_processes_that_are_killed_at_random_go_on_to_the_bit() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "kills.py"), "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        done.stdout.splitlines()[-1] == "6 of 6 trainings, each killed at a random batch, ended to the bit."
    )


SLOW_WORKERS = """
import sys, time
from scripts import kills
from tests.training.options import trainings

def slow(worker):
    time.sleep({seconds})

trainings.SOURCES["slow"] = lambda: ((trainings._loader(num_workers=2, worker_init_fn=slow),), {{}})
kills.LONGEST = 5.0
found = kills.in_a_child(kills.Path(sys.argv[1]), trainings.Setting(source="slow"), kill_at={kill_at}, late=30)
print(found)
"""


def of_slow_workers(tmp_path: Path, seconds: int, kill_at: int) -> Any:
    """What came of a training whose workers take so long to begin; its pipes close when no process is left."""
    program = SLOW_WORKERS.format(seconds=seconds, kill_at=kill_at)
    command = [sys.executable, "-c", program, str(tmp_path / "end.pt")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def test_a_worker_that_was_just_begun_does_not_outlive_a_training_that_is_killed(tmp_path: Path) -> None:
    done = of_slow_workers(tmp_path, 1, STEPS)
    assert done.stdout == "None\n", done.stderr


def test_a_training_that_stands_still_says_where_and_leaves_no_process(tmp_path: Path) -> None:
    done = of_slow_workers(tmp_path, 1000, 1)
    assert done.returncode == 1
    assert "in slow" in done.stderr and "_worker_loop" in done.stderr and "in trained" in done.stderr
    assert "a training stood still for 5 seconds, where the stacks above say: adam, none, slow" in done.stderr


@pytest.mark.parametrize("first", [True, False])
def test_callbacks_that_come_after_the_one_that_saves_hear_of_the_epoch_later(
    first: bool, tmp_path: Path
) -> None:
    def watching() -> list[Any]:
        return [
            callbacks.EarlyStopping("loss", patience=2, min_delta=9.0),
            callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0),
        ]

    setting = Setting(dropout=0.0)
    whole = made(setting)
    fitted(whole, setting, watching())
    for epoch in (1, 2):
        saving = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors")
        model = made(setting)
        fitted(model, setting, [saving, *watching()] if first else [*watching(), saving])
        again = tf.load_model(tmp_path / f"{epoch}.safetensors")
        history = fitted(again, setting, watching(), initial_epoch=epoch)

        assert history.history == whole.history.history and history.epoch == [0, 1, 2]
        assert not differences(end_of(whole), end_of(again))


def test_the_best_of_a_checkpoint_is_remembered(tmp_path: Path) -> None:
    def best() -> Any:
        return callbacks.ModelCheckpoint(tmp_path / "b.safetensors", monitor="loss", save_best_only=True)

    setting, saved = Setting(dropout=0.0, source="in order"), best()
    fitted(made(setting), setting, [saved])
    again, rest = tf.load_model(tmp_path / "b.safetensors"), best()
    again.fit(X * 9, Y, epochs=EPOCHS + 1, initial_epoch=again.trainer.epoch, verbose=0, callbacks=[rest])
    assert rest.best == saved.best


def test_a_new_training_of_a_loaded_model_begins_with_callbacks_that_know_nothing(tmp_path: Path) -> None:
    setting = Setting(callbacks="both")
    model = made(setting)
    fitted(model, setting)
    model.save(tmp_path / "m.safetensors")
    again, watching = tf.load_model(tmp_path / "m.safetensors"), callbacks.EarlyStopping("loss", patience=9)
    history = again.fit(X, Y, verbose=0, callbacks=[watching])
    assert history.epoch == [0] and watching.best == history.history["loss"][0]


def test_what_a_callback_of_ones_own_remembers_goes_on_too(tmp_path: Path) -> None:
    class Counting(callbacks.Callback):
        seen, worst = 0, float("-inf")

        def state_dict(self) -> dict[str, Any]:
            return {"seen": self.seen, "worst": self.worst, "row": torch.ones(2), "texts": ["a"]}

        def load_state_dict(self, state: Any) -> None:
            self.seen, self.worst = state["seen"], state["worst"]
            assert torch.equal(state["row"], torch.ones(2)) and state["texts"] == ["a"]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen += 1

    setting, path = Setting(), tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fitted(made(setting), setting, [Counting(), Stop(5, path)])
    again, counting = tf.load_model(path), Counting()
    fitted(again, setting, [counting], initial_epoch=again.trainer.epoch)
    assert counting.seen == EPOCHS * STEPS and counting.worst == float("-inf")

    class Strange(callbacks.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"held": object()}

    model = made(setting)
    model.fit(X, Y, verbose=0, callbacks=[Strange()])
    with pytest.raises(
        SavingError, match=r"The callback Strange: expected numbers, .* got <object .* in its state_d"
    ):
        model.fit(X, Y, verbose=0, callbacks=[Strange(), callbacks.ModelCheckpoint(path)])


def test_only_the_last_files_are_kept(tmp_path: Path) -> None:
    other = tmp_path / "m-best.safetensors"
    other.write_text("of others")
    path, setting = tmp_path / "m-{epoch}-{batch}.safetensors", Setting()

    def saving() -> Any:
        return callbacks.ModelCheckpoint(path, save_freq=3, keep=3)

    def names() -> list[str]:
        return sorted(each.name for each in tmp_path.glob("m-[0-9]*"))

    with pytest.raises(KeyboardInterrupt):
        fitted(made(setting), setting, [saving(), Stop(13, tmp_path / "stop.safetensors")])
    assert names() == ["m-1-6.safetensors", "m-2-1.safetensors", "m-2-4.safetensors"]
    again = tf.load_model(tmp_path / "m-2-4.safetensors")
    fitted(again, setting, [saving()], initial_epoch=again.trainer.epoch)
    assert names() == ["m-3-8.safetensors", "m-4-3.safetensors", "m-4-6.safetensors"] and other.exists()
    assert not differences(uninterrupted(setting), end_of(again))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 0}, "keep=0"),
        (
            {"keep": 3},
            r"got keep=3 with filepath='m.safetensors'. .* Fix: filepath='m-{epoch:02d}.safetensors'",
        ),
        ({"keep": 3, "save_freq": 5}, r"Fix: filepath='m-{epoch:02d}-{batch:06d}.safetensors'"),
    ],
)
def test_a_number_of_files_that_cannot_be_kept_is_refused(options: Any, words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        callbacks.ModelCheckpoint("m.safetensors", **options)


@pytest.mark.parametrize(
    "make", [mlp, lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))]
)
def test_any_module_is_backed_up_and_goes_on_to_the_bit(make: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 8 if make is mlp else 6)).astype("float32")

    def trainer() -> Trainer:
        return Trainer(make(), optimizer="adam", loss=nn.CrossEntropyLoss(), lr_scheduler=None)

    class Interrupt(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.trainer.step.count == 11:
                raise KeyboardInterrupt

    def run(each: Trainer, *more: Any) -> Any:
        torch.manual_seed(7)
        return each.fit(x, Y, batch_size=8, epochs=3, verbose=0, callbacks=[*more])

    torch.manual_seed(0)
    whole = trainer()
    expected = run(whole)
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        run(trainer(), callbacks.BackupAndRestore(tmp_path, save_freq=2), Interrupt())
    again = trainer()
    torch.manual_seed(1234)
    history = again.fit(
        x, Y, batch_size=8, epochs=3, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=2)]
    )
    assert same_weights(whole.module, again.module) and history.history == expected.history

    path = tmp_path / "c.safetensors"
    torch.manual_seed(0)
    run(trainer(), callbacks.ModelCheckpoint(path))
    from_file = trainer()
    from_file.restore_backup(path)
    assert same_weights(whole.module, from_file.module) and from_file.epoch == 3
    with pytest.raises(SavingError, match="save_weights_only=True for a Sequential"):
        run(trainer(), callbacks.ModelCheckpoint(path, save_weights_only=True))


class Ask(callbacks.Callback):
    """Asks the process to end, at a batch or while it is validated."""

    def __init__(self, at: int, validating: bool = False) -> None:
        self.at, self.validating = at, validating

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.trainer.step.count == self.at and not self.validating:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_test_begin(self, logs: Any = None) -> None:
        if self.trainer.step.count == self.at and self.validating:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("at", "validating", "done"), [(10, False, 11), (7, False, 8), (8, True, 8)])
def test_sigterm_finishes_the_batch_and_saves(
    at: int, validating: bool, done: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = Setting(source="validated", callbacks="both")
    model, before = made(setting), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        fitted(model, setting, [callbacks.BackupAndRestore(tmp_path), Ask(at, validating)])
    assert ended.value.code == 128 + signal.SIGTERM and model.trainer.step.count == done
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == "SIGTERM: the batch was finished and the training saved.\n"

    again = made(setting)
    fitted(again, setting, [callbacks.BackupAndRestore(tmp_path)])
    assert not differences(uninterrupted(setting), end_of(again))


def test_sigterm_calls_what_it_called_before_and_is_left_alone_where_nothing_saves(tmp_path: Path) -> None:
    heard, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        fitted(made(Setting()), Setting(), [Ask(3)])
        assert heard == [signal.SIGTERM]
        model = made(Setting())
        fitted(
            model, Setting(), [Ask(3), callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_loss}.safetensors")]
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 2 and model.trainer.step.count == 4
    again = tf.load_model(tmp_path / "interrupted.safetensors")
    fitted(again, Setting(), initial_epoch=again.trainer.epoch)
    assert not differences(uninterrupted(Setting()), end_of(again))


@pytest.mark.parametrize(
    "state",
    [
        {"kept": []},
        {"kept": {}, "ended": None},
        {"kept": [{"kind": 3, "heard": True, "state": {}}], "ended": None},
        {"kept": [{"kind": "A", "heard": 1, "state": {}}], "ended": None},
        {"kept": [{"kind": "A", "heard": True, "state": []}], "ended": None},
        {"kept": [{"kind": "A", "heard": True, "state": {"a": {"float": "x"}}}], "ended": None},
        {"kept": [], "ended": {"epoch": -1, "logs": {}}},
    ],
)
def test_a_state_that_no_callbacks_gave_is_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match=r"\$\.callbacks"):
        check_callbacks(state, "$.callbacks")


@pytest.mark.parametrize(
    ("callback", "state", "words"),
    [
        (callbacks.EarlyStopping(), {"wait": -1}, "EarlyStopping.wait: expected a whole number"),
        (callbacks.EarlyStopping(), {"best": "x"}, "EarlyStopping.best: expected a number or None, got 'x'"),
        (
            callbacks.EarlyStopping(),
            {"best_weights": {"a": 1}},
            "best_weights: expected the weights of the model",
        ),
        (callbacks.SwapEMAWeights(), {"_swapped": 1}, "SwapEMAWeights._swapped: expected True or False"),
        (
            callbacks.History(),
            {"epoch": [1]},
            "the state of History: expected 'epoch', 'history', 'measured', got no 'history'",
        ),
        (callbacks.History(), {"epoch": ["a"], "history": {}, "measured": {}}, "the state of History.epoch"),
    ],
)
def test_values_of_another_kind_are_refused_by_the_callback(callback: Any, state: Any, words: str) -> None:
    inputs = tf.Input((2,))
    callback.set_model(tf.Model(inputs, layers.Dense(1)(inputs)))
    with pytest.raises(ConfigError, match=words):
        callback.load_state_dict(state)
