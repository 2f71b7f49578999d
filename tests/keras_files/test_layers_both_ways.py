"""Every layer of the table of layers goes through a `.keras` file both ways, with its arguments and its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import torchfunc as tf
from tests.keras_files.pairs import difference, give_weights, predicted
from tests.layers.augmentation.rows import ROWS as IMAGES
from tests.layers.check import Case
from tests.layers.recurrent.test_recurrent import CONVOLUTIONS, ROWS
from tests.layers.test_layers import TABLE

# where Keras on torch fails, or is wrong and compared with float64 by the table of layers
KNOWN_FAULTS = (
    "LayerNormalization(axis=1)(3,5,4)",
    "RMSNormalization(axis=1,epsilon=0.001)(3,5,6)",
    "AveragePooling1D(padding=same",
    "AveragePooling2D(padding=same",
    "AveragePooling3D(padding=same",
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def faulty(case: Case) -> bool:
    return str(case).startswith(KNOWN_FAULTS)


def arrays_for(shapes: list[Any], below: int | None = None) -> list[Any]:
    generator = np.random.default_rng(1)
    if below is not None:
        return [generator.integers(0, below, shape).astype("int32") for shape in shapes]
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def told(model: Any) -> Any:
    """The arguments of the last layer, as JSON has them."""
    return json.loads(json.dumps(model.layers[-1].get_config()))


def check_both_ways(layer: Any, arrays: list[Any], folder: Path) -> None:
    """Written by Keras and read here, written here and read by Keras: equal outputs, weights and arguments."""
    inputs = [keras.Input(each.shape[1:], dtype=str(each.dtype)) for each in arrays]
    theirs = keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    give_weights(theirs)
    data = arrays if len(arrays) > 1 else arrays[0]
    expected = predicted(theirs, data)
    theirs.save(folder / "m.keras")
    ours = tf.load_model(folder / "m.keras")
    assert difference(expected, predicted(ours, data)) < 1e-5
    ours.save(folder / "back.keras")
    back = keras.models.load_model(folder / "back.keras")
    assert difference(expected, predicted(back, data)) < 1e-6
    assert told(theirs) == told(back)


@pytest.mark.parametrize("case", [each for each in TABLE if not faulty(each)], ids=str)
def test_a_layer_goes_through_a_file_both_ways(case: Case, tmp_path: Path) -> None:
    arguments = case.arguments if case.keras_arguments is None else case.keras_arguments
    shapes = case.inputs if isinstance(case.inputs, list) else [case.inputs]
    check_both_ways(
        getattr(keras.layers, case.kind)(**arguments), arrays_for(shapes, case.integers), tmp_path
    )


@pytest.mark.parametrize("row", [*ROWS, *CONVOLUTIONS])
def test_a_recurrent_layer_goes_through_a_file_both_ways(row: str, tmp_path: Path) -> None:
    make, shape = {**ROWS, **CONVOLUTIONS}[row]
    check_both_ways(make(keras.layers), arrays_for([shape]), tmp_path)


# which of them draw nothing, so that their outputs can be compared
DRAWN_NOT = ("Resizing", "CenterCrop", "AutoContrast", "Solarization")
# one number, of which Keras writes the range from its negative; what is below 0 is cut off, or gets a random sign
FROM_ZERO = {"RandomSaturation": "factor", "RandomColorDegeneration": "factor", "RandomShear": "x_factor"}


# Equalization is no node of a graph of Keras: it gives back the very input
@pytest.mark.parametrize("kind", [each for each in IMAGES if each != "Equalization"])
def test_a_layer_for_images_keeps_its_arguments_both_ways(kind: str, tmp_path: Path) -> None:
    theirs = keras.Sequential([keras.Input((8, 8, 3)), getattr(keras.layers, kind)(**IMAGES[kind])])
    theirs.save(tmp_path / "m.keras")
    ours = tf.load_model(tmp_path / "m.keras")
    ours.save(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    expected = told(theirs)
    if kind in FROM_ZERO:
        expected[FROM_ZERO[kind]] = [0, IMAGES[kind][FROM_ZERO[kind]]]
    assert told(back) == expected
    if kind in DRAWN_NOT:
        images = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
        assert difference(predicted(theirs, images), predicted(ours, images)) < 1e-3


WRAPPED: dict[str, Any] = {
    "Bidirectional": lambda L: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="ave"),
    "Bidirectional, states": lambda L: L.Bidirectional(L.LSTM(3, return_state=True)),
    "Bidirectional, two layers": lambda L: L.Bidirectional(
        L.LSTM(3), backward_layer=L.GRU(2, go_backwards=True)
    ),
    "TimeDistributed": lambda L: L.TimeDistributed(L.Dense(3, activation="relu")),
    "TimeDistributed model": lambda L: L.TimeDistributed(
        keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization()])
    ),
    "SpectralNormalization": lambda L: L.SpectralNormalization(L.Dense(3), power_iterations=2),
    "an activation that is a layer": lambda L: L.Dense(3, activation=L.LeakyReLU(0.3)),
}


@pytest.mark.parametrize("row", WRAPPED)
def test_a_layer_around_a_layer_goes_through_a_file_both_ways(row: str, tmp_path: Path) -> None:
    check_both_ways(WRAPPED[row](keras.layers), arrays_for([(3, 5, 4)]), tmp_path)
