"""Exported programs give what the model gives, for batch sizes that they were not exported with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import torchfunc
from torchfunc import layers
from torchfunc.errors import GraphError, MissingExtraError
from torchfunc.interop import export


def two_of_each() -> Any:
    """Two inputs and two outputs; a batch norm and a dropout, which training mode would tell."""
    image = torchfunc.Input((3, 8, 8), name="image")
    word = torchfunc.Input((5,), dtype="int64", name="word")
    x = nn.ReLU()(nn.BatchNorm2d(4)(nn.Conv2d(3, 4, 3)(image))).mean((2, 3))
    y = nn.Embedding(10, 4)(word).mean(1)
    both = torch.cat([nn.Dropout(0.5)(x), y], 1)
    score = layers.Dense(2, activation="softmax", name="score")(both)
    return torchfunc.Model({"image": image, "word": word}, {"score": score, "size": nn.Linear(8, 1)(both)})


def data(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 3, 8, 8), torch.randint(10, (batch, 5))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # PyTorch 2.11 of its own reading
def test_an_exported_program_takes_any_batch(tmp_path: Path) -> None:
    model = two_of_each()
    modes = [module.training for module in model.modules()]
    program = export(model, tmp_path / "model.pt2")
    assert [module.training for module in model.modules()] == modes
    model.eval()
    for each in (program, torch.export.load(tmp_path / "model.pt2")):
        for batch in (1, 3, 7):
            inputs = data(batch)
            torch.testing.assert_close(each.module()(*inputs), model(*inputs))


# PyTorch's exporter uses a part of PyTorch that will be removed one day.
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_an_onnx_file_gives_in_onnxruntime_what_the_model_gives(tmp_path: Path) -> None:
    model = two_of_each()
    export(model, tmp_path / "model.onnx", format="onnx")
    model.eval()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == model.input_names
    assert [each.name for each in session.get_outputs()] == model.output_names
    for batch in (1, 3, 7):
        image, word = data(batch)
        found = session.run(None, {"image": image.numpy(), "word": word.numpy()})
        expected = model(image, word)
        for ours, theirs in zip(found, expected.values(), strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"opset_version": 19}, {"dynamo": False}, {"dynamo": False, "opset_version": 17}], ids=str
)
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_both_exporters_of_onnx_keep_names_open_axes_and_the_opset(
    options: dict[str, Any], tmp_path: Path
) -> None:
    words = torchfunc.Input((None,), dtype="int64", name="words")
    marks = torchfunc.Input((None, 4), name="marks")
    x = layers.add([layers.Embedding(10, 4)(words), marks])
    outputs = {
        "score": layers.Dense(3)(layers.BatchNormalization()(x)),
        "mean": layers.GlobalAveragePooling1D()(x),
    }
    model = torchfunc.Model([words, marks], outputs)
    model.export(tmp_path / "m.onnx", **options)
    file = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(file)
    assert file.opset_import[0].version == options.get("opset_version", file.opset_import[0].version)
    axes = [
        [each.dim_param or each.dim_value for each in i.type.tensor_type.shape.dim] for i in file.graph.input
    ]
    assert [axis[0] for axis in axes] == ["batch"] * 2 and axes[0][1] == "words_1" and axes[1][2] == 4
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == model.input_names
    assert [each.name for each in session.get_outputs()] == model.output_names == ["score", "mean"]
    model.eval()
    for batch, steps in ((1, 2), (3, 7), (5, 1)):
        given = torch.randint(10, (batch, steps)), torch.randn(batch, steps, 4)
        found = session.run(None, {name: x.numpy() for name, x in zip(model.input_names, given, strict=True)})
        for ours, theirs in zip(found, model(given).values(), strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's older exporter is that
def test_the_older_exporter_takes_a_model_as_it_takes_any_module(tmp_path: Path) -> None:
    inputs = torchfunc.Input((4,))
    model = torchfunc.Model(inputs, nn.Linear(4, 3)(inputs))
    names: Any = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    torch.onnx.export(model.eval(), (torch.rand(2, 4),), tmp_path / "m.onnx", dynamo=False, **names)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x = torch.rand(5, 4)
    np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], model(x).detach().numpy(), atol=1e-6)
    assert model.graph is not None


def test_a_package_of_machine_code_takes_any_batch(tmp_path: Path) -> None:
    inputs = torchfunc.Input((None, 4), name="marks")
    model = torchfunc.Model(inputs, {"score": layers.Dense(3, activation="relu")(inputs)})
    model.export(tmp_path / "m.pt2", format="aoti")
    loaded = torch._inductor.aoti_load_package(str(tmp_path / "m.pt2"))
    for shape in ((2, 8, 4), (5, 3, 4)):
        x = torch.rand(shape)
        torch.testing.assert_close(loaded(x)["score"], model(x)["score"])


def test_machine_code_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[export.__module__], "which", lambda name: None)
    inputs = torchfunc.Input((3,))
    with pytest.raises(
        GraphError, match=r"no C\+\+ compiler. Fix: install one.*format='torch', which needs none"
    ):
        export(torchfunc.Model(inputs, inputs * 2), format="aoti")


def test_a_signature_says_the_shapes_where_the_model_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Own(torchfunc.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 2)

        def call(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.dense(x) + y

    model = Own()
    signature = [layers.InputSpec("float32", (None, 4)), torch.zeros(2)]
    model.export(tmp_path / "m.pt2", verbose=True, input_signature=signature)
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'm.pt2'}.\n"
    x, y = torch.rand(7, 4), torch.rand(2)
    torch.testing.assert_close(torch.export.load(tmp_path / "m.pt2").module()(x, y), model(x, y))


def test_every_unknown_dimension_stays_open() -> None:
    inputs = torchfunc.Input((None, 6))
    model = torchfunc.Model(inputs, nn.Linear(6, 2)(inputs).sum(1))
    program = export(model)
    for shape in ((1, 4, 6), (5, 9, 6)):
        x = torch.randn(shape)
        torch.testing.assert_close(program.module()(x), model(x))


def test_a_fixed_batch_stays_fixed() -> None:
    inputs = torchfunc.Input((3,), batch_size=4)
    program = export(torchfunc.Model(inputs, inputs * 2))
    assert torch.equal(program.module()(torch.ones(4, 3)), torch.full((4, 3), 2.0))
    with pytest.raises(AssertionError, match="4"):
        program.module()(torch.ones(5, 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "tflite"}, "expected 'torch', 'onnx' or 'aoti', got format='tflite'.*Fix: format='onnx'"),
        ({"dynamo": False, "format": "onnx"}, "expected a path, got dynamo=False and no path"),
        ({"filepath": "model.pt"}, r"a name that ends in .pt2.*Fix: 'model.pt2'"),
        ({"filepath": "model.pt2", "format": "onnx"}, r"a name that ends in .onnx, got the path 'model.pt2'"),
    ],
)
def test_an_unknown_format_is_refused_with_the_ones_that_exist(options: dict[str, Any], words: str) -> None:
    inputs = torchfunc.Input((3,))
    with pytest.raises(GraphError, match=words):
        export(torchfunc.Model(inputs, inputs * 2), **options)


def test_export_needs_a_graph() -> None:
    class Own(torchfunc.Model):
        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(GraphError, match="no graph"):
        export(Own())


def test_without_onnx_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[export.__module__], "find_spec", lambda name: None)
    inputs = torchfunc.Input((3,))
    with pytest.raises(MissingExtraError, match=r"pip install 'torchfunc\[onnx\]'"):
        export(torchfunc.Model(inputs, inputs * 2), format="onnx")
