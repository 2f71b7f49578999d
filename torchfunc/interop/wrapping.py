"""Wrapping: lines of Python that are too long, broken at their brackets as ruff breaks them."""

from __future__ import annotations

from collections.abc import Iterator

_CLOSING = {"(": ")", "[": "]", "{": "}"}


def wrapped(line: str, width: int) -> Iterator[str]:
    """The line, or several where it is longer than `width`."""
    if len(line) <= width:
        yield line
        return
    opening, closing = _last_brackets(line)
    if opening is None or closing is None or closing == opening + 1:
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    target, equals, value = line.partition(" = ")
    if opening >= width and target.strip().isidentifier() and len(indent) + len(value) <= width:
        yield from (f"{target}{equals}(", indent + value, f"{indent[:-4]})")
        return
    body, tail = line[opening + 1 : closing], line[closing:]
    yield line[: opening + 1]
    if len(indent) + len(body) <= width and not body.endswith(","):
        yield indent + body
    else:
        for part in _parts(body):
            yield from wrapped(f"{indent}{part},", width)
    yield indent[:-4] + tail


def _last_brackets(line: str) -> tuple[int | None, int | None]:
    """The outermost brackets that end last in a line; those of a call rather than an index behind it."""
    depth, opening, found = 0, 0, (None, None)
    for at, sign in _signs(line):
        if sign in _CLOSING:
            opening = at if depth == 0 else opening
            depth += 1
        elif sign in _CLOSING.values():
            depth -= 1
            if depth == 0 and not (found[1] == opening - 1 and line[opening + 1 : at].isdigit()):
                found = (opening, at)  # type: ignore[assignment]
    return found


def _parts(body: str) -> list[str]:
    """What stands between the commas of a list."""
    cuts, depth = [-1], 0
    for at, sign in _signs(body):
        if sign == "," and depth == 0:
            cuts.append(at)
        depth += (sign in _CLOSING) - (sign in _CLOSING.values())
    parts = [body[a + 1 : b].strip() for a, b in zip(cuts, [*cuts[1:], len(body)], strict=True)]
    return [part for part in parts if part]


def _signs(text: str) -> Iterator[tuple[int, str]]:
    """Each character that is not inside of a string, with its place."""
    quote, skipped = "", False
    for at, sign in enumerate(text):
        if skipped:
            skipped = False
        elif quote:
            skipped = sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            yield at, sign
