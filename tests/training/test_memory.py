"""Memory: a long training keeps nothing of the batches that are done, and reads its source one batch ahead at most."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.modules import mlp
from torchfunc.callbacks import LambdaCallback
from torchfunc.training import Trainer

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


def batches(count: int) -> Iterator[Any]:
    for index in range(count):
        yield np.full((4, 8), index % 7, "float32"), np.full(4, index % 3)


@pytest.mark.parametrize("kind", ["arrays", "generator"])
def test_a_training_of_ten_times_as_many_steps_keeps_no_more(kind: str) -> None:
    trainer = Trainer(mlp(), optimizer="adam", loss=LOGITS, metrics=["accuracy"])

    def kept(steps: int) -> int:
        data = (np.ones((4 * steps, 8), "float32"), np.zeros(4 * steps, "int64"))
        given: Any = data if kind == "arrays" else (batches(steps),)
        trainer.fit(*given, batch_size=4 if kind == "arrays" else None, verbose=0)
        del data, given
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    kept(50)
    tracemalloc.start()
    try:
        first = kept(50)
        grown = kept(500) - first
    finally:
        tracemalloc.stop()

    # 450 steps more: less than 5 MB over 10,000
    assert grown < 5e6 * 450 / 10_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells what a process takes")
@pytest.mark.parametrize("kind", ["arrays", "eager", "generator"])
def test_ten_thousand_steps_take_less_than_five_megabytes(kind: str) -> None:
    trainer = Trainer(mlp(), optimizer="adam", loss=LOGITS, metrics=["accuracy"])
    x, y = np.ones((40_000, 8), "float32"), np.zeros(40_000, "int64")
    trainer.module.run_eagerly = kind == "eager"  # type: ignore[assignment]

    def taken(steps: int) -> int:
        """By the whole process: PyTorch's memory, which Python does not trace, too."""
        data: Any = (batches(steps),) if kind == "generator" else (x[: 4 * steps], y[: 4 * steps])
        trainer.fit(*data, batch_size=None if kind == "generator" else 4, verbose=0)
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = taken(3000)
    assert taken(10_000) - before < 5e6
    assert trainer.step_code.startswith("# Not recorded") == (kind == "eager")


def test_a_generator_is_at_most_one_batch_ahead() -> None:
    made = [0]

    def counted() -> Iterator[Any]:
        for batch in batches(20):
            made[0] += 1
            yield batch

    ahead: list[int] = []
    watch = LambdaCallback(on_train_batch_begin=lambda batch, logs: ahead.append(made[0] - batch - 1))
    torch.manual_seed(0)
    Trainer(mlp(), optimizer="sgd", loss=LOGITS).fit(counted(), verbose=0, callbacks=[watch])

    assert len(ahead) == 20 and max(ahead) <= 1
