"""What `model.layers` shows of a graph beside Layers: its Inputs, native modules and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.tree import leaves


class InputLayer:
    """An Input of a model: its name, shape and dtype.

    Attributes:
        name: the input's name.
        batch_shape: the shape with the batch, None where unknown.
        dtype: a `torch.dtype`.
    """

    def __init__(self, name: str, spec: Any, symbol: Callable[[], Any]) -> None:
        self.name = name
        self.batch_shape: tuple[int | None, ...] = spec.shape
        self.dtype: torch.dtype = spec.dtype
        self._symbol = symbol

    @property
    def output(self) -> Any:
        return self._symbol()

    input = output
    weights: tuple[Tensor, ...] = ()

    def count_params(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"<InputLayer {self.name} {self.batch_shape}>"


class Operation:
    """A call in a graph that is no Layer's: of a native module, a function, or a method of a tensor.

    What it lacks itself it takes from its module: `operation.weight` is `operation.module.weight`.

    Attributes:
        name: the name of the call, which for a module is its attribute in the model.
        module: the nn.Module, or None.
        target: what is called: the module, a function, or the name of a method.
    """

    def __init__(self, name: str, kind: str, target: Any, symbol: Callable[[], Any]) -> None:
        self.name = name
        self.kind = kind
        self.target = target
        self.module = target if isinstance(target, nn.Module) else None
        self._symbol = symbol

    @property
    def output(self) -> Any:
        return self._symbol()

    @property
    def input(self) -> Any:
        """What the call was made on: its first argument."""
        node = next(leaf for leaf in leaves(self.output) if hasattr(leaf, "node")).node
        return node.args[0] if node.args else next(iter(node.kwargs.values()))

    @property
    def weights(self) -> list[Tensor]:
        return [] if self.module is None else [*self.module.parameters(), *self.module.buffers()]

    def count_params(self) -> int:
        return sum(each.numel() for each in self.weights)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__dict__.get("module") is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.module, name)

    def __repr__(self) -> str:
        return f"<Operation {self.name} ({type(self.module).__name__ if self.module is not None else self.target})>"
