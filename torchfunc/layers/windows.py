"""Windows: layers over space, and what windows that slide over it make of a length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torchfunc.layers.arguments import choice, image_data_format, one_shape
from torchfunc.layers.layer import Layer

_SPACE = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


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
    _inward: tuple[int, ...] | None
    _outward: tuple[int, ...] | None
    _space: tuple[int, ...]
    _channels: int

    def set_data_format(self, data_format: Any) -> None:
        """Keep the order of dimensions, and the permutations to channels first and back."""
        modes = ("channels_last", "channels_first")
        chosen = image_data_format() if data_format is None else data_format
        last = choice(type(self).__name__, "data_format", chosen, modes) == "channels_last"
        space = tuple(range(1, self.rank + 1))
        self._set_plainly(
            data_format=chosen,
            _inward=(0, self.rank + 1, *space) if last else None,
            _outward=(0, *(each + 1 for each in space), 1) if last else None,
            _space=space if last else tuple(each + 1 for each in space),
            _channels=self.rank + 1 if last else 1,
        )

    def _natively(self, into: Any, inputs: Any, call: Callable[[Any], Any]) -> Any:
        """What `call` makes of the input with its channels first, in the user's order again."""
        if self._inward is None or self._outward is None:
            return call(inputs)
        return into.permuted(call(into.permuted(inputs, self._inward)), self._outward)

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
