"""Arrays and lists of numbers where tensors are due: as tensors, in the dtypes that Keras gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_NUMBERS = frozenset({int, float, bool})
_WIDER = {np.dtype("uint16"): np.int32, np.dtype("uint32"): np.int64, np.dtype("uint64"): np.int64}


def is_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers, or of such lists: by its first number."""
    while type(value) is list and value:
        value = value[0]
    return type(value) in _NUMBERS


def tensor_of(value: Any, floats: torch.dtype | None = None, device: torch.device | None = None) -> Any:
    """An array, or a number or list of numbers, as a tensor; anything else, text too, as it is.

    Args:
        value: the array.
        floats: the dtype of what has a fraction; that of the array if None, and PyTorch's default for a list.
        device: where the tensor is to lie; on the CPU if None.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "biufc":
            return value
        array = np.asarray(value, value.dtype.newbyteorder("="))
        # a copy, for PyTorch takes neither what runs backwards nor what must not be written to
        found = torch.from_numpy(np.array(array, _WIDER.get(array.dtype, array.dtype), order="C"))
    elif type(value) in _NUMBERS or (type(value) is list and is_numbers(value)):
        found = torch.tensor(value)
    else:
        return value
    return found.to(device, floats if found.is_floating_point() else None)
