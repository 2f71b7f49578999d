"""Hashing: text and whole numbers put into a fixed number of bins, the same ones as TensorFlow and Keras put them into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.errors import DTypeError, GraphError, ShapeError, explain, shorten
from torchfunc.graph.symbolic import dtype_of
from torchfunc.layers.arguments import count
from torchfunc.layers.layer import Common, Layer
from torchfunc.layers.preprocessing.adapting import is_text, numbers_of, texts_in
from torchfunc.layers.preprocessing.encoding import dense, encoded, encoded_shape, mode_of
from torchfunc.layers.preprocessing.fingerprints import (
    bins_of,
    cross_bins_of,
    decimals_of,
    farmhash64,
    texts_of,
)


def salt_of(owner: str, salt: Any) -> list[int] | None:
    """The two numbers of a key; a single one stands for both.

    Raises:
        GraphError: anything else.
    """
    if salt is None:
        return None
    pair = [salt, salt] if isinstance(salt, int) else salt
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(type(each) is int for each in pair):
        expected = "one whole number or two"
        raise GraphError(
            explain(owner, got=f"salt={shorten(salt)}", expected=expected, fix="salt=[133, 137]")
        )
    return list(pair)


class _OfText(Layer):
    """A layer that takes text as well as tensors, and gives tensors on its own device."""

    _autocast = False

    def __init__(self, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self._place = nn.Buffer(torch.empty(0, dtype=torch.uint8), persistent=False)

    def _kind_of(self, mode: str) -> torch.dtype:
        """The dtype of the output: whole numbers in the mode "int", else floats."""
        return self.dtype or (torch.int64 if mode == "int" else torch.get_default_dtype())


@registry.layers.register()
class Hashing(_OfText):
    """Text or whole numbers, each in one of `num_bins` bins by its hash.

    Shapes: (batch, ...) of text or whole numbers to the same of numbers from 0 to `num_bins` - 1, in the mode "int";
    in the others as for CategoryEncoding. Numbers are hashed as decimal text, and floats are cut to whole ones first.

    Args:
        num_bins: how many bins there are.
        mask_value: what goes into bin 0, which nothing else goes into then.
        salt: with one number or two the hash is SipHash-2-4 with that key; FarmHash's Fingerprint64 without.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: not here: the output is dense.
        dtype: that of the output, int64 in the mode "int".
        name, trainable, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: an argument of another kind.

    Example:
        >>> layers.Hashing(3)([["A"], ["B"]])
        tensor([[1],
                [0]])
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**_of_numbers(output_mode, common))
        self.num_bins = count("Hashing", "num_bins", num_bins)
        self.mask_value = mask_value
        self.salt = salt_of("Hashing", salt)
        self.output_mode = mode_of("Hashing", output_mode, ("int", "one_hot", "multi_hot", "count"))
        self.sparse = dense("Hashing", sparse)
        _check_dtype_of("Hashing", self.output_mode, self.dtype)

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return encoded_shape(shape, self.output_mode, self.num_bins)

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return self._kind_of(self.output_mode)

    def forward(self, inputs: Any) -> Tensor:
        bins = self._bins(inputs)
        return encoded(bins, self.output_mode, self.num_bins, self._kind_of(self.output_mode))

    def _bins(self, inputs: Any) -> Tensor:
        masks = self.mask_value is not None and self.num_bins > 1
        number = self.num_bins - masks
        if is_text(inputs):
            words = texts_in(f"Hashing {self.name!r}", inputs)
            found = bins_of(texts_of(words.ravel().tolist()), number, self.salt).reshape(words.shape)
            if masks:
                mask = str(self.mask_value).encode()
                masked = torch.tensor([each == mask for each in words.flat]).reshape(words.shape)
                found = torch.where(masked, 0, found + 1)
            return found.to(self._place.device)
        numbers = numbers_of(f"Hashing {self.name!r}", inputs)
        whole = numbers.long()
        found = bins_of(decimals_of(whole.reshape(-1)), number, self.salt).reshape(whole.shape)
        return torch.where(numbers.eq(self._number_mask()), 0, found + 1) if masks else found

    def _number_mask(self) -> int | float:
        if isinstance(self.mask_value, (int, float)):
            return self.mask_value
        got, fix = f"numbers with mask_value={self.mask_value!r}", "mask_value=0"
        raise DTypeError(
            explain(f"Hashing {self.name!r}", got=got, expected="a mask_value that is a number", fix=fix)
        )


@registry.layers.register()
class HashedCrossing(_OfText):
    """What two or more features are together, in one of `num_bins` bins.

    Shapes: a list of features, each (batch,) or (batch, 1) of text or whole numbers, to the same of numbers from 0 to
    `num_bins` - 1; to (batch, num_bins) in the mode "one_hot".

    Args:
        num_bins: how many bins there are.
        output_mode: "int" or "one_hot".
        sparse: not here: the output is dense.
        dtype: that of the output, int64 in the mode "int".
        name, trainable, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: less than two features, an argument of another kind.
        ShapeError: features of other shapes.
        DTypeError: features that are neither text nor whole numbers.

    Example:
        >>> layers.HashedCrossing(5)((["A", "B"], [101, 101]))
        tensor([1, 4])
    """

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, **common: Unpack[Common]
    ) -> None:
        super().__init__(**_of_numbers(output_mode, common))
        self.num_bins = count("HashedCrossing", "num_bins", num_bins)
        self.output_mode = mode_of("HashedCrossing", output_mode, ("int", "one_hot"))
        self.sparse = dense("HashedCrossing", sparse)
        _check_dtype_of("HashedCrossing", self.output_mode, self.dtype)

    def forward(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise self._too_few(inputs)
        columns = [self._column(each) for each in inputs]
        shape = columns[0].shape
        if (
            len(shape) > 2
            or (len(shape) == 2 and shape[1] != 1)
            or any(each.shape != shape for each in columns)
        ):
            raise ShapeError(
                explain(
                    f"HashedCrossing {self.name!r}",
                    got=f"features of the shapes {[tuple(each.shape) for each in columns]}",
                    expected="each (), (batch,) or (batch, 1), and all alike",
                )
            )
        bins = cross_bins_of(columns, self.num_bins)
        return encoded(bins, self.output_mode, self.num_bins, self._kind_of(self.output_mode))

    def _too_few(self, inputs: Any) -> GraphError:
        got, fix = shorten(inputs), "layer((first, second))"
        return GraphError(
            explain(f"HashedCrossing {self.name!r}", got=got, expected="a list of two features", fix=fix)
        )

    def _column(self, feature: Any) -> Tensor:
        """A feature as whole numbers: text by its fingerprints."""
        if is_text(feature):
            words = texts_in(f"HashedCrossing {self.name!r}", feature)
            return farmhash64(texts_of(words.ravel().tolist())).reshape(words.shape).to(self._place.device)
        numbers = numbers_of(f"HashedCrossing {self.name!r}", feature)
        if numbers.is_floating_point():
            got, expected = str(numbers.dtype), "text or whole numbers"
            raise DTypeError(
                explain(f"HashedCrossing {self.name!r}", got=got, expected=expected, fix="x.long()")
            )
        return numbers.long().to(self._place.device)


def _of_numbers(mode: str, common: Common) -> Common:
    """The arguments of every layer; the number of a bin is a whole one, whatever dtype the global policy says."""
    return {**common, "dtype": common.get("dtype") or "int64"} if mode == "int" else common


def _check_dtype_of(owner: str, mode: str, dtype: torch.dtype | None) -> None:
    """Refuse a dtype that cannot hold the number of a bin."""
    if mode == "int" and dtype not in (None, torch.int32, torch.int64):
        got = f"dtype={str(dtype_of(dtype)).removeprefix('torch.')!r} with output_mode='int'"
        raise GraphError(explain(owner, got=got, expected="int32 or int64", fix="dtype='int64'"))
