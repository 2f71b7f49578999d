"""Own training: what a subclass of Model overrides is what happens, with Keras's arguments, and nothing else is tried."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers, tree
from torchfunc.errors import DataError
from torchfunc.training import Trainer

X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = X[:, :1] * 2 + 1
WEIGHTS = np.linspace(0, 2, 48).astype("float32")


def overriding(base: Any, seen: list[Any]) -> Any:
    """A subclass that computes its loss and metrics itself, in words that Keras and torchfunc share."""

    class Own(base):  # type: ignore[misc]
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # type: ignore[no-untyped-def]
            seen.append((tuple(x.shape), tuple(y.shape), sample_weight is None, training))
            compiled = super().compute_loss(x, y, y_pred, sample_weight, training)
            return compiled + 0.1 * (y_pred**2).mean()

        def compute_metrics(self, x, y, y_pred, sample_weight=None):  # type: ignore[no-untyped-def]
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "top": y_pred.detach().max()}

    return Own


def both() -> tuple[Any, Any, list[Any], list[Any]]:
    """The same overridden model in torchfunc and in Keras, with equal weights and an activity loss."""
    seen: tuple[list[Any], list[Any]] = ([], [])
    inputs, theirs_in = tf.Input((4,)), keras.Input((4,))
    penalty, same = tf.regularizers.L2(0.01), keras.regularizers.L2(0.01)
    ours = overriding(tf.Model, seen[0])(inputs, layers.Dense(1, kernel_regularizer=penalty)(inputs))
    theirs = overriding(keras.Model, seen[1])(
        theirs_in, keras.layers.Dense(1, kernel_regularizer=same)(theirs_in)
    )
    theirs.set_weights(ours.get_weights())
    ours.compile(tf.optimizers.SGD(0.05), "mse", metrics=["mae"])
    theirs.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return ours, theirs, *seen


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:(keras|torch)")
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_compute_loss_and_compute_metrics_are_called_as_keras_calls_them(weights: Any) -> None:
    ours, theirs, seen, expected = both()
    options: dict[str, Any] = {"batch_size": 16, "verbose": 0, "sample_weight": weights}

    for model in (ours, theirs):
        model.history_ = model.fit(X, Y, epochs=2, shuffle=False, **options).history
        model.measured = model.evaluate(X, Y, return_dict=True, **options)
        model.alone = model.train_on_batch(X, Y, sample_weight=weights, return_dict=True)
        model.tested = model.test_on_batch(X, Y, sample_weight=weights, return_dict=True)

    assert ours.history_.keys() == theirs.history_.keys() == {"loss", "mae", "top"}
    for name, values in theirs.history_.items():
        assert ours.history_[name] == pytest.approx([float(each) for each in values], rel=1e-5)
    for one, other in ((ours.measured, theirs.measured), (ours.tested, theirs.tested)):
        assert one == pytest.approx({name: float(each) for name, each in other.items()}, rel=1e-5)
    assert ours.alone["loss"] == pytest.approx(float(theirs.alone["loss"]), rel=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert seen == [each for each in expected if each[0] != (None, 4)][-len(seen) :]
    assert {each[-1] for each in seen} == {True, False}


def test_a_loss_of_ones_own_needs_none_in_compile_nor_the_argument_training() -> None:
    class Own(tf.Model):
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Any:  # type: ignore[override]
            return ((y_pred - x[:, :1]) ** 2).mean()

    inputs = tf.Input((4,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile(tf.optimizers.SGD(0.1))

    losses = model.fit(X, epochs=30, verbose=0).history["loss"]

    assert losses[-1] < 0.01 < losses[0]
    assert model.evaluate(X, verbose=0) == pytest.approx(
        np.mean((model.predict(X, verbose=0) - X[:, :1]) ** 2)
    )


def test_outputs_by_name_come_with_targets_and_weights_by_name() -> None:
    seen: list[Any] = []

    class Own(tf.Model):
        def compute_loss(self, **given: Any) -> Any:
            seen.append({name: sorted(each) for name, each in given.items() if isinstance(each, dict)})
            given.pop("x")
            return super().compute_loss(None, **given)

    inputs = tf.Input((4,))
    model = Own(
        inputs, {"b": layers.Dense(1, name="first")(inputs), "a": layers.Dense(1, name="second")(inputs)}
    )
    plain = tf.Model(model.input, model.output)
    for each in (model, plain):
        each.compile("sgd", {"b": "mse", "a": "mae"})
    y = {"a": Y, "b": 3 * Y}

    ours = model.evaluate(X, y, verbose=0, sample_weight={"a": WEIGHTS, "b": WEIGHTS}, return_dict=True)

    assert seen[0] == {"y": ["a", "b"], "y_pred": ["a", "b"], "sample_weight": ["a", "b"]}
    assert ours == plain.evaluate(
        X, y, verbose=0, sample_weight={"a": WEIGHTS, "b": WEIGHTS}, return_dict=True
    )


def test_a_trainer_takes_the_loss_of_an_object_too() -> None:
    class Own:
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Tensor:
            value: Tensor = (y_pred - 5).abs().mean()
            return value

    torch.manual_seed(0)
    module = nn.Linear(4, 1)
    trainer = Trainer(module, optimizer="sgd", loss="mse", step=Own())

    expected = np.abs(trainer.predict(X, verbose=0) - 5).mean()
    assert trainer.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)


class NoForward(tf.Model):
    """Two networks and a step, and no forward."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = tf.Sequential([tf.Input((4,)), layers.Dense(1)])
        self.own = torch.optim.SGD(self.critic.parameters(), 0.1)
        self.targets: list[Any] = []

    def train_step(self, data: Any) -> Any:
        x, y = data if isinstance(data, (tuple, list)) else (data, [])
        loss = (self.critic(x) ** 2).mean()
        self.own.zero_grad()
        loss.backward()
        self.own.step()
        self.targets.append([tuple(each.shape) for each in tree.flatten(y)])
        return {"critic": loss}


class OtherForward(NoForward):
    """Its forward takes latent vectors, not the data; and says when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(3, 2)

    def forward(self, z: Tensor) -> Tensor:
        raise AssertionError("the forward was tried")


class NothingToTrain(NoForward):
    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "hidden", self.critic)
        self.own = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
        for each in self.parameters():
            each.requires_grad_(False)

    def train_step(self, data: Any) -> Any:
        return {"critic": self.critic(data[0] if isinstance(data, (tuple, list)) else data).mean()}


class OfABatch(NoForward):
    """Its step calls its argument `batch`, and so is given one."""

    def train_step(self, batch: Any) -> Any:  # type: ignore[override]
        super().train_step((batch.inputs[0], batch.targets))
        return {"critic": self.critic(batch.inputs[0]).mean()}


@pytest.mark.parametrize("made", [NoForward, OtherForward, NothingToTrain, OfABatch])
@pytest.mark.parametrize("options", [{}, {"loss": "mse"}, {"loss": "mse", "metrics": ["mae"]}])
@pytest.mark.parametrize("source", ["array", "array and labels", "labels by name", "batches"])
def test_a_model_with_a_step_of_its_own_is_never_tried(made: Any, options: Any, source: str) -> None:
    model = made()
    model.compile(optimizer="sgd", **options)
    data: Any = {
        "array": (X,),
        "array and labels": (X, Y),
        "labels by name": (X, {"a": Y, "b": Y}),
        "batches": ([(X[:24], Y[:24]), (X[24:], Y[24:])],),
    }[source]
    if options and source == "labels by name":
        model.compile(optimizer="sgd")

    first = model.fit(*data, verbose=0).history
    again = model.fit(*data, epochs=2, verbose=0).history

    assert set(first) == set(again) == {"critic"}
    assert len(again["critic"]) == 2
    if model.targets:
        assert len(model.targets[0]) == {"array": 0, "labels by name": 2}.get(source, 1)


def test_a_step_that_calls_ours_names_outputs_by_what_the_module_returned() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, input: Tensor) -> Any:
            return {"low": self.linear(input), "high": self.linear(input) + 1}

    class Own:
        def train(self, batch: Any) -> Any:
            return trainer.step.train(batch)

    def history(step: Any, y: Any) -> Any:
        nonlocal trainer
        torch.manual_seed(0)
        trainer = Trainer(Pair(), optimizer="sgd", loss="mse", step=step)
        return trainer.fit(X, y, shuffle=False, epochs=2, verbose=0).history

    trainer = Trainer(Pair())
    plain = history(None, {"high": Y + 1, "low": Y})
    assert history(Own(), {"high": Y + 1, "low": Y}) == plain
    assert history(Own(), [Y, Y + 1]) == plain
    with pytest.raises(DataError, match=r"y: expected one for each output: \['low', 'high'\], got the names"):
        history(Own(), {"up": Y, "down": Y})


def test_a_sequential_that_is_built_after_compile_has_its_ports_then() -> None:
    late, early = (tf.Sequential([*first, layers.Dense(1, name="head")]) for first in ([], [tf.Input((4,))]))
    for model in (late, early):
        model.compile("sgd", "mse", metrics=["mae"])

    late.fit(X, Y, verbose=0)

    assert late.trainer.step.ports.outputs == early.trainer.step.ports.outputs
    with pytest.raises(DataError, match=r"input 'input'.*\(None, 4\)"):
        late.fit(X[:, :3], Y, verbose=0)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_head_that_is_replaced_after_compile_is_trained_at_its_new_width(fitted: bool) -> None:
    torch.manual_seed(0)
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(2, name="head")(layers.Dense(3)(inputs)))
    model.compile(tf.optimizers.Adam(0.1), "mse", metrics=["mae"])
    if fitted:
        model.fit(X, X[:, :2], verbose=0)

    model.head = nn.Linear(3, 4)
    losses = model.fit(X, X, epochs=20, verbose=0).history["loss"]

    assert losses[-1] < losses[0]
    assert model.predict(X, verbose=0).shape == (48, 4)
    with pytest.raises(DataError, match=r"target of the output|y: "):
        model.fit(X, X[:, :2], verbose=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_model_in_another_dtype_is_given_data_in_it(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    twin = nn.Linear(4, 1)
    twin.load_state_dict({"weight": model.dense.weight, "bias": model.dense.bias})
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), "mse")
    model.to(dtype)
    twin.to(dtype)
    native = torch.optim.SGD(twin.parameters(), lr=0.1)

    model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    for start in range(0, 48, 16):
        native.zero_grad()
        x, y = (torch.from_numpy(each[start : start + 16]).to(dtype) for each in (X, Y))
        ((twin(x) - y) ** 2).mean().backward()
        native.step()

    tolerance = {torch.float64: 1e-12, torch.bfloat16: 0.02, torch.float16: 0.005}[dtype]
    torch.testing.assert_close(model.dense.weight, twin.weight, rtol=tolerance, atol=tolerance)
    expected = twin(torch.from_numpy(X).to(dtype)).detach().double().numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=tolerance, atol=tolerance)
    model.evaluate(X, Y, verbose=0)
    model.float()
    assert model.predict(X, verbose=0).dtype == np.float32


def test_an_input_in_float64_keeps_its_precision_in_a_model_of_float32() -> None:
    inputs = tf.Input((1,), dtype="float64")
    model = tf.Model(inputs, layers.Dense(1)((inputs - 1e9).float()))
    model.dense.set_weights([np.ones((1, 1)), np.zeros(1)])

    assert model.predict(np.array([[1e9 + 0.5]]), verbose=0) == 0.5


def test_a_metric_of_ones_own_begins_each_epoch_anew() -> None:
    class Own(tf.Model):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.seen = tf.metrics.Sum(name="seen")

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            self.seen.update_state(x[:, 0])
            return {"seen": self.seen.result()}

    inputs = tf.Input((4,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")

    history = model.fit(X[:40], Y[:40], batch_size=8, epochs=2, verbose=0).history["seen"]

    assert history[0] == pytest.approx(history[1], rel=1e-5)
    assert model.evaluate(X[:8], Y[:8], verbose=0) == pytest.approx(float(X[:8, 0].sum()), rel=1e-5)


# steps_per_execution, batches -> those after which Keras tells of them (in its other backends: PyTorch's refuses)
EXECUTIONS = [
    (None, 5, [0, 1, 2, 3, 4]),
    ("auto", 3, [0, 1, 2]),
    (1, 3, [0, 1, 2]),
    (4, 8, [3, 7]),
    (4, 6, [3, 5]),
    (9, 6, [5]),
]


@pytest.mark.parametrize(("steps", "batches", "ends"), EXECUTIONS)
def test_callbacks_are_told_of_the_batches_of_an_execution_at_once(
    steps: Any, batches: int, ends: list[int]
) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", steps_per_execution=steps)
    seen: dict[str, list[int]] = {}
    hooks = {
        f"on_{mode}_batch_{place}": lambda batch, logs, name=f"{mode} {place}": seen.setdefault(
            name, []
        ).append(batch)
        for mode in ("train", "test", "predict")
        for place in ("begin", "end")
    }
    data = X[: 4 * batches], Y[: 4 * batches]

    options: dict[str, Any] = {
        "batch_size": 4,
        "verbose": 0,
        "callbacks": [tf.callbacks.LambdaCallback(**hooks)],
    }
    model.fit(*data, **options)
    model.evaluate(*data, **options)
    model.predict(data[0], **options)

    begins = [0, *(each + 1 for each in ends[:-1])]
    assert seen == {
        f"{mode} {place}": list(right)
        for mode in ("train", "test", "predict")
        for place, right in (("begin", begins), ("end", ends))
    }
    assert model.trainer.step.count == batches


@pytest.mark.parametrize("steps", [0, 1.5, "many"])
def test_another_number_of_steps_is_refused(steps: Any) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))

    with pytest.raises(tf.errors.TorchfuncError, match="steps_per_execution: expected"):
        model.compile("sgd", "mse", steps_per_execution=steps)


def test_run_eagerly_turns_the_compiler_off() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))

    model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)

    assert model._compiled_call_impl is None


def test_loss_scaling_is_refused_where_it_would_matter_and_ignored_elsewhere() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", auto_scale_loss=True)
    model.half()

    with pytest.raises(
        tf.errors.CompileError, match=r"auto_scale_loss: got True with .* Fix: model.bfloat16()"
    ):
        model.compile("sgd", "mse", auto_scale_loss=True)
    model.bfloat16().compile("sgd", "mse", auto_scale_loss=True)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()
