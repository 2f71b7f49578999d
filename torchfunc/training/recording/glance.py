"""Glance: whether a step goes by the same as before, seen by what costs least to compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.objective import Objective
from torchfunc.training.recording.fingerprint import Fingerprint, keeps
from torchfunc.training.step import Step

_guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
# CPython counts the changes of each dict; PyTorch reads these counts, and compares tensors many at a time
_version: Callable[[Any], int] | None = getattr(_guards, "dict_version", None)
_tensor_guards: Any = getattr(_guards, "TensorGuards", None)


# what may listen to the gradients of a parameter
_hooks, _hooks_afterwards = attrgetter("_backward_hooks"), attrgetter("_post_accumulate_grad_hooks")


class Glance(Fingerprint):
    """A fingerprint that knows at one glance whether it is still that of its step.

    Where the glance says no, containers are compared with their copies, and then all marks. Tensors of which views are kept
    have to be where they were: all of them, until `watch` says which.

    Args:
        step: that is looked at.
        learns: whether it goes by what is trained and what hears of gradients, too.

    Attributes:
        viewed: tensors that have to be where they were.
    """

    def __init__(self, step: Step, *, learns: bool = False) -> None:
        super().__init__(step)
        self._learns = learns
        self._known = [each for *_, each in self._kept if isinstance(each, Tensor)]
        self.watch(self._known)
        self._dicts = [each for each in self._containers if type(each) is dict]
        self._lists = [each for each in self._containers if type(each) is not dict]
        self._lists_before = [each.copy() for each in self._lists]
        self._changes = self._count()
        if _tensor_guards is not None:
            with torch.set_grad_enabled(learns):
                self._layouts = _tensor_guards(
                    *self._known, dynamic_dims_sizes=None, dynamic_dims_strides=None
                )

    def watch(self, viewed: Sequence[Tensor]) -> None:
        """Go by the places of these tensors alone."""
        self.viewed = list(viewed)
        self._places = list(map(Tensor.data_ptr, self.viewed))

    def _see(self, value: Any, depth: int, home: Any = None, key: Any = None) -> None:
        """What makes weights is not looked at: they are made; nor whether what is frozen has changed."""
        if isinstance(key, str) and key.endswith("_initializer"):
            return
        settled = getattr(type(value), "__dataclass_params__", None)
        if depth and settled is not None and settled.frozen and keeps(value):
            self._see(value, 0, home, key)
            for name, each in vars(value).items():
                self._see(each, depth - 1, vars(value), name)
        else:
            super()._see(value, depth, home, key)

    def _count(self) -> int:
        """A number that is another one once a dict was changed: each change makes the count of its dict larger."""
        return 0 if _version is None else sum(map(_version, self._dicts))

    def _lie_alike(self) -> bool:
        """Whether tensors have their shapes, strides and dtypes."""
        if _tensor_guards is None:
            return True
        grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(self._learns)  # without it, whether they are trained is not asked
        try:
            return self._layouts.check(*self._known)  # type: ignore[no-any-return]
        finally:
            torch._C._set_grad_enabled(grad)

    def _are_heard(self) -> bool:
        """Whether something may listen to gradients."""
        return any(map(_hooks, self._parameters)) or any(map(_hooks_afterwards, self._parameters))

    def holds(self) -> bool:
        """Whether the step goes by the same as when this was taken."""
        if list(map(Tensor.data_ptr, self.viewed)) != self._places or not self._lie_alike():
            return False
        try:
            if (
                _version is not None
                and self._count() == self._changes
                and not any(self._empty)
                and list(map(type, self._modules)) == self._classes
                and self._lists == self._lists_before
                and self._beside() == self._around
                and not (self._learns and self._are_heard())
            ):
                return True
            if self.still_holds():
                self._changes = self._count()
                return True
            now = type(self)(self._step, learns=self._learns)
            if now.marks != self.marks or now._around != self._around:
                return False
            now.watch(self.viewed)
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
