"""Turns: threads that train, measure or predict with one module do so one after the other."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from torch import nn

from torchfunc.errors import TorchfuncError, explain

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class _Turn(NamedTuple):
    """What is under way: the thread, what it does, and the identities of the modules that take part."""

    thread: int
    verb: str
    parts: frozenset[int]


_under_way: dict[object, _Turn] = {}
_changed = threading.Condition()
PATIENCE = 60.0  # seconds


class turn:
    """Within it no other thread has a turn with the module, or with a module that shares a layer with it.

    A thread may begin another turn within its own. It waits for short ones, and not for a `fit`, nor while
    others may wait for what it holds. Nobody can know whether the other one waits for this thread, as an `evaluate`
    does whose data come from a thread that predicts with the model: a long wait is told by a warning.

    Args:
        module: that takes part, with all in it.
        verb: what is done with it.
        parts: the identities of all these modules, for who knows them already.

    Raises:
        TorchfuncError: it would have to wait for one of these.
    """

    __slots__ = ("module", "parts", "verb")

    def __init__(self, module: nn.Module, verb: str, parts: frozenset[int] | None = None) -> None:
        self.module, self.verb = module, verb
        self.parts = frozenset(map(id, module.modules())) if parts is None else parts

    def __enter__(self) -> None:
        me, told = threading.get_ident(), False
        with _changed:
            while (other := self._other(me)) is not None:
                if other.verb == "fit" or any(each.thread == me for each in _under_way.values()):
                    raise _busy(self.module, self.verb, other)
                if not _changed.wait(PATIENCE) and not told:
                    told = True
                    warnings.warn(_waits(self.module, self.verb, other), stacklevel=3)
            _under_way[self] = _Turn(me, self.verb, self.parts)

    def __exit__(self, *_: object) -> None:
        with _changed:
            del _under_way[self]
            _changed.notify_all()

    def _other(self, me: int) -> _Turn | None:
        """The turn of another thread that this one has to wait for."""
        for each in _under_way.values():
            if each.thread != me and not each.parts.isdisjoint(self.parts):
                return each
        return None


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
