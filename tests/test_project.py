"""The project: the README's commands, the pins and the version cannot drift apart."""

from __future__ import annotations

import os
import re
from pathlib import Path

import tomllib

ROOT = Path(__file__).parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def normal(requirement: str) -> str:
    """The name of a package, as pip compares it."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_everything_that_is_asked_for_is_pinned() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    asked = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    pins = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", pin) for pin in pins)
    missing = {normal(each) for each in asked} - {normal(pin) for pin in pins} - {"torchfunc"}
    assert not missing


def test_ci_runs_the_line_of_the_readme_that_a_person_would() -> None:
    marked = re.search(r"<!-- tests -->\n```bash\n(.*)\n```\n<!-- end -->", read("README.md"))
    assert marked
    assert marked[1] == "pip install -c constraints.txt -e '.[dev]' && scripts/check"
    assert "sed -n '/<!-- tests -->/,/<!-- end -->/p' README.md" in read(".ci/run")


def test_what_is_run_can_be_run() -> None:
    for name in ("scripts/check", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK)
        assert read(name).startswith("#!/usr/bin/env bash\n")
        assert "set -euo pipefail" in read(name)


def test_the_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", read("README.md")):
        assert (ROOT / target).exists(), target
