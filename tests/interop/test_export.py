"""Exported programs give what the model gives, for batch sizes that they were not exported with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
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
        ({"format": "tflite"}, "expected 'torch' or 'onnx', got format='tflite'"),
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
