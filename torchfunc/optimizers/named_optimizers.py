"""An optimizer by its name, its config, its class or one of PyTorch's, and back to plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from torchfunc import config, registry
from torchfunc.errors import CompileError, explain, shorten
from torchfunc.optimizers import torch_config
from torchfunc.optimizers.memory import check_arguments
from torchfunc.optimizers.optimizer import Optimizer
from torchfunc.optimizers.stepper import Stepper
from torchfunc.optimizers.torch_optimizer import TorchOptimizer


def get(identifier: Any) -> Optimizer | TorchOptimizer | None:
    """The optimizer for a name (in any case), a config, a class or an object; None stays None.

    Optimizers of PyTorch are taken too: an instance, a class, or a function of parameters. Whatever
    comes, the result has `build(params)`, `torch_optimizer` and `learning_rate`.

    Args:
        identifier: a name such as "adam", a config, a class, an object of torchfunc or of `torch.optim`, or a
            function of parameters; None.

    Returns:
        An optimizer, new unless one was given; None for None.

    Raises:
        UnknownNameError: a name that is no optimizer, with the nearest one that is.
        CompileError: something that makes no optimizer.

    Example:
        >>> optimizers.get("adam").learning_rate
        0.001
        >>> optimizers.get(torch.optim.AdamW).name
        'AdamW'
    """
    if identifier is None or isinstance(identifier, (Optimizer, TorchOptimizer)):
        return identifier
    if isinstance(identifier, torch.optim.Optimizer):
        return _owner(identifier) or TorchOptimizer(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    if isinstance(identifier, str) and identifier not in registry.optimizers:
        identifier = identifier.lower()
    if torch_config.is_description(identifier):
        return TorchOptimizer(torch_config.restored(identifier))
    if isinstance(identifier, (str, Mapping)):
        found = config.find(identifier, registry.optimizers)
        return found if isinstance(found, Optimizer) else TorchOptimizer(found)
    if callable(identifier):
        return TorchOptimizer(identifier)
    raise CompileError(
        explain(
            "optimizer",
            got=f"{shorten(identifier)} of type {type(identifier).__name__}",
            expected="a name, an optimizer of torchfunc or of torch.optim, or a function of parameters",
        )
    )


def _owner(optimizer: Any) -> Optimizer | None:
    """The object of ours that holds an optimizer of PyTorch, if that was built by one."""
    rule = optimizer.rule if isinstance(optimizer, Stepper) else None
    return rule if isinstance(rule, Optimizer) and rule.torch_optimizer is optimizer else None


def serialize(optimizer: Any) -> Any:
    """An optimizer as `{"class_name": ..., "config": {...}}`, one of PyTorch as `"torch.optim.Adam"`.

    Args:
        optimizer: an optimizer of torchfunc or of `torch.optim`.

    Returns:
        Plain data, which JSON can hold: the arguments, and not what the optimizer remembers of parameters.

    Raises:
        SavingError: a function of yours, or another thing that no config describes.

    Example:
        >>> described = optimizers.serialize(optimizers.SGD(0.1, momentum=0.9))
        >>> described["class_name"], described["config"]["momentum"]
        ('SGD', 0.9)
    """
    source = optimizer.source if isinstance(optimizer, TorchOptimizer) else optimizer
    owned = _owner(source) or source
    return torch_config.described(owned) or config.serialize(owned, registry.optimizers)


def deserialize(config: str | Mapping[str, Any]) -> Optimizer | TorchOptimizer | None:
    """What `serialize` wrote.

    Args:
        config: what `serialize` wrote.

    Returns:
        An optimizer that has not been built; None for None.

    Raises:
        UnknownNameError: an optimizer that nobody knows.
        ConfigError: arguments that it does not take.

    Example:
        >>> optimizers.deserialize({"class_name": "SGD", "config": {"learning_rate": 0.1}}).learning_rate
        0.1
    """
    made = get(config)
    check_arguments(made, "optimizer.config")
    return made
