"""Variables: a parameter of PyTorch with the words that Keras has for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from torchfunc import initializers
from torchfunc.errors import GraphError, ShapeError
from torchfunc.ops.conversion import DType, to_dtype, to_tensor


class Variable(nn.Parameter):
    """A tensor whose values may be assigned; an attribute of a Layer, it is one of its weights.

    Args:
        initializer: the values, or with `shape` the name or function that makes them.
        shape: its shape.
        dtype: its dtype; that of the values, or float32, if None.
        trainable: whether gradients reach it; integers have none.
        name: what it is called.

    Raises:
        GraphError: an initializer without a shape.

    Example:
        >>> v = Variable([1.0, 2.0])
        >>> v.assign_add([1.0, 1.0]).numpy()
        array([2., 3.], dtype=float32)
    """

    _given_name: str = "variable"
    _path: str | None = None

    def __new__(
        cls,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: DType = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> Self:
        if callable(initializer) or isinstance(initializer, str):
            if shape is None:
                raise GraphError(
                    "A Variable that is made by an initializer needs its shape. Fix: shape=(2, 3)."
                )
            make: Any = initializers.get(initializer)
            values = make(tuple(shape), dtype=to_dtype(dtype))
        else:
            values = to_tensor(initializer, None if dtype is None else to_dtype(dtype))
        values = values.detach().clone()
        can_train = trainable and (values.is_floating_point() or values.is_complex())
        self: Self = torch.Tensor._make_subclass(cls, values, can_train)
        self._given_name = name or "variable"
        return self

    @property
    def name(self) -> str:
        return self._given_name

    @property
    def path(self) -> str:
        """Its name, after those of the layers that it is in."""
        return self._path or self.name

    @property
    def value(self) -> Tensor:
        """The tensor itself, which has `grad`."""
        return self

    @property
    def trainable(self) -> bool:
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = value

    def numpy(self, *, force: bool = False) -> Any:
        """The values as an array of their own."""
        return self.detach().clone().cpu().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def assign(self, value: Any) -> Self:
        """Take other values, of the same shape.

        Raises:
            ShapeError: of another shape.
        """
        new = to_tensor(value).to(self.dtype)
        if new.shape != self.shape:
            raise ShapeError(
                f"Variable {self.name!r}: expected shape {tuple(self.shape)}, got shape {tuple(new.shape)}. "
                "Fix: value.reshape(variable.shape)."
            )
        with torch.no_grad():
            self.copy_(new)
        return self

    def assign_add(self, value: Any) -> Self:
        """Add to the values."""
        return self.assign(self.detach() + to_tensor(value))

    def assign_sub(self, value: Any) -> Self:
        """Subtract from the values."""
        return self.assign(self.detach() - to_tensor(value))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data, trainable=self.requires_grad, name=self.name)
        found: Self = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.data, None, None, self.requires_grad, self.name)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"<Variable {self.name}, shape={tuple(self.shape)}, dtype={self.dtype}, value={self.numpy()}>"


def in_words_of_keras(tensor: Tensor, name: str | None = None, path: str | None = None) -> Tensor:
    """The same tensor with what a Variable has: a parameter or a buffer of PyTorch, in place; other kinds as they are."""
    if type(tensor) in (Tensor, nn.Parameter):
        tensor.__class__ = Variable
    if name is not None and type(tensor) is Variable:
        tensor._given_name, tensor._path = name, path
    return tensor
