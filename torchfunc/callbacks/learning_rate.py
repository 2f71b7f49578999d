"""The learning rate, changed from epoch to epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.callbacks.monitor import Direction, MonitorCallback
from torchfunc.distributed.launch import is_first
from torchfunc.errors import TorchfuncError, explain


class LearningRateScheduler(Callback):
    """Sets the learning rate at the begin of each epoch, and logs it as `learning_rate`.

    Args:
        schedule: a function of the epoch (from 0) and the rate so far, or of the epoch alone.
        verbose: 1 prints a line an epoch.

    Raises:
        TorchfuncError: a schedule that returns no number.

    Example:
        >>> halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.1), loss="mse")
        >>> history = trainer.fit(torch.ones(4, 2), torch.ones(4, 1), epochs=3, verbose=0, callbacks=[halve])
        >>> history["learning_rate"]
        [0.1, 0.05, 0.025]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        before = self.trainer.learning_rate
        rate: Any = self.schedule(epoch, before) if self._takes_rate else self.schedule(epoch)
        if not hasattr(rate, "__float__"):
            raise TorchfuncError(
                explain("LearningRateScheduler", got=f"{rate!r} from its schedule", expected="a number")
            )
        self.trainer.learning_rate = float(rate)
        if self.verbose and is_first():
            print(f"Epoch {epoch + 1}: learning rate {float(rate):.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if isinstance(logs, dict):
            logs["learning_rate"] = self.trainer.learning_rate


def _takes_two(schedule: Callable[..., float]) -> bool:
    """Whether a function can be called with two arguments, the epoch and the rate."""
    try:
        inspect.signature(schedule).bind(0, 0.1)
    except TypeError:
        return False
    return True


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a value has not improved for `patience` epochs.

    NaN is no improvement.

    Args:
        monitor: the name of the value in the logs.
        factor: what the rate is multiplied by, below 1.
        patience: how many epochs without improvement are waited for.
        verbose: 1 prints a line when it acts.
        mode: whether smaller ("min") or larger ("max") is better; "auto" goes by the name.
        min_delta: a smaller change than this is no improvement.
        cooldown: how many epochs after a reduction nothing is counted.
        min_lr: where it ends.

    Raises:
        TorchfuncError: a factor of 1 or more.
        UnknownNameError: at the end of an epoch whose logs have no such name.

    Example:
        >>> reduce = callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1)
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.1), loss="mse")
        >>> told = callbacks.CallbackList(reduce, model=trainer.module, trainer=trainer)
        >>> told.on_train_begin()
        >>> for epoch, loss in enumerate([0.5, 0.5, 0.4, 0.4]):
        ...     told.on_epoch_end(epoch, {"loss": loss})
        >>> trainer.learning_rate  # halved twice
        0.025
    """

    remembers: ClassVar[Mapping[str, str]] = {
        "best": "number",
        "wait": "count",
        "cooldown_counter": "count",
    }

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Direction = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        if factor >= 1:
            raise TorchfuncError(explain("ReduceLROnPlateau", got=f"factor={factor}", expected="less than 1"))
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        value = self.monitored(logs)
        if isinstance(logs, dict):
            logs["learning_rate"] = self.trainer.learning_rate
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        # the first epoch has nothing to improve on
        if self.improves(value, self.best) or self.best is None:
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        rate = self.trainer.learning_rate
        if rate > self.min_lr:
            built = getattr(getattr(self.trainer, "optimizer", None), "torch_optimizer", None)
            groups = [] if built is None else built.param_groups
            rates = [group["lr"] for group in groups]
            self.trainer.learning_rate = max(rate * self.factor, self.min_lr)
            for group, before in zip(groups[1:], rates[1:], strict=True):  # each from its own rate
                group["lr"] = max(before * self.factor, min(self.min_lr, before))
            self.say(epoch, f"learning rate reduced to {self.trainer.learning_rate:.6g}")
            self.cooldown_counter, self.wait = self.cooldown, 0
