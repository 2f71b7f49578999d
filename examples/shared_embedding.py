"""A shared layer: one Embedding, called on two texts, with one set of weights."""

import torch

import torchfunc as keras
from torchfunc import layers

shared_embedding = layers.Embedding(1000, 128)
text_a = keras.Input(shape=(None,), dtype="int32", name="a")
text_b = keras.Input(shape=(None,), dtype="int32", name="b")
mean_a = layers.GlobalAveragePooling1D()(shared_embedding(text_a))
mean_b = layers.GlobalAveragePooling1D()(shared_embedding(text_b))
model = keras.Model([text_a, text_b], torch.cosine_similarity(mean_a, mean_b, dim=-1), name="similarity")

model.summary()
print(model.code)
words = torch.randint(0, 1000, (2, 7))
print("A text is like itself:", model(words, words))
