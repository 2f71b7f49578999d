"""Unpacking: what an archive holds, in a folder that is there whole or not at all, and nothing outside of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import secrets
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from torchfunc.errors import (
    CorruptFileError,
    DataError,
    LimitError,
    TorchfuncError,
    WriteError,
    explain,
    shorten,
)

MAX_MEMBERS = 1_000_000
_MAX_HEADER = 1 << 24  # a tar file says how much of it is a header, which is read as a whole
_CHUNK = 1 << 20
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, ArithmeticError,
    RuntimeError, ValueError,
)  # fmt: skip
Link = tuple[Path, str, bool]


def unpack(archive: Path, folder: Path, kinds: Collection[str], max_bytes: int) -> None:
    """Put what a tar file (plain, gzip, bzip2 or xz) or a zip file holds into a folder; an older one is replaced.

    Args:
        archive: the file.
        folder: where to; until all is written it lies beside it, under a hidden name.
        kinds: which kinds are taken: "tar", "zip".
        max_bytes: how much may be written in all.

    Raises:
        DataError: the file is of no such kind.
        CorruptFileError: it is damaged, or holds what would come to lie, or point, outside of the folder, or a device.
        LimitError: it holds more than `max_bytes`, or more than 1,000,000 members.
        WriteError: the disk is full, or the like.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir()
        _write(archive, Path(os.path.realpath(temporary)), kinds, _Left(max_bytes))
        _put(temporary, folder)
    except TorchfuncError:
        raise
    except _DAMAGED as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is None:  # what bzip2 says of damage
            raise _damaged(archive, error) from error
        raise WriteError(f"'{archive}' could not be unpacked to '{folder}': {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass
class _Left:
    """How much may still be written."""

    size: int
    members: int = MAX_MEMBERS

    def take(self, *, size: int = 0, members: int = 0) -> None:
        self.size, self.members = self.size - size, self.members - members
        if self.size < 0:
            fix = "get_file(..., max_bytes=...), if you trust it"
            raise LimitError(explain("an archive", got="more bytes than max_bytes allows", fix=fix))
        if self.members < 0:
            raise LimitError(explain("an archive", got=f"more than {MAX_MEMBERS:,} members"))


def _put(temporary: Path, folder: Path) -> None:
    old = temporary.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write(archive: Path, root: Path, kinds: Collection[str], left: _Left) -> None:
    with archive.open("rb") as file:
        head = file.read(6)
    if "zip" in kinds and head[:2] == b"PK":
        links = _write_zip(archive, root, left)
    elif "tar" in kinds and head[:2] != b"PK":
        links = _write_tar(archive, head, root, left)
    else:
        got = f"a file that begins with {head!r}"
        raise DataError(explain(f"'{archive}'", got=got, expected=" or ".join(kinds), fix="extract=False"))
    for link in links:
        _make_link(root, *link)
    for path, target, _ in links:  # a later one can change where an earlier one leads
        _check_inside(root, path, target)


def _write_zip(path: Path, root: Path, left: _Left) -> list[Link]:
    links: list[Link] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            left.take(members=1)
            place = _place(root, member.filename)
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            with archive.open(member) as source:
                if stat.S_ISLNK(member.external_attr >> 16):
                    links.append((place, os.fsdecode(source.read(4096)), False))
                else:
                    _copy(source, place, left)
    return links


class _Bounded:
    """A stream that is never asked for more than a header may hold."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise LimitError(
                explain("a tar file", got=f"a header of {size:,} bytes", expected=f"{_MAX_HEADER:,}")
            )
        return self.stream.read(size)


def _write_tar(path: Path, head: bytes, root: Path, left: _Left) -> list[Link]:
    links: list[Link] = []
    opened: Any = next((way for magic, way in _PACKED.items() if head.startswith(magic)), open)
    with (
        opened(path, "rb") as stream,
        tarfile.open(fileobj=cast("Any", _Bounded(stream)), mode="r:") as archive,
    ):
        for member in archive:
            left.take(members=1)
            place = _place(root, member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.issym() or member.islnk():
                links.append((place, member.linkname, member.islnk()))
            elif member.isreg() and (source := archive.extractfile(member)):
                _copy(source, place, left)
            else:
                raise _refused(member.name, "which is neither a file, a folder nor a link")
    return links


def _place(root: Path, name: str) -> Path:
    """Where a member comes to lie, by the rules of every system."""
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or "\0" in name or re.match("[A-Za-z]:", name):
        raise _refused(name, "which would lie outside of the folder")
    return root.joinpath(*(part for part in parts if part not in ("", ".")))


def _copy(source: IO[bytes], place: Path, left: _Left) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        while piece := source.read(_CHUNK):
            left.take(size=len(piece))
            file.write(piece)


def _make_link(root: Path, path: Path, target: str, is_hard: bool) -> None:
    """A link, made when every file is there, so that none was written through one."""
    if os.path.realpath(path.parent) != str(path.parent):
        raise _refused(str(path.relative_to(root)), "which lies behind a link")
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_hard:
        source = _place(root, target)
        if os.path.realpath(source) != str(source) or not source.is_file():
            raise _refused(str(path.relative_to(root)), f"a link to {target!r}, which is no file of it")
        os.link(source, path)
        return
    path.symlink_to(target)


def _check_inside(root: Path, path: Path, target: str) -> None:
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise _refused(str(path.relative_to(root)), f"a link to {target!r}, outside of the folder")


def _damaged(archive: Path, error: Exception) -> CorruptFileError:
    got = shorten(f"{type(error).__name__}: {error}", 300)
    return CorruptFileError(explain(f"'{archive}'", got=got, expected="a whole archive"))


def _refused(name: str, why: str) -> CorruptFileError:
    fix = "unpack it yourself, if you trust it"
    return CorruptFileError(explain("an archive", got=f"the member {shorten(name)}, {why}", fix=fix))
