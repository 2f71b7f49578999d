"""The table of the applications: each name with the network that stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchfunc.applications.definitions.efficientnet_v2 import efficientnet_v2
from torchfunc.applications.definitions.inception_resnet_v2 import inception_resnet_v2
from torchfunc.applications.definitions.mobilenet import mobilenet
from torchfunc.applications.definitions.nasnet import nasnet
from torchfunc.applications.definitions.resnet_v2 import resnet_v2
from torchfunc.applications.definitions.xception import xception
from torchfunc.applications.networks import Application, Asked
from torchfunc.applications.origins import (
    Definition,
    Timm,
    Torchvision,
    convnext_xlarge,
    inception_v3,
    mobilenet_v2,
    mobilenet_v3,
)


class _FirstMobileNet(Application):
    """With Keras's arguments of MobileNet, in their order."""

    def __call__(  # type: ignore[override]
        self,
        input_shape: Sequence[int | None] | None = None,
        alpha: float = 1.0,
        depth_multiplier: int = 1,
        dropout: float = 1e-3,
        include_top: bool = True,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = None,
        name: str | None = None,
        *,
        data_format: str | None = None,
        include_preprocessing: bool | None = None,
    ) -> Any:
        """The arguments come in Keras's order.

        Args:
            alpha: a factor of all widths.
            depth_multiplier: the filters for each channel of its depthwise convolutions.
            dropout: the share that is dropped before the classifier.
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format, name,
            include_preprocessing: as for ResNet50.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError, ShapeError, SavingError, MissingExtraError: as ResNet50.

        Example:
            >>> applications.MobileNet(alpha=0.25, include_top=False, pooling="avg").output_shape
            (None, 256)
        """
        asked = Asked(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format,
            name, include_preprocessing,
        )  # fmt: skip
        return self._made(asked, alpha=alpha, depth_multiplier=depth_multiplier, dropout=dropout)


class _SecondMobileNet(Application):
    """With Keras's arguments of MobileNetV2, in their order."""

    def __call__(  # type: ignore[override]
        self,
        input_shape: Sequence[int | None] | None = None,
        alpha: float = 1.0,
        include_top: bool = True,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = None,
        name: str | None = None,
        *,
        data_format: str | None = None,
        include_preprocessing: bool | None = None,
    ) -> Any:
        """The arguments come in Keras's order.

        Args:
            alpha: a factor of all widths.
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format, name,
            include_preprocessing: as for ResNet50.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError, ShapeError, SavingError, MissingExtraError: as ResNet50.
        """
        asked = Asked(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format,
            name, include_preprocessing,
        )  # fmt: skip
        return self._made(asked, alpha=alpha)


class _ThirdMobileNet(Application):
    """With Keras's own arguments of MobileNetV3."""

    def __call__(
        self,
        include_top: bool = True,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        input_shape: Sequence[int | None] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = None,
        *,
        data_format: str | None = None,
        name: str | None = None,
        include_preprocessing: bool | None = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        dropout_rate: float = 0.2,
    ) -> Any:
        """The arguments that only this network has come by name.

        Args:
            alpha: a factor of all widths.
            minimalistic: whether kernels are of 3, no channels are weighed, and relu is in place of hard swish.
            dropout_rate: the share that is dropped before the classifier.
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format, name,
            include_preprocessing: as for ResNet50.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError, ShapeError, SavingError, MissingExtraError: as ResNet50.
        """
        asked = Asked(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format,
            name, include_preprocessing,
        )  # fmt: skip
        return self._made(asked, alpha=alpha, minimalistic=minimalistic, dropout_rate=dropout_rate)


class _NASNet(Application):
    """With Keras's arguments of the NASNets, in their order."""

    def __call__(  # type: ignore[override]
        self,
        input_shape: Sequence[int | None] | None = None,
        include_top: bool = True,
        weights: str | Path | None = None,
        input_tensor: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = None,
        name: str | None = None,
        *,
        data_format: str | None = None,
        include_preprocessing: bool | None = None,
    ) -> Any:
        """The arguments come in Keras's order.

        Args:
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format, name,
            include_preprocessing: as for ResNet50.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError, ShapeError, SavingError, MissingExtraError: as ResNet50.
        """
        asked = Asked(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format,
            name, include_preprocessing,
        )  # fmt: skip
        return self._made(asked)


_VGG = "Simonyan and Zisserman 2014, arXiv:1409.1556"
VGG16 = Application("VGG16", _VGG, Torchvision("vgg16"), form="caffe")
VGG19 = Application("VGG19", _VGG, Torchvision("vgg19"), form="caffe")

_RESNET = "He et al. 2015, arXiv:1512.03385"
ResNet18 = Application("ResNet18", _RESNET, Torchvision("resnet18"))
ResNet50 = Application("ResNet50", _RESNET, Torchvision("resnet50"), form="caffe")
ResNet101 = Application("ResNet101", _RESNET, Torchvision("resnet101"), form="caffe")
ResNet152 = Application("ResNet152", _RESNET, Torchvision("resnet152"), form="caffe")

_RESNET_V2 = "He et al. 2016, arXiv:1603.05027"
ResNet50V2 = Application(
    "ResNet50V2",
    _RESNET_V2,
    Definition("resnet50v2", resnet_v2, depths=(3, 4, 6, 3)),
    Timm("resnetv2_50.a1h_in1k"),
    form="tf",
)
ResNet101V2 = Application(
    "ResNet101V2",
    _RESNET_V2,
    Definition("resnet101v2", resnet_v2, depths=(3, 4, 23, 3)),
    Timm("resnetv2_101.a1h_in1k"),
    form="tf",
)
ResNet152V2 = Application(
    "ResNet152V2", _RESNET_V2, Definition("resnet152v2", resnet_v2, depths=(3, 8, 36, 3)), form="tf"
)

_DENSENET = "Huang et al. 2016, arXiv:1608.06993"
DenseNet121 = Application("DenseNet121", _DENSENET, Torchvision("densenet121"))
DenseNet169 = Application("DenseNet169", _DENSENET, Torchvision("densenet169"))
DenseNet201 = Application("DenseNet201", _DENSENET, Torchvision("densenet201"))

_INCEPTION = "Szegedy et al. 2015, arXiv:1512.00567"
InceptionV3 = Application(
    "InceptionV3", _INCEPTION, Torchvision("inception_v3", inception_v3), form="tf", size=299
)
InceptionResNetV2 = Application(
    "InceptionResNetV2",
    "Szegedy et al. 2016, arXiv:1602.07261",
    Definition("inception_resnet_v2", inception_resnet_v2),
    Timm("inception_resnet_v2.tf_in1k"),
    form="tf",
    size=299,
)
Xception = Application(
    "Xception",
    "Chollet 2016, arXiv:1610.02357",
    Definition("xception", xception),
    Timm("legacy_xception.tf_in1k"),
    form="tf",
    size=299,
)

MobileNet = _FirstMobileNet(
    "MobileNet",
    "Howard et al. 2017, arXiv:1704.04861",
    Definition("mobilenet", mobilenet),
    Timm("mobilenetv1_100.ra4_e3600_r224_in1k"),
    form="tf",
)
MobileNetV2 = _SecondMobileNet(
    "MobileNetV2",
    "Sandler et al. 2018, arXiv:1801.04381",
    Torchvision("mobilenet_v2", mobilenet_v2),
    form="tf",
)
_MOBILENET_V3 = "Howard et al. 2019, arXiv:1905.02244"
MobileNetV3Small = _ThirdMobileNet(
    "MobileNetV3Small", _MOBILENET_V3, Torchvision("mobilenet_v3_small", mobilenet_v3), form="pixels"
)
MobileNetV3Large = _ThirdMobileNet(
    "MobileNetV3Large", _MOBILENET_V3, Torchvision("mobilenet_v3_large", mobilenet_v3), form="pixels"
)

_NASNET = "Zoph et al. 2017, arXiv:1707.07012"
NASNetMobile = _NASNet(
    "NASNetMobile",
    _NASNET,
    Definition("nasnet_mobile", nasnet, penultimate=1056, repeats=4, stem=32, skips=False),
    form="tf",
    fixed_size=True,
)
NASNetLarge = _NASNet(
    "NASNetLarge",
    _NASNET,
    Definition("nasnet_large", nasnet, penultimate=4032, repeats=6, stem=96, skips=True),
    Timm("nasnetalarge.tf_in1k"),
    form="tf",
    size=331,
    fixed_size=True,
)


def _efficientnet(number: int, size: int) -> Application:
    paper = "Tan and Le 2019, arXiv:1905.11946"
    source = Torchvision(f"efficientnet_b{number}")
    return Application(f"EfficientNetB{number}", paper, source, form="pixels", size=size)


EfficientNetB0 = _efficientnet(0, 224)
EfficientNetB1 = _efficientnet(1, 240)
EfficientNetB2 = _efficientnet(2, 260)
EfficientNetB3 = _efficientnet(3, 300)
EfficientNetB4 = _efficientnet(4, 380)
EfficientNetB5 = _efficientnet(5, 456)
EfficientNetB6 = _efficientnet(6, 528)
EfficientNetB7 = _efficientnet(7, 600)


def _small_efficientnet_v2(number: int, size: int, width: float, depth: float) -> Application:
    name = f"efficientnetv2-b{number}"
    own = Definition(name, efficientnet_v2, width=width, depth=depth)
    trained = Timm(f"tf_efficientnetv2_b{number}.in1k")
    return Application(f"EfficientNetV2B{number}", _EFFICIENT_V2, own, trained, form="pixels", size=size)


_EFFICIENT_V2 = "Tan and Le 2021, arXiv:2104.00298"
EfficientNetV2B0 = _small_efficientnet_v2(0, 224, 1.0, 1.0)
EfficientNetV2B1 = _small_efficientnet_v2(1, 240, 1.0, 1.1)
EfficientNetV2B2 = _small_efficientnet_v2(2, 260, 1.1, 1.2)
EfficientNetV2B3 = _small_efficientnet_v2(3, 300, 1.2, 1.4)
EfficientNetV2S = Application(
    "EfficientNetV2S", _EFFICIENT_V2, Torchvision("efficientnet_v2_s"), form="pixels", size=384
)
EfficientNetV2M = Application(
    "EfficientNetV2M", _EFFICIENT_V2, Torchvision("efficientnet_v2_m"), form="pixels", size=480
)
EfficientNetV2L = Application(
    "EfficientNetV2L", _EFFICIENT_V2, Torchvision("efficientnet_v2_l"), form="pixels", size=480
)

_CONVNEXT = "Liu et al. 2022, arXiv:2201.03545"
ConvNeXtTiny = Application("ConvNeXtTiny", _CONVNEXT, Torchvision("convnext_tiny"), form="pixels")
ConvNeXtSmall = Application("ConvNeXtSmall", _CONVNEXT, Torchvision("convnext_small"), form="pixels")
ConvNeXtBase = Application("ConvNeXtBase", _CONVNEXT, Torchvision("convnext_base"), form="pixels")
ConvNeXtLarge = Application("ConvNeXtLarge", _CONVNEXT, Torchvision("convnext_large"), form="pixels")
ConvNeXtXLarge = Application(
    "ConvNeXtXLarge",
    _CONVNEXT,
    Torchvision("convnext_xlarge", convnext_xlarge),
    Timm("convnext_xlarge.fb_in22k_ft_in1k"),
    form="pixels",
)
