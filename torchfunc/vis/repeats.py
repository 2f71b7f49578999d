"""Repeats: the stretches of a long graph in which a block of layers stands several times, one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from torchfunc.vis.facts import LayerFacts
from torchfunc.vis.summary import shape_text

LONG = 100  # layers, from which on a picture is folded if nobody says otherwise
LONGEST_BLOCK = 128


class Repeat(NamedTuple):
    """A block that stands `times` times: from the layer `first` on, `length` layers each."""

    first: int
    length: int
    times: int

    @property
    def end(self) -> int:
        return self.first + self.length * self.times

    def place(self, index: int) -> tuple[int, int]:
        """Which repetition a layer is in, and the layer of the first one that it is like."""
        turn, offset = divmod(index - self.first, self.length)
        return turn, self.first + offset


def repeats_of(layers: Sequence[LayerFacts]) -> list[Repeat]:
    """The blocks that repeat: layers of equal types and shapes that take what the equal layers before them made."""
    index = {layer.name: place for place, layer in enumerate(layers)}
    return repeats([_kind(layer, place, index) for place, layer in enumerate(layers)])


def repeats(kinds: Sequence[Hashable]) -> list[Repeat]:
    """The blocks that repeat in a sequence, in its order; each is the one that covers most from where it begins."""
    numbers: dict[Hashable, int] = {}
    row = [numbers.setdefault(kind, len(numbers)) for kind in kinds]
    found, at = [], 0
    while at < len(row):
        lengths = range(1, min((len(row) - at) // 2, LONGEST_BLOCK) + 1)
        candidates = [Repeat(at, length, _times(row, at, length)) for length in lengths]
        worth = [each for each in candidates if each.times >= (2 if each.length > 2 else 3)]
        best = max(worth, key=lambda each: (each.end, -each.length), default=None)
        if best is not None:
            found.append(best)
        at = at + 1 if best is None else best.end
    return found


def _times(row: Sequence[int], at: int, length: int) -> int:
    """How often the block that begins here stands, one after the other."""
    end = at + length
    while end < len(row) and row[end] == row[end - length]:
        end += 1
    return (end - at) // length


def _kind(layer: LayerFacts, place: int, index: dict[str, int]) -> Hashable:
    """What two layers have in common that are drawn as one."""
    sources = tuple(
        tuple(link.text if link.call is None else (place - index[link.source], link.tensor) for link in links)
        for links in layer.takes
    )
    return layer.kind, layer.type, tuple(map(shape_text, layer.specs)), sources
