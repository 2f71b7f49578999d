"""Sums: what metrics would add to theirs for a batch, listed instead of added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor

from torchfunc.metrics.metric import as_summed
from torchfunc.training.recording.lines import Unknown


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
