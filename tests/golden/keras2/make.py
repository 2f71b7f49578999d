"""Writes the files of Keras's line 2 beside it, with what each model computes: every layer of tf-keras that we read.

Run it in an interpreter of its own, for tf-keras brings TensorFlow: `pip install tf-keras==2.21.0`, and then
`python tests/golden/keras2/make.py`. Every model is written as a whole `.h5` and as `.keras`; `truth.npz` holds
its inputs, its outputs, and for a trained one the outputs after three epochs more. `layers.txt` lists the classes.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers as L
from tf_keras import optimizers as O

HERE = Path(__file__).parent
truth: dict[str, np.ndarray] = {}


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=shape).astype("float32")


def whole(high: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(2).randint(0, high, shape)


def give_weights(model: Any) -> None:
    """Weights that keep outputs apart; what is divided by, or counted, stays above nothing."""
    draw = np.random.RandomState(0)
    for each in model.weights:
        if not each.dtype.is_floating or ("normalization/" in each.name and "count" in each.name):
            continue
        positive = any(word in each.name for word in ("gamma", "variance"))
        each.assign(draw.uniform(0.1, 0.9, each.shape) if positive else draw.normal(0, 0.4, each.shape))


def write(name: str, model: Any, *inputs: Any, drawn: bool = True, optimizer: Any = None) -> None:
    if drawn:
        give_weights(model)
    x = [tf.constant(each) for each in inputs]
    target = None
    if optimizer is not None:
        model.compile(optimizer, "mse")
        target = np.random.RandomState(5).rand(*model(x[0]).shape).astype("float32")
        model.fit(inputs[0], target, epochs=3, batch_size=2, verbose=0, shuffle=False)
    for number, each in enumerate(inputs):
        truth[f"{name}/x{number}"] = each
    outputs = model(x if len(x) > 1 else x[0], training=False)
    for number, each in enumerate(outputs if isinstance(outputs, list) else [outputs]):
        truth[f"{name}/y{number}"] = each.numpy()
    # a `.keras` keeps nothing of an optimizer of before 2.11
    for suffix in (".h5",) if name.startswith("older") else (".h5", ".keras"):
        model.save(HERE / f"{name}{suffix}")
    if target is not None:
        model.fit(inputs[0], target, epochs=3, batch_size=2, verbose=0, shuffle=False)
        truth[f"{name}/target"], truth[f"{name}/after"] = target, model(x[0], training=False).numpy()


def chain(*layers: Any) -> Any:
    return tf_keras.Sequential(layers)


def layers_of_numbers() -> None:
    write(
        "dense",
        chain(
            L.InputLayer((6,)), L.Dense(6, "gelu"), L.LeakyReLU(alpha=0.2), L.ELU(0.5), L.PReLU(), L.ThresholdedReLU(0.1),
            L.Identity(), L.ReLU(max_value=3.0, negative_slope=0.1), L.BatchNormalization(), L.LayerNormalization(),
            L.GaussianNoise(0.1), L.GaussianDropout(0.1), L.AlphaDropout(0.1), L.Dropout(0.2), L.UnitNormalization(),
            L.ActivityRegularization(0.1), L.Activation("selu"), L.GroupNormalization(3), L.RepeatVector(2),
            L.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"), L.TimeDistributed(L.Dense(3)), L.Permute((2, 1)),
            L.Reshape((2, 3)), L.Softmax(), L.Flatten(), L.SpectralNormalization(L.Dense(3)),
            L.Dense(2, kernel_regularizer="l2", kernel_constraint="max_norm"),
        ),
        normal(3, 6),
    )  # fmt: skip
    one, other = L.Input((4,)), L.Input((4,))
    shared = L.Dense(4)
    a, b = shared(one), shared(other)
    merged = [L.Add()([a, b]), L.Subtract()([a, b]), L.Multiply()([a, b]), L.Average()([a, b])]
    merged += [L.Maximum()([a, b]), L.Minimum()([a, b]), L.Dot(axes=1)([a, b])]
    write(
        "merging", tf_keras.Model([one, other], L.Concatenate()(merged)), normal(3, 4), normal(3, 4, seed=2)
    )


def layers_of_space() -> None:
    write(
        "space1",
        chain(
            L.InputLayer((16, 3)), L.ZeroPadding1D(1), L.Conv1D(4, 3, padding="causal", dilation_rate=2),
            L.SeparableConv1D(4, 3), L.DepthwiseConv1D(3, depth_multiplier=2), L.SpatialDropout1D(0.2),
            L.Conv1DTranspose(3, 3, strides=2), L.Cropping1D(1), L.MaxPooling1D(2), L.UpSampling1D(2),
            L.AveragePooling1D(2, padding="same"), L.GlobalAveragePooling1D(),
        ),
        normal(2, 16, 3),
    )  # fmt: skip
    write(
        "space2",
        chain(
            L.InputLayer((12, 12, 3)), L.Conv2D(4, 3, padding="same", activation="relu"), L.SeparableConv2D(4, 3),
            L.DepthwiseConv2D(3), L.MaxPooling2D(), L.Conv2DTranspose(3, 2, strides=2), L.ZeroPadding2D((1, 2)),
            L.SpatialDropout2D(0.1), L.Cropping2D(1), L.UpSampling2D(2, interpolation="bilinear"),
            L.AveragePooling2D(3, padding="same"), L.GlobalMaxPooling2D(keepdims=True), L.GlobalAveragePooling2D(),
        ),
        normal(2, 12, 12, 3),
    )  # fmt: skip
    write(
        "space3",
        chain(
            L.InputLayer((6, 6, 6, 2)), L.Conv3D(3, 2), L.ZeroPadding3D(1), L.SpatialDropout3D(0.1),
            L.Conv3DTranspose(2, 2), L.MaxPooling3D(2), L.UpSampling3D(2), L.Cropping3D(1), L.AveragePooling3D(2),
            L.GlobalAveragePooling3D(keepdims=True), L.GlobalMaxPooling3D(),
        ),
        normal(2, 6, 6, 6, 2),
    )  # fmt: skip
    write("largest1", chain(L.InputLayer((5, 3)), L.GlobalMaxPooling1D()), normal(2, 5, 3))
    write(
        "images",
        chain(
            L.InputLayer((8, 8, 3)), L.Rescaling(1 / 2.0, 0.1), L.Resizing(6, 6), L.CenterCrop(4, 4),
            L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), L.RandomFlip(), L.RandomRotation(0.1),
            L.RandomZoom(0.1), L.RandomTranslation(0.1, 0.1), L.RandomContrast(0.1), L.RandomBrightness(0.1, (0, 1)),
            L.RandomCrop(4, 4), L.Flatten(),
        ),
        normal(2, 8, 8, 3),
    )  # fmt: skip


def layers_of_time() -> None:
    write(
        "recurrent",
        chain(
            L.InputLayer((5, 3)), L.LSTM(4, return_sequences=True), L.GRU(3, return_sequences=True),
            L.GRU(3, reset_after=False, return_sequences=True), L.Bidirectional(L.LSTM(2, return_sequences=True)),
            L.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True), L.SimpleRNN(4, return_sequences=True),
            L.RNN(L.SimpleRNNCell(3), return_sequences=True), L.RNN([L.LSTMCell(3), L.GRUCell(4)]),
        ),
        normal(3, 5, 3),
    )  # fmt: skip
    write("masked", chain(L.InputLayer((6,)), L.Embedding(10, 4, mask_zero=True), L.LSTM(3)), whole(10, 4, 6))
    write("masking", chain(L.InputLayer((4, 2)), L.Masking(0.0), L.GRU(3)), np.round(normal(3, 4, 2)))
    write("images1", chain(L.InputLayer((3, 6, 2)), L.ConvLSTM1D(2, 3)), normal(2, 3, 6, 2))
    write("images2", chain(L.InputLayer((3, 5, 5, 2)), L.ConvLSTM2D(2, 3)), normal(2, 3, 5, 5, 2))
    write("images3", chain(L.InputLayer((2, 4, 4, 4, 2)), L.ConvLSTM3D(2, 2)), normal(2, 2, 4, 4, 4, 2))
    x = L.Input((6, 4))
    a = L.MultiHeadAttention(2, 3)(x, x)
    a = L.AdditiveAttention()([L.Attention()([L.LayerNormalization()(a + x), x]), x])
    write("attention", tf_keras.Model(x, L.GlobalAveragePooling1D()(a)), normal(2, 6, 4))


def layers_of_words() -> None:
    numbers = L.Input((2,), dtype="int64")
    lookup = L.IntegerLookup(vocabulary=[3, 5, 9])
    found = L.Concatenate()([L.Embedding(9, 3)(lookup(numbers)), L.Embedding(7, 2)(L.Hashing(7)(numbers))])
    write("numbers", tf_keras.Model(numbers, L.Flatten()(found)), np.array([[3, 5], [9, 1]]))
    one, other = L.Input((1,), dtype="int64"), L.Input((1,), dtype="int64")
    crossed = L.HashedCrossing(5, output_mode="one_hot")([one, other])
    write(
        "crossed",
        tf_keras.Model([one, other], L.Dense(2)(crossed)),
        np.array([[1], [4]]),
        np.array([[2], [3]]),
    )
    levels = L.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])
    counted = L.CategoryEncoding(4, output_mode="multi_hot")
    write("levels", chain(L.InputLayer((3,)), levels, counted, L.Dense(2)), normal(3, 3))
    texts = np.array(["the cat sat on the mat", "the dog", "a cat and a dog ran"])
    words = L.TextVectorization(output_sequence_length=5, vocabulary=["the", "cat", "dog", "a"])
    write(
        "text",
        chain(L.InputLayer((1,), dtype="string"), words, L.Embedding(9, 3), L.Flatten()),
        texts[:, None],
    )
    letters = L.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
    write(
        "letters",
        chain(L.InputLayer((1,), dtype="string"), letters, L.Dense(2)),
        np.array([["a"], ["c"], ["z"]]),
    )


def graphs() -> None:
    inner = chain(L.InputLayer((4,)), L.Dense(3, "elu"), L.BatchNormalization())
    x = L.Input((4,))
    both = L.Concatenate()([inner(x), inner(x * 0.5)])
    both = tf.nn.relu(both) * 2.0 + tf.reduce_mean(both, axis=-1, keepdims=True)
    write("nested", tf_keras.Model(x, L.Dense(2)(tf.concat([both, both], -1))), normal(3, 4))
    images = L.Input((8, 8, 3))
    x = tf.transpose(tf.reshape(L.Conv2D(4, 3, padding="same")(images), (-1, 64, 4)), (0, 2, 1))
    x = tf.squeeze(tf.expand_dims(x[:, 1:, ::2], -1), -1)
    x = tf.math.sigmoid(x) / (1.0 + tf.square(x))
    write("functions", tf_keras.Model(images, tf.reduce_sum(x, axis=1)), normal(2, 8, 8, 3))


def trained() -> None:
    rates = O.schedules.ExponentialDecay(0.05, 3, 0.5)
    for each in (
        O.SGD(0.1, momentum=0.9, nesterov=True), O.RMSprop(0.01, centered=True, momentum=0.5), O.Adagrad(0.1),
        O.Adadelta(0.5), O.Adamax(0.01), O.Ftrl(0.1), O.AdamW(0.01), O.Lion(0.001), O.Adam(rates, amsgrad=True),
        O.legacy.SGD(0.1, momentum=0.9), O.legacy.Adam(0.01, decay=0.1), O.legacy.Adagrad(0.1),
        O.legacy.Adadelta(0.5), O.legacy.Adamax(0.01), O.legacy.Ftrl(0.1),
    ):  # fmt: skip
        line = "older" if "legacy" in type(each).__module__ else "trained"
        model = chain(L.InputLayer((8,)), L.Dense(5, "tanh"), L.Dense(3))
        write(f"{line}_{type(each).__name__.lower()}", model, normal(4, 8), optimizer=each)


def main() -> None:
    for each in (layers_of_numbers, layers_of_space, layers_of_time, layers_of_words, graphs, trained):
        tf_keras.backend.clear_session()
        each()
    classes = {each for each in vars(L).values() if inspect.isclass(each) and issubclass(each, L.Layer)}
    lines = sorted(each.__name__ for each in classes)
    (HERE / "layers.txt").write_text("\n".join((f"tf-keras {tf_keras.__version__}", *lines)) + "\n")
    np.savez_compressed(HERE / "truth.npz", **truth)


if __name__ == "__main__":
    main()
