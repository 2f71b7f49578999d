"""Writing an archive: cut at any system call, refused or killed, it leaves the old one or the new one."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from torchfunc.errors import SavingError, WriteError
from torchfunc.saving import archive, atomic

CALLS = ("write", "fsync", "replace", "unlink", "chmod")
NAMES = ("m.safetensors", "folder")


def save(path: Path, stamp: int) -> None:
    """An archive in which everything says the same number."""
    archive.write(
        path, {"stamp": stamp}, {"a": torch.full((50,), stamp), "b": torch.full((7,), float(stamp))}
    )


def stamp_of(path: Path) -> int:
    found = archive.read(path)
    stamps = {found.config["stamp"], *found.tensors["a"].tolist(), *found.tensors["b"].tolist()}
    assert len(stamps) == 1, stamps
    return int(stamps.pop())


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


class PowerCut(BaseException):
    """Not even a `finally` gets anything done after it."""


class Machine:
    """System calls that can be cut off at one of them, with what had not reached the disk lost.

    Bytes that were written and not flushed are lost. A rename or removal in a folder that was not
    flushed is lost as well, or not: `keeps_renames`.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, cut_at: int = -1, keeps_renames: bool = True
    ) -> None:
        self.count, self.cut_at, self.keeps_renames = 0, cut_at, keeps_renames
        self.unflushed: dict[int, int] = {}
        self.undo: list[Callable[[], object]] = []
        self.real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            monkeypatch.setattr(os, name, self.call(name))

    def call(self, name: str) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            if 0 <= self.cut_at <= self.count:
                self.cut()
            self.count += 1
            getattr(self, f"before_{name}", lambda *_: None)(*args)
            return self.real[name](*args)

        return wrapped

    def cut(self) -> None:
        for descriptor in self.unflushed.values():
            os.ftruncate(descriptor, 0)
        if not self.keeps_renames:
            for undo in reversed(self.undo):
                undo()
        self.unflushed, self.undo = {}, []
        raise PowerCut

    def before_write(self, descriptor: int, _: object) -> None:
        self.unflushed.setdefault(os.fstat(descriptor).st_ino, os.dup(descriptor))

    def before_fsync(self, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.undo.clear()
        else:
            os.close(self.unflushed.pop(os.fstat(descriptor).st_ino))

    def before_replace(self, _: Path, target: Path) -> None:
        self.remember(target)

    def before_unlink(self, path: Path) -> None:
        if Path(path).exists():
            self.remember(Path(path))

    def remember(self, path: Path) -> None:
        old = path.read_bytes() if path.exists() else None
        self.undo.append(lambda: self.real["unlink"](path) if old is None else path.write_bytes(old))


@pytest.mark.parametrize("keeps_renames", [True, False])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_power_cut_at_any_system_call_leaves_the_old_archive_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, old: bool, keeps_renames: bool
) -> None:
    with monkeypatch.context() as patch:
        machine = Machine(patch)
        save(tmp_path / name, 0)
    calls, seen = machine.count, set()
    for cut_at in range(calls + 3):
        path = tmp_path / str(cut_at) / name
        path.parent.mkdir()
        if old:
            save(path, 1)
        with monkeypatch.context() as patch:
            machine = Machine(patch, cut_at=cut_at, keeps_renames=keeps_renames)
            try:
                save(path, 2)
            except PowerCut:
                finished = False
            else:
                finished = True
        try:
            found = stamp_of(path)
        except FileNotFoundError:
            found = 0
        assert found in ((2,) if finished else (1, 2) if old else (0, 2)), f"cut at call {cut_at}"
        seen.add((finished, found))
    assert seen >= {(True, 2), (False, 1 if old else 0)}


def refusing(real: Callable[..., Any], turn: int, code: int) -> Callable[..., Any]:
    """A system call that works, but for one time."""
    count = iter(range(100))

    def call(*args: Any) -> Any:
        if next(count) == turn:
            raise OSError(code, os.strerror(code))
        return real(*args)

    return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize(
    ("name", "call", "turns"),
    [
        ("m.safetensors", "write", 1),
        ("m.safetensors", "fsync", 2),
        ("m.safetensors", "replace", 1),
        ("folder", "write", 2),
        ("folder", "fsync", 5),
        ("folder", "replace", 2),
    ],
)
def test_a_call_that_the_disk_refuses_is_an_error_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str, turns: int, code: int
) -> None:
    for turn in range(turns):
        save(tmp_path / name, 1)
        before = files_of(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refusing(getattr(os, call), turn, code))
            with pytest.raises(WriteError, match=os.strerror(code)) as caught:
                save(tmp_path / name, 2)
        assert caught.value.errno == code
        intact = "What stood there before is intact." in str(caught.value)
        assert intact or "The new content stands there in full." in str(caught.value)
        assert stamp_of(tmp_path / name) == (1 if intact else 2)
        assert files_of(tmp_path).keys() <= before.keys()
        if call == "write":
            assert files_of(tmp_path) == before
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refusing(getattr(os, call), turns, code))
        save(tmp_path / name, 2)  # There were no more calls than were tried.


def test_a_full_disk_is_told_with_what_was_needed_and_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    words = (
        r"Could not write '.*m.safetensors': No space left on device. "
        r"Needed [\d,]+ bytes, free [\d,]+. What stood there before is intact."
    )
    with pytest.raises(WriteError, match=words) as caught:
        save(tmp_path / "m.safetensors", 1)
    assert caught.value.errno == errno.ENOSPC
    assert files_of(tmp_path) == {}


def test_a_folder_made_for_a_save_that_failed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "lost")))
        with pytest.raises(WriteError, match="lost"):
            save(tmp_path / "folder", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_path_in_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for name in ("no/m.safetensors", "no/folder"):
        with pytest.raises(WriteError, match=r"No such file or directory") as error:
            save(tmp_path / name, 1)
        assert "Needed 0" not in str(error.value)


def test_a_file_that_stands_where_the_folder_should_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(WriteError, match="File exists"):
        save(tmp_path / "folder", 1)
    assert (tmp_path / "folder").read_text() == "mine"


LIMITED = """
import resource, sys, torch
from torchfunc.saving import archive
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try: archive.write(sys.argv[1], {}, {"a": torch.zeros(2000)})
except Exception as error: print(type(error).__name__, error)
"""


def test_a_disk_that_takes_only_the_first_bytes_keeps_the_old_archive(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", 1)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "m.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("WriteError [Errno 27] Could not write"), done.stdout + done.stderr
    assert "File too large. Needed 8," in done.stdout
    assert stamp_of(tmp_path / "m.safetensors") == 1
    assert len(files_of(tmp_path)) == 1


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_the_old_file_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "m.safetensors"
    save(path, 1)
    path.chmod(mode)
    save(path, 2)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save(tmp_path / "m.safetensors", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m.safetensors").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "v1.safetensors", tmp_path / "latest.safetensors"
    if exists:
        save(target, 1)
    link.symlink_to(Path("real") / "v1.safetensors")
    save(link, 2)
    assert link.is_symlink()
    assert stamp_of(target) == 2
    assert files_of(tmp_path).keys() == {"real/v1.safetensors", "latest.safetensors"}


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(SavingError, match="is no regular file and cannot be replaced"):
        save(tmp_path / "m.safetensors", 1)
    assert stat.S_ISFIFO((tmp_path / "m.safetensors").stat().st_mode)


@pytest.mark.parametrize("name", ["мой файл 🙂.safetensors", "x" * 240 + ".safetensors"])
def test_a_name_may_be_strange_or_long(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, 1)
    assert stamp_of(tmp_path / name) == 1


def test_an_interrupt_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "m.safetensors", 1)
    before = files_of(tmp_path)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "m.safetensors", 2)
    assert files_of(tmp_path) == before


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    prefix = atomic._prefix(path)
    dead = tmp_path / f"{prefix}{gone.pid}-0123abcd.tmp"
    others = [
        tmp_path / f"{prefix}{os.getppid()}-0123abcd.tmp",
        tmp_path / f"{prefix}{gone.pid}-0123abcd.txt",
        tmp_path / f".torchfunc-00000000-{gone.pid}-0123abcd.tmp",
    ]
    for each in (dead, *others):
        each.write_text("half")
    save(path, 1)
    assert not dead.exists()
    assert all(each.exists() for each in others)


def test_two_savers_of_a_folder_do_not_mix_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one saves while the first stands between its two files, if nothing keeps it from that."""
    real, second = os.replace, threading.Thread(target=save, args=(tmp_path / "folder", 2))

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == "config.json" and second.ident is None:
            second.start()
            second.join(timeout=0.5)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    save(tmp_path / "folder", 1)
    second.join()
    assert stamp_of(tmp_path / "folder") == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_another_saver_takes_away_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever is asked of a file before it is replaced, it may be gone by then."""
    save(tmp_path / name, 1)
    last = tmp_path / name if name == "m.safetensors" else tmp_path / name / "config.json"
    real = os.stat

    def withdrawn(path: Any, *args: Any, **named: Any) -> os.stat_result:
        found = real(path, *args, **named)
        if path == last and list(last.parent.glob("*.tmp")):
            last.unlink()
        return found

    monkeypatch.setattr(os, "stat", withdrawn)
    save(tmp_path / name, 2)
    assert stamp_of(tmp_path / name) == 2


@pytest.mark.parametrize("name", NAMES)
def test_threads_that_save_to_one_place_leave_one_whole_archive(tmp_path: Path, name: str) -> None:
    def loop(stamp: int) -> None:
        for _ in range(50):
            save(tmp_path / name, stamp)

    with ThreadPoolExecutor(3) as pool:
        works = [pool.submit(loop, stamp) for stamp in (1, 2, 3)]
    assert [work.result() for work in works] == [None] * 3
    assert stamp_of(tmp_path / name) in (1, 2, 3)
    assert not [each for each in files_of(tmp_path) if each.endswith(".tmp")]


SAVERS = """
import os, random, signal, sys, time, traceback, torch
from torchfunc.saving import archive

def save(path, stamp):
    a, b = torch.full((20000,), stamp), torch.full((7,), float(stamp))
    archive.write(path, {"stamp": stamp}, {"a": a, "b": b})

def stamps(path):
    found = archive.read(path)
    return {found.config["stamp"], *found.tensors["a"].tolist(), *found.tensors["b"].tolist()}

def fork(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child

def kills(path, rounds):
    last = 0
    for _ in range(rounds):
        reader, writer = os.pipe()
        def loop():
            for stamp in range(last + 1, 10**6):
                save(path, stamp)
                os.write(writer, stamp.to_bytes(4, "little"))
        child = fork(loop)
        time.sleep(random.uniform(0.002, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            acknowledged = int.from_bytes(pipe.read()[-4:], "little") or last
        (last,) = stamps(path)
        assert last >= acknowledged, (last, acknowledged)
    save(path, 0)

def crowd(path, rounds):
    def loop(stamp):
        for _ in range(rounds):
            save(path, stamp)
    children = [fork(lambda stamp=stamp: loop(stamp)) for stamp in (1, 2)]
    for _ in range(rounds):
        assert len(stamps(path)) == 1
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert len(stamps(path)) == 1

random.seed(0)
torch.set_num_threads(1)
for name in ("m.safetensors", "folder"):
    path = os.path.join(sys.argv[2], name)
    save(path, 0)
    {"kills": kills, "crowd": crowd}[sys.argv[1]](path, int(sys.argv[3]))
"""


@pytest.mark.parametrize(("case", "rounds"), [("kills", 40), ("crowd", 200)])
def test_killed_and_crowding_savers_never_leave_a_torn_archive(
    tmp_path: Path, case: str, rounds: int
) -> None:
    command = [sys.executable, "-c", SAVERS, case, str(tmp_path), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path).keys() == {"m.safetensors", "folder/config.json", "folder/model.safetensors"}
