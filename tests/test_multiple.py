"""Several optimizers as one: each variable is changed by its own, as in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import optimizers
from torchfunc.errors import CompileError, ConfigError, SavingError, TorchfuncError, WeightMismatchError
from torchfunc.optimizers import MultiOptimizer, OptimizerMap

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X[:, :1]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def model_of(library: Any) -> Any:
    inputs = library.Input((4,))
    hidden = library.layers.Dense(3, activation="tanh", name="first")(inputs)
    return library.Model(inputs, library.layers.Dense(1, name="second")(hidden))


def mapped(library: Any) -> Any:
    found = library.optimizers.OptimizerMap(library.optimizers.SGD(0.05, momentum=0.9))
    found["first/.*"] = library.optimizers.Adam(0.02)
    found["second/bias"] = library.optimizers.RMSprop(0.01)
    return library.optimizers.MultiOptimizer(found)


def chosen(library: Any) -> Any:
    adam, sgd = library.optimizers.Adam(0.02, use_ema=True), library.optimizers.SGD(0.05)
    return library.optimizers.MultiOptimizer(lambda variable: adam if "first" in variable.path else sgd)


@pytest.mark.parametrize("optimizer", [mapped, chosen])
def test_each_variable_is_changed_as_in_keras(optimizer: Any) -> None:
    models = [model_of(library) for library in (keras, tf)]
    models[1].set_weights(models[0].get_weights())
    losses = []
    for library, model in zip((keras, tf), models, strict=True):
        model.compile(optimizer(library), "mse")
        losses.append(model.fit(X, Y, 8, 8, shuffle=False, verbose=0).history["loss"])

    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for theirs, ours in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)
    ours, theirs = models[1].optimizer, models[0].optimizer
    assert ours.iterations == int(theirs.iterations) == 32
    assert sorted(each.learning_rate for each in ours.optimizers) == pytest.approx(
        sorted(float(each.learning_rate) for each in theirs.optimizers)
    )


def test_a_training_goes_on_from_a_file(tmp_path: Path) -> None:
    model = model_of(tf)
    model.compile(mapped(tf), "mse")
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors")

    for each in (model, loaded):
        each.fit(X, Y, epochs=4, initial_epoch=each.trainer.epoch, shuffle=False, verbose=0)

    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.optimizer.iterations == model.optimizer.iterations == 4


def test_a_memory_of_other_shapes_is_refused() -> None:
    model = model_of(tf)
    model.compile(mapped(tf), "mse")
    model.fit(X, Y, verbose=0)
    state = model.trainer.state_dict()
    slot = state["optimizer"]["slots"]["first.weight"]
    state["optimizer"]["slots"]["first.weight"] = {**slot, "momentum": torch.zeros(1)}

    with pytest.raises(WeightMismatchError, match=r"first.weight.*expected shape \(3, 4\)"):
        model.trainer.load_state_dict(state)


def test_variables_are_those_of_all_and_may_be_set() -> None:
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    found, other = (
        MultiOptimizer(OptimizerMap(optimizers.SGD(0.1, momentum=0.5), {"a": optimizers.Adam()}))
        for _ in range(2)
    )
    for each in (found, other):
        each.build([("a", first), ("b", second)])
    found.apply([torch.ones(2), torch.ones(2)], [first, second])

    other.set_weights(found.variables)

    assert len(found.variables) == 2 + 2 + 2 + 1
    assert all(torch.equal(a, b) for a, b in zip(found.variables, other.variables, strict=True))


def test_what_has_no_answer_says_where_one_is() -> None:
    found = OptimizerMap(optimizers.SGD(), {"a/.*": optimizers.Adam(), ".*/b": optimizers.Adam()})
    assert list(found) == ["a/.*", ".*/b"] and len(found) == 2
    assert found["a/c"].name == "adam" and found["c"].name == "sgd"
    with pytest.raises(CompileError, match="fits 'a/.*' and '.*/b'"):
        found["a/b"]
    with pytest.raises(CompileError, match="a second time"):
        found["a/.*"] = optimizers.SGD()
    with pytest.raises(CompileError, match="expected an optimizer of torchfunc without others"):
        found["d"] = MultiOptimizer(OptimizerMap(optimizers.SGD()))
    with pytest.raises(TorchfuncError, match="for each in optimizer.optimizers"):
        MultiOptimizer(found).learning_rate  # noqa: B018
    with pytest.raises(SavingError, match="expected an OptimizerMap"):
        MultiOptimizer(lambda variable: optimizers.SGD()).get_config()
    with pytest.raises(CompileError, match="expected an OptimizerMap or a function"):
        MultiOptimizer(3)
    with pytest.raises(ConfigError, match=r"at most two '\.\*', got '\(a\+\)\+'"):
        OptimizerMap.from_config({**found.get_config(), "optimizer_map": {"(a+)+": "adam"}})
    twin = OptimizerMap.from_config(found.get_config())
    assert twin.get_config() == found.get_config()
