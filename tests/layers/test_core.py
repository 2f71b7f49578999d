"""Dense, Embedding, Masking and Lambda: what the table does not show, and the words of their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from torchfunc import layers, registry
from torchfunc.errors import DTypeError, GraphError, SavingError, ShapeError
from torchfunc.layers import Dense, Embedding, Input, Lambda, Masking


@pytest.mark.parametrize(("units", "meant"), [(-3, 3), (0, 1), (3.6, 4), ("3", 3), (True, 1), (None, 1)])
def test_units_that_are_no_positive_integer_are_refused(units: object, meant: int) -> None:
    with pytest.raises(GraphError) as caught:
        Dense(units)  # type: ignore[arg-type]
    text = f"Dense: expected a positive integer, got units={units!r}. Fix: units={meant}."
    assert str(caught.value) == text


def test_numpy_integers_are_integers() -> None:
    assert Dense(np.int64(3)).units == 3


def test_a_mistyped_argument_brings_the_right_one_to_mind() -> None:
    with pytest.raises(GraphError, match=r"Dense has no argument 'activaton'. Did you mean 'activation'\?"):
        Dense(3, activaton="relu")


def test_an_unknown_activation_brings_the_nearest_to_mind() -> None:
    with pytest.raises(ValueError, match=r"Unknown activation 'rellu'. Did you mean 'relu'\?"):
        Dense(3, activation="rellu")


def test_a_dense_wants_at_least_two_dimensions() -> None:
    with pytest.raises(ShapeError) as caught:
        Dense(3, name="head")(Input((), name="age"))
    assert "Dense 'head'" in str(caught.value)
    assert "on 'age': expected at least 2 dimensions (batch, ..., features), got shape (None,)." in str(
        caught.value
    )


def test_a_dense_wants_to_know_its_features() -> None:
    with pytest.raises(ShapeError) as caught:
        Dense(3, name="head")(Input((None,), name="x"))
    message = str(caught.value)
    assert "expected a known number of features, got shape (None, None)." in message
    assert message.endswith("Fix: give Input that dimension.")


def test_a_shared_dense_names_both_widths() -> None:
    shared = Dense(3, name="shared")
    shared(Input((4,), name="a"))
    with pytest.raises(ShapeError) as caught:
        shared(Input((5,), name="b"))
    message = str(caught.value)
    assert "Dense 'shared'" in message and "on 'b': expected 4 features, got shape (None, 5)." in message
    assert "The layer is built for 4 features, and this input has 5." in message
    assert "Fix: make a second layer, or project the input to 4 features." in message


def test_a_list_is_no_tensor() -> None:
    with pytest.raises(
        ShapeError, match=r"expected one tensor, got a list of 2 tensors. Fix: Concatenate\(\)"
    ):
        Dense(3)([Input((4,)), Input((4,))])


def test_a_dense_refuses_complex_numbers_with_the_way_out() -> None:
    expected = (
        r"Dense 'head'.*: expected a floating dtype, got torch.complex64. "
        r"Fix: x.to\(torch.float64\), or Input\(dtype='float64'\)."
    )
    dense = Dense(3, name="head", dtype="float64")
    with pytest.raises(DTypeError, match=expected):
        dense(Input((4,), dtype="complex64"))
    with pytest.raises(DTypeError, match=expected):
        dense(torch.zeros(2, 4, dtype=torch.complex64))


def test_a_dense_is_a_linear_to_state_dicts() -> None:
    dense, linear = Dense(3), nn.Linear(4, 3)
    dense(Input((4,)))
    dense.load_state_dict(linear.state_dict())
    x = torch.randn(2, 4)
    torch.testing.assert_close(dense(x), linear(x), rtol=0, atol=0)
    assert list(dense.state_dict()) == ["weight", "bias"]


def test_parametrizations_and_hooks_are_honoured() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight * 2

    dense, x = Dense(3), torch.randn(2, 4)
    plain = dense(x)
    parametrize.register_parametrization(dense, "weight", Doubled())
    torch.testing.assert_close(dense(x), plain * 2)
    dense.register_forward_hook(lambda module, args, output: output + 1)
    torch.testing.assert_close(dense(x), plain * 2 + 1)


def test_another_activation_takes_effect_after_the_layer_is_made() -> None:
    dense, x = Dense(3), torch.randn(2, 4)
    plain = dense(x)
    dense.activation = torch.tanh
    torch.testing.assert_close(dense(x), torch.tanh(plain))
    dense.activation = nn.Softmax(-1)
    torch.testing.assert_close(dense(x), torch.softmax(plain, -1))


def test_a_module_may_be_an_activation() -> None:
    dense, x = Dense(3, activation=nn.PReLU()), torch.randn(2, 4)
    torch.testing.assert_close(dense(x), F.prelu(F.linear(x, dense.weight, dense.bias), torch.tensor([0.25])))
    assert "activation.weight" in dense.state_dict()


def test_an_embedding_takes_a_table_and_keeps_it_out_of_its_config() -> None:
    table = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    layer = Embedding(3, 2, weights=[table])
    np.testing.assert_array_equal(layer(torch.tensor([2, 0])).detach().numpy(), table[[2, 0]])
    assert "weights" not in layer.get_config()


def test_an_embedding_cuts_floats_to_whole_numbers() -> None:
    layer = Embedding(5, 2)
    torch.testing.assert_close(layer(torch.tensor([[1.0, 3.9]])), layer(torch.tensor([[1, 3]])))
    assert layer(Input((2,))).dtype == torch.float32


def test_the_mask_of_an_embedding_marks_what_is_not_zero() -> None:
    x = Input((3,), dtype="int64")
    y = Embedding(5, 2, mask_zero=True)(x)
    assert y.mask.shape == (None, 3) and y.mask.dtype == torch.bool
    assert Dense(2)(y).mask is y.mask
    assert layers.Flatten()(y).mask is None
    assert Embedding(5, 2)(x).mask is None


def test_masking_sets_to_zero_what_it_masks_even_where_that_is_not_a_number() -> None:
    x = torch.tensor([[[-1.0, -1.0], [2.0, -1.0]]])
    torch.testing.assert_close(Masking(-1.0)(x), torch.tensor([[[0.0, 0.0], [2.0, -1.0]]]))
    infinite = torch.full((1, 1, 2), torch.inf)
    assert (Masking(torch.inf)(infinite) == 0).all()
    assert Masking()(Input((4, 2))).mask.shape == (None, 4)


def test_a_lambda_calls_its_function_with_its_arguments() -> None:
    layer = Lambda(lambda x, times: x * times, arguments={"times": 3})
    torch.testing.assert_close(layer(torch.ones(2)), torch.full((2,), 3.0))
    assert layer(Input((4,))).shape == (None, 4)


def test_a_lambda_is_told_mask_and_mode_where_it_asks() -> None:
    layer = Lambda(lambda x, training: x * 2 if training else x)
    assert layer(torch.ones(1)).item() == 2 and layer.eval()(torch.ones(1)).item() == 1
    assert layer(torch.ones(1), training=True).item() == 2
    masked = Lambda(lambda x, mask: x.masked_fill(~mask, 0))
    assert masked(torch.ones(2), mask=torch.tensor([True, False])).tolist() == [1, 0]


def test_a_lambda_may_state_its_shape() -> None:
    assert Lambda(lambda x: x.reshape(-1, 2, 2), output_shape=(2, 2))(Input((4,))).shape == (None, 2, 2)


def test_a_config_holds_no_unnamed_function() -> None:
    with pytest.raises(SavingError, match="A file holds data and never code"):
        Lambda(lambda x: x).get_config()


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_a_config_holds_a_function_by_the_name_that_the_user_gave_it() -> None:
    with registry.custom_object_scope({"double": double}):
        config = Lambda(double).get_config()
        assert config["function"] == "double"
        assert Lambda.from_config(config)(torch.ones(1)).item() == 2


def test_a_lambda_wants_a_function() -> None:
    with pytest.raises(GraphError, match="Lambda: expected a function, got function=3"):
        Lambda(3)  # type: ignore[arg-type]
