"""Arrays made ready for training: one-hot labels, unit vectors."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchfunc.errors import DataError, explain


@overload
def to_categorical(x: Tensor, num_classes: int | None = None) -> Tensor: ...
@overload
def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> npt.NDArray[np.float32]: ...
def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Labels as one-hot rows: shape (n,) or (n, 1) gives (n, num_classes) in float32.

    Args:
        x: whole numbers from 0, a tensor or anything that NumPy takes.
        num_classes: how many classes there are; the greatest label and one by default.

    Returns:
        A tensor (on the same device) for a tensor, else a NumPy array.

    Raises:
        DataError: a label that is no whole number from 0 to num_classes - 1.

    Example:
        >>> utils.to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]], dtype=float32)
    """
    labels = _as_labels(x)
    if labels.dim() > 1 and labels.shape[-1] == 1:
        labels = labels.squeeze(-1)
    classes = num_classes or _greatest(labels) + 1
    _check_range(labels, classes)
    one_hot = torch.nn.functional.one_hot(labels, classes).float()
    return one_hot if isinstance(x, Tensor) else one_hot.numpy()


def _as_labels(x: Any) -> Tensor:
    array = x if isinstance(x, Tensor) else np.asarray(x)
    if not isinstance(array, Tensor) and array.dtype.kind not in "biuf":
        raise DataError(explain("to_categorical", got=f"dtype {array.dtype}", expected="whole numbers"))
    given = torch.as_tensor(array)
    if given.is_floating_point() and not bool((given == given.trunc()).all()):
        raise DataError(explain("to_categorical", got="labels with fractions", expected="whole numbers"))
    return given.long()


def _greatest(labels: Tensor) -> int:
    if labels.numel() == 0:
        raise DataError("to_categorical: got no labels. Fix: say num_classes.")
    return int(labels.max())


def _check_range(labels: Tensor, classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.numel():
        raise DataError(
            explain(
                "to_categorical",
                got=f"label {int(wrong[0])}",
                expected=f"0 to {classes - 1}",
                fix="subtract the least label, or count more classes",
            )
        )


@overload
def normalize(x: Tensor, axis: int = -1, order: float = 2) -> Tensor: ...
@overload
def normalize(x: npt.ArrayLike, axis: int = -1, order: float = 2) -> npt.NDArray[Any]: ...
def normalize(x: Any, axis: int = -1, order: float = 2) -> Any:
    """`x` divided by its norm along an axis; where that is 0, `x` itself.

    Args:
        x: a tensor, or anything that NumPy takes.
        axis: along which the norm is taken.
        order: of the norm: 1, 2, `numpy.inf`, ...

    Returns:
        A tensor for a tensor, else a NumPy array.

    Example:
        >>> utils.normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    if isinstance(x, Tensor):
        norm = torch.linalg.vector_norm(x, order, axis, keepdim=True)
        return x / torch.where(norm == 0, 1, norm)
    x = np.asarray(x)
    length = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(length == 0, 1, length)
