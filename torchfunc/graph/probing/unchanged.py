"""Unchanged: a module is tried out, and afterwards all that it holds is as before."""

from __future__ import annotations

import collections
import dataclasses
import random
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_current: ContextVar[Unchanged | None] = ContextVar("unchanged", default=None)


class RandomStates:
    """The states of the random number generators: PyTorch's on the CPU, and all of them if they matter.

    Those of NumPy and Python are slow to read, and only code from outside of PyTorch draws from them.
    """

    def __init__(self, *, all_of_them: bool) -> None:
        self._torch = torch.get_rng_state()
        self._others = (np.random.get_state(), random.getstate()) if all_of_them else None

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        if self._others is not None:
            np.random.set_state(self._others[0])
            random.setstate(self._others[1])


def _is_foreign(target: Any) -> bool:
    """Whether code from outside of PyTorch and torchfunc runs when `target` is called."""
    called = [type(each) for each in target.modules()] if isinstance(target, nn.Module) else [target]
    own = ("torch.", "torchfunc.", "_operator.")
    homes = (f"{getattr(each, '__module__', None) or 'torch'}." for each in called)
    return not all(home.startswith(own) for home in homes)


class Unchanged:
    """Afterwards the attributes of a module and of all inside it, and the random states, are as before.

    What counts is which objects the attributes, and the lists, dicts and sets among them, hold.

    Args:
        target: the module or function that is tried.
        with_values: whether the numbers in tensors that are no parameters or buffers are put back too.
    """

    def __init__(self, target: Any, *, with_values: bool = False) -> None:
        self._contents: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[int, tuple[Tensor, int, Tensor]] = {}
        self._modules = list(target.modules()) if isinstance(target, nn.Module) else []
        self._all_states = _is_foreign(target)
        self._with_values = with_values
        self.is_at_rest = False

    @staticmethod
    def current() -> Unchanged | None:
        """The innermost one that is under way."""
        return _current.get()

    def __enter__(self) -> Unchanged:
        self._token = _current.set(self)
        self._states = RandomStates(all_of_them=self._all_states)
        for module in self._modules:
            self.remember(module)
        return self

    def __exit__(self, *exception: Any) -> None:
        _current.reset(self._token)
        self.restore()

    def restore(self) -> None:
        """Put everything back; it can be tried again afterwards."""
        for container, content in self._contents.values():
            _refill(container, content)
        for tensor, version, value in self._tensors.values():
            if tensor._version != version:
                with torch.no_grad():
                    tensor.copy_(value)
        self._states.restore()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within it the random numbers go on from before the try, and what they come to is what is kept."""
        during = RandomStates(all_of_them=self._all_states)
        self._states.restore()
        self.is_at_rest = True
        try:
            yield
        finally:
            self.is_at_rest = False
            self._states = RandomStates(all_of_them=self._all_states)
            during.restore()

    def remember(self, module: nn.Module) -> None:
        """Note what a module holds now as that to which it shall return."""
        waiting: list[Any] = [module.__dict__]
        registries = [module.__dict__.get(name) for name in ("_parameters", "_buffers", "_modules")]
        skip = {id(each) for each in registries}
        for each in registries:
            if isinstance(each, dict):
                self._contents[id(each)] = each, each.copy()
        while waiting:
            container = waiting.pop()
            self._contents[id(container)] = container, container.copy()
            values = container.values() if isinstance(container, dict) else container
            for value in values:
                inner = _contents_of(value)
                if inner is not None and id(inner) not in skip:
                    skip.add(id(inner))
                    waiting.append(inner)
                elif self._with_values and isinstance(value, Tensor):
                    self._keep(value)

    def _keep(self, tensor: Tensor) -> None:
        if id(tensor) not in self._tensors and not nn.parameter.is_lazy(tensor):
            with torch._C.DisableTorchFunction():
                self._tensors[id(tensor)] = tensor, tensor._version, tensor.detach().clone()


def _contents_of(value: Any) -> Any:
    """What can be refilled in a value: itself if it is a container, or the fields of a plain object."""
    if isinstance(value, (dict, list, set, collections.deque)):
        return value
    if isinstance(value, tuple):
        return list(value)
    is_plain = isinstance(value, types.SimpleNamespace) or dataclasses.is_dataclass(value)
    return value.__dict__ if is_plain and hasattr(value, "__dict__") and not isinstance(value, type) else None


def _refill(container: Any, content: Any) -> None:
    if _same(container, content):
        return
    container.clear()
    container.update(content) if isinstance(container, (dict, set)) else container.extend(content)


def _same(a: Any, b: Any) -> bool:
    """Whether two containers hold the same objects in the same order (without comparing tensors)."""
    if len(a) != len(b):
        return False
    if isinstance(a, set):
        return bool(a == b)
    if isinstance(a, dict):
        return all(x is y and a[x] is b[y] for x, y in zip(a, b, strict=True))
    return all(x is y for x, y in zip(a, b, strict=True))
