"""A file to be read: opened once, its header checked before anything is allocated, its bytes before use."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import (
    ConfigError,
    CorruptFileError,
    LimitError,
    NotATorchfuncFileError,
    UnsupportedVersionError,
    shorten,
)
from torchfunc.saving.header import Entry, Limits, is_name, parse_header, parse_json

FORMAT, VERSION = "torchfunc", 1
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

Specs = dict[str, tuple[tuple[int, ...], torch.dtype]]


def checksum(name: str, tensor: Tensor) -> int:
    """CRC-32 of a contiguous CPU tensor: its name, dtype and shape, then its bytes."""
    about = f"{name}\0{tensor.dtype}\0{list(tensor.shape)}".encode()
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(about))


class Source:
    """An open safetensors file whose header has been checked; a context manager that closes it."""

    table: dict[str, Entry]
    metadata: dict[str, str]

    def __init__(self, path: Path, limits: Limits) -> None:
        self.where, self.limits = f"'{path}'", limits
        self._file = _open_regular(path)
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            raw = self._raw_header()
            self._data_begin = 8 + len(raw)
            self.table, self.metadata = parse_header(raw, self.where, limits)
            self._check_length()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @cached_property
    def document(self) -> dict[str, Any]:
        """What the archive says in JSON: its format, version, config and aliases.

        Raises:
            NotATorchfuncFileError: the file holds weights and nothing else.
            UnsupportedVersionError: a newer torchfunc wrote it.
            ConfigError: the document is malformed.
        """
        if not self._is_archive:
            raise NotATorchfuncFileError(
                f"{self.where} holds weights and no model. "
                "Fix: build the model, then model.load_weights(path)."
            )
        raw = self.metadata[DOCUMENT].encode()
        if zlib.crc32(raw) != self._checksums["document"]:
            raise CorruptFileError(f"The config in {self.where} is damaged. {AGAIN}")
        return _checked_document(parse_json(raw, f"The config in {self.where}", self.limits), self)

    def specs(self) -> Specs:
        """Shape and dtype of every tensor by name."""
        specs = {name: (entry.shape, entry.dtype) for name, entry in self.table.items()}
        return specs | {name: specs[stored] for name, stored in self._aliases.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, in fresh memory; names of one tensor give one object.

        Raises:
            CorruptFileError: bytes are missing, or are not those that were written.
        """
        if self._is_archive and self._checksums["tensors"].keys() != self.table.keys():
            raise CorruptFileError(f"{self.where} has other tensors than were written to it.")
        tensors = {name: self._tensor(name, entry) for name, entry in self.table.items()}
        return tensors | {name: tensors[stored] for name, stored in self._aliases.items()}

    def agrees_with(self, copy: Path) -> bool:
        """Whether a readable copy of the document says the same; one that is not there says nothing else."""
        try:
            file = _open_regular(copy)
        except FileNotFoundError:
            return True
        with file:
            # Indented, it is longer than the document; beyond this it is no copy.
            raw = file.read(4 * self.limits.header_bytes) or b""
        return bool(parse_json(raw, f"'{copy}'", self.limits) == self.document)

    def stands_at(self, path: Path) -> bool:
        """Whether the open file is the one that the path means now."""
        return os.path.samestat(os.fstat(self._file.fileno()), path.stat())

    def _raw_header(self) -> bytes:
        head = self._file.read(16) or b""
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
        self._file.seek(8)
        return bytes(self._fill(bytearray(length)))

    def _check_length(self) -> None:
        expected = self._data_begin + max((entry.end for entry in self.table.values()), default=0)
        if self.size < expected:
            raise _incomplete(self.where, self.size, expected)
        if self.size > expected:
            raise CorruptFileError(
                f"{self.where} goes on for {self.size - expected:,} bytes after its last tensor. {AGAIN}"
            )

    @property
    def _is_archive(self) -> bool:
        return DOCUMENT in self.metadata

    @property
    def _aliases(self) -> dict[str, str]:
        return self.document["aliases"] if self._is_archive else {}

    @cached_property
    def _checksums(self) -> dict[str, Any]:
        raw = self.metadata.get(CHECKSUMS, "").encode()
        value = parse_json(raw, f"The list of checksums in {self.where}", self.limits, CorruptFileError)
        if (
            not isinstance(value, dict)
            or set(value) != {"document", "tensors"}
            or not isinstance(value["tensors"], dict)
        ):
            raise CorruptFileError(f"The list of checksums in {self.where} is damaged. {AGAIN}")
        return value

    def _tensor(self, name: str, entry: Entry) -> Tensor:
        buffer = torch.empty(entry.end - entry.begin, dtype=torch.uint8)
        self._file.seek(self._data_begin + entry.begin)
        self._fill(buffer.numpy())
        if entry.dtype is torch.bool and bool((buffer > 1).any()):
            raise CorruptFileError(f"{self.where}: tensor {shorten(name)} has bytes that are no booleans.")
        tensor = buffer.view(entry.dtype).reshape(entry.shape)
        if self._is_archive and checksum(name, tensor) != self._checksums["tensors"][name]:
            raise CorruptFileError(f"{self.where}: tensor {shorten(name)} is damaged. {AGAIN}")
        return tensor

    def _fill(self, buffer: Any) -> Any:
        view = memoryview(buffer)
        while view:
            count = self._file.readinto(view)
            if not count:
                raise CorruptFileError(f"{self.where} became shorter while it was read.")
            view = view[count:]
        return buffer


def _open_regular(path: Path) -> io.FileIO:
    """A file opened for good: never waiting for a pipe, and never mapped into memory."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = io.FileIO(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotATorchfuncFileError(f"'{path}' is no regular file.")
    return file


def _foreign(where: str, head: bytes, size: int) -> Exception:
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
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise UnsupportedVersionError(
            f"{source.where} has format version {version}; this torchfunc reads up to {VERSION}. "
            "Fix: pip install --upgrade torchfunc."
        )
    for field, kind in _FIELDS.items():
        if type(document.get(field)) is not kind:
            got = shorten(document[field]) if field in document else "nothing"
            raise ConfigError(f"{source.where}: $.{field}: expected {_JSON_KINDS[kind]}, got {got}.")
    if version != VERSION:
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
