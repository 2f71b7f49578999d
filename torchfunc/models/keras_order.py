"""The order in which Keras lists the layers of a graph, and so the weights that `get_weights` gives."""

from __future__ import annotations

from typing import Any

from torchfunc.graph.graph import Graph, Ref
from torchfunc.tree import leaves


def modules_in_keras_order(graph: Graph) -> list[str]:
    """The names of the modules, the farthest from the outputs first.

    Layers that are equally far stand in the order in which a search from the outputs meets them. It is
    not the order of the calls where a graph has branches, so equal weights could change places unseen.
    Source: `map_graph` in keras/src/ops/function.py, Keras 3.15.1.
    """
    found, finished = _searched(graph)
    far = _distances(graph, finished)
    names = [name for name in found if isinstance(name, str)]
    # the sort is stable: names stay as they were found where they are equally far
    return sorted(names, key=lambda name: -far[name])


def _layer_of(graph: Graph, row: int) -> str | int:
    """What is called in a row: a module by its name, shared by all its calls; anything else is the row itself."""
    call = graph.calls[row]
    return str(call.target) if call.kind == "module" else row


def _searched(graph: Graph) -> tuple[list[str | int], list[int]]:
    """The layers as a depth-first search from the outputs meets them, and the rows as it leaves them."""
    found: dict[str | int, None] = {}
    finished: dict[int, None] = {}
    for output in _outputs(graph.outputs):
        path = [(output.row, iter(_parents(graph, output.row)))]
        found.setdefault(_layer_of(graph, output.row))
        while path:
            row, parents = path[-1]
            parent = next((each.row for each in parents if each.row not in finished), None)
            if parent is None:
                finished.setdefault(row)
                path.pop()
            else:
                found.setdefault(_layer_of(graph, parent))
                path.append((parent, iter(_parents(graph, parent))))
    return list(found), list(finished)


def _distances(graph: Graph, finished: list[int]) -> dict[str | int, int]:
    """How many calls lie between each layer and the outputs, at most."""
    rows: dict[int, int] = {}
    layers: dict[str | int, int] = {}
    for row in reversed(finished):
        layer = _layer_of(graph, row)
        far = max(rows.get(row, 0), layers.get(layer, 0))
        rows[row] = layers[layer] = far
        for parent in _parents(graph, row):
            rows[parent.row] = max(far + 1, rows.get(parent.row, 0))
    return layers


def _parents(graph: Graph, row: int) -> list[Ref]:
    call = graph.calls[row]
    return [leaf for leaf in (*flat(call.args), *flat(call.kwargs)) if isinstance(leaf, Ref)]


def _outputs(tree: Any) -> list[Any]:
    """The outputs as Keras meets them: as `flat`, but a dict in a dict keeps the order of its keys."""
    if isinstance(tree, dict):
        return [each for key in sorted(tree) for each in leaves(tree[key])]
    return flat(tree)


def flat(tree: Any) -> list[Any]:
    """The leaves of a structure in Keras's order: those of a dict by its sorted keys."""
    if isinstance(tree, dict):
        return [each for key in sorted(tree) for each in flat(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [each for branch in tree for each in flat(branch)]
    return flat((tree.start, tree.stop, tree.step)) if isinstance(tree, slice) else [tree]
