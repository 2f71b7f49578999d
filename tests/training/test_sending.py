"""Sending: batches go to CUDA from pinned memory and nobody waits; on the CPU nothing is pinned or copied."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.modules import classification, mlp
from torchfunc.training import Trainer
from torchfunc.training.batches import Arrays, Batch, sent
from torchfunc.training.feed import Feed

CUDA = torch.device("cuda")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """How often tensors were pinned, and how they were sent to a CUDA device, for which the host stands here."""
    counted: Counter[Any] = Counter()
    really, pinned = Tensor.to, set[int]()

    def pin_memory(self: Tensor) -> Tensor:
        counted["pinned"] += 1
        made = self.clone()
        pinned.add(made.data_ptr())
        return made

    def to(self: Tensor, *args: Any, **options: Any) -> Tensor:
        if args and args[0] == CUDA:
            kind = "pinned" if self.data_ptr() in pinned else "pageable"
            counted[f"sent {kind}, non_blocking={options.get('non_blocking', False)}"] += 1
            return self
        return really(self, *args, **options)

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "is_pinned", lambda self: self.data_ptr() in pinned)
    monkeypatch.setattr(Tensor, "to", to)
    return counted


def feed_to(device: torch.device) -> Feed:
    loss = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
    made = Feed(Trainer(mlp(), loss=loss).step)
    made.device = device
    return made


def test_each_batch_of_a_stream_is_pinned_and_sent_when_it_is_asked_for(seen: Counter[Any]) -> None:
    x, y = classification(50)
    feed = feed_to(CUDA)
    made: list[int] = []

    def source() -> Any:
        for at in range(0, 50, 10):
            made.append(at)
            yield x[at : at + 10], y[at : at + 10]

    for number, batch in enumerate(feed.data(source).epoch(0), 1):
        assert len(made) == number  # never more than one batch ahead of the device
        assert seen == {"pinned": 2 * number, "sent pinned, non_blocking=True": 2 * number}
        np.testing.assert_array_equal(batch.inputs[0], x[made[-1] : made[-1] + 10])


def test_what_is_pinned_already_is_sent_as_it_is(seen: Counter[Any]) -> None:
    batch = Batch([torch.ones(4, 8).pin_memory()], [None], [torch.ones(4).pin_memory()], 4)
    sent(batch, CUDA)
    assert seen == {"pinned": 2, "sent pinned, non_blocking=True": 2}


def test_arrays_that_do_not_fit_the_device_are_sent_batch_by_batch(seen: Counter[Any]) -> None:
    x, y = map(torch.from_numpy, classification(50))
    whole = Batch([x], [y], None, 50)
    assert len(list(Arrays(whole, 10, device=CUDA).epoch(0))) == 5
    assert seen == {"pinned": 10, "sent pinned, non_blocking=True": 10}


def test_on_the_cpu_nothing_is_pinned_nor_copied(seen: Counter[Any]) -> None:
    x, y = map(torch.from_numpy, classification(50))
    (batch,) = feed_to(torch.device("cpu")).data([(x, y)]).epoch(0)
    assert not seen and batch.inputs[0].data_ptr() == x.data_ptr()
