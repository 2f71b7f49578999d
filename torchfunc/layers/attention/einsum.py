"""EinsumDense: a dense layer over any dimensions, written as an equation of letters."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, explain
from torchfunc.initializers.initializer import VarianceScaling
from torchfunc.layers.arguments import count, keeps_shape, one_shape
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.weights import under_keras_name

_linear = activations.linear


@registry.layers.register()
class EinsumDense(Layer):
    """`activation(einsum(equation, x, kernel) + bias)`.

    Where the last dimensions of the input are summed over and the last ones of the output are new, the weight
    lies as that of `nn.Linear` does, (new ones, summed ones), and `F.linear` computes; else `torch.einsum`
    does, on a weight in the order of the equation.

    Args:
        equation: "inputs,kernel->outputs", a letter a dimension; "..." at the beginning or the end of inputs
            and outputs stands for any further ones.
        output_shape: the shape of one output without the batch and without what "..." stands for; None where
            the input says the size.
        activation: a name or a function.
        bias_axes: the letters of the output along which there is a bias; None for no bias.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint,
        bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an equation that is none, or whose letters do not fit together.
        ShapeError: inputs of another rank than the equation has, or of other sizes than `output_shape`.

    Example:
        >>> x = torch.ones(2, 5, 3)
        >>> layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(x).shape  # a Dense(4) a step
        torch.Size([2, 5, 4])
        >>> layers.EinsumDense("...x,xy->...y", output_shape=4, bias_axes="y")(x).shape  # for any number of dimensions
        torch.Size([2, 5, 4])
    """

    supports_masking: bool = False
    activates_output: ClassVar[bool] = True
    _autocast = False
    _integers = "cast"
    kernel: ClassVar[Any] = under_keras_name("weight")

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.equation = equation
        sizes = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.output_shape = tuple(
            None if each is None else count("EinsumDense", "output_shape", each) for each in sizes
        )
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self._describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self._parts = _parsed(equation, bias_axes)

    def check_input(self, *shapes: Any) -> None:
        inputs, _, outputs, side = self._parts
        shape = one_shape(self, shapes[0])
        least = len(inputs) + (side == "left")
        if (
            len(shape) < least
            or (not side and len(shape) > least)
            or (self.built and len(shape) != self._rank)
        ):
            rank = self._rank if self.built else least
            more = "at least " if side and not self.built else ""
            raise self.wrong(shape, f"{more}{rank} dimensions, as in {self.equation!r}")
        sizes = self._sizes(shape)
        for letter, size in zip(self._spread(inputs, shape), shape, strict=True):
            known = sizes.get(letter)
            if size is not None and known is not None and size != known:
                raise self.wrong(
                    shape,
                    f"size {known} for {letter!r} in {self.equation!r}",
                    why="output_shape says so" if letter in outputs else "the weights are made for it",
                )

    def build(self, input_shape: Any) -> None:
        self._rank = len(input_shape)
        inputs, kernel, outputs, side = self._parts
        sizes = {**dict(zip(self._spread(inputs, input_shape), input_shape, strict=True))}
        sizes.update({key: size for key, size in self._sizes(input_shape).items() if size is not None})
        summed = "".join(each for each in inputs if each in kernel and each not in outputs)
        new = "".join(each for each in outputs if each in kernel and each not in inputs)
        spread_in, spread_out = self._spread(inputs, input_shape), self._spread(outputs, input_shape)
        self._letters = spread_in, spread_out
        self._is_linear = bool(summed and new) and (
            spread_in.removesuffix(summed) == spread_out.removesuffix(new)
            and len(summed) + len(new) == len(kernel)
            and len(set(spread_in)) == len(spread_in)
        )
        kept = new + summed if self._is_linear else kernel
        self._matrix = math.prod(sizes[each] or 0 for each in new), -1
        self._new_sizes = tuple(sizes[each] for each in new)
        self._number_summed = len(summed)
        self._equation = f"{spread_in},{kernel}->{spread_out}"
        layout = tuple(kept.index(each) for each in kernel)
        self.weight = self.add_weight(
            [sizes[each] for each in kernel],
            self._initializer_for(kernel, outputs),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            layout=None if layout == tuple(range(len(kernel))) else layout,
        )
        self.bias = None
        if self.bias_axes is not None:
            first = min(map(outputs.index, self.bias_axes))
            shape = [sizes[each] if each in self.bias_axes else 1 for each in outputs[first:]]
            self.bias = self._make_weight(
                "bias", shape + [1] * (side == "right") * (self._rank - len(inputs))
            )
        self._adds_bias = self.bias is not None and not (
            self._is_linear and self.bias.shape == self._new_sizes
        )

    def _spread(self, letters: str, shape: Sequence[Any]) -> str:
        """The letters of inputs or outputs, with those that "..." stands for."""
        inputs, _, _, side = self._parts
        unused = [each for each in string.ascii_letters if each not in self.equation]
        more = "".join(unused[: len(shape) - len(inputs)])
        return more + letters if side == "left" else letters + more if side else letters

    def _sizes(self, shape: Sequence[Any]) -> dict[str, int | None]:
        """The size of each letter of the outputs that `output_shape` says, and once built of the weight's."""
        _, kernel, outputs, side = self._parts
        given = self.output_shape if side == "left" else (None, *self.output_shape)
        if len(given) != len(outputs):
            raise GraphError(
                explain(
                    f"EinsumDense {self.name!r}",
                    got=f"output_shape={self.output_shape} for {self.equation!r}",
                    expected=f"{len(outputs) - (side != 'left')} sizes, None where the input says them",
                )
            )
        sizes = dict(zip(outputs, given, strict=True))
        if self.built:
            sizes.update(zip(kernel, self.keras_view("weight", self.weight).shape, strict=True))
        return sizes

    def _initializer_for(self, kernel: str, outputs: str) -> Any:
        """The initializer, told which axes come in and which go out where it asks for them."""
        given = self.kernel_initializer
        if not isinstance(given, VarianceScaling) or None not in (given.input_axes, given.output_axes):
            return given
        out = [index for index, each in enumerate(kernel) if each in outputs]
        axes = {"input_axes": [each for each in range(len(kernel)) if each not in out], "output_axes": out}
        return type(given).from_config({**given.get_config(), **axes})

    @property
    def output_shape_for(self) -> Any:
        return self._stated_shape if keeps_shape(self.activation) else None

    def _stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = {**self._sizes(shape), **dict(zip(self._letters[0], shape, strict=True))}
        return tuple(sizes[each] for each in self._letters[1])  # type: ignore[misc]

    def forward(self, inputs: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        inputs = self._cast(inputs, weight)
        if self._is_linear:
            x = inputs if self._number_summed == 1 else inputs.flatten(-self._number_summed)
            added = None if bias is None or self._adds_bias else bias.flatten()
            outputs = F.linear(x, weight.reshape(self._matrix), added)
            if len(self._new_sizes) > 1:
                outputs = outputs.unflatten(-1, self._new_sizes)  # type: ignore[no-untyped-call]
        else:
            outputs = torch.einsum(self._equation, inputs, weight)
        if bias is not None and self._adds_bias:
            outputs = outputs + bias
        return outputs if self.activation is _linear else self.activated(outputs)

    def native_form(self, into: Any, inputs: Any) -> Any:
        if not self._is_linear:
            return into.recorded(self, inputs)
        units, features = (
            math.prod(self._new_sizes),
            math.prod(self.weight.shape) // math.prod(self._new_sizes),
        )
        bias = None if self._adds_bias else self.bias
        state = {"weight": self.weight, "bias": bias}
        linear = into.module(self, nn.Linear, features, units, bias=bias is not None, state=state)
        outputs = linear(inputs if self._number_summed == 1 else inputs.flatten(-self._number_summed))
        if len(self._new_sizes) > 1:
            outputs = outputs.unflatten(-1, self._new_sizes)
        if self._adds_bias:
            outputs = outputs + into.tensor(self.bias, "bias")
        return into.activated(self.activation, outputs)


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _parsed(equation: str, bias_axes: str | None) -> tuple[str, str, str, str]:
    """The letters of inputs, kernel and outputs, and the side on which there may be more dimensions.

    Raises:
        GraphError: saying which letter does not fit.
    """
    match = _EQUATION.fullmatch(equation.replace(" ", "")) if isinstance(equation, str) else None
    left, inputs, right, kernel, left_out, outputs, right_out = match.groups() if match else (None,) * 7
    if not inputs or not kernel or not outputs or left != left_out or right != right_out or (left and right):
        raise GraphError(
            explain(
                "EinsumDense",
                got=f"equation={equation!r}",
                expected="'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...'",
            )
        )
    wrong = next(
        (
            f"the letter {each!r} of the {where}, which {problem}"
            for letters, others, where, problem in (
                (kernel, inputs + outputs, "kernel", "is neither one of the inputs nor one of the outputs"),
                (outputs, inputs + kernel, "outputs", "is neither one of the inputs nor one of the kernel"),
                (bias_axes or "", outputs, "bias_axes", "is none of the outputs"),
            )
            for each in letters
            if each not in others
        ),
        None,
    )
    if wrong is not None:
        raise GraphError(
            explain("EinsumDense", got=f"equation={equation!r}", expected="letters that fit", why=wrong)
        )
    return inputs, kernel, outputs, "left" if left else "right" if right else ""
