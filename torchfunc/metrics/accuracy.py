"""Accuracies: the share of predictions that are right."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchfunc import registry
from torchfunc.errors import DataError, explain
from torchfunc.losses.loss import align, as_tensor
from torchfunc.metrics.metric import PairMetric


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where target and prediction are equal, 0 elsewhere.

    Args:
        y_true: targets (n, ...).
        y_pred: predictions (n, ...).

    Returns:
        A tensor of 0 and 1 for each number, in float32.

    Raises:
        DataError: shapes that differ by more than a last axis of length 1.

    Example:
        >>> metrics.accuracy([1, 2, 3], [1, 0, 3])
        tensor([1., 0., 1.])
    """
    return _equal(as_tensor(y_true), as_tensor(y_pred)).float()


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where `y_pred > threshold` says what the target (0 or 1) says.

    Args:
        y_true: targets (n, ...), 0 or 1.
        y_pred: probabilities, shaped like the targets; for logits give `threshold=0`.
        threshold: a prediction above it is a yes.

    Returns:
        A tensor of 0 and 1 for each number, in float32.

    Raises:
        DataError: shapes that differ by more than a last axis of length 1.

    Example:
        >>> metrics.binary_accuracy([1, 0, 1], [0.9, 0.6, 0.5])
        tensor([1., 0., 0.])
    """
    return _equal(as_tensor(y_true), as_tensor(y_pred) > threshold).float()


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is at the largest target, one-hot or probabilities.

    Args:
        y_true: one-hot targets or probabilities (..., classes).
        y_pred: probabilities or logits (..., classes).

    Returns:
        A tensor (...) of 0 and 1, in float32.

    Raises:
        DataError: shapes that differ.

    Example:
        >>> metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
        tensor([1., 0.])
    """
    return _same_class(as_tensor(y_true), as_tensor(y_pred)).float()


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest prediction is at the target's index.

    Args:
        y_true: class indices (...) or (..., 1).
        y_pred: probabilities or logits (..., classes).

    Returns:
        A tensor (...) of 0 and 1, in float32.

    Raises:
        DataError: targets of another shape than class indices have.

    Example:
        >>> metrics.sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.3, 0.7]])
        tensor([1., 0.])
    """
    return _right_class(as_tensor(y_true), as_tensor(y_pred)).float()


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the right class, of one-hot targets, is among the `k` largest predictions.

    Args:
        y_true: one-hot targets or probabilities (..., classes).
        y_pred: probabilities or logits (..., classes); ties are in favour of the right class.
        k: how many predictions may be named.

    Returns:
        A tensor (...) of 0 and 1, in float32.

    Example:
        >>> metrics.top_k_categorical_accuracy([[0, 0, 1], [0, 0, 1]], [[0.1, 0.5, 0.4], [0.5, 0.4, 0.1]], k=2)
        tensor([1., 0.])
    """
    return _in_top_k(as_tensor(y_true).argmax(-1), as_tensor(y_pred), k).float()


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target's index is among the `k` largest predictions.

    With `from_sorted_ids` the predictions are class indices already, the likeliest first.

    Args:
        y_true: class indices (...) or (..., 1).
        y_pred: probabilities or logits (..., classes); ties are in favour of the right class.
        k: how many predictions may be named.
        from_sorted_ids: whether predictions are class indices, the likeliest first.

    Returns:
        A tensor (...) of 0 and 1, in float32.

    Raises:
        DataError: targets of another shape than class indices have.

    Example:
        >>> metrics.sparse_top_k_categorical_accuracy([2, 2], [[0.1, 0.5, 0.4], [0.5, 0.4, 0.1]], k=2)
        tensor([1., 0.])
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
    """The share of predictions that equal their target.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.Accuracy()([1, 2, 3, 4], [1, 0, 3, 4])
        tensor(0.7500)
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _equal(y_true, y_pred)


@registry.metrics.register("BinaryAccuracy", "binary_accuracy")
class BinaryAccuracy(PairMetric):
    """The share of yes-or-no predictions that are right; above `threshold` is a yes.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        threshold: a prediction above it is a yes; 0 where predictions are logits.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.BinaryAccuracy()([[1], [0], [1], [0]], [[0.9], [0.6], [0.7], [0.1]])
        tensor(0.7500)
    """

    def __init__(self, name: str | None = None, threshold: float = 0.5, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.threshold = threshold

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _equal(y_true, y_pred > self.threshold)


@registry.metrics.register("CategoricalAccuracy", "categorical_accuracy")
class CategoricalAccuracy(PairMetric):
    """The share of samples whose largest output is the right class, targets one-hot.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
        tensor(0.5000)
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _same_class(y_true, y_pred)


@registry.metrics.register("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
class SparseCategoricalAccuracy(PairMetric):
    """The share of samples whose largest output is the right class, targets class indices.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> accuracy = metrics.SparseCategoricalAccuracy()
        >>> accuracy([1, 0], [[0.2, 0.8], [0.3, 0.7]]), accuracy([1, 1], [[0.2, 0.8], [0.3, 0.7]])
        (tensor(0.5000), tensor(0.7500))
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _right_class(y_true, y_pred)


@registry.metrics.register("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
class TopKCategoricalAccuracy(PairMetric):
    """The share of samples whose right class is among the `k` largest outputs, targets one-hot.

    Args:
        k: how many outputs may be named.
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.TopKCategoricalAccuracy(k=2)([[0, 0, 1], [0, 0, 1]], [[0.1, 0.5, 0.4], [0.5, 0.4, 0.1]])
        tensor(0.5000)
    """

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.k = k

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _in_top_k(y_true.argmax(-1), y_pred, self.k)


@registry.metrics.register("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(PairMetric):
    """The share of samples whose right class is among the `k` largest outputs, targets class indices.

    Args:
        k: how many outputs may be named.
        name: its name in the logs; that of its class in snake case if None.
        from_sorted_ids: whether outputs are class indices, the likeliest first.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.SparseTopKCategoricalAccuracy(k=2)([2, 2], [[0.1, 0.5, 0.4], [0.5, 0.4, 0.1]])
        tensor(0.5000)
    """

    def __init__(
        self, k: int = 5, name: str | None = None, from_sorted_ids: bool = False, dtype: Any = None
    ) -> None:
        super().__init__(name, dtype=dtype)
        self.k, self.from_sorted_ids = k, from_sorted_ids

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _listed(y_true, y_pred, self.k, self.from_sorted_ids)
