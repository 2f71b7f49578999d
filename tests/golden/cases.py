"""The models of the golden files: every kind of thing that a file can say, each case with a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torchfunc as tf
from tests.golden.custom import (
    CUSTOM,
    Affine,
    Halving,
    MinimalCell,
    Net,
    Pair,
    Scaled,
    Shifted,
    cubic_loss,
    doubled,
    largest_error,
    squashed,
)
from torchfunc import constraints, initializers, layers, losses, metrics, optimizers, regularizers, schedules


@dataclass
class Case:
    """A model, what it is called on, and how it is saved; with targets it is trained before."""

    model: Any
    inputs: Any
    targets: Any = None
    fit: int = 0  # epochs beside the single steps
    folder: bool = False
    weights_only: bool = False
    foreign: bool = False  # weights as a tool that knows no torchfunc writes them
    custom: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Callable[[], Case]] = {}


def case(function: Callable[[], Case]) -> Callable[[], Case]:
    CASES[function.__name__] = function
    return function


def floats(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def spread(model: Any) -> Any:
    """Every weight gets values of its own, so that no two can be taken for each other."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if "var" in name else tensor.uniform_(-0.5, 0.5)
    return model


def table(name: str, rows: dict[str, tuple[Any, ...]]) -> Case:
    """One model of many layers, each on an input of its shape: the outputs go by the names of the rows."""
    inputs: dict[str, Any] = {}
    outputs = {}
    for label, (layer, *shapes) in rows.items():
        given = [inputs.setdefault(key(shape), tf.Input(shape, name=key(shape))) for shape in shapes]
        outputs[label] = layer(given[0] if len(given) == 1 else given)
    model = spread(tf.Model(inputs, outputs, name=name))
    shapes = {key(shape): shape for _, *each in rows.values() for shape in each}
    return Case(model, {name: floats(2, *shape) for name, shape in shapes.items()}, custom=CUSTOM)


def key(shape: tuple[int, ...]) -> str:
    return "x" + "_".join(map(str, shape))


@case
def core() -> Case:
    made = table(
        "core",
        {
            "dense": (layers.Dense(3), (4,)),
            "dense_relu": (layers.Dense(3, activation="relu", name="a"), (4,)),
            "dense_softmax": (layers.Dense(3, "softmax", use_bias=False), (5, 4)),
            "dense_function": (layers.Dense(3, tf.activations.softsign), (4,)),
            "dense_custom": (layers.Dense(3, squashed), (4,)),
            "dense_glu": (layers.Dense(4, "glu"), (4,)),
            "activation": (layers.Activation("gelu"), (4,)),
            "identity": (layers.Identity(), (4,)),
            "masking": (layers.Masking(mask_value=1.0), (5, 4)),
            "lambda": (layers.Lambda(doubled), (4,)),
            "lambda_name": (
                layers.Lambda("softmax", output_shape=(4,), arguments={"axis": -1}, name="last"),
                (4,),
            ),
            "rescaling": (layers.Rescaling(0.5, offset=-1.0), (4,)),
            "rescaling_list": (layers.Rescaling([0.5, 1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0, 3.0]), (4,)),
        },
    )
    row = tf.Input((3,), dtype="int64", name="row")
    more = {"embedding": layers.Embedding(7, 2)(row), "ones": layers.Embedding(7, 2, "ones")(row)}
    names = tf.Model({"row": row}, more, name="tables")
    inputs = {**made.model.input, "row": row}
    model = tf.Model(inputs, {**made.model.output, **names({"row": row})}, name="core")
    return Case(spread(model), {**made.inputs, "row": torch.tensor([[0, 6, 3], [1, 1, 5]])}, custom=CUSTOM)


@case
def activations_by_name() -> Case:
    names = (
        "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear "
        "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign "
        "sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink"
    ).split()
    return table("activations", {name: (layers.Activation(name), (4,)) for name in names})


@case
def activation_layers() -> Case:
    return table(
        "activation_layers",
        {
            "relu": (layers.ReLU(), (4,)),
            "relu_all": (layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), (4,)),
            "leaky": (layers.LeakyReLU(negative_slope=0.1), (4,)),
            "prelu": (layers.PReLU(), (4,)),
            "prelu_shared": (layers.PReLU("ones", shared_axes=[1, 2]), (3, 4, 2)),
            "elu": (layers.ELU(alpha=0.5), (4,)),
            "softmax": (layers.Softmax(axis=1), (5, 4)),
            "softmax_axes": (layers.Softmax(axis=(1, 2)), (5, 4)),
        },
    )


@case
def convolutions() -> Case:
    one, two, three = (9, 4), (6, 5, 3), (3, 4, 3, 2)
    return table(
        "convolutions",
        {
            "c1": (layers.Conv1D(2, 3), one),
            "c1_causal": (layers.Conv1D(2, 3, padding="causal", dilation_rate=2, activation="relu"), one),
            "c1_groups": (layers.Conv1D(4, 3, strides=3, groups=2, padding="same"), one),
            "c2": (layers.Conv2D(2, 3), two),
            "c2_same": (
                layers.Conv2D(2, (3, 2), strides=2, padding="same", activation="gelu", use_bias=False),
                two,
            ),
            "c2_dilated": (layers.Conv2D(2, 2, dilation_rate=(1, 2), activation="softmax"), two),
            "c2_first": (layers.Conv2D(2, 3, data_format="channels_first"), (3, 6, 5)),
            "c3": (layers.Conv3D(2, 2, activation="tanh"), three),
            "c3_same": (layers.Conv3D(2, (3, 2, 1), padding="same", strides=2), three),
        },
    )


@case
def convolutions_transposed() -> Case:
    one, two, three = (5, 3), (4, 3, 2), (2, 3, 2, 2)
    return table(
        "transposed",
        {
            "t1": (layers.Conv1DTranspose(2, 3), one),
            "t1_same": (layers.Conv1DTranspose(2, 4, strides=2, padding="same", output_padding=1), one),
            "t2": (layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"), two),
            "t2_gap": (layers.Conv2DTranspose(3, 2, strides=3, use_bias=False), two),
            "t2_dilated": (layers.Conv2DTranspose(3, 3, dilation_rate=2), two),
            "t2_first": (
                layers.Conv2DTranspose(3, 3, strides=2, data_format="channels_first"),
                (2, 4, 3),
            ),
            "t3": (layers.Conv3DTranspose(2, 2, strides=(1, 2, 2)), three),
        },
    )


@case
def convolutions_by_channel() -> Case:
    one, two = (9, 3), (6, 5, 3)
    return table(
        "by_channel",
        {
            "d1": (layers.DepthwiseConv1D(3, padding="same", activation="relu"), one),
            "d1_strided": (layers.DepthwiseConv1D(2, strides=2, depth_multiplier=2), one),
            "d2": (layers.DepthwiseConv2D(3), two),
            "d2_same": (layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2), two),
            "d2_dilated": (layers.DepthwiseConv2D((2, 3), dilation_rate=2, use_bias=False), two),
            "s1": (layers.SeparableConv1D(4, 2, strides=2, depth_multiplier=2), one),
            "s2": (layers.SeparableConv2D(4, 3, padding="same", activation="relu"), two),
        },
    )


@case
def pooling() -> Case:
    one, two, three = (9, 2), (6, 5, 2), (4, 3, 4, 2)
    first = {"data_format": "channels_first"}
    return table(
        "pooling",
        {
            "m1": (layers.MaxPooling1D(3, strides=2, padding="same"), one),
            "m2": (layers.MaxPooling2D(), two),
            "m2_same": (layers.MaxPooling2D((2, 3), strides=(2, 1), padding="same"), two),
            "m2_first": (layers.MaxPooling2D(3, strides=2, **first), (2, 6, 5)),
            "m3": (layers.MaxPooling3D((2, 3, 1), strides=(2, 1, 1)), three),
            "a1": (layers.AveragePooling1D(3, strides=2, padding="same"), one),
            "a2": (layers.AveragePooling2D(2, strides=1, padding="same"), two),
            "a2_first": (layers.AveragePooling2D(2, **first), (2, 6, 5)),
            "a3": (layers.AveragePooling3D(2), three),
            "gm1": (layers.GlobalMaxPooling1D(), one),
            "gm2": (layers.GlobalMaxPooling2D(keepdims=True), two),
            "gm3": (layers.GlobalMaxPooling3D(), three),
            "ga1": (layers.GlobalAveragePooling1D(), one),
            "ga2": (layers.GlobalAveragePooling2D(keepdims=True, **first), (2, 6, 5)),
            "ga3": (layers.GlobalAveragePooling3D(), three),
        },
    )


@case
def normalization() -> Case:
    return table(
        "normalization",
        {
            "batch": (layers.BatchNormalization(), (5, 3)),
            "batch_axis": (layers.BatchNormalization(axis=1, epsilon=1e-2, momentum=0.9), (3, 4, 2)),
            "batch_bare": (layers.BatchNormalization(center=False, scale=False), (4,)),
            "batch_frozen": (layers.BatchNormalization(trainable=False), (5, 3)),
            "layer": (layers.LayerNormalization(), (5, 3)),
            "layer_axes": (layers.LayerNormalization(axis=[1, 2], epsilon=1e-5), (5, 3)),
            "layer_no_scale": (layers.LayerNormalization(scale=False), (5, 3)),
            "group": (layers.GroupNormalization(groups=2), (5, 4)),
            "group_each": (layers.GroupNormalization(groups=-1, axis=1, center=False), (3, 4, 2)),
            "unit": (layers.UnitNormalization(), (5, 3)),
            "rms": (layers.RMSNormalization(), (5, 3)),
        },
    )


@case
def regularization() -> Case:
    return table(
        "regularization",
        {
            "dropout": (layers.Dropout(0.5), (4,)),
            "dropout_seed": (layers.Dropout(0.5, seed=7), (4,)),
            "dropout_noise": (layers.Dropout(0.5, noise_shape=(None, 1, None)), (5, 3)),
            "spatial1": (layers.SpatialDropout1D(0.5), (5, 3)),
            "spatial2": (layers.SpatialDropout2D(0.5, seed=1), (4, 3, 2)),
            "spatial3": (layers.SpatialDropout3D(0.5), (2, 4, 3, 2)),
            "noise": (layers.GaussianNoise(0.5, seed=2), (4,)),
            "gaussian": (layers.GaussianDropout(0.5), (4,)),
            "alpha": (layers.AlphaDropout(0.5, noise_shape=(None, 1, None), seed=1), (5, 3)),
            "activity": (layers.ActivityRegularization(l1=0.1, l2=0.2), (4,)),
            "depth": (tf.applications.StochasticDepth(0.5), (4,)),
        },
    )


@case
def reshaping() -> Case:
    return table(
        "reshaping",
        {
            "flatten": (layers.Flatten(), (4, 3, 2)),
            "flatten_first": (layers.Flatten(data_format="channels_first"), (4, 3, 2)),
            "reshape": (layers.Reshape((-1, 2)), (5, 4)),
            "permute": (layers.Permute((3, 1, 2)), (4, 3, 2)),
            "repeat": (layers.RepeatVector(3), (4,)),
            "crop1": (layers.Cropping1D((1, 0)), (5, 4)),
            "crop2": (layers.Cropping2D(((1, 1), (0, 1))), (4, 3, 2)),
            "crop3": (layers.Cropping3D(((1, 0), (0, 1), (1, 0))), (3, 3, 2, 2)),
            "pad1": (layers.ZeroPadding1D(2), (5, 4)),
            "pad2": (layers.ZeroPadding2D((2, 1), data_format="channels_first"), (4, 3, 2)),
            "pad3": (layers.ZeroPadding3D(((1, 0), (0, 2), (1, 1))), (3, 3, 2, 2)),
            "up1": (layers.UpSampling1D(3), (5, 4)),
            "up2": (layers.UpSampling2D((2, 3), interpolation="bilinear"), (4, 3, 2)),
            "up2_cubic": (layers.UpSampling2D(2, interpolation="bicubic"), (4, 3, 2)),
            "up3": (layers.UpSampling3D((2, 1, 2)), (3, 3, 2, 2)),
        },
    )


@case
def merging() -> Case:
    pair = ((3, 4), (3, 4))
    rows = {
        kind: (getattr(layers, kind)(), *pair)
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    }
    functions = {
        name: (getattr(layers, name), *pair)
        for name in ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate")
    }
    return table(
        "merging",
        {
            **rows,
            **functions,
            "broadcast": (layers.Add(), (3, 4), (4,)),
            "concatenate_axis": (layers.Concatenate(axis=1), (3, 4), (2, 4)),
            "Dot": (layers.Dot(axes=(2, 1), normalize=True), (3, 4), (4, 2)),
            "dot": (partial(layers.dot, axes=-1), (3, 4), (2, 4)),
        },
    )


@case
def recurrent() -> Case:
    shape = (5, 3)
    return table(
        "recurrent",
        {
            "lstm": (layers.LSTM(2), shape),
            "lstm_states": (layers.LSTM(2, return_sequences=True, return_state=True), shape),
            "lstm_other": (
                layers.LSTM(
                    2, activation="relu", recurrent_activation="hard_sigmoid", unit_forget_bias=False
                ),
                shape,
            ),
            "lstm_drop": (layers.LSTM(2, dropout=0.2, recurrent_dropout=0.3, seed=1), shape),
            "gru": (layers.GRU(2), shape),
            "gru_before": (layers.GRU(2, reset_after=False, go_backwards=True), shape),
            "gru_no_bias": (layers.GRU(2, use_bias=False, return_sequences=True), shape),
            "rnn": (layers.SimpleRNN(2), shape),
            "rnn_relu": (layers.SimpleRNN(2, activation="relu", unroll=True), shape),
            "conv1": (layers.ConvLSTM1D(2, 2), (3, 4, 2)),
            "conv2": (
                layers.ConvLSTM2D(2, (2, 3), padding="same", strides=1, return_sequences=True),
                (3, 4, 3, 2),
            ),
            "conv2_first": (layers.ConvLSTM2D(2, 2, data_format="channels_first"), (3, 2, 4, 3)),
            "conv3": (layers.ConvLSTM3D(1, 2), (2, 3, 3, 2, 1)),
        },
    )


@case
def recurrent_cells() -> Case:
    shape = (5, 3)
    return table(
        "cells",
        {
            "simple": (layers.RNN(layers.SimpleRNNCell(2)), shape),
            "gru": (layers.RNN(layers.GRUCell(2), return_sequences=True), shape),
            "lstm": (layers.RNN(layers.LSTMCell(2), return_state=True), shape),
            "listed": (layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], go_backwards=True), shape),
            "stacked": (layers.RNN(layers.StackedRNNCells([layers.LSTMCell(2), layers.LSTMCell(2)])), shape),
            "own": (layers.RNN(MinimalCell(2), return_sequences=True), shape),
            "own_stacked": (layers.RNN([MinimalCell(2), layers.GRUCell(2)]), shape),
        },
    )


@case
def recurrent_initial_states() -> Case:
    """An encoder whose states begin the decoder."""
    source, target = tf.Input((None, 3), name="source"), tf.Input((None, 3), name="target")
    _, h, c = layers.LSTM(2, return_state=True, name="encoder")(source)
    decoded = layers.LSTM(2, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    model = spread(tf.Model([source, target], layers.TimeDistributed(layers.Dense(4))(decoded)))
    return Case(model, [floats(2, 4, 3), floats(2, 5, 3)])


@case
def recurrent_stateful() -> Case:
    x = tf.Input(batch_shape=(2, 3, 2), name="x")
    y = layers.LSTM(2, stateful=True, return_sequences=True)(x)
    model = spread(tf.Model(x, layers.GRU(2, stateful=True)(y)))
    return Case(model, floats(2, 3, 2))


@case
def bidirectional() -> Case:
    shape = (5, 3)
    both = layers.Bidirectional
    return table(
        "bidirectional",
        {
            "lstm": (both(layers.LSTM(2)), shape),
            "gru": (both(layers.GRU(2, return_sequences=True), merge_mode="sum"), shape),
            "pair": (both(layers.SimpleRNN(2), merge_mode=None), shape),
            "mul": (both(layers.LSTM(2, return_state=True), merge_mode="mul"), shape),
            "other": (
                both(layers.LSTM(2), backward_layer=layers.GRU(2, go_backwards=True), merge_mode="ave"),
                shape,
            ),
            "cell": (both(layers.RNN(MinimalCell(2))), shape),
        },
    )


@case
def wrappers() -> Case:
    each = layers.TimeDistributed
    return table(
        "wrappers",
        {
            "dense": (each(layers.Dense(2, activation="tanh")), (5, 3)),
            "conv": (each(layers.Conv2D(2, 2)), (3, 4, 3, 2)),
            "norm": (each(layers.BatchNormalization()), (5, 3)),
            "nested": (each(each(layers.Dense(2))), (4, 3, 2)),
            "model": (each(tf.Sequential([tf.Input((3,)), layers.Dense(2)])), (5, 3)),
            "custom": (each(Scaled(2)), (5, 3)),
        },
    )


@case
def native_modules() -> Case:
    encoder = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, batch_first=True, activation="gelu")
    vector, sequence, image = (4,), (5, 4), (4, 6, 5)
    pointwise = (
        "CELU ELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 "
        "RReLU SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
    )
    rows: dict[str, Any] = {kind: (getattr(nn, kind)(), vector) for kind in pointwise.split()}
    rows |= {
        "GELU": (nn.GELU("tanh"), vector),
        "Hardtanh_range": (nn.Hardtanh(-0.5, 0.7), vector),
        "PReLU_each": (nn.PReLU(4, init=0.1), vector),
        "Threshold": (nn.Threshold(0.1, 2.0), vector),
        "Softmax": (nn.Softmax(-1), vector),
        "LogSoftmax": (nn.LogSoftmax(1), vector),
        "Linear": (nn.Linear(4, 2), vector),
        "Linear_no_bias": (nn.Linear(4, 2, bias=False), vector),
        "Dropout": (nn.Dropout(0.3), vector),
        "Flatten": (nn.Flatten(), image),
        "Unflatten": (nn.Unflatten(1, (2, 2)), vector),
        "Conv1d": (nn.Conv1d(5, 2, 2, padding="same", padding_mode="replicate"), sequence),
        "Conv2d": (nn.Conv2d(4, 2, (3, 2), stride=2, padding=1, groups=2), image),
        "ConvTranspose2d": (nn.ConvTranspose2d(4, 2, 2, stride=2, output_padding=1), image),
        "BatchNorm1d": (nn.BatchNorm1d(4), vector),
        "BatchNorm2d": (nn.BatchNorm2d(4, affine=False, momentum=None), image),
        "BatchNorm2d_bare": (nn.BatchNorm2d(4, track_running_stats=True), image),
        "LayerNorm": (nn.LayerNorm([5, 4], elementwise_affine=False), sequence),
        "LayerNorm_no_bias": (nn.LayerNorm(4, bias=False), sequence),
        "GroupNorm": (nn.GroupNorm(2, 4), image),
        "InstanceNorm2d": (nn.InstanceNorm2d(4, affine=True), image),
        "RMSNorm": (nn.RMSNorm(4), sequence),
        "MaxPool2d": (nn.MaxPool2d(2, ceil_mode=True), image),
        "AvgPool2d": (nn.AvgPool2d(2, count_include_pad=False), image),
        "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((1, None)), image),
        "Upsample": (nn.Upsample(scale_factor=2, mode="bilinear"), image),
        "ZeroPad2d": (nn.ZeroPad2d((1, 0, 2, 1)), image),
        "ZeroPad1d": (nn.ZeroPad1d(1), sequence),
        "PixelShuffle": (nn.PixelShuffle(2), image),
        "LSTM": (nn.LSTM(4, 2, num_layers=2, batch_first=True, bidirectional=True), sequence),
        "GRU": (nn.GRU(4, 2, batch_first=True, bias=False), sequence),
        "RNN": (nn.RNN(4, 2, nonlinearity="relu", batch_first=True), sequence),
        "TransformerEncoder": (
            nn.TransformerEncoder(encoder, 2, nn.LayerNorm(4), enable_nested_tensor=False),
            sequence,
        ),
        "Sequential": (nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2))), vector),
        "Bilinear": (lambda pair: nn.Bilinear(4, 4, 2)(*pair), vector, (4,)),
        "Torch": (layers.Torch(layers.Dense(2)), vector),
    }
    made = table("native", rows)
    x, row = made.model.input, tf.Input((3,), dtype="int64", name="row")
    outputs = dict(made.model.output)
    s = x["x5_4"]
    outputs["MultiheadAttention"] = nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True)(s, s, s)[
        0
    ]
    outputs["LSTMCell"] = nn.LSTMCell(4, 2)(x["x4"])[1]
    outputs["Embedding"] = nn.Embedding(6, 2, padding_idx=0)(row)
    outputs["EmbeddingBag"] = nn.EmbeddingBag(6, 2, mode="sum")(row)
    model = spread(tf.Model({**x, "row": row}, outputs, name="native"))
    return Case(model, {**made.inputs, "row": torch.tensor([[0, 5, 3], [1, 1, 4]])})


@case
def functions_and_methods() -> Case:
    x, y = tf.Input((4, 6), name="x"), tf.Input((4, 6), name="y")
    image = tf.Input((2, 4, 4), name="image")
    outputs = {
        "cat": torch.cat([x, y], dim=1),
        "stack": torch.stack((x, y), -1),
        "where": torch.where(x > 0, x, y * float("-inf")).clamp(min=-2.0),
        "einsum": torch.einsum("bij,bkj->bik", x, y),
        "linalg": torch.linalg.vector_norm(x, dim=-1, keepdim=True),
        "fft": torch.fft.rfft(x).real,
        "special": torch.special.expit(x),
        "functional": F.scaled_dot_product_attention(x, y, x, is_causal=True),
        "interpolate": F.interpolate(image, scale_factor=(2.0, 1.0), mode="nearest"),
        "pad": F.pad(x, (1, 2), value=0.5),
        "operators": (x + 1) * 2 - y / 3 + x**2 // 1 % 5,
        "reflected": 1 - x + (2 * y) @ y.transpose(1, 2) @ x,
        "unary": -x + abs(y),
        "bits": ((x > 0) & ~(y > 0)) | (x <= y) ^ (x != y),
        "method": x.relu().mean(1, keepdim=True),
        "attribute": x.mT,
        "index": x[:, 0],
        "slices": x[..., 1:-1:2],
        "new_axis": x[:, None, :, 0],
        "list_index": x[:, [0, 2]],
        "parts": x.chunk(2, dim=-1)[1],
        "named": torch.max(x, dim=1).values,
        "unpacked": y.topk(2, dim=-1)[1],
        "half": x.to(torch.float64).to(dtype=torch.float32),
        "format": image.contiguous(memory_format=torch.channels_last).flatten(1),
        "device": x.to(torch.device("cpu")),
        "size": x.view(x.shape[0], -1),
        "arithmetic": x.reshape(-1, x.shape[1] * 2, x.shape[2] // 2),
        "zeros": torch.zeros(x.shape[0], 3, dtype=torch.int32),
        "full": torch.full((x.shape[0], 2), float("inf")),
        "size_method": x.reshape(x.size(0), -1),
        "nan": x.nan_to_num(nan=0.0, posinf=float("inf")),
        "one_hot": F.one_hot(x.argmax(-1), num_classes=6),
    }
    model = tf.Model([x, y, image], outputs, name="functions")
    return Case(model, [floats(2, 4, 6), floats(2, 4, 6), floats(2, 2, 4, 4)])


@case
def live_sizes() -> Case:
    x = tf.Input((None, 3), name="x")
    steps = tf.call(torch.arange, x.shape[1], device=torch.device("cpu"))
    weights = torch.linspace(0.0, 1.0, 4)[None]
    y = x * steps[:, None] / x.shape[1] + torch.ones(x.shape[0], 1, 3)
    z = y.reshape(x.shape[0] * x.shape[1], 3).view(x.shape[0], -1, 3)[:, : x.shape[1] - 1]
    model = tf.Model(x, [z, z.mean(1) @ nn.Parameter(torch.rand(3, 4)) * weights], name="sizes")
    return Case(model, floats(2, 5, 3))


@case
def nested_models() -> Case:
    def part(name: str | None = None) -> Any:
        inputs = tf.Input((4,), name="in")
        hidden = nn.Linear(4, 3)(layers.Dense(4, activation="relu")(inputs))
        return tf.Model(inputs, {"a": hidden, "b": layers.BatchNormalization()(hidden)}, name=name)

    x = tf.Input((4,), name="x")
    inner = part("inner")
    middle_in = tf.Input((4,))
    middle = tf.Model(middle_in, layers.Dense(4)(inner(middle_in)["b"]), name="middle")
    chain = tf.Sequential([layers.Dense(4), nn.ReLU(), tf.Sequential([layers.Dense(4)], name="deep")])
    native = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    outputs = [inner(x)["a"], layers.Dense(2)(chain(middle(native(x)))), part()(middle(x))]
    return Case(spread(tf.Model(x, outputs, name="outer")), floats(3, 4))


@case
def shared_layers() -> Case:
    a, b = tf.Input((4,), name="a"), tf.Input((4,), name="b")
    dense, native = layers.Dense(4, activation="tanh", name="shared"), nn.Linear(4, 4)
    inputs = tf.Input((4,))
    tower = tf.Model(inputs, native(dense(inputs)), name="tower")
    left, right = tower(a), tower(b)
    # the same modules in the model and in the tower, so that tensors have two names
    outputs = {"difference": (left - right).abs(), "again": native(dense(left)), "twice": dense(dense(b))}
    return Case(spread(tf.Model([a, b], outputs)), [floats(3, 4), floats(3, 4)])


@case
def masks() -> Case:
    rows, features = tf.Input((5,), dtype="int64", name="rows"), tf.Input((5, 3), name="features")
    x = layers.Embedding(6, 3, mask_zero=True)(rows)
    marked = layers.Masking(mask_value=0.0)(features)
    outputs = {
        "lstm": layers.LSTM(2)(x),
        "through": layers.GRU(2)(layers.Dropout(0.1)(layers.Dense(3)(x))),
        "both": layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x),
        "pooled": layers.GlobalAveragePooling1D()(x),
        "zeros": layers.GRU(2, return_sequences=True, zero_output_for_mask=True)(x),
        "masking": layers.LSTM(2)(marked),
        "added": layers.SimpleRNN(2)(layers.Add()([x, marked])),
        "joined": layers.LSTM(2)(layers.Concatenate()([x, marked])),
        "steps": layers.TimeDistributed(layers.Dense(2))(x),
        "softmax": layers.RNN(layers.LSTMCell(2))(x),
        "norm": layers.BatchNormalization()(marked),
    }
    data = {"rows": torch.tensor([[1, 2, 0, 0, 0], [3, 4, 5, 1, 0]]), "features": floats(2, 5, 3)}
    data["features"][0, 3:] = 0
    return Case(spread(tf.Model({"rows": rows, "features": features}, outputs)), data)


@case
def nested_structures() -> Case:
    inputs: Any = {
        "pair": [tf.Input((3,), name="p0"), tf.Input((2,), name="p1")],
        "deep": {"x": tf.Input((3,), name="x"), "tuple": (tf.Input((2,), name="t"),)},
    }
    a, b = inputs["pair"]
    c, d = inputs["deep"]["x"], inputs["deep"]["tuple"][0]
    joined = layers.Concatenate()([a, b, c, d])
    outputs = {"list": [layers.Dense(2)(joined), {"in": (a + c, joined)}], "tuple": (b * d,)}
    data = {"pair": [floats(2, 3), floats(2, 2)], "deep": {"x": floats(2, 3), "tuple": (floats(2, 2),)}}
    return Case(spread(tf.Model(inputs, outputs)), data)


@case
def raw_tensors() -> Case:
    rows = tf.Input((3,), dtype="int64", name="rows")
    table = nn.Embedding(6, 4)
    scale, frozen = nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(4), requires_grad=False)
    x = table(rows) * scale + frozen + torch.rand(3, 4) + torch.arange(4)
    x = torch.where(torch.tensor([True, False, True, True]), x, torch.tensor(0.5, dtype=torch.float64))
    x = x.float()
    # the table's own weight gives the logits
    model = tf.Model(rows, [F.linear(x, table.weight), x @ torch.rand(4, 2)])
    return Case(model, torch.tensor([[0, 5, 3], [1, 1, 4]]))


@case
def dtypes() -> Case:
    x = tf.Input((3,), dtype="float64", name="x")
    whole, flags = tf.Input((3,), dtype="int32", name="whole"), tf.Input((3,), dtype="bool", name="flags")
    y = layers.Dense(2, dtype="float64")(x)
    outputs = [y, layers.Dense(2, dtype=torch.bfloat16)(x.bfloat16()).float(), whole + 1, flags | (whole > 0)]
    model = tf.Model([x, whole, flags], outputs)
    data = [floats(2, 3).double(), torch.tensor([[1, -2, 3], [0, 0, 1]], dtype=torch.int32)]
    return Case(spread(model), [*data, torch.tensor([[True, False, False], [False, True, False]])])


@case
def names() -> Case:
    """Names given, derived, doubled, of other alphabets, and of attributes that modules have."""
    x = tf.Input((3,), name="вход")
    y = layers.Dense(3, name="слой")(x)
    y = layers.Dense(3)(layers.Dense(3)(y))
    y = layers.Dense(3, name="output")(y)
    y = layers.Dense(3, name="dense_5")(layers.Activation("relu", name="input")(y))
    return Case(spread(tf.Model(x, layers.Dense(2)(y), name="имя модели")), floats(2, 3))


@case
def custom_classes() -> Case:
    x = tf.Input((3,), name="x")
    y = Shifted(0.5)(Scaled(3, factor=0.5, activation="tanh", name="scaled")(x))
    y = Affine(3)(y)
    y = squashed_call(y)
    inner = tf.Sequential([tf.Input((3,)), Scaled(2), Shifted(1.0, name="shift")])
    return Case(spread(tf.Model(x, [inner(y), layers.Lambda(doubled)(y)])), floats(2, 3), custom=CUSTOM)


def squashed_call(y: Any) -> Any:
    """A function of the user's in the graph, by its name in custom_objects."""
    return tf.call(squashed, y)


@case
def sequential() -> Case:
    chain = [
        tf.Input((6, 3), name="sequence"),
        layers.Conv1D(4, 3, activation="relu"),
        nn.Dropout(0.2),
        layers.LSTM(3),
        nn.Linear(3, 3),
        layers.Dense(2, activation="softmax", name="head"),
    ]
    return Case(spread(tf.Sequential(chain, name="chain")), floats(2, 6, 3))


@case
def sequential_built_by_data() -> Case:
    model = tf.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    model(floats(2, 3))
    return Case(spread(model), floats(2, 3))


@case
def sequential_with_nested() -> Case:
    inner = tf.Sequential([layers.Dense(4), layers.BatchNormalization()], name="inner")
    model = tf.Sequential([layers.Dense(3, input_shape=(3,)), inner, nn.Sequential(nn.Linear(4, 3))])
    return Case(spread(model), floats(2, 3))


@case
def subclassed() -> Case:
    model = Net(3, name="net")
    model(floats(2, 5))
    return Case(spread(model), floats(2, 5), custom=CUSTOM)


@case
def subclassed_of_several_inputs() -> Case:
    model, data = Pair(), {"x": floats(2, 4), "row": torch.tensor([1, 3])}
    model(data)
    return Case(spread(model), data, custom=CUSTOM)


@case
def subclassed_in_a_model() -> Case:
    x = tf.Input((5,), name="x")
    return Case(spread(tf.Model(x, layers.Dense(2)(Net(3)(x)))), floats(2, 5), custom=CUSTOM)


@case
def arguments_as_objects() -> Case:
    init, reg, con = initializers, regularizers, constraints
    kinds = [
        init.Zeros(), init.Ones(), init.Constant(0.3), init.Identity(0.5), init.RandomNormal(0.1, 0.2, seed=1),
        init.RandomUniform(-0.1, 0.1, seed=2), init.TruncatedNormal(0.0, 0.1, seed=3),
        init.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=4), init.GlorotUniform(5),
        init.GlorotNormal(6), init.HeUniform(7), init.HeNormal(8), init.LecunUniform(9), init.LecunNormal(10),
        init.Orthogonal(0.7, seed=11),
    ]  # fmt: skip
    x, image = tf.Input((3,), name="x"), tf.Input((4, 3), name="image")
    outputs = {type(each).__name__: layers.Dense(3, kernel_initializer=each)(x) for each in kinds}
    outputs["names"] = layers.Dense(
        3,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer="l1",
        bias_regularizer="l2",
        activity_regularizer="l1_l2",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
    )(x)
    outputs["objects"] = layers.Dense(
        3,
        kernel_regularizer=reg.L1L2(0.1, 0.2),
        bias_regularizer=reg.L1(0.1),
        activity_regularizer=reg.L2(0.3),
        kernel_constraint=con.MaxNorm(1.5, axis=0),
        bias_constraint=con.NonNeg(),
    )(x)
    outputs["more"] = layers.Conv1D(
        2,
        3,
        kernel_regularizer=reg.OrthogonalRegularizer(0.1, "columns"),
        kernel_constraint=con.MinMaxNorm(0.1, 1.0, rate=0.9, axis=[0, 1]),
        bias_constraint=con.UnitNorm(),
    )(image)
    outputs["recurrent"] = layers.GRU(
        2, recurrent_initializer=init.Orthogonal(seed=1), recurrent_regularizer=reg.L2(0.1)
    )(image)
    model = spread(tf.Model([x, image], outputs))
    return Case(model, [floats(2, 3), floats(2, 4, 3)])


@case
def frozen() -> Case:
    x = tf.Input((4,), name="x")
    base = tf.Model(x, layers.BatchNormalization()(layers.Dense(4)(x)), name="base", trainable=False)
    native = nn.Linear(4, 4)
    y = layers.Dense(4, trainable=False)(layers.Dropout(0.3)(native(base(x))))
    thawed = layers.Dense(3)
    later = layers.Dense(3)
    model = tf.Model(x, later(thawed(y)))
    later.trainable = False
    model.compile(optimizers.SGD(0.1, momentum=0.9), "mse")
    return Case(spread(model), floats(4, 4), floats(4, 3))


def small(seeded: float = 0.0) -> Any:
    """A model to train: two dense layers, with dropout between them."""
    x = tf.Input((4,), name="x")
    y = layers.Dense(4, activation="tanh")(x)
    y = layers.Dropout(seeded)(y) if seeded else y
    return spread(tf.Model(x, nn.Linear(4, 2)(y), name="small"))


def trained(optimizer: Callable[[Any], Any], *, dropout: float = 0.0, fit: int = 0) -> Case:
    model = small(dropout)
    model.compile(optimizer(model), "mse", metrics=["mae"])
    return Case(model, floats(6, 4), floats(6, 2), fit=fit)


def parts_of(model: Any) -> list[dict[str, Any]]:
    return [{"params": model.dense.parameters()}, {"params": model.linear.parameters(), "lr": 0.02}]


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda model: "sgd",
    "sgd_nesterov": lambda model: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda model: "rmsprop",
    "rmsprop_centered": lambda model: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda model: "adam",
    "adam_all": lambda model: optimizers.Adam(
        0.01, 0.8, 0.95, 1e-6, amsgrad=True, weight_decay=0.1, clipnorm=0.5
    ),
    "adamw": lambda model: optimizers.AdamW(0.01, weight_decay=0.05, global_clipnorm=0.3),
    "adamax": lambda model: optimizers.Adamax(0.01, clipvalue=0.1),
    "nadam": lambda model: optimizers.Nadam(0.01),
    "adagrad": lambda model: optimizers.Adagrad(0.05),
    "adadelta": lambda model: optimizers.Adadelta(1.0),
    "ftrl": lambda model: optimizers.Ftrl(0.1, l1_regularization_strength=0.01, beta=0.1),
    "lion": lambda model: optimizers.Lion(0.001),
    "ema": lambda model: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "exponential": lambda model: optimizers.SGD(schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)),
    "inverse_time": lambda model: optimizers.SGD(schedules.InverseTimeDecay(0.1, 2, 0.5)),
    "piecewise": lambda model: optimizers.SGD(schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.05, 0.01])),
    "polynomial": lambda model: optimizers.SGD(
        schedules.PolynomialDecay(0.1, 3, 0.01, power=2.0, cycle=True)
    ),
    "cosine": lambda model: optimizers.Adam(schedules.CosineDecay(0.0, 5, warmup_target=0.1, warmup_steps=3)),
    "restarts": lambda model: optimizers.SGD(schedules.CosineDecayRestarts(0.1, 2, t_mul=1.5, m_mul=0.9)),
    "torch_class": lambda model: torch.optim.Adam,
    "torch_partial": lambda model: partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "torch_instance": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.9)),
    "torch_groups": lambda model: torch.optim.SGD(parts_of(model), lr=0.1, momentum=0.9),
    "torch_rprop": lambda model: torch.optim.Rprop,
}
CASES.update({f"optimizer_{name}": partial(trained, optimizer) for name, optimizer in OPTIMIZERS.items()})
CASES["trained_by_fit"] = partial(trained, OPTIMIZERS["adam"], dropout=0.3, fit=2)


def compiled(layer: Any, targets: Tensor, **options: Any) -> Case:
    """One layer on four numbers, compiled."""
    x = tf.Input((4,), name="x")
    model = spread(tf.Model(x, layer(x)))
    with tf.custom_object_scope(CUSTOM):
        model.compile(optimizer="sgd", **options)
    return Case(model, floats(len(targets), 4), targets, custom=CUSTOM)


BINARY = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])
CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
ONE_HOT = F.one_hot(CLASSES).float()


@case
def compiled_several_outputs() -> Case:
    x = tf.Input((4,), name="x")
    y = layers.Dense(4, activation="relu")(x)
    outputs = {
        "value": layers.Dense(2, name="value")(y),
        "kind": layers.Dense(3, "softmax", name="kind")(y),
        "odds": layers.Dense(1, "sigmoid", name="odds")(y),
    }
    model = spread(tf.Model(x, outputs))
    model.compile(
        optimizer=optimizers.Adam(0.01),
        loss={"value": losses.Huber(0.5), "kind": "sparse_categorical_crossentropy", "odds": "bce"},
        loss_weights={"value": 0.5, "kind": 1, "odds": 2.0},
        metrics={"value": ["mae", metrics.RootMeanSquaredError()], "kind": "acc"},
        weighted_metrics={"odds": [metrics.AUC(num_thresholds=5)]},
    )
    return Case(model, floats(6, 4), {"value": floats(6, 2), "kind": CLASSES, "odds": BINARY[:, :1]})


@case
def compiled_lists() -> Case:
    x = tf.Input((4,), name="x")
    model = spread(tf.Model(x, [layers.Dense(2)(x), nn.Linear(4, 2)(x)]))
    model.compile(
        "rmsprop",
        loss=[losses.mean_squared_error, losses.MeanAbsoluteError()],
        loss_weights=[1.0, 0.5],
        metrics=[["mae"], []],
    )
    return Case(model, floats(6, 4), [floats(6, 2), floats(6, 2)])


@case
def compiled_losses() -> Case:
    """Every loss on an output of its own."""
    options = {
        "BinaryCrossentropy": {"label_smoothing": 0.1},
        "BinaryFocalCrossentropy": {"apply_class_balancing": True, "gamma": 1.5},
        "Huber": {"delta": 0.5},
        "Tversky": {"alpha": 0.3, "beta": 0.7},
        "MeanSquaredError": {"reduction": "sum", "name": "squares"},
    }
    plain = (
        "BinaryCrossentropy BinaryFocalCrossentropy CategoricalHinge CosineSimilarity Dice Hinge Huber "
        "KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
        "MeanSquaredLogarithmicError Poisson SquaredHinge Tversky"
    ).split()
    x = tf.Input((4,), name="x")
    outputs = {name: layers.Dense(2, "sigmoid", name=name)(x) for name in plain}
    chosen = {name: getattr(losses, name)(**options.get(name, {})) for name in plain}
    targets = dict.fromkeys(plain, BINARY)
    for name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "SparseCategoricalCrossentropy"):
        outputs[name] = layers.Dense(3, "softmax", name=name)(x)
        chosen[name] = getattr(losses, name)()
        targets[name] = CLASSES if name.startswith("Sparse") else ONE_HOT
    model = spread(tf.Model(x, outputs))
    model.compile("sgd", loss=chosen)
    return Case(model, floats(6, 4), targets)


@case
def compiled_names_of_losses() -> Case:
    names = "mse mae mape msle hinge squared_hinge kld poisson cosine_similarity log_cosh huber binary_crossentropy"
    x = tf.Input((4,), name="x")
    model = spread(
        tf.Model(x, {name: layers.Dense(2, "sigmoid", name=f"o_{name}")(x) for name in names.split()})
    )
    model.compile("sgd", loss={name: name for name in names.split()})
    return Case(model, floats(6, 4), dict.fromkeys(names.split(), BINARY))


@case
def compiled_metrics_of_two() -> Case:
    kinds = (
        "Accuracy BinaryAccuracy AUC FalseNegatives FalsePositives TrueNegatives TruePositives Precision Recall "
        "BinaryCrossentropy CategoricalHinge CosineSimilarity Hinge KLDivergence LogCoshError MeanAbsoluteError "
        "MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson RootMeanSquaredError "
        "SquaredHinge BinaryIoU F1Score FBetaScore R2Score"
    ).split()
    arguments: dict[str, Any] = {
        "BinaryAccuracy": {"threshold": 0.4}, "AUC": {"num_thresholds": 7, "curve": "PR"},
        "Precision": {"thresholds": [0.3, 0.6]}, "F1Score": {"average": "macro", "threshold": 0.5},
    }  # fmt: skip
    measured = [getattr(metrics, kind)(**arguments.get(kind, {})) for kind in kinds]
    measured += [
        metrics.PrecisionAtRecall(0.5, num_thresholds=5), metrics.RecallAtPrecision(0.5, num_thresholds=5),
        metrics.SensitivityAtSpecificity(0.5, num_thresholds=5),
        metrics.SpecificityAtSensitivity(0.5, num_thresholds=5), largest_error, "mae",
    ]  # fmt: skip
    return compiled(
        layers.Dense(2, "sigmoid"), BINARY, loss="mse", metrics=measured, weighted_metrics=["acc"]
    )


@case
def compiled_metrics_of_classes() -> Case:
    measured = [
        "accuracy", metrics.SparseCategoricalAccuracy("hits"), metrics.SparseTopKCategoricalAccuracy(2),
        metrics.SparseCategoricalCrossentropy(), metrics.MeanIoU(3, sparse_y_pred=False),
        metrics.IoU(3, [0, 2], sparse_y_pred=False),
    ]  # fmt: skip
    loss = losses.SparseCategoricalCrossentropy(ignore_class=1)
    return compiled(layers.Dense(3, "softmax"), CLASSES, loss=loss, metrics=measured)


@case
def compiled_metrics_of_one_hot() -> Case:
    measured = [
        "acc",
        metrics.CategoricalAccuracy(),
        metrics.TopKCategoricalAccuracy(2),
        metrics.CategoricalCrossentropy(),
    ]
    return compiled(layers.Dense(3, "softmax"), ONE_HOT, loss="categorical_crossentropy", metrics=measured)


@case
def compiled_functions() -> Case:
    """Functions of the user's own."""
    return compiled(layers.Dense(2), BINARY, loss=cubic_loss, metrics=[largest_error, "binary_accuracy"])


@case
def compiled_custom_step() -> Case:
    x = tf.Input((4,), name="x")
    model = spread(Halving(x, layers.Dense(2)(x), name="halving"))
    model.compile("sgd", "mse")
    return Case(model, floats(6, 4), floats(6, 2), custom=CUSTOM)


@case
def compiled_sequential() -> Case:
    chain = [layers.Dense(4, activation="relu"), layers.BatchNormalization(), layers.Dense(2)]
    model = tf.Sequential([tf.Input((4,)), *chain])
    model.compile("adam", "mse")
    return Case(spread(model), floats(6, 4), floats(6, 2))


@case
def compiled_subclass() -> Case:
    model = Net(3)
    model.compile("adam", "mse")
    model(floats(6, 4))
    return Case(spread(model), floats(6, 4), floats(6, 2), custom=CUSTOM)


@case
def compiled_penalties() -> Case:
    """Regularizers and constraints at work."""
    layer = layers.Dense(
        2, kernel_regularizer="l2", activity_regularizer=regularizers.L1(0.1), kernel_constraint="unit_norm"
    )
    return compiled(layer, BINARY, loss="mse")


@case
def folder() -> Case:
    made = trained(OPTIMIZERS["adam"])
    made.folder = True
    return made


@case
def weights_only() -> Case:
    x = tf.Input((4,), name="x")
    shared = layers.Dense(4)
    inner = tf.Sequential([tf.Input((4,)), layers.BatchNormalization(), shared], name="inner")
    y = shared(inner(x)) * nn.Parameter(torch.rand(4)) + torch.rand(4)
    return Case(spread(tf.Model(x, nn.GRUCell(4, 2)(y))), floats(3, 4), weights_only=True)


@case
def weights_of_others() -> Case:
    return Case(small(), floats(3, 4), foreign=True)


@case
def native_modules_more() -> Case:
    row, sequence, image, volume = (4,), (4, 6), (4, 6, 6), (4, 4, 4, 4)
    decoder = nn.TransformerDecoderLayer(6, 2, dim_feedforward=4, batch_first=True)
    rows: dict[str, Any] = {
        kind: (getattr(nn, kind)(2), {"1": sequence, "2": image, "3": volume}[kind[-2]])
        for rank in "123"
        for kind in f"MaxPool{rank}d AvgPool{rank}d AdaptiveAvgPool{rank}d AdaptiveMaxPool{rank}d".split()
    }
    for rank, shape in (("1", sequence), ("2", image), ("3", volume)):
        rows[f"Conv{rank}d"] = (getattr(nn, f"Conv{rank}d")(4, 2, 2), shape)
        rows[f"ConvTranspose{rank}d"] = (getattr(nn, f"ConvTranspose{rank}d")(4, 2, 2), shape)
        rows[f"InstanceNorm{rank}d"] = (getattr(nn, f"InstanceNorm{rank}d")(4), shape)
        rows[f"Dropout{rank}d"] = (getattr(nn, f"Dropout{rank}d")(0.2), shape)
        rows[f"ConstantPad{rank}d"] = (getattr(nn, f"ConstantPad{rank}d")(1, 0.5), shape)
        for kind in ("Reflection", "Replication", "Zero"):
            rows[f"{kind}Pad{rank}d"] = (getattr(nn, f"{kind}Pad{rank}d")(1), shape)
    rows |= {
        "BatchNorm3d": (nn.BatchNorm3d(4), volume),
        "ChannelShuffle": (nn.ChannelShuffle(2), image),
        "GLU": (nn.GLU(), row),
        "LPPool2d": (nn.LPPool2d(2, 2), image),
        "LocalResponseNorm": (nn.LocalResponseNorm(2), image),
        "PixelUnshuffle": (nn.PixelUnshuffle(2), image),
        "Softmax2d": (nn.Softmax2d(), image),
        "Softmin": (nn.Softmin(-1), row),
        "Unfold": (nn.Unfold(2, stride=2), image),
        "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(scale_factor=2), image),
        "UpsamplingNearest2d": (nn.UpsamplingNearest2d(scale_factor=2), image),
        "AlphaDropout": (nn.AlphaDropout(0.2), row),
        "GRUCell": (nn.GRUCell(4, 2), row),
        "RNNCell": (nn.RNNCell(4, 2, nonlinearity="relu"), row),
        "CosineSimilarity": (lambda pair: nn.CosineSimilarity()(*pair), row, row),
        "PairwiseDistance": (lambda pair: nn.PairwiseDistance()(*pair), row, row),
        "TransformerDecoder": (lambda x: nn.TransformerDecoder(decoder, 1)(x, x), sequence),
    }
    return table("native_more", rows)


@case
def version_2_cnn() -> Case:
    x = tf.Input((6, 6, 2), name="x")
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.MaxPooling2D(2)(layers.ReLU()(y))
    y = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(4, 3, activation="relu")(y))
    model = spread(tf.Model(x, layers.Dense(3)(y), name="cnn"))
    model.compile("adam", "mse", metrics=["mae"])
    return Case(model, floats(4, 6, 6, 2), floats(4, 3))


# what the files of version 2 say beside: what each call returns, and what each layer was built for
CASES |= {
    f"version_2_{name}": CASES[name]
    for name in """
        core live_sizes functions_and_methods nested_models shared_layers masks wrappers nested_structures
        native_modules_more sequential sequential_built_by_data subclassed_in_a_model frozen trained_by_fit
        compiled_several_outputs
    """.split()
}
