"""Races torchfunc with others: each workload, contender and round in a fresh process, in turn; ratios within a round.

python scripts/bench.py race                                    everything, against all that is installed
python scripts/bench.py race mlp --python keras-jax=~/jax/bin/python
python scripts/bench.py race mlp chain --against torch lightning --rounds 5 --json numbers.json

A contender is a file of `contenders/` and what tells it how. Keras's other backends need interpreters of their own, for
they bring libraries that torch's does not go with. The losses at the end of a training have to agree.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torchfunc

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent / "docs" / "benchmarks.json"
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
PACKAGES = ("torch", "keras", "jax", "tensorflow", "pytorch-lightning", "pytorch-symbolic", "poutyne")
# By how much a loss may differ from torchfunc's, of the larger of the two. Near 0 chance has its way: with other seeds one
# contender ends the ResNet between 0.02 and 0.09.
MOST, LEAST = 0.25, 0.4


class Entrant(NamedTuple):
    """How a contender is started: its file, what its environment says, and the packages that it imports.

    torchfunc loads torch with its first layer, so torch is named before it.
    """

    file: str
    environment: dict[str, str]
    packages: str


ENTRANTS = {
    "torchfunc": Entrant("with_keras", {"KERAS_IS": "torchfunc"}, "torch, torchfunc"),
    "torch": Entrant("with_torch", {}, "torch"),
    "torch-dataloader": Entrant("with_torch", {"LOADER": "1"}, "torch"),
    "pytorch-symbolic": Entrant("with_torch", {"SYMBOLIC": "1"}, "pytorch_symbolic"),
    "keras-torch": Entrant("with_keras", {"KERAS_BACKEND": "torch"}, "keras"),
    "keras-jax": Entrant("with_keras", {"KERAS_BACKEND": "jax"}, "keras, jax"),
    "keras-tensorflow": Entrant("with_keras", {"KERAS_BACKEND": "tensorflow"}, "keras, tensorflow"),
    "lightning": Entrant("with_trainers", {"TRAINER": "lightning"}, "operators, pytorch_lightning"),
    "poutyne": Entrant("with_trainers", {"TRAINER": "poutyne"}, "operators, poutyne"),
}
Rounds = dict[
    str, dict[str, list[float]]
]  # of a workload: by what is measured and by contender, a number for each round


def race(
    workloads: list[str],
    against: list[str],
    rounds: int,
    threads: int,
    pythons: dict[str, str],
    path: Path | None,
) -> None:
    """Run it; print a table and keep the numbers as each workload ends."""
    names = ["torchfunc", *(against or [name for name in list(ENTRANTS)[1:] if is_there(name, pythons)])]
    for name in names:
        if not is_there(name, pythons):
            packages = ENTRANTS[name].packages
            raise SystemExit(
                f"bench.py: {name} needs {packages}, which {pythons.get(name, sys.executable)} does not have. "
                f"Fix: install it, or name an interpreter that has it: --python {name}=PATH."
            )
    versions = {name: version(name, python) for name, python in interpreters(pythons).items()}
    print(f"torchfunc and {', '.join(names[1:])}: {rounds} rounds, {threads} threads", flush=True)
    for workload in workloads or WORKLOADS:
        start, measured = time.perf_counter(), Rounds()
        for index in range(rounds):
            for name in names if index % 2 == 0 else names[::-1]:
                for what, number in child(workload, name, threads, pythons.get(name, sys.executable)).items():
                    measured.setdefault(what, {}).setdefault(name, []).append(number)
        print(f"\n{WORKLOADS[workload]}, in {time.perf_counter() - start:.0f} s")
        agree(workload, measured.pop("loss", {}))
        found = rows(workload, measured, rounds)
        for row in found:
            print(
                f"  {row['what']:32} {row['against']:18} {row['ratio']:7.3f}x ({row['low']:.2f} to {row['high']:.2f})"
                f"  {amount(row, 'torchfunc')} for {amount(row, 'other')}",
                flush=True,
            )
        if path is not None:
            write(path, found, threads, versions)


def is_there(name: str, pythons: dict[str, str]) -> bool:
    """Whether the interpreter of a contender has what it imports."""
    packages = ENTRANTS[name].packages.split(", ")
    code = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {packages!r})))"
    done = subprocess.run([pythons.get(name, sys.executable), "-c", code], env=environment(name), check=False)
    return done.returncode == 0


def child(workload: str, name: str, threads: int, python: str) -> dict[str, float]:
    """What one contender measures of one workload, in a process of its own."""
    entrant = ENTRANTS[name]
    package = f"import time; a = time.perf_counter(); import {entrant.packages}; b = time.perf_counter()"
    command = [python, str(HERE / "contenders" / f"{entrant.file}.py"), workload]
    if workload == "import":
        command = [python, "-c", f"import json; {package}; print(json.dumps({{'import': b - a}}))"]
    surroundings = environment(name) | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.py: {name} failed at {workload!r}.\n{done.stderr[-2_000:]}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def environment(name: str) -> dict[str, str]:
    """What the process of a contender goes by."""
    found = {**os.environ, **ENTRANTS[name].environment}
    found.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    paths = [str(HERE.parent), str(HERE / "contenders"), os.environ.get("PYTHONPATH", "")]
    return found | {"PYTHONPATH": os.pathsep.join(paths)}


def agree(workload: str, losses: dict[str, list[float]]) -> None:
    """Stop where a contender did something else."""
    ours = statistics.median(losses.get("torchfunc", [0.0]))
    for name, each in losses.items():
        theirs = statistics.median(each)
        if abs(ours - theirs) > MOST * max(ours, theirs, LEAST):
            raise SystemExit(
                f"bench.py: {workload!r} ends with a loss of {ours:.4g}, and of {theirs:.4g} by {name}."
            )


def rows(workload: str, measured: Rounds, rounds: int) -> list[dict[str, Any]]:
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
            "rounds": rounds,
        }
        for what, times in measured.items()
        for name, theirs in times.items()
        if name != "torchfunc" and "torchfunc" in times
        for ratios in [[a / b for a, b in zip(times["torchfunc"], theirs, strict=True)]]
    ]


def amount(row: dict[str, Any], whose: str) -> str:
    """A time or a memory, in a unit in which it has few digits."""
    if row["workload"] == "memory":
        return f"{row[whose]:.0f} MB"
    size, unit = next(
        each for each in ((1, "s"), (1e-3, "ms"), (1e-6, "us")) if row[whose] >= each[0] or each[0] == 1e-6
    )
    return f"{row[whose] / size:.3g} {unit}"


def write(path: Path, new: list[dict[str, Any]], threads: int, versions: dict[str, str]) -> None:
    """Keep rows beside what they were measured on; what was kept of other workloads and contenders stays."""
    pairs = {(row["workload"], row["against"]) for row in new}
    kept = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    kept = [row for row in kept if (row["workload"], row["against"]) not in pairs]
    measures = list(dict.fromkeys(row["what"] for row in [*new, *kept]))
    order = list(WORKLOADS), measures, list(ENTRANTS)
    table = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {threads} threads",
        "versions": {"torchfunc": torchfunc.__version__} | versions,
        "workloads": WORKLOADS,
        "rows": sorted(
            [*kept, *new],
            key=lambda row: [
                each.index(row[key]) for each, key in zip(order, ("workload", "what", "against"), strict=True)
            ],
        ),
    }
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def interpreters(pythons: dict[str, str]) -> dict[str, str]:
    """The interpreter that each package is asked of for its version."""
    of = {"jax": "keras-jax", "tensorflow": "keras-tensorflow"}
    return {name: pythons.get(of.get(name, name), sys.executable) for name in PACKAGES}


def version(name: str, python: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "not installed"


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpus = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpus.read_text().splitlines() if "model name" in line]
        if cpus.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
