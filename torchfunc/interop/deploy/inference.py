"""Inference: a model with the calls that only training needs taken out, and the weights that they leave."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchfunc import activations, layers
from torchfunc.errors import GraphError, explain
from torchfunc.graph.graph import Call, Graph, Ref, StateRef
from torchfunc.graph.run import picked
from torchfunc.graph.symbolic import SYMBOLS
from torchfunc.interop.surgery import made_again, rebuilt
from torchfunc.layers.layer import Layer, in_mode
from torchfunc.models.model import Model
from torchfunc.tree import leaves

# what is linear in its weights, and where its weight has the features that it makes
_LINEAR: dict[type, int] = {
    **dict.fromkeys((nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d), 0),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), 1),
    **dict.fromkeys((layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D), 0),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), 0),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), 0),
    **dict.fromkeys((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), 1),
}
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, layers.BatchNormalization)


def optimize_for_inference(model: Any) -> Model:
    """The same model for inference alone: batch normalizations folded into what comes before, dropouts taken out.

    A normalization behind a convolution or a Dense without activation becomes part of its weights; what gives back
    its input outside of training (dropout, noise, augmentation) is not called any more. Nested models likewise.

    Args:
        model: a model that is a graph.

    Returns:
        A Model in inference mode, not compiled, with weights of its own; its outputs are equal to within rounding.

    Raises:
        GraphError: a model without a graph.

    Example:
        >>> interop.optimize_for_inference(model).export("digits.onnx")
    """
    if not isinstance(model, Model):
        fix = "interop.from_module(module, inputs), which makes one of a module"
        got = type(model).__name__
        raise GraphError(explain("optimize_for_inference", got=got, expected="a Model", fix=fix))
    return _optimized(copy.deepcopy(model).eval())


def _optimized(model: Model) -> Model:
    graph = model._require_graph("calls")
    plan = _Plan(graph, {name: model._modules[name] for name in graph.module_names})
    made: dict[str, Any] = {}

    def make(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if call.name in plan.gone:
            return next(leaf for leaf in leaves(args) if isinstance(leaf, SYMBOLS))
        if isinstance(target, Model) and target.graph is not None:
            made[call.target] = target = made.get(call.target) or _optimized(target)
        if call.name in plan.folded:
            return _folded(call, target, plan.folded[call.name], args, kwargs)
        return made_again(call, target, args, kwargs)

    return rebuilt(model, make, lambda rows: picked(graph.outputs, rows))


class _Plan:
    """What becomes of the calls of a graph.

    Attributes:
        gone: the names of the calls that give back their input.
        folded: by the name of a call of something linear, the normalizations that become part of it.
    """

    def __init__(self, graph: Graph, modules: dict[str, Any]) -> None:
        self.gone: set[str] = set()
        self.folded: dict[str, list[nn.Module]] = {}
        calls = Counter(call.target for call in graph.calls if call.kind == "module")
        read = Counter(ref.row for ref in _read(graph))
        tied = {leaf.name.partition(".")[0] for call in graph.calls for leaf in _states(call)}
        origin = list(range(len(graph.calls)))  # the row that a row equals, or became part of
        single = [read[row] == 1 for row in range(len(graph.calls))]
        for row, call in enumerate(graph.calls):
            given = _only_input(call)
            module = modules.get(call.target) if call.kind == "module" else None
            if given is None or module is None:
                continue
            before = graph.calls[origin[given.row]]
            alone = single[given.row] and before.kind == "module" and calls[before.target] == 1
            if alone and before.target not in tied and _folds(modules[before.target], module, before, call):
                self.folded.setdefault(before.name, []).append(module)
            elif not _gives_back(module, call, graph.spec(given)):
                continue
            self.gone.add(call.name)
            origin[row] = origin[given.row]
            single[row] = single[row] and single[given.row]


def _read(graph: Graph) -> Iterator[Ref]:
    for call in graph.calls:
        yield from call.refs()
    yield from leaves(graph.outputs)


def _states(call: Call) -> Iterator[StateRef]:
    return (leaf for leaf in leaves((call.args, call.kwargs)) if isinstance(leaf, StateRef))


def _only_input(call: Call) -> Ref | None:
    """What a call takes, where that is one whole tensor; a mask beside it makes no difference in inference."""
    if call.kind != "module" or call.kwargs.get("training") or not set(call.kwargs) <= {"training", "mask"}:
        return None
    first = call.args[0] if len(call.args) == 1 else None
    return first if isinstance(first, Ref) and not first.path else None


def _folds(linear: Any, norm: Any, made: Call, call: Call) -> bool:
    """Whether a normalization may become part of the weights of what made its input."""
    if type(linear) not in _LINEAR or type(norm) not in _NORMS or _is_watched(linear) or _is_watched(norm):
        return False
    if norm.running_mean is None or (getattr(linear, "groups", 1) > 1 and _LINEAR[type(linear)] == 1):
        return False
    if isinstance(linear, Layer) and linear.activation is not activations.linear:
        return False
    if isinstance(linear, Layer) and linear.activity_regularizer is not None:
        return False
    rank = len(made.specs.shape)
    last = isinstance(linear, (nn.Linear, layers.Dense)) or (
        isinstance(linear, Layer) and linear.data_format == "channels_last"
    )
    axis = norm.axis % rank if isinstance(norm, layers.BatchNormalization) else 1
    return axis == (rank - 1 if last else 1) and made.specs.dtype == call.specs.dtype


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _gives_back(module: Any, call: Call, spec: Any) -> bool:
    """Whether a module without weights gives back what it is given, the very tensor, outside of training."""
    if call.specs != spec or _is_watched(module) or isinstance(module, Model):
        return False
    if next(module.parameters(), None) is not None or next(module.buffers(), None) is not None:
        return False
    if isinstance(module, Layer) and module.activity_regularizer is not None:
        return False
    try:
        return all(_same(module, spec, size) for size in (3, 5))
    except Exception:  # it asks for values, which nothing here has
        return False


def _same(module: Any, spec: Any, size: int) -> bool:
    sizes = [size if each is None else each for each in spec.shape]
    x = torch.empty(sizes, dtype=spec.dtype, device="meta")
    with torch.no_grad():
        return in_mode(module, False, lambda: module.forward(x)) is x


class _Line(NamedTuple):
    """`x * scale + shift`: what a normalization computes in inference mode, in 64 bits."""

    scale: Tensor
    shift: Tensor

    @staticmethod
    def of(norm: Any) -> _Line:
        mean, variance = norm.running_mean.double(), norm.running_var.double()
        eps = norm.epsilon if isinstance(norm, layers.BatchNormalization) else norm.eps
        scale = (variance + eps).rsqrt() * (1.0 if norm.weight is None else norm.weight.double())
        return _Line(scale, (0.0 if norm.bias is None else norm.bias.double()) - mean * scale)


def _folded(
    call: Call, linear: Any, norms: list[nn.Module], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The call of something linear whose weights hold the normalizations that followed."""
    at = _LINEAR[type(linear)]
    with torch.no_grad():
        weight = getattr(linear, _last_weight(linear)).double()
        bias = weight.new_zeros(weight.shape[at]) if linear.bias is None else linear.bias.double()
        for line in map(_Line.of, norms):
            weight = weight * line.scale.reshape([-1 if each == at else 1 for each in range(weight.ndim)])
            bias = bias * line.scale + line.shift
    if not isinstance(linear, Layer):
        found = copy.copy(linear)
        found._parameters = {"weight": _like(linear, weight), "bias": _like(linear, bias)}
        return made_again(call, found, args, kwargs)
    found = type(linear).from_config({**linear.get_config(), "use_bias": True})
    returned = made_again(call, found, args, kwargs)
    found.to(weight.device).eval().trainable = linear.trainable
    values = {**dict(linear.named_parameters()), _last_weight(linear): weight, "bias": bias}
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            parameter.copy_(values[name])
    return returned


def _last_weight(linear: Any) -> str:
    """The name of the weight that makes the output."""
    separable = isinstance(linear, (layers.SeparableConv1D, layers.SeparableConv2D))
    return "pointwise_weight" if separable else "weight"


def _like(linear: Any, value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(linear.weight.dtype), linear.weight.requires_grad)
