"""Layers that move values about: Reshape, Flatten, Permute, cropping, padding, upsampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.arguments import choice, count, counts, image_data_format, one_shape
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.windows import Spatial


@registry.layers.register()
class Flatten(Layer):
    """All dimensions but the batch as one. Shapes: (batch, ...) to (batch, features).

    Args:
        data_format: with "channels_first", (batch, channels, *space) is flattened in the order that
            (batch, *space, channels) has, so that a Dense behind it fits both; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Flatten()(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 48])
    """

    def __init__(self, data_format: str | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        chosen = image_data_format() if data_format is None else data_format
        self.data_format = choice("Flatten", "data_format", chosen, ("channels_last", "channels_first"))
        self._channels_first = self.data_format == "channels_first"

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0], math.prod(shape[1:])

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.ndim == 1:
            return inputs.unsqueeze(1)
        return (inputs.movedim(1, -1) if self._channels_first else inputs).flatten(1)


@registry.layers.register()
class Reshape(Layer):
    """Another shape for each sample. Shapes: (batch, ...) to (batch, *target_shape).

    Args:
        target_shape: the shape of one sample, without the batch; one -1 stands for what is left.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a target_shape that is none.

    Example:
        >>> layers.Reshape((4, -1))(torch.ones(2, 12)).shape
        torch.Size([2, 4, 3])
    """

    def __init__(self, target_shape: Sequence[int], **common: Unpack[Common]) -> None:
        super().__init__(**common)
        given = [target_shape] if isinstance(target_shape, int) else target_shape
        whole = [
            each for each in given if isinstance(each, int) and not isinstance(each, bool) and each >= -1
        ]
        if len(whole) != len(given) or whole.count(-1) > 1:
            raise GraphError(
                explain(
                    "Reshape",
                    got=f"target_shape={target_shape!r}",
                    expected="integers of 0 or more, and at most one -1",
                )
            )
        self.target_shape = tuple(whole)
        self._unknown = -1 in self.target_shape

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        if None in shape[1:]:
            return
        size = math.prod(each or 0 for each in shape[1:])
        wanted = math.prod(each for each in self.target_shape if each != -1)
        if size != wanted and not (self._unknown and wanted and size % wanted == 0):
            hint = "-1 may stand for one dimension, which is then worked out"
            raise self.wrong(
                shape,
                f"samples of {wanted} values" + (" or a multiple of it" if self._unknown else ""),
                why=f"the target_shape {self.target_shape} cannot be made from the {size} values of a sample",
                fix=f"a target_shape of {size} values" + ("" if self._unknown else f"; {hint}"),
            )

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        wanted = math.prod(each for each in self.target_shape if each != -1)
        rest = math.prod(shape[1:]) // wanted if wanted else 0
        return (shape[0], *(rest if each == -1 else each for each in self.target_shape))

    def forward(self, inputs: Tensor) -> Tensor:
        if self._unknown:  # an empty batch leaves -1 open where all dimensions are reshaped at once
            reshaped: Tensor = inputs.flatten(1).unflatten(1, self.target_shape)  # type: ignore[no-untyped-call]
            return reshaped
        return inputs.reshape(inputs.shape[0], *self.target_shape)


@registry.layers.register()
class Permute(Layer):
    """The dimensions of a sample in another order, counted from 1: (2, 1) swaps the first two.

    Args:
        dims: for each dimension of the output, which one of the input it is.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: dims that are not the numbers from 1 on in some order.

    Example:
        >>> layers.Permute((2, 1))(torch.ones(2, 4, 3)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, dims: Sequence[int], **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise GraphError(
                explain(
                    "Permute",
                    got=f"dims={shorten(dims)}",
                    expected=f"the numbers 1 to {len(self.dims)} in some order",
                    why="0, the batch, stays",
                )
            )
        self._order = (0, *self.dims)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        if len(shape) != len(self._order):
            raise self.wrong(shape, f"{len(self._order)} dimensions, for dims={self.dims}")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape[each] for each in self._order)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.permute(self._order)


@registry.layers.register()
class RepeatVector(Layer):
    """The input n times. Shapes: (batch, features) to (batch, n, features).

    Args:
        n: how many times.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.RepeatVector(3)([[1.0, 2.0]])
        tensor([[[1., 2.],
                 [1., 2.],
                 [1., 2.]]])
    """

    def __init__(self, n: int, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.n = count("RepeatVector", "n", n)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        if len(shape) != 2:
            raise self.wrong(shape, "2 dimensions (batch, features)", fix="Flatten() before it")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0], self.n, shape[1]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).repeat(1, self.n, 1)


def _sides(owner: str, name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dimension: from one number for all, one for each, or pairs."""
    if isinstance(value, int) or (rank == 1 and not isinstance(value[0], (list, tuple))):
        one = counts(owner, name, value, 1 if isinstance(value, int) else 2, minimum=0)
        return ((one[0], one[-1]),) * rank
    if not isinstance(value, (list, tuple)) or len(value) != rank:
        raise GraphError(
            explain(
                owner, got=f"{name}={shorten(value)}", expected=f"an integer, {rank} of them, or {rank} pairs"
            )
        )
    pairs = [counts(owner, name, each, 2, minimum=0) for each in value]
    return tuple((before, after) for before, after in pairs)


class _Cropping(Spatial):
    """What cutting from the sides of `rank` dimensions of space has in common."""

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.cropping = _sides(type(self).__name__, "cropping", cropping, self.rank)
        self.set_data_format(data_format)
        cuts = [slice(before, -after if after else None) for before, after in self.cropping]
        front = (slice(None),) * self._space[0]
        self._slices = (*front, *cuts)

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        for length, sides in zip(self.lengths(shapes[0]), self.cropping, strict=True):
            if length is not None and length <= sum(sides):
                raise self.wrong(
                    shapes[0],
                    f"more than {sum(sides)} along each cropped dimension",
                    why=f"a cropping of {self.cropping} leaves nothing",
                )

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.in_space(
            shape, [n - sum(sides) for n, sides in zip(self.lengths(shape), self.cropping, strict=True)]
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[self._slices]

    def native_form(self, into: Any, inputs: Any) -> Any:
        front = (slice(None),) * 2
        return self._natively(into, inputs, lambda x: x[(*front, *self._slices[self._space[0] :])])


class _ZeroPadding(Spatial):
    """What adding zeros at the sides of `rank` dimensions of space has in common."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.padding = _sides(type(self).__name__, "padding", padding, self.rank)
        self.set_data_format(data_format)
        flat = [each for sides in reversed(self.padding) for each in sides]
        self._written = [0, 0, *flat] if self.data_format == "channels_last" else flat

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.in_space(
            shape, [n + sum(sides) for n, sides in zip(self.lengths(shape), self.padding, strict=True)]
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return F.pad(inputs, self._written)

    def native_form(self, into: Any, inputs: Any) -> Any:
        return self._natively(into, inputs, lambda x: F.pad(x, self._written[-2 * self.rank :]))


class _UpSampling(Spatial):
    """What repeating each value along `rank` dimensions of space has in common."""

    def __init__(
        self, size: int | Sequence[int] = 2, data_format: str | None = None, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.size = counts(type(self).__name__, "size", size, self.rank)
        self.set_data_format(data_format)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.in_space(
            shape, [n * times for n, times in zip(self.lengths(shape), self.size, strict=True)]
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return self._repeated(inputs)

    def native_form(self, into: Any, inputs: Any) -> Any:
        if not inputs.dtype.is_floating_point:
            return into.recorded(self, inputs)
        mode = getattr(self, "interpolation", "nearest")
        size = tuple(map(float, self.size))
        options = {} if mode == "nearest" else {"align_corners": False}
        return self._natively(into, inputs, into.module(self, nn.Upsample, None, size, mode, **options))

    def _repeated(self, inputs: Tensor) -> Tensor:
        """Each value repeated along space, in the user's order of dimensions.

        One dimension after the other, for the gradient: to sum over several at once takes up to 15 times as long.
        """
        for axis, times in zip(reversed(self._space), reversed(self.size), strict=True):
            if times > 1:
                shape = inputs.shape
                wider = (*shape[: axis + 1], times, *shape[axis + 1 :])
                longer = (*shape[:axis], shape[axis] * times, *shape[axis + 1 :])
                inputs = inputs.unsqueeze(axis + 1).expand(wider).reshape(longer)
        return inputs


@registry.layers.register()
class Cropping1D(_Cropping):
    """Cuts from both ends of the steps. Shapes: (batch, steps, channels) to (batch, fewer steps, channels).

    Args:
        cropping: how many: one number for both ends, or a pair (before, after).
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Cropping1D((1, 2))(torch.arange(6.0).reshape(1, 6, 1)).flatten()
        tensor([1., 2., 3.])
    """

    rank = 1

    def __init__(self, cropping: int | Sequence[int] = 1, **common: Unpack[Common]) -> None:
        super().__init__(cropping, "channels_last", **common)


@registry.layers.register()
class Cropping2D(_Cropping):
    """Cuts from the sides of images. Shapes: (batch, height, width, channels) to the same with shorter lengths.

    Args:
        cropping: how much: one number for all sides, one for each dimension, or a pair (before, after) for each.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Cropping2D(((0, 1), (2, 0)))(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 3, 2, 3])
    """

    rank = 2

    def __init__(self, cropping: Any = 0, data_format: str | None = None, **common: Unpack[Common]) -> None:
        super().__init__(cropping, data_format, **common)


@registry.layers.register()
class Cropping3D(_Cropping):
    """Cuts from the sides of volumes. Shapes: (batch, depth, height, width, channels) to the same with shorter lengths.

    Args:
        cropping: how much: one number for all sides, one for each dimension, or a pair (before, after) for each.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Cropping3D((0, 1, 1))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 4, 2, 2, 3])
    """

    rank = 3


@registry.layers.register()
class ZeroPadding1D(_ZeroPadding):
    """Adds zeros at the ends of the steps. Shapes: (batch, steps, channels) to (batch, more steps, channels).

    Args:
        padding: how many: one number for both ends, or a pair (before, after).
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ZeroPadding1D((1, 2))(torch.ones(1, 3, 1)).flatten()
        tensor([0., 1., 1., 1., 0., 0.])
    """

    rank = 1


@registry.layers.register()
class ZeroPadding2D(_ZeroPadding):
    """Adds zeros at the sides of images. Shapes: (batch, height, width, channels) to the same with greater lengths.

    Args:
        padding: how many: one number for all sides, one for each dimension, or a pair (before, after) for each.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ZeroPadding2D(((0, 1), (2, 2)))(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 5, 8, 3])
    """

    rank = 2


@registry.layers.register()
class ZeroPadding3D(_ZeroPadding):
    """Adds zeros at the sides of volumes.

    Shapes: (batch, depth, height, width, channels) to the same with greater lengths.

    Args:
        padding: how many: one number for all sides, one for each dimension, or a pair (before, after) for each.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.ZeroPadding3D((0, 1, 1))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 4, 6, 6, 3])
    """

    rank = 3


@registry.layers.register()
class UpSampling1D(_UpSampling):
    """Each step repeated. Shapes: (batch, steps, channels) to (batch, steps * size, channels).

    Args:
        size: how many times.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.UpSampling1D(2)(torch.tensor([[[1.0], [2.0]]])).flatten()
        tensor([1., 1., 2., 2.])
    """

    rank = 1

    def __init__(self, size: int = 2, **common: Unpack[Common]) -> None:
        super().__init__(size, "channels_last", **common)


@registry.layers.register()
class UpSampling2D(_UpSampling):
    """A larger image, by repetition or by interpolation between the pixels.

    Shapes: (batch, height, width, channels) to (batch, height * size, width * size, channels).

    Args:
        size: how many times along height and width, or one number for both.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        interpolation: "nearest" (repetition), "bilinear" or "bicubic".
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.UpSampling2D()(torch.tensor([[1.0, 2.0]]).reshape(1, 1, 2, 1)).squeeze()
        tensor([[1., 1., 2., 2.],
                [1., 1., 2., 2.]])
        >>> layers.UpSampling2D((1, 3), interpolation="bilinear")(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 4, 12, 3])
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(size, data_format, **common)
        known = ("nearest", "bilinear", "bicubic")
        self.interpolation = choice("UpSampling2D", "interpolation", interpolation, known)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return self._repeated(inputs)
        # whole numbers are interpolated as floats and rounded, as in Keras
        x = self._as_floats(inputs)
        x = x if self._inward is None else x.permute(self._inward)
        size = [n * times for n, times in zip(x.shape[2:], self.size, strict=True)]
        outputs = F.interpolate(x, size, mode=self.interpolation, align_corners=False)
        outputs = outputs if inputs.is_floating_point() else _whole(outputs, inputs.dtype)
        return outputs if self._outward is None else outputs.permute(self._outward)


def _whole(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest whole numbers; those of a byte stay in its range, and a bool is whether it is not zero."""
    if dtype is torch.bool:
        return x.to(dtype)
    return (x.clamp(0, 255) if dtype is torch.uint8 else x).round().to(dtype)


@registry.layers.register()
class UpSampling3D(_UpSampling):
    """A larger volume: each value is repeated.

    Shapes: (batch, depth, height, width, channels) to the same with each length times its size.

    Args:
        size: how many times along each dimension of space, or one number for all.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.UpSampling3D((1, 2, 2))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 4, 8, 8, 3])
    """

    rank = 3
