"""Tells mkdocstrings where examples are: without their title `>>>` would be a quotation in a quotation."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Named in mkdocs.yml."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = titled(obj.docstring.value)


def titled(text: str) -> str:
    """A docstring with `Examples:`, the title that the site knows, above what is to be run."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    return re.sub(
        r"^>>> (?:.+\n?)+",
        lambda found: "Examples:\n" + textwrap.indent(found[0], "    "),
        text,
        flags=re.MULTILINE,
    )
