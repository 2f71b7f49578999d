"""Published files: those that Keras's datasets are read from, found in a folder, or downloaded into it and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchfunc.datasets.images import Split
from torchfunc.datasets.published.npz import read_npz
from torchfunc.errors import DataError, explain
from torchfunc.utils import get_file

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
CHECKSUMS = {
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "imdb_word_index.json": "bfafd718b763782e994055a2d397834f",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "reuters_word_index.json": "4d44cc38712099c9e383dc6e5f11a921",
    "california_housing.npz": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    "boston_housing.npz": "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
}


def arrays_of(name: str, path: str, keys: Sequence[str]) -> list[npt.NDArray[Any]]:
    """The arrays of a published .npz file.

    Raises:
        DataError: it can neither be found nor downloaded, or has other arrays.
    """
    place = _place(name, path)
    arrays = read_npz(place)
    missing = [key for key in keys if key not in arrays]
    if missing:
        got = f"the arrays {sorted(arrays)}"
        raise DataError(explain(f"'{place}'", got=got, expected=f"{', '.join(keys)}", fix=f"the file {name}"))
    return [arrays[key] for key in keys]


def word_index_of(name: str, path: str) -> dict[str, int]:
    """The numbers of words, from a published .json file.

    Raises:
        DataError: it can neither be found nor downloaded, or holds something else.
    """
    place = _place(name, path)
    try:
        index = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            explain(f"'{place}'", got=str(error), expected="JSON", fix=f"the file {name}")
        ) from error
    if not isinstance(index, dict) or not all(type(number) is int for number in index.values()):
        raise DataError(explain(f"'{place}'", got="something else", expected="words with their numbers"))
    return index


def _place(name: str, path: str) -> Path:
    """Where a file lies: at a path with a folder in it, as it is; else under that name in `~/.torchfunc/datasets`."""
    if Path(path).name == path:
        return Path(get_file(path, origin=ORIGIN + name, file_hash=CHECKSUMS[name]))
    place = Path(path).expanduser()
    if not place.is_file():
        raise DataError(
            explain("path", got=f"'{path}'", expected="a file", fix=f"path='{name}' to download it")
        )
    return place


def shuffled(seed: int, *arrays: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """Arrays in one order, which a seed settles."""
    order = np.arange(len(arrays[0]))
    np.random.RandomState(seed).shuffle(order)
    return tuple(each[order] for each in arrays)


def divided(x: npt.NDArray[Any], y: npt.NDArray[Any], test_split: float) -> tuple[Split, Split]:
    """What is trained on, and, from its end, what is tested on.

    Raises:
        DataError: a share that is not from 0 to 1.
    """
    if not 0 <= test_split < 1:
        raise DataError(explain("test_split", got=str(test_split), expected="0 <= test_split < 1"))
    train = int(len(x) * (1 - test_split))
    return (x[:train], y[:train]), (x[train:], y[train:])
