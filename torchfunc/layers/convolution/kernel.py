"""What all convolutions share: where the kernel goes, and what is done to what it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import activations
from torchfunc.layers.arguments import choice, counts, keeps_shape, same_width
from torchfunc.layers.weights import under_keras_name
from torchfunc.layers.windows import Spatial, same_total, windows

Sizes = int | Sequence[int]

_linear = activations.linear
_in_place = activations.in_place


class Convolution(Spatial):
    """A kernel that slides over space, and the activation of what it makes."""

    supports_masking: bool = False
    activates_output: ClassVar[bool] = True
    _autocast = False
    _integers = "refused"
    kernel: ClassVar[Any] = under_keras_name("weight")
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    filters: int
    padding: str
    _windows: tuple[int, ...]
    # what of the padding the kernel cannot add, and what it can; None for the latter where the input decides
    _sides: list[int] | None
    _amounts: tuple[int, ...] | None

    def place_kernel(
        self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any
    ) -> None:
        """Keep the geometry, and work out what of the padding does not depend on the input."""
        owner = type(self).__name__
        self.set_data_format(data_format)
        sizes = counts(owner, "kernel_size", kernel_size, self.rank)
        steps = counts(owner, "strides", strides, self.rank)
        rates = counts(owner, "dilation_rate", dilation_rate, self.rank)
        chosen = choice(owner, "padding", padding, self.paddings)
        spans = tuple((size - 1) * rate + 1 for size, rate in zip(sizes, rates, strict=True))
        sides: list[int] | None = None
        amounts: tuple[int, ...] | None = (0,) * self.rank
        if chosen == "causal":
            sides = self._written_sides([(spans[0] - 1, 0)])
        elif chosen == "same":
            sides, amounts = self._split([span - 1 for span in spans]) if max(steps) == 1 else (None, None)
        self._set_plainly(kernel_size=sizes, strides=steps, dilation_rate=rates, padding=chosen)
        self._set_plainly(_windows=spans, _sides=sides, _amounts=amounts)

    def _split(self, totals: Sequence[Any]) -> tuple[list[int] | None, tuple[int, ...]]:
        """Padding by its totals: what the kernel cannot add because the sides differ, and what it can."""
        if all(total % 2 == 0 for total in totals):
            return None, tuple(total // 2 for total in totals)
        return self._written_sides([(total // 2, total - total // 2) for total in totals]), (0,) * self.rank

    def _written_sides(self, sides: Sequence[tuple[int, int]]) -> list[int]:
        """(before, after) of each dimension of space as `F.pad` takes them: the last dimension first."""
        flat = [each for pair in reversed(sides) for each in pair]
        return [0, 0, *flat] if self.data_format == "channels_last" else flat

    def padded(self, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The input with the padding that the kernel cannot add itself, and what the kernel has to add."""
        sides, amounts = self._sides, self._amounts
        if amounts is None:
            lengths = self.lengths(inputs.shape)
            totals = [same_total(*each) for each in zip(lengths, self._windows, self.strides, strict=True)]
            sides, amounts = self._split(totals)
        if sides is not None:
            inputs = F.pad(inputs, sides)
        return (inputs if self._inward is None else inputs.permute(self._inward)), amounts

    def _padded_natively(self, x: Any) -> tuple[Any, Any]:
        """As `padded`, for channels that come first: the input, and what a module of torch.nn adds itself."""
        if self.padding == "causal":
            return F.pad(x, [self._windows[0] - 1, 0]), 0
        if self.padding == "valid":
            return x, 0
        totals = [window - 1 for window in self._windows]
        if max(self.strides) > 1:
            totals = [_total(*each) for each in zip(x.shape[2:], self._windows, self.strides, strict=True)]
        if all(isinstance(total, int) and total % 2 == 0 for total in totals):
            return x, tuple(total // 2 for total in totals)
        return F.pad(x, [each for total in reversed(totals) for each in (total // 2, total - total // 2)]), 0

    def _convolved_natively(
        self, into: Any, inputs: Any, kind: Any, *sizes: Any, groups: int, state: Any
    ) -> Any:
        """The convolution as a module of torch.nn, which takes the channels first, and the activation after it."""

        def convolved(x: Any) -> Any:
            x, padding = self._padded_natively(x)
            options = {
                "stride": self.strides, "padding": padding, "dilation": self.dilation_rate, "groups": groups,
                "bias": state["bias"] is not None,
            }  # fmt: skip
            return into.module(self, kind, *sizes, self.kernel_size, state=state, **options)(x)

        return into.activated(self.activation, self._natively(into, inputs, convolved))

    # the 1-dimensional kernels and a slice return a view, on which in-place work costs more than it saves
    _fresh: bool = True

    def finished(self, outputs: Tensor) -> Tensor:
        """The activation, and the dimensions in the user's order.

        An activation that works in place looks at single numbers, so it may come before the dimensions
        are put back; one that does not (a softmax) wants them in order.
        """
        activation = self.activation
        twin = _in_place(activation) if self._fresh and self.before_activation is None else activation
        if twin is not activation:
            outputs = twin(outputs)
        if self._outward is not None:
            outputs = outputs.permute(self._outward)
        return outputs if activation is _linear or twin is not activation else self.activated(outputs)

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        shape = shapes[0]
        if self.padding == "valid":
            self.check_windows(
                shape, self._windows, "kernel" + (f" {self.kernel_size}" if self.rank > 1 else "")
            )
        same_width(self, shape, self._channels, self.built_channels() if self.built else None, "channels")

    def built_channels(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must say how many channels it was built for.")

    @property
    def output_shape_for(self) -> Any:
        return self.stated_shape if keeps_shape(self.activation) else None

    def stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        places = zip(self.lengths(shape), self._windows, self.strides, strict=True)
        return self.in_space(shape, [windows(*each, self.padding) for each in places], self.output_channels())

    def output_channels(self) -> int:
        return self.filters


def _total(length: Any, window: int, stride: int) -> Any:
    """As `same_total`, of a length that may be unknown until the model runs."""
    if isinstance(length, int):
        return same_total(length, window, stride)
    return torch.sym_max(  # type: ignore[no-untyped-call]
        ((length + stride - 1) // stride - 1) * stride + window - length, 0
    )


def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    """`F.conv1d` as a flat `F.conv2d`, which takes channels-last strides without copying."""
    sizes = (1, *stride), (0, *padding), (1, *dilation)
    return F.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias, *sizes, groups).squeeze(2)
