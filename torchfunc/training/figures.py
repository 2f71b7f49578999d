"""Running figures: sums that stay on the device, read together when someone asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


class RunningMean:
    """The mean over samples of what is given per batch, kept on the device.

    Values are collected and summed in float64, some hundred at a time: that is cheaper than one addition
    a batch, and exact over an epoch of any length.
    """

    FOLD = 256
    # of large batches fewer: small tensors that are kept between large ones keep freed memory from being used again
    SAMPLES = 2**15

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self._total: Any = 0.0
        self._size = 0
        self._values: list[Tensor] = []

    def add(self, value: Tensor, size: int) -> None:
        """Take the mean over `size` samples into account."""
        kept = len(self._values)
        if size != self._size or kept >= self.FOLD or kept * size >= self.SAMPLES:
            self._fold()
            self._size = size
        self._values.append(value.detach() if value.requires_grad else value)
        self.count += size

    def result(self) -> Tensor:
        """The mean so far."""
        self._fold()
        return self._total / self.count  # type: ignore[no-any-return]

    def state(self) -> list[Any]:
        """The sum so far and the number of samples in it."""
        self._fold()
        return [self._total, self.count]

    def load(self, state: list[Any]) -> None:
        """Take what `state` gave."""
        self.reset()
        self._total, self.count = state

    def _fold(self) -> None:
        if self._values:
            self._total = (
                self._total + torch.stack(self._values).sum(dtype=_wide(self._values[0])) * self._size
            )
            self._values = []


def read(running: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as Python numbers; those on the device come over together, and those by name in one stand alone."""
    running = dict(_alone(running))
    tensors = {name: each.detach() for name, each in running.items() if isinstance(each, Tensor)}
    if not tensors:
        return running
    flat = [each.reshape(-1).to(_wide(each)) for each in tensors.values()]
    numbers = iter(torch.cat(flat).tolist())
    taken = {name: [next(numbers) for _ in range(each.numel())] for name, each in tensors.items()}
    return {
        name: _as_shaped(taken[name], value) if name in taken else value for name, value in running.items()
    }


def _alone(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, each in figures.items():
        if isinstance(each, Mapping):
            yield from _alone(each)
        else:
            yield name, each.value if hasattr(each, "assign") else each  # a variable of a metric


def _as_shaped(numbers: list[float], tensor: Tensor) -> Any:
    return numbers[0] if tensor.ndim == 0 else numbers


def _wide(tensor: Tensor) -> torch.dtype:
    """float64, which Apple's GPUs lack."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
