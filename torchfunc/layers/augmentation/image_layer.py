"""The image layer: one random change a call, made to images, and to the labels, boxes and masks that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from typing_extensions import Unpack

from torchfunc.arrays_in import tensor_of
from torchfunc.errors import GraphError, explain, shorten
from torchfunc.layers.arguments import choice, count, image_data_format
from torchfunc.layers.augmentation.boxes import FORMATS, as_tensors, clip_to_image_size, convert_format
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.regularization import Generators

_COMMON = ("name", "trainable", "dtype", "activity_regularizer")


class WithBoxes(Common, total=False):
    """The arguments that every image layer takes after its own, beside those of every layer."""

    bounding_box_format: str | None


class WithFormat(WithBoxes, total=False):
    """Those, and the order of dimensions, which some layers have among their own."""

    data_format: str | None


class BaseImagePreprocessingLayer(Layer):
    """A layer that changes images, and what belongs to them in the same way.

    It is called on images, (batch, height, width, channels) or (height, width, channels), or on a dict of "images"
    and, as they are there, "labels", "bounding_boxes" ({"boxes": (batch, boxes, 4), "labels": (batch, boxes)}) and
    "segmentation_masks"; what else is in the dict stays. Whole numbers come back as floats. A random layer changes
    each image in its own way, and only in training.

    A class of yours has `get_random_transformation(data, training, seed)`, which draws what is to happen, and
    `transform_images`, `transform_labels`, `transform_bounding_boxes`, `transform_segmentation_masks`, each of
    (batch, transformation, training), which do it; those that it does not have leave things as they are.

    Args:
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format: how boxes are written; see `utils.bounding_boxes.convert_format`.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an unknown data_format or bounding_box_format.

    Example:
        >>> class Darker(layers.BaseImagePreprocessingLayer):
        ...     def transform_images(self, images, transformation, training=True):
        ...         return images / 2
        >>> Darker()(torch.full((1, 1, 1, 3), 8.0)).flatten()
        tensor([4., 4., 4.])
    """

    _integers: Literal["kept", "tried", "cast", "refused"] = "cast"
    _common_arguments = (*_COMMON, "data_format", "bounding_box_format")
    # whether it acts in inference, too
    _always: ClassVar[bool] = False
    # whether pixels move, and masks and boxes with them
    _moves: ClassVar[bool] = False

    def __init__(
        self,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        modes = ("channels_last", "channels_first")
        chosen = image_data_format() if data_format is None else data_format
        self.data_format = choice(type(self).__name__, "data_format", chosen, modes)
        self.bounding_box_format = bounding_box_format and choice(
            type(self).__name__, "bounding_box_format", bounding_box_format, FORMATS
        )
        self._channels, self._height, self._width = (
            (-1, -3, -2) if self.data_format == "channels_last" else (-3, -2, -1)
        )

    def check_input(self, *shapes: Any) -> None:
        shape: Any = shapes[0].get("images") if isinstance(shapes[0], Mapping) else shapes[0]
        order = "height, width, channels" if self._channels == -1 else "channels, height, width"
        is_shape = isinstance(shape, tuple) and all(each is None or isinstance(each, int) for each in shape)
        rank = len(shape or ()) if is_shape else 0
        if rank != 4 and (rank != 3 or shape[0] is None):
            raise self.wrong(
                shape,
                f"images (batch, {order}), or a dict with such 'images'",
                fix="Reshape((height, width, 1)) for images without channels",
            )

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw what is to happen to a batch, or to one image: what the `transform_` methods are given.

        Args:
            data: what the layer is called on.
            training: whether it is to happen at all; None is returned otherwise.
            seed: a number or a torch.Generator to draw by; the layer's own if None.
        """
        if not (training or self._always):
            return None
        images = tensor_of(data["images"] if isinstance(data, Mapping) else data)
        return self._drawn(images, Draw(images, self._generator(images, seed)))

    def _generator(self, images: Tensor, seed: Any) -> torch.Generator | None:
        """What draws: a generator that is given, a new one for a number, else the layer's own."""
        if images.is_meta or isinstance(seed, torch.Generator):
            return None if images.is_meta else seed
        return None if seed is None else torch.Generator(images.device).manual_seed(int(seed))

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        """What is drawn for these images."""
        return {}

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Tensor:
        """Images, (batch, height, width, channels), as the transformation makes them."""
        given: Tensor = tensor_of(images)
        given = given if self._integers == "kept" else self._as_floats(given)
        if not self._acts(transformation, training):
            return given
        return self._changed(given, _with_tensors(transformation)).to(given.dtype)

    def _acts(self, transformation: Any, training: bool) -> bool:
        return self._always or (training and transformation is not None)

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        """The images as the transformation makes them."""
        return images

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True) -> Tensor:
        """Labels, (batch, ...), as the transformation makes them; most leave them as they are."""
        found: Tensor = tensor_of(labels)
        return found

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Boxes and their labels where the transformation takes them; the label of what has left the image is -1."""
        found = as_tensors(bounding_boxes)
        if not self._moves or not self._acts(transformation, training):
            return found
        transformation = _with_tensors(transformation)
        before = self._size_of(transformation["input_shape"])
        after = self._size_of(self.output_shape_for(tuple(transformation["input_shape"])))
        form = self._box_format()
        found = convert_format(found, form, "xyxy", *before, dtype=found["boxes"].dtype)
        moved = self._boxes_moved(found["boxes"], transformation, *before).to(found["boxes"].dtype)
        found = clip_to_image_size({**found, "boxes": moved}, *after)
        return convert_format(found, "xyxy", form, *after, dtype=found["boxes"].dtype)

    def _box_format(self) -> str:
        if self.bounding_box_format is None:
            raise GraphError(
                explain(
                    f"{type(self).__name__} {self.name!r}",
                    got="'bounding_boxes', and no bounding_box_format",
                    expected="how they are written",
                    fix=f"{type(self).__name__}(..., bounding_box_format='xyxy')",
                )
            )
        return self.bounding_box_format

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        """Boxes as "xyxy" where the transformation of an image of this size takes them."""
        return boxes

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Tensor:
        """Masks, (batch, height, width, channels) or without channels, where the transformation takes their pixels."""
        masks: Tensor = tensor_of(segmentation_masks)
        if not self._moves or not self._acts(transformation, training):
            return masks
        flat = masks.ndim == 3
        given = masks.unsqueeze(self._channels) if flat else masks
        moved = self._mask_moved(given, _with_tensors(transformation)).to(masks.dtype)
        return moved.squeeze(self._channels) if flat else moved

    def _mask_moved(self, masks: Tensor, transformation: Any) -> Tensor:
        """Masks whose pixels are moved and never mixed."""
        return self._changed(masks, transformation)

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Tensor:
        """`transform_images` of one image, without a batch."""
        return self.transform_images(
            tensor_of(image).unsqueeze(0), transformation=transformation, training=training
        ).squeeze(0)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Tensor:
        """`transform_labels` of one label, without a batch."""
        return self.transform_labels(
            torch.as_tensor(label).unsqueeze(0), transformation=transformation, training=training
        ).squeeze(0)

    def transform_single_bounding_box(
        self, bounding_box: Any, transformation: Any, training: bool = True
    ) -> Any:
        """`transform_bounding_boxes` of one image's boxes, without a batch."""
        tensors = as_tensors(bounding_box)
        batch = {key: tensors[key].unsqueeze(0) for key in ("boxes", "labels")}
        found = self.transform_bounding_boxes(
            {**tensors, **batch}, transformation=transformation, training=training
        )
        return {**found, **{key: found[key].squeeze(0) for key in batch}}

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Tensor:
        """`transform_segmentation_masks` of one mask, without a batch."""
        return self.transform_segmentation_masks(
            tensor_of(segmentation_mask).unsqueeze(0), transformation=transformation, training=training
        ).squeeze(0)

    def call(self, data: Any, training: bool | None = None) -> Any:
        training = self.training if training is None else training
        images = data.get("images") if isinstance(data, Mapping) else data
        shape = getattr(tensor_of(images), "shape", ())
        if len(shape) not in (3, 4):
            self.check_input(tuple(shape))  # which tells what is wrong
        single = len(shape) == 3
        transformation = self.get_random_transformation(data, training=training)
        keywords = {"transformation": transformation, "training": training}
        if not isinstance(data, Mapping):
            return (self.transform_single_image if single else self.transform_images)(data, **keywords)
        if "bounding_boxes" in data:
            self._box_format()
        found = dict(data)
        for key, word in _PARTS.items():
            if key in data:
                name = f"transform_single_{word}" if single else f"transform_{key}"
                found[key] = getattr(self, name)(data[key], **keywords)
        return found

    def _size_of(self, shape: Any) -> tuple[int, int]:
        """Height and width of images of this shape."""
        return shape[self._height], shape[self._width]

    def _inward(self, images: Tensor) -> Tensor:
        """A view with the channels first, which is what PyTorch's kernels are written for."""
        return images.movedim(-1, -3) if self._channels == -1 else images

    def _outward(self, images: Tensor) -> Tensor:
        """The inverse of `_inward`."""
        return images.movedim(-3, -1) if self._channels == -1 else images


def _with_tensors(transformation: Any) -> Any:
    """A transformation with its arrays, where it was written by hand, as tensors."""
    if not isinstance(transformation, dict):
        return transformation
    return {
        key: tensor_of(each) if isinstance(each, np.ndarray) else each for key, each in transformation.items()
    }


_PARTS = {
    "images": "image",
    "bounding_boxes": "bounding_box",
    "labels": "label",
    "segmentation_masks": "segmentation_mask",
}


class RandomImageLayer(BaseImagePreprocessingLayer):
    """An image layer with a seed: the base of all that draw."""

    def __init__(self, seed: int | None = None, **common: Unpack[WithFormat]) -> None:
        super().__init__(**common)
        self.seed = None if seed is None else count(type(self).__name__, "seed", seed, minimum=0)
        self._generators = WorkersGenerators(self.seed)

    def _generator(self, images: Tensor, seed: Any) -> torch.Generator | None:
        return self._generators.on(images.device) if seed is None else super()._generator(images, seed)


class WorkersGenerators(Generators):
    """Generators of which each worker of a DataLoader has its own, in each epoch another.

    A worker is a copy of the process as it was, so that all of them would draw the same, epoch by epoch.
    """

    def __init__(self, seed: int | None, states: dict[str, Tensor] | None = None) -> None:
        super().__init__(seed, states)
        self._worker: int | None = None

    def on(self, device: torch.device) -> torch.Generator | None:
        if self.seed is None:
            return None
        worker = None if torch.compiler.is_compiling() else get_worker_info()
        if worker is not None and worker.seed != self._worker:
            self._worker = worker.seed
            self._made = {
                device: torch.Generator(device).manual_seed((self.seed * 2**32 + worker.seed) % 2**63)
            }
        return super().on(device)

    def __reduce__(self) -> Any:
        return WorkersGenerators, super().__reduce__()[1]


class Draw:
    """Random numbers for images: one for each, where no other shape is asked for."""

    def __init__(self, images: Tensor, generator: torch.Generator | None) -> None:
        self.images = images.shape[0] if images.ndim == 4 else 1
        self.generator = generator
        self.device = images.device
        self.dtype = torch.float64 if images.dtype is torch.float64 else torch.float32
        # a generator that is None fails under torch.compile where the batch size is a symbol
        self._given: dict[str, Any] = {"device": self.device}
        if generator is not None:
            self._given["generator"] = generator

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """Numbers from `low` to `high`."""
        drawn = torch.rand(shape or (self.images,), dtype=self.dtype, **self._given)
        return drawn if (low, high) == (0.0, 1.0) else low + (high - low) * drawn

    def one(self, low: float, high: float) -> Tensor:
        """One number for the whole batch."""
        return self.uniform(low, high, 1)[0]

    def normal(self, *shape: int) -> Tensor:
        """Numbers of mean 0 and variance 1."""
        return torch.randn(shape, dtype=self.dtype, **self._given)

    def chosen(self, probability: tuple[float, float]) -> Tensor:
        """Which images it is that something happens to, with a probability that is itself drawn for each."""
        return self.uniform() < self.uniform(*probability)

    def signs(self) -> Tensor:
        """1 or -1."""
        return torch.where(self.uniform() > 0.5, -1.0, 1.0).to(self.dtype)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from `low` to below `high`."""
        return torch.randint(low, high, shape or (self.images,), **self._given)

    def order(self) -> Tensor:
        """The images in some order."""
        return torch.randperm(self.images, **self._given)

    def shares(self, alpha: Any, *shape: int) -> Tensor:
        """Numbers that add up to 1 along the last dimension, from a Dirichlet distribution of equal `alpha`."""
        weights: Tensor = torch.zeros(shape, device=self.device, dtype=torch.float64) + alpha
        given = {} if self.generator is None else {"generator": self.generator}
        # PyTorch's gamma numbers are never 0, and its Dirichlet ones are unknown to torch.compile
        drawn: Tensor = torch._standard_gamma(weights, **given)
        return (drawn / drawn.sum(-1, keepdim=True)).to(self.dtype)

    def beta(self, alpha: Any, *shape: int) -> Tensor:
        """Numbers from 0 to 1, from a beta distribution of equal `alpha`."""
        return self.shares(alpha, *(shape or (self.images,)), 2)[..., 0]


def pair(
    owner: str, name: str, value: Any, low: float, high: float, *, above: bool = False
) -> tuple[float, float]:
    """Two numbers within bounds, the smaller first.

    One number stands for the range from its negative, or from the lowest that is allowed, to itself.

    Args:
        owner: the class of the layer.
        name: of the argument.
        value: what was given.
        low: the least that is taken.
        high: the most that is taken.
        above: whether `low` itself is too little.

    Raises:
        GraphError: something else, or a number out of these bounds.
    """
    numbers = value if isinstance(value, (tuple, list)) else (value,)
    fits = len(numbers) == 2 if isinstance(value, (tuple, list)) else True
    for each in numbers:
        is_number = isinstance(each, (int, float)) and not isinstance(each, bool)
        fits = fits and is_number and low <= each <= high and not (above and each == low)
    if not fits:
        least = f"above {low:g}" if above else f"from {low:g}"
        raise GraphError(
            explain(
                owner,
                got=f"{name}={shorten(value)}",
                expected=f"a number {least} to {high:g}, or two in the range [{low:g}, {high:g}]",
            )
        )
    if len(numbers) == 2:
        return min(numbers), max(numbers)
    return max(-abs(value), low), abs(value)


def values_from(owner: str, value_range: Any) -> tuple[float, float]:
    """The lowest and the highest value of a pixel.

    Raises:
        GraphError: not two numbers, or one twice.
    """
    if (
        not isinstance(value_range, (list, tuple))
        or len(value_range) != 2
        or not all(isinstance(each, (int, float)) for each in value_range)
        or value_range[0] == value_range[1]
    ):
        raise GraphError(
            explain(
                owner,
                got=f"value_range={shorten(value_range)}",
                expected="two numbers, the lowest and the highest value of a pixel",
                fix="value_range=(0, 255)",
            )
        )
    return min(value_range), max(value_range)


def each_image(numbers: Tensor) -> Tensor:
    """One number an image, (batch,), as what is multiplied with images."""
    return numbers.reshape(-1, 1, 1, 1)
