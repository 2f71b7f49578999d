"""Unchanged: a module is tried out, and afterwards all that it holds is as before."""

from __future__ import annotations

import operator
import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
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
        # NumPy loads its generators when they are first asked for
        numpys = np.random.get_state() if all_of_them and "numpy.random" in sys.modules else None
        self._others = (numpys, random.getstate()) if all_of_them else None

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        if self._others is not None:
            if self._others[0] is not None:
                np.random.set_state(self._others[0])
            random.setstate(self._others[1])


class Unchanged:
    """Afterwards the attributes of a module and of all inside it, and the random states, are as before.

    What counts is which objects the attributes, and the lists, dicts and sets among them, hold. Most tries
    change none, so all of them are compared at once, by identity; only then is it asked which one differs.

    Args:
        target: the module or function that is tried.
        with_values: whether the numbers in tensors that are no parameters or buffers are put back too.

    Attributes:
        modules: the target and all inside it, and those that were made while it was tried, by their ids.
        counts_values: whether a try met a function whose result has as many items as the values say.
    """

    def __init__(self, target: Any, *, with_values: bool = False) -> None:
        self.modules: dict[int, nn.Module] = {}
        self.is_at_rest = self.counts_values = False
        self._target = target
        self._with_values = with_values
        self._all_states = False
        self._held: dict[int, tuple[Any, tuple[Any, ...], list[list[Any]]]] = {}
        self._flat: tuple[list[Any], list[list[Any]]] | None = None  # all the views, and their content
        self._empty: dict[int, Any] = {}  # most of what a module of PyTorch has: its hooks
        self._tensors: dict[int, tuple[Tensor, int, Tensor]] = {}

    @staticmethod
    def current() -> Unchanged | None:
        """The innermost one that is under way."""
        return _current.get()

    def __enter__(self) -> Unchanged:
        self.remember(self._target.modules() if isinstance(self._target, nn.Module) else ())
        called = {type(each): each for each in self.modules.values()}.values() or (self._target,)
        self._all_states = self._all_states or any(map(is_foreign, called))
        self._states = RandomStates(all_of_them=self._all_states)
        self._token = _current.set(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _current.reset(self._token)
        self.restore()

    def restore(self) -> None:
        """Put everything back; it can be tried again afterwards."""
        if self._flat is None:
            _, seen, kept = zip(*self._held.values(), strict=True) if self._held else ((), (), ())
            self._flat = [*chain.from_iterable(seen)], [*chain.from_iterable(kept)]
        if not _same(*self._flat):
            for container, views, content in self._held.values():
                if not _same(views, content):
                    _refill(container, content)
        if any(self._empty.values()):
            for container in self._empty.values():
                container.clear()
        for tensor, version, value in self._tensors.values():
            if tensor._version != version:
                with torch.no_grad():
                    tensor.copy_(value)
        self._states.restore()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within it the random numbers go on from before the try, and what they come to is what is kept."""
        all_of_them = self._all_states
        during = RandomStates(all_of_them=all_of_them)
        self._states.restore()
        self.is_at_rest = True
        try:
            yield
        finally:
            self.is_at_rest = False
            self._states = RandomStates(all_of_them=all_of_them)
            during.restore()

    def remember(self, modules: Iterable[nn.Module]) -> None:
        """Note what modules hold now as that to which they shall return."""
        for container in self._containers(modules):
            self._empty.pop(id(container), None)
            if not container and type(container) in _KINDS:
                self._held.pop(id(container), None)
                self._empty[id(container)] = container
                continue
            if isinstance(container, dict):
                kind = OrderedDict if isinstance(container, OrderedDict) else dict
                views: tuple[Any, ...] = kind.keys(container), kind.values(container)
            else:
                views = (container,)
            self._held[id(container)] = container, views, [*map(list, views)]
        self._flat = None

    def _containers(self, modules: Iterable[nn.Module]) -> list[Any]:
        """The containers among the attributes of modules, and those in them; a tuple is only looked into."""
        closed: set[int] = set()  # they hold modules, parameters and buffers
        found: dict[int, Any] = {}
        waiting: list[Any] = []
        for module in modules:
            self.modules[id(module)] = module
            closed.update(map(id, map(module.__dict__.get, ("_parameters", "_buffers", "_modules"))))
            waiting.append(module.__dict__)
        while waiting:
            container = waiting.pop()
            if id(container) in found:
                continue
            found[id(container)] = container
            if id(container) in closed:
                continue
            values = dict.values(container) if isinstance(container, dict) else container
            if _PLAIN.issuperset(map(type, values)):
                continue
            for value in values:
                if type(value) in _CONTAINERS:
                    waiting.append(value)
                elif type(value) not in _PLAIN:
                    waiting += self._inside(value)
        return [each for each in found.values() if not isinstance(each, tuple)]

    def _inside(self, value: Any) -> list[Any]:
        """What can be refilled in a value that is no plain one; a tensor and foreign code are noted."""
        if isinstance(value, Tensor):
            if self._with_values:
                self._keep(value)
            return []
        self._all_states = self._all_states or (callable(value) and is_foreign(value))
        found = [value] if isinstance(value, (*_KINDS, tuple)) else []
        if found or isinstance(value, types.SimpleNamespace) or hasattr(type(value), "__dataclass_fields__"):
            fields = getattr(value, "__dict__", None)
            found += [fields] if isinstance(fields, dict) else []
        return found

    def _keep(self, tensor: Tensor) -> None:
        if id(tensor) not in self._tensors and not nn.parameter.is_lazy(tensor):
            with torch._C.DisableTorchFunction():
                self._tensors[id(tensor)] = tensor, tensor._version, tensor.detach().clone()


_KINDS = (OrderedDict, dict, list, set, deque)
_CONTAINERS = frozenset({*_KINDS, tuple})
_PLAIN = frozenset({bool, int, float, str, type(None)})


def is_foreign(called: Any) -> bool:
    """Whether code from outside of PyTorch and torchfunc runs when something is called."""
    home = f"{getattr(called, '__module__', None) or 'torch'}."
    return not home.startswith(("torch.", "torchfunc.", "_operator."))


def _same(views: Iterable[Any], content: Iterable[list[Any]]) -> bool:
    """Whether containers hold the same objects in the same order (without comparing tensors)."""
    objects = map(operator.is_, chain.from_iterable(views), chain.from_iterable(content))
    return [*map(len, views)] == [*map(len, content)] and all(objects)


def _refill(container: Any, content: list[list[Any]]) -> None:
    """Put content back by the methods of the kind itself: what a subclass makes of them may do more."""
    kind: Any = next(each for each in _KINDS if isinstance(container, each))
    kind.clear(container)
    if issubclass(kind, dict):
        for key, value in zip(*content, strict=True):
            kind.__setitem__(container, key, value)
    else:
        (kind.update if kind is set else kind.extend)(container, content[0])
