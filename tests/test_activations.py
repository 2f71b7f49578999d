"""Activations against Keras: values, gradients, names."""

from __future__ import annotations

from functools import partial

import keras
import pytest
import torch
from torch import nn

from torchfunc import activations
from torchfunc.errors import SavingError, UnknownNameError
from torchfunc.registry import custom_object_scope

CASES = [
    ("celu", {}),
    ("celu", {"alpha": 0.3}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("exponential", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("glu", {}),
    ("glu", {"axis": 0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 0.2}),
    ("hard_sigmoid", {}),
    ("hard_silu", {}),
    ("hard_tanh", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.4}),
    ("linear", {}),
    ("log_sigmoid", {}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("mish", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.2}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"max_value": 6}),
    ("relu", {"threshold": 0.7}),
    ("relu", {"negative_slope": 0.3, "max_value": 1.0, "threshold": 0.4}),
    ("relu6", {}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 0.2}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 1.0}),
    ("tanh", {}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
]


def value_and_gradient(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    weights = torch.linspace(-1.0, 1.0, y.numel()).view_as(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    return y.detach(), gradient


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_an_activation_equals_its_keras_twin_in_value_and_gradient(name, arguments):
    x = torch.randn(6, 8) * 3
    ours = value_and_gradient(partial(getattr(activations, name), **arguments), x)
    theirs = value_and_gradient(partial(getattr(keras.activations, name), **arguments), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparsemax_is_the_nearest_point_of_the_simplex(axis):
    # Keras 3.15.1 is no oracle here: its results do not sum to one.
    x = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    y = activations.sparsemax(x, axis=axis)
    torch.testing.assert_close(y.sum(axis), torch.ones_like(y.sum(axis)))
    assert (y.detach() == 0).any()
    assert (y.detach() >= 0).all()
    # Of the nearest point: what is taken off is equal where something stays, and no more is there elsewhere.
    level = torch.where(y > 0, x - y, -torch.inf).amax(axis, keepdim=True)
    torch.testing.assert_close(torch.where(y > 0, x - y, level), level.expand_as(x))
    assert bool((x <= level + 1e-12)[y == 0].all())
    assert torch.autograd.gradcheck(lambda x: activations.sparsemax(x, axis=axis), x)


def test_every_activation_of_keras_is_there_by_its_name():
    theirs = [name for name in dir(keras.activations) if name not in ("get", "serialize", "deserialize")]
    names = [name for name in theirs if not name.startswith("_")]
    assert len(names) >= 30
    for name in names:
        assert activations.get(name) is getattr(activations, name)


def test_softmax_over_all_axes_sums_to_one():
    x = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(activations.softmax(x, axis=None), x.flatten().softmax(0).view(3, 4))


@pytest.mark.parametrize(
    "name", ["relu", "relu6", "leaky_relu", "tanh", "hard_tanh", "sigmoid", "exponential"]
)
def test_the_in_place_twin_gives_the_same_value_and_gradient_and_overwrites_its_argument(name):
    function = activations.get(name)
    twin = activations.in_place(function)
    assert twin is not function
    x = torch.randn(50) * 3

    def on_fresh(x):
        fresh = x * 1.0
        result = twin(fresh)
        assert result.data_ptr() == fresh.data_ptr()
        return result

    torch.testing.assert_close(
        value_and_gradient(on_fresh, x), value_and_gradient(function, x), rtol=0, atol=0
    )


def test_without_an_in_place_twin_the_function_itself_is_returned():
    assert activations.in_place(activations.gelu) is activations.gelu
    assert activations.in_place(activations.linear) is activations.linear


def test_get_takes_names_none_functions_modules_and_configs():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(torch.tanh) is torch.tanh
    assert isinstance(activations.get(nn.ReLU), nn.ReLU)
    module = nn.PReLU()
    assert activations.get(module) is module
    assert activations.get({"class_name": "function", "config": "relu"}) is activations.relu


def test_serialize_gives_the_name_and_get_gives_the_function_back():
    assert activations.serialize(activations.silu) == "silu"
    assert activations.deserialize(activations.serialize(activations.mish)) is activations.mish


def test_a_function_of_ones_own_goes_by_the_name_in_custom_objects():
    def cube(x):
        return x**3

    with custom_object_scope({"my_cube": cube}):
        assert activations.serialize(cube) == "my_cube"
        assert activations.get("my_cube") is cube


def test_a_lambda_cannot_be_named_in_a_file():
    with pytest.raises(SavingError, match="write it as a named function"):
        activations.serialize(lambda x: x)


def test_an_unknown_activation_is_told_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"Unknown activation 'rleu'\. Did you mean 'relu'\?"):
        activations.get("rleu")
