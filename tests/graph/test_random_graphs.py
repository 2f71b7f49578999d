"""Whatever graph is drawn, its emitted forward computes what its calls compute one by one.

500 seeded graphs of native modules, layers, functions, methods and operators, with shared layers, models in
models, several outputs and inputs in dicts, are compared with an interpreter of the calls, which knows
nothing of emission: in outputs, gradients and state_dict, in train and eval mode; and after deepcopy, pickle,
a round trip through the config, save and load; one in twenty under torch.compile too.
"""

from __future__ import annotations

import copy
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.graph.symbolic import SYMBOLS, Node, SymbolicTensor
from torchfunc.tree import leaves, map_leaves

GRAPHS, BATCHES = 500, 20


class Split(nn.Module):
    """A module of several results in a nested structure, with weights and a buffer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Any:
        if self.training:
            self.seen += x.detach().mean()
        y = self.linear(x) * scale
        return {"sum": y + x, "parts": (y, [y * 2, x])}


class Drawing:
    """One random graph: values of shape (batch, width), and ways of making another of them."""

    def __init__(self, seed: int, depth: int = 0) -> None:
        self.random = random.Random(seed)
        self.depth = depth
        self.is_plain = True  # whether everything in it has a config
        width = self.random.choice([2, 3, 4])
        count = self.random.choice([1, 1, 2, 3])
        form = (
            self.random.choice(["alone", "list", "dict"])
            if count == 1
            else self.random.choice(["list", "dict"])
        )
        named = self.random.random() < 0.5
        self.inputs = [tf.Input((width,), name=f"in_{index}" if named else None) for index in range(count)]
        self.values: list[Any] = list(self.inputs)
        self.shared: list[Any] = []
        for _ in range(self.random.randint(2, 12)):
            self.values.append(self.step())
        self.given: Any = self.inputs[0] if form == "alone" else list(self.inputs)
        if form == "dict":
            self.given = {f"key_{index}": symbol for index, symbol in enumerate(self.inputs)}

    def any(self) -> Any:
        """Some value; a late one more often."""
        return self.values[max(self.random.randrange(len(self.values)) for _ in range(2))]

    def step(self) -> Any:
        kinds = [self.module, self.layer, self.function, self.method, self.operator, self.again, self.size]
        kinds += [self.state, self.split, self.nested] if self.depth == 0 else [self.state]
        kinds += [self.again] if self.shared else []
        return self.random.choice(kinds)()

    def fit(self, x: Any, width: int) -> Any:
        """A value of another width, so that two go together."""
        return x if x.shape[1] == width else self.keep(nn.Linear(x.shape[1], width))(x)

    def keep(self, module: nn.Module) -> nn.Module:
        self.shared.append((module, None))
        return module

    def module(self) -> Any:
        x = self.any()
        width = x.shape[1]
        make = self.random.choice(
            [
                lambda: nn.Linear(width, self.random.choice([2, 3, 4])),
                lambda: nn.BatchNorm1d(width),
                lambda: nn.Dropout(0.5),
                lambda: nn.Tanh(),
                lambda: nn.LayerNorm(width),
                lambda: nn.Sequential(nn.Linear(width, 5), nn.GELU(), nn.Linear(5, width)),
            ]
        )
        module = make()
        self.shared.append((module, width))
        return module(x)

    def layer(self) -> Any:
        x = self.any()
        kind = self.random.randrange(4)
        if kind == 0:
            name = f"given_{len(self.values)}_{self.depth}" if self.random.random() < 0.5 else None
            layer: Any = layers.Dense(self.random.choice([2, 3]), activation="tanh", name=name)
        elif kind == 1:
            layer = layers.BatchNormalization()
        elif kind == 2:
            return layers.Concatenate()([x, self.any()])[:, :4]
        else:
            layer = layers.Dropout(0.3)
        self.shared.append((layer, x.shape[1]))
        return layer(x)

    def function(self) -> Any:
        x, y = self.any(), self.any()
        make = self.random.choice(
            [
                lambda: F.gelu(x),
                lambda: F.softmax(x, dim=-1),
                lambda: torch.cat([x, y], dim=1)[:, -4:],
                lambda: torch.where(x > 0, x, self.fit(y, x.shape[1])),
                lambda: F.layer_norm(x, (x.shape[1],)),
                lambda: torch.clamp(x, -2.5, 1e2),
                lambda: F.dropout(x, 0.25, training=True),
                lambda: torch.stack((x, x * 2), dim=1).sum(1),
                lambda: torch.einsum("bi,bj->bj", x, y),
                lambda: torch.chunk(torch.cat([x, x], 1), 2, dim=1)[self.random.randrange(2)],
            ]
        )
        return make()

    def method(self) -> Any:
        x = self.any()
        make = self.random.choice(
            [
                lambda: x.sigmoid(),
                lambda: x.abs().add(0.5).sqrt(),
                lambda: x.sort(dim=1)[0],
                lambda: x.topk(2, dim=1).values,
                lambda: x.mean(1, keepdim=True).expand(-1, 3),
                lambda: x.flip(1).clone(),
                lambda: x.masked_fill(x.detach() > 0.3, -1.0),
                lambda: x.mT.mT,
                lambda: x.std(dim=1, keepdim=True) * x,
            ]
        )
        return make()

    def operator(self) -> Any:
        x = self.any()
        y = self.random.choice([self.random.choice([2, -1, 0.5]), None])
        y = self.fit(self.any(), x.shape[1]) if y is None else y
        make = self.random.choice(
            [
                lambda: x + y,
                lambda: y - x,
                lambda: x * y,
                lambda: -x,
                lambda: (x > y) * x,
                lambda: 1 / (x * x + 1),
            ]
        )
        return make()

    def again(self) -> Any:
        """A layer called once more."""
        fitting = [module for module, width in self.shared if width is not None]
        if not fitting:
            return self.module()
        module = self.random.choice(fitting)
        width = next(width for each, width in self.shared if each is module)
        return module(self.fit(self.any(), width))

    def size(self) -> Any:
        x = self.any()
        make = self.random.choice(
            [
                lambda: x.view(x.shape[0], -1),
                lambda: x.reshape(-1)[: x.shape[0] * x.shape[1]].view(x.size(0), x.size(1)),
                lambda: x + torch.zeros(x.shape[0], x.shape[1]),
                lambda: torch.cat([x[: x.shape[0] // 2], x[x.shape[0] // 2 :]]),
                lambda: x / x.shape[0],
            ]
        )
        return make()

    def state(self) -> Any:
        x = self.any()
        if self.random.random() < 0.5:
            return F.linear(x, nn.Parameter(torch.randn(3, x.shape[1])))
        return x * torch.linspace(0.5, 1.5, x.shape[1])

    def split(self) -> Any:
        self.is_plain = False
        x = self.any()
        found = Split(x.shape[1])(x, scale=self.random.choice([1.0, 0.5]))
        return self.random.choice(
            [found["sum"], found["parts"][0] + found["parts"][1][0], found["parts"][1][1] * 1]
        )

    def nested(self) -> Any:
        """A model of its own, called on values of this one, perhaps twice."""
        inner = Drawing(self.random.randrange(10**9), self.depth + 1)
        self.is_plain &= inner.is_plain
        model, width = inner.model(), inner.inputs[0].shape[1]
        for _ in range(self.random.choice([1, 2])):
            given = map_leaves(lambda symbol: self.fit(self.any(), width), inner.given)
            found = [leaf for leaf in leaves(model(given)) if leaf.ndim == 2]
        return self.random.choice(found)

    def model(self) -> tf.Model:
        used = self.values[-1]
        for symbol in self.inputs:  # every input is used
            used = used + symbol.mean(1, keepdim=True)
        self.values.append(used)
        extra = [self.any() for _ in range(self.random.choice([0, 0, 1, 2]))]
        self.outputs: Any = [used, *extra] if extra else used
        if extra and self.random.random() < 0.4:
            self.outputs = {"main": used, "others": tuple(extra)}
        return tf.Model(self.given, self.outputs)


def interpreted(outputs: Any, values: dict[Any, Any]) -> Any:
    """The outputs, by making the calls that their symbols remember, one by one."""
    waiting = [leaf.node for leaf in leaves(outputs)]
    found: dict[Node, None] = {}
    while waiting:
        node = waiting.pop()
        if node not in found and node.target is not None:
            found[node] = None
            waiting += [symbol.node for symbol in node.inputs()]
    results: dict[Node, Any] = dict(values)

    def real(leaf: Any) -> Any:
        if not isinstance(leaf, SYMBOLS):
            return leaf
        value = results[leaf.node]
        for key in leaf.path:
            value = value[key]
        return value

    for node in sorted(found, key=lambda node: node.birth):
        results[node] = node.target(*map_leaves(real, node.args), **map_leaves(real, node.kwargs))
    return map_leaves(real, outputs)


def gradients(outputs: Any, wanted: list[Tensor]) -> list[Tensor | None]:
    total = sum((leaf * leaf.detach().cos()).sum() for leaf in leaves(outputs) if leaf.requires_grad)
    if not isinstance(total, Tensor):
        return []
    return list(torch.autograd.grad(total, wanted, allow_unused=True))


def equal(left: Any, right: Any) -> bool:
    pairs = list(zip(leaves(left), leaves(right), strict=True))
    return all(
        a is b is None or (a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-7, equal_nan=True))
        for a, b in pairs
    )


def check(model: tf.Model, drawing: Drawing, batch: int, run: Any = None) -> None:
    """The emitted forward, or what else runs it, against the interpreter, from equal states and random numbers."""
    data = [torch.randn(batch, symbol.shape[1]).requires_grad_() for symbol in drawing.inputs]
    by_node = {symbol.node: value for symbol, value in zip(drawing.inputs, data, strict=True)}
    given = map_leaves(lambda symbol: by_node[symbol.node], drawing.given)
    for training in (True, False):
        model.train(training)
        before = copy.deepcopy(model.state_dict())
        wanted = [*data, *model.parameters()]
        torch.manual_seed(7)
        expected = interpreted(drawing.outputs, by_node)
        expected_gradients = gradients(expected, wanted)
        state = copy.deepcopy(model.state_dict())
        model.load_state_dict(before)
        torch.manual_seed(7)
        found = (model if run is None else run)(given)
        assert type(found) is type(expected)
        assert equal(found, expected)
        assert equal(gradients(found, wanted), expected_gradients)
        assert equal(dict(model.state_dict()), dict(state))


def copies(model: tf.Model, drawing: Drawing, file: Path) -> None:
    """Copies of every kind compute the same, in equal states."""
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    if drawing.is_plain:
        config = json.loads(json.dumps(model.get_config()))
        twins.append(tf.Model.from_config(config))
        twins[-1].load_state_dict(model.state_dict())
        model.save(file)
        twins.append(tf.load_model(file))
    data = [torch.randn(3, symbol.shape[1]) for symbol in drawing.inputs]
    for training in (True, False):
        results = []
        for each in (*twins, model):  # the model last: it changes its state
            each.train(training)
            torch.manual_seed(7)
            results.append((each(*data), dict(each.state_dict())))
        for result, state in results[:-1]:
            assert equal(result, results[-1][0])
            assert list(state) == list(results[-1][1]) and equal(state, results[-1][1])
    assert all(each.code == model.code for each in twins)


@pytest.mark.parametrize("part", range(BATCHES))
def test_random_graphs_compute_what_their_calls_compute(part: int, tmp_path: Path) -> None:
    for seed in range(part * GRAPHS // BATCHES, (part + 1) * GRAPHS // BATCHES):
        torch.manual_seed(seed)
        drawing = Drawing(seed)
        model = drawing.model()
        try:
            check(model, drawing, batch=3 + seed % 3)
            copies(model, drawing, tmp_path / "model.safetensors")
        except BaseException as error:
            error.add_note(f"seed {seed}:\n{model.code}") if hasattr(error, "add_note") else None
            raise


def test_the_graphs_have_all_kinds_of_calls() -> None:
    kinds: dict[str, int] = {}
    nested = plain = several = in_dicts = shared = layers_ = 0
    for seed in range(0, GRAPHS, 5):
        torch.manual_seed(seed)
        drawing = Drawing(seed)
        model = drawing.model()
        for call in model.graph.calls:
            kinds[call.kind] = kinds.get(call.kind, 0) + 1
        nested += any(isinstance(each, tf.Model) for each in model.children())
        plain += drawing.is_plain
        several += not isinstance(drawing.outputs, SymbolicTensor)
        in_dicts += isinstance(drawing.given, dict)
        targets = [call.target for call in model.graph.calls if call.kind == "module"]
        shared += len(set(targets)) < len(targets)
        layers_ += any(isinstance(each, layers.Layer) for each in model.children())
    assert set(kinds) == {"input", "module", "function", "method", "attribute", "size"}
    assert min(kinds.values()) > 5 and nested > 20 and plain > 30 and several > 20
    assert in_dicts > 20 and shared > 20 and layers_ > 40


@pytest.mark.parametrize("seed", range(0, GRAPHS, 20))
def test_a_random_graph_compiles_whole_and_trains_as_its_calls_do(seed: int) -> None:
    torch.manual_seed(seed)
    torch._dynamo.reset()
    drawing = Drawing(seed)
    model = drawing.model()
    check(model, drawing, batch=4, run=torch.compile(model, fullgraph=True, backend="eager"))
