"""Forged files that nobody has sent yet: what our own format can be made to say, tried by every door.

Some are named hostile and are harmless: a layer may be called "forward" if it is called as what it is. So a file that
is loaded where that is said to be well is called, too, and its outputs are compared.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import torchfunc as tf
from tests.hostile import compact, faults, forge, graph_config, outcomes, parts_of, raw
from tests.saving import mutations
from tests.saving.forged import (
    ALL,
    FILE,
    MODEL,
    NONE,
    WEIGHTS,
    Attack,
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

MAKERS: dict[str, Maker] = {}
RELU = {"function": "torch.relu", "args": [X]}
DENSE = {"class_name": "Dense", "config": {"units": 4}}
LINEAR = {"class_name": "torch.nn.Linear", "config": {"in_features": 4, "out_features": 4}}


def idea(make: Maker) -> Maker:
    MAKERS[make.__name__] = make
    return make


def of_layers(
    name: str, layers: Any, calls: Any, refused: tuple[str, ...] = MODEL, tensors: Any = None
) -> Attack:
    return Attack(name, forge(graph_config(calls, layers), tensors), refused)


def nested(depth: int, wrap: Callable[[Any], Any], inner: Any) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


# --- Tensors ---------------------------------------------------------------------------------------------------


@idea
def aliases_between_weights_and_slots() -> Iterator[Attack]:
    names = sorted(parts_of(original("mlp")).tensors)
    slots = [name for name in names if "/slots/" in name]
    for name, other in (("a.weight", "momentum"), ("b.bias", "velocity"), ("a.bias", "random_state")):
        for stored in [each for each in names if other in each][:3]:

            def moved(parts: Any, name: str = name, stored: str = stored) -> None:
                del parts.tensors[name]
                parts.document["aliases"][name] = stored

            yield Attack(f"{name} is {stored}", changed(moved), NONE, steps=True)

    def one(parts: Any) -> None:
        for name in slots[1:]:
            if parts.tensors[name].shape == parts.tensors[slots[0]].shape:
                del parts.tensors[name]
                parts.document["aliases"][name] = slots[0]

    yield Attack("all slots are one", changed(one), NONE, steps=True)


@idea
def tensors_of_no_size() -> Iterator[Attack]:
    for shape in ([0, 2**39, 2**39], [2**39] * 7 + [0], [0], [0, 0], [2**39, 0, 2**39]):
        yield of_header(f"{shape}", {"t": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}})
        tensor = {"shape": shape, "dtype": "float32", "kind": "buffer", "trainable": False}
        yield Attack(f"a tensor of {shape}", at("model.config.tensors", {"t": tensor}), FILE)


@idea
def tensors_of_the_model() -> Iterator[Attack]:
    good = {"shape": [4], "dtype": "float32", "kind": "parameter", "trainable": True}
    add = {"name": "z", "function": "torch.add", "args": [X, {"tensor": "t"}]}
    for change in (
        {"dtype": "int64"}, {"dtype": "bool"}, {"dtype": "complex64"}, {"kind": "x"}, {"kind": None},
        {"trainable": "x"}, {"trainable": None},
        {"shape": [True]}, {"shape": [4.0]}, {"shape": [-4]}, {"shape": "4"}, {"shape": [1] * 17},
        {"shape": [2**63]}, {"dtype": []}, {"kind": []},
    ):  # fmt: skip
        held = torch.zeros(4).to(getattr(torch, str(change.get("dtype")), torch.float32))
        config = graph_config([add], tensors={"t": {**good, **change}})
        yield Attack(
            f"{change}",
            forge(config, {"t": held}),
            NONE if change == {"dtype": "complex64"} else MODEL,
        )
    for name in NAMES:
        config = graph_config([{**add, "args": [X, {"tensor": name}]}], tensors={name: good})
        yield Attack(f"called {name!a}", forge(config, {name: torch.zeros(4)}), NONE)


NAMES = """
    forward __class__ training _parameters _buffers _modules graph trainer name call __init__ state_dict compile fit
    __dict__ _forward_hooks T_destination __call__ __torch_function__ layers inputs outputs 0 -1 a.b a..b .a a. self
    import None True __debug__ print torch F operator Tensor tracing lambda match x;import_os é ﬁ 𝐱 ª get_config to
    dump_patches call_super_init _version apply parameters x.weight __getattr__ __setattr__ built dtype trainable
""".split()


@idea
def layers_called_as_what_a_model_has() -> Iterator[Attack]:
    for name in NAMES:
        calls = [{"name": name, "module": name, "args": [X]}]
        for kind in (DENSE, LINEAR, {"class_name": "ReLU", "config": {}}):
            weights = (
                {}
                if kind["class_name"] == "ReLU"
                else {f"{name}.weight": torch.ones(4, 4), f"{name}.bias": torch.zeros(4)}
            )
            yield of_layers(f"a {kind['class_name']} called {name!a}", {name: kind}, calls, NONE, weights)
        yield call({**RELU, "name": name}, refused=NONE)
        yield call({"function": "torch.relu", "args": [{"from": name}]}, name=name, refused=NONE)


@idea
def names_that_meet() -> Iterator[Attack]:
    inner = graph_config([{"name": "b", "module": "b", "args": [X]}], {"b": DENSE})["model"]
    calls = [
        {"name": "p", "module": "a", "args": [X]},
        {"name": "q", "module": "a.b", "args": [{"from": "p"}]},
    ]
    weights = {"a.b.weight": torch.ones(4, 4), "a.b.bias": torch.zeros(4)}
    yield of_layers("a layer a.b and the b of a", {"a": inner, "a.b": DENSE}, calls, MODEL, weights)
    tensor = {"shape": [4], "dtype": "float32", "kind": "parameter", "trainable": True}
    for name in ("q", "q.weight", "q.bias", "x"):
        config = graph_config(
            [{"name": "q", "module": "q", "args": [X]}], {"q": DENSE}, tensors={name: tensor}
        )
        data = forge(config, {"q.weight": torch.ones(4, 4), "q.bias": torch.zeros(4), name: torch.zeros(4)})
        yield Attack(f"a tensor {name} beside a layer q", data, MODEL if name.startswith("q") else NONE)
    yield of_layers(
        "a layer called as the Input",
        {"x": LINEAR},
        [{"name": "q", "module": "x", "args": [X]}],
        NONE,
        {"x.weight": torch.ones(4, 4), "x.bias": torch.zeros(4)},
    )


# --- Layers ----------------------------------------------------------------------------------------------------


@idea
def labels() -> Iterator[Attack]:
    use = [{"name": "p", "module": "a", "args": [X]}, {"name": "q", "module": "b", "args": [{"from": "p"}]}]
    weights = {
        f"{layer}.{name}": torch.ones(4, 4) if name == "weight" else torch.zeros(4)
        for layer in "ab"
        for name in ("weight", "bias")
    }
    for name, one, other in (
        ("a label before what it means", {"shared": "s"}, {**DENSE, "shared": "s"}),
        ("a label of nothing", DENSE, {"shared": "s"}),
        ("a label twice", {**DENSE, "shared": "s"}, {**LINEAR, "shared": "s"}),
        ("a label of itself", {"shared": "a"}, DENSE),
        ("no text", {**DENSE, "shared": 3}, {"shared": 3}), ("a list", {**DENSE, "shared": ["s"]}, {"shared": ["s"]}),
        ("null", {**DENSE, "shared": None}, {"shared": None}),
        ("a label and more", {**DENSE, "shared": "s"}, {"shared": "s", "config": {}}),
    ):  # fmt: skip
        yield of_layers(
            name, {"a": one, "b": other}, use, NONE if name in ("a label twice", "null") else MODEL, weights
        )
    inner = graph_config([{"name": "q", "module": "q", "args": [X]}], {"q": {**DENSE, "shared": "s"}})[
        "model"
    ]
    yield of_layers(
        "a label of an inner model",
        {"a": inner, "b": {"shared": "s"}},
        use,
        NONE,
        {"a.q.weight": torch.ones(4, 4), "a.q.bias": torch.zeros(4)},
    )
    outer = graph_config([{"name": "q", "module": "q", "args": [X]}], {"q": {"shared": "s"}})["model"]
    yield of_layers("a model in itself by a label", {"a": {**outer, "shared": "s"}, "b": DENSE}, use)
    held = {"class_name": "torch.nn.Sequential", "config": {"modules": {"0": {"shared": "s"}}}, "shared": "s"}
    yield of_layers("a Sequential in itself", {"a": held, "b": DENSE}, use)


@idea
def layers_in_layers() -> Iterator[Attack]:
    for depth in (10, 60, 200, 5000):
        for kind, argument, leaf in (
            ("Bidirectional", "layer", {"class_name": "LSTM", "config": {"units": 2}}),
            ("TimeDistributed", "layer", DENSE),
            ("Dense", "activation", "relu"), ("RNN", "cell", {"class_name": "LSTMCell", "config": {"units": 2}}),
            ("torch.nn.TransformerEncoder", "encoder_layer", LINEAR), ("Sequential", "layers", DENSE),
            ("StackedRNNCells", "cells", DENSE),
        ):  # fmt: skip

            def wrap(inner: Any, kind: str = kind, argument: str = argument) -> Any:
                more = {"units": 4} if kind == "Dense" else {"num_layers": 1} if "torch" in kind else {}
                return {
                    "class_name": kind,
                    "config": {**more, argument: [inner] if argument in ("layers", "cells") else inner},
                }

            try:
                data = forge(
                    graph_config(
                        [{"name": "q", "module": "q", "args": [X]}],
                        {"q": nested(depth, wrap, leaf)},
                        shape=[None, 4, 4],
                    )
                )
            except RecursionError:
                continue
            yield Attack(f"{depth} of {kind}", data, NONE)
    for number in (2_000, 10_000):
        yield layer(
            "torch.nn.Sequential",
            {"modules": {str(each): {"class_name": "torch.nn.ReLU", "config": {}} for each in range(number)}},
            NONE,
        )
        yield layer(
            "StackedRNNCells",
            {"cells": [{"class_name": "LSTMCell", "config": {"units": 1}}] * (number // 10)},
            NONE,
            shape=[None, 4],
        )
    for name in NAMES:
        yield layer(
            "torch.nn.Sequential", {"modules": {name: {"class_name": "torch.nn.ReLU", "config": {}}}}, NONE
        )
        yield layer("torch.nn.ModuleList", {"modules": {name: {"class_name": "torch.nn.ReLU", "config": {}}}})
    yield layer("torch.nn.ModuleList", {"modules": {}})


@idea
def modules_of_torch() -> Iterator[Attack]:
    one = {"class_name": "torch.nn.TransformerEncoderLayer", "config": {"d_model": 4, "nhead": 2}}
    for change in (
        {"d_model": 3},
        {"nhead": 0},
        {"nhead": -2},
        {"dim_feedforward": 10**12},
        {"dim_feedforward": -1},
        {"dropout": 3},
        {"activation": "os.system"},
        {"activation": "torch.load"},
        {"activation": LINEAR},
        {"activation": 3},
        {"layer_norm_eps": "x"},
        {"norm_first": "x"},
        {"batch_first": []},
        {"bias": "x"},
        {"d_model": "4"},
        {"d_model": 4.0},
    ):
        refused = NONE if change.get("activation") == LINEAR else MODEL
        yield layer(one["class_name"], {**one["config"], **change}, refused, shape=[None, 3, 4])  # type: ignore[dict-item]
    for number in (0, -1, 10**6, 10**9, "1", 1.0, None, True):
        yield layer(
            "torch.nn.TransformerEncoder",
            {"encoder_layer": one, "num_layers": number},
            MODEL if number != 0 else FILE,
            shape=[None, 3, 4],
        )
        for kind in ("LSTM", "GRU", "RNN"):
            yield layer(
                f"torch.nn.{kind}",
                {"input_size": 4, "hidden_size": 2, "num_layers": number},
                MODEL,
                shape=[None, 3, 4],
            )
    for inner in (3, None, "x", LINEAR, [], {"class_name": "torch.nn.ReLU", "config": {}}, {}):
        yield layer(
            "torch.nn.TransformerEncoder", {"encoder_layer": inner, "num_layers": 1}, shape=[None, 3, 4]
        )
        yield layer(
            "torch.nn.TransformerEncoder",
            {"encoder_layer": one, "num_layers": 1, "norm": inner},
            NONE,
            shape=[None, 3, 4],
        )
    for kind, config in (
        ("PReLU", {"num_parameters": 10**12}), ("PReLU", {"num_parameters": -1}),
        ("Bilinear", {"in1_features": 2**31, "in2_features": 2**31, "out_features": 2**31}),
        ("Embedding", {"num_embeddings": 3, "embedding_dim": 2, "padding_idx": 9}),
        ("Embedding", {"num_embeddings": -3, "embedding_dim": 2}),
        ("EmbeddingBag", {"num_embeddings": 3, "embedding_dim": 2, "mode": "x"}),
        ("LocalResponseNorm", {"size": 0}), ("Upsample", {"size": [10**9, 10**9]}),
        ("ChannelShuffle", {"groups": 0}), ("PixelShuffle", {"upscale_factor": 0}),
        ("PixelShuffle", {"upscale_factor": -1}), ("Fold", {"output_size": [2**40, 2**40], "kernel_size": 1}),
        ("Unflatten", {"dim": 1, "unflattened_size": [-1, -1]}),
        ("Unflatten", {"dim": "x", "unflattened_size": [2, 2]}), ("LayerNorm", {"normalized_shape": []}),
        ("LayerNorm", {"normalized_shape": [2**31, 2**31, 2**31]}), ("RMSNorm", {"normalized_shape": [-1]}),
        ("CosineSimilarity", {"dim": 10**9}),
        ("MaxPool1d", {"kernel_size": 0}), ("MaxPool1d", {"kernel_size": 2**62}),
        ("AvgPool1d", {"kernel_size": -1}), ("LPPool1d", {"norm_type": 0, "kernel_size": 1}),
        ("Hardtanh", {"min_val": 3, "max_val": -3}), ("Threshold", {"threshold": "x", "value": []}),
        ("RReLU", {"lower": 3, "upper": 1}), ("Softmax", {"dim": "x"}),
        ("AdaptiveMaxPool1d", {"output_size": -1}), ("ConvTranspose1d", {"in_channels": 4, "out_channels": 4,
        "kernel_size": 1, "output_padding": 9}),
        ("BatchNorm1d", {"num_features": 4, "momentum": "x"}), ("BatchNorm1d", {"num_features": 4, "eps": []}),
        ("SyncBatchNorm", {"num_features": 4, "process_group": "x"}),
        ("MultiheadAttention", {"embed_dim": 4, "num_heads": 2, "kdim": 10**12}),
        ("Linear", {"in_features": 4, "out_features": 4, "device": "cuda"}), ("Linear", {}),
    ):  # fmt: skip
        yield layer(f"torch.nn.{kind}", config, NONE)
        yield layer(f"torch.nn.{kind}", config, NONE, shape=[None, 4, 4])


@idea
def dtypes_of_layers() -> Iterator[Attack]:
    for dtype in (
        "float64",
        "int64",
        "bool",
        "complex64",
        "float8_e4m3fn",
        "qint8",
        "x",
        3,
        None,
        [],
        "__class__",
        "float32\x00",
    ):
        written = {
            "class_name": "torch.nn.Linear",
            "config": {"in_features": 4, "out_features": 3},
            "dtype": dtype,
        }
        known = dtype in ("float64", None, "complex64", "float8_e4m3fn")
        yield of_layers(
            f"{dtype!a} of a module",
            {"q": written},
            [{"name": "q", "module": "q", "args": [X]}],
            NONE if known else MODEL,
            WEIGHTS,
        )
        yield replace(dense(dtype=dtype), refused=NONE)


@idea
def sequences() -> Iterator[Attack]:
    for place, values in {
        "names": (["a"], ["a", "a"], ["a", "b", "c"], [3, 4], "ab", {"a": 1}, None, ["a.b", "forward"],
        ["\x00", "b"]),
        "input": (None, 3, [], {}, {"shape": "x", "dtype": "float32", "name": "x"},
        {"shape": [None, 4], "dtype": "x", "name": "x"}, {"shape": [None, 2**70], "dtype": "float32", "name": 3}),
        "layers": (None, [], 3, {}, [None], ["Dense"], [{"shared": "s"}]), "name": (3, [], "\x00"),
        "trainable": ("x", None, 3), "nope": (1,),
    }.items():  # fmt: skip
        for value in values:
            for kind in ("chain", "unbuilt"):
                refused = (
                    NONE
                    if value in (None, [])
                    or place in ("names", "trainable")
                    or (place, kind) == ("input", "unbuilt")
                    else MODEL
                )
                if place == "names" and value in ([3, 4], "ab", {"a": 1}, ["\x00", "b"]):
                    refused = MODEL
                yield Attack(
                    f"{place} of {kind} is {value!a}", at(f"model.config.{place}", value, kind), refused
                )


def built_for(build: Any) -> Callable[[Any], None]:
    """A Sequential that says what it was built for, and not what its input is."""

    def change(parts: Any) -> None:
        parts.config["model"]["config"].pop("input", None)
        parts.config["build"] = build

    return change


@idea
def what_a_model_was_built_for() -> Iterator[Attack]:
    for text in (
        "float32 None ٣",
        "float32 None 1_0",
        "float32 None +4",
        "float32 None -4",
        "float32 None 4.0",
        "float32 None " + "9" * 5000,
        "float32 None 2147483648",
        "float32 None 99999999999",
        "__class__ None 4",
        "None 4",
        "float32",
        "",
        "float32 None None",
        "float32 4 4",
        "bool None 4",
        "float32" + " None" * 1000,
        "float32 None ４",
        "\x00 None 4",
    ):
        yield Attack(
            f"built for {text[:40]!a}",
            changed(built_for(text), "unbuilt"),
            FILE
            if text
            not in (
                "float32 None +4",
                "float32 None ４",
                "float32 4 4",
                "__class__ None 4",
                "bool None 4",
                "\x00 None 4",
            )
            else NONE,
        )
    for build in (
        [],
        {},
        3,
        True,
        ["float32 None 4"] * 20_000,
        {str(n): "float32 None 4" for n in range(20_000)},
        nested(200, lambda inner: [inner], "float32 None 4"),
        {"x": {"y": [{}]}},
    ):
        yield Attack(f"built for {build!s:.40}", changed(built_for(build), "unbuilt"), NONE)
        yield Attack(f"a graph built for {build!s:.40}", at("build", build), NONE)


@idea
def frozen_lists() -> Iterator[Attack]:
    for names in (
        ["a.weight", "a.weight"],
        ["a.weight"] * 20_000,
        ["nope"],
        [3],
        [["a.weight"]],
        "a.weight",
        {"a.weight": 1},
        3,
        True,
        ["optimizer/slots/a.weight/momentum"],
        ["a"],
        [""],
        [None],
        ["a.weight\x00"],
    ):
        known = isinstance(names, list) and set(map(str, names)) == {"a.weight"} and isinstance(names[0], str)
        yield Attack(f"{names!s:.40}", at("frozen", names), NONE if known else FILE, steps=known)
    yield Attack("all of them", at("frozen", ["a.weight", "a.bias", "b.weight", "b.bias"]), NONE, steps=True)


# --- Calls -----------------------------------------------------------------------------------------------------


@idea
def keywords() -> Iterator[Attack]:
    for key in (
        "out",
        "self",
        "input",
        "other",
        "__class__",
        "*",
        "**",
        "a b",
        "x\n",
        "",
        "dtype",
        "device",
        "requires_grad",
        "generator",
        "inplace",
        "layout",
        "pin_memory",
        "names",
        "\x00",
        "ﬁ",
        "lambda",
        "None",
    ):
        for value in (X, True, 3, "cpu", {"dtype": "float32"}):
            yield call({"function": "torch.relu", "args": [X], "kwargs": {key: value}}, refused=MODEL)
            yield call(
                {"function": "torch.add", "args": [X], "kwargs": {"other": X, key: value}},
                refused=NONE if key == "other" else MODEL,
            )
        yield call({"method": "relu", "args": [X], "kwargs": {key: X}})
        yield call(
            {"function": "F.dropout", "args": [X], "kwargs": {key: True}},
            refused=NONE if key == "inplace" else MODEL,
        )
    for name in ("F.relu", "F.dropout", "F.leaky_relu", "F.silu", "F.elu", "F.hardtanh"):
        yield call({"function": name, "args": [X], "kwargs": {"inplace": True}}, refused=NONE)
        yield call({"function": name, "args": [X, True, True, True]}, refused=NONE)
    yield call({"method": "relu", "kwargs": {"self": X}})
    yield call({"method": "relu", "kwargs": {"value": X}})
    yield call({**RELU, "kwargs": {f"k{number}": 1 for number in range(20_000)}})
    for key in ("training", "mask", "self", "out", "initial_state", "__class__", "x\n", "nope"):
        calls = [{"name": "q", "module": "q", "args": [X], "kwargs": {key: "x"}}]
        yield of_layers(
            f"{key!a} of a layer",
            {"q": {"class_name": "Dense", "config": {"units": 3}}},
            calls,
            NONE,
            WEIGHTS,
        )
        yield of_layers(
            f"{key!a} of a module",
            {"q": LINEAR},
            calls,
            NONE,
            {"q.weight": torch.ones(4, 4), "q.bias": torch.zeros(4)},
        )


@idea
def indices() -> Iterator[Attack]:
    big = 2**63 - 1
    for index in (
        {"slice": [None, None, 0]}, {"slice": [None, None, -1]}, {"slice": [0, 4, big]}, {"slice": [-big, big, 1]},
        {"slice": ["a", None, None]}, {"slice": [1.5, None, None]},
        {"slice": [None, None]}, {"slice": [1, 2, 3, 4]}, {"slice": [X, None, None]}, {"slice": 3},
        {"slice": [{"slice": [1, 2, 3]}, None, None]}, {"slice": {}}, {"ellipsis": True},
        {"ellipsis": {"a": [1]}}, {"ellipsis": False}, {"tuple": [{"ellipsis": True}, {"ellipsis": True}]},
        {"tuple": [None] * 1000}, {"tuple": [0] * 20_000}, {"tuple": [None] * 62}, big, -big, True, False, "a",
        1.5, [0] * 20_000, [big], [[0]], [[[[[[0]]]]]], [True, False, True, True], {"float": "nan"},
        {"dtype": "int64"}, {"device": "cpu"}, {"dict": {"a": 0}}, X, [X], {"tuple": [X, X]}, {"tuple": []},
    ):  # fmt: skip
        yield call({"function": "operator.getitem", "args": [X, index]}, refused=NONE, dtype="int64")
        yield call({"function": "operator.getitem", "args": [X, index]}, refused=NONE, shape=[2, 4])
    yield call(
        {
            "function": "operator.getitem",
            "args": [X, nested(200, lambda inner: {"slice": [inner, None, None]}, 1)],
        }
    )


@idea
def words_for_what_json_lacks() -> Iterator[Attack]:
    for key, values in {
        "float": ("inf", "-inf", "nan", "1e400", "infinity", ["inf"], {}, None, 3, "NaN", "٣"),
        "dtype": ("float32", "x", [], {}, None, ["float32"]), "device": ("cpu", "meta", [], {}, None, "cuda:0"),
        "memory_format": ("channels_last", "x", {}, [], None),
        "tensor": ("x", "q.weight", [], {}, None, "__class__", "q"), "tuple": (3, {}, None, "ab", [[]]),
        "dict": (3, [], None, "ab", {"": 1}), "nope": (1,),
        "list": ([1],), "set": ([1],), "bytes": ("x",), "complex": ([1, 2],), "__class__": ("int",),
        "from": ("x", "nope", None, [], {}), "path": ([0],), "symbol": ("n",), "lambda": ("x",),
    }.items():  # fmt: skip
        for value in values:
            for name in ("torch.add", "torch.sum", "torch.full_like"):
                yield function(name, X, {key: value}, refused=NONE)
    for value in (float("1e308"), -0.0, 1e-320, 2**64 - 1, -(2**63)):
        for name in (
            "torch.sum",
            "torch.add",
            "torch.unsqueeze",
            "torch.full_like",
            "torch.roll",
            "torch.pow",
            "torch.narrow",
            "torch.split",
        ):
            yield function(name, X, value, refused=NONE)
            yield function(name, X, value, value, refused=NONE)
            yield function(name, X, [value], refused=NONE)


@idea
def shapes_of_inputs() -> Iterator[Attack]:
    for shape in (
        [],
        [None],
        [0],
        [0, 0],
        [None] * 16,
        [None] * 17,
        [2**62, 4],
        [2**31, 2**31, 2],
        [4.0],
        ["4"],
        [True],
        [[4]],
        "44",
        None,
        {},
        [None, 2**63 - 1],
        [None, 2**63],
        [-1, 4],
    ):
        yield call(RELU, shape=shape if isinstance(shape, list) else [shape], refused=NONE)
        yield call(
            {"function": "torch.flatten", "args": [X]},
            shape=shape if isinstance(shape, list) else [shape],
            refused=NONE,
        )
        layers = {"f": {"class_name": "Flatten", "config": {}}, "q": DENSE}
        calls = [
            {"name": "f", "module": "f", "args": [X]},
            {"name": "q", "module": "q", "args": [{"from": "f"}]},
        ]
        data = forge(
            graph_config(calls, layers, shape=shape if isinstance(shape, list) else [shape]), WEIGHTS
        )
        yield Attack(f"Flatten and Dense on {shape}", data, FILE, doors=ALL)


@idea
def sizes_as_numbers() -> Iterator[Attack]:
    size = {"size": "shape", "args": [X, 1]}
    for use in (
        {"function": "torch.reshape", "args": [X, [{"from": "z0"}, {"from": "z0"}, {"from": "z0"}]]},
        {"function": "operator.mul", "args": [{"from": "z0"}, 2**62]},
        {"function": "operator.pow", "args": [{"from": "z0"}, 10**6]},
        {"function": "operator.floordiv", "args": [{"from": "z0"}, 0]},
        {"function": "operator.lshift", "args": [1, {"from": "z0"}]},
        {"function": "operator.mod", "args": ["%d", {"from": "z0"}]},
        {"function": "operator.mul", "args": [[1], {"from": "z0"}]},
        {"method": "bit_length", "args": [{"from": "z0"}]},
        {"attribute": "real", "args": [{"from": "z0"}]}, {"function": "torch.zeros", "args": [{"from": "z0"}]},
        {"function": "operator.getitem", "args": [[1, 2], {"from": "z0"}]},
        {"function": "torch.relu", "args": [{"from": "z0", "path": [0]}]},
        {"size": "shape", "args": [{"from": "z0"}, 0]},
    ):  # fmt: skip
        for shape in ([None, 4], [None, None], [None, 2**40], [0, 0]):
            yield call(size, use, shape=shape, refused=NONE)
            many = [
                {"function": "operator.mul", "args": [{"from": f"z{n}"}, {"from": f"z{n}"}]}
                for n in range(40)
            ]
            yield call(size, *many, use, shape=shape, refused=NONE)
    for args in ([X], [X, 1, 2], [], [X, True], [X, "0"], [X, 1.0], [3, 0], [[X], 0], [{"tensor": "t"}, 0]):
        yield call({"size": "shape", "args": args})
    for target in (None, 3, "x", [], {}):
        yield call({"size": target, "args": [X, 1]}, refused=NONE)


@idea
def many_of_one_thing() -> Iterator[Attack]:
    many = 20_000
    yield replace(call({"function": "torch.cat", "args": [[X] * many, 1]}, refused=NONE), doors=ALL)
    yield call({"function": "torch.relu", "args": [X] * many})
    yield call({"function": "torch.relu", "args": [{"tuple": [1] * many}]})
    yield replace(call(RELU, outputs=[X] * many, refused=NONE), doors=ALL)
    yield replace(
        call(RELU, outputs={"dict": {str(number): X for number in range(many)}}, refused=NONE), doors=ALL
    )
    yield replace(call(RELU, inputs=[X] * many), doors=ALL)
    yield call(RELU, outputs=nested(200, lambda inner: [inner], X), refused=NONE)
    yield call(RELU, outputs=nested(200, lambda inner: {"dict": {"a": inner}}, X), refused=NONE)
    yield call(RELU, outputs={"dict": {"": X, "\x00": X, "a\nb": X}}, refused=NONE)
    yield call(RELU, inputs={"dict": {"self": X}}, refused=NONE)
    yield call(RELU, inputs={"tuple": [X]}, refused=NONE)
    yield call(RELU, outputs={"tuple": []}, refused=NONE)
    yield call({"function": "torch.relu", "args": [nested(200, lambda inner: [inner], X)]})
    yield call({"function": "torch.relu", "args": [nested(200, lambda inner: {"dict": {"x": inner}}, X)]})
    inputs = [{"name": f"i{number}", "input": [None, 1], "dtype": "float32"} for number in range(20_000)]
    names = [{"from": each["name"]} for each in inputs]
    yield replace(call(*inputs, {**RELU, "args": [names[0]]}, inputs=names, refused=NONE), doors=ALL)
    yield replace(
        call(
            *[
                {"function": "torch.relu", "args": [X if n == 0 else {"from": f"z{n - 1}"}]}
                for n in range(12_000)  # each call takes some 2 kB, mostly of the code that is written for it
            ],
            refused=NONE,
        ),
        doors=ALL,
    )
    yield Attack(
        "5 MB of metadata",
        forge(graph_config([{**RELU, "name": "z"}]), metadata={f"k{n}": "v" for n in range(50_000)}),
        NONE,
    )


# --- The text --------------------------------------------------------------------------------------------------


@idea
def slow_texts() -> Iterator[Attack]:
    for name, text in {
        "quotes": '"' * 10**6, "escaped quotes": '"' + '\\"' * 10**6, "backslashes": '"' + "\\" * 10**6 + '"',
        "one open string": '{"a":"' + "x" * 10**6, "spaces": " " * 10**6 + "{}",
        "digits": '{"a":' + "1" * 10**6 + "}", "a long exponent": '{"a":1e' + "0" * 10**6 + "1}",
        "escapes": '{"a":"' + "\\u0041" * 10**5 + '"}', "commas": "[" + "," * 10**6 + "]",
        "dots": '{"a":0.' + "1" * 10**6 + "}",
    }.items():  # fmt: skip
        yield Attack(name, forge({}, text=text), ALL)


# --- Training --------------------------------------------------------------------------------------------------


@idea
def compiled_otherwise() -> Iterator[Attack]:
    yield Attack("nested losses", at("compile.loss", nested(200, lambda inner: [inner], "mse")), FILE)
    yield Attack("losses in losses", at("compile.loss", nested(200, lambda inner: {"b": inner}, "mse")), FILE)
    yield Attack("many metrics", at("compile.metrics", ["mae"] * 20_000), NONE)
    for number in (0, -1, 10**12, "x", None, 1.5, True, []):
        yield Attack(
            f"steps_per_execution {number!r}",
            at("compile.steps_per_execution", number),
            FILE if number not in (None, 10**12) else NONE,
        )
    for key, values in {
        "clipnorm": ("x", -1, [], True), "clipvalue": ("x", -1, []), "weight_decay": ("x", -1, []),
        "ema_momentum": ("x", 2, -1), "ema_overwrite_frequency": (0, -1, "x", 1.5), "use_ema": ("x", 3),
        "epsilon": ("x", -1, None), "amsgrad": ("x", []), "name": (3, [], "\x00"), "loss_scale_factor": ("x",),
        "gradient_accumulation_steps": (0, -1, "x", 10**12),
    }.items():  # fmt: skip
        for value in values:
            yield Attack(f"{key} {value!a}", at(f"compile.optimizer.config.{key}", value), NONE, steps=True)
    for name, config in (
        ("PiecewiseConstantDecay", {"boundaries": [1] * 20_000, "values": [0.1]}),
        ("PiecewiseConstantDecay", {"boundaries": [2, 1], "values": [0.1, 0.1, 0.1]}),
        ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 0}),
        ("ExponentialDecay", {"initial_learning_rate": "x", "decay_steps": 1, "decay_rate": 1}),
        ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 1e308}),
        ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": -5}), ("os.system", {}),
        ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 0}),
        ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 1, "t_mul": 0}),
    ):  # fmt: skip
        yield Attack(
            f"{name} {config!s:.60}",
            at("compile.optimizer.config.learning_rate", {"class_name": name, "config": config}),
            NONE,
            steps=True,
        )
    for name, config in (
        ("AUC", {"num_thresholds": 10**9}), ("AUC", {"num_thresholds": 1}), ("AUC", {"thresholds": [0.5] * 20_000}),
        ("MeanIoU", {"num_classes": 10**6}), ("MeanIoU", {"num_classes": 10**12}),
        ("TopKCategoricalAccuracy", {"k": 10**12}),
        ("TopKCategoricalAccuracy", {"k": -1}), ("Precision", {"thresholds": [0.5] * 10**6}),
        ("Precision", {"top_k": -1}), ("Precision", {"class_id": 10**12}),
        ("SensitivityAtSpecificity", {"specificity": 2}), ("Mean", {"name": "\x00"}),
        ("FBetaScore", {"beta": "x"}), ("F1Score", {"average": "os.system"}),
        ("MeanMetricWrapper", {"fn": "os.system"}), ("PrecisionAtRecall", {}),
        ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 10**10}),
    ):  # fmt: skip
        yield Attack(
            f"{name} {config!s:.60}", at("compile.metrics", [{"class_name": name, "config": config}]), NONE
        )
        yield Attack(f"{name} by its name", at("compile.metrics", [name]), NONE)
    for config in (
        {"foreach": True},
        {"capturable": True},
        {"fused": True, "foreach": True},
        {"differentiable": True},
        {"lr": "x"},
        {"lr": -1},
        {"eps": "x"},
        {"params": []},
        {"betas": [0.9, "x"]},
        {"weight_decay": -1},
        {"maximize": "x"},
        {"decoupled_weight_decay": 3},
        {"nope": 1},
    ):
        yield Attack(
            f"torch's Adam {config}",
            at("compile.optimizer", {"class_name": "torch.optim.Adam", "config": config}),
            NONE,
        )


@idea
def slots_otherwise() -> Iterator[Attack]:
    names = sorted(name for name in parts_of(original("mlp")).tensors if "/slots/" in name)
    for kind, maker in {"mlp": names}.items():
        for name in maker:
            for shape in ([0], [1], [1, 1], [10**5], [3, 4, 1], [4, 3], [2, 2]):

                def replaced(parts: Any, name: str = name, shape: list[int] = shape) -> None:
                    parts.tensors[name] = raw(torch.ones(shape))

                yield Attack(
                    f"{kind} {name[-18:]} of {shape}",
                    changed(replaced, kind),
                    FILE,
                    doors=("load_model",),
                    steps=True,
                )
            for dtype in (
                torch.float64,
                torch.float16,
                torch.int64,
                torch.bool,
                torch.uint8,
                torch.complex64,
            ):

                def retyped(parts: Any, name: str = name, dtype: torch.dtype = dtype) -> None:
                    parts.tensors[name] = raw(torch.ones(parts.tensors[name].shape).to(dtype))

                yield Attack(  # PyTorch turns other floats to the parameter's
                    f"{kind} {name[-18:]} of {dtype}",
                    changed(retyped, kind),
                    NONE if dtype.is_floating_point else FILE,
                    doors=("load_model",),
                    steps=True,
                )
    swapped = ["b.weight", "a.bias", "a.weight", "b.bias"]
    yield Attack(
        "the params in another order", at("training.optimizer.groups.0.params", swapped), NONE, steps=True
    )
    for name in ("a.weight", "b.bias"):
        other = {"tensor": name}
        yield Attack(
            f"a slot is the weight {name}",
            changed(
                lambda p, o=other: p.config["training"]["optimizer"]["slots"]["a.weight"].update(momentum=o)
            ),
            FILE,
            steps=True,
        )
    yield Attack(
        "deep state",
        at("training.optimizer.slots", nested(200, lambda inner: {"a.weight": inner}, 1)),
        FILE,
        steps=True,
    )


# --- Every leaf of what is saved, one at a time --------------------------------------------------------------------

LIES = [None, True, -1, 0, 2**31, 2**62, 0.5, "x", "", [], {}, [[]], "torch.load", "\x00", {"from": "x"}]


def leaves_changed(kind: str) -> Iterator[Attack]:
    tree = parts_of(original(kind)).config
    for top in tree:
        if isinstance(tree[top], (dict, list)):
            whole = list(mutations.places(tree[top]))
            for number, (owner, key) in enumerate(whole):
                # four of them for each, and all of them for those beside each other
                for lie in (LIES * 2)[4 * number % len(LIES) :][:4]:

                    def lied(parts: Any, top: str = top, number: int = number, lie: Any = lie) -> None:
                        place, key = list(mutations.places(parts.config[top]))[number]
                        place[key] = lie

                    yield Attack(
                        f"{top} {key!s:.30} of {compact(owner)[:40]} is {lie!a}",
                        changed(lied, kind),
                        NONE,
                        doors=("load_model",),
                    )


for _kind in ("calls", "nest", "two_outputs", "ids", "unbuilt", "attention"):
    MAKERS[f"every_leaf_of_{_kind}"] = lambda kind=_kind: leaves_changed(kind)  # type: ignore[misc]

# --- What comes of them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_what_can_be_forged_does_no_harm(name: str, tmp_path: Path) -> None:
    number, wrong = wrong_of(MAKERS[name], tmp_path)
    print(f"{name}: {number} cases, {len(wrong)} wrong")
    assert not wrong, f"{len(wrong)} of {number}: {json.dumps(dict(list(wrong.items())[:40]), indent=1)}"


STRANGE = [
    "self", "import", "None", "True", "__debug__", "print", "torch", "F", "operator", "Tensor", "tracing",
    "forward", "lambda", "match",
    "__class__", "__builtins__", "x y", "x;y", "0", "'", '"', "\\", "\\n", '"""', "x = 1", "x#", "{x}", "%s", "é",
    "e\u0301", "ﬁ", "fi", "𝐱", "x",
    "ª", "a", "ſ", "s", "ℌ", "H", "_", "__", "ＡＢ", "AB", "x\u0301", "def", "class", "exec", "globals", "nn", "math",
    "inputs", "args", "kwargs", "x_1", "x1",
]  # fmt: skip


def difference(names: tuple[str, str, str]) -> dict[str, Any]:
    """The config of a model that takes two tensors and gives the first without the second, under these names."""
    one, other, result = names
    calls = [
        {"name": other, "input": [None, 4], "dtype": "float32"},
        {"name": result, "function": "torch.sub", "args": [{"from": one}, {"from": other}]},
    ]
    return graph_config(calls, name=one, inputs=[{"from": one}, {"from": other}])


def test_the_code_of_a_model_means_its_graph_whatever_its_inputs_and_calls_are_called(tmp_path: Path) -> None:
    twins = [
        (one, other)
        for one in STRANGE
        for other in STRANGE
        if one != other and unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)
    ]
    cases = (
        [(name, "q", "r") for name in STRANGE]
        + [("q", "r", name) for name in STRANGE]
        + [(*pair, "q") for pair in twins]
        + [("q", *pair) for pair in twins]
    )
    path = tmp_path / "m.safetensors"

    def called(names: tuple[str, str, str]) -> Any:
        path.write_bytes(forge(difference(names)))
        model = tf.load_model(path)
        return model([torch.full((1, 4), 3.0), torch.full((1, 4), 1.0)]).tolist()

    wrong = {}
    for names, found in outcomes(cases, called):
        wrong[ascii(names)] = faults(found, [path])
        if found.ending == "ok" and found.value != [[2.0] * 4]:
            wrong[ascii(names)].append(f"gives {found.value}")
    assert len(twins) >= 8
    assert {name: each for name, each in wrong.items() if each} == {}


class Recorder(tf.layers.Layer):
    """A layer of the caller's, that keeps what a file gives it."""

    def __init__(self, given: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.given = given

    def call(self, x: Any) -> Any:
        return x


def test_what_the_caller_registers_is_given_data_and_objects_of_ours_alone_and_replaces_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.safetensors"
    gadgets = [
        {"class_name": "function", "config": "os.system"}, {"class_name": "os.system", "config": {}},
        {"class_name": "function", "config": "torch.load"}, {"class_name": "function", "config": ["x"]},
        {"class_name": "function", "config": None}, {"class_name": "Dense", "config": {"units": "x"}},
        {"class_name": "Dense", "config": None}, {"class_name": None, "config": None},
        {"class_name": "Recorder", "config": {"given": {"class_name": "Recorder", "config": {}}}},
        {"shared": "nope"}, {"shared": ["x"]}, {"class_name": "Adam", "config": {"learning_rate": "x"}},
        {"class_name": "Dense", "config": {"units": 10**12}}, {"class_name": "mse", "config": {}, "kind": []},
        {"class_name": "mse", "config": {}, "kind": "nope"},
        nested(150, lambda inner: {"class_name": "Recorder", "config": {"given": inner}}, 1), "x" * 10**5,
        {"__class__": "int"}, {"class_name": "Identity", "config": []}, {"class_name": "function", "config": "relu"},
    ]  # fmt: skip
    cases = [("Recorder", gadget) for gadget in gadgets] + [
        ("Recorder", {"nope": 1}),
        ("Dense", 3),
        ("torch.nn.Linear", 3),
        ("torch.relu", 3),
    ]

    def opened(case: tuple[str, Any]) -> Any:
        kind, given = case
        path.write_bytes(
            forge(
                graph_config(
                    [{"name": "q", "module": "q", "args": [X]}],
                    {"q": {"class_name": kind, "config": {"given": given}}},
                )
            )
        )
        custom = {
            "Recorder": Recorder,
            "Dense": Recorder,
            "torch.nn.Linear": Recorder,
            "torch.relu": Recorder,
            "relu": None,
        }
        model = tf.load_model(path, custom_objects=custom)
        return type(model.layers[-1]).__name__

    wrong = {}
    for case, found in outcomes(cases, opened):
        wrong[f"{case!a:.100}"] = faults(found, [path])
        if found.ending == "ok" and case[0] in ("Dense", "torch.nn.Linear"):
            wrong[f"{case!a:.100}"].append(f"is {found.value}")
    assert {name: each for name, each in wrong.items() if each} == {}


def test_there_are_as_many_forgeries_as_there_were() -> None:
    assert len(MAKERS) >= 24
    assert sum(1 for name, make in MAKERS.items() if "leaf" not in name for _ in make()) >= 1800
