"""Rooms: the parts of the house, each imported when somebody asks for it, and all before a table is read whole.

The face names what it has by imports under `if TYPE_CHECKING`, where editors and type checkers read them. The compiler
keeps them, so they are read from the compiled face, and made one by one.
"""

from __future__ import annotations

import dis
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any, TypeVar

from torchfunc import absent

T = TypeVar("T")
Ask = Callable[[str], Any]

_entering = threading.RLock()
_entered: list[ModuleType] = []


def lazily(place: str) -> tuple[Ask, Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of the face that calls this, by the imports that stand in its text."""
    face, homes = sys.modules[place], dict(_imports(sys._getframe(1).f_code))
    names = [name for name in homes if not name.startswith("_")]
    return partial(_made, face, homes), lambda: sorted({*vars(face), *homes}), names


def asking(place: str) -> Ask:
    """The `__getattr__` of a namespace that has all its names: it imports its files, and says what serves instead."""
    return partial(_made, sys.modules[place], {})


def everything() -> None:
    """Import all that the face names, so that every table by names is full."""
    face = sys.modules["torchfunc"]
    with _entering:
        if not _entered and hasattr(face, "__all__"):
            _entered.append(face)  # what is asked meanwhile is answered by what is there
            for name in dir(face):
                getattr(face, name)


def enter(room: str) -> None:
    """Import a room of a higher floor; nothing happens where that is under way."""
    importlib.import_module(room)


def filled(table: Mapping[str, T], key: str) -> T:
    """What stands in a table that a room of a higher floor fills."""
    if key not in table:
        everything()
    return table[key]


def _imports(face: CodeType) -> Iterator[tuple[str, str]]:
    """Each `from torchfunc.home import name` of a compiled file, as (name, home)."""
    home = ""
    for step in dis.get_instructions(face):
        if step.opname == "IMPORT_NAME":
            home = str(step.argval)
        elif step.opname == "IMPORT_FROM" and home.startswith("torchfunc") and home != __name__:
            yield str(step.argval), home


def _made(face: ModuleType, homes: dict[str, str], name: str) -> Any:
    """What a face calls by a name that nobody asked of it before: a part of a room, or a room.

    Raises:
        AttributeError: it has no such name; what serves instead is told.
    """
    place = face.__name__
    inside = f"{place}.{name}"
    if name == "Input":  # who makes one makes a model
        enter("torchfunc.models")
    if homes.get(name, place) != place:
        found = getattr(importlib.import_module(homes[name]), name)
    elif "__path__" in vars(face) and not name.startswith("__") and find_spec(inside) is not None:
        return importlib.import_module(inside)  # which sets the attribute
    else:
        if not name.startswith("_"):
            everything()
        raise absent.refusal(place, name)
    setattr(face, name, found)
    return found
