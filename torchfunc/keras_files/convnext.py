"""ConvNeXt: the two layers that `keras.applications` has for it, and whose files name them."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.initializers import Constant
from torchfunc.layers.arguments import count, fraction
from torchfunc.layers.layer import Common, Layer

MODULE = "keras.src.applications.convnext"


@registry.layers.register("LayerScale")
class LayerScale(Layer):
    """Each channel times a weight (Liu et al. 2022).

    Shapes: (..., projection_dim) stays.

    Args:
        init_values: what the weights begin with.
        projection_dim: the number of channels.
        common: those of every Layer.
    """

    _integers = "cast"

    def __init__(self, init_values: float, projection_dim: int, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.init_values = init_values
        self.projection_dim = count("LayerScale", "projection_dim", projection_dim)

    def build(self, input_shape: object) -> None:
        self.gamma = self.add_weight((self.projection_dim,), Constant(self.init_values))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.gamma


@registry.layers.register("StochasticDepthOfKeras")
class StochasticDepth(Layer):
    """A whole branch set to zero for some samples in training (Huang et al. 2016).

    Args:
        drop_path_rate: for what share of the samples.
        common: those of every Layer.
    """

    def __init__(self, drop_path_rate: float, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.drop_path_rate = fraction("StochasticDepth", "drop_path_rate", drop_path_rate)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def forward(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        training = self.training if training is None else training
        if not training or not self.drop_path_rate:
            return inputs
        kept = 1 - self.drop_path_rate
        drawn = torch.rand((inputs.shape[0], *(1,) * (inputs.ndim - 1)), device=inputs.device)
        return inputs / kept * (drawn < kept)


# by the names that Keras has for them
LAYERS = {"LayerScale": LayerScale, "StochasticDepth": StochasticDepth}
