"""The modules of the workloads as people write them by hand, in PyTorch alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """The guide's MLP; it ends with logits, or with their softmax where `activation` says so."""

    def __init__(self, activation: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.activation = activation
        self.dense = nn.Linear(784, 64)
        self.dense_1 = nn.Linear(64, 64)
        self.dense_2 = nn.Linear(64, 10)

    def forward(self, img: Tensor) -> Tensor:
        x = F.relu(self.dense(img))
        x = F.relu(self.dense_1(x))
        x = self.dense_2(x)
        return x if self.activation is None else self.activation(x)


class ResNet(nn.Module):
    """The guide's small ResNet, channels first."""

    def __init__(self, activation: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.activation = activation
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3)
        self.conv3, self.conv4 = (nn.Conv2d(64, 64, 3, padding="same") for _ in range(2))
        self.conv5, self.conv6 = (nn.Conv2d(64, 64, 3, padding="same") for _ in range(2))
        self.conv7 = nn.Conv2d(64, 64, 3)
        self.dense1, self.drop, self.dense2 = nn.Linear(64, 256), nn.Dropout(0.5), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        first = F.max_pool2d(x, 3)
        x = F.relu(self.conv4(F.relu(self.conv3(first))))
        second = x + first
        x = F.relu(self.conv6(F.relu(self.conv5(second))))
        x = F.relu(self.conv7(x + second)).mean((2, 3))
        x = self.dense2(self.drop(F.relu(self.dense1(x))))
        return x if self.activation is None else self.activation(x)


class ResNetOfImages(ResNet):
    """On images with their channels last, as everybody gets them."""

    def forward(self, img: Tensor) -> Tensor:
        return super().forward(img.permute(0, 3, 1, 2).contiguous())


class Tickets(nn.Module):
    def __init__(self, words: int, tags: int, departments: int) -> None:
        super().__init__()
        self.title_words, self.body_words = nn.Embedding(words, 64), nn.Embedding(words, 64)
        self.title_lstm = nn.LSTM(64, 128, batch_first=True)
        self.body_lstm = nn.LSTM(64, 32, batch_first=True)
        self.priority, self.department = nn.Linear(160 + tags, 1), nn.Linear(160 + tags, departments)

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
