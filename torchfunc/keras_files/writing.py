"""Writing: a model as the bytes of a file that Keras 3 reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from torchfunc.errors import SavingError, explain
from torchfunc.keras_files import compiling, slots
from torchfunc.keras_files.hdf5 import Writing, hdf5_of
from torchfunc.keras_files.places import Weight, by_layers, layers_of, weights_of, weights_of_words
from torchfunc.keras_files.to_keras import model_config
from torchfunc.keras_files.zipped import zip_of

VERSION = "3.15.1"  # of Keras, whose form the files have
_BACKEND = "torch"


def keras_file(model: Any) -> bytes:
    """A `.keras` file of a model.

    Raises:
        SavingError: something in it that Keras has not.
    """
    _check_built(model)
    config = model_config(model, model.name)
    if model.trainer is not None:
        config["compile_config"] = compiling.for_keras(model)
    about = {"keras_version": VERSION, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    return zip_of(
        {
            "metadata.json": json.dumps(about).encode(),
            "config.json": json.dumps(config, allow_nan=False).encode(),
            "model.weights.h5": weights_file(model),
        }
    )


def weights_file(model: Any) -> memoryview:
    """A `.weights.h5` file of a model, as in Keras with what its optimizer remembers; its `.keras` file holds one."""
    _check_built(model)
    weights = list(weights_of(model))

    def write(file: Writing) -> None:
        file.group("vars")
        for weight in weights:
            file.tensor(weight.path, weight.to_keras())
        for path, tensor in weights_of_words(model):
            file.tensor(path, tensor)
        if _remembers(model):
            for number, (_, value) in enumerate(slots.written(model)):
                file.tensor(f"optimizer/vars/{number}", value)

    return hdf5_of(write)


def older_file(model: Any) -> memoryview:
    """An `.h5` file of a whole model, in the form of before `.keras`, which Keras 3 reads too."""
    _check_built(model)
    config = model_config(model, model.name)
    layers = list(by_layers(layers_of(model)))

    def write(file: Writing) -> None:
        file.group("", keras_version=VERSION, backend=_BACKEND)
        file.bytes("", "model_config", json.dumps(config, allow_nan=False))
        file.group("model_weights", keras_version=VERSION, backend=_BACKEND)
        file.list("model_weights", "layer_names", [layer.name for layer, _ in layers])
        for layer, weights in layers:
            _write_layer(file, f"model_weights/{layer.name}", layer, weights)
        file.list("model_weights/top_level_model_weights", "weight_names", [])
        if model.trainer is not None:
            told = compiling.for_keras(model)
            optimizer = told.pop("optimizer")
            told["optimizer_config"] = {"class_name": optimizer["class_name"], "config": optimizer["config"]}
            # what the optimizer remembers is left out: Keras 3.15.1 makes it for no weights then, and cannot train
            file.bytes("", "training_config", json.dumps(told, allow_nan=False))

    return hdf5_of(write)


def _write_layer(file: Writing, group: str, layer: Any, weights: Sequence[Weight]) -> None:
    names = [f"{layer.name}/{weight.path.replace('vars/', 'var_')}" for weight in weights]
    file.list(group, "weight_names", names)
    for name, weight in zip(names, weights, strict=True):
        file.tensor(f"{group}/{name}", weight.to_keras())


def _remembers(model: Any) -> bool:
    """Whether what the optimizer remembers is written: of those of which is known in which order Keras lists it."""
    trainer = getattr(model, "trainer", None)
    return trainer is not None and slots.is_known(trainer.optimizer)


def _check_built(model: Any) -> None:
    if not getattr(model, "built", True):
        raise SavingError(
            explain(
                f"{type(model).__name__} {model.name!r}",
                got="no weights yet",
                expected="a model that was built",
                fix="call it on data, or begin it with an Input",
            )
        )
