"""Workers: a training that ends, however that is, leaves no process behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tests.training.modules import mlp
from torchfunc.callbacks import BackupAndRestore, LambdaCallback
from torchfunc.training import Trainer
from torchfunc.utils import PyDataset

LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 4000

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.001)
        return np.full(8, index % 5, "float32"), index % 3


class Batches(PyDataset):
    def __len__(self) -> int:
        return 500

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.01)
        return np.full((8, 8), index % 5, "float32"), np.full(8, index % 3)


SOURCES: dict[str, Any] = {
    "loader": lambda: DataLoader(Rows(), 8, num_workers=2),
    "PyDataset": lambda: Batches(workers=2, use_multiprocessing=True),
}


def fitted(source: Any, *callbacks: Any) -> None:
    Trainer(mlp(), optimizer="sgd", loss=LOGITS).fit(source, epochs=3, verbose=0, callbacks=list(callbacks))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("source", SOURCES)
def test_what_interrupts_a_training_ends_its_workers(source: str, error: Any) -> None:
    before, seen = set(multiprocessing.active_children()), set[Any]()

    def fail(batch: int, logs: Any) -> None:
        seen.update(multiprocessing.active_children())
        if batch == 3:
            raise error

    with pytest.raises(error):
        fitted(SOURCES[source](), LambdaCallback(on_train_batch_end=fail))

    mine = seen - before
    assert len(mine) == 2
    for each in mine:
        each.join(10)
    assert not any(each.is_alive() for each in mine)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for where Linux tells")
def test_a_process_that_is_asked_to_end_takes_its_workers_with_it(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "tests.training.test_workers", str(tmp_path)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert run.stdout is not None and run.stdout.readline() == "under way\n"
        assert len(of_session(run.pid)) == 3
        os.kill(run.pid, signal.SIGTERM)
        assert run.wait(30) == 128 + signal.SIGTERM
        until = time.monotonic() + 10
        while of_session(run.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not of_session(run.pid) and any(tmp_path.iterdir())
    finally:
        if run.stdout is not None:
            run.stdout.close()
        for left in of_session(run.pid):
            os.kill(left, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are begun otherwise elsewhere")
def test_workers_that_are_just_begun_end_where_their_parent_is_killed() -> None:
    run = [sys.executable, "-m", "tests.training.test_workers"]
    # the call returns when nobody holds what it reads
    assert subprocess.run(run, capture_output=True, check=False, timeout=60).returncode == -signal.SIGKILL


def of_session(session: int) -> list[int]:
    """The processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(its) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


if __name__ == "__main__" and len(sys.argv) == 1:
    multiprocessing.set_start_method("fork")
    torch.set_num_threads = lambda number: time.sleep(1)  # the first thing that a worker does
    began = iter(Batches(workers=2, use_multiprocessing=True).batches())
    os.kill(os.getpid(), signal.SIGKILL)
elif __name__ == "__main__":
    told = LambdaCallback(
        on_train_batch_end=lambda batch, logs: batch == 2 and print("under way", flush=True)
    )
    fitted(SOURCES["loader"](), told, BackupAndRestore(sys.argv[1]))
