"""An op: a function of this library over torch that a graph records under its own name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import fx

from torchfunc import functions
from torchfunc.graph.symbolic import SYMBOLS, record

P = ParamSpec("P")
T = TypeVar("T")

_LAZY = (*SYMBOLS, fx.Proxy)
_BRANCHES = (list, tuple)


def op(function: Callable[P, T]) -> Callable[P, T]:
    """List a function by the folder of its file: `ops.matmul` is what emission writes and what a file may name.

    Called on a symbol, or on a value that torch.fx traces, it becomes one node as a function of PyTorch
    does; called on anything else it runs, and what compiles or exports sees the torch calls inside. Which
    constants a file may give to it, its annotations say (`saving/allowed_calls.py`).
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        lazy = _first_lazy(args) if not kwargs else _first_lazy((*args, *kwargs.values()))
        if lazy is None:
            return function(*args, **kwargs)
        if isinstance(lazy, fx.Proxy):
            traced: Any = lazy.tracer.create_proxy("call_function", called, args, kwargs)
            return traced  # type: ignore[no-any-return]
        recorded: Any = record(called, args, kwargs)
        return recorded  # type: ignore[no-any-return]

    functions.register(called)
    return called


def _first_lazy(values: tuple[Any, ...] | list[Any]) -> Any:
    """The first value that only stands for a tensor, or None; by types alone, so that dynamo sees through it."""
    for value in values:
        if isinstance(value, _LAZY):
            return value
        if isinstance(value, _BRANCHES):
            found = _first_lazy(value)
            if found is not None:
                return found
    return None
