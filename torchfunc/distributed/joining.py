"""Joining: the sums of metrics over all ranks, and the outputs of all in one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import explain
from torchfunc.tree import map_leaves

_warned: set[str] = set()


def cannot_merge(metrics: Sequence[Any]) -> bool:
    """Whether one of the metrics keeps its sums where nobody can add up those of all ranks; the first is warned of."""
    hidden = [each for each in metrics if not _is_open(each)]
    for each in hidden:
        name = getattr(each, "name", type(each).__name__)
        if name not in _warned:
            _warned.add(name)
            told = explain(
                f"Metric {name!r}",
                got="sums that it keeps to itself",
                why="they cannot be added up over processes, and the mean of their figures is logged",
                fix="a torchfunc.metrics.Metric that calls self.add, or a metric of torchmetrics",
            )
            warnings.warn(told, stacklevel=2)
    return bool(hidden)


def _is_open(metric: Any) -> bool:
    held = getattr(metric, "metric", metric)  # what wraps a metric of others
    return hasattr(held, "sync") or (held is metric and isinstance(getattr(metric, "state", None), dict))


@contextmanager
def merged(metrics: Sequence[Any], ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Within it metrics have in their `state` what those of all ranks have summed up.

    A metric of others that sums over ranks itself, as those of torchmetrics do, is left to it. Of what does not, the
    mean over the ranks is told, and a warning.
    """
    ours = [each for each in metrics if isinstance(getattr(each, "state", None), dict)]
    own = [each.state for each in ours]
    told = [map_leaves(_on_host, each) for each in own]
    everyones = ranks.gathered(told)
    try:
        for index, each in enumerate(ours):
            each.state = _sum_of([states[index] for states in everyones], device)
        yield
    finally:
        for each, state in zip(ours, own, strict=True):
            each.state = state


def _on_host(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value


def _sum_of(states: Sequence[dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """The sums by their names, on the device."""
    names = dict.fromkeys(name for state in states for name in state)
    summed = {name: _added([state[name] for state in states if name in state]) for name in names}
    return {name: each.to(device) if isinstance(each, Tensor) else each for name, each in summed.items()}


def _added(values: Sequence[Any]) -> Any:
    total = values[0]
    for each in values[1:]:
        total = total + each
    return total


def in_one(parts: Sequence[Sequence[Any]], *, by_samples: bool) -> list[Any]:
    """The batches of all ranks in their order, each the tensors of one; None stands for a batch that does not count.

    Args:
        parts: of each rank.
        by_samples: whether the ranks take turns by samples, as a DistributedSampler has them, rather than by batches.
    """
    if not by_samples:
        longest = max(map(len, parts))
        turns = (part[index] for index in range(longest) for part in parts if index < len(part))
        return [each for each in turns if each is not None]
    whole = [list(map(torch.cat, zip(*filter(None, part), strict=True))) for part in parts]
    return [[torch.stack(_filled(leaf)) for leaf in zip(*whole, strict=True)]]


def _filled(parts: Sequence[Tensor]) -> list[Tensor]:
    """Samples of which the first rank has the first, the second the next, and so on."""
    world = len(parts)
    return [parts[place % world][place // world] for place in range(sum(map(len, parts)))]
