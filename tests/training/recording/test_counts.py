"""Counts of a batch that is repeated: the calls it makes, the numbers it reads, the memory it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import torchfunc as tf
from tests.training.recording.test_recorded_step import is_recorded
from torchfunc import layers

SIZE, FEW, MANY = 64, 10, 20
LAYING_OUT = frozenset(
    "aten::clone aten::contiguous aten::copy_ aten::mkldnn_reorder_conv2d_weight aten::to_mkldnn".split()
)


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


def residual() -> tf.Model:
    inputs = tf.Input((16, 16, 3))
    first = layers.MaxPooling2D(3)(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(first)
    x = layers.Conv2D(8, 3, activation="relu")(layers.add([x, first]))
    model = tf.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    return model


def autoencoder() -> tf.Model:
    inputs = tf.Input((16, 16, 1))
    x = layers.MaxPooling2D(3)(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Conv2DTranspose(8, 3, activation="relu")(layers.Conv2D(8, 3, activation="relu")(x))
    x = layers.UpSampling2D(3)(x)
    model = tf.Model(inputs, layers.Conv2DTranspose(1, 5, activation="relu")(x))
    model.compile("adam", "mse")
    return model


def turned() -> tf.Model:
    """Reshaping what was permuted copies it, once forth and once back."""
    inputs = tf.Input((16, 16, 1))
    x = layers.Permute((2, 1, 3))(layers.Conv2D(8, 3, activation="relu")(inputs))
    model = tf.Model(inputs, layers.Dense(1)(layers.Reshape((14 * 14 * 8,))(x)))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(("make", "anew"), [(residual, False), (autoencoder, False), (turned, True)])
def test_images_are_not_laid_out_anew(make: Callable[[], tf.Model], anew: bool) -> None:
    """Kernels of convolutions alone are; they are small, and lie as PyTorch has them where others can see them."""
    torch.manual_seed(0)
    model = make()
    x = torch.rand(SIZE * MANY, *model.inputs[0].shape[1:])
    y = torch.randint(10, (len(x),)) if make is residual else torch.rand(len(x), *model.outputs[0].shape[1:])
    found = []
    for batches in (FEW, MANY, FEW, MANY):  # the first two warm up
        rows = slice(SIZE * batches)
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True, acc_events=True) as profiled:
            model.fit(x[rows], y[rows], batch_size=SIZE, shuffle=False, verbose=0)
        found.append(
            Counter(
                each.name
                for each in profiled.events()
                if each.name in LAYING_OUT and any(len(s) == 4 and s[0] == SIZE for s in each.input_shapes)
            )
        )
    assert is_recorded(model)
    assert (found[3] != found[2]) is anew
