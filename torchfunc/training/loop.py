"""Loop: one over batches and one over epochs; training, measuring and predicting differ by what is done with a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from torchfunc.callbacks import CallbackList
from torchfunc.callbacks.callback import Mode
from torchfunc.training.batches import Batch, Data
from torchfunc.training.progress import Display
from torchfunc.training.recording.replaying import recorded
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


def over_epochs(
    step: Step, plan: Plan, train: Data, validation: Data | None, events: CallbackList, display: Display
) -> None:
    """Pass over the training data again and again, and over the validation data where they are due."""
    logs: Logs = {}
    first = step.done
    events.call("on_train_begin", {})
    for epoch in range(plan.first, plan.epochs):
        step.ready()
        step.epoch, step.done = epoch, first if epoch == plan.first else 0
        skip = step.done
        step.watch.begin_epoch(step.optimization.built)
        display.epoch(epoch, plan.epochs)
        events.call("on_epoch_begin", epoch, {})
        step.module.train()
        display.start(train.steps)
        batches = train.epoch(epoch, skip)
        with recorded(step, train, events, display.say) as act:
            done, logs = over_batches(step, act, batches, "train", events, display, skip)
        step.epoch, step.done = epoch + 1, 0
        if validation is not None and plan.validates_after(epoch):
            display.pause(done, logs, validation.steps)
            _, measured = measure(step, validation.epoch(0), events, display)
            logs |= {f"val_{name}": value for name, value in measured.items()}
        display.finish(done, logs)
        events.call("on_epoch_end", epoch, logs)
        if step.module.stop_training:
            break
    step.optimization.finish()
    events.call("on_train_end", logs)


def measure(
    step: Step, batches: Iterable[Batch], events: CallbackList, display: Display | None = None
) -> tuple[int, Logs]:
    """One pass in inference mode: the number of batches and the logs."""
    step.module.eval()
    events.call("on_test_begin", {})
    # not torch.inference_mode, which is no faster here: what a module keeps of its forward could
    # never be trained on again
    with torch.no_grad():
        done, logs = over_batches(step, step.act("measure"), batches, "test", events, display)
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
) -> tuple[int, Logs]:
    """One pass over batches: their number and the logs. Every batch of torchfunc goes through here.

    Some of them may be `done` already, in a training that goes on within an epoch.
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
        if done - told == group:
            told = done
            _tell(end, done, result, step, predicts)
        if time.perf_counter() >= display.due:
            display.draw(done, dict if predicts else partial(step.logs, result))
        if done == told and getattr(step.module, stops):
            break
    if first and done == first:
        step.resume_sums(None)
    if done > told:
        _tell(end, done, result, step, predicts)
    return done, {} if predicts else step.logs(result)


def _tell(end: Sequence[Callable[..., Any]], done: int, result: Any, step: Step, predicts: bool) -> None:
    """Tell the hooks that want to know when so many batches are done."""
    if end:
        logs = {"outputs": result} if predicts else step.logs(result)
        for tell in end:
            tell(done - 1, logs)
