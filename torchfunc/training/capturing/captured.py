"""Captured: a function of tensors as a graph of their device, which is given copies and gives copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.capturing import cuda_graphs
from torchfunc.tree import leaves, map_leaves


class NotCaptured(Exception):
    """Why a function cannot be captured, in words that go on after "because"."""


class Captured:
    """What `run` does with tensors like these, replayed: what it is given is copied in, what it returns is copied out.

    What it changes besides, such as gradients in their places and statistics, it changes where that lies.

    Args:
        run: the function; it stays, for the graph works in the memory of what it holds.
        like: tensors such as it is called with.
        device: where it computes.
        generators: those that it draws random numbers from, besides PyTorch's own.

    Raises:
        NotCaptured: it fails, or there is no graph of it.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        like: Sequence[Tensor],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        self.run = run
        if any(torch.empty_like(each, device="meta").stride() != each.stride() for each in like):
            raise NotCaptured("a tensor of the batch has gaps in memory")
        try:
            self.inputs = [torch.empty_like(each, device=device).copy_(each) for each in like]
            self.graph = cuda_graphs.Graph(lambda: run(*self.inputs), device, generators)
        except Exception as error:
            raise NotCaptured(f"it could not be captured: {first_line(error)}") from error
        told = {id(each): each for each in leaves(self.graph.returned) if isinstance(each, Tensor)}
        self._told = list(told.values())

    @property
    def nbytes(self) -> int:
        """How much memory is kept for it."""
        return self.graph.nbytes + sum(each.nbytes for each in self.inputs)

    def __call__(self, *tensors: Tensor) -> Any:
        """Replay it on these tensors; what it returns is the caller's, and no replay changes it."""
        for own, each in zip(self.inputs, tensors, strict=True):
            own.copy_(each, non_blocking=True)
        self.graph.replay()
        copies = [torch.empty_like(each) for each in self._told]
        torch._foreach_copy_(copies, self._told)
        found = {id(each): copy for each, copy in zip(self._told, copies, strict=True)}
        return map_leaves(lambda each: found.get(id(each), each), self.graph.returned)


def first_line(error: Exception) -> str:
    """What an error says first, in a line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__
