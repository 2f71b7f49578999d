"""Streams: a model is saved to and loaded from an open binary file, where it stands, as torch.save and torch.load do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch

import torchfunc as tf
from torchfunc import layers
from torchfunc.errors import SavingError, WeightMismatchError
from torchfunc.saving import archive


def model(units: int = 2) -> Any:
    x = inputs = tf.Input((3,))
    return tf.Model(inputs, layers.Dense(units, name="d")(x))


def test_models_in_a_row_come_back_in_a_row() -> None:
    first, second, buffer = model(), model(5), io.BytesIO()
    torch.save("before", buffer)
    start = buffer.tell()
    first.save(buffer)
    second.save(buffer)
    end = buffer.tell()
    buffer.seek(start)
    x = torch.randn(4, 3)
    for each in (first, second):
        assert torch.equal(tf.load_model(buffer)(x), each(x))
    assert buffer.tell() == end == len(buffer.getvalue())


def test_weights_go_through_any_binary_file(tmp_path: Path) -> None:
    first, second, third = model(), model(), model()
    with (tmp_path / "anything.bin").open("w+b") as file:
        first.save_weights(file)
        file.seek(0)
        second.load_weights(file)
        file.seek(0)
        third.load_weights(io.BufferedReader(io.BytesIO(file.read())))
    for each in (second, third):
        assert torch.equal(each.get_layer("d").weight, first.get_layer("d").weight)


def test_a_stream_that_holds_no_model_is_left_where_it_was() -> None:
    buffer = io.BytesIO()
    model().save_weights(buffer)
    buffer.seek(0)
    with pytest.raises(SavingError, match="holds weights and no model"):
        tf.load_model(buffer)
    assert buffer.tell() == 0


def test_what_does_not_fit_is_refused_before_any_tensor_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(5).save(tmp_path / "m.safetensors")
    monkeypatch.setattr(archive.Source, "_read", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(
        WeightMismatchError, match=r"'d.weight' is \(5, 3\) float32 instead of \(2, 3\) float32"
    ):
        model().load_weights(tmp_path / "m.safetensors")


def test_the_state_of_an_optimizer_is_not_read_for_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = model()
    trained.compile("adam", "mse")
    trained.train_on_batch(torch.zeros(2, 3), torch.zeros(2, 2))
    trained.save(tmp_path / "m.safetensors")
    real, read = archive.Source.tensors, []
    monkeypatch.setattr(
        archive.Source, "tensors", lambda self, names: read.append(sorted(names)) or real(self, names)
    )
    model().load_weights(tmp_path / "m.safetensors")
    assert read == [["d.bias", "d.weight"]]


def test_a_warning_about_weights_that_differ_points_at_the_call(tmp_path: Path) -> None:
    model(5).save_weights(tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match="left these as they were") as caught:
        model().load_weights(tmp_path / "w.safetensors", skip_mismatch=True)
    assert caught[0].filename == __file__


def test_a_descriptor_is_closed_whatever_comes_of_it(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors" / "model.safetensors").mkdir(parents=True)
    (tmp_path / "bad.safetensors").write_bytes(b"\x05" + bytes(7) + b"{}}}}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("folder.safetensors", "bad.safetensors", "none.safetensors"):
        with pytest.raises((SavingError, OSError)):
            tf.load_model(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
