"""Flat memory: small parameters, their gradients and what the optimizer remembers, each in one piece while it is stepped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import is_
from sys import getrefcount
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from torchfunc import optimizers
from torchfunc.optimizers.stepper import SMALL, TOGETHER, Stepper, Update, is_small

# rules that do with each number of a parameter what they do with every other
_BY_NUMBER = tuple(
    getattr(optimizers, name)
    for name in "SGD Lion Ftrl Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta".split()
)


_PLAIN = (bool, int, float, str, type(None))


class Piece:
    """Memory for small tensors like these: `whole`, and `parts` of it, laid out as the tensors are.

    Args:
        like: the tensors.
        whole: that memory, where it is there already.
    """

    def __init__(self, like: Sequence[Tensor], whole: Tensor | None = None) -> None:
        starts = [0]
        for each in like:
            starts.append(starts[-1] + each.numel())
        if whole is None:
            whole = torch.zeros(starts[-1], dtype=like[0].dtype, device=like[0].device)
        self.whole = whole
        first = self.whole.storage_offset()
        self.parts = [
            self.whole.as_strided(each.shape, each.stride(), first + start)
            for each, start in zip(like, starts, strict=False)
        ]


class Gradients:
    """Memory for the gradients of parameters: one piece for those of the small ones, and a tensor for each other.

    Attributes:
        of: each parameter and its gradient, in the order in which they were given.
        whole: all that memory.
        looked: the same in the tensors that it takes least to look at.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        groups, others = divided(parameters)
        blocks = [Block(having) for having in _by_dtype([*groups, *([each] for each in others)])]
        found = {id(each): part for block in blocks for each, part in block.parts}
        self.of = [(each, found[id(each)]) for each in parameters]
        wholes = {id(group[0]): whole for block in blocks for group, whole in block.wholes}
        self.whole = [wholes[id(group[0])] for group in groups] + [found[id(each)] for each in others]
        self.looked = [each for block in blocks for each in block.looked()]
        self._own = Holders()

    def are_numbers(self) -> bool:
        """Whether their sums are finite, and so each of them is."""
        return all(math.isfinite(each.sum().item()) for each in self.looked)

    def settle(self) -> None:
        """Whoever has these tensors now is one of ours; their parameters have them too, while they are shown."""
        shown = [parameter.grad for parameter, _ in self.of]
        self.show()
        self._own = Holders([gradient for _, gradient in self.of], self.whole)
        for (parameter, _), gradient in zip(self.of, shown, strict=True):
            parameter.grad = gradient

    def are_held(self) -> bool:
        """Whether somebody else has one of them, and would see it change."""
        return self._own.are_more()

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


class Block:
    """One piece of memory for groups of tensors of one dtype, so that one look is one at all of them.

    Attributes:
        wholes: each group and its memory, which begins as memory of its own would.
        parts: each tensor and its memory, laid out as it is.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Parameter]]) -> None:
        starts = [0]
        for group in groups:
            size = sum(each.numel() for each in group)
            starts.append(starts[-1] + -(-size // TOGETHER) * TOGETHER)
        first = groups[0][0]
        self._all = torch.zeros(starts[-1], dtype=first.dtype, device=first.device)
        self.wholes: list[tuple[Sequence[nn.Parameter], Tensor]] = []
        self.parts: list[tuple[nn.Parameter, Tensor]] = []
        for group, start in zip(groups, starts, strict=False):
            like = [torch.empty_like(each, device="meta", requires_grad=False) for each in group]
            piece = Piece(like, self._all[start : start + sum(each.numel() for each in group)])
            self.wholes.append((group, piece.whole))
            self.parts += zip(group, piece.parts, strict=True)

    def looked(self) -> Sequence[Tensor]:
        """All of it: in parts that one thread looks at, as long as two have to wait for each other longer than that."""
        small = self._all.device.type == "cpu" and self._all.numel() <= 4 * SMALL
        return torch.split(self._all, SMALL - TOGETHER) if small else [self._all]


def _by_dtype(groups: Sequence[Sequence[nn.Parameter]]) -> Iterator[list[Sequence[nn.Parameter]]]:
    """The groups of each dtype."""
    for dtype in dict.fromkeys(group[0].dtype for group in groups):
        yield [group for group in groups if group[0].dtype is dtype]


class Holders:
    """How many have these tensors, or memory in which they lie."""

    def __init__(self, tensors: Sequence[Tensor] = (), memory: Sequence[Tensor] = ()) -> None:
        self.tensors, self.memory = tensors, memory
        self.count = self._counted()

    def _counted(self) -> list[int]:
        return [*map(getrefcount, self.tensors), *map(users_of, self.memory)]

    def are_more(self) -> bool:
        """Whether somebody has come to it."""
        now = self._counted()
        return now != self.count and any(
            found > before for found, before in zip(now, self.count, strict=True)
        )


def divided(parameters: Sequence[nn.Parameter]) -> tuple[list[list[nn.Parameter]], list[nn.Parameter]]:
    """The small ones in groups that are small too, each of one dtype, in their order, and the others."""
    groups: list[list[nn.Parameter]] = []
    size = 0
    for each in filter(is_small, parameters):
        if not groups or size + each.numel() >= SMALL or groups[-1][0].dtype is not each.dtype:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.numel()
    return groups, [each for each in parameters if not is_small(each)]


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
        self._groups, self._others = divided([parameter for parameter, _ in gradients.of])
        self._pieces = list(map(Piece, self._groups))
        self._remembered = {
            name: list(map(Piece, self._groups))
            for name in self.rule.slots(self.group)
            if name not in self.rule.flat
        }
        self.parameters = [*(piece.whole for piece in self._pieces), *self._others]
        self.slots: dict[str, list[Tensor]] = {}
        self.whole: dict[str, list[Tensor]] = {}
        self._moved: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        self._states: list[tuple[dict[str, Any], str, Tensor, Tensor]] = []
        self._own = Holders()
        self._seen: list[Any] = []
        self._known: list[Any] = []

    def still_steps(self) -> bool:
        """Whether the optimizer is as it was when this settled: its rule, and what it remembers."""
        known = self._remembers()
        return (
            self._looks() == self._seen
            and len(known) == len(self._known)
            and all(map(is_, known, self._known))
            and not any(_hooks(self.stepper))
            and not torch._C._autograd._profiler_enabled()
        )

    def _remembers(self) -> list[Any]:
        """Everything that the optimizer remembers, and of what."""
        state = self.stepper.state
        return [*state, *chain.from_iterable(map(dict.values, state.values()))]

    def _looks(self) -> list[Any]:
        """What the steps go by, besides the numbers in the group, which are looked up at each."""
        groups = self.stepper.param_groups
        given = {name: each for name, each in vars(self.rule).items() if type(each) in _PLAIN}
        return [given, self.rule.schedule is None, len(groups), id(groups[0]), len(groups[0]["params"])]

    def settle(self) -> None:
        """Whoever has what was taken now is one of ours."""
        self._seen, self._known = self._looks(), self._remembers()
        pieces = [*self._pieces, *(each for name in self._remembered for each in self._remembered[name])]
        self._own = Holders([part for *_, part in self._states], [each.whole for each in pieces])

    @torch.no_grad()
    def take(self) -> None:
        """Move small parameters and what is remembered of them into memory in pieces, if they are not there."""
        if self.slots or self._moved:
            return
        for name, pieces in self._remembered.items():
            for parameter, part in self._parts(pieces):
                state = self.stepper.state[parameter]
                self._states.append((state, name, state[name], part.copy_(state[name])))
                state[name] = part
            self.slots[name] = [*(piece.whole for piece in pieces), *self._of_others(name)]
        for name in self.rule.flat:  # which is in one piece already
            self.whole[name] = self.stepper.whole(name, [parameter for parameter, _ in self.gradients.of])
            sizes = [piece.whole.numel() for piece in self._pieces]
            small = torch.split(self.whole[name][0][: sum(sizes)], sizes) if sizes else ()
            self.slots[name] = [*small, *self._of_others(name)]
        for parameter, part in self._parts(self._pieces):
            self._moved.append((parameter, parameter.data, part.copy_(parameter)))
            parameter.data = part

    def _parts(self, pieces: Sequence[Piece]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Small parameters and their parts of pieces."""
        for group, piece in zip(self._groups, pieces, strict=True):
            yield from zip(group, piece.parts, strict=True)

    def _of_others(self, name: str) -> list[Tensor]:
        """What is remembered of the parameters that stay where they are."""
        return [self.stepper.state[each][name] for each in self._others]

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters, as the optimizer does with one after the other."""
        group, rule = self.group, self.rule
        if rule.schedule is not None:
            group["lr"] = rule.schedule(group["iterations"])
        update = Update(
            group, float(group["lr"]), group["iterations"] + 1, self.parameters, self.gradients.whole,
            self.slots, self.whole, True, self.stepper.names,
        )  # fmt: skip
        rule.decay(update)
        rule.update(update)
        group["iterations"] += 1

    @torch.no_grad()
    def give_back(self) -> None:
        """Have everything where it lay before, with the numbers that it has now.

        What somebody replaced stays so, and where somebody has come to see the pieces of memory all stays in them.
        """
        if self._own.are_more():
            self._moved, self._states = [], []
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
    group, own = stepper.param_groups[0], [id(each) for each in parameters]
    trained = set(own)
    plain = (
        type(rule) in _BY_NUMBER
        and not (rule.clipnorm or rule.clipvalue or rule.global_clipnorm)
        and not (rule.use_ema or rule.gradient_accumulation_steps)
        and rule._undecayed == ([], None)
        and not (rule.schedule is not None and "initial_lr" in group)
        and own == [id(each) for each in group["params"] if id(each) in trained]
    )
    if not plain or any(_hooks(stepper)) or torch._C._autograd._profiler_enabled():
        return False
    slots = [stepper.state[each].get(name) for each in parameters for name in rule.slots(group)]
    plain = all(
        each is not None and each.dtype is parameters[0].dtype and _lies_plainly(each)
        for each in (*parameters, *slots)
    )
    return plain and all(len(stepper.whole(name, list(parameters))) == 1 for name in rule.flat)


def _hooks(stepper: Stepper) -> Iterator[Any]:
    """What listens to the steps of an optimizer."""
    yield from (stepper._optimizer_step_pre_hooks, stepper._optimizer_step_post_hooks)
    yield from (_global_optimizer_pre_hooks, _global_optimizer_post_hooks)


def _lies_plainly(tensor: Tensor) -> bool:
    """Whether a tensor is in one piece, in the usual order; float32 or float64."""
    return tensor.is_contiguous() and tensor.dtype in (torch.float32, torch.float64)


def is_shared(tensor: Tensor) -> bool:
    """Whether somebody else has a tensor in memory that would be left, who would not hear of what is done elsewhere."""
    return is_small(tensor) and users_of(tensor) > users_of(torch.empty(1))


def users_of(tensor: Tensor) -> int:
    """How many tensors lie in the memory of this one, and itself."""
    count: int = torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)
    return count
