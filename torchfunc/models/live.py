"""Symbols: those of a model's graph, and for which of its modules they and their shapes are right."""

from __future__ import annotations

import weakref
from typing import Any

from torch import nn

from torchfunc.graph.graph import Graph
from torchfunc.graph.run import inputs_like, picked, restated, results
from torchfunc.graph.symbolic import SYMBOLS, Node
from torchfunc.layers.layer import Layer
from torchfunc.tree import leaves


def _graph_of(module: nn.Module | None) -> Graph | None:
    graph = getattr(module, "graph", None)
    return graph if isinstance(graph, Graph) else None


class Symbols:
    """The symbols of a model's graph while somebody may use them: neither copied nor pickled."""

    def __init__(self) -> None:
        self._pair: tuple[Any, Any] | None = None
        self._called: dict[str, tuple[weakref.ref[nn.Module], Any]] = {}

    def note(self, model: Any) -> None:
        """Remember the modules for which the shapes in the graph are right."""
        assert model.graph is not None
        names = {call.target for call in model.graph.calls if call.kind == "module"}
        modules = ((name, model._modules.get(name)) for name in names)
        self._called = {
            name: (weakref.ref(each), _graph_of(each)) for name, each in modules if each is not None
        }

    def replaced(self, model: Any) -> bool:
        """Whether a submodule is another than the one for which the shapes are right, or has another graph."""
        now = ((model._modules.get(name), *known) for name, known in self._called.items())
        return any(
            each is not None and (each is not known() or _graph_of(each) is not graph)
            for each, known, graph in now
        )

    def keep(self, inputs: Any, outputs: Any) -> None:
        self._pair = (inputs, outputs)

    def live(self, model: Any) -> tuple[Any, Any]:
        assert model.graph is not None
        if self._pair is not None and not self._outdated(model):
            return self._pair
        for module in model._modules.values():
            if isinstance(module, Layer):
                module._nodes.clear()
        rows = results(model.graph, inputs_like(model.graph), model._modules, model._own_state(), restated)
        for row in rows:
            node = next(leaf for leaf in leaves(row) if isinstance(leaf, SYMBOLS)).node
            if isinstance(node.target, Layer):
                node.target._nodes.add(node)
        self._pair = picked(model.graph.inputs, rows), picked(model.graph.outputs, rows)
        return self._pair

    def _outdated(self, model: Any) -> bool:
        """Whether a submodule was replaced since the symbols were made."""
        assert model.graph is not None and self._pair is not None
        nodes = self._nodes(model)
        return any(
            call.kind == "module"
            and nodes.get(row) is not None
            and nodes[row].target is not model._modules.get(call.target)
            for row, call in enumerate(model.graph.calls)
        )

    def _nodes(self, model: Any) -> dict[int, Node]:
        """The node of each row that the live symbols reach."""
        assert model.graph is not None and self._pair is not None
        nodes: dict[int, Node] = {}
        for side, refs in zip(self._pair, (model.graph.inputs, model.graph.outputs), strict=True):
            for symbol, ref in zip(leaves(side), leaves(refs), strict=True):
                nodes[ref.row] = symbol.node
        for row in range(len(model.graph.calls) - 1, -1, -1):
            call, node = model.graph.calls[row], nodes.get(row)
            if node is None or call.kind == "input":
                continue
            for ref, symbol in zip(call.refs(), node.inputs(), strict=True):
                nodes.setdefault(ref.row, symbol.node)
        return nodes

    def at_row(self, model: Any, row: int) -> Any:
        """What a row returns, as symbols."""
        self.live(model)
        assert model.graph is not None and self._pair is not None
        if model.graph.calls[row].kind == "input":
            for symbol, ref in zip(leaves(self._pair[0]), leaves(model.graph.inputs), strict=True):
                if ref.row == row:
                    return symbol
        return self._nodes(model)[row].outputs

    def __deepcopy__(self, memo: Any) -> Symbols:
        return Symbols()

    def __reduce__(self) -> Any:
        return Symbols, ()
