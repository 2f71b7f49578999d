"""Normalization: values brought to mean 0 and variance 1, over the batch, the features or groups of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import initializers, registry
from torchfunc.distributed.batch_moments import moments, normalized
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import axes_of, image_data_format, known, one_shape
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.weights import under_keras_name


class _Normalization(Layer):
    """A layer whose output has the shape of its input, scaled by gamma and shifted by beta."""

    supports_masking: bool = True
    _autocast = False
    _integers = "cast"
    gamma: ClassVar[Any] = under_keras_name("weight")
    beta: ClassVar[Any] = under_keras_name("bias")

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0], 2, "(batch, ..., features)")
        axes = axes_of(f"{type(self).__name__} {self.name!r}", self.axis, len(shape))
        sizes = tuple(known(self, shape, axis, "features") for axis in axes)
        built = self._built_sizes() if self.built else None
        if built is not None and sizes != built:
            names = f"{built[0]} features" if len(built) == 1 else f"features of sizes {built}"
            raise self.wrong(
                shape,
                names,
                why=f"the layer is built for {names} along axis {self.axis}",
                fix="make a second layer",
            )

    def _built_sizes(self) -> tuple[int, ...] | None:
        weight = getattr(self, "weight", None)
        held = weight if weight is not None else getattr(self, "bias", None)
        return None if held is None else tuple(held.shape)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def _cast_without_weights(self) -> None:
        """Leave the cast to the hook where there is neither gamma nor beta to say the dtype."""
        self._autocast = not (self.center or self.scale)
        if self._autocast and self.dtype is not None:
            self._cast_from_now_on()

    def _given(self, inputs: Tensor) -> Tensor:
        """The inputs in the dtype of the weights, where there are any."""
        weight = self.bias if self.weight is None else self.weight
        return self._as_floats(inputs) if weight is None else self._cast(inputs, weight)

    def _gamma_and_beta(self, sizes: tuple[int, ...]) -> None:
        self.weight = self._make_weight("gamma", sizes) if self.scale else None
        self.bias = self._make_weight("beta", sizes) if self.center else None


def _order(
    axes: Sequence[int], position: int, rank: int
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The permutation that brings `axes` to `position`, and its inverse; None where they stand there."""
    others = [axis for axis in range(rank) if axis not in axes]
    order = (*others[:position], *axes, *others[position:])
    if order == tuple(range(rank)):
        return None, None
    return order, tuple(order.index(axis) for axis in range(rank))


def _in_order(layer: Any, into: Any, inputs: Any, normalized: Any) -> Any:
    """What a module of torch.nn makes of the input with its features where that wants them, in the user's order."""
    if layer._inward is None:
        return normalized(inputs)
    return into.permuted(normalized(into.permuted(inputs, layer._inward)), layer._outward)


class _Averaging(nn.modules.batchnorm._BatchNorm):
    """PyTorch's class of layers with moving averages, by which `update_bn` and Lightning's SWA find them.

    These set `momentum` to None, which means the same here: the plain average of all batches from then on. What
    builds another module from such a layer would misread it, and is told so.
    """

    _version = 1
    __constants__: ClassVar[list[str]] = []  # type: ignore[misc]
    momentum: Any
    running_mean: Any
    running_var: Any
    track_running_stats = True
    num_batches_tracked: int = 0  # type: ignore[assignment]
    _load_from_state_dict = nn.Module._load_from_state_dict

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def __getattr__(self, name: str) -> Any:
        if name in ("num_features", "eps", "affine"):
            raise AttributeError(
                explain(
                    f"BatchNormalization {self.name!r}",
                    got=f"a look at {name!r}, as where another module is to take its place",
                    why="its momentum and the order of its axes are Keras's",
                    fix="interop.to_torch(model) first, or BatchNormalization(synchronized=True) for SyncBatchNorm",
                )
            )
        return super().__getattr__(name)

    def reset_running_stats(self) -> None:
        """Begin the moving averages anew."""
        self.num_batches_tracked = 0
        for name, average in self._buffers.items():
            if average is not None:
                average.fill_(0.0 if name.endswith("mean") else 1.0)

    def _share(self) -> float:
        """The share of this batch in the moving averages."""
        if self.momentum is not None:
            return 1.0 - float(self.momentum)
        self.num_batches_tracked += 1
        return 1.0 / self.num_batches_tracked


@registry.layers.register()
class BatchNormalization(_Normalization, _Averaging):
    """Each feature normalized over the batch in training, by moving averages of mean and variance otherwise.

    With `trainable = False` it stays in inference mode. The moving variance averages the biased variance,
    as Keras's does (PyTorch's averages the unbiased one). Source: Ioffe and Szegedy 2015.

    Args:
        axis: the axis of the features.
        momentum: the share of the old moving averages in the new ones; 1 - `momentum` in PyTorch's terms.
        epsilon: what is added to the variance.
        center, scale: whether there is a shift (beta, `bias`) and a factor (gamma, `weight`).
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: how these begin.
        beta_regularizer, gamma_regularizer: what these add to the loss.
        beta_constraint, gamma_constraint: what these are put through after each step.
        renorm: whether training, too, goes by averages over many batches (Ioffe 2017): for small batches.
        renorm_clipping: the bounds "rmin", "rmax" and "dmax" of its corrections; those not given do not bind.
        renorm_momentum: the share of the old averages in the new ones that its corrections are made of.
        synchronized: whether the batches of all processes count as one, where `torch.distributed` runs.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: bounds by other names, or that leave nothing between them.

    Example:
        >>> layer = layers.BatchNormalization()
        >>> layer([[1.0], [3.0]], training=True).detach()  # epsilon keeps them below 1
        tensor([[-0.9995],
                [ 0.9995]])
        >>> layer.moving_mean, layer([[1.0]], training=False).detach()  # by the moving averages
        (tensor([0.0200]), tensor([[0.9795]]))
    """

    weight: Any
    bias: Any
    moving_mean: ClassVar[Any] = under_keras_name("running_mean")
    moving_variance: ClassVar[Any] = under_keras_name("running_var")
    axis: int
    momentum: float
    epsilon: float
    center: bool
    scale: bool
    renorm: bool
    renorm_momentum: float
    renorm_clipping: dict[str, float] | None
    synchronized: bool
    moving_mean_initializer: Any
    moving_variance_initializer: Any

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self._describe_weight("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._describe_weight("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self._set_plainly(
            axis=int(axis),
            momentum=float(momentum),
            epsilon=epsilon,
            center=center,
            scale=scale,
            renorm=renorm,
            renorm_momentum=renorm_momentum,
            renorm_clipping=None if renorm_clipping is None else dict(renorm_clipping),
            synchronized=synchronized,
            moving_mean_initializer=initializers.get(moving_mean_initializer),
            moving_variance_initializer=initializers.get(moving_variance_initializer),
        )
        self._check_clipping(**(self.renorm_clipping or {}))

    def build(self, input_shape: Any) -> None:
        (axis,) = axes_of(f"BatchNormalization {self.name!r}", self.axis, len(input_shape))
        sizes = (known(self, input_shape, axis, "features"),)
        self._gamma_and_beta(sizes)
        self.running_mean = self.add_weight(sizes, self.moving_mean_initializer, trainable=False)
        self.running_var = self.add_weight(sizes, self.moving_variance_initializer, trainable=False)
        if self.renorm:
            root = _RootOf(self.moving_variance_initializer)
            self.running_std = self.add_weight(sizes, root, trainable=False)
            self.renorm_mean = self.add_weight(sizes, self.moving_mean_initializer, trainable=False)
            self.renorm_std = self.add_weight(sizes, root, trainable=False)
        self._inward, self._outward = _order((axis,), 1, len(input_shape))

    def _check_clipping(
        self, rmin: float = 0.0, rmax: float = math.inf, dmax: float = math.inf, **unknown: Any
    ) -> None:
        if unknown or rmin > rmax or dmax < 0:
            raise GraphError(
                explain(
                    "BatchNormalization",
                    got=f"renorm_clipping={self.renorm_clipping}",
                    expected="'rmin' up to 'rmax', and 'dmax' of at least 0",
                )
            )
        self._bounds = rmin, rmax, dmax

    def _built_sizes(self) -> tuple[int, ...]:
        return tuple(self.running_mean.shape)

    def forward(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        if mask is not None and mask.ndim != inputs.ndim - 1:
            expected = f"a mask of one dimension less than the inputs, {tuple(inputs.shape)}"
            raise self.wrong(tuple(mask.shape), expected)
        inputs = self._cast(inputs, self.running_mean)
        x = inputs if self._inward is None else inputs.permute(self._inward)
        if not self._trainable or not (self.training if training is None else training):
            outputs = F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.epsilon
            )
        elif mask is None and not self.renorm:
            outputs = self._over_processes(x) if self._is_shared() else self._over_batch(x)
        else:
            kept = torch.ones_like(inputs, dtype=torch.bool)
            if mask is not None:
                kept = mask.bool().unsqueeze(-1).expand_as(inputs)
            kept = kept if self._inward is None else kept.permute(self._inward)
            outputs = self._renormalized(x, kept) if self.renorm else self._over_mask(x, kept)
        return outputs if self._outward is None else outputs.permute(self._outward)

    def native_form(self, into: Any, inputs: Any, mask: Any = None) -> Any:
        if mask is not None or self.renorm:
            why = "renorm=True" if mask is None else "a mask, which PyTorch's modules do not take"
            raise into.refusal(self, why, "LayerNormalization, or a layer of your own in its place")
        kind: Any = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[inputs.ndim - 2]
        kind = nn.SyncBatchNorm if self.synchronized else kind
        state = {
            "weight": self.weight, "bias": self.bias,
            "running_mean": self.running_mean, "running_var": self.running_var,
        }  # fmt: skip
        size, affine = self.running_mean.shape[0], self.center or self.scale
        options = {
            "eps": self.epsilon,
            "momentum": round(1 - self.momentum, 12),
            "affine": affine,
            "state": state,
        }
        normalized = into.module(self, kind, size, **options)
        training = into.training if self._trainable else False
        if training is not None:
            held = into.held(self, kind, size, **options)
            tensors = held.running_mean, held.running_var, held.weight, held.bias
            settings = training, held.momentum if training else 0.0, self.epsilon
            normalized = partial(_batch_norm, tensors=tensors, settings=settings)
        return _in_order(self, into, inputs, normalized)

    def _over_batch(self, x: Tensor) -> Tensor:
        """Normalized over the batch; the kernel hands over the biased variance, as 1 / deviation.

        It does so in the dtype of gamma and beta, and in half precision that is too coarse for a variance.
        """
        weight, bias = self.weight, self.bias
        if x.dtype.itemsize < 4:
            weight = torch.ones_like(self.running_mean) if weight is None else weight
            weight, bias = weight.float(), None if bias is None else bias.float()
        outputs, mean, inverse = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, self.epsilon)
        self._move(mean, inverse.pow(-2).sub_(self.epsilon))
        return outputs

    def _over_mask(self, x: Tensor, kept: Tensor) -> Tensor:
        """As `_over_batch`, where what is not kept counts neither for the mean nor for the variance."""
        mean, variance = _moments(x, kept)
        self._move(mean.detach().flatten(), variance.detach().flatten())
        return self._scaled((x - mean) * torch.rsqrt(variance + self.epsilon))

    def _is_shared(self) -> bool:
        return self.synchronized and distributed.is_available() and distributed.is_initialized()

    def _over_processes(self, x: Tensor) -> Tensor:
        """As `_over_batch` over the batches of all processes, whose sums are added up with their gradients."""
        mean, variance, _ = moments(x)
        self._move(mean.detach(), variance.detach())
        return self._scaled(normalized(x, mean, variance, self.epsilon))

    def _renormalized(self, x: Tensor, kept: Tensor) -> Tensor:
        """Normalized over the batch, and corrected towards the averages over many batches."""
        mean, variance = _moments(x, kept)
        rmin, rmax, dmax = self._bounds
        with torch.no_grad():
            std = torch.sqrt(variance + self.epsilon)
            usual = self.renorm_std.clamp(min=self.epsilon**0.5).view(std.shape)
            r = (std / usual).clamp(rmin, rmax)
            d = ((mean - self.renorm_mean.view(std.shape)) / usual).clamp(-dmax, dmax)
            step = 1.0 - self.renorm_momentum
            self.renorm_mean.lerp_(mean.flatten(), step)
            self.renorm_std.lerp_(std.flatten(), step)
            step = self._share()
            self.running_mean.lerp_(mean.flatten(), step)
            self.running_std.lerp_(std.flatten(), step)
            self.running_var.copy_((self.running_std.square() - self.epsilon).clamp(min=0))
        return self._scaled((x - mean) * torch.rsqrt(variance + self.epsilon) * r + d)

    def _scaled(self, outputs: Tensor) -> Tensor:
        """What was normalized, by gamma and beta."""
        shape = [-1 if axis == 1 else 1 for axis in range(outputs.ndim)]
        if self.weight is not None:
            outputs = outputs * self.weight.view(shape)
        return outputs if self.bias is None else outputs + self.bias.view(shape)

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """The moving averages one step on."""
        step = self._share()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), step)
        self.running_var.lerp_(variance.to(self.running_var.dtype), step)


def _batch_norm(x: Any, tensors: Any, settings: Any) -> Any:
    return F.batch_norm(x, *tensors, *settings)


def _moments(x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of what is kept for each channel, which come second."""
    axes = [0, *range(2, x.ndim)]
    number = kept.sum(axes, keepdim=True, dtype=x.dtype).clamp(min=1)
    mean = x.masked_fill(~kept, 0).sum(axes, keepdim=True) / number
    return mean, (x - mean).masked_fill(~kept, 0).square().sum(axes, keepdim=True) / number


class _RootOf:
    """An initializer: the square roots of what another one makes."""

    def __init__(self, initializer: Any) -> None:
        self.initializer = initializer

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        root: Tensor = self.initializer(shape, dtype=dtype).sqrt()
        return root


@registry.layers.register()
class LayerNormalization(_Normalization):
    """Each sample normalized over one axis or several (Ba et al. 2016).

    Args:
        axis: the axis or axes.
        epsilon: what is added to the variance; 1e-3 as in Keras (PyTorch has 1e-5).
        center, scale: whether there is a shift (beta, `bias`) and a factor (gamma, `weight`).
        beta_initializer, gamma_initializer: how these begin.
        beta_regularizer, gamma_regularizer: what these add to the loss.
        beta_constraint, gamma_constraint: what these are put through after each step.
        rms_scaling: Keras's former way to divide by the deviation without subtracting the mean, and without
            beta. `RMSNormalization` divides by the root mean square.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.LayerNormalization()([[1.0, 3.0]]).detach()  # epsilon keeps them below 1
        tensor([[-0.9995,  0.9995]])
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.center, self.scale, self.epsilon = center, scale, epsilon
        self.rms_scaling = rms_scaling
        if not rms_scaling:
            self._cast_without_weights()
        self._describe_weight("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._describe_weight("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.axis = axis if isinstance(axis, int) else list(axis)

    def build(self, input_shape: Any) -> None:
        axes = axes_of(f"LayerNormalization {self.name!r}", self.axis, len(input_shape))
        self._sizes = tuple(known(self, input_shape, axis, "features") for axis in axes)
        self._inward, self._outward = _order(axes, len(input_shape) - len(axes), len(input_shape))
        if self.rms_scaling:
            self.weight, self.bias = self._make_weight("gamma", self._sizes), None
        else:
            self._gamma_and_beta(self._sizes)

    def native_form(self, into: Any, inputs: Any) -> Any:
        if self.rms_scaling:
            return into.recorded(self, inputs)
        state = {"weight": self.weight, "bias": self.bias}
        options = {"eps": self.epsilon, "elementwise_affine": self.center or self.scale, "state": state}
        return _in_order(self, into, inputs, into.module(self, nn.LayerNorm, self._sizes, **options))

    def _by_deviation(self, inputs: Tensor) -> Tensor:
        x = inputs if self._inward is None else inputs.permute(self._inward)
        variance = x.var(tuple(range(-len(self._sizes), 0)), correction=0, keepdim=True)
        outputs: Tensor = x * torch.rsqrt(variance + self.epsilon) * self.gamma
        return outputs if self._outward is None else outputs.permute(self._outward)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._given(inputs)
        if self.rms_scaling:
            return self._by_deviation(inputs)
        if self._inward is None or self._outward is None:
            return F.layer_norm(inputs, self._sizes, self.weight, self.bias, self.epsilon)
        outputs = F.layer_norm(
            inputs.permute(self._inward), self._sizes, self.weight, self.bias, self.epsilon
        )
        return outputs.permute(self._outward)


@registry.layers.register()
class RMSNormalization(_Normalization):
    """Each sample divided by its root mean square over one axis or several (Zhang and Sennrich 2019).

    Args:
        axis: the axis or axes.
        epsilon: what is added to the mean square.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.RMSNormalization()([[3.0, 4.0]]).detach()  # by sqrt((9 + 16) / 2)
        tensor([[0.8485, 1.1314]])
    """

    supports_masking: bool = False

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        axes = axes_of(f"RMSNormalization {self.name!r}", self.axis, len(input_shape))
        self._sizes = tuple(known(self, input_shape, axis, "features") for axis in axes)
        self._inward, self._outward = _order(axes, len(input_shape) - len(axes), len(input_shape))
        self.weight = self.add_weight(self._sizes, "ones")

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._cast(inputs, self.weight)
        if self._inward is None or self._outward is None:
            return F.rms_norm(inputs, self._sizes, self.weight, self.epsilon)
        outputs = F.rms_norm(inputs.permute(self._inward), self._sizes, self.weight, self.epsilon)
        return outputs.permute(self._outward)

    def native_form(self, into: Any, inputs: Any) -> Any:
        norm = into.module(self, nn.RMSNorm, self._sizes, eps=self.epsilon, state={"weight": self.weight})
        return _in_order(self, into, inputs, norm)


@registry.layers.register()
class GroupNormalization(_Normalization):
    """Each sample normalized over groups of its features, and over all else but the batch (Wu and He 2018).

    Args:
        groups: the number of groups; -1 makes one of each feature (instance normalization).
        axis: the axis of the features.
        epsilon: what is added to the variance; 1e-3 as in Keras.
        center, scale: whether there is a shift (beta, `bias`) and a factor (gamma, `weight`).
        beta_initializer, gamma_initializer: how these begin.
        beta_regularizer, gamma_regularizer: what these add to the loss.
        beta_constraint, gamma_constraint: what these are put through after each step.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: `groups` that is neither a positive integer nor -1.

    Example:
        >>> layers.GroupNormalization(groups=2)([[1.0, 3.0, 10.0, 30.0]]).detach()  # each pair by itself
        tensor([[-0.9995,  0.9995, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.center, self.scale, self.epsilon = center, scale, epsilon
        self._cast_without_weights()
        self._describe_weight("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._describe_weight("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.axis = int(axis)
        self.groups = groups
        if not isinstance(groups, int) or isinstance(groups, bool) or (groups < 1 and groups != -1):
            raise GraphError(
                explain("GroupNormalization", got=f"groups={groups!r}", expected="a positive integer, or -1")
            )

    def build(self, input_shape: Any) -> None:
        (axis,) = axes_of(f"GroupNormalization {self.name!r}", self.axis, len(input_shape))
        features = known(self, input_shape, axis, "features")
        self._groups = features if self.groups == -1 else self.groups
        self._inward, self._outward = _order((axis,), 1, len(input_shape))
        self._gamma_and_beta((features,))
        self._spread = (features, *(1,) * (len(input_shape) - 2))

    def check_input(self, *shapes: Any) -> None:
        super().check_input(*shapes)
        features = shapes[0][self.axis]
        if self.groups > 0 and features % self.groups:
            raise self.wrong(
                shapes[0],
                f"a number of features that groups={self.groups} divides",
                why=f"there are {features}",
                fix="GroupNormalization(groups=...) of a divisor",
            )

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._given(inputs)
        x = inputs if self._inward is None else inputs.permute(self._inward)
        # PyTorch's backward crashes the process where such an input lies channels last, as images of one place always do
        if not x.requires_grad:
            x = x.contiguous().flatten(1).view(x.shape)
        if x.shape[1] == 1:  # one feature lies in either order, and is taken for the wrong one
            x = x.flatten(1).view(x.shape)
        # not F.group_norm, which refuses groups of one value: their mean is the value, so the output is the shift
        if self.weight is None and self.bias is not None:  # its backward fails with a shift and no factor
            outputs = torch.group_norm(x, self._groups, None, None, self.epsilon) + self.bias.view(
                self._spread
            )
        else:
            outputs = torch.group_norm(x, self._groups, self.weight, self.bias, self.epsilon)
        return outputs if self._outward is None else outputs.permute(self._outward)

    def native_form(self, into: Any, inputs: Any) -> Any:
        weight, affine = self.weight, self.center or self.scale
        if weight is None and self.bias is not None:  # PyTorch's backward fails with a shift and no factor
            weight = nn.Parameter(torch.ones_like(self.bias), requires_grad=False)
        state, options = {"weight": weight, "bias": self.bias}, {"eps": self.epsilon, "affine": affine}
        features = inputs.shape[self.axis]
        norm = into.module(self, nn.GroupNorm, self._groups, features, state=state, **options)
        return _in_order(self, into, inputs, norm)


class _Plain(Layer):
    """A layer without weights whose output has the shape of its input."""

    supports_masking: bool = True

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@registry.layers.register()
class UnitNormalization(_Plain):
    """Each vector brought to length 1.

    Args:
        axis: the axis or axes along which a vector lies.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.UnitNormalization()([[3.0, 4.0]])
        tensor([[0.6000, 0.8000]])
    """

    _integers = "cast"

    def __init__(self, axis: int | Sequence[int] = -1, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else list(axis)

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        axes_of(f"UnitNormalization {self.name!r}", self.axis, len(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self._as_floats(inputs)
        length = torch.linalg.vector_norm(inputs, dim=self.axis, keepdim=True)
        normalized: Tensor = inputs / length.clamp(min=max(1e-12, torch.finfo(length.dtype).tiny))
        return normalized


def _plain(value: Any) -> Any:
    """A number or a list of them, from NumPy's or PyTorch's too."""
    return value.tolist() if hasattr(value, "tolist") else value


def _for_channels(value: Any) -> Any:
    """Numbers as `_plain` has them; one for each channel where the channels come first is followed by two axes."""
    numbers = torch.as_tensor(_plain(value))
    if numbers.ndim and image_data_format() == "channels_first":
        return numbers.reshape(*numbers.shape, *(1,) * (3 - numbers.ndim)).tolist()
    return _plain(value)


@registry.layers.register()
class Rescaling(_Plain):
    """`x * scale + offset`: `Rescaling(1 / 255)` brings bytes to the range from 0 to 1.

    Args:
        scale: a number, or one for each channel, on the axis that `image_data_format()` says.
        offset: a number, or one for each channel, likewise.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.Rescaling(1 / 127.5, offset=-1)([0.0, 255.0])
        tensor([-1.,  1.])
    """

    _autocast = False
    _integers = "cast"

    def __init__(
        self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.scale = _for_channels(scale)
        self.offset = _for_channels(offset)
        # buffers move to the device with the layer; a tensor made at each call would wait for it
        self._factors = nn.Buffer(torch.as_tensor(self.scale, dtype=self._kind()), persistent=False)
        self._terms = nn.Buffer(torch.as_tensor(self.offset, dtype=self._kind()), persistent=False)

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def forward(self, inputs: Tensor) -> Tensor:
        x = self._cast(inputs, self._factors)
        if isinstance(self.scale, (int, float)) and isinstance(self.offset, (int, float)):
            rescaled: Tensor = x * self.scale
            return rescaled + self.offset if self.offset else rescaled
        return x * self._factors.to(x.dtype) + self._terms.to(x.dtype)
