"""The dataset that scikit-learn carries: handwritten digits, at hand where there is no network."""

from __future__ import annotations

import numpy as np

from torchfunc.datasets.images import Split
from torchfunc.errors import MissingExtraError

_TRAIN = 1437  # Four fifths.


def load_data() -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: images (1437, 8, 8) of 0 to 255 and labels (1437,) in uint8.

    The images are shuffled, always in the same way: scikit-learn has them in the order of their writers.

    Raises:
        MissingExtraError: scikit-learn is not installed.
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
