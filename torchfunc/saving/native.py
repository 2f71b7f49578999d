"""Modules of torch.nn as plain data: the class by name from a list, and its constructor's arguments.

PyTorch's modules keep most constructor arguments as attributes of the same name. What they keep under
another, or not at all, is said here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from torchfunc import registry
from torchfunc.errors import ConfigError, SavingError, explain, shorten

_NAMES = """
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
    AlphaDropout AvgPool1d AvgPool2d AvgPool3d BatchNorm1d BatchNorm2d BatchNorm3d Bilinear CELU ChannelShuffle
    ConstantPad1d ConstantPad2d ConstantPad3d Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
    CosineSimilarity Dropout Dropout1d Dropout2d Dropout3d ELU Embedding EmbeddingBag FeatureAlphaDropout Flatten
    Fold GELU GLU GRU GRUCell GroupNorm Hardshrink Hardsigmoid Hardswish Hardtanh Identity InstanceNorm1d
    InstanceNorm2d InstanceNorm3d LPPool1d LPPool2d LSTM LSTMCell LayerNorm LeakyReLU Linear LocalResponseNorm
    LogSigmoid LogSoftmax MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d Mish ModuleList
    MultiheadAttention PReLU PairwiseDistance PixelShuffle PixelUnshuffle RMSNorm RNN RNNCell RReLU ReLU ReLU6
    ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d SELU
    Sequential SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign SyncBatchNorm Tanh Tanhshrink
    Threshold TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer Unflatten
    Unfold Upsample UpsamplingBilinear2d UpsamplingNearest2d ZeroPad1d ZeroPad2d ZeroPad3d
"""


@cache
def classes() -> dict[str, type[nn.Module]]:
    """The classes of torch.nn that a file may name, by that name: `torch.nn.Linear`."""
    return {f"torch.nn.{name}": getattr(nn, name) for name in _NAMES.split() if hasattr(nn, name)}


def described(module: nn.Module | None, name: str) -> dict[str, Any]:
    """A module as `{"class_name": ..., "config": ...}`.

    Raises:
        SavingError: a class that is neither one of torch.nn nor registered with a `get_config`.
    """
    kind = type(module)
    full = f"torch.nn.{kind.__name__}"
    if classes().get(full) is kind:
        return {"class_name": full, "config": _checked(module, _arguments(module, name), name)}  # type: ignore[arg-type]
    if module is not None and hasattr(module, "get_config"):
        kind = getattr(module, "config_class", kind)
        written = registry.layers.name_of(kind) or registry.custom_name_of(kind) or kind.__name__
        if registry.layers.name_of(kind) is None and written in set(registry.layers):
            raise SavingError(
                explain(
                    f"{written} {name!r}",
                    got=f"a class of yours called {written!r}",
                    expected="a name that torchfunc does not use",
                    fix=f"@torchfunc.register('My{written}')",
                )
            )
        config: Any = module.get_config
        return {"class_name": written, "config": config()}
    raise SavingError(
        explain(
            f"{kind.__name__} {name!r}",
            got=f"a module of the class {kind.__qualname__}",
            expected="a class that a file can name, with its constructor's arguments",
            why="a file holds data and never code",
            fix=f"give {kind.__name__} a get_config and decorate it with @torchfunc.register(), "
            "or keep the weights alone with save_weights",
        )
    )


def _checked(module: nn.Module, config: dict[str, Any], name: str) -> dict[str, Any]:
    """The config, after a look that it makes a module with the same weights."""
    try:
        with torch.device("meta"):
            made = _made(type(module), config, name)
        same = {k: v.shape for k, v in made.state_dict().items()} == {
            k: v.shape for k, v in module.state_dict().items()
        }
    except Exception as error:
        raise SavingError(f"{type(module).__name__} {name!r} cannot be written as data: {error}") from error
    if not same:
        raise SavingError(
            explain(
                f"{type(module).__name__} {name!r}",
                got="other weights than its constructor makes",
                expected="the module as torch.nn makes it",
                why="it was changed after it was made (parametrized, pruned, quantized)",
                fix="keep the weights alone with save_weights",
            )
        )
    return config


def _arguments(module: nn.Module, name: str) -> dict[str, Any]:
    """The constructor's arguments of a module of torch.nn."""
    kind = type(module)
    if kind in _CONTAINERS:
        return {"modules": {key: described(child, f"{name}.{key}") for key, child in module.named_children()}}
    special = _SPECIAL.get(kind.__name__, {})
    names = _SIGNATURES.get(kind.__name__) or [
        each
        for each in list(inspect.signature(kind.__init__).parameters)[1:]
        if each not in ("device", "dtype", "_weight", "_freeze")
    ]
    found = {each: special[each](module) if each in special else _attribute(module, each) for each in names}
    return {
        key: _plain(value, f"{kind.__name__} {name!r}", key)
        for key, value in found.items()
        if value is not _ABSENT
    }


_ABSENT = object()


def _attribute(module: nn.Module, name: str) -> Any:
    value = getattr(module, name, _ABSENT)
    if name in ("bias", "elementwise_affine", "affine") and not isinstance(value, bool):
        return value is not None and value is not _ABSENT
    return value


def _plain(value: Any, owner: str, name: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each, owner, name) for each in value]
    if isinstance(value, nn.Module):
        return described(value, name)
    raise SavingError(f"{owner}: its argument {name!r} of type {type(value).__name__} is no plain data.")


def restored(config: Any, name: str, place: str) -> nn.Module:
    """A module from `{"class_name": ..., "config": ...}`, with new weights.

    Raises:
        ConfigError: the config is of another form, or the class refuses its arguments.
        UnknownNameError: no registry has that class.
    """
    if (
        not isinstance(config, dict)
        or set(config) != {"class_name", "config"}
        or not isinstance(config["class_name"], str)
    ):
        raise ConfigError(f"{place}: expected {{'class_name': ..., 'config': ...}}, got {shorten(config)}.")
    kind, arguments = config["class_name"], config["config"]
    if not isinstance(arguments, dict):
        raise ConfigError(f"{place}.config: expected an object, got {type(arguments).__name__}.")
    try:
        if kind in classes():
            return _made(classes()[kind], arguments, place)
        made = registry.layers.lookup(kind, f"For a class of your own pass custom_objects={{{kind!r}: ...}}.")
        module = made.from_config(dict(arguments)) if hasattr(made, "from_config") else made(**arguments)
    except (TypeError, AttributeError, KeyError, ZeroDivisionError, RuntimeError, OverflowError) as error:
        raise ConfigError(
            f"{place}: {kind} cannot be made from its config: {shorten(str(error))}."
        ) from error
    if getattr(module, "given_name", name) is None:
        module.graph_name = name
    return module  # type: ignore[no-any-return]


def _made(kind: type[nn.Module], config: dict[str, Any], place: str) -> nn.Module:
    if kind in _CONTAINERS:
        children = config.get("modules")
        if set(config) != {"modules"} or not isinstance(children, dict):
            raise ConfigError(f"{place}.config: expected the modules of a {kind.__name__}.")
        made = kind()
        for key, child in children.items():
            made.add_module(key, restored(child, key, f"{place}.modules.{key}"))
        return made
    known = _SIGNATURES.get(kind.__name__) or list(inspect.signature(kind.__init__).parameters)[1:]
    unknown = [key for key in config if key not in known or key in ("device", "dtype")]
    if unknown:
        raise ConfigError(f"{place}.config: {kind.__name__} has no argument {shorten(unknown[0])}.")
    arguments = {key: _value(value, f"{place}.config.{key}") for key, value in config.items()}
    return kind(**arguments)


def _value(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return restored(value, "module", place)
    return tuple(_value(each, place) for each in value) if isinstance(value, list) else value


def _activation(module: Any) -> Any:
    name = getattr(module.activation, "__name__", None)
    return name if name in ("relu", "gelu") else module.activation


_CONTAINERS = (nn.Sequential, nn.ModuleList)
_RECURRENT = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
_SIGNATURES = {
    "RNN": [*_RECURRENT, "nonlinearity"],
    "GRU": _RECURRENT,
    "LSTM": [*_RECURRENT, "proj_size"],
    "TransformerEncoder": ["encoder_layer", "num_layers", "norm", "enable_nested_tensor", "mask_check"],
    "TransformerDecoder": ["decoder_layer", "num_layers", "norm"],
}
_LAYER: dict[str, Callable[[Any], Any]] = {
    "d_model": lambda m: m.self_attn.embed_dim,
    "nhead": lambda m: m.self_attn.num_heads,
    "dim_feedforward": lambda m: m.linear1.out_features,
    "dropout": lambda m: m.dropout.p,
    "activation": _activation,
    "layer_norm_eps": lambda m: m.norm1.eps,
    "batch_first": lambda m: m.self_attn.batch_first,
    "bias": lambda m: m.linear1.bias is not None,
}
_SPECIAL: dict[str, dict[str, Callable[[Any], Any]]] = {
    "MultiheadAttention": {
        "bias": lambda m: m.in_proj_bias is not None,
        "add_bias_kv": lambda m: m.bias_k is not None,
    },
    "PReLU": {"init": lambda m: 0.25},
    "ZeroPad1d": {"padding": lambda m: m.padding},
    "TransformerEncoderLayer": _LAYER,
    "TransformerDecoderLayer": _LAYER,
    "TransformerEncoder": {"encoder_layer": lambda m: m.layers[0]},
    "TransformerDecoder": {"decoder_layer": lambda m: m.layers[0]},
    "Hardtanh": {"min_value": lambda m: _ABSENT, "max_value": lambda m: _ABSENT},
    "Unflatten": {"unflattened_size": lambda m: m.unflattened_size},
}
_SPECIAL["Hardtanh"].update({"min_val": lambda m: m.min_val, "max_val": lambda m: m.max_val})
