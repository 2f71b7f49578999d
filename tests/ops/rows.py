"""What the tests of ops share: rows of calls, and how an op is compared with Keras on tensors, arrays and symbols."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import ops
from torchfunc.tree import leaves, map_leaves

Row = tuple[tuple[Any, ...], dict[str, Any]]
Rows = Mapping[str, list[Row]]
Truth = Callable[..., Any]

_random = np.random.default_rng(0)


def f(*shape: int) -> Any:
    """Floats around 0."""
    return _random.normal(size=shape).astype("float32")


def p(*shape: int) -> Any:
    """Floats from 0.05 to 1."""
    return _random.uniform(0.05, 1.0, shape).astype("float32")


def i(high: int, *shape: int) -> Any:
    return _random.integers(0, high, shape).astype("int32")


def b(*shape: int) -> Any:
    return i(2, *shape).astype(bool)


def call(*args: Any, **kwargs: Any) -> Row:
    return args, kwargs


def each_call(rows: Rows) -> Any:
    """A test with `name`, `args` and `kwargs` runs for each row."""
    found = [
        pytest.param(name, *row, id=f"{name}-{place}")
        for name, calls in rows.items()
        for place, row in enumerate(calls)
    ]
    return pytest.mark.parametrize(("name", "args", "kwargs"), found)


def found(space: Any, name: str) -> Any:
    for part in name.split("."):
        space = getattr(space, part)
    return space


def tensor(leaf: Any) -> Any:
    return torch.from_numpy(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf


def arrays(value: Any) -> list[Any]:
    return [each.detach().numpy() for each in leaves(value)]


def kerases(name: str, args: Any, kwargs: Any) -> Any:
    return found(keras.ops, name)(*map_leaves(tensor, args), **map_leaves(tensor, kwargs))


def compare(
    name: str, ours: Any, theirs: Any, is_free_of_sign: bool = False, is_narrowed: bool = False
) -> None:
    """Values, dtypes and shapes; where Keras has narrowed 64 bits to 32, the kind of number alone."""
    for one, other in zip(arrays(ours), arrays(theirs), strict=True):
        if is_narrowed and one.dtype.kind == other.dtype.kind:
            other = other.astype(one.dtype)
        assert one.dtype == other.dtype and one.shape == other.shape, (
            name,
            one.dtype,
            other.dtype,
            one.shape,
        )
        if is_free_of_sign:
            one, other = np.abs(one), np.abs(other)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def check_values(
    name: str, args: Any, kwargs: Any, truth: Truth = kerases, is_free_of_sign: bool = False
) -> None:
    """The op on tensors and on arrays equals Keras's, or another truth's."""
    op, expected = found(ops, name), truth(name, args, kwargs)
    is_wide = any(getattr(leaf, "dtype", leaf) in ("float64", "int64") for leaf in leaves((args, kwargs)))
    ours = op(*map_leaves(tensor, args), **map_leaves(tensor, kwargs))
    compare(name, ours, expected, is_free_of_sign, is_wide)
    compare(name, op(*args, **kwargs), ours)


def check_symbols(
    name: str, args: Any, kwargs: Any, folder: Path, word: str = "", is_free_of_sign: bool = False
) -> None:
    """The op on symbols knows shapes and dtypes, and makes a model, and a file, that computes what it computes on arrays.

    Args:
        name: of the op.
        args, kwargs: a row.
        folder: where the file may lie.
        word: what the model's code calls the op; its own name if "".
        is_free_of_sign: whether values are compared without their signs.
    """
    op = found(ops, name)
    inputs: list[Any] = []
    data: list[Any] = []

    def symbol(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        data.append(tensor(leaf))
        dtype = str(data[-1].dtype).removeprefix("torch.")
        inputs.append(tf.Input(leaf.shape[1:], batch_size=leaf.shape[0], dtype=dtype))
        return inputs[-1]

    symbols = op(*map_leaves(symbol, args), **map_leaves(symbol, kwargs))
    model = tf.Model(inputs, [*leaves(symbols)])
    truth = [*leaves(op(*args, **kwargs))]
    assert [(each.shape, each.dtype) for each in leaves(symbols)] == [
        (tuple(each.shape), each.dtype) for each in truth
    ]
    compare(name, model(data), truth, is_free_of_sign)
    assert re.search(rf"= ops\.(\w+\.)?{word or name.rpartition('.')[2]}\(", model.code)
    if name != "rearrange":  # the names of its axes are the user's, which a file's schema cannot list
        model.save(folder / "model.safetensors")
        compare(name, tf.models.load_model(folder / "model.safetensors")(data), truth, is_free_of_sign)
