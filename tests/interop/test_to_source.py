"""A model as a file that imports torch alone: it computes to the bit what the model's twin does."""

from __future__ import annotations

import ast
import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchfunc as tf
from torchfunc import interop, layers
from torchfunc.errors import GraphError
from torchfunc.interop.rolling import rolled
from torchfunc.interop.wrapping import wrapped
from torchfunc.tree import leaves

EXAMPLES = Path(__file__).parents[2] / "examples"
TOY_RESNET = Path(__file__).parents[1] / "golden" / "toy_resnet_in_torch.txt"


def network_in(path: Path) -> nn.Module:
    """The network that a file makes: its last class."""
    name = next(n.name for n in reversed(ast.parse(path.read_text()).body) if isinstance(n, ast.ClassDef))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)()  # type: ignore[no-any-return]


def given_to(model: Any) -> list[Tensor]:
    """A batch for each input."""
    specs = [model.graph.spec(ref) for ref in leaves(model.graph.inputs)]
    shapes = [tuple(2 if n is None else n for n in spec.shape) for spec in specs]
    return [
        torch.rand(shape).to(spec.dtype) if spec.dtype.is_floating_point else torch.randint(2, shape)
        for spec, shape in zip(specs, shapes, strict=True)
    ]


def check_source(model: Any, path: Path) -> str:
    """What every such file keeps: torch alone, ruff's format, and the twin's weights and outputs."""
    text = interop.to_source(model, path)
    assert path.read_text() == text
    imported = {
        line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import", "from"))
    }
    assert imported <= {"__future__", "torch", "operator", "typing"}
    for command in (["format", "--check"], ["check", "--select", "E,F,I,W"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + text
    twin, network, inputs = interop.to_torch(model), network_in(path), given_to(model)
    network.load_state_dict(twin.state_dict())
    assert [p.requires_grad for p in network.parameters()] == [p.requires_grad for p in twin.parameters()]
    for training in (False, True):
        twin.train(training), network.train(training)
        torch.manual_seed(0)
        expected = twin(*inputs)
        torch.manual_seed(0)
        for mine, yours in zip(leaves(network(*inputs)), leaves(expected), strict=True):
            assert torch.equal(mine, yours)
    return text


@pytest.mark.parametrize("example", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_every_model_of_the_examples_can_leave(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(
        str(EXAMPLES / f"{example}.py"), run_name="__main__" if example != "resnet_cifar" else ""
    )
    if "toy_resnet" in names:
        names["model"] = names["toy_resnet"]()
    names.pop("vgg19", None)  # which is large, and all in the other model
    models = {name: each for name, each in names.items() if isinstance(each, tf.Model)}
    assert models
    for name, model in models.items():
        if not hasattr(
            model, "code"
        ):  # a class with a step of its own around other models, which are here too
            continue
        if (
            model.name == "encoder" and example == "vae"
        ):  # it draws with a generator of its own, which no text holds
            with pytest.raises(GraphError, match="got SeedGenerator in the forward"):
                interop.to_source(model)
            continue
        check_source(model, tmp_path / f"{name}_in_torch.py")


def test_the_file_needs_torch_alone(tmp_path: Path) -> None:
    inputs = tf.Input((7,), dtype="int64")
    x = layers.Embedding(20, 8, mask_zero=True)(inputs)
    x = layers.LSTM(8, return_sequences=True, dropout=0.1)(x)
    x = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = layers.Bidirectional(layers.GRU(4))(layers.GaussianNoise(0.1)(x))
    model = tf.Model(inputs, layers.PReLU()(x))
    check_source(model, tmp_path / "net.py")
    code = (
        f"import runpy, sys; runpy.run_path({str(tmp_path / 'net.py')!r}); print('torchfunc' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout == "False\n", done.stderr


def test_the_file_reads_as_a_person_would_have_written_it() -> None:
    model = runpy.run_path(str(EXAMPLES / "resnet_cifar.py"))["toy_resnet"]()
    assert interop.to_source(model) == TOY_RESNET.read_text()


def test_settings_that_torch_nn_has_otherwise_are_said() -> None:
    inputs = tf.Input((6, 6, 4))
    x = layers.Conv2D(4, (3, 2), strides=2, use_bias=False, dtype="float64")(inputs)
    x = layers.BatchNormalization(scale=False, momentum=0.9)(x)
    x = layers.GroupNormalization(2, scale=False)(layers.LayerNormalization(center=False)(x))
    head = layers.Dense(3, trainable=False, name="my-head")
    text = interop.to_source(tf.Model(inputs, head(x)))
    for line in (
        "self.conv2d = nn.Conv2d(\n",
        "4, 4, kernel_size=(3, 2), stride=2, bias=False, dtype=torch.float64\n        )",
        'self.batch_normalization.register_parameter("weight", None)',
        "nn.init.constant_(self.group_normalization.weight, 1.0)",
        'self.add_module("my-head", nn.Linear(4, 3))',
        'getattr(self, "my-head").requires_grad_(False)',
    ):
        assert line in text, text


def test_what_has_no_text_is_told_by_name() -> None:
    class Odd(nn.Module):
        def __init__(self, secret: int) -> None:
            super().__init__()
            self.hidden = secret

        def forward(self, x: Tensor) -> Tensor:
            return x * self.hidden

    inputs = tf.Input((4,))
    with pytest.raises(GraphError, match="to_source: the module 'odd', a Odd: got no way to write it"):
        interop.to_source(tf.Model(inputs, Odd(3)(inputs)))


def test_equal_blocks_are_written_once_and_called_in_a_loop(tmp_path: Path) -> None:
    inputs = x = tf.Input((32,), name="features")
    for _ in range(10):
        y = layers.LayerNormalization()(layers.Dense(32)(x))
        x = layers.add([x, layers.Dropout(0.1)(tf.ops.gelu(y))])
    text = check_source(tf.Model(inputs, x, name="deep"), tmp_path / "deep.py")
    assert text.count("F.gelu") == 1
    assert len(text.splitlines()) < 50
    assert text.endswith("""
    def forward(self, features: Tensor) -> Tensor:
        x = block(features, self.dense, self.layer_normalization, self.dropout)
        for i in range(1, 10):
            x = block(
                x,
                getattr(self, f"dense_{i}"),
                getattr(self, f"layer_normalization_{i}"),
                getattr(self, f"dropout_{i}"),
            )
        return x
""")


def test_blocks_of_two_convolutions_count_in_steps_of_two(tmp_path: Path) -> None:
    inputs = x = tf.Input((8, 8, 4), name="img")
    for _ in range(10):
        y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = layers.add([x, layers.Conv2D(4, 3, padding="same", activation="relu")(y)])
    text = check_source(tf.Model(inputs, x), tmp_path / "blocks.py")
    for line in ('getattr(self, f"conv2d_{2 * i + 2}"),', 'getattr(self, f"conv2d_{2 * i + 3}"),'):
        assert text.count(line) == 1
    assert text.count("torch.relu") == 2 and text.count("nn.Conv2d") < 4


def test_lines_that_are_alike_by_chance_stay_as_they_are() -> None:
    lines = ["    x = self.a_1(x)", "    x = self.a_2(x)", "    x = self.a_4(x)", "    x = torch.relu(x)"] * 2
    assert rolled(lines) == lines
    assert rolled([f"self.a_{number}(x)" for number in range(1, 8)]) == [
        "for i in range(1, 8):",
        '    getattr(self, f"a_{i}")(x)',
    ]


def test_numbers_within_a_name_are_counted_and_parameters_are_set() -> None:
    lines = [
        line
        for number in range(1, 6)
        for line in (
            f"self.layer3_{number}_conv1 = nn.Linear(2, 2)",
            f"self.layer3_{number}_scale = nn.Parameter(torch.zeros(2))",
        )
    ]
    assert rolled(lines) == [
        "for i in range(1, 6):",
        '    self.add_module(f"layer3_{i}_conv1", nn.Linear(2, 2))',
        '    setattr(self, f"layer3_{i}_scale", nn.Parameter(torch.zeros(2)))',
    ]
    assert rolled([f"self.a_{9 - number}_b(x)" for number in range(7)]) == [
        "for i in range(7):",
        '    getattr(self, f"a_{-1 * i + 9}_b")(x)',
    ]


def test_long_lines_break_at_their_brackets() -> None:
    assert list(wrapped("x = f(aaaa, bbbb)[0]", 15)) == ["x = f(", "    aaaa, bbbb", ")[0]"]
    assert list(wrapped("x = f(aaaa, 'b,(b')", 12)) == ["x = f(", "    aaaa,", "    'b,(b',", ")"]
    assert list(wrapped("    long_name = call_this(x)", 25)) == [
        "    long_name = (", "        call_this(x)", "    )"
    ]  # fmt: skip
