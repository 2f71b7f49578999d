"""Learning: how a loss changes the parameters, where that takes more than its gradients and one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import DataError, explain
from torchfunc.fields import listed, number, record, whole
from torchfunc.training.options.compiled import Options

LONGEST_OVERFLOW = 100  # steps in a row


class Learning:
    """What is done with a loss by the options of a training, between its forward and the step of the optimizer.

    Args:
        options: of the training.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.scaler: Any = None
        self._overflows = 0
        self._saved: Mapping[str, Any] = {}

    @classmethod
    def asked_for(cls, options: Options) -> Learning | None:
        """What the options ask for; None where a loss is learned from by its gradients and a step alone."""
        return cls(options) if options.precision == "fp16" else None

    def begin(self, device: torch.device) -> None:
        """Have what it needs on the device."""
        if self.options.precision == "fp16" and self.scaler is None:
            self.scaler = torch.amp.GradScaler(device.type)
            self._take(self._saved)

    def backward(self, loss: Tensor) -> None:
        """The gradients of a loss, which are multiplied where halves could not hold them."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Change the parameters by their gradients.

        Returns:
            Whether they were changed: not where gradients in float16 were too large.

        Raises:
            DataError: they are too large at any scale.
        """
        told = _Told(optimizer)
        if self.scaler is None:
            told.step()
        else:
            self.scaler.step(told)
            self.scaler.update()
        self._overflows = 0 if told.stepped else self._overflows + 1
        if self._overflows >= LONGEST_OVERFLOW:
            got = f"gradients that float16 cannot hold, {self._overflows} steps in a row"
            raise DataError(explain("precision='fp16'", got=got, fix="precision='bf16', or clipnorm=1.0"))
        return told.stepped

    def state(self) -> dict[str, Any]:
        """What it remembers, as plain data and tensors."""
        if self.scaler is None:
            return dict(self._saved)
        held = self.scaler.state_dict()
        return {"scale": [held["scale"], held["_growth_tracker"]]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self._saved = state
        if self.scaler is not None:
            self._take(state)

    def _take(self, state: Mapping[str, Any]) -> None:
        if "scale" in state:
            scale, tracker = state["scale"]
            held = self.scaler.state_dict()
            self.scaler.load_state_dict({**held, "scale": scale, "_growth_tracker": tracker})


def check_learning(state: Any, place: str) -> None:
    """Refuse what `Learning.state` does not give.

    Raises:
        ConfigError: with the place of it.
    """
    record(state, place, (), ("scale",))
    if "scale" in state:
        held = listed(state["scale"], f"{place}.scale", 2, "numbers")
        number(held[0] if held else None, f"{place}.scale[0]", 1e-30, 3e38)
        whole(held[1] if len(held) > 1 else None, f"{place}.scale[1]", 0, 2**31)


class _Told:
    """An optimizer that says whether it was asked to step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.param_groups, self.stepped = optimizer, optimizer.param_groups, False

    def step(self) -> None:
        self.stepped = True
        self.optimizer.step()
