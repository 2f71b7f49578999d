"""What a file keeps of a module of torch.nn: every argument of every constructor, whatever its value."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch
from torch import nn

from torchfunc import native
from torchfunc.config import described, made
from torchfunc.errors import ConfigError

NEEDED: dict[str, dict[str, Any]] = {
    "in_features": 4, "out_features": 4, "in1_features": 4, "in2_features": 4, "num_features": 4,
    "in_channels": 4, "out_channels": 4, "kernel_size": 3, "input_size": 4, "hidden_size": 4, "embed_dim": 4,
    "num_heads": 2, "num_embeddings": 5, "embedding_dim": 3, "num_groups": 2, "num_channels": 4, "groups": 2,
    "normalized_shape": 4, "size": 4, "output_size": 4, "padding": 1, "value": 0.5, "norm_type": 2.0,
    "upscale_factor": 2, "downscale_factor": 2, "threshold": 0.5, "d_model": 4, "nhead": 2, "dim": 1,
    "unflattened_size": (2, 2), "num_layers": 2,
}  # fmt: skip
OTHERS: dict[str, tuple[Any, ...]] = {
    "p": (0.25, 0.75), "eps": (0.01, 0.5), "momentum": (0.3, None), "inplace": (True, False),
    "affine": (True, False), "track_running_stats": (True, False), "bias": (True, False), "alpha": (0.3, 2.0),
    "beta": (0.3, 2.0), "k": (3.0, 0.5), "value": (0.25, 2.0), "padding": (0, 1), "stride": (1, 2),
    "dilation": (1, 2), "groups": (2, 4), "ceil_mode": (True, False), "count_include_pad": (True, False),
    "divisor_override": (2, 3), "return_indices": (True, False), "padding_mode": ("circular", "zeros"),
    "output_padding": (0,), "dim": (1, 2), "padding_idx": (1, 2), "max_norm": (0.5, 2.0),
    "norm_type": (1.0, 3.0), "scale_grad_by_freq": (True, False), "sparse": (True, False),
    "mode": ("sum", "mean"), "include_last_offset": (True, False), "start_dim": (0, 2), "end_dim": (2, 3),
    "approximate": ("tanh", "none"), "nonlinearity": ("relu", "tanh"), "dropout": (0.25, 0.5),
    "batch_first": (True, False), "bidirectional": (True, False), "proj_size": (2, 3), "num_layers": (1, 3),
    "lambd": (0.25, 2.0), "min_val": (-3.0, -0.5), "max_val": (0.5, 3.0), "elementwise_affine": (True, False),
    "negative_slope": (0.25, 0.5), "add_bias_kv": (True, False), "add_zero_attn": (True, False),
    "kdim": (3, 5), "vdim": (3, 5), "num_parameters": (2, 4), "init": (), "keepdim": (True, False),
    "lower": (0.0, 0.2), "upper": (0.5, 0.9), "threshold": (0.25, 3.0), "dim_feedforward": (3, 5),
    "activation": ("gelu", "relu"), "layer_norm_eps": (0.01, 0.5), "norm_first": (True, False),
    "enable_nested_tensor": (True, False), "mask_check": (True, False), "scale_factor": (2.0, 3.0),
    "align_corners": (True, False), "recompute_scale_factor": (True, False), "process_group": (),
    "min_value": (), "max_value": (),
}  # fmt: skip
BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("Upsample", "align_corners"): {"scale_factor": 2.0, "mode": "bilinear"},
    ("Upsample", "recompute_scale_factor"): {"scale_factor": 2.0},
    ("Upsample", "mode"): {"scale_factor": 2.0},
}
SPECIAL: dict[tuple[str, str], tuple[Any, ...]] = {
    ("Upsample", "mode"): ("bilinear", "bicubic"),
    ("PairwiseDistance", "p"): (1.0, 3.0),
    **{(f"ConvTranspose{rank}d", "padding_mode"): ("zeros",) for rank in (1, 2, 3)},
    **{(f"Conv{rank}d", "padding"): ("same", 1) for rank in (1, 2, 3)},
}


def taken(kind: type) -> list[str]:
    """The arguments of a constructor; those that `*args` hide in a recurrent module are those of its parent."""
    names = [name for name in inspect.signature(kind).parameters if name not in ("args", "kwargs", "modules")]
    if issubclass(kind, nn.RNNBase):
        names = [name for name in inspect.signature(nn.RNNBase).parameters if name != "mode"]
        names = [name for name in names if name != "proj_size" or kind is nn.LSTM]
        names += ["nonlinearity"] if kind is nn.RNN else []
    return [name for name in names if name not in ("device", "dtype", "_weight", "_freeze")]


def needed(kind: type) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, each in inspect.signature(kind).parameters.items():
        if name == "encoder_layer":
            given[name] = nn.TransformerEncoderLayer(4, 2, 3, batch_first=True)
        elif name == "decoder_layer":
            given[name] = nn.TransformerDecoderLayer(4, 2, 3)
        elif each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD:
            given[name] = NEEDED[name]
    return {"input_size": 4, "hidden_size": 4, "num_layers": 2} if issubclass(kind, nn.RNNBase) else given


CASES = [
    (full, name, value)
    for full, kind in native.classes().items()
    if kind not in native.CONTAINERS
    for name in taken(kind)
    for value in SPECIAL.get(
        (kind.__name__, name), OTHERS.get(name) or ((NEEDED[name],) if name in NEEDED else ())
    )
]


def facts(module: nn.Module) -> dict[str, Any]:
    """What a module and those inside it do by: their plain attributes, and the shapes of their tensors."""
    found: dict[str, Any] = {}
    for path, each in module.named_modules():
        for name, value in vars(each).items():
            if not name.startswith("_") and isinstance(
                value, (bool, int, float, str, tuple, torch.Size, type(None))
            ):
                found[f"{path}.{name}"] = value
    return found | {name: tuple(each.shape) for name, each in module.state_dict().items()}


@pytest.mark.parametrize(("full", "name", "value"), CASES)
def test_no_argument_of_a_module_is_lost_in_a_file(full: str, name: str, value: Any) -> None:
    kind: Any = native.classes()[full]
    given = {**needed(kind), **BESIDE.get((kind.__name__, name), {}), name: value}
    try:
        module = kind(**given)
    except (ValueError, TypeError, AssertionError) as error:
        pytest.fail(f"the table of this test has no values for {given}: {error}")
    written = json.loads(json.dumps(described(module, "m")))
    again = made(written, "$")
    assert facts(again) == facts(module)
    assert described(again, "m") == written


def test_every_argument_of_every_class_is_tried() -> None:
    left = {
        (kind.__name__, name)
        for full, kind in native.classes().items()
        if kind not in native.CONTAINERS
        for name in taken(kind)
        if not any((full, name) == case[:2] for case in CASES)
    }
    assert {name for _, name in left} <= {
        "init", "process_group", "min_value", "max_value", "encoder_layer", "decoder_layer", "norm", "size",
    }, left  # fmt: skip


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyTorch whose normalizations take no `bias`, if this one does."""
    monkeypatch.setattr(native, "_not_yet", lambda kind: ["bias"] if "Norm" in kind.__name__ else [])


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm1d", "GroupNorm"])
def test_an_older_pytorch_makes_what_a_newer_one_wrote_where_it_does_the_same(
    name: str, affine: bool
) -> None:
    kind = getattr(nn, name)
    module = kind(**needed(kind), affine=affine)
    written = described(module, "m")
    assert written["config"]["bias"] is affine
    assert facts(made(written, "$")) == facts(module)


@pytest.mark.usefixtures("older")
def test_a_normalization_without_bias_is_told_to_need_a_newer_pytorch() -> None:
    written = described(nn.GroupNorm(2, 4), "m")
    written["config"]["bias"] = False
    told = "The GroupNorm of PyTorch .* always has one. Fix: PyTorch 2.13 or newer."
    with pytest.raises(ConfigError, match=rf"^\$.config.bias: expected True, got False. {told}$"):
        made(written, "$")
