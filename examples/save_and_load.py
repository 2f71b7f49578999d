"""Saving: one file with architecture, weights, compile configuration and the optimizer's state."""

import tempfile
from pathlib import Path

import numpy as np

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)
inputs = keras.Input(shape=(8,))
x = layers.Dense(16, activation="relu")(inputs)
model = keras.Model(inputs, layers.Dense(1)(x), name="regressor")
model.compile(optimizer="adam", loss="mse")
x = np.random.default_rng(0).random((128, 8), dtype="float32")
y = x.sum(axis=1, keepdims=True)
model.fit(x, y, epochs=2, verbose=2)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "regressor.safetensors"
    model.save(path)
    before = model.predict(x, verbose=0)
    del model
    model = keras.models.load_model(path)  # from the file alone

print("Equal predictions:", np.array_equal(before, model.predict(x, verbose=0)))
model.fit(x, y, epochs=2, verbose=2)  # goes on where it stopped, optimizer and all
