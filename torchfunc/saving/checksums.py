"""Checksums: the CRC-32 of a tensor, and of one that was summed in pieces."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

_POLYNOMIAL, _ONE = 0xEDB88320, 1 << 31  # of CRC-32, in which the highest bit stands for x**0


def checksum(name: str, tensor: Tensor) -> int:
    """CRC-32 of a contiguous CPU tensor: its name, dtype and shape, then its bytes."""
    return zlib.crc32(as_bytes(tensor), beginning(name, tensor.dtype, tensor.shape))


def beginning(name: str, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """The checksum of a tensor before its first byte."""
    return zlib.crc32(f"{name}\0{dtype}\0{list(shape)}".encode())


def as_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor, which are not copied."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data


def joined(first: int, second: int, length: int) -> int:
    """The CRC-32 of two pieces one after the other, from that of each; `length` is that of the second.

    As zlib's crc32_combine, which Python does not have: bytes behind a piece multiply its sum by x**8 each.
    """
    return _product(_power(length), first) ^ second


@lru_cache(maxsize=256)
def _power(length: int) -> int:
    """x**(8 * length)."""
    result, square = _ONE, _ONE >> 8
    while length:
        if length & 1:
            result = _product(square, result)
        square, length = _product(square, square), length >> 1
    return result


def _product(a: int, b: int) -> int:
    """Of two polynomials over the field of two elements, modulo that of CRC-32."""
    result = 0
    while a:
        if a & _ONE:
            result ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return result
