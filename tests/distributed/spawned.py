"""Real processes with gloo, which do many checks one after the other: they take long to begin."""

from __future__ import annotations

import contextlib
import io
import os
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import multiprocessing


def free_port() -> int:
    return 20000 + int.from_bytes(os.urandom(2), "little") % 30000


def run(checks: Sequence[Any], folder: str, world: int = 2, timeout: float = 150) -> list[dict[str, Any]]:
    """What each rank has returned for each check, by its name: a value and what it printed."""
    context = multiprocessing.get_context("spawn")
    port, results = free_port(), context.Queue()
    ranks = [
        context.Process(target=work, args=(rank, world, port, checks, folder, results))
        for rank in range(world)
    ]
    for each in ranks:
        each.start()
    found = dict(results.get(timeout=timeout) for _ in ranks)
    for each in ranks:
        each.join(timeout=20)
    return [found[rank] for rank in range(world)]


def work(rank: int, world: int, port: int, checks: Sequence[Any], folder: str, results: Any) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    os.chdir(folder)
    results.put((rank, {check.__name__: done(check) for check in checks}))


def done(check: Any) -> tuple[Any, str]:
    """What a check returns, or the error that it ended with, and what it printed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            value = check()
        except BaseException:  # that of torch.distributed.checkpoint is no Exception
            value = traceback.format_exc()
    return value, out.getvalue()
