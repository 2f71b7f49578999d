"""Pooling: the largest value or the mean under a window that slides over space, or over all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.layers.arguments import choice, counts
from torchfunc.layers.layer import Common
from torchfunc.layers.windows import Spatial, same_total, windows

Sizes = int | Sequence[int]


class _Pooling(Spatial):
    """What pooling has in common, over `rank` dimensions of space."""

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        owner = type(self).__name__
        self.pool_size = counts(owner, "pool_size", pool_size, self.rank)
        self.strides = counts(owner, "strides", self.pool_size if strides is None else strides, self.rank)
        self.padding = choice(owner, "padding", padding, ("valid", "same"))
        self.set_data_format(data_format)
        even = [
            stride == 1 and size % 2 == 0 for size, stride in zip(self.pool_size, self.strides, strict=True)
        ]
        self._slices = (
            (slice(None), slice(None), *(slice(int(each), None) for each in even)) if any(even) else None
        )

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        if self.padding == "valid":
            self.check_windows(shapes[0], self.pool_size, "window (pool_size)")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        places = zip(self.lengths(shape), self.pool_size, self.strides, strict=True)
        return self.in_space(shape, [windows(*each, self.padding) for each in places])

    def pool(self, x: Tensor, padding: Any, ceil_mode: bool) -> Tensor:
        """Pool a tensor whose channels come first."""
        raise NotImplementedError(f"{type(self).__name__} must say how it pools.")

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs if self._inward is None else inputs.permute(self._inward)
        outputs = self.pool(x, 0, False) if self.padding == "valid" else self._pooled_same(x)
        return outputs if self._outward is None else outputs.permute(self._outward)

    def _pooled_same(self, x: Tensor) -> Tensor:
        """Pooling with padding that may be larger at the end, without a padded copy.

        PyTorch pads both sides alike. Where windows move by more than one step, `ceil_mode` lets the last
        one stand out at the end, which is the larger side. Where they move by one step, the padding of
        the larger side is taken for both, and the one result too many at the start is cut off.
        """
        padding = [
            size // 2 if stride == 1 else same_total(length, size, stride) // 2
            for length, size, stride in zip(x.shape[2:], self.pool_size, self.strides, strict=True)
        ]
        outputs = self.pool(x, padding, True)
        return outputs if self._slices is None else outputs[self._slices]

    _native_kinds: ClassVar[tuple[Any, ...]]
    _native_options: ClassVar[dict[str, Any]] = {}

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind = self._native_kinds[self.rank - 1]

        def pooled(x: Any) -> Any:
            options: dict[str, Any] = {"padding": 0}
            if self.padding == "same":
                options = {"padding": self._native_padding(into, x.shape[2:]), "ceil_mode": True}
            pool = into.module(self, kind, self.pool_size, self.strides, **options, **self._native_options)
            return pool(x) if self.padding == "valid" or self._slices is None else pool(x)[self._slices]

        return self._natively(into, inputs, pooled)

    def _native_padding(self, into: Any, lengths: Any) -> tuple[int, ...]:
        sizes = zip(lengths, self.pool_size, self.strides, strict=True)
        unknown = any(not isinstance(n, int) and stride > 1 for n, _, stride in sizes)
        if unknown:
            raise into.refusal(self, 'padding="same" and strides on an unknown length', 'padding="valid"')
        sizes = zip(lengths, self.pool_size, self.strides, strict=True)
        return tuple(s // 2 if stride == 1 else same_total(n, s, stride) // 2 for n, s, stride in sizes)


class _Max(_Pooling):
    kernel: ClassVar[Callable[..., Tensor]]
    _native_kinds = nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d

    def pool(self, x: Tensor, padding: Any, ceil_mode: bool) -> Tensor:
        return self.kernel(x, self.pool_size, self.strides, padding, ceil_mode=ceil_mode)


class _Average(_Pooling):
    kernel: ClassVar[Callable[..., Tensor]]
    _native_kinds = nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d
    _native_options: ClassVar[dict[str, Any]] = {"count_include_pad": False}

    def pool(self, x: Tensor, padding: Any, ceil_mode: bool) -> Tensor:
        return self.kernel(x, self.pool_size, self.strides, padding, ceil_mode, count_include_pad=False)


def _flat(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Pooling over one dimension by a kernel over two, which takes channels-last strides as they are."""

    def pool(x: Tensor, size: Any, strides: Any, padding: Any, ceil_mode: bool, **options: Any) -> Tensor:
        sizes = (1, *size), (1, *strides), (0, *padding) if padding else 0
        return kernel(x.unsqueeze(2), *sizes, ceil_mode=ceil_mode, **options).squeeze(2)

    return pool


@registry.layers.register("MaxPooling1D", "MaxPool1D")
class MaxPooling1D(_Max):
    """The largest value in each window of the steps.

    Shapes: (batch, steps, channels) to (batch, new steps, channels). With padding="same" a length n becomes
    ceil(n / stride), and what is added at the ends is never the largest.

    Args:
        pool_size: how many steps a window has.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.MaxPool1D(2)(torch.arange(6.0).reshape(1, 6, 1)).flatten()
        tensor([1., 3., 5.])
    """

    rank = 1
    kernel = staticmethod(_flat(F.max_pool2d))


@registry.layers.register("AveragePooling1D", "AvgPool1D")
class AveragePooling1D(_Average):
    """The mean of each window of the steps.

    Shapes: (batch, steps, channels) to (batch, new steps, channels). With padding="same" a length n becomes
    ceil(n / stride), and what is added at the ends is not counted.

    Args:
        pool_size: how many steps a window has.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.AveragePooling1D(2)(torch.arange(6.0).reshape(1, 6, 1)).flatten()
        tensor([0.5000, 2.5000, 4.5000])
    """

    rank = 1
    kernel = staticmethod(_flat(F.avg_pool2d))


@registry.layers.register("MaxPooling2D", "MaxPool2D")
class MaxPooling2D(_Max):
    """The largest value in each window of an image.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, channels). With padding="same" a length
    n becomes ceil(n / stride), and what is added at the sides is never the largest.

    Args:
        pool_size: the height and width of a window, or one number for both.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.MaxPool2D()(torch.arange(16.0).reshape(1, 4, 4, 1)).flatten()
        tensor([ 5.,  7., 13., 15.])
        >>> layers.MaxPool2D(3, strides=2, padding="same")(torch.ones(1, 7, 7, 3)).shape
        torch.Size([1, 4, 4, 3])
    """

    rank = 2
    kernel = staticmethod(F.max_pool2d)


@registry.layers.register("AveragePooling2D", "AvgPool2D")
class AveragePooling2D(_Average):
    """The mean of each window of an image.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, channels). With padding="same" a length
    n becomes ceil(n / stride), and what is added at the sides is not counted.

    Args:
        pool_size: the height and width of a window, or one number for both.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.AveragePooling2D()(torch.arange(16.0).reshape(1, 4, 4, 1)).flatten()
        tensor([ 2.5000,  4.5000, 10.5000, 12.5000])
    """

    rank = 2
    kernel = staticmethod(F.avg_pool2d)


@registry.layers.register("MaxPooling3D", "MaxPool3D")
class MaxPooling3D(_Max):
    """The largest value in each window of a volume.

    Shapes: (batch, depth, height, width, channels) to the same with shorter lengths. With padding="same" a length n
    becomes ceil(n / stride), and what is added at the sides is never the largest.

    Args:
        pool_size: the depth, height and width of a window, or one number for all.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.MaxPool3D((1, 2, 2))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 4, 2, 2, 3])
    """

    rank = 3
    kernel = staticmethod(F.max_pool3d)


def _averaged_3d(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The mean over three dimensions; PyTorch has no kernel for halves on CPU, so that they are taken as floats."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) and x.device.type == "cpu" else x
    return F.avg_pool3d(wide, *args, **kwargs).to(x.dtype)


@registry.layers.register("AveragePooling3D", "AvgPool3D")
class AveragePooling3D(_Average):
    """The mean of each window of a volume.

    Shapes: (batch, depth, height, width, channels) to the same with shorter lengths. With padding="same" a length n
    becomes ceil(n / stride), and what is added at the sides is not counted.

    Args:
        pool_size: the depth, height and width of a window, or one number for all.
        strides: how far it moves at a time; its size if None.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding.

    Example:
        >>> layers.AveragePooling3D((1, 2, 2))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 4, 2, 2, 3])
    """

    rank = 3
    kernel = staticmethod(_averaged_3d)

    def _pooled_same(self, x: Tensor) -> Tensor:
        """Sums over counts where a volume is smaller than the window, which PyTorch's kernel refuses."""
        if not self._is_smaller_than_its_window(x.shape[2:]):
            return super()._pooled_same(x)
        places = zip(x.shape[:1:-1], self.pool_size[::-1], self.strides[::-1], strict=True)
        totals = [same_total(*each) for each in places]
        sides = [side for total in totals for side in (total // 2, total - total // 2)]
        sums, counts = (
            _averaged_3d(F.pad(each, sides), self.pool_size, self.strides, divisor_override=1)
            for each in (x, torch.ones_like(x[:1, :1]))
        )
        return sums / counts

    def _native_padding(self, into: Any, lengths: Any) -> tuple[int, ...]:
        if self._is_smaller_than_its_window(lengths):
            raise into.refusal(self, 'padding="same" on a volume smaller than the window', "a smaller window")
        return super()._native_padding(into, lengths)

    def _is_smaller_than_its_window(self, lengths: Any) -> bool:
        sizes = zip(lengths, self.pool_size, strict=True)
        return any(isinstance(length, int) and length < size for length, size in sizes)


class _GlobalPooling(Spatial):
    """What pooling over all of space has in common, with `rank` dimensions of it."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.set_data_format(data_format)
        self.keepdims = keepdims

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.keepdims:
            return self.in_space(shape, (1,) * self.rank)
        return shape[0], shape[self._channels]

    def native_form(self, into: Any, inputs: Any, mask: Any = None) -> Any:
        if mask is not None or self._inward is None or not into.is_permuted(inputs):
            return into.recorded(self, inputs, **({} if mask is None else {"mask": mask}))
        x = into.permuted(inputs, self._inward)
        axes = tuple(range(2, self.rank + 2))
        if not self.keepdims:
            return self._over(x, axes)
        outputs = self._over(x, axes, keepdim=True)
        return outputs if self._outward is None else into.permuted(outputs, self._outward)

    _over: ClassVar[Callable[..., Any]] = staticmethod(torch.mean)


class _GlobalMax(_GlobalPooling):
    _over = staticmethod(torch.amax)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.amax(inputs, self._space, self.keepdims)


class _GlobalAverage(_GlobalPooling):
    _integers = "cast"

    def forward(self, inputs: Tensor) -> Tensor:
        return self._as_floats(inputs).mean(self._space, self.keepdims)


@registry.layers.register("GlobalMaxPooling1D", "GlobalMaxPool1D")
class GlobalMaxPooling1D(_GlobalMax):
    """The largest value of each channel over all steps.

    Shapes: (batch, steps, channels) to (batch, channels), or to (batch, 1, channels) with `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimension of the steps stays, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalMaxPool1D()(torch.arange(6.0).reshape(1, 3, 2))
        tensor([[4., 5.]])
    """

    rank = 1


@registry.layers.register("GlobalMaxPooling2D", "GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMax):
    """The largest value of each channel over the whole image.

    Shapes: (batch, height, width, channels) to (batch, channels), or to (batch, 1, 1, channels) with `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimensions of space stay, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalMaxPool2D()(torch.arange(8.0).reshape(1, 2, 2, 2))
        tensor([[6., 7.]])
    """

    rank = 2


@registry.layers.register("GlobalMaxPooling3D", "GlobalMaxPool3D")
class GlobalMaxPooling3D(_GlobalMax):
    """The largest value of each channel over the whole volume.

    Shapes: (batch, depth, height, width, channels) to (batch, channels), or to (batch, 1, 1, 1, channels) with
    `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimensions of space stay, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalMaxPool3D(keepdims=True)(torch.ones(2, 4, 4, 4, 3)).shape
        torch.Size([2, 1, 1, 1, 3])
    """

    rank = 3


@registry.layers.register("GlobalAveragePooling1D", "GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over the steps for each channel; with a mask, over the steps that are not masked.

    Shapes: (batch, steps, channels) to (batch, channels), or to (batch, 1, channels) with `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimension of the steps stays, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalAveragePooling1D()(torch.arange(6.0).reshape(1, 3, 2))
        tensor([[2., 3.]])
    """

    rank: ClassVar[int] = 1
    _integers = "cast"
    _makes_mask = False

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: the steps are gone."""

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        inputs = self._as_floats(inputs)
        if mask is None:
            return inputs.mean(self._space, self.keepdims)
        kept = mask.bool().unsqueeze(self._channels)
        total = inputs.masked_fill(~kept, 0).sum(self._space, self.keepdims)
        return total / kept.sum(self._space, self.keepdims)


@registry.layers.register("GlobalAveragePooling2D", "GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel over the whole image.

    Shapes: (batch, height, width, channels) to (batch, channels), or to (batch, 1, 1, channels) with `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimensions of space stay, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalAveragePooling2D()(torch.arange(8.0).reshape(1, 2, 2, 2))
        tensor([[3., 4.]])
    """

    rank = 2


@registry.layers.register("GlobalAveragePooling3D", "GlobalAvgPool3D")
class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel over the whole volume.

    Shapes: (batch, depth, height, width, channels) to (batch, channels), or to (batch, 1, 1, 1, channels) with
    `keepdims`.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        keepdims: whether the dimensions of space stay, with length 1.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.GlobalAveragePooling3D(keepdims=True)(torch.ones(2, 4, 4, 4, 3)).shape
        torch.Size([2, 1, 1, 1, 3])
    """

    rank = 3


class _AdaptivePooling(Spatial):
    """What pooling to a given length has in common, over `rank` dimensions of space."""

    _integers = "cast"
    kernel: ClassVar[Callable[..., Tensor]]

    def __init__(self, output_size: Sizes, data_format: str | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.output_size = counts(type(self).__name__, "output_size", output_size, self.rank)
        self.set_data_format(data_format)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.in_space(shape, self.output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self._as_floats(inputs)
        x = x if self._inward is None else x.permute(self._inward)
        outputs = self.kernel(x, self.output_size)
        return outputs if self._outward is None else outputs.permute(self._outward)

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind = getattr(
            nn, type(self).__name__.replace("AveragePooling", "AvgPool").replace("Pooling", "Pool")[:-1] + "d"
        )
        size = self.output_size[0] if self.rank == 1 else self.output_size
        return self._natively(into, inputs, into.module(self, kind, size))


@registry.layers.register()
class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The means of `output_size` windows of the steps, however many steps there are.

    Shapes: (batch, steps, channels) to (batch, output_size, channels). Window i of n over a length begins at
    floor(i * length / n) and ends before ceil((i + 1) * length / n).

    Args:
        output_size: how many windows.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveAveragePooling1D(2)(torch.arange(6.0).reshape(1, 6, 1)).flatten()
        tensor([1., 4.])
    """

    rank = 1
    kernel = staticmethod(F.adaptive_avg_pool1d)


@registry.layers.register()
class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The means of as many windows along each dimension as are asked for, however large images are.

    Shapes: (batch, height, width, channels) to (batch, *output_size, channels). Windows lie as those of
    AdaptiveAveragePooling1D.

    Args:
        output_size: how many windows along height and width, or one number for both.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveAveragePooling2D((2, 1))(torch.arange(16.0).reshape(1, 4, 4, 1)).flatten()
        tensor([ 3.5000, 11.5000])
    """

    rank = 2
    kernel = staticmethod(F.adaptive_avg_pool2d)


@registry.layers.register()
class AdaptiveAveragePooling3D(_AdaptivePooling):
    """The means of as many windows along each dimension as are asked for, however large volumes are.

    Shapes: (batch, depth, height, width, channels) to (batch, *output_size, channels). Windows lie as those of
    AdaptiveAveragePooling1D.

    Args:
        output_size: how many windows along depth, height and width, or one number for all.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveAveragePooling3D((2, 1, 1))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 2, 1, 1, 3])
    """

    rank = 3
    kernel = staticmethod(F.adaptive_avg_pool3d)


@registry.layers.register()
class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The largest values in `output_size` windows of the steps, however many steps there are.

    Shapes: (batch, steps, channels) to (batch, output_size, channels). Windows lie as those of
    AdaptiveAveragePooling1D.

    Args:
        output_size: how many windows.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveMaxPooling1D(2)(torch.arange(6.0).reshape(1, 6, 1)).flatten()
        tensor([2., 5.])
    """

    rank = 1
    kernel = staticmethod(F.adaptive_max_pool1d)


@registry.layers.register()
class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The largest values in as many windows along each dimension as are asked for, however large images are.

    Shapes: (batch, height, width, channels) to (batch, *output_size, channels). Windows lie as those of
    AdaptiveAveragePooling1D.

    Args:
        output_size: how many windows along height and width, or one number for both.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveMaxPooling2D((2, 1))(torch.arange(16.0).reshape(1, 4, 4, 1)).flatten()
        tensor([ 7., 15.])
    """

    rank = 2
    kernel = staticmethod(F.adaptive_max_pool2d)


@registry.layers.register()
class AdaptiveMaxPooling3D(_AdaptivePooling):
    """The largest values in as many windows along each dimension as are asked for, however large volumes are.

    Shapes: (batch, depth, height, width, channels) to (batch, *output_size, channels). Windows lie as those of
    AdaptiveAveragePooling1D.

    Args:
        output_size: how many windows along depth, height and width, or one number for all.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer.

    Example:
        >>> layers.AdaptiveMaxPooling3D((2, 1, 1))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 2, 1, 1, 3])
    """

    rank = 3
    kernel = staticmethod(F.adaptive_max_pool3d)
