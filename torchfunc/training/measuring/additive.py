"""Additive: whether batches may be measured together, as all that is told of them are means and sums over their rows.

That is followed line by line: what a value has in its rows, the same for all batches, or summed up over the rows. A kernel
that is not known to leave rows apart ends it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchfunc.training.recording.lines import Line, Lines, Value

WIDEST = 2**21  # bytes that one line of a block takes and makes: more do not stay near the processor
ALL = 2**24  # bytes that all lines of a block make, which are there together while it is written down
MOST = 16  # batches in a block


class Rows(NamedTuple):
    """One or more entries along one axis belong to each row of the batch."""

    axis: int
    each: int = 1


FIXED, SUM, MEAN = "fixed", "sum", "mean"  # the same for all batches; summed up over rows, or their mean


class Mixed(Exception):
    """Something goes by more than one row, and is no sum."""


def together(lines: Lines, size: int) -> int:
    """How many batches of this size it pays to measure as one; 0 where each has to be measured by itself.

    Args:
        lines: what was recorded; they return the loss, the losses of outputs, and what is added to sums.
        size: how many rows a batch has.
    """
    loss, latest, sums = lines.returned
    try:
        kind = _Reading(lines, size)
        means = all(kind[each] in (MEAN, FIXED) for each in (loss, *latest) if each is not None)
        if not means or any(kind[each] != SUM for each in sums):
            return 0
    except (Mixed, LookupError, TypeError, ValueError):  # or a kernel is called as it is not known to be
        return 0
    widest = max(
        sum(_bytes(each) for each in {*line.takes(), *line.makes()} if isinstance(kind.get(each), Rows))
        for line in lines.lines
    )
    made = sum(_bytes(each) for line in lines.lines if not line.is_view for each in line.makes())
    return max(1, min(MOST, WIDEST // max(widest, 1), ALL // max(made, 1)))


def adds_up(block: Any, parts: Sequence[Any]) -> bool:
    """Whether what a block told is what its batches told, but for rounding: means of losses, and sums."""
    loss, latest, values = block
    means = [loss, *latest] if loss is not None else latest
    of_parts = [[each[0], *each[1]] if loss is not None else each[1] for each in parts]
    summed = [*(each * len(parts) for each in means), *values]
    expected = [sum(column) for column in zip(*of_parts, strict=True)]
    expected += [sum(column) for column in zip(*(each[2] for each in parts), strict=True)]
    return len(summed) == len(expected) and all(map(_near, summed, expected))


def _near(one: Tensor, other: Any) -> bool:
    whole = not one.is_floating_point()
    return torch.equal(one, other) if whole else torch.allclose(one, other, rtol=1e-5, equal_nan=True)


def _bytes(value: Value) -> int:
    return value.place[0].itemsize * math.prod(value.shape)  # type: ignore[no-any-return]


# of the shape of what they are given, and each number by the one in its place
_COPIES = frozenset("_to_copy clone detach alias".split())
# the last two have that tag from PyTorch 2.12 on
_ALIKE = _COPIES | {"ones_like", "zeros_like", "hardswish", "leaky_relu", "rsub"}
_LOOKING_UP = {"searchsorted": 1, "embedding": 2}  # and the axes of what they look in
_EMPTY = frozenset("new_zeros new_ones new_full".split())  # which go by a shape alone
_ALONG = frozenset("_softmax _log_softmax cumsum sort topk gather slice select unbind split".split())
_REDUCING = frozenset("sum mean amax amin any all argmax argmin linalg_vector_norm logsumexp max min".split())
_MOVING = frozenset("t transpose permute unsqueeze squeeze expand".split())
_LOSSES = frozenset(
    "mse_loss huber_loss smooth_l1_loss binary_cross_entropy binary_cross_entropy_with_logits".split()
)
_REDUCTIONS = (None, MEAN, SUM)  # as PyTorch numbers them
# whose samples lie along the first axis
_BY_SAMPLE = frozenset(
    """
    convolution max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d _adaptive_avg_pool2d
    upsample_nearest2d upsample_bilinear2d native_batch_norm native_group_norm
    """.split()
)


class _Reading(dict[Any, Any]):
    """What each value of some lines is, by the value; what is not in it nobody may use."""

    def __init__(self, lines: Lines, size: int) -> None:
        super().__init__(dict.fromkeys(lines.there_before(), FIXED))
        self.size = size
        self.zeros: set[Value] = set()
        for value in lines.batch:
            self[value] = self._rows(value, 0)
        for line in lines.lines:
            self._take(line)

    def __missing__(self, key: Any) -> Any:
        raise Mixed

    def _rows(self, value: Value, axis: int) -> Rows:
        """A value whose rows are along an axis."""
        length = value.shape[axis] if axis < len(value.shape) else 0
        if not length or length % self.size:
            raise Mixed
        return Rows(axis, length // self.size)

    def _take(self, line: Line) -> None:
        """Say what a line makes."""
        given, made = [self[each] for each in line.takes()], line.results
        if line.name == "index_add_" and made in self.zeros:
            self[made] = self._counted(made, *line.args[2:])
            self.zeros.remove(made)
        elif line.name == "native_batch_norm" and line.args[5]:
            raise Mixed
        elif any(line.changes()) and line.name != "native_batch_norm":
            # rows that are changed by their own numbers are rows
            if not _is_pointwise(line) or self._pointwise(line, made) != given[0]:
                raise Mixed
        elif line.name in _EMPTY:
            self[made] = FIXED
            self.zeros.update([made] if line.name == "new_zeros" else [])
        elif all(each == FIXED for each in given):
            self.update(dict.fromkeys(line.makes(), FIXED))
        elif SUM in given or MEAN in given:
            self[made] = self._of_sums(line)
        elif _is_pointwise(line):
            self[made] = self._pointwise(line, made)
        elif line.name in _LOSSES:
            self[made] = _REDUCTIONS[_argument(line, "reduction")] or self._pointwise(line, made)
            self._pointwise(line, line.args[0])
        elif line.name in ("cat", "stack"):
            self[made] = self._side_by_side(line)
        elif line.name in ("addmm", "mm"):
            self[made] = self._product(made, *line.args[-2:], *line.args[:-2])
        elif (
            line.name in _LOOKING_UP
            and self[line.args[0]] == FIXED
            and len(line.args[0].shape) == _LOOKING_UP[line.name]
        ):
            self[made] = self[line.args[1]]
        elif isinstance(line.args[0], Value) and isinstance(self[line.args[0]], Rows):
            self._by_first(line, self[line.args[0]])
        else:
            raise Mixed

    def _by_first(self, line: Line, rows: Rows) -> None:
        """Say what is made of a first argument that has rows."""
        name, given, (made, *_) = line.name, line.args[0], line.makes()
        rest = {self[each] for each in line.takes() if each is not given}
        if name in _ALONG:
            self._along(line, rows)
        elif name == "nll_loss_forward":
            self[made] = self._of_classes(*line.args)
        elif rest - {FIXED}:
            raise Mixed
        elif name in _REDUCING:
            self.update(dict.fromkeys(line.makes(), self._reduced(line, rows)))
        elif name in ("view", "_unsafe_view") and rows.axis == 0:
            self[made] = self._rows(made, 0)  # numbers stay in their order: those of a row stay together
        elif name in _MOVING:
            self[made] = self._rows(made, self._moved(line, rows.axis))
            if self[made].each != rows.each:
                raise Mixed
        elif self._is_apart(line, rows.axis, len(given.shape)):
            self[made] = rows
        else:
            raise Mixed

    def _is_apart(self, line: Line, axis: int, count: int) -> bool:
        """Whether a kernel goes by samples, or along other axes than that of the rows."""
        if line.name == "constant_pad_nd":
            return len(line.args[1]) // 2 < count - axis
        if line.name == "native_layer_norm":
            return axis < count - len(line.args[1])
        return line.name in _BY_SAMPLE and axis == 0

    def _product(self, made: Value, rows: Value, weights: Value, bias: Value | None = None) -> Rows:
        """A product of rows with what is the same for all of them."""
        plain = bias is None or (self[bias] == FIXED and len(bias.shape) == 1)
        first = self[rows]
        if not plain or self[weights] != FIXED or not isinstance(first, Rows) or first.axis != 0:
            raise Mixed
        return self._rows(made, 0)

    def _pointwise(self, line: Line, made: Value) -> Rows:
        """Rows beside rows, and beside what is the same for each of them."""
        having = {
            (len(each.shape) - self[each].axis, self[each].each)
            for each in line.takes()
            if isinstance(self[each], Rows)
        }
        if len(having) != 1:
            raise Mixed
        [(behind, count)] = having
        for each in line.takes():
            at = len(each.shape) - behind
            if self[each] == FIXED and at >= 0 and each.shape[at] != 1 and each.strides[at]:
                raise Mixed
        rows = self._rows(made, len(made.shape) - behind)
        if rows.each != count:
            raise Mixed
        return rows

    def _of_classes(self, scores: Value, classes: Value, weight: Any, reduction: int, ignored: int) -> Any:
        """The loss of classes; what is left out or weighs more would change by what a mean divides."""
        plain = weight is None and (reduction != 1 or ignored < -(2**62))
        if not plain or self[scores] != self[classes] or self[scores].axis != 0:
            raise Mixed
        return _REDUCTIONS[reduction] or self[classes]

    def _counted(self, zeros: Value, places: Value, what: Value) -> str:
        """What rows add each in its place, to zeros: a number of their own, or one for all of them."""
        fixed = self[what] == FIXED and what.strides == (0,)
        seen = any(each.memory == zeros.memory for each in self if each is not zeros)
        if seen or self[places] != self._rows(places, 0) or not (fixed or self[what] == self[places]):
            raise Mixed
        return SUM

    def _reduced(self, line: Line, rows: Rows) -> Any:
        """Over other axes rows stay; over theirs there are sums and means."""
        count, axes = len(line.args[0].shape), _listed(_argument(line, "dim"))
        over = {axis % count for axis in axes} or set(range(count))
        if rows.axis not in over:
            gone = 0 if _argument(line, "keepdim") else sum(axis < rows.axis for axis in over)
            return rows._replace(axis=rows.axis - gone)
        if line.name not in (SUM, MEAN):
            raise Mixed
        return line.name

    def _along(self, line: Line, rows: Rows) -> None:
        """Say what is made along another axis than that of the rows."""
        count = len(line.args[0].shape)
        axis = _argument(line, "dim") % count
        if axis == rows.axis or any(self[each] != rows for each in line.takes()):
            raise Mixed
        for each in line.makes():
            self[each] = rows._replace(axis=rows.axis - (axis < rows.axis and len(each.shape) < count))

    def _moved(self, line: Line, axis: int) -> int:
        """Where an axis is afterwards."""
        shape: tuple[int, ...] = line.args[0].shape
        axes = line.args[1:]
        if line.name in ("t", "transpose"):
            one, other = (int(each) % len(shape) for each in axes or (0, 1))
            return {axis: axis, one: other, other: one}[axis]
        if line.name == "permute":
            return [each % len(shape) for each in axes[0]].index(axis)
        if line.name == "unsqueeze":
            return axis + int(axes[0] % (len(shape) + 1) <= axis)
        if line.name == "expand":
            return axis + len(line.results.shape) - len(shape)
        gone = {each % len(shape) for each in _listed(axes[0])} if axes else range(len(shape))
        return axis - sum(each < axis and shape[each] == 1 for each in gone)

    def _side_by_side(self, line: Line) -> Rows:
        """Several along another axis than that of the rows."""
        rows, *others = {self[each] for each in line.takes()}
        axis = _argument(line, "dim") % len(line.results.shape)
        if others:
            raise Mixed
        found = self._rows(line.results, rows.axis + (line.name == "stack" and axis <= rows.axis))
        if axis == found.axis or found.each != rows.each:
            raise Mixed
        return found

    def _of_sums(self, line: Line) -> str:
        """Sums stay sums, and means means, where they are added to each other or multiplied by what is the same for all."""
        kinds = [self[each] for each in line.takes()]
        first: str
        first, *others = {each for each in kinds if each != FIXED}
        alone = not others and kinds.count(first) == 1
        if line.name in _COPIES | {"neg", "mul"} and alone:
            return first
        if line.name == "div" and alone and kinds[0] == first and "mode" not in str(line.function):
            by = line.args[1]
            return MEAN if isinstance(by, int | float) and by and by % self.size == 0 else first
        if line.name in ("add", "sub") and not others and (first == MEAN or kinds == [SUM, SUM]):
            return first
        raise Mixed


def _is_pointwise(line: Line) -> bool:
    """Whether a line makes each number by those in its place."""
    return torch.Tag.pointwise in line.function.tags or line.name.removesuffix("_") in _ALIKE


def _listed(axes: Any) -> Sequence[int]:
    return axes if isinstance(axes, Sequence) else [] if axes is None else [axes]


def _argument(line: Line, name: str) -> Any:
    """What a line gives for an argument of its kernel, or what stands for it."""
    for at, argument in enumerate(line.function._schema.arguments):
        if argument.name == name:
            return line.args[at] if at < len(line.args) else line.kwargs.get(name, argument.default_value)
    return None
