"""Windows: a long series cut into many short ones, with what each of them is to foretell."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from torchfunc.errors import DataError, explain
from torchfunc.training.batches import drawn_seed


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> DataLoader[Any]:
    """Windows of a series as a `DataLoader`: (batch, sequence_length, ...), views of the series until a batch is made.

    Args:
        data: An array or tensor whose first axis is time.
        targets: What belongs to the window that begins at each step of `data`; None gives windows alone.
        sequence_length: How many steps a window has.
        sequence_stride: How many steps one window begins after the other.
        sampling_rate: How many steps one step of a window comes after the other.
        batch_size: How many windows a batch has; None gives them one by one.
        shuffle: Whether the order is another one in each epoch; else that of time.
        seed: Of the order; drawn from PyTorch's own if None.
        start_index: The first step that is used.
        end_index: The step before which the last one is.
        format: Taken as in Keras; what comes back is a `DataLoader`.

    Returns:
        A loader of (windows, targets), or of windows alone.

    Raises:
        DataError: numbers that leave no window.

    Example:
        >>> steps = torch.arange(6)
        >>> [batch] = timeseries_dataset_from_array(steps, steps * 10, sequence_length=3, sequence_stride=2)
        >>> batch[0].tolist(), batch[1].tolist()
        ([[0, 1, 2], [2, 3, 4]], [0, 20])
    """
    if format not in ("tf", "grain"):
        raise DataError(explain("format", got=repr(format), expected="'tf' or 'grain', which are alike here"))
    series, total = _tensor(data), len(data)
    for name, number in (
        ("sequence_length", sequence_length), ("sequence_stride", sequence_stride), ("sampling_rate", sampling_rate)
    ):  # fmt: skip
        if not 0 < number <= total:
            raise DataError(explain(name, got=f"{number}", expected=f"1 to {total}, the steps of the data"))
    start, end = start_index or 0, total if end_index is None else end_index
    if not 0 <= start < end <= total:
        got = f"start_index={start_index} and end_index={end_index}"
        raise DataError(explain("a series", got=got, expected=f"0 <= start_index < end_index <= {total}"))
    span = (sequence_length - 1) * sampling_rate + 1
    values = None if targets is None else _tensor(targets)[start:]
    count = end - start - span + 1 if values is None else min(end - start - span + 1, len(values))
    if count <= 0:
        got = f"{end - start} steps" + ("" if values is None else f" and {len(values)} targets")
        fix = f"a smaller sequence_length than {sequence_length}"
        raise DataError(explain("a series", got=got, expected=f"at least {span} for one window", fix=fix))
    windows = series[start : start + count + span - 1].unfold(0, span, sequence_stride)[..., ::sampling_rate]
    windows = windows.movedim(-1, 1)
    dataset: Any = windows if values is None else TensorDataset(windows, values[:count:sequence_stride])
    generator = torch.Generator().manual_seed(drawn_seed() if seed is None else seed) if shuffle else None
    sampler: Any = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
    # a list of places is indexed at once: one gather a batch, where a sample each would be as many
    sampler = sampler if batch_size is None else BatchSampler(sampler, batch_size, drop_last=False)
    return DataLoader(dataset, batch_size=None, sampler=sampler)


def _tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
