"""Trainings that stop within an epoch and within a step of several batches, and go on: each returns what a test compares."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from torch import distributed

import torchfunc as tf
from tests.distributed.equal_to_one import size
from tests.distributed.in_shards import X, Y, cnn, weights_of
from torchfunc import callbacks

EPOCHS = 3  # of 6 batches, of which 4 make a step


def made(distribute: str, *, use_ema: bool = True) -> Any:
    averages = {"use_ema": True, "ema_momentum": 0.8} if use_ema else {}
    return cnn(distribute=distribute, gradient_accumulation_steps=4, **averages)


def fitted(model: Any, given: Any = (), **options: Any) -> Any:
    options = {"epochs": EPOCHS, "verbose": 0, **options}
    return model.fit(X, Y, size(8), callbacks=list(given), **options)


def end_of(model: Any, history: Any) -> Any:
    return history.history, weights_of(model), model.trainer.step.steps_taken


def uninterrupted(**options: Any) -> Any:
    model = made("ddp", **options)
    return end_of(model, fitted(model))


class Asks(callbacks.Callback):
    """Asks some of the processes to end, after the third batch of the second epoch."""

    def __init__(self, ranks: tuple[int, ...]) -> None:
        self.ranks, self.epoch = ranks, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == (1, 2) and int(os.environ["RANK"]) in self.ranks:
            os.kill(os.getpid(), signal.SIGTERM)


def asked(distribute: str, ranks: tuple[int, ...]) -> Any:
    """Two processes of which some are asked to end; then two that go on, and a copy of the file for one that does."""
    folder, ended = f"asked_{distribute}", None
    model = made(distribute)
    backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    try:
        fitted(model, [Asks(ranks), backup])
    except SystemExit as error:
        ended = error.code, model.trainer.epoch.done, model.trainer.step.steps_taken
    files = sorted(each.name for each in Path(folder).iterdir())
    distributed.barrier()
    if os.environ["RANK"] == "0":
        shutil.copytree(folder, f"{folder}_for_one")
    distributed.barrier()
    again = made(distribute)
    return ended, files, end_of(again, fitted(again, [backup]))


def one_asked_of_copies() -> Any:
    return asked("ddp", (1,))


def both_asked_in_shards() -> Any:
    return asked("fsdp", (0, 1))


def in_one_of(folder: str) -> Any:
    model = made("ddp")
    return end_of(model, fitted(model, [callbacks.BackupAndRestore(folder, delete_checkpoint=False)]))


def files_by_batches() -> Any:
    """A file after each third batch, and a training that stops after its fourth step and goes on."""
    model = made("ddp")
    fitted(model, [callbacks.ModelCheckpoint("by_batches/{epoch}-{batch}.safetensors", save_freq=3)])
    distributed.barrier()
    again = made("ddp", use_ema=False)  # which the end of `fit` would put into the weights
    fitted(again, max_steps=3)
    stopped = again.trainer.epoch.done
    history = fitted(again, initial_epoch=again.trainer.epoch)
    return sorted(each.name for each in Path("by_batches").iterdir()), stopped, end_of(again, history)


def in_one_of_file(path: str) -> Any:
    model = tf.load_model(path)
    return end_of(model, fitted(model, initial_epoch=model.trainer.epoch))


class Writes(callbacks.Callback):
    """Writes a folder of shards after so many batches."""

    def __init__(self, folder: str, after: int) -> None:
        self.folder, self.after = folder, after

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.trainer.step.count + 1 == self.after:
            self.trainer.save_checkpoint(self.folder)


def folder_of_shards() -> Any:
    """A folder that two processes write within a step of several batches."""
    model = made("fsdp")
    return end_of(model, fitted(model, [Writes("of_two", 9)]))


def from_folder(folder: str, distribute: str, given: Any = ()) -> Any:
    model = made(distribute)
    model.trainer.load_checkpoint(folder)
    return end_of(model, fitted(model, given, initial_epoch=model.trainer.epoch))


def in_one_of_folder(folder: str) -> Any:
    """One process that goes on, and writes such a folder in the next epoch."""
    return from_folder(f"{folder}/of_two", "ddp", [Writes(f"{folder}/of_one", 14)])


def in_shards_of_one() -> Any:
    return from_folder("of_one", "fsdp")


def in_copies_of_one() -> Any:
    return from_folder("of_one", "ddp")


ALL = [one_asked_of_copies, both_asked_in_shards, files_by_batches, folder_of_shards]
AGAIN = [in_shards_of_one, in_copies_of_one]
