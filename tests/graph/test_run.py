"""A graph means its calls, made one by one: what `run` gives is what the emitted forward gives, to the bit.

On tensors it is the outputs, on symbols the same table again, and on proxies a torch.fx graph of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from tests.graph.test_random_graphs import Drawing, Split
from tests.vis import examples
from torchfunc import layers
from torchfunc.graph.drawing import between
from torchfunc.graph.graph import Call
from torchfunc.graph.run import callee, inputs_like, recorded, restated, run, specs_of, tensor_of
from torchfunc.graph.symbolic import Attribute, Method, size
from torchfunc.interop import from_module, to_fx
from torchfunc.tree import leaves


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def assert_laws(model: Any, *values: Tensor) -> None:
    """Every law of `run` for one model: on tensors in both modes, on symbols, and on proxies."""
    graph, modules, tensors = model.graph, model._modules, model._own_state()
    for training in (False, True):  # the mode in which the graph was drawn comes last
        before = copy.deepcopy(model.train(training).state_dict())
        results = []
        for forward in (model, lambda *given: run(graph, given, modules, tensors), to_fx(model)):
            model.load_state_dict(before)
            torch.manual_seed(7)
            results.append((forward(*values), copy.deepcopy(model.state_dict())))
        for found in results[1:]:
            assert_same(found, results[0])
        assert type(results[1][0]) is type(results[0][0])
    for make in (recorded, restated):
        inputs = inputs_like(graph)
        outputs = run(graph, inputs, modules, tensors, make)
        assert between(inputs, outputs).graph == graph


@pytest.mark.parametrize("part", range(10))
def test_random_graphs_mean_what_is_emitted_for_them(part: int) -> None:
    for seed in range(part, 500, 10):
        torch.manual_seed(seed)
        drawing = Drawing(seed)
        model = drawing.model()
        assert_laws(model, *(torch.randn(3 + seed % 3, symbol.shape[1]) for symbol in drawing.inputs))


@pytest.mark.parametrize(
    "build",
    [
        examples.mlp,
        examples.encoder,
        examples.autoencoder,
        examples.nested_autoencoder,
        examples.toy_resnet,
        examples.tickets,
    ],
)
def test_the_models_of_the_guide_mean_what_is_emitted_for_them(build: Callable[[], Any]) -> None:
    model = build()
    shapes = {"title": (2, 5), "body": (2, 7)}
    given = [
        torch.ones(shapes.get(name, (2, *model.graph.spec(ref).shape[1:])))
        for name, ref in zip(model.input_names, leaves(model.graph.inputs), strict=True)
    ]
    assert_laws(model, *given)


def shared_and_nested() -> Any:
    inner = tf.Model(x := tf.Input((4,)), layers.BatchNormalization()(layers.Dense(4)(x)))
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
    split = Split(4)(inner(a) + inner(b))
    return tf.Model({"a": a, "b": b}, {"sum": split["sum"], "parts": [split["parts"][1][0], inner(a * 2)]})


def sizes_and_state() -> Any:
    x = tf.Input((None, 4))
    dense = layers.Dense(4)
    y = dense(x).reshape(x.shape[0] * x.shape[1], 4) @ dense.weight + nn.Parameter(torch.ones(4))
    return tf.Model(x, (y.view(x.shape[0], -1, 4)[:, : x.shape[1] // 2], x.mT.topk(1).values, x.shape[1] * 2))


def masked() -> Any:
    x = tf.Input((None,), dtype="int64")
    return tf.Model(x, layers.GRU(3)(layers.Embedding(5, 3, mask_zero=True)(x)))


@pytest.mark.parametrize(
    ("build", "values"),
    [
        (shared_and_nested, [torch.rand(3, 4), torch.rand(3, 4)]),
        (sizes_and_state, [torch.rand(2, 6, 4)]),
        (masked, [torch.tensor([[1, 2, 0], [3, 0, 0]])]),
    ],
)
def test_nesting_sharing_sizes_state_and_masks_keep_their_meaning(
    build: Callable[[], Any], values: list[Tensor]
) -> None:
    torch.manual_seed(0)
    assert_laws(build(), *values)


def test_what_a_call_calls() -> None:
    linear = nn.Linear(2, 2)
    calls: list[tuple[Call, Any]] = [
        (Call("a", "module", "linear"), linear),
        (Call("b", "method", "relu"), Method("relu")),
        (Call("c", "attribute", "T"), Attribute("T")),
        (Call("d", "size", None), size),
        (Call("e", "function", torch.cat), torch.cat),
    ]
    assert [callee(call, {"linear": linear}) for call, _ in calls] == [target for _, target in calls]


def test_a_tensor_is_the_models_own_or_that_of_a_module_however_deep() -> None:
    own, module = torch.ones(1), nn.Sequential(nn.BatchNorm1d(2))
    modules = {"norm": module}
    assert tensor_of("scale", modules, {"scale": own}) is own
    assert tensor_of("norm.0.weight", modules, {}) is module[0].weight
    assert tensor_of("norm.0.running_mean", modules, {}) is module[0].running_mean
    for name in ("norm", "norm.", "norm.0", "norm.1.weight", "norm.0.forward", "other.weight", ""):
        with pytest.raises(KeyError):
            tensor_of(name, modules, {})


def test_names_that_somebody_chose_stay_where_symbols_are_made_again() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model = from_module(net, (2,))
    inputs = inputs_like(model.graph)
    outputs = run(model.graph, inputs, model._modules, {}, restated)
    assert list(between(inputs, outputs).modules) == list(model._modules)


def test_symbols_are_made_again_without_a_try_and_recorded_with_one() -> None:
    tries = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            tries.append(x)
            return x[:, :2]

    model = tf.Model(x := tf.Input((4,)), Watched()(x))
    tries.clear()
    inputs = inputs_like(model.graph)
    assert run(model.graph, inputs, model._modules, {}, restated).shape == (None, 2) and not tries
    other = run(model.graph, [tf.Input((3, 4))], model._modules, {}, recorded)
    assert specs_of(other).shape == (None, 2, 4) and tries
