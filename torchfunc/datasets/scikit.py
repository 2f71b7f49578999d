"""The dataset that scikit-learn carries: handwritten digits, at hand where there is no network."""

from __future__ import annotations

import numpy as np

from torchfunc.datasets.images import Split
from torchfunc.errors import MissingExtraError

_TRAIN = 1437  # Four fifths.


def load_data() -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (1437, 8, 8) of 0 to 255 and labels (1437,) in uint8.

    The images are shuffled, always in the same way: scikit-learn has them in the order of their writers.

    Returns:
        Two pairs of arrays of NumPy's, of 1,437 and 360 images.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
        >>> x_train.shape, x_test.shape, np.unique(y_train)
        ((1437, 8, 8), (360, 8, 8), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], dtype=uint8))
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn", "examples", "The digits dataset") from error
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))  # Equal in every version of NumPy.
    x = np.rint(digits.images[order] * (255 / 16)).astype(np.uint8)
    y = digits.target[order].astype(np.uint8)
    return (x[:_TRAIN], y[:_TRAIN]), (x[_TRAIN:], y[_TRAIN:])
