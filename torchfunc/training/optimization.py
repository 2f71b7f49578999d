"""Optimization: an optimizer and the parameters that it changes, which may become others between epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from torchfunc import optimizers
from torchfunc.errors import CompileError, explain
from torchfunc.training.state import load_optimizer_state, optimizer_state


class Optimization:
    """The optimizer of one module, built when its parameters are known.

    Args:
        module: whose parameters are changed.
        identifier: a Keras name or object, an optimizer of `torch.optim`, its class or a partial of it.

    Raises:
        UnknownNameError: an optimizer of that name does not exist.
        CompileError: one that does not work step by step.
    """

    def __init__(self, module: nn.Module, identifier: Any) -> None:
        self.module = module
        self.optimizer: Any = optimizers.get(identifier)
        self.built: torch.optim.Optimizer | None = None
        self.parameters: list[nn.Parameter] = []
        self._saved: Mapping[str, Any] | None = None
        source = getattr(self.optimizer, "source", None)
        if isinstance(source, torch.optim.LBFGS) or source is torch.optim.LBFGS:
            why = "it computes the loss several times a step"
            raise CompileError(
                explain("optimizer", got="LBFGS", why=why, fix="another one, or a loop of your own")
            )

    def ready(self) -> None:
        """Have an optimizer for the parameters that are trainable now; what is known of them is kept.

        Raises:
            CompileError: there are none, or a given optimizer holds none of them.
        """
        trainable = [each for each in self.module.parameters() if each.requires_grad]
        if not trainable:
            raise self._nothing_to_train()
        if self.built is not None and list(map(id, trainable)) == list(map(id, self.parameters)):
            return
        state = self._saved if self.built is None else optimizer_state(self.built, self.module)
        before, self.built = self.built, self.optimizer.build(trainable)
        self.parameters, self._saved = trainable, None
        if state is not None and before is not self.built:
            load_optimizer_state(self.built, self.module, state)
        held = {id(each) for group in self.built.param_groups for each in group["params"]}
        if held.isdisjoint(map(id, trainable)):
            got = "an optimizer that holds none of the module's parameters"
            raise CompileError(
                explain("optimizer", got=got, fix="make it with module.parameters(), or give its class")
            )

    def _nothing_to_train(self) -> CompileError:
        frozen = sum(1 for _ in self.module.parameters())
        return CompileError(
            explain(
                type(self.module).__name__,
                got=f"no trainable parameters ({frozen} frozen)",
                expected="at least one",
                fix="layer.trainable = True, or parameter.requires_grad_()"
                if frozen
                else "add a layer that has weights",
            )
        )

    def state(self) -> Mapping[str, Any] | None:
        """What the optimizer remembers, by the names of the parameters; None before it is built."""
        given = getattr(self.optimizer, "source", None)
        made = given if self.built is None and isinstance(given, torch.optim.Optimizer) else self.built
        return self._saved if made is None else optimizer_state(made, self.module)

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Take what `state` gave, now or when the parameters are known."""
        if self.built is None or state is None:
            self._saved = state
        else:
            load_optimizer_state(self.built, self.module, state)

    def finish(self) -> None:
        """At the end of a training: put averaged weights in their place, if the optimizer keeps any."""
        if getattr(self.optimizer, "use_ema", False):
            self.optimizer.finalize_variable_values()
