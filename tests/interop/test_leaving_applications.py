"""Every family of applications leaves as modules and as a file, with what only applications have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.interop.test_to_source import check_source
from torchfunc import applications, interop

# the smallest of each family, and the side of a small image
FAMILIES = {
    "ConvNeXtTiny": 32, "DenseNet121": 32, "EfficientNetB0": 32, "EfficientNetV2B0": 32, "InceptionResNetV2": 75,
    "InceptionV3": 75, "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "NASNetMobile": 32, "ResNet18": 32,
    "ResNet50": 32, "ResNet50V2": 32, "VGG16": 32, "Xception": 71,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_an_application_leaves_as_a_file_of_torch_alone(name: str, tmp_path: Path) -> None:
    side = FAMILIES[name]
    torch.manual_seed(0)
    model = getattr(applications, name)(weights=None, include_top=False, input_shape=(side, side, 3))
    check_source(model, tmp_path / f"{name}.py")
    x = torch.rand(2, side, side, 3)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(interop.to_torch(model)(x), model(x), rtol=1e-5, atol=1e-5)


def of_depth(**options: Any) -> tuple[Any, nn.Module]:
    inputs = tf.Input((2, 3))
    model = tf.Model(inputs, applications.StochasticDepth(name="depth", **options)(inputs))
    return model, interop.to_torch(model)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_a_branch_that_is_dropped_at_random_is_a_dropout_of_ones(mode: str) -> None:
    model, twin = of_depth(p=0.25, mode=mode)
    assert type(twin.depth) is nn.Dropout and twin.depth.p == 0.25
    x = torch.ones(2000, 2, 3)
    assert torch.equal(twin.eval()(x), x) and torch.equal(model.eval()(x), x)
    for each in (model, twin):
        rows = each.train()(x).flatten(1)
        assert torch.equal(rows, rows[:, :1].expand(-1, 6)), "a sample is kept whole or not at all"
        assert set(rows.unique().tolist()) <= {0.0, float(torch.tensor(1.0) / 0.75)}
        kept = float((rows[:, 0] > 0).float().mean())
        assert kept in (0.0, 1.0) if mode == "batch" else 0.7 < kept < 0.8


def test_a_branch_that_is_never_dropped_needs_no_module() -> None:
    _, twin = of_depth(p=0.0)
    assert not list(twin.children())
