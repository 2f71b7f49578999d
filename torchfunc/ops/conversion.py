"""What every op begins with: arrays, lists and numbers as tensors, and Keras's rules for the dtype of a result."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import DTypeError, ShapeError, explain
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.tree import leaves

# The words for what an op takes; what a file may give for each, `saving/allowed_calls.py` says.
Array: TypeAlias = object  # a tensor, an array, a number, a list of these, or a symbol
Arrays: TypeAlias = Sequence[Any]
Axis: TypeAlias = "int | Sequence[int] | None"
Shape: TypeAlias = "int | Sequence[int]"
DType: TypeAlias = "torch.dtype | str | None"

_NUMBERS = (bool, int, float, complex)
_SYMBOLIC_NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool)
# PyTorch computes little with these, and Keras with its torch backend nothing
_WIDER = {
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    "uint16": torch.int32,
    "uint32": torch.int64,
    bool: torch.bool,
    int: torch.int32,
    "int": torch.int32,
    "float": torch.float32,
    float: torch.float32,
    complex: torch.complex64,
}


def to_dtype(dtype: Any) -> torch.dtype:
    """A dtype by itself, by name, as NumPy's or as a type of Python; float32, or what was set, if None.

    Raises:
        DTypeError: no dtype has that name.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None:
        return torch.get_default_dtype()
    found = _WIDER.get(dtype)
    if found is None:
        name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        found = _WIDER.get(name) or getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        way = "dtype='float32'"
        raise DTypeError(explain("dtype", got=repr(dtype), expected="a torch.dtype or its name", fix=way))
    return found


def result_type(*kinds: Any) -> torch.dtype:
    """The dtype of what is computed from these: Keras's rules, which are JAX's.

    What has 64 bits keeps them: Keras narrows to 32 in some ops (`matmul`) and not in others (`add`).

    Args:
        kinds: dtypes; `int` and `float` stand for numbers of Python, which only choose the kind of number.
    """
    found = torch.bool
    for kind in kinds:
        if kind is not int and kind is not float:
            found = torch.promote_types(found, torch.bool if kind is bool else kind)
    if float in kinds and not (found.is_floating_point or found.is_complex):
        found = torch.get_default_dtype()
    elif int in kinds and found is torch.bool:
        found = torch.int32
    return found


def kind_of(value: Any) -> Any:
    """What a value is to `result_type`: its dtype, or the type of a number of Python."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, _NUMBERS):
        return next((kind for kind in (bool, int, float) if isinstance(value, kind)), torch.complex64)
    return to_dtype(value.dtype) if hasattr(value, "dtype") else to_tensor(value).dtype


def to_tensor(x: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A value as a tensor: an array keeps its dtype, numbers of Python become int32, float32 or bool."""
    if isinstance(x, (Tensor, SymbolicTensor)):  # a symbol comes here where an op is written as what it calls
        found: Tensor = x if dtype is None or x.dtype is dtype else x.to(dtype)  # type: ignore[assignment]
        return found
    if isinstance(x, _NUMBERS):
        return torch.tensor(x, dtype=dtype or _dtype_of_number(x))
    if isinstance(x, _SYMBOLIC_NUMBERS):
        return torch.as_tensor(x, dtype=dtype)
    if isinstance(x, (list, tuple)):
        return _of_list(x, dtype)
    return _of_array(np.asarray(x), dtype)


def _dtype_of_number(x: Any) -> torch.dtype:
    if isinstance(x, int) and not isinstance(x, bool) and not -(2**31) <= x < 2**31:
        return torch.int64
    kind = kind_of(x)
    return kind if isinstance(kind, torch.dtype) else result_type(kind)


def _of_list(x: Sequence[Any], dtype: torch.dtype | None) -> Tensor:
    parts = [*leaves(x)]
    if any(isinstance(each, Tensor) for each in parts):
        rows = tensors(*x)
        return to_tensor(torch.stack([each.to(result_of(*rows)) for each in rows]), dtype)
    if any(isinstance(each, _SYMBOLIC_NUMBERS) for each in parts):
        return torch.as_tensor(x, dtype=dtype)
    found = dtype or (result_type(*map(kind_of, parts)) if parts else torch.get_default_dtype())
    if any(isinstance(each, np.ndarray) for each in parts):
        return _of_array(np.asarray(x), found)
    return torch.tensor(x, dtype=found)


def result_of(*values: Tensor) -> torch.dtype:
    """PyTorch's own dtype for a table of these rows."""
    return reduce(torch.promote_types, (each.dtype for each in values))


def _of_array(x: Any, dtype: torch.dtype | None) -> Tensor:
    if x.dtype.name == "bfloat16":
        return torch.as_tensor(x.astype(np.float32)).to(dtype or torch.bfloat16)
    wider = {"uint16": np.int32, "uint32": np.int64}.get(x.dtype.name)
    if wider is not None:
        x = x.astype(wider)
    # PyTorch warns of memory that it may not write, and refuses to walk backwards
    x = x if x.flags.writeable and all(each >= 0 for each in x.strides) else x.copy()
    return torch.as_tensor(x, dtype=dtype)


def tensors(*values: Array) -> list[Tensor]:
    """Values as tensors, the arrays and lists among them on the device of the first tensor."""
    device = next((each.device for each in values if isinstance(each, Tensor)), None)
    found = [to_tensor(each) for each in values]
    if device is None:
        return found
    return [
        new if isinstance(old, Tensor) or new.ndim == 0 else new.to(device)
        for old, new in zip(values, found, strict=True)
    ]


def floating(x: Array) -> Tensor:
    """A value as a tensor of floats: integers and booleans in float32."""
    found = to_tensor(x)
    is_exact = not (found.is_floating_point() or found.is_complex())
    return found.to(torch.get_default_dtype()) if is_exact else found


def finely(x: Array) -> Tensor:
    """A value as `floating` has it, but int64 in float64: so Keras's torch backend has it in some ops."""
    found = to_tensor(x)
    return found.double() if found.dtype is torch.int64 else floating(found)


def promoted(*values: Array, beside: Any = bool) -> list[Tensor]:
    """Values as tensors of the one dtype that Keras gives to them together, and to `float` where it stands beside."""
    found = result_type(*map(kind_of, values), beside)
    # a float at once: 0.1 in float32 is not 0.1 in float64
    exact = (to_tensor(each, found) if isinstance(each, (float, complex)) else each for each in values)
    return [each.to(found) for each in tensors(*exact)]


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """An axis, several or None (all) as a tuple without negative numbers.

    Raises:
        ShapeError: there is no such axis.
    """
    if axis is None:
        return tuple(range(ndim))
    several = (axis,) if isinstance(axis, int) else tuple(axis)
    for each in several:
        if not -ndim <= each < ndim:
            raise ShapeError(
                f"axis {each}: a tensor of {ndim} dimensions has the axes {-ndim} to {ndim - 1}."
            )
    return tuple(each % ndim for each in several)
