"""The guide's models, those with masks and recurrence too, under torch.compile and torch.export."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import torchfunc as tf
from torchfunc import layers


def mlp():
    inputs = tf.Input((784,), name="img")
    x = layers.Dense(64, activation="relu")(inputs)
    return tf.Model(inputs, layers.Dense(10, activation="softmax")(x)), lambda n: (torch.rand(n, 784),)


def autoencoder():
    inputs = tf.Input((28, 28, 1), name="img")
    x = layers.Conv2D(16, 3, activation="relu")(inputs)
    x = layers.MaxPooling2D(3)(x)
    encoder = tf.Model(inputs, layers.GlobalMaxPooling2D()(x), name="encoder")
    image = tf.Input((28, 28, 1), name="image")
    x = layers.Reshape((4, 4, 1))(encoder(image))
    x = layers.UpSampling2D(2)(layers.Conv2DTranspose(8, 3, activation="relu")(x))
    return tf.Model(image, x), lambda n: (torch.rand(n, 28, 28, 1),)


def resnet():
    inputs = tf.Input((16, 16, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    first = layers.MaxPooling2D(2)(x)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(first))
    x = layers.GlobalAveragePooling2D()(layers.add([x, first]))
    return tf.Model(inputs, layers.Dense(4)(layers.Dropout(0.5)(x))), lambda n: (torch.rand(n, 16, 16, 3),)


def tickets():
    title, tags = tf.Input((None,), name="title"), tf.Input((12,), name="tags")
    x = layers.LSTM(8)(layers.Embedding(50, 6)(title))
    x = layers.concatenate([x, tags])
    outputs = [layers.Dense(1, activation="sigmoid")(x), layers.Dense(4, activation="softmax")(x)]
    return tf.Model([title, tags], outputs), lambda n: (torch.randint(50, (n, 7)), torch.rand(n, 12))


def masked(kind):
    def build():
        words = tf.Input((None,), dtype="int64", name="words")
        x = layers.Embedding(20, 6, mask_zero=True)(words)
        x = layers.Bidirectional(layers.GRU(5))(x) if kind == "both ways" else layers.LSTM(5)(x)
        texts = torch.tensor([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0]])
        return tf.Model(words, layers.Dense(2)(x)), lambda n: (texts.repeat(n, 1)[:n],)

    return build


MODELS = {
    "mlp": mlp,
    "autoencoder": autoencoder,
    "resnet": resnet,
    "tickets": tickets,
    "masked lstm": masked("one way"),
    "masked gru both ways": masked("both ways"),
}


def leaves(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.fixture(params=MODELS)
def made(request):
    torch.manual_seed(0)
    torch._dynamo.reset()
    model, data = MODELS[request.param]()
    return model.eval(), data


def test_it_compiles_whole_and_once_for_every_batch_size(made):
    model, data = made
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for size in (2, 3, 5, 6):
        x = data(size)
        for ours, expected in zip(leaves(compiled(*x)), leaves(model(*x)), strict=True):
            torch.testing.assert_close(ours, expected)

    assert counter.frame_count == 1


def test_it_is_exported_with_a_dynamic_batch(made):
    model, data = made
    x = data(4)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, x, dynamic_shapes=tuple({0: batch} for _ in x), strict=False)
    for size in (2, 5):
        x = data(size)
        for ours, expected in zip(leaves(program.module()(*x)), leaves(model(*x)), strict=True):
            torch.testing.assert_close(ours, expected)
