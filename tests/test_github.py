"""What GitHub reads: workflows that run what is here, on the versions that the package claims, and forms for issues."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_what_is_here(path: Path) -> None:
    workflow = read(path)
    assert workflow["name"] and workflow[True]  # YAML 1.1 reads the key `on` as true
    for job in workflow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"]
        assert set([job.get("needs")] if "needs" in job else []) <= workflow["jobs"].keys()
    commands = [step["run"] for step in steps(path) if "run" in step]
    for command in commands:
        for name in re.findall(r"(?<![\w/])((?:scripts|\.ci|tests|docs)/[\w./]+)", command):
            assert (ROOT / name).is_file(), f"{path.name} runs {name}, which is not here"
            assert "python" in command or os.access(ROOT / name, os.X_OK)
        for extras in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
        for option in re.findall(r" (--[a-z]+)", command if "release_check" in command else ""):
            assert f'"{option}"' in (ROOT / "scripts" / "release_check.py").read_text(encoding="utf-8")
    assert all(re.fullmatch(r"[\w./-]+@[\w./]+", step["uses"]) for step in steps(path) if "uses" in step)


def test_every_python_and_both_ends_of_pytorch_are_tried() -> None:
    claimed = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (least,) = (each.partition(">=")[2] for each in PROJECT["dependencies"] if each.startswith("torch>="))
    pinned = re.search(r"^torch==(.+)$", pins, flags=re.MULTILINE)
    vision = re.search(r"^torchvision==(.+)$", pins, flags=re.MULTILINE)
    jobs = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    installed, suite = (jobs[name]["strategy"]["matrix"] for name in ("wheel", "suite"))
    assert pinned and vision
    assert installed["python"] == claimed and suite["python"] == claimed[1:]  # Keras needs 3.11
    assert installed["torch"] == suite["torch"] == [f"{least}.0", pinned[1]]
    assert [each["torch"] for each in suite["include"]] == suite["torch"]
    assert suite["include"][-1]["torchvision"] == vision[1]


def test_only_the_job_that_hands_a_release_over_may_ask_for_trust() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "publish.yml")
    asking = [name for name, job in workflow["jobs"].items() if "id-token" in job.get("permissions", {})]
    assert workflow["permissions"] == {"contents": "read"} and asking == ["publish"]
    assert "secrets." not in (ROOT / ".github" / "workflows" / "publish.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem
)
def test_a_form_has_what_github_asks_of_one(path: Path) -> None:
    form = read(path)
    assert form["name"] and form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields) > 0
