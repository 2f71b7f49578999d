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
    """Numbers of a normal distribution."""
    return torch.randn(_sizes(shape), dtype=to_dtype(dtype), generator=generator(seed)) * stddev + mean


@op
def uniform(
    shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers from `minval` to below `maxval`, all as likely."""
    drawn = torch.rand(_sizes(shape), dtype=to_dtype(dtype), generator=generator(seed))
    return drawn * (maxval - minval) + minval


@op
def randint(shape: Shape, minval: int, maxval: int, dtype: DType = "int32", seed: Seed = None) -> Tensor:
    """Integers from `minval` to below `maxval`, all as likely."""
    kind = to_dtype(dtype)
    drawn = torch.randint(minval, maxval, _sizes(shape), generator=generator(seed))
    return drawn.to(kind)


@op
def truncated_normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Numbers of a normal distribution, none further than two deviations from the mean (by the inverse of erf)."""
    kind = to_dtype(dtype)
    drawn = torch.rand(
        _sizes(shape), dtype=torch.promote_types(kind, torch.float32), generator=generator(seed)
    )
    edge = 0.9544997361036416  # erf(2 / sqrt(2))
    standard = torch.erfinv((drawn * 2 - 1) * edge) * 2**0.5
    return (standard.clamp(-2, 2) * stddev + mean).to(kind)


@op
def categorical(logits: Array, num_samples: int, dtype: DType = "int32", seed: Seed = None) -> Tensor:
    """Classes by their logits: (batch, classes) to (batch, num_samples)."""
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
    """The parts of a tensor along an axis in another order."""
    x = to_tensor(x)
    order = torch.rand(x.shape[axis], device=x.device, generator=_for(x, seed)).argsort()
    return x.index_select(axis, order)


def _gamma(concentration: Tensor, seed: Seed) -> Tensor:
    return torch._standard_gamma(concentration, _for(concentration, seed))


@op
def gamma(shape: Shape, alpha: Array, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers of a gamma distribution of shape `alpha` and rate 1."""
    kind = to_dtype(dtype)
    return _gamma(to_tensor(alpha, torch.float32).expand(_sizes(shape)).contiguous(), seed).to(kind)


@op
def beta(shape: Shape, alpha: Array, beta: Array, dtype: DType = None, seed: Seed = None) -> Tensor:
    """Numbers of a beta distribution: x / (x + y) of two of gamma distributions."""
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
    """
    sizes = _sizes(shape)
    count, chance = (
        to_tensor(each, torch.float32).expand(sizes).contiguous() for each in (counts, probabilities)
    )
    valid = (chance >= 0) & (chance <= 1) & (count >= 0)
    drawn = torch.binomial(count.where(valid, 0.0), chance.where(valid, 0.0), _for(chance, seed))
    return drawn.where(valid, torch.nan).to(to_dtype(dtype))
