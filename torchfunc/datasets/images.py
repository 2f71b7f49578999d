"""Image datasets that torchvision knows: found in a folder, or downloaded into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchfunc.errors import DataError
from torchfunc.interop import torchvision

Split = tuple[npt.NDArray[Any], npt.NDArray[Any]]
DEFAULT_FOLDER = Path("~/.torchfunc/datasets")


def load(kind: str, data_dir: str | os.PathLike[str] | None, download: bool) -> tuple[Split, Split]:
    """The training and the test images and labels of a dataset class of torchvision, as unsigned bytes.

    Args:
        kind: the name of the class, "MNIST".
        data_dir: the folder that holds the files; `~/.torchfunc/datasets` by default.
        download: whether to download what is not there.

    Raises:
        DataError: the files are not there, are damaged, or cannot be downloaded.
        MissingExtraError: torchvision is not installed.
    """
    folder = Path(data_dir or DEFAULT_FOLDER).expanduser()
    datasets = torchvision.load().datasets
    dataset = getattr(datasets, kind)
    # To "download" packed files that are there already is to unpack them.
    packed = all(datasets.utils.check_integrity(path, md5) for path, md5 in _packed(dataset, folder))
    try:
        train, test = (dataset(folder, train=train, download=download or packed) for train in (True, False))
    except (RuntimeError, OSError) as error:
        raise DataError(_missing(dataset, folder, download, error)) from error
    return _arrays(train), _arrays(test)


def _arrays(split: Any) -> Split:
    return np.asarray(split.data, dtype=np.uint8), np.asarray(split.targets, dtype=np.uint8)


def _missing(dataset: Any, folder: Path, download: bool, error: Exception) -> str:
    name = dataset.__name__
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
    tried = f" and could not be downloaded ({reason})" if download else ""
    places = ", ".join(f"'{path}'" for path, _ in _packed(dataset, folder))
    return (
        f"{name} was not found in '{folder}'{tried}. It was looked for as {places}. "
        "Fix: put the files there as they are published, or say where they are: load_data(data_dir=...)."
    )


def _packed(dataset: Any, folder: Path) -> list[tuple[Path, str]]:
    """Where torchvision keeps the files as they are published, and their checksums."""
    if hasattr(dataset, "tgz_md5"):
        return [(folder / dataset.filename, dataset.tgz_md5)]
    return [(folder / dataset.__name__ / "raw" / name, md5) for name, md5 in dataset.resources]
