"""Two processes train, measure and predict as one does on their joined batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.distributed import equal_to_one
from tests.distributed.spawned import done, run


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(equal_to_one.ALL, str(tmp_path_factory.mktemp("ranks")))


@pytest.mark.parametrize("check", equal_to_one.ALL, ids=lambda check: check.__name__)
def test_two_processes_are_equal_to_one(check: Any, ranks: list[dict[str, Any]]) -> None:
    alone, _ = done(check)
    assert not isinstance(alone, str), alone
    for rank in ranks:
        found, _ = rank[check.__name__]
        assert not isinstance(found, str), found
        assert_close(found, alone)


def assert_close(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, each in expected.items():
            assert_close(found[name], each)
    elif isinstance(expected, (list, tuple)) and expected and not isinstance(expected[0], float):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
