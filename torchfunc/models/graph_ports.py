"""Graph ports: the inputs and outputs of a graph as a trainer sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from torchfunc.activations import sigmoid, softmax
from torchfunc.graph.graph import Graph, Ref
from torchfunc.layers.core import Embedding
from torchfunc.layers.wrappers import TimeDistributed
from torchfunc.training.logits import activation_of
from torchfunc.training.ports import Port, Ports
from torchfunc.tree import at, is_branch, leaves, map_leaves


def ports_of(graph: Graph, modules: Mapping[str, nn.Module | None]) -> Ports:
    """The ports of a graph whose modules are known by these names."""
    return Ports(
        inputs=[
            Port(
                name,
                graph.spec(ref).shape,
                graph.spec(ref).dtype,
                table=_table(graph, modules, ref),
                optional=graph.calls[row].specs.optional,
            )
            for row, (name, ref) in enumerate(zip(graph.input_names, leaves(graph.inputs), strict=True))
        ],
        outputs=[
            Port(
                name,
                graph.spec(ref).shape,
                graph.spec(ref).dtype,
                logits=_activating(graph, modules, ref),
                activation=_activation(graph, modules, ref),
            )
            for name, ref in zip(graph.output_names, leaves(graph.outputs), strict=True)
        ],
        nesting=_named(graph.outputs, graph.output_names),
        input_nesting=_named(graph.inputs, graph.input_names),
    )


def _named(structure: Any, names: Sequence[str]) -> Any:
    """The structure with names at its leaves; None for a leaf alone."""
    rest = iter(names)
    return map_leaves(lambda _: next(rest), structure) if is_branch(structure) else None


def _table(graph: Graph, modules: Mapping[str, nn.Module | None], ref: Ref) -> tuple[str, int] | None:
    """The name and the length of the table of which an input gives the rows: the shortest, if it has several."""
    called = {call.target for call in graph.calls if call.kind == "module" and call.args[:1] == (ref,)}
    tables = [
        (name, module.weight.shape[0])
        for name in called
        if isinstance(module := modules.get(name), (Embedding, nn.Embedding))
    ]
    return min(tables, key=lambda table: table[1], default=None)


def _activating(graph: Graph, modules: Mapping[str, nn.Module | None], ref: Ref) -> str | None:
    """The layer whose softmax or sigmoid is this output, and is nothing else in the graph."""
    call = graph.calls[ref.row]
    if call.kind != "module" or sum(each.target == call.target for each in graph.calls) != 1:
        return None
    module: Any = modules.get(call.target)
    activates = getattr(module, "activates_output", False) and module.activation in (softmax, sigmoid)
    return call.target if activates else None


def _activation(graph: Graph, modules: Mapping[str, nn.Module | None], ref: Ref) -> str | None:
    """The softmax or sigmoid, or the log of one, that made this output, in whatever way it was called."""
    call = graph.calls[ref.row]
    if call.kind in ("function", "method"):
        return activation_of(call.target)
    module: Any = modules.get(call.target) if call.kind == "module" else None
    while isinstance(module, TimeDistributed):
        module = module.layer
    inner = getattr(module, "graph", None)
    if inner is None:
        return activation_of(module)
    with_masks = "masks" in call.kwargs  # then it returns (outputs, masks)
    if with_masks and ref.path[0] == 1:
        return None
    path = ref.path[1:] if with_masks else ref.path
    return _activation(inner, module._modules, at(inner.outputs, path))
