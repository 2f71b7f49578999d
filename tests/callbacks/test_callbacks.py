"""Callbacks: each hears of what happens when it happens, and costs nothing where it does not listen."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

from tests.training.modules import classification, mlp, same_weights
from torchfunc import callbacks
from torchfunc.callbacks import Callback, CallbackList, LambdaCallback
from torchfunc.callbacks.callback import History
from torchfunc.errors import CompileError, SavingError, TorchfuncError, UnknownNameError
from torchfunc.training import Trainer

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
X, Y = classification(40)
NAN = math.nan


# Keras turns tensors into arrays in a way that NumPy deprecates
OLD_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:(keras|torch)")


def fitted(module: nn.Module | None = None, **options: Any) -> History:
    trainer = Trainer(module or mlp(), optimizer="sgd", loss=LOGITS, metrics=["accuracy"])
    return trainer.fit(X, Y, **{"batch_size": 20, "verbose": 0, "shuffle": False, **options})


class Recorder(Callback):
    """Writes every event down."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
            return lambda *args: self.events.append(
                " ".join([name, *(str(a) for a in args if isinstance(a, int))])
            )
        return super().__getattribute__(name)


class KerasRecorder(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []


def _recording(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        self.events.append(" ".join([name, *(str(a) for a in args if isinstance(a, int))]))

    return method


for _name in [
    name
    for name in dir(Callback)
    if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end")
]:
    setattr(KerasRecorder, _name, _recording(_name))


@OLD_KERAS
def test_events_come_in_the_order_of_keras() -> None:
    ours, theirs = Recorder(), KerasRecorder()
    twin = keras.Sequential([keras.layers.Dense(3)])
    twin.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    options: dict[str, Any] = {"batch_size": 10, "validation_split": 0.5, "verbose": 0}
    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS)

    twin.fit(X, Y, epochs=2, callbacks=[theirs], **options)
    twin.evaluate(X, Y, batch_size=20, verbose=0, callbacks=[theirs])
    twin.predict(X, batch_size=20, verbose=0, callbacks=[theirs])
    trainer.fit(X, Y, epochs=2, callbacks=[ours], **options)
    trainer.evaluate(X, Y, batch_size=20, verbose=0, callbacks=[ours])
    trainer.predict(X, batch_size=20, verbose=0, callbacks=[ours])

    assert ours.events == theirs.events


def test_a_callback_of_keras_itself_is_taken() -> None:
    seen: list[float] = []

    fitted(
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))]
    )

    assert len(seen) == 1


def test_a_method_that_is_not_overridden_is_never_called() -> None:
    class Ends(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None: ...

    class OldName(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None: ...

    events = CallbackList([Ends(), OldName(), LambdaCallback(on_train_begin=lambda logs: None), History()])

    assert [
        len(events.methods(name)) for name in ("on_epoch_end", "on_train_batch_end", "on_train_begin")
    ] == [2, 1, 1]
    assert events.methods("on_train_batch_begin") == []


def test_logs_hold_the_figures_of_the_epoch_so_far() -> None:
    seen: list[dict[str, float]] = []
    module = mlp()

    history = fitted(
        module, callbacks=LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    )

    assert [list(logs) for logs in seen] == [["loss", "accuracy"]] * 2
    assert seen[1]["loss"] == history.history["loss"][0]
    assert all(type(value) is float for logs in seen for value in logs.values())


def test_history_holds_a_list_for_each_name_and_the_numbers_of_the_epochs() -> None:
    module = mlp()

    history = fitted(module, epochs=4, initial_epoch=1, validation_split=0.5)

    assert history.epoch == [1, 2, 3]
    assert [len(values) for values in history.history.values()] == [3] * 4
    assert history.model is module
    assert history.params["epochs"] == 4 and history.params["steps"] == 1


def test_setting_stop_training_ends_the_training_after_this_batch() -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    module = mlp()
    trainer = Trainer(module, optimizer="sgd", loss=LOGITS)

    history = trainer.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=Stop())

    assert trainer.step.count == 2 and len(history.history["loss"]) == 1
    assert len(trainer.fit(X, Y, epochs=2, verbose=0).epoch) == 2


def feed(callback: Any, values: list[float], name: str = "val_loss") -> int:
    """The number of epochs that a training runs whose `name` takes these values."""
    module = mlp()
    trainer = Trainer(module, optimizer="sgd", loss=LOGITS)
    callback.trainer = trainer
    trainer.step.optimization.ready()
    callback.set_params({"validated": True})
    callback.set_model(module)
    module.stop_training = False  # type: ignore[assignment]
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        with torch.no_grad():
            module[0].bias.fill_(epoch)
        callback.on_epoch_end(epoch, {name: value})
        if module.stop_training:
            break
    callback.on_train_end({})
    return epoch + 1


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({"patience": 1}, [3.0, 2.0, 2.5, 1.0, 1.5, 1.6, 0.1]),
        ({"patience": 0}, [3.0, 2.0, 2.5, 1.0]),
        ({"patience": 2, "min_delta": 0.5}, [3.0, 2.8, 2.7, 2.0, 1.9, 1.8, 1.7]),
        ({"patience": 1, "baseline": 1.0}, [3.0, 2.0, 1.5, 0.5]),
        ({"patience": 1, "mode": "max"}, [1.0, 2.0, 1.5, 1.6, 3.0]),
        ({"patience": 0, "start_from_epoch": 3}, [1.0, 2.0, 3.0, 4.0, 3.0, 5.0, 1.0]),
        ({"patience": 3}, [1.0, 2.0]),
        ({"patience": 2}, [NAN] * 5),
        ({"patience": 0}, [NAN] * 3),
        ({"patience": 1, "mode": "max"}, [NAN] * 5),
        ({"patience": 2, "baseline": 1.0}, [NAN] * 5),
        ({"patience": 2, "start_from_epoch": 2}, [NAN] * 7),
        ({"patience": 2}, [3.0, NAN, NAN, 2.0]),
        ({"patience": 2, "mode": "max"}, [3.0, NAN, 2.0, 4.0]),
        ({"patience": 2, "min_delta": 0.5}, [3.0, NAN, 2.0, NAN, 1.8, 0.1]),
    ],
)
def test_early_stopping_stops_when_that_of_keras_does(arguments: Any, values: list[float]) -> None:
    theirs = keras.callbacks.EarlyStopping(monitor="val_loss", **arguments)
    twin = keras.Sequential([keras.layers.Dense(1)])
    twin.build((None, 1))
    twin.stop_training = False
    theirs.set_model(twin)
    theirs.on_train_begin()
    count = 0
    for epoch, value in enumerate(values):
        theirs.on_epoch_end(epoch, {"val_loss": value})
        count = epoch + 1
        if twin.stop_training:
            break

    ours = callbacks.EarlyStopping(monitor="val_loss", **arguments)

    assert feed(ours, values) == count
    assert (ours.best_epoch, ours.stopped_epoch) == (theirs.best_epoch, theirs.stopped_epoch)
    assert ours.best == theirs.best or (math.isnan(ours.best) and math.isnan(theirs.best))


def test_early_stopping_restores_the_weights_of_the_best_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    callback = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)

    feed(callback, [3.0, 1.0, 2.0, 2.5])

    assert callback.model[0].bias.tolist() == [1.0] * 16
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nEpoch 2: restoring the weights of this epoch, the best\n"
    )


@pytest.mark.parametrize(
    ("arguments", "values", "epochs", "best_epoch"),
    [
        ({"patience": 1}, [NAN, 2.0, 1.0, 1.5, 1.2], 4, 2),
        ({"patience": 1, "mode": "max"}, [NAN, 1.0, 2.0, 1.5, 3.0], 4, 2),
        ({"patience": 3}, [NAN, NAN, 5.0, 6.0, NAN, 7.0, 1.0], 6, 2),
        ({"patience": 2, "baseline": 3.0}, [NAN, 4.0, 2.0, NAN, NAN, 1.0], 5, 2),
        ({"patience": 3, "baseline": 3.0}, [NAN, 4.0, 2.0, NAN, NAN, 1.0], 6, 5),
        ({"patience": 1, "start_from_epoch": 1}, [0.1, NAN, 3.0, NAN, 1.0], 4, 2),
    ],
)
def test_early_stopping_takes_any_number_for_better_than_nan(
    arguments: Any, values: list[float], epochs: int, best_epoch: int
) -> None:
    callback = callbacks.EarlyStopping(restore_best_weights=True, **arguments)

    assert feed(callback, values) == epochs
    assert callback.model[0].bias.tolist() == [float(best_epoch)] * 16


@pytest.mark.parametrize(
    "callback",
    [
        callbacks.EarlyStopping("val_acuracy"),
        callbacks.ReduceLROnPlateau("val_acuracy"),
    ],
)
def test_a_monitored_name_that_is_not_logged_lists_those_that_are(callback: Any) -> None:
    with pytest.raises(UnknownNameError, match="monitor 'val_acuracy'. Did you mean 'val_accuracy'?"):
        fitted(callbacks=callback, validation_split=0.5)
    with pytest.raises(
        UnknownNameError, match=r"Known|Did you mean 'accuracy'.*Fix: fit\(..., validation_split=0.2\)"
    ):
        fitted(callbacks=callback)


def test_an_epoch_that_is_not_validated_is_passed_over() -> None:
    history = fitted(
        callbacks=callbacks.EarlyStopping(patience=5), validation_split=0.5, validation_freq=2, epochs=4
    )

    assert len(history.epoch) == 4


@pytest.mark.parametrize(
    ("name", "falls"),
    [
        ("loss", True), ("val_mse", True), ("mean_absolute_error", True), ("kl_divergence", True),
        ("false_positives", True), ("val_kind_accuracy", False), ("auc", False), ("val_acc", False),
        ("f1_score", False), ("r2_score", False), ("val_MulticlassF1Score", False), ("MSE", True),
    ],
)  # fmt: skip
def test_the_direction_follows_from_the_name(name: str, falls: bool) -> None:
    callback = callbacks.EarlyStopping(name)

    assert callback.improves(1.0, 2.0) is falls
    assert callback.improves(2.0, 1.0) is not falls


def test_a_name_without_a_direction_asks_for_a_mode() -> None:
    with pytest.raises(
        TorchfuncError, match="monitor='my_figure'. The name does not tell .* Fix: mode='max'"
    ):
        callbacks.EarlyStopping("my_figure").improves(1.0, 2.0)
    with pytest.raises(TorchfuncError, match="mode='maximum'"):
        callbacks.EarlyStopping("my_figure", mode="maximum")  # type: ignore[arg-type]


class Saveable(nn.Sequential):
    """Keeps what a checkpoint asks it to save."""

    def __init__(self) -> None:
        super().__init__(*mlp())
        self.saved: list[str] = []

    def save(self, path: str, overwrite: bool) -> None:
        self.saved.append(Path(path).name)
        Path(path).touch()

    def save_weights(self, path: str, overwrite: bool) -> None:
        self.save(path + ".weights", overwrite)


def test_a_checkpoint_is_saved_after_every_epoch_under_a_formatted_name(tmp_path: Path) -> None:
    module = Saveable()
    path = tmp_path / "runs" / "{epoch:02d}-{val_loss:.2f}.safetensors"

    history = fitted(module, epochs=2, validation_split=0.5, callbacks=callbacks.ModelCheckpoint(path))

    assert module.saved == [
        f"{i + 1:02d}-{loss:.2f}.safetensors" for i, loss in enumerate(history.history["val_loss"])
    ]
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == module.saved


def test_only_the_best_epochs_are_saved_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=True, verbose=1)
    callback.set_model(Saveable())

    for epoch, value in enumerate([3.0, 4.0, 2.0]):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_loss": value})

    assert callback.model.saved == ["1.safetensors", "3.safetensors"]
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: saved to {tmp_path / '1.safetensors'}",
        "Epoch 2: val_loss did not improve from 3.00000",
        "Epoch 3: val_loss improved from 3.00000 to 2.00000",
        f"Epoch 3: saved to {tmp_path / '3.safetensors'}",
    ]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_saved_as_the_best_and_a_number_after_it_is(tmp_path: Path, mode: Any) -> None:
    path = tmp_path / "{epoch}.safetensors"
    callback = callbacks.ModelCheckpoint(path, save_best_only=True, mode=mode)
    callback.set_model(Saveable())

    for epoch, value in enumerate([NAN, 2.0, NAN, 2.0, 1.0 if mode == "min" else 3.0, NAN]):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_loss": value})

    assert callback.model.saved == ["2.safetensors", "5.safetensors"]


def test_a_threshold_has_to_be_beaten_before_anything_is_saved(tmp_path: Path) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "m", save_best_only=True, initial_value_threshold=1.0)
    callback.set_model(Saveable())

    for value in [3.0, 0.5]:
        callback.on_epoch_end(0, {"val_loss": value})

    assert callback.best == 0.5 and len(callback.model.saved) == 1


def test_weights_may_be_saved_every_so_many_batches(tmp_path: Path) -> None:
    module = Saveable()
    path = tmp_path / "{epoch}-{batch}-{loss:.0f}"

    fitted(
        module,
        batch_size=10,
        epochs=2,
        callbacks=callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=3),
    )

    assert [each[:3] for each in module.saved] == ["1-3", "2-2"]


def test_saving_by_epochs_costs_a_batch_nothing(tmp_path: Path) -> None:
    events = CallbackList([callbacks.ModelCheckpoint(tmp_path / "m")], model=Saveable())

    assert events.methods("on_train_batch_end") == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: callbacks.ModelCheckpoint("m.weights.pt"),
            "filepath='m.weights.pt'. .*Fix: ModelCheckpoint\\('m.weights.safetensors'",
        ),
        (
            lambda: callbacks.ModelCheckpoint("m.weights.h5"),
            "with save_weights_only=False. Fix: ModelCheckpoint\\('m.keras', save_weights_only=False",
        ),
        (
            lambda: callbacks.ModelCheckpoint("m.keras", save_weights_only=True),
            "Fix: ModelCheckpoint\\('m.weights.h5', save_weights_only=True",
        ),
        (lambda: callbacks.ModelCheckpoint("m", save_freq=0), "save_freq=0"),
        (
            lambda: callbacks.ModelCheckpoint("m", save_weights_only=True).set_model(mlp()),
            "Sequential, which has no method `save_weights`",
        ),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.5), "factor=1.5"),
        (
            lambda: LambdaCallback(on_epoch_ends=print),
            "Unknown callback event 'on_epoch_ends'. Did you mean 'on_epoch_end'?",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused_when_they_are_given(make: Any, words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        make()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([3], "callbacks: expected callback objects, got a int"),
        (callbacks.EarlyStopping, r"got the class EarlyStopping. Fix: EarlyStopping\(\)"),
        ([History(), print], "got a builtin_function_or_method. Fix: LambdaCallback"),
    ],
)
def test_what_is_no_callback_is_told_before_the_training(given: Any, words: str) -> None:
    trainer = Trainer(mlp(), loss=LOGITS)

    with pytest.raises(CompileError, match=words):
        trainer.fit(X, Y, verbose=0, callbacks=given)
    assert trainer.step.count == 0


def test_a_field_of_the_path_that_is_not_logged_lists_those_that_are() -> None:
    callback = callbacks.ModelCheckpoint("{val_los:.2f}")
    callback.set_model(Saveable())

    with pytest.raises(UnknownNameError, match="filepath 'val_los'. Did you mean 'val_loss'?"):
        callback.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    assert isinstance(SavingError("x"), TorchfuncError)


def test_a_schedule_sets_the_learning_rate_of_each_epoch() -> None:
    def halved(epoch: int, rate: float) -> float:
        return rate / 2 if epoch else rate

    history = fitted(epochs=3, callbacks=callbacks.LearningRateScheduler(halved))
    by_epoch = fitted(epochs=2, callbacks=callbacks.LearningRateScheduler(lambda epoch: 0.5 + epoch))

    assert history.history["learning_rate"] == pytest.approx([0.01, 0.005, 0.0025])
    assert by_epoch.history["learning_rate"] == [0.5, 1.5]
    with pytest.raises(TorchfuncError, match="expected a number, got 'high' from its schedule"):
        fitted(callbacks=callbacks.LearningRateScheduler(lambda epoch: "high"))  # type: ignore[arg-type, return-value]


@OLD_KERAS
@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({"cooldown": 1, "min_lr": 0.003}, [1.0, 0.9, 0.95, 0.92, 0.91, 0.93, 0.94, 0.95, 0.96]),
        ({"cooldown": 1}, [NAN] * 8),
        ({"mode": "max"}, [NAN] * 4),
        ({}, [1.0, NAN, NAN, 0.5, NAN, 0.6, 0.7]),
        ({"mode": "max", "min_delta": 0.2}, [1.0, 1.1, NAN, 2.0, NAN, 2.1, 2.15]),
    ],
)
def test_the_learning_rate_is_reduced_on_a_plateau_as_keras_does_it(
    arguments: dict[str, Any], values: list[float]
) -> None:
    arguments = {"factor": 0.5, "patience": 2, **arguments}
    twin = keras.Sequential([keras.layers.Dense(1)])
    twin.compile(keras.optimizers.SGD(0.01), "mse")
    theirs = keras.callbacks.ReduceLROnPlateau(**arguments)
    theirs.set_model(twin)
    theirs.on_train_begin()
    ours = callbacks.ReduceLROnPlateau(**arguments)

    for epoch, value in enumerate(values):
        theirs.on_epoch_end(epoch, {"val_loss": value})
    feed(ours, values)

    assert ours.trainer.learning_rate == pytest.approx(float(twin.optimizer.learning_rate))


def test_a_number_after_nan_is_no_plateau() -> None:
    callback = callbacks.ReduceLROnPlateau(factor=0.5, patience=2)

    feed(callback, [NAN, NAN, 3.0, 2.0, NAN, 1.0])

    assert callback.trainer.learning_rate == 0.01


def test_a_loss_that_is_no_number_ends_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    x = X.copy()
    x[25] = np.nan  # not refused, as it would be in arrays: batches are not looked through
    batches = [(x[start : start + 10], Y[start : start + 10]) for start in range(0, len(x), 10)]
    trainer = Trainer(mlp(), optimizer="sgd", loss=LOGITS)

    trainer.fit(batches, epochs=3, verbose=0, callbacks=callbacks.TerminateOnNaN())

    assert trainer.step.count == 3
    assert capsys.readouterr().out == "Batch 2: the loss is nan, terminating training\n"


def test_a_csv_file_holds_the_logs_of_every_epoch(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"

    history = fitted(epochs=2, validation_split=0.5, validation_freq=2, callbacks=callbacks.CSVLogger(path))
    fitted(epochs=3, initial_epoch=2, callbacks=callbacks.CSVLogger(path, append=True))

    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows[:2]] == history.history["loss"]
    assert [row["val_loss"] for row in rows] == ["NA", str(history.history["val_loss"][0]), "NA"]


def test_callbacks_change_nothing_of_the_training() -> None:
    plain, watched = mlp(), mlp()

    fitted(plain, epochs=2, validation_split=0.5)
    fitted(
        watched,
        epochs=2,
        validation_split=0.5,
        callbacks=[Recorder(), callbacks.EarlyStopping(patience=9), callbacks.TerminateOnNaN()],
    )

    assert same_weights(plain, watched)
