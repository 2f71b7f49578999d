"""An ensemble: the mean of three models, as one model."""

import numpy as np

import torchfunc as keras
from torchfunc import layers


def get_model() -> keras.Model:
    inputs = keras.Input(shape=(128,))
    outputs = layers.Dense(1, activation="sigmoid")(inputs)
    return keras.Model(inputs, outputs)


keras.utils.set_random_seed(0)
members = [get_model() for _ in range(3)]

inputs = keras.Input(shape=(128,))
outputs = layers.average([member(inputs) for member in members])
ensemble = keras.Model(inputs=inputs, outputs=outputs, name="ensemble")
ensemble.summary()

x = np.random.default_rng(0).random((8, 128), dtype="float32")
mean = np.mean([member.predict(x, verbose=0) for member in members], axis=0)
print("The ensemble predicts the mean of its members:", np.allclose(ensemble.predict(x, verbose=0), mean))
