"""Activation functions that have arguments or weights of their own, as layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import axes_of, known, one_shape
from torchfunc.layers.layer import Common, Layer


class _Elementwise(Layer):
    """A layer whose output has the shape of its input."""

    supports_masking: bool = True

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


def _at_least_zero(owner: str, name: str, value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return value
    raise GraphError(explain(owner, got=f"{name}={value!r}", expected="a number of 0 or more"))


@registry.layers.register()
class ReLU(_Elementwise):
    """`max(x, 0)`; with arguments, a slope below a threshold and a limit above.

    Args:
        max_value: the limit; None for none.
        negative_slope: the slope below the threshold.
        threshold: where the slope begins.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ReLU(max_value=6)([-1.0, 2.0, 8.0])
        tensor([0., 2., 6.])
    """

    _integers = "tried"

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.max_value = None if max_value is None else _at_least_zero("ReLU", "max_value", max_value)
        self.negative_slope = _at_least_zero("ReLU", "negative_slope", negative_slope)
        self.threshold = _at_least_zero("ReLU", "threshold", threshold)
        self._plain = max_value is None and not negative_slope and not threshold

    def forward(self, inputs: Tensor) -> Tensor:
        if self._plain:
            return torch.relu(inputs)
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


@registry.layers.register()
class LeakyReLU(_Elementwise):
    """`x` above zero, `negative_slope * x` below.

    Args:
        negative_slope: 0.3 by default, as in Keras's layer (its activation has 0.2, PyTorch 0.01).
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.LeakyReLU()([-1.0, 2.0])
        tensor([-0.3000,  2.0000])
    """

    _integers = "refused"

    def __init__(self, negative_slope: float = 0.3, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.negative_slope = _at_least_zero("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.leaky_relu(inputs, self.negative_slope)


@registry.layers.register()
class PReLU(_Elementwise):
    """`x` above zero, `alpha * x` below, where alpha is learned: one for each feature of a sample.

    Args:
        alpha_initializer: how alpha begins.
        alpha_regularizer: what it adds to the loss.
        alpha_constraint: what it is put through after each step.
        shared_axes: the axes along which one alpha serves, (1, 2) for one a channel of an image.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.PReLU(alpha_initializer=tf.initializers.Constant(0.1))([[-1.0, 2.0]]).detach()
        tensor([[-0.1000,  2.0000]])
    """

    _autocast = False
    _integers = "cast"

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self._describe_weight("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = (
            [shared_axes]
            if isinstance(shared_axes, int)
            else None
            if shared_axes is None
            else list(shared_axes)
        )

    def build(self, input_shape: Any) -> None:
        shared = axes_of(f"PReLU {self.name!r}", self.shared_axes or (), len(input_shape))
        shape = [
            1 if axis in shared else known(self, input_shape, axis, "features")
            for axis in range(1, len(input_shape))
        ]
        self.weight = self._make_weight("alpha", shape)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0], 2, "(batch, ..., features)")
        if self.built:
            sizes = tuple(self.weight.shape)
            if len(sizes) != len(shape) - 1 or any(
                w not in (1, n) for w, n in zip(sizes, shape[1:], strict=True)
            ):
                raise self.wrong(
                    shape,
                    f"samples of shape {sizes}, 1 where any length fits",
                    why="the layer is built for them",
                )

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._cast(inputs, self.weight)
        return torch.where(inputs > 0, inputs, self.weight * inputs)


@registry.layers.register()
class ELU(_Elementwise):
    """`x` above zero, `alpha * (exp(x) - 1)` below.

    Args:
        alpha: how far it falls below zero.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ELU()([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """

    _integers = "refused"

    def __init__(self, alpha: float = 1.0, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.alpha = alpha

    def forward(self, inputs: Tensor) -> Tensor:
        return F.elu(inputs, self.alpha)


@registry.layers.register()
class Softmax(_Elementwise):
    """`exp(x) / sum(exp(x))` along one axis or several.

    Args:
        axis: the axis or axes whose elements add up to 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Softmax()([[0.0, 1.0]])
        tensor([[0.2689, 0.7311]])
    """

    activates_output: ClassVar[bool] = True
    _wants_mask = False  # it masks elements, and not steps
    _integers = "refused"

    def __init__(self, axis: int | Sequence[int] = -1, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    @property
    def activation(self) -> Any:
        """The function, along the axis of the layer."""
        return activations.softmax if self.axis == -1 else partial(activations.softmax, axis=self.axis)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        axes_of(f"Softmax {self.name!r}", self.axis, len(shape))

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self.activated(inputs)
        sizes = zip(mask.shape[::-1], inputs.shape[::-1], strict=False)
        if mask.ndim > inputs.ndim or any(each not in (1, size) for each, size in sizes):
            fix = "mask.unsqueeze(-1) masks whole steps"
            raise self.wrong(tuple(mask.shape), f"a mask that broadcasts to {tuple(inputs.shape)}", fix=fix)
        kept = mask if mask.dtype is torch.bool else mask > 0.5
        # the lowest number and not -inf: where all are masked, -inf would give nan
        lowest = torch.finfo(inputs.dtype).min / 2
        return activations.softmax(inputs.masked_fill(~kept, lowest), self.axis).masked_fill(~kept, 0.0)
