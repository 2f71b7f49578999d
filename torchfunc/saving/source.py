"""A file to be read: opened once, its header checked before anything is allocated, its bytes before use."""

from __future__ import annotations

import io
import math
import os
import stat
import zlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from torch import Tensor

from torchfunc.errors import (
    ConfigError,
    CorruptFileError,
    LimitError,
    NotATorchfuncFileError,
    SavingError,
    UnsupportedVersionError,
    shorten,
)
from torchfunc.saving.checksums import Piece, beginning, sums
from torchfunc.saving.header import Entry, Limits, Room, is_name, parse_header, parse_json

# 2 came with what each call returns and what each layer was built for; a file of 1 says no shapes
FORMAT, VERSION = "torchfunc", 2
DOCUMENT, CHECKSUMS = "torchfunc", "torchfunc_crc32"
AGAIN = "Fix: copy or download it again, or load an earlier checkpoint."
OURS = "Fix: load what model.save('model.safetensors') wrote."

_FIELDS = {"format": str, "version": int, "config": dict, "aliases": dict}
_JSON_KINDS = {str: "a string", int: "an integer", dict: "an object"}
_KINDS = {
    b"PK\x03\x04": "a zip archive, as torch.save and Keras write",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras wrote before version 3",
    b"GGUF": "a GGUF file",
    b"\x7fELF": "a program",
    b"\x1f\x8b": "a gzip file",
    b"\x80\x02": "a pickle, which torchfunc never loads",
    b"\x80\x03": "a pickle, which torchfunc never loads",
    b"\x80\x04": "a pickle, which torchfunc never loads",
    b"\x80\x05": "a pickle, which torchfunc never loads",
}

_CHUNK = 1 << 18  # is summed right after it was read, while the processor's cache holds it
_MEMORY = 32 << 20  # is allocated at once
_ALIGNED, _PAGE = 64, 2 << 20  # where a tensor may begin, and a large page

Specs = dict[str, tuple[tuple[int, ...], torch.dtype]]


class Source:
    """An open safetensors file whose header has been checked; a context manager that closes it."""

    table: dict[str, Entry]
    metadata: dict[str, bytes]

    def __init__(self, place: Path | BinaryIO, limits: Limits) -> None:
        self.where, self.limits = named(place), limits
        self.file = place.name if isinstance(place, Path) else ""
        self._bytes: _Bytes = _OnDisk(place) if isinstance(place, Path) else _InStream(place)
        try:
            self.size = self._bytes.size
            raw = self._raw_header()
            self._data_begin = 8 + len(raw)
            self.header_sum = zlib.crc32(raw)
            room = Room.for_header(self.size, len(raw), limits)
            self.table, metadata = parse_header(raw, self.where, limits, room)
            # A text with one wide character takes four times its length; its UTF-8 does not.
            self.metadata = {name: text.encode() for name, text in metadata.items()}
            self.end = self._data_begin + max((entry.end for entry in self.table.values()), default=0)
            self._check_length()
            self._room = Room.for_the_rest(self.size, len(raw), self.table, limits)
            self._room.take(0, self.where)
        except BaseException:
            self._bytes.close(0)
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._bytes.close(self.end if kind is None else 0)

    @cached_property
    def document(self) -> dict[str, Any]:
        """What the archive says in JSON: its format, version, config and aliases.

        Raises:
            NotATorchfuncFileError: the file holds weights and nothing else.
            UnsupportedVersionError: a newer torchfunc wrote it.
            ConfigError: the document is malformed.
        """
        if not self.is_archive:
            raise NotATorchfuncFileError(
                f"{self.where} holds weights and no model. "
                "Fix: build the model, then model.load_weights(path)."
            )
        raw = self.metadata[DOCUMENT]
        if zlib.crc32(raw) != self._checksums["document"]:
            raise CorruptFileError(f"The config in {self.where} is damaged. {AGAIN}")
        document = parse_json(raw, f"The config in {self.where}", self.limits, room=self._room)
        return _checked_document(document, self)

    def specs(self) -> Specs:
        """Shape and dtype of every tensor by name."""
        specs = {name: (entry.shape, entry.dtype) for name, entry in self.table.items()}
        return specs | {name: specs[stored] for name, stored in self._aliases.items()}

    def tensors(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """The tensors of these names, or of all, in fresh memory; names of one tensor give one object.

        Raises:
            CorruptFileError: bytes are missing, or are not those that were written.
            LimitError: there is not enough memory.
        """
        if self.is_archive and self._checksums["tensors"].keys() != self.table.keys():
            raise CorruptFileError(f"{self.where} has other tensors than were written to it.")
        stored = {name: self._aliases.get(name, name) for name in self._names(names)}
        wanted = set(stored.values())
        table = {name: entry for name, entry in self.table.items() if name in wanted}
        try:
            tensors, memory = allocated(table)
        except MemoryError:
            needed = sum(entry.end - entry.begin for entry in table.values())
            raise LimitError(f"{self.where} needs {needed:,} bytes, more than there is memory.") from None
        self._read(tensors, memory)
        return {name: tensors[each] for name, each in stored.items()}

    def agrees_with(self, copy: Path) -> bool:
        """Whether a readable copy of the document says the same; one that is not there says nothing else."""
        try:
            file = open_regular(copy)
        except FileNotFoundError:
            return True
        with file:
            # Indented, it is longer than the document; beyond this it is no copy.
            raw = file.read(4 * self.limits.header_bytes) or b""
        room = Room(2 * len(raw) + self._room.left)
        found = parse_json(raw, f"'{copy}'", self.limits, room=room)
        return bool(found == self.document)

    def stands_at(self, path: Path) -> bool:
        """Whether the open file is the one that the path means now."""
        return self._bytes.stands_at(path)

    def _raw_header(self) -> bytes:
        head = bytearray(min(16, self.size))
        self._fill(memoryview(head), 0)
        if head[8:9] != b"{":
            raise _foreign(self.where, head, self.size)
        length = int.from_bytes(head[:8], "little")
        if length > self.size - 8:
            raise _incomplete(self.where, self.size, 8 + length)
        if length > self.limits.header_bytes:
            raise LimitError(
                f"{self.where} has a header of {length:,} bytes, "
                f"over the limit header_bytes={self.limits.header_bytes:,}."
            )
        raw = np.empty(length, np.uint8)
        self._fill(raw.data, 8)
        return raw.tobytes()

    def _check_length(self) -> None:
        if self.size < self.end:
            raise _incomplete(self.where, self.size, self.end)
        if self.size > self.end and not self._bytes.goes_on:
            raise CorruptFileError(
                f"{self.where} goes on for {self.size - self.end:,} bytes after its last tensor. {AGAIN}"
            )

    @property
    def is_archive(self) -> bool:
        """Whether it has a document, which a file of another tool has not."""
        return DOCUMENT in self.metadata

    @property
    def _aliases(self) -> dict[str, str]:
        return self.document["aliases"] if self.is_archive else {}

    @cached_property
    def _checksums(self) -> dict[str, Any]:
        raw, what = self.metadata.get(CHECKSUMS, b""), f"The list of checksums in {self.where}"
        value = parse_json(raw, what, self.limits, CorruptFileError, self._room)
        if (
            not isinstance(value, dict)
            or set(value) != {"document", "tensors"}
            or not isinstance(value["tensors"], dict)
        ):
            raise CorruptFileError(f"The list of checksums in {self.where} is damaged. {AGAIN}")
        return value

    def _names(self, names: Iterable[str] | None) -> list[str]:
        return list(self.specs() if names is None else names)

    def _read(self, tensors: Mapping[str, Tensor], memory: Mapping[str, memoryview]) -> None:
        """Fill the memory of tensors, and compare them with their checksums."""
        found = sums(memory, lambda piece: self._read_piece(piece, memory[piece.name]), self._bytes.threads)
        for name, tensor in tensors.items():
            if tensor.dtype is torch.bool and bool((tensor.view(torch.uint8) > 1).any()):
                raise CorruptFileError(
                    f"{self.where}: tensor {shorten(name)} has bytes that are no booleans."
                )
            if self.is_archive and found[name] != self._checksums["tensors"][name]:
                raise CorruptFileError(f"{self.where}: tensor {shorten(name)} is damaged. {AGAIN}")

    def _read_piece(self, piece: Piece, view: memoryview) -> int:
        """Sum each part of a piece right after it was read."""
        entry = self.table[piece.name]
        total = 0 if piece.start else beginning(piece.name, entry.dtype, entry.shape)
        for start in range(piece.start, piece.end, _CHUNK):
            chunk = view[start : min(start + _CHUNK, piece.end)]
            self._fill(chunk, self._data_begin + entry.begin + start)
            total = zlib.crc32(chunk, total) if self.is_archive else 0
        return total

    def _fill(self, view: memoryview, place: int) -> None:
        while view:
            count = self._bytes.read_into(view, place)
            if not count:
                raise CorruptFileError(f"{self.where} became shorter while it was read.")
            view, place = view[count:], place + count


class _Bytes(Protocol):
    """What is read: its size, and whether something else may follow, and threads may read at once."""

    size: int
    goes_on: bool
    threads: bool

    def read_into(self, view: memoryview, place: int) -> int: ...
    def stands_at(self, path: Path) -> bool: ...
    def close(self, end: int) -> None: ...


class _OnDisk:
    """A file that is there for this alone."""

    goes_on = False
    threads = hasattr(os, "preadv")

    def __init__(self, path: Path) -> None:
        self._file = open_regular(path)
        self.size = os.fstat(self._file.fileno()).st_size

    def read_into(self, view: memoryview, place: int) -> int:
        if self.threads:
            return os.preadv(self._file.fileno(), [view], place)
        self._file.seek(place)
        return self._file.readinto(view) or 0

    def stands_at(self, path: Path) -> bool:
        return os.path.samestat(os.fstat(self._file.fileno()), path.stat())

    def close(self, end: int) -> None:
        self._file.close()


class _InStream:
    """What stands in a file of the caller's from where it is; read, it is left right behind it."""

    goes_on = True
    threads = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            binary = isinstance(file.read(0), bytes)
            self._begin = file.tell()
            self.size = file.seek(0, os.SEEK_END) - self._begin
        except (AttributeError, TypeError, OSError):  # nothing that is read, or a pipe
            binary = False
        if not binary:
            raise SavingError(
                f"Expected a path or a binary file that can be read anywhere, got {shorten(file)}. "
                "Fix: io.BytesIO(file.read())."
            )

    def read_into(self, view: memoryview, place: int) -> int:
        self._file.seek(self._begin + place)
        into = getattr(self._file, "readinto", None)
        if into is not None:
            return int(into(view) or 0)
        data = self._file.read(len(view)) or b""
        view[: len(data)] = data
        return len(data)

    def stands_at(self, path: Path) -> bool:
        return False

    def close(self, end: int) -> None:
        self._file.seek(self._begin + end)


def named(place: Path | BinaryIO) -> str:
    """A place as an error calls it."""
    return shorten(str(place), 1000) if isinstance(place, Path) else f"'<{type(place).__name__}>'"


Memory = dict[str, memoryview]
_EMPTY = memoryview(b"")


def allocated(table: Mapping[str, Entry]) -> tuple[dict[str, Tensor], Memory]:
    """Tensors of the shapes and dtypes of a table, of which nothing is set, and the memory of each.

    Small ones share a piece of memory, and NumPy asks for large pages for it: with those of 4 kB, most of the
    time that reading takes would be spent in the first touch of each. A piece is free once its tensors are.
    """
    tensors: dict[str, Tensor] = {}
    memory: Memory = {}
    group: dict[str, int] = {}
    end = 0
    for name, entry in table.items():
        group[name] = end
        end += -(-(entry.end - entry.begin) // _ALIGNED) * _ALIGNED
        if end >= _MEMORY:
            _in_one_piece(table, group, end, tensors, memory)
            group, end = {}, 0
    _in_one_piece(table, group, end, tensors, memory)
    return tensors, memory


def _in_one_piece(
    table: Mapping[str, Entry],
    places: Mapping[str, int],
    size: int,
    tensors: dict[str, Tensor],
    memory: Memory,
) -> None:
    page = _PAGE if size >= 2 * _PAGE else _ALIGNED
    piece = np.empty(-(-size // page) * page + page, np.uint8)
    first = -piece.ctypes.data % page
    for name, place in places.items():
        entry = table[name]
        begin, count = first + place, math.prod(entry.shape)
        memory[name] = piece.data[begin : begin + entry.end - entry.begin] if count else _EMPTY
        if count:
            flat = torch.frombuffer(piece, dtype=entry.dtype, count=count, offset=begin)
            tensors[name] = flat.resize_(entry.shape)  # no view, which would keep the flat one beside it
        else:
            tensors[name] = torch.empty(entry.shape, dtype=entry.dtype)


def open_regular(path: Path) -> io.FileIO:
    """A file opened for good: never waiting for a pipe, and never mapped into memory."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotATorchfuncFileError(f"{named(path)} is no regular file.")
    return io.FileIO(descriptor, "rb")


def _foreign(where: str, head: bytearray, size: int) -> Exception:
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    if kind:
        return NotATorchfuncFileError(
            f"{where} is {kind}. torchfunc reads the '.safetensors' files that model.save writes. {OURS}"
        )
    if size <= 8:
        return _incomplete(where, size, 9)
    return NotATorchfuncFileError(
        f"{where} is no safetensors file: its header does not begin with '{{'. {OURS}"
    )


def _incomplete(where: str, size: int, expected: int) -> CorruptFileError:
    return CorruptFileError(f"{where} is incomplete: {size:,} of {expected:,} bytes. {AGAIN}")


def _checked_document(document: Any, source: Source) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotATorchfuncFileError(f"{source.where} holds another format under the name '{DOCUMENT}'.")
    version: Any = document.get("version")
    if type(version) is int and version > VERSION:
        raise UnsupportedVersionError(
            f"{source.where} has format version {version}; this torchfunc reads up to {VERSION}. "
            "Fix: pip install --upgrade torchfunc."
        )
    for field, kind in _FIELDS.items():
        if type(document.get(field)) is not kind:
            got = shorten(document[field]) if field in document else "nothing"
            raise ConfigError(f"{source.where}: $.{field}: expected {_JSON_KINDS[kind]}, got {got}.")
    if not 1 <= version <= VERSION:
        raise ConfigError(f"{source.where}: $.version: expected 1 to {VERSION}, got {version}.")
    unknown = sorted(set(document) - set(_FIELDS))
    if unknown:
        raise ConfigError(f"{source.where}: $: expected no other fields, got {shorten(unknown)}.")
    _check_aliases(document["aliases"], source)
    return document


def _check_aliases(aliases: Mapping[str, Any], source: Source) -> None:
    for name, stored in aliases.items():
        known = isinstance(stored, str) and stored in source.table
        if not is_name(name) or name in source.table or not known:
            raise ConfigError(
                f"{source.where}: $.aliases: {shorten(name)} cannot stand for {shorten(stored)}: "
                "expected a new name for a tensor of the file."
            )
