"""Running figures: sums that stay on the device, read together when someone asks, and what metrics add to theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchfunc.metrics.metric import as_summed
from torchfunc.training.recording.lines import Unknown


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


class Added(NamedTuple):
    """What a metric adds to a sum of its: a tensor, or a number that is the same for all batches of a shape."""

    metric: Any
    name: str
    value: Any


def split(sums: Sequence[Added]) -> tuple[list[Added], list[Tensor]]:
    """What metrics add, without the tensors among it, and these."""
    added = [each._replace(value=None) if isinstance(each.value, Tensor) else each for each in sums]
    return added, [as_summed(each.value) for each in sums if isinstance(each.value, Tensor)]


def take(added: Sequence[Added], values: Sequence[Tensor]) -> None:
    """Have metrics add what was split."""
    following = iter(values)
    for metric, name, value in added:
        metric.add(name, next(following) if value is None else value)


@contextmanager
def sums_apart(measures: Any) -> Iterator[list[Added]]:
    """Within it metrics add nothing to their sums: it is listed instead.

    Raises:
        Unknown: a metric looks at its sums, or keeps something else.
    """
    sums: list[Added] = []
    metrics = [each.metric for each in measures]
    before = [dict(vars(each)) for each in metrics]

    def adding(metric: Any) -> Callable[[str, Any], None]:
        return lambda name, value: sums.append(Added(metric, name, value))

    sealed = [_Sealed() for _ in metrics]
    for metric, seal in zip(metrics, sealed, strict=True):
        vars(metric).update(add=adding(metric), state=seal)
    try:
        yield sums
    finally:
        after = [dict(vars(each)) for each in metrics]
        for metric, own in zip(metrics, before, strict=True):
            vars(metric).clear()
            vars(metric).update(own)
    for metric, own, now, seal in zip(metrics, before, after, sealed, strict=True):
        same = now.keys() - {"add"} == own.keys() and all(
            now[name] is own[name] for name in own if name != "state"
        )
        if seal.opened or now["state"] is not seal or not same:
            raise Unknown(f"the metric {metric.name!r} goes by more than the batch")


class _Sealed(dict[str, Any]):
    """Sums that tell whether somebody has looked at them or changed them."""

    opened = False

    def __getattribute__(self, name: str) -> Any:
        if name not in ("opened", "__class__", "__dict__"):
            vars(self)["opened"] = True
        return super().__getattribute__(name)

    def _open(self, *_: Any) -> Any:
        self.opened = True
        raise Unknown("a metric looks at what it has summed up")

    __getitem__ = __setitem__ = __contains__ = __iter__ = __len__ = __delitem__ = __bool__ = _open


def as_list(logs: Mapping[str, Any]) -> Any:
    """The values of the logs in their order; a single one as it is."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
