"""Prediction: outputs collected batch by batch, and joined as NumPy arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchfunc.training.convert import to_numpy
from torchfunc.tree import leaves, map_leaves


class Collected:
    """The outputs of a module over many batches, on the host."""

    def __init__(self) -> None:
        self._structure: Any = None
        self._parts: list[list[Any]] = []

    def add(self, outputs: Any) -> None:
        """Take the outputs of one more batch."""
        self._structure = outputs if not self._parts else self._structure
        self._parts.append([_on_host(leaf) for leaf in leaves(outputs)])

    def joined(self) -> Any:
        """All batches as one, nested as the outputs are."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()  # the copies to the host were started, not waited for
        arrays = iter([_joined(parts) for parts in zip(*self._parts, strict=True)])
        return map_leaves(lambda _: next(arrays), self._structure)


def _on_host(leaf: Any) -> Any:
    """A tensor's copy in memory that the device writes to by itself; on the CPU the tensor."""
    if not isinstance(leaf, Tensor) or leaf.device.type != "cuda":
        return leaf.cpu() if isinstance(leaf, Tensor) else leaf
    host = torch.empty(leaf.shape, dtype=leaf.dtype, pin_memory=True)
    return host.copy_(leaf, non_blocking=True)


def _joined(parts: tuple[Any, ...]) -> Any:
    if not isinstance(parts[0], Tensor):
        return parts[0]
    # a copy even of one part, which may be the user's own data
    return to_numpy(torch.cat(parts) if parts[0].ndim else torch.stack(parts))
