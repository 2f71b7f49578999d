"""Crossentropies: how surprising the target is under the predicted probabilities.

From logits they run on PyTorch's own kernels, whose gradient is exact. From probabilities they
follow Keras, which holds them within [1e-7, 1 - 1e-7].
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import registry
from torchfunc.errors import DataError, explain
from torchfunc.losses.loss import Loss, PairLoss, Reduction, as_tensor, floating, pair
from torchfunc.settings import epsilon

# F.cross_entropy passes over labels of -100 unless told otherwise; here no label is special.
NO_LABEL = torch.iinfo(torch.int64).min


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The crossentropy of each number as a probability of its own; the mean over `axis`.

    Args:
        y_true: targets (..., d), 0, 1 or a probability between.
        y_pred: probabilities (..., d), or logits.
        from_logits: whether predictions are logits, before their sigmoid.
        label_smoothing: how far targets are drawn towards 0.5, from 0 (not at all) to 1.
        axis: the axis over which the mean is taken.

    Returns:
        The shape without `axis`, in nats.

    Example:
        >>> losses.binary_crossentropy([[1.0], [0.0]], [[0.5], [0.1]])  # -log(0.5), -log(0.9)
        tensor([0.6931, 0.1054])
        >>> losses.binary_crossentropy([[1.0]], [[0.0]], from_logits=True)
        tensor([0.6931])
    """
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    return _binary(y_true, y_pred, from_logits, "none").mean(axis)


def _binary(y_true: Tensor, y_pred: Tensor, from_logits: bool, reduction: str) -> Tensor:
    if from_logits:
        return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
    y_pred = y_pred.clamp(epsilon(), 1.0 - epsilon())
    kind = y_pred.device.type
    # Under autocast PyTorch refuses this kernel, float32 or not.
    with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
        return F.binary_cross_entropy(y_pred, y_true, reduction=reduction)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The crossentropy of one-hot (or probability) targets along `axis`.

    Args:
        y_true: one-hot targets or probabilities (..., classes).
        y_pred: probabilities (..., classes), which are divided by their sum, or logits.
        from_logits: whether predictions are logits, before their softmax.
        label_smoothing: how far targets are drawn towards equal probabilities, from 0 to 1.
        axis: the axis of classes.

    Returns:
        The shape without `axis`, in nats.

    Raises:
        DataError: class indices where one-hot targets belong, or a single class.

    Example:
        >>> losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
        >>> losses.categorical_crossentropy([[0.0, 1.0]], [[0.0, 2.0]], from_logits=True)
        tensor([0.1269])
    """
    y_true, y_pred = _one_hot_pair("categorical_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[axis])
    return -torch.sum(y_true * _log_probabilities(y_pred, from_logits, axis), axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """The crossentropy of class indices: minus the log probability of the right class along `axis`.

    Where the target is `ignore_class` the value is 0.

    Args:
        y_true: class indices (...) or (..., 1).
        y_pred: probabilities (..., classes), which are divided by their sum, or logits.
        from_logits: whether predictions are logits, before their softmax.
        ignore_class: an index whose value is 0; where a mean is taken, `SparseCategoricalCrossentropy` leaves
            it out.
        axis: the axis of classes in the predictions.

    Returns:
        One value for each index, in nats.

    Raises:
        DataError: one-hot targets, a single class, or shapes that do not fit.

    Example:
        >>> losses.sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [0.9, 0.1]])
        tensor([0.6931, 0.1054])
        >>> losses.sparse_categorical_crossentropy([1, -1], [[0.5, 0.5], [0.9, 0.1]], ignore_class=-1)
        tensor([0.6931, 0.0000])
    """
    labels, y_pred = _sparse_pair(y_true, y_pred, axis)
    values = _sparse(labels, y_pred, from_logits, ignore_class, "none")
    return values.view(labels.shape)


def _sparse(
    labels: Tensor, y_pred: Tensor, from_logits: bool, ignore_class: int | None, reduction: str
) -> Tensor:
    """Over a prediction whose classes lie on the last axis."""
    ignored = NO_LABEL if ignore_class is None else ignore_class
    if y_pred.ndim != 2:
        y_pred, labels = y_pred.reshape(-1, y_pred.shape[-1]), labels.reshape(-1)
    if from_logits:
        return F.cross_entropy(y_pred, labels, ignore_index=ignored, reduction=reduction)
    logarithms = _log_probabilities(y_pred, False, -1)
    return F.nll_loss(logarithms, labels, ignore_index=ignored, reduction=reduction)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """`binary_crossentropy` times `(1 - p)^gamma`, p the probability of the right answer.

    Source: Lin et al. 2017.

    Args:
        y_true: targets (..., d), 0 or 1.
        y_pred: probabilities (..., d), or logits.
        apply_class_balancing: whether class 1 is weighted by `alpha` and class 0 by `1 - alpha`.
        alpha: the weight of class 1.
        gamma: the exponent of the probability of being wrong; with 0 it is the crossentropy.
        from_logits: whether predictions are logits, before their sigmoid.
        label_smoothing: how far targets are drawn towards 0.5, from 0 (not at all) to 1.
        axis: the axis over which the mean is taken.

    Returns:
        The shape without `axis`.

    Example:
        >>> losses.binary_focal_crossentropy([[1.0]], [[0.9]])  # (1 - 0.9)^2 * -log(0.9)
        tensor([0.0011])
    """
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    probability = torch.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * probability + (1 - y_true) * (1 - probability)
    values = _ease(right, gamma) * _binary(y_true, y_pred, from_logits, "none")
    if apply_class_balancing:
        values = values * (y_true * alpha + (1 - y_true) * (1 - alpha))
    return values.mean(axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """`categorical_crossentropy` with each class's term times `alpha * (1 - p)^gamma`.

    Source: Lin et al. 2017.

    Args:
        y_true: one-hot targets (..., classes).
        y_pred: probabilities (..., classes), which are divided by their sum, or logits.
        alpha: a factor of the whole.
        gamma: the exponent of the probability of being wrong.
        from_logits: whether predictions are logits, before their softmax.
        label_smoothing: how far targets are drawn towards equal probabilities, from 0 to 1.
        axis: the axis of classes.

    Returns:
        The shape without `axis`.

    Example:
        >>> losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.1, 0.9]])  # 0.25 * (1 - 0.9)^2 * -log(0.9)
        tensor([0.0003])
    """
    y_true, y_pred = _one_hot_pair("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[axis])
    logarithms = _log_probabilities(y_pred, from_logits, axis)
    return -alpha * torch.sum(_ease(logarithms.exp(), gamma) * y_true * logarithms, axis)


def _ease(probability: Tensor, gamma: float) -> Tensor:
    """`(1 - p)^gamma`, held off zero, where its gradient is infinite for gamma below 1."""
    return torch.pow((1.0 - probability).clamp(min=epsilon()), gamma)


def _smooth(y_true: Tensor, label_smoothing: float, classes: int) -> Tensor:
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return torch.log_softmax(y_pred, axis)
    y_pred = y_pred / y_pred.sum(axis, keepdim=True)
    return torch.log(y_pred.clamp(epsilon(), 1.0 - epsilon()))


def _one_hot_pair(name: str, y_true: Any, y_pred: Any, axis: int) -> tuple[Tensor, Tensor]:
    """Targets and predictions of one shape.

    Raises:
        DataError: class indices where one-hot targets belong, or a single class.
    """
    y_true, y_pred = as_tensor(y_true), floating(y_pred)
    _check_classes(name, y_pred, axis)
    without = list(y_pred.shape)
    del without[axis]
    if list(y_true.shape) in (without, [*without, 1]):
        raise DataError(
            explain(
                f"Loss {name!r}",
                got=f"targets of shape {tuple(y_true.shape)} for outputs of shape {tuple(y_pred.shape)}",
                expected="one-hot targets, shaped like the outputs",
                why="targets without the axis of classes are class indices",
                fix="loss='sparse_categorical_crossentropy', or utils.to_categorical(targets)",
            )
        )
    return pair(name, y_true, y_pred)


def _sparse_pair(y_true: Any, y_pred: Any, axis: int) -> tuple[Tensor, Tensor]:
    """Class indices as int64, and predictions with their classes on the last axis.

    Raises:
        DataError: one-hot targets, a single class, or shapes that do not fit.
    """
    name = "sparse_categorical_crossentropy"
    labels, y_pred = as_tensor(y_true), floating(y_pred)
    _check_classes(name, y_pred, axis)
    y_pred = y_pred if axis in (-1, y_pred.ndim - 1) else y_pred.movedim(axis, -1)
    if labels.ndim == y_pred.ndim and labels.shape[axis] == 1:
        labels = labels.squeeze(axis)
    if labels.shape != y_pred.shape[:-1]:
        one_hot = labels.ndim == y_pred.ndim
        raise DataError(
            explain(
                f"Loss {name!r}",
                got=f"targets of shape {tuple(labels.shape)} for outputs of shape {tuple(y_pred.shape)}",
                expected=f"class indices of shape {tuple(y_pred.shape[:-1])}",
                why="targets with the axis of classes are one-hot" if one_hot else "",
                fix="loss='categorical_crossentropy', or targets.argmax(-1)" if one_hot else "",
            )
        )
    return labels if labels.dtype == torch.int64 else labels.long(), y_pred


def _check_classes(name: str, y_pred: Tensor, axis: int) -> None:
    if y_pred.ndim and y_pred.shape[axis] == 1:
        raise DataError(
            explain(
                f"Loss {name!r}",
                got=f"outputs of shape {tuple(y_pred.shape)}",
                expected="at least 2 classes",
                why="the probability of a single class is always 1, so nothing would be learned",
                fix="loss='binary_crossentropy'",
            )
        )


@registry.losses.register("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(PairLoss):
    """The crossentropy of yes-or-no targets: each output is the probability of a 1.

    Args:
        from_logits: Whether the outputs are logits, before their sigmoid.
        label_smoothing: How far targets are drawn towards 0.5, from 0 (not at all) to 1.
        axis: Over which the mean of a sample is taken.
        reduction: See `Loss`.
        name: Its name in messages.
        dtype: What it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.1]])
        tensor(0.3993)
        >>> losses.BinaryCrossentropy(from_logits=True)([[1.0], [0.0]], [[0.0], [-2.0]], sample_weight=[1.0, 0.0])
        tensor(0.3466)
    """

    function = staticmethod(binary_crossentropy)
    _of_probabilities = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = pair(self.name, y_true, y_pred)
        return _binary(_smooth(y_true, self.label_smoothing, 2), y_pred, self.from_logits, "mean")


@registry.losses.register("CategoricalCrossentropy", "categorical_crossentropy", "cce")
class CategoricalCrossentropy(Loss):
    """The crossentropy of one class in several, targets one-hot.

    Args:
        from_logits: Whether the outputs are logits, before their softmax.
        label_smoothing: How far targets are drawn towards equal probabilities, from 0 to 1.
        axis: The axis of classes.
        reduction: See `Loss`.
        name: Its name in messages.
        dtype: What it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.CategoricalCrossentropy()([[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.9, 0.1]])
        tensor(0.3993)
    """

    _of_probabilities = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype=dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if not self.from_logits or y_pred.ndim != 2 or self.axis not in (-1, 1):
            return super().mean(y_true, y_pred)
        y_true, y_pred = _one_hot_pair(self.name, y_true, y_pred, self.axis)
        return F.cross_entropy(y_pred, y_true, label_smoothing=self.label_smoothing)


@registry.losses.register("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", "scce")
class SparseCategoricalCrossentropy(Loss):
    """The crossentropy of one class in several, targets class indices.

    Args:
        from_logits: Whether the outputs are logits, before their softmax.
        ignore_class: An index whose samples do not count, neither in the sum nor in the mean.
        reduction: See `Loss`.
        axis: The axis of classes.
        name: Its name in messages.
        dtype: What it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.9, 0.1]])
        tensor(0.3993)
        >>> losses.SparseCategoricalCrossentropy(ignore_class=-1)([1, -1], [[0.5, 0.5], [0.9, 0.1]])
        tensor(0.6931)
    """

    _of_probabilities = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: Reduction = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype=dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels, y_pred = _sparse_pair(y_true, y_pred, self.axis)
        return _sparse(labels, y_pred, self.from_logits, None, "mean")

    def mask(self, y_true: Tensor) -> Tensor | None:
        # as int64: in uint8, -1 would be 255
        return None if self.ignore_class is None else y_true.long() != self.ignore_class


@registry.losses.register("BinaryFocalCrossentropy", "binary_focal_crossentropy")
class BinaryFocalCrossentropy(PairLoss):
    """The binary crossentropy with less weight on what is already easy.

    Args:
        apply_class_balancing: Whether class 1 is weighted by `alpha` and class 0 by `1 - alpha`.
        alpha: The weight of class 1.
        gamma: The exponent of the probability of being wrong.
        from_logits: Whether the outputs are logits, before their sigmoid.
        label_smoothing: How far targets are drawn towards 0.5.
        axis: Over which the mean of a sample is taken.
        reduction: See `Loss`.
        name: Its name in messages.
        dtype: What it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.BinaryFocalCrossentropy()([[1.0], [1.0]], [[0.9], [0.1]])  # nearly all of it is the second
        tensor(0.9331)
    """

    function = staticmethod(binary_focal_crossentropy)
    _of_probabilities = True

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return binary_focal_crossentropy(
            y_true,
            y_pred,
            self.apply_class_balancing,
            self.alpha,
            self.gamma,
            self.from_logits,
            self.label_smoothing,
            self.axis,
        )


@registry.losses.register("CategoricalFocalCrossentropy", "categorical_focal_crossentropy")
class CategoricalFocalCrossentropy(Loss):
    """The categorical crossentropy with less weight on what is already easy, targets one-hot.

    Args:
        alpha: A factor.
        gamma: The exponent of the probability of being wrong.
        from_logits: Whether the outputs are logits, before their softmax.
        label_smoothing: How far targets are drawn towards equal probabilities.
        axis: The axis of classes.
        reduction: See `Loss`.
        name: Its name in messages.
        dtype: What it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.CategoricalFocalCrossentropy()([[0.0, 1.0], [0.0, 1.0]], [[0.1, 0.9], [0.9, 0.1]])
        tensor(0.2333)
    """

    _of_probabilities = True

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype=dtype)
        self.alpha, self.gamma = alpha, gamma
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return categorical_focal_crossentropy(
            y_true, y_pred, self.alpha, self.gamma, self.from_logits, self.label_smoothing, self.axis
        )
