"""Columns: datasets that hold columns by name, as those of Hugging Face's `datasets`, told by what they can do."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from torchfunc.errors import DataError


def holds_columns(x: Any) -> bool:
    """Whether something is a dataset of columns, whole."""
    return hasattr(x, "column_names") and hasattr(x, "with_format") and hasattr(x, "__iter__")


def is_column(x: Any) -> bool:
    """Whether something is one column of such a dataset, which is read when it is asked for."""
    return type(x).__name__ == "Column" and type(x).__module__.startswith("datasets.")


def column_loader(x: Any, batch_size: int, *, shuffle: bool, pinned: bool) -> DataLoader[Any]:
    """Batches of a dataset of columns, each a dict of tensors; its own format is taken where it has one.

    Raises:
        DataError: no rows.
    """
    formatted = x if _format_of(x) is not None else x.with_format("torch")
    generator = torch.Generator()
    if not hasattr(x, "__len__"):
        return DataLoader(formatted, batch_size, generator=generator, pin_memory=pinned)
    if not len(x):
        raise DataError(f"the {type(x).__name__} has 0 rows. Fix: check how the data were filtered or split.")
    order = RandomSampler(formatted, generator=generator) if shuffle else SequentialSampler(formatted)
    rows: Any = BatchSampler(order, batch_size, drop_last=False)
    # a list of rows is read at once, which is many times faster than row by row
    return DataLoader(formatted, None, sampler=rows, generator=generator)


def _format_of(x: Any) -> Any:
    told = getattr(x, "format", None)
    return told.get("type") if isinstance(told, dict) else None
