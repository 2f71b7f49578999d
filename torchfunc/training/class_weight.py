"""Class weight: the weight of each label, as the weight of a sample, of a step or of a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchfunc import losses
from torchfunc.errors import DataError, explain
from torchfunc.losses.loss import fit_weights
from torchfunc.losses.torch_losses import setting
from torchfunc.training.batches import Batch
from torchfunc.training.convert import is_number
from torchfunc.training.objective import Head, Objective

_ONE_HOT = (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy)


def weighed(
    batch: Batch, class_weight: Mapping[Any, float], objective: Objective, dtype: torch.dtype
) -> Batch:
    """A batch whose one target is weighed by its labels, besides its own weights.

    Raises:
        DataError: several outputs, no target, a target that holds no labels, or a class without a weight.
    """
    heads = objective.heads
    target = batch.targets[0] if batch.targets else None
    if len(heads) != 1 or target is None:
        got = f"the outputs {[head.name for head in heads]}" if len(heads) != 1 else "no targets"
        raise DataError(
            explain("class_weight", got=got, expected="one output with targets", fix="use sample_weight")
        )
    weights = of_labels(_labels(target, heads[0]), class_weight, _ignored(heads[0].loss), dtype)
    given = batch.weights[0] if batch.weights else None
    return batch._replace(weights=[weights if given is None else _product(weights, given)])


def of_labels(
    labels: Tensor, weights: Mapping[Any, float], ignored: int | None, dtype: torch.dtype
) -> Tensor:
    """The weight of each label.

    Raises:
        DataError: no dict of numbers, or a label without a weight that the loss does not ignore.
    """
    _check_class_weight(weights)
    present, places = torch.unique(labels, return_inverse=True)
    classes = present.tolist()
    missing = next((each for each in classes if each not in weights and each != ignored), None)
    if missing is not None:
        fix = f"class_weight={{..., {missing}: 1.0}}"
        raise DataError(
            explain("class_weight", got=f"no weight for the class {missing}, which is in y", fix=fix)
        )
    table = torch.tensor([float(weights.get(each, 1.0)) for each in classes], dtype=dtype)
    return table.to(labels.device)[places]


def _labels(target: Tensor, head: Head) -> Tensor:
    """The class of each sample, or of each part of one: what a target of the output says by its loss.

    Raises:
        DataError: several numbers a sample that are no one-hot classes.
    """
    axis = _axis_of_classes(target, head)
    if axis is not None:
        return target.argmax(axis)
    single = target.ndim > 1 and target.shape[-1] == 1
    return (target.squeeze(-1) if single else target).round().long()


def _axis_of_classes(target: Tensor, head: Head) -> int | None:
    """The axis along which a target is one-hot, by its loss; None where it holds labels."""
    loss = head.loss
    if target.ndim < 2 or target.shape[-1] == 1 or isinstance(loss, losses.SparseCategoricalCrossentropy):
        return None
    if isinstance(loss, _ONE_HOT):
        return int(loss.axis)
    known = loss.signature if isinstance(loss, losses.TorchLoss) else None
    if known is not None and known.targets != "numbers":
        # probabilities are shaped like the output, with the classes in its second axis
        shape = head.shape
        probable = target.is_floating_point() if shape is None else target.ndim == len(shape)
        return 1 if known.targets == "classes" and probable else None
    if head.shape is not None and target.ndim < len(head.shape):
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


def _ignored(loss: Any) -> int | None:
    """The label that the loss leaves out, if there is one."""
    if isinstance(loss, losses.TorchLoss):
        ignored: int | None = setting(loss.function, "ignore_index", -100)
        return ignored
    return getattr(loss, "ignore_class", None)


def _product(of_class: Tensor, given: Tensor) -> Tensor:
    """Weights by class times weights that were given, whichever of the two has more axes."""
    axes = given.ndim - (given.ndim > 1 and given.shape[-1] == 1)
    if axes <= of_class.ndim:
        return of_class * fit_weights("class_weight", given, of_class)
    return given * fit_weights("class_weight", of_class, given)


def _check_class_weight(weights: Any) -> None:
    wrong = (
        f"a {type(weights).__name__}"
        if not isinstance(weights, Mapping)
        else next(
            (f"{value!r} for the class {key!r}" for key, value in weights.items() if not is_number(value)),
            None,
        )
    )
    if wrong is not None:
        expected = "a dict with a number for each class"
        raise DataError(
            explain("class_weight", got=wrong, expected=expected, fix="class_weight={0: 1.0, 1: 2.0}")
        )
