"""What random layers draw: from which range, how often, and around which mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.layers.augmentation.rows import images
from torchfunc import layers
from torchfunc.errors import GraphError, ShapeError

MANY = 2000


def drawn(layer: Any, key: str, number: int = MANY) -> Tensor:
    """What a layer draws for many small images."""
    found: Tensor = layer.get_random_transformation(torch.zeros(number, 4, 6, 3), seed=0)[key]
    return found


@pytest.mark.parametrize(
    ("layer", "key", "low", "high"),
    [
        (layers.RandomRotation(0.1), "angle", -36, 36),
        (layers.RandomRotation((0.1, 0.2)), "angle", 36, 72),
        (layers.RandomZoom(0.2), "height_zoom", 0.8, 1.2),
        (layers.RandomZoom(0.2, (-0.5, 0.0)), "width_zoom", 0.5, 1.0),
        (layers.RandomBrightness(0.2, (0, 1)), "rgb_delta", -0.2, 0.2),
        (layers.RandomHue((0.2, 0.6)), "factor", -0.3, 0.3),
        (layers.RandomColorDegeneration(0.5), "factor", 0, 0.5),
        (layers.RandomSharpness((0.3, 0.8)), "factor", 0.3, 0.8),
        (layers.Solarization(0.5, (0.2, 0.4)), "additions", 0, 127.5),
        (layers.Solarization(0.5, (0.2, 0.4)), "thresholds", 51, 102),
        (layers.MixUp(1.0), "mix_weight", 0, 1),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, layers.Layer) else str(each),
)
def test_numbers_are_drawn_evenly_from_their_range(layer: Any, key: str, low: float, high: float) -> None:
    numbers, width = drawn(layer, key), high - low
    assert numbers.numel() == MANY and len(numbers.unique()) > 0.99 * MANY
    assert low <= numbers.min() < low + 0.02 * width and high - 0.02 * width < numbers.max() <= high
    assert abs(numbers.mean() - (low + high) / 2) < 0.03 * width


@pytest.mark.parametrize(
    ("layer", "key", "share"),
    [
        (layers.RandomFlip(), "flips", 0.5),
        (layers.RandomInvert((0.2, 0.2)), "apply_inversion", 0.2),
        (layers.RandomInvert(1.0), "apply_inversion", 0.5),
        (layers.RandomErasing((0.7, 0.9)), "apply_erasing", 0.8),
        (layers.RandomGaussianBlur((1.0, 1.0)), "should_apply_blur", 1.0),
        (layers.RandomPerspective(0.0), "apply_perspective", 0.0),
        (layers.RandomElasticTransform((0.4, 0.4)), "apply_transform", 0.4),
    ],
    ids=str,
)
def test_it_happens_as_often_as_is_said(layer: Any, key: str, share: float) -> None:
    assert abs(drawn(layer, key).float().mean() - share) < 0.03


def test_gray_images_are_as_many_as_is_said() -> None:
    output = layers.RandomGrayscale(0.3, seed=0)(torch.rand(MANY, 1, 1, 3))
    assert abs((output[..., 0] == output[..., 1]).float().mean() - 0.3) < 0.03


def test_translations_and_shears_lie_in_their_ranges() -> None:
    moves = drawn(layers.RandomTranslation(0.5, (0.5, 1.0)), "translations")
    assert -2 <= moves[:, 1].min() < -1.9 and 1.9 < moves[:, 1].max() <= 2  # of a height of 4
    assert 3 <= moves[:, 0].min() < 3.1 and 5.9 < moves[:, 0].max() <= 6  # of a width of 6
    slants = drawn(layers.RandomShear((0.2, 0.4), 0.5), "shear_factor")
    assert slants[:, 0].abs().min() >= 0.2 and slants[:, 0].abs().max() <= 0.4
    assert abs(slants[:, 0].sign().mean()) < 0.1 and slants[:, 1].abs().max() <= 0.5


def test_bits_are_drawn_below_the_upper_bound() -> None:
    assert drawn(layers.RandomPosterization((2, 5)), "shift_factor").unique().tolist() == [4, 5, 6]
    assert drawn(layers.RandomPosterization((5, 5)), "shift_factor").unique().tolist() == [3]


def test_a_crop_may_lie_anywhere_and_shows_a_part_as_it_is() -> None:
    given = torch.arange(20.0).reshape(1, 4, 5, 1)
    parts = {
        given[0, y : y + 3, x : x + 3, 0].flatten().tolist().__repr__() for y in range(2) for x in range(3)
    }
    layer = layers.RandomCrop(3, 3, seed=0)
    found = {layer(given).flatten().tolist().__repr__() for _ in range(60)}
    assert found == parts


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_images_are_mirrored_or_not(mode: str) -> None:
    given = images(1).repeat(20, 1, 1, 1)
    axes = [axis for axis, word in ((2, "horizontal"), (1, "vertical")) if word in mode]
    output = layers.RandomFlip(mode, seed=0)(given)
    mirrored = (output == given.flip(axes)).flatten(1).all(1)
    assert torch.equal(~mirrored, (output == given).flatten(1).all(1)) and 0 < mirrored.sum() < 20


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_weights_of_mixtures_have_the_variance_of_a_beta_distribution(alpha: float) -> None:
    weights = drawn(layers.MixUp(alpha), "mix_weight", 20_000)
    assert abs(weights.mean() - 0.5) < 0.01
    assert abs(weights.var() - 1 / (4 * (2 * alpha + 1))) < 0.005


def test_a_mixture_has_labels_in_the_proportions_of_its_images() -> None:
    given, labels = torch.stack([torch.full((4, 4, 1), float(value)) for value in range(6)]), torch.eye(6)
    for kind in (layers.MixUp, layers.CutMix):
        found = kind(seed=1)({"images": given, "labels": labels, "segmentation_masks": given})
        torch.testing.assert_close(found["labels"].sum(1), torch.ones(6))
        torch.testing.assert_close(found["segmentation_masks"], found["images"])
        values = torch.arange(6.0)
        if kind is layers.MixUp:
            torch.testing.assert_close(found["images"][:, 0, 0, 0], found["labels"] @ values)
        else:  # the rectangle is of whole pixels, and its area is not
            assert {value for image in found["images"] for value in image.unique().tolist()} <= set(
                values.tolist()
            )
            assert (found["images"].mean((1, 2, 3)) - found["labels"] @ values).abs().max() < 2.5


def test_mixed_images_keep_the_boxes_of_both() -> None:
    data = {"boxes": torch.arange(16.0).reshape(2, 2, 4), "labels": torch.tensor([[0, 1], [2, 3]])}
    layer = layers.MixUp(bounding_box_format="xyxy")
    found = layer.transform_bounding_boxes(
        data, {"permutation_order": torch.tensor([1, 0]), "mix_weight": 0.5}
    )
    assert found["labels"].tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    torch.testing.assert_close(found["boxes"], torch.cat([data["boxes"], data["boxes"].flip(0)], 1))
    with pytest.raises(GraphError, match=r"CutMix 'cut_mix': .* got 'bounding_boxes'.*Fix: MixUp"):
        layers.CutMix(bounding_box_format="xyxy")({"images": images(2), "bounding_boxes": data})


def test_erased_places_are_filled_with_noise_or_with_what_is_given() -> None:
    given = torch.full((50, 20, 20, 3), 7.0)
    for fill in (None, 0.0, (1.0, 2.0, 3.0)):
        for data_format in ("channels_last", "channels_first"):
            layer = layers.RandomErasing((1.0, 1.0), (0.1, 0.4), fill, seed=0, data_format=data_format)
            output = layer(given if data_format == "channels_last" else given.movedim(-1, 1))
            output = output if data_format == "channels_last" else output.movedim(1, -1)
            erased = (output != 7).all(-1)
            shares = erased.float().mean((1, 2))
            assert shares.min() > 0.05 and shares.max() < 0.5 and output.min() >= 0 and output.max() <= 255
            if fill is not None:
                torch.testing.assert_close(
                    output[erased], torch.tensor(fill).expand(3).repeat(int(erased.sum()), 1)
                )


def test_an_elastic_transform_moves_masks_as_images_and_stays_when_there_is_nothing_to_do() -> None:
    mask = torch.zeros(4, 32, 32, 1, dtype=torch.int64)
    mask[:, 8:20, 10:25] = 5
    layer = layers.RandomElasticTransform((1.0, 1.0), (0.8, 0.8), "nearest", seed=0)
    found = layer({"images": mask.float(), "segmentation_masks": mask})
    assert torch.equal(found["images"], found["segmentation_masks"].float())
    assert found["segmentation_masks"].dtype == torch.int64 and not torch.equal(
        found["segmentation_masks"], mask
    )
    still = layers.RandomElasticTransform(0.0)
    assert still.get_random_transformation(mask) is None
    torch.testing.assert_close(still(mask.float()), mask.float())


@pytest.mark.parametrize(
    "kind", ["RandomRotation", "RandomZoom", "RandomTranslation", "RandomShear", "RandomFlip"]
)
def test_masks_move_as_their_images_and_hold_no_new_number(kind: str) -> None:
    arguments: dict[str, Any] = {
        "RandomRotation": {"factor": 0.3}, "RandomZoom": {"height_factor": 0.4},
        "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3}, "RandomShear": {"x_factor": 0.5}, "RandomFlip": {},
    }[kind]  # fmt: skip
    nearest = {} if kind == "RandomFlip" else {"interpolation": "nearest"}
    masks = torch.randint(5, (4, 7, 9, 1))
    data = {"images": masks.float(), "segmentation_masks": masks}
    found = getattr(layers, kind)(**arguments, **nearest, seed=2)(data)
    assert torch.equal(found["images"], found["segmentation_masks"].float())
    flat = getattr(layers, kind)(**arguments, **nearest, seed=2)(
        {**data, "segmentation_masks": masks[..., 0]}
    )
    assert torch.equal(flat["segmentation_masks"], found["segmentation_masks"][..., 0])


def test_rand_augment_does_what_its_layers_do_one_after_the_other() -> None:
    layer, data = layers.RandAugment(num_ops=3, seed=5, bounding_box_format="xyxy"), images(2)
    steps = layer.get_random_transformation(data)
    assert len(steps) == 3
    expected = data
    for name, step in steps:
        expected = getattr(layer, name).transform_images(expected, step)
    torch.testing.assert_close(layer.transform_images(data, steps), expected)
    chosen = {layer.get_random_transformation(data)[0][0] for _ in range(150)}
    assert chosen == set(layer._steps) and len(chosen) == 11


def test_aug_mix_blends_its_chains() -> None:
    layer, data = layers.AugMix(seed=5), images(2)
    drawn = layer.get_random_transformation(data)
    weights = drawn["chain_mixing_weights"]
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))
    chains = []
    for chain in drawn["chain_transforms"]:
        changed = data
        for name, step in chain:
            changed = getattr(layer, name).transform_images(changed, step)
        chains.append(changed)
    own = drawn["weight_sample"]
    expected = own * data + (1 - own) * sum(w * each for w, each in zip(weights, chains, strict=True))
    torch.testing.assert_close(layer.transform_images(data, drawn), expected.clamp(0, 255))
    assert len(layers.AugMix(all_ops=False)._steps) == 7


def test_a_perspective_keeps_the_corner_it_turns_around_and_takes_the_others_along() -> None:
    layer = layers.RandomPerspective((1.0, 1.0), 0.4, seed=0)
    given = images(2, 9, 9)
    drawn = layer.get_random_transformation(given)
    output = layer.transform_images(given, drawn)
    torch.testing.assert_close(output[:, 0, 0], given[:, 0, 0], rtol=1e-4, atol=1e-2)
    # an image that is white in one corner alone is white where that corner is taken
    corner = torch.zeros(2, 9, 9, 1)
    corner[:, 5:, 5:] = 1
    moved = layer.transform_images(corner, drawn)
    x, y = drawn["end_points"][:, 3].clamp(max=8).long().unbind(-1)
    inside = [float(moved[n, int(y[n]) - 1, int(x[n]) - 1]) for n in range(2)]
    assert inside == pytest.approx([1.0, 1.0], abs=1e-4)


def test_transformations_written_by_hand_are_taken_as_keras_writes_them() -> None:
    given = images(1)
    elastic = layers.RandomElasticTransform()
    by_hand = {"apply_transform": np.array([True]), "distortion_factor": np.float32(0.9), "seed": 42}
    moved = elastic.transform_images(given.numpy(), by_hand)
    torch.testing.assert_close(elastic.transform_images(given.numpy(), by_hand), moved, rtol=0, atol=0)
    assert not torch.equal(moved, given)
    corners = np.array([[[0.0, 0.0], [8.0, 0.0], [0.0, 7.0], [8.0, 7.0]]], "float32")
    perspective = {
        "apply_perspective": np.array([True]),
        "start_points": corners,
        "end_points": corners * 0.5,
    }
    smaller = layers.RandomPerspective().transform_images(given.numpy(), perspective)
    torch.testing.assert_close(smaller[:, :3, :4], given[:, :6:2, :8:2], rtol=1e-4, atol=1e-2)
    for layer, drawn in ((elastic, by_hand), (layers.RandomPerspective(), perspective)):
        one, batch = (layer.transform_images(each, drawn) for each in (given[0], given))
        torch.testing.assert_close(one, batch[0])
    mix = layers.MixUp().transform_images(given[0].numpy(), {"mix_weight": 1, "permutation_order": [0]})
    torch.testing.assert_close(mix[0], given[0])


WRONG = [
    (lambda: layers.RandomRotation(2), r"^RandomRotation: expected a number from -1 to 1, or two .*, got factor=2"),
    (lambda: layers.RandomContrast((0.1, 0.2, 0.3)), r"^RandomContrast: .* got factor=\(0.1, 0.2, 0.3\)"),
    (lambda: layers.RandomZoom(-1.0), r"^RandomZoom: expected a number above -1 to 1, .* got height_factor=-1.0"),
    (lambda: layers.RandomFlip("sideways"), r"^RandomFlip: expected 'horizontal' or .*, got mode='sideways'"),
    (lambda: layers.RandomTranslation(0.1, 0.1, "mirror"), r"^RandomTranslation: .* got fill_mode='mirror'"),
    (lambda: layers.RandomShear(interpolation="cubic"), r"^RandomShear: .* got interpolation='cubic'"),
    (lambda: layers.RandomBrightness(0.1, (1, 1)), r"expected two numbers, the lowest and .*, got value_range=\(1, 1\)"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), r"expected an odd number.* got kernel_size=4. Fix: kernel_size=5"),
    (lambda: layers.Resizing(4, 0), r"^Resizing: expected a positive integer, got width=0"),
    (lambda: layers.Resizing(4, 4, "lanczos3"), r"^Resizing: expected .* got interpolation='lanczos3'"),
    (lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), r"expected at most one of them"),
    (lambda: layers.RandomFlip(bounding_box_format="xyxw"), r"^RandomFlip: .* got bounding_box_format='xyxw'"),
    (lambda: layers.MixUp(0), r"^MixUp: expected a number above 0, got alpha=0"),
    (lambda: layers.Pipeline([3]), r"^Pipeline: expected layers, got 3 in its list"),
    (lambda: layers.RandomFlip(factor=1), r"^RandomFlip has no argument 'factor'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), WRONG, ids=[words[:30] for _, words in WRONG])
def test_an_argument_that_is_wrong_is_told(make: Any, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        make()


def test_what_is_no_image_is_told() -> None:
    for given in (torch.ones(3, 4), torch.ones(1, 2, 3, 4, 5), {"labels": torch.ones(3)}):
        with pytest.raises(
            ShapeError, match=r"RandomFlip 'random_flip': expected images \(batch, height, width, channels\)"
        ):
            layers.RandomFlip()(given)
    with pytest.raises(ShapeError, match=r"Fix: Reshape\(\(height, width, 1\)\)"):
        layers.RandomFlip()(layers.Input((4, 5)))
    with pytest.raises(ShapeError, match="expected 3 channels: red, green and blue, got .* with 4 channels"):
        layers.RandomHue(0.1)(torch.ones(1, 2, 2, 4))
    with pytest.raises(
        GraphError, match=r"no bounding_box_format. Fix: RandomFlip\(..., bounding_box_format='xyxy'\)"
    ):
        layers.RandomFlip()(
            {"images": images(), "bounding_boxes": {"boxes": torch.ones(3, 1, 4), "labels": torch.ones(3, 1)}}
        )
