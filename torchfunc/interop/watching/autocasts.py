"""Precision: calls that a forward makes under a `torch.autocast` of its own, which keep it when the model runs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from torchfunc.graph import symbolic
from torchfunc.tree import leaves

Cast = tuple[str, bool, torch.dtype]

# what autocast leaves as it is
_UNTOUCHED = frozenset(
    """
    add sub mul truediv neg getitem getattr cos sin abs chunk clone contiguous detach expand expand_as flatten float
    arange zeros ones full empty eye bfloat16 half double long int bool narrow permute reshape select size split
    squeeze t to transpose type_as unbind unflatten unsqueeze view view_as zeros_like ones_like full_like
    masked_fill where sqrt mean relu sigmoid tanh silu max min repeat repeat_interleave
    """.split()
)


@dataclass(frozen=True)
class InPrecision:
    """A function that is called under `torch.autocast`, or without one, whatever is around it."""

    function: Callable[..., Any]
    casts: tuple[Cast, ...]

    @property
    def __name__(self) -> str:
        cast = self.casts[-1]
        word = str(cast[2]).removeprefix("torch.") if cast[1] else "its_own_precision"
        return f"{symbolic.name_of(self.function)}_in_{word}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        here = next(
            (leaf.device.type for leaf in leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)), "cpu"
        )
        with ExitStack() as stack:
            for device_type, enabled, dtype in self.casts:
                # the forward saw a CPU, which it may have asked for by `x.device.type`
                place = here if device_type == "cpu" and here != "meta" else device_type
                stack.enter_context(torch.autocast(place, dtype=dtype, enabled=enabled))
            return self.function(*args, **kwargs)

    def __reduce__(self) -> Any:
        return in_precision, (self.function, self.casts)


@cache  # one for each function, so that equal models have equal code
def in_precision(function: Callable[..., Any], casts: tuple[Cast, ...]) -> InPrecision:
    """A function with the autocasts that it is called under."""
    return InPrecision(function, casts)


class Casts:
    """The autocasts that a forward is in.

    Attributes:
        current: the device's type, whether it is enabled, and its dtype, for each, the outermost first.
    """

    def __init__(self) -> None:
        self.current: tuple[Cast, ...] = ()

    @staticmethod
    def matters(target: Any) -> bool:
        """Whether a call may turn out otherwise under autocast."""
        if target in (operator.setitem, operator.and_, operator.or_):
            return False
        name = target if isinstance(target, str) else getattr(target, "__name__", "")
        return name not in _UNTOUCHED and not name.endswith("_")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it each autocast that is entered is noted."""
        enter: Any = torch.autocast.__enter__
        leave: Any = torch.autocast.__exit__

        def entered(cast: Any) -> Any:
            self.current = (*self.current, (cast.device, cast._enabled, cast.fast_dtype))
            return enter(cast)

        def left(cast: Any, *error: Any) -> Any:
            self.current = self.current[:-1]
            return leave(cast, *error)

        torch.autocast.__enter__, torch.autocast.__exit__ = entered, left  # type: ignore[method-assign]
        try:
            yield
        finally:
            torch.autocast.__enter__, torch.autocast.__exit__ = enter, leave  # type: ignore[method-assign]
