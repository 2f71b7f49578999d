"""The guide's models, those with masks and recurrence too, under the compilers and exporters of PyTorch."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

import torchfunc as tf
from torchfunc import layers, tree


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


class CustomRNN(layers.Layer):
    """The guide's: a loop over the steps, with a functional model inside."""

    def __init__(self, classifier, units=6):
        super().__init__()
        self.units, self.classifier = units, classifier
        self.projection_1 = layers.Dense(units, activation="tanh")
        self.projection_2 = layers.Dense(units, activation="tanh")

    def call(self, inputs):
        state = torch.zeros(inputs.shape[0], self.units)
        outputs = []
        for step in range(inputs.shape[1]):
            state = self.projection_1(inputs[:, step]) + self.projection_2(state)
            outputs.append(state)
        return self.classifier(torch.stack(outputs, 1))


def custom_rnn():
    features = tf.Input((None, 6))
    x = layers.GlobalAveragePooling1D()(features)
    classifier = tf.Model(features, layers.Dense(1, activation="sigmoid")(x))
    inputs = tf.Input((7, 3))
    return tf.Model(inputs, CustomRNN(classifier)(layers.Conv1D(5, 3)(inputs))), lambda n: (
        torch.rand(n, 7, 3),
    )


def ensemble():
    def member():
        inputs = tf.Input((8,))
        return tf.Model(inputs, layers.Dense(1, activation="sigmoid")(inputs))

    members, inputs = [member() for _ in range(3)], tf.Input((8,))
    outputs = layers.average([each(inputs) for each in members])
    return tf.Model(inputs, outputs), lambda n: (torch.rand(n, 8),)


def shared_embedding():
    shared = layers.Embedding(30, 4)
    a, b = tf.Input((None,), dtype="int32", name="a"), tf.Input((None,), dtype="int32", name="b")
    data = torch.arange(60, dtype=torch.int32) % 30
    return tf.Model([a, b], [shared(a), shared(b).sum(1)]), lambda n: (
        data[: 5 * n].view(n, 5),
        data[: 3 * n].view(n, 3),
    )


def features():
    model, data = resnet()
    return tf.Model(model.input, [layer.output for layer in model.layers[1:]]), data


def native():
    inputs = tf.Input((4, 8))
    x = nn.LayerNorm(6)(nn.Conv1d(4, 6, 3)(inputs.flip(1)).mT.reshape(inputs.shape[0], -1, 6))
    x = nn.functional.gelu(torch.cat([x.amax(1), x[:, -1]], 1)).view(x.shape[0], -1)
    return tf.Model(inputs, {"logits": nn.Linear(12, 3)(x), "hidden": x}), lambda n: (torch.rand(n, 4, 8),)


MODELS = {
    "mlp": mlp,
    "autoencoder": autoencoder,
    "ensemble": ensemble,
    "resnet": resnet,
    "tickets": tickets,
    "shared embedding": shared_embedding,
    "features": features,
    "custom rnn": custom_rnn,
    "masked lstm": masked("one way"),
    "masked gru both ways": masked("both ways"),
    "native modules": native,
}


@pytest.fixture(params=MODELS)
def made(request):
    torch.manual_seed(0)
    torch._dynamo.reset()
    model, data = MODELS[request.param]()
    return model.eval(), data


def same(found, expected, **tolerance):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_it_compiles_whole_and_once_for_every_batch_size(made):
    model, data = made
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for size in (2, 3, 5, 6):
        x = data(size)
        same(compiled(*x), model(*x))

    assert counter.frame_count == 1


def test_compiled_it_trains_as_it_does_without(made):
    model, data = made
    twin = copy.deepcopy(model.train())
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for size in (2, 5):
        x = data(size)
        for each in (compiled, twin):
            torch.manual_seed(size)
            sum(leaf.square().sum() for leaf in tree.leaves(each(*x))).backward()

    assert counter.frame_count == 1
    same([p.grad for p in model.parameters()], [p.grad for p in twin.parameters()])
    same(model.state_dict(), twin.state_dict())


@pytest.mark.parametrize("name", MODELS)
def test_five_equal_ones_compile_once(name):
    torch._dynamo.reset()
    counter = CompileCounter()
    for _ in range(5):
        model, data = MODELS[name]()
        torch.compile(model.eval(), fullgraph=True, dynamic=True, backend=counter)(*data(3))

    assert counter.frame_count == 1


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not strict"])
def test_it_is_exported_with_a_dynamic_batch(made, strict):
    model, data = made
    x = data(4)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, x, dynamic_shapes=tuple({0: batch} for _ in x), strict=strict)
    for size in (2, 5):
        x = data(size)
        same(program.module()(*x), model(*x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "made", ["autoencoder", "resnet", "tickets", "masked lstm", "masked gru both ways"], indirect=True
)
def test_onnxruntime_computes_the_same_for_every_batch_size(made, tmp_path):
    import onnxruntime

    model, data = made
    x = data(4)
    batch = torch.export.Dim("batch", min=2, max=64)
    torch.onnx.export(
        model,
        x,
        tmp_path / "model.onnx",
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in x),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for size in (2, 5):
        x = data(size)
        given = {each.name: value.numpy() for each, value in zip(session.get_inputs(), x, strict=True)}
        found = [torch.from_numpy(each) for each in session.run(None, given)]
        same(found, list(tree.leaves(model(*x))), rtol=1e-4, atol=1e-5)


def test_fx_traces_it(made):
    model, data = made
    traced = torch.fx.symbolic_trace(model)
    for size in (2, 5):
        x = data(size)
        same(traced(*x), model(*x))


@pytest.mark.filterwarnings("ignore")
def test_jit_traces_it(made):
    model, data = made
    traced = torch.jit.trace(model, data(4), strict=False)  # strict refuses a dict of outputs
    for size in (2, 5):
        x = data(size)
        same(traced(*x), model(*x))
