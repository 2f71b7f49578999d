"""Training in shards: each check returns what a test compares with one process."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

import torchfunc as tf
from tests.distributed.equal_to_one import classes, numbers, size
from torchfunc import callbacks, layers

X, Y = numbers((42, 8, 8, 2)), classes(42, 3)


def cnn(optimizer: Any = "adam", **options: Any) -> Any:
    torch.manual_seed(0)
    inputs = tf.Input((8, 8, 2))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(inputs))
    x = nn.Linear(36, 7)(layers.Flatten()(x)).tanh()
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x))
    options = {"metrics": ["accuracy"], "distribute": "fsdp", **options}
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model


def weights_of(model: Any) -> dict[str, Any]:
    return {
        name: (each.full_tensor() if hasattr(each, "full_tensor") else each).detach().numpy().copy()
        for name, each in model.state_dict().items()
    }


def by(optimizer: Any) -> Any:
    def trained() -> Any:
        model = cnn(optimizer() if callable(optimizer) and not isinstance(optimizer, type) else optimizer)
        history = model.fit(X, Y, size(8), epochs=2, verbose=0, validation_data=(X, Y))
        predicted = model.predict(X, size(8), verbose=0)
        kinds = {type(each.data).__name__ for each in model.parameters()}
        return history.history, weights_of(model), predicted, kinds

    trained.__name__ = f"by_{optimizer if isinstance(optimizer, str) else optimizer.__name__}"
    return trained


def adam() -> Any:
    return by("adam")()


def sgd() -> Any:
    return by("sgd")()


def rmsprop() -> Any:
    return by("rmsprop")()


def adam_of_torch() -> Any:
    return by(torch.optim.AdamW)()


def clipped() -> Any:
    return by(lambda: tf.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1))()


def accumulated() -> Any:
    model = cnn("adam", gradient_accumulation_steps=3)
    history = model.fit(X, Y, size(4), epochs=2, verbose=0, validation_data=(X, Y))
    return history.history, weights_of(model), {type(each.data).__name__ for each in model.parameters()}


def several_outputs_accumulated() -> Any:
    """A loss of three parts, of which each is divided by a number of its own."""
    torch.manual_seed(0)
    inputs = tf.Input((None,), dtype="int64", name="words")
    x = layers.LSTM(6, return_sequences=True)(layers.Embedding(11, 5, mask_zero=True)(inputs))
    outputs = {
        "each": layers.Dense(3, activation="softmax", name="each", activity_regularizer="l2")(x),
        "all": layers.Dense(1, name="all", kernel_regularizer="l1")(layers.GlobalAveragePooling1D()(x)),
    }
    model = tf.Model(inputs, outputs)
    model.compile(
        "sgd", {"each": "sparse_categorical_crossentropy", "all": "mse"},
        distribute="fsdp", gradient_accumulation_steps=2, global_clipnorm=0.1,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    words = rng.integers(1, 11, (37, 7)) * (np.arange(7) < rng.integers(1, 8, (37, 1)))
    y = {"each": classes(37 * 7, 3).reshape(37, 7), "all": numbers((37, 1))}
    history = model.fit(words, y, size(8), epochs=2, verbose=0)
    return history.history, weights_of(model), {"DTensor"}


def lstm_with_masks() -> Any:
    torch.manual_seed(0)
    inputs = tf.Input((None,), dtype="int64")
    x = layers.LSTM(6, return_sequences=True)(layers.Embedding(11, 5, mask_zero=True)(inputs))
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", distribute="fsdp")
    rng = np.random.default_rng(0)
    words = rng.integers(1, 11, (37, 7)) * (np.arange(7) < rng.integers(1, 8, (37, 1)))
    history = model.fit(words, classes(37 * 7, 3).reshape(37, 7), size(8), epochs=2, verbose=0)
    return history.history, weights_of(model), {"DTensor"}


def divided_layers() -> Any:
    """Every rank has all data, and a part of two layers."""
    torch.manual_seed(0)
    inputs = tf.Input((4,))
    hidden = nn.Linear(4, 8)(inputs).relu()
    model = tf.Model(inputs, layers.Dense(3, activation="softmax")(nn.Linear(8, 6)(hidden)))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"],
        parallelize={"linear": "colwise", "linear_1": "rowwise"},
    )  # fmt: skip
    x, y = numbers((40, 4)), classes(40, 3)
    history = model.fit(x, y, 16, epochs=2, verbose=0)
    with TemporaryDirectory() as folder:
        model.save(f"{folder}/divided.safetensors")
    kinds = {type(each.data).__name__ for each in list(model.parameters())[:4]}
    return history.history, weights_of(model), model.predict(x, verbose=0), kinds


EQUAL = [
    divided_layers,
    adam,
    sgd,
    rmsprop,
    adam_of_torch,
    clipped,
    lstm_with_masks,
    accumulated,
    several_outputs_accumulated,
]


def whole_and_in_shards() -> Any:
    """Train an epoch; write a whole file by a callback and by hand, and a folder of shards."""
    model = cnn()
    given = [
        callbacks.ModelCheckpoint("by_callback.safetensors"),
        callbacks.BackupAndRestore("backup", delete_checkpoint=False),
    ]
    model.fit(X, Y, size(8), verbose=0, callbacks=given, shuffle=False)
    model.save("whole.safetensors")
    model.save_weights("weights.safetensors")
    model.trainer.save_checkpoint("from_two")
    return weights_of(model), sorted(each.name for each in Path("from_two").iterdir())


def best_of_shards() -> Any:
    """A file of a training whose callbacks keep weights, which goes on."""
    model = cnn()
    given = [
        callbacks.EarlyStopping("loss", restore_best_weights=True, patience=9),
        callbacks.ModelCheckpoint("best/{epoch}.safetensors", save_freq=2),
        callbacks.BackupAndRestore("backup_of_best", delete_checkpoint=False),
    ]
    model.fit(X, Y, size(8), epochs=2, verbose=0, callbacks=given, shuffle=False)
    again = cnn()
    again.fit(X, Y, size(8), epochs=3, verbose=0, callbacks=given, shuffle=False)
    model.fit(X, Y, size(8), epochs=3, verbose=0, callbacks=given, shuffle=False)
    return weights_of(again), weights_of(model), len(list(Path("best").iterdir()))


def saved_again() -> Any:
    """A second training in shards, and a file of it, after a file was read whole."""
    model = tf.load_model("whole.safetensors")
    model.compile("sgd", "sparse_categorical_crossentropy", distribute="fsdp")
    model.fit(X, Y, size(8), verbose=0)
    before = model.evaluate(X, Y, verbose=0)
    model.fit(X, Y, size(8), verbose=0)
    model.save("again.safetensors")
    return (
        before,
        model.evaluate(X, Y, verbose=0),
        tf.load_model("again.safetensors").evaluate(X, Y, verbose=0),
    )


def going_on(folder: str, into: str | None = None) -> Any:
    model = cnn()
    model.trainer.load_checkpoint(folder)
    model.fit(
        X,
        Y,
        size(8),
        epochs=model.trainer.epoch + 1,
        initial_epoch=model.trainer.epoch,
        verbose=0,
        shuffle=False,
    )
    if into is not None:
        model.trainer.save_checkpoint(into)
    return weights_of(model)


def going_on_from_one() -> Any:
    return going_on("from_one")


def uninterrupted() -> Any:
    model = cnn()
    model.fit(X, Y, size(8), epochs=3, verbose=0, shuffle=False)
    return weights_of(model)


ALL = [*EQUAL, whole_and_in_shards, best_of_shards]
