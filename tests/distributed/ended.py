"""What one of two processes does to end: the other has to hear of it, and of which it was."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch

import torchfunc as tf
from tests.distributed.equal_to_one import classes, mlp, numbers


class Ends(tf.callbacks.Callback):
    """Ends the second rank at its third batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)


class Breaks(torch.autograd.Function):
    """The gradient of the second rank fails, while the first waits for it."""

    calls = 0

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        Breaks.calls += 1
        if Breaks.calls == 3 and os.environ["RANK"] == "1":
            Path("failed").write_text(str(time.time()))
            raise ArithmeticError("a gradient broke")
        return gradient


def told(trains: Any) -> tuple[str, float]:
    begun = time.monotonic()
    try:
        trains()
    except Exception as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - begun
    return "no error", 0.0


def a_rank_that_is_killed(**options: Any) -> Any:
    model = mlp()
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return told(lambda: model.fit(numbers((64, 4)), classes(64, 3), 4, verbose=0, callbacks=[Ends()]))


def a_rank_that_is_killed_in_shards() -> Any:
    return a_rank_that_is_killed(distribute="fsdp")


def a_rank_that_is_killed_while_gradients_wait() -> Any:
    return a_rank_that_is_killed(gradient_accumulation_steps=2)


def a_rank_that_is_killed_while_gradients_of_shards_wait() -> Any:
    return a_rank_that_is_killed(distribute="fsdp", gradient_accumulation_steps=2)


KILLED = [
    a_rank_that_is_killed, a_rank_that_is_killed_in_shards, a_rank_that_is_killed_while_gradients_wait,
    a_rank_that_is_killed_while_gradients_of_shards_wait,
]  # fmt: skip


def a_backward_that_fails() -> Any:
    class Module(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(Breaks.apply(x + 0 * self.bias[:1]))

    trainer = tf.Trainer(Module(4, 3), loss=torch.nn.CrossEntropyLoss())
    found = told(lambda: trainer.fit(numbers((64, 4)), classes(64, 3), 4, verbose=0))
    time.sleep(20)  # it lives on: the other has to end by itself
    return found
