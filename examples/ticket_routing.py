"""Three inputs, two outputs: a ticket's title, text and tags give its priority and its department."""

import numpy as np

import torchfunc as keras
from torchfunc import layers

num_tags, num_words, num_departments = 12, 10000, 4
keras.utils.set_random_seed(0)

title_input = keras.Input(shape=(None,), name="title")  # word numbers, of any length
body_input = keras.Input(shape=(None,), name="body")
tags_input = keras.Input(shape=(num_tags,), name="tags")

title_features = layers.LSTM(128)(layers.Embedding(num_words, 64)(title_input))
body_features = layers.LSTM(32)(layers.Embedding(num_words, 64)(body_input))
x = layers.concatenate([title_features, body_features, tags_input])

priority = layers.Dense(1, activation="sigmoid", name="priority")(x)
department = layers.Dense(num_departments, activation="softmax", name="department")(x)
model = keras.Model([title_input, body_input, tags_input], [priority, department], name="tickets")

model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={"priority": "binary_crossentropy", "department": "categorical_crossentropy"},
    loss_weights=[1.0, 0.2],
)
rng = np.random.default_rng(0)
model.fit(
    {
        "title": rng.integers(num_words, size=(256, 10)),
        "body": rng.integers(num_words, size=(256, 40)),
        "tags": rng.integers(2, size=(256, num_tags)).astype("float32"),
    },
    {"priority": rng.random((256, 1)), "department": np.eye(num_departments)[rng.integers(4, size=256)]},
    epochs=2,
    batch_size=32,
)
