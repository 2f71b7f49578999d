"""Progress: what a training shows of itself, as a bar that is redrawn or as one line an epoch."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from torchfunc.errors import DataError, explain
from torchfunc.settings import is_interactive_logging_enabled

WIDTH = 30
INTERVAL = 0.1


class Display:
    """Shows nothing (`verbose=0`); what `Bar` and `Line` show is theirs to say."""

    due = float("inf")

    def epoch(self, epoch: int, epochs: int) -> None:
        """An epoch of a training begins."""

    def start(self, steps: int | None) -> None:
        """A pass over `steps` batches begins; None where their number is unknown."""

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        """Show that `step` batches are done; called when `due` has come."""

    def pause(self, step: int, logs: Mapping[str, Any]) -> None:
        """The training part of an epoch is over; its validation begins."""

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        """The pass is over."""

    def leave(self) -> None:
        """Whatever happened, the next thing that is printed begins on a line of its own."""


class Line(Display):
    """One line for each pass: `750/750 - 2s - loss: 0.3530 - accuracy: 0.9002`."""

    def __init__(self) -> None:
        self.steps: int | None = None
        self.begun = 0.0

    def epoch(self, epoch: int, epochs: int) -> None:
        print(f"Epoch {epoch + 1}/{epochs}", flush=True)

    def start(self, steps: int | None) -> None:
        self.steps, self.begun = steps, time.perf_counter()

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        print(self._final(step, logs), flush=True)

    def _final(self, step: int, logs: Mapping[str, Any]) -> str:
        return f"{self._count(step, step)} - {time.perf_counter() - self.begun:.0f}s{shown(logs)}"

    def _count(self, step: int, steps: int | None) -> str:
        return f"{step}/{'Unknown' if steps is None else steps}".rjust(2 * len(str(steps or "")) + 1)


class Bar(Line):
    """A bar for each pass, redrawn in place ten times a second where the output is a terminal.

    Elsewhere only its last state is printed, so that a log file holds a clean line and no control
    characters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = bool(getattr(sys.stdout, "isatty", bool)())
        self._open = 0

    def start(self, steps: int | None) -> None:
        super().start(steps)
        self.due = self.begun + INTERVAL if self.live else float("inf")

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._put(
            f"{self._count(step, self.steps)} {self._bar(step)} - {self._eta(step)}{shown(logs())}"[:width]
        )
        self.due = time.perf_counter() + INTERVAL

    def pause(self, step: int, logs: Mapping[str, Any]) -> None:
        if self.live:
            self._put(self._final(step, logs))

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        self._put(self._final(step, logs))
        self.leave()

    def leave(self) -> None:
        if self._open:
            print(flush=True)
        self._open = 0
        self.due = float("inf")

    def _put(self, text: str) -> None:
        """Print over what stands in the line, blanks included where it was longer."""
        print(("\r" if self._open else "") + text.ljust(self._open), end="", flush=True)
        self._open = len(text)

    def _final(self, step: int, logs: Mapping[str, Any]) -> str:
        spent = time.perf_counter() - self.begun
        speed = per_step(spent / max(step, 1))
        return f"{self._count(step, step)} [{'=' * WIDTH}] - {spent:.0f}s {speed}{shown(logs)}"

    def _bar(self, step: int) -> str:
        if not self.steps:
            return f"[{'.' * WIDTH}]"
        done = min(WIDTH * step // self.steps, WIDTH)
        return "[" + ("=" * max(done - 1, 0) + ">" if done < WIDTH else "=" * WIDTH).ljust(WIDTH, ".") + "]"

    def _eta(self, step: int) -> str:
        spent = time.perf_counter() - self.begun
        if not self.steps:
            return f"{spent:.0f}s {per_step(spent / step)}"
        return f"ETA: {clock(spent / step * (self.steps - step))}"


def display_of(verbose: str | int) -> Display:
    """What `verbose` asks for: 0 nothing, 1 or "auto" a bar, 2 a line.

    Raises:
        DataError: it asks for something else.
    """
    usual = Bar if is_interactive_logging_enabled() else Line
    known: dict[Any, type[Display]] = {"auto": usual, 0: Display, 1: Bar, 2: Line}
    if not isinstance(verbose, (str, int)) or verbose not in known:
        raise DataError(explain("verbose", got=repr(verbose), expected="'auto', 0, 1 or 2"))
    return known[verbose]()


def shown(logs: Mapping[str, Any]) -> str:
    """The values of the logs in their order: ` - loss: 0.3530 - accuracy: 0.9002`."""
    return "".join(f" - {name}: {number(value)}" for name, value in logs.items())


def number(value: Any) -> str:
    """A value with 4 decimals, or in scientific form where these would be zeros."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(number, value))}]"
    return f"{value:.4f}" if value == 0 or abs(value) > 1e-3 else f"{value:.4e}"


def per_step(seconds: float) -> str:
    """A duration in the unit that suits it: `2ms/step`."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def clock(seconds: float) -> str:
    """A duration as `5s`, `1:05` or `2:01:05`."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole}s"
