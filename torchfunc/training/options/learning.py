"""Learning: how a loss changes the parameters, where that takes more than its gradients and one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.distributed.fully_sharded import Shards, reshard
from torchfunc.distributed.ranks import take_gradients
from torchfunc.distributed.replicas import Replicas
from torchfunc.errors import DataError, explain
from torchfunc.fields import listed, number, record, whole
from torchfunc.training.options.accumulation import Part, Sums, check_sums
from torchfunc.training.options.averages import Averages, check_averages
from torchfunc.training.options.clipping import clip
from torchfunc.training.options.compiled import Options
from torchfunc.training.options.rates import Rates, check_rates

LONGEST_OVERFLOW = 100  # steps in a row


class Learning:
    """What is done with a loss by the options of a training, between its forward and the step of the optimizer.

    Args:
        options: of the training.
        module: what is trained.

    Attributes:
        sums: the gradients of the batches that wait for others, where several make a step; else None.
        heard: whether it was asked for anything, which a step of the user's own may forget to do.
        copies: what this rank has of a module that several train; None where one process does.
    """

    copies: Replicas | Shards | None = None

    def __init__(self, options: Options, module: nn.Module) -> None:
        self.options, self.module = options, module
        self.scaler: Any = None
        self.sums = Sums() if options.accumulates > 1 else None
        self.rates = None if options.lr_scheduler is None else Rates(options.lr_scheduler)
        self.averages = (
            Averages(options.ema_momentum, options.ema_overwrite_frequency) if options.use_ema else None
        )
        self.heard = False
        self.steps = 0
        self._overflows = 0
        self._scale: Any = None
        self._parameters: dict[str, Tensor] = {}
        self._from_file = False  # whether the gradients that wait are those of a file, and of all ranks
        self._fresh: list[tuple[str, Any, list[Tensor | None]]] = []

    @classmethod
    def asked_for(cls, options: Options, module: nn.Module) -> Learning | None:
        """What the options ask for; None where a loss is learned from by its gradients and a step alone."""
        needed = (
            options.precision == "fp16",
            options.accumulates > 1,
            options.clips,
            options.lr_scheduler is not None,
            options.use_ema,
        )
        return cls(options, module) if any(needed) else None

    def begin(self, device: torch.device) -> None:
        """Have what it needs on the device."""
        if self.options.precision == "fp16" and self.scaler is None:
            self.scaler = torch.amp.GradScaler(device.type)
            self.scaler.scale(torch.ones((), device=device))  # which has it make its scale
            self._load_scale()

    def begin_anew(self) -> None:
        """Leave the batches that wait: they are of another training."""
        if self.sums is not None:
            self.sums = Sums()

    def ready(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Sequence[Tensor],
        batches: int | None,
        epochs: int,
    ) -> None:
        """Be ready for the parameters that an optimizer changes, and for so many batches an epoch, if that is known."""
        names = {id(each): name for name, each in self.module.named_parameters()}
        found = {names.get(id(each), str(index)): each for index, each in enumerate(parameters)}
        if list(found) != list(self._parameters) and self.sums is not None and self._parameters:
            self.sums = Sums()  # which were of other parameters
        self._parameters = found
        if self.sums is not None and self.copies is not None and self._from_file:
            self.sums.share(parameters)
        self._from_file = False
        if self.rates is not None:
            steps = None if batches is None else math.ceil(batches / self.options.accumulates) * epochs
            self.rates.bind(optimizer, steps)

    def backward(self, loss: Tensor, parts: Sequence[Part]) -> None:
        """The gradients of a loss, which are multiplied where halves could not hold them."""
        self.heard = True
        scaled: Callable[[Tensor], Any] = (lambda each: each) if self.scaler is None else self.scaler.scale
        if self.sums is None:
            scaled(loss).backward()
            return
        self._fresh, parameters = [], list(self._parameters.values())
        together = _together(parts)
        for index, (name, value, divisor) in enumerate(together):
            if value.requires_grad:
                scaled(value).backward(retain_graph=index < len(together) - 1)
            taken = take_gradients(parameters) if self.copies is None else self.copies.taken(self._parameters)
            self._fresh.append((name, divisor, taken))
        if isinstance(self.copies, Shards):  # which are looked at when they are one
            reshard(self.module)
            return
        if len(self._fresh) == 1:
            for each, grad in zip(parameters, self._fresh[0][2], strict=True):
                each.grad = grad
            return
        for index, each in enumerate(parameters):  # their sum is looked at
            for _, _, grads in self._fresh:
                grad = grads[index]
                each.grad = grad if each.grad is None else each.grad if grad is None else each.grad + grad

    def take(self) -> None:
        """Take the gradients of the last batch to those that wait, if any do."""
        if self.sums is not None:
            self.sums.add(self._fresh)
            self.forget()

    def forget(self) -> None:
        """Leave the gradients of the last batch."""
        self._fresh = []

    @property
    def due(self) -> bool:
        """Whether a step is to be taken now."""
        return self.sums is None or self.sums.count >= self.options.accumulates

    @property
    def waits(self) -> bool:
        """Whether there are batches of which no step was made yet."""
        return self.sums is not None and self.sums.count > 0

    def join(self) -> None:
        """Have on each rank the gradients that wait on all of them, for who saves them."""
        if self.waits and self.sums is not None and self.copies is not None:
            self.sums.join(self.copies.ranks, list(self._parameters.values()))

    def gather(self) -> None:
        """Have the parameters have the gradients of all batches that wait, on all ranks, as of one."""
        if self.sums is None:
            return
        parameters, ranks = (
            list(self._parameters.values()),
            None if self.copies is None else self.copies.ranks,
        )
        for each, grad in zip(parameters, self.sums.take(ranks, parameters), strict=True):
            each.grad = grad

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Change the parameters by their gradients.

        Returns:
            Whether they were changed: not where gradients in float16 were too large.

        Raises:
            DataError: they are too large at any scale.
        """
        parameters = list(self._parameters.values())
        told = _Told(optimizer)
        if self.options.clips:
            if self.scaler is not None:
                self.scaler.unscale_(told)
            clip(parameters, **self.options.clips)
        if self.scaler is None:
            told.step()
        else:
            self.scaler.step(told)
            self.scaler.update()
        self._after(told.stepped)
        return told.stepped

    def _after(self, stepped: bool) -> None:
        self._overflows = 0 if stepped else self._overflows + 1
        if self._overflows >= LONGEST_OVERFLOW:
            got = f"gradients that float16 cannot hold, {self._overflows} steps in a row"
            raise DataError(explain("precision='fp16'", got=got, fix="precision='bf16', or clipnorm=1.0"))
        if not stepped:
            return
        self.steps += 1
        if self.rates is not None:
            self.rates.after_step()
        if self.averages is not None:
            self.averages.after_step(self._parameters, self.steps)

    def state(self) -> dict[str, Any]:
        """What it remembers, as plain data and tensors."""
        held: dict[str, Any] = {"steps": self.steps}
        if self.scaler is not None:
            scaler = self.scaler.state_dict()
            held["scale"] = [scaler["scale"], scaler["_growth_tracker"]]
        elif self._scale is not None:
            held["scale"] = self._scale
        if self.sums is not None and self.sums.count:
            held["sums"] = self.sums.state(list(self._parameters))
        if self.rates is not None:
            held["rates"] = self.rates.state()
        if self.averages is not None:
            held["averages"] = dict(self.averages.held)
        return held

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self.steps, self._scale = state.get("steps", 0), state.get("scale")
        self._load_scale()
        if self.sums is not None:
            self.sums = Sums()
            if "sums" in state:
                trained = {name: each for name, each in self.module.named_parameters() if each.requires_grad}
                self._parameters = dict(trained)
                self.sums.load(state["sums"], trained)
                self._from_file = True
        if self.rates is not None and "rates" in state:
            self.rates.load(state["rates"])
        if self.averages is not None:
            self.averages.held = {
                name: each.detach().clone() for name, each in state.get("averages", {}).items()
            }

    def _load_scale(self) -> None:
        if self.scaler is not None and self._scale is not None:
            scale, tracker = self._scale
            held = self.scaler.state_dict()
            self.scaler.load_state_dict({**held, "scale": scale, "_growth_tracker": tracker})
            self._scale = None


def _together(parts: Sequence[Part]) -> list[Part]:
    """Parts of a loss, those that are divided by the same in one."""
    found: dict[str, Part] = {}
    for each in parts:
        before = found.get(each.name)
        found[each.name] = each if before is None else before._replace(value=before.value + each.value)
    return list(found.values())


def check_learning(state: Any, place: str, module: nn.Module) -> None:
    """Refuse what `Learning.state` does not give for such a module.

    Raises:
        ConfigError: with the place of it.
    """
    record(state, place, ("steps",), ("scale", "sums", "rates", "averages"))
    whole(state["steps"], f"{place}.steps")
    if "scale" in state:
        held = listed(state["scale"], f"{place}.scale", 2, "numbers")
        number(held[0] if held else None, f"{place}.scale[0]", 1e-30, 3e38)
        whole(held[1] if len(held) > 1 else None, f"{place}.scale[1]", 0, 2**31)
    parameters = dict(module.named_parameters())
    if "sums" in state:
        check_sums(state["sums"], f"{place}.sums", parameters)
    if "rates" in state:
        check_rates(state["rates"], f"{place}.rates")
    if "averages" in state:
        check_averages(state["averages"], f"{place}.averages", parameters)


class _Told:
    """An optimizer that says whether it was asked to step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.param_groups, self.stepped = optimizer, optimizer.param_groups, False

    def step(self) -> None:
        self.stepped = True
        self.optimizer.step()
