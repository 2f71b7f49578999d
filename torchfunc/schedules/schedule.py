"""Learning rates as functions of the optimizer's step, by Keras's names and with Keras's mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchfunc import config, registry
from torchfunc.config import Configurable
from torchfunc.errors import TorchfuncError, explain


class LearningRateSchedule(Configurable):
    """A learning rate that depends on how many steps the optimizer has taken."""

    _registry = registry.schedules

    def __call__(self, step: int) -> float:
        """The learning rate of the step number `step`, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step).")


@registry.schedules.register()
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; a `staircase` takes whole powers."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_rate = initial_learning_rate, decay_rate
        self.decay_steps = _check_steps(name, "decay_steps", decay_steps)
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        time = float(step) / self.decay_steps
        power = math.floor(time) if self.staircase else time
        return float(self.initial_learning_rate * self.decay_rate**power)


@registry.schedules.register()
class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; a `staircase` drops the fraction."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_rate = initial_learning_rate, decay_rate
        self.decay_steps = _check_steps(name, "decay_steps", decay_steps)
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        time = float(step) / self.decay_steps
        passed = math.floor(time) if self.staircase else time
        return float(self.initial_learning_rate / (1 + self.decay_rate * passed))


@registry.schedules.register()
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` from just after `boundaries[i - 1]` up to and including `boundaries[i]`.

    Raises:
        TorchfuncError: not exactly one value more than boundaries.
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise TorchfuncError(
                explain(
                    name,
                    got=f"{len(boundaries)} boundaries and {len(values)} values",
                    expected="one value more than boundaries",
                )
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: int) -> float:
        return float(self.values[sum(float(step) > boundary for boundary in self.boundaries)])


@registry.schedules.register()
class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` over `decay_steps`, as `(1 - progress) ** power`.

    With `cycle` the number of steps is lengthened to its next multiple instead of stopping at the end.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate, self.end_learning_rate = initial_learning_rate, end_learning_rate
        self.decay_steps = _check_steps(name, "decay_steps", decay_steps)
        self.power, self.cycle, self.name = power, cycle, name

    def __call__(self, step: int) -> float:
        at, steps = float(step), float(self.decay_steps)
        if self.cycle:
            steps *= max(1, math.ceil(at / steps))
        progress = min(at, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - progress) ** self.power + self.end_learning_rate)


@registry.schedules.register()
class CosineDecay(LearningRateSchedule):
    """Half a cosine wave from the start to `alpha` times it, over `decay_steps`.

    With `warmup_target` the rate first rises on a straight line from `initial_learning_rate` to it,
    over `warmup_steps`, and decays from there.

    Source: Loshchilov and Hutter 2016.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate, self.alpha, self.name = initial_learning_rate, alpha, name
        self.decay_steps = _check_steps(name, "decay_steps", decay_steps)
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        at, start = float(step), self.initial_learning_rate
        if self.warmup_target is not None:
            if at < self.warmup_steps:
                return start + (self.warmup_target - start) * at / self.warmup_steps
            at, start = at - self.warmup_steps, self.warmup_target
        wave = _cosine(min(at, self.decay_steps) / self.decay_steps)
        return start * ((1 - self.alpha) * wave + self.alpha)


@registry.schedules.register()
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after another, each `t_mul` times as long and `m_mul` times as high as the last.

    Source: Loshchilov and Hutter 2016.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate, self.alpha, self.name = initial_learning_rate, alpha, name
        self.first_decay_steps = _check_steps(name, "first_decay_steps", first_decay_steps)
        self.t_mul, self.m_mul = t_mul, m_mul

    def __call__(self, step: int) -> float:
        time = float(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts, progress = math.floor(time), time % 1.0
        else:
            # The lengths 1, t, t^2, ... of the first `restarts` decays sum to `before`.
            restarts = math.floor(math.log(1.0 - time * (1.0 - self.t_mul)) / math.log(self.t_mul))
            before = (1.0 - self.t_mul**restarts) / (1.0 - self.t_mul)
            progress = (time - before) / self.t_mul**restarts
        wave = self.m_mul**restarts * _cosine(progress)
        return float(self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha))


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _check_steps(name: str, argument: str, value: Any) -> Any:
    if not value > 0:
        raise TorchfuncError(explain(name, got=f"{argument}={value!r}", expected=f"{argument} above 0"))
    return value


def get(identifier: Any) -> Callable[[int], float] | None:
    """The schedule for a config, an object or a function `step -> rate`; None stays None.

    Raises:
        UnknownNameError: a name that is no schedule, with the nearest one that is.
    """
    return None if identifier is None else config.find(identifier, registry.schedules)


def serialize(schedule: Any) -> Any:
    """A schedule as `{"class_name": ..., "config": {...}}`, a function as its name.

    Raises:
        SavingError: a function without a name.
    """
    return config.serialize(schedule, registry.schedules)


def deserialize(config: str | Mapping[str, Any]) -> Callable[[int], float] | None:
    """What `serialize` wrote."""
    return get(config)
