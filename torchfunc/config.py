"""Objects as plain data, and back: by the registries, the table of PyTorch's classes, and nothing else.

An object is what its constructor was given. It is written as `{"class_name": ..., "config": {...}}`, a
function as its name. Nothing is imported or evaluated because a config says so.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from torchfunc import functions, native, registry, rooms, schemas

# Keras's `config` stands here too
from torchfunc.dtype_policies.policy import dtype_policy as dtype_policy
from torchfunc.dtype_policies.policy import set_dtype_policy as set_dtype_policy
from torchfunc.errors import (
    ConfigError,
    GraphError,
    SavingError,
    TorchfuncError,
    UnknownNameError,
    explain,
    shorten,
)
from torchfunc.registry import Registry, custom_name_of
from torchfunc.settings import backend as backend
from torchfunc.settings import disable_interactive_logging as disable_interactive_logging
from torchfunc.settings import disable_traceback_filtering as disable_traceback_filtering
from torchfunc.settings import enable_interactive_logging as enable_interactive_logging
from torchfunc.settings import enable_traceback_filtering as enable_traceback_filtering
from torchfunc.settings import epsilon as epsilon
from torchfunc.settings import floatx as floatx
from torchfunc.settings import image_data_format as image_data_format
from torchfunc.settings import is_interactive_logging_enabled as is_interactive_logging_enabled
from torchfunc.settings import is_traceback_filtering_enabled as is_traceback_filtering_enabled
from torchfunc.settings import set_epsilon as set_epsilon
from torchfunc.settings import set_floatx as set_floatx
from torchfunc.settings import set_image_data_format as set_image_data_format

Self = TypeVar("Self", bound="Configurable")
P = ParamSpec("P")
R = TypeVar("R")


def checked(read: Callable[P, R]) -> Callable[P, R]:
    """A `from_config` that gives an object or an error of ours, whoever calls it."""

    @wraps(read)
    def from_config(*args: P.args, **kwargs: P.kwargs) -> R:
        kind: Any = args[0]
        config: Any = kwargs["config"] if "config" in kwargs else args[1] if len(args) > 1 else {}
        if schemas.is_reading():  # `constructed` has checked them
            return read(*args, **kwargs)
        with schemas.one_deeper(kind.__name__), _refusing(kind.__name__, config):
            if _has_schema(kind):
                schemas.check(kind, config, kind.__name__, kind.__name__)
            return read(*args, **kwargs)

    return from_config


class _refusing:
    """Within it, what a constructor raises about a file's arguments, of whatever class, is an error of ours."""

    def __init__(self, where: str, arguments: Any) -> None:
        self._where, self._arguments = where, arguments

    def __enter__(self) -> None:
        if not isinstance(self._arguments, Mapping):
            got = shorten(self._arguments)
            raise ConfigError(explain(self._where, got=got, expected="a dict of arguments"))

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, TorchfuncError):
            text = str(error)
            why = text if text.isprintable() and len(text) < 300 else shorten(text)
            raise ConfigError(explain(self._where, got=shorten(dict(self._arguments)), why=why)) from error


def _has_schema(kind: Any) -> bool:
    """Whether a class is one of ours that is made from its constructor's arguments, and so no model."""
    return isinstance(kind, type) and _is_ours(kind) and not hasattr(kind, "config_class")


class Configurable:
    """Keeps its constructor's arguments under their own names; its config is those.

    Attributes:
        _registry: the registry of its kind, from which a file may name it.
        _wraps: the attribute that holds a function or a foreign object, where it is only made around that; a
            file names what is wrapped.
        _unless_none: the arguments that its config holds where they were given, and not where they are None.
    """

    _registry: ClassVar[Registry]
    _wraps: ClassVar[str | None] = None
    _unless_none: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data.

        Returns:
            A dict that `from_config` takes and JSON can hold.

        Example:
            >>> tf.constraints.MaxNorm(3.0).get_config()
            {'max_value': 3.0, 'axis': 0}
        """
        owner = type(self).__name__
        return {name: described(getattr(self, name), name, owner) for name in self._told()}

    def _told(self) -> list[str]:
        """The arguments that stand in its config."""
        names = argument_names(type(self))
        return [name for name in names if name not in self._unless_none or getattr(self, name) is not None]

    @classmethod
    @checked
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The object that `get_config` described.

        Args:
            config: the constructor's arguments by name.

        Example:
            >>> tf.constraints.MaxNorm.from_config({"max_value": 3.0}).max_value
            3.0
        """
        return cls(**config)

    def __repr__(self) -> str:
        given = {name: plain(getattr(self, name)) for name in argument_names(type(self))}
        arguments = ", ".join(f"{name}={shorten(value, 60)}" for name, value in given.items())
        return f"{type(self).__name__}({arguments})"


@cache
def _signature(kind: Any) -> inspect.Signature:
    return inspect.signature(kind.__init__)


def parameters(kind: Any) -> dict[str, inspect.Parameter]:
    """What the constructor of a class states, by name, without `self`."""
    if kind.__init__ is object.__init__:  # `inspect` would parse the text that says so
        return {}
    return dict(list(_signature(kind).parameters.items())[1:])


def argument_names(kind: type) -> list[str]:
    """What the constructor takes, and where it passes `**` on what all of its kind or its parents take.

    A class says in `_common_arguments` what all of its kind take, whatever their parents do.
    """
    return list(_argument_names(kind))


@cache
def _argument_names(kind: type) -> Sequence[str]:
    names: list[str] = []
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        stated = parameters(base).values()
        names += [p.name for p in stated if p.kind in _NAMED and p.name not in names]
        if not any(p.kind is p.VAR_KEYWORD for p in stated):
            break
        if (common := getattr(kind, "_common_arguments", None)) is not None:
            return names + [name for name in common if name not in names]
    return names


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def bound_arguments(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor call by name, as far as they fit; the call itself judges them."""
    places, known = _places(kind)
    given = dict(zip(places, args, strict=False))
    fits = len(args) <= len(places) and not given.keys() & kwargs.keys()
    return {**given, **kwargs} if fits and (known is None or kwargs.keys() <= known) else {}


@cache
def _places(kind: type) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """What a constructor takes by place, and all that it takes by name; None where it takes any name."""
    stated = parameters(kind).values()
    places = [p.name for p in stated if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in stated)
    return tuple(places), None if takes_any else frozenset(p.name for p in stated if p.kind in _NAMED)


def plain(value: Any, leaf: Callable[[Any, str], Any] | None = None, name: str = "") -> Any:
    """A value as JSON holds it: arrays and tuples become lists, array scalars numbers, dtypes their names.

    Args:
        value: anything, nested or not.
        leaf: what is made of a value that JSON does not hold, and of its name; by default it stays.
        name: what the value is called; an item of a dict has the key behind a dot.
    """
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, (list, tuple)):
        return [plain(each, leaf, name) for each in value]
    if isinstance(value, Mapping) and (leaf is None or all(isinstance(key, str) for key in value)):
        return {key: plain(each, leaf, f"{name}.{key}") for key, each in value.items()}
    return value if leaf is None else leaf(value, name)


@dataclass
class _Writing:
    """What one description has met: how often each module, and the labels of those that it meets again."""

    met: Counter[int] = field(default_factory=Counter)
    labels: dict[int, str] = field(default_factory=dict)
    kept: list[nn.Module] = field(default_factory=list)


_writing: ContextVar[_Writing | None] = ContextVar("writing", default=None)
# whether the dtypes in a config came after the graphs in it were drawn, as by `model.double()`
_drawn_before: ContextVar[bool] = ContextVar("drawn_before", default=False)
_read: ContextVar[dict[str, nn.Module] | None] = ContextVar("read", default=None)
# whether what is being read stands in a config that was counted as a whole
_sized: ContextVar[bool] = ContextVar("sized", default=False)


def writes_once(describe: Callable[P, R]) -> Callable[P, R]:
    """A description in which a module that stands in several places is written at the first, under a label.

    The others mention the label alone, `{"shared": "dense"}`, and so one module is read for all of them.
    """

    @wraps(describe)
    def once(*args: P.args, **kwargs: P.kwargs) -> R:
        if _writing.get() is not None:
            return describe(*args, **kwargs)
        first = _Writing()
        found = _within(_writing, first, lambda: describe(*args, **kwargs))
        again = [module for module in first.kept if first.met[id(module)] > 1]
        if not again:
            return found
        labels = {id(module): f"{type(module).__name__}_{number}" for number, module in enumerate(again)}
        return _within(_writing, _Writing(labels=labels), lambda: describe(*args, **kwargs))

    return once


def _within(variable: ContextVar[Any], value: Any, call: Callable[[], R]) -> R:
    token = variable.set(value)
    try:
        return call()
    finally:
        variable.reset(token)


@contextmanager
def reading() -> Iterator[None]:
    """Within it, a label means the module that was written under it: all that one description holds is read here."""
    token = None if _read.get() is not None else _read.set({})
    try:
        yield
    finally:
        if token is not None:
            _read.reset(token)


def in_either_order(read: Callable[[], R]) -> R:
    """What `read` makes of a config with modules in their dtypes; where these do not fit, in the usual ones.

    `model.double()` turns modules to other dtypes and leaves the graph as it was drawn. The weights say
    what they are in any case.
    """
    try:
        return read()
    except GraphError as error:
        if _drawn_before.get():
            raise
        try:
            return _within(_drawn_before, True, read)
        except GraphError:
            raise error from None


@writes_once
def described(value: Any, name: str, owner: str = "", *, marked: bool = False) -> Any:
    """Plain data as it is, and an object in it by its registered name and its config.

    Args:
        value: a module, another object, or data with such in it.
        name: what it is called in the model, or as an argument.
        owner: whose argument it is, for messages.
        marked: whether a function stands as `{"class_name": "function", "config": name}`, for a class that
            would take the bare name for text; see `revived`.

    Raises:
        SavingError: something that no registry has a name for.
    """

    def written(each: Any, name: str) -> Any:
        if isinstance(each, nn.Module):
            return _module(each, name)
        if isinstance(each, Configurable):
            found = serialize(each, type(each)._registry)
            several = marked and isinstance(found, dict) and len(_kinds(found["class_name"])) > 1
            return {**found, "kind": type(each)._registry.kind} if several else found
        known = registry.activations.name_of(each) or custom_name_of(each)
        known = known or (functions.name_of(each) if marked else None)
        if known is None and inspect.isfunction(each) and each.__name__ != "<lambda>":
            known = written_name(
                each, registry.activations, owner
            )  # to be found in custom_objects, as in Keras
        if known is None:
            raise _no_data(each, name, owner)
        return {"class_name": "function", "config": known} if marked else known

    return plain(value, written, name)


def _no_data(thing: Any, name: str, owner: str) -> SavingError:
    has_name = "<lambda>" not in getattr(thing, "__name__", "<lambda>")
    fix = f"write get_config and from_config for {owner.partition(' ')[0]}"
    if callable(thing):
        verb = "decorate it with" if has_name else "write it as a named function under"
        fix = f"{verb} @torchfunc.register()"
    return SavingError(
        explain(
            owner,
            got=f"{type(thing).__name__} as the argument {name!r}",
            expected="plain data, or an object that a registry knows",
            why="a file holds data and never code",
            fix=fix,
        )
    )


def revived(value: Any, place: str) -> Any:
    """An argument of a class of yours as it was before `described` wrote it: modules, objects and functions again.

    The classes of torchfunc take names and configs as they are written.
    """
    if isinstance(value, list):
        return [revived(each, f"{place}[{index}]") for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    name = value.get("class_name")
    if set(value) == {"shared"}:
        return made(dict(value), place)
    if not isinstance(name, str) or set(value) - {"shared", "dtype", "kind"} != _WRITTEN:
        return {key: revived(each, f"{place}.{key}") for key, each in value.items()}
    if name == "function":
        return _function(value["config"])
    kinds = [each for each in _kinds(name, value.get("kind")) if each is not registry.layers]
    # a layer's config says how it is called: so does that of Identity where it is no initializer
    module = not kinds or (_is_module(name) and "kind" not in value and "name" in value["config"])
    return made(dict(value), place) if module else deserialize(value, kinds[0])


def _kinds(name: str, kind: Any = None) -> list[Registry]:
    """The registries that have a name, among those of a kind if one is said."""
    asked = [each for each in registry.registries() if kind in (None, each.kind)]
    rooms.enter(
        "torchfunc.models"
    )  # and with it all that fill the tables, but for names that one of them has alone
    return [each for each in asked if each.holds(name)] or [each for each in asked if name in each.names()]


_WRITTEN = {"class_name", "config"}


def _function(name: Any) -> Any:
    """What a name means where `described` marked it as that of a function: for a class of yours, any that is listed."""
    return functions.named(str(name)) or _named(str(name), registry.activations)


def _module(module: nn.Module, name: str) -> dict[str, Any]:
    """A module as its class and arguments; one that was written before as the label that it has there."""
    writing = _writing.get()
    if writing is None:
        return _written(module, name)
    label = {"shared": writing.labels[id(module)]} if id(module) in writing.labels else {}
    writing.met[id(module)] += 1
    if writing.met[id(module)] > 1:
        return label
    writing.kept.append(module)
    return {**_written(module, name), **label}


def _written(module: nn.Module, name: str) -> dict[str, Any]:
    """A module of torch.nn by the table, another by its own `get_config`."""
    kind = type(module)
    where = f"{kind.__name__} {name!r}"
    if (full := native.name_of(kind)) is not None:
        config = {
            key: described(value, name if key == "modules" else key, where)
            for key, value in native.arguments_of(module).items()
        }
        if kind not in native.CONTAINERS:
            _check_makes_another(module, where)
        return {"class_name": full, "config": config, **_own_dtype(module)}
    if hasattr(module, "get_config"):
        own: Any = module.get_config
        kind = getattr(module, "config_class", kind)
        config = own()
        if not _is_ours(kind):
            config = described(config, name, where, marked=True)
        return {"class_name": written_name(kind, registry.layers, where), "config": config}
    raise SavingError(
        explain(
            where,
            got=f"a module of the class {kind.__qualname__}",
            expected="a class that a file can name, with its constructor's arguments",
            why="a file holds data and never code",
            fix=f"give {kind.__name__} a get_config and decorate it with @torchfunc.register(), "
            "or keep the weights alone with save_weights",
        )
    )


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def _own_dtype(module: nn.Module) -> dict[str, str]:
    """The dtype of a module of PyTorch where it is not the usual one; its arguments do not say it."""
    tensors = (*module.parameters(), *module.buffers())
    dtypes = {each.dtype for each in tensors if each.is_floating_point()} - {torch.float32}
    return {"dtype": plain(dtypes.pop())} if len(dtypes) == 1 else {}


def _check_makes_another(module: nn.Module, where: str) -> None:
    """Refuse a module whose arguments do not make one with the same weights."""
    try:
        with torch.device("meta"):
            arguments = native.arguments_of(module)
            config = _within(_writing, _Writing(), lambda: {k: described(v, k) for k, v in arguments.items()})
            with schemas.budget(len([*module.parameters()])):
                other = _within(_read, {}, lambda: constructed(type(module), config, where))
        same = _shapes(other) == _shapes(module)
    except Exception as error:
        raise SavingError(f"{where} cannot be written as data: {error}") from error
    if not same:
        raise SavingError(
            explain(
                where,
                got="other weights than its constructor makes",
                expected="the module as torch.nn makes it",
                why="it was changed after it was made (parametrized, pruned, quantized)",
                fix="keep the weights alone with save_weights",
            )
        )


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def serialize(thing: Any, known: Registry) -> Any:
    """An object as `{"class_name": ..., "config": {...}}`, a function as its name.

    Raises:
        SavingError: something that has neither a config nor a name, or the name of something of ours.
    """
    wraps = type(thing)._wraps if isinstance(thing, Configurable) else None
    if wraps is not None:
        thing = getattr(thing, wraps)
    if thing is None:
        return None
    if not isinstance(thing, type) and hasattr(thing, "get_config"):
        own = getattr(type(thing), "_registry", known)
        kind = {"kind": own.kind} if own is not known else {}
        return {"class_name": written_name(type(thing), own), "config": plain(thing.get_config()), **kind}
    return written_name(thing, known)


def written_name(target: Any, known: Registry, where: str = "") -> str:
    """The name under which a file may mention a class or function: the registered one, else its own.

    Raises:
        SavingError: it has none, or that of something of ours, as which it would come back.
    """
    ours = known.name_of(target)
    name = ours or custom_name_of(target) or functions.name_of(target) or getattr(target, "__name__", None)
    of_torch = isinstance(target, type) and target.__module__.startswith("torch.")
    if name is None or name == "<lambda>" or of_torch:
        raise SavingError(
            explain(
                f"The {known.kind} {shorten(target)}",
                got="a class of PyTorch" if of_torch else "something without a name",
                expected=f"a {known.kind} that a file can name",
                fix="take a function of torch.nn.functional, or write it as a named function "
                "under @torchfunc.register()",
            )
        )
    # the function of a class has its name too: `losses.hinge` is `losses.Hinge`
    here = str(getattr(target, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]
    if ours is None and not here and name in list(known):
        fix = f"rename the {'class' if isinstance(target, type) else 'function'}"
        raise SavingError(
            explain(
                where or f"The {known.kind} {shorten(target)}",
                got=f"the name {name!r}",
                expected="another one",
                why=f"in a file it stands for the {known.kind} of torchfunc",
                fix=fix if known is not registry.layers else f"{fix}, or @torchfunc.register('My{name}')",
            )
        )
    return str(name)


def made(config: Any, place: str, name: str | None = None) -> nn.Module:
    """A layer or module from `{"class_name": ..., "config": {...}}`, with new weights.

    Args:
        config: what `described` gave for it.
        place: where the config stands, for messages.
        name: what the module is called in its model, where it was given no name.

    Raises:
        ConfigError: the config is of another form, or the class refuses its arguments.
        UnknownNameError: no registry has that class.
    """
    with reading():
        if _sized.get():
            return _made(config, place, name)
        schemas.check_size(config, place)
        return _within(_sized, True, lambda: _made(config, place, name))


def _made(config: Any, place: str, name: str | None) -> nn.Module:
    read = _read.get()
    label = config.get("shared") if isinstance(config, dict) else None
    if read is not None and isinstance(label, str) and set(config) == {"shared"}:
        if label not in read:
            raise ConfigError(f"{place}: no module before this one was written as {shorten(label)}.")
        return read[label]
    if (
        not isinstance(config, dict)
        or set(config) - {"class_name", "config", "shared", "dtype"}
        or not isinstance(config.get("class_name"), str)
    ):
        raise ConfigError(f"{place}: expected {{'class_name': ..., 'config': ...}}, got {shorten(config)}.")
    written = config["class_name"]
    kind = native.classes().get(written) or _lookup(written, registry.layers, _custom_way(written, "class"))
    where = f"{place}: {written} cannot be made from its config"
    module: Any = constructed(kind, config.get("config", {}), place, where)
    if config.get("dtype") is not None and not _drawn_before.get():
        module.to(_dtype(config["dtype"], place))
    if name is not None and getattr(module, "given_name", name) is None:
        module.graph_name = name
    if read is not None and isinstance(label, str):
        read[label] = module
    return module  # type: ignore[no-any-return]


def constructed(kind: Any, arguments: Any, place: str, where: str | None = None) -> Any:
    """An object of a class: every argument of every class that a file names passes here.

    Args:
        kind: the class, or a function that the caller gave for one.
        arguments: the constructor's arguments as plain data, by name.
        place: where the object stands in the config; an argument is at `place.config.name`.
        where: how a message begins; with the place by default.

    Raises:
        ConfigError: the arguments are no dict, or the class refuses them.
    """
    where = where or place
    with schemas.one_deeper(place), _refusing(where, arguments):
        if isinstance(kind, type) and native.name_of(kind) is not None:
            return native.made(kind, _native_arguments(kind, arguments, place, where), place)
        if _has_schema(kind):
            schemas.check(kind, arguments, place, where)
        build = getattr(kind, "from_config", None)
        return build(dict(arguments)) if build else kind(**revived(arguments, f"{place}.config"))


def _native_arguments(kind: type, arguments: Mapping[str, Any], place: str, where: str) -> dict[str, Any]:
    """The arguments of a class of PyTorch: lists as tuples, and the modules in them made."""
    if kind not in native.CONTAINERS or arguments.keys() - {"modules"}:
        schemas.check(kind, arguments, place, where)
    if kind not in native.CONTAINERS:
        return {name: _native_argument(value, f"{place}.config.{name}") for name, value in arguments.items()}
    children = arguments.get("modules")
    if not isinstance(children, dict):
        raise ConfigError(f"{where}: expected the modules of a {kind.__name__}, got {shorten(children)}.")
    return {"modules": {name: made(each, _inner(place, name)) for name, each in children.items()}}


def _inner(place: str, name: Any) -> str:
    """The place of a module in another; of a long one the end, and of a strange name what can be printed."""
    name = name if isinstance(name, str) and name.isprintable() and len(name) <= 64 else shorten(name, 64)
    found = f"{place}.modules.{name}"
    return found if len(found) <= 300 else f"$...{found[-290:]}"


def _native_argument(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return made(value, place)
    return tuple(_native_argument(each, place) for each in value) if isinstance(value, list) else value


def _dtype(name: Any, place: str) -> torch.dtype:
    found = getattr(torch, name, None) if isinstance(name, str) else None
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"{place}.dtype: expected a dtype, got {shorten(name)}.")
    return found


def deserialize(config: Any, known: Registry) -> Any:
    """What `serialize` wrote: a name, or a dict with `class_name` and `config`.

    Keras's own dicts are understood too (`{"class_name": "function", "config": "relu"}`).

    Raises:
        ConfigError: a dict that describes no object of the registry.
        UnknownNameError: a name that no registry holds.
    """
    if isinstance(config, str):
        return _named(config, known)
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise ConfigError(
            explain(known.kind, got=shorten(config), expected="a name or a dict with 'class_name'")
        )
    if config["class_name"] == "function":
        return _named(str(config.get("config")), known)
    name = config["class_name"]
    if "kind" in config:  # a loss where a metric was expected
        known = next(iter(_kinds(name, config["kind"])), known)
    if known is registry.activations and name not in known and _is_module(name):
        return made(dict(config), known.kind)
    kind = _lookup(name, known)
    if not isinstance(kind, type):
        return kind
    return constructed(kind, config.get("config") or {}, f"{known.kind} {kind.__name__!r}")


def _named(name: str, known: Registry) -> Any:
    """What a registry, or the list of PyTorch's functions, calls by that name: `F.mse_loss`."""
    if name in known:
        return known.lookup(name)
    listed = functions.named(name)
    if listed is not None:
        if known.kind in _TAKES_FUNCTIONS and (name in _MAKERS) is (known is registry.initializers):
            return listed
        raise UnknownNameError(known.kind, name, known.names(), "It is a function for other places.")
    return _lookup(name, known, _custom_way(name))


# the kinds of which a function of PyTorch may be one: an initializer makes tensors, the others compute with them
_TAKES_FUNCTIONS = ("activation", "constraint", "initializer", "loss", "metric", "regularizer")
_MAKERS = {
    f"torch.{name}"
    for name in """
        arange bartlett_window blackman_window empty empty_like eye from_file full full_like hamming_window
        hann_window kaiser_window linspace logspace normal ones ones_like rand rand_like randint randint_like randn
        randn_like randperm scalar_tensor tril_indices triu_indices zeros zeros_like
    """.split()
}
_LONGEST_NAME = 256


def _lookup(name: str, known: Registry, way: str = "") -> Any:
    """What a registry calls by that name; of a name that is far too long, its beginning is told."""
    too_long = len(name) > _LONGEST_NAME and name not in known
    return known.lookup(name[:_LONGEST_NAME] if too_long else name, way)


def _custom_way(name: str, what: str = "function") -> str:
    if len(name) > _LONGEST_NAME or not (name.isidentifier() or what == "class"):
        return ""
    return f"For a {what} of your own pass custom_objects={{{name!r}: ...}}."


def _is_module(name: str) -> bool:
    return name in native.classes() or name in registry.layers


@cache
def _needed(kind: Any) -> tuple[str, ...]:
    """The arguments without which a class cannot be called."""
    given = parameters(kind).items()
    return tuple(name for name, each in given if each.default is each.empty and each.kind in _NAMED)


def find(identifier: Any, known: Registry) -> Any:
    """What a name, a config, a class or an object stands for; classes are called without arguments.

    Raises:
        UnknownNameError: a name that the registry does not hold.
        TorchfuncError: something that is none of these.
    """
    found = deserialize(identifier, known) if isinstance(identifier, (str, Mapping)) else identifier
    if isinstance(found, type):
        if needed := _needed(found):
            way = f"{found.__name__}({', '.join(f'{name}=...' for name in needed)})"
            got = f"the class {found.__name__} alone"
            raise TorchfuncError(
                explain(known.kind, got=got, expected=f"its {' and '.join(needed)} too", fix=way)
            )
        return found()
    if found is identifier and not callable(found):
        raise TorchfuncError(
            explain(
                known.kind,
                got=f"{shorten(identifier)} of type {type(identifier).__name__}",
                expected="a name, a config, a class, an object or a function",
            )
        )
    return found


if not TYPE_CHECKING:
    __getattr__ = rooms.asking(__name__)
