"""Groups: an optimizer that the user built is the one that is used, with its groups, in fit and after a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

import torchfunc as tf
from tests.training.modules import same_weights
from torchfunc import layers, optimizers, schedules
from torchfunc.callbacks import LambdaCallback, ReduceLROnPlateau
from torchfunc.errors import CompileError
from torchfunc.training import Trainer

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = X[:, :1] * 2
Groups = list[dict[str, Any]]


def model_of(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    inputs = tf.Input((6,))
    return tf.Model(inputs, layers.Dense(1)(layers.Dense(8)(inputs)))


def frozen_first(module: nn.Module) -> Groups:
    first, bias, *others = module.parameters()
    return [{"params": [first, bias], "lr": 0.0}, {"params": others}]


def fast_last(module: nn.Module) -> Groups:
    *others, last = module.parameters()
    return [{"params": others}, {"params": [last], "lr": 0.2}]


def last_alone(module: nn.Module) -> Groups:
    return [{"params": list(module.parameters())[2:]}]


def rule_that_was_built(groups: Groups) -> Any:
    rule = optimizers.SGD(0.1)
    rule.build(groups)
    return rule


# what is given to `compile` for these groups; each is gradient descent with a rate of 0.1
WAYS: dict[str, Callable[[Groups], Any]] = {
    "ours, built": lambda groups: optimizers.SGD(0.1).build(groups),
    "ours, the rule that was built": rule_that_was_built,
    "PyTorch's": lambda groups: torch.optim.SGD(groups, lr=0.1),
    "a function of parameters": lambda groups: lambda parameters: torch.optim.SGD(groups, lr=0.1),
    "a function that builds ours": lambda groups: lambda parameters: optimizers.SGD(0.1).build(groups),
}
each_way = pytest.mark.parametrize("way", WAYS)
each_division = pytest.mark.parametrize("divided", [frozen_first, fast_last, last_alone])


def by_hand(module: Any, optimizer: torch.optim.Optimizer, epochs: int, after: Any = None) -> None:
    for _ in range(epochs):
        for start in range(0, 64, 32):
            optimizer.zero_grad()
            x, y = torch.from_numpy(X[start : start + 32]), torch.from_numpy(Y[start : start + 32])
            ((module(x) - y) ** 2).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if after is not None:
            after()


def fit(model: Any, epochs: int, **options: Any) -> Any:
    return model.fit(X, Y, epochs=epochs, shuffle=False, verbose=0, **options)


def near(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


@each_way
@each_division
def test_groups_are_those_of_a_hand_written_loop(divided: Any, way: str) -> None:
    ours, theirs = model_of(), model_of()
    ours.compile(WAYS[way](divided(ours)), "mse")

    fit(ours, 2)
    by_hand(theirs, torch.optim.SGD(divided(theirs), lr=0.1), 2)

    assert near(ours, theirs)


@pytest.mark.parametrize("way", [*WAYS][:3])
@each_division
def test_groups_come_back_from_a_file_and_go_on(divided: Any, way: str, tmp_path: Path) -> None:
    model = model_of()
    model.compile(WAYS[way](divided(model)), "mse")
    fit(model, 1)
    model.save(tmp_path / "m.safetensors")
    again = tf.load_model(tmp_path / "m.safetensors")

    fit(model, 2, initial_epoch=1)
    fit(again, 2, initial_epoch=1)

    assert same_weights(model, again)


@pytest.mark.parametrize("way", [*WAYS][:3])
def test_a_scheduler_of_pytorch_takes_effect(way: str) -> None:
    ours, theirs = model_of(), model_of()
    given = WAYS[way](fast_last(ours))
    ours.compile(given, "mse")
    scheduler = StepLR(getattr(given, "torch_optimizer", given), 1, 0.5)
    native = torch.optim.SGD(fast_last(theirs), lr=0.1)
    steps = StepLR(native, 1, 0.5)

    fit(ours, 3, callbacks=[LambdaCallback(on_epoch_end=lambda epoch, logs: scheduler.step())])
    by_hand(theirs, native, 3, after=steps.step)

    assert near(ours, theirs)
    assert ours.optimizer.learning_rate == pytest.approx(0.0125)


def test_a_scheduler_beside_a_schedule_is_told() -> None:
    model = model_of()
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.9)).build(model.parameters())
    StepLR(optimizer, 1, 0.5)
    model.compile(optimizer, "mse")

    with pytest.raises(
        CompileError, match=r"SGD: got a torch.optim.lr_scheduler beside .* learning_rate=0.1"
    ):
        fit(model, 1)


def test_a_plateau_reduces_the_rate_of_every_group_by_the_same_factor() -> None:
    model = model_of()
    given = optimizers.SGD(0.1).build(fast_last(model))
    model.compile(given, "mse")

    fit(model, 2, callbacks=[ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)])

    assert [group["lr"] for group in given.param_groups] == pytest.approx([0.05, 0.1])


def test_an_optimizer_built_by_fit_is_built_anew_by_the_next_compile() -> None:
    model = model_of()
    rule = optimizers.SGD(0.1)
    model.layers[1].trainable = False
    model.compile(rule, "mse")
    fit(model, 1)
    before = model.layers[1].weight.detach().clone()
    model.layers[1].trainable = True

    model.compile(rule, "mse")
    fit(model, 1)

    assert not torch.equal(model.layers[1].weight, before)


def test_the_weights_of_a_loss_in_the_optimizer_get_the_gradient_of_each_batch_alone() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return ((output - target * self.scale) ** 2).mean()

    def both(seed: int = 0) -> tuple[nn.Module, Scaled]:
        torch.manual_seed(seed)
        return nn.Linear(6, 1), Scaled()

    (ours, loss), (theirs, other) = both(), both()
    given = torch.optim.SGD([*ours.parameters(), *loss.parameters()], lr=0.1)
    Trainer(ours, optimizer=given, loss=loss).fit(X, Y, epochs=2, shuffle=False, verbose=0)
    native = torch.optim.SGD([*theirs.parameters(), *other.parameters()], lr=0.1)
    for _ in range(2):
        for start in range(0, 64, 32):
            native.zero_grad()
            x, y = torch.from_numpy(X[start : start + 32]), torch.from_numpy(Y[start : start + 32])
            other(theirs(x), y).backward()
            native.step()

    assert same_weights(ours, theirs)
    assert torch.equal(loss.scale, other.scale)


def test_an_optimizer_that_holds_what_was_replaced_is_told() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1))
    trainer = Trainer(module, optimizer=torch.optim.SGD(module.parameters(), lr=0.1), loss="mse")
    module[1] = nn.Linear(4, 1)

    with pytest.raises(CompileError, match="A layer was replaced since, and '1.weight' would not be trained"):
        trainer.fit(X, Y, verbose=0)


def test_a_replaced_layer_begins_without_what_the_optimizer_knew_of_the_old_one() -> None:
    ours, theirs = model_of(), model_of()
    for each in (ours, theirs):
        each.compile(optimizers.Adam(0.1), "mse")
        fit(each, 1)
        torch.manual_seed(3)
        each.dense_1 = nn.Linear(8, 1)
    state = ours.optimizer.torch_optimizer.state
    kept = {name: state[each] for name, each in ours.named_parameters() if each in state}

    fit(ours, 1)

    assert set(kept) == {"dense.weight", "dense.bias"}
    moments = ours.optimizer.torch_optimizer.state[ours.dense_1.weight]["momentum"]
    assert 0 < moments.abs().max() < 100
