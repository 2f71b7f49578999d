"""Contents: what a file or folder holds, told from its header, with nothing of it made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import torch

from torchfunc.errors import shorten
from torchfunc.saving.archive import Place, opened
from torchfunc.saving.header import DTYPES
from torchfunc.saving.shards import Together
from torchfunc.saving.source import Source

_OPTIMIZER = "optimizer/"  # begins the names of what only training needs
_SHOWN = 20
_DTYPES = {str(each).removeprefix("torch."): each for each in DTYPES.values()}
_KINDS = {
    "model": "a whole model",
    "weights": "weights that torchfunc saved, and no model",
    "tensors": "tensors of another tool",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file, or one input or output of its model; what is not known is None.

    Args:
        name: of the tensor.
        shape: its lengths; None for a length that is not known.
        dtype: its dtype.
        bytes: how many it takes in the file.

    Example:
        >>> model.save("model.safetensors")
        >>> print(inspect("model.safetensors").tensors[0])
        'block3.bias' (4,) float32 16 bytes
    """

    name: str
    shape: tuple[int | None, ...] | None = None
    dtype: torch.dtype | None = None
    bytes: int | None = None

    def __str__(self) -> str:
        dtype = "" if self.dtype is None else str(self.dtype).removeprefix("torch.")
        size = "" if self.bytes is None else f"{self.bytes:,} bytes"
        shape = "" if self.shape is None else shorten(self.shape)
        return " ".join(filter(None, [shorten(self.name, 80), shape, dtype, size]))


@dataclass(frozen=True)
class Contents:
    """What a file or folder holds; as text, a summary of some lines.

    Args:
        where: the file or folder.
        kind: a whole model, weights that torchfunc saved alone, or tensors that another tool saved.
        version: of the format; None for tensors of another tool.
        size: of the file, in bytes.
        model: the name and class of the model, each None where the file does not say.
        layers: the class of each layer by its name, with those inside after the one that holds them.
        inputs: of the model, with shapes and dtypes where the file says them.
        outputs: likewise.
        tensors: those that are stored, also the state of an optimizer (under "optimizer/").
        aliases: second names of stored tensors.
        parameters: how many numbers the weights have, running statistics among them.
        compiled: whether there is a configuration of `compile`.
        trained: whether there is a state of training to go on from.

    Example:
        >>> model.save("model.safetensors")
        >>> contents = inspect("model.safetensors")
        >>> contents.classes, contents.compiled
        ({'Dense': 2, 'Conv2D': 1, 'Flatten': 1, 'Dropout': 1}, False)
    """

    where: str
    kind: Literal["model", "weights", "tensors"]
    version: int | None
    size: int
    model: tuple[str | None, str | None]
    layers: Mapping[str, str]
    inputs: tuple[Stored, ...]
    outputs: tuple[Stored, ...]
    tensors: tuple[Stored, ...]
    aliases: Mapping[str, str]
    parameters: int
    compiled: bool
    trained: bool

    @property
    def classes(self) -> dict[str, int]:
        """How many layers there are of each class, the most frequent first."""
        return dict(Counter(self.layers.values()).most_common())

    def __str__(self) -> str:
        version = "" if self.version is None else f", format version {self.version}"
        return "\n  ".join(
            [f"{self.where}: {_KINDS[self.kind]}{version}, {self.size:,} bytes", *self._lines()]
        )

    def _lines(self) -> Iterator[str]:
        if self.kind == "model":
            name, kind = self.model
            yield f"model: {shorten(kind, 80)}{'' if name is None else ' named ' + shorten(name, 80)}"
            counted = (f"{number:,} {shorten(kind, 80)}" for kind, number in self.classes.items())
            yield from _listed(f"layers: {len(self.layers):,}", counted, len(self.classes))
            yield from _listed("inputs:", map(str, self.inputs), len(self.inputs))
            yield from _listed("outputs:", map(str, self.outputs), len(self.outputs))
            yield f"compiled: {'yes' if self.compiled else 'no'}"
            yield f"state of training: {'yes' if self.trained else 'no'}"
        yield f"parameters: {self.parameters:,}"
        yield from _listed(f"tensors: {len(self.tensors):,}", map(str, self.tensors), len(self.tensors))
        if self.aliases:
            pairs = (f"{shorten(name, 80)} is {shorten(each, 80)}" for name, each in self.aliases.items())
            yield from _listed(f"second names: {len(self.aliases):,}", pairs, len(self.aliases))


def inspect(filepath: Place) -> Contents:
    """Tell what a file holds, without making a model or reading a tensor.

    It is as safe as loading: the header is checked in the same way, and nothing in it is executed.

    Args:
        filepath: a `.safetensors` file of any tool, a folder, or an open binary file.

    Returns:
        What the file holds.

    Raises:
        NotATorchfuncFileError, UnsupportedVersionError, CorruptFileError, ConfigError, LimitError: as
            `load_model`, but that tensors without a model are fine.

    Example:
        >>> model.save("model.safetensors")
        >>> contents = inspect("model.safetensors")
        >>> contents.kind, contents.parameters, contents.layers["head"]
        ('model', 1290, 'Dense')
        >>> print(contents.outputs[0])
        'head' (None, 2) float32
    """
    with opened(filepath, None) as source:
        document = source.document if source.is_archive else {"config": {}, "aliases": {}}
        config = document["config"]
        model = _dict(config.get("model"))
        inner = _dict(model.get("config"))
        ends = _ends(inner)
        tensors = tuple(_tensors(source))
        return Contents(
            where=source.where,
            kind="model" if "model" in config else "weights" if source.is_archive else "tensors",
            version=document.get("version"),
            size=source.end,
            model=(_text(inner.get("name")), _text(model.get("class_name"))),
            layers=_layers(model),
            inputs=ends[0],
            outputs=ends[1],
            tensors=tensors,
            aliases=dict(document["aliases"]),
            parameters=sum(
                math.prod(source.table[each.name].shape)
                for each in tensors
                if not each.name.startswith(_OPTIMIZER)
            ),
            compiled=config.get("compile") is not None,
            trained=config.get("training") is not None,
        )


def _listed(title: str, items: Iterable[str], number: int) -> Iterator[str]:
    """A title, and the first few items below it."""
    yield title
    yield from (f"  {each}" for each in islice(items, _SHOWN))
    if number > _SHOWN:
        yield f"  and {number - _SHOWN:,} more"


def _tensors(source: Source | Together) -> Iterator[Stored]:
    for name, entry in source.table.items():
        yield Stored(name, entry.shape, entry.dtype, entry.end - entry.begin)


def _layers(model: dict[str, Any]) -> dict[str, str]:
    """Classes by names such as "block.dense", of what a config calls layers, whatever it is."""
    found: dict[str, str] = {}
    waiting = [("", model)]
    while waiting:
        prefix, owner = waiting.pop()
        layers = _dict(owner.get("config")).get("layers")
        inside = []
        for name, each in _named(layers):
            if _text(_dict(each).get("class_name")) is not None:
                path = f"{prefix}{shorten(name, 80)[1:-1]}"
                found[path] = each["class_name"]
                inside.append((f"{path[:200]}.", each))
        waiting += reversed(inside)
    return found


def _named(layers: Any) -> Iterator[tuple[str, Any]]:
    """Layers in a dict by their names, those in a list by the names in their configs or by their places."""
    if isinstance(layers, dict):
        yield from layers.items()
    elif isinstance(layers, list):
        for index, each in enumerate(layers):
            yield _text(_dict(_dict(each).get("config")).get("name")) or str(index), each


def _ends(config: dict[str, Any]) -> tuple[tuple[Stored, ...], tuple[Stored, ...]]:
    """The inputs and outputs of a graph, as far as its table says them."""
    table = _dict(config.get("table")) or config
    calls = table.get("calls")
    known = {
        each["name"]: each
        for each in (calls if isinstance(calls, list) else [])
        if isinstance(each, dict) and isinstance(each.get("name"), str)
    }
    return tuple(_end(known, each) for each in _from(table.get("inputs"))), tuple(
        _end(known, each) for each in _from(table.get("outputs"))
    )


def _from(nested: Any) -> Iterator[str]:
    """The names of calls in a nested structure, in its order."""
    waiting = [nested]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and isinstance(value.get("from"), str):
            yield value["from"]
        elif isinstance(value, (dict, list)):
            waiting += reversed(list(value.values() if isinstance(value, dict) else value))


def _end(known: Mapping[str, dict[str, Any]], name: str) -> Stored:
    call = known.get(name, {})
    given = (
        {"shape": call["input"], "dtype": call.get("dtype")}
        if "input" in call
        else _dict(call.get("returns"))
    )
    shape, dtype = given.get("shape"), _DTYPES.get(str(_text(given.get("dtype"))))
    if isinstance(shape, list) and all(each is None or type(each) is int for each in shape):
        return Stored(name, tuple(shape), dtype)
    return Stored(name, None, dtype)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
