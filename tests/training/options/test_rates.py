"""Rates: lr_scheduler sets the rates that a hand-written loop would, and goes on from a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import torchfunc as tf
from tests.training.modules import classification, mlp, same_weights
from torchfunc import callbacks, layers, optimizers
from torchfunc.errors import CompileError, ConfigError, SavingError, UnknownNameError
from torchfunc.training import Trainer
from torchfunc.training.options.rates import Rates, check_rates

X, Y = classification(70)
EPOCHS, STEPS = 4, 5
OPTIMIZERS: dict[str, Any] = {
    "ours": lambda: optimizers.SGD(0.1, momentum=0.9),
    "torch": lambda: partial(torch.optim.SGD, lr=0.1, momentum=0.9),
}
# what is given, what a loop makes of an optimizer, and whether it goes by steps
SCHEDULERS: dict[str, tuple[Any, Any, bool]] = {
    "StepLR": (partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),) * 2 + (False,),
    "MultiStepLR": (partial(lr_scheduler.MultiStepLR, milestones=[1, 3]),) * 2 + (False,),
    "LinearLR": (lr_scheduler.LinearLR,) * 2 + (False,),
    "Cosine by step": (
        {"scheduler": partial(lr_scheduler.CosineAnnealingLR, T_max=20), "interval": "step"},
        partial(lr_scheduler.CosineAnnealingLR, T_max=20),
        True,
    ),
    "WarmRestarts": (partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=3),) * 2 + (False,),
    "OneCycleLR": (
        partial(lr_scheduler.OneCycleLR, max_lr=0.2),
        partial(lr_scheduler.OneCycleLR, max_lr=0.2, total_steps=EPOCHS * STEPS),
        True,
    ),
    "CyclicLR": (partial(lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=3),) * 2 + (True,),
    "a function": (lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch),) * 2
    + (False,),
    "SequentialLR": (
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)],
            milestones=[2],
        ),
    )
    * 2
    + (False,),
    "ReduceLROnPlateau": (partial(lr_scheduler.ReduceLROnPlateau, patience=0, threshold=1.0),) * 2 + (False,),
}


class Rate(callbacks.Callback):
    """Keeps the rate of every step, and of all groups."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.rates.append([group["lr"] for group in self.trainer.optimizer.torch_optimizer.param_groups])


def fitted(
    module: nn.Module, optimizer: Any, scheduler: Any, **options: Any
) -> tuple[Trainer, list[list[float]]]:
    rate = Rate()
    trainer = Trainer(module, optimizer=optimizer, loss=nn.CrossEntropyLoss(), lr_scheduler=scheduler)
    trainer.fit(X, Y, batch_size=14, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[rate], **options)
    return trainer, rate.rates


def by_hand(module: nn.Module, make: Any, by_step: bool) -> list[list[float]]:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    scheduler, rates = make(optimizer), []
    for _ in range(EPOCHS):
        losses = []
        for start in range(0, 70, 14):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.zero_grad()
            x, y = torch.from_numpy(X[start : start + 14]), torch.from_numpy(Y[start : start + 14])
            loss = nn.functional.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if by_step and len(rates) < EPOCHS * STEPS:
                scheduler.step()
        if not by_step:
            plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
            scheduler.step(*([sum(losses) / STEPS] if plateau else []))
    return rates


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_pytorch_set_the_rates_of_a_loop_by_hand(name: str, optimizer: str) -> None:
    given, make, by_step = SCHEDULERS[name]
    twin = mlp()
    trainer, rates = fitted(mlp(), OPTIMIZERS[optimizer](), given)

    assert rates == by_hand(twin, make, by_step)
    if optimizer == "ours":  # whose momentum is Keras's, to which a rate of before is another thing
        return
    for one, other in zip(trainer.module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_schedule_of_keras_is_asked_before_every_step_of_any_optimizer(optimizer: str) -> None:
    schedule = optimizers.schedules.CosineDecay(0.1, 30, warmup_target=0.3, warmup_steps=4)
    rule = optimizers.SGD(0.1) if optimizer == "ours" else torch.optim.SGD
    trainer, rates = fitted(mlp(), rule, schedule)
    twin = Trainer(mlp(), optimizer=optimizers.SGD(schedule), loss=nn.CrossEntropyLoss())
    twin.fit(X, Y, batch_size=14, epochs=EPOCHS, shuffle=False, verbose=0)

    assert [each[0] for each in rates] == [schedule(step) for step in range(EPOCHS * STEPS)]
    for one, other in zip(trainer.module.parameters(), twin.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ours", "torch"])
def test_groups_of_an_optimizer_keep_the_proportions_of_their_rates(kind: str) -> None:
    module: Any = mlp()
    groups = [{"params": module[0].parameters()}, {"params": module[2].parameters(), "lr": 0.01}]
    rule = optimizers.SGD(0.1)
    made = rule.build(groups) if kind == "ours" else torch.optim.SGD(groups, lr=0.1)
    schedule = optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    _, rates = fitted(module, rule if kind == "ours" else made, schedule)
    assert all(second == pytest.approx(first / 10) for first, second in rates)

    module = mlp()
    groups = [{"params": module[0].parameters()}, {"params": module[2].parameters(), "lr": 0.01}]
    _, rates = fitted(module, torch.optim.SGD(groups, lr=0.1), partial(lr_scheduler.ExponentialLR, gamma=0.5))
    assert rates[-1] == pytest.approx([0.1 / 8, 0.01 / 8])


def test_a_scheduler_that_was_made_already_serves_the_optimizer_that_it_was_made_for() -> None:
    module = mlp()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    _, rates = fitted(module, optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5))
    assert [each[0] for each in rates[::STEPS]] == [0.1, 0.05, 0.025, 0.0125]

    with pytest.raises(
        CompileError, match=r"got a StepLR of another optimizer.* Fix: lr_scheduler=partial\(StepLR"
    ):
        fitted(mlp(), optimizers.SGD(0.1), lr_scheduler.StepLR(optimizer, 1))


def test_one_cycle_is_for_one_fit_and_another_is_told_the_way_out() -> None:
    module = nn.Linear(2, 1)

    def trainer(**options: Any) -> Trainer:
        cycle = partial(lr_scheduler.OneCycleLR, max_lr=0.1, cycle_momentum=False, **options)
        return Trainer(module, optimizer="sgd", loss="mse", lr_scheduler=cycle)

    data = torch.zeros(64, 2), torch.zeros(64, 1)
    first = trainer()
    first.fit(*data, verbose=0)
    words = r"lr_scheduler: got the step 3\. .*total steps is 2\. Fix: compile anew before another fit, or give it the total"
    with pytest.raises(CompileError, match=words):
        first.fit(*data, verbose=0)
    trainer().fit(*data, verbose=0)
    several = trainer(total_steps=4)
    assert [several.fit(*data, verbose=0).epoch for _ in range(2)] == [[0], [0]]


def test_a_plateau_watches_what_it_is_told_to() -> None:
    told = {"scheduler": partial(lr_scheduler.ReduceLROnPlateau, patience=0, mode="max", threshold=9.0)}
    _, rates = fitted(mlp(), optimizers.SGD(0.1), told | {"monitor": "val_loss"}, validation_data=(X, Y))
    assert rates[-1][0] == pytest.approx(1e-3)
    with pytest.raises(UnknownNameError, match="Unknown lr_scheduler monitor 'los'. Did you mean 'loss'"):
        fitted(mlp(), optimizers.SGD(0.1), told | {"monitor": "los"})


def test_accumulated_steps_are_those_that_count() -> None:
    schedule = optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    trainer = Trainer(
        mlp(),
        optimizer="sgd",
        loss=nn.CrossEntropyLoss(),
        lr_scheduler=schedule,
        gradient_accumulation_steps=2,
    )
    trainer.fit(X, Y, batch_size=14, verbose=0)
    assert trainer.learning_rate == 0.1 * 0.5**3


@pytest.mark.parametrize("name", ["StepLR", "Cosine by step", "OneCycleLR", "ReduceLROnPlateau", "keras"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_scheduler_goes_on_from_a_file_to_the_bit(name: str, optimizer: str, tmp_path: Path) -> None:
    schedule = optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    given = schedule if name == "keras" else SCHEDULERS[name][0]

    def made() -> Any:
        torch.manual_seed(3)
        inputs = tf.Input((8,))
        model = tf.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
        model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy", lr_scheduler=given)
        return model

    class Stop(callbacks.Callback):
        left = 2 * STEPS + 3

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.left -= 1
            if not self.left:
                self.model.save(tmp_path / "m.safetensors")
                raise KeyboardInterrupt

    options: dict[str, Any] = {"batch_size": 14, "epochs": EPOCHS, "verbose": 0}
    torch.manual_seed(4)
    whole, stopped = made(), made()
    seen, rest = Rate(), Rate()
    torch.manual_seed(5)
    whole.fit(X, Y, callbacks=[seen], **options)
    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, callbacks=[Stop()], **options)
    again = tf.load_model(tmp_path / "m.safetensors")
    again.fit(X, Y, initial_epoch=again.trainer.epoch, callbacks=[rest], **options)

    assert rest.rates == seen.rates[2 * STEPS + 3 :]
    assert same_weights(whole, again)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (nn.Linear(1, 1), "lr_scheduler: expected a schedule of torchfunc, a scheduler of torch.optim"),
        (0.1, r"expected a schedule of torchfunc, .*got 0.1"),
        (
            {"scheduler": lr_scheduler.StepLR, "every": 1},
            r"lr_scheduler: expected scheduler, .*, got the key 'every'",
        ),
        (
            {"scheduler": lr_scheduler.StepLR, "interval": "batch"},
            r"\['interval'\]: expected 'step' or 'epoch'",
        ),
        (
            {"scheduler": lr_scheduler.StepLR, "frequency": 0},
            r"\['frequency'\]: expected a whole number from 1",
        ),
        ({"scheduler": lr_scheduler.StepLR, "monitor": "loss"}, "for ReduceLROnPlateau alone"),
        (
            {"scheduler": lr_scheduler.ReduceLROnPlateau, "interval": "step"},
            "got 'step' for ReduceLROnPlateau",
        ),
        (
            {"scheduler": optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), "interval": "epoch"},
            "expected 'step' for a schedule of Keras's kind",
        ),
    ],
)
def test_what_can_set_no_rate_is_refused(given: Any, words: str) -> None:
    with pytest.raises(CompileError, match=words):
        Trainer(mlp(), lr_scheduler=given)


def test_a_scheduler_beside_a_schedule_of_the_optimizer_is_refused() -> None:
    rule = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5))
    with pytest.raises(
        CompileError, match=r"lr_scheduler: got one beside a learning rate that is a schedule. Fix"
    ):
        Trainer(mlp(), optimizer=rule, lr_scheduler=lr_scheduler.LinearLR)
    with pytest.raises(
        CompileError, match="lr_scheduler: .*missing 1 required positional argument: 'step_size'"
    ):
        fitted(mlp(), optimizers.SGD(0.1), lr_scheduler.StepLR)
    with pytest.raises(CompileError, match="lr_scheduler: expected a schedule .*got 3"):
        fitted(mlp(), optimizers.SGD(0.1), lambda optimizer: 3)


def test_a_scheduler_that_no_file_can_name_says_so_when_it_is_saved() -> None:
    given = SCHEDULERS["a function"][0]
    with pytest.raises(
        SavingError, match=r"The lr_scheduler .*got one that no file can name. Fix: .*partial"
    ):
        Trainer(mlp(), lr_scheduler=given).get_config()


CONFIGS: list[Any] = [
    {"class_name": "torch.optim.lr_scheduler.LambdaLR", "config": {"lr_lambda": "exec"}},
    {"class_name": "torch.optim.lr_scheduler.StepLR", "config": {"step_size": 0}},
    {"class_name": "torch.optim.lr_scheduler.StepLR", "config": {"step_size": {"a": 1}}},
    {"class_name": "torch.optim.lr_scheduler.StepLR", "config": {"optimizer": 1}},
    {"class_name": "torch.optim.lr_scheduler.CyclicLR", "config": {"scale_fn": "x"}},
    {"class_name": "torch.optim.lr_scheduler.ExponentialLR", "config": {"gamma": float("inf")}},
    {"class_name": "torch.optim.lr_scheduler.MultiStepLR", "config": {"milestones": [1] * 10_001}},
    {"class_name": "os.system", "config": {}},
    {"scheduler": {"class_name": "Dense", "config": {}}},
    [1],
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_config_that_is_of_no_scheduler_is_refused(config: Any) -> None:
    inputs = tf.Input((8,))
    model = tf.Model(inputs, layers.Dense(3)(inputs))
    with pytest.raises((ConfigError, UnknownNameError), match=r"^\$\.compile: "):
        model.compile_from_config({"optimizer": "sgd", "lr_scheduler": config})


@pytest.mark.parametrize(
    "state",
    [
        {"steps": 1, "epochs": 1},
        {"steps": -1, "epochs": 1, "scheduler": None},
        {"steps": 1, "epochs": 1, "scheduler": {"gamma": "x"}},
        {"steps": 1, "epochs": 1, "scheduler": {"base_lrs": [[1]]}},
        {"steps": 1, "epochs": 1, "scheduler": {"_schedulers": [3]}},
    ],
)
def test_a_state_that_is_of_no_scheduler_is_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match=r"\$\.rates"):
        check_rates(state, "$.rates")


def test_a_state_changes_nothing_but_numbers() -> None:
    rates = Rates(partial(lr_scheduler.StepLR, step_size=2))
    rates.load(
        {"steps": 3, "epochs": 3, "scheduler": {"last_epoch": 3, "optimizer": 1, "step": 2, "gamma": [1]}}
    )
    weight = nn.Parameter(torch.ones(1))
    rates.bind(torch.optim.SGD([weight], 0.1), None)
    assert rates.scheduler.last_epoch == 3 and rates.scheduler.gamma == 0.1 and callable(rates.scheduler.step)
