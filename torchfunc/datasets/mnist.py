"""MNIST: 70,000 handwritten digits of 28x28 pixels in 10 classes."""

from __future__ import annotations

import os

from torchfunc.datasets.images import Split, load


def load_data(
    data_dir: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (60000, 28, 28) and labels (60000,) in uint8.

    Args:
        data_dir: the folder that holds the files; `~/.torchfunc/datasets` by default.
        download: whether to download what is not there.

    Raises:
        DataError: the files are not there, are damaged, or cannot be downloaded.
        MissingExtraError: torchvision is not installed.
    """
    return load("MNIST", data_dir, download)
