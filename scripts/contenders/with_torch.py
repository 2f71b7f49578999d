"""The workloads in PyTorch alone: modules and loops as people write them at their leanest.

`python with_torch.py WORKLOAD` indexes tensors; with LOADER=1 batches come from a DataLoader, with SYMBOLIC=1 modules
from pytorch-symbolic.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first optimizer imports it: a second that is not counted
import torch.nn.functional as F
from by_hand import MLP, Autoencoder, Chain, ResNetOfImages, Tickets, glorot
from torch import Tensor, nn
from workloads import DEPARTMENTS, TAGS, TRAININGS, WORDS, Contender, Work, main

EPSILON = 1e-7**0.5  # Keras adds its 1e-7 below the root


def by_symbols() -> dict[str, Callable[[], nn.Module]]:
    """The same modules, made by pytorch-symbolic's calls."""
    from pytorch_symbolic import Input, SymbolicModel

    def dense() -> nn.Module:
        inputs = Input((784,))
        x = nn.ReLU()(nn.Linear(784, 64)(inputs))
        x = nn.ReLU()(nn.Linear(64, 64)(x))
        return SymbolicModel(inputs, nn.Linear(64, 10)(x))

    def images() -> nn.Module:
        inputs = Input((32, 32, 3))
        x = nn.ReLU()(nn.Conv2d(3, 32, 3)(inputs.permute(0, 3, 1, 2).contiguous()))
        first = nn.MaxPool2d(3)(nn.ReLU()(nn.Conv2d(32, 64, 3)(x)))
        x = nn.ReLU()(nn.Conv2d(64, 64, 3, padding="same")(first))
        second = nn.ReLU()(nn.Conv2d(64, 64, 3, padding="same")(x)) + first
        x = nn.ReLU()(nn.Conv2d(64, 64, 3, padding="same")(second))
        x = nn.ReLU()(nn.Conv2d(64, 64, 3, padding="same")(x)) + second
        x = nn.ReLU()(nn.Conv2d(64, 64, 3)(x)).mean((2, 3))
        x = nn.Dropout(0.5)(nn.ReLU()(nn.Linear(64, 256)(x)))
        return SymbolicModel(inputs, nn.Linear(256, 10)(x))

    def deep() -> nn.Module:
        x = inputs = Input((64,))
        for _ in range(100):
            x = nn.ReLU()(nn.Linear(64, 64)(x))
        return SymbolicModel(inputs, x)

    return {"mlp": dense, "resnet": images, "chain": deep}


MODULES: dict[str, Callable[[], nn.Module]] = {
    "mlp": MLP,
    "resnet": ResNetOfImages,
    "tickets": partial(Tickets, WORDS, TAGS, DEPARTMENTS),
    "autoencoder": Autoencoder,
    "chain": Chain,
}
if os.environ.get("SYMBOLIC"):
    MODULES = by_symbols()


def loss_of(name: str, module: nn.Module, inputs: list[Tensor], targets: list[Tensor]) -> tuple[Tensor, Any]:
    """The loss of a batch, and how many of it were right where classes are told."""
    if name == "tickets":
        priority, department = module(*inputs)
        loss = F.binary_cross_entropy_with_logits(priority, targets[0])
        return loss + 0.2 * F.cross_entropy(department, targets[1]), None
    if name == "autoencoder":
        return F.mse_loss(module(*inputs), targets[0]), None
    logits = module(*inputs)
    return F.cross_entropy(logits, targets[0]), (logits.argmax(-1) == targets[0]).sum()


def train(name: str, work: Work) -> Callable[[], float]:
    torch.manual_seed(0)
    module = glorot(MODULES[name]())
    optimizer: torch.optim.Optimizer
    if name == "autoencoder":
        optimizer = torch.optim.Adam(module.parameters(), 1e-3, foreach=True)
    else:
        optimizer = torch.optim.RMSprop(module.parameters(), 1e-3, alpha=0.9, eps=EPSILON, foreach=True)
    columns = [torch.from_numpy(each) for each in (*work.inputs.values(), *work.targets.values())]
    count, kept = len(work.inputs), len(columns[0]) - work.validation
    data = torch.utils.data.TensorDataset(*(each[:kept] for each in columns))
    loader = torch.utils.data.DataLoader(data, batch_size=work.batch, shuffle=True)

    def batches() -> Iterator[list[Tensor]]:
        if os.environ.get("LOADER"):
            yield from loader
            return
        for rows in torch.randperm(kept).split(work.batch):
            yield [each[rows] for each in columns]

    def epoch() -> float:
        module.train()
        total, right = torch.zeros(()), torch.zeros(())
        for batch in batches():
            loss, hits = loss_of(name, module, batch[:count], batch[count:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch[0])
            if hits is not None:
                right += hits
        validated(name, module, [each[kept:] for each in columns], count, work.batch)
        return total.item() / kept

    return epoch


@torch.no_grad()
def validated(name: str, module: nn.Module, columns: list[Tensor], count: int, batch: int) -> float:
    module.eval()
    total, right = torch.zeros(()), torch.zeros(())
    for rows in zip(*(each.split(batch) for each in columns), strict=True) if len(columns[0]) else ():
        loss, hits = loss_of(name, module, list(rows[:count]), list(rows[count:]))
        total += loss * len(rows[0])
        if hits is not None:
            right += hits
    return total.item()


def chain(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    module = glorot(MODULES["chain"]())
    optimizer = torch.optim.RMSprop(module.parameters(), 1e-3, alpha=0.9, eps=EPSILON, foreach=True)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    @torch.no_grad()
    def forward() -> Tensor:
        return module(inputs)

    @torch.no_grad()
    def predict() -> np.ndarray:
        return module(torch.from_numpy(x)).numpy()

    def step() -> float:
        loss = F.mse_loss(module(torch.from_numpy(x)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"forward": forward, "predict_on_batch": predict, "train_on_batch": step}


def build(count: int) -> object:
    if os.environ.get("SYMBOLIC"):
        from pytorch_symbolic import Input, SymbolicModel

        x = inputs = Input((64,))
        for _ in range(count):
            x = nn.Linear(64, 64)(x)
        return SymbolicModel(inputs, x)
    return nn.Sequential(*(nn.Linear(64, 64) for _ in range(count)))


def rows(name: str, work: Work) -> tuple[Callable[[], object], Callable[[], object]]:
    module = glorot(MODULES[name]()).eval()
    columns = [torch.from_numpy(each) for each in (*work.inputs.values(), *work.targets.values())]
    first = next(iter(work.inputs.values()))[:1]

    @torch.no_grad()
    def predict() -> np.ndarray:
        return F.softmax(module(torch.from_numpy(first)), dim=-1).numpy()

    return lambda: validated(name, module, columns, len(work.inputs), work.batch), predict


def files() -> tuple[Callable[[Path], object], Callable[[Path], object]]:
    """As PyTorch's own guide says it: the state, by pickle, into a module that is there."""
    module = nn.Sequential(*(nn.Linear(2560, 2560) for _ in range(4)))
    return (
        lambda path: torch.save(module.state_dict(), path),
        lambda path: module.load_state_dict(torch.load(path, weights_only=True)),
    )


if __name__ == "__main__":
    has_it = sys.argv[1] in MODULES or sys.argv[1] not in TRAININGS  # pytorch-symbolic has not all of them
    main(Contender(train if has_it else None, chain, build, rows, files))
