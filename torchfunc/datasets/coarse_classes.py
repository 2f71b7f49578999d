"""CIFAR-100 by its 100 fine classes or the 20 coarse ones that hold them by fives."""

from __future__ import annotations

import os

import numpy as np

from torchfunc.datasets.images import Images, Split
from torchfunc.errors import DataError, explain

# the coarse class of each fine one, both in the order of the alphabet, as the data say
COARSE = np.array(
    [
        4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1,
        10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12,
        12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0,
        17, 8, 14, 13,
    ],
    dtype=np.uint8,
)  # fmt: skip


def load_data(
    data_dir: str | os.PathLike[str] | None = None, *, label_mode: str = "fine", download: bool = True
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (n, 32, 32, 3) and labels (n, 1), in uint8.

    Args:
        data_dir: the folder that holds the files; `~/.torchfunc/datasets` by default. "fine" or "coarse" is taken as
            the `label_mode`, which is Keras's first argument.
        label_mode: "fine" for the 100 classes, "coarse" for the 20 that hold them.
        download: whether to download what is not there.

    Returns:
        Two pairs of arrays of NumPy's, of 50,000 and 10,000 images.

    Raises:
        DataError: the files are not there, are damaged, or cannot be downloaded; another `label_mode`.
        MissingExtraError: torchvision is not installed.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = datasets.cifar100.load_data(label_mode="coarse")  # doctest: +SKIP
        >>> x_train.shape, int(y_train.max())  # doctest: +SKIP
        ((50000, 32, 32, 3), 19)
    """
    if data_dir in ("fine", "coarse"):
        data_dir, label_mode = None, str(data_dir)
    if label_mode not in ("fine", "coarse"):
        raise DataError(explain("label_mode", got=repr(label_mode), expected="'fine' or 'coarse'"))
    train, test = Images("CIFAR100", is_column=True).load_data(data_dir, download=download)
    if label_mode == "fine":
        return train, test
    return (train[0], COARSE[train[1]]), (test[0], COARSE[test[1]])
