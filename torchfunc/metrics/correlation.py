"""Correlations of targets and predictions along an axis: Pearson's, and Lin's, which also asks for equal means."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchfunc import registry
from torchfunc.losses.loss import pair
from torchfunc.metrics.metric import PairMetric
from torchfunc.settings import epsilon

Axis = int | tuple[int, ...]


def pearson_correlation(y_true: Any, y_pred: Any, axis: Axis = -1) -> Tensor:
    """The covariance over the product of the standard deviations along `axis`: 1 on any rising line, -1 on a falling one.

    NaN where one of the two is constant.

    Source: Pearson 1895.

    Args:
        y_true: targets (..., d), shaped like the predictions.
        y_pred: predictions (..., d).
        axis: the axis or axes along which the two are compared.

    Returns:
        The shape without `axis`, from -1 to 1.

    Example:
        >>> pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]])
        tensor([1.])
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    y_true, y_pred = y_true - y_true.mean(axis, keepdim=True), y_pred - y_pred.mean(axis, keepdim=True)
    true, found = (y.std(axis, correction=0, keepdim=True) for y in (y_true, y_pred))
    return torch.mean(y_true / true * (y_pred / found), axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: Axis = -1) -> Tensor:
    """Twice the covariance over both variances and the squared difference of means along `axis`: 1 where both are equal.

    Source: Lin 1989.

    Args:
        y_true: targets (..., d), shaped like the predictions.
        y_pred: predictions (..., d).
        axis: the axis or axes along which the two are compared.

    Returns:
        The shape without `axis`, from -1 to 1.

    Example:
        >>> concordance_correlation([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])
        tensor([1.0000])
        >>> concordance_correlation([[0.0, 1.0, 2.0]], [[10.0, 11.0, 12.0]])  # a line, but far from the targets
        tensor([0.0132])
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    true_mean, mean = y_true.mean(axis, keepdim=True), y_pred.mean(axis, keepdim=True)
    variance = y_true.var(axis, correction=0, keepdim=True) + y_pred.var(axis, correction=0, keepdim=True)
    # deviations of one of the two from any number would do: those of the other sum up to 0
    both = 2 * (y_true - mean) * (y_pred - mean)
    return torch.mean(both / (variance + (true_mean - mean).square() + epsilon()), axis)


@registry.metrics.register("PearsonCorrelation", "pearson_correlation")
class PearsonCorrelation(PairMetric):
    """The mean of `pearson_correlation` over all samples.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.
        axis: the axis or axes along which targets and predictions are compared.

    Example:
        >>> metrics.PearsonCorrelation()([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[0.0, 2.0, 4.0], [0.0, 2.0, 1.0]])
        tensor(0.7500)
    """

    def __init__(self, name: str | None = None, dtype: Any = None, axis: Axis = -1) -> None:
        super().__init__(name, dtype)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return pearson_correlation(y_true, y_pred, self.axis)


@registry.metrics.register("ConcordanceCorrelation", "concordance_correlation")
class ConcordanceCorrelation(PairMetric):
    """The mean of `concordance_correlation` over all samples.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.
        axis: the axis or axes along which targets and predictions are compared.

    Example:
        >>> metrics.ConcordanceCorrelation()([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
        tensor(0.7857)
    """

    def __init__(self, name: str | None = None, dtype: Any = None, axis: Axis = -1) -> None:
        super().__init__(name, dtype)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return concordance_correlation(y_true, y_pred, self.axis)
