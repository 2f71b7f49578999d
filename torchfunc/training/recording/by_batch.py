"""By batch: the recorded step goes on from one `train_on_batch` to the next, as long as nothing else has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchfunc.training.feed import Feed
from torchfunc.training.finite import Watch
from torchfunc.training.options.precision import denormals_flushed
from torchfunc.training.recording.glance import Glance
from torchfunc.training.recording.replaying import Recorder, key_of, warn_not_captured
from torchfunc.training.step import Act, Logs, Step

WAIT = 8  # batches that are alike, before one is recorded


class ByBatch:
    """What repeats a step, one call of `train_on_batch` after the other.

    Parameters and what the optimizer remembers of them stay in pieces of memory between the calls.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.recorder = Recorder(step, step.act("train"), alone=False, wait=WAIT)
        self.watch = Watch(step.module, step.device, alone=True)
        self.feed = Feed(step, "train")
        self.between: tuple[Any, Glance] | None = None  # a program, and the step between two calls of it

    def after_call(self) -> None:
        """After a call: see the step as it is between calls, where its modules need not be in training mode."""
        program, self.between = self.recorder.program, None
        if program is not None and self.recorder.is_trusted:
            self.between = program, Glance(self.step, learns=True)

    def _is_as_recorded(self) -> bool:
        """Whether nothing has changed since the last call, which the program made or was compared with."""
        recorder = self.recorder
        known = self.between is not None and self.between[0] is recorder.program
        steps = recorder.flat is None or recorder.flat.still_steps()
        return known and steps and self.between is not None and self.between[1].holds()

    def leave(self) -> None:
        """Have everything where it lay before."""
        self.recorder.leave()

    def logs(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[Any, float] | None
    ) -> Logs | None:
        """The figures of a batch that was learned from by the program alone; None where there is more to do."""
        recorder, step = self.recorder, self.step
        program = recorder.program
        if program is None or not recorder.is_trusted or not self._is_as_recorded():
            return None
        batch = self.feed.batch(x, y, sample_weight, class_weight)
        if key_of(batch) != program.key or program.gradients.are_held():
            return None
        watch, step.watch = step.watch, self.watch
        self.watch.steady = False
        try:
            step.reset()
            with denormals_flushed():
                recorder.repeated(batch)
            step.count += 1
            return step.logs(None)
        finally:
            step.watch = watch


def repeated(
    step: Step, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[Any, float] | None
) -> Logs | None:
    """The figures of a batch, where the step is recorded and as it was; nothing is done where it is not.

    Args:
        step: what is trained.
        x: as `train_on_batch` is given it, and the others.
    """
    by_batch: ByBatch | None = step.notes.by_batch
    return None if by_batch is None else by_batch.logs(x, y, sample_weight, class_weight)


def act(step: Step) -> Act:
    """What is done with a batch of `train_on_batch` within a session: recorded where batches like it keep coming."""
    if step.notes.by_batch is None:
        step.notes.by_batch = ByBatch(step)
    train: Act = step.notes.by_batch.recorder.train
    return train


def after_call(step: Step) -> None:
    """After such a session: see the step as the next call has to find it."""
    if step.notes.by_batch is not None:
        step.notes.by_batch.after_call()
        if step.options.cuda_graph:
            warn_not_captured(step, step.notes.why_not)
