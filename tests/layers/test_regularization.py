"""Dropout and noise: their statistics, their seeds, their modes, and the words of errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    SpatialDropout1D,
    SpatialDropout2D,
)


@pytest.mark.parametrize("seed", [None, 5])
def test_dropout_drops_its_share_and_keeps_the_mean(seed: int | None) -> None:
    out = Dropout(0.3, seed=seed)(torch.ones(200, 200))
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(out[out != 0].unique(), torch.tensor([1 / 0.7]))


@pytest.mark.parametrize("seed", [None, 5])
def test_all_can_be_dropped(seed: int | None) -> None:
    assert (Dropout(1.0, seed=seed)(torch.ones(4, 4)) == 0).all()
    assert AlphaDropout(1.0, seed=seed)(torch.ones(4, 4)).isfinite().all()


def test_a_noise_shape_shares_the_pattern() -> None:
    out = Dropout(0.5, noise_shape=(None, 1, None))(torch.ones(4, 5, 6))
    assert (out == out[:, :1]).all() and 0 < (out == 0).float().mean() < 1


def test_a_channel_is_dropped_everywhere_or_nowhere() -> None:
    out = SpatialDropout2D(0.5)(torch.ones(4, 5, 6, 8))
    assert (out == out[:, :1, :1]).all() and 0 < (out == 0).float().mean() < 1
    first = SpatialDropout2D(0.5, data_format="channels_first")(torch.ones(4, 8, 5, 6))
    assert (first == first[:, :, :1, :1]).all()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    out = AlphaDropout(0.3)(torch.randn(300, 300))
    assert out.mean().item() == pytest.approx(0, abs=0.02) and out.var().item() == pytest.approx(1, abs=0.02)


def test_noise_has_the_strength_that_was_asked_for() -> None:
    ones = torch.ones(300, 300)
    assert (GaussianNoise(0.5)(ones) - 1).std().item() == pytest.approx(0.5, abs=0.01)
    out = GaussianDropout(0.2)(ones)
    assert out.mean().item() == pytest.approx(1, abs=0.01) and out.var().item() == pytest.approx(
        0.25, abs=0.01
    )


SEEDED = [
    Dropout(0.5, seed=3), SpatialDropout1D(0.5, seed=3), AlphaDropout(0.5, seed=3),
    GaussianNoise(1.0, seed=3), GaussianDropout(0.5, seed=3),
]  # fmt: skip


@pytest.mark.parametrize("layer", SEEDED, ids=lambda layer: type(layer).__name__)
def test_a_seed_makes_runs_equal_whatever_else_is_drawn(layer: Any) -> None:
    x = torch.ones(4, 5, 6)
    fresh = [type(layer).from_config(layer.get_config()) for _ in range(2)]
    first = [fresh[0](x), fresh[0](x)]
    torch.randn(10)
    second = [fresh[1](x), fresh[1](x)]
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], first[1])


def test_a_seeded_layer_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    Dropout(0.5, seed=3)(torch.ones(4))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_goes_on_where_the_original_is(copied: Any) -> None:
    layer, x = Dropout(0.5, seed=3), torch.ones(50)
    layer(x)
    twin = copied(layer)
    assert torch.equal(layer(x), twin(x))
    assert layer.state_dict() == {}


@pytest.mark.parametrize("layer", SEEDED, ids=lambda layer: type(layer).__name__)
def test_the_mode_of_the_module_decides_unless_the_call_says_otherwise(layer: Any) -> None:
    x = torch.ones(4, 5, 6)
    assert torch.equal(layer.eval()(x), x)
    assert not torch.equal(layer(x, training=True), x)
    assert not torch.equal(layer.train()(x), x)
    assert torch.equal(layer(x, training=False), x)


@pytest.mark.parametrize("rate", [-0.1, 1.5, "0.5", True])
def test_a_rate_is_a_number_from_0_to_1(rate: Any) -> None:
    with pytest.raises(GraphError) as caught:
        Dropout(rate)
    text = f"Dropout: expected a number from 0 to 1, got rate={rate!r}. Fix: rate=0.5."
    assert str(caught.value) == text


def test_other_arguments_are_checked_too() -> None:
    with pytest.raises(GraphError, match="GaussianDropout: expected a number less than 1, got rate=1"):
        GaussianDropout(1)
    with pytest.raises(GraphError, match="GaussianNoise: expected a number of 0 or more, got stddev=-1"):
        GaussianNoise(-1)
    with pytest.raises(GraphError, match="expected an integer of at least 0, got seed=1.5"):
        Dropout(0.5, seed=1.5)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="expected a tuple of integers and None, got noise_shape=3"):
        Dropout(0.5, noise_shape=3)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expected 3 dimensions \(batch, steps, channels\)"):
        SpatialDropout1D(0.5)(Input((4,)))


def test_a_penalty_on_activity_is_added_to_the_losses() -> None:
    layer, x = ActivityRegularization(l1=0.5, l2=0.25), torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    assert torch.equal(layer(x), x)
    (loss,) = layer.losses
    assert loss.item() == pytest.approx((0.5 * 7 + 0.25 * 21) / 2)
    assert layer.get_config() == {"l1": 0.5, "l2": 0.25, "name": None, "trainable": True, "dtype": None}


def test_masks_pass_through_dropout() -> None:
    embedded = layers.Embedding(5, 2, mask_zero=True)(Input((3,), dtype="int64"))
    assert Dropout(0.5)(embedded).mask is embedded.mask
