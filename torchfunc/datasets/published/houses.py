"""Prices of houses, from what was counted around them: California in 1990."""

from __future__ import annotations

from typing import Literal

from torchfunc.datasets.images import Split
from torchfunc.datasets.published.fetched import arrays_of, divided, shuffled
from torchfunc.errors import UnknownNameError

_SMALL = 600


def load_california(
    version: Literal["large", "small"] = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: 20,640 districts, (n, 8), with the median price of a house in dollars, (n,).

    The columns: median income, median age of a house, rooms and bedrooms a household, people, people a household,
    latitude, longitude.

    Args:
        version: "small" takes 600 of them.
        path: The name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of yours.
        test_split: Which share is to test on.
        seed: Of the order.

    Returns:
        Two pairs of arrays of NumPy's, in float32.

    Raises:
        DataError: the file can neither be found nor downloaded; a share that is not from 0 to 1.
        UnknownNameError: another version.

    Example:
        >>> np.savez("houses.npz", x=np.ones((10, 8), "float32"), y=np.full(10, 2e5, "float32"))
        >>> (x_train, y_train), (x_test, y_test) = datasets.california_housing.load_data(path="./houses.npz")
        >>> x_train.shape, y_test.shape
        ((8, 8), (2,))
    """
    if version not in ("large", "small"):
        raise UnknownNameError("version", version, ("large", "small"))
    x, y = arrays_of("california_housing.npz", path, ("x", "y"))
    few = slice(_SMALL if version == "small" else None)
    x, y = shuffled(seed, x[few], y[few])
    return divided(x, y, test_split)
