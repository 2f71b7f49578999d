"""Weight constraints: functions of a weight, in Keras's layout, that are applied after every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from torchfunc import config, registry
from torchfunc.arrays_in import tensor_of
from torchfunc.config import Configurable
from torchfunc.settings import epsilon

Axis = int | Sequence[int]


class Constraint(Configurable):
    """A projection: a weight to the nearest one that is allowed, or nearly so."""

    _registry = registry.constraints

    def __call__(self, weight: Tensor) -> Tensor:
        """The weight that takes the place of `weight`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(weight).")


@registry.constraints.register("MaxNorm", "max_norm")
class MaxNorm(Constraint):
    """Norms along `axis` of at most `max_value`. A kernel's (in, out) has its inputs on axis 0."""

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        norms = _norms(weight, self.axis)
        return weight * (norms.clamp(0, self.max_value) / (epsilon() + norms))


@registry.constraints.register("NonNeg", "non_neg")
class NonNeg(Constraint):
    """No weight below zero."""

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        return weight.clamp(min=0)


@registry.constraints.register("UnitNorm", "unit_norm")
class UnitNorm(Constraint):
    """Norms along `axis` of 1."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        return weight / (epsilon() + _norms(weight, self.axis))


@registry.constraints.register("MinMaxNorm", "min_max_norm")
class MinMaxNorm(Constraint):
    """Norms along `axis` drawn towards [`min_value`, `max_value`], all the way if `rate` is 1."""

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        norms = _norms(weight, self.axis)
        desired = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return weight * (desired / (epsilon() + norms))


# Keras has each class under these names too
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm


def _norms(weight: Tensor, axis: Axis) -> Tensor:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return weight.square().sum(axes, keepdim=True).sqrt()


def get(identifier: Any) -> Any:
    """The constraint for a name, a config, a class, an object or a function; None stays None.

    Raises:
        UnknownNameError: a name that is no constraint, with the nearest one that is.
    """
    return None if identifier is None else config.find(identifier, registry.constraints)


def serialize(constraint: Any) -> Any:
    """A constraint as `{"class_name": ..., "config": {...}}`, a function as its name.

    Raises:
        SavingError: a function without a name.
    """
    return config.serialize(constraint, registry.constraints)


def deserialize(config: str | Mapping[str, Any]) -> Any:
    """What `serialize` wrote."""
    return get(config)
