"""Prices of houses, from what was counted around them: California in 1990, Boston in 1978."""

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

    Raises:
        DataError: the file can neither be found nor downloaded; a share that is not from 0 to 1.
        UnknownNameError: another version.
    """
    if version not in ("large", "small"):
        raise UnknownNameError("version", version, ("large", "small"))
    x, y = arrays_of("california_housing.npz", path, ("x", "y"))
    few = slice(_SMALL if version == "small" else None)
    x, y = shuffled(seed, x[few], y[few])
    return divided(x, y, test_split)


def load_boston(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """`(x_train, y_train), (x_test, y_test)`: 506 districts, (n, 13), with the median price of a house in 1,000 dollars.

    A column of these data counts people by the colour of their skin, as if that made a price: take them to speak of
    that, and `california_housing` for everything else.

    Args:
        path: The name in `~/.torchfunc/datasets`, where it is downloaded to; with a folder in it, a file of yours.
        test_split: Which share is to test on.
        seed: Of the order.

    Raises:
        DataError: the file can neither be found nor downloaded; a share that is not from 0 to 1.
    """
    x, y = shuffled(seed, *arrays_of("boston_housing.npz", path, ("x", "y")))
    return divided(x, y, test_split)
