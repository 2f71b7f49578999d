"""Tells mkdocstrings where examples are, which without a title would be quotations, and what each argument is by itself."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Named in mkdocs.yml."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = one_a_row(titled(obj.docstring.value))


def titled(text: str) -> str:
    """A docstring with `Examples:`, the title that the site knows, above what is to be run."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    return re.sub(
        r"^>>> (?:.+\n?)+",
        lambda found: "Examples:\n" + textwrap.indent(found[0], "    "),
        text,
        flags=re.MULTILINE,
    )


def one_a_row(text: str) -> str:
    """A docstring in which arguments that share a line, `center, scale: ...`, have one each, to be told with their types."""

    def rows(found: re.Match[str]) -> str:
        return "".join(f"{found[1]}{name}{found[3]}" for name in re.split(r",\s+", found[2]))

    told, title, run = text.partition("\nExamples:\n")
    return (
        re.sub(r"^( +)(\w+(?:,\s+\w+)+)(:.*\n?(?:\1 +.*\n?)*)", rows, told, flags=re.MULTILINE) + title + run
    )
