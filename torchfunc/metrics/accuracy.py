"""Accuracies: the share of predictions that are right."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchfunc import registry
from torchfunc.errors import DataError, explain
from torchfunc.losses.loss import align, as_tensor
from torchfunc.metrics.metric import PairMetric


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where target and prediction are equal, 0 elsewhere."""
    return _equal(as_tensor(y_true), as_tensor(y_pred)).float()


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where `y_pred > threshold` says what the target (0 or 1) says."""
    return _equal(as_tensor(y_true), as_tensor(y_pred) > threshold).float()


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is at the largest target, one-hot or probabilities."""
    return _same_class(as_tensor(y_true), as_tensor(y_pred)).float()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is at the target's index."""
    return _right_class(as_tensor(y_true), as_tensor(y_pred)).float()


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the right class, of one-hot targets, is among the `k` largest predictions."""
    return _in_top_k(as_tensor(y_true).argmax(-1), as_tensor(y_pred), k).float()


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target's index is among the `k` largest predictions.

    With `from_sorted_ids` the predictions are class indices already, the likeliest first.
    """
    return _listed(as_tensor(y_true), as_tensor(y_pred), k, from_sorted_ids).float()


def _equal(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Where the two are equal, one value for each number.

    Raises:
        DataError: shapes that differ by more than a last axis of length 1.
    """
    y_true, y_pred = align(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        raise _misfit(y_true, y_pred, "targets shaped like the outputs")
    return y_true == y_pred


def _same_class(y_true: Tensor, y_pred: Tensor) -> Tensor:
    if y_true.shape != y_pred.shape:
        raise _misfit(y_true, y_pred, "one-hot targets, shaped like the outputs")
    return y_true.argmax(-1) == y_pred.argmax(-1)


def _right_class(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return _labels(y_true, y_pred) == y_pred.argmax(-1)


def _listed(y_true: Tensor, y_pred: Tensor, k: int, from_sorted_ids: bool) -> Tensor:
    labels = _labels(y_true, y_pred)
    if from_sorted_ids:
        return (y_pred[..., :k] == labels.unsqueeze(-1)).any(-1)
    return _in_top_k(labels, y_pred, k)


def _in_top_k(labels: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Whether fewer than `k` predictions are above the right one: ties are in its favour, as in Keras."""
    right = y_pred.gather(-1, labels.long().unsqueeze(-1))
    return ((y_pred > right).sum(-1) < k) & ~right.squeeze(-1).isnan()


def _labels(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Class indices with one axis less than the predictions."""
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if y_true.shape != y_pred.shape[:-1]:
        raise _misfit(y_true, y_pred, f"class indices of shape {tuple(y_pred.shape[:-1])}")
    return y_true


def _misfit(y_true: Tensor, y_pred: Tensor, expected: str) -> DataError:
    got = f"targets of shape {tuple(y_true.shape)} for outputs of shape {tuple(y_pred.shape)}"
    return DataError(explain("Accuracy", got=got, expected=expected))


@registry.metrics.register("Accuracy", "accuracy", "acc")
class Accuracy(PairMetric):
    """The share of predictions that equal their target."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _equal(y_true, y_pred)


@registry.metrics.register("BinaryAccuracy", "binary_accuracy")
class BinaryAccuracy(PairMetric):
    """The share of yes-or-no predictions that are right; above `threshold` is a yes."""

    def __init__(self, name: str | None = None, threshold: float = 0.5, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.threshold = threshold

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _equal(y_true, y_pred > self.threshold)


@registry.metrics.register("CategoricalAccuracy", "categorical_accuracy")
class CategoricalAccuracy(PairMetric):
    """The share of samples whose largest output is the right class, targets one-hot."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _same_class(y_true, y_pred)


@registry.metrics.register("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
class SparseCategoricalAccuracy(PairMetric):
    """The share of samples whose largest output is the right class, targets class indices."""

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _right_class(y_true, y_pred)


@registry.metrics.register("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
class TopKCategoricalAccuracy(PairMetric):
    """The share of samples whose right class is among the `k` largest outputs, targets one-hot."""

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.k = k

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _in_top_k(y_true.argmax(-1), y_pred, self.k)


@registry.metrics.register("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(PairMetric):
    """The share of samples whose right class is among the `k` largest outputs, targets class indices."""

    def __init__(
        self, k: int = 5, name: str | None = None, from_sorted_ids: bool = False, dtype: Any = None
    ) -> None:
        super().__init__(name, dtype=dtype)
        self.k, self.from_sorted_ids = k, from_sorted_ids

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _listed(y_true, y_pred, self.k, self.from_sorted_ids)
