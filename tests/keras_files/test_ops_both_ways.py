"""Keras's ops in graphs go through files both ways: one call of every op, as a graph of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.ops import test_nn_linalg_image, test_numbers, test_shapes_and_products
from tests.ops.rows import found
from torchfunc.errors import SavingError
from torchfunc.keras_files import keras_ops
from torchfunc.tree import leaves, map_leaves

# what Keras cannot make symbols of, or loses when it writes it down and reads it
THEIRS = {
    "adaptive_average_pool", "adaptive_max_pool", "array_split", "image.affine_transform", "sparsemax", "count_nonzero",
    "bincount", "conv_transpose", "histogram", "unique",
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def rows() -> dict[str, Any]:
    """The first call of each op that takes arrays, of the rows by which ops are compared with Keras."""
    found: dict[str, Any] = {}
    for module in (test_numbers, test_shapes_and_products, test_nn_linalg_image):
        for table in vars(module).values():
            if isinstance(table, dict) and all(_is_row(each) for each in table.values()):
                for name, calls in table.items():
                    usual = [each for each in calls if _arrays(each)]
                    found.setdefault(name, next(iter(usual), None))
    return {name: row for name, row in found.items() if row is not None and name not in THEIRS}


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], tuple) and len(value[0]) == 2


def _arrays(call: Any) -> list[Any]:
    return [leaf for leaf in leaves(call) if isinstance(leaf, np.ndarray)]


def model_of(name: str, args: Any, kwargs: Any) -> Any:
    """A model of Keras that makes this call, or None where Keras makes no symbol of it."""
    inputs: list[Any] = []

    def symbol(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        inputs.append(keras.Input(batch_shape=leaf.shape, dtype=str(leaf.dtype)))
        return inputs[-1]

    args, kwargs = map_leaves(symbol, args), map_leaves(symbol, kwargs)
    try:
        return keras.Model(inputs, found(keras.ops, name)(*args, **kwargs))
    except (TypeError, ValueError, IndexError, RuntimeError):
        return None


def outputs_of(model: Any, arrays: list[Any]) -> list[np.ndarray]:
    tensors = [torch.from_numpy(each.copy()) for each in arrays]
    called = model(tensors) if isinstance(model, keras.Model) else model(*tensors)
    return [np.asarray(each.detach()) for each in leaves(called)]


def equal(one: list[Any], other: list[Any]) -> bool:
    return all(
        np.allclose(a, b.astype(a.dtype), atol=1e-4, equal_nan=True) for a, b in zip(one, other, strict=True)
    )


ROWS = rows()


@pytest.mark.parametrize("name", ROWS)
def test_an_op_goes_through_a_file_both_ways(name: str, tmp_path: Path) -> None:
    args, kwargs = ROWS[name]
    theirs, arrays = model_of(name, args, kwargs), _arrays((args, kwargs))
    if theirs is None:  # Keras itself has no such graph
        return
    theirs.save(tmp_path / "m.keras")
    expected = outputs_of(keras.models.load_model(tmp_path / "m.keras"), arrays)
    ours = tf.load_model(tmp_path / "m.keras")
    assert equal(expected, outputs_of(ours, arrays))
    ours.save(tmp_path / "back.keras")
    assert equal(expected, outputs_of(keras.models.load_model(tmp_path / "back.keras"), arrays))


def test_most_ops_have_a_graph_in_keras() -> None:
    made = sum(model_of(name, *row) is not None for name, row in ROWS.items())
    assert made > 0.9 * len(ROWS) > 230


def test_the_table_of_ops_is_that_of_keras() -> None:
    """Every class of an op of Keras stands in the table, but for those that take functions, and those of einops."""
    classes = {
        name
        for home in ("core", "image", "linalg", "math", "nn", "numpy")
        for name, each in vars(getattr(keras.src.ops, home)).items()
        if isinstance(each, type)
        and issubclass(each, keras.Operation)
        and each.__module__ == f"keras.src.ops.{home}"
    }
    left_out = {
        "AssociativeScan", "Cond", "ForiLoop", "JVP", "Map", "Scan", "SegmentReduction", "Switch", "VectorizedMap",
        "WhileLoop",
    }  # fmt: skip
    assert classes - set(keras_ops._classes()) == left_out
    assert set(keras_ops._classes()) - classes == {"Rearrange"}


def test_a_function_of_pytorch_that_keras_has_not_is_refused_by_name(tmp_path: Path) -> None:
    x = tf.Input((4,))
    with pytest.raises(SavingError, match="got torch.erfinv.*|got torch.polygamma") as error:
        tf.Model(x, torch.polygamma(1, x)).save(tmp_path / "m.keras")
    assert "Fix: call a layer of torchfunc.layers there, or model.save('model.safetensors')" in str(
        error.value
    )
    assert list(tmp_path.iterdir()) == []
