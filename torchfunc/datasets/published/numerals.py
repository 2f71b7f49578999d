"""The handwritten numerals of MNIST, by torchvision or from the file that Keras publishes."""

from __future__ import annotations

import os

from torchfunc.datasets.images import Images, Split
from torchfunc.datasets.published.fetched import arrays_of


def load_mnist(
    data_dir: str | os.PathLike[str] | None = None, *, download: bool = True, path: str | None = None
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (60000, 28, 28) and (10000, 28, 28) in uint8, labels (n,) in uint8.

    Args:
        data_dir: the folder that holds the files as they were published first; `~/.torchfunc/datasets` by default.
        download: whether to download what is not there.
        path: "mnist.npz" takes Keras's file instead, which needs no torchvision, and downloads it to
            `~/.torchfunc/datasets`; with a folder in it, a file of yours.

    Returns:
        Two pairs of arrays of NumPy's.

    Raises:
        DataError: the files are not there, are damaged, or cannot be downloaded.
        MissingExtraError: torchvision is not installed, and no path is given.

    Example:
        >>> images, labels = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
        >>> np.savez("mnist.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
        >>> (x_train, y_train), (x_test, y_test) = datasets.mnist.load_data(path="./mnist.npz")
        >>> x_train.shape, y_test
        ((4, 28, 28), array([0, 1], dtype=uint8))
    """
    if path is None:
        return Images("MNIST").load_data(data_dir, download=download)
    x_train, y_train, x_test, y_test = arrays_of(
        "mnist.npz", path, ("x_train", "y_train", "x_test", "y_test")
    )
    return (x_train, y_train), (x_test, y_test)
