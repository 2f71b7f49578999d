"""Guards: what starves or grows is told once, with a way out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.training.modules import classification, mlp
from torchfunc.training import Trainer
from torchfunc.training.options import guards
from torchfunc.training.options.guards import Growing, Starving

X, Y = classification(400)


class Slow(Dataset[Any]):
    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.0005)
        return X[index], Y[index]


def batches() -> Iterator[Any]:
    for start in range(0, 400, 10):
        time.sleep(0.005)
        yield X[start : start + 10], Y[start : start + 10]


def fit(source: Any) -> None:
    Trainer(mlp(), loss=nn.CrossEntropyLoss()).fit(source, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            lambda: DataLoader(Slow(), 10),
            r"waiting for the DataLoader, \d+(\.\d+)? ms a batch.* Fix: DataLoader\(..., num_wo",
        ),
        (lambda: batches, "waiting for the function, .* Fix: a Dataset in a DataLoader"),
    ],
)
def test_a_loader_that_starves_the_device_is_told_once(
    source: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "LONG", 0.05)
    with pytest.warns(UserWarning, match=words) as told:
        fit(source())
    assert len(told) == 1


def test_the_way_out_is_that_of_the_data() -> None:
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    assert Starving(DataLoader(tensors))._way_out().startswith("fit on the tensors themselves")
    assert "num_workers=2" in Starving(DataLoader(Slow(), num_workers=2))._way_out()


def test_a_loader_that_is_quicker_than_the_step_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "LONG", 0.01)
    starving = Starving([])
    for _ in starving.timed(iter([None or classification(1)] * 60)):  # type: ignore[list-item]
        time.sleep(0.001)
    assert starving.seen == 60 and not starving.told


def test_memory_that_grows_epoch_after_epoch_is_told_once() -> None:
    taken = iter([0, *(100 * 2**20 * count for count in range(1, 12))])
    growing = Growing(torch.device("cpu"), lambda: next(taken))
    with pytest.warns(
        UserWarning,
        match=r"got 100 MB more memory taken at each of 6 looks, an epoch or a second apart\. .* Fix: keep loss",
    ) as told:
        for _ in range(12):
            growing.look()
    assert len(told) == 1


@pytest.mark.parametrize(
    "rows", [[100, 300, 300, 300, 300, 300, 300, 300], [10 * count for count in range(9)]]
)
def test_memory_that_stands_or_grows_little_is_not(rows: list[int]) -> None:
    taken = iter([row * 2**20 for row in rows])
    growing = Growing(torch.device("cpu"), lambda: next(taken))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in rows:
            growing.look()
    assert Growing(torch.device("cpu")).read() is None or Growing(torch.device("cpu")).read() > 2**20  # type: ignore[operator]
