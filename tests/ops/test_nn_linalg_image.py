"""Ops on networks, matrices, signals and images: each equals Keras's on tensors, arrays and symbols."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.ops.rows import call, check_symbols, check_values, each_call, f, i, kerases, p
from torchfunc import ops
from torchfunc.errors import TorchfuncError


def spd(*shape: int) -> Any:
    """Symmetric matrices that are well conditioned."""
    x = f(*shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1], dtype="float32") * 3


POINTWISE = (
    "relu relu6 sigmoid sparse_sigmoid softplus softsign sparse_plus silu swish log_sigmoid hard_sigmoid "
    "hard_silu hard_swish selu tanh_shrink hard_tanh squareplus soft_shrink hard_shrink leaky_relu elu celu gelu "
    "softmax log_softmax sparsemax erf erfc"
).split()
FIRST = "channels_first"
ROWS: dict[str, list[Any]] = {
    **{name: [call(f(3, 4)), call(f(2, 3, 4) * 3), call(f(6).astype("float64"))] for name in POINTWISE},
    "rsqrt": [call(p(3, 4)), call(p(2, 3, 4) * 2), call(p(6).astype("float64"))],
    "glu": [call(f(3, 4)), call(f(4, 3), axis=0), call(f(2, 6, 2), axis=1)],
    "threshold": [call(f(3, 4), 0.5, 9.0), call(f(6), 0.0, -1.0), call(f(2, 2), -0.5, 0.0)],
    "erfinv": [call(p(3, 4) * 0.9), call(-p(3) * 0.9), call(p(2, 2).astype("float64") * 0.9)],
    "max_pool": [
        call(f(2, 6, 5, 3), 2),
        call(f(2, 7, 5, 3), (3, 2), 2, "same"),
        call(f(2, 3, 8), 3, 2, "same", FIRST),
        call(f(1, 4, 5, 6, 2), 2, 1, "same"),
    ],
    "average_pool": [
        call(f(2, 6, 5, 3), 2),
        call(f(2, 7, 7, 3), 3, 1, "same"),
        call(f(2, 3, 8), 2, 2, "valid", FIRST),
        call(f(1, 4, 4, 6, 2), 2, 2, "same"),
    ],
    "adaptive_max_pool": [
        call(f(2, 6, 5, 3), 2),
        call(f(2, 7, 3), 4),
        call(f(2, 3, 5, 6, 4), (2, 3, 1), FIRST),
    ],
    "adaptive_average_pool": [
        call(f(2, 6, 5, 3), 2),
        call(f(2, 7, 3), 4),
        call(f(2, 3, 5, 6, 4), (2, 3, 1), FIRST),
    ],
    "conv": [
        call(f(2, 6, 5, 3), f(3, 3, 3, 4)),
        call(f(2, 7, 4), f(4, 2, 6), 2, "same"),
        call(f(2, 4, 6, 6), f(2, 2, 4, 3), 1, "same", FIRST, 2),
        call(f(1, 4, 4, 4, 2), f(2, 2, 2, 2, 3)),
    ],
    "depthwise_conv": [
        call(f(2, 6, 5, 3), f(3, 3, 3, 2)),
        call(f(2, 7, 4), f(4, 4, 1), 2, "same"),
        call(f(2, 4, 6, 6), f(2, 2, 4, 3), 1, "same", FIRST, 2),
    ],
    "separable_conv": [
        call(f(2, 6, 5, 3), f(3, 3, 3, 2), f(1, 1, 6, 4)),
        call(f(2, 7, 4), f(4, 4, 1), f(1, 4, 2), 2, "same"),
        call(f(2, 4, 6, 6), f(2, 2, 4, 3), f(1, 1, 12, 2), 1, "same", FIRST),
    ],
    "conv_transpose": [
        call(f(2, 4, 5, 3), f(3, 3, 2, 3), 2, "same"),
        call(f(2, 5, 3), f(2, 4, 3), 3),
        call(f(2, 3, 4, 4), f(4, 3, 2, 3), 2, "valid", None, FIRST),
        call(f(2, 5, 3), f(3, 4, 3), 2, "same", 1),
        call(f(2, 5, 3), f(3, 4, 3), 1, "same", None, None, 2),
    ],
    "unfold": [call(f(2, 3, 6, 5), 2), call(f(1, 2, 6, 6), (3, 2), 1, 1, 2), call(f(1, 2, 7, 7), 2, 2)],
    "fold": [
        call(f(2, 12, 20), (6, 5), 2),
        call(f(1, 8, 9), (6, 6), 2, 1, 0, 2),
        call(f(1, 8, 4), (4, 4), 2, stride=2),
    ],
    "depth_to_space": [call(f(2, 3, 2, 8), 2), call(f(2, 9, 2, 3), 3, FIRST), call(f(1, 1, 1, 16), 4)],
    "space_to_depth": [call(f(2, 4, 6, 3), 2), call(f(2, 2, 6, 3), 3, FIRST), call(f(1, 4, 4, 1), 4)],
    "one_hot": [
        call(i(4, 3), 4),
        call(i(4, 3, 2), 5, 1, "int32"),
        call(np.array([-1, 2, 0]), 3, 0),
        call(i(3, 2), 3, -1, "bool"),
    ],
    "multi_hot": [call(i(4, 3), 4), call(i(4, 3, 2), 5), call(i(4, 3, 2), num_classes=6, dtype="int32")],
    "binary_crossentropy": [
        call(p(3, 4), p(3, 4)),
        call(p(3, 4), f(3, 4), True),
        call(np.ones(3, "float32"), np.zeros(3, "float32")),
    ],
    "categorical_crossentropy": [
        call(p(3, 4), p(3, 4)),
        call(p(3, 4), f(3, 4), True),
        call(p(3, 4, 2), p(3, 4, 2), axis=1),
    ],
    "sparse_categorical_crossentropy": [
        call(i(4, 3), p(3, 4)),
        call(i(4, 3, 1), f(3, 4), True),
        call(i(4, 3, 2), p(3, 4, 2), axis=1),
        call(i(3, 2, 5), f(2, 5, 3), True),
    ],
    "moments": [
        call(f(3, 4), 0),
        call(f(2, 3, 4), (0, 1), True),
        call(f(5).astype("float16"), 0),
        call(f(3, 4), (0, 1)),
    ],
    "batch_normalization": [
        call(f(3, 4), f(4), p(4), -1),
        call(f(2, 3, 4), f(3), p(3), 1, f(3), f(3)),
        call(f(2, 3, 4), f(4), p(4), 2, None, f(4), 1e-5),
        call(f(2, 3), f(3), p(3), 1, f(3)),
    ],
    "layer_normalization": [
        call(f(3, 4)),
        call(f(2, 3, 4), f(4), f(4)),
        call(f(2, 3, 4), f(3, 4), None, (1, 2), 1e-3),
        call(f(2, 3, 4).astype("float16"), epsilon=1e-3),
    ],
    "rms_normalization": [
        call(f(3, 4)),
        call(f(2, 3, 4), f(4), epsilon=1e-3),
        call(f(2, 3, 4), f(3, 4), (1, 2)),
        call(f(2, 3, 4), None, (0, 2)),
    ],
    "normalize": [
        call(f(3, 4)),
        call(f(3, 4), 0, 1),
        call(f(2, 3, 4), -1, 3),
        call(np.zeros((2, 2), "float32")),
        call(f(3, 4), 0, 2, 0.5),
    ],
    "psnr": [
        call(p(3, 4), p(3, 4), 1.0),
        call(p(2, 3, 3) * 255, p(2, 3, 3) * 255, 255),
        call(p(5), p(5), 2.0),
    ],
    "polar": [call(p(3, 4), f(3, 4)), call(p(5), f(5)), call(p(2, 1, 2), f(2, 1, 2))],
    "ctc_loss": [
        call(i(3, 2, 3) + 1, f(2, 8, 4), np.array([3, 2], "int32"), np.array([8, 7], "int32")),
        call(i(3, 1, 2), f(1, 6, 4), np.array([2], "int32"), np.array([6], "int32"), 3),
        call(i(4, 3, 1) + 1, f(3, 3, 5), np.array([1, 1, 0], "int32"), np.array([3, 2, 1], "int32")),
    ],
    "ctc_decode": [
        call(f(2, 6, 4), np.array([6, 4], "int32")),
        call(f(2, 5, 3), np.array([5, 5], "int32"), merge_repeated=False, mask_index=2),
        call(f(2, 5, 3), np.array([5, 3], "int32"), "beam_search", 20, 3),
        call(f(1, 6, 4), np.array([6], "int32"), "beam_search", 50, 2, mask_index=3),
    ],
    "dot_product_attention": [
        call(f(2, 4, 2, 3), f(2, 5, 2, 3), f(2, 5, 2, 3)),
        call(f(2, 4, 2, 3), f(2, 4, 2, 3), f(2, 4, 2, 3), is_causal=True, scale=0.3),
        call(f(2, 4, 4, 3), f(2, 5, 2, 3), f(2, 5, 2, 3), mask=i(2, 2, 1, 4, 5).astype(bool)),
        call(f(2, 4, 2, 3), f(2, 5, 2, 3), f(2, 5, 2, 3), f(2, 2, 4, 5)),
        call(f(2, 4, 2, 3), f(2, 4, 2, 3), f(2, 4, 2, 3), mask=i(2, 2, 1, 4, 4).astype(bool), is_causal=True),
    ],
    **{
        name: [
            call(p(6, 2), np.array([0, 0, 1, 3, 1, 3], "int32"), 4),
            call(p(4), np.array([1, 0, 1, 0], "int32"), 2),
            call(p(3, 2, 2), np.array([1, -1, 7], "int32"), num_segments=3),
        ]
        for name in ("segment_sum", "segment_max", "segment_min", "segment_prod")
    },
    "top_k": [call(f(3, 5), 2), call(f(6), 6), call(f(2, 3, 4), k=1, sorted=True)],
    "in_top_k": [
        call(i(5, 3), f(3, 5), 2),
        call(i(4, 6), f(6, 4), k=1),
        call(np.array([1, 0]), np.ones((2, 3), "float32"), 1),
    ],
    "logsumexp": [call(f(3, 4)), call(f(3, 4) * 100, 1), call(f(2, 3, 4), (0, 2), True)],
    "cdist": [call(f(3, 4), f(5, 4)), call(f(2, 3, 4), f(2, 5, 4)), call(f(2, 3, 4), f(1, 30, 4))],
    "extract_sequences": [call(f(10), 4, 2), call(f(2, 9), 3, 3), call(f(2, 2, 7), 5, 1)],
    **{
        name: [call((f(4, 8), f(4, 8))), call((f(2, 5, 6), f(2, 5, 6))), call((f(3, 3), f(3, 3)))]
        for name in ("fft", "fft2", "ifft2")
    },
    "rfft": [call(f(4, 8)), call(f(3, 7), 10), call(f(2, 2, 9), fft_length=4)],
    "irfft": [call((f(4, 5), f(4, 5))), call((f(3, 4), f(3, 4)), 7), call((f(2, 6), f(2, 6)), fft_length=6)],
    "stft": [
        call(f(2, 40), 8, 4, 8),
        call(f(40), 6, 2, 10, "hamming"),
        call(f(2, 2, 40), 8, 3, 8, None, False),
        call(f(40), 4, 4, 8, p(4)),
    ],
    "istft": [
        call((f(2, 9, 5), f(2, 9, 5)), 8, 4, 8),
        call((f(9, 6), f(9, 6)), 6, 2, 10, 14, "hamming"),
        call((f(2, 2, 9, 5), f(2, 2, 9, 5)), 8, 3, 8, None, None),
        call((f(9, 5), f(9, 5)), 6, 3, 8, center=False),
    ],
    "logdet": [call(spd(3, 3)), call(spd(2, 4, 4)), call(spd(2, 2).astype("float64"))],
    "view_as_complex": [call(f(3, 2)), call(f(2, 3, 2)), call(f(4, 2).astype("float64"))],
    "view_as_real": [call(f(3) + 1j * f(3)), call(f(2, 3) * 1j), call((f(2) * 1j).astype("complex128"))],
    "cholesky": [call(spd(3, 3)), call(spd(2, 4, 4), True), call(spd(2, 2).astype("float64"))],
    "cholesky_inverse": [
        call(np.linalg.cholesky(spd(3, 3))),
        call(np.linalg.cholesky(spd(4, 4)).T.copy(), True),
        call(np.linalg.cholesky(spd(2, 2))),
    ],
    **{
        name: [call(spd(3, 3)), call(spd(2, 4, 4)), call(spd(2, 2).astype("float64"))]
        for name in ("det", "inv", "eigh", "lu_factor", "eig")
    },
    "norm": [
        call(f(3, 4)),
        call(f(3, 4), 1, 0),
        call(f(2, 3, 4), "fro", (1, 2), True),
        call(f(3, 4), "nuc"),
        call(f(4), np.inf),
        call(i(5, 3, 2)),
    ],
    "qr": [call(f(4, 3)), call(f(2, 4, 3), "complete"), call(f(3, 3))],
    "solve": [call(spd(3, 3), f(3, 2)), call(spd(2, 3, 3), f(2, 3, 1)), call(spd(3, 3), f(3))],
    "solve_triangular": [
        call(np.triu(spd(3, 3)), f(3, 2)),
        call(np.tril(spd(3, 3)), f(3), True),
        call(np.triu(spd(2, 3, 3)), f(2, 3)),
    ],
    "svd": [call(f(4, 3)), call(f(2, 3, 4), False), call(f(3, 3), compute_uv=False)],
    "lstsq": [call(f(5, 3), f(5)), call(f(5, 3), f(5, 2)), call(f(4, 4), f(4, 1), 1e-6)],
    "matrix_rank": [call(f(4, 3)), call(np.ones((2, 3, 3), "float32")), call(f(3, 3), 100.0)],
    "pinv": [call(f(4, 3)), call(f(2, 3, 4)), call(f(3, 3), 0.5)],
    "scatter": [
        call(np.array([[0], [2], [0]]), f(3), (4,)),
        call(np.array([[0, 1], [1, 1]]), f(2, 3), (2, 2, 3)),
        call(np.array([[1]]), f(1, 2), (3, 2)),
    ],
    "scatter_update": [
        call(f(4, 3), np.array([[0, 1], [2, 2]]), f(2)),
        call(f(4, 3), np.array([[0], [0]]), f(2, 3), "add"),
        call(f(4, 3), np.array([[0], [0]]), f(2, 3), "max"),
        call(f(4, 3), np.array([[1, 0], [-1, 0]]), f(2), "min"),
        call(f(4), np.array([[1], [1]]), f(2), reduction="mul"),
    ],
    "slice": [call(f(4, 5), (1, 2), (2, 3)), call(f(4, 5), np.array([0, 1]), (4, 2)), call(f(6), [2], [3])],
    "slice_update": [
        call(f(4, 5), (1, 2), f(2, 3)),
        call(f(4, 5), np.array([0, 1]), f(4, 2)),
        call(f(6), [2], f(3)),
    ],
    "unstack": [call(f(3, 4)), call(f(2, 3), axis=1), call(f(2, 2, 2), None, -1)],
    "rearrange": [
        call(f(2, 4, 6, 3), "b (h p) (w q) c -> b h w (c p q)", p=2, q=2),
        call(f(2, 3, 4), "b c h -> b h c"),
        call(f(2, 3, 4), "b c h -> b (c h)"),
    ],
    "cast": [call(f(3), "int32"), call(i(4, 3), "float16"), call(f(2, 2), dtype="bool")],
    "saturate_cast": [
        call(f(3) * 300, "uint8"),
        call(i(900, 3), "int8"),
        call(f(4) * 1e12, dtype="int32"),
        call(f(4) * 1e6, "float16"),
    ],
    "convert_to_tensor": [call(f(3)), call(i(4, 2), "float32"), call(f(2, 2).astype("float64"))],
    "stop_gradient": [call(f(3)), call(i(4, 2)), call(f(2, 2))],
    "image.rgb_to_grayscale": [
        call(p(2, 4, 5, 3)),
        call(i(255, 4, 5, 3)),
        call(p(2, 3, 4, 5), FIRST),
        call(p(4, 5, 1)),
    ],
    "image.rgb_to_hsv": [
        call(p(2, 4, 5, 3)),
        call(p(2, 3, 4, 5), FIRST),
        call(np.zeros((2, 2, 3), "float32")),
    ],
    "image.hsv_to_rgb": [call(p(2, 4, 5, 3)), call(p(2, 3, 4, 5), FIRST), call(p(4, 5, 3))],
    "image.resize": [
        call(f(2, 4, 6, 3), (8, 5)),
        call(i(255, 5, 5, 3).astype("uint8"), (3, 7), "bicubic"),
        call(f(2, 3, 6, 4), (3, 3), "nearest", data_format=FIRST),
        call(f(2, 8, 6, 3), (4, 4), antialias=True),
        call(f(2, 8, 6, 3), (4, 4), crop_to_aspect_ratio=True),
        call(f(2, 8, 6, 3), (4, 4), pad_to_aspect_ratio=True, fill_value=2.0),
    ],
    "image.affine_transform": [
        call(f(2, 5, 6, 3), np.array([[1, 0.1, 0.5, -0.2, 0.9, 1, 0, 0]] * 2, "float32")),
        call(f(5, 6, 3), np.array([1, 0, 2.3, 0, 1, -3.2, 0, 0], "float32"), "nearest", "wrap"),
        call(
            f(2, 3, 5, 6),
            np.array([[1, 0, 2.3, 0, 1, 3.2, 0, 0]] * 2, "float32"),
            "bilinear",
            "reflect",
            data_format=FIRST,
        ),
        call(f(5, 6, 3), np.array([1, 0, 7.3, 0, 1, -3.2, 0, 0], "float32"), "bilinear", "mirror"),
        call(f(5, 6, 3), np.array([1, 0, 2.3, 0, 1, -3.2, 0, 0], "float32"), fill_value=7.0),
    ],
    "image.perspective_transform": [
        call(
            f(5, 6, 3),
            np.array([[0, 0], [0, 5], [4, 0], [4, 5]], "float32"),
            np.array([[0, 1], [0, 5], [4, 1], [3, 5]], "float32"),
        ),
        call(
            f(2, 5, 6, 3),
            np.array([[[0, 0], [0, 5], [4, 0], [4, 5]]] * 2, "float32"),
            np.array([[[0, 1], [1, 5], [4, 1], [3, 5]]] * 2, "float32"),
            "nearest",
        ),
        call(
            f(1, 3, 5, 6),
            np.array([[[0, 0], [0, 5], [4, 0], [4, 5]]], "float32"),
            np.array([[[0, 1], [0, 4], [4, 1], [3, 5]]], "float32"),
            fill_value=3.0,
            data_format=FIRST,
        ),
    ],
    "image.map_coordinates": [
        call(f(5, 6), p(2, 3, 4) * 6 - 1, 1),
        call(f(5, 6), p(2, 7) * 20 - 8, 0, "wrap"),
        call(f(4, 3, 2), p(3, 5) * 9 - 4, 1, "mirror"),
        call(i(90, 5, 6), p(2, 4) * 12 - 4, 1, "reflect"),
        call(f(5), p(1, 4) * 9 - 2, 1, "nearest"),
        call(f(5), p(1, 4) * 9 - 2, 1, fill_value=4.0),
    ],
    "image.gaussian_blur": [
        call(f(2, 6, 7, 3), data_format="channels_last"),
        call(f(2, 3, 6, 7), (5, 5), (2.0, 0.7), FIRST),
        call(f(6, 7, 3), (3, 3), (1.0, 3.0), "channels_last"),
    ],
    "image.scale_and_translate": [
        call(
            f(2, 5, 6, 3),
            (2, 8, 9, 3),
            np.array([1.5, 2], "float32"),
            np.array([0.5, -1], "float32"),
            (1, 2),
            "linear",
        ),
        call(
            f(5, 6, 3),
            (3, 4, 3),
            np.array([0.5, 0.5], "float32"),
            np.array([0, 0], "float32"),
            (0, 1),
            "cubic",
        ),
        call(
            i(99, 5, 6, 3),
            (4, 9, 3),
            np.array([0.8, 1.5], "float32"),
            np.array([0, 0.3], "float32"),
            (0, 1),
            "lanczos3",
            False,
        ),
        call(f(9, 6, 3), (4, 6, 3), np.array([0.5], "float32"), np.array([0], "float32"), (0,), "lanczos5"),
    ],
    "image.sobel_edges": [
        call(f(2, 5, 6, 3), "channels_last"),
        call(f(2, 3, 5, 6), FIRST),
        call(f(1, 4, 4, 1), data_format="channels_last"),
    ],
    "image.ssim": [
        call(p(2, 12, 13, 3), p(2, 12, 13, 3)),
        call(p(12, 12, 1), p(12, 12, 1), 2.0, 5, 1.0),
        call(p(2, 3, 12, 12), p(2, 3, 12, 12), data_format=FIRST),
    ],
    "image.extract_patches": [
        call(f(2, 6, 6, 3), 2),
        call(f(7, 7, 2), (3, 2), 2, 1, "same"),
        call(f(2, 3, 7, 7), 2, 1, 2, data_format=FIRST),
        call(f(1, 4, 4, 4, 2), (2, 2, 2)),
    ],
    "image.extract_patches_3d": [
        call(f(1, 4, 4, 4, 2), 2),
        call(f(5, 5, 5, 1), (3, 2, 2), 2, 1, "same"),
        call(f(1, 2, 4, 4, 4), 2, 1, data_format=FIRST),
    ],
    "image.pad_images": [
        call(f(2, 4, 5, 3), 1, 2, 3, 4),
        call(f(4, 5, 3), 1, 1, target_height=8, target_width=9),
        call(
            f(2, 3, 4, 5),
            bottom_padding=1,
            right_padding=0,
            target_height=6,
            target_width=7,
            data_format=FIRST,
        ),
    ],
    "image.crop_images": [
        call(f(2, 6, 7, 3), 1, 2, 1, 1),
        call(f(6, 7, 3), 1, 1, target_height=3, target_width=4),
        call(
            f(2, 3, 6, 7),
            bottom_cropping=1,
            right_cropping=0,
            target_height=4,
            target_width=5,
            data_format=FIRST,
        ),
    ],
}

# what an op may return in several forms, which all say the same: the matrix that it makes
SIGNS = {"eig", "eigh", "qr", "svd"}


def _sparsemax(x: Any, axis: int = -1) -> Any:
    """The threshold by bisection in float64."""
    wide = x.astype("float64")
    low, high = wide.min(axis, keepdims=True) - 1, wide.max(axis, keepdims=True)
    for _ in range(80):
        middle = (low + high) / 2
        over = np.maximum(wide - middle, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.maximum(wide - high, 0).astype(x.dtype)


def _saturated(x: Any, dtype: str) -> Any:
    if dtype == "float16":
        return np.clip(x, -65504, 65504).astype(dtype)
    # the largest float32 below the end of int32
    ends = (-(2.0**31), 2.0**31 - 128) if dtype == "int32" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.clip(x.astype("float64"), *ends).astype(dtype)


# where Keras is wrong, and NumPy is right
TRUTHS: dict[str, Callable[..., Any]] = {
    "sparsemax": _sparsemax,  # it adds up the sums of all that are above the threshold, not the last one
    "view_as_complex": lambda x: x[..., 0] + 1j * x[..., 1],  # it returns complex64 for float64
    "saturate_cast": _saturated,  # a float32 above the range of int32 becomes its least number
}


WORDS = {"swish": "silu", "hard_swish": "hard_silu"}


def truth_of(name: str, args: Any, kwargs: Any) -> Any:
    return torch.from_numpy(TRUTHS[name](*args, **kwargs)) if name in TRUTHS else kerases(name, args, kwargs)


def test_every_op_has_three_calls() -> None:
    assert [name for name, rows in ROWS.items() if len(rows) < 3] == []


@each_call(ROWS)
def test_an_op_equals_kerass_on_tensors_and_on_arrays(name: str, args: Any, kwargs: Any) -> None:
    check_values(name, args, kwargs, truth_of, name in SIGNS)


@each_call(ROWS)
def test_an_op_on_symbols_makes_a_model_and_a_file_that_compute_the_same(
    name: str, args: Any, kwargs: Any, tmp_path: Path
) -> None:
    check_symbols(name, args, kwargs, tmp_path, WORDS.get(name, ""), name in SIGNS)


def test_mistakes_are_told_with_the_way_out() -> None:
    for mistake, words in (
        (lambda: ops.conv(f(1, 4, 3), f(2, 2, 4)), "a multiple of the kernel's 2"),
        (lambda: ops.inv(f(3, 4)), "square matrices"),
        (lambda: ops.fft((f(3), f(4))), "parts of one shape"),
        (lambda: ops.stft(f(40), 8, 4, 4), "Fix: fft_length=8"),
        (lambda: ops.scatter_update(f(3), [[0]], f(1), "mean"), "expected None, 'add'"),
        (lambda: ops.image.resize(f(4, 4, 3), (2, 2), "linear"), "interpolation"),
        (lambda: ops.image.pad_images(f(4, 4, 3), 1), "two of both sides and a target"),
        (lambda: ops.image.crop_images(f(4, 4, 3), 1, 1, 5, 1), "some of it left"),
        (lambda: ops.binary_crossentropy(f(3), f(4)), "target and output of one shape"),
        (lambda: ops.ctc_loss([[9]], f(1, 3, 4), [1], [3]), "a target is not in 0 .. 3"),
        (lambda: ops.ctc_loss([[1]], f(1, 3, 4), [2], [3]), "a target_length is not in 0 .. 1"),
        (lambda: ops.segment_sum(tf.Input((2,), batch_size=3), np.zeros(3, "int32")), "Fix: num_segments"),
    ):
        with pytest.raises(TorchfuncError, match=words):
            mistake()
