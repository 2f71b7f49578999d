"""Lines: the rows of a tape as plain data, in which tensors are values with names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.recording.tape import Row, is_laid, place_of
from torchfunc.tree import leaves, map_leaves


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the step: where it comes from, and how it lies in memory.

    Attributes:
        kind: "batch", "parameter" or "held" for what is there before the step, "made" for what it computes.
        name: what the text calls it.
        memory: which values lie in the same memory.
        place: its dtype, shape, strides and offset there.
        tensor: itself, where it is there before the step.
    """

    kind: str
    name: str
    memory: int
    place: tuple[Any, ...]
    tensor: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.place[1]  # type: ignore[no-any-return]

    @property
    def strides(self) -> tuple[int, ...]:
        return self.place[2]  # type: ignore[no-any-return]

    @property
    def offset(self) -> int:
        return self.place[3]  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether it lies in the usual order, without gaps."""
        usual = zip(self.shape, self.strides, usual_strides(self.shape), strict=True)
        return all(stride == expected for size, stride, expected in usual if size != 1)


def usual_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor in the usual order."""
    return tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))


@dataclass(frozen=True, eq=False)
class Line:
    """A call of a kernel on values; `out` says which value it writes into, where that is none of its arguments."""

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: Any  # values, None for what is no tensor, nested as the call returns them
    out: Value | None = None

    @property
    def name(self) -> str:
        """The name of the kernel without its overload."""
        return self.function._schema.name.removeprefix("aten::")  # type: ignore[no-any-return]

    def takes(self) -> Iterator[Value]:
        """The values that it is given."""
        return (each for each in leaves((self.args, dict(self.kwargs))) if isinstance(each, Value))

    def makes(self) -> Iterator[Value]:
        """The values that it returns."""
        return (each for each in leaves(self.results) if isinstance(each, Value))

    def changes(self) -> Iterator[Value]:
        """The values among its arguments that it writes into."""
        if self.name in _SILENT:
            yield from (each for each in self.args[3:5] if isinstance(each, Value))
        for at, argument in enumerate(self.function._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = self.args[at] if at < len(self.args) else self.kwargs.get(argument.name)
                yield from (each for each in leaves(given) if isinstance(each, Value))

    @property
    def is_view(self) -> bool:
        """Whether it computes nothing: what it returns lies in the memory of its first argument."""
        return (
            bool(self.args)
            and isinstance(self.args[0], Value)
            and isinstance(self.results, Value)
            and self.results.memory == self.args[0].memory
            and not any(self.changes())
        )

    def with_values(self, new: Mapping[Value, Value]) -> Line:
        """The same call on other values."""

        def renamed(leaf: Any) -> Any:
            return new.get(leaf, leaf) if isinstance(leaf, Value) else leaf

        args, kwargs = map_leaves(renamed, self.args), map_leaves(renamed, dict(self.kwargs))
        return replace(self, args=args, kwargs=kwargs)


# kernels that change the statistics they are given, and do not say so in their schema
_SILENT = frozenset(("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"))


@dataclass(frozen=True)
class Lines:
    """A step as data: what is done before the first batch, what is done with each, and what comes of it.

    Attributes:
        before: calls on what does not change, made once.
        lines: calls made for each batch.
        batch: the tensors of a batch, in the order in which they are given.
        gradients: the gradient of each parameter, None where it has none.
        returned: what else the step has to tell, nested.
    """

    before: Sequence[Line]
    lines: Sequence[Line]
    batch: Sequence[Value]
    gradients: Sequence[Value | None]
    returned: Any

    def there_before(self) -> Sequence[Value]:
        """The values that are there before the first batch, and the batch."""
        found = {value for line in self.lines for value in line.takes() if value.kind != "made"}
        return [*self.batch, *sorted(found - set(self.batch), key=lambda each: each.name)]

    def changed(self) -> set[int]:
        """The memory that lines write into, besides that of what they return."""
        return {value.memory for line in self.lines for value in line.changes()}

    def renamed(self, same: Mapping[Value, Value]) -> Lines:
        """The same step, which is told of some values by others."""

        def other(leaf: Any) -> Any:
            return same.get(leaf, leaf) if isinstance(leaf, Value) else leaf

        return replace(
            self,
            gradients=map_leaves(other, list(self.gradients)),
            returned=map_leaves(other, self.returned),
        )

    def told(self) -> Sequence[Value]:
        """What comes of the step."""
        return [each for each in leaves((list(self.gradients), self.returned)) if isinstance(each, Value)]


class Unknown(Exception):
    """A tensor that nobody gave to the step and that it did not make."""


@dataclass
class Reader:
    """Turns rows into lines; knows what was there before the step.

    Args:
        batch: the tensors of the batch.
        parameters: by their names.
        held: other tensors that the module or the objective keep, by names.
    """

    batch: Sequence[Tensor]
    parameters: Mapping[str, Tensor]
    held: Mapping[str, Tensor]
    values: dict[int, Value] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        self.before: dict[int, Any] = {}
        for kind, named in (
            ("held", self.held),
            ("parameter", self.parameters),
            ("batch", {f"batch_{index}": each for index, each in enumerate(self.batch)}),
        ):
            for name, each in named.items():
                self.values[id(each)] = _value(kind, name, each, each)

    def lines(self, rows: Sequence[Row], gradients: Sequence[Tensor | None], returned: Any) -> Lines:
        """The step that the rows tell of.

        Raises:
            Unknown: a tensor in it comes from nowhere.
        """
        for row in reversed(rows):
            if row.turned is not None:
                self.before[id(row.args[0])], _ = row.turned
        lines = [self._line(row) for row in rows]
        return Lines(
            (),
            lines,
            [self.values[id(each)] for each in self.batch],
            [None if each is None else self._known(each) for each in gradients],
            map_leaves(lambda each: self._known(each) if isinstance(each, Tensor) else each, returned),
        )

    def _line(self, row: Row) -> Line:
        if row.function is torch.ops.aten.lift_fresh.default and id(row.args[0]) not in self.values:
            # a number that was written in Python, as a tensor
            name = self._name("constant")
            self.values[id(row.args[0])] = _value("held", name, row.args[0], row.constant)

        if is_laid(row):
            return self._laid(row)

        def known(leaf: Any) -> Any:
            return self._known(leaf) if isinstance(leaf, Tensor) else leaf

        args, kwargs = map_leaves(known, row.args), map_leaves(known, dict(row.kwargs))
        if row.turned is not None:
            return self._turned(row, args)
        return Line(row.function, args, kwargs, map_leaves(self._made, row.out))

    def _turned(self, row: Any, args: Any) -> Line:
        """A tensor that is turned in place is another view of the same memory from then on."""
        _, after = row.turned
        turned = replace(args[0], kind="made", name=self._name("v"), place=after, tensor=None)
        self.values[id(row.args[0])] = turned
        return Line(torch.ops.aten.as_strided.default, (args[0], *map(_listed, after[1:])), {}, turned)

    def _laid(self, row: Row) -> Line:
        """A tensor that is laid over the memory of another is a view of that."""
        tensor, (_, after) = row.args[0], row.turned  # type: ignore[misc]
        memory = tensor.untyped_storage()._cdata
        below = (each for key, each in self.values.items() if key != id(tensor) and each.memory == memory)
        base = self._there(next((each for each in below if each.place[0] is after[0]), None), tensor)
        view = self.values[id(tensor)] = Value("made", self._name("v"), memory, after)
        return Line(torch.ops.aten.as_strided.default, (base, *map(_listed, after[1:])), {}, view)

    def _known(self, tensor: Tensor) -> Value:
        return self._there(self.values.get(id(tensor)), tensor)

    def _there(self, value: Value | None, tensor: Tensor) -> Value:
        if value is None:
            raise Unknown(f"a tensor of shape {tuple(tensor.shape)} comes from outside of the step")
        return value

    def _made(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in self.values:
            self.values[id(leaf)] = _value("made", self._name("v"), leaf, place=self.before.get(id(leaf)))
        return self.values[id(leaf)]

    def _name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"


def _listed(sizes: Any) -> Any:
    return list(sizes) if isinstance(sizes, tuple) else sizes


def _value(kind: str, name: str, tensor: Tensor, kept: Tensor | None = None, place: Any = None) -> Value:
    return Value(kind, name, tensor.untyped_storage()._cdata, place or place_of(tensor), kept)
