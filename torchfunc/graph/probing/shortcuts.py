"""What the commonest functions return, stated: PyTorch works some of them out in milliseconds of Python.

A shortcut answers for the plain case alone, and None for every other: then PyTorch is asked, which also
has the words for what is wrong. `tests/graph/probing/test_infer.py` compares each with PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Shortcut = Callable[..., Any]

_POINTWISE = (
    "relu relu6 silu mish sigmoid tanh softsign hardswish hardsigmoid logsigmoid tanhshrink exp expm1 log "
    "log1p sqrt rsqrt square sin cos erf neg negative abs absolute reciprocal"
).split()
_WITH_NUMBERS = "gelu elu celu selu leaky_relu softplus hardtanh hardshrink softshrink".split()
_BINARY = "add sub mul div true_divide multiply subtract __truediv__ __rsub__".split()
_DROPOUTS = ("dropout", "alpha_dropout")


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype.is_floating_point


def _like(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    if tensor.is_contiguous():
        return torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device="meta")
    return torch.empty_like(tensor, dtype=dtype, device="meta")


def _empty(shape: Sequence[int], tensor: Tensor) -> Tensor:
    # not tensor.new_empty, which takes ten times as long without data
    return torch.empty(shape, dtype=tensor.dtype, device="meta")


def _pointwise(value: Any, inplace: bool = False) -> Any:
    return _like(value) if _is_floating(value) and isinstance(inplace, bool) else None


def _with_numbers(value: Any, *args: Any, **kwargs: Any) -> Any:
    plain = all(isinstance(each, (int, float, bool, str)) for each in (*args, *kwargs.values()))
    return _like(value) if _is_floating(value) and plain else None


def _binary(left: Any, right: Any, **kwargs: Any) -> Any:
    if kwargs or not _is_floating(left):
        return None
    if type(right) in (int, float):
        return _like(left)
    if not isinstance(right, Tensor) or right.dtype is not left.dtype:
        return None
    if left.shape == right.shape:
        return _like(left)
    shape = broadcast(left.shape, right.shape)
    return None if shape is None else _empty(shape, left)


def broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> list[int] | None:
    """The shape of a binary operation, or None where there is none."""
    rank = max(len(left), len(right))
    shape = []
    for a, b in zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True):
        if a != b and 1 not in (a, b):
            return None
        shape.append(b if a == 1 else a)
    return shape


def _add_(value: Any, other: Any, **kwargs: Any) -> Any:
    return value if isinstance(value, Tensor) and type(other) is int and not kwargs else None


def _dropout(value: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return _like(value) if _is_floating(value) and 0.0 <= p <= 1.0 else None


def _log_softmax(value: Any, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    plain = (
        isinstance(dim, int) and not isinstance(dim, bool) and not any(kwargs.values()) and args in ((), (3,))
    )
    return _like(value) if plain and _is_floating(value) and -value.ndim <= dim < value.ndim else None


def _fits(value: Tensor, channels: int, *vectors: Any) -> bool:
    given = [(each.shape, each.dtype) for each in vectors if each is not None]
    return given.count(((channels,), value.dtype)) == len(given)


def _batch_norm(
    value: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if not _is_floating(value) or value.ndim < 2 or value.numel() == value.shape[1]:
        return None
    return _like(value) if _fits(value, value.shape[1], running_mean, running_var, weight, bias) else None


def _layer_norm(value: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, *args: Any) -> Any:
    shape = tuple(normalized_shape)
    if not _is_floating(value) or not shape or tuple(value.shape[-len(shape) :]) != shape:
        return None
    plain = all(v is None or (tuple(v.shape) == shape and v.dtype is value.dtype) for v in (weight, bias))
    return _like(value) if plain else None


def _group_norm(value: Any, groups: int, weight: Any = None, bias: Any = None, *args: Any) -> Any:
    if not _is_floating(value) or value.ndim < 3 or value.shape[1] % groups:
        return None
    return _like(value) if _fits(value, value.shape[1], weight, bias) else None


def _linear(value: Any, weight: Any, bias: Any = None) -> Any:
    if not _is_floating(value) or weight.ndim != 2 or value.dtype is not weight.dtype:
        return None
    fits = value.ndim > 0 and value.shape[-1] == weight.shape[1] and _fits(value, weight.shape[0], bias)
    return _empty((*value.shape[:-1], weight.shape[0]), value) if fits else None


def _matmul(left: Any, right: Any) -> Any:
    if not _is_floating(left) or not isinstance(right, Tensor) or left.dtype is not right.dtype:
        return None
    if min(left.ndim, right.ndim) < 2 or left.shape[-1] != right.shape[-2]:
        return None
    batch = broadcast(left.shape[:-2], right.shape[:-2])
    return None if batch is None else _empty((*batch, left.shape[-2], right.shape[-1]), left)


def _cat(tensors: Any, dim: Any = 0) -> Any:
    first, *others = tensors
    plain = isinstance(dim, int) and all(isinstance(each, Tensor) for each in tensors)
    if not plain or not -first.ndim <= dim < first.ndim:
        return None
    dim %= first.ndim

    def rest(tensor: Tensor) -> tuple[Any, ...]:
        return (*tensor.shape[:dim], *tensor.shape[dim + 1 :], tensor.dtype)

    if any(each.ndim != first.ndim or rest(each) != rest(first) for each in others):
        return None
    length = sum(each.shape[dim] for each in tensors)
    return _empty((*first.shape[:dim], length, *first.shape[dim + 1 :]), first)


def _any(value: Any, dim: Any = None, keepdim: Any = False) -> Any:
    whole = type(dim) is int and isinstance(value, Tensor) and -value.ndim <= dim < value.ndim
    if not whole or value.dtype is torch.uint8 or type(keepdim) is not bool:
        return None
    shape = list(value.shape)
    shape[dim : dim + 1 or len(shape)] = [1] if keepdim else []
    return torch.empty(shape, dtype=torch.bool, device="meta")


def _elementwise(operands: str, kind: str) -> Shortcut:
    """A function that goes item by item.

    Args:
        operands: "one" tensor, "two" tensors, or "mixed": two, of which one may be a number.
        kind: its dtype: "arithmetic" is theirs joined, "floating" that as floats, "bool".
    """

    def shortcut(*args: Any) -> Any:
        tensors = [each for each in args if isinstance(each, Tensor)]
        numbers = [each for each in args if type(each) in (int, float)]
        if len(args) != (1 if operands == "one" else 2) or len(tensors) + len(numbers) < len(args):
            return None
        if not tensors or (numbers and operands != "mixed"):
            return None
        dtype = torch.result_type(*args) if len(args) == 2 else tensors[0].dtype
        if dtype.is_complex or (kind == "arithmetic" and dtype is torch.bool):
            return None
        if kind == "bool":
            dtype = torch.bool
        elif kind == "floating" and not dtype.is_floating_point:
            dtype = torch.get_default_dtype()
        if len(tensors) == 1 or tensors[0].shape == tensors[1].shape:
            return _like(tensors[0], dtype)
        shape = broadcast(tensors[0].shape, tensors[1].shape)
        return None if shape is None else torch.empty(shape, dtype=dtype, device="meta")

    return shortcut


_ELEMENTWISE = {
    ("one", "floating"): (
        "acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh cosh digamma erfc erfinv "
        "exp2 i0 lgamma log10 log2 sinc sinh tan deg2rad rad2deg"
    ),
    ("one", "arithmetic"): "ceil floor trunc fix",
    ("one", "bool"): "logical_not isfinite isinf isnan",
    ("two", "floating"): "arctan2 atan2",
    ("two", "arithmetic"): "maximum minimum fmax fmin",
    ("two", "bool"): "logical_and logical_or logical_xor",
    ("mixed", "floating"): "divide __rtruediv__ __rdiv__",
    ("mixed", "arithmetic"): "fmod remainder pow floor_divide __floordiv__ __mod__ __pow__",
    ("mixed", "bool"): (
        "eq ne lt le gt ge greater greater_equal less less_equal not_equal __eq__ __ne__ __lt__ __le__ __gt__ __ge__"
    ),
}


def _embedding(indices: Any, *args: Any, **kwargs: Any) -> None:
    """No shortcut, but a look at the dtype, which PyTorch 2.11 takes only where there are data."""
    if _is_floating(indices):
        raise RuntimeError(f"Expected tensor for argument 'indices' to be Long or Int, got {indices.dtype}")


def _adaptive_average(rank: int) -> Shortcut:
    def shortcut(value: Any, output_size: Any) -> Any:
        if not _is_floating(value) or value.ndim not in (rank + 1, rank + 2):
            return None
        sizes = [output_size] * rank if isinstance(output_size, int) else list(output_size)
        if len(sizes) != rank or not all(value.shape[-rank:]):
            return None
        known = (
            had if wanted is None else wanted for wanted, had in zip(sizes, value.shape[-rank:], strict=True)
        )
        return _empty((*value.shape[:-rank], *known), value)

    return shortcut


def _attention(query: Any, key: Any, value: Any, attn_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
    if attn_mask is not None or kwargs.get("enable_gqa") or not _is_floating(query):
        return None
    plain = query.dtype is key.dtype is value.dtype and query.ndim > 2 and key.shape[:-1] == value.shape[:-1]
    if not plain or query.shape[:-2] != key.shape[:-2] or query.shape[-1] != key.shape[-1]:
        return None
    return _empty((*query.shape[:-1], value.shape[-1]), query)


def _table() -> dict[Any, Shortcut]:
    """Each function of PyTorch that has a shortcut, under its every home."""
    named: dict[str, Shortcut] = {
        **{name: _elementwise(*kind) for kind, names in _ELEMENTWISE.items() for name in names.split()},
        **dict.fromkeys(_POINTWISE, _pointwise),
        **dict.fromkeys(_WITH_NUMBERS, _with_numbers),
        **dict.fromkeys(_BINARY, _binary),
        **dict.fromkeys(_DROPOUTS, _dropout),
        "log_softmax": _log_softmax,
    }
    found = {
        getattr(home, name): shortcut
        for home in (torch, F, Tensor)
        for name, shortcut in named.items()
        if hasattr(home, name) and (home is Tensor or not name.startswith("__"))
    }
    return {
        **found,
        Tensor.add_: _add_,
        F.batch_norm: _batch_norm,
        F.layer_norm: _layer_norm,
        F.group_norm: _group_norm,
        F.linear: _linear,
        **dict.fromkeys((torch.matmul, Tensor.matmul, Tensor.__matmul__), _matmul),
        **dict.fromkeys((torch.any, torch.all, Tensor.any, Tensor.all), _any),
        **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _cat),
        F.embedding: _embedding,
        F.scaled_dot_product_attention: _attention,
        **{getattr(F, f"adaptive_avg_pool{rank}d"): _adaptive_average(rank) for rank in (1, 2, 3)},
    }


SHORTCUTS = _table()


def shortcut(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function returns for tensors without data, if that can be stated; else None."""
    state = SHORTCUTS.get(func)
    if state is None:
        return None
    try:
        return state(*args, **kwargs)
    except (TypeError, AttributeError):
        return None  # not the plain way of calling it
