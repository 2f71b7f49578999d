"""Keras's steps: a class that trains itself in Keras's words does here, line by line, what it does in Keras."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import CompileError, DataError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 4)).astype("float32")
Y = X[:, :1] * 2 + 1
WEIGHTS = np.linspace(0, 2, 48).astype("float32")
LIBRARIES = (keras, tf)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def guide(library: Any) -> Any:
    """The step of the guide "Customizing what happens in `fit()` with PyTorch"."""

    class Custom(library.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            if len(data) == 3:
                x, y, sample_weight = data
            else:
                (x, y), sample_weight = data, None
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data: Any) -> Any:
            x, y = data
            y_pred = self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

        def predict_step(self, data: Any) -> Any:
            return self(data) + 1

    return Custom


def lower(library: Any) -> Any:
    """The guide's "going lower-level": trackers of one's own, and no `compile` but for an optimizer."""

    class Custom(library.Model):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.loss_tracker = library.metrics.Mean(name="loss")
            self.mae_metric = library.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = library.losses.MeanSquaredError()

        def train_step(self, data: Any) -> Any:
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self) -> Any:
            return [self.loss_tracker, self.mae_metric]

    return Custom


def calling_ours(library: Any) -> Any:
    """A step that adds to the data and to the logs of the step it overrides."""

    class Custom(library.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y = data
            logs = super().train_step((x * 2, y))
            logs["mine"] = 10.0
            return logs

        def test_step(self, data: Any) -> Any:
            logs = super().test_step(data)
            logs["mine"] = 5.0
            return logs

    return Custom


def pair(kind: Any, **options: Any) -> list[Any]:
    """The same class of a model in Keras and in torchfunc, with equal weights."""
    models = []
    for library in LIBRARIES:
        inputs = library.Input((4,))
        hidden = library.layers.Dense(
            3, activation="tanh", kernel_constraint=library.constraints.MaxNorm(0.5)
        )
        model = kind(library)(inputs, library.layers.Dense(1)(hidden(inputs)))
        model.compile(library.optimizers.Adam(0.05), **options)
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    return models


def assert_alike(theirs: Any, ours: Any, **tolerance: float) -> None:
    assert sorted(ours) == sorted(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=tolerance.get("rtol", 1e-5), err_msg=name)


@pytest.mark.parametrize("kind", [guide, lower, calling_ours])
def test_a_step_of_a_guide_trains_as_in_keras(kind: Any) -> None:
    options: dict[str, Any] = {} if kind is lower else {"loss": "mse", "metrics": ["mae"]}
    models = pair(kind, **options)
    histories, measured = [], []

    for model in models:
        fitted = model.fit(
            X, Y, 16, 3, verbose=0, shuffle=False, validation_data=None if kind is lower else (X, Y)
        )
        histories.append(fitted.history)
        if kind is guide:  # Keras gives the others three things here, the third of them None
            measured.append([model.train_on_batch(X, Y), model.evaluate(X, Y, 16, verbose=0)])

    assert_alike(*histories)
    if measured:
        np.testing.assert_allclose(measured[1], measured[0], rtol=1e-5)
    for theirs, ours in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    predicted = [model.predict(X, verbose=0) for model in models]
    np.testing.assert_allclose(predicted[1], predicted[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("given", ["weights", "class weights", "both"])
def test_weights_of_samples_and_classes_come_third(given: str) -> None:
    models = pair(guide, loss="mse", weighted_metrics=["mae"])
    y = (X[:, :1] > 0).astype("float32")
    options: dict[str, Any] = {"sample_weight": WEIGHTS} if given != "class weights" else {}
    if given != "weights":
        options["class_weight"] = {1: 3.0}
    if given == "both":  # which Keras refuses: the product
        by_class = np.where(y[:, 0] == 1, 3.0, 1.0).astype("float32") * WEIGHTS
        histories = [models[0].fit(X, y, 16, sample_weight=by_class, shuffle=False, verbose=0).history]
    else:
        histories = [models[0].fit(X, y, 16, shuffle=False, verbose=0, **options).history]
    histories.append(models[1].fit(X, y, 16, shuffle=False, verbose=0, **options).history)

    assert_alike(*histories)


@pytest.mark.parametrize("kind", [guide, calling_ours])
def test_validation_by_a_split_passes_through_the_step_that_there_is(kind: Any) -> None:
    models = pair(kind, loss="mse", metrics=["mae"])

    histories = [
        model.fit(X, Y, 8, validation_split=0.25, shuffle=False, verbose=0).history for model in models
    ]

    assert_alike(*histories)


@pytest.mark.parametrize("overridden", ["train_step", "test_step"])
def test_a_split_serves_a_step_of_ours_beside_one_of_yours(overridden: str) -> None:
    def kind(library: Any) -> Any:
        seen = {}

        def step(self: Any, data: Any) -> Any:
            x, y = data
            seen[type(y)] = tuple(y.shape[1:])
            return getattr(library.Model, overridden)(self, (x, y))

        return type("Own", (library.Model,), {overridden: step, "seen": seen})

    models = pair(kind, loss="mse", metrics=["mae"])
    histories = [
        model.fit(X, Y, 8, validation_split=0.25, shuffle=False, verbose=0).history for model in models
    ]

    assert_alike(*histories)
    assert models[1].seen == {Tensor: (1,)}


STREAMS = {
    "array": (X,),
    "two arrays": ([X, Y],),
    "a dict": ({"a": X, "b": Y},),
    "labels": (X, Y),
    "labels by name": (X, {"a": Y, "b": X}),
    "images": (RANDOM.normal(size=(48, 2, 3, 4)), Y),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("functional", [True, False])
def test_data_reach_a_step_in_the_nesting_in_which_they_came(name: str, functional: bool) -> None:
    def seen_by(library: Any) -> Any:
        class Own(library.Model):  # type: ignore[misc]
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self.built, self.seen = True, []

            def train_step(self, data: Any) -> Any:
                self.seen.append(library.tree.map_structure(lambda each: tuple(each.shape), data))
                return {"one": 1.0}

        inputs = library.Input((4,))
        model = Own(inputs, library.layers.Dense(1)(inputs)) if functional else Own()
        model.compile()
        assert model.fit(*STREAMS[name], batch_size=16, verbose=0).history == {"one": [1.0]}
        return model.seen

    theirs, ours = map(seen_by, LIBRARIES)
    assert ours == theirs


def test_what_a_loader_yields_reaches_a_step_as_it_is() -> None:
    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            unlabeled, (images, labels) = data
            return {"sum": unlabeled.sum() + images.sum() + labels.sum()}

    model = Own()
    model.compile()
    batch = (torch.ones(2, 3), (torch.ones(4, 2), torch.ones(4, dtype=torch.int32)))

    assert model.fit([batch, batch][::1].__iter__, verbose=0).history == {"sum": [18.0]}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_of_two_networks_has_optimizers_of_its_own(library: Any) -> None:
    class Gan(library.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.generator = library.Sequential([library.Input((2,)), library.layers.Dense(4)])
            self.discriminator = library.Sequential([library.Input((4,)), library.layers.Dense(1)])
            self.d_loss_tracker = library.metrics.Mean(name="d_loss")
            self.built = True

        def compile(self, d_optimizer: Any, g_optimizer: Any, loss_fn: Any) -> None:
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        @property
        def metrics(self) -> Any:
            return [self.d_loss_tracker]

        def train_step(self, data: Any) -> Any:
            noise = torch.ones(len(data), 2)
            for optimizer, network, label in (
                (self.d_optimizer, self.discriminator, torch.zeros),
                (self.g_optimizer, self.generator, torch.ones),
            ):
                self.zero_grad()
                predictions = self.discriminator(self.generator(noise))
                loss = self.loss_fn(label(len(data), 1), predictions)
                loss.backward()
                weights = network.trainable_weights
                with torch.no_grad():
                    optimizer.apply([v.value.grad for v in weights], weights)
            self.d_loss_tracker.update_state(loss)
            return {"d_loss": self.d_loss_tracker.result()}

    model = Gan()
    model.compile(
        d_optimizer=library.optimizers.Adam(0.01),
        g_optimizer=library.optimizers.Adam(0.01),
        loss_fn=library.losses.BinaryCrossentropy(from_logits=True),
    )
    before = model.get_weights()

    history = model.fit(X, epochs=2, batch_size=16, verbose=0).history

    assert list(history) == ["d_loss"] and history["d_loss"][1] != history["d_loss"][0]
    assert int(model.d_optimizer.iterations) == int(model.g_optimizer.iterations) == 6
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_weights_of_a_native_module_have_keras_words_too() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, nn.Linear(4, 2)(layers.Dense(4, name="first")(inputs)))
    held = dict(model.named_parameters())

    weights = model.trainable_weights

    assert [each.path for each in weights] == ["first/kernel", "first/bias", "linear/weight", "linear/bias"]
    assert all(each is other for each, other in zip(weights, held.values(), strict=True))
    assert all(isinstance(each, nn.Parameter) and each.value is each and each.trainable for each in weights)
    weights[3].assign([1.0, 2.0]).assign_add([1.0, 1.0])
    assert model.linear.bias.tolist() == weights[3].numpy().tolist() == [2.0, 3.0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(X).detach(), model(X).detach())
        assert type(twin.linear.bias) is type(weights[3])
    assert all(type(each) is Tensor for each in model.state_dict().values())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(torch.from_numpy(X)), model(X))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_state_of_a_layer_is_assigned_to_in_its_call(library: Any) -> None:
    class ComputeSum(library.layers.Layer):  # type: ignore[misc]
        def __init__(self, input_dim: int) -> None:
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

        def call(self, inputs: Any) -> Any:
            self.total.assign_add(library.ops.sum(inputs, axis=0))
            return inputs * 1

    layer = ComputeSum(2)
    inputs = library.Input((2,))
    model = library.Model(inputs, layer(inputs))
    assert layer.total.numpy().tolist() == [0, 0]  # drawing the graph has changed nothing

    for _ in range(2):
        model(torch.ones(2, 2))

    assert layer.total.numpy().tolist() == [4, 4]
    assert [len(layer.trainable_weights), len(layer.non_trainable_weights)] == [0, 1]
    if library is tf:
        model.double()
        model(torch.ones(2, 2, dtype=torch.float64))
        assert layer.total.tolist() == [6, 6] and layer.total.dtype is torch.float64
        twin = copy.deepcopy(model)
        twin(torch.ones(2, 2, dtype=torch.float64))
        assert (layer.total[0], twin.layers[1].total[0]) == (6, 8)
        assert "compute_sum.total" in model.state_dict() and not list(model.parameters())


def test_metrics_are_what_compile_and_the_layers_have() -> None:
    class Endpoint(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seen = tf.metrics.Mean(name="seen")

        def call(self, inputs: Tensor) -> Tensor:
            self.seen.update_state(inputs)
            return inputs

    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(Endpoint()(inputs)))
    assert [each.name for each in model.metrics] == ["seen"]
    model.compile("sgd", "mse", metrics=["mae"])
    assert [each.name for each in model.metrics] == ["loss", "compile_metrics", "seen"]

    history = model.fit(X, Y, epochs=2, verbose=0).history

    assert list(history) == ["loss", "mae", "seen"]
    assert history["seen"] == pytest.approx([X.mean()] * 2, rel=1e-4)
    result = {name: float(each) for name, each in model.get_metrics_result().items()}
    assert result == pytest.approx({name: each[-1] for name, each in history.items()})
    model.reset_metrics()
    assert set(map(float, model.get_metrics_result().values())) == {0.0}


def test_several_outputs_have_a_tracker_each() -> None:
    models = []
    for library in LIBRARIES:
        inputs = library.Input((4,))
        outputs = [library.layers.Dense(1, name=name)(inputs) for name in ("a", "b")]
        model = guide(library)(inputs, outputs)
        model.compile("sgd", ["mse", "mae"])
        models.append(model)

    assert [[each.name for each in model.metrics] for model in models[1:]] == [["loss", "a_loss", "b_loss"]]


def test_an_optimizer_that_is_set_is_the_one_that_trains() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.optimizer = tf.optimizers.SGD(0.0)
    assert model.optimizer.learning_rate == 0
    model.compile("adam", "mse")
    assert isinstance(model.optimizer, tf.optimizers.Adam)

    model.optimizer = tf.optimizers.SGD(0.0)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)

    np.testing.assert_array_equal(before[0], model.get_weights()[0])


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of what torch.compile imports
def test_compile_without_arguments_is_kerass_where_a_class_trains_itself_and_pytorchs_elsewhere() -> None:
    inputs = tf.Input((4,))
    plain, own = tf.Model(inputs, layers.Dense(1)(inputs)), guide(tf)(inputs, layers.Dense(1)(inputs))

    for model in (plain, own):
        assert not model.compiled
        model.compile()

    assert not plain.compiled and plain._compiled_call_impl is not None
    assert own.compiled and own._compiled_call_impl is None
    twin = pickle.loads(pickle.dumps(plain))
    assert twin._compiled_call_impl is None
    torch.testing.assert_close(twin(X), plain.forward(torch.from_numpy(X)))
    with pytest.raises(CompileError, match="There is no loss"):
        own.compute_loss(y=torch.ones(2, 1), y_pred=torch.ones(2, 1)).backward()


def test_a_model_without_weights_is_measured_and_that_is_told() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Flatten()(inputs))
    model.compile("adam", "mse", metrics=["mae"])

    with pytest.warns(UserWarning, match="got no trainable parameters .0 frozen.. Nothing is learned"):
        history = model.fit(X, X + 1, epochs=2, verbose=0).history

    assert history == {"loss": [pytest.approx(1)] * 2, "mae": [pytest.approx(1)] * 2}


def test_a_run_is_stopped_from_outside() -> None:
    class Stop(tf.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)
            self.model.stop_evaluating = batch == 1

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_predicting = batch == 1

    seen: list[int] = []
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")

    for _ in range(2):
        model.evaluate(X, Y, 8, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1, 0, 1]
    assert len(model.predict(X, 8, verbose=0, callbacks=[Stop()])) == 16


def test_layers_that_wait_are_made_by_the_step_that_calls_them() -> None:
    class Own(tf.Model):
        def __init__(self) -> None:
            super().__init__()
            self.net = tf.Sequential([layers.Dense(3), layers.Dense(1)])

        def train_step(self, data: Any) -> Any:
            self.zero_grad()
            loss = (self.net(data) ** 2).mean()
            loss.backward()
            weights = self.trainable_weights
            self.optimizer.apply([v.value.grad for v in weights], weights)
            return {"loss": loss}

    model = Own()
    model.compile(optimizer=tf.optimizers.Adam(0.05))

    losses = model.fit(X, epochs=5, verbose=0).history["loss"]

    assert losses[-1] < losses[0]
    assert int(model.optimizer.iterations) == 10


def test_a_step_without_arrays_is_refused() -> None:
    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            return {}

    model = Own()
    model.compile()
    with pytest.raises(DataError, match="x: expected an array, got a dict without arrays"):
        model.fit({"a": None}, verbose=0)
    with pytest.raises(DataError, match="array 1 has 2 samples, but array 0 has 48"):
        model.fit([X, X[:2]], verbose=0)


def test_metrics_variables_hold_what_the_metrics_of_compile_sum_up() -> None:
    model = tf.Sequential([tf.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    figures = model.fit(X, Y, verbose=0)
    total, count = (float(each) for each in model.metrics_variables)
    assert count == 48 and total / count == pytest.approx(figures["mae"][-1])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("compiled_first", [False, True])
def test_a_step_that_is_set_on_the_object_is_the_step(library: Any, compiled_first: bool) -> None:
    model = library.Sequential([library.Input((4,)), library.layers.Dense(1)])
    for act in ("compile", "set") if compiled_first else ("set", "compile"):
        if act == "compile":
            model.compile("sgd", "mse")
        else:
            model.predict_step = lambda data: (
                7 * torch.ones(len(data[0] if isinstance(data, tuple) else data), 1)
            )
            model.train_step = lambda data: {"mine": 3.0}
    for _ in range(2):
        assert (np.asarray(model.predict(X, verbose=0)) == 7).all()
    assert model.fit(X, Y, verbose=0).history["mine"] == [3.0]


def test_a_step_that_is_set_after_a_prediction_is_heard_until_it_is_taken_away() -> None:
    model = tf.Sequential([tf.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    first = [model.predict(X[:2], verbose=0) for _ in range(2)][1]
    model.predict_step = lambda data: torch.full((len(data), 1), 7.0)  # type: ignore[method-assign]
    assert (model.predict(X[:2], verbose=0) == 7).all() and (model.predict_on_batch(X[:2]) == 7).all()
    del model.predict_step
    np.testing.assert_array_equal(model.predict(X[:2], verbose=0), first)
