"""Keras's other callbacks: backups, averages, events, and lines in a loop of one's own."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from torch import nn

import torchfunc as tf
from torchfunc import callbacks, layers
from torchfunc.errors import CompileError, CorruptFileError, TorchfuncError, WeightMismatchError
from torchfunc.training import Trainer

X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = X[:, :1]
LIBRARIES = (keras, tf)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def model_of(library: Any = tf, **optimizer: Any) -> Any:
    library.utils.set_random_seed(0)
    inputs = library.Input((4,))
    hidden = library.layers.Dense(3, activation="tanh", name="first")(inputs)
    model = library.Model(inputs, library.layers.Dense(1, name="second")(hidden))
    model.compile(library.optimizers.Adam(0.05, **optimizer), "mse", metrics=["mae"])
    return model


class Interrupt(callbacks.Callback):
    def __init__(self, epoch: int, batch: int) -> None:
        self.at, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("save_freq", "at"), [("epoch", (3, 0)), ("epoch", (3, 2)), (2, (2, 2)), (1, (2, 1))]
)
def test_a_training_goes_on_from_its_backup_to_the_bit(
    tmp_path: Path, save_freq: Any, at: tuple[int, int]
) -> None:
    whole = model_of()
    expected = whole.fit(X, Y, 16, 6, verbose=0)
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
    with pytest.raises(KeyboardInterrupt):
        model_of().fit(X, Y, 16, 6, verbose=0, callbacks=[backup, Interrupt(*at)])
    assert (tmp_path / "backup" / "latest.safetensors").exists()

    again = model_of()
    again.set_weights([each * 0 for each in again.get_weights()])
    history = again.fit(X, Y, 16, 6, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "backup")])

    assert history.epoch == list(range(6)) and history.history == expected.history
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_is_damaged_is_told_and_the_one_before_is_taken(tmp_path: Path) -> None:
    def interrupted(**options: Any) -> Any:
        backup = callbacks.BackupAndRestore(tmp_path, **options)
        with pytest.raises(KeyboardInterrupt):
            model_of().fit(X, Y, 16, 4, verbose=0, callbacks=[backup, Interrupt(2, 0)])
        latest = tmp_path / "latest.safetensors"
        latest.write_bytes(latest.read_bytes()[:-8])
        return backup

    backup = interrupted(double_checkpoint=False)
    with pytest.raises(CorruptFileError):
        model_of().fit(X, Y, 16, 4, verbose=0, callbacks=[backup])
    (tmp_path / "latest.safetensors").unlink()
    backup = interrupted()
    whole, again = model_of(), model_of()
    expected = whole.fit(X, Y, 16, 4, verbose=0)
    with pytest.warns(
        UserWarning, match="goes on from the backup before the last, which is damaged: .*latest.safe"
    ):
        assert again.fit(X, Y, 16, 4, verbose=0, callbacks=[backup]).history == expected.history
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_backup_of_another_model_changes_nothing(tmp_path: Path) -> None:
    keeping = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    model_of().fit(X, Y, verbose=0, callbacks=keeping)
    inputs = tf.Input((4,))
    other = tf.Model(inputs, layers.Dense(2)(inputs))
    other.compile("adam", "mse")
    before = other.get_weights()

    with pytest.raises(WeightMismatchError, match="The backup .* Fix: delete it"):
        other.fit(X, X[:, :2], verbose=0, callbacks=keeping)

    np.testing.assert_array_equal(before[0], other.get_weights()[0])
    with pytest.raises(WeightMismatchError, match="The backup .* Fix: delete it"):
        Trainer(nn.Linear(4, 1), loss="mse").fit(X, Y, verbose=0, callbacks=keeping)
    for wrong, told in (
        ({"backup_dir": ""}, "a folder"),
        ({"backup_dir": "a", "save_freq": 0}, "a number of batches"),
    ):
        with pytest.raises(TorchfuncError, match=f"BackupAndRestore: expected .*{told}"):
            callbacks.BackupAndRestore(**wrong)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_model_is_measured_with_the_averages_of_its_weights_as_in_keras(swap_on_epoch: bool) -> None:
    models = [model_of(library, use_ema=True, ema_momentum=0.8) for library in LIBRARIES]
    models[1].set_weights(models[0].get_weights())
    seen: list[list[Any]] = [[], []]
    histories = []
    for index, (library, model) in enumerate(zip(LIBRARIES, models, strict=True)):
        swap = library.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
        look = library.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, i=index, m=model: seen[i].append(m.get_weights())
        )
        fitted = model.fit(
            X, Y, 16, 3, verbose=0, shuffle=False, validation_data=(X, Y), callbacks=[swap, look]
        )
        histories.append(fitted.history)

    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4, err_msg=name)
    theirs, ours = ([*each, model.get_weights()] for each, model in zip(seen, models, strict=True))
    for one, other in zip(theirs, ours, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_averages_that_nobody_keeps_are_missed() -> None:
    with pytest.raises(CompileError, match="which keeps no averages. Fix: make it with use_ema=True"):
        model_of().evaluate(X, Y, verbose=0, callbacks=[callbacks.SwapEMAWeights()])


class Writer:
    """What torch.utils.tensorboard writes with, as a list of what it was told."""

    told: list[tuple[Any, ...]]

    def __init__(self, folder: str) -> None:
        self.part, self.file_writer = Path(folder).name, self

    def __getattr__(self, event: str) -> Any:
        return lambda *args, **kwargs: type(self).told.append((self.part, event, *args))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    module = types.ModuleType("torch.utils.tensorboard")
    Writer.told = []
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return Writer.told


def test_figures_and_weights_are_written_under_keras_names(told: list[Any], tmp_path: Path) -> None:
    board = callbacks.TensorBoard(
        tmp_path, histogram_freq=2, write_images=True, write_steps_per_second=True, update_freq=2
    )
    history = model_of().fit(X, Y, 16, 3, verbose=0, validation_data=(X, Y), callbacks=board).history

    scalars = {
        (part, name, step): value for part, event, name, value, *rest in _scalars(told) for step in rest
    }
    for epoch in range(3):
        assert scalars["train", "epoch_loss", epoch] == history["loss"][epoch]
        assert scalars["validation", "epoch_mae", epoch] == history["val_mae"][epoch]
        assert scalars["train", "epoch_learning_rate", epoch] == pytest.approx(0.05)
        assert scalars["train", "epoch_steps_per_second", epoch] > 0
        assert (
            scalars["validation", "evaluation_loss_vs_iterations", 3 * epoch + 3]
            == history["val_loss"][epoch]
        )
    assert [step for part, name, step in scalars if name == "batch_loss"] == [0, 2, 4, 6, 8]
    histograms = [each[2::2] for each in told if each[1] == "add_histogram"]
    assert histograms == [
        (f"{layer}/{name}/histogram", epoch)
        for epoch in (0, 2)
        for layer in ("first", "second")
        for name in ("weight", "bias")
    ]
    assert [each[1] for each in told if each[1] in ("add_graph", "add_summary")] == [
        "add_graph",
        "add_summary",
    ]
    images = {each[2]: each[3] for each in told if each[1] == "add_image"}
    assert {name: tuple(each.shape) for name, each in images.items()} == {
        "first/weight/image": (3, 4), "first/bias/image": (1, 3), "second/weight/image": (1, 3),
    }  # fmt: skip
    assert all(each.min() >= 0 and each.max() <= 1 for each in images.values())
    assert "self.first" in next(each[3] for each in told if each[1] == "add_text")
    assert [each[:2] for each in told[-2:]] == [("train", "close"), ("validation", "close")]


def _scalars(told: list[Any]) -> list[Any]:
    return [each for each in told if each[1] == "add_scalar"]


def test_tables_of_embeddings_are_written_with_their_labels(told: list[Any], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    inputs = tf.Input((2,), dtype="int64")
    model = tf.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.Embedding(3, 2, name="words")(inputs))))
    model.compile("sgd", "mse")
    board = callbacks.TensorBoard(
        tmp_path, embeddings_freq=1, write_graph=False, embeddings_metadata={"words": tmp_path / "labels.txt"}
    )

    model.fit(np.ones((4, 2), "int64"), np.ones((4, 1)), verbose=0, callbacks=board)

    (found,) = [each for each in told if each[1] == "add_embedding"]
    assert found[2].shape == (3, 2) and found[3] == ["a", "b", "c"]


def test_events_that_cannot_be_written_are_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TorchfuncError, match=r"Fix: pip install tensorboard"):
        model_of().fit(X, Y, verbose=0, callbacks=callbacks.TensorBoard(tmp_path))
    with pytest.raises(TorchfuncError, match="profile_batch=2. Fix: with torch.profiler.profile"):
        callbacks.TensorBoard(profile_batch=2)
    with pytest.raises(TorchfuncError, match="update_freq='step'"):
        callbacks.TensorBoard(update_freq="step")  # type: ignore[arg-type]


def test_lines_are_printed_in_a_loop_of_ones_own_and_not_twice_in_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = model_of()
    model.fit(X, Y, 16, verbose=2, callbacks=callbacks.ProgbarLogger())
    assert capsys.readouterr().out.count("Epoch 1/1") == 1

    told = callbacks.CallbackList(callbacks.ProgbarLogger(), model=model, epochs=2, steps=3)
    for epoch in range(2):
        told.on_epoch_begin(epoch)
        for batch in range(3):
            told.on_train_batch_end(batch, {"loss": 0.5})
        told.on_epoch_end(epoch, {"loss": 0.5})
    assert capsys.readouterr().out == "Epoch 1/2\n3/3 - loss: 0.5000\nEpoch 2/2\n3/3 - loss: 0.5000\n"
