"""Hand-written modules and loops that the tests of training compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchfunc import layers

Array = np.ndarray[Any, Any]


def mlp(features: int = 8, units: int = 16, classes: int = 3) -> nn.Sequential:
    """Two dense layers with seeded weights."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(features, units), nn.ReLU(), nn.Linear(units, classes))


def classification(samples: int = 100, features: int = 8, classes: int = 3) -> tuple[Array, Array]:
    """Seeded features (n, features) float32 and labels (n,) int64 that can be learned from them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, features)).astype("float32")
    return x, (x @ rng.normal(size=(features, classes))).argmax(1)


class TwoHeads(nn.Module):
    """Two inputs, `left` (n, 4) and `right` (n, 6); two outputs, of 1 and of 3 units."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = nn.Linear(4, 5), nn.Linear(6, 5)
        self.score, self.kind = nn.Linear(5, 1), nn.Linear(5, 3)

    def forward(self, left: Tensor, right: Tensor) -> list[Tensor]:
        shared = torch.tanh(self.a(left) + self.b(right))
        return [self.score(shared), self.kind(shared)]


class Activated(nn.Module):
    """A linear layer, and a layer that activates what it makes."""

    def __init__(self, features: int, units: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.linear = nn.Linear(features, units)
        self.activation = layers.Activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x))


def two_heads_data(samples: int = 40) -> tuple[dict[str, Array], dict[str, Array]]:
    """Data for `TwoHeads` by the names of its inputs and outputs."""
    rng = np.random.default_rng(1)
    x = {"left": rng.normal(size=(samples, 4)), "right": rng.normal(size=(samples, 6))}
    y = {"score": rng.normal(size=(samples, 1)), "kind": rng.integers(0, 3, samples)}
    return {name: each.astype("float32") for name, each in x.items()}, y


def hand_written(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Array,
    y: Array,
    *,
    batch_size: int,
    orders: Sequence[Tensor],
) -> list[float]:
    """The loop that everybody writes: the mean loss of each epoch, a permutation of the samples an epoch."""
    inputs, targets, means = torch.from_numpy(x), torch.from_numpy(y), []
    for order in orders:
        module.train()
        total = 0.0
        for index in order.split(batch_size):
            optimizer.zero_grad()
            value = loss(module(inputs[index]), targets[index])
            value.backward()
            optimizer.step()
            total += value.item() * len(index)
        means.append(total / len(x))
    return means


def in_order(samples: int, epochs: int) -> list[Tensor]:
    """The orders of a training that is not shuffled."""
    return [torch.arange(samples)] * epochs


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have equal weights, to the bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
