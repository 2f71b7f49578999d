"""Step: regularizers, losses of layers and constraints of weights take part in every batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchfunc import Input, Model, callbacks, layers, optimizers, regularizers
from torchfunc.training import Trainer
from torchfunc.training.step import Extras

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("float32"), RNG.normal(size=(40, 2)).astype("float32")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

DENSE: dict[str, Any] = {
    "kernel_regularizer": "l2",
    "bias_regularizer": "l1",
    "activity_regularizer": "l2",
    "kernel_constraint": "non_neg",
}


def twins() -> tuple[Any, Any]:
    """The same regularized and constrained model in Keras and here, with equal weights."""
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, **DENSE), keras.layers.Dense(2)])
    x = inputs = Input((4,))
    for layer in (layers.Dense(3, **DENSE), layers.Dense(2)):
        x = layer(x)
    ours = Model(inputs, x)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


@pytest.mark.parametrize("rows", [32, 512])  # eight batches or more are recorded
@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("at", ["between", "within"])
def test_an_activity_regularizer_that_is_set_after_building_counts_as_in_keras(
    rows: int, eagerly: bool, at: str
) -> None:
    theirs = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Activation("tanh"), keras.layers.Dense(2)]
    )
    inputs = Input((4,))
    x = layers.Dense(3)(inputs)
    ours = Model(inputs, layers.Dense(2)(layers.Activation("tanh")(x)))
    ours.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    ours.compile(optimizers.SGD(0.1), "mse", run_eagerly=eagerly)
    x, y = np.resize(X, (rows, 4)), np.resize(Y, (rows, 2))
    found = []
    for model, maker, callback in (
        (theirs, keras.regularizers, keras.callbacks.LambdaCallback),
        (ours, regularizers, callbacks.LambdaCallback),
    ):
        dense, tanh = model.layers[-3], model.layers[-2]

        def change(dense: Any = dense, tanh: Any = tanh, maker: Any = maker) -> None:
            dense.activity_regularizer = maker.L2(0.5)
            tanh.activity_regularizer = maker.L1(0.25)

        def within(batch: int, logs: Any, change: Any = change) -> None:
            if batch == 3 and at == "within":
                change()

        def run(model: Any = model, **options: Any) -> list[float]:
            return model.fit(x, y, batch_size=8, shuffle=False, verbose=0, **options).history["loss"]

        losses = run(epochs=2)
        change() if at == "between" else losses.extend(run(callbacks=[callback(on_train_batch_end=within)]))
        losses += run(epochs=2)
        dense.activity_regularizer = None
        losses += run(epochs=2)
        found.append([*losses, model.evaluate(x, y, verbose=0)])
    np.testing.assert_allclose(found[1], found[0], rtol=2e-6)


def test_an_activity_regularizer_may_be_set_before_building_and_by_name() -> None:
    for layer in (layers.Dense(2), layers.Activation("relu"), layers.Flatten()):
        layer.activity_regularizer = "l2"
        for _ in range(2):
            layer(torch.ones(4, 2))
            assert len(layer.losses) == 1
        copied = type(layer).from_config(layer.get_config())
        assert isinstance(copied.activity_regularizer, regularizers.L2)
        layer.activity_regularizer = None
        layer(torch.ones(4, 2))
        assert not layer.losses


def test_regularizers_and_constraints_train_as_those_of_keras_do() -> None:
    ours, theirs = twins()
    options: dict[str, Any] = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    ours.compile("sgd", "mse")
    ours.optimizer.learning_rate = 0.1

    expected = theirs.fit(X, Y, validation_data=(X, Y), **options).history
    history = ours.fit(X, Y, validation_data=(X, Y), **options).history

    for name, values in history.items():
        assert values == pytest.approx([float(each) for each in expected[name]], abs=1e-5), name
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)
    assert (ours.get_weights()[0] >= 0).all()


def test_losses_that_layers_add_do_not_pile_up() -> None:
    ours, _ = twins()
    ours.compile("sgd", "mse")

    ours.fit(X, Y, batch_size=4, verbose=0)
    ours.evaluate(X, Y, batch_size=4, verbose=0)
    ours.predict(X, batch_size=4, verbose=0)

    assert max(len(layer._losses) for layer in ours.modules()) <= 1


def test_a_module_that_adds_nothing_is_asked_once() -> None:
    class Asked(nn.Linear):
        count = 0

        @property
        def losses(self) -> list[Tensor]:
            Asked.count += 1
            return []

    Trainer(Asked(4, 2), loss="mse", output_names=["output"]).fit(X, Y, batch_size=4, epochs=2, verbose=0)

    assert Asked.count == 1


def test_most_modules_have_nothing_to_add() -> None:
    extras = Extras(nn.Linear(2, 2))

    assert extras.losses() == () and extras.constraints == [] and not extras.has_losses
