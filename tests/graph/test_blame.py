"""A mistake made while a graph is built is told once: where, on what, what was expected, why, and the way out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import (
    DisconnectedError,
    DTypeError,
    GraphError,
    NameTakenError,
    ShapeError,
    TorchfuncError,
    UnknownNameError,
)


def given(*shape: int | None, name: str = "x", dtype: str = "float32") -> Any:
    return tf.Input(shape, name=name, dtype=dtype)


class Forgetful(layers.Layer):
    def forward(self, inputs: Tensor) -> None:
        inputs.relu()


class Own(nn.Module):
    """Has a class that no registry knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2


class Looking(nn.Module):
    """Looks at a value, and returns another form for another value."""

    def forward(self, x: Tensor) -> Any:
        return x if x.flatten()[0].item() == 1 else (x, x)


class Reading(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy()) / {}["missing"]


def sharing() -> Any:
    shared = nn.Linear(4, 2)
    return shared(given(4, name="i1")), shared(given(5, name="i2"))


def looping() -> Any:
    x = given(4)
    first = x + 1
    last = first * 2
    first.node.args = (last, x)
    return tf.Model(x, last)


def compared() -> Any:
    return max(given(None).shape[1], 3)


@dataclass
class Case:
    make: Callable[[], Any]
    error: type[Exception]
    words: list[str]
    absent: list[str] = field(default_factory=list)


SHAPE, WHERE = ShapeError, "(test_blame.py, line "
CASES: dict[str, Case] = {
    "E01 Conv2d on a vector": Case(
        lambda: nn.Conv2d(3, 8, 3)(given(8)),
        SHAPE,
        [
            "Conv2d 'conv2d'",
            WHERE,
            "shape (None, 8) from 'x'",
            "4 dimensions (batch, channels, height, width)",
        ],
    ),
    "E01 Linear on scalars": Case(
        lambda: nn.Linear(4, 2)(given()), SHAPE, ["Linear 'linear'", "shape (None,) from 'x'", "Fix: "]
    ),
    "E01 Dense on a vector": Case(
        lambda: layers.Dense(3)(tf.Input(batch_shape=(4,), name="x")),
        SHAPE,
        ["Dense 'dense'", WHERE, "at least 2 dimensions", "(4,)", "Fix: "],
    ),
    "E01 Conv2D on a vector": Case(
        lambda: layers.Conv2D(8, 3)(given(8)),
        SHAPE,
        ["Conv2D 'conv2d'", "4 dimensions (batch, height, width, channels)", "Reshape"],
    ),
    "E02 channels last": Case(
        lambda: nn.Conv2d(3, 8, 3)(given(32, 32, 3, name="img")),
        SHAPE,
        ["shape (None, 32, 32, 3) from 'img'", "looks like the channels", "x.permute(0, 3, 1, 2)"],
    ),
    "E02 another number of channels": Case(
        lambda: nn.Conv2d(3, 8, 3)(given(4, 32, 32)), SHAPE, ["Fix: make it with in_channels=4"]
    ),
    "E02 batch norm": Case(
        lambda: nn.BatchNorm2d(3)(given(8, 8, 3)),
        SHAPE,
        ["BatchNorm2d", "it takes 3 channels in dimension 1"],
    ),
    "E03 cat": Case(
        lambda: torch.cat([given(4, 5, name="a"), given(4, 6, name="b")], 1),
        SHAPE,
        ["`cat` 'cat'", WHERE, "(None, 4, 5) from 'a', shape (None, 4, 6) from 'b'", "in dimension 2"],
    ),
    "E03 Concatenate": Case(
        lambda: layers.Concatenate(axis=1)([given(4, 5, name="a"), given(4, 6, name="b")]),
        SHAPE,
        ["Concatenate 'concatenate'", "'a', 'b'", "differ on dimension 2: 5 and 6"],
    ),
    "E04 plus": Case(
        lambda: given(4, name="a") + given(5, name="b"),
        SHAPE,
        ["`add` 'add'", "shape (None, 4) from 'a', shape (None, 5) from 'b'"],
    ),
    "E04 Add": Case(
        lambda: layers.Add()([given(4, name="a"), given(5, name="b")]),
        SHAPE,
        ["Add 'add'", "'a', 'b'", "(None, 4), (None, 5)", "4 and 5"],
    ),
    "E04 unknown against known batch": Case(
        lambda: given(4, name="a") + tf.Input(batch_shape=(3, 4), name="b"),
        SHAPE,
        ["shape (None, 4) from 'a', shape (3, 4) from 'b'", "[None, 4]"],
    ),
    "E05 a shared layer": Case(
        sharing, SHAPE, ["shape (None, 5) from 'i2'", "make it with 5 input features"], ["i1"]
    ),
    "E06 a missing input": Case(
        lambda: tf.Model(given(4, name="a"), layers.Dense(2)(given(4, name="a") + given(4, name="b"))),
        DisconnectedError,
        ["An output needs 'b', which is not among the inputs", "b -> add -> dense"],
    ),
    "E08 a loop made by hand": Case(
        looping, GraphError, ["The call 'mul' is needed by a call that was made before it", "make a new call"]
    ),
    "E09 a layer as an output": Case(
        lambda: tf.Model(given(4), nn.Linear(4, 2)),
        GraphError,
        ["outputs: expected a symbolic tensor, got the layer 'linear' itself", "Fix: call it: linear(x)"],
    ),
    "E09 an array as an output": Case(
        lambda: tf.Model(given(4), {"y": [np.full(3, 7.25)]}),
        GraphError,
        ["outputs['y'][0]: expected a symbolic tensor, got ndarray"],
        ["7.25"],
    ),
    "E10 a layer as an input": Case(
        lambda: tf.Model(nn.Linear(4, 4), given(4)),
        GraphError,
        ["inputs: expected a symbolic tensor", "'linear'"],
    ),
    "E12 if": Case(lambda: 1 if given(4) else 2, GraphError, ["a branch", "torch.where"]),
    "E12 float": Case(lambda: float(given(4)), GraphError, ["float(x)", "x.float()"]),
    "E12 loop": Case(lambda: list(given(4)), GraphError, ["a loop over it", "batch_size"]),
    "E12 numpy": Case(lambda: np.asarray(given(4)), GraphError, ["a NumPy function", "torch with that name"]),
    "E12 assignment": Case(
        lambda: given(4).__setitem__(0, 1.0),
        GraphError,
        ["`x[...] = value`", "leaves its arguments as they are"],
    ),
    "E12 if a comparison": Case(lambda: 1 if given(4) == 3 else 2, GraphError, ["a branch", "torch.where"]),
    "E12 in": Case(lambda: 3 in given(4), GraphError, ["`item in x`", "(x == item).any()"]),
    "E12 len": Case(lambda: len(given(4)), GraphError, ["`len(x)`", "batch_size"]),
    "E12 int": Case(lambda: int(given(4)), GraphError, ["`int(x)`", "x.long()"]),
    "E12 a loop over a size": Case(
        lambda: range(given(None).shape[1]),
        GraphError,
        ["An unknown dimension has no value", "x.view(n, -1)"],
    ),
    "E12 a larger of two sizes": Case(compared, GraphError, ["cannot be compared", "torch.sym_max(n, 1)"]),
    "E12 a root of a size": Case(
        lambda: math.sqrt(given(None).shape[1]), GraphError, ["An unknown dimension has no value", "n ** 0.5"]
    ),
    "E12 a rounded size": Case(
        lambda: round(given(None).shape[1] / 2), GraphError, ["Python rounds only numbers", "n // 2"]
    ),
    "E13 a tensor computed from weights": Case(
        lambda: given(4) + nn.Parameter(torch.full((4,), 7.25)) * 2,
        GraphError,
        ["a tensor of shape (4,) that was computed from weights", "hand over the parameter itself"],
        ["7.25", "14.5"],
    ),
    "E14 a tensor of another graph": Case(
        lambda: tf.Model(given(4, name="mine"), tf.Model(x := given(4, name="theirs"), x + 1).output * 2),
        DisconnectedError,
        ["'theirs'", "['mine']"],
    ),
    "E15 one name for two layers": Case(
        lambda: tf.Model(x := given(4), layers.Dense(4, name="d")(layers.Dense(4, name="d")(x))),
        NameTakenError,
        ["'d' was given twice, to a Dense and a Dense", "'d_1'"],
    ),
    "E15 one name for two inputs": Case(
        lambda: tf.Model([a := given(4, name="a"), b := given(4, name="a")], a + b),
        NameTakenError,
        ["'a' was given twice, to an Input and an Input"],
    ),
    "E16 units": Case(lambda: layers.Dense(-3), TorchfuncError, ["Dense", "positive integer", "units=-3"]),
    "E16 units that no memory holds": Case(
        lambda: layers.Dense(10**12)(given(4)),
        SHAPE,
        ["Dense 'dense'", WHERE, "a weight that a memory can hold", "16000000000000 bytes", "fewer units"],
        ["[enforce"],
    ),
    "E16 units beyond any memory": Case(
        lambda: layers.Dense(10**14)(given(4)), SHAPE, ["Dense 'dense'", "1,455 TiB"]
    ),
    "E16 a lazy module that no memory holds": Case(
        lambda: nn.LazyLinear(10**12)(given(4)), SHAPE, ["'lazy_linear'", "16000000000000 bytes"]
    ),
    "E17 a keyword": Case(
        lambda: layers.Dense(3, activaton="relu"), (TypeError, TorchfuncError), ["activaton", "'activation'"]
    ),
    "E18 an activation": Case(
        lambda: layers.Dense(3, activation="rellu"), UnknownNameError, ["'rellu'", "'relu'"]
    ),
    "E19 a kernel too large": Case(
        lambda: nn.Conv2d(3, 8, 9)(given(3, 4, 4)),
        SHAPE,
        ["shape (None, 3, 4, 4)", "kernel of (9, 9) is larger than the input", "padding='same'"],
    ),
    "E20 an impossible reshape": Case(
        lambda: given(10).view(7, -1),
        SHAPE,
        ["`view` 'view'", "invalid for input of size None", "(None, 10)"],
    ),
    "E21 unknown features": Case(
        lambda: layers.Dense(3)(layers.Flatten()(given(None, 4))),
        SHAPE,
        ["Dense 'dense'", "(None, None)", "give Input that dimension"],
    ),
    "E21 unknown features for a Linear": Case(
        lambda: nn.Linear(4, 2)(given(None)),
        SHAPE,
        ["the last dimension is unknown", "give Input that dimension"],
    ),
    "E22 a forgotten return": Case(
        lambda: Forgetful(name="n")(given(4)),
        GraphError,
        ["Forgetful 'n'", "got None from its forward", "return"],
    ),
    "E23 a layer instead of its output": Case(
        lambda: layers.Dense(3)(nn.ReLU()),
        GraphError,
        ["Dense 'dense'", "itself", "layer was passed instead"],
    ),
    "E23 a module that only holds others": Case(
        lambda: nn.ModuleList([nn.Linear(4, 4)])(given(4)),
        GraphError,
        ["ModuleList 'module_list'", WHERE, "call the modules that it holds, one by one"],
    ),
    "E24 a form that hangs on values": Case(
        lambda: Looking()(given(4)),
        GraphError,
        ["Looking 'looking'", WHERE, "a graph has one form for all", "inside a Layer"],
    ),
    "E24 a value": Case(lambda: given(4).item(), GraphError, [".item()", "has no value", "inside a Layer"]),
    "E24 a failure that has nothing to do with it": Case(
        lambda: Reading()(given(4)), GraphError, ["Reading 'reading'", "'missing'"]
    ),
    "E25 parameters of two dtypes": Case(
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4).double())(given(4)),
        DTypeError,
        ["float32 and float64", "0.weight float32 on cpu", "1.weight float64 on cpu"],
    ),
    "E25 an input of another dtype": Case(
        lambda: nn.Linear(4, 4)(given(4, dtype="int64")),
        DTypeError,
        ["shape (None, 4) of int64 from 'x'", "int64 and float32", "x.float()"],
    ),
    "E25 floats for an Embedding": Case(
        lambda: nn.Embedding(5, 3)(given(4)), DTypeError, ["Embedding 'embedding'", "Long", "x.long()"]
    ),
    "E27 a method in place": Case(
        lambda: given(4).relu_(), GraphError, ["`x.relu_(...)`", "`x = x.relu(...)`"]
    ),
    "E27 a function in place": Case(lambda: F.relu_(given(4)), GraphError, ["relu_", "`x = x.relu(...)`"]),
    "E27 a part of a tensor in place": Case(
        lambda: given(4)[:, 0].fill_(0), GraphError, ["`x.fill_(...)`", "Fix: "]
    ),
    "a wrong keyword": Case(
        lambda: nn.Linear(4, 2)(given(4), foo=3),
        GraphError,
        ["Linear 'linear'", "unexpected keyword argument 'foo'", "as its signature says: Linear(input"],
    ),
    "too few arguments": Case(
        lambda: nn.Bilinear(4, 2, 3)(given(4)), GraphError, ["'input2'", "Bilinear(input1: ", "input2: "]
    ),
    "too many arguments for a method": Case(
        lambda: given(4).relu(3), GraphError, ["takes no arguments", "help(torch.Tensor.relu)"]
    ),
    "no function": Case(lambda: tf.call(5, given(4)), GraphError, ["`5`", "not callable"]),
    "weights for one call": Case(
        lambda: torch.func.functional_call(nn.Linear(4, 4), {"weight": torch.zeros(4, 4)}, (given(4),)),
        GraphError,
        ["Linear in `functional_call`", "its own weights", "inside the forward of a Layer"],
    ),
    "sizes inside a module": Case(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(4, 3))(given(4)),
        SHAPE,
        ["Sequential 'sequential'", "[None, 5] X [4, 3]"],
    ),
    "three inputs": Case(
        lambda: nn.MultiheadAttention(8, 2)(
            given(5, 8, name="q"), given(6, 7, name="k"), given(6, 8, name="v")
        ),
        SHAPE,
        ["from 'q'", "from 'k'", "from 'v'", "[None, 6, 7]) does not match value shape"],
    ),
    "a recurrence": Case(lambda: nn.LSTM(4, 5)(given(7, 3)), SHAPE, ["LSTM 'lstm'", "Expected 4, got 3"]),
    "a known dimension of 192": Case(
        lambda: nn.Linear(97, 2)(given(191)),
        SHAPE,
        ["(None, 191)", "[None, 191] X [97, 2]", "191 input features"],
    ),
    "a dimension": Case(
        lambda: torch.zeros(given(4).shape[0], -3),
        SHAPE,
        ["a dimension from 'size'", "negative dimension -3"],
    ),
}


# what each message has to say besides where: what came, what was expected or why not, and the way out
GOT = r"\bgot\b|has no argument|was given twice|Unknown|is not among the inputs|unknown dimension|is needed by a call"
WHY = r"expected|\. [^.]+\.|Did you mean"
WAY_OUT = r"Fix: .+|Did you mean"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mistake_is_told_in_words_that_help(case: Case) -> None:
    with pytest.raises(case.error) as caught:
        case.make()
    text = str(caught.value)
    assert not [word for word in case.words if word not in text], text
    assert not [word for word in case.absent if word in text], text
    assert len(text) < 1000 and "\n" not in text
    assert re.search(GOT, text) and re.search(WHY, text) and re.search(WAY_OUT, text), text
    text = re.sub(r"line \d+", "", text)
    assert not re.search(r"\b(96|192|960|1920|384|768)\b", text), text
    assert not re.search(r"tensor\(|device='meta'|C\+\+|Traceback|\.py:\d+", text), text


def test_the_cause_is_kept() -> None:
    with pytest.raises(ShapeError) as caught:
        nn.Linear(4, 2)(given(5))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_the_line_is_the_users_own() -> None:
    with pytest.raises(ShapeError) as caught:
        nn.Linear(4, 2)(given(5))  # this line
    line = int(re.search(r"\(test_blame.py, line (\d+)\)", str(caught.value)).group(1))  # type: ignore[union-attr]
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123
        assert file.readlines()[line - 1].rstrip().endswith("# this line")


def test_known_sizes_that_equal_those_of_a_try_are_told_as_they_are() -> None:
    with pytest.raises(ShapeError) as caught:
        nn.Linear(96, 2)(given(192))
    assert "[None, 192] X [96, 2]" in str(caught.value) and "make it with 192 input features" in str(
        caught.value
    )


def test_a_long_reason_is_cut() -> None:
    def fail(x: Any) -> Any:
        raise ValueError("no\n" * 5_000)

    with pytest.raises(GraphError) as caught:
        tf.call(fail, *[given(4, name=f"input_{index}") for index in range(30)][:1])
    assert len(str(caught.value)) < 700


def test_many_inputs_are_not_all_listed() -> None:
    inputs = [given(4 + index % 2, name=f"input_{index}") for index in range(30)]
    with pytest.raises(ShapeError) as caught:
        torch.stack(inputs)
    assert "'input_5', ..." in str(caught.value) and "input_6" not in str(caught.value)


def test_an_error_of_torchfunc_inside_a_module_is_not_dressed_twice() -> None:
    class Inner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ShapeError("told already")

    with pytest.raises(ShapeError, match="^told already$"):
        Inner()(given(4))


def test_e07_an_input_that_no_output_needs_is_named_with_the_way_out() -> None:
    a, b = given(4, name="a"), given(4, name="b")
    with pytest.warns(
        UserWarning, match=r"Input 'a' is not used by any output .*\. Fix: leave it out"
    ) as caught:
        tf.Model([a, b], b + 1)
    assert caught[0].filename == __file__


def test_e11_a_function_of_torch_simply_works() -> None:
    x = given(4)
    values = torch.tensor([[-1.0, 0.0, 1.0, 2.0]])
    assert torch.equal(tf.Model(x, torch.relu(x))(values), values.relu())


def test_e26_a_chain_of_ten_thousand_calls_works() -> None:
    x = y = given(4)
    for _ in range(10_000):
        y = y + 1
    assert tf.Model(x, y)(torch.zeros(1, 4))[0, 0] == 10_000


def test_e28_one_module_in_two_models_is_shared_and_each_summary_counts_it(capsys: Any) -> None:
    shared = nn.Linear(4, 2)
    first, second = (tf.Model(x := given(4), shared(x) * factor) for factor in (1, 2))
    with torch.no_grad():
        shared.weight.fill_(1.0)
        shared.bias.fill_(0.0)
    ones = torch.ones(1, 4)
    assert first.linear is second.linear is shared
    assert first(ones)[0, 0] == 4 and second(ones)[0, 0] == 8
    for model in (first, second):
        model.summary()
        assert "10" in capsys.readouterr().out


def test_e29_a_module_that_no_file_can_name_fails_when_it_is_saved(tmp_path: Path) -> None:
    x = given(4)
    with pytest.raises(TorchfuncError) as caught:
        tf.Model(x, Own()(x)).save(tmp_path / "model.safetensors")
    text = str(caught.value)
    assert (
        "Own 'own': expected a class that a file can name" in text and "got a module of the class Own" in text
    )
    assert "A file holds data and never code" in text
    assert "Fix: give Own a get_config and decorate it with @torchfunc.register()" in text
    assert not list(tmp_path.iterdir())
