"""Cell: one step of a recurrent layer, of whatever kind, and several stacked into one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.config import described, made
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import count, fraction, known, one_shape
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.weights import Layout

Shapes = list[tuple[int, ...]]


class RecurrentCell(Layer):
    """One step of a recurrent layer: (inputs, states) to (output, new states).

    It is split so that the steps of a sequence share what they can: `project` needs the inputs alone and
    is computed for all steps at once; `step` is what has to wait for the state before it. Where PyTorch
    has a kernel for a whole sequence of such steps, `kernel` names it.

    Weights lie as PyTorch's kernels want them: `weight_ih` (gates * units, features), `weight_hh`
    (gates * units, units), `bias` (gates * units).

    The arguments are those of SimpleRNNCell.
    """

    gates: ClassVar[int] = 1
    number_of_states: ClassVar[int] = 1
    # how PyTorch's gates are ordered among Keras's, where that differs
    blocks: ClassVar[tuple[int, ...] | None] = None
    dimensions: tuple[str, ...] = ("features",)
    _autocast = False
    _integers = "cast"

    recurrent_activation: Any
    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor | None

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        owner = type(self).__name__.removesuffix("Cell")
        self.units = count(owner, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._describe_weight("recurrent", recurrent_initializer, recurrent_regularizer, recurrent_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.dropout = fraction(owner, "dropout", dropout)
        self.recurrent_dropout = fraction(owner, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        # generators are made where the first random numbers are drawn: a list keeps them out of state_dict
        self._generators: dict[torch.device, torch.Generator] = {}

    @property
    def state_size(self) -> Any:
        """The length of the state, or a list with that of each."""
        return self.units if self.number_of_states == 1 else [self.units] * self.number_of_states

    @property
    def output_size(self) -> int:
        """The length of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        layout: Layout = {"layout": (1, 0), "blocks": self.blocks}
        width = self.gates * self.units
        features = known(self, input_shape, -1, "features")
        self.weight_ih = self._make_weight("kernel", (features, width), **layout)
        self.weight_hh = self._make_weight("recurrent", (self.units, width), **layout)
        self.bias = None
        if self.use_bias:
            self.bias = self._make_weight("bias", self.bias_shape(), blocks=self.blocks)

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias, in Keras's layout."""
        return (self.gates * self.units,)

    def check_input(self, *shapes: Any) -> None:
        self.check(self, shapes[0], "batch")

    def check(self, owner: Layer, shape: Any, leading: str) -> None:
        """Refuse a shape that is not (`leading`, features), in the name of the layer that was called."""
        order = (*leading.split(", "), *self.dimensions)
        shape = one_shape(owner, shape)
        if len(shape) != len(order):
            raise owner.wrong(shape, f"{len(order)} dimensions ({', '.join(order)})", fix=_fix(shape, order))
        size, built = known(owner, shape, self.feature_axis(), order[self.feature_axis()]), self.features()
        if built is not None and size != built:
            what = order[self.feature_axis()]
            why = f"the layer is built for {built} {what}, and this input has {size}"
            fix = f"make a second layer, or project the input to {built} {what}"
            raise owner.wrong(shape, f"{built} {what}", why=why, fix=fix)

    def feature_axis(self) -> int:
        """Where the features are in a shape."""
        return -1

    def features(self) -> int | None:
        """The number of features of the inputs, or None before it is known."""
        return self.weight_ih.shape[1] if self.built else None

    def state_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """The shape of each state for sequences of `shape`; the first is also that of the output."""
        return [(shape[0], self.units)] * self.number_of_states

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Zeros for each state: a list of (batch_size, units)."""
        options: dict[str, Any] = {"dtype": self.dtype}
        if self.built:
            options = {"dtype": self.weight_ih.dtype, "device": self.weight_ih.device}
        return [torch.zeros(shape, **options) for shape in self.state_shapes((batch_size,))]

    def kernel(self, training: bool) -> str | None:
        """The name of the function of PyTorch that runs this cell over a whole sequence, or None."""
        return None

    def kernel_weights(self) -> list[Tensor]:
        """The weights as that function takes them.

        It takes a bias on the recurrent side too, which Keras does not have. That one is made of zeros at
        each call (a thousandth of the call's time): a buffer would be one more tensor to lose on the way
        through `to_empty` or `load_state_dict(assign=True)`.
        """
        if self.bias is None:
            return [self.weight_ih, self.weight_hh]
        return [self.weight_ih, self.weight_hh, self.bias, torch.zeros_like(self.bias)]

    def _native_state(self, suffix: str = "l0") -> dict[str, Tensor | None]:
        """The weights by the names that `nn.LSTM` and its like give them; `bias_hh`, which Keras has not, is zero."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = (
            self.kernel_weights()
            if self.bias is None
            else [*self.kernel_weights()[:2], *self._native_biases()]
        )
        return {f"{name}_{suffix}": weight for name, weight in zip(names, weights, strict=False)}

    def _native_biases(self) -> list[Tensor]:
        """The biases of the kernel that are weights of the cell."""
        return [] if self.bias is None else [self.bias]

    def project(self, sequences: Tensor, training: bool) -> Tensor:
        """The part of every step that needs the inputs alone: (batch, time, gates * units)."""
        weight, bias = self.weight_ih, self.input_bias()
        if not (training and self.dropout and self.recurrent_dropout):
            return F.linear(self.dropped(sequences, training), weight, bias)
        # where the states are dropped as well, Keras drops other inputs for each gate
        parts = [F.linear(self.dropped(sequences, training), each) for each in weight.chunk(self.gates)]
        projected = torch.cat(parts, -1)
        return projected if bias is None else projected + bias

    def input_bias(self) -> Tensor | None:
        """The bias that `project` adds."""
        return self.bias

    def recur(self, state: Tensor, drops: list[Tensor] | None) -> Tensor:
        """The part of every gate that needs the state: (batch, gates * units)."""
        if drops is None:
            return F.linear(state, self.weight_hh)
        gates = zip(drops, self.weight_hh.chunk(self.gates), strict=True)
        return torch.cat([F.linear(state * drop, weight) for drop, weight in gates], 1)

    def step(self, projected: Tensor, states: list[Tensor], drops: list[Tensor] | None = None) -> Any:
        """Output and new states, from one step of `project` and the states before it."""
        raise NotImplementedError(f"{type(self).__name__} must define step(projected, states, drops).")

    def forward(self, inputs: Tensor, states: Any, training: bool | None = None) -> tuple[Tensor, Any]:
        training = self.training if training is None else training
        weight = self.weight_ih
        given = [
            self._cast(each, weight) for each in (states if isinstance(states, (list, tuple)) else [states])
        ]
        projected = self.project(self._cast(inputs, weight)[:, None], training)[:, 0]
        output, new = self.step(projected, given, self.state_drops(given[0], training))
        return output, new if isinstance(states, (list, tuple)) else new[0]

    def dropped(self, sequences: Tensor, training: bool) -> Tensor:
        """The inputs with some features set to zero, the same ones at every step of a sample."""
        if not (training and self.dropout):
            return sequences
        return sequences * self._keep(sequences[:, :1], self.dropout)

    def state_drops(self, state: Tensor, training: bool) -> list[Tensor] | None:
        """What the state is multiplied with for each gate, at every step; None where nothing is dropped."""
        if not (training and self.recurrent_dropout):
            return None
        return [self._keep(state, self.recurrent_dropout) for _ in range(self.gates)]

    def _keep(self, like: Tensor, rate: float) -> Tensor:
        """Zeros with probability `rate`, else 1 / (1 - rate)."""
        kept = torch.empty_like(like).bernoulli_(1 - rate, generator=self._generator(like.device))
        return kept / ((1 - rate) or 1.0)

    def _generator(self, device: torch.device) -> torch.Generator | None:
        """The source of a seeded cell's random numbers; the global one where a compiler is reading."""
        if self.seed is None or device.type == "meta" or torch.compiler.is_compiling():
            return None
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_generators": {}}


def _fix(shape: tuple[Any, ...], order: tuple[str, ...]) -> str:
    if "time" not in order:
        return ""
    if len(shape) == len(order) - 1:
        return "return_sequences=True on the recurrent layer before this one, or add a dimension with Reshape"
    return "TimeDistributed(Flatten()) before it" if order[-1] == "features" else ""


@registry.layers.register()
class StackedRNNCells(Layer):
    """Several cells as one: each is given the output of the one before. Its states are a list for each cell.

    Args:
        cells: the cells, the lowest first.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an element without a `state_size`.

    Example:
        >>> cell = layers.StackedRNNCells([layers.LSTMCell(8), layers.LSTMCell(4)])
        >>> layers.RNN(cell)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 4])
    """

    _autocast = False

    def __init__(self, cells: Iterable[Any], **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.cells = nn.ModuleList(cell_from(each, "StackedRNNCells") for each in cells)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        return output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def forward(self, inputs: Tensor, states: Any, training: bool | None = None) -> tuple[Any, list[Any]]:
        training = self.training if training is None else training
        output, new = inputs, []
        for cell, state in zip(self.cells, states, strict=True):
            keywords = {"training": training} if takes_training(type(cell)) else {}
            output, state = cell(output, state, **keywords)
            new.append(state)
        return output, new

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, each cell with its own."""
        base = {"name": self.given_name or self.graph_name, "trainable": self.trainable}
        return {**base, "cells": described(list(self.cells), "cells")}


def cell_from(cell: Any, owner: str) -> Any:
    """A cell: given as such, as its config, or as a list of cells.

    Raises:
        GraphError: no module with a `state_size`.
    """
    if isinstance(cell, (list, tuple)):
        return StackedRNNCells(cell)
    found: Any = made(cell, f"{owner}.cell") if isinstance(cell, dict) else cell
    if not isinstance(found, nn.Module) or not hasattr(found, "state_size"):
        raise GraphError(
            explain(
                owner,
                got=f"{type(found).__name__} as a cell",
                expected="a layer that takes (inputs, states) and has a state_size",
                fix=f"{owner}(LSTMCell(32)), or set self.state_size in your cell",
            )
        )
    takes_training(type(found))
    return found


def build_cell(cell: Any, shape: Any) -> None:
    """Build a cell for one step of inputs, where it is a layer."""
    if isinstance(cell, Layer):
        cell._build_for((shape,), {})


def takes_training(kind: type[nn.Module]) -> bool:
    """Whether the forward of a class takes `training`."""
    # a plain dict, because a compiler that reads this warns about functools.cache
    if kind not in _TAKE_TRAINING:
        _TAKE_TRAINING[kind] = "training" in inspect.signature(kind.forward).parameters
    return _TAKE_TRAINING[kind]


_TAKE_TRAINING: dict[type[nn.Module], bool] = {}


def output_size(cell: Any) -> int:
    """The length of a cell's output: its `output_size`, else that of its first state."""
    size = getattr(cell, "output_size", None) or cell.state_size
    return cast(int, size[0] if isinstance(size, (list, tuple)) else size)
