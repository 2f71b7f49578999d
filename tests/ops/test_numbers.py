"""Ops on numbers, of one tensor, of two and along axes: each equals Keras's on tensors, arrays and symbols."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.ops.rows import b, call, check_symbols, check_values, each_call, f, i, p
from torchfunc import ops
from torchfunc.errors import TorchfuncError

X, Y, V, N, B = f(3, 4), f(2, 3, 4), f(5), i(9, 3, 4), b(3, 4)
H = f(6).astype("float64")
INF = np.array([1.0, np.inf, -np.inf, np.nan, -0.0, 0.0], "float32")
HOLES = np.where(p(3, 4) < 0.3, np.nan, X).astype("float32")
HOLES[1] = np.nan
C = (f(3, 2) + 1j * f(3, 2)).astype("complex64")


def three(*more: Any) -> list[Any]:
    """Floats, whole numbers and truth values, and what else there is."""
    return [call(X), call(N), call(B), call(H), *(call(each) for each in more)]


ONE = {
    **{
        name: three(INF)
        for name in (
            "sin cos tan arctan sinh cosh tanh arcsinh exp exp2 expm1 deg2rad rad2deg sinc i0 isfinite isinf isnan "
            "isneginf isposinf isreal logical_not floor ceil fabs abs absolute conj conjugate square"
        ).split()
    },
    **{name: [call(p(3, 4)), call(N + 1), call(B), call(p(6).astype("float64"))] for name in (
        "sqrt cbrt log log10 log1p log2 reciprocal".split()
    )},
    **{name: [call(p(3, 4) * 0.9), call(-p(5) * 0.9), call(B), call(p(2).astype("float64") * 0.9)] for name in (
        "arcsin arccos arctanh".split()
    )},
    **{name: [call(N), call(B), call(i(9, 4).astype("uint8")), call(-N)] for name in (
        "bitwise_not bitwise_invert".split()
    )},
    "arccosh": [call(p(3, 4) + 1), call(N + 1), call(p(3).astype("float64") + 1)],
    "cbrt": [call(p(3, 4)), call(N + 1), call(B)],
    "angle": [*three(), call(C)],
    "real": [*three(), call(C)],
    "imag": [call(C), call(C[0]), call(C * 1j)],
    "negative": [call(X), call(N), call(H)],
    "sign": [call(X), call(N), call(INF)],
    "signbit": [call(X), call(N - 4), call(H)],
    "trunc": three(),
    "round": [call(X * 3), call(X * 30, 1), call(N), call(X * 300, -2)],
    "clip": [call(X, -0.5, 0.5), call(N, 2, 5), call(X, f(4) - 1, 1.0), call(H, 0.0, 1.0)],
    "nan_to_num": [call(INF), call(INF, 7.0, 1.0, -1.0), call(N)],
}  # fmt: skip
TWO = {
    **{name: [call(X, f(3, 4)), call(X, 0.5), call(N, i(9, 4)), call(N, 2), call(H, H[::-1].copy())] for name in (
        "add subtract multiply divide true_divide maximum minimum fmax fmin arctan2 hypot logaddexp logaddexp2 "
        "nextafter equal not_equal greater greater_equal less less_equal isclose allclose heaviside"
    ).split()},
    **{name: [call(X, p(3, 4)), call(X, 0.5), call(N, i(9, 4) + 1), call(N - 4, 3), call(-X, p(4))] for name in (
        "floor_divide mod fmod".split()
    )},
    **{name: [call(N, i(9, 4)), call(B, b(4)), call(N, 3)] for name in "bitwise_and bitwise_or bitwise_xor".split()},
    **{name: [call(N, i(4, 4)), call(N, 2), call(i(9, 3), i(3, 3))] for name in (
        "bitwise_left_shift bitwise_right_shift left_shift right_shift".split()
    )},
    **{name: [call(N, i(9, 4)), call(N, 6), call(-N, i(9, 3, 1))] for name in "gcd lcm".split()},
    **{name: [call(B, b(4)), call(X, N), call(INF > 0, True)] for name in "logical_and logical_or logical_xor".split()},
    "divide_no_nan": [call(X, N.astype("float32")), call(N, i(3, 4)), call(X, 0.0)],
    "power": [call(p(3, 4), f(4)), call(X, 2), call(N, i(3, 4)), call(p(2), 0.5)],
    "ldexp": [call(X, i(4, 4)), call(N, 2), call(H, i(3, 6))],
}  # fmt: skip
ALONG = [call(X), call(Y, 1), call(Y, (0, -1), True), call(N, 0), call(B, -1)]
HOLED = [call(HOLES[::2].copy()), call(HOLES, 0), call(HOLES, -1, True), call(N, 1)]
PARTS = [
    call(X, 0.3),
    call(Y, np.array([0.1, 0.5], "float32"), 1),
    call(Y, 0.7, (0, 2), "lower", True),
    call(N, 0.5, 0),
]
REDUCED = {
    **dict.fromkeys("all any sum prod mean var std max min amax amin".split(), ALONG),
    "ptp": [call(X), call(Y, 1), call(N, (0, 1), True)],
    "median": [call(X), call(Y, 1), call(Y, (0, -1), True), call(N, 0)],
    **{name: [call(X), call(Y, 1), call(N, -1, True), call(B, 0)] for name in "argmax argmin".split()},
    **{name: [call(X), call(Y, 1), call(N, 0), call(B, -1), call(X, 0, "float64")] for name in "cumsum cumprod".split()},
    **dict.fromkeys("nansum nanprod nanmean nanvar nanstd nanmax nanmin nanmedian".split(), HOLED),
    **{name: [call(HOLES[::2].copy(), 0), call(HOLES, 1), call(HOLES, 0, True)] for name in "nanargmax nanargmin".split()},
    **{name: [call(HOLES), call(HOLES, 0), call(N, 1)] for name in "nancumsum nancumprod".split()},
    "quantile": PARTS,
    "nanquantile": [call(HOLES, 0.3, 0), *PARTS],
    "percentile": [call(X, 30.0), call(Y, np.array([10.0, 50.0], "float32"), 1), call(Y, 70, (0, 2), "nearest", True)],
    "nanpercentile": [call(HOLES, 30.0, 0), call(X, 20, 1), call(Y, 70, (0, 2), "higher", True)],
    "average": [call(X), call(Y, 1), call(V, weights=p(5)), call(X, 1, p(4)), call(N, 0)],
    "corrcoef": [call(X), call(f(2, 9)), call(N)],
    "searchsorted": [call(np.sort(V), f(3)), call(np.sort(V), f(2, 3), "right"), call(np.arange(5, dtype="int32"), i(5, 4))],
    "digitize": [call(X, np.sort(V)), call(N, np.array([1, 4, 6], "int32")), call(H, np.sort(H))],
    "histogram": [call(V), call(V, 4), call(H, 5, (-1.0, 1.0))],
}  # fmt: skip
COUNTED = {
    "bincount": [call(i(5, 9)), call(i(5, 9), p(9)), call(i(5, 9), None, 9)],
}
ROWS = {**ONE, **TWO, **REDUCED}

WORDS = {
    "abs": "absolute",
    "conj": "conjugate",
    "true_divide": "divide",
    "bitwise_invert": "bitwise_not",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}


@each_call({**ROWS, **COUNTED})
def test_an_op_equals_kerass_on_tensors_and_on_arrays(name: str, args: Any, kwargs: Any) -> None:
    check_values(name, args, kwargs)


@each_call(ROWS)
def test_an_op_on_symbols_makes_a_model_and_a_file_that_compute_the_same(
    name: str, args: Any, kwargs: Any, tmp_path: Path
) -> None:
    check_symbols(name, args, kwargs, tmp_path, WORDS.get(name, ""))


# what Keras on PyTorch refuses, or has otherwise than NumPy
NUMPYS: dict[str, list[Any]] = {
    "average": [call(X, 0, p(3)), call(Y, 1, weights=p(2, 3, 4)), call(Y, (0, 2))],  # it sums other weights
    "count_nonzero": [
        call(N),
        call(N, 0),
        call(Y > 0, 1),
        call(Y > 0, (0, 1)),
    ],  # it turns the axes of the result round
    "max": [call(Y, (), True), call(f(0, 3), 0, initial=-5.0), call(Y, (0, 1), initial=9.0)],
    "min": [call(Y, ()), call(f(2, 0), 1, keepdims=True, initial=5.0)],
    "sum": [call(Y, ()), call(f(0, 3), 0), call(3.0)],
    "mean": [call(Y, ()), call([1, 2, 4])],
    "ptp": [call(Y, (0, 1))],
    "histogram": [call(X, 4), call(np.ones(3, "float32"), 3), call(INF[[0, 4, 5]], 2, (5.0, 7.0))],
    "i0": [call(V)],
    "cbrt": [call(-p(4))],
    "power": [call(N, 0.5), call(np.array([4], "int64"), 3)],
    "floor_divide": [call(-N, 2)],
    "nanvar": [call(HOLES[::2], 1), call(HOLES[::2], (0, 1))],
    "clip": [call(X, -0.5, 0.5)],
    "round": [call(N * 13, -1), call(np.array([0.5, 1.5, 2.5], "float32"))],
}


def as_numpy(name: str, args: Any, kwargs: Any) -> Any:
    known = {**kwargs, "keepdims": kwargs["keepdims"]} if "keepdims" in kwargs else kwargs
    return getattr(np, name)(*args, **known)


@each_call(NUMPYS)
def test_where_keras_refuses_or_errs_an_op_equals_numpy(name: str, args: Any, kwargs: Any) -> None:
    if name in ("max", "min") and len(args) == 3:
        args, kwargs = args[:2], {**kwargs, "keepdims": args[2]}
    made = getattr(ops, name)(*args, **kwargs)
    truth = as_numpy(name, args, kwargs)
    pairs = zip(made, truth, strict=True) if isinstance(made, tuple) else [(made, truth)]
    for one, other in pairs:
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-6)


@each_call({"count_nonzero": NUMPYS["count_nonzero"]})
def test_what_is_not_zero_is_counted_on_symbols(name: str, args: Any, kwargs: Any, tmp_path: Path) -> None:
    assert ops.count_nonzero(*args).dtype is torch.int32
    check_symbols(name, args, kwargs, tmp_path)


def test_rows_are_counted_one_by_one() -> None:
    x, weights = i(4, 3, 6), p(3, 6)
    truth = np.stack([np.bincount(row, minlength=5) for row in x])
    assert np.array_equal(ops.bincount(x, minlength=5).numpy(), truth)
    weighed = np.stack([np.bincount(row, weight, 5) for row, weight in zip(x, weights, strict=True)])
    np.testing.assert_allclose(ops.bincount(x, weights, 5).numpy(), weighed, rtol=1e-5)


def test_a_division_by_zero_has_no_gradient() -> None:
    x, y = torch.ones(3, requires_grad=True), torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    ops.divide_no_nan(x, y).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 0.5] and y.grad.tolist() == [-1.0, 0.0, -0.25]


def test_numbers_of_python_choose_no_dtype() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    assert ops.add(half, 1.5).dtype is ops.maximum(0, half).dtype is torch.bfloat16
    assert ops.add(torch.ones(2, dtype=torch.int8), 1).dtype is torch.int8
    assert ops.multiply(torch.ones(2, dtype=torch.int32), 0.5).dtype is torch.float32
    assert ops.add(1, 2).dtype is torch.int32 and ops.add(True, False).dtype is torch.bool


def test_unknown_dimensions_pass() -> None:
    inputs = tf.Input((None, 4))
    spread = ops.divide(
        inputs - ops.mean(inputs, (1, 2), keepdims=True), ops.std(inputs, axis=(1, 2), keepdims=True)
    )
    model = tf.Model(inputs, ops.median(spread, axis=1))
    x = torch.randn(2, 7, 4)
    truth = np.median(((x - x.mean((1, 2), True)) / x.std((1, 2), correction=0, keepdim=True)).numpy(), 1)
    assert model.output.shape == (None, 4)
    np.testing.assert_allclose(model(x).numpy(), truth, rtol=1e-4, atol=1e-5)


def test_the_code_of_a_model_names_ops() -> None:
    inputs = tf.Input((4,))
    model = tf.Model(inputs, ops.maximum(ops.square(inputs), ops.exp(inputs)))
    assert "ops.maximum(" in model.code and "ops.square(" in model.code
    assert torch.compile(model, backend="eager", fullgraph=True)(torch.ones(2, 4)).shape == (2, 4)


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: ops.max(f(0, 3), 0), "expected one or more, got no values.*Fix: ops.max"),
    (lambda: ops.ldexp(X, X), "expected integers.*Fix: ops.cast"),
    (lambda: ops.average(X, weights=V), "or that of one axis"),
    (lambda: ops.quantile(X, 0.5, method="cubic"), "one of linear, lower"),
    (lambda: ops.searchsorted(X, V), "expected a vector"),
    (lambda: ops.searchsorted(V, V, "middle"), "'left' or 'right'"),
    (lambda: ops.histogram(V, 0), "at least 1"),
    (lambda: ops.bincount(N, sparse=True), "Fix: sparse=False"),
    (lambda: ops.bincount(tf.Input((), dtype="int32")), "hangs on values.*Fix: ops.one_hot"),
    (lambda: ops.sum(X, 2), "axis 2"),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_mistakes_are_told_with_the_way_out(mistake: Callable[[], Any], words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        mistake()
