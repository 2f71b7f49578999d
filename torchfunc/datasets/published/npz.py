"""Arrays of an .npz file, also those of lists of whole numbers: read as data, so that nothing in it is looked up or called.

NumPy writes lists as a pickle, and a pickle names what is to be called. Of its language this reader knows the words
that such lists are made of; a name is compared with those that NumPy writes, and stands for nothing but itself.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchfunc.errors import CorruptFileError, LimitError, explain, shorten

MAX_BYTES = 1 << 30  # of one array
_NUMBERS = {b"K": 1, b"M": 2, b"J": 4}  # a number by how many bytes it takes; the last has a sign
_TEXTS = {
    b"U": 1,
    b"C": 1,
    b"\x8c": 1,
    b"T": 4,
    b"B": 4,
    b"X": 4,
}  # a text by how many bytes its length takes
_TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}
_PLACES = {
    b"q": 1,
    b"r": 4,
    b"h": 1,
    b"j": 4,
}  # in the memory of earlier things: two that write, two that read
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_SKIPPED = {b"\x80": 1, b"\x95": 8}  # the version, and how long the next piece is
_ARRAYS = (b"numpy.core.multiarray._reconstruct", b"numpy._core.multiarray._reconstruct")
_NAMES = (*_ARRAYS, b"numpy.ndarray", b"numpy.dtype", b"_codecs.encode")


def read_npz(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file by their names; one of lists of whole numbers has the dtype object and one dimension.

    Raises:
        CorruptFileError: damaged, or an array of anything else.
        LimitError: an array of more than 1 GiB.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size > MAX_BYTES:
                    got = f"an array of {member.file_size:,} bytes"
                    raise LimitError(explain(f"'{path}'", got=got, expected=f"at most {MAX_BYTES:,}"))
                if member.filename.endswith(".npy"):
                    found[member.filename[:-4]] = _array(archive.read(member))
    except (LimitError, FileNotFoundError):
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        ArithmeticError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        got, fix = shorten(str(error)), "get the file anew from where it was published"
        raise CorruptFileError(
            explain(f"'{path}'", got=got, expected="a whole .npz file", fix=fix)
        ) from error
    return found


def _array(data: bytes) -> npt.NDArray[Any]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        older = version == (1, 0)
        header = np.lib.format.read_array_header_1_0 if older else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = header(file)
    except Exception as error:  # a dozen kinds, from the parser of Python's literals
        raise ValueError(f"an array whose head is damaged: {error}") from error
    if dtype != np.dtype(object):
        if dtype.hasobject:
            raise ValueError(f"an array of {dtype}")
        flat = np.frombuffer(data, dtype, offset=file.tell())
        return flat.reshape(shape, order="F" if is_fortran else "C").copy()
    rows = _Lists(data, file.tell()).read()
    if shape != (len(rows),):
        raise ValueError(f"{len(rows)} lists in an array of shape {shape}")
    return ragged(rows)


def ragged(rows: list[list[int]]) -> npt.NDArray[Any]:
    """Lists as an array of them, of one dimension whatever their lengths are."""
    found = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        found[place] = row
    return found


class _Made:
    """What would be made by a call: the name, and what the call and its maker are given. None is made."""

    def __init__(self, name: Any) -> None:
        self.name = name
        self.state: tuple[Any, ...] = ()


class _Lists:
    """Reads the pickle of an array of lists of whole numbers."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.at = data, start
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def read(self) -> list[list[int]]:
        """The lists.

        Raises:
            ValueError, LookupError: anything else.
        """
        while (word := self._taken(1)) != b".":
            self._obey(word)
        made = self.stack.pop()
        is_array = isinstance(made, _Made) and made.name in _ARRAYS and made.state
        rows = made.state[-1] if is_array else None
        if not isinstance(rows, list) or not all(_is_numbers(row) for row in rows):
            raise ValueError("an array of something else than lists of whole numbers")
        if sum(map(len, rows)) > len(self.data):
            raise ValueError("lists that are told more than once")
        return rows

    def _taken(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) < size:
            raise ValueError("an array that ends too early")
        self.at += size
        return piece

    def _size(self, size: int) -> int:
        return int.from_bytes(self._taken(size), "little")

    def _obey(self, word: bytes) -> None:
        stack = self.stack
        if word in _NUMBERS:
            self._numbers()
        elif word in _TEXTS:
            stack.append(self._taken(self._size(_TEXTS[word])))
        elif word == b"\x8a":
            stack.append(int.from_bytes(self._taken(self._size(1)), "little", signed=True))
        elif word in _CONSTANTS:
            stack.append(_CONSTANTS[word])
        elif word in _SKIPPED:
            self._taken(_SKIPPED[word])
        elif word in _PLACES or word == b"\x94":
            self._remember(word)
        elif word == b"(":
            self.marks.append(len(stack))
        elif word == b"]":
            stack.append([])
        elif word in (b"a", b"e"):
            items = self._last(1) if word == b"a" else self._marked()
            _kind(stack[-1], list).extend(items)
        elif word in _TUPLES or word == b"t":
            stack.append(tuple(self._marked() if word == b"t" else self._last(_TUPLES[word])))
        else:
            self._name(word)

    def _name(self, word: bytes) -> None:
        stack = self.stack
        if word == b"c":
            stack.append(_known(self._line() + b"." + self._line()))
        elif word == b"\x93":
            stack.append(_known(b".".join(_kind(each, bytes) for each in self._last(2))))
        elif word == b"R":
            name, _ = self._last(2)
            stack.append(_Made(name))
        elif word == b"b":
            made, state = self._last(2)
            _kind(made, _Made).state = _kind(state, tuple)
            stack.append(made)
        else:
            raise ValueError(f"the word {word!r} in an array of lists of whole numbers")

    def _numbers(self) -> None:
        """The numbers that stand one after the other here: a text of a million words is read in one call."""
        data, at, append = self.data, self.at - 1, self.stack.append
        try:
            while True:
                word = data[at]
                if word == 75:
                    append(data[at + 1])
                    at += 2
                elif word == 77:
                    append(data[at + 1] | data[at + 2] << 8)
                    at += 3
                elif word == 74:
                    append(int.from_bytes(data[at + 1 : at + 5], "little", signed=True))
                    at += 5
                else:
                    break
        finally:
            self.at = at

    def _remember(self, word: bytes) -> None:
        place = len(self.memory) if word == b"\x94" else self._size(_PLACES[word])
        if word in (b"h", b"j"):
            self.stack.append(self.memory[place])
        else:
            self.memory[place] = self.stack[-1]

    def _last(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        if start < 0:
            raise ValueError("an array that lacks something")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _marked(self) -> list[Any]:
        return self._last(len(self.stack) - self.marks.pop())

    def _line(self) -> bytes:
        end = self.data.index(b"\n", self.at)
        line, self.at = self.data[self.at : end], end + 1
        return line


def _kind(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__.strip('_').lower()} is due")
    return value


def _known(name: bytes) -> bytes:
    if name not in _NAMES:
        raise ValueError(f"the name {shorten(name)} in an array of lists of whole numbers")
    return name


def _is_numbers(row: Any) -> bool:
    return isinstance(row, list) and all(type(each) is int for each in row)
