"""Trackers: the figures of a training, told to Weights & Biases or to MLflow through their own packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.errors import TorchfuncError, explain


class Tracker(Callback):
    """Base of the callbacks that tell a service of every epoch, and of batches where `every` says so.

    A run that is open is told, and stays open; one that this opened is ended with the training.

    Args:
        every: after how many batches their figures are told too; 0 for never.
        params: what the run was made with, such as the batch size, by name; told once.
        options: what the service's own function that opens a run takes.
    """

    writes_once: ClassVar[bool] = True

    def __init__(
        self,
        every: int = 0,
        params: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(every, int) or every < 0:
            got, who = f"every={every!r}", type(self).__name__
            raise TorchfuncError(explain(who, got=got, expected="a number of batches, or 0 for never"))
        self.every, self.run_params, self.options = every, dict(params or {}), dict(options or {})
        self._opened = False
        try:
            self._service = self._package()
        except ImportError as error:
            raise _missing(type(self).__name__, str(error.name)) from error
        if every:
            self.on_train_batch_end = self._on_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._opened = self._open()

    def _on_batch(self, batch: int, logs: Logs = None) -> None:
        if (batch + 1) % self.every == 0:
            self._tell({f"batch/{name}": value for name, value in _numbers(logs).items()})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        rate = {} if self.trainer.optimizer is None else {"learning_rate": float(self.trainer.learning_rate)}
        self._tell({"epoch": epoch + 1, **rate, **_numbers(logs)})

    def on_train_end(self, logs: Logs = None) -> None:
        if self._opened:
            self._close()
        self._opened = False

    def _package(self) -> Any:
        """The package of the service."""
        raise NotImplementedError

    def _open(self) -> bool:
        """Have a run; whether it was opened for this."""
        raise NotImplementedError

    def _tell(self, figures: dict[str, float]) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class WandbLogger(Tracker):
    """Tells Weights & Biases of a training: `WandbLogger(options={"project": "digits"})`.

    Args:
        every: after how many batches their figures are told too, as `batch/loss`; 0 for never.
        params: what the run was made with, its `config`.
        options: as of `wandb.init`, such as `project` and `name`.

    Raises:
        TorchfuncError: the package is not installed.

    Example:
        >>> logger = callbacks.WandbLogger(options={"project": "digits"}, params={"batch_size": 32})  # doctest: +SKIP
        >>> history = model.fit(x, y, callbacks=[logger])  # doctest: +SKIP
    """

    def _package(self) -> Any:
        import wandb

        return wandb

    def _open(self) -> bool:
        if self._service.run is not None:
            self._service.run.config.update(self.run_params)
            return False
        self._service.init(config=self.run_params, **self.options)
        return True

    def _tell(self, figures: dict[str, float]) -> None:
        self._service.log(figures, step=self.trainer.step.count)

    def _close(self) -> None:
        self._service.finish()


class MLflowLogger(Tracker):
    """Tells MLflow of a training: `MLflowLogger(options={"run_name": "digits"})`.

    Args:
        every: after how many batches their figures are told too, as `batch/loss`; 0 for never.
        params: what the run was made with.
        options: as of `mlflow.start_run`, such as `run_name`.

    Raises:
        TorchfuncError: the package is not installed.

    Example:
        >>> logger = callbacks.MLflowLogger(options={"run_name": "digits"})  # doctest: +SKIP
        >>> history = model.fit(x, y, callbacks=[logger])  # doctest: +SKIP
    """

    def _package(self) -> Any:
        import mlflow

        return mlflow

    def _open(self) -> bool:
        opened = self._service.active_run() is None
        if opened:
            self._service.start_run(**self.options)
        if self.run_params:
            self._service.log_params(self.run_params)
        return opened

    def _tell(self, figures: dict[str, float]) -> None:
        self._service.log_metrics(figures, step=self.trainer.step.count)

    def _close(self) -> None:
        self._service.end_run()


def _numbers(logs: Logs) -> dict[str, float]:
    """Those of the logs that are one number each."""
    return {name: float(value) for name, value in (logs or {}).items() if hasattr(value, "__float__")}


def _missing(who: str, package: str) -> TorchfuncError:
    return TorchfuncError(explain(who, got=f"no package {package!r}", fix=f"pip install {package}"))
