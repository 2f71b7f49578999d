"""Races torchfunc with others: each workload, contender and round in a fresh process, in turn; ratios within a round.

python scripts/bench.py mlp chain --against torch keras-torch lightning
python scripts/bench.py --against torch keras-jax --python keras-jax=~/jax/bin/python --json docs/benchmarks.json

A contender is a file of `contenders/` and what tells it how. Keras's other backends need interpreters of their own, for
they bring libraries that torch's does not go with. The losses at the end of a training have to agree.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torchfunc

HERE = Path(__file__).resolve().parent
WORKLOADS = {
    "mlp": "W1, the guide's MLP, 48,000 x 784, batch 64",
    "resnet": "W2, the guide's ResNet, 3,200 images, batch 64",
    "tickets": "W3, the guide's tickets, 1,280, batch 32",
    "autoencoder": "W4, the guide's autoencoder, 3,200 images, batch 64",
    "chain": "W5, a chain of 100 Dense(64) with relu, batch 32",
    "build": "W6, building layers in a row",
    "files": "W7, a model of 105 MB",
    "rows": "W8, evaluate, and one row through predict",
    "memory": "W9, what training the ResNet adds to the peak of memory",
    "import": "W10, importing",
}
PACKAGES = ("torch", "keras", "pytorch-lightning", "pytorch-symbolic", "poutyne")
# By how much a loss may differ from torchfunc's, of the larger of the two. Near 0 chance has its way: with other seeds one
# contender ends the ResNet between 0.02 and 0.09.
MOST, LEAST = 0.25, 0.4


class Entrant(NamedTuple):
    """How a contender is started: its file, what its environment says, and what it imports.

    torchfunc loads torch with its first layer, so torch is named beside it.
    """

    file: str
    environment: dict[str, str]
    package: str


ENTRANTS = {
    "torchfunc": Entrant("with_keras", {"KERAS_IS": "torchfunc"}, "torch, torchfunc"),
    "torch": Entrant("with_torch", {}, "torch"),
    "torch-dataloader": Entrant("with_torch", {"LOADER": "1"}, "torch"),
    "pytorch-symbolic": Entrant("with_torch", {"SYMBOLIC": "1"}, "pytorch_symbolic"),
    "keras-torch": Entrant("with_keras", {"KERAS_BACKEND": "torch"}, "keras"),
    "keras-jax": Entrant("with_keras", {"KERAS_BACKEND": "jax"}, "keras"),
    "keras-tensorflow": Entrant("with_keras", {"KERAS_BACKEND": "tensorflow"}, "keras"),
    "lightning": Entrant("with_trainers", {"TRAINER": "lightning"}, "pytorch_lightning"),
    "poutyne": Entrant("with_trainers", {"TRAINER": "poutyne"}, "poutyne"),
}
Rounds = dict[
    str, dict[str, list[float]]
]  # of a workload: by what is measured and by contender, a number for each round


def race(
    workloads: list[str], against: list[str], rounds: int, threads: int, pythons: dict[str, str]
) -> dict[str, Rounds]:
    """Run it, print a table as each workload ends, and return all numbers."""
    names = ["torchfunc", *against]
    found: dict[str, Rounds] = {}
    for workload in workloads or WORKLOADS:
        found[workload] = {}
        for index in range(rounds):
            for name in names if index % 2 == 0 else names[::-1]:
                for what, number in child(workload, name, threads, pythons.get(name, sys.executable)).items():
                    found[workload].setdefault(what, {}).setdefault(name, []).append(number)
        print(f"\n{WORKLOADS[workload]}")
        agree(workload, found[workload].pop("loss", {}))
        for row in rows({workload: found[workload]}):
            print(
                f"  {row['what']:32} {row['against']:18} {row['ratio']:7.3f}x ({row['low']:.2f} to {row['high']:.2f})"
            )
    return found


def child(workload: str, name: str, threads: int, python: str) -> dict[str, float]:
    """What one contender measures of one workload, in a process of its own."""
    entrant = ENTRANTS[name]
    package = f"import time; a = time.perf_counter(); import {entrant.package}; b = time.perf_counter()"
    command = [python, str(HERE / "contenders" / f"{entrant.file}.py"), workload]
    if workload == "import":
        command = [python, "-c", f"import json; {package}; print(json.dumps({{'import': b - a}}))"]
    environment = {**os.environ, **entrant.environment, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.py: {name} failed at {workload!r}.\n{done.stderr[-2_000:]}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def agree(workload: str, losses: dict[str, list[float]]) -> None:
    """Stop where a contender did something else."""
    ours = statistics.median(losses.get("torchfunc", [0.0]))
    for name, each in losses.items():
        theirs = statistics.median(each)
        if abs(ours - theirs) > MOST * max(ours, theirs, LEAST):
            raise SystemExit(
                f"bench.py: {workload!r} ends with a loss of {ours:.4g}, and of {theirs:.4g} by {name}."
            )


def rows(found: dict[str, Rounds]) -> list[dict[str, Any]]:
    """The ratios of torchfunc to each other contender: the median of those of each round, and their range."""
    return [
        {
            "workload": workload,
            "what": what,
            "against": name,
            "ratio": round(statistics.median(ratios), 3),
            "low": round(min(ratios), 3),
            "high": round(max(ratios), 3),
            "torchfunc": statistics.median(times["torchfunc"]),
            "other": statistics.median(theirs),
        }
        for workload, measures in found.items()
        for what, times in measures.items()
        for name, theirs in times.items()
        if name != "torchfunc" and "torchfunc" in times
        for ratios in [[a / b for a, b in zip(times["torchfunc"], theirs, strict=True)]]
    ]


def write(path: Path, found: dict[str, Rounds], rounds: int, threads: int) -> None:
    """Keep the numbers beside what they were measured on; what was kept of other workloads stays."""
    kept: list[dict[str, Any]] = []
    if path.exists():
        kept = [each for each in json.loads(path.read_text())["rows"] if each["workload"] not in found]
    new = rows(found)
    table = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {threads} threads",
        "rounds": rounds,
        "versions": {"torchfunc": torchfunc.__version__} | {name: version(name) for name in PACKAGES},
        "workloads": WORKLOADS,
        "rows": sorted([*kept, *new], key=lambda row: list(WORKLOADS).index(row["workload"])),
    }
    path.write_text(json.dumps(table, indent=1) + "\n")


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpus = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpus.read_text().splitlines() if "model name" in line]
        if cpus.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
