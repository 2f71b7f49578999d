"""SWA: equal to a loop by hand with `torch.optim.swa_utils`; statistics are counted anew over the training data."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn

import torchfunc as tf
from tests.training.modules import classification
from torchfunc import layers
from torchfunc.callbacks import SWA, BackupAndRestore, Callback
from torchfunc.errors import TorchfuncError
from torchfunc.training import Trainer

X, Y = classification(50)
LOGITS = {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}


def normalized() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def batches() -> list[Any]:
    return [(torch.from_numpy(X[at : at + 10]), torch.from_numpy(Y[at : at + 10])) for at in range(0, 50, 10)]


def fitted(module: nn.Module, swa: SWA, data: Any, epochs: int = 8, **options: Any) -> Trainer:
    trainer = Trainer(module, optimizer=torch.optim.SGD(module.parameters(), 0.1, momentum=0.9), loss=LOGITS)
    trainer.fit(
        *data, epochs=epochs, shuffle=False, verbose=0, callbacks=[swa, *options.pop("more", [])], **options
    )
    return trainer


@pytest.mark.parametrize("rate", [None, 0.02])
@pytest.mark.parametrize("kind", ["arrays", "batches"])
def test_the_end_of_a_training_is_that_of_a_loop_by_hand(rate: float | None, kind: str) -> None:
    module, twin = normalized(), normalized()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9)
    mean, scheduler = AveragedModel(twin), None
    for epoch in range(8):
        if epoch == 3 and rate is not None:
            scheduler = SWALR(optimizer, rate, anneal_epochs=3)
        elif scheduler is not None:
            scheduler.step()
        for x, y in batches():
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(x), y).backward()
            optimizer.step()
        if epoch >= 3:
            mean.update_parameters(twin)
    update_bn(batches(), mean)

    swa = SWA(3, swa_lr=rate, anneal_epochs=3)
    data: Any = (X, Y) if kind == "arrays" else (batches(),)
    fitted(module, swa, data, **({"batch_size": 10} if kind == "arrays" else {}))

    assert swa.averaged == 5
    for name, value in mean.module.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name)
    assert module[1].momentum == 0.1 and not module[1]._forward_pre_hooks


def test_statistics_of_our_layers_are_the_means_over_batches_even_where_one_is_called_twice() -> None:
    torch.manual_seed(1)
    norm, inputs = layers.BatchNormalization(name="norm"), tf.Input((8,))
    frozen = layers.BatchNormalization(name="frozen")
    frozen.trainable = False
    model = tf.Model(inputs, frozen(layers.Dense(2)(norm(norm(inputs) * 3))))
    model.compile("sgd", "mse")
    before = copy.deepcopy(model.frozen.state_dict())
    model.trainer.update_bn(X, batch_size=10)

    seen = []
    for at in range(0, 50, 10):
        first = X[at : at + 10].astype("float64")
        scaled = 3 * (first - first.mean(0)) / np.sqrt(first.var(0) + 1e-3)
        seen += [(first.mean(0), first.var(0)), (scaled.mean(0), scaled.var(0))]
    for kept, parts in zip((norm.running_mean, norm.running_var), zip(*seen, strict=True), strict=True):
        np.testing.assert_allclose(kept.numpy(), np.mean(parts, 0), atol=1e-5)
    assert all(torch.equal(model.frozen.state_dict()[name], each) for name, each in before.items())
    assert norm.momentum == 0.99


def test_a_generator_that_is_used_up_is_told_with_a_way_out_that_works() -> None:
    def passed() -> Iterator[Any]:
        yield from batches()

    module = normalized()
    with pytest.warns(
        UserWarning, match="update_bn: got a generator, which is used up.*trainer.update_bn\\(x\\)"
    ):
        trainer = fitted(module, SWA(0), (passed(),), epochs=1)
    before = module[1].running_mean.clone()
    trainer.update_bn(X)
    assert not torch.equal(before, module[1].running_mean)
    with pytest.raises(
        tf.errors.DataError, match="update_bn: expected inputs, outside a training, got no data"
    ):
        trainer.update_bn()


def test_a_training_that_ends_before_the_first_epoch_that_counts_keeps_its_weights() -> None:
    module, plain = normalized(), normalized()
    swa = SWA(9)
    fitted(module, swa, (X, Y))
    Trainer(plain, optimizer=torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9), loss=LOGITS).fit(
        X, Y, epochs=8, shuffle=False, verbose=0
    )
    assert swa.averages is None and swa.averaged == 0
    assert all(map(torch.equal, module.state_dict().values(), plain.state_dict().values()))


class Fails(Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 6:
            raise KeyboardInterrupt


def test_averages_go_on_from_a_backup_to_the_bit(tmp_path: Path) -> None:
    whole, parted = normalized(), normalized()
    fitted(whole, SWA(0.5, swa_lr=0.01), (X, Y))
    more = [BackupAndRestore(tmp_path), Fails()]
    with pytest.raises(KeyboardInterrupt):
        fitted(parted, SWA(0.5, swa_lr=0.01), (X, Y), more=more)
    again = normalized()
    fitted(again, SWA(0.5, swa_lr=0.01), (X, Y), more=more[:1])
    assert all(map(torch.equal, whole.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"start_epoch": 1.5},
            "number of an epoch, such as 15, or a fraction of all of them, such as 0.75, got start_epoch=1.5",
        ),
        ({"start_epoch": -1}, "got start_epoch=-1"),
        ({"swa_lr": 0}, "expected a rate above 0 and epochs, got swa_lr=0, anneal_epochs=10"),
    ],
)
def test_what_means_no_epoch_and_no_rate_is_refused(options: Any, words: str) -> None:
    with pytest.raises(TorchfuncError, match=words):
        SWA(**options)
