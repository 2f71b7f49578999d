"""Pixels: images of PIL as arrays, arrays as images, and both from and to files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from torchfunc import ops
from torchfunc.errors import DataError, MissingExtraError, ShapeError, UnknownNameError, explain, shorten
from torchfunc.ops.layout import is_last
from torchfunc.settings import DataFormat, floatx

ColorMode = Literal["rgb", "rgba", "grayscale"]
Array = npt.NDArray[Any]
MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
_GRAYS = ("L", "I;16", "I")
_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _pil() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("pillow", "vision", "Reading and writing images") from error
    return Image


def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: ColorMode = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """An image from a file, as a `PIL.Image.Image`.

    Args:
        path: The file, or what it holds as `io.BytesIO`.
        color_mode: "rgb", "rgba" or "grayscale"; a gray image of 16 or 32 bits stays one.
        target_size: (height, width), or None for its own.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: Whether it is cropped, in the middle, to the ratio of the target first.

    Returns:
        The image, of `target_size` if that is given.

    Raises:
        DataError: a file that is no image.
        UnknownNameError: an unknown mode or interpolation.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> utils.img_to_array(load_img("photo.jpg", target_size=(224, 224))).shape
        (224, 224, 3)
    """
    if interpolation not in _RESAMPLING:
        raise UnknownNameError("interpolation", interpolation, _RESAMPLING)
    image = opened(path if isinstance(path, io.BytesIO) else os.fsdecode(path), color_mode)
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    height, width = target_size
    way = getattr(_pil().Resampling, interpolation.upper())
    box = _middle(image.size, (width, height)) if keep_aspect_ratio else None
    return image.resize((width, height), way, box=box)


def opened(path: str | io.BytesIO, color_mode: str) -> Any:
    """An image, read to its end, in a mode of colours.

    Raises:
        DataError: no image; UnknownNameError: another mode.
    """
    if color_mode not in MODES:
        raise UnknownNameError("color_mode", color_mode, MODES)
    pil = _pil()
    try:
        with pil.open(path) as image:
            keeps = image.mode == MODES[color_mode] or (color_mode == "grayscale" and image.mode in _GRAYS)
            return image.copy() if keeps else image.convert(MODES[color_mode])
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        fix = "remove the file, or get it anew"
        raise DataError(
            explain(f"'{path}'", got=shorten(str(error)), expected="an image", fix=fix)
        ) from error


def _middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box in the middle that has the ratio of a target: left, top, right, bottom."""
    (width, height), (wide, high) = size, target
    columns, rows = min(width, height * wide // high), min(height, width * high // wide)
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows


def img_to_array(img: Any, data_format: DataFormat | None = None, dtype: Any = None) -> Array:
    """A `PIL.Image.Image` as an array (height, width, channels), or (channels, height, width).

    Args:
        img: The image.
        data_format: The order of axes; the global setting if None.
        dtype: Of the array; the usual floating dtype if None.

    Returns:
        A NumPy array of three axes.

    Raises:
        ShapeError: something of neither two nor three dimensions.

    Example:
        >>> utils.img_to_array(utils.load_img("photo.jpg")).shape
        (8, 8, 3)
    """
    x = np.asarray(img, dtype=dtype or floatx())
    if x.ndim not in (2, 3):
        raise ShapeError(explain("img_to_array", got=f"shape {x.shape}", expected="2 or 3 dimensions"))
    x = x if x.ndim == 3 else x[:, :, None]
    return x if is_last(data_format) else x.transpose(2, 0, 1)


def array_to_img(x: Any, data_format: DataFormat | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array or tensor (height, width, channels), or (channels, height, width), as a `PIL.Image.Image`.

    Args:
        x: The array, of 1, 3 or 4 channels.
        data_format: The order of axes; the global setting if None.
        scale: Whether its least number becomes 0 and its greatest 255.
        dtype: What it is computed in; the usual floating dtype if None.

    Returns:
        An image of mode "RGB", "RGBA", or for one channel "L"; "I", in 32 bits, where a number is above 255.

    Raises:
        ShapeError: other dimensions or channels.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> image = utils.array_to_img(np.zeros((8, 6, 3)))
        >>> image.size, image.mode
        ((6, 8), 'RGB')
    """
    x = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
    x = np.asarray(x, dtype=dtype or floatx())
    if x.ndim != 3:
        got, fix = f"shape {x.shape}", "x[0], one image of a batch"
        raise ShapeError(explain("array_to_img", got=got, expected="3 dimensions", fix=fix))
    x = x if is_last(data_format) else x.transpose(1, 2, 0)
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    if x.shape[2] not in (1, 3, 4):
        raise ShapeError(explain("array_to_img", got=f"{x.shape[2]} channels", expected="1, 3 or 4"))
    if x.shape[2] > 1:
        return _pil().fromarray(x.astype("uint8"))
    return _pil().fromarray(x[:, :, 0].astype("int32" if x.max() > 255 else "uint8"))


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: Any,
    data_format: DataFormat | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """An array or tensor as an image in a file; the arguments are those of `array_to_img`.

    Args:
        path: The file, or one that is open.
        x: The array.
        data_format: The order of axes.
        file_format: "png", "jpeg", ...; by the ending of the path if None.
        scale: Whether its least number becomes 0 and its greatest 255.
        **kwargs: Options of `PIL.Image.Image.save`.

    Example:
        >>> utils.save_img("gray.png", np.zeros((8, 6, 1)))
        >>> utils.load_img("gray.png", color_mode="grayscale").size
        (6, 8)
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:]
    file_format = {"jpg": "jpeg"}.get((file_format or "").lower(), file_format)
    image = array_to_img(x, data_format=data_format, scale=scale)
    if image.mode == "RGBA" and (file_format or "").lower() == "jpeg":
        image = image.convert("RGB")  # JPEG has no transparency
    image.save(path, format=file_format or None, **kwargs)


def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: DataFormat = "channels_last",
) -> Any:
    """Images of another (height, width), cropped in the middle to its ratio first, so that nothing is distorted.

    Args:
        x: (height, width, channels), or a batch of these, as an array or a tensor.
        size: (height, width).
        interpolation: "bilinear", "nearest" or "bicubic".
        data_format: The order of axes.

    Returns:
        An array for an array, else a tensor, of the same dtype.

    Example:
        >>> smart_resize(np.ones((8, 4, 3)), (2, 2)).shape
        (2, 2, 3)
    """
    found = ops.image.resize(x, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format)
    return found.numpy() if isinstance(x, np.ndarray) else found
