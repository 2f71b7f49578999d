"""Zipped: the members of a `.keras` file, each looked at before a byte of it is used, and such a file written.

It is a zip archive that holds `config.json`, `metadata.json`, `model.weights.h5` and maybe `assets/`. Members are
read where they lie, by name, and never written to a disk.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from torchfunc.errors import CorruptFileError, LimitError, NotATorchfuncFileError, shorten
from torchfunc.saving.header import Limits, is_name
from torchfunc.saving.source import AGAIN

_MOST_READ = 4 << 20  # of the list of members, which holds some 100 bytes for each
_MOST_MEMBERS = 10_000
_CHUNK = 1 << 20
_LOCAL_HEADER = 30
_AGAIN = "Fix: model.save(path) in Keras"
_ENCRYPTED = 1
_TIME = (1980, 1, 1, 0, 0, 0)


class Zipped:
    """An open `.keras` file: its members by name.

    Args:
        file: the open file, which stays the caller's.
        size: its length.
        where: what errors call it.
        limits: how much it may ask for.

    Raises:
        NotATorchfuncFileError: no zip archive.
        CorruptFileError: a damaged one, or one whose list of members does not agree with itself.
        LimitError: more or larger members than a model has.
    """

    def __init__(self, file: BinaryIO, size: int, where: str, limits: Limits) -> None:
        self.file, self.size, self.where, self.limits = file, size, where, limits
        try:
            with zipfile.ZipFile(_Bounded(file, where)) as archive:
                listed = archive.infolist()
        except zipfile.BadZipFile as error:
            raise NotATorchfuncFileError(
                f"{where} is no whole zip archive, as which Keras 3 writes '.keras' files: {error}. {AGAIN}"
            ) from error
        except (ValueError, NotImplementedError, OSError, EOFError) as error:
            raise _as_damage(error, where) from error
        if len(listed) > _MOST_MEMBERS:
            raise LimitError(f"{where} has {len(listed):,} members, expected at most {_MOST_MEMBERS:,}.")
        self.members: dict[str, zipfile.ZipInfo] = {}
        for each in listed:
            self._check(each)
            self.members[each.filename] = each
        self._check_sizes()

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        where = f"{self.where}: the member {shorten(name)}"
        if not is_name(name.removesuffix("/")) or "\0" in member.orig_filename:
            raise CorruptFileError(f"{where} has a name that no member may have. {_AGAIN}.")
        if name in self.members:
            raise CorruptFileError(f"{where} stands there twice. {AGAIN}")
        if member.flag_bits & _ENCRYPTED:
            raise CorruptFileError(f"{where} is encrypted. Fix: model.save(path) of the decrypted model.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CorruptFileError(
                f"{where} is compressed by method {member.compress_type}, expected none, as Keras writes it, "
                f"or deflate. {_AGAIN}."
            )
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.compress_size > self.size or (stored and member.compress_size != member.file_size):
            raise CorruptFileError(
                f"{where} says to have {member.compress_size:,} bytes in the file and {member.file_size:,} outside of "
                f"it, in a file of {self.size:,}. {AGAIN}"
            )

    def _check_sizes(self) -> None:
        """Refuse members that become far more than the file is: a bomb."""
        total = sum(each.file_size for each in self.members.values() if each.compress_type)
        most = 2 * self.size + self.limits.memory
        if total > most:
            raise LimitError(
                f"{self.where} says to become {total:,} bytes, and at most {most:,} are read from it: twice the file and "
                f"{self.limits.memory:,}."
            )

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a member.

        Raises:
            CorruptFileError: there is no such member, or its bytes are not those that were written.
            LimitError: it is larger than `most`.
        """
        member = self._member(name)
        if member.file_size > most:
            raise LimitError(
                f"{self.where}: {name} has {member.file_size:,} bytes, expected at most {most:,}."
            )
        return self._inflated(member)

    def opened(self, name: str) -> tuple[BinaryIO, int]:
        """A member as a file that can be read anywhere, and its length; its checksum was compared.

        Raises:
            CorruptFileError: there is no such member, or its bytes are not those that were written.
        """
        member = self._member(name)
        if member.compress_type == zipfile.ZIP_DEFLATED:
            data = self._inflated(member)
            return io.BytesIO(data), len(data)
        window = _Window(self.file, self._begin(member), member.file_size)
        total = 0
        while chunk := window.read(_CHUNK):
            total = zlib.crc32(chunk, total)
        if window.tell() != member.file_size or total != member.CRC:
            raise CorruptFileError(f"{self.where}: the member {name} is damaged. {AGAIN}")
        window.seek(0)
        return io.BufferedReader(window), member.file_size

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.members:
            raise CorruptFileError(
                f"{self.where} has no member {name!r}. It holds: {shorten(sorted(self.members), 300)}. "
                "Fix: load what model.save('model.keras') wrote in Keras 3."
            )
        return self.members[name]

    def _begin(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of a member begin: after a header of its own, which must name it too."""
        self.file.seek(member.header_offset)
        head = self.file.read(_LOCAL_HEADER)
        name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        named = self.file.read(name)
        begin = member.header_offset + _LOCAL_HEADER + name + extra
        fits = head[:4] == b"PK\x03\x04" and begin + member.compress_size <= self.size
        if not fits or named != member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437"):
            raise CorruptFileError(
                f"{self.where}: the member {member.filename} is not where it should be. {AGAIN}"
            )
        return begin

    def _inflated(self, member: zipfile.ZipInfo) -> bytes:
        """All bytes of a member, of which no more are made than it says to have."""
        raw = _Window(self.file, self._begin(member), member.compress_size).read()
        if member.compress_type == zipfile.ZIP_DEFLATED:
            try:
                raw = zlib.decompressobj(-15).decompress(raw, member.file_size + 1)
            except zlib.error as error:
                raise _as_damage(error, self.where) from error
        if len(raw) != member.file_size or zlib.crc32(raw) != member.CRC:
            raise CorruptFileError(f"{self.where}: the member {member.filename} is damaged. {AGAIN}")
        return raw


def _as_damage(error: Exception, where: str) -> Exception:
    if isinstance(error, (LimitError, CorruptFileError)):
        return error
    return CorruptFileError(f"{where} is damaged: {shorten(str(error))}. {AGAIN}")


class _Bounded:
    """A file of which no large piece is read at once, as its list of members would be if it were made to be."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where = file, where

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            here = self._file.tell()
            count = self._file.seek(0, io.SEEK_END) - here
            self._file.seek(here)
        if count > _MOST_READ:
            raise LimitError(f"{self._where} has a list of members of {count:,} bytes, which no model has.")
        return self._file.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: BinaryIO, begin: int, size: int) -> None:
        self._file, self._begin, self._size, self._place = file, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(start + place, 0)
        return self._place

    def readinto(self, into: Any) -> int:
        view = memoryview(into).cast("B")[: max(self._size - self._place, 0)]
        self._file.seek(self._begin + self._place)
        data = self._file.read(len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


def zip_of(members: Mapping[str, bytes | memoryview]) -> bytes:
    """A zip archive of these members, which lie in it as they are, as Keras writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _TIME)
            member.external_attr = 0o600 << 16
            archive.writestr(member, bytes(data))
    return file.getvalue()
