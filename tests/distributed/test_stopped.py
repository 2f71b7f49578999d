"""A training of two processes that stops at any batch goes on in two, or in one, as if nothing had been."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.distributed import stopped
from tests.distributed.spawned import done, run
from tests.distributed.test_equal_to_one import assert_close
from tests.distributed.test_in_shards import value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stopped")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return run(stopped.ALL, str(folder))


@pytest.fixture(scope="module")
def expected() -> Any:
    found, _ = done(stopped.uninterrupted)
    return found


@pytest.mark.parametrize(
    "check, name",
    [(stopped.one_asked_of_copies, "asked_ddp"), (stopped.both_asked_in_shards, "asked_fsdp")],
    ids=["ddp", "fsdp"],
)
def test_where_one_process_is_asked_to_end_all_finish_the_batch_and_one_file_is_saved(
    check: Any, name: str, two: list[dict[str, Any]], folder: Path, expected: Any
) -> None:
    for rank in two:
        ended, files, end = value(rank, check)
        assert ended == (128 + signal.SIGTERM, 3, 2)
        assert files == ["latest.bkp.safetensors", "latest.safetensors"]
        assert_close(end, expected)
    in_one, _ = done(lambda: stopped.in_one_of(str(folder / f"{name}_for_one")))
    assert_close(in_one, expected)


def test_a_file_that_is_written_within_a_step_holds_what_all_processes_have(
    two: list[dict[str, Any]], folder: Path, expected: Any
) -> None:
    without_averages, _ = done(lambda: stopped.uninterrupted(use_ema=False))
    for rank in two:
        files, within, end = value(rank, stopped.files_by_batches)
        assert files == [f"{epoch}-{batch}.safetensors" for epoch in (1, 2, 3) for batch in (3, 6)]
        assert within == 4
        history, *found = end
        assert_close(found, without_averages[1:])
        assert_close(history["accuracy"], without_averages[0]["accuracy"][1:])
    in_one, _ = done(lambda: stopped.in_one_of_file(str(folder / "by_batches" / "2-3.safetensors")))
    assert_close(in_one, expected)


def test_a_folder_of_shards_that_is_written_within_a_step_is_read_by_one_process_and_by_two(
    two: list[dict[str, Any]], folder: Path, expected: Any
) -> None:
    for rank in two:
        assert_close(value(rank, stopped.folder_of_shards), expected)
    (_, *in_one), _ = done(lambda: stopped.in_one_of_folder(str(folder)))
    assert_close(in_one, expected[1:])
    for rank in run(stopped.AGAIN, str(folder)):
        for check in stopped.AGAIN:
            _, *found = value(rank, check)
            assert_close(found, expected[1:])
