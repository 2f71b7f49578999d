"""Resuming: a training that goes on from a file, in another process, ends as one that did not stop."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import torchfunc as tf
from torchfunc import callbacks, layers, optimizers
from torchfunc.errors import CompileError

X = np.random.default_rng(0).random((50, 8), dtype="float32")
Y = np.random.default_rng(1).integers(3, size=50)

OPTIMIZERS: dict[str, Any] = {
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "adam": lambda: optimizers.Adam(
        optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), amsgrad=True, clipnorm=1.0
    ),
    "averaged": lambda: optimizers.AdamW(0.01, use_ema=True, ema_overwrite_frequency=3),
    "torch_class": lambda: torch.optim.Adam,
    "torch_partial": lambda: partial(torch.optim.SGD, lr=0.1, momentum=0.9),
}

# Nobody seeds this process: what the file remembers settles order and dropout.
FRESH = """
import sys, numpy as np, torch, torchfunc as tf
torch.set_num_threads(1)
data = np.load("data.npz")
for name in sys.argv[3:]:
    model = tf.load_model(name + sys.argv[2])
    np.save(f"{name}.npy", model.predict(data["x"], verbose=0))
    options = {"epochs": 2} if sys.argv[1] == "again" else {"epochs": 4, "initial_epoch": 2}
    model.fit(data["x"], data["y"], batch_size=7, validation_split=0.2, verbose=0, **options)
    model.save_weights(f"{name}.{sys.argv[1]}.safetensors")
"""


def made(optimizer: Any) -> Any:
    torch.manual_seed(0)
    inputs = tf.Input((8,), name="x")
    x = layers.BatchNormalization()(layers.Dense(16, activation="relu")(inputs))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dropout(0.3)(x)))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["acc"])
    return model


def fit(model: Any, **options: Any) -> None:
    model.fit(X, Y, batch_size=7, validation_split=0.2, verbose=0, **options)


def in_a_fresh_process(folder: Path, how: str, suffix: str, *names: str) -> None:
    np.savez(folder / "data.npz", x=X, y=Y)
    command = [sys.executable, "-c", FRESH, how, suffix, *names]
    subprocess.run(command, cwd=folder, check=True, timeout=240)


def assert_equal(model: Any, path: Path) -> None:
    resumed = safetensors.torch.load_file(path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(resumed[name], tensor), f"{path.name}: {name}"


@pytest.fixture
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("how", "suffix"), [("again", ".safetensors"), ("numbered", "_directory")])
def test_a_fresh_process_goes_on_to_the_bit_with_shuffling_dropout_and_momentum(
    tmp_path: Path, one_thread: None, how: str, suffix: str
) -> None:
    whole, predicted = {}, {}
    for name, make in OPTIMIZERS.items():
        model = whole[name] = made(make())
        fit(model, epochs=2)
        model.save(tmp_path / (name + suffix))
        predicted[name] = model.predict(X, verbose=0)
        fit(model, **({"epochs": 2} if how == "again" else {"epochs": 4, "initial_epoch": 2}))

    in_a_fresh_process(tmp_path, how, suffix, *OPTIMIZERS)

    for name, model in whole.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), predicted[name])
        assert_equal(model, tmp_path / f"{name}.{how}.safetensors")


def test_a_checkpoint_of_any_epoch_leads_to_the_same_end(tmp_path: Path) -> None:
    model = made("adam")
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors")
    fit(model, epochs=4, callbacks=[checkpoint])

    for epoch in (1, 2, 3):
        again = tf.load_model(tmp_path / f"{epoch}.safetensors")
        fit(again, epochs=4, initial_epoch=epoch)
        again.save_weights(tmp_path / "end.safetensors")
        assert_equal(model, tmp_path / "end.safetensors")


@pytest.mark.parametrize("epochs", [0, 2])
def test_an_optimizer_of_two_groups_comes_back_with_both(tmp_path: Path, epochs: int) -> None:
    model = made("adam")
    first, *others = model.parameters()
    optimizer = torch.optim.SGD([{"params": others}, {"params": [first], "lr": 0.5}], lr=0.01, momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    fit(model, epochs=epochs)
    model.save(tmp_path / "half.safetensors")
    again = tf.load_model(tmp_path / "half.safetensors")

    for each in (model, again):
        torch.manual_seed(5)
        fit(each, epochs=2)

    again.save_weights(tmp_path / "end.safetensors")
    assert_equal(model, tmp_path / "end.safetensors")
    groups = again.optimizer.torch_optimizer.param_groups
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(len(others), 0.01), (1, 0.5)]


def test_a_seed_of_the_user_is_honoured_over_the_one_in_the_file(tmp_path: Path) -> None:
    model = made("adam")
    fit(model, epochs=1)
    model.save(tmp_path / "m.safetensors")

    def end(seed: int) -> torch.Tensor:
        again = tf.load_model(tmp_path / "m.safetensors")
        torch.manual_seed(seed)
        fit(again, epochs=1)
        return torch.cat([each.flatten() for each in again.parameters()])

    assert torch.equal(end(1), end(1))
    assert not torch.equal(end(1), end(2))


def test_to_load_asks_for_no_gpu_and_what_only_a_gpu_does_is_told_when_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tf.Sequential([tf.Input((8,)), layers.Dense(3)])
    model.compile(partial(torch.optim.Adam, capturable=True), "mse", device="cpu")
    model.save(tmp_path / "m.safetensors")
    with monkeypatch.context() as patch:
        # both may open NVIDIA's library, in a process that has imported Lightning
        patch.setattr(torch.cuda, "is_available", lambda: pytest.fail("CUDA was asked for"))
        patch.setattr(torch.cuda, "device_count", lambda: pytest.fail("CUDA was asked for"))
        again = tf.load_model(tmp_path / "m.safetensors")
    message = (
        "optimizer: got capturable=True and weights on the CPU. Fix: capturable=False, or train on a GPU."
    )
    for each in (model, again):
        each.compile(again.optimizer, "mse", device="cpu")
        with pytest.raises(CompileError, match=re.escape(message)):
            each.fit(X, X[:, :3], verbose=0)
