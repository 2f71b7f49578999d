"""Preparation: where a module is, whether it has its weights yet, and what its outputs are called."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torchfunc.errors import CompileError, explain
from torchfunc.tree import leaves, leaves_with_path


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


def names_of_outputs(outputs: Any) -> tuple[str, ...]:
    """Names for what a module returned: a dict's own keys, else `output`, or `output_0`, `output_1`, ..."""
    if isinstance(outputs, Tensor):
        return ("output",)
    if isinstance(outputs, dict):
        return tuple(map(str, outputs))
    return tuple(f"output_{index}" for index, _ in enumerate(leaves(outputs)))


def structure_keys(structure: Any) -> dict[str, str]:
    """The outputs' names by the keys that the module returns them under."""
    return {
        path[-1]: name for path, name in leaves_with_path(structure) if path and isinstance(path[-1], str)
    }
