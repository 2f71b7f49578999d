"""The page of benchmarks: what is measured stands on it and in the README, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.test_scripts import script

ROOT = Path(__file__).parent.parent


def row(workload: str, what: str, against: str, ratio: float) -> dict[str, Any]:
    return {
        "workload": workload,
        "what": what,
        "against": against,
        "ratio": ratio,
        "low": ratio / 2,
        "high": 2 * ratio,
        "rounds": 3,
    }


MEASURED = {
    "date": "2026-01-02",
    "machine": "two cores",
    "versions": {"torch": "2.13.0", "keras": "not installed"},
    "rows": [
        row("mlp", "first fit", "torch", 1.5),
        row("mlp", "an epoch", "torch", 0.9),
        row("mlp", "an epoch", "keras-torch", 0.25),
        row("import", "import", "torch", 1.0),
        row("files", "save", "torch", 0.004),
    ],
}


def test_the_page_has_every_row_and_what_it_was_measured_on() -> None:
    page = script("benchmarks_page").page(MEASURED)
    assert "Measured on 2026-01-02 on two cores, with torch 2.13.0.\n" in page
    assert "It is the median of 3 rounds, " in page
    assert "| first fit | PyTorch by hand | 1.50 | 0.75 to 3.00 |" in page
    assert "| an epoch | Keras on torch | **0.25** | 0.12 to 0.50 |" in page
    assert "## Files\n\n" in page and "| save | PyTorch by hand | **0.004** | 0.002 to 0.008 |" in page


def test_the_readme_has_a_row_a_workload_and_an_empty_cell_for_what_was_not_measured() -> None:
    lines = script("benchmarks_page").block(MEASURED).splitlines()
    assert lines[3:] == [
        "| | PyTorch by hand | Keras on torch |",
        "|---|---|---|",
        "| mlp: an epoch | **0.90** | **0.25** |",
        "| import | 1.00 |  |",
    ]


def test_where_nothing_of_the_readmes_table_was_measured_it_says_what_is() -> None:
    with pytest.raises(
        SystemExit, match="has none of mlp, resnet, tickets, autoencoder, chain, import. Fix: measure one"
    ):
        script("benchmarks_page").block({**MEASURED, "rows": [row("files", "save", "torch", 2.0)]})


def test_each_row_that_is_kept_has_a_ratio_within_its_range() -> None:
    kept = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    assert {"date", "machine", "versions", "rows"} <= kept.keys()
    for each in kept["rows"]:
        assert 0 < each["low"] <= each["ratio"] <= each["high"], each
    keys = [(each["workload"], each["what"], each["against"]) for each in kept["rows"]]
    assert len(set(keys)) == len(keys) > 0
