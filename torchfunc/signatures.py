"""Signatures: what a constructor takes, with what it hands on to its base written out."""

from __future__ import annotations

import builtins
import functools
import inspect
import re
from collections.abc import Iterable
from typing import Any, Union, get_args, get_origin

from typing_extensions import Never, Unpack


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
    bases = [base for base in kind.__mro__ if base is not object]
    constructors = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
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
    return hints_of(function, [name]).get(name)


def hints_of(function: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The types that a function states for its arguments (or for these), by name; Any for what cannot be read.

    Types that are written as text are read and not evaluated, as `typing.get_type_hints` would: so what a
    file asks for runs no code, not even that of our own annotations.
    """
    stated = getattr(function, "__annotations__", {})
    home = getattr(function, "__globals__", {})
    return {
        name: _Text(stated[name], home).type() if isinstance(stated[name], str) else stated[name]
        for name in (stated if names is None else names)
        if name in stated
    }


class _Text:
    """A type as text, which is read word by word.

    Args:
        text: the type, as `Sequence[int | None]`.
        home: what its names mean.
    """

    def __init__(self, text: str, home: dict[str, Any]) -> None:
        self.words = re.findall(r"""[\w.]*\w|\.\.\.|"[^"]*"|'[^']*'|\S""", text)
        self.home = home

    def type(self) -> Any:
        kinds = [self._kind()]
        while self.words[:1] == ["|"]:
            del self.words[0]
            kinds.append(self._kind())
        return kinds[0] if len(kinds) == 1 else Any if Any in kinds else Union[tuple(kinds)]  # noqa: UP007

    def _kind(self) -> Any:
        word = self.words.pop(0) if self.words else ""
        if word == "[":
            return self._until_closed()
        if word[:1] in ("'", '"'):
            return word[1:-1]
        found = self._meant(word)
        if self.words[:1] != ["["]:
            return found
        del self.words[0]
        inner = self._until_closed()
        try:
            return found[inner[0] if len(inner) == 1 else tuple(inner)]
        except TypeError:
            return Any

    def _until_closed(self) -> list[Any]:
        found = []
        while self.words and self.words[0] != "]":
            found.append(self.type())
            if self.words[:1] == [","]:
                del self.words[0]
        del self.words[:1]
        return found

    def _meant(self, word: str) -> Any:
        if word == "...":
            return ...
        if word.isdigit():
            return int(word)
        if word in ("None", "True", "False"):
            return {"None": None, "True": True, "False": False}[word]
        first, *rest = word.split(".")
        known = self.home.get(first, getattr(builtins, first, Any))
        return functools.reduce(lambda owner, name: getattr(owner, name, Any), rest, known)
