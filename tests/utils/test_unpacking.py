"""Unpacking: nothing of an archive comes to lie, or to point, outside of its folder, and no archive fills the disk."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchfunc.errors import CorruptFileError, LimitError, TorchfuncError
from torchfunc.utils.files import unpacking
from torchfunc.utils.files.unpacking import unpack

KINDS = ("tar", "zip")
Member = tuple[str, Any]  # a name and: what a file holds, None for a folder, or a kind of tar's and a target


def tar_of(*members: Member) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            info.type, info.linkname = (tarfile.DIRTYPE, "") if content is None else content
            archive.addfile(info)
    return file.getvalue()


def zip_of(*members: Member) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(f"{name}/" if content is None else name)
            if isinstance(content, tuple):
                info.external_attr, content = (stat.S_IFLNK | 0o777) << 16, content[1].encode()
            archive.writestr(info, content or b"", zipfile.ZIP_DEFLATED)
    return file.getvalue()


def link(target: str) -> tuple[bytes, str]:
    return tarfile.SYMTYPE, target


def hard(target: str) -> tuple[bytes, str]:
    return tarfile.LNKTYPE, target


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., Path]:
    """Unpacks bytes into a folder that lies in another, beside which a secret lies."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "home").mkdir()

    def attempted(data: bytes, max_bytes: int = 1 << 20) -> Path:
        path, folder = tmp_path / "archive", tmp_path / "home" / "out"
        path.write_bytes(data)
        unpack(path, folder, KINDS, max_bytes)
        return folder

    yield attempted
    assert (tmp_path / "secret").read_text() == "secret"
    assert sorted(each.name for each in tmp_path.iterdir()) in (
        ["archive", "home", "secret"],
        ["home", "secret"],
    )
    assert [each.name for each in (tmp_path / "home").iterdir()] in ([], ["out"])


OUTSIDE = [
    "../evil",
    "/evil",
    "a/../../evil",
    "..",
    "a\\..\\..\\evil",
    "\\evil",
    "C:\\evil",
    "C:evil",
    "a/..",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_member_outside_of_the_folder_is_refused_and_nothing_is_written(
    attempt: Callable[..., Path], tmp_path: Path, pack: Callable[..., bytes], name: str
) -> None:
    with pytest.raises(
        CorruptFileError, match="which would lie outside of the folder. Fix: unpack it yourself"
    ):
        attempt(pack(("good", b"good"), (name, b"evil")))
    assert not (tmp_path / "home" / "out").exists()


LINKS: dict[str, tuple[Member, ...]] = {
    "absolute": (("a", link("/etc/passwd")),),
    "up": (("a", link("../../secret")),),
    "to the folder above": (("a", link("..")),),
    "up from below": (("deep/a", link("../../x")),),
    "written through": (("a", link("..")), ("a/secret", b"evil")),
    "written through a link within": (("b/c", b""), ("a", link("b")), ("a/c", link("../../../secret"))),
    "by two steps": (("p/q", None), ("e", link("p/q/d/../..")), ("p/q/d", link("../.."))),
    "by two steps, written through": (
        ("p/q", None), ("e", link("p/q/d/../..")), ("p/q/d", link("../..")), ("e/new/x", link("y")),
    ),
    "under a file": (("a", b""), ("a/b", link("../../secret"))),
}  # fmt: skip


@pytest.mark.parametrize("members", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_link_that_leads_out_is_refused(
    attempt: Callable[..., Path], tmp_path: Path, pack: Callable[..., bytes], members: tuple[Member, ...]
) -> None:
    with pytest.raises((CorruptFileError, OSError)):
        attempt(pack(*members))
    assert not (tmp_path / "home" / "out").exists()


@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "nothing", "folder", "b"])
def test_a_hard_link_to_what_is_no_file_of_the_archive_is_refused(
    attempt: Callable[..., Path], target: str
) -> None:
    with pytest.raises(CorruptFileError, match="which is no file of it|outside of the folder"):
        attempt(tar_of(("folder", None), ("b", link("folder")), ("a", hard(target))))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(attempt: Callable[..., Path], kind: bytes) -> None:
    with pytest.raises(CorruptFileError, match="neither a file, a folder nor a link"):
        attempt(tar_of(("a", (kind, ""))))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_files_folders_and_links_within_come_out_as_they_are(
    attempt: Callable[..., Path], pack: Callable[..., bytes]
) -> None:
    members = [
        ("./a.txt", b"one"),
        ("empty", None),
        ("x/y/z", b"two"),
        ("x/to", link("y/z")),
        ("to", link("x")),
    ]
    folder = attempt(pack(*members))
    assert (folder / "a.txt").read_bytes() == b"one" and (folder / "empty").is_dir()
    assert (folder / "x" / "to").is_symlink() and (folder / "x" / "to").read_bytes() == b"two"
    assert (folder / "to" / "y" / "z").read_bytes() == b"two"


def test_a_hard_link_within_is_the_same_file(attempt: Callable[..., Path]) -> None:
    folder = attempt(tar_of(("a", b"one"), ("x/b", hard("a"))))
    assert (folder / "a").samefile(folder / "x" / "b")


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress])
def test_no_more_is_unpacked_than_is_allowed(
    attempt: Callable[..., Path], tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    data = packed(tar_of(("a", bytes(600)), ("b", bytes(500))))
    with pytest.raises(LimitError, match="got more bytes than max_bytes allows. Fix: get_file"):
        attempt(data, max_bytes=1000)
    assert not (tmp_path / "home" / "out").exists()
    attempt(data, max_bytes=1100)


def test_a_zip_that_grows_is_stopped(attempt: Callable[..., Path]) -> None:
    data = zip_of(("a", bytes(50 << 20)))
    assert len(data) < 60_000
    with pytest.raises(LimitError, match="max_bytes"):
        attempt(data, max_bytes=1 << 20)


def test_there_is_a_limit_to_the_number_of_members(
    attempt: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        unpacking._Left, "__init__", lambda left, size: vars(left).update(size=size, members=2)
    )
    attempt(tar_of(("a", b""), ("b", b"")))
    with pytest.raises(LimitError, match="got more than 1,000,000 members"):
        attempt(zip_of(("a", b""), ("b", b""), ("c", None)))


def test_a_header_takes_no_memory_that_is_not_there(attempt: Callable[..., Path]) -> None:
    """A name, by the rules of GNU, may be as long as its header says, and a few bytes pack a long one."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 100 << 20
    data = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(100 << 20))
    with pytest.raises(
        LimitError, match="a tar file: expected 16,777,216, got a header of 104,857,600 bytes"
    ):
        attempt(data, max_bytes=1 << 40)


def test_an_archive_with_a_password_is_told(attempt: Callable[..., Path]) -> None:
    data = bytearray(zip_of(("a", b"one")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    with pytest.raises(CorruptFileError, match="expected a whole archive, got .*password"):
        attempt(bytes(data))


MEMBERS: tuple[Member, ...] = (
    ("folder", None),
    ("folder/a", b"some text " * 40),
    ("b", link("folder/a")),
    ("c", b"x"),
)
SEEDS = {
    "tar": tar_of(*MEMBERS),
    "tgz": gzip.compress(tar_of(*MEMBERS)),
    "bz2": bz2.compress(tar_of(*MEMBERS)),
    "zip": zip_of(*MEMBERS),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_a_damaged_archive_is_told_or_unpacked_within_its_folder(
    attempt: Callable[..., Path], kind: str
) -> None:
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(SEEDS[kind])
        for _ in range(draw.choice((1, 1, 2, 8))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.2:
            del data[draw.randrange(len(data)) :]
        try:
            attempt(bytes(data))
        except (TorchfuncError, OSError) as error:
            assert str(error)


@pytest.mark.parametrize("kind", ["tgz", "bz2", "zip"])
def test_half_an_archive_is_told(attempt: Callable[..., Path], kind: str) -> None:
    with pytest.raises(CorruptFileError, match="expected a whole archive"):
        attempt(SEEDS[kind][: len(SEEDS[kind]) // 2])
    with pytest.raises(CorruptFileError, match="expected a whole archive"):
        attempt(SEEDS[kind][:8] + bytes(100))
