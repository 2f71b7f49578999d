"""The workloads in PyTorch alone: modules and loops as people write them at their leanest.

`python with_torch.py WORKLOAD` indexes tensors; with LOADER=1 batches come from a DataLoader, with SYMBOLIC=1 modules
from pytorch-symbolic.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # the first optimizer imports it: a second that is not counted
import torch.nn.functional as F
from torch import Tensor, nn
from workloads import DEPARTMENTS, TAGS, TRAININGS, WORDS, Contender, Work, main

EPSILON = 1e-7**0.5  # Keras adds its 1e-7 below the root


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 64)
        self.dense_1 = nn.Linear(64, 64)
        self.dense_2 = nn.Linear(64, 10)

    def forward(self, img: Tensor) -> Tensor:
        x = F.relu(self.dense(img))
        x = F.relu(self.dense_1(x))
        return self.dense_2(x)


class ResNet(nn.Module):
    """Channels first within; the images come with their channels last, as everybody gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3)
        self.conv3, self.conv4 = (nn.Conv2d(64, 64, 3, padding="same") for _ in range(2))
        self.conv5, self.conv6 = (nn.Conv2d(64, 64, 3, padding="same") for _ in range(2))
        self.conv7 = nn.Conv2d(64, 64, 3)
        self.dense1, self.drop, self.dense2 = nn.Linear(64, 256), nn.Dropout(0.5), nn.Linear(256, 10)

    def forward(self, img: Tensor) -> Tensor:
        x = img.permute(0, 3, 1, 2).contiguous()
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        first = F.max_pool2d(x, 3)
        x = F.relu(self.conv4(F.relu(self.conv3(first))))
        second = x + first
        x = F.relu(self.conv6(F.relu(self.conv5(second))))
        x = F.relu(self.conv7(x + second)).mean((2, 3))
        return self.dense2(self.drop(F.relu(self.dense1(x))))


class Tickets(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.title_words, self.body_words = nn.Embedding(WORDS, 64), nn.Embedding(WORDS, 64)
        self.title_lstm = nn.LSTM(64, 128, batch_first=True)
        self.body_lstm = nn.LSTM(64, 32, batch_first=True)
        self.priority, self.department = nn.Linear(160 + TAGS, 1), nn.Linear(160 + TAGS, DEPARTMENTS)

    def forward(self, title: Tensor, body: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
        title_features = self.title_lstm(self.title_words(title))[1][0][0]
        body_features = self.body_lstm(self.body_words(body))[1][0][0]
        x = torch.cat([title_features, body_features, tags], dim=1)
        return self.priority(x), self.department(x)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        self.conv3, self.conv4 = nn.Conv2d(32, 32, 3), nn.Conv2d(32, 16, 3)
        self.up1, self.up2 = nn.ConvTranspose2d(1, 16, 3), nn.ConvTranspose2d(16, 32, 3)
        self.up3, self.up4 = nn.ConvTranspose2d(32, 16, 3), nn.ConvTranspose2d(16, 1, 3)

    def forward(self, img: Tensor) -> Tensor:
        x = img.permute(0, 3, 1, 2)
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 3)
        x = F.relu(self.conv4(F.relu(self.conv3(x)))).amax((2, 3))
        x = F.relu(self.up2(F.relu(self.up1(x.view(-1, 1, 4, 4)))))
        x = F.interpolate(x, scale_factor=3)
        return F.relu(self.up4(F.relu(self.up3(x)))).permute(0, 2, 3, 1)


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(100))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


def glorot(module: nn.Module) -> nn.Module:
    """Weights as Keras draws them, so that losses can be compared."""
    for each in module.modules():
        if isinstance(each, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(each.weight)
            nn.init.zeros_(each.bias)
        if isinstance(each, nn.Embedding):
            nn.init.uniform_(each.weight, -0.05, 0.05)
    return module


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
    "resnet": ResNet,
    "tickets": Tickets,
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
