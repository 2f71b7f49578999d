"""Between some inputs and some outputs lies a flat table of calls, each with its name."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchfunc as tf
from torchfunc.errors import DisconnectedError, GraphError, NameTakenError
from torchfunc.graph import symbolic
from torchfunc.graph.drawing import between
from torchfunc.graph.graph import Call, Graph, Names, Ref, StateRef
from torchfunc.graph.run import inputs_like, restated, run
from torchfunc.graph.spec import Number, Spec
from torchfunc.layers import Layer


class Plus(Layer):
    def __init__(self, amount: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amount = amount

    def forward(self, inputs: Any) -> Any:
        return inputs + self.amount


def names(graph: Graph) -> list[str]:
    return [call.name for call in graph.calls]


def test_the_table_has_inputs_first_and_then_the_calls_in_the_order_in_which_they_were_made() -> None:
    b, a = tf.Input((3,), name="b"), tf.Input((3,), name="a")
    late = a + 1
    linear = nn.Linear(3, 3)
    y = linear(b)
    z = y + late
    drawn = between([a, b], z)
    assert names(drawn.graph) == ["a", "b", "add", "linear", "add_1"]
    assert [call.kind for call in drawn.graph.calls] == ["input", "input", "function", "module", "function"]
    assert drawn.graph.calls[4] == Call(
        "add_1", "function", drawn.graph.calls[2].target, (Ref(3), Ref(2)), {}, z.spec
    )
    assert drawn.graph.inputs == [Ref(0), Ref(1)] and drawn.graph.outputs == Ref(4)
    assert drawn.graph.parents(4) == [Ref(3), Ref(2)] and drawn.graph.spec(Ref(3)) == Spec.of((None, 3))
    assert drawn.modules == {"linear": linear} and drawn.state == {}


def test_calls_that_no_output_needs_are_left_out() -> None:
    x = tf.Input((3,))
    y = x.relu()
    y.exp()
    assert names(between(x, y).graph) == ["input", "relu"]


def test_a_call_is_made_once_however_often_it_is_used() -> None:
    x = tf.Input((3,))
    y = x.relu()
    for _ in range(60):
        y = y + y
    assert len(between(x, y).graph.calls) == 62


def test_names_do_not_depend_on_what_was_built_before() -> None:
    def build() -> Graph:
        x = tf.Input((3,))
        return between(x, nn.Linear(3, 3)(nn.Linear(3, 3)(x)).relu().relu()).graph

    assert names(build()) == names(build()) == ["input", "linear", "linear_1", "relu", "relu_1"]


def test_a_shared_layer_bears_its_name_in_its_first_call_and_a_number_in_the_next() -> None:
    a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
    plus = Plus(name="plus")
    graph = between([a, b], [plus(a), plus(b), F.linear(plus(a), nn.Parameter(torch.eye(3)))]).graph
    assert names(graph) == ["a", "b", "plus", "plus_1", "plus_2", "linear"]
    assert [call.target for call in graph.calls[2:5]] == ["plus"] * 3


def test_a_layer_whose_weight_is_used_before_its_call_bears_its_own_name() -> None:
    x = tf.Input((3,))
    linear, other = nn.Linear(3, 3), nn.Linear(3, 3)
    y = F.linear(x, linear.weight)
    drawn = between(x, linear(other(y)))
    assert [(call.name, call.target) for call in drawn.graph.calls if call.kind == "module"] == [
        ("linear_1", "linear_1"),
        ("linear_2", "linear_2"),
    ]
    assert drawn.graph.calls[1].args[1] == StateRef("linear_2.weight") and drawn.state == {}


def test_given_names_are_kept_and_others_step_aside() -> None:
    x = tf.Input((3,), name="linear")
    y = nn.Linear(3, 3)(x).relu()
    drawn = between(x, Plus(name="relu")(y))
    assert names(drawn.graph) == ["linear", "linear_1", "relu_1", "relu"]


def test_an_input_without_a_name_gets_one() -> None:
    inputs = [tf.Input((3,)) for _ in range(3)]
    assert between(inputs, sum(inputs)).graph.input_names == ["input", "input_1", "input_2"]


TAKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "two layers": (lambda x: Plus(name="a")(Plus(name="a")(x)), "to a Plus and a Plus"),
    "layer and input": (lambda x: Plus(name="img")(x), "to an Input and a Plus"),
}


@pytest.mark.parametrize(("build", "words"), TAKEN.values(), ids=TAKEN)
def test_a_name_given_twice_is_an_error_that_names_both(build: Callable[[Any], Any], words: str) -> None:
    x = tf.Input((3,), name="img")
    with pytest.raises(NameTakenError, match=words) as caught:
        between(x, build(x))
    assert "was given twice" in str(caught.value) and "Fix: name one of them" in str(caught.value)


@pytest.mark.parametrize(("name", "words"), [("a.b", "Fix: 'a_b'"), ("forward", "Fix: 'forward_layer'")])
def test_a_name_that_no_submodule_can_have_is_an_error(name: str, words: str) -> None:
    x = tf.Input((3,))
    with pytest.raises(GraphError, match=words):
        between(x, Plus(name=name)(x))


def test_an_input_that_is_missing_is_named_with_the_way_to_the_output() -> None:
    a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
    y = Plus(name="head")(nn.Linear(3, 3)(a + b.relu()))
    with pytest.raises(DisconnectedError) as caught:
        between(a, y)
    assert str(caught.value) == (
        "An output needs 'b', which is not among the inputs. Inputs: ['a']. "
        "It is reached by b -> relu -> add -> linear -> head. Fix: Model(inputs=[a, b], ...)."
    )


def test_an_input_that_is_not_used_is_warned_about() -> None:
    a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
    with pytest.warns(UserWarning, match="Input 'b' is not used by any output"):
        between([a, b], a + 1)


WRONG: dict[str, tuple[Any, Any, str]] = {
    "layer": (..., nn.Linear(3, 3), r"outputs: .* the layer 'linear' itself.*Fix: call it: linear\(x\)"),
    "array": (..., torch.zeros(3), r"outputs: expected a symbolic tensor, got Tensor"),
    "nested": (..., {"a": [1]}, r"outputs\['a'\]\[0\]: expected a symbolic tensor, got int"),
    "nothing": (..., [], "outputs: expected at least one symbolic tensor"),
    "no inputs": ([], ..., "inputs: expected at least one symbolic tensor"),
    "input": (5, ..., "inputs: expected a symbolic tensor, got int"),
}


@pytest.mark.parametrize(("inputs", "outputs", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_symbolic_tensor_is_an_error_that_names_its_place(
    inputs: Any, outputs: Any, words: str
) -> None:
    x = tf.Input((3,))
    with pytest.raises(GraphError, match=words):
        between(x if inputs is ... else inputs, x.relu() if outputs is ... else outputs)


def test_one_input_twice_is_an_error() -> None:
    x = tf.Input((3,))
    with pytest.raises(GraphError, match="stands there twice"):
        between([x, x], x + 1)


def test_a_graph_between_two_intermediate_tensors_leaves_out_what_lies_before() -> None:
    x = tf.Input((4,))
    middle = nn.Linear(4, 3)(x)
    y = nn.Linear(3, 2)(middle.relu())
    drawn = between(middle, y)
    assert names(drawn.graph) == ["input", "relu", "linear"]
    assert drawn.graph.calls[0].kind == "input" and list(drawn.modules) == ["linear"]
    model = tf.Model(middle, y)
    assert torch.equal(model(torch.ones(1, 3)), drawn.modules["linear"](torch.ones(1, 3).relu()))


def test_an_input_may_be_an_output() -> None:
    x = tf.Input((3,))
    model = tf.Model(x, [x, x + 1])
    assert torch.equal(model(torch.ones(1, 3))[0], torch.ones(1, 3))


def test_nested_inputs_and_outputs_keep_their_form() -> None:
    a, b = tf.Input((3,), name="a"), tf.Input((3,), name="b")
    graph = between({"x": a, "y": [b]}, (a, {"z": b})).graph
    assert graph.inputs == {"x": Ref(0), "y": [Ref(1)]} and graph.outputs == (Ref(0), {"z": Ref(1)})


def test_outputs_are_named_after_their_keys_or_their_calls() -> None:
    x = tf.Input((3,))
    y = x.relu()
    plain = between(x, [y, Plus(name="head")(y), y]).graph
    assert plain.output_names == ["relu", "head", "relu_1"]
    keyed = between(x, {"a": y, "b": {"c": y, "d": [y, y + 1]}}).graph
    assert keyed.output_names == ["a", "b_c", "b_d", "b_d_1"]


def test_tensors_met_as_arguments_become_named_buffers_and_parameters_once() -> None:
    x = tf.Input((3,))
    shift, scale = torch.ones(3), nn.Parameter(torch.ones(3))
    y = (x + shift) * scale + shift
    drawn = between(x, torch.cat([y, x * scale]))
    assert list(drawn.state) == ["tensor", "parameter"]
    assert drawn.state["tensor"] is shift and drawn.state["parameter"] is scale
    model = tf.Model(x, y)
    assert [name for name, _ in model.named_parameters()] == ["parameter"]
    assert [name for name, _ in model.named_buffers()] == ["tensor"]
    model(torch.ones(2, 3)).sum().backward()
    assert torch.equal(scale.grad, torch.full((3,), 4.0))


def test_a_tensor_that_was_computed_from_weights_is_refused() -> None:
    x = tf.Input((3,))
    embedding = nn.Embedding(5, 3)
    for build in (lambda: x @ embedding.weight.T, lambda: F.linear(x, embedding.weight * 2)):
        with pytest.raises(GraphError, match="computed once") as caught:
            build()
        assert "Fix:" in str(caught.value) and "detach" in str(caught.value)
    assert (x @ embedding.weight.detach().T).shape == (None, 5)
    tied = tf.Model(i := tf.Input((), dtype="int64"), F.linear(embedding(i), embedding.weight))
    assert list(tied.state_dict()) == ["embedding.weight"]


def test_sizes_are_taken_once_of_each_tensor() -> None:
    x = tf.Input((None, 3))
    y = x.reshape(x.shape[0] * x.shape[1], 3)
    graph = between(x, y.reshape(x.shape[0], x.shape[1], 3)).graph
    assert names(graph) == ["input", "size", "size_1", "mul", "reshape", "reshape_1"]
    assert graph.calls[1].kind == "size" and graph.calls[1].args == (Ref(0), 0)
    assert isinstance(graph.calls[1].specs, Number)


def test_a_chain_is_told_from_other_graphs() -> None:
    x = tf.Input((None, 3))
    y = x.relu()
    assert between(x, y.exp()).graph.is_chain
    assert between(x, y.view(y.shape[0], -1)).graph.is_chain
    assert not between(x, y.exp() + y).graph.is_chain
    assert not between(x, [y, y.exp()]).graph.is_chain


def test_a_table_survives_copy_and_pickle() -> None:
    x = tf.Input((None, 3))
    y = F.max_pool1d(torch.cat([x, x], 1).mT, 2)
    y = torch.where(y > 0, y, 0.5)[..., : x.shape[1]] * x[:, :1].mT.new_ones(1)
    graph = between(x, [y, x.max(1).values, y.sum().abs()]).graph
    for twin in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), copy.copy(graph)):
        assert twin == graph
        assert twin.calls[1].target is torch.cat


def test_modules_may_be_renamed() -> None:
    x = tf.Input((3,))
    graph = between(x, nn.Linear(3, 3)(x).relu()).graph
    assert [call.target for call in graph.renamed({"linear": "head"}).calls] == [None, "head", "relu"]


def test_a_table_comes_alive_again() -> None:
    x = tf.Input((None, 3), name="img")
    linear, weight = nn.Linear(3, 3), torch.eye(3)
    values, indices = linear(x).topk(2)
    drawn = between({"img": x}, [values @ weight[:2], indices[:, : x.shape[1] // 2], x.mT.real])
    given = inputs_like(drawn.graph)
    outputs = run(drawn.graph, given, drawn.modules, drawn.state, restated)
    assert given["img"].name == "img" and outputs[0].shape == (None, None, 3)
    again = between(given, outputs)
    assert again.graph == drawn.graph and again.modules["linear"] is linear


def test_a_layer_in_two_models_is_shared() -> None:
    linear = nn.Linear(3, 3)
    one = tf.Model(x := tf.Input((3,)), linear(x))
    two = tf.Model(y := tf.Input((3,)), linear(y.relu()))
    assert one.linear is two.linear is linear


def test_names_count_on() -> None:
    unique = Names("a", "b_1")
    assert [unique.new(name) for name in ("a", "a", "b", "b", "a_1", "c")] == [
        "a_1",
        "a_2",
        "b",
        "b_2",
        "a_1_1",
        "c",
    ]


def test_a_deep_graph_needs_no_recursion() -> None:
    x = y = tf.Input((3,), batch_size=1)
    for _ in range(5_000):
        y = symbolic.record_stated(torch.neg, (y,), {}, tuple, None)
    graph = between(x, y).graph
    assert len(graph.calls) == 5_001 and graph.is_chain
    assert copy.deepcopy(graph) == graph
    assert len(run(graph, inputs_like(graph), {}, {}, restated).shape) == 2
