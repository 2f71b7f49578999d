"""Kept memory: passes by which lines write over what nobody reads any more, or into tensors that are there before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from torchfunc.training.recording.lines import Line, Lines, Value
from torchfunc.training.recording.passes.tidying import views_once, without_copies_of_views
from torchfunc.tree import leaves, map_leaves

MOST = 2**22  # bytes: beyond that a call costs much more than making its result
# kernels that write where they are told to what they would make, to the bit
_WRITING = frozenset(
    "mm addmm bmm add sub mul div _softmax _log_softmax _log_softmax_backward_data sigmoid tanh".split()
)
_IN_PLACE = {
    getattr(torch.ops.aten, name).default: getattr(torch.ops.aten, f"{name}_").default
    for name in ("relu", "sigmoid", "tanh", "silu", "gelu", "neg")
} | {
    getattr(torch.ops.aten, name).Tensor: getattr(torch.ops.aten, f"{name}_").Tensor
    for name in ("add", "sub", "mul", "div")
}
# what goes back through an activation is written over what comes
_BACKWARD = {
    getattr(torch.ops.aten, name).default: getattr(torch.ops.aten, name).grad_input
    for name in "threshold_backward sigmoid_backward tanh_backward gelu_backward silu_backward elu_backward "
    "leaky_relu_backward hardtanh_backward softplus_backward".split()
}
# of what was pooled the gradient asks for its shape and layout alone, so it is written over that
_POOLING = torch.ops.aten.max_pool2d_with_indices_backward.default
_BACKWARD[_POOLING] = torch.ops.aten.max_pool2d_with_indices_backward.grad_input
_ADDMM = torch.ops.aten.addmm.default
_RELU = torch.ops.aten.relu_.default


def in_place(lines: Lines) -> Lines:
    """What is made of one tensor alone, as an activation is, is written over that where nobody else reads it."""
    last, mine = _last_uses(lines), _made_by(lines)
    moved: dict[int, int] = {}  # memory that is no longer needed, and what takes its place
    same: dict[Value, Value] = {}

    def renamed(leaf: Any) -> Any:
        if not isinstance(leaf, Value) or leaf.memory not in moved:
            return leaf
        return same.setdefault(leaf, replace(leaf, memory=moved[leaf.memory]))

    kept = []
    for at, line in enumerate(lines.lines):
        args, kwargs = map_leaves(renamed, line.args), map_leaves(renamed, dict(line.kwargs))
        line = replace(line, args=args, kwargs=kwargs, results=map_leaves(renamed, line.results))
        if line.function in _IN_PLACE or line.function in _BACKWARD:
            of, made = _source(line), line.results
            if _ends_in(line, of, made) and last.get(of.memory) == at and of.memory in mine:
                same[made], moved[made.memory] = of, of.memory
                last[of.memory] = last[made.memory]
                line = _written_over(line, of)
        kept.append(line)
    return replace(lines, lines=kept, returned=map_leaves(renamed, lines.returned))


def _source(line: Line) -> Any:
    """The argument that what a line makes may be written over."""
    return line.args[1 if line.function is _POOLING else 0]


def _ends_in(line: Line, of: Any, made: Value) -> bool:
    """Whether what a line makes lies as its source does, which fills its memory, and is taken as a whole alone."""
    return (
        isinstance(of, Value)
        and line.out is None
        and of.place == made.place
        and _is_dense(of)
        and all(each is of for each in line.takes() if each.memory == of.memory)
    )


def _written_over(line: Line, of: Value) -> Line:
    """A line that writes what it makes over its source."""
    if line.function in _IN_PLACE:
        return Line(_IN_PLACE[line.function], line.args, line.kwargs, of)
    return Line(_BACKWARD[line.function], line.args, {**line.kwargs, "grad_input": of}, of)


def with_activations(lines: Lines) -> Lines:
    """A relu that follows its sum of products is done in the same call."""
    kept: list[Line] = []
    for line in lines.lines:
        before = kept[-1] if kept else None
        if (
            line.function is _RELU
            and before is not None
            and before.function is _ADDMM
            and before.results is line.args[0]
            and before.out is None
            and not before.kwargs
            and len(before.args) == 3
        ):
            kept[-1] = replace(before, function=torch.ops.aten._addmm_activation.default)
        else:
            kept.append(line)
    return replace(lines, lines=kept)


def in_kept_memory(lines: Lines) -> Lines:
    """What kernels make lies in memory that is kept from batch to batch, each piece for one thing after the other.

    What is handed out is made anew.
    """
    last, known = _last_uses(lines), {each.memory for each in given(lines)}
    free: dict[Any, list[Value]] = {}
    used: dict[int, Value] = {}  # by the memory that a piece stands for
    same: dict[Value, Value] = {}
    kept, bytes_kept, count = [], 0, 0

    def placed(leaf: Any) -> Any:
        """A value in the piece of memory that was taken for it, or for what it is a view of."""
        if not isinstance(leaf, Value) or leaf.memory not in used:
            return leaf
        piece = used[leaf.memory]
        return (
            piece if leaf.place == piece.place else same.setdefault(leaf, replace(leaf, memory=piece.memory))
        )

    for at, line in enumerate(lines.lines):
        made = line.results
        size = made.place[0].itemsize * math.prod(made.shape) if isinstance(made, Value) else 0
        if (
            isinstance(made, Value)
            and line.out is None
            and line.name in _WRITING | {"_addmm_activation"}
            and not any(line.changes())
            and made.memory not in known
            and last[made.memory] < math.inf
            and _is_dense(made)
        ):
            pieces = free.setdefault(made.place, [])
            if not pieces and bytes_kept + size <= MOST:
                count, bytes_kept = count + 1, bytes_kept + size
                dtype, shape, strides, _ = made.place
                tensor = torch.empty_strided(shape, strides, dtype=dtype)
                pieces.append(Value("held", f"kept{count}", -count, made.place, tensor))
            if pieces:
                used[made.memory] = pieces.pop()
                line = replace(line, out=used[made.memory])
        args, kwargs = map_leaves(placed, line.args), map_leaves(placed, dict(line.kwargs))
        kept.append(replace(line, args=args, kwargs=kwargs, results=map_leaves(placed, line.results)))
        known.update(each.memory for each in line.makes())
        ended = (
            each
            for each in [*leaves((line.args, dict(line.kwargs), line.results))]
            if isinstance(each, Value)
        )
        for memory in {each.memory for each in ended if each.memory in used and last[each.memory] == at}:
            piece = used.pop(memory)
            free[piece.place].append(piece)
    return views_once(without_copies_of_views(replace(lines, lines=kept)))


def _last_uses(lines: Lines) -> dict[int, float]:
    """By memory, the line that is the last to use it; infinity for what is told."""
    last: dict[int, float] = {}
    for at, line in enumerate(lines.lines):
        for value in (*line.takes(), *line.makes()):
            last[value.memory] = at
    for leaf in leaves(lines.returned):
        if isinstance(leaf, Value):
            last[leaf.memory] = math.inf
    return last


def _made_by(lines: Lines) -> set[int]:
    """The memory that the lines make."""
    return {value.memory for line in lines.lines for value in line.makes()} - {
        each.memory for each in given(lines)
    }


def given(lines: Lines) -> Iterator[Value]:
    """What is there before the first batch, and the batch."""
    yield from lines.batch
    for line in lines.before:
        yield from line.makes()
    for line in lines.lines:
        yield from (value for value in line.takes() if value.kind != "made")


def _is_dense(value: Value) -> bool:
    """Whether it fills its memory from the begin on, without holes."""
    expected = 1
    for stride, size in sorted(zip(value.strides, value.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return value.offset == 0 and math.prod(value.shape) > 0
