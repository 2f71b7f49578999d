"""Loaders: images, texts and sounds in the folders of their classes, as `DataLoader`s."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, default_collate

from torchfunc import ops
from torchfunc.errors import DataError, UnknownNameError, explain
from torchfunc.settings import DataFormat, image_data_format
from torchfunc.training.batches import drawn_seed
from torchfunc.utils.files.image_arrays import MODES, ColorMode, img_to_array, opened
from torchfunc.utils.files.listing import Ask, Files, LabelMode, Labels, Subset, files_of
from torchfunc.utils.files.waves import read_wave

Format = Literal["tf", "grain"]
_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic")


class FileDataset(Dataset[Any]):
    """Files, each read when it is asked for: what it holds, or that and its label."""

    def __init__(self, files: Files, read: Callable[[str], Any]) -> None:
        self.files, self.read = files, read

    def __len__(self) -> int:
        return len(self.files.paths)

    def __getitem__(self, index: int) -> Any:
        x = self.read(self.files.paths[index])
        return x if self.files.labels is None else (x, self.files.labels[index])


class FolderLoader(DataLoader[Any]):
    """Batches of the files of a folder.

    Attributes:
        class_names: what the labels are called, in their order; None without labels.
        file_paths: the files, in the order in which they were drawn first.
    """

    def __init__(
        self,
        files: Files,
        read: Callable[[str], Any],
        join: Callable[[Any], Any],
        batch_size: int | None,
        seed: int | None,
    ) -> None:
        super().__init__(
            FileDataset(files, read),
            batch_size=batch_size,
            shuffle=seed is not None,
            generator=None if seed is None else torch.Generator().manual_seed(seed),
            collate_fn=_as_it_is if batch_size is None else join,
        )
        self.class_names, self.file_paths = files.class_names, files.paths


Loaders = FolderLoader | tuple[FolderLoader, FolderLoader]


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: LabelMode | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: ColorMode = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: DataFormat | None = None,
    format: Format = "tf",
    verbose: bool = True,
) -> Any:
    """Images in the folders of their classes, as a `DataLoader`: float32 from 0 to 255, (batch, height, width, channels).

    The process that trains reads them; with `DataLoader(loader.dataset, batch_size=32, num_workers=4)` others do.

    Args:
        directory: A folder that holds one for each class, or, where labels are not inferred, files.
        labels: "inferred" from the folders, None, or a list with one for each file in the order of their paths.
        label_mode: "int" gives int32 (batch,), "categorical" float32 (batch, classes), "binary" float32 (batch, 1); None no
            labels.
        class_names: Which folders are taken and in which order; all by their names if None.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: How many images a batch has; None gives them one by one.
        image_size: (height, width) to which each is resized.
        shuffle: Whether the order is another one in each epoch; else that of the paths.
        seed: Of the order, and of the division; drawn from PyTorch's own if None.
        validation_split: Which share is for validation.
        subset: "training", "validation", or "both", which gives two loaders.
        interpolation: "bilinear", "nearest" or "bicubic".
        follow_links: Whether folders behind links are looked into.
        crop_to_aspect_ratio: Whether an image is cropped, in the middle, to the ratio of `image_size` first.
        pad_to_aspect_ratio: Whether it is padded with zeros to it.
        data_format: "channels_first" gives (batch, channels, height, width); the global setting if None.
        format: Taken as in Keras; what comes back is a `DataLoader`.
        verbose: Whether it is told how many files there are.

    Returns:
        A loader of images, or of (images, labels), with `class_names` and `file_paths`; with "both" a pair of them.

    Raises:
        DataError: there are no such files, or arguments that do not fit them or each other; when it is read, a file that
            is no image.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> train, test = image_dataset_from_directory("photos", validation_split=0.2, subset="both", seed=1)
        Found 10 files belonging to 2 classes.
        Using 8 files for training.
        Using 2 files for validation.
        >>> train.class_names, next(iter(train))[0].shape
        (['a', 'b'], torch.Size([8, 256, 256, 3]))
    """
    ask = Ask(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose
    )  # fmt: skip
    if color_mode not in MODES:
        raise UnknownNameError("color_mode", color_mode, MODES)
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2:
        raise DataError(explain("image_size", got=repr(image_size), expected="(height, width)"))
    if interpolation not in _INTERPOLATIONS:
        raise UnknownNameError("interpolation", interpolation, _INTERPOLATIONS)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise DataError("An image is cropped or padded to a ratio, not both. Fix: leave one out.")
    read = partial(
        _image, color_mode=color_mode, size=size, interpolation=interpolation, crop=crop_to_aspect_ratio,
        pad=pad_to_aspect_ratio, data_format=data_format or image_data_format(),
    )  # fmt: skip
    return _loaders(ask, _IMAGES, read, default_collate, batch_size, format)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: LabelMode | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset | None = None,
    follow_links: bool = False,
    format: Format = "tf",
    verbose: bool = True,
) -> Any:
    """Texts (.txt, in UTF-8) in the folders of their classes, as a `DataLoader`: a list of str a batch.

    Args:
        directory: A folder that holds one for each class, or, where labels are not inferred, files.
        labels: "inferred" from the folders, None, or a list with one for each file in the order of their
            paths.
        label_mode: "int", "categorical", "binary" or None.
        class_names: Which folders are taken and in which order; all by their names if None.
        batch_size: How many texts a batch has; None gives them one by one.
        max_length: How many letters of a text are kept; all if None.
        shuffle: Whether the order is another one in each epoch; else that of the paths.
        seed: Of the order, and of the division; drawn from PyTorch's own if None.
        validation_split: Which share is for validation.
        subset: "training", "validation", or "both", which gives two loaders.
        follow_links: Whether folders behind links are looked into.
        format: Taken as in Keras; what comes back is a `DataLoader`.
        verbose: Whether it is told how many files there are.

    Returns:
        A loader of texts, or of (texts, labels), with `class_names` and `file_paths`; with "both" a pair of
        them.

    Raises:
        DataError: there are no such files, or arguments that do not fit them or each other; when it is read,
            a file that is no text.

    Example:
        >>> [(texts, labels), *_] = text_dataset_from_directory("reviews", batch_size=2, verbose=False)
        >>> sorted(texts), labels.tolist().count(1)
        (['A bad one.', 'A good film.'], 1)
    """
    ask = Ask(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose
    )  # fmt: skip
    return _loaders(ask, (".txt",), partial(_text, length=max_length), default_collate, batch_size, format)


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Labels = "inferred",
    label_mode: LabelMode | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Sounds (.wav) in the folders of their classes, as a `DataLoader`: float32 from -1 to 1, (batch, samples, channels).

    Args:
        directory: A folder that holds one for each class, or, where labels are not inferred, files.
        labels: "inferred" from the folders, None, or a list with one for each file in the order of their
            paths.
        label_mode: "int", "categorical", "binary" or None.
        class_names: Which folders are taken and in which order; all by their names if None.
        batch_size: How many sounds a batch has; None gives them one by one.
        sampling_rate: Samples in a second, to which each file is resampled; its own if None.
        output_sequence_length: To how many samples, at that rate, each is cut or filled up with zeros; the longest of a
            batch if None.
        ragged: Whether a batch is a list of tensors, each of its own length.
        shuffle: Whether the order is another one in each epoch; else that of the paths.
        seed: Of the order, and of the division; drawn from PyTorch's own if None.
        validation_split: Which share is for validation.
        subset: "training", "validation", or "both", which gives two loaders.
        follow_links: Whether folders behind links are looked into.
        verbose: Whether it is told how many files there are.

    Returns:
        A loader of sounds, or of (sounds, labels), with `class_names` and `file_paths`; with "both" a pair of
        them.

    Raises:
        DataError: there are no such files, or arguments that do not fit them or each other; when it is read,
            a file that is no sound.

    Example:
        >>> [(sounds, labels), *_] = audio_dataset_from_directory("words", sampling_rate=16000, verbose=False)
        >>> sounds.shape
        torch.Size([4, 16000, 1])
    """
    ask = Ask(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, verbose
    )  # fmt: skip
    if ragged and output_sequence_length is not None:
        raise DataError(explain("ragged=True", got="an output_sequence_length", fix="leave one out"))
    if sampling_rate is not None and not (type(sampling_rate) is int and sampling_rate > 0):
        raise DataError(explain("sampling_rate", got=repr(sampling_rate), expected="a whole number above 0"))
    read = partial(read_wave, rate=sampling_rate, length=output_sequence_length)
    return _loaders(ask, (".wav",), read, _listed if ragged else _padded, batch_size, "tf")


def _loaders(
    ask: Ask,
    endings: tuple[str, ...],
    read: Callable[[str], Any],
    join: Callable[[Any], Any],
    batch_size: int | None,
    format: str,
) -> Loaders:
    ask.check()
    if format not in ("tf", "grain"):
        raise DataError(explain("format", got=repr(format), expected="'tf' or 'grain', which are alike here"))
    seed = drawn_seed() % 2**32 if ask.seed is None else ask.seed
    first, *second = files_of(ask, endings, seed)
    loader = FolderLoader(first, read, join, batch_size, seed if ask.shuffle else None)
    return (loader, FolderLoader(second[0], read, join, batch_size, None)) if second else loader


def _image(
    path: str, color_mode: str, size: Any, interpolation: str, crop: bool, pad: bool, data_format: DataFormat
) -> Tensor:
    x = img_to_array(opened(path, color_mode), data_format, "float32")
    return ops.image.resize(
        x, size, interpolation, crop_to_aspect_ratio=crop, pad_to_aspect_ratio=pad, data_format=data_format
    )


def _text(path: str, length: int | None) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read() if length is None else file.read(length)
    except UnicodeDecodeError as error:
        raise DataError(explain(f"'{path}'", got=str(error), expected="text in UTF-8")) from error


def _as_it_is(sample: Any) -> Any:
    return sample


def _padded(samples: list[Any]) -> Any:
    """Sounds filled up with zeros to the longest."""
    return _joined(samples, lambda sounds: pad_sequence(sounds, batch_first=True))


def _listed(samples: list[Any]) -> Any:
    return _joined(samples, list)


def _joined(samples: list[Any], join: Callable[[list[Tensor]], Any]) -> Any:
    if not isinstance(samples[0], tuple):
        return join(samples)
    sounds, labels = zip(*samples, strict=True)
    return join([*sounds]), torch.stack(labels)
