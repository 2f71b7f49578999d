"""SWA: a model whose weights are the mean of those that the last epochs ended with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.callbacks.monitor import copied_state
from torchfunc.errors import TorchfuncError, explain


class SWA(Callback):
    """Averages the weights at the end of each epoch from one on; the training ends with the averages in the model.

    Statistics of batch normalizations are then counted anew, by one more pass over the training data. The figures of
    the epochs are those of the weights in training. Source: Izmailov et al. 2018, as `torch.optim.swa_utils` has it.

    Args:
        start_epoch: the first epoch whose weights count, from 0; or a fraction of all epochs.
        swa_lr: a learning rate that is reached within `anneal_epochs` epochs from there, and kept; None for no change.
        anneal_epochs: how many epochs the way there takes, along a half period of the cosine.

    Attributes:
        averages: the mean of the weights so far, by name; None before the first.
        averaged: of how many epochs they are.

    Raises:
        TorchfuncError: an epoch before the first, a fraction that is not below 1, or no rate.

    Example:
        >>> trainer, x = Trainer(nn.Linear(2, 1), optimizer="adam", loss="mse"), torch.randn(64, 2)
        >>> swa = callbacks.SWA(start_epoch=0.5)
        >>> history = trainer.fit(x, x.sum(1, keepdim=True), epochs=6, verbose=0, callbacks=[swa])
        >>> swa.averaged, torch.equal(swa.averages["weight"], trainer.module.weight)
        (3, True)
    """

    remembers: ClassVar[Mapping[str, str]] = {"averages": "weights", "averaged": "count", "_rate": "number"}

    def __init__(
        self, start_epoch: int | float = 0.75, swa_lr: float | None = None, anneal_epochs: int = 10
    ) -> None:
        if start_epoch < 0 or (isinstance(start_epoch, float) and start_epoch >= 1):
            expected = "the number of an epoch, such as 15, or a fraction of all of them, such as 0.75"
            raise TorchfuncError(explain("SWA", got=f"start_epoch={start_epoch!r}", expected=expected))
        if anneal_epochs < 0 or (swa_lr is not None and not swa_lr > 0):
            got, expected = f"swa_lr={swa_lr!r}, anneal_epochs={anneal_epochs!r}", "a rate above 0 and epochs"
            raise TorchfuncError(explain("SWA", got=got, expected=expected))
        self.start_epoch, self.swa_lr, self.anneal_epochs = start_epoch, swa_lr, anneal_epochs
        self.averages: dict[str, Any] | None = None
        self.averaged = 0
        self._rate: float | None = None  # before it was annealed

    @property
    def _first(self) -> int:
        """The first epoch that counts."""
        if isinstance(self.start_epoch, float):
            return int(self.start_epoch * self.params["epochs"])
        return self.start_epoch

    def on_train_begin(self, logs: Logs = None) -> None:
        self.averages, self.averaged, self._rate = None, 0, None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        passed = epoch - self._first
        if self.swa_lr is None or passed < 0:
            return
        if self._rate is None:
            self._rate = self.trainer.learning_rate
        share = min(passed / self.anneal_epochs, 1.0) if self.anneal_epochs else 1.0
        cosine = (1 - math.cos(math.pi * share)) / 2
        self.trainer.learning_rate = self.swa_lr * cosine + self._rate * (1 - cosine)

    @torch.no_grad()
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if epoch < self._first:
            return
        model = self._known_model()
        if self.averages is None:
            self.averages = copied_state(model)
        else:
            learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
            for name, now in model.state_dict().items():
                mean = self.averages[name]
                if name in learned and mean.is_floating_point():
                    mean.lerp_(now, 1 / (self.averaged + 1))
                elif isinstance(mean, Tensor):
                    mean.copy_(now)
        self.averaged += 1

    def on_train_end(self, logs: Logs = None) -> None:
        if self.averages is not None:
            self._known_model().load_state_dict(self.averages)
            self.trainer.update_bn()
