"""Dialect: the configs of layers and other objects as Keras writes them, and as ours take them; said once for both ways.

Most arguments have Keras's names here, so that the tables below hold only what differs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torchfunc import registry
from torchfunc.config import constructed
from torchfunc.errors import ConfigError, SavingError, UnknownNameError, explain, shorten
from torchfunc.keras_files import of_applications
from torchfunc.keras_files.places import CLASS_NAMES
from torchfunc.registry import Registry

# what Keras says of an object beside its class and its config
_AROUND = (
    "module",
    "registered_name",
    "build_config",
    "compile_config",
    "shared_object_id",
    "name",
    "inbound_nodes",
)
# what Keras's configs say, and what is the same as not saying it
_SAME: dict[str, tuple[Any, ...]] = {
    "autocast": (True,), "sparse": (False,), "ragged": (False,), "optional": (False,), "lora_rank": (None,),
    "lora_alpha": (None,), "quantization_config": (None,), "noise_shape": (None,), "score_mode": ("dot",),
    "rms_scaling": (False,), "input_axes": (None,), "output_axes": (None,), "jit_compile": (False, True, None, "auto"),
    "is_legacy_optimizer": (False,), "batch_input_shape": (None,), "dtype": (None,),
    "oov_method": ("floormod",),
}  # fmt: skip
# of which classes it is said, where another has the name for something that it does take
_SAME_OF = {
    "noise_shape": ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    "score_mode": ("AdditiveAttention",),
    "oov_method": ("StringLookup",),
}
# where Keras writes one number as the range from its negative, and says that it is the range from 0
_FROM_ZERO = {
    ("RandomSaturation", "factor"), ("RandomColorDegeneration", "factor"),
    ("RandomShear", "x_factor"), ("RandomShear", "y_factor"),
}  # fmt: skip
# what Keras says of a vocabulary that stands beside it anyway
_KNOWN_ANYWAY = {"vocabulary_size": ("StringLookup", "IntegerLookup", "TextVectorization")}
# what ours say and Keras does not take, and as what it may be left out when a file is written
_OURS_ALONE: dict[str, tuple[Any, ...]] = {
    "input_axes": (None,), "output_axes": (None,), "rms_scaling": (False,), "kind": (), "input_shape": (None,),
}  # fmt: skip
# what ours say for each dimension of space, and Keras's, which has one, without the list around it
_OF_ONE_DIMENSION = {("Cropping1D", "cropping"), ("ZeroPadding1D", "padding"), ("UpSampling1D", "size")}
# what every layer of Keras takes, but for these
_NOT_TAKEN = dict.fromkeys(
    "SpatialDropout1D SpatialDropout2D SpatialDropout3D Discretization Pipeline".split(), ("trainable",)
)
# in which registry the object in an argument is found, by how the argument's name ends
_OBJECTS: dict[str, Registry] = {
    "initializer": registry.initializers, "regularizer": registry.regularizers, "constraint": registry.constraints,
    "activation": registry.activations, "learning_rate": registry.schedules, "optimizer": registry.optimizers,
}  # fmt: skip
# arguments of layers that are layers themselves
LAYERS = ("layer", "cell", "cells", "forward_layer", "backward_layer", "inner_layer")
_MODULES = {
    "initializer": "keras.initializers", "regularizer": "keras.regularizers", "constraint": "keras.constraints",
    "layer": "keras.layers", "loss": "keras.losses", "metric": "keras.metrics", "optimizer": "keras.optimizers",
    "learning rate schedule": "keras.optimizers.schedules", "activation": "keras.activations",
}  # fmt: skip
# what no file of Keras may name, for it is none of Keras's
_NOT_KERASS = frozenset(
    (
        "Torch",
        "Model",
        "Sequential",
        "StochasticDepth",
        "StochasticDepthOfKeras",
        "LayerScale",
        "ChannelScaling",
        "CustomScaleLayer",
    )
)
_KEEP_CODE = {
    "TorchModuleWrapper": "it is a pickle, which torchfunc never loads",
    "TFSMLayer": "it is a program of TensorFlow",
    "JaxLayer": "it is a program of JAX",
    "FlaxLayer": "it is a program of JAX",
}
CODE = (
    "it holds the code of a Python function, which is never executed here. Fix: in Keras, write the function as a layer, or "
    "as a named one under @keras.saving.register_keras_serializable(), and give it here in custom_objects"
)


def is_object(value: Any) -> bool:
    """Whether a value describes an object: by the names of its class and its arguments."""
    return isinstance(value, Mapping) and isinstance(value.get("class_name"), str) and "config" in value


def named(entry: Mapping[str, Any]) -> str:
    """The name by which a registry may know the class of an entry: the registered one, `package>Name`, before its own."""
    full = entry.get("registered_name")
    if isinstance(full, str) and registry.custom_object(full) is not None:
        return full
    return str(entry["class_name"])


def layer_class(entry: Mapping[str, Any], place: str) -> Any:
    """The class of a layer that a file names, among Keras's that are here, and yours.

    Raises:
        UnknownNameError: nobody knows it.
        ConfigError: it stands for code.
    """
    name = named(entry)
    if name in _KEEP_CODE:
        raise ConfigError(f"{place}: {name} cannot be read from a file: {_KEEP_CODE[name]}.")
    known: Mapping[str, Any] = registry.layers.names()
    if name in of_applications.LAYERS and str(entry.get("module", "keras.")).startswith("keras."):
        return of_applications.LAYERS[name]
    name = next((ours for ours, keras in CLASS_NAMES.items() if keras == name), name)
    if name in known and name not in _NOT_KERASS:
        return known[name]
    custom = registry.custom_object(name)
    if custom is None:
        custom = registry.custom_object(name.rpartition(">")[2])
    if custom is None:
        kept = [each for each in known if each not in _NOT_KERASS]
        fix = f"Fix: register the class, or load_model(path, custom_objects={{{shorten(name, 60)}: YourClass}})."
        raise UnknownNameError(f"layer of Keras at {place}", name, kept, fix)
    return custom


def arguments(name: str, config: Any, place: str) -> dict[str, Any]:
    """The constructor's arguments of an object of a class, from those that Keras wrote.

    Raises:
        ConfigError: no object, or something that stands for code.
    """
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise ConfigError(explain(place, got=shorten(config), expected="an object with arguments"))
    found = {}
    for key, value in config.items():
        if key == "dtype":
            value = dtype(value, f"{place}.dtype")
        if name in _KNOWN_ANYWAY.get(key, ()):
            continue
        if value in _SAME.get(key, ()) and (key not in _SAME_OF or name in _SAME_OF[key]):
            continue
        if (name, key) in _FROM_ZERO and isinstance(value, list) and len(value) == 2:
            value = _from_zero(value)
        found[key] = plain(value, f"{place}.{key}")
    return found


def _from_zero(pair: list[Any]) -> list[Any]:
    """A range without what is below 0, where it reaches as far below as above."""
    low, high = pair
    numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
    return [0, high] if numbers and low == -high else pair


def plain(value: Any, place: str) -> Any:
    """A value without what Keras says around the objects in it.

    Raises:
        ConfigError: code.
    """
    if isinstance(value, list):
        return [plain(each, f"{place}[{index}]") for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if not is_object(value):
        return {key: plain(each, f"{place}.{key}") for key, each in value.items()}
    name = value["class_name"]
    if name == "__lambda__":
        raise ConfigError(f"{place}: {CODE}.")
    if name in ("__numpy__", "__tensor__"):
        inner = value["config"]
        return inner.get("value") if isinstance(inner, Mapping) else inner
    if name == "function":
        return {"class_name": "function", "config": function_name(value, place)}
    return {"class_name": named(value), "config": arguments(name, value["config"] or {}, f"{place}.config")}


def function_name(value: Mapping[str, Any], place: str) -> str:
    """The name of a function that a file mentions: the registered one where you gave it, else its own."""
    full = value.get("registered_name")
    if isinstance(full, str) and registry.custom_object(full) is not None:
        return full
    if not isinstance(value["config"], str):
        raise ConfigError(f"{place}: {CODE}.")
    return value["config"]


def dtype(value: Any, place: str) -> Any:
    """The dtype of the weights that a policy of Keras says; None for the usual one.

    Raises:
        ConfigError: a policy that is none, or a quantized one.
    """
    name = value
    if isinstance(value, Mapping):
        inner = value.get("config")
        name = inner.get("name") if isinstance(inner, Mapping) else None
    if isinstance(name, str) and name.startswith("mixed_"):
        warnings.warn(
            f"The file was written under the policy {name!r}: the weights are in float32 here, and so is what is computed. "
            "For halves: model.bfloat16(), or torch.autocast.",
            stacklevel=2,
        )
        name = "float32"
    if name is None or name == "float32":
        return None
    if not isinstance(name, str) or (isinstance(value, Mapping) and value.get("class_name") not in _POLICIES):
        way = "in Keras, load the model, and save it in float32"
        raise ConfigError(
            explain(place, got=shorten(value), expected="a floating dtype, or a policy of one", fix=way)
        )
    return name


_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")


def made(kind: Any, config: Mapping[str, Any], place: str) -> Any:
    """A layer of a class: every argument passes the schemas of `torchfunc.schemas`."""
    return constructed(kind, dict(config), place, place)


def for_keras(value: Any, name: str, where: str) -> Any:
    """A value of one of our configs as Keras takes it.

    Args:
        value: plain data, with objects as `{"class_name": ..., "config": {...}}`.
        name: the argument that it is of.
        where: whose.

    Raises:
        SavingError: an object, a function or an argument that Keras has not.
    """
    if isinstance(value, (list, tuple)):
        return [for_keras(each, name, where) for each in value]
    if not isinstance(value, Mapping):
        return value
    if not is_object(value):
        return {key: for_keras(each, key, where) for key, each in value.items()}
    known = _registry_for(name, value)
    return object_for_keras(value["class_name"], value["config"], known, where)


def object_for_keras(name: str, config: Any, known: Registry, where: str) -> dict[str, Any]:
    """An object of a registry as Keras writes it.

    Raises:
        SavingError: a class of yours, or an argument that Keras's has not.
    """
    kind = known.names().get(name)
    if not isinstance(kind, type) or not kind.__module__.startswith("torchfunc.") or name in _NOT_KERASS:
        raise not_kerass(where, f"the {known.kind} {shorten(name, 60)}")
    return {
        "module": _MODULES[known.kind],
        "class_name": name,
        "config": config_for_keras(name, config, f"{where}: {name}"),
        "registered_name": None,
    }


def config_for_keras(name: str, config: Any, where: str) -> dict[str, Any]:
    """The arguments of an object of a class as Keras takes them.

    Raises:
        SavingError: one that Keras has not.
    """
    found = {}
    for key, value in (config or {}).items():
        if key in _NOT_TAKEN.get(name, ()):
            continue
        if (name, key) in _OF_ONE_DIMENSION and isinstance(value, list) and len(value) == 1:
            (value,) = value
        if key in _OURS_ALONE:
            if value not in _OURS_ALONE[key]:
                raise not_kerass(where, f"{key}={shorten(value)}")
            continue
        found[key] = for_keras(value, key, where)
    return found


def not_kerass(where: str, got: str) -> SavingError:
    """The error for something that no file of Keras can hold."""
    return SavingError(
        explain(
            where,
            got=got,
            expected="what Keras has",
            why="a file of Keras names its own classes and functions",
            fix="model.save('model.safetensors'), which keeps any module, or a layer of torchfunc.layers in its place",
        )
    )


def _registry_for(name: str, value: Mapping[str, Any]) -> Registry:
    kind = value.get("kind")
    by_kind = next((each for each in registry.registries() if each.kind == kind), None)
    if by_kind is not None:
        return by_kind
    found = next((known for end, known in _OBJECTS.items() if name.endswith(end)), registry.layers)
    # an activation may be a layer
    return registry.layers if found is registry.activations else found
