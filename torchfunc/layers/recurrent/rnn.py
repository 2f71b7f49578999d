"""Recurrent layers: a cell repeated over the steps of a sequence."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.graph.symbolic import call
from torchfunc.layers.arguments import one_shape
from torchfunc.layers.layer import Common, CommonButActivity, Layer
from torchfunc.layers.recurrent.cell import RecurrentCell, StackedRNNCells, build_cell, cell_from
from torchfunc.layers.recurrent.gates import GRUCell, LSTMCell, SimpleRNNCell
from torchfunc.layers.recurrent.scan import initial_states, run, spread_again, valid_in_front
from torchfunc.tree import leaves, map_leaves


@registry.layers.register()
class RNN(Layer):
    """A cell repeated over the steps of a sequence.

    Shapes: (batch, time, ...) to (batch, units), or (batch, time, units) with `return_sequences`.

    A cell is a layer that takes (inputs, states) and returns (output, new states). It has `state_size`
    (a number, or a list of them), and may have `output_size` and `get_initial_state(batch_size)`. Cells of
    this library run on PyTorch's kernels where there is one, in a stack too.

    Called with `mask`, (batch, time): a step where it is False leaves the states and the output as they
    were before. Called with `initial_state`: the states before the first step, a tensor or a list.

    Args:
        cell: the cell, or a list of cells, the lowest first.
        return_sequences: whether to return the output of every step, or of the last alone.
        return_state: whether to return the last states as well: (output, *states).
        go_backwards: whether to read the sequence from its end; the outputs are in that order too.
        stateful: whether a batch begins with the states with which the one before it ended.
        unroll: has no effect; kept so that a config of Keras can be read.
        zero_output_for_mask: whether the output of a masked step is zero.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: something that is no cell.

    Example:
        >>> layers.RNN(layers.GRUCell(4), return_sequences=True)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 4])
        >>> layers.RNN([layers.LSTMCell(8), layers.LSTMCell(4)])(torch.ones(2, 5, 3)).shape  # one on the other
        torch.Size([2, 4])
    """

    supports_masking: bool = True
    _makes_mask = False
    _autocast = False
    _integers = "cast"
    cell: Any

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.cell = cell_from(cell, type(self).__name__)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self._kept: Any = None  # the names of the buffers with the states, in the structure of the states

    @property
    def state_size(self) -> list[Any]:
        """The length of each state."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def build(self, input_shape: Any) -> None:
        build_cell(self.cell, (input_shape[0], *input_shape[2:]))
        if self.stateful:
            self._keep_states(input_shape)

    def check_input(self, *shapes: Any) -> None:
        lowest = self.cell.cells[0] if hasattr(self.cell, "cells") else self.cell
        if isinstance(lowest, RecurrentCell):
            lowest.check(self, shapes[0], "batch, time")
        else:
            one_shape(self, shapes[0], 2, "(batch, time, ...)")
        if self.stateful and shapes[0][0] is None:
            raise self.wrong(
                shapes[0],
                "a known batch size",
                why="the states of a stateful layer are kept from batch to batch",
                fix=f"Input(batch_shape=(32, *{tuple(shapes[0][1:])}))",
            )

    @property
    def output_shape_for(self) -> Any:
        return self._stated_shape if isinstance(self.cell, RecurrentCell) and not self.return_state else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        output = self.cell.state_shapes(shape)[0]
        return (output[0], shape[1], *output[1:]) if self.return_sequences else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = next(leaves(mask), None)
        return mask if self.return_sequences else None

    def forward(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        sequences = self._at_door(sequences)
        states = self._first_states(sequences, initial_state)
        mask = None if mask is None else self._checked_mask(mask, sequences)
        if self.go_backwards:
            sequences = sequences.flip(1)
            mask = None if mask is None else mask.flip(1)
        output, states = run(
            self.cell,
            sequences,
            states,
            mask,
            training=self.training if training is None else training,
            sequences=self.return_sequences,
            zero_output=self.zero_output_for_mask,
            keep_states=self.return_state or self.stateful,
        )
        if self.stateful:
            self._remember(states)
        return (output, *_as_named(self.cell, states)) if self.return_state else output

    def native_form(self, into: Any, sequences: Any, initial_state: Any = None, mask: Any = None) -> Any:
        cell = self.cell
        drops = into.training is not False and getattr(cell, "recurrent_dropout", False)
        name = cell.kernel(False) if isinstance(cell, RecurrentCell) and not drops else None
        if name is None or self.stateful or (mask is not None and self.return_state):
            why = "it is stateful" if self.stateful else "PyTorch has no module for its cell and settings"
            raise into.refusal(
                self, why, "the default activations, no recurrent_dropout, and states given at each call"
            )
        make = native_module(self, into, name, cell._native_state())
        x = sequences.flip(1) if self.go_backwards else sequences
        if cell.dropout and into.training is not False:
            ones = x.new_ones((x.shape[0], 1, x.shape[2]))
            drop = into.module(self, nn.Dropout, cell.dropout, word="dropout")
            x = x * (F.dropout(ones, cell.dropout) if into.training else drop(ones))
        if mask is not None:
            mask = mask.flip(1) if self.go_backwards else mask
            return self._native_masked(make, x, initial_state, mask)
        states = () if initial_state is None else (native_states(initial_state),)
        outputs, last = make(x, *states)
        output = outputs if self.return_sequences else outputs[:, -1]
        last = last if isinstance(last, tuple) else (last,)
        return (output, *(each[0] for each in last)) if self.return_state else output

    def _native_masked(self, make: Any, x: Any, initial_state: Any, mask: Any) -> Any:
        """As `scan._run_masked`: the valid steps in front, and each step with the output of the last valid one."""
        states = () if initial_state is None else (native_states(initial_state),)
        outputs, _ = make(call(valid_in_front, x, mask), *states)
        outputs = call(spread_again, outputs, mask, self.zero_output_for_mask)
        return outputs if self.return_sequences else outputs[:, -1]

    def _at_door(self, sequences: Tensor) -> Tensor:
        """The sequences in the dtype of the cell's weights."""
        cell = self.cell
        found = cell.weight_ih if isinstance(cell, RecurrentCell) else next(_floats(cell), None)
        return self._cast(sequences, found)

    def _first_states(self, sequences: Tensor, initial_state: Any) -> Any:
        if initial_state is not None:
            given = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            if len(given) != len(self.state_size):
                raise ShapeError(self._wrong_states(len(given)))
            return map_leaves(lambda each: self._cast(each, sequences), given)
        if self._kept is None:
            return initial_states(self.cell, tuple(sequences.shape), sequences)
        states = self.states
        if next(leaves(states)).shape[0] != sequences.shape[0]:
            raise self.wrong(
                tuple(sequences.shape),
                f"a batch of {next(leaves(states)).shape[0]}",
                why="a stateful layer keeps one state for each sample of the batch",
                fix="batches of one size, or reset_state and a new layer",
            )
        # copies, because these are overwritten before the backward pass needs them
        return map_leaves(lambda each: each.clone(), states)

    def _wrong_states(self, number: int) -> str:
        names = "[h, c]" if len(self.state_size) == 2 else "one tensor for each state"
        where = f"{type(self).__name__} {self.name!r}"
        expected = f"{len(self.state_size)} in initial_state ({names})"
        return explain(where, got=f"{number} tensors", expected=expected, fix=f"initial_state={names}")

    def _checked_mask(self, mask: Tensor, sequences: Tensor) -> Tensor:
        if mask.ndim != 2 or mask.shape != sequences.shape[:2]:
            expected = f"a mask of shape (batch, time) = {tuple(sequences.shape[:2])}"
            raise self.wrong(tuple(mask.shape), expected)
        return mask if mask.dtype == torch.bool else mask.to(torch.bool)

    def _keep_states(self, shape: Any) -> None:
        """Make a buffer for each state; they are no part of the state_dict, as in Keras."""
        parameter = next(self.cell.parameters(), None)
        like = torch.zeros(()) if parameter is None else parameter.detach()
        names = []
        for index, state in enumerate(leaves(states := initial_states(self.cell, shape, like))):
            names.append(f"state_{index}")
            self.register_buffer(names[-1], state.clone(), persistent=False)
        found = iter(names)
        self._kept = map_leaves(lambda _: next(found), states)

    def _remember(self, states: Any) -> None:
        with torch.no_grad():
            for kept, state in zip(leaves(self.states), leaves(states), strict=True):
                kept.copy_(state)

    @property
    def states(self) -> Any:
        """The states that a stateful layer keeps; None before it is built."""
        return None if self._kept is None else map_leaves(lambda name: getattr(self, name), self._kept)

    def reset_state(self, states: Sequence[Any] | None = None) -> None:
        """Set the kept states to zero, or to `states`.

        Raises:
            GraphError: the layer is not stateful.
        """
        if not self.stateful:
            where = f"{type(self).__name__} {self.name!r}"
            got, expected = "reset_state()", "a stateful layer"
            raise GraphError(explain(where, got=got, expected=expected, fix="stateful=True"))
        with torch.no_grad():
            for index, kept in enumerate(leaves(self.states)):
                if self._kept is not None:
                    kept.copy_(torch.zeros_like(kept) if states is None else torch.as_tensor(states[index]))

    reset_states = reset_state


def native_module(
    layer: Any, into: Any, kernel: str, state: dict[str, Any], *, bidirectional: bool = False
) -> Any:
    """The module of torch.nn for a kernel: `nn.LSTM`, `nn.GRU` or `nn.RNN`."""
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}.get(kernel, nn.RNN)
    options: dict[str, Any] = {"bias": len(state) > 2 * (1 + bidirectional), "batch_first": True}
    if bidirectional:
        options["bidirectional"] = True
    if kernel == "rnn_relu":
        options["nonlinearity"] = "relu"
    units, features = state["weight_hh_l0"].shape[1], state["weight_ih_l0"].shape[1]
    return into.module(layer, kind, features, units, state=state, **options)


def native_states(given: Any) -> Any:
    """States before the first step as these modules take them: each with a dimension for the layer before the others."""
    states = tuple(each.unsqueeze(0) for each in leaves(given))
    return states if len(states) > 1 else states[0]


def _as_named(cell: Any, states: Sequence[Any]) -> list[Any]:
    """The last states as Keras returns them: of a stack a list for each cell, or one tensor for a cell of the
    user's own whose `state_size` is one number."""
    if not isinstance(cell, StackedRNNCells):
        return list(states)
    alone = (
        not isinstance(each, RecurrentCell) and not isinstance(each.state_size, (list, tuple))
        for each in cell.cells
    )
    return [next(leaves(state)) if one else state for one, state in zip(alone, states, strict=True)]


def _floats(cell: Any) -> Iterator[Tensor]:
    """The weights of a cell that have a floating dtype."""
    return (each for each in cell.parameters() if each.is_floating_point())


class Hints(CommonButActivity, total=False):
    """What every layer takes but an activity regularizer, and how Keras is to compute a recurrent one."""

    use_cudnn: bool | str
    implementation: int | None


def for_cell(common: Hints) -> Common:
    """What a layer hands on to the cell that it makes."""
    return cast(Common, {name: value for name, value in common.items() if name in ("trainable", "dtype")})


class CellLayer(RNN):
    """A recurrent layer that makes its own cell; the arguments of the cell are attributes of the layer too.

    A subclass names the class of its cell: `class LSTM(CellLayer, cell=LSTMCell)`.
    """

    def __init_subclass__(cls, cell: type[RecurrentCell] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cell is not None:
            for name in inspect.signature(cell.__init__).parameters:
                if name not in ("self", "common"):
                    setattr(cls, name, property(attrgetter(f"cell.{name}")))

    def __init__(
        self,
        *given: Any,
        use_cudnn: bool | str = "auto",
        implementation: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        # `use_cudnn` and `implementation` say how Keras is to compute it; they are taken and have no effect
        super().__init__(*given, **common)


@registry.layers.register()
class SimpleRNN(CellLayer, cell=SimpleRNNCell):
    """The fully connected recurrent layer; on PyTorch's kernel where `activation` is tanh or relu.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with `return_sequences`.

    Args:
        units: the length of the state, and of the output.
        activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
        recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
        recurrent_dropout, seed: as for SimpleRNNCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> layers.SimpleRNN(4)(x).shape, layers.SimpleRNN(4, return_sequences=True)(x).shape
        (torch.Size([2, 4]), torch.Size([2, 5, 4]))
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        cell = SimpleRNNCell(
            units, activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer,
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
class GRU(CellLayer, cell=GRUCell):
    """Gated recurrent units; on PyTorch's kernel with the default activations and `reset_after`.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with `return_sequences`.

    Args:
        units: the length of the state, and of the output.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
        bias_constraint, dropout, recurrent_dropout, reset_after, seed: as for GRUCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> layers.GRU(4)(x).shape, layers.GRU(4, return_sequences=True)(x).shape
        (torch.Size([2, 4]), torch.Size([2, 5, 4]))
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
        reset_after: bool = True,
        zero_output_for_mask: bool = False,
        **common: Unpack[Hints],
    ) -> None:
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint,
            dropout, recurrent_dropout, reset_after, seed, **for_cell(common),
        )  # fmt: skip
        super().__init__(
            cell,
            return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask,
            activity_regularizer=activity_regularizer, **common,
        )  # fmt: skip


@registry.layers.register()
class LSTM(CellLayer, cell=LSTMCell):
    """Long short-term memory; on PyTorch's kernel with the default activations.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with `return_sequences`;
    with `return_state` also `h` and `c`, each (batch, units).

    Args:
        units: the length of each state, and of the output.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
        unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
        recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed: as for LSTMCell.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as for RNN.
        use_cudnn, implementation: without effect; kept so that a config of Keras can be read.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> layers.LSTM(4)(x).shape, layers.LSTM(4, return_sequences=True)(x).shape
        (torch.Size([2, 4]), torch.Size([2, 5, 4]))
        >>> [each.shape for each in layers.LSTM(4, return_state=True)(x)]
        [torch.Size([2, 4]), torch.Size([2, 4]), torch.Size([2, 4])]
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
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias,
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
