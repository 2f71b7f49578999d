"""Heap: memory that a step frees stays with the process, instead of being taken from the system again page by page."""

from __future__ import annotations

import functools

import torch

LARGEST = 2**25 - 2**16  # by a block of this size glibc learns most of what it ever learns


@functools.cache
def keep_freed_memory() -> None:
    """Once in a process, have glibc keep what is freed.

    It takes large blocks from the system and gives them back, and the free top of its heap too. What is large goes by the
    largest such block that it has seen freed, here one that nobody has written to. Other allocators have no such rule.
    """
    torch.empty(LARGEST, dtype=torch.uint8)
