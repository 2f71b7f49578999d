"""Any module is one node: whatever it returns beside tensors, and whatever it asks of its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc.errors import GraphError, SavingError
from torchfunc.graph.run import run


class Cache:
    pass


@dataclass
class Result:
    logits: Tensor
    features: list[Any]
    cache: Cache | None = None
    _made: list[Any] = field(default_factory=list)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Result:
        return Result(self.lin(x), [x * 2, Result(x, [])], Cache())


def test_a_dataclass_gives_symbols_for_its_fields() -> None:
    net, x, inputs = Net(), torch.rand(2, 4), tf.Input((4,))
    out = net(inputs)
    assert type(out).__name__ == "Result" and out.logits.shape == (None, 3)
    model = tf.Model(inputs, [out.logits, out.features[0] + out.features[1].logits])
    assert "net.features[0] + net.features[1].logits" in model.code
    for got in (model(x), run(model.graph, x, model._modules, {})):
        assert torch.equal(got[0], net(x).logits) and torch.equal(got[1], x * 3)


def test_what_a_graph_does_not_carry_is_refused_where_it_is_used() -> None:
    out = Net()(tf.Input((4,)))
    assert repr(out.cache) == "<Cache, which a graph does not carry>"
    with pytest.raises(GraphError, match="got the Cache that another call returned.* inside one Layer"):
        tf.call(torch.add, out.logits, out.cache)


@tf.register()
class Saved(tf.layers.Layer):
    def call(self, x: Tensor) -> Result:
        return Result(x * 2, [])


def test_fields_of_a_dataclass_are_not_saved_as_if_they_were_a_tuple(tmp_path: Any) -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, Saved()(inputs).logits)
    with pytest.raises(SavingError, match="an argument of type Result"):
        model.save(tmp_path / "model.safetensors")


def test_a_module_may_ask_where_its_input_is() -> None:
    class Rotary(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                return x.cos() + torch.arange(4, device=x.device)

    x, inputs = torch.rand(2, 4), tf.Input((4,))
    assert torch.equal(tf.Model(inputs, Rotary()(inputs))(x), Rotary()(x))
