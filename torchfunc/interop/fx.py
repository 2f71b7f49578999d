"""torch.fx: a hand-written module as a torchfunc graph, and a torchfunc graph as torch.fx's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from torchfunc.errors import GraphError, explain, shorten
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, between
from torchfunc.graph.graph import Call, Drawn, Graph, Names, StateRef
from torchfunc.graph.interception import symbolic_call
from torchfunc.graph.run import run
from torchfunc.graph.symbolic import SYMBOLS, Input, Method, SymbolicTensor, record, snake_case
from torchfunc.interop.tracing import (
    IsLeaf,
    Traced,
    is_about_proxies,
    is_own_leaf,
    traced,
    uncollected,
)
from torchfunc.interop.walking import Walk, identifier, opened
from torchfunc.models.model import Model
from torchfunc.tree import leaves, like, map_leaves, map_with_path
from torchfunc.tree.branches import Path

Paths = dict[int, str]
Leaf = type[nn.Module] | Iterable[type[nn.Module]] | IsLeaf | None


def from_module(module: nn.Module, inputs: Any, *, name: str | None = None, leaf: Leaf = None) -> Any:
    """A hand-written module as a Model: each of its calls is a node of the graph.

    The model holds the same submodules, parameters and buffers as the module: to train one is to train
    the other. The outputs are equal to the module's own, in training and in inference mode. Submodules
    have their dotted paths as names, with underscores: `layer1.0.conv1` is `model.layer1_0_conv1`.

    PyTorch's modules, torchfunc's layers and modules with hooks stay one node, as does a submodule that
    makes other calls in training mode than in inference mode. What a forward does in place becomes a
    call that makes a new tensor, so that every intermediate tensor of the graph keeps its own value.
    Plain attributes that a forward sets on its module are not set.

    Args:
        module: any module whose forward torch.fx can trace. Sizes that `inputs` say are known to it, so
            that a forward may branch on them, loop over them, and check them.
        inputs: what the forward is called on. A symbolic tensor, the shape of one sample, or an example
            (an array or tensor); a list of these for several arguments in order, a dict for arguments
            by name. Arguments that are not given keep their defaults; a constant is passed as it is.
        name: what the model is called; by default after the class of the module.
        leaf: submodules that stay one node: a class, several, or a function (module, path) -> bool.

    Returns:
        A Model whose layers are the module's submodules.

    Raises:
        GraphError: no module; or its forward cannot be traced: what it does depends on values, or it draws
            random numbers by itself. The message names the line; `module(x)` calls it as one node.

    Example:
        >>> plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        >>> twin = tf.interop.from_module(plain, inputs=(3,))
        >>> twin.output_shape, twin.count_params(), next(twin.parameters()) is plain[0].weight
        ((None, 4), 16, True)
    """
    if not isinstance(module, nn.Module):
        raise _no_module(module)
    args, kwargs = _arguments(module, inputs)
    outputs, paths = apply(module, args, kwargs, leaf=leaf)
    model = assembled(_given(args, kwargs), outputs, paths, name=name or snake_case(type(module).__name__))
    # not `train`, which would reach the module's own submodules
    model.training = module.training
    return model


def apply(module: nn.Module, args: Any, kwargs: Any = None, *, leaf: Leaf = None) -> tuple[Any, Paths]:
    """Call a module on symbolic tensors, so that each call of its forward becomes a node.

    Returns:
        What it returns, and the paths of the parameters and buffers that its calls use directly.

    Raises:
        GraphError: as `from_module`.
    """
    kwargs = kwargs or {}
    paths: Paths = {}
    if is_own_leaf(module, ""):
        outputs = symbolic_call(module, args, kwargs)
    else:
        with uncollected():
            outputs, paths = _followed(module, args, kwargs, _leaf_rule(leaf))
    return map_with_path(lambda path, each: _output(module, path, each), outputs), paths


def _followed(module: nn.Module, args: Any, kwargs: Any, is_leaf: IsLeaf) -> tuple[Any, Paths]:
    """The forward followed by torch.fx, or else watched while it runs on tensors without data."""
    try:
        found = traced(module, args, kwargs, is_leaf)
    except GraphError as error:
        first, of_proxies = error, is_about_proxies(error)
    else:
        try:
            return _walked(module, found)
        except GraphError as error:
            first, of_proxies = error, False
    try:
        return _walked(module, traced(module, args, kwargs, is_leaf, watching=True))
    except GraphError as second:
        said = second if of_proxies else first
        raise said from said.__cause__


def _walked(module: nn.Module, found: Traced) -> tuple[Any, Paths]:
    outputs = Walk(module, found.symbols, found.attributes, found.in_training).upto(found.output)
    return opened(outputs), {id(tensor): path for path, tensor in found.attributes.items()}


def assembled(inputs: Any, outputs: Any, paths: Paths, *, name: str) -> Any:
    """A Model whose own parameters and buffers are named after their paths in the module that was traced."""
    drawn = between(inputs, outputs, reserved=MODULE_ATTRIBUTES)
    return Model._from_parts(_with_names(drawn, paths), name, trainable=True)


def _arguments(module: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the forward, with a symbolic tensor for each shape and each example."""
    signature = inspect.signature(module.forward)
    names = [each.name for each in signature.parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    if isinstance(inputs, dict):
        args, kwargs = (), {key: _symbolic(each, key) for key, each in inputs.items()}
    else:
        several = list(inputs) if isinstance(inputs, (list, tuple)) and not _is_shape(inputs) else [inputs]
        names += [f"input_{index}" for index in range(len(names), len(several))]
        args, kwargs = tuple(map(_symbolic, several, names)), {}
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise _misfit(module, f"inputs={shorten(inputs)}", _described(signature), str(error)) from None
    if not any(isinstance(leaf, SymbolicTensor) for leaf in leaves((args, kwargs))):
        raise _misfit(
            module, f"inputs={shorten(inputs)}", "an Input, a shape or an example for each argument"
        )
    return args, kwargs


def _no_module(value: Any) -> GraphError:
    is_class = isinstance(value, type)
    got = f"the class {value.__name__}" if is_class else shorten(value)
    fix = f"from_module({value.__name__}(...), inputs)" if is_class else "call a function on an Input: f(x)"
    return GraphError(explain("from_module", got=got, expected="a torch.nn.Module", fix=fix))


def _described(signature: inspect.Signature) -> str:
    """The arguments of a forward, without their annotations."""
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return f"the arguments {inspect.Signature(bare)}"


def _misfit(module: nn.Module, got: str, expected: str, why: str = "") -> GraphError:
    return GraphError(
        explain(
            f"from_module({type(module).__name__})",
            got=got,
            expected=expected,
            why=why,
            fix="from_module(module, Input(shape=...)), or a list or dict of Inputs",
        )
    )


def _symbolic(value: Any, name: str) -> Any:
    """A shape or an example as an Input; anything else as it is, and containers item by item."""
    if _is_shape(value):
        return Input(value, name=name)
    if isinstance(value, (Tensor, np.ndarray)):
        example = torch.as_tensor(value)
        whole = (None, *example.shape[1:]) if example.ndim else ()
        return Input(batch_shape=whole, dtype=example.dtype, name=name)
    if isinstance(value, dict):
        return {key: _symbolic(each, f"{name}_{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return like(value, [_symbolic(each, f"{name}_{index}") for index, each in enumerate(value)])
    return value


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(each is None or (isinstance(each, int) and not isinstance(each, bool)) for each in value)
    )


def _leaf_rule(leaf: Leaf) -> IsLeaf:
    """Whether a submodule stays one node: PyTorch's own and torchfunc's always, others as the user says."""
    if leaf is None:
        return is_own_leaf
    if callable(leaf) and not isinstance(leaf, type):
        return lambda module, path: is_own_leaf(module, path) or bool(leaf(module, path))
    classes = (leaf,) if isinstance(leaf, type) else tuple(leaf)
    return lambda module, path: is_own_leaf(module, path) or isinstance(module, classes)


def _output(module: nn.Module, path: Path, value: Any) -> Any:
    """One of the values that the forward returns, which must be a tensor."""
    if isinstance(value, Tensor) and not isinstance(value, SYMBOLS):
        return record(Method("clone"), (value,))
    if isinstance(value, SYMBOLS):
        return value
    place = "".join(f"[{key!r}]" for key in path)
    raise GraphError(
        explain(
            f"from_module({type(module).__name__})",
            got=f"{shorten(value)} from its forward" + (f" at {place}" if place else ""),
            expected="tensors, alone or in lists, tuples and dicts",
            fix="return tensors alone, or call it as one node: module(x)",
        )
    )


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The inputs of the model: the symbolic ones among the arguments; a dict where they came by name."""
    if kwargs and all(isinstance(leaf, SymbolicTensor) for leaf in leaves(kwargs)):
        return kwargs
    symbols = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, SymbolicTensor)]
    return symbols[0] if len(symbols) == 1 else symbols


def _with_names(drawn: Drawn, paths: Paths) -> Drawn:
    """The same graph, where parameters and buffers that calls use directly are named after their paths."""
    names = Names(*MODULE_ATTRIBUTES, *drawn.modules, *(call.name for call in drawn.graph.calls))
    new = {old: names.new(_state_name(paths.get(id(tensor), old))) for old, tensor in drawn.state.items()}

    def renamed(leaf: Any) -> Any:
        return StateRef(new.get(leaf.name, leaf.name)) if isinstance(leaf, StateRef) else leaf

    calls = tuple(
        replace(call, args=map_leaves(renamed, call.args), kwargs=map_leaves(renamed, call.kwargs))
        for call in drawn.graph.calls
    )
    state = {new[old]: tensor for old, tensor in drawn.state.items()}
    return replace(drawn, graph=replace(drawn.graph, calls=calls), state=state)


def _state_name(path: str) -> str:
    return "constant" if path.startswith("_tensor_constant") else identifier(path)


def to_fx(model: Any) -> fx.GraphModule:
    """A Model as a `torch.fx.GraphModule` with the same submodules and weights, for torch.fx's passes.

    Each call of the model's graph is one node of the same name; layers are `call_module` nodes. Its
    forward takes the inputs one by one.

    Args:
        model: a Model with a graph.

    Returns:
        A module on the same parameters and buffers.

    Raises:
        GraphError: a model without a graph.

    Example:
        >>> [node.op for node in tf.interop.to_fx(model).graph.nodes]
        ['placeholder', 'call_module', 'call_module', 'call_module', 'call_module', 'call_module', 'output']
    """
    graph: Graph = model._require_graph("torch.fx graph")
    made = fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(made)

    def make(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Proxy:
        if call.kind in ("attribute", "size"):
            return target(*args)  # type: ignore[no-any-return]
        args, kwargs = map_leaves(_node, (args, kwargs))
        return tracer.proxy(
            made.create_node(f"call_{call.kind}", call.target, args, kwargs, identifier(call.name))
        )

    inputs = [made.placeholder(identifier(name)) for name in graph.input_names]
    for each in inputs:
        # torch.fx leaves `input` to Python and takes `input_1`, which may be the next one's argument
        each.target = each.name
    arguments = leaves([(call.args, call.kwargs) for call in graph.calls])
    state = dict.fromkeys(leaf.name for leaf in arguments if isinstance(leaf, StateRef))
    tensors = {name: tracer.proxy(made.get_attr(name)) for name in state}
    outputs = run(graph, [tracer.proxy(each) for each in inputs], model._modules, tensors, make)
    made.output(map_leaves(_node, outputs))
    own = model._state_by_name()
    root = {**model._modules, **{name: own[name] for name in state}}
    module = fx.GraphModule(root, made, class_name=identifier(model.name))
    module.training = model.training
    return module


def _node(leaf: Any) -> Any:
    """What stands in a torch.fx graph for a leaf of the arguments."""
    return leaf.node if isinstance(leaf, fx.Proxy) else leaf
