"""Constraints against Keras."""

from __future__ import annotations

import keras
import pytest
import torch

from torchfunc import constraints
from torchfunc.errors import UnknownNameError

CASES = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": [0, 1]}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "rate": 0.3, "axis": 1}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_constraint_equals_its_keras_twin(name, arguments):
    weight = torch.randn(4, 6) * 2
    theirs = getattr(keras.constraints, name)(**arguments)
    torch.testing.assert_close(getattr(constraints, name)(**arguments)(weight), theirs(weight))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_config_equals_that_of_keras_and_makes_the_same_constraint(name, arguments):
    made = getattr(constraints, name)(**arguments)
    theirs = getattr(keras.constraints, name)(**arguments)
    assert made.get_config() == theirs.get_config()
    assert constraints.get(constraints.serialize(made)).get_config() == made.get_config()
    assert constraints.get(keras.constraints.serialize(theirs)).get_config() == made.get_config()


def test_names_functions_and_none_are_taken():
    assert isinstance(constraints.get("max_norm"), constraints.MaxNorm)
    assert isinstance(constraints.get("non_neg"), constraints.NonNeg)
    assert constraints.get(torch.abs) is torch.abs
    assert constraints.get(None) is None
    with pytest.raises(UnknownNameError, match=r"Unknown constraint 'maxnorm'\. Did you mean 'max_norm'\?"):
        constraints.get("maxnorm")
