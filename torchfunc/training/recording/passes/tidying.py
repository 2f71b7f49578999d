"""Tidying: passes over the lines of a step, each from lines to lines, each of which leaves its results as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.training.recording.passes.constant_lines import (
    MADE_OF_NOTHING,
    computed_once,
    constants_by_shape,
    constants_of_their_own,
    without_ones,
)
from torchfunc.training.recording.passes.convolving import (
    biases_by_sums,
    gradients_below_upsampling,
    one_channel_by_products,
    relu_after_pooling,
)
from torchfunc.training.recording.passes.stacking import taken_without_stacking
from torchfunc.training.recording.passes.tables import (
    by_rows,
    is_of_rows,
    looked_up_in_order,
    rows_as_they_come,
)
from torchfunc.tree import leaves

# kernels that can write what they make where they are told to, to the bit as they would make it
_WRITING = frozenset("mm addmm bmm sum mul add div sub neg".split())
_COPY = torch.ops.aten.copy_.default


def tidied(lines: Lines, places: Sequence[Value | None], *, on_cpu: bool = True) -> Lines:
    """The lines after all passes.

    Args:
        lines: as they were recorded.
        places: where the gradient of each parameter is to be, in the order of `lines.gradients`.
        on_cpu: whether the CPU computes them: what is quicker by other kernels is measured there alone.
    """
    for each in (*PASSES, *FASTER, *MOVING) if on_cpu else PASSES:
        lines = each(lines)
    return gradients_in_place(lines, places, in_order=on_cpu)


def without_copies_of_views(lines: Lines) -> Lines:
    """Every view of the same numbers in the same order is one value: detaches and double transposes are gone."""
    first: dict[tuple[Any, ...], Value] = {}
    for value in lines.there_before():
        first.setdefault((value.memory, value.place), value)
    same: dict[Value, Value] = {}
    kept = []
    for line in lines.lines:
        line = line.with_values(same)
        if line.is_view:
            if line.results is line.args[0]:
                continue
            known = first.setdefault((line.results.memory, line.results.place), line.results)
            if known is not line.results:
                same[line.results] = known
                continue
        for value in line.makes():
            first.setdefault((value.memory, value.place), value)
        kept.append(line)
    return replace(lines, lines=kept).renamed(same)


def views_once(lines: Lines) -> Lines:
    """Views of what stays where it is, and constants that nobody changes, are made before the first batch."""
    changed = lines.changed()
    told = {value.memory for value in lines.told()}
    fixed: set[Value] = {each for each in lines.there_before() if each.kind != "batch"}
    before, kept = list(lines.before), []
    for line in lines.lines:
        view = line.is_view and line.args[0] in fixed
        constant = (
            line.name in MADE_OF_NOTHING
            and isinstance(line.results, Value)
            and not list(line.takes())
            and line.results.memory not in changed | told
        )
        if view or constant:
            before.append(line)
            fixed.add(line.results)
        else:
            kept.append(line)
    return replace(lines, before=before, lines=kept)


def without_the_unread(lines: Lines) -> Lines:
    """What nobody reads is not computed, unless computing it changes something or draws random numbers."""
    read = set(lines.told())
    kept: list[Line] = []
    for line in reversed(lines.lines):
        needed = any(value in read for value in line.makes())
        seeded = torch.Tag.nondeterministic_seeded in line.function.tags
        if needed or seeded or line.out is not None or any(line.changes()):
            read.update(line.takes())
            kept.append(line)
    before = []
    for line in reversed(lines.before):
        if any(value in read for value in line.makes()):
            read.update(line.takes())
            before.append(line)
    return replace(lines, before=before[::-1], lines=kept[::-1])


def gradients_in_place(lines: Lines, places: Sequence[Value | None], *, in_order: bool = True) -> Lines:
    """Gradients are in their places: written there by the kernel that makes them where it can, else copied.

    Those of tables are added row by row where rows are added in order: on a GPU they are as threads come.
    """
    changed = lines.changed()
    taken = changed | {each.memory for each in leaves(lines.returned) if isinstance(each, Value)}
    makers = {
        value.memory: at for at, line in reversed(list(enumerate(lines.lines))) for value in line.makes()
    }
    made: list[Line | Sequence[Line]] = list(lines.lines)
    copies = []
    for gradient, place in zip(lines.gradients, places, strict=True):
        if gradient is None or place is None:
            continue
        at = makers.get(gradient.memory)
        line = None if at is None or gradient.memory in taken else lines.lines[at]
        if in_order and line is not None and is_of_rows(line, gradient, place):
            made[at] = by_rows(line, place)  # type: ignore[index]
        elif line is not None and _writes(line, gradient, place):
            maker = line.results
            view = place.tensor.as_strided(maker.shape, maker.strides, place.offset)  # type: ignore[union-attr]
            written = Value(
                "held", f"{place.name}_made", place.memory, (*maker.place[:3], place.offset), view
            )
            made[at] = replace(line, out=place if maker.shape == place.shape else written)  # type: ignore[index]
        else:
            copies.append(Line(_COPY, (place, gradient), {}, place))
            continue
        taken.add(gradient.memory)
    flat = [line for each in made for line in ([each] if isinstance(each, Line) else each)]
    return without_the_unread(replace(lines, lines=[*flat, *copies], gradients=()))


def _writes(line: Line, gradient: Value, place: Value) -> bool:
    """Whether a kernel can write a gradient where it is to be: what it makes lies there as the gradient does."""
    maker = line.results
    return (
        line.name in _WRITING
        and line.function is not torch.ops.aten.sum.default  # which has no `out`
        and isinstance(maker, Value)
        and line.out is None
        and maker.place[0] is place.place[0]
        and maker.offset == gradient.offset
        and maker.size == gradient.size == place.size
        and _steps(gradient) == _steps(place)
    )


def _steps(value: Value) -> list[tuple[int, int]]:
    """The sizes and strides of the axes that are longer than 1."""
    return [each for each in zip(value.shape, value.strides, strict=True) if each[0] != 1]


PASSES: tuple[Callable[[Lines], Lines], ...] = (
    constants_of_their_own,
    without_copies_of_views,
    constants_by_shape,
    views_once,
    computed_once,
    without_ones,
    taken_without_stacking,
    looked_up_in_order,
    without_the_unread,
)
# by other kernels, on the CPU
FASTER: tuple[Callable[[Lines], Lines], ...] = (relu_after_pooling,)
# what changes the order of a sum, and so the last bits
MOVING: tuple[Callable[[Lines], Lines], ...] = (
    rows_as_they_come,
    biases_by_sums,
    one_channel_by_products,
    gradients_below_upsampling,
)
