"""Where a network comes from: torchvision or timm, whose modules are traced, or a definition of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from torchfunc import activations, layers
from torchfunc.applications.definitions.blocks import Head
from torchfunc.applications.inside import ChannelScaling, StochasticDepth
from torchfunc.applications.pixels import DEVIATION, FORMS, MEAN, Channels, Form
from torchfunc.errors import TorchfuncError, explain
from torchfunc.interop import timm, torchvision
from torchfunc.interop.fx import Paths, apply

_ORIGIN: Channels = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Drawn:
    """What a network makes of images: a graph, and the module that it was traced from, if any."""

    outputs: Any
    module: nn.Module | None = None
    paths: Paths = field(default_factory=dict)


class Source:
    """A network by its name at its source.

    Attributes:
        name: the name there.
        axis: the axis of the channels of the images that it takes and of the maps that it gives.
    """

    name: str
    axis: int = 1

    def scaled(self, x: Any, form: Form) -> Any:
        """Images in the form of a family put into the form of the network."""
        raise NotImplementedError

    def draw(self, x: Any, head: Head, pretrained: bool, options: Mapping[str, Any]) -> Drawn:
        raise NotImplementedError


class Torchvision(Source):
    """A network of torchvision's.

    Args:
        name: what torchvision calls it.
        make: how it is made, if not by its name: from the name, the number of classes and options.
    """

    def __init__(self, name: str, make: Callable[..., nn.Module] | None = None) -> None:
        self.name = name
        self.make = make or _named

    def scaled(self, x: Any, form: Form) -> Any:
        if self.name == "inception_v3":  # whose own change from ImageNet's mean is left out
            return _rescaled(x, form, _ORIGIN, _ORIGIN)
        if self.name == "convnext_xlarge":
            return _rescaled(x, form, MEAN, DEVIATION)
        found = torchvision.load().models.get_model_weights(self.name).DEFAULT.transforms()
        return _rescaled(x, form, found.mean, found.std)

    def draw(self, x: Any, head: Head, pretrained: bool, options: Mapping[str, Any]) -> Drawn:
        if pretrained:
            models = torchvision.load().models
            network = _downloaded(
                f"{self.name}(weights='imagenet')", lambda: models.get_model(self.name, weights="DEFAULT")
            )
        else:
            network = self.make(self.name, head.classes, **options)
        _take_channels(network, x.shape[1])
        _make_drawable(network)
        logits, paths = apply(network.eval(), (x,))
        if not head.include_top:
            return Drawn(_pooled(_features(logits), head.pooling), network, paths)
        return Drawn(_activated(logits, head.activation), network, paths)


class Timm(Source):
    """A network of timm's, with its weights."""

    def __init__(self, name: str) -> None:
        self.name = name

    def scaled(self, x: Any, form: Form) -> Any:
        found = timm.load().get_pretrained_cfg(self.name)
        return _rescaled(x, form, found.mean, found.std)

    def draw(self, x: Any, head: Head, pretrained: bool, options: Mapping[str, Any]) -> Drawn:
        whole = {} if head.include_top else {"num_classes": 0, "global_pool": ""}
        create = timm.load().create_model
        network = _downloaded(
            f"timm's {self.name}", lambda: create(self.name, pretrained=pretrained, **whole)
        )
        _make_drawable(network)
        outputs, paths = apply(network.eval(), (x,))
        if not head.include_top:
            return Drawn(_pooled(outputs, head.pooling), network, paths)
        return Drawn(_activated(outputs, head.activation), network, paths)


class Definition(Source):
    """A network by Keras's definition, of our own layers under Keras's names.

    Args:
        name: what Keras calls the model.
        function: from images and a Head to outputs.
        fixed: the options that it always has.
    """

    axis = -1

    def __init__(self, name: str, function: Callable[..., Any], **fixed: Any) -> None:
        self.name = name
        self.function = function
        self.fixed = fixed

    def scaled(self, x: Any, form: Form) -> Any:
        """It takes the form of its family; pixels it brings to ImageNet's mean and deviation, by Keras's layers."""
        if form is not FORMS["pixels"]:
            return x
        variance = [each**2 for each in DEVIATION]
        return layers.Normalization(mean=MEAN, variance=variance)(layers.Rescaling(1.0 / 255)(x))

    def draw(self, x: Any, head: Head, pretrained: bool, options: Mapping[str, Any]) -> Drawn:
        return Drawn(self.function(x, head, **self.fixed, **options))


def _rescaled(x: Any, form: Form, mean: Sequence[float], deviation: Sequence[float]) -> Any:
    """Channels-first images with values 0 to 255 in some form as parts of 1, less the mean, over the deviation."""
    factors = [factor / (255 * one) for factor, one in zip(form.factors, deviation, strict=True)]
    offsets = [
        (offset / 255 - one) / other for offset, one, other in zip(form.offsets, mean, deviation, strict=True)
    ]
    if all(math.isclose(each, 1.0) for each in factors) and max(map(abs, offsets)) < 1e-9:
        return x
    made = ChannelScaling(factors, offsets, form.reverse, "channels_first", name="preprocessing")
    return made(x)


def _named(name: str, classes: int, **options: Any) -> nn.Module:
    made: nn.Module = torchvision.load().models.get_model(name, weights=None, num_classes=classes, **options)
    return made


def inception_v3(name: str, classes: int) -> nn.Module:
    """With the initialization that torchvision asks about."""
    return _named(name, classes, init_weights=True)


def mobilenet_v2(name: str, classes: int, alpha: float) -> nn.Module:
    return _named(name, classes, width_mult=alpha)


def mobilenet_v3(name: str, classes: int, alpha: float, minimalistic: bool, dropout_rate: float) -> nn.Module:
    """A MobileNetV3 of another width, and without its larger kernels, weighed channels and hard swish if asked."""
    if alpha == 1.0 and not minimalistic:
        return _named(name, classes, dropout=dropout_rate)
    parts = torchvision.load().models.mobilenetv3
    rounded = parts.InvertedResidualConfig.adjust_channels
    settings, last = parts._mobilenet_v3_conf(name)
    entering = settings[0].input_channels
    for each in settings:  # by Keras's way to round: an expansion is one of the width that enters
        expansion = each.expanded_channels / each.input_channels
        each.input_channels, each.expanded_channels = entering, rounded(entering * expansion, 1.0)
        entering = each.out_channels = rounded(each.out_channels, alpha)
        if minimalistic:
            each.kernel, each.use_se, each.use_hs = 3, False, False
    last = rounded(last, max(alpha, 1.0))
    made: nn.Module = parts.MobileNetV3(settings, last, num_classes=classes, dropout=dropout_rate)
    for parent in made.modules() if minimalistic else ():
        for place, child in parent.named_children():
            if isinstance(child, nn.Hardswish):
                setattr(parent, place, nn.ReLU(inplace=True))
    return made


def convnext_xlarge(name: str, classes: int) -> nn.Module:
    """The ConvNeXt that torchvision has the parts of, and not the whole."""
    parts = torchvision.load().models.convnext
    widths, depths = (256, 512, 1024, 2048, None), (3, 3, 27, 3)
    stages = zip(widths, widths[1:], depths, strict=False)
    made: nn.Module = parts.ConvNeXt([parts.CNBlockConfig(*each) for each in stages], num_classes=classes)
    return made


def _downloaded(what: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except OSError as error:
        raise TorchfuncError(
            explain(
                what,
                got=f"no answer from the server of its weights ({error})",
                expected="a connection, for the first time",
                fix="weights=None for random ones, or a .safetensors file",
            )
        ) from error


def _make_drawable(network: nn.Module) -> None:
    """Give a network layers that a file can name, and calls that are the same in training and after it."""
    if type(network).__name__ == "Inception3":
        for attribute, value in (("transform_input", False), ("aux_logits", False), ("AuxLogits", None)):
            setattr(network, attribute, value)
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child).__name__ == "StochasticDepth":
                theirs: Any = child
                setattr(parent, name, StochasticDepth(theirs.p, theirs.mode))
            elif type(child).__name__ == "BatchNormAct2d":
                setattr(parent, name, _apart(child))


def _apart(normalizing: Any) -> nn.Module:
    """timm's batch normalization with an activation as the two."""
    features, momentum = normalizing.num_features, normalizing.momentum
    plain = nn.BatchNorm2d(features, normalizing.eps, momentum, normalizing.affine)
    plain.load_state_dict(normalizing.state_dict())
    return nn.Sequential(plain, normalizing.drop, normalizing.act)


def _take_channels(network: nn.Module, channels: int) -> None:
    """Let the first convolution take another number of channels."""
    path, first = next((path, each) for path, each in network.named_modules() if isinstance(each, nn.Conv2d))
    if first.in_channels == channels:
        return
    kernel, stride, padding = first.kernel_size, first.stride, first.padding
    parent, _, name = path.rpartition(".")
    new = nn.Conv2d(channels, first.out_channels, kernel, stride, padding, bias=first.bias is not None)  # type: ignore[arg-type]
    setattr(network.get_submodule(parent), name, new)


def _features(logits: Any) -> Any:
    """The last feature maps: what the pooling before the classifier is called on."""
    node = logits.node
    while not _is_pooling(node.target):
        node = next(node.inputs()).node
    return next(node.inputs())


def _is_pooling(target: Any) -> bool:
    return isinstance(target, nn.AdaptiveAvgPool2d) or target is nn.functional.adaptive_avg_pool2d


def _pooled(features: Any, pooling: str | None) -> Any:
    if pooling is None:
        return features
    return features.mean((2, 3)) if pooling == "avg" else features.amax((2, 3))


def _activated(logits: Any, activation: Any) -> Any:
    return logits if activation is None else activations.get(activation)(logits)
