"""Logits: what the softmax or sigmoid of an output was given, so that its crossentropy is one exact function."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from torchfunc import activations, losses
from torchfunc.losses.torch_losses import misfit
from torchfunc.training.ports import Port

_EXACT: dict[Any, Any] = {
    activations.softmax: (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy),
    activations.sigmoid: (losses.BinaryCrossentropy,),
}


_MODULES = {
    nn.Softmax: "softmax",
    nn.Softmax2d: "softmax",
    nn.Sigmoid: "sigmoid",
    nn.LogSoftmax: "log_softmax",
    nn.LogSigmoid: "log_sigmoid",
}
_FUNCTIONS = {
    "softmax": "softmax",
    "sigmoid": "sigmoid",
    "expit": "sigmoid",
    "log_softmax": "log_softmax",
    "logsigmoid": "log_sigmoid",
    "log_sigmoid": "log_sigmoid",
}


class Told:
    """Where a layer lays what its activation was given, and what that made of it; a copy of the layer has none."""

    pair: tuple[Tensor, Tensor] | None = None

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return type(None), ()


class Logits:
    """The crossentropy of one output, taken of what the activation of its layer was given.

    A layer that activates lays what its `activation` was given into its `before_activation`, where there is
    one. The loss takes it only if the output is the very tensor that the activation made of it: a hook that
    changed the output is honoured, and a forward of one's own.
    """

    told: Told | None = None

    def __init__(self, layer: str, activation: Any, loss: Any) -> None:
        self.layer, self.activation = layer, activation
        self.loss = copy.copy(loss)
        self.loss.from_logits = True

    @contextmanager
    def asked(self, module: nn.Module) -> Iterator[None]:
        """Within it the layer tells its logits, if it is still one that does."""
        layer = submodule(module, self.layer)
        if getattr(layer, "activation", None) is not self.activation:
            yield
            return
        told = self.told = self.told or Told()
        attributes = vars(layer)
        before = attributes.get("before_activation")
        attributes["before_activation"] = told
        try:
            yield
        finally:
            attributes.pop("before_activation")
            if before is not None:
                attributes["before_activation"] = before
            told.pair = None

    def taken(self, output: Tensor) -> Tensor | None:
        """The logits of `output`, once; None if it is another tensor than the activation made."""
        if self.told is None or self.told.pair is None:
            return None
        (logits, activated), self.told.pair = self.told.pair, None
        return logits if activated is output else None


def logits_of(port: Port, module: nn.Module, loss: Any) -> Logits | None:
    """How the loss of an output takes its logits; None where layer and loss do not make one exact function."""
    layer = None if port.logits is None else submodule(module, port.logits)
    activation: Any = getattr(layer, "activation", None)
    if not hasattr(layer, "before_activation") or not isinstance(loss, _EXACT.get(activation, ())):
        return None
    exact = not loss.from_logits and loss.axis == -1
    return Logits(port.logits or "", activation, loss) if exact else None


def warn_of_misfit(port: Port, module: nn.Module, loss: Any) -> None:
    """Warn where the loss takes the output for something else than the activation that made it returns."""
    activation = port.activation
    if activation is None and (port.logits is not None or port.shape is None):
        activation = activation_of(module if port.logits is None else submodule(module, port.logits))
    told = None if activation is None else misfit(loss, activation, port.name)
    if told is not None:
        warnings.warn(told, stacklevel=2)


def activation_of(made_by: Any) -> str | None:
    """What made an output, if it is a softmax, a sigmoid or the log of one: a module, a function or a method's name."""
    while isinstance(made_by, nn.Sequential) and type(made_by).forward is nn.Sequential.forward and made_by:
        made_by = made_by[-1]
    if isinstance(made_by, nn.Module):
        if getattr(made_by, "activates_output", False):
            return activation_of(made_by.activation)
        return next((name for kind, name in _MODULES.items() if isinstance(made_by, kind)), None)
    made_by = made_by.func if isinstance(made_by, partial) else made_by
    name = made_by if isinstance(made_by, str) else getattr(made_by, "__name__", "")
    return _FUNCTIONS.get(name.rstrip("_"))


def submodule(module: nn.Module, name: str) -> nn.Module | None:
    """The submodule of this name, if there is one."""
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None
