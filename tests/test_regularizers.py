"""Regularizers against Keras."""

from __future__ import annotations

import keras
import pytest
import torch

from torchfunc import regularizers
from torchfunc.errors import ConfigError, ShapeError, TorchfuncError, UnknownNameError

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.2, "l2": 0.3}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.2, "mode": "columns"}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_regularizer_equals_its_keras_twin_in_value_and_gradient(name, arguments):
    weight = torch.randn(4, 6, requires_grad=True)
    ours = getattr(regularizers, name)(**arguments)(weight)
    theirs = getattr(keras.regularizers, name)(**arguments)(weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    if theirs.requires_grad:
        (one,), (other,) = (torch.autograd.grad(penalty, weight) for penalty in (ours, theirs))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_config_equals_that_of_keras_and_makes_the_same_regularizer(name, arguments):
    made = getattr(regularizers, name)(**arguments)
    theirs = getattr(keras.regularizers, name)(**arguments)
    assert made.get_config() == pytest.approx(theirs.get_config())
    assert regularizers.get(regularizers.serialize(made)).get_config() == made.get_config()
    assert regularizers.get(keras.regularizers.serialize(theirs)).get_config() == pytest.approx(
        made.get_config()
    )


def test_names_functions_and_none_are_taken():
    assert isinstance(regularizers.get("l2"), regularizers.L2)
    assert isinstance(regularizers.get("l1_l2"), regularizers.L1L2)
    assert isinstance(regularizers.get(regularizers.L1), regularizers.L1)
    assert regularizers.get(torch.sum) is torch.sum
    assert regularizers.get(None) is None


def test_wrong_arguments_are_named():
    with pytest.raises(UnknownNameError, match=r"Unknown regularizer 'l1l3'\. Did you mean 'l1l2'\?"):
        regularizers.get("l1l3")
    with pytest.raises(TorchfuncError, match=r"l1: expected a number of at least 0, got -0\.1"):
        regularizers.L1(-0.1)
    with pytest.raises(TorchfuncError, match="expected 'rows' or 'columns', got mode='row'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ShapeError, match=r"expected 2 dimensions, got shape \(2, 3, 4\)"):
        regularizers.OrthogonalRegularizer()(torch.zeros(2, 3, 4))
    with pytest.raises(ConfigError, match=r"regularizer 'L2': expected arguments among \['l2'\], got 'l3'"):
        regularizers.get({"class_name": "L2", "config": {"l3": 1}})
    with pytest.raises(ConfigError, match="expected a name or a dict with 'class_name'"):
        regularizers.get({"config": {}})
    with pytest.raises(TorchfuncError, match="got 3 of type int"):
        regularizers.get(3)
