"""TorchOptimizer: one of PyTorch's optimizers behind the face of ours."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch

from torchfunc.errors import CompileError, explain, shorten


class TorchOptimizer:
    """An optimizer of PyTorch behind the same face: an instance, or what makes one of parameters.

    Args:
        source: A `torch.optim.Optimizer`, a class of them, or a function of parameters such as
            `functools.partial(torch.optim.SGD, lr=0.1)`.

    Example:
        >>> optimizer = optimizers.get(torch.optim.SGD([torch.zeros(2)], lr=0.1))
        >>> type(optimizer).__name__, optimizer.learning_rate
        ('TorchOptimizer', 0.1)
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        made = isinstance(source, torch.optim.Optimizer)
        self.torch_optimizer: torch.optim.Optimizer | None = source if made else None
        self.built_by_hand = made
        self.name = _name_of(source)

    def build(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        """The optimizer over `params`; one that exists already is kept as it is.

        Raises:
            CompileError: a function that made no optimizer.
        """
        if isinstance(self.source, torch.optim.Optimizer):
            return self.source
        made = self.source(params)
        if not isinstance(made, torch.optim.Optimizer):
            raise CompileError(
                explain(
                    f"Optimizer {self.name!r}", got=f"{shorten(made)}", expected="a torch.optim.Optimizer"
                )
            )
        self.torch_optimizer, self.built_by_hand = made, True
        return made

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group. Setting it sets that of all."""
        return float(self._built().param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self._built().param_groups:
            group["lr"] = value

    def _built(self) -> torch.optim.Optimizer:
        if self.torch_optimizer is None:
            raise CompileError(
                explain(f"Optimizer {self.name!r}", got="no parameters yet", fix="build(model.parameters())")
            )
        return self.torch_optimizer

    def __repr__(self) -> str:
        return f"TorchOptimizer({self.source!r})"


def _name_of(source: Any) -> str:
    while isinstance(source, partial):
        source = source.func
    return str(getattr(source, "__name__", type(source).__name__))
