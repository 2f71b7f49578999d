"""Checksums: the CRC-32 of a tensor, and of one that was summed in pieces."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

_SPAN = 8 << 20  # is summed by one thread
_POLYNOMIAL, _ONE = 0xEDB88320, 1 << 31  # of CRC-32, in which the highest bit stands for x**0


class Piece(NamedTuple):
    """Bytes of a tensor, and the number of the span that they belong to."""

    name: str
    start: int
    end: int
    span: int


def checksums(tensors: Mapping[str, Tensor], memory: Mapping[str, memoryview]) -> dict[str, int]:
    """The CRC-32 of each contiguous CPU tensor: of its name, dtype and shape, then its bytes."""

    def of_piece(piece: Piece) -> int:
        tensor = tensors[piece.name]
        begun = 0 if piece.start else beginning(piece.name, tensor.dtype, tensor.shape)
        return zlib.crc32(memory[piece.name][piece.start : piece.end], begun)

    return sums(memory, of_piece)


def sums(
    memory: Mapping[str, memoryview], of_piece: Callable[[Piece], int], threads: bool = True
) -> dict[str, int]:
    """The checksum of each piece of memory, from those of its pieces, which several threads find where it is worth it."""
    found: dict[str, int] = {}
    for piece, total in _summed(memory, of_piece, threads):
        length = piece.end - piece.start
        found[piece.name] = joined(found[piece.name], total, length) if piece.start else total
    return found


def _summed(
    memory: Mapping[str, memoryview], of_piece: Callable[[Piece], int], threads: bool
) -> Iterator[tuple[Piece, int]]:
    size = sum(map(len, memory.values()))
    count = min(_processors(), -(-size // _SPAN)) if threads else 1
    if count <= 1:
        yield from ((piece, of_piece(piece)) for piece in _pieces(memory))
        return
    with ThreadPoolExecutor(count) as pool:
        spans = [list(span) for _, span in groupby(_pieces(memory), lambda piece: piece.span)]
        for span, totals in zip(spans, pool.map(lambda span: [*map(of_piece, span)], spans), strict=True):
            yield from zip(span, totals, strict=True)


def _pieces(memory: Mapping[str, memoryview]) -> Iterator[Piece]:
    """All bytes of all tensors, cut so that a span of pieces has about as many as any other."""
    count = 0
    for name, view in memory.items():
        for start in range(0, max(len(view), 1), _SPAN):
            end = min(start + _SPAN, len(view))
            yield Piece(name, start, end, count // _SPAN)
            count += end - start


def _processors() -> int:
    """How many threads may work at once; beyond four, memory is the limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 4)


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
