"""The page of tools says what is true: its rows are made again, except those that take long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.test_scripts import script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ecosystem.md").read_text(encoding="utf-8")


def test_the_page_says_what_each_tool_makes_of_a_model() -> None:
    ecosystem = script("ecosystem")
    assert PAGE.startswith(ecosystem.HEAD)
    shown = dict(line.strip("| ").split(" | ", 1) for line in PAGE.removeprefix(ecosystem.HEAD).splitlines())
    assert list(shown) == list(ecosystem.tools)
    quick = [name for name in ecosystem.tools if name not in ecosystem.SLOW]
    # a process of its own, for these tools warn and print in plenty
    command = [sys.executable, "-W", "ignore", "scripts/ecosystem.py", *quick]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows == [f"| {name} | {shown[name]} |" for name in quick]


def test_modules_of_torch_and_what_to_torch_makes_of_a_model_are_taken_by_every_tool() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "Tool" not in line]
    assert len(rows) == 28
    for row in rows:
        name, native, _, plain = row.strip("| ").split(" | ")
        assert (name, native, plain) == (name, "works", "works")
