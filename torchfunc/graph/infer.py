"""What a call would return: found by trying it on tensors that have a shape and a dtype but no data.

Every symbolic tensor remembers its shape in three worlds: in one each unknown dimension is 96, in the
next 192, in the last 1. A call is tried in each; what moved between them is unknown in the result. 96 and
192 divide by 2, 3, 4, 6, 8, 12, 16, 24, 32, 48 and 96, so that a module which splits a dimension can be
tried. The last world tells what `x[:, :50]` or `n % 8` hide from the others; it is left out where a call
cannot be made in it.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.errors import ShapeError, explain
from torchfunc.graph.meta import OnMeta
from torchfunc.graph.targets import name_of
from torchfunc.graph.unchanged import Unchanged
from torchfunc.tree import leaves, leaves_with_path, map_leaves, map_with_path

WORLDS = (96, 192, 1)
_SMALL = (12, 24)  # the sizes of the first two worlds where a call has to be made on real numbers


@dataclass(frozen=True)
class Spec:
    """The type of a tensor: its dtype, and its shape in each world.

    Attributes:
        dtype: a `torch.dtype`.
        worlds: the shape in each world; one alone where nothing is unknown.
        shape: the one shape that they make, where an unknown dimension is None.
    """

    dtype: torch.dtype
    worlds: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if all(shape == self.worlds[0] for shape in self.worlds):
            object.__setattr__(self, "worlds", self.worlds[:1])

    @classmethod
    def of(cls, shape: Sequence[int | None], dtype: torch.dtype = torch.float32) -> Spec:
        """The spec of a tensor with this shape, None where unknown."""
        return cls(dtype, tuple(tuple(world if each is None else each for each in shape) for world in WORLDS))

    @property
    def shape(self) -> tuple[int | None, ...]:
        return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*self.worlds, strict=True))

    def __repr__(self) -> str:
        return f"{self.shape} {str(self.dtype).removeprefix('torch.')}"


@dataclass(frozen=True)
class Number:
    """The type of a number that each batch brings, such as a batch size: its value in each world."""

    worlds: tuple[Any, ...]


class OtherFormError(Exception):
    """A call returns something of another form for another batch size."""


def infer(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The specs of what `target(*args, **kwargs)` returns, where Specs and Numbers stand for its symbols.

    Nothing is left behind: the attributes and buffers of a module, and the states of the random number
    generators, are as before. Weights that a lazy layer makes on its first call stay.

    Returns:
        What the call returns, with a Spec for each tensor and a Number for each number that moves.

    Raises:
        OtherFormError: it returns something of another form for another batch size.
        Exception: whatever the call itself raises.
    """
    symbols = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, (Spec, Number))]
    count = min((len(symbol.worlds) for symbol in symbols if len(symbol.worlds) > 1), default=1)
    live = any(isinstance(symbol, Number) for symbol in symbols)
    try:
        results = _on_meta(target, args, kwargs, count)
    except Exception as error:
        if not _wants_values(error):
            raise
        results, live = _on_cpu(target, args, kwargs, count), True
        if not isinstance(target, nn.Module) and not _are_tensors(results):
            raise  # a number made of values, and no module that could make it at every call
    return _merged(results, live)


def _on_meta(target: Any, args: Any, kwargs: Any, count: int) -> list[Any]:
    """What the call returns in each of `count` worlds, where tensors have no data."""
    with Unchanged(target) as unchanged:
        results = [_try(target, args, kwargs, world, unchanged) for world in range(min(count, 2))]
        if count > 2:
            results += _last_world(target, args, kwargs, results[0], unchanged)
    return results


def _are_tensors(results: list[Any]) -> bool:
    return all(isinstance(leaf, Tensor) for leaf in leaves(results))


def failure(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception | None:
    """What the call raises in the first world of its arguments, or None."""
    with Unchanged(target) as unchanged:
        try:
            _try(target, args, kwargs, 0, unchanged)
        except Exception as error:
            return error
    return None


def _try(target: Any, args: Any, kwargs: Any, world: int, unchanged: Unchanged) -> Any:
    """What the call returns in one world, where tensors have no data; nothing is left behind."""
    args, kwargs = _in_world((args, kwargs), world)
    _prepare(target)
    with torch.no_grad(), OnMeta():
        result = target(*args, **kwargs)
    unchanged.restore()
    return result


def _in_world(tree: Any, world: int) -> Any:
    """Arguments as they are in one world: tensors without data, and numbers."""

    def stand_in(leaf: Any) -> Any:
        if isinstance(leaf, Spec):
            shape = leaf.worlds[min(world, len(leaf.worlds) - 1)]
            return torch.empty(shape, dtype=leaf.dtype, device="meta")
        return leaf.worlds[min(world, len(leaf.worlds) - 1)] if isinstance(leaf, Number) else leaf

    return map_leaves(stand_in, tree)


def _last_world(target: Any, args: Any, kwargs: Any, expected: Any, unchanged: Unchanged) -> list[Any]:
    """What the call returns where every unknown dimension is 1, if it can be made and has the same form."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = _try(target, args, kwargs, 2, unchanged)
    except Exception:
        return []
    return [result] if _form(result) == _form(expected) else []


def _form(tree: Any) -> list[Any]:
    """What must be the same for every batch size: the nesting, ranks, dtypes and plain values."""
    return [(path, _kind(leaf)) for path, leaf in leaves_with_path(tree)]


def _kind(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.ndim, leaf.dtype
    if isinstance(leaf, torch.device):
        return torch.device
    number = isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    return (type(leaf), None if number else leaf) if number or isinstance(leaf, _PLAIN) else _Other(leaf)


_PLAIN = (bool, complex, str, bytes, type(None), torch.dtype, torch.layout, torch.memory_format)


class _Other:
    """A leaf that is neither a tensor nor a plain value: no part of a graph."""

    def __init__(self, value: Any) -> None:
        raise OtherFormError(
            f"a {type(value).__name__} is among what it returns, and a graph carries tensors, "
            "numbers and strings in lists, tuples and dicts"
        )


def _merged(results: list[Any], live: bool) -> Any:
    """One structure of specs from what a call returned in each world."""
    forms = [_form(result) for result in results]
    if any(form != forms[0] for form in forms):
        raise OtherFormError(
            "what it returns has another form for another batch size, and a graph has one form for all"
        )

    def spec(path: Any, *values: Any) -> Any:
        first = values[0]
        if isinstance(first, Tensor):
            return Spec(first.dtype, tuple(tuple(value.shape) for value in values))
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            return Number(values) if live or any(value != first for value in values) else first
        return first

    return map_with_path(spec, *results)


def _prepare(target: Any) -> None:
    """Let every module run as it is, and those without weights make them."""
    for each in target.modules() if isinstance(target, nn.Module) else ():
        each.__dict__.pop("_compiled_call_impl", None)
        _initialize_by_door(each)


def _initialize_by_door(module: nn.Module) -> None:
    """Let one of PyTorch's lazy modules make real weights during the try, and keep them."""
    hook = module.__dict__.get("_initialize_hook")
    if hook is None or hook.id not in module._forward_pre_hooks:
        return
    initialize: Any = module._infer_parameters

    def by_door(module: Any, args: Any, kwargs: Any = None) -> None:
        with building(module):
            initialize(module, args, kwargs)

    module._forward_pre_hooks[hook.id] = by_door


@contextmanager
def building(layer: nn.Module) -> Iterator[None]:
    """Within it a layer makes real weights, though it may have been called on tensors without data.

    The weights stay, and are drawn from the random numbers as if nothing had been tried.

    Raises:
        ShapeError: the memory does not hold them.
    """
    try:
        with _at_rest(layer):
            yield
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise _without_room(layer, error) from error


@contextmanager
def _at_rest(layer: nn.Module) -> Iterator[None]:
    unchanged = Unchanged.current()
    if unchanged is None or unchanged.is_at_rest:
        yield
        return
    with OnMeta.paused(), unchanged.at_rest():
        try:
            yield
        finally:
            for each in layer.modules():
                unchanged.remember(each)


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


def _wants_values(error: Exception) -> bool:
    """Whether a call failed only because it wanted to look at numbers."""
    text = str(error).lower()
    return "meta" in text or "data-dependent" in text or isinstance(error, NotImplementedError)


def _on_cpu(target: Callable[..., Any], args: Any, kwargs: Any, count: int) -> list[Any]:
    """A call that looks at numbers, made twice on small tensors of different numbers.

    What they return is scaled to the first two worlds; a size that hangs on the numbers moves too.
    """
    small = [_scaled_down(args, kwargs, size) for size in _SMALL]
    fills: tuple[list[tuple[int, ...]], ...] = [(1,)], [(0, 3, 1), (0, 1, 1), (2,), (1,)]
    found = [_first_that_works(target, tree, values) for tree, values in zip(small, fills, strict=True)]
    if _form(found[0]) != _form(found[1]):
        return found
    scaled = [
        map_with_path(lambda path, *values, world=world: _scaled_up(values, world), *found)
        for world in WORLDS[:2]
    ]
    last = _last_on_cpu(target, args, kwargs, found[0]) if count > 2 else []
    return [map_leaves(_meta_like, each) for each in scaled] + last


def _last_on_cpu(target: Any, args: Any, kwargs: Any, expected: Any) -> list[Any]:
    """As `_last_world`, on numbers."""
    try:
        result = _call_on_cpu(target, *_filled(_scaled_down(args, kwargs, WORLDS[2]), (1,)))
    except Exception:
        return []
    return [result] if _form(result) == _form(expected) else []


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
    with Unchanged(target, with_values=True), torch.no_grad(), torch.device("cpu"):
        _prepare(target)
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
