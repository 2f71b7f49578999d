"""Windows of a series are those of Keras, and views of the series until a batch is made."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.utils.like_grain import grain as grain
from torchfunc import layers, preprocessing
from torchfunc.errors import DataError
from torchfunc.utils import timeseries_dataset_from_array

SERIES = np.arange(50.0).reshape(50, 1) + np.array([0, 100, 200])


@pytest.mark.parametrize("batch_size", [4, 128, None])
@pytest.mark.parametrize(
    "bounds", [{}, {"start_index": 3}, {"end_index": 40}, {"start_index": 5, "end_index": 30}], ids=str
)
@pytest.mark.parametrize(
    "asked",
    [
        {"sequence_length": 1},
        {"sequence_length": 10},
        {"sequence_length": 10, "sequence_stride": 3},
        {"sequence_length": 5, "sampling_rate": 4},
        {"sequence_length": 4, "sampling_rate": 2, "sequence_stride": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "targets", [None, np.arange(50) * 2, SERIES[:, :2]], ids=["alone", "numbers", "rows"]
)
@pytest.mark.usefixtures("grain")
def test_windows_are_those_of_keras(
    targets: Any, asked: dict[str, Any], bounds: dict[str, int], batch_size: Any
) -> None:
    for data in (SERIES, SERIES[:, 0].astype("float32")):
        ours = timeseries_dataset_from_array(data, targets, batch_size=batch_size, **asked, **bounds)
        theirs = keras.utils.timeseries_dataset_from_array(
            data, targets, batch_size=batch_size, format="grain", **asked, **bounds
        )
        found, expected = list(ours), list(theirs)
        assert len(ours) == len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            pairs = [(one, other)] if targets is None else zip(one, other, strict=True)
            for mine, his in pairs:
                np.testing.assert_array_equal(np.asarray(mine), np.asarray(his))


def test_the_order_is_another_one_in_each_epoch_and_a_seed_repeats_it() -> None:
    def epochs(seed: int | None) -> list[list[int]]:
        loader = timeseries_dataset_from_array(
            SERIES, np.arange(50), 10, batch_size=8, shuffle=True, seed=seed, sequence_stride=2
        )
        return [
            [int(y) for x, ys in loader for y, window in zip(ys, x, strict=True) if window[0, 0] == y]
            for _ in range(2)
        ]

    assert epochs(1) == epochs(1) != epochs(2) and epochs(1)[0] != epochs(1)[1]
    assert sorted(epochs(1)[0]) == list(range(0, 41, 2))
    torch.manual_seed(3)
    first = epochs(None)
    torch.manual_seed(3)
    assert epochs(None) == first


def test_windows_take_no_memory_of_their_own() -> None:
    series = torch.arange(10_000.0).reshape(-1, 1)
    loader = timeseries_dataset_from_array(series, None, 1000)
    assert loader.dataset.untyped_storage().data_ptr() == series.untyped_storage().data_ptr()
    assert loader.dataset.shape == (9001, 1000, 1)


def test_a_model_is_trained_on_windows() -> None:
    model = tf.Sequential([layers.Input((10, 3)), layers.Flatten(), layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    data = (SERIES / 250).astype("float32")
    loader = preprocessing.timeseries_dataset_from_array(
        data, data[10:, :1], 10, batch_size=8, shuffle=True, seed=0
    )
    losses = model.fit(loader, epochs=3, verbose=0).history["loss"]
    assert (
        losses[-1] < losses[0]
        and model.optimizer.iterations == 15
        and model.predict(loader, verbose=0).shape == (40, 1)
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sequence_length": 0}, "sequence_length: expected 1 to 50, the steps of the data, got 0"),
        ({"sequence_length": 51}, "sequence_length: expected 1 to 50, the steps of the data, got 51"),
        ({"sequence_length": 2, "sequence_stride": 0}, "sequence_stride: expected 1 to 50"),
        ({"sequence_length": 2, "sampling_rate": -1}, "sampling_rate: expected 1 to 50"),
        (
            {"sequence_length": 2, "start_index": 50},
            "expected 0 <= start_index < end_index <= 50, got start_index=50",
        ),
        ({"sequence_length": 2, "end_index": 51}, "end_index=51"),
        ({"sequence_length": 2, "start_index": -1}, "start_index=-1"),
        (
            {"sequence_length": 20, "sampling_rate": 3},
            "expected at least 58 for one window, got 50 steps. Fix: a smaller sequence_length than 20",
        ),
        (
            {"sequence_length": 2, "format": "torch"},
            "expected 'tf' or 'grain', which are alike here, got 'torch'",
        ),
    ],
)
def test_numbers_that_leave_no_window_are_told(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        timeseries_dataset_from_array(SERIES, None, **asked)
    assert words in str(caught.value)


def test_targets_that_end_before_the_first_window_are_told() -> None:
    with pytest.raises(DataError, match="got 40 steps and 0 targets"):
        timeseries_dataset_from_array(SERIES, np.arange(10), 2, start_index=10)
