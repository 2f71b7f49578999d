"""Compiled: the options of a training that `compile` takes, checked one by one, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torchfunc.errors import CompileError, explain, shorten
from torchfunc.training.options.precision import PRECISIONS


@dataclass(frozen=True)
class Options:
    """What belongs to a training besides its optimizer, its loss and its metrics.

    Attributes:
        precision: "bf16" or "fp16" to compute in halves beside weights in float32, "tf32" for matrix products in
            NVIDIA's 19 bits; None for the dtype of the weights.
        deterministic: whether PyTorch takes deterministic algorithms alone.

    Raises:
        CompileError: an option that is of another kind or out of range.
    """

    precision: str | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            expected = "one of " + ", ".join(map(repr, PRECISIONS)) + " or None"
            raise CompileError(explain("precision", got=shorten(self.precision), expected=expected))
        if not isinstance(self.deterministic, bool):
            raise CompileError(
                explain("deterministic", got=shorten(self.deterministic), expected="True or False")
            )

    def get_config(self) -> dict[str, Any]:
        """Those that were chosen, as plain data."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }


NAMES = tuple(each.name for each in fields(Options))
