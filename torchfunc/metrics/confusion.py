"""Metrics of yes-or-no predictions at thresholds: true and false, positives and negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchfunc import registry
from torchfunc.errors import DataError, TorchfuncError, explain
from torchfunc.losses.loss import align, as_tensor, divide, fit_weights
from torchfunc.metrics.metric import Metric, Number

# Below every probability: with `top_k` all of the k largest predictions are positive.
NO_THRESHOLD = -1e10


class ThresholdMetric(Metric):
    """Counts positives and negatives between thresholds; every figure here follows from them.

    A prediction above a threshold is a positive one. The state is two histograms over the intervals
    between the sorted thresholds, one of targets that are true and one of those that are not.
    """

    top_k: int | None = None
    class_id: int | None = None
    multi_label: bool = False

    def __init__(self, levels: Sequence[float], name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self._levels = [float(level) for level in levels]
        self._edges = torch.tensor(sorted(self._levels))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take targets (0 or 1) and predictions into account, weighted one by one if need be.

        Raises:
            DataError: shapes that do not fit each other.
        """
        with torch.no_grad():
            y_true, y_pred, weights = self._prepare(as_tensor(y_true), as_tensor(y_pred), sample_weight)
            if self._edges.device != y_pred.device:
                self._edges = self._edges.to(y_pred.device)
            intervals = torch.searchsorted(self._edges, y_pred.contiguous())
            size, shape = len(self._edges) + 1, [len(self._edges) + 1]
            if self.multi_label:
                shape = [y_pred.shape[-1], size]
                intervals = intervals + size * torch.arange(shape[0], device=y_pred.device)
            true, every = y_true.to(weights.dtype) * weights, weights.expand_as(intervals)
            for name, values in (("true", true), ("every", every)):
                sums = values.new_zeros(torch.Size(shape).numel())
                sums.index_add_(0, intervals.flatten(), values.flatten())
                self.add(name, sums.view(shape).T if self.multi_label else sums)

    def _prepare(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Targets as truths, predictions in float32, weights that broadcast to them."""
        y_true, y_pred = align(y_true, y_pred.to(torch.float32))
        if y_true.shape != y_pred.shape:
            got = f"targets of shape {tuple(y_true.shape)} for outputs of shape {tuple(y_pred.shape)}"
            raise DataError(explain(f"Metric {self.name!r}", got=got, expected="equal shapes"))
        self._check_classes(y_pred.shape)
        weights = y_pred.new_ones((), dtype=torch.int64)
        if sample_weight is not None:
            weights = fit_weights(f"Metric {self.name!r}", as_tensor(sample_weight), y_pred)
        if self.top_k is not None:
            best = y_pred.topk(self.top_k, dim=-1).indices
            y_pred = torch.full_like(y_pred, NO_THRESHOLD).scatter(-1, best, y_pred.gather(-1, best))
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id, None], y_pred[..., self.class_id, None]
        return y_true != 0, y_pred, weights

    def _check_classes(self, shape: Sequence[int]) -> None:
        """Refuse samples without the classes that `top_k` and `class_id` speak of."""
        least = max(self.top_k or 0, (self.class_id or 0) + 1)
        if (self.top_k is not None or self.class_id is not None) and (len(shape) < 2 or shape[-1] < least):
            asked = f"top_k={self.top_k}, class_id={self.class_id}"
            expected = f"a last axis of at least {least} classes, by {asked}"
            got = f"outputs of shape {tuple(shape)}"
            raise DataError(explain(f"Metric {self.name!r}", got=got, expected=expected))

    def counts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """True positives, false positives, true negatives, false negatives, one for each threshold."""
        empty = torch.zeros(len(self._edges) + 1)
        true, every = (torch.as_tensor(self.state.get(name, empty)) for name in ("true", "every"))
        order = torch.tensor(sorted(range(len(self._levels)), key=self._levels.__getitem__)).argsort()
        above_true, above = (_sums_above(sums)[order.to(sums.device)].float() for sums in (true, every))
        total_true, total = true.sum(0).float(), every.sum(0).float()
        false = above - above_true
        return above_true, false, total - total_true - false, total_true - above_true

    def _bare(self, figures: Tensor) -> Number:
        """One figure by itself, several as they are."""
        return self.result_in_dtype(figures[0] if figures.shape == (1,) else figures)

    @property
    def true_positives(self) -> Tensor:
        """How many predictions above each threshold are right."""
        return self.counts()[0]

    @property
    def false_positives(self) -> Tensor:
        """How many predictions above each threshold are wrong."""
        return self.counts()[1]

    @property
    def true_negatives(self) -> Tensor:
        """How many predictions up to each threshold are right."""
        return self.counts()[2]

    @property
    def false_negatives(self) -> Tensor:
        """How many predictions up to each threshold are wrong."""
        return self.counts()[3]


def _sums_above(sums: Tensor) -> Tensor:
    """For each edge of a histogram the sum of all that lies above it."""
    return sums.flip(0).cumsum(0).flip(0)[1:]


class _Count(ThresholdMetric):
    """One of the four counts."""

    index: int

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(_parse(thresholds, 0.5), name, dtype=dtype)
        self.thresholds = thresholds

    def result(self) -> Number:
        return self._bare(self.counts()[self.index])


@registry.metrics.register("TruePositives", "true_positives")
class TruePositives(_Count):
    """How many predictions above the threshold are right.

    Args:
        thresholds: one or several, from 0 to 1; 0.5 if None. Several give a tensor of results.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.TruePositives()([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        tensor(1.)
    """

    index = 0


@registry.metrics.register("FalsePositives", "false_positives")
class FalsePositives(_Count):
    """How many predictions above the threshold are wrong.

    Args:
        thresholds: one or several, from 0 to 1; 0.5 if None. Several give a tensor of results.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.FalsePositives()([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.6])
        tensor(2.)
    """

    index = 1


@registry.metrics.register("TrueNegatives", "true_negatives")
class TrueNegatives(_Count):
    """How many predictions up to the threshold are right.

    Args:
        thresholds: one or several, from 0 to 1; 0.5 if None. Several give a tensor of results.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.TrueNegatives()([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        tensor(1.)
    """

    index = 2


@registry.metrics.register("FalseNegatives", "false_negatives")
class FalseNegatives(_Count):
    """How many predictions up to the threshold are wrong.

    Args:
        thresholds: one or several, from 0 to 1; 0.5 if None. Several give a tensor of results.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.FalseNegatives(thresholds=[0.1, 0.5])([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1])
        tensor([0., 1.])
    """

    index = 3


class _Ratio(ThresholdMetric):
    """True positives over true positives and one of the two errors."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(_parse(thresholds, 0.5 if top_k is None else NO_THRESHOLD), name, dtype=dtype)
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id


@registry.metrics.register("Precision", "precision")
class Precision(_Ratio):
    """The share of predicted positives that are right.

    Args:
        thresholds: One or several; 0.5 if None. Several give a tensor of results.
        top_k: Only the k largest predictions of a sample can be positive.
        class_id: Only this class (index of the last axis) counts.
        name: Its name in the logs.
        dtype: The dtype of the result; float32 if None.

    Example:
        >>> metrics.Precision()([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.6])
        tensor(0.3333)
    """

    def result(self) -> Number:
        true_positives, false_positives, _, _ = self.counts()
        return self._bare(divide(true_positives, true_positives + false_positives))


@registry.metrics.register("Recall", "recall")
class Recall(_Ratio):
    """The share of positives that were found.

    Args:
        thresholds: one or several, from 0 to 1; 0.5 if None. Several give a tensor of results.
        top_k: only the k largest predictions of a sample can be positive.
        class_id: only this class (index of the last axis) counts.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.Recall()([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.6])
        tensor(0.5000)
    """

    def result(self) -> Number:
        true_positives, _, _, false_negatives = self.counts()
        return self._bare(divide(true_positives, true_positives + false_negatives))


@registry.metrics.register("AUC", "auc")
class AUC(ThresholdMetric):
    """The area under the ROC or the precision-recall curve, by a Riemann sum over thresholds.

    Args:
        num_thresholds: How many thresholds, evenly spaced from just below 0 to just above 1.
        curve: "ROC", "PR" or "PRGAIN" (Flach and Kull 2015).
        summation_method: "interpolation" (for PR that of Davis and Goadrich 2006), "minoring" or
            "majoring".
        name: Its name in the logs.
        thresholds: Thresholds within (0, 1) in place of evenly spaced ones.
        multi_label: Whether each column of the predictions has a curve of its own, over which the
            areas are averaged.
        num_labels: The number of columns, which the predictions tell too.
        label_weights: The weight of each column.
        from_logits: Whether predictions are logits, before their sigmoid.
        dtype: The dtype of the result; float32 if None.

    Example:
        >>> metrics.AUC()([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])  # of four pairs three stand in order
        tensor(0.7500)
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: Literal["ROC", "PR", "PRGAIN"] = "ROC",
        summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation",
        name: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
        dtype: Any = None,
    ) -> None:
        _check_choice("curve", curve.upper(), ("ROC", "PR", "PRGAIN"))
        _check_choice("summation_method", summation_method.lower(), ("interpolation", "minoring", "majoring"))
        between = _even(num_thresholds) if thresholds is None else sorted(thresholds)
        super().__init__([-1e-7, *between, 1.0 + 1e-7], name, dtype=dtype)
        self.num_thresholds, self._given = len(between) + 2, thresholds
        self.curve, self.summation_method = curve.upper(), summation_method.lower()
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights, self.from_logits = label_weights, from_logits

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, with the two ends just outside of 0 and 1."""
        return self._levels

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data; `thresholds` as they were given, without the ends."""
        return {**super().get_config(), "thresholds": None if self._given is None else list(self._given)}

    def _prepare(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor]:
        y_pred = y_pred.sigmoid() if self.from_logits else y_pred
        y_true, y_pred, weights = super()._prepare(y_true, y_pred, sample_weight)
        if self.label_weights is not None and not self.multi_label:
            weights = weights * y_pred.new_tensor(self.label_weights)
        return y_true, y_pred.clamp(0.0, 1.0), weights

    def result(self) -> Number:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.result_in_dtype(self._average(self._interpolated_precision_recall()))
        x, y = self._curve()
        neighbours = torch.stack([y[:-1], y[1:]])
        heights = {
            "interpolation": neighbours.mean(0),
            "minoring": neighbours.amin(0),
            "majoring": neighbours.amax(0),
        }[self.summation_method]
        return self.result_in_dtype(self._average((x[:-1] - x[1:]) * heights))

    def _curve(self) -> tuple[Tensor, Tensor]:
        tp, fp, tn, fn = self.counts()
        recall = divide(tp, tp + fn)
        if self.curve == "ROC":
            return divide(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, divide(tp, tp + fp)
        odds, none = divide(tp + fn, tn + fp), tp == 0
        recall_gain = torch.where(none, 0.0, 1.0 - odds * divide(fn, tp)).clamp(min=0.0)
        return recall_gain, torch.where(none, 1.0, 1.0 - odds * divide(fp, tp))

    def _interpolated_precision_recall(self) -> Tensor:
        """The area between neighbouring thresholds, precision interpolated as it truly runs.

        Between two points true positives grow linearly with all positives; precision, their ratio,
        does not. Source: Davis and Goadrich 2006.
        """
        tp, fp, _, fn = self.counts()
        positives = tp + fp
        gained = tp[:-1] - tp[1:]
        slope = divide(gained, (positives[:-1] - positives[1:]).clamp(min=0.0))
        intercept = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        ratio = torch.where(both, divide(positives[:-1], positives[1:]), 1.0)
        return divide(slope * (gained + intercept * ratio.log()), (tp[1:] + fn[1:]).clamp(min=0.0))

    def _average(self, areas: Tensor) -> Tensor:
        area = areas.sum(0)
        if not self.multi_label or area.ndim == 0:
            return area
        if self.label_weights is None:
            return area.mean()
        weights = area.new_tensor(self.label_weights)
        return divide((area * weights).sum(), weights.sum())


class _AtOther(ThresholdMetric):
    """The best of one figure over all thresholds at which another reaches a value."""

    def __init__(
        self, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any = None
    ) -> None:
        super().__init__(
            [0.5] if num_thresholds == 1 else [0.0, *_even(num_thresholds), 1.0], name, dtype=dtype
        )
        self.num_thresholds, self.class_id = num_thresholds, class_id

    def _best(self, wanted: Tensor, other: Tensor, value: float) -> Number:
        return self.result_in_dtype(torch.where(other >= value, wanted, 0.0).amax())

    def _recall(self) -> Tensor:
        tp, _, _, fn = self.counts()
        return divide(tp, tp + fn)

    def _precision(self) -> Tensor:
        tp, fp, _, _ = self.counts()
        return divide(tp, tp + fp)

    def _specificity(self) -> Tensor:
        _, fp, tn, _ = self.counts()
        return divide(tn, tn + fp)


@registry.metrics.register("SensitivityAtSpecificity", "sensitivity_at_specificity")
class SensitivityAtSpecificity(_AtOther):
    """The best recall among thresholds of at least this specificity.

    Args:
        specificity: the least share of negatives that must be told as such, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1; 1 is 0.5 alone.
        class_id: only this class (index of the last axis) counts; all if None.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Raises:
        TorchfuncError: a share outside of 0 to 1.

    Example:
        >>> metrics.SensitivityAtSpecificity(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        tensor(1.)
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype=dtype)
        self.specificity = _check_share("specificity", specificity)

    def result(self) -> Number:
        return self._best(self._recall(), self._specificity(), self.specificity)


@registry.metrics.register("SpecificityAtSensitivity", "specificity_at_sensitivity")
class SpecificityAtSensitivity(_AtOther):
    """The best specificity among thresholds of at least this recall.

    Args:
        sensitivity: the least share of positives that must be found, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1; 1 is 0.5 alone.
        class_id: only this class (index of the last axis) counts; all if None.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Raises:
        TorchfuncError: a share outside of 0 to 1.

    Example:
        >>> metrics.SpecificityAtSensitivity(0.9)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        tensor(0.5000)
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype=dtype)
        self.sensitivity = _check_share("sensitivity", sensitivity)

    def result(self) -> Number:
        return self._best(self._specificity(), self._recall(), self.sensitivity)


@registry.metrics.register("PrecisionAtRecall", "precision_at_recall")
class PrecisionAtRecall(_AtOther):
    """The best precision among thresholds of at least this recall.

    Args:
        recall: the least share of positives that must be found, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1; 1 is 0.5 alone.
        class_id: only this class (index of the last axis) counts; all if None.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Raises:
        TorchfuncError: a share outside of 0 to 1.

    Example:
        >>> metrics.PrecisionAtRecall(0.9)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        tensor(0.6667)
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype=dtype)
        self.recall = _check_share("recall", recall)

    def result(self) -> Number:
        return self._best(self._precision(), self._recall(), self.recall)


@registry.metrics.register("RecallAtPrecision", "recall_at_precision")
class RecallAtPrecision(_AtOther):
    """The best recall among thresholds of at least this precision.

    Args:
        precision: the least share of predicted positives that must be right, from 0 to 1.
        num_thresholds: how many thresholds are tried, evenly spaced from 0 to 1; 1 is 0.5 alone.
        class_id: only this class (index of the last axis) counts; all if None.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Raises:
        TorchfuncError: a share outside of 0 to 1.

    Example:
        >>> metrics.RecallAtPrecision(0.9)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        tensor(0.5000)
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype=dtype)
        self.precision = _check_share("precision", precision)

    def result(self) -> Number:
        return self._best(self._recall(), self._precision(), self.precision)


def _parse(thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    """Thresholds as a list; `default` for None.

    Raises:
        TorchfuncError: a threshold outside [0, 1].
    """
    if thresholds is None:
        return [default]
    levels = [thresholds] if isinstance(thresholds, (int, float)) else list(thresholds)
    if not all(level is not None and 0 <= level <= 1 for level in levels):
        raise TorchfuncError(explain("thresholds", got=f"{levels}", expected="numbers from 0 to 1"))
    return levels


def _even(count: int) -> list[float]:
    """Evenly spaced thresholds between 0 and 1 without the ends."""
    if count < 2:
        raise TorchfuncError(explain("num_thresholds", got=f"{count}", expected="at least 2"))
    return [(i + 1) / (count - 1) for i in range(count - 2)]


def _check_share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise TorchfuncError(explain(name, got=f"{value}", expected="a number from 0 to 1"))
    return value


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TorchfuncError(explain("AUC", got=f"{name}={value!r}", expected="one of " + ", ".join(choices)))
