"""Attention of several heads equals Keras's, in every shape and under every mask; its parts are PyTorch's."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import torchfunc as tf
from tests.layers.check import close
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.tree import leaves

QUERY, VALUE, KEY = (3, 5, 6), (3, 4, 7), (3, 4, 8)
MASK = torch.arange(60).reshape(3, 5, 4) % 3 != 0
STEPS = torch.arange(12).reshape(3, 4) % 4 != 1
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "mask": {"attention_mask": MASK},
    "mask that hides all": {"attention_mask": torch.zeros_like(MASK)},
    "mask for each head": {"attention_mask": torch.stack([MASK] * 4, 1)},
    "causal mask": {"attention_mask": MASK, "use_causal_mask": True},
    "masked values": {"value_mask": STEPS},
    "masked keys": {"key_mask": STEPS, "value_mask": ~STEPS},
    "scores": {"return_attention_scores": True},
    "masked scores": {"return_attention_scores": True, "attention_mask": MASK, "use_causal_mask": True},
}
HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"use_bias": False},
    "gate": {"use_gate": True},
    "window": {"sliding_window": 2},
    "dropout": {"dropout": 0.5},
}
SIZES: dict[str, dict[str, Any]] = {
    "value_dim": {"value_dim": 5},
    "output_shape": {"output_shape": 9},
    "output_shape of two": {"output_shape": (3, 2)},
}


def check(kind: str, arguments: dict[str, Any], shapes: list[tuple[int, ...]], **call: Any) -> None:
    """Outputs, and gradients by the inputs and the weights, as Keras's; then copies, files and compilation."""
    torch.manual_seed(0)
    ours, theirs = getattr(layers, kind)(**arguments), getattr(keras.layers, kind)(**arguments)
    inputs = [torch.randn(shape) for shape in shapes]
    symbols = ours(*(layers.Input(shape[1:]) for shape in shapes), **_of_any_batch(call))
    theirs(*inputs, **call)
    ours.set_weights([np.random.randn(*each.shape) * 0.5 for each in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    for training in (False,) if arguments.get("dropout") else (False, True):
        mine, yours = (
            _with_gradients(each, inputs, {**call, "training": training}) for each in (ours, theirs)
        )
        for index, (a, b) in enumerate(zip(mine, yours, strict=True)):
            close(a, b, f"output or gradient by an input {index}")
    trained = copy.deepcopy(ours)
    for parameter, twin in zip(ours.parameters(), trained.parameters(), strict=True):
        twin.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    variables = [each for each in theirs.trainable_variables if "seed" not in each.path]
    for a, variable in zip(trained.get_weights(), variables, strict=True):
        close(a, variable.value.grad, f"gradient of {variable.path}")
    ours.eval()
    outputs = list(leaves(ours(*inputs, **call)))
    for symbol, output in zip(leaves(symbols), outputs, strict=True):
        assert symbol.spec.shape[1:] == tuple(output.shape[1:])
    made = type(ours).from_config(json.loads(json.dumps(ours.get_config())))
    made(*inputs)
    made.load_state_dict(ours.state_dict())
    compiled = torch.compile(ours, fullgraph=True, backend="eager")
    for twin in (made.eval(), copy.deepcopy(ours), compiled):
        for a, b in zip(leaves(twin(*inputs, **call)), outputs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    torch._dynamo.reset()


def _of_any_batch(call: dict[str, Any]) -> dict[str, Any]:
    return {
        key: layers.Input(value.shape[1:], dtype="bool") if isinstance(value, Tensor) else value
        for key, value in call.items()
    }


def _with_gradients(layer: Any, inputs: list[Tensor], call: dict[str, Any]) -> list[Tensor]:
    given = [each.clone().requires_grad_() for each in inputs]
    layer.zero_grad()
    outputs = list(leaves(layer(*given, **call)))
    torch.manual_seed(1)
    sum((each * torch.randn(each.shape)).sum() for each in outputs).backward()
    return [*(each.detach() for each in outputs), *(each.grad for each in given)]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("heads", HEADS)
def test_attention_of_several_heads_equals_its_keras_twin(heads: str, call: str) -> None:
    arguments = {"num_heads": 4, "key_dim": 3, **HEADS[heads]}
    check("MultiHeadAttention", arguments, [QUERY, VALUE, KEY], **CALLS[call])


@pytest.mark.parametrize("sizes", SIZES)
def test_sizes_of_values_and_results_are_those_asked_for(sizes: str) -> None:
    check("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, **SIZES[sizes]}, [QUERY, VALUE])


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("axes", [None, 1, (2,), (-2,), (1, 2)], ids=str)
def test_attention_goes_over_the_axes_asked_for(axes: Any, scores: bool) -> None:
    arguments = {"num_heads": 2, "key_dim": 3, "attention_axes": axes}
    check("MultiHeadAttention", arguments, [(2, 3, 4, 5)] * 2, return_attention_scores=scores)


@pytest.mark.parametrize("call", [name for name in CALLS if name != "mask for each head"])
@pytest.mark.parametrize("heads", HEADS)
def test_grouped_heads_equal_their_keras_twin(heads: str, call: str) -> None:
    arguments = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, **HEADS[heads]}
    check("GroupQueryAttention", arguments, [QUERY, VALUE, KEY], **CALLS[call])


def test_one_head_without_bias_is_the_kernel_between_four_linear_maps() -> None:
    layer = layers.MultiHeadAttention(1, 4, use_bias=False)
    x = torch.randn(2, 5, 6)
    y = layer(x, x, use_causal_mask=True)
    q, k, v, out = (
        each.weight for each in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    )
    heads = [x @ each.reshape(4, 6).T for each in (q, k, v)]
    expected = F.scaled_dot_product_attention(*heads, is_causal=True) @ out.reshape(6, 4).T
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, True)], ids=str)
def test_masks_of_query_and_value_act_as_in_keras(kind: str, scores: bool, causal: bool, masked: Any) -> None:
    inputs = [torch.randn(3, 4, 6), torch.randn(3, 4, 6)]
    mask = [each if flag else None for each, flag in zip((STEPS, STEPS.flip(0)), masked, strict=True)]
    call: dict[str, Any] = {"mask": mask, "return_attention_scores": scores, "use_causal_mask": causal}
    ours, theirs = getattr(layers, kind)(), getattr(keras.layers, kind)()
    ours(inputs), theirs(inputs)
    theirs.set_weights(ours.get_weights())
    for a, b in zip(leaves(ours(inputs, **call)), leaves(theirs(inputs, **call)), strict=True):
        close(a.detach(), b.detach(), "output")


def test_masks_of_an_embedding_reach_attention_and_go_on_as_in_keras(tmp_path: Path) -> None:
    def build(K: Any) -> Any:
        ids = K.Input((5,), dtype="int64")
        x = K.layers.Embedding(9, 4, mask_zero=True)(ids)
        x = K.layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
        x = K.layers.Attention()([x, x])
        x = K.layers.GroupQueryAttention(3, 2, 1)(x, x)
        return K.Model(ids, K.layers.GlobalAveragePooling1D()(x))

    ours, theirs = build(tf), build(keras)
    ours.set_weights([np.random.randn(*each.shape) * 0.5 for each in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    ids = torch.tensor([[4, 2, 7, 1, 3], [5, 6, 1, 0, 0], [8, 0, 3, 0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns that layers of its own end masks
        expected = theirs(ids).detach()
    close(ours(ids).detach(), expected, "output")
    ours.save(tmp_path / "model.safetensors")
    torch.testing.assert_close(tf.load_model(tmp_path / "model.safetensors")(ids), ours(ids), rtol=0, atol=0)


def test_a_seed_drops_the_same_scores_and_only_in_training() -> None:
    x = torch.randn(2, 5, 6)
    first = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1)
    first(x, x)
    second = copy.deepcopy(first)
    plain = first(x, x, training=False)
    dropped = first(x, x, training=True)
    torch.testing.assert_close(dropped, second(x, x, training=True), rtol=0, atol=0)
    assert not torch.equal(plain, dropped)
    torch.testing.assert_close(plain, first(x, x, training=False), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_attention_has_the_dtype_that_it_is_given(dtype: str) -> None:
    x = torch.randn(2, 5, 6)
    layer = layers.MultiHeadAttention(2, 3, dtype=dtype)
    assert layer(x, x).dtype == layer.query_dense.weight.dtype == getattr(torch, dtype)


def test_an_empty_batch_comes_out_empty() -> None:
    layer = layers.MultiHeadAttention(2, 3)
    layer(torch.randn(2, 5, 6), torch.randn(2, 5, 6))
    x = torch.randn(0, 5, 6)
    assert layer(x, x, return_attention_scores=True)[1].shape == (0, 2, 5, 5)
    assert layer(x, x).shape == (0, 5, 6)


def test_the_projections_add_the_activity_regularizer_as_in_keras() -> None:
    x = torch.randn(2, 5, 6)
    ours, theirs = (
        each.MultiHeadAttention(2, 3, activity_regularizer="l2") for each in (layers, keras.layers)
    )
    ours(x, x), theirs(x, x)
    theirs.set_weights(ours.get_weights())
    ours(x, x), theirs(x, x)
    assert len(ours.losses) == len(theirs.losses) == 4
    close(torch.stack(ours.losses).sum().detach(), sum(theirs.losses).detach(), "losses")  # type: ignore[attr-defined]
    assert ours.get_config()["activity_regularizer"]["class_name"] == "L2"


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no heads": (lambda: layers.MultiHeadAttention(0, 3), GraphError, "num_heads=0"),
    "flash and dropout": (
        lambda: layers.MultiHeadAttention(2, 3, dropout=0.5, flash_attention=True),
        GraphError,
        "flash_attention=None",
    ),
    "groups": (lambda: layers.GroupQueryAttention(3, 4, 3), GraphError, "num_key_value_heads=3"),
    "two dimensions": (
        lambda: layers.MultiHeadAttention(2, 3)(*[layers.Input((4,))] * 2),
        ShapeError,
        "at least 3 dimensions",
    ),
    "a query alone": (
        lambda: layers.MultiHeadAttention(2, 3).build((2, 5, 4), None),
        GraphError,
        "layer\\(x, x\\)",
    ),
    "a key of other steps": (
        lambda: layers.MultiHeadAttention(2, 3)(
            layers.Input((5, 4)), layers.Input((4, 4)), layers.Input((3, 4))
        ),
        ShapeError,
        "as many steps as the value",
    ),
    "one tensor": (lambda: layers.Attention()(layers.Input((5, 4))), ShapeError, r"\[query, value\]"),
    "no equation": (lambda: layers.EinsumDense("ab,bc", 3), GraphError, "'ab,bc->ac'"),
    "a letter from nowhere": (
        lambda: layers.EinsumDense("ab,bc->acd", (3, 4)),
        GraphError,
        "The letter 'd' of the outputs",
    ),
    "another rank": (
        lambda: layers.EinsumDense("ab,bc->ac", 3)(layers.Input((4, 2))),
        ShapeError,
        "2 dimensions, as in 'ab,bc->ac'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_told_with_the_way_out(name: str) -> None:
    make, kind, words = WRONG[name]
    with pytest.raises(kind, match=words):
        make()


def test_einsum_dense_draws_its_weights_with_the_variance_of_keras() -> None:
    torch.manual_seed(0)
    layer = layers.EinsumDense("abc,cde->abde", (None, 8, 50))
    layer(torch.zeros(1, 2, 600))
    # uniform within sqrt(6 / (600 + 8 * 50))
    assert layer.weight.abs().max().item() == pytest.approx((6 / 1000) ** 0.5, rel=1e-3)
