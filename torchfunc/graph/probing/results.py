"""Results: what a call returned in several worlds, as one structure of specs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchfunc.graph.spec import Number, Spec
from torchfunc.tree import as_named_tuple, is_branch, leaves, leaves_with_path, map_leaves, map_with_path


class OtherFormError(Exception):
    """A call returns something of another form for another batch size."""


@dataclass(frozen=True)
class Absent:
    """What stands for an object beside the tensors of a result, such as a cache, which no graph carries."""

    kind: str

    def __repr__(self) -> str:
        return f"<{self.kind}, which a graph does not carry>"


def _opened(result: Any) -> Any:
    """A result whose dataclasses are named tuples of their fields, without the objects beside its tensors."""
    opened = map_leaves(as_named_tuple, result)
    if not is_branch(opened) or not any(isinstance(leaf, Tensor) for leaf in leaves(opened)):
        return opened
    return map_leaves(lambda leaf: leaf if _is_carried(leaf) else Absent(type(leaf).__name__), opened)


def _is_carried(leaf: Any) -> bool:
    return isinstance(leaf, (Tensor, int, float, torch.device, Absent, *_PLAIN))


def form_of(tree: Any) -> list[Any]:
    """What must be the same for every batch size: the nesting, ranks, dtypes and plain values."""
    return [(path, _kind(leaf)) for path, leaf in leaves_with_path(tree)]


def _kind(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.ndim, leaf.dtype
    if isinstance(leaf, torch.device):
        return torch.device
    number = isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    return (type(leaf), None if number else leaf) if number or isinstance(leaf, _PLAIN) else _Other(leaf)


_PLAIN = (Absent, bool, complex, str, bytes, type(None), torch.dtype, torch.layout, torch.memory_format)


class _Other:
    """A leaf that is neither a tensor nor a plain value: no part of a graph."""

    def __init__(self, value: Any) -> None:
        raise OtherFormError(
            f"a {type(value).__name__} is among what it returns, and a graph carries tensors, "
            "numbers and strings in lists, tuples and dicts"
        )


def merged(results: list[Any], live: bool, by_values: bool = False) -> Any:
    """One structure of specs from what a call returned in each world; the last may have a form of its own."""
    results = [_opened(result) for result in results]
    forms = [form_of(result) for result in results]
    if len(results) > 2 and forms[2] != forms[0]:
        del results[2], forms[2]
    if forms.count(forms[0]) < len(forms):
        raise OtherFormError(
            "what it returns has another form for another batch size, and a graph has one form for all"
        )

    def spec(path: Any, *values: Any) -> Any:
        first = values[0]
        if isinstance(first, Tensor):
            return Spec(first.dtype, tuple([tuple(value.shape) for value in values]), by_values)
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            moves = live or any(value != first for value in values)
            return Number(values, by_values) if moves else first
        return first

    return map_with_path(spec, *results)
