"""Meaning: a graph's calls made one by one, computed on tensors or recorded on what stands for tensors.

This is what a graph says. `emit` writes the same as text: `run(graph, x) == model(x)` is a law.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from torchfunc.graph import symbolic
from torchfunc.graph.graph import Call, Graph, Ref, StateRef
from torchfunc.graph.interception import symbolic_call
from torchfunc.graph.symbolic import SYMBOLS, Attribute, Method, Node
from torchfunc.tree import at, leaves, map_leaves

Modules = Mapping[str, nn.Module | None]
Make = Callable[[Call, Any, tuple[Any, ...], dict[str, Any]], Any]


def called(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The way to make a call on tensors: as Python makes it."""
    return target(*args, **kwargs)


def run(graph: Graph, inputs: Any, modules: Modules, tensors: Mapping[str, Any], make: Make = called) -> Any:
    """What `graph` returns for `inputs`, by its calls one by one.

    Args:
        graph: the calls.
        inputs: what stands for each of its inputs, nested as they are or one by one.
        modules: what is called, by the names in the graph.
        tensors: the tensors of the model itself, by their names.
        make: what makes a call of the table, given its target and arguments: `called` computes, `recorded`
            and `rerecorded` work out what it would return, `restated` takes that from the table.
    """
    return picked(graph.outputs, results(graph, inputs, modules, tensors, make))


def results(
    graph: Graph, inputs: Any, modules: Modules, tensors: Mapping[str, Any], make: Make = called
) -> list[Any]:
    """What each row of `graph` returns; the arguments are those of `run`."""
    given = {ref.row: each for ref, each in zip(leaves(graph.inputs), leaves(inputs), strict=True)}
    rows: list[Any] = []
    for row, call in enumerate(graph.calls):
        rows.append(given[row] if call.kind == "input" else result(call, rows, modules, tensors, make))
    return rows


def result(call: Call, rows: Sequence[Any], modules: Modules, tensors: Mapping[str, Any], make: Make) -> Any:
    """What one call returns, after `rows`, which are what those before it returned."""

    def value(leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return at(rows[leaf.row], leaf.path)
        return tensor_of(leaf.name, modules, tensors) if isinstance(leaf, StateRef) else leaf

    return make(call, callee(call, modules), map_leaves(value, call.args), map_leaves(value, call.kwargs))


def picked(tree: Any, rows: Sequence[Any]) -> Any:
    """The inputs or outputs of a graph, from what its rows return."""
    return map_leaves(lambda ref: at(rows[ref.row], ref.path), tree)


def callee(call: Call, modules: Modules) -> Any:
    """What a call calls."""
    match call.kind:
        case "module":
            return modules[call.target]
        case "method":
            return Method(call.target)
        case "attribute":
            return Attribute(call.target)
        case "size":
            return symbolic.size
    return call.target


def tensor_of(name: str, modules: Modules, tensors: Mapping[str, Any]) -> Any:
    """A tensor of the model, or of a module, whose weights may have been made by a call just before.

    Raises:
        KeyError: there is none.
    """
    if name in tensors:
        return tensors[name]
    module, _, rest = name.partition(".")
    *path, last = rest.split(".")
    owner: Any = modules[module]
    for part in path:
        owner = owner._modules[part]
    return owner._parameters[last] if last in owner._parameters else owner._buffers[last]


def recorded(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The way to make a call on symbols: what it would return is worked out.

    Raises:
        GraphError: the call cannot be made; ShapeError and DTypeError where that is why.
    """
    if call.kind == "module":
        return symbolic_call(target, args, kwargs)
    return target(*args) if call.kind == "size" else symbolic.record(target, args, kwargs)


def rerecorded(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """As `recorded`, for calls of a table that stays: the masks that layers take stand in it, and none is handed on."""
    returned = recorded(call, target, args, kwargs)
    for leaf in leaves(returned):
        if isinstance(leaf, symbolic.SymbolicTensor):
            leaf.node.masks.clear()
    return returned


def restated(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The way to make a call on symbols where the table is right: nothing is tried, and names stay."""
    outputs = Node(target, args, kwargs, _chosen_name(call, target)).returns(call.specs)
    if hasattr(target, "_hand_on_mask"):
        target._hand_on_mask(outputs, args, kwargs)
    return outputs


def _chosen_name(call: Call, target: Any) -> str:
    """The name of a call where somebody chose it; none where it was made from what is called."""
    if call.kind != "module":
        return ""
    made = symbolic.name_of(target)
    return "" if re.fullmatch(rf"{re.escape(made)}(_\d+)?", call.target) else call.target


def inputs_like(graph: Graph) -> Any:
    """New Inputs with the names, shapes and dtypes of those that the graph has."""
    calls = map_leaves(lambda ref: graph.calls[ref.row], graph.inputs)
    return map_leaves(lambda call: symbolic.placeholder(call.specs, call.name), calls)


def specs_of(returned: Any) -> Any:
    """What the table keeps of a call that was recorded: a spec for each symbol."""
    return map_leaves(lambda leaf: leaf.spec if isinstance(leaf, SYMBOLS) else leaf, returned)
