"""What every test stands on: Keras on its torch backend, one thread, fixed seeds."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from typing import Any

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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser without a window, which the tests of pages share."""
    from selenium import webdriver

    programs = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if None in programs:
        pytest.fail("The tests of pages need a browser: apt-get install chromium chromium-driver (Debian).")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for each in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "window-size=1300,800",
    ):
        options.add_argument(f"--{each}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(programs[1])))
    yield driver
    driver.quit()


def pytest_itemcollected(item: pytest.Item) -> None:
    """The name of a test is the same in every process that collects it, so no address stands in it."""
    if " at 0x" in item.nodeid:
        pytest.exit(f"{item.nodeid}: give its parameters `ids` without addresses", returncode=3)
