"""Progress: what a training shows of itself, as a bar that is redrawn or as one line an epoch."""

from __future__ import annotations

import html
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from torchfunc.distributed.launch import is_first
from torchfunc.errors import DataError, explain
from torchfunc.settings import is_interactive_logging_enabled

WIDTH = 30
INTERVAL = 0.1
# Seconds into a pass at which a log file gets a line; one a minute after them.
FIRST_LINES = (10.0, 30.0, 60.0)


class Display:
    """Shows nothing (`verbose=0`); what `Bar` and `Line` show is theirs to say."""

    due = float("inf")

    def epoch(self, epoch: int, epochs: int) -> None:
        """An epoch of a training begins."""

    def say(self, text: str) -> None:
        """Something worth knowing of the training, which is no figure."""

    def start(self, steps: int | None) -> None:
        """A pass over `steps` batches begins; None where their number is unknown."""

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        """Show that `step` batches are done; called when `due` has come."""

    def pause(self, step: int, logs: Mapping[str, Any], steps: int | None) -> None:
        """The training part of an epoch is over; its validation of `steps` batches begins, and is drawn too."""

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        """The pass is over."""

    def leave(self) -> None:
        """Whatever happened, the next thing that is printed begins on a line of its own."""


class Line(Display):
    """One line for each pass: `750/750 - 2s - loss: 0.3530 - accuracy: 0.9002`."""

    def __init__(self) -> None:
        self.steps: int | None = None
        self.begun = 0.0
        self.validated: tuple[int, int | None] | None = None  # batches of validation: done, and all

    def epoch(self, epoch: int, epochs: int) -> None:
        print(f"Epoch {epoch + 1}/{epochs}", flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)

    def start(self, steps: int | None) -> None:
        self.steps, self.begun, self.validated = steps, time.perf_counter(), None

    def pause(self, step: int, logs: Mapping[str, Any], steps: int | None) -> None:
        self.validated = (0, steps)

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        print(self._final(step, logs), flush=True)

    def _final(self, step: int, logs: Mapping[str, Any]) -> str:
        return f"{count(step, step)} - {self._spent:.0f}s{shown(logs)}"

    @property
    def _spent(self) -> float:
        return time.perf_counter() - self.begun


class Bar(Line):
    """A bar for each pass; a log file holds its last state, and a line now and then where a pass is long.

    No control characters are written: `LiveBar` is what is redrawn in place.
    """

    def say(self, text: str) -> None:
        pass

    def start(self, steps: int | None) -> None:
        super().start(steps)
        self.due = self.begun + FIRST_LINES[0]

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        if self.validated is None:
            text = f"{count(step, self.steps)} - {self._left(step)}{shown(logs())}"
        else:
            text = f"validation {count(step, self.validated[1])} - {self._spent:.0f}s"
        print(text, flush=True)
        later = [each for each in FIRST_LINES if each > self._spent]
        self.due = self.begun + (later[0] if later else self._spent + FIRST_LINES[-1])

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        super().finish(step, logs)
        self.due = float("inf")

    def leave(self) -> None:
        self.due = float("inf")

    def _final(self, step: int, logs: Mapping[str, Any]) -> str:
        speed = per_step(self._spent / max(step, 1))
        return f"{count(step, step)} [{'=' * WIDTH}] - {self._spent:.0f}s {speed}{shown(logs)}"

    def _left(self, step: int) -> str:
        """The time that is left, or that was spent where nobody knows, and the time of a step."""
        each = self._spent / max(step, 1)
        if not self.steps:
            return f"{clock(self._spent)} {per_step(each)}"
        return f"ETA: {clock(each * max(self.steps - step, 0))} {per_step(each)}"


class LiveBar(Bar):
    """A bar that is redrawn in its line ten times a second, and never fills more than one line.

    What anybody else prints meanwhile goes to lines of its own above the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self._out: TextIO = sys.stdout
        self._open = 0
        self._trained: tuple[int, Mapping[str, Any]] = 0, {}
        self._beside: list[_Beside] = []

    def epoch(self, epoch: int, epochs: int) -> None:
        self.leave()
        super().epoch(epoch, epochs)

    def start(self, steps: int | None) -> None:
        super().start(steps)
        self.due = self.begun + INTERVAL
        if not self._beside:
            self._out = sys.stdout
            self._beside = [_Beside(self, name) for name in ("stdout", "stderr")]

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        if self.validated is not None:
            self.validated = (step, self.validated[1])
            self._put(self._validation())
        else:
            self._put(self._fitted(step, self.steps, f"{self._left(step)}{shown(logs())}"))
        self.due = time.perf_counter() + INTERVAL

    def pause(self, step: int, logs: Mapping[str, Any], steps: int | None) -> None:
        super().pause(step, logs, steps)
        self._trained = step, dict(logs)
        if time.perf_counter() >= self.due:
            self._put(self._validation())
            self.due = time.perf_counter() + INTERVAL

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        self.clear()
        if any(each.is_open for each in self._beside):
            print(file=self._out)
        speed = per_step(self._spent / max(step, 1))
        text = self._fitted(step, step, f"{self._spent:.0f}s {speed}{shown(logs)}")
        print("\n".join(folded(text, columns())), file=self._out, flush=True)
        self._open = 0
        self.leave()

    def leave(self) -> None:
        if self._open:
            print(file=self._out, flush=True)
        self._open = 0
        self.due = float("inf")
        for each in self._beside:
            each.leave()
        self._beside = []

    def clear(self) -> None:
        """Make room for what somebody else prints."""
        if self._open:
            print("\r" + " " * min(self._open, columns()), end="\r", file=self._out, flush=True)
        self._open = 0

    def _validation(self) -> str:
        step, logs = self._trained
        done, steps = self.validated or (0, None)
        return self._fitted(step, step, f"validation {count(done, steps)}{shown(logs)}")

    def _fitted(self, step: int, steps: int | None, rest: str) -> str:
        """The count, a bar as long as there is room for, and the rest."""
        head = count(step, steps)
        room = columns() - cells(f"{head} [] - {rest}")
        width = min(WIDTH, room)
        if width < 5:
            return f"{head} - {rest}"
        return f"{head} [{filled(step, steps, width)}] - {rest}"

    def _put(self, text: str) -> None:
        """Write over what stands in the line, blanks included where it was longer."""
        text = cut(text, columns())
        before = "\r" if self._open else "\n" * any(each.is_open for each in self._beside)
        blanks = " " * max(min(self._open, columns()) - cells(text), 0)
        print(before + text + blanks, end="", file=self._out, flush=True)
        self._open = cells(text)
        for each in self._beside:
            each.is_open = False


class NotebookBar(LiveBar):
    """The bar as one element of a notebook, renewed in place; text alone where IPython is not there."""

    def __init__(self) -> None:
        super().__init__()
        self._element: Any = None
        self._made = _element_of_ipython()

    def epoch(self, epoch: int, epochs: int) -> None:
        self._element = None
        super().epoch(epoch, epochs)

    def finish(self, step: int, logs: Mapping[str, Any]) -> None:
        if self._made is None:
            super().finish(step, logs)
            return
        speed = per_step(self._spent / max(step, 1))
        self._put(f"{count(step, step)} - {self._spent:.0f}s {speed}{shown(logs)}", 1.0)
        self._element = None
        self.leave()

    def draw(self, step: int, logs: Callable[[], Mapping[str, Any]]) -> None:
        if self._made is None:
            super().draw(step, logs)
            return
        if self.validated is not None:
            self.validated = (step, self.validated[1])
            self._put(self._validation(), _part(*self.validated))
        else:
            text = f"{count(step, self.steps)} - {self._left(step)}{shown(logs())}"
            self._put(text, _part(step, self.steps))
        self.due = time.perf_counter() + INTERVAL

    def _put(self, text: str, part: float | None = None) -> None:
        if self._made is None:
            super()._put(text)
            return
        if not text:
            return
        made = element(text, part)
        if self._element is None:
            self._element = self._made(made)
        else:
            self._element(made)

    def clear(self) -> None:
        if self._made is None:
            super().clear()

    def _fitted(self, step: int, steps: int | None, rest: str) -> str:
        return super()._fitted(step, steps, rest) if self._made is None else f"{count(step, steps)} - {rest}"


def _part(step: int, steps: int | None) -> float | None:
    return step / steps if steps else None


def element(text: str, part: float | None) -> str:
    """A bar in HTML, filled in part, or moving where nobody knows how far it is; the text is escaped."""
    value = "" if part is None else f' value="{min(max(part, 0.0), 1.0):.3f}"'
    return (
        '<div style="font-family: monospace; white-space: pre-wrap">'
        f'<progress max="1"{value} style="width: 16em; vertical-align: middle"></progress> {html.escape(text)}</div>'
    )


def _element_of_ipython() -> Callable[[str], Callable[[str], Any]] | None:
    """What shows a new element of HTML and returns what renews it, or None without IPython."""
    try:
        from IPython.display import HTML  # type: ignore[import-not-found]
        from IPython.display import display as show
    except ImportError:
        return None

    def made(text: str) -> Callable[[str], Any]:
        handle = show(HTML(text), display_id=True)
        return (lambda new: handle.update(HTML(new))) if handle is not None else (lambda new: None)

    return made


class _Beside:
    """Stands for a stream of the process while a bar is drawn, so that what others write has lines of its own."""

    def __init__(self, bar: LiveBar, name: str) -> None:
        self._bar, self._name, self._stream = bar, name, getattr(sys, name)
        self.is_open = False  # whether the last text did not end its line
        setattr(sys, name, self)

    def write(self, text: str) -> int:
        if text:
            self._bar.clear()
            self.is_open = not text.endswith("\n")
        written: int = self._stream.write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for each in lines:
            self.write(each)

    def leave(self) -> None:
        """The stream stands for itself again, where nobody has put another there meanwhile."""
        if getattr(sys, self._name) is self:
            setattr(sys, self._name, self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def display(verbose: str | int) -> Display:
    """What `verbose` asks for: 0 nothing, 1 or "auto" a bar, 2 a line.

    Raises:
        DataError: it asks for something else.
    """
    usual = _bar if is_interactive_logging_enabled() else Line
    known: dict[Any, Callable[[], Display]] = {"auto": usual, 0: Display, 1: _bar, 2: Line}
    if not isinstance(verbose, (str, int)) or verbose not in known:
        raise DataError(explain("verbose", got=repr(verbose), expected="'auto', 0, 1 or 2"))
    return known[verbose]() if is_first() else Display()


def _bar() -> Bar:
    """The bar for what reads it: a notebook, a terminal or a file."""
    if type(sys.stdout).__module__.startswith("ipykernel"):
        return NotebookBar()
    return LiveBar() if bool(getattr(sys.stdout, "isatty", bool)()) else Bar()


def columns() -> int:
    """How many cells of a line may be filled: the last one stays free, since some terminals wrap behind it."""
    return max(shutil.get_terminal_size().columns - 1, 10)


def cells(text: str) -> int:
    """How many cells of a terminal a text fills: two for a wide character, none for what is set over another."""
    return sum(map(_cells_of, text))


def _cells_of(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits into so many cells, with "..." at its end."""
    if cells(text) <= width:
        return text
    kept, filled_cells = [], 3
    for letter in text:
        filled_cells += _cells_of(letter)
        if filled_cells > width:
            break
        kept.append(letter)
    return "".join(kept) + "..."


def folded(text: str, width: int) -> list[str]:
    """The text in lines of so many cells, broken before a figure; those that follow stand in by four."""
    first, *figures = text.split(" - ")
    lines = [first]
    for figure in figures:
        longer = f"{lines[-1]} - {figure}"
        if cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(f"    {figure}")
    return lines


def count(step: int, steps: int | None) -> str:
    """`12/750`, in as many cells from the first to the last."""
    return f"{step}/{'Unknown' if steps is None else steps}".rjust(2 * len(str(steps or "")) + 1)


def filled(step: int, steps: int | None, width: int) -> str:
    """The inside of a bar: `====>.....`."""
    if not steps:
        return "." * width
    done = min(width * step // steps, width)
    return ("=" * max(done - 1, 0) + ">" if done < width else "=" * width).ljust(width, ".")


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
