"""Limits: where one run of `fit` ends early, which batches it takes, and what is looked at in it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.errors import CompileError, DataError, explain, shorten
from torchfunc.training.batches import Batch, Data
from torchfunc.tree import leaves


@dataclass(frozen=True)
class Limits:
    """What one call of `fit` is told besides data and epochs; see `Trainer.fit`.

    Raises:
        CompileError: an argument of another kind or out of range.
    """

    max_steps: int | None = None
    max_time: Any = None
    val_check_interval: int | None = None
    fast_dev_run: bool | int = False
    overfit_batches: int | float | None = None
    anomaly: bool = False
    profile: Any = None

    def __post_init__(self) -> None:
        for name in ("max_steps", "val_check_interval"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise _refused(name, value, "None or a whole number from 1")
        if not isinstance(self.fast_dev_run, (bool, int)) or self.fast_dev_run < 0:
            raise _refused("fast_dev_run", self.fast_dev_run, "True, False or a number of batches")
        value = self.overfit_batches
        share = isinstance(value, float) and 0 < value <= 1
        if value is not None and not share and (type(value) is not int or value < 1):
            raise _refused("overfit_batches", value, "a number of batches, or a share of them from 0 to 1")
        if not isinstance(self.anomaly, bool):
            raise _refused("anomaly", self.anomaly, "True or False")
        if self.profile is not None and (not isinstance(self.profile, (str, Path)) or not str(self.profile)):
            raise _refused("profile", self.profile, "the path of a trace file, such as 'trace.json'")
        if self.fast_dev_run and self.overfit_batches is not None:
            got = "fast_dev_run beside overfit_batches"
            raise CompileError(explain("fit", got=got, expected="one of the two"))
        self.seconds()

    def seconds(self) -> float | None:
        """`max_time` in seconds: a number of them, a timedelta, or a text such as "00:08:30:00" (days first)."""
        given = self.max_time
        if isinstance(given, timedelta):
            given = given.total_seconds()
        elif isinstance(given, str):
            parts = given.split(":")
            if len(parts) != 4 or not all(each.isdecimal() for each in parts):
                raise _refused("max_time", given, "'DD:HH:MM:SS', seconds or a timedelta")
            days, hours, minutes, seconds = map(int, parts)
            given = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if given is None:
            return None
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
            raise _refused("max_time", self.max_time, "'DD:HH:MM:SS', seconds or a timedelta")
        return float(given)

    def train(self, data: Data) -> Data:
        """The training data that are taken of all."""
        if self.fast_dev_run:
            return First(data, int(self.fast_dev_run))
        if self.overfit_batches is None:
            return data
        count: Any = self.overfit_batches
        if isinstance(count, float):
            if data.steps is None:
                got, why = f"{count}", "nobody knows how many batches the data make"
                raise DataError(explain("overfit_batches", got=got, why=why, fix="overfit_batches=10"))
            count = max(1, round(count * data.steps))
        return Held(list(itertools.islice(data.epoch(0), count)))

    @property
    def interval(self) -> int | None:
        """After how many batches it is validated; None where it is after epochs, as in a `fast_dev_run`."""
        return None if self.fast_dev_run else self.val_check_interval

    def never_validates(self, count: int, total: int) -> str:
        """What is wrong with an interval at whose end a training never comes; empty where it does.

        Args:
            count: how many batches were done before.
            total: how many there are.
        """
        if self.interval is None or total < 1 or count // self.interval < (count + total) // self.interval:
            return ""
        return explain(
            "val_check_interval",
            got=str(self.interval),
            why=f"there are {total} batches in all, so that no validation comes",
            fix="a smaller number, or leave it out, to validate after each epoch",
        )

    def data(self, train: Data, validations: Mapping[str, Data]) -> tuple[Data, dict[str, Data]]:
        """The training and the validation data that are taken of all.

        Raises:
            CompileError: validation every so many batches, without data for it.
        """
        if self.val_check_interval is not None and not validations:
            got, fix = "no validation data", "fit(..., validation_data=(x, y))"
            raise CompileError(explain("val_check_interval", got=got, fix=fix))
        taken = self.train(train)
        if self.overfit_batches is not None:
            return taken, dict.fromkeys(validations, taken)
        if self.fast_dev_run:
            return taken, {prefix: self.train(each) for prefix, each in validations.items()}
        return taken, dict(validations)

    def callbacks(self, given: list[Any]) -> list[Any]:
        """The callbacks that take part: in a `fast_dev_run` none that writes files."""
        if not self.fast_dev_run:
            return given
        return [
            each for each in given if not (hasattr(each, "save_now") or getattr(each, "writes_once", False))
        ]

    @contextmanager
    def looking(self, module: nn.Module) -> Iterator[None]:
        """Within it anomalies are looked for, if they are asked for."""
        if not self.anomaly:
            yield
            return
        names = {id(each): name for name, each in module.named_modules()}
        hooks = [each.register_forward_hook(_Looking(names[id(each)])) for each in module.modules()]
        try:
            with torch.autograd.set_detect_anomaly(True):
                yield
        finally:
            for hook in hooks:
                hook.remove()


class _Looking:
    """A hook of a layer that refuses what is no number."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        found = [each for each in leaves(outputs) if isinstance(each, Tensor) and each.is_floating_point()]
        if all(bool(each.isfinite().all()) for each in found):
            return
        given = [
            each for each in leaves(list(inputs)) if isinstance(each, Tensor) and each.is_floating_point()
        ]
        fine = all(bool(each.isfinite().all()) for each in given)
        who = f"The layer {self.name!r}" if self.name else type(module).__name__
        got = "NaN or infinity made of finite inputs" if fine else "NaN or infinity in its inputs"
        raise DataError(explain(who, got=got, expected="finite numbers"))


class First:
    """The first batches of every epoch of other data."""

    def __init__(self, data: Data, count: int) -> None:
        self.data, self.count = data, count

    @property
    def steps(self) -> int:
        return self.count if self.data.steps is None else min(self.count, self.data.steps)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        return itertools.islice(self.data.epoch(number, skip), max(self.count - skip, 0))

    def sample(self) -> Batch:
        return self.data.sample()


class Held:
    """The same batches every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    @property
    def steps(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        return iter(self.batches[skip:])

    def sample(self) -> Batch:
        return self.batches[0]


class Profiled:
    """A trace of some batches of a run, written to a file when they are done.

    Args:
        path: of the file, which `chrome://tracing` and Perfetto show.
        first: after which batch it begins; the first is slower than all others.
    """

    COUNT = 10

    def __init__(self, path: str | Path, first: int) -> None:
        self.path, self.first, self.seen = Path(path), first, 0
        self._profile: Any = None

    def after_batch(self) -> None:
        """A batch is done."""
        self.seen += 1
        if self._profile is None and self.seen == self.first:
            self.begin()
        elif self.seen == self.first + self.COUNT:
            self.end()

    def begin(self) -> None:
        """Begin the trace."""
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self._profile = torch.profiler.profile(activities=activities, acc_events=True)
        self._profile.start()

    def end(self) -> None:
        """End the trace, if one was begun, and write it."""
        if self._profile is None:
            return
        self._profile.stop()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._profile.export_chrome_trace(str(self.path))
        self._profile = None


class Clock:
    """Whether a run has come to its limits.

    Args:
        limits: of the run.
        taken: how many steps of the optimizer the training had when it began.
    """

    def __init__(self, limits: Limits, taken: int) -> None:
        self.max_steps, self.seconds = limits.max_steps, limits.seconds()
        self.taken, self.begun = taken, time.monotonic()

    def over(self, steps: int) -> bool:
        """Whether it has, after so many steps of the optimizer."""
        if self.max_steps is not None and steps - self.taken >= self.max_steps:
            return True
        return self.seconds is not None and time.monotonic() - self.begun >= self.seconds


def several(given: Any) -> dict[str, Any] | None:
    """Validation data by the names of several sets; None for one set."""
    if not isinstance(given, Mapping) or not given:
        return None
    if not all(isinstance(name, str) for name in given):
        return None
    sets = [isinstance(each, tuple) or _yields_batches(each) for each in given.values()]
    return dict(given) if all(sets) else None


def _yields_batches(value: Any) -> bool:
    """Whether something gives batches, and is no array and no list of numbers."""
    if hasattr(value, "shape") or isinstance(value, (list, str, dict)):
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__getitem__") or callable(value)


def _refused(name: str, got: Any, expected: str) -> CompileError:
    return CompileError(explain(name, got=shorten(got), expected=expected))
