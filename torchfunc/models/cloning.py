"""Cloning: a graph called anew, on other layers or on other inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from torchfunc.errors import GraphError, explain
from torchfunc.graph import symbolic
from torchfunc.graph.graph import Call, Graph, Ref, StateRef
from torchfunc.graph.interception import symbolic_call
from torchfunc.graph.symbolic import SYMBOLS, Attribute, Input, Method, SymbolicTensor
from torchfunc.tree import at, leaves, map_leaves


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
    _, symbol = _results(graph, modules, state, _inputs_by_row(graph, inputs))
    return map_leaves(symbol, graph.inputs), map_leaves(symbol, graph.outputs)


def respecified(graph: Graph, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> Graph:
    """The same calls with the shapes and dtypes that these modules give, which may be others than before.

    Raises:
        GraphError, ShapeError: as `called_anew`.
    """
    results, _ = _results(graph, modules, state, _inputs_by_row(graph, None))
    calls = (
        call if call.kind == "input" else replace(call, specs=map_leaves(_spec, result))
        for call, result in zip(graph.calls, results, strict=True)
    )
    return replace(graph, calls=tuple(calls))


def _spec(leaf: Any) -> Any:
    return leaf.spec if isinstance(leaf, SYMBOLS) else leaf


def _results(
    graph: Graph, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], given: Mapping[int, Any]
) -> tuple[list[Any], Callable[[Any], Any]]:
    """What each row returns, and how an argument of a call is found among it."""
    results: list[Any] = []

    def symbol(leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return at(results[leaf.row], leaf.path)
        return _tensor(leaf.name, modules, state) if isinstance(leaf, StateRef) else leaf

    for row, call in enumerate(graph.calls):
        if call.kind == "input":
            results.append(given[row])
        else:
            results.append(
                _call(call, modules, map_leaves(symbol, call.args), map_leaves(symbol, call.kwargs))
            )
    return results, symbol


def _tensor(name: str, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> Tensor:
    """A tensor of the model, or of a module, whose weights may have been made by a call just before."""
    if name in state:
        return state[name]
    module, _, rest = name.partition(".")
    return {**dict(modules[module].named_parameters()), **dict(modules[module].named_buffers())}[rest]


def _inputs_by_row(graph: Graph, inputs: Any) -> dict[int, SymbolicTensor]:
    refs = list(leaves(graph.inputs))
    if inputs is None:
        calls = [graph.calls[ref.row] for ref in refs]
        found: list[Any] = [
            Input(batch_shape=call.specs.shape, dtype=call.specs.dtype, name=call.name) for call in calls
        ]
    else:
        found = list(leaves(inputs))
    if len(found) != len(refs) or not all(isinstance(each, SymbolicTensor) for each in found):
        kinds = ", ".join(type(each).__name__ for each in found)
        raise GraphError(
            explain(
                "clone_model",
                got=f"{len(found)} input_tensors ({kinds})",
                expected=f"{len(refs)} symbolic tensors, for {', '.join(graph.input_names)}",
            )
        )
    return {ref.row: each for ref, each in zip(refs, found, strict=True)}


def _call(call: Call, modules: Mapping[str, nn.Module], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if call.kind == "module":
        return symbolic_call(modules[call.target], args, kwargs)
    if call.kind == "size":
        return args[0].shape[args[1]]
    target = {"method": Method, "attribute": Attribute}.get(call.kind, _itself)(call.target)
    return symbolic.record(target, args, kwargs)


def _itself(target: Any) -> Any:
    return target
