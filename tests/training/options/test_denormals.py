"""Denormals: numbers too small to be normal are 0 while a model learns, and what they were before and afterwards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import callbacks, layers
from torchfunc.training.options.precision import denormals_flushed

SMALL = torch.full((4,), 1e-39)


def flushes() -> bool:
    """Whether tensors and Python count what is denormal as 0."""
    found = {bool((SMALL * 0.5 == 0).all()), sys.float_info.min / 2 == 0.0}
    assert len(found) == 1
    return found.pop()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    assert not flushes()
    yield
    torch.set_flush_denormal(False)


def model() -> tf.Model:
    inputs = tf.Input((4,))
    made = tf.Model(inputs, layers.Dense(1)(inputs))
    made.compile("rmsprop", "mse")
    return made


X, Y = np.ones((16, 4), "float32"), np.ones((16, 1), "float32")


def test_fit_flushes_them_and_leaves_the_mode_as_it_was() -> None:
    seen: list[bool] = []
    watching = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(flushes()))
    model().fit(X, Y, batch_size=4, verbose=0, callbacks=[watching])
    assert seen == [True] * 4 and not flushes()
    torch.set_flush_denormal(True)
    model().fit(X, Y, batch_size=4, verbose=0)
    assert flushes()


@pytest.mark.skipif(sys.platform != "linux", reason="pools of threads differ elsewhere")
@pytest.mark.parametrize("began", ["before", "within"])
def test_the_threads_that_pytorch_computes_with_keep_the_mode_in_which_they_were_begun(began: str) -> None:
    small, found = torch.full((400_000,), 1e-38), []

    def zeros() -> tuple[bool, bool]:
        """Whether denormals are 0 in the half that this thread computes, and in the other's."""
        first, second = (small * 0.25 == 0).chunk(2)
        return bool(first.all()), bool(second.all())

    def in_a_thread_that_has_a_pool_of_its_own() -> None:
        torch.set_num_threads(2)
        if began == "before":
            found.append(zeros())
        with denormals_flushed():
            found.append(zeros())
        found.append(zeros())

    threads = torch.get_num_threads()
    thread = threading.Thread(target=in_a_thread_that_has_a_pool_of_its_own)
    thread.start()
    thread.join()
    torch.set_num_threads(threads)
    always = [(False, False), (True, False), (False, False)]
    assert found == (always if began == "before" else [(True, True), (False, True)])


def test_a_fit_that_fails_leaves_the_mode_as_it_was() -> None:
    def fail(batch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=fail)])
    assert not flushes()


def test_train_on_batch_learns_the_same_recorded_or_not_where_gradients_are_denormal() -> None:
    found = []
    for eagerly in (False, True):
        tf.utils.set_random_seed(0)
        made = model()
        made.run_eagerly = eagerly
        made.layers[-1].weight.data.zero_()
        made.compile(tf.optimizers.SGD(1.0), "mse")
        made.run_eagerly = eagerly
        for _ in range(16):
            made.train_on_batch(X * 1e-39, Y)
            assert not flushes()
        assert made.trainer is not None and made.trainer.step_code.startswith("# Not") is eagerly
        found.append(made.get_weights())
    assert (found[0][0] == 0).all()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_measuring_and_predicting_take_them_as_they_are() -> None:
    made = model()
    made.layers[-1].weight.data.fill_(1.0)
    assert (made.predict(X * 1e-39, verbose=0) > 0).all()
