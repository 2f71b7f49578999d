"""What is told while a program runs: a bar of one's own, and whether a file may be written over."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from torchfunc.errors import DataError, explain
from torchfunc.training import progress


class Progbar:
    """A bar of progress, redrawn where there is a terminal: `12/40 [=====>..............] 3s 250ms/step - loss: 0.2513`

    Args:
        target: How many steps there are; None if that is not known.
        width: Of the bar, in characters.
        verbose: 0 shows nothing, 1 a bar, 2 a line at the end.
        interval: The least time between two drawings, in seconds.
        stateful_metrics: The names of values that are shown as they came last; others are averaged.
        stateless_metrics: Or, the names of those that are averaged; others are shown as they came last.
        unit_name: What a step is called.

    Raises:
        DataError: both are given, the names of those averaged and of those not.

    Example:
        >>> bar = utils.Progbar(target=4, verbose=2)
        >>> for _ in range(4):
        ...     bar.add(1, [("loss", 0.5)])
        4/4 ... - loss: 0.5000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Collection[str] | None = None,
        stateless_metrics: Collection[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            got = "stateful_metrics and stateless_metrics"
            raise DataError(explain("Progbar", got=got, expected="one of both", fix="leave one out"))
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics, self.stateless_metrics = stateful_metrics, stateless_metrics
        self.unit_name = unit_name
        self.seen_so_far = 0
        self._values: dict[str, tuple[float, float]] = {}
        self._begun, self._drawn = time.perf_counter(), 0.0

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Say how many steps are done, with pairs of a name and a value of them."""
        steps = max(current - self.seen_so_far, 1)
        for name, value in values or ():
            total, count = self._values.get(name, (0.0, 0.0))
            averaged = self.stateless_metrics
            last = name in (self.stateful_metrics or ()) if averaged is None else name not in averaged
            self._values[name] = (
                (float(value), 1.0) if last else (total + float(value) * steps, count + steps)
            )
        self.seen_so_far = current
        done = current >= self.target if finalize is None and self.target is not None else bool(finalize)
        now = time.perf_counter()
        if self.verbose == 0 or (not done and (self.verbose == 2 or now - self._drawn < self.interval)):
            return
        live = self.verbose == 1 and bool(getattr(sys.stdout, "isatty", bool)())
        if done or live:
            self._drawn, line = now, self._line(now)
            if live:
                width = progress.columns()
                lines = progress.folded(line, width) if done else [line]
                shown = [progress.cut(each, width) for each in lines]
                shown[0] += " " * (width - progress.cells(shown[0]))  # over what stood there before
                line = "\r" + "\n".join(shown)
            print(line, end="\n" if done else "", flush=True)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Say that `n` more steps are done."""
        self.update(self.seen_so_far + n, values)

    def _line(self, now: float) -> str:
        shown = "".join(f" - {name}: {total / count:.4f}" for name, (total, count) in self._values.items())
        count, bar = progress.count(self.seen_so_far, self.target), ""
        if self.target and self.verbose == 1:
            bar = f" [{progress.filled(self.seen_so_far, self.target, self.width)}]"
        spent = now - self._begun
        each = spent / max(self.seen_so_far, 1) * 1000
        return f"{count}{bar} {spent:.0f}s {each:.0f}ms/{self.unit_name}{shown}"


def ask_to_proceed_with_overwrite(filepath: str | Path) -> bool:
    """Ask at the terminal whether a file may be written over, until the answer is y or n.

    Args:
        filepath: the file that is named in the question.

    Returns:
        Whether the answer was y.

    Example:
        >>> import builtins
        >>> asked, builtins.input = builtins.input, lambda question: print(question.strip()) or "n"
        >>> utils.ask_to_proceed_with_overwrite("model.safetensors")
        [WARNING] model.safetensors already exists - overwrite? [y/n]
        False
        >>> builtins.input = asked
    """
    question = f"[WARNING] {filepath} already exists - overwrite? [y/n] "
    while (answer := input(question).strip().lower()) not in ("y", "n"):
        question = "Enter y (overwrite) or n (cancel). "
    return answer == "y"


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch as `fit` takes it: x, (x, y) or (x, y, sample_weight); x that is a tuple or list stays in a tuple.

    Args:
        x: inputs.
        y: targets.
        sample_weight: weights of samples.

    Returns:
        x, or a tuple.

    Example:
        >>> utils.pack_x_y_sample_weight("x", "y"), utils.pack_x_y_sample_weight(["a", "b"])
        (('x', 'y'), (['a', 'b'],))
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (tuple, list)) else x


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """A batch as (x, y, sample_weight), with None for what it does not hold.

    Args:
        data: a batch: x, or a tuple or list of up to three.

    Returns:
        A tuple of three.

    Raises:
        ValueError: a tuple of more than three.

    Example:
        >>> utils.unpack_x_y_sample_weight(("x", "y"))
        ('x', 'y', None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) not in (1, 2, 3):
        raise ValueError(
            f"unpack_x_y_sample_weight: expected x, (x, y) or (x, y, sample_weight), got {len(data)} items."
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight
