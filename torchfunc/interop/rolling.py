"""Rolling: lines that are alike but for the numbers of their modules, written as a loop."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torchfunc.interop.wrapping import wrapped

_NAME = re.compile(r"\bself\.([A-Za-z_]\w*)")
_NUMBER = re.compile(r"(?<=_)\d+(?=_|$)")  # of a name: in conv_3, and in layer3_1_conv1 the 1 between
_SET = re.compile(r"^(\s*)getattr\(self, (f\"[^\"]*\")\) = (.*)$")
_LONGEST = 24
_LEAST_SAVING = 4  # lines
_WIDTH = 84


def rolled(lines: Sequence[str]) -> list[str]:
    """The lines, with a loop for each run of groups whose numbers go up evenly."""
    found: list[str] = []
    at = 0
    while at < len(lines):
        rounds = {length: _rounds(lines, at, length) for length in range(1, _LONGEST + 1)}
        length = max(rounds, key=lambda each: each * rounds[each] - each)
        group = lines[at : at + length * rounds[length]]
        loop = _loop(lines, at, length, rounds[length]) if rounds[length] > 1 else group
        if length * (rounds[length] - 1) - 1 < _LEAST_SAVING or _height(loop) >= _height(group):
            found.append(lines[at])
            at += 1
            continue
        found += loop
        at += length * rounds[length]
    return found


def _height(lines: Sequence[str]) -> int:
    """How many lines these become when long ones are broken, in a method of a class."""
    return sum(len(list(wrapped(line, _WIDTH))) for line in lines)


def _numbers(lines: Sequence[str], at: int, length: int) -> tuple[list[str], list[int]]:
    """A group of lines without the numbers in it, and these."""
    group = lines[at : at + length]
    names = [name for line in group for name in _NAME.findall(line)]
    numbers = [int(number) for name in names for number in _NUMBER.findall(name)]
    return [_NAME.sub(lambda match: _NUMBER.sub("#", match[0]), line) for line in group], numbers


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

    def counted(match: re.Match[str]) -> str:
        number, step = next(waiting)
        if not step:
            return match[0]
        factor, rest = ("i" if step == 1 else f"{step} * i"), number - step * begin
        return f"{{{factor}{f' + {rest}' if rest > 0 else f' - {-rest}' if rest else ''}}}"

    def named(match: re.Match[str]) -> str:
        name = _NUMBER.sub(counted, match[1])
        return f'getattr(self, f"{name}")' if "{" in name else match[0]

    indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
    spread = f"{begin}, {begin + rounds}" if begin else f"{rounds}"
    body = [_NAME.sub(named, line) for line in lines[at : at + length]]
    made = [_SET.sub(_set, line) for line in body]
    return [f"{indent}for i in range({spread}):", *(f"    {line}" for line in made)]


def _set(match: re.Match[str]) -> str:
    """A module or a parameter set under a name that is counted."""
    indent, name, value = match.groups()
    way = "setattr(self, " if value.startswith("nn.Parameter(") else "self.add_module("
    return f"{indent}{way}{name}, {value})"
