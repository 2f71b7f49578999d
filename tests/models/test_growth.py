"""What a model costs grows with its layers and not faster: calls and objects are counted, never timed."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import initializers, layers

FEW, MANY = 100, 400


def built(count: int) -> tf.Model:
    x = inputs = tf.Input((8,))
    for _ in range(count):
        x = layers.Dense(8)(x)
    return tf.Model(inputs, x)


def by_hand(count: int) -> nn.Module:
    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(count)))


def calls(run: Callable[[], Any]) -> int:
    """How many functions are called, those in C too."""
    found = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return found


def tracked(make: Callable[[], Any]) -> int:
    """How many things more the collector has to look at."""
    make()
    gc.collect()
    before = len(gc.get_objects())
    made = make()
    for _ in range(3):  # a tuple of tuples of numbers is let go a level at a time
        gc.collect()
    after = len(gc.get_objects())
    del made
    return after - before


def compiled(count: int) -> tf.Model:
    model = built(count)
    model.compile(optimizer="adam", loss="mse")
    return model


STEPS: dict[str, Callable[[int], Callable[[], Any]]] = {
    "build": lambda count: partial(built, count),
    "compile": lambda count: partial(built(count).compile, optimizer="adam", loss="mse"),
    "predict": lambda count: partial(compiled(count).predict, torch.ones(4, 8), verbose=0),
    "summary": lambda count: partial(built(count).summary, print_fn=lambda *_, **__: None),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_layer_costs_as_many_calls_among_many_as_among_few(step: str) -> None:
    STEPS[step](3)()  # what is learned once
    few, many = calls(STEPS[step](FEW)), calls(STEPS[step](MANY))
    assert many / MANY <= few / FEW


def test_a_dense_layer_is_built_called_and_drawn_in_few_calls() -> None:
    built(3)
    assert (calls(partial(built, MANY)) - calls(partial(built, FEW))) / (MANY - FEW) < 440


def test_a_dense_layer_in_a_graph_gives_the_collector_as_much_as_a_linear_one_alone() -> None:
    ours, theirs = tracked(partial(built, MANY)), tracked(partial(by_hand, MANY))
    assert ours < 1.05 * theirs


HOOKS = [name for name, value in vars(nn.Module()).items() if "hooks" in name and isinstance(value, dict)]


@pytest.mark.parametrize("name", HOOKS)
def test_a_dict_of_hooks_that_nobody_asked_for_is_the_layers_own_once_it_is_asked_for(name: str) -> None:
    layer, other = layers.Flatten(), layers.Flatten()
    getattr(layer, name)[7] = print
    assert getattr(layer, name) == {7: print} and type(getattr(layer, name)) is type(
        getattr(nn.Module(), name)
    )
    assert getattr(other, name) is getattr(other, name) == {}


def test_hooks_of_every_kind_are_run_by_a_layer() -> None:
    layer, seen = layers.Dense(2), list[str]()
    layer.build((None, 3))
    removable = [
        layer.register_forward_pre_hook(lambda *_: seen.append("before")),
        layer.register_forward_pre_hook(lambda *_: seen.append("before, by name"), with_kwargs=True),
        layer.register_forward_hook(lambda *_: seen.append("after")),
        layer.register_forward_hook(lambda *_: seen.append("after, by name"), with_kwargs=True),
        layer.register_forward_hook(lambda *_: seen.append("in any case"), always_call=True),
        layer.register_state_dict_pre_hook(lambda *_: seen.append("before a state")),
        layer.register_state_dict_post_hook(lambda *_: seen.append("after a state")),
        layer.register_load_state_dict_pre_hook(lambda *_: seen.append("before loading")),
        layer.register_load_state_dict_post_hook(lambda *_: seen.append("after loading")),
    ]
    layer(torch.ones(1, 3))
    layer.load_state_dict(layer.state_dict())
    copy.deepcopy(layer)(torch.ones(1, 3))
    expected = ["before", "before, by name", "after", "after, by name", "in any case"]
    states = ["before a state", "after a state", "before loading", "after loading"]
    assert seen == [*expected, *states, *expected]
    for each in removable:
        each.remove()
    layer(torch.ones(1, 3))
    layer.load_state_dict(layer.state_dict())
    assert seen == [*expected, *states, *expected]


def test_a_layer_gives_the_collector_as_much_among_many_as_among_few() -> None:
    few, many = (tracked(partial(built, count)) for count in (FEW, MANY))
    assert many / MANY <= few / FEW


def test_symbols_of_a_graph_are_made_once_and_when_somebody_asks() -> None:
    model = built(2)
    layer = model.layers[1]
    assert layer.output.key == layer.output.key
    assert layer.output is not None and layer.input.key == model.input.key
    assert tf.Model(model.input, layer.output)(torch.ones(1, 8)).shape == (1, 8)


class Failing(initializers.Initializer):
    """An initializer that fails."""

    def sample(self, shape: Any, generator: Any, options: Any) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        raise ValueError("no numbers")


@pytest.mark.parametrize("enabled", [True, False])
def test_an_initializer_draws_without_gradients_and_leaves_the_mode_as_it_was(enabled: bool) -> None:
    with torch.set_grad_enabled(enabled):
        with pytest.raises(ValueError, match="no numbers"):
            Failing()((2,))
        assert torch.is_grad_enabled() is enabled
        assert not initializers.get("ones")((2,)).requires_grad
        assert torch.is_grad_enabled() is enabled


def test_a_hook_of_yours_may_come_before_the_layer_is_built_and_stays_when_it_is() -> None:
    layer, seen = layers.Dense(2), list[bool]()
    layer.register_forward_pre_hook(lambda module, _: seen.append(module.built), prepend=True)
    layer.register_forward_pre_hook(lambda module, _: seen.append(module.built))
    layer(torch.ones(1, 3))
    layer(torch.ones(1, 3))
    assert seen == [False, True, True, True]
    assert len(layer._forward_pre_hooks) == 2
