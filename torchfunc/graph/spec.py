"""Spec: the type of a tensor that is not computed yet, and what an Input is asked for, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from torchfunc.errors import DTypeError, GraphError, explain

WORLDS = (96, 192, 1)


@dataclass(frozen=True, slots=True)
class Spec:
    """The type of a tensor: its dtype, and its shape in each world.

    Attributes:
        dtype: a `torch.dtype`.
        worlds: the shape in each world; one alone where nothing is unknown.
        shape: the one shape that they make, where an unknown dimension is None.
        by_values: whether it took a call on numbers to find it.
        optional: whether None may stand for the tensor, which an Input says.
    """

    dtype: torch.dtype
    worlds: tuple[tuple[int, ...], ...]
    by_values: bool = field(default=False, compare=False)
    optional: bool = field(default=False, compare=False)
    shape: tuple[int | None, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        shape: tuple[int | None, ...] = tuple(self.worlds[0])
        if self.worlds.count(self.worlds[0]) == len(self.worlds):
            object.__setattr__(self, "worlds", self.worlds[:1])
        else:
            sizes = zip(*self.worlds, strict=True)
            shape = tuple([each[0] if len(set(each)) == 1 else None for each in sizes])
        object.__setattr__(self, "shape", shape)

    @classmethod
    def of(cls, shape: Sequence[int | None], dtype: torch.dtype = torch.float32) -> Spec:
        """The spec of a tensor with this shape, None where unknown."""
        return cls(dtype, tuple(tuple(world if each is None else each for each in shape) for world in WORLDS))

    def __repr__(self) -> str:
        return f"{self.shape} {str(self.dtype).removeprefix('torch.')}"


@dataclass(frozen=True)
class Number:
    """The type of a number that each batch brings, such as a batch size: its value in each world."""

    worlds: tuple[Any, ...]
    by_values: bool = field(default=False, compare=False)


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
    """A dtype by itself or by name ("int32"); PyTorch's default, float32, where none is given.

    Raises:
        DTypeError: no dtype has that name.
    """
    if dtype is None:
        return torch.get_default_dtype()
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if dtype == "string" or getattr(dtype, "kind", "") in ("U", "S", "O", "T"):
        raise DTypeError(
            explain(
                "dtype",
                got="text",
                expected="a torch.dtype or its name",
                why="a graph holds tensors, and text is none",
                fix="call TextVectorization, StringLookup or Hashing on the text, in a Dataset or a collate_fn too, "
                "and give the model an Input of what they return",
            )
        )
    if not isinstance(found, torch.dtype):
        way = "dtype='float32'"
        raise DTypeError(explain("dtype", got=repr(dtype), expected="a torch.dtype or its name", fix=way))
    return found
