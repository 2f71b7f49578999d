"""LearningRateFinder: the rate is raised batch by batch, and the loss says how high it may be."""

from __future__ import annotations

import math
from typing import Any

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.callbacks.loggers.curves import Picture, drawn
from torchfunc.callbacks.monitor import copied_state
from torchfunc.errors import TorchfuncError, explain


class LearningRateFinder(Callback):
    """Trains with a rate that grows from batch to batch until the loss gets out of hand, and puts the weights back.

    The idea is Leslie N. Smith's (Cyclical Learning Rates for Training Neural Networks, 2017). The weights and the
    rate are afterwards as before; the optimizer's averages are those of the search, so compile anew where they matter.

    Args:
        lowest: the rate of the first batch.
        highest: the rate of the last.
        steps: how many batches lie between; `fit` ends after them, however many epochs it was told.
        smoothing: how much of the loss so far is kept at each batch, from 0 to 1.
        diverges: how many times the least loss ends the search.

    Attributes:
        rates: of each batch.
        losses: of each batch, smoothed.

    Raises:
        TorchfuncError: rates that are not in order, or fewer than 2 steps.

    Example:
        >>> x = torch.randn(320, 2)
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer="sgd", loss="mse")
        >>> finder = callbacks.LearningRateFinder(lowest=1e-4, highest=100.0, steps=40)
        >>> history = trainer.fit(x, x @ torch.tensor([[2.0], [-1.0]]), batch_size=8, verbose=0, callbacks=[finder])
        >>> finder.plot().save("rates.svg")
        >>> trainer.learning_rate = finder.suggestion
    """

    def __init__(
        self,
        lowest: float = 1e-7,
        highest: float = 10.0,
        steps: int = 100,
        smoothing: float = 0.9,
        diverges: float = 4.0,
    ) -> None:
        if not 0 < lowest < highest or steps < 2:
            got = f"lowest={lowest}, highest={highest}, steps={steps}"
            expected = "0 < lowest < highest, and 2 steps at least"
            raise TorchfuncError(explain("LearningRateFinder", got=got, expected=expected))
        self.lowest, self.highest, self.steps = lowest, highest, steps
        self.smoothing, self.diverges = smoothing, diverges
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._before: tuple[Any, float] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.rates, self.losses, self._mean, self._summed, self._seen = [], [], 0.0, 0.0, 0
        self._before = copied_state(self._known_model()), self.trainer.learning_rate

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._summed, self._seen = 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        grown = (self.highest / self.lowest) ** (len(self.rates) / (self.steps - 1))
        self.trainer.learning_rate = self.lowest * grown

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        mean = float(
            (logs or {}).get("loss", math.nan)
        )  # of the epoch so far, which the last batch has moved
        loss = mean * (self._seen + 1) - self._summed
        self._summed, self._seen = mean * (self._seen + 1), self._seen + 1
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        smoothed = self._mean / (1 - self.smoothing ** (len(self.rates) + 1))
        self.rates.append(self.trainer.learning_rate)
        self.losses.append(smoothed)
        wild = not math.isfinite(smoothed) or smoothed > self.diverges * min(self.losses)
        if wild or len(self.rates) == self.steps:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        if self._before is not None:
            weights, self.trainer.learning_rate = self._before
            self.model.load_state_dict(weights)
            self._before = None

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls most steeply, over the powers of 10, on the way to its least.

        Raises:
            TorchfuncError: too few batches were seen.
        """
        points = [(math.log10(x), y) for x, y in self._points()]
        least = min(range(len(points)), key=lambda at: points[at][1], default=0)
        points = points[: max(least + 1, 3)]  # behind it the loss leaps up, and down
        if len(points) < 3:
            got, fix = f"{len(points)} batches", "fit(...) on more batches, or more epochs"
            raise TorchfuncError(explain("LearningRateFinder", got=got, expected="3 at least", fix=fix))
        slopes = [
            ((after[1] - before[1]) / (after[0] - before[0]), at[0])
            for before, at, after in zip(points, points[1:], points[2:], strict=False)
        ]
        return float(10 ** min(slopes)[1])

    def plot(self) -> Picture:
        """The loss over the rates as a picture; `finder.plot().save("rates.svg")` writes it."""
        return drawn({"loss": {"loss": self._points()}}, "learning rate", powers=True)

    def _points(self) -> list[tuple[float, float]]:
        pairs = zip(self.rates, self.losses, strict=True)
        return [(rate, loss) for rate, loss in pairs if math.isfinite(loss)]
