"""Encoding: whole numbers as one-hot rows, as what a sample has of each, or as how often it has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import choice, count
from torchfunc.layers.layer import Common, Layer

_OLDER_WORDS = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def mode_of(owner: str, mode: Any, known: tuple[str, ...]) -> str:
    """An output mode by its name, Keras's older ones too."""
    return choice(
        owner, "output_mode", _OLDER_WORDS.get(mode, mode) if isinstance(mode, str) else mode, known
    )


def dense(owner: str, sparse: bool) -> bool:
    """`sparse`, which has to be False.

    Raises:
        GraphError: it is True.
    """
    if sparse:
        fix = "layer(x).to_sparse()"
        raise GraphError(
            explain(owner, got="sparse=True", expected="sparse=False", why="its output is dense", fix=fix)
        )
    return False


def encoded_shape(shape: tuple[int, ...], mode: str, depth: int) -> tuple[int, ...]:
    """The shape of what `encoded` makes of numbers of this shape."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def encoded(
    numbers: Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Tensor | None = None
) -> Tensor:
    """Numbers below `depth` in one of the modes; one below zero counts nowhere.

    Args:
        numbers: whole numbers. "multi_hot" and "count" sum over their second dimension, or their only one.
        mode: "int", "one_hot", "multi_hot" or "count".
        depth: the length of the last dimension of the result.
        dtype: that of the result.
        weights: how much each number counts.
    """
    if mode == "int":
        return numbers.to(dtype)
    if numbers.ndim == 0:
        numbers = numbers.unsqueeze(0)
    shape = encoded_shape(tuple(numbers.shape), mode, depth + 1)
    # a place before the others for what counts nowhere
    places = (numbers.long() + 1).clamp(min=0)
    if mode == "one_hot":
        places = places.reshape((*shape[:-1], 1))
    elif numbers.ndim > 1:
        places = places.movedim(1, -1)
    found = numbers.new_zeros(shape, dtype=dtype)
    if mode != "count":
        return found.scatter(-1, places, 1)[..., 1:]
    if weights is None:
        weights = numbers.new_ones(1, dtype=dtype).expand_as(places)
    elif numbers.ndim > 1:
        weights = weights.movedim(1, -1)
    return found.scatter_add(-1, places, weights.to(dtype))[..., 1:]


@registry.layers.register()
class CategoryEncoding(Layer):
    """Whole numbers from 0 to `num_tokens` - 1 as rows of zeros and ones, or of counts.

    Shapes: "one_hot" (batch, ...) to (batch, ..., num_tokens), a last dimension of 1 being left out;
    "multi_hot" and "count" (batch, numbers) to (batch, num_tokens).

    Args:
        num_tokens: how many numbers there are.
        output_mode: "one_hot" for each number, "multi_hot" for what each sample has, "count" for how often.
        sparse: not here: the output is dense.
        dtype: that of the output.
        name, trainable, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an argument of another kind; `count_weights` in another mode than "count".

    Example:
        >>> layers.CategoryEncoding(4, output_mode="count")([[3, 1, 3]])
        tensor([[0., 1., 0., 2.]])
    """

    _autocast = False

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.num_tokens = count("CategoryEncoding", "num_tokens", num_tokens)
        self.output_mode = mode_of("CategoryEncoding", output_mode, ("one_hot", "multi_hot", "count"))
        self.sparse = dense("CategoryEncoding", sparse)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return encoded_shape(shape, self.output_mode, self.num_tokens)

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self._kind()

    def forward(self, inputs: Tensor, count_weights: Tensor | None = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            got = f"count_weights with output_mode={self.output_mode!r}"
            raise GraphError(
                explain(f"CategoryEncoding {self.name!r}", got=got, expected="output_mode='count'")
            )
        return encoded(inputs, self.output_mode, self.num_tokens, self._kind(), count_weights)
