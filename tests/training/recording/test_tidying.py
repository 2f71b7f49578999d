"""Tidying: each pass on its own takes away what it is for, and leaves what the step tells as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchfunc.training.recording import tidying
from torchfunc.training.recording.lines import Lines, Reader, Value
from torchfunc.training.recording.replaying import _place
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


def filled(x: Tensor, weight: Tensor) -> Tensor:
    twos = torch.full_like(x, 2.0)
    return ((x * twos + torch.ones_like(x.t()).t()) @ weight.t()).square().sum() + torch.zeros_like(x).sum()


FUNCTIONS = [views, constant, changed_constant, unread, filled]


@pytest.mark.parametrize("tidy", (*tidying.PASSES, *tidying.FASTER))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_pass_leaves_what_is_told_to_the_bit(tidy: Callable[[Lines], Lines], function: Function) -> None:
    weight = weights()
    before = recorded(function, weight)
    # whatever else it does, a constant that is changed has to be new each time
    lines = tidy(tidying.constants_of_their_own(before))
    assert len(lines.lines) <= len(before.lines)
    run = spelled(lines).compile("step")
    for seed in (1, 2, 2, 3):
        with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
            found = [each.clone() for each in run(batch(seed))]
        for one, other in zip(found, expected(function, weight, batch(seed)), strict=True):
            assert torch.equal(one, other)


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


def test_what_is_filled_by_the_shape_of_another_is_made_before_the_first_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = recorded(filled, weights())
    like = {each for each in names(before) if each.endswith("_like")}
    assert like == {"full_like", "ones_like", "zeros_like"}
    lines = tidying.views_once(tidying.constants_by_shape(before))
    # one lies with its axes turned, and stays
    assert [each for each in names(lines) if each.endswith("_like")] == ["ones_like"]
    assert {"full", "ones", "zeros"} <= {each.name for each in lines.before}
    monkeypatch.setattr(tidying, "FEW", 1)
    large = tidying.constants_by_shape(before)
    assert (
        names(large).count("ones_like") == names(before).count("ones_like") - 1
    )  # the gradient of the loss itself


def test_a_constant_that_is_changed_is_made_for_each_batch() -> None:
    before = recorded(changed_constant, weights())
    lines = tidying.constants_of_their_own(before)
    assert "lift_fresh" in names(before) and "lift_fresh" not in names(lines)
    assert names(lines) == ["clone" if each == "lift_fresh" else each for each in names(before)]


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
