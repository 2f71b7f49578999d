"""Data: whatever is given to `fit`, `evaluate` or `predict`, as batches on the device.

Arrays are moved to the device once and indexed there; everything that yields batches itself (a
DataLoader, a generator, any iterable) is passed through.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from torchfunc.distributed.parts import Part, part_of
from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import DataError, explain
from torchfunc.training.convert import is_array
from torchfunc.training.ports import Form
from torchfunc.training.sources.columns import column_loader, holds_columns
from torchfunc.training.sources.sparse_rows import cut, dense, rows_at

SMALL = 2**18  # bytes of a batch, up to which fetching it costs as much by its calls as by its numbers
FETCHED = 2**21  # bytes of such batches that are fetched together
MOST = 32  # of them


class Batch(NamedTuple):
    """What one step is given.

    Attributes:
        inputs: one tensor for each input.
        targets: one for each output, None where it has none; empty if there are no targets at all.
        weights: sample weights, one tensor for each output or None; None if there are none at all.
        size: the number of samples.
        form: how the module takes the inputs.
        waiting: what inputs and targets are cast to when they are taken, None for each that is used as it is;
            None if all are.
    """

    inputs: list[Tensor]
    targets: list[Tensor | None]
    weights: list[Tensor | None] | None
    size: int
    form: Form = Form()
    waiting: tuple[list[torch.dtype | None], list[torch.dtype | None]] | None = None

    def ready(self) -> Batch:
        """The batch in the dtypes that it is used in."""
        if self.waiting is None:
            return self
        inputs, targets = self.waiting
        return self._replace(
            inputs=[
                each if to is None else dense(each).to(to)
                for each, to in zip(self.inputs, inputs, strict=True)
            ],
            targets=[
                each if each is None or to is None else each.to(to)
                for each, to in zip(self.targets, targets, strict=True)
            ],
            waiting=None,
        )


class Data(Protocol):
    """Batches, epoch after epoch."""

    @property
    def steps(self) -> int | None:
        """How many batches an epoch has; None where that is unknown."""

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of the epoch with this number, the first of the training being 0, after some to skip."""

    def sample(self) -> Batch:
        """A batch to look at, which is not lost for the first epoch."""


class Arrays:
    """Tensors that are indexed where they are.

    Args:
        whole: all the samples as one batch.
        batch_size: of all batches but the last, which may be smaller.
        seed: for the order of the samples, a new one each epoch; None keeps them in order.
        device: where the batches go, for tensors that were too large to go there as a whole.
        ranks: the processes that share the samples out; each takes its part of every joined batch.

    Attributes:
        measured: the samples as they are measured and not learned from: without what their classes weigh.
    """

    def __init__(
        self,
        whole: Batch,
        batch_size: int,
        *,
        seed: int | None = None,
        device: torch.device | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks, self.even = ranks, True  # whether a rank takes batches of any size
        self._joined = batch_size * (1 if ranks is None else ranks.world)
        self.whole, self.batch_size, self.seed, self.device = whole, batch_size, seed, device
        self.measured = whole
        self.limit: int | None = None

    @property
    def passes(self) -> int:
        """How many batches a pass over all samples has."""
        return math.ceil(self.whole.size / self._joined)

    @property
    def steps(self) -> int:
        return self.passes if self.limit is None else self.limit

    def sample(self) -> Batch:
        return self.part(0, min(self.batch_size, self.whole.size, 2)).ready()

    def part(self, start: int, stop: int, of: Batch | None = None) -> Batch:
        """The samples from `start` to `stop`, in the memory of the whole."""
        return self._taken(partial(cut, start=start, stop=stop), stop - start, of)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        at, end = number * self.steps + skip, (number + 1) * self.steps
        while at < end:  # an epoch of fewer batches than there are begins where the one before it stopped
            passed, skip = divmod(at, self.passes)
            batches = self._in_order(skip) if self.seed is None else self._shuffled(self.seed + passed, skip)
            for batch in itertools.islice(batches, end - at):
                at += 1
                yield batch

    def _shuffled(self, seed: int, skip: int) -> Iterator[Batch]:
        """Batches in an order that depends on the seed alone."""
        home = self.whole.inputs[0].device
        order = torch.randperm(self.whole.size, generator=torch.Generator().manual_seed(seed)).to(home)
        if self.ranks is None and self.device is None:
            yield from self._fetched(order[skip * self.batch_size :])
            return
        for index in torch.split(order, self._joined)[skip:]:
            start, stop, counts = self._own(index.shape[0])
            index = index[start:stop]
            yield self._ready(self._taken(partial(rows_at, index=index), index.shape[0] * counts))

    def _fetched(self, order: Tensor) -> Iterator[Batch]:
        """Batches of samples in this order; of small ones several are fetched by one call, and share its memory."""
        tensors = [each for part in self.whole[:3] for each in part or () if each is not None]
        size = self.batch_size * sum(each.itemsize * math.prod(each.shape[1:]) for each in tensors)
        several = min(MOST, FETCHED // max(1, size)) if size <= SMALL else 1
        for index in torch.split(order, self.batch_size * several):
            fetched = self._taken(partial(rows_at, index=index), len(index))
            yield from map(Batch.ready, parts_of(fetched, self.batch_size))

    def _in_order(self, skip: int) -> Iterator[Batch]:
        """Views of the data as long as the module leaves its inputs alone; copies otherwise."""
        copy = True
        for start in range(skip * self._joined, self.whole.size, self._joined):
            first, last, counts = self._own(min(self._joined, self.whole.size - start))
            batch = self.part(start + first, start + last)
            batch = batch if counts else batch._replace(size=0)
            if copy:
                batch = batch._replace(inputs=[each.clone() for each in batch.inputs])
            yield self._ready(batch)
            # a first layer that works in place must not change the user's arrays
            copy = copy and any(each._version for each in batch.inputs)

    def _own(self, count: int) -> Part:
        """Which of so many samples are in the batch of this process."""
        if self.ranks is None:
            return Part(0, count)
        return part_of(count, self.batch_size, self.ranks.rank, self.ranks.world, even=self.even)

    def _ready(self, batch: Batch) -> Batch:
        return (batch if self.device is None else sent(batch, self.device)).ready()

    def _taken(self, take: Callable[[Tensor], Tensor], size: int, of: Batch | None = None) -> Batch:
        return _each_of(of or self.whole, take)._replace(size=size)


class Stream:
    """Batches that come from elsewhere: a loader, a generator, any iterable, or a function that makes one.

    Args:
        source: yields x, (x, y) or (x, y, sample_weight).
        convert: makes a Batch of what it yields.
        steps: how many batches make an epoch; without it an epoch ends where the source does.
        seed: for the order of a DataLoader of ours, a new one each epoch.

    Attributes:
        one_shot: whether the source can be passed over once only.
        begun: alone in a list, PyTorch's random state when the source was begun last: it may have settled the order.
    """

    def __init__(
        self,
        source: Any,
        convert: Callable[[Any], Batch],
        steps: int | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.source, self.convert, self.limit, self.seed = source, convert, steps, seed
        # a loader is not begun for this: that would start its workers and draw a random number
        self.one_shot = hasattr(source, "__next__") and iter(source) is source
        # a PyDataset, whose hooks belong to an epoch and not to a pass over it
        self._tells_epochs = hasattr(source, "on_epoch_end") and hasattr(source, "batches")
        self._running: Iterator[Any] | None = None
        self._seen: list[Any] = []
        self.begun: list[Tensor] = []

    @property
    def steps(self) -> int | None:
        if self.limit is not None:
            return self.limit
        try:
            return len(self.source)
        except (TypeError, NotImplementedError):
            return None

    def sample(self) -> Batch:
        if not self._seen:
            self._running = self._iterator(0)
            self._seen.append(self._next(epoch=0, done=0))
        return self.convert(self._seen[0])

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        if self._tells_epochs:
            self.source.on_epoch_begin()
        yield from self._batches(number, skip)
        if self._tells_epochs:
            self.source.on_epoch_end()

    def _batches(self, number: int, skip: int) -> Iterator[Batch]:
        if skip:
            self._wind(number, skip)
        if self.limit is None:
            yield from self._to_the_end(number, skip)
            return
        for done in range(skip, self.limit):
            yield self.convert(self._seen.pop() if self._seen else self._next(number, done))

    def _wind(self, number: int, skip: int) -> None:
        """Begin the epoch again as it was begun, and pass over the batches that are done; nothing else is as random."""
        whole = self.limit is None or self.limit == getattr(self.source, "__len__", lambda: None)()
        if self.one_shot or not whole:
            kind = type(self.source).__name__
            given = f"a {kind}" if self.one_shot else f"a {kind} of which an epoch takes {self.limit} batches"
            warnings.warn(
                f"epoch {number + 1} goes on after its batch {skip} with what comes next: got {given}, which "
                "cannot be begun again as it was. Fix: fit(...) on arrays, a DataLoader or a function that returns a "
                "new generator, all of whose batches make an epoch.",
                stacklevel=2,
            )
            return
        now = torch.get_rng_state()
        for state in self.begun:
            torch.set_rng_state(state)
        self._seen.clear()
        self._running = self._iterator(number)
        for _ in itertools.islice(self._running, skip):
            pass
        torch.set_rng_state(now)

    def _to_the_end(self, number: int, count: int) -> Iterator[Batch]:
        """An epoch that ends where the source does, after so many batches that are done."""
        running = self._iterator(number) if self._running is None else self._running
        self._running = None
        while self._seen:
            count += 1
            yield self.convert(self._seen.pop())
        for item in running:
            count += 1
            yield self.convert(item)
        if count == 0:
            raise self._empty(number)

    def _next(self, epoch: int, done: int) -> Any:
        """The next batch; what can be iterated again goes on from its begin."""
        self._running = self._iterator(epoch) if self._running is None else self._running
        for item in self._running:
            return item
        if self.one_shot or (done == 0 and epoch == 0):
            raise self._empty(epoch) if done == 0 else self._short(epoch, done)
        self._running = self._iterator(epoch + done)
        for item in self._running:
            return item
        raise self._empty(epoch)

    def _iterator(self, number: int) -> Iterator[Any]:
        """The source from its begin, in the order with this number."""
        self.begun[:] = [torch.get_rng_state()]
        if hasattr(self.source, "begin"):
            self.source.begin(number)
        if self.seed is not None and hasattr(self.source, "generator"):
            self.source.generator.manual_seed(self.seed + number)
        if self._tells_epochs:
            return iter(self.source.batches(None if self.seed is None else self.seed + number))
        if callable(self.source) and not hasattr(self.source, "__iter__"):
            return iter(self.source())
        if hasattr(self.source, "__iter__"):
            return iter(self.source)
        return (self.source[index] for index in range(len(self.source)))

    def _short(self, epoch: int, done: int) -> DataError:
        return DataError(
            f"epoch {epoch + 1} ended after {done} of {self.limit} batches: the "
            f"{type(self.source).__name__} has no more. "
            "Fix: yield more batches, lower steps_per_epoch, or pass a function that returns a new iterator."
        )

    def _empty(self, epoch: int) -> DataError:
        kind = type(self.source).__name__
        if self.one_shot and epoch > 0:
            return DataError(
                f"epoch {epoch + 1} has no batches: a {kind} can be used once only. Fix: pass a list, a "
                "DataLoader or a function that returns a new generator, or give steps_per_epoch."
            )
        return DataError(f"the {kind} yielded no batches, so there is nothing to compute on.")


def first_of(batch: Batch, count: int | None) -> Batch:
    """The first samples of a batch; of none of them the batch as one that counts nothing, and for None as it is."""
    if not count:
        return batch if count is None else batch._replace(size=0)
    return _each_of(batch, lambda tensor: tensor[:count])._replace(size=count)


def parts_of(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch in batches of so many samples, the last of which may have fewer."""
    # as tensors of their own, not as views: a module may change its inputs in place, which autograd would see in all
    tensors = [each for part in batch[:3] for each in part or () if each is not None]
    parts = zip(*(torch.split(each, size) for each in tensors), strict=True)
    for start, part in zip(range(0, batch.size, size), parts, strict=True):
        following = iter(part)
        own = _each_of(batch, lambda _, following=following: next(following).data)  # type: ignore[misc]
        yield own._replace(size=min(size, batch.size - start))


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on the device."""
    return _each_of(batch, lambda tensor: tensor.to(device, non_blocking=True))


def sent(batch: Batch, device: torch.device) -> Batch:
    """A batch on its way to the device.

    To CUDA it goes from pinned memory, so that nobody waits for the copy: while the device is busy with one batch the
    next is made, and its copy stands in line.
    """
    return moved(batch if device.type != "cuda" else _each_of(batch, _pinned), device)


def _pinned(tensor: Tensor) -> Tensor:
    on_host = tensor.device.type == "cpu" and tensor.layout is torch.strided
    return tensor.pin_memory() if on_host and not tensor.is_pinned() else tensor


def _each_of(batch: Batch, make: Callable[[Tensor], Tensor]) -> Batch:
    inputs, targets, weights, size, form, waiting = batch
    return Batch(
        [make(each) for each in inputs],
        [each if each is None else make(each) for each in targets],
        weights and [each if each is None else make(each) for each in weights],
        size,
        form,
        waiting,
    )


def stream_source(x: Any, batch_size: int | None, *, shuffle: bool, device: torch.device) -> Any:
    """What yields batches, if `x` is no array: itself, or a DataLoader over a Dataset; None for arrays.

    Raises:
        DataError: neither.
    """
    if isinstance(x, TensorDataset) or x is None or is_array(x) or isinstance(x, (list, tuple, dict)):
        return None
    if holds_columns(x):
        pinned = device.type == "cuda"
        return column_loader(x, batch_size or 32, shuffle=shuffle, pinned=pinned)
    if isinstance(x, Dataset):
        in_order = not shuffle or isinstance(x, IterableDataset)
        return DataLoader(
            x,
            batch_size or 32,
            shuffle=None if in_order else True,
            generator=torch.Generator(),
            pin_memory=device.type == "cuda",
        )
    if not (hasattr(x, "__iter__") or hasattr(x, "__getitem__") or callable(x)):
        expected = "arrays, a Dataset, a DataLoader, a generator or another iterable of batches"
        raise DataError(explain("x", got=f"a {type(x).__name__}", expected=expected))
    return x


def drawn_seed() -> int:
    """A seed from PyTorch's own generator, so that `torch.manual_seed` settles every order."""
    return int(torch.randint(2**62, ()).item())


def unpacked(item: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight from what a source yields.

    Raises:
        DataError: a tuple of another length.
    """
    if not isinstance(item, (tuple, list)):
        return item, None, None
    if not 1 <= len(item) <= 3:
        kinds = ", ".join(type(each).__name__ for each in item)
        raise DataError(
            explain(
                "a batch",
                got=f"a {type(item).__name__} of {len(item)} ({kinds})",
                expected="(x, y) or (x, y, sample_weight)",
                fix="put several inputs into one list: ([a, b], y)",
            )
        )
    x, y, weight = [*item, None, None][:3]
    return x, y, weight
