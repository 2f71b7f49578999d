"""Surgery: layers are replaced, put in, taken out, cut off and frozen; the rest keeps its names and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import interop, layers
from torchfunc.errors import TorchfuncError


def network() -> tf.Model:
    torch.manual_seed(0)
    inputs = tf.Input((8,), name="numbers")
    x = layers.Dense(6, activation="relu", name="first")(inputs)
    y = nn.Linear(6, 6)(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Dropout(0.5, name="drop")(nn.Linear(6, 6)(x))
    return tf.Model(inputs, layers.Dense(3, name="head")(x), name="net")


X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


def same_weights(model: tf.Model, other: tf.Model, without: str = "") -> bool:
    theirs = dict(other.named_parameters())
    return all(
        each is theirs[name]
        for name, each in model.named_parameters()
        if not (without and name.startswith(without))
    )


def test_a_layer_is_replaced_under_its_name() -> None:
    model = network()
    wider = interop.replace(model, "head", nn.Linear(6, 10))
    assert wider.output_shape == (None, 10) and isinstance(wider.head, nn.Linear)
    assert [layer.name for layer in wider.layers][:-1] == [layer.name for layer in model.layers][:-1]
    assert same_weights(wider, model, without="head") and model.output_shape == (None, 3)
    assert wider.given_name == "net"
    gone = interop.replace(model, "head", lambda x: x.softmax(-1))
    assert torch.allclose(gone.eval()(X).sum(1), torch.ones(4))


def test_names_of_native_modules_stay_when_one_before_them_goes() -> None:
    model = network()
    assert {"linear", "linear_1"} <= set(model._modules)
    without = interop.remove(model, "linear")
    assert "linear" not in without._modules and without.linear_1 is model.linear_1
    again = interop.replace(model, "linear", nn.Identity())
    assert torch.equal(without.eval()(X), again.eval()(X))


def test_a_layer_is_put_in_and_taken_out() -> None:
    model = network().eval()
    doubled = interop.insert(model, "first", nn.Hardtanh(0.0, 0.1), name="bound")
    assert (doubled.bound(model.first(X)) <= 0.1).all() and "bound" in doubled.code
    assert not torch.equal(doubled(X), model(X))
    assert torch.equal(interop.remove(doubled, "bound")(X), model(X))
    assert torch.equal(interop.insert(model, "first", lambda x: x * 1)(X), model(X))
    plain = interop.remove(model, "drop").train()
    assert torch.equal(plain(X), model(X))


def test_a_model_is_cut_and_frozen() -> None:
    model = network()
    features = interop.cut(model, "sum")
    assert features.output_shape == (None, 6) and "head" not in features._modules
    assert same_weights(features, model)
    interop.freeze(model, until="sum")
    assert [name for name, each in model.named_parameters() if each.requires_grad] == [
        "linear_1.weight", "linear_1.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    assert not any(each.requires_grad for each in interop.freeze(nn.Linear(2, 2)).parameters())


def test_what_was_changed_trains_and_is_saved(tmp_path: Path) -> None:
    model = interop.insert(
        interop.replace(network(), "head", layers.Dense(1)), "sum", layers.LayerNormalization()
    )
    interop.freeze(model, until="first")
    before = model.first.weight.clone()
    model.compile("sgd", "mse")
    model.fit(X, torch.zeros(4, 1), epochs=1, verbose=0)
    assert torch.equal(model.first.weight, before)
    model.save(tmp_path / "m.safetensors")
    assert torch.equal(tf.load_model(tmp_path / "m.safetensors").eval()(X), model.eval()(X))


def test_shared_layers_and_nested_models_are_changed_at_every_call() -> None:
    inner = tf.Input((4,))
    block = tf.Model(inner, layers.Dense(4, name="within")(inner), name="block")
    inputs = tf.Input((4,))
    model = tf.Model(inputs, block(block(inputs)))
    changed = interop.replace(model, "block", nn.Identity())
    x = torch.randn(2, 4)
    assert torch.equal(changed(x), x)
    assert interop.replace(block, "within", layers.Dense(2)).output_shape == (None, 2)


def shared() -> tf.Model:
    """A layer that is called twice, one that returns three, a nested model, and two outputs by name."""
    a, b = tf.Input((5, 4), name="a"), tf.Input((5, 4), name="b")
    lstm = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")
    dense = layers.Dense(4, activation="tanh", name="dense")
    inner = tf.Input((3,))
    block = tf.Model(inner, layers.Dense(3, name="within")(inner), name="block")
    x = layers.Add(name="sum")([dense(a), dense(b)])
    _, state, _ = lstm(x)
    return tf.Model([a, b], {"far": block(state), "near": x}, name="two")


TWO = [torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(n)) for n in range(2)]


def test_a_shared_layer_is_changed_at_every_call_and_outputs_keep_their_names() -> None:
    model = shared().eval()
    double = interop.insert(model, "dense", lambda x: 2 * x).eval()
    expected = 2 * model(*TWO)["near"]
    torch.testing.assert_close(double(*TWO)["near"], expected)
    without = interop.remove(model, "dense").eval()
    torch.testing.assert_close(without(*TWO)["near"], TWO[0] + TWO[1])
    sines = interop.replace(model, "dense", torch.sin).eval()
    torch.testing.assert_close(sines(*TWO)["near"], TWO[0].sin() + TWO[1].sin())
    for changed in (double, without, sines):
        assert changed.output_names == ["far", "near"] and changed.lstm is model.lstm
    with pytest.warns(UserWarning, match="Input 'a' is not used .* Fix: leave it out of `inputs`"):
        last = interop.cut(model, "dense").eval()
    torch.testing.assert_close(last(*TWO), model.dense(TWO[1]))
    needed = tf.Model(last.inputs[1], last.outputs)
    torch.testing.assert_close(needed.eval()(TWO[1]), [model.dense(TWO[1])])


def test_a_layer_of_three_outputs_is_replaced_by_another_and_cut_with_all_of_them() -> None:
    model = shared().eval()
    sequence, state, cell = interop.cut(model, "lstm").eval()(*TWO)
    expected = model.lstm(model(*TWO)["near"])
    assert all(torch.equal(*pair) for pair in zip((sequence, state, cell), expected, strict=True))
    other = layers.LSTM(3, return_sequences=True, return_state=True)
    changed = interop.replace(model, "lstm", other).eval()
    torch.testing.assert_close(changed(*TWO)["far"], model.block(other(model(*TWO)["near"])[1]))
    assert changed.lstm is other


def test_a_layer_within_a_nested_model_is_changed_there_and_that_model_put_back() -> None:
    model = shared().eval()
    changed = interop.replace(model, "block", interop.replace(model.block, "within", nn.Identity())).eval()
    assert torch.equal(changed(*TWO)["far"], model.lstm(model(*TWO)["near"])[1])
    interop.freeze(model, until="lstm")
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    assert trained == ["block.within.weight", "block.within.bias"]


MISTAKES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda m: interop.replace(m, "heed", nn.Identity()), "'heed'.*'head'"),
    (lambda m: interop.replace(m, "head", nn.Identity), "Fix: Identity\\(...\\)"),
    (lambda m: interop.replace(m, "first", nn.Linear(8, 5)), "shape"),
    (lambda m: interop.remove(m, "first"), "shape"),
    (lambda m: interop.remove(m, "sum"), "takes 2 and returns 1.*Fix: interop.replace"),
    (lambda m: interop.insert(m, "first", nn.Identity(), name="head"), "a name that is free"),
    (lambda m: interop.cut(nn.Linear(1, 1), "x"), "Fix: interop.from_module"),
    (
        lambda m: interop.insert(shared(), "lstm", nn.Identity()),
        "expected a layer that returns one.*returns 3",
    ),
    (lambda m: interop.remove(shared(), "lstm"), "takes 1 and returns 3"),
    (lambda m: interop.replace(shared(), "lstm", layers.GRU(3)), "shape"),
    (
        lambda m: interop.freeze(shared(), until="block.within"),
        "Fix: change model.block at 'within', and interop",
    ),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_mistakes_are_told_with_the_way_out(mistake: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        mistake(network())
