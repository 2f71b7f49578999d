"""Pipelines: layers one after the other, and batches of boxes that all have the same number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.config import described, made
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.arguments import count
from torchfunc.layers.augmentation.boxes import as_tensors
from torchfunc.layers.augmentation.image_layer import BaseImagePreprocessingLayer, WithFormat
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.recurrent.cell import takes_training


@registry.layers.register()
class Pipeline(Layer):
    """Layers one after the other as one layer, for a Dataset or a collate_fn as well as for a model.

    Args:
        layers: the layers; what one returns, a dict too, is what the next is called on.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: something in the list is no layer.

    Example:
        >>> made_ready = layers.Pipeline([layers.Resizing(8, 8), layers.Rescaling(1 / 255)])
        >>> made_ready(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 8, 8, 3])
    """

    _autocast = False

    def __init__(self, layers: Iterable[Any], **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self._chain = nn.ModuleList(_layer_from(each) for each in layers)

    @property
    def layers(self) -> list[nn.Module]:
        return list(self._chain)

    def forward(self, inputs: Any, training: bool | None = None) -> Any:
        training = self.training if training is None else training
        for layer in self._chain:
            inputs = layer(inputs, **({"training": training} if takes_training(type(layer)) else {}))
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, each layer with its own."""
        base = {"name": self.given_name or self.graph_name, "trainable": self.trainable}
        return {**base, "layers": described(self.layers, "layers")}


def _layer_from(layer: Any) -> nn.Module:
    """A layer, given as such or as its config."""
    found = made(layer, "Pipeline.layers") if isinstance(layer, dict) else layer
    if not isinstance(found, nn.Module):
        raise GraphError(
            explain(
                "Pipeline", got=f"{shorten(layer)} in its list", expected="layers", fix="Lambda(function)"
            )
        )
    return found


@registry.layers.register()
class MaxNumBoundingBoxes(BaseImagePreprocessingLayer):
    """Boxes of every image in the same number: the first ones, and as many made up as are missing.

    Args:
        max_number: how many boxes an image has then.
        fill_value: the numbers of a box that is made up, and its label.
        data_format, bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a max_number that is no positive integer.

    Example:
        >>> layer = layers.MaxNumBoundingBoxes(3, bounding_box_format="xyxy")
        >>> boxes = {"boxes": torch.ones(2, 1, 4), "labels": torch.ones(2, 1)}
        >>> layer({"images": torch.ones(2, 4, 4, 3), "bounding_boxes": boxes})["bounding_boxes"]["labels"]
        tensor([[ 1., -1., -1.],
                [ 1., -1., -1.]])
    """

    _always = True
    _integers = "kept"

    def __init__(self, max_number: int, fill_value: int = -1, **common: Unpack[WithFormat]) -> None:
        super().__init__(**common)
        self.max_number = count("MaxNumBoundingBoxes", "max_number", max_number)
        self.fill_value = int(fill_value)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        found = as_tensors(bounding_boxes)
        boxes, labels = found["boxes"][:, : self.max_number], found["labels"][:, : self.max_number]
        missing = self.max_number - boxes.shape[1]
        return {
            **found,
            "boxes": F.pad(boxes, (0, 0, 0, missing), value=self.fill_value),
            "labels": F.pad(labels, (0, missing), value=self.fill_value),
        }
