"""Writes docs/names.md: every name that a file may resolve, with the arguments that it may give.

python scripts/names.py            writes the page
python scripts/names.py --print    prints it

The arguments of PyTorch's functions come from the schemas of the torch that is installed.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path

import torchfunc  # noqa: F401  fills the registries
from torchfunc import functions, native, registry
from torchfunc.saving import allowed_calls

PAGE = Path(__file__).resolve().parent.parent / "docs" / "names.md"
Table = tuple[str, list[tuple[str, str]]]

HEAD = """# What a file may name

A model file may name the {count:,} things below and nothing else, each with the arguments beside it; a call that gives
others is refused. `scripts/names.py` writes this page from the tables that the loader looks names up in and, for PyTorch's
functions, from PyTorch's own schemas. What the caller registers, or passes in `custom_objects`, comes on top.

{index}
"""
WITHHELD = """## Withheld

A graph may hold these, and no file may name them: a model with one of them trains and runs, and is saved when the call
stands inside a Layer.

| name | why |
|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--print", action="store_true", help="print the page and write nothing")
    text = page()
    if parser.parse_args().print:
        print(text, end="")
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")


def page() -> str:
    """The whole page."""
    found = tables()
    index = "\n".join(f"- {len(rows):,} {title}" for title, rows in found)
    head = HEAD.format(count=count(), index=index)
    withheld = "".join(f"| `{name}` | {why} |\n" for name, why in functions.WITHHELD.items())
    return head + "".join(map(section, found)) + "\n" + WITHHELD + withheld


def count() -> int:
    """How many names a file may resolve."""
    return sum(len(rows) for _, rows in tables())


def tables() -> list[Table]:
    """Every kind of name with its names, each with the arguments that a file may give."""
    named = sorted(functions.by_name())
    operators = [name for name in named if name.startswith("operator.")]
    rows: list[Table] = [
        ("functions", calls("function", (name for name in named if name not in operators))),
        ("operators", calls("function", operators)),
        ("methods of a tensor", calls("method", sorted(functions.METHODS))),
        ("attributes of a tensor", [(name, "the tensor") for name in sorted(functions.ATTRIBUTES)]),
        ("classes of torch.nn", classes(native.classes())),
        ("classes of torch.optim", classes(native.optimizers())),
    ]
    plural = {"loss": "losses", "learning rate schedule": "learning rate schedules"}
    for each in registry.registries():
        rows.append((f"names of {plural.get(each.kind, each.kind + 's')}", classes(each.names())))
    return rows


def section(table: Table) -> str:
    title, rows = table
    lines = "".join(f"| `{name}` | {arguments} |\n" for name, arguments in rows)
    return f"\n## {title[:1].upper()}{title[1:]}\n\n| name | arguments |\n|---|---|\n{lines}"


def calls(kind: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """Functions or methods with the arguments of all their forms, in the order of the first that has them."""
    found = []
    for name in names:
        parameters = [
            each for form in allowed_calls.signatures(kind, name) for each in form if each.is_allowed
        ]
        found.append((name, ", ".join(dict.fromkeys(map(shown, parameters)))))
    return found


def shown(parameter: allowed_calls.Parameter) -> str:
    return f"*{parameter.name}" if parameter.form == "rest" else parameter.name


def classes(named: Mapping[str, object]) -> list[tuple[str, str]]:
    """Classes with the arguments of their constructors; functions take none from a file."""
    return [(name, ", ".join(constructor(named[name]))) for name in sorted(named)]


def constructor(kind: object) -> list[str]:
    if not isinstance(kind, type):
        return []
    parameters = inspect.signature(kind).parameters.values()
    return [
        each.name
        for each in parameters
        if each.kind is not each.VAR_KEYWORD and each.name not in ("device", "params", "name")
    ]


if __name__ == "__main__":
    main()
