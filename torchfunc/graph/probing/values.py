"""Values: a call that looks at numbers, made on small real tensors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.graph.probing.building import prepare
from torchfunc.graph.probing.results import form_of
from torchfunc.graph.probing.unchanged import Unchanged
from torchfunc.graph.spec import WORLDS, Number, Spec
from torchfunc.tree import map_leaves, map_with_path

_SMALL = (12, 24)  # the sizes of the first two worlds where a call has to be made on real numbers


def returned_on_cpu(target: Callable[..., Any], args: Any, kwargs: Any, count: int) -> list[Any]:
    """A call that looks at numbers, made twice on small tensors of different numbers.

    What they return is scaled to the first two worlds; a size that hangs on the numbers moves too.
    """
    small = [_scaled_down(args, kwargs, size) for size in _SMALL]
    fills: tuple[list[tuple[int, ...]], ...] = [(1,)], [(0, 3, 1), (0, 1, 1), (2,), (1,)]
    found = [_first_that_works(target, tree, values) for tree, values in zip(small, fills, strict=True)]
    if form_of(found[0]) != form_of(found[1]):
        return found
    scaled = [
        map_with_path(lambda path, *values, world=world: _scaled_up(values, world), *found)
        for world in WORLDS[:2]
    ]
    last = _last_on_cpu(target, args, kwargs) if count > 2 else []
    return [map_leaves(_meta_like, each) for each in scaled] + last


def _last_on_cpu(target: Any, args: Any, kwargs: Any) -> list[Any]:
    """As `_last_world`, on numbers."""
    try:
        return [_call_on_cpu(target, *_filled(_scaled_down(args, kwargs, WORLDS[2]), (1,)))]
    except Exception:
        return []


def _first_that_works(target: Any, tree: Any, fills: list[tuple[int, ...]]) -> Any:
    for fill in fills[:-1]:
        try:
            return _call_on_cpu(target, *_filled(tree, fill))
        except Exception:
            continue
    return _call_on_cpu(target, *_filled(tree, fills[-1]))


def _call_on_cpu(target: Any, args: Any, kwargs: Any) -> Any:
    """Call on real numbers; the parameters and buffers of a module are copies.

    A model is checked under `torch.device("meta")` before it is loaded, so the CPU is asked for by name.
    """
    with Unchanged(target, with_values=True) as unchanged, torch.no_grad(), torch.device("cpu"):
        prepare(unchanged.modules.values())
        if not isinstance(target, nn.Module) or isinstance(target, torch.jit.ScriptModule):
            return target(*args, **kwargs)
        named = itertools.chain(target.named_parameters(), target.named_buffers())
        copies = {name: _copy_on_cpu(each) for name, each in named if not nn.parameter.is_lazy(each)}
        return torch.func.functional_call(target, copies, args, kwargs)


def _copy_on_cpu(tensor: Tensor) -> Tensor:
    """A copy with the same numbers, or zeros where a tensor has none."""
    if tensor.device.type == "meta":
        return torch.zeros_like(tensor, device="cpu")
    return tensor.detach().cpu().clone()


def _filled(tree: Any, values: tuple[int, ...]) -> Any:
    """Real tensors for specs, holding `values` over and over; copies of tensors that are real already."""

    def fill(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return _copy_on_cpu(leaf)
        if not isinstance(leaf, Spec):
            return leaf
        count = torch.Size(leaf.worlds[0]).numel()
        pattern = torch.tensor(values, dtype=leaf.dtype, device="cpu").repeat(count // len(values) + 1)
        return pattern[:count].view(leaf.worlds[0])

    return map_leaves(fill, tree)


def _scaled_down(args: Any, kwargs: Any, size: int) -> Any:
    """Arguments where each unknown dimension is what it would be for a batch of `size`."""

    def scale(leaf: Any) -> Any:
        if isinstance(leaf, Number):
            return _line(leaf.worlds, WORLDS, size)
        if isinstance(leaf, Spec) and len(leaf.worlds) > 1:
            sizes = (max(1, _line(each, WORLDS, size)) for each in zip(*leaf.worlds, strict=True))
            return Spec(leaf.dtype, (tuple(sizes),))
        return leaf

    return map_leaves(scale, (args, kwargs))


def _scaled_up(values: tuple[Any, ...], world: int) -> Any:
    first = values[0]
    if not isinstance(first, Tensor):
        return first
    sizes = zip(*(value.shape for value in values), strict=True)
    return Spec(first.dtype, (tuple(_size_in(world, each) for each in sizes),))


def _size_in(world: int, small: Sequence[int]) -> int:
    """A size in a large world; one that hangs on values rather than on the batch is as large as the world."""
    line = [_line(small, _SMALL, each) for each in WORLDS[:2]]
    follows = small[0] == small[1] or 0 < line[0] < line[1]
    return int(line[WORLDS.index(world)]) if follows else world


def _meta_like(leaf: Any) -> Any:
    return torch.empty(leaf.worlds[0], dtype=leaf.dtype, device="meta") if isinstance(leaf, Spec) else leaf


def _line(values: Sequence[Any], sizes: Sequence[int], size: int) -> Any:
    """Where the straight line through the first two values lies at `size`."""
    (a, b), (at_a, at_b) = values[:2], sizes[:2]
    return a if a == b else max(0, round(a + (b - a) * (size - at_a) / (at_b - at_a)))
