"""Files that tf-keras 2.21 wrote, kept in tests/golden/keras2, give here what they gave there, and train on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import torchfunc as tf

FOLDER = Path(__file__).parents[1] / "golden" / "keras2"
FILES = sorted(each.name for suffix in ("*.h5", "*.keras") for each in FOLDER.glob(suffix))
# which nothing here stands for
LEFT_OUT = {
    "AbstractRNNCell": "a base class",
    "DenseFeatures": "of TensorFlow's feature columns",
    "Lambda": "holds code",
    "Layer": "a base class",
    "LocallyConnected1D": "left Keras with version 3",
    "LocallyConnected2D": "left Keras with version 3",
    "RandomHeight": "left Keras with version 3",
    "RandomWidth": "left Keras with version 3",
    "Wrapper": "a base class",
}
# what a step further differs by: rounding, which these rules let grow
AFTER = {"trained_adamw": 1e-5}


@cache
def truth() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "truth.npz") as held:
        return dict(held)


def held(name: str, kind: str) -> list[np.ndarray]:
    """The inputs "x" or the outputs "y" of a model."""
    found = (truth().get(f"{name}/{kind}{number}") for number in range(9))
    return [each for each in found if each is not None]


def alone(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def class_names(config: Any) -> set[str]:
    """Every class that a config names, within lists and dicts too."""
    if isinstance(config, list):
        return set().union(*map(class_names, config))
    if not isinstance(config, dict):
        return set()
    own = {config["class_name"]} if isinstance(config.get("class_name"), str) else set()
    return own.union(*map(class_names, config.values()))


def test_the_files_hold_every_layer_of_that_line() -> None:
    _, *classes = (FOLDER / "layers.txt").read_text().split("\n")[:-1]
    configs = []
    for name in FILES:
        if name.endswith(".h5"):
            with h5py.File(FOLDER / name) as file:
                configs.append(json.loads(file.attrs["model_config"]))
    assert set(classes) - class_names(configs) == set(LEFT_OUT)


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_what_it_gave(name: str) -> None:
    stem = name.split(".")[0]
    inputs, model = held(stem, "x"), tf.load_model(FOLDER / name)

    outputs = model.eval()(
        alone([each if each.dtype.kind == "U" else torch.from_numpy(each) for each in inputs])
    )

    for mine, theirs in zip(
        outputs if isinstance(outputs, list) else [outputs], held(stem, "y"), strict=True
    ):
        np.testing.assert_allclose(mine.detach(), theirs, rtol=0, atol=2e-6 * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("name", [each for each in FILES if each.startswith(("trained", "older"))])
def test_a_training_goes_on(name: str) -> None:
    stem = name.split(".")[0]
    (x,), target, after = held(stem, "x"), truth()[f"{stem}/target"], truth()[f"{stem}/after"]
    model = tf.load_model(FOLDER / name)

    model.fit(x, target, epochs=3, batch_size=2, shuffle=False, verbose=0)

    np.testing.assert_allclose(model.predict(x, verbose=0), after, rtol=0, atol=AFTER.get(stem, 2e-6))
