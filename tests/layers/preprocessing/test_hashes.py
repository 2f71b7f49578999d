"""Hashing: published vectors of both hashes, and the bins that Keras's documentation and tests state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc.errors import DTypeError, GraphError, ShapeError
from torchfunc.layers import HashedCrossing, Hashing
from torchfunc.layers.preprocessing.fingerprints import (
    Texts,
    bins_of,
    decimals_of,
    farmhash64,
    siphash64,
    texts_of,
)

# Fingerprint64 of texts of each class of lengths, from the tests of github.com/dgryski/go-farm
FARMHASH = {
    "": 0x9AE16A3B2F90404F,
    "a": 0xB3454265B6DF75E3,
    "abc": 0x24A5B3A074E7F369,
    "abcd": 0x1A5502DE4A1F8101,
    "abcdefg": 0x3C40C92B1CCB7355,
    "abcdefgh": 0xFEE9D22990C82909,
    "0123456789'01234": 0x4283D4EF43627F64,
    "0123456789=012345": 0x46A7416ED4861E3B,
    "C is as portable as Stonehedge!!": 0xB944F8A16261E414,
    "Discard medicine more than two years old.": 0xE8F89AB6DF9BDD25,
    "The major problem is with sendmail.  -Mark Horton": 0xC2F8DB8624FEFC0E,
    "For every action there is an equal and opposite government program.": 0x55182F8859ECA4CE,
    "The fugacity of a constituent in a mixture of gases at a given temperature is proportional to its mole fraction.  "
    "Lewis-Randall Rule": 0x098EFF6958C5E91A,
}
# of the bytes 0, 1, 2, ... under the key of the bytes 0 to 15, from the reference implementation
SIPHASH = {
    0: 0x726FDB47DD0E0E31, 1: 0x74F839C593DC67FD, 8: 0x93F5F5799A932462, 15: 0xA129CA6149BE45E5, 63: 0x958A324CEB064572,
}  # fmt: skip
KEY = [int.from_bytes(bytes(range(start, start + 8)), "little") for start in (0, 8)]
WORDS = ["omar", "stringer", "marlo", "wire", "skywalker"]


def test_farmhash_is_that_of_the_published_vectors_alone_and_in_a_batch() -> None:
    words = [text.encode() for text in FARMHASH]
    assert [each % 2**64 for each in farmhash64(texts_of(words)).tolist()] == list(FARMHASH.values())
    for word, expected in zip(words, FARMHASH.values(), strict=True):
        assert farmhash64(texts_of([word])).item() % 2**64 == expected


def test_siphash_is_that_of_the_published_vectors() -> None:
    texts = texts_of([bytes(range(length)) for length in SIPHASH])
    assert [each % 2**64 for each in siphash64(texts, KEY).tolist()] == list(SIPHASH.values())


def test_whole_numbers_are_hashed_as_decimal_text() -> None:
    numbers = torch.tensor([0, 7, -1, 10, 1_000_000, -90, 2**63 - 1, -(2**63)])
    texts = decimals_of(numbers)
    written = [bytes(row[:length].tolist()) for row, length in zip(*texts, strict=True)]
    assert written == [str(each).encode() for each in numbers.tolist()]
    assert torch.equal(farmhash64(texts), farmhash64(texts_of(written)))
    assert torch.equal(siphash64(texts, KEY), siphash64(texts_of(written), KEY))


def test_the_bin_is_the_remainder_of_the_unsigned_hash() -> None:
    texts: Texts = texts_of([text.encode() for text in FARMHASH])
    for number in (1, 2, 3, 7, 1000, 2**40):
        assert bins_of(texts, number).tolist() == [each % number for each in FARMHASH.values()]


@pytest.mark.parametrize(
    ("arguments", "inputs", "expected"),
    [
        ({"num_bins": 3}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[1], [0], [1], [1], [2]]),
        ({"num_bins": 3, "mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [[1], [1], [0], [2], [2]]),
        ({"num_bins": 3, "salt": [133, 137]}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[1], [2], [1], [0], [2]]),
        ({"num_bins": 3, "salt": 133}, [["A"], ["B"], ["C"], ["D"], ["E"]], [[0], [0], [2], [1], [0]]),
        ({"num_bins": 2}, WORDS, [0, 0, 1, 0, 0]),
        ({"num_bins": 3, "mask_value": "omar"}, WORDS, [0, 1, 2, 1, 1]),
        ({"num_bins": 2, "salt": [211, 137]}, np.array(WORDS), [1, 0, 1, 0, 1]),
        ({"num_bins": 2}, np.array(WORDS, dtype=object), [0, 0, 1, 0, 0]),
        ({"num_bins": 2}, np.array(WORDS, dtype="S"), [0, 0, 1, 0, 0]),
        ({"num_bins": 3}, [0, 1, 2, 3, 4], [1, 0, 1, 0, 2]),
        ({"num_bins": 3, "salt": [133, 137]}, torch.arange(5), [1, 1, 2, 0, 1]),
        ({"num_bins": 3}, np.array([0.0, 1.5, 2.0]), [1, 0, 1]),
        ({"num_bins": 1}, ["A", "B"], [0, 0]),
        ({"num_bins": 3, "output_mode": "count"}, [[0, 1, 2, 3, 4]], [[2, 2, 1]]),
        ({"num_bins": 3, "output_mode": "one_hot"}, [0, 1, 4], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        ({"num_bins": 3, "output_mode": "multi_hot"}, [[0, 2, 4]], [[0, 1, 1]]),
    ],
)
def test_bins_are_those_that_keras_states(arguments: dict[str, Any], inputs: Any, expected: Any) -> None:
    assert Hashing(**arguments)(inputs).tolist() == expected


def test_crosses_are_those_that_keras_states() -> None:
    features = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])
    assert HashedCrossing(5)(features).tolist() == [1, 4, 1, 1, 3]
    one_hot = HashedCrossing(5, output_mode="one_hot")(features)
    assert one_hot.argmax(1).tolist() == [1, 4, 1, 1, 3] and one_hot.sum().item() == 5
    assert HashedCrossing(5)((["A", "B"], torch.tensor([101, 101]))).tolist() == [1, 4]


@pytest.mark.parametrize("salt", [None, 3])
def test_whole_numbers_are_hashed_in_a_graph_and_under_compile_as_they_are_alone(salt: int | None) -> None:
    x = torch.randint(-(10**12), 10**12, (50, 3))
    inputs = tf.Input((3,), dtype="int64")
    layer = Hashing(7, salt=salt, mask_value=int(x[0, 0]))
    model = tf.Model(inputs, layer(inputs))
    alone = [[layer([each]).item() for each in row] for row in x.tolist()]
    assert model(x).tolist() == alone and alone[0][0] == 0
    torch._dynamo.reset()
    assert torch.compile(model, fullgraph=True, backend="eager")(x).tolist() == alone


def test_a_cross_of_whole_numbers_stands_in_a_graph() -> None:
    one, two = tf.Input((1,), dtype="int64"), tf.Input((1,), dtype="int64")
    symbol = HashedCrossing(9, output_mode="one_hot")((one, two))
    assert symbol.shape == (None, 9) and symbol.dtype == torch.float32
    x, y = torch.arange(4).reshape(4, 1), torch.arange(4).reshape(4, 1) * 3
    expected = HashedCrossing(9, output_mode="one_hot")((x, y))
    torch.testing.assert_close(tf.Model([one, two], symbol)([x, y]), expected)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Hashing(0), GraphError, "Hashing: expected a positive integer, got num_bins=0"),
        (lambda: Hashing(2, salt="x"), GraphError, "expected one whole number or two, got salt='x'. Fix: salt="),
        (lambda: Hashing(2, salt=[1]), GraphError, r"got salt=\[1\]"),
        (lambda: Hashing(2, sparse=True), GraphError, r"Fix: layer\(x\)\.to_sparse\(\)"),
        (lambda: Hashing(2, dtype="float32"), GraphError, "expected int32 or int64, got dtype='float32'"),
        (lambda: Hashing(2, output_mode="tf_idf"), GraphError, "got output_mode='tf_idf'"),
        (lambda: Hashing(2, mask_value="x")([1]), DTypeError, "a mask_value that is a number, got numbers with"),
        (lambda: Hashing(2)([["a"], ["b", "c"]]), ShapeError, "rows of one length"),
        (lambda: HashedCrossing(2)([1]), GraphError, "expected a list of two features"),
        (lambda: HashedCrossing(2)((["a"], ["b", "c"])), ShapeError, r"got features of the shapes \[\(1,\), \(2,\)\]"),
        (lambda: HashedCrossing(2)((["a"], [0.5])), DTypeError, r"text or whole numbers, got torch.float64. Fix: x.long"),
    ],
)  # fmt: skip
def test_what_cannot_be_hashed_is_told(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
