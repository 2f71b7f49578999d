"""Termination: a process that is asked to end finishes its batch and saves, where something saves at all."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from torchfunc.callbacks import CallbackList
from torchfunc.distributed.launch import is_first
from torchfunc.distributed.ranks import Ranks


class Terminated(BaseException):
    """The process is to end, and the batch that was under way is done."""


class Asked:
    """Whether the process was asked to end.

    Attributes:
        by: the number of the signal, or None.
    """

    by: int | None = None


@contextmanager
def heeding(module: nn.Module, events: CallbackList, asked: Asked, ranks: Ranks | None) -> Iterator[None]:
    """Within it SIGTERM ends the training after its batch, and callbacks that save do so; then it does what it did before.

    Nothing changes where no callback, of any of the ranks that train together, has a `save_now`, nor in threads, which
    hear of no signals. Where one rank is asked to end, all of them do.
    """
    savers = [each for each in events.callbacks if hasattr(each, "save_now")]
    saves = bool(savers) if ranks is None else ranks.any(bool(savers))
    if not saves or threading.current_thread() is not threading.main_thread():
        yield
        return

    def heed(number: int, frame: Any) -> None:
        asked.by = number
        module.stop_training = True  # type: ignore[assignment]

    before = signal.signal(signal.SIGTERM, heed)
    try:
        yield
    except Terminated:
        for each in savers:
            each.save_now()
        if is_first():
            print("SIGTERM: the batch was finished and the training saved.", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
    if asked.by is not None:
        if callable(before):
            before(asked.by, None)
        else:
            sys.exit(128 + asked.by)
