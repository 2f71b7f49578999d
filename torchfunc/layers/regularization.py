"""Layers that act only in training: dropout, noise, a penalty on activity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry, regularizers
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import count, fraction, one_shape
from torchfunc.layers.layer import Common, CommonButActivity, Layer
from torchfunc.layers.windows import Spatial


class Generators:
    """The random generators of a seeded layer, one for each device, made where they are first needed.

    They belong to no state_dict. A copy goes on from where the original is.
    """

    def __init__(self, seed: int | None, states: dict[str, Tensor] | None = None) -> None:
        self.seed = seed
        self._states = states or {}
        self._made: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator | None:
        """The generator for a device; None, which is PyTorch's own, without a seed.

        A compiled graph cannot hold a generator, so under torch.compile and torch.export PyTorch's own
        serves as well.
        """
        if self.seed is None or device.type == "meta" or torch.compiler.is_compiling():
            return None
        if device not in self._made:
            generator = torch.Generator(device).manual_seed(self.seed)
            if str(device) in self._states:
                generator.set_state(self._states[str(device)])
            self._made[device] = generator
        return self._made[device]

    def __reduce__(self) -> Any:
        states = {str(device): each.get_state() for device, each in self._made.items()}
        return Generators, (self.seed, {**self._states, **states})


class _Noise(Layer):
    """A layer that draws random numbers in training and passes its input on otherwise.

    `training=` overrides the module's own mode for one call.
    """

    supports_masking: bool = True

    def __init__(self, *, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.seed = None if seed is None else count(type(self).__name__, "seed", seed, minimum=0)
        self._generators = Generators(self.seed)

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@registry.layers.register()
class Dropout(_Noise):
    """In training sets each element to zero with probability `rate`, and divides the others by 1 - rate.

    Args:
        rate: the share that is dropped, from 0 to 1.
        noise_shape: the shape of the pattern, None where it is the input's: (None, 1, None) drops a feature
            at all steps or at none.
        seed: with one, every run of the same program drops the same elements.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a rate that is not from 0 to 1, a noise_shape or seed that is none.

    Example:
        >>> layer = layers.Dropout(0.5, seed=0)
        >>> layer(torch.ones(6)), layer(torch.ones(6), training=False)
        (tensor([0., 0., 2., 0., 0., 0.]), tensor([1., 1., 1., 1., 1., 1.]))
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(seed=seed, **common)
        self.rate = fraction(type(self).__name__, "rate", rate)
        self.noise_shape = self._checked(noise_shape)
        self._keep = 1.0 - rate

    def _checked(self, noise_shape: Any) -> tuple[int | None, ...] | None:
        if noise_shape is None:
            return None
        if not isinstance(noise_shape, (list, tuple)):
            raise GraphError(
                explain(
                    type(self).__name__,
                    got=f"noise_shape={noise_shape!r}",
                    expected="a tuple of integers and None",
                )
            )
        return tuple(
            None if each is None else count(type(self).__name__, "noise_shape", each) for each in noise_shape
        )

    def pattern_shape(self, inputs: Tensor) -> Sequence[int] | None:
        """The shape of the pattern of what is dropped; None where each element is drawn by itself."""
        if self.noise_shape is None:
            return None
        return [
            mine if given is None else given
            for given, mine in zip(self.noise_shape, inputs.shape, strict=True)
        ]

    def forward(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not (self.training if training is None else training) or self.rate == 0:
            return inputs
        shape, generator = self.pattern_shape(inputs), self._generators.on(inputs.device)
        if shape is None and generator is None:
            return F.dropout(inputs, self.rate)
        return self.apply_pattern(inputs, _kept(inputs, shape, self._keep, generator))

    def native_form(self, into: Any, inputs: Any) -> Any:
        return _dropped(self, into, nn.Dropout, inputs)

    def apply_pattern(self, inputs: Tensor, kept: Tensor) -> Tensor:
        """The input where `kept` is 1, so scaled that its expectation stays."""
        return inputs * (kept.div_(self._keep) if self._keep else kept)


def _dropped(layer: Any, into: Any, kind: Any, inputs: Any) -> Any:
    """Dropout by a module of torch.nn; a pattern of its own shape is what it makes of ones."""
    if into.training is False or layer.rate == 0:
        return inputs
    if into.training:
        return into.elementwise(partial(F.dropout, p=layer.rate), inputs)
    drop = into.module(layer, kind, layer.rate)
    if layer.noise_shape is None:
        return into.elementwise(drop, inputs)
    return inputs * drop(inputs.new_ones(layer.pattern_shape(inputs)))


def _kept(
    inputs: Tensor, shape: Sequence[int] | None, keep: float, generator: torch.Generator | None
) -> Tensor:
    """Ones and zeros, ones with probability `keep`."""
    pattern = torch.empty_like(inputs) if shape is None else inputs.new_empty(shape)
    return pattern.bernoulli_(keep, generator=generator)


class _SpatialDropout(Dropout, Spatial):
    """Dropout of whole channels, over `rank` dimensions of space."""

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **common: Unpack[Common]
    ) -> None:
        super().__init__(rate, None, seed, **common)
        self.set_data_format(data_format)

    def check_input(self, *shapes: Any) -> None:
        Spatial.check_input(self, *shapes)

    def pattern_shape(self, inputs: Tensor) -> Sequence[int]:
        return self.in_space(inputs.shape, (1,) * self.rank)

    def native_form(self, into: Any, inputs: Any) -> Any:
        kind = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)[self.rank - 1]
        if into.training is not None or self.rate == 0:
            return _dropped(self, into, kind, inputs)
        return self._natively(into, inputs, into.module(self, kind, self.rate))


@registry.layers.register()
class SpatialDropout1D(_SpatialDropout):
    """As Dropout, where a channel is dropped at all steps or at none. Input: (batch, steps, channels).

    Args:
        rate: the share of channels that is dropped, from 0 to 1.
        seed: with one, every run of the same program drops the same channels.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.SpatialDropout1D(0.5, seed=0)(torch.ones(1, 2, 4))
        tensor([[[0., 0., 2., 0.],
                 [0., 0., 2., 0.]]])
    """

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(rate, "channels_last", seed, **common)


@registry.layers.register()
class SpatialDropout2D(_SpatialDropout):
    """As Dropout, where a channel of an image is dropped everywhere or nowhere (Tompson et al. 2015).

    Shapes: (batch, height, width, channels) stays.

    Args:
        rate: the share of channels that is dropped, from 0 to 1.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program drops the same channels.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.SpatialDropout2D(0.5, seed=0)(torch.ones(1, 2, 2, 4)).sum((1, 2))
        tensor([[0., 0., 8., 0.]])
    """

    rank = 2


@registry.layers.register()
class SpatialDropout3D(_SpatialDropout):
    """As Dropout, where a channel of a volume is dropped everywhere or nowhere.

    Shapes: (batch, depth, height, width, channels) stays.

    Args:
        rate: the share of channels that is dropped, from 0 to 1.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program drops the same channels.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layers.SpatialDropout3D(0.5, seed=0)(torch.ones(1, 2, 2, 2, 4)).sum((1, 2, 3))
        tensor([[ 0.,  0., 16.,  0.]])
    """

    rank = 3


@registry.layers.register()
class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance, for networks of `selu` (Klambauer et al. 2017).

    Args:
        rate: the share of elements that is set to the negative limit of selu, from 0 to 1.
        noise_shape: as for Dropout.
        seed: as for Dropout.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Example:
        >>> layer = layers.AlphaDropout(0.5, seed=0)
        >>> layer(torch.zeros(4)), layer(torch.zeros(4), training=False)
        (tensor([-0.7792, -0.7792,  0.7792, -0.7792]), tensor([0., 0., 0., 0.]))
    """

    def pattern_shape(self, inputs: Tensor) -> Sequence[int]:
        shape = super().pattern_shape(inputs)
        return inputs.shape if shape is None else shape

    def native_form(self, into: Any, inputs: Any) -> Any:
        if self.noise_shape is not None:
            raise into.refusal(self, f"noise_shape={self.noise_shape}", "AlphaDropout without noise_shape")
        if into.training:
            return into.elementwise(partial(F.alpha_dropout, p=self.rate, training=True), inputs)
        return _dropped(self, into, nn.AlphaDropout, inputs)

    def apply_pattern(self, inputs: Tensor, kept: Tensor) -> Tensor:
        limit = -1.6732632423543772 * 1.0507009873554805
        scale = (self._keep * (1 + self.rate * limit**2)) ** -0.5 if self._keep else 0.0
        return scale * (inputs * kept + limit * (1 - kept)) - scale * limit * self.rate


class AddedNoise(nn.Module):
    """Adds normal noise of mean 0 in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stddev * torch.randn_like(x) if self.training else x


class MultipliedNoise(nn.Module):
    """Multiplies by normal noise of mean 1 in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.stddev * torch.randn_like(x)) if self.training else x


def _noisy(layer: Any, into: Any, kind: Any, stddev: float, inputs: Any) -> Any:
    """Noise by a module that looks at its mode, or as it is in the mode in which the call stays."""
    if into.training is False or not stddev:
        return inputs
    if into.training:
        noise = stddev * torch.randn_like(inputs)
        return inputs + noise if kind is AddedNoise else inputs * (1 + noise)
    return into.elementwise(into.module(layer, kind, stddev), inputs)


@registry.layers.register()
class GaussianNoise(_Noise):
    """In training adds normal noise of mean 0.

    Args:
        stddev: the noise's standard deviation.
        seed: with one, every run of the same program draws the same noise.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a stddev that is no number of 0 or more.

    Example:
        >>> layer = layers.GaussianNoise(0.1, seed=0)
        >>> layer(torch.ones(3)), layer(torch.ones(3), training=False)
        (tensor([1.1541, 0.9707, 0.7821]), tensor([1., 1., 1.]))
    """

    def __init__(self, stddev: float, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(seed=seed, **common)
        if not isinstance(stddev, (int, float)) or isinstance(stddev, bool) or stddev < 0:
            raise GraphError(
                explain("GaussianNoise", got=f"stddev={stddev!r}", expected="a number of 0 or more")
            )
        self.stddev = stddev

    def forward(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not (self.training if training is None else training) or self.stddev == 0:
            return inputs
        generator = self._generators.on(inputs.device)
        return inputs + torch.empty_like(inputs).normal_(0.0, self.stddev, generator=generator)

    def native_form(self, into: Any, inputs: Any) -> Any:
        return _noisy(self, into, AddedNoise, self.stddev, inputs)


@registry.layers.register()
class GaussianDropout(_Noise):
    """In training multiplies by normal noise of mean 1 and variance rate / (1 - rate).

    Source: Srivastava et al. 2014, section 10.

    Args:
        rate: which Dropout the noise is as strong as; from 0 to less than 1.
        seed: with one, every run of the same program draws the same noise.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: a rate of 1, or one that is not from 0 to 1.

    Example:
        >>> layer = layers.GaussianDropout(0.2, seed=0)
        >>> layer(torch.ones(3)), layer(torch.ones(3), training=False)
        (tensor([ 1.7705,  0.8533, -0.0894]), tensor([1., 1., 1.]))
    """

    def __init__(self, rate: float, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(seed=seed, **common)
        self.rate = fraction("GaussianDropout", "rate", rate)
        if rate == 1:
            raise GraphError(
                explain(
                    "GaussianDropout",
                    got="rate=1",
                    expected="a number less than 1",
                    why="the noise would be infinite",
                )
            )
        self._stddev = math.sqrt(rate / (1 - rate))

    def forward(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not (self.training if training is None else training) or self.rate == 0:
            return inputs
        generator = self._generators.on(inputs.device)
        return inputs * torch.empty_like(inputs).normal_(1.0, self._stddev, generator=generator)

    def native_form(self, into: Any, inputs: Any) -> Any:
        return _noisy(self, into, MultipliedNoise, self._stddev, inputs)


@registry.layers.register()
class ActivityRegularization(Layer):
    """Adds (l1 * sum(|x|) + l2 * sum(x^2)) / batch size of what passes to the loss.

    Args:
        l1: the weight of the absolute values.
        l2: the weight of the squares.
        name, trainable, dtype, input_shape: as for every Layer.

    Example:
        >>> layer = layers.ActivityRegularization(l1=0.1)
        >>> _ = layer([[1.0, -3.0], [0.0, 0.0]])
        >>> layer.losses  # 0.1 * 4 / 2
        [tensor(0.2000)]
    """

    supports_masking: bool = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **common: Unpack[CommonButActivity]) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **common)
        self.l1 = l1
        self.l2 = l2

    def check_input(self, *shapes: Any) -> None:
        one_shape(self, shapes[0])

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return config
