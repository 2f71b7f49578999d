"""A model for inference alone computes what the model does, with fewer calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import applications, interop, layers
from torchfunc.errors import GraphError


def with_statistics(model: tf.Model) -> tf.Model:
    """The model with norms that are not what they begin as."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(getattr(module, "running_var", None), Tensor):
            for name in ("running_mean", "running_var", "weight", "bias"):
                tensor = getattr(module, name)
                if tensor is not None:
                    tensor.data.uniform_(0.5, 2.0, generator=generator)
    return model


def check_optimized(model: tf.Model, x: Tensor, names: set[str]) -> tf.Model:
    """What stays are these submodules, and the outputs."""
    found = interop.optimize_for_inference(model)
    assert set(found._modules) == names
    assert not any(module.training for module in found.modules())
    with torch.no_grad():
        expected = model.eval()(x)
        torch.testing.assert_close(found(x), expected, rtol=1e-5, atol=1e-5)
    return found


KERAS: list[tuple[str, Callable[[], Any], tuple[int, ...]]] = [
    ("Dense", lambda: layers.Dense(5), (4,)),
    ("Dense of steps", lambda: layers.Dense(5, use_bias=False), (6, 4)),
    ("Conv1D", lambda: layers.Conv1D(6, 3, groups=2, padding="causal"), (8, 4)),
    ("Conv2D", lambda: layers.Conv2D(6, 3, use_bias=False, padding="same"), (8, 7, 4)),
    ("Conv3D", lambda: layers.Conv3D(6, 2), (4, 4, 4, 2)),
    ("Conv1DTranspose", lambda: layers.Conv1DTranspose(6, 3, strides=2), (8, 4)),
    ("Conv2DTranspose", lambda: layers.Conv2DTranspose(6, 3, padding="same"), (8, 7, 4)),
    ("Conv3DTranspose", lambda: layers.Conv3DTranspose(6, 2), (4, 4, 4, 2)),
    ("DepthwiseConv1D", lambda: layers.DepthwiseConv1D(3, depth_multiplier=2), (8, 4)),
    ("DepthwiseConv2D", lambda: layers.DepthwiseConv2D(3), (8, 7, 4)),
    ("SeparableConv1D", lambda: layers.SeparableConv1D(6, 3), (8, 4)),
    ("SeparableConv2D", lambda: layers.SeparableConv2D(6, 3, use_bias=False), (8, 7, 4)),
]


@pytest.mark.parametrize(("kind", "layer", "shape"), KERAS, ids=[row[0] for row in KERAS])
def test_a_normalization_becomes_part_of_the_weights_before_it(
    kind: str, layer: Callable[[], Any], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    inputs = tf.Input(shape)
    first = layer()
    x = layers.BatchNormalization(name="norm")(first(inputs))
    model = with_statistics(tf.Model(inputs, layers.Activation("relu", name="last")(x)))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    found = check_optimized(model, torch.rand(2, *shape), set(model._modules) - {"norm"})
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    name = next(iter(found._modules))
    assert type(found._modules[name]) is type(first) and found._modules[name] is not first


def test_native_modules_fold_likewise_and_one_dtype_stays() -> None:
    inputs = tf.Input((4, 9, 9), dtype="float64")
    x = nn.Conv2d(4, 6, 3, groups=2, bias=False, dtype=torch.float64)(inputs)
    x = nn.ReLU()(nn.BatchNorm2d(6, dtype=torch.float64)(x))
    x = nn.ConvTranspose2d(6, 3, 3, dtype=torch.float64)(x)
    x = nn.BatchNorm2d(3, affine=False, dtype=torch.float64)(x)
    x = nn.Linear(9, 5, dtype=torch.float64)(x).mean((2, 3))
    x = nn.BatchNorm1d(2, dtype=torch.float64)(nn.Linear(3, 2, dtype=torch.float64)(x))
    model = with_statistics(tf.Model(inputs, x))
    found = interop.optimize_for_inference(model)
    assert [type(each).__name__ for each in found.children()] == [
        "Conv2d", "ReLU", "ConvTranspose2d", "Linear", "Linear",
    ]  # fmt: skip
    x = torch.rand(2, 4, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(found(x), model.eval()(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(interop.to_torch(found)(x), model(x), rtol=1e-12, atol=1e-12)


def test_two_normalizations_in_a_row_and_a_dropout_between_fold_both() -> None:
    inputs = tf.Input((4,))
    x = layers.BatchNormalization()(layers.Dropout(0.5)(layers.Dense(3, name="dense")(inputs)))
    model = with_statistics(tf.Model(inputs, nn.BatchNorm1d(3)(x)))
    check_optimized(model, torch.rand(5, 4), {"dense"})


def test_what_gives_back_its_input_is_not_called_any_more(tmp_path: Path) -> None:
    inputs = tf.Input((6, 6, 3))
    x = layers.RandomFlip()(inputs)
    x = layers.SpatialDropout2D(0.3)(layers.GaussianNoise(0.1)(nn.Identity()(x)))
    x = applications.StochasticDepth(0.2)(layers.Flatten(name="flatten")(x))
    x = layers.AlphaDropout(0.1)(nn.Dropout(0.5)(layers.Dense(3, name="dense")(x)))
    model = tf.Model(inputs, layers.ActivityRegularization(l2=0.1, name="penalty")(x))
    found = check_optimized(model, torch.rand(2, 6, 6, 3), {"flatten", "dense", "penalty"})
    found.save(tmp_path / "m.safetensors")
    x = torch.rand(2, 6, 6, 3)
    assert torch.equal(tf.load_model(tmp_path / "m.safetensors")(x), found(x))


def kept(which: str) -> tuple[Any, Any]:
    """A Dense and a norm behind it that have to stay as they are."""
    inputs = tf.Input((4,))
    dense = layers.Dense(4, name="dense", activation="relu" if which == "an activation" else None)
    norm = layers.BatchNormalization(name="norm", axis=1)
    x = dense(inputs)
    if which == "another reader":
        return inputs, [norm(x), x.relu()]
    if which == "another call":
        return inputs, norm(dense(x))
    if which == "a tied weight":
        return inputs, norm(x) @ dense.weight
    if which == "training mode":
        return inputs, norm(x, training=True)
    if which == "another axis":
        return inputs, layers.BatchNormalization(name="norm", axis=1)(dense(tf.ops.expand_dims(inputs, 1)))
    if which == "a hook":
        norm.register_forward_hook(lambda module, args, output: output * 2)
    return inputs, norm(x)


REASONS = "an activation,another reader,another call,a tied weight,training mode,another axis,a hook"


@pytest.mark.parametrize("which", REASONS.split(","))
def test_a_normalization_stays_where_folding_it_would_change_something(which: str) -> None:
    model = with_statistics(tf.Model(*kept(which)))
    found = interop.optimize_for_inference(model)
    assert {"dense", "norm"} <= set(found._modules)
    x = torch.rand(5, 4)
    torch.testing.assert_close(found(x), model.eval()(x))


def test_a_dropout_that_is_called_in_training_mode_goes_on_dropping() -> None:
    inputs = tf.Input((100,))
    model = tf.Model(inputs, layers.Dropout(0.5, name="drop")(inputs, training=True))
    assert (interop.optimize_for_inference(model)(torch.ones(1, 100)) == 0).any()


def test_nested_models_are_optimized_once_and_stay_nested() -> None:
    inner_inputs = tf.Input((4,))
    inner_outputs = layers.Dropout(0.5)(layers.BatchNormalization()(layers.Dense(4)(inner_inputs)))
    inner = tf.Model(inner_inputs, inner_outputs, name="inner")
    inputs = tf.Input((4,))
    model = with_statistics(tf.Model(inputs, inner(inner(inputs)), name="outer"))
    found = check_optimized(model, torch.rand(3, 4), {"inner"})
    assert set(found.inner._modules) == {"dense"} and found.name == "outer"


@pytest.mark.parametrize("name", ["ResNet18", "MobileNetV2", "EfficientNetB0", "Xception"])
def test_applications_lose_every_norm_that_follows_a_convolution(name: str) -> None:
    side = 71 if name == "Xception" else 32
    torch.manual_seed(0)
    model = getattr(applications, name)(weights=None, include_top=False, input_shape=(side, side, 3))
    found, x = interop.optimize_for_inference(with_statistics(model)), torch.rand(1, side, side, 3)
    assert not any("Norm" in type(module).__name__ for module in found.modules())
    with torch.no_grad():
        expected = model.eval()(x)
        scale = expected.abs().max()
        torch.testing.assert_close(found(x) / scale, expected / scale, rtol=1e-5, atol=1e-5)


def test_only_a_model_with_a_graph_can_be_optimized() -> None:
    with pytest.raises(GraphError, match="expected a Model, got Linear. Fix: interop.from_module"):
        interop.optimize_for_inference(nn.Linear(2, 2))
