"""Lost masks: where a mask ended on its way to a layer that would have used it."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from typing import Any

from torch import nn

from torchfunc.graph import blame
from torchfunc.graph.spec import Spec
from torchfunc.graph.symbolic import Method, Node, SymbolicTensor, name_of
from torchfunc.tree import leaves

_told: weakref.WeakSet[Node] = weakref.WeakSet()


def tell(layer: Any, value: Any) -> None:
    """Warn, once for each place, that a mask does not reach `layer`, which is called on `value`."""
    if not isinstance(value, SymbolicTensor):
        return
    if value.mask is not None:
        _warn(
            value.node,
            f"{type(layer).__name__} {layer.name!r} is called on several tensors and is not given the mask of "
            f"{value.name!r}, as in Keras: it takes padded steps for real ones. Fix: give it, as in "
            f"{layer.name}(x, ..., mask=x.mask).",
        )
        return
    end = mask_end(value)
    if end is None:
        return
    source = next(each for each in _data(end) if each.mask is not None)
    if source.mask.ndim < value.ndim:
        ways = [
            *_ways_out(end, source),
            f"give it by hand, {layer.name}(x, mask=y.mask), with the y that has it",
        ]
        _warn(
            end,
            f"The mask of {source.name!r} ends at {blame.described(end.target)} {end.name!r}, as in Keras, and "
            f"{type(layer).__name__} {layer.name!r} after it would use one: it takes padded steps for real ones. "
            f"Fix: {'; or '.join(ways)}.",
        )


def _warn(node: Node, message: str) -> None:
    if node not in _told:
        _told.add(node)
        warnings.warn(message, stacklevel=blame.level())


def mask_end(symbol: SymbolicTensor) -> Node | None:
    """The last call before a symbol without a mask that had one among its inputs and did not hand it on."""
    waiting = [symbol.node]
    while waiting:
        node = waiting[-1]
        if node.is_mask_end_known:
            waiting.pop()
            continue
        data = list(_data(node))
        before = [each.node for each in data if each.mask is None and not each.node.is_mask_end_known]
        if before:
            waiting += before
        else:
            node.mask_end, node.is_mask_end_known = _end_at(node, data), True
    end = symbol.node.mask_end
    return None if end is None else end()


def _end_at(node: Node, data: list[SymbolicTensor]) -> weakref.ref[Node] | None:
    if any(each.mask is not None for each in data):
        return None if getattr(node.target, "_uses_up_mask", False) else weakref.ref(node)
    return next((end for end in (each.node.mask_end for each in data) if end is not None), None)


def _data(node: Node) -> Iterable[SymbolicTensor]:
    """The tensors that a call takes, without those it takes as masks."""
    if not node.kwargs and len(node.args) == 1 and type(node.args[0]) is SymbolicTensor:
        return node.args
    kwargs = {key: each for key, each in node.kwargs.items() if not key.endswith(("mask", "masks"))}
    return (each for each in leaves((node.args, kwargs)) if isinstance(each, SymbolicTensor))


# the functions of PyTorch that Activation knows by the same name and with the same defaults
_ACTIVATIONS = frozenset("tanh relu sigmoid silu softplus selu elu".split())


def _ways_out(end: Node, source: SymbolicTensor) -> list[str]:
    """What to write instead of a call, so that it hands the mask on, where that can be right."""
    target = end.target
    if getattr(target, "supports_masking", False):
        unmasked = next((each.name for each in _data(end) if each.mask is None), None)
        return [] if unmasked is None else [f"give {unmasked!r} a mask too"]
    if not _keeps_steps(end, source):
        return []
    if hasattr(target, "supports_masking"):
        return [f"set {end.name}.supports_masking = True before it is called"]
    if isinstance(target, nn.Module):
        made = f"layers.Torch({type(target).__name__}(...))"
        return [f"call it as layer = {made} with layer.supports_masking = True"]
    name = target.name if isinstance(target, Method) else name_of(target)
    if name in _ACTIVATIONS and len(end.args) == 1 and not end.kwargs:
        return [f"use layers.Activation({name!r})"]
    return ["write it as layers.Lambda(function, mask=lambda x, mask: mask)"]


def _keeps_steps(end: Node, source: SymbolicTensor) -> bool:
    """Whether the dimensions that are masked are the same behind the call."""
    steps = source.mask.ndim
    return isinstance(end.specs, Spec) and end.specs.shape[:steps] == source.spec.shape[:steps]
