"""Extras: what a module brings to a step besides its forward: its own losses, constraints on its weights.

A module says so by attributes, whatever its class: `losses`, a list of scalar tensors that are added
to the loss; `_losses`, where it collects them during a forward; `_weight_infos`, which may hold a
`constraint` for each of its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Extras:
    """The losses and constraints of one module, found once before a run; most modules have none."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.collecting: list[Any] = [
            each._losses for each in module.modules() if isinstance(vars(each).get("_losses"), list)
        ]
        self.constraints = list(_constraints(module))
        self.has_losses = hasattr(type(module), "losses") or "losses" in vars(module)
        self._decided = False

    def begin(self) -> None:
        """Before a forward: forget what the one before it added."""
        if self.has_losses:
            for collected in self.collecting:
                collected.clear()

    def losses(self) -> Sequence[Tensor]:
        """After a forward: what the module adds to the loss. If that is nothing at first, it is at last."""
        if not self.has_losses:
            return ()
        found: Any = self.module.losses
        if not self._decided:
            listed = isinstance(found, (list, tuple)) and all(isinstance(each, Tensor) for each in found)
            self._decided, self.has_losses = True, listed and bool(found)
        return found if self.has_losses else ()

    @torch.no_grad()
    def constrain(self) -> None:
        """After a step of the optimizer: put the weights that have a constraint through it."""
        for weight, layout, constraint in self.constraints:
            if layout is None:
                weight.copy_(constraint(weight))
            else:
                view = weight.permute(layout)
                view.copy_(constraint(view))


def _constraints(module: nn.Module) -> Sequence[tuple[Tensor, Any, Callable[[Tensor], Tensor]]]:
    """(weight, permutation to the layout that its constraint is meant for, constraint) where there is any."""
    return [
        (getattr(each, name), info.layout, info.constraint)
        for each in module.modules()
        for name, info in getattr(each, "_weight_infos", {}).items()
        if info.constraint is not None
    ]
