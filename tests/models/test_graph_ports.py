"""Graph ports: what a trainer is told of a graph."""

import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.models.graph_ports import ports_of


def ports(model):
    return ports_of(model.graph, model._modules)


def test_inputs_and_outputs_have_names_shapes_dtypes_and_tables():
    words = tf.Input((4,), name="words", dtype="int64")
    image = tf.Input((2, 2), name="image")
    x = layers.Flatten()(layers.Embedding(7, 3, name="table")(words))
    score = layers.Dense(1, name="score")(layers.concatenate([x, layers.Flatten()(image)]))
    found = ports(tf.Model([words, image], {"value": score, "parts": [x]}))

    assert found.inputs.names == ("words", "image") and found.outputs.names == ("value", "parts")
    assert [port.shape for port in found.inputs] == [(None, 4), (None, 2, 2)]
    assert [port.dtype for port in found.inputs] == [torch.int64, torch.float32]
    assert [port.table for port in found.inputs] == [("table", 7), None]
    assert [port.shape for port in found.outputs] == [(None, 1), (None, 12)]
    assert found.outputs.keys["value"] == "value" and found.outputs.batch_size is None


def test_an_output_names_the_layer_whose_softmax_or_sigmoid_it_is_and_nobody_elses():
    inputs = tf.Input((4,))
    shared = layers.Dense(4, activation="softmax", name="shared")
    outputs = [
        layers.Dense(3, activation="softmax", name="kind")(inputs),
        layers.Activation("sigmoid", name="chance")(inputs),
        layers.Softmax(name="last")(inputs),
        layers.Softmax(axis=1, name="first")(inputs),
        layers.Dense(3, activation="tanh")(inputs),
        nn.Softmax(-1)(inputs),
        shared(shared(inputs)),
        layers.Dense(3, activation="softmax")(inputs) * 1,
    ]

    assert [port.logits for port in ports(tf.Model(inputs, outputs)).outputs] == [
        "kind", "chance", "last", None, None, None, None, None,
    ]  # fmt: skip


def test_the_mask_of_a_model_within_is_an_output_like_any_other():
    words = tf.Input((4,), dtype="int64")
    inner = tf.Sequential([layers.LeakyReLU()])
    outer = inner(layers.Embedding(7, 3, mask_zero=True)(words))
    masks = tf.Model(words, outer.mask)
    x = torch.tensor([[1, 2, 0, 0]])

    assert [port.shape for port in ports(masks).outputs] == [(None, 4)]
    assert masks.predict(x, verbose=0).tolist() == [[True, True, False, False]]
