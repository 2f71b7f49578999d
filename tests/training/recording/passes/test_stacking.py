"""Stacking: what is taken out of a stack, or of where a gradient was put, is what was put there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.recording.recorded_functions import Function, check, names, recorded, weights
from torchfunc.training.recording.passes.stacking import taken_without_stacking
from torchfunc.training.recording.passes.tidying import without_the_unread


def states(x: Tensor, weight: Tensor) -> Tensor:
    """As recurrent layers hand out their states."""
    made = x @ weight.t()
    return torch.stack([made, made.exp()])[1].square().sum() + torch.stack([made])[-1].sum()


def columns(x: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([x @ weight.t(), x[:, :3]], dim=1).select(1, 0).square().sum()


def another(x: Tensor, weight: Tensor) -> Tensor:
    """Taken along another axis, and viewed further."""
    stacked = torch.stack([x @ weight.t(), x[:, :3]])
    return stacked.select(1, 2).exp().sum() + stacked[0].t()[1].square().sum()


def changed(x: Tensor, weight: Tensor) -> Tensor:
    made = x @ weight.t()
    stacked = torch.stack([made.detach(), x[:, :3]])
    stacked[0].mul_(2)
    return (stacked[0] * made).sum()


@pytest.mark.parametrize(
    ("function", "gone"), [(states, {"stack"}), (columns, set()), (another, set()), (changed, set())]
)
def test_what_is_stacked_and_taken_out_again_is_taken_as_it_was(function: Function, gone: set[str]) -> None:
    lines = check(lambda lines: without_the_unread(taken_without_stacking(lines)), function)
    before = set(names(recorded(function, weights())))
    assert "stack" in before and (before - set(names(lines))) & {"stack"} == gone


@pytest.mark.parametrize("at", [0, -1])
def test_what_is_put_into_zeros_and_taken_out_again_is_not_put_there(at: int) -> None:
    def state(x: Tensor, weight: Tensor) -> Tensor:
        return torch.stack([(x @ weight.t()).exp()])[at].square().sum()

    lines = check(lambda lines: without_the_unread(taken_without_stacking(lines)), state)
    assert {"select_backward", "stack"} <= set(names(recorded(state, weights())))
    assert not {"select_backward", "stack", "select"} & set(names(lines))
