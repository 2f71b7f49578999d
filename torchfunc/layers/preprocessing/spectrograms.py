"""Spectrograms: sound as how strong each frequency is at each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Unpack

from torchfunc import initializers, registry
from torchfunc.errors import DTypeError, GraphError, explain
from torchfunc.layers.arguments import choice, count, image_data_format, one_shape
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.windows import windows
from torchfunc.settings import epsilon

_STFT_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class _OfSound(Layer):
    """A layer that cuts time into frames, far fewer of them than there are samples."""

    _is_time_known: bool = True

    def _frames(self, time: int, window: int, step: int, padding: str) -> int:
        """How many frames there are; where the time is not known, a number that differs as the times do that are tried."""
        return windows(time, window, step, padding) if self._is_time_known else time


@registry.layers.register()
class STFTSpectrogram(_OfSound):
    """The short-time Fourier transform of each channel, as a convolution with weights that may be trained.

    Shapes: (batch, time, channels) to (batch, frames, channels * frequencies), where there are
    `fft_length // 2 + 1` frequencies, twice that for "stft"; with "channels_first" (batch, channels, time) to
    (batch, channels * frequencies, frames). With `expand_dims` the two are dimensions of their own:
    (batch, frames, frequencies, channels), or (batch, channels, frames, frequencies).

    Args:
        mode: "log", "magnitude", "psd" (power, twice that of all but the lowest and highest frequency), "real",
            "imag", "angle", or "stft", the real parts and then the imaginary ones.
        frame_length: how many samples a frame has.
        frame_step: how far one begins from the next; half of the length if None.
        fft_length: how many samples are transformed, at least as many; the next power of two if None.
        window: "hann" or "hamming", or the numbers of one as long as a frame; None for no window.
        periodic: whether a window by name is periodic and not symmetric.
        scaling: "density", "spectrum" or None; see `initializers.STFT`.
        padding: "valid", or "same" with zeros at both ends.
        expand_dims: see above.
        data_format: "channels_last" or "channels_first"; the global setting if None.
        trainable: whether the weights are trained; if not, the transform stays what it is.
        name, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an argument of another kind or size.
        ShapeError: an input of other than three dimensions.
        DTypeError: an input of whole numbers.

    Example:
        >>> layers.STFTSpectrogram(frame_length=64, frame_step=32)(torch.randn(2, 320, 1)).shape
        torch.Size([2, 9, 33])
        >>> layers.STFTSpectrogram("stft", frame_length=64, expand_dims=True)(torch.randn(2, 320, 1)).shape
        torch.Size([2, 9, 66, 1])
    """

    _autocast = False

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.mode = choice("STFTSpectrogram", "mode", mode, _STFT_MODES)
        self.frame_length = count("STFTSpectrogram", "frame_length", frame_length)
        self.frame_step = None if frame_step is None else count("STFTSpectrogram", "frame_step", frame_step)
        self.fft_length = None if fft_length is None else count("STFTSpectrogram", "fft_length", fft_length)
        _at_most("STFTSpectrogram", "frame_step", self.frame_step, "frame_length", self.frame_length)
        _at_most("STFTSpectrogram", "frame_length", self.frame_length, "fft_length", self.fft_length)
        self.window, self.periodic, self.scaling = window, periodic, scaling
        self._initializers = {
            side: initializers.STFT(side, window, scaling, periodic)  # type: ignore[arg-type]
            for side in ("real", "imag")
        }
        self.padding = choice("STFTSpectrogram", "padding", padding, ("valid", "same"))
        self.expand_dims = expand_dims
        chosen = image_data_format() if data_format is None else data_format
        self.data_format = choice(
            "STFTSpectrogram", "data_format", chosen, ("channels_last", "channels_first")
        )

    @property
    def _step(self) -> int:
        return self.frame_step or max(self.frame_length // 2, 1)

    @property
    def _frequencies(self) -> int:
        return (self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))) // 2 + 1

    def build(self, input_shape: Any) -> None:
        shape = (self.frame_length, 1, self._frequencies)
        # in Keras's order, as PyTorch's convolution has them: (frequencies, 1, frame)
        if self.mode != "imag":
            self.real_kernel = self.add_weight(shape, self._initializers["real"], layout=(2, 1, 0))
        if self.mode != "real":
            self.imag_kernel = self.add_weight(shape, self._initializers["imag"], layout=(2, 1, 0))

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0])
        if len(shape) != 3:
            raise self.wrong(shape, "3 dimensions (batch, time, channels)", fix="give Input two, or Reshape")
        time = shape[1] if self.data_format == "channels_last" else shape[2]
        self._is_time_known = time is not None
        if time is not None and time < self.frame_length and self.padding == "valid":
            why = f"a frame is longer than the sound, whose time is {time}"
            raise self.wrong(shape, f"a time of at least {self.frame_length}", why=why, fix="padding='same'")

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        last = self.data_format == "channels_last"
        batch, time, channels = shape if last else (shape[0], shape[2], shape[1])
        frames = self._frames(time, self.frame_length, self._step, self.padding)
        frequencies = self._frequencies * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return (batch, frames, frequencies, channels) if last else (batch, channels, frames, frequencies)
        return (batch, frames, channels * frequencies) if last else (batch, channels * frequencies, frames)

    def forward(self, inputs: Tensor) -> Tensor:
        if not inputs.is_floating_point():
            got, fix = str(inputs.dtype), "x.float()"
            raise DTypeError(
                explain(f"STFTSpectrogram {self.name!r}", got=got, expected="a floating dtype", fix=fix)
            )
        sound = inputs.transpose(1, 2) if self.data_format == "channels_last" else inputs
        real = None if self.mode == "imag" else self._transformed(sound, self.real_kernel)
        imag = None if self.mode == "real" else self._transformed(sound, self.imag_kernel)
        return self._laid_out(self._combined(real, imag))

    def _transformed(self, sound: Tensor, kernel: Tensor) -> Tensor:
        """(batch, channels, time) as (batch, channels, frequencies, frames)."""
        batch, channels, time = sound.shape
        flat = sound.reshape(batch * channels, 1, time)
        if self.padding == "same":
            missing = max((-(-time // self._step) - 1) * self._step + self.frame_length - time, 0)
            flat = F.pad(flat, (missing // 2, missing - missing // 2))
        frames = F.conv1d(flat, kernel.to(flat.dtype), stride=self._step)
        return frames.reshape(batch, channels, *frames.shape[1:])

    def _combined(self, real: Any, imag: Any) -> Tensor:
        """What the mode makes of the two parts."""
        if real is None or imag is None:
            return imag if real is None else real  # type: ignore[no-any-return]
        if self.mode == "angle":
            return torch.atan2(imag, real)
        if self.mode == "stft":
            return torch.cat([real, imag], 2)
        power: Tensor = real.square() + imag.square()
        if self.mode == "psd":
            return power + F.pad(power[:, :, 1:-1], (0, 0, 1, 1))
        magnitude = power.clamp(min=epsilon()).sqrt()
        return magnitude if self.mode == "magnitude" else magnitude.clamp(min=epsilon()).log()

    def _laid_out(self, found: Tensor) -> Tensor:
        """(batch, channels, frequencies, frames) in the order of the data format."""
        if self.data_format == "channels_last":
            return found.permute(0, 3, 2, 1) if self.expand_dims else found.flatten(1, 2).transpose(1, 2)
        return found.transpose(2, 3) if self.expand_dims else found.flatten(1, 2)


def _at_most(owner: str, name: str, value: int | None, other: str, bound: int | None) -> None:
    if value is not None and bound is not None and value > bound:
        got, fix = f"{name}={value} with {other}={bound}", f"{name}={bound}"
        raise GraphError(explain(owner, got=got, expected=f"{name} of at most {other}", fix=fix))


@registry.layers.register()
class MelSpectrogram(_OfSound):
    """Sound as how strong each band of the mel scale is at each time, in decibel.

    Shapes: (samples,) or (batch, samples) to (..., num_mel_bins, frames). The bands are those of HTK: triangles
    with a peak of 1, evenly spaced in mel(f) = 1127 ln(1 + f / 700).

    Args:
        fft_length: how many samples are transformed at a time.
        sequence_stride: how far one frame begins from the next.
        sequence_length: how many samples a frame has, at most `fft_length`, and as many if None.
        window: "hann" or "hamming", which are periodic, or the numbers of one as long as a frame; None for no window.
        sampling_rate: samples per second.
        num_mel_bins: how many bands there are.
        min_freq, max_freq: where they begin and end, in hertz; half of the sampling rate if None.
        power_to_db: whether the output is in decibel.
        top_db: how far below the loudest of all the output is cut, in decibel.
        mag_exp: the power to which magnitudes are raised.
        min_power: what smaller powers are raised to.
        ref_power: the power that is 0 decibel.
        name, trainable, dtype, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an argument of another kind or size.

    Example:
        >>> layer = layers.MelSpectrogram(fft_length=256, sequence_stride=128, num_mel_bins=20)
        >>> layer(torch.randn(2, 1600)).shape  # 0.1 s at 16 kHz
        torch.Size([2, 20, 13])
    """

    _integers = "cast"

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.fft_length = count("MelSpectrogram", "fft_length", fft_length)
        self.sequence_stride = count("MelSpectrogram", "sequence_stride", sequence_stride)
        self.sequence_length = count("MelSpectrogram", "sequence_length", sequence_length or fft_length)
        _at_most("MelSpectrogram", "sequence_length", self.sequence_length, "fft_length", self.fft_length)
        self.window = window
        self.sampling_rate = count("MelSpectrogram", "sampling_rate", sampling_rate)
        self.num_mel_bins = count("MelSpectrogram", "num_mel_bins", num_mel_bins)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        _check_window(window, self.sequence_length)
        self._tables: tuple[Tensor, Tensor] | None = None

    def _window_and_bands(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The window, and how much each frequency counts in each band, (bands, frequencies); made by the first call.

        Making the layer makes neither, for a file may say any size.
        """
        kept = self._tables
        if kept is None or kept[0].device != like.device or kept[0].dtype != like.dtype:
            window = _window_of(self.window, self.sequence_length, like.device)
            kept = (window.to(like.dtype), self._triangles(like.device).to(like.dtype))
            if not like.is_meta:
                self._tables = kept
        return kept

    def _triangles(self, device: torch.device) -> Tensor:
        wide: Any = {"dtype": torch.float64, "device": device}
        mels = _mel(torch.linspace(0, self.sampling_rate / 2, self.fft_length // 2 + 1, **wide)[1:])
        low, high = (1127 * math.log(1 + each / 700) for each in (self.min_freq, self.max_freq))
        edges = torch.linspace(low, high, self.num_mel_bins + 2, **wide).unsqueeze(1)
        rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
        # the lowest frequency, of which HTK makes no use, counts nowhere
        return F.pad(torch.minimum(rising, falling).clamp(min=0), (1, 0))

    def check_input(self, *shapes: Any) -> None:
        shape = one_shape(self, shapes[0], 1, "(..., samples)")
        self._is_time_known = shape[-1] is not None
        if shape[-1] is not None and shape[-1] <= self.fft_length // 2:
            why = f"half of fft_length={self.fft_length} is mirrored at both ends"
            fix = f"fft_length={max(shape[-1], 1)}, or longer sound"
            raise self.wrong(shape, f"more than {self.fft_length // 2} samples", why=why, fix=fix)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        padded = shape[-1] + self.fft_length // 2 * 2
        return (
            *shape[:-1],
            self.num_mel_bins,
            self._frames(padded, self.fft_length, self.sequence_stride, "valid"),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        sound = self._as_floats(inputs)
        kind = sound.dtype
        sound = sound if kind is torch.float64 else sound.float()  # PyTorch transforms no halves
        window, bands = self._window_and_bands(sound)
        if not sound.numel() and sound.shape[-1]:  # PyTorch mirrors no empty batch
            return inputs.new_empty(self.output_shape_for(tuple(sound.shape)), dtype=kind)
        spectrum = torch.stft(
            sound.reshape(-1, sound.shape[-1]),
            self.fft_length,
            self.sequence_stride,
            self.sequence_length,
            window,
            return_complex=True,
        )
        magnitude = spectrum.reshape(*sound.shape[:-1], *spectrum.shape[-2:]).abs()
        mels = bands @ magnitude.pow(self.mag_exp)
        return (self._in_decibel(mels) if self.power_to_db else mels).to(kind)

    def _in_decibel(self, power: Tensor) -> Tensor:
        reference = max(abs(self.ref_power), self.min_power)
        found = 10 * (power.clamp(min=self.min_power).log10() - math.log10(reference))
        return torch.maximum(found, found.max() - self.top_db)


def _mel(hertz: Tensor) -> Tensor:
    return 1127 * (1 + hertz / 700).log()


def _check_window(window: Any, length: int) -> None:
    if isinstance(window, str):
        choice("MelSpectrogram", "window", window, ("hann", "hamming"))
    elif window is not None and np.shape(window) != (length,):
        got, expected = f"a window of shape {np.shape(window)}", f"shape ({length},)"
        raise GraphError(explain("MelSpectrogram", got=got, expected=expected))


def _window_of(window: Any, length: int, device: torch.device) -> Tensor:
    options: Any = {"dtype": torch.float64, "device": device}
    if window is None:
        return torch.ones(length, **options)
    if isinstance(window, str):
        make = {"hann": torch.hann_window, "hamming": torch.hamming_window}[window.lower()]
        return make(length, **options)
    return torch.as_tensor(window, **options)
