"""Rolling: lines that are alike but for the numbers of their modules, written as a loop."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBERED = re.compile(r"\bself\.([A-Za-z_]\w*?)_(\d+)\b")
_LONGEST = 24
_LEAST_SAVING = 4  # lines


def rolled(lines: Sequence[str]) -> list[str]:
    """The lines, with a loop for each run of groups whose numbers go up evenly."""
    found: list[str] = []
    at = 0
    while at < len(lines):
        rounds = {length: _rounds(lines, at, length) for length in range(1, _LONGEST + 1)}
        length = max(rounds, key=lambda each: each * rounds[each] - each)
        if length * (rounds[length] - 1) - 1 < _LEAST_SAVING:
            found.append(lines[at])
            at += 1
            continue
        found += _loop(lines, at, length, rounds[length])
        at += length * rounds[length]
    return found


def _numbers(lines: Sequence[str], at: int, length: int) -> tuple[list[str], list[int]]:
    """A group of lines without the numbers in it, and these."""
    group = lines[at : at + length]
    numbers = [int(number) for line in group for _, number in _NUMBERED.findall(line)]
    return [_NUMBERED.sub(r"self.\1_#", line) for line in group], numbers


def _rounds(lines: Sequence[str], at: int, length: int) -> int:
    """How many groups of this length follow each other with numbers that go up evenly."""
    texts, first = _numbers(lines, at, length)
    alike, second = _numbers(lines, at + length, length)
    steps = [b - a for a, b in zip(first, second, strict=False)]
    if alike != texts or not any(steps):
        return 1
    count = 1
    while at + (count + 1) * length <= len(lines):
        expected = [number + count * step for number, step in zip(first, steps, strict=True)]
        if (texts, expected) != _numbers(lines, at + count * length, length):
            break
        count += 1
    return count


def _loop(lines: Sequence[str], at: int, length: int, rounds: int) -> list[str]:
    """The loop for these groups."""
    first, second = (_numbers(lines, at + index * length, length)[1] for index in (0, 1))
    pairs = [(a, b - a) for a, b in zip(first, second, strict=True)]
    moving = {pair for pair in pairs if pair[1]}
    begin = next(iter(moving))[0] if len(moving) == 1 and next(iter(moving))[1] == 1 else 0
    waiting = iter(pairs)

    def numbered(match: re.Match[str]) -> str:
        number, step = next(waiting)
        if not step:
            return match[0]
        factor, rest = ("i" if step == 1 else f"{step} * i"), number - step * begin
        return f'getattr(self, f"{match[1]}_{{{factor}{f" + {rest}" if rest else ""}}}")'

    indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
    spread = f"{begin}, {begin + rounds}" if begin else f"{rounds}"
    body = [_NUMBERED.sub(numbered, line) for line in lines[at : at + length]]
    made = [
        re.sub(r"^(\s*)getattr\(self, (f\"[^\"]*\")\) = (.*)$", r"\1self.add_module(\2, \3)", each)
        for each in body
    ]
    return [f"{indent}for i in range({spread}):", *(f"    {line}" for line in made)]
