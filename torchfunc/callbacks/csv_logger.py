"""CSVLogger: the logs of every epoch as a line of a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.errors import SavingError, explain, shorten

MISSING = "NA"


class CSVLogger(Callback):
    """Writes a header and, after each epoch, a line with `epoch` and every value of the logs.

    A value that comes only later, such as `val_loss`, gets a column of its own; it is "NA" in the lines before.

    Args:
        filename: where to.
        separator: what stands between two values.
        append: whether lines are added to a file that exists; by default it is written anew.

    Raises:
        SavingError: a file to be appended to that is none of this kind.

    Example:
        >>> logger = callbacks.CSVLogger("figures.csv")
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5})
        >>> logger.on_epoch_end(1, {"loss": 0.25, "val_loss": 0.75})
        >>> print(open("figures.csv").read(), end="")
        epoch,loss,val_loss
        0,0.5,NA
        1,0.25,0.75
    """

    writes_once: ClassVar[bool] = True

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = str(filename), separator, append
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._names = self._begun()

    def _begun(self) -> list[str]:
        """The names in the header of the file as it is now; none where the file begins anew."""
        path = Path(self.filename)
        if not self.append or not path.exists():
            path.write_text("", encoding="utf-8")
            return []
        rows = self._rows()
        if rows and rows[0][0] != "epoch":
            raise SavingError(
                explain(
                    "CSVLogger",
                    got=f"{self.filename!r}, which begins with {shorten(rows[0])}",
                    expected=f"a header that begins with 'epoch{self.separator}'",
                    fix="append=False, another filename, or the separator of that file",
                )
            )
        self._rewrite(rows)  # a line that was cut off ends here
        return rows[0] if rows else []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row: dict[str, Any] = {"epoch": epoch, **(logs or {})}
        names = self._begun() if self._names is None else self._names
        self._names = [*names, *(name for name in row if name not in names)]
        if len(self._names) > len(names):
            self._rewrite([self._names, *self._rows()[1:]])
        with Path(self.filename).open("a", newline="", encoding="utf-8") as file:
            self._writer(file).writerow([row.get(name, MISSING) for name in self._names])

    def _rows(self) -> list[list[str]]:
        with Path(self.filename).open(newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file, delimiter=self.separator) if row]

    def _rewrite(self, rows: list[list[str]]) -> None:
        """Write the file anew, every line as long as the header; the old one stands until that is done."""
        path = Path(self.filename)
        written = path.with_name(path.name + ".part")
        with written.open("w", newline="", encoding="utf-8") as file:
            self._writer(file).writerows([*row, *[MISSING] * (len(rows[0]) - len(row))] for row in rows)
        written.replace(path)

    def _writer(self, file: Any) -> Any:
        return csv.writer(file, delimiter=self.separator, lineterminator="\n")
