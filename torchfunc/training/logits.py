"""Logits: what the softmax or sigmoid of an output was given, so that its crossentropy is one exact function."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from torchfunc import activations, losses
from torchfunc.training.ports import Port

_EXACT: dict[Any, Any] = {
    activations.softmax: (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy),
    activations.sigmoid: (losses.BinaryCrossentropy,),
}


class Logits:
    """The crossentropy of one output, taken of what the activation of its layer was given.

    A layer that activates has a `before_activation`: into a list that stands there it lays what its
    `activation` was given, and what that made of it. The loss takes the former only if the output is the
    very tensor that the activation made: a hook that changed it is honoured, and a forward of one's own.
    """

    def __init__(self, layer: str, activation: Any, loss: Any) -> None:
        self.layer, self.activation = layer, activation
        self.loss = copy.copy(loss)
        self.loss.from_logits = True
        self.told: list[tuple[Tensor, Tensor] | None] = [None]

    @contextmanager
    def asked(self, module: nn.Module) -> Iterator[None]:
        """Within it the layer tells its logits, if it is still one that does."""
        layer = submodule(module, self.layer)
        if getattr(layer, "activation", None) is not self.activation:
            yield
            return
        told = vars(layer)
        before = told.get("before_activation")
        told["before_activation"] = self.told
        try:
            yield
        finally:
            told.pop("before_activation")
            if before is not None:
                told["before_activation"] = before
            self.told[0] = None

    def taken(self, output: Tensor) -> Tensor | None:
        """The logits of `output`, once; None if it is another tensor than the activation made."""
        told, self.told[0] = self.told[0], None
        return told[0] if told is not None and told[1] is output else None


def logits_of(port: Port, module: nn.Module, loss: Any) -> Logits | None:
    """How the loss of an output takes its logits; None where layer and loss do not make one exact function."""
    layer = None if port.logits is None else submodule(module, port.logits)
    activation: Any = getattr(layer, "activation", None)
    if not hasattr(layer, "before_activation") or not isinstance(loss, _EXACT.get(activation, ())):
        return None
    if loss.from_logits:
        warnings.warn(
            f"The output {port.name!r} is a {activation.__name__} already, and its loss {loss.name!r} has "
            "from_logits=True: it is applied twice. Fix: leave out one of the two.",
            stacklevel=2,
        )
    exact = not loss.from_logits and loss.axis == -1
    return Logits(port.logits or "", activation, loss) if exact else None


def submodule(module: nn.Module, name: str) -> nn.Module | None:
    """The submodule of this name, if there is one."""
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None
