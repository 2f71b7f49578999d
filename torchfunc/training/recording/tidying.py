"""Tidying: passes over the lines of a step, each from lines to lines, each of which leaves its results as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.convolving import (
    biases_by_sums,
    gradients_below_upsampling,
    one_channel_by_products,
    relu_after_pooling,
)
from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.tree import leaves, map_leaves

_MADE_OF_NOTHING = frozenset("arange zeros ones full scalar_tensor eye linspace".split())
# those that fill one like another, and by what
_FILLED = {f"{name}_like": getattr(torch.ops.aten, name).default for name in ("ones", "zeros", "full")}
FEW = 2**12  # numbers
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
    return gradients_in_place(lines, places, by_rows=on_cpu)


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
    return _renamed(replace(lines, lines=kept), same)


def constants_by_shape(lines: Lines) -> Lines:
    """What is filled by the shape of another tensor is made by the shape alone: as the gradient of a loss by itself."""
    device = next(
        (str(each.tensor.device) for each in lines.there_before() if each.tensor is not None), "cpu"
    )
    kept = []
    for line in lines.lines:
        made = line.results
        if line.name in _FILLED and _is_plain(made) and made.offset == 0 and math.prod(made.shape) <= FEW:
            given = [list(made.shape), *line.args[1:]]
            plain = {"dtype": made.place[0], "device": device}
            line = Line(_FILLED[line.name], tuple(given), plain, made)
        kept.append(line)
    return replace(lines, lines=kept)


def _is_plain(value: Value) -> bool:
    """Whether a tensor lies in the usual order."""
    usual = zip(value.shape, _usual(value.shape), strict=True)
    return _steps(value) == [each for each in usual if each[0] != 1]


def views_once(lines: Lines) -> Lines:
    """Views of what stays where it is, and constants that nobody changes, are made before the first batch."""
    changed = {value.memory for line in lines.lines for value in line.changes()}
    told = {value.memory for value in lines.told()}
    fixed: set[Value] = {each for each in lines.there_before() if each.kind != "batch"}
    before, kept = list(lines.before), []
    for line in lines.lines:
        view = line.is_view and line.args[0] in fixed
        constant = (
            line.name in _MADE_OF_NOTHING
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


def constants_of_their_own(lines: Lines) -> Lines:
    """A constant that the step changes is made anew for each batch, in memory of its own."""
    changed = {value.memory for line in lines.lines for value in line.changes()}
    own: dict[Value, Value] = {}
    copied: set[int] = set()

    def renamed(leaf: Any) -> Any:
        if not isinstance(leaf, Value) or leaf.memory not in copied:
            return leaf
        name = f"{leaf.name}_of_batch"
        return own.setdefault(leaf, replace(leaf, kind="made", name=name, memory=-leaf.memory, tensor=None))

    kept = []
    for line in lines.lines:
        if line.function is torch.ops.aten.lift_fresh.default and line.args[0].memory in changed:
            copied.add(line.args[0].memory)
            kept.append(Line(torch.ops.aten.clone.default, line.args, {}, renamed(line.results)))
        else:
            args, kwargs = map_leaves(renamed, line.args), map_leaves(renamed, dict(line.kwargs))
            kept.append(replace(line, args=args, kwargs=kwargs, results=map_leaves(renamed, line.results)))
    return replace(
        lines,
        lines=kept,
        gradients=map_leaves(renamed, list(lines.gradients)),
        returned=map_leaves(renamed, lines.returned),
    )


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


def gradients_in_place(lines: Lines, places: Sequence[Value | None], *, by_rows: bool = True) -> Lines:
    """Gradients are in their places: written there by the kernel that makes them where it can, else copied.

    Those of tables are added row by row, if asked for: in order on the CPU, but as threads come on a GPU.
    """
    changed = {value.memory for line in lines.lines for value in line.changes()}
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
        if by_rows and line is not None and _is_of_rows(line, gradient, place):
            made[at] = _by_rows(line, place)  # type: ignore[index]
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
        and _size(maker) == _size(gradient) == _size(place)
        and _steps(gradient) == _steps(place)
    )


def _is_of_rows(line: Line, gradient: Value, place: Value) -> bool:
    """Whether a line makes the gradient of a table by adding rows to zeros, all of which count, each as it is."""
    if line.function is not torch.ops.aten.embedding_dense_backward.default or line.results is not gradient:
        return False
    rows, _, _, padding, scaled = line.args
    plain = rows.place[0] is place.place[0] and place.place[0] in (torch.float32, torch.float64)
    return plain and 0 not in place.shape and padding < 0 and not scaled and _steps(gradient) == _steps(place)


def _by_rows(line: Line, place: Value) -> Sequence[Line]:
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
    if not _is_plain(value):
        place = (*value.place[:2], _usual(value.shape), 0)
        whole = Value("made", f"{value.name}_whole", -value.memory, place)
        kwargs = {"memory_format": torch.contiguous_format}
        lines.append(Line(torch.ops.aten.clone.default, (value,), kwargs, whole))
        value = whole
    shape = (math.prod(value.shape) // math.prod(sizes), *sizes)
    place = (value.place[0], shape, _usual(shape), value.offset)
    made = Value("made", f"{value.name}_rows", value.memory, place)
    lines.append(Line(torch.ops.aten.view.default, (value, list(shape)), {}, made))
    return made


def _usual(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor in the usual order."""
    return tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))


def _size(value: Value) -> int:
    return math.prod(value.shape)


def _steps(value: Value) -> list[tuple[int, int]]:
    """The sizes and strides of the axes that are longer than 1."""
    return [each for each in zip(value.shape, value.strides, strict=True) if each[0] != 1]


PASSES: tuple[Callable[[Lines], Lines], ...] = (
    constants_of_their_own,
    without_copies_of_views,
    constants_by_shape,
    views_once,
    without_the_unread,
)
# by other kernels, on the CPU
FASTER: tuple[Callable[[Lines], Lines], ...] = (relu_after_pooling,)
# what changes the order of a sum, and so the last bits
MOVING: tuple[Callable[[Lines], Lines], ...] = (
    biases_by_sums,
    one_channel_by_products,
    gradients_below_upsampling,
)


def _renamed(lines: Lines, same: Mapping[Value, Value]) -> Lines:
    def renamed(leaf: Any) -> Any:
        return same.get(leaf, leaf) if isinstance(leaf, Value) else leaf

    return replace(
        lines,
        gradients=map_leaves(renamed, list(lines.gradients)),
        returned=map_leaves(renamed, lines.returned),
    )
