"""Callbacks that a loop of one's own tells of its epochs, beside those of Keras told of the same ones."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import torch

import torchfunc as tf
from tests.training.modules import mlp
from torchfunc import callbacks
from torchfunc.callbacks import CallbackList
from torchfunc.errors import DataError, SavingError, TorchfuncError, UnknownNameError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning:(keras|torch)",  # Keras's own
)
NAN, INFINITY = float("nan"), float("inf")

Told = list[dict[str, float]]


def compiled(house: Any) -> Any:
    inputs = house.Input(shape=(3,))
    model = house.Model(inputs, house.layers.Dense(1)(inputs))
    model.compile(house.optimizers.SGD(0.5), "mse")
    model.stop_training = False
    return model


def driven(callback: Any, model: Any, epochs: Told) -> Told:
    """The logs after each epoch, until the callback stops; the rate and the bias of the epoch beside them."""
    callback.set_params({})
    callback.set_model(model)
    callback.on_train_begin()
    seen: Told = []
    for epoch, figures in enumerate(epochs):
        logs = dict(figures)
        callback.on_epoch_begin(epoch)
        callback.on_train_batch_begin(0)
        callback.on_train_batch_end(0, logs)
        callback.on_epoch_end(epoch, logs)
        seen.append({**logs, "rate": round(float(model.optimizer.learning_rate), 6)})
        if model.stop_training:
            break
    callback.on_train_end()
    return seen


LOSSES: Told = [{"loss": value} for value in (3.0, 2.0, 2.5, 2.6, 1.0, NAN, 1.5, 1.6)]
SCORES: Told = [{"loss": 1.0, "score": value} for value in (0.1, 0.3, 0.2, 0.2, 0.5, 0.4)]

SCRIPTS: list[tuple[str, Callable[[Any], Any], Told]] = [
    ("EarlyStopping", lambda C: C.EarlyStopping("loss", patience=2), LOSSES),
    ("EarlyStopping, patience 0", lambda C: C.EarlyStopping("loss", restore_best_weights=True), LOSSES),
    ("EarlyStopping of a score", lambda C: C.EarlyStopping("score", patience=1, mode="max"), SCORES),
    ("ReduceLROnPlateau", lambda C: C.ReduceLROnPlateau("loss", factor=0.5, patience=1), LOSSES),
    (
        "ReduceLROnPlateau, cooldown",
        lambda C: C.ReduceLROnPlateau("loss", factor=0.5, patience=1, cooldown=2, min_lr=0.2),
        LOSSES,
    ),
    (
        "ReduceLROnPlateau of a score",
        lambda C: C.ReduceLROnPlateau("score", factor=0.5, patience=1, mode="max"),
        SCORES,
    ),
    ("LearningRateScheduler", lambda C: C.LearningRateScheduler(lambda epoch, rate: rate * 0.5), LOSSES),
    ("LearningRateScheduler, epoch", lambda C: C.LearningRateScheduler(lambda epoch: 1.0 + epoch), LOSSES),
    ("LearningRateScheduler, any", lambda C: C.LearningRateScheduler(lambda *all: all[1] * 0.5), LOSSES),
    (
        "LearningRateScheduler, keyword",
        lambda C: C.LearningRateScheduler(lambda epoch, *, by=0.5: by),
        LOSSES,
    ),
    ("TerminateOnNaN", lambda C: C.TerminateOnNaN(), LOSSES),
    ("TerminateOnNaN, infinite", lambda C: C.TerminateOnNaN(), [{"loss": 1.0}, {"loss": -INFINITY}, {}]),
    ("TerminateOnNaN, a metric", lambda C: C.TerminateOnNaN(), [{"loss": 1.0, "score": NAN}, {"loss": 2.0}]),
    ("TerminateOnNaN, no loss", lambda C: C.TerminateOnNaN(), [{"score": 1.0}, {}]),
    ("Callback", lambda C: C.Callback(), LOSSES),
]


@pytest.mark.parametrize(("make", "epochs"), [row[1:] for row in SCRIPTS], ids=[row[0] for row in SCRIPTS])
def test_a_callback_driven_by_hand_does_what_that_of_keras_does(make: Any, epochs: Told) -> None:
    ours = driven(make(callbacks), compiled(tf), epochs)
    theirs = driven(make(keras.callbacks), compiled(keras), epochs)

    assert len(ours) == len(theirs)
    for mine, that in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(that, nan_ok=True)


def test_a_history_driven_by_hand_holds_what_that_of_keras_holds() -> None:
    ours, theirs = callbacks.History(), keras.callbacks.History()
    epochs: Told = [{"loss": 2.0}, {"loss": 1.0, "val_loss": 3.0}, {}, {"loss": NAN, "score": 0.5}]

    driven(ours, compiled(tf), epochs)
    driven(theirs, compiled(keras), epochs)

    assert ours.epoch == theirs.epoch
    assert repr(ours.history) == repr(theirs.history)


def test_a_function_is_told_of_an_event_as_that_of_keras_is() -> None:
    seen: dict[str, list[Any]] = {"ours": [], "theirs": []}
    for name, house in (("ours", callbacks), ("theirs", keras.callbacks)):
        told = house.LambdaCallback(
            on_train_begin=lambda logs=None, to=seen[name]: to.append(("begin", logs)),
            on_epoch_begin=lambda epoch, logs=None, to=seen[name]: to.append((epoch, logs)),
            on_epoch_end=lambda epoch, logs=None, to=seen[name]: to.append((epoch, dict(logs))),
            on_train_batch_end=lambda batch, logs=None, to=seen[name]: to.append(("batch", batch)),
        )
        driven(told, compiled(tf if name == "ours" else keras), [{"loss": 1.0}, {"loss": 2.0}])

    assert seen["ours"] == seen["theirs"] and len(seen["ours"]) == 7


def test_a_checkpoint_driven_by_hand_keeps_the_best_over_two_runs(tmp_path: Path) -> None:
    model, path = compiled(tf), tmp_path / "{epoch}-{loss:.1f}.safetensors"
    callback = callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)

    driven(callback, model, LOSSES)
    driven(callback, model, [{"loss": 1.2}, {"loss": 0.4}])

    assert sorted(each.name for each in tmp_path.iterdir()) == [
        f"{name}.safetensors" for name in ("1-3.0", "2-0.4", "2-2.0", "5-1.0")
    ]


def test_the_model_of_the_last_run_is_the_one_that_is_meant() -> None:
    callback = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    first, second = compiled(tf), compiled(tf)

    first.fit(torch.rand(4, 3), torch.rand(4, 1), verbose=0, callbacks=callback)
    driven(callback, second, LOSSES[:1])

    assert (first.optimizer.learning_rate, second.optimizer.learning_rate) == (0.25, 0.25)


WITHOUT_A_MODEL: list[tuple[Any, Any]] = [
    (callbacks.EarlyStopping("loss"), "EarlyStopping: got no model. Fix: callback.set_model"),
    (callbacks.TerminateOnNaN(), "TerminateOnNaN: got no model. Fix: callback.set_model"),
    (callbacks.ReduceLROnPlateau("loss"), "ReduceLROnPlateau: got no model. Fix: callback.set_model"),
    (
        callbacks.LearningRateScheduler(lambda epoch: 1.0),
        "LearningRateScheduler: got no model. Fix: callback.set_model",
    ),
    (callbacks.ModelCheckpoint("m"), "ModelCheckpoint: got no model. Fix: callback.set_model"),
]


@pytest.mark.parametrize(("callback", "words"), WITHOUT_A_MODEL, ids=[row[1][:14] for row in WITHOUT_A_MODEL])
def test_a_callback_without_a_model_says_how_to_give_it_one(callback: Any, words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        for epoch in range(3):
            callback.on_epoch_begin(epoch)
            callback.on_train_batch_end(0, {"loss": NAN})
            callback.on_epoch_end(epoch, {"loss": 1.0})


def test_a_module_that_was_not_compiled_asks_for_a_trainer_and_works_with_one() -> None:
    module, callback = mlp(), callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    callback.set_model(module)

    with pytest.raises(
        TorchfuncError, match=r"got a Sequential without a Trainer.* or callback.trainer = Trainer"
    ):
        callback.on_epoch_begin(0)
    callback.trainer = tf.Trainer(module, optimizer=tf.optimizers.SGD(0.5), loss="mse")
    callback.on_epoch_begin(0)

    assert callback.trainer.learning_rate == 0.25


def test_an_epoch_without_the_monitored_value_is_told_and_passed_over_as_with_keras() -> None:
    epochs: Told = [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}, {"loss": 1.0}]
    ours, theirs = callbacks.EarlyStopping(patience=1), keras.callbacks.EarlyStopping(patience=1)

    with pytest.warns(UserWarning, match="EarlyStopping passes over an epoch whose logs have no 'val_loss'"):
        mine = driven(ours, compiled(tf), epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        that = driven(theirs, compiled(keras), epochs)

    assert len(mine) == len(that) == 3 and ours.best == theirs.best == 1.0


def test_a_monitored_value_that_is_no_single_number_is_told() -> None:
    callback = callbacks.EarlyStopping("f1_score")

    with pytest.raises(TorchfuncError, match=r"expected a single number, got f1_score=\[0.5, 0.25\]"):
        callback.on_epoch_end(0, {"f1_score": [0.5, 0.25]})


def test_a_loss_that_is_no_number_is_raised_where_that_is_asked_for() -> None:
    with pytest.raises(DataError, match="Batch 3: expected a number, got the loss nan"):
        callbacks.TerminateOnNaN(raise_error=True).on_train_batch_end(3, {"loss": NAN})


class Noting(callbacks.Callback):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.heard.append(("begin", logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.heard.append((epoch, logs))

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("batch", batch))

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("test", batch))


def test_a_list_of_callbacks_is_told_as_that_of_keras_is() -> None:
    class Theirs(keras.callbacks.Callback):  # type: ignore[misc]
        __init__ = Noting.__init__
        on_train_begin, on_epoch_end = Noting.on_train_begin, Noting.on_epoch_end
        on_batch_end, on_test_batch_begin = Noting.on_batch_end, Noting.on_test_batch_begin

    ours, theirs = Noting(), Theirs()
    for house, callback in ((tf, ours), (keras, theirs)):
        model = compiled(house)
        told = house.callbacks.CallbackList(callback, model=model, epochs=3, steps=2)
        told.on_train_begin()
        told.on_epoch_begin(0)
        told.on_train_batch_begin(0, logs={})
        told.on_test_batch_begin(batch=4)
        told.on_train_batch_end(0, {"loss": 1.0})
        told.on_epoch_end(0, logs={"loss": torch.tensor(2.0)})
        told.on_epoch_end(epoch=1)
        told.on_train_end()
        assert callback.model is model and callback.params == told.params == {"epochs": 3, "steps": 2}

    assert repr(ours.heard) == repr(theirs.heard) and len(ours.heard) == 5


def test_a_list_of_callbacks_takes_models_and_more_callbacks_later() -> None:
    model, late = compiled(tf), Noting()
    inner = CallbackList([callbacks.ReduceLROnPlateau("loss", patience=0, factor=0.5)])
    told = CallbackList([inner, Noting()], add_history=True)
    told.append(late)
    told.set_model(model)
    told.set_params({"epochs": 2})

    told.on_train_begin()
    for epoch, loss in enumerate((1.0, 2.0)):
        told.on_epoch_end(epoch, {"loss": loss})

    reducing, _, history, last = told.callbacks
    assert reducing.trainer is model.trainer and model.optimizer.learning_rate == 0.25
    assert history.history == {"loss": [1.0, 2.0], "learning_rate": [0.5, 0.5]}
    assert last is late and late.params == {"epochs": 2} and len(late.heard) == 3
    with pytest.raises(AttributeError, match="CallbackList has no attribute 'on_epoch_finish'"):
        told.on_epoch_finish(0)


def rows_of(path: Path, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter=separator))


def test_a_csv_file_gets_a_column_for_what_comes_later_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"

    driven(callbacks.CSVLogger(path), compiled(tf), [{"loss": 3.0}, {"loss": 2.0, "val_loss": 4.0}])
    driven(callbacks.CSVLogger(path, append=True), compiled(tf), [{"score": 0.5, "loss": 1.0}, {"loss": 0.5}])

    assert path.read_text().splitlines() == [
        "epoch,loss,val_loss,score", "0,3.0,NA,NA", "1,2.0,4.0,NA", "0,1.0,NA,0.5", "1,0.5,NA,NA",
    ]  # fmt: skip
    assert [each.name for each in tmp_path.iterdir()] == ["log.csv"]


def test_a_csv_file_may_be_appended_to_whatever_its_last_line_was(tmp_path: Path) -> None:
    path, empty = tmp_path / "log.csv", tmp_path / "empty.csv"
    path.write_text("epoch;loss;score\n0;1.0;2.0\n1;0.")
    empty.touch()

    for each in (path, empty):
        driven(callbacks.CSVLogger(each, separator=";", append=True), compiled(tf), [{"loss": 0.5}])

    assert path.read_text().splitlines()[1:] == ["0;1.0;2.0", "1;0.;NA", "0;0.5;NA"]
    assert empty.read_text() == "epoch;loss\n0;0.5\n"


def test_a_logger_that_was_told_of_no_beginning_keeps_what_it_is_to_append_to(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.0\n")

    callbacks.CSVLogger(path, append=True).on_epoch_end(1, {"loss": 0.5})

    assert path.read_text() == "epoch,loss\n0,1.0\n1,0.5\n"


def test_a_file_of_another_kind_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch;loss\n0;1.0\n")

    with pytest.raises(
        SavingError, match="expected a header that begins with 'epoch,', got .* the separator of"
    ):
        callbacks.CSVLogger(path, append=True).on_train_begin()
    assert path.read_text() == "epoch;loss\n0;1.0\n"


@pytest.mark.parametrize(
    ("filepath", "error", "words"),
    [
        ("{epoch}-{val_acc:.2f}", UnknownNameError, "Unknown field of ModelCheckpoint's filepath 'val_acc'"),
        ("{}", SavingError, "filepath='{}' and the logs {'epoch': 1, 'loss': 1.0}. .* Fix: fields by name"),
        ("{loss:d}", SavingError, "Unknown format code 'd'"),
    ],
)
def test_a_name_that_the_logs_cannot_fill_is_told(filepath: str, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        driven(callbacks.ModelCheckpoint(filepath), compiled(tf), [{"loss": 1.0}])


def test_a_checkpoint_by_batches_that_would_never_be_saved_is_told() -> None:
    with pytest.raises(TorchfuncError, match="no batch would ever be saved. Fix: monitor='loss'"):
        callbacks.ModelCheckpoint("m", save_best_only=True, save_freq=2)
