"""Watching: a thread that hears of ranks that have failed, while this one waits for them."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INTERVAL = 0.5
# Seconds after which a process that waits for a rank that has failed is ended; a connection that breaks is quicker.
LIMIT = 5.0


class Watcher:
    """Looks at the store of the group, and at the processes of this machine, twice a second.

    Args:
        store: of the process group.
        rank: of this process.
        near: the other ranks on this machine, and their processes.

    Attributes:
        wakes: whether this process does now what all of them do.
        failures: how many failures are known, and were survived.
    """

    def __init__(self, store: Any, rank: int, near: Mapping[int, int]) -> None:
        self._store, self._rank, self._near = store, rank, dict(near)
        self.wakes, self.failures = False, 0
        self._since: float | None = None
        threading.Thread(target=self._watch, name="torchfunc-ranks", daemon=True).start()

    def failure(self, patience: float) -> str | None:
        """Which rank has failed and how, as soon as it is known, and for so many seconds at most."""
        end = time.monotonic() + patience
        while True:
            found = self._told() or self._dead()
            if found is not None or time.monotonic() > end:
                return found
            time.sleep(0.05)

    def _told(self) -> str | None:
        """What a rank has said of its error."""
        place = f"torchfunc/failed/{self.failures}"
        try:
            if not self._store.check([place]):
                return None
            rank = int(self._store.get(place))
            return (
                None
                if rank == self._rank
                else f"Rank {rank} failed: {self._store.get(f'{place}/{rank}').decode()}"
            )
        except (RuntimeError, ValueError):
            return "Rank 0, which holds the store of the group, has ended."

    def _dead(self) -> str | None:
        """A rank of this machine whose process has ended."""
        gone = next((rank for rank, pid in self._near.items() if not is_alive(pid)), None)
        return None if gone is None else f"Rank {gone} (process {self._near[gone]}) has ended."

    def _watch(self) -> None:
        while True:
            time.sleep(INTERVAL)
            found = (self._told() or self._dead()) if self.wakes else None
            if found is None:
                self._since = None
                continue
            self._since = self._since or time.monotonic()
            if time.monotonic() - self._since > LIMIT and self.wakes:
                frame = sys._current_frames().get(threading.main_thread().ident or 0)
                place = "".join(traceback.format_stack(frame)[-3:]) if frame else ""
                print(f"{place}rank {self._rank} is ended: {found}", file=sys.stderr, flush=True)
                os._exit(1)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; one that only waits to be looked at does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except (PermissionError, OSError):
        return True
    return status.rpartition(")")[2].split()[0] != "Z"
