"""Recorded functions: the lines of a function of a batch and a weight, and what they are to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.training.recording.lines import Lines, Reader
from torchfunc.training.recording.passes.constant_lines import constants_of_their_own
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.recording.tape import Tape

Function = Callable[[Tensor, Tensor], Tensor]


def weights() -> nn.Parameter:
    return nn.Parameter(torch.rand(3, 4, generator=torch.Generator().manual_seed(0)))


def batch(seed: int) -> Tensor:
    return torch.rand(5, 4, generator=torch.Generator().manual_seed(seed)) - 0.5


def recorded(function: Function, weight: nn.Parameter, *, told: bool = True) -> Lines:
    """The lines of a function and of its gradient, which is told too unless it is left for its place."""
    x, tape = batch(1), Tape()
    with tape:
        loss = function(x, weight)
        (gradient,) = torch.autograd.grad(loss, [weight])
    rest: Sequence[Any] = () if told else [gradient]
    return Reader([x], {"weight": weight}, {}).lines(tape.rows, rest, [loss, gradient] if told else [loss])


def results(lines: Lines, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        run = spelled(lines).compile("step")
    with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
        return [each.clone() for each in run(x)]


def expected(function: Function, weight: nn.Parameter, x: Tensor) -> list[Tensor]:
    loss = function(x, weight)
    return [loss.detach(), *torch.autograd.grad(loss, [weight])]


def names(lines: Lines) -> list[str]:
    return [each.name for each in lines.lines]


def check(tidy: Callable[[Lines], Lines], function: Function, *, moves: bool = False) -> Lines:
    """The lines after a pass, which tell what the function does: to the bit, or to 1e-6 where sums moved."""
    weight = weights()
    before = recorded(function, weight)
    # whatever else a pass does, a constant that is changed has to be new each time
    lines = tidy(constants_of_their_own(before))
    run = spelled(lines).compile("step")
    for seed in (1, 2, 2, 3):
        with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
            found = [each.clone() for each in run(batch(seed))]
        for one, other in zip(found, expected(function, weight, batch(seed)), strict=True):
            if moves:
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
            else:
                assert torch.equal(one, other)
    return lines
