"""What Keras code asks about dtypes, tensors, devices and names."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from torchfunc.errors import DTypeError, explain, shorten
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.ops.conversion import result_type as promoted
from torchfunc.settings import floatx

_counted: Counter[str] = Counter()


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype of PyTorch, NumPy or Python, or of a dtype's name; None is the usual floating one.

    Args:
        dtype: the dtype, or what names it.

    Returns:
        The name, such as "float32".

    Raises:
        DTypeError: something that is no dtype.

    Example:
        >>> standardize_dtype(torch.int64), standardize_dtype("int"), standardize_dtype(float)
        ('int64', 'int32', 'float32')
    """
    if dtype is None:
        return floatx()
    python: dict[Any, str] = {bool: "bool", int: "int32", float: "float32", str: "string", "int": "int32"}
    name = python.get(dtype) or getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = str(name).removeprefix("torch.")
    if name != "string" and not isinstance(getattr(torch, name, None), torch.dtype):
        raise DTypeError(explain("dtype", got=shorten(dtype), expected="a dtype, or the name of one"))
    return name


def result_type(*dtypes: Any) -> str:
    """The dtype of what is computed from these, by Keras's rules; what has 64 bits keeps them.

    Args:
        dtypes: dtypes or their names; `int` and `float` are numbers of Python.

    Returns:
        The name of a dtype.

    Example:
        >>> result_type("int32", "float32"), result_type("int8", "uint8"), result_type("int32", float)
        ('float32', 'int16', 'float32')
    """
    kinds = [
        each if each in (bool, int, float) else getattr(torch, standardize_dtype(each)) for each in dtypes
    ]
    return standardize_dtype(promoted(*kinds))


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype holds floating numbers.

    Args:
        dtype: of PyTorch, NumPy or Python, or a name.

    Returns:
        True or False.

    Example:
        >>> tf.backend.is_float_dtype(torch.bfloat16), tf.backend.is_float_dtype("int32")
        (True, False)
    """
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype holds whole numbers, truth values left out.

    Args:
        dtype: of PyTorch, NumPy or Python, or a name.

    Returns:
        True or False.

    Example:
        >>> tf.backend.is_int_dtype("uint8"), tf.backend.is_int_dtype(bool)
        (True, False)
    """
    return standardize_dtype(dtype).startswith(("int", "uint"))


def is_keras_tensor(x: Any) -> bool:
    """Whether something is a symbolic tensor.

    Args:
        x: anything.

    Returns:
        True or False.

    Example:
        >>> tf.backend.is_keras_tensor(tf.Input((3,))), tf.backend.is_keras_tensor(torch.zeros(3))
        (True, False)
    """
    return isinstance(x, SymbolicTensor)


def get_uid(prefix: str = "") -> int:
    """How often this was asked for a prefix in this process, this time included.

    Args:
        prefix: what is counted; no layer's name is made of it.

    Returns:
        1, then 2, and so on.

    Example:
        >>> tf.backend.get_uid("a run"), tf.backend.get_uid("a run"), tf.backend.get_uid("another")
        (1, 2, 1)
    """
    _counted[prefix] += 1
    return _counted[prefix]


def device(device_name: str) -> torch.device:
    """A device by Keras's name, such as "cpu:0" or "gpu:0", within which tensors are made there.

    Args:
        device_name: "cpu", "gpu", "gpu:1", ...

    Returns:
        A `torch.device`, which is a context manager too.

    Example:
        >>> with device("cpu:0"):
        ...     torch.zeros(1).device.type
        'cpu'
    """
    return torch.device(device_name.lower().replace("gpu", "cuda"))
