"""Class weight: the weight of each label, as the weight of a sample, of a step or of a pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import DataError, explain
from torchfunc.losses.crossentropy import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)
from torchfunc.losses.loss import TorchLoss, fit_weights


def weights_of_classes(
    target: Tensor,
    weights: Mapping[Any, float],
    loss: Any,
    shape: Sequence[int | None] | None,
    dtype: torch.dtype,
) -> Tensor:
    """The weight of each label in a target.

    Args:
        target: labels, or one-hot where the loss takes that.
        weights: by class; of one that it leaves out 1.
        loss: what the target is for; it says where the classes are.
        shape: of the output, if it is known.
        dtype: of the result.

    Raises:
        DataError: a target that holds no labels, or a weight for what is no class of the output.
    """
    _check_classes(weights, loss, shape)
    present, places = torch.unique(_labels(target, loss, shape), return_inverse=True)
    table = torch.tensor([float(weights.get(each, 1.0)) for each in present.tolist()], dtype=dtype)
    return table.to(target.device)[places]


def _check_classes(weights: Mapping[Any, float], loss: Any, shape: Sequence[int | None] | None) -> None:
    """Refuse a weight that could weigh nothing.

    Raises:
        DataError: a key that is no whole number, or none of the classes that the output tells apart.
    """
    known = loss.signature if isinstance(loss, TorchLoss) else None
    if isinstance(
        loss, (SparseCategoricalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy)
    ):
        axis: int | None = int(loss.axis)
    else:
        axis = 1 if known is not None and known.targets == "classes" else None
    count = shape[axis] if shape is not None and axis is not None and len(shape) > 1 else None
    classes = None if count is None else range(count)
    strange = next((key for key in weights if not _is_class(key, classes)), None)
    if strange is None:
        return
    expected = "whole numbers" if classes is None else f"the classes 0 to {classes[-1]}"
    left_out = next((each for each in classes or range(1) if each not in weights), None)
    got = f"{strange!r}" + ("" if left_out is None else f", and no weight for the class {left_out}")
    raise DataError(explain("class_weight", got=got, expected=expected, fix="class_weight={0: 1.0, 1: 2.0}"))


def _is_class(key: Any, classes: range | None) -> bool:
    # what a loss ignores may be negative
    return isinstance(key, Real) and float(key).is_integer() and (classes is None or key < len(classes))


def _labels(target: Tensor, loss: Any, shape: Sequence[int | None] | None) -> Tensor:
    """The class of each sample, or of each part of one: what a target of the output says by its loss.

    Raises:
        DataError: several numbers a sample that are no one-hot classes.
    """
    axis = _axis_of_classes(target, loss, shape)
    if axis is not None:
        return target.argmax(axis)
    single = target.ndim > 1 and target.shape[-1] == 1
    return (target.squeeze(-1) if single else target).round().long()


def _axis_of_classes(target: Tensor, loss: Any, shape: Sequence[int | None] | None) -> int | None:
    """The axis along which a target is one-hot, by its loss; None where it holds labels."""
    if target.ndim < 2 or target.shape[-1] == 1 or isinstance(loss, SparseCategoricalCrossentropy):
        return None
    if isinstance(loss, (CategoricalCrossentropy, CategoricalFocalCrossentropy)):
        return int(loss.axis)
    known = loss.signature if isinstance(loss, TorchLoss) else None
    if known is not None and known.targets != "numbers":
        # probabilities are shaped like the output, with the classes in its second axis
        probable = target.is_floating_point() if shape is None else target.ndim == len(shape)
        return 1 if known.targets == "classes" and probable else None
    if shape is not None and target.ndim < len(shape):
        return None
    if not bool(((target == 0) | (target == 1)).all() and (target.sum(-1) == 1).all()):
        raise DataError(
            explain(
                "class_weight",
                got=f"targets of shape {tuple(target.shape)} that are not one-hot",
                expected="one class a sample",
                fix="use sample_weight, or a loss that has weights of its own for classes",
            )
        )
    return -1


def product_of_weights(of_class: Tensor, given: Tensor) -> Tensor:
    """Weights by class times weights that were given, whichever of the two has more axes."""
    axes = given.ndim - (given.ndim > 1 and given.shape[-1] == 1)
    if axes <= of_class.ndim:
        return of_class * fit_weights("class_weight", given, of_class)
    return given * fit_weights("class_weight", of_class, given)
