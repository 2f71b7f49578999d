"""Between outputs and losses: what a batch is measured by, against Keras and numbers made by hand."""

from __future__ import annotations

import tracemalloc
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import torchfunc as tf
from torchfunc import activations, layers, losses
from torchfunc.errors import DataError
from torchfunc.training.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:(keras|torch)")

RANDOM = np.random.default_rng(0)


class Largest(nn.Module):
    """As torchmetrics has it: a metric that is a module."""

    def __init__(self, times: float = 1.0) -> None:
        super().__init__()
        self.times = times
        self.reset()

    def update(self, preds: Any, target: Any) -> None:
        self.value = torch.maximum(self.value, self.times * (preds - target).abs().max())

    def compute(self) -> Any:
        return self.value

    def reset(self) -> None:
        self.value = torch.tensor(0.0)


class Collection(nn.ModuleDict):
    """As torchmetrics has it: metrics by name, with the interface of one."""

    def __init__(self, **members: nn.Module) -> None:
        super().__init__()
        for name, member in members.items():
            self[name] = member

    def update(self, preds: Any, target: Any) -> None: ...

    def compute(self) -> None: ...

    def reset(self) -> None: ...


class Both(Largest):
    """As torchmetrics' wrappers have it: a result by name."""

    def compute(self) -> Any:
        return {"once": self.value, "twice": 2 * self.value}


@pytest.mark.parametrize(
    ("metric", "names"),
    [(Collection(once=Largest(), twice=Largest(2.0)), ("once", "twice")), (Both(), ("once", "twice"))],
    ids=["a collection", "a dict"],
)
def test_a_metric_of_several_figures_logs_each(metric: Any, names: tuple[str, ...]) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse", metrics=[metric, "mae"])
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), np.zeros((8, 1), "float32")
    largest = np.abs(model.predict(x, verbose=0)).max()

    measured = model.evaluate(x, y, verbose=0, return_dict=True)
    history = model.fit(x, y, validation_data=(x, y), verbose=1).history

    assert list(measured) == ["loss", *names, "mae"] == model.trainer.metrics_names
    np.testing.assert_allclose([measured[name] for name in names], [largest, 2 * largest], rtol=1e-6)
    assert list(history) == [*measured, *(f"val_{name}" for name in measured)]
    assert len(model.evaluate(x, y, verbose=0)) == 4


def dense(activation: Any = None) -> Any:
    return layers.Dense(3, activation=activation)


LAST_CALLS = {
    "softmax": [
        lambda x: dense("softmax")(x),
        lambda x: layers.Activation("softmax")(dense()(x)),
        lambda x: layers.Softmax()(dense()(x)),
        lambda x: nn.Softmax(-1)(dense()(x)),
        lambda x: torch.softmax(dense()(x), -1),
        lambda x: dense()(x).softmax(-1),
        lambda x: F.softmax(dense()(x), -1),
        lambda x: activations.softmax(dense()(x)),
        lambda x: tf.Sequential([dense("softmax")])(x),
        lambda x: nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))(x),
    ],
    "sigmoid": [
        lambda x: dense("sigmoid")(x),
        lambda x: nn.Sigmoid()(dense()(x)),
        lambda x: dense()(x).sigmoid(),
        lambda x: torch.sigmoid(dense()(x)),
    ],
    "log_softmax": [lambda x: nn.LogSoftmax(-1)(dense()(x)), lambda x: dense("log_softmax")(x)],
    "log_sigmoid": [lambda x: F.logsigmoid(dense()(x))],
    "no": [
        lambda x: dense()(x),
        lambda x: dense("relu")(x),
        lambda x: dense("softmax")(x) * 2,
        lambda x: layers.Flatten()(layers.LSTM(3, activation="softmax", return_sequences=True)(x[:, None])),
    ],
}
MISFITS = {
    "softmax": [nn.CrossEntropyLoss(), losses.SparseCategoricalCrossentropy(from_logits=True), nn.NLLLoss()],
    "sigmoid": [nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits],
    "log_softmax": ["categorical_crossentropy"],
    "log_sigmoid": [nn.BCEWithLogitsLoss()],
    "no": [],
}


@pytest.mark.parametrize(
    ("activation", "index"),
    [(name, index) for name, each in LAST_CALLS.items() for index in range(len(each))],
)
def test_a_loss_that_does_not_go_with_the_last_call_is_warned_of_at_compile(
    activation: str, index: int
) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, LAST_CALLS[activation][index](inputs))
    every = [each for given in MISFITS.values() for each in given]
    for loss in every if activation == "no" else ["mse"]:
        model.compile("sgd", loss)
    for loss in MISFITS[activation]:
        with pytest.warns(UserWarning, match=f"The output '.*' is a {activation} already, and its loss"):
            model.compile("sgd", loss)


def test_a_native_module_that_ends_with_a_softmax_is_warned_of_too() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), RANDOM.integers(0, 3, 8)

    with pytest.warns(UserWarning, match="The output 'output' is a softmax already"):
        Trainer(module, loss=nn.CrossEntropyLoss()).evaluate(x, y, verbose=0)


@pytest.mark.parametrize("optimizer", ["sgd", torch.optim.SGD], ids=["ours", "of PyTorch"])
def test_the_learning_rate_can_be_read_and_set_before_the_first_step(optimizer: Any) -> None:
    module = nn.Linear(2, 1)
    trained = Trainer(module, optimizer=optimizer, loss="mse")
    trained.learning_rate = 0.5
    restored = Trainer(module, optimizer=optimizer, loss="mse")
    restored.load_state_dict(trained.state_dict())

    assert trained.learning_rate == restored.learning_rate == 0.5
    restored.learning_rate = 0.25
    restored.train_on_batch(np.ones((2, 2), "float32"), np.ones((2, 1), "float32"))
    assert restored.learning_rate == 0.25


CLASS_WEIGHT = {0: 0.5, 1: 3.0, 2: 10.0}


def softmax_model(library: Any, shape: tuple[int, ...]) -> Any:
    inputs = library.Input(shape)
    return library.Model(inputs, library.layers.Dense(3, activation="softmax")(inputs))


def weights_of(labels: Any) -> Any:
    return np.vectorize(CLASS_WEIGHT.get)(labels)


def log_probability(p: Any, labels: Any) -> Any:
    return np.log(np.take_along_axis(p.astype(np.float64), labels[..., None], -1))[..., 0]


@pytest.mark.parametrize("given", [None, "a sample", "a label"])
@pytest.mark.parametrize(
    "form", ["indices", "column", "one-hot", "indices of PyTorch", "probabilities of PyTorch"]
)
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)], ids=["a sample", "a step", "a pixel"])
def test_each_label_has_the_weight_of_its_class(shape: tuple[int, ...], form: str, given: str | None) -> None:
    model = softmax_model(tf, shape)
    x = RANDOM.normal(size=(6, *shape)).astype("float32")
    labels = RANDOM.integers(0, 3, (6, *shape[:-1]))
    one_hot = np.eye(3, dtype="float32")[labels]
    loss: Any = {"one-hot": "categorical_crossentropy"}.get(form, "sparse_categorical_crossentropy")
    y = {"column": labels[..., None], "one-hot": one_hot}.get(form, labels)
    if "PyTorch" in form:
        log_model = tf.Model(model.input, model.output.log().movedim(-1, 1).contiguous())
        loss, y = nn.NLLLoss(), labels
        if form == "probabilities of PyTorch":
            loss, y = nn.CrossEntropyLoss(), np.moveaxis(one_hot, -1, 1)
        model_trained = log_model
    else:
        model_trained = model
    own = {None: np.ones(6), "a sample": RANDOM.random(6), "a label": RANDOM.random(labels.shape)}[given]
    values = -log_probability(model.predict(x, verbose=0), labels)
    weights = weights_of(labels) * own.reshape(own.shape + (1,) * (labels.ndim - own.ndim))
    expected = (values * weights).mean()

    options = {} if given is None else {"sample_weight": own}
    model_trained.compile("sgd", loss)
    before = [each.copy() for each in model_trained.get_weights()]
    found = model_trained.fit(x, y, batch_size=6, class_weight=CLASS_WEIGHT, verbose=0, **options).history
    model_trained.set_weights(before)
    on_batch = model_trained.train_on_batch(x, y, class_weight=CLASS_WEIGHT, **options)

    np.testing.assert_allclose([found["loss"][0], on_batch], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", RANDOM.integers(0, 3, 8)),
        (3, "softmax", "categorical_crossentropy", np.eye(3)[RANDOM.integers(0, 3, 8)]),
        (3, None, "mse", np.eye(3)[RANDOM.integers(0, 3, 8)]),
        (3, "sigmoid", "binary_crossentropy", np.eye(3)[RANDOM.integers(0, 3, 8)]),
        (1, "sigmoid", "binary_crossentropy", RANDOM.integers(0, 2, (8, 1))),
        (1, "sigmoid", "binary_crossentropy", RANDOM.integers(0, 2, 8)),
        (1, None, "mse", RANDOM.integers(0, 3, (8, 1)).astype("float32")),
        (1, "tanh", "hinge", RANDOM.integers(0, 2, (8, 1)) + 1e-3),
    ],
    ids=["indices", "one-hot", "one-hot numbers", "one-hot bits", "a column", "bits", "numbers", "rounded"],
)
def test_class_weights_are_those_of_keras_where_it_takes_them(
    units: int, activation: Any, loss: str, y: Any
) -> None:
    x = RANDOM.normal(size=(8, 4)).astype("float32")
    models = []
    for library in (keras, tf):
        inputs = library.Input((4,))
        model = library.Model(inputs, library.layers.Dense(units, activation=activation)(inputs))
        model.compile("sgd", loss, weighted_metrics=["mae"] if y.ndim > 1 else [])
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    options = {"batch_size": 4, "verbose": 0, "shuffle": False}
    theirs, ours = (
        model.fit(
            x,
            y,
            class_weight=CLASS_WEIGHT,
            validation_data=(x, y),
            epochs=2,
            **options,
        ).history
        for model in models
    )
    assert sorted(ours) == sorted(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-5, err_msg=name)


def test_class_weights_are_of_the_training_alone() -> None:
    model = softmax_model(tf, (4,))
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    x, y, own = RANDOM.normal(size=(40, 4)).astype("float32"), RANDOM.integers(0, 3, 40), RANDOM.random(40)
    found = model.fit(x, y, sample_weight=own, class_weight=CLASS_WEIGHT, validation_split=0.25, verbose=0)
    right = model.evaluate(x[30:], y[30:], sample_weight=own[30:], verbose=0)
    np.testing.assert_allclose([found.history[f"val_{n}"][0] for n in ("loss", "accuracy")], right, rtol=1e-6)


def test_a_label_that_the_loss_ignores_needs_no_weight() -> None:
    x, labels = RANDOM.normal(size=(6, 5, 4)).astype("float32"), RANDOM.integers(0, 3, (6, 5))
    labels[:, 3:] = -1
    model = softmax_model(tf, (5, 4))
    p, counted = model.predict(x, verbose=0), labels >= 0
    model.compile("sgd", losses.SparseCategoricalCrossentropy(ignore_class=-1))
    found = model.train_on_batch(x, labels, class_weight=CLASS_WEIGHT)
    expected = -(log_probability(p, labels) * np.where(counted, weights_of(np.abs(labels)), 0)).sum()
    np.testing.assert_allclose(found, expected / counted.sum(), rtol=1e-5)


def test_class_weights_for_several_labels_a_sample_are_refused() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(3, activation="sigmoid")(inputs))
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(
        DataError, match="class_weight: expected one class a sample, .* Fix: use sample_weight"
    ):
        model.fit(np.ones((4, 4)), np.array([[1, 1, 0]] * 4), class_weight=CLASS_WEIGHT, verbose=0)


class Penalized(layers.Layer):
    """Adds the squares of its input to the loss, once it is told to."""

    adds, whole = True, True

    def call(self, x: Any) -> Any:
        if self.adds:
            squares = x.pow(2).sum(-1)
            self.add_loss(squares if self.whole else squares.sum())
        return x


def test_a_loss_of_several_numbers_is_added_as_their_sum() -> None:
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), np.zeros((8, 4), "float32")
    inputs = tf.Input((4,))
    model = tf.Model(inputs, Penalized()(inputs))
    model.compile(loss="mse")
    expected = (x.astype(np.float64) ** 2).mean() + (x.astype(np.float64) ** 2).sum()
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-6)


def test_losses_that_begin_after_the_first_batch_count() -> None:
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), np.zeros((8, 4), "float32")
    inputs = tf.Input((4,))
    penalized, dense = Penalized(), layers.Dense(4, kernel_regularizer="l2")
    dense.trainable = False
    model = tf.Model(inputs, penalized(dense(layers.Dense(4)(inputs))))
    model.compile(tf.optimizers.SGD(0.0), "mse")
    penalized.adds = False

    class Begin(tf.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            penalized.adds, dense.trainable = epoch == 1, epoch == 2

    history = model.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=[Begin()]).history["loss"]
    p = model.predict(x, verbose=0).astype(np.float64)
    kernel = dense.get_weights()[0].astype(np.float64)
    mse = (p**2).mean()
    np.testing.assert_allclose(history, [mse, mse + (p**2).sum(), mse + 0.01 * (kernel**2).sum()], rtol=1e-5)


def test_weights_that_are_not_trained_are_neither_penalized_nor_constrained_as_in_keras() -> None:
    x, y = RANDOM.normal(size=(8, 4)).astype("float32"), np.zeros((8, 2), "float32")
    found = []
    for library in (keras, tf):
        inputs = library.Input((4,))
        options = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "bias_initializer": "ones"}
        frozen = library.layers.Dense(
            4, trainable=False, kernel_constraint=library.constraints.MaxNorm(0.1), **options
        )
        trained = library.layers.Dense(2, kernel_constraint=library.constraints.MaxNorm(0.1), **options)
        unused = library.layers.Dense(3, kernel_constraint=library.constraints.MaxNorm(0.1), **options)
        hidden = frozen(inputs)
        model = library.Model(inputs, [trained(hidden), unused(hidden)])
        if found:
            model.set_weights(found[0][0])
        weights = [np.array(each) for each in model.get_weights()]
        model.compile(library.optimizers.SGD(0.1), ["mse", None])
        loss = model.fit(
            x,
            [y, None] if library is tf else [y, np.zeros((8, 3))],
            batch_size=4,
            epochs=2,
            shuffle=False,
            verbose=0,
        ).history["loss"]
        found.append((weights, loss, len(model.losses), model.get_weights()))
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5)
    assert found[1][2] == found[0][2] == 4
    for ours, theirs in zip(found[1][3], found[0][3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3)])
def test_an_empty_batch_adds_nothing_to_the_loss(shape: tuple[int, ...]) -> None:
    layer = layers.Dense(2, activity_regularizer="l2")
    layer(torch.zeros(shape))
    assert [each.item() for each in layer.losses] == [0.0]


MASKED = RANDOM.integers(1, 9, (6, 7))
MASKED[0, 2:] = MASKED[1, 1:] = MASKED[2, 5:] = MASKED[5] = 0


def tagger(library: Any, form: str) -> Any:
    """A model that returns a mask with its probabilities (n, 7, 4)."""
    inputs = library.Input((7,), dtype="int64")
    kinds = library.layers

    def tagged(x: Any) -> Any:
        x = kinds.LSTM(6, return_sequences=True)(kinds.Embedding(9, 5, mask_zero=True)(x))
        return kinds.Dense(4, activation="softmax", name="kind")(x)

    if form == "sequential":
        return library.Sequential(
            [
                inputs if library is keras else library.Input((7,), dtype="int64"),
                kinds.Embedding(9, 5, mask_zero=True),
                kinds.LSTM(6, return_sequences=True),
                kinds.Dense(4, activation="softmax", name="kind"),
            ]
        )
    if form == "nested":
        return library.Model(inputs, library.Model(inputs, tagged(inputs), name="kind")(inputs))
    if form == "several":
        x = kinds.Embedding(9, 5, mask_zero=True)(inputs)
        plain = kinds.Dense(1, name="plain")(kinds.LSTM(2)(x))
        return library.Model(inputs, [plain, kinds.Dense(4, activation="softmax", name="kind")(x)])
    return library.Model(inputs, tagged(inputs))


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return ((torch.as_tensor(y_true) - y_pred) ** 2).mean(-1)


def own_number(y_true: Any, y_pred: Any) -> Any:
    return ((torch.as_tensor(y_true) - y_pred) ** 2).mean()


MASKED_LOSSES: dict[str, Any] = {
    "indices": lambda kinds: kinds.SparseCategoricalCrossentropy(),
    "ignored": lambda kinds: kinds.SparseCategoricalCrossentropy(ignore_class=2),
    "sum": lambda kinds: kinds.SparseCategoricalCrossentropy(reduction="sum"),
    "one-hot": lambda kinds: kinds.CategoricalCrossentropy(),
    "smoothed": lambda kinds: kinds.CategoricalCrossentropy(label_smoothing=0.1),
    "mse": lambda kinds: kinds.MeanSquaredError(),
    "weighted mean": lambda kinds: kinds.MeanSquaredError(reduction="mean_with_sample_weight"),
    "function": lambda kinds: own_loss,
    "number": lambda kinds: own_number,
}


@pytest.mark.parametrize(
    ("form", "loss", "weighted"),
    [
        (form, loss, weighted)
        for form in ("model", "sequential", "nested", "several")
        for loss in (MASKED_LOSSES if form == "model" else ("indices", "mse"))
        for weighted in (False, True)
        if not (weighted and loss == "number")  # which has no values to weigh
    ],
)
def test_the_mask_of_an_output_weighs_its_loss_and_its_metrics_as_in_keras(
    form: str, loss: str, weighted: bool
) -> None:
    labels = RANDOM.integers(0, 4, (6, 7))
    y: Any = labels if loss in ("indices", "ignored", "sum") else np.eye(4, dtype="float32")[labels]
    # Keras takes no weight a sample beside a mask of steps
    weights: Any = RANDOM.random((6, 7)) if weighted else None
    several = form == "several"
    if several:
        y = [np.ones((6, 1), "float32"), y]
        weights = [RANDOM.random(6), weights] if weighted else None
    results = []
    for library in (keras, tf):
        model = tagger(library, form)
        if results:
            model.set_weights(results[0]["before"])
        metrics = ["accuracy", own_loss] if y is not labels and not several else ["accuracy"]
        model.compile(
            library.optimizers.SGD(0.5),
            ["mse", MASKED_LOSSES[loss](library.losses)] if several else MASKED_LOSSES[loss](library.losses),
            metrics=[["mae"], metrics] if several else metrics,
            # and there a label that the loss ignores is left out of the metrics then
            weighted_metrics=[[], ["accuracy"]] if several else ["accuracy"] * (loss != "ignored"),
        )
        result: dict[str, Any] = {"before": model.get_weights()}
        options = {"sample_weight": weights, "return_dict": True}
        # in Keras a mask changes the weights of the batch in place, differently in each, which metrics then take
        size = 6 if weighted else 4
        result |= model.evaluate(MASKED, y, batch_size=size, verbose=0, **options)
        result |= {f"test {k}": v for k, v in model.test_on_batch(MASKED, y, **options).items()}
        fitted = model.fit(
            MASKED, y, sample_weight=weights, batch_size=size, epochs=2, shuffle=False, verbose=0
        ).history
        result |= {f"fit {k}": v for k, v in fitted.items()}
        if library is keras:
            model.reset_metrics()
        result |= {f"train {k}": v for k, v in model.train_on_batch(MASKED, y, **options).items()}
        result["after"] = model.get_weights()
        results.append(result)
    theirs, ours = results
    assert sorted(ours) == sorted(theirs)
    for name, value in theirs.items():
        if name in ("before", "after"):
            for one, other in zip(ours[name], value, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_allclose(ours[name], value, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.MSELoss(reduction="sum"), F.l1_loss, nn.HuberLoss()],
    ids=["mean", "sum", "function", "huber"],
)
@pytest.mark.parametrize("shape", [None, (6,), (6, 1), (6, 7), (6, 7, 1)], ids=str)
def test_losses_of_pytorch_leave_masked_steps_out_too(loss: Any, shape: Any) -> None:
    inputs = tf.Input((7,), dtype=torch.int64)
    model = tf.Model(inputs, layers.Dense(3)(layers.Embedding(9, 5, mask_zero=True)(inputs)))
    model.compile(loss=loss)
    y, weights = (
        RANDOM.normal(size=(6, 7, 3)).astype("float32"),
        None if shape is None else RANDOM.random(shape),
    )
    p, mask = torch.tensor(model.predict(MASKED, verbose=0)).double(), torch.tensor(MASKED != 0)
    function = loss if callable(loss) and not isinstance(loss, nn.Module) else None
    unreduced = function or getattr(
        F, {"MSELoss": "mse_loss", "HuberLoss": "huber_loss"}[type(loss).__name__]
    )
    values = unreduced(p, torch.tensor(y).double(), reduction="none")
    given = (
        torch.ones(6, 7, 1) if weights is None else torch.tensor(weights).reshape(6, -1, 1).expand(6, 7, 1)
    )
    total = (values * given * mask[..., None]).sum()
    expected = total if getattr(loss, "reduction", "mean") == "sum" else total / (mask.sum() * 3)
    np.testing.assert_allclose(
        model.evaluate(MASKED, y, sample_weight=weights, verbose=0), expected, rtol=1e-5
    )


def test_class_weights_and_masks_go_together_and_logits_stay_exact() -> None:
    inputs = tf.Input((7,), dtype=torch.int64)
    scale = tf.layers.Dense(
        3, activation="softmax", kernel_initializer=tf.initializers.RandomNormal(stddev=3000)
    )
    model = tf.Model(
        inputs, scale(layers.Embedding(9, 5, mask_zero=True, embeddings_initializer="normal")(inputs))
    )
    model.compile(tf.optimizers.SGD(0.0), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    labels, own = RANDOM.integers(0, 3, (6, 7)), RANDOM.random(6)
    logits = tf.Model(inputs, model.layers[1].output).predict(MASKED, verbose=0).astype(np.float64)
    kernel, bias = (each.astype(np.float64) for each in scale.get_weights())
    logits = torch.tensor(logits @ kernel + bias)
    values = F.cross_entropy(logits.movedim(-1, 1), torch.tensor(labels), reduction="none").numpy()
    weights = weights_of(labels) * own[:, None] * (MASKED != 0)
    assert values.max() > 100  # where a probability is 0 in float32

    found = model.train_on_batch(MASKED, labels, sample_weight=own, class_weight=CLASS_WEIGHT)

    right = (logits.argmax(-1).numpy() == labels) * weights
    expected = [(values * weights).sum() / (MASKED != 0).sum(), right.sum() / weights.sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_model_without_masks_at_its_outputs_is_called_as_before() -> None:
    inputs = tf.Input((7,), dtype=torch.int64)
    x = layers.LSTM(3)(layers.Embedding(9, 5, mask_zero=True)(inputs))
    model = tf.Model(inputs, layers.Dense(1)(x))
    model.compile(loss="mse")
    kind = type(model)
    model.evaluate(MASKED, np.ones((6, 1)), verbose=0)
    assert type(model) is kind and not model.trainer.step.masked


def test_a_forward_of_ones_own_is_trained_without_masks() -> None:
    class Own(tf.Model):
        def forward(self, x: Any) -> Any:
            return self.dense(self.embedding(x))

    inputs = tf.Input((7,), dtype=torch.int64)
    outputs = layers.Dense(1, name="dense")(layers.Embedding(9, 5, mask_zero=True, name="embedding")(inputs))
    model = Own(inputs, outputs)
    model.compile(loss="mse")
    p = model.predict(MASKED, verbose=0)
    np.testing.assert_allclose(model.evaluate(MASKED, p + 1, verbose=0), 1.0, rtol=1e-5)


def test_a_mask_that_no_value_of_a_loss_can_have_is_told() -> None:
    loss = losses.MeanSquaredError()
    with pytest.raises(
        DataError, match=r"mean_squared_error'.*expected a value for each place of the mask, got"
    ):
        loss(torch.zeros(2, 3), torch.ones(2, 3), mask=torch.ones(2, 3, dtype=torch.bool))


@pytest.mark.parametrize("names", [(None, None), ("z", "y"), ("after", "before")], ids=str)
@pytest.mark.parametrize("nested", [False, True])
def test_data_are_taken_by_the_keys_that_the_model_was_made_with(names: Any, nested: bool) -> None:
    first, second = tf.Input((4,), name=names[0]), tf.Input((4,), name=names[1])
    difference = layers.Dense(1, name="difference")(first - second)
    outputs = {"one": difference, "parts": {"two": layers.Dense(2)(first)}}
    given: Any = {"before": first, "more": [second]} if nested else {"before": first, "after": second}
    model = tf.Model(given, outputs)
    a, b = (RANDOM.normal(size=(8, 4)).astype("float32") for _ in range(2))
    x: Any = {"more": [b], "before": a} if nested else {"after": b, "before": a}
    y = {"parts": {"two": np.ones((8, 2), "float32")}, "one": np.ones((8, 1), "float32")}
    model.compile("sgd", {"one": "mse", "parts_two": "mae"})
    kernel, bias = (each.astype(np.float64) for each in model.get_layer("difference").get_weights())
    expected = (a - b) @ kernel + bias

    for found in (model.predict(x, verbose=0), model.predict_on_batch(x)):
        np.testing.assert_allclose(found["one"], expected, rtol=1e-4, atol=1e-5)
    losses_of = [
        model.evaluate(x, y, verbose=0, return_dict=True)["one_loss"],
        model.test_on_batch(x, y, return_dict=True)["one_loss"],
    ]
    if not nested:
        rows = [
            ({k: v[i] for k, v in x.items()}, {"one": y["one"][i], "parts": {"two": y["parts"]["two"][i]}})
            for i in range(8)
        ]
        loader = torch.utils.data.DataLoader(rows, batch_size=8)
        losses_of.append(model.evaluate(loader, verbose=0, return_dict=True)["one_loss"])
    losses_of.append(model.train_on_batch(x, y, return_dict=True)["one_loss"])
    np.testing.assert_allclose(losses_of, ((expected - 1) ** 2).mean(), rtol=1e-4)
    assert model.fit(x, y, verbose=0, epochs=2).history["loss"][1] > 0


class LargestMade(TorchDispatchMode):
    """How many bytes the largest tensor has that any call of PyTorch made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for each in tree_leaves((args, kwargs)):
            if isinstance(each, torch.Tensor):
                self.known.add(each.untyped_storage().data_ptr())
        made = func(*args, **kwargs or {})
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in self.known:
                self.bytes = max(self.bytes, each.untyped_storage().nbytes())
        return made


COUNT, FEATURES = 20_000, 256


@pytest.mark.parametrize("mapped", [False, True], ids=["array", "memory map"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float16", "float32", "float64"])
def test_large_data_are_cast_batch_by_batch_and_never_copied_whole(
    dtype: str, mapped: bool, tmp_path: Any
) -> None:
    if dtype == "float64" and not mapped:
        return  # cast once, into half of its memory
    values = RANDOM.integers(0, 3, (COUNT, FEATURES)).astype(dtype)
    x = np.memmap(tmp_path / "x", dtype, "w+", shape=values.shape) if mapped else values.copy()
    x[:] = values
    y = x.astype(dtype) if not mapped else np.memmap(tmp_path / "x", dtype, "r", shape=values.shape)
    inputs = tf.Input((FEATURES,))
    results: list[list[float]] = []
    for data, targets in ((x, y), (values.astype("float32"), values.astype("float32"))):
        torch.manual_seed(0)
        model = tf.Model(inputs, layers.Dense(FEATURES)(layers.Dense(1)(inputs)))
        model.set_weights([np.full(each.shape, 0.01, "float32") for each in model.get_weights()])
        model.compile(tf.optimizers.SGD(1e-4), "mse")
        made = LargestMade()
        tracemalloc.start()
        try:
            with made:
                options = {"batch_size": 500, "verbose": 0}
                fitted = model.fit(data, targets, steps_per_epoch=3, **options).history["loss"]
                fitted += model.fit(
                    data, targets, shuffle=False, validation_split=0.1, steps_per_epoch=2, **options
                ).history["val_loss"]
                measured = model.evaluate(data, targets, steps=2, **options)
                predicted = tf.Model(inputs, model.layers[-1].input).predict(data, **options)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        results.append([*fitted, measured, float(predicted.sum())])
        if data is x:
            assert max(made.bytes, peak) < x.nbytes / 2
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_large_labels_are_cast_and_checked_without_a_copy(dtype: str) -> None:
    labels = RANDOM.integers(0, 3, (COUNT, FEATURES)).astype(dtype)
    x = RANDOM.normal(size=(COUNT, 1)).astype("float32")
    inputs = tf.Input((1,))
    model = tf.Model(inputs, layers.Reshape((FEATURES, 3))(layers.Dense(3 * FEATURES)(inputs)))
    model.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    with LargestMade() as made:
        found = model.evaluate(x, labels, batch_size=50, steps=2, verbose=0)
    assert made.bytes < labels.nbytes / 2
    right = model.evaluate(x[:100], labels[:100].astype("int64"), batch_size=50, verbose=0)
    np.testing.assert_allclose(found, right, rtol=1e-6)
    labels[17_000, 5] = 3
    with pytest.raises(DataError, match=r"got label 3 at index \(17000, 5\)"):
        model.evaluate(x, labels, verbose=0)


def test_the_first_number_of_a_large_array_that_is_none_is_told_with_its_place() -> None:
    x = np.zeros((COUNT, FEATURES), "float16")
    x[15_000, 3], x[16_000, 0] = np.nan, np.nan
    inputs = tf.Input((FEATURES,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile(loss="mse")
    with pytest.raises(DataError, match=r"got nan at index \(15000, 3\)"):
        model.evaluate(x, np.zeros((COUNT, 1), "float32"), verbose=0)
