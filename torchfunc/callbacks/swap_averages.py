"""SwapEMAWeights: a model that is measured with the averages of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torchfunc.callbacks.callback import Callback, Logs
from torchfunc.errors import CompileError, explain


class SwapEMAWeights(Callback):
    """Puts the averages of an optimizer with `use_ema=True` in the place of the weights while the model is measured.

    Args:
        swap_on_epoch: whether they are there at the end of each epoch too, as for `ModelCheckpoint`, which has to
            come after it in the list of callbacks.

    Raises:
        CompileError: the optimizer keeps no averages.

    Example:
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.1, use_ema=True), loss="mse")
        >>> x, y, swapping = torch.randn(64, 2), torch.randn(64, 1), callbacks.SwapEMAWeights()
        >>> history = trainer.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[swapping])
        >>> history["val_loss"][-1] == trainer.evaluate(x, y, verbose=0)  # as `fit` ends with the averages
        True
    """

    remembers: ClassVar[Mapping[str, str]] = {"_swapped": "flag"}

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _optimizers(self) -> list[Any]:
        optimizer = self.trainer.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        averaging = [
            each for each in getattr(optimizer, "optimizers", [optimizer]) if getattr(each, "use_ema", False)
        ]
        learning = getattr(getattr(self.trainer, "step", None), "learning", None)
        if learning is not None and learning.averages is not None:  # of compile(use_ema=True)
            return [learning.averages]
        if not averaging:
            got = f"the optimizer {type(optimizer).__name__}, which keeps no averages"
            raise CompileError(explain("SwapEMAWeights", got=got, fix="make it with use_ema=True"))
        return [each.torch_optimizer for each in averaging if each.torch_optimizer is not None]

    def _swap(self, swapped: bool) -> None:
        """Have the averages in the model, or in the optimizer."""
        if self._swapped is not swapped:
            for each in self._optimizers():
                each.swap_averages()
            self._swapped = swapped

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap(True)
            last = epoch == self.params.get("epochs", 0) - 1 or self._known_model().stop_training
            if last:  # they stay in the model: what the end of a training puts there is what is there
                for each in self._optimizers():
                    each.take_averages()
                self._swapped = False

    def on_test_begin(self, logs: Logs = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._swap(False)
