"""Config: the arguments of `compile` as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torchfunc import losses, metrics, optimizers, registry
from torchfunc.errors import SavingError, explain, shorten
from torchfunc.training.objective import LOSSES_BY_SHAPE, METRICS_BY_SHAPE, is_identifier


def compile_config(
    optimizer: Any, loss: Any, loss_weights: Any, measured: Any, weighted_measured: Any
) -> dict[str, Any]:
    """The arguments of `compile`, as they may be given to it again.

    Raises:
        SavingError: a function or an object that no file can name.
    """
    return {
        "optimizer": optimizers.serialize(optimizer),
        "loss": _written(loss, _named(losses.serialize, registry.losses, losses.get)),
        "loss_weights": _written(loss_weights, float),
        "metrics": _written(measured, _named(metrics.serialize, registry.metrics, metrics.get)),
        "weighted_metrics": _written(
            weighted_measured, _named(metrics.serialize, registry.metrics, metrics.get)
        ),
    }


def _named(
    write: Callable[[Any], Any], known: registry.Registry, look_up: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """`write`, for what its name does not take for something else.

    Raises:
        SavingError: a function of yours under a name of ours, which would come back as ours.
    """

    def written(given: Any) -> Any:
        name = write(given)
        if isinstance(name, str) and name in known and type(look_up(name)) is not type(look_up(given)):
            raise SavingError(
                explain(
                    f"The {known.kind} {shorten(given)}",
                    got=f"the name {name!r}",
                    expected="another one",
                    why=f"in a file it stands for the {known.kind} of torchfunc",
                    fix="rename the function",
                )
            )
        return name

    return written


def _written(given: Any, write: Callable[[Any], Any]) -> Any:
    """Lists and dicts of what was given, with each object in them written."""
    if isinstance(given, dict) and not is_identifier(given):
        return {name: _written(each, write) for name, each in given.items()}
    if isinstance(given, (list, tuple)):
        return [_written(each, write) for each in given]
    return given if given is None or isinstance(given, (str, dict)) else write(given)


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
