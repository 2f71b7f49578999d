"""Activation layers: the words of their errors, and masks."""

from __future__ import annotations

import pytest
import torch

from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import ELU, Input, LeakyReLU, PReLU, ReLU, Softmax


def test_slopes_and_limits_are_not_negative() -> None:
    with pytest.raises(GraphError, match="ReLU: expected a number of 0 or more, got max_value=-1"):
        ReLU(max_value=-1)
    with pytest.raises(
        GraphError, match="LeakyReLU: expected a number of 0 or more, got negative_slope=None"
    ):
        LeakyReLU(None)  # type: ignore[arg-type]


def test_a_softmax_gives_nothing_to_what_is_masked_not_even_where_all_is() -> None:
    mask = torch.tensor([[True, True, False], [False, False, False]])
    out = Softmax()(torch.zeros(2, 3), mask=mask)
    torch.testing.assert_close(out, torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]))


def test_a_softmax_wants_an_axis_that_is_there() -> None:
    with pytest.raises(ShapeError, match="expected an axis from -2 to 1, got axis=2"):
        Softmax(axis=2)(Input((3,)))


def test_a_shared_prelu_wants_the_samples_it_was_built_for() -> None:
    layer = PReLU()
    layer(Input((4,)))
    with pytest.raises(
        ShapeError, match=r"expected samples of shape \(4,\), 1 where any length fits, got shape \(None, 5\)"
    ):
        layer(Input((5,)))


def test_a_prelu_with_shared_axes_takes_any_length_there() -> None:
    layer = PReLU(shared_axes=[1])
    assert layer(Input((None, 4))).shape == (None, None, 4)
    assert layer.weight.shape == (1, 4)


def test_the_defaults_are_keras_and_not_torch() -> None:
    x = torch.tensor([-1.0])
    assert LeakyReLU()(x).item() == pytest.approx(-0.3)
    assert ELU()(x).item() == pytest.approx(-0.6321, abs=1e-4)
