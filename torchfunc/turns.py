"""Turns: threads that train, measure or predict with one module do so one after the other."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch import nn

from torchfunc.errors import TorchfuncError, explain

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

# What is under way by the identity of each module that takes part: the thread, and what it does.
_under_way: dict[int, tuple[int, str]] = {}
_changed = threading.Condition()
PATIENCE = 60.0  # seconds


@contextmanager
def turn(module: nn.Module, verb: str) -> Iterator[None]:
    """Within it no other thread has a turn with the module, or with a module that shares a layer with it.

    A thread may begin another turn within its own. It waits for short ones, and not for a `fit`, nor while
    others may wait for what it holds. Nobody can know whether the other one waits for this thread, as an `evaluate`
    does whose data come from a thread that predicts with the model: a long wait is told by a warning.

    Raises:
        TorchfuncError: it would have to wait for one of these.
    """
    me, told = threading.get_ident(), False
    parts = [id(each) for each in module.modules()]
    with _changed:
        while (other := next((_under_way[part] for part in parts if _others(part, me)), None)) is not None:
            if other[1] == "fit" or any(thread == me for thread, _ in _under_way.values()):
                raise _busy(module, verb, other)
            if not _changed.wait(PATIENCE) and not told:
                told = True
                warnings.warn(_waits(module, verb, other), stacklevel=4)
        taken = [part for part in parts if part not in _under_way]
        _under_way.update(dict.fromkeys(taken, (me, verb)))
    try:
        yield
    finally:
        with _changed:
            for part in taken:
                del _under_way[part]
            _changed.notify_all()


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method of an object that has a `module`, each call in a turn of its own."""

    @functools.wraps(method)
    def taking(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        module: Any = self
        with turn(module.module, method.__name__):
            return method(self, *args, **kwargs)

    return taking


def _others(part: int, me: int) -> bool:
    return part in _under_way and _under_way[part][0] != me


def _thread(ident: int) -> str:
    return next((repr(each.name) for each in threading.enumerate() if each.ident == ident), str(ident))


def _waits(module: nn.Module, verb: str, other: tuple[int, str]) -> str:
    return explain(
        f"{verb} of {type(module).__name__}",
        got=f"no turn for {PATIENCE:.0f} seconds, in which {other[1]} was under way in the thread {_thread(other[0])}",
        why="if that waits for this thread, as for its data, both wait forever",
        fix="use a copy in one of them: copy.deepcopy(model)",
    )


def _busy(module: nn.Module, verb: str, other: tuple[int, str]) -> TorchfuncError:
    return TorchfuncError(
        explain(
            f"{verb} of {type(module).__name__}",
            got=f"a call while {other[1]} is under way in the thread {_thread(other[0])}",
            why="both set the mode of its layers, and the results would be mixed",
            fix="call it after that, or with a copy: copy.deepcopy(model)",
        )
    )
