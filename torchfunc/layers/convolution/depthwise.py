"""Convolutions of each channel by itself: depthwise, and separable, which mix the channels afterwards."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.layers.arguments import count, known
from torchfunc.layers.convolution.kernel import Convolution, Sizes, conv1d
from torchfunc.layers.layer import CommonButActivity

_KINDS = {1: nn.Conv1d, 2: nn.Conv2d}


class _Depthwise(Convolution):
    """The part that DepthwiseConv and SeparableConv share: kernels of which each sees one channel."""

    convolve: ClassVar[Any]
    depth_multiplier: int

    def _depthwise_weight(self, channels: int) -> Tensor:
        """(channels * multiplier, 1, *kernel) for `F.conv2d`; Keras has (*kernel, channels, multiplier)."""
        layout = (*range(2, self.rank + 2), 0, 1)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        weight: Tensor = self._make_weight("depthwise", shape, layout=layout)
        weight.data = weight.data.reshape(channels * self.depth_multiplier, 1, *self.kernel_size)
        return weight

    def keras_view(self, name: str, tensor: Tensor) -> Tensor:
        """As in Layer; the depthwise weight is cut into channels and multiplier first."""
        if name != self._depthwise_name:
            return super().keras_view(name, tensor)
        cut: Tensor = tensor.detach().unflatten(0, (-1, self.depth_multiplier)).squeeze(2)  # type: ignore[no-untyped-call]
        return cut.permute(*range(2, self.rank + 2), 0, 1)

    _depthwise_name: ClassVar[str] = "weight"

    def built_channels(self) -> int:
        return int(getattr(self, self._depthwise_name).shape[0]) // self.depth_multiplier


class _DepthwiseConv(_Depthwise):
    """What DepthwiseConv1D and DepthwiseConv2D have in common."""

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        self._describe_weight("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.depth_multiplier = count(type(self).__name__, "depth_multiplier", depth_multiplier)
        self.place_kernel(kernel_size, strides, padding, data_format, dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self._channels, "channels")
        self.weight = self._depthwise_weight(channels)
        self.bias = self._make_weight("bias", (channels * self.depth_multiplier,)) if self.use_bias else None

    def output_channels(self) -> int:
        return self.weight.shape[0]

    def forward(self, inputs: Tensor) -> Tensor:
        x, padding = self.padded(self._cast(inputs, self.weight))
        return self.finished(
            self.convolve(x, self.weight, self.bias, self.strides, padding, self.dilation_rate, x.shape[1])
        )

    def native_form(self, into: Any, inputs: Any) -> Any:
        channels = self.built_channels()
        state = {"weight": self.weight, "bias": self.bias}
        sizes = channels, self.weight.shape[0]
        return self._convolved_natively(into, inputs, _KINDS[self.rank], *sizes, groups=channels, state=state)


@registry.layers.register()
class DepthwiseConv1D(_DepthwiseConv):
    """A convolution of each channel by itself along the steps, with `depth_multiplier` kernels for each.

    Shapes: (batch, steps, channels) to (batch, new steps, channels * depth_multiplier).

    Args:
        kernel_size: over how many steps a kernel goes.
        strides, padding, data_format, dilation_rate: as for Conv2D.
        depth_multiplier: the number of output channels for each channel of the input.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint: as for Dense.
        depthwise_initializer: how the kernels begin.
        depthwise_regularizer: what they add to the loss.
        depthwise_constraint: what they are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.DepthwiseConv1D(3, depth_multiplier=2)(torch.ones(2, 8, 3)).shape
        torch.Size([2, 6, 6])
    """

    rank = 1
    convolve = staticmethod(conv1d)
    _fresh = False


@registry.layers.register()
class DepthwiseConv2D(_DepthwiseConv):
    """A convolution of each channel by itself over images, with `depth_multiplier` kernels for each.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, channels * depth_multiplier).

    Args:
        kernel_size: the kernel's height and width, or one number for both.
        strides, padding, data_format, dilation_rate: as for Conv2D.
        depth_multiplier: the number of output channels for each channel of the input.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint: as for Dense.
        depthwise_initializer: how the kernels begin.
        depthwise_regularizer: what they add to the loss.
        depthwise_constraint: what they are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layer = layers.DepthwiseConv2D(3, padding="same", use_bias=False)
        >>> layer(torch.ones(2, 8, 8, 3)).shape, layer.count_params()  # 3 * 3 * 3 weights
        (torch.Size([2, 8, 8, 3]), 27)
    """

    rank = 2
    convolve = staticmethod(F.conv2d)


class _SeparableConv(_Depthwise):
    """What SeparableConv1D and SeparableConv2D have in common."""

    _depthwise_name = "depthwise_weight"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **common: Unpack[CommonButActivity],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        self._describe_weight("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._describe_weight("pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self._describe_weight("bias", bias_initializer, bias_regularizer, bias_constraint)
        self.filters = count(type(self).__name__, "filters", filters)
        self.depth_multiplier = count(type(self).__name__, "depth_multiplier", depth_multiplier)
        self.place_kernel(kernel_size, strides, padding, data_format, dilation_rate)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._ones, self._zeros = (1,) * self.rank, (0,) * self.rank

    def build(self, input_shape: Any) -> None:
        channels = known(self, input_shape, self._channels, "channels")
        between = channels * self.depth_multiplier
        layout = (*range(2, self.rank + 2), 1, 0)
        self.depthwise_weight = self._depthwise_weight(channels)
        self.pointwise_weight = self._make_weight(
            "pointwise", (*self._ones, between, self.filters), layout=layout
        )
        self.bias = self._make_weight("bias", (self.filters,)) if self.use_bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        x, padding = self.padded(self._cast(inputs, self.pointwise_weight))
        x = self.convolve(
            x, self.depthwise_weight, None, self.strides, padding, self.dilation_rate, x.shape[1]
        )
        return self.finished(
            self.convolve(x, self.pointwise_weight, self.bias, self._ones, self._zeros, self._ones, 1)
        )

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind, channels, between = _KINDS[self.rank], self.built_channels(), self.pointwise_weight.shape[1]
        geometry = {"stride": self.strides, "dilation": self.dilation_rate, "groups": channels}

        def convolved(x: Any) -> Any:
            x, padding = self._padded_natively(x)
            state: dict[str, Any] = {"weight": self.depthwise_weight}
            first = channels, between, self.kernel_size
            options = {**geometry, "padding": padding, "bias": False}
            x = into.module(self, kind, *first, word="depthwise", state=state, **options)(x)
            state, bias = {"weight": self.pointwise_weight, "bias": self.bias}, self.bias is not None
            return into.module(
                self, kind, between, self.filters, 1, bias=bias, word="pointwise", state=state
            )(x)

        return into.activated(self.activation, self._natively(into, inputs, convolved))


@registry.layers.register()
class SeparableConv1D(_SeparableConv):
    """A convolution of each channel by itself along the steps, and then one of size 1 that mixes the channels.

    Shapes: (batch, steps, channels) to (batch, new steps, filters).

    Args:
        filters: the number of channels of the output.
        kernel_size: over how many steps a kernel goes.
        strides, padding, data_format, dilation_rate: as for Conv2D; they concern the first convolution.
        depth_multiplier: the number of channels between the two for each channel of the input.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint: as for Dense.
        depthwise_initializer, pointwise_initializer: how the kernels of the first and the second convolution begin.
        depthwise_regularizer, pointwise_regularizer: what these add to the loss.
        depthwise_constraint, pointwise_constraint: what these are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.SeparableConv1D(8, 3)(torch.ones(2, 8, 3)).shape
        torch.Size([2, 6, 8])
    """

    rank = 1
    convolve = staticmethod(conv1d)
    _fresh = False


@registry.layers.register()
class SeparableConv2D(_SeparableConv):
    """A convolution of each channel by itself over images, and then one of size 1 that mixes the channels.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters).

    Args:
        filters: the number of channels of the output.
        kernel_size: the kernel's height and width, or one number for both.
        strides, padding, data_format, dilation_rate: as for Conv2D; they concern the first convolution.
        depth_multiplier: the number of channels between the two for each channel of the input.
        activation, use_bias, bias_initializer, bias_regularizer, bias_constraint: as for Dense.
        depthwise_initializer, pointwise_initializer: how the kernels of the first and the second convolution begin.
        depthwise_regularizer, pointwise_regularizer: what these add to the loss.
        depthwise_constraint, pointwise_constraint: what these are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layer = layers.SeparableConv2D(8, 3, use_bias=False)
        >>> layer(torch.ones(2, 8, 8, 3)).shape, layer.count_params()  # 3 * 3 * 3 + 3 * 8 weights
        (torch.Size([2, 6, 6, 8]), 51)
    """

    rank = 2
    convolve = staticmethod(F.conv2d)
