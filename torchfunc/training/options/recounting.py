"""Recounting: the statistics of batch normalizations, anew for weights that were put together of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.distributed.ranks import Ranks


def normalizers(module: nn.Module) -> list[Any]:
    """The layers in a module that keep a mean and a variance of what they have seen, and are not frozen."""
    return [
        each
        for each in module.modules()
        if isinstance(getattr(each, "running_mean", None), Tensor)
        and hasattr(each, "momentum")
        and getattr(each, "trainable", True)
    ]


class Recount:
    """Within `going` each call of such a layer counts as much as those before it; it keeps the mean of them all.

    Args:
        layers: whose statistics are counted.

    Attributes:
        counts: whether the batch that passes is one of those that count.
    """

    def __init__(self, layers: list[Any]) -> None:
        self.layers, self.counts = layers, True
        self._calls: Counter[int] = Counter()

    @contextmanager
    def going(self, ranks: Ranks | None) -> Iterator[None]:
        momenta = [each.momentum for each in self.layers]
        hooks = [each.register_forward_pre_hook(self._before) for each in self.layers]
        for each in self.layers:
            if isinstance(tracked := getattr(each, "num_batches_tracked", None), Tensor):
                tracked.zero_()
        try:
            yield
        finally:
            for each, hook, momentum in zip(self.layers, hooks, momenta, strict=True):
                hook.remove()
                each.momentum = momentum
        if ranks is not None:
            self._join(ranks)

    def _before(self, layer: Any, _: Any) -> None:
        self._calls[id(layer)] += self.counts
        share = 1 / self._calls[id(layer)] if self.counts else 0.0
        # PyTorch's momentum is the share of what is new, Keras's of what is old
        layer.momentum = share if type(layer).__module__.startswith("torch.nn") else 1 - share

    def _join(self, ranks: Ranks) -> None:
        """Have on all ranks the means over the calls of all of them."""
        mine = [(self._calls[id(each)], each.running_mean, each.running_var) for each in self.layers]
        for layer, *parts in zip(self.layers, *ranks.gathered(mine), strict=True):
            calls = max(sum(count for count, _, _ in parts), 1)
            for place, kept in enumerate((layer.running_mean, layer.running_var), 1):
                kept.copy_(torch.stack([part[0] / calls * part[place].to(kept) for part in parts]).sum(0))
