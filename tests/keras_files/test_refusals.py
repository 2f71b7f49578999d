"""What no file of Keras can hold is refused by name, with a way out that works; and what is asked for wrongly says so."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import (
    MissingExtraError,
    NotATorchfuncFileError,
    SavingError,
    UnknownNameError,
    WriteError,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


class Mine(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2


@tf.register("keras files>Known")
class Known(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2


@tf.register("keras files function")
def doubled(x: Any) -> Any:
    return x * 2


class MyModel(tf.Model):
    pass


def chain(*parts: Any) -> Any:
    x = y = tf.Input((4,))
    for each in parts:
        y = each(y)
    return tf.Model(x, y, name="net")


def partly_frozen() -> Any:
    model = chain(layers.Dense(2, name="d"))
    model.d.bias.requires_grad_(False)
    return model


def with_parameter() -> Any:
    x = tf.Input((4,))
    return tf.Model(x, layers.Dense(2)(x + nn.Parameter(torch.ones(4))))


def with_size() -> Any:
    x = tf.Input((None, 4))
    return tf.Model(x, layers.Dense(2)(x.reshape(x.shape[0], -1, 4)))


def compiled(**arguments: Any) -> Any:
    model = chain(layers.Dense(2))
    model.compile(**arguments)
    return model


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a native module": (lambda: chain(nn.Linear(4, 2)), "Linear 'linear'.*got a native module, Linear"),
    "a native module inside": (
        lambda: chain(layers.Reshape((2, 2)), layers.TimeDistributed(nn.Linear(2, 2))),
        "Linear 'layer'.*got a native module",
    ),
    "a wrapped module": (lambda: chain(layers.Torch(nn.Linear(4, 2))), "Torch 'linear'|Torch"),
    "a class of yours": (lambda: chain(Mine()), "Mine 'mine'.*got a layer of a class of yours, Mine"),
    "a class that is known here": (lambda: chain(Known()), "Known 'known'.*a class of yours"),
    "a model of a class of yours": (
        lambda: MyModel(*(lambda x: (x, layers.Dense(2)(x)))(tf.Input((4,)))),
        "MyModel 'my_model'.*a model of the class MyModel",
    ),
    "a function": (
        lambda: chain(lambda x: torch.polygamma(1, x)),
        "The call 'polygamma'.*got torch.polygamma",
    ),
    "a function of yours": (lambda: chain(layers.Dense(2, doubled)), "activation='keras files function'"),
    "an older activation": (
        lambda: chain(layers.Dense(2, "keras_2_hard_sigmoid")),
        "activation='keras_2_hard",
    ),
    "a parameter": (with_parameter, "the tensor 'parameter', which no layer has"),
    "a size": (with_size, "size"),
    "half of a layer": (partly_frozen, "Dense 'd'.*weights of which some are trained and others not"),
    "an argument": (
        lambda: chain(layers.LayerNormalization(rms_scaling=True)),
        "LayerNormalization 'layer_normalization'.*got rms_scaling=True",
    ),
    "an optimizer": (lambda: compiled(optimizer=torch.optim.Adam, loss="mse"), "The optimizer"),
    "a loss": (lambda: compiled(optimizer="adam", loss=doubled), "The loss.*keras files function"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_keras_has_not_is_refused_by_name_with_a_way_out_that_works(
    what: str, suffix: str, tmp_path: Path
) -> None:
    make, words = REFUSED[what]
    model, path = make(), tmp_path / f"m{suffix}"
    path.write_bytes(b"what stood there")
    with pytest.raises(SavingError, match=words) as error:
        model.save(path)
    assert "Fix: " in str(error.value) and "model.save('model.safetensors')" in str(error.value)
    assert path.read_bytes() == b"what stood there" and list(tmp_path.iterdir()) == [path]
    if what not in ("a class of yours", "a model of a class of yours"):
        model.save(tmp_path / "model.safetensors")


def test_names_of_files_are_those_by_which_keras_knows_them(tmp_path: Path) -> None:
    model = chain(layers.Dense(2))
    with pytest.raises(SavingError, match=r"ends in '.weights.h5'.*Fix: save_weights\('.*m.weights.h5'\)"):
        model.save_weights(tmp_path / "m.keras")
    with pytest.raises(SavingError, match=r"named as weights alone.*Fix: model.save_weights\("):
        model.save(tmp_path / "m.weights.h5")
    with pytest.raises(NotATorchfuncFileError, match="holds weights and no model. Fix: build the model"):
        model.save_weights(tmp_path / "m.weights.h5")
        tf.load_model(tmp_path / "m.weights.h5")
    with pytest.raises(SavingError, match="Linear.*expected a torchfunc Model or Layer"):
        tf.models.loading.save_weights(nn.Linear(2, 2), tmp_path / "n.weights.h5")
    model.save(tmp_path / "m.keras")
    for save in (
        model.save,
        lambda path, overwrite: model.save_weights(tmp_path / "m.weights.h5", overwrite),
    ):
        with pytest.raises(SavingError, match="exists already. Fix: another path, or overwrite=True"):
            save(tmp_path / "m.keras", overwrite=False)


def test_a_file_that_is_not_there_is_no_file_of_keras(tmp_path: Path) -> None:
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        with pytest.raises(FileNotFoundError):
            tf.load_model(tmp_path / name)
        with pytest.raises(WriteError, match="Could not write"):
            chain(layers.Dense(2)).save(tmp_path / "nowhere" / "m.keras")
    with pytest.raises(NotATorchfuncFileError, match="is no regular file"):
        (tmp_path / "folder.keras").mkdir()
        tf.load_model(tmp_path / "folder.keras")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain(layers.Dense(2)).save(tmp_path / "m.keras")
    known = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return known(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for act in (
        lambda: tf.load_model(tmp_path / "m.keras"),
        lambda: chain(layers.Dense(2)).save(tmp_path / "n.h5"),
    ):
        with pytest.raises(MissingExtraError, match=r"'h5py', which is not installed.*torchfunc\[keras\]"):
            act()
    assert [each.name for each in tmp_path.iterdir()] == ["m.keras"]


@keras.saving.register_keras_serializable("mine")
class Doubling(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2


def test_a_class_of_yours_is_read_where_you_give_it(tmp_path: Path) -> None:
    theirs = keras.Sequential([keras.Input((3,)), Doubling(name="twice"), keras.layers.Dense(2)])
    theirs.save(tmp_path / "m.keras")
    with pytest.raises(UnknownNameError, match=r"\$.config.layers\[1\].*'Doubling'.*custom_objects="):
        tf.load_model(tmp_path / "m.keras")
    x = np.ones((2, 3), "float32")
    for name in ("mine>Doubling", "Doubling"):
        ours = tf.load_model(tmp_path / "m.keras", custom_objects={name: Known})
        assert np.allclose(ours(torch.from_numpy(x)).detach(), theirs(x).detach(), atol=1e-6)
    assert isinstance(ours.get_layer("twice"), Known)


def test_a_policy_of_two_dtypes_is_read_as_that_of_its_weights(tmp_path: Path) -> None:
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
    theirs.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="under the policy 'mixed_bfloat16': the weights are in float32"):
        ours = tf.load_model(tmp_path / "m.keras")
    assert {each.dtype for each in ours.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_weights_of_another_dtype_keep_it_on_both_ways(dtype: str, tmp_path: Path) -> None:
    theirs = keras.Sequential([keras.Input((3,), dtype=dtype), keras.layers.Dense(2, dtype=dtype)])
    theirs.save(tmp_path / "m.keras")
    ours = tf.load_model(tmp_path / "m.keras")
    assert {each.dtype for each in ours.parameters()} == {getattr(torch, dtype)}
    ours.save(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert all(torch.equal(a.value, b.value) for a, b in zip(theirs.weights, back.weights, strict=True))
    assert {each.dtype for each in back.weights} == {dtype}
