"""Recorded measuring: figures are those of the batches measured as they are, to the bit, and nothing is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests import meaning
from torchfunc import callbacks, layers, losses, metrics
from torchfunc.training.measuring import programs
from torchfunc.training.measuring.measures import Measures

ROWS = 8 * 12 + 5  # the last batch is uneven


def data(rows: int = ROWS) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 6)).astype("float32"), rng.integers(0, 3, rows)


def network(*extra: Any, activation: Any = "softmax", units: int = 3) -> tf.Model:
    tf.utils.set_random_seed(0)
    x = inputs = tf.Input((6,))
    x = layers.Dense(8, activation="relu", name="first")(x)
    for each in extra:
        x = each(x)
    return tf.Model(inputs, layers.Dense(units, activation=activation, name="last")(x))


def compiled(*extra: Any, recorded: bool = True, **options: Any) -> tf.Model:
    model = network(*extra)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | options
    model.compile("sgd", **options)
    model.run_eagerly = not recorded
    return model


def measures(model: tf.Model) -> Measures:
    assert model.trainer is not None
    found: Measures = model.trainer.step.notes.measures
    return found


def evaluated(
    model: tf.Model, x: Any = None, y: Any = None, times: int = 1, **options: Any
) -> dict[str, Any]:
    if x is None:
        x, y = data()
    for _ in range(times):
        size = {} if callable(x) else {"batch_size": 8}
        found: dict[str, Any] = model.evaluate(x, y, verbose=0, return_dict=True, **size, **options)
    return found


def both(make: Callable[[bool], tf.Model], run: Callable[[tf.Model], Any]) -> tuple[tf.Model, Any]:
    """The recorded model, and what came of it, which is what comes of the same model as it is, to the bit."""
    model, twin = make(True), make(False)
    found, expected = run(model), run(twin)
    assert found == expected
    return model, found


LOSSES: list[Any] = [
    "sparse_categorical_crossentropy",
    losses.SparseCategoricalCrossentropy(ignore_class=1),
    "mse",
    losses.MeanAbsoluteError(reduction="sum"),
    losses.Huber(0.5),
    losses.KLDivergence(),
]
METRICS: list[list[Any]] = [
    ["accuracy", "sparse_top_k_categorical_accuracy"],
    [metrics.SparseCategoricalCrossentropy(ignore_class=0), metrics.SparseTopKCategoricalAccuracy(2)],
    [],
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("measured", METRICS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_and_metric_is_what_it_is_without_recording(
    loss: Any, measured: list[Any], weighted: bool
) -> None:
    compares = loss == "mse" or not isinstance(loss, losses.SparseCategoricalCrossentropy | str)
    x, y = data()
    y = np.eye(3, dtype="float32")[y] if compares else y
    if compares:
        measured = ["mae", metrics.AUC(), metrics.Precision(), "r2_score", metrics.RootMeanSquaredError()]
        measured += [metrics.CategoricalAccuracy(), metrics.F1Score("macro"), metrics.CosineSimilarity()]
    options = {"sample_weight": np.linspace(0, 2, ROWS)} if weighted else {}
    which = "weighted_metrics" if weighted and not compares else "metrics"

    def run(model: tf.Model) -> Any:
        return [evaluated(model, x, y, **options) for _ in range(3)]

    model, figures = both(
        lambda recorded: compiled(loss=loss, recorded=recorded, **{"metrics": None, which: measured}), run
    )
    assert measures(model).repetitions > 20, measures(model).why_not
    assert figures[0] == figures[2]


def test_several_outputs_with_masks_weights_and_penalties() -> None:
    x = np.random.default_rng(0).integers(0, 9, (ROWS, 4))
    y = {"steps": np.random.default_rng(1).normal(size=(ROWS, 4, 1)), "all": np.arange(ROWS) % 2}

    def make(recorded: bool) -> tf.Model:
        tf.utils.set_random_seed(0)
        inputs = tf.Input((4,), dtype="int64")
        h = layers.Embedding(9, 5, mask_zero=True)(inputs)
        steps = layers.TimeDistributed(layers.Dense(1, kernel_regularizer="l2"), name="steps")(h)
        whole = layers.Dense(1, activation="sigmoid", name="all", activity_regularizer="l1")(
            layers.LSTM(3)(h)
        )
        model = tf.Model(inputs, {"steps": steps, "all": whole})
        model.compile(
            "sgd",
            {"steps": "mse", "all": "binary_crossentropy"},
            metrics={"steps": ["mae", metrics.MeanSquaredError()], "all": ["accuracy", metrics.AUC()]},
            loss_weights={"steps": 0.5, "all": 2.0},
        )
        model.run_eagerly = not recorded
        return model

    model, _ = both(make, lambda model: [evaluated(model, x, y) for _ in range(3)])
    assert measures(model).repetitions > 20, measures(model).why_not


def test_a_pass_hands_on_tensors_and_reads_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled()
    evaluated(model, times=2)
    calls: list[Any] = []
    original = type(model.trainer.step).measure  # type: ignore[union-attr]
    monkeypatch.setattr(
        type(model.trainer.step), "measure", lambda self, batch: calls.append(batch) or original(self, batch)
    )
    evaluated(model, times=4)
    assert len(calls) <= 2  # of the last batch, whose shape has come too seldom so far
    calls.clear()
    evaluated(model)
    assert not calls


def test_figures_of_one_batch_are_its_own() -> None:
    x, y = data(8)

    def run(model: tf.Model) -> Any:
        figures = []
        for index in range(12):
            rows = np.roll(x, index, 1)
            figures.append(model.test_on_batch(rows, y))
        return figures

    model, _ = both(lambda recorded: compiled(recorded=recorded), run)
    assert measures(model).repetitions == 12 - programs.FEWEST - 1


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 5}])
def test_validation_within_a_training_is_what_it_is_without_recording(options: dict[str, Any]) -> None:
    x, y = data()

    def run(model: tf.Model) -> Any:
        torch.manual_seed(0)
        history = model.fit(x, y, batch_size=8, epochs=4, validation_data=data(80), verbose=0, **options)
        return history.history

    model, _ = both(lambda recorded: compiled(layers.BatchNormalization(), recorded=recorded), run)
    assert measures(model).repetitions > 8


def test_the_users_arrays_are_left_as_they_are() -> None:
    tf.utils.set_random_seed(0)
    inputs = tf.Input((6,))
    model = tf.Model(inputs, layers.Dense(3)(nn.ReLU(inplace=True)(inputs)))
    model.compile("sgd", "mse")
    x, y = data()
    kept, y = x.copy(), np.eye(3, dtype="float32")[y]
    first = evaluated(model, x, y)
    assert evaluated(model, x, y, times=4) == first
    np.testing.assert_array_equal(x, kept)
    assert "it changes what it is given" in measures(model).why_not


Change = Callable[[tf.Model], Any]


def another_activation(model: tf.Model) -> None:
    model.layers[1].activation = torch.tanh


def another_weight(model: tf.Model) -> None:
    model.layers[1].weight = nn.Parameter(torch.ones(8, 6))


def other_numbers(model: tf.Model) -> None:
    model.layers[1].weight.data.mul_(2)


def another_weight_of_loss(model: tf.Model) -> None:
    model.trainer.step.objective.losing[0].weight = 3.0  # type: ignore[union-attr]


def another_loss(model: tf.Model) -> None:
    model.trainer.step.objective.losing[0].loss.ignore_class = 1  # type: ignore[union-attr]


def another_k(model: tf.Model) -> None:
    measure_of(model, "sparse_top_k_categorical_accuracy").k = 1


def another_update(model: tf.Model) -> None:
    measure_of(model, "accuracy").values = lambda y_true, y_pred: torch.ones(len(y_true))


def forgotten(model: tf.Model) -> None:
    for each in ("accuracy", "sparse_top_k_categorical_accuracy"):
        measure_of(model, each).reset_state()


def hooked(model: tf.Model) -> None:
    model.layers[1].register_forward_hook(lambda module, given, found: found * 2)


def in_training(model: tf.Model) -> None:
    model.get_layer("drop").rate = 0.0


def measure_of(model: tf.Model, name: str) -> Any:
    return model.trainer.step.objective.measures[name].metric  # type: ignore[union-attr]


CHANGES: list[Change] = [
    another_activation, another_weight, other_numbers, another_weight_of_loss, another_loss, another_k, another_update,
    forgotten, hooked, in_training,
]  # fmt: skip


@pytest.mark.parametrize("by", ["a callback", "the source", "the user"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_in_the_middle_counts(change: Change, by: str) -> None:
    x, y = data()

    def make(recorded: bool) -> tf.Model:
        top = metrics.SparseTopKCategoricalAccuracy(2, name="sparse_top_k_categorical_accuracy")
        return compiled(layers.Dropout(0.5, name="drop"), recorded=recorded, metrics=["accuracy", top])

    def run(model: tf.Model) -> Any:
        figures: list[Any] = [evaluated(model)]
        if by == "the user":
            change(model)
            return [*figures, evaluated(model), evaluated(model)]
        if by == "a callback":
            hook = callbacks.LambdaCallback()
            hook.on_test_batch_end = lambda batch, logs=None: change(model) if batch == 6 else None
            return [*figures, evaluated(model, callbacks=[hook]), evaluated(model)]

        def batches() -> Iterator[Any]:
            for start in range(0, 96, 8):
                if start == 56:
                    change(model)
                yield x[start : start + 8], y[start : start + 8]

        return [*figures, evaluated(model, batches), evaluated(model)]

    model, _ = both(make, run)
    assert measures(model).repetitions or measures(model).why_not


class Largest(metrics.Metric):
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        held = self.state.get("largest", torch.tensor(-1.0))
        self.state["largest"] = torch.maximum(torch.as_tensor(held), y_pred.amax())

    def result(self) -> Any:
        return self.total("largest")


class OfTorch:
    def __init__(self) -> None:
        self.sum = torch.zeros(())

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        self.sum = self.sum + preds.amax()

    def compute(self) -> torch.Tensor:
        return self.sum

    def reset(self) -> None:
        self.sum = torch.zeros(())


class Measured(tf.Model):
    def test_step(self, data: Any) -> Any:
        return super().test_step(data)


def double(y_true: Any, y_pred: Any) -> Any:
    return (y_pred.amax(-1) * 2).mean() + 0 * y_true.sum()


REFUSALS: dict[str, dict[str, Any]] = {
    "whose update it does not know": {"metrics": [Largest()]},
    "is a TorchMetric|calls a OfTorch": {"metrics": [metrics.TorchMetric(OfTorch())]},
    "the loss of 'last' calls": {"loss": double, "metrics": None},
    "calls 'double'": {"metrics": [double]},
    "compiled with options": {"precision": "bf16"},
    "run_eagerly": {"run_eagerly": True},
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_not_known_is_measured_as_it_is_and_the_reason_is_kept(reason: str) -> None:
    model = compiled(**REFUSALS[reason])
    model.run_eagerly = reason == "run_eagerly"
    first = evaluated(model)
    assert evaluated(model, times=3) == first
    assert any(each in measures(model).why_not for each in reason.split("|"))
    assert not measures(model).repetitions


def test_a_metric_of_ours_that_looks_at_its_sums_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    original = metrics.SparseCategoricalAccuracy.update_state

    def update(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.total("count") < 40:
            original(self, y_true, y_pred, sample_weight)

    monkeypatch.setattr(metrics.SparseCategoricalAccuracy, "update_state", update)
    model, _ = both(lambda recorded: compiled(recorded=recorded), evaluated)
    assert "goes by more than the batch" in measures(model).why_not or "looks at" in measures(model).why_not


def test_a_test_step_of_ones_own_is_asked() -> None:
    inputs = tf.Input((6,))
    model = Measured(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert evaluated(model, times=3) == evaluated(model)
    assert model.trainer is not None and model.trainer.step.notes.measures is None


def test_a_text_that_does_another_thing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = programs.in_place

    def wrong(lines: Any) -> Any:
        return replace(right(lines), lines=[each for each in lines.lines if each.name != "relu_"])

    monkeypatch.setattr(programs, "in_place", wrong)
    model, _ = both(lambda recorded: compiled(recorded=recorded), evaluated)
    assert "it did another thing when it was repeated" in measures(model).why_not


@pytest.mark.parametrize("seed", range(30))
def test_random_models_measure_and_predict_what_they_do_without_recording(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compared(seed, monkeypatch.setattr) in ("agrees", "is not known", "cannot be measured so")


def compared(seed: int, patch: Callable[..., Any] = setattr) -> str:
    """What comes of evaluating a random model and of predicting, recorded and as it is."""
    patch(programs, "FEWEST", 2)
    recipe = meaning.recipe(seed)
    if recipe["compile"] is None:
        return "is not known"

    def run(recorded: bool) -> tuple[tf.Model, Any]:
        torch.manual_seed(0)
        names = meaning.build(recipe, tf)
        exec("\n".join(meaning.training_lines(recipe)), names)
        model: tf.Model = names["model"]
        model.run_eagerly = not recorded
        options = {"verbose": 0, "return_dict": True}
        weights = {key: names["options"][key] for key in ("sample_weight",) if key in names["options"]}
        torch.manual_seed(1)
        figures = [
            model.evaluate(names["x"], names["y"], batch_size=size, **weights, **options)
            for size in (1, 1, 32)
        ]
        found = [meaning.predicted(model, names["x"]) for _ in range(5)]
        return model, (figures, found)

    try:
        expected = run(False)[1]
    except Exception:
        return "cannot be measured so"
    model, found = run(True)
    assert str(found[0]) == str(expected[0]), (found[0], expected[0], measures(model).why_not)
    for one, other in zip(found[1], expected[1], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    return "agrees" if measures(model).repetitions else "is not known"
