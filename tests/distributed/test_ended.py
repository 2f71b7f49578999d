"""A process that dies or fails ends the other in a few seconds, which says which one it was."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from torch import multiprocessing

from tests.distributed import ended
from tests.distributed.spawned import free_port, work


@pytest.mark.parametrize("check", ended.KILLED, ids=lambda check: check.__name__)
def test_a_rank_that_is_killed_ends_the_other_which_names_it(check: Any, tmp_path: Path) -> None:
    ranks, results = two_of(check, tmp_path)
    rank, found = results.get(timeout=90)
    (told, seconds), _ = found[check.__name__]
    assert rank == 0
    assert re.fullmatch(r"RankError: Rank 1 \(process \d+\) has ended\.", told), told
    assert seconds < 10
    ranks[0].join(timeout=20)


def test_a_rank_that_waits_in_a_gradient_for_one_that_failed_is_ended_and_says_which(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ranks, _ = two_of(ended.a_backward_that_fails, tmp_path)
    ranks[0].join(timeout=90)
    try:
        assert ranks[0].exitcode == 1
        assert ranks[1].exitcode is None
        failed = float((tmp_path / "failed").read_text())
        assert time.time() - failed < 10
        assert "rank 0 is ended: Rank 1 failed: ArithmeticError: a gradient broke" in capfd.readouterr().err
    finally:
        ranks[1].kill()


def two_of(check: Any, folder: Path) -> tuple[list[Any], Any]:
    """Two processes that do a check, and where they put what it returns."""
    context = multiprocessing.get_context("spawn")
    port, results = free_port(), context.Queue()
    ranks = [
        context.Process(target=work, args=(rank, 2, port, [check], str(folder), results)) for rank in range(2)
    ]
    for each in ranks:
        each.start()
    return ranks, results
