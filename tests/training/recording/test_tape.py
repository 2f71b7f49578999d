"""A tape tells its tensors apart for ever, and holds the memory of none that would be gone without it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchfunc.training.recording.tape import LARGE, Tape, tensors_of

SIDE = int((LARGE / 4) ** 0.5)


def bytes_on(tape: Tape) -> int:
    """Of all memory that the tensors on a tape lie in."""
    storages = {each.untyped_storage()._cdata: each for row in tape.rows for each in tensors_of(row)}
    return sum(each.untyped_storage().nbytes() for each in storages.values())


def test_what_nobody_holds_is_given_back_while_the_tape_goes_on() -> None:
    x = torch.rand(SIDE, SIDE)
    with Tape() as tape:
        y = x * 2.0
        for _ in range(20):
            y = (y.t() + 1.0).t()
    assert bytes_on(tape) <= 5 * LARGE
    shapes = {tuple(each.shape) for row in tape.rows for each in tensors_of(row)}
    assert shapes == {(SIDE, SIDE)} and torch.allclose(y, x * 2.0 + 20.0)
    assert len({id(each) for row in tape.rows for each in tensors_of(row)}) == 2 + 20 * 3


def test_a_gradient_takes_no_more_memory_than_without_a_tape() -> None:
    def most(tape: Tape | None) -> tuple[int, Tensor]:
        weight = torch.eye(SIDE, requires_grad=True)
        x = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        if tape is None:
            for _ in range(20):
                x = torch.relu_(x @ weight)
            return 0, torch.autograd.grad(x.sum(), weight)[0]
        with tape:
            for _ in range(20):
                x = torch.relu_(x @ weight)
            forward = bytes_on(tape)
            (gradient,) = torch.autograd.grad(x.sum(), weight)
        return forward, gradient

    tape = Tape()
    forward, gradient = most(tape)
    assert bytes_on(tape) < forward / 2
    assert torch.equal(gradient, most(None)[1])


@pytest.mark.parametrize("held", ["by a name", "as a view", "as an array", "as a list", "for a gradient"])
def test_what_somebody_holds_stays(held: str) -> None:
    weight = torch.rand(SIDE, SIDE, requires_grad=True)
    with Tape():
        y = (weight * 2.0).exp()
        copy, expected = y.detach().clone(), torch.full((SIDE, SIDE), 2.0)
        kept = {
            "by a name": y,
            "as a view": y.detach()[:, :],
            "as an array": y.detach().numpy(),
            "as a list": [y],
            "for a gradient": y.sum(),
        }[held]
        del y
        for _ in range(3):
            expected = expected * 1.0
        if held == "for a gradient":
            assert isinstance(kept, Tensor)
            (found,) = torch.autograd.grad(kept, weight)
        else:
            found = torch.as_tensor(kept[0] if isinstance(kept, list) else kept)
    truth = copy * expected if held == "for a gradient" else copy
    assert torch.allclose(found, truth)
