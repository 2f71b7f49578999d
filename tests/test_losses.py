"""Losses against Keras, and against torch and float64 where Keras clips."""

from __future__ import annotations

import re
from functools import partial

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from torchfunc import losses
from torchfunc.config import plain
from torchfunc.errors import CompileError, ConfigError, DataError, SavingError, UnknownNameError
from torchfunc.losses.torch_losses import misfit
from torchfunc.registry import custom_object_scope

SAMPLES, CLASSES = 12, 5


def without_address(each):
    """A value as part of the name of a test, the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(each))


def targets(kind: str) -> torch.Tensor:
    numbers = torch.rand(SAMPLES, CLASSES) * 2 + 0.1
    return {
        "numbers": numbers,
        "signs": torch.sign(torch.randn(SAMPLES, CLASSES)),
        "bits": torch.randint(0, 2, (SAMPLES, CLASSES)).float(),
        "shares": numbers.softmax(-1),
        "one_hot": torch.eye(CLASSES)[torch.randint(0, CLASSES, (SAMPLES,))],
        "labels": torch.randint(0, CLASSES, (SAMPLES,)),
        "words": torch.randint(1, CLASSES, (SAMPLES, 3)),
    }[kind]


def outputs(kind: str) -> torch.Tensor:
    logits = torch.randn(SAMPLES, CLASSES) * 2
    return {
        "numbers": logits,
        "positive": logits.exp(),
        "probabilities": logits.sigmoid(),
        "shares": logits.softmax(-1),
        "unit": F.normalize(logits, dim=-1),
        "steps": torch.randn(SAMPLES, 7, CLASSES),
    }[kind]


CASES = [
    ("MeanSquaredError", {}, "numbers", "numbers"),
    ("MeanAbsoluteError", {}, "numbers", "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers", "numbers"),
    ("MeanSquaredLogarithmicError", {}, "numbers", "positive"),
    ("Huber", {}, "numbers", "numbers"),
    ("Huber", {"delta": 0.4}, "numbers", "numbers"),
    ("LogCosh", {}, "numbers", "numbers"),
    ("Poisson", {}, "numbers", "positive"),
    ("KLDivergence", {}, "shares", "shares"),
    ("CosineSimilarity", {}, "numbers", "numbers"),
    ("CosineSimilarity", {"axis": 0}, "numbers", "numbers"),
    ("Hinge", {}, "signs", "numbers"),
    ("Hinge", {}, "bits", "numbers"),
    ("SquaredHinge", {}, "bits", "numbers"),
    ("CategoricalHinge", {}, "one_hot", "numbers"),
    ("Circle", {}, "labels", "unit"),
    ("Circle", {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}, "labels", "unit"),
    ("CTC", {}, "words", "steps"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.5}, "labels", "shares"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.2}, "labels", "shares"),
    ("Dice", {}, "bits", "probabilities"),
    ("Dice", {"axis": (1,)}, "bits", "probabilities"),
    ("Tversky", {}, "bits", "probabilities"),
    ("Tversky", {"alpha": 0.3, "beta": 0.9, "axis": (1,)}, "bits", "probabilities"),
    ("BinaryCrossentropy", {}, "bits", "probabilities"),
    ("BinaryCrossentropy", {"from_logits": True}, "bits", "numbers"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "bits", "numbers"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 0}, "bits", "probabilities"),
    ("CategoricalCrossentropy", {}, "one_hot", "shares"),
    ("CategoricalCrossentropy", {}, "one_hot", "positive"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot", "numbers"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.3}, "shares", "numbers"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.3}, "one_hot", "shares"),
    ("SparseCategoricalCrossentropy", {}, "labels", "shares"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels", "numbers"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, "labels", "numbers"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "labels", "shares"),
    ("BinaryFocalCrossentropy", {}, "bits", "probabilities"),
    (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "apply_class_balancing": True, "gamma": 3.0},
        "bits",
        "numbers",
    ),
    ("CategoricalFocalCrossentropy", {}, "one_hot", "shares"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one_hot", "numbers"),
]


def value_and_gradient(loss, y_true, y_pred, weights):
    y_pred = y_pred.clone().requires_grad_()
    value = loss(y_true, y_pred, weights)
    (gradient,) = torch.autograd.grad(value.sum(), y_pred)
    return value.detach(), gradient


def assert_equal_to_keras(name, arguments, y_true, y_pred, weights=None):
    ours = value_and_gradient(getattr(losses, name)(**arguments), y_true, y_pred, weights)
    theirs = value_and_gradient(getattr(keras.losses, name)(**arguments), y_true, y_pred, weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "arguments", "target", "output"), CASES, ids=str)
def test_a_loss_equals_its_keras_twin_in_value_and_gradient(name, arguments, target, output):
    assert_equal_to_keras(name, arguments, targets(target), outputs(output))


@pytest.mark.parametrize(
    "reduction", ["sum", "mean", "none", None, "mean_with_sample_weight", "sum_over_batch_size"]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "target", "output"), CASES[::3], ids=str)
def test_every_reduction_and_weighting_equals_that_of_keras(
    name, arguments, target, output, weighted, reduction
):
    values = getattr(losses, name)(**arguments).per_sample(targets(target), outputs(output))
    weights = torch.rand(SAMPLES) * 3 if weighted and values.shape == (SAMPLES,) else None
    arguments = {**arguments, "reduction": reduction}
    assert_equal_to_keras(name, arguments, targets(target), outputs(output), weights)


@pytest.mark.parametrize(("name", "arguments", "target", "output"), CASES, ids=str)
def test_the_lower_case_function_returns_the_values_of_keras(name, arguments, target, output):
    function = {
        "KLDivergence": "kl_divergence",
        "LogCosh": "log_cosh",
        "CTC": "ctc",
    }.get(name) or "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")
    y_true, y_pred = targets(target), outputs(output)
    ours = getattr(losses, function)(y_true, y_pred, **arguments)
    theirs = getattr(keras.losses, function)(y_true, y_pred, **arguments)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, getattr(losses, name)(**arguments).per_sample(y_true, y_pred))


KINDS = {
    "numbers": (lambda labels, logits: logits.sigmoid() + 0.1, lambda logits: logits),
    "positive": (lambda labels, logits: logits.sigmoid(), torch.exp),
    "bits": (lambda labels, logits: (labels % 2)[..., None].expand(logits.shape), torch.sigmoid),
    "bits_logits": (
        lambda labels, logits: (labels % 2)[..., None].expand(logits.shape),
        lambda logits: logits,
    ),
    "shares": (lambda labels, logits: logits.flip(-1).softmax(-1), lambda logits: logits.softmax(-1)),
    "one_hot": (lambda labels, logits: torch.eye(3)[labels], lambda logits: logits.softmax(-1)),
    "one_hot_logits": (lambda labels, logits: torch.eye(3)[labels], lambda logits: logits),
    "labels": (lambda labels, logits: labels, lambda logits: logits.softmax(-1)),
    "column": (lambda labels, logits: labels.unsqueeze(-1), lambda logits: logits.softmax(-1)),
    "labels_logits": (lambda labels, logits: labels, lambda logits: logits),
}
OF_EVERY_RANK = ("numbers", "positive", "bits", "bits_logits")


def case(kind: str, axes: int, samples: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and outputs of 1 to 3 axes: (n,), (n, 3) or (n, 4, 3)."""
    lead = (samples, 4) if axes == 3 else (samples,)
    logits, labels = torch.randn(*lead, 3) * 2, torch.randint(0, 3, lead)
    target, output = KINDS[kind]
    y_true, y_pred = target(labels, logits), output(logits)
    return (y_true[:, 0], y_pred[:, 0]) if axes == 1 else (y_true, y_pred)


def shaped_for_keras(y_true, y_pred, weights):
    """What the three mean, spelled out for Keras: numbers as (n, 1), a weight for each value of a sample."""
    lead = y_pred.shape[:-1] if y_pred.ndim == 3 else y_pred.shape[:1]
    if weights is not None:
        weights = (weights.reshape(len(weights), -1) if len(lead) > 1 else weights.flatten()).expand(lead)
        weights = weights.contiguous()  # Keras writes into it
    return (y_true[:, None], y_pred[:, None], weights) if y_pred.ndim == 1 else (y_true, y_pred, weights)


BY_VALUES = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("Huber", {"delta": 0.4}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("Poisson", {}, "positive"),
    ("KLDivergence", {}, "shares"),
    ("CosineSimilarity", {}, "numbers"),
    ("Hinge", {}, "bits_logits"),
    ("SquaredHinge", {}, "bits_logits"),
    ("CategoricalHinge", {}, "one_hot_logits"),
    ("Dice", {"axis": -1}, "bits"),
    ("Tversky", {"alpha": 0.3, "axis": -1}, "bits"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "bits_logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot_logits"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "column"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, "labels_logits"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": -1}, "labels_logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True}, "bits"),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, "one_hot"),
]
WEIGHTS = [None, (6,), (6, 1), (6, 4), (6, 4, 1)]


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "axes"),
    [(*row, axes) for row in BY_VALUES for axes in ((1, 2, 3) if row[2] in OF_EVERY_RANK else (2, 3))],
    ids=str,
)
def test_a_loss_equals_keras_for_every_rank_weight_and_reduction(name, arguments, kind, axes):
    y_true, y_pred = case(kind, axes)
    for shape in WEIGHTS if axes == 3 else WEIGHTS[:3]:
        weights = None if shape is None else torch.rand(shape) + 0.1
        for reduction in ("sum_over_batch_size", "sum", "none", "mean_with_sample_weight"):
            options = {**arguments, "reduction": reduction}
            ours = getattr(losses, name)(**options)(y_true, y_pred, weights)
            theirs = getattr(keras.losses, name)(**options)(*shaped_for_keras(y_true, y_pred, weights))
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=f"{shape}, {reduction}")


@pytest.mark.parametrize(("name", "arguments", "kind"), BY_VALUES, ids=str)
def test_the_loss_of_no_samples_is_zero_and_moves_nothing(name, arguments, kind):
    for axes in (1, 2, 3) if kind in OF_EVERY_RANK else (2, 3):
        y_true, y_pred = case(kind, axes, samples=0)
        weight = torch.ones((), requires_grad=True)
        value = getattr(losses, name)(**arguments)(y_true, y_pred * weight)
        (gradient,) = torch.autograd.grad(value, weight)
        assert (value.item(), gradient.item()) == (0.0, 0.0)


def test_labels_in_bytes_are_ignored_by_their_number():
    logits, labels = torch.randn(3, 256), torch.tensor([255, 1, 2])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    torch.testing.assert_close(loss(labels.to(torch.uint8), logits), F.cross_entropy(logits, labels))


def test_weights_for_a_loss_of_the_whole_batch_are_told_with_the_way_out():
    y_true, y_pred = case("bits", 2)
    with pytest.raises(DataError, match=r"Loss 'dice': .*one number for the whole batch.*Dice.*axis=-1"):
        losses.Dice()(y_true, y_pred, torch.ones(6))
    assert float(losses.Dice(axis=-1)(y_true, y_pred, torch.ones(6)).detach()) > 0


def test_a_loss_over_time_steps_equals_keras_with_weights_for_each_step():
    logits, labels = torch.randn(4, 6, 5), torch.randint(0, 5, (4, 6))
    for y_true in (labels, labels.unsqueeze(-1)):
        for weights in (None, torch.rand(4, 6)):
            arguments = {"from_logits": True}
            assert_equal_to_keras("SparseCategoricalCrossentropy", arguments, y_true, logits, weights)
    one_hot = torch.eye(5)[labels]
    assert_equal_to_keras("CategoricalCrossentropy", {"from_logits": True}, one_hot, logits, torch.rand(4, 6))
    assert_equal_to_keras("MeanSquaredError", {}, one_hot, logits, torch.rand(4, 6))


def test_the_axis_of_classes_may_be_any():
    logits, labels = torch.randn(4, 5, 6), torch.randint(0, 5, (4, 6))
    for arguments in ({"from_logits": True, "axis": 1}, {"from_logits": True, "axis": 1, "ignore_class": 0}):
        assert_equal_to_keras("SparseCategoricalCrossentropy", arguments, labels, logits)
    one_hot = torch.eye(5)[labels].movedim(-1, 1)
    assert_equal_to_keras("CategoricalCrossentropy", {"from_logits": True, "axis": 1}, one_hot, logits)


def test_a_weight_for_each_sample_spreads_over_its_time_steps():
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    loss = losses.MeanAbsoluteError()
    weighted = loss(torch.zeros(2, 3, 1), values.unsqueeze(-1), sample_weight=torch.tensor([1.0, 10.0]))
    assert float(weighted) == pytest.approx((1 + 2 + 3 + 40 + 50 + 60) / 6)


def test_from_logits_the_gradient_is_exact_where_probabilities_are_clipped():
    logits = torch.tensor([[120.0, 0.0]], requires_grad=True)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)(torch.tensor([1]), logits)
    assert float(loss.detach()) == pytest.approx(120.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [[1.0, -1.0]]
    clipped = losses.SparseCategoricalCrossentropy()(torch.tensor([1]), logits.softmax(-1))
    assert float(clipped.detach()) == pytest.approx(16.118, abs=1e-3)


def test_without_weights_a_crossentropy_from_logits_is_one_kernel_of_torch():
    logits, labels = torch.randn(8, 5), torch.randint(0, 5, (8,))
    bits = (logits > 0).float()
    for loss, y, expected in (
        (losses.SparseCategoricalCrossentropy(True), labels, F.cross_entropy(logits, labels)),
        (
            losses.CategoricalCrossentropy(True),
            torch.eye(5)[labels],
            F.cross_entropy(logits, torch.eye(5)[labels]),
        ),
        (losses.BinaryCrossentropy(True), bits, F.binary_cross_entropy_with_logits(logits, bits)),
        (losses.MeanSquaredError(), bits, F.mse_loss(logits, bits)),
    ):
        assert torch.equal(loss(y, logits), expected)


def test_an_ignored_class_counts_neither_in_the_sum_nor_in_the_mean():
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, -1, 2, -1, 0])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    kept = labels != -1
    torch.testing.assert_close(loss(labels, logits), F.cross_entropy(logits[kept], labels[kept]))
    assert loss.per_sample(labels, logits)[~kept].tolist() == [0.0, 0.0]
    assert float(loss(torch.full((6,), -1), logits)) == 0.0


def test_no_label_is_passed_over_unless_it_was_asked_for():
    with pytest.raises(IndexError, match="Target -100 is out of bounds"):
        losses.SparseCategoricalCrossentropy(from_logits=True)(torch.tensor([-100]), torch.zeros(1, 3))


def test_half_precision_is_summed_in_float32():
    y_pred = torch.full((4096, 8), 0.3, dtype=torch.bfloat16)
    assert losses.MeanSquaredError()(torch.zeros(4096, 8), y_pred).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = losses.BinaryCrossentropy()(torch.zeros(4096, 8), y_pred)
    assert float(value) == pytest.approx(-np.log(1 - float(y_pred[0, 0])), rel=1e-5)


def test_exactly_one_trailing_axis_of_length_one_is_aligned():
    y_true, y_pred = torch.rand(7), torch.rand(7, 1)
    expected = F.mse_loss(y_pred.squeeze(-1), y_true)
    for one, other in (
        (y_true, y_pred),
        (y_pred, y_true),
        (y_true, y_pred[:, 0]),
        (y_pred, y_pred * 0 + y_true[:, None]),
    ):
        assert losses.MeanSquaredError().per_sample(one, other).shape == (7,)
    torch.testing.assert_close(losses.MeanSquaredError()(y_true, y_pred), expected)
    weights = torch.arange(7.0)
    weighted = losses.MeanSquaredError()(y_true, y_pred[:, 0], weights)
    torch.testing.assert_close(weighted, ((y_true - y_pred[:, 0]) ** 2 * weights).mean())


@pytest.mark.parametrize(
    ("loss", "target", "output", "words"),
    [
        (
            "mse",
            (4, 5),
            (4, 1),
            r"Loss 'mean_squared_error': expected targets shaped like the outputs, "
            r"got targets of shape \(4, 5\) for outputs of shape \(4, 1\)",
        ),
        ("mae", (4,), (4, 3), r"got targets of shape \(4,\) for outputs of shape \(4, 3\)"),
        ("bce", (4, 1), (4, 3), r"Loss 'binary_crossentropy': expected targets shaped like the outputs"),
        (
            "categorical_crossentropy",
            (4,),
            (4, 3),
            r"targets without the axis of classes are class indices.* "
            r"Fix: loss='sparse_categorical_crossentropy'",
        ),
        ("categorical_crossentropy", (4, 1), (4, 3), r"Fix: loss='sparse_categorical_crossentropy'"),
        (
            "sparse_categorical_crossentropy",
            (4, 3),
            (4, 3),
            r"(?i)targets with the axis of classes are one-hot.* Fix: loss='categorical_crossentropy'",
        ),
        (
            "sparse_categorical_crossentropy",
            (5,),
            (4, 3),
            r"expected class indices of shape \(4,\), got targets of shape \(5,\)",
        ),
        (
            "sparse_categorical_crossentropy",
            (4,),
            (4, 1),
            r"expected at least 2 classes, got outputs of shape \(4, 1\).* Fix: loss='binary_crossentropy'",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_told_with_the_way_out(loss, target, output, words):
    with pytest.raises(DataError, match="(?i)" + words.removeprefix("(?i)")):
        losses.get(loss)(torch.zeros(target), torch.rand(output))


def test_weights_that_do_not_fit_are_told():
    with pytest.raises(DataError, match=r"Loss 'mean_squared_error': .* got sample weights of shape \(3,\)"):
        losses.get("mse")(torch.zeros(4, 5), torch.zeros(4, 5), torch.ones(3))


@pytest.mark.parametrize(("name", "arguments", "target", "output"), CASES, ids=str)
def test_a_config_holds_keras_keys_and_makes_the_same_loss(name, arguments, target, output):
    made = getattr(losses, name)(**arguments, reduction="sum", name="mine")
    again = losses.deserialize(losses.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    theirs = getattr(keras.losses, name)(**arguments)
    assert set(theirs.get_config()) <= set(made.get_config())
    imported = losses.get(keras.losses.serialize(theirs))
    assert {key: imported.get_config()[key] for key in theirs.get_config()} == plain(theirs.get_config())


ALIASES = ["bce", "BCE", "kld", "KLD", "mae", "MAE", "mape", "MAPE", "mse", "MSE", "msle", "MSLE"]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_stands_for_what_it_stands_for_in_keras(alias):
    assert losses.get(alias).name == keras.losses.get(alias).__name__


def test_our_own_functions_stand_for_their_classes():
    assert isinstance(losses.get(losses.hinge), losses.Hinge)
    assert isinstance(losses.get(losses.categorical_crossentropy), losses.CategoricalCrossentropy)


def test_a_function_of_ones_own_is_called_in_the_order_of_keras():
    def weighted_error(y_true, y_pred):
        return ((2 * y_true - y_pred) ** 2).mean(-1)

    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    loss = losses.get(weighted_error)
    assert loss.name == "weighted_error"
    torch.testing.assert_close(loss(y_true, y_pred), ((2 * y_true - y_pred) ** 2).mean())
    assert loss.per_sample(y_true, y_pred).shape == (4,)
    with custom_object_scope({"weighted_error": weighted_error}):
        assert losses.get(losses.serialize(loss)).function is weighted_error


def test_a_class_of_ones_own_defines_call():
    class Cubed(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true - y_pred).abs().pow(3).mean(-1)

    loss = losses.get(Cubed)
    assert loss.name == "cubed"
    values = loss.per_sample([[1.0, 2.0]], np.zeros((1, 2), np.float32))
    assert values.tolist() == [4.5]
    assert float(Cubed(reduction="sum")(torch.ones(3, 2), torch.zeros(3, 2))) == 3.0


LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
FRACTIONS = torch.linspace(0, 1, 40).reshape(8, 5)


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), LABELS),
        (nn.CrossEntropyLoss, LABELS),
        (F.cross_entropy, LABELS),
        (partial(F.cross_entropy, label_smoothing=0.1), LABELS),
        (nn.MSELoss(), FRACTIONS),
        (nn.BCEWithLogitsLoss(pos_weight=torch.arange(5.0)), FRACTIONS),
        (F.smooth_l1_loss, FRACTIONS),
    ],
    ids=["object", "class", "function", "partial", "mse", "bce", "smooth_l1"],
)
def test_a_loss_of_torch_is_called_in_the_order_of_torch(given, target):
    logits = torch.randn(8, 5)
    direct = given() if isinstance(given, type) else given
    loss = losses.get(given)
    torch.testing.assert_close(loss(target, logits), direct(logits, target))
    weights = torch.rand(8)
    values = loss.per_sample(target, logits)
    shaped = weights.view(8, *[1] * (values.ndim - 1))
    torch.testing.assert_close(loss(target, logits, weights), (values * shaped).mean())
    torch.testing.assert_close(loss(target, logits, torch.ones(8)), direct(logits, target))


WHOLE = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1]])
BY_NUMBERS = [
    (nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits, "logits"),
    (nn.BCELoss(), F.binary_cross_entropy, "shares"),
    (nn.MSELoss(), F.mse_loss, "logits"),
    (nn.L1Loss(), F.l1_loss, "logits"),
    (nn.HuberLoss(delta=0.5), partial(F.huber_loss, delta=0.5), "logits"),
    (nn.SmoothL1Loss(), F.smooth_l1_loss, "logits"),
    (nn.PoissonNLLLoss(), F.poisson_nll_loss, "logits"),
    (nn.KLDivLoss(reduction="batchmean"), partial(F.kl_div, reduction="batchmean"), "logarithms"),
    (nn.SoftMarginLoss(), F.soft_margin_loss, "logits"),
    (nn.MultiLabelSoftMarginLoss(), F.multilabel_soft_margin_loss, "logits"),
    (nn.HingeEmbeddingLoss(), F.hinge_embedding_loss, "logits"),
    (
        partial(F.gaussian_nll_loss, var=torch.ones(4, 3)),
        partial(F.gaussian_nll_loss, var=torch.ones(4, 3)),
        "logits",
    ),
]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize(
    ("module", "function", "kind"), BY_NUMBERS, ids=lambda each: getattr(each, "__name__", None)
)
def test_whole_numbers_are_targets_for_every_loss_of_torch_that_compares_numbers(
    module, function, kind, dtype
):
    logits = torch.randn(4, 3)
    y_pred = {"logits": logits, "shares": logits.softmax(-1), "logarithms": logits.log_softmax(-1)}[kind]
    y_pred = y_pred.requires_grad_()
    direct = module(y_pred, WHOLE.float())
    for given in (module, function):
        value = losses.get(given)(WHOLE.to(dtype), y_pred)
        torch.testing.assert_close(value, direct)
        (gradient,) = torch.autograd.grad(value, y_pred)
        (expected,) = torch.autograd.grad(direct, y_pred, retain_graph=True)
        torch.testing.assert_close(gradient, expected)


CLASSWISE = [
    nn.CrossEntropyLoss(),
    nn.NLLLoss(),
    nn.MultiMarginLoss(),
    F.cross_entropy,
    F.nll_loss,
    F.multi_margin_loss,
]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
@pytest.mark.parametrize("given", CLASSWISE, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_class_indices_of_any_dtype_and_in_a_column_are_what_torch_takes_as_long(given, dtype):
    logits, labels = torch.randn(8, 5).log_softmax(-1), LABELS
    for y_true in (labels.to(dtype), labels.to(dtype).unsqueeze(-1)):
        torch.testing.assert_close(losses.get(given)(y_true, logits), given(logits, labels))


def test_classes_of_every_step_and_of_probabilities_are_taken_as_torch_takes_them():
    logits, labels = torch.randn(4, 5, 6), torch.randint(0, 5, (4, 6))
    one_hot = F.one_hot(labels, 5).movedim(-1, 1)
    loss = losses.get(nn.CrossEntropyLoss())
    torch.testing.assert_close(loss(labels.int(), logits), F.cross_entropy(logits, labels))
    torch.testing.assert_close(loss(one_hot, logits), F.cross_entropy(logits, labels))
    indices = torch.tensor([[1, 4, -1, -1, -1]] * 4)
    values = losses.get(nn.MultiLabelMarginLoss())(indices.int(), logits[..., 0])
    torch.testing.assert_close(values, F.multilabel_margin_loss(logits[..., 0], indices))


def test_under_autocast_whole_numbers_keep_their_value():
    y_pred, y_true = torch.zeros(4, 3, dtype=torch.bfloat16), torch.full((4, 3), 1001)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert losses.get(nn.L1Loss())(y_true, y_pred).item() == 1001.0


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), F.nll_loss])
def test_a_crossentropy_of_torch_over_a_single_class_is_told(loss):
    with pytest.raises(
        DataError, match=r"at least 2 classes, got outputs of shape \(8, 1\).*BCEWithLogitsLoss"
    ):
        losses.get(loss)(torch.ones(8), torch.randn(8, 1))


@pytest.mark.parametrize(
    "given",
    [
        nn.CrossEntropyLoss(weight=torch.arange(1.0, 6.0)),
        nn.CrossEntropyLoss(ignore_index=2),
        partial(F.cross_entropy, weight=torch.arange(1.0, 6.0), ignore_index=0, label_smoothing=0.1),
        nn.NLLLoss(weight=torch.arange(1.0, 6.0), ignore_index=4),
        nn.CrossEntropyLoss(reduction="sum"),
        partial(F.cross_entropy, reduction="sum"),
        nn.MultiMarginLoss(weight=torch.arange(1.0, 6.0)),
    ],
    ids=without_address,
)
def test_equal_weights_of_samples_leave_the_loss_of_torch_as_it_is(given):
    logits = torch.randn(8, 5).log_softmax(-1)
    torch.testing.assert_close(losses.get(given)(LABELS, logits, torch.ones(8)), given(logits, LABELS))


def test_equal_weights_leave_sums_and_means_of_a_batch_as_they_are():
    y_pred = torch.randn(4, 3).log_softmax(-1)
    for given in (nn.MSELoss(reduction="sum"), nn.KLDivLoss(reduction="batchmean"), nn.PoissonNLLLoss()):
        loss = losses.get(given)
        torch.testing.assert_close(loss(WHOLE, y_pred, torch.ones(4)), given(y_pred, WHOLE.float()))


@pytest.mark.parametrize("given", [nn.MSELoss(), nn.CrossEntropyLoss(), F.binary_cross_entropy_with_logits])
def test_a_loss_of_torch_of_no_samples_is_zero(given):
    y_pred = torch.zeros(0, 3, requires_grad=True)
    value = losses.get(given)(torch.zeros(0, 3), y_pred)
    (gradient,) = torch.autograd.grad(value, y_pred)
    assert value.item() == 0.0 and gradient.shape == (0, 3)


TAKES = {
    "logits": [
        nn.CrossEntropyLoss(), F.cross_entropy, partial(F.cross_entropy, label_smoothing=0.1),
        nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, nn.MultiLabelSoftMarginLoss(),
        nn.SoftMarginLoss(), losses.BinaryCrossentropy(from_logits=True),
        losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
    "log_probabilities": [nn.NLLLoss(), F.nll_loss, nn.KLDivLoss(), F.kl_div],
    "probabilities": [
        nn.BCELoss(), F.binary_cross_entropy, "bce", "categorical_crossentropy",
        "sparse_categorical_crossentropy", "binary_focal_crossentropy", "categorical_focal_crossentropy",
        "kld", "dice", "tversky",
    ],
    None: [
        nn.MSELoss(), F.l1_loss, nn.MultiMarginLoss(), "mse", "hinge", "poisson",
        lambda y_true, y_pred: y_pred.mean(), nn.Identity(),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("takes", "given"), [(takes, each) for takes, row in TAKES.items() for each in row], ids=without_address
)
def test_a_loss_says_what_it_takes_for_an_output(takes, given):
    assert losses.get(given).takes == takes


TWICE = [
    ("softmax", nn.CrossEntropyLoss(), "takes logits: what makes probabilities is applied twice. "
     "Fix: activation=None in its layer, or loss='sparse_categorical_crossentropy'"),
    ("sigmoid", nn.BCEWithLogitsLoss(), "applied twice. Fix: activation=None in its layer, or loss='binary_crossentropy'"),
    ("sigmoid", F.cross_entropy, "applied twice"),
    ("log_sigmoid", nn.BCEWithLogitsLoss(), "applied twice. Fix: activation=None in its layer."),
    ("softmax", losses.CategoricalCrossentropy(from_logits=True), "applied twice"),
    ("softmax", nn.NLLLoss(), "takes it for log-probabilities. Fix: activation='log_softmax' in its layer, or loss="),
    ("log_softmax", "categorical_crossentropy", "takes it for probabilities. Fix: activation='softmax' in its layer."),
    ("softmax", "categorical_crossentropy", None),
    ("sigmoid", nn.BCELoss(), None),
    ("sigmoid", "dice", None),
    ("softmax", "mse", None),
    ("log_softmax", nn.NLLLoss(), None),
    ("log_softmax", nn.CrossEntropyLoss(), None),
    ("relu", nn.CrossEntropyLoss(), None),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "given", "words"), TWICE, ids=without_address)
def test_a_loss_that_does_not_go_with_the_activation_of_its_output_is_told(activation, given, words):
    loss = losses.get(given)
    told = misfit(loss, activation, "kind")
    if words is None:
        assert told is None
    else:
        assert told.startswith(f"The output 'kind' is a {activation} already, and its loss {loss.name!r} ")
        assert words in told


def test_targets_of_one_column_are_aligned_for_torch_too():
    y_pred, y_true = torch.rand(6, 1), torch.rand(6)
    torch.testing.assert_close(losses.get(nn.MSELoss())(y_true, y_pred), F.mse_loss(y_pred[:, 0], y_true))


def test_a_loss_that_returns_one_number_cannot_be_weighted():
    loss = losses.get(lambda y_true, y_pred: (y_true - y_pred).abs().mean())
    assert float(loss(torch.zeros(3, 2), torch.ones(3, 2))) == 1.0
    with pytest.raises(
        DataError, match="one number for the whole batch.* Fix: return the values before their mean"
    ):
        loss(torch.zeros(3, 2), torch.ones(3, 2), torch.ones(3))


def test_crossentropy_is_resolved_by_the_shapes():
    assert isinstance(losses.resolve("crossentropy", (None, 1), (None, 1)), losses.BinaryCrossentropy)
    assert isinstance(losses.resolve("ce", (None, 5), (None,)), losses.SparseCategoricalCrossentropy)
    assert isinstance(losses.resolve("ce", (None, 5), (None, 1)), losses.SparseCategoricalCrossentropy)
    assert isinstance(losses.resolve("ce", (None, 5), (None, 5)), losses.CategoricalCrossentropy)
    assert isinstance(losses.resolve("mse", (None, 5), (None, 5)), losses.MeanSquaredError)
    assert losses.get(None) is None


def test_wrong_names_and_arguments_are_told():
    with pytest.raises(
        UnknownNameError, match=r"Unknown loss 'binary_crossentopy'\. Did you mean 'binary_crossentropy'\?"
    ):
        losses.get("binary_crossentopy")
    with pytest.raises(
        CompileError, match=r"Hinge: expected one of 'sum_over_batch_size'.* got reduction='average'"
    ):
        losses.Hinge(reduction="average")
    with pytest.raises(ConfigError, match=r"loss 'Huber': expected arguments among \['delta', .*got 'alpha'"):
        losses.get({"class_name": "Huber", "config": {"alpha": 1.0}})
    with pytest.raises(SavingError, match="write it as a named function"):
        losses.serialize(nn.MSELoss())


def test_a_loss_is_computed_in_its_dtype_and_halves_are_summed_up_in_float32():
    y_true, y_pred = torch.rand(2000, 3), torch.rand(2000, 3)
    exact = (y_true.double() - y_pred.double()).square().mean()
    assert losses.MeanSquaredError(dtype="float64")(y_true, y_pred) == exact
    half = losses.MeanSquaredError(dtype=torch.float16)(y_true, y_pred)
    assert half.dtype == torch.float16 and half == exact.half()
    assert losses.get(losses.serialize(losses.Hinge(dtype="float64"))).dtype == "float64"
    with pytest.raises(
        ValueError, match="dtype: expected the name of a dtype such as 'float32', or a policy"
    ):
        losses.Hinge(dtype="flaot32")


def test_an_embedding_without_a_partner_counts_in_no_mean_of_circle_and_has_no_gradient():
    y_pred = F.normalize(torch.randn(5, 4, dtype=torch.float64), dim=-1).requires_grad_()
    y_true = torch.tensor([0, 0, 1, 1, 2])
    loss = losses.Circle()(y_true, y_pred)
    loss.backward()
    assert torch.isfinite(y_pred.grad).all()
    values = losses.circle(y_true, y_pred)
    assert values[4] == 0
    torch.testing.assert_close(loss, values[:4].mean())


def test_a_batch_of_which_nothing_counts_has_a_loss_and_a_gradient_of_zeros():
    def of(loss, y_true, y_pred, **given):
        y_pred = y_pred.clone().requires_grad_()
        value = loss(y_true, y_pred, **given)
        value.backward()
        return value, y_pred.grad

    embeddings, steps = F.normalize(torch.rand(2, 3), dim=-1), torch.rand(2, 3, 4)
    masked = {"mask": torch.zeros(2, 3, dtype=torch.bool)}
    for value, gradient in (
        of(losses.Circle(), torch.tensor([0, 1]), embeddings),
        of(losses.MeanSquaredError(), torch.rand(2, 3, 4), steps, **masked),
        of(losses.SparseCategoricalCrossentropy(ignore_class=1), torch.ones(2, 3).long(), steps.softmax(-1)),
        of(
            losses.MeanAbsoluteError("mean_with_sample_weight"),
            steps + 1,
            steps,
            sample_weight=torch.zeros(2),
        ),
    ):
        assert value == 0 and torch.equal(gradient, torch.zeros_like(gradient))


def test_epsilon_is_what_divisors_are_held_off_zero_by():
    from torchfunc import settings

    y_true, y_pred = torch.zeros(1, 1), torch.ones(1, 1)
    settings.set_epsilon(0.5)
    try:
        assert losses.mean_absolute_percentage_error(y_true, y_pred) == 200.0
    finally:
        settings.set_epsilon(1e-7)


def test_a_function_without_a_home_is_a_loss() -> None:
    def squares(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        return ((y_true - y_pred) ** 2).mean(dim=-1)

    squares.__module__ = None  # type: ignore[assignment]  # as functions that are made by exec have it
    assert float(losses.get(squares)(torch.zeros(2, 1), torch.ones(2, 1))) == 1.0
