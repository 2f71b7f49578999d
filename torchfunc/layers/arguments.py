"""Arguments checked by name, shapes checked by rank, and what windows over space make of a length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from torchfunc import activations
from torchfunc.errors import GraphError, ShapeError, explain, nearest, shorten
from torchfunc.layers.layer import Layer
from torchfunc.settings import image_data_format as image_data_format
from torchfunc.settings import set_image_data_format as set_image_data_format

_LISTS = frozenset({tuple, list, dict, torch.Size})


def choice(owner: str, name: str, value: Any, known: Sequence[str]) -> str:
    """A mode by name, in lower case.

    Raises:
        GraphError: none of those that are known.
    """
    found = value.lower() if isinstance(value, str) else value
    if found in known:
        return cast(str, found)
    close = nearest(str(value), known)
    fix = f"{name}={close!r}" if close else ""
    raise GraphError(
        explain(owner, got=f"{name}={shorten(value)}", expected=" or ".join(map(repr, known)), fix=fix)
    )


def count(owner: str, name: str, value: Any, *, minimum: int = 1) -> int:
    """A whole number of at least `minimum`.

    Raises:
        GraphError: a number with a fraction, a bool, a text, a number that is too small.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= minimum:
        return int(value)
    expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    fix = f"{name}={_nearest_count(value, minimum)}"
    raise GraphError(explain(owner, got=f"{name}={shorten(value)}", expected=expected, fix=fix))


def _nearest_count(value: Any, minimum: int) -> int:
    """What was probably meant: 3 for -3, 3.5 and "3"."""
    try:
        return max(round(abs(float(value))), minimum, 1)
    except (TypeError, ValueError, OverflowError):
        return max(minimum, 1)


def fraction(owner: str, name: str, value: Any) -> float:
    """A number from 0 to 1.

    Raises:
        GraphError: anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return value
    raise GraphError(
        explain(owner, got=f"{name}={shorten(value)}", expected="a number from 0 to 1", fix=f"{name}=0.5")
    )


def counts(owner: str, name: str, value: Any, rank: int, *, minimum: int = 1) -> tuple[int, ...]:
    """One whole number for each of `rank` dimensions; a single one stands for all.

    Raises:
        GraphError: another number of them, or one that `count` refuses.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = (value,) * rank
    if not isinstance(value, (list, tuple)) or len(value) != rank:
        expected = f"an integer or {rank} of them" if rank > 1 else "an integer"
        raise GraphError(explain(owner, got=f"{name}={shorten(value)}", expected=expected))
    return tuple(count(owner, name, each, minimum=minimum) for each in value)


def axes_of(owner: str, axis: Any, rank: int) -> tuple[int, ...]:
    """One axis or several, counted from the front and in order.

    Raises:
        ShapeError: an axis that a tensor of this rank does not have.
    """
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    for each in axes:
        if not -rank <= each < rank:
            raise ShapeError(
                explain(
                    owner,
                    got=f"axis={shorten(axis)} for an input of {rank} dimensions",
                    expected=f"an axis from {-rank} to {rank - 1}",
                )
            )
    return tuple(sorted(each % rank for each in axes))


def one_shape(
    layer: Layer, shape: Any, minimum: int = 1, order: str = "(batch, ...)"
) -> tuple[int | None, ...]:
    """The shape of the one tensor that a layer was called on.

    Raises:
        ShapeError: a list of tensors, or a tensor of fewer than `minimum` dimensions.
    """
    if not isinstance(shape, tuple) or not _LISTS.isdisjoint(map(type, shape)):
        many = (
            f"a {type(shape).__name__} of {len(shape)} tensors" if hasattr(shape, "__len__") else repr(shape)
        )
        fix = (
            "Concatenate() joins tensors, and a layer may be called on each"
            if hasattr(shape, "__len__")
            else ""
        )
        raise ShapeError(
            explain(f"{type(layer).__name__} {layer.name!r}", got=many, expected="one tensor", fix=fix)
        )
    if len(shape) < minimum:
        raise layer.wrong(
            shape,
            f"at least {minimum} dimensions {order}",
            fix=f"give Input {minimum - 1} or more, or add one with Reshape",
        )
    return shape


def known(layer: Layer, shape: tuple[int | None, ...], axis: int, what: str) -> int:
    """The size of one dimension, which a layer needs to make its weights.

    Raises:
        ShapeError: it is unknown.
    """
    size = shape[axis]
    if size is None:
        raise layer.wrong(
            shape,
            f"a known number of {what}",
            why=f"weights are made for it, and dimension {axis % len(shape)} is None",
            fix="give Input that dimension",
        )
    return int(size)


def same_width(layer: Layer, shape: tuple[int | None, ...], axis: int, built: int | None, what: str) -> None:
    """Refuse a shared layer's second input where it has another number of features than the first.

    Raises:
        ShapeError: naming both numbers.
    """
    size = known(layer, shape, axis, what)
    if built is not None and size != built:
        first_last = len(shape) > 2 and shape[1 if axis != 1 else -1] == built
        order = "first" if axis != 1 else "last"
        hint = f"data_format='channels_{order}', for the dimension of {built} looks like the channels"
        raise layer.wrong(
            shape,
            f"{built} {what}",
            why=f"the layer is built for {built} {what}, and this input has {size}",
            fix=hint if first_last else f"make a second layer, or project the input to {built} {what}",
        )


def keeps_shape(activation: Any) -> bool:
    """Whether the result of an activation has the shape and dtype of its argument for certain."""
    ours = (getattr(activation, "__module__", None) or "").startswith("torchfunc.activations.")
    return ours and activation is not activations.glu
