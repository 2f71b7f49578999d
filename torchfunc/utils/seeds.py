"""Seeds: one for every source of random numbers, so that a program can be repeated."""

from __future__ import annotations

import random

import numpy as np
import torch


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (on every device), so that a program can be repeated.

    Args:
        seed: an integer from 0 to `2**32 - 1`.

    Example:
        >>> utils.set_random_seed(1)
        >>> before = torch.rand(3)
        >>> utils.set_random_seed(1)
        >>> torch.equal(torch.rand(3), before)
        True
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
