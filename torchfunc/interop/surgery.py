"""Surgery: a model's graph with a layer replaced, put in, taken out or cut off, and layers frozen.

Each function returns a new model on the same layers: no weight is copied, and names stay as they are. The calls are
recorded anew, so a layer that does not fit is told as it is when a model is first built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from torchfunc.errors import GraphError, UnknownNameError, explain, shorten
from torchfunc.graph.graph import Call, Graph
from torchfunc.graph.run import Make, inputs_like, picked, recorded, results
from torchfunc.graph.symbolic import SYMBOLS
from torchfunc.models.model import Model
from torchfunc.tree import leaves, map_leaves

Change = Callable[[Call, Any, tuple[Any, ...], dict[str, Any]], Any]


def replace(model: Model, name: str, new: Callable[..., Any]) -> Model:
    """The model with another module, or function, in place of a layer.

    Args:
        model: a model that is a graph.
        name: of the layer; every call of it is replaced.
        new: what is called instead, on the same arguments. A module gets the layer's name.

    Returns:
        A Model on the same other layers, whose weights are shared with `model`.

    Raises:
        UnknownNameError: no layer has that name.
        GraphError: `new` cannot be called there; ShapeError and DTypeError where that is why.

    Example:
        >>> wider = interop.replace(model, "head", layers.Dense(100))
    """
    _called("replace", new)
    _check_name(model, name)

    def change(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _named(new(*args, **kwargs), name, new)

    return _changed(model, name, change)


def insert(model: Model, after: str, new: Callable[..., Any], name: str | None = None) -> Model:
    """The model with a module, or function, called on what a layer returns, for all who read that.

    Args:
        model: a model that is a graph.
        after: the name of a layer that returns one tensor; where it is called several times, after each.
        new: what is put in.
        name: what a module is called; by its class if None.

    Returns:
        A Model on the same layers and the new one.

    Raises:
        UnknownNameError: no layer has that name.
        GraphError: `new` cannot be called there, or the name is taken.

    Example:
        >>> calmer = interop.insert(model, "hidden", nn.Dropout(0.5))
    """
    _called("insert", new)
    graph = _check_name(model, after)
    if name is not None and name in graph.module_names:
        raise GraphError(
            explain("insert", got=f"name={name!r}", expected="a name that is free", fix="name=None")
        )

    def change(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        returned = _named(recorded(call, target, args, kwargs), after, target)
        if not isinstance(returned, SYMBOLS):
            got = f"{after!r}, which returns {len(list(leaves(returned)))}"
            fix = "interop.insert after a layer that reads the one you mean"
            raise GraphError(explain("insert", got=got, expected="a layer that returns one tensor", fix=fix))
        made = new(returned)
        return made if name is None else _named(made, name, new)

    return _changed(model, after, change)


def remove(model: Model, name: str) -> Model:
    """The model without a layer: who read what it returned reads what it was called on.

    Args:
        model: a model that is a graph.
        name: of a layer that takes one tensor and returns one.

    Returns:
        A Model on the other layers.

    Raises:
        UnknownNameError: no layer has that name.
        GraphError: the layer takes several tensors, or returns several; ShapeError where what follows does not fit.

    Example:
        >>> plain = interop.remove(model, "dropout")
    """
    _check_name(model, name)

    def change(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        taken = [leaf for leaf in leaves(args) if isinstance(leaf, SYMBOLS)]
        if len(taken) != 1 or len(list(leaves(call.specs))) != 1:
            got = f"{name!r}, which takes {len(taken)} and returns {len(list(leaves(call.specs)))}"
            fix = "interop.replace(model, name, function), which says what comes in its place"
            raise GraphError(explain("remove", got=got, expected="a layer of one tensor to one", fix=fix))
        return taken[0]

    return _changed(model, name, change)


def cut(model: Model, name: str) -> Model:
    """The model up to a layer, whose output it returns: a model without its head.

    Args:
        model: a model that is a graph.
        name: of the last layer that stays; where it is called several times, the output is that of the last call.

    Returns:
        A Model on the layers that the output needs, and on all inputs.

    Raises:
        UnknownNameError: no layer has that name.

    Example:
        >>> features = interop.cut(model, "flatten")
    """
    graph = _check_name(model, name)
    found: list[Any] = []

    def change(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found.append(_named(recorded(call, target, args, kwargs), name, target))
        return found[-1]

    return _built(model, graph, name, change, lambda rows: found[-1])


def freeze(model: nn.Module, until: str | None = None) -> nn.Module:
    """Stop training the layers of a model, in place, up to one and with it, or all.

    Args:
        model: a model that is a graph, or any module where `until` is None.
        until: the name of the last layer that is frozen, in the order of the calls; all if None.

    Returns:
        The model itself.

    Raises:
        UnknownNameError: no layer has that name.

    Example:
        >>> interop.freeze(model, until="block3").compile("adam", "mse")
    """
    if until is None:
        modules: list[Any] = [model]
    else:
        graph = _check_name(model, until)
        names = [call.target for call in graph.calls if call.kind == "module"]
        modules = [model._modules[name] for name in names[: names.index(until) + 1]]
    for module in modules:
        if hasattr(type(module), "trainable"):
            module.trainable = False
        else:
            module.requires_grad_(False)
    return model


def _called(place: str, new: Any) -> None:
    if not callable(new) or isinstance(new, type):
        fix = f"{new.__name__}(...), an instance" if isinstance(new, type) else "a module, or lambda x: ..."
        got = shorten(new)
        raise GraphError(explain(place, got=got, expected="a module or a function", fix=fix))


def _check_name(model: Any, name: str) -> Graph:
    """The graph of a model in which a layer has this name."""
    if not isinstance(model, Model):
        fix = "interop.from_module(module, inputs), which makes one of a module"
        raise GraphError(explain("model", got=type(model).__name__, expected="a Model", fix=fix))
    graph = model._require_graph("calls")
    outer, _, inner = name.partition(".")
    if inner and outer in graph.module_names:
        fix = f"change model.{outer} at {inner!r}, and interop.replace(model, {outer!r}, what came of it)"
        raise GraphError(explain(f"the layer {name!r}", got="a layer of another model", fix=fix))
    if name not in graph.module_names:
        raise UnknownNameError("layer", name, list(graph.module_names))
    return graph


def _changed(model: Model, name: str, change: Change) -> Model:
    graph = model._require_graph("calls")
    return _built(model, graph, name, change, lambda rows: picked(graph.outputs, rows))


def _built(
    model: Model, graph: Graph, name: str, change: Change, outputs: Callable[[list[Any]], Any]
) -> Model:
    """A model of the same calls, in which those of one layer are made by `change`."""

    def make(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if call.kind == "module" and call.target == name:
            return change(call, target, args, kwargs)
        return made_again(call, target, args, kwargs)

    return rebuilt(model, make, outputs)


def rebuilt(model: Model, make: Make, outputs: Callable[[list[Any]], Any]) -> Model:
    """A model of the calls of another one, made anew by `make`, with those outputs of its rows."""
    graph = model._require_graph("calls")
    modules: dict[str, Any] = {each: model._modules[each] for each in graph.module_names}
    tensors = {**dict(model._own_state()), **dict(model.named_parameters(recurse=False))}
    rows = results(graph, inputs_like(graph), modules, tensors, make)
    made = Model(picked(graph.inputs, rows), outputs(rows), name=model.given_name, trainable=model._trainable)
    return made.train(model.training)


def made_again(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call as it was, or of another module in its place, whose name it bears."""
    returned = recorded(call, target, args, kwargs)
    return _named(returned, call.target, target) if call.kind == "module" else returned


def _named(returned: Any, name: str, target: Any) -> Any:
    """Give the call of a module that was just recorded its name."""

    def give(leaf: Any) -> Any:
        if isinstance(leaf, SYMBOLS) and leaf.node.target is target:
            leaf.node.name = name
        return leaf

    return map_leaves(give, returned) if isinstance(target, nn.Module) else returned
