"""Layers that move the pixels of images, each image in its own way, and masks and boxes with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.layers.arguments import choice, fraction
from torchfunc.layers.augmentation.boxes import around
from torchfunc.layers.augmentation.image_layer import (
    Draw,
    RandomImageLayer,
    WithBoxes,
    each_image,
    pair,
    values_from,
)
from torchfunc.layers.augmentation.sampling import (
    FILLS,
    INTERPOLATIONS,
    as_squares,
    bell,
    blurred,
    homography,
    places,
    projected,
    sampled,
)


@registry.layers.register()
class RandomFlip(RandomImageLayer):
    """In training mirrors half of the images.

    Args:
        mode: "horizontal" (left becomes right), "vertical", or "horizontal_and_vertical", which is both or neither.
        seed: with one, every run of the same program mirrors the same images.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: another mode.

    Example:
        >>> layers.RandomFlip("horizontal")(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    _moves = True

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        self.mode = choice("RandomFlip", "mode", mode, modes)
        flips = {"horizontal": self._width, "vertical": self._height}
        self._flipped = [axis for word, axis in flips.items() if word in self.mode]

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        return {"flips": each_image(draw.uniform() <= 0.5), "input_shape": tuple(images.shape)}

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        return torch.where(transformation["flips"], images.flip(self._flipped), images)

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        left, top, right, bottom = boxes.unbind(-1)
        if self._width in self._flipped:
            left, right = width - right, width - left
        if self._height in self._flipped:
            top, bottom = height - bottom, height - top
        flips = transformation["flips"].squeeze(-1)
        return torch.where(flips, torch.stack([left, top, right, bottom], -1), boxes)


class _Projected(RandomImageLayer):
    """An image layer that reads each pixel where a matrix says; `_matrix` makes it of what was drawn."""

    _moves = True
    interpolation: str
    fill_mode: str
    fill_value: float

    def _keep_reading(self, fill_mode: Any, interpolation: Any, fill_value: float) -> None:
        """Keep what is read between pixels, and beyond them."""
        owner = type(self).__name__
        self.interpolation = choice(owner, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = choice(owner, "fill_mode", fill_mode, ("reflect", "wrap", "constant", "nearest"))
        self.fill_value = fill_value

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        """Where pixels are read: (batch, 8), the rows of a projection."""
        raise NotImplementedError

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        if images.ndim == 3:
            return self._changed(images[None], transformation)[0]
        return self._read(images, transformation, self.interpolation)

    def _mask_moved(self, masks: Tensor, transformation: Any) -> Tensor:
        return self._read(masks if masks.is_floating_point() else masks.float(), transformation, "nearest")

    def _read(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        height, width = self._size_of(images.shape)
        x, y = projected(self._matrix(transformation, height, width), height, width)
        read = sampled(self._inward(images), x, y, interpolation, self.fill_mode, self.fill_value)
        return self._outward(read)

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        forward = torch.linalg.inv_ex(as_squares(self._matrix(transformation, height, width))).inverse
        return around(boxes, forward)


@registry.layers.register()
class RandomRotation(_Projected):
    """In training turns images around their middle.

    Args:
        factor: of a whole turn: from -factor to factor, or from the first of two numbers to the second. 0.1 is up to
            36 degrees either way.
        fill_mode: what is beyond the sides: "reflect" (c b a | a b c), "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: with one, every run of the same program changes images alike.
        fill_value: the constant of fill_mode="constant".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from -1 to 1, an unknown fill_mode or interpolation.

    Example:
        >>> layers.RandomRotation((0.5, 0.5))(torch.arange(4.0).reshape(1, 2, 2, 1)).flatten()
        tensor([3., 2., 1., 0.])
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomRotation", "factor", factor, -1, 1)
        self._keep_reading(fill_mode, interpolation, fill_value)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        low, high = self.factor
        return {"angle": draw.uniform(low * 360, high * 360), "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        angle = transformation["angle"] * (math.pi / 180)
        cos, sin = torch.cos(angle), torch.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2
        zeros = torch.zeros_like(cos)
        rows = [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos, zeros, zeros]
        return torch.stack(rows, -1)


@registry.layers.register()
class RandomTranslation(_Projected):
    """In training moves images along their height and width.

    Args:
        height_factor: of the height: from -factor to factor, or from the first of two numbers to the second; down
            where it is positive.
        width_factor: of the width, likewise; to the right where it is positive.
        fill_mode: what is beyond the sides: "reflect" (c b a | a b c), "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: with one, every run of the same program changes images alike.
        fill_value: the constant of fill_mode="constant".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from -1 to 1, an unknown fill_mode or interpolation.

    Example:
        >>> layer = layers.RandomTranslation(0, (0.5, 0.5), fill_mode="constant")
        >>> layer(torch.ones(1, 1, 4, 1)).flatten()
        tensor([0., 0., 1., 1.])
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = pair("RandomTranslation", "height_factor", height_factor, -1, 1)
        self._widths = pair("RandomTranslation", "width_factor", width_factor, -1, 1)
        self._keep_reading(fill_mode, interpolation, fill_value)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        height, width = self._size_of(images.shape)
        y, x = draw.uniform(*self._heights) * height, draw.uniform(*self._widths) * width
        return {"translations": torch.stack([x, y], -1), "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        x, y = transformation["translations"].unbind(-1)
        ones, zeros = torch.ones_like(x), torch.zeros_like(x)
        return torch.stack([ones, zeros, -x, zeros, ones, -y, zeros, zeros], -1)

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        moves: Tensor = transformation["translations"].repeat(1, 2)
        return boxes + (moves[:, None] if boxes.ndim == 3 else moves)


@registry.layers.register()
class RandomZoom(_Projected):
    """In training shows images from nearer or from farther.

    Args:
        height_factor: how much more of the height is shown: from -factor to factor, or from the first of two numbers
            to the second. -0.5 shows half of it, twice as high; 0.5 half as much again.
        width_factor: likewise; the same as height_factor, so that proportions stay, if None.
        fill_mode: what is beyond the sides: "reflect" (c b a | a b c), "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: with one, every run of the same program changes images alike.
        fill_value: the constant of fill_mode="constant".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not above -1 and at most 1, an unknown fill_mode or interpolation.

    Example:
        >>> layers.RandomZoom(0.2)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float] | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = pair("RandomZoom", "height_factor", height_factor, -1, 1, above=True)
        self._widths = (
            None
            if width_factor is None
            else pair("RandomZoom", "width_factor", width_factor, -1, 1, above=True)
        )
        self._keep_reading(fill_mode, interpolation, fill_value)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        height = draw.uniform(1 + self._heights[0], 1 + self._heights[1])
        width = height
        if self._widths is not None:
            width = draw.uniform(1 + self._widths[0], 1 + self._widths[1])
        return {
            "height_zoom": height[:, None],
            "width_zoom": width[:, None],
            "input_shape": tuple(images.shape),
        }

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        x, y = transformation["width_zoom"][:, 0], transformation["height_zoom"][:, 0]
        zeros = torch.zeros_like(x)
        shift_x, shift_y = (width - 1) / 2 * (1 - x), (height - 1) / 2 * (1 - y)
        return torch.stack([x, zeros, shift_x, zeros, y, shift_y, zeros, zeros], -1)


@registry.layers.register()
class RandomShear(_Projected):
    """In training slants images, to one side or the other.

    Args:
        x_factor: how far each row is moved against the one above, in pixels: from 0 to the factor, or from the first
            of two numbers to the second.
        y_factor: how far each column is moved against the one before, likewise.
        interpolation: "bilinear" or "nearest".
        fill_mode: what is beyond the sides: "reflect" (c b a | a b c), "wrap", "constant" or "nearest".
        fill_value: the constant of fill_mode="constant".
        data_format: "channels_last" or "channels_first"; the global setting if None.
        seed: with one, every run of the same program changes images alike.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor that is not from 0 to 1, an unknown fill_mode or interpolation.

    Example:
        >>> layers.RandomShear(0.3)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        x_factor: float | Sequence[float] = 0.0,
        y_factor: float | Sequence[float] = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.x_factor = pair("RandomShear", "x_factor", x_factor, 0, 1)
        self.y_factor = pair("RandomShear", "y_factor", y_factor, 0, 1)
        self._keep_reading(fill_mode, interpolation, fill_value)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        signs = draw.signs()
        factors = torch.stack([draw.uniform(*self.x_factor), draw.uniform(*self.y_factor)], -1)
        return {"shear_factor": factors * signs[:, None], "input_shape": tuple(images.shape)}

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        x, y = transformation["shear_factor"].unbind(-1)
        ones, zeros = torch.ones_like(x), torch.zeros_like(x)
        return torch.stack([ones, x, zeros, y, ones, zeros, zeros, zeros], -1)


@registry.layers.register()
class RandomPerspective(_Projected):
    """In training shows some images as if they were seen from an angle.

    Args:
        factor: how probable that is: a number from 0 to this one, or from the first of two to the second, is drawn for
            each image.
        scale: how far corners move, from 0 to 1.
        interpolation: "bilinear" or "nearest".
        fill_value: what is beyond the sides.
        seed: with one, every run of the same program changes images alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor or scale that is not from 0 to 1, an unknown interpolation.

    Example:
        >>> layers.RandomPerspective(scale=0.3)(torch.ones(2, 4, 4, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        self.factor = pair("RandomPerspective", "factor", factor, 0, 1)
        self.scale = fraction("RandomPerspective", "scale", scale)
        self._keep_reading("constant", interpolation, fill_value)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        height, width = self._size_of(images.shape)
        corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]
        start = torch.tensor(corners, dtype=draw.dtype, device=draw.device).expand(draw.images, 4, 2)
        apply = draw.chosen(self.factor)
        moved = draw.uniform(-0.5 * self.scale, 0.5 * self.scale, draw.images, 4, 2)
        return {
            "apply_perspective": apply,
            "start_points": start,
            "end_points": start + start * moved,
            "input_shape": tuple(images.shape),
        }

    def _matrix(self, transformation: Any, height: int, width: int) -> Tensor:
        return homography(transformation["start_points"], transformation["end_points"])

    def _read(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        chosen = each_image(transformation["apply_perspective"])
        return torch.where(chosen, super()._read(images, transformation, interpolation), images)

    def _boxes_moved(self, boxes: Tensor, transformation: Any, height: int, width: int) -> Tensor:
        chosen = each_image(transformation["apply_perspective"]).squeeze(-1)
        return torch.where(chosen, super()._boxes_moved(boxes, transformation, height, width), boxes)


@registry.layers.register()
class RandomElasticTransform(RandomImageLayer):
    """In training draws some images as if on rubber: each pixel is moved a little, and its neighbours alike.

    Source: Simard et al. 2003, Best Practices for Convolutional Neural Networks, section 2. Boxes stay as they are.

    Args:
        factor: how probable that is: a number from 0 to this one, or from the first of two to the second, is drawn for
            each image.
        scale: how strongly, drawn for each batch likewise.
        interpolation: "bilinear" or "nearest".
        fill_mode: what is beyond the sides: "reflect" (c b a | a b c), "mirror" (c b | a b c), "wrap", "constant" or
            "nearest".
        fill_value: the constant of fill_mode="constant".
        value_range: the lowest and the highest value of a pixel.
        seed: with one, every run of the same program changes images alike.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        bounding_box_format, name, trainable, dtype, activity_regularizer, input_shape: as for
            BaseImagePreprocessingLayer.

    Raises:
        GraphError: a factor or scale that is not from 0 to 1, an unknown interpolation or fill_mode.

    Example:
        >>> layers.RandomElasticTransform()(torch.ones(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    _moves = True

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float | Sequence[float] = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **common: Unpack[WithBoxes],
    ) -> None:
        super().__init__(seed, data_format=data_format, **common)
        owner = "RandomElasticTransform"
        self.factor = pair(owner, "factor", factor, 0, 1)
        self.scale = pair(owner, "scale", scale, 0, 1)
        self.interpolation = choice(owner, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = choice(owner, "fill_mode", fill_mode, tuple(FILLS))
        self.fill_value = fill_value
        self.value_range = values_from(owner, value_range)

    def _drawn(self, images: Tensor, draw: Draw) -> Any:
        if 0 in (self.factor[1], self.scale[1]):
            return None
        strength = draw.one(*self.scale)
        return {
            "apply_transform": draw.chosen(self.factor),
            "distortion_factor": strength,
            "moves": self._smooth_moves(images, strength, draw),
        }

    def _smooth_moves(self, images: Tensor, strength: Any, draw: Draw) -> Tensor:
        """How far each pixel is moved along x and y: (batch, 2, height, width)."""
        height, width = self._size_of(images.shape)
        strength = torch.as_tensor(strength, dtype=draw.dtype, device=draw.device)
        sigma: Tensor = (min(height, width) * 0.05 * strength).clamp(min=1e-6)
        # a bell for the widest sigma, whose ends are nothing for a narrower one, needs no value of it
        kernel = bell(int(6 * min(height, width) * 0.05 * self.scale[1]) | 1, sigma)
        noise: Tensor = blurred(draw.normal(draw.images, 2, height, width) * sigma, (kernel, kernel))
        moves: Tensor = noise * (max(height, width) * 0.1 * strength)
        return moves

    def _changed(self, images: Tensor, transformation: Any) -> Tensor:
        if images.ndim == 3:
            return self._changed(images[None], transformation)[0]
        return self._distorted(images, transformation, self.interpolation).clamp(*self.value_range)

    def _mask_moved(self, masks: Tensor, transformation: Any) -> Tensor:
        floats = masks if masks.is_floating_point() else masks.float()
        return self._distorted(floats, transformation, "nearest")

    def _distorted(self, images: Tensor, transformation: Any, interpolation: str) -> Tensor:
        moves = transformation.get("moves")
        if moves is None:  # a transformation that was written by hand, as Keras has it
            draw = Draw(images, self._generator(images, transformation.get("seed")))
            moves = self._smooth_moves(images, transformation["distortion_factor"], draw)
        x, y = places(*self._size_of(images.shape), moves)
        x, y = x + moves[:, 0], y + moves[:, 1]
        read = sampled(self._inward(images), x, y, interpolation, self.fill_mode, self.fill_value)
        return torch.where(each_image(transformation["apply_transform"]), self._outward(read), images)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        return super().transform_bounding_boxes(bounding_boxes, None, False)
