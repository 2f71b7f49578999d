"""The words of an error: what came, what was expected, and the way out; never long, and never in disguise."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

MAX_TEXT = 4000  # of one message, whatever a file put into it
_BRACKETS = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}"), set: ("{", "}")}
_MAX_NAME = 200  # looking for a name that is nearly this one takes the square of its length


def explain(where: str, *, got: str, expected: str = "", why: str = "", fix: str = "") -> str:
    """The five parts of an error as one text: where, what came, what was expected, why, and the way out.

    Args:
        where: what the error is about: a layer by its name, an argument.
        got: what came.
        expected: what was expected.
        why: the reason, where it is not plain.
        fix: what to write instead.

    Returns:
        One line.

    Example:
        >>> errors.explain("Conv2D 'c1'", got="shape (None, 8)", expected="4 dimensions", fix="Reshape((2, 2, 2))")
        "Conv2D 'c1': expected 4 dimensions, got shape (None, 8). Fix: Reshape((2, 2, 2))."
    """
    head = f"{where}: expected {expected}, got {got}." if expected else f"{where}: got {got}."
    reason = f" {why[:1].upper()}{why[1:]}." if why else ""
    return bounded(head + reason + (f" Fix: {fix}." if fix else ""))


def bounded(text: str, limit: int = MAX_TEXT) -> str:
    r"""A message with its middle left out where it is too long, and with nothing in it that a terminal obeys.

    Args:
        text: the message.
        limit: how many characters it may have.

    Returns:
        The message; characters that would not print are written as escapes.

    Example:
        >>> errors.bounded("a" * 50, limit=20)
        'aaaaaaaaaa ... aaaaa'
        >>> print(errors.bounded("red: \033[31m"))
        red: \x1b[31m
    """
    if len(text) > limit:
        text = f"{text[: limit // 2]} ... {text[5 - limit // 2 :]}"
    if text.isprintable():
        return text
    shown = "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)
    return shown if len(shown) <= limit else bounded(shown, limit)


def shorten(value: object, limit: int = 120) -> str:
    """The repr of a value, escaped and cut, as it may stand in a message.

    It takes no longer for a value of megabytes than for one of a line.

    Args:
        value: any object.
        limit: how many characters the text may have.

    Returns:
        The repr, with "..." in the place of what is left out.

    Example:
        >>> errors.shorten(list(range(100)), 30)
        '[0, 1, 2, 3, 4, 5, 6, 7, 8,...'
    """
    text = "".join(itertools.islice(_repr(value, limit), limit + 1))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The name that was probably meant.

    Args:
        name: what was written.
        known: the names there are.

    Returns:
        The one that is most like it; None where none is near.

    Example:
        >>> errors.nearest("binary_crossentopy", ["binary_crossentropy", "hinge"])
        'binary_crossentropy'
        >>> errors.nearest("perplexity", ["binary_crossentropy", "hinge"]) is None
        True
    """
    text = name if isinstance(name, str) else shorten(name)
    if len(text) > _MAX_NAME:
        return None
    words, names = set(text.split("_")), list(known)
    longer = [
        each for each in names if len(words) > 1 and words < set(each.split("_"))
    ]  # a word was left out
    close = difflib.get_close_matches(text, longer, n=1) or difflib.get_close_matches(text, names, n=1)
    return close[0] if close else None


def _repr(value: object, limit: int) -> Iterator[str]:
    """The repr of plain data piece by piece; of anything else as a whole."""
    if type(value) is str:
        start = value[: limit + 1]
        yield repr(start) if start.isprintable() else ascii(start)
    elif type(value) is int and value.bit_length() > 4 * limit:
        yield f"a number of {value.bit_length():,} bits"  # whose digits take the square of its length
    elif isinstance(value, (list, tuple, dict, set)) and type(value) in _BRACKETS and value:
        yield from _repr_of_many(value, limit)
    else:
        yield repr(value)


def _repr_of_many(
    values: list[Any] | tuple[Any, ...] | dict[Any, Any] | set[Any], limit: int
) -> Iterator[str]:
    opening, closing = _BRACKETS[type(values)]
    yield opening
    for index, item in enumerate(values):
        if index:
            yield ", "
        yield from _repr(item, limit)
        if isinstance(values, dict):
            yield ": "
            yield from _repr(values[item], limit)
    yield ",)" if isinstance(values, tuple) and len(values) == 1 else closing
