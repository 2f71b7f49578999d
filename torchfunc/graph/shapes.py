"""What an Input is asked for, checked: its shape and its dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torchfunc.errors import DTypeError, GraphError, explain
from torchfunc.graph.infer import Number


def whole_shape(shape: Any, batch_size: Any, batch_shape: Any) -> tuple[int | None, ...]:
    """The shape of an Input with its batch, from either way of saying it.

    Raises:
        GraphError: both ways, neither, or no shape.
    """
    if (shape is None) == (batch_shape is None):
        raise GraphError(
            "Input: expected either `shape` (of one sample) or `batch_shape` (with the batch), got "
            + ("both." if shape is not None else "neither.")
            + " Fix: Input(shape=(784,))."
        )
    given = batch_shape if shape is None else shape
    if isinstance(given, (int, str)) or not isinstance(given, Sequence):
        way = f"Input(shape=({given!r},))"
        raise GraphError(explain("Input", got=f"shape={given!r}", expected="a tuple of numbers", fix=way))
    whole = tuple(given) if shape is None else (batch_size, *given)
    return tuple(None if _is_unknown(each) else _counted(each, given) for each in whole)


def _is_unknown(size: Any) -> bool:
    """Whether a dimension is None, or another symbol's unknown one."""
    return size is None or isinstance(getattr(size, "spec", None), Number)


def _counted(size: Any, given: Any) -> int:
    """A known dimension as a number."""
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 0:
        got = f"the dimension {size!r} in {tuple(given)!r}"
        raise GraphError(explain("Input", got=got, expected="numbers of 0 or more, or None"))
    return int(size)


def dtype_of(dtype: torch.dtype | str | None) -> torch.dtype:
    """A dtype by itself or by name ("int32"); float32 where none is given.

    Raises:
        DTypeError: no dtype has that name.
    """
    if dtype is None:
        return torch.float32
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        way = "dtype='float32'"
        raise DTypeError(explain("dtype", got=repr(dtype), expected="a torch.dtype or its name", fix=way))
    return found
