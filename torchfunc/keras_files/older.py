"""Older: what the line 2 of Keras wrote, from 2.2 on, in the words of Keras 3.

Configs of that time are turned into such as Keras 3 would write, so that there is one reader. Sources: the
`get_config` of keras 2.2.4 and 2.3.1 and of tf_keras 2.15, and for the order of an optimizer's variables their
`get_weights`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchfunc import registry
from torchfunc.errors import ConfigError, explain, shorten
from torchfunc.keras_files import dialect, tf_functions
from torchfunc.keras_files.places import Weight
from torchfunc.keras_files.slots import Variable, variables_of
from torchfunc.optimizers import Optimizer

# the names of classes that Keras 3 has under another
_CLASSES = {
    "Model": "Functional", "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization", "LSTMV2": "LSTM", "GRUV2": "GRU", "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU", "ThresholdedReLU": "ReLU",
}  # fmt: skip
_RENAMED: dict[str, dict[str, str]] = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "ThresholdedReLU": {"theta": "threshold"},
    "InputLayer": {"batch_input_shape": "batch_shape"},
}
# arguments that say nothing any more, whatever they are
_GONE = frozenset(
    (
        "implementation",
        "input_length",
        "input_dtype",
        "fused",
        "batch_input_shape",
        "_vectorize_mapper",
        "rng_type",
    )
)
_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_GONE_OF = {
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape"),
    "SeparableConv1D": _KERNEL, "SeparableConv2D": _KERNEL,
    "TextVectorization": ("dtype",),  # that of its texts
}  # fmt: skip
# arguments that say nothing as long as they are one of these
_GONE_AS: dict[str, tuple[Any, ...]] = {
    "time_major": (False,), "sparse": (False, None), "ragged": (False, None), "virtual_batch_size": (None,),
    "renorm": (False,), "renorm_clipping": (None, {}), "renorm_momentum": (0.99,), "adjustment": (None,),
    "experimental_autocast": (True,), "groups": (1,), "softmax_robust_masking": (False,),
}  # fmt: skip
_LOSSES = {
    "cosine_proximity": "cosine_similarity", "cosine": "cosine_similarity", "logcosh": "log_cosh",
    "kullback_leibler_divergence": "kl_divergence", "kld": "kl_divergence", "KLD": "kl_divergence",
}  # fmt: skip


@registry.activations.register("keras_2_hard_sigmoid")
def keras_2_hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(0.2 x + 0.5, 0, 1)`: the hard sigmoid of Keras before version 3, which has the slope 1/6 since."""
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


def model_config(entry: Any, place: str = "$") -> Any:
    """A config of Keras 2 in the words of Keras 3, with all that it holds.

    Raises:
        ConfigError: something of that time for which nothing stands any more.
    """
    if isinstance(entry, list):
        return [model_config(each, f"{place}[{index}]") for index, each in enumerate(entry)]
    if not isinstance(entry, Mapping):
        return entry
    if not dialect.is_object(entry):
        return {key: model_config(each, f"{place}.{key}") for key, each in entry.items()}
    name, config = entry["class_name"], entry["config"]
    name = name.rpartition(".")[2] if name.startswith("experimental.") else name
    if name in tf_functions.LAYERS:
        return tf_functions.as_op(entry, place)
    if isinstance(config, list) and name == "Sequential":  # before 2.2.3
        config = {"layers": config}
    if not isinstance(config, Mapping):
        return dict(entry)
    changed = _config(name, config, f"{place}.config")
    found: dict[str, Any] = {**entry, "class_name": _CLASSES.get(name, name), "config": changed}
    if name.startswith("CuDNN"):
        found["was"] = name
    if "compile_config" in entry:
        found["compile_config"] = compile_config(entry["compile_config"], f"{place}.compile_config")
    return found


def _config(name: str, config: Mapping[str, Any], place: str) -> dict[str, Any]:
    renamed = _RENAMED.get(name, {})
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in ("input_layers", "output_layers"):
            found[key] = value
        elif key in renamed:
            found[renamed[key]] = value
        elif key in _GONE or key in _GONE_OF.get(name, ()) or (key in _GONE_AS and value in _GONE_AS[key]):
            continue
        elif key == "time_major":
            fix = "in Keras 2, transpose before the layer, and save the model with time_major=False"
            raise ConfigError(explain(place, got="time_major=true", expected="false", fix=fix))
        elif key == "layers" and isinstance(value, list):
            found[key] = [_listed(each, f"{place}.layers[{index}]") for index, each in enumerate(value)]
        else:
            found[key] = _value(name, key, value, f"{place}.{key}")
    if name == "Sequential":
        _begin(found, config)
    if name in ("GRU", "GRUCell", "CuDNNGRU"):
        found.setdefault("reset_after", name == "CuDNNGRU")
    if name == "SyncBatchNormalization":
        found["synchronized"] = True
    if name == "ReLU" and found.get("negative_slope") is None:
        found.pop("negative_slope", None)
    return found


def _listed(entry: Any, place: str) -> Any:
    """A layer of a model, whose calls stay as they are."""
    if not isinstance(entry, Mapping):
        return entry
    if entry.get("class_name") in tf_functions.LAYERS and dialect.is_object(entry):
        return model_config(entry, place)
    nodes = {"inbound_nodes": entry["inbound_nodes"]} if "inbound_nodes" in entry else {}
    found = model_config({key: each for key, each in entry.items() if key != "inbound_nodes"}, place)
    return {**found, **nodes}


def _value(name: str, key: str, value: Any, place: str) -> Any:
    if key.endswith("activation") and value == "hard_sigmoid":
        return "keras_2_hard_sigmoid"
    if key == "axis" and isinstance(value, list) and len(value) == 1 and name.startswith(("Batch", "Sync")):
        return value[0]
    if key.endswith("_initializer") and dialect.is_object(value) and isinstance(value["config"], Mapping):
        # without the dtype that it once took; what it drew from has two names
        config = {word: each for word, each in value["config"].items() if word != "dtype"}
        if config.get("distribution") == "normal":
            config["distribution"] = "truncated_normal"
        return {**value, "config": config}
    if name == "Lambda" and key == "function" and isinstance(value, list):
        return {"class_name": "__lambda__", "config": {}}
    return model_config(value, place)


def _begin(found: dict[str, Any], config: Mapping[str, Any]) -> None:
    """Have a Sequential begin with an input, where its first layer says what it is called on."""
    layers = config.get("layers")
    first: Any = layers[0] if isinstance(layers, list) and layers else None
    while dialect.is_object(first) and isinstance(first["config"], Mapping):
        shape = first["config"].get("batch_input_shape")
        if first["class_name"] == "InputLayer":
            return
        if shape is not None:
            entry = {"class_name": "InputLayer", "config": {"batch_shape": shape}}
            found["layers"] = [entry, *found["layers"]]
            return
        first = first["config"].get("layer")


def training_config(config: Any) -> dict[str, Any]:
    """The training config of an `.h5` file as the `compile_config` of a `.keras` file.

    Raises:
        ConfigError: no object.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(explain("$.training_config", got=shorten(config), expected="an object"))
    return {**config, "optimizer": config.get("optimizer_config")}


def compile_config(config: Any, place: str = "$.training_config") -> Any:
    """A compile configuration of Keras 2 in the words of Keras 3."""
    if not isinstance(config, Mapping):
        return config
    found = {key: _loss(value) if key != "optimizer" else value for key, value in config.items()}
    if dialect.is_object(config.get("optimizer")):
        found["optimizer"] = _optimizer(config["optimizer"], f"{place}.optimizer")
    for key in ("metrics", "weighted_metrics"):
        if found.get(key) in ([], {}):
            found[key] = None
    return found


def _loss(value: Any) -> Any:
    """Losses and metrics as they are nested, by their names of now."""
    if isinstance(value, str):
        return _LOSSES.get(value, value)
    if isinstance(value, list):
        return [_loss(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if not dialect.is_object(value) or not isinstance(value["config"], Mapping):
        return {key: _loss(each) for key, each in value.items()}
    config = {key: each for key, each in value["config"].items() if key != "fn"}
    if config.get("reduction") in ("auto", "Auto"):
        config["reduction"] = "sum_over_batch_size"
    if value["class_name"] == "MeanMetricWrapper":
        fn = value["config"].get("fn")
        name = fn.get("config") if isinstance(fn, Mapping) else fn
        kept = config.get("name") in ("accuracy", "acc", "crossentropy", "ce")
        return config["name"] if kept else _LOSSES.get(str(name), name)
    return {**value, "config": config}


_OPTIMIZERS = {"lr": "learning_rate"}
_OF_THEN = ("jit_compile", "is_legacy_optimizer", "schedule_decay", "initial_decay", "decay")


def _optimizer(entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """An optimizer by the names of now; a rate that decayed by itself is a schedule."""
    config = entry["config"]
    if not isinstance(config, Mapping):
        raise ConfigError(explain(f"{place}.config", got=shorten(config), expected="an object"))
    found = {_OPTIMIZERS.get(key, key): value for key, value in config.items() if key not in _OF_THEN}
    rate: Any = found.get("learning_rate")
    if dialect.is_object(rate) and isinstance(rate["config"], Mapping):
        arguments = {
            key: value for key, value in rate["config"].items() if key != "name" or value is not None
        }
        found["learning_rate"] = {**rate, "config": arguments}
    if found.get("epsilon", 0) is None:
        del found["epsilon"]
    decay, rate = config.get("decay"), found.get("learning_rate")
    if entry["class_name"] == "Nadam" and (decay or "schedule_decay" in config):
        warnings.warn(
            "Nadam of Keras 2 built up its momentum more slowly than Keras 3 and torchfunc do: training goes on from what "
            "the optimizer remembers, and not by equal steps.",
            stacklevel=2,
        )
    elif isinstance(decay, (int, float)) and decay > 0 and isinstance(rate, (int, float)):
        arguments = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        found["learning_rate"] = {"class_name": "InverseTimeDecay", "config": arguments}
    name = entry["class_name"].rpartition(">")[2]
    return {
        "class_name": {"adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop"}.get(name, name),
        "config": found,
    }


def optimizer_layouts(
    keras: tuple[int, ...], training: Any, rule: Optimizer, weights: Sequence[Weight]
) -> Iterator[list[Variable]]:
    """In which orders a version may have listed the variables of an optimizer, the likeliest first.

    Args:
        keras: the version.
        training: the compile configuration as the file has it.
        rule: the optimizer.
        weights: those that are trained.
    """
    yield variables_of(rule, weights)
    if keras >= (3,):
        return
    count = len(weights)
    optimizer = training.get("optimizer") if isinstance(training, Mapping) else None
    config = optimizer.get("config") if isinstance(optimizer, Mapping) else None
    is_new = isinstance(config, Mapping) and config.get("is_legacy_optimizer", keras < (2, 11)) is False
    for in_blocks in (False, True) if is_new else (True, False):
        for fillers in (0, count):
            listed = variables_of(rule, weights, rate=False, in_blocks=in_blocks, fillers=fillers)
            yield listed
            yield [
                each for each in listed if each.name != "momentum_product"
            ]  # which only some versions keep
            if not is_new:  # nor did 2.2 keep the number of steps of some
                yield [each for each in listed if each.weight is not None or not each.name]


@dataclass(frozen=True)
class FromCudnn:
    """What makes of the weights of a CuDNNLSTM or CuDNNGRU those of the plain layer.

    Each gate's kernels lie transposed there, and an LSTM has two biases, of which the plain one is the sum. Source:
    `preprocess_weights_for_loading` in keras/engine/saving.py, 2.2.4.

    Attributes:
        gates: how many there are: 4, or 3 of a GRU.
    """

    gates: int

    def shape(self, attribute: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the file of a weight of this shape."""
        if attribute != "bias":
            return shape
        return (2 * shape[0],) if self.gates == 4 else (math.prod(shape),)

    def convert(self, attribute: str, value: Tensor) -> Tensor:
        """A weight of the file as the plain layer has it."""
        if attribute == "bias":
            pair = value.reshape(2, -1)
            return pair.sum(0) if self.gates == 4 else pair
        blocks = value.chunk(self.gates, 1)
        if attribute == "weight_hh":
            return torch.cat([each.T for each in blocks], 1)
        rows, columns = blocks[0].shape
        # what NumPy calls `kernel.T.reshape(kernel.shape, order="F")`
        return torch.cat([each.reshape(columns, rows).T for each in blocks], 1)


CUDNN = {"CuDNNLSTM": FromCudnn(4), "CuDNNGRU": FromCudnn(3)}
