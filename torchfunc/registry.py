"""Classes and functions by their Keras names: register, lookup, "did you mean".

A file names what it needs by these names alone: the registries are the whole of what a file can
reach. Nothing is ever imported because a file says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from torchfunc import rooms
from torchfunc.errors import TorchfuncError, UnknownNameError

T = TypeVar("T")

# those that `register` was given: a function does not say of which kind it is
_functions: dict[str, Any] = {}
# what is known everywhere by a name: Keras code puts classes and functions here itself
shared: dict[str, Any] = {}
_custom: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects", default=MappingProxyType(shared))


class Registry:
    """What one kind of name stands for: `Registry("loss")["mse"]`.

    Names are compared whole. An alias is a second name of the same object; `name_of` gives the first.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self.holds_yours = False

    def add(self, target: Any, *names: str) -> Any:
        """Register `target` under `names` (or its own name), and return it.

        Raises:
            TorchfuncError: a name that already stands for something else.
        """
        for name in names or (target.__name__,):
            if self._objects.get(name, target) is not target:
                raise TorchfuncError(
                    f"The {self.kind} name {name!r} already stands for {self._objects[name]!r}. "
                    "Choose another name."
                )
            self._objects[name] = target
            self._names.setdefault(id(target), name)
        return target

    def register(self, *names: str) -> Callable[[T], T]:
        """`add` as a decorator."""
        return lambda target: self.add(target, *names)

    def lookup(self, name: str, fix: str = "") -> Any:
        """What `name` stands for: ours first, then the caller's `custom_objects`.

        Raises:
            UnknownNameError: with the nearest names that are known.
        """
        if name in self._objects or name in self.names():
            return self._objects[name]
        custom = _custom.get()
        if name in custom:
            return custom[name]
        if name in _functions:
            return _functions[name]
        raise UnknownNameError(self.kind, name, [*self._objects, *custom], fix)

    def holds(self, name: str) -> bool:
        """Whether a name stands for something here by now, as which it stays."""
        return name in self._objects

    def name_of(self, target: Any) -> str | None:
        """The first name under which `target` was registered, or None."""
        if id(target) not in self._names:
            rooms.enter("torchfunc.models")  # no later room gives a name to what another one made
        return self._names.get(id(target))

    def names(self) -> Mapping[str, Any]:
        """What torchfunc and `register` have put here, by name."""
        rooms.everything()
        return self._objects

    def __contains__(self, name: object) -> bool:
        return name in self._objects or name in self.names() or name in _custom.get() or name in _functions

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())


@contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Within it, a name that no registry holds is looked up among the caller's own `objects`.

    Args:
        objects: classes and functions by the names in configs and files.

    Returns:
        A context manager; scopes may stand in each other.

    Example:
        >>> def doubled(x):
        ...     return 2 * x
        >>> with tf.custom_object_scope({"doubled": doubled}):
        ...     layer = layers.Dense.from_config({"units": 3, "activation": "doubled"})
        >>> layer.activation is doubled
        True
    """
    token = _custom.set({**_custom.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def has_custom_objects() -> bool:
    """Whether a file may name a class or function of yours."""
    return bool(_custom.get() or _functions or any(each.holds_yours for each in registries()))


def custom_objects() -> Mapping[str, Any]:
    """What the surrounding `custom_object_scope` knows."""
    return _custom.get()


def custom_name_of(target: Any) -> str | None:
    """The name that the surrounding `custom_object_scope` gives to `target`, or `register`, or None."""
    known = (*_custom.get().items(), *_functions.items())
    return next((name for name, value in known if value is target), None)


def custom_object(name: str) -> Any:
    """What the surrounding `custom_object_scope` calls by that name, or `register`, or None."""
    return _custom.get().get(name, _functions.get(name))


activations = Registry("activation")
constraints = Registry("constraint")
initializers = Registry("initializer")
layers = Registry("layer")
losses = Registry("loss")
metrics = Registry("metric")
optimizers = Registry("optimizer")
regularizers = Registry("regularizer")
schedules = Registry("learning rate schedule")


def registries() -> tuple[Registry, ...]:
    """All of them."""
    return (
        activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers, schedules,
    )  # fmt: skip


def register(name: str | None = None) -> Callable[[T], T]:
    """Make a class or a function of yours known to files under `name` (its own name by default).

    A layer or model, and a loss, metric, initializer or another class of torchfunc's kinds, is known where
    its kind is; a function as an activation, loss, metric or initializer, and in graphs.

    Args:
        name: under which files name it; its own if None.

    Returns:
        A decorator, which gives the class or function back.

    Raises:
        TorchfuncError: a name that already stands for something else.

    Example:
        >>> @register("app.squashed")
        ... def squashed(x):
        ...     return x / (1 + x.abs())
        >>> layers.Dense.from_config({"units": 2, "activation": "app.squashed"}).activation is squashed
        True
    """

    def known(target: T) -> T:
        rooms.everything()  # whose names are taken
        thing: Any = target
        own = name or thing.__name__
        kind = getattr(thing, "_registry", layers if isinstance(thing, type) else None)
        if isinstance(kind, Registry):
            kind.add(thing, own)
            kind.holds_yours = True
        elif _functions.setdefault(own, thing) is not thing:
            raise TorchfuncError(
                f"The function name {own!r} already stands for {_functions[own]!r}. Choose another name."
            )
        return target

    return known
