"""Folding: stretches of a graph that are alike but for their modules, each kind written once as a function."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torchfunc.graph.emit import Code, emit
from torchfunc.graph.graph import Call, Graph, Names, Ref, StateRef
from torchfunc.tree import leaves, leaves_with_path, map_leaves

_LONGEST = 60
_MOST_KINDS = 6
_LEAST_SAVING = 8  # lines


@dataclass(eq=False)
class Stretch:
    """Calls that a graph makes several times, each time with other modules.

    Attributes:
        graph: the calls, once.
        modules: how the function calls the modules that it is given, after its tensors.
    """

    graph: Graph
    modules: tuple[str, ...]
    __name__: str = "block"

    @property
    def code(self) -> Code:
        """The function as text, whose modules are among its arguments."""
        code = emit(self.graph, is_called_on_tensors=True)
        pattern = re.compile(rf"\bself\.({'|'.join(map(re.escape, self.modules)) or '-'})\(")
        return replace(code, source=pattern.sub(r"\1(", code.source))


def folded(graph: Graph, modules: Mapping[str, Any]) -> Graph:
    """The same calls, where each stretch that stands there several times is one call of a Stretch.

    A stretch returns one tensor, and those that are alike call modules of the same classes.
    """
    kinds = {name: type(module).__name__ for name, module in modules.items()}
    for _ in range(_MOST_KINDS):
        found = _best(graph, kinds)
        if found is None:
            break
        graph = _with_calls(graph, *found)
    return graph


def _best(graph: Graph, kinds: Mapping[str, str]) -> tuple[int, list[int]] | None:
    """The length and the beginnings of the stretches whose folding saves most lines."""
    best, chosen = _LEAST_SAVING - 1, None
    rows = [_Row.of(call, kinds) for call in graph.calls]
    words = [hash((row.kind, row.target, row.skeleton)) for row in rows]
    first = len(list(leaves(graph.inputs)))
    for length in reversed(range(3, min(_LONGEST, (len(rows) - first) // 2) + 1)):
        for starts in _alike(rows, words, first, length):
            if len(starts) * (length - 1) - length - 4 > best:
                saving = _saving(graph, starts, length, best)
                best, chosen = (saving, (length, starts)) if saving > best else (best, chosen)
    return chosen


def _saving(graph: Graph, starts: list[int], length: int, least: int) -> int:
    """How many lines fewer there are with a function for these stretches, whose calls may take several."""
    taken = _taken(graph, starts[0], length)
    letters = sum(len(f"self.{leaf}, ") if isinstance(leaf, str) else 12 for leaf in taken)
    height = 1 if letters < 60 else 3 if letters < 76 else len(taken) + 2
    tensors = sum(not isinstance(leaf, str) for leaf in taken)
    written = len(starts)
    if starts == list(range(starts[0], starts[-1] + 1, length)) and len(starts) > 4 and tensors == 1:
        written = 3  # the first one, and a loop
    saving = len(starts) * length - written * height - length - height - 3 - 3 * (tensors - 1)
    return saving if saving > least and len(_given(graph, starts, length)) == 1 else 0


@dataclass(frozen=True)
class _Row:
    """A call as it is compared: what is called, the form of its arguments, and these."""

    kind: str
    target: Hashable
    module: str
    skeleton: str
    parts: tuple[tuple[Any, Any], ...]

    @staticmethod
    def of(call: Call, kinds: Mapping[str, str]) -> _Row:
        module = call.target if call.kind == "module" else ""
        target = kinds[module] if module else call.target if isinstance(call.target, str) else id(call.target)
        tree = call.args, call.kwargs
        parts = tuple(
            (path, leaf if isinstance(leaf, (Ref, StateRef)) else f"{type(leaf).__name__} {leaf!r}")
            for path, leaf in leaves_with_path(tree)
        )
        return _Row(call.kind, target, module, repr(map_leaves(lambda _: 0, tree)), parts)


def _alike(rows: list[_Row], words: list[int], first: int, length: int) -> Iterator[list[int]]:
    """For each kind of stretch that stands there twice or more: where it begins, without overlaps."""
    similar: dict[Hashable, list[int]] = {}
    for start in range(first, len(rows) - length + 1):
        similar.setdefault(tuple(words[start : start + length]), []).append(start)
    for starts in similar.values():
        if starts[-1] - starts[0] < length:
            continue
        places: dict[Hashable, list[int]] = {}
        for start in starts:
            found = places.setdefault(_form(rows, start, length), [])
            if not found or start >= found[-1] + length:
                found.append(start)
        yield from (found for found in places.values() if len(found) > 1)


def _form(rows: list[_Row], start: int, length: int) -> Hashable:
    """What two stretches that are alike have in common."""
    slots: dict[Any, int] = {}
    form: list[Any] = []
    for row in rows[start : start + length]:
        if row.module:
            form.append(slots.setdefault(row.module, len(slots)))
        for path, leaf in row.parts:
            if isinstance(leaf, Ref) and leaf.row >= start:
                form.append((path, leaf.row - start, leaf.path))
            elif isinstance(leaf, (Ref, StateRef)):
                form.append((path, type(leaf).__name__, slots.setdefault(leaf, len(slots))))
            else:
                form.append((path, leaf))
    return tuple(form)


def _taken(graph: Graph, start: int, length: int) -> list[Any]:
    """What a stretch takes: values and tensors from outside, in order of their use, and then modules by name."""
    calls = graph.calls[start : start + length]
    found = [leaf for call in calls for leaf in leaves((call.args, call.kwargs))]
    outside = [x for x in found if isinstance(x, StateRef) or (isinstance(x, Ref) and x.row < start)]
    modules = [call.target for call in calls if call.kind == "module"]
    return [*dict.fromkeys(outside), *dict.fromkeys(modules)]


def _given(graph: Graph, starts: list[int], length: int) -> list[Ref]:
    """What any of the stretches gives to calls behind it, with rows that count from its beginning."""
    found = set()
    for start in starts:
        inside = range(start, start + length)
        later = [ref for call in graph.calls[start + length :] for ref in call.refs()]
        found |= {Ref(r.row - start, r.path) for r in (*later, *leaves(graph.outputs)) if r.row in inside}
    return sorted(found, key=lambda ref: (ref.row, str(ref.path)))


def _with_calls(graph: Graph, length: int, starts: list[int]) -> Graph:
    """The graph with one call of a Stretch at each beginning."""
    (given,) = _given(graph, starts, length)
    stretch = _stretch(graph, starts[0], length, given)
    calls: list[Call] = []
    moved: dict[Ref, Ref] = {}  # of what stretches give; whole rows stand in `rows`
    rows: dict[int, int] = {}

    def own(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        return moved[leaf] if leaf in moved else Ref(rows[leaf.row], leaf.path)

    row = 0
    while row < len(graph.calls):
        call = graph.calls[row]
        if row not in starts:
            rows[row] = len(calls)
            calls.append(replace(call, args=map_leaves(own, call.args), kwargs=map_leaves(own, call.kwargs)))
            row += 1
            continue
        specs = graph.spec(Ref(given.row + row, given.path))
        args = tuple(StateRef(x) if isinstance(x, str) else own(x) for x in _taken(graph, row, length))
        moved[Ref(given.row + row, given.path)] = Ref(len(calls))
        calls.append(Call(f"block_{len(calls)}", "function", stretch, args, specs=specs))
        row += length
    return Graph(tuple(calls), map_leaves(own, graph.inputs), map_leaves(own, graph.outputs))


def _stretch(graph: Graph, start: int, length: int, given: Ref) -> Stretch:
    """The calls of a stretch as a graph of their own."""
    taken = _taken(graph, start, length)
    names = Names("self", "h")
    outside = [leaf for leaf in taken if not isinstance(leaf, str)]
    modules = {name: names.new(re.sub(r"_\d+$", "", name)) for name in taken if isinstance(name, str)}
    modules = {name: re.sub(r"\W", "_", text) for name, text in modules.items()}
    inputs = [
        Call(
            names.new("other" if index else "x"),
            "input",
            None,
            specs=graph.spec(leaf) if isinstance(leaf, Ref) else None,
        )
        for index, leaf in enumerate(outside)
    ]
    places = {leaf: Ref(index) for index, leaf in enumerate(outside)}

    def own(leaf: Any) -> Any:
        if isinstance(leaf, Ref) and leaf not in places:
            return Ref(leaf.row - start + len(inputs), leaf.path)
        return places[leaf] if isinstance(leaf, (Ref, StateRef)) else leaf

    calls = [
        replace(
            call,
            name=f"kept_{index}" if index else "kept",
            target=modules[call.target] if call.kind == "module" else call.target,
            args=map_leaves(own, call.args),
            kwargs=map_leaves(own, call.kwargs),
        )
        for index, call in enumerate(graph.calls[start : start + length])
    ]
    table = Graph(
        (*inputs, *calls),
        [Ref(index) for index in range(len(inputs))],
        Ref(given.row + len(inputs), given.path),
    )
    return Stretch(table, tuple(modules.values()))
