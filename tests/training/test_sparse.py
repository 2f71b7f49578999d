"""Sparse matrices: a large one is dense in each batch alone, and does all that the dense array would do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import torchfunc as tf
from tests.training.modules import same_weights
from torchfunc import layers
from torchfunc.callbacks import LambdaCallback
from torchfunc.training import convert
from torchfunc.training.feed import Feed
from torchfunc.training.sources import sparse_rows

ROWS, COLUMNS = 3000, 2000  # 24 MB as float32
_RNG = np.random.default_rng(3)
SPARSE = scipy.sparse.random_array((ROWS, COLUMNS), density=0.002, rng=_RNG, dtype="float32", format="csr")
Y = _RNG.integers(0, 3, ROWS)


def model() -> tf.Model:
    torch.manual_seed(3)
    inputs = tf.Input((COLUMNS,), name="words")
    made = tf.Model(inputs, layers.Dense(3, activation="softmax", name="kind")(inputs))
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"validation_split": 0.25},
        {"class_weight": {0: 2.0, 1: 0.5}, "sample_weight": np.arange(ROWS) / ROWS},
    ],
    ids="ordered divided weighed".split(),
)
@pytest.mark.parametrize("kind", ["csr_array", "csc_array", "coo_matrix"])
def test_a_large_sparse_matrix_trains_to_the_bit_as_the_dense_one(kind: str, options: Any) -> None:
    given = getattr(scipy.sparse, kind)(SPARSE)
    one, twin = model(), model()
    options = {"batch_size": 100, "verbose": 0, **options}
    torch.manual_seed(1)
    logs = one.fit(given, Y, epochs=2, **options).history
    torch.manual_seed(1)
    assert logs == twin.fit(SPARSE.toarray(), Y, epochs=2, **options).history
    assert same_weights(one, twin)
    dense = SPARSE.toarray()
    heard = {"verbose": 0, "callbacks": [LambdaCallback(on_test_batch_end=lambda batch, logs: None)]}
    assert one.evaluate(given, Y, **heard) == twin.evaluate(dense, Y, **heard)
    # batches that nobody hears of are measured together where they are dense
    together = twin.evaluate(dense, Y, verbose=0)
    assert one.evaluate(given, Y, verbose=0) == pytest.approx(together, rel=1e-6)
    assert np.array_equal(one.predict({"words": given}, verbose=0), twin.predict(SPARSE.toarray(), verbose=0))


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that anything makes."""

    most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.layout is torch.strided:
                self.most = max(self.most, each.numel())
        return made


@pytest.mark.parametrize("seed", [None, 5])
def test_nothing_larger_than_a_batch_is_ever_dense(seed: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", None)
    made = model()
    feed = Feed(made.trainer.step, "train")
    seen = 0
    with Largest() as largest:
        data = feed.data(SPARSE, Y, batch_size=50, shuffle=seed is not None, seed=seed)
        for batch in data.epoch(0):
            assert batch.inputs[0].layout is torch.strided and batch.inputs[0].dtype is torch.float32
            seen += len(batch.inputs[0])
    assert seen == ROWS and largest.most <= max(50 * COLUMNS, SPARSE.nnz)


def test_rows_are_those_of_scipy_with_numbers_that_stand_twice_or_lie_in_disorder() -> None:
    starts, columns = np.array([0, 3, 3, 5]), np.array([2, 0, 2, 3, 1])
    given = scipy.sparse.csr_array((np.array([1.0, 2.0, 3.0, 4.0, 5.0]), columns, starts), shape=(3, 4))
    rows, whole = sparse_rows.as_rows(given), given.toarray()
    assert np.array_equal(sparse_rows.dense(rows), whole)
    for index in ([2, 0, 2], [1], []):
        assert np.array_equal(sparse_rows.rows_at(rows, torch.tensor(index, dtype=torch.long)), whole[index])
    for start, stop in ((0, 1), (1, 3), (1, 1), (0, None), (2, 9)):
        assert np.array_equal(sparse_rows.dense(sparse_rows.cut(rows, start, stop)), whole[start:stop])


def test_what_is_no_number_is_told_with_its_place() -> None:
    spoiled = scipy.sparse.lil_array(SPARSE)
    spoiled[1234, 56] = np.nan
    words = r"input 'words': expected finite numbers, got nan at index \(1234, 56\)"
    with pytest.raises(tf.errors.DataError, match=words):
        model().fit(spoiled.tocsr(), Y, verbose=0)


def test_a_small_one_is_dense_at_once() -> None:
    assert convert.as_given(SPARSE[:5], "x", whole=True).layout is torch.strided
    assert convert.as_given(SPARSE, "x", whole=True).layout is torch.sparse_csr
