"""A model takes a Keras model's weights one for one, whatever its branches."""

import random

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import layers
from torchfunc.models.keras_order import modules_in_keras_order


def drawn(library, inputs_of, model_of, seed, depth=0):
    """A random graph with branches, shared layers and nested models: the same in both libraries."""
    choice = random.Random(seed)
    inputs = [inputs_of((4,)) for _ in range(choice.randint(1, 3))]
    pool, shared = list(inputs), []
    for number in range(choice.randint(4, 12)):
        kind, x = choice.random(), choice.choice(pool)
        if kind < 0.5:
            shared.append(library.Dense(4, name=f"dense_{number}"))
            pool.append(shared[-1](x))
        elif kind < 0.6 and shared:
            pool.append(choice.choice(shared)(x))
        elif kind < 0.75 and depth < 2:
            inner = drawn(library, inputs_of, model_of, choice.randint(0, 10**6), depth + 1)
            pool.append(inner(x if len(inner.inputs) == 1 else [x] * len(inner.inputs)))
        elif kind < 0.85:
            pool.append(library.BatchNormalization(name=f"norm_{number}")(x))
        else:
            pool.append(library.Average(name=f"mean_{number}")([x, choice.choice(pool)]))
    outputs = library.Average(name="all")([*inputs, *choice.sample(pool, 2)])
    return model_of(inputs if len(inputs) > 1 else inputs[0], outputs, name=f"model_{seed}")


@pytest.mark.parametrize("seed", range(12))
def test_keras_weights_go_to_the_same_layers(seed):
    theirs = drawn(keras.layers, keras.Input, keras.Model, seed)
    ours = drawn(layers, tf.Input, tf.Model, seed).eval()
    # positive, for the variances are among them
    weights = [np.random.rand(*each.shape).astype("float32") for each in theirs.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    x = [torch.randn(3, 4) for _ in ours.inputs]

    for mine, yours in zip(ours.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, yours)
    torch.testing.assert_close(ours(*x), theirs(x if len(x) > 1 else x[0]), rtol=1e-4, atol=1e-5)


def two_branches():
    inputs = tf.Input((4,))
    short = layers.Dense(4, name="short")(inputs)
    long = layers.Dense(4, name="last")(layers.Dense(4, name="first")(inputs))
    return tf.Model(inputs, layers.add([long, short]))


def test_a_layer_that_is_farther_from_the_output_comes_first():
    model = two_branches()

    assert modules_in_keras_order(model.graph) == ["first", "last", "short", "add"]
    assert [name for name, _ in model.named_children()] == ["short", "first", "last", "add"]
    assert model.weights[0] is model.first.weight and model.count_params() == 60


def test_a_module_that_no_call_reaches_comes_last():
    model = two_branches()
    model.spare = torch.nn.Linear(2, 2)

    assert [each.shape for each in model.get_weights()[-2:]] == [(2, 2), (2,)]


def test_ten_thousand_calls_are_ordered_without_recursion():
    x = inputs = tf.Input((1,))
    relu = layers.ReLU()
    for _ in range(10_000):
        x = relu(x)
    graph = tf.Model(inputs, x).graph

    assert modules_in_keras_order(graph) == ["re_lu"]
