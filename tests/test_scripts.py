"""The scripts: what they measure is there, and is what they say it is."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.training.capturing.stand_in import graphs_on_cpu
from tests.training.capturing.test_captured_step import Wrong
from torchfunc import functions

ROOT = Path(__file__).parent.parent


def script(name: str) -> ModuleType:
    """A script as a module: scripts/ is no package."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_house_prints_a_row_for_each_folder_figure_and_walk() -> None:
    done = run("scripts/house.py")
    assert done.returncode == 0, done.stderr
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines() if line)
    package = ROOT / "torchfunc"
    assert int(rows["torchfunc, all of it"].split()[0].replace(",", "")) == len(list(package.rglob("*.py")))
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("*.py")} - {"."}
    assert folders <= rows.keys()
    for walk in (
        "Input((784,))",
        "Dense(64, activation='relu')",
        "dense(x)",
        "nn.Linear(784, 64)(x)",
        "Model(x, y), two layers",
        "model(batch)",
        "compile(...)",
        "fit, the first, two batches",
        "fit, again, three batches",
        "one step of it, batch to batch",
        "save",
        "load_model",
    ):
        calls, files, moves = (int(each.replace(",", "")) for each in rows[walk].split())
        assert calls > moves >= files - 1 >= 0, walk
    step, fit = (
        int(rows[name].split()[0].replace(",", ""))
        for name in ("one step of it, batch to batch", "fit, again, three batches")
    )
    assert 3 * step < fit


SMALL = {
    "__init__.py": "from torchfunc.roof import top as top\n",
    "ground.py": "def low() -> None:\n    '''Only a docstring.'''\n",
    "roof.py": (
        "from typing import Any\n\nfrom torchfunc import ground\nfrom torchfunc.wing.left import turn\n\n\n"
        "def top(x: Any, y: list[Any]) -> int:\n    '''Two lines.'''\n    ground.low()\n    return turn(x)\n"
    ),
    "wing/__init__.py": "from torchfunc.wing.left import turn as turn\n",
    "wing/left.py": "from torchfunc.wing import right\n\nturn = right.turn  # type: ignore\n",
    "wing/right.py": "from torchfunc.ground import low\n\nturn = low\n",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A house so small that one counts it by hand."""
    for name, text in SMALL.items():
        path = tmp_path / "torchfunc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_house_counts_as_one_counts_by_hand(small: Path) -> None:
    house = script("house")
    files = house.read(small)
    assert house.folders(files) == [
        ("torchfunc, all of it", 6, 20, 3, 3, "4 / 4"),
        ("wing", 3, 7, 2, 1, "3 / 2"),
    ]
    code = dict(house.code(files))
    assert code["lines of a body, most"] == 2
    assert code["functions"] == 2
    assert code["annotations"] == 4
    assert code["annotations that are Any"] == "1 = 25.0%"
    assert code["Any, anywhere, in 1,000 lines"] == "150.0"
    assert code["type: ignore"] == 1


def test_house_says_where_the_package_was_looked_for(tmp_path: Path) -> None:
    done = run("scripts/house.py", "--root", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"house.py: {tmp_path / 'torchfunc'} has no Python files. Fix: --root is a checkout of torchfunc.\n"
    )


SLOW = """
import time

from torchfunc.models import Model

_save = Model.save


def _slowly(self, *args, **kwargs):
    time.sleep(0.3)
    _save(self, *args, **kwargs)


Model.save = _slowly
"""


def test_bench_measures_another_checkout_by_its_own_package(tmp_path: Path) -> None:
    other = tmp_path / "torchfunc"
    shutil.copytree(ROOT / "torchfunc", other, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(SLOW)
    done = run("scripts/bench.py", "save", "--rounds", "1", "--threads", "1", "--against", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = re.search(r"  MLP\n +here +(\S+) us +(\S+)x of there .*\n +there +(\S+) us\n", done.stdout)
    assert found, done.stdout
    here, ratio, there = (float(each.replace(",", "")) for each in found.groups())
    assert there > 300_000 > here
    assert ratio == pytest.approx(here / there, abs=1e-3)


def test_bench_wants_a_checkout_to_measure_against(tmp_path: Path) -> None:
    done = run("scripts/bench.py", "--against", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path} has no folder 'torchfunc'. Fix: name a checkout, or any of torch, " in done.stderr


def test_bench_races_others_in_fresh_processes_and_keeps_the_numbers(tmp_path: Path) -> None:
    kept = tmp_path / "numbers.json"
    options = "--rounds", "1", "--threads", "1", "--json", str(kept)
    done = run("scripts/bench.py", "import", "--against", "torch", *options)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(kept.read_text(encoding="utf-8"))["rows"]
    assert (row["workload"], row["what"], row["against"]) == ("import", "import", "torch")
    assert row["ratio"] == pytest.approx(row["torchfunc"] / row["other"], abs=1e-3)
    assert min(row["torchfunc"], row["other"]) > 0.1  # torch is imported by both


def test_bench_knows_only_its_workloads() -> None:
    done = run("scripts/bench.py", "mnist", "--against", "torch")
    assert done.returncode == 2
    assert "there is no 'mnist'. Fix: any of mlp, resnet, " in done.stderr


def test_a_race_is_stopped_where_a_contender_did_something_else() -> None:
    race = script("race")
    race.agree("mlp", {"torchfunc": [0.50, 0.52], "torch": [0.55, 0.53]})
    with pytest.raises(SystemExit, match="'mlp' ends with a loss of 0.51, and of 0.9 by torch"):
        race.agree("mlp", {"torchfunc": [0.50, 0.52], "torch": [0.9, 0.9]})


def test_the_ratio_of_a_race_is_the_median_of_those_of_its_rounds() -> None:
    measured = {"an epoch": {"torchfunc": [1.0, 2.0, 9.0], "torch": [2.0, 2.0, 6.0]}}
    (row,) = script("race").rows("mlp", measured, 3)
    assert (row["ratio"], row["low"], row["high"]) == (1.0, 0.5, 1.5)


def test_a_race_says_what_a_contender_lacks(tmp_path: Path) -> None:
    kept = tmp_path / "numbers.json"
    done = run(
        "scripts/bench.py",
        "race",
        "import",
        "--against",
        "torch",
        "--python",
        "torch=false",
        "--json",
        str(kept),
    )
    assert done.returncode == 1 and not kept.exists()
    assert (
        "bench.py: torch needs torch, which false does not have. "
        "Fix: install it, or name an interpreter that has it: --python torch=PATH." in done.stderr
    )


def test_a_race_keeps_what_was_raced_in_other_workloads_and_with_others(tmp_path: Path) -> None:
    race, path = script("race"), tmp_path / "numbers.json"

    def raced(workload: str, against: str, ours: float) -> None:
        rows = race.rows(workload, {"an epoch": {"torchfunc": [ours], against: [2.0]}}, 1)
        race.write(path, rows, 1, {"torch": "1.0"})

    for workload, against, ours in (("resnet", "torch", 1.0), ("mlp", "poutyne", 1.0), ("mlp", "torch", 1.0)):
        raced(workload, against, ours)
    raced("mlp", "torch", 3.0)
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [(each["workload"], each["against"], each["ratio"]) for each in rows] == [
        ("mlp", "torch", 1.5), ("mlp", "poutyne", 0.5), ("resnet", "torch", 0.5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("workload", "amount", "text"),
    [("mlp", 2.5, "2.5 s"), ("mlp", 0.0123, "12.3 ms"), ("rows", 4.5e-5, "45 us"), ("memory", 95.4, "95 MB")],
)
def test_what_is_raced_is_told_with_its_unit(workload: str, amount: float, text: str) -> None:
    assert script("race").amount({"workload": workload, "other": amount}, "other") == text


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the page is made with torch 2.13")
@pytest.mark.parametrize("name", ["mlp", "drawing", "changing"])
def test_the_check_on_a_gpu_says_whether_a_graph_learns_the_same(name: str) -> None:
    check = script("cuda_check")
    training = check.trainings(320)[name]
    with graphs_on_cpu() as graphs:
        fine, line = check.right(name, training, "cpu", deterministic=True)
        assert fine and line.startswith(f"right  {name}") and "apart 0.0e+00, from run to run 0.0e+00" in line
        assert graphs
    fine, line = check.right(name, training, "cpu")
    assert not fine and line.startswith("FAILED") and "CompileError: cuda_graph: got True" in line


def test_the_check_on_a_gpu_says_where_there_was_no_graph_or_one_that_learned_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = script("cuda_check")
    training = check.trainings(320)["drawing"]
    with graphs_on_cpu(graph=Wrong):
        fine, line = check.right("drawing", training, "cpu")
    assert (
        not fine and line.startswith("eager") and "because it did another thing when it was repeated" in line
    )
    monkeypatch.setattr(check, "apart", lambda one, other: 0.1)
    with graphs_on_cpu():
        fine, line = check.right("drawing", training, "cpu")
    assert not fine and line.startswith("WRONG")


def test_the_check_on_a_gpu_tells_times_and_what_it_had_no_time_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    check = script("cuda_check")
    lines = list(check.race(check.trainings(256)["mlp"], "cpu", 64, None, 1))
    assert [each.split()[0] for each in lines] == ["torchfunc,", "by"]
    assert all(re.search(r" us   \d+\.\d{3}x of it$", each) for each in lines)
    assert check.main(["--seconds", "-1", "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "not done: right mlp {'deterministic': True}," in told and "fast tickets 32 None" in told


def test_the_page_of_names_is_what_its_script_prints_and_security_tells_their_number() -> None:
    done = run("scripts/names.py", "--print")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
    number = re.search(r"may name the ([\d,]+) things", done.stdout)
    assert number and f"There are {number[1]} such names" in (ROOT / "SECURITY.md").read_text(
        encoding="utf-8"
    )


def test_the_readme_tells_how_many_functions_and_methods_a_file_may_name() -> None:
    theirs = [name for name in functions.by_name() if not name.startswith(("ops.", "random."))]
    number = len(theirs) + len(functions.METHODS)
    recorded = number + len(functions.WITHHELD)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if torch.__version__.startswith("2.13"):
        assert f"{recorded} record and replay" in text and f"A file may name {number} of" in text


def test_the_page_of_applications_is_what_its_script_prints() -> None:
    done = run("scripts/applications.py", "--print")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")


def test_every_application_is_among_those_that_leave() -> None:
    leaving = script("leaving")
    assert len(leaving.networks()) >= 41 and {"ResNet18", "NASNetLarge"} <= set(leaving.networks())
    assert leaving.network("ResNet18").input_shape == (None, 64, 64, 3)
