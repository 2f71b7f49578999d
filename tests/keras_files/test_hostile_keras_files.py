"""The promise about files, for Keras's: archives that lie, HDF5 that reaches beyond itself, configs that ask for code.

Each is opened in a child process with an audit hook, and limits of memory and time; see `tests/hostile.py`.
"""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import torchfunc as tf
from tests.hostile import faults, outcomes
from torchfunc import layers
from torchfunc.keras_files.zipped import zip_of

Members = dict[str, bytes]


def small() -> Any:
    x = tf.Input((4,), name="x")
    hidden = layers.Dense(3, name="first")(x)
    model = tf.Model(x, layers.Dense(2, name="last")(hidden), name="net")
    model.compile("adam", "mse")
    return model


def bytes_of(suffix: str) -> bytes:
    """A file of a small model, as it is written here."""
    from torchfunc.keras_files import writing

    write = {".keras": writing.keras_file, ".h5": writing.older_file, ".weights.h5": writing.weights_file}[
        suffix
    ]
    return bytes(write(small()))


def members() -> Members:
    with zipfile.ZipFile(io.BytesIO(bytes_of(".keras"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check(files: Mapping[str, bytes], folder: Path, *, typed: bool = True, seconds: float = 20) -> list[str]:
    """Load each file in a child; returns the messages, once nothing broke the promise."""
    paths = []
    for number, (name, data) in enumerate(files.items()):
        suffix = name.rpartition("|")[2] if "|" in name else ".keras"
        path = folder / f"{number}{suffix}"
        path.write_bytes(data)
        paths.append(path)
    target = small()

    def load(path: Path) -> str:
        if path.name.endswith(".weights.h5"):
            target.load_weights(path)
        else:
            tf.load_model(path)
        return "loaded"

    wrong, messages = [], []
    named = zip(files, outcomes(paths, load, seconds=seconds), strict=True)
    for name, (path, found) in named:
        wrong += [f"{name}: {each}" for each in faults(found, [path], path.stat().st_size)]
        if typed and found.ending != "typed":
            wrong.append(f"{name}: {found.ending}, expected an error")
        if found.ending == "typed" and str(path) not in found.message:
            wrong.append(f"{name}: the file is not named: {found.message[:200]}")
        messages.append(found.message)
    assert wrong == []
    return messages


# --- Archives --------------------------------------------------------------------------------------------------


def archive(*listed: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as made:
        warnings.simplefilter("ignore")  # of a name that stands there twice
        for name, data in listed:
            made.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return file.getvalue()


def changed(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Bytes of the first such header of an archive put in another way."""
    place = data.index(signature) + offset
    return data[:place] + value + data[place + len(value) :]


LISTED, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def archives() -> Iterator[tuple[str, bytes]]:
    parts = members()
    whole = bytes_of(".keras")
    items = list(parts.items())
    yield "nothing", b""
    yield "no archive", b"PK\x03\x04" + bytes(200)
    yield "cut short", whole[: len(whole) // 2]
    yield "a pickle", b"\x80\x04K\x01." * 50
    yield "a name that stands there twice", archive(*items, ("config.json", b"{}"))
    for name in ("../config.json", "/etc/passwd", "a\\b", "assets/../../x", "a\x1b[2J", "a" * 2000):
        yield f"the name {name[:20]!a}", archive(*items, (name, b"x"))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"compressed by method {method}", archive(*items, method=method)
    yield "encrypted", changed(whole, LISTED, 8, b"\x01\x00")
    yield "a size that is not so", changed(whole, LISTED, 24, struct.pack("<I", 2**31))
    yield "both sizes are not so", changed(whole, LISTED, 20, struct.pack("<II", 2**31, 2**31))
    yield "a place that is not so", changed(whole, LISTED, 42, struct.pack("<I", 7))
    yield "another name at the place", changed(whole, LOCAL, 30, b"M")
    yield "another checksum", changed(whole, LISTED, 16, b"\0\0\0\0")
    yield "a list as long as the file", changed(whole, END, 12, struct.pack("<II", len(whole) - 40, 0))
    yield "many members", archive(*items, *((f"assets/{number}", b"") for number in range(11_000)))
    bomb = archive(*((name, bytes(96 << 20)) for name in ("config.json",)), method=zipfile.ZIP_DEFLATED)
    yield "a bomb in the config", bomb
    full = archive(
        *((name, data) for name, data in items if name != "model.weights.h5"),
        ("model.weights.h5", bytes(200 << 20)),
        method=zipfile.ZIP_DEFLATED,
    )
    yield "a bomb in the weights", full
    for left in parts:
        yield f"without {left}", zip_of({name: data for name, data in items if name != left})
    arrays = {name: data for name, data in items if name != "model.weights.h5"}
    yield "weights of NumPy", zip_of({**arrays, "model.weights.npz": b"PK"})
    yield "weights that are no HDF5", zip_of({**parts, "model.weights.h5": b"x" * 1000})
    yield "a config that is no JSON", zip_of({**parts, "config.json": b"{"})
    yield "a config of a number", zip_of({**parts, "config.json": b"3"})
    yield "a key twice", zip_of({**parts, "config.json": b'{"a": 1, "a": 2}'})
    yield "deep JSON", zip_of({**parts, "config.json": b"[" * 100_000 + b"]" * 100_000})
    yield "no number", zip_of({**parts, "config.json": b'{"a": NaN}'})


def test_archives_that_lie_are_refused(tmp_path: Path) -> None:
    messages = check(dict(archives()), tmp_path)
    assert sum("Fix:" in each for each in messages) >= 24


# --- HDF5 ------------------------------------------------------------------------------------------------------


def hdf5(change: Callable[[Any], Any], suffix: str = ".weights.h5") -> bytes:
    """A file of a small model with something changed by h5py."""
    memory = io.BytesIO(bytes_of(suffix))
    with h5py.File(memory, "r+") as file:
        change(file)
    return memory.getvalue()


PLACE = "layers/dense/vars/0"


def replaced(make: Callable[[Any, str], Any]) -> bytes:
    """The first weight made in another way."""

    def change(file: Any) -> None:
        del file[PLACE]
        make(file, PLACE)

    return hdf5(change)


def stored(**options: Any) -> bytes:
    return replaced(
        lambda file, place: file.create_dataset(place, data=np.ones((4, 3), "float32"), **options)
    )


def virtual(file: Any, place: str) -> None:
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4, 3))
    file.create_virtual_dataset(place, layout)


def groups(depth: int) -> Callable[[Any], None]:
    return lambda file: file.create_group("/".join(["g"] * depth))


def hdf5_files() -> Iterator[tuple[str, bytes]]:
    link = h5py.SoftLink("/layers/dense_1/vars/0")
    yield "a soft link", replaced(lambda file, place: file.__setitem__(place, link))
    yield "a soft link to nowhere", replaced(lambda file, place: file.__setitem__(place, h5py.SoftLink("/x")))
    for target in ("/etc/hostname", "other.h5", "http://x/y.h5"):
        outside = h5py.ExternalLink(target, "/x")
        yield f"a link to {target}", replaced(lambda file, place, link=outside: file.__setitem__(place, link))
    yield (
        "a link for a group",
        hdf5(lambda file: file.__setitem__("layers/x", h5py.ExternalLink("o.h5", "/"))),
    )
    outside = [("/etc/hostname", 0, 48)]
    yield (
        "stored in another file",
        replaced(lambda file, place: file.create_dataset(place, (4, 3), "float32", external=outside)),
    )
    yield "put together from others", replaced(virtual)
    for filters in ({"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {"compression": "lzf"}):
        yield f"filtered {filters}", stored(chunks=(2, 3), **filters)
    yield "never written", replaced(lambda file, place: file.create_dataset(place, (4, 3), "float32"))
    huge: dict[str, Any] = {"shape": (2**20, 2**20), "dtype": "float32", "chunks": (64, 64)}
    yield "large and empty", replaced(lambda file, place: file.create_dataset(place, **huge))
    yield (
        "large and written a little",
        replaced(lambda file, place: file.create_dataset(place, **huge).__setitem__((0, 0), 1.0)),
    )
    for name, dtype in (
        ("text", h5py.string_dtype()), ("lists", h5py.vlen_dtype("float32")), ("references", h5py.ref_dtype),
        ("records", np.dtype([("a", "f4"), ("b", "f4")])), ("opaque", np.dtype("V8")), ("short text", "S5"),
        ("arrays", np.dtype(("f4", (2,)))), ("complex", "complex64"),
    ):  # fmt: skip
        yield name, replaced(lambda file, place, dtype=dtype: file.create_dataset(place, (4, 3), dtype))
    yield "nothing at all", replaced(lambda file, place: file.create_dataset(place, data=h5py.Empty("f")))
    yield "a group", replaced(lambda file, place: file.create_group(place))
    yield "a type", hdf5(lambda file: file.__setitem__("layers/t", np.dtype("f4")))
    yield "a second name", hdf5(lambda file: file.__setitem__("layers/dense/vars/7", file[PLACE]))
    yield "a circle", hdf5(lambda file: file.__setitem__("layers/dense/again", file["layers"]))
    yield "the root again", hdf5(lambda file: file.__setitem__("layers/root", file["/"]))
    yield "very deep groups", hdf5(groups(400))
    yield (
        "another shape",
        replaced(lambda file, place: file.create_dataset(place, data=np.ones((3, 4), "f4"))),
    )
    yield (
        "whole numbers",
        replaced(lambda file, place: file.create_dataset(place, data=np.ones((4, 3), "i4"))),
    )
    yield "one weight less", hdf5(lambda file: file.__delitem__(PLACE))
    yield "one weight more", hdf5(lambda file: file.__setitem__("layers/dense/vars/2", np.ones(3, "f4")))
    yield "a name with a bell", hdf5(lambda file: file.create_group("layers/\x07"))


def older_files() -> Iterator[tuple[str, bytes]]:
    def attribute(name: str, value: Any, place: str = "/") -> bytes:
        return hdf5(lambda file: file[place].attrs.__setitem__(name, value), ".h5")

    yield "no text for a config", attribute("model_config", np.ones(3))
    yield (
        "a reference for a config",
        hdf5(lambda file: file.attrs.__setitem__("model_config", file.ref), ".h5"),
    )
    yield "no JSON", attribute("model_config", "{")
    yield "numbers for names", attribute("layer_names", np.ones(3), "model_weights")
    yield "a layer that is not there", attribute("layer_names", [b"x", b"y"], "model_weights")
    yield "a weight that is not there", attribute("weight_names", [b"x", b"y"], "model_weights/first")
    yield "a weight elsewhere", attribute("weight_names", [b"../last/x", b"y"], "model_weights/first")
    yield "no text for training", attribute("training_config", "[]")
    yield (
        "a training that needs code",
        attribute(
            "training_config",
            json.dumps({"loss": "os.system", "optimizer_config": {"class_name": "Adam", "config": {}}}),
        ),
    )


def test_hdf5_that_reaches_beyond_itself_is_refused(tmp_path: Path) -> None:
    files = {f"{name}|.weights.h5": data for name, data in hdf5_files()}
    messages = check(files | {f"{name}|.h5": data for name, data in older_files()}, tmp_path)
    refused = [each for each in messages if "Expected numbers that lie in this file" in each]
    assert len(refused) > 20 and all(
        "Fix: model.save(path) in Keras, or `h5repack" in each for each in refused
    )


def test_a_dataset_in_chunks_without_filters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(stored(chunks=(2, 3)))
    model = small()
    model.load_weights(path)
    assert np.array_equal(model.get_weights()[0], np.ones((4, 3)))


# --- Configs ---------------------------------------------------------------------------------------------------

CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}


def with_layer(change: Callable[[dict[str, Any]], Any], whole: bool = False) -> bytes:
    """The file with its first Dense, or its whole config, changed."""
    parts = members()
    config = json.loads(parts["config.json"])
    found = config if whole else next(each for each in config["config"]["layers"] if each["name"] == "first")
    change(found)
    return zip_of({**parts, "config.json": json.dumps(config).encode()})


def named(module: str | None, name: str, config: Any = None, registered: str | None = None) -> bytes:
    said = {
        "module": module,
        "class_name": name,
        "config": config or {"name": "first"},
        "registered_name": registered,
    }
    return with_layer(lambda entry: entry.update(said))


def set_to(key: str, value: Any) -> bytes:
    return with_layer(lambda entry: entry["config"].__setitem__(key, value))


def configs() -> Iterator[tuple[str, bytes]]:
    for module, name in (
        ("os", "system"), ("builtins", "eval"), ("builtins", "exec"), ("subprocess", "Popen"), ("keras", "Model"),
        ("keras.utils", "get_file"), ("numpy", "load"), ("torch", "load"), ("torch.nn", "Linear"), (None, "Torch"),
        ("keras.src.ops.numpy", "os.system"), ("keras.src.ops.core", "Map"), ("torchfunc.layers", "Torch"),
    ):  # fmt: skip
        yield f"the class {module}.{name}", named(module, name)
    pickled = {"name": "first", "module": {"class_name": "torch.nn.Linear", "config": {}}}
    yield "a pickle of PyTorch", named("keras.layers", "TorchModuleWrapper", pickled)
    for name in ("TFSMLayer", "JaxLayer", "FlaxLayer"):
        yield f"a program in {name}", named("keras.layers", name, {"name": "first", "filepath": "/etc"})
    yield "code in a Lambda", named("keras.layers", "Lambda", {"name": "first", "function": CODE})
    yield (
        "a function in a Lambda",
        named("keras.layers", "Lambda", {"name": "first", "function": "os.system"}),
    )
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    yield "a function of a module", named("keras.layers", "Lambda", {"name": "first", "function": function})
    for key in ("activation", "kernel_initializer", "kernel_regularizer", "kernel_constraint"):
        yield f"code for {key}", set_to(key, CODE)
        yield f"a function for {key}", set_to(key, function)
        yield f"a class for {key}", set_to(key, {"module": "os", "class_name": "system", "config": {}})
    yield "code among arguments", with_layer(lambda entry: entry["inbound_nodes"][0]["args"].append(CODE))
    for value in (2**40, 2**62, -1, 0, 1.5, "3", None, [3], {"a": 1}, True):
        yield f"units {value}", set_to("units", value)
    yield "an argument of nobody's", set_to("unknown", 1)
    yield "a strange dtype", set_to("dtype", {"class_name": "Int8", "config": {"name": "int8_from_float32"}})
    yield "a dtype that is no name", set_to("dtype", ["float32"])
    yield "a name that every module has", with_layer(lambda entry: entry.__setitem__("name", 3))
    yield "no calls", with_layer(lambda entry: entry.pop("inbound_nodes"))
    yield "calls that are none", with_layer(lambda entry: entry.__setitem__("inbound_nodes", [[3]]))
    yield "a keyword of nobody's", with_layer(lambda entry: entry["inbound_nodes"][0]["kwargs"].update(x=3))

    def history(*place: Any) -> bytes:
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": list(place)}}
        return with_layer(lambda entry: entry["inbound_nodes"][0].__setitem__("args", [tensor]))

    yield "a circle", history("last", 0, 0)
    yield "itself", history("first", 0, 0)
    yield "a layer that is not there", history("nobody", 0, 0)
    yield "a call that is not there", history("x", 7, 0)
    yield "a tensor that is not there", history("x", 0, 9)
    yield "numbers that are none", history("x", -1, "0")
    yield (
        "a long constant",
        with_layer(
            lambda entry: entry["inbound_nodes"][0]["args"].__setitem__(
                0, {"class_name": "__tensor__", "config": {"value": [[1.0] * 4] * 2, "dtype": "load"}}
            )
        ),
    )
    for key, value in (
        ("layers", 3),
        ("input_layers", []),
        ("output_layers", [["first", 0, 5]]),
        ("name", 3),
    ):
        said = {key: value}
        yield (
            f"{key} of another kind",
            with_layer(lambda whole, said=said: whole["config"].update(said), True),
        )
    yield (
        "two of one name",
        with_layer(lambda whole: whole["config"]["layers"].append(whole["config"]["layers"][1]), True),
    )

    def nest(whole: dict[str, Any]) -> None:
        for number in range(60):
            inner = {"class_name": whole["class_name"], "config": whole["config"]}
            whole["class_name"], whole["config"] = "Sequential", {"name": f"s{number}", "layers": [inner]}

    yield "models in models in models", with_layer(nest, True)


def test_configs_that_ask_for_code_or_more_than_there_is_are_refused(tmp_path: Path) -> None:
    files = dict(configs())
    messages = dict(zip(files, check(files, tmp_path), strict=True))
    assert (
        "it holds the code of a Python function, which is never executed here" in messages["code in a Lambda"]
    )
    assert "it is a pickle, which torchfunc never loads" in messages["a pickle of PyTorch"]
    assert "Fix: register the class, or load_model(path, custom_objects=" in messages["the class os.system"]
    fitting = "weights do not fit", "for which the model has no weight"
    assert all("$.config" in each or any(word in each for word in fitting) for each in messages.values())


def test_a_layer_for_weights_that_no_file_has_takes_no_memory(tmp_path: Path) -> None:
    (message,) = check({"large": set_to("units", 2**31)}, tmp_path)
    assert "is (4, 3) float32 instead of (4, 2147483648) float32" in message


def mutated(seed: int) -> tuple[str, bytes]:
    """A file with some of its bytes changed, or an archive whose weights or config were."""
    draw = random.Random(seed)
    suffix = draw.choice([".keras", ".h5", ".weights.h5"])
    data = bytearray(bytes_of(suffix))
    parts = members() if suffix == ".keras" and draw.random() < 0.7 else None
    name = draw.choice(["config.json", "model.weights.h5"])
    if parts is not None:
        data = bytearray(parts[name])
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        data[draw.randrange(len(data))] = draw.choice([0, 255, draw.randrange(256)])
    if draw.random() < 0.1:
        del data[draw.randrange(len(data)) :]
    return f"{seed}|{suffix}", bytes(data) if parts is None else zip_of({**parts, name: bytes(data)})


@pytest.mark.parametrize("begin", range(0, 600, 200))
def test_changed_files_give_a_model_or_an_error_of_ours(begin: int, tmp_path: Path) -> None:
    check(dict(mutated(seed) for seed in range(begin, begin + 200)), tmp_path, typed=False, seconds=60)


def test_a_load_that_fails_leaves_a_model_as_it_was(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "m.weights.h5"
    before = [each.copy() for each in model.get_weights()]
    path.write_bytes(replaced(lambda file, place: file.create_dataset(place, data=np.ones((3, 4), "f4"))))
    with pytest.raises(
        tf.errors.WeightMismatchError, match="m.weights.h5.*'layers/dense/vars/0' is \\(3, 4\\)"
    ):
        model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.warns(UserWarning, match="left these as they were.*layers/dense$|layers/dense\\."):
        model.load_weights(path, skip_mismatch=True)
    assert np.array_equal(model.get_weights()[0], before[0])
