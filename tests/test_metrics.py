"""Metrics against Keras over several batches, and what they must not do: read the device."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.test_losses import OF_EVERY_RANK, WEIGHTS, case, shaped_for_keras
from torchfunc import losses, metrics, registry
from torchfunc.config import plain
from torchfunc.errors import DataError, SavingError, TorchfuncError, UnknownNameError
from torchfunc.metrics.metric import expanded, figures
from torchfunc.registry import custom_object_scope

CLASSES = 6


def batch(kind: str, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and outputs of a kind, with numbers on a grid so that thresholds are met by none."""
    logits = torch.randn(samples, CLASSES) * 2
    labels = torch.randint(0, CLASSES, (samples,))
    bits = torch.randint(0, 2, (samples, CLASSES)).float()
    return {
        "numbers": (torch.rand(samples, CLASSES) + 0.1, logits),
        "positive": (torch.rand(samples, CLASSES), logits.exp()),
        "shares": (torch.rand(samples, CLASSES).softmax(-1), logits.softmax(-1)),
        "one_hot": (torch.eye(CLASSES)[labels], logits.softmax(-1)),
        "one_hot_logits": (torch.eye(CLASSES)[labels], logits),
        "labels": (labels, logits.softmax(-1)),
        "column": (labels.unsqueeze(-1), logits.softmax(-1)),
        "bits": (bits, logits.sigmoid()),
        "bit": (bits[:, :1], logits[:, :1].sigmoid()),
        "flat_bit": (bits[:, 0], logits[:, :1].sigmoid()),
        "bits_logits": (bits, logits),
        "classes": (labels, torch.randint(0, CLASSES, (samples,))),
        "ids": (labels, logits.argsort(-1, descending=True).float()),
    }[kind]


CASES = [
    ("Accuracy", {}, "classes"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "flat_bit"),
    ("CategoricalAccuracy", {}, "one_hot"),
    ("SparseCategoricalAccuracy", {}, "labels"),
    ("SparseCategoricalAccuracy", {}, "column"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one_hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "labels"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "ids"),
    ("MeanSquaredError", {}, "numbers"),
    ("RootMeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("LogCoshError", {}, "numbers"),
    ("PearsonCorrelation", {}, "numbers"),
    ("ConcordanceCorrelation", {}, "numbers"),
    ("OneHotIoU", {"num_classes": CLASSES, "target_class_ids": [1, 3]}, "one_hot"),
    ("OneHotMeanIoU", {"num_classes": CLASSES}, "one_hot"),
    ("CosineSimilarity", {}, "numbers"),
    ("KLDivergence", {}, "shares"),
    ("Poisson", {}, "positive"),
    ("Hinge", {}, "bits_logits"),
    ("SquaredHinge", {}, "bits_logits"),
    ("CategoricalHinge", {}, "one_hot_logits"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits_logits"),
    ("CategoricalCrossentropy", {}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one_hot_logits"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("TruePositives", {}, "bits"),
    ("FalsePositives", {"thresholds": 0.4}, "bits"),
    ("TrueNegatives", {"thresholds": [0.7, 0.2]}, "bits"),
    ("FalseNegatives", {"thresholds": [0.2, 0.5, 0.7]}, "bits"),
    ("Precision", {}, "bit"),
    ("Precision", {"thresholds": [0.7, 0.1, 0.4]}, "bits"),
    ("Precision", {"top_k": 2}, "one_hot"),
    ("Precision", {"class_id": 1}, "bits"),
    ("Recall", {}, "flat_bit"),
    ("Recall", {"thresholds": [0.3, 0.6], "class_id": 2}, "bits"),
    ("Recall", {"top_k": 2, "class_id": 3}, "one_hot"),
    ("AUC", {}, "bit"),
    ("AUC", {"from_logits": True, "summation_method": "minoring"}, "bits_logits"),
    ("AUC", {"curve": "PR"}, "bits"),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 11}, "bits"),
    ("AUC", {"curve": "PRGAIN"}, "bits"),
    ("AUC", {"thresholds": [0.9, 0.3, 0.35]}, "bits"),
    ("AUC", {"multi_label": True}, "bits"),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5, 0.0, 1.0, 3.0], "curve": "PR"}, "bits"),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5, 0.0, 1.0, 3.0]}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, "bits"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4, "num_thresholds": 20}, "bits"),
    ("PrecisionAtRecall", {"recall": 0.4}, "bits"),
    ("RecallAtPrecision", {"precision": 0.5, "class_id": 1}, "bits"),
    ("F1Score", {}, "one_hot"),
    ("F1Score", {"average": "weighted"}, "one_hot"),
    ("FBetaScore", {"average": "micro", "beta": 2.0, "threshold": 0.4}, "bits"),
    ("FBetaScore", {"average": "macro", "beta": 0.5}, "one_hot"),
    ("R2Score", {}, "numbers"),
    ("R2Score", {"class_aggregation": None}, "numbers"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 3}, "numbers"),
    ("MeanIoU", {"num_classes": CLASSES}, "classes"),
    ("MeanIoU", {"num_classes": CLASSES, "ignore_class": 2, "sparse_y_pred": False}, "labels"),
    (
        "IoU",
        {"num_classes": CLASSES, "target_class_ids": [1, 4], "sparse_y_true": False, "sparse_y_pred": False},
        "one_hot",
    ),
    ("BinaryIoU", {"threshold": 0.3}, "bits"),
]
UNWEIGHTED = {"MeanIoU", "IoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU"}


def result_of(metric, batches):
    for y_true, y_pred, weights in batches:
        metric.update_state(y_true, y_pred, weights)
    return torch.as_tensor(metric.result()).cpu().float()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "kind"), CASES, ids=str)
def test_a_metric_equals_its_keras_twin_over_uneven_batches_and_after_a_reset(
    name, arguments, kind, weighted
):
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    weighted = weighted and name not in UNWEIGHTED
    for _ in range(2):
        batches = [(*batch(kind, n), torch.rand(n) if weighted else None) for n in (40, 40, 7)]
        torch.testing.assert_close(result_of(ours, batches), result_of(theirs, batches), rtol=1e-5, atol=1e-5)
        ours.reset_state()
        theirs.reset_state()


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES, ids=str)
def test_updating_reads_nothing_from_the_device_and_keeps_no_graph(name, arguments, kind, monkeypatch):
    metric = getattr(metrics, name)(**arguments)
    y_true, y_pred = batch(kind, 9)
    y_pred = y_pred.requires_grad_() if y_pred.is_floating_point() else y_pred

    def read(*_):
        raise AssertionError("the device was read")

    for method in ("item", "tolist", "numpy", "__float__", "__int__", "__bool__", "cpu"):
        monkeypatch.setattr(torch.Tensor, method, read)
    metric.update_state(y_true, y_pred)
    metric.update_state(y_true, y_pred)
    monkeypatch.undo()
    assert not torch.as_tensor(metric.result()).requires_grad


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES, ids=str)
def test_before_the_first_batch_the_result_is_that_of_keras(name, arguments, kind):
    ours = torch.as_tensor(getattr(metrics, name)(**arguments).result()).float()
    if name in ("R2Score", "F1Score", "FBetaScore") or arguments.get("multi_label"):
        # Keras does not know how many classes there are, and fails.
        assert float(ours) == 0.0
    else:
        expected = torch.as_tensor(getattr(keras.metrics, name)(**arguments).result()).float()
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES, ids=str)
def test_a_config_holds_keras_keys_and_makes_the_same_metric(name, arguments, kind):
    made = getattr(metrics, name)(**arguments, name="mine")
    again = metrics.deserialize(metrics.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    config = plain(getattr(keras.metrics, name)(**arguments).get_config())
    imported = metrics.get({"class_name": name, "config": config}).get_config()
    for key in set(config) - {"dtype", "name"}:
        assert_same(key, imported[key], config[key])


def assert_same(key, ours, theirs):
    if key == "thresholds" and theirs is not None:
        assert sorted(np.atleast_1d(ours)) == pytest.approx(sorted(np.atleast_1d(theirs)))
    else:
        assert ours == theirs


def test_every_name_of_keras_stands_for_the_same_metric():
    from keras.src.metrics import ALL_OBJECTS_DICT

    left_out = {
        "ConcordanceCorrelation",
        "PearsonCorrelation",
        "OneHotIoU",
        "OneHotMeanIoU",
        "Metric",
        "MeanMetricWrapper",
    }
    for name, theirs in ALL_OBJECTS_DICT.items():
        if theirs.__name__ not in left_out:
            assert registry.metrics.lookup(name).__name__ == theirs.__name__


@pytest.mark.parametrize("shape", [(8,), (8, 3), ()], ids=str)
@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_mean_and_sum_equal_those_of_keras_for_every_shape_of_values_and_weights(name, shape):
    values = torch.randn(shape)
    for weights in (None, torch.tensor(2.0), *([torch.rand(shape), torch.rand(8)] if shape else [])):
        ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        for _ in range(2):
            ours.update_state(values, weights)
            theirs.update_state(values, weights)
        torch.testing.assert_close(torch.as_tensor(ours.result()).float(), theirs.result())


def test_a_sum_of_many_samples_does_not_stop_counting():
    metric = metrics.Mean()
    metric.state = {"total": torch.tensor(2.0**25, dtype=torch.float64), "count": 2**25}
    metric.update_state(torch.ones(3))
    assert float(metric.state["total"]) == metric.state["count"] == 2**25 + 3


def test_counts_of_accuracy_stay_exact_integers():
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(torch.tensor([0, 1]), torch.eye(3)[[0, 2]])
    assert metric.state["total"].dtype == torch.int64
    assert metric.state["count"] == 2
    assert float(metric.result()) == 0.5


BY_VALUES = [
    ("Accuracy", {}, "bits"),
    ("BinaryAccuracy", {}, "bits"),
    ("CategoricalAccuracy", {}, "one_hot"),
    ("SparseCategoricalAccuracy", {}, "labels"),
    ("SparseCategoricalAccuracy", {}, "column"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one_hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "column"),
    ("MeanSquaredError", {}, "numbers"),
    ("RootMeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("LogCoshError", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("KLDivergence", {}, "shares"),
    ("Poisson", {}, "positive"),
    ("Hinge", {}, "bits_logits"),
    ("SquaredHinge", {}, "bits_logits"),
    ("CategoricalHinge", {}, "one_hot_logits"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits_logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot_logits"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "column"),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}, "labels_logits"),
    ("TruePositives", {}, "bits"),
    ("FalseNegatives", {"thresholds": [0.2, 0.7]}, "bits"),
    ("Precision", {}, "bits"),
    ("Recall", {}, "bits"),
    ("Recall", {"class_id": 1}, "one_hot"),
    ("Precision", {"top_k": 2}, "one_hot"),
    ("AUC", {}, "bits"),
    ("AUC", {"curve": "PR"}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, "bits"),
    ("PrecisionAtRecall", {"recall": 0.4}, "bits"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "axes"),
    [(*row, axes) for row in BY_VALUES for axes in ((1, 2, 3) if row[2] in OF_EVERY_RANK else (2, 3))],
    ids=str,
)
def test_a_metric_equals_keras_for_every_rank_and_weight_and_passes_over_an_empty_batch(
    name, arguments, kind, axes
):
    for shape in WEIGHTS if axes == 3 else WEIGHTS[:3]:
        ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
        for samples in (6, 0, 6):
            y_true, y_pred = case(kind, axes, samples)
            weights = None if shape is None else torch.rand(samples, *shape[1:]) + 0.1
            ours.update_state(y_true, y_pred, weights)
            if samples:
                theirs.update_state(*shaped_for_keras(y_true, y_pred, weights))
        torch.testing.assert_close(ours.result(), theirs.result(), rtol=1e-4, atol=1e-5, msg=f"{shape}")


@pytest.mark.parametrize(("name", "arguments", "kind"), BY_VALUES, ids=str)
def test_the_figure_of_an_empty_batch_is_zero(name, arguments, kind):
    metric = getattr(metrics, name)(**arguments)
    metric.update_state(*case(kind, 2, samples=0))
    assert torch.as_tensor(metric.result()).abs().max() == 0


def test_an_ignored_class_counts_as_keras_counts_it():
    # Keras's own values: ignored samples are zeros in the mean, and are left out of a weighted one
    y_true = torch.tensor([0, 1, 2])
    y_pred = torch.tensor([[0.8, 0.1, 0.1], [0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    for make in (lambda: metrics.SparseCategoricalCrossentropy(ignore_class=0), lambda: metrics.get(loss)):
        plain_metric, weighted = make(), make()
        plain_metric.update_state(y_true, y_pred)
        weighted.update_state(y_true, y_pred, torch.tensor([0.5, 1.5, 2.0]))
        assert float(plain_metric.result()) == pytest.approx(0.7846262)
        assert float(weighted.result()) == pytest.approx(1.3377457)
    assert float(loss(y_true, y_pred)) == pytest.approx(1.1769392)


@pytest.mark.parametrize(
    "weights", [None, torch.linspace(0.1, 2, 24).view(6, 4), torch.arange(24).view(6, 4) % 3 > 0]
)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CategoricalCrossentropy", {"from_logits": True}),
        ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
        ("SparseCategoricalCrossentropy", {"from_logits": True}),
        ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}),
    ],
    ids=str,
)
def test_classes_on_another_axis_are_classes_on_the_last(name, arguments, weights):
    # Keras smooths labels by the length of the last axis whatever the axis is, so it sees the last one
    logits, labels = torch.randn(6, 4, 3), torch.randint(0, 3, (6, 4))
    sparse = name.startswith("Sparse")
    y_true = labels if sparse else torch.eye(3)[labels]
    moved = labels if sparse else y_true.movedim(-1, 1)
    ours, theirs = getattr(metrics, name)(**arguments, axis=1), getattr(keras.metrics, name)(**arguments)
    ours.update_state(moved, logits.movedim(-1, 1), weights)
    theirs.update_state(y_true, logits, weights)
    torch.testing.assert_close(ours.result(), theirs.result())
    loss, twin = getattr(losses, name)(**arguments, axis=1), getattr(keras.losses, name)(**arguments)
    torch.testing.assert_close(loss(moved, logits.movedim(-1, 1), weights), twin(y_true, logits, weights))


def test_weights_of_a_confusion_matrix_count_cells_sample_by_sample():
    # Keras makes whole numbers of them; the truth is NumPy's
    for axes, shape in ((1, (6,)), (2, (6,)), (3, (6, 1)), (3, (6, 4)), (3, (6, 4, 1))):
        lead = {1: (6,), 2: (6, 3), 3: (6, 4, 3)}[axes]
        y_true, y_pred, weights = torch.randint(0, 3, lead), torch.randint(0, 3, lead), torch.rand(shape)
        each = weights.reshape(*shape, *[1] * (axes - len(shape))).expand(lead)
        cells = np.zeros((3, 3))
        np.add.at(cells, (y_true.numpy(), y_pred.numpy()), each.numpy())
        union = cells.sum(0) + cells.sum(1) - cells.diagonal()
        metric = metrics.MeanIoU(3)
        metric.update_state(y_true, y_pred, weights)
        assert float(metric.result()) == pytest.approx((cells.diagonal() / union)[union > 0].mean(), rel=1e-4)


def test_a_function_is_averaged_over_samples():
    def largest_error(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    y_true, y_pred = torch.rand(5, 3), torch.rand(5, 3)
    metric = metrics.get(largest_error)
    assert metric.name == "largest_error"
    metric.update_state(y_true[:4], y_pred[:4])
    metric.update_state(y_true[4:], y_pred[4:])
    torch.testing.assert_close(metric.result(), largest_error(y_true, y_pred).mean())
    config = metrics.serialize(metric)
    assert config == {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "largest_error", "fn": "largest_error"},
    }
    with custom_object_scope({"largest_error": largest_error}):
        assert metrics.get(config).fn is largest_error


def test_losses_of_ours_and_of_torch_are_averaged_over_samples():
    y_true, y_pred = torch.rand(5, 3), torch.rand(5, 3)
    for given, name, expected in (
        (losses.Huber(0.2), "huber_loss", F.huber_loss(y_pred, y_true, delta=0.2)),
        (losses.mean_absolute_error, "mean_absolute_error", F.l1_loss(y_pred, y_true)),
        (nn.MSELoss(), "mse_loss", F.mse_loss(y_pred, y_true)),
    ):
        metric = metrics.get(given)
        metric.update_state(y_true[:4], y_pred[:4])
        metric.update_state(y_true[4:], y_pred[4:])
        torch.testing.assert_close(metric.result(), expected)
        assert metric.name == name


class Peak:
    """As torchmetrics has it: update, compute, reset."""

    def __init__(self):
        self.reset()

    def update(self, preds, target):
        self.peak = torch.maximum(self.peak, (preds - target).max())

    def compute(self):
        return self.peak

    def reset(self):
        self.peak = torch.tensor(0.0)


def test_an_object_with_update_compute_and_reset_is_taken_as_it_is():
    metric = metrics.get(Peak())
    assert metric.name == "peak"
    metric.update_state(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 3.0], requires_grad=True))
    assert float(metric.result()) == 3.0
    metric.reset_state()
    assert float(metric.result()) == 0.0
    with pytest.raises(
        DataError, match=r"Metric 'peak': expected none, got sample weights.* Fix: list it in metrics="
    ):
        metric.update_state(torch.zeros(2), torch.zeros(2), torch.ones(2))
    with pytest.raises(SavingError):
        metrics.serialize(metric)


class WeightedPeak(Peak):
    def update(self, preds, target, weights=1.0):
        super().update(preds * weights, target * weights)


def test_weights_are_passed_on_to_an_update_that_takes_them():
    metric = metrics.get(WeightedPeak())
    metric.update_state([1.0, 2.0], [4.0, 3.0], [0.5, 4.0])
    assert float(metric.result()) == 4.0


class Collection(nn.ModuleDict):
    """As torchmetrics has it: metrics that are modules, by name, with the interface of one."""

    def __init__(self, members):
        super().__init__()
        for name, metric in members.items():
            self[name] = metric

    def update(self, preds, target): ...

    def compute(self): ...

    def reset(self): ...


class PeakModule(nn.Module, WeightedPeak):
    def __init__(self):
        nn.Module.__init__(self)
        self.reset()


def test_a_collection_is_its_metrics_each_under_its_name():
    collection = Collection({"val_peak": PeakModule(), "other": PeakModule()})
    found = expanded(collection)
    assert [(type(each), each.name) for each in found] == [
        (metrics.TorchMetric, "val_peak"),
        (metrics.TorchMetric, "other"),
    ]
    assert found[0].metric is collection["val_peak"]
    assert metrics.get(found[0]) is found[0]
    for alone in ("mse", None, metrics.MeanSquaredError(), Peak(), nn.ModuleDict()):
        assert expanded(alone) == [alone]


def test_a_result_of_several_figures_is_each_of_them_under_its_own_name():
    class Bounds(Peak):
        def compute(self):
            return {"low": 1.0, "high": self.peak}

    metric, plain_metric = metrics.get(Bounds()), metrics.get(Peak())
    assert figures("bounds", metric) == {"low": 1.0, "high": 0.0}
    assert figures("age_weighted_bounds_1", metric) == {"age_weighted_low_1": 1.0, "age_weighted_high_1": 0.0}
    assert figures("weighted_peak", plain_metric) == {"weighted_peak": 0.0}


@pytest.mark.parametrize("typed", ["accuracy", "acc"])
def test_accuracy_is_resolved_by_the_shapes_and_keeps_the_name_as_typed(typed):
    for output, target, kind in (
        ((None, 1), (None, 1), metrics.BinaryAccuracy),
        ((None, 1), (None,), metrics.BinaryAccuracy),
        ((None, 5), (None,), metrics.SparseCategoricalAccuracy),
        ((None, 5), (None, 1), metrics.SparseCategoricalAccuracy),
        ((None, 5), (None, 5), metrics.CategoricalAccuracy),
        ((None, 7, 5), (None, 7), metrics.SparseCategoricalAccuracy),
    ):
        metric = metrics.resolve(typed, output, target)
        assert (type(metric), metric.name) == (kind, typed)
    assert metrics.get(typed).name == typed
    assert metrics.get("mse").name == "mse"
    sparse = metrics.resolve(typed, (None, 5), None, losses.SparseCategoricalCrossentropy())
    assert type(sparse) is metrics.SparseCategoricalAccuracy


def test_crossentropy_is_resolved_with_the_logits_of_the_loss():
    metric = metrics.resolve("crossentropy", (None, 5), (None,), losses.SparseCategoricalCrossentropy(True))
    assert (type(metric), metric.from_logits) == (metrics.SparseCategoricalCrossentropy, True)
    assert type(metrics.resolve("ce", (None, 1), (None, 1))) is metrics.BinaryCrossentropy


def test_calling_a_metric_updates_it_and_gives_the_result():
    mean = metrics.Mean()
    assert float(mean([1.0, 3.0])) == 2.0
    assert float(mean([5.0])) == 3.0
    assert metrics.get(None) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.get("accurcy"), r"Unknown metric 'accurcy'\. Did you mean 'accuracy'\?"),
        (lambda: metrics.Precision(1.5), r"thresholds: expected numbers from 0 to 1, got \[1\.5\]"),
        (lambda: metrics.AUC(curve="RCO"), "AUC: expected one of ROC, PR, PRGAIN, got curve='RCO'"),
        (lambda: metrics.AUC(1), "num_thresholds: expected at least 2, got 1"),
        (
            lambda: metrics.F1Score("mean"),
            "average: expected None, 'micro', 'macro' or 'weighted', got 'mean'",
        ),
        (lambda: metrics.FBetaScore(beta=0), "beta: expected a number above 0, got 0"),
        (lambda: metrics.FBetaScore(threshold=0), "threshold: expected None or a number above 0"),
        (lambda: metrics.R2Score("mean"), "class_aggregation: expected None, 'uniform_average' or"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors: expected at least 0, got -1"),
        (lambda: metrics.IoU(3, [3]), r"target_class_ids: expected indices below 3, got \[3\]"),
        (lambda: metrics.PrecisionAtRecall(2), "recall: expected a number from 0 to 1, got 2"),
        (lambda: metrics.get(3), "got 3 of type int"),
    ],
)
def test_wrong_names_and_arguments_are_told(make, words):
    with pytest.raises((TorchfuncError, UnknownNameError), match=words):
        make()


@pytest.mark.parametrize(
    ("name", "target", "output", "words"),
    [
        (
            "binary_accuracy",
            (4, 5),
            (4, 1),
            r"Accuracy: expected targets shaped like the outputs, got targets of shape \(4, 5\)",
        ),
        ("categorical_accuracy", (4,), (4, 3), "expected one-hot targets, shaped like the outputs"),
        ("sparse_categorical_accuracy", (4, 3), (4, 3), r"expected class indices of shape \(4,\)"),
        (
            "precision",
            (4,),
            (4, 3),
            r"Metric 'precision': expected equal shapes, "
            r"got targets of shape \(4,\) for outputs of shape \(4, 3\)",
        ),
        (
            {"class_name": "Recall", "config": {"class_id": 1}},
            (4,),
            (4,),
            r"Metric 'recall': expected a last axis of at least 2 classes, by top_k=None, class_id=1, "
            r"got outputs of shape \(4,\)",
        ),
        ({"class_name": "Precision", "config": {"class_id": 3}}, (4, 3), (4, 3), "at least 4 classes"),
        ({"class_name": "Precision", "config": {"top_k": 5}}, (4, 3), (4, 3), "at least 5 classes"),
        ("f1_score", (4, 2), (4, 3), r"Metric 'f1_score': expected two shapes \(samples, outputs\)"),
    ],
)
def test_shapes_that_do_not_fit_are_told(name, target, output, words):
    with pytest.raises(DataError, match=words):
        metrics.get(name).update_state(torch.zeros(target), torch.rand(output))


@pytest.mark.parametrize("name", ["Precision", "AUC", "MeanSquaredError", "F1Score", "MeanIoU", "Sum"])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_metric_gives_its_figure_in_its_dtype(name, dtype):
    y_true, y_pred = torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0.2, 0.7], [0.6, 0.3]])
    metric = getattr(metrics, name)(dtype=dtype, **({"num_classes": 2} if name == "MeanIoU" else {}))
    metric.update_state(y_true) if name == "Sum" else metric.update_state(y_true, y_pred.round())
    assert metric.result().dtype == getattr(torch, dtype)
    assert metrics.deserialize(metrics.serialize(metric)).dtype == dtype


def test_a_metric_takes_the_dtype_that_keras_writes():
    written = keras.saving.serialize_keras_object(keras.metrics.Precision(dtype="float64"))
    assert metrics.deserialize({name: written[name] for name in ("class_name", "config")}).dtype == "float64"


# Keras reads its own variables in a way that NumPy is about to forbid
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
def test_the_four_counts_of_a_confusion_metric_can_be_read():
    ours, theirs = metrics.Precision(thresholds=[0.2, 0.6]), keras.metrics.Precision(thresholds=[0.2, 0.6])
    for metric in (ours, theirs):
        metric.update_state([0, 1, 1, 1], [0.3, 0.1, 0.7, 0.5])
    np.testing.assert_array_equal(
        ours.true_positives.numpy(), keras.ops.convert_to_numpy(theirs.true_positives)
    )
    np.testing.assert_array_equal(
        ours.false_positives.numpy(), keras.ops.convert_to_numpy(theirs.false_positives)
    )
    assert ours.true_negatives.tolist() == [0.0, 1.0] and ours.false_negatives.tolist() == [1.0, 2.0]


def test_the_thresholds_of_auc_hold_the_ends_and_its_config_does_not():
    ours, theirs = metrics.AUC(thresholds=[0.3, 0.5]), keras.metrics.AUC(thresholds=[0.3, 0.5])
    assert ours.thresholds == theirs.thresholds
    assert (
        ours.get_config()["thresholds"] == [0.3, 0.5] == metrics.get(metrics.serialize(ours)).thresholds[1:-1]
    )


class Hits(metrics.Metric):
    """A metric as Keras's guides write them."""

    def __init__(self, name="hits", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.by_class = self.add_variable(shape=(2,), initializer="ones", name="by_class")

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = (y_true == y_pred.round()).float()
        self.hits.assign(self.hits + right.sum())
        self.by_class.assign_add(torch.stack([right[y_true == 0].sum(), right[y_true == 1].sum()]))

    def result(self):
        return self.hits / torch.sum(self.by_class)


def test_a_metric_of_ones_own_keeps_variables():
    metric = Hits()
    y_true, y_pred = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.1, 0.9, 0.2])
    metric.update_state(y_true, y_pred)
    assert metric.result() == 2 / 4 and metric.by_class.numpy().tolist() == [2.0, 2.0]
    assert [each.name for each in metric.variables] == ["hits", "by_class"]
    assert torch.stack([metric.by_class.value, metric.by_class]).shape == (2, 2)
    metric.reset_state()
    assert float(metric.hits) == 0 and metric.by_class.value.tolist() == [0.0, 0.0]
    metric.by_class.assign_sub([1.0, 2.0])
    assert (metric.by_class < 0).all() and metric.by_class[1] == -2
    with pytest.raises(
        DataError, match=r"The variable 'hits' of the metric 'hits': expected shape \(\), got shape \(2,\)"
    ):
        metric.hits.assign([1.0, 2.0])
