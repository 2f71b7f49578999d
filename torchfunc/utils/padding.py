"""Sequences of several lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from torchfunc.errors import DataError, explain, shorten

Side = Literal["pre", "post"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: Side = "pre",
    truncating: Side = "pre",
    value: Any = 0.0,
) -> npt.NDArray[Any]:
    """Sequences filled up and cut to one length: an array (number, maxlen, ...).

    Args:
        sequences: lists or arrays, whose items have one shape.
        maxlen: the length; that of the longest if None.
        dtype: of the array.
        padding: where what is shorter is filled up: before or after.
        truncating: where what is longer is cut.
        value: what it is filled up with.

    Returns:
        A NumPy array.

    Raises:
        DataError: something that is no sequence, items of several shapes, or another side.

    Example:
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise DataError(explain(f"pad_sequences, {name}", got=repr(side), expected="'pre' or 'post'"))
    if not hasattr(sequences, "__len__") or not all(hasattr(each, "__len__") for each in sequences):
        raise DataError(explain("pad_sequences", got=shorten(sequences), expected="a list of sequences"))
    longest = max(map(len, sequences), default=0) if maxlen is None else maxlen
    shape = next((np.asarray(each).shape[1:] for each in sequences if len(each)), ())
    padded = np.full((len(sequences), longest, *shape), value, dtype=dtype)
    for row, each in zip(padded, sequences, strict=True):
        cut = each[max(len(each) - longest, 0) :] if truncating == "pre" else each[:longest]
        items = np.asarray(cut, dtype=dtype)
        if not len(items):
            continue
        if items.shape[1:] != shape:
            got = f"items of shape {items.shape[1:]} and {shape}"
            raise DataError(explain("pad_sequences", got=got, expected="one shape"))
        row[slice(longest - len(items), None) if padding == "pre" else slice(len(items))] = items
    return padded
