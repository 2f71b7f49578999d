"""A model's graph is that of the modules it has now, in its shapes and in its symbols alike."""

import contextlib
import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.graph.symbolic import Node
from torchfunc.interop import from_module


def chain():
    inputs = tf.Input((8,))
    return tf.Model(inputs, layers.Dense(3)(layers.Dense(16)(inputs)))


def shared():
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
    dense = layers.Dense(4, name="shared")
    return tf.Model([a, b], layers.Dense(3, name="head")(dense(a) + dense(b)))


WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "config": lambda model: type(model).from_config(model.get_config()),
    "clone": tf.clone_model,
}
each_way = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)


def test_a_replaced_layer_shows_in_the_symbols_of_every_other_layer():
    model = chain()
    kept = model.output  # so the old symbols live on
    model.dense = layers.Dense(32)

    assert model.dense_1.output.shape == (None, 3)  # it does not fit, so the shapes wait
    model.dense_1 = layers.Dense(5)
    after = model.get_layer("dense_1")
    assert after.input.shape == (None, 32) and after.output.shape == (None, 5) == model.output.shape
    assert after.input.node.target is model.dense and kept.shape == (None, 3)
    assert tf.Model(model.input, model.output).dense is model.dense


def test_a_layer_that_stayed_is_asked_of_the_graph_as_it_is_now():
    model = chain()
    kept = model.output
    model.dense = layers.Dense(16, activation="relu")

    assert model.dense_1.input.node.target is model.dense
    assert kept.node.target is model.dense_1 is model.dense_1.output.node.target


def test_what_does_not_fit_is_tried_once():
    tries = []

    class Narrow(nn.Module):
        def forward(self, x):
            tries.append(1)
            return x[:, :2]

    model = chain()
    model.dense = Narrow()
    assert model.output_shape == (None, 3)
    count = len(tries)
    assert model.output.shape == (None, 3) and model.layers[1].output.shape == (None, 16)
    assert len(tries) == count > 0


def test_a_replaced_layer_is_let_go():
    model = chain()
    old = weakref.ref(model.dense_1)
    model.dense_1 = layers.Dense(4)

    assert model.output_shape == (None, 4)
    gc.collect()
    assert old() is None


def test_the_models_around_a_model_see_its_replaced_layer_however_deep():
    inner = chain()
    middle = tf.Model(x := tf.Input((8,)), inner(x))
    outer = tf.Model(y := tf.Input((8,)), middle(y) * 2)
    inner.dense_1 = layers.Dense(7)

    assert outer.output.shape == outer.output_shape == outer.graph.calls[-1].specs.shape == (None, 7)
    assert outer.layers[-1].output.shape == (None, 7)


def test_a_layer_in_two_models_asks_the_first_that_is_alive():
    dense = layers.Dense(4)
    first = tf.Model(x := tf.Input((3,)), dense(x))
    second = tf.Model(y := tf.Input((3,), name="other"), dense(dense(y)[:, :3]))
    del x, y

    assert dense.output.key == first.output.key
    with pytest.raises(GraphError, match="no call 1"):
        dense.get_output_at(1)
    del first
    gc.collect()
    assert dense.get_output_at(1).key == second.output.key
    assert dense.get_input_at(0).name == "other"


@each_way
def test_calls_stand_in_the_order_in_which_they_were_made(again):
    model = again(shared())
    for index in (0, 1):
        assert model.shared.get_input_at(index).key == model.inputs[index].key
    add = model.head.input.node
    assert [each.key for each in add.args] == [model.shared.get_output_at(index).key for index in (0, 1)]


@each_way
def test_a_model_made_again_sees_its_own_replaced_layers_only(again):
    model = shared()
    other = again(model)
    other.head = layers.Dense(9)

    assert other.output.shape == (None, 9) and model.output.shape == (None, 3)
    assert other.output.node.target is other.head and model.head.output.node.target is model.head


def test_a_layer_replaced_before_a_copy_is_in_the_copy():
    model = chain()
    model.dense_1 = layers.Dense(6)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        assert twin.output.shape == twin.graph.calls[-1].specs.shape == (None, 6)


def test_symbols_made_again_hold_the_tensors_that_the_model_has_by_then():
    inputs = tf.Input((2,))
    model = copy.deepcopy(tf.Model(inputs, inputs * torch.ones(2))).double()

    assert model.output.node.args[1] is model.tensor and model.tensor.dtype == torch.float64


def test_a_traced_model_keeps_its_names_when_its_symbols_are_made_again():
    model = copy.deepcopy(from_module(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), (2,)))
    names = [name for name, _ in model.named_children()]

    assert [name for name, _ in tf.Model(model.input, model.output).named_children()] == names


def test_discarded_models_leave_nothing_behind():
    dense, around = layers.Dense(4), chain()
    for _ in range(50):
        x = tf.Input((8,))
        tf.Model(x, around(dense(x) @ torch.ones(4, 8)))
    del x
    gc.collect()

    assert dense._nodes == dense._models == around._nodes == []
    assert len(vars(dense)["_nodes"]) < 10 and len(vars(dense)["_models"]) < 10
    assert not [each for each in gc.get_objects() if type(each) is Node and each.target in (dense, around)]


def branching():
    inputs = tf.Input((6,))
    a = layers.Dense(8, name="a")(inputs)
    return tf.Model(inputs, layers.Add(name="add")([a, layers.Dense(8, name="b")(a)]))


X = torch.ones(4, 6)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model(X),
        lambda model: model.predict(X.numpy(), verbose=0),
        lambda model: model.fit(X.numpy(), np.zeros((4, 8)), verbose=0),
        lambda model: around(model)(X),
    ],
)
def test_a_replaced_layer_that_does_not_fit_is_told_by_the_call_that_cannot_take_it(use):
    model = branching()
    model.compile("sgd", "mse")
    model.b = layers.Dense(7)
    for _ in range(2):
        with pytest.raises(ShapeError, match=r"Add 'add'.*expected shapes that are equal.*\(None, 7\)"):
            use(model)
    model.b = layers.Dense(8)
    use(model)
    assert not model._forward_pre_hooks


def around(model):
    inputs = tf.Input((6,))
    with contextlib.suppress(ShapeError):
        return tf.Model(inputs, model(inputs))
    return model


def test_a_replaced_module_that_only_real_tensors_can_tell_of_is_left_to_them():
    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x[:, : int(x.sum().item() * 0) + 8]

    model = branching()
    model.b = Counting()
    assert torch.equal(model(X), 2 * model.a(X))
    assert not model._forward_pre_hooks


def test_what_is_made_from_the_symbols_of_a_model_has_the_tensors_that_it_has_now():
    inputs = tf.Input((4,))
    model = tf.Model(inputs, inputs * torch.arange(4.0))
    assert model.output is not None
    model.double()
    other = tf.Model(model.input, model.output)
    assert [each.dtype for each in other.buffers()] == [torch.float64]
    assert next(other.buffers()) is next(model.buffers())


def test_asking_every_layer_for_its_output_looks_each_module_up_once(monkeypatch):
    x = inputs = tf.Input((4,))
    for _ in range(30):
        x = layers.ReLU()(x)
    model, looked = tf.Model(inputs, x), []
    [layer.output for layer in model.layers]

    class Counted(dict):
        def get(self, name, default=None):
            looked.append(name)
            return super().get(name, default)

    live, modules = model._live, Counted(model._modules)
    assert all(live.is_of(modules) for _ in range(30)) and not looked
    modules[model.layers[3].name] = layers.ReLU()
    assert not live.is_of(modules) and len(looked) == 30


class Written(layers.Dense):
    """A layer that says itself what a copy takes over, as many do: all that it holds."""

    def __getstate__(self):
        return self.__dict__


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("kind", [layers.Dense, Written])
def test_a_copied_layer_may_be_part_of_other_graphs(copied, times, kind):
    layer, x = kind(8), tf.Input((8,))
    models = [tf.Model(x, layer(x)) for _ in range(times)]
    other = copied(layer)
    if copied is not copy.copy:
        assert other._nodes == other._models == []
    model = tf.Model(x, other(x))
    assert other._models[-1] is model and layer._models[:times] == models
    assert pickle.loads(pickle.dumps(tf.Model(x, model(x)))).count_params() == 72
