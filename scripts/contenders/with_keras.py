"""The workloads in Keras's words: by Keras on the backend that KERAS_BACKEND names, or by torchfunc, if KERAS_IS says so."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from workloads import DEPARTMENTS, TAGS, WORDS, Contender, Work, arrays, main

keras: Any = importlib.import_module(os.environ.get("KERAS_IS", "keras"))
layers, models, optimizers = (
    keras.layers,
    keras.models,
    keras.optimizers,
)  # loaded here: importing is measured apart
CLASSES = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


def mlp() -> Any:
    inputs = keras.Input((784,), name="img")
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dense(64, activation="relu")(x)
    model = models.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile(optimizer=optimizers.RMSprop(1e-3), **CLASSES)
    return model


def resnet() -> Any:
    inputs = keras.Input((32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    first = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(first)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    second = layers.add([x, first])
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(second)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    x = layers.Conv2D(64, 3, activation="relu")(layers.add([x, second]))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(layers.Dense(256, activation="relu")(x))
    model = models.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile(optimizer=optimizers.RMSprop(1e-3), **CLASSES)
    return model


def tickets() -> Any:
    title, body = keras.Input((None,), name="title"), keras.Input((None,), name="body")
    tags = keras.Input((TAGS,), name="tags")
    title_features = layers.LSTM(128)(layers.Embedding(WORDS, 64)(title))
    body_features = layers.LSTM(32)(layers.Embedding(WORDS, 64)(body))
    x = layers.concatenate([title_features, body_features, tags])
    priority = layers.Dense(1, activation="sigmoid", name="priority")(x)
    department = layers.Dense(DEPARTMENTS, activation="softmax", name="department")(x)
    model = models.Model([title, body, tags], {"priority": priority, "department": department})
    model.compile(
        optimizer=optimizers.RMSprop(1e-3),
        loss={"priority": "binary_crossentropy", "department": "categorical_crossentropy"},
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    return model


def autoencoder() -> Any:
    inputs = keras.Input((28, 28, 1), name="img")
    x = layers.Conv2D(16, 3, activation="relu")(inputs)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Reshape((4, 4, 1))(layers.GlobalMaxPooling2D()(x))
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    model = models.Model(inputs, layers.Conv2DTranspose(1, 3, activation="relu")(x))
    model.compile(optimizer=optimizers.Adam(1e-3), loss="mse")
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "mlp": mlp,
    "resnet": resnet,
    "tickets": tickets,
    "autoencoder": autoencoder,
}


def train(name: str, work: Work) -> Callable[[], float]:
    model = MODELS[name]()
    held = {}
    rows = len(next(iter(work.targets.values())))
    if work.validation:
        held["validation_split"] = work.validation / rows

    def epoch() -> float:
        history = model.fit(
            arrays(work.inputs), arrays(work.targets), batch_size=work.batch, epochs=1, verbose=0, **held
        )
        return float(history.history["loss"][-1])

    return epoch


def chain(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    inputs = keras.Input((64,))
    hidden = inputs
    for _ in range(100):
        hidden = layers.Dense(64, activation="relu")(hidden)
    model = models.Model(inputs, hidden)
    model.compile(optimizer=optimizers.RMSprop(1e-3), loss="mse")
    return {
        "forward": forward(model, x),
        "predict_on_batch": lambda: model.predict_on_batch(x),
        "train_on_batch": lambda: model.train_on_batch(x, y),
    }


def forward(model: Any, x: np.ndarray) -> Callable[[], object]:
    """A call of the model as its backend has it, with nothing to be differentiated."""
    if keras.__name__ != "torchfunc" and keras.backend.backend() != "torch":
        tensor = keras.ops.convert_to_tensor(x)
        return lambda: np.asarray(model(tensor, training=False))
    import torch

    here = torch.from_numpy(x)
    model.eval()
    return torch.no_grad()(lambda: model(here))


def build(count: int) -> object:
    inputs = keras.Input((64,))
    x = inputs
    for _ in range(count):
        x = layers.Dense(64)(x)
    return models.Model(inputs, x)


def rows(name: str, work: Work) -> tuple[Callable[[], object], Callable[[], object]]:
    model = MODELS[name]()
    x, y = arrays(work.inputs), arrays(work.targets)
    return (
        lambda: model.evaluate(x, y, batch_size=work.batch, verbose=0),
        lambda: model.predict(x[:1], verbose=0),
    )


def files() -> tuple[Callable[[Path], object], Callable[[Path], object]]:
    inputs = keras.Input((2560,))
    x = layers.Dense(2560)(layers.Dense(2560)(layers.Dense(2560)(layers.Dense(2560)(inputs))))
    model = models.Model(inputs, x)
    suffix = ".safetensors" if keras.__name__ == "torchfunc" else ".keras"

    def save(path: Path) -> Path:
        path = path.with_suffix(suffix)
        model.save(path)
        return path

    return save, keras.models.load_model


if __name__ == "__main__":
    main(Contender(train, chain, build, rows, files))
