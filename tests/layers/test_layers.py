"""Every layer equals its Keras twin: one table of layers, arguments and inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.layers.check import Case, check_layer


def row(kind: str, inputs: Any, **arguments: Any) -> Case:
    return Case(kind, arguments, inputs)


def drops(kind: str, inputs: Any, **arguments: Any) -> Case:
    return Case(kind, arguments, inputs, random=True)


def average_same(layer: Any, x: Tensor) -> Tensor:
    """Averages over windows that may stand out at the sides, in which only what is inside counts."""
    rank = x.ndim - 2
    x = x.movedim(-1, 1)
    for axis in range(rank):
        length, size, stride = x.shape[2 + axis], layer.pool_size[axis], layer.strides[axis]
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        starts = [index * stride - total // 2 for index in range(-(-length // stride))]
        parts = [x.narrow(2 + axis, max(s, 0), min(s + size, length) - max(s, 0)) for s in starts]
        x = torch.stack([part.mean(2 + axis) for part in parts], 2 + axis)
    return x.movedim(1, -1)


def batch_normalized(layer: Any, x: Tensor) -> Tensor:
    """The formula of batch normalization, on the last axis."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = layer.running_mean.double(), layer.running_var.double()
    if layer.training:
        mean, variance = x.mean(axes), x.var(axes, correction=0)
    scaled = (x - mean) / (variance + layer.epsilon).sqrt()
    return scaled * layer.weight.double() + layer.bias.double()


def layer_normalized(layer: Any, x: Tensor) -> Tensor:
    """The formula of layer normalization, on axis 1 of three."""
    scaled = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + layer.epsilon).sqrt()
    return scaled * layer.weight.double()[:, None] + layer.bias.double()[:, None]


def rms_normalized(layer: Any, x: Tensor) -> Tensor:
    """The formula of RMS normalization, on axis 1 of three."""
    return x / (x.square().mean(1, keepdim=True) + layer.epsilon).sqrt() * layer.weight.double()[:, None]


def same_average(kind: str, inputs: Any, **arguments: Any) -> Case:
    # Keras 3.15.1 counts some of the padding in an average with padding="same"
    return Case(kind, {"padding": "same", **arguments}, inputs, oracle=average_same)


CORE = [
    row("Dense", (3, 4), units=5),
    row("Dense", (3, 4), units=5, activation="relu"),
    row("Dense", (3, 4), units=5, activation="softmax"),
    row("Dense", (3, 4), units=5, activation="gelu", use_bias=False),
    row("Dense", (3, 6, 4), units=5, activation="tanh"),
    row("Dense", (2, 3, 2, 4), units=1, activation="sigmoid"),
    row("Dense", (3, 4), units=6, activation="glu"),
    row(
        "Dense",
        (3, 4),
        units=5,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer="l2",
    ),
    row("Dense", (3, 4), units=5, kernel_constraint="non_neg", activation="linear", name="head"),
    *(
        row("Activation", (3, 4), activation=name)
        for name in ("relu", "softmax", "elu", "selu", "silu", "linear")
    ),
    row("Activation", (3, 4, 6), activation="glu"),
    Case("Embedding", {"input_dim": 7, "output_dim": 3}, (2, 5), integers=7),
    Case("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, (2, 5, 2), integers=7),
    Case("Embedding", {"input_dim": 7, "output_dim": 3, "embeddings_initializer": "ones"}, (4,), integers=7),
    row("Identity", (3, 4)),
    row("Masking", (3, 4, 2)),
    row("Masking", (3, 4), mask_value=1.0),
    row("Rescaling", (3, 4), scale=0.5, offset=-1.0),
    row("Rescaling", (3, 4, 4, 3), scale=[0.5, 1.0, 2.0], offset=[0.0, 1.0, 2.0]),
    Case("Rescaling", {"scale": 1 / 255}, (3, 4), integers=256),
]

CONVOLUTIONS = [
    row("Conv1D", (2, 9, 3), filters=4, kernel_size=3),
    row("Conv1D", (2, 9, 3), filters=4, kernel_size=4, padding="same", activation="relu"),
    row("Conv1D", (2, 9, 3), filters=4, kernel_size=3, padding="causal", dilation_rate=2),
    row("Conv1D", (2, 9, 3), filters=4, kernel_size=3, strides=2, padding="same", use_bias=False),
    row("Conv1D", (2, 9, 4), filters=6, kernel_size=3, strides=3, groups=2, activation="softmax"),
    row("Conv1D", (2, 9, 3), filters=4, kernel_size=2, strides=2, padding="causal"),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=3),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=(3, 2), activation="relu"),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=3, padding="same", activation="gelu"),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=3, strides=2, padding="same", activation="tanh"),
    row("Conv2D", (2, 8, 8, 3), filters=4, kernel_size=5, strides=(2, 3), padding="same"),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=(2, 4), padding="same", use_bias=False),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=(2, 3), padding="same", dilation_rate=(1, 2)),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=3, dilation_rate=2, activation="softmax"),
    row("Conv2D", (2, 7, 8, 4), filters=6, kernel_size=3, groups=2),
    row("Conv2D", (2, 7, 8, 4), filters=2, kernel_size=1, strides=2, padding="same"),
    row("Conv2D", (2, 3, 7, 8), filters=4, kernel_size=3, data_format="channels_first"),
    row(
        "Conv2D",
        (2, 3, 7, 8),
        filters=4,
        kernel_size=2,
        padding="same",
        strides=2,
        data_format="channels_first",
    ),
    row("Conv2D", (2, 7, 8, 3), filters=4, kernel_size=3, activation="glu"),
    row("Conv3D", (2, 5, 6, 4, 2), filters=3, kernel_size=2, activation="relu"),
    row("Conv3D", (2, 5, 6, 4, 2), filters=3, kernel_size=(3, 2, 1), padding="same", strides=2),
    row(
        "Conv3D", (1, 5, 6, 4, 2), filters=2, kernel_size=3, padding="same", dilation_rate=(1, 2, 1), groups=2
    ),
    row("Conv1DTranspose", (2, 5, 3), filters=4, kernel_size=3),
    row("Conv1DTranspose", (2, 5, 3), filters=4, kernel_size=3, strides=2, padding="same", activation="relu"),
    row("Conv1DTranspose", (2, 5, 3), filters=4, kernel_size=2, strides=3),
    row("Conv1DTranspose", (2, 5, 3), filters=4, kernel_size=4, strides=2, padding="same", output_padding=1),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=3, activation="relu"),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=3, padding="same"),
    row(
        "Conv2DTranspose",
        (2, 4, 5, 3),
        filters=4,
        kernel_size=3,
        strides=2,
        padding="same",
        activation="relu",
    ),
    row(
        "Conv2DTranspose",
        (2, 4, 5, 3),
        filters=4,
        kernel_size=(4, 2),
        strides=2,
        padding="same",
        use_bias=False,
    ),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=(2, 5), strides=(3, 2), padding="same"),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=2, strides=3, activation="softmax"),
    row(
        "Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=3, strides=2, output_padding=1, padding="same"
    ),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=3, strides=2, output_padding=0),
    row("Conv2DTranspose", (2, 4, 5, 3), filters=4, kernel_size=3, dilation_rate=2),
    row("Conv2DTranspose", (2, 3, 4, 5), filters=4, kernel_size=3, strides=2, data_format="channels_first"),
    row("Conv3DTranspose", (1, 3, 4, 2, 2), filters=3, kernel_size=2, strides=2, activation="relu"),
    row("Conv3DTranspose", (1, 3, 4, 2, 2), filters=3, kernel_size=3, strides=(1, 2, 2), padding="same"),
    row("DepthwiseConv1D", (2, 9, 3), kernel_size=3, padding="same", activation="relu"),
    row("DepthwiseConv1D", (2, 9, 3), kernel_size=2, strides=2, depth_multiplier=2),
    row("DepthwiseConv2D", (2, 7, 8, 3), kernel_size=3),
    row("DepthwiseConv2D", (2, 7, 8, 3), kernel_size=3, strides=2, padding="same", depth_multiplier=2),
    row(
        "DepthwiseConv2D",
        (2, 7, 8, 3),
        kernel_size=(2, 3),
        dilation_rate=2,
        use_bias=False,
        activation="relu",
    ),
    row("SeparableConv1D", (2, 9, 3), filters=4, kernel_size=3, padding="same", activation="relu"),
    row("SeparableConv1D", (2, 9, 3), filters=4, kernel_size=2, strides=2, depth_multiplier=2),
    row("SeparableConv2D", (2, 7, 8, 3), filters=4, kernel_size=3),
    row(
        "SeparableConv2D",
        (2, 7, 8, 3),
        filters=4,
        kernel_size=3,
        strides=2,
        padding="same",
        depth_multiplier=2,
    ),
    row(
        "SeparableConv2D",
        (2, 7, 8, 3),
        filters=4,
        kernel_size=3,
        dilation_rate=2,
        activation="relu",
        use_bias=False,
    ),
]

POOLING = [
    row("MaxPooling1D", (2, 9, 3)),
    row("MaxPooling1D", (2, 9, 3), pool_size=3, strides=2, padding="same"),
    row("MaxPooling1D", (2, 8, 3), pool_size=4, strides=1, padding="same"),
    row("MaxPooling2D", (2, 7, 8, 3)),
    row("MaxPooling2D", (2, 7, 8, 3), pool_size=(2, 3), strides=(2, 1)),
    row("MaxPooling2D", (2, 7, 8, 3), pool_size=3, strides=2, padding="same"),
    row("MaxPooling2D", (2, 7, 7, 3), pool_size=2, padding="same"),
    row("MaxPooling2D", (2, 7, 8, 3), pool_size=(2, 4), strides=1, padding="same"),
    row("MaxPooling2D", (2, 7, 8, 3), pool_size=(2, 3), strides=(1, 3), padding="same"),
    row("MaxPooling2D", (2, 7, 8, 3), pool_size=1, strides=3, padding="same"),
    row("MaxPooling2D", (2, 3, 7, 8), pool_size=3, strides=2, padding="same", data_format="channels_first"),
    row("MaxPooling3D", (2, 5, 6, 4, 2)),
    row("MaxPooling3D", (2, 5, 6, 4, 2), pool_size=(2, 3, 1), strides=(2, 1, 1), padding="same"),
    row("AveragePooling1D", (2, 9, 3), pool_size=3),
    same_average("AveragePooling1D", (2, 9, 3), pool_size=3, strides=2),
    same_average("AveragePooling1D", (2, 8, 3), pool_size=4, strides=1),
    row("AveragePooling2D", (2, 7, 8, 3), pool_size=2),
    row("AveragePooling2D", (2, 7, 8, 3), pool_size=(3, 2), strides=(1, 2)),
    row("AveragePooling2D", (2, 3, 7, 8), pool_size=2, data_format="channels_first"),
    same_average("AveragePooling2D", (2, 7, 8, 3), pool_size=3, strides=2),
    same_average("AveragePooling2D", (2, 7, 7, 3), pool_size=2),
    same_average("AveragePooling2D", (2, 7, 8, 3), pool_size=(2, 3), strides=1),
    same_average("AveragePooling2D", (2, 7, 8, 3), pool_size=(4, 2), strides=(1, 3)),
    row("AveragePooling3D", (2, 5, 6, 4, 2), pool_size=2),
    same_average("AveragePooling3D", (2, 5, 6, 4, 2), pool_size=(2, 3, 2), strides=(2, 2, 1)),
    *(
        row(f"Adaptive{kind}Pooling{rank}D", (2, *(7, 6, 5)[:rank], 3), output_size=(3, 2, 4)[:rank])
        for kind in ("Average", "Max")
        for rank in (2, 3)
    ),
    row("AdaptiveAveragePooling1D", (2, 7, 3), output_size=3),
    row("AdaptiveMaxPooling1D", (2, 3, 7), output_size=4, data_format="channels_first"),
    row("AdaptiveAveragePooling2D", (2, 3, 5, 4), output_size=2, data_format="channels_first"),
    row("AdaptiveMaxPooling2D", (2, 3, 5, 4), output_size=(6, 1), data_format="channels_first"),
    row("GlobalMaxPooling1D", (2, 5, 3)),
    row("GlobalMaxPooling2D", (2, 5, 4, 3), keepdims=True),
    row("GlobalMaxPooling3D", (2, 5, 4, 2, 3)),
    row("GlobalAveragePooling1D", (2, 5, 3)),
    Case("GlobalAveragePooling1D", {}, (2, 5, 3), mask=(2, 5)),
    Case("GlobalAveragePooling1D", {"keepdims": True}, (2, 5, 3), mask=(2, 5)),
    row("GlobalAveragePooling2D", (2, 5, 4, 3)),
    row("GlobalAveragePooling2D", (2, 3, 5, 4), data_format="channels_first", keepdims=True),
    row("GlobalAveragePooling3D", (2, 5, 4, 2, 3)),
]

EINSUM = [
    row("EinsumDense", (3, 4), equation="ab,bc->ac", output_shape=5),
    row("EinsumDense", (3, 4), equation="ab,bc->ac", output_shape=5, bias_axes="c", activation="relu"),
    row("EinsumDense", (3, 4, 2), equation="abc,cd->abd", output_shape=(None, 5), bias_axes="d"),
    row("EinsumDense", (3, 4, 2), equation="abc,cd->abd", output_shape=(4, 5), bias_axes="bd"),
    row("EinsumDense", (3, 4, 2), equation="abc,cde->abde", output_shape=(None, 5, 6), bias_axes="de"),
    row("EinsumDense", (3, 4, 2), equation="abc,cde->abde", output_shape=(None, 5, 6), bias_axes="d"),
    row("EinsumDense", (3, 4, 2, 5), equation="abcd,cde->abe", output_shape=(None, 6), bias_axes="e"),
    row("EinsumDense", (3, 4, 2, 5), equation="abcd,dce->abe", output_shape=(None, 6), bias_axes="e"),
    row("EinsumDense", (3, 4, 2), equation="...x,xy->...y", output_shape=6, bias_axes="y"),
    row("EinsumDense", (3, 4, 2), equation="ab...,bc->ac...", output_shape=6, bias_axes="c"),
    row("EinsumDense", (3, 4, 2), equation="abc,bcd->abd", output_shape=(4, 5), bias_axes="d"),
    row("EinsumDense", (3, 4, 2), equation="abc,cd->ad", output_shape=5, bias_axes="d"),
]

ATTENTION = [
    row("Attention", [(2, 5, 4), (2, 3, 4)]),
    row("Attention", [(2, 5, 4), (2, 3, 6), (2, 3, 4)], use_scale=True),
    row("Attention", [(2, 5, 4), (2, 3, 4)], score_mode="concat"),
    row("Attention", [(2, 5, 4), (2, 3, 4)], score_mode="concat", use_scale=True),
    drops("Attention", [(2, 5, 4), (2, 3, 4)], dropout=0.5),
    row("AdditiveAttention", [(2, 5, 4), (2, 3, 4)]),
    row("AdditiveAttention", [(2, 5, 4), (2, 3, 6), (2, 3, 4)], use_scale=False),
]

RESHAPING = [
    row("Flatten", (2, 5, 4, 3)),
    row("Flatten", (2, 5)),
    row("Flatten", (2, 3, 5, 4), data_format="channels_first"),
    row("Reshape", (2, 5, 4), target_shape=(2, 10)),
    row("Reshape", (2, 5, 4), target_shape=(-1, 2)),
    row("Reshape", (2, 6), target_shape=(3, 2, 1)),
    row("Permute", (2, 5, 4), dims=(2, 1)),
    row("Permute", (2, 5, 4, 3), dims=(3, 1, 2)),
    row("RepeatVector", (2, 5), n=3),
    row("Cropping1D", (2, 6, 3), cropping=2),
    row("Cropping1D", (2, 6, 3), cropping=(1, 0)),
    row("Cropping2D", (2, 6, 5, 3), cropping=1),
    row("Cropping2D", (2, 6, 5, 3), cropping=((1, 2), (0, 1))),
    row("Cropping2D", (2, 3, 6, 5), cropping=(2, 1), data_format="channels_first"),
    row("Cropping3D", (2, 4, 5, 6, 2), cropping=((1, 0), (0, 2), (1, 1))),
    row("ZeroPadding1D", (2, 6, 3), padding=2),
    row("ZeroPadding1D", (2, 6, 3), padding=(1, 0)),
    row("ZeroPadding2D", (2, 6, 5, 3), padding=1),
    row("ZeroPadding2D", (2, 6, 5, 3), padding=((1, 2), (0, 1))),
    row("ZeroPadding2D", (2, 3, 6, 5), padding=(2, 1), data_format="channels_first"),
    row("ZeroPadding3D", (2, 4, 5, 6, 2), padding=((1, 0), (0, 2), (1, 1))),
    row("UpSampling1D", (2, 4, 3), size=3),
    row("UpSampling2D", (2, 4, 5, 3)),
    row("UpSampling2D", (2, 4, 5, 3), size=(3, 1)),
    row("UpSampling2D", (2, 4, 5, 3), size=(2, 3), interpolation="bilinear"),
    row("UpSampling2D", (2, 4, 5, 3), size=2, interpolation="bicubic"),
    row("UpSampling2D", (2, 3, 4, 5), size=(3, 2), interpolation="bicubic", data_format="channels_first"),
    row("UpSampling2D", (2, 3, 4, 5), data_format="channels_first"),
    row("UpSampling3D", (2, 2, 3, 2, 3), size=(2, 1, 3)),
]

MERGING = [
    *(
        row(kind, [(2, 4), (2, 4)])
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    ),
    row("Add", [(2, 3, 4), (2, 3, 4), (2, 3, 4)]),
    row("Add", [(2, 3, 4), (2, 4)]),
    row("Multiply", [(2, 5, 5, 4), (2, 1, 1, 4)]),
    row("Average", [(2, 3, 4), (2, 1, 4), (2, 3, 1)]),
    row("Maximum", [(2, 4)] * 3),
    row("Minimum", [(2, 4)] * 3),
    row("Concatenate", [(2, 4), (2, 3)]),
    row("Concatenate", [(2, 4, 2), (2, 3, 2), (2, 1, 2)], axis=1),
    row("Concatenate", [(2, 4, 2), (2, 3, 2)], axis=-2),
    row("Dot", [(2, 4), (2, 4)], axes=1),
    row("Dot", [(2, 4), (2, 4)], axes=1, normalize=True),
    row("Dot", [(2, 3, 4), (2, 4, 5)], axes=(2, 1)),
    row("Dot", [(2, 3, 4), (2, 5, 4)], axes=-1),
    row("Dot", [(2, 3, 4), (2, 5, 3)], axes=(1, 2), normalize=True),
    row("Dot", [(2, 4), (2, 3, 4)], axes=(1, 2)),
    row("Dot", [(2, 3, 4, 2), (2, 5, 4)], axes=(2, 2)),
]

NORMALIZATION = [
    row("BatchNormalization", (8, 4)),
    row("BatchNormalization", (4, 5, 3)),
    row("BatchNormalization", (3, 5, 4, 3)),
    row("BatchNormalization", (2, 3, 4, 2, 3), momentum=0.9),
    row("BatchNormalization", (3, 3, 5, 4), axis=1, epsilon=1e-2),
    row("BatchNormalization", (4, 5, 3), scale=False),
    row("BatchNormalization", (4, 5, 3), center=False),
    row("BatchNormalization", (4, 5), center=False, scale=False, momentum=0.5),
    row("BatchNormalization", (4, 3, 5, 2), axis=2),
    row("BatchNormalization", (1, 4)),
    Case("BatchNormalization", {}, (4, 5, 3), mask=(4, 5)),
    row("BatchNormalization", (4, 5, 3), trainable=False),
    Case("BatchNormalization", {"epsilon": 1e-5}, (64, 3), oracle=batch_normalized),
    row("LayerNormalization", (3, 6)),
    row("LayerNormalization", (3, 5, 4, 6)),
    row("LayerNormalization", (3, 5, 4, 6), axis=[2, 3]),
    row("LayerNormalization", (3, 5, 4, 6), axis=[1, 3], epsilon=1e-5),
    # Keras 3.15.1 fails on torch where the axis is not the last
    Case("LayerNormalization", {"axis": 1}, (3, 5, 4), oracle=layer_normalized),
    row("LayerNormalization", (3, 6), scale=False),
    row("GroupNormalization", (3, 8), groups=2),
    row("GroupNormalization", (3, 5, 4, 6), groups=3),
    row("GroupNormalization", (3, 5, 6), groups=-1, scale=False),
    row("GroupNormalization", (3, 6, 5, 4), groups=2, axis=1),
    row("GroupNormalization", (3, 5, 6), groups=1, center=False),
    row("UnitNormalization", (3, 4, 5)),
    row("UnitNormalization", (3, 4, 5), axis=[1, 2]),
    row("RMSNormalization", (3, 5, 6)),
    row("BatchNormalization", (4, 5, 3), synchronized=False, momentum=0.8),
    Case("RMSNormalization", {"axis": 1, "epsilon": 1e-3}, (3, 5, 6), oracle=rms_normalized),
]

REGULARIZATION = [
    drops("Dropout", (3, 4), rate=0.5),
    drops("Dropout", (3, 4), rate=0.5, seed=7),
    drops("Dropout", (3, 4, 2), rate=0.5, noise_shape=(None, 1, None)),
    row("Dropout", (3, 4), rate=0.0),
    drops("SpatialDropout1D", (3, 4, 2), rate=0.5),
    drops("SpatialDropout2D", (3, 4, 4, 2), rate=0.5, seed=1),
    drops("SpatialDropout3D", (3, 4, 4, 2, 2), rate=0.5),
    drops("GaussianNoise", (3, 4), stddev=0.5),
    drops("GaussianDropout", (3, 4), rate=0.5, seed=3),
    drops("AlphaDropout", (3, 4), rate=0.5),
    drops("AlphaDropout", (3, 4, 2), rate=0.5, noise_shape=(None, 1, None), seed=1),
    row("ActivityRegularization", (3, 4), l1=0.1, l2=0.2),
]

ACTIVATION = [
    row("ReLU", (3, 4)),
    row("ReLU", (3, 4), max_value=1.0, negative_slope=0.1, threshold=0.2),
    row("ReLU", (3, 4), negative_slope=0.1),
    row("LeakyReLU", (3, 4)),
    row("LeakyReLU", (3, 4), negative_slope=0.1),
    row("PReLU", (3, 4)),
    row("PReLU", (3, 5, 4, 2), shared_axes=[1, 2]),
    row("ELU", (3, 4)),
    row("ELU", (3, 4), alpha=0.5),
    row("Softmax", (3, 4)),
    row("Softmax", (3, 4, 5), axis=1),
    row("Softmax", (3, 4, 5), axis=(1, 2)),
    Case("Softmax", {}, (3, 4), mask=(3, 4)),
]


def counted(kind: str, inputs: Any, **arguments: Any) -> Case:
    return Case(kind, arguments, inputs, integers=6)


PREPROCESSING = [
    *(
        counted("CategoryEncoding", (3, 4), num_tokens=6, output_mode=mode)
        for mode in ("one_hot", "multi_hot", "count")
    ),
    counted("CategoryEncoding", (3, 1), num_tokens=6, output_mode="one_hot"),
    counted("CategoryEncoding", (3, 4, 2), num_tokens=6, output_mode="count"),
    row("Discretization", (3, 4), bin_boundaries=[-1.0, 0.0, 0.5]),
    *(
        row("Discretization", (3, 4), bin_boundaries=[-1.0, 0.5], output_mode=mode)
        for mode in ("one_hot", "multi_hot", "count")
    ),
    row("Normalization", (3, 4), mean=2.0, variance=4.0),
    row("Normalization", (3, 5, 4), mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.0]),
    row(
        "Normalization",
        (3, 5, 4),
        axis=(1, 2),
        mean=[1.0, 2.0, 3.0, 4.0],
        variance=[1.0, 4.0, 9.0, 1.0],
        invert=True,
    ),
    row("Normalization", (3, 4), axis=None, mean=2.0, variance=4.0),
    *(
        row("STFTSpectrogram", (2, 60, 2), mode=mode, frame_length=16, frame_step=5, fft_length=32)
        for mode in ("log", "magnitude", "psd", "real", "imag", "stft")
    ),
    row("STFTSpectrogram", (2, 60, 2), frame_length=16, padding="same", window="hamming", scaling="spectrum"),
    row("STFTSpectrogram", (2, 60, 2), frame_length=16, expand_dims=True, periodic=True, scaling=None),
    row("MelSpectrogram", (2, 900), fft_length=256, sequence_stride=100, num_mel_bins=20, power_to_db=False),
]

# the layers that the guide's models are made of
SPINE = {
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "Flatten", "Reshape", "Dropout", "BatchNormalization", "LayerNormalization", "Activation", "ReLU",
    "Softmax", "UpSampling2D", "ZeroPadding2D", "Embedding", "Add", "Subtract", "Multiply", "Average",
    "Maximum", "Minimum", "Concatenate", "Dot",
}  # fmt: skip

SIDES = (5, 4, 4)


def grid() -> Iterator[Case]:
    """Arguments crossed with each other, where rows by hand leave gaps: rank, padding, strides, formats, activations."""
    for rank in (1, 2, 3):
        shape = (2, *SIDES[:rank], 4)
        first = (2, 4, *SIDES[:rank])
        for padding in ("valid", "same"):
            for more in (
                {"strides": 2},
                {"dilation_rate": 2},
                {"groups": 2},
                {"use_bias": False, "kernel_size": 1},
            ):
                yield row(
                    f"Conv{rank}D", shape, **{"filters": 4, "kernel_size": 2, "padding": padding, **more}
                )
            yield row(
                f"Conv{rank}D", first, filters=2, kernel_size=3, padding=padding, data_format="channels_first"
            )
            for more in ({"strides": 2}, {"use_bias": False}, {"activation": "elu"}):
                yield row(
                    f"Conv{rank}DTranspose",
                    shape,
                    **{"filters": 3, "kernel_size": 2, "padding": padding, **more},
                )
        yield row(f"Conv{rank}DTranspose", first, filters=2, kernel_size=2, data_format="channels_first")
        for size in (2, 3):
            yield row(f"MaxPooling{rank}D", first, pool_size=size, data_format="channels_first")
            yield row(
                f"AveragePooling{rank}D", first, pool_size=size, strides=1, data_format="channels_first"
            )
        for kind in ("Max", "Average"):
            for keepdims in (False, True):
                yield row(f"Global{kind}Pooling{rank}D", shape, keepdims=keepdims)
                yield row(
                    f"Global{kind}Pooling{rank}D", first, keepdims=keepdims, data_format="channels_first"
                )
    for rank in (1, 2):
        shape, first = (2, *SIDES[:rank], 3), (2, 3, *SIDES[:rank])
        for padding in ("valid", "same"):
            for more in (
                {"depth_multiplier": 2},
                {"use_bias": False},
                {"activation": "tanh"},
                {"dilation_rate": 2},
            ):
                yield row(f"DepthwiseConv{rank}D", shape, **{"kernel_size": 2, "padding": padding, **more})
                yield row(
                    f"SeparableConv{rank}D",
                    shape,
                    **{"filters": 2, "kernel_size": 2, "padding": padding, **more},
                )
        yield row(f"DepthwiseConv{rank}D", first, kernel_size=3, data_format="channels_first")
        yield row(f"SeparableConv{rank}D", first, filters=4, kernel_size=3, data_format="channels_first")
    for name in ("relu6 leaky_relu softplus softsign hard_sigmoid hard_silu mish exponential log_softmax celu tanh_shrink "
                 "sigmoid tanh gelu").split():  # fmt: skip
        yield row("Activation", (3, 5), activation=name)
        yield row("Dense", (3, 5), units=4, activation=name)
    for name in ("zeros", "ones", "glorot_uniform", "orthogonal", "lecun_normal"):
        yield row("Dense", (3, 5), units=4, kernel_initializer=name)
    for rank in (1, 2, 3):
        shape = (2, *SIDES[:rank], 3)
        for sides in (1, 2):
            yield row(f"ZeroPadding{rank}D", shape, padding=sides)
            yield row(f"UpSampling{rank}D", shape, size=sides + 1)
        yield row(f"Cropping{rank}D", shape, cropping=1)
    for sizes in ((6, 2, 1, 3), (6, 4), (6, 3, 2)):
        yield row("Flatten", sizes)
        yield row("Permute", sizes, dims=tuple(range(len(sizes) - 1, 0, -1)))
        yield row("Reshape", sizes, target_shape=(-1, 2))
    for axis in (1, 2, -1):
        yield row("BatchNormalization", (3, 4, 5), axis=axis)
        yield row("Softmax", (3, 4, 6), axis=axis)
        yield row("UnitNormalization", (3, 4, 5), axis=axis)
        yield row("Concatenate", [(2, 3, 4), (2, 3, 4)], axis=axis)
    for groups in (1, 2, 4):
        yield row("GroupNormalization", (3, 5, 8), groups=groups, epsilon=1e-2)
        yield row("GroupNormalization", (3, 8, 5), groups=groups, axis=1, scale=False)
    for kind in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
        yield row(kind, [(2, 3, 4), (2, 3, 4), (2, 1, 4)])
        yield row(kind, [(3, 2, 2, 2)] * 4)
    for rate in (0.0, 0.25, 0.75):
        for kind in ("Dropout", "GaussianDropout", "AlphaDropout", "SpatialDropout1D"):
            yield drops(kind, (4, 6, 2), rate=rate, seed=2)


TABLE = [
    *CORE, *EINSUM, *ATTENTION, *CONVOLUTIONS, *POOLING, *RESHAPING, *MERGING, *NORMALIZATION, *REGULARIZATION, *ACTIVATION,
    *grid(),
    *PREPROCESSING,
]  # fmt: skip


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_layer_equals_its_keras_twin(case: Case) -> None:
    check_layer(case)


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len(TABLE) >= 450
    assert sum(case.kind in SPINE for case in TABLE) >= 120
    assert {case.kind for case in TABLE} >= SPINE
    assert len({str(case) for case in TABLE}) == len(TABLE)


def test_the_oracle_for_averages_agrees_with_torch_where_torch_can() -> None:
    class Sizes:
        pool_size, strides = (3, 3), (1, 1)

    x = torch.randn(2, 7, 8, 3, dtype=torch.float64)
    expected = F.avg_pool2d(x.movedim(-1, 1), 3, 1, 1, count_include_pad=False).movedim(1, -1)
    torch.testing.assert_close(average_same(Sizes, x), expected)
