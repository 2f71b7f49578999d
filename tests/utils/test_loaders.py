"""Files in the folders of their classes are given in Keras's order, with Keras's labels, and as Keras reads them."""

from __future__ import annotations

import pickle
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

import torchfunc as tf
from tests.utils.like_grain import grain as grain
from torchfunc import layers, preprocessing, utils
from torchfunc.errors import DataError, UnknownNameError
from torchfunc.utils.files.loaders import FolderLoader

NAMES = ("b/2.png", "b/10.jpg", "b/deep/er/1.bmp", "a/x.PNG", "a/y.bmp", "a/z.jpeg", "c/1.png", "c/2.png")
OTHERS = ("a/readme.md", "b/1.tiff", ".hidden/1.png", "at_the_top.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of three classes, in several formats, modes and sizes, and a few other files."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for number, name in enumerate((*NAMES, *OTHERS)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = ((9, 14, 3), (14, 9), (8, 8, 4))[number % 3]
        image = Image.fromarray(draw.randint(0, 256, shape).astype(np.uint8))
        if name.endswith("md"):
            path.write_text("none")
        else:
            (image if path.suffix.lower() in (".png", ".gif", ".tiff") else image.convert("RGB")).save(path)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for name in ("neg/0_1.txt", "neg/1_1.txt", "pos/0_9.TXT", "pos/more/1_9.txt", "pos/2_9.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"ein Täxt\r\nof {name}", encoding="utf-8")
    return folder


def parts(batch: Any) -> list[Any]:
    """What a batch holds, one after the other; of a list of texts, the texts."""
    return [part for each in batch for part in parts(each)] if isinstance(batch, (list, tuple)) else [batch]


def assert_same(ours: Any, theirs: Any) -> None:
    """Two loaders give the same batches, of the same dtypes."""
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for mine, his in zip(parts(ours), parts(theirs), strict=True):
        if isinstance(mine, Tensor):
            torch.testing.assert_close(mine, his, rtol=0, atol=1e-4)
        else:
            assert isinstance(mine, str) and mine == his


LABELS: dict[str, dict[str, Any]] = {
    "int": {},
    "categorical": {"label_mode": "categorical"},
    "binary": {"label_mode": "binary", "class_names": ["c", "a"]},
    "no mode": {"label_mode": None},
    "no labels": {"labels": None},
    "some classes": {"class_names": ["c", "b"]},
    "a list": {"labels": [5, 5, 7, 5, 9, 9, 9, 5, 7, 9], "label_mode": "int"},
    "a list, categorical": {"labels": (0, 1, 2, 0, 1, 2, 0, 1, 2, 0), "label_mode": "categorical"},
}
SPLITS: dict[str, dict[str, Any]] = {
    "whole": {},
    "one by one": {"batch_size": None},
    "training": {"validation_split": 0.3, "subset": "training"},
    "validation": {"validation_split": 0.3, "subset": "validation"},
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.usefixtures("grain")
def test_images_and_labels_are_those_of_keras(
    images: Path, labels: dict[str, Any], split: dict[str, Any]
) -> None:
    asked = {"image_size": (6, 7), "batch_size": 3, "shuffle": False, **labels, **split, "verbose": False}
    ours = utils.image_dataset_from_directory(images, **asked)
    theirs = keras.utils.image_dataset_from_directory(str(images), format="grain", **asked)
    assert isinstance(ours, DataLoader)
    assert ours.class_names == theirs.class_names and ours.file_paths == theirs.file_paths
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "asked",
    [
        {"color_mode": "grayscale"},
        {"color_mode": "rgba"},
        {"image_size": 5},
        {"interpolation": "nearest"},
        {"interpolation": "bicubic"},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "image_size": (20, 9)},
        {"data_format": "channels_first", "crop_to_aspect_ratio": True},
        {"data_format": "channels_first", "pad_to_aspect_ratio": True},
    ],
    ids=str,
)
@pytest.mark.usefixtures("grain")
def test_images_are_read_as_by_keras(images: Path, asked: dict[str, Any]) -> None:
    asked = {"image_size": (7, 6), "shuffle": False, "verbose": False} | asked
    assert_same(
        preprocessing.image_dataset_from_directory(images, **asked),
        keras.utils.image_dataset_from_directory(str(images), format="grain", **asked),
    )


def test_of_a_moving_image_the_first_picture_is_taken(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    [batch] = utils.image_dataset_from_directory(tmp_path, labels=None, image_size=4, verbose=False)
    assert torch.equal(batch, torch.tensor([255.0, 0, 0]).expand(1, 4, 4, 3))


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.usefixtures("grain")
def test_a_seed_divides_the_files_as_in_keras(images: Path, seed: int) -> None:
    asked: dict[str, Any] = {"seed": seed, "validation_split": 0.4, "subset": "both", "image_size": (4, 4)}
    ours = utils.image_dataset_from_directory(images, **asked, verbose=False)
    theirs = keras.utils.image_dataset_from_directory(str(images), format="grain", **asked, verbose=False)
    for one, other in zip(ours, theirs, strict=True):
        assert one.file_paths == other.file_paths and one.class_names == other.class_names
    assert_same(ours[1], theirs[1])
    assert len(ours[0].file_paths) == 5 and not {*ours[0].file_paths} & {*ours[1].file_paths}


def test_the_order_is_another_one_in_each_epoch_and_a_seed_repeats_it(images: Path) -> None:
    def epochs(seed: int | None) -> list[list[int]]:
        loader = utils.image_dataset_from_directory(
            images, seed=seed, image_size=2, verbose=False, batch_size=3
        )
        return [[int(each) for _, labels in loader for each in labels] for _ in range(3)]

    assert epochs(1) == epochs(1) != epochs(2)
    assert len({tuple(each) for each in epochs(1)}) > 1 and sorted(epochs(1)[0]) == [0, 0, 0, 1, 1, 1, 2, 2]
    torch.manual_seed(3)
    first = epochs(None)
    torch.manual_seed(3)
    assert epochs(None) == first


def test_links_are_followed_where_that_is_asked_for(images: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "more").symlink_to(images / "c")
    Image.new("RGB", (2, 2)).save(tmp_path / "d" / "1.png")
    for follow, count in ((False, 1), (True, 3)):
        loader = utils.image_dataset_from_directory(tmp_path, follow_links=follow, verbose=False)
        assert len(loader.file_paths) == count


def test_it_is_told_how_many_files_there_are(
    images: Path, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    utils.image_dataset_from_directory(images, validation_split=0.25, subset="both", seed=1)
    assert capsys.readouterr().out == (
        "Found 8 files belonging to 3 classes.\nUsing 6 files for training.\nUsing 2 files for validation.\n"
    )
    utils.text_dataset_from_directory(texts, labels=None)
    assert capsys.readouterr().out == "Found 5 files.\n"


@pytest.mark.parametrize("labels", [LABELS["int"], LABELS["no labels"], {"label_mode": "binary"}], ids=str)
@pytest.mark.parametrize("length", [None, 6])
@pytest.mark.parametrize("size", [2, None])
@pytest.mark.usefixtures("grain")
def test_texts_are_read_as_by_keras(
    texts: Path, labels: dict[str, Any], length: int | None, size: int | None
) -> None:
    asked = {"max_length": length, "batch_size": size, "shuffle": False, "verbose": False, **labels}
    ours = utils.text_dataset_from_directory(texts, **asked)
    theirs = keras.utils.text_dataset_from_directory(str(texts), format="grain", **asked)
    assert ours.class_names == theirs.class_names
    assert_same(ours, theirs)


def test_a_text_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Täxt".encode("latin-1"))
    with pytest.raises(DataError, match=r"a.txt': expected text in UTF-8, got 'utf-8' codec can't decode"):
        list(utils.text_dataset_from_directory(tmp_path, labels=None, verbose=False))


def test_a_broken_image_is_told_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"none")
    loader = utils.image_dataset_from_directory(tmp_path, labels=None, verbose=False)
    with pytest.raises(DataError, match=r"a.png': expected an image"):
        list(loader)


def sound(path: Path, samples: int, *, rate: int = 8000, channels: int = 1) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.arange(samples * channels, dtype="<i2").tobytes())


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for number, name in enumerate(("no/1.wav", "no/2.wav", "yes/1.WAV")):
        sound(tmp_path / name, 10 + 5 * number)
    return tmp_path


def test_sounds_are_filled_up_to_the_longest_of_a_batch(sounds: Path) -> None:
    loader = utils.audio_dataset_from_directory(sounds, batch_size=2, shuffle=False, verbose=False)
    (first, labels), (second, _) = loader
    assert first.shape == (2, 15, 1) and second.shape == (1, 20, 1) and labels.tolist() == [0, 0]
    expected = torch.arange(15).float() / 32768
    torch.testing.assert_close(first[1, :, 0], expected, rtol=0, atol=0)
    torch.testing.assert_close(first[0, :, 0], expected * (torch.arange(15) < 10), rtol=0, atol=0)
    assert loader.class_names == ["no", "yes"]


def test_sounds_have_the_length_and_the_rate_that_are_asked_for(sounds: Path) -> None:
    asked: dict[str, Any] = {"shuffle": False, "verbose": False, "labels": None}
    [batch] = utils.audio_dataset_from_directory(sounds, output_sequence_length=12, **asked)
    assert batch.shape == (3, 12, 1) and batch[0, 10:].abs().max() == 0
    [batch] = utils.audio_dataset_from_directory(
        sounds, sampling_rate=4000, output_sequence_length=9, **asked
    )
    assert batch.shape == (3, 9, 1)
    [batch] = utils.audio_dataset_from_directory(sounds, ragged=True, **asked)
    assert [len(each) for each in batch] == [10, 15, 20]
    alone = list(utils.audio_dataset_from_directory(sounds, batch_size=None, **asked))
    assert [each.shape for each in alone] == [(10, 1), (15, 1), (20, 1)]
    asked["labels"] = "inferred"
    [(batch, labels)] = utils.audio_dataset_from_directory(
        sounds, ragged=True, label_mode="categorical", **asked
    )
    assert len(batch) == 3 and labels.tolist() == [[1, 0], [1, 0], [0, 1]]


def test_a_model_is_trained_on_a_folder_and_workers_read_it_too(images: Path) -> None:
    train, test = utils.image_dataset_from_directory(
        images, image_size=(8, 8), batch_size=3, seed=1, validation_split=0.25, subset="both", verbose=False
    )
    model = tf.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    model.compile(
        optimizer="adam", loss=tf.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    history = model.fit(train, validation_data=test, epochs=2, verbose=0)
    assert model.optimizer.iterations == 4 and "val_accuracy" in history.history
    assert model.predict(test, verbose=0).shape == (2, 3) and model.evaluate(test, verbose=0)
    others = DataLoader(pickle.loads(pickle.dumps(test.dataset)), batch_size=2, num_workers=1)
    assert_same(others, test)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"labels": "infer"}, DataError, "labels: expected 'inferred', None or a list of whole numbers"),
        ({"labels": [1, 2]}, DataError, "labels: expected one for each of 10 files, got 2 labels"),
        (
            {"labels": None, "class_names": ["a"]},
            DataError,
            "Fix: leave class_names out, or labels='inferred'",
        ),
        ({"class_names": ["a", "d"]}, DataError, "expected among the folders ['a', 'b', 'c'], got ['d']"),
        (
            {"label_mode": "one-hot"},
            DataError,
            "expected 'int', 'categorical', 'binary' or None, got 'one-hot'",
        ),
        ({"label_mode": "binary"}, DataError, "expected two classes, got the classes ['a', 'b', 'c']"),
        ({"color_mode": "rbg"}, UnknownNameError, "Did you mean 'rgb'?"),
        ({"image_size": (1, 2, 3)}, DataError, "image_size: expected (height, width), got (1, 2, 3)"),
        ({"interpolation": "lanczos3"}, UnknownNameError, "Known: bicubic, bilinear, nearest."),
        (
            {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            DataError,
            "cropped or padded to a ratio, not both",
        ),
        ({"format": "torch"}, DataError, "expected 'tf' or 'grain', which are alike here"),
        ({"validation_split": 0.2}, DataError, "Fix: validation_split=0.2, subset='training'"),
        ({"subset": "training"}, DataError, "expected both or neither"),
        (
            {"subset": "test", "validation_split": 0.2},
            DataError,
            "expected 'training', 'validation', 'both' or None",
        ),
        (
            {"subset": "both", "validation_split": 1.5},
            DataError,
            "validation_split: expected 0 to 1, got 1.5",
        ),
        ({"subset": "both", "validation_split": 0.2}, DataError, "got no seed. Both parts are drawn by it"),
        (
            {"subset": "both", "validation_split": 0.1, "seed": 1},
            DataError,
            "got 0.1 of 8 files, which is none. Fix: validation_split=0.125 or more",
        ),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_are_told(
    images: Path, asked: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        utils.image_dataset_from_directory(images, verbose=False, **asked)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: utils.text_dataset_from_directory(path), "got no file that ends with .txt"),
        (
            lambda path: utils.text_dataset_from_directory(path / "nowhere"),
            "directory: expected a folder, got",
        ),
        (
            lambda path: utils.audio_dataset_from_directory(path, sampling_rate=0),
            "a whole number above 0, got 0",
        ),
        (
            lambda path: utils.audio_dataset_from_directory(path, ragged=True, output_sequence_length=3),
            "leave one out",
        ),
    ],
)
def test_a_folder_without_such_files_is_told(
    images: Path, make: Callable[[Path], FolderLoader], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        make(images)
    assert words in str(caught.value)
