"""Optimizers by Keras's names, with Keras's arguments and mathematics, as optimizers of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch

from torchfunc import config, registry
from torchfunc import schedules as schedules
from torchfunc.errors import CompileError, explain, shorten
from torchfunc.optimizers import torch_config
from torchfunc.optimizers.descent import SGD, Ftrl, Lion
from torchfunc.optimizers.moments import Adam, Adamax, AdamW, Nadam
from torchfunc.optimizers.optimizer import Optimizer
from torchfunc.optimizers.squares import Adadelta, Adagrad, RMSprop
from torchfunc.optimizers.stepper import Stepper, Update

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "Stepper",
    "TorchOptimizer",
    "Update",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]


class TorchOptimizer:
    """An optimizer of PyTorch behind the same face: an instance, or what makes one of parameters.

    Args:
        source: A `torch.optim.Optimizer`, a class of them, or a function of parameters such as
            `functools.partial(torch.optim.SGD, lr=0.1)`.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        made = isinstance(source, torch.optim.Optimizer)
        self.torch_optimizer: torch.optim.Optimizer | None = source if made else None
        self.name = _name_of(source)

    def build(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        """The optimizer over `params`; one that exists already is kept as it is.

        Raises:
            CompileError: a function that made no optimizer.
        """
        if isinstance(self.source, torch.optim.Optimizer):
            return self.source
        made = self.source(params)
        if not isinstance(made, torch.optim.Optimizer):
            raise CompileError(
                explain(
                    f"Optimizer {self.name!r}", got=f"{shorten(made)}", expected="a torch.optim.Optimizer"
                )
            )
        self.torch_optimizer = made
        return made

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group. Setting it sets that of all."""
        return float(self._built().param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self._built().param_groups:
            group["lr"] = value

    def _built(self) -> torch.optim.Optimizer:
        if self.torch_optimizer is None:
            raise CompileError(
                explain(f"Optimizer {self.name!r}", got="no parameters yet", fix="build(model.parameters())")
            )
        return self.torch_optimizer

    def __repr__(self) -> str:
        return f"TorchOptimizer({self.source!r})"


def _name_of(source: Any) -> str:
    while isinstance(source, partial):
        source = source.func
    return str(getattr(source, "__name__", type(source).__name__))


def get(identifier: Any) -> Optimizer | TorchOptimizer | None:
    """The optimizer for a name (in any case), a config, a class or an object; None stays None.

    Optimizers of PyTorch are taken too: an instance, a class, or a function of parameters. Whatever
    comes, the result has `build(params)`, `torch_optimizer` and `learning_rate`.

    Raises:
        UnknownNameError: a name that is no optimizer, with the nearest one that is.
        CompileError: something that makes no optimizer.
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

    Raises:
        SavingError: a function of yours, or another thing that no config describes.
    """
    source = optimizer.source if isinstance(optimizer, TorchOptimizer) else optimizer
    owned = _owner(source) or source
    return torch_config.described(owned) or config.serialize(owned, registry.optimizers)


def deserialize(config: str | Mapping[str, Any]) -> Optimizer | TorchOptimizer | None:
    """What `serialize` wrote."""
    return get(config)
