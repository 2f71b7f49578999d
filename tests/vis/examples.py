"""The models of the guide, and what the tests of summary and plot look at them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchfunc import Input, Model, layers
from torchfunc.vis import plot, summary
from torchfunc.vis.facts import modules_of
from torchfunc.vis.summary import Summary

GOLDEN = Path(__file__).parents[1] / "golden"


def mlp() -> Any:
    inputs = Input(shape=(784,), name="img")
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dense(64, activation="relu")(x)
    return Model(inputs, layers.Dense(10, activation="softmax")(x), name="mnist_model")


def _encoded(image: Any) -> Any:
    x = layers.Conv2D(16, 3, activation="relu")(image)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    return layers.GlobalMaxPooling2D()(x)


def _decoded(code: Any) -> Any:
    x = layers.Reshape((4, 4, 1))(code)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    return layers.Conv2DTranspose(1, 3, activation="relu")(x)


def encoder(name: str = "img") -> Any:
    image = Input(shape=(28, 28, 1), name=name)
    return Model(image, _encoded(image), name="encoder")


def autoencoder() -> Any:
    image = Input(shape=(28, 28, 1), name="img")
    return Model(image, _decoded(_encoded(image)), name="autoencoder")


def nested_autoencoder() -> Any:
    code = Input(shape=(16,), name="encoded_img")
    decoder = Model(code, _decoded(code), name="decoder")
    image = Input(shape=(28, 28, 1), name="img")
    return Model(image, decoder(encoder("original_img")(image)), name="autoencoder")


def toy_resnet() -> Any:
    inputs = Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    block = layers.MaxPooling2D(3)(x)
    for _ in range(2):
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(block)
        x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
        block = layers.add([x, block])
    x = layers.Conv2D(64, 3, activation="relu")(block)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return Model(inputs, layers.Dense(10, activation="softmax")(x), name="toy_resnet")


def tickets() -> Any:
    title, body = Input(shape=(None,), name="title"), Input(shape=(None,), name="body")
    tags = Input(shape=(12,), name="tags")
    title_features = layers.LSTM(128)(layers.Embedding(10000, 64)(title))
    body_features = layers.LSTM(32)(layers.Embedding(10000, 64)(body))
    x = layers.concatenate([title_features, body_features, tags])
    priority = layers.Dense(1, activation="sigmoid", name="priority")(x)
    department = layers.Dense(4, activation="softmax", name="department")(x)
    return Model([title, body, tags], [priority, department], name="tickets")


def summary_of(model: Any, **options: Any) -> Summary:
    return summary.summarize(model.graph, modules_of(model), name=model.name, **options)


def dot_of(model: Any, **options: Any) -> str:
    return plot.to_dot(model.graph, modules_of(model), name=model.name, **options)


def drawn(model: Any, to_file: Path, **options: Any) -> Any:
    return plot.plot(model.graph, modules_of(model), name=model.name, to_file=to_file, **options)


GOLDEN_TEXTS: dict[str, Callable[[], Any]] = {
    "summary_mlp.txt": lambda: summary_of(mlp()),
    "summary_encoder.txt": lambda: summary_of(encoder()),
    "summary_toy_resnet.txt": lambda: summary_of(toy_resnet()),
    "summary_tickets.txt": lambda: summary_of(tickets()),
    "summary_nested.txt": lambda: summary_of(nested_autoencoder(), expand_nested=True, show_trainable=True),
    "plot_mlp.dot": lambda: dot_of(mlp()),
    "plot_toy_resnet.dot": lambda: dot_of(toy_resnet(), show_shapes=True, show_layer_names=True),
    "plot_nested.dot": lambda: dot_of(nested_autoencoder(), show_layer_names=True, expand_nested=True),
}


def golden_text(name: str) -> str:
    """The text that the file of this name in `tests/golden` holds, as it is written now."""
    return str(GOLDEN_TEXTS[name]()).rstrip("\n") + "\n"


def renew() -> None:
    """Write the golden files anew: `python -m tests.vis.examples`, and then read the difference."""
    GOLDEN.mkdir(exist_ok=True)
    for name in GOLDEN_TEXTS:
        (GOLDEN / name).write_text(golden_text(name), encoding="utf-8")


if __name__ == "__main__":
    renew()
