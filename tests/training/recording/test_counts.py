"""Counts of a batch that is repeated: the calls it makes, the numbers it reads, the memory it takes."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import torchfunc as tf
from tests.training.recording.test_recorded_step import is_recorded
from torchfunc import layers

SIZE, FEW, MANY = 64, 10, 20


class Counts(NamedTuple):
    """Of one batch: calls into PyTorch, reads of a number, allocations, and their bytes."""

    calls: float
    reads: float
    allocations: float
    size: float


def network(depth: int, width: int) -> tf.Model:
    torch.manual_seed(0)
    x = inputs = tf.Input((width,))
    for _ in range(depth):
        x = layers.Dense(width, activation="relu")(x)
    model = tf.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def of_a_batch(model: tf.Model, *, recorded: bool) -> Counts:
    """What an epoch of many batches counts more than one of few, for each batch more."""
    model.run_eagerly = not recorded
    width = model.inputs[0].shape[1]
    x, y = torch.rand(SIZE * MANY, width), torch.randint(10, (SIZE * MANY,))
    found = []
    for batches in (FEW, MANY, FEW, MANY):  # the first two warm up
        rows = slice(SIZE * batches)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
            model.fit(x[rows], y[rows], batch_size=SIZE, verbose=0)
        calls = Counter({each.key: each.count for each in profiled.key_averages()})
        events = profiled.profiler.kineto_results.events()
        taken = [each.nbytes() for each in events if each.name() == "[memory]" and each.nbytes() > 0]
        whole = sum(count for name, count in calls.items() if name.startswith("aten::"))
        found.append((whole, calls["aten::_local_scalar_dense"], len(taken), sum(taken)))
    assert is_recorded(model) is recorded
    return Counts(*((many - few) / (MANY - FEW) for few, many in zip(*found[2:], strict=True)))


@pytest.mark.parametrize(("depth", "width", "share"), [(2, 784, 0.9), (20, 64, 0.65)])
def test_a_batch_that_is_repeated_counts_less_than_one_as_it_is(depth: int, width: int, share: float) -> None:
    model = network(depth, width)
    repeated, as_it_is = of_a_batch(model, recorded=True), of_a_batch(network(depth, width), recorded=False)
    assert repeated.calls <= share * as_it_is.calls
    assert repeated.allocations <= 24 < as_it_is.allocations
    # the batch itself, its logits and what measures them
    assert repeated.size <= SIZE * (width * 4 + 8) + 16_384 < as_it_is.size
    assert model.trainer is not None
    pieces = model.trainer.step.notes.kept.program.gradients.whole
    assert repeated.reads <= as_it_is.reads + len(pieces)  # whether each is finite
