"""Convolutional recurrent layers: an LSTM whose weights are convolutions, over sequences of images."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import choice, count, counts, image_data_format, known
from torchfunc.layers.layer import Common
from torchfunc.layers.recurrent.cell import Shapes
from torchfunc.layers.recurrent.gates import GatedCell
from torchfunc.layers.recurrent.rnn import CellLayer, Hints, for_cell
from torchfunc.layers.windows import same_total, windows

_SPACE = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class ConvLSTMCell(GatedCell):
    """One step of a convolutional LSTM: Shi et al. 2015, without the peepholes.

    Weights lie as PyTorch's convolutions want them: `weight_ih` (4 * filters, channels, *kernel_size),
    `weight_hh` (4 * filters, filters, *kernel_size), `bias` (4 * filters).

    Args:
        rank: the number of dimensions of space.
        filters: the number of channels of each state.
        kernel_size: of both convolutions: a number, or one for each dimension of space.
        strides, padding, dilation_rate: of the convolution over the inputs.
        data_format: "channels_last" or "channels_first"; the global setting by default.

    The others are those of LSTMCell.

    Raises:
        GraphError: sizes that are no positive integers; strides and dilation at once.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        owner = f"ConvLSTM{rank}D"
        super().__init__(
            count(owner, "filters", filters), activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint,
            dropout, recurrent_dropout, seed, **common,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self.rank = rank
        self.kernel_size = counts(owner, "kernel_size", kernel_size, rank)
        self.strides = counts(owner, "strides", strides, rank)
        self.dilation_rate = counts(owner, "dilation_rate", dilation_rate, rank)
        self.padding = choice(owner, "padding", padding, ("valid", "same"))
        modes = ("channels_last", "channels_first")
        self.data_format = choice(owner, "data_format", data_format or image_data_format(), modes)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            got = f"strides={strides!r} and dilation_rate={dilation_rate!r}"
            raise GraphError(explain(owner, got=got, expected="one of them to be 1"))
        channels_last = self.data_format == "channels_last"
        space = tuple(range(1, rank + 1))
        self._inward = (0, rank + 1, *space) if channels_last else tuple(range(rank + 2))
        self._outward = (0, *(each + 1 for each in space), 1) if channels_last else tuple(range(rank + 2))
        names = (*_SPACE[rank], "channels") if channels_last else ("channels", *_SPACE[rank])
        self.dimensions = names

    @property
    def filters(self) -> int:
        """The number of channels of each state."""
        return self.units

    def feature_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else -self.rank - 1

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self.feature_axis(), "channels")
        layout, width = (*range(2, self.rank + 2), 1, 0), 4 * self.filters
        shape = (*self.kernel_size, channels, width)
        self.weight_ih = self._make_weight("kernel", shape, layout=layout)
        shape = (*self.kernel_size, self.filters, width)
        self.weight_hh = self._make_weight("recurrent", shape, layout=layout)
        self.bias = self._make_weight("bias", (width,)) if self.use_bias else None

    def state_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """The shape of both states for sequences (batch, time, *image)."""
        image = shape[2:]
        channels_last = self.data_format == "channels_last"
        reaches = self._reaches(image[:-1] if channels_last else image[1:])
        lengths = tuple(windows(*reach, self.padding) for reach in reaches)
        space = (*lengths, self.filters) if channels_last else (self.filters, *lengths)
        return [(shape[0], *space)] * 2

    def _reaches(self, lengths: tuple[int, ...]) -> list[tuple[int, int, int]]:
        """(length, how far a window reaches, stride) for each dimension of space."""
        sizes = zip(lengths, self.kernel_size, self.dilation_rate, self.strides, strict=True)
        return [(length, (kernel - 1) * dilation + 1, stride) for length, kernel, dilation, stride in sizes]

    def project(self, sequences: Tensor, training: bool) -> Tensor:
        """The convolution over the inputs, for all steps at once: (batch, time, 4 * filters, *space)."""
        if not (training and self.dropout):
            return self._convolve(sequences, self.weight_ih, self.bias)
        biases: Any = (None,) * 4 if self.bias is None else self.bias.chunk(4)
        gates = zip(self.weight_ih.chunk(4), biases, strict=True)
        parts = [self._convolve(self.dropped(sequences, training), weight, bias) for weight, bias in gates]
        return torch.cat(parts, 2)

    def _convolve(self, sequences: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        images = sequences.flatten(0, 1).permute(self._inward)
        totals = [0] * self.rank
        if self.padding == "same":
            totals = [same_total(*reach) for reach in self._reaches(tuple(images.shape[2:]))]
        convolved = _convolution(images, weight, bias, totals, self.strides, self.dilation_rate)
        return convolved.view(*sequences.shape[:2], *convolved.shape[1:])

    def recur(self, state: Tensor, drops: list[Tensor] | None) -> Tensor:
        totals = [size - 1 for size in self.kernel_size]
        if drops is None:
            return _convolution(state, self.weight_hh, None, totals)
        gates = zip(drops, self.weight_hh.chunk(4), strict=True)
        dropped = [(state * drop.permute(self._inward), weight) for drop, weight in gates]
        return torch.cat([_convolution(each, weight, None, totals) for each, weight in dropped], 1)

    def step(self, projected: Tensor, states: list[Tensor], drops: list[Tensor] | None = None) -> Any:
        """As an LSTM's, on views with the channels first."""
        _, new = super().step(projected, [each.permute(self._inward) for each in states], drops)
        new = [each.permute(self._outward) for each in new]
        return new[0], new


def _convolution(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    totals: list[int],
    strides: Any = 1,
    dilation: Any = 1,
) -> Tensor:
    """A convolution with zeros around: `totals` in each dimension, where the end gets the odd one."""
    padding: Any = [total // 2 for total in totals]
    if any(total % 2 for total in totals):
        images = F.pad(
            images, [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
        )
        padding = 0
    convolved: Tensor = _CONVOLUTIONS[len(totals)](images, weight, bias, strides, padding, dilation)
    return convolved


class _ConvLSTM(CellLayer, cell=ConvLSTMCell):
    """What the convolutional LSTMs of every rank have in common."""

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **common: Unpack[Hints],
    ) -> None:
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate,
            activation, recurrent_activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer, unit_forget_bias,
            kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint,
            dropout, recurrent_dropout, seed, **for_cell(common),
        )  # fmt: skip
        super().__init__(
            cell,
            return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask,
            activity_regularizer=activity_regularizer, **common,
        )  # fmt: skip


@registry.layers.register()
class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM over sequences of rows (Shi et al. 2015, without the peepholes).

    Shapes: (batch, time, steps, channels) to (batch, new steps, filters), with the time before the steps if
    `return_sequences`; channels before the steps with data_format="channels_first".

    Args:
        filters: the number of channels of each state, and of the output.
        kernel_size: over how many steps the kernels of both convolutions go.
        strides, padding, dilation_rate: of the convolution over the inputs, as for Conv2D; "same" or "valid".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
        recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed: as for LSTMCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ConvLSTM1D(4, 3, padding="same")(torch.ones(2, 5, 8, 3)).shape
        torch.Size([2, 8, 4])
    """

    rank = 1


@registry.layers.register()
class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM over sequences of images (Shi et al. 2015, without the peepholes).

    Shapes: (batch, time, height, width, channels) to (batch, new height, new width, filters), with the time before
    space if `return_sequences`; channels before space with data_format="channels_first".

    Args:
        filters: the number of channels of each state, and of the output.
        kernel_size: the height and width of the kernels of both convolutions, or one number for both.
        strides, padding, dilation_rate: of the convolution over the inputs, as for Conv2D.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
        recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed: as for LSTMCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(torch.ones(2, 5, 8, 8, 3)).shape
        torch.Size([2, 5, 8, 8, 4])
    """

    rank = 2


@registry.layers.register()
class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM over sequences of volumes (Shi et al. 2015, without the peepholes).

    Shapes: (batch, time, depth, height, width, channels) to the same without the time and with `filters` channels, or
    with the time if `return_sequences`; channels before space with data_format="channels_first".

    Args:
        filters: the number of channels of each state, and of the output.
        kernel_size: the depth, height and width of the kernels of both convolutions, or one number for all.
        strides, padding, dilation_rate: of the convolution over the inputs, as for Conv2D.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
        recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed: as for LSTMCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ConvLSTM3D(2, 1)(torch.ones(1, 2, 3, 3, 3, 1)).shape
        torch.Size([1, 3, 3, 3, 2])
    """

    rank = 3
