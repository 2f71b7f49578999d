"""CSVLogger: the logs of every epoch as a line of a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from torchfunc.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Writes a header and, after each epoch, a line with `epoch` and every value of the logs.

    Args:
        filename: where to.
        separator: what stands between two values.
        append: whether lines are added to a file that exists; by default it is written anew.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = str(filename), separator, append
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        path = Path(self.filename)
        self._names = []
        if not self.append or not path.exists():
            path.write_text("", encoding="utf-8")
            return
        with path.open(newline="", encoding="utf-8") as file:
            self._names = next(csv.reader(file, delimiter=self.separator), [])

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row: dict[str, Any] = {"epoch": epoch, **(logs or {})}
        if not self._names:
            self._names = [*row, *self._coming(row)]
            self._write(self._names)
        self._write([row.get(name, "NA") for name in self._names])

    def _coming(self, row: dict[str, Any]) -> list[str]:
        """The values that a later epoch will have, where this one was not validated (`validation_freq`)."""
        if not self.params.get("validated") or any(name.startswith("val_") for name in row):
            return []
        return [f"val_{name}" for name in row if name not in ("epoch", "learning_rate")]

    def _write(self, values: list[Any]) -> None:
        with Path(self.filename).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerow(values)
