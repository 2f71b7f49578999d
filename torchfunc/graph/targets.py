"""What can be called in a graph besides modules and functions, and what each call is named after."""

from __future__ import annotations

import inspect
import operator
import re
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.graph import refusals


@dataclass(frozen=True)
class Method:
    """A method of a tensor, as a target: `Method("relu")(x)` is `x.relu()`."""

    name: str

    def __call__(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(value, self.name)(*args, **kwargs)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a tensor, as a target: `Attribute("T")(x)` is `x.T`."""

    name: str

    def __call__(self, value: Any) -> Any:
        return getattr(value, self.name)


@dataclass(frozen=True)
class Applied:
    """A custom `torch.autograd.Function` as a target: it is applied whole, with its own backward."""

    function: Any

    @property
    def __name__(self) -> str:
        return snake_case(self.function.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function.apply(*args, **kwargs)


# one for each class, so that equal graphs are written alike
applied = cache(Applied)


def size(value: Any, dim: int) -> Any:
    """One dimension of a tensor, as a target; it is written `value.shape[dim]`."""
    return value.shape[dim]


def name_of(target: Any) -> str:
    """What a call is named after: the given name of a layer, else the name of its class or function."""
    if isinstance(target, nn.Module):
        given = getattr(target, "given_name", None)
        return given if isinstance(given, str) else snake_case(getattr(target, "kind", type(target).__name__))
    name = getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__
    text = str(name).strip("_<>")
    return text if text.isidentifier() else "function"


@cache
def snake_case(name: str) -> str:
    """`MaxPooling2D` as `max_pooling2d`, by Keras's rule; no name here begins with an underscore."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().lstrip("_") or "layer"


_OPERATORS = (
    "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift eq ne lt le gt ge".split()
)
_DUNDERS = {
    f"__{name.strip('_')}__": getattr(operator, name) for name in (*_OPERATORS, "neg", "invert", "getitem")
}


def target_of(func: Any) -> Any:
    """The target that stands for a function which PyTorch hands over: methods and operators by their own.

    Raises:
        GraphError: a function that would change its arguments, or look at their values.
    """
    name = getattr(func, "__name__", "")
    is_method = (
        getattr(Tensor, name, None) is func or getattr(func, "__objclass__", None) is torch._C.TensorBase
    )
    if is_method and name in _DUNDERS:
        return _DUNDERS[name]
    refusals.check(name, is_method=is_method)
    return Method(name) if is_method else func


def stated_keywords(func: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords that say something: PyTorch's own functions hand over every default too."""
    defaults = _defaults(func)
    return {name: value for name, value in kwargs.items() if not _same(value, defaults.get(name, _NOTHING))}


_NOTHING = object()


def _same(value: Any, default: Any) -> bool:
    plain = isinstance(value, (bool, int, float, str)) and type(value) is type(default)
    return value is default or (plain and bool(value == default))


@cache
def _defaults(func: Any) -> dict[str, Any]:
    """The defaults of a function written in Python; those of `F.max_pool2d` stand in `F._max_pool2d`."""
    try:
        parameters = dict(inspect.signature(func).parameters) if isinstance(func, FunctionType) else {}
    except ValueError:  # a wrapper of a function in C
        return {}
    if parameters.keys() == {"args", "kwargs"}:
        parameters = dict(inspect.signature(getattr(nn.functional, f"_{func.__name__}", func)).parameters)
    return {name: each.default for name, each in parameters.items() if each.default is not each.empty}
