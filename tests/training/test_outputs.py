"""Between outputs and losses: what a batch is measured by, against Keras and numbers made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchfunc as tf
from torchfunc import activations, layers, losses
from torchfunc.training.trainer import Trainer

RANDOM = np.random.default_rng(0)


class Largest(nn.Module):
    """As torchmetrics has it: a metric that is a module."""

    def __init__(self, times: float = 1.0) -> None:
        super().__init__()
        self.times = times
        self.reset()

    def update(self, preds: Any, target: Any) -> None:
        self.value = torch.maximum(self.value, self.times * (preds - target).abs().max())

    def compute(self) -> Any:
        return self.value

    def reset(self) -> None:
        self.value = torch.tensor(0.0)


class Collection(nn.ModuleDict):
    """As torchmetrics has it: metrics by name, with the interface of one."""

    def __init__(self, **members: nn.Module) -> None:
        super().__init__()
        for name, member in members.items():
            self[name] = member

    def update(self, preds: Any, target: Any) -> None: ...

    def compute(self) -> None: ...

    def reset(self) -> None: ...


class Both(Largest):
    """As torchmetrics' wrappers have it: a result by name."""

    def compute(self) -> Any:
        return {"once": self.value, "twice": 2 * self.value}


@pytest.mark.parametrize(
    ("metric", "names"),
    [(Collection(once=Largest(), twice=Largest(2.0)), ("once", "twice")), (Both(), ("once", "twice"))],
    ids=["a collection", "a dict"],
)
def test_a_metric_of_several_figures_logs_each(metric: Any, names: tuple[str, ...]) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", metrics=[metric, "mae"])
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), np.zeros((8, 1), "float32")
    largest = np.abs(model.predict(x, verbose=0)).max()

    measured = model.evaluate(x, y, verbose=0, return_dict=True)
    history = model.fit(x, y, validation_data=(x, y), verbose=1).history

    assert list(measured) == ["loss", *names, "mae"] == model.trainer.metrics_names
    np.testing.assert_allclose([measured[name] for name in names], [largest, 2 * largest], rtol=1e-6)
    assert list(history) == [*measured, *(f"val_{name}" for name in measured)]
    assert len(model.evaluate(x, y, verbose=0)) == 4


def dense(activation: Any = None) -> Any:
    return layers.Dense(3, activation=activation)


LAST_CALLS = {
    "softmax": [
        lambda x: dense("softmax")(x),
        lambda x: layers.Activation("softmax")(dense()(x)),
        lambda x: layers.Softmax()(dense()(x)),
        lambda x: nn.Softmax(-1)(dense()(x)),
        lambda x: torch.softmax(dense()(x), -1),
        lambda x: dense()(x).softmax(-1),
        lambda x: F.softmax(dense()(x), -1),
        lambda x: activations.softmax(dense()(x)),
        lambda x: tf.Sequential([dense("softmax")])(x),
        lambda x: nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))(x),
    ],
    "sigmoid": [
        lambda x: dense("sigmoid")(x),
        lambda x: nn.Sigmoid()(dense()(x)),
        lambda x: dense()(x).sigmoid(),
        lambda x: torch.sigmoid(dense()(x)),
    ],
    "log_softmax": [lambda x: nn.LogSoftmax(-1)(dense()(x)), lambda x: dense("log_softmax")(x)],
    "log_sigmoid": [lambda x: F.logsigmoid(dense()(x))],
    "no": [
        lambda x: dense()(x),
        lambda x: dense("relu")(x),
        lambda x: dense("softmax")(x) * 2,
        lambda x: layers.Flatten()(layers.LSTM(3, activation="softmax", return_sequences=True)(x[:, None])),
    ],
}
MISFITS = {
    "softmax": [nn.CrossEntropyLoss(), losses.SparseCategoricalCrossentropy(from_logits=True), nn.NLLLoss()],
    "sigmoid": [nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits],
    "log_softmax": ["categorical_crossentropy"],
    "log_sigmoid": [nn.BCEWithLogitsLoss()],
    "no": [],
}


@pytest.mark.parametrize(
    ("activation", "index"),
    [(name, index) for name, each in LAST_CALLS.items() for index in range(len(each))],
)
def test_a_loss_that_does_not_go_with_the_last_call_is_warned_of_at_compile(
    activation: str, index: int
) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, LAST_CALLS[activation][index](inputs))
    every = [each for given in MISFITS.values() for each in given]
    for loss in every if activation == "no" else ["mse"]:
        model.compile("sgd", loss)
    for loss in MISFITS[activation]:
        with pytest.warns(UserWarning, match=f"The output '.*' is a {activation} already, and its loss"):
            model.compile("sgd", loss)


def test_a_native_module_that_ends_with_a_softmax_is_warned_of_too() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), RANDOM.integers(0, 3, 8)

    with pytest.warns(UserWarning, match="The output 'output' is a softmax already"):
        Trainer(module, loss=nn.CrossEntropyLoss()).evaluate(x, y, verbose=0)


@pytest.mark.parametrize("optimizer", ["sgd", torch.optim.SGD], ids=["ours", "of PyTorch"])
def test_the_learning_rate_can_be_read_and_set_before_the_first_step(optimizer: Any) -> None:
    module = nn.Linear(2, 1)
    trained = Trainer(module, optimizer=optimizer, loss="mse")
    trained.learning_rate = 0.5
    restored = Trainer(module, optimizer=optimizer, loss="mse")
    restored.load_state_dict(trained.state_dict())

    assert trained.learning_rate == restored.learning_rate == 0.5
    restored.learning_rate = 0.25
    restored.train_on_batch(np.ones((2, 2), "float32"), np.ones((2, 1), "float32"))
    assert restored.learning_rate == 0.25
