"""Data sets: batches by their number, and one set of data divided in two."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from torchfunc.errors import DataError, explain


class PyDataset:
    """Batches by their number, for `fit`: a subclass defines `__len__` and `__getitem__(index)`, which gives a batch.

    A subclass may define `num_batches` instead of `__len__`; None says that there is no last batch.

    Args:
        workers: how many threads make batches, ahead of the training, if more than 1.
        use_multiprocessing: whether processes make them instead, from 1 on; what they give must be picklable.
        max_queue_size: how many batches are made ahead at most.

    Example:
        >>> class Squares(utils.PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = torch.arange(4.0).reshape(4, 1) + 4 * index
        ...         return x, x**2
        >>> Trainer(nn.Linear(1, 1)).predict(Squares(workers=2), verbose=0).shape
        (12, 1)
    """

    workers, use_multiprocessing, max_queue_size = (
        1,
        False,
        10,
    )  # of a subclass that does not call this constructor

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """The batch of that number: x, (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index).")

    def __len__(self) -> int:
        return self.num_batches  # type: ignore[return-value]  # Python says what a length must be

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has."""
        if type(self).__len__ is PyDataset.__len__:
            raise NotImplementedError(f"{type(self).__name__} must define __len__().")
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        self.on_epoch_begin()
        yield from self.batches()
        self.on_epoch_end()

    def batches(self, seed: int | None = None) -> Iterator[Any]:
        """The batches of an epoch, with a seed in an order of its own; the hooks are for who asks for them to call."""
        count = self.num_batches
        shuffled = seed is not None and count is not None
        order = torch.randperm(count or 0, generator=torch.Generator().manual_seed(seed or 0)).tolist()
        if self.use_multiprocessing and self.workers and count is not None:
            ahead, source = math.ceil(self.max_queue_size / self.workers), cast("Dataset[Any]", self)
            options: Any = {"num_workers": self.workers, "prefetch_factor": max(ahead, 1)}
            if (
                multiprocessing.get_start_method() != "forkserver"
            ):  # the server is the parent, and ends with ours
                options["worker_init_fn"] = partial(_end_without, os.getpid())
            return iter(DataLoader(source, None, sampler=order if shuffled else None, **options))
        indices = itertools.count() if count is None else order if shuffled else range(count)
        if self.workers > 1:
            return _ahead(self.__getitem__, indices, self.workers, self.max_queue_size)
        return map(self.__getitem__, indices)

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch."""


def _end_without(parent: int, worker: int) -> None:
    """End this worker if its parent was killed before it began: it would take another for that, and wait for ever."""
    if os.getppid() != parent:
        os._exit(1)


def _ahead(make: Callable[[int], Any], indices: Iterable[int], workers: int, most: int) -> Iterator[Any]:
    """What threads make, in order, at most so many of them before they are asked for."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            for index in indices:
                waiting.append(pool.submit(make, index))
                if len(waiting) >= max(most, 1):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


Sequence = PyDataset  # its older name


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset[Any], Dataset[Any]]:
    """Data divided in two, each a `torch.utils.data.Dataset`.

    Args:
        dataset: a Dataset with a length, an array, or a tuple or list of arrays of one length.
        left_size: how many samples the first part has, or which share of them (a float from 0 to 1).
        right_size: the same of the second; what the other leaves if None.
        shuffle: whether samples are drawn, and not taken from the front.
        seed: of the draw.
        preferred_backend: "torch", the one there is, or None.

    Returns:
        Two `torch.utils.data.Subset`.

    Raises:
        DataError: no size, or sizes that do not fit the data; another backend.

    Example:
        >>> train, test = utils.split_dataset((np.arange(10), np.arange(10) ** 2), left_size=0.8)
        >>> len(train), len(test), test[0]
        (8, 2, (tensor(8), tensor(64)))
    """
    if preferred_backend not in (None, "torch"):
        raise DataError(explain("preferred_backend", got=repr(preferred_backend), expected="'torch' or None"))
    data = dataset if isinstance(dataset, Dataset) else TensorDataset(*map(_tensor, _parts(dataset)))
    total = len(data)  # type: ignore[arg-type]
    if left_size is None and right_size is None:
        raise DataError(explain("split_dataset", got="no size", expected="left_size, right_size or both"))
    left, right = (_count(name, size, total) for name, size in (("left", left_size), ("right", right_size)))
    left = total - right if left is None and right is not None else left
    right = total - left if right is None and left is not None else right
    assert left is not None and right is not None
    if left + right > total:
        got = f"{left} and {right} samples of {total}"
        raise DataError(explain("split_dataset", got=got, expected="no more than there are"))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    order = torch.randperm(total, generator=generator).tolist() if shuffle else list(range(total))
    return Subset(data, order[:left]), Subset(data, order[left : left + right])


def _parts(dataset: Any) -> tuple[Any, ...]:
    arrays = isinstance(dataset, (tuple, list)) and all(hasattr(each, "shape") for each in dataset)
    return tuple(dataset) if arrays else (dataset,)


def _tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))


def _count(name: str, size: float | None, total: int) -> int | None:
    if size is None:
        return None
    count = round(size * total) if isinstance(size, float) else size
    if not 0 < count < total or isinstance(size, bool):
        got, expected = f"{name}_size={size!r}", f"a share between 0 and 1, or 1 to {total - 1} samples"
        raise DataError(explain("split_dataset", got=got, expected=expected))
    return count
