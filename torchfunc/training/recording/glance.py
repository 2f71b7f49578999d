"""Glance: whether a step goes by the same as before, seen by what costs least to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.objective import Objective
from torchfunc.training.recording.fingerprint import Fingerprint
from torchfunc.training.step import Step

_guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
# CPython counts the changes of each dict; PyTorch reads these counts, and compares tensors many at a time
_version: Callable[[Any], int] | None = getattr(_guards, "dict_version", None)
_tensor_guards: Any = getattr(_guards, "TensorGuards", None)


def _is_heard(parameter: Tensor) -> bool:
    """Whether something may listen to the gradients of a parameter."""
    return (
        parameter._backward_hooks is not None
        or getattr(parameter, "_post_accumulate_grad_hooks", None) is not None
    )


class Glance(Fingerprint):
    """A fingerprint that knows at one glance whether it is still that of its step.

    Where the glance says no, containers are compared with their copies, and then all marks. Tensors have to be where they
    were, for views of them are kept.

    Args:
        step: that is looked at.
        learns: whether it goes by what is trained and what hears of gradients, too.
    """

    def __init__(self, step: Step, *, learns: bool = False) -> None:
        super().__init__(step)
        self._learns = learns
        self._known = [each for *_, each in self._kept if isinstance(each, Tensor)]
        self._places = list(map(Tensor.data_ptr, self._known))
        self._dicts = [each for each in self._containers if type(each) is dict]
        self._lists = [each for each in self._containers if type(each) is not dict]
        self._lists_before = [each.copy() for each in self._lists]
        self._versions = self._counts()
        if _tensor_guards is not None:
            with torch.set_grad_enabled(learns):
                self._layouts = _tensor_guards(
                    *self._known, dynamic_dims_sizes=None, dynamic_dims_strides=None
                )

    def _see(self, value: Any, depth: int, home: Any = None, key: Any = None) -> None:
        """What makes weights is not looked at: they are made."""
        if not (isinstance(key, str) and key.endswith("_initializer")):
            super()._see(value, depth, home, key)

    def _counts(self) -> list[int]:
        return [] if _version is None else list(map(_version, self._dicts))

    def holds(self) -> bool:
        """Whether the step goes by the same as when this was taken."""
        if list(map(Tensor.data_ptr, self._known)) != self._places:
            return False
        if _tensor_guards is not None:
            with torch.set_grad_enabled(self._learns):  # without it, whether they are trained is not asked
                if not self._layouts.check(*self._known):
                    return False
        try:
            if (
                _version is not None
                and self._counts() == self._versions
                and not any(self._empty)
                and list(map(type, self._modules)) == self._classes
                and self._lists == self._lists_before
                and self._beside() == self._around
                and not (self._learns and any(map(_is_heard, self._parameters)))
            ):
                return True
            if self.still_holds():
                self._versions = self._counts()
                return True
            now = type(self)(self._step, learns=self._learns)
            if now.marks != self.marks or now._around != self._around:
                return False
        except (RuntimeError, ValueError, TypeError):  # arrays are not simply equal or not
            return False
        vars(self).update(vars(now))
        return True


class GlanceAtFigures(Glance):
    """A glance at a step and at what measures its outputs."""

    def _beside(self) -> list[Any]:
        return [
            *super()._beside(),
            *marks_of_metrics(self._step.objective),
            self._step.objective.widens,
            self._step.mixed,
            self._step.ranks,
            self._step.held,
            self._step.options,
        ]


def marks_of_metrics(objective: Objective) -> list[Any]:
    """What the metrics of an objective go by, besides the numbers in their sums."""
    marks: list[Any] = []
    for head in objective.heads:
        for measure in head.measures:
            own = vars(measure.metric)
            marks += [type(measure.metric), measure.weighted, measure.metric]
            marks += [(name, value) for name, value in own.items() if name != "state"]
    return marks
