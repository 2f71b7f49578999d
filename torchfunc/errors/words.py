"""The words of an error: what came, what was expected, and the way out."""

from __future__ import annotations


def explain(where: str, *, got: str, expected: str = "", why: str = "", fix: str = "") -> str:
    """The five parts of an error as one text: where, what came, what was expected, why, and the way out.

    >>> explain("Conv2D 'c1'", got="shape (None, 8)", expected="4 dimensions", fix="Reshape((2, 2, 2))")
    "Conv2D 'c1': expected 4 dimensions, got shape (None, 8). Fix: Reshape((2, 2, 2))."
    """
    head = f"{where}: expected {expected}, got {got}." if expected else f"{where}: got {got}."
    reason = f" {why[:1].upper()}{why[1:]}." if why else ""
    return head + reason + (f" Fix: {fix}." if fix else "")


def shorten(value: object, limit: int = 120) -> str:
    """The repr of a value, escaped and cut, as it may stand in a message."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
