"""InputLayer: an Input as the first layer of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchfunc.errors import GraphError, explain
from torchfunc.graph.symbolic import Input, SymbolicTensor


class InputLayer:
    """What `Input` makes, under the name that Keras has for it in a Sequential: `InputLayer((4,)).output`.

    Args:
        shape: the shape of one sample.
        batch_size: the size of the batch, where it is known.
        dtype: a torch.dtype or its name; float32 by default.
        batch_shape: the shape with the batch, instead of both.
        input_tensor: a symbolic tensor to stand for.
        name: what the input is called.

    Attributes:
        batch_shape: the shape with the batch, None where unknown.
        dtype: a `torch.dtype`.

    Raises:
        GraphError: neither a shape nor a symbolic tensor.

    Example:
        >>> layers.InputLayer((4,)).output.shape
        (None, 4)
        >>> tf.Sequential([layers.InputLayer((4,)), layers.Dense(2)]).output_shape
        (None, 2)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: torch.dtype | str | None = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: SymbolicTensor | None = None,
        name: str | None = None,
    ) -> None:
        if input_tensor is not None and not isinstance(input_tensor, SymbolicTensor):
            got = f"input_tensor of type {type(input_tensor).__name__}"
            raise GraphError(explain("InputLayer", got=got, expected="what Input returned"))
        self.output: Any = (
            Input(shape, batch_size, dtype, name, batch_shape=batch_shape)
            if input_tensor is None
            else input_tensor
        )
        self.input = self.output
        self.name: str = self.output.name
        self.batch_shape: tuple[int | None, ...] = self.output.spec.shape
        self.dtype: torch.dtype = self.output.dtype

    def __repr__(self) -> str:
        return f"<InputLayer {self.name} {self.batch_shape}>"
