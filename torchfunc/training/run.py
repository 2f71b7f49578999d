"""Run: what one call of `fit` was asked to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any

from torchfunc.errors import DataError, explain
from torchfunc.training.batches import Arrays, Data
from torchfunc.training.checks import whole_number
from torchfunc.training.convert import is_number
from torchfunc.training.extras import Extras
from torchfunc.training.feed import Feed, limited
from torchfunc.training.progress import Display


@dataclass(frozen=True)
class Run:
    """The data of a training, what they are fed to, when they are validated, and how it is shown."""

    epochs: int
    feed: Feed
    extras: Extras
    train: Data
    validation: Data | None
    validation_freq: int | Container[int]
    display: Display

    def validates_after(self, epoch: int) -> bool:
        """Whether validation follows the epoch with this number, the first being 0."""
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return epoch + 1 in self.validation_freq


def divided(data: Data, fraction: float, batch_size: int | None, steps: int | None) -> tuple[Arrays, Arrays]:
    """Arrays as those to train on and, from their end, those to validate on.

    Raises:
        DataError: no arrays, or a fraction that leaves nothing on one side.
    """
    where = f"validation_split={fraction}"
    if not isinstance(data, Arrays):
        why = "only arrays can be divided"
        raise DataError(explain(where, got="data that come in batches", why=why, fix="give validation_data"))
    if not is_number(fraction) or not 0 < fraction < 1:
        raise DataError(
            explain("validation_split", got=f"{fraction!r}", expected="a fraction between 0 and 1")
        )
    count = data.whole.size
    border = math.floor(count * (1 - fraction))
    if border in (0, count):
        side = "train" if border == 0 else "validate"
        raise DataError(explain(where, got=f"{count} samples", why=f"nothing is left to {side} on"))
    train = Arrays(data.part(0, border), data.batch_size, seed=data.seed, device=data.device)
    train.limit = data.limit
    validation = Arrays(data.part(border, count), batch_size or data.batch_size, device=data.device)
    return train, limited(validation, steps, "validation_steps")


def validation_epochs(given: Any) -> int | Container[int]:
    """How often to validate: every so many epochs, or after these, counted from 1.

    Raises:
        DataError: neither.
    """
    if isinstance(given, Collection) and not isinstance(given, (str, bytes)):
        return {whole_number("validation_freq", each, least=1) for each in given}
    return whole_number("validation_freq", given, least=1, fix="validation_freq=1, or the epochs as a list")


def as_list(logs: Mapping[str, Any]) -> Any:
    """The values of the logs in their order; a single one as it is."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
