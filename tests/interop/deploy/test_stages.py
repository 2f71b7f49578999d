"""Stages: a model is cut at layers into models that are together the whole, in one process and in two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.distributed.spawned import run
from tests.interop.deploy import pipelined
from tests.interop.deploy.pipelined import network, numbers
from torchfunc import interop, layers
from torchfunc.errors import TorchfuncError


def through(stages: list[tf.Model], *inputs: Any) -> Any:
    for stage in stages:
        returned = stage(*inputs)
        inputs = tuple(returned) if isinstance(returned, (list, tuple)) else (returned,)
    return returned


@pytest.mark.parametrize("at", [["first"], ["middle"], ["after"], ["first", "middle", "sum", "norm"], []])
def test_stages_one_after_the_other_are_the_model(at: list[str]) -> None:
    model, (x, _) = network(), numbers()
    stages = interop.split(model, at=at)
    assert len(stages) == len(at) + 1
    assert torch.equal(through(stages, x), model(x)) and torch.equal(through(stages, x[:3]), model(x[:3]))
    mine = {name: each for stage in stages for name, each in stage.named_parameters()}
    assert {name: id(each) for name, each in model.named_parameters()} == {k: id(v) for k, v in mine.items()}
    assert [stage.name for stage in stages] == [f"net_{number}" for number in range(len(stages))]


def test_only_what_later_stages_need_crosses() -> None:
    first, second, third = interop.split(network(), at=["middle", "sum"])
    assert first.output_names == ["numbers", "first", "middle"] and second.input_names == first.output_names
    assert third.input_names == ["sum"] and third.output_shape == (None, 3)
    assert [tuple(shape) for shape in first.output_shape] == [(None, 8), (None, 6), (None, 6)]


def test_a_stage_may_hand_on_inputs_outputs_and_parts_of_what_a_layer_returns() -> None:
    torch.manual_seed(0)
    a, b = tf.Input((4, 3), name="a"), tf.Input((5,), name="b")
    sequence, state = layers.GRU(5, return_sequences=True, return_state=True, name="gru")(a)
    early = layers.Dense(2, name="early")(state)
    late = layers.Dense(2, name="late")(layers.Concatenate(name="all")([state, b]))
    model = tf.Model([a, b], {"early": early, "late": late, "all": nn.Linear(5, 1)(sequence)})
    stages = interop.split(model, at=["gru", "early"])
    x, y = torch.randn(2, 4, 3), torch.randn(2, 5)
    ours, theirs = through(stages, x, y), model([x, y])
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_layers_without_weights_may_be_called_in_two_stages_and_those_with_weights_may_not() -> None:
    inputs, act = tf.Input((4,)), nn.ReLU()
    model = tf.Model(inputs, act(layers.Dense(4, name="b")(act(layers.Dense(4, name="a")(inputs)))))
    assert torch.equal(through(interop.split(model, at=["a"]), X4), model(X4))
    shared = layers.Dense(4, name="shared")
    twice = tf.Model(inputs, shared(layers.Dense(4, name="b")(shared(inputs))))
    with pytest.raises(TorchfuncError) as error:
        interop.split(twice, at=["b"])
    assert str(error.value) == (
        "split: got 'shared.weight', which stages 0 and 1 call. Each process would train a copy of its own. "
        "Fix: a cut before its first call or after its last one."
    )


X4 = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (["mid"], "Unknown layer 'mid'. Did you mean 'middle'?"),
        ("middle", "split: expected a list of names, got at='middle'. Fix: at=['middle']."),
        (
            ["head"],
            "split: got at=['head']. A stage would be empty: no call comes after 'head'. "
            "Fix: each layer once, and not the one that the model ends with.",
        ),
        (["sum", "sum"], "no call comes after 'sum'"),
    ],
)
def test_cuts_that_make_no_stage_are_told(at: Any, words: str) -> None:
    with pytest.raises(TorchfuncError) as error:
        interop.split(network(), at=at)
    assert words in str(error.value)


def test_two_processes_give_the_outputs_and_gradients_of_one(tmp_path: Any) -> None:
    ranks = run(pipelined.ALL, str(tmp_path))
    model, (x, y) = network(), numbers()
    expected = model(x)
    loss = nn.functional.mse_loss(expected, y)
    loss.backward()
    for check in pipelined.ALL:
        found = [rank[check.__name__][0] for rank in ranks]
        assert not [each for each in found if isinstance(each, str)]
        (_, first, _), (returned, second, losses) = found
        np.testing.assert_allclose(returned, expected.detach().numpy(), rtol=1e-6, atol=1e-6)
        assert np.mean(losses) == pytest.approx(loss.item(), rel=1e-6)
        assert first.keys() | second.keys() == dict(model.named_parameters()).keys()
        for name, each in model.named_parameters():
            assert each.grad is not None
            np.testing.assert_allclose({**first, **second}[name], each.grad.numpy(), rtol=1e-5, atol=1e-6)
