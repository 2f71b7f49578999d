"""Fingerprint: all that a step goes by besides the numbers in its tensors, as a list that is compared with another."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from torchfunc import settings
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.step import Step

# what modules keep for themselves, which changes and does not change what they compute
_PASSING = frozenset(
    "_parameters _buffers _modules _losses _told _inside _nodes _models _live trainer before_activation history "
    "stop_training stop_evaluating stop_predicting _config_arguments _waiting_state _new_weights graph_name given_name "
    "_backward_pre_hooks _backward_hooks _forward_hooks _forward_pre_hooks _forward_hooks_with_kwargs "
    "_forward_hooks_always_called _forward_pre_hooks_with_kwargs _state_dict_hooks _state_dict_pre_hooks "
    "_load_state_dict_pre_hooks _load_state_dict_post_hooks _is_hf_initialized _weight_infos".split()
)
_HOOKS = "_forward_hooks _forward_pre_hooks _backward_hooks _backward_pre_hooks".split()
_PLAIN = frozenset(
    (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.memory_format)
)
_DEPTH = 4


class Fingerprint:
    """What a step goes by, as it is now; equal to another where nothing has changed.

    It holds what it saw, so that nothing new is taken for it, and copies of what can change in place: `still_holds`
    compares these alone, which takes a tenth of the time of another look at everything.
    """

    def __init__(self, step: Step) -> None:
        self.marks: list[Any] = []
        self._held: list[Any] = []
        self._step = step
        self._containers: list[Any] = []
        self._parameters: list[Tensor] = []
        self._tensors: list[tuple[Any, Any, Any]] = []  # where each is kept, and by which key
        self._modules = list(step.module.modules())
        self._classes = list(map(type, self._modules))
        for each in self._modules:
            self._module(each)
        objective = step.objective
        for head in objective.losing:
            self._see(head.loss, _DEPTH)
            self._see(head.logits, 0)
            self._see(None if head.logits is None else head.logits.loss, _DEPTH)
            self.marks += [head.index, head.weight, head.keeps_running]
        for held in (step.own, step.optimization.built):
            self._see(held, 0)
        self.marks += [*step.masked, *_around(step)]
        self._copies = [each.copy() for each in self._containers if each]
        self._empty = [each for each in self._containers if not each]
        self._containers = [each for each in self._containers if each]
        self._of_parameters = _of_parameters(self._parameters)
        self._around = self._beside()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self.marks == other.marks

    __hash__ = None  # type: ignore[assignment]

    def still_holds(self) -> bool:
        """Whether a look would surely find the same. Where it says no, that may be wrong: another look tells."""
        try:
            return (
                not any(self._empty)
                and list(map(type, self._modules)) == self._classes
                and all(home[key] is tensor for home, key, tensor in self._tensors)
                and self._containers == self._copies
                and _of_parameters(self._parameters) == self._of_parameters
                and self._beside() == self._around
            )
        except (LookupError, RuntimeError, ValueError, TypeError):  # arrays are not simply equal or not
            return False

    def _beside(self) -> list[Any]:
        """What there is besides modules and losses."""
        step = self._step
        marks: list[Any] = [step.module, step.own, step.optimization.built, *step.masked]
        for head in step.objective.losing:
            marks += [head.loss, head.logits, head.index, head.weight, head.keeps_running]
        return [*marks, *_around(step)]

    def _module(self, module: nn.Module) -> None:
        own = vars(module)
        self._see(module, 0)
        self.marks += [type(module), module.training]
        self._containers += [own, own["_parameters"], own["_buffers"], own["_modules"]]
        for name in _HOOKS:
            self._containers.append(own[name])
            for hook in own[name].values():
                self._see(hook, 0)
        for name, parameter in own["_parameters"].items():
            self.marks.append(name)
            if parameter is not None:
                self._tensors.append((own["_parameters"], name, parameter))
                self._parameters.append(parameter)
                self._see(parameter, 0)
                self.marks += [parameter.requires_grad, parameter.dtype, parameter.data_ptr()]
                self.marks += [parameter.shape, parameter.stride()]
                for hooks in _flags(parameter)[1:]:
                    self.marks.append(len(hooks or ()))
                    if hooks is not None:
                        self._containers.append(hooks)
        for name, buffer in own["_buffers"].items():
            self._see(buffer, 0)
            self._tensors.append((own["_buffers"], name, buffer))
            self.marks.append(name)
        self._attributes(own, _DEPTH)

    def _attributes(self, own: dict[str, Any], depth: int) -> None:
        """Most are plain data, and a loop without calls over these is much of what a look costs."""
        marks, see = self.marks, self._see
        for name, value in own.items():
            if name not in _PASSING:
                marks.append(name)
                if type(value) in _PLAIN:
                    marks.append(value)
                else:
                    see(value, depth, own, name)

    def _see(self, value: Any, depth: int, home: Any = None, key: Any = None) -> None:
        """Plain data by what they are; an object by itself, and to some depth by what it keeps."""
        if type(value) in _PLAIN:
            self.marks.append(value)
        elif isinstance(value, (list, tuple)) and depth:
            self.marks += [type(value), len(value)]
            self._containers += [value] if isinstance(value, list) else []
            for at, each in enumerate(value):
                self._see(each, depth, value, at)
        elif isinstance(value, dict) and depth:
            self.marks.append(len(value))
            self._containers.append(value)
            for name, each in value.items():
                self._see(name, 0)
                self._see(each, depth - 1, value, name)
        else:
            self.marks.append(id(value))
            self._held.append(value)
            if home is not None and isinstance(value, _ARRAYS):
                self._tensors.append((home, key, value))
            if depth and keeps(value):
                self._containers.append(vars(value))
                for name, each in vars(value).items():
                    self.marks.append(name)
                    self._see(each, depth - 1, vars(value), name)


_ARRAYS = (Tensor, np.ndarray)
_flags = attrgetter("requires_grad", "_backward_hooks", "_post_accumulate_grad_hooks")


def _of_parameters(parameters: list[Tensor]) -> list[Any]:
    """Of each where it lies and how, and what is to be done when it has a gradient."""
    return [
        *map(Tensor.data_ptr, parameters),
        *map(Tensor.stride, parameters),
        *map(Tensor.numel, parameters),
        *map(attrgetter("dtype"), parameters),
        *map(_flags, parameters),
    ]


def keeps(value: Any) -> bool:
    """Whether an object is one whose attributes say what it does."""
    kind: Any = type(value)
    return hasattr(value, "__dict__") and _tells(kind)


@lru_cache(1024)
def _tells(kind: type) -> bool:
    known = (nn.Module, Tensor, type, types.FunctionType, types.ModuleType, np.ndarray)
    return not issubclass(kind, known)


def _around(step: Step) -> Iterator[Any]:
    """The settings that a step goes by: a graph has the kernels that were chosen when it was captured."""
    yield from surroundings()
    if step.options.cuda_graph:
        yield from cuda_graphs.settings()


def surroundings() -> Iterator[Any]:
    """The settings of PyTorch and of torchfunc that a step goes by."""
    yield from (settings.epsilon(), settings.floatx(), torch.get_default_dtype())
    yield from (torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled)
    yield from (
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
        torch.is_inference_mode_enabled(),
    )
    yield from (torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack())
    yield len(torch_module._global_forward_hooks) + len(torch_module._global_forward_pre_hooks)
    yield len(torch_module._global_backward_hooks) + len(torch_module._global_backward_pre_hooks)
