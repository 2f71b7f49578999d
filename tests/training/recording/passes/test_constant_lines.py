"""Constant lines: what is the same for each batch is made once, to the bit, and never where somebody changes it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.recording.recorded_functions import Function, check, names, recorded, weights
from torchfunc.training.recording.lines import Lines
from torchfunc.training.recording.passes import constant_lines, tidying


def changed_constant(x: Tensor, weight: Tensor) -> Tensor:
    kept = torch.tensor([1.0, 2.0, 3.0])
    kept.add_(x.sum())
    return ((x @ weight.t()) * kept).sum()


def filled(x: Tensor, weight: Tensor) -> Tensor:
    twos = torch.full_like(x, 2.0)
    return ((x * twos + torch.ones_like(x.t()).t()) @ weight.t()).square().sum() + torch.zeros_like(x).sum()


def weighed(x: Tensor, weight: Tensor) -> Tensor:
    return ((x @ weight.t()).square().mean() * 0.2 / 3 + torch.ones(()) * weight.sum()).neg() * torch.ones(1)[
        0
    ]


def changed_later(x: Tensor, weight: Tensor) -> Tensor:
    part = torch.full((3,), 2.0) * torch.full((3,), 0.5)
    part.add_(x.sum())
    return ((x @ weight.t()) * torch.ones(3) * part).sum()


def once(lines: Lines) -> Lines:
    return constant_lines.computed_once(tidying.views_once(constant_lines.constants_by_shape(lines)))


def ones_away(lines: Lines) -> Lines:
    return constant_lines.without_ones(once(lines))


@pytest.mark.parametrize("function", [filled, weighed, changed_constant, changed_later])
@pytest.mark.parametrize("tidy", [constant_lines.constants_by_shape, once, ones_away])
def test_what_is_told_is_the_same_to_the_bit(tidy: object, function: Function) -> None:
    check(tidy, function)  # type: ignore[arg-type]


def test_what_is_filled_by_the_shape_of_another_is_made_before_the_first_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = recorded(filled, weights())
    like = {each for each in names(before) if each.endswith("_like")}
    assert like == {"full_like", "ones_like", "zeros_like"}
    lines = tidying.views_once(constant_lines.constants_by_shape(before))
    # one lies with its axes turned, and stays
    assert [each for each in names(lines) if each.endswith("_like")] == ["ones_like"]
    assert {"full", "ones", "zeros"} <= {each.name for each in lines.before}
    monkeypatch.setattr(constant_lines, "FEW", 1)
    large = constant_lines.constants_by_shape(before)
    assert (
        names(large).count("ones_like") == names(before).count("ones_like") - 1
    )  # the gradient of the loss itself


def test_a_constant_that_is_changed_is_made_for_each_batch() -> None:
    before = recorded(changed_constant, weights())
    lines = constant_lines.constants_of_their_own(before)
    assert "lift_fresh" in names(before) and "lift_fresh" not in names(lines)
    assert names(lines) == ["clone" if each == "lift_fresh" else each for each in names(before)]


def test_what_is_computed_of_constants_is_computed_before_the_first_batch() -> None:
    before, lines = recorded(weighed, weights()), once(recorded(weighed, weights()))
    # how much the loss counts: what goes back does not depend on the batch, down to the mean
    assert names(before).count("neg") == 2 and names(lines).count("neg") == 1
    assert {"neg", "mul", "div"} <= {each.name for each in lines.before}


def test_what_is_changed_later_is_computed_for_each_batch() -> None:
    lines = once(recorded(changed_later, weights()))
    assert any(each.name == "add_" for each in lines.lines)
    written = {value.memory for each in lines.lines for value in each.changes()}
    assert not written & {value.memory for each in lines.before for value in each.makes()}


def test_what_is_multiplied_by_ones_is_taken_as_it_is() -> None:
    before = once(recorded(weighed, weights()))
    after = constant_lines.without_ones(before)
    # the sum of weights; the loss itself is told, and is a tensor of its own
    assert names(before).count("mul") - names(after).count("mul") == 1
    assert after.returned == before.returned
