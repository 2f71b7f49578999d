"""TensorBoard: what was written is read back by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import torchfunc as tf
from torchfunc import callbacks, layers

X, Y = np.ones((40, 8, 8, 1), "float32"), np.zeros((40, 3), "float32")


def written(folder: Path, part: str = "train") -> EventAccumulator:
    read = EventAccumulator(str(folder / part), {"images": 0, "histograms": 0})
    return read.Reload()


def model() -> tf.Model:
    inputs = tf.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = torch.relu(x) + x.mean()
    made = tf.Model(inputs, layers.Dense(3, name="out")(layers.Flatten(name="flat")(x)), name="small")
    made.compile("sgd", "mse")
    return made


def test_the_graph_and_its_picture_stand_in_the_file(tmp_path: Path) -> None:
    made = model()
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    made.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=board)

    read = written(tmp_path)
    nodes: Any = {node.name: node for node in read.Graph().node}
    assert {name: node.op for name, node in nodes.items()} == {
        "image": "Input", "conv": "Conv2D", "relu": "torch.relu", "mean": "mean", "add": "operator.add",
        "flat": "Flatten", "out": "Dense",
    }  # fmt: skip
    assert list(nodes["add"].input) == ["relu", "mean"] and list(nodes["relu"].input) == ["conv"]
    (shape,) = nodes["conv"].attr["_output_shapes"].list.shape
    assert [each.size for each in shape.dim] == [-1, 6, 6, 4]

    (picture,) = read.Images("small")
    assert picture.encoded_image_string.startswith(b"\x89PNG") and picture.height > picture.width > 50
    assert [each.step for each in read.Images("out/weight/image")] == [0, 1]
    assert [each.step for each in read.Histograms("out/weight/histogram")] == [0, 1]
    losses = [each.value for each in read.Scalars("epoch_loss")]
    assert made.trainer is not None and made.trainer.history is not None
    np.testing.assert_allclose(losses, made.trainer.history["loss"], rtol=1e-6)
    assert "epoch_loss" in written(tmp_path, "validation").Tags()["scalars"]


def test_a_module_without_a_graph_is_written_without_one(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    board = callbacks.TensorBoard(tmp_path, write_images=True)
    tf.training.Trainer(module, optimizer="sgd", loss="mse").fit(X, Y, verbose=0, callbacks=board)
    assert not written(tmp_path).Tags()["graph"]
