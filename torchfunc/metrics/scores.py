"""Scores over whole data sets: F-scores, the coefficient of determination, intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchfunc import registry
from torchfunc.errors import DataError, TorchfuncError, explain
from torchfunc.losses.loss import align, as_tensor, fit_weights, floating
from torchfunc.metrics.metric import Metric, Number
from torchfunc.settings import epsilon


@registry.metrics.register("FBetaScore", "f_beta_score", "fbeta_score")
class FBetaScore(Metric):
    """The harmonic mean of precision and recall, recall counting `beta` times as much.

    Args:
        average: None gives one score a class; "micro" counts over all classes together, "macro"
            averages the classes' scores, "weighted" does so by how often a class occurs.
        beta: The weight of recall.
        threshold: Above it a class is predicted; None predicts the largest output alone.
        name: Its name in the logs.
        dtype: The dtype of the result; float32 if None.

    Raises:
        TorchfuncError: an average that does not exist, a beta or threshold out of range.

    Example:
        >>> found = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        >>> metrics.FBetaScore(beta=2.0)([[1, 0], [0, 1], [0, 1]], found)  # recall is 1 and 1 / 2
        tensor([0.8333, 0.5556])
        >>> metrics.FBetaScore("macro", beta=2.0)([[1, 0], [0, 1], [0, 1]], found)
        tensor(0.6944)
    """

    def __init__(
        self,
        average: Literal["micro", "macro", "weighted"] | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise _wrong("average", average, "None, 'micro', 'macro' or 'weighted'")
        if not beta > 0.0:
            raise _wrong("beta", beta, "a number above 0")
        if threshold is not None and not 0.0 < threshold <= 1.0:
            raise _wrong("threshold", threshold, "None or a number above 0, up to 1")
        self.average, self.beta, self.threshold = average, beta, threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take targets and predictions (n, classes) into account.

        Raises:
            DataError: anything but two matrices of one shape.
        """
        y_true, y_pred = _matrices(self.name, as_tensor(y_true), floating(y_pred).detach())
        if self.threshold is None:
            positive = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            positive = y_pred > self.threshold
        y_pred = positive.to(y_pred.dtype)
        weights = 1.0 if sample_weight is None else fit_weights(self.name, as_tensor(sample_weight), y_pred)
        axis = (0, 1) if self.average == "micro" else (0,)
        self.add("true_positives", (y_true * y_pred * weights).sum(axis))
        self.add("predicted", (y_pred * weights).sum(axis))
        self.add("actual", (y_true * weights).sum(axis))

    def result(self) -> Number:
        right, predicted, actual = (
            torch.as_tensor(self.total(name)) for name in ("true_positives", "predicted", "actual")
        )
        precision, recall = right / (predicted + epsilon()), right / (actual + epsilon())
        squared = self.beta**2
        scores = (1 + squared) * precision * recall / (squared * precision + recall + epsilon())
        if self.average == "weighted":
            scores = (scores * actual / (actual.sum() + epsilon())).sum()
        elif self.average is not None:
            scores = scores.mean()
        return self.result_in_dtype(scores)


@registry.metrics.register("F1Score", "f1_score")
class F1Score(FBetaScore):
    """The harmonic mean of precision and recall.

    Args:
        average: None gives one score a class; "micro" counts over all classes together, "macro" averages the
            classes' scores, "weighted" does so by how often a class occurs.
        threshold: above it a class is predicted; None predicts the largest output alone.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.F1Score()([[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        tensor([0.6667, 0.6667])
    """

    def __init__(
        self,
        average: Literal["micro", "macro", "weighted"] | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype=dtype)


@registry.metrics.register("R2Score", "r2_score")
class R2Score(Metric):
    """The coefficient of determination: 1 is perfect, 0 no better than the targets' mean.

    Args:
        class_aggregation: "uniform_average" or "variance_weighted_average" of the columns' scores, or
            None for one score a column.
        num_regressors: The number of independent variables, for the adjusted score; 0 for the plain one.
        name: Its name in the logs.
        dtype: The dtype of the result; float32 if None.

    Raises:
        TorchfuncError: an aggregation that does not exist, or a negative number of regressors.

    Example:
        >>> metrics.R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]])  # 1 - 1 / 2
        tensor(0.5000)
    """

    def __init__(
        self,
        class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise _wrong(
                "class_aggregation",
                class_aggregation,
                "None, 'uniform_average' or 'variance_weighted_average'",
            )
        if num_regressors < 0:
            raise _wrong("num_regressors", num_regressors, "at least 0")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take targets and predictions (n, outputs) into account.

        Raises:
            DataError: anything but two matrices of one shape.
        """
        y_true, y_pred = _matrices(self.name, as_tensor(y_true), floating(y_pred).detach())
        # A difference of large sums: float32 would lose the small variance of large targets.
        y_true, y_pred = (y if y.device.type == "mps" else y.double() for y in (y_true, y_pred))
        weights = torch.ones_like(y_true[:, :1])
        if sample_weight is not None:
            weights = fit_weights(self.name, as_tensor(sample_weight), y_true)
        self.add("sum", (y_true * weights).sum(0))
        self.add("squared_sum", (y_true.square() * weights).sum(0))
        self.add("residual", ((y_true - y_pred).square() * weights).sum(0))
        self.add("count", weights.expand_as(y_true).sum(0))
        self.add("num_samples", y_true.numel())

    def result(self) -> Number:
        if not self.state:
            return 0.0
        total_sum, squares, residual, count = (
            torch.as_tensor(self.total(name)) for name in ("sum", "squared_sum", "residual", "count")
        )
        variation = squares - total_sum * total_sum / count
        scores = 1 - residual / variation
        scores = torch.where(scores.isinf(), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (variation * scores).sum() / variation.sum()
        return self.result_in_dtype(self._adjusted(scores))

    def _adjusted(self, scores: Tensor) -> Tensor:
        """The score with a penalty for each regressor, where there are samples enough to say."""
        spare = float(self.total("num_samples")) - self.num_regressors - 1
        if self.num_regressors == 0 or spare <= 0:
            return scores
        return 1 - (1 - scores) * (spare + self.num_regressors) / spare


@registry.metrics.register("IoU", "io_u", "iou")
class IoU(Metric):
    """The mean intersection over union of some classes, from a confusion matrix over all batches.

    Args:
        num_classes: How many classes there are.
        target_class_ids: Those that count.
        name: Its name in the logs.
        ignore_class: A target that is left out.
        sparse_y_true: Whether targets are class indices rather than one-hot.
        sparse_y_pred: Whether predictions are class indices rather than scores.
        axis: The axis of classes where they are not.
        dtype: The dtype of the result; float32 if None.

    Raises:
        TorchfuncError: a target class that does not exist.

    Example:
        >>> metrics.IoU(num_classes=2, target_class_ids=[1])([0, 1, 1, 1], [0, 1, 1, 0])  # two of three
        tensor(0.6667)
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        if max(target_class_ids) >= num_classes:
            raise _wrong("target_class_ids", list(target_class_ids), f"indices below {num_classes}")
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take targets and predictions into account; indices that are no class are left out."""
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred).detach()
        y_true = y_true if self.sparse_y_true else y_true.argmax(self.axis)
        y_pred = y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)
        y_true, y_pred = align(y_true.long(), y_pred.long())
        classes = self.num_classes
        counted = (y_true >= 0) & (y_true < classes) & (y_pred >= 0) & (y_pred < classes)
        if self.ignore_class is not None:
            counted &= y_true != self.ignore_class
        values = counted.long()
        if sample_weight is not None:
            values = values * fit_weights(self.name, as_tensor(sample_weight), values.float())
        cells = torch.where(counted, y_true * classes + y_pred, 0)
        matrix = values.new_zeros(classes * classes).index_add_(0, cells.flatten(), values.flatten())
        self.add("confusion", matrix.view(classes, classes))

    def result(self) -> Number:
        if not self.state:
            return 0.0
        confusion = torch.as_tensor(self.total("confusion"))
        shared = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - shared
        chosen = torch.tensor(self.target_class_ids, device=confusion.device)
        shared, union = shared[chosen].float(), union[chosen].float()
        met = (union > 1e-9).float()
        return self.result_in_dtype((met * shared / (union + epsilon())).sum() / (met.sum() + epsilon()))


@registry.metrics.register("MeanIoU", "mean_io_u", "mean_iou")
class MeanIoU(IoU):
    """The mean intersection over union of all classes that occur.

    Args:
        num_classes: how many classes there are.
        name: its name in the logs; that of its class in snake case if None.
        ignore_class: a target that is left out.
        sparse_y_true: whether targets are class indices rather than one-hot.
        sparse_y_pred: whether predictions are class indices rather than scores.
        axis: the axis of classes where they are not.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.MeanIoU(num_classes=2)([0, 1, 1, 1], [0, 1, 1, 0])  # the mean of 1 / 2 and 2 / 3
        tensor(0.5833)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_classes,
            range(num_classes),
            name,
            ignore_class,
            sparse_y_true,
            sparse_y_pred,
            axis,
            dtype=dtype,
        )


@registry.metrics.register("OneHotIoU", "one_hot_io_u", "one_hot_iou")
class OneHotIoU(IoU):
    """`IoU` of one-hot targets, and of scores or one-hot predictions unless `sparse_y_pred`.

    Args:
        num_classes: how many classes there are.
        target_class_ids: those that count.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.
        ignore_class: a target that is left out.
        sparse_y_pred: whether predictions are class indices rather than scores.
        axis: the axis of classes.

    Example:
        >>> metrics.OneHotIoU(2, [1])([[1, 0], [0, 1]], [[0.4, 0.6], [0.1, 0.9]])
        tensor(0.5000)
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, ignore_class, False, sparse_y_pred, axis, dtype=dtype
        )


@registry.metrics.register("OneHotMeanIoU", "one_hot_mean_io_u", "one_hot_mean_iou")
class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets, and of scores or one-hot predictions unless `sparse_y_pred`.

    Args:
        num_classes: how many classes there are.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.
        ignore_class: a target that is left out.
        sparse_y_pred: whether predictions are class indices rather than scores.
        axis: the axis of classes.

    Example:
        >>> metrics.OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.6, 0.4], [0.1, 0.9]])
        tensor(1.0000)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, ignore_class, False, sparse_y_pred, axis, dtype=dtype)


@registry.metrics.register("BinaryIoU", "binary_io_u", "binary_iou")
class BinaryIoU(IoU):
    """The mean intersection over union of two classes; a prediction of at least `threshold` is class 1.

    Args:
        target_class_ids: those of the two that count.
        threshold: a prediction of at least this is class 1.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.BinaryIoU()([0, 1, 1, 1], [0.2, 0.9, 0.8, 0.3])
        tensor(0.5833)
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, as_tensor(y_pred) >= self.threshold, sample_weight)


def _matrices(name: str, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and predictions as two matrices of one shape and dtype."""
    y_true, y_pred = align(y_true, y_pred)
    if y_true.ndim == y_pred.ndim == 1:
        y_true, y_pred = y_true.unsqueeze(-1), y_pred.unsqueeze(-1)
    if y_true.shape != y_pred.shape or y_pred.ndim != 2:
        got = f"targets of shape {tuple(y_true.shape)} for outputs of shape {tuple(y_pred.shape)}"
        raise DataError(explain(f"Metric {name!r}", got=got, expected="two shapes (samples, outputs)"))
    return y_true.to(y_pred.dtype), y_pred


def _wrong(name: str, value: Any, expected: str) -> TorchfuncError:
    return TorchfuncError(explain(name, got=repr(value), expected=expected))
