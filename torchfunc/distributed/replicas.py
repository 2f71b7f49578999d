"""Replicas: a module that each rank has a copy of, kept equal by PyTorch's DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from torchfunc.distributed.batch_moments import Synchronized
from torchfunc.distributed.ranks import Ranks, buffers_of, take_gradients


class Carrier(nn.Module):
    """What DDP wraps: its forward does a step up to the loss, so that all that the loss depends on lies in it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, step: Callable[[], Tensor]) -> Tensor:
        return step()


class Replicas:
    """Copies of one module, whose gradients are averaged in each backward; a copy of it has none.

    Args:
        module: this process's copy.
        ranks: the processes.
        own: whether a step of the user's calls backward, on whatever it likes: each gradient is averaged as it
            comes then, over the samples.
        sync_batchnorm: whether batch normalization is over the batches of all ranks.
        accumulates: whether several batches make a step: gradients stay on each rank then, until they are one.
    """

    def __init__(
        self,
        module: nn.Module,
        ranks: Ranks,
        *,
        own: bool = False,
        sync_batchnorm: bool = False,
        accumulates: bool = False,
    ) -> None:
        self.module, self.ranks, self.own, self.sync_batchnorm = module, ranks, own, sync_batchnorm
        self.accumulates = accumulates
        self._synchronized: Synchronized | None = None
        self._trained: list[nn.Parameter] | None = None
        self._ddp: DistributedDataParallel | None = None
        self._hooks: list[Any] = []
        self._ours = False  # whether the backward of a step of ours is to come, rather than one of the user's

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()

    def ready(self) -> None:
        """Have the copies equal, and the gradients of what is trained now averaged."""
        trained = [each for each in self.module.parameters() if each.requires_grad]
        if self._trained is not None and list(map(id, self._trained)) == list(map(id, trained)):
            return
        self.leave()
        self.ranks.align([*self.module.parameters(), *buffers_of(self.module)])
        self._trained = trained
        self._synchronized = Synchronized(self.module) if self.sync_batchnorm else None
        if self.own and not self.accumulates:
            hook: Any = self._averaged_by_samples
            self._hooks = [each.register_hook(hook) for each in trained]  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """Have the module as it was."""
        for each in self._hooks:
            each.remove()
        if self._synchronized is not None:
            self._synchronized.leave()
        self._ddp, self._hooks, self._trained, self._ours = None, [], None, False

    def run(self, step: Callable[[], Tensor]) -> Tensor:
        """The loss that `step` returns, whose gradients are averaged in `loss.backward()` or in `after_backward`."""
        self._ours = True
        if self._ddp is None:
            return step()
        loss: Tensor = self._ddp(step)
        return loss

    def after_backward(self) -> None:
        """Average what DDP has not: the gradients of the first batch, which tells it what parameters a loss reaches."""
        self._ours = False
        if self.accumulates or self.own or self._ddp is not None or not self._trained:
            return
        unused = self.ranks.any(any(each.grad is None for each in self._trained))
        means = self.ranks.mean([each.grad for each in self._trained], self._trained)
        for each, mean in zip(self._trained, means, strict=True):
            each.grad = mean
            if each.is_contiguous():  # an axis of one has the stride that DDP has for it, or it warns
                each.data = each.data.view(-1).view(each.shape)
        self._ddp = DistributedDataParallel(Carrier(self.module), find_unused_parameters=unused)

    def taken(self, parameters: Mapping[str, Tensor]) -> list[Tensor | None]:
        """The gradients that a backward has left on this rank; there are none afterwards."""
        return take_gradients(parameters.values())

    def after_step(self) -> None:
        """Have the buffers of the first rank on all, as DDP has them before the forward whose gradients it averages."""
        if self.accumulates:
            self.ranks.align(buffers_of(self.module))

    def _averaged_by_samples(self, gradient: Tensor) -> Tensor:
        share = 1.0 if self._ours else self.ranks.share  # the loss of ours has it already
        gradient = gradient * (share / self.ranks.world)
        distributed.all_reduce(gradient)
        return gradient
