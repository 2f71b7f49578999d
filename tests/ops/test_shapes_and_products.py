"""Ops that create, shape, index and multiply: each equals Keras's on tensors, arrays and symbols."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.ops.rows import b, call, check_symbols, check_values, each_call, f, i
from torchfunc import ops
from torchfunc.errors import TorchfuncError

X, Y, V = f(3, 4), f(2, 3, 4), f(5)
WINDOW = [call(8), call(7), call(1)]

# called without a tensor: eagerly alone
MADE: dict[str, list[Any]] = {
    "zeros": [call((2, 3)), call(4), call((2,), "int32")],
    "ones": [call((2, 3)), call(4), call((2,), dtype="bool")],
    "full": [call((2, 3), 7.0), call((2, 3), np.array([1.0, 2.0, 3.0], "float32")), call((2,), 3, "int32")],
    "eye": [call(3), call(3, 4, 1), call(4, 2, -1, "int32"), call(3, k=5)],
    "identity": [call(3), call(1), call(2, "int32")],
    "tri": [call(3), call(3, 4, 1), call(4, 2, -1, "int32")],
    "arange": [call(5), call(2, 9, 3), call(0.0, 1.0, 0.25), call(5, dtype="float32"), call(4, 0, -1)],
    "linspace": [call(0.0, 1.0, 5), call(0, 10, 4, False), call(-1.0, 2.0, 7, dtype="float64")],
    "logspace": [call(0.0, 2.0, 5), call(0, 3, 4, False), call(0.0, 4.0, 5, base=2)],
    "geomspace": [call(1.0, 100.0, 5), call(1, 256, 9), call(-1.0, -8.0, 4)],
    "bartlett": WINDOW,
    "blackman": WINDOW,
    "hamming": WINDOW,
    "hanning": WINDOW,
    "kaiser": [call(8, 2.0), call(7, 0.5), call(1, 3.0)],
}
ROWS: dict[str, list[Any]] = {
    "array": [call(X), call(V, "float64"), call(i(5, 3), "float32")],
    "zeros_like": [call(X), call(V, "int32"), call(b(3))],
    "ones_like": [call(X), call(V, "int32"), call(b(3))],
    "full_like": [call(X, 2.0), call(V, 3, "int32"), call(i(4, 3), 2)],
    "meshgrid": [call(V, f(3)), call(V, f(3), f(2), indexing="ij"), call(i(3, 4), i(3, 2))],
    "vander": [call(V), call(V, 3), call(i(4, 4), 3, True)],
    "reshape": [call(X, (2, 6)), call(X, (-1, 2)), call(Y, -1)],
    "ravel": [call(X), call(Y), call(V)],
    "transpose": [call(X), call(Y, (2, 0, 1)), call(Y, (-1, 0, 1))],
    "moveaxis": [call(Y, 0, -1), call(Y, (0, 1), (1, 2)), call(X, -1, 0)],
    "swapaxes": [call(Y, 0, 2), call(Y, -1, -2), call(X, 0, 1)],
    "expand_dims": [call(X, 0), call(X, -1), call(Y, (0, 2)), call(X, (-1, 0))],
    "squeeze": [call(f(1, 3, 1)), call(f(1, 3, 1), 0), call(f(1, 3, 1), (0, -1))],
    "broadcast_to": [call(V, (2, 5)), call(f(3, 1), (3, 4)), call(f(1), (2, 2))],
    "concatenate": [call((X, f(2, 4))), call([X, f(3, 2)], 1), call((Y, Y), -1)],
    "stack": [call((X, X)), call([X, X], -1), call((V, V), 1)],
    "hstack": [call((X, f(3, 2))), call((V, f(3))), call([Y, Y])],
    "vstack": [call((X, f(2, 4))), call((V, V)), call([Y, Y])],
    "dstack": [call((X, X)), call((V, V)), call([Y, Y])],
    "split": [call(X, 2, 1), call(Y, [1], 1), call(f(6), 3), call(f(7), (2, 5))],
    "array_split": [call(f(7), 3), call(X, 3, 1), call(Y, 2, -1)],
    "hsplit": [call(X, 2), call(V, [2]), call(Y, 3)],
    "vsplit": [call(X, 3), call(Y, [1]), call(f(4, 2), 2)],
    "dsplit": [call(Y, 2), call(Y, [1, 3]), call(f(1, 2, 6), 3)],
    "append": [call(X, V), call(X, f(1, 4), 0), call(X, f(3, 1), -1)],
    "repeat": [call(X, 2), call(X, 3, 1), call(Y, 2, -1)],
    "tile": [call(X, 2), call(X, (2, 3)), call(V, (2, 1, 2))],
    "pad": [
        call(X, ((1, 2), (0, 1))),
        call(Y, ((0, 0), (1, 1), (2, 0)), constant_values=3.0),
        call(X, ((1, 1), (2, 2)), "reflect"),
        call(i(9, 4, 4), ((0, 0), (1, 1)), "reflect"),
    ],
    "roll": [call(X, 1), call(X, 2, 1), call(Y, (1, -1), (0, 2))],
    "rot90": [call(X), call(X, 2), call(Y, 1, (1, 2)), call(Y, -1, (-1, 0))],
    "flip": [call(X), call(X, 1), call(Y, (0, -1))],
    "fliplr": [call(X), call(Y), call(f(2, 2))],
    "flipud": [call(X), call(Y), call(V)],
    "view": [call(X, "int32"), call(f(2, 4), "float64"), call(i(9, 3), "float32")],
    "diag": [call(V), call(X, 1), call(V, -2)],
    "diagflat": [call(V), call(X, 1), call(f(2, 2), -1)],
    "diagonal": [call(X), call(Y, 1, 1, 2), call(Y, -1, 0, 2)],
    "tril": [call(X), call(X, 1), call(Y, -1)],
    "triu": [call(X), call(X, 1), call(Y, -1)],
    "copy": [call(X), call(i(3, 2)), call(b(2, 2))],
    "take": [call(X, i(3, 2), 0), call(X, np.array([0, -1], "int32"), 1), call(Y, i(3, 2, 2), 1), call(X, i(12, 3))],
    "take_along_axis": [call(X, i(4, 3, 2), 1), call(X, i(3, 1, 4), 0), call(X, i(12, 4)), call(Y, -1 - i(3, 2, 3, 4), 1)],
    "where": [call(b(3, 4), X, f(3, 4)), call(b(3, 1), X, 0.0), call(X > 0, 1, 0)],
    "select": [call([b(3, 4), b(3, 4)], [X, f(3, 4)]), call([X > 0], [X], 5.0), call([V > 0, V > -1], [V, -V], -9.0)],
    "sort": [call(X), call(X, 0), call(Y, None), call(i(9, 6))],
    "argsort": [call(X), call(X, 0), call(Y, None), call(i(3, 6))],
    "unravel_index": [call(i(12, 4), (3, 4)), call(i(24, 2, 2), (2, 3, 4)), call(i(5, 3), (5,))],
    "isin": [call(i(5, 3, 4), i(5, 3)), call(X, X[0], invert=True), call(b(4), b(1))],
    "matmul": [call(X, f(4, 2)), call(Y, f(4, 5)), call(i(9, 2, 3), i(9, 3, 2)), call(V, V), call(i(2, 2, 3), f(3, 2))],
    "dot": [call(X, f(4, 2)), call(V, V), call(X, 2.0), call(Y, V[:4])],
    "vdot": [call(V, V), call(V, f(5)), call(i(5, 4), i(5, 4))],
    "inner": [call(X, f(2, 4)), call(V, V), call(i(3, 4), i(3, 4))],
    "outer": [call(V, f(3)), call(X, V), call(i(3, 2), f(2))],
    "tensordot": [call(X, f(4, 2), 1), call(Y, f(4, 3, 2), ((1, 2), (1, 0))), call(Y, f(3, 4)), call(X, f(4, 2), (1, 0))],
    "einsum": [call("ij,jk->ik", X, f(4, 2)), call("ij->ji", X), call("bij,bj->bi", Y, f(2, 4)), call("i,i", V, V)],
    "cross": [call(f(2, 3), f(2, 3), axis=-1), call(f(3), f(3), axis=0), call(f(3, 4), f(3, 4), axis=0)],
    "kron": [call(X, f(2, 2)), call(V, V), call(i(3, 2), i(3, 2, 2))],
    "correlate": [call(f(6), f(3)), call(f(6), f(3), "full"), call(f(7), f(3), "same"), call(f(6), f(4), "same")],
    "trapezoid": [call(X), call(X, dx=0.5), call(V, f(5)), call(Y, axis=1)],
    "diff": [call(V), call(X, 2), call(X, 1, 0), call(i(9, 5))],
    "trace": [call(X), call(Y, 1, 1, 2), call(b(3, 3)), call(i(9, 3, 3), -1)],
    "slogdet": [call(f(3, 3)), call(f(2, 3, 3)), call(np.eye(2, dtype="float64") * -3)],
}  # fmt: skip

# What Keras on PyTorch refuses, or has otherwise than NumPy: an axis or a step of `linspace` beside arrays, axes
# of `cross`, a list in `array_split`, numbers in `pad_width`, "symmetric" (it repeats the edge), `correlate` of a
# shorter vector first, `dot` of more than two axes.
NUMPYS: dict[str, list[Any]] = {
    "linspace": [
        call(np.zeros(2, "float32"), np.ones(2, "float32"), 4, axis=1),
        call(X, X + 2, 3, False, axis=-1),
        call(0.0, 1.0, 1),
        call(0.0, 1.0, 0),
    ],
    "logspace": [call(np.zeros(2, "float32"), np.ones(2, "float32"), 4, axis=1)],
    "geomspace": [call(np.ones(2, "float32"), np.full(2, 9, "float32"), 3, axis=-1)],
    "cross": [call(f(3, 2), f(2, 3), 0, 1, 0), call(f(4, 3), f(3))],
    "array_split": [call(X, [1, 2], 1)],
    "pad": [
        call(X, 2),
        call(X, (1, 2), "edge"),
        call(X, ((2, 1), (3, 0)), "symmetric"),
        call(X, ((5, 4), (9, 8)), "reflect"),
        call(X, ((5, 4), (9, 8)), "symmetric"),
        call(b(3), 1, "edge"),
    ],
    "correlate": [call(f(3), f(6), mode) for mode in ("valid", "full")],
    "dot": [call(Y, f(5, 4, 2))],
    "repeat": [call(X, [1, 0, 2], 0), call(V, np.array([2]))],
    "concatenate": [call((X, V), axis=None)],
    "eye": [call(2, 5, 3)],
    "diff": [call(V, 9)],
}


@each_call({**MADE, **ROWS})
def test_an_op_equals_kerass_on_tensors_and_on_arrays(name: str, args: Any, kwargs: Any) -> None:
    check_values(name, args, kwargs)


@each_call(ROWS)
def test_an_op_on_symbols_makes_a_model_and_a_file_that_compute_the_same(
    name: str, args: Any, kwargs: Any, tmp_path: Path
) -> None:
    check_symbols(name, args, kwargs, tmp_path)


@each_call(NUMPYS)
def test_where_keras_refuses_or_errs_an_op_equals_numpy(name: str, args: Any, kwargs: Any) -> None:
    truth = getattr(np, name)(*args, **kwargs)
    made = getattr(ops, name)(*args, **kwargs)
    for one, other in zip(
        made if isinstance(made, list) else [made], truth if isinstance(truth, list) else [truth], strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-6)


def test_what_has_64_bits_keeps_them() -> None:
    wide = torch.randn(3, 3, dtype=torch.float64)
    for made in (
        ops.matmul(wide, wide),
        ops.dot(wide, wide),
        ops.einsum("ij,jk", wide, wide),
        ops.kron(wide, wide),
    ):
        assert made.dtype is torch.float64
    assert torch.equal(ops.matmul(wide, wide), wide @ wide)
    assert ops.matmul(wide.long(), wide.long()).dtype is torch.int64
    assert ops.concatenate([wide, wide.float()]).dtype is torch.float64


def test_vectors_of_two_have_a_product_of_one_number() -> None:
    x, y = f(4, 2), f(4, 2)
    np.testing.assert_allclose(ops.cross(x, y).numpy(), x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0], rtol=1e-5)
    z = np.concatenate([f(4, 2), f(4, 1)], -1)
    flat = np.concatenate([x, np.zeros((4, 1), "float32")], -1)
    np.testing.assert_allclose(ops.cross(x, z).numpy(), np.cross(flat, z), rtol=1e-5, atol=1e-6)


def test_the_step_of_linspace_is_given_on_request() -> None:
    numbers, step = ops.linspace(0.0, 2.0, 5, retstep=True)
    assert numbers.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0] and float(step) == 0.5


def test_new_memory_shows_nothing_old() -> None:
    assert not ops.empty((64, 64)).any() and not ops.empty_like(torch.ones(64, 64)).any()


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_different_values_are_numpys(axis: int | None) -> None:
    x = i(3, 6, 2)
    truth = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    made = ops.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    for one, other in zip(made, truth, strict=True):
        assert np.array_equal(one.numpy().reshape(-1), np.asarray(other).reshape(-1))
    assert np.array_equal(ops.unique(x, axis=axis).numpy(), truth[0])


def test_a_number_of_different_values_is_cut_or_filled() -> None:
    x = [3, 1, 3, 2]
    assert ops.unique(x, size=2).tolist() == [1, 2]
    values, counts = ops.unique(x, return_counts=True, size=5, fill_value=-1)
    assert values.tolist() == [1, 2, 3, -1, -1] and counts.tolist() == [1, 1, 2, 0, 0]


def test_indices_of_what_is_not_zero() -> None:
    x = i(2, 3, 4)
    assert np.array_equal(ops.nonzero(x).numpy(), np.stack(np.nonzero(x)))
    assert np.array_equal(ops.where(x).numpy(), np.stack(np.where(x)))


def test_a_partition_puts_the_kth_in_its_place() -> None:
    x = f(4, 9)
    for axis in (0, 1, -1):
        found = np.take_along_axis(x, ops.argpartition(x, 2, axis).numpy(), axis)
        kth = np.take(found, [2], axis)
        assert np.array_equal(kth, np.take(np.sort(x, axis), [2], axis))
        assert (np.take(found, range(2), axis) <= kth).all() and (
            np.take(found, range(3, x.shape[axis]), axis) >= kth
        ).all()
    assert ops.argpartition(x, 3, None).dtype is torch.int32


def test_items_are_got_of_arrays_and_symbols(tmp_path: Path) -> None:
    assert np.array_equal(ops.get_item(Y, (0, slice(1, 3))).numpy(), Y[0, 1:3])
    inputs = tf.Input((3, 4))
    model = tf.Model(inputs, ops.get_item(inputs, (slice(None), -1, ..., None)))
    assert np.array_equal(model(torch.from_numpy(Y)).numpy(), Y[:, -1, ..., None])


def test_numbers_of_axes_and_of_values() -> None:
    inputs = tf.Input((3, 4), batch_size=2)
    assert (ops.ndim(Y), ops.ndim(inputs), ops.ndim(3.0), ops.ndim([[1]])) == (3, 3, 0, 2)
    assert (ops.size(Y), ops.size(inputs), ops.size(3.0)) == (24, 24, 1)


def test_a_function_of_single_values_works_on_batches() -> None:
    larger = ops.vectorize(lambda one, other: torch.maximum(one, other))
    assert np.array_equal(larger(X, 0.0).numpy(), np.maximum(X, 0))
    assert np.array_equal(larger(f(3, 1) * 0, V).numpy(), np.maximum(np.zeros((3, 1)), V).astype("float32"))
    product = ops.vectorize(lambda matrix, vector: matrix @ vector, signature="(n,m),(m)->(n)")
    np.testing.assert_allclose(product(Y, f(2, 4) * 0 + 1).numpy(), Y.sum(-1), rtol=1e-5)
    powers = ops.vectorize(lambda x, exponent: x**exponent, excluded={1})
    assert np.array_equal(powers(V, 2).numpy(), V**2)
    with pytest.raises(TorchfuncError, match="expected 2, as signature=.*got 1 arguments"):
        product(Y)


def test_unknown_dimensions_pass() -> None:
    inputs = tf.Input((None, 4))
    made = ops.matmul(ops.concatenate([inputs, inputs], axis=1), ops.ones((4, 3)))
    made = ops.reshape(ops.expand_dims(made, 1), (-1, 3))
    assert made.shape == (None, 3)
    model = tf.Model(inputs, made)
    assert model(torch.ones(2, 5, 4)).shape == (20, 3)


def test_symbols_take_ops_between_layers() -> None:
    tf.utils.set_random_seed(0)
    inputs = tf.Input((6, 4))
    hidden = ops.transpose(tf.layers.Dense(8)(inputs), (0, 2, 1))
    model = tf.Model(inputs, tf.layers.Dense(1)(ops.pad(hidden, ((0, 0), (1, 1), (0, 0)))))
    assert model(torch.ones(2, 6, 4)).shape == (2, 10, 1) and "ops.transpose(" in model.code


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: ops.split(X, 5, 1), "5 parts of an axis of 4.*Fix: array_split"),
    (lambda: ops.squeeze(X, 0), "axes of size 1, but axis 0 has 3"),
    (lambda: ops.where(X > 0, X), "both or none"),
    (lambda: ops.select([], []), "a choice for each"),
    (lambda: ops.pad(X, 1, "wrap"), "one of constant, reflect, symmetric, edge"),
    (lambda: ops.pad(X, ((1, 1),) * 3), "for each of 2 axes"),
    (lambda: ops.rot90(X, 1, (0, 0)), "two axes"),
    (lambda: ops.cross(f(2, 4), f(2, 4)), "of 2 or 3"),
    (lambda: ops.correlate(X, V), "two vectors"),
    (lambda: ops.correlate(V, V, "all"), "'valid', 'same' or 'full'"),
    (lambda: ops.argpartition(V, 9), "at least -5 and below 5"),
    (lambda: ops.linspace(0, 1, -1), "at least 0"),
    (lambda: ops.take(X, [0], 5), "axis 5"),
    (lambda: ops.bartlett(tf.Input((), dtype="int32")), "the number of points"),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_mistakes_are_told_with_the_way_out(mistake: Callable[[], Any], words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        mistake()
