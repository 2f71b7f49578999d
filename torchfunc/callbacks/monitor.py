"""MonitorCallback: a callback that watches one value of the logs become better or worse."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any, Literal

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.distributed.launch import is_first
from torchfunc.errors import TorchfuncError, UnknownNameError, explain, shorten

Direction = Literal["auto", "min", "max"]

_RISING = (
    "acc",
    "auc",
    "f1",
    "fbeta",
    "precision",
    "recall",
    "iou",
    "r2",
    "true_",
    "sensitivity",
    "specificity",
)
_FALLING = ("loss", "error", "entropy", "divergence", "hinge", "poisson", "false_", "log_cosh")
_FALLING_WORDS = {"mse", "mae", "mape", "msle", "rmse", "kld", "logcosh", "perplexity"}


class MonitorCallback(Callback):
    """Base of the callbacks that watch one value.

    Args:
        monitor: its name in the logs.
        mode: whether smaller ("min") or larger ("max") is better; "auto" goes by the name.
        min_delta: a smaller change than this is no improvement.

    Raises:
        TorchfuncError: another mode.
    """

    def __init__(self, monitor: str, *, mode: Direction = "auto", min_delta: float = 0.0) -> None:
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best: float | None = None
        if mode not in ("auto", "min", "max"):
            raise TorchfuncError(
                explain(type(self).__name__, got=f"mode={mode!r}", expected="'auto', 'min' or 'max'")
            )

    def monitor_op(self, value: float, reference: float) -> bool:
        """Whether one value is better than another."""
        return value < reference if self._falls() else value > reference

    def _falls(self) -> bool:
        """Whether smaller is better."""
        if self.mode != "auto":
            return self.mode == "min"
        name = self.monitor.removeprefix("val_").lower()
        if any(part in name for part in _FALLING) or _FALLING_WORDS & set(re.split(r"[^a-z0-9]+", name)):
            return True
        if any(part in name for part in _RISING):
            return False
        raise TorchfuncError(
            explain(
                type(self).__name__,
                got=f"monitor={self.monitor!r}",
                why="the name does not tell whether larger or smaller is better",
                fix="mode='max' or mode='min'",
            )
        )

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`.

        NaN is better than nothing, and any number is better than NaN or than none.

        Raises:
            TorchfuncError: the mode is "auto", and the name does not tell what is better.
        """
        falls = self._falls()
        if math.isnan(value) or reference is None or math.isnan(reference):
            return not math.isnan(value)
        return (reference - value if falls else value - reference) > self.min_delta

    def monitored(self, logs: Logs) -> float | None:
        """The watched value; None in an epoch that was not validated (`validation_freq`).

        Raises:
            UnknownNameError: nothing of that name is logged.
            TorchfuncError: it is no single number.
        """
        logs = logs or {}
        if self.monitor in logs:
            return self._number(logs[self.monitor])
        validated = any(name.startswith("val_") for name in logs)
        if self.monitor.startswith("val_") and not validated and self.params.get("validated", True):
            if "validated" not in self.params:  # a loop of the user's own, of which nothing is known
                warnings.warn(
                    f"{type(self).__name__} passes over an epoch whose logs have no {self.monitor!r}.",
                    stacklevel=3,
                )
            return None
        raise UnknownNameError(f"{type(self).__name__} monitor", self.monitor, logs, self._way_out(validated))

    def _number(self, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            who, got = type(self).__name__, f"{self.monitor}={shorten(value)}"
            fix = "monitor='loss', or a metric with average='macro'"
            raise TorchfuncError(explain(who, got=got, expected="a single number", fix=fix)) from None

    def _way_out(self, validated: bool) -> str:
        if self.monitor.startswith("val_") and not validated:
            return "Fix: fit(..., validation_split=0.2) or validation_data=(x, y)."
        return ""

    def say(self, epoch: int, text: str) -> None:
        """Print a line about an epoch where `verbose` asks for it."""
        if getattr(self, "verbose", 0) and is_first():
            print(f"Epoch {epoch + 1}: {text}")


def copied_state(module: Any) -> dict[str, Any]:
    """A module's weights and statistics as they are now, on its own device."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
