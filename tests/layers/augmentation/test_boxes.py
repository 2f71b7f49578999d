"""Boxes: formats, overlap and deltas beside Keras, and boxes that go where their image takes them."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.layers.augmentation.rows import images
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.layers.augmentation.boxes import FORMATS, as_tensors
from torchfunc.utils import bounding_boxes as ours

theirs = keras.utils.bounding_boxes
SIZE = {"height": 40, "width": 30}


def boxes(*shape: int) -> Tensor:
    """Boxes in an image of 40 by 30, as "xyxy"."""
    corners = torch.rand(*shape, 2, 2).sort(-2).values * torch.tensor([30.0, 40.0])
    return corners.flatten(-2)


def close(mine: Any, yours: Any, tolerance: float = 1e-5) -> None:
    mine, yours = np.asarray(mine, float), np.asarray(yours, float)
    assert mine.shape == yours.shape
    np.testing.assert_allclose(mine, yours, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("source", "target"), [*itertools.product(FORMATS, FORMATS)])
def test_every_format_goes_into_every_other_one(source: str, target: str) -> None:
    given = ours.convert_format(boxes(2, 5), "xyxy", source, **SIZE)
    found = ours.convert_format(given, source, target, **SIZE)
    if source != "rel_yxyx" or target != "rel_yxyx":
        close(found, theirs.convert_format(given, source, target, **SIZE), 2e-5)
    close(ours.convert_format(found, target, source, **SIZE), given, 2e-5)
    array = ours.convert_format(
        {"boxes": given.numpy(), "labels": 1}, source, target, **SIZE, dtype="float64"
    )
    assert array["labels"] == 1 and array["boxes"].dtype == torch.float64


def test_boxes_are_cut_at_the_sides_and_what_is_outside_has_no_label() -> None:
    given = torch.tensor([[-5.0, -5.0, 10.0, 50.0], [31.0, 1.0, 35.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    data = {"boxes": given, "labels": torch.tensor([1, 2, 3])}
    found, expected = ours.clip_to_image_size(data, **SIZE), theirs.clip_to_image_size(dict(data), **SIZE)
    close(found["boxes"], expected["boxes"])
    assert found["labels"].tolist() == expected["labels"].tolist() == [1, -1, 3]
    relative = ours.clip_to_image_size({"boxes": given / 32}, bounding_box_format="rel_xyxy")
    assert relative["boxes"].max() == 1 and "labels" not in relative and torch.equal(data["boxes"], given)


def test_parts_and_padding_of_an_image_move_its_boxes() -> None:
    given = boxes(2, 4)
    close(ours.crop(given, 3, 5, 20, 10), theirs.crop(given, 3, 5, 20, 10))
    close(ours.pad(given, 3, 5), theirs.pad(given, 3, 5))
    turned = [torch.rand(2) * size for size in (90, 0.3, 0.3, 2, 20, 20)]
    for center in ({}, {"center_x": 0.2, "center_y": 0.7}):
        mine, yours = (each.affine_transform(given, *turned, 40, 30, **center) for each in (ours, theirs))
        close(mine, yours, 1e-4)


@pytest.mark.parametrize("ranks", [(2, 2), (3, 3), (3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("form", ["xyxy", "yxyx", "center_xywh", "rel_xywh"])
def test_overlap_equals_that_of_keras(ranks: tuple[int, int], form: str) -> None:
    one, two = (boxes(*((3, n) if rank == 3 else (n,))) for rank, n in zip(ranks, (4, 5), strict=True))
    one, two = (ours.convert_format(each, "xyxy", form, **SIZE) for each in (one, two))
    shape = {"image_shape": (40, 30, 3)}
    close(ours.compute_iou(one, two, form, **shape), theirs.compute_iou(one, two, form, **shape))
    if ranks[0] == ranks[1] and form == "xyxy":
        masked = torch.where(torch.rand(one.shape[:-1])[..., None] > 0.5, one, -1.0)
        mine, yours = (
            each.compute_iou(masked, two, form, use_masking=True, mask_val=-2) for each in (ours, theirs)
        )
        close(mine, yours)
    if not form.startswith("rel"):
        pairs = ours.convert_format(boxes(3, 4), "xyxy", form), ours.convert_format(boxes(3, 4), "xyxy", form)
        close(ours.compute_ciou(*pairs, form), theirs.compute_ciou(*pairs, form))


def test_padding_of_either_is_masked_in_batches_and_without() -> None:
    """Of a batch beside boxes without one, Keras turns the wrong axes."""
    one, two = boxes(3, 4), boxes(5)
    two[1] = -1
    found = ours.compute_iou(one, two, "xyxy", use_masking=True)
    assert (found[:, :, 1] == -1).all() and (found[:, :, [0, 2, 3, 4]] >= 0).all()


@pytest.mark.parametrize("encoding", ["center_xywh", "center_yxhw"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]], ids=str)
def test_deltas_equal_those_of_keras_and_come_back(encoding: str, variance: Any) -> None:
    anchors, given = boxes(6), ours.convert_format(boxes(6), "xyxy", "rel_xywh", **SIZE)
    rest = {"variance": variance, "image_shape": (40, 30, 3)}
    deltas = ours.encode_box_to_deltas(anchors, given, "xyxy", "rel_xywh", encoding, **rest)
    expected = theirs.encode_box_to_deltas(anchors, given, "xyxy", "rel_xywh", encoding, **rest)
    close(deltas, expected, 1e-4)
    close(ours.decode_deltas_to_boxes(anchors, deltas, "xyxy", "rel_xywh", encoding, **rest), given, 1e-4)
    levels = ours.decode_deltas_to_boxes({"p3": anchors}, {"p3": deltas}, "xyxy", "xyxy", encoding, **rest)
    close(levels["p3"], ours.convert_format(given, "rel_xywh", "xyxy", **SIZE), 1e-3)


WRONG = [
    (lambda: ours.convert_format(boxes(2), "xyxy", "xyhw"), r"expected 'xyxy' or .* got a format='xyhw'"),
    (lambda: ours.convert_format(boxes(2), "xyxy", "rel_xyxy", height=3), r"got height=3 and width=None"),
    (lambda: ours.convert_format(torch.ones(2, 3), "xyxy", "xywh"), r"expected \(..., 4\), got boxes of shape \(2, 3\)"),
    (lambda: ours.clip_to_image_size({"boxes": boxes(2)}), r"clip_to_image_size: expected both"),
    (lambda: ours.crop(boxes(2), 1, 1, 2, 2, "yxyx"), r"crop: expected 'xyxy', got bounding_box_format='yxyx'"),
    (lambda: ours.compute_iou(boxes(2), boxes(2), "rel_xyxy"), r"compute_iou: .*no image_shape"),
    (lambda: ours.compute_iou(boxes(2, 2, 2), boxes(2), "xyxy"), r"got boxes of shape \(2, 2, 2, 4\)"),
    (lambda: ours.compute_ciou(boxes(2), boxes(2), "rel_xyxy"), r"compute_ciou: expected a format in pixels"),
    (lambda: ours.encode_box_to_deltas(boxes(2), boxes(2), "xyxy", "xyxy", "xyxy"), r"expected 'center_xywh' or"),
    (lambda: ours.encode_box_to_deltas(boxes(2), boxes(2), "xyxy", "xyxy", variance=[1.0]), r"expected four numbers"),
    (lambda: as_tensors({"boxes": boxes(2)}), r"expected a dict of 'boxes' and 'labels'"),
    (lambda: as_tensors({"boxes": torch.ones(4), "labels": torch.ones(1)}), r"got 'boxes' of shape \(4,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), WRONG, ids=[words[:30] for _, words in WRONG])
def test_what_is_no_box_is_told(call: Any, words: str) -> None:
    with pytest.raises((GraphError, ShapeError), match=words):
        call()


def test_lists_of_boxes_are_filled_up() -> None:
    data = {"boxes": [[[1, 2, 3, 4]], [[1, 2, 3, 4], [5, 6, 7, 8]]], "labels": [[7], [8, 9]]}
    found = as_tensors(data)
    assert found["boxes"].tolist() == [[[1, 2, 3, 4], [0, 0, 0, 0]], [[1, 2, 3, 4], [5, 6, 7, 8]]]
    assert found["labels"].tolist() == [[7, -1], [8, 9]]
    layer = layers.RandomFlip("horizontal", bounding_box_format="xyxy")
    assert layer({"images": images(2), "bounding_boxes": data})["bounding_boxes"]["boxes"].shape == (2, 2, 4)


# Boxes go where their images take them: an image that is white in a box is white in the box that comes back.

MOVERS: dict[str, dict[str, Any]] = {
    "RandomFlip": {},
    "RandomRotation": {"factor": 0.4},
    "RandomZoom": {"height_factor": (-0.3, 0.3), "width_factor": (-0.3, 0.3)},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomShear": {"x_factor": 0.3, "y_factor": 0.2},
    "RandomPerspective": {"factor": (1.0, 1.0), "scale": 0.4},
    "RandAugment": {"num_ops": 3, "factor": 0.2},
    "RandomCrop": {"height": 50, "width": 60},
    "CenterCrop": {"height": 50, "width": 60},
    "Resizing": {"height": 50, "width": 60},
}
MORE: list[tuple[str, dict[str, Any]]] = [
    *MOVERS.items(),
    ("RandomCrop", {"height": 100, "width": 40}),
    ("CenterCrop", {"height": 100, "width": 40}),
    ("Resizing", {"height": 51, "width": 40, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 51, "width": 90, "pad_to_aspect_ratio": True}),
]


# as in Keras, these take a box between the middles of its outer pixels, and the others between their edges
BY_MIDDLES = (
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "RandomShear",
    "RandomPerspective",
    "RandAugment",
)


def around_white(image: Tensor, edge: int) -> list[float]:
    """The smallest box around what is white, the tips of turned corners too."""
    y, x = (image > 0.2).nonzero().unbind(1)
    return [float(x.min()), float(y.min()), float(x.max()) + edge, float(y.max()) + edge]


@pytest.mark.parametrize(("kind", "arguments"), MORE, ids=str)
@pytest.mark.parametrize("form", ["xyxy", "rel_yxyx", "center_xywh"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_box_is_where_its_image_is_white(
    kind: str, arguments: dict[str, Any], form: str, data_format: str
) -> None:
    corners = torch.tensor([[[30.0, 25.0, 50.0, 40.0]], [[35.0, 30.0, 45.0, 50.0]]])
    pictures = torch.zeros(2, 70, 80, 3)
    for picture, (x1, y1, x2, y2) in zip(pictures, corners[:, 0].int().tolist(), strict=True):
        picture[y1:y2, x1:x2] = 1
    pictures = pictures if data_format == "channels_last" else pictures.movedim(-1, 1)
    fill = {} if kind in ("RandAugment", "RandomPerspective") or "Crop" in kind else {"fill_mode": "constant"}
    fill = {} if kind in ("RandomFlip", "Resizing") else fill
    seed = {"seed": 0} if kind.startswith("Rand") else {}
    valued = {"value_range": (0, 1)} if kind == "RandAugment" else {}
    layer = getattr(layers, kind)(
        **arguments, **fill, **seed, **valued, bounding_box_format=form, data_format=data_format
    )
    edge = 0 if kind in BY_MIDDLES else 1
    corners[..., 2:] -= 1 - edge
    given = ours.convert_format(corners, "xyxy", form, height=70, width=80)
    for _ in range(1 if not seed else 8):
        data = {"images": pictures, "bounding_boxes": {"boxes": given, "labels": torch.tensor([[1], [2]])}}
        if kind == "RandAugment":
            steps = layer.get_random_transformation(pictures)
            found = layer.transform_bounding_boxes(data["bounding_boxes"], steps)
            white = layer.transform_segmentation_masks(pictures, steps)
        else:
            whole = layer(data)
            found, white = whole["bounding_boxes"], whole["images"]
        white = white[..., 0] if data_format == "channels_last" else white[:, 0]
        size = {"height": white.shape[1], "width": white.shape[2]}
        back = ours.convert_format(found["boxes"], form, "xyxy", **size)
        assert found["labels"].tolist() == [[1], [2]]
        for mine, picture in zip(back[:, 0], white, strict=True):
            assert (mine - torch.tensor(around_white(picture, edge))).abs().max() <= 1


@pytest.mark.parametrize("kind", MOVERS)
def test_boxes_of_one_image_and_of_a_batch_of_one_are_the_same(kind: str) -> None:
    data = {
        "boxes": torch.tensor([[2.0, 1.0, 4.0, 3.0], [3.0, 3.0, 7.0, 6.0]]),
        "labels": torch.tensor([1, 2]),
    }
    seed = {"seed": 0} if kind.startswith("Rand") else {}
    one, batch = (getattr(layers, kind)(**MOVERS[kind], **seed, bounding_box_format="xyxy") for _ in range(2))
    given = torch.rand(1, 8, 9, 3) * 255
    found = one({"images": given[0], "bounding_boxes": data})["bounding_boxes"]
    many = {key: value[None] for key, value in data.items()}
    expected = batch({"images": given, "bounding_boxes": many})["bounding_boxes"]
    for key in data:
        torch.testing.assert_close(found[key], expected[key][0])


@pytest.mark.parametrize(
    ("make", "transformation", "expected"),
    [
        (
            lambda L: L.RandomTranslation(0.5, 0.5, bounding_box_format="xywh"),
            {"translations": [[2.0, -1.0], [-3.0, 4.0]], "input_shape": (2, 10, 8, 3)},
            None,
        ),
        (
            lambda L: L.RandomZoom(0.5, bounding_box_format="xywh"),
            {"height_zoom": [[1.9], [0.7]], "width_zoom": [[1.5], [0.5]], "input_shape": (2, 10, 8, 3)},
            None,
        ),
        (
            lambda L: L.RandomFlip("horizontal", bounding_box_format="xywh"),
            {"flips": [[[[True]]], [[[False]]]], "input_shape": (2, 10, 8, 3)},
            None,
        ),
    ],
    ids=["translation", "zoom", "flip"],
)
def test_boxes_equal_those_of_keras_for_the_same_transformation(
    make: Any, transformation: Any, expected: Any
) -> None:
    drawn = {key: np.asarray(each) if key != "input_shape" else each for key, each in transformation.items()}
    data = np.array([[[2.0, 1, 2, 2], [6, 4, 2, 2]], [[1, 1, 3, 3], [4, 4, 2, 5]]], "float32")
    labels = np.array([[1, 2], [3, 4]])
    mine = make(layers).transform_bounding_boxes({"boxes": data, "labels": labels}, drawn)
    tensors = {key: torch.as_tensor(each) if key != "input_shape" else each for key, each in drawn.items()}
    boxes_too = {"boxes": torch.as_tensor(data), "labels": torch.as_tensor(labels)}
    yours = make(keras.layers).transform_bounding_boxes(boxes_too, tensors)
    close(mine["boxes"], yours["boxes"], 1e-4)
    assert mine["labels"].tolist() == yours["labels"].tolist()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda L, f: L.CenterCrop(5, 5, bounding_box_format=f), [[1, 0, 3, 1], [5, 2, 5, 4]]),
        (lambda L, f: L.CenterCrop(20, 20, bounding_box_format=f), [[5, 0, 10, 5], [15, 7.5, 20, 12.5]]),
        (lambda L, f: L.Resizing(20, 20, bounding_box_format=f), [[5, 2, 10, 6], [15, 8, 20, 12]]),
        (
            lambda L, f: L.Resizing(20, 20, pad_to_aspect_ratio=True, bounding_box_format=f),
            [[6, 2, 10, 6], [14, 8, 18, 12]],
        ),
    ],
    ids=["crop", "crop_and_stretch", "stretch", "pad"],
)
def test_boxes_in_another_size_are_those_of_keras(layer: Any, expected: Any) -> None:
    data = {"boxes": np.array([[[2, 1, 4, 3], [6, 4, 8, 6]]]), "labels": np.array([[1, 2]])}
    given = {"images": np.random.rand(1, 10, 8, 3), "bounding_boxes": data}
    close(layer(layers, "xyxy")(given)["bounding_boxes"]["boxes"], [expected])
    given["bounding_boxes"] = dict(data)
    close(layer(keras.layers, "xyxy")(given)["bounding_boxes"]["boxes"].cpu(), [expected])


def test_a_part_with_other_proportions_moves_boxes_exactly() -> None:
    """Keras's Resizing cuts half pixels from the offset, where its CenterCrop does not."""
    data = {"boxes": np.array([[[2, 1, 4, 3], [6, 4, 8, 6]]]), "labels": np.array([[1, 2]])}
    given = {"images": np.random.rand(1, 10, 8, 3), "bounding_boxes": data}
    layer = layers.Resizing(20, 20, crop_to_aspect_ratio=True, bounding_box_format="xyxy")
    close(layer(given)["bounding_boxes"]["boxes"], [[[5, 0, 10, 5], [15, 7.5, 20, 12.5]]])


def test_every_image_has_as_many_boxes() -> None:
    data = {"boxes": torch.arange(24.0).reshape(2, 3, 4), "labels": torch.tensor([[1, 2, 3], [4, 5, 6]])}
    for number in (2, 3, 5):
        layer = layers.MaxNumBoundingBoxes(number, bounding_box_format="xyxy")
        found = layer({"images": images(2), "bounding_boxes": data})["bounding_boxes"]
        assert found["boxes"].shape == (2, number, 4) and found["labels"].shape == (2, number)
        kept = min(number, 3)
        assert torch.equal(found["boxes"][:, :kept], data["boxes"][:, :kept])
        assert (found["boxes"][:, kept:] == -1).all() and (found["labels"][:, kept:] == -1).all()
    assert layers.MaxNumBoundingBoxes(2, fill_value=0).get_config()["fill_value"] == 0
