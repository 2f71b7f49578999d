"""Random numbers by distribution, drawn again with the same seed."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, DType, Shape, to_dtype, to_tensor
from torchfunc.ops.op import op
from torchfunc.ops.seeding import SeedGenerator, generator

Seed = int | SeedGenerator | None


def _sizes(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


@op
def normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers of a normal distribution.

    Args:
        shape: the shape, or its only length.
        mean: the mean.
        stddev: the standard deviation.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor.

    Example:
        >>> random.normal((3,), mean=10.0, stddev=0.1, seed=1)
        tensor([ 9.9188,  9.9931, 10.0021])
    """
    return torch.randn(_sizes(shape), dtype=to_dtype(dtype), generator=generator(seed)) * stddev + mean


@op
def uniform(
    shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers from `minval` to below `maxval`, all as likely.

    Args:
        shape: the shape, or its only length.
        minval: the least.
        maxval: what all lie below.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor.

    Example:
        >>> random.uniform((3,), minval=-1.0, maxval=1.0, seed=1)
        tensor([ 0.3784, -0.1214,  0.0707])
    """
    drawn = torch.rand(_sizes(shape), dtype=to_dtype(dtype), generator=generator(seed))
    return drawn * (maxval - minval) + minval


@op
def randint(shape: Shape, minval: int, maxval: int, dtype: DType = "int32", seed: Seed = None) -> Tensor:
    """Integers from `minval` to below `maxval`, all as likely.

    Args:
        shape: the shape, or its only length.
        minval: the least.
        maxval: what all lie below.
        dtype: of the numbers, by its name.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor.

    Example:
        >>> random.randint((5,), 0, 10, seed=1)
        tensor([4, 8, 3, 4, 2], dtype=torch.int32)
    """
    kind = to_dtype(dtype)
    drawn = torch.randint(minval, maxval, _sizes(shape), generator=generator(seed))
    return drawn.to(kind)


@op
def truncated_normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers of a normal distribution, none further than two deviations from the mean (by the inverse of erf).

    Args:
        shape: the shape, or its only length.
        mean: the mean.
        stddev: the standard deviation of the distribution before it is cut: what is left has 0.88 times as
            much.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor.

    Example:
        >>> bool(random.truncated_normal((1000,), seed=1).abs().max() <= 2)
        True
    """
    kind = to_dtype(dtype)
    drawn = torch.rand(
        _sizes(shape), dtype=torch.promote_types(kind, torch.float32), generator=generator(seed)
    )
    edge = 0.9544997361036416  # erf(2 / sqrt(2))
    standard = torch.erfinv((drawn * 2 - 1) * edge) * 2**0.5
    return (standard.clamp(-2, 2) * stddev + mean).to(kind)


@op
def categorical(logits: Array, num_samples: int, dtype: DType = "int32", seed: Seed = None) -> Tensor:
    """Classes by their logits: (batch, classes) to (batch, num_samples).

    Args:
        logits: (batch, classes).
        num_samples: how many classes are drawn in each row, with replacement.
        dtype: of the classes, by its name.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor (batch, num_samples).

    Example:
        >>> random.categorical([[0.0, 100.0, 0.0]], num_samples=4, seed=1)
        tensor([[1, 1, 1, 1]], dtype=torch.int32)
    """
    chances = to_tensor(logits).softmax(-1)
    return torch.multinomial(chances, num_samples, replacement=True, generator=_for(chances, seed)).to(
        to_dtype(dtype)
    )


def _for(x: Tensor, seed: Seed) -> torch.Generator | None:
    return generator(seed, x.device)


@op
def dropout(inputs: Array, rate: float, noise_shape: Shape | None = None, seed: Seed = None) -> Tensor:
    """Zero for a share of the numbers, and the others scaled so that the mean stays.

    `noise_shape` is the shape of the choice, which is broadcast; None in it is the size of `inputs` there.

    Args:
        inputs: the values: a tensor, an array, a list, a number or a symbol.
        rate: the share that becomes 0, from 0 to 1.
        noise_shape: the shape of the choice; that of `inputs` if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor like `inputs`, the rest of it divided by `1 - rate`.

    Example:
        >>> random.dropout(torch.ones(8), rate=0.5, seed=1)
        tensor([2., 0., 2., 2., 2., 0., 0., 2.])
    """
    x = to_tensor(inputs)
    if rate >= 1.0:
        return torch.zeros_like(x)
    if rate <= 0.0:
        return x
    given = x.shape if noise_shape is None else _sizes(noise_shape)
    sizes = [own if size is None else size for own, size in zip(x.shape, given, strict=True)]
    kept = torch.rand(sizes, device=x.device, generator=_for(x, seed)) >= rate
    return torch.where(kept, x / (1.0 - rate), 0.0)


@op
def shuffle(x: Array, axis: int = 0, seed: Seed = None) -> Tensor:
    """The parts of a tensor along an axis in another order.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis whose parts change places.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor of the shape and dtype of `x`.

    Example:
        >>> random.shuffle([[1, 2], [3, 4], [5, 6]], seed=1)
        tensor([[3, 4],
                [5, 6],
                [1, 2]], dtype=torch.int32)
    """
    x = to_tensor(x)
    order = torch.rand(x.shape[axis], device=x.device, generator=_for(x, seed)).argsort()
    return x.index_select(axis, order)


def _gamma(concentration: Tensor, seed: Seed) -> Tensor:
    return torch._standard_gamma(concentration, _for(concentration, seed))


@op
def gamma(shape: Shape, alpha: Array, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers of a gamma distribution of shape `alpha` and rate 1.

    Args:
        shape: the shape, or its only length.
        alpha: the shape of the distribution, above 0: numbers that broadcast to `shape`.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor, whose mean is `alpha`.

    Example:
        >>> bool((random.gamma((20000,), alpha=3.0, seed=1).mean() - 3).abs() < 0.05)
        True
    """
    kind = to_dtype(dtype)
    return _gamma(to_tensor(alpha, torch.float32).expand(_sizes(shape)).contiguous(), seed).to(kind)


@op
def beta(shape: Shape, alpha: Array, beta: Array, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers of a beta distribution: x / (x + y) of two of gamma distributions.

    Args:
        shape: the shape, or its only length.
        alpha: the first parameter, above 0: numbers that broadcast to `shape`.
        beta: the second, likewise.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor of numbers between 0 and 1, whose mean is `alpha / (alpha + beta)`.

    Example:
        >>> bool((random.beta((20000,), alpha=1.0, beta=3.0, seed=1).mean() - 0.25).abs() < 0.01)
        True
    """
    sizes = _sizes(shape)
    both = torch.stack([to_tensor(each, torch.float32).expand(sizes) for each in (alpha, beta)])
    drawn = _gamma(both.double(), seed)
    return (drawn[0] / drawn.sum(0)).to(to_dtype(dtype))


@op
def binomial(
    shape: Shape, counts: Array, probabilities: Array, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """How many of `counts` tries succeed.

    A probability that is no number, or lies outside 0 to 1, is NaN.

    Args:
        shape: the shape, or its only length.
        counts: how many tries: numbers that broadcast to `shape`.
        probabilities: of success in each, from 0 to 1, likewise.
        dtype: of the numbers, by its name; the usual floating dtype if None.
        seed: an integer, which gives the same numbers at every call; a `SeedGenerator`, which gives others at
            each; None for PyTorch's own state.

    Returns:
        A tensor of whole numbers in a floating dtype.

    Example:
        >>> random.binomial((3,), counts=10, probabilities=[0.0, 1.0, 2.0], seed=1)
        tensor([ 0., 10., nan])
    """
    sizes = _sizes(shape)
    count, chance = (
        to_tensor(each, torch.float32).expand(sizes).contiguous() for each in (counts, probabilities)
    )
    valid = (chance >= 0) & (chance <= 1) & (count >= 0)
    drawn = torch.binomial(count.where(valid, 0.0), chance.where(valid, 0.0), _for(chance, seed))
    return drawn.where(valid, torch.nan).to(to_dtype(dtype))
