"""Downloads: under a name lies the whole file that was asked for, or nothing."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import keras
import pytest

from torchfunc.errors import CorruptFileError, DataError, LimitError, WriteError
from torchfunc.utils import get_file
from torchfunc.utils.files import downloads

ROOT = Path(__file__).parent.parent.parent
CONTENT = bytes(range(256)) * 5000
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """A server that gives `CONTENT` for every path but a few, and counts who asks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data.bin")
            self.end_headers()
        elif self.path == "/to-a-file":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/etc/passwd")
            self.end_headers()
        elif self.path == "/nothing":
            self.send_error(404, "Not here")
        else:
            self.send_response(200)
            size = {"/half.bin": 2 * len(CONTENT), "/endless.bin": None}.get(self.path, len(CONTENT))
            if size is not None:
                self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(CONTENT)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(running: Server) -> Server:
    running.asked.clear()
    return running


def left(folder: Path) -> list[str]:
    """All files, hidden ones too."""
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_a_file_is_downloaded_once(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = get_file(origin=server.url("data.bin?version=2"), cache_dir=tmp_path)
    assert path == str(tmp_path / "datasets" / "data.bin") and Path(path).read_bytes() == CONTENT
    out = capsys.readouterr().out
    assert f"Downloading data from {server.url('data.bin')}" in out and "2/2" in out
    assert get_file(origin=server.url("data.bin"), cache_dir=tmp_path) == path
    assert len(server.asked) == 1 and capsys.readouterr().out == ""
    get_file(origin=server.url("data.bin"), cache_dir=tmp_path, force_download=True)
    assert len(server.asked) == 2 and left(tmp_path) == ["datasets/data.bin"]


def test_a_file_url_and_a_redirect_are_followed(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "a b.bin"
    source.write_bytes(CONTENT)
    for origin in (source.as_uri(), server.url("moved")):
        path = get_file(
            "mine.bin", origin, cache_dir=tmp_path / "cache", cache_subdir="x/y", force_download=True
        )
        assert path == str(tmp_path / "cache/x/y/mine.bin") and Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "asked",
    [
        {"file_hash": SHA256},
        {"file_hash": SHA256.upper(), "hash_algorithm": "sha256"},
        {"file_hash": MD5},
        {"md5_hash": MD5},
        {"file_hash": MD5, "hash_algorithm": "md5"},
    ],
)
def test_a_checksum_is_compared(server: Server, tmp_path: Path, asked: dict[str, Any]) -> None:
    place = tmp_path / "datasets" / "data.bin"
    place.parent.mkdir()
    place.write_bytes(CONTENT[:-1])
    assert get_file(origin=server.url("data.bin"), cache_dir=tmp_path, **asked) == str(place)
    assert place.read_bytes() == CONTENT and server.asked == ["/data.bin"]
    get_file(origin=server.url("data.bin"), cache_dir=tmp_path, **asked)
    assert server.asked == ["/data.bin"]


def test_another_file_than_the_one_expected_is_not_kept(server: Server, tmp_path: Path) -> None:
    old = tmp_path / "datasets" / "data.bin"
    old.parent.mkdir()
    old.write_bytes(b"older")
    words = f"expected {'0' * 64}, got sha256 {SHA256}. Nothing of it was kept"
    with pytest.raises(CorruptFileError, match=words):
        get_file(origin=server.url("data.bin"), cache_dir=tmp_path, file_hash="0" * 64)
    assert old.read_bytes() == b"older" and left(tmp_path) == ["datasets/data.bin"]


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("half.bin", DataError, "expected 2,560,000 bytes, got 1,280,000 bytes"),
        (
            "nothing",
            DataError,
            "could not be downloaded: HTTP Error 404: Not here. Fix: put the file there yourself, as '",
        ),
        ("to-a-file", DataError, "it leads to ftp://127.0.0.1/etc/passwd"),
    ],
)
def test_half_a_download_leaves_nothing_behind(
    server: Server, tmp_path: Path, path: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        get_file(origin=server.url(path), cache_dir=tmp_path)
    assert words in str(caught.value) and left(tmp_path) == []


@pytest.mark.parametrize("path", ["data.bin", "endless.bin"])
def test_more_than_the_limit_is_not_taken(server: Server, tmp_path: Path, path: str) -> None:
    with pytest.raises(
        LimitError, match=r"got more than max_bytes=1,000 bytes. Fix: get_file\(..., max_bytes=...\)"
    ):
        get_file(origin=server.url(path), cache_dir=tmp_path, max_bytes=1000)
    assert left(tmp_path) == []
    get_file(origin=server.url(path), cache_dir=tmp_path, max_bytes=len(CONTENT))
    assert left(tmp_path) == [f"datasets/{path}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "got no origin"),
        ({"origin": "http://x.org/"}, "expected that of a file alone, got the name ''"),
        ({"origin": "http://x.org/a/.."}, "got the name '..'"),
        ({"fname": "../a", "origin": "http://x.org/a"}, "got the name '../a'"),
        ({"fname": "/etc/a", "origin": "http://x.org/a"}, "got the name '/etc/a'"),
        ({"fname": "a\\b", "origin": "http://x.org/a"}, "got the name"),
        ({"origin": "ftp://x.org/a"}, "expected an https, http or file URL, got 'ftp://x.org/a'"),
        ({"origin": "a.zip"}, "expected an https, http or file URL"),
        (
            {"origin": "http://x.org/a", "file_hash": "abc"},
            "expected 64 of sha256 or 32 of md5, got 3 digits",
        ),
        ({"origin": "http://x.org/a", "file_hash": MD5, "hash_algorithm": "sha256"}, "got 32 digits"),
        (
            {"origin": "http://x.org/a", "extract": True, "archive_format": "rar"},
            "expected 'tar', 'zip' or 'auto'",
        ),
        ({"origin": "http://x.org/a", "extract": True, "archive_format": None}, "Fix: extract=False"),
    ],
)
def test_arguments_that_make_no_sense_are_told(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        get_file(cache_dir=tmp_path, **arguments)
    assert words in str(caught.value) and left(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "datasets").write_text("a file")
    with pytest.raises(WriteError, match="could not be written: .*Fix: another folder, cache_dir=..."):
        get_file(origin=server.url("data.bin"), cache_dir=tmp_path)


def pack(folder: Path, kind: str) -> Path:
    """An archive of two files."""
    (folder / "in" / "deep").mkdir(parents=True)
    (folder / "in" / "a.txt").write_text("one")
    (folder / "in" / "deep" / "b.txt").write_text("two")
    path = folder / f"flowers.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in (folder / "in").rglob("*"):
                archive.write(file, file.relative_to(folder / "in"))
    else:
        with tarfile.open(
            path, {"tar": "w", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]
        ) as tar:
            tar.add(folder / "in", ".")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("fname", [None, "flowers", "flowers.old.zip"])
def test_an_archive_is_unpacked_to_the_folder_that_keras_names(
    tmp_path: Path, kind: str, fname: str | None
) -> None:
    origin = pack(tmp_path, kind).as_uri()
    asked: dict[str, Any] = {"fname": fname, "origin": origin, "extract": True}
    ours = Path(get_file(cache_dir=tmp_path / "ours", **asked))
    (tmp_path / "theirs").mkdir()
    theirs = Path(keras.utils.get_file(cache_dir=str(tmp_path / "theirs"), **asked))
    assert ours.relative_to(tmp_path / "ours") == theirs.relative_to(tmp_path / "theirs")
    assert left(tmp_path / "ours") == left(tmp_path / "theirs")
    assert (ours / "deep" / "b.txt").read_text() == "two"


def test_a_new_archive_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    path = pack(tmp_path, "zip")
    asked: dict[str, Any] = {"origin": path.as_uri(), "extract": True, "cache_dir": tmp_path / "cache"}
    folder = Path(get_file(**asked))
    (folder / "a.txt").write_text("mine")
    assert Path(get_file(**asked)) == folder and (folder / "a.txt").read_text() == "mine"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c.txt", "three")
    get_file(**asked, file_hash=hashlib.sha256(path.read_bytes()).hexdigest())
    assert left(folder) == ["c.txt"] and len(list(folder.parent.iterdir())) == 2


def test_what_is_no_archive_is_not_unpacked(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04 not at all")
    with pytest.raises(CorruptFileError, match="expected a whole archive, got 'BadZipFile"):
        get_file("b", path.as_uri(), extract=True, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match="expected tar, got a file that begins with b'PK"):
        get_file("c", path.as_uri(), untar=True, cache_dir=tmp_path / "cache")
    with pytest.raises(CorruptFileError, match="expected a whole archive, got 'ReadError"):
        get_file("d", server.url("data.bin"), extract=True, cache_dir=tmp_path / "cache")
    assert left(tmp_path / "cache") == ["datasets/b_archive", "datasets/c_archive", "datasets/d_archive"]


FETCH = """
import sys
from torchfunc.utils import get_file
print("ready", flush=True)
sys.stdin.readline()
get_file("data.bin", sys.argv[1], cache_dir=sys.argv[2], file_hash=sys.argv[3])
"""


def test_processes_and_threads_that_want_one_file_download_it_once(server: Server, tmp_path: Path) -> None:
    asked = (server.url("data.bin"), str(tmp_path), SHA256)
    command = [sys.executable, "-c", FETCH, *asked]
    others = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) for _ in range(2)]
    with ExitStack() as stack:
        for each in others:
            stack.enter_context(each)
            assert each.stdout is not None and each.stdout.readline() == "ready\n"
        arguments = {"cache_dir": tmp_path, "file_hash": SHA256}
        with ThreadPoolExecutor(3) as pool:
            for each in others:
                assert each.stdin is not None
                each.stdin.write("go\n")
                each.stdin.flush()
            threads = [pool.submit(get_file, "data.bin", asked[0], **arguments) for _ in range(3)]
        assert {each.result() for each in threads} == {str(tmp_path / "datasets" / "data.bin")}
        assert [each.wait() for each in others] == [0, 0]
    assert server.asked == ["/data.bin"] and left(tmp_path) == ["datasets/data.bin"]


def test_nobody_is_led_from_https_to_what_others_can_read() -> None:
    redirected = downloads._Redirects().redirect_request
    for old, new in (("https", "http"), ("https", "ftp"), ("http", "file")):
        with pytest.raises(HTTPError, match=f"it leads to {new}://y"):
            redirected(Request(f"{old}://x"), io.BytesIO(), 302, "", {}, f"{new}://y")
    for old, new in (("http", "http"), ("http", "https"), ("https", "https")):
        assert redirected(Request(f"{old}://x"), io.BytesIO(), 302, "", {}, f"{new}://y") is not None


def test_a_file_in_a_folder_that_is_only_read_is_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_file(origin=server.url("data.bin"), cache_dir=tmp_path)
    monkeypatch.setattr(os, "open", None)
    assert get_file(origin=server.url("data.bin"), cache_dir=tmp_path, file_hash=MD5).endswith("data.bin")


def test_the_usual_folder_is_in_the_home_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_file(origin=server.url("data.bin")) == str(tmp_path / ".torchfunc" / "datasets" / "data.bin")
