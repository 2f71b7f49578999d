"""Kills: processes that train are killed at random batches and begun again, and have to end as one that was not.

    python scripts/kills.py [trainings, 250 by default] [the first number, 0 by default]

Each training is of another kind: optimizers, schedules, dropout, BatchNorm, orders, workers, accumulation, halves.
One that does not go on for a minute writes where each of its threads and workers stands, and ends the script.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
LONGEST = 60.0  # seconds from one batch to the next, and from the last one to the end


def main() -> int:
    """Run the trainings; returns how many ended otherwise."""
    sys.path.insert(0, str(ROOT))
    import torch

    from tests.training.options import trainings

    torch.set_num_threads(1)
    arguments = [int(each) for each in sys.argv[1:]]
    count, first = [*arguments, *(250, 0)[len(arguments) :]]
    wrong = 0
    for number in range(first, first + count):
        setting, chance = trainings.drawn(number), random.Random(number)
        folder = Path(tempfile.mkdtemp(prefix="kills-"))
        whole, kills, found = in_a_child(folder / "whole.pt", setting), 0, None
        while found is None:
            # killed once at least, and then as often as chance wants
            at = chance.randint(1, 16) if not kills or chance.random() < 0.5 else None
            found = in_a_child(
                folder / "end.pt", setting, folder / "backup", chance.randint(1, 3), at, chance.random()
            )
            kills += found is None
        differing = trainings.differences(whole, found)
        wrong += bool(differing) or not kills
        told = differing[:3] if differing else "to the bit"
        print(f"{number:4d}  {kills} kills  {told}  {setting}", flush=True)
        shutil.rmtree(folder)
    print(f"{count - wrong} of {count} trainings, each killed at a random batch, ended to the bit.")
    return wrong


def in_a_child(
    result: Path,
    setting: Any,
    backup: Path | None = None,
    save_freq: int = 1,
    kill_at: int | None = None,
    late: float = 0.0,
) -> Any:
    """What a training made in a process of its own; None where that was killed on the way.

    Args:
        result: where the child leaves it.
        setting: of the training.
        backup: the folder of its backup, if it has one.
        save_freq: after how many batches it is written.
        kill_at: after how many batches the child is killed, if it is.
        late: how many hundredths of a second after that, which may fall into the next batch or into a save.
    """
    import torch

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # a group, to which its workers will belong
        faulthandler.register(signal.SIGUSR1)
        trained(result, setting, backup, save_freq, writing)
        os._exit(0)
    os.close(writing)
    try:
        for _ in range(kill_at or 0):
            if not select.select([reading], [], [], LONGEST)[0]:
                say_where_it_stands(child, setting)
            os.read(reading, 1)
        if kill_at is not None:
            time.sleep(late / 100)
            os.kill(child, signal.SIGKILL)
        status = status_of(child, setting)
    finally:
        # a worker that was begun a moment before its parent was killed takes another one for it, and waits for ever
        end_group(child)
        os.close(reading)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and kill_at is not None:
        return None
    if status:
        sys.exit(f"a training failed: {setting}")
    return torch.load(result)


def trained(result: Path, setting: Any, backup: Path | None, save_freq: int, writing: int) -> None:
    """Train in this process, and write a byte after each batch."""
    import torch

    from tests.training.options import trainings
    from torchfunc import callbacks

    class Tell(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            os.write(writing, b".")

    model = trainings.made(setting)
    more = [] if backup is None else [callbacks.BackupAndRestore(backup, save_freq=save_freq)]
    trainings.fitted(model, setting, [*more, Tell()])
    torch.save(trainings.end_of(model), result)


def status_of(child: int, setting: Any) -> int:
    """How a child ended; its pipe would not say that it did, for its workers hold it too."""
    latest = time.monotonic() + LONGEST
    while time.monotonic() < latest:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    return say_where_it_stands(child, setting)


def say_where_it_stands(child: int, setting: Any) -> NoReturn:
    """Have a child and its workers write the stacks of their threads, and end."""
    os.killpg(child, signal.SIGUSR1)
    time.sleep(1)  # which is for writing
    sys.exit(f"a training stood still for {LONGEST:.0f} seconds, where the stacks above say: {setting}")


def end_group(child: int) -> None:
    """Kill what is left of a child and its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(bool(main()))
