"""Learning rates as functions of the optimizer's step, by Keras's names and with Keras's mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchfunc import config, registry
from torchfunc.config import Configurable
from torchfunc.errors import TorchfuncError, explain


class LearningRateSchedule(Configurable):
    """A learning rate that depends on how many steps the optimizer has taken.

    Example:
        >>> class Warmup(optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return min((step + 1) / 100, 1.0) * 0.1
        >>> optimizers.Adam(Warmup()).learning_rate
        0.001
    """

    _registry = registry.schedules

    def __call__(self, step: int) -> float:
        """The learning rate of the step number `step`, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step).")


@registry.schedules.register()
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; a `staircase` takes whole powers.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: after how many steps the rate is multiplied once by `decay_rate`; above 0.
        decay_rate: the factor.
        staircase: whether the rate stays as it is between those steps.
        name: its name in configs and messages.

    Raises:
        TorchfuncError: steps that are not above 0.

    Example:
        >>> schedule = optimizers.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
        >>> schedule(0), schedule(100), schedule(200)
        (0.1, 0.05, 0.025)
    """

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
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; a `staircase` drops the fraction.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the unit of time; above 0.
        decay_rate: how fast the rate falls: with 1 it is half after `decay_steps`, and a third after twice as
            many.
        staircase: whether the rate stays as it is within a unit.
        name: its name in configs and messages.

    Raises:
        TorchfuncError: steps that are not above 0.

    Example:
        >>> schedule = optimizers.schedules.InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)
        >>> schedule(0), schedule(100)
        (0.1, 0.05)
    """

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

    Args:
        boundaries: steps in ascending order.
        values: rates, one more than boundaries.
        name: its name in configs and messages.

    Raises:
        TorchfuncError: not exactly one value more than boundaries.

    Example:
        >>> schedule = optimizers.schedules.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> schedule(100), schedule(101), schedule(1000)
        (0.1, 0.01, 0.001)
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

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: after how many steps the end is reached; above 0.
        end_learning_rate: the rate at the end, and after it.
        power: the shape: 1 is a straight line, 2 falls faster at first.
        cycle: whether the decay begins anew, longer, instead of staying at its end.
        name: its name in configs and messages.

    Raises:
        TorchfuncError: steps that are not above 0.

    Example:
        >>> schedule = optimizers.schedules.PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0, power=2.0)
        >>> schedule(0), schedule(50), schedule(100)
        (0.1, 0.025, 0.0)
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

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: after how many steps, without those of the warmup, the end is reached; above 0.
        alpha: the rate at the end, as a share of that at the start.
        name: its name in configs and messages.
        warmup_target: the rate after the warmup; None has no warmup.
        warmup_steps: how many steps the warmup takes.

    Raises:
        TorchfuncError: steps that are not above 0.

    Example:
        >>> schedule = optimizers.schedules.CosineDecay(0.0, 100, warmup_target=0.1, warmup_steps=10)
        >>> [round(schedule(step), 4) for step in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
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

    Args:
        initial_learning_rate: the rate at step 0.
        first_decay_steps: the length of the first decay; above 0.
        t_mul: how many times as long each decay is as the last.
        m_mul: how many times as high each decay begins as the last.
        alpha: the least rate, as a share of that at the start.
        name: its name in configs and messages.

    Raises:
        TorchfuncError: steps that are not above 0.

    Example:
        >>> schedule = optimizers.schedules.CosineDecayRestarts(0.1, first_decay_steps=100)
        >>> [round(schedule(step), 4) for step in (0, 50, 99, 100, 200, 299, 300)]
        [0.1, 0.05, 0.0, 0.1, 0.05, 0.0, 0.1]
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

    Args:
        identifier: a config, a schedule, a function `step -> rate`, or None.

    Returns:
        A function of the step; None for None.

    Raises:
        UnknownNameError: a name that is no schedule, with the nearest one that is.

    Example:
        >>> optimizers.schedules.get({"class_name": "ExponentialDecay", "config": {
        ...     "initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5}})(100)
        0.05
    """
    return None if identifier is None else config.find(identifier, registry.schedules)


def serialize(schedule: Any) -> Any:
    """A schedule as `{"class_name": ..., "config": {...}}`, a function as its name.

    Args:
        schedule: a schedule, or a function that `register` knows.

    Returns:
        Plain data, which JSON can hold.

    Raises:
        SavingError: a function without a name.

    Example:
        >>> optimizers.schedules.serialize(optimizers.schedules.PiecewiseConstantDecay([100], [0.1, 0.01]))["class_name"]
        'PiecewiseConstantDecay'
    """
    return config.serialize(schedule, registry.schedules)


def deserialize(config: str | Mapping[str, Any]) -> Callable[[int], float] | None:
    """What `serialize` wrote.

    Args:
        config: what `serialize` wrote.

    Returns:
        A schedule; None for None.

    Raises:
        ConfigError: arguments that the class does not take.

    Example:
        >>> described = optimizers.schedules.serialize(optimizers.schedules.ExponentialDecay(0.1, 100, 0.5))
        >>> optimizers.schedules.deserialize(described)(100)
        0.05
    """
    return get(config)
