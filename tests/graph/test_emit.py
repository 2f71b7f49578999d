"""A graph is written out as the forward that a person would have written, and lets go of what it no longer needs."""

from __future__ import annotations

import ast
import copy
import inspect
import io
import pickle
import sys
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch._dynamo.testing
import torch.nn.functional as F
from torch import Tensor, nn

import torchfunc as tf
from torchfunc.graph.emit import emit
from torchfunc.graph.text import identifier, quoted
from torchfunc.tree import leaves


def code(text: str) -> str:
    """The text of a forward without the indentation that it has in this file."""
    return inspect.cleandoc(text) + "\n"


def test_a_chain_reads_as_a_chain() -> None:
    img = tf.Input((784,), name="img")
    x = nn.Linear(784, 64)(img).relu()
    x = nn.Linear(64, 64)(x)
    model = tf.Model(img, F.softmax(x, dim=-1))
    assert model.code == code("""
        def forward(self, img):
            x = self.linear(img)
            x = x.relu()
            x = self.linear_1(x)
            x = F.softmax(x, dim=-1)
            return x
        """)


def test_branches_are_called_by_their_layers_names() -> None:
    inputs = tf.Input((4,))
    block = nn.Linear(4, 4)(inputs)
    x = nn.Tanh()(block)
    outputs = torch.cat([x + block, block], dim=1)
    assert tf.Model(inputs, outputs).code == code("""
        def forward(self, input):
            linear = self.linear(input)
            x = self.tanh(linear)
            x = x + linear
            x = torch.cat([x, linear], dim=1)
            return x
        """)


def test_several_outputs_stand_in_the_form_that_was_given() -> None:
    title, body = tf.Input((4,), name="title"), tf.Input((4,), name="body")
    both = title + body
    outputs = {"sum": both, "rest": [title - body, (both * 2,)]}
    model = tf.Model({"title": title, "body": body}, outputs)
    assert model.code == code("""
        def forward(self, title, body):
            add = title + body
            sub = title - body
            x = add * 2
            return {"sum": add, "rest": [sub, (x,)]}
        """)
    found = model({"title": torch.ones(1, 4), "body": torch.ones(1, 4)})
    assert found["rest"][1][0].sum() == 16


class Pair(NamedTuple):
    left: Any
    right: Any


class Splitting(nn.Module):
    def forward(self, x: Any, *, form: str) -> Any:
        parts = {
            "dict": {"a": x, "b": (x * 2, 3)},
            "pair": Pair(x, x * 2),
            "tuple": (x, (x * 2, [x * 3]), "text"),
        }
        return parts[form]


def test_parts_of_a_result_are_taken_apart_as_a_person_would() -> None:
    x, split = tf.Input((4,)), Splitting()
    a = split(x, form="dict")
    b = split(x, form="pair")
    c = split(x, form="tuple")
    lstm, (hidden, _) = nn.LSTM(4, 4)(x)
    total = a["a"] + a["b"][0] + b.left + b.right + c[0] + c[1][0] + c[1][1][0] + lstm + hidden
    model = tf.Model(x, [total, split(x, form="pair").right])
    assert model.code == code("""
        def forward(self, input):
            splitting = self.splitting(input, form="dict")
            splitting_1 = self.splitting(input, form="pair")
            splitting_2, (splitting_2_1, (splitting_2_2,)), _ = self.splitting(input, form="tuple")
            lstm, (lstm_1, _) = self.lstm(input)
            x = splitting["a"] + splitting["b"][0]
            x = x + splitting_1.left
            x = x + splitting_1.right
            x = x + splitting_2
            x = x + splitting_2_1
            x = x + splitting_2_2
            x = x + lstm
            add_7 = x + lstm_1
            x = self.splitting(input, form="pair").right
            return [add_7, x]
        """)
    assert model(torch.ones(3, 4))[1].sum() == 24


def test_a_shared_layer_is_one_attribute() -> None:
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
    shared = nn.Linear(4, 2)
    assert tf.Model([a, b], shared(a) - shared(b)).code == code("""
        def forward(self, a, b):
            linear = self.linear(a)
            x = self.linear(b)
            x = linear - x
            return x
        """)


def test_sizes_slices_and_constants_are_written_where_they_are_used() -> None:
    x = tf.Input((None, 8))
    y = x[:, 1 : x.shape[1] // 2 : 2, ..., None]
    y = y.view(y.shape[0], -1)
    y = torch.zeros(x.shape[0], 4, dtype=torch.float64) + torch.full((1, 4), float("inf")) * y[:1, :4]
    y = torch.clamp(y, min=-float("inf"), max=1e-7)
    y = y.to(torch.device("cpu"), memory_format=torch.contiguous_format)
    assert tf.Model(x, F.pad(y, (0, 1), "constant", -2.5)).code == code("""
        def forward(self, input):
            x = input.shape[1] // 2
            x = input[:, 1:x:2, ..., None]
            view = x.view(x.shape[0], -1)
            zeros = torch.zeros(input.shape[0], 4, dtype=torch.float64)
            x = view[:1, :4]
            x = self.tensor * x
            x = zeros + x
            x = torch.clamp(x, min=float("-inf"), max=1e-07)
            x = x.to(torch.device("cpu"), memory_format=torch.contiguous_format)
            x = F.pad(x, (0, 1), value=-2.5)
            return x
        """)


def test_operators_keep_their_precedence() -> None:
    x = tf.Input((4,))
    y = (-2) ** x
    y = -(y**-0.5)
    y = ~(y > -1)
    y = (2 - y.float()) % 3
    y = y // -2 @ torch.eye(4)
    y = abs(y) + (1 - 2j)
    model = tf.Model(x, [y, -x])
    assert model.code == code("""
        def forward(self, input):
            x = (-2) ** input
            x = x ** (-0.5)
            x = -x
            x = x > (-1)
            x = ~x
            x = x.float()
            x = 2 - x
            x = x % 3
            x = x // (-2)
            x = x @ self.tensor
            x = torch.abs(x)
            add = x + (1-2j)
            x = -input
            return [add, x]
        """)
    batch = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    y = -(((-2) ** batch) ** -0.5)
    y = abs((2 - (~(y > -1)).float()) % 3 // -2 @ torch.eye(4)) + (1 - 2j)
    assert torch.equal(model(batch)[0], y)


def test_every_operator_emits_what_it_means() -> None:
    x = tf.Input((4,), dtype="int64")
    batch = torch.tensor([[1, 2, 3, 4]])
    forms: list[Callable[[Any], Any]] = [
        lambda v: v + 1,
        lambda v: 1 - v,
        lambda v: v * -3,
        lambda v: 7 // v,
        lambda v: v % 3,
        lambda v: 2**v,
        lambda v: v & 1,
        lambda v: v | 4,
        lambda v: v ^ 5,
        lambda v: v << 2,
        lambda v: v >> 1,
        lambda v: (v == 2) != (v <= 3),
        lambda v: (v < 2) & (v > 0) & (v >= 1),
        lambda v: +v,
    ]
    found = tf.Model(x, [form(x) for form in forms])(batch)
    assert all(torch.equal(each, form(batch)) for each, form in zip(found, forms, strict=True))


NAMES = [
    "x",
    "self",
    "m",
    "torch",
    "F",
    "training",
    "type",
    "class",
    "None",
    "Tensor",
    "operator",
    "_",
    "getattr",
]
NAMES += [
    "2nd",
    "my input",
    "größe",
    "x-1",
    "日本",
    "ﬁ",
    "fi",
    "²",
    "input 'quoted' \"twice\"",
    "new\nline",
    "\\",
]


def test_inputs_and_layers_may_have_any_name() -> None:
    inputs = [tf.Input((2,), name=name) for name in NAMES]
    model = tf.Model(inputs, sum(inputs))
    assert model.input_names == NAMES
    tree = ast.parse(model.code).body[0]
    assert isinstance(tree, ast.FunctionDef)
    parameters = [argument.arg for argument in tree.args.args]
    assert parameters[:3] == ["self", "x", "self_1"] and len(set(parameters)) == len(NAMES) + 1
    values = [torch.full((1, 2), float(2**index)) for index in range(len(NAMES))]
    assert torch.equal(model(values), torch.full((1, 2), float(2 ** len(NAMES) - 1)))
    assert torch.equal(model(dict(zip(NAMES, values, strict=True))), model(*values))


class Named(nn.Linear):
    def __init__(self, name: str) -> None:
        super().__init__(2, 2)
        self.given_name = name


def test_layers_may_have_any_name_that_a_submodule_may_have() -> None:
    x = y = tf.Input((2,))
    names = ["my layer", "ﬁ", "größe", "2nd", "class", "quoted \" '", "new\nline", "m", "x", "torch"]
    layers = [Named(name) for name in names]
    for layer in layers:
        y = F.linear(layer(y), layer.weight)
    model = tf.Model(x, y)
    ast.parse(model.code)
    assert [name for name, _ in model.named_children()] == names
    assert 'getattr(self, "my layer")(input)' in model.code
    assert 'F.linear(x, getattr(self, "my layer").weight)' in model.code
    batch = torch.randn(3, 2)
    expected = batch
    for layer in layers:
        expected = F.linear(layer(expected), layer.weight)
    assert torch.equal(model(batch), expected)


def test_weights_of_submodules_are_reached_wherever_they_are() -> None:
    x = tf.Input((2,))
    network = nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"a b": nn.Linear(2, 2)})["a b"])
    y = F.linear(network(x), network[0].weight, network[1].bias)
    model = tf.Model(x, y)
    assert 'getattr(self.sequential, "0").weight' in model.code
    batch = torch.randn(3, 2)
    assert torch.equal(model(batch), F.linear(network(batch), network[0].weight, network[1].bias))
    assert sorted(model.state_dict()) == [
        "sequential.0.bias",
        "sequential.0.weight",
        "sequential.1.bias",
        "sequential.1.weight",
    ]
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(batch), model(batch))


def test_text_helpers() -> None:
    assert [identifier(name) for name in ("a b", "1", "", "ﬁ", "²")] == ["a_b", "_1", "value", "fi", "_2"]
    for text in ('"', "'", "\\", "\n", "plain", "\"'", "\x00", "\ud800"):
        assert ast.literal_eval(quoted(text)) == text
    assert quoted("plain") == '"plain"'


def test_objects_without_a_text_are_globals_once() -> None:
    class Mode(int):
        pass

    def double(x: Tensor, mode: Any, options: Any) -> Tensor:
        return x * (2 + mode) if isinstance(options, dict) else x

    mode, key = Mode(1), ("a", 1)
    x = tf.Input((2,))
    y = tf.call(double, tf.call(double, x, mode, {key: mode}), mode, {key: 3, 5: [x]})
    model = tf.Model(x, y)
    text = emit(model.graph)
    assert sorted(text.globals) == ["constant", "double"] and text.globals["constant"] is mode
    assert 'double(x, constant, {("a", 1): 3, 5: [input]})' in model.code
    assert torch.equal(model(torch.ones(1, 2)), torch.full((1, 2), 9.0))


def chain(length: int, activation: type[nn.Module] = nn.Tanh) -> tf.Model:
    x = y = tf.Input((3,))
    for _ in range(length):
        y = activation()(y)
    return tf.Model(x, y)


def alive_after_each(model: nn.Module, *batch: Any) -> list[int]:
    """How many results of submodules live whenever a submodule is done."""
    results: list[weakref.ref[Tensor]] = []
    counts: list[int] = []

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        results.extend(weakref.ref(leaf) for leaf in leaves(output))
        counts.append(sum(each() is not None for each in results))

    handles = [module.register_forward_hook(hook) for module in model.children()]
    with torch.no_grad():
        model(*batch)
    for handle in handles:
        handle.remove()
    return counts


def test_a_chain_keeps_two_results_alive_and_not_all() -> None:
    assert max(alive_after_each(chain(50), torch.ones(2, 3))) == 2


def test_a_residual_network_frees_each_branch_when_it_has_been_added() -> None:
    x = y = tf.Input((3,))
    for _ in range(20):
        y = nn.Tanh()(nn.Linear(3, 3)(y)) + y
    assert max(alive_after_each(tf.Model(x, y), torch.ones(2, 3))) <= 3


def test_unused_and_nested_parts_are_freed_too() -> None:
    class Many(nn.Module):
        def __init__(self, form: str) -> None:
            super().__init__()
            self.form = form

        def forward(self, x: Tensor) -> Any:
            parts = [x + index for index in range(8)]
            return {"list": parts, "dict": dict(enumerate(parts)), "pair": Pair(parts, x + 9)}[self.form]

    class Probe(nn.Identity):
        pass

    for form, take in (
        ("list", lambda parts: parts[3]),
        ("dict", lambda parts: parts[3] + parts[4]),
        ("pair", lambda parts: parts.left[3] + parts.right),
    ):
        x = tf.Input((3,))
        y = Probe()(take(Many(form)(x)) * 2)
        counts = alive_after_each(tf.Model(x, Probe()(y + 1)), torch.ones(2, 3))
        assert counts[-1] <= 2, form


def test_a_part_that_nobody_uses_is_let_go_of_at_once() -> None:
    first, _, last = (x := tf.Input((4,))).split([1, 2, 1], 1)
    running = emit(tf.Model(x, first + last).graph).running
    assert "split, _, split_1 = input.split([1, 2, 1], 1)\n    del _\n" in running


def test_equal_models_have_one_class_and_are_compiled_once() -> None:
    def build() -> tf.Model:
        x = tf.Input((3,))
        return tf.Model(x, nn.Tanh()(nn.Linear(3, 3)(x)) + 1)

    models = [build() for _ in range(5)]
    assert len({type(model) for model in models}) == 1
    assert models[0].forward.__code__ is models[4].forward.__code__
    assert type(chain(2)) is not type(models[0])
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for model in models:
            batch = torch.randn(2, 3)
            assert torch.allclose(torch.compile(model, backend=counter, fullgraph=True)(batch), model(batch))
    assert counter.frame_count == 1


def test_a_class_of_equal_text_but_another_function_is_another_class() -> None:
    def build(function: Callable[[Tensor], Tensor]) -> tf.Model:
        x = tf.Input((3,))
        return tf.Model(x, tf.call(function, x))

    one, two = build(lambda x: x + 1), build(lambda x: x + 2)
    assert one.code == two.code
    assert torch.equal(two(torch.ones(1, 3)) - one(torch.ones(1, 3)), torch.ones(1, 3))


def test_a_traceback_quotes_the_emitted_line() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.device.type != "meta" and x.shape[0] == 3:
                raise RuntimeError("three")
            return x

    x = tf.Input((3,))
    model = tf.Model(x, Failing()(x.relu()) + 1)
    with pytest.raises(RuntimeError, match="three") as caught:
        model(torch.ones(3, 3))
    text = "".join(traceback.format_exception(caught.value))
    assert 'x = m["failing"](x)' in text and "<torchfunc Model" in text
    assert "def forward(self, input, training=None):" in inspect.getsource(type(model).forward)


def test_the_shown_and_the_running_form_compute_the_same() -> None:
    x = tf.Input((3,), name="a")
    y = nn.LSTM(3, 3)(nn.Linear(3, 3)(x))
    model = tf.Model(x, [y[0] * 2, y[1][0] @ torch.eye(3)])
    namespace: dict[str, Any] = {"torch": torch, "F": F}
    exec(model.code, namespace)
    batch = torch.randn(4, 3)
    shown = namespace["forward"](model, batch)
    assert all(torch.equal(a, b) for a, b in zip(shown, model(batch), strict=True))


def count_calls(function: Callable[[], Any]) -> int:
    """How many calls, of functions in Python and in C, a function takes."""
    count = 0

    def watch(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_ten_thousand_calls_deep_nothing_recurses(tmp_path: Path) -> None:
    model = tf.Model(*deep(10_000))
    batch = torch.ones(2, 3)
    expected = model(batch)
    assert model.code.count("\n") == 10_002
    model.save(tmp_path / "deep.safetensors")
    for twin in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        tf.load_model(tmp_path / "deep.safetensors"),
    ):
        assert torch.equal(twin(batch), expected)


class Own(tf.Model):
    def train_step(self, data: Any) -> str:
        return "my own"


def deep(length: int) -> tuple[Any, Any]:
    """A graph of so many calls: functions, modules and layers with weights, one that comes back all the time."""
    x = y = tf.Input((3,))
    shared = nn.Linear(3, 3)
    for index in range(length // 2):
        y = shared(y) if index % 5 == 0 else nn.Linear(3, 3)(y) if index % 5 == 1 else tf.layers.Dense(3)(y)
        y = y.tanh()
    return x, y


def through_torch_save(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), through_torch_save],
    ids=["deepcopy", "pickle", "torch.save"],
)
def test_a_copy_of_five_thousand_calls_keeps_class_methods_attributes_and_sharing(copied: Any) -> None:
    model = Own(*deep(5_000), name="deep")
    model.note = {"kept": [1]}
    twin = copied(model.eval())
    assert type(twin) is type(model) and isinstance(twin, Own) and twin.train_step(None) == "my own"
    assert twin.note == {"kept": [1]} and twin.note is not model.note and twin.name == "deep"
    assert not twin.training and twin.code == model.code and len(twin.graph.calls) == 5_001
    assert list(twin.state_dict()) == list(model.state_dict())
    assert twin.linear.weight is not model.linear.weight
    batch = torch.randn(2, 3)
    assert torch.equal(twin(batch), model(batch))
    twin.linear.weight.data.zero_()
    assert not model.linear.weight.eq(0).any()


def test_the_work_of_every_step_grows_as_the_number_of_calls(tmp_path: Path) -> None:
    """Counted in calls of functions, which does not hang on how busy the machine is."""
    counts: dict[str, list[int]] = {}
    deep(1_000)  # fills the caches of what is known of each function

    def counted(what: str, function: Callable[[], Any]) -> Any:
        results: list[Any] = []
        counts.setdefault(what, []).append(count_calls(lambda: results.append(function())))
        return results[0]

    for length in (100, 1_000):
        x, y = counted("build", lambda length=length: deep(length))
        model = counted("model", lambda x=x, y=y: Own(x, y))
        counted("emit", lambda model=model: emit(model.graph))
        counted("deepcopy", lambda model=model: copy.deepcopy(model))
        data = counted("dumps", lambda model=model: pickle.dumps(model))
        counted("loads", lambda data=data: pickle.loads(data))
        config = counted("get_config", model.get_config)
        counted("from_config", lambda config=config: Own.from_config(config))
        counted("forward", lambda model=model: model(torch.ones(1, 3)))
        counted("state_dict", model.state_dict)
        path = tmp_path / f"{length}.safetensors"
        plain = tf.Model(x, y)
        counted("save", lambda plain=plain, path=path: plain.save(path))
        loaded = counted("load", lambda path=path: tf.load_model(path))
        assert torch.equal(loaded(torch.ones(1, 3)), model(torch.ones(1, 3)))
    for what, (short, long) in counts.items():
        assert long < 10.5 * short, what
