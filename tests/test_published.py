"""The datasets that Keras publishes: small files in their formats give what Keras makes of them, and nothing runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from torchfunc import datasets
from torchfunc.datasets.published import fetched, npz
from torchfunc.errors import CorruptFileError, DataError, LimitError, UnknownNameError

Array = npt.NDArray[Any]


def lists(count: int, seed: int = 0, most: int = 1000) -> Array:
    """Lists of numbers of words, of several lengths, as the files have them."""
    draw = np.random.RandomState(seed)
    found = np.empty(count, dtype=object)
    for row in range(count):
        found[row] = draw.randint(1, most, draw.randint(1, 30)).tolist()
    return found


def npy(array: Array, protocol: int) -> bytes:
    """An array of objects as NumPy writes it, in another version of pickle's language."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": array.shape})
    return file.getvalue() + pickle.dumps(array, protocol=protocol)


def write(path: Path, **arrays: Array | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            if isinstance(array, bytes):
                archive.writestr(f"{name}.npy", array)
            else:
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array)
    return path


def assert_same(ours: Any, theirs: Any) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for mine, his in zip(one, other, strict=True):
            assert mine.dtype == his.dtype and mine.tolist() == his.tolist()


@pytest.fixture
def imdb(tmp_path: Path) -> Path:
    labels = np.arange(40) % 2
    return write(
        tmp_path / "imdb.npz", x_train=lists(40), y_train=labels, x_test=lists(25, 1), y_test=labels[:25]
    )


@pytest.fixture
def reuters(tmp_path: Path) -> Path:
    return write(tmp_path / "reuters.npz", x=lists(50, 2), y=np.arange(50) % 46)


WORDS: tuple[dict[str, Any], ...] = (
    {},
    {"num_words": 500},
    {"num_words": 500, "skip_top": 20},
    {"maxlen": 20},
    {"oov_char": None, "num_words": 300},
    {"start_char": None},
    {"start_char": None, "index_from": 0},
    {"start_char": 7, "index_from": 10, "oov_char": 8, "seed": 5, "skip_top": 50},
)


@pytest.mark.parametrize("asked", WORDS, ids=str)
def test_reviews_are_those_of_keras(
    imdb: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr(keras.src.datasets.imdb, "get_file", lambda **_: str(imdb))
    assert_same(datasets.imdb.load_data(str(imdb), **asked), keras.datasets.imdb.load_data(**asked))


@pytest.mark.parametrize("asked", [*WORDS, {"test_split": 0.5}, {"test_split": 0}], ids=str)
def test_news_are_those_of_keras(
    reuters: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr(keras.src.datasets.reuters, "get_file", lambda **_: str(reuters))
    assert_same(datasets.reuters.load_data(str(reuters), **asked), keras.datasets.reuters.load_data(**asked))


def test_reviews_of_one_length_are_lists_too(tmp_path: Path) -> None:
    rows = np.empty(4, dtype=object)
    rows[:] = [[1, 2], [3, 4], [5, 6], [7, 8]]
    path = write(tmp_path / "imdb.npz", x_train=rows, y_train=np.arange(4), x_test=rows, y_test=np.arange(4))
    (x, _), _ = datasets.imdb.load_data(str(path), index_from=0, num_words=100)
    assert x.shape == (4,) and sorted(x) == [[1, 1, 2], [1, 3, 4], [1, 5, 6], [1, 7, 8]]


@pytest.mark.parametrize("asked", [{}, {"test_split": 0.5, "seed": 1}, {"test_split": 0}], ids=str)
def test_houses_are_those_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    x, y = np.random.rand(700, 8), np.asfortranarray(np.random.rand(700))
    path = write(tmp_path / "houses.npz", x=np.asfortranarray(x), y=y)
    for ours, theirs in (
        (datasets.california_housing, keras.src.datasets.california_housing),
        (datasets.boston_housing, keras.src.datasets.boston_housing),
    ):
        monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(path))
        assert_same(ours.load_data(path=str(path), **asked), theirs.load_data(**asked))
    small = {"version": "small", "path": str(path), **asked}
    assert_same(
        datasets.california_housing.load_data(**small), keras.datasets.california_housing.load_data(**small)
    )
    with pytest.raises(UnknownNameError, match="Unknown version 'smal'. Did you mean 'small'?"):
        datasets.california_housing.load_data("smal")
    with pytest.raises(DataError, match="test_split: expected 0 <= test_split < 1, got 1"):
        datasets.boston_housing.load_data(str(path), test_split=1)


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_words_have_their_numbers(tmp_path: Path, name: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"the": 1, "naïve": 2}), encoding="utf-8")
    assert getattr(datasets, name).get_word_index(str(path)) == {"the": 1, "naïve": 2}
    for text, words in (
        ("[1]", "expected words with their numbers"),
        ("{", f"Fix: the file {name}_word_index.json"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            getattr(datasets, name).get_word_index(str(path))


def test_topics_are_those_of_keras() -> None:
    assert datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


def test_a_published_file_is_downloaded_once_and_compared(
    imdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetched, "ORIGIN", f"{tmp_path.as_uri()}/")
    with pytest.raises(CorruptFileError, match="imdb.npz': expected 69664113be75683a8fe16e3ed0ab59fda"):
        datasets.imdb.load_data()
    monkeypatch.setitem(fetched.CHECKSUMS, "imdb.npz", sha256(imdb.read_bytes()).hexdigest())
    first = datasets.imdb.load_data()
    assert (tmp_path / "home/.torchfunc/datasets/imdb.npz").read_bytes() == imdb.read_bytes()
    imdb.unlink()
    assert_same(datasets.imdb.load_data(), first)
    with pytest.raises(
        DataError, match=r"could not be downloaded: .*Fix: put the file there yourself, as '.*reuters.npz'"
    ):
        datasets.reuters.load_data()


def test_published_names_and_checksums_are_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def get_file(*place: str, origin: str, file_hash: str, fname: str = "") -> str:
        asked[origin] = file_hash
        raise KeyError

    for name in ("imdb", "reuters", "california_housing", "boston_housing"):
        module = getattr(keras.src.datasets, name)
        monkeypatch.setattr(module, "get_file", get_file)
        for function in ("load_data", "get_word_index"):
            if hasattr(module, function):
                with pytest.raises(KeyError):
                    getattr(module, function)()
    assert {fetched.ORIGIN + name: digits for name, digits in fetched.CHECKSUMS.items()} == asked


def test_a_path_that_is_not_there_and_other_arrays_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Fix: path='imdb.npz' to download it"):
        datasets.imdb.load_data(str(tmp_path / "mine.npz"))
    path = write(tmp_path / "mine.npz", x=np.arange(3))
    with pytest.raises(DataError, match=r"expected x_train, y_train, x_test, y_test, got the arrays \['x'\]"):
        datasets.imdb.load_data(str(path))


def test_a_length_that_leaves_no_review_is_told(imdb: Path) -> None:
    with pytest.raises(
        DataError, match="maxlen: got 1, which leaves no text. Fix: a greater one; None leaves out none"
    ):
        datasets.imdb.load_data(str(imdb), maxlen=1)


def two(data: bytes) -> bytes:
    """A pickle as Python 2 wrote it: its texts are of its own kind, and no bytes are made by a call."""
    made = b"c_codecs\nencode\nq\x03X\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06R"
    for old, new in (
        (made, b"U\x01b"),
        (b"X\x02\x00\x00\x00O8", b"U\x02O8"),
        (b"X\x01\x00\x00\x00|", b"U\x01|"),
    ):
        assert old in data
        data = data.replace(old, new)
    return data


ROWS = lists(30, most=70_000)
WAYS: dict[str, Callable[[], bytes]] = {
    **{f"protocol {number}": (lambda number=number: npy(ROWS, number)) for number in (2, 3, 4, 5)},
    "python 2": lambda: two(npy(ROWS, 2)),
    "an older numpy": lambda: npy(ROWS, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_lists_of_every_version_are_read(tmp_path: Path, way: Callable[[], bytes]) -> None:
    found = npz.read_npz(write(tmp_path / "a.npz", x=way(), y=np.arange(3, dtype=">i2")))
    assert found["x"].tolist() == ROWS.tolist() and found["x"].shape == (30,)
    assert found["y"].tolist() == [0, 1, 2] and found["y"].dtype == ">i2"


def test_numbers_of_every_size_are_read(tmp_path: Path) -> None:
    rows = np.empty(2, dtype=object)
    rows[:] = [[0, 255, 256, 65535, 65536, 2**31 - 1, -1, -(2**31), 2**40, -(2**40)], []]
    for protocol in (2, 5):
        found = npz.read_npz(write(tmp_path / "a.npz", x=npy(rows, protocol)))
        assert found["x"].tolist() == rows.tolist()


class Call:
    """Pickled, it is a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def objects(*values: Any) -> Array:
    found = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        found[place] = value
    return found


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a call": lambda: npy(objects([1], Call(os.system, "touch evil")), 2),
    "a call, newer": lambda: npy(objects([1], Call(os.system, "touch evil")), 5),
    "eval": lambda: npy(objects([Call(eval, "open('evil', 'w')")]), 4),
    "a name of numpy": lambda: npy(objects(Call(np.fromfile, "evil")), 4),
    "a number of numpy": lambda: npy(objects([np.int64(1)]), 4),
    "a name alone": lambda: npy(objects([np.ndarray]), 4),
    "an array in it": lambda: npy(objects(np.arange(3)), 4),
    "text": lambda: npy(objects(["evil"]), 4),
    "true": lambda: npy(objects([True]), 4),
    "a fraction": lambda: npy(objects([1.5]), 4),
    "a dict": lambda: npy(objects({1: 2}), 4),
    "a number": lambda: npy(objects(1), 4),
    "lists of lists": lambda: npy(objects([[1], [2]]), 4),
    "a list alone": lambda: npy(ROWS, 2).partition(b"\x80")[0] + pickle.dumps([[1]] * 30, 2),
    "another number of lists": lambda: npy(objects([1]), 4).replace(b"(1,)", b"(2,)"),
    "one list many times": lambda: npy(objects(*[[1] * 1000] * 1000), 4),
    "half of it": lambda: npy(ROWS, 4)[:-100],
    "nothing of it": lambda: npy(ROWS, 4).partition(b"\x80")[0],
    "no array": lambda: b"none",
    "two axes": lambda: npy(ROWS.reshape(5, 6), 4),
    "a great array": lambda: npy(np.arange(3), 2).replace(b"|O", b"i8").replace(b"(3,)", b"(99999999,)"),
    "a field of objects": lambda: npy(objects([1]), 4).replace(b"'|O'", b"[('a','O')]"),
}


@pytest.mark.parametrize("way", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_lists_of_whole_numbers_is_refused_and_nothing_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[], bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CorruptFileError, match=r"a.npz': expected a whole .npz file, got .*Fix: get the file anew"
    ):
        npz.read_npz(write(tmp_path / "a.npz", x=way()))
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


def test_an_array_of_more_than_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.npz", x=np.zeros(10_000))
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    with pytest.raises(LimitError, match="expected at most 1,000, got an array of 80,128 bytes"):
        npz.read_npz(path)


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"none")
    with pytest.raises(CorruptFileError, match="got 'File is not a zip file'"):
        npz.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("protocol", [2, 4])
def test_damaged_lists_are_refused_or_are_lists_of_whole_numbers(tmp_path: Path, protocol: int) -> None:
    draw, data = random.Random(0), npy(lists(6), protocol)
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 1, 3))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            found = npz.read_npz(write(tmp_path / "a.npz", x=bytes(damaged)))["x"]
        except CorruptFileError:
            continue
        if found.dtype == object:
            assert found.ndim == 1 and all(type(each) is int for row in found for each in row)
