"""Trainings of many kinds, each of which has to end as if it had never stopped, however often it did."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

import torchfunc as tf
from torchfunc import callbacks, layers, optimizers

SAMPLES, SIZE, EPOCHS, STEPS = 60, 8, 4, 8
X = np.random.default_rng(0).normal(size=(SAMPLES, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, SAMPLES)

OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: optimizers.Adam(0.01),
    "nesterov": lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "averaged": lambda: optimizers.AdamW(0.01, use_ema=True, ema_overwrite_frequency=3),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "torch Adam": lambda: partial(torch.optim.Adam, lr=0.01, amsgrad=True),
    "torch SGD": lambda: partial(torch.optim.SGD, lr=0.05, momentum=0.9),
}
SCHEDULES: dict[str, Any] = {
    "none": lambda: None,
    "cosine": lambda: optimizers.schedules.CosineDecay(0.02, 30),
    "StepLR": lambda: partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    "OneCycleLR": lambda: partial(lr_scheduler.OneCycleLR, max_lr=0.05, cycle_momentum=False),
    "plateau": lambda: partial(lr_scheduler.ReduceLROnPlateau, patience=0, threshold=0.5),
}
CALLBACKS: dict[str, Any] = {
    "none": list,
    "stopping": lambda: [
        callbacks.EarlyStopping("loss", patience=2, min_delta=0.05, restore_best_weights=True)
    ],
    "plateau": lambda: [callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.05, factor=0.5)],
    "both": lambda: [
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0, factor=0.5),
        callbacks.EarlyStopping("loss", patience=2, min_delta=9.0),
    ],
}


def _batches() -> list[Any]:
    return [(X[start : start + SIZE], Y[start : start + SIZE]) for start in range(0, SAMPLES, SIZE)]


def _loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), SIZE, **options)


SOURCES: dict[str, Any] = {
    "shuffled": lambda: ((X, Y), {"batch_size": SIZE}),
    "in order": lambda: ((X, Y), {"batch_size": SIZE, "shuffle": False}),
    "validated": lambda: ((X, Y), {"batch_size": SIZE, "validation_data": (X, Y)}),
    "loader": lambda: ((_loader(shuffle=True),), {}),
    "workers": lambda: ((_loader(shuffle=True, num_workers=2),), {}),
    "list": lambda: ((_batches(),), {}),
}


@dataclass(frozen=True)
class Setting:
    """One training: what it is compiled with, its data and its callbacks."""

    optimizer: str = "adam"
    schedule: str = "none"
    source: str = "shuffled"
    callbacks: str = "none"
    dropout: float = 0.3
    normalized: bool = True
    accumulation: int | None = None
    precision: str | None = None

    def __str__(self) -> str:
        return ", ".join(str(each) for each in vars(self).values())


def drawn(number: int, sources: Sequence[str] = tuple(SOURCES)) -> Setting:
    """The setting of this number, drawn at random."""
    choose = random.Random(number)
    setting = Setting(
        choose.choice(list(OPTIMIZERS)),
        choose.choice(list(SCHEDULES)),
        choose.choice(list(sources)),
        choose.choice(list(CALLBACKS)),
        choose.choice([0.0, 0.3]),
        choose.choice([True, False]),
        choose.choice([None, 2, 3]),
        choose.choice([None, None, "bf16", "fp16"]),
    )
    # two that set one rate would be refused, or overwrite each other
    alone = setting.callbacks in ("none", "stopping")
    return setting if alone else replace(setting, schedule="none")


def made(setting: Setting) -> Any:
    torch.manual_seed(1)
    inputs = tf.Input((6,))
    x = layers.Dense(8)(inputs)
    x = layers.BatchNormalization()(x) if setting.normalized else layers.Activation("tanh")(x)
    x = layers.Dropout(setting.dropout)(x) if setting.dropout else x
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile(
        OPTIMIZERS[setting.optimizer](),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        precision=setting.precision,  # type: ignore[arg-type]
        gradient_accumulation_steps=setting.accumulation,
        lr_scheduler=SCHEDULES[setting.schedule](),
    )
    torch.manual_seed(2)
    return model


def fitted(model: Any, setting: Setting, more: Sequence[Any] = (), **options: Any) -> Any:
    data, arguments = SOURCES[setting.source]()
    return model.fit(
        *data,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[*CALLBACKS[setting.callbacks](), *more],
        **arguments,
        **options,
    )


class Stop(callbacks.Callback):
    """Saves the model after a batch, counted over all epochs, and interrupts the training."""

    def __init__(self, at: int, path: Path) -> None:
        self.left, self.path = at, path

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.model.save(self.path)
            raise KeyboardInterrupt


def end_of(model: Any) -> dict[str, Any]:
    """All that a training has made, by names: weights, optimizer, scheduler, scaler, random state, callbacks, history."""
    found: dict[str, Any] = {}

    def take(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                take(f"{name}.{key}", each)
        elif isinstance(value, (list, tuple)):
            for index, each in enumerate(value):
                take(f"{name}[{index}]", each)
        else:
            found[name] = value.detach().clone() if isinstance(value, Tensor) else value

    state = model.trainer.state_dict()
    kept = state.get("callbacks", {}).get("kept", [])
    state["callbacks"] = {each["kind"]: each["state"] for each in kept if each["kind"] in _COMPARED}
    take("weights", model.state_dict())
    take("training", state)
    return found


_COMPARED = ("EarlyStopping", "ReduceLROnPlateau", "History")


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what is not equal to the bit."""
    found = sorted(one.keys() ^ other.keys())
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        equal = torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        if not equal:
            found.append(f"{name}: {a} and {b}")
    return found
