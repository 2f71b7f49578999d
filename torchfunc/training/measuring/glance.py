"""Glance: whether a step goes by the same as before, seen by what costs least to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.recording.fingerprint import Fingerprint
from torchfunc.training.step import Step

_guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
# CPython counts the changes of each dict; PyTorch reads these counts, and compares tensors many at a time
_version: Callable[[Any], int] | None = getattr(_guards, "dict_version", None)
_tensor_guards: Any = getattr(_guards, "TensorGuards", None)


class Glance(Fingerprint):
    """A fingerprint that knows at one glance whether it is still that of its step.

    Where the glance says no, containers are compared with their copies, and then all marks.
    """

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self._dicts = [each for each in self._containers if type(each) is dict]
        self._lists = [each for each in self._containers if type(each) is not dict]
        self._lists_before = [each.copy() for each in self._lists]
        self._quick: list[Any] | None = None
        self._take()

    def _take(self) -> None:
        """Keep what a glance sees now."""
        if _version is not None and _tensor_guards is not None:
            with torch.no_grad():
                self._tensor_guards = _tensor_guards(
                    *self._parameters, dynamic_dims_sizes=None, dynamic_dims_strides=None
                )
            self._quick = self._seen()

    def _seen(self) -> list[Any]:
        return [*map(_version, self._dicts), *map(Tensor.data_ptr, self._parameters)]  # type: ignore[arg-type]

    def holds(self) -> bool:
        """Whether the step goes by the same as when this was taken."""
        if (
            self._quick is not None
            and self._seen() == self._quick
            and not any(self._empty)
            and self._lists == self._lists_before
            and self._tensor_guards.check(*self._parameters)
            and self._beside() == self._around
        ):
            return True
        if self.still_holds() or Fingerprint(self._step) == self:
            self._take()
            return True
        return False
