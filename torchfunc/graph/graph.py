"""The flat table that a graph is: calls that refer to each other by row, and to modules and tensors by name.

So it can be copied, pickled, saved, drawn and written out without following a chain of objects, however
deep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from torch import Tensor, nn

from torchfunc import functions
from torchfunc.tree import at, leaves, leaves_with_path
from torchfunc.tree.branches import Path

Kind = Literal["input", "module", "function", "method", "attribute", "size"]


@dataclass(frozen=True)
class Ref:
    """What a row of the table returns, or the part of it to which `path` leads."""

    row: int
    path: Path = ()

    def __hash__(self) -> int:
        return self.row  # there are few parts of a row, and every row is looked up time and again


@dataclass(frozen=True)
class StateRef:
    """A parameter or buffer of the model, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Call:
    """One row of the table: one call.

    Attributes:
        name: unique in the graph; the first call of a module bears the module's name.
        kind: what is called.
        target: a module's name, a function, or the name of a method or attribute of a tensor.
        args: positional arguments; a leaf is a Ref, a StateRef or a constant.
        kwargs: keyword arguments, likewise.
        specs: what it returns: a Spec for each tensor, a Number for each live number; None where a config did not
            tell and nobody has asked.
    """

    name: str
    kind: Kind
    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    specs: Any = None

    def refs(self) -> Iterator[Ref]:
        """The rows that this one takes, in the order of the arguments."""
        found = leaves((self.args, self.kwargs) if self.kwargs else self.args)
        return (leaf for leaf in found if isinstance(leaf, Ref))

    def __reduce__(self) -> Any:
        # some of torch's functions do not pickle, and the name of an allowed one is enough
        name = functions.spelling_of(self.target) if self.kind == "function" else None
        target = ("by name", name) if name else self.target
        return _call, (self.name, self.kind, target, self.args, self.kwargs, self.specs)


def _call(name: str, kind: Kind, target: Any, args: Any, kwargs: Any, specs: Any) -> Call:
    if isinstance(target, tuple):
        target = functions.by_spelling()[target[1]]
    return Call(name, kind, target, args, kwargs, specs)


@dataclass(frozen=True)
class Graph:
    """The calls that lead from some inputs to some outputs.

    Attributes:
        calls: the table; inputs first, then the order in which the calls were made.
        inputs: the inputs as the user nested them, with a Ref at each leaf.
        outputs: the outputs, likewise.
    """

    calls: tuple[Call, ...]
    inputs: Any
    outputs: Any

    @cached_property
    def input_names(self) -> list[str]:
        return [self.calls[ref.row].name for ref in leaves(self.inputs)]

    @cached_property
    def output_names(self) -> list[str]:
        """One name for each output: its key in a dict of outputs, else the name of the call that makes it."""
        names = Names()
        found = []
        for path, ref in leaves_with_path(self.outputs):
            keys = [str(key) for key in path if isinstance(key, str)]
            found.append(names.new("_".join(keys) or self.calls[ref.row].name))
        return found

    @cached_property
    def module_names(self) -> tuple[str, ...]:
        """The names of the modules, each once, in the order of their first calls."""
        return tuple(dict.fromkeys(call.target for call in self.calls if call.kind == "module"))

    def spec(self, ref: Ref) -> Any:
        """The spec of what a Ref refers to."""
        return at(self.calls[ref.row].specs, ref.path)

    def parents(self, row: int) -> list[Ref]:
        """What a row takes, in the order of its arguments."""
        return list(self.calls[row].refs())

    @cached_property
    def is_chain(self) -> bool:
        """Whether each call takes just the one before it."""
        shown = [row for row, call in enumerate(self.calls) if call.kind != "size"]
        before = {row: shown[index - 1] for index, row in enumerate(shown) if index}
        return (
            all(
                {ref.row for ref in self.parents(row) if self.calls[ref.row].kind != "size"} == {before[row]}
                for row in shown[1:]
            )
            and len(list(leaves(self.outputs))) == 1
        )

    def renamed(self, targets: Mapping[str, str]) -> Graph:
        """The same table with other names for the modules."""
        calls = tuple(
            replace(call, target=targets.get(call.target, call.target)) if call.kind == "module" else call
            for call in self.calls
        )
        return Graph(calls, self.inputs, self.outputs)


def mask_rows(graph: Graph, modules: Mapping[str, Any]) -> set[int]:
    """The rows that only make masks for layers, which Keras does not count among the layers.

    That shows in how they are used, so that a graph from a file says it too.
    """
    used: dict[int, list[tuple[int, bool]]] = {}
    for row, call in enumerate(graph.calls):
        layer = call.kind == "module" and hasattr(modules.get(call.target), "supports_masking")
        for key, value in [("", call.args), *call.kwargs.items()]:
            for ref in (leaf for leaf in leaves(value) if isinstance(leaf, Ref)):
                used.setdefault(ref.row, []).append((row, layer and key.endswith(("mask", "masks"))))
    wanted, found = {ref.row for ref in leaves(graph.outputs)}, set[int]()
    for row in reversed(range(len(graph.calls))):
        uses = used.get(row, [])
        only = bool(uses) and all(as_mask or user in found for user, as_mask in uses)
        if only and row not in wanted and graph.calls[row].kind not in ("input", "module"):
            found.add(row)
    return found


class Names:
    """Unique names: the first asker of a name gets it, the next ones get `name_1`, `name_2`."""

    def __init__(self, *taken: str) -> None:
        self.taken = set(taken)
        self._next: dict[str, int] = {}

    def new(self, name: str) -> str:
        if name not in self.taken:
            self.taken.add(name)
            return name
        number = self._next.get(name, 1)
        while f"{name}_{number}" in self.taken:
            number += 1
        self._next[name] = number + 1
        self.taken.add(f"{name}_{number}")
        return f"{name}_{number}"


@dataclass(frozen=True)
class Drawn:
    """A graph with what its names stand for, and the symbols and calls from which it was drawn, by row."""

    graph: Graph
    modules: dict[str, nn.Module]
    state: dict[str, Tensor]
    rows: list[Any] | None = None
