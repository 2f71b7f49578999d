"""Losses that measure a distance between target and prediction."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import registry
from torchfunc.losses.loss import PairLoss, Reduction, pair
from torchfunc.settings import epsilon


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean((y_true - y_pred)^2)` over the last axis.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.

    Returns:
        One value (...) for each sample, in float32 or more.

    Example:
        >>> losses.mean_squared_error([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 4.0]])
        tensor([0.5000, 2.0000])
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return F.mse_loss(y_pred, y_true, reduction="none").mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(abs(y_true - y_pred))` over the last axis.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.

    Returns:
        One value (...) for each sample, in float32 or more.

    Example:
        >>> losses.mean_absolute_error([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 4.0]])
        tensor([0.5000, 1.0000])
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return F.l1_loss(y_pred, y_true, reduction="none").mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """`100 * mean(abs((y_true - y_pred) / y_true))` over the last axis, `y_true` held off zero.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.

    Returns:
        One value (...) for each sample, in per cent: 100 is as far off as the target is large.

    Example:
        >>> losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]])
        tensor([25.])
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return torch.mean(100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=epsilon())).abs(), -1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """`mean((log(y_true + 1) - log(y_pred + 1))^2)` over the last axis, both held above zero.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.

    Returns:
        One value (...) for each sample, in float32 or more.

    Example:
        >>> losses.mean_squared_logarithmic_error([[9.0]], [[99.0]])  # log(10)^2: ten times as much
        tensor([5.3019])
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logarithms = [torch.log(y.clamp(min=epsilon()) + 1.0) for y in (y_pred, y_true)]
    return (logarithms[0] - logarithms[1]).square().mean(-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta`, beyond it a straight line; the mean over the last axis.

    Source: Huber 1964.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.
        delta: the distance from which on an error counts by its size and no more by its square.

    Returns:
        One value (...) for each sample, in float32 or more.

    Example:
        >>> losses.huber([[0.0], [0.0]], [[0.5], [3.0]])  # 0.5^2 / 2, and 1 * (3 - 1 / 2)
        tensor([0.1250, 2.5000])
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(log(cosh(y_pred - y_true)))` over the last axis, in a form that cannot overflow.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.

    Returns:
        One value (...) for each sample: near half the square of a small error, and near the size of a large
        one less log 2.

    Example:
        >>> losses.log_cosh([[0.0], [0.0]], [[0.1], [100.0]])
        tensor([4.9917e-03, 9.9307e+01])
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return torch.mean(error + F.softplus(-2.0 * error) - math.log(2.0), -1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(y_pred - y_true * log(y_pred))` over the last axis.

    Args:
        y_true: counts (..., d).
        y_pred: rates (..., d), above 0; 1e-7 is added before the logarithm.

    Returns:
        One value (...) for each sample: the negative log likelihood but for `log(y_true!)`, which no
        prediction changes.

    Example:
        >>> losses.poisson([[1.0, 0.0]], [[1.0, 0.5]])
        tensor([0.7500])
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return torch.mean(y_pred - y_true * torch.log(y_pred + epsilon()), -1)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """`sum(y_true * log(y_true / y_pred))` over the last axis, both held within (0, 1].

    Source: Kullback and Leibler 1951.

    Args:
        y_true: probabilities (..., classes).
        y_pred: probabilities (..., classes).

    Returns:
        One value (...) for each sample, in nats: 0 where the two distributions are one.

    Example:
        >>> losses.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]])
        tensor([0.])
        >>> losses.kl_divergence([[1.0, 0.0]], [[0.5, 0.5]])  # log(2)
        tensor([0.6931])
    """
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true, y_pred = y_true.clamp(epsilon(), 1.0), y_pred.clamp(epsilon(), 1.0)
    return torch.sum(y_true * torch.log(y_true / y_pred), -1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between the two along `axis`: -1 is the same direction.

    Args:
        y_true: targets (..., d), shaped like the predictions; a last axis of length 1 may be missing.
        y_pred: predictions (..., d); halves are computed in float32.
        axis: the axis along which two vectors lie.

    Returns:
        The shape without `axis`: from -1, the same direction, over 0, a right angle, to 1, the opposite
        direction.

    Example:
        >>> losses.cosine_similarity([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [3.0, 3.0]])
        tensor([-1.0000, -0.7071])
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -(F.normalize(y_true, dim=axis) * F.normalize(y_pred, dim=axis)).sum(axis)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(max(1 - y_true * y_pred, 0))` over the last axis; labels are -1 and 1, or 0 and 1.

    Args:
        y_true: labels (..., d): -1 and 1; where all of a batch are 0 or 1 these are taken for them.
        y_pred: scores (..., d): their sign is the prediction, and their size how sure it is.

    Returns:
        One value (...) for each sample: 0 where every score is at least 1 on the right side.

    Example:
        >>> losses.hinge([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor([0.0000, 1.5000])
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return torch.relu(1.0 - _signs(y_true) * y_pred).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`mean(max(1 - y_true * y_pred, 0)^2)` over the last axis; labels are -1 and 1, or 0 and 1.

    Args:
        y_true: labels (..., d): -1 and 1; where all of a batch are 0 or 1 these are taken for them.
        y_pred: scores (..., d): their sign is the prediction, and their size how sure it is.

    Returns:
        One value (...) for each sample: 0 where every score is at least 1 on the right side.

    Example:
        >>> losses.squared_hinge([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor([0.0000, 2.2500])
    """
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return torch.relu(1.0 - _signs(y_true) * y_pred).square().mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`max(max((1 - y_true) * y_pred) - sum(y_true * y_pred) + 1, 0)` over the last axis.

    Args:
        y_true: one-hot targets (..., classes).
        y_pred: scores (..., classes).

    Returns:
        One value (...) for each sample: 0 where the right score is above all others by at least 1.

    Example:
        >>> losses.categorical_hinge([[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.0]])
        tensor([0.5000])
    """
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    wrong, right = ((1.0 - y_true) * y_pred).amax(-1), (y_true * y_pred).sum(-1)
    return torch.relu(wrong - right + 1.0)


def _signs(labels: Tensor) -> Tensor:
    """Labels of 0 and 1 as -1 and 1; others as they are. Decided on the device, without reading it."""
    binary = ((labels == 0) | (labels == 1)).all()
    return torch.where(binary, 2.0 * labels - 1.0, labels)


def dice(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """One minus twice the overlap over the sum of both, over `axis` or the whole batch.

    Source: Milletari et al. 2016.

    Args:
        y_true: masks, 0 or 1, of any shape.
        y_pred: probabilities, shaped like the masks.
        axis: the axes that are summed over; all of them, the batch's too, if None.

    Returns:
        One value, or the shape without `axis`: from 0, where the two masks are one, to 1, where they have
        nothing in common.

    Example:
        >>> losses.dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])  # 1 - 2 * 1 / (2 + 1)
        tensor(0.3333)
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    overlap = (y_true * y_pred).sum(axis)
    return 1.0 - torch.div(2.0 * overlap, y_true.sum(axis) + y_pred.sum(axis) + epsilon())


def tversky(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | tuple[int, ...] | None = None,
) -> Tensor:
    """`dice` with a weight for what only the target has (`alpha`) and only the prediction (`beta`).

    Source: Salehi et al. 2017.

    Args:
        y_true: masks, 0 or 1, of any shape.
        y_pred: probabilities, shaped like the masks.
        alpha: the weight of what only the target has: of what was missed.
        beta: the weight of what only the prediction has: of false alarms.
        axis: the axes that are summed over; all of them, the batch's too, if None.

    Returns:
        One value, or the shape without `axis`, from 0 to 1; with both weights 0.5 it is `dice`.

    Example:
        >>> losses.tversky([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], alpha=0.9)  # 1 - 1 / (1 + 0.9 * 1)
        tensor(0.4737)
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    overlap = (y_true * y_pred).sum(axis)
    missed, extra = (y_true * (1 - y_pred)).sum(axis), (y_pred * (1 - y_true)).sum(axis)
    return 1.0 - torch.div(overlap, overlap + alpha * missed + beta * extra + epsilon())


@registry.losses.register("MeanSquaredError", "mean_squared_error", "mse", "MSE")
class MeanSquaredError(PairLoss):
    """The mean of squared differences.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.MeanSquaredError()([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 4.0]])
        tensor(1.2500)
        >>> losses.MeanSquaredError(reduction="sum")([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 4.0]])
        tensor(2.5000)
    """

    function = staticmethod(mean_squared_error)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = pair(self.name, y_true, y_pred)
        return F.mse_loss(y_pred, y_true)


@registry.losses.register("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(PairLoss):
    """The mean of absolute differences.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.MeanAbsoluteError()([[0.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 4.0]])
        tensor(0.7500)
    """

    function = staticmethod(mean_absolute_error)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = pair(self.name, y_true, y_pred)
        return F.l1_loss(y_pred, y_true)


@registry.losses.register("MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(PairLoss):
    """The mean absolute difference in per cent of the target.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [4.0]])  # 50 and 0 per cent
        tensor(25.)
    """

    function = staticmethod(mean_absolute_percentage_error)


@registry.losses.register("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(PairLoss):
    """The mean squared difference of logarithms.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.MeanSquaredLogarithmicError()([[9.0], [9.0]], [[9.0], [99.0]])
        tensor(2.6509)
    """

    function = staticmethod(mean_squared_logarithmic_error)


@registry.losses.register("Huber", "huber", "huber_loss")
class Huber(PairLoss):
    """Half the squared error up to `delta`, beyond it a straight line.

    Args:
        delta: the distance from which on an error counts by its size and no more by its square.
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.Huber()([[0.0], [0.0]], [[0.5], [3.0]])  # the mean of 0.125 and 2.5
        tensor(1.3125)
    """

    function = staticmethod(huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.delta = delta

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return huber(y_true, y_pred, self.delta)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = pair(self.name, y_true, y_pred)
        return F.huber_loss(y_pred, y_true, delta=self.delta)


@registry.losses.register("LogCosh", "log_cosh", "logcosh")
class LogCosh(PairLoss):
    """The logarithm of the hyperbolic cosine of the difference.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.LogCosh()([[0.0]], [[1.0]])
        tensor(0.4338)
    """

    function = staticmethod(log_cosh)


@registry.losses.register("Poisson", "poisson")
class Poisson(PairLoss):
    """The negative log likelihood of counts under a Poisson distribution, up to a constant.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.Poisson()([[1.0], [0.0]], [[1.0], [0.5]])
        tensor(0.7500)
    """

    function = staticmethod(poisson)


@registry.losses.register("KLDivergence", "kl_divergence", "kld", "KLD")
class KLDivergence(PairLoss):
    """The Kullback-Leibler divergence of the prediction from the target.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.KLDivergence()([[1.0, 0.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """

    function = staticmethod(kl_divergence)
    _of_probabilities = True


@registry.losses.register("CosineSimilarity", "cosine_similarity")
class CosineSimilarity(PairLoss):
    """Minus the cosine of the angle between target and prediction.

    Args:
        axis: the axis along which two vectors lie.
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.CosineSimilarity()([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [3.0, 3.0]])
        tensor(-0.8536)
    """

    function = staticmethod(cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return cosine_similarity(y_true, y_pred, self.axis)


@registry.losses.register("Hinge", "hinge")
class Hinge(PairLoss):
    """The hinge loss of two classes.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.Hinge()([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor(0.7500)
    """

    function = staticmethod(hinge)


@registry.losses.register("SquaredHinge", "squared_hinge")
class SquaredHinge(PairLoss):
    """The squared hinge loss of two classes.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.SquaredHinge()([[1.0], [-1.0]], [[2.0], [0.5]])
        tensor(1.1250)
    """

    function = staticmethod(squared_hinge)


@registry.losses.register("CategoricalHinge", "categorical_hinge")
class CategoricalHinge(PairLoss):
    """The hinge loss of several classes, targets one-hot.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.CategoricalHinge()([[0.0, 1.0, 0.0]], [[0.5, 1.0, 0.0]])
        tensor(0.5000)
    """

    function = staticmethod(categorical_hinge)


@registry.losses.register("Dice", "dice")
class Dice(PairLoss):
    """One minus the Dice coefficient; over the whole batch if `axis` is None.

    Args:
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        axis: the axes that are summed over; all of them, the batch's too, if None, and then samples cannot be
            weighted.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> masks = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
        >>> found = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> losses.Dice()(masks, found)  # 1 - 2 * 2 / (3 + 2)
        tensor(0.2000)
        >>> losses.Dice(axis=-1)(masks, found)  # the mean of 1 / 3 and 0
        tensor(0.1667)
    """

    function = staticmethod(dice)
    _of_probabilities = True

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return dice(y_true, y_pred, self.axis)


@registry.losses.register("Tversky", "tversky")
class Tversky(PairLoss):
    """One minus the Tversky index; over the whole batch if `axis` is None.

    Args:
        alpha: the weight of what only the target has: of what was missed.
        beta: the weight of what only the prediction has: of false alarms.
        reduction: how the values become one, as in `Loss`.
        name: its name in messages and in the logs; the loss's own name if None.
        axis: the axes that are summed over; all of them, the batch's too, if None, and then samples cannot be
            weighted.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> losses.Tversky(alpha=0.9, beta=0.1)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
        tensor(0.4737)
    """

    function = staticmethod(tversky)
    _of_probabilities = True

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        axis: int | tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype=dtype)
        self.alpha, self.beta = alpha, beta
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return tversky(y_true, y_pred, self.alpha, self.beta, self.axis)
