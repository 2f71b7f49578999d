"""What Keras asks of the package grain, in a few lines, so that its loaders run where grain is not installed.

Its datasets are drawn in the order in which they are told: `shuffle` leaves that as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import keras
import pytest

HOMES = ("dataset_utils", "image_dataset_utils", "text_dataset_utils", "timeseries_dataset_utils")


class MapDataset:
    def __init__(self, length: int, get: Callable[[int], Any]) -> None:
        self.length, self.get = length, get

    @classmethod
    def source(cls, values: Sequence[Any]) -> MapDataset:
        return cls(len(values), values.__getitem__)

    def map(self, function: Callable[[Any], Any]) -> MapDataset:
        return MapDataset(self.length, lambda index: function(self.get(index)))

    def shuffle(self, seed: int) -> MapDataset:
        return self

    def to_iter_dataset(self) -> MapDataset:
        return self

    def batch(self, size: int, batch_fn: Callable[[Any], Any]) -> MapDataset:
        def made(index: int) -> Any:
            return batch_fn(
                [self.get(each) for each in range(self.length)][index * size : (index + 1) * size]
            )

        return MapDataset(-(-self.length // size), made)

    def __iter__(self) -> Iterator[Any]:
        return (self.get(index) for index in range(self.length))


def zipped(datasets: Sequence[MapDataset]) -> MapDataset:
    return MapDataset(datasets[0].length, lambda index: tuple(each.get(index) for each in datasets))


GRAIN = SimpleNamespace(MapDataset=MapDataset, experimental=SimpleNamespace(ZipMapDataset=zipped))


@pytest.fixture
def grain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras takes what stands here for grain."""
    for home in HOMES:
        monkeypatch.setattr(getattr(keras.src.utils, home), "grain", GRAIN)
