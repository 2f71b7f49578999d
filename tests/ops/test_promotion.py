"""Dtypes and edges of the ops on numbers: every dtype beside every other as Keras has it, scalars, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import Tensor

import torchfunc as tf
from torchfunc import ops
from torchfunc.errors import TorchfuncError
from torchfunc.ops.numpy import arithmetic, comparison, elementwise, reductions

DTYPES = "float32 float16 bfloat16 float64 uint8 int8 int16 int32 int64 bool".split()
OF_ONE = """
    abs angle arccos arccosh arcsin arcsinh arctan arctanh bitwise_not cbrt ceil conj cos cosh deg2rad exp exp2 expm1
    fabs floor i0 isfinite isinf isnan isneginf isposinf isreal log log10 log1p log2 logical_not nan_to_num negative
    rad2deg real reciprocal round sign signbit sin sinc sinh sqrt square tan tanh trunc
""".split()
OF_TWO = """
    add subtract multiply divide divide_no_nan floor_divide mod fmod power maximum minimum fmax fmin arctan2 hypot
    heaviside ldexp logaddexp logaddexp2 nextafter gcd lcm equal not_equal greater greater_equal less less_equal
    logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
    isclose allclose digitize
""".split()
ALONG = """
    all any sum prod mean std var max min amax amin ptp median nansum nanprod nanmean nanvar nanstd nanmax nanmin
    nanmedian average argmax argmin nanargmax nanargmin cumsum cumprod nancumsum nancumprod
""".split()
# Keras on PyTorch has 32 bits for 64 in some ops, and keeps them in others: here they stay
NARROWED = {torch.float64: torch.float32, torch.int64: torch.int32}
NEAR = {torch.float16: 2e-3, torch.bfloat16: 2e-2}


def values(dtype: str, *shape: int) -> Tensor:
    random = np.random.default_rng(sum(shape))
    whole = dtype[0] in "ui" or dtype == "bool"
    numbers = random.integers(0, 5, shape) if whole else random.normal(size=shape)
    return torch.tensor(numbers).to(getattr(torch, dtype))


def differs(name: str, *args: Any, **kwargs: Any) -> bool | None:
    """Whether dtype, shape or values are not Keras's; None where Keras refuses the call."""
    try:
        theirs = getattr(keras.ops, name)(*args, **kwargs)
    except (NotImplementedError, RuntimeError, TypeError, ValueError):
        return None
    ours = getattr(ops, name)(*args, **kwargs)
    near = NEAR.get(ours.dtype, 1e-5)
    return (
        ours.shape != theirs.shape
        or theirs.dtype not in (ours.dtype, NARROWED.get(ours.dtype))
        or not torch.allclose(ours.double(), theirs.double(), near, near, equal_nan=True)
    )


def differences(calls: Iterator[tuple[str, bool | None]], least: int) -> list[str]:
    found = [*calls]
    assert sum(is_other is not None for _, is_other in found) >= least, "Keras refuses nearly all"
    return [words for words, is_other in found if is_other]


@pytest.mark.parametrize("name", OF_ONE)
def test_an_op_of_one_tensor_has_kerass_dtype_for_every_dtype(name: str) -> None:
    assert differences(((dtype, differs(name, values(dtype, 3, 4))) for dtype in DTYPES), 6) == []


@pytest.mark.parametrize("name", OF_TWO)
def test_an_op_of_two_tensors_has_kerass_dtype_for_every_pair(name: str) -> None:
    seconds = {dtype: values(dtype, 4).sort().values for dtype in DTYPES}
    pairs = product(DTYPES, DTYPES)
    calls = ((f"{one}, {other}", differs(name, values(one, 3, 4), seconds[other])) for one, other in pairs)
    assert differences(calls, 30) == []


@pytest.mark.parametrize("name", sorted({*OF_TWO} - {"digitize", "ldexp"}))
def test_a_number_of_python_has_kerass_effect_on_the_dtype(name: str) -> None:
    # Keras has int64 for a shift of truth values by a number, which says nothing of its bits
    dtypes = [dtype for dtype in DTYPES if not ("shift" in name and dtype == "bool")]
    calls = (
        (f"{dtype}, {number}, {is_first=}", differs(name, *args))
        for dtype, number in product(dtypes, (2, 1.5, True))
        for is_first in (False, True)
        for args in [(number, values(dtype, 3)) if is_first else (values(dtype, 3), number)]
    )
    assert differences(calls, 20) == []


@pytest.mark.parametrize("name", "add multiply divide maximum power hypot arctan2 logaddexp equal".split())
def test_a_float_beside_float64_is_read_in_float64(name: str) -> None:
    x = np.array([0.1, 0.7, 2.0])
    op, truth = getattr(ops, name), getattr(np, name)
    assert op(x, 0.1).dtype in (torch.float64, torch.bool)
    np.testing.assert_allclose(op(x, 0.1).numpy(), truth(x, 0.1), rtol=1e-14)
    np.testing.assert_allclose(op(0.1, torch.from_numpy(x)).numpy(), truth(0.1, x), rtol=1e-14)


def test_a_float_beside_float64_is_read_in_float64_where_three_meet() -> None:
    x = np.array([0.0, 1.0])
    assert ops.clip(x, 0.1, 0.9).tolist() == [0.1, 0.9]
    assert ops.where(x > 0.5, x, 0.1).tolist() == [0.1, 1.0]


@pytest.mark.parametrize("name", ALONG)
def test_an_op_along_axes_has_kerass_dtype_for_every_dtype(name: str) -> None:
    calls = (
        (f"{dtype}, {axis}", differs(name, values(dtype, 2, 3, 4), axis))
        for dtype, axis in product(DTYPES, (None, 1, -1))
    )
    assert differences(calls, 20) == []


WITH_KEEPDIMS = [name for name in ALONG if name != "average" and "cum" not in name and "arg" not in name]


@pytest.mark.parametrize("name", WITH_KEEPDIMS)
def test_all_axes_are_kept_where_keras_loses_them(name: str) -> None:
    """Keras's torch backend lets go of `keepdims` without an axis in max, min, prod, sum and more."""
    x = values("float64", 2, 3, 4)
    truth = getattr(np, name)(x.numpy(), keepdims=True)
    for axis in (None, (0, 1, 2)):
        np.testing.assert_allclose(getattr(ops, name)(x, axis, keepdims=True).numpy(), truth, rtol=1e-12)


SCALARS = [name for name in ALONG if "cum" not in name and "arg" not in name]


@pytest.mark.parametrize("name", [*SCALARS, "quantile", "nanquantile", "percentile", "nanpercentile"])
def test_one_number_is_reduced_too(name: str) -> None:
    more = (0.3,) if name.endswith("ile") else ()
    truth = getattr(np, name)(np.array(2.5), *more)
    assert getattr(ops, name)(2.5, *more).item() == getattr(ops, name)(torch.tensor(2.5), *more) == truth


@pytest.mark.parametrize("name", ["prod", "nanprod"])
def test_no_rows_reduce_to_no_numbers(name: str) -> None:
    assert getattr(ops, name)(np.zeros((0, 3), "float32"), 1).shape == (0,)


@pytest.mark.parametrize(
    "name", "nansum nanprod nanmean nanvar nanstd nanmax nanmin nanmedian nancumsum".split()
)
def test_what_is_no_number_takes_no_part_in_the_gradient(name: str) -> None:
    """The gradient of the other values is the one that they have alone."""
    x = torch.tensor([1.0, float("nan"), 4.0, 2.5], dtype=torch.float64, requires_grad=True)
    alone = torch.tensor([1.0, 4.0, 2.5], dtype=torch.float64, requires_grad=True)
    getattr(ops, name)(x).sum().backward()
    extra = 1 if name == "nancumsum" else 0  # the sum stands once more, where the NaN was
    (getattr(ops, name)(alone).sum() + extra * alone[0]).backward()
    assert x.grad is not None and alone.grad is not None
    assert x.grad[1] == 0 or name == "nancumsum"
    assert torch.allclose(x.grad[[0, 2, 3]], alone.grad)


def test_the_deviation_of_equal_values_has_a_gradient_of_zero() -> None:
    x = torch.ones(3, requires_grad=True)
    ops.std(x).backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_histogram_counts_beyond_what_its_dtype_adds_by_ones(dtype: torch.dtype) -> None:
    counts, edges = ops.histogram(torch.ones(3000, dtype=dtype), 3)
    assert counts.tolist() == [0, torch.tensor(3000, dtype=dtype), 0] and edges.dtype is counts.dtype is dtype


def test_values_that_are_no_numbers_and_lie_outside_are_not_counted() -> None:
    x = torch.tensor([0.5, float("nan"), float("inf"), -3.0, 1.0])
    counts, edges = ops.histogram(x, 2, (0.0, 1.0))
    assert counts.tolist() == [0, 2] and edges.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("method", "linear lower higher midpoint nearest".split())
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_parts_of_every_size_and_shape_equal_numpys(name: str, method: Any) -> None:
    random = np.random.default_rng(0)
    for axis, size in product((None, 1, (0, 2)), (1, 2, 5, 6)):
        x = random.normal(size=(size, 3, 4))
        x[random.random(x.shape) < 0.1] = np.nan
        x[-1, :, :2] = np.inf
        for q in (0.0, 0.4, 1.0, [0.25], [0.1, 0.5, 0.9]):
            with np.errstate(invalid="ignore"):
                truth = getattr(np, name)(x, q, axis, method=method)
            found = getattr(ops, name)(x, np.array(q) if isinstance(q, list) else q, axis, method).numpy()
            known = np.isfinite(truth)  # between a number and infinity NumPy and PyTorch have it differently
            np.testing.assert_allclose(found[known], truth[known], rtol=1e-12)
            assert found.shape == truth.shape and not np.isfinite(found[~known]).any()


def test_the_correlation_of_complex_rows_and_of_one_row_equals_numpys() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(3, 8)) + 1j * random.normal(size=(3, 8))
    np.testing.assert_allclose(ops.corrcoef(rows).numpy(), np.corrcoef(rows), rtol=1e-12, atol=1e-12)
    assert ops.corrcoef(rows.real[0]).item() == pytest.approx(np.corrcoef(rows.real[0]))


FREE: list[Callable[[Any], Any]] = [
    ops.median,
    lambda x: ops.nanquantile(x, 0.3, 0),
    lambda x: ops.average(x, 1, [1.0, 2.0, 3.0]),
    ops.corrcoef,
    lambda x: ops.max(x, 0),
    lambda x: ops.histogram(x, 4)[0],
]


@pytest.mark.parametrize("function", FREE)
def test_statistics_bind_no_batch_size_when_exported_and_break_no_compiled_graph(
    function: Callable[[Any], Any],
) -> None:
    inputs = tf.Input((3,))
    model = tf.Model(inputs, function(inputs))
    x, y = torch.randn(5, 3), torch.randn(7, 3)
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(y), model(y))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: ops.bincount([0.5, 1.0]), "expected integers, got torch.float32.*Fix: ops.cast"),
    (lambda: ops.bincount([-1, 2]), "expected 0 or more, got -1.*Fix: ops.abs"),
    (lambda: ops.histogram([1.0, 2.0], 3, (2.0, 1.0)), "expected .least, largest., got .2.0, 1.0."),
    (lambda: ops.quantile([1.0, 2.0], 30), "expected parts from 0 to 1, got 30.*Fix: q=0.5"),
    (lambda: ops.percentile([1.0, 2.0], [30, 101]), "expected parts from 0 to 100, got 101"),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_a_count_says_what_it_cannot_count(mistake: Callable[[], Any], words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        mistake()


def test_every_op_here_is_compared() -> None:
    """The lists above hold every op of the files that they are about, by whatever name."""
    homes = {module.__name__ for module in (arithmetic, comparison, elementwise, reductions)}
    known = [vars(ops)[name] for name in (*OF_ONE, *OF_TWO, *ALONG)]
    missing = {
        name
        for name, each in vars(ops).items()
        if getattr(each, "__module__", "") in homes and not any(each is other for other in known)
    }
    assert missing == {
        "clip",
        "count_nonzero",
        "imag",
    }  # of three tensors; compared with NumPy; of complex ones
