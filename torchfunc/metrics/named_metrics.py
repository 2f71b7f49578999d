"""A metric by its name, its config, its class or a function, and back to plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from torchfunc import config, losses, registry
from torchfunc.losses.named_losses import kind_of_target
from torchfunc.metrics.accuracy import (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
)
from torchfunc.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from torchfunc.metrics.metric import MeanMetricWrapper, Metric, TorchMetric


def get(identifier: Any) -> Metric | None:
    """The Metric for a name, a config, a class, an object or a function; None stays None.

    A name is kept as it was typed: `get("acc").name == "acc"`. A function `f(y_true, y_pred)` or a
    loss is averaged over samples. What has `update`, `compute` and `reset` is taken for a
    torchmetrics object.

    Args:
        identifier: a name such as "mae", a config, a class, a Metric, a Loss, a function or a torchmetrics
            object; None.

    Returns:
        A Metric, new unless one was given; None for None.

    Raises:
        UnknownNameError: a name that is no metric, with the nearest one that is.

    Example:
        >>> metrics.get("mae")([[1.0], [2.0]], [[1.0], [4.0]])
        tensor(1.)
        >>> metrics.get(losses.Huber()).name
        'huber_loss'
    """
    if identifier is None:
        return None
    if all(hasattr(identifier, name) for name in ("update", "compute", "reset")):
        return TorchMetric(identifier)
    found = config.find(identifier, registry.metrics)
    if isinstance(found, (nn.Module, losses.Loss)):
        found = losses.get(found)
    if isinstance(found, losses.Loss):
        found = MeanMetricWrapper(found.per_sample, found.name)
    metric = found if isinstance(found, Metric) else MeanMetricWrapper(found)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def resolve(
    identifier: Any,
    output_shape: Sequence[int | None],
    target_shape: Sequence[int | None] | None = None,
    loss: Any = None,
) -> Metric | None:
    """`get`, with "accuracy", "acc", "crossentropy" and "ce" as the kind that shapes and loss ask for.

    Args:
        identifier: What was given to `compile`.
        output_shape: The output's, `None` where a length is unknown.
        target_shape: The target's; if it is not known the loss decides.
        loss: The output's loss. A crossentropy takes `from_logits` from it.

    Returns:
        A Metric, or None for None.

    Example:
        >>> type(metrics.resolve("acc", (None, 10), (None,))).__name__
        'SparseCategoricalAccuracy'
        >>> type(metrics.resolve("acc", (None, 1), loss=losses.BinaryCrossentropy())).__name__
        'BinaryAccuracy'
    """
    if identifier not in ("accuracy", "acc", "crossentropy", "ce"):
        return get(identifier)
    kind = _kind(output_shape, target_shape, loss)
    if identifier in ("accuracy", "acc"):
        return _ACCURACIES[kind](name=identifier)
    return _CROSSENTROPIES[kind](name=identifier, from_logits=getattr(loss, "from_logits", False))


_ACCURACIES: dict[str, Callable[..., Metric]] = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPIES: dict[str, Callable[..., Metric]] = {
    "binary": BinaryCrossentropy,
    "sparse": SparseCategoricalCrossentropy,
    "categorical": CategoricalCrossentropy,
}


def _kind(output_shape: Sequence[int | None], target_shape: Sequence[int | None] | None, loss: Any) -> str:
    """Whether targets are "binary", "sparse" or "categorical"."""
    if target_shape is not None:
        return kind_of_target(output_shape, target_shape)
    if isinstance(loss, losses.SparseCategoricalCrossentropy):
        return "sparse"
    return kind_of_target(output_shape, output_shape)


def serialize(metric: Any) -> Any:
    """A metric as `{"class_name": ..., "config": {...}}`, a function as its name.

    Args:
        metric: a Metric, or a function that torchfunc or `register` knows.

    Returns:
        Plain data, which JSON can hold.

    Raises:
        SavingError: something that no file can name, such as a lambda or a torchmetrics object.

    Example:
        >>> metrics.serialize(metrics.BinaryAccuracy(threshold=0.3))
        {'class_name': 'BinaryAccuracy', 'config': {'name': 'binary_accuracy', 'threshold': 0.3}}
    """
    return config.serialize(metric, registry.metrics)


def deserialize(config: str | Mapping[str, Any]) -> Metric | None:
    """What `serialize` wrote.

    Args:
        config: what `serialize` wrote.

    Returns:
        A Metric; None for None.

    Raises:
        ConfigError: a config that the class does not take, before anything of it is made.
        UnknownNameError: a name that is no metric.

    Example:
        >>> metrics.deserialize({"class_name": "BinaryAccuracy", "config": {"threshold": 0.3}}).threshold
        0.3
    """
    return get(config)
