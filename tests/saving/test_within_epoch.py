"""Within an epoch: a training that stopped at any batch and goes on from a file ends as one that did not stop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import torchfunc as tf
from tests.training.modules import same_weights
from torchfunc import layers
from torchfunc.callbacks import Callback

X = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 60)
SIZE, STEPS, EPOCHS = 8, 8, 3


class Pairs(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index], Y[index]


def batches() -> Iterator[Any]:
    for start in range(0, len(X), SIZE):
        yield X[start : start + SIZE], Y[start : start + SIZE]


class Stop(Callback):
    """Saves the model after a batch, counted over all epochs, and interrupts the training."""

    def __init__(self, at: int, path: Path) -> None:
        self.left, self.path = at, path

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.model.save(self.path)
            raise KeyboardInterrupt


def made(**options: Any) -> Any:
    torch.manual_seed(1)
    inputs = tf.Input((6,))
    hidden = layers.Dropout(0.3)(layers.BatchNormalization()(layers.Dense(8)(inputs)))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    torch.manual_seed(2)
    return model


# everything whose order is known: what is given to `fit`, anew for each call
SOURCES: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "arrays": lambda: ((X, Y), {"batch_size": SIZE}),
    "arrays in order": lambda: ((X, Y), {"batch_size": SIZE, "shuffle": False}),
    "some of the batches": lambda: ((X, Y), {"batch_size": 6, "steps_per_epoch": STEPS}),
    "validated": lambda: ((X, Y), {"batch_size": SIZE, "validation_data": (X, Y)}),
    "a dataset": lambda: ((Pairs(),), {"batch_size": SIZE}),
    "a loader that shuffles": lambda: (
        (DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), SIZE, shuffle=True),),
        {},
    ),
    "a list of batches": lambda: ((list(batches()),), {}),
    "a function": lambda: ((batches,), {}),
}


def fit(model: Any, source: str, **options: Any) -> Any:
    data, more = SOURCES[source]()
    return model.fit(*data, epochs=EPOCHS, verbose=0, **more, **options).history


def stopped(source: str, at: int, path: Path, **options: Any) -> Any:
    model = made(**options)
    with pytest.raises(KeyboardInterrupt):
        fit(model, source, callbacks=[Stop(at, path)])
    return model


@pytest.mark.parametrize("at", [1, 3, STEPS, STEPS + 1, 2 * STEPS - 1, 2 * STEPS + 5])
@pytest.mark.parametrize("source", SOURCES)
def test_a_training_that_stopped_at_a_batch_goes_on_to_the_bit(source: str, at: int, tmp_path: Path) -> None:
    whole = made()
    expected = fit(whole, source)
    stopped(source, at, tmp_path / "m.safetensors")

    again = tf.load_model(tmp_path / "m.safetensors")
    torch.manual_seed(99) if at == 3 else None
    epoch = again.trainer.epoch
    history = fit(again, source, initial_epoch=epoch)

    assert epoch == (at - 1) // STEPS
    assert same_weights(whole, again)
    assert again.optimizer.iterations == EPOCHS * STEPS
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-9)


@pytest.mark.parametrize("at", [3, STEPS + 1])
def test_a_file_that_was_loaded_and_saved_again_says_the_same_of_the_epoch(at: int, tmp_path: Path) -> None:
    whole = made()
    expected = fit(whole, "arrays")
    stopped("arrays", at, tmp_path / "m.safetensors")
    once = tf.load_model(tmp_path / "m.safetensors")
    once.evaluate(X, Y, verbose=0)  # which has sums of its own
    torch.rand(3)
    once.save(tmp_path / "again.safetensors")

    again = tf.load_model(tmp_path / "again.safetensors")
    epoch = again.trainer.epoch
    history = fit(again, "arrays", initial_epoch=epoch)

    assert same_weights(whole, again)
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-9)


def test_sums_of_an_epoch_that_nobody_goes_on_with_are_not_saved(tmp_path: Path) -> None:
    stopped("arrays", 3, tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    with pytest.raises(KeyboardInterrupt):
        fit(again, "arrays", callbacks=[Stop(5, tmp_path / "again.safetensors")])
    sums = tf.load_model(tmp_path / "again.safetensors").trainer.state_dict()["within"]["sums"]
    assert sums["loss"][1] == 5 * SIZE


@pytest.mark.parametrize("at", [3, STEPS, STEPS + 1, 2 * STEPS - 1])
@pytest.mark.parametrize("source", SOURCES)
def test_the_same_process_can_go_on_too(source: str, at: int, tmp_path: Path) -> None:
    whole = made()
    expected = fit(whole, source)
    model = stopped(source, at, tmp_path / "m.safetensors")

    history = fit(model, source, initial_epoch=model.trainer.epoch)

    assert same_weights(whole, model)
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-9)


def test_callbacks_hear_of_the_batches_that_are_left(tmp_path: Path) -> None:
    stopped("arrays", STEPS + 5, tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    heard: list[int] = []

    hook = tf.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: heard.append(batch))
    fit(again, "arrays", initial_epoch=again.trainer.epoch, callbacks=[hook])

    assert heard == [5, 6, 7, *range(8)]


def test_a_plain_fit_begins_its_epochs_anew(tmp_path: Path) -> None:
    stopped("arrays", 3, tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    before = again.optimizer.iterations if again.optimizer.torch_optimizer else 3

    fit(again, "arrays")

    assert again.optimizer.iterations == before + EPOCHS * STEPS
    assert again.trainer.epoch == EPOCHS and again.trainer.epoch.done == 0


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (
            lambda: (iter([*batches()][3:]),),
            {},
            r"epoch 1 goes on after its batch 3 .* got a list_iterator, which",
        ),
        (
            lambda: ([*batches()][:6],),
            {"steps_per_epoch": STEPS},
            r"got a list of which an epoch takes 8 batches",
        ),
        (
            lambda: (X, Y),
            {"batch_size": 4},
            r"begins anew: it stopped after 3 of 8 batches, and these data make 15",
        ),
    ],
)
def test_what_cannot_go_on_exactly_is_told(data: Any, options: Any, words: str, tmp_path: Path) -> None:
    stopped("arrays", 3, tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")
    again.trainer.step.steps = STEPS if "batch_size" in options or options else None

    with pytest.warns(UserWarning, match=words):
        again.fit(*data(), epochs=1, initial_epoch=again.trainer.epoch, verbose=0, **options)


def test_a_model_may_be_copied_while_a_generator_trains_it() -> None:
    model, copies = made(), []
    hook = tf.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: copies.append(copy.deepcopy(model))
    )

    model.fit(batches(), verbose=0, callbacks=[hook])

    assert same_weights(model, copies[-1])
