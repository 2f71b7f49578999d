"""Objects that are what their constructor was given: config, repr and lookup by name follow from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from torchfunc.errors import ConfigError, SavingError, TorchfuncError, explain, shorten
from torchfunc.registry import Registry, custom_name_of

Self = TypeVar("Self", bound="Configurable")

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Configurable:
    """Keeps its constructor's arguments under their own names; its config is those."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data."""
        return {name: plain(getattr(self, name)) for name in argument_names(type(self))}

    @classmethod
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The object that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={shorten(value, 60)}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def argument_names(cls: type) -> list[str]:
    """What the constructor takes, its parents' arguments included where it passes `**` on."""
    names: list[str] = []
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind not in VARIADIC and p.name not in names]
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return names


def plain(value: Any) -> Any:
    """A value as JSON holds it: arrays and tuples become lists, array scalars numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def snake_case(name: str) -> str:
    """Keras's spelling of a class name in lower case: `TruePositives` is `true_positives`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def serialize(thing: Any, registry: Registry) -> Any:
    """An object as `{"class_name": ..., "config": {...}}`, a function as its name.

    Raises:
        SavingError: something that has neither a config nor a name.
    """
    if thing is None:
        return None
    if not isinstance(thing, type) and hasattr(thing, "get_config"):
        return {"class_name": _written_name(type(thing), registry), "config": plain(thing.get_config())}
    return _written_name(thing, registry)


def _written_name(thing: Any, registry: Registry) -> str:
    """The name under which a file may mention `thing`."""
    name = registry.name_of(thing) or custom_name_of(thing) or getattr(thing, "__name__", None)
    if name is None or name == "<lambda>":
        raise SavingError(
            explain(
                f"The {registry.kind} {shorten(thing)}",
                got="something without a name",
                expected=f"a {registry.kind} that a file can name",
                fix="write it as a named function and pass custom_objects={name: function} when loading",
            )
        )
    return str(name)


def deserialize(config: Any, registry: Registry) -> Any:
    """What `serialize` wrote: a name, or a dict with `class_name` and `config`.

    Keras's own dicts are understood too (`{"class_name": "function", "config": "relu"}`).

    Raises:
        ConfigError: a dict that describes no object of the registry.
        UnknownNameError: a name that no registry holds.
    """
    if isinstance(config, str):
        return registry.lookup(config)
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise ConfigError(
            explain(registry.kind, got=shorten(config), expected="a name or a dict with 'class_name'")
        )
    if config["class_name"] == "function":
        return registry.lookup(str(config.get("config")))
    return _construct(registry.lookup(config["class_name"]), config.get("config") or {}, registry)


def _construct(target: Any, arguments: Any, registry: Registry) -> Any:
    """`target.from_config(arguments)`, its failures told as errors of the config."""
    if not isinstance(target, type):
        return target
    where = f"{registry.kind} {target.__name__!r}"
    if not isinstance(arguments, Mapping):
        raise ConfigError(explain(where, got=shorten(arguments), expected="a dict of arguments"))
    try:
        build = getattr(target, "from_config", None)
        return build(dict(arguments)) if build else target(**arguments)
    except TorchfuncError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(explain(where, got=shorten(dict(arguments)), why=str(error))) from error


def find(identifier: Any, registry: Registry) -> Any:
    """What a name, a config, a class or an object stands for; classes are called without arguments.

    Raises:
        UnknownNameError: a name that the registry does not hold.
        TorchfuncError: something that is none of these.
    """
    found = deserialize(identifier, registry) if isinstance(identifier, (str, Mapping)) else identifier
    if isinstance(found, type):
        return found()
    if found is identifier and not callable(found):
        raise TorchfuncError(
            explain(
                registry.kind,
                got=f"{shorten(identifier)} of type {type(identifier).__name__}",
                expected="a name, a config, a class, an object or a function",
            )
        )
    return found
