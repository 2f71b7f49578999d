"""Images from and to files and arrays equal Keras's."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from torchfunc import preprocessing, utils
from torchfunc.errors import DataError, MissingExtraError, ShapeError, UnknownNameError

SHAPES = {"L": (9, 14), "RGB": (9, 14, 3), "RGBA": (9, 14, 4)}


def picture(mode: str) -> Image.Image:
    return Image.fromarray(np.random.randint(0, 256, SHAPES[mode]).astype(np.uint8))


@pytest.fixture(params=[*SHAPES, "P", "I;16", "1"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A PNG of each mode."""
    place = tmp_path / "a.png"
    if request.param in SHAPES:
        picture(request.param).save(place)
    elif request.param == "I;16":
        Image.fromarray(np.random.randint(0, 60000, (9, 14)).astype(np.uint16)).save(place)
    else:
        picture("L").convert(request.param).save(place)
    return place


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_an_image_is_loaded_as_in_keras(path: Path, color_mode: Any) -> None:
    ours, theirs = (each.load_img(path, color_mode) for each in (utils, keras.utils))
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    for given in (str(path), bytes(path), io.BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(np.asarray(utils.load_img(given, color_mode)), np.asarray(theirs))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [(9, 14), (20, 5), (3, 30)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
def test_an_image_is_resized_as_in_keras(tmp_path: Path, interpolation: str, size: Any, keep: bool) -> None:
    picture("RGB").save(tmp_path / "a.png")
    arguments = {"target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep}
    ours, theirs = (each.load_img(tmp_path / "a.png", **arguments) for each in (utils, keras.utils))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", [None, "uint8", "float64"])
def test_an_image_becomes_an_array_and_an_array_an_image_as_in_keras(
    mode: str, data_format: Any, dtype: Any
) -> None:
    image = picture(mode)
    ours, theirs = (each.img_to_array(image, data_format, dtype) for each in (utils, keras.utils))
    np.testing.assert_array_equal(ours, theirs, strict=True)
    for scale in (True, False):
        back = utils.array_to_img(ours, data_format, scale)
        expected = keras.utils.array_to_img(ours, data_format, scale)
        assert back.mode == expected.mode == mode
        np.testing.assert_array_equal(np.asarray(back), np.asarray(expected))
        np.testing.assert_array_equal(
            np.asarray(utils.array_to_img(torch.from_numpy(ours.copy()), data_format, scale)),
            np.asarray(expected),
        )


@pytest.mark.parametrize(
    "x", [np.zeros((2, 3, 3)), np.full((2, 3, 1), 300.0), np.linspace(-1, 1, 18).reshape(2, 3, 3)]
)
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_beyond_the_range_of_a_byte_are_as_in_keras(x: npt.NDArray[Any], scale: bool) -> None:
    if not scale and x.min() < 0:
        x = x + 1
    ours, theirs = utils.array_to_img(x, scale=scale), keras.utils.array_to_img(x, scale=scale)
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.jpg", {"quality": 90}), ("a.bmp", {})])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_array_is_saved_as_in_keras(tmp_path: Path, name: str, options: Any, channels: int) -> None:
    x = np.random.rand(5, 4, channels)
    utils.save_img(tmp_path / name, x, **options)
    keras.utils.save_img(tmp_path / f"k{name}", x, **options)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"k{name}").read_bytes()
    file = io.BytesIO()
    utils.save_img(file, torch.from_numpy(x), file_format=name[2:], **options)
    assert file.getvalue() == (tmp_path / name).read_bytes()


def test_a_jpeg_has_no_transparency(tmp_path: Path) -> None:
    utils.save_img(tmp_path / "a.JPG", np.random.rand(5, 4, 4))
    assert utils.load_img(tmp_path / "a.JPG", "rgba").getextrema()[3] == (255, 255)


@pytest.mark.parametrize("size", [(4, 4), (8, 3), (2, 9), (30, 31), (1, 40)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("shape", [(7, 10, 3), (2, 10, 7, 1)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_smart_resize_is_as_in_keras(shape: Any, size: Any, interpolation: str, dtype: str) -> None:
    x = (np.random.rand(*shape) * 255).astype(dtype)
    for order in ("channels_last", "channels_first"):
        given = x if order == "channels_last" else np.moveaxis(x, -1, -3)
        ours = preprocessing.image.smart_resize(given, size, interpolation, order)
        tensor = torch.from_numpy(given.copy())
        theirs = keras.preprocessing.image.smart_resize(tensor, size, interpolation, order)
        assert isinstance(ours, np.ndarray)
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=0, atol=1e-4)
        found = preprocessing.image.smart_resize(tensor, size, interpolation, order)
        torch.testing.assert_close(found, theirs, rtol=0, atol=1e-4)


def test_what_is_no_image_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not at all")
    with pytest.raises(
        DataError, match=r"a.png': expected an image, got .*Fix: remove the file, or get it anew"
    ):
        utils.load_img(tmp_path / "a.png")
    picture("RGB").save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-60])
    with pytest.raises(DataError, match="expected an image, got 'image file is truncated"):
        utils.load_img(tmp_path / "b.png")
    with pytest.raises(FileNotFoundError):
        utils.load_img(tmp_path / "c.png")
    with pytest.raises(UnknownNameError, match="Unknown color_mode 'gray'. Did you mean 'grayscale'?"):
        utils.load_img(tmp_path / "a.png", "gray")
    with pytest.raises(UnknownNameError, match="Unknown interpolation 'bilinea'. Did you mean 'bilinear'?"):
        utils.load_img(tmp_path / "a.png", interpolation="bilinea")
    with pytest.raises(
        ShapeError, match=r"array_to_img: expected 3 dimensions, got shape \(1, 2, 2, 3\). Fix: x\[0\]"
    ):
        utils.array_to_img(np.zeros((1, 2, 2, 3)))
    with pytest.raises(ShapeError, match="expected 1, 3 or 4, got 2 channels"):
        utils.array_to_img(np.zeros((2, 2, 2)))
    with pytest.raises(ShapeError, match=r"img_to_array: expected 2 or 3 dimensions, got shape \(2,\)"):
        utils.img_to_array(np.zeros(2))


def test_missing_pillow_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"'pillow', which is not installed.*torchfunc\[vision\]"):
        utils.load_img("a.png")
