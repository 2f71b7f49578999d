"""Live: a model's table as its modules make it now, and the symbols of its calls, a list by row."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from torchfunc.errors import TorchfuncError
from torchfunc.graph.graph import Graph
from torchfunc.graph.run import Modules, inputs_like, rerecorded, restated, results, specs_of
from torchfunc.graph.symbolic import SYMBOLS, Node
from torchfunc.models.masks import Variants
from torchfunc.tree import leaves

Tensors = Mapping[str, Tensor]


class Live:
    """The table of a model, the modules for which the shapes in it are right, and what its rows return.

    A copy or a pickle takes the table and its variants alone: the symbols are made again when somebody asks for them.

    Args:
        graph: the table.
        modules: what its names stand for.
        rows: what each row returns, as symbols or as the call that returns them, where these exist already.
        variants: the same calls with masks at the inputs, where they were asked for already.
        tensors: the tensors of the model itself that these rows were made on.
    """

    def __init__(
        self,
        graph: Graph,
        modules: Modules,
        rows: list[Any] | None = None,
        variants: Variants | None = None,
        tensors: Tensors | None = None,
    ) -> None:
        self.graph = graph
        self.variants = variants or Variants()
        self._tensors = dict(tensors or {})
        self._modules = tuple(map(modules.get, graph.module_names))
        self._nested = [(each, _graph_of(each)) for each in self._modules if hasattr(type(each), "graph")]
        self.lacks_shapes = any(call.specs is None for call in graph.calls)
        self._seen: tuple[nn.Module | None, ...] = ()
        self._rows = rows
        self._has_calls = rows is not None
        self._calls: dict[int, list[Node]] | None = None

    def is_of(self, modules: Modules) -> bool:
        """Whether no module was replaced since, here or in a model among them; one taken out says nothing.

        The table of a config may lack shapes, too.
        """
        if self.lacks_shapes:
            return False
        values = tuple(modules.values())
        if values != self._seen:  # quick, for every layer asks: modules are equal where they are the same
            now = tuple(map(modules.get, self.graph.module_names))
            if not all(map(operator.is_, now, self._modules)) and None not in now:
                return False
            self._seen = values
        return all(_graph_of(each) is graph for each, graph in self._nested)

    def renewed(self, modules: Modules, tensors: Tensors) -> Live:
        """The same calls on these modules, with the shapes that they give.

        While they do not fit each other, the shapes stay what they were: a second replacement may be about
        to come, and a call says what is wrong.
        """
        try:
            rows = results(self.graph, inputs_like(self.graph), modules, tensors, rerecorded)
        except (TorchfuncError, KeyError):
            if self.lacks_shapes:
                raise
            return Live(self.graph, modules)
        calls = (
            call if call.kind == "input" else replace(call, specs=specs_of(row))
            for call, row in zip(self.graph.calls, rows, strict=True)
        )
        return Live(replace(self.graph, calls=tuple(calls)), modules)

    def rows(self, tensors: Tensors) -> list[Any]:
        """What each row returns, as symbols; `tensors` are those of the model itself, which `.to` may replace."""
        if self._rows is None or any(tensors.get(name) is not each for name, each in self._tensors.items()):
            self._calls, self._tensors = None, dict(tensors)
            modules = dict(zip(self.graph.module_names, self._modules, strict=True))
            self._rows = results(self.graph, inputs_like(self.graph), modules, tensors, restated)
            self._has_calls = False
        if self._has_calls:
            self._rows = [each.outputs if isinstance(each, Node) else each for each in self._rows]
            self._has_calls = False
        return self._rows

    def calls(self, module: nn.Module, tensors: Tensors) -> list[Node]:
        """The calls of a module, in the order in which they were made."""
        rows = self.rows(tensors)
        if self._calls is None:
            self._calls = {}
            for call, row in zip(self.graph.calls, rows, strict=True):
                if call.kind == "module":
                    node = next(leaf.node for leaf in leaves(row) if isinstance(leaf, SYMBOLS))
                    self._calls.setdefault(id(node.target), []).append(node)
        return self._calls.get(id(module), [])

    def __reduce__(self) -> Any:
        return Live, (self.graph, {}, None, self.variants)


def _graph_of(module: nn.Module | None) -> Graph | None:
    """The table of a nested model; one that lacks shapes stays as it is until somebody asks for them."""
    live = getattr(module, "_live", None)
    if isinstance(live, Live):
        return live.graph if live.lacks_shapes else module.graph  # type: ignore[union-attr,return-value]
    return None
