"""Attacks that others have met, made for our format: each is refused by every door with an error of ours.

The ids are those of a ledger of advisories (A01 to A36: Keras, PyTorch, Lightning, Hydra, ONNX, skops and others) and
of what a file of our own kind may hold (A40 to A110). Where an attack speaks of what the format does not have, such as
archives or paths, the nearest file that it can express stands for it.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import torchfunc as tf
from tests.hostile import (
    Parts,
    Raw,
    compact,
    forge,
    graph_config,
    of_layer,
    packed,
    parts_of,
    raw,
)
from tests.saving.forged import (
    ALL,
    FILE,
    MODEL,
    NONE,
    WEIGHTS,
    Attack,
    Changing,
    Maker,
    X,
    at,
    call,
    changed,
    dense,
    function,
    layer,
    of_header,
    original,
    wrong_of,
)
from torchfunc import functions, registry
from torchfunc.config import argument_names

MAKERS: dict[str, Maker] = {}


def attack(*ids: str) -> Callable[[Maker], Maker]:
    """The attacks of one id, or of several that are the same here."""

    def kept(make: Maker) -> Maker:
        MAKERS[f"{' '.join(ids)} {make.__name__}"] = make
        return make

    return kept


CODE = base64.b64encode(b"\xe3\x00\x00\x00\x00").decode()
PICKLED = base64.b64encode(pickle.dumps(print, protocol=4)).decode()

# --- Keras -----------------------------------------------------------------------------------------------------


@attack("A01")
def lambdas() -> Iterator[Attack]:
    value = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}}
    yield layer("Lambda", {"function": value})
    yield layer("Lambda", {"function": [CODE, None, None], "function_type": "lambda"})
    yield dense(activation=value)
    yield dense(kernel_initializer=value)
    yield call({"lambda": CODE, "args": [X]})
    yield call({"function": {"__lambda__": CODE}, "args": [X]})
    yield function("lambda")


@attack("A02")
def classes_of_modules() -> Iterator[Attack]:
    for name in (
        "subprocess.Popen",
        "os.system",
        "builtins.eval",
        "torch.nn.Module",
        "torch.jit.ScriptModule",
        "Popen",
    ):
        yield layer(name, {"args": ["true"]})
    for key in ("module", "registered_name", "build_config", "inbound_nodes", "compile_config"):
        written = {"class_name": "Dense", "config": {"units": 3}, key: "os"}
        data = forge(graph_config([{"name": "q", "module": "q", "args": [X]}], {"q": written}), WEIGHTS)
        yield Attack(f"{key} beside a class", data, MODEL)
    yield dense(activation={"module": "builtins", "class_name": "eval", "config": {}})
    yield dense(activation={"class_name": "function", "config": "eval", "module": "builtins"})


@attack("A03")
def functions_of_ours() -> Iterator[Attack]:
    for name in (
        "torchfunc.load_model",
        "load_model",
        "torchfunc.utils.plot_model",
        "plot_model",
        "utils.get_file",
    ):
        yield function(name, "/etc/passwd")
        yield dense(activation=name)
        yield layer(name, {"filepath": "/etc/passwd"})


@attack("A04", "A26")
def switches_in_the_file() -> Iterator[Attack]:
    for key in (
        "safe_mode",
        "trust",
        "trust_remote_code",
        "custom_objects",
        "allow_pickle",
        "limits",
        "weights_only",
    ):
        yield Attack(
            f"{key} in the document",
            changed(lambda parts, key=key: parts.document.update({key: False})),
            FILE,
        )
        yield Attack(f"{key} in the config", at(key, True), FILE)
        yield Attack(f"{key} in the model", at(f"model.config.{key}", True), MODEL)
        yield Attack(f"{key} beside the model", at(f"model.{key}", True), FILE)
        yield Attack(
            f"{key} in a nested model", at(f"model.config.layers.block.config.{key}", True, "nest"), MODEL
        )
        yield dense(**{key: True})
    yield function("torchfunc.config.enable_unsafe_deserialization")


@attack("A05", "A20", "A30", "A31")
def other_parsers() -> Iterator[Attack]:
    plain = packed({"q.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
    yield Attack("weights alone", plain, FILE)
    for version in (0, -1, None, "1", 1.0, True):
        yield Attack(
            f"version {version}", changed(lambda parts, v=version: parts.document.update(version=v)), FILE
        )
    yield Attack("no version", changed(lambda parts: parts.document.pop("version")), FILE)
    yield Attack("a pickle", pickle.dumps({"a": 1}), ALL)
    yield Attack("a pickle of protocol 0", b"cos\nsystem\n(S'true'\ntR.", ALL)
    yield Attack("a pickle where the length stands", pickle.dumps({"a": 1})[:8] + b"{}", ALL)
    yield Attack("a zip archive", b"PK\x03\x04" + bytes(64), ALL)
    yield Attack("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(64), ALL)

    def a_folder_of_json(path: Path) -> None:
        path.mkdir()
        (path / "config.json").write_text(compact(parts_of(original("mlp")).document))

    yield Attack("a folder with a config alone", a_folder_of_json, NONE)
    for suffix in (".h5", ".keras", ".pt", ".bin", ".pkl"):

        def renamed(path: Path, suffix: str = suffix) -> Path:
            other = path.with_suffix(suffix)
            other.write_bytes(original("mlp"))
            return other

        yield Attack(f"a name with {suffix}", renamed, ("load_model",))


@attack("A06")
def pickles_inside() -> Iterator[Attack]:
    yield layer("TorchModuleWrapper", {"module": PICKLED})
    yield layer("torch.nn.Linear", {"in_features": 4, "out_features": 3, "state": PICKLED})
    pickled = torch.frombuffer(bytearray(pickle.dumps(print)), dtype=torch.uint8)
    yield Attack("a tensor", forge(of_layer("Dense", {"units": 3}), {**WEIGHTS, "q.pickle": pickled}), FILE)
    yield Attack("training state", at("training.pickle", PICKLED), FILE)
    yield dense(kernel_initializer={"class_name": "Constant", "config": {"value": {"pickle": PICKLED}}})


PATHS = ["/etc/passwd", "file:///etc/passwd", "http://localhost:1/x", "../../x"]


@attack("A07", "A11", "A17")
def paths_as_arguments() -> Iterator[Attack]:
    for path in PATHS:
        yield layer("StringLookup", {"vocabulary": path})
        yield layer("TFSMLayer", {"filepath": path})
        yield layer("Embedding", {"input_dim": 4, "output_dim": 2, "weights": path}, dtype="int64")
        yield dense(kernel_initializer={"class_name": "FromFile", "config": {"path": path}})
        yield dense(kernel_initializer=path)
        yield dense(units=path)
        yield layer("torch.nn.Linear", {"in_features": 4, "out_features": 3, "bias": True, "device": path})


@attack("A11")
def every_argument_of_every_layer_as_a_path() -> Iterator[Attack]:
    ours = [
        each for each in registry.layers if registry.layers.lookup(each).__module__.startswith("torchfunc.")
    ]
    for name in sorted(ours):
        for argument in argument_names(registry.layers.lookup(name)):
            one = layer(name, {argument: "/etc/passwd"}, NONE, shape=[None, 4, 4, 4])
            yield replace(one, doors=("load_model", "from_config"))


@attack("A08", "A12")
def names_as_paths() -> Iterator[Attack]:
    for name in (
        "../../x",
        "/etc/x",
        "..",
        ".",
        "a/../b",
        "a\\b",
        "a\x00b",
        "~/x",
        "",
        " ",
        "a\nb",
        "x\u202egpj",
    ):
        layers = {name: {"class_name": "Dense", "config": {"units": 3}}}
        config = graph_config([{"name": name, "module": name, "args": [X]}], layers)
        data = forge(config, {f"{name}.weight": WEIGHTS["q.weight"], f"{name}.bias": WEIGHTS["q.bias"]})
        yield Attack(f"a layer called {name!a}", data, NONE if name in ("", " ", "~/x") else FILE)
    for name in ("a\x00b", "a\nb", "x\u202egpj", "\u2028", "\ud800"):
        yield Attack(f"a model called {name!a}", at("model.config.name", name), MODEL)
        yield call({"function": "torch.relu", "args": [{"from": name}]}, name=name)


@attack("A09")
def sizes() -> Iterator[Attack]:
    for size in (10**9, 10**12, 2**40, 2**62, 2**63 - 1, 2**64 - 1):
        yield dense(units=size)
        yield layer("Embedding", {"input_dim": size, "output_dim": 4}, dtype="int64")
        yield layer("Embedding", {"input_dim": 4, "output_dim": size}, dtype="int64")
        yield layer("Conv2D", {"filters": 3, "kernel_size": size}, shape=[None, 4, 4, 4])
        yield layer("Conv2D", {"filters": size, "kernel_size": 1}, shape=[None, 4, 4, 4])
        yield layer("LSTM", {"units": size}, shape=[None, 4, 4])
        yield layer("torch.nn.Linear", {"in_features": 4, "out_features": size})
        yield layer(
            "torch.nn.LSTM", {"input_size": 4, "hidden_size": 3, "num_layers": size}, shape=[None, 4, 4]
        )
        yield layer("torch.nn.Embedding", {"num_embeddings": size, "embedding_dim": 4}, dtype="int64")
        yield layer("torch.nn.BatchNorm1d", {"num_features": size})
        yield layer("torch.nn.LayerNorm", {"normalized_shape": [size]})
        tensor = {"shape": [size], "dtype": "float32", "kind": "buffer", "trainable": False}
        yield Attack(f"a tensor of {size}", at("model.config.tensors", {"t": tensor}), FILE)
        for shape in ([size], [size, 0], [0, size], [2**32, 2**32, size]):
            table = {"t": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}
            yield of_header(
                f"a header of {shape}", table, bytes(4), NONE if 0 in shape and size < 2**40 else ALL
            )


@attack("A10", "A32")
def other_files() -> Iterator[Attack]:
    for key in ("weights_file", "external_data", "shards", "weight_map", "index"):
        yield Attack(
            f"{key} in the document", changed(lambda p, key=key: p.document.update({key: "../../x"})), FILE
        )
        yield Attack(f"{key} in the config", at(key, "../../x"), FILE)
        table = {"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], key: "/etc/passwd"}}
        yield of_header(f"{key} of a tensor", table, bytes(4))

    def beside(path: Path) -> None:
        path.mkdir()
        (path / "model.safetensors").write_bytes(original("mlp"))
        (path / "config.json").symlink_to("/etc/passwd")

    yield Attack("a copy that is a link", beside, ("load_model",))


@attack("A13")
def the_lowest_door() -> Iterator[Attack]:
    yield from lambdas()
    yield from classes_of_modules()


@attack("A14")
def much_from_little() -> Iterator[Attack]:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    yield of_header("70,000 empty tensors", {f"t{number}": empty for number in range(70_000)})
    yield of_header("a header of 20 MB", b'{"__metadata__":{"a":"' + b"x" * (20 << 20) + b'"}}')
    yield of_header("a header of spaces", b"{" + b" " * (20 << 20) + b"}")
    yield Attack("a name of 5 MB", at("model.config.name", "n" * (5 << 20)), MODEL)
    yield Attack("a call of 5 MB", at("model.config.calls.0.name", "n" * (5 << 20)), MODEL)
    yield dense(activation="n" * (5 << 20))
    yield Attack("a million lists", at("training.groups", [[]] * 900_000), FILE)


@attack("A15")
def shadowed_names() -> Iterator[Attack]:
    for name in (
        "my>Dense",
        "Custom>Dense",
        "keras.layers.Dense",
        "layers.Dense",
        "dense",
        "DENSE",
        "Dense ",
        " Dense",
    ):
        yield layer(name, {"units": 3})
    yield layer("Ｄense", {"units": 3})
    yield layer("Dense\u200b", {"units": 3})


LEVELS = """
    model model.config model.config.layers model.config.layers.a model.config.layers.a.config model.config.calls
    model.config.calls.0 model.config.calls.1 model.config.calls.1.args model.config.inputs model.config.outputs
    model.config.calls.0.input model.config.tensors model.config.calls.1.args.0
""".split()


@attack("A16")
def other_kinds_of_json() -> Iterator[Attack]:
    for place in LEVELS:
        for value in (None, [], "x", 3, 1.5, True, {}):
            if (place, value) in (("model.config.tensors", {}), ("model.config.outputs", None)):
                continue
            yield Attack(f"{place} is {value!r}", at(place, value), FILE)
    for value in (None, [], "x", 3, True):
        yield Attack(f"config is {value!r}", changed(lambda p, v=value: p.document.update(config=v)), FILE)
        yield Attack(f"the document is {value!r}", forge({}, text=compact(value)), FILE)
        yield Attack(f"compile is {value!r}", at("compile", value), FILE if value is not None else NONE)
        yield Attack(f"training is {value!r}", at("training", value), FILE if value is not None else NONE)


@attack("A18", "A106")
def no_regular_files() -> Iterator[Attack]:
    def folder(path: Path) -> None:
        (path / "model.safetensors").mkdir(parents=True)

    yield Attack("a folder in a folder", folder, ("load_model",))
    yield Attack("a pipe", lambda path: os.mkfifo(path), ("load_model",))
    for device in ("/dev/zero", "/dev/full", "/dev/null"):
        yield Attack(device, lambda path, device=device: path.symlink_to(device), ("load_model",))
    yield Attack("a circle of links", lambda path: path.symlink_to(path), NONE)


@attack("A19", "A28")
def names_that_are_no_operations() -> Iterator[Attack]:
    known = functions.by_name()
    for prefix, space in (("torch", torch), ("F", torch.nn.functional), ("torch.linalg", torch.linalg)):
        for name in dir(space):
            if f"{prefix}.{name}" not in known.keys() | functions.INSTEAD.keys():
                yield replace(function(f"{prefix}.{name}"), doors=("load_model",))
    for name in dir(tf):
        yield replace(function(f"torchfunc.{name}"), doors=("load_model",))
    for name in GADGETS:
        yield function(name)
        if name not in registry.activations:
            yield dense(activation=name)
        yield dense(kernel_initializer=name)


GADGETS = """
    torch.os.system F.torch.hub.load operator.methodcaller operator.attrgetter operator.itemgetter operator.call
    operator.setitem operator.iadd operator.delitem torch.Tensor.apply_ torch.ops.load_library math.__loader__
    logging.os.system os.system builtins.eval builtins.exec builtins.getattr torch.load torch.save torch.from_file
    torch.compile torch.set_num_threads torch.set_default_dtype torch.use_deterministic_algorithms torch.manual_seed
    torch.seed torch.import_ir_module torch.utils.cpp_extension.load F.importlib torch.nn.functional.relu
    torch.Tensor.relu torch.__init__ torch. .relu relu. torch..relu torch.relu.__call__ torch.relu.__globals__
    __builtins__ globals() torch.relu;import_os torch.relu\x00 torch.from_numpy torch.empty_strided
""".split()

# --- PyTorch, Lightning, Hugging Face and others -----------------------------------------------------------------


@attack("A21")
def bytes_that_do_not_fit() -> Iterator[Attack]:
    for dtype, shape, count in (
        ("F32", [3], 11),
        ("F32", [3], 13),
        ("F32", [3], 0),
        ("F4", [2], 1),
        ("I4", [8], 4),
    ):
        table = {"t": {"dtype": dtype, "shape": shape, "data_offsets": [0, count]}}
        yield of_header(f"{dtype} {shape} in {count} bytes", table, bytes(count))
    for dtype in ("SPARSE_COO", "QInt8", "C128", "F8_E4M3X", "object", "f32", "", None, 3, ["F32"]):
        table = {"t": {"dtype": dtype, "shape": [4], "data_offsets": [0, 16]}}
        yield of_header(f"dtype {dtype!r}", table, bytes(16))


@attack("A22")
def indices_out_of_range() -> Iterator[Attack]:
    ids = torch.tensor([2**62, -(2**62), 10**9])
    held = {"ids": ids, "w": torch.zeros(2, 4)}
    said = {
        "ids": {"shape": [3], "dtype": "int64", "kind": "buffer", "trainable": False},
        "w": {"shape": [2, 4], "dtype": "float32", "kind": "buffer", "trainable": False},
    }
    args: dict[str, list[Any]] = {
        "F.embedding": [{"tensor": "ids"}, {"tensor": "w"}],
        "F.embedding_bag": [{"tensor": "ids"}, {"tensor": "w"}, {"tensor": "ids"}],
        "torch.gather": [{"tensor": "w"}, 0, {"tensor": "ids"}],
        "torch.index_select": [X, 1, {"tensor": "ids"}],
        "torch.take": [X, {"tensor": "ids"}],
        "F.one_hot": [{"tensor": "ids"}],
        "torch.bincount": [{"tensor": "ids"}],
        "torch.repeat_interleave": [X, {"tensor": "ids"}],
        "F.ctc_loss": [X, {"tensor": "ids"}, {"tensor": "ids"}, {"tensor": "ids"}],
        "F.max_unpool1d": [X, {"tensor": "ids"}, 2],
    }
    for name, each in args.items():
        calls = [
            {"name": "z", "function": name, "args": each},
            {"name": "q", "function": "torch.add", "args": [X, {"from": "z"}]},
        ]
        yield Attack(name, forge(graph_config(calls, tensors=said), held), NONE)


@attack("A23")
def text_that_others_evaluate() -> Iterator[Attack]:
    for text in ("__import__('os').system('true')", "float32; import os", "float32\n"):
        yield call({"function": "torch.relu", "args": [X]}, dtype=text)
        yield call({"method": "to", "args": [X, {"dtype": text}]})
        yield dense(dtype=text)
        yield function("torch.einsum", text, X)
    yield function("torch.einsum", "a" * 100_000, X)
    yield function("torch.einsum", "ab->" + "ab" * 10_000, X)


@attack("A24", "A97", "A98", "A100", "A101", "A102")
def compile_configs() -> Iterator[Attack]:
    for name in (
        "os.system",
        "torch.optim.Optimizer",
        "torch.optim.LBFGS",
        "subprocess.Popen",
        "",
        "x.y",
        "adam ",
    ):
        yield Attack(f"optimizer {name}", at("compile.optimizer", name or "?"), FILE)
        yield Attack(
            f"optimizer class {name}", at("compile.optimizer", {"class_name": name, "config": {}}), FILE
        )
        yield Attack(f"loss {name}", at("compile.loss", name or "?"), FILE)
        yield Attack(f"metric {name}", at("compile.metrics", [name or "?"]), FILE)
        yield Attack(
            f"schedule {name}",
            at("compile.optimizer.config.learning_rate", {"class_name": name, "config": {}}),
            FILE,
        )
    for key in (
        "backend",
        "options",
        "mode",
        "fullgraph",
        "dynamic",
        "self",
        "jit_compile",
        "run_eagerly",
        "callbacks",
        "collate_fn",
    ):
        yield Attack(f"{key} in compile", at(f"compile.{key}", "inductor"), FILE)
        yield Attack(f"{key} in the optimizer", at(f"compile.optimizer.config.{key}", "inductor"), FILE)
    for rate in (-1, "0.1", [], {}, True, None, {"float": "nan"}, {"float": "inf"}, -0.5, "nan"):
        yield Attack(f"a rate of {rate!r}", at("compile.optimizer.config.learning_rate", rate), FILE)
    for beta in (2, -1, "x", [0.9], None, 1.5):
        yield Attack(f"beta_1 {beta!r}", at("compile.optimizer.config.beta_1", beta), FILE)
    for betas in ([0.9], [0.9, 0.9, 0.9], "x", [2, 3], None, [0.9, "x"]):
        written = {"class_name": "torch.optim.Adam", "config": {"lr": 0.1, "betas": betas}}
        yield Attack(f"betas {betas!r}", at("compile.optimizer", written), FILE)
    for loss in (
        {"nope": "mse"},
        ["mse", "mse"],
        {"b": "nope"},
        3,
        [[]],
        {"class_name": "MeanSquaredError", "config": {"x": 1}},
    ):
        yield Attack(f"loss {loss!r}", at("compile.loss", loss), FILE)
    for metrics in (
        {"nope": ["mae"]},
        [["mae"], ["mae"]],
        3,
        [3],
        [{"class_name": "AUC", "config": {"num_thresholds": 10**9}}],
    ):
        yield Attack(f"metrics {metrics!r}", at("compile.metrics", metrics), FILE)
    for weights in ("x", {"nope": 1.0}, [1.0, 2.0], {"b": "x"}, {"b": {"float": "nan"}}):
        yield Attack(f"loss_weights {weights!r}", at("compile.loss_weights", weights), FILE)


@attack("A25", "A33")
def private_fields() -> Iterator[Attack]:
    for key in (
        "_attn_implementation_internal",
        "__class__",
        "__dict__",
        "_parameters",
        "_trainable",
        "__init__",
        "training",
        "graph",
    ):
        yield dense(**{key: {"a": 1}})
        yield Attack(f"{key} of the model", at(f"model.config.{key}", {"a": 1}), MODEL)
        yield Attack(f"{key} of a call", at(f"model.config.calls.1.{key}", {"a": 1}), MODEL)
        yield Attack(f"{key} of the document", changed(lambda p, key=key: p.document.update({key: 1})), FILE)
        yield layer("torch.nn.Linear", {"in_features": 4, "out_features": 3, key: 1})
        yield layer(key, {})


@attack("A27", "A103")
def random_states() -> Iterator[Attack]:
    name = next(name for name in parts_of(original("mlp")).tensors if "random_state" in name)
    for tensor in (
        torch.zeros(3),
        torch.zeros(5055, dtype=torch.uint8),
        torch.zeros(0, dtype=torch.uint8),
        torch.zeros(5056),
    ):

        def replaced(parts: Parts, tensor: torch.Tensor = tensor) -> None:
            parts.tensors[name] = raw(tensor)

        yield Attack(f"a state of {tensor.shape} {tensor.dtype}", changed(replaced), FILE)
    for state in (
        PICKLED,
        [],
        {"numpy": ["MT19937", [0] * 624, 10**6]},
        {"cpu": 3},
        {"cpu": "x"},
        {"python": [3, [0] * 625]},
        3,
    ):
        yield Attack(f"a state {state!s:.40}", at("training.random_state", state), FILE)
    for seed in (-(2**63), 2**64 - 1, "x", None, 1.5, [], True):
        yield Attack(f"seed {seed!r}", at("training.seed", seed), NONE if seed in (-(2**63), None) else FILE)


@attack("A29")
def methods() -> Iterator[Attack]:
    names = """
        __reduce_ex__ __class__ __setstate__ data numpy register_hook set_ resize_ share_memory_ apply_ map_ add_
        copy_ fill_ zero_ grad backward requires_grad_ storage untyped_storage data_ptr item tolist __init__ cuda
        pin_memory register_post_accumulate_grad_hook retain_grad detach_ as_subclass __torch_function__ share_memory
        random_ normal_ exponential_ put_ index_put_ record_stream map2_ __dlpack__ new_empty new_tensor
    """.split()
    for name in names:
        refused = NONE if name in ("new_empty", "new_tensor") else MODEL
        yield call({"method": name, "args": [X]}, refused=refused)
        yield call({"attribute": name, "args": [X]})
    for name in (
        "data",
        "grad",
        "grad_fn",
        "__dict__",
        "_base",
        "device",
        "_backward_hooks",
        "shape",
        "dtype",
    ):
        yield call({"attribute": name, "args": [X]})


@attack("A34")
def circles_and_great_shapes() -> Iterator[Attack]:
    inner = {
        "class_name": "Model",
        "config": {**graph_config([])["model"]["config"], "layers": {"m": {"shared": "m"}}},
        "shared": "m",
    }
    yield Attack(
        "a model in itself",
        forge(graph_config([{"name": "q", "module": "m", "args": [X]}], {"m": inner})),
        MODEL,
    )
    yield call({"function": "torch.relu", "args": [X]}, shape=[None, *[2] * 1000])
    yield call({"function": "torch.relu", "args": [X]}, shape=[None, 2**64 - 1])
    yield call({"function": "torch.relu", "args": [X]}, shape=[None, -1])
    yield of_header(
        "a rank of 5,000", {"t": {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]}}, bytes(4)
    )


@attack("A35", "A36", "A42", "A43", "A44", "A45")
def lengths() -> Iterator[Attack]:
    for length in (0, 1, 8, 2**20, 2**31, 2**63 - 1, 2**63, 2**64 - 1):
        yield Attack(f"a length of {length}", struct.pack("<Q", length) + b"{}", ALL)
    data = original("mlp")
    for length in (int.from_bytes(data[:8], "little") + each for each in (-1, 1, len(data), -100)):
        yield Attack(f"a length of {length}", struct.pack("<Q", length) + data[8:], ALL)


@attack("A36")
def tensors_over_each_other() -> Iterator[Attack]:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield of_header("ten thousand at one place", {f"t{number}": entry for number in range(10_000)}, bytes(4))
    yield of_header("two that overlap", {"a": entry, "b": {**entry, "data_offsets": [2, 6]}}, bytes(6))


# --- The format ------------------------------------------------------------------------------------------------


@attack("A40", "A41", "A46", "A47", "A48", "A49")
def beginnings() -> Iterator[Attack]:
    header = original("mlp")[8:]
    yield Attack("nothing", b"", ALL)
    yield Attack("7 bytes", bytes(7), ALL)
    yield Attack("8 bytes", bytes(8), ALL)
    yield of_header("Latin-1", b'{"\xe9":1}')
    yield of_header("half a character", b'{"__metadata__":{"a":"\xed\xa0\x80"}}')
    yield of_header("a byte order mark", b"\xef\xbb\xbf{}")
    yield of_header("UTF-16", "{}".encode("utf-16"))
    yield of_header("a space first", b" {}")
    yield of_header("a list", b"[]")
    for magic in (
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        b"GGUF",
        b"\x7fELF",
        b"\x1f\x8b",
        b"\x80\x04\x95",
        b"#!/bin/sh\n",
        b"<html>",
    ):
        yield Attack(f"begins as {magic!r}", magic + header, ALL)


@attack("A50", "A51", "A52", "A53", "A74")
def metadata() -> Iterator[Attack]:
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    yield of_header("a tensor twice", f'{{"t":{entry},"t":{entry}}}', bytes(4))
    yield of_header("metadata twice", '{"__metadata__":{},"__metadata__":{}}')
    yield of_header("a key of the metadata twice", '{"__metadata__":{"torchfunc":"a","torchfunc":"b"}}')
    for value in (1, None, [], {}, True):
        yield of_header(f"metadata {value!r}", {"__metadata__": {"torchfunc": value}})
        yield of_header(
            f"all metadata {value!r}", {"__metadata__": value}, refused=ALL if value != {} else FILE
        )
    yield of_header("no document", {"__metadata__": {"format": "pt"}}, refused=FILE)
    yield of_header(
        "no checksums", {"__metadata__": {"torchfunc": compact(parts_of(original("mlp")).document)}}
    )
    for checksums in (
        {},
        [],
        {"document": 0},
        {"document": "x", "tensors": {}},
        {"document": None, "tensors": None},
    ):
        yield Attack(f"checksums {checksums!r}", changed(lambda p: None, checksums=checksums), ALL)


@attack("A54", "A55")
def versions() -> Iterator[Attack]:
    for version in (
        "999",
        "-1",
        '"1"',
        "true",
        "1e400",
        "1.5",
        "1e3",
        "null",
        "[]",
        "0",
        "99999999999999999999",
    ):
        document = parts_of(original("mlp")).document
        text = compact({**document, "version": "VERSION"}).replace('"VERSION"', version)
        yield Attack(f"version {version}", changed(lambda p: None, text=text), FILE)
    for key in ("features", "required", "flags", "format_version"):
        yield Attack(
            f"{key} in the document", changed(lambda p, key=key: p.document.update({key: ["x"]})), FILE
        )
    for name in ("torchfunc2", "", None, 3, ["torchfunc"]):
        yield Attack(f"format {name!r}", changed(lambda p, name=name: p.document.update(format=name)), FILE)


@attack("A56", "A57", "A58", "A59", "A60")
def texts() -> Iterator[Attack]:
    text = compact(parts_of(original("mlp")).document)
    for cut in (1, 100, len(text) // 2, len(text) - 1):
        yield Attack(f"{cut} characters of the config", changed(lambda p: None, text=text[:cut]), ALL)
    for number in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "9" * 5000,
        "-" + "9" * 30,
        "0x10",
        "01",
        "1.",
        ".5",
        "+1",
    ):
        yield Attack(
            f"units {number[:20]}",
            changed(lambda p: None, text=text.replace('"units":3', f'"units":{number}')),
            ALL,
        )
    for depth in (300, 1000, 100_000):
        for pair in ("[]", ('{"a":', "}")):
            deep = pair[0] * depth + "1" + pair[1] * depth
            yield Attack(
                f"{depth} of {pair[0]}",
                changed(lambda p: None, text=text.replace('"units":3', f'"units":{deep}')),
                ALL,
            )
        yield Attack(f"{depth} open", changed(lambda p: None, text="[" * depth), ALL)
        yield of_header(f"a header of {depth}", '{"a":' * depth + "1" + "}" * depth)
    yield Attack(
        "a key twice", changed(lambda p: None, text=text.replace('"units":3', '"units":999,"units":3')), ALL
    )
    yield Attack(
        "a key twice, once escaped",
        changed(lambda p: None, text=text.replace('"units":3', '"\\u0075nits":9,"units":3')),
        ALL,
    )
    for tail in ("x", "{}", ",", "\x00", "}"):
        yield Attack(f"{tail!r} after the end", changed(lambda p: None, text=text + tail), ALL)


@attack("A61")
def strange_names() -> Iterator[Attack]:
    for name in (
        "\ud800",
        "a\x00",
        "\u202eabc",
        "\u2066a",
        "\x1b[31m",
        "\x07",
        "\u200b",
        "n" * 100_000,
        "\ufeff",
        "\U000e0041",
    ):
        yield Attack(f"a model {name[:9]!a}", at("model.config.name", name), MODEL)
        yield call({"function": "torch.relu", "args": [{"from": name}]}, name=name)
        yield layer(name, {})
        yield dense(activation=name)
        yield function(name)
        table = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        yield of_header(f"a tensor {name[:9]!a}", table, bytes(4))
        yield Attack(f"a loss {name[:9]!a}", at("compile.loss", name), FILE)
        yield Attack(
            f"a key {name[:9]!a}", at(f"compile.{name}" if "." not in name else "compile.x", 1), FILE
        )


@attack("A62")
def kinds_of_numbers() -> Iterator[Attack]:
    for units in (True, 3.0, "3", [3], None, -3, 0, 3.5, {"float": "inf"}):
        yield dense(units=units)
        yield layer(
            "torch.nn.Linear", {"in_features": 4, "out_features": units}, MODEL if units != 0 else FILE
        )
    for value in ("true", "False", [], "x", 2.5):
        yield dense(use_bias=value)
        yield Attack(f"trainable {value!r}", at("model.config.trainable", value), MODEL)


@attack("A63", "A64", "A65", "A66", "A67", "A68", "A69", "A70", "A71", "A72")
def tensors() -> Iterator[Attack]:
    weight = torch.ones(3, 4)

    def held(name: str, refused: tuple[str, ...] = FILE, **tensors: Any) -> Attack:
        given = {
            "q.weight": weight,
            "q.bias": torch.zeros(3),
            **{key.replace("_", "."): each for key, each in tensors.items()},
        }
        given = {key: each for key, each in given.items() if each is not None}
        return Attack(name, forge(of_layer("Dense", {"units": 3}), given), refused)

    yield held("one more", q_more=weight)
    yield held("one that is missing", q_bias=None)
    yield held("another shape of as many numbers", q_weight=torch.ones(2, 6))
    yield held("turned", q_weight=torch.ones(4, 3))
    yield held("that would be broadcast", q_weight=torch.ones(1, 4))
    yield held("a scalar", q_bias=torch.tensor(0.0))
    for dtype in (torch.int8, torch.int64, torch.bool, torch.complex64, torch.uint8):
        yield held(f"of {dtype}", q_weight=weight.to(dtype))
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        yield held(f"of {dtype}, as after model.to(dtype)", NONE, q_weight=weight.to(dtype))
    for value in (float("nan"), float("inf")):
        yield held(f"{value}: a poisoned model is a model", NONE, q_weight=torch.full((3, 4), value))
    yield held("rank 9", q_more=torch.ones([1] * 9))
    for byte in (2, 255):
        yield held(f"a boolean {byte}", ALL, q_more=Raw("BOOL", [1], bytes([byte])))
    good = forge(of_layer("Dense", {"units": 3}), WEIGHTS)
    yield Attack("bytes after the end", good + b"x", ALL)
    yield Attack("a byte less", good[:-1], ALL)
    yield Attack("half of it", good[: len(good) // 2], ALL)
    for offsets in (
        [4, 8],
        [0, 8],
        [-4, 0],
        [8, 4],
        [0],
        [0, 4, 8],
        "x",
        None,
        [0.0, 4.0],
        [True, 4],
        [2**63, 2**63 + 4],
    ):
        table = {"t": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}
        yield of_header(f"offsets {offsets}", table, bytes(8))
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield of_header("a hole", {"a": entry, "b": {**entry, "data_offsets": [8, 12]}}, bytes(12))
    for key in entry:
        yield of_header(
            f"no {key}", {"t": {name: each for name, each in entry.items() if name != key}}, bytes(4)
        )


@attack("A73")
def aliases() -> Iterator[Attack]:
    for given in (
        {"q.more": "q.none"}, {"q.more": "q.more"}, {"a": "b", "b": "a"}, {"q.weight": "q.bias"}, {"q.more": None},
        {"q.more": ["q.bias"]}, {"": "q.bias"}, {"../x": "q.bias"}, {"q.more": "q.bias"}, [], "x", {"a\x00": "q.bias"},
        {f"a{number}": "q.bias" for number in range(100_000)},
    ):  # fmt: skip
        yield Attack(
            f"{given!s:.60}",
            forge(of_layer("Dense", {"units": 3}), WEIGHTS, aliases=given or [None]),
            ALL if given != {"q.more": "q.bias"} and len(given) < 1000 else FILE,
        )


# --- The graph -------------------------------------------------------------------------------------------------


@attack("A75", "A76", "A77", "A78", "A79", "A80", "A81", "A82", "A88", "A89")
def wires() -> Iterator[Attack]:
    relu = "torch.relu"
    yield call(
        {"name": "a", "function": relu, "args": [{"from": "b"}]},
        {"name": "b", "function": relu, "args": [{"from": "a"}]},
    )
    yield call({"name": "a", "function": relu, "args": [{"from": "a"}]})
    yield call({"function": relu, "args": [{"from": "z1"}]}, {"function": relu, "args": [X]})
    yield call({"function": relu, "args": [{"from": "nothing"}]})
    yield call({"function": relu, "args": [{"from": 0}]})
    for path in (
        [99],
        [-1],
        [0],
        ["a"],
        [True],
        [0.0],
        [None],
        [[0]],
        "0",
        0,
        None,
        {"a": 1},
        [2**63],
        [0] * 1000,
    ):
        yield call({"function": relu, "args": [{"from": "x", "path": path}]})
        split = {"function": "torch.split", "args": [X, 2, 1]}
        if path != [0]:
            yield call(split, {"function": relu, "args": [{"from": "z0", "path": path}]})
    yield call({"name": "x", "function": relu, "args": [X]})
    yield call({"name": "a", "function": relu, "args": [X]}, {"name": "a", "function": relu, "args": [X]})
    for outputs in (
        {"from": "nothing"},
        {"from": "z0", "path": [3]},
        "z0",
        None,
        3,
        {"tensor": "t"},
        {"slice": [1, 2, 3]},
        {"from": None},
    ):
        yield call({"function": relu, "args": [X]}, outputs=outputs)
        yield call({"function": relu, "args": [X]}, inputs=outputs)
    yield call({"function": relu, "args": [X]}, inputs={"from": "z0"}, refused=NONE)
    for args in ([], [X, X, X], [3], [None], ["x"], [[X]], [{"dict": {"a": X}}], [X, {"float": "nan"}]):
        yield call({"function": relu, "args": args}, refused=NONE if args == [3] else MODEL)
    yield call({"function": relu, "args": [X], "kwargs": {"input": X}})
    yield call({"function": relu, "kwargs": {"nope": X}})
    yield call({"module": "nothing", "args": [X]})
    yield call({"function": relu, "module": "q", "args": [X]})
    yield call({"args": [X]})
    yield call({"size": "shape", "args": [X, 9]})
    yield call({"size": "shape", "args": [X, -1]})


@attack("A83", "A84", "A85", "A86", "A87")
def many_calls() -> Iterator[Attack]:
    relu = {"function": "torch.relu", "args": [X]}
    yield replace(call(*[relu] * 120_000), doors=ALL)
    yield Attack("zero outputs", at("model.config.outputs", []), MODEL)
    yield Attack("zero inputs", at("model.config.inputs", []), MODEL)
    yield Attack("zero calls", at("model.config.calls", []), MODEL)
    inner: Any = {"class_name": "Dense", "config": {"units": 4}}
    for _ in range(60):
        model = graph_config([{"name": "q", "module": "q", "args": [X]}], {"q": inner})["model"]
        inner = model
    yield Attack("60 models in each other", forge({"model": inner, "build": None}, WEIGHTS), FILE)
    wide = [
        {"function": "torch.cat", "args": [[X if n == 0 else {"from": f"z{n - 1}"}] * 2, 1]}
        for n in range(70)
    ]
    yield call(*wide, refused=NONE)
    inner = {
        "class_name": "torch.nn.Sequential",
        "config": {"modules": {"0": {"class_name": "torch.nn.ReLU", "config": {}}}},
    }
    for number in range(40):
        label = {"shared": f"s{number}"}
        inner = {
            "class_name": "torch.nn.Sequential",
            "config": {"modules": {"0": {**inner, **label}, "1": label}},
        }
    yield Attack(
        "doubled 40 times",
        forge(graph_config([{"name": "q", "module": "q", "args": [X]}], {"q": inner})),
        NONE,
    )
    inner = {"class_name": "Dense", "config": {"units": 4}}
    for _ in range(28):
        calls = [
            {"name": "p", "module": "q", "args": [X]},
            {"name": "q", "module": "q", "args": [{"from": "p"}]},
        ]
        inner = graph_config(calls, {"q": inner})["model"]
    tensors = {f"{'q.' * 29}weight": torch.ones(4, 4), f"{'q.' * 29}bias": torch.zeros(4)}
    yield Attack("called twice 28 times over", forge({"model": inner, "build": None}, tensors), NONE)


@attack("A90", "A91")
def great_results() -> Iterator[Attack]:
    big = 2**40
    for name, *args in (
        ("torch.full", [big], 1.0), ("torch.zeros", [big]), ("torch.ones", [2**31, 2**31]), ("torch.arange", big),
        ("torch.eye", 2**24), ("torch.linspace", 0, 1, big), ("torch.randn", [big]), ("torch.rand", [big]),
        ("torch.randperm", big), ("torch.tensor", [1.0]), ("torch.tril_indices", 2**20, 2**20),
        ("torch.logspace", 0, 1, big),
        ("torch.hann_window", big), ("torch.full_like", X, 1.0), ("F.one_hot", {"from": "x"}, big), ("F.pad", X, [big, big]),
        ("torch.repeat_interleave", X, big), ("torch.tile", X, [big, big]), ("torch.combinations", X, 9),
        ("operator.mul", "x" * 1000, 3 * 10**6), ("operator.mod", "%3000000000d", 1), ("operator.lshift", 1, 2**34),
        ("operator.pow", 10, 10**9), ("operator.pow", 2, 2**62), ("operator.mul", [1, 2, 3], 10**9),
        ("operator.add", "a", "b"), ("operator.getitem", "abc", 0), ("torch.tensor_split", X, 10**9, 0),
        ("torch.chunk", X, 10**9), ("torch.histogramdd", X, [10**9, 10**9]), ("torch.histc", X, 10**9),
        ("torch.nonzero", X), ("torch.cartesian_prod", X, X), ("torch.unbind", X), ("torch.block_diag", X, X),
    ):  # fmt: skip
        yield function(name, *args, refused=NONE)
        yield call({"function": name, "args": args}, {"function": "torch.relu", "args": [X]}, refused=NONE)
        yield function(name, *args, refused=NONE, shape=[1, 10**9])
    for kind, config in {
        "RepeatVector": {"n": big}, "UpSampling1D": {"size": big}, "ZeroPadding1D": {"padding": big},
        "CategoryEncoding": {"num_tokens": big}, "torch.nn.Upsample": {"scale_factor": 1e12},
        "torch.nn.ConstantPad1d": {"padding": big, "value": 0},
        "torch.nn.Unflatten": {"dim": 1, "unflattened_size": [big, big]},
        "torch.nn.AdaptiveAvgPool1d": {"output_size": big}, "Reshape": {"target_shape": [big, big]},
    }.items():  # fmt: skip
        yield layer(kind, config, NONE)
        yield layer(kind, config, NONE, shape=[None, 4, 4])
    for name in ("repeat", "tile", "new_zeros", "new_full", "new_ones", "expand", "view", "reshape"):
        yield call({"method": name, "args": [X, big, big]}, refused=NONE)


def held(calls: list[dict[str, Any]], shape: list[int], dtype: str) -> Attack:
    """Calls and a nonzero, in a model in a Sequential in a model."""
    last = {"name": "nz", "function": "torch.nonzero", "args": [{"from": "d"}]}
    inner = graph_config([*calls, last], shape=shape, dtype=dtype)["model"]
    chain = {"class_name": "torch.nn.Sequential", "config": {"modules": {"a": inner}}}
    outer = graph_config([{"name": "m", "module": "m", "args": [X]}], {"m": chain}, shape=shape, dtype=dtype)
    return Attack(f"{calls[-1]['function']} in a Sequential", forge(outer), NONE)


@attack("A92")
def what_ends_a_process() -> Iterator[Attack]:
    for dtype, number in (("float32", 0), ("int32", -(2**31)), ("int64", -(2**63))):
        for name in (
            "torch.div",
            "torch.floor_divide",
            "torch.remainder",
            "torch.fmod",
            "operator.floordiv",
            "operator.mod",
        ):
            yield function(name, X, 0, refused=NONE, dtype=dtype)
            yield function(name, X, -1, refused=NONE, dtype=dtype)
        args = [{"function": "torch.full", "args": [[2], number], "kwargs": {"dtype": {"dtype": dtype}}}]
        divide = {"function": "torch.div", "args": [{"from": "z0"}, -1], "kwargs": {"rounding_mode": "trunc"}}
        yield call(*args, divide, refused=NONE)
        yield call(
            *args, {"function": "operator.floordiv", "args": [{"from": "z0"}, {"from": "z0"}]}, refused=NONE
        )
    # where a call needs values, those of a model that another module holds were once tried on real ones
    least = {"name": "f", "function": "torch.full_like", "args": [X, -(2**63)]}
    divided = {
        "name": "d",
        "function": "torch.div",
        "args": [{"from": "f"}, -1],
        "kwargs": {"rounding_mode": "trunc"},
    }
    yield held([least, divided], [4], "int64")
    held_out = {"name": "d", "function": "operator.floordiv", "args": [{"from": "f"}, -1]}
    yield held([least, held_out], [4], "int64")
    labels = [
        {
            "name": name,
            "function": "torch.full",
            "args": [{"tuple": shape}, value],
            "kwargs": {"dtype": {"dtype": "int64"}},
        }
        for name, shape, value in (("t", [1, 2], 10**8), ("i", [1], 5), ("l", [1], 2))
    ]
    loss = {
        "name": "d",
        "function": "torch.ctc_loss",
        "args": [X, {"from": "t"}, {"from": "i"}, {"from": "l"}],
    }
    yield held([*labels, loss], [5, 1, 3], "float32")
    ints = {"tuple": [10**9, 10**9]}
    yield function("F.ctc_loss", X, X, ints, ints, refused=NONE, shape=[3, 2, 4], dtype="float32")
    yield function("F.grid_sample", X, X, refused=NONE)
    yield function("torch.ormqr", X, X, X, refused=NONE)
    yield function("torch.lu_unpack", X, X, refused=NONE)


@attack("A93", "A94")
def numbers_out_of_range() -> Iterator[Attack]:
    conv = {"in_channels": 4, "out_channels": 4, "kernel_size": 1}
    for change in (
        {"groups": 0},
        {"groups": -1},
        {"stride": 0},
        {"stride": -1},
        {"dilation": 0},
        {"padding": -(2**40)},
        {"kernel_size": 0},
        {"padding": "x"},
        {"padding_mode": "x"},
        {"groups": 3},
    ):
        yield layer("torch.nn.Conv1d", {**conv, **change}, shape=[None, 4, 4])
        ours = {
            "filters": 4,
            "kernel_size": 1,
            **{
                {"stride": "strides", "dilation": "dilation_rate"}.get(k, k): v
                for k, v in change.items()
                if k != "padding_mode"
            },
        }
        if "padding_mode" not in change:
            yield layer("Conv1D", ours, shape=[None, 4, 4])
    for p in (2, -1, "x", {"float": "nan"}, None, [0.5]):
        yield layer("torch.nn.Dropout", {"p": p}, shape=[None, 4])
        yield layer("Dropout", {"rate": p})
    yield layer("torch.nn.GroupNorm", {"num_groups": 0, "num_channels": 4})
    yield layer("torch.nn.GroupNorm", {"num_groups": 3, "num_channels": 4})
    yield layer("torch.nn.MultiheadAttention", {"embed_dim": 4, "num_heads": 3})
    yield layer("torch.nn.MultiheadAttention", {"embed_dim": 4, "num_heads": 0})
    yield layer("torch.nn.LSTM", {"input_size": 4, "hidden_size": 3, "proj_size": 9}, shape=[None, 4, 4])
    for axis in (10**9, -(10**9), 2**63 - 1, "x", [], 1.5, None):
        yield layer("Softmax", {"axis": axis}, NONE if axis in (None, []) else MODEL)
        yield layer("Concatenate", {"axis": axis}, NONE)
        yield layer("torch.nn.Flatten", {"start_dim": axis}, NONE)
        yield function("torch.softmax", X, axis, refused=NONE)
        yield layer("BatchNormalization", {"axis": axis})
        yield layer("LayerNormalization", {"axis": axis}, NONE if axis == [] else MODEL)


@attack("A95", "A96")
def dtypes_and_devices() -> Iterator[Attack]:
    for dtype in (
        "object",
        "qint8",
        "quint4x2",
        "complex32",
        "bits8",
        "str",
        "",
        None,
        3,
        [],
        {},
        "Float32",
        "__class__",
    ):
        yield call({"function": "torch.relu", "args": [X]}, dtype=dtype)
        yield call({"method": "to", "args": [X, {"dtype": dtype}]})
        if dtype is not None:
            yield dense(dtype=dtype)
    for device in (
        "cuda:999",
        "meta",
        "xla",
        "cpu:9",
        "privateuseone",
        "",
        None,
        3,
        [],
        "mps:1",
        "hpu",
        "fpga",
    ):
        yield call({"method": "to", "args": [X, {"device": device}]})
        yield call({"method": "to", "args": [X, device]}, refused=NONE)
        if device is not None:
            yield dense(device=device)


# --- Training --------------------------------------------------------------------------------------------------


@attack("A99", "A104", "A105")
def training_states() -> Iterator[Attack]:
    yield from (replace(each, steps=True) for each in changed_states())


def changed_states() -> Iterator[Attack]:
    for value in (None, [], "x", 3, {}, True, [[]]):
        for place in (
            "optimizer",
            "optimizer.groups",
            "optimizer.slots",
            "optimizer.groups.0",
            "optimizer.slots.a⋅weight",
        ):
            if value == {} and place == "optimizer.slots":
                continue
            yield Attack(
                f"{place} {value!r}",
                changed(state_at(place, value)),
                FILE if (place, value) != ("optimizer", None) else NONE,
            )
    for key, values in {
        "epoch": (-1, 2**63, 2**64 - 1, "1", 1.5, None, [], True), "step": (-1, 2**63, "1", 1.5, None, [], True),
        "nope": (1,), "optimizer.nope": (1,),
        "optimizer.slots.nope": ({"momentum": {"tensor": "optimizer/slots/a.weight/momentum"}},),
        "optimizer.slots.a⋅weight.momentum": (1, "x", None, [], {"tensor": "nope"}, {"tensor": None}),
        "optimizer.groups.0.params": ([], None, ["nope"], "a.weight", ["a.weight"] * 9, [3], ["a.weight", "a.bias"]),
        "optimizer.groups.0.lr": ("x", None, -1, [], {}, {"float": "nan"}, True, 1e308),
        "optimizer.groups.0.iterations": (-1, 2**63, "x", None, 1.5, [], 2**64 - 1),
        "optimizer.groups.0.beta_1": ("x", None, 2, -1, []), "optimizer.groups.0.epsilon": ("x", None, -1, []),
        "optimizer.groups.0.amsgrad": ("x", None, 3, []),
        "optimizer.whole": ("x", None, 3, []),
    }.items():  # fmt: skip
        for value in values:
            refused = (
                NONE
                if (key, value) in (("optimizer.groups.0.lr", 1e308), ("optimizer.groups.0.params", []))
                else FILE
            )
            yield Attack(f"{key} {value!r}", changed(state_at(key, value)), refused)
    yield Attack(
        "two groups",
        changed(lambda p: p.config["training"]["optimizer"]["groups"].append({"params": []})),
        FILE,
    )
    yield Attack(
        "a group twice",
        changed(
            lambda p: p.config["training"]["optimizer"]["groups"].extend(
                copy.deepcopy(p.config["training"]["optimizer"]["groups"])
            )
        ),
        FILE,
    )
    slots = sorted(name for name in parts_of(original("mlp")).tensors if "/slots/" in name)
    for name in (slots[0], slots[-1]):
        for tensor in (
            torch.zeros(1),
            torch.zeros(3, 4, 1),
            torch.zeros(3, 4).int(),
            torch.zeros(3, 4).double(),
            torch.zeros(0),
            torch.tensor(0.0),
            torch.zeros(4, 3),
            torch.zeros(3, 4).to(torch.complex64),
        ):

            def replaced(parts: Parts, name: str = name, tensor: torch.Tensor = tensor) -> None:
                parts.tensors[name] = raw(tensor)

            yield Attack(
                f"the slot {name[-20:]} of {tuple(tensor.shape)} {tensor.dtype}", changed(replaced), FILE
            )
        yield Attack(f"no slot {name}", changed(lambda p, name=name: p.tensors.pop(name)), FILE)
        yield Attack(
            f"a slot that is a weight {name}",
            changed(
                lambda p, name=name: (p.tensors.pop(name), p.document["aliases"].update({name: "b.bias"}))
            ),
            FILE,
        )
    yield Attack(
        "a slot of nothing",
        changed(lambda p: p.tensors.update({"optimizer/nope": raw(torch.zeros(1))})),
        FILE,
    )
    for key in ("sampler", "permutation", "order", "batch", "position", "callbacks"):
        yield Attack(f"{key} in the state", at(f"training.{key}", [5, 5, 10**9, -1]), FILE)


def state_at(place: str, value: Any) -> Callable[[Parts], None]:
    """As `set_at` in the training state; "⋅" stands for a dot in a key."""

    def change(parts: Parts) -> None:
        at = parts.config["training"]
        *way, last = (each.replace("⋅", ".") for each in place.split("."))
        for key in way:
            at = at[int(key)] if isinstance(at, list) else at[key]
        at[int(last) if isinstance(at, list) else last] = value

    return change


# --- Files that change -------------------------------------------------------------------------------------------


@attack("A107", "A108", "A109")
def files_that_change() -> Iterator[Attack]:
    for name, pieces in {
        "truncated": [original("cnn"), original("cnn")[:5000]],
        "edited": [original("cnn"), original("cnn")[:-40] + bytes(40)],
        "grown": [original("cnn"), original("cnn") + bytes(4000)],
        "another": [original("cnn"), original("mlp")],
    }.items():
        yield Attack(name, lambda path, pieces=pieces: Changing(path, pieces), NONE)


@attack("A110")
def sparse_files() -> Iterator[Attack]:
    data = original("mlp")
    begin = 8 + int.from_bytes(data[:8], "little")

    def sparse(path: Path, head: bytes = data[:begin]) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(1 << 40)

    yield Attack("a terabyte after the header", sparse, ("load_model", "load_weights"))
    table = {"t": {"dtype": "U8", "shape": [2**39, 2], "data_offsets": [0, 2**40]}}
    head = packed(table)

    def said(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(len(head) + (1 << 40))

    yield Attack("a terabyte in the header, and no model", said, ("load_model",))


# --- What comes of them ---

IDS = [f"A{number:02}" for number in (*range(1, 37), *range(40, 111))]


@pytest.mark.parametrize("name", MAKERS)
def test_the_attack_is_refused_by_every_door(name: str, tmp_path: Path) -> None:
    number, wrong = wrong_of(MAKERS[name], tmp_path)
    print(f"{name}: {number} cases, {len(wrong)} wrong")
    assert not wrong, f"{len(wrong)} of {number}: {json.dumps(dict(list(wrong.items())[:40]), indent=1)}"


def test_every_id_has_its_attacks_and_none_is_lost() -> None:
    ids = {each for name in MAKERS for each in name.split() if each[0] == "A"}
    number = sum(1 for make in MAKERS.values() for _ in make())
    print(f"{len(ids)} ids, {number:,} files, each by up to five doors")
    assert sorted(ids) == sorted(IDS)
    assert number >= 3800
