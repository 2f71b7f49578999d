"""Sound from WAV files is what the file says, at the rate that is asked for."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from torchfunc.errors import DataError
from torchfunc.utils.files.waves import read_wave, resampled


def write(path: Path, width: int, data: bytes, *, channels: int = 1, rate: int = 8000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_whole_numbers_of_each_width_are_floats_from_minus_one_to_one(tmp_path: Path, width: int) -> None:
    bits = 8 * width
    numbers = [-(2 ** (bits - 1)), -1, 0, 1, 2 ** (bits - 2), 2 ** (bits - 1) - 1]
    written = [
        (n + 128).to_bytes(1, "little") if width == 1 else n.to_bytes(width, "little", signed=True)
        for n in numbers
    ]
    found = read_wave(write(tmp_path / "a.wav", width, b"".join(written)))
    assert found.dtype is torch.float32 and found.shape == (6, 1)
    np.testing.assert_allclose(found[:, 0], np.array(numbers) / 2.0 ** (bits - 1), rtol=1e-7)


def test_channels_are_the_last_axis_and_the_length_is_that_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 2, np.arange(8, dtype="<i2").tobytes(), channels=2)
    expected = np.arange(8).reshape(4, 2) / 32768
    np.testing.assert_array_equal(read_wave(path), expected)
    np.testing.assert_array_equal(read_wave(path, length=3), expected[:3])
    np.testing.assert_array_equal(read_wave(path, length=6), np.pad(expected, ((0, 2), (0, 0))))


@pytest.mark.parametrize(
    ("old", "new"), [(44100, 16000), (8000, 16000), (16000, 22050), (8000, 8000), (48000, 11111)]
)
def test_sound_at_another_rate_is_the_same_sound(old: int, new: int) -> None:
    """A sum of tones that both rates can hold, and what scipy makes of it, by another window."""
    seconds, tones = 0.5, (220.0, 1000.0, 2500.0)

    def at(rate: int) -> np.ndarray:
        time = np.arange(int(seconds * rate)) / rate
        return sum(np.sin(2 * np.pi * tone * time) for tone in tones)[:, None]

    found = resampled(torch.from_numpy(at(old)), old, new)
    expected, middle = at(new), slice(new // 20, -new // 20)
    assert len(found) in (len(expected), len(expected) + 1)
    np.testing.assert_allclose(found[: len(expected)][middle], expected[middle], atol=2e-2)
    if old * new < 10**9:
        theirs = scipy.signal.resample_poly(at(old), new, old, axis=0, window=("kaiser", 10.0))
        np.testing.assert_allclose(found[: len(expected)][middle], theirs[: len(expected)][middle], atol=2e-2)


def test_a_tone_that_the_new_rate_cannot_hold_is_taken_out() -> None:
    time = torch.arange(44100, dtype=torch.float64) / 44100
    found = resampled(torch.sin(2 * torch.pi * 15000 * time).unsqueeze(1), 44100, 16000)
    assert found[1000:-1000].abs().max() < 0.02


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"none at all", "expected a WAV file of PCM, got 'file does not start with RIFF id'"),
        (b"RIFF\x04\x00\x00\x00WAVE", "expected a WAV file of PCM"),
        (b"", "expected a WAV file of PCM"),
    ],
)
def test_what_is_no_sound_is_told(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_wave(tmp_path / "a.wav")
    assert words in str(
        caught.value
    ) and "Fix: convert it, with ffmpeg -i in.wav -c:a pcm_s16le out.wav" in str(caught.value)


def test_floats_are_told_what_to_be_converted_to(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 4, bytes(16))
    path.write_bytes(path.read_bytes().replace(b"\x10\x00\x00\x00\x01\x00", b"\x10\x00\x00\x00\x03\x00"))
    with pytest.raises(DataError, match="got 'unknown format: 3'"):
        read_wave(path)
