"""What the tests of Keras's files share: models of Keras whose weights show where they stand, and a measure of outputs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import torch
from keras import layers as L

Arrays = Any


def give_weights(model: Any, seed: int = 0) -> None:
    """Random weights, so that one in a wrong place shows; scales and variances are positive."""
    generator = np.random.default_rng(seed)
    for each in model.weights:
        positive = any(word in each.path for word in ("gamma", "variance", "count"))
        drawn = generator.uniform(0.1, 0.9, each.shape) if positive else generator.normal(0, 0.4, each.shape)
        each.assign(drawn)


def predicted(model: Any, inputs: Any) -> list[np.ndarray]:
    """What a model of either library predicts, one array for each output, those of a dict by their names."""
    outputs = model.predict(inputs, verbose=0)
    if isinstance(outputs, Mapping):
        return [np.asarray(outputs[name]) for name in sorted(outputs)]
    return [np.asarray(each) for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def difference(one: Any, other: Any) -> float:
    """The largest difference between arrays of equal shapes, as a share of the largest number if that is above 1."""
    assert [each.shape for each in one] == [each.shape for each in other]
    return max(
        float(np.abs(a.astype("float64") - b.astype("float64")).max(initial=0.0) / np.abs(a).max(initial=1.0))
        for a, b in zip(one, other, strict=True)
    )


def normal(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def mlp() -> tuple[Any, Arrays]:
    rows = [L.Dense(5, "relu"), L.BatchNormalization(), L.Dropout(0.3), L.Dense(3, "softmax")]
    return keras.Sequential([keras.Input((8,)), *rows], name="net"), normal(4, 8)


def built_later() -> tuple[Any, Arrays]:
    model = keras.Sequential([L.Dense(5, "relu"), L.Dense(3)])
    model.build((None, 8))
    return model, normal(4, 8)


def several() -> tuple[Any, Arrays]:
    one, other = keras.Input((6,), name="one"), keras.Input((6,), name="other")
    shared = L.Dense(4, "tanh", name="shared")
    summed = L.Add()([shared(one), shared(other)])
    outputs = [L.Dense(2, name="two")(summed), L.Dense(1, name="single")(L.Concatenate()([one, summed]))]
    return keras.Model([one, other], outputs), [normal(4, 6), normal(4, 6, seed=2)]


def by_names() -> tuple[Any, Arrays]:
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    inner = keras.Model({"a": a, "b": b}, {"z": L.Dense(2)(a), "y": L.Dense(1)(b)}, name="inner")
    p, q = keras.Input((6,), name="p"), keras.Input((6,), name="q")
    first, second = inner({"a": p, "b": q}), inner({"a": q, "b": p})
    outputs = {"u": L.Dense(2)(first["z"]), "w": second["y"], "v": first["y"]}
    return keras.Model({"q": q, "p": p}, outputs), {"p": normal(4, 6), "q": normal(4, 6, seed=2)}


def nested() -> tuple[Any, Arrays]:
    x = keras.Input((6,))
    inner = keras.Model(x, L.Dense(6, "tanh")(x), name="inner")
    chain = keras.Sequential([keras.Input((6,)), L.Dense(6), L.Dense(6)], name="chain")
    a = keras.Input((6,))
    y = chain(inner(inner(a)))
    return keras.Model(a, [inner(y), chain(a), y]), normal(4, 6)


def masks() -> tuple[Any, Arrays]:
    words, numbers = keras.Input((5,), dtype="int32", name="words"), keras.Input((5, 3), name="numbers")
    embedded, kept = L.Embedding(10, 4, mask_zero=True)(words), L.Masking()(numbers)
    x = L.Dense(4)(L.Concatenate()([embedded, kept]))
    x = L.BatchNormalization()(L.Add()([x, embedded]))
    x = L.GRU(2)(L.Bidirectional(L.LSTM(3, return_sequences=True))(x))
    attended = L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(embedded, embedded))
    numbered = normal(4, 5, 3)
    numbered[1, 3:] = 0
    data = [np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0], [1, 1, 1, 1, 1], [2, 0, 0, 0, 0]]), numbered]
    return keras.Model([words, numbers], [x, attended]), data


def masked_inner() -> tuple[Any, Arrays]:
    """A model within a model that hands a mask on."""
    x = keras.Input((5, 4))
    inner = keras.Model(x, L.LSTM(4, return_sequences=True)(x), name="inner")
    words = keras.Input((5,), dtype="int32")
    outputs = L.LSTM(3)(inner(L.Embedding(9, 4, mask_zero=True)(words)))
    return keras.Model(words, outputs), np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7], [8, 0, 0, 0, 0]])


def given_mask() -> tuple[Any, Arrays]:
    """A mask that is an input of its own, and one that is an op and that nobody hands on."""
    x, keep, level = keras.Input((5, 3)), keras.Input((5,), dtype="bool"), keras.Input((5,))
    by_input = L.LSTM(4)(x, mask=keep)
    by_op = L.GRU(4)(x, mask=keras.ops.greater(level, 0.0))
    data = [normal(3, 5, 3), np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], bool)]
    return keras.Model([x, keep, level], [by_input, by_op]), [*data, np.abs(normal(3, 5)) * [1, 1, -1, 1, -1]]


def recurrent() -> tuple[Any, Arrays]:
    x = keras.Input((5, 3))
    sequence, *states = L.LSTM(4, return_sequences=True, return_state=True)(x)
    outputs = [
        L.LSTM(4)(sequence, initial_state=states),
        L.RNN([L.LSTMCell(3), L.GRUCell(2)])(x),
        L.SimpleRNN(2, go_backwards=True)(x),
        L.GRU(2, reset_after=False, recurrent_activation="hard_sigmoid")(x),
        L.TimeDistributed(L.Dense(2))(x),
        L.Bidirectional(L.GRU(3), merge_mode="sum")(x),
        L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(2, go_backwards=True))(x),
    ]
    return keras.Model(x, outputs), normal(4, 5, 3)


def ops() -> tuple[Any, Arrays]:
    x = keras.Input((5, 3))
    y = (x * 2.0 + 1.0)[:, 1:, ::2]
    y = keras.ops.relu(keras.ops.mean(y, axis=1)) - keras.ops.exp(y[:, 0]) / 3
    y = L.Dense(3)(y)
    return keras.Model(x, keras.ops.concatenate([y, -y], axis=-1) ** 2), normal(4, 5, 3)


def images() -> tuple[Any, Arrays]:
    x = keras.Input((16, 16, 3))
    y = L.DepthwiseConv2D(3)(L.Conv2D(4, 3, strides=2, padding="same")(x))
    y = L.SeparableConv2D(6, 3, padding="same", depth_multiplier=2)(y)
    y = L.PReLU(shared_axes=[1, 2])(L.Conv2DTranspose(3, 3, strides=2, padding="same")(y))
    y = L.LayerNormalization()(L.GroupNormalization(3)(L.LeakyReLU()(y)))
    y = L.Flatten()(L.UpSampling2D()(y))
    return keras.Model(x, L.Dense(2, activation=L.LeakyReLU(0.1))(y)), normal(2, 16, 16, 3)


def attention() -> tuple[Any, Arrays]:
    x = keras.Input((5, 6))
    y = L.MultiHeadAttention(2, 3, use_bias=False)(x, x)
    y = L.GroupQueryAttention(3, 4, 2)(y, y) + L.Attention(use_scale=True)([y, x])
    y = L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(L.AdditiveAttention()([y, x]))
    return keras.Model(x, L.Dense(2)(y)), normal(2, 5, 6)


def frozen() -> tuple[Any, Arrays]:
    x = keras.Input((6,))
    inner = keras.Model(x, L.BatchNormalization()(L.Dense(4)(x)))
    inner.trainable = False
    a = keras.Input((6,))
    return keras.Model(a, L.Dense(2)(L.Dense(3, trainable=False)(inner(a)))), normal(4, 6)


MODELS: dict[str, Callable[[], tuple[Any, Arrays]]] = {
    each.__name__: each
    for each in (
        mlp, built_later, several, by_names, nested, masks, masked_inner, given_mask, recurrent, ops,
        images, attention, frozen,
    )
}  # fmt: skip


def pair(name: str) -> tuple[Any, Arrays, list[np.ndarray]]:
    """A model of Keras, inputs for it, and what it predicts for them."""
    keras.utils.clear_session()
    gc.collect()
    model, inputs = MODELS[name]()
    give_weights(model)
    with torch.no_grad():
        return model, inputs, predicted(model, inputs)
