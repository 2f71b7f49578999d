"""Cloning: a graph called anew, on other layers or on other inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from torchfunc.errors import GraphError, explain
from torchfunc.graph.graph import Graph
from torchfunc.graph.run import inputs_like, picked, recorded, results, specs_of
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.tree import leaves


def called_anew(
    graph: Graph, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], inputs: Any = None
) -> tuple[Any, Any]:
    """The inputs and outputs of a graph whose calls are made again, one by one, with these modules.

    Args:
        graph: the calls.
        modules: what is called, by the names in the graph.
        state: the tensors of the model itself, by their names.
        inputs: symbolic tensors in place of the graph's own inputs; new Inputs like them by default.

    Raises:
        GraphError: another number of inputs, or something that is no symbolic tensor.
        ShapeError: a module cannot take what the calls before it give.
    """
    given = inputs_like(graph) if inputs is None else _in_place_of(graph, inputs)
    rows = results(graph, given, modules, state, recorded)
    return picked(graph.inputs, rows), picked(graph.outputs, rows)


def respecified(graph: Graph, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> Graph:
    """The same calls with the shapes and dtypes that these modules give, which may be others than before.

    Raises:
        GraphError, ShapeError: as `called_anew`.
    """
    rows = results(graph, inputs_like(graph), modules, state, recorded)
    calls = (
        call if call.kind == "input" else replace(call, specs=specs_of(row))
        for call, row in zip(graph.calls, rows, strict=True)
    )
    return replace(graph, calls=tuple(calls))


def _in_place_of(graph: Graph, inputs: Any) -> list[SymbolicTensor]:
    """Symbolic tensors in place of the graph's own inputs, which must be as many."""
    found = list(leaves(inputs))
    if len(found) != len(graph.input_names) or not all(isinstance(each, SymbolicTensor) for each in found):
        kinds = ", ".join(type(each).__name__ for each in found)
        raise GraphError(
            explain(
                "clone_model",
                got=f"{len(found)} input_tensors ({kinds})",
                expected=f"{len(graph.input_names)} symbolic tensors, for {', '.join(graph.input_names)}",
            )
        )
    return found
