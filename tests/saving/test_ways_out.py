"""Every way out that an error of saving or loading names leads out: the test follows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torchfunc as tf
from tests.hostile import forge
from torchfunc import layers
from torchfunc.errors import (
    ConfigError,
    LimitError,
    NotATorchfuncFileError,
    SavingError,
    TorchfuncError,
    WeightMismatchError,
)


@tf.register("ways>bent")
def bent(x: Tensor) -> Tensor:
    return x / (1 + x.abs())


@tf.register("ways>gap")
def gap(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (y_true - y_pred).abs().mean(-1)


@tf.register("ways>halves")
def halves(shape: Any, dtype: Any = None) -> Tensor:
    return torch.full(shape, 0.5, dtype=dtype)


@tf.register("ways>Cap")
class Cap(tf.regularizers.Regularizer):
    def __init__(self, most: float = 1.0) -> None:
        self.most = most

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.clamp(max=self.most).sum()


@tf.register("ways>Gap")
class Gap(tf.losses.Loss):
    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_true - y_pred).abs().mean(-1)


@tf.register("ways>Act")
class Act(layers.Layer):
    def __init__(self, act: Any, **common: Any) -> None:
        super().__init__(**common)
        self.act = act

    def call(self, x: Tensor) -> Tensor:
        return self.act(x)


class Kept(Act):
    def call(self, x: Tensor) -> Tensor:
        return x


def model(*around: Any, **arguments: Any) -> Any:
    x = inputs = tf.Input((4,))
    for layer in around or (layers.Dense(2),):
        x = layer(x)
    made = tf.Model(inputs, x)
    if arguments:
        made.compile("sgd", **{"loss": "mse", **arguments})
    return made


REGISTERED: dict[str, Callable[[], Any]] = {
    "an activation": lambda: model(layers.Dense(2, activation=bent)),
    "an activation layer": lambda: model(layers.Activation(bent)),
    "an initializer": lambda: model(layers.Dense(2, kernel_initializer=halves)),
    "a regularizer": lambda: model(layers.Dense(2, kernel_regularizer=Cap(2.0))),
    "a function in the graph": lambda: model(layers.Lambda(bent)),
    "an argument": lambda: model(Act(bent)),
    "an argument of torch": lambda: model(Act(torch.sin)),
    "an argument of ours": lambda: model(Act(tf.activations.gelu)),
    "a loss": lambda: model(loss=gap),
    "a loss of a class": lambda: model(loss=Gap()),
    "a loss of torch": lambda: model(loss=F.l1_loss),
    "a metric": lambda: model(metrics=[gap]),
    "a loss as a metric": lambda: model(metrics=[tf.losses.MeanSquaredError(), Gap()]),
}


@pytest.mark.parametrize("what", REGISTERED)
def test_what_is_registered_is_loaded_without_custom_objects(what: str, tmp_path: Path) -> None:
    first = REGISTERED[what]()
    first.save(tmp_path / "m.safetensors")
    other = tf.load_model(tmp_path / "m.safetensors")
    x, y = torch.ones(3, 4), torch.ones(3, *first.output_shape[1:])
    assert torch.equal(other(x), first(x))
    if first.trainer is not None:
        assert other.evaluate(x, y, verbose=0) == first.evaluate(x, y, verbose=0)
        other.save(tmp_path / "again.safetensors")


def test_a_registered_function_is_found_by_its_name() -> None:
    assert torch.equal(layers.Dense(2, activation="ways>bent").activation(torch.ones(1)), torch.tensor([0.5]))
    assert model(loss="ways>gap").loss == "ways>gap"
    with pytest.raises(TorchfuncError, match="'ways>gap' already stands for .* Choose another name"):
        tf.register("ways>gap")(bent)


WAYS: list[tuple[Callable[[], Any], str]] = [
    (lambda: model(layers.Dense(2, activation=lambda x: x)), "named function under @torchfunc.register"),
    (lambda: model(Act(lambda x: x)), "named function under @torchfunc.register"),
    (lambda: model(Kept(object())), "write get_config and from_config for Kept"),
    (lambda: model(loss=nn.MSELoss()), "take a function of torch.nn.functional"),
    (lambda: model(loss=nn.MSELoss), "got a class of PyTorch.*take a function of torch.nn.functional"),
    (lambda: model(metrics=[lambda a, b: a - b]), "named function under @torchfunc.register"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), WAYS)
def test_what_no_file_can_name_is_refused_with_the_way_that_the_tests_above_went(
    make: Callable[[], Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SavingError, match=words):
        make().save(tmp_path / "m.safetensors")


def test_a_file_of_weights_is_told_from_a_model(tmp_path: Path) -> None:
    first, other = model(), model()
    first.save_weights(tmp_path / "w.safetensors")
    with pytest.raises(
        NotATorchfuncFileError, match="w.safetensors' holds weights and no model.*load_weights"
    ):
        tf.load_model(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert torch.equal(other(torch.ones(1, 4)), first(torch.ones(1, 4)))


@pytest.mark.parametrize("name", ["m.pt", "m.onnx"])
def test_a_name_of_another_format_is_refused_with_one_that_works(name: str, tmp_path: Path) -> None:
    first = model()
    for save in (first.save, first.save_weights):
        with pytest.raises(SavingError, match="Fix: model.save") as error:
            save(tmp_path / name)
        fixed = str(error.value).split("model.save('")[1].split("'")[0]
        save(fixed)
    first.save(fixed)
    with pytest.raises(NotATorchfuncFileError, match="Fix: load what model.save"):
        tf.load_model(tmp_path / name)
    assert tf.load_model(fixed).get_config() == first.get_config()


def headed(units: int, extra: bool = False, name: str = "head") -> Any:
    rest = [layers.Dense(3, name="extra")] if extra else []
    return model(
        layers.Dense(3, name="body"),
        layers.BatchNormalization(name="norm"),
        *rest,
        layers.Dense(units, name=name),
    )


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (lambda: headed(2), "head"),
        (lambda: headed(5, extra=True), "extra"),
        (lambda: headed(5, name="top"), "head, top"),
    ],
)
def test_layers_that_differ_are_left_as_they_are_where_that_is_asked_for(
    other: Callable[[], Any], left: str, tmp_path: Path
) -> None:
    first, second = headed(5), other()
    first.save_weights(tmp_path / "w.safetensors")
    before = {name: each.clone() for name, each in second.state_dict().items()}
    with pytest.raises(WeightMismatchError, match="Fix: load_weights.path, skip_mismatch=True"):
        second.load_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(each, before[name]) for name, each in second.state_dict().items())
    with pytest.warns(UserWarning, match=f"left these as they were, since their tensors differ: {left}.$"):
        second.load_weights(tmp_path / "w.safetensors", skip_mismatch=True)
    for name, each in second.state_dict().items():
        same = name.partition(".")[0] not in left
        assert torch.equal(each, first.state_dict()[name] if same else before[name]), name


def within(depth: int) -> Any:
    made = model(layers.Dense(4))
    for _ in range(depth - 1):
        made = model(made)
    return made


@pytest.mark.parametrize("depth", [20, 60])
def test_many_models_within_one_another_are_saved_and_loaded(depth: int, tmp_path: Path) -> None:
    first, x = within(depth), np.ones((2, 4), "float32")
    first.save(tmp_path / "m.safetensors")
    other = tf.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(other.predict(x, verbose=0), first.predict(x, verbose=0))


def test_too_many_are_told_the_way_by_weights(tmp_path: Path) -> None:
    first, other = within(90), within(90)
    with pytest.raises(LimitError, match="nested deeper.*Fix: .*keep the weights alone with save_weights"):
        first.save(tmp_path / "m.safetensors")
    first.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert torch.equal(other(torch.ones(2, 4)), first(torch.ones(2, 4)))


class Strided(layers.Layer):
    def call(self, x: Tensor) -> Tensor:
        return x.as_strided((2, 2), (1, 1))


@pytest.mark.parametrize("kind", ["function", "method"])
def test_an_older_file_that_names_what_none_may_name_any_more_says_what_to_do(
    kind: str, tmp_path: Path
) -> None:
    x = tf.Input((3,), name="x")
    model, path, data = tf.Model(x, layers.Dense(3)(x)), tmp_path / "old.safetensors", torch.rand(2, 3)
    config = {"model": {"class_name": "Model", "config": model.get_config()}}
    name = "torch.as_strided" if kind == "function" else "as_strided"
    call = {"name": "strided", kind: name, "args": [{"from": "dense"}, [2, 2], [1, 1]]}
    config["model"]["config"]["calls"].append(call)
    config["model"]["config"]["outputs"] = {"from": "strided"}
    path.write_bytes(forge(config, model.state_dict(), version=1))
    expected = model(data).detach().as_strided((2, 2), (1, 1))

    with pytest.raises(
        ConfigError, match=r"It reaches memory around the tensor .*Fix: .*load_weights"
    ) as told:
        tf.load_model(path)
    assert ("custom_objects={'torch.as_strided': ...}" in str(told.value)) == (kind == "function")
    if kind == "function":
        loaded = tf.load_model(path, custom_objects={"torch.as_strided": torch.as_strided})
        assert torch.equal(loaded(data), expected)
    again = tf.Model(x, Strided()(layers.Dense(3)(x)))
    again.load_weights(path)
    assert torch.equal(again(data), expected)
