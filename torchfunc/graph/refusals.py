"""What a symbolic tensor cannot do, and the words in which it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from torchfunc.errors import GraphError, explain

_KEEP = "keep the tensor, or write it inside a Layer"
_MEMORY = "keep it to code inside a Layer"
_AUTOGRAD = "set it on what the model returns, or on its parameters"

# what each needs that only real tensors have, and the way out
NEED_VALUES = {
    **dict.fromkeys(("item", "tolist", "is_nonzero", "equal", "allclose", "is_same_size"), _KEEP),
    "numpy": "keep the tensor; NumPy works on what the model returns",
    "backward": "a loss in `compile`, or call backward on what the model returns",
    **dict.fromkeys(
        "data_ptr const_data_ptr stride storage_offset storage untyped_storage storage_type is_contiguous is_pinned "
        "pin_memory is_shared is_set_to get_device is_inference is_conj is_neg has_names type dim_order "
        "__cuda_array_interface__".split(),
        _MEMORY,
    ),
    **dict.fromkeys("register_hook register_post_accumulate_grad_hook retain_grad".split(), _AUTOGRAD),
}

_ATTRIBUTES = {
    "device": "make the other tensor from this one, as in `x.new_zeros(...)`, `torch.ones_like(x)` or "
    "`.to(x)`, or write it inside a Layer",
    **dict.fromkeys(("grad", "grad_fn", "is_leaf", "requires_grad", "retains_grad", "output_nr"), _AUTOGRAD),
}


class NoAttributeError(GraphError, AttributeError):
    """An attribute that only real tensors have."""


def no_attribute(symbol: Any, name: str) -> NoAttributeError:
    """The error for an attribute that a tensor has only at run time."""
    return NoAttributeError(no_value(symbol, f"`.{name}`", _ATTRIBUTES.get(name, _MEMORY), f"`{name}`"))


def no_value(symbol: Any, what: str, fix: str, missing: str = "value") -> str:
    """The words for something that needs a value."""
    return explain(
        f"{what} on {symbol!r}",
        got="a symbolic tensor",
        expected="a tensor with values",
        why=f"it has no {missing} while the graph is being built",
        fix=fix,
    )


def in_place(what: str, name: str) -> str:
    """The words for a call that would change its argument."""
    plain = name.rstrip("_")
    is_method = callable(getattr(Tensor, plain, None))
    return explain(
        what,
        got="a symbolic tensor",
        expected="a call that leaves its arguments as they are",
        why="a graph says how values follow from each other, and this would change one that exists",
        fix=f"`x = x.{plain}(...)`, which makes a new tensor" if is_method else "`torch.where`",
    )


_AUGMENTED = "add sub mul div truediv floordiv mod pow matmul and or xor lshift rshift".split()
_CHANGING = frozenset({"__setitem__", "__set__", "__delete__", *(f"__i{word}__" for word in _AUGMENTED)})


def changes_its_argument(name: str) -> bool:
    """Whether a function of PyTorch is one that works in place, by its name."""
    return name in _CHANGING or (name.endswith("_") and not name.endswith("__"))


def check(name: str, *, is_method: bool) -> None:
    """Refuse a function of PyTorch that would change its arguments, or look at their values.

    Raises:
        GraphError: it is one of those.
    """
    shown = f"`x.{name}(...)`" if is_method else f"`{name}(x)`"
    if changes_its_argument(name):
        raise GraphError(in_place("`x[...] = value`" if name == "__setitem__" else shown, name))
    if name in NEED_VALUES:
        raise GraphError(
            explain(
                shown,
                got="a symbolic tensor",
                expected="a tensor with values",
                why="it has no value while the graph is being built",
                fix=NEED_VALUES[name],
            )
        )


def refusing(symbol: Any, name: str) -> Callable[..., NoReturn] | None:
    """A method that raises when it is called, for one that a symbolic tensor cannot have; else None.

    Asking for it is no error, so that `hasattr(x, "numpy")` stays a question.
    """
    if changes_its_argument(name):
        text = in_place(f"`x.{name}(...)`", name)
    elif name in NEED_VALUES:
        text = no_value(symbol, f"`.{name}()`", NEED_VALUES[name])
    else:
        return None

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise GraphError(text)

    return refuse


class WithoutValues:
    """What a tensor would answer with its values, refused."""

    __slots__ = ()

    def __bool__(self) -> bool:
        way = "`torch.where`, or write the branch inside a Layer"
        raise GraphError(no_value(self, "a branch (`if x:`, `and`, `or`, `not`)", way))

    def __int__(self) -> int:
        raise GraphError(no_value(self, "`int(x)`", "`x.long()`"))

    def __index__(self) -> int:
        way = "`x[...]` with tensors, or write it inside a Layer"
        raise GraphError(no_value(self, "an index or a size", way))

    def __float__(self) -> float:
        raise GraphError(no_value(self, "`float(x)`", "`x.float()`"))

    def __complex__(self) -> complex:
        raise GraphError(no_value(self, "`complex(x)`", "`x.to(torch.complex64)`"))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise GraphError(no_value(self, "a NumPy function", "the function of torch with that name"))

    def __contains__(self, item: Any) -> bool:
        raise GraphError(no_value(self, "`item in x`", "`(x == item).any()`"))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError(in_place("`x[...] = value`", "index_put"))

    def __reduce__(self) -> Any:
        raise GraphError(f"{self!r} is part of a graph that is being built. Fix: save or pickle the Model.")
