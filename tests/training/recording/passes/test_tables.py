"""Tables: rows and their gradients, in the order in which they come, are what PyTorch makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
from torchfunc.training.recording.passes import tables, tidying
from torchfunc.training.recording.replaying import _place


def numbers(x: Tensor, *, count: int = 3) -> Tensor:
    """Numbers of rows of a table, most of them several times."""
    return (x.abs() * 100).long() % count


def looked_up(x: Tensor, weight: Tensor) -> Tensor:
    # turned, as a recurrent layer gives it back
    return F.embedding(numbers(x), weight).transpose(0, 1).reshape(-1, 4).mul(x[0]).square().sum()


def looked_up_in_order(x: Tensor, weight: Tensor) -> Tensor:
    return F.embedding(numbers(x)[:, 1:3], weight).exp().sum()


@pytest.mark.parametrize("function", [looked_up, looked_up_in_order])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_of_a_table_is_added_row_by_row_where_it_is_to_be(
    function: Function, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(weights().detach().to(dtype))
    gradient = torch.full((3, 4), torch.nan, dtype=dtype)
    before = recorded(function, weight, told=False)
    lines = tidying.gradients_in_place(before, [_place("weight", gradient)])
    assert "embedding_dense_backward" in names(before) and "embedding_dense_backward" not in names(lines)
    assert names(lines).count("index_add_") == 1 and "copy_" not in names(lines)
    for seed in (1, 2, 3):
        (loss,) = results(lines, batch(seed))
        for one, other in zip((loss, gradient), expected(function, weight, batch(seed)), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    "options",
    [{"padding_idx": 1}, {"scale_grad_by_freq": True}, {"twice": True}],
    ids=lambda options: next(iter(options)),
)
def test_a_table_of_which_rows_count_otherwise_is_made_as_it_is(options: dict[str, Any]) -> None:
    twice = "twice" in options

    def function(x: Tensor, weight: Tensor) -> Tensor:
        made = F.embedding(numbers(x), weight, **({} if twice else options)).square().sum()
        return made + weight.sum() if twice else made

    weight, gradient = weights(), torch.full((3, 4), torch.nan)
    lines = recorded(function, weight, told=False)
    lines = tidying.gradients_in_place(lines, [_place("weight", gradient)])
    assert "embedding_dense_backward" in names(lines) and "index_add_" not in names(lines)
    for seed in (1, 2):
        results(lines, batch(seed))
        assert torch.equal(gradient, expected(function, weight, batch(seed))[1])


def test_rows_of_one_table_come_in_the_order_in_which_they_were_looked_up() -> None:
    """What is added to one row has a sum that depends on the order, to its last bit."""
    torch.manual_seed(0)
    index, rows = torch.randint(7, (4_000,)), torch.randn(4_000, 64) * torch.rand(4_000, 1).mul(20).exp()
    made = torch.ops.aten.embedding_dense_backward(rows, index, 7, -1, False)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert torch.equal(torch.zeros(7, 64).index_add_(0, index, rows), made)
    finally:
        torch.set_num_threads(threads)
    turned = torch.zeros(7, 64).index_add_(0, index.flip(0), rows.flip(0))
    assert not torch.equal(turned, made)


def by_time(x: Tensor, weight: Tensor) -> Tensor:
    """As recurrent layers take sequences: the first axis is that of time."""
    steps = F.embedding(numbers(x), weight).transpose(0, 1).contiguous()
    return (steps * torch.arange(4.0)[:, None, None]).square().sum()


def used_twice(x: Tensor, weight: Tensor) -> Tensor:
    found = F.embedding(numbers(x), weight)
    return found.transpose(0, 1).contiguous().square().sum() + found.sum()


@pytest.mark.parametrize("function", [by_time, used_twice])
def test_rows_are_looked_up_in_the_order_in_which_they_are_used(function: Function) -> None:
    lines = check(lambda lines: tidying.without_the_unread(tables.looked_up_in_order(lines)), function)
    before = recorded(function, weights())
    assert names(before).count("clone") - names(lines).count("clone") == (function is by_time)
    assert names(lines).count("embedding") == 1


def test_gradients_of_rows_are_added_as_they_come() -> None:
    lines = check(tables.rows_as_they_come, by_time, moves=True)
    back = next(each for each in lines.lines if each.name == "embedding_dense_backward")
    assert back.args[0].is_plain and tuple(back.args[1].shape) == (4, 5)
    assert check(tables.rows_as_they_come, looked_up_in_order)
