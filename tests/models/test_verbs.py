"""compile, fit, evaluate and predict of a Model: what it says to its Trainer."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import CompileError, UnknownNameError


def classifier(scale=1.0):
    torch.manual_seed(0)
    inputs = tf.Input((4,), name="x")
    model = tf.Model(inputs, layers.Dense(3, activation="softmax", name="label")(inputs))
    with torch.no_grad():
        model.label.weight.mul_(scale)
    return model


X = np.random.default_rng(0).random((12, 4), dtype="float32")
Y = np.random.default_rng(1).integers(3, size=12)


def test_a_softmax_before_a_crossentropy_is_trained_from_its_logits():
    # with logits of some hundred the probabilities underflow to 0, where their logarithm has no gradient
    model = classifier(scale=1000.0)
    model.compile(optimizer=tf.optimizers.SGD(1.0), loss="sparse_categorical_crossentropy")
    logits = nn.functional.linear(torch.from_numpy(X), model.label.weight, model.label.bias)
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(Y))
    (gradient,) = torch.autograd.grad(expected, model.label.bias)
    before = model.label.bias.detach().clone()

    loss = model.train_on_batch(X, Y)

    assert expected > 20  # beyond what a clipped probability can say
    assert float(np.asarray(loss).reshape(-1)[0]) == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(model.label.bias, before - gradient)


def test_outputs_and_hooks_see_probabilities_all_the_same():
    model = classifier()
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    seen = []
    model.label.register_forward_hook(lambda module, args, output: seen.append(output.sum(-1).detach()))
    model.fit(X, Y, verbose=0)

    assert all(torch.allclose(each, torch.ones_like(each)) for each in seen)
    np.testing.assert_allclose(model.predict(X, verbose=0).sum(-1), 1.0, rtol=1e-5)


def image_classifier(*head):
    torch.manual_seed(0)
    x = inputs = tf.Input((4, 4, 2))
    for layer in head:
        x = layer(x)
    return tf.Model(inputs, x)


@pytest.mark.parametrize(
    ("head", "loss"),
    [
        ([layers.Dense(3, activation="softmax")], "sparse_categorical_crossentropy"),
        ([layers.Dense(1, activation="sigmoid")], "binary_crossentropy"),
        ([layers.Dense(3), layers.Activation("softmax")], "sparse_categorical_crossentropy"),
        ([layers.Dense(3), layers.Softmax()], "sparse_categorical_crossentropy"),
        ([layers.Conv2D(3, 1, activation="softmax")], "sparse_categorical_crossentropy"),
        ([layers.Conv2D(1, 1, activation="sigmoid")], "binary_crossentropy"),
        ([layers.Conv2DTranspose(3, 1, activation="softmax")], "sparse_categorical_crossentropy"),
        ([layers.SeparableConv2D(3, 1, activation="softmax")], "sparse_categorical_crossentropy"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_every_layer_that_activates_tells_its_logits(head, loss):
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32") * 1000
    y = np.zeros((2, 4, 4, 1))
    model = image_classifier(*[type(each).from_config(each.get_config()) for each in head])
    plain = copy.deepcopy(model)
    last = plain.layers[-1]
    if isinstance(last, layers.Softmax):
        setattr(plain, last.name, layers.Activation("linear"))
    else:
        last.activation = tf.activations.linear
    logits = plain(torch.from_numpy(x))
    expected = (
        nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(y).float())
        if logits.shape[-1] == 1
        else nn.functional.cross_entropy(logits.reshape(-1, 3), torch.zeros(32, dtype=torch.long))
    ).item()

    for compiled in (False, True):
        if compiled:
            torch.nn.Module.compile(model, backend="eager")
            model(torch.from_numpy(x))  # traced before anybody asks
        model.compile(tf.optimizers.SGD(0.0), loss)
        assert expected > 20
        for measured in (model.evaluate(x, y, verbose=0), model.train_on_batch(x, y)):
            assert measured == pytest.approx(expected, rel=1e-5)
    assert not any("before_activation" in vars(each) for each in model.modules())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_that_is_made_during_fit_tells_nobody(copied):
    model, copies = classifier(), []
    model.compile("sgd", "sparse_categorical_crossentropy")
    keep = tf.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: copies.append(copied(model)))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=keep)
    first, last = copies
    first(torch.from_numpy(X))

    assert copied(first).label.before_activation is None
    assert last.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    first.fit(X, Y, verbose=0, shuffle=False)
    assert torch.equal(first.label.weight, last.label.weight)


@pytest.mark.parametrize("change", ["hook", "subclass", "activation", "replaced"])
def test_what_changes_the_output_of_the_last_layer_wins_over_its_logits(change):
    class Flat(layers.Dense):
        def forward(self, inputs):
            return torch.full_like(super().forward(inputs), 1 / 3)

    inputs = tf.Input((4,))
    kind = Flat if change == "subclass" else layers.Dense
    model = tf.Model(inputs, kind(3, activation="softmax", name="label")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    if change == "hook":
        model.label.register_forward_hook(lambda layer, args, output: torch.full_like(output, 1 / 3))
    elif change == "activation":
        model.label.activation = lambda x: torch.full_like(x, 1 / 3)
    elif change == "replaced":
        model.label = Flat(3, activation="softmax")

    assert model.evaluate(X, Y, verbose=0) == pytest.approx(np.log(3))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_compile_with_torch_keywords_is_nn_modules():
    model = classifier()
    model.compile(backend="eager")
    assert model.trainer is None and model._compiled_call_impl is not None

    plain = classifier()
    plain.compile()
    assert plain.trainer is None


VERBS = ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_a_model_has_the_signature_of_the_trainers_and_kerass_order(verb):
    ours, theirs = getattr(tf.Model, verb), getattr(keras.Model, verb)
    parameters = inspect.signature(ours).parameters

    assert inspect.signature(ours) == inspect.signature(getattr(tf.Trainer, verb))
    assert ours.__doc__ == getattr(tf.Trainer, verb).__doc__ and ours.__name__ == verb
    expected = [each for each in inspect.signature(theirs).parameters if each not in ("kwargs", "args")]
    by_place = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_place == expected
    beside = "max_steps max_time val_check_interval fast_dev_run overfit_batches anomaly profile".split()
    assert list(parameters) == [*expected, *(beside if verb == "fit" else [])]


def test_compile_takes_the_arguments_of_keras_in_their_order():
    ours, theirs = (list(inspect.signature(kind.compile).parameters) for kind in (tf.Model, keras.Model))

    assert ours[: len(theirs)] == theirs
    assert (
        ours[len(theirs) :]
        == (
            "device precision deterministic gradient_accumulation_steps clipnorm clipvalue global_clipnorm lr_scheduler "
            "use_ema ema_momentum ema_overwrite_frequency cuda_graph distribute sync_batchnorm parallelize torch_options"
        ).split()
    )


def test_arguments_are_taken_by_place():
    one, other = classifier(), classifier()
    one.compile("sgd", "sparse_categorical_crossentropy", None, ["acc"])
    other.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["acc"])
    for each in (one, other):
        torch.manual_seed(0)
        each.first = (
            each.fit(X, Y, 5, 2, 0) if each is one else each.fit(x=X, y=Y, batch_size=5, epochs=2, verbose=0)
        )

    assert one.first.history == other.first.history and torch.equal(one.label.weight, other.label.weight)
    assert one.evaluate(X, Y, 4, 0) == other.evaluate(X, Y, batch_size=4, verbose=0)
    assert np.array_equal(one.predict(X, 4, 0), other.predict(x=X, batch_size=4, verbose=0))
    assert one.train_on_batch(X, Y, np.ones(12)) == other.train_on_batch(X, Y, sample_weight=np.ones(12))


def test_a_compiled_forward_takes_options_of_torch_beside_those_of_training():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True, backend="eager")
    assert model._compiled_call_impl is not None and model.trainer is not None
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])

    with pytest.raises(CompileError, match=r"mode: got an argument of torch.compile .*give jit_compile=True"):
        classifier().compile("sgd", "mse", mode="default")
    model = classifier()
    model.compile(optimizer="rmsprop")  # without a loss, for a step of one's own
    assert model.trainer is not None and model._compiled_call_impl is None


def test_the_trainer_is_no_submodule():
    model = classifier()
    model.compile(optimizer="adam", loss=nn.MultiMarginLoss(weight=torch.ones(3)))

    assert list(model.state_dict()) == ["label.weight", "label.bias"]
    assert [name for name, _ in model.named_children()] == ["label"]


def test_mistakes_are_found_when_compiling():
    model = classifier()
    with pytest.raises(UnknownNameError, match="Did you mean 'sparse_categorical_crossentropy'"):
        model.compile(loss="sparse_categorical_crossentopy")
    with pytest.raises(UnknownNameError, match="Did you mean 'rmsprop'"):
        model.compile(optimizer="rmspro", loss="mse")
    with pytest.raises(CompileError, match="no argument 'optimiser'"):
        model.compile(optimiser="adam", loss="mse")
    with pytest.raises(CompileError, match="was not compiled"):
        model.fit(X, Y)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_training_as_the_original_does(copied):
    model = classifier()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["acc"])
    model.fit(X, Y, epochs=2, verbose=0)
    other = copied(model)
    for each in (model, other):
        torch.manual_seed(5)
        each.fit(X, Y, epochs=2, verbose=0)

    assert torch.equal(model.label.weight, other.label.weight)


def test_regularizers_join_the_loss():
    inputs = tf.Input((4,), name="x")
    model = tf.Model(inputs, layers.Dense(1, kernel_regularizer=tf.regularizers.L2(0.5))(inputs))
    model.compile(optimizer=tf.optimizers.SGD(0.0), loss="mse")
    plain = ((model.predict(X, verbose=0)[:, 0] - Y) ** 2).mean()
    penalty = 0.5 * model.dense.weight.square().sum().item()

    assert model.evaluate(X, Y.astype("float32"), verbose=0) == pytest.approx(plain + penalty, rel=1e-5)
    history = model.fit(X, Y.astype("float32"), epochs=2, verbose=0)
    assert history.history["loss"][1] == pytest.approx(plain + penalty, rel=1e-5)


def test_a_frozen_layer_keeps_its_weights_and_its_statistics():
    inputs = tf.Input((4,), name="x")
    norm = layers.BatchNormalization()
    model = tf.Model(inputs, layers.Dense(1)(norm(inputs)))
    norm.trainable = False
    model.compile(optimizer="adam", loss="mse")
    before = {name: each.clone() for name, each in norm.state_dict().items()}
    model.fit(X, Y.astype("float32"), epochs=1, verbose=0)

    assert all(torch.equal(before[name], each) for name, each in norm.state_dict().items())


def test_callbacks_reach_the_model(tmp_path):
    model = classifier()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    path = str(tmp_path / "best-{epoch:02d}.safetensors")
    callbacks = [
        tf.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True),
        tf.callbacks.EarlyStopping(monitor="loss", patience=1, restore_best_weights=True),
        tf.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
        ),
    ]
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=callbacks)

    assert history.epoch == [0, 1]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["best-01.safetensors", "best-02.safetensors"]
    best = tf.load_model(tmp_path / "best-02.safetensors")
    assert np.array_equal(best.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_custom_train_step_is_used():
    class Quiet(tf.Model):
        steps = 0

        def train_step(self, batch):
            self.steps += 1
            return super().train_step(batch)

    inputs = tf.Input((4,), name="x")
    model = Quiet(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    other = copy.deepcopy(model)
    other.fit(X, Y, batch_size=4, verbose=0)

    assert (model.steps, other.steps) == (6, 9)
    assert (model.trainer.step.count, other.trainer.step.count) == (6, 9)


def test_a_custom_train_step_needs_no_loss():
    class Alone(tf.Model):
        def train_step(self, data):
            return {"size": len(data)}

    inputs = tf.Input((4,), name="x")
    model = Alone(inputs, layers.Dense(3)(inputs))
    model.compile(optimizer="sgd")

    assert model.fit(X, batch_size=4, verbose=0).history == {"size": [4]}
    assert model.trainer.step.count == 3


@pytest.mark.parametrize(
    ("embedding", "dtype", "words", "got"),
    [
        (layers.Embedding, "float32", [[1, 5]], r"5 at index \(0, 1\)"),
        (layers.Embedding, "float32", [[1.5, 2]], r"1.5 at index \(0, 0\)"),
        (layers.Embedding, "int32", [[-1, 2]], r"-1 at index \(0, 0\)"),
        (nn.Embedding, "int64", [[0, 7]], r"7 at index \(0, 1\)"),
    ],
)
def test_what_is_no_row_of_an_embedding_is_told_with_its_place(embedding, dtype, words, got):
    inputs = tf.Input((2,), name="words", dtype=dtype)
    x = layers.Flatten()(embedding(5, 3)(inputs))
    model = tf.Model(inputs, layers.Dense(1)(x))
    model.compile(optimizer="sgd", loss="mse")
    words, target = np.array(words), np.zeros((1, 1))
    told = rf"input 'words': .* from 0 to 4, the rows of 'embedding', got {got}\. Fix: "

    with pytest.raises(tf.errors.DataError, match=told):
        model.fit(words, target, verbose=0)
    with pytest.raises(tf.errors.DataError, match=told):
        model.predict(words, verbose=0)
    model.fit(np.array([[0, 4]]), target, verbose=0)
