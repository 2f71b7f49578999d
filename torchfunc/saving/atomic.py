"""Atomic files: under a name stands what was there before or the whole of what was written, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torchfunc.errors import SavingError, WriteError, shorten

if sys.platform != "win32":
    import fcntl

Pieces = Sequence[bytes | memoryview]

_CHUNK = 1 << 26  # Linux moves at most 2 GiB in one write; a smaller piece also lets Ctrl-C through.
_SMALL = 1 << 18
_CANNOT_FLUSH_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def replace_files(contents: Mapping[Path, Pieces], *, withdraw: Path | None = None) -> None:
    """Put files in place, in the order given, once all of them lie whole beside their targets.

    A link is followed, and the mode of an older file is kept.

    Args:
        contents: what is to stand under each path.
        withdraw: a file to remove just before the first one is replaced, so that nobody can read it
            together with files that it does not belong to.

    Raises:
        WriteError: a file could not be written; the message says what stands there now.
        SavingError: what stands there is no regular file.
    """
    targets = {resolve_target(path): data for path, data in contents.items()}
    replaced: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            staged = {target: stack.enter_context(_staged(target, data)) for target, data in targets.items()}
            if withdraw is not None:
                stack.enter_context(_locked(withdraw.parent))
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(withdraw)
                _flush_folder(withdraw.parent)
            for target, temporary in staged.items():
                os.replace(temporary, target)
                replaced.append(target)
                _flush_folder(target.parent)
    except OSError as error:
        raise _dressed(error, contents, intact=not replaced) from error


@contextmanager
def made_folder(folder: Path, *, parents: bool = False) -> Iterator[None]:
    """Within it the folder exists; one that was made for what then failed is removed again.

    Args:
        folder: which it is.
        parents: whether those above it are made too; they stay.

    Raises:
        WriteError: it cannot be made.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=parents, exist_ok=True)
        if made:
            _flush_folder(folder.parent)
    except OSError as error:
        raise _dressed(error, {folder: []}, intact=True) from error
    try:
        yield
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def resolve_target(path: Path) -> Path:
    """The file that a path means: links followed, so that a link stays a link.

    Raises:
        SavingError: what stands there is no regular file.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except OSError:  # Nothing there yet, or nothing within reach: writing will say which.
        return target
    if not stat.S_ISREG(mode):
        raise SavingError(f"'{path}' is no regular file and cannot be replaced. Choose another path.")
    return target


@contextmanager
def _staged(target: Path, data: Pieces) -> Iterator[Path]:
    """`data` in a temporary file beside `target`, on the disk; removed afterwards if it is still there."""
    _sweep(target)
    temporary = target.with_name(f"{_prefix(target)}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)  # The system takes the umask off.
    try:
        try:
            # It is asked once, and not first whether it is there: another saver may withdraw it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _write_all(descriptor: int, data: Pieces) -> None:
    for piece in _gathered(data):
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view[:_CHUNK]) :]


def _gathered(data: Pieces) -> Iterator[bytes | memoryview]:
    """The same bytes in fewer pieces: a call for each of thousands of small tensors takes longer than a copy."""
    small: list[bytes | memoryview] = []
    size = 0
    for piece in data:
        if size + len(piece) > _SMALL:
            yield b"".join(small)
            small, size = [], 0
        if len(piece) > _SMALL:
            yield piece
        else:
            small.append(piece)
            size += len(piece)
    yield b"".join(small)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time, where the system has such locks: two savers would mix their files."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Make the renames in a folder survive a power cut, where the file system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise


def _prefix(target: Path) -> str:
    """How the temporary files of `target` begin: short whatever its name, and this machine's own."""
    key = platform.node().encode() + b"/" + os.fsencode(target.name)
    return f".torchfunc-{zlib.crc32(key):08x}-"


def _sweep(target: Path) -> None:
    """Remove what killed processes left beside `target`."""
    if sys.platform == "win32":  # There `os.kill` cannot ask whether a process lives.
        return
    ours = re.compile(re.escape(_prefix(target)) + r"(\d+)-[0-9a-f]{8}\.tmp")
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            match = ours.fullmatch(entry.name)
            if match and not _is_alive(int(match[1])):
                os.unlink(entry.path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # It lives and is not ours, or is no number of a process.
        return True
    return True


def _dressed(error: OSError, contents: Mapping[Path, Pieces], *, intact: bool) -> WriteError:
    """What the system says, with what was to be written, the room there is, and what stands there now."""
    path = list(contents)[-1]
    room = ""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(os.path.realpath(path.parent)).free
        needed = sum(len(piece) for pieces in contents.values() for piece in pieces)
        if needed:  # a folder alone needs none
            room = f" Needed {needed:,} bytes, free {free:,}."
    now = "What stood there before is intact." if intact else "The new content stands there in full."
    text = f"Could not write {shorten(str(path), 1000)}: {error.strerror or error}.{room} {now}"
    return WriteError(error.errno, text)
