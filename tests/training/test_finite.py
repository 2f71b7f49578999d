"""Finite: what is no number is told before it is stepped, and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
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


def batches(
    spoil: Callable[[Any], None] | None, count: int, at: Collection[int] = (AT, AT + 1)
) -> Iterator[Any]:
    """Batches of which those at some places are spoilt, or left out where nothing is to spoil them."""
    for index in range(count):
        x = X[8 * index : 8 * index + 8].copy()
        if index in at:
            if spoil is None:
                continue
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

    with pytest.raises(DataError) as told, pytest.warns(UserWarning, match=f"batch {AT + 1}: .* was skipped"):
        trainer.fit(lambda: batches(spoil, 6), verbose=0)
    until = trained(theirs, optimizer, None, AT)

    assert f"Epoch 1, batch {AT + 2}: expected finite numbers, {words}." in str(told.value)
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


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("spoil", "words"), CASES)
def test_a_lone_batch_is_skipped_as_if_it_was_not_there(spoil: Any, words: str, optimizer: Any) -> None:
    ours, theirs = twins(spoil is a_root_of_zero)
    trainer, other = (
        Trainer(each, optimizer=copy.deepcopy(optimizer), loss="mse", metrics=["mae"])
        for each in (ours, theirs)
    )

    with pytest.warns(UserWarning) as told:
        history = trainer.fit(lambda: batches(spoil, 6, [AT]), verbose=0)
    without = other.fit(lambda: batches(None, 6, [AT]), verbose=0)

    assert len(told) == 1 and told[0].filename == __file__
    assert f"Epoch 1, batch {AT + 1}: expected finite numbers, {words}. It was skipped" in str(
        told[0].message
    )
    assert "Fix: look for NaN in the data of this batch" in str(told[0].message)
    assert same_weights(ours, theirs) and same_optimizer(trainer, other)
    assert trainer.state_dict()["step"] == other.state_dict()["step"] == 5
    if spoil is not a_root_of_zero:  # whose loss is a number
        assert history.history == without.history


def test_what_is_logged_is_the_mean_over_finite_batches_of_any_size_and_weight() -> None:
    rng = np.random.default_rng(1)
    sizes, weights = (8, 8, 5, 8, 3), [rng.uniform(0.5, 2, size=8).astype("float32") for _ in range(5)]
    ours = nn.Linear(4, 1)
    theirs = copy.deepcopy(ours).double()
    plain, seen = torch.optim.SGD(theirs.parameters(), 0.1), []

    def data() -> Iterator[Any]:
        for index, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
            x = X[8 * index : 8 * index + size].copy()
            if index in (1, 3):
                nan_in_the_batch(x)
            yield x, Y[8 * index : 8 * index + size], weight[:size]

    for x, y, weight in data():
        if np.isfinite(x).all():
            w = torch.from_numpy(weight).double()
            error = (theirs(torch.from_numpy(x).double()) - torch.from_numpy(y).double())[:, 0]
            loss = (error**2 * w).mean()
            seen.append((len(x), loss.item(), (error.abs() * w).sum().item(), w.sum().item()))
            plain.zero_grad()
            loss.backward()
            plain.step()
    trainer = Trainer(ours, optimizer=tf.optimizers.SGD(0.1), loss="mse", weighted_metrics=["mae"])
    with pytest.warns(UserWarning) as told:
        logs = trainer.fit(data, verbose=0).history

    sizes_, losses, absolute, weighed = np.array(seen).T
    assert logs["loss"] == pytest.approx([(losses * sizes_).sum() / sizes_.sum()], rel=1e-6)
    assert logs["mae"] == pytest.approx([absolute.sum() / weighed.sum()], rel=1e-6)
    assert [str(each.message).partition(":")[0] for each in told] == [
        "Epoch 1, batch 2",
        "fit skipped 2 batches whose loss or gradient was no number.",
    ]


def test_figures_of_every_output_and_of_own_steps_leave_the_batch_out() -> None:
    class Own(tf.Model):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().compute_loss(x, y, y_pred, sample_weight)

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().compute_metrics(x, y, y_pred, sample_weight)

    def fitted(kind: Any, spoil: Any) -> Any:
        torch.manual_seed(0)
        inputs = tf.Input((4,))
        model = kind(inputs, {name: layers.Dense(1, name=name)(inputs) for name in "ab"})
        model.compile("sgd", "mse", metrics={"a": "mae", "b": "mae"})
        data = lambda: ((x, {"a": y, "b": -y}) for x, y in batches(spoil, 6, [AT]))  # noqa: E731
        return model.fit(data, verbose=0).history

    for kind in (tf.Model, Own):
        expected = fitted(kind, None)
        with pytest.warns(UserWarning, match="outputs 'a', 'b'|compute_loss"):
            found = fitted(kind, nan_in_the_batch)
        assert found == expected and len(found) == 5


@pytest.mark.parametrize("epochs", [1, 3])
def test_schedules_monitors_and_the_batches_of_an_epoch_count_on(epochs: int) -> None:
    class Counts(Callback):
        seen: list[Any] = []  # noqa: RUF012

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.append((batch, dict(logs)))

    ours, _ = twins(False)
    schedule = tf.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    trainer, counts = Trainer(ours, optimizer=tf.optimizers.SGD(schedule), loss="mse"), Counts()
    counts.seen = []
    stops = tf.callbacks.EarlyStopping("loss", patience=1, baseline=1e9)
    first = [0] if epochs > 1 else [AT]
    passes = iter(range(epochs))
    with pytest.warns(UserWarning):
        history = trainer.fit(
            lambda: batches(nan_in_the_batch, 6, first if next(passes) == epochs - 1 else []),
            verbose=0, epochs=epochs, callbacks=[counts, stops],
        )  # fmt: skip

    assert np.isfinite(history.history["loss"]).all() and len(history.epoch) == epochs
    assert [batch for batch, _ in counts.seen] == [*range(6)] * epochs
    assert all(logs.keys() == {"loss"} for _, logs in counts.seen)
    unknown = [index for index, (_, logs) in enumerate(counts.seen) if np.isnan(logs["loss"])]
    assert unknown == ([12] if epochs > 1 else [])  # no batch of that epoch is known then
    assert trainer.optimizer.iterations == 6 * epochs - 1
    assert trainer.learning_rate == pytest.approx(0.1 * 0.5 ** (6 * epochs - 1))


def test_a_training_that_goes_on_right_before_such_a_batch_skips_it_too() -> None:
    class Stop(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == AT:
                raise KeyboardInterrupt

    ours, theirs = twins(False)
    data = lambda: batches(nan_in_the_batch, 6, [AT])  # noqa: E731
    whole, part, rest = (Trainer(each, optimizer="adam", loss="mse") for each in (ours, theirs, theirs))
    with pytest.raises(KeyboardInterrupt):
        part.fit(data, verbose=0, callbacks=[Stop()])
    rest.load_state_dict(part.state_dict())
    with pytest.warns(UserWarning, match=f"batch {AT + 1}"):
        figures = [whole.fit(data, verbose=0), rest.fit(data, verbose=0, initial_epoch=rest.epoch)]

    assert figures[0].history == figures[1].history
    assert same_weights(ours, theirs) and same_optimizer(whole, rest)


@pytest.mark.parametrize("why", ["the first", "the only one of an epoch", "in several processes"])
def test_where_nothing_finite_surrounds_it_it_is_an_error(why: str, request: pytest.FixtureRequest) -> None:
    ours, theirs = twins(False)
    trainer = Trainer(ours, optimizer="adam", loss="mse")
    at, count = (0, 6) if why == "the first" else (AT, 6)
    if why == "in several processes":
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        request.addfinalizer(torch.distributed.destroy_process_group)
    if why == "the only one of an epoch":
        trainer.fit(X, Y, batch_size=48, verbose=0)
        theirs.load_state_dict(ours.state_dict())
        at, count = 0, 1

    with pytest.raises(DataError, match=f"Epoch 1, batch {at + 1}: expected finite numbers"):
        trainer.fit(lambda: batches(nan_in_the_batch, count, [at]), verbose=0)

    if why != "in several processes":
        assert same_weights(ours, theirs)


def test_a_gradient_that_is_no_number_is_skipped_beside_terminate_on_nan_too() -> None:
    ours, _ = twins(True)
    with pytest.warns(UserWarning, match="a gradient of 'linear.weight'"):
        trainer = Trainer(ours, optimizer="adam", loss="mse")
        trainer.fit(lambda: batches(a_root_of_zero, 6, [AT]), verbose=0, callbacks=[TerminateOnNaN()])
    assert trainer.state_dict()["step"] == 5


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", ["dense", "transposed", "sparse"])
@pytest.mark.parametrize("wrong", [None, np.nan, np.inf, -np.inf])
def test_large_gradients_are_looked_at_as_exactly_as_small_ones(
    wrong: float | None, layout: str, dtype: torch.dtype
) -> None:
    size = int(finite.LARGE**0.5) + 1
    gradient = torch.full(
        (size, size), torch.finfo(dtype).max, dtype=dtype
    )  # the sum is infinite, none of them is
    if wrong is not None:
        gradient[-1, -1] = wrong
        gradient[0, 0] = -wrong  # and these cancel out
    before = gradient.clone()
    gradient = gradient.t() if layout == "transposed" else gradient
    parameter = nn.Parameter(torch.zeros(size, size, dtype=dtype))
    parameter.grad = gradient.to_sparse() if layout == "sparse" else gradient
    small = nn.Parameter(torch.zeros(3))
    small.grad = torch.ones(3)
    watch = finite.Watch(nn.Identity(), torch.device("cpu"))
    parameters = [parameter, small]

    assert [watch.passes(torch.tensor(1.0), parameters) for _ in range(2)] == [wrong is None] * 2
    assert torch.equal(gradient.t() if layout == "transposed" else gradient, before) or wrong is not None
    if wrong is None:
        assert not watch.passes(torch.tensor(torch.nan), parameters)
