"""Images with values 0 to 255 in the form that a family of networks takes: Keras's four forms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import GraphError, explain
from torchfunc.graph.symbolic import SYMBOLS
from torchfunc.layers.arguments import image_data_format
from torchfunc.settings import floatx

Channels = tuple[float, float, float]
# the mean and deviation of the red, green and blue of ImageNet, as parts of 1
MEAN: Channels = (0.485, 0.456, 0.406)
DEVIATION: Channels = (0.229, 0.224, 0.225)
# what Caffe takes from blue, green and red
_CAFFE: Channels = (103.939, 116.779, 123.68)


class Form(NamedTuple):
    """How the pixels come back from a form: the channels reversed if asked, times a factor, plus an offset."""

    factors: Channels
    offsets: Channels
    reverse: bool = False


FORMS = {
    "caffe": Form((1.0, 1.0, 1.0), (123.68, 116.779, 103.939), reverse=True),
    "tf": Form((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": Form((255 * 0.229, 255 * 0.224, 255 * 0.225), (255 * 0.485, 255 * 0.456, 255 * 0.406)),
    "pixels": Form((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images with values 0 to 255 in one of the forms that networks for ImageNet are trained on.

    Source: Keras's `applications.imagenet_utils`. What is given stays as it is: the result is new.

    Args:
        x: RGB images, one or a batch: an array, a tensor or a symbolic tensor.
        data_format: "channels_last" or "channels_first"; by default the global setting.
        mode: "caffe" for BGR less the mean of ImageNet; "tf" for values from -1 to 1; "torch" for values from
            0 to 1 less the mean, over the deviation of ImageNet.

    Returns:
        The same kind and dtype as `x`, integers as floats.

    Raises:
        GraphError: another mode or data format.

    Example:
        >>> float(preprocess_input(np.full((1, 2, 2, 3), 255.0), mode="tf").max())
        1.0
    """
    _one_of("mode", mode, ("caffe", "tf", "torch"))
    if data_format is not None:
        _one_of("data_format", data_format, ("channels_last", "channels_first"))
    x = _floats(x)
    if mode == "tf":
        return x / 127.5 - 1.0
    is_first = (data_format or image_data_format()) == "channels_first"
    if mode == "torch":
        return (x / 255.0 - _like(x, MEAN, is_first)) / _like(x, DEVIATION, is_first)
    axis = -3 if is_first else -1
    return (np.flip(x, axis) if isinstance(x, np.ndarray) else x.flip(axis)) - _like(x, _CAFFE, is_first)


def _one_of(argument: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        expected = " or ".join((", ".join(map(repr, known[:-1])), repr(known[-1])))
        raise GraphError(explain("preprocess_input", got=f"{argument}={value!r}", expected=expected))


def _floats(x: Any) -> Any:
    if isinstance(x, SYMBOLS):
        return x if x.dtype.is_floating_point else x.to(getattr(torch, floatx()))
    if isinstance(x, Tensor):
        return x if x.is_floating_point() else x.to(getattr(torch, floatx()))
    array = np.asarray(x)
    return array if np.issubdtype(array.dtype, np.floating) else array.astype(floatx())


def _like(x: Any, values: Channels, is_first: bool) -> Any:
    """One number a channel, as `x` has its channels."""
    shape = (3, 1, 1) if is_first else (3,)
    if isinstance(x, np.ndarray):
        return np.asarray(values, x.dtype).reshape(shape)
    return torch.tensor(values, dtype=x.dtype, device=getattr(x, "device", None)).reshape(shape)
