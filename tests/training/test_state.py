"""State: what was not written by a training is refused before anything of it is used, or it trains on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchfunc import metrics, native, optimizers, registry, schedules
from torchfunc.errors import ConfigError, DataError, TorchfuncError, WeightMismatchError
from torchfunc.optimizers.memory import Owner
from torchfunc.training import Trainer
from torchfunc.training.state import check_state
from torchfunc.tree import leaves_with_path

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1] * 2
WORDS = np.arange(8).reshape(8, 1) % 5

MORE: dict[str, dict[str, Any]] = {
    "Adam": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "SGD": {"momentum": 0.9},
}
OURS: dict[str, Callable[[], Any]] = {
    name: partial(getattr(optimizers, name), **MORE.get(name, {}))
    for name in (
        "SGD Lion Ftrl Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Lamb Adafactor Muon ScheduleFreeAdamW"
    ).split()
}
OURS["averaged"] = lambda: optimizers.Adam(0.01, use_ema=True)
OURS["scaled"] = lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01))
OURS["several"] = lambda: optimizers.MultiOptimizer(
    optimizers.OptimizerMap(optimizers.SGD(0.01, momentum=0.5), {".*bias": optimizers.Adam(0.01)})
)
OURS["accumulated"] = lambda: optimizers.SGD(0.01, momentum=0.5, gradient_accumulation_steps=2)
OURS["by schedule"] = lambda: optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.5)
TORCHS: dict[str, Callable[[], Any]] = {
    name: partial(lambda kind, more: partial(kind, lr=0.01, **more), kind, MORE.get(kind.__name__, {}))
    for name, kind in native.optimizers().items()
}
OPTIMIZERS = {**OURS, **TORCHS}
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


class Words(nn.Module):
    """A model whose gradient is sparse, which one optimizer of PyTorch asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 1, sparse=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table(x.long()).flatten(1)  # type: ignore[no-any-return]


def trainer_of(name: str) -> Trainer:
    torch.manual_seed(0)
    sparse = name.endswith("SparseAdam")
    module = Words() if sparse else nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return Trainer(module, optimizer=OPTIMIZERS[name](), loss="mse", metrics=["mae"])


def fit(trainer: Trainer, epochs: int = 1) -> None:
    x = WORDS if isinstance(trainer.module, Words) else X
    trainer.fit(x, Y, batch_size=4, epochs=epochs, verbose=0)


STATES: dict[str, Any] = {}


def state_of(name: str) -> Any:
    """The state after a few steps, which is the caller's own."""
    if name not in STATES:
        trainer = trainer_of(name)
        fit(trainer, 2)
        STATES[name] = copy.deepcopy(trainer.state_dict())
    return copy.deepcopy(STATES[name])


def facts(trainer: Trainer) -> Any:
    """All that a state may change, with bits in the place of tensors."""
    whole = [trainer.module.state_dict(), trainer.state_dict(), torch.get_rng_state()]
    return [
        (path, leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else leaf)
        for path, leaf in leaves_with_path(copy.deepcopy(whole))
    ]


BAD_NUMBERS = [-1, 2**63, 10**400, "x", "0.1", float("nan"), float("inf"), [1], {}, None, torch.ones(3), True]
BAD_TENSORS = [
    torch.ones(7, 7), torch.ones(()), torch.ones(0), torch.ones(4, 3, dtype=torch.int64), torch.ones(4, 3).bool(),
    torch.ones(4, 3, dtype=torch.complex64), 1.0, "x", None, [1.0], {},
]  # fmt: skip
OTHER_KEYS = ["self", "__class__", "params", "_x", "", "\0", "param_groups", 3]


def mutations(name: str) -> Iterator[tuple[str, Any]]:
    """States of an optimizer with one thing in them changed, with what was changed."""

    def changed(what: str, change: Callable[[Any], Any]) -> tuple[str, Any]:
        state = state_of(name)
        change(state["optimizer"])
        return what, state

    memory = state_of(name)["optimizer"]
    first = next(iter(memory["slots"]), None)
    for key in memory:
        yield changed(f"without {key}", lambda m, key=key: m.pop(key))
        for value in (None, [], {}, "x", 3, True, torch.ones(2)):
            yield changed(f"{key}={value!r}", lambda m, key=key, value=value: m.update({key: value}))
    for other in OTHER_KEYS:
        yield changed(f"a key {other!r}", lambda m, other=other: m.update({other: 1}))
        yield changed(f"a setting {other!r}", lambda m, other=other: m["groups"][0].update({other: 1}))
        yield changed(f"a slot of {other!r}", lambda m, other=other: m["slots"].update({other: {"step": 1}}))
    groups: dict[str, Callable[[Any], Any]] = {
        "none": lambda m: m["groups"].clear(),
        "doubled": lambda m: m["groups"].append(m["groups"][0]),
        "one more": lambda m: m["groups"].append({**m["groups"][0], "params": []}),
        "many more": lambda m: m["groups"].extend([{**m["groups"][0], "params": []}] * 5000),
        "names doubled": lambda m: m["groups"][0]["params"].append(m["groups"][0]["params"][0]),
        "an unknown name": lambda m: m["groups"][0]["params"].append("unknown"),
        "a number as a name": lambda m: m["groups"][0]["params"].append(3),
        "no names": lambda m: m["groups"][0].update(params=[]),
        "a list": lambda m: m["groups"].__setitem__(0, []),
    }
    for what, change in groups.items():
        yield changed(f"groups: {what}", change)
    for setting, value in memory["groups"][0].items():
        yield changed(f"without {setting}", lambda m, key=setting: m["groups"][0].pop(key))
        bad = [*BAD_NUMBERS, [0.9, 0.9, 0.9], [float("nan"), 0.5], [1.0, 1.0], [None, None], ["x", 1]]
        for other in [*bad, not value if isinstance(value, bool) else 2]:
            yield changed(f"{setting}={other!r}", lambda m, k=setting, v=other: m["groups"][0].update({k: v}))
    if first is None:
        return
    for value in (None, [], "x", 1, torch.ones(2)):
        yield changed(f"slot={value!r}", lambda m, value=value: m["slots"].update({first: value}))
    for other in OTHER_KEYS:
        yield changed(f"a slot's {other!r}", lambda m, other=other: m["slots"][first].update({other: 1.0}))
    for slot, value in memory["slots"][first].items():
        yield changed(f"without the slot {slot}", lambda m, slot=slot: m["slots"][first].pop(slot))
        flat = not isinstance(value, torch.Tensor) or value.ndim == 0
        numbers = [*BAD_NUMBERS, *(torch.tensor(x) for x in (-1.0, 2.0**63, float("nan"), 0.5, 3))]
        for other in [*BAD_TENSORS, *(numbers if flat else [])]:
            yield changed(f"{slot}={other!r}", lambda m, k=slot, v=other: m["slots"][first].update({k: v}))


@each_optimizer
def test_a_state_with_one_thing_changed_is_refused_and_changes_nothing_or_trains_on(name: str) -> None:
    trainer = trainer_of(name)
    before = facts(trainer)
    refused = taken = 0
    for what, state in mutations(name):
        try:
            trainer.load_state_dict(state)
        except TorchfuncError as error:
            assert isinstance(error, (ConfigError, WeightMismatchError)), what
            assert str(error).startswith("state.optimizer") and len(str(error)) < 400, (what, error)
            refused += 1
            continue
        taken += 1
        fit(trainer)
        assert all(each.isfinite().all() for each in trainer.module.parameters()), what
        trainer = trainer_of(name)
    assert facts(trainer) == before
    assert refused > 100 and taken < refused / 2, (refused, taken)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"several"}))
def test_what_an_optimizer_keeps_is_what_is_known_of_it(name: str) -> None:
    trainer = trainer_of(name)
    fit(trainer)
    built = trainer.step.optimization.built
    assert built is not None
    owner = Owner.of(trainer.optimizer)
    assert owner == Owner.of(trainer.optimizer) and owner.settings is not None
    for group in built.param_groups:
        for parameter in group["params"]:
            known = owner.needed(group, has_columns=parameter.ndim > 1)
            assert known is not None
            assert known[0] <= set(built.state[parameter]) <= set(known[1])
            assert set(known[1]) - set(built.state[parameter]) <= {
                "momentum_buffer",
                "max_exp_avg_sq",
                "grad_avg",
            }


# the end of a training puts the averages in their place
@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"averaged"}))
def test_a_good_state_trains_on_to_the_bit(name: str) -> None:
    whole, half, rest = trainer_of(name), trainer_of(name), trainer_of(name)
    torch.manual_seed(3)
    fit(whole, 2)
    torch.manual_seed(3)
    half.fit(WORDS if "Sparse" in name else X, Y, batch_size=4, epochs=1, verbose=0)
    rest.module.load_state_dict(half.module.state_dict())
    rest.load_state_dict(copy.deepcopy(half.state_dict()))
    rest.fit(WORDS if "Sparse" in name else X, Y, batch_size=4, epochs=2, initial_epoch=rest.epoch, verbose=0)
    for one, other in zip(whole.module.parameters(), rest.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_table_names_every_optimizer() -> None:
    own = {registry.optimizers.lookup(each) for each in registry.optimizers.names()}
    assert own <= {type(make()) for make in OURS.values()}
    for kind in native.optimizers().values():
        assert Owner.of(kind).slots, kind


def numbers_of(left: int, following: int, seeded: int = 1) -> torch.Tensor:
    """A state of the generator with these counters."""
    state = torch.get_rng_state()
    for start, stop, value in ((8, 12, left), (12, 16, seeded), (16, 24, following)):
        state[start:stop] = torch.frombuffer(
            bytearray((value % 2 ** (8 * (stop - start))).to_bytes(stop - start, "little")), dtype=torch.uint8
        )
    return state


WITHIN = {"done": 1, "steps": 2, "begun": [], "sums": None}
SUMS: dict[str, Any] = {
    "loss": [1.0, 4],
    "outputs": [[0.0, 0]],
    "metrics": {"mae": {"total": 1.0, "count": 4}},
}
BAD_STATES: dict[str, tuple[Any, str]] = {
    "no object": ([], r"state: expected an object with 'epoch', .*, got a list of 0"),
    "without epoch": ({"epoch": ...}, "state: expected 'epoch', .*, got no 'epoch'"),
    "a key more": ({"self": 1}, "state: expected no more than 'epoch', .*, got the key 'self'"),
    "an epoch below 0": ({"epoch": -1}, "state.epoch: expected a whole number from 0 .*, got -1"),
    "an epoch too large": ({"epoch": 2**63}, "state.epoch: .*, got 9223372036854775808"),
    "an epoch that is a truth value": ({"epoch": True}, "state.epoch: .*, got True"),
    "a step that is no number": ({"step": float("nan")}, "state.step: .*, got nan"),
    "a step in a tensor": ({"step": torch.ones(())}, r"state.step: .*, got a tensor of shape \(\) float32"),
    "an endless seed": ({"seed": 10**400}, "state.seed: .*, got a whole number of 1329 bits"),
    "no random state": ({"random_state": None}, "state.random_state: expected an object with 'cpu', got None"),
    "a short one": (
        {"random_state": {"cpu": torch.zeros(7, dtype=torch.uint8)}},
        r"state.random_state.cpu: expected a tensor of shape \(5056,\) uint8, got a tensor of shape \(7,\) uint8",
    ),
    "one of floats": ({"random_state": {"cpu": torch.zeros(5056)}}, r"cpu: .*, got a tensor of shape \(5056,\) float32"),
    "one of Python's": ({"random_state": {"cpu": torch.get_rng_state(), "numpy": 1}}, "random_state: .* key 'numpy'"),
    "one of CUDA": (
        {"random_state": {"cpu": torch.get_rng_state(), "cuda": torch.full((16,), 255, dtype=torch.uint8)}},
        "random_state.cuda: expected an offset that is a multiple of 4",
    ),
    "words behind the last": ({"random_state": {"cpu": numbers_of(624, 600)}}, "cpu: .*, got 624 words left from word 600"),
    "one that was not seeded": ({"random_state": {"cpu": numbers_of(1, 0, 0)}}, "random_state.cpu: expected a place"),
    "an optimizer in a list": ({"optimizer": []}, "state.optimizer: expected an object with 'slots', 'groups'"),
    "within without sums": ({"within": {"done": 1}}, "state.within: expected .* got no 'steps'"),
    "more done than there is": ({"within": {**WITHIN, "done": 3}}, "state.within.steps: .* from 3 .*, got 2"),
    "begun by text": ({"within": {**WITHIN, "begun": ["x"]}}, r"state.within.begun\[0\]: .*, got 'x'"),
    "begun too often": ({"within": {**WITHIN, "begun": [torch.get_rng_state()] * 2}}, "at most 1 random states"),
    "sums in a list": ({"within": {**WITHIN, "sums": []}}, "state.within.sums: .*, got a list of 0"),
    "a loss that is text": ({"within": {**WITHIN, "sums": {**SUMS, "loss": "x"}}}, "sums.loss: expected a total and"),
    "a loss of many": (
        {"within": {**WITHIN, "sums": {**SUMS, "loss": [torch.ones(3), 1]}}},
        r"sums.loss\[0\]: expected one number, got a tensor of shape \(3,\) float32",
    ),
    "a count below 0": ({"within": {**WITHIN, "sums": {**SUMS, "loss": [1.0, -1]}}}, r"sums.loss\[1\]: .*, got -1"),
    "a metric in a list": ({"within": {**WITHIN, "sums": {**SUMS, "metrics": {"mae": [1]}}}}, r"metrics\['mae'\]: "),
    "a sum of text": (
        {"within": {**WITHIN, "sums": {**SUMS, "metrics": {"\u202e": {"total": "x"}}}}},
        r"metrics\['\\u202e'\]\['total'\]: .*, got 'x'",
    ),
    "a complex sum": (
        {"within": {**WITHIN, "sums": {**SUMS, "metrics": {"mae": {"total": torch.ones((), dtype=torch.complex64)}}}}},
        "expected numbers, got a tensor of shape .* complex64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_STATES)
def test_a_state_that_no_training_gives_is_refused_with_its_place_and_changes_nothing(case: str) -> None:
    change, words = BAD_STATES[case]
    trainer = trainer_of("Adam")
    fit(trainer)
    before = facts(trainer)
    state: Any = change
    if isinstance(change, dict):
        state = {key: each for key, each in {**state_of("Adam"), **change}.items() if each is not ...}
    with pytest.raises(ConfigError, match=words):
        trainer.load_state_dict(state)
    assert facts(trainer) == before


def test_a_slot_of_another_shape_is_told_with_the_one_that_fits() -> None:
    state = state_of("Adam")
    state["optimizer"]["slots"]["0.weight"]["velocity"] = torch.ones(3, 4)
    place = r"\$.training.optimizer.slots\['0.weight'\].velocity"
    words = rf"{place}: expected shape \(4, 3\) float32, got shape \(3, 4\) float32"
    with pytest.raises(WeightMismatchError, match=words):
        check_state(state, "$.training", trainer_of("Adam").step.optimization)


def test_an_optimizer_of_another_class_is_not_mistaken() -> None:
    with pytest.raises(
        ConfigError, match=r"state.optimizer.groups\[0\]: expected the settings of RMSprop, got no 'rho'"
    ):
        trainer_of("RMSprop").load_state_dict(state_of("Adam"))


def test_sums_of_a_metric_that_do_not_fit_are_told_when_it_goes_on() -> None:
    trainer = trainer_of("Adam")
    sums = {**SUMS, "metrics": {"mae": {"total": torch.ones(3), "count": torch.ones(2)}}}
    trainer.load_state_dict({**state_of("Adam"), "epoch": 0, "within": {**WITHIN, "sums": sums}})
    with pytest.raises(
        DataError, match="The sums of the metric 'mae', where the training goes on: got others"
    ):
        trainer.fit(X, Y, batch_size=4, initial_epoch=trainer.epoch, verbose=0)
    trainer.fit(X, Y, batch_size=4, initial_epoch=int(trainer.epoch), verbose=0)


def test_sums_for_other_classes_are_told_when_it_goes_on() -> None:
    trainer = Trainer(nn.Linear(3, 2), loss="mse", metrics=[metrics.F1Score()])
    y = np.eye(2, dtype="float32")[[0, 1] * 4]
    trainer.fit(X, y, batch_size=4, verbose=0)
    state = trainer.state_dict()
    held = dict.fromkeys(trainer.step.objective.measures["f1_score"].metric.state, torch.ones(3))
    sums = {**SUMS, "metrics": {"f1_score": held}}
    trainer.load_state_dict({**state, "epoch": 0, "within": {**WITHIN, "sums": sums}})
    words = r"Metric 'f1_score': expected the same shape in every batch, got shape \(2,\) for the sum .* of shape \(3,\)"
    with pytest.raises(DataError, match=words):
        trainer.fit(X, y, batch_size=4, initial_epoch=trainer.epoch, verbose=0)


def test_a_layer_that_was_replaced_after_a_state_was_loaded_begins_anew() -> None:
    trainer = trainer_of("torch.optim.Adam")
    trainer.load_state_dict(state_of("torch.optim.Adam"))
    trainer.module[2] = nn.Linear(4, 2)  # type: ignore[index, operator]
    trainer.fit(X, X[:, :2], batch_size=4, verbose=0)
    state = trainer.state_dict()["optimizer"]["slots"]
    steps = {name: slot["step"].item() for name, slot in state.items()}
    assert steps == {"0.weight": 6, "0.bias": 6, "2.weight": 2, "2.bias": 2}


class Own(torch.optim.Optimizer):
    """Somebody's optimizer, whose settings and slots nobody else knows."""

    def __init__(self, params: Any, lr: float = 0.1, eps: Any = (1e-30, -3.0), beta: float = -7.0) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "beta": beta})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for each in group["params"]:
                self.state[each]["seen"] = self.state[each].get("seen", 0) + 1
                self.state[each]["rows"] = torch.ones(len(each), dtype=torch.int64)
                each.data -= group["lr"] * each.grad


class Mine(optimizers.Optimizer):
    """Somebody's rule, with a name that means another thing elsewhere."""

    hyperparameters = ("rho",)

    def __init__(self, rho: float = -5.0) -> None:
        super().__init__(0.1)
        self.rho = rho

    def update(self, update: Any) -> None:
        torch._foreach_add_(update.params, update.grads, alpha=-update.lr)


@pytest.mark.parametrize("kind", [Own, Mine])
def test_what_an_optimizer_of_somebody_remembers_is_taken_as_it_is(kind: Any) -> None:
    def made() -> Trainer:
        return Trainer(nn.Linear(3, 1), optimizer=kind if kind is Own else kind(), loss="mse")

    first, second = made(), made()
    fit(first)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    fit(second)
    assert second.step.optimization.built is not None
    if kind is Own:
        assert [each["seen"] for each in second.step.optimization.built.state.values()] == [4, 4]
    state = copy.deepcopy(first.state_dict())
    state["optimizer"]["groups"][0]["lr"] = object()
    with pytest.raises(ConfigError, match=r"state.optimizer.groups\[0\].lr: expected"):
        second.load_state_dict(state)


@pytest.mark.parametrize("name", ["Adam", "torch.optim.Adam", "torch.optim.Adafactor"])
def test_a_module_that_has_no_weights_yet_takes_a_state_and_what_fits_it_when_it_has(name: str) -> None:
    lazy = nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.LazyLinear(1))
    trainer = Trainer(lazy, optimizer=OPTIMIZERS[name](), loss="mse")
    state = state_of(name)
    bad = state["optimizer"]["slots"]["2.weight"]
    bad.update(
        {key: torch.ones(7, 7) for key, each in bad.items() if isinstance(each, torch.Tensor) and each.ndim}
    )
    trainer.load_state_dict(state)
    fit(trainer)
    slots = trainer.state_dict()["optimizer"]["slots"]
    if "torch" in name:
        steps = {key: each["step"].item() for key, each in slots.items()}
        assert steps == {"0.weight": 6, "0.bias": 6, "2.weight": 2, "2.bias": 6}
    assert all(each.isfinite().all() for each in lazy.parameters())


def test_a_state_of_the_generator_in_any_place_is_taken() -> None:
    trainer = trainer_of("Adam")
    for drawn in (0, 1, 2, 623, 624, 625, 1247, 1248):
        generator = torch.Generator().manual_seed(5)
        if drawn:
            torch.rand(drawn, generator=generator)
        trainer.load_state_dict({**state_of("Adam"), "random_state": {"cpu": generator.get_state()}})
