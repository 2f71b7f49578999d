"""ProgbarLogger: the lines of a training, in a loop of one's own."""

from __future__ import annotations

from torchfunc.callbacks.callback import Callback, Logs


class ProgbarLogger(Callback):
    """Prints each epoch with its logs, where `verbose` of the params is not 0.

    `fit` shows progress itself, as its `verbose` says: there it adds nothing, as in Keras.

    Example:
        >>> told = callbacks.CallbackList(callbacks.ProgbarLogger(), epochs=2, steps=10)
        >>> told.on_epoch_begin(0)
        Epoch 1/2
        >>> told.on_train_batch_end(9)
        >>> told.on_epoch_end(0, {"loss": 0.5})
        10/10 - loss: 0.5000
    """

    def __init__(self) -> None:
        self.seen = 0

    @property
    def _shows(self) -> bool:
        return "validated" not in self.params and self.params.get("verbose", 1) != 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.seen = 0
        if self._shows:
            epochs = self.params.get("epochs")
            print(f"Epoch {epoch + 1}" + f"/{epochs}" * (epochs is not None), flush=True)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.seen = batch + 1

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self._shows:
            steps = self.params.get("steps") or self.seen
            figures = "".join(f" - {name}: {value:.4f}" for name, value in (logs or {}).items())
            print(f"{self.seen or steps}/{steps}{figures}", flush=True)
