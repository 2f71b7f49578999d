"""EarlyStopping: the end of a training that no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torchfunc.callbacks.callback import Logs
from torchfunc.callbacks.monitor import Direction, MonitorCallback, copied_state
from torchfunc.distributed.fully_sharded import load_whole


class EarlyStopping(MonitorCallback):
    """Stops when a value has not improved for more than `patience` epochs; NaN is no improvement.

    Args:
        monitor: the name of the value in the logs.
        min_delta: a smaller change than this is no improvement.
        patience: how many epochs without improvement are waited for.
        verbose: 1 prints a line when it acts.
        mode: whether smaller ("min") or larger ("max") is better; "auto" goes by the name.
        baseline: a value that has to be beaten for the waiting to begin anew.
        restore_best_weights: whether the model ends with the weights of its best epoch.
        start_from_epoch: how many epochs pass before it watches.

    Raises:
        UnknownNameError: at the end of an epoch whose logs have no such name.

    Example:
        >>> early = callbacks.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True)
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.0), loss="mse")  # which learns nothing
        >>> history = trainer.fit(torch.ones(4, 2), torch.ones(4, 1), epochs=9, verbose=0, callbacks=[early])
        >>> len(history), early.best_epoch, early.stopped_epoch
        (3, 0, 2)
    """

    remembers: ClassVar[Mapping[str, str]] = {
        "best": "number",
        "wait": "count",
        "best_epoch": "count",
        "stopped_epoch": "count",
        "best_weights": "weights",
    }

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: Direction = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        # one object may serve several calls of fit
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        # the first epoch has nothing to improve on: it is the best so far, NaN or not
        if self.improves(value, self.best) or self.best is None:
            self._keep(epoch, value)
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self._known_model().stop_training = True

    def _keep(self, epoch: int, value: float) -> None:
        """Take this epoch as the best; the waiting begins anew only if the baseline is beaten too."""
        self.best, self.best_epoch = value, epoch
        if self.restore_best_weights:
            self.best_weights = copied_state(self._known_model())
        if self.baseline is None or self.improves(value, self.baseline):
            self.wait = 0

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch:
            self.say(self.stopped_epoch, "early stopping")
        if self.best_weights is not None:
            self.say(self.best_epoch, "restoring the weights of this epoch, the best")
            load_whole(self._known_model(), self.best_weights)
            self.best_weights = None
