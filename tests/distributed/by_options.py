"""Trainings by their options and optimizers, each of which is equal to one in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import torchfunc as tf
from tests.distributed.equal_to_one import classes, numbers, size
from tests.distributed.in_shards import X, Y, cnn, weights_of
from torchfunc import layers

HALVES = numbers((42, 8)), classes(42, 3)


class Trained:
    """A training of so many epochs with options of `compile`."""

    def __init__(self, name: str, optimizer: Any = "sgd", epochs: int = 2, **options: Any) -> None:
        self.__name__, self.optimizer, self.epochs, self.options = name, optimizer, epochs, options

    def __call__(self) -> Any:
        optimizer = self.optimizer() if isinstance(self.optimizer, Made) else self.optimizer
        model = cnn(optimizer, **self.options)
        history = model.fit(X, Y, size(8), epochs=self.epochs, verbose=0)
        return history.history, weights_of(model), model.trainer.step.steps_taken


class Made:
    """A new SGD with some arguments."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self) -> Any:
        return tf.optimizers.SGD(0.1, **self.arguments)


def halving(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


OPTIONS: dict[str, dict[str, Any]] = {
    "clipnorm": {"clipnorm": 0.01, "optimizer": torch.optim.SGD},
    "clipvalue": {"clipvalue": 0.001, "gradient_accumulation_steps": 2},
    "averages": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    "steps": {"lr_scheduler": {"scheduler": halving, "interval": "step"}, "gradient_accumulation_steps": 2},
    "plateau": {"lr_scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau},
    "clipnorm_of_the_optimizer": {"optimizer": Made(clipnorm=0.01)},
    "averages_of_the_optimizer": {
        "optimizer": Made(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)
    },
    "accumulation_of_the_optimizer": {"optimizer": Made(gradient_accumulation_steps=2)},
}
OPTIMIZERS = (
    "adamw", "adamax", "nadam", "adagrad", "adadelta", "ftrl", "lion", "lamb", "adafactor", "muon",
)  # fmt: skip
EQUAL = [
    *(
        Trained(f"{name}_{kind}", **{"distribute": kind, **options})
        for name, options in OPTIONS.items() for kind in ("ddp", "fsdp")
    ),
    *(Trained(each, each, 1, distribute="fsdp") for each in OPTIMIZERS),
]  # fmt: skip


def for_halves(**options: Any) -> Any:
    torch.manual_seed(0)
    inputs = tf.Input((8,))
    model = tf.Model(inputs, layers.Dense(3)(layers.Dense(16, activation="relu")(inputs)))
    loss = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.optimizers.SGD(0.1), loss, **options)
    return model


def in_bfloat16(distribute: str, **options: Any) -> Any:
    model = for_halves(precision="bf16", distribute=distribute, **options)
    model.fit(*HALVES, 4, epochs=2, verbose=0, shuffle=False)
    return weights_of(model)


def copies_in_bfloat16() -> Any:
    return in_bfloat16("ddp")


def shards_in_bfloat16() -> Any:
    return in_bfloat16("fsdp")


def accumulated_in_bfloat16() -> Any:
    return in_bfloat16("ddp", gradient_accumulation_steps=2)


def accumulated_shards_in_bfloat16() -> Any:
    return in_bfloat16("fsdp", gradient_accumulation_steps=2)


def bfloat16_by_hand(batches: int) -> dict[str, Any]:
    """What two processes compute of so many batches a step, one after the other."""
    model = for_halves()
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, 0.1)
    x, y = (torch.as_tensor(each) for each in HALVES)
    loss = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
    for _ in range(2):
        for start in range(0, 42, 8 * batches):
            optimizer.zero_grad()
            rows = range(start, min(start + 8 * batches, 42))
            for part in (slice(at, min(at + 4, 42)) for at in rows[::4]):
                with torch.autocast("cpu", torch.bfloat16):
                    mean = loss(y[part], model(x[part]))
                for each, grad in zip(parameters, torch.autograd.grad(mean, parameters), strict=True):
                    grad = grad * (len(y[part]) / len(rows))
                    each.grad = grad if each.grad is None else each.grad + grad
            optimizer.step()
    return weights_of(model)


def too_large_on_one_rank(**options: Any) -> Any:
    """In the second batch the gradients of the second rank are more than float16 holds: no rank learns from it."""
    import os

    x, y = (each[:16].copy() for each in HALVES)
    model = for_halves(precision="fp16", **options)
    seen: list[tuple[float, Any]] = []

    def batches() -> Any:
        for index in range(2):
            part = slice(index * 4, index * 4 + 4)
            scale = 100.0 if index == 1 and os.environ["RANK"] == "1" else 1.0
            yield x[part] * scale, (y[part] + 1) % 3

    class Looks(tf.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((self.trainer.step.steps_taken, self.trainer.step.learning.scaler.get_scale()))

    model.fit(batches, verbose=0, callbacks=[Looks()])
    return seen, weights_of(model)


def copies_too_large() -> Any:
    return too_large_on_one_rank()


def shards_too_large() -> Any:
    return too_large_on_one_rank(distribute="fsdp")


BFLOAT16: list[tuple[Callable[[], Any], int]] = [
    (copies_in_bfloat16, 1), (shards_in_bfloat16, 1),
    (accumulated_in_bfloat16, 2), (accumulated_shards_in_bfloat16, 2),
]  # fmt: skip
TOO_LARGE = [copies_too_large, shards_too_large]
ALL = [*EQUAL, *(check for check, _ in BFLOAT16), *TOO_LARGE]
