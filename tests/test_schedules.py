"""Learning rate schedules against Keras."""

from __future__ import annotations

import keras
import pytest
import torch

from torchfunc import schedules
from torchfunc.errors import TorchfuncError, UnknownNameError

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9, "staircase": True},
    ),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ),
    ("PiecewiseConstantDecay", {"boundaries": [5, 11], "values": [0.1, 0.05, 0.01]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 9}),
    (
        "CosineDecay",
        {
            "initial_learning_rate": 0.0,
            "decay_steps": 9,
            "alpha": 0.1,
            "warmup_target": 0.1,
            "warmup_steps": 4,
        },
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 6.5}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 6.5, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1},
    ),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_schedule_equals_its_keras_twin_at_every_step(name, arguments):
    ours = getattr(schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    for step in range(40):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-7)
        assert isinstance(ours(step), float)
        assert ours(torch.tensor(step)) == ours(step)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_config_equals_that_of_keras_and_makes_the_same_schedule(name, arguments):
    made = getattr(schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    assert made.get_config() == theirs.get_config()
    assert schedules.get(schedules.serialize(made)).get_config() == made.get_config()
    assert schedules.get(keras.optimizers.schedules.serialize(theirs)).get_config() == made.get_config()


def test_wrong_arguments_are_named():
    with pytest.raises(TorchfuncError, match="CosineDecay: expected decay_steps above 0, got decay_steps=0"):
        schedules.CosineDecay(0.1, 0)
    with pytest.raises(TorchfuncError, match="got 2 boundaries and 2 values"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(
        UnknownNameError, match=r"Unknown learning rate schedule 'CosinDecay'\. Did you mean 'CosineDecay'"
    ):
        schedules.get({"class_name": "CosinDecay", "config": {}})
    assert schedules.get(None) is None
