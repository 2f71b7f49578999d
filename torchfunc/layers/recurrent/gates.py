"""Recurrent cells: the mathematics of one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.layers.layer import Common
from torchfunc.layers.recurrent.cell import RecurrentCell
from torchfunc.layers.weights import Layout

_TANH = (activations.tanh, torch.tanh, F.tanh)
_SIGMOID = (activations.sigmoid, torch.sigmoid, F.sigmoid)
_RELU = (activations.relu, torch.relu, F.relu)


@registry.layers.register()
class SimpleRNNCell(RecurrentCell):
    """`activation(x @ kernel + h @ recurrent_kernel + bias)`, which is output and new state.

    Args:
        units: the length of the state.
        activation: of the sum; by name or a function.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights begin.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: what they add to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: what they are put through after each step.
        dropout: the share of the inputs that is set to zero while training.
        recurrent_dropout: the same for the state.
        seed: of the random numbers for both.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: `units` is no positive integer, or a rate is not from 0 to 1.

    Example:
        >>> output, states = layers.SimpleRNNCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape, output is states[0]
        (torch.Size([2, 4]), True)
    """

    def kernel(self, training: bool) -> str | None:
        if training and self.recurrent_dropout:
            return None
        return "rnn_tanh" if self.activation in _TANH else "rnn_relu" if self.activation in _RELU else None

    def step(self, projected: Tensor, states: list[Tensor], drops: list[Tensor] | None = None) -> Any:
        state = self.activation(projected + self.recur(states[0], drops))
        return state, [state]


@registry.layers.register()
class GRUCell(RecurrentCell):
    """A gated recurrent unit: Cho et al. 2014.

    With `reset_after` it has the form of PyTorch's kernels, and a bias of two rows, (2, 3 * units): one
    for the inputs and one for the state.

    Args:
        units: the length of the state.
        activation: of the candidate.
        recurrent_activation: of the update and the reset gate.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights begin.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: what they add to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: what they are put through after each step.
        dropout: the share of the inputs that is set to zero while training.
        recurrent_dropout: the same for the state.
        reset_after: whether the state is reset after it is multiplied with its weights, or before.
        seed: of the random numbers for dropout.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> output, states = layers.GRUCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape, len(states)
        (torch.Size([2, 4]), 1)
    """

    gates: ClassVar[int] = 3
    # Keras has the update gate, the reset gate and the candidate; PyTorch reset, update, candidate
    blocks: ClassVar[tuple[int, ...] | None] = (1, 0, 2)

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            units, activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint,
            dropout, recurrent_dropout, seed, **common,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def kernel(self, training: bool) -> str | None:
        usual = self.activation in _TANH and self.recurrent_activation in _SIGMOID and self.reset_after
        return "gru" if usual and not (training and self.recurrent_dropout) else None

    def kernel_weights(self) -> list[Tensor]:
        return [self.weight_ih, self.weight_hh, *(() if self.bias is None else self.bias.unbind(0))]

    def _native_biases(self) -> list[Tensor]:
        return [] if self.bias is None else list(self.bias.unbind(0))

    def input_bias(self) -> Tensor | None:
        return self.bias[0] if self.bias is not None and self.reset_after else self.bias

    def step(self, projected: Tensor, states: list[Tensor], drops: list[Tensor] | None = None) -> Any:
        (state,) = states
        x_reset, x_update, x_candidate = projected.chunk(3, 1)
        if self.reset_after:
            recurrent = self.recur(state, drops)
            recurrent = recurrent if self.bias is None else recurrent + self.bias[1]
            h_reset, h_update, h_candidate = recurrent.chunk(3, 1)
            reset = self.recurrent_activation(x_reset + h_reset)
            h_candidate = reset * h_candidate
        else:
            for_reset, for_update, for_candidate = (state * each for each in drops) if drops else (state,) * 3
            w_reset, w_update, w_candidate = self.weight_hh.chunk(3)
            h_update = F.linear(for_update, w_update)
            reset = self.recurrent_activation(x_reset + F.linear(for_reset, w_reset))
            h_candidate = F.linear(reset * for_candidate, w_candidate)
        update = self.recurrent_activation(x_update + h_update)
        state = update * state + (1 - update) * self.activation(x_candidate + h_candidate)
        return state, [state]


class GatedCell(RecurrentCell):
    """What cells with a carry have in common: LSTM's step, and the bias of its forget gate."""

    gates: ClassVar[int] = 4
    number_of_states: ClassVar[int] = 2
    bias_initializer: Any
    unit_forget_bias: bool

    def _make_weight(self, word: str, shape: Sequence[int | None], **layout: Unpack[Layout]) -> Tensor:
        if word != "bias" or not self.unit_forget_bias:
            return super()._make_weight(word, shape, **layout)
        given: Any = {"regularizer": self.bias_regularizer, "constraint": self.bias_constraint}
        return self.add_weight(shape, self._begin_bias, **given, **layout)

    def _begin_bias(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, **options: Any) -> Tensor:
        """Ones for the forget gate, so that a new cell remembers: Jozefowicz et al. 2015."""
        bias: Tensor = self.bias_initializer(shape, dtype=dtype, **options)
        bias.chunk(4)[1].fill_(1.0)
        return bias

    def step(self, projected: Tensor, states: list[Tensor], drops: list[Tensor] | None = None) -> Any:
        state, carry = states
        entry, forget, candidate, exit = (projected + self.recur(state, drops)).chunk(4, 1)
        kept = self.recurrent_activation(forget) * carry
        carry = kept + self.recurrent_activation(entry) * self.activation(candidate)
        state = self.recurrent_activation(exit) * self.activation(carry)
        return state, [state, carry]


@registry.layers.register()
class LSTMCell(GatedCell):
    """Long short-term memory: Hochreiter & Schmidhuber 1997. Its states are `[h, c]`, and `h` is the output.

    Args:
        units: the length of each state.
        activation: of the candidate and of the carry.
        recurrent_activation: of the three gates.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights begin.
        unit_forget_bias: whether the bias of the forget gate begins with 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: what the weights add to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: what they are put through after each step.
        dropout: the share of the inputs that is set to zero while training.
        recurrent_dropout: the same for the state.
        seed: of the random numbers for both.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> output, states = layers.LSTMCell(4)(torch.ones(2, 3), [torch.zeros(2, 4), torch.zeros(2, 4)])
        >>> output.shape, len(states), output is states[0]
        (torch.Size([2, 4]), 2, True)
    """

    def __init__(
        self,
        units: int,
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
        super().__init__(
            units, activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint,
            dropout, recurrent_dropout, seed, **common,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def kernel(self, training: bool) -> str | None:
        usual = self.activation in _TANH and self.recurrent_activation in _SIGMOID
        return "lstm" if usual and not (training and self.recurrent_dropout) else None
