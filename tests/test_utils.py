"""Utilities equal Keras's, and refuse labels that make no sense."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import torch

from torchfunc import utils
from torchfunc.errors import DataError


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 1, 2, 3], None),
        ([0, 1, 2, 3], 6),
        (np.array([[3], [0], [1]], np.uint8), 10),
        (np.array([[0, 1], [2, 2]]), None),
        (np.array([2.0, 0.0]), 3),
        (np.array(1), 3),
        (np.array([1, 2], np.uint16), None),
        (np.array([True, False]), None),
        (np.array([], np.int64), 4),
    ],
)
def test_one_hot_labels_equal_keras(labels: Any, classes: int | None) -> None:
    found = utils.to_categorical(labels, classes)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, keras.utils.to_categorical(labels, classes))


def test_a_tensor_gives_a_tensor() -> None:
    found = utils.to_categorical(torch.tensor([[1], [0]]), 3)
    assert torch.equal(found, torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 3], 3, "expected 0 to 2, got label 3. Fix: subtract the least label, or count more classes"),
        ([1, -1], None, "expected 0 to 1, got label -1"),
        ([0.5], None, "expected whole numbers, got labels with fractions"),
        ([float("nan")], None, "expected whole numbers, got labels with fractions"),
        (["cat"], None, "expected whole numbers, got dtype <U3"),
        ([], None, "got no labels. Fix: say num_classes"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels: Any, classes: int | None, words: str) -> None:
    with pytest.raises(DataError, match=f"^to_categorical: {words}"):
        utils.to_categorical(labels, classes)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [-1, 1])
def test_normalized_arrays_equal_keras(axis: int, order: float) -> None:
    x = np.random.randn(3, 4, 5)
    x[0, :, :] = 0
    found = utils.normalize(x, axis, order)
    np.testing.assert_allclose(found, keras.utils.normalize(x, axis, order), rtol=1e-12)
    tensor = utils.normalize(torch.from_numpy(x), axis, order)
    np.testing.assert_allclose(tensor.numpy(), found, rtol=1e-12)


def test_a_program_can_be_repeated_from_its_seed() -> None:
    def draw() -> tuple[float, float, float]:
        utils.set_random_seed(7)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw() == draw()
    utils.set_random_seed(8)
    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) != draw()
