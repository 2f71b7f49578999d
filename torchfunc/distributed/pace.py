"""Pace: all ranks take as many steps, and stop and draw at the same one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from torchfunc.distributed.ranks import BATCH, DRAW, SIZE, STOP, Ranks


class Pace:
    """Batches of one pass, as many on each rank: one that has none left takes part with a batch that counts nothing.

    Args:
        ranks: the processes.
        display: shows the pass where it is the first rank's.

    Attributes:
        stops: whether this rank asks to stop after the batch that is under way; if one does, all do.
        draws: whether the bar is drawn after it, for which all have to sum their figures.
    """

    def __init__(self, ranks: Ranks, display: Any) -> None:
        self.ranks, self.display = ranks, display
        self.stops = self.draws = False

    def even(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Batches, as long as one rank has one that counts."""
        ranks = self.ranks
        running = iter(batches)
        try:
            yield from self._even(running)
        finally:
            ranks.share = 1.0

    def _even(self, running: Iterator[Any]) -> Iterator[Any]:
        ranks = self.ranks
        last: Any = None
        while True:
            batch = next(running, None)
            size = 0 if batch is None else batch.size
            due = ranks.is_first and time.perf_counter() >= self.display.due
            sums = ranks.exchange([0.0, batch is not None, self.stops, due, size])
            self.stops, self.draws = sums[STOP] > 0, sums[DRAW] > 0
            if self.stops or not sums[BATCH]:
                return
            last = last._replace(size=0) if batch is None else batch
            ranks.size = int(sums[SIZE])
            ranks.share = size * ranks.world / max(ranks.size, 1)
            yield last
