"""What Keras code asks for beside layers and training: settings, dtype policies, registered objects, small tools."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import torchfunc as tf
from torchfunc import (
    backend,
    config,
    dtype_policies,
    initializers,
    layers,
    losses,
    mixed_precision,
    models,
    saving,
    utils,
)
from torchfunc.errors import ConfigError, DataError, DTypeError, TorchfuncError, UnknownNameError


@pytest.fixture(autouse=True)
def settings_as_they_were():
    yield
    config.set_floatx("float32")
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")
    config.enable_interactive_logging()


def test_floatx_is_the_dtype_that_layers_have():
    config.set_floatx("float64")
    assert config.floatx() == backend.floatx() == "float64"
    dense = layers.Dense(2)
    dense.build((None, 3))
    assert dense.weight.dtype == torch.float64
    with pytest.raises(
        DTypeError, match="set_floatx: expected 'float16', 'bfloat16', 'float32' or 'float64', got 'int32'"
    ):
        config.set_floatx("int32")


def test_epsilon_and_the_order_of_axes_are_settings():
    assert config.epsilon() == keras.config.epsilon() and config.image_data_format() == "channels_last"
    config.set_image_data_format("channels_first")
    assert layers.Conv2D(1, 1).data_format == layers.image_data_format() == "channels_first"
    with pytest.raises(TorchfuncError, match="set_epsilon: expected a number of at least 0, got -1"):
        config.set_epsilon(-1)
    assert config.backend() == backend.backend() == keras.config.backend()


def test_without_interactive_logging_an_epoch_is_a_line(capsys):
    model = tf.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(loss="mse")
    utils.disable_interactive_logging()
    model.fit(torch.ones(4, 2), torch.ones(4, 1))
    assert not utils.is_interactive_logging_enabled()
    assert capsys.readouterr().out.splitlines()[1].startswith("1/1 - 0s - loss: ")


@pytest.mark.parametrize(
    "name", ["float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16", "int8"]
)
def test_a_policy_has_the_dtypes_of_keras(name):
    ours, theirs = dtype_policies.DTypePolicy(name), keras.dtype_policies.DTypePolicy(name)
    for each in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, each) == getattr(theirs, each)
    assert repr(ours) == repr(theirs) and ours.get_config() == theirs.get_config()
    assert (
        ours == dtype_policies.deserialize(keras.dtype_policies.serialize(theirs)) == dtype_policies.get(name)
    )
    assert (
        dtype_policies.deserialize(dtype_policies.serialize(ours))
        == ours
        != dtype_policies.get("float8_e5m2")
    )


def test_a_global_policy_of_one_dtype_is_the_usual_dtype_and_a_mixed_one_is_kept():
    config.set_dtype_policy("float64")
    assert config.floatx() == "float64" and config.dtype_policy().name == "float64"
    mixed_precision.set_global_policy("mixed_bfloat16")
    assert mixed_precision.global_policy() == mixed_precision.Policy("mixed_bfloat16")
    assert losses.MeanSquaredError(dtype=mixed_precision.global_policy()).dtype == "bfloat16"
    with pytest.raises(
        DTypeError, match="expected the name of a dtype, 'mixed_float16' or 'mixed_bfloat16', got 'mixed'"
    ):
        tf.DTypePolicy("mixed")


def test_policies_by_paths_and_patterns_are_found_as_in_keras():
    ours, theirs = dtype_policies.DTypePolicyMap(), keras.dtype_policies.DTypePolicyMap()
    for table, policy in ((ours, tf.DTypePolicy), (theirs, keras.DTypePolicy)):
        table["encoder/dense"] = policy("float64")
        table["decoder/.*"] = policy("bfloat16")
    for path in ("encoder/dense", "encoder/dense/inner", "encoder/dense_1", "decoder", "decoder/a"):
        assert ours[path].name == theirs[path].name, path
    assert dtype_policies.deserialize(dtype_policies.serialize(ours)) == ours and len(ours) == 2


@saving.register_keras_serializable("my_package", name="Twice")
class Twice(layers.Layer):
    def call(self, x):
        return x * 2


@saving.register_keras_serializable()
def halved(x):
    return x / 2


def test_a_class_is_registered_by_package_and_name():
    assert saving.get_registered_name(Twice) == "my_package>Twice"
    assert saving.get_registered_object("my_package>Twice") is Twice
    assert (
        saving.get_registered_name(halved) == "Custom>halved"
        and saving.get_registered_name(nn.ReLU) == "ReLU"
    )
    assert saving.get_registered_object("nothing") is None
    assert (
        saving.get_registered_object("a", {"a": 1}) == saving.get_registered_object("a", None, {"a": 1}) == 1
    )
    again = saving.deserialize_keras_object(saving.serialize_keras_object(Twice(name="t")))
    assert type(again) is Twice and again.name == "t"
    with pytest.raises(TorchfuncError, match="the class Bare without get_config. Fix: define get_config"):
        saving.register_keras_serializable()(type("Bare", (), {}))


def test_a_model_of_registered_classes_is_saved_and_read(tmp_path):
    inputs = tf.Input((3,))
    model = tf.Model(inputs, layers.Dense(2, activation=halved)(Twice()(inputs)))
    saving.save_model(model, tmp_path / "m.safetensors")
    x = torch.randn(4, 3)
    again = saving.load_model(tmp_path / "m.safetensors")
    torch.testing.assert_close(again(x), model(x))
    saving.save_weights(again, tmp_path / "w.safetensors")
    saving.load_weights(models.clone_model(model), tmp_path / "w.safetensors")


def test_objects_that_are_put_into_the_dict_are_known():
    class Thrice(layers.Layer):
        def call(self, x):
            return x * 3

    described = {"class_name": "Thrice", "config": {"name": "thrice"}}
    with pytest.raises(UnknownNameError):
        saving.deserialize_keras_object(described)
    saving.get_custom_objects()["Thrice"] = Thrice
    try:
        assert type(saving.deserialize_keras_object(described)) is Thrice
    finally:
        del saving.get_custom_objects()["Thrice"]
    with utils.CustomObjectScope({"Thrice": Thrice}):
        assert type(saving.deserialize_keras_object(described)) is Thrice


# Keras reads its own variables in a way that NumPy is about to forbid
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.layers.Dense(3, activation="relu"),
        lambda k: k.losses.Huber(0.3),
        lambda k: k.optimizers.Adam(0.1),
    ],
)
def test_what_keras_serialized_is_read(make):
    ours = saving.deserialize_keras_object(keras.saving.serialize_keras_object(make(keras)))
    assert type(ours) is type(make(tf))
    again = saving.deserialize_keras_object(saving.serialize_keras_object(ours))
    assert again.get_config() == ours.get_config()


def test_a_model_comes_back_from_its_json():
    inputs = tf.Input((3,))
    model = tf.Model(inputs, layers.Dense(2, name="d")(inputs), name="m")
    assert json.loads(models.model_from_json(model.to_json()).to_json()) == json.loads(model.to_json())
    with pytest.raises(
        ConfigError, match="model_from_json: expected what Model.to_json wrote, got 'nonsense'"
    ):
        models.model_from_json("nonsense")


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 2, 5])
@pytest.mark.parametrize("sequences", [[[1, 2, 3], [], [4]], [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]])
def test_sequences_are_padded_as_in_keras(sequences, maxlen, truncating, padding):
    arguments = {"maxlen": maxlen, "truncating": truncating, "padding": padding, "value": 9}
    ours, theirs = (
        utils.pad_sequences(sequences, **arguments),
        keras.utils.pad_sequences(sequences, **arguments),
    )
    np.testing.assert_array_equal(ours, theirs, strict=True)
    assert tf.preprocessing.sequence.pad_sequences is utils.pad_sequences


def test_sequences_that_do_not_fit_are_told():
    with pytest.raises(DataError, match="expected a list of sequences, got \\[1, 2\\]"):
        utils.pad_sequences([1, 2])
    with pytest.raises(DataError, match="padding: expected 'pre' or 'post', got 'left'|padding: got"):
        utils.pad_sequences([[1]], padding="left")


class Batches(utils.PyDataset):
    def __init__(self):
        super().__init__(workers=2)
        self.ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.full((4, 2), index, "float32"), np.zeros((4, 1), "float32")

    def on_epoch_end(self):
        self.ended += 1


def test_a_model_is_trained_on_batches_by_their_number():
    model = tf.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    batches = Batches()
    assert model.fit(batches, epochs=2, verbose=0).epoch == [0, 1]
    assert batches.ended == 2 and model.optimizer.iterations == 6 and issubclass(Batches, utils.Sequence)


def test_data_are_divided_in_two():
    data = TensorDataset(torch.arange(10))
    left, right = utils.split_dataset(data, left_size=0.3)
    assert [int(x) for (x,) in left] == [0, 1, 2] and len(right) == 7
    left, right = utils.split_dataset((np.arange(6), np.arange(6) * 2), right_size=2, shuffle=True, seed=1)
    drawn = sorted(int(x) for part in (left, right) for x, y in part if y == 2 * x)
    assert drawn == list(range(6)) and len(right) == 2
    with pytest.raises(DataError, match="left_size=1.5"):
        utils.split_dataset(data, left_size=1.5)
    with pytest.raises(DataError, match="no size"):
        utils.split_dataset(data)


def test_a_bar_of_ones_own_averages_and_ends_with_a_line(capsys):
    bar = utils.Progbar(4, verbose=2, stateful_metrics=["rate"])
    for step in range(1, 5):
        bar.update(step, [("loss", step), ("rate", step)])
    assert " - loss: 2.5000 - rate: 4.0000" in capsys.readouterr().out
    bar = utils.Progbar(2)
    bar.add(1)
    assert bar.seen_so_far == 1


def test_a_file_is_written_over_after_a_yes_alone(monkeypatch):
    answers = iter(["maybe", "Y", "n"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert utils.ask_to_proceed_with_overwrite("a.h5")
    assert not utils.ask_to_proceed_with_overwrite("a.h5")


@pytest.mark.parametrize("batch", [1, (1, 2), (1, 2, 3), [1, 2], (1,)])
def test_a_batch_is_unpacked_as_in_keras(batch):
    ours = utils.unpack_x_y_sample_weight(batch)
    assert ours == keras.utils.unpack_x_y_sample_weight(batch)
    assert utils.pack_x_y_sample_weight(*ours) == keras.utils.pack_x_y_sample_weight(*ours)


def test_dtypes_by_any_name():
    for given in ("float32", torch.float32, np.float32, np.dtype("float32"), float, None):
        assert utils.standardize_dtype(given) == "float32"
    assert (
        backend.is_float_dtype("bfloat16")
        and backend.is_int_dtype(np.int8)
        and not backend.is_int_dtype(bool)
    )
    with pytest.raises(DTypeError, match="dtype: expected a dtype, or the name of one, got 'flaot'"):
        utils.standardize_dtype("flaot")
    with tf.device("cpu:0"):
        assert torch.zeros(1).device.type == "cpu"
    assert tf.device("gpu:1") == torch.device("cuda", 1)


def test_the_inputs_of_a_symbol_are_found():
    a, b = tf.Input((2,)), tf.Input((2,))
    tf.Input((2,))
    assert [each.key for each in utils.get_source_inputs(layers.Dense(2)(a) + b + a)] == [a.key, b.key]
    assert utils.is_keras_tensor(a) and not utils.is_keras_tensor(torch.ones(1))


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"window": "hamming", "scaling": "spectrum", "periodic": True}, {"window": None}, {"scaling": None}],
    ids=str,
)
def test_a_fourier_kernel_equals_that_of_keras(side, arguments):
    ours, theirs = initializers.STFT(side, **arguments), keras.initializers.STFT(side, **arguments)
    expected = torch.as_tensor(theirs((8, 1, 9))).detach().cpu()
    torch.testing.assert_close(ours((8, 1, 9)), expected, rtol=1e-5, atol=1e-5)
    assert initializers.get(initializers.serialize(ours)).get_config() == ours.get_config()
    with pytest.raises(TorchfuncError, match="STFT: expected one of 'real', 'imag', got side='both'"):
        initializers.STFT("both")


def test_estimators_are_fitted_cloned_and_searched_by_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3)).astype("float32")
    labels = np.where(x[:, 0] > 0, "yes", "no")

    def made(X, y, units=8):
        tf.utils.set_random_seed(0)
        model = tf.Sequential(
            [
                layers.Input((X.shape[1],)),
                layers.Dense(units, activation="relu"),
                layers.Dense(y.shape[1], activation="softmax"),
            ]
        )
        model.compile(optimizer=tf.optimizers.Adam(0.05), loss="categorical_crossentropy")
        return model

    estimator = tf.wrappers.SKLearnClassifier(
        made, model_kwargs={"units": 4}, fit_kwargs={"epochs": 20, "verbose": 0}
    )
    assert (model_selection.cross_val_score(estimator, x, labels, cv=2) > 0.7).all()
    assert estimator.fit(x, labels).predict(x).tolist()[0] in (
        "yes",
        "no",
    ) and estimator.classes_.tolist() == ["no", "yes"]
    model = tf.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(optimizer=tf.optimizers.SGD(0.1), loss="mse")
    regressor = tf.wrappers.SKLearnRegressor(model, fit_kwargs={"epochs": 30, "verbose": 0})
    y = x @ np.array([1.0, 2.0, 3.0], "float32")
    assert regressor.fit(x, y).score(x, y) > 0.95 and regressor.predict(x).shape == (60,)
    assert tf.wrappers.SKLearnTransformer(model).fit_transform(x, y, verbose=0).shape == (60, 1)
    with pytest.raises(TorchfuncError, match="SKLearnRegressor: got no fit before. Fix: fit\\(X, y\\)"):
        tf.wrappers.SKLearnRegressor(model).predict(x)
    with pytest.raises(TorchfuncError, match="a model that is not compiled"):
        tf.wrappers.SKLearnRegressor(tf.Sequential([layers.Dense(1)])).fit(x, y)
    with pytest.raises(TorchfuncError, match="the parameter 'epochs'"):
        regressor.set_params(epochs=3)
