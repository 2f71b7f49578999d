"""Cloning: a model's calls made anew, on other layers or on other inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from torchfunc import registry
from torchfunc.config import described, in_either_order, made
from torchfunc.errors import GraphError, SavingError, explain
from torchfunc.graph.graph import Call, Graph
from torchfunc.graph.probing.bounds import unbounded
from torchfunc.graph.run import inputs_like, picked, recorded, results
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.layers.layer import Layer
from torchfunc.models.loading import take_dtypes
from torchfunc.models.model import Model
from torchfunc.tree import leaves


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    *,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """A model with the same architecture and new weights; classes of your own need no `custom_objects`.

    Args:
        model: any model; with the next two arguments, one that is a graph.
        input_tensors: symbolic tensors on which the clone is built instead of new Inputs.
        clone_function: what makes the new layer of each old one; a layer with the same config by default.
        call_function: what calls each new layer, as `call_function(layer, *args, **kwargs)`.
        recursive: whether these two are for the layers of models inside it too, and not for those models.
        custom_objects: functions that the layers' configs name.

    Returns:
        A model that shares nothing with the old one.

    Raises:
        SavingError: a layer that cannot be written as data; `copy.deepcopy` copies any model.
        GraphError: something that is no model; input_tensors that are not those of the model in number.

    Example:
        >>> clone = clone_model(model)
        >>> torch.equal(clone.get_layer("head").kernel, model.get_layer("head").kernel)
        False
        >>> x = Input((4,))
        >>> small = Model(x, layers.Dense(2)(x))
        >>> wider = clone_model(small, clone_function=lambda layer: layers.Dense(2 * layer.units))
        >>> wider.output_shape
        (None, 4)
    """
    if not isinstance(model, Model):
        raise GraphError(
            explain(
                "clone_model",
                got=type(model).__name__,
                expected="a Model",
                fix="copy.deepcopy copies any module",
            )
        )
    classes = {type(module).__name__: type(module) for module in model.modules() if isinstance(module, Layer)}
    known = {name: kind for name, kind in classes.items() if name not in set(registry.layers)}
    known |= _functions_of(model)
    with registry.custom_object_scope({**known, **(custom_objects or {})}), unbounded():
        if input_tensors is None and clone_function is None and call_function is None:
            clone = in_either_order(lambda: type(model).from_config(model.get_config()))
            return _like(model, clone)
        new = clone_function or _same_config
        if recursive:
            new = _recursive(new, call_function)
        return _called_anew(model, input_tensors, new, call_function)


def _functions_of(model: Model) -> dict[str, Any]:
    """The functions that the layers of a model were given, by their names.

    Raises:
        SavingError: two of one name.
    """
    found: dict[str, Any] = {}
    given = [leaf for each in model.modules() for leaf in leaves(getattr(each, "_config_arguments", {}))]
    for function in filter(inspect.isfunction, given):
        if found.setdefault(function.__name__, function) is not function:
            got, fix = f"two functions of the name {function.__name__!r}", "rename one of them"
            raise SavingError(explain("clone_model", got=got, fix=fix))
    return found


def _like(model: Model, clone: Any) -> Any:
    """A clone whose weights have the dtypes of the model's, and are trained where those are."""
    take_dtypes(clone, model.state_dict())
    trained = dict(model.named_parameters(remove_duplicate=False))
    for name, each in clone.named_parameters(remove_duplicate=False):
        each.requires_grad_(trained[name].requires_grad if name in trained else each.requires_grad)
    return clone


def _same_config(module: nn.Module) -> nn.Module:
    return made(described(module, type(module).__name__), "clone_model")


def _recursive(new: Callable[[Any], Any], call: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """What makes a new layer, where of a model in the model its layers are made anew."""

    def made_anew(module: Any) -> Any:
        inside = isinstance(module, Model) and module.graph is not None
        return _called_anew(module, None, made_anew, call) if inside else new(module)

    return made_anew


def _called_anew(
    model: Model, inputs: Any, new: Callable[[Any], Any], call_function: Callable[..., Any] | None = None
) -> Model:
    """A model of the same calls, on what `new` makes of each module."""

    def make(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = call_function is not None and call.kind == "module"
        return call_function(target, *args, **kwargs) if own else recorded(call, target, args, kwargs)  # type: ignore[misc]

    graph = model._require_graph("calls")
    modules = {name: new(model._modules[name]) for name in graph.module_names}
    state = {name: tensor.detach().clone() for name, tensor in model._own_state().items()}
    for name, each in model.named_parameters(recurse=False):
        state[name] = nn.Parameter(state[name], requires_grad=each.requires_grad)
    given = inputs_like(graph) if inputs is None else _in_place_of(graph, inputs)
    rows = results(graph, given, modules, state, make)
    both = picked(graph.inputs, rows), picked(graph.outputs, rows)
    return Model(*both, name=model.given_name, trainable=model._trainable)


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
