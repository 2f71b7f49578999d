"""Archives: what is written comes back, safetensors reads it, and no file of a stranger does harm."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from torchfunc.errors import (
    ConfigError,
    CorruptFileError,
    LimitError,
    NotATorchfuncFileError,
    SavingError,
    UnsupportedVersionError,
)
from torchfunc.saving import archive, checksums, inspect
from torchfunc.saving.checksums import beginning, joined
from torchfunc.saving.header import DTYPES, Limits, parse_json

CONFIG = {
    "name": "mnist_model",
    "units": [64, 10],
    "rate": 0.5,
    "bias": None,
    "on": True,
    "слой": {"🙂": "\n"},
}


def weights() -> dict[str, torch.Tensor]:
    return {"weights/dense.weight": torch.randn(3, 4), "weights/dense.bias": torch.randn(4)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good archive to start from."""
    archive.write(tmp_path / "m.safetensors", CONFIG, weights())
    return tmp_path / "m.safetensors"


def assert_same(first: torch.Tensor, second: torch.Tensor) -> None:
    assert (first.dtype, first.shape) == (second.dtype, second.shape)
    assert first.reshape(-1).view(torch.uint8).tolist() == second.reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("name", ["m.safetensors", "folder"])
def test_what_is_written_comes_back(tmp_path: Path, name: str) -> None:
    tensors = weights()
    archive.write(tmp_path / name, CONFIG, tensors)
    found = archive.read(tmp_path / name)
    assert found.config == CONFIG
    assert found.tensors.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert_same(found.tensors[key], tensor)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_keeps_its_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    raw = torch.randint(0, 2 if dtype is torch.bool else 256, (6 * dtype.itemsize,), dtype=torch.uint8)
    tensor = raw.view(dtype).reshape(2, 3)
    archive.write(tmp_path / "m.safetensors", {}, {"x": tensor})
    assert_same(archive.read(tmp_path / "m.safetensors").tensors["x"], tensor)


def test_scalars_empty_strided_and_conjugate_tensors_come_back_as_values(tmp_path: Path) -> None:
    base = torch.randn(4, 6)
    tensors = {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "transposed": base.T,
        "view": base[1:, ::2],
        "overlapping": base[:2],
        "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
        "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
        "parameter": torch.nn.Parameter(base[0]),
    }
    archive.write(tmp_path / "m.safetensors", {}, tensors)
    found = archive.read(tmp_path / "m.safetensors").tensors
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name
        assert not found[name].requires_grad


def test_one_tensor_of_two_names_is_stored_once_and_comes_back_as_one(tmp_path: Path) -> None:
    shared, empty = torch.randn(1000), torch.empty(0)
    tensors = {"a": shared, "b": shared, "c": shared.clone(), "d": empty, "e": empty, "f": torch.empty(0)}
    archive.write(tmp_path / "m.safetensors", {}, tensors)
    found = archive.read(tmp_path / "m.safetensors").tensors
    assert found["a"] is found["b"]
    assert found["a"] is not found["c"]
    assert found["d"] is found["e"]
    assert found["d"] is not found["f"]
    assert 8000 < (tmp_path / "m.safetensors").stat().st_size < 9500


def test_the_header_is_read_without_the_tensors(file: Path) -> None:
    config, specs = archive.read_header(file)
    assert config == CONFIG
    assert specs == {
        "weights/dense.weight": ((3, 4), torch.float32),
        "weights/dense.bias": ((4,), torch.float32),
    }


def test_a_check_sees_the_header_before_any_tensor_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: dict[str, Any], specs: archive.Specs) -> None:
        assert config == CONFIG
        assert specs["weights/dense.bias"] == ((4,), torch.float32)
        raise ConfigError("these weights belong to another model")

    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("a tensor was allocated"))
    with pytest.raises(ConfigError, match="another model"):
        archive.read(file, check=refuse)


def test_equal_archives_are_equal_bytes(file: Path) -> None:
    before = file.read_bytes()
    found = archive.read(file)
    for _ in range(5):
        archive.write(file, found.config, found.tensors)
        assert file.read_bytes() == before


def test_any_safetensors_tool_reads_the_weights(file: Path) -> None:
    ours = archive.read(file).tensors
    with safetensors.safe_open(file, "pt") as opened:
        assert set(opened.keys()) == set(ours)
        assert opened.metadata()["format"] == "pt"
        assert json.loads(opened.metadata()["torchfunc"])["config"] == CONFIG
    for name, tensor in safetensors.torch.load_file(file).items():
        assert_same(tensor, ours[name])


def test_the_weights_of_another_tool_are_read_as_tensors(tmp_path: Path) -> None:
    tensors = weights()
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors", {"from": "elsewhere"})
    with pytest.raises(NotATorchfuncFileError, match=r"holds weights and no model.*load_weights\(path\)"):
        archive.read(tmp_path / "w.safetensors")
    for name, tensor in archive.read_tensors(tmp_path / "w.safetensors").items():
        assert_same(tensor, tensors[name])


def test_the_tensors_of_an_archive_are_read_alone(tmp_path: Path) -> None:
    shared = torch.randn(3)
    archive.write(tmp_path / "m", CONFIG, {"a": shared, "b": shared})
    found = archive.read_tensors(tmp_path / "m")
    assert found["a"] is found["b"]


def test_a_folder_holds_a_readable_config_and_weights_for_hubs(tmp_path: Path) -> None:
    archive.write(tmp_path / "hub", CONFIG, weights())
    assert sorted(each.name for each in (tmp_path / "hub").iterdir()) == ["config.json", "model.safetensors"]
    text = (tmp_path / "hub" / "config.json").read_text(encoding="utf-8")
    assert '\n  "format": "torchfunc"' in text
    assert json.loads(text)["config"] == CONFIG
    assert safetensors.torch.load_file(tmp_path / "hub" / "model.safetensors").keys() == weights().keys()


def test_the_weights_file_of_a_folder_is_an_archive_in_itself(tmp_path: Path) -> None:
    archive.write(tmp_path / "hub", CONFIG, weights())
    (tmp_path / "hub" / "config.json").unlink()
    assert archive.read(tmp_path / "hub").config == CONFIG
    assert archive.read(tmp_path / "hub" / "model.safetensors").config == CONFIG


def test_an_edited_config_json_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    archive.write(tmp_path / "hub", {"units": 64}, weights())
    copy = tmp_path / "hub" / "config.json"
    copy.write_text(copy.read_text().replace("64", "65"))
    with pytest.raises(ConfigError, match=r"config.json' is not the config that was saved.*delete the copy"):
        archive.read(tmp_path / "hub")


def test_tuples_come_back_as_lists(tmp_path: Path) -> None:
    archive.write(tmp_path / "m.safetensors", {"kernel_size": (3, 3)}, {})
    assert archive.read(tmp_path / "m.safetensors").config == {"kernel_size": [3, 3]}


def test_ten_thousand_tensors_are_no_trouble(tmp_path: Path) -> None:
    tensors = {f"weights/dense_{index}.weight": torch.full((2, 2), float(index)) for index in range(10_000)}
    archive.write(tmp_path / "m.safetensors", {"layers": [{"units": 2}] * 10_000}, tensors)
    found = archive.read(tmp_path / "m.safetensors")
    assert len(found.config["layers"]) == 10_000
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.h5", r"'.h5', which is HDF5.*Fix: model.save\('.*m.safetensors'\)"),
        ("m.keras", r"'.keras', which is Keras's own format"),
        ("m.pt", r"'.pt', which is a pickle of PyTorch"),
        ("m.PTH", r"'.pth', which is a pickle"),
        ("m.ckpt", "which is a pickle of Lightning"),
        ("m.pkl", "which is a pickle"),
        ("m.onnx", "which is ONNX"),
        ("m.txt", r"saves to '.safetensors' files and to folders .*, not to '.txt'"),
    ],
)
def test_another_formats_suffix_names_ours(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(SavingError, match=words):
        archive.write(tmp_path / name, {}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.pt", "m.pth", "m.ckpt", "m.pkl", "m.onnx"])
def test_reading_another_formats_suffix_names_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    words = r"named as .* torchfunc reads '.safetensors' files and folders. Fix: .*m.safetensors'\) wrote"
    with pytest.raises(NotATorchfuncFileError, match=words):
        archive.read(tmp_path / name)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "The config: expected a dict, got list"),
        (
            {"layers": [{"units": torch.tensor(3)}]},
            r"^\$.layers\[0\].units: expected plain JSON, got tensor\(3\)",
        ),
        ({"a": {3: "x"}}, r"^\$.a: expected keys that are text, got 3"),
        ({"rate": float("nan")}, r"^\$.rate: expected a finite number, got nan"),
        ({"rate": float("-inf")}, r"^\$.rate: expected a finite number, got -inf"),
        (
            {"seed": [{"x": 2**64}]},
            r"^\$.seed\[0\].x: expected a number of 64 bits, got 18446744073709551616",
        ),
        ({"f": len}, r"^\$.f: expected plain JSON, got <built-in function len>"),
        ({"name": "\ud800"}, r"^\$.name: expected text, got '\\ud800', which has half of a character"),
        ({"\udfff": 1}, r"^\$: expected keys that are text"),
        (nested(270), "nested deeper than the limit json_depth=256"),
        (nested(600), "is nested too deeply to be saved"),
    ],
)
def test_a_config_that_is_no_plain_json_is_refused_where_it_stands(
    tmp_path: Path, config: Any, words: str
) -> None:
    with pytest.raises(SavingError, match=words):
        archive.write(tmp_path / "m.safetensors", config, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("../x", torch.ones(1), r"'../x' is no name for a tensor"),
        ("a\x00b", torch.ones(1), r"'a\\x00b' is no name"),
        ("", torch.ones(1), "'' is no name"),
        ("w", [1.0], "'w': expected a torch.Tensor, got list"),
        ("w", torch.ones(1, device="meta"), "'w' has no values yet"),
        ("w", torch.nn.LazyLinear(3).weight, "'w' has no values yet"),
        ("w", torch.eye(3).to_sparse(), r"'w' cannot be saved as it is \(torch.float32, torch.sparse_coo\)"),
        (
            "w",
            torch.ones(1, dtype=torch.complex128),
            r"torch.complex128.*Fix: make it dense, of a plain dtype",
        ),
        ("w", torch.ones([1] * 9), "'w' has 9 dimensions, expected at most 8"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_a_tensor_that_is_no_plain_data_is_refused_by_name(
    tmp_path: Path, name: str, tensor: Any, words: str
) -> None:
    with pytest.raises(SavingError, match=words):
        archive.write(tmp_path / "m.safetensors", {}, {name: tensor})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.safetensors", "folder"])
def test_overwrite_false_keeps_what_is_there(tmp_path: Path, name: str) -> None:
    archive.write(tmp_path / name, {"v": 1}, {}, overwrite=False)
    with pytest.raises(SavingError, match=r"exists already. Fix: another path, or overwrite=True"):
        archive.write(tmp_path / name, {"v": 2}, {}, overwrite=False)
    assert archive.read(tmp_path / name).config == {"v": 1}


FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def raw_file(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def forged(
    document: str | dict[str, Any] | None = None,
    entries: dict[str, Any] | None = None,
    data: bytes = bytes(8),
    **metadata: Any,
) -> bytes:
    """An archive with right checksums, whatever it says."""
    if not isinstance(document, str):
        good = {"format": "torchfunc", "version": 1, "config": {}, "aliases": {}}
        document = json.dumps(good | (document or {}))
    entries = {"x": FLOATS} if entries is None else entries
    sums = {
        "document": zlib.crc32(document.encode("utf-8", "surrogatepass")),
        "tensors": dict.fromkeys(entries, zlib.crc32(bytes(8), beginning("x", torch.float32, [2]))),
    }
    texts = {"format": "pt", "torchfunc": document, "torchfunc_crc32": json.dumps(sums)}
    return raw_file(json.dumps({"__metadata__": texts | metadata, **entries}).encode(), data)


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": FLOATS | changes}


DOCUMENT = '{"format": "torchfunc", "version": 1, "config": %s, "aliases": {}}'

ATTACKS: list[tuple[str, bytes, type[SavingError], str]] = [
    ("empty", b"", CorruptFileError, "is incomplete: 0 of 9 bytes"),
    ("seven bytes", b"\x10" + bytes(6), CorruptFileError, "is incomplete: 7 of 9 bytes"),
    (
        "length 2**63",
        struct.pack("<Q", 2**63) + b"{}",
        CorruptFileError,
        "10 of 9,223,372,036,854,775,816 bytes",
    ),
    ("length 2**64 - 1", b"\xff" * 8 + b"{}", CorruptFileError, "is incomplete"),
    ("length over the size", struct.pack("<Q", 500) + b"{}", CorruptFileError, "incomplete: 10 of 508 bytes"),
    ("length 0", bytes(8) + b"{}", CorruptFileError, "is not valid"),
    ("no UTF-8", raw_file(b'{"\xff":1}'), CorruptFileError, "header.*is not valid.*utf-8"),
    ("byte order mark", raw_file(b"\xef\xbb\xbf{}"), NotATorchfuncFileError, "does not begin with '{'"),
    ("leading space", raw_file(b" {}"), NotATorchfuncFileError, "does not begin with '{'"),
    (
        "pickle",
        b"\x80\x02}q\x00." + bytes(20),
        NotATorchfuncFileError,
        "is a pickle, which torchfunc never loads",
    ),
    ("new pickle", b"\x80\x05\x95\x0b" + bytes(20), NotATorchfuncFileError, "is a pickle"),
    (
        "zip",
        b"PK\x03\x04" + bytes(20),
        NotATorchfuncFileError,
        "is a zip archive, as torch.save.* Fix: load what model.save",
    ),
    ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(20), NotATorchfuncFileError, "is an HDF5 file"),
    ("GGUF", b"GGUF" + bytes(20), NotATorchfuncFileError, "is a GGUF file"),
    ("program", b"\x7fELF" + bytes(20), NotATorchfuncFileError, "is a program"),
    (
        "text",
        b"Once upon a time there was",
        NotATorchfuncFileError,
        "is no safetensors file.* Fix: load what model.save",
    ),
    ("duplicate tensor", raw_file(b'{"x":1,"x":2}'), CorruptFileError, "'x' stands twice"),
    (
        "duplicate metadata",
        raw_file(b'{"__metadata__":{"a":"1","a":"2"}}'),
        CorruptFileError,
        "'a' stands twice",
    ),
    ("metadata no strings", raw_file(b'{"__metadata__":{"a":1}}'), CorruptFileError, "nothing but strings"),
    ("metadata a list", raw_file(b'{"__metadata__":[]}'), CorruptFileError, "nothing but strings"),
    ("weights alone", raw_file(b"{}"), NotATorchfuncFileError, "holds weights and no model"),
    ("header cut", raw_file(b'{"x":{"dtype"'), CorruptFileError, "is not valid"),
    ("two values", raw_file(b"{}{}"), CorruptFileError, "is not valid: Extra data"),
    (
        "header nested",
        raw_file(b'{"a":' + b"[" * 100_000),
        LimitError,
        "nested deeper than the limit json_depth=256",
    ),
    ("header of commas", raw_file(b'{"a":[' + b"1," * 1_000_001), LimitError, "limit json_items=1,000,000"),
    (
        "header of 17 MiB",
        raw_file(b"{" + b" " * (17 << 20) + b"}"),
        LimitError,
        "limit header_bytes=16,777,216",
    ),
    ("no checksums", forged(torchfunc_crc32=""), CorruptFileError, "list of checksums"),
    ("wrong checksums", forged(torchfunc_crc32="{}"), CorruptFileError, "checksums .* is damaged"),
    ("config changed", forged(torchfunc="{}"), CorruptFileError, "The config in .* is damaged"),
    (
        "other format",
        forged('{"format": "nemo"}'),
        NotATorchfuncFileError,
        "another format under the name 'torchfunc'",
    ),
    ("document a list", forged("[]"), NotATorchfuncFileError, "another format"),
    (
        "version 999",
        forged({"version": 999}),
        UnsupportedVersionError,
        "version 999; this torchfunc reads up to 2",
    ),
    ("version -1", forged({"version": -1}), ConfigError, r"\$.version: expected 1 to 2, got -1"),
    ("version '1'", forged({"version": "1"}), ConfigError, r"\$.version: expected an integer, got '1'"),
    ("version true", forged({"version": True}), ConfigError, r"\$.version: expected an integer, got True"),
    ("version 1.0", forged({"version": 1.0}), ConfigError, r"\$.version: expected an integer, got 1.0"),
    (
        "version 1e400",
        forged('{"format": "torchfunc", "version": 1e400}'),
        ConfigError,
        "1e400 is not finite",
    ),
    (
        "feature flag",
        forged({"requires": ["x"]}),
        ConfigError,
        r"expected no other fields, got \['requires'\]",
    ),
    (
        "config missing",
        forged('{"format": "torchfunc", "version": 1}'),
        ConfigError,
        r"\$.config: .*got nothing",
    ),
    ("config null", forged({"config": None}), ConfigError, r"\$.config: expected an object, got None"),
    ("config a list", forged({"config": []}), ConfigError, r"\$.config: expected an object"),
    ("document cut", forged('{"format": "torchfunc", "ver'), ConfigError, "The config in .* is not valid"),
    ("NaN", forged(DOCUMENT % '{"a": NaN}'), ConfigError, "NaN is not JSON"),
    ("Infinity", forged(DOCUMENT % '{"a": -Infinity}'), ConfigError, "-Infinity is not JSON"),
    ("1e999", forged(DOCUMENT % '{"a": 1e999}'), ConfigError, "1e999 is not finite"),
    ("5,000 digits", forged(DOCUMENT % ('{"a": %s}' % ("9" * 5000))), ConfigError, "does not fit 64 bits"),
    ("nested config", forged(DOCUMENT % ('{"a":' * 270 + "1" + "}" * 270)), LimitError, "json_depth=256"),
    (
        "brackets in strings hide none",
        forged(DOCUMENT % ('{"\\\\":' + "[" * 270)),
        LimitError,
        "json_depth=256",
    ),
    ("duplicate units", forged(DOCUMENT % '{"units": 999, "units": 3}'), ConfigError, "'units' stands twice"),
    ("half a surrogate", forged(DOCUMENT % r'{"name": "\ud800"}'), ConfigError, "surrogates not allowed"),
    (
        "no dtype",
        forged(entries={"x": {"shape": [2], "data_offsets": [0, 8]}}),
        CorruptFileError,
        "nothing else",
    ),
    ("extra field", forged(entries=entry(path="/etc/passwd")), CorruptFileError, "and nothing else"),
    ("entry a number", forged(entries={"x": 3}), CorruptFileError, "'x' needs 'dtype', 'shape'"),
    (
        "unknown dtype",
        forged(entries=entry(dtype="object")),
        CorruptFileError,
        "dtype 'object'. Known: BOOL, U8",
    ),
    ("dtype a list", forged(entries=entry(dtype=[])), CorruptFileError, r"dtype \[\]"),
    (
        "shape negative",
        forged(entries=entry(shape=[-2])),
        CorruptFileError,
        r"shape \[-2\]: expected at most 8",
    ),
    ("shape true", forged(entries=entry(shape=[True, 2])), CorruptFileError, r"shape \[True, 2\]"),
    ("shape 2.0", forged(entries=entry(shape=[2.0])), CorruptFileError, r"shape \[2.0\]"),
    ("shape '2'", forged(entries=entry(shape="2")), CorruptFileError, "shape '2'"),
    ("shape of 2**62", forged(entries=entry(shape=[0, 2**62])), CorruptFileError, "under 2"),
    (
        "5,000 dimensions",
        forged(entries=entry(shape=[1] * 5000)),
        CorruptFileError,
        r"\.\.\.: expected at most 8",
    ),
    (
        "more than there is",
        forged(entries=entry(shape=[10**9])),
        CorruptFileError,
        "8 bytes, expected 4000000000",
    ),
    ("offsets back", forged(entries=entry(data_offsets=[8, 0])), CorruptFileError, "-8 bytes, expected 8"),
    ("offsets negative", forged(entries=entry(data_offsets=[-8, 0])), CorruptFileError, "two places"),
    ("one offset", forged(entries=entry(data_offsets=[8])), CorruptFileError, "two places"),
    (
        "trailing bytes",
        forged(data=bytes(11)),
        CorruptFileError,
        "goes on for 3 bytes after its last tensor. Fix: copy",
    ),
    ("short body", forged(data=bytes(5)), CorruptFileError, r"is incomplete: \d+ of \d+ bytes"),
    (
        "hole",
        forged(entries=entry(data_offsets=[4, 12]), data=bytes(12)),
        CorruptFileError,
        "begins at byte 4",
    ),
    (
        "overlap",
        forged(entries=entry() | {"y": FLOATS}),
        CorruptFileError,
        "begins at byte 0 of the data, expected 8",
    ),
    ("other tensor", forged(entries=entry(shape=[2, 1])), CorruptFileError, "tensor 'x' is damaged"),
    ("other values", forged(data=b"\x01" * 8), CorruptFileError, "tensor 'x' is damaged"),
    (
        "booleans",
        forged(entries=entry(dtype="BOOL", shape=[8]), data=b"\x02" * 8),
        CorruptFileError,
        "no booleans",
    ),
    (
        "alias to nothing",
        forged({"aliases": {"y": "z"}}),
        ConfigError,
        r"\$.aliases: 'y' cannot stand for 'z'",
    ),
    ("alias to itself", forged({"aliases": {"y": "y"}}), ConfigError, "'y' cannot stand for 'y'"),
    ("alias of a tensor", forged({"aliases": {"x": "x"}}), ConfigError, "'x' cannot stand for 'x'"),
    ("alias chain", forged({"aliases": {"y": "x", "z": "y"}}), ConfigError, "'z' cannot stand for 'y'"),
    ("alias to a list", forged({"aliases": {"y": []}}), ConfigError, r"'y' cannot stand for \[\]"),
    ("alias upwards", forged({"aliases": {"../y": "x"}}), ConfigError, "cannot stand for"),
]
NAMES = ["", "..", "../../x", "/etc/passwd", "a//b", "a\\b", "a\0b", "a\nb", "\u202egnp", "x" * 1_000_000]


@pytest.mark.parametrize(("content", "kind", "words"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_a_file_of_a_stranger_gives_a_typed_error(
    tmp_path: Path, content: bytes, kind: type[SavingError], words: str
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(kind, match=words) as caught:
        archive.read(path)
    assert caught.type is kind
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_the_forgery_that_every_attack_starts_from_is_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(forged())
    assert archive.read(tmp_path / "m.safetensors").tensors["x"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:20] for name in NAMES])
def test_a_tensors_name_is_no_path_and_no_trick(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(forged(entries={name: FLOATS}))
    with pytest.raises(CorruptFileError, match="has a name that no tensor may have") as caught:
        archive.read(tmp_path / "m.safetensors")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["слой/вес", "dense 1/weight:0", "a.b-c_d/e@f", "🙂"])
def test_a_name_may_be_written_in_any_language(tmp_path: Path, name: str) -> None:
    archive.write(tmp_path / "m.safetensors", {}, {name: torch.ones(2)})
    assert list(archive.read(tmp_path / "m.safetensors").tensors) == [name]


@pytest.mark.parametrize("damage", ["zeroed", "swapped"])
def test_blocks_that_a_disk_lost_are_noticed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.safetensors"
    archive.write(path, CONFIG, {"w": torch.randn(8192), "v": torch.randn(8192)})
    good = path.read_bytes()
    for block in range(len(good) // 4096 - 1):
        bad, place = bytearray(good), block * 4096
        other = bytes(4096) if damage == "zeroed" else good[place + 4096 : place + 8192]
        if damage == "swapped":
            bad[place + 4096 : place + 8192] = bad[place : place + 4096]
        bad[place : place + 4096] = other.ljust(4096, b"\0")[: len(bad) - place]
        path.write_bytes(bad)
        with pytest.raises(SavingError):
            archive.read(path)


def test_a_file_cut_anywhere_gives_a_typed_error(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(
            CorruptFileError, match=f"is incomplete: {length:,} of .* bytes. Fix: copy or download it again"
        ):
            archive.read(file)


def test_one_bit_flipped_anywhere_gives_a_typed_error(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(len(whole)):
        bad = bytearray(whole)
        bad[place] ^= 1 << (place % 8)
        file.write_bytes(bad)
        try:
            found = archive.read(file)
        except SavingError:
            continue
        # Only what nobody reads may differ: the spaces that fill the header up, the word "pt".
        assert found.config == CONFIG
        assert all(
            torch.equal(found.tensors[name], tensor) for name, tensor in archive_of(whole, file).items()
        )


def archive_of(content: bytes, file: Path) -> dict[str, torch.Tensor]:
    file.write_bytes(content)
    return archive.read(file).tensors


def test_what_we_accept_safetensors_accepts_too(file: Path) -> None:
    """Our rules are stricter than theirs: a mutation that we read, they read alike."""
    whole = file.read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = whole[8 : 8 + length]
    accepted = 0
    for place in range(len(header)):
        for new in b'0 "{}[],:':
            changed = header[:place] + bytes([new]) + header[place + 1 :]
            file.write_bytes(whole[:8] + changed + whole[8 + length :])
            try:
                ours = archive.read_tensors(file)
            except SavingError:
                continue
            theirs = safetensors.torch.load_file(file)
            assert ours.keys() == theirs.keys()
            accepted += 1
    assert accepted


def test_limits_can_be_raised_for_a_file_that_is_trusted(tmp_path: Path) -> None:
    config: Any = nested(50)
    archive.write(tmp_path / "m.safetensors", config, {})
    with pytest.raises(LimitError, match="json_depth=20"):
        archive.read(tmp_path / "m.safetensors", limits=Limits(json_depth=20))
    assert archive.read(tmp_path / "m.safetensors", limits=Limits(json_depth=60)).config == config


def test_too_many_tensors_are_refused_unread_and_unwritten(tmp_path: Path) -> None:
    few, many = Limits(tensors=3), {str(index): torch.empty(0) for index in range(4)}
    archive.write(tmp_path / "m.safetensors", {}, many)
    with pytest.raises(LimitError, match="has 4 tensors, over the limit tensors=3"):
        archive.read(tmp_path / "m.safetensors", limits=few)
    with pytest.raises(LimitError, match="This archive has 4 tensors, over the limit tensors=3"):
        archive.write(tmp_path / "n.safetensors", {}, many, limits=few)


def test_a_pipe_a_device_and_a_missing_file_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", Path("/dev/zero")):
        with pytest.raises(NotATorchfuncFileError, match="is no regular file"):
            archive.read(path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        archive.read(tmp_path / "nothing.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=r"model.safetensors"):
        archive.read(tmp_path / "folder")


def test_a_file_that_shrinks_while_it_is_read_gives_a_typed_error(file: Path) -> None:
    def cut(*_: Any) -> None:
        os.truncate(file, file.stat().st_size - 10)

    with pytest.raises(CorruptFileError, match="became shorter while it was read"):
        archive.read(file, check=cut)


def test_a_later_change_of_the_file_does_not_reach_the_tensors(file: Path) -> None:
    found = archive.read(file).tensors["weights/dense.weight"]
    before = found.clone()
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(found, before)


CHILD = """
import sys, torch
from torchfunc.saving import archive
from torchfunc.errors import TorchfuncError
for path in sys.argv[1:]:
    try: archive.read(path)
    except TorchfuncError: pass
events, modules = [], set(sys.modules)
sys.addaudithook(lambda event, args: events.append((event, str(args[0]) if args else "")))
for path in sys.argv[1:]:
    try: archive.read(path)
    except TorchfuncError: pass
opened = [name for event, name in events if event == "open" and not name.isdigit()]
quiet = {"open", "object.__getattr__", "sys._getframe", "os.putenv"}
print(sorted(opened) == sorted(sys.argv[1:]), {e for e, _ in events} - quiet, set(sys.modules) - modules)
"""


def test_reading_opens_one_file_and_imports_and_runs_nothing(tmp_path: Path) -> None:
    paths = []
    for name, content, _, _ in ATTACKS:
        paths.append(str(tmp_path / f"{name.replace('/', '')}.safetensors"))
        Path(paths[-1]).write_bytes(content)
    archive.write(tmp_path / "good.safetensors", CONFIG, weights())
    command = [sys.executable, "-c", CHILD, *paths, str(tmp_path / "good.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True set() set()", done.stdout + done.stderr


BOMBS = {
    "header of 16 MiB of lists": raw_file(b'{"a":[' + b"[]," * (5 << 20)),
    "items under the limit": raw_file(b'{"a":[' + b"[]," * 499_000 + b"[]]}"),
    "escapes": raw_file(b'{"__metadata__":{"torchfunc":"' + b'\\"' * (8_000_000) + b'"}}'),
    "brackets": raw_file(b"{" + b"]" * 16_000_000),
    "strings": raw_file(b"{" + b'"",' * 5_000_000),
    **{
        f"{count} empty tensors": raw_file(
            b"{%s}"
            % b",".join(
                b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % index for index in range(count)
            )
        )
        for count in (30_000, 50_000, 65_000)
    },
    "long keys": raw_file(b"{%s}" % b",".join(b'"%06d":1.5' % index for index in range(400_000))),
    "escaped and wide": forged({"config": {"a": "\U0001f642" + "a" * 7_000_000}}),
    "a terabyte": raw_file(b'{"x":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}'),
}
GROWTH = """
import os, resource, sys, torch
from torchfunc.saving import archive
from torchfunc.errors import TorchfuncError

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
good, *bombs = sys.argv[1:]
archive.write(good, {}, {"x": torch.zeros(2)})
archive.read(good)
for bomb in bombs:
    child = os.fork()
    if child == 0:
        before = peak()
        try: archive.read_tensors(bomb)
        except TorchfuncError: pass
        os.write(1, f"{peak() - before}\\n".encode())
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_a_bomb_takes_twice_its_size_and_64_megabytes_at_most(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(len(BOMBS))]
    for path, content in zip(paths, BOMBS.values(), strict=True):
        path.write_bytes(content)
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "good.safetensors"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = [int(line) * 1024 for line in done.stdout.split()]
    for name, grown in zip(BOMBS, growth, strict=True):
        assert grown <= 2 * len(BOMBS[name]) + (64 << 20), name


def held(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "m.safetensors").write_bytes(content)
    return tmp_path / "m.safetensors"


def empty_tensors(count: int) -> bytes:
    """A file whose header lists many tensors of no bytes."""
    table = {str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)}
    return raw_file(json.dumps(table).encode())


@pytest.mark.parametrize("cut", [0, 1, 7, 1000])
def test_the_checksum_of_two_pieces_is_that_of_both(cut: int) -> None:
    data = os.urandom(1000)
    parts = zlib.crc32(data[:cut]), zlib.crc32(data[cut:])
    assert joined(*parts, 1000 - cut) == zlib.crc32(data)
    assert joined(zlib.crc32(b"x"), zlib.crc32(bytes(5 << 20)), 5 << 20) == zlib.crc32(b"x" + bytes(5 << 20))


def test_large_tensors_are_read_in_spans_by_several_threads_and_each_byte_is_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    tensors = {
        "large": torch.randn(6_000_000),
        "small": torch.randn(3),
        "half": torch.randn(5_000_001).half(),
    }
    path = tmp_path / "m.safetensors"
    archive.write(path, {}, tensors)
    real, threads, read = os.preadv, set(), []

    def preadv(descriptor: int, views: Any, place: int) -> int:
        threads.add(threading.get_ident())
        count = real(descriptor, views, place)
        read.append((place, count))
        return count

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(checksums, "_processors", lambda: 3)
    found = archive.read(path).tensors
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].untyped_storage().nbytes() == tensor.nbytes
        assert found[name].data_ptr() % 64 == 0
    assert 2 <= len(threads) <= 4
    begin = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    data = sorted((place, count) for place, count in read if place >= begin)
    assert sum(count for _, count in data) == sum(each.nbytes for each in tensors.values())
    assert all(place + count == after for (place, count), (after, _) in itertools.pairwise(data))
    assert threading.active_count() == before
    whole = bytearray(path.read_bytes())
    for place in (begin, begin + (8 << 20) - 1, begin + (8 << 20), begin + (16 << 20) + 5, len(whole) - 1):
        whole[place] ^= 4
        path.write_bytes(whole)
        with pytest.raises(CorruptFileError, match=r"tensor '\w+' is damaged"):
            archive.read(path)
        whole[place] ^= 4


def test_a_tensor_that_was_read_may_be_kept_saved_shared_and_changed(file: Path, tmp_path: Path) -> None:
    found = archive.read(file).tensors["weights/dense.weight"]
    before = found.clone()
    archive.write(tmp_path / "again.safetensors", {}, {"x": found})
    assert torch.equal(archive.read(tmp_path / "again.safetensors").tensors["x"], before)
    buffer = io.BytesIO()
    torch.save(found, buffer)
    assert len(buffer.getvalue()) < 3000  # nothing but itself
    assert torch.equal(pickle.loads(pickle.dumps(found)), before)
    found += 1
    assert torch.equal(found, before + 1)
    assert torch.equal(found.share_memory_(), before + 1)


def test_the_file_is_laid_out_as_safetensors_does(tmp_path: Path) -> None:
    tensors = {
        f"{index % 7}{index}": torch.zeros(3, dtype=each) for index, each in enumerate(DTYPES.values())
    }
    archive.write(tmp_path / "m.safetensors", {}, tensors)
    raw = (tmp_path / "m.safetensors").read_bytes()
    theirs = safetensors.torch.save(tensors)

    def table(data: bytes) -> list[Any]:
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        return [item for item in header.items() if item[0] != "__metadata__"]

    assert table(raw) == table(theirs)


def test_names_can_be_chosen_before_anything_is_read(file: Path) -> None:
    found = archive.read_tensors(file, check=lambda specs: [name for name in specs if "bias" in name])
    assert list(found) == ["weights/dense.bias"]
    assert list(archive.read(file, check=lambda config, specs: []).tensors) == []


def test_a_binary_file_is_written_where_it_stands_and_read_from_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "anything").open("w+b") as on_disk:
        for file in (io.BytesIO(), on_disk):
            file.write(b"before")
            archive.write(file, {"number": 1}, {"x": torch.ones(3)})
            middle = file.tell()
            archive.write(file, {"number": 2}, {"x": torch.zeros(3)})
            file.seek(6)
            assert archive.read(file).config == {"number": 1}
            assert file.tell() == middle
            assert torch.equal(archive.read_tensors(file)["x"], torch.zeros(3))
            assert file.read() == b""


def test_a_stream_gives_the_same_errors_and_stays_where_it_was() -> None:
    for name, content, kind, words in ATTACKS:
        if name == "trailing bytes":  # the next thing in the stream, for somebody else to read
            continue
        stream = io.BytesIO(b"before" + content)
        stream.seek(6)
        with pytest.raises(kind, match=words):
            archive.read(stream)
        assert stream.tell() == 6, name


@pytest.mark.parametrize(
    "stream", [io.StringIO("{}"), 5, None, [b"x"]], ids=["text", "number", "none", "list"]
)
def test_what_is_no_binary_file_is_refused(stream: Any) -> None:
    with pytest.raises(
        SavingError, match=r"Expected a path or a binary file that can be read anywhere, got .*Fix"
    ):
        archive.read(stream)
    with pytest.raises(SavingError, match="Expected a path or an open binary file, got"):
        archive.write(stream, {}, {})


def test_a_pipe_is_no_file_that_can_be_read_anywhere() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as file, pytest.raises(SavingError, match="can be read anywhere"):
        archive.read(file)


def test_a_file_that_grows_while_it_is_read_gives_what_was_saved(file: Path) -> None:
    def grow(*_: Any) -> None:
        with file.open("ab") as more:
            more.write(bytes(100))

    assert archive.read(file, check=grow).config == CONFIG
    with pytest.raises(CorruptFileError, match="goes on for 100 bytes after its last tensor"):
        archive.read(file)


def test_a_link_to_itself_and_a_folder_named_as_a_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    with pytest.raises(OSError, match="symbolic links"):
        archive.read(tmp_path / "loop.safetensors")
    (tmp_path / "folder" / "model.safetensors").mkdir(parents=True)
    with pytest.raises(NotATorchfuncFileError, match="is no regular file"):
        archive.read(tmp_path / "folder")


def test_a_sparse_file_of_a_terabyte_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    header = raw_file(b'{"x":{"dtype":"U8","shape":[549755813888,2],"data_offsets":[0,1099511627776]}}')
    path = held(tmp_path, header)
    os.truncate(path, len(header) + (1 << 40))
    with pytest.raises(ConfigError, match="another model"):
        archive.read_tensors(path, check=refused)
    assert inspect(path).parameters == 1 << 40


def refused(_: Any) -> list[str]:
    raise ConfigError("it is another model")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (r'"\ud83d\ude00"', True), (r'"\ud83d"', False), (r'"\ude00"', False), (r'"\ude00\ud83d"', False),
        (r'"\ud83d\ud83d\ude00"', False), (r'"\ud83d\\ude00"', False), (r'"\\ud83d"', True),
        (r'"\\\ud83d\ude00"', True), (r'{"\ud800": 1}', False),
    ],
)  # fmt: skip
def test_half_of_a_pair_of_surrogates_is_no_text(text: str, good: bool) -> None:
    if good:
        assert parse_json(text.encode(), "It", Limits()).encode()
    else:
        with pytest.raises(ConfigError, match="surrogates not allowed"):
            parse_json(text.encode(), "It", Limits())


def test_what_json_would_take_of_memory_is_known_before_it_is_parsed(tmp_path: Path) -> None:
    wide = "\U0001f642" + "a" * 15_000_000  # four bytes for each character
    with pytest.raises(LimitError, match="would take about .* bytes of memory"):
        archive.read(held(tmp_path, forged({"config": {"a": wide}})))
    with pytest.raises(
        LimitError, match="would take about .* twice the size of the file and the limit memory"
    ):
        archive.read_tensors(held(tmp_path, empty_tensors(65_000)))
    assert len(archive.read_tensors(tmp_path / "m.safetensors", limits=Limits(memory=1 << 30))) == 65_000


def test_nothing_is_written_that_would_be_too_much_to_read(tmp_path: Path) -> None:
    for config in ({"a": {f"{i:06}": 0.5 for i in range(450_000)}}, {"a": "\U0001f642" + "a" * 15_000_000}):
        with pytest.raises(LimitError):
            archive.write(tmp_path / "m.safetensors", config, {})
    assert list(tmp_path.iterdir()) == []
