"""Initial weights: Keras's initializers over Keras's layouts, in which a kernel is (..., in, out)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchfunc import config, registry
from torchfunc.config import Configurable
from torchfunc.errors import ShapeError, TorchfuncError, explain, shorten

Device = torch.device | str | None
Shape = Sequence[int]

# The standard deviation of a standard normal that is cut off at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configurable):
    """Makes a new tensor of a shape.

    A subclass implements `sample`. With a `seed` every call gives the same values; without one the
    values come from `generator`, or from torch's global generator, and differ from call to call.

    Example:
        >>> class Checkered(Initializer):
        ...     def sample(self, shape, generator, options):
        ...         return torch.arange(shape[0] * shape[1], **options).reshape(shape) % 2
        >>> Checkered()((2, 3))
        tensor([[0., 1., 0.],
                [1., 0., 1.]])
        >>> layers.Dense(3, kernel_initializer=Checkered())(torch.ones(1, 2)).shape
        torch.Size([1, 3])
    """

    _registry = registry.initializers
    seed: int | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if is_shared(self):
            raise TorchfuncError(
                explain(
                    f"{type(self).__name__}.{name}",
                    got=f"{shorten(value)} to set",
                    expected="an initializer of your own",
                    why="all weights whose initializer was given by this name have this one",
                    fix=f"give the layer tf.initializers.{type(self).__name__}(...)",
                )
            )
        super().__setattr__(name, value)

    def __call__(
        self,
        shape: Shape,
        dtype: torch.dtype | None = None,
        device: Device = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The tensor.

        Args:
            shape: In Keras's layout: a kernel's last two axes are (in, out).
            dtype: torch's default floating dtype if None.
            device: torch's default device if None.
            generator: Where random numbers come from; its device must be the tensor's.
        """
        options = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        if self.seed is not None and generator is None:
            target = torch.get_default_device() if device is None else torch.device(device)
            generator = None if target.type == "meta" else torch.Generator(target).manual_seed(self.seed)
        if not torch.is_grad_enabled():
            return self.sample(tuple(shape), generator, options)
        torch.set_grad_enabled(
            False
        )  # as torch.no_grad() does, for every weight of every layer comes through here
        try:
            return self.sample(tuple(shape), generator, options)
        finally:
            torch.set_grad_enabled(True)

    def sample(
        self, shape: tuple[int, ...], generator: torch.Generator | None, options: dict[str, Any]
    ) -> Tensor:
        """The tensor, made with the `options` dtype and device.

        Args:
            shape: the shape of the weight.
            generator: what random numbers are drawn from; None is PyTorch's own.
            options: `dtype` and `device`, to be passed to PyTorch's function that makes the tensor.

        Returns:
            A tensor of this shape.

        Raises:
            NotImplementedError: a class that does not define it.

        Example:
            >>> tf.initializers.Ones().sample((2,), None, {"dtype": torch.float64, "device": "cpu"})
            tensor([1., 1.], dtype=torch.float64)
        """
        raise NotImplementedError(f"{type(self).__name__} must define sample(shape, generator, options).")


@registry.initializers.register("Zeros", "zeros", "zero")
class Zeros(Initializer):
    """All zeros.

    Example:
        >>> tf.initializers.Zeros()((2,))
        tensor([0., 0.])
    """

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return torch.zeros(shape, **options)


@registry.initializers.register("Ones", "ones", "one")
class Ones(Initializer):
    """All ones.

    Example:
        >>> tf.initializers.Ones()((2,))
        tensor([1., 1.])
    """

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return torch.ones(shape, **options)


@registry.initializers.register("Constant", "constant")
class Constant(Initializer):
    """One number everywhere, or an array that broadcasts to the shape.

    Args:
        value: the number or the array.

    Example:
        >>> tf.initializers.Constant([1.0, 2.0])((2, 2))
        tensor([[1., 2.],
                [1., 2.]])
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return torch.as_tensor(self.value, **options).broadcast_to(shape).clone()


@registry.initializers.register("Identity", "identity", "IdentityInitializer")
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, zeros elsewhere.

    Args:
        gain: the number on the diagonal.

    Example:
        >>> tf.initializers.Identity(2.0)((2, 3))
        tensor([[2., 0., 0.],
                [0., 2., 0.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        _check_rank("Identity", shape, len(shape) == 2, "a shape of 2 dimensions")
        return self.gain * torch.eye(*shape, **options)


@registry.initializers.register("RandomNormal", "random_normal", "normal")
class RandomNormal(Initializer):
    """A normal distribution.

    Args:
        mean: its mean.
        stddev: its standard deviation.
        seed: what the numbers are drawn by; None for numbers that differ from call to call.

    Example:
        >>> tf.initializers.RandomNormal(mean=1.0, stddev=0.1, seed=0)((3,))
        tensor([1.1541, 0.9707, 0.7821])
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, _check_seed(seed)

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return torch.empty(shape, **options).normal_(self.mean, self.stddev, generator=generator)


@registry.initializers.register("RandomUniform", "random_uniform", "uniform")
class RandomUniform(Initializer):
    """Uniform between `minval` and `maxval`.

    Args:
        minval: the least value, included.
        maxval: the bound above, excluded.
        seed: what the numbers are drawn by; None for numbers that differ from call to call.

    Example:
        >>> tf.initializers.RandomUniform(0.0, 1.0, seed=0)((3,))
        tensor([0.4963, 0.7682, 0.0885])
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, _check_seed(seed)

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return torch.empty(shape, **options).uniform_(self.minval, self.maxval, generator=generator)


@registry.initializers.register("TruncatedNormal", "truncated_normal")
class TruncatedNormal(Initializer):
    """A normal distribution without what lies more than two standard deviations from its mean.

    Args:
        mean: the mean.
        stddev: the standard deviation of the normal distribution; what is left has 0.88 times as much.
        seed: what the numbers are drawn by; None for numbers that differ from call to call.

    Example:
        >>> tf.initializers.TruncatedNormal(stddev=1.0, seed=0)((10_000,)).abs().max() <= 2
        tensor(True)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, _check_seed(seed)

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        return _truncated_normal(shape, self.stddev, generator, options).add_(self.mean)


@registry.initializers.register("VarianceScaling", "variance_scaling")
class VarianceScaling(Initializer):
    """A distribution whose variance is `scale` over the number of inputs, outputs, or their mean.

    Source: He et al. 2015, Glorot and Bengio 2010.

    Args:
        scale: what the number of inputs or outputs is divided into: 2 for a relu after it, 1 for a linear layer.
        mode: "fan_in" divides by the inputs, "fan_out" by the outputs, "fan_avg" by their mean.
        distribution: "truncated_normal" (also "normal") leaves out what lies beyond two standard deviations and makes
            up for it; "untruncated_normal" does not; "uniform" is between plus and minus `sqrt(3)` times the deviation.
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes: the axes of a weight that an output sums over; by default all but the last.
        output_axes: the axes that number the outputs; both or neither are given.

    Raises:
        TorchfuncError: `scale` not positive, or a mode or distribution that does not exist.

    Example:
        >>> init = tf.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal", seed=0)
        >>> init((100, 200)).std()  # sqrt(2 / 200) is 0.1
        tensor(0.1005)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
        distribution: Literal[
            "truncated_normal", "untruncated_normal", "uniform", "normal"
        ] = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0.0:
            raise TorchfuncError(explain("VarianceScaling", got=f"scale={scale}", expected="scale above 0"))
        _check_choice("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        _check_choice(
            "distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform", "normal")
        )
        self.scale, self.mode, self.seed = scale, mode, _check_seed(seed)
        self.distribution = "truncated_normal" if distribution == "normal" else distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "truncated_normal":
            return _truncated_normal(shape, stddev / TRUNCATED_STDDEV, generator, options)
        if self.distribution == "untruncated_normal":
            return torch.empty(shape, **options).normal_(0.0, stddev, generator=generator)
        limit = math.sqrt(3.0) * stddev
        return torch.empty(shape, **options).uniform_(-limit, limit, generator=generator)


class _Scaled(VarianceScaling):
    """A VarianceScaling whose first three arguments are fixed by its name."""

    fixed: tuple[float, Any, Any]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.fixed, seed, input_axes, output_axes)


@registry.initializers.register("GlorotUniform", "glorot_uniform")
class GlorotUniform(_Scaled):
    """Uniform within `sqrt(6 / (fan_in + fan_out))`, also called Xavier uniform.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.GlorotUniform(seed=0)((300, 100)).max()  # sqrt(6 / 400) is 0.1225
        tensor(0.1225)
    """

    fixed = (1.0, "fan_avg", "uniform")


@registry.initializers.register("GlorotNormal", "glorot_normal")
class GlorotNormal(_Scaled):
    """Truncated normal of standard deviation `sqrt(2 / (fan_in + fan_out))`.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.GlorotNormal(seed=0)((300, 100)).std()  # sqrt(2 / 400) is 0.0707
        tensor(0.0705)
    """

    fixed = (1.0, "fan_avg", "truncated_normal")


@registry.initializers.register("HeUniform", "he_uniform")
class HeUniform(_Scaled):
    """Uniform within `sqrt(6 / fan_in)`.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.HeUniform(seed=0)((200, 100)).max()  # sqrt(6 / 200) is 0.1732
        tensor(0.1732)
    """

    fixed = (2.0, "fan_in", "uniform")


@registry.initializers.register("HeNormal", "he_normal")
class HeNormal(_Scaled):
    """Truncated normal of standard deviation `sqrt(2 / fan_in)`.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.HeNormal(seed=0)((200, 100)).std()  # sqrt(2 / 200) is 0.1
        tensor(0.1000)
    """

    fixed = (2.0, "fan_in", "truncated_normal")


@registry.initializers.register("LecunUniform", "lecun_uniform")
class LecunUniform(_Scaled):
    """Uniform within `sqrt(3 / fan_in)`.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.LecunUniform(seed=0)((300, 100)).max()  # sqrt(3 / 300) is 0.1
        tensor(0.1000)
    """

    fixed = (1.0, "fan_in", "uniform")


@registry.initializers.register("LecunNormal", "lecun_normal")
class LecunNormal(_Scaled):
    """Truncated normal of standard deviation `sqrt(1 / fan_in)`.

    Args:
        seed: what the numbers are drawn by; None for numbers that differ from call to call.
        input_axes, output_axes: as for VarianceScaling.

    Example:
        >>> tf.initializers.LecunNormal(seed=0)((100, 200)).std()  # sqrt(1 / 100) is 0.1
        tensor(0.1000)
    """

    fixed = (1.0, "fan_in", "truncated_normal")


@registry.initializers.register("Orthogonal", "orthogonal", "OrthogonalInitializer")
class Orthogonal(Initializer):
    """`gain` times a random matrix whose rows or columns are orthonormal; all axes but the last are rows.

    Source: Saxe et al. 2014.

    Args:
        gain: the length of a row or column.
        seed: what the numbers are drawn by; None for numbers that differ from call to call.

    Example:
        >>> kernel = tf.initializers.Orthogonal(seed=0)((3, 2))
        >>> torch.allclose(kernel.T @ kernel, torch.eye(2), atol=1e-6)
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, _check_seed(seed)

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        _check_rank("Orthogonal", shape, len(shape) >= 2, "a shape of at least 2 dimensions")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        long, short = max(rows, columns), min(rows, columns)
        # No QR decomposition exists in half precision.
        dtype = torch.promote_types(options["dtype"], torch.float32)
        normal = torch.empty(long, short, dtype=dtype, device=options["device"]).normal_(generator=generator)
        q, r = torch.linalg.qr(normal)
        # With R's diagonal made positive, Q is uniform over the orthogonal matrices.
        q *= torch.where(r.diagonal() < 0, -1.0, 1.0).to(dtype)
        weight: Tensor = self.gain * (q.T if rows < columns else q).reshape(shape)
        return weight.to(options["dtype"])


@registry.initializers.register("STFT", "stft", "STFTInitializer")
class STFT(Initializer):
    """The real or the imaginary part of the kernel of a short-time Fourier transform: (frame, 1, fft // 2 + 1).

    Args:
        side: "real" or "imag".
        window: "hann" or "hamming", or the numbers of a window as long as a frame; None for no window.
        scaling: "density" divides by the root of the window's sum of squares, "spectrum" by its sum; None by nothing.
        periodic: Whether a window by name is periodic and not symmetric.

    Raises:
        TorchfuncError: a side, window or scaling that does not exist.
        ShapeError: a shape that is no such kernel's, or a window of another length.

    Example:
        >>> tf.initializers.STFT("real", window=None, scaling=None)((4, 1, 2))[:, 0]  # cos(pi * t * k)
        tensor([[ 1.,  1.],
                [ 1., -1.],
                [ 1.,  1.],
                [ 1., -1.]])
    """

    def __init__(
        self,
        side: Literal["real", "imag"],
        window: Any = "hann",
        scaling: Literal["density", "spectrum"] | None = "density",
        periodic: bool = False,
    ) -> None:
        known: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "side": (side, ("real", "imag")),
            "scaling": (scaling, (None, "density", "spectrum")),
        }
        if window is None or isinstance(window, str):
            known["window"] = (window, (None, "hann", "hamming"))
        for name, (value, choices) in known.items():
            if value not in choices:
                expected = "one of " + ", ".join(map(repr, choices))
                raise TorchfuncError(explain("STFT", got=f"{name}={shorten(value)}", expected=expected))
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        fits = len(shape) == 3 and shape[1] == 1 and shape[2] > 1
        _check_rank("STFT", shape, fits, "a shape (frame length, 1, frequencies)")
        frame, _, frequencies = shape
        device = options["device"]
        times = torch.arange(frame, dtype=torch.float64, device=device).view(-1, 1, 1)
        turns = times * torch.arange(frequencies, device=device) / (2 * (frequencies - 1))
        angles = -2 * math.pi * turns
        kernel = angles.cos() if self.side == "real" else angles.sin()
        if self.window is not None:
            window = self._window(frame, device)
            divisor: Any = {None: 1, "density": window.square().sum().sqrt(), "spectrum": window.abs().sum()}
            kernel = kernel * window.view(-1, 1, 1) / divisor[self.scaling]
        return kernel.to(options["dtype"])

    def _window(self, frame: int, device: Device) -> Tensor:
        if isinstance(self.window, str):
            make = {"hann": torch.hann_window, "hamming": torch.hamming_window}[self.window]
            return make(frame, periodic=self.periodic, dtype=torch.float64, device=device)
        window = torch.as_tensor(self.window, dtype=torch.float64, device=device)
        _check_rank(
            "STFT's window", tuple(window.shape), tuple(window.shape) == (frame,), f"shape ({frame},)"
        )
        return window


# Keras has each class under these names too
STFTInitializer = stft = STFT
IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
zeros, ones, constant = Zeros, Ones, Constant
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal


class FunctionInitializer(Initializer):
    """An initializer made of a function `(shape, dtype) -> Tensor`.

    Args:
        function: what is called with the shape and `dtype=`, and gives a tensor or an array.

    Example:
        >>> tf.initializers.FunctionInitializer(torch.ones)((2,))
        tensor([1., 1.])
    """

    _wraps = "function"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def sample(self, shape: tuple[int, ...], generator: Any, options: dict[str, Any]) -> Tensor:
        made: Tensor = torch.as_tensor(self.function(shape, dtype=options["dtype"]), **options)
        return made


def fans(
    shape: Shape, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """How many inputs each output of a weight sums over, and the reverse.

    The last two axes are (in, out), those before them the receptive field, unless the axes are given.

    Args:
        shape: the shape of a weight.
        input_axes: the axes that an output sums over, if `output_axes` are given too.
        output_axes: the axes that number the outputs.

    Returns:
        Two numbers: the inputs and the outputs.

    Example:
        >>> tf.initializers.compute_fans((3, 3, 16, 32))  # 3 * 3 * 16, 3 * 3 * 32
        (144, 288)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


compute_fans = fans  # Keras's name


def _truncated_normal(
    shape: tuple[int, ...], stddev: float, generator: torch.Generator | None, options: dict[str, Any]
) -> Tensor:
    """Normal numbers within two standard deviations, by the inverse of the distribution function."""
    # In half precision the ends of the interval round to where the inverse is infinite.
    dtype = torch.promote_types(options["dtype"], torch.float32)
    within = math.erf(2.0 / math.sqrt(2.0))
    values = torch.empty(shape, dtype=dtype, device=options["device"])
    values.uniform_(-within, within, generator=generator).erfinv_().mul_(math.sqrt(2.0)).clamp_(-2.0, 2.0)
    return values.mul_(stddev).to(options["dtype"])


def _check_seed(seed: Any) -> int | None:
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise TorchfuncError(explain("seed", got=f"{seed!r}", expected="an integer or None"))
    return seed


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TorchfuncError(
            explain("VarianceScaling", got=f"{name}={value!r}", expected="one of " + ", ".join(choices))
        )


def _check_rank(name: str, shape: tuple[int, ...], fits: bool, expected: str) -> None:
    if not fits:
        raise ShapeError(explain(name, got=f"shape {shape}", expected=expected))


def get(identifier: Any) -> Initializer | None:
    """The initializer for a name, a config, a class, an object or a function `(shape, dtype)`.

    Args:
        identifier: such as "he_normal", `{"class_name": ..., "config": {...}}`, `Orthogonal` or `torch.ones`.

    Returns:
        An object that makes a tensor of a shape and a dtype; None for None.

    Raises:
        UnknownNameError: a name that is no initializer, with the nearest one that is.

    Example:
        >>> tf.initializers.get("ones")((2,))
        tensor([1., 1.])
        >>> tf.initializers.get(torch.zeros)((2,))
        tensor([0., 0.])
    """
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if type(identifier) is str and identifier in _named:
        return _named[identifier]
    found = config.find(identifier, registry.initializers)
    if not isinstance(found, Initializer):
        return FunctionInitializer(found)
    if (
        type(identifier) is str
        and type(found).__module__ == __name__
        and registry.initializers.holds(identifier)
    ):
        _shared[id(found)] = _named[identifier] = found
    return found


def serialize(initializer: Any) -> Any:
    """An initializer as plain data: `{"class_name": ..., "config": {...}}`, or a function's name.

    Args:
        initializer: what `get` gives.

    Returns:
        A dict or a string.

    Raises:
        SavingError: a function without a name.

    Example:
        >>> tf.initializers.serialize(tf.initializers.Constant(0.5))
        {'class_name': 'Constant', 'config': {'value': 0.5}}
    """
    return config.serialize(initializer, registry.initializers)


def deserialize(config: str | Mapping[str, Any]) -> Initializer | None:
    """What `serialize` wrote.

    Args:
        config: a name, or `{"class_name": ..., "config": {...}}`.

    Returns:
        The initializer.

    Example:
        >>> tf.initializers.deserialize({"class_name": "Constant", "config": {"value": 0.5}})((2,))
        tensor([0.5000, 0.5000])
    """
    return get(config)


def is_shared(initializer: Any) -> bool:
    """Whether it was made for a name, and stands for that name wherever it is given."""
    return id(initializer) in _shared


# one for each name that needs no arguments: a thousand layers have the same two
_shared: dict[int, Initializer] = {}
_named: dict[str, Initializer] = {}
