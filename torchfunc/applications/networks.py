"""Applications: networks for images as graphs, whose every intermediate tensor can be taken out.

Each is a function that builds a Model. Where torchvision has the network, its own is traced: the same
weights, and the same outputs to the bit. Others are Keras's definition on our own layers. Images are
channels-last, as Keras has them; the graph of a traced network begins with a view of them as
channels-first, which is how all further tensors lie. The models come in inference mode, in which they
are used first: `fit` trains them in training mode, and a loop of your own calls `model.train()` first.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from torchfunc.applications.definitions.blocks import Head
from torchfunc.applications.origins import Definition, Source, Timm
from torchfunc.applications.pixels import FORMS
from torchfunc.errors import GraphError, SavingError, ShapeError, WeightMismatchError, explain
from torchfunc.graph.symbolic import Input
from torchfunc.interop.fx import assembled
from torchfunc.layers import image_data_format
from torchfunc.models.loading import load_weights
from torchfunc.saving.formats import format_of

_EXAMPLE = """Example:
    >>> applications.{name}.size, applications.{name}.form
    ({size}, {form!r})
"""


class Asked(NamedTuple):
    """The arguments that all applications have."""

    include_top: bool
    weights: str | Path | None
    input_tensor: Any
    input_shape: Sequence[int | None] | None
    pooling: str | None
    classes: int
    classifier_activation: Any
    data_format: str | None
    name: str | None
    include_preprocessing: bool | None

    @property
    def is_pretrained(self) -> bool:
        return self.weights == "imagenet"

    @property
    def is_first(self) -> bool:
        return (self.data_format or image_data_format()) == "channels_first"

    @property
    def head(self) -> Head:
        return Head(self.include_top, self.pooling, self.classes, self.classifier_activation)


class Application:
    """A network, as a function that builds a Model of it.

    Args:
        name: what the function is called.
        paper: where it comes from.
        source: the network.
        pretrained: the network that weights="imagenet" stands for, where that is another one.
        form: the form of images that `preprocess_input` of its family gives: "caffe", "tf", "torch" or "pixels".
        size: how high and wide its images are by default.
        fixed_size: whether images have one size also without the top.
    """

    def __init__(
        self,
        name: str,
        paper: str,
        source: Source,
        pretrained: Source | None = None,
        *,
        form: str = "torch",
        size: int = 224,
        fixed_size: bool = False,
    ) -> None:
        self.__name__ = self.__qualname__ = name
        call = inspect.cleandoc(type(self).__call__.__doc__ or "")
        example = "" if "Example:" in call else _EXAMPLE.format(name=name, size=size, form=form)
        self.__doc__ = f"{name} for images ({paper}).\n\n{call}\n\n{example}"
        self.source = source
        self.pretrained = pretrained or (None if isinstance(source, Definition) else source)
        self.form = form
        self.size = size
        self.fixed_size = fixed_size

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
    ) -> Any:
        """The first seven arguments are Keras's. The network's `size` is how high and wide images are by default, its
        `form` what `preprocess_input` of its family makes of their pixels: "caffe", "tf" or "torch", as
        `imagenet_utils.preprocess_input` calls these, or "pixels" for none of them.

        Args:
            include_top: whether the model ends in its classifier; if not, in the last feature maps.
            weights: None for random ones, "imagenet" for trained ones, which torchvision or timm downloads
                once, or a file: `.safetensors` with the names of torchvision's network or of this model, or
                one of Keras's (`.weights.h5`, `.h5`, `.keras`) where the network is Keras's definition. None by
                default, which is what torchvision does: nothing reaches for the network unasked, and a
                program gives the same result with a connection and without.
            input_tensor: a symbolic tensor to build on, instead of a new Input.
            input_shape: the shape of one image, with 3 channels, or 1 where the weights are not "imagenet"; None
                where sizes may differ. By default (224, 224, 3), or the size that the network is made for;
                without the top (None, None, 3).
            pooling: without the top, "avg" or "max" for one vector an image; None for the feature maps.
            classes: how many classes the top tells apart.
            classifier_activation: what the top's logits are put through, such as "softmax"; None, and so the
                logits themselves, by default.
            data_format: "channels_last" or "channels_first"; by default the global setting.
            name: what the model is called; by default what the network is called at its source.
            include_preprocessing: whether the model begins by putting images, as `preprocess_input` of its family
                gives them, into the form that its network is trained on. By default with weights="imagenet",
                and where Keras's definition says so.

        Returns:
            A Model in inference mode.

        Raises:
            GraphError: arguments that do not fit each other; ShapeError for images without 3 channels, or 1.
            SavingError: a weights file that does not fit, or of another kind.
            MissingExtraError: torchvision or timm is not installed.
        """
        asked = Asked(
            include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, data_format,
            name, include_preprocessing,
        )  # fmt: skip
        return self._made(asked)

    def _made(self, asked: Asked, **options: Any) -> Any:
        """A Model; `options` are the network's own, which trained weights leave as they are by default."""
        _check_sizes(self.__name__, asked)
        _check(self.__name__, asked)
        self._check_options(asked, options)
        source = self._trained() if asked.is_pretrained else self.source
        if asked.input_tensor is None:
            inputs = Input(self._image_shape(asked, isinstance(source, Timm)))
        else:
            inputs = asked.input_tensor
        x = _moved(inputs, 1 if asked.is_first else -1, source.axis)
        drawn = source.draw(self._scaled(x, source, asked), asked.head, asked.is_pretrained, options)
        outputs = drawn.outputs
        if not asked.include_top and asked.pooling is None:
            outputs = _moved(outputs, source.axis, 1 if asked.is_first else -1)
        model = assembled(inputs, outputs, drawn.paths, name=asked.name or source.name)
        if isinstance(asked.weights, Path) or asked.weights not in (None, "imagenet"):
            _load(drawn.module, model, Path(asked.weights))
        return model.eval()

    def _check_options(self, asked: Asked, options: Mapping[str, Any]) -> None:
        parameters = inspect.signature(type(self).__call__).parameters
        for argument, value in options.items():
            default = parameters[argument].default
            if asked.is_pretrained and value != default and not argument.startswith("dropout"):
                raise GraphError(
                    explain(
                        self.__name__,
                        got=f"weights='imagenet' with {argument}={value!r}",
                        expected=f"{argument}={default!r}",
                        why="there are trained weights of that network alone",
                        fix="weights=None",
                    )
                )

    def _trained(self) -> Source:
        if self.pretrained is None:
            raise GraphError(
                explain(
                    self.__name__,
                    got="weights='imagenet'",
                    expected="None or a .safetensors file",
                    why="neither torchvision nor timm has weights of this network",
                    fix="weights=None, or weights=path with the file of weights that Keras publishes",
                )
            )
        return self.pretrained

    def _image_shape(self, asked: Asked, fixed_size: bool) -> tuple[int | None, ...]:
        size = self.size if asked.include_top or self.fixed_size or fixed_size else None
        default = (3, size, size) if asked.is_first else (size, size, 3)
        whole = default if asked.input_shape is None else tuple(asked.input_shape)
        known = (3,) if asked.is_pretrained else (1, 3)
        if len(whole) != 3 or whole[0 if asked.is_first else -1] not in known:
            expected = "(3, height, width)" if asked.is_first else "(height, width, 3)"
            raise ShapeError(explain("input_shape", got=f"{whole}", expected=expected))
        return whole

    def _scaled(self, x: Any, source: Source, asked: Asked) -> Any:
        """Images in the form of the family put into the form of the network."""
        wanted = asked.include_preprocessing
        if wanted is None:
            wanted = asked.is_pretrained or isinstance(source, Definition)
        if not wanted or x.shape[source.axis] != 3:
            return x
        return source.scaled(x, FORMS[self.form])


def _moved(x: Any, before: int, after: int) -> Any:
    """Images, or maps, whose channels stand at another axis."""
    if before == after:
        return x
    return x.permute(0, 3, 1, 2) if after == 1 else x.permute(0, 2, 3, 1)


def _check_sizes(name: str, asked: Asked) -> None:
    classes, shape, wanted = asked.classes, asked.input_shape, asked.include_preprocessing
    is_count = isinstance(classes, int) and not isinstance(classes, bool) and classes > 0
    for argument, value, fits, expected in (
        # as in VGG19("imagenet"), which would be a model of random weights
        (
            "include_top",
            asked.include_top,
            isinstance(asked.include_top, bool),
            "True or False; weights go by their name",
        ),
        ("classes", classes, is_count, "a positive integer"),
        (
            "input_shape",
            shape,
            shape is None or isinstance(shape, (list, tuple)),
            "the shape of one image, such as (224, 224, 3)",
        ),
        ("include_preprocessing", wanted, wanted in (None, True, False), "True, False or None"),
    ):
        if not fits:
            raise GraphError(explain(name, got=f"{argument}={value!r}", expected=expected))


def _check(name: str, asked: Asked) -> None:
    for argument, value, known in (
        ("data_format", asked.data_format, ("channels_last", "channels_first")),
        ("pooling", asked.pooling, ("avg", "max")),
    ):
        if value is not None and value not in known:
            raise GraphError(
                explain(name, got=f"{argument}={value!r}", expected=" or ".join(map(repr, known)))
            )
    if asked.is_pretrained and asked.include_top and asked.classes != 1000:
        raise GraphError(
            explain(
                name,
                got=f"weights='imagenet' with classes={asked.classes}",
                expected="classes=1000",
                why="ImageNet has 1000 classes",
                fix=f"include_top=False, and layers.Dense({asked.classes}) on the model's output",
            )
        )
    if asked.weights not in (None, "imagenet") and not _is_data(Path(asked.weights)):
        raise SavingError(
            explain(
                name,
                got=f"weights={str(asked.weights)!r}",
                expected="None, 'imagenet', a .safetensors file or one of Keras's (.h5, .keras)",
                why="other files of weights hold pickled Python, which runs when it is read",
                fix="safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')",
            )
        )


def _is_data(path: Path) -> bool:
    return path.suffix == ".safetensors" or format_of(path) is not None


def _load(network: nn.Module | None, model: nn.Module, path: Path) -> None:
    """Read a file of weights under the names of the network traced, or else under those of the model."""
    if network is None or format_of(path) is not None:
        load_weights(model, path)
        return
    try:
        load_weights(network, path)
    except WeightMismatchError as error:
        try:
            load_weights(model, path)
        except WeightMismatchError:
            raise error from None
