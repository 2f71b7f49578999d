"""A loss by its name, its config, its class or a function, and back to plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from torchfunc import config, registry
from torchfunc.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from torchfunc.losses.loss import FunctionLoss, Loss, TorchLoss


def get(identifier: Any) -> Loss | None:
    """The Loss for a name, a config, a class, an object or a function; None stays None.

    A function `f(y_true, y_pred)` is called in Keras's order. A loss of `torch.nn` (module, class or
    function of `torch.nn.functional`) is called in PyTorch's, `f(input, target)`, and so is any
    module of yours.

    Args:
        identifier: a name such as "mse", a config, a class, a Loss, a function or a module of PyTorch; None.

    Returns:
        A Loss, new unless one was given; None for None.

    Raises:
        UnknownNameError: a name that is no loss, with the nearest one that is.

    Example:
        >>> losses.get("mse").name
        'mean_squared_error'
        >>> losses.get(nn.L1Loss())([1.0, 2.0], [1.0, 4.0])
        tensor(1.)
    """
    if identifier is None:
        return None
    found = config.find(_class_of(identifier), registry.losses)
    if isinstance(found, Loss):
        return found
    if _is_torch(found):
        return TorchLoss(found)
    return FunctionLoss(found)


def _class_of(identifier: Any) -> Any:
    """The class of one of our own functions: `losses.hinge` is `losses.Hinge`."""
    name = getattr(identifier, "__name__", "")
    ours = (getattr(identifier, "__module__", None) or "").startswith(f"{__package__}.")
    return registry.losses.lookup(name) if ours and name in registry.losses else identifier


def _is_torch(function: Any) -> bool:
    """Whether a callable takes (input, target), PyTorch's order."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, nn.Module):
        return True
    module = getattr(function, "__module__", None) or ""
    return module == "torch" or module.startswith(("torch.", "torch._C"))


def resolve(
    identifier: Any, output_shape: Sequence[int | None], target_shape: Sequence[int | None]
) -> Loss | None:
    """`get`, and "crossentropy" or "ce" as the binary, sparse or categorical one that the shapes ask for.

    Args:
        identifier: whatever `get` takes, or "crossentropy" or "ce".
        output_shape: the output's, with the batch; None where a length is unknown.
        target_shape: the targets', with the batch.

    Returns:
        A Loss, or None for None.

    Example:
        >>> losses.resolve("crossentropy", (None, 10), (None,)).name
        'sparse_categorical_crossentropy'
        >>> losses.resolve("crossentropy", (None, 10), (None, 10)).name
        'categorical_crossentropy'
        >>> losses.resolve("crossentropy", (None, 1), (None, 1)).name
        'binary_crossentropy'
    """
    if identifier not in ("crossentropy", "ce"):
        return get(identifier)
    return get(
        {
            "binary": BinaryCrossentropy,
            "sparse": SparseCategoricalCrossentropy,
            "categorical": CategoricalCrossentropy,
        }[kind_of_target(output_shape, target_shape)]
    )


def kind_of_target(output_shape: Sequence[int | None], target_shape: Sequence[int | None]) -> str:
    """Whether shapes speak of "binary", "sparse" or "categorical" targets, by Keras's rule."""
    if output_shape and output_shape[-1] == 1:
        return "binary"
    if len(target_shape) < len(output_shape) or (target_shape and target_shape[-1] == 1):
        return "sparse"
    return "categorical"


def serialize(loss: Any) -> Any:
    """A loss as `{"class_name": ..., "config": {...}}`, a function as its name.

    Args:
        loss: a Loss, or a function that torchfunc or `register` knows.

    Returns:
        Plain data, which JSON can hold.

    Raises:
        SavingError: something that no file can name, such as a lambda or a module of PyTorch.

    Example:
        >>> losses.serialize(losses.Huber(delta=2.0))
        {'class_name': 'Huber', 'config': {'delta': 2.0, 'reduction': 'sum_over_batch_size', 'name': 'huber_loss'}}
    """
    return config.serialize(loss, registry.losses)


def deserialize(config: str | Mapping[str, Any]) -> Loss | None:
    """What `serialize` wrote.

    Args:
        config: what `serialize` wrote.

    Returns:
        A Loss; None for None.

    Raises:
        ConfigError: a config that the class does not take, before anything of it is made.
        UnknownNameError: a name that is no loss.

    Example:
        >>> losses.deserialize({"class_name": "Huber", "config": {"delta": 2.0}}).delta
        2.0
    """
    return get(config)
