"""Objects whose config, repr and name follow from their constructor's arguments."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import config, layers, losses, regularizers
from torchfunc.config import Configurable
from torchfunc.errors import ConfigError, SavingError, UnknownNameError
from torchfunc.graph.targets import snake_case
from torchfunc.registry import Registry, custom_object_scope


class Shade(Configurable):
    def __init__(self, depth=1, **rest):
        if rest:
            raise TypeError(f"unknown {rest}")
        self.depth = depth


class Hue(Shade):
    def __init__(self, angle, name="hue", **rest):
        super().__init__(**rest)
        self.angle, self.name = angle, name


@pytest.fixture
def shades():
    registry = Registry("shade")
    registry.add(Shade, "Shade", "shade")
    registry.add(Hue)
    return registry


def test_a_config_holds_the_arguments_of_parents_where_they_are_handed_on():
    hue = Hue(np.float32(0.5), depth=np.arange(3))
    assert hue.get_config() == {"angle": 0.5, "name": "hue", "depth": [0, 1, 2]}
    assert repr(hue) == "Hue(angle=0.5, name='hue', depth=[0, 1, 2])"
    assert Hue.from_config(hue.get_config()).get_config() == hue.get_config()


def test_what_was_serialized_is_found_again(shades):
    written = config.serialize(Hue(0.5, depth=(1, 2)), shades)
    assert written == {"class_name": "Hue", "config": {"angle": 0.5, "name": "hue", "depth": [1, 2]}}
    assert config.find(written, shades).get_config() == written["config"]
    assert config.serialize(None, shades) is None
    assert config.serialize(Shade, shades) == "Shade"
    assert config.find("shade", shades).depth == 1


def test_a_class_of_ones_own_is_written_and_read_under_its_name(shades):
    class Tint(Shade):
        pass

    written = config.serialize(Tint(3), shades)
    assert written["class_name"] == "Tint"
    with custom_object_scope({"Tint": Tint}):
        assert type(config.find(written, shades)) is Tint


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (7, "shade: expected a name or a dict with 'class_name', got 7"),
        ({"class_name": 3}, "expected a name or a dict with 'class_name'"),
        ({"class_name": "Shade", "config": [1]}, r"shade 'Shade': expected a dict of arguments, got \[1\]"),
        ({"class_name": "Hue", "config": {}}, "shade 'Hue': got .*missing 1 required positional argument"),
        ({"class_name": "Shade", "config": {"size": 1}}, "shade 'Shade': got {'size': 1}. Unknown"),
    ],
)
def test_a_config_that_says_nothing_valid_is_an_error_of_the_config(shades, written, words):
    with pytest.raises(ConfigError, match=words):
        config.deserialize(written, shades)


def test_what_has_no_name_cannot_be_written(shades):
    with pytest.raises(SavingError, match="The shade <function .*lambda.* something without a name"):
        config.serialize(lambda: 0, shades)


def test_what_would_come_back_as_something_of_ours_is_not_written(shades):
    impostor = type("Shade", (Shade,), {})
    words = "got the name 'Shade'. In a file it stands for the shade of torchfunc. Fix: rename the class"
    with pytest.raises(SavingError, match=words):
        config.serialize(impostor(3), shades)

    class Dense(layers.Layer):
        pass

    with pytest.raises(
        SavingError, match=r"Dense 'mine': .*rename the class, or @torchfunc.register\('MyDense"
    ):
        config.described(Dense(), "mine")
    assert losses.serialize(losses.mean_squared_error) == "mean_squared_error"


def test_an_argument_that_no_file_can_hold_is_told_with_its_owner():
    words = "Hue: expected plain data, or an object that a registry knows, got object as the argument 'angle'"
    with pytest.raises(SavingError, match=words):
        Hue(object()).get_config()

    class Shifted(layers.Layer):
        def __init__(self, by):
            super().__init__()
            self.by = by

    assert Shifted(np.arange(2)).get_config()["by"] == [0, 1]
    with pytest.raises(SavingError, match="Shifted 'shifted': .*got SymbolicTensor as the argument 'by'"):
        Shifted(tf.Input((3,))).get_config()


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (
            "Linear",
            {"in_features": 2, "device": "cuda"},
            r"expected arguments among \['in_features', .*\], got 'device'",
        ),
        ("Embedding", {"_weight": [[0.0]]}, "got '_weight'"),
        ("Linear", {"in_features": 2}, "missing 1 required positional argument: 'out_features'"),
        ("Dropout", {"p": 7}, r"got {'p': 7}. Dropout probability has to be between 0 and 1, but got 7"),
        ("Sequential", {}, "expected the modules of a Sequential, got None"),
        ("Sequential", {"modules": {"a.b": {"class_name": "torch.nn.ReLU"}}}, "module name can.*t contain"),
        ("Sequential", {"modules": {"a": 3}}, ".modules.a: expected {'class_name'"),
        ("Linear", 3, "expected a dict of arguments, got 3"),
    ],
)
def test_arguments_that_a_class_of_pytorch_does_not_take_are_told_with_their_place(kind, arguments, words):
    with pytest.raises(ConfigError, match=rf"^\$\.x.*{words}"):
        config.made({"class_name": f"torch.nn.{kind}", "config": arguments}, "$.x")


class Cap(regularizers.Regularizer):
    def __init__(self, most=1.0):
        self.most = most

    def __call__(self, weight):
        return weight.clamp(max=self.most).sum()


class Half(layers.Dense):
    """A layer that hands on what it does not know."""

    def __init__(self, factor=0.5, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def forward(self, inputs):
        return super().forward(inputs) * self.factor


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Torch(nn.Linear(3, 2)),
        lambda: layers.TimeDistributed(nn.Sequential(nn.Linear(4, 2), nn.Tanh())),
        lambda: layers.Dense(2, activation=nn.Softplus(beta=2.0)),
        lambda: layers.Dense(2, activation=layers.LeakyReLU(negative_slope=0.1)),
        lambda: layers.Dense(2, kernel_regularizer=Cap(0.25)),
        lambda: Half(units=2, factor=np.float32(0.25), use_bias=False),
    ],
    ids=[
        "module",
        "steps of a module",
        "activation of torch.nn",
        "a layer",
        "regularizer of ones own",
        "subclass",
    ],
)
def test_a_layer_around_objects_comes_back_with_them(layer, tmp_path):
    made = layer()
    shape = (5, 4) if isinstance(made, layers.TimeDistributed) else (3,)
    inputs = tf.Input(shape)
    model = tf.Model(inputs, made(inputs))
    model.save(tmp_path / "m.safetensors")
    other = tf.load_model(tmp_path / "m.safetensors", custom_objects={"Cap": Cap, "Half": Half})
    x = torch.randn(2, *shape)
    assert torch.equal(other(x), model(x))
    assert other.get_config() == model.get_config() == json.loads(json.dumps(model.get_config()))
    assert [each.item() for each in other.losses] == [each.item() for each in model.losses]


def test_a_layer_stands_for_an_activation_and_for_nothing_else():
    written = {"class_name": "Dense", "config": {"units": 2}}
    assert isinstance(tf.activations.get(written), layers.Dense)
    for room in (losses, regularizers, tf.initializers):
        with pytest.raises(UnknownNameError, match="'Dense'"):
            room.get(written)


def test_class_names_become_the_names_that_keras_gives():
    from keras.src.utils.naming import to_snake_case

    rooms = (keras.layers, keras.losses, keras.metrics, keras.optimizers, nn)
    names = {name for room in rooms for name in vars(room) if name[:1].isupper()} | {"My_Layer", "X2Y"}
    assert len(names) > 300
    assert {name: snake_case(name) for name in names} == {name: to_snake_case(name) for name in names}
    assert snake_case("_Private") == "private"
