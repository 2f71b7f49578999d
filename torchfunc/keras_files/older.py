"""Older: what the line 2 of Keras wrote, from 2.2 on, in the words of Keras 3.

Configs of that time are turned into such as Keras 3 would write, so that there is one reader. Sources: the `get_config` of
keras 2.2.4 and 2.3.1 and of tf_keras 2.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchfunc import registry
from torchfunc.errors import ConfigError, explain, shorten
from torchfunc.keras_files import slots
from torchfunc.keras_files.places import Weight
from torchfunc.optimizers import Optimizer

# the names of classes that Keras 3 has under another
_CLASSES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "ThresholdedReLU": "ReLU",
}
# arguments under another name
_RENAMED = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "ThresholdedReLU": {"theta": "threshold"},
    "InputLayer": {"batch_input_shape": "batch_shape"},
    "LSTM": {}, "GRU": {},
}  # fmt: skip
# arguments that say nothing any more, and as what they may stand there
_GONE: dict[str, tuple[Any, ...]] = {
    "time_major": (False,), "implementation": (0, 1, 2), "input_length": (), "input_dtype": (), "sparse": (False, None),
    "ragged": (False, None), "return_runtime": (False,), "virtual_batch_size": (None,), "fused": (None, True, False),
    "renorm": (False,), "renorm_clipping": (None, {}), "renorm_momentum": (0.99,), "adjustment": (None,),
    "data_format": (), "keepdims": (), "experimental_autocast": (True,), "input_spec": (), "_vectorize_mapper": (),
    "fn": (),
}  # fmt: skip
_ALWAYS_GONE = ("implementation", "input_length", "input_dtype", "fused", "batch_input_shape")
_CELLS = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D", "LSTMCell", "GRUCell", "SimpleRNNCell")
_LOSSES = {
    "cosine_proximity": "cosine_similarity", "cosine": "cosine_similarity", "logcosh": "log_cosh",
    "kullback_leibler_divergence": "kl_divergence", "kld": "kl_divergence", "KLD": "kl_divergence",
    "acc": "accuracy",
}  # fmt: skip


@registry.activations.register("keras_2_hard_sigmoid")
def keras_2_hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(0.2 x + 0.5, 0, 1)`: the hard sigmoid of Keras before version 3, which has the slope 1/6 since."""
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


def model_config(config: Any, place: str = "$") -> Any:
    """A config of a model or layer of Keras 2 in the words of Keras 3.

    Raises:
        ConfigError: an argument of that time which nothing stands for any more.
    """
    return _object(config, place)


def _object(entry: Any, place: str) -> Any:
    """An object of a config, and all in it."""
    if isinstance(entry, list):
        return [_object(each, f"{place}[{index}]") for index, each in enumerate(entry)]
    if not isinstance(entry, Mapping):
        return entry
    if not isinstance(entry.get("class_name"), str) or "config" not in entry:
        return {key: _object(each, f"{place}.{key}") for key, each in entry.items()}
    name, config = entry["class_name"].rpartition(">")[2], entry["config"]
    name = name.rpartition(".")[2] if name.startswith("experimental.") else name
    if isinstance(config, list) and name == "Sequential":  # before 2.2.3
        config = {"layers": config}
    if not isinstance(config, Mapping):
        return dict(entry)
    changed = _config(name, config, f"{place}.config")
    if name == "Sequential":
        _begin(changed)
    if name.startswith("CuDNN"):
        raise ConfigError(
            explain(
                place,
                got=name,
                expected="LSTM or GRU",
                why="its weights lie in the order of a program of NVIDIA",
                fix="in Keras 2, build the model with LSTM, model.load_weights of this file, and save that",
            )
        )
    found = {**entry, "class_name": _CLASSES.get(name, name), "config": changed}
    if "inbound_nodes" in entry:
        found["inbound_nodes"] = entry["inbound_nodes"]
    return found


def _config(name: str, config: Mapping[str, Any], place: str) -> dict[str, Any]:
    renamed = _RENAMED.get(name, {})
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key == "inbound_nodes" or key in ("input_layers", "output_layers"):
            found[key] = value
        elif key in renamed:
            found[renamed[key]] = value
        elif key in _ALWAYS_GONE or (key in _GONE and value in _GONE[key]):
            continue
        elif key == "time_major":
            got, fix = (
                "time_major=true",
                "in Keras 2, transpose before the layer, and save the model with time_major=False",
            )
            raise ConfigError(explain(place, got=got, expected="false", fix=fix))
        else:
            found[key] = _value(name, key, value, f"{place}.{key}")
    if name in ("GRU", "GRUCell") and "reset_after" not in found:
        found["reset_after"] = False  # as it was before 2.3 of tf.keras
    if name == "SyncBatchNormalization":
        found["synchronized"] = True
    return found


def _value(name: str, key: str, value: Any, place: str) -> Any:
    if key.endswith("activation") and value == "hard_sigmoid":
        return "keras_2_hard_sigmoid"
    if key == "activation" and name == "Activation" and value == "hard_sigmoid":
        return "keras_2_hard_sigmoid"
    if key == "axis" and isinstance(value, list) and len(value) == 1 and name == "BatchNormalization":
        return value[0]
    if key.endswith("_initializer") and isinstance(value, Mapping):
        return _initializer(value)
    if name == "Lambda" and key == "function" and isinstance(value, list):
        return {"class_name": "__lambda__", "config": {}}
    return _object(value, place)


def _initializer(value: Mapping[str, Any]) -> dict[str, Any]:
    """An initializer without the dtype that it once took; that it drew from a normal distribution has two names."""
    inner = value.get("config")
    config = (
        {key: each for key, each in inner.items() if key != "dtype"} if isinstance(inner, Mapping) else {}
    )
    if config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    return {**value, "config": config}


def _begin(config: dict[str, Any]) -> None:
    """Have a Sequential begin with an input, where its first layer says what it is."""
    layers = config.get("layers")
    if not isinstance(layers, list) or not layers or not isinstance(layers[0], Mapping):
        return
    if layers[0].get("class_name") == "InputLayer":
        return
    shape = _first_shape(config)
    if shape is not None:
        entry = {
            "class_name": "InputLayer",
            "config": {"batch_shape": shape, "dtype": config.pop("_dtype", None)},
        }
        config["layers"] = [entry, *layers]


def _first_shape(config: Mapping[str, Any]) -> Any:
    return config.get("batch_input_shape")


def training_config(config: Any) -> Any:
    """The training config of an older `.h5` file as a `compile_config`."""
    if not isinstance(config, Mapping):
        raise ConfigError(explain("$.training_config", got=shorten(config), expected="an object"))
    return {**config, "optimizer": config.get("optimizer_config")}


def compile_config(config: Any) -> Any:
    """A `compile_config` of Keras 2 in the words of Keras 3."""
    return config


def optimizer_layouts(
    keras: tuple[int, ...], in_layers: bool, training: Any, rule: Optimizer, weights: Sequence[Weight]
) -> Iterator[list[slots.Variable]]:
    """In which orders a version may have listed the variables of an optimizer, the likeliest first."""
    yield slots.variables_of(rule, weights)
