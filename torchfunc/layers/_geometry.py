"""Arguments checked by name, shapes checked by rank, and what windows over space make of a length."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch

from torchfunc import activations
from torchfunc.errors import DTypeError, GraphError, ShapeError, explain
from torchfunc.layers.base import Layer

DataFormat = Literal["channels_last", "channels_first"]

_SPACE = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_settings: dict[str, DataFormat] = {"image_data_format": "channels_last"}


def image_data_format() -> DataFormat:
    """The order of an image's dimensions where a layer is not told: "channels_last" by default."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: DataFormat) -> None:
    """Choose the order of dimensions of every layer that is made from now on without a `data_format`.

    Raises:
        GraphError: neither "channels_last" nor "channels_first".
    """
    chosen = choice("set_image_data_format", "data_format", data_format, ("channels_last", "channels_first"))
    _settings["image_data_format"] = cast(DataFormat, chosen)


def choice(owner: str, name: str, value: Any, known: Sequence[str]) -> str:
    """A mode by name, in lower case.

    Raises:
        GraphError: none of those that are known.
    """
    found = value.lower() if isinstance(value, str) else value
    if found in known:
        return cast(str, found)
    close = difflib.get_close_matches(str(value), known, n=1)
    fix = f"{name}={close[0]!r}" if close else ""
    raise GraphError(explain(owner, got=f"{name}={value!r}", expected=" or ".join(map(repr, known)), fix=fix))


def count(owner: str, name: str, value: Any, *, minimum: int = 1) -> int:
    """A whole number of at least `minimum`.

    Raises:
        GraphError: a number with a fraction, a bool, a text, a number that is too small.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= minimum:
        return int(value)
    expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    fix = f"{name}={_nearest_count(value, minimum)}"
    raise GraphError(explain(owner, got=f"{name}={value!r}", expected=expected, fix=fix))


def _nearest_count(value: Any, minimum: int) -> int:
    """What was probably meant: 3 for -3, 3.5 and "3"."""
    try:
        return max(round(abs(float(value))), minimum, 1)
    except (TypeError, ValueError, OverflowError):
        return max(minimum, 1)


def fraction(owner: str, name: str, value: Any) -> float:
    """A number from 0 to 1.

    Raises:
        GraphError: anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return value
    raise GraphError(
        explain(owner, got=f"{name}={value!r}", expected="a number from 0 to 1", fix=f"{name}=0.5")
    )


def counts(owner: str, name: str, value: Any, rank: int, *, minimum: int = 1) -> tuple[int, ...]:
    """One whole number for each of `rank` dimensions; a single one stands for all.

    Raises:
        GraphError: another number of them, or one that `count` refuses.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = (value,) * rank
    if not isinstance(value, (list, tuple)) or len(value) != rank:
        expected = f"an integer or {rank} of them" if rank > 1 else "an integer"
        raise GraphError(explain(owner, got=f"{name}={value!r}", expected=expected))
    return tuple(count(owner, name, each, minimum=minimum) for each in value)


def axes_of(owner: str, axis: Any, rank: int) -> tuple[int, ...]:
    """One axis or several, counted from the front and in order.

    Raises:
        ShapeError: an axis that a tensor of this rank does not have.
    """
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    for each in axes:
        if not -rank <= each < rank:
            raise ShapeError(
                explain(
                    owner,
                    got=f"axis={axis!r} for an input of {rank} dimensions",
                    expected=f"an axis from {-rank} to {rank - 1}",
                )
            )
    return tuple(sorted(each % rank for each in axes))


def one_shape(
    layer: Layer, shape: Any, minimum: int = 1, order: str = "(batch, ...)"
) -> tuple[int | None, ...]:
    """The shape of the one tensor that a layer was called on.

    Raises:
        ShapeError: a list of tensors, or a tensor of fewer than `minimum` dimensions.
    """
    if not isinstance(shape, tuple) or any(isinstance(each, (tuple, list, dict)) for each in shape):
        many = (
            f"a {type(shape).__name__} of {len(shape)} tensors" if hasattr(shape, "__len__") else repr(shape)
        )
        fix = (
            "Concatenate() joins tensors, and a layer may be called on each"
            if hasattr(shape, "__len__")
            else ""
        )
        raise ShapeError(
            explain(f"{type(layer).__name__} {layer.name!r}", got=many, expected="one tensor", fix=fix)
        )
    if len(shape) < minimum:
        raise layer.wrong(
            shape,
            f"at least {minimum} dimensions {order}",
            fix=f"give Input {minimum - 1} or more, or add one with Reshape",
        )
    return shape


def known(layer: Layer, shape: tuple[int | None, ...], axis: int, what: str) -> int:
    """The size of one dimension, which a layer needs to make its weights.

    Raises:
        ShapeError: it is unknown.
    """
    size = shape[axis]
    if size is None:
        raise layer.wrong(
            shape,
            f"a known number of {what}",
            why=f"weights are made for it, and dimension {axis % len(shape)} is None",
            fix="give Input that dimension",
        )
    return int(size)


def same_width(layer: Layer, shape: tuple[int | None, ...], axis: int, built: int | None, what: str) -> None:
    """Refuse a shared layer's second input where it has another number of features than the first.

    Raises:
        ShapeError: naming both numbers.
    """
    size = known(layer, shape, axis, what)
    if built is not None and size != built:
        first_last = len(shape) > 2 and shape[1 if axis != 1 else -1] == built
        order = "first" if axis != 1 else "last"
        hint = f"data_format='channels_{order}', for the dimension of {built} looks like the channels"
        raise layer.wrong(
            shape,
            f"{built} {what}",
            why=f"the layer is built for {built} {what}, and this input has {size}",
            fix=hint if first_last else f"make a second layer, or project the input to {built} {what}",
        )


def floating(layer: Layer, dtype: torch.dtype) -> torch.dtype:
    """The dtype of a weighted sum of an input of `dtype`.

    Raises:
        DTypeError: integers or bools, which no weight can be multiplied with.
    """
    if dtype.is_floating_point and layer.dtype in (None, dtype):
        return dtype
    wanted = "a floating dtype" if layer.dtype is None else f"{layer.dtype}, as its weights are"
    name = str(layer.dtype or torch.float32).removeprefix("torch.")
    raise DTypeError(
        explain(
            f"{type(layer).__name__} {layer.name!r}",
            got=str(dtype),
            expected=wanted,
            fix=f"x.to(torch.{name}), or Input(dtype='{name}')",
        )
    )


def keeps_shape(activation: Any) -> bool:
    """Whether the result of an activation has the shape and dtype of its argument for certain."""
    ours = getattr(activation, "__module__", None) == activations.__name__
    return ours and activation is not activations.glu


def same_total(length: Any, window: int, stride: int) -> Any:
    """How much padding="same" adds to a length in all: so much that ceil(length / stride) windows fit."""
    return max(((length + stride - 1) // stride - 1) * stride + window - length, 0)


def windows(length: int, window: int, stride: int, padding: str) -> int:
    """How many windows fit on a length: at least one where the length is unknown or in a probe."""
    if padding == "valid":
        return (length - window) // stride + 1
    return (length + stride - 1) // stride


class Spatial(Layer):
    """A layer over space: (batch, *space, channels), or channels before space.

    The mathematics runs on a view with the channels first, which is what PyTorch's kernels are written
    for. With channels_last that view has the strides of `torch.channels_last`, so nothing is copied.
    """

    rank: ClassVar[int]
    data_format: str

    def set_data_format(self, data_format: Any) -> None:
        """Keep the order of dimensions, and the permutations to channels first and back."""
        modes = ("channels_last", "channels_first")
        chosen = image_data_format() if data_format is None else data_format
        self.data_format = choice(type(self).__name__, "data_format", chosen, modes)
        last = self.data_format == "channels_last"
        space = tuple(range(1, self.rank + 1))
        self._inward = (0, self.rank + 1, *space) if last else None
        self._outward = (0, *(each + 1 for each in space), 1) if last else None
        self._space = space if last else tuple(each + 1 for each in space)
        self._channels = self.rank + 1 if last else 1

    def in_space(
        self, shape: Sequence[int], lengths: Sequence[int], channels: int | None = None
    ) -> tuple[int, ...]:
        """The shape with other lengths, and other channels where they are given."""
        channels = shape[self._channels] if channels is None else channels
        if self.data_format == "channels_last":
            return (shape[0], *lengths, channels)
        return (shape[0], channels, *lengths)

    def lengths(self, shape: Sequence[Any]) -> list[Any]:
        """The dimensions of space of a shape."""
        return [shape[axis] for axis in self._space]

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        space = ", ".join(_SPACE[self.rank])
        last = self.data_format == "channels_last"
        order = f"(batch, {space}, channels)" if last else f"(batch, channels, {space})"
        if len(shape) != self.rank + 2:
            raise self.wrong(
                shape, f"{self.rank + 2} dimensions {order}", fix=self._fix_for_rank(shape, last)
            )

    def _fix_for_rank(self, shape: tuple[int | None, ...], last: bool) -> str:
        names = [each[0] for each in _SPACE[self.rank]]
        target = ", ".join([*names, "c"] if last else ["c", *names])
        if len(shape) == self.rank + 1:
            return f"Input(({target})), which leaves the batch out, or Reshape(({target}))"
        if len(shape) > self.rank + 2 and len(shape) <= 5:
            other = type(self).__name__.replace(f"{self.rank}D", f"{len(shape) - 2}D")
            return f"{other}, or Reshape(({target}))"
        return f"Reshape(({target}))"

    def check_windows(self, shape: tuple[int | None, ...], sizes: Sequence[int], what: str) -> None:
        """Refuse an image that is smaller than the window that slides over it.

        Raises:
            ShapeError: with the way out, `padding="same"`.
        """
        lengths = self.lengths(shape)
        for name, length, size in zip(_SPACE[self.rank], lengths, sizes, strict=True):
            if length is not None and length < size:
                swapped = (
                    f"; or is it data_format={self._other_format()!r}?" if self._looks_swapped(shape) else ""
                )
                raise self.wrong(
                    shape,
                    f"a {name} of at least {size}",
                    why=f"the {what} is larger than the input, whose {name} is {length}",
                    fix=f"padding='same', or a smaller {what.split()[0]}{swapped}",
                )

    def _other_format(self) -> str:
        return "channels_first" if self.data_format == "channels_last" else "channels_last"

    def _looks_swapped(self, shape: tuple[int | None, ...]) -> bool:
        """Whether the dimension on the other side looks like the colours of an image."""
        other = 1 if self.data_format == "channels_last" else -1
        return shape[other] in (1, 3, 4) and shape[self._channels] not in (1, 3, 4)
