"""A quick look at a step never says that it is as it was where a whole look finds another."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc.training.recording.fingerprint import Fingerprint
from torchfunc.training.recording.glance import Glance


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


class Scales:
    def __init__(self) -> None:
        self.first, self.second = torch.ones(()), 2.0


@dataclass
class Equal:
    scale: torch.Tensor


def renamed(values: Any, before: str, after: str) -> None:
    values.update({after if name == before else name: values.pop(name) for name in list(values)})


def step_of(model: tf.Model) -> Any:
    return model.trainer.step


def head_of(model: tf.Model) -> Any:
    return step_of(model).objective.losing[0]


def kept(value: Callable[[], Any]) -> Callable[[tf.Model], None]:
    """A layer keeps something."""
    return lambda model: vars(first(model)).__setitem__("kept", value())


def nothing(model: tf.Model) -> None:
    """There is nothing to prepare."""


def hook(*given: Any) -> None:
    return None


def hooked(model: tf.Model) -> None:
    first(model).weight.register_hook(hook)
    first(model).register_full_backward_hook(hook)
    first(model).register_full_backward_pre_hook(hook)


# what comes before, and what has to be seen
AFTERWARDS: dict[str, tuple[Callable[[tf.Model], Any], Callable[[tf.Model], Any]]] = {
    "an equal tensor": (kept(lambda: torch.ones(())), kept(lambda: torch.ones(()))),
    "an equal tensor in a tuple": (kept(lambda: (torch.ones(()),)), kept(lambda: (torch.ones(()),))),
    "an equal tensor in a list": (kept(lambda: [torch.ones(())]), kept(lambda: [torch.ones(())])),
    "an equal tensor in a dict": (kept(lambda: {"a": torch.ones(())}), kept(lambda: {"a": torch.ones(())})),
    "an equal array": (kept(lambda: np.ones(1)), kept(lambda: np.ones(1))),
    "an equal object": (kept(lambda: Equal(torch.ones(()))), kept(lambda: Equal(torch.ones(())))),
    "an equal buffer of one number": (
        lambda model: first(model).register_buffer("one", torch.ones(1)),
        lambda model: first(model).register_buffer("one", torch.ones(1)),
    ),
    "a tensor less": (kept(lambda: torch.ones(())), lambda model: delattr(first(model), "kept")),
    "a tensor for a number": (kept(lambda: 1.0), kept(lambda: torch.ones(3))),
    "numbers for a tensor": (kept(lambda: torch.ones(3)), kept(lambda: [1.0, 1.0, 1.0])),
    "a list for a tuple": (kept(lambda: (1, 2)), kept(lambda: [1, 2])),
    "a number in a tuple": (kept(lambda: (1, 2)), kept(lambda: (1, 3))),
    "how long a list is": (kept(lambda: [[1, [2]]]), kept(lambda: [[1], [2]])),
    "how long a dict is": (kept(lambda: {"a": {}, "b": 1}), kept(lambda: {"a": {"b": 1}})),
    "a list in a list": (kept(lambda: [[1]]), lambda model: first(model).kept[0].append(2)),
    "a value of a dict": (kept(lambda: {"a": 1}), lambda model: first(model).kept.update(a=2)),
    "a key of a dict": (kept(lambda: {"a": 1}), lambda model: renamed(first(model).kept, "a", "b")),
    "what was empty": (kept(dict), lambda model: first(model).kept.update(a=2)),
    "an attribute of what is kept": (kept(Scales), lambda model: setattr(first(model).kept, "second", 3.0)),
    "a name in what is kept": (
        kept(Scales),
        lambda model: renamed(vars(first(model).kept), "second", "third"),
    ),
    "a tensor of what is kept": (
        kept(Scales),
        lambda model: setattr(first(model).kept, "first", torch.ones(())),
    ),
    "a name": (kept(lambda: 1.0), lambda model: renamed(vars(first(model)), "kept", "held")),
    "a name of a buffer": (
        nothing,
        lambda model: renamed(model.get_layer("norm")._buffers, "running_mean", "mean"),
    ),
    "a name of a parameter": (nothing, lambda model: renamed(first(model)._parameters, "bias", "shift")),
    "a buffer more": (nothing, lambda model: first(model).register_buffer("more", torch.ones(2))),
    "a parameter more": (
        nothing,
        lambda model: first(model).register_parameter("more", nn.Parameter(torch.ones(2))),
    ),
    "no parameter more": (nothing, lambda model: first(model).register_parameter("more", None)),
    "another parameter in the same memory": (
        nothing,
        lambda model: setattr(first(model), "weight", nn.Parameter(first(model).weight.data)),
    ),
    "another dtype in the same memory": (
        lambda model: first(model).weight.requires_grad_(False),
        lambda model: setattr(first(model).weight, "data", first(model).weight.data.view(torch.int32)),
    ),
    "an equal layer": (
        lambda model: model.add_module("more", nn.Identity()),
        lambda model: model.add_module("more", nn.Identity()),
    ),
    "a second hook of a parameter": (hooked, lambda model: first(model).weight.register_hook(hook)),
    "a hook behind": (nothing, lambda model: first(model).register_full_backward_hook(hook)),
    "a hook before behind": (nothing, lambda model: first(model).register_full_backward_pre_hook(hook)),
    "a second hook behind": (hooked, lambda model: first(model).register_full_backward_hook(hook)),
    "a second hook before behind": (hooked, lambda model: first(model).register_full_backward_pre_hook(hook)),
    "a hook for a hook": (
        hooked,
        lambda model: first(model)._backward_hooks.update(dict.fromkeys(first(model)._backward_hooks, print)),
    ),
    "the module": (
        nothing,
        lambda model: setattr(step_of(model), "module", copy.copy(step_of(model).module)),
    ),
    "a step of one's own": (nothing, lambda model: setattr(step_of(model), "own", nn.Identity())),
    "the optimizer": (
        nothing,
        lambda model: setattr(
            step_of(model).optimization, "built", torch.optim.SGD([first(model).weight], lr=0.1)
        ),
    ),
    "masks": (nothing, lambda model: setattr(step_of(model), "masked", (0,))),
    "an equal loss": (nothing, lambda model: setattr(head_of(model), "loss", copy.copy(head_of(model).loss))),
    "where an output is": (nothing, lambda model: setattr(head_of(model), "index", 1)),
    "whether a loss is kept": (
        nothing,
        lambda model: setattr(head_of(model), "keeps_running", not head_of(model).keeps_running),
    ),
}


@pytest.mark.parametrize("what", AFTERWARDS)
def test_what_changes_in_what_is_kept_is_seen_by_a_quick_look(what: str) -> None:
    model = trained()
    prepare, change = AFTERWARDS[what]
    prepare(model)
    seen = Fingerprint(model.trainer.step)
    glance = Glance(model.trainer.step, learns=True)
    assert seen.still_holds() and Fingerprint(model.trainer.step) == seen and glance.holds()
    change(model)
    assert not seen.still_holds()
    assert Fingerprint(model.trainer.step) != seen
    assert not glance.holds()


def test_logits_that_are_taken_otherwise_are_seen() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, tf.layers.Dense(3, activation="softmax")(inputs))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(np.ones((2, 4)), np.ones(2))
    head, seen = head_of(model), Fingerprint(model.trainer.step)
    assert head.logits is not None and seen.still_holds()
    head.logits = copy.copy(head.logits)
    assert not seen.still_holds() and Fingerprint(model.trainer.step) != seen


def test_what_was_seen_is_held_so_that_nothing_new_is_taken_for_it() -> None:
    model = trained()
    first(model).kept = Scales()
    there = weakref.ref(first(model).kept)
    seen = Fingerprint(model.trainer.step)
    del first(model).kept
    assert there() is not None
    assert seen != "a fingerprint"


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
