"""Models of Keras come from its files and go to them: outputs are equal on either side, and so are weights and names."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.keras_files.pairs import MODELS, difference, pair, predicted
from torchfunc import layers

EACH = pytest.mark.parametrize("name", MODELS)

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer 'inner' .* was passed an input with a mask:UserWarning"),
]


@EACH
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_that_keras_saved_is_read_with_equal_outputs(name: str, suffix: str, tmp_path: Path) -> None:
    theirs, inputs, expected = pair(name)
    theirs.save(tmp_path / f"m{suffix}")
    ours = tf.load_model(tmp_path / f"m{suffix}")
    assert difference(expected, predicted(ours, inputs)) < 1e-5
    assert ours.name == theirs.name and ours.count_params() == theirs.count_params()
    trained = [np.asarray(each) for each in theirs.get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), trained, strict=True))
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)


@EACH
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_that_was_saved_here_is_read_by_keras_with_equal_outputs(
    name: str, suffix: str, tmp_path: Path
) -> None:
    theirs, inputs, expected = pair(name)
    theirs.save(tmp_path / "m.keras")
    tf.load_model(tmp_path / "m.keras").save(tmp_path / f"back{suffix}")
    back = keras.models.load_model(tmp_path / f"back{suffix}")
    assert difference(expected, predicted(back, inputs)) < 1e-6
    assert [each.name for each in back.layers if each.weights] == [
        each.name for each in theirs.layers if each.weights
    ]
    assert len(back.trainable_weights) == len(theirs.trainable_weights)


@EACH
def test_weights_alone_go_either_way(name: str, tmp_path: Path) -> None:
    theirs, inputs, expected = pair(name)
    theirs.save(tmp_path / "m.keras")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = tf.load_model(tmp_path / "m.keras")
    ours.save_weights(tmp_path / "ours.weights.h5")
    for each in theirs.weights:
        each.assign(np.zeros(each.shape))
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert difference(expected, predicted(theirs, inputs)) == 0
    with torch.no_grad():
        for each in ours.weights:
            each.zero_()
    ours.load_weights(tmp_path / "theirs.weights.h5")
    assert difference(expected, predicted(ours, inputs)) < 1e-5
    with torch.no_grad():
        for each in ours.weights:
            each.zero_()
    ours.load_weights(tmp_path / "m.keras")  # which holds them too
    assert difference(expected, predicted(ours, inputs)) < 1e-5


@EACH
def test_what_came_from_keras_is_a_model_like_any_other(name: str, tmp_path: Path) -> None:
    theirs, inputs, expected = pair(name)
    theirs.save(tmp_path / "m.keras")
    ours = tf.load_model(tmp_path / "m.keras")
    ours.save(tmp_path / "m.safetensors")
    assert difference(expected, predicted(tf.load_model(tmp_path / "m.safetensors"), inputs)) < 1e-5
    assert difference(predicted(ours, inputs), predicted(tf.clone_model(ours), inputs)) >= 0


def test_a_model_that_was_written_here_goes_through_keras_and_comes_back(tmp_path: Path) -> None:
    images, words = tf.Input((8, 8, 3), name="images"), tf.Input((5,), dtype="int32", name="words")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(images))
    y = layers.LSTM(4)(layers.Embedding(9, 4, mask_zero=True)(words))
    z = torch.cat([x, y], -1)
    z = (z * 2).relu().unsqueeze(1).mean(1) - z[:, :1]
    ours = tf.Model(
        {"words": words, "images": images}, {"score": layers.Dense(2, name="score")(z)}, name="both"
    )
    inputs = {
        "words": np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]]),
        "images": np.random.rand(2, 8, 8, 3).astype("f"),
    }
    ours.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    theirs.save(tmp_path / "again.keras")
    back = tf.load_model(tmp_path / "again.keras")
    expected = predicted(ours, inputs)
    assert difference(expected, predicted(theirs, inputs)) < 1e-6
    assert difference(expected, predicted(back, inputs)) < 1e-6
    assert back.output_names == ours.output_names == ["score"]


def test_a_constant_of_a_graph_is_no_weight_in_a_file(tmp_path: Path) -> None:
    x = keras.Input((3,))
    theirs = keras.Model(x, keras.layers.Dense(2)(x @ keras.ops.convert_to_tensor(np.eye(3, 4, dtype="f"))))
    theirs.save(tmp_path / "m.keras")
    ours, data = tf.load_model(tmp_path / "m.keras"), np.random.rand(2, 3).astype("f")
    expected = predicted(theirs, data)
    assert difference(expected, predicted(ours, data)) < 1e-6
    ours.save(tmp_path / "back.keras")
    assert difference(expected, predicted(keras.models.load_model(tmp_path / "back.keras"), data)) < 1e-6
    ours.save_weights(tmp_path / "m.weights.h5")
    theirs.load_weights(tmp_path / "m.weights.h5")


def test_a_model_without_a_graph_is_filled_layer_by_layer(tmp_path: Path) -> None:
    class Theirs(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.blocks = keras.layers.Dense(4), [keras.layers.Dense(4), keras.layers.Dense(4)]

        def call(self, x):  # type: ignore[no-untyped-def]
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return x

    class Ours(tf.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.blocks = layers.Dense(4), torch.nn.ModuleList([layers.Dense(4), layers.Dense(4)])

        def call(self, x):  # type: ignore[no-untyped-def]
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return x

    theirs, ours, x = Theirs(), Ours(), np.random.rand(3, 5).astype("f")
    expected = theirs.predict(x, verbose=0)
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours(torch.from_numpy(x))
    ours.load_weights(tmp_path / "m.weights.h5")
    assert np.abs(ours.predict(x, verbose=0) - expected).max() < 1e-6
    ours.save_weights(tmp_path / "back.weights.h5")
    theirs.load_weights(tmp_path / "back.weights.h5")
    assert np.array_equal(theirs.predict(x, verbose=0), expected)
