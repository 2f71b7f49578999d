"""Kept memory: lines that write over what nobody reads any more, or into kept tensors, tell what they told before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchfunc.training.recording.lines import Lines, Reader
from torchfunc.training.recording.passes import kept_memory, tidying
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.recording.tape import Tape

Function = Callable[[Tensor, Tensor, Tensor], Tensor]


def deep(activation: Callable[[Tensor], Tensor]) -> Function:
    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        for _ in range(4):
            x = activation(torch.addmm(bias, x, weight.t()))
        return x.square().mean()

    return function


def shared(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each activation is read twice, once much later."""
    first = torch.addmm(bias, x, weight.t())
    second = F.relu(first) + first
    return (second * first + second.t().contiguous().t() * F.relu(second)).sum()


def views(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A view of a result outlives its name, and one overlaps with what is written."""
    first = torch.addmm(bias, x, weight.t())
    square = first.t() @ first
    return (square * square.t()).sum() + first[:2].exp().sum() + F.relu(first).view(-1).sum()


def twice(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    first = torch.addmm(bias, x, weight.t())
    return (first * first).sum() + (first + 1).tanh().mul(first - 1).sum()


FUNCTIONS: dict[str, Function] = {
    "relu": deep(F.relu),
    "tanh": deep(torch.tanh),
    "sigmoid": deep(torch.sigmoid),
    "gelu": deep(F.gelu),
    "silu": deep(F.silu),
    "elu": deep(F.elu),
    "leaky relu": deep(F.leaky_relu),
    "softplus": deep(F.softplus),
    "shared": shared,
    "views": views,
    "twice": twice,
}
PASSES = (kept_memory.in_place, kept_memory.with_activations, kept_memory.in_kept_memory)


def numbers(seed: int, rows: int = 5) -> Tensor:
    return torch.rand(rows, 4, generator=torch.Generator().manual_seed(seed)) - 0.5


def recorded(function: Function, weight: Tensor, bias: Tensor) -> Lines:
    x, tape = numbers(9), Tape()
    with tape:
        loss = function(x, weight, bias)
        gradients = torch.autograd.grad(loss, [weight, bias])
    lines = Reader([x], {"weight": weight, "bias": bias}, {}).lines(tape.rows, (), [loss, *gradients])
    return tidying.tidied(lines, ())


def run_of(lines: Lines) -> Callable[[Tensor], Any]:
    with torch.no_grad():
        run = spelled(lines).compile("step")

    def below_autograd(x: Tensor) -> Any:
        with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
            return run(x)

    return below_autograd


@pytest.mark.parametrize("passes", [[each] for each in PASSES] + [list(PASSES)])
@pytest.mark.parametrize("what", FUNCTIONS)
def test_what_is_told_is_the_same_to_the_bit_batch_after_batch(what: str, passes: list[Any]) -> None:
    weight, bias = nn.Parameter(numbers(1, 4)), nn.Parameter(numbers(2, 1)[0])
    lines = recorded(FUNCTIONS[what], weight, bias)
    for each in passes:
        lines = each(lines)
    run, told = run_of(lines), []
    for seed in (3, 4, 4, 5):
        x = numbers(seed)
        before = x.clone()
        found = run(x)
        loss = FUNCTIONS[what](x, weight, bias)
        expected = [loss.detach(), *torch.autograd.grad(loss, [weight, bias])]
        assert all(map(torch.equal, found, expected)) and torch.equal(x, before)
        told.append((found, [each.clone() for each in found]))
    for found, then in told:  # what was handed out is nobody else's
        assert all(map(torch.equal, found, then))


def test_what_goes_back_through_an_activation_is_written_over_what_comes() -> None:
    weight, bias = nn.Parameter(numbers(1, 4)), nn.Parameter(numbers(2, 1)[0])
    lines = kept_memory.in_place(recorded(deep(F.relu), weight, bias))
    back = [each for each in lines.lines if each.name == "threshold_backward"]
    assert len(back) == 4 and all(each.results is each.args[0] is each.kwargs["grad_input"] for each in back)


def test_a_chain_needs_no_more_memory_after_its_first_batch() -> None:
    weight, bias = nn.Parameter(numbers(1, 4)), nn.Parameter(numbers(2, 1)[0])
    lines = recorded(deep(F.relu), weight, bias)
    for each in PASSES:
        lines = each(lines)
    products = [each for each in lines.lines if each.name in ("_addmm_activation", "addmm", "mm")]
    told = {each.memory for each in lines.returned}
    assert products and all(each.out is not None or each.results.memory in told for each in products)
    # transposes of what is kept are taken once
    assert not any(each.name == "t" and each.args[0].kind == "held" for each in lines.lines)


def test_what_is_large_is_made_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_memory, "MOST", 2 * 5 * 4 * 4)  # room for two results of 5 by 4
    weight, bias = nn.Parameter(numbers(1, 4)), nn.Parameter(numbers(2, 1)[0])
    lines = kept_memory.in_kept_memory(recorded(deep(F.relu), weight, bias))
    kept = {each.out for each in lines.lines if each.out is not None}
    assert len(kept) == 2
