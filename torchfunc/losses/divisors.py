"""Divisors: what the mean of a loss is divided by, by which means of parts make the mean of the whole."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchfunc.losses import torch_losses
from torchfunc.losses.loss import Loss, TorchLoss, fit_weights

Number = Tensor | float


def is_sum(loss: Any) -> bool:
    """Whether a loss adds its values up and divides by nothing."""
    return getattr(loss, "reduction", None) == "sum"


def divisor(loss: Any, y_true: Tensor, y_pred: Tensor, weight: Tensor | None, mask: Tensor | None) -> Number:
    """What the mean over a batch is divided by, up to a factor that is the same for every batch.

    A loss that returns one number for a batch is taken for a mean over its samples.
    """
    counted = _counted(loss, y_true)
    if mask is not None:
        mask = mask.bool()
        counted = mask if counted is None else counted.reshape(mask.shape) * mask
    if weight is not None and getattr(loss, "reduction", None) == "mean_with_sample_weight":
        counted = (
            weight if counted is None else fit_weights(loss.name, weight, counted.to(weight.dtype)) * counted
        )
    return float(y_pred.numel()) if counted is None else counted.sum()


def _counted(loss: Any, y_true: Tensor) -> Tensor | None:
    """How much each value counts by its target; None if all count as one."""
    if isinstance(loss, TorchLoss):
        return torch_losses.counted(loss.signature, loss.function, y_true)
    return loss.mask(y_true) if isinstance(loss, Loss) else None
