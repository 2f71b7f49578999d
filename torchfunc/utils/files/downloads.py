"""Files fetched once: downloaded whole or not at all, compared with a checksum, and kept in a folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from torchfunc.errors import CorruptFileError, DataError, LimitError, WriteError, explain
from torchfunc.utils.files.unpacking import unpack
from torchfunc.utils.told import Progbar

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 1 << 36
_HOME = "~/.torchfunc"
_CHUNK = 1 << 20
_SECONDS = 60  # without a byte
_LENGTHS = {"sha256": 64, "md5": 32}
_KINDS = {"auto": ("tar", "zip"), "tar": ("tar",), "zip": ("zip",), None: ()}


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: Literal["auto", "sha256", "md5"] = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    *,
    max_bytes: int = MAX_BYTES,
) -> str:
    """Where a file lies on this machine; it is downloaded where it is not there yet, or is not the one expected.

    Under its name lies the whole file or none, and one process downloads while others wait. Without `file_hash` you get
    what the server, or who stands between, sends: give the sha256 that its author publishes. (md5 tells damage alone.)

    `get_file(origin="https://example.org/flowers.tgz", extract=True)` gives '~/.torchfunc/datasets/flowers.tgz', in
    which the archive is unpacked.

    Args:
        fname: The name to keep it under; that in `origin` if None.
        origin: An https, http or file URL. From https none is followed to http.
        untar: An older name of `extract`, for tar files.
        md5_hash: An older name of `file_hash`.
        file_hash: The checksum, in hexadecimal digits.
        cache_subdir: The folder within `cache_dir`.
        hash_algorithm: "sha256" or "md5"; "auto" tells by the length.
        extract: Whether it is an archive that is to be unpacked: the folder is returned then. Nothing in the archive comes
            to lie outside of the folder, and no link in it leads out.
        archive_format: "tar", "zip", a list of these, or "auto" for either.
        cache_dir: `~/.torchfunc` by default.
        force_download: Whether it is downloaded even where it is there.
        max_bytes: The most that is downloaded, and the most that is unpacked: 64 GiB.

    Returns:
        The path of the file. With `extract` that of the folder: `fname`, or what stands before its first dot with
        "_extracted" behind it.

    Raises:
        DataError: it cannot be downloaded; arguments that make no sense; with `extract`, it is no archive.
        CorruptFileError: its checksum is another; an archive is damaged, or holds what would lie outside of the folder.
        LimitError: it is larger than `max_bytes`.
        WriteError: the folder cannot be written to.

    Example:
        >>> from pathlib import Path
        >>> origin = Path("photo.jpg").absolute().as_uri()
        >>> Path(utils.get_file(origin=origin, cache_dir="cache")).relative_to("cache").as_posix()
        Downloading data from file://...
        'datasets/photo.jpg'
    """
    if origin is None:
        raise DataError(
            explain("get_file", got="no origin", expected="a URL", fix="get_file(origin='https://...')")
        )
    name = _checked_name(fname, origin)
    checksum = _checksum(file_hash or md5_hash, hash_algorithm if file_hash or not md5_hash else "md5")
    kinds = _kinds("tar" if untar else archive_format) if extract or untar else ()
    place = Path(cache_dir or _HOME).expanduser() / cache_subdir
    file, folder = place / name, None
    if (extract or untar) and fname and "." in name:
        folder = place / f"{name.partition('.')[0]}_extracted"
    elif extract or untar:
        file, folder = place / f"{name}_archive", place / name
    if not force_download and _is_there(file, checksum) and (folder is None or folder.exists()):
        return str(folder or file)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            is_new = force_download or not _is_there(file, checksum)
            if is_new:
                _download(origin, file, checksum, max_bytes)
            if folder is not None and is_new:
                shutil.rmtree(folder, ignore_errors=True)  # what was in the archive before
            if folder is not None and not folder.exists():
                unpack(file, folder, kinds, max_bytes)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(
            f"'{file}' could not be written: {error}. Fix: another folder, cache_dir=..."
        ) from error
    return str(folder or file)


def _checked_name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    name = os.fspath(fname) if fname else urllib.parse.urlsplit(origin).path.rpartition("/")[2]
    if name in ("", ".", "..") or not name.isprintable() or any(each in name for each in "/\\"):
        fix = "fname='data.zip', and the folder as cache_dir and cache_subdir"
        raise DataError(
            explain("get_file", got=f"the name {name!r}", expected="that of a file alone", fix=fix)
        )
    return name


class _Checksum(NamedTuple):
    algorithm: str
    digits: str


def _checksum(digits: str | None, algorithm: str) -> _Checksum | None:
    if digits is None:
        return None
    known = [
        name for name, length in _LENGTHS.items() if len(digits) == length and algorithm in ("auto", name)
    ]
    if not known:
        got = f"{len(digits)} digits with hash_algorithm={algorithm!r}"
        raise DataError(explain("file_hash", got=got, expected="64 of sha256 or 32 of md5"))
    return _Checksum(known[0], digits.lower())


def _kinds(archive_format: Any) -> tuple[str, ...]:
    given = archive_format if isinstance(archive_format, (list, tuple)) else [archive_format]
    if not all(each in _KINDS for each in given) or not any(_KINDS[each] for each in given):
        expected = "'tar', 'zip' or 'auto'"
        raise DataError(
            explain("archive_format", got=repr(archive_format), expected=expected, fix="extract=False")
        )
    return tuple(kind for each in given for kind in _KINDS[each])


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time for each file, where the system has such locks; the lock is taken away with the last."""
    if sys.platform == "win32":
        yield
        return
    path = file.with_name(f".{file.name}.lock")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                break
        os.close(descriptor)  # another took the lock away while this one waited for it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_there(file: Path, checksum: _Checksum | None) -> bool:
    if not file.exists():
        return False
    if checksum is None:
        return True
    found = hashlib.new(checksum.algorithm, usedforsecurity=False)
    with file.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            found.update(piece)
    return found.hexdigest() == checksum.digits


def _download(origin: str, file: Path, checksum: _Checksum | None, max_bytes: int) -> None:
    print(f"Downloading data from {origin}")
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    found = hashlib.new(checksum.algorithm if checksum else "sha256", usedforsecurity=False)
    try:
        with temporary.open("xb") as target:
            for piece in _pieces(origin, file, max_bytes):
                found.update(piece)
                target.write(piece)
        if checksum is not None and found.hexdigest() != checksum.digits:
            got, expected = f"{checksum.algorithm} {found.hexdigest()}", checksum.digits
            raise CorruptFileError(
                explain(f"'{origin}'", got=got, expected=expected, why="nothing of it was kept")
            )
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another kind of URL, but for http to https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in (urllib.parse.urlsplit(req.full_url).scheme, "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"it leads to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _pieces(origin: str, file: Path, max_bytes: int) -> Iterator[bytes]:
    """What a URL holds, to its end.

    Raises:
        DataError: it cannot be had, or ends too early; LimitError: it holds too much.
    """
    if urllib.parse.urlsplit(origin).scheme not in ("https", "http", "file"):
        raise DataError(explain("origin", got=repr(origin), expected="an https, http or file URL"))
    try:
        with urllib.request.build_opener(_Redirects).open(origin, timeout=_SECONDS) as answer:
            size = answer.headers.get("Content-Length")
            size = int(size) if size is not None and size.isdecimal() else None
            bar = Progbar(size and -(-size // _CHUNK), unit_name="MiB")
            count = 0
            while (size or 0) <= max_bytes and (piece := answer.read(_CHUNK)) and count <= max_bytes:
                count += len(piece)
                bar.update(-(-count // _CHUNK))
                yield piece
            if max(size or 0, count) > max_bytes:
                got, fix = f"more than max_bytes={max_bytes:,} bytes", "get_file(..., max_bytes=...)"
                raise LimitError(explain(f"'{origin}'", got=got, fix=fix))
            if size is not None and count != size:
                raise DataError(explain(f"'{origin}'", got=f"{count:,} bytes", expected=f"{size:,} bytes"))
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        fix = f"Fix: put the file there yourself, as '{file}'"
        raise DataError(f"'{origin}' could not be downloaded: {error}. {fix}.") from error
