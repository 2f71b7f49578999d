"""Stacking: what is stacked, or put into zeros, and then taken out again is taken as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from torchfunc.training.recording.lines import Line, Lines, Value

_STACK = torch.ops.aten.stack.default
_SELECT = torch.ops.aten.select.int
_BACK = torch.ops.aten.select_backward.default
_CLONE = torch.ops.aten.clone.default


def taken_without_stacking(lines: Lines) -> Lines:
    """A part of a stack is the tensor that it was made of; so is what is taken out of where its gradient was put."""
    makers = {value: line for line in lines.lines for value in line.makes()}
    untouched = lines.changed() | {each.memory for each in lines.told()}
    viewed = {line.args[0] for line in lines.lines if line.is_view}
    same: dict[Value, Value] = {}
    kept = []
    for line in lines.lines:
        made, part = line.results, _part(line, makers)
        if (
            part is not None
            and made.is_plain
            and made not in viewed
            and not {made.memory, part.memory} & untouched
        ):
            part = same.get(part, part)
            if part.is_plain:
                same[made] = part
                continue
            same[made] = replace(made, memory=-made.memory, place=(*made.place[:3], 0))
            kept.append(Line(_CLONE, (part,), {"memory_format": torch.contiguous_format}, same[made]))
        else:
            kept.append(line.with_values(same))
    return replace(lines, lines=kept).renamed(same)


def _part(line: Line, makers: Mapping[Value, Line]) -> Value | None:
    """What a line takes, before it was stacked or put into zeros; None where it takes something else."""
    if line.function is not _SELECT or (maker := makers.get(line.args[0])) is None:
        return None
    whole, axis, at = line.args
    axes = len(whole.shape)
    if maker.function is _STACK:
        parts, along = maker.args[0], maker.args[1] if len(maker.args) > 1 else 0
        return parts[at] if along % axes == axis % axes else None
    if maker.function is _BACK:
        value, _, along, index = maker.args
        same = along % axes == axis % axes and index % whole.shape[axis] == at % whole.shape[axis]
        return value if same else None
    return None
