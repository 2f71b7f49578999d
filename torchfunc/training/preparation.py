"""Preparation: where a module is, whether it has its weights yet, and what its outputs are called."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torchfunc.errors import CompileError, explain


def placed(module: nn.Module, device: torch.device | str | None) -> torch.device:
    """The device to train on, and the module there: the given one, else where it is, else CUDA if any."""
    first = next((each for each in (*module.parameters(), *module.buffers())), None)
    current = torch.device("cpu") if first is None else first.device
    if device is None and current.type == "cpu" and torch.cuda.is_available():
        device = "cuda"
    chosen = current if device is None else torch.device(device)
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", torch.cuda.current_device())
    if first is not None and chosen != current:
        module.to(chosen)
    return chosen


def usable(device: torch.device | str | None) -> torch.device | None:
    """A device that PyTorch finds here.

    Raises:
        CompileError: another one.
    """
    if device is None:
        return None
    try:
        return torch.empty(0, device=torch.device(device)).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CompileError(
            explain(
                "device",
                got=repr(str(device)),
                expected="a device that PyTorch finds here",
                why=reason.rstrip("."),
                fix="device='cpu', or leave it out",
            )
        ) from error


def is_unbuilt(module: nn.Module) -> bool:
    """Whether some weights wait for the first inputs to say their shapes."""
    waiting = (UninitializedParameter, UninitializedBuffer)
    return any(getattr(each, "built", True) is False for each in module.modules()) or any(
        isinstance(each, waiting) for each in (*module.parameters(), *module.buffers())
    )
