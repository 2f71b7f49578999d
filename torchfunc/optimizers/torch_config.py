"""Optimizers of PyTorch as data, by the table of those that a file may name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import optim

from torchfunc import native
from torchfunc.config import constructed, plain
from torchfunc.errors import SavingError, UnknownNameError, explain, shorten


def described(source: Any) -> dict[str, Any] | None:
    """An optimizer of PyTorch, its class or a partial of that, as data; None for anything else.

    It is not confused with Keras's optimizer of the same name, whose defaults are others.

    Raises:
        SavingError: a partial whose arguments are no plain data.
    """
    kind, arguments = _parts(source)
    written = native.name_of(kind)
    if written not in native.optimizers():
        return None

    def refused(value: Any, name: str) -> Any:
        raise SavingError(
            explain(
                f"The optimizer {written}",
                got=f"{name}={shorten(value)}",
                expected="arguments that are numbers, truth values or text",
                fix="give such ones, or save the weights alone: model.save_weights(...)",
            )
        )

    config = {name: plain(value, refused, name) for name, value in arguments.items()}
    return {"class_name": written, "config": config}


def _parts(source: Any) -> tuple[Any, dict[str, Any]]:
    """The class of an optimizer and the arguments that make another like it."""
    if isinstance(source, optim.Optimizer):
        known = inspect.signature(type(source)).parameters
        return type(source), {key: value for key, value in source.defaults.items() if key in known}
    if isinstance(source, partial) and not source.args and isinstance(source.func, type):
        return source.func, dict(source.keywords)
    return (source, {}) if isinstance(source, type) else (None, {})


def is_description(config: Any) -> bool:
    """Whether a config names an optimizer of PyTorch."""
    name = config.get("class_name") if isinstance(config, Mapping) else None
    return isinstance(name, str) and name.startswith("torch.optim.")


def restored(config: Mapping[str, Any]) -> Any:
    """What `described` wrote, as a function of parameters.

    Raises:
        UnknownNameError: an optimizer that the table does not hold.
        ConfigError: arguments that it does not take.
    """
    name, known = config.get("class_name"), native.optimizers()
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError("optimizer", name, known)
    return constructed(known[name], config.get("config") or {}, name)
