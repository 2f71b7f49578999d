"""Image datasets that torchvision knows: found in a folder, or downloaded into it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchfunc.errors import DataError
from torchfunc.interop import torchvision

Split = tuple[npt.NDArray[Any], npt.NDArray[Any]]
DEFAULT_FOLDER = Path("~/.torchfunc/datasets")


@dataclass(frozen=True)
class Images:
    """An image dataset.

    Attributes:
        kind: the name of torchvision's class, "MNIST".
        is_column: whether the labels are a column, (n, 1), as Keras has them for CIFAR.
    """

    kind: str
    is_column: bool = False

    def load_data(
        self, data_dir: str | os.PathLike[str] | None = None, *, download: bool = True
    ) -> tuple[Split, Split]:
        """`(x_train, y_train), (x_test, y_test)`: images (n, height, width) or (n, height, width, 3), in uint8.

        Args:
            data_dir: the folder that holds the files; `~/.torchfunc/datasets` by default.
            download: whether to download what is not there.

        Returns:
            Two pairs of arrays of NumPy's: 60,000 and 10,000 of MNIST and Fashion-MNIST, 50,000 and 10,000 of
            CIFAR-10; the labels are (n,), of CIFAR-10 (n, 1), in uint8.

        Raises:
            DataError: the files are not there, are damaged, or cannot be downloaded.
            MissingExtraError: torchvision is not installed.

        Example:
            >>> (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()  # doctest: +SKIP
            >>> x_train.shape, y_train.shape  # doctest: +SKIP
            ((50000, 32, 32, 3), (50000, 1))
            >>> try:
            ...     datasets.fashion_mnist.load_data("elsewhere", download=False)
            ... except errors.DataError as error:
            ...     print(str(error).split(".")[0])
            FashionMNIST was not found in 'elsewhere'
        """
        folder = Path(data_dir or DEFAULT_FOLDER).expanduser()
        datasets = torchvision.load().datasets
        dataset = getattr(datasets, self.kind)
        # To "download" packed files that are there already is to unpack them.
        packed = all(datasets.utils.check_integrity(path, md5) for path, md5 in _packed(dataset, folder))
        try:
            train, test = (dataset(folder, train=each, download=download or packed) for each in (True, False))
        except (RuntimeError, OSError) as error:
            raise DataError(_missing(dataset, folder, download, error)) from error
        return self._arrays(train), self._arrays(test)

    def _arrays(self, split: Any) -> Split:
        x, y = np.asarray(split.data, dtype=np.uint8), np.asarray(split.targets, dtype=np.uint8)
        return x, y.reshape(-1, 1) if self.is_column else y


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
