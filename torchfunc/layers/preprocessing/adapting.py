"""Adapting: what a layer learns from data before it is used, batch by batch, in whatever form the data come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from encodings.aliases import aliases
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from torchfunc.errors import DTypeError, GraphError, ShapeError, explain, shorten
from torchfunc.layers.layer import Layer

_SAMPLES = 1024  # how many samples of a dataset that has no batches are taken at a time


class Adapted(Layer):
    """A layer that learns from data: `adapt`, or batch by batch `update_state` and at the end `finalize_state`."""

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn from data, and forget what was learned before.

        Args:
            data: an array, a tensor or a list of samples; a list of arrays, a DataLoader, a PyDataset or a generator
                of batches; or a `torch.utils.data.Dataset` of samples. Of pairs the first is taken.
            batch_size: how many samples of a Dataset are taken at a time.
            steps: how many batches are taken; all if None.

        Raises:
            GraphError: no data.
        """
        self.reset_state()
        batches = iter([self._whole(data)]) if is_whole(data) else batches_of(data, batch_size or _SAMPLES)
        count = 0
        for batch in itertools.islice(batches, steps):
            self.update_state(batch)
            count += 1
        if not count:
            name = f"{type(self).__name__} {self.name!r}.adapt"
            raise GraphError(explain(name, got="no data", expected="at least one batch"))
        self.finalize_state()

    def _whole(self, data: Any) -> Any:
        """All the data at once as a batch."""
        return data

    def update_state(self, data: Any) -> None:
        """Learn from one more batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state(data).")

    def finalize_state(self) -> None:
        """Put what was learned to use."""

    def reset_state(self) -> None:
        """Forget what was learned since `finalize_state`."""


def batches_of(data: Any, batch_size: int) -> Iterator[Any]:
    """The batches in data of any form, without what stands beside the inputs."""
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if not isinstance(data, Iterable) or isinstance(data, Mapping):
        expected = "an array, a list, a DataLoader, a Dataset or a generator of batches"
        raise GraphError(explain("adapt", got=shorten(data), expected=expected))
    for batch in data:
        yield _inputs_in(batch)


def is_whole(data: Any) -> bool:
    """Whether data are samples, and no batches."""
    if isinstance(data, (Tensor, np.ndarray, str, bytes)) or hasattr(data, "__array__"):
        return True
    return isinstance(data, (list, tuple)) and not any(
        isinstance(each, (Tensor, np.ndarray)) for each in data
    )


def _inputs_in(batch: Any) -> Any:
    """The inputs in a batch of pairs, as `Dataset`s of (inputs, target) make them; else the batch."""
    pairs = isinstance(batch, (list, tuple)) and any(isinstance(each, (Tensor, np.ndarray)) for each in batch)
    return batch[0] if pairs else batch


def numbers_of(owner: str, data: Any) -> Tensor:
    """Data as a tensor of numbers.

    Raises:
        DTypeError: text, or rows of different lengths.
    """
    if isinstance(data, Tensor):
        return data
    try:
        array = np.asarray(data)
    except ValueError:
        array = np.asarray(data, dtype=object)
    if array.dtype.kind not in "biuf":
        raise DTypeError(explain(owner, got=shorten(data), expected="numbers in rows of one length"))
    return torch.from_numpy(np.array(array, order="C"))


def texts_in(owner: str, data: Any, encoding: str = "utf-8") -> np.ndarray[Any, Any]:
    """Data as an array of texts in UTF-8.

    Args:
        owner: whose input it is, for messages.
        data: texts, or bytes in `encoding`, nested or not: a list, an array, a column of a table.
        encoding: that of what comes as bytes.

    Raises:
        DTypeError: something that is no text.
        ShapeError: rows of different lengths.
    """
    array = None if isinstance(data, Tensor) else np.asarray(data, dtype=object)
    if array is None or (array.size and not isinstance(array.flat[0], (str, bytes, list, tuple))):
        got = shorten(data) if array is None or array.ndim == 0 else shorten(array.flat[0])
        raise DTypeError(explain(owner, got=got, expected="texts"))
    return objects([_in_utf8(owner, each, encoding) for each in array.flat], array.shape)


def objects(values: list[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An array of this shape with these things in it."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found.reshape(shape)


def _in_utf8(owner: str, text: Any, encoding: str) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text if encoding.lower() in ("utf-8", "utf8") else text.decode(encoding).encode()
    if isinstance(text, (list, tuple)):
        fix = "fill the rows up to one length"
        raise ShapeError(
            explain(owner, got="rows of different lengths", expected="rows of one length", fix=fix)
        )
    raise DTypeError(explain(owner, got=shorten(text), expected="texts"))


_NO_TEXT = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}


def encoding_of(owner: str, name: str) -> str:
    """An encoding of text that Python knows by this name; nothing is imported to find it.

    Raises:
        GraphError: there is none.
    """
    plain = name.lower().replace("-", "_").replace(" ", "_")
    if aliases.get(plain, plain) in set(aliases.values()) - _NO_TEXT:
        return name
    raise GraphError(
        explain(owner, got=f"encoding={shorten(name)}", expected="the name of one", fix="encoding='utf-8'")
    )


def is_text(data: Any) -> bool:
    """Whether data are text, by the first of them."""
    if isinstance(data, Tensor):
        return False
    if hasattr(data, "__array__"):
        array = np.asarray(data)
        return array.dtype.kind in "US" or bool(array.size and isinstance(array.flat[0], (str, bytes)))
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (str, bytes))


def no_text(layer: Layer) -> GraphError:
    """The error for a layer of text that is called on a symbolic tensor."""
    return GraphError(
        explain(
            f"{type(layer).__name__} {layer.name!r}",
            got="a symbolic tensor",
            expected="text",
            why="a graph holds tensors, and text is none",
            fix="call it on the text, in a Dataset or a collate_fn too, and give the model an Input of what it returns; "
            "a Sequential that begins with it, and with no Input, takes text",
        )
    )
