"""Text: how names, constants and parts of results are written in a forward."""

from __future__ import annotations

import keyword
import math
import unicodedata
from typing import Any

import torch


def written_constant(value: Any) -> str | None:
    """A constant as Python text, in double quotes as a person types them; None for what has none."""
    kind = type(value)
    if value is None or value is Ellipsis:
        return "..." if value is Ellipsis else "None"
    if kind is float:
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if kind is str:
        return quoted(value)
    if kind in (bool, int, complex, bytes):
        return repr(value)
    if kind in (torch.dtype, torch.memory_format, torch.layout):
        return str(value)
    return f'torch.device("{value}")' if kind is torch.device else None


def quoted(text: str) -> str:
    """A string as Python text, in double quotes where that is plain."""
    single = repr(text)
    return single if '"' in text or "\\" in single or "'" in text else f'"{text}"'


def submodule(name: str, *, fast: bool) -> str:
    """How the forward reaches a submodule."""
    return f"m[{quoted(name)}]" if fast else _attribute("self", name)


def state(name: str) -> str:
    """How the forward reaches a parameter or buffer, by its dotted name."""
    text = "self"
    for part in name.split("."):
        text = _attribute(text, part)
    return text


def _attribute(owner: str, name: str) -> str:
    """`owner.name`, or the form of it for a name that is no identifier."""
    plain = (
        name.isidentifier() and not keyword.iskeyword(name) and name == unicodedata.normalize("NFKC", name)
    )
    return f"{owner}.{name}" if plain else f"getattr({owner}, {quoted(name)})"


def identifier(name: str) -> str:
    """A name as a Python variable."""
    # Python reads names in this normal form, so that two of them may turn out to be one
    normal = unicodedata.normalize("NFKC", name)
    text = "".join(char if f"_{char}".isidentifier() else "_" for char in normal) or "value"
    return text if text.isidentifier() else f"_{text}"


def access(specs: Any, path: tuple[Any, ...]) -> str:
    """How a part of a nested result is reached: by attribute in a named tuple, else by index."""
    text = ""
    for key in path:
        fields = getattr(specs, "_fields", None)
        text += f".{fields[key]}" if fields and isinstance(key, int) else f"[{written_constant(key)}]"
        specs = specs[key]
    return text


def is_named_tuple(specs: Any) -> bool:
    return isinstance(specs, tuple) and hasattr(specs, "_fields")


def is_pattern(specs: Any) -> bool:
    """Whether a nested result can stand on the left-hand side as a pattern."""
    if isinstance(specs, dict) or is_named_tuple(specs):
        return False
    return all(is_pattern(part) for part in specs if isinstance(part, (list, tuple, dict)))


def is_atom(text: str) -> bool:
    return text.replace(".", "_").replace("[", "_").replace("]", "_").replace('"', "_").isidentifier()


def operand(text: str) -> str:
    return f"({text})" if text.startswith("-") else text
