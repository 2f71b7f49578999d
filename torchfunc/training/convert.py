"""Conversion: arrays, lists and data frames as tensors, each cast once; and outputs as NumPy arrays again."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import DataError, explain
from torchfunc.tree import leaves, map_leaves


def is_array(value: Any) -> bool:
    """Whether a value is one array of numbers: a tensor, NumPy, pandas or whatever turns into one."""
    return (
        isinstance(value, (Tensor, np.ndarray)) or hasattr(value, "to_numpy") or hasattr(value, "__array__")
    )


def is_number(value: Any) -> bool:
    """Whether a value is one finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def to_tensor(value: Any, where: str, *, dtype: torch.dtype | None, floating: torch.dtype) -> Tensor:
    """A value as a tensor, sharing its memory where it needs no cast.

    Args:
        value: a tensor, an array, a data frame or nested lists of numbers.
        where: what messages call it, such as "input 'img'".
        dtype: what it is cast to; None keeps whole numbers and truth values as they are.
        floating: what floating numbers are cast to where `dtype` is None.

    Raises:
        DataError: something that is no array of numbers, or fractions where whole numbers belong.
    """
    tensor = value.detach() if isinstance(value, Tensor) else _from_numpy(_as_numpy(value, where))
    target = dtype or (floating if tensor.is_floating_point() else tensor.dtype)
    if tensor.dtype == target:
        return tensor
    if tensor.is_floating_point() and not (target.is_floating_point or target.is_complex):
        check_whole(tensor, where, f"the dtype is {str(target).removeprefix('torch.')}")
    return tensor.to(target)


def check_whole(tensor: Tensor, where: str, why: str) -> None:
    """Refuse fractions, which a cast to whole numbers would cut off silently.

    Raises:
        DataError: with the place of the first.
    """
    fractions = tensor != tensor.trunc()
    if bool(fractions.any()):
        place = fractions.nonzero()[0].tolist()
        value = tensor[tuple(place)].item()
        raise DataError(
            explain(
                where,
                got=f"{value:g} at index {place[0] if len(place) == 1 else tuple(place)}",
                expected="whole numbers",
                why=why,
            )
        )


def _as_numpy(value: Any, where: str) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except (ValueError, TypeError) as error:
        raise _no_array(value, where) from error
    if array.dtype.kind == "O":
        array = _numbers_in(array, where)
    if array.dtype.kind not in "biufc":
        raise DataError(
            explain(
                where, got=f"the dtype {array.dtype}", expected="numbers", fix="encode it as numbers first"
            )
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _numbers_in(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """An array of Python objects as one of numbers, if that is what they all are."""
    for place, item in np.ndenumerate(array):
        if not isinstance(item, (int, float, np.number, np.bool_)):
            index = place[0] if len(place) == 1 else place
            raise DataError(
                explain(
                    where,
                    got=f"the dtype object, with a {type(item).__name__} at index {index}",
                    expected="numbers",
                    fix="encode or fill such cells first",
                )
            )
    return np.asarray(array.tolist())


def _no_array(value: Any, where: str) -> DataError:
    """The error for lists of uneven lengths, with the first that differs, or for something else."""
    rows = list(value) if isinstance(value, (list, tuple)) else []
    sizes = [
        np.shape(row) if is_array(row) else (len(row),) if hasattr(row, "__len__") else () for row in rows
    ]
    odd = next((index for index, size in enumerate(sizes) if size != sizes[0]), None)
    if odd is None:
        return DataError(explain(where, got=f"a {type(value).__name__}", expected="an array of numbers"))
    got = f"rows of uneven shapes: {sizes[odd]} at index {odd}, {sizes[0]} before"
    return DataError(explain(where, got=got, expected="rows of one shape", fix="pad them to one length"))


def _from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        # PyTorch warns of arrays that must not be written to; nothing here writes to its data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor as NumPy; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


class Collected:
    """The outputs of a module over many batches, on the host."""

    def __init__(self) -> None:
        self._structure: Any = None
        self._parts: list[list[Any]] = []

    def add(self, outputs: Any) -> Any:
        """Take the outputs of one more batch; they are returned as they are."""
        self._structure = outputs if not self._parts else self._structure
        self._parts.append([_on_host(leaf) for leaf in leaves(outputs)])
        return outputs

    def joined(self) -> Any:
        """All batches as one, nested as the outputs are."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()  # the copies to the host were started, not waited for
        arrays = iter([_joined(parts) for parts in zip(*self._parts, strict=True)])
        return map_leaves(lambda _: next(arrays), self._structure)


def _on_host(leaf: Any) -> Any:
    """A tensor's copy in memory that the device writes to by itself; on the CPU the tensor."""
    if not isinstance(leaf, Tensor) or leaf.device.type != "cuda":
        return leaf.cpu() if isinstance(leaf, Tensor) else leaf
    host = torch.empty(leaf.shape, dtype=leaf.dtype, pin_memory=True)
    return host.copy_(leaf, non_blocking=True)


def _joined(parts: tuple[Any, ...]) -> Any:
    if not isinstance(parts[0], Tensor):
        return parts[0]
    # a copy even of one part, which may be the user's own data
    return to_numpy(torch.cat(parts) if parts[0].ndim else torch.stack(parts))
