"""Listing: the files of a folder with their labels, in an order that a seed settles, whole or divided in two."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import DataError, explain, shorten

LabelMode = Literal["int", "categorical", "binary"]
Subset = Literal["training", "validation", "both"]
Labels = Sequence[int] | Literal["inferred"] | None


class Files(NamedTuple):
    """Files, their labels as they are trained on, and what the labels are called."""

    paths: list[str]
    labels: Tensor | None
    class_names: list[str] | None


class Ask(NamedTuple):
    """What is asked of a folder, by the arguments of `image_dataset_from_directory` and its like."""

    directory: str | os.PathLike[str]
    labels: Labels
    label_mode: LabelMode | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: Subset | None
    follow_links: bool
    verbose: bool

    def check(self) -> None:
        """Whether the arguments go together.

        Raises:
            DataError: they do not.
        """
        is_word = self.labels is None or (isinstance(self.labels, str) and self.labels == "inferred")
        if not is_word and not isinstance(self.labels, (list, tuple)):
            expected = (
                "'inferred', None or a list of whole numbers, one for each file in the order of their paths"
            )
            raise DataError(explain("labels", got=shorten(self.labels), expected=expected))
        if self.class_names is not None and self.labels != "inferred":
            fix = "leave class_names out, or labels='inferred'"
            raise DataError(explain("class_names", got=f"names with labels={shorten(self.labels)}", fix=fix))
        if self.label_mode not in ("int", "categorical", "binary", None):
            expected = "'int', 'categorical', 'binary' or None"
            raise DataError(explain("label_mode", got=repr(self.label_mode), expected=expected))
        if self.subset not in ("training", "validation", "both", None):
            expected = "'training', 'validation', 'both' or None"
            raise DataError(explain("subset", got=repr(self.subset), expected=expected))
        if bool(self.validation_split) != (self.subset is not None):
            got = f"validation_split={self.validation_split} with subset={self.subset!r}"
            fix = "validation_split=0.2, subset='training'"
            raise DataError(explain("a folder", got=got, expected="both or neither", fix=fix))
        if self.validation_split and not 0 < self.validation_split < 1:
            raise DataError(explain("validation_split", got=f"{self.validation_split}", expected="0 to 1"))
        if self.validation_split and self.shuffle and self.seed is None:
            why = "both parts are drawn by it, and would have files in common"
            raise DataError(
                explain("validation_split", got="no seed", why=why, fix="seed=1, or shuffle=False")
            )


def files_of(ask: Ask, endings: tuple[str, ...], seed: int) -> list[Files]:
    """The files that have one of these endings: one set of them, or two, to train on and to validate on.

    Raises:
        DataError: there are none, on one side or at all; arguments that do not fit the folder.
    """
    paths, labels, names = _labelled(ask, endings)
    if not paths:
        got = f"no file that ends with {', '.join(endings)}"
        raise DataError(
            explain(f"'{ask.directory}'", got=got, fix="labels=None, if it holds files and no folders")
        )
    if ask.verbose:
        print(
            f"Found {len(paths)} files" + ("." if names is None else f" belonging to {len(names)} classes.")
        )
    if ask.label_mode == "binary" and names is not None and len(names) != 2:
        raise DataError(
            explain("label_mode='binary'", got=f"the classes {shorten(names)}", expected="two classes")
        )
    order = np.arange(len(paths))
    if ask.shuffle:
        np.random.RandomState(seed).shuffle(order)
    encoded = None if labels is None else _encoded(labels, ask.label_mode, len(names or ()))
    return [
        Files(
            [paths[each] for each in part],
            None if encoded is None else encoded[torch.from_numpy(part)],
            names,
        )
        for part in _parts(order, ask)
    ]


def _labelled(ask: Ask, endings: tuple[str, ...]) -> tuple[list[str], list[int] | None, list[str] | None]:
    """Paths in order, the label of each, and the names of the classes."""
    folder = Path(ask.directory)
    if not folder.is_dir():
        raise DataError(explain("directory", got=f"'{folder}'", expected="a folder"))
    if ask.labels == "inferred" and ask.label_mode is not None:
        names = _class_names(folder, ask.class_names)
        found = [(path, i) for i, name in enumerate(names) for path in _walked(folder / name, endings, ask)]
        return [path for path, _ in found], [label for _, label in found], names
    paths = [*_walked(folder, endings, ask)]
    if ask.labels in (None, "inferred") or ask.label_mode is None:
        return paths, None, None
    try:
        labels = [operator.index(cast("int", each)) for each in ask.labels or ()]
    except TypeError as error:
        raise DataError(explain("labels", got=shorten(ask.labels), expected="whole numbers")) from error
    if len(labels) != len(paths):
        raise DataError(
            explain("labels", got=f"{len(labels)} labels", expected=f"one for each of {len(paths)} files")
        )
    return paths, labels, [str(label) for label in sorted(set(labels))]


def _class_names(folder: Path, names: Sequence[str] | None) -> list[str]:
    there = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    unknown = sorted(set(names or ()) - set(there))
    if unknown:
        raise DataError(
            explain("class_names", got=shorten(unknown), expected=f"among the folders {shorten(there)}")
        )
    return there if names is None else list(names)


def _walked(folder: Path, endings: tuple[str, ...], ask: Ask) -> Iterator[str]:
    for root, _, names in sorted(os.walk(folder, followlinks=ask.follow_links), key=lambda each: each[0]):
        yield from (str(Path(root, name)) for name in sorted(names) if name.lower().endswith(endings))


def _encoded(labels: list[int], mode: LabelMode | None, classes: int) -> Tensor:
    """Labels as int32 (n,), as one-hot rows (n, classes), or as 0.0 and 1.0 (n, 1)."""
    numbers = torch.tensor(labels, dtype=torch.int32)
    if mode != "int" and not 0 <= min(labels) <= max(labels) < classes:
        got, fix = f"labels from {min(labels)} to {max(labels)}", "number them from 0, or label_mode='int'"
        raise DataError(explain(f"label_mode={mode!r}", got=got, expected=f"0 to {classes - 1}", fix=fix))
    if mode == "binary":
        return numbers.float().unsqueeze(1)
    return numbers if mode == "int" else (numbers.unsqueeze(1) == torch.arange(classes)).float()


def _parts(order: Any, ask: Ask) -> list[Any]:
    if not ask.validation_split:
        return [order]
    held = int(ask.validation_split * len(order))
    if not held:
        got = f"{ask.validation_split} of {len(order)} files, which is none"
        raise DataError(
            explain("validation_split", got=got, fix=f"validation_split={1 / len(order):.3g} or more")
        )
    training, validation = order[:-held], order[-held:]
    if ask.verbose and ask.subset != "validation":
        print(f"Using {len(training)} files for training.")
    if ask.verbose and ask.subset != "training":
        print(f"Using {held} files for validation.")
    return (
        [training, validation]
        if ask.subset == "both"
        else [{"training": training, "validation": validation}[ask.subset or "training"]]
    )
