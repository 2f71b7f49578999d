"""Classes of torch.nn and torch.optim that a file may name, and the arguments that make another like each.

PyTorch's modules keep most constructor arguments as attributes of the same name. What they keep under
another, or not at all, is said here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.overrides import TorchFunctionMode

from torchfunc.errors import ConfigError, explain

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


# LBFGS is not among them: it wants a closure, which `fit` does not have
_OPTIMIZERS = (
    "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax NAdam RAdam RMSprop Rprop SGD SparseAdam".split()
)


@cache
def classes() -> dict[str, type[nn.Module]]:
    """The classes of torch.nn that a file may name, by that name: `torch.nn.Linear`."""
    return {f"torch.nn.{name}": getattr(nn, name) for name in _NAMES.split() if hasattr(nn, name)}


@cache
def optimizers() -> dict[str, type[optim.Optimizer]]:
    """The optimizers that a file may name, by that name: `torch.optim.Adam`."""
    return {f"torch.optim.{name}": getattr(optim, name) for name in _OPTIMIZERS}


def name_of(kind: Any) -> str | None:
    """The name under which a file may mention a class, or None."""
    return _names().get(kind)


@cache
def _names() -> dict[type, str]:
    return {kind: name for table in (classes(), optimizers()) for name, kind in table.items()}


def argument_names(kind: type) -> list[str]:
    """The arguments of a class that a file may state."""
    if kind in CONTAINERS:
        return ["modules"]
    taken = [each.name for each in inspect.signature(kind).parameters.values() if "VAR" not in each.kind.name]
    names = _SIGNATURES.get(kind.__name__) or [name for name in taken if name not in _UNSTATED]
    return [*names, *_not_yet(kind)]


@cache
def _not_yet(kind: type) -> list[str]:
    """What a file states of a class as the newest PyTorch has it, and the one that is installed does not take."""
    brought = ["bias"] if kind.__name__ in _BIAS_SINCE_2_13 else []
    return [name for name in brought if name not in inspect.signature(kind).parameters]


def arguments_of(module: nn.Module) -> dict[str, Any]:
    """The arguments that make another such module: plain values, and the modules that it holds."""
    if type(module) in CONTAINERS:
        # not named_children, which leaves out a module that stands there twice
        return {"modules": dict(module._modules)}
    special = _SPECIAL.get(type(module).__name__, {})
    found = {
        name: special[name](module) if name in special else _attribute(module, name)
        for name in argument_names(type(module))
    }
    return {name: value for name, value in found.items() if value is not _ABSENT}


def made(kind: type, arguments: dict[str, Any], place: str) -> Any:
    """A module of a class of the table, or a function of parameters that makes an optimizer of it.

    Raises:
        ConfigError: an argument, which stands at `place.config`, says what this PyTorch cannot do.
    """
    if issubclass(kind, optim.Optimizer):
        return partial(kind, **arguments)
    if kind not in CONTAINERS:
        with _NothingDrawn():
            return kind(**_taken(kind, arguments, place))
    module = kind()
    for name, child in arguments["modules"].items():
        module.add_module(name, child)
    return module


def _taken(kind: type, arguments: dict[str, Any], place: str) -> dict[str, Any]:
    """The arguments without those that an older PyTorch has not, where it does what they say."""
    late = _not_yet(kind)
    affine = arguments.get("affine", inspect.signature(kind).parameters["affine"].default) if late else False
    if affine and arguments.get("bias") is False:
        raise ConfigError(
            explain(
                f"{place}.config.bias",
                got="False",
                expected="True",
                why=f"the {kind.__name__} of PyTorch {torch.__version__} always has one",
                fix="PyTorch 2.13 or newer",
            )
        )
    return {name: value for name, value in arguments.items() if name not in late}


class _NothingDrawn(TorchFunctionMode):
    """Leaves out the normal numbers of weights without memory: PyTorch would import its compiler for them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensor = args[0] if args else (kwargs or {}).get("tensor")
        if func in _DRAWING and isinstance(tensor, Tensor) and tensor.is_meta:
            return tensor
        return func(*args, **(kwargs or {}))


_DRAWING = (Tensor.normal_, nn.init.normal_, nn.init.xavier_normal_, nn.init.kaiming_normal_)
_ABSENT = object()
_UNSTATED = ("device", "dtype", "_weight", "_freeze", "params")


def _attribute(module: nn.Module, name: str) -> Any:
    value = getattr(module, name, _ABSENT)
    if name in ("bias", "elementwise_affine", "affine") and not isinstance(value, bool):
        return value is not None and value is not _ABSENT
    return value


def _activation(module: Any) -> Any:
    name = getattr(module.activation, "__name__", None)
    return name if name in ("relu", "gelu") else module.activation


_BIAS_SINCE_2_13 = """
    BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d GroupNorm
""".split()
CONTAINERS = (nn.Sequential, nn.ModuleList)
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
    # left out where it is the usual one, as in files that were written without it
    "PairwiseDistance": {"p": lambda m: m.norm if m.norm != 2.0 else _ABSENT},
    "TransformerEncoderLayer": _LAYER,
    "TransformerDecoderLayer": _LAYER,
    "TransformerEncoder": {"encoder_layer": lambda m: m.layers[0]},
    "TransformerDecoder": {"decoder_layer": lambda m: m.layers[0]},
    "Hardtanh": {"min_value": lambda m: _ABSENT, "max_value": lambda m: _ABSENT},
    "Unflatten": {"unflattened_size": lambda m: m.unflattened_size},
}
_SPECIAL["Hardtanh"].update({"min_val": lambda m: m.min_val, "max_val": lambda m: m.max_val})
