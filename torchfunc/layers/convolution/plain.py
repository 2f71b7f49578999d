"""Convolutions: each position is a weighted sum of what lies under the kernel; and their transposes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import count, counts, known, same_width
from torchfunc.layers.convolution.kernel import Convolution, Sizes, conv1d
from torchfunc.layers.layer import CommonButActivity
from torchfunc.layers.windows import Spatial


class _Conv(Convolution):
    """What Conv1D, Conv2D and Conv3D have in common: a convolution over `rank` dimensions of space."""

    convolve: ClassVar[Any]

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        self._describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.filters = count(type(self).__name__, "filters", filters)
        self.groups = count(type(self).__name__, "groups", groups)
        self.place_kernel(kernel_size, strides, padding, data_format, dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        if self.filters % self.groups:
            raise GraphError(
                explain(
                    type(self).__name__,
                    got=f"filters={filters} and groups={groups}",
                    expected="filters that groups divide evenly",
                )
            )

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self._channels, "channels") // self.groups
        layout = (*range(2, self.rank + 2), 1, 0)
        self.weight = self._make_weight("kernel", (*self.kernel_size, channels, self.filters), layout=layout)
        self.bias = self._make_weight("bias", (self.filters,)) if self.use_bias else None

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        channels = known(self, shapes[0], self._channels, "channels")
        if channels % self.groups:
            raise self.wrong(
                shapes[0],
                f"a number of channels that groups={self.groups} divides",
                why=f"there are {channels}",
            )

    def built_channels(self) -> int:
        return int(self.weight.shape[1]) * self.groups

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.weight
        if inputs.dtype is not weight.dtype:
            inputs = self._cast_to(weight.dtype, inputs)
        x, padding = self.padded(inputs)
        return self.finished(
            self.convolve(x, weight, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        )

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[self.rank - 1]
        sizes = self.built_channels(), self.filters
        state = {"weight": self.weight, "bias": self.bias}
        return self._convolved_natively(into, inputs, kind, *sizes, groups=self.groups, state=state)


@registry.layers.register()
class Conv1D(_Conv):
    """A convolution along the steps of sequences.

    Shapes: (batch, steps, channels) to (batch, new steps, filters); with data_format="channels_first" the channels come
    before the steps.

    Args:
        filters: the number of channels of the output.
        kernel_size: over how many steps a kernel goes.
        strides: how far it moves at a time.
        padding: "valid" (none), "same" (zeros around, so that ceil(steps / stride) positions fit) or "causal" (zeros
            before, so that no step sees a later one).
        data_format: "channels_last" or "channels_first"; the global setting if None.
        dilation_rate: the distance between the kernel's elements.
        groups: the channels are cut into so many groups, each with kernels of its own.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding, filters that groups do not divide.

    Example:
        >>> layer = layers.Conv1D(1, 2, padding="causal", kernel_initializer="ones")
        >>> layer(torch.arange(4.0).reshape(1, 4, 1)).flatten().detach()  # each with the one before
        tensor([0., 1., 3., 5.])
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    convolve = staticmethod(conv1d)
    _fresh = False


@registry.layers.register()
class Conv2D(_Conv):
    """A convolution over the height and width of images.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters); with
    data_format="channels_first" the channels come before space.

    Args:
        filters: the number of channels of the output.
        kernel_size: the kernel's height and width, or one number for both.
        strides: how far it moves at a time.
        padding: "valid" (none) or "same" (zeros around, so that ceil(length / stride) positions fit).
        data_format: "channels_last" or "channels_first"; the global setting if None.
        dilation_rate: the distance between the kernel's elements.
        groups: the channels are cut into so many groups, each with kernels of its own.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding, filters that groups do not divide.

    Example:
        >>> layer = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
        >>> layer(torch.ones(2, 9, 9, 3)).shape
        torch.Size([2, 5, 5, 8])
        >>> layer.kernel.shape  # (height, width, channels, filters), as Keras has it
        torch.Size([3, 3, 3, 8])
    """

    rank = 2
    convolve = staticmethod(F.conv2d)


@registry.layers.register()
class Conv3D(_Conv):
    """A convolution over the depth, height and width of volumes.

    Shapes: (batch, depth, height, width, channels) to the same with new lengths and `filters` channels; with
    data_format="channels_first" the channels come before space.

    Args:
        filters: the number of channels of the output.
        kernel_size: the kernel's depth, height and width, or one number for all.
        strides, padding, data_format, dilation_rate, groups: as for Conv2D.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an unknown padding, filters that groups do not divide.

    Example:
        >>> layers.Conv3D(8, (1, 3, 3))(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 4, 4, 4, 8])
    """

    rank = 3
    convolve = staticmethod(F.conv3d)


def _conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    """`F.conv_transpose1d` as a flat `F.conv_transpose2d`, which takes channels-last strides as they are."""
    sizes = (1, *stride), (0, *padding), (0, *output_padding)
    return F.conv_transpose2d(
        x.unsqueeze(2), weight.unsqueeze(2), bias, *sizes, groups, (1, *dilation)
    ).squeeze(2)


class _ConvTranspose(Convolution):
    """What the transposes of convolutions over `rank` dimensions of space have in common."""

    convolve: ClassVar[Any]

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        self._describe_weight("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.filters = count(type(self).__name__, "filters", filters)
        self.place_kernel(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding = self._checked_output_padding(output_padding)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._crop()

    def _checked_output_padding(self, output_padding: Any) -> tuple[int, ...] | None:
        if output_padding is None:
            return None
        found = counts(type(self).__name__, "output_padding", output_padding, self.rank, minimum=0)
        if any(extra >= stride for extra, stride in zip(found, self.strides, strict=True)):
            raise GraphError(
                explain(
                    type(self).__name__,
                    got=f"output_padding={output_padding}",
                    expected=f"less than strides={self.strides}",
                )
            )
        return found

    def _crop(self) -> None:
        """What is cut from both sides of the full result: by PyTorch's arguments, and the rest by a slice."""
        extras = self.output_padding or (None,) * self.rank
        self._crops = [
            _crops(*each, self.padding) for each in zip(self._windows, self.strides, extras, strict=True)
        ]
        self._amounts, self._sides = tuple(before for before, _ in self._crops), None
        self._added = tuple(max(before - after, 0) for before, after in self._crops)
        cut = [max(after - before, 0) for before, after in self._crops]
        self._slices = (
            (slice(None), slice(None), *(slice(-each if each else None) for each in cut))
            if any(cut)
            else None
        )
        self._fresh = self._fresh and self._slices is None

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self._channels, "channels")
        layout = (*range(2, self.rank + 2), 1, 0)
        self.weight = self._make_weight("kernel", (*self.kernel_size, self.filters, channels), layout=layout)
        self.bias = self._make_weight("bias", (self.filters,)) if self.use_bias else None

    def check_input(self, *shapes: Any) -> None:
        Spatial.check_input(self, *shapes)
        same_width(self, shapes[0], self._channels, self.weight.shape[0] if self.built else None, "channels")

    def stated_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        places = zip(self.lengths(shape), self._windows, self.strides, self._crops, strict=True)
        lengths = [(n - 1) * stride + window - sum(crops) for n, window, stride, crops in places]
        return self.in_space(shape, lengths, self.filters)

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.weight
        if inputs.dtype is not weight.dtype:
            inputs = self._cast_to(weight.dtype, inputs)
        x = inputs if self._inward is None else inputs.permute(self._inward)
        outputs = self.convolve(
            x, weight, self.bias, self.strides, self._amounts, self._added, 1, self.dilation_rate
        )
        return self.finished(outputs if self._slices is None else outputs[self._slices])

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[self.rank - 1]
        state = {"weight": self.weight, "bias": self.bias}
        geometry = self.kernel_size, self.strides, self._amounts, self._added
        options = {"bias": self.bias is not None, "dilation": self.dilation_rate}
        sizes = self.weight.shape[:2]
        convolve = into.module(self, kind, *sizes, *geometry, **options, state=state)

        def convolved(x: Any) -> Any:
            return convolve(x) if self._slices is None else convolve(x)[self._slices]

        return into.activated(self.activation, self._natively(into, inputs, convolved))


def _crops(window: int, stride: int, extra: int | None, padding: str) -> tuple[int, int]:
    """What Keras cuts from both sides of the full result, (n - 1) * stride + window; below 0 it adds zeros.

    Source: `conv_transpose_padding_args` of Keras 3, which follows TensorFlow.
    """
    if padding == "valid":
        return 0, -(max(window, stride) - window if extra is None else extra)
    total = stride + window - 2 if extra is None else window + window % 2 - 2 + extra
    before = min(total // 2 + total % 2, window - 1)
    return window - 1 - before, window - 1 - (total - before)


@registry.layers.register()
class Conv1DTranspose(_ConvTranspose):
    """The transpose of a Conv1D, which makes a longer sequence of a shorter one.

    Shapes: (batch, steps, channels) to (batch, new steps, filters). With padding="valid" a length n becomes
    (n - 1) * stride + max(kernel, stride), with "same" n * stride.

    Args:
        filters: the number of channels of the output.
        kernel_size: over how many steps a kernel goes.
        strides: how far apart the kernel is put down in the output.
        padding: "valid" or "same".
        output_padding: how much is added to one end of the output; less than the strides.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        dilation_rate: the distance between the kernel's elements.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an output_padding that is not less than the strides.

    Example:
        >>> layer = layers.Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
        >>> layer(torch.tensor([[[1.0], [5.0]]])).flatten().detach()
        tensor([1., 1., 5., 5.])
    """

    rank = 1
    convolve = staticmethod(_conv_transpose1d)
    _fresh = False


@registry.layers.register()
class Conv2DTranspose(_ConvTranspose):
    """The transpose of a Conv2D, which makes a larger image of a smaller one.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters). With padding="valid" a length n
    becomes (n - 1) * stride + max(kernel, stride), with "same" n * stride.

    Args:
        filters: the number of channels of the output.
        kernel_size: the kernel's height and width, or one number for both.
        strides: how far apart the kernel is put down in the output.
        padding: "valid" or "same".
        output_padding: how much is added to one side of the output; less than the strides.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        dilation_rate: the distance between the kernel's elements.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an output_padding that is not less than the strides.

    Example:
        >>> layers.Conv2DTranspose(8, 3, strides=2, padding="same")(torch.ones(2, 5, 5, 3)).shape
        torch.Size([2, 10, 10, 8])
    """

    rank = 2
    convolve = staticmethod(F.conv_transpose2d)


@registry.layers.register()
class Conv3DTranspose(_ConvTranspose):
    """The transpose of a Conv3D, which makes a larger volume of a smaller one.

    Shapes: (batch, depth, height, width, channels) to the same with new lengths, as for Conv2DTranspose, and `filters`
    channels.

    Args:
        filters: the number of channels of the output.
        kernel_size: the kernel's depth, height and width, or one number for all.
        strides, padding, output_padding, data_format, dilation_rate: as for Conv2DTranspose.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        kernel_constraint, bias_constraint: as for Dense.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a size that is no positive integer, an output_padding that is not less than the strides.

    Example:
        >>> layers.Conv3DTranspose(2, 2, strides=2)(torch.ones(1, 2, 3, 3, 2)).shape
        torch.Size([1, 4, 6, 6, 2])
    """

    rank = 3
    convolve = staticmethod(F.conv_transpose3d)
