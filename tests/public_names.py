"""The public face as text: every public name of torchfunc, with what it takes.

    python -m tests.public_names  # adds to tests/golden/public_names.txt what is new

A line is a name as users write it: of a class or function with its arguments and their defaults, of a method
or property of the classes that users derive from, or of a module. A name belongs to a namespace that lists it
in `__all__`, defines it, or imports it `as` itself; anything else there is an import that leaks.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torchfunc

LIST = Path(__file__).parent / "golden" / "public_names.txt"
ROOMS = ("training", "vis")  # namespaces that the face does not name
# the classes whose methods users call or override
BASES = (
    "Model", "Sequential", "Trainer", "layers.Layer", "losses.Loss", "metrics.Metric", "optimizers.Optimizer",
    "callbacks.Callback", "callbacks.History", "initializers.Initializer", "regularizers.Regularizer",
    "constraints.Constraint", "schedules.LearningRateSchedule", "SymbolicTensor",
)  # fmt: skip


def listing() -> list[str]:
    """The lines, sorted."""
    rooms = [f"torchfunc.{name}" for name in ROOMS]
    found = {line for room in ("torchfunc", *rooms) for line in lines_of(room, resolve(room))}
    for base in BASES:
        found |= set(methods_of(f"torchfunc.{base}"))
    return sorted(found)


def lines_of(place: str, module: ModuleType) -> Iterator[str]:
    for name in names_of(module):
        value = getattr(module, name)
        where = f"{place}.{name}"
        if isinstance(value, ModuleType):
            yield where
            yield from lines_of(where, value)
        elif is_ours(value):
            yield where + shown(value)


def names_of(module: ModuleType) -> list[str]:
    """The public names of a namespace, by its `__all__` or by its text."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names: list[str] = []
    for node in ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [each.id for each in node.targets if isinstance(each, ast.Name)]
        elif isinstance(node, ast.ImportFrom):
            names += [each.name for each in node.names if each.asname == each.name]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def is_ours(value: Any) -> bool:
    return callable(value) and str(getattr(value, "__module__", "")).split(".")[0] == "torchfunc"


def methods_of(place: str) -> Iterator[str]:
    """What a class offers beside what it has from PyTorch."""
    kind = resolve(place)
    for base in kind.__mro__:
        if base.__module__.split(".")[0] != "torchfunc":
            continue
        for name in vars(base):
            if not name.startswith("_"):
                value = inspect.getattr_static(kind, name)
                called = inspect.isroutine(value) or isinstance(value, (classmethod, staticmethod))
                yield f"{place}.{name}" + (shown(getattr(kind, name)) if called else "")


def resolve(place: str) -> Any:
    """What a dotted name stands for."""
    value: Any = torchfunc
    for name in place.split(".")[1:]:
        value = getattr(value, name)
    return value


def shown(value: Any) -> str:
    """The arguments as text: names and defaults, `self` left out; nothing for what has no signature."""
    try:
        signature = inspect.signature(value)
    except ValueError:
        return ""
    parameters = [each for name, each in signature.parameters.items() if name != "self"]
    last = [each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD]
    written = [each for each in parameters if each not in last] + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=...)
        for each in last
        for name in unpacked(value, each.name)
        if name not in signature.parameters
    ]
    plain = [
        each.replace(
            annotation=inspect.Parameter.empty,
            default=each.default if each.default is each.empty else Written(each.default),
        )
        for each in [*written, *last]
    ]
    return str(inspect.Signature(plain))


class Written:
    """A default as a literal: itself where it is one, else its text, without addresses, in quotes.

    An ellipsis stands for a default that is not known.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        if self.value is ...:
            return "..."
        try:
            ast.literal_eval(repr(self.value))
        except (ValueError, SyntaxError):
            return repr(re.sub(r" at 0x[0-9a-f]+", "", repr(self.value)))
        return repr(self.value)


def unpacked(value: Any, name: str) -> list[str]:
    """The keys of `**options: Unpack[Keys]`."""
    target = value.__init__ if isinstance(value, type) else value
    annotation = getattr(target, "__annotations__", {}).get(name, "")
    found = re.fullmatch(r"Unpack\[(\w+)\]", str(annotation))
    module = sys.modules[target.__module__]
    return list(typing.get_type_hints(getattr(module, found[1]))) if found else []


def added() -> list[str]:
    """The list as it is kept, and what is new; what was listed stays as it was."""
    kept = LIST.read_text(encoding="utf-8").splitlines()
    names = {line.split("(")[0] for line in kept}
    return sorted([*kept, *(line for line in listing() if line.split("(")[0] not in names)])


if __name__ == "__main__":
    LIST.write_text("\n".join(added()) + "\n", encoding="utf-8")
