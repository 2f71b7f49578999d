"""Loop: one over batches and one over epochs; training, measuring and predicting differ by what is done with a batch."""

from __future__ import annotations

import copy
import signal
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from torchfunc.callbacks import CallbackList
from torchfunc.callbacks.callback import Mode
from torchfunc.distributed.pace import Pace
from torchfunc.distributed.ranks import Ranks
from torchfunc.training.batches import Batch, Data, Stream
from torchfunc.training.measuring.measures import measuring
from torchfunc.training.options.guards import Growing, Starving
from torchfunc.training.options.limits import Clock, Limits, Profiled
from torchfunc.training.options.remembered import to_callbacks
from torchfunc.training.options.termination import Asked, Terminated
from torchfunc.training.progress import Display
from torchfunc.training.recording.replaying import recorded, warn_not_captured
from torchfunc.training.step import Act, Logs, Step

_STOPS = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}


@dataclass(frozen=True)
class Plan:
    """Which epochs a training has, and after which of them it is validated."""

    first: int
    epochs: int
    validation_freq: int | Container[int]

    def validates_after(self, epoch: int) -> bool:
        """Whether validation follows the epoch with this number, the first being 0."""
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return epoch + 1 in self.validation_freq


@dataclass
class Run:
    """What one call of `fit` is to heed.

    Attributes:
        remembered: what callbacks kept of the training that goes on, if one does.
        asked: whether the process was asked to end.
        limits: where it ends early.
        clock: says when that is.
        stopped: whether it was.
        profiled: what traces some of its batches, if anything does.
    """

    limits: Limits
    clock: Clock
    remembered: Mapping[str, Any] | None = None
    asked: Asked = field(default_factory=Asked)
    profiled: Profiled | None = None
    stopped: bool = False

    @property
    def heeds(self) -> bool:
        """Whether something is to be done after a batch."""
        limits = self.limits
        return any(
            each is not None
            for each in (limits.max_steps, limits.max_time, limits.val_check_interval, self.profiled)
        )


def over_epochs(
    step: Step,
    plan: Plan,
    train: Data,
    validations: Mapping[str, Data],
    events: CallbackList,
    display: Display,
    run: Run,
) -> None:
    """Pass over the training data again and again, and over the validation data where they are due.

    Args:
        validations: data by what goes before the names of their figures in the logs, such as "val_".

    Raises:
        Terminated: the process was asked to end.
    """
    logs: Logs = {}
    first = step.done
    events.call("on_train_begin", {})
    measured: Logs = {}

    def heed() -> None:
        _after_batch(step, run)
        interval = run.limits.val_check_interval
        if interval is not None and step.count % interval == 0:
            with figures_aside(step):
                measured.update(_validated(step, validations, events))
            step.module.train()

    after = heed if run.heeds else None
    starving = Starving(train.source) if isinstance(train, Stream) else None
    growing = Growing(step.device)
    epochs = range(plan.first, plan.epochs)
    if run.remembered is not None:
        to_callbacks(run.remembered, events)
        if step.module.stop_training:  # at the end of the epoch after which the file was written
            epochs = range(0)
    for epoch in epochs:
        step.ready()
        step.epoch, step.done = epoch, first if epoch == plan.first else 0
        skip = step.done
        measured.clear()
        step.watch.begin_epoch(step.optimization.built)
        display.epoch(epoch, plan.epochs)
        events.call("on_epoch_begin", epoch, {})
        step.module.train()
        display.start(train.steps)
        batches = train.epoch(epoch, skip)
        batches = batches if starving is None else starving.timed(batches)
        with (
            recorded(step, train, events, display.say, alone=after is None)
            if run.profiled is None
            else nullcontext(step.act("train"))
        ) as act:
            done, logs = over_batches(step, act, batches, "train", events, display, skip, after)
        if step.options.cuda_graph:
            warn_not_captured(step, step.notes.why_not if run.profiled is None else "a profile is made of it")
        if step.ranks is not None:
            _agree(step.ranks, run)
        if (run.stopped or run.asked.by is not None) and step.done != step.steps:
            step.join()  # for who goes on within the epoch
            if run.asked.by is not None:
                raise Terminated
        else:
            step.end_batches()
            step.epoch, step.done = epoch + 1, 0
        if not measured and plan.validates_after(epoch) and run.limits.val_check_interval is None:
            for prefix, data in validations.items():
                display.pause(done, logs | measured, data.steps)
                measured.update(_validated(step, {prefix: data}, events, display))
        logs |= measured
        display.finish(done, logs)
        step.end_epoch(logs)
        growing.look()
        events.call("on_epoch_end", epoch, logs)
        if step.ranks is not None:
            _agree(step.ranks, run)
        if run.asked.by is not None and epoch + 1 < plan.epochs:
            raise Terminated
        stops = bool(step.module.stop_training)
        if stops if step.ranks is None else step.ranks.any(stops):
            break
    step.finish()
    events.call("on_train_end", logs)


def _agree(ranks: Ranks, run: Run) -> None:
    """Have all ranks end a training that one of them was asked to end, or whose clock says so: they stopped at one batch."""
    run.stopped = ranks.any(run.stopped)
    if ranks.any(run.asked.by is not None):
        run.asked.by = run.asked.by or signal.SIGTERM


def _after_batch(step: Step, run: Run) -> None:
    """Heed the limits of a run after a batch."""
    if run.profiled is not None:
        run.profiled.after_batch()
    if run.clock.over(step.steps_taken):
        run.stopped = True
        step.module.stop_training = True  # type: ignore[assignment]


def _validated(
    step: Step, validations: Mapping[str, Data], events: CallbackList, display: Display | None = None
) -> Logs:
    """The figures of all validation data, by their names in the logs."""
    found: Logs = {}
    for prefix, data in validations.items():
        _, measured = measure(step, data, events, display)
        found |= {prefix + name: value for name, value in measured.items()}
    return found


@contextmanager
def figures_aside(step: Step) -> Iterator[None]:
    """Within it other batches may be measured; afterwards all figures of the epoch are as before."""
    objective = step.objective
    holders = [objective.total, *(head.running for head in objective.heads)]
    holders += [each.metric for each in objective.measures.values() if each.metric is not None]
    holders += step.held
    kept = [copy.deepcopy(vars(each)) for each in holders]
    try:
        yield
    finally:
        for holder, before in zip(holders, kept, strict=True):
            vars(holder).clear()
            vars(holder).update(before)


def measure(step: Step, data: Data, events: CallbackList, display: Display | None = None) -> tuple[int, Logs]:
    """One pass in inference mode: the number of batches and the logs."""
    step.module.eval()
    step.align()
    events.call("on_test_begin", {})
    # not torch.inference_mode, which is no faster here: what a module keeps of its forward could
    # never be trained on again
    with torch.no_grad():
        done, logs = over_batches(step, *measuring(step, data, events), "test", events, display)
    events.call("on_test_end", logs)
    return done, logs


def over_batches(
    step: Step,
    act: Act,
    batches: Iterable[Batch],
    mode: Mode,
    events: CallbackList | None = None,
    display: Display | None = None,
    done: int = 0,
    after: Callable[[], None] | None = None,
) -> tuple[int, Logs]:
    """One pass over batches: their number and the logs. Every batch of torchfunc goes through here.

    Some of them may be `done` already, in a training that goes on within an epoch. `after` is called after each.
    """
    events, display = events or CallbackList(), display or Display()
    stops = _STOPS[mode]
    if mode != "train":
        setattr(step.module, stops, False)
    begin, end = events.methods(f"on_{mode}_batch_begin"), events.methods(f"on_{mode}_batch_end")
    predicts, result = mode == "predict", None
    group = step.steps_per_execution
    told = first = done  # how many batches the hooks know of: those of an execution are told as one
    if not predicts:
        step.reset()
    pace = None if step.ranks is None else Pace(step.ranks, display)
    batches = batches if pace is None else pace.even(batches)
    # what one rank is told of, all have to sum
    tells = bool(end) if pace is None else pace.ranks.any(bool(end))
    saves = mode == "train" and any(hasattr(each, "is_due") for each in events.callbacks)
    saves = pace is not None and pace.ranks.any(saves)
    tell_end = partial(
        _tell, end, step=step, predicts=predicts, tells=tells, saving=events if saves else None
    )
    for batch in batches:
        if first and done == first:
            step.resume_sums(batch)
        if done == told:
            for tell in begin:
                tell(done, {})
        result = act(batch)
        if mode == "train":
            step.count += 1
            step.done += 1
        done += 1
        if after is not None:
            after()
        if done - told == group:
            told = done
            tell_end(done, result)
        if pace is not None and pace.draws:
            logs = {} if predicts else step.logs(result)
            display.draw(done, partial(dict, logs))
        elif pace is None and time.perf_counter() >= display.due:
            display.draw(done, dict if predicts else partial(step.logs, result))
        if done == told and getattr(step.module, stops):
            if pace is None:
                break
            pace.stops = True
    if pace is not None and pace.stops:
        setattr(step.module, stops, True)
    if first and done == first:
        step.resume_sums(None)
    if done > told:
        tell_end(done, result)
    return done, {} if predicts else step.logs(result)


def _tell(
    end: Sequence[Callable[..., Any]],
    done: int,
    result: Any,
    *,
    step: Step,
    predicts: bool,
    tells: bool,
    saving: CallbackList | None,
) -> None:
    """Tell the hooks that want to know when so many batches are done.

    Where some of them, on any rank, are to save the training, all ranks tell before what it is there.
    """
    if not tells:
        return
    logs = {"outputs": result} if predicts else step.logs(result)
    if saving is not None and step.ranks is not None:
        due = any(getattr(each, "is_due", False) for each in saving.callbacks)
        if step.ranks.any(due):
            step.join()
    for tell in end:
        tell(done - 1, logs)
    if saving is not None:
        step.sums = None
