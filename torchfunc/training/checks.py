"""Checks: data that do not fit the model are refused before the first step, with a way out.

They look at arrays once, on the host. Shapes and single indices are named, never the data.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchfunc import losses, registry
from torchfunc.errors import DataError, explain
from torchfunc.losses.loss import PairLoss
from torchfunc.training.convert import check_whole, first_place
from torchfunc.training.objective import Head
from torchfunc.training.ports import Port
from torchfunc.training.sources.sparse_rows import holds_rows, number_at

Shape = Sequence[int | None]

_SPARSE = losses.SparseCategoricalCrossentropy
_ONE_HOT = (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy)
_COMPARING = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)
_COMPARING_FUNCTIONS = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)
_PROBABLE = (*_ONE_HOT, losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)


def check_rows(tensor: Tensor, name: str, table: tuple[str, int]) -> None:
    """Refuse what is no row of the table that an input is looked up in: on CUDA it would end the process.

    Raises:
        DataError: with the first such number.
    """
    layer, rows = table
    place = first_place(tensor, lambda part: _is_no_row(part, rows))
    if place is not None:
        raise DataError(
            explain(
                f"input {name!r}",
                got=f"{number_at(tensor, place):g} at index {_index(place)}",
                expected=f"whole numbers from 0 to {rows - 1}, the rows of {layer!r}",
                fix=f"number the words from 0, or give {layer!r} more rows",
            )
        )


def _is_no_row(part: Tensor, rows: int) -> Tensor:
    if part.is_floating_point():
        return (part < 0) | (part >= rows) | (part != part.trunc())
    part = part.long()
    return (part < 0) | (part >= rows)


def whole_number(name: str, value: Any, *, least: int, fix: str = "") -> int:
    """A count as an int, NumPy's included.

    Raises:
        DataError: no whole number, or a smaller one than `least`.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        expected = f"a whole number of at least {least}"
        raise DataError(explain(name, got=repr(value), expected=expected, fix=fix))
    return int(value)


def validation_epochs(given: Any) -> int | Container[int]:
    """How often to validate: every so many epochs, or after these, counted from 1.

    Raises:
        DataError: neither.
    """
    if isinstance(given, Collection) and not isinstance(given, (str, bytes)):
        return {whole_number("validation_freq", each, least=1) for each in given}
    return whole_number("validation_freq", given, least=1, fix="validation_freq=1, or the epochs as a list")


def count_of(named: dict[str, Tensor]) -> int:
    """The number of samples, which is the same everywhere.

    Raises:
        DataError: no samples, or one array that has another number of them.
    """
    for where, tensor in named.items():
        if tensor.ndim == 0:
            raise DataError(explain(where, got="a single number", expected="an array of samples"))
        if len(tensor) == 0:
            raise DataError(f"{where} has 0 samples. Fix: check how the data were filtered or split.")
    counts = [len(tensor) for tensor in named.values()]
    usual = max(counts, key=counts.count)
    for where, count in zip(named, counts, strict=True):
        if count != usual:
            other = next(name for name, each in zip(named, counts, strict=True) if each == usual)
            raise DataError(
                f"{where} has {count} samples, but {other} has {usual}. Fix: give as many of each."
            )
    return usual


def fitted_input(tensor: Tensor, shape: Shape, name: str) -> Tensor:
    """An input in the shape that the model takes, of which a last axis of 1 may be left out or be too much.

    Raises:
        DataError: another rank, or another size of an axis that is known.
    """
    if _fits(tensor.shape, shape):
        return tensor
    if _fits([*tensor.shape, 1], shape) and (shape[-1] == 1 or tensor.ndim == 1):
        return tensor.unsqueeze(-1)
    if tensor.ndim > 1 and tensor.shape[-1] == 1 and _fits(tensor.shape[:-1], shape):
        return tensor.squeeze(-1)
    raise DataError(
        explain(
            f"input {name!r}",
            got=f"shape {tuple(tensor.shape)}",
            expected=f"shape {_with_unknown_batch(shape)}",
            fix=_way_to(tensor.shape, shape),
        )
    )


def _fits(got: Sequence[int], expected: Shape) -> bool:
    return len(got) == len(expected) and all(
        size is None or size == each for each, size in zip(got[1:], expected[1:], strict=True)
    )


def _with_unknown_batch(shape: Shape) -> str:
    return str((None, *shape[1:]))


def _way_to(got: Sequence[int], expected: Shape) -> str:
    """The call that gives an array the expected shape, if there is one."""
    if len(got) == len(expected) - 1 and _fits([1, *got], expected):
        return "x[None] for a single sample"
    sizes = [size for size in expected[1:] if size is not None]
    if len(sizes) == len(expected) - 1 and len(got) > 1 and math.prod(sizes) == math.prod(got[1:]):
        return f"x.reshape({', '.join(map(str, (-1, *sizes)))})"
    return ""


def check_fixed_batch(inputs: Iterable[Port], count: int, batch_size: int) -> None:
    """Refuse batches of another size than an Input of fixed batch size takes.

    Raises:
        DataError: another batch size, or a number of samples that leaves a smaller last batch.
    """
    for port in inputs:
        fixed = port.shape[0] if port.shape else None
        if fixed is not None and (batch_size != fixed or count % fixed):
            got = (
                f"batch_size={batch_size}"
                if batch_size != fixed
                else f"{count} samples, a last batch of {count % fixed}"
            )
            fix = f"batch_size={fixed}, and a number of samples that it divides"
            raise DataError(explain(f"input {port.name!r}", got=got, expected=f"batches of {fixed}", fix=fix))


def target_dtype(tensor: Tensor, head: Head, *, floating: torch.dtype, look: bool) -> torch.dtype:
    """The dtype that the loss of an output takes a target in, if it is what the loss takes at all.

    Args:
        tensor: as the user gave it.
        head: the output and its loss.
        floating: of the targets of a loss that compares numbers.
        look: whether the numbers are looked at, which waits for the device that they are on.

    Raises:
        DataError: class indices that are out of range or no whole numbers, one-hot targets for class
            indices or the reverse, or another shape than the output's.
    """
    if isinstance(head.loss, _SPARSE):
        _check_class_indices(tensor, head, look)
        return torch.int64
    if isinstance(head.loss, _ONE_HOT):
        _check_one_hot(tensor, head)
    if isinstance(head.loss, (*_ONE_HOT, PairLoss)):
        _check_shape(tensor, head)
        if look:
            _check_values(tensor, head)
        return tensor.dtype if tensor.is_complex() else floating
    if isinstance(head.loss, losses.TorchLoss) and _compares(head.loss.function):
        _check_shape(tensor, head)
    if tensor.is_floating_point():
        return floating
    return tensor.dtype if tensor.is_complex() or tensor.dtype is torch.bool else torch.int64


def _compares(function: Any) -> bool:
    """Whether a loss of PyTorch compares number by number, and would broadcast two shapes that differ."""
    return isinstance(function, _COMPARING) or function in _COMPARING_FUNCTIONS


def _check_values(tensor: Tensor, head: Head) -> None:
    """Refuse numbers of which a loss of ours makes no number, or none that means anything."""
    if registry.losses.name_of(type(head.loss)) is None:
        return  # a subclass may well know what to do with them
    where = f"the target of the output {head.name!r}"
    place = first_not_finite(tensor)
    if place is not None:
        raise not_finite(where, tensor, place, why="the loss would be no number either")
    if not isinstance(head.loss, _PROBABLE) or tensor.dtype is torch.bool:
        return
    place = first_place(tensor, lambda part: (part < 0) | (part > 1))
    if place is not None:
        binary = not isinstance(head.loss, _ONE_HOT)
        raise DataError(
            explain(
                where,
                got=f"{number_at(tensor, place):g} at index {_index(place)}",
                expected=f"numbers from 0 to 1, by the loss {head.loss.name!r}",
                fix="code the two classes as 0 and 1" if binary else "utils.to_categorical(class_indices)",
            )
        )


def first_not_finite(tensor: Tensor) -> tuple[int, ...] | None:
    """The place of the first number that is NaN or infinite, or None."""
    if holds_rows(tensor) and first_not_finite(tensor.values()) is None:
        return None
    # the sum is not finite if any number is not, and needs no memory
    if not tensor.is_floating_point() or (not holds_rows(tensor) and math.isfinite(tensor.sum().item())):
        return None
    return first_place(tensor, lambda part: part.isfinite().logical_not_())


def not_finite(where: str, tensor: Tensor, place: tuple[int, ...], *, why: str) -> DataError:
    """The error for NaN or infinity at a place."""
    got = f"{number_at(tensor, place):g} at index {_index(place)}"
    fix = "fill or drop such samples, as np.nan_to_num does"
    return DataError(explain(where, got=got, expected="finite numbers", why=why, fix=fix))


def _index(place: tuple[int, ...]) -> Any:
    return place[0] if len(place) == 1 else place


def _check_class_indices(tensor: Tensor, head: Head, look: bool) -> None:
    where = f"the target of the output {head.name!r}"
    shape = head.shape or ()
    classes = shape[-1] if shape and head.loss.axis in (-1, len(shape) - 1) else None
    if classes is not None and classes > 1 and tensor.ndim == len(shape) and tensor.shape[-1] == classes:
        raise DataError(
            explain(
                where,
                got=f"shape {tuple(tensor.shape)}",
                expected="class indices",
                why="targets with the axis of classes look one-hot",
                fix="loss='categorical_crossentropy', or y.argmax(-1)",
            )
        )
    if look and tensor.is_floating_point():
        check_whole(tensor, where, "they are class indices, by the loss 'sparse_categorical_crossentropy'")
    if look and classes is not None:
        check_range(tensor, classes, head)


def check_range(labels: Tensor, classes: int, head: Head) -> None:
    """Refuse class indices that the output has no unit for.

    Raises:
        DataError: with the first of them and its place.
    """
    ignored: Any = head.loss.ignore_class
    if (
        ignored is None and labels.numel() and labels.dtype is torch.int64
    ):  # the usual case, looked at in one go
        least, most = labels.aminmax()
        if least >= 0 and most < classes:
            return

    def is_out_of_range(part: Tensor) -> Tensor:
        part = part.long()
        wrong = (part < 0) | (part >= classes)
        return wrong if ignored is None else wrong & (part != ignored)

    found = first_place(labels, is_out_of_range)
    if found is not None:
        place, label = list(found), int(labels[found])
        while len(place) > 1 and labels.shape[len(place) - 1] == 1:
            place.pop()
        raise DataError(
            explain(
                f"output {head.name!r}",
                got=f"label {label} at index {place[0] if len(place) == 1 else tuple(place)}",
                expected=f"classes 0..{classes - 1} ({classes} units)",
                fix="number the classes from 0, or give the output more units",
            )
        )


def _check_one_hot(tensor: Tensor, head: Head) -> None:
    shape = head.shape
    indices = shape is not None and (
        tensor.ndim == len(shape) - 1 or (tensor.ndim == len(shape) and tensor.shape[-1] == 1)
    )
    if shape is not None and indices and shape[-1] not in (1, None):
        raise DataError(
            explain(
                f"the target of the output {head.name!r}",
                got=f"shape {tuple(tensor.shape)}",
                expected=f"one-hot targets of shape {_with_unknown_batch(shape)}",
                why="targets without the axis of classes are class indices",
                fix="loss='sparse_categorical_crossentropy', or utils.to_categorical(y)",
            )
        )


def _check_shape(tensor: Tensor, head: Head) -> None:
    """Refuse a target that differs from its output by more than a last axis of length 1."""
    shape = head.shape
    if shape is None or _fits(tensor.shape, shape):
        return
    if _fits([*tensor.shape, 1], shape) or (tensor.shape[-1] == 1 and _fits(tensor.shape[:-1], shape)):
        return
    raise DataError(
        explain(
            f"the target of the output {head.name!r}",
            got=f"shape {tuple(tensor.shape)}",
            expected=f"shape {_with_unknown_batch(shape)}, that of the output",
            fix=_way_to(tensor.shape, shape).replace("x", "y", 1)
            or "give the last layer as many units as a target has values",
        )
    )
