"""Finite: what is no number is told before it is stepped, and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.training.modules import same_weights
from torchfunc import layers
from torchfunc.callbacks import Callback, TerminateOnNaN
from torchfunc.errors import DataError
from torchfunc.training import Trainer, finite

X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = X[:, :1] * 2
AT = 3  # the batch, of six, that is no number


class Normed(nn.Module):
    """A layer with statistics before a linear one; the root of zero has no gradient."""

    def __init__(self, *, root: bool = False) -> None:
        super().__init__()
        self.norm, self.linear, self.root = nn.BatchNorm1d(4), nn.Linear(4, 1), root

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.linear(self.norm(input))
        if self.root and bool(input[0, 0] == 7):
            output = output + (self.linear.weight * 0).sum().sqrt() * 0
        return output


def nan_in_the_batch(x: np.ndarray[Any, Any]) -> None:
    x[2, 1] = np.nan


def infinite_in_the_batch(x: np.ndarray[Any, Any]) -> None:
    x[2, 1] = np.inf


def a_root_of_zero(x: np.ndarray[Any, Any]) -> None:
    x[0, 0] = 7


CASES: list[tuple[Callable[[Any], None], str]] = [
    (nan_in_the_batch, "got the loss nan of the output 'output'"),
    (infinite_in_the_batch, "got the loss nan of the output 'output'"),
    (a_root_of_zero, "got a gradient of 'linear.weight' that holds NaN or infinity"),
]
OPTIMIZERS = ["sgd", "adam", "rmsprop", "ftrl", torch.optim.Adam, tf.optimizers.SGD(0.1, momentum=0.9)]


def batches(spoil: Callable[[Any], None] | None, count: int) -> Iterator[Any]:
    for index in range(count):
        x = X[8 * index : 8 * index + 8].copy()
        if index == AT and spoil is not None:
            spoil(x)
        yield x, Y[8 * index : 8 * index + 8]


def trained(module: nn.Module, optimizer: Any, spoil: Any, count: int, **options: Any) -> Trainer:
    trainer = Trainer(module, optimizer=copy.deepcopy(optimizer), loss="mse")
    trainer.fit(lambda: batches(spoil, count), verbose=0, **options)
    return trainer


def twins(root: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    module = Normed(root=root)
    return module, copy.deepcopy(module)


def same_optimizer(a: Trainer, b: Trainer) -> bool:
    slots: list[Any] = [each.state_dict()["optimizer"]["slots"] for each in (a, b)]
    return all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(slots[1][name][key]))
        for name, slot in slots[0].items()
        for key, value in slot.items()
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("spoil", "words"), CASES)
def test_what_is_no_number_is_told_and_leaves_all_as_after_the_last_finite_step(
    spoil: Any, words: str, optimizer: Any
) -> None:
    ours, theirs = twins(spoil is a_root_of_zero)
    trainer = Trainer(ours, optimizer=copy.deepcopy(optimizer), loss="mse")

    with pytest.raises(DataError) as told:
        trainer.fit(lambda: batches(spoil, 6), verbose=0)
    until = trained(theirs, optimizer, None, AT)

    assert f"Epoch 1, batch {AT + 1}: expected finite numbers, {words}." in str(told.value)
    assert "Fix: look for NaN in the data of this batch" in str(told.value)
    assert same_weights(ours, theirs)  # the statistics too
    assert same_optimizer(trainer, until)


@pytest.mark.parametrize(("spoil", "words"), CASES[:2])
def test_the_way_out_ends_a_training_quietly(spoil: Any, words: str, capsys: Any) -> None:
    ours, theirs = twins(False)

    trainer = trained(ours, "adam", spoil, 6, callbacks=[TerminateOnNaN()])
    trained(theirs, "adam", None, AT)

    assert capsys.readouterr().out == f"Batch {AT}: the loss is nan, terminating training\n"
    assert same_weights(ours, theirs)
    trainer.fit(X, Y, verbose=0)  # and it can go on


@pytest.mark.parametrize(("spoil", "words"), CASES)
def test_where_the_device_is_not_read_the_way_back_is_the_begin_of_the_epoch(
    spoil: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: False)
    ours, theirs = twins(spoil is a_root_of_zero)
    trainer = trained(ours, "adam", None, 6)

    with pytest.raises(DataError, match="as at the begin of the epoch"):
        trainer.fit(lambda: batches(spoil, 6), verbose=0)
    until = trained(theirs, "adam", None, 6)

    assert same_weights(ours, theirs)
    assert same_optimizer(trainer, until)


@pytest.mark.parametrize("reads", [True, False])
def test_a_callback_that_measures_and_learns_meanwhile_changes_none_of_this(
    reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: reads)

    class Meanwhile(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                self.trainer.evaluate(X[:8], Y[:8], verbose=0)
                self.trainer.predict(X[:8], verbose=0)
                self.trainer.train_on_batch(X[:8], Y[:8])

    ours, _ = twins(False)
    if reads:
        trained(ours, "adam", nan_in_the_batch, 6, callbacks=[Meanwhile(), TerminateOnNaN()])
    else:
        trainer = Trainer(ours, optimizer="adam", loss="mse")
        with pytest.raises(DataError, match=f"batch {AT + 1}|begin of the epoch"):
            trainer.fit(lambda: batches(nan_in_the_batch, 6), verbose=0, callbacks=[Meanwhile()])
        assert same_weights(ours, twins(False)[0])
    assert all(each.isfinite().all() for each in ours.state_dict().values())


@pytest.mark.parametrize("reads", [True, False])
def test_one_batch_alone_is_looked_at_on_every_device(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "reads_freely", lambda device: reads)
    ours, theirs = twins(False)
    stream = Trainer(ours, optimizer="adam", loss=lambda y_true, y_pred: (y_pred - y_true).mean() * torch.nan)

    with pytest.raises(DataError, match="^The batch: expected finite numbers, got the loss nan"):
        stream.train_on_batch(X[:8], Y[:8])

    assert same_weights(ours, theirs)


def test_of_several_outputs_the_one_that_is_no_number_is_named() -> None:
    inputs = tf.Input((4,))
    outputs = {name: layers.Dense(1, name=name)(inputs) for name in ("price", "rating")}
    model = tf.Model(inputs, outputs)

    def broken(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_pred - y_true) * torch.inf

    model.compile("sgd", {"price": "mse", "rating": broken})
    with pytest.raises(DataError, match=r"got the loss -?(inf|nan) of the output 'rating'"):
        model.fit(X, {"price": Y, "rating": Y}, verbose=0)
    with pytest.raises(DataError, match=r"^The batch: .* of the output 'rating'"):
        model.train_on_batch(X, {"price": Y, "rating": Y})


def test_a_loss_that_the_module_adds_is_named_as_such() -> None:
    class Adds(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            self.add_loss(inputs.sum() * torch.inf)
            return inputs

    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(Adds()(inputs)))
    model.compile("sgd", "mse")

    with pytest.raises(DataError, match=r"of the losses that the module adds"):
        model.fit(X, Y, verbose=0)


def test_looking_changes_no_finite_result() -> None:
    gradients = [torch.tensor([1e-45, 3e38, -0.0, 1e-40]), torch.randn(3, 5, dtype=torch.float64).t()]
    parameters = [nn.Parameter(torch.zeros_like(each)) for each in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    watch = finite.Watch(nn.Identity(), torch.device("cpu"))

    assert watch.passes(torch.tensor(1.0), parameters)
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, gradients, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sparse", "complex", "expanded"])
def test_gradients_of_every_kind_are_looked_at(kind: str) -> None:
    def gradient(value: float) -> Tensor:
        if kind == "sparse":
            return torch.tensor([value, 0.0]).to_sparse()
        return torch.tensor([value + 1j]) if kind == "complex" else torch.tensor(value).expand(3)

    watch = finite.Watch(nn.Identity(), torch.device("cpu"))
    for value, passes in ((1.0, True), (np.nan, False)):
        parameter = nn.Parameter(torch.zeros_like(gradient(1.0)))
        parameter.grad = gradient(value)
        assert watch.passes(torch.tensor(1.0), [parameter]) is passes
