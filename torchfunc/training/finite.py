"""Finite: no step is taken by a loss or a gradient that is no number, and what its forward changed is put back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from torchfunc.distributed.fully_sharded import local_of
from torchfunc.training.state import copied_state

SMALL = 2**16
LARGE = 2**16  # where reading numbers once, to sum them, is quicker than dividing them
WIDE = (torch.float32, torch.float64)  # in which a sum of finite numbers is hardly ever infinite


def reads_freely(device: torch.device) -> bool:
    """Whether a number can be read from a device without waiting for what it still has to compute."""
    return device.type == "cpu"


class Watch:
    """Looks at every loss and its gradients before the optimizer uses them.

    Where reading the device is free, on the CPU, this is known at each batch: nothing is stepped, and the
    buffers are as they were before the batch. Elsewhere a flag is kept on the device, and `found` reads it
    when figures are read; the way back leads to the begin of the epoch then.

    Args:
        module: what is trained.
        device: where it is.
        alone: whether it looks at one batch alone, whose figures are read anyway.

    Attributes:
        steady: whether the batch before this one was learned from.
        skipped: how many batches were not.
    """

    def __init__(self, module: nn.Module, device: torch.device, *, alone: bool = False) -> None:
        self.module, self.alone = module, alone
        self.reads = alone or reads_freely(device)
        self._unit = torch.ones((), device=device)
        self._flag = torch.zeros((), device=device)
        self._buffers: list[Kept] | None = None
        self._epoch: Callable[[], None] | None = None
        self._parameters: Sequence[nn.Parameter] = ()
        self._large: list[nn.Parameter] = []
        self._small: list[nn.Parameter] = []
        self.steady, self.skipped = False, 0
        self.ranks: Any = None  # the processes that hold the other shards of the gradients

    def begin_epoch(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Where batches are not looked at one by one, remember what there is, in the memory of the host."""
        if not self.reads and optimizer is not None:
            self._flag.zero_()
            self._epoch = copied_state(self.module, optimizer)

    def begin_step(self) -> None:
        """Before a forward: keep the buffers that the last one changed."""
        if not self.reads:
            return
        if self._buffers is None:
            self._buffers = [
                Kept(each._buffers, name)
                for each in self.module.modules()
                for name, buffer in each._buffers.items()
                if buffer is not None and not isinstance(buffer, UninitializedBuffer)
            ]
        for kept in self._buffers:
            kept.keep()

    def is_number(self, loss: Tensor) -> bool:
        """Whether a loss is one, as far as that is known at once."""
        return not self.reads or math.isfinite(loss.item())

    def passes(self, loss: Tensor, parameters: Sequence[nn.Parameter], whole: Sequence[Tensor] = ()) -> bool:
        """Whether a loss and the gradients of parameters are numbers, as far as that is known at once.

        One kernel looks at all: that of PyTorch which divides gradients, here by 1. On the CPU it looks at the
        sums of large ones, which are no numbers if one of their values is none. Elsewhere it looks at `whole`, where
        that is given: the memory in which all gradients lie.
        """
        if parameters is not self._parameters:
            self._parameters, sums = parameters, self._unit.device.type == "cpu"
            self._large = [
                each
                for each in parameters
                if sums and each.numel() >= LARGE and each.dtype in WIDE and self.ranks is None
            ]
            summed = set(map(id, self._large))
            self._small = [each for each in parameters if id(each) not in summed]
        looked = [*whole] or [local_of(each.grad) for each in self._small if each.grad is not None]
        looked += [each.grad.sum() for each in self._large if each.grad is not None]
        looked.append(loss.detach())
        try:
            torch._amp_foreach_non_finite_check_and_unscale_(looked, self._flag, self._unit)
        except (RuntimeError, NotImplementedError):  # complex, sparse or spread out in memory
            for each in looked:
                self._flag += ~values(each).isfinite().all()
        if self.reads and self.ranks is not None and self.ranks.any(bool(self._flag)):
            return False
        if not (self.reads and self._flag.item()):
            return True
        if not self._large or not loss.isfinite() or any(map(_is_wrong, parameters)):
            return False
        self._flag.zero_()  # only a sum was too large
        return True

    def found(self) -> bool:
        """Whether there was a loss or a gradient that is no number. This reads the device."""
        found = bool(self._flag)
        return found if self.ranks is None else self.ranks.any(found)

    @torch.no_grad()
    def back(self) -> None:
        """Have what there was before the batch; where that is not known, before the epoch."""
        self._flag.zero_()
        for kept in self._buffers or ():
            kept.restore()
        if self._epoch is not None:
            self._epoch()


class Kept:
    """A buffer of a module and what it held before a batch; a large one that never changes is copied once."""

    def __init__(self, home: Mapping[str, Tensor | None], name: str) -> None:
        self.home: Any = home
        self.name = name
        self.tensor: Tensor | None = None
        self.version = -1
        self.copy: Any = None

    def keep(self) -> None:
        now = self.home.get(self.name)
        if now is not self.tensor:
            self.tensor, self.version, self.copy = now, -1, None
        if now is not None and self._may_differ(now):
            self.copy = now.clone() if self.copy is None else self.copy.copy_(now)
            self.version = now._version

    def restore(self) -> None:
        self.home[self.name] = self.tensor
        if self.tensor is not None and self._may_differ(self.tensor):
            self.tensor.copy_(self.copy)
            self.version = self.tensor._version

    def _may_differ(self, now: Tensor) -> bool:
        """Whether a buffer may have changed; PyTorch does not count the changes of a normalization's statistics."""
        return now.numel() <= SMALL or now._version != self.version


def values(gradient: Tensor) -> Tensor:
    """The numbers that a gradient holds, a sparse one too."""
    return gradient if gradient.layout is torch.strided else gradient.coalesce().values()


def culprit(module: nn.Module, parameters: Sequence[nn.Parameter]) -> str:
    """The first parameter whose gradient is no number."""
    names = {id(each): name for name, each in module.named_parameters()}
    return next((repr(names.get(id(each), "?")) for each in parameters if _is_wrong(each)), "a parameter")


def _is_wrong(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and not bool(values(local_of(parameter.grad)).isfinite().all())
