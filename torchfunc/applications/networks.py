"""Applications: torchvision's networks as graphs, whose every intermediate tensor can be taken out.

Each function builds torchvision's own network and traces it into a Model: the same weights, and the same
outputs to the bit. Images are channels-last, as Keras has them; the graph begins with a view of them as
channels-first, which is how all further tensors lie. The models come in inference mode, in which they
are used first: `fit` trains them in training mode, and a loop of your own calls `model.train()` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import activations, registry
from torchfunc.errors import GraphError, SavingError, ShapeError, TorchfuncError, WeightMismatchError, explain
from torchfunc.graph.symbolic import Input
from torchfunc.interop import torchvision
from torchfunc.interop.fx import apply, assembled
from torchfunc.layers import image_data_format
from torchfunc.layers.layer import Common, Layer
from torchfunc.models.loading import load_weights

# the mean and deviation of the red, green and blue of its images
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Application:
    """A network of torchvision's, as a function that builds a Model of it.

    Args:
        name: what the function is called.
        builder: what torchvision calls the network.
        paper: where it comes from.
    """

    def __init__(self, name: str, builder: str, paper: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = f"{name} for images, by torchvision ({paper}).\n\n{type(self).__call__.__doc__}"
        self.builder = builder

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
    ) -> Any:
        """The first seven arguments are Keras's.

        Args:
            include_top: whether the model ends in its classifier; if not, in the last feature maps.
            weights: None for random ones, "imagenet" for torchvision's best, which it downloads once, or a
                `.safetensors` file with the names of torchvision's network or of this model. None by
                default, which is what torchvision does: nothing reaches for the network unasked, and a
                program gives the same result with a connection and without.
            input_tensor: a symbolic tensor to build on, instead of a new Input.
            input_shape: the shape of one image, (224, 224, 3) by default; None where sizes may differ.
            pooling: without the top, "avg" or "max" for one vector an image; None for the feature maps.
            classes: how many classes the top tells apart.
            classifier_activation: what the top's logits are put through, such as "softmax"; None, and so the
                logits themselves, by default.
            data_format: "channels_last" or "channels_first"; by default the global setting.
            name: what the model is called; by default what torchvision calls the network.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError: arguments that do not fit each other; ShapeError for images without 3 channels.
            SavingError: a weights file that does not fit, or of another kind.
            MissingExtraError: torchvision is not installed.
        """
        _check_sizes(self.__name__, include_top, input_shape, classes)
        _check(self.__name__, data_format, pooling, weights, classes if include_top else 1000)
        is_first = (data_format or image_data_format()) == "channels_first"
        network = _network(self.builder, weights, classes)
        inputs = Input(_image_shape(input_shape, is_first)) if input_tensor is None else input_tensor
        logits, paths = apply(network, (inputs if is_first else inputs.permute(0, 3, 1, 2),))
        if include_top:
            outputs = (
                logits if classifier_activation is None else activations.get(classifier_activation)(logits)
            )
        else:
            outputs = _pooled(_features(logits), pooling, is_first)
        model = assembled(inputs, outputs, paths, name=name or self.builder)
        if isinstance(weights, Path) or weights not in (None, "imagenet"):
            _load(network, model, Path(weights))
        return model.eval()


def _check_sizes(name: str, include_top: Any, input_shape: Any, classes: Any) -> None:
    is_count = isinstance(classes, int) and not isinstance(classes, bool) and classes > 0
    fitting = input_shape is None or isinstance(input_shape, (list, tuple))
    for argument, value, fits, expected in (
        # as in VGG19("imagenet"), which would be a model of random weights
        (
            "include_top",
            include_top,
            isinstance(include_top, bool),
            "True or False; weights go by their name",
        ),
        ("classes", classes, is_count, "a positive integer"),
        ("input_shape", input_shape, fitting, "the shape of one image, such as (224, 224, 3)"),
    ):
        if not fits:
            raise GraphError(explain(name, got=f"{argument}={value!r}", expected=expected))


def _check(name: str, data_format: str | None, pooling: str | None, weights: Any, classes: int) -> None:
    for argument, value, known in (
        ("data_format", data_format, ("channels_last", "channels_first")),
        ("pooling", pooling, ("avg", "max")),
    ):
        if value is not None and value not in known:
            raise GraphError(
                explain(name, got=f"{argument}={value!r}", expected=" or ".join(map(repr, known)))
            )
    if weights == "imagenet" and classes != 1000:
        raise GraphError(
            explain(
                name,
                got=f"weights='imagenet' with classes={classes}",
                expected="classes=1000",
                why="ImageNet has 1000 classes",
                fix=f"include_top=False, and layers.Dense({classes}) on the model's output",
            )
        )
    if weights not in (None, "imagenet") and Path(weights).suffix != ".safetensors":
        raise SavingError(
            explain(
                name,
                got=f"weights={str(weights)!r}",
                expected="None, 'imagenet' or a .safetensors file",
                why="other files of weights hold pickled Python, which runs when it is read",
                fix="safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')",
            )
        )


def _network(builder: str, weights: Any, classes: int) -> nn.Module:
    """torchvision's network, with layers in it that a file can name."""
    models = torchvision.load().models
    if weights == "imagenet":
        try:
            network = models.get_model(builder, weights="DEFAULT")
        except OSError as error:
            raise TorchfuncError(
                explain(
                    f"{builder}(weights='imagenet')",
                    got=f"no answer from torchvision's server ({error})",
                    expected="a connection, for the first time",
                    fix="weights=None for random ones, or a .safetensors file",
                )
            ) from error
    else:
        network = models.get_model(builder, weights=None, num_classes=classes)
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child).__name__ == "StochasticDepth":
                setattr(parent, name, StochasticDepth(child.p, child.mode))
    made: nn.Module = network.eval()
    return made


def _image_shape(shape: Sequence[int | None] | None, is_first: bool) -> tuple[int | None, ...]:
    whole = tuple(shape) if shape is not None else (3, 224, 224) if is_first else (224, 224, 3)
    if len(whole) != 3 or whole[0 if is_first else -1] != 3:
        expected = "(3, height, width)" if is_first else "(height, width, 3)"
        raise ShapeError(explain("input_shape", got=f"{whole}", expected=expected))
    return whole


def _features(logits: Any) -> Any:
    """The last feature maps: what the pooling before the classifier is called on."""
    node = logits.node
    while not _is_pooling(node.target):
        node = next(node.inputs()).node
    return next(node.inputs())


def _is_pooling(target: Any) -> bool:
    return isinstance(target, nn.AdaptiveAvgPool2d) or target is nn.functional.adaptive_avg_pool2d


def _pooled(features: Any, pooling: str | None, is_first: bool) -> Any:
    if pooling is not None:
        return features.mean((2, 3)) if pooling == "avg" else features.amax((2, 3))
    return features if is_first else features.permute(0, 2, 3, 1)


def _load(network: nn.Module, model: nn.Module, path: Path) -> None:
    """Read a file of weights under torchvision's names, or else under those of the model."""
    try:
        load_weights(network, path)
    except WeightMismatchError as error:
        try:
            load_weights(model, path)
        except WeightMismatchError:
            raise error from None


@registry.layers.register("StochasticDepth")
class StochasticDepth(Layer):
    """Drop a whole branch at random in training, as torchvision does (Huang et al. 2016, arXiv:1603.09382).

    Args:
        p: the probability that a branch is set to zero.
        mode: "row" to choose for each sample, "batch" to choose once for all.
    """

    def __init__(self, p: float, mode: str = "row", **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.p = p
        self.mode = mode

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return inputs
        kept = 1.0 - self.p
        count = inputs.shape[0] if self.mode == "row" else 1
        noise = inputs.new_empty((count, *(1 for _ in inputs.shape[1:]))).bernoulli_(kept)
        return inputs * (noise.div_(kept) if kept > 0.0 else noise)


def preprocess_input(images: Any, data_format: str | None = None) -> Any:
    """Images with values 0 to 255 as the networks with weights="imagenet" expect them.

    Args:
        images: an array or tensor of RGB images, one or a batch.
        data_format: "channels_last" or "channels_first"; by default the global setting.

    Returns:
        The same as float32, with the mean and deviation of ImageNet taken out.
    """
    is_first = (data_format or image_data_format()) == "channels_first"
    tensor = torch.as_tensor(images).float() / 255.0
    mean, deviation = (tensor.new_tensor(each).reshape((3, 1, 1) if is_first else (3,)) for each in _IMAGENET)
    made = (tensor - mean) / deviation
    return made if isinstance(images, Tensor) else made.numpy()


VGG16 = Application("VGG16", "vgg16", "Simonyan and Zisserman 2014, arXiv:1409.1556")
VGG19 = Application("VGG19", "vgg19", "Simonyan and Zisserman 2014, arXiv:1409.1556")
ResNet18 = Application("ResNet18", "resnet18", "He et al. 2015, arXiv:1512.03385")
ResNet50 = Application("ResNet50", "resnet50", "He et al. 2015, arXiv:1512.03385")
MobileNetV3Small = Application(
    "MobileNetV3Small", "mobilenet_v3_small", "Howard et al. 2019, arXiv:1905.02244"
)
MobileNetV3Large = Application(
    "MobileNetV3Large", "mobilenet_v3_large", "Howard et al. 2019, arXiv:1905.02244"
)
EfficientNetB0 = Application("EfficientNetB0", "efficientnet_b0", "Tan and Le 2019, arXiv:1905.11946")
DenseNet121 = Application("DenseNet121", "densenet121", "Huang et al. 2016, arXiv:1608.06993")
ConvNeXtTiny = Application("ConvNeXtTiny", "convnext_tiny", "Liu et al. 2022, arXiv:2201.03545")
