"""Sequential: a chain of layers as a model."""

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import GraphError, NameTakenError


def test_with_an_input_it_is_a_graph_at_once():
    model = tf.Sequential([tf.Input((8,), name="x"), layers.Dense(4, activation="relu"), layers.Dense(2)])

    assert (
        model.code == "def forward(self, x):\n    h = self.dense(x)\n    h = self.dense_1(h)\n    return h\n"
    )
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    assert model.count_params() == 8 * 4 + 4 + 4 * 2 + 2


def test_without_one_it_is_built_by_its_first_call():
    model = tf.Sequential([layers.Dense(4), layers.Dense(2)])
    x = torch.rand(3, 8)
    first = model(x)

    assert first.shape == (3, 2)
    assert torch.equal(model(x), first)
    assert model(torch.rand(5, 8)).shape == (5, 2)
    assert list(model.state_dict()) == ["dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias"]


def test_layers_are_added_and_popped():
    model = tf.Sequential()
    model.add(tf.Input((8,)))
    model.add(layers.Dense(4))
    model.add(nn.ReLU())
    model.add(layers.Dense(2))
    assert model(torch.rand(1, 8)).shape == (1, 2)

    model.pop()
    assert model(torch.rand(1, 8)).shape == (1, 4)


def test_input_shape_of_the_first_layer_is_enough():
    model = tf.Sequential([layers.Dense(4, input_shape=(8,)), layers.Dense(2)])

    assert model.built and model.output_shape == (None, 2)


def test_it_nests_in_other_models():
    block = tf.Sequential([layers.Dense(4), layers.Dense(8)], name="block")
    inputs = tf.Input((8,))
    model = tf.Model(inputs, block(inputs) + inputs)

    assert model(torch.rand(2, 8)).shape == (2, 8)
    assert "self.block(" in model.code


def test_a_model_that_knows_its_input_is_enough():
    base = tf.Sequential([tf.Input((4,)), layers.Dense(3)])
    model = tf.Sequential([base, layers.Dense(2)])

    assert model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2


def test_it_trains_without_having_been_built():
    model = tf.Sequential([layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(np.random.rand(64, 3), np.random.rand(64, 1), epochs=3, verbose=0)

    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("built", [True, False])
def test_it_comes_back_from_its_config(built):
    chain = [layers.Dense(4), nn.ReLU(), layers.Dense(2)]
    model = tf.Sequential([tf.Input((8,)), *chain] if built else chain, name="chain")
    other = tf.Sequential.from_config(model.get_config())
    x = torch.rand(2, 8)
    other(x)
    other.set_weights([*model.get_weights()] if built else (model(x), model.get_weights())[1])

    assert torch.equal(other(x), model(x))
    assert other.name == "chain"


def test_its_mistakes_are_named():
    with pytest.raises(GraphError, match=r"Sequential 'sequential': expected layers, got type.*Dense\(10\)"):
        tf.Sequential([layers.Dense])
    with pytest.raises(
        GraphError, match=r"expected a list of layers, got one Dense\. Fix: Sequential\(\[layer\]\)"
    ):
        tf.Sequential(layers.Dense(2))
    with pytest.raises(GraphError, match="has an Input already"):
        tf.Sequential([layers.Dense(2), tf.Input((3,))])
    with pytest.raises(NameTakenError, match="'same' was given twice"):
        tf.Sequential([layers.Dense(2, name="same"), layers.Dense(2, name="same")])
    with pytest.raises(GraphError, match="no layers to pop"):
        tf.Sequential().pop()
    with pytest.raises(GraphError, match="has no layers"):
        tf.Sequential()(torch.rand(1, 2))


@pytest.mark.parametrize("inputs", [[], [tf.Input((3,))]])
@pytest.mark.parametrize(
    "again", [lambda m: m, lambda m: tf.Sequential.from_config(m.get_config()), tf.clone_model]
)
def test_layers_keep_their_names_in_configs_and_clones(inputs, again):
    chain = [layers.Dense(4), layers.Dense(5, name="mine"), nn.ReLU(), layers.Dense(2)]
    first = tf.Sequential([*inputs, *chain])
    second = again(first)
    assert second.get_config() == first.get_config()
    for each in (first, second):
        for _ in range(2):
            named = [layer.name for layer in each.layers if isinstance(layer, layers.Layer)]
            assert named == ["dense", "mine", "dense_1"]
            assert each(torch.ones(2, 3)).shape == (2, 2)
    assert second.get_config() == first.get_config()


@pytest.mark.parametrize(
    "what", ["input", "output", "inputs", "outputs", "input_shape", "output_shape", "code"]
)
def test_what_an_unbuilt_sequential_has_not_yet_is_told_with_the_way_to_it(what):
    model = tf.Sequential([layers.Dense(2)])
    words = r"'sequential' has no graph.*not known yet. Fix: begin with Input\(shape\), or call it on data"
    with pytest.raises(GraphError, match=words):
        getattr(model, what)
    model(torch.ones(2, 3))
    assert getattr(model, what) is not None
    assert getattr(tf.Sequential([tf.Input((3,)), layers.Dense(2)]), what) is not None
