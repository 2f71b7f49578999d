"""What the docstring of a public name leaves out: arguments, what is returned or raised, an example."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tests import public_names


def listing() -> dict[str, str]:
    """Each public thing, under the first of its names, with what it lacks; those that lack nothing are left out."""
    return {place: lacks for place, value in things().items() if (lacks := " ".join(lacking(value)))}


def things() -> dict[str, Any]:
    """Every public class, function, method and property, once, however many names it has."""
    found: dict[int, tuple[str, Any]] = {}
    for line in public_names.listing():
        place = line.split("(")[0]
        value = inspect.unwrap(resolved(place))
        if not isinstance(value, (ModuleType, bool, int, str, dict, tuple, type(None))):
            found.setdefault(id(value), (place, value))
    return dict(found.values())


def resolved(place: str) -> Any:
    """What a name stands for; of a property itself, and of a method its function."""
    above, name = place.rsplit(".", 1)
    holder = public_names.resolve(above)
    if isinstance(holder, type):
        value = inspect.getattr_static(holder, name)
        return getattr(value, "__func__", value)
    return getattr(holder, name)


def lacking(value: Any) -> Iterator[str]:
    text = inspect.getdoc(value) or ""
    if not text:
        yield "Sentence"
    missing = [name for name in arguments(value) if not re.search(rf"\b{name}\b", section(text, "Args"))]
    if missing:
        yield "Args"
    if returns(value) and not section(text, "Returns") and not section(text, "Yields"):
        yield "Returns"
    if raises(value) and not section(text, "Raises"):
        yield "Raises"
    if not example(text):
        yield "Example"


def section(text: str, name: str) -> str:
    """What stands indented below the title of a section."""
    found = re.search(rf"^{name}:\n((?:[ ]+.*\n|\n)+)", text + "\n", flags=re.MULTILINE)
    return found[1] if found else ""


def example(text: str) -> str:
    """The lines of a docstring from its first `>>>` on, to be run."""
    return section(text, "Example") or section(text, "Examples")


def arguments(value: Any) -> list[str]:
    """The names that a caller gives; `**options` by its own name."""
    if isinstance(value, property) or not callable(value):
        return []
    try:
        parameters = inspect.signature(value).parameters
    except ValueError:
        return []
    return [name for name in parameters if name not in ("self", "cls") and not name.startswith("_")]


def returns(value: Any) -> bool:
    """Whether a function gives anything back: an annotation says it. What a class makes is no question."""
    return inspect.isfunction(value) and value.__annotations__.get("return", "None") not in (
        "None",
        None,
        "Self",
    )


def raises(value: Any) -> bool:
    """Whether the text of a function, or of a class's constructor, has a `raise`."""
    function = vars(value).get("__init__") if isinstance(value, type) else value
    if not inspect.isfunction(function) or function.__code__.co_filename.startswith("<"):
        return False  # a dataclass's constructor has no text
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) for node in ast.walk(tree))
