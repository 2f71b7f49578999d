"""A clone makes the calls of a model again: with new weights, on other inputs, or with other layers."""

import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError


def branched():
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
    shared = layers.Dense(4, activation="relu", name="shared")
    x = layers.concatenate([shared(a), shared(b).mean(1, keepdim=True)])
    x = nn.Linear(5, 6)(x).view(a.shape[0], -1) * nn.Parameter(torch.full((6,), 2.0))
    x = torch.nn.functional.linear(x, torch.ones(4, 6)) @ shared.weight
    return tf.Model([a, b], {"out": layers.Dense(2, name="out")(x), "t": x.T}, name="branched")


def same(layer):
    return (
        tf.clone_model(layer) if isinstance(layer, tf.Model) else type(layer).from_config(layer.get_config())
    )


def again(layer):
    return nn.Linear(layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else same(layer)


X = [torch.rand(3, 4), torch.rand(3, 4)]


def test_a_clone_by_a_function_is_the_model_with_new_weights():
    model = branched()
    clone = tf.clone_model(model, clone_function=again)
    assert clone.code == model.code and clone.name == "branched"
    assert not {id(each) for each in clone.parameters()} & {id(each) for each in model.parameters()}
    assert not torch.equal(clone.out.weight, model.out.weight)
    clone.load_state_dict(model.state_dict())

    for name, expected in model(*X).items():
        assert torch.equal(clone(*X)[name], expected)


def test_a_clone_may_have_other_layers():
    def gelu(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "activation": "gelu"} if "activation" in config else config)

    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dropout(0.5)(layers.Dense(3, activation="relu")(inputs)))
    clone = tf.clone_model(model, clone_function=gelu).eval()
    clone.set_weights(model.get_weights())

    expected = nn.functional.gelu(nn.functional.linear(X[0], model.dense.weight, model.dense.bias))
    torch.testing.assert_close(clone(X[0]), expected)


def test_a_clone_may_stand_on_tensors_of_another_graph():
    model = branched()
    start = tf.Input((8,), name="start")
    first, second = layers.Dense(4)(start), layers.Dense(4)(start)
    clone = tf.clone_model(model, input_tensors=[first, second])
    whole = tf.Model(start, clone.outputs[0])

    assert whole(torch.rand(3, 8)).shape == (3, 2)
    assert clone.out.weight is not model.out.weight


def test_a_chain_and_a_nested_model_are_cloned_so_too():
    chain = tf.Sequential([tf.Input((4,)), layers.Dense(3), layers.Dense(2)])
    inputs = tf.Input((4,))
    for model in (chain, tf.Model(inputs, chain(inputs))):
        clone = tf.clone_model(model, clone_function=same)
        clone.set_weights(model.get_weights())
        assert torch.equal(clone(X[0]), model(X[0]))


def test_mistakes_are_named():
    with pytest.raises(GraphError, match=r"clone_model: expected a Model, got Linear\. Fix: copy\.deepcopy"):
        tf.clone_model(nn.Linear(2, 2))
    with pytest.raises(GraphError, match=r"expected 2 symbolic tensors, for a, b, got 1 input_tensors"):
        tf.clone_model(branched(), input_tensors=tf.Input((4,)))
    with pytest.raises(GraphError, match=r"got 2 input_tensors \(Tensor, Tensor\)"):
        tf.clone_model(branched(), input_tensors=X)
    with pytest.raises(ShapeError, match=r"Concatenate 'concatenate' .*on 'shared', 'mean'"):
        tf.clone_model(branched(), input_tensors=[tf.Input((7, 4)), tf.Input((4,))])
