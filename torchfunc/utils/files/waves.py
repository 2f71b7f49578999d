"""Waves: sound from WAV files as tensors, at the rate that is asked for."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc.errors import DataError, explain, shorten

_ZEROS = 6  # of the sinc on each side, within the window
_ROLLOFF = 0.99  # how much of the frequencies below half of the lower rate is kept


def read_wave(path: str | Path, rate: int | None = None, length: int | None = None) -> Tensor:
    """Sound as float32 from -1 to 1, (samples, channels).

    Args:
        path: A WAV file of whole numbers of 8, 16, 24 or 32 bits.
        rate: Samples in a second; those of the file if None.
        length: How many samples, cut or filled up with zeros at the end; as many as there are if None.

    Raises:
        DataError: no such file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, own = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        got, fix = shorten(str(error)), "convert it, with ffmpeg -i in.wav -c:a pcm_s16le out.wav"
        raise DataError(explain(f"'{path}'", got=got, expected="a WAV file of PCM", fix=fix)) from error
    whole = len(data) // (channels * width) * channels * width
    sound = torch.from_numpy(_numbers(np.frombuffer(data[:whole], np.uint8), width)).reshape(-1, channels)
    sound = sound if rate is None else resampled(sound, own, rate)
    return sound if length is None else F.pad(sound[:length], (0, 0, 0, max(length - len(sound), 0)))


def _numbers(data: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.float32]:
    """Little-endian whole numbers of one to four bytes as floats from -1 to 1; those of one byte have no sign."""
    if width == 1:
        return ((data - 128.0) / 128).astype(np.float32)
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = data.reshape(-1, width)
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def resampled(sound: Tensor, old: int, new: int) -> Tensor:
    """Sound (samples, channels) at another rate, by a sinc in a window of Hann, as torchaudio's `resample` has it."""
    if old == new:
        return sound
    cut = min(1.0, new / old) * _ROLLOFF
    width = math.ceil(_ZEROS / cut)
    place = torch.arange(math.ceil(len(sound) * new / old), dtype=torch.float64) * old / new
    before = place.floor()
    padded = F.pad(sound.double(), (0, 0, width, width + 1))
    total = torch.zeros(len(place), sound.shape[1], dtype=torch.float64)
    for tap in range(-width, width + 2):
        distance = (place - before - tap) * cut
        window = torch.cos(distance.clamp(-_ZEROS, _ZEROS) * math.pi / _ZEROS / 2) ** 2
        index = (before.long() + tap + width).clamp(max=len(padded) - 1)
        total += padded[index] * (torch.sinc(distance) * window * cut).unsqueeze(1)
    return total.to(sound.dtype)
