"""Control flow: functions of Python that are called once, by turns or for each row of a tensor.

A graph holds no function of Python: on symbols they are refused, with the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError
from torchfunc.graph.symbolic import has_symbol
from torchfunc.ops.conversion import to_tensor
from torchfunc.tree import leaves, map_leaves, map_with_path

Function = Callable[..., Any]


def _refuse(name: str, *values: Any) -> None:
    if has_symbol(*values):
        raise GraphError(
            f"ops.{name} calls a function of Python, which no graph can hold. "
            f"Fix: write it inside a Layer's `call`, where it is given tensors."
        )


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What one of two functions returns.

    Raises:
        GraphError: `pred` is a symbol.
    """
    _refuse("cond", pred)
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Function], *operands: Any) -> Any:
    """What the function at an index returns; an index out of bounds is the nearest one."""
    _refuse("switch", index, operands)
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


def while_loop(cond: Function, body: Function, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """The variables after `body` has been called on them as long as `cond` holds."""
    _refuse("while_loop", loop_vars)
    is_many = isinstance(loop_vars, (list, tuple))
    values = map_leaves(to_tensor, tuple(loop_vars) if is_many else (loop_vars,))
    turn = 0
    while (maximum_iterations is None or turn < maximum_iterations) and cond(*values):
        found = body(*values)
        values = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        turn += 1
    return values if is_many else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Function, init_val: Any) -> Any:
    """`value = body_fun(index, value)` for each index from `lower` to below `upper`."""
    _refuse("fori_loop", lower, upper, init_val)
    for index in range(int(lower), int(upper)):
        init_val = body_fun(index, init_val)
    return init_val


def _stacked(rows: Sequence[Any]) -> Any:
    return map_with_path(lambda _, *each: torch.stack([to_tensor(one) for one in each]), *rows)


def scan(
    f: Function,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for each row x of `xs`: the last carry, and the stack of all y.

    Raises:
        GraphError: on symbols, or with neither `xs` nor `length`.
    """
    _refuse("scan", init, xs)
    if xs is None and length is None:
        raise GraphError(
            "scan has no rows to go through. Fix: xs=..., or length=... for so many calls without one."
        )
    xs, carry = (None if each is None else map_leaves(to_tensor, each) for each in (xs, init))
    count = len(next(leaves(xs))) if length is None else int(length)
    rows = []
    for index in reversed(range(count)) if reverse else range(count):
        row = None if xs is None else map_leaves(lambda x, index=index: x[index], xs)
        carry, y = f(carry, row)
        rows.append(map_leaves(torch.zeros_like, carry) if y is None else y)
    return carry, _stacked(rows[::-1] if reverse else rows)


def map(f: Function, xs: Any) -> Any:
    """The stack of what a function returns for each row of `xs`."""
    _refuse("map", xs)
    return scan(lambda carry, row: (carry, f(row)), (), xs)[1]


def vectorized_map(function: Function, elements: Any) -> Any:
    """As `map`, for all rows at once (`torch.vmap`)."""
    _refuse("vectorized_map", elements)
    return torch.vmap(function)(map_leaves(to_tensor, elements))


def associative_scan(f: Function, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """What an associative function makes of all elements up to each one, along an axis.

    Twice as many are joined at each call, so there are log2(n) calls (Hillis and Steele 1986).
    """
    _refuse("associative_scan", elems)
    values = map_leaves(to_tensor, elems)
    if reverse:
        values = map_leaves(lambda x: x.flip(axis), values)
    count, step = next(leaves(values)).shape[axis], 1
    while step < count:
        early = map_leaves(lambda x, step=step: x.narrow(axis, 0, count - step), values)
        late = map_leaves(lambda x, step=step: x.narrow(axis, step, count - step), values)
        joined = f(early, late)
        values = map_with_path(
            lambda _, x, new, step=step: torch.cat([x.narrow(axis, 0, step), new], axis), values, joined
        )
        step *= 2
    return map_leaves(lambda x: x.flip(axis), values) if reverse else values


def custom_gradient(f: Function) -> Function:
    """A function that says its own gradient: `f(*args)` returns the result and `grad(*args, upstream=...)`.

    Example:
        >>> @ops.custom_gradient
        ... def log1pexp(x):
        ...     e = ops.exp(x)
        ...     return ops.log(1 + e), lambda *args, upstream: upstream * (1 - 1 / (1 + e))
    """

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.save_for_backward(*(each for each in args if isinstance(each, Tensor)))
            result, ctx.gradient = f(*args)
            ctx.count = len(args)
            return result

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            found = ctx.gradient(*ctx.saved_tensors, upstream=upstream[0])
            many = tuple(found) if isinstance(found, (list, tuple)) else (found,)
            return (*many, *[None] * (ctx.count - len(many)))

    def called(*args: Any) -> Any:
        _refuse("custom_gradient", args)
        return Custom.apply(*args)  # type: ignore[no-untyped-call]

    return called
