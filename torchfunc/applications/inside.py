"""The layers that only applications have: images put into another form, and branches dropped at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import image_data_format
from torchfunc.layers.layer import Common, Layer


@registry.layers.register("ChannelScaling")
class ChannelScaling(Layer):
    """Each channel of images times a factor, plus an offset.

    The numbers are part of the weights, so that a file of weights says which form of images it was made for.

    Shapes: (batch, height, width, channels), or (batch, channels, height, width), to the same.

    Args:
        factors: one for each channel of the result.
        offsets: likewise.
        reverse: whether the channels are put into the opposite order first, as from BGR to RGB.
        data_format: "channels_last" or "channels_first"; by default the global setting.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: not as many offsets as factors.

    Example:
        >>> applications.ChannelScaling((2.0, 2.0), (0.0, 1.0))(torch.tensor([[[[1.0, 3.0]]]])).flatten()
        tensor([2., 7.])
    """

    def __init__(
        self,
        factors: Sequence[float],
        offsets: Sequence[float],
        reverse: bool = False,
        data_format: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.factors = tuple(factors)
        self.offsets = tuple(offsets)
        if len(self.factors) != len(self.offsets):
            raise GraphError(
                explain(
                    "ChannelScaling",
                    got=f"{len(self.factors)} factors and {len(self.offsets)} offsets",
                    expected="one of each for a channel",
                )
            )
        self.reverse = reverse
        self.data_format = data_format or image_data_format()
        self.register_buffer("weight", torch.tensor(self.factors))
        self.register_buffer("bias", torch.tensor(self.offsets))

    def forward(self, inputs: Tensor) -> Tensor:
        is_first = self.data_format == "channels_first"
        if self.reverse:
            inputs = inputs.flip(1 if is_first else -1)
        weight, bias = (
            each[:, None, None] if is_first else each
            for each in (self.get_buffer("weight"), self.get_buffer("bias"))
        )
        return inputs * weight + bias


@registry.layers.register("StochasticDepth")
class StochasticDepth(Layer):
    """Drop a whole branch at random in training, as torchvision does (Huang et al. 2016, arXiv:1603.09382).

    Args:
        p: the probability that a branch is set to zero; what is left is divided by 1 - p.
        mode: "row" to choose for each sample, "batch" to choose once for all.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layer = applications.StochasticDepth(0.5)
        >>> layer(torch.ones(4, 1)).flatten(), layer.eval()(torch.ones(4, 1)).flatten()
        (tensor([0., 0., 2., 0.]), tensor([1., 1., 1., 1.]))
    """

    def __init__(self, p: float, mode: str = "row", **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.p = p
        self.mode = mode

    def forward(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        training = self.training if training is None else training
        if not training or self.p == 0.0:
            return inputs
        kept = 1.0 - self.p
        count = inputs.shape[0] if self.mode == "row" else 1
        noise = inputs.new_empty((count, *(1 for _ in inputs.shape[1:]))).bernoulli_(kept)
        return inputs * (noise.div_(kept) if kept > 0.0 else noise)

    def native_form(self, into: Any, inputs: Any) -> Any:
        if into.training is False or self.p == 0.0:
            return inputs
        ones = inputs.new_ones((inputs.shape[0] if self.mode == "row" else 1, *(1 for _ in inputs.shape[1:])))
        if into.training:
            return inputs * nn.functional.dropout(ones, self.p)
        return inputs * into.module(self, nn.Dropout, self.p)(ones)
