"""Building: a layer that is only tried makes real weights, and keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

from torchfunc.errors import ShapeError, explain
from torchfunc.graph.probing.meta import OnMeta
from torchfunc.graph.probing.unchanged import Unchanged
from torchfunc.graph.targets import name_of


class building:
    """Within it a layer makes real weights, though it may have been called on tensors without data.

    The weights stay, and are drawn from the random numbers as if nothing had been tried.

    Raises:
        ShapeError: the memory does not hold them.
    """

    __slots__ = ("_layer", "_resting")  # and no generator: every layer is built in one
    _resting: AbstractContextManager[None] | None

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def __enter__(self) -> None:
        unchanged, self._resting = Unchanged.current(), None
        if unchanged is not None and not unchanged.is_at_rest:
            self._resting = _at_rest(self._layer, unchanged)
            self._resting.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._resting is not None:
            self._resting.__exit__(kind, error, traceback)
        if isinstance(error, RuntimeError) and "allocate" in str(error):
            raise _without_room(self._layer, error) from error


@contextmanager
def _at_rest(layer: nn.Module, unchanged: Unchanged) -> Iterator[None]:
    with OnMeta.paused(), unchanged.at_rest():
        try:
            yield
        finally:
            unchanged.remember(layer.modules())
            prepare(layer.modules())


def _without_room(layer: nn.Module, error: RuntimeError) -> ShapeError:
    asked = re.search(r"to allocate ([\d.]+ \w+)", str(error))
    return ShapeError(
        explain(
            f"{type(layer).__name__} {name_of(layer)!r}",
            got=f"one of {asked[1]}" if asked else "one that is larger",
            expected="a weight that a memory can hold",
            fix="fewer units, or a smaller input",
        )
    )


def prepare(modules: Iterable[nn.Module]) -> None:
    """Let every module run as it is, and those without weights make them."""
    for each in modules:
        each.__dict__.pop("_compiled_call_impl", None)
        if "_initialize_hook" in each.__dict__:
            _initialize_by_door(each)


def _initialize_by_door(module: nn.Module) -> None:
    """Let one of PyTorch's lazy modules make real weights during the try, and keep them."""
    hook: Any = module._initialize_hook
    if hook is None or hook.id not in module._forward_pre_hooks:
        return
    initialize: Any = module._infer_parameters

    def by_door(module: Any, args: Any, kwargs: Any = None) -> None:
        with building(module):
            initialize(module, args, kwargs)

    module._forward_pre_hooks[hook.id] = by_door
