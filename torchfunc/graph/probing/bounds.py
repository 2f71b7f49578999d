"""Bounds: how far a try may go where a config asks for it, of which nobody knows who wrote it.

Within them no call is made on numbers, nothing is imported, and the calls that are tried are counted. Code of
the user's own, which a config can only name, is tried as it always is.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

from torch import Tensor

from torchfunc.errors import GraphError, LimitError, explain
from torchfunc.graph.spec import Number, Spec
from torchfunc.tree import leaves

R = TypeVar("R")
CALLS = 100_000  # what a config of any size may have tried
CALLS_PER_ROW = 500
_MOST_PARTS = 10_000
_MOST_BITS = 64


class ValuesNeededError(GraphError):
    """What a call returns shows on numbers only, and it may not be made on any."""


class ShapesNeededError(ValuesNeededError):
    """A layer cannot be built: what it is called on shows on numbers only, or by an import."""


class Bounds:
    """How many functions of PyTorch may still be tried, and whether PyTorch may import modules for that."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.may_import = False

    def spend(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count one call that is about to be tried.

        Raises:
            LimitError: there were too many, or it would return too many tensors.
        """
        self.calls -= 1
        if self.calls < 0:
            raise LimitError(
                "The config: its calls take too many tries to find the shapes of what they return. "
                "Fix: load it from a file of model.save(path), which keeps these shapes."
            )
        count_parts = _PARTS.get(getattr(function, "__name__", ""))
        if count_parts is not None and args and isinstance(args[0], Tensor):
            count = count_parts(args[0], [*args[1:], *kwargs.values()])
            if count > _MOST_PARTS:
                raise LimitError(
                    explain(
                        function.__name__, got=f"{count:,} parts", expected=f"at most {_MOST_PARTS:,} of them"
                    )
                )


# False where the user's own program asks, so that no bounds begin there
_bounds: ContextVar[Bounds | Literal[False] | None] = ContextVar("bounds", default=None)
_trying: ContextVar[bool] = ContextVar("trying", default=False)


def current() -> Bounds | None:
    """The bounds that hold here, if any do."""
    return _bounds.get() or None


@contextmanager
def bounded(count_rows: Callable[[], int]) -> Iterator[None]:
    """Within it, what is tried is bounded, in proportion to the rows of the tables; inside other bounds these hold."""
    if _bounds.get() is not None:
        yield
        return
    token, refuser = _bounds.set(Bounds(CALLS + CALLS_PER_ROW * count_rows())), _Refuser()
    sys.meta_path.insert(0, refuser)
    try:
        yield
    finally:
        sys.meta_path.remove(refuser)
        _bounds.reset(token)


def importing_if_need_be(read: Callable[[], R]) -> R:
    """What `read` makes of a config; where a layer cannot be built else, with what PyTorch imports to say shapes."""
    try:
        return read()
    except ShapesNeededError:
        bounds = current()
        if bounds is None or bounds.may_import:
            raise
    bounds.may_import = True
    return read()


@contextmanager
def unbounded() -> Iterator[None]:
    """Within it no bounds hold: for what the user's own program asks for."""
    token, trying = _bounds.set(False), _trying.set(False)
    try:
        yield
    finally:
        _trying.reset(trying)
        _bounds.reset(token)


@contextmanager
def importing_nothing() -> Iterator[None]:
    """Within it, and within bounds, an import of what is not there yet fails.

    PyTorch works out some results without data in Python, for which it imports 500 to 800 modules when it is
    first asked, which set variables of the environment too.
    """
    bounds = current()
    token = _trying.set(bounds is not None and not bounds.may_import)
    try:
        yield
    finally:
        _trying.reset(token)


class _Refuser:
    """A finder that refuses every import of those who only try."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if _trying.get():
            raise ImportError(f"{name} is not imported because a config asks for it")


def check_numbers(target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Refuse what Python would count with for long: a power, or a shift, that is a number of many digits.

    Raises:
        LimitError: it is.
    """
    if target in (operator.pow, operator.lshift) and not any(isinstance(each, Spec) for each in args):
        _, *by = (each.worlds if isinstance(each, Number) else (each,) for each in args)
        if any(isinstance(each, int) and abs(each) > _MOST_BITS for worlds in by for each in worlds):
            raise LimitError(f"{target.__name__}: expected a number of 64 bits for a result.")


def check_results(results: Any) -> None:
    """Refuse a number that was counted with and has too many digits.

    Raises:
        LimitError: it has.
    """
    for leaf in leaves(results):
        if isinstance(leaf, int) and leaf.bit_length() > _MOST_BITS:
            raise LimitError("The config: expected numbers of 64 bits, got a larger one as a result.")


def _size(tensor: Tensor, dim: Any) -> int:
    fits = isinstance(dim, int) and -tensor.ndim <= dim < tensor.ndim
    return tensor.shape[dim] if fits else 0


def _split(tensor: Tensor, given: list[Any]) -> int:
    size = given[0] if given else 1
    if not isinstance(size, int):
        return 0
    return -(-_size(tensor, given[1] if len(given) > 1 else 0) // max(1, size))


def _unbound(tensor: Tensor, given: list[Any]) -> int:
    return _size(tensor, given[0] if given else 0)


def _stated(tensor: Tensor, given: list[Any]) -> int:
    return max((each for each in given if isinstance(each, int)), default=0)


_PARTS: dict[str, Callable[[Tensor, list[Any]], int]] = {
    **dict.fromkeys(("split", "unsafe_split"), _split),
    **dict.fromkeys(("unbind", "__iter__"), _unbound),
    **dict.fromkeys(("chunk", "unsafe_chunk", "tensor_split", "hsplit", "vsplit", "dsplit"), _stated),
}
