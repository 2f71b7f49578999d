"""Config: the arguments of `compile` as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torchfunc import losses, metrics, optimizers
from torchfunc.config import plain
from torchfunc.training.objective import LOSSES_BY_SHAPE, METRICS_BY_SHAPE, is_identifier
from torchfunc.tree import map_leaves


def compile_config(
    optimizer: Any, loss: Any, loss_weights: Any, measured: Any, weighted_measured: Any
) -> dict[str, Any]:
    """The arguments of `compile`, as they may be given to it again.

    Raises:
        SavingError: a function or an object that no file can name.
    """
    return {
        "optimizer": optimizers.serialize(optimizer),
        "loss": plain(loss, lambda each, name: losses.serialize(each)),
        "loss_weights": None if loss_weights is None else plain(map_leaves(float, loss_weights)),
        "metrics": plain(measured, lambda each, name: metrics.serialize(each)),
        "weighted_metrics": plain(weighted_measured, lambda each, name: metrics.serialize(each)),
    }


def check_names(loss: Any, *measured: Any) -> None:
    """Look every name up, so that a misspelled one is told at once.

    Raises:
        UnknownNameError: a loss or metric of that name does not exist.
    """
    _check(loss, losses.get, LOSSES_BY_SHAPE)
    for given in measured:
        _check(given, metrics.get, METRICS_BY_SHAPE)


def _check(given: Any, look_up: Callable[[Any], Any], chosen_later: Sequence[str]) -> None:
    if isinstance(given, (list, tuple)) or (isinstance(given, dict) and not is_identifier(given)):
        for each in given.values() if isinstance(given, dict) else given:
            _check(each, look_up, chosen_later)
    elif not isinstance(given, str) or given not in chosen_later:
        look_up(given)
