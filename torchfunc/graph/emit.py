"""Emission: a graph written out as the forward a person would have written.

The same lines are written twice. `Code.source` is what a person reads: `x = self.dense(x)`. What runs
(`Code.running`) looks submodules up in `self._modules`, which costs half of what `self.dense` does and
sees a replaced submodule all the same, and frees each value after its last use.
"""

from __future__ import annotations

import keyword
import linecache
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from torchfunc import functions
from torchfunc.graph.graph import Call, Graph, Names, Ref, StateRef
from torchfunc.graph.spec import Spec
from torchfunc.graph.text import (
    access,
    identifier,
    is_atom,
    is_named_tuple,
    is_pattern,
    operand,
    state,
    submodule,
    written_constant,
)
from torchfunc.tree import leaves, leaves_with_path

# names that the text uses for something else
_RESERVED = (
    "self m torch F operator ops random training tracing Tensor slice float type getattr _ __debug__".split()
)


@dataclass(frozen=True)
class Code:
    """A forward as text, in two spellings, and the objects that its global names stand for.

    Attributes:
        rows: the row of the graph that each line of `source` writes, from its second line on.
    """

    source: str
    running: str
    globals: dict[str, Any] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    def compile(self, name: str) -> Callable[..., Any]:
        """The running form as a function; tracebacks quote its lines."""
        file = f"<torchfunc {name} {abs(hash(self.running)):x}>"
        namespace: dict[str, Any] = {
            **functions.spaces(),
            "Tensor": Tensor,
            "tracing": torch._C._get_tracing_state,
            **self.globals,
        }
        exec(_compiled(self.running, file), namespace)
        linecache.cache[file] = (len(self.running), None, self.running.splitlines(keepends=True), file)
        forward: Callable[..., Any] = namespace["forward"]
        weakref.finalize(forward, linecache.cache.pop, file, None)
        return forward


@lru_cache(32)
def _compiled(text: str, file: str) -> CodeType:
    """A text as what Python runs; one that is let go of for a while is often wanted again."""
    return compile(text, file, "exec")


def emit(graph: Graph, *, is_called_on_tensors: bool = False) -> Code:
    """Write `graph` as a method: one line a call, in the order in which the calls were made.

    One that is only called on tensors does without the lines that take anything else for the inputs.
    """
    return _Writer(graph).code(is_called_on_tensors)


class _Writer:
    """One emission: the names of the values, and the lines so far in both spellings."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.locals = Names(*_RESERVED, *keyword.kwlist)
        self.globals: dict[str, Any] = {}
        self._global_names: dict[int, str] = {}
        self.read: list[str] = []
        self.run: list[str] = []
        self.parameters = [self.locals.new(identifier(name)) for name in graph.input_names]
        self.chain = next(name for name in ("x", "h", "y", "value") if self.locals.new(name) == name)
        self.values: dict[Ref, str] = {Ref(row): name for row, name in enumerate(self.parameters)}
        self.uses = self._count_uses({})
        self.inlined = self._inlined_sizes()
        if self.inlined:
            self.uses = self._count_uses(self.inlined)
        self.lines = [
            row for row, call in enumerate(graph.calls) if call.kind != "input" and row not in self.inlined
        ]
        self.last_use = self._last_uses()
        self.parts_of_unknown: dict[int, list[Ref]] = {}
        for ref in self.uses:
            if ref.path and graph.calls[ref.row].specs is None:
                self.parts_of_unknown.setdefault(ref.row, []).append(ref)
        self.held: dict[str, int] = {}

    def code(self, is_called_on_tensors: bool) -> Code:
        for index, row in enumerate(self.lines):
            self._line(index, row)
        result = self.written(self.graph.outputs)
        names = ", ".join(self.parameters)
        read = [f"def forward(self, {names}):", *self.read, f"return {result}"]
        run = [
            self._signature(),
            *([] if is_called_on_tensors else self._preamble()),
            *self._modules(),
            *self.run,
            f"return {result}",
        ]
        return Code("\n    ".join(read) + "\n", "\n    ".join(run) + "\n", self.globals, tuple(self.lines))

    def _signature(self) -> str:
        first, *others = self.parameters
        return (
            f"def forward(self, {', '.join([first, *(f'{name}=None' for name in others)])}, training=None):"
        )

    def _preamble(self) -> list[str]:
        """Take a list, a dict or arrays for the inputs, and a mode for this one call; look at the shapes.

        Each test holds for a plain call with tensors, for fx's proxies and under tracing alike, where sizes
        are tensors.
        """
        names = ", ".join(self.parameters)
        odd = " or ".join(f"type({name}) is not Tensor" for name in self.parameters)
        target = names + ("," if len(self.parameters) == 1 else "")
        return [
            "if training is not None:",
            "    if training is True or training is False:",
            f"        return self._in_mode(training, {names})",
            "    self._refuse_as_mode(training)",
            f"if {odd}:",
            f"    {target} = self._arguments({names})",
            f"elif {' or '.join(self._misfit(row) for row in range(len(self.parameters)))}:",
            f"    {target} = self._fitted({names})",
        ]

    def _modules(self) -> list[str]:
        return ["m = self._modules"] if any(call.kind == "module" for call in self.graph.calls) else []

    def _misfit(self, row: int) -> str:
        """The test for a tensor of another rank than an input's, or of another size where that is known."""
        name, sizes = self.parameters[row], self.graph.calls[row].specs.shape
        rank = f"{name}.ndim != {len(sizes)}"
        if len(sizes) > 1 and None not in sizes[1:]:
            known = [
                f"{name}.shape[1:] != {tuple(sizes[1:])}"
                if len(sizes) > 2
                else f"{name}.shape[1] != {sizes[1]}"
            ]
        else:
            known = [
                f"{name}.shape[{axis}] != {size}"
                for axis, size in enumerate(sizes)
                if axis and size is not None
            ]
        return f"{rank} or tracing() is None and ({' or '.join(known)})" if known else rank

    def _count_uses(self, inlined: dict[int, int]) -> dict[Ref, list[int]]:
        """The rows that use each value; the return counts as one row more, an inlined row as its user."""
        uses: dict[Ref, list[int]] = {}
        for row, call in enumerate(self.graph.calls):
            for ref in call.refs():
                uses.setdefault(ref, []).append(inlined.get(row, row))
        for ref in leaves(self.graph.outputs):
            uses.setdefault(ref, []).append(len(self.graph.calls))
        return uses

    def _inlined_sizes(self) -> dict[int, int]:
        """The sizes that are written in the row that uses them: one user, where the tensor still lives."""
        found = {}
        for row, call in enumerate(self.graph.calls):
            users = self.uses.get(Ref(row), [])
            if call.kind == "size" and len(users) == 1 and users[0] < len(self.graph.calls):
                tensor: Ref = call.args[0]
                others = [user for user in self.uses[tensor] if user != row]
                if self.graph.calls[tensor.row].kind == "input" or max(others, default=-1) >= users[0]:
                    found[row] = users[0]
        return found

    def _last_uses(self) -> dict[int, list[Ref]]:
        """For each row, the values that no later row uses."""
        ends: dict[int, list[Ref]] = {}
        for ref, rows in self.uses.items():
            ends.setdefault(max(rows), []).append(ref)
        return ends

    def _line(self, index: int, row: int) -> None:
        call = self.graph.calls[row]
        following = self.lines[index + 1] if index + 1 < len(self.lines) else len(self.graph.calls)
        text = self.expression(call)
        read, run = text, text
        if call.kind == "module":
            read = f"{submodule(call.target, fast=False)}({text})"
            run = f"{submodule(call.target, fast=True)}({text})"
        dying = {self.values[ref] for ref in self.last_use.get(row, []) if ref in self.values}
        names, suffix = self._bind(row, call, following)
        self.read.append(f"{names} = {read}{suffix}")
        self.run.append(f"{names} = {run}{suffix}")
        self._free(row, dying, names)

    def _bind(self, row: int, call: Call, following: int) -> tuple[str, str]:
        """Names for what a call returns: the left-hand side, and an index where only one part is used."""
        if call.specs is None and row in self.parts_of_unknown:
            return self._whole(
                row, call.name, [(ref, _indexed(ref)) for ref in self.parts_of_unknown[row]]
            ), ""
        if call.specs is None or isinstance(call.specs, Spec):
            return self._local(Ref(row), call.name, following), ""
        parts = [(path, Ref(row, path)) for path, leaf in leaves_with_path(call.specs)]
        used = [(path, ref) for path, ref in parts if ref in self.uses]
        if parts[0][0] == ():
            return self._local(Ref(row), call.name, following), ""
        if len(used) == 1:
            path, ref = used[0]
            return self._local(ref, call.name, following), access(call.specs, path)
        if is_pattern(call.specs):
            return self._pattern(row, call.specs, (), call.name, following), ""
        return self._whole(row, call.name, [(ref, access(call.specs, path)) for path, ref in used]), ""

    def _whole(self, row: int, name: str, parts: list[tuple[Ref, str]]) -> str:
        """A name for all that a call returns, of which parts are used."""
        whole = self.locals.new(identifier(name))
        for ref, index in parts:
            self.values[ref] = whole + index
        self.held[whole] = max((max(self.uses[ref]) for ref, _ in parts), default=row)
        return whole

    def _local(self, ref: Ref, name: str, following: int) -> str:
        """`x` for a value that only the next line uses; a name of its own for one that lives longer."""
        users = self.uses.get(ref, [following])
        is_chained = users.count(following) == len(users)
        self.values[ref] = found = self.chain if is_chained else self.locals.new(identifier(name))
        return found

    def _pattern(self, row: int, specs: Any, path: tuple[Any, ...], name: str, following: int) -> str:
        parts = []
        for index, part in enumerate(specs):
            here = (*path, index)
            if isinstance(part, (list, tuple)):
                parts.append(f"({self._pattern(row, part, here, name, following)})")
            elif Ref(row, here) in self.uses:
                self.values[Ref(row, here)] = self.locals.new(identifier(name))
                parts.append(self.values[Ref(row, here)])
            else:
                parts.append("_")
        return ", ".join(parts) + ("," if len(parts) == 1 else "")

    def _free(self, row: int, dying: set[str], names: str) -> None:
        """Let go of what this line used last, as a loop variable would not."""
        if not self.held and names != "_" and dying <= {names, *self.parameters}:
            return
        assigned = {name.strip("() ,") for name in names.split(",")}
        gone = {name for name in dying if name.isidentifier()} - assigned - set(self.parameters)
        gone |= {name for name, last in self.held.items() if last == row and name not in assigned}
        gone |= {"_"} & assigned
        for name in self.held.keys() & gone:
            del self.held[name]
        if gone:
            self.run.append(f"del {', '.join(sorted(gone))}")

    def expression(self, call: Call) -> str:
        """A call as it is written: operators by their sign, methods on their tensor, functions qualified.

        Of a module's only the arguments, for the module is reached in two ways.
        """
        args = list(map(self.written, call.args))
        keywords = [f"{key}={self.written(value)}" for key, value in call.kwargs.items()]
        every = ", ".join([*args, *keywords])
        if call.kind == "module":
            return every
        if call.kind == "size":
            return f"{args[0]}.shape[{args[1]}]"
        if call.kind == "attribute":
            return f"{args[0]}.{call.target}"
        if call.kind == "method":
            receiver = args[0] if is_atom(args[0]) else f"({args[0]})"
            return f"{receiver}.{call.target}({', '.join([*args[1:], *keywords])})"
        return self._function(call, args, every)

    def _function(self, call: Call, args: list[str], every: str) -> str:
        name = functions.spelling_of(call.target) or self._global(call.target)
        word = name.removeprefix("operator.")
        if name == "operator.getitem":
            return f"{args[0]}[{self._index(call.args[1])}]"
        if name.startswith("operator.") and word in functions.OPERATORS and len(args) == 2:
            return f"{operand(args[0])} {functions.OPERATORS[word]} {operand(args[1])}"
        if name.startswith("operator.") and word in functions.UNARY:
            return f"{functions.UNARY[word]}{operand(args[0])}"
        return f"{name}({every})"

    def _global(self, value: Any) -> str:
        """A global name for an object that has no text: a function off the list, a constant."""
        if id(value) not in self._global_names:
            name = self.locals.new(identifier(getattr(value, "__name__", "constant")))
            self._global_names[id(value)] = name
            self.globals[name] = value
        return self._global_names[id(value)]

    def _index(self, index: Any) -> str:
        if isinstance(index, tuple) and index:
            parts = [self._index_part(part) for part in index]
            return ", ".join(parts) + ("," if len(parts) == 1 else "")
        return self._index_part(index)

    def _index_part(self, part: Any) -> str:
        if isinstance(part, slice):
            start, stop, step = (
                "" if each is None else self.written(each) for each in (part.start, part.stop, part.step)
            )
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return self.written(part)

    def written(self, value: Any) -> str:
        """A value as an expression: a variable, an attribute of the model, or a constant."""
        if isinstance(value, Ref):
            if value.row in self.inlined:
                return self.expression(self.graph.calls[value.row])
            return self.values[value]
        if isinstance(value, StateRef):
            return state(value.name)
        if isinstance(value, dict):
            items = (f"{self.written(key)}: {self.written(each)}" for key, each in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.written, value)) + "]"
        if isinstance(value, tuple):
            if is_named_tuple(value):
                return f"{self._global(type(value))}({', '.join(map(self.written, value))})"
            return "(" + ", ".join(map(self.written, value)) + ("," if len(value) == 1 else "") + ")"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self.written, (value.start, value.stop, value.step)))})"
        text = written_constant(value)
        return text if text is not None else self._global(value)


def _indexed(ref: Ref) -> str:
    """The way to a part of what a call returns whose structure nobody has told."""
    return "".join(f"[{key!r}]" for key in ref.path)
