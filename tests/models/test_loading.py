"""Saving and loading whole models."""

import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import (
    ConfigError,
    CorruptFileError,
    NotATorchfuncFileError,
    SavingError,
    UnknownNameError,
    WeightMismatchError,
)


def trained(optimizer="adam", steps=3):
    torch.manual_seed(0)
    inputs = tf.Input((8,), name="x")
    x = layers.Dense(16, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.3)(x)
    x = nn.Linear(16, 16)(x).tanh() + x[:, :16]
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x), name="small")
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["acc"])
    model.fit(*data(), epochs=steps, batch_size=8, verbose=0)
    return model


def data():
    rng = np.random.default_rng(0)
    return rng.random((24, 8), dtype="float32"), rng.integers(3, size=24)


@pytest.mark.parametrize("path", ["model.safetensors", "model"])
def test_a_model_and_its_reloaded_copy_predict_the_same_to_the_bit(tmp_path, path):
    model = trained()
    model.save(tmp_path / path)
    other = tf.load_model(tmp_path / path)
    x, y = data()

    assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert other.code == model.code and other.name == model.name


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_training_goes_on_in_a_fresh_process_as_if_it_had_not_stopped(tmp_path, optimizer):
    model = trained(optimizer)
    model.save(tmp_path / "half.safetensors")
    np.savez(tmp_path / "data.npz", x=data()[0], y=data()[1])
    script = (
        "import sys, numpy as np, torch, torchfunc as tf\n"
        "torch.set_num_threads(1)\n"
        "d = np.load('data.npz')\n"
        "model = tf.load_model('half.safetensors')\n"
        "torch.manual_seed(1)\n"
        "model.fit(d['x'], d['y'], epochs=2, batch_size=8, verbose=0)\n"
        "model.save_weights('whole.safetensors')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)

    torch.manual_seed(1)
    model.fit(*data(), epochs=2, batch_size=8, verbose=0)

    resumed = safetensors.torch.load_file(tmp_path / "whole.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(resumed[name], tensor), name


def test_any_safetensors_tool_reads_the_weights(tmp_path):
    model = trained()
    model.save(tmp_path / "m.safetensors")
    tensors = safetensors.torch.load_file(tmp_path / "m.safetensors")

    for name, tensor in model.state_dict().items():
        assert torch.equal(tensors[name], tensor)


def test_weights_alone_are_saved_and_loaded(tmp_path):
    model, other = trained(), trained(steps=1)
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")

    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_weights_of_another_model_are_refused_and_nothing_changes(tmp_path):
    inputs = tf.Input((8,))
    tf.Model(inputs, layers.Dense(5)(inputs)).save_weights(tmp_path / "w.safetensors")
    model = tf.Model(inputs, layers.Dense(4)(inputs))
    before = model.dense.weight.clone()

    with pytest.raises(
        WeightMismatchError, match=r"'dense.weight' is \(5, 8\) float32 instead of \(4, 8\) float32"
    ):
        model.load_weights(tmp_path / "w.safetensors")
    assert torch.equal(model.dense.weight, before)


def test_loading_changes_no_global_state(tmp_path):
    trained().save(tmp_path / "m.safetensors")
    state, modules = torch.get_rng_state(), set(sys.modules)
    tf.load_model(tmp_path / "m.safetensors")

    assert torch.equal(torch.get_rng_state(), state)
    assert set(sys.modules) == modules


def test_a_subclassed_model_is_saved_with_what_it_was_built_for(tmp_path):
    class Net(tf.Model):
        def __init__(self, units=4, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.dense = layers.Dense(units)

        def call(self, inputs):
            return self.dense(inputs)

    model = Net(6)
    x = torch.rand(2, 3)
    expected = model(x)
    model.save(tmp_path / "net.safetensors")

    with pytest.raises(UnknownNameError, match="custom_objects={'Net'"):
        tf.load_model(tmp_path / "net.safetensors")
    other = tf.load_model(tmp_path / "net.safetensors", custom_objects={"Net": Net})
    assert torch.equal(other(x), expected)


def test_every_layer_that_is_no_data_is_refused_when_saving(tmp_path):
    class Private(nn.Module):
        def forward(self, x):
            return x

    inputs = tf.Input((3,))
    model = tf.Model(inputs, Private()(inputs))

    with pytest.raises(SavingError, match=r"Private 'private'.*never code.*@torchfunc.register"):
        model.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    trained().save(path)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 9, 3):
        path.write_bytes(whole[:length])
        with pytest.raises((CorruptFileError, NotATorchfuncFileError)):
            tf.load_model(path)


def test_other_files_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / "m.safetensors"
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(NotATorchfuncFileError, match="pickle|zip"):
        tf.load_model(path)
    safetensors.torch.save_file({"a": torch.ones(1)}, path)
    with pytest.raises(NotATorchfuncFileError, match="load_weights"):
        tf.load_model(path)


def edited(tmp_path, edit):
    """A saved model whose config was changed by somebody."""
    from torchfunc.saving import archive

    trained().save(tmp_path / "m.safetensors")
    found = archive.read(tmp_path / "m.safetensors")
    config = json.loads(json.dumps(found.config))
    edit(config["model"]["config"])
    archive.write(tmp_path / "m.safetensors", config, found.tensors)
    return tmp_path / "m.safetensors"


ATTACKS = {
    "a class by its module": (
        lambda c: c["layers"]["dense"].update(class_name="subprocess.Popen"),
        UnknownNameError,
        "Unknown layer",
    ),
    "a function by a path": (
        lambda c: c["calls"][5].update({"function": "torch.os.system"}),
        SavingError,
        "expected one of",
    ),
    "a function of ours": (
        lambda c: replace_call(c, {"function": "torchfunc.load_model"}),
        UnknownNameError,
        "Unknown function",
    ),
    "a dunder method": (
        lambda c: replace_call(c, {"method": "__reduce_ex__"}),
        UnknownNameError,
        "Unknown method",
    ),
    "a method in place": (lambda c: replace_call(c, {"method": "set_"}), UnknownNameError, "Unknown method"),
    "a lambda": (
        lambda c: c["layers"]["dense"]["config"].update(activation={"__lambda__": "4wEA"}),
        tf.errors.TorchfuncError,
        ".",
    ),
    "an unknown argument": (
        lambda c: c["layers"]["dense"]["config"].update(hidden=3),
        tf.errors.TorchfuncError,
        "hidden",
    ),
    "a huge layer": (
        lambda c: c["layers"]["dense"]["config"].update(units=10**12),
        tf.errors.TorchfuncError,
        ".",
    ),
    "a circle": (
        lambda c: c["calls"][1].update(args=[{"from": c["calls"][-1]["name"]}]),
        ConfigError,
        "no earlier call",
    ),
    "an unknown key": (lambda c: c.update(safe_mode=False), ConfigError, "'safe_mode' is unknown"),
    "a missing key": (lambda c: c.pop("outputs"), ConfigError, "'outputs' is missing"),
    "an output past the end": (lambda c: c["outputs"].update(path=[99]), ConfigError, "returns nothing"),
    "no calls": (lambda c: c.update(calls=None), ConfigError, r"\$.calls|calls: expected a list"),
    "two calls of one name": (
        lambda c: c["calls"].append(dict(c["calls"][0])),
        ConfigError,
        "stands there twice",
    ),
    "a negative size": (lambda c: c["calls"][0].update(input=[None, -8]), ConfigError, "expected a shape"),
    "a dtype of objects": (lambda c: c["calls"][0].update(dtype="object"), ConfigError, "expected a dtype"),
}


def replace_call(config, target):
    call = next(each for each in config["calls"] if "method" in each)
    del call["method"]
    call.update(target)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_edited_config_is_refused_with_a_typed_error(tmp_path, attack):
    edit, error, words = ATTACKS[attack]
    path = edited(tmp_path, edit)
    modules = set(sys.modules)

    with pytest.raises(error, match=words):
        tf.load_model(path)
    assert set(sys.modules) == modules


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "inductor", "options": {"cpp.cxx": ["/bin/sh"]}},
        {"backend": "inductor"},
        {"optimizer": "sgd", "loss": "mse", "mode": "max-autotune"},
        {"jit_compile": True},
        {"device": "cpu"},
    ],
    ids=["a compiler", "a backend", "a mode", "jit", "a device"],
)
def test_a_file_reaches_nothing_of_torch_compile(tmp_path, options):
    from torchfunc.saving import archive

    trained().save(tmp_path / "m.safetensors")
    found = archive.read(tmp_path / "m.safetensors")
    archive.write(tmp_path / "m.safetensors", {**found.config, "compile": options}, found.tensors)
    with pytest.raises(ConfigError, match=r"\$\.compile: expected the keys optimizer, .*, got \["):
        tf.load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("options", [{}, {"optimizer": None, "loss": None}], ids=["empty", "nothing"])
def test_a_file_that_says_nothing_of_compile_compiles_no_forward(tmp_path, options):
    from torchfunc.saving import archive

    trained().save(tmp_path / "m.safetensors")
    found = archive.read(tmp_path / "m.safetensors")
    config = {name: each for name, each in found.config.items() if name != "training"}
    tensors = {name: each for name, each in found.tensors.items() if not name.startswith("optimizer/")}
    archive.write(tmp_path / "m.safetensors", {**config, "compile": options}, tensors)
    model = tf.load_model(tmp_path / "m.safetensors")
    assert model._compiled_call_impl is None and model.trainer is not None


def test_more_or_other_tensors_than_the_config_needs_are_refused(tmp_path):
    from torchfunc.saving import archive

    trained().save(tmp_path / "m.safetensors")
    found = archive.read(tmp_path / "m.safetensors")
    archive.write(tmp_path / "m.safetensors", found.config, {**found.tensors, "extra": torch.ones(2)})

    with pytest.raises(WeightMismatchError, match="'extra' is unknown"):
        tf.load_model(tmp_path / "m.safetensors")


def test_weights_reach_shared_layers_nested_models_own_tensors_and_names_of_properties(tmp_path):
    torch.manual_seed(0)
    inputs = tf.Input((4,), name="x")
    shared = nn.Linear(4, 4)
    inner = tf.Model(inputs, layers.BatchNormalization(name="output")(shared(inputs)), name="inner")
    outer = tf.Input((4,), name="y")
    x = shared(inner(outer)) * nn.Parameter(torch.rand(4)) + torch.rand(4)
    model = tf.Model(outer, x)
    expected = model.eval()(torch.ones(2, 4))
    model.save_weights(tmp_path / "weights.safetensors")
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()

    model.load_weights(tmp_path / "weights.safetensors")

    assert expected.any() and torch.equal(model(torch.ones(2, 4)), expected)


def test_the_load_hooks_of_layers_and_subclassed_models_are_called(tmp_path):
    inputs = tf.Input((4,), name="x")
    linear = nn.Linear(4, 4)
    model = tf.Model(inputs, linear(inputs))
    model.save_weights(tmp_path / "weights.safetensors")
    called = []
    linear.register_load_state_dict_post_hook(lambda module, keys: called.append(type(module)))

    model.load_weights(tmp_path / "weights.safetensors")

    assert called == [nn.Linear]
