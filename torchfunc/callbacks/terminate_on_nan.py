"""TerminateOnNaN: the end of a training whose loss is no number."""

from __future__ import annotations

import math

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.errors import DataError, explain


class TerminateOnNaN(Callback):
    """Stops at the first batch after which the loss of the epoch so far is NaN or infinite.

    Args:
        raise_error: whether a DataError is raised, so that no callback hears of an end.

    Example:
        >>> callback = callbacks.TerminateOnNaN()
        >>> callback.set_model(model)
        >>> callback.on_train_batch_end(7, {"loss": float("nan")})
        Batch 7: the loss is nan, terminating training
        >>> model.stop_training
        True
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                fix = "a smaller learning rate, or clipnorm=1.0 in the optimizer"
                raise DataError(
                    explain(f"Batch {batch}", got=f"the loss {loss}", expected="a number", fix=fix)
                )
            print(f"Batch {batch}: the loss is {loss}, terminating training")
            self._known_model().stop_training = True
