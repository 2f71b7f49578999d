"""Signatures: what a constructor takes, with what it hands on to its base written out."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin

from typing_extensions import Never, Unpack, get_type_hints


class WrittenOut:
    """The `__signature__` of a class and of its subclasses, made when `inspect` or `help` asks for it."""

    def __get__(self, instance: object | None, owner: type) -> inspect.Signature:
        if instance is not None:  # an object that can be called takes other arguments than its class
            raise AttributeError("__signature__")
        return written_out(owner)


def written_out(kind: type) -> inspect.Signature:
    """The arguments of a constructor, those of a `**common: Unpack[Common]` by their names.

    They have the order and the defaults of the base that takes them, and None where none does. A
    `**unknown: Never` takes nothing, and is left out.
    """
    constructors = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
    own = dict(list(inspect.signature(constructors[0]).parameters.items())[1:])
    *_, last = own.values() or [None]
    if last is None or last.kind is not inspect.Parameter.VAR_KEYWORD:
        return inspect.Signature([*own.values()])
    handed_on = _hint(constructors[0], last.name)
    if handed_on is Never or get_origin(handed_on) is Unpack:
        del own[last.name]
    if get_origin(handed_on) is Unpack:
        names = get_args(handed_on)[0].__annotations__
        for parameter in (*_parameters(constructors[1:]), *map(_optional, names)):
            if parameter.name in names:
                own.setdefault(parameter.name, parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return inspect.Signature([*own.values()])


def _parameters(functions: list[Any]) -> list[inspect.Parameter]:
    return [each for function in functions for each in inspect.signature(function).parameters.values()]


def _optional(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)


def _hint(function: Any, name: str) -> Any:
    try:
        return get_type_hints(function).get(name)
    except NameError:  # a class of a user's, with names that only a type checker imports
        return None
