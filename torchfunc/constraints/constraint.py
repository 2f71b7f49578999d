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
    """A projection: a weight to the nearest one that is allowed, or nearly so.

    Example:
        >>> class Whole(tf.constraints.Constraint):
        ...     def __call__(self, weight):
        ...         return weight.round()
        >>> Whole()(torch.tensor([0.4, 1.7]))
        tensor([0., 2.])
    """

    _registry = registry.constraints

    def __call__(self, weight: Tensor) -> Tensor:
        """The weight that takes the place of `weight`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(weight).")


@registry.constraints.register("MaxNorm", "max_norm")
class MaxNorm(Constraint):
    """Norms along `axis` of at most `max_value`. A kernel's (in, out) has its inputs on axis 0.

    Args:
        max_value: the greatest norm, in units of the weight.
        axis: the axes over whose squares a norm sums: 0 for `Dense`, [0, 1, 2] for `Conv2D`.

    Example:
        >>> tf.constraints.MaxNorm(2.0)(torch.tensor([[3.0, 0.3], [4.0, 0.4]]))  # norms 5.0 and 0.5
        tensor([[1.2000, 0.3000],
                [1.6000, 0.4000]])
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        norms = _norms(weight, self.axis)
        return weight * (norms.clamp(0, self.max_value) / (epsilon() + norms))


@registry.constraints.register("NonNeg", "non_neg")
class NonNeg(Constraint):
    """No weight below zero.

    Example:
        >>> tf.constraints.NonNeg()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        return weight.clamp(min=0)


@registry.constraints.register("UnitNorm", "unit_norm")
class UnitNorm(Constraint):
    """Norms along `axis` of 1.

    Args:
        axis: the axes over whose squares a norm sums: 0 for `Dense`, [0, 1, 2] for `Conv2D`.

    Example:
        >>> tf.constraints.UnitNorm()(torch.tensor([[3.0, 0.3], [4.0, 0.4]]))
        tensor([[0.6000, 0.6000],
                [0.8000, 0.8000]])
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, weight: Tensor) -> Tensor:
        weight = weight if isinstance(weight, Tensor) else tensor_of(weight)
        return weight / (epsilon() + _norms(weight, self.axis))


@registry.constraints.register("MinMaxNorm", "min_max_norm")
class MinMaxNorm(Constraint):
    """Norms along `axis` drawn towards [`min_value`, `max_value`], all the way if `rate` is 1.

    Args:
        min_value: the least norm, in units of the weight.
        max_value: the greatest norm.
        rate: how much of the way to the nearest allowed norm a weight goes at once.
        axis: the axes over whose squares a norm sums: 0 for `Dense`, [0, 1, 2] for `Conv2D`.

    Example:
        >>> tf.constraints.MinMaxNorm(1.0, 2.0)(torch.tensor([[3.0, 0.3], [4.0, 0.4]]))  # norms 5.0 and 0.5
        tensor([[1.2000, 0.6000],
                [1.6000, 0.8000]])
    """

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

    Args:
        identifier: such as "non_neg", `{"class_name": ..., "config": {...}}` or `MaxNorm(3.0)`.

    Returns:
        What is called on a weight and gives the weight that takes its place, or None.

    Raises:
        UnknownNameError: a name that is no constraint, with the nearest one that is.

    Example:
        >>> tf.constraints.get("non_neg")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return None if identifier is None else config.find(identifier, registry.constraints)


def serialize(constraint: Any) -> Any:
    """A constraint as `{"class_name": ..., "config": {...}}`, a function as its name.

    Args:
        constraint: what `get` gives.

    Returns:
        A dict or a string.

    Raises:
        SavingError: a function without a name.

    Example:
        >>> tf.constraints.serialize(tf.constraints.UnitNorm())
        {'class_name': 'UnitNorm', 'config': {'axis': 0}}
    """
    return config.serialize(constraint, registry.constraints)


def deserialize(config: str | Mapping[str, Any]) -> Any:
    """What `serialize` wrote.

    Args:
        config: a name, or `{"class_name": ..., "config": {...}}`.

    Returns:
        The constraint.

    Example:
        >>> tf.constraints.deserialize({"class_name": "UnitNorm", "config": {"axis": 1}}).axis
        1
    """
    return get(config)
