"""Resuming: what a file says of training is what `save` wrote, or is told with its place before it is used."""

from __future__ import annotations

import copy
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers, losses, metrics, optimizers, schedules
from torchfunc.callbacks import Callback
from torchfunc.errors import ConfigError, LimitError, TorchfuncError, UnknownNameError, WeightMismatchError
from torchfunc.models.resuming import restore_training, split
from torchfunc.saving import archive

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.arange(8) % 3
ONE_HOT = np.eye(3, dtype="float32")[Y]


class Interrupted(Callback):
    """Ends a training within its first epoch, so that its state holds sums."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1:
            raise KeyboardInterrupt


def one() -> Any:
    inputs = tf.Input((4,), name="x")
    return tf.Model(inputs, layers.Dense(3, activation="softmax", name="d")(inputs))


def two() -> Any:
    inputs = tf.Input((4,), name="x")
    return tf.Model(inputs, {"a": layers.Dense(1, name="a")(inputs), "b": layers.Dense(3, name="b")(inputs)})


def compiled(make: Any, options: dict[str, Any], y: Any) -> Any:
    torch.manual_seed(0)
    model = make()
    model.compile(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, batch_size=2, verbose=0, callbacks=[Interrupted()])
    return model


MODELS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "names": (one, {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["acc"]}, Y),
    "objects": (
        one,
        {
            "optimizer": optimizers.SGD(schedules.CosineDecay(0.1, 10), momentum=0.9, clipnorm=1.0),
            "loss": losses.CategoricalCrossentropy(label_smoothing=0.1),
            "weighted_metrics": [metrics.AUC(), metrics.F1Score()],
        },
        ONE_HOT,
    ),
    "by output": (
        two,
        {
            "optimizer": optimizers.AdamW(use_ema=True),
            "loss": {"a": "mse", "b": losses.SparseCategoricalCrossentropy(from_logits=True)},
            "loss_weights": {"a": 0.5, "b": 2},
            "metrics": {"a": ["mae", metrics.R2Score()]},
        },
        {"a": X[:, :1], "b": Y},
    ),
    "in lists": (
        two,
        {"optimizer": "rmsprop", "loss": ["mse", None], "loss_weights": [1.0, 2.0], "metrics": [["mae"], []]},
        [X[:, :1], Y],
    ),
    "PyTorch's": (one, {"optimizer": torch.optim.AdamW, "loss": "crossentropy", "steps_per_execution": 2}, Y),
    "PyTorch's with arguments": (
        one,
        {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True), "loss": nn.functional.mse_loss},
        ONE_HOT,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    """Each model's weights, compile configuration, and state as plain data and tensors."""
    found = {}
    for name, (make, options, y) in MODELS.items():
        model = compiled(make, options, y)
        plain, tensors = split(model.trainer.state_dict())
        texts = [json.loads(json.dumps(each)) for each in (model.trainer.get_config(), plain)]
        found[name] = (model.state_dict(), *texts, {key: each.clone() for key, each in tensors.items()})
    return found


def restored(name: str, saved: dict[str, Any]) -> Any:
    model = MODELS[name][0]()
    model.load_state_dict(saved[name][0])
    restore_training(model, *copy.deepcopy(saved[name][1:]))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_what_was_written_is_read_without_a_random_number(name: str, saved: dict[str, Any]) -> None:
    weights, config, state, tensors = copy.deepcopy(saved[name])
    model = MODELS[name][0]()
    model.load_state_dict(weights)
    before = torch.get_rng_state()
    restore_training(model, config, state, tensors)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.trainer.get_config() == config
    plain, again = split(model.trainer.state_dict())
    kept = ("epoch", "step", "seed", "optimizer")
    assert json.loads(json.dumps({key: plain[key] for key in kept})) == {key: state[key] for key in kept}
    assert all(torch.equal(again[key], each) for key, each in tensors.items() if key.startswith("optimizer"))


SGD = {"class_name": "torch.optim.SGD"}
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "a list": ([], ConfigError, r"\$.compile: expected an object, got a list of 0"),
    "self": ({"self": 1}, ConfigError, r"\$.compile: expected the keys optimizer, .*, got \['self'\]"),
    "a backend": ({"backend": "inductor"}, ConfigError, r"\$.compile: expected the keys"),
    "an unknown optimizer": ({"optimizer": "adm"}, UnknownNameError, r"\$.compile.optimizer: Unknown optimizer 'adm'. Did"),
    "an optimizer that is a number": ({"optimizer": 3}, ConfigError, r"\$.compile.optimizer: expected a name, .* got 3"),
    "a class that is a number": ({"optimizer": {"class_name": 3}}, ConfigError, "optimizer: expected a name, or"),
    "LBFGS": ({"optimizer": {"class_name": "torch.optim.LBFGS"}}, UnknownNameError, "optimizer: Unknown optimizer"),
    "a rate below 0": (
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": -1}}}, ConfigError, "optimizer: SGD: expected",
    ),
    "an endless rate": (
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 1e300}}},
        ConfigError,
        r"\$.compile.optimizer.config.lr: expected a number from 0 to 1e\+09, got 1e\+300",
    ),
    "a rate that is no number": ({"optimizer": {**SGD, "config": {"lr": float("nan")}}}, ConfigError, "config.lr: .* nan"),
    "a rate that is text": ({"optimizer": {**SGD, "config": {"lr": "0.1"}}}, ConfigError, "config.lr: .* got '0.1'"),
    "a flag that is text": ({"optimizer": {**SGD, "config": {"nesterov": "x"}}}, ConfigError, "nesterov: .* got 'x'"),
    "nesterov alone": ({"optimizer": {**SGD, "config": {"nesterov": True}}}, ConfigError, "expected momentum above 0"),
    "differentiable": ({"optimizer": {**SGD, "config": {"differentiable": True}}}, ConfigError, "expected one of the"),
    "betas of three": (
        {"optimizer": {"class_name": "torch.optim.Adam", "config": {"betas": [0.9, 0.9, 0.9]}}},
        ConfigError,
        r"\$.compile.optimizer.*config.betas: expected .*2.*, got",
    ),
    "a norm of text": (
        {"optimizer": {"class_name": "Adam", "config": {"clipnorm": "x"}}}, ConfigError, "config.clipnorm: expected",
    ),
    "half an average": (
        {"optimizer": {"class_name": "Adam", "config": {"ema_overwrite_frequency": 0.5}}}, ConfigError, "frequency: ",
    ),
    "an unknown loss": ({"loss": "msee"}, UnknownNameError, r"\$.compile.loss: Unknown loss 'msee'. Did you mean"),
    "an unknown loss in a list": ({"loss": ["mse", "x"]}, UnknownNameError, r"\$.compile.loss\[1\]: Unknown loss 'x'"),
    "a loss that is a number": ({"loss": 1}, ConfigError, r"\$.compile.loss: expected a name, or an object"),
    "a loss for no output": ({"loss": {"nobody": "mse"}}, ConfigError, r"\$.compile: .*nobody"),
    "a metric that is a list": ({"metrics": [[["acc", 1]]]}, ConfigError, r"metrics\[0\]\[0\]\[1\]: expected a name"),
    "metrics too deep": ({"metrics": [[[[["acc"]]]]]}, LimitError, r"(\[0\]){4}: expected at most .* levels"),
    "too many metrics": ({"metrics": [None] * 20_000}, LimitError, "expected at most 10000 names"),
    "weights of text": ({"loss_weights": ["x"]}, ConfigError, r"loss_weights\[0\]: expected a number from"),
    "an endless weight": ({"loss_weights": 10**400}, ConfigError, "loss_weights: .* got a whole number of 1329 bits"),
    "no steps": ({"steps_per_execution": 0}, ConfigError, r"\$.compile.steps_per_execution: .* got 0"),
    "too many steps": ({"steps_per_execution": 2**31}, ConfigError, "steps_per_execution: .* from 1 to below 2147483648"),
    "steps by word": ({"steps_per_execution": "auto"}, ConfigError, "steps_per_execution: .* got 'auto'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_compile_configuration_that_nobody_wrote_is_told_with_its_place(case: str, saved: Any) -> None:
    change, kind, words = BAD[case]
    _, config, *state = copy.deepcopy(saved["names"])
    model = one()
    with pytest.raises(kind, match=words) as caught:
        restore_training(model, {**config, **change} if isinstance(change, dict) else change, *state)
    assert len(str(caught.value)) <= 500 and model.trainer is None
    assert model._compiled_call_impl is None


@pytest.mark.parametrize("name", ["a" * 10_000, "\0\u202e" * 5_000])
def test_a_long_or_hidden_name_is_cut_and_escaped(name: str, saved: Any) -> None:
    config = saved["names"][1]
    schedule = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": {"class_name": name}}}}
    for change in ({"loss": name}, {"metrics": [name]}, {"optimizer": name}, {"loss": {name: 3}}, schedule):
        with pytest.raises(TorchfuncError) as caught:
            restore_training(one(), {**config, **change}, None, {})
        assert len(str(caught.value)) <= 500 and str(caught.value).isprintable()


def forged(path: Path, change: Any) -> None:
    compiled(*MODELS["names"]).save(path)
    found = archive.read(path)
    archive.write(path, *change(found.config, found.tensors))


STATES: dict[str, tuple[Any, type[Exception], str]] = {
    "a tensor is missing": (
        lambda c, t: (c, {k: e for k, e in t.items() if not k.endswith("cpu")}),
        ConfigError,
        r"\$.training: the tensor 'random_state/cpu' is missing",
    ),
    "a tensor is not mentioned": (
        lambda c, t: (c, {**t, "optimizer/self": torch.ones(1)}),
        ConfigError,
        r"\$.training: expected only tensors that it mentions, got the tensor 'self'",
    ),
    "a slot of another shape": (
        lambda c, t: (c, {k: e.T.contiguous() if k.endswith("d.weight/velocity") else e for k, e in t.items()}),
        WeightMismatchError,
        r"\$.training.optimizer.slots\['d.weight'\].velocity: expected shape \(3, 4\) float32, got shape \(4, 3\) float32",
    ),
    "a list": (
        lambda c, t: ({**c, "training": []}, {k: e for k, e in t.items() if not k.startswith("optimizer/")}),
        ConfigError,
        r"\$.training: expected an object with 'epoch', .*, got a list of 0",
    ),
    "no epoch": (
        lambda c, t: ({**c, "training": {k: e for k, e in c["training"].items() if k != "epoch"}}, t),
        ConfigError,
        r"\$.training: expected 'epoch', .* got no 'epoch'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_a_file_with_a_state_that_nobody_wrote_is_refused(case: str, tmp_path: Path) -> None:
    change, kind, words = STATES[case]
    forged(tmp_path / "m.safetensors", change)
    state = torch.get_rng_state()
    with pytest.raises(kind, match=words):
        tf.load_model(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), state)


VALUES: list[Any] = [
    None, True, 0, -1, 2**31, 2**53, 2**63, 10**400, 0.5, 1e308, float("nan"), "", "x", "self", "mse", "adam", "\0", [],
    [[]], [1, 2, 3], {}, {"tensor": "x"},
    {"tensor": "random_state/cpu"}, {"class_name": "Adam", "config": {}}, {"class_name": 3},
    {"class_name": "ExponentialDecay", "config": {"initial_learning_rate": 9e99, "decay_steps": 1e-99, "decay_rate": 9e99}},
    {"class_name": "function", "config": "mse"}, {"shared": "x"}, {"class_name": "torch.optim.Adam", "config": {"lr": -1}},
]  # fmt: skip
KEYS = (
    "self __class__ params _x lr backend options run_eagerly config class_name name tensor cuda whole".split()
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys: Any = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [path, *(each for key in keys for each in places(tree[key], (*path, key)))]


def mutate(tree: Any, chance: random.Random) -> None:
    """Change one thing anywhere in plain data: set, take away, put in, or put in a list."""
    path = chance.choice(places(tree)[1:] or [()])
    if not path:
        return
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    value, at = copy.deepcopy(chance.choice(VALUES)), path[-1]
    match chance.randrange(4):
        case 0:
            del holder[at]
        case 1:
            holder[at] = [holder[at]]
        case 2 if isinstance(holder, dict):
            holder[chance.choice(KEYS)] = value
        case _:
            holder[at] = value


def mutate_tensor(tensors: dict[str, Any], chance: random.Random) -> None:
    name = chance.choice([*tensors])
    match chance.randrange(5):
        case 0:
            tensors[name] = tensors[name].to(torch.int64)
        case 1:
            tensors[name] = torch.zeros(7, 7, dtype=tensors[name].dtype)
        case 2:
            tensors[name] = torch.randint(256, tensors[name].shape, generator=torch.Generator()).to(
                tensors[name].dtype
            )
        case 3:
            del tensors[name]
        case _:
            tensors[chance.choice(KEYS)] = tensors[name]


@pytest.mark.parametrize("name", MODELS)
def test_of_random_changes_each_is_refused_by_an_error_of_ours_or_taken(name: str, saved: Any) -> None:
    chance, refused = random.Random(name), 0
    for _ in range(150):
        _, config, state, tensors = copy.deepcopy(saved[name])
        for _ in range(chance.choice((1, 1, 2, 3))):
            tree = chance.choice((config, state, state, tensors))
            (mutate_tensor if tree is tensors and tensors else mutate)(tree, chance)
        model, before = MODELS[name][0](), torch.get_rng_state()
        try:
            restore_training(model, config, state, tensors)
        except TorchfuncError as error:
            assert str(error).startswith("$.") and len(str(error)) <= 600 and str(error).isprintable()
            refused += 1
        assert torch.equal(torch.get_rng_state(), before)
    assert refused > 75
