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

    Args:
        pred: the condition.
        true_fn: the function that is called where it holds.
        false_fn: the function that is called where it does not.

    Returns:
        What the function gives that was called.

    Raises:
        GraphError: `pred` is a symbol.

    Example:
        >>> ops.cond(torch.tensor(True), lambda: 1, lambda: 2)
        1
    """
    _refuse("cond", pred)
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Function], *operands: Any) -> Any:
    """What the function at an index returns; an index out of bounds is the nearest one.

    Args:
        index: which branch.
        branches: a list of functions.
        operands: what goes in.

    Returns:
        What the branch gives.

    Example:
        >>> ops.switch(1, [lambda x: x + 1, lambda x: x * 10], 5)
        50
    """
    _refuse("switch", index, operands)
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


def while_loop(cond: Function, body: Function, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """The variables after `body` has been called on them as long as `cond` holds.

    Args:
        cond: takes the variables, and says whether to go on.
        body: takes the variables, and gives the new ones.
        loop_vars: the variables at the beginning.
        maximum_iterations: how many rounds there are at most.

    Returns:
        The variables as the last round left them.

    Example:
        >>> ops.while_loop(lambda i: i < 5, lambda i: i + 2, [0])
        (tensor(6, dtype=torch.int32),)
    """
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
    """`value = body_fun(index, value)` for each index from `lower` to below `upper`.

    Args:
        lower: the number of the first round.
        upper: the number that the rounds stay below.
        body_fun: takes the number of the round and the value, and gives the new value.
        init_val: the value at the beginning.

    Returns:
        What the last round gave.

    Example:
        >>> ops.fori_loop(0, 4, lambda i, total: total + i, 0)
        6
    """
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

    Args:
        f: the function.
        init: what is carried at first.
        xs: the elements, along the first axis.
        length: how long the result is; None takes what there is.
        reverse: whether it begins at the end.
        unroll: has no effect.

    Returns:
        A pair: what is carried in the end, and what each step gave, stacked.

    Raises:
        GraphError: on symbols, or with neither `xs` nor `length`.

    Example:
        >>> ops.scan(lambda total, x: (total + x, total + x), torch.tensor(0), torch.tensor([1, 2, 3]))
        (tensor(6), tensor([1, 3, 6]))
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
    """The stack of what a function returns for each row of `xs`.

    Args:
        f: the function.
        xs: the elements, along the first axis.

    Returns:
        What the function gave, stacked.

    Example:
        >>> ops.map(lambda x: x * 2, torch.tensor([1, 2]))
        tensor([2, 4])
    """
    _refuse("map", xs)
    return scan(lambda carry, row: (carry, f(row)), (), xs)[1]


def vectorized_map(function: Function, elements: Any) -> Any:
    """As `map`, for all rows at once (`torch.vmap`).

    Args:
        function: the function of one element.
        elements: the elements, along the first axis.

    Returns:
        What the function gave, stacked.

    Example:
        >>> ops.vectorized_map(lambda x: x * 2, torch.tensor([1, 2]))
        tensor([2, 4])
    """
    _refuse("vectorized_map", elements)
    return torch.vmap(function)(map_leaves(to_tensor, elements))


def associative_scan(f: Function, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """What an associative function makes of all elements up to each one, along an axis.

    Twice as many are joined at each call, so there are log2(n) calls (Hillis and Steele 1986).

    Args:
        f: the function.
        elems: the elements: a tensor or a structure of them.
        reverse: whether it begins at the end.
        axis: the axis, counted from the end where negative.

    Returns:
        The elements, each put together with all before it.

    Example:
        >>> ops.associative_scan(lambda a, b: a + b, torch.tensor([1, 2, 3]))
        tensor([1, 3, 6])
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

    Args:
        f: the function.

    Returns:
        A function with that gradient.

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
