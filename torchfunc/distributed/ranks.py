"""Ranks: the processes that train together, and what they say to each other."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed, nn

from torchfunc.distributed.watching import Watcher
from torchfunc.errors import TorchfuncError

P = ParamSpec("P")
R = TypeVar("R")

# An exchange is a sum over ranks of numbers in these places; those of losses and their divisors follow.
ERROR, BATCH, STOP, DRAW, SIZE, OTHER = range(6)
PLACES = 96
PATIENCE = 3.0  # seconds that a rank which failed waits for the others to hear of it


class Ranks:
    """The processes of a group; every method that sums or gathers is called by all of them.

    Args:
        group: the process group.

    Attributes:
        rank: the number of this process, from 0.
        world: how many there are.
        size: how many samples all of them have in the batch that is under way.
        share: what this process's mean counts in that of all, times their number.
        failed: whether the group is of no use any more.
    """

    def __init__(self, group: Any) -> None:
        self.group, self.rank, self.world = group, distributed.get_rank(), distributed.get_world_size()
        self._control = distributed.new_group(backend="gloo")
        self.size, self.share, self.failed = 0, 1.0, False
        self._failures = self._depth = 0
        self.told = False
        homes = self.gathered((platform.node(), os.getpid()))
        near = {rank: pid for rank, (node, pid) in enumerate(homes) if node == platform.node()}
        near.pop(self.rank)
        self._store = distributed.distributed_c10d._get_default_store()
        self._watcher = Watcher(self._store, self.rank, near)

    @property
    def kind(self) -> str:
        """What they talk through: "gloo", or "nccl" on CUDA."""
        return "nccl" if torch.cuda.is_available() else "gloo"

    @property
    def is_first(self) -> bool:
        """Whether this is the process that draws and writes."""
        return self.rank == 0

    def exchange(self, numbers: Sequence[float] | Tensor) -> list[float]:
        """The sums over the ranks of numbers that stand on the host.

        Raises:
            TorchfuncError: another rank has failed.
        """
        given = torch.zeros(PLACES, dtype=torch.float64)
        given[: len(numbers)] = torch.as_tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(given, group=self._control)
        sums: list[float] = given.tolist()
        if sums[ERROR]:
            raise self._other_failed()
        return sums

    def any(self, flag: bool) -> bool:
        """Whether it is so on one rank at least."""
        numbers = [0.0] * (OTHER + 1)
        numbers[OTHER] = float(flag)
        return self.exchange(numbers)[OTHER] > 0

    def summed(self, numbers: Tensor) -> Tensor:
        """The sums over the ranks of numbers on the device; on the host a rank that failed is heard of."""
        if numbers.device.type == "cpu" and len(numbers) <= PLACES - OTHER:
            sums = self.exchange(torch.cat([numbers.new_zeros(OTHER), numbers]))
            return numbers.new_tensor(sums[OTHER : OTHER + len(numbers)])
        distributed.all_reduce(numbers)
        return numbers

    def gathered(self, thing: Any) -> list[Any]:
        """What each rank has, as plain data, tensors on the host and arrays."""
        things: list[Any] = [None] * self.world
        distributed.all_gather_object(things, thing)
        return things

    def of_first(self, make: Callable[[], Any]) -> Any:
        """What the first rank makes, on all of them."""
        made = [make() if self.is_first else None]
        distributed.broadcast_object_list(made, src=0)
        return made[0]

    def averaged(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Figures that each rank has computed for itself, as their means over the ranks; what is no number as here."""
        everyones = self.gathered(logs)
        means = {}
        for name, value in logs.items():
            given = [each[name] for each in everyones if isinstance(each.get(name), (int, float))]
            means[name] = sum(given) / len(given) if given and not isinstance(value, bool) else value
        return means

    @torch.no_grad()
    def mean(self, gradients: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor | None]:
        """The means over the ranks of gradients, in one piece of memory for each dtype; None where no rank has any.

        Args:
            gradients: of this rank.
            like: the parameters that they belong to.
        """
        reached = [each is not None for each in gradients]
        if self.any(not all(reached)):
            reached = list(map(any, zip(*self.gathered(reached), strict=True)))
        held = [
            (index, like[index].new_zeros(like[index].shape) if each is None else each)
            for index, each in enumerate(gradients)
            if reached[index]
        ]
        means: list[Tensor | None] = [None] * len(gradients)
        for kind in dict.fromkeys((each.dtype, each.device) for _, each in held):
            some = [(index, each) for index, each in held if (each.dtype, each.device) == kind]
            flat = torch.cat([each.reshape(-1) for _, each in some])
            distributed.all_reduce(flat)
            flat /= self.world
            pieces = torch.split(flat, [each.numel() for _, each in some])
            for (index, each), piece in zip(some, pieces, strict=True):
                means[index] = piece.view(each.shape)
        return means

    @torch.no_grad()
    def align(self, tensors: Sequence[Tensor]) -> None:
        """Have in all tensors what the first rank has there."""
        for each in tensors:
            distributed.broadcast(each.detach(), src=0)

    def failing(self, error: BaseException) -> TorchfuncError | None:
        """Have the other ranks hear of an error; the error of another one that this one comes from, if it does."""
        if isinstance(error, RankError) or getattr(error, "_told_to_ranks", False):
            return None
        if isinstance(error, RuntimeError) and "onnection" in str(error):
            self.failed = True
            return self._other_failed(from_broken=True)
        with suppress(AttributeError):
            error._told_to_ranks = True  # type: ignore[attr-defined]
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        with suppress(RuntimeError):
            self._store.set(f"torchfunc/failed/{self._failures}/{self.rank}", told)
            self._store.set(f"torchfunc/failed/{self._failures}", str(self.rank))
            numbers = torch.zeros(PLACES, dtype=torch.float64)
            numbers[ERROR] = 1.0
            work = distributed.all_reduce(numbers, group=self._control, async_op=True)
            work.wait(timedelta(seconds=PATIENCE))
            self._failures += 1
            self._watcher.failures = self._failures
        return None

    def _other_failed(self, from_broken: bool = False) -> TorchfuncError:
        """The error that says which rank has failed, and how."""
        found = self._watcher.failure(PATIENCE)
        if not from_broken:
            self._failures += 1
            self._watcher.failures = self._failures
        return RankError(found or "Another rank has ended, or its connection has.")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it all ranks do the same; where one fails the others do too, and say which it was."""
        self._depth += 1
        self._watcher.wakes = True
        try:
            yield
        except BaseException as error:
            cause = self.failing(error)
            if cause is not None:
                raise cause from error
            raise
        finally:
            self._depth -= 1
            self._watcher.wakes = self._depth > 0


class RankError(TorchfuncError):
    """Another process has failed; its number and its error stand in the message."""


def together(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of an object that has `ranks()`: where one of them fails in it, all do."""

    @wraps(method)
    def joined(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        ranks: Ranks | None = self.ranks()
        if ranks is None:
            return method(self, *args, **kwargs)
        with ranks.together():
            return method(self, *args, **kwargs)

    return joined


def take_gradients(parameters: Iterable[Tensor]) -> list[Tensor | None]:
    """The gradients of parameters, which have none afterwards."""
    parameters = list(parameters)
    found = [each.grad for each in parameters]
    for each in parameters:
        each.grad = None
    return found


def buffers_of(module: nn.Module) -> list[Tensor]:
    """The buffers of a module that are there."""
    return [each for each in module.buffers() if each is not None and not hasattr(each, "materialize")]
