"""Fields: what a file says with a number, a list or a tensor is of the kind and in the range that was written."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from torchfunc.errors import ConfigError, explain, shorten

# below it a float counts steps one by one
COUNTS = 2**53


def refused(place: str, got: Any, expected: str) -> ConfigError:
    """The error of a field that holds something else."""
    return ConfigError(explain(place, got=told(got), expected=expected))


def told(value: Any) -> str:
    """What a field holds, in a few words whatever it is."""
    if isinstance(value, Tensor):
        return f"a tensor of {shape_of(value)}"
    if isinstance(value, (list, tuple, Mapping)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a whole number of {value.bit_length()} bits"
    return shorten(value, 60)


def shape_of(tensor: Tensor) -> str:
    """The shape and the dtype of a tensor: `shape (4, 3) float32`."""
    return f"shape {shorten(tuple(tensor.shape), 60)} {str(tensor.dtype).removeprefix('torch.')}"


def item(place: str, name: Any) -> str:
    """The place of an item under a name that a file has chosen."""
    return f"{place}[{shorten(name, 60)}]"


def record(value: Any, place: str, needed: Collection[str], optional: Collection[str] = ()) -> Any:
    """A dict with these keys and no others.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(value, Mapping):
        raise refused(place, value, f"an object with {_named(needed)}")
    missing = next((each for each in needed if each not in value), None)
    if missing is not None:
        raise ConfigError(explain(place, got=f"no {missing!r}", expected=_named(needed)))
    unknown = next((each for each in value if each not in needed and each not in optional), None)
    if unknown is not None:
        got = f"the key {shorten(unknown, 60)}"
        raise ConfigError(explain(place, got=got, expected=f"no more than {_named([*needed, *optional])}"))
    return value


def _named(names: Collection[str]) -> str:
    return ", ".join(map(repr, names))


def whole(value: Any, place: str, least: int = 0, below: int = COUNTS) -> int:
    """A whole number from `least` to below `below`.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < below:
        raise refused(place, value, f"a whole number from {least} to below {below}")
    return value


def number(value: Any, place: str, least: float, most: float) -> float:
    """A finite number in a range.

    Raises:
        ConfigError: something else.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or not math.isfinite(value):
        raise refused(place, value, f"a number from {least:g} to {most:g}")
    return float(value)


def listed(value: Any, place: str, most: int, what: str) -> list[Any]:
    """A list of at most so many.

    Raises:
        ConfigError: something else.
    """
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise refused(place, value, f"a list of at most {most} {what}")
    return list(value)
