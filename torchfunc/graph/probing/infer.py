"""What a call would return: found by trying it on tensors that have a shape and a dtype but no data.

Every symbolic tensor remembers its shape in three worlds: in one each unknown dimension is 96, in the
next 192, in the last 1. A call is tried in each; what moved between them is unknown in the result. 96 and
192 divide by 2, 3, 4, 6, 8, 12, 16, 24, 32, 48 and 96, so that a module which splits a dimension can be
tried. The last world tells what `x[:, :50]` or `n % 8` hide from the others; it is left out where a call
cannot be made in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.errors import LimitError
from torchfunc.graph.probing import bounds
from torchfunc.graph.probing.building import prepare
from torchfunc.graph.probing.meta import OnMeta
from torchfunc.graph.probing.results import merged
from torchfunc.graph.probing.unchanged import Unchanged, is_foreign
from torchfunc.graph.probing.values import returned_on_cpu
from torchfunc.graph.spec import WORLDS, Number, Spec
from torchfunc.graph.targets import name_of
from torchfunc.tree import leaves, map_leaves


def infer(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The specs of what `target(*args, **kwargs)` returns, where Specs and Numbers stand for its symbols.

    Nothing is left behind: the attributes and buffers of a module, and the states of the random number
    generators, are as before. Weights that a lazy layer makes on its first call stay.

    Returns:
        What the call returns, with a Spec for each tensor and a Number for each number that moves.

    Raises:
        OtherFormError: it returns something of another form for another batch size.
        ValuesNeededError: it would have to be made on numbers, where that may not be.
        Exception: whatever the call itself raises.
    """
    if bounds.current() is None:
        return _inferred(target, args, kwargs)
    if is_foreign(type(target) if isinstance(target, nn.Module) else target):
        with bounds.unbounded():
            return _inferred(target, args, kwargs)
    bounds.check_numbers(target, args)
    try:
        with bounds.importing_nothing():
            specs = _inferred_in_any_mode(target, args, kwargs)
    except ImportError as error:
        raise bounds.ValuesNeededError(
            f"PyTorch finds what {name_of(target)} returns by code of its own that is not imported because a config "
            "asks for it. Fix: load the model from a file of model.save(path), which keeps the shapes."
        ) from error
    bounds.check_results([each.worlds for each in leaves(specs) if isinstance(each, Number)])
    return specs


def _inferred_in_any_mode(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the call returns, in inference mode where training looks at numbers, as a batch norm that counts batches."""
    try:
        return _inferred(target, args, kwargs)
    except bounds.ValuesNeededError:
        trained = (
            [each for each in target.modules() if each.training] if isinstance(target, nn.Module) else []
        )
        if not trained:
            raise
    for each in trained:
        each.training = False
    try:
        return _inferred(target, args, kwargs)
    finally:
        for each in trained:
            each.training = True


def _inferred(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    symbols = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, (Spec, Number))]
    count = min([len(symbol.worlds) for symbol in symbols if len(symbol.worlds) > 1], default=1)
    live, by_values = Number in map(type, symbols), False
    try:
        results = _on_meta(target, args, kwargs, count)
    except (LimitError, ImportError):
        raise
    except Exception as error:
        if not _wants_values(error):
            raise
        if bounds.current() is not None:
            raise bounds.ValuesNeededError(
                f"What {name_of(target)} returns shows on numbers only, on which nothing is computed because a "
                "config asks for it. Fix: load the model from a file of model.save(path), which keeps the shapes."
            ) from error
        results, live, by_values = returned_on_cpu(target, args, kwargs, count), True, True
        if not isinstance(target, nn.Module) and not _are_tensors(results[:2]):
            raise  # a number made of values, and no module that could make it at every call
    return merged(results, live, by_values)


def _on_meta(target: Any, args: Any, kwargs: Any, count: int) -> list[Any]:
    """What the call returns in each of `count` worlds, where tensors have no data."""
    with Unchanged(target) as unchanged:
        results = [_try(target, args, kwargs, 0, unchanged)]
        if unchanged.counts_values:
            count = len(WORLDS)
        if count > 1:
            results.append(_try(target, args, kwargs, 1, unchanged))
        if count > 2:
            results += _last_world(target, args, kwargs, unchanged)
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
    args, kwargs = _in_world(args, world), kwargs and _in_world(kwargs, world)
    prepare(unchanged.modules.values())
    with torch.no_grad(), OnMeta(WORLDS[world]) as mode:
        result = target(*args, **kwargs)
    unchanged.restore()
    unchanged.counts_values = unchanged.counts_values or mode.counts_values
    return result


def _in_world(tree: Any, world: int) -> Any:
    """Arguments as they are in one world: tensors without data, and numbers."""

    def stand_in(leaf: Any) -> Any:
        if isinstance(leaf, Spec):
            shape = leaf.worlds[min(world, len(leaf.worlds) - 1)]
            return torch.empty(shape, dtype=leaf.dtype, device="meta")
        return leaf.worlds[min(world, len(leaf.worlds) - 1)] if isinstance(leaf, Number) else leaf

    return map_leaves(stand_in, tree)


def _last_world(target: Any, args: Any, kwargs: Any, unchanged: Unchanged) -> list[Any]:
    """What the call returns where every unknown dimension is 1, if it can be made."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [_try(target, args, kwargs, 2, unchanged)]
    except Exception:
        return []


def _wants_values(error: Exception) -> bool:
    """Whether a call failed only because it wanted to look at numbers."""
    text = str(error).lower()
    if 'required "forward" function' in text:
        return False
    return "meta" in text or "data-dependent" in text or isinstance(error, NotImplementedError)
