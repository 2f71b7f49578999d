"""Conversion: arrays, lists and data frames as tensors, each cast once; and outputs as NumPy arrays again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchfunc.distributed.joining import in_one
from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import DataError, explain
from torchfunc.training.sources.columns import is_column
from torchfunc.training.sources.sparse_rows import as_rows, cut, dense, holds_rows, is_sparse, number_at
from torchfunc.tree import leaves, map_leaves

_SIGNED = dict.fromkeys((torch.uint16, torch.uint32, torch.uint64), torch.int64)
_MUCH = 2**24  # bytes: less is cast at once, which is faster
_SLICE = 2**17  # numbers


def is_array(value: Any) -> bool:
    """Whether a value is one array of numbers: a tensor, NumPy, pandas, a sparse matrix, or what turns into one."""
    return (
        isinstance(value, (Tensor, np.ndarray))
        or hasattr(value, "to_numpy")
        or hasattr(value, "__array__")
        or is_sparse(value)
        or is_column(value)
    )


def is_number(value: Any) -> bool:
    """Whether a value is one finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def as_given(value: Any, where: str, *, whole: bool = False) -> Tensor:
    """A value as a tensor in the dtype that it has, sharing its memory.

    Args:
        value: a tensor, an array, a data frame or nested lists of numbers.
        where: what messages call it, such as "input 'img'".
        whole: whether these are all samples, of which each batch takes some: a large sparse matrix stays one.

    Raises:
        DataError: something that is no array of numbers.
    """
    if is_sparse(value):
        large = math.prod(value.shape) * value.dtype.itemsize > _MUCH
        if whole and large and len(value.shape) == 2 and value.dtype.kind in "iuf":
            return as_rows(value)
        value = value.toarray()
    value = value[:] if is_column(value) else value
    return value.detach() if isinstance(value, Tensor) else _from_numpy(_as_numpy(value, where))


def wanted_dtype(tensor: Tensor, dtype: torch.dtype | None, floating: torch.dtype) -> torch.dtype:
    """What a tensor is cast to.

    Args:
        tensor: as it was given.
        dtype: what is asked for; None keeps whole numbers and truth values as they are.
        floating: what floating numbers are cast to where `dtype` is None.
    """
    if dtype is not None:
        return dtype
    return floating if tensor.is_floating_point() else _SIGNED.get(tensor.dtype, tensor.dtype)


def cast(tensor: Tensor, where: str, dtype: torch.dtype) -> Tensor:
    """A tensor in this dtype, itself where it has it.

    Raises:
        DataError: fractions where whole numbers belong.
    """
    check_castable(tensor, where, dtype)
    return tensor.to(dtype)


def check_castable(tensor: Tensor, where: str, dtype: torch.dtype) -> None:
    """Refuse fractions where whole numbers belong."""
    if tensor.is_floating_point() and not (dtype.is_floating_point or dtype.is_complex):
        check_whole(tensor, where, f"the dtype is {str(dtype).removeprefix('torch.')}")


def waits(value: Any, tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether a cast of what was given is left to each batch: of a memory map, a sparse matrix, or much into more memory."""
    if holds_rows(tensor):
        return True
    if tensor.dtype == dtype:
        return False
    grows = dtype.itemsize >= tensor.dtype.itemsize
    return isinstance(value, np.memmap) or (grows and tensor.numel() * dtype.itemsize > _MUCH)


def check_whole(tensor: Tensor, where: str, why: str) -> None:
    """Refuse fractions, which a cast to whole numbers would cut off silently.

    Raises:
        DataError: with the place of the first.
    """
    place = first_place(tensor, lambda part: part != part.trunc())
    if place is not None:
        raise DataError(
            explain(
                where,
                got=f"{number_at(tensor, place):g} at index {place[0] if len(place) == 1 else place}",
                expected="whole numbers",
                why=why,
            )
        )


def first_place(tensor: Tensor, is_wrong: Callable[[Tensor], Tensor]) -> tuple[int, ...] | None:
    """The place of the first number that is wrong, or None.

    On the host it is looked for in slices, so that nothing as large as the tensor is made.
    """
    rows = len(tensor)
    if tensor.device.type == "cpu":
        rows = max(1, _SLICE * rows // max(1, tensor.numel()))
    for start in range(0, len(tensor), max(1, rows)):
        wrong = is_wrong(dense(cut(tensor, start, start + rows)))
        if bool(wrong.any()):
            first, *rest = wrong.nonzero()[0].tolist()
            return (start + first, *rest)
    return None


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
        self._parts: list[Any] = []

    def add(self, outputs: Any, *, counts: bool = True) -> Any:
        """Take the outputs of one more batch, if it counts; they are returned as they are."""
        self._structure = outputs if not self._parts else self._structure
        self._parts.append([_on_host(leaf) for leaf in leaves(outputs)] if counts else None)
        return outputs

    def gather(self, ranks: Ranks, *, by_samples: bool) -> None:
        """Have the outputs of all ranks on each of them."""
        _synchronize()
        self._parts = in_one(ranks.gathered(self._parts), by_samples=by_samples)

    def joined(self) -> Any:
        """All batches as one, nested as the outputs are."""
        _synchronize()
        arrays = iter([_joined(parts) for parts in zip(*self._parts, strict=True)])
        return map_leaves(lambda _: next(arrays), self._structure)


def _synchronize() -> None:
    """Wait for copies to the host, which were started alone."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


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
