"""Spectrograms equal Keras's, in decibel too, and know what they know of time."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from tests.layers.check import close
from torchfunc.errors import DTypeError, GraphError, ShapeError
from torchfunc.layers import Dense, MelSpectrogram, STFTSpectrogram

SOUND = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {
            "sequence_length": 400,
            "fft_length": 512,
            "sequence_stride": 160,
            "window": "hamming",
            "num_mel_bins": 40,
        },
        {"window": None, "max_freq": 4000.0, "sampling_rate": 8000},
        {"ref_power": 2.0, "top_db": 20.0, "mag_exp": 1.0},
    ],
)
def test_bands_in_decibel_are_those_of_keras(arguments: dict[str, Any]) -> None:
    ours, theirs = MelSpectrogram(**arguments)(SOUND), keras.layers.MelSpectrogram(**arguments)(SOUND)
    close(ours, theirs, "a batch")
    close(
        MelSpectrogram(**arguments)(SOUND[0]), keras.layers.MelSpectrogram(**arguments)(SOUND[0]), "one alone"
    )


def test_powers_with_a_window_of_ones_own_are_those_worked_out_by_hand() -> None:
    window = np.linspace(1, 0.5, 256)
    padded = np.pad(SOUND[0].double().numpy(), 128, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 256)[::100] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = 1127 * np.log(1 + np.linspace(0, 8000, 129) / 700)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), mels[-1], 22)
    bands = [np.interp(mels, edges[band : band + 3], [0, 1, 0]) for band in range(20)]
    layer = MelSpectrogram(256, 100, window=window.tolist(), num_mel_bins=20, power_to_db=False)
    close(layer(SOUND[0]), np.stack(bands) @ power.T, "powers")


def test_a_tone_is_loudest_in_the_band_that_holds_it() -> None:
    tone = torch.sin(2 * np.pi * 1000 * torch.arange(8000) / 16000)
    loudest = MelSpectrogram(num_mel_bins=40)(tone).mean(1).argmax().item()
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 42)
    mel = 1127 * np.log(1 + 1000 / 700)
    assert edges[int(loudest)] < mel < edges[int(loudest) + 2]


def test_angles_are_those_of_the_transform() -> None:
    window = torch.hann_window(32, periodic=False, dtype=torch.float64)
    frames = SOUND[:, :96].double().unfold(1, 32, 16) * window
    expected = torch.fft.rfft(frames, 32)
    layer = STFTSpectrogram("angle", 32, 16, dtype="float64")
    found = layer(SOUND[:, :96, None].double())
    strong = expected.abs() > 1e-6
    torch.testing.assert_close(
        torch.exp(1j * found)[strong], (expected / expected.abs())[strong], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("expand_dims", [False, True])
@pytest.mark.parametrize("mode", ["log", "stft"])
def test_frames_frequencies_and_channels_lie_as_in_keras(
    mode: str, expand_dims: bool, data_format: str
) -> None:
    arguments: dict[str, Any] = {
        "mode": mode,
        "expand_dims": expand_dims,
        "data_format": data_format,
        "frame_length": 20,
    }
    x = SOUND[:, :300].reshape(2, 100, 3)
    x = x if data_format == "channels_last" else x.transpose(1, 2).contiguous()
    ours, theirs = STFTSpectrogram(**arguments), keras.layers.STFTSpectrogram(**arguments)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-4)
    symbol = STFTSpectrogram(**arguments)(tf.Input(x.shape[1:]))
    assert symbol.shape == (None, *theirs(x).shape[1:])


def test_a_time_that_is_not_known_stays_unknown_however_long_the_frames() -> None:
    assert STFTSpectrogram(frame_length=1024)(tf.Input((None, 2))).shape == (None, None, 1026)
    assert STFTSpectrogram(frame_length=1024, padding="same")(tf.Input((None, 2))).shape == (None, None, 1026)
    assert MelSpectrogram()(tf.Input((None,))).shape == (None, 128, None)
    inputs = tf.Input((None,))
    model = tf.Model(inputs, MelSpectrogram()(inputs))
    assert model(SOUND).shape == (2, 128, 32) and model(SOUND[:, :9000]).shape == (2, 128, 18)


def test_the_transform_is_trained_unless_it_is_frozen() -> None:
    inputs = tf.Input((64, 1))
    model = tf.Sequential([inputs, STFTSpectrogram(frame_length=16), Dense(1)])
    before = model.layers[0].real_kernel.detach().clone()
    model.compile("sgd", "mse")
    model.fit(SOUND[:, :64, None], np.zeros((2, 7, 1)), verbose=0)
    assert not torch.equal(model.layers[0].real_kernel, before)
    assert STFTSpectrogram(trainable=False)(torch.ones(1, 256, 1)).requires_grad is False


def test_halves_are_transformed_as_singles_and_come_out_as_halves() -> None:
    found = MelSpectrogram(dtype="float16")(SOUND)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), MelSpectrogram()(SOUND), rtol=0, atol=0.5)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: STFTSpectrogram("loud"), GraphError, "got mode='loud'"),
        (
            lambda: STFTSpectrogram(frame_length=8, frame_step=9),
            GraphError,
            "got frame_step=9 with frame_length=8",
        ),
        (
            lambda: STFTSpectrogram(frame_length=8, fft_length=4),
            GraphError,
            "got frame_length=8 with fft_length=4",
        ),
        (
            lambda: STFTSpectrogram()(torch.ones(2, 300)),
            ShapeError,
            r"expected 3 dimensions \(batch, time, channels\)",
        ),
        (
            lambda: STFTSpectrogram()(torch.ones(2, 99, 1)),
            ShapeError,
            "at least 256, got shape .* Fix: padding='same'",
        ),
        (
            lambda: STFTSpectrogram()(torch.ones(1, 300, 1).long()),
            DTypeError,
            "expected a floating dtype, got torch.int64",
        ),
        (
            lambda: MelSpectrogram(sequence_length=9, fft_length=8),
            GraphError,
            "got sequence_length=9 with fft_length=8",
        ),
        (lambda: MelSpectrogram(window="kaiser"), GraphError, "got window='kaiser'"),
        (
            lambda: MelSpectrogram(window=[1.0]),
            GraphError,
            r"expected shape \(2048,\), got a window of shape \(1,\)",
        ),
        (
            lambda: MelSpectrogram()(tf.Input((900,))),
            ShapeError,
            "expected more than 1024 samples, got shape",
        ),
    ],
)
def test_what_is_no_sound_is_told(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
