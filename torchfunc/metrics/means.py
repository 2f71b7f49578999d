"""Losses and distances as metrics: their mean over all samples."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from torchfunc import losses, registry
from torchfunc.losses.loss import Loss, pair
from torchfunc.metrics.metric import Number, PairMetric


class LossMetric(PairMetric):
    """The mean of a loss's values, one a sample."""

    loss_class: ClassVar[type[Loss]]

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.loss = self.loss_class()

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.loss.per_sample(y_true, y_pred)

    def mask(self, y_true: Tensor) -> Tensor | None:
        return self.loss.mask(y_true)


@registry.metrics.register("MeanSquaredError", "mean_squared_error", "mse", "MSE")
class MeanSquaredError(LossMetric):
    """The mean of squared differences.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.MeanSquaredError()([[0.0], [2.0]], [[1.0], [4.0]])
        tensor(2.5000)
    """

    loss_class = losses.MeanSquaredError


@registry.metrics.register("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(LossMetric):
    """The mean of absolute differences.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.MeanAbsoluteError()([[0.0], [2.0]], [[1.0], [4.0]])
        tensor(1.5000)
    """

    loss_class = losses.MeanAbsoluteError


@registry.metrics.register("MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(LossMetric):
    """The mean absolute difference in per cent of the target.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [4.0]])  # 50 and 0 per cent
        tensor(25.)
    """

    loss_class = losses.MeanAbsolutePercentageError


@registry.metrics.register("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(LossMetric):
    """The mean squared difference of logarithms.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.MeanSquaredLogarithmicError()([[9.0], [9.0]], [[9.0], [99.0]])
        tensor(2.6509)
    """

    loss_class = losses.MeanSquaredLogarithmicError


@registry.metrics.register("LogCoshError", "log_cosh_error", "logcosh")
class LogCoshError(LossMetric):
    """The mean logarithm of the hyperbolic cosine of the difference.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.LogCoshError()([[0.0], [0.0]], [[0.0], [1.0]])
        tensor(0.2169)
    """

    loss_class = losses.LogCosh

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)


@registry.metrics.register("KLDivergence", "kl_divergence", "kld", "KLD")
class KLDivergence(LossMetric):
    """The mean Kullback-Leibler divergence of the predictions from the targets.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.KLDivergence()([[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])
        tensor(0.3466)
    """

    loss_class = losses.KLDivergence


@registry.metrics.register("Poisson", "poisson")
class Poisson(LossMetric):
    """The mean negative log likelihood of counts under a Poisson distribution.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.Poisson()([[1.0], [0.0]], [[1.0], [0.5]])
        tensor(0.7500)
    """

    loss_class = losses.Poisson


@registry.metrics.register("Hinge", "hinge")
class Hinge(LossMetric):
    """The mean hinge loss of two classes.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.Hinge()([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor(0.7500)
    """

    loss_class = losses.Hinge


@registry.metrics.register("SquaredHinge", "squared_hinge")
class SquaredHinge(LossMetric):
    """The mean squared hinge loss of two classes.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.SquaredHinge()([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor(1.1250)
    """

    loss_class = losses.SquaredHinge


@registry.metrics.register("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(LossMetric):
    """The mean hinge loss of several classes, targets one-hot.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.CategoricalHinge()([[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.0]])
        tensor(0.5000)
    """

    loss_class = losses.CategoricalHinge


@registry.metrics.register("RootMeanSquaredError", "root_mean_squared_error", "rmse", "RMSE")
class RootMeanSquaredError(PairMetric):
    """The square root of the mean of squared differences.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.RootMeanSquaredError()([[0.0], [0.0]], [[1.0], [7.0]])  # the root of 25, not the mean of two roots
        tensor(5.)
    """

    takes_masks: ClassVar[bool] = False

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = pair(self.name, y_true, y_pred)
        return (y_true - y_pred).square()

    def result(self) -> Number:
        return torch.as_tensor(super().result()).sqrt()


@registry.metrics.register("CosineSimilarity", "cosine_similarity")
class CosineSimilarity(PairMetric):
    """The mean cosine of the angle between target and prediction: 1 is the same direction.

    The loss of this name has the other sign.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        axis: the axis along which two vectors lie.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.CosineSimilarity()([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]])
        tensor(0.5000)
    """

    def __init__(self, name: str | None = None, axis: int = -1, dtype: Any = None) -> None:
        super().__init__(name, dtype=dtype)
        self.axis = axis

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return -losses.CosineSimilarity(self.axis).per_sample(y_true, y_pred)


@registry.metrics.register("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(LossMetric):
    """The mean crossentropy of yes-or-no targets.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        from_logits: whether predictions are logits, before their sigmoid.
        label_smoothing: how far targets are drawn towards 0.5, from 0 (not at all) to 1.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.1]])
        tensor(0.3993)
    """

    loss_class = losses.BinaryCrossentropy

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing
        self.loss = losses.BinaryCrossentropy(from_logits, label_smoothing)


@registry.metrics.register("CategoricalCrossentropy", "categorical_crossentropy")
class CategoricalCrossentropy(LossMetric):
    """The mean crossentropy of one class in several, targets one-hot.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        from_logits: whether predictions are logits, before their softmax.
        label_smoothing: how far targets are drawn towards equal probabilities, from 0 to 1.
        axis: the axis of classes.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.CategoricalCrossentropy()([[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [0.9, 0.1]])
        tensor(0.3993)
    """

    loss_class = losses.CategoricalCrossentropy

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis
        self.loss = losses.CategoricalCrossentropy(from_logits, label_smoothing, axis)


@registry.metrics.register("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(LossMetric):
    """The mean crossentropy of one class in several, targets class indices.

    Samples of `ignore_class` count as 0, as in Keras; where samples are weighted they do not count.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        from_logits: whether predictions are logits, before their softmax.
        ignore_class: an index whose samples count as 0.
        axis: the axis of classes.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> metrics.SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.9, 0.1]])
        tensor(0.3993)
    """

    loss_class = losses.SparseCategoricalCrossentropy

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype=dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
        self.loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
