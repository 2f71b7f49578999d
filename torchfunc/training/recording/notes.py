"""Notes: what is known of the recorded step of a training, for who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Notes:
    """Of the recorded step that was used last.

    Attributes:
        code: it as Python; empty where the step is not recorded.
        why_not: why it is not, in words that go on after "because"; empty where it is.
        checked: the texts that were seen to do what the step does.
        said: whether somebody was told.
        warned: the reason why a step was not captured, of which somebody was warned.
        failed: a step that could not be captured, as it was then, and why: it is not tried again.
        kept: what was repeated last, for the next epoch, `fit` or batch.
        by_batch: what repeats it from one `train_on_batch` to the next, if anything does.
        forwards: what is repeated of predictions.
        predictions: the same of the batches of `predict`, which are predicted in inference mode.
        measures: what is repeated of measuring.
    """

    code: str = ""
    why_not: str = ""
    checked: set[int] = field(default_factory=set)
    said: bool = False
    warned: str = ""
    failed: Any = None
    kept: Any = None
    by_batch: Any = None
    forwards: Any = None
    predictions: Any = None
    measures: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy, or what is pickled, is of no training that is under way."""
        nothing = dict.fromkeys(("kept", "failed", "by_batch", "forwards", "predictions", "measures"))
        return {**vars(self), **nothing}

    def rest(self) -> None:
        """Have parameters, gradients and the memory of the optimizer where they lay before the first `train_on_batch`."""
        by_batch, self.by_batch = self.by_batch, None
        if by_batch is not None:
            by_batch.leave()

    def release(self) -> None:
        """Hold no views of parameters, which are about to be moved."""
        for each in (self.forwards, self.predictions, self.measures):
            if each is not None:
                each.release()
