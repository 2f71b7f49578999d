"""The classes and functions of a user's own that golden files name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers


class Scaled(layers.Layer):
    """A layer known by `custom_objects`, with a weight, a layer inside and a derived config."""

    def __init__(self, units: int, factor: float = 2.0, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.factor = factor
        self.activation = activation
        self.inner = layers.Dense(units, activation=activation)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((self.units,), "ones", name="scale")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs) * self.scale * self.factor


@tf.register("golden>Shifted")
class Shifted(layers.Layer):
    """A registered layer with a get_config of its own."""

    def __init__(self, by: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._by = by

    def call(self, inputs: Any) -> Any:
        return inputs + self._by

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "by": self._by}


@tf.register("golden>Affine")
class Affine(nn.Module):
    """A module of PyTorch with a get_config."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight

    def get_config(self) -> dict[str, Any]:
        return {"features": self.features}


class MinimalCell(layers.Layer):
    """A cell of a user's own: `tanh(x @ kernel + h @ recurrent)`."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), "glorot_uniform", name="kernel")
        self.recurrent = self.add_weight((self.units, self.units), "orthogonal", name="recurrent")

    def call(self, inputs: Any, states: Any) -> Any:
        output = torch.tanh(inputs @ self.kernel + states[0] @ self.recurrent)
        return output, [output]


class Net(tf.Model):
    """A subclassed model, built by its first call."""

    def __init__(self, units: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, activation="relu")
        self.head = layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.head(self.dense(inputs))


class Pair(tf.Model):
    """A subclassed model of two inputs, one of them whole numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = layers.Embedding(5, 3)
        self.mix = layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return {"sum": self.mix(inputs["x"]) + self.table(inputs["row"])}


class Halving(tf.Model):
    """A functional model with a training step of its own."""

    def train_step(self, batch: Any) -> Any:
        return super().train_step(batch)


def doubled(inputs: Tensor) -> Tensor:
    """A function for Lambda."""
    return inputs * 2


def squashed(inputs: Tensor) -> Tensor:
    """An activation."""
    return inputs / (1 + inputs.abs())


def cubic_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (y_true - y_pred).abs().pow(3).mean(-1)


def largest_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (y_true - y_pred).abs().amax(-1)


CUSTOM = {
    each.__name__: each
    for each in (Scaled, MinimalCell, Net, Pair, Halving, doubled, squashed, cubic_loss, largest_error)
}
