"""Layers in lists and dicts of a layer of one's own, compared with nn.ModuleList and nn.ModuleDict."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers


class Stack(layers.Layer):
    """Layers in a list that is filled later, in a dict of lists, and one that is an attribute too."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Any] = []
        for units in (3, 5):
            self.blocks.append(layers.Dense(units))
        self.head = layers.Dense(2)
        self.named = {"out": [nn.Linear(2, 2)], "scale": 2.0}
        self.alias = (self.head,)

    def call(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.named["out"][0](self.head(x)) * self.named["scale"]  # type: ignore[index]


class Twin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 3), nn.Linear(3, 5)])
        self.head = nn.Linear(5, 2)
        self.named = nn.ModuleDict({"out": nn.ModuleList([nn.Linear(2, 2)])})


def built() -> tuple[tf.Model, Any]:
    inputs = tf.Input((4,))
    layer = Stack()
    return tf.Model(inputs, layer(inputs)), layer


def test_they_are_what_a_module_list_and_a_module_dict_would_be() -> None:
    model, layer = built()
    twin = Twin()
    assert list(layer.state_dict()) == list(twin.state_dict())
    layer.load_state_dict(twin.state_dict())
    x = torch.rand(7, 4)
    expected = twin.named["out"][0](twin.head(twin.blocks[1](twin.blocks[0](x)))) * 2  # type: ignore[index]
    assert torch.equal(model(x), expected)
    assert model.count_params() == sum(each.numel() for each in twin.parameters())
    assert type(layer.blocks) is list and type(layer.named) is dict


def test_they_are_trained_moved_and_put_into_modes() -> None:
    model, layer = built()
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(np.random.rand(16, 4), np.random.rand(16, 2), verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    assert not layer.eval().blocks[1].training
    assert layer.double().blocks[0].weight.dtype == torch.float64
    layer.trainable = False
    assert not any(each.requires_grad for each in layer.parameters())


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "file"])
def test_a_copy_has_its_own(way: str, tmp_path: Any) -> None:
    model, layer = built()
    if way == "file":
        model.save(tmp_path / "model.safetensors")
        other = tf.load_model(tmp_path / "model.safetensors", custom_objects={"Stack": Stack})
    else:
        other = copy.deepcopy(model) if way == "deepcopy" else pickle.loads(pickle.dumps(model))
    x = torch.rand(3, 4)
    assert torch.equal(other(x), model(x))
    with torch.no_grad():
        other.get_layer("stack").blocks[0].weight.zero_()
    assert not torch.equal(other(x), model(x)) and layer.blocks[0].weight.abs().sum() > 0


def test_what_is_appended_replaced_or_taken_out_is_seen() -> None:
    layer = Stack()
    layer(torch.rand(1, 4))
    layer.blocks.append(nn.Linear(5, 5))
    assert "blocks.2.weight" in layer.state_dict()
    layer.blocks = layer.blocks[:1]
    assert [name for name in layer.state_dict() if name.startswith("blocks")] == [
        "blocks.0.weight",
        "blocks.0.bias",
    ]
    layer.blocks = [1, 2]
    assert not any(name.startswith("blocks") for name in layer.state_dict())
    layer.named = nn.ModuleDict({"out": nn.Linear(1, 1)})
    assert isinstance(layer._modules["named"], nn.ModuleDict) and "named.out.bias" in layer.state_dict()
    del layer.alias


def test_one_forward_compiled_is_the_same() -> None:
    model, _ = built()
    x = torch.rand(3, 4)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(x), model(x))


class Listed(tf.Model):
    def __init__(self) -> None:
        super().__init__()
        self.stages = [layers.Dense(3, activation="relu"), layers.Dense(1)]

    def call(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


def test_a_model_of_ones_own_lists_sums_up_and_trains_them(capsys: pytest.CaptureFixture[str]) -> None:
    model = Listed()
    model.summary()
    model(torch.rand(2, 4))
    model.summary()
    shown = capsys.readouterr().out
    assert "stages.0 (Dense)" in shown and "Total params: 19" in shown
    assert model.layers == model.stages and len(model.weights) == 4
    model.compile("sgd", "mse")
    assert len(model.fit(np.random.rand(8, 4), np.random.rand(8, 1), verbose=0).history["loss"]) == 1


def test_a_list_that_holds_the_layer_itself_or_nothing_of_ours_is_left_alone() -> None:
    layer = Stack()
    layer.circle = [layer]
    layer.circle.append(layer.circle)
    layer.sizes = [1, {"a": 2}]
    assert not {"circle", "sizes"} & set(layer.state_dict()) and "circle" not in dict(layer.named_modules())


def test_an_attribute_may_be_set_before_the_constructor_of_layer_runs() -> None:
    class Early(layers.Layer):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            self = super().__new__(cls, *args, **kwargs)
            self.sizes = [1, 2]
            return self

        def __init__(self) -> None:
            self.units = 3
            super().__init__()
            self.blocks = [layers.Dense(self.units)]

        def call(self, x: Tensor) -> Tensor:
            return self.blocks[0](x)  # type: ignore[no-any-return]

    layer = Early()
    assert layer(torch.rand(2, 4)).shape == (2, 3) and list(layer.state_dict()) == [
        "blocks.0.weight",
        "blocks.0.bias",
    ]
    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        type("Late", (layers.Layer,), {"__init__": lambda self: setattr(self, "inner", nn.Linear(1, 1))})()
