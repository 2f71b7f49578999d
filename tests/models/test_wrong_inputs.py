"""A functional model called on what it does not take says so, in the words that `fit` has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import DataError

A, B = torch.zeros(2, 4), torch.ones(2, 3)


def single(*shape: int | None) -> Any:
    inputs = tf.Input(shape, name="x")
    return tf.Model(inputs, layers.Activation("relu")(inputs), name="m")


def pair(form: str) -> Any:
    inputs = {"a": tf.Input((4,), name="a"), "b": tf.Input((3,), name="b")}
    outputs = layers.Concatenate()(list(inputs.values()))
    return tf.Model(inputs if form == "dict" else list(inputs.values()), outputs, name="m")


NUMBER = r"'m': expected the inputs \['a', 'b'\], got {} of them. Fix: a list in this order, or a dict by these names"
WRONG: dict[str, tuple[Callable[[], Any], tuple[Any, ...], str]] = {
    "a size": (lambda: single(4), (B,), r"input 'x': expected shape \(None, 4\), got shape \(2, 3\)"),
    "a rank": (lambda: single(4), (A[None],), r"input 'x': expected shape \(None, 4\), got shape \(1, 2, 4\)"),
    "one sample": (lambda: single(4), (A[0],), r"got shape \(4,\). Fix: x\[None\] for a single sample"),
    "a rank of unknown sizes": (lambda: single(None, 4), (A,), r"expected shape \(None, None, 4\), got shape \(2, 4\)"),
    "a size after an unknown one": (lambda: single(None, 4), (B[None],), r"got shape \(1, 2, 3\)"),
    "several sizes": (lambda: single(5, 4), (A[None],), r"\(None, 5, 4\), got shape \(1, 2, 4\)"),
    "the second": (lambda: pair("list"), ([A, A],), r"input 'b': expected shape \(None, 3\), got shape \(2, 4\)"),
    "in a dict": (lambda: pair("dict"), ({"a": B, "b": B},), r"input 'a': expected shape \(None, 4\), got shape \(2, 3\)"),
    "two for one": (lambda: single(4), ([A, A],), r"'m': expected the inputs \['x'\], got 2 of them. Fix: give it alone"),
    "one too many": (lambda: single(4), (A, A), r"expected the inputs \['x'\], got 2 of them"),
    "one for two": (lambda: pair("list"), (A,), NUMBER.format(1)),
    "one in a list for two": (lambda: pair("list"), ([A],), NUMBER.format(1)),
    "three for two": (lambda: pair("list"), ([A, B, B],), NUMBER.format(3)),
    "three one by one": (lambda: pair("list"), (A, B, B), NUMBER.format(3)),
    "three for a dict": (lambda: pair("dict"), ([A, B, B],), NUMBER.format(3)),
    "a key too few": (lambda: pair("dict"), ({"a": A},), r"expected the inputs \['a', 'b'\], got \['a'\]: 'b' is missing"),
    "a key too many": (lambda: pair("dict"), ({"a": A, "b": B, "c": B},), r"'c' is no input"),
    "a list that goes wrong in a dict": (lambda: pair("dict"), ([B, A],), r"input 'a': expected shape \(None, 4\)"),
}  # fmt: skip


# the dynamo of PyTorch 2.11 fails at some of the errors that are raised in a frame that it goes on with
AT_RAISE = (torch._dynamo.exc.Unsupported, AssertionError)
COMPILED: dict[str, Any] = (
    dict.fromkeys(("three one by one", "a key too few"), AT_RAISE)
    if torch.__version__.startswith("2.11")
    else {}
)


def as_arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: as_arrays(each) for key, each in value.items()}
    return [as_arrays(each) for each in value]


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("what", WRONG)
def test_a_call_on_what_a_model_does_not_take_is_told(what: str, arrays: bool) -> None:
    make, inputs, words = WRONG[what]
    model = make()
    given = as_arrays(inputs) if arrays else inputs
    with pytest.raises(DataError, match=words):
        model(*given)
    if not arrays and "many" not in what:
        with pytest.raises(COMPILED.get(what, DataError), match=None if what in COMPILED else words):
            torch.compile(model, backend="eager")(*given)


@pytest.mark.parametrize("arrays", [False, True])
def test_what_fits_passes(arrays: bool) -> None:
    one, two = single(4), pair("dict")
    for inputs in ((A,), ([A],), ({"x": A},), (torch.nn.Parameter(A),), (A, None), (A, True)):
        given = [
            np.asarray(each.detach()) if arrays and isinstance(each, torch.Tensor) else each
            for each in inputs
        ]
        assert one(*given).shape == (2, 4)
    for inputs in (({"a": A, "b": B},), ({"b": B, "a": A},), ([A, B],), (A, B), (A, B, False)):
        assert two(*inputs).shape == (2, 7)
    assert single(None, 4)(torch.zeros(3, 7, 4)).shape == (3, 7, 4)
    assert single()(torch.zeros(3, 1)).shape == (3,)
    assert single(1)(torch.zeros(3)).shape == (3, 1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_look_at_shapes_says_nothing_while_a_model_is_traced() -> None:
    model = single(5, 4)
    traced = torch.jit.trace(model, torch.zeros(2, 5, 4))
    assert torch.equal(traced(-torch.ones(3, 5, 4)), torch.zeros(3, 5, 4))
    assert torch.func.vmap(model)(torch.ones(3, 2, 5, 4)).shape == (3, 2, 5, 4)
