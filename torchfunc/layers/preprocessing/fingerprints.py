"""Fingerprints: FarmHash64 and SipHash64 of many texts at once, in the wrapping arithmetic of int64 tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


def _signed(number: int) -> int:
    """An unsigned number of 64 bits as the int64 of the same bits."""
    return number - 2**64 if number >= 2**63 else number


_K0, _K1, _K2 = map(_signed, (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
_CROSS_KEY, _CROSS_FACTOR = 0xDECAFCAFFE, _signed(0xC6A4A7935BD1E995)
_SIP_KEYS = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


class Texts(NamedTuple):
    """Texts as bytes: (texts, width), filled up with zeros, and the length of each."""

    bytes: Tensor
    lengths: Tensor

    def byte(self, at: Tensor) -> Tensor:
        """The byte of each text at a place of its own."""
        return self.bytes.gather(1, at.clamp(0, self.bytes.shape[1] - 1).unsqueeze(1)).squeeze(1).long()

    def word(self, at: Tensor | int, size: int = 8) -> Tensor:
        """The `size` bytes of each text from a place on, the lowest first, as one number."""
        begin = torch.zeros_like(self.lengths) + at
        steps = torch.arange(size, device=begin.device)
        places = (begin.unsqueeze(1) + steps).clamp(0, self.bytes.shape[1] - 1)
        return (self.bytes.gather(1, places).long() << (8 * steps)).sum(1)


def texts_of(words: Sequence[bytes]) -> Texts:
    """Texts in UTF-8."""
    width = max(map(len, words), default=0) + 8  # so that a word of eight bytes begins at every byte
    padded = np.array(words, dtype=f"S{width}").view(np.uint8).reshape(len(words), width)
    return Texts(torch.from_numpy(padded.copy()), torch.tensor([len(each) for each in words]).long())


def decimals_of(numbers: Tensor) -> Texts:
    """Whole numbers as decimal text."""
    rest = torch.where(numbers < 0, numbers, -numbers.long())  # below zero, where -2**63 has a place too
    digits = []
    for _ in range(19):
        digits.append(-torch.fmod(rest, 10))
        rest = torch.div(rest, 10, rounding_mode="trunc")
    figures = torch.stack(digits, 1)  # the lowest first
    places = torch.arange(19, device=numbers.device)
    count = torch.where(figures != 0, places, 0).amax(1) + 1
    minus = (numbers < 0).long()
    at = (count + minus - 1).unsqueeze(1) - torch.arange(28, device=numbers.device)
    known = (at >= 0) & (at < count.unsqueeze(1))
    text = torch.where(known, figures.gather(1, at.clamp(0, 18)) + ord("0"), 0)
    text = torch.where((at == count.unsqueeze(1)) & (minus == 1).unsqueeze(1), ord("-"), text)
    return Texts(text.to(torch.uint8), count + minus)


def bins_of(texts: Texts, number: int, salt: Sequence[int] | None = None) -> Tensor:
    """One of `number` bins for each text: its SipHash64 under a key of two numbers, FarmHash64 without one."""
    return _remainder(farmhash64(texts) if salt is None else siphash64(texts, salt), number)


def cross_bins_of(columns: Sequence[Tensor], number: int) -> Tensor:
    """One of `number` bins for each row of columns of numbers or fingerprints, as `tf.sparse.cross_hashed` has it."""
    mixed = torch.full_like(columns[0], _CROSS_KEY)
    for column in columns:
        mixed = (mixed ^ _CROSS_FACTOR) ^ (_mix(column * _CROSS_FACTOR) * _CROSS_FACTOR)
        mixed = _mix(_mix(mixed * _CROSS_FACTOR) * _CROSS_FACTOR)
    return _remainder(mixed, number)


def _remainder(bits: Tensor, number: int) -> Tensor:
    """The remainder of the unsigned number that an int64 has the bits of."""
    return (_shift(bits, 1).remainder(number) * 2 + (bits & 1)).remainder(number)


def farmhash64(texts: Texts) -> Tensor:
    """FarmHash's `Fingerprint64` (Pike 2014), which TensorFlow calls the fast hash of strings."""
    lengths, width = texts.lengths, texts.bytes.shape[1] - 8
    found = torch.where(lengths == 0, _K2, _up_to_3(texts))
    for least, hashed in ((4, _up_to_7), (8, _up_to_16), (17, _up_to_32), (33, _up_to_64), (65, _long)):
        if width >= least:
            found = torch.where(lengths >= least, hashed(texts), found)
    return found


def _up_to_3(texts: Texts) -> Tensor:
    n = texts.lengths
    first = texts.byte(torch.zeros_like(n)) + (texts.byte(n >> 1) << 8)
    last = n + (texts.byte(n - 1) << 2)
    return _mix(first * _K2 ^ last * _K0) * _K2


def _up_to_7(texts: Texts) -> Tensor:
    n = texts.lengths
    return _joined(n + (texts.word(0, 4) << 3), texts.word(n - 4, 4), _K2 + n * 2)


def _up_to_16(texts: Texts) -> Tensor:
    n = texts.lengths
    factor = _K2 + n * 2
    a, b = texts.word(0) + _K2, texts.word(n - 8)
    return _joined(_turn(b, 37) * factor + a, (_turn(a, 25) + b) * factor, factor)


def _ends(texts: Texts, first_factor: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the first and the last 16 bytes give, with their factor and the first two words."""
    n = texts.lengths
    factor = _K2 + n * 2
    a, b = texts.word(0) * first_factor, texts.word(8)
    c, d = texts.word(n - 8) * factor, texts.word(n - 16) * _K2
    return _turn(a + b, 43) + _turn(c, 30) + d, a + _turn(b + _K2, 18) + c, factor, a, b


def _up_to_32(texts: Texts) -> Tensor:
    y, z, factor, _, _ = _ends(texts, _K1)
    return _joined(y, z, factor)


def _up_to_64(texts: Texts) -> Tensor:
    n = texts.lengths
    y, z, factor, a, _ = _ends(texts, _K2)
    z = _joined(y, z, factor)
    e, f = texts.word(16) * factor, texts.word(24)
    g, h = (y + texts.word(n - 32)) * factor, (z + texts.word(n - 24)) * factor
    return _joined(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, factor)


def _long(texts: Texts) -> Tensor:
    """The hash of more than 64 bytes: a state of seven words, mixed with 64 bytes at a time."""
    n = texts.lengths
    zero = torch.zeros_like(n)
    y = zero + _signed((81 * _K1 + 113) % 2**64)
    state = (texts.word(0) + _signed(81 * _K2 % 2**64), y, _mix(y * _K2 + 113) * _K2, zero, zero, zero, zero)
    blocks = (n - 1).clamp(min=0) >> 6
    for block in range((texts.bytes.shape[1] - 9) // 64):
        mixed = _mixed(texts, zero + 64 * block, state, zero + _K1, 0)
        state = tuple(torch.where(blocks.gt(block), new, old) for new, old in zip(mixed, state, strict=True))  # type: ignore[assignment]
    x, y, z, v, v2, w, w2 = state
    factor = _K1 + ((z & 0xFF) << 1)
    w = w + ((n - 1) & 63)
    v = v + w
    w = w + v
    x, y, z, v, v2, w, w2 = _mixed(texts, n - 64, (x, y, z, v, v2, w, w2), factor, 9)
    return _joined(_joined(v, w, factor) + _mix(y) * _K0 + z, _joined(v2, w2, factor) + x, factor)


_State = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _mixed(texts: Texts, at: Tensor, state: _State, factor: Tensor, last: int) -> _State:
    """The state after 64 bytes; the last ones weigh two words of it by `last`."""
    x, y, z, v, v2, w, w2 = state
    word = [texts.word(at + 8 * index) for index in range(8)]
    x = _turn(x + y + v + word[1], 37) * factor
    y = _turn(y + v2 + word[6], 42) * factor
    x = x ^ (w2 * (last or 1))
    y = y + v * (last or 1) + word[5]
    z = _turn(z + w, 33) * factor
    v, v2 = _weak(word[:4], v2 * factor, x + w)
    w, w2 = _weak(word[4:], z + w2, y + word[2])
    return z, y, x, v, v2, w, w2


def _weak(words: Sequence[Tensor], a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    a = a + words[0]
    b = _turn(b + a + words[3], 21)
    c = a + words[1] + words[2]
    return c + words[3], b + _turn(c, 44) + a


def _joined(u: Tensor, v: Tensor, factor: Tensor) -> Tensor:
    return _mix((v ^ _mix((u ^ v) * factor)) * factor) * factor


def _mix(bits: Tensor) -> Tensor:
    return bits ^ _shift(bits, 47)


def _shift(bits: Tensor, by: int) -> Tensor:
    """The bits moved down, with zeros above them."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _turn(bits: Tensor, by: int) -> Tensor:
    """The bits turned down, those that fall out coming in above."""
    return _shift(bits, by) | (bits << (64 - by))


def siphash64(texts: Texts, key: Sequence[int]) -> Tensor:
    """SipHash-2-4 (Aumasson and Bernstein 2012), which TensorFlow calls the strong hash of strings."""
    n = texts.lengths
    state = [
        torch.zeros_like(n) + _signed((secret ^ constant) % 2**64)
        for secret, constant in zip((key[0], key[1]) * 2, _SIP_KEYS, strict=True)
    ]
    last = n >> 3
    for index in range((texts.bytes.shape[1] - 8) // 8 + 1):
        word = torch.where(last.eq(index), texts.word(8 * index) | (n << 56), texts.word(8 * index))
        mixed = _rounds([*state[:3], state[3] ^ word], 2)
        mixed[0] = mixed[0] ^ word
        state = [torch.where(last.ge(index), new, old) for new, old in zip(mixed, state, strict=True)]
    a, b, c, d = _rounds([state[0], state[1], state[2] ^ 0xFF, state[3]], 4)
    return a ^ b ^ c ^ d


def _rounds(state: list[Tensor], number: int) -> list[Tensor]:
    a, b, c, d = state
    for _ in range(number):
        a, c = a + b, c + d
        b, d = _turn(b, 51) ^ a, _turn(d, 48) ^ c
        a = _turn(a, 32)
        c, a = c + b, a + d
        b, d = _turn(b, 47) ^ c, _turn(d, 43) ^ a
        c = _turn(c, 32)
    return [a, b, c, d]
