"""A quick look at a step never says that it is as it was where a whole look finds another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc.training.recording.fingerprint import Fingerprint


def trained() -> tf.Model:
    inputs = tf.Input((4,))
    hidden = tf.layers.Dense(4, activation="relu", name="first")(inputs)
    hidden = tf.layers.BatchNormalization(name="norm")(hidden)
    model = tf.Model(inputs, tf.layers.Dense(1, name="last")(hidden))
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 1)))
    return model


def first(model: tf.Model) -> Any:
    return model.get_layer("first")


def last(model: tf.Model) -> Any:
    return model.get_layer("last")


def replaced_bias(model: tf.Model) -> None:
    last(model).bias = nn.Parameter(last(model).bias.detach().clone())  # one number, equal to the one before


CHANGES: dict[str, Callable[[tf.Model], Any]] = {
    "a rate": lambda model: setattr(model.get_layer("norm"), "momentum", 0.5),
    "a mode": lambda model: model.get_layer("norm").train(not model.get_layer("norm").training),
    "frozen": lambda model: first(model).weight.requires_grad_(False),
    "an equal parameter": replaced_bias,
    "an equal buffer": lambda model: model.get_layer("norm").register_buffer("running_mean", torch.zeros(4)),
    "another memory": lambda model: setattr(first(model).weight, "data", first(model).weight.data.clone()),
    "transposed": lambda model: setattr(first(model).weight, "data", first(model).weight.data.t()),
    "fewer numbers": lambda model: setattr(first(model).weight, "data", first(model).weight.data[:2]),
    "a hook": lambda model: first(model).register_forward_hook(lambda *given: None),
    "a hook of a parameter": lambda model: first(model).weight.register_hook(lambda gradient: gradient),
    "a second hook of a parameter": lambda model: first(model).bias.register_post_accumulate_grad_hook(
        lambda parameter: None
    ),
    "another activation": lambda model: setattr(first(model), "activation", torch.tanh),
    "a layer more": lambda model: model.add_module("more", nn.Identity()),
    "a layer within the loss": lambda model: setattr(
        model.trainer.step.objective.losing[0].loss, "reduction", "sum"
    ),
    "a weight of a loss": lambda model: setattr(model.trainer.step.objective.losing[0], "weight", 2.0),
    "an attribute more": lambda model: setattr(first(model), "scale", torch.ones(())),
    "epsilon": lambda model: tf.settings.set_epsilon(1e-3),
    "determinism": lambda model: torch.use_deterministic_algorithms(True),
}


@pytest.fixture(autouse=True)
def surroundings_as_before() -> Any:
    epsilon = tf.settings.epsilon()
    yield
    tf.settings.set_epsilon(epsilon)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_is_seen_by_a_quick_look(what: str) -> None:
    model = trained()
    seen = Fingerprint(model.trainer.step)
    assert seen.still_holds() and Fingerprint(model.trainer.step) == seen
    CHANGES[what](model)
    assert not seen.still_holds()
    assert Fingerprint(model.trainer.step) != seen


def test_tensors_in_lists_and_dicts_are_known_by_themselves_not_by_their_numbers() -> None:
    model = trained()
    layer = first(model)
    layer.kept = {"scales": [torch.ones(()), torch.ones(3)]}
    seen = Fingerprint(model.trainer.step)
    layer.kept["scales"][0] = torch.ones(())
    assert not seen.still_holds()
    seen = Fingerprint(model.trainer.step)
    layer.kept["scales"][1] = torch.ones(3)
    assert not seen.still_holds()
    seen = Fingerprint(model.trainer.step)
    layer.kept["scales"].append(1)
    assert not seen.still_holds()


def test_numbers_in_tensors_may_change() -> None:
    model = trained()
    seen = Fingerprint(model.trainer.step)
    with torch.no_grad():
        first(model).weight.add_(1.0)
        model.get_layer("norm").running_mean.mul_(0.5)
    assert seen.still_holds() and Fingerprint(model.trainer.step) == seen
