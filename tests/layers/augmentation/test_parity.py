"""Image layers beside Keras where nothing is random, and beside the mathematics where Keras 3.15.1 errs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.layers.augmentation.rows import FORMATS, images
from torchfunc import layers

Row = tuple[str, dict[str, Any]]
each_format = pytest.mark.parametrize("data_format", FORMATS)
SIZES = ((5, 6), (20, 13), (8, 9), (3, 30))
FILLS = ("reflect", "wrap", "constant", "nearest")
READING = [
    {"fill_mode": mode, "interpolation": kind, "fill_value": 5.0}
    for mode in FILLS
    for kind in ("bilinear", "nearest")
]


def rows(kind: str, *arguments: dict[str, Any]) -> list[Row]:
    return [(kind, each) for each in arguments]


RESIZING = [
    {"height": height, "width": width, "interpolation": kind, **more}
    for height, width in SIZES
    for kind in ("bilinear", "nearest", "bicubic")
    for more in (
        {},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "fill_value": 7.0},
        {"antialias": True},
    )
]
GEOMETRY = [
    *(row for more in READING for row in rows(
        "RandomRotation", *({"factor": (f, f), **more} for f in (0.1, -0.31, 0.5)))),
    *(row for more in READING for row in rows(
        "RandomZoom",
        {"height_factor": (0.3, 0.3), "width_factor": (-0.4, -0.4), **more},
        {"height_factor": (0.9, 0.9), **more})),
    *(row for more in READING for row in rows(
        "RandomTranslation",
        {"height_factor": (0.3, 0.3), "width_factor": (-0.37, -0.37), **more},
        {"height_factor": (0.9, 0.9), "width_factor": (1.0, 1.0), **more})),
    *rows("RandomShear", {}, *({"fill_mode": mode} for mode in FILLS)),
    *rows("RandomPerspective", {"factor": (1.0, 1.0), "scale": 0.0}, {"factor": (0.0, 0.0)}),
]  # fmt: skip
COLORS = [
    *rows("RandomBrightness", {"factor": (0.3, 0.3)}, {"factor": (-0.3, -0.3), "value_range": (10, 200)}),
    *rows("RandomHue", {"factor": (0.0, 0.0)}, {"factor": (1.0, 1.0)}),
    *rows("RandomSaturation", *({"factor": (f, f)} for f in (0.0, 0.3, 0.5))),
    *rows("RandomColorDegeneration", *({"factor": (f, f)} for f in (0.0, 0.3, 1.0))),
    *rows("RandomGrayscale", {"factor": 1.0}, {"factor": 0.0}),
    *rows("RandomInvert", {"factor": (1.0, 1.0)}, {"factor": (0.0, 0.0)}),
    *rows("RandomPosterization", *({"factor": (bits, bits)} for bits in range(1, 9))),
    *rows("RandomSharpness", *({"factor": (f, f)} for f in (0.0, 0.2, 0.5, 0.9))),
    *rows("RandomGaussianBlur", *(
        {"factor": (1.0, 1.0), "kernel_size": size, "sigma": (0.7, 0.7)} for size in (3, 5))),
    *rows("RandomErasing", {"factor": (1.0, 1.0), "scale": (1.0, 1.0), "fill_value": 7}, {"scale": 0.0}),
    *rows("Solarization", {}),
    *rows("ContrastLimitedAdaptiveHistogramEqualization", *(
        {"tile_grid_size": grid, "clip_limit": 0.0} for grid in ((8, 9), (2, 3), (4, 1)))),
]  # fmt: skip
MIXED = (
    rows("MixUp", {})
    + rows("CutMix", {})
    + rows("RandomContrast", {"factor": 0.3})
    + rows("AutoContrast", {})
)


def both(kind: str, arguments: dict[str, Any], given: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    mine, yours = (getattr(each, kind)(**arguments)(given.clone(), **call) for each in (layers, keras.layers))
    assert mine.dtype == yours.dtype and mine.shape == yours.shape
    return mine.double(), yours.double()


def close(mine: Any, yours: Any, scale: float = 255.0) -> None:
    """Equal within 1e-5 of the range of the values."""
    np.testing.assert_allclose(
        np.asarray(mine, float) / scale, np.asarray(yours, float) / scale, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("kind", "arguments"), GEOMETRY + COLORS, ids=str)
@each_format
def test_a_random_layer_that_has_no_choice_does_what_its_keras_twin_does(
    kind: str, arguments: dict[str, Any], data_format: str
) -> None:
    close(
        *both(kind, {**arguments, "data_format": data_format}, images(data_format=data_format), training=True)
    )


@pytest.mark.parametrize("kind", ["RandomPosterization", "Solarization", "RandomBrightness", "RandomHue"])
def test_values_may_be_from_0_to_1(kind: str) -> None:
    chance = {"RandomPosterization": (3, 3), "RandomBrightness": (0.2, 0.2), "RandomHue": (1.0, 1.0)}
    arguments = {"factor": chance[kind]} if kind in chance else {}
    close(*both(kind, {**arguments, "value_range": (0, 1)}, images() / 255, training=True), 1.0)


@pytest.mark.parametrize(("kind", "arguments"), GEOMETRY[::9] + COLORS[::3] + MIXED[:3], ids=str)
@each_format
def test_in_inference_nothing_happens_as_in_keras(
    kind: str, arguments: dict[str, Any], data_format: str
) -> None:
    close(
        *both(
            kind, {**arguments, "data_format": data_format}, images(data_format=data_format), training=False
        )
    )


@pytest.mark.parametrize("arguments", RESIZING, ids=str)
@each_format
def test_resizing_equals_its_keras_twin_on_floats_and_on_bytes(
    arguments: dict[str, Any], data_format: str
) -> None:
    given = images(data_format=data_format)
    arguments = {**arguments, "data_format": data_format}
    close(*both("Resizing", arguments, given))
    mine, yours = both("Resizing", arguments, given.to(torch.uint8))
    # where PyTorch's kernels for bytes and for floats round a half apart
    assert (mine - yours).abs().max() <= 1 and (mine != yours).double().mean() < 0.01


@pytest.mark.parametrize("size", SIZES, ids=str)
@each_format
def test_the_middle_is_that_of_keras(size: tuple[int, int], data_format: str) -> None:
    arguments = {"height": size[0], "width": size[1], "data_format": data_format}
    for dtype in (torch.float32, torch.uint8):
        close(*both("CenterCrop", arguments, images(data_format=data_format).to(dtype)))


@pytest.mark.filterwarnings("ignore:Tensor.T is deprecated")  # Keras's own
def test_layers_that_always_act_equal_their_keras_twins() -> None:
    given = images()
    for training in (False, True):
        close(*both("AutoContrast", {}, given, training=training))
        close(*both("AutoContrast", {"value_range": (0, 1)}, given / 255, training=training), 1.0)
        close(*both("AutoContrast", {}, torch.full((2, 4, 4, 3), 7.0), training=training))
    for arguments in ({}, {"bins": 32}):
        close(*both("Equalization", arguments, given[:1], training=True))
    close(*both("Equalization", {"value_range": (0, 1)}, given[:1] / 255, training=True), 1.0)


# What follows Keras 3.15.1 does otherwise, and each says how.


def test_contrast_goes_either_way_as_documented() -> None:
    """Of one number Keras takes 0 for the lower bound, so that contrast never falls, and it sorts two numbers."""
    for factor, least, most in ((0.5, 0.5, 1.5), ((0.6, 0.2), 0.4, 1.2)):
        given = torch.tensor([100.0, 104.0]).reshape(1, 1, 2, 1).repeat(400, 1, 1, 1)
        output = layers.RandomContrast(factor, seed=0)(given)
        contrast = (output[:, 0, 1, 0] - output[:, 0, 0, 0]) / 4
        assert least <= contrast.min() < least + 0.02 and most - 0.02 < contrast.max() <= most
        close(output.mean((1, 2)), torch.full((400, 1), 102.0))


def test_saturation_is_a_share_whatever_the_range() -> None:
    """Keras lets a saturation grow to value_range[1], 255, which makes colours below 0."""
    output = layers.RandomSaturation((1.0, 1.0))(torch.tensor([[[[200.0, 150.0, 100.0]]]]))
    close(output.flatten(), [200.0, 100.0, 0.0])


def test_the_negative_of_a_range_lies_in_it() -> None:
    """Keras subtracts from value_range[1], which is right only where the range begins at 0."""
    output = layers.RandomInvert((1.0, 1.0), value_range=(20, 200))(torch.tensor([[[[20.0, 110.0, 190.0]]]]))
    close(output.flatten(), [200.0, 110.0, 30.0])


def test_the_lower_bounds_of_solarization_are_shares_as_well() -> None:
    """Keras multiplies only the upper ones by 255."""
    layer = layers.Solarization((0.1, 0.1), (0.5, 0.5))
    output = layer(torch.tensor([[[[10.0, 100.0, 110.0]]]]))
    close(output.flatten(), [35.5, 125.5, 119.5])


def test_contrast_is_stretched_over_space_in_either_format() -> None:
    """With channels first Keras takes the extremes over channels and height."""
    given = images()
    last = layers.AutoContrast(data_format="channels_last")(given)
    first = layers.AutoContrast(data_format="channels_first")(given.permute(0, 3, 1, 2))
    close(first.permute(0, 2, 3, 1), last)


@pytest.mark.filterwarnings("ignore:Tensor.T is deprecated")  # Keras's own
def test_each_image_is_equalized_by_its_own_histogram() -> None:
    """Keras takes that of the whole batch."""
    given = images()
    given[1] /= 3
    whole = layers.Equalization()(given)
    close(whole, torch.cat([keras.layers.Equalization()(each[None], training=True) for each in given]))


def equalized_by_tiles(image: Any, grid: tuple[int, int], limit: float) -> Any:
    """The definition, pixel by pixel: (height, width) to (height, width)."""
    (height, width), (rows, columns) = image.shape, grid
    tall, wide = -(-height // rows), -(-width // columns)
    padded = np.pad(image, [(0, tall * rows - height), (0, wide * columns - width)], mode="symmetric")
    tables = np.zeros((rows, columns, 256))
    for row, column in np.ndindex(rows, columns):
        tile = padded[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide].astype(int)
        counts = np.bincount(tile.ravel(), minlength=256).astype(float)
        if limit:
            kept = np.minimum(counts, limit * tile.size / 256)
            counts = kept + (counts - kept).sum() / 256
        below = counts.cumsum()
        tables[row, column] = (below - below[0]) * 255 / ((tile.size - below[0]) or 1)

    def read(row: int, column: int, value: int) -> Any:
        return tables[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1), value]

    found = np.zeros(image.shape)
    for y, x in np.ndindex(height, width):
        value, down, across = int(image[y, x]), y / tall - 0.5, x / wide - 0.5
        row, column = int(np.floor(down)), int(np.floor(across))
        down, across = down - row, across - column
        above = read(row, column, value) * (1 - across) + read(row, column + 1, value) * across
        beneath = read(row + 1, column, value) * (1 - across) + read(row + 1, column + 1, value) * across
        found[y, x] = above * (1 - down) + beneath * down
    return found


@pytest.mark.parametrize("grid", [(8, 8), (2, 3), (3, 4)], ids=str)
@pytest.mark.parametrize("limit", [0.0, 1.5, 40.0])
def test_tiles_are_equalized_as_the_definition_says(grid: tuple[int, int], limit: float) -> None:
    """Keras cuts the limit to a whole number, and pads by more than one pixel with others than the mirrored ones."""
    given = images(2, 9, 11)
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=grid, clip_limit=limit)
    expected = [[equalized_by_tiles(image[..., c].numpy(), grid, limit) for c in range(3)] for image in given]
    close(layer(given), np.moveaxis(np.asarray(expected), 1, -1))


def test_a_blur_has_a_width_and_a_height_of_its_own() -> None:
    """Keras pads both by the first, which changes the shape, and puts the kernel in the wrong order."""
    layer = layers.RandomGaussianBlur((1.0, 1.0), kernel_size=(5, 3), sigma=(0.8, 0.8))
    point = torch.zeros(1, 7, 7, 1)
    point[0, 3, 3] = 100.0
    output = layer(point)[0, ..., 0]
    bells = [np.exp(-0.5 * (np.arange(-n, n + 1) / 0.8) ** 2) for n in (2, 1)]
    across, down = (each / each.sum() for each in bells)
    expected = np.zeros((7, 7))
    expected[2:5, 1:6] = 100 * np.outer(down, across)
    close(output, expected)


def test_a_random_crop_in_inference_is_the_largest_part_as_documented() -> None:
    """Keras gives the image back as it is; and of one that is too small it cuts a part of the wrong size."""
    given = images(2, 9, 12)
    for height, width in ((3, 3), (20, 10)):
        layer = layers.RandomCrop(height, width)
        expected = layers.Resizing(height, width, crop_to_aspect_ratio=True)(given)
        close(layer(given, training=False), expected)
        if height == 20:
            close(layer(given, training=True), expected)


def test_colour_jitter_knows_the_data_format() -> None:
    """Keras hands it to none of the layers inside."""
    arguments: dict[str, Any] = {
        "brightness_factor": (0.1, 0.1),
        "saturation_factor": (0.3, 0.3),
        "hue_factor": (0.0, 0.0),
    }
    given = images()
    last, first = (layers.RandomColorJitter(**arguments, data_format=each) for each in FORMATS)
    close(first(given.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), last(given))
    close(*both("RandomColorJitter", arguments, given, training=True))
