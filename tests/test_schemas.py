"""What a file may give to a constructor: every argument of every class, with every kind of value, is taken or refused."""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import torchfunc as tf
from tests.test_native import needed
from torchfunc import config, layers, losses, metrics, native, optimizers, registry, schemas
from torchfunc.config import described, made
from torchfunc.errors import ConfigError, LimitError, TorchfuncError, UnknownNameError

ROOT = Path(__file__).parent.parent
HOSTILE: list[Any] = [
    "x", True, None, -1, 0, 3.5, -1e308, 10**12, 2**63, 10**400, [], {}, [1] * 1000, [[[[1]]]], {"a": {"b": [1]}},
    {"class_name": "Dense", "config": {"units": 10**9}}, {"shared": "x"}, "a" * 2**20, "\0", "\u202e", "self",
    "torch.empty", [10**9, 10**9],
]  # fmt: skip
OF_OURS: dict[str, Any] = {
    "filters": 2, "kernel_size": 3, "units": 4, "activation": "relu", "input_dim": 5, "output_dim": 3,
    "function": "relu", "axes": 1, "scale": 2.0, "rate": 0.5, "stddev": 0.1, "target_shape": [4], "dims": [1],
    "n": 2, "p": 0.5, "module": {"class_name": "torch.nn.ReLU", "config": {}}, "specificity": 0.5,
    "layer": {"class_name": "GRU", "config": {"units": 3}}, "sensitivity": 0.5, "recall": 0.5, "precision": 0.5,
    "num_classes": 3, "target_class_ids": [0], "initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5,
    "boundaries": [1], "values": [0.1, 0.2], "first_decay_steps": 5, "fn": "mse",
    "cell": {"class_name": "GRUCell", "config": {"units": 3}},
    "equation": "ab,bc->ac", "output_shape": 2, "output_size": 2, "num_heads": 2, "key_dim": 3, "head_dim": 3,
    "num_query_heads": 4, "num_key_value_heads": 2,
    "num_bins": 3, "max_tokens": None, "num_oov_indices": 1, "mask_token": None, "oov_token": "x",
    "optimizer_map": {"default_optimizer": "adam", "optimizer_map": {"a/.*": "sgd"}},
    "vocabulary_dtype": "string", "inner_optimizer": "adam", "side": "real",
    "cells": [{"class_name": "GRUCell", "config": {"units": 3}}],
    "height": 4, "width": 4, "factor": 1, "height_factor": 0.5, "width_factor": 0.5, "max_number": 2,
    "layers": [{"class_name": "RandomFlip", "config": {}}],
    "factors": [1.0, 1.0, 1.0], "offsets": [0.0, 0.0, 0.0],
    "init_values": 1e-6, "projection_dim": 4, "drop_path_rate": 0.1,
}  # fmt: skip


# what has a default in Keras without which it refuses to be made
NEEDED: dict[str, dict[str, Any]] = {"CategoryEncoding": {"num_tokens": 4}, "Discretization": {"num_bins": 3}}


def classes() -> Iterator[type]:
    """Every class that a file may name, but for models, whose configs are graphs."""
    named = {kind for each in registry.registries() for kind in each.names().values()}
    ours = [kind for kind in named if isinstance(kind, type) and not hasattr(kind, "config_class")]
    yield from sorted((k for k in ours if k.__module__.startswith("torchfunc.")), key=lambda k: k.__name__)
    yield from (*native.classes().values(), *native.optimizers().values())


def plainest(kind: type) -> dict[str, Any]:
    """The arguments without which there is no such object."""
    if kind in native.CONTAINERS:
        return {"modules": {}}
    if kind in native.classes().values():
        return {name: described(value, name) for name, value in needed(kind).items()}
    if kind in native.optimizers().values():
        return {}
    stated = inspect.signature(kind).parameters.values()
    given = {
        each.name: OF_OURS[each.name]
        for each in stated
        if each.default is each.empty and each.name in OF_OURS
    }
    return {**given, **NEEDED.get(kind.__name__, {})}


def arguments(kind: type) -> list[str]:
    own = native.argument_names(kind) if native.name_of(kind) else [*inspect.signature(kind).parameters]
    return [*own, "self", "__class__", "__debug__", "a\0b", "no_such_argument"]


def tried(kind: type, given: dict[str, Any]) -> str:
    """What becomes of a config: nothing to tell, or what is wrong."""
    begun = time.perf_counter()
    try:
        with torch.device("meta"):
            config.constructed(kind, given, "$.x")
        found = ""
    except TorchfuncError as error:
        found = "" if len(str(error)) < 1500 and "\0" not in str(error) else f"{len(str(error))} characters"
    except BaseException as error:
        found = f"{type(error).__name__}: {str(error)[:100]}"
    seconds = time.perf_counter() - begun
    return found or (f"{seconds:.1f} s" if seconds > 1 else "")


def try_all() -> None:
    """Try them all under limits, and print what is wrong as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    signal.alarm(120)
    wrong, number = [], 0
    for kind in classes():
        base = plainest(kind)
        with torch.device("meta"):
            config.constructed(kind, base, "$.x")
        for name in arguments(kind):
            for value in HOSTILE:
                number += 1
                if found := tried(kind, {**base, name: value}):
                    wrong.append(f"{kind.__name__} {name}={str(value)[:40]!r}: {found}")
    print(json.dumps({"number": number, "wrong": wrong}))


def test_every_argument_of_every_class_is_taken_or_refused_with_an_error_of_ours_and_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.test_schemas"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["number"] > 50_000


LINEAR = {"class_name": "torch.nn.Linear", "config": {"in_features": 2, "out_features": 2}}


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("Dense", {"units": "4"}, r"^\$\.x\.config\.units: expected an integer below 2\*\*40, got '4'\.$"),
        ("Dense", {"units": True}, r"units: expected an integer below 2\*\*40, got True"),
        ("Dense", {"units": 4.0}, r"units: expected an integer below 2\*\*40, got 4\.0"),
        ("Dense", {"units": 4, "use_bias": "yes"}, r"use_bias: expected True or False, got 'yes'"),
        ("Dense", {"units": 4, "bias": False}, r"expected arguments among \['units', .*got 'bias'. Fix: write 'use_bias'"),
        ("Dense", {"units": 4, "self": 1}, "got 'self'"),
        ("Dense", {"units": 4, "name": "a\u202eb"}, r"at most 1024 printable characters or None, got 'a\\u202eb'"),
        ("Dense", {"units": 4, "kernel_initializer": 3}, "a name or a dict with 'class_name' and 'config' or None, got 3"),
        ("Dropout", {"rate": "0.1"}, "rate: expected a number, got '0.1'"),
        ("BatchNormalization", {"momentum": "x"}, "momentum: expected a number, got 'x'"),
        ("torch.nn.Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": [3]},
         r"kernel_size: expected .* or a list of 2 \(each an integer below 2\*\*40\), got \[3\]"),
        ("torch.nn.MaxPool2d", {"kernel_size": 2, "stride": 0}, "stride: expected at least 1, got 0"),
        ("torch.nn.MultiheadAttention", {"embed_dim": 3, "num_heads": 2}, "mbed_dim must be divisible by num_heads"),
        ("torch.nn.Identity", {"in_features": 3}, "got 'in_features'"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_argument_what_came_and_what_was_expected(
    kind: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        made({"class_name": kind, "config": given}, "$.x")


def test_the_ways_out_of_refusals_work() -> None:
    assert (
        made({"class_name": "Dense", "config": {"units": 4, "use_bias": False}}, "$").get_config()["units"]
        == 4
    )
    assert (
        made({"class_name": "torch.nn.MaxPool2d", "config": {"kernel_size": 2, "stride": 1}}, "$").stride == 1
    )


@pytest.mark.parametrize(
    "thing",
    [
        lambda: layers.Dense(4, use_bias=1),
        lambda: layers.UpSampling1D((2,)),
        lambda: layers.Reshape([-1]),
        lambda: layers.Rescaling([[0.5], [2.0]]),
        lambda: layers.ZeroPadding2D([[1, 2], [0, 1]]),
        lambda: layers.Conv2D(2, (3, 3), strides=[1, 1], padding="same", name="Größe ✓"),
        lambda: layers.Dense(2, activation=nn.Softplus(beta=2), kernel_initializer=torch.zeros),
        lambda: nn.InstanceNorm2d(3, momentum=None),
        lambda: nn.LayerNorm([2, 3]),
        lambda: nn.AdaptiveAvgPool2d((None, 7)),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 100),
    ],
)
def test_what_is_odd_and_valid_comes_back(thing: Any) -> None:
    module = thing()
    written = json.loads(json.dumps(described(module, "m")))
    assert described(made(written, "$"), "m") == written


def lstm(layers: int) -> dict[str, Any]:
    return {
        "class_name": "torch.nn.LSTM",
        "config": {"input_size": 1, "hidden_size": 1, "num_layers": layers},
    }


def test_repeats_are_paid_for_by_the_tensors_of_a_file_and_without_one_by_the_config() -> None:
    words = r"^\$\.config\.num_layers: expected at most 64, got 65\. That is all that the tensors of the file"
    with schemas.budget(tensors=3), pytest.raises(LimitError, match=words):
        made(lstm(65), "$")
    with schemas.budget(tensors=260):
        assert made(lstm(65), "$").num_layers == 65
    pair = {"class_name": "torch.nn.Sequential", "config": {"modules": {"a": lstm(40), "b": lstm(40)}}}
    with (
        schemas.budget(tensors=3),
        pytest.raises(LimitError, match="b.config.num_layers: expected at most 24, got 40"),
    ):
        made(pair, "$")
    assert len(made(pair, "$")) == 2
    with pytest.raises(LimitError, match="got 1,000,000,000"), torch.device("meta"):
        made(lstm(10**9), "$")


def test_thresholds_are_counted_before_they_are_listed() -> None:
    auc = {"class_name": "AUC", "config": {"num_thresholds": 10**9}}
    with pytest.raises(LimitError, match=r"num_thresholds: expected at most 100,000, got 1,000,000,000"):
        metrics.get(auc)
    with schemas.budget(tensors=0):
        for _ in range(10):
            metrics.get({"class_name": "AUC", "config": {"num_thresholds": 100_000}})
        with pytest.raises(LimitError, match="at most 0, got 200"):
            metrics.get({"class_name": "AUC", "config": {"num_thresholds": 200}})


def doubled(levels: int) -> dict[str, Any]:
    """A module that stands twice in one that stands twice in one, and so on."""
    inner: dict[str, Any] = {"class_name": "torch.nn.ReLU", "config": {}}
    for level in range(levels):
        label = {"shared": f"s{level}"}
        inner = {
            "class_name": "torch.nn.Sequential",
            "config": {"modules": {"a": {**inner, **label}, "b": label}},
        }
    return inner


def test_modules_that_double_at_each_level_are_counted_before_they_are_made() -> None:
    assert len([*made(doubled(8), "$").named_modules(remove_duplicate=False)]) == 2**9 - 1
    begun = time.perf_counter()
    with pytest.raises(LimitError, match=r"^\$: expected at most [\d,]+, got 2,147,483,647 modules"):
        made(doubled(30), "$")
    assert time.perf_counter() - begun < 1


def test_a_model_that_is_called_often_in_one_that_is_called_often_is_counted() -> None:
    inputs = tf.Input((2,), name="x")
    model = tf.Model(inputs, torch.relu(inputs))
    for _ in range(3):
        x = inputs = tf.Input((2,))
        for _ in range(3):
            x = model(x)
        model = tf.Model(inputs, x)
    written = json.loads(json.dumps(described(model, "m")))
    assert made(written, "$")(torch.ones(1, 2)).tolist() == [[1, 1]]
    for _ in range(40):
        row = {"module": "m"}
        written = {"class_name": "Model", "config": {"layers": {"m": written}, "calls": [row] * 3}}
    with pytest.raises(LimitError, match="calls, counted at every place where they stand"):
        made(written, "$")


def test_what_is_nested_too_deeply_is_refused() -> None:
    inner: dict[str, Any] = LINEAR
    for _ in range(120):
        inner = {"class_name": "torch.nn.Sequential", "config": {"modules": {"a": inner}}}
    with pytest.raises(LimitError, match="expected fewer, got objects in more than 100 others") as caught:
        made(inner, "$")
    assert len(str(caught.value)) < 600


def test_a_function_of_pytorch_stands_where_it_makes_sense_alone() -> None:
    assert tf.activations.get("torch.sin") is torch.sin
    assert isinstance(losses.get("F.mse_loss"), losses.Loss)
    with pytest.raises(
        UnknownNameError, match=r"Unknown activation 'torch.randn'.*a function for other places"
    ):
        tf.activations.get("torch.randn")
    with pytest.raises(UnknownNameError, match=r"Unknown initializer 'torch.sin'"):
        tf.initializers.get("torch.sin")
    for room in (optimizers, tf.schedules):
        with pytest.raises(UnknownNameError):
            room.get("torch.sin")


def test_keywords_of_a_function_are_those_that_it_states() -> None:
    huber = {"class_name": "MeanMetricWrapper", "config": {"fn": "F.huber_loss", "name": "h", "delta": 0.5}}
    assert metrics.get(huber).get_config() == huber["config"]
    for keyword, value in (("out", 1), ("self", 1), ("dleta", 0.5), ("delta", [0.5])):
        given = {"fn": "F.huber_loss", "name": "h", keyword: value}
        with pytest.raises(ConfigError, match=keyword):
            metrics.get({"class_name": "MeanMetricWrapper", "config": given})


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (layers.Dense, {"units": "4"}, r"^Dense\.config\.units: expected an integer"),
        (losses.Huber, {"dleta": 1.0}, "Huber: expected arguments among .* Fix: write 'delta'"),
        (metrics.AUC, {"num_thresholds": 10**9}, r"AUC\.config\.num_thresholds: expected at most 100,000"),
        (metrics.MeanMetricWrapper, {}, "MeanMetricWrapper: expected the name of a function, got no 'fn'"),
        (
            optimizers.Adam,
            {"learning_rate": [1]},
            r"Adam\.config\.learning_rate: expected a number or a name",
        ),
        (tf.Sequential, {}, "expected the keys layers: 'layers' is missing"),
        (tf.Sequential, {"layers": [], "input": 3}, r"\$.input: expected an object"),
        (tf.Model, {"calls": 3}, "expected"),
        (tf.Model, 3, "Model: expected a dict of arguments, got 3"),
    ],
)
def test_from_config_gives_an_object_or_an_error_of_ours_whoever_calls_it(
    kind: Any, given: Any, words: str
) -> None:
    with pytest.raises(TorchfuncError, match=words):
        kind.from_config(given)


def test_long_names_are_cut() -> None:
    for get in (losses.get, metrics.get, tf.activations.get, lambda name: made({"class_name": name}, "$")):
        with pytest.raises(UnknownNameError) as caught:
            get("Dense" * 2**20)
        assert len(str(caught.value)) < 1000


def test_a_module_on_meta_draws_no_numbers_and_imports_nothing() -> None:
    embedding = {"class_name": "torch.nn.Embedding", "config": {"num_embeddings": 5, "embedding_dim": 3}}
    code = (
        "import sys, torch, torchfunc\nfrom torchfunc.config import made\n"
        f"with torch.device('meta'): made({LINEAR!r}, '$'); before = set(sys.modules); made({embedding!r}, '$')\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
    assert made(embedding, "$").weight.std() > 0.2


if __name__ == "__main__":
    try_all()
