"""Two processes train with every option, and by every optimizer, as one does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.distributed import by_options
from tests.distributed.spawned import done, run
from tests.distributed.test_equal_to_one import assert_close
from tests.distributed.test_in_shards import value


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(by_options.ALL, str(tmp_path_factory.mktemp("options")))


@pytest.mark.parametrize("check", by_options.EQUAL, ids=lambda check: check.__name__)
def test_two_processes_train_by_an_option_as_one_does(check: Any, two: list[dict[str, Any]]) -> None:
    expected, _ = done(check)
    assert not isinstance(expected, str), expected
    for rank in two:
        assert_close(value(rank, check), expected)


@pytest.mark.parametrize(
    "check, batches", by_options.BFLOAT16, ids=lambda each: getattr(each, "__name__", "")
)
def test_in_bfloat16_each_process_computes_its_part_and_the_mean_of_the_gradients_is_in_float32(
    check: Any, batches: int, two: list[dict[str, Any]]
) -> None:
    expected = by_options.bfloat16_by_hand(batches)
    for rank in two:
        assert_close(value(rank, check), expected)


@pytest.mark.parametrize("check", by_options.TOO_LARGE, ids=lambda check: check.__name__)
def test_gradients_that_float16_cannot_hold_on_one_rank_are_learned_from_by_none(
    check: Any, two: list[dict[str, Any]]
) -> None:
    (seen, weights), (others, equal) = (value(rank, check) for rank in two)
    assert seen == others == [(1, 2.0**16), (1, 2.0**15)]
    assert_close(weights, equal)
