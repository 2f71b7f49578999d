"""A layer's constructor arguments as plain data, and back."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from torchfunc import activations, constraints, initializers, registry, regularizers
from torchfunc.errors import ConfigError, GraphError, SavingError, explain

_BASE = ("name", "trainable", "dtype")


@cache
def _signature(kind: Any) -> inspect.Signature:
    return inspect.signature(kind.__init__)


def _signature_of(layer: Any) -> inspect.Signature:
    kind: Any = type(layer)
    return _signature(kind)


def bound_arguments(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor call by name, as far as they fit; the call itself judges them."""
    try:
        bound = _signature(kind).bind_partial(None, *args, **kwargs)
    except TypeError:
        return {}
    given = dict(list(bound.arguments.items())[1:])
    for parameter in _signature(kind).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given.update(given.pop(parameter.name, {}))
        elif parameter.kind is parameter.VAR_POSITIONAL and parameter.name in given:
            return {}
    return given


def arguments_of(kind: type) -> list[str]:
    """The names of the constructor's arguments, those of Layer after its own where it hands them on."""
    parameters = list(_signature(kind).parameters.values())[1:]
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    hands_on = any(each.kind is each.VAR_KEYWORD for each in parameters)
    return names + [name for name in (*_BASE, "activity_regularizer") if hands_on and name not in names]


def derived(layer: Any) -> dict[str, Any]:
    """The constructor's arguments of a layer as plain data, from its attributes of the same names."""
    found: dict[str, Any] = {}
    for name in arguments_of(type(layer)):
        if name == "activity_regularizer" and layer.activity_regularizer is None:
            continue
        found[name] = plain(_value(layer, name), f"{type(layer).__name__} {layer.name!r}", name)
    return found


def _value(layer: Any, name: str) -> Any:
    """The value of a constructor argument: the attribute of that name, else what was passed, else the default."""
    if name == "name":
        return layer.given_name or layer.graph_name
    if (
        name in layer.__dict__
        or name in layer._modules
        or isinstance(getattr(type(layer), name, None), property)
    ):
        return getattr(layer, name)
    if name in layer._config_arguments:
        return layer._config_arguments[name]
    default = _signature_of(layer).parameters[name].default
    if default is inspect.Parameter.empty:
        raise SavingError(
            explain(
                f"{type(layer).__name__} {layer.name!r}",
                got=f"no record of its argument {name!r}",
                expected="constructor arguments kept as attributes of the same name",
                fix=f"set self.{name} = {name}, or write get_config",
            )
        )
    return default


def plain(value: Any, owner: str, name: str) -> Any:
    """A constructor argument as plain data.

    Raises:
        SavingError: it is none, and no registry has a name for it.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, (list, tuple)):
        return [plain(each, owner, name) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(each, owner, name) for key, each in value.items()}
    if isinstance(value, nn.Module) and hasattr(value, "get_config"):
        config: Any = value.get_config
        return {"class_name": class_name(value), "config": config()}
    for room in (initializers, regularizers, constraints):
        if hasattr(value, "get_config") and type(value) in set(_classes(room)):
            return room.serialize(value)
    written = registry.activations.name_of(value) or registry.custom_name_of(value)
    if written is not None:
        return written
    raise SavingError(
        explain(
            owner,
            got=f"{type(value).__name__} as the argument {name!r}",
            expected="plain data, or an object that a registry knows",
            why="a file holds data and never code",
            fix=f"register it, or write get_config for {owner.split()[0]}",
        )
    )


def _classes(room: Any) -> list[type]:
    return [each for each in vars(room).values() if isinstance(each, type)]


def class_name(layer: Any) -> str:
    """The name under which a class is written: the registered one, else its own.

    Raises:
        SavingError: a class of the user's that is called like one of ours.
    """
    kind = getattr(layer, "config_class", type(layer))
    name = registry.layers.name_of(kind) or registry.custom_name_of(kind) or kind.__name__
    if registry.layers.name_of(kind) is None and name in set(registry.layers):
        raise SavingError(
            explain(
                f"{name} {layer.name!r}",
                got=f"a class of yours called {name!r}",
                expected="a name that torchfunc does not use",
                fix=f"@torchfunc.register('My{name}')",
            )
        )
    return name


def layer_from(config: Any, place: str = "layer") -> Any:
    """A layer from `{"class_name": ..., "config": {...}}`.

    Raises:
        ConfigError: the config is of another form, or the class refuses its arguments.
        UnknownNameError: no registry has that class.
    """
    if isinstance(config, nn.Module):
        return config
    if (
        not isinstance(config, dict)
        or set(config) - {"class_name", "config"}
        or not isinstance(config.get("class_name"), str)
    ):
        raise ConfigError(
            f"{place}: expected {{'class_name': ..., 'config': ...}}, got {type(config).__name__}."
        )
    arguments = config.get("config", {})
    if not isinstance(arguments, dict):
        raise ConfigError(f"{place}.config: expected an object, got {type(arguments).__name__}.")
    name = config["class_name"]
    kind = registry.layers.lookup(name, f"For a class of your own pass custom_objects={{'{name}': {name}}}.")
    try:
        return kind.from_config(dict(arguments))
    except TypeError as error:
        raise ConfigError(f"{place}.config: {kind.__name__} cannot be made from it: {error}.") from error


def unknown_argument(kind: type, name: str) -> GraphError:
    """The error for a constructor argument that a layer does not have."""
    known = arguments_of(kind)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It takes: {', '.join(known)}."
    return GraphError(f"{kind.__name__} has no argument {name!r}. {hint}")


def shown(layer: Any) -> str:
    """The constructor arguments of a layer that differ from their defaults, as its repr shows them."""
    parts = []
    for name, parameter in list(_signature_of(layer).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in layer._modules:
            continue
        value = getattr(layer, name, layer._config_arguments.get(name, parameter.default))
        original = layer._config_arguments.get(name, parameter.default)
        if original is not parameter.default or parameter.default is inspect.Parameter.empty:
            parts.append(f"{name}={_brief(value)}")
    return ", ".join(parts)


def _brief(value: Any) -> str:
    if isinstance(value, Callable) and hasattr(value, "__name__"):  # type: ignore[arg-type]
        return repr(value.__name__)
    return activations_name(value) or repr(value)


def activations_name(value: Any) -> str | None:
    """The registered name of an activation function in quotes, or None."""
    name = registry.activations.name_of(value)
    return None if name is None else repr(name)


__all__ = [
    "activations",
    "arguments_of",
    "bound_arguments",
    "class_name",
    "derived",
    "layer_from",
    "plain",
    "shown",
]
