"""Compiled: the options of a training that `compile` takes, checked one by one, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from torchfunc.errors import CompileError, explain, shorten
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.options.precision import PRECISIONS
from torchfunc.training.options.rates import Rates

CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_MOST = 2**31


@dataclass(frozen=True)
class Options:
    """What belongs to a training besides its optimizer, its loss and its metrics.

    Attributes:
        precision: "bf16" or "fp16" to compute in halves beside weights in float32, "tf32" for matrix products in
            NVIDIA's 19 bits; None for the dtype of the weights.
        deterministic: whether PyTorch takes deterministic algorithms alone.
        gradient_accumulation_steps: of how many batches a step is made; None or 1 for one.
        clipnorm: the largest norm of one parameter's gradient.
        clipvalue: the largest absolute value in a gradient.
        global_clipnorm: the largest norm of all gradients together.
        lr_scheduler: what sets the learning rate; see `Rates`.
        use_ema: whether averages of the parameters are kept, which take their place at the end of `fit`.
        ema_momentum: how much of an average stays at each step.
        ema_overwrite_frequency: after how many steps the parameters are set to their averages; None for never.
        cuda_graph: whether the recorded step is captured in a CUDA graph.

    Raises:
        CompileError: an option that is of another kind or out of range.
    """

    precision: str | None = None
    deterministic: bool = False
    gradient_accumulation_steps: int | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    lr_scheduler: Any = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in PRECISIONS:
            raise _refused("precision", self.precision, f"one of {', '.join(map(repr, PRECISIONS))} or None")
        for name in ("deterministic", "use_ema", "cuda_graph"):
            if not isinstance(getattr(self, name), bool):
                raise _refused(name, getattr(self, name), "True or False")
        for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value < _MOST):
                raise _refused(name, value, "None or a whole number from 1")
        for name in CLIPS:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value < 1e30):
                raise _refused(name, value, "None or a number above 0")
        if len(self.clips) > 1:
            got = ", ".join(f"{name}={value}" for name, value in self.clips.items())
            raise CompileError(explain("compile", got=got, expected="at most one of the three"))
        if not (_is_number(self.ema_momentum) and 0 <= self.ema_momentum <= 1):
            raise _refused("ema_momentum", self.ema_momentum, "a number from 0 to 1")
        if not self.use_ema and (self.ema_momentum != 0.99 or self.ema_overwrite_frequency is not None):
            why = "without use_ema=True it would do nothing"
            name = "ema_momentum" if self.ema_overwrite_frequency is None else "ema_overwrite_frequency"
            raise CompileError(explain(name, got=repr(getattr(self, name)), why=why, fix="use_ema=True"))
        if self.lr_scheduler is not None:
            Rates(self.lr_scheduler)

    @property
    def clips(self) -> dict[str, float]:
        """How gradients are clipped: one of three ways, or none."""
        return {name: getattr(self, name) for name in CLIPS if getattr(self, name) is not None}

    @property
    def accumulates(self) -> int:
        """Of how many batches a step is made."""
        return self.gradient_accumulation_steps or 1

    @property
    def is_recordable(self) -> bool:
        """Whether a step with these options is one that can be recorded; for a graph so are those that choose kernels.

        In bfloat16 the tape has the casts of autocast, which are calls like others. Float16 scales its losses.
        """
        if not self.cuda_graph:
            return self == Options()
        precision = None if self.precision in ("bf16", "tf32") else self.precision
        return replace(self, precision=precision, deterministic=False, cuda_graph=False) == Options()

    def check_device(self, device: torch.device) -> None:
        """Refuse a CUDA graph elsewhere than on CUDA.

        Raises:
            CompileError: it was asked for.
        """
        if self.cuda_graph and not cuda_graphs.takes(device):
            why = "graphs are captured on NVIDIA's GPUs alone"
            fix = "device='cuda', or leave it out: on the CPU the step is recorded anyway"
            got = f"True on the device {device}"
            raise CompileError(explain("cuda_graph", got=got, why=why, fix=fix))

    def check_beside(self, optimizer: Any) -> None:
        """Refuse what the optimizer does itself.

        Raises:
            CompileError: with the option that would be done twice, or not at all.
        """
        asked = [*self.clips, *(["use_ema"] if self.use_ema else [])]
        asked += ["gradient_accumulation_steps"] if self.accumulates > 1 else []
        inner = getattr(optimizer, "unwrapped", optimizer)
        for each in getattr(inner, "optimizers", [inner]):
            for name in asked:
                same = CLIPS if name in CLIPS else (name,)
                theirs = next((other for other in same if getattr(each, other, None)), None)
                if theirs is not None:
                    who, got = type(each).__name__, f"{name} beside {theirs} of the optimizer"
                    raise CompileError(explain("compile", got=got, fix=f"leave it out here, or in {who}"))
            if self.lr_scheduler is not None and getattr(each, "schedule", None) is not None:
                got = "one beside a learning rate that is a schedule"
                fix = f"{type(each).__name__}(learning_rate=0.1), or leave out lr_scheduler"
                raise CompileError(explain("lr_scheduler", got=got, fix=fix))

    def get_config(self) -> dict[str, Any]:
        """Those that were chosen, as plain data."""
        found = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }
        if self.lr_scheduler is not None:
            found["lr_scheduler"] = Rates(self.lr_scheduler).get_config()
        return found


NAMES = tuple(each.name for each in fields(Options))


def _refused(name: str, got: Any, expected: str) -> CompileError:
    return CompileError(explain(name, got=shorten(got), expected=expected))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
