"""Tidying: each pass on its own takes away what it is for, and leaves what the step tells as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.recording.recorded_functions import (
    Function,
    batch,
    check,
    expected,
    names,
    recorded,
    results,
    weights,
)
from torchfunc.training.recording.lines import Lines, Value
from torchfunc.training.recording.passes import tidying
from torchfunc.training.recording.passes.constant_lines import constants_of_their_own
from torchfunc.training.recording.replaying import _place


def views(x: Tensor, weight: Tensor) -> Tensor:
    return (x.t().t().detach() @ weight.t()).square().sum()


def constant(x: Tensor, weight: Tensor) -> Tensor:
    return ((x @ weight.t()) * torch.full((3,), 2.0)).sum()


def changed_constant(x: Tensor, weight: Tensor) -> Tensor:
    kept = torch.tensor([1.0, 2.0, 3.0])
    kept.add_(x.sum())
    return ((x @ weight.t()) * kept).sum()


def unread(x: Tensor, weight: Tensor) -> Tensor:
    torch.exp(x)
    return (x @ weight.t()).square().sum()


def random(x: Tensor, weight: Tensor) -> Tensor:
    torch.rand(2)
    return (x @ weight.t()).square().sum() + torch.rand(())


FUNCTIONS = [views, constant, changed_constant, unread]


@pytest.mark.parametrize("tidy", (*tidying.PASSES, *tidying.FASTER))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_pass_leaves_what_is_told_to_the_bit(tidy: Callable[[Lines], Lines], function: Function) -> None:
    before = constants_of_their_own(recorded(function, weights()))
    assert len(check(tidy, function).lines) <= len(before.lines)


def test_views_of_the_same_numbers_are_one() -> None:
    lines = tidying.without_copies_of_views(recorded(views, weights()))
    assert "detach" not in names(lines)
    memory = [(each.results.memory, each.results.place) for each in lines.lines if each.is_view]
    assert len(memory) == len(set(memory))


def test_views_of_weights_and_constants_are_made_before_the_first_batch() -> None:
    lines = tidying.views_once(recorded(constant, weights()))
    before = [each.name for each in lines.before]
    assert "full" in before and "t" in before and "full" not in names(lines)
    assert not any(each.is_view and each.args[0].kind == "parameter" for each in lines.lines)


def test_what_nobody_reads_goes_unless_it_draws() -> None:
    assert "exp" in names(recorded(unread, weights()))
    assert "exp" not in names(tidying.without_the_unread(recorded(unread, weights())))
    assert names(tidying.without_the_unread(recorded(random, weights()))).count("rand") == 2


@pytest.mark.parametrize("function", [views, constant, unread])
def test_gradients_are_written_into_their_places(function: Function) -> None:
    weight, gradient = weights(), torch.full((3, 4), torch.nan)
    lines = recorded(function, weight, told=False)
    lines = tidying.gradients_in_place(lines, [_place("weight", gradient)])
    assert not lines.gradients
    for seed in (1, 2):
        (loss,) = results(lines, batch(seed))
        for one, other in zip((loss, gradient), expected(function, weight, batch(seed)), strict=True):
            assert torch.equal(one, other)


def test_a_product_is_written_where_its_gradient_is_to_be_and_another_is_copied() -> None:
    def product(x: Tensor, weight: Tensor) -> Tensor:
        return (x @ weight.t()).square().sum()

    def curved(x: Tensor, weight: Tensor) -> Tensor:
        return weight.sigmoid().sum()

    for function, copied in ((product, False), (curved, True)):
        weight, gradient = weights(), torch.zeros(3, 4)
        lines = recorded(function, weight, told=False)
        lines = tidying.gradients_in_place(
            tidying.without_copies_of_views(lines), [_place("weight", gradient)]
        )
        written = [each for each in lines.lines if isinstance(each.out, Value)]
        assert ("copy_" in names(lines)) is copied and len(written) == (not copied)
