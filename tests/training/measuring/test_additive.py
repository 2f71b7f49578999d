"""Several batches measured as one: only where all that is told of them adds up over rows, and then with equal figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests import meaning
from torchfunc import callbacks, layers, losses, metrics
from torchfunc.training.measuring import additive, measures, programs
from torchfunc.training.measuring.programs import Program
from torchfunc.tree import map_leaves

ROWS = 8 * 150 + 5


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS)


def network(*extra: Any, activation: Any = "softmax", units: int = 3, shape: Any = (6,)) -> tf.Model:
    tf.utils.set_random_seed(0)
    x = inputs = tf.Input(shape)
    x = layers.Dense(8, activation="relu", name="first")(x)
    for each in extra:
        x = each(x)
    return tf.Model(inputs, layers.Dense(units, activation=activation, name="last")(x))


def recorded_of(model: tf.Model, size: int = 8) -> Program:
    """What measures a batch of that size."""
    assert model.trainer is not None
    found = model.trainer.step.notes.measures
    [program] = [each for key, each in found.found.items() if key[0] == size]
    assert isinstance(program, Program), found.why_not
    return program


def evaluated(model: tf.Model, x: Any, y: Any, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True, **options)
    return found


def compared(make: Callable[[], tf.Model], x: Any, y: Any, **options: Any) -> Program:
    """The program of a batch, after figures were compared with those of the same model as it is."""
    model, twin = make(), make()
    twin.run_eagerly = True
    expected = evaluated(twin, x, y, **options)
    for _ in range(3):
        found = evaluated(model, x, y, **options)
        assert found.keys() == expected.keys()
        for name, each in expected.items():
            np.testing.assert_allclose(found[name], each, rtol=1e-6, err_msg=name)
    return recorded_of(model)


ADDITIVE: list[tuple[Any, list[Any], Any, int]] = [
    ("sparse_categorical_crossentropy", ["accuracy", "sparse_top_k_categorical_accuracy"], "softmax", 3),
    (nn.CrossEntropyLoss(reduction="mean", ignore_index=-(2**63)), ["accuracy"], None, 3),
    ("categorical_crossentropy", ["accuracy", metrics.TopKCategoricalAccuracy(2)], "softmax", 3),
    ("binary_crossentropy", ["accuracy", "auc", "precision", metrics.BinaryCrossentropy()], "sigmoid", 3),
    ("mse", ["mae", metrics.RootMeanSquaredError(), metrics.CosineSimilarity(), "r2_score"], None, 3),
    (losses.Huber(0.5), [metrics.MeanAbsoluteError(), metrics.MeanSquaredLogarithmicError()], "sigmoid", 3),
    (losses.KLDivergence(), ["poisson", "categorical_hinge"], "softmax", 3),
]


def targets(loss: Any) -> Any:
    sparse = isinstance(loss, nn.Module) or str(loss).startswith("sparse")
    return data()[1] if sparse else np.eye(3, dtype="float32")[data()[1]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "measured", "activation", "units"), ADDITIVE)
def test_means_and_sums_over_rows_are_measured_together(
    loss: Any, measured: list[Any], activation: Any, units: int, weighted: bool
) -> None:
    def make() -> tf.Model:
        model = network(activation=activation, units=units)
        kind = "weighted_metrics" if weighted else "metrics"
        model.compile("sgd", loss, **{kind: measured})
        return model

    options = (
        {"sample_weight": np.linspace(0, 2, ROWS)} if weighted and not isinstance(loss, nn.Module) else {}
    )
    program = compared(make, data()[0], targets(loss), **options)
    assert program.together > 1 and program.block is not None


LAYERS: dict[str, Callable[[], list[Any]]] = {
    "normalizations": lambda: [layers.BatchNormalization(), layers.LayerNormalization(), layers.Dropout(0.5)],
    "a side way": lambda: [lambda x: layers.Concatenate()([x, layers.Add()([x, layers.Dense(8)(x)])])],
    "another order": lambda: [layers.Reshape((2, 4)), layers.Permute((2, 1)), layers.Dense(3), layers.Flatten()],
    "images": lambda: [
        layers.Reshape((2, 2, 2)), layers.Conv2D(3, 2, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(),
    ],
    "penalties": lambda: [layers.Dense(4, kernel_regularizer="l2", bias_regularizer="l1")],
    "activations": lambda: [layers.Dense(4, activation=each) for each in ("gelu", "silu", "elu", "leaky_relu", "tanh")],
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_that_leave_rows_apart_are_measured_together(kind: str) -> None:
    def make() -> tf.Model:
        model = network(*LAYERS[kind]())
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    program = compared(make, *data())
    assert program.together > 1 and program.block is not None


class Centered(layers.Layer):
    """Goes by the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


Centered.__module__ = "torchfunc.layers.centered"

APART: dict[str, Callable[[], dict[str, Any]]] = {
    "a loss that sums": lambda: {"loss": losses.SparseCategoricalCrossentropy(reduction="sum")},
    "a class that is left out": lambda: {"loss": losses.SparseCategoricalCrossentropy(ignore_class=1)},
    "an index that is left out": lambda: {"loss": nn.CrossEntropyLoss(), "activation": None},
    "weights of classes": lambda: {
        "loss": nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0])), "activation": None,
    },
    "a mean by the weights": lambda: {
        "loss": losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
    },
    "a kernel that is not known": lambda: {"extra": [layers.Dense(8, activation="log_sigmoid")]},
    "a layer that goes by the batch": lambda: {"extra": [Centered()]},
    "statistics of the batch": lambda: {"extra": [nn.BatchNorm1d(8, track_running_stats=False)]},
}  # fmt: skip


@pytest.mark.parametrize("kind", APART)
def test_what_goes_by_the_batch_is_measured_batch_by_batch(kind: str) -> None:
    def make() -> tf.Model:
        options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | APART[kind]()
        model = network(*options.pop("extra", ()), activation=options.pop("activation", "softmax"))
        model.compile("sgd", **options)
        return model

    weights = {"sample_weight": np.linspace(0, 2, ROWS)} if "by the weights" in kind else {}
    program = compared(make, *data(), **weights)
    assert program.together == 0 and program.block is None


def test_steps_that_are_masked_are_measured_batch_by_batch() -> None:
    x = np.random.default_rng(0).integers(0, 9, (ROWS, 4))

    def make() -> tf.Model:
        tf.utils.set_random_seed(0)
        inputs = tf.Input((4,), dtype="int64")
        hidden = layers.Embedding(9, 5, mask_zero=True)(inputs)
        model = tf.Model(inputs, layers.Dense(1)(hidden))
        model.compile("sgd", "mse", metrics=[metrics.MeanSquaredError()])
        return model

    assert compared(make, x, np.random.default_rng(1).normal(size=(ROWS, 4, 1))).together == 0


def test_several_outputs_and_their_losses_are_measured_together() -> None:
    x, y = data()

    def make() -> tf.Model:
        tf.utils.set_random_seed(0)
        hidden = layers.Dense(8, activation="relu")(inputs := tf.Input((6,)))
        outputs = {"kind": layers.Dense(3, activation="softmax")(hidden), "size": layers.Dense(1)(hidden)}
        model = tf.Model(inputs, outputs)
        model.compile(
            "sgd",
            {"kind": "sparse_categorical_crossentropy", "size": "mae"},
            loss_weights={"kind": 2.0, "size": 0.5},
            metrics={"kind": ["accuracy"], "size": ["mse"]},
        )
        return model

    program = compared(make, x, {"kind": y, "size": x[:, :1]})
    assert program.block is not None


def test_a_block_that_tells_another_thing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "together", lambda lines, size: 5)
    model, twin = network(), network()
    for each in (model, twin):
        each.compile("sgd", losses.SparseCategoricalCrossentropy(reduction="sum"))
    twin.run_eagerly = True
    for _ in range(3):
        assert evaluated(model, *data()) == evaluated(twin, *data())
    program = recorded_of(model)
    assert program.block is None and program.together == 0


def test_a_callback_of_batches_hears_of_each() -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    evaluated(model, *data())
    heard: list[int] = []
    hook = callbacks.LambdaCallback()
    hook.on_test_batch_end = lambda batch, logs=None: heard.append(batch)
    evaluated(model, *data(), callbacks=[hook])
    assert heard == list(range(151))


def test_what_changes_between_two_passes_counts() -> None:
    model, twin = network(), network()
    for each in (model, twin):
        each.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    twin.run_eagerly = True
    for change in (
        lambda model: None,
        lambda model: model.layers[1].weight.data.mul_(2),
        _softened,
        _replaced,
    ):
        for each in (model, twin):
            change(each)
        found, expected = evaluated(model, *data()), evaluated(twin, *data())
        np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=1e-6)


def _softened(model: tf.Model) -> None:
    model.layers[1].activation = torch.tanh


def _replaced(model: tf.Model) -> None:
    model.layers[1].weight = nn.Parameter(torch.ones(8, 6))


def test_products_are_of_many_batches_and_the_bar_counts_each(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    evaluated(model, *data())
    with torch.profiler.profile(acc_events=True) as profile:
        model.evaluate(*data(), batch_size=8, verbose=1)
    products = sum(each.count for each in profile.key_averages() if each.key == "aten::addmm")
    assert products < 30  # of 151 batches and two layers
    assert "151/151" in capsys.readouterr().out


def test_a_block_is_no_larger_than_what_stays_near_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = {}
    for widest in (2**9, 2**10, 2**12):
        monkeypatch.setattr(additive, "WIDEST", widest)
        model = network()
        model.compile("sgd", "sparse_categorical_crossentropy")
        evaluated(model, *data())
        widths[widest] = recorded_of(model).together
    line = 8 * (6 + 8) * 4  # the widest, of a batch
    assert widths == {2**9: 1, 2**10: 2**10 // line, 2**12: 2**12 // line}


@pytest.mark.parametrize("seed", range(30))
def test_random_models_measure_batches_together_as_they_measure_them_apart(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert random_model(seed, monkeypatch.setattr) in ("together", "apart", "is not known")


def random_model(seed: int, patch: Callable[..., Any] = setattr) -> str:
    """What comes of evaluating a random model with blocks that hold few batches."""
    patch(programs, "FEWEST", 2)
    patch(measures, "ENOUGH", 2)
    patch(additive, "MOST", 2)
    recipe = meaning.recipe(seed)
    if recipe["compile"] is None:
        return "is not known"

    def run(recorded: bool) -> tuple[tf.Model, dict[str, Any]]:
        torch.manual_seed(0)
        names = meaning.build(recipe, tf)
        exec("\n".join(meaning.training_lines(recipe)), names)
        model: tf.Model = names["model"]
        model.run_eagerly = not recorded
        weights = {key: names["options"][key] for key in ("sample_weight",) if key in names["options"]}
        x, y, weights = map_leaves(lambda each: np.concatenate([each] * 3), (names["x"], names["y"], weights))
        torch.manual_seed(1)
        for _ in range(2):
            found = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True, **weights)
        return model, found

    try:
        expected = run(False)[1]
    except Exception:
        return "is not known"
    model, found = run(True)
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        np.testing.assert_allclose(found[name], each, rtol=2e-6, atol=1e-7, err_msg=name)
    kept = model.trainer.step.notes.measures.found.values()  # type: ignore[union-attr]
    return "together" if any(getattr(each, "block", None) is not None for each in kept) else "apart"
