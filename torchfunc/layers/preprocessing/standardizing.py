"""Standardizing: each feature brought to mean 0 and variance 1, by what was learned from data before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.arguments import axes_of, known, one_shape
from torchfunc.layers.layer import Common
from torchfunc.layers.preprocessing.adapting import Adapted, numbers_of
from torchfunc.settings import epsilon


@registry.layers.register()
class Normalization(Adapted):
    """Each feature less its mean, over its standard deviation.

    Shapes: (batch, ...) stays. Mean and variance are learned by `adapt`, or given.

    Args:
        axis: the axis or axes that have a mean for each position; None for one mean of all.
        mean, variance: both, where they are known: numbers, or as many as there are positions.
        invert: whether the way back is taken: times the deviation, plus the mean.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: one of `mean` and `variance` without the other, or of another shape.
        ShapeError: an axis that the input does not have, or of unknown size.

    Example:
        >>> layer = layers.Normalization()
        >>> layer.adapt([[1.0, 10.0], [3.0, 30.0]])
        >>> layer([[2.0, 30.0]])
        tensor([[0., 1.]])
        >>> layers.Normalization(mean=5.0, variance=4.0, axis=None)([9.0])
        tensor([2.])
    """

    supports_masking: bool = True
    _autocast = False
    _integers = "cast"
    _mean: Tensor
    _variance: Tensor
    _seen: int
    _mean_so_far: Tensor
    _squares: Tensor

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: float | Sequence[float] | None = None,
        variance: float | Sequence[float] | None = None,
        invert: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean, self.input_variance = _as_array("mean", mean), _as_array("variance", variance)
        self.invert = invert
        shapes = [None if each is None else each.shape for each in (self.input_mean, self.input_variance)]
        if shapes[0] != shapes[1]:
            got = " and ".join(
                f"{name} of shape {shape}" for name, shape in zip(("mean", "variance"), shapes, strict=True)
            )
            expected = "both, of one shape, or neither"
            raise GraphError(
                explain("Normalization", got=got.replace("of shape None", "None"), expected=expected)
            )
        if shapes[0] is not None and len(shapes[0]) > len(self.axis):
            got = f"mean of shape {shapes[0]} for axis={self.axis}"
            raise GraphError(explain("Normalization", got=got, expected="no more dimensions than axes"))
        self.reset_state()

    def _argument(self, name: str) -> Any:
        given = {"mean": self.input_mean, "variance": self.input_variance}
        return given[name] if name in given else super()._argument(name)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0], 0)
        axes = axes_of(f"Normalization {self.name!r}", self.axis, len(shape)) if self.axis else ()
        sizes = tuple(known(self, shape, axis, "positions") for axis in axes)
        if self.built and sizes != self._sizes:
            why = f"the layer is built for {self._sizes} along axis {self.axis}"
            raise self.wrong(
                shape, f"{self._sizes} along axis {self.axis}", why=why, fix="make a second layer"
            )

    def build(self, input_shape: Any) -> None:
        axes = axes_of(f"Normalization {self.name!r}", self.axis, len(input_shape)) if self.axis else ()
        self._sizes = tuple(known(self, input_shape, axis, "positions") for axis in axes)
        self._axes = axes
        self._others = tuple(axis for axis in range(len(input_shape)) if axis not in axes)
        self._broadcast = tuple(input_shape[axis] if axis in axes else 1 for axis in range(len(input_shape)))
        if self.input_mean is None:
            # in Keras's order
            self.adapt_mean = self.add_weight(self._sizes, "zeros", trainable=False)
            self.adapt_variance = self.add_weight(self._sizes, "ones", trainable=False)
            self.count = self.add_weight((), "zeros", dtype=torch.int32, trainable=False)
            return
        for name, given in (("_mean", self.input_mean), ("_variance", self.input_variance)):
            # from an array, which has its numbers on the meta device too
            tensor = torch.from_numpy(np.array(given, dtype=np.float64)).to(self._kind())
            self.register_buffer(name, tensor, persistent=False)

    @property
    def mean(self) -> Tensor | None:
        """The mean, in the shape that inputs are combined with; None before the layer is built."""
        return self._held("adapt_mean", "_mean")

    @property
    def variance(self) -> Tensor | None:
        """The variance likewise."""
        return self._held("adapt_variance", "_variance")

    def _held(self, learned: str, given: str) -> Tensor | None:
        if not self.built:
            return None
        held: Tensor = getattr(self, learned if self.input_mean is None else given)
        return self._aligned(held).expand(self._broadcast)

    def _aligned(self, held: Tensor) -> Tensor:
        """One number for each position along the axes, as inputs are combined with it; those not given are 1 wide."""
        sizes, shape = iter(held.shape[::-1]), [1] * len(self._broadcast)
        for axis, size in zip(reversed(self._axes), sizes, strict=False):
            shape[axis] = size
        return held.reshape(shape)

    def update_state(self, data: Any) -> None:
        """Learn from one more batch.

        Raises:
            GraphError: mean and variance were given.
            ShapeError: another number of positions than before.
        """
        if self.input_mean is not None:
            got, fix = "mean and variance when it was made", "leave them out"
            raise GraphError(explain(f"Normalization {self.name!r}.adapt", got=got, expected="none", fix=fix))
        batch = numbers_of(f"Normalization {self.name!r}.adapt", data)
        self.check_input(tuple(batch.shape))
        if not self.built:
            self._build_for((batch,), {})
        # in float64, by the sums of squares around the means (Chan, Golub and LeVeque 1983)
        batch = batch.detach().to("cpu", torch.float64)
        number = math.prod(batch.shape[axis] for axis in self._others)
        mean = batch.mean(self._others) if self._others else batch
        squares = (batch - mean.reshape(self._broadcast)).square()
        squares = squares.sum(self._others) if self._others else squares
        seen = self._seen
        total = seen + number
        off = mean - self._mean_so_far
        self._squares = self._squares + squares + off.square() * (seen * number / max(total, 1))
        self._mean_so_far = self._mean_so_far + off * (number / max(total, 1))
        self._seen = total

    def finalize_state(self) -> None:
        """Have what was learned as mean and variance."""
        if self.input_mean is not None or not self._seen:
            return
        with torch.no_grad():
            self.adapt_mean.copy_(self._mean_so_far)
            self.adapt_variance.copy_(self._squares / self._seen)

    def reset_state(self) -> None:
        """Forget what was learned since `finalize_state`."""
        self._seen = 0
        self._mean_so_far = torch.zeros((), dtype=torch.float64, device="cpu")
        self._squares = torch.zeros((), dtype=torch.float64, device="cpu")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def forward(self, inputs: Tensor) -> Tensor:
        learned = self.input_mean is None
        mean: Tensor = self.adapt_mean if learned else self._mean
        variance: Tensor = self.adapt_variance if learned else self._variance
        inputs = self._cast(self._as_floats(inputs), mean)
        deviation = self._aligned(variance).sqrt().clamp(min=epsilon())
        mean = self._aligned(mean)
        return mean + inputs * deviation if self.invert else (inputs - mean) / deviation


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any] | None:
    if value is None:
        return None
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "biuf":
        raise GraphError(explain("Normalization", got=f"{name}={shorten(value)}", expected="numbers"))
    return array
