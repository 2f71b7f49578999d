"""Flat memory: small parameters, their gradients and what the optimizer remembers, each in one piece while an epoch runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from torchfunc import optimizers
from torchfunc.optimizers.stepper import Stepper, Update

# numbers up to which a parameter is small: where calling a kernel costs as much as what it does
SMALL = 2**16
ALIGNED = 16  # numbers, at whose multiples a parameter begins, as where it has memory of its own
# rules that do with each number of a parameter what they do with every other
_BY_NUMBER = tuple(
    getattr(optimizers, name)
    for name in "SGD Lion Ftrl Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta".split()
)


def is_small(tensor: Tensor) -> bool:
    """Whether a tensor is one that shares a piece of memory with others."""
    return tensor.numel() <= SMALL


class Piece:
    """Memory for small tensors like these: `whole`, and `parts` of it, laid out as the tensors are."""

    def __init__(self, like: Sequence[Tensor]) -> None:
        starts = [0]
        for each in like:
            starts.append(starts[-1] + math.ceil(each.numel() / ALIGNED) * ALIGNED)
        self.whole = torch.zeros(starts[-1], dtype=like[0].dtype if like else None)
        self.parts = [
            self.whole.as_strided(each.shape, each.stride(), start)
            for each, start in zip(like, starts, strict=False)
        ]


class Gradients:
    """Memory for the gradients of parameters: one piece for those of the small ones, and a tensor for each other.

    Attributes:
        of: each parameter and its gradient, in the order in which they were given.
        whole: all that memory.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        small, large = divided(parameters)
        piece = Piece(small)
        parts = dict(zip(map(id, small), piece.parts, strict=True))
        self.of = [
            (each, parts[id(each)] if id(each) in parts else torch.empty_like(each, requires_grad=False))
            for each in parameters
        ]
        found = {id(parameter): gradient for parameter, gradient in self.of}
        self.whole = [*([piece.whole] if small else []), *(found[id(each)] for each in large)]

    def show(self) -> None:
        """Let each parameter have its gradient, where everybody looks for it."""
        for parameter, gradient in self.of:
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def leave(self) -> None:
        """Let each parameter have its gradient to itself, which the next step would change."""
        for parameter, gradient in self.of:
            if parameter.grad is gradient:
                parameter.grad = gradient.clone()


def divided(parameters: Sequence[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The small ones and the others."""
    small = [each for each in parameters if is_small(each)]
    return small, [each for each in parameters if not is_small(each)]


class FlatOptimizer:
    """A Keras rule that steps on whole pieces of memory.

    Small parameters, and what the rule remembers of them, lie in pieces from `take` to `give_back`, and afterwards
    where they lay before. They stay the same objects all the while.

    Args:
        stepper: the optimizer.
        gradients: the memory of the gradients, and whose they are.
    """

    def __init__(self, stepper: Stepper, gradients: Gradients) -> None:
        self.stepper, self.rule, self.gradients = stepper, stepper.rule, gradients
        self.group: dict[str, Any] = stepper.param_groups[0]
        self._small, self._large = divided([parameter for parameter, _ in gradients.of])
        self._piece = Piece(self._small)
        self._pieces = {name: Piece(self._small) for name in self.rule.slots(self.group)}
        self.parameters = [*([self._piece.whole] if self._small else []), *self._large]
        self.slots: dict[str, list[Tensor]] = {}
        self._moved: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        self._states: list[tuple[dict[str, Any], str, Tensor, Tensor]] = []

    @torch.no_grad()
    def take(self) -> None:
        """Move small parameters and what is remembered of them into memory in one piece, if they are not there."""
        if self.slots or self._moved:
            return
        states = [self.stepper.state[each] for each in self._small]
        for name, piece in self._pieces.items():
            for state, part in zip(states, piece.parts, strict=True):
                self._states.append((state, name, state[name], part.copy_(state[name])))
                state[name] = part
            held = [self.stepper.state[each][name] for each in self._large]
            self.slots[name] = [*([piece.whole] if self._small else []), *held]
        for parameter, part in zip(self._small, self._piece.parts, strict=True):
            self._moved.append((parameter, parameter.data, part.copy_(parameter)))
            parameter.data = part

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters, as the optimizer does with one after the other."""
        group, rule = self.group, self.rule
        if rule.schedule is not None:
            group["lr"] = rule.schedule(group["iterations"])
        update = Update(
            group, float(group["lr"]), group["iterations"] + 1, self.parameters, self.gradients.whole,
            self.slots, self.slots, True, self.stepper.names,
        )  # fmt: skip
        rule.decay(update)
        rule.update(update)
        group["iterations"] += 1

    @torch.no_grad()
    def give_back(self) -> None:
        """Have everything where it lay before, with the numbers that it has now; what somebody replaced stays so."""
        for parameter, before, part in self._moved:
            if parameter.data_ptr() == part.data_ptr() and parameter.shape == part.shape:
                parameter.data = before.copy_(part)
        for state, name, before, part in self._states:
            if state.get(name) is part:
                state[name] = before.copy_(part)
        self._moved, self._states, self.slots = [], [], {}


def flattens(stepper: Any, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the steps of an optimizer on these parameters, which have gradients, can be taken in pieces."""
    if type(stepper) is not Stepper or len(stepper.param_groups) != 1:
        return False
    rule: Any = stepper.rule
    group, own = stepper.param_groups[0], {id(each) for each in parameters}
    plain = (
        type(rule) in _BY_NUMBER
        and not (rule.clipnorm or rule.clipvalue or rule.global_clipnorm)
        and not (rule.use_ema or rule.gradient_accumulation_steps)
        and rule._undecayed == ([], None)
        and not (rule.schedule is not None and "initial_lr" in group)
        and own.issubset(map(id, group["params"]))
    )
    hooks = (
        stepper._optimizer_step_pre_hooks,
        stepper._optimizer_step_post_hooks,
        _global_optimizer_pre_hooks,
        _global_optimizer_post_hooks,
    )
    if not plain or any(hooks) or torch._C._autograd._profiler_enabled():
        return False
    slots = [stepper.state[each].get(name) for each in parameters for name in rule.slots(group)]
    return all(map(_lies_plainly, parameters)) and all(
        each is not None and each.dtype is parameters[0].dtype and _lies_plainly(each) for each in slots
    )


def _lies_plainly(tensor: Tensor) -> bool:
    """Whether a tensor is in one piece, in the usual order; float32 or float64."""
    return tensor.is_contiguous() and tensor.dtype in (torch.float32, torch.float64)


def is_shared(tensor: Tensor) -> bool:
    """Whether somebody else has a tensor in the same memory, who would not hear of what is done elsewhere."""
    other = torch.empty(1)
    storage, alone = tensor.untyped_storage(), other.untyped_storage()
    count = torch._C._storage_Use_Count
    return bool(count(storage._cdata) > count(alone._cdata))
