"""Tables: rows that are looked up come in the order in which they are used, and their gradients are added one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from torchfunc.training.recording.lines import Line, Lines, Value, usual_strides

_LOOK_UP = torch.ops.aten.embedding.default
_BACK = torch.ops.aten.embedding_dense_backward.default
_TURN = torch.ops.aten.transpose.int
_CLONE = torch.ops.aten.clone.default


def is_of_rows(line: Line, gradient: Value, place: Value) -> bool:
    """Whether a line makes the gradient of a table by adding rows to zeros, all of which count, each as it is."""
    if line.function is not torch.ops.aten.embedding_dense_backward.default or line.results is not gradient:
        return False
    rows, _, _, padding, scaled = line.args
    plain = rows.place[0] is place.place[0] and place.place[0] in (torch.float32, torch.float64)
    lie = gradient.shape == place.shape and gradient.is_plain and place.is_plain and place.size > 0
    return plain and lie and padding < 0 and not scaled


def by_rows(line: Line, place: Value) -> Sequence[Line]:
    """Rows that are added in their order where they belong; what makes a table of them does that a number at a time."""
    lines: list[Line] = []
    rows, index = (
        _in_rows(value, sizes, lines)
        for value, sizes in zip(line.args[:2], (place.shape[1:], ()), strict=True)
    )
    lines.append(Line(torch.ops.aten.zero_.default, (place,), {}, place))
    return [*lines, Line(torch.ops.aten.index_add_.default, (place, 0, index, rows), {}, place)]


def _in_rows(value: Value, sizes: Sequence[int], lines: list[Line]) -> Value:
    """A value with one axis before these sizes, after the lines that make it so."""
    if not value.is_plain:
        place = (*value.place[:2], usual_strides(value.shape), 0)
        whole = Value("made", f"{value.name}_whole", -value.memory, place)
        kwargs = {"memory_format": torch.contiguous_format}
        lines.append(Line(torch.ops.aten.clone.default, (value,), kwargs, whole))
        value = whole
    shape = (value.size // math.prod(sizes), *sizes)
    place = (value.place[0], shape, usual_strides(shape), value.offset)
    made = Value("made", f"{value.name}_rows", value.memory, place)
    lines.append(Line(torch.ops.aten.view.default, (value, list(shape)), {}, made))
    return made


def looked_up_in_order(lines: Lines) -> Lines:
    """Rows that are looked up and then put into another order are looked up in that order."""
    makers = {value: line for line in lines.lines for value in line.makes()}
    uses = Counter(value for line in lines.lines for value in line.takes())
    uses.update(lines.told())
    kept: list[Line] = []
    for line in lines.lines:
        turned = makers.get(line.args[0]) if line.function is _CLONE else None
        found = makers.get(turned.args[0]) if turned is not None and turned.function is _TURN else None
        if (
            turned is not None
            and found is not None
            and found.function is _LOOK_UP
            and len(found.args[1].shape) == 2
            and _swaps(turned, 3)
            and line.results.is_plain
            and uses[turned.results] == uses[found.results] == 1
        ):
            kept.append(index := _turned(found.args[1]))
            line = replace(found, args=(found.args[0], index.results, *found.args[2:]), results=line.results)
        kept.append(line)
    return replace(lines, lines=kept)


def rows_as_they_come(lines: Lines) -> Lines:
    """Gradients of rows that are put into another order to be added are added as they come, in another order."""
    makers = {value: line for line in lines.lines for value in line.makes()}
    kept: list[Line] = []
    for line in lines.lines:
        turned = makers.get(line.args[0]) if line.function is _BACK else None
        if turned is not None and turned.function is _TURN and _swaps(turned, 3) and turned.args[0].is_plain:
            kept.append(index := _turned(line.args[1]))
            line = replace(line, args=(turned.args[0], index.results, *line.args[2:]))
        kept.append(line)
    return replace(lines, lines=kept)


def _swaps(line: Line, count: int) -> bool:
    """Whether a line turns the first two of so many axes."""
    value, *axes = line.args
    return len(value.shape) == count and sorted(axis % count for axis in axes) == [0, 1]


def _turned(index: Value) -> Line:
    """Numbers of rows with their two axes turned."""
    dtype, (first, second), (one, other), offset = index.place
    place = (dtype, (second, first), (other, one), offset)
    turned = Value("made", f"{index.name}_turned", index.memory, place)
    return Line(_TURN, (index, 0, 1), {}, turned)
