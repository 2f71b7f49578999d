"""Merging: lower-case functions, masks, and the words of errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import Add, Concatenate, Dense, Dot, Embedding, Input, Subtract


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]
)
def test_a_lower_case_function_is_its_layer(name: str) -> None:
    tensors = [torch.randn(2, 3), torch.randn(2, 3)]
    layer = getattr(layers, name.capitalize())()
    torch.testing.assert_close(getattr(layers, name)(tensors), layer(tensors))
    assert getattr(layers, name)([Input((3,)), Input((3,))], name="m").name == "m"


def test_dot_is_its_layer() -> None:
    tensors = [torch.randn(2, 3), torch.randn(2, 3)]
    torch.testing.assert_close(layers.dot(tensors, axes=1), Dot(axes=1)(tensors))


def test_a_sum_of_unequal_widths_names_inputs_and_widths() -> None:
    with pytest.raises(ShapeError) as caught:
        Add(name="sum")([Input((4,), name="a"), Input((5,), name="b")])
    message = str(caught.value)
    assert "Add 'sum'" in message and " on 'a', 'b': " in message
    assert "got shape (None, 4), (None, 5)." in message
    assert "On dimension 1 the inputs have 4 and 5." in message


def test_unequal_batches_are_refused_even_where_one_is_a_single_sample() -> None:
    with pytest.raises(ShapeError, match="On dimension 0 the inputs have 1 and 2"):
        Add()([Input(batch_shape=(1, 4)), Input(batch_shape=(2, 4))])


def test_joined_tensors_differ_along_one_axis_only() -> None:
    with pytest.raises(ShapeError) as caught:
        Concatenate(axis=1, name="cat")([Input((4, 5), name="a"), Input((4, 6), name="b")])
    message = str(caught.value)
    assert "expected equal shapes but for axis 1, got shape (None, 4, 5), (None, 4, 6)." in message
    assert "The inputs differ on dimension 2: 5 and 6. Fix: Concatenate(axis=2)" in message


def test_joined_tensors_have_equal_ranks() -> None:
    with pytest.raises(ShapeError, match="expected tensors of equal numbers of dimensions that have axis -1"):
        Concatenate()([Input((4, 5)), Input((4,))])


@pytest.mark.parametrize("layer", [Add(), Concatenate(), Dot(1)])
def test_one_tensor_is_no_list(layer: Any) -> None:
    with pytest.raises(ShapeError, match="expected a list of"):
        layer(Input((4,)))


def test_a_difference_has_two_terms() -> None:
    with pytest.raises(ShapeError, match="expected a list of 2 tensors"):
        Subtract()([Input((4,))] * 3)


def test_a_dot_wants_equal_lengths_and_leaves_the_batch_alone() -> None:
    with pytest.raises(ShapeError, match=r"expected equal lengths along axes=1.*They are 3 and 4"):
        Dot(1)([Input((3,)), Input((4,))])
    with pytest.raises(GraphError, match=r"expected an integer or two of them, none of them 0 \(the batch\)"):
        Dot(0)
    with pytest.raises(GraphError, match=r"got axes=\(1, 2, 3\)"):
        Dot((1, 2, 3))


def masked(dim: int = 3) -> Any:
    return Embedding(9, dim, mask_zero=True)(Input((4,), dtype="int64"))


def test_a_step_counts_where_any_summand_counts_it() -> None:
    first, second = masked(), masked()
    mask = Add()([first, second]).mask
    assert mask.shape == (None, 4) and mask.dtype == torch.bool
    assert mask.node.name == "logical_or"
    assert Add()([first, Dense(3)(Input((4, 3)))]).mask is None


def test_joined_features_keep_the_steps_that_any_counts() -> None:
    assert Concatenate()([masked(2), masked(5)]).mask.shape == (None, 4)
    assert Concatenate()([masked(2), Dense(3)(Input((4, 3)))]).mask.shape == (None, 4)
    assert Concatenate(axis=1)([masked(2), masked(2)]).mask.shape == (None, 8)
    assert Concatenate()([Input((3,)), Input((3,))]).mask is None


@pytest.mark.parametrize("layer", [layers.Add(), layers.Average(), layers.Concatenate(), layers.Dot(1)])
def test_the_rows_of_one_tensor_are_not_taken_for_a_list(layer: Any) -> None:
    kind = type(layer).__name__
    with pytest.raises(ShapeError, match=rf"{kind} '.*expected a list of tensors, got shape \(2, 4\)"):
        layer(torch.ones(2, 4))
    with pytest.raises(ShapeError, match=rf"expected a list of tensors, got shape \(\)\. Fix: {kind}"):
        layer([])


def test_a_sum_of_equal_shapes_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    merge = Add.merge
    monkeypatch.setattr(Add, "merge", lambda self, inputs: (tried.append(inputs), merge(self, inputs))[1])
    x = Input((5, 3))
    assert Add()([x, x]).shape == (None, 5, 3) and Add(dtype="float64")([x, x]).dtype == torch.float64
    assert not tried
    assert Add()([x, Input((1, 3))]).shape == (None, 5, 3) and tried


class _First(Add):
    def merge(self, inputs: Any) -> Any:
        return super().merge(inputs)[..., :1]


class _FirstUnit(Dense):
    def forward(self, inputs: Any) -> Any:
        return super().forward(inputs)[..., :1]


@pytest.mark.parametrize("made", [lambda x: _First()([x, x]), lambda x: _FirstUnit(4)(x)])
def test_a_class_of_yours_may_make_another_shape_than_the_layer_that_it_comes_from(made: Any) -> None:
    assert made(Input((3,))).shape == (None, 1)
