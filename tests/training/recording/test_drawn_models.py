"""Models drawn at random: a recorded step leaves what the step as it is leaves, whatever it is made of."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.training.recording.drawn_models import Drawing
from tests.training.recording.test_recorded_step import assert_equal, fitted, is_recorded, why_not
from torchfunc import layers
from torchfunc.training.recording import replaying
from torchfunc.training.recording.passes import tidying

COUNT, A_PART = 500, 10
# what is drawn and runs as it is, and why
REFUSED = {"L.SpectralNormalization": "a forward writes into a parameter"}
# what is no layer, loss, metric or optimizer by itself, takes no target and output, or has a test of its own
NOT_DRAWN = {
    "L": {"Layer", "Wrapper"},
    "losses": {"Loss", "FunctionLoss", "TorchLoss", "CTC"},
    "metrics": {"Metric", "Mean", "Sum", "TorchMetric"},
    "optimizers": {"Optimizer", "TorchOptimizer"},
}
ELSEWHERE = tuple(f"torchfunc.layers.{each}." for each in ("preprocessing", "augmentation", "inputs"))
FEATURES = """sample_weight= class_weight= loss_weights= weighted_metrics=[K mask_zero=True L.Masking validation_data=
 callbacks= shuffle=True _regularizer= _constraint= trainable=False 'channels_first' seed=3 {'out0' [x {'in_x0' block( twice(
 K.Sequential(""".split()


@pytest.mark.parametrize("part", range(COUNT // A_PART))
def test_models_drawn_at_random_learn_the_same(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "FEWEST", 1)
    moving = tidying.MOVING
    for seed in range(part * A_PART, (part + 1) * A_PART):
        drawing = Drawing(seed)
        monkeypatch.setattr(tidying, "MOVING", ())
        expected, found = (drawing.trained(recorded=recorded) for recorded in (False, True))
        refused = [reason for family, reason in REFUSED.items() if family in drawing.families()]
        assert is_recorded(found) is not bool(refused), (seed, why_not(found))
        assert all(reason in why_not(found) for reason in refused), seed
        assert_equal(found, expected)
        if seed % 4 == 0:
            for one, other in zip(drawing.measured(found), drawing.measured(expected), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=str(seed))
        if "Conv" in drawing.text:  # of which the gradients are summed in another order
            monkeypatch.setattr(tidying, "MOVING", moving)
            apart = distance(drawing.trained(recorded=True), expected)
            # a training that makes much of roundings does so of those of its first weights too
            assert apart <= 1e-6 or apart <= distance(rounded(drawing), expected), (seed, apart)


def distance(one: tf.Model, other: tf.Model) -> float:
    """The largest difference of two weights, of the largest number among them or of 1."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1.0)) for a, b in pairs)


def rounded(drawing: Drawing) -> tf.Model:
    """What the step as it is makes of weights that are a rounding larger."""
    with torch.no_grad():
        for each in drawing.names["model"].parameters():
            each.mul_(1 + torch.finfo(each.dtype).eps)
    return drawing.trained(recorded=False)


def test_every_layer_loss_metric_and_optimizer_is_drawn() -> None:
    families: Counter[str] = Counter()
    features: Counter[str] = Counter()
    for seed in range(COUNT):
        drawing = Drawing(seed)
        families.update(drawing.families())
        features.update(each for each in FEATURES if each in drawing.text)
    assert sorted(wanted() - families.keys()) == []
    assert sorted(set(FEATURES) - features.keys()) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nn.LSTM(6, 3, batch_first=True)(x.unsqueeze(1))[0][:, 0],
        lambda x: nn.GRU(6, 3, batch_first=True, bidirectional=True)(x.unsqueeze(1))[0][:, 0],
        lambda x: layers.Flatten()(layers.Attention(use_scale=True)([x.unsqueeze(1)] * 2)),
        lambda x: x,
    ],
    ids=["nn.LSTM", "nn.GRU", "a weight of one number", "weights by Keras's words"],
)
def test_what_is_known_by_other_names_is_recorded(call: Callable[[Any], Any]) -> None:
    torch.manual_seed(0)
    inputs = tf.Input((6,))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(call(inputs)))
    assert model.trainable_variables
    twin = copy.deepcopy(model)
    fitted(model, recorded=True)
    assert is_recorded(model), why_not(model)
    assert_equal(model, fitted(twin, recorded=False))


def wanted() -> set[str]:
    """What there is, as it stands in the lines."""
    found = {
        f"{home}.{each.__name__}"
        for home, base in {
            "losses": tf.losses.Loss,
            "metrics": tf.metrics.Metric,
            "optimizers": tf.optimizers.Optimizer,
        }.items()
        for each in classes(getattr(tf, home), base)
    }
    found |= {
        f"L.{each.__name__}"
        for each in classes(tf.layers, tf.layers.Layer)
        if not each.__module__.startswith(ELSEWHERE)
    }
    return found - {f"{home}.{name}" for home, names in NOT_DRAWN.items() for name in names}


def classes(home: Any, base: type) -> list[type]:
    return [each for each in vars(home).values() if isinstance(each, type) and issubclass(each, base)]
