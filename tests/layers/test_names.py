"""The layers' names, arguments and defaults are Keras's."""

from __future__ import annotations

import inspect
import re
from typing import Any

import keras
import pytest

from torchfunc import layers, registry

# What Keras has and this library leaves out: low-rank adapters and quantization inside a layer,
# and deprecated ways to say something.
LEFT_OUT = {
    "lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size",
    "weights", "rms_scaling", "name", "dtype", "kwargs", "args", "common",
}  # fmt: skip
# the base class, and what tests of its own compare
OTHERS = {"Layer", "Input", "Bidirectional", "TimeDistributed", "Wrapper", "InputLayer", "InputSpec"}
NAMES = sorted(
    name
    for name in set(vars(layers)) - OTHERS
    if inspect.isclass(getattr(layers, name))
    and hasattr(keras.layers, name)
    and not re.search("RNN|LSTM|GRU", name)
)
ALIASES = {
    "MaxPool1D": "MaxPooling1D", "MaxPool2D": "MaxPooling2D", "AvgPool2D": "AveragePooling2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D", "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "Convolution2D": "Conv2D", "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}  # fmt: skip


def arguments_of(kind: Any) -> dict[str, Any]:
    if kind.__init__ is layers.Layer.__init__:
        return {}
    parameters = inspect.signature(kind.__init__).parameters.values()
    return {each.name: each.default for each in list(parameters)[1:] if each.name not in LEFT_OUT}


def plain(default: Any) -> Any:
    """One number for several equal ones, names in lower case, nothing for an argument without a default."""
    if isinstance(default, tuple) and default and len(set(default)) == 1:
        return plain(default[0])
    return default.lower() if isinstance(default, str) else default


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_those_of_keras(name: str) -> None:
    ours, theirs = arguments_of(getattr(layers, name)), arguments_of(getattr(keras.layers, name))
    if "3DTranspose" in name:  # Keras has two of them in another order than in its own 1D and 2D
        ours, theirs = dict(sorted(ours.items())), dict(sorted(theirs.items()))
    if name == "AdditiveAttention":  # Keras hands it on to its base without naming it
        theirs["seed"] = arguments_of(keras.layers.Attention)["seed"]
    assert list(ours) == list(theirs)
    for argument, default in theirs.items():
        if default is not inspect.Parameter.empty:
            assert plain(ours[argument]) == plain(default), argument


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_keras_second_names_are_the_same_classes(alias: str, name: str) -> None:
    assert getattr(layers, alias) is getattr(layers, name)
    assert getattr(keras.layers, alias) is getattr(keras.layers, name)


def test_every_class_is_known_to_files_by_its_own_name() -> None:
    for name in NAMES:
        assert registry.layers.lookup(getattr(layers, name).__name__) is getattr(layers, name)


def test_every_layer_that_a_file_may_name_is_a_name_of_layers() -> None:
    ours = [
        name
        for name in registry.layers
        if registry.layers.lookup(name).__module__.startswith(layers.__name__)
    ]
    assert [name for name in ours if not hasattr(layers, name)] == []
    assert len(ours) > 80
