"""Rates: the learning rate as a schedule of Keras or of `torch.optim.lr_scheduler` sets it, for any optimizer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from torchfunc import schedules
from torchfunc.config import plain
from torchfunc.errors import (
    CompileError,
    ConfigError,
    SavingError,
    UnknownNameError,
    explain,
    shorten,
)
from torchfunc.fields import record, refused, whole

_NAMES = """
    StepLR MultiStepLR ConstantLR LinearLR ExponentialLR CosineAnnealingLR PolynomialLR CosineAnnealingWarmRestarts
    OneCycleLR CyclicLR ReduceLROnPlateau
"""
_BY_STEP = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)  # whose documentation says so
_KEYS = ("scheduler", "interval", "frequency", "monitor")
_EXPECTED = (
    "a schedule of torchfunc, a scheduler of torch.optim.lr_scheduler, its class or a partial of it, or a dict such as "
    "{'scheduler': ..., 'interval': 'step'}"
)


@cache
def known_schedulers() -> dict[str, type[Any]]:
    """The schedulers that a file may name, by that name."""
    return {f"torch.optim.lr_scheduler.{name}": getattr(lr_scheduler, name) for name in _NAMES.split()}


class Rates:
    """What sets the learning rate of every group of an optimizer, after its steps or after epochs.

    Args:
        given: `lr_scheduler` of `compile`: a schedule of Keras's kind, which is asked before every step; a scheduler of
            PyTorch, its class, a partial of it or a function of the optimizer; or a dict with one as `scheduler`, an
            `interval` ("step" or "epoch"), a `frequency` and, for ReduceLROnPlateau, the name to `monitor`.

    Raises:
        CompileError: something else.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        if isinstance(given, Mapping) and "scheduler" in given:
            unknown = [key for key in given if key not in _KEYS]
            if unknown:
                raise CompileError(
                    explain("lr_scheduler", got=f"the key {unknown[0]!r}", expected=", ".join(_KEYS))
                )
            self.source, asked = given["scheduler"], dict(given)
        else:
            self.source, asked = given, {}
        self.source = _source(self.source)
        self.scheduler: Any = self.source if isinstance(self.source, LRScheduler) else None
        self.schedule = self.source if isinstance(self.source, schedules.LearningRateSchedule) else None
        kind = type(self.source) if self.scheduler is not None else _kind(self.source)
        by_step = self.schedule is not None or (isinstance(kind, type) and issubclass(kind, _BY_STEP))
        self.interval = asked.get("interval", "step" if by_step else "epoch")
        self.frequency, self.monitor = asked.get("frequency", 1), asked.get("monitor")
        self._check(isinstance(kind, type) and issubclass(kind, ReduceLROnPlateau))
        self.steps = self.epochs = 0
        self._bound: torch.optim.Optimizer | None = None
        self._saved: Mapping[str, Any] | None = None

    def _check(self, by_value: bool) -> None:
        if self.interval not in ("step", "epoch") or (self.schedule is not None and self.interval != "step"):
            expected = (
                "'step' or 'epoch'" if self.schedule is None else "'step' for a schedule of Keras's kind"
            )
            raise CompileError(
                explain("lr_scheduler['interval']", got=shorten(self.interval), expected=expected)
            )
        if type(self.frequency) is not int or not 1 <= self.frequency < 2**31:
            expected = "a whole number from 1"
            raise CompileError(
                explain("lr_scheduler['frequency']", got=shorten(self.frequency), expected=expected)
            )
        if self.monitor is not None and not (isinstance(self.monitor, str) and by_value):
            expected = "the name of a value, for ReduceLROnPlateau alone"
            raise CompileError(
                explain("lr_scheduler['monitor']", got=shorten(self.monitor), expected=expected)
            )
        if by_value and self.interval == "step":
            fix = "interval='epoch', or ReduceLROnPlateau's own patience"
            raise CompileError(
                explain("lr_scheduler['interval']", got="'step' for ReduceLROnPlateau", fix=fix)
            )

    def bind(self, optimizer: torch.optim.Optimizer, steps: int | None) -> None:
        """Have a scheduler for this optimizer, whose training has so many steps if that is known.

        Raises:
            CompileError: a scheduler that was made for another optimizer, or that cannot be made.
        """
        if optimizer is self._bound:
            return
        if self.schedule is None:
            state = self._saved if self._bound is None else self.state()["scheduler"]
            self.scheduler = self._made_for(optimizer, steps, state)
        self._bound, self._saved = optimizer, None
        if self.schedule is not None and any("initial_lr" not in group for group in optimizer.param_groups):
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", float(group["lr"]))
        if self.schedule is not None:
            self._set()

    def _made_for(
        self, optimizer: torch.optim.Optimizer, steps: int | None, state: Mapping[str, Any] | None
    ) -> Any:
        kept = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]
        if isinstance(self.source, LRScheduler):
            if self.source.optimizer is not optimizer:
                raise CompileError(
                    explain(
                        "lr_scheduler",
                        got=f"a {type(self.source).__name__} of another optimizer",
                        why="it would set a rate that nothing is trained with",
                        fix=f"lr_scheduler=partial({type(self.source).__name__}, ...), which is made for the "
                        "optimizer of the training",
                    )
                )
            made: Any = self.source
        else:
            make: Any = self.source
            kind = _kind(make)
            if kind is lr_scheduler.OneCycleLR and _lacks_length(make) and steps is not None:
                make = partial(make, total_steps=steps)
            try:
                made = make(optimizer)
            except (TypeError, ValueError, KeyError, ArithmeticError) as error:
                raise CompileError(f"lr_scheduler: {str(error)[:300]}") from error
        if not isinstance(made, LRScheduler):
            raise CompileError(explain("lr_scheduler", got=shorten(made), expected=_EXPECTED))
        if state is not None:
            _restore(made, state)
            for group, values in zip(optimizer.param_groups, kept, strict=True):
                group.update(values)
            # it asks whether a step was taken, which may have been in another process
            optimizer._opt_called = bool(self.steps)  # type: ignore[attr-defined]
        return made

    def _set(self) -> None:
        """Have the rate of the next step in every group; each keeps its proportion to the first."""
        assert self.schedule is not None and self._bound is not None
        groups = self._bound.param_groups
        rate, first = float(self.schedule(self.steps)), groups[0].get("initial_lr") or 1.0
        for index, group in enumerate(groups):
            value = rate if index == 0 else rate * (group.get("initial_lr", first) / first)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def after_step(self) -> None:
        """A step was taken.

        Raises:
            CompileError: the scheduler has come to its end.
        """
        self.steps += 1
        if self.schedule is not None:
            self._set()
        elif self.interval == "step" and self.steps % self.frequency == 0:
            try:
                self.scheduler.step()
            except ValueError as error:
                got, why = f"the step {self.steps}", str(error).rstrip(".")
                fix = "compile anew before another fit, or give it the total_steps of all of them"
                raise CompileError(explain("lr_scheduler", got=got, why=why, fix=fix)) from error

    def after_epoch(self, logs: Mapping[str, Any]) -> None:
        """An epoch has come to its end with these logs.

        Raises:
            UnknownNameError: nothing of the name to monitor is logged.
        """
        self.epochs += 1
        if (
            self.schedule is not None
            or self.interval == "step"
            or self.epochs % self.frequency
            or not self.steps
        ):
            return
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
            return
        name = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            if name.startswith("val_") and not any(each.startswith("val_") for each in logs):
                return  # an epoch that was not validated
            raise UnknownNameError("lr_scheduler monitor", name, logs)
        self.scheduler.step(logs[name])

    def state(self) -> dict[str, Any]:
        """How far it is, as plain data."""
        held = self._saved if self.scheduler is None or self._bound is None else _state(self.scheduler)
        return {"steps": self.steps, "epochs": self.epochs, "scheduler": held}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self.steps, self.epochs = state["steps"], state["epochs"]
        self._saved, self._bound = state["scheduler"], None

    def get_config(self) -> Any:
        """What was given, as plain data.

        Raises:
            SavingError: a scheduler that no file can name.
        """
        described = _described(self.source)
        if not (isinstance(self.given, Mapping) and "scheduler" in self.given):
            return described
        return {**self.given, "scheduler": described}


def _source(given: Any) -> Any:
    """What was given, a config turned to what it describes.

    Raises:
        CompileError: it is none of what can set a rate.
    """
    if isinstance(given, (str, Mapping)):
        return _from_config(given)
    if isinstance(given, (LRScheduler, schedules.LearningRateSchedule)) or (
        callable(given) and not isinstance(given, torch.nn.Module)
    ):
        kind = _kind(given)
        if not isinstance(kind, type) or isinstance(given, (LRScheduler, schedules.LearningRateSchedule)):
            return given
        if issubclass(kind, LRScheduler):
            return given
    raise CompileError(explain("lr_scheduler", got=shorten(given), expected=_EXPECTED))


def _kind(source: Any) -> Any:
    while isinstance(source, partial):
        source = source.func
    return source


def _lacks_length(source: Any) -> bool:
    given = source.keywords if isinstance(source, partial) else {}
    return "total_steps" not in given and "epochs" not in given


def _from_config(given: Any) -> Any:
    name = given.get("class_name") if isinstance(given, Mapping) else given
    if isinstance(name, str) and name.startswith("torch."):
        known = known_schedulers()
        if name not in known:
            raise UnknownNameError("lr_scheduler", name, known)
        arguments = given.get("config") if isinstance(given, Mapping) else None
        make: Any = known[name]
        made = partial(make, **_checked_arguments(make, arguments or {}, name))
        _try(made, name)
        return made
    found = schedules.get(given)
    if not isinstance(found, schedules.LearningRateSchedule):
        raise CompileError(explain("lr_scheduler", got=shorten(given), expected=_EXPECTED))
    return found


def _checked_arguments(kind: Any, arguments: Any, name: str) -> dict[str, Any]:
    """The arguments of a scheduler as a file gives them.

    Raises:
        ConfigError: others, or such as are no numbers, texts or lists of numbers.
    """
    known = [
        each
        for each in inspect.signature(kind).parameters
        if each not in ("optimizer", "last_epoch", "scale_fn")
    ]
    record(arguments, f"{name}.config", (), known)
    for key, value in arguments.items():
        long = isinstance(value, (list, tuple, str)) and len(value) > 10_000
        text = isinstance(value, str) or value is None
        if long or not (text or _is_number_or_list(value)):
            raise refused(f"{name}.config.{key}", value, "a number, a text or a list of numbers")
    return dict(arguments)


def _try(make: Callable[[Any], Any], name: str) -> None:
    """Refuse arguments with which a scheduler cannot be made, or does not step.

    Raises:
        ConfigError: such ones.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    needs = {"total_steps": 10} if _kind(make) is lr_scheduler.OneCycleLR and _lacks_length(make) else {}
    try:
        made = make(optimizer, **needs)
        optimizer.step()
        made.step(*((1.0,) if isinstance(made, ReduceLROnPlateau) else ()))
        rate = float(optimizer.param_groups[0]["lr"])
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError) as error:
        raise ConfigError(f"{name}: {str(error)[:300]}") from error
    if not math.isfinite(rate):
        raise ConfigError(explain(name, got=f"the rate {rate}", expected="finite numbers"))


def _described(source: Any) -> Any:
    if isinstance(source, schedules.LearningRateSchedule):
        return schedules.serialize(source)
    kind = type(source) if isinstance(source, LRScheduler) else _kind(source)
    name = next((name for name, each in known_schedulers().items() if each is kind), None)
    arguments: Any = None
    if name is not None and isinstance(source, LRScheduler):
        arguments = _arguments_of(source)
    elif name is not None and not isinstance(source, partial):
        arguments = {}
    elif name is not None and isinstance(source.func, type) and not source.args:
        arguments = dict(source.keywords)
    if arguments is None or not all(map(_is_data, arguments.values())):
        kind_name = getattr(kind, "__name__", "a function")
        fix = f"lr_scheduler=partial({kind_name}, ...) with numbers by name, or save the weights alone"
        raise SavingError(explain(f"The lr_scheduler {kind_name}", got="one that no file can name", fix=fix))
    return {"class_name": name, "config": plain(arguments)}


def _arguments_of(scheduler: Any) -> dict[str, Any] | None:
    """The arguments that make another such scheduler; None where it does not keep them."""
    found = {}
    for each in inspect.signature(type(scheduler)).parameters.values():
        if each.name in ("optimizer", "last_epoch"):
            continue
        if each.name == "milestones":
            found[each.name] = sorted(scheduler.milestones.elements())
        elif each.name == "min_lr":
            found[each.name] = list(scheduler.min_lrs)
        elif hasattr(scheduler, each.name):
            found[each.name] = getattr(scheduler, each.name)
        else:
            return None
    return found


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_data, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _state(scheduler: Any) -> dict[str, Any]:
    """What a scheduler remembers, as plain data: numbers, texts, lists of these, and the states of those inside it."""
    held: dict[str, Any] = {}
    for key, value in vars(scheduler).items():
        if key == "_schedulers":
            held[key] = [_state(each) for each in value]
        elif key != "optimizer" and _is_number_or_list(value):
            held[key] = value if not isinstance(value, (list, tuple)) else list(value)
    return held


def _is_number_or_list(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_number_or_list, value)) and not any(isinstance(each, list) for each in value)
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _restore(scheduler: Any, state: Mapping[str, Any]) -> None:
    """Have a scheduler that was made anew go on; what it has not, or of another kind, is left out.

    Raises:
        ConfigError: a state of another scheduler.
    """
    for key, value in state.items():
        own = getattr(scheduler, key, None)
        if key == "_schedulers":
            inner = own if isinstance(own, list) else []
            if not isinstance(value, list) or len(value) != len(inner):
                raise ConfigError(explain("lr_scheduler", got="the state of another", expected="its own"))
            for each, held in zip(inner, value, strict=True):
                _restore(each, held)
        elif key in vars(scheduler) and key != "optimizer" and _alike(own, value):
            setattr(scheduler, key, value)


def _alike(own: Any, value: Any) -> bool:
    if isinstance(own, (list, tuple)):
        return isinstance(value, list) and len(value) == len(own)
    numbers = isinstance(own, (bool, int, float)) and isinstance(value, (bool, int, float))
    return numbers and isinstance(own, bool) is isinstance(value, bool)


def check_rates(state: Any, place: str) -> None:
    """Refuse what `Rates.state` does not give.

    Raises:
        ConfigError: with the place of it.
    """
    record(state, place, ("steps", "epochs", "scheduler"))
    whole(state["steps"], f"{place}.steps")
    whole(state["epochs"], f"{place}.epochs")
    if state["scheduler"] is not None:
        _check_held(state["scheduler"], f"{place}.scheduler", depth=4)


def _check_held(held: Any, place: str, depth: int) -> None:
    if not isinstance(held, Mapping) or len(held) > 100 or not depth:
        raise refused(place, held, "an object with the state of a scheduler")
    for key, value in held.items():
        if key == "_schedulers" and isinstance(value, list) and len(value) <= 100:
            for index, each in enumerate(value):
                _check_held(each, f"{place}._schedulers[{index}]", depth - 1)
        elif not _is_number_or_list(value) or (isinstance(value, list) and len(value) > 10_000):
            raise refused(f"{place}[{shorten(key, 60)}]", value, "a number, or a list of numbers")
