"""Guards: what goes wrong silently in a long run is measured, and told once with the way out."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from torchfunc.errors import explain
from torchfunc.graph import blame
from torchfunc.training.batches import Batch

MANY, LONG, SHARE = 20, 5.0, 0.5  # batches, seconds, and how much of them may be waited
LOOKS, BYTES, APART = (
    6,
    32 * 2**20,
    1.0,
)  # in a row, each of which finds so much more memory taken, in seconds


class Starving:
    """Measures how much of a training goes by waiting for data, and warns once if that is more than half of it.

    Args:
        source: where the batches come from.
    """

    def __init__(self, source: Any) -> None:
        self.source, self.seen, self.told = source, 0, False
        self.waited = self.begun = 0.0

    def timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches; the first of all, which may start workers, is not measured."""
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            now = time.perf_counter()
            if self.seen:
                self.waited += now - before
            else:
                self.begun = now
            self.seen += 1
            if self.seen % MANY == 0 and not self.told:
                self._look(now - self.begun)
            yield batch

    def _look(self, elapsed: float) -> None:
        share = self.waited / max(elapsed, 1e-9)
        if elapsed < LONG or share <= SHARE:
            return
        self.told = True
        each = self.waited / self.seen * 1000
        got = f"{share:.0%} of the time spent in waiting for the {type(self.source).__name__}, {each:.3g} ms a batch"
        warnings.warn(explain("fit", got=got, fix=self._way_out()), stacklevel=blame.level())

    def _way_out(self) -> str:
        source = self.source
        if not isinstance(source, DataLoader):
            return "a Dataset in a DataLoader(..., num_workers=4), whose processes prepare batches meanwhile"
        if isinstance(source.dataset, TensorDataset):
            return "fit on the tensors themselves, x and y, which are indexed on the device"
        if source.num_workers == 0:
            return "DataLoader(..., num_workers=4, persistent_workers=True), which prepares batches meanwhile"
        return f"more than num_workers={source.num_workers}, or less work a sample"


class Growing:
    """Looks at the memory after epochs, at most once a second, and warns once if more and more is taken.

    Args:
        device: where the training is.
        read: how many bytes are taken now, or None where nobody knows.
    """

    def __init__(self, device: torch.device, read: Callable[[], int | None] | None = None) -> None:
        self.read = read or (lambda: _bytes_taken(device))
        self.apart = APART if read is None else 0.0
        self.at = time.monotonic()
        self.last: int | None = None
        self.grown: list[int] = []
        self.told = False

    def look(self) -> None:
        """An epoch has ended."""
        if time.monotonic() - self.at < self.apart:
            return
        self.at, now = time.monotonic(), self.read()
        if now is not None and self.last is not None:
            more = now - self.last
            self.grown = [*self.grown, more] if more >= BYTES else []
            if len(self.grown) >= LOOKS and not self.told:
                self.told = True
                mean = sum(self.grown) / len(self.grown) / 2**20
                warnings.warn(
                    explain(
                        "fit",
                        got=f"{mean:.0f} MB more memory taken at each of {LOOKS} looks, an epoch or a second apart",
                        why="something keeps tensors, such as a list of losses with the graphs behind them",
                        fix="keep loss.item() or loss.detach() in callbacks, metrics and losses of yours",
                    ),
                    stacklevel=blame.level(),
                )
        self.last = now


def _bytes_taken(device: torch.device) -> int | None:
    """How much memory tensors take on a device, or the process where Linux tells."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
