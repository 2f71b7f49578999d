"""Keras's behaviours: what its users write without thinking, and what it makes of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import ConfigError, DataError, SavingError, TorchfuncError, UnknownNameError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 4)).astype("float32")
Y = X[:, :1] * 2 + 1
LIBRARIES = (keras, tf)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def linear(units: int = 1, **options: Any) -> Any:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(units, name="head", **options)(inputs))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("taken", "given"), [((28, 28, 1), (28, 28)), ((5, 1), (5,)), ((5,), (5, 1)), ((1,), ()), ((), (1,))]
)
def test_a_last_axis_of_one_may_be_missing_or_be_too_much(taken: Any, given: Any) -> None:
    x = RANDOM.normal(size=(6, *given)).astype("float32")
    shapes = []
    for library in LIBRARIES:
        inputs = library.Input(taken)
        model = library.Model(inputs, library.layers.Rescaling(2.0)(inputs))
        shapes += [model.predict(x, verbose=0).shape, tuple(model(x).shape)]

    assert shapes == [(6, *taken)] * 4


def several(library: Any, nesting: Any) -> Any:
    inputs = library.Input((4,))
    names = iter("abc")
    outputs = library.tree.map_structure(lambda _: library.layers.Dense(1, name=next(names))(inputs), nesting)
    return library.Model(inputs, outputs)


NESTED = {
    "dicts": ({"x": "mse", "y": {"z": "mae", "w": "mse"}}, {"x": 1.0, "y": {"z": 0.5, "w": 2.0}}),
    "lists": (["mse", ["mae", "mse"]], [1.0, [0.5, 2.0]]),
    "a list in a dict": ({"x": "mse", "y": ["mae", "mse"]}, {"x": 1.0, "y": [0.5, 2.0]}),
    "one alone": ("mse", None),
}


@pytest.mark.parametrize("nesting", NESTED)
def test_losses_and_their_weights_are_nested_as_the_outputs_are(nesting: str) -> None:
    loss, weights = NESTED[nesting]
    form = [0, [0, 0]] if loss == "mse" else tf.tree.map_structure(lambda _: 0, loss)
    y = tf.tree.map_structure(lambda _: Y, form)
    models = [several(library, form) for library in LIBRARIES]
    models[1].set_weights(models[0].get_weights())

    found = []
    for model in models:
        model.compile("sgd", loss, loss_weights=weights)
        found.append(model.fit(X, y, epochs=2, shuffle=False, verbose=0).history["loss"])

    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("y", [[Y], Y, [Y, Y]], ids=["a list of one", "one alone", "one each"])
def test_outputs_without_a_loss_need_no_labels(y: Any) -> None:
    models = [several(library, [0, 0]) for library in LIBRARIES]
    models[1].set_weights(models[0].get_weights())

    found = []
    for model in models:
        model.compile("sgd", ["mse", None])
        found.append(model.fit(X, y, epochs=2, shuffle=False, verbose=0).history)

    assert found[1].keys() == found[0].keys() == {"loss"}
    np.testing.assert_allclose(found[1]["loss"], found[0]["loss"], rtol=1e-5)
    if y is not Y and len(y) == 1:
        with pytest.raises(DataError, match="y: expected one for each output"):
            models[1].compile("sgd", "mse")
            models[1].fit(X, y, verbose=0)


def seen_in_epochs(library: Any, size: int, steps: int, epochs: int) -> list[int]:
    seen: list[int] = []

    class Own(library.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            seen.append(int(data[0][0, 0]))
            return {"one": 1.0}

    inputs = library.Input((1,))
    model = Own(inputs, library.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = np.arange(size, dtype="float32")[:, None]
    model.fit(x, x, batch_size=1, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0)
    return seen


def test_an_epoch_of_fewer_steps_goes_on_where_the_one_before_stopped() -> None:
    theirs, ours = (seen_in_epochs(library, 6, 2, 4) for library in LIBRARIES)

    assert ours == theirs == [0, 1, 2, 3, 4, 5, 0, 1]
    # where Keras warns of data that ran out, and does a step less
    assert seen_in_epochs(tf, 5, 2, 3) == [0, 1, 2, 3, 4, 0]


def test_shuffled_epochs_of_fewer_steps_see_every_sample_once_a_pass() -> None:
    seen: list[int] = []

    class Own(tf.Model):
        def train_step(self, data: Any) -> Any:
            seen.extend(data[0][:, 0].int().tolist())
            return {"one": 1.0}

    inputs = tf.Input((1,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = np.arange(12, dtype="float32")[:, None]
    model.fit(x, x, batch_size=2, steps_per_epoch=2, epochs=6, verbose=0)

    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]


def test_a_class_that_class_weight_leaves_out_weighs_one() -> None:
    y, found = np.arange(48) % 3, []
    models = []
    for library in LIBRARIES:
        inputs = library.Input((4,))
        models.append(library.Model(inputs, library.layers.Dense(3, activation="softmax")(inputs)))
    models[1].set_weights(models[0].get_weights())
    for model in models:
        model.compile("sgd", "sparse_categorical_crossentropy")
        found.append(model.fit(X, y, class_weight={0: 2.0}, shuffle=False, verbose=0).history["loss"])

    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


class Batches(tf.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[index * 16 : index * 16 + 16], Y[index * 16 : index * 16 + 16]


@pytest.mark.parametrize("kind", ["PyDataset", "DataLoader"])
def test_a_batch_size_beside_what_yields_batches_changes_nothing(kind: str) -> None:
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=16)
    data = Batches() if kind == "PyDataset" else loader
    model = linear()

    model.fit(data, batch_size=64, verbose=0)

    assert model.trainer.step.count == 3
    assert model.evaluate(data, batch_size=64, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


def test_arguments_may_be_given_by_place() -> None:
    model, named = linear(), linear()
    named.set_weights(model.get_weights())
    weights = np.linspace(0, 2, 48)

    found = [model.train_on_batch(X, Y, weights), model.test_on_batch(X, Y, weights)]
    model.fit(X, Y, 16, 2, 0)
    assert model.evaluate(X, Y, 16, 0) == pytest.approx(float(np.mean((model.predict(X, 16, 0) - Y) ** 2)))

    expected = [named.train_on_batch(X, Y, sample_weight=weights)]
    assert found == [*expected, named.test_on_batch(X, Y, sample_weight=weights)]
    assert model.trainer.step.count == 1 + 2 * 3


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_logits_for_a_loss_of_probabilities_are_warned_of_and_trained_as_in_keras(loss: str) -> None:
    y = np.eye(3)[np.arange(48) % 3].astype("float32")
    found, models = [], []
    for library in LIBRARIES:
        inputs = library.Input((4,))
        models.append(library.Model(inputs, library.layers.Dense(3)(inputs)))
        models[-1].compile("sgd", loss)
    models[1].set_weights(models[0].get_weights())

    found.append(models[0].fit(X, y, 48, shuffle=False, verbose=0).history["loss"])
    with pytest.warns(UserWarning, match="expected probabilities, .* Fix: activation="):
        found.append(models[1].fit(X, y, 48, shuffle=False, verbose=0).history["loss"])

    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "Nadam", "Ftrl"])
def test_what_an_optimizer_holds_is_read_and_written(name: str) -> None:
    first, second = (getattr(tf.optimizers, name)(0.1) for _ in range(2))
    theirs = getattr(keras.optimizers, name)(0.1)
    parameter, other = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    first.build([parameter])
    theirs.build([keras.Variable(np.ones((3, 2)))])
    ours = sorted(tuple(each.shape) for each in first.variables)
    extra = {"Nadam": 1}.get(name, 0)  # the product of momentums, which we keep in the group
    assert len(ours) == len(theirs.variables) - extra
    first.apply([torch.ones(3, 2)], [parameter])

    second.build([other])
    with torch.no_grad():
        other.copy_(parameter)
    second.set_weights(first.variables)
    for optimizer, each in ((first, parameter), (second, other)):
        optimizer.apply([torch.ones(3, 2) * 2], [each])

    if not extra:
        torch.testing.assert_close(other, parameter)
    store: dict[str, Any] = {}
    first.save_own_variables(store)
    second.load_own_variables(store)
    assert all(torch.equal(a, b) for a, b in zip(first.variables, second.variables, strict=True))
    with pytest.raises(TorchfuncError, match="set_weights: expected"):
        second.set_weights(first.variables[1:])
    with pytest.raises(TorchfuncError, match=r"Fix: build\(params\)"):
        getattr(tf.optimizers, name)(0.1).set_weights([])


def test_the_path_and_the_words_for_a_format_agree(tmp_path: Path) -> None:
    model = linear()
    model.save(tmp_path / "a.safetensors", zipped=True)
    model.save(tmp_path / "folder", zipped=False)
    for options, way in (
        ({"zipped": False}, "a path without a suffix"),
        ({"save_format": "h5"}, "leave save_format out"),
    ):
        with pytest.raises(SavingError, match=way):
            model.save(tmp_path / "b.safetensors", **options)

    model.save(tmp_path / "c.safetensors", include_optimizer=False)
    assert model.compiled and not tf.load_model(tmp_path / "c.safetensors").compiled


def test_objects_to_skip_stay_as_they_are(tmp_path: Path) -> None:
    def made(units: int) -> Any:
        inputs = tf.Input((4,))
        return tf.Model(inputs, layers.Dense(units, name="head")(layers.Dense(3, name="body")(inputs)))

    saved, model = made(2), made(5)
    saved.save_weights(tmp_path / "w.safetensors")
    head = model.head.get_weights()

    model.load_weights(tmp_path / "w.safetensors", objects_to_skip=[model.head])

    np.testing.assert_array_equal(model.body.get_weights()[0], saved.body.get_weights()[0])
    np.testing.assert_array_equal(model.head.get_weights()[0], head[0])


def test_a_clone_is_called_by_a_function_of_yours() -> None:
    inputs = tf.Input((4,))
    inner = tf.Model(inputs, layers.Dense(3, name="deep")(inputs), name="inner")
    outer_inputs = tf.Input((4,))
    model = tf.Model(outer_inputs, layers.Dense(1, name="head")(inner(outer_inputs)))

    def names(**options: Any) -> list[str]:
        seen: list[str] = []

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(layer.name)
            return layer(*args, **kwargs)

        clone = tf.models.clone_model(model, call_function=call, **options)
        assert [each.shape for each in clone.weights] == [each.shape for each in model.weights]
        assert clone.head is not model.head
        return seen

    assert names() == ["inner", "head"]
    assert names(recursive=True) == ["deep", "inner", "head"]


def squared(x: Any) -> Any:
    return torch.tanh(x) ** 2


def test_a_function_of_yours_is_known_by_its_name(tmp_path: Path) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Activation(squared)(layers.Dense(2, activation=squared)(inputs)))

    assert model.layers[1].get_config()["activation"] == "squared"
    clone = tf.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(X).detach(), model(X).detach())
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(UnknownNameError, match="pass custom_objects={'squared': ...}"):
        tf.load_model(tmp_path / "m.safetensors")
    loaded = tf.load_model(tmp_path / "m.safetensors", custom_objects={"squared": squared})
    np.testing.assert_array_equal(loaded(X).detach(), model(X).detach())


def test_functions_of_one_name_are_not_taken_for_each_other() -> None:
    def named(factor: float) -> Any:
        def scaled(x: Any) -> Any:
            return x * factor

        return scaled

    def relu(x: Any) -> Any:
        return x

    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Activation(named(2.0))(layers.Activation(named(3.0))(inputs)))
    with pytest.raises(SavingError, match="two functions of the name 'scaled'"):
        tf.clone_model(model)
    with pytest.raises(SavingError, match="it stands for the activation of torchfunc"):
        layers.Activation(relu).get_config()
    with pytest.raises(SavingError, match="write it as a named function"):
        layers.Activation(lambda x: x).get_config()


def test_a_layer_is_written_and_read_by_itself() -> None:
    config = layers.serialize(layers.Dense(3, activation="relu", name="mine"))

    assert config["class_name"] == "Dense"
    twin = layers.deserialize(config)
    assert (twin.units, twin.name) == (3, "mine")
    with pytest.raises(ConfigError, match="layers.deserialize"):
        layers.deserialize({"class_name": 3})


def test_what_compile_was_given_is_written_and_read() -> None:
    model, other = linear(), linear()
    model.compile(tf.optimizers.Adam(0.5), "mae", metrics=["mse"])

    other.compile_from_config(model.get_compile_config())

    assert other.optimizer.learning_rate == 0.5 and other.loss == "mae"
    assert tf.Sequential().get_compile_config() == {}

    class Own(tf.Model):
        def compile(self, mine: Any) -> None:  # type: ignore[override]
            super().compile()

    inputs = tf.Input((4,))
    own = Own(inputs, layers.Dense(1)(inputs))
    own.compile(3)
    with pytest.warns(UserWarning, match=r"Own was not compiled, .* Fix: model.compile"):
        own.compile_from_config(own.get_compile_config())


@pytest.mark.parametrize("shape", [(None, 4), (7, 4)])
def test_a_spec_of_the_output_is_worked_out(shape: Any) -> None:
    found = [
        library.layers.Dense(3).compute_output_spec(library.Input(batch_shape=shape)) for library in LIBRARIES
    ]
    assert tuple(found[1].shape) == tuple(found[0].shape)
    model = linear(2)
    assert model.compute_output_spec(tf.Input(batch_shape=shape)).shape == (shape[0], 2)
    assert len(model.layers) == 2


@pytest.mark.parametrize(
    "dtypes",
    [
        ("int32", "float32"), ("int8", "uint8"), ("int32", float), ("bfloat16", "float16"), (int, float), ("bool", int),
        ("uint8", int), ("bool", "bool"), ("float16", int),
    ],
)  # fmt: skip
def test_dtypes_of_results_are_kerass(dtypes: Any) -> None:
    assert tf.backend.result_type(*dtypes) == keras.backend.result_type(*dtypes)


def test_the_last_history_stays_with_the_model() -> None:
    model = linear()
    assert model.history is None
    history = model.fit(X, Y, verbose=0)
    assert model.history is history
    model.history = ["mine"]
    assert model.history == ["mine"]


def test_a_loss_may_be_set_as_an_attribute() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, layers.Dense(1)(inputs))
    model.loss = "mae"
    assert model.loss == "mae"
    model.compile("sgd", "mse")
    assert model.loss == "mse"


def test_a_layer_tells_its_policy() -> None:
    assert layers.Dense(2).dtype_policy.name == "float32"
    assert layers.Dense(2, dtype="float64").dtype_policy.compute_dtype == "float64"


def test_a_monitor_tells_what_is_better() -> None:
    stopping = tf.callbacks.EarlyStopping(monitor="val_accuracy")
    assert stopping.monitor_op(2, 1) and not stopping.monitor_op(1, 2)
    assert tf.callbacks.LambdaCallback(mine=len).mine("abc") == 3


class AddIfThere(layers.Layer):
    def call(self, x: Any, y: Any = None) -> Any:
        return x if y is None else x + y


def test_an_optional_input_may_be_none(tmp_path: Path) -> None:
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b", optional=True)
    model = tf.Model([a, b], layers.Rescaling(2.0)(AddIfThere()(a, b)))
    x = torch.from_numpy(X)
    with tf.custom_object_scope({"AddIfThere": AddIfThere}):
        model.save(tmp_path / "m.safetensors")
        loaded = tf.load_model(tmp_path / "m.safetensors")

    for each in (model, loaded, tf.clone_model(model)):
        torch.testing.assert_close(each([x, x]), 4 * x)
        torch.testing.assert_close(each([x, None]), 2 * x)
        torch.testing.assert_close(each({"a": x, "b": None}), 2 * x)
        with pytest.raises(DataError, match="expected the inputs"):
            each([None, x])
