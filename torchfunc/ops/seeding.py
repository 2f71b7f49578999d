"""Seeding: where random numbers begin, so that they can be drawn again."""

from __future__ import annotations

import random
from typing import Any

import torch

from torchfunc.errors import GraphError, explain


class SeedGenerator:
    """A source of seeds, a new one for each call; two of one seed give the same ones.

    Args:
        seed: an integer; drawn from Python's `random` if None, which `utils.set_random_seed` seeds.
        name: what it is called.

    Raises:
        GraphError: a seed that is no integer.

    Example:
        >>> seed = random.SeedGenerator(1)
        >>> one, other = random.uniform((2,), seed=seed), random.uniform((2,), seed=seed)
        >>> bool((one == other).all()), bool((one == random.uniform((2,), seed=random.SeedGenerator(1))).all())
        (False, True)
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if seed is not None and not isinstance(seed, int):
            raise GraphError(explain("seed", got=repr(seed), expected="an integer or None", fix="seed=1337"))
        self.seed = seed
        self.name = name or "seed_generator"
        self._state = [random.randint(1, 10**9) if seed is None else seed, 0]

    @property
    def state(self) -> torch.Tensor:
        """The seed, and how often it was used."""
        return torch.tensor(self._state)

    def next(self, ordered: bool = True) -> torch.Tensor:
        """The state, which is another one afterwards."""
        found = self.state
        self._state[1] += 1
        return found

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


def generator(seed: int | SeedGenerator | None, device: torch.device | None = None) -> torch.Generator | None:
    """A generator for one call; PyTorch's own (None) without a seed, and where no values are computed.

    Raises:
        GraphError: neither an integer nor a SeedGenerator.
    """
    where = torch.empty(0).device if device is None else device
    if seed is None or torch.empty(0).is_meta:
        return None
    if isinstance(seed, SeedGenerator):
        first, second = seed.next().tolist()
    elif isinstance(seed, int):
        first, second = seed, 0
    else:
        expected = "an integer, a SeedGenerator or None"
        raise GraphError(explain("seed", got=repr(seed), expected=expected, fix="random.SeedGenerator(1337)"))
    # both numbers are mixed, so that (1, 1) is not (2, 0)
    return torch.Generator(where).manual_seed(
        (first * 0x9E3779B97F4A7C15 + second * 0xBF58476D1CE4E5B9) % 2**63
    )
