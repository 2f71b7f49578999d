"""What every test stands on: Keras on its torch backend, one thread, fixed seeds."""

from __future__ import annotations

import os
import random

# Keras reads it when it is imported, which test modules do at their top.
os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same random numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_itemcollected(item: pytest.Item) -> None:
    """The name of a test is the same in every process that collects it, so no address stands in it."""
    if " at 0x" in item.nodeid:
        pytest.exit(f"{item.nodeid}: give its parameters `ids` without addresses", returncode=3)
