"""Callback: the moments of a training at which something else may happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

Logs = Mapping[str, Any] | None
Mode = Literal["train", "test", "predict"]


class Callback:
    """Does something at the moments whose methods a subclass overrides.

    A method that is not overridden is never called. `logs` holds the loss and the metrics by name: of
    the epoch in `on_epoch_end`, of the epoch so far in `on_train_batch_end`. Setting
    `self.model.stop_training = True` ends the training after this batch.

    Attributes:
        model: the module in training.
        trainer: the Trainer that trains it; `trainer.learning_rate` may be read and set.
        params: `epochs`, `steps` (None where unknown) and `verbose` of this run.
    """

    model: Any = None
    trainer: Any = None
    params: Mapping[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Told once, before anything else, what is trained."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told once, before anything else, how long the run is."""
        self.params = params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called when `fit` ends, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch begins; the first is number 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch ends, with its loss, metrics and `val_*`."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of the training."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of the training; overriding it reads the device at every step."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of an evaluation."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of a prediction; `logs["outputs"]` is what the module returned."""


class CallbackList:
    """Several callbacks as one, in the order given; only those that have a method for an event hear of it."""

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        *,
        model: Any = None,
        trainer: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        given = [callbacks] if hasattr(callbacks, "on_epoch_end") else callbacks or []
        self.callbacks: list[Any] = list(given)
        for callback in self.callbacks:
            callback.trainer = trainer
            callback.set_params(dict(params or {}))
            callback.set_model(model)

    def append(self, callback: Any) -> None:
        """Add one more, called after the others."""
        self.callbacks.append(callback)

    def methods(self, event: str) -> list[Callable[..., Any]]:
        """The methods that are called at an event such as "on_epoch_end"."""
        return [getattr(callback, event) for callback in self.callbacks if _has_own(callback, event)]

    def call(self, event: str, *args: Any) -> None:
        """Tell every callback of an event."""
        for method in self.methods(event):
            method(*args)


def _has_own(callback: Any, event: str) -> bool:
    """Whether a callback does anything at an event."""
    if _overrides(callback, event):
        return True
    alias = event.replace("on_train_batch", "on_batch")
    return alias != event and hasattr(callback, alias) and _overrides(callback, alias)


def _overrides(callback: Any, event: str) -> bool:
    method = getattr(callback, event, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, event)


class History(Callback):
    """What `fit` returns: the loss and the metrics of every epoch.

    Attributes:
        history: a list of values for each name in the logs.
        epoch: the numbers of the epochs.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
