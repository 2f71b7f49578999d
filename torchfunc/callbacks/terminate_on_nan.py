"""TerminateOnNaN: the end of a training whose loss is no number."""

from __future__ import annotations

import math

from torchfunc.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stops at the first batch after which the loss of the epoch so far is NaN or infinite."""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, terminating training")
            self.model.stop_training = True
