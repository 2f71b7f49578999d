"""Training goes on across files: what `compile` was given, and what the optimizer remembers, come and go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import torchfunc as tf
from tests.keras_files.pairs import normal
from torchfunc import layers
from torchfunc.errors import UnknownNameError, WeightMismatchError

O = keras.optimizers  # noqa: E741
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: O.SGD(0.05),
    "SGD, momentum": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
    "RMSprop": lambda: O.RMSprop(0.01),
    "RMSprop, all": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "Adam": lambda: O.Adam(0.01, clipnorm=0.5, weight_decay=0.01),
    "Adam, amsgrad": lambda: O.Adam(0.01, amsgrad=True),
    "Adam, a schedule": lambda: O.Adam(O.schedules.ExponentialDecay(0.01, 2, 0.9)),
    "Adam, averages": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "SGD, several steps at once": lambda: O.SGD(0.05, momentum=0.9, gradient_accumulation_steps=2),
    "AdamW": lambda: O.AdamW(0.01),
    "Adamax": lambda: O.Adamax(0.01),
    "Nadam": lambda: O.Nadam(0.01),
    "Adagrad": lambda: O.Adagrad(0.1),
    "Adadelta": lambda: O.Adadelta(1.0),
    "Ftrl": lambda: O.Ftrl(0.1),
    "Lion": lambda: O.Lion(0.01),
    "Lamb": lambda: O.Lamb(0.01),
    "Muon": lambda: O.Muon(0.01),
}
X, Y = normal(24, 6), np.random.default_rng(3).integers(0, 3, 24)
# steps of Adam and its like divide by roots of means of squares, which lose the last digits of float32 on the way
CLOSE = 1e-6

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def compiled(optimizer: Any, loss: Any = "sparse_categorical_crossentropy", **arguments: Any) -> Any:
    keras.utils.set_random_seed(0)
    keras.utils.clear_session()
    x = keras.Input((6,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5, "tanh")(x))
    hidden = keras.layers.GRU(4)(keras.layers.Reshape((5, 1))(hidden))
    model = keras.Model(x, keras.layers.Dense(3, "softmax")(hidden))
    model.compile(optimizer, loss, **arguments)
    return model


def fit(model: Any) -> None:
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)


def distance(one: Any, other: Any) -> float:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_that_keras_began_goes_on_here_and_back_there(name: str, tmp_path: Path) -> None:
    theirs = compiled(OPTIMIZERS[name](), metrics=["accuracy"])
    fit(theirs)
    theirs.save(tmp_path / "m.keras")
    ours = tf.load_model(tmp_path / "m.keras")
    assert ours.optimizer.iterations == int(theirs.optimizer.iterations)
    for each in (theirs, ours):
        fit(each)
    assert distance(theirs, ours) < CLOSE
    measured = [each.evaluate(X, Y, verbose=0) for each in (theirs, ours)]
    assert np.allclose(*measured, atol=1e-5)
    ours.save(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert distance(back, ours) == 0
    for each in (back, ours):
        fit(each)
    assert distance(back, ours) < CLOSE


def test_a_training_that_nobody_began_is_written_too(tmp_path: Path) -> None:
    ours = tf.Sequential([tf.Input((6,)), layers.Dense(3, "softmax")])
    ours.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ours.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    for each in (theirs, ours):
        fit(each)
    assert distance(theirs, ours) < CLOSE


COMPILED: dict[str, dict[str, Any]] = {
    "names": {"loss": "mse", "metrics": ["mae", "mse"]},
    "objects": {
        "loss": keras.losses.Huber(),
        "metrics": [keras.metrics.RootMeanSquaredError("off")],
    },
    "weighted": {"loss": "mae", "loss_weights": 0.5, "weighted_metrics": ["mse"]},
}


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_losses_and_metrics_mean_on_either_side_what_they_meant(
    name: str, suffix: str, tmp_path: Path
) -> None:
    x, y = normal(8, 6), normal(8, 2, seed=5)
    ours = tf.Sequential([tf.Input((6,)), layers.Dense(2)])
    ours.compile("sgd", **(COMPILED[name] | _ours(name)))
    ours.save(tmp_path / f"m{suffix}")
    theirs = keras.models.load_model(tmp_path / f"m{suffix}")
    expected = ours.evaluate(x, y, verbose=0)
    assert np.allclose(theirs.evaluate(x, y, verbose=0), expected, atol=1e-6)
    theirs.save(tmp_path / "again.keras")
    assert np.allclose(tf.load_model(tmp_path / "again.keras").evaluate(x, y, verbose=0), expected, atol=1e-6)


def _ours(name: str) -> dict[str, Any]:
    """The objects of Keras as ours."""
    if name != "objects":
        return {}
    return {"loss": tf.losses.Huber(), "metrics": [tf.metrics.RootMeanSquaredError("off")]}


def test_losses_by_the_names_of_outputs_find_them(tmp_path: Path) -> None:
    x = keras.Input((6,))
    outputs = [keras.layers.Dense(1, name="one")(x), keras.layers.Dense(2, name="two")(x)]
    theirs = keras.Model(x, outputs)
    losses = {"one": "mean_squared_error", "two": "mean_absolute_error"}
    theirs.compile("adam", losses, loss_weights={"one": 1.0, "two": 0.3}, metrics={"two": ["mae"]})
    theirs.save(tmp_path / "m.keras")
    ours = tf.load_model(tmp_path / "m.keras")
    data, targets = normal(8, 6), {"one": normal(8, 1), "two": normal(8, 2)}
    theirs_said = theirs.evaluate(data, targets, verbose=0, return_dict=True)
    ours_said = ours.evaluate(data, targets, verbose=0, return_dict=True)
    assert all(abs(ours_said[key] - value) < 1e-5 for key, value in theirs_said.items())


def test_compile_false_leaves_training_out(tmp_path: Path) -> None:
    def my_loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    compiled("adam", my_loss).save(tmp_path / "m.keras")
    assert tf.load_model(tmp_path / "m.keras", compile=False).trainer is None
    with pytest.raises(UnknownNameError, match="m.keras.*my_loss"):
        tf.load_model(tmp_path / "m.keras")
    mine = {"my_loss": lambda y_true, y_pred: (y_true - y_pred).abs().mean(-1)}
    assert tf.load_model(tmp_path / "m.keras", custom_objects=mine).trainer is not None


def test_an_optimizer_whose_order_is_not_known_begins_anew_and_says_so(tmp_path: Path) -> None:
    theirs = compiled(O.Adafactor(0.01))
    fit(theirs)
    theirs.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="Adafactor remembers is not read"):
        ours = tf.load_model(tmp_path / "m.keras")
    assert ours.optimizer.iterations == 0 and distance(theirs, ours) == 0


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    import h5py

    theirs = compiled("adam")
    fit(theirs)
    theirs.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["optimizer_weights"]
        name = group.attrs["weight_names"][2]
        del group[name]
        group[name] = np.zeros((7, 7), "float32")
    words = "optimizer Adam.*Fix: load_model\\(path, compile=False\\)"
    with pytest.raises(WeightMismatchError, match=words):
        tf.load_model(tmp_path / "m.h5")
    assert distance(theirs, tf.load_model(tmp_path / "m.h5", compile=False)) == 0


def test_a_checkpoint_is_a_file_of_keras_if_it_is_named_so(tmp_path: Path) -> None:
    ours = tf.Sequential([tf.Input((6,)), layers.Dense(3, "softmax")])
    ours.compile("adam", "sparse_categorical_crossentropy")
    best = tf.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss", save_best_only=True)
    alone = tf.callbacks.ModelCheckpoint(tmp_path / "last.weights.h5", save_weights_only=True)
    ours.fit(X, Y, epochs=3, verbose=0, callbacks=[best, alone])
    theirs = keras.models.load_model(tmp_path / "best.keras")
    assert distance(theirs, ours) < 1e-6
    theirs.load_weights(tmp_path / "last.weights.h5")
    assert distance(theirs, ours) == 0
