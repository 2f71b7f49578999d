"""Weight penalties: functions of a weight that are added to the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import config, registry
from torchfunc.config import Configurable
from torchfunc.errors import ShapeError, TorchfuncError, explain


class Regularizer(Configurable):
    """A penalty: a weight of any shape to a scalar.

    Example:
        >>> class Centred(Regularizer):
        ...     def __call__(self, weight):
        ...         return 0.01 * weight.mean() ** 2
        >>> layer = layers.Dense(2, kernel_initializer="ones", kernel_regularizer=Centred())
        >>> layer(torch.ones(1, 3)).shape, layer.losses
        (torch.Size([1, 2]), [tensor(0.0100, grad_fn=<MulBackward0>)])
    """

    _registry = registry.regularizers

    def __call__(self, weight: Tensor) -> Tensor:
        """The penalty of `weight`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(weight).")


@registry.regularizers.register("L1", "l1")
class L1(Regularizer):
    """`l1` times the sum of absolute values.

    Args:
        l1: the factor, at least 0.

    Example:
        >>> tf.regularizers.L1(0.1)(torch.tensor([1.0, -2.0]))
        tensor(0.3000)
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = validate_float_arg(l1, "l1")

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l1 * weight.abs().sum()


@registry.regularizers.register("L2", "l2")
class L2(Regularizer):
    """`l2` times the sum of squares.

    Args:
        l2: the factor, at least 0. The gradient is `2 * l2 * weight`.

    Example:
        >>> tf.regularizers.L2(0.1)(torch.tensor([1.0, -2.0]))
        tensor(0.5000)
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = validate_float_arg(l2, "l2")

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l2 * weight.square().sum()


@registry.regularizers.register("L1L2", "l1l2", "l1_l2")
class L1L2(Regularizer):
    """`l1` times the sum of absolute values plus `l2` times the sum of squares.

    Args:
        l1: the factor of the absolute values, at least 0.
        l2: the factor of the squares, at least 0.

    Example:
        >>> tf.regularizers.L1L2(l1=0.1, l2=0.01)(torch.tensor([1.0, -2.0]))
        tensor(0.3500)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = validate_float_arg(l1, "l1"), validate_float_arg(l2, "l2")

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l1 * weight.abs().sum() + self.l2 * weight.square().sum()


@registry.regularizers.register("OrthogonalRegularizer", "orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine between the rows (or columns) of a matrix.

    Args:
        factor: the factor, at least 0.
        mode: whether "rows" or "columns" shall be orthogonal to one another.

    Raises:
        TorchfuncError: a mode other than "rows" and "columns".

    Example:
        >>> penalty = tf.regularizers.OrthogonalRegularizer(factor=1.0)
        >>> penalty(torch.eye(2)), penalty(torch.ones(2, 2))
        (tensor(0.), tensor(1.0000))
    """

    def __init__(self, factor: float = 0.01, mode: Literal["rows", "columns"] = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise TorchfuncError(
                explain("OrthogonalRegularizer", got=f"mode={mode!r}", expected="'rows' or 'columns'")
            )
        self.factor, self.mode = validate_float_arg(factor, "factor"), mode

    def __call__(self, weight: Tensor) -> Tensor:
        """The penalty of a matrix.

        Raises:
            ShapeError: a weight that is no matrix.
        """
        if weight.ndim != 2:
            raise ShapeError(
                explain("OrthogonalRegularizer", got=f"shape {tuple(weight.shape)}", expected="2 dimensions")
            )
        vectors = F.normalize(weight if self.mode == "rows" else weight.T, dim=1)
        size = len(vectors)
        cosines = (vectors @ vectors.T) * (1.0 - torch.eye(size, dtype=weight.dtype, device=weight.device))
        pairs = size * (size - 1.0) / 2.0
        return self.factor * 0.5 * cosines.abs().sum() / pairs


# Keras has each class under these names too
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def validate_float_arg(value: Any, name: str) -> float:
    """A factor as a float, if it is a finite number of at least 0.

    Args:
        value: the factor.
        name: what it is called in the message.

    Returns:
        The factor as a float.

    Raises:
        TorchfuncError: something else, called `name` in the message.

    Example:
        >>> tf.regularizers.validate_float_arg(1, "l2")
        1.0
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise TorchfuncError(explain(name, got=f"{value!r}", expected="a number of at least 0"))
    return float(value)


def get(identifier: Any) -> Any:
    """The regularizer for a name, a config, a class, an object or a function; None stays None.

    Args:
        identifier: such as "l2", `{"class_name": ..., "config": {...}}` or `L2(1e-4)`.

    Returns:
        What is called on a weight and gives a number, or None.

    Raises:
        UnknownNameError: a name that is no regularizer, with the nearest one that is.

    Example:
        >>> tf.regularizers.get("l2")(torch.tensor([1.0, -2.0]))
        tensor(0.0500)
    """
    return None if identifier is None else config.find(identifier, registry.regularizers)


def serialize(regularizer: Any) -> Any:
    """A regularizer as `{"class_name": ..., "config": {...}}`, a function as its name.

    Args:
        regularizer: what `get` gives.

    Returns:
        A dict or a string.

    Raises:
        SavingError: a function without a name.

    Example:
        >>> tf.regularizers.serialize(tf.regularizers.L2(0.5))
        {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    return config.serialize(regularizer, registry.regularizers)


def deserialize(config: str | Mapping[str, Any]) -> Any:
    """What `serialize` wrote.

    Args:
        config: a name, or `{"class_name": ..., "config": {...}}`.

    Returns:
        The regularizer.

    Example:
        >>> tf.regularizers.deserialize({"class_name": "L2", "config": {"l2": 0.5}}).l2
        0.5
    """
    return get(config)
