"""Initializers against Keras: values where they are fixed, distributions where they are random."""

from __future__ import annotations

import inspect
import math

import keras
import pytest
import torch

import torchfunc as tf
from torchfunc import initializers, layers
from torchfunc.errors import ShapeError, TorchfuncError, UnknownNameError

SCALED = ["GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"]
RANDOM = [*SCALED, "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal"]
NAMES = [*RANDOM, "Zeros", "Ones", "Constant", "Identity"]


@pytest.mark.parametrize("shape", [(), (7,), (60, 80), (3, 3, 16, 24), (2, 5, 3, 4, 6)], ids=str)
def test_fans_equal_those_of_keras(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.fans(shape) == compute_fans(shape)
    if len(shape) > 2:
        assert initializers.fans(shape, (0, 2), (1,)) == compute_fans(shape, (0, 2), (1,))


@pytest.mark.parametrize("shape", [(300, 200), (3, 3, 40, 120)], ids=str)
@pytest.mark.parametrize("name", RANDOM[:-1])
def test_random_values_have_the_mean_spread_and_range_of_keras(name, shape):
    ours = getattr(initializers, name)(seed=1)(shape)
    theirs = getattr(keras.initializers, name)(seed=1)(shape).cpu()
    assert abs(float(ours.mean())) < 5 * float(theirs.std()) / math.sqrt(ours.numel())
    torch.testing.assert_close(ours.std(), theirs.std(), rtol=0.02, atol=0.0)
    torch.testing.assert_close(ours.abs().max(), theirs.abs().max(), rtol=0.1, atol=0.0)


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform", "normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling_has_the_variance_that_its_name_promises(mode, distribution):
    fan = {"fan_in": 300, "fan_out": 200, "fan_avg": 250}[mode]
    values = initializers.VarianceScaling(3.0, mode, distribution, seed=3)((300, 200), torch.float64)
    assert float(values.var()) == pytest.approx(3.0 / fan, rel=0.03)


def test_a_truncated_normal_holds_nothing_beyond_two_deviations():
    values = initializers.TruncatedNormal(1.0, 0.5, seed=0)((200_000,), torch.float64)
    assert float((values - 1.0).abs().max()) <= 1.0
    assert float(values.std()) == pytest.approx(0.5 * 0.87962566, rel=0.01)
    # A fifth of the mass of the truncated normal lies where the standard normal says it does.
    share = float((values < 1.0 - 0.5 * 0.5).double().mean())
    normal = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor([-2.0, -0.5, 2.0], dtype=torch.float64))
    assert share == pytest.approx(float((normal[1] - normal[0]) / (normal[2] - normal[0])), abs=0.005)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (3, 3, 4, 50), (3, 3, 50, 4)], ids=str)
def test_an_orthogonal_weight_has_orthonormal_rows_or_columns(shape):
    weight = initializers.Orthogonal(gain=2.0, seed=0)(shape, torch.float64)
    matrix = weight.reshape(-1, shape[-1]) / 2.0
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(product, torch.eye(len(product), dtype=torch.float64))


def test_fixed_values_equal_those_of_keras():
    for name in ("Zeros", "Ones"):
        torch.testing.assert_close(
            getattr(initializers, name)()((2, 3)), getattr(keras.initializers, name)()((2, 3))
        )
    torch.testing.assert_close(initializers.Constant(0.3)((2, 3)), keras.initializers.Constant(0.3)((2, 3)))
    torch.testing.assert_close(initializers.Identity(2.0)((2, 3)), keras.initializers.Identity(2.0)((2, 3)))
    assert initializers.Constant([1, 2, 3])((2, 3)).tolist() == [[1, 2, 3], [1, 2, 3]]


def test_a_seed_gives_the_same_values_at_every_call_and_none_different_ones():
    seeded, free = initializers.RandomNormal(seed=4), initializers.RandomNormal()
    assert torch.equal(seeded((5,)), seeded((5,)))
    assert not torch.equal(free((5,)), free((5,)))


def test_without_a_seed_torch_manual_seed_decides():
    initializer = initializers.GlorotUniform()
    torch.manual_seed(7)
    first = initializer((4, 5))
    torch.manual_seed(7)
    assert torch.equal(initializer((4, 5)), first)
    one, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    assert torch.equal(initializer((4, 5), generator=one), initializer((4, 5), generator=other))


@pytest.mark.parametrize("name", NAMES)
def test_every_initializer_makes_its_dtype_and_stands_on_the_meta_device(name):
    initializer = initializers.get(name)
    for dtype in (torch.float64, torch.bfloat16):
        assert initializer((4, 5), dtype).dtype == dtype
    meta = initializer((4, 5), torch.float32, "meta")
    assert (meta.shape, meta.device.type, meta.requires_grad) == ((4, 5), "meta", False)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_holds_keras_keys_and_makes_the_same_initializer(name):
    made = getattr(initializers, name)(**({"seed": 3} if name in RANDOM else {}))
    again = initializers.deserialize(initializers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    # Keras forgets the gain of an Identity.
    lost = {"gain"} if name == "Identity" else set()
    assert set(made.get_config()) - lost == set(getattr(keras.initializers, name)().get_config())
    assert torch.equal(again((4, 5)), made((4, 5)))


def test_names_in_every_spelling_and_keras_configs_are_understood():
    for snake, name in (
        ("glorot_uniform", "GlorotUniform"),
        ("zero", "Zeros"),
        ("one", "Ones"),
        ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("identity", "Identity"),
        ("orthogonal", "Orthogonal"),
    ):
        assert type(initializers.get(snake)).__name__ == type(initializers.get(name)).__name__ == name
    theirs = keras.initializers.serialize(keras.initializers.HeNormal(seed=2))
    assert initializers.get(theirs).get_config() == initializers.HeNormal(seed=2).get_config()
    assert initializers.get(initializers.Ones)((2,)).tolist() == [1, 1]
    assert initializers.get(None) is None


def test_every_class_has_the_second_names_of_keras():
    # a Fourier transform, which is no start for a layer here
    left_out = {"STFT", "STFTInitializer", "stft"}
    for name, theirs in vars(keras.initializers).items():
        if inspect.isclass(theirs) and name not in left_out:
            assert getattr(initializers, name).__name__ == theirs.__name__
    assert initializers.he_normal(seed=1)((2, 3)).shape == (2, 3)


def test_a_function_of_shape_and_dtype_is_an_initializer():
    def halves(shape, dtype=None):
        return torch.full(shape, 0.5, dtype=dtype)

    made = initializers.get(halves)(((2, 2)), torch.float64)
    assert made.dtype == torch.float64
    assert made.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert initializers.serialize(initializers.get(halves)) == "halves"


def test_wrong_arguments_are_named():
    with pytest.raises(
        UnknownNameError, match=r"Unknown initializer 'glorot_unifrom'\. Did you mean 'glorot_uniform'"
    ):
        initializers.get("glorot_unifrom")
    with pytest.raises(TorchfuncError, match="expected scale above 0, got scale=-1"):
        initializers.VarianceScaling(-1)
    with pytest.raises(TorchfuncError, match="expected one of fan_in, fan_out, fan_avg, got mode='fan'"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(TorchfuncError, match="seed: expected an integer or None, got 'a'"):
        initializers.RandomNormal(seed="a")
    with pytest.raises(
        ShapeError, match=r"Orthogonal: expected a shape of at least 2 dimensions, got shape \(3,\)"
    ):
        initializers.Orthogonal()((3,))
    with pytest.raises(
        ShapeError, match=r"Identity: expected a shape of 2 dimensions, got shape \(3, 3, 3\)"
    ):
        initializers.Identity()((3, 3, 3))


def test_a_name_stands_for_one_initializer_that_nobody_changes() -> None:
    first, second = layers.Dense(2), layers.Dense(3)
    assert first.kernel_initializer is second.kernel_initializer
    with pytest.raises(TorchfuncError, match=r"Fix: give the layer tf.initializers.GlorotUniform\(...\)"):
        first.kernel_initializer.seed = 3
    own = initializers.GlorotUniform()
    own.seed = 3
    assert second.kernel_initializer.seed is None and torch.equal(own((2, 2)), own((2, 2)))


def test_two_weights_of_one_name_begin_with_other_numbers() -> None:
    first, second = layers.Dense(8), layers.Dense(8)
    first.build((None, 8))
    second.build((None, 8))
    assert not torch.equal(first.weight, second.weight)


def test_a_name_of_a_scope_is_no_name_outside_of_it() -> None:
    with tf.custom_object_scope({"mine": initializers.Zeros}):
        assert isinstance(initializers.get("mine"), initializers.Zeros)
    with pytest.raises(UnknownNameError):
        initializers.get("mine")
