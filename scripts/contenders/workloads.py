"""What every contender is given: the data, made of NumPy alone, and what is to be done with them.

W1 to W4 train: the guide's MLP, its small ResNet, its tickets and its autoencoder. The data can be learnt, so that
losses at the end say whether all did the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

WORDS, TAGS, DEPARTMENTS = 10_000, 12, 4
EPOCHS = 3  # timed, after the first


class Work(NamedTuple):
    """A training: inputs and targets by name, the batch, the rate of RMSprop (Adam for the autoencoder)."""

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    batch: int
    validation: int  # rows at the end that are not trained on


def mlp() -> Work:
    """60,000 flat images in ten classes, the last fifth for validation."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=60_000)
    x = rng.random((60_000, 784), dtype=np.float32)
    x[np.arange(60_000), y * 70] += 2.0
    return Work({"img": x}, {"label": y}, 64, 12_000)


def resnet() -> Work:
    """3,200 images of 32 by 32, channels last, in ten classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=3_200)
    x = rng.random((3_200, 32, 32, 3), dtype=np.float32)
    x[np.arange(3_200), :, y * 3, :] += 1.0
    return Work({"img": x}, {"label": y}, 64, 0)


def tickets() -> Work:
    """1,280 tickets: a title of 10 words, a text of 100, twelve tags; a priority and a department."""
    rng = np.random.default_rng(0)
    department = rng.integers(DEPARTMENTS, size=1_280)
    tags = rng.integers(2, size=(1_280, TAGS)).astype(np.float32)
    priority = tags.mean(axis=1, keepdims=True).astype(np.float32)
    title = rng.integers(WORDS // DEPARTMENTS, size=(1_280, 10)) + department[:, None] * (
        WORDS // DEPARTMENTS
    )
    body = rng.integers(WORDS, size=(1_280, 100))
    return Work(
        {"title": title, "body": body, "tags": tags},
        {"priority": priority, "department": np.eye(DEPARTMENTS, dtype=np.float32)[department]},
        32,
        0,
    )


def autoencoder() -> Work:
    """3,200 images of 28 by 28, channels last, which are their own targets."""
    rng = np.random.default_rng(0)
    x = np.kron(rng.random((3_200, 7, 7)), np.ones((4, 4)))[..., None].astype(np.float32)
    return Work({"img": x}, {"img": x}, 64, 0)


TRAININGS: dict[str, Callable[[], Work]] = {
    "mlp": mlp,
    "resnet": resnet,
    "tickets": tickets,
    "autoencoder": autoencoder,
}


class Contender(NamedTuple):
    """What a contender can do. What is None it has no words for.

    Attributes:
        train: makes model and optimizer of a training; returns a function that trains one epoch, validates where there
            are rows for it, and returns the loss of that epoch.
        chain: functions of one batch for the chain of a hundred layers: forward, predict_on_batch, train_on_batch.
        build: makes so many Dense layers in a row.
        rows: of "mlp" or "resnet": a function that evaluates all rows, and one that predicts the first.
        files: makes a model of 100 MB; returns functions that save it to a path, and load it from there.
    """

    train: Callable[[str, Work], Callable[[], float]] | None = None
    chain: Callable[[np.ndarray, np.ndarray], dict[str, Callable[[], object]]] | None = None
    build: Callable[[int], object] | None = None
    rows: Callable[[str, Work], tuple[Callable[[], object], Callable[[], object]]] | None = None
    files: Callable[[], tuple[Callable[[Path], object], Callable[[Path], object]]] | None = None


def main(contender: Contender) -> None:
    """Run the workload that the command line names, and print what was measured, as JSON: seconds by what they are of."""
    name = sys.argv[1]
    print(json.dumps(measured(contender, name)))


def measured(contender: Contender, name: str) -> dict[str, float]:
    if name in TRAININGS and contender.train is not None:
        return training(contender.train, name)
    if name == "memory" and contender.train is not None:
        return memory(contender.train)
    if name == "chain" and contender.chain is not None:
        rng = np.random.default_rng(0)
        x, y = rng.random((32, 64), dtype=np.float32), rng.random((32, 64), dtype=np.float32)
        return {what: of_one(run) for what, run in contender.chain(x, y).items()}
    if name == "build" and contender.build is not None:
        return building(contender.build)
    if name == "rows" and contender.rows is not None:
        found = {}
        for which in ("mlp", "resnet"):
            evaluate, predict = contender.rows(which, TRAININGS[which]())
            found[f"evaluate, {which}"] = of_one(evaluate, 3)
            found[f"one row through predict, {which}"] = of_one(predict)
        return found
    if name == "files" and contender.files is not None:
        return files(*contender.files())
    return {}


def building(make: Callable[[int], object]) -> dict[str, float]:
    """A hundred layers and a thousand; what goes too deep for a contender it has no number for."""
    found = {}
    for count in (100, 1_000):
        with contextlib.suppress(RecursionError):
            found[f"{count} layers"] = of_one(partial(make, count), 3)
    return found


def files(save: Callable[[Path], object], load: Callable[[Path], object]) -> dict[str, float]:
    """Until it is on the disk, and back from what the system still holds."""
    with tempfile.TemporaryDirectory() as folder:

        def saved() -> Path:
            path = Path(folder) / "model"
            path = Path(save(path) or path)
            with path.open("rb+") as file:
                os.fsync(file)
            return path

        path = saved()
        return {"save, with fsync": of_one(saved, 5), "load": of_one(lambda: load(path), 5)}


def training(train: Callable[[str, Work], Callable[[], float]], name: str) -> dict[str, float]:
    """Everything cold for the first epoch, with model and optimizer made; then the median of a few more."""
    work = TRAININGS[name]()
    start = time.perf_counter()
    epoch = train(name, work)
    epoch()
    first = time.perf_counter() - start
    times = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        loss = epoch()
        times.append(time.perf_counter() - start)
    return {"first fit": first, "an epoch": statistics.median(times), "loss": float(loss)}


def memory(train: Callable[[str, Work], Callable[[], float]]) -> dict[str, float]:
    """What training the ResNet adds to the peak of the process, in MB."""
    work = TRAININGS["resnet"]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    epoch = train("resnet", work)
    epoch()
    epoch()
    return {"MB added": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def of_one(run: Callable[[], object], number: int = 0) -> float:
    """The median time of a call, after two to warm up; as many as half a second has room for where no number is given."""
    run()
    run()
    times: list[float] = []
    end = time.perf_counter() + 0.5
    while len(times) < number or (not number and (time.perf_counter() < end or len(times) < 5)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def arrays(named: dict[str, Any]) -> Any:
    """The only one, or all by name, as Keras-like fits take them."""
    return next(iter(named.values())) if len(named) == 1 else named
