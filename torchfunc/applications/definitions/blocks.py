"""What the definitions are made of: layers for channels-last images, and the end of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from torchfunc import layers

Make = Callable[..., Any]


def made(kind: Make, **options: Any) -> Make:
    """A layer's class with some arguments given."""
    return partial(kind, **options)


def _last(kind: Make, **options: Any) -> Make:
    """For channels-last images, whatever the global order: a definition's images lie so."""
    return made(kind, data_format="channels_last", **options)


conv = _last(layers.Conv2D, padding="same", use_bias=False)
depthwise = _last(layers.DepthwiseConv2D, padding="same", use_bias=False)
separable = _last(layers.SeparableConv2D, padding="same", use_bias=False)
max_pool = _last(layers.MaxPooling2D)
average_pool = _last(layers.AveragePooling2D)
zero_pad = _last(layers.ZeroPadding2D)
crop = _last(layers.Cropping2D)
global_average = _last(layers.GlobalAveragePooling2D)
global_max = _last(layers.GlobalMaxPooling2D)
normal = made(layers.BatchNormalization)


def activated(x: Any, activation: Any, name: str | None = None) -> Any:
    return layers.Activation(activation, name=name)(x)


def relu(x: Any, name: str | None = None) -> Any:
    return activated(x, "relu", name)


def halving_pad(x: Any, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding before a valid convolution with stride 2 that leaves the centers where "same" has them."""
    height, width = (
        (kernel // 2 - (0 if size is None or size % 2 else 1), kernel // 2) for size in x.shape[1:3]
    )
    return height, width


class Head(NamedTuple):
    """What comes after the last feature maps: a classifier, one vector an image, or nothing."""

    include_top: bool
    pooling: str | None
    classes: int
    activation: Any

    def __call__(self, x: Any, *, dropout: float = 0.0, initializer: Any = "glorot_uniform") -> Any:
        if not self.include_top:
            return self.pooled(x)
        x = global_average(name="avg_pool")(x)
        if dropout > 0:
            x = layers.Dropout(dropout, name="top_dropout")(x)
        return self.classified(x, "predictions", initializer)

    def classified(self, x: Any, name: str, initializer: Any = "glorot_uniform") -> Any:
        return layers.Dense(
            self.classes, activation=self.activation, kernel_initializer=initializer, name=name
        )(x)

    def pooled(self, x: Any) -> Any:
        if self.pooling is None:
            return x
        pool = global_average(name="avg_pool") if self.pooling == "avg" else global_max(name="max_pool")
        return pool(x)


def joined(branches: Sequence[Any], name: str | None = None) -> Any:
    return layers.Concatenate(name=name)(list(branches))


def added(branches: Sequence[Any], name: str | None = None) -> Any:
    return layers.Add(name=name)(list(branches))
