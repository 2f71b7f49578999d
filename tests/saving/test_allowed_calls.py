"""A file gives a call what PyTorch's schemas know and what changes nothing, and is told where it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import torchfunc as tf
from torchfunc import functions, layers
from torchfunc.errors import ConfigError, LimitError, SavingError
from torchfunc.graph.graph import Ref, StateRef
from torchfunc.saving import allowed_calls
from torchfunc.saving.allowed_calls import check_call

X, Y, W = Ref(0), Ref(1), StateRef("w")
PLACE = "$.calls[3]"


def refused(kind: str, name: str, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check_call(kind, name, args, kwargs, PLACE)
    text = str(caught.value)
    assert text.startswith(f"{PLACE}: ") and len(text) < 400
    return text


def allowed(kind: str, name: str, *args: Any, **kwargs: Any) -> None:
    check_call(kind, name, args, kwargs, PLACE)


def test_every_name_that_a_file_may_give_has_a_signature() -> None:
    for kind, names in (("function", functions.by_name()), ("method", functions.METHODS)):
        assert [name for name in names if not allowed_calls.signatures(kind, name)] == []
    assert allowed_calls.signatures("function", "os.system") == ()
    assert allowed_calls.signatures("method", "set_") == ()


def test_no_form_that_a_file_may_use_writes_to_an_argument() -> None:
    kinds = {"torch": "", "F": "", **allowed_calls._PREFIXES}
    names = {
        kinds[home] + word
        for home, _, word in (n.rpartition(".") for n in functions.by_name())
        if home in kinds
    }
    written = {
        argument.name
        for name in names | functions.METHODS
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        if not schema.overload_name and schema.arguments and str(schema.arguments[0].type) == "Tensor"
        for argument in schema.arguments
        if argument.is_write and not argument.is_out
    }
    assert written == set()


@pytest.mark.parametrize(
    ("kind", "name", "args", "kwargs"),
    [
        ("function", "torch.add", (X, 1), {"alpha": 2}),
        ("function", "torch.add", (X,), {"other": Y}),
        ("function", "torch.add", (2, X), {}),
        ("function", "torch.cat", ([X, Y],), {"axis": 1}),
        ("function", "torch.cat", ((X, W), 1), {}),
        ("function", "torch.where", (X, 0.0, Y), {}),
        ("function", "torch.zeros", (X, 3), {"dtype": torch.int64, "device": "cpu", "requires_grad": False}),
        ("function", "torch.full", ((X, 2), float("inf")), {}),
        ("function", "torch.einsum", ("ij,jk->ik", X, Y), {}),
        ("function", "torch.sum", (X,), {"dim": None, "keepdim": True}),
        ("function", "F.dropout", (X, 0.5, True, False), {}),
        ("function", "F.interpolate", (X,), {"size": (3, 4), "mode": "bilinear"}),
        ("function", "F.batch_norm", (X, W, W, W, W), {}),
        ("function", "F.batch_norm", (X, None, None), {"training": True}),
        ("function", "F.softmax", (X, 1, 3), {}),
        ("function", "operator.getitem", (X, (slice(None, Y), None, Ellipsis, [0, 2], True)), {}),
        ("function", "operator.mul", (2.5, X), {}),
        ("function", "a function of the caller", ("anything",), {"out": 1}),
        ("method", "view", (X, Y, -1), {}),
        ("method", "view", (X, (2, 3)), {}),
        ("method", "to", (X, torch.float16), {}),
        ("method", "to", (X, "cpu", torch.float16), {}),
        ("method", "to", (X, W), {"copy": True}),
        ("method", "sum", (X, 1, True), {}),
        ("method", "nonzero", (X,), {"as_tuple": True}),
        ("attribute", "T", (X,), {}),
        ("module", "dense", (X,), {"training": True}),
    ],
)
def test_what_people_write_is_allowed(kind: str, name: str, args: Any, kwargs: Any) -> None:
    allowed(kind, name, *args, **kwargs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "argument"),
    [
        ("torch.add", (X, 1), {"out": W}, "out"),
        ("torch.norm", (X, 2, None, False, W), {}, "out"),
        ("torch.tensordot", (X, Y), {"out": W}, "out"),
        ("torch.rand", (3,), {"generator": X}, "generator"),
        ("F.relu", (X, True), {}, "inplace"),
        ("F.dropout", (X,), {"inplace": True}, "inplace"),
        ("F.dropout", (X, 0.5, True, X), {}, "inplace"),
        ("torch.zeros", (3,), {"requires_grad": True}, "requires_grad"),
        ("torch.zeros", (3,), {"pin_memory": True}, "pin_memory"),
        ("torch.zeros", (3,), {"layout": "torch.sparse_coo"}, "layout"),
        ("torch.zeros", (3,), {"device": "cuda:999"}, "device"),
        ("torch.zeros", (3,), {"device": torch.device("meta")}, "device"),
        ("F.embedding", (X, W), {"max_norm": 1.0}, "max_norm"),
        ("F.softmax", (X, 1), {"_stacklevel": 10**6}, "_stacklevel"),
        ("F.fractional_max_pool2d", (X, 2, 3), {"_random_samples": Y}, "_random_samples"),
        ("F.batch_norm", (X, W, W), {"training": True}, "running_mean"),
        ("torch.instance_norm", (X, None, None, W, W, True, 0.1, 1e-5, False), {}, "running_mean"),
        ("F.triplet_margin_with_distance_loss", (X, X, X), {"distance_function": Y}, "distance_function"),
    ],
)
def test_an_argument_that_writes_or_reaches_elsewhere_is_refused_by_name_and_by_place(
    name: str, args: Any, kwargs: Any, argument: str
) -> None:
    assert repr(argument) in refused("function", name, *args, **kwargs)


@pytest.mark.parametrize(
    ("kind", "name", "args", "kwargs"),
    [
        ("method", "relu", (), {"value": X}),
        ("method", "relu", (), {}),
        ("method", "relu", (3,), {}),
        ("attribute", "T", (), {}),
        ("attribute", "T", (X, X), {}),
        ("attribute", "T", (3,), {}),
        ("function", "torch.relu", (3,), {}),
        ("function", "torch.norm", (3,), {}),
        ("function", "torch.einsum", ("i->i",), {}),
        ("function", "torch.cat", ([1, 2],), {}),
        ("function", "operator.lshift", (1, 10**10), {}),
        ("function", "operator.mul", ([0], 10**9), {}),
        ("function", "operator.mul", (X, [0]), {}),
        ("function", "operator.add", (X, "text"), {}),
        ("function", "operator.pow", (10, 10), {}),
        ("function", "operator.getitem", (X, "text"), {}),
        ("function", "operator.getitem", ([1], X), {}),
    ],
)
def test_a_call_without_its_tensor_is_refused(kind: str, name: str, args: Any, kwargs: Any) -> None:
    text = refused(kind, name, *args, **kwargs)
    assert "tensor" in text or "a number" in text or "got 'text'" in text


@pytest.mark.parametrize(
    ("kind", "name", "args", "kwargs"),
    [
        ("function", "torch.full", ((2**40,), 1), {}),
        ("function", "torch.full", ((2,), 2**70), {}),
        ("function", "torch.zeros", (10**12,), {}),
        ("function", "torch.eye", (2**33,), {}),
        ("function", "F.one_hot", (X, 2**40), {}),
        ("function", "torch.histc", (X, 2**40), {}),
        ("function", "torch.linspace", (0, 1, 2**40), {}),
        ("function", "torch.tensor_split", (X, 2**40), {}),
        ("function", "torch.nonzero_static", (X,), {"size": 2**40}),
        ("function", "F.pad", (X, (2**40, 0)), {}),
        ("function", "F.max_pool2d", (X, 2**40), {}),
        ("function", "F.pad", (X, "wide"), {"mode": 3}),
        ("function", "torch.sum", (X,), {"dtype": "float32"}),
        ("function", "torch.sum", (X, "rows"), {}),
        ("function", "torch.add", (X, 2**70), {}),
        ("method", "repeat", (X, 2**40), {}),
        ("method", "chunk", (X, 2**40), {}),
        ("method", "mean", (X, 0, "no"), {}),
        ("method", "relu", (X, 1, 2), {}),
        ("method", "to", (X, "xla"), {}),
    ],
)
def test_a_constant_of_a_wrong_kind_or_size_is_refused(kind: str, name: str, args: Any, kwargs: Any) -> None:
    refused(kind, name, *args, **kwargs)


def test_a_call_holds_a_thousand_constants_and_as_many_tensors_as_it_likes() -> None:
    allowed("function", "torch.cat", [X] * 5000)
    allowed("method", "new_tensor", X, [1.0] * 999)
    with pytest.raises(
        LimitError, match=r"at most 1,000 constants in one call, got 1,001. Fix: keep them in a tensor"
    ):
        allowed("method", "new_tensor", X, [1.0] * 1001)


def test_asking_for_arguments_imports_nothing_and_calls_nothing() -> None:
    code = (
        "import sys, torchfunc; from torchfunc import functions; from torchfunc.saving import allowed_calls\n"
        "torchfunc.rooms.everything()\n"
        "before = set(sys.modules)\n"
        "for kind, names in (('function', functions.by_name()), ('method', functions.METHODS)):\n"
        "    for name in names: allowed_calls.signatures(kind, name)\n"
        "assert set(sys.modules) == before, set(sys.modules) - before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: x.as_strided((2, 2), (1, 1)), "as_strided.*around the tensor"),
        (
            lambda x: F.embedding_bag(x.long(), torch.ones(4, 4)),
            "F.embedding_bag.*does not check",
        ),
        (lambda x: x.to("cuda:1"), "cpu, cuda, mps"),
    ],
)
def test_a_model_with_a_call_that_no_file_may_hold_is_refused_when_it_is_saved(
    tmp_path: Path, call: Any, words: str
) -> None:
    x = tf.Input((4,), name="x")
    model = tf.Model(x, call(x))
    with pytest.raises(SavingError, match=words) as caught:
        model.save(tmp_path / "m.safetensors")
    assert "inside a Layer, or keep the weights alone with save_weights" in str(caught.value)
    model.save_weights(tmp_path / "w.safetensors")


def test_the_way_out_works(tmp_path: Path) -> None:
    class Blank(layers.Layer):
        def call(self, x: torch.Tensor) -> torch.Tensor:
            return torch.empty_like(x).copy_(x)

    x = tf.Input((4,), name="x")
    path = tmp_path / "m.safetensors"
    tf.Model(x, Blank()(x)).save(path)
    value = torch.ones(2, 4)
    assert torch.equal(tf.load_model(path, custom_objects={"Blank": Blank})(value), value)


@pytest.mark.parametrize(
    "call",
    [lambda x: torch.empty_like(x), lambda x: x.new_empty((3,)), lambda x: x + torch.empty(x.shape[0], 4)],
)
def test_new_memory_in_a_graph_is_that_of_zeros_in_a_file(tmp_path: Path, call: Any) -> None:
    path, x = tmp_path / "m.safetensors", tf.Input((4,), name="x")
    tf.Model(x, call(x)).save(path)
    secret = torch.full((3, 4), 42.5)
    del secret
    assert not tf.load_model(path)(torch.zeros(3, 4)).any()
