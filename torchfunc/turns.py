"""Turns: threads that train, measure or predict with one module do so one after the other."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch import nn

from torchfunc.errors import TorchfuncError, explain

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

_under_way: list[_Turn] = []
_changed = threading.Condition()
PATIENCE = 60.0  # seconds


class _Turn:
    """What is under way: with which module, in which thread, and what it does."""

    def __init__(self, module: nn.Module, thread: int, verb: str) -> None:
        self.module, self.thread, self.verb = module, thread, verb
        self._parts: frozenset[int] | None = None

    def parts(self) -> frozenset[int]:
        """The identities of all modules that take part, which are asked for only where two threads have a turn."""
        while self._parts is None:
            with suppress(RuntimeError):  # its thread has just made a layer
                self._parts = frozenset(map(id, self.module.modules()))
        return self._parts


@contextmanager
def turn(module: nn.Module, verb: str) -> Iterator[None]:
    """Within it no other thread has a turn with the module, or with a module that shares a layer with it.

    A thread may begin another turn within its own. It waits for short ones, and not for a `fit`, nor while
    others may wait for what it holds. Nobody can know whether the other one waits for this thread, as an `evaluate`
    does whose data come from a thread that predicts with the model: a long wait is told by a warning.

    Raises:
        TorchfuncError: it would have to wait for one of these.
    """
    mine, told = _Turn(module, threading.get_ident(), verb), False
    with _changed:
        while (other := _beside(mine)) is not None:
            if other.verb == "fit" or any(each.thread == mine.thread for each in _under_way):
                raise _busy(module, verb, other)
            if not _changed.wait(PATIENCE) and not told:
                told = True
                warnings.warn(_waits(module, verb, other), stacklevel=4)
        _under_way.append(mine)
    try:
        yield
    finally:
        with _changed:
            _under_way.remove(mine)
            _changed.notify_all()


def _beside(mine: _Turn) -> _Turn | None:
    """The first turn of another thread with a module that has a layer of this one."""
    if not _under_way:
        return None
    others = (each for each in _under_way if each.thread != mine.thread)
    return next((each for each in others if not mine.parts().isdisjoint(each.parts())), None)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method of an object that has a `module`, each call in a turn of its own."""

    @functools.wraps(method)
    def taking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        module: Any = self
        with turn(module.module, method.__name__):
            return method(self, *args, **kwargs)

    return taking


def _thread(ident: int) -> str:
    return next((repr(each.name) for each in threading.enumerate() if each.ident == ident), str(ident))


def _waits(module: nn.Module, verb: str, other: _Turn) -> str:
    return explain(
        f"{verb} of {type(module).__name__}",
        got=f"no turn for {PATIENCE:.0f} seconds, in which {other.verb} was under way in the thread {_thread(other.thread)}",
        why="if that waits for this thread, as for its data, both wait forever",
        fix="use a copy in one of them: copy.deepcopy(model)",
    )


def _busy(module: nn.Module, verb: str, other: _Turn) -> TorchfuncError:
    return TorchfuncError(
        explain(
            f"{verb} of {type(module).__name__}",
            got=f"a call while {other.verb} is under way in the thread {_thread(other.thread)}",
            why="both set the mode of its layers, and the results would be mixed",
            fix="call it after that, or with a copy: copy.deepcopy(model)",
        )
    )
