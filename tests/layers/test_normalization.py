"""Normalization: moving averages, numbers far from zero, freezing, and the words of errors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import DTypeError, GraphError, ShapeError
from torchfunc.layers import BatchNormalization, GroupNormalization, Input, LayerNormalization


def test_the_variance_is_exact_far_from_zero() -> None:
    # Keras 3.15.1 on torch computes E[x^2] - E[x]^2, whose deviation comes out as 2.7 here
    x = 10_000 + 0.1 * torch.randn(64, 8, 8, 3)
    layer = BatchNormalization(epsilon=1e-6)
    wide = x.double()
    expected = (wide - wide.mean((0, 1, 2))) / (wide.var((0, 1, 2), correction=0) + 1e-6).sqrt()
    # single numbers near 10,000 lie 0.001 apart, a hundredth of the deviation
    torch.testing.assert_close(layer(x).double(), expected, rtol=0, atol=0.05)
    assert layer(x).std().item() == pytest.approx(expected.std().item(), abs=0.01)


def test_the_moving_averages_are_those_of_the_biased_variance() -> None:
    layer, x = BatchNormalization(momentum=0.9), torch.randn(8, 3) * 2 + 1
    layer(x)
    torch.testing.assert_close(layer.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * x.var(0, correction=0))


def test_one_sample_can_be_trained_on() -> None:
    layer = BatchNormalization()
    torch.testing.assert_close(layer(torch.randn(1, 3)), torch.zeros(1, 3))
    torch.testing.assert_close(layer.running_var, torch.full((3,), 0.99))


def test_a_frozen_layer_stays_in_inference_mode() -> None:
    layer, x = BatchNormalization(), torch.randn(8, 3) + 5
    layer(x)
    layer.trainable = False
    before = layer.running_mean.clone()
    torch.testing.assert_close(layer.train()(x), layer.eval()(x), rtol=0, atol=0)
    torch.testing.assert_close(layer.running_mean, before, rtol=0, atol=0)
    layer.trainable = True
    assert not torch.equal(layer.train()(x), layer.eval()(x))


def test_a_training_argument_overrides_the_mode() -> None:
    layer, x = BatchNormalization(), torch.randn(8, 3) + 5
    layer(x, training=False)
    assert (layer.running_mean == 0).all()
    layer.eval()(x, training=True)
    assert (layer.running_mean != 0).all()


def test_a_shared_layer_can_be_trained_through_both_calls() -> None:
    layer, x = BatchNormalization(), torch.randn(8, 3, requires_grad=True)
    (layer(x) * layer(x + 1)).sum().backward()
    assert x.grad is not None


def test_a_batch_normalization_is_a_batchnorm_to_state_dicts() -> None:
    ours, theirs = BatchNormalization(axis=1, epsilon=1e-5), nn.BatchNorm2d(3).eval()
    ours(Input((3, 4, 4)))
    result = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert result.missing_keys == [] and result.unexpected_keys == ["num_batches_tracked"]
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ours.eval()(x), theirs(x))


def test_training_works_under_compile_and_func() -> None:
    layer, x = BatchNormalization(), torch.randn(8, 4, 4, 3)
    twin = BatchNormalization()
    layer(Input((4, 4, 3)))
    twin(Input((4, 4, 3)))
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), twin(x))
    torch.testing.assert_close(layer.running_var, twin.running_var)

    def loss(parameters: Any, buffers: Any) -> torch.Tensor:
        return torch.func.functional_call(twin, (parameters, buffers), (x,)).square().sum()

    gradients = torch.func.grad(loss)(dict(twin.named_parameters()), dict(twin.named_buffers()))
    assert gradients["weight"].shape == (3,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_normalized_in_the_dtype_of_the_layer(dtype: torch.dtype) -> None:
    layer, x = BatchNormalization(), torch.randn(8, 3)
    expected = layer(x)
    result = layer(x.to(dtype))
    assert result.dtype == layer.running_var.dtype == torch.float32
    torch.testing.assert_close(result.float(), expected, rtol=2e-2, atol=2e-2)


def test_the_weights_come_in_keras_order() -> None:
    layer = BatchNormalization()
    layer(Input((3,)))
    assert [float(each[0]) for each in layer.get_weights()] == [1, 0, 0, 1]
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    assert len(layer.trainable_weights) == 2 and layer.count_params() == 12


@pytest.mark.parametrize("kind", [BatchNormalization, LayerNormalization])
def test_a_shared_layer_names_both_widths(kind: Any) -> None:
    layer = kind(name="norm")
    layer(Input((4,)))
    with pytest.raises(
        ShapeError, match=r"expected 4 features, got shape \(None, 5\). The layer is built for 4 features"
    ):
        layer(Input((5,)))


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"expected an axis from -2 to 1, got axis=3 for an input of 2 dimensions"
    ):
        BatchNormalization(axis=3)(Input((4,)))


def test_groups_must_divide_the_features() -> None:
    with pytest.raises(ShapeError, match="expected a number of features that groups=4 divides.*There are 6"):
        GroupNormalization(4)(Input((6,)))
    with pytest.raises(GraphError, match="expected a positive integer, or -1, got groups=0"):
        GroupNormalization(0)


def test_complex_numbers_are_not_normalized() -> None:
    with pytest.raises(DTypeError, match="expected a floating dtype, got torch.complex64"):
        LayerNormalization()(Input((4,), dtype="complex64"))


@pytest.mark.parametrize("shape", [(4, 3, 5, 3), (4, 3, 3, 5, 3), (4, 1, 1, 3), (4, 1, 1, 1, 3)])
def test_groups_learn_on_images_that_need_no_gradient(shape: tuple[int, ...]) -> None:
    layer, images = GroupNormalization(groups=3), torch.randn(shape)
    layer(
        images
    ).square().sum().backward()  # PyTorch's kernel may crash here, on images that lie channels last
    given = layer.weight.grad.clone()
    layer.weight.grad = None
    layer(images.clone().requires_grad_()).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, given)


def test_a_group_of_one_value_is_its_shift() -> None:
    layer = GroupNormalization(groups=2)
    layer(torch.randn(3, 2))
    layer.set_weights([np.array([2.0, 3.0]), np.array([0.5, -1.0])])
    torch.testing.assert_close(layer(torch.randn(1, 2)), torch.tensor([[0.5, -1.0]]))


def test_masked_steps_are_left_out_whichever_axis_has_the_features() -> None:
    layer = BatchNormalization(axis=1, momentum=0.5)
    x, mask = torch.randn(5, 4, 3), torch.rand(5, 4) > 0.3
    layer(x)
    layer.running_mean.zero_()
    twin = keras.layers.BatchNormalization(axis=1, momentum=0.5)
    twin.build(x.shape)
    for weight, value in zip(twin.weights, layer.get_weights(), strict=True):
        weight.assign(value)
    torch.testing.assert_close(layer(x, mask=mask), twin(x, training=True, mask=mask))
    for ours, theirs in zip(layer.get_weights(), twin.weights, strict=True):
        torch.testing.assert_close(torch.as_tensor(ours), theirs.value.detach())


def test_rescaling_of_each_channel_follows_the_data_format_that_it_was_made_under(tmp_path: Any) -> None:
    scale, images = [0.5, 2.0, 3.0], np.random.rand(2, 3, 4, 5).astype("float32")
    layers.set_image_data_format("channels_first")
    keras.config.set_image_data_format("channels_first")
    try:
        layer = layers.Rescaling(scale, offset=0.25)
        both = layers.Rescaling(np.array(scale), offset=scale)
        expected = keras.layers.Rescaling(scale, offset=0.25)(images).detach().numpy()
    finally:
        layers.set_image_data_format("channels_last")
        keras.config.set_image_data_format("channels_last")
    x = torch.from_numpy(images)
    for each in (layer, layers.Rescaling.from_config(layer.get_config())):
        assert np.array_equal(each(x).numpy(), expected)
    factors = torch.tensor(scale).view(3, 1, 1)
    assert torch.equal(both(x), x * factors + factors)
    inputs = layers.Input((3, 4, 5))
    model = tf.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.safetensors")
    assert np.array_equal(tf.load_model(tmp_path / "m.safetensors")(x).numpy(), expected)


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-11, 1e-13, 0.0])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_shortest_vectors_are_brought_to_length_one_too(size: float, dtype: str) -> None:
    x = (np.array([[3, -4], [0, 1]]) * size).astype(dtype)
    found = layers.UnitNormalization()(torch.from_numpy(x)).numpy()
    if dtype == "float32":
        assert np.allclose(found, keras.layers.UnitNormalization()(x).numpy(), atol=1e-6)
        assert size < 1e-12 or np.allclose(np.linalg.norm(found, axis=-1), 1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("shape", [(4, 3, 5, 3, 1), (4, 3, 5, 1), (4, 5, 1)])
def test_normalizing_one_feature_in_groups_twice_has_a_gradient(shape: tuple[int, ...]) -> None:
    """PyTorch's kernel ends the process where it takes the one feature for the last dimension in memory."""
    torch.manual_seed(0)
    twice = tf.Sequential([layers.GroupNormalization(groups=1), layers.GroupNormalization(groups=1)])
    inputs = torch.randn(shape, requires_grad=True)
    weights = torch.randn(shape)
    (twice(inputs) * weights).sum().backward()

    x = inputs.detach().double().requires_grad_()
    y = x
    for _ in range(2):
        values = y.flatten(1)
        spread = (values.var(1, correction=0) + 1e-3).sqrt()
        y = ((values - values.mean(1, keepdim=True)) / spread[:, None]).view(shape)
    (y * weights.double()).sum().backward()
    torch.testing.assert_close(inputs.grad, x.grad.float(), rtol=1e-4, atol=1e-5)


def test_update_bn_of_torch_averages_all_batches_into_a_batch_normalization():
    layer = layers.BatchNormalization(momentum=0.9)
    model = tf.Sequential([tf.Input((4,)), layer])
    twin = nn.Sequential(nn.BatchNorm1d(4))
    batches = [torch.rand(8, 4) + n for n in range(3)]
    model.train()(torch.rand(8, 4))
    for each in (model, twin):
        torch.optim.swa_utils.update_bn(batches, each.train(False))

    torch.testing.assert_close(layer.running_mean, twin[0].running_mean)
    biased = torch.stack([batch.var(0, correction=0) for batch in batches]).mean(0)
    torch.testing.assert_close(layer.running_var, biased)
    assert (layer.momentum, model.training) == (0.9, False)


def test_a_batch_normalization_is_not_converted_to_sync_batch_norm_but_says_how():
    model = tf.Sequential([tf.Input((4,)), layers.BatchNormalization(name="norm")])
    with pytest.raises(
        AttributeError, match=r"'norm': got a look at 'num_features'.*Fix: interop.to_torch\(model\)"
    ):
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(tf.interop.to_torch(model))

    assert any(isinstance(each, nn.SyncBatchNorm) for each in converted.modules())


@pytest.mark.parametrize("version", [None, 1, 2])
def test_a_batch_normalization_loads_its_weights_whatever_version_of_pytorchs_they_are(version):
    first, second = (tf.Sequential([tf.Input((4,)), layers.BatchNormalization()]) for _ in range(2))
    state = first.state_dict()
    for each in state._metadata.values():
        each["version"] = version
    assert not any("tracked" in name for name in state)
    second.load_state_dict(state)
