"""Permitted: the steps that are known to do the same each time they are repeated; why another one is not recorded."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from torchfunc import functions
from torchfunc.metrics.metric import Metric
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.objective import Objective
from torchfunc.training.recording.fingerprint import keeps
from torchfunc.training.step import Step
from torchfunc.variables import Variable

_OURS = ("torchfunc.layers.", "torchfunc.models.")
_TORCH = "torch.nn.modules."
# they read numbers, draw them elsewhere than in PyTorch, or keep something from one call to the next
_NOT_OURS = ("torchfunc.layers.preprocessing.", "torchfunc.layers.augmentation.", "torchfunc.layers.inputs.")
_NOT_TORCH = (nn.EmbeddingBag, nn.SyncBatchNorm, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder)
_ROOTS = frozenset(
    ("torch", "torchfunc", "builtins", "collections", "functools", "operator", "_operator", "math")
)
_HOOKS = "_forward_hooks _forward_pre_hooks _backward_hooks _backward_pre_hooks".split()


def why_not(step: Step) -> str:
    """Why a step is not recorded, in words that go on after "because"; empty where it is."""
    return next(_reasons(step), "")


def why_not_called(step: Step) -> str:
    """Why the forward of a step's module is not recorded, in the same words."""
    return next(_of_forward(step, graphed=False), "")


def _reasons(step: Step) -> Iterator[str]:
    if any(hasattr(step.own, name) for name in ("train", "compute_loss", "compute_metrics")):
        yield "it is a step of your own"
    graphed = step.options.cuda_graph and cuda_graphs.takes(step.device)
    if not step.options.is_recordable:
        yield "it was compiled with options that it does not know"
    if not step.optimization.parameters:
        yield "nothing in it is trained"
    if step.device.type == "cpu" and not (step.watch.reads or graphed):
        yield "reading its device has to wait"
    yield from _of_forward(step, graphed=graphed)
    for head in step.objective.losing:
        for each in foreign(head.loss, 3):
            yield f"the loss of {head.name!r} calls {each}"
    for each in _foreign_in_penalties(step.module):
        yield f"the loss holds {each}"


def _of_forward(step: Step, *, graphed: bool) -> Iterator[str]:
    device = step.device
    if getattr(step.module, "run_eagerly", False):
        yield "run_eagerly=True asks for that"
    if device.type != "cpu" and not graphed:
        yield f"it is on {device}"
    yield from _of_surroundings()
    for name, module in step.module.named_modules():
        yield from _of_module(name or type(module).__name__, module, device)


def _of_surroundings() -> Iterator[str]:
    if torch.is_anomaly_enabled():
        yield "anomaly mode is on"
    if any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        yield "autocast is on"
    if torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        yield "a mode of torch_dispatch or torch_function is on"
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        yield "other processes learn from it"
    hooks = (
        torch_module._global_forward_hooks,
        torch_module._global_forward_pre_hooks,
        torch_module._global_backward_hooks,
        torch_module._global_backward_pre_hooks,
    )
    if any(hooks):
        yield "there is a hook on all modules"


def _of_module(name: str, module: nn.Module, device: torch.device) -> Iterator[str]:
    kind, home = type(module), type(module).__module__
    ours = home.startswith(_OURS) and not home.startswith(_NOT_OURS)
    if not ours and not (home.startswith(_TORCH) and kind not in _NOT_TORCH):
        yield f"{name!r} is a {kind.__name__}, whose forward it does not know"
    if getattr(module, "parametrizations", None) is not None:
        yield f"{name!r} has parametrizations"
    if getattr(module, "_compiled_call_impl", None) is not None:
        yield f"{name!r} is compiled by torch.compile"
    if {"forward", "call", "__call__"} & vars(module).keys():
        yield f"{name!r} has a forward of its own"
    if getattr(module, "stateful", False):
        yield f"{name!r} is stateful"
    for hook in (hook for each in _HOOKS for hook in vars(module)[each].values()):
        if not getattr(hook, "__module__", "").startswith("torchfunc."):
            yield f"{name!r} has a hook"
    for own, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None:
            yield from _of_tensor(f"{name}.{own}", tensor, device)
    if home.startswith("torchfunc.models."):
        yield from _of_graph(name, module)
    else:
        for attribute, value in vars(module).items():
            if not attribute.endswith("_initializer") and attribute not in _UNUSED:
                for each in foreign(value, 3):
                    yield f"{name}.{attribute} calls {each}"


# what a forward does not go by
_UNUSED = frozenset(
    "_parameters _buffers _modules _losses _told _nodes _models _config_arguments _waiting_state _new_weights "
    "_flat_weight_refs before_activation _weight_infos trainer".split()
) | {name for name in vars(nn.Module()) if "hooks" in name}


def _of_tensor(name: str, tensor: Tensor, device: torch.device) -> Iterator[str]:
    if type(tensor) not in (Tensor, nn.Parameter, nn.Buffer, Variable):
        yield f"{name!r} is a {type(tensor).__name__}"
    elif tensor.layout is not torch.strided or tensor.is_complex():
        yield f"{name!r} is sparse or complex"
    elif tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        yield f"{name!r} has a hook"
    elif tensor.device != device:
        yield f"{name!r} is on {tensor.device}"


def _of_graph(name: str, module: nn.Module) -> Iterator[str]:
    """Why the functions that the graph of a model calls are not all known."""
    graph: Any = getattr(module, "graph", None) if "_live" in vars(module) else None
    for call in graph.calls if graph is not None else ():
        listed = functions.spelling_of(call.target) if callable(call.target) else None
        if callable(call.target) and not (listed or _root(call.target) in _ROOTS):
            yield f"{name!r} calls {getattr(call.target, '__name__', call.target)!r}, which it does not know"


def foreign(value: Any, depth: int) -> Iterator[str]:
    """What a value holds, to some depth, that is neither of PyTorch nor of torchfunc nor plain data."""
    if isinstance(value, (Tensor, nn.Module, np.ndarray, np.generic)):
        return
    if isinstance(value, functools.partial):
        yield from foreign(value.func, depth)
        yield from foreign((*value.args, dict(value.keywords)), depth)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            yield from foreign(each, depth)
    elif isinstance(value, dict):
        for each in value.values():
            yield from foreign(each, depth)
    elif isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)):
        if _root(value) not in _ROOTS:
            yield repr(getattr(value, "__name__", str(value)))
    elif _root(type(value)) not in _ROOTS:
        yield f"a {type(value).__name__}"
    elif depth and keeps(value):
        for each in vars(value).values():
            yield from foreign(each, depth - 1)


def _root(value: Any) -> str:
    """The package that a class or a function comes from."""
    return str(getattr(value, "__module__", None) or "builtins").partition(".")[0]


def _foreign_in_penalties(module: nn.Module) -> Iterator[str]:
    """What regularizers of weights hold that is not known."""
    for each in module.modules():
        for info in getattr(each, "_weight_infos", {}).values():
            yield from foreign(info.regularizer, 3)


def of_metrics(objective: Objective) -> Iterator[str]:
    """Why it is not known what the metrics of an objective add up."""
    for measure in objective.measures.values():
        metric = measure.metric
        if not type(metric).__module__.startswith("torchfunc.metrics.") or type(metric).add is not Metric.add:
            yield f"{measure.name!r} is a {type(metric).__name__}, whose update it does not know"
        for each in foreign({name: value for name, value in vars(metric).items() if name != "state"}, 3):
            yield f"the metric {measure.name!r} calls {each}"
