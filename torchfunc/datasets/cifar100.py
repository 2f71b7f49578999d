"""CIFAR-100: 60,000 colour photographs of 32x32 pixels in 100 classes."""

from __future__ import annotations

import os

from torchfunc.datasets.images import Split, load


def load_data(
    data_dir: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (50000, 32, 32, 3) and labels (50000, 1) in uint8.

    Args:
        data_dir: the folder that holds the files; `~/.torchfunc/datasets` by default.
        download: whether to download what is not there.

    Raises:
        DataError: the files are not there, are damaged, or cannot be downloaded.
        MissingExtraError: torchvision is not installed.
    """
    (x_train, y_train), (x_test, y_test) = load("CIFAR100", data_dir, download)
    return (x_train, y_train.reshape(-1, 1)), (x_test, y_test.reshape(-1, 1))
