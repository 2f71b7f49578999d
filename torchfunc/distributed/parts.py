"""Parts: which samples of a joined batch each rank takes, so that all of them take as many steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, SequentialSampler

from torchfunc.distributed.ranks import Ranks


class Part(NamedTuple):
    """The samples from `start` to `stop` of a joined batch; they count, or only make up the step of a rank that has none."""

    start: int
    stop: int
    counts: bool = True


def part_of(count: int, batch_size: int, rank: int, world: int, *, even: bool = True) -> Part:
    """The part of a rank in a joined batch of so many samples, of `batch_size * world` at most.

    One that is not full is divided evenly, and no rank gets a lone sample, of which normalization knows no variance; who
    gets none repeats those of the first rank.

    Args:
        even: whether parts may be smaller than `batch_size` where that divides the samples.
    """
    if count == batch_size * world:
        return Part(rank * batch_size, (rank + 1) * batch_size)
    ranks = math.ceil(count / batch_size)
    if even:
        ranks = max(ranks, min(world, count // 2))
        each, more = divmod(count, ranks)
        sizes = [each + (index < more) for index in range(ranks)]
    else:
        sizes = [min(batch_size, count - index * batch_size) for index in range(ranks)]
    if rank >= ranks:
        return Part(0, sizes[0], counts=False)
    start = sum(sizes[:rank])
    return Part(start, start + sizes[rank])


class Marked(NamedTuple):
    """What a source yields, of which only the first `samples` count: None for all of them."""

    item: Any
    samples: int | None


class Shared:
    """The batches of a rank out of a loader whose data all ranks have.

    Args:
        loader: of a map-style dataset, in batches of one rank's size.
        ranks: the processes.
    """

    def __init__(self, loader: DataLoader[Any], ranks: Ranks) -> None:
        self.ranks, self.generator = ranks, loader.generator
        self.batched = loader.batch_sampler is not None
        self._indices: Any = loader.batch_sampler if self.batched else loader.sampler
        self._sampler = loader.sampler
        self._counts: list[int | None] = []
        chosen: dict[str, Any] = (
            {"batch_sampler": _Chosen(self)}
            if self.batched
            else {"sampler": _Chosen(self), "batch_size": None}
        )
        workers: dict[str, Any] = {
            "prefetch_factor": loader.prefetch_factor,
            "persistent_workers": loader.persistent_workers,
        }
        self._loader: DataLoader[Any] = DataLoader(
            loader.dataset,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            **chosen,
            **(workers if loader.num_workers else {}),
        )

    def __len__(self) -> int:
        return math.ceil(len(self._indices) / self.ranks.world)

    def __iter__(self) -> Iterator[Any]:
        self._counts = []
        for number, item in enumerate(iter(self._loader)):
            yield Marked(item, self._counts[number])

    def chosen(self) -> Iterator[Any]:
        """What the loader takes for each batch of this rank: indices, or one index where it makes no batches."""
        group: list[Any] = []
        for each in self._alike():
            group.append(each)
            if len(group) == self.ranks.world:
                yield self._of(group)
                group = []
        if group:
            yield self._of(group)

    def _of(self, group: Sequence[Any]) -> Any:
        rank, world = self.ranks.rank, self.ranks.world
        if not self.batched:
            self._counts.append(None if rank < len(group) else 0)
            return group[rank if rank < len(group) else 0]
        joined = [index for each in group for index in each]
        part = part_of(len(joined), max(len(each) for each in group), rank, world)
        self._counts.append(None if part.counts else 0)
        return joined[part.start : part.stop]

    def _alike(self) -> Iterator[Any]:
        """The indices of the loader in the order that the first rank has."""
        if isinstance(self._sampler, SequentialSampler):
            yield from self._indices
        elif isinstance(self._sampler, RandomSampler):
            yield from _as_drawn_by_first(self._indices, self._sampler, self.ranks)
        else:  # its numbers may come from anywhere
            yield from self.ranks.of_first(lambda: list(self._indices))


class _Chosen:
    """The batch sampler, or the sampler, of a rank."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def __len__(self) -> int:
        return len(self._shared)

    def __iter__(self) -> Iterator[Any]:
        return self._shared.chosen()


def _as_drawn_by_first(indices: Any, sampler: RandomSampler, ranks: Ranks) -> Iterator[Any]:
    """Indices in the order that the random state of the first rank gives; a rank with another one keeps its own."""
    own = torch.get_rng_state()
    drawn = (own, None if sampler.generator is None else sampler.generator.get_state())
    state, of_sampler = ranks.of_first(lambda: drawn)
    torch.set_rng_state(state)
    if sampler.generator is not None:
        sampler.generator.set_state(of_sampler)
    running = iter(indices)
    first = next(running, None)
    if not torch.equal(own, state):
        torch.set_rng_state(own)
    if first is not None:
        yield first
        yield from running


class Dealt:
    """The batches of a rank out of a list of batches that all ranks have."""

    def __init__(self, batches: Sequence[Any], ranks: Ranks) -> None:
        self.batches, self.ranks = batches, ranks

    def __len__(self) -> int:
        return math.ceil(len(self.batches) / self.ranks.world)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.batches), self.ranks.world):
            index = start + self.ranks.rank
            there = index < len(self.batches)
            yield Marked(self.batches[index if there else start], None if there else 0)


class Sampled:
    """The batches of a loader whose DistributedSampler shares the data out; what it repeats to fill up is not counted."""

    def __init__(self, loader: DataLoader[Any], sampler: DistributedSampler[Any]) -> None:
        self.loader, self.sampler, self.generator = loader, sampler, loader.generator

    def __len__(self) -> int:
        return len(self.loader)

    def begin(self, epoch: int) -> None:
        """Have the order of the epoch with this number."""
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        sampler, size = self.sampler, self.loader.batch_size
        left = sampler.num_samples
        if not sampler.drop_last:
            samples = len(sampler.dataset)  # type: ignore[arg-type]
            left = len(range(sampler.rank, samples, sampler.num_replicas))
        for item in self.loader:
            yield Marked(item, None if size is None or size <= left else max(left, 0))
            left -= size or 0


def source_for(source: Any, ranks: Ranks | None, *, shares: bool) -> Any:
    """What yields batches, as the one of several ranks that yields its own.

    Args:
        source: what yields batches.
        ranks: the processes.
        shares: whether data are shared out, rather than used as the user has shared them out.
    """
    if ranks is None:
        return source
    if isinstance(source, DataLoader):
        sampler = getattr(source.batch_sampler, "sampler", source.sampler)
        if isinstance(sampler, DistributedSampler):
            return Sampled(source, sampler)
        if shares and not isinstance(source.dataset, IterableDataset):
            return Shared(source, ranks)
    if shares and isinstance(source, list):
        return Dealt(source, ranks)
    return source
