"""Constant lines: what is the same for each batch is computed before the first, and what does nothing is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.tree import map_leaves

MADE_OF_NOTHING = frozenset("arange zeros ones full scalar_tensor eye linspace".split())
FEW = 2**12  # numbers: what is kept of more may be worth more than making it
# kernels that fill a tensor like another one, or of another's kind, and by what
_FILLING = ("ones", "zeros", "full")
_LIKE = {getattr(torch.ops.aten, f"{name}_like").default: name for name in _FILLING}
_NEW = {getattr(torch.ops.aten, f"new_{name}").default: name for name in _FILLING}
_LIFT = torch.ops.aten.lift_fresh.default


def constants_of_their_own(lines: Lines) -> Lines:
    """A constant that the step changes is made anew for each batch, in memory of its own."""
    changed = lines.changed()
    own: dict[Value, Value] = {}
    copied: set[int] = set()

    def renamed(leaf: Any) -> Any:
        if not isinstance(leaf, Value) or leaf.memory not in copied:
            return leaf
        name = f"{leaf.name}_of_batch"
        return own.setdefault(leaf, replace(leaf, kind="made", name=name, memory=-leaf.memory, tensor=None))

    kept = []
    for line in lines.lines:
        if line.function is _LIFT and line.args[0].memory in changed:
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


def constants_by_shape(lines: Lines) -> Lines:
    """What is filled by the shape of another tensor is made by the shape alone: as the gradient of a loss by itself."""
    device = next(
        (str(each.tensor.device) for each in lines.there_before() if each.tensor is not None), "cpu"
    )
    kept = []
    for line in lines.lines:
        made = line.results
        name = _LIKE.get(line.function) or _NEW.get(line.function)
        if name is not None and made.is_plain and made.offset == 0 and made.size <= FEW:
            rest = line.args[1:] if line.function in _LIKE else line.args[2:]
            kwargs = {"dtype": made.place[0], "device": device}
            line = Line(getattr(torch.ops.aten, name).default, (list(made.shape), *rest), kwargs, made)
        kept.append(line)
    return replace(lines, lines=kept)


def computed_once(lines: Lines) -> Lines:
    """What is computed of constants alone, as how much a loss counts, is one too."""
    constants, untouched = _constants(lines), lines.changed() | {each.memory for each in lines.told()}
    before, kept = list(lines.before), []
    for line in lines.lines:
        takes = list(line.takes())
        if (
            takes
            and constants.issuperset(takes)
            and isinstance(line.results, Value)
            and line.out is None
            and line.results.memory not in untouched
            and line.results.size <= FEW
            and torch.Tag.nondeterministic_seeded not in line.function.tags
            and not any(line.changes())
        ):
            before.append(line)
            constants.add(line.results)
        else:
            kept.append(line)
    return replace(lines, before=before, lines=kept)


def _constants(lines: Lines) -> set[Value]:
    """What is made before the first batch of nothing, or of numbers that Python wrote."""
    found: set[Value] = set()
    for line in lines.before:
        if line.name in MADE_OF_NOTHING or line.function is _LIFT or (line.is_view and line.args[0] in found):
            found.update(line.makes())
    return found


def without_ones(lines: Lines) -> Lines:
    """What is multiplied by ones is what it was."""
    ones = {line.results for line in lines.before if line.name == "ones"}
    for line in lines.before:
        if line.is_view and line.args[0] in ones:
            ones.add(line.results)
    untouched = lines.changed() | {each.memory for each in lines.told()}
    same: dict[Value, Value] = {}
    kept = []
    for line in lines.lines:
        line = line.with_values(same)
        if (
            line.function is torch.ops.aten.mul_.Tensor
            and line.args[1] in ones
            and line.results is line.args[0]
        ):
            continue
        if line.function is torch.ops.aten.mul.Tensor and line.out is None:
            one, other = line.args
            one, other = (other, one) if one in ones else (one, other)
            if (
                isinstance(other, Value)
                and isinstance(one, Value)
                and other in ones
                and one.place == line.results.place
                and not {one.memory, line.results.memory} & untouched
                and not _is_viewed(lines, line.results)
            ):
                same[line.results] = one
                continue
        kept.append(line)
    return replace(lines, lines=kept).renamed(same)


def _is_viewed(lines: Lines, value: Value) -> bool:
    """Whether there is another view of a value."""
    return any(
        each is not value and each.memory == value.memory for line in lines.lines for each in line.makes()
    )
