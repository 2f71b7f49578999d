"""Stages: a model cut at layers into models that follow each other, as `torch.distributed.pipelining` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from torchfunc import tree
from torchfunc.errors import GraphError, UnknownNameError, explain, shorten
from torchfunc.graph import symbolic
from torchfunc.graph.graph import Call, Graph, Ref, StateRef
from torchfunc.graph.run import inputs_like, picked, result, tensor_of
from torchfunc.graph.spec import Spec
from torchfunc.interop.surgery import made_again
from torchfunc.models.model import Model
from torchfunc.tree import leaves


def split(model: Model, at: Sequence[str]) -> list[Model]:
    """The model as stages: each ends with one of these layers, the last one with the model.

    A stage takes what the one before returns, by place: every tensor that it or a later stage needs, so that a
    connection may skip a stage. Layers are not copied and keep their names: the `state_dict`s of the stages are
    together that of the model.

    Args:
        model: a model that is a graph.
        at: names of layers; where one is called several times, the stage ends with the last call.

    Returns:
        One Model more than there are names. The first takes the inputs of the model, the last returns its outputs.

    Raises:
        UnknownNameError: no layer has such a name.
        GraphError: a stage would be empty, or two stages would train the same weights.

    Example:
        >>> stages = interop.split(model, at=["hidden"])  # each for a `PipelineStage` of its rank
        >>> [[layer.name for layer in stage.layers[1:]] for stage in stages]
        [['block3', 'flatten', 'hidden'], ['dropout', 'head']]
    """
    if not isinstance(model, Model):
        got, fix = type(model).__name__, "interop.from_module(module, inputs), which makes one of a module"
        raise GraphError(explain("split", got=got, expected="a Model", fix=fix))
    graph = model._require_graph("calls")
    cuts = _cuts(graph, at)
    _check_weights(model, graph, cuts)
    crossing = [_crossing(graph, row) for row in cuts[1:-1]]
    stages = [range(*rows) for rows in pairwise(cuts)]
    return [_stage(model, graph, rows, crossing, number) for number, rows in enumerate(stages)]


def _cuts(graph: Graph, names: Sequence[str]) -> list[int]:
    """The rows where the stages begin, and the end."""
    if isinstance(names, str):
        got = f"at={names!r}"
        raise GraphError(explain("split", got=got, expected="a list of names", fix=f"at=[{names!r}]"))
    last_rows = {call.target: row for row, call in enumerate(graph.calls) if call.kind == "module"}
    for name in names:
        if name not in last_rows:
            raise UnknownNameError("layer", name, list(last_rows))
    cuts = sorted(last_rows[name] + 1 for name in names)
    for first, last in pairwise([*cuts, len(graph.calls)]):
        if all(_is_size(call) for call in graph.calls[first:last]):
            got, why = f"at={list(names)!r}", f"no call comes after {graph.calls[first - 1].target!r}"
            fix = "each layer once, and not the one that the model ends with"
            raise GraphError(explain("split", got=got, why=f"a stage would be empty: {why}", fix=fix))
    return [0, *cuts, len(graph.calls)]


def _check_weights(model: Model, graph: Graph, cuts: list[int]) -> None:
    """Refuse weights of which two stages would train a copy each.

    Raises:
        GraphError: they are named.
    """
    homes: dict[int, int] = {}
    for number, rows in enumerate(pairwise(cuts)):
        for call in graph.calls[slice(*rows)]:
            for name, tensor in _weights(model, call):
                if (home := homes.setdefault(id(tensor), number)) != number:
                    got = f"{name!r}, which stages {home} and {number} call"
                    why = "each process would train a copy of its own"
                    fix = "a cut before its first call or after its last one"
                    raise GraphError(explain("split", got=got, why=why, fix=fix))


def _weights(model: Model, call: Call) -> Iterator[tuple[str, Tensor]]:
    """The tensors of the model that a call reads, by names."""
    if call.kind == "module":
        module = model._modules[call.target]
        assert module is not None
        own = (*module.named_parameters(), *module.named_buffers())
        yield from ((f"{call.target}.{name}", tensor) for name, tensor in own)
    for leaf in leaves((call.args, call.kwargs)):
        if isinstance(leaf, StateRef):
            yield leaf.name, tensor_of(leaf.name, model._modules, model._own_state())


def _is_size(call: Call) -> bool:
    """Whether a call returns no tensor: a stage that wants a size works it out for itself."""
    return not any(isinstance(spec, Spec) for spec in leaves(call.specs))


def _crossing(graph: Graph, row: int) -> list[Ref]:
    """The tensors from before a row that the calls from it on need, and the outputs, in the order of the calls."""
    wanted = [*leaves(graph.outputs), *(ref for call in graph.calls[row:] for ref in call.refs())]
    found: dict[Ref, None] = {}
    while wanted:
        ref = wanted.pop()
        if ref.row >= row:
            continue
        if _is_size(graph.calls[ref.row]):
            wanted += graph.calls[ref.row].refs()
            continue
        for path, spec in tree.leaves_with_path(graph.spec(ref)):
            if not isinstance(spec, Spec):
                got = f"{graph.calls[ref.row].name!r}, which returns {shorten(graph.calls[ref.row].specs)}"
                raise GraphError(explain("split", got=got, expected="tensors alone", fix="a cut elsewhere"))
            found[Ref(ref.row, (*ref.path, *path))] = None
    return sorted(found, key=lambda ref: (ref.row, str(ref.path)))


def _stage(model: Model, graph: Graph, rows: range, crossing: list[list[Ref]], number: int) -> Model:
    """The calls of some rows as a model of its own."""
    given = list(leaves(graph.inputs)) if number == 0 else crossing[number - 1]
    nested = inputs_like(graph) if number == 0 else [_placeholder(graph, ref) for ref in given]
    made = _given(graph, dict(zip(given, leaves(nested), strict=True)))
    for row, call in enumerate(graph.calls[: rows.stop]):
        known = all(made[ref.row] is not None for ref in call.refs())
        if call.kind != "input" and (row in rows or (_is_size(call) and known)):
            made[row] = result(call, made, model._modules, model._own_state(), made_again)
    last = number == len(crossing)
    outputs = picked(graph.outputs if last else tuple(crossing[number]), made)
    name = None if model.given_name is None else f"{model.given_name}_{number}"
    stage = Model(nested if number == 0 else _alone(nested), outputs if last else _alone(outputs), name=name)
    return stage.train(model.training)


def _alone(tensors: Any) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def _given(graph: Graph, symbols: dict[Ref, Any]) -> list[Any]:
    """What each row returned, as far as a stage is given it; of a row that returned several, the others are None."""
    made: list[Any] = [None] * len(graph.calls)
    for row in {ref.row for ref in symbols}:
        made[row] = tree.map_with_path(
            lambda path, _, row=row: symbols.get(Ref(row, path)), graph.calls[row].specs
        )
    return made


def _placeholder(graph: Graph, ref: Ref) -> Any:
    name = "_".join(map(str, (graph.calls[ref.row].name, *ref.path)))
    return symbolic.placeholder(graph.spec(ref), name, given=False)
