"""Ports: what a module takes and gives: names, shapes, dtypes and nesting of its inputs and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from torchfunc.errors import DataError, TorchfuncError, UnknownNameError, explain
from torchfunc.training.convert import is_array
from torchfunc.tree import is_branch, leaves, leaves_with_path, map_leaves


@dataclass(frozen=True)
class Port:
    """One input or one output.

    Attributes:
        name: what data, losses, targets and logs call it.
        shape: with None for an unknown dimension; None if nothing is known of it.
        dtype: what the data of an input are cast to; None where they are taken as they come.
        table: for an input the name and the number of rows of the table that it is looked up in, if one is.
        logits: for an output the name of the submodule whose softmax or sigmoid it is, so that its
            crossentropy can be taken of what that was given; "" is the module itself.
        activation: for an output what made it, if that is a softmax, a sigmoid or the log of one.
        optional: whether an input may be None, or left out of a dict.
    """

    name: str
    shape: tuple[int | None, ...] | None = None
    dtype: torch.dtype | None = None
    table: tuple[str, int] | None = None
    logits: str | None = None
    activation: str | None = None
    optional: bool = False


class Ports:
    """The inputs and the outputs of a module, in order.

    Args:
        inputs: None where only the data know how many there are.
        outputs: None where only a first try knows.
        nesting: how the outputs are nested, with their names at the leaves; None for one alone.
        input_nesting: likewise for the inputs.
    """

    def __init__(
        self,
        inputs: Sequence[Port] | None = None,
        outputs: Sequence[Port] | None = None,
        nesting: Any = None,
        input_nesting: Any = None,
    ) -> None:
        self.inputs = None if inputs is None else Slots("input", tuple(inputs), input_nesting)
        self.outputs = None if outputs is None else Slots("output", tuple(outputs), nesting)

    @classmethod
    def named(cls, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Ports:
        """Ports of which no more than the names are known."""
        return cls(
            *(None if names is None else [Port(name) for name in names] for names in (inputs, outputs))
        )


def ports_of_outputs(outputs: Any) -> Slots:
    """What a module returned as its outputs: by a dict's keys, else `output`, or `output_0`, `output_1`, ..."""
    if isinstance(outputs, Tensor):
        names = ["output"]
    elif isinstance(outputs, dict):
        names = list(map(str, outputs))
    else:
        names = [f"output_{index}" for index, _ in enumerate(leaves(outputs))]
    return Slots("output", tuple(map(Port, names)))


@dataclass(frozen=True)
class Slots:
    """The inputs, or the outputs, of a module: what is given for them is found by name or by place.

    Attributes:
        kind: "input" or "output", as messages call one of them.
        ports: one for each.
        nesting: how they are nested, with their names at the leaves; None for one alone, or if that is unknown.
    """

    kind: str
    ports: tuple[Port, ...]
    nesting: Any = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.ports)

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The names by other words for them: the keys under which they are nested."""
        paths = leaves_with_path(self.nesting)
        return {path[-1]: name for path, name in paths if path and isinstance(path[-1], str)}

    @property
    def batch_size(self) -> int | None:
        """The one number of samples that can be taken at a time, where there is one."""
        return next((port.shape[0] for port in self.ports if port.shape and port.shape[0]), None)

    def __len__(self) -> int:
        return len(self.ports)

    def __iter__(self) -> Iterator[Port]:
        return iter(self.ports)

    def arrange(
        self, value: Any, what: str, error: type[TorchfuncError], *, partial: bool = False
    ) -> list[Any]:
        """One item for each slot: from what is nested as they are, from a dict by name, from a sequence by place,
        or the one item there is.

        Args:
            value: what the user gave.
            what: what the user calls it, such as "y" or "loss".
            error: the class of what is raised.
            partial: whether a dict may leave slots out; they get None.

        Raises:
            TorchfuncError: of the class `error`: unknown or missing names, or another number of items.
        """
        if isinstance(value, dict):
            formed = None if self.nesting is None else _in_form_of(self.nesting, value)
            return self._by_name(value, what, error, partial) if formed is None else formed
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(items) != len(self):
            nested = list(leaves(value))
            if len(nested) != len(self):
                raise error(self._wrong_number(what, len(items)))
            items = nested
        return items

    def _by_name(
        self, given: dict[Any, Any], what: str, error: type[TorchfuncError], partial: bool
    ) -> list[Any]:
        named = {self.keys.get(key, key): item for key, item in given.items()}
        unknown = next((key for key in named if key not in self.names), None)
        if unknown is not None:
            raise error(self._unknown(what, unknown, named[unknown]))
        missing = next((port.name for port in self if port.name not in named and not port.optional), None)
        if missing is not None and not partial:
            expected = f"one for each {self.kind}: {list(self.names)}"
            raise error(explain(what, got=f"no {missing!r} among its keys {list(given)}", expected=expected))
        return [named.get(name) for name in self.names]

    def _unknown(self, what: str, key: Any, item: Any) -> str:
        if isinstance(self.nesting, dict) and key in self.nesting:
            names = ", ".join(map(repr, self.names))
            return explain(
                f"{what}[{key!r}]",
                got=f"a {type(item).__name__}",
                expected=f"a {type(self.nesting[key]).__name__} with one array for each {self.kind} in it",
                fix=f"nest {what} as the {self.kind}s are, or use a dict by {self.kind} name: {names}",
            )
        close = str(UnknownNameError(self.kind, key, self.names)).partition("Did you mean ")[2]
        hint = f" Did you mean {close}" if close else ""
        return (
            f"{what} has the key {key!r}, which is no {self.kind}. "
            f"{self.kind.title()}s: {', '.join(map(repr, self.names))}.{hint}"
        )

    def _wrong_number(self, what: str, count: int) -> str:
        expected = f"one for each {self.kind}: {', '.join(map(repr, self.names))}"
        fix = f"use a dict by {self.kind} name" if len(self) > 1 else ""
        return explain(what, got=f"{count} item{'s' * (count != 1)}", expected=expected, fix=fix)


def _in_form_of(nesting: Any, value: Any) -> list[Any] | None:
    """What is at the leaves of a structure, in another that is nested like it; None if it is not."""
    if not is_branch(nesting):
        return [value]
    if isinstance(nesting, dict):
        alike = isinstance(value, dict) and value.keys() == nesting.keys()
        pairs = [(each, value[key]) for key, each in nesting.items()] if alike else None
    else:
        alike = isinstance(value, (list, tuple)) and len(value) == len(nesting)
        pairs = list(zip(nesting, value, strict=True)) if alike else None
    parts = [_in_form_of(*pair) for pair in pairs or ()]
    if pairs is None or any(part is None for part in parts):
        return None
    return [leaf for part in parts for leaf in part or ()]


class Place(int):
    """The number of the tensor that stands at a place of nested data."""


@dataclass(frozen=True)
class Form:
    """How the inputs of a batch are passed: one by one, by keywords, or as the list or dict that they came in.

    Attributes:
        names: of the inputs.
        style: how the module takes them.
        nesting: of data that are handed on as they came, whatever a module takes: the data, a `Place` in them for
            each tensor.
        inner: of inputs that are nested themselves: the list or dict of them, a `Place` in it for each tensor.
    """

    names: tuple[str, ...] = ()
    style: Literal["positional", "keywords", "list", "dict"] = "positional"
    nesting: Any = None
    inner: Any = None

    def data(self, tensors: Sequence[Tensor]) -> Any:
        """Data nested as they came."""
        return map_leaves(lambda each: tensors[each] if isinstance(each, Place) else each, self.nesting)

    def call(self, module: nn.Module, inputs: list[Tensor], **keywords: Any) -> Any:
        """What the module returns for these inputs."""
        if self.inner is not None:
            nested = map_leaves(lambda each: inputs[each], self.inner)
            if self.style == "keywords":
                return module(**nested, **keywords)
            return module(*nested, **keywords) if self.style == "positional" else module(nested, **keywords)
        if self.style == "positional":
            return module(*inputs, **keywords)
        named = dict(zip(self.names, inputs, strict=True))
        if self.style == "keywords":
            return module(**named, **keywords)
        return module(inputs if self.style == "list" else named, **keywords)


def taken(module: nn.Module, x: Any, slots: Slots | None) -> tuple[list[Any], Form]:
    """The values of the inputs, and how the module takes them."""
    if slots is not None:
        values = slots.arrange(as_items(x, len(slots)), "x", DataError)
        absent = [value is None and port.optional for value, port in zip(values, slots, strict=True)]
        if any(absent):
            given = [
                pair
                for pair, gone in zip(zip(slots.names, values, strict=True), absent, strict=True)
                if not gone
            ]
            return [value for _, value in given], Form(tuple(name for name, _ in given), "keywords")
        return values, Form(slots.names)
    if isinstance(x, (dict, list, tuple)) and _is_nest(x):
        return _taken_apart(module, x)
    if isinstance(x, dict):
        names = tuple(x)
        return list(x.values()), Form(names, "keywords" if _accepts_names(module, names) else "dict")
    if isinstance(x, (list, tuple)) and _are_inputs(module, x):
        names = tuple(f"x[{index}]" for index in range(len(x)))
        return list(x), Form(names, "positional" if _accepts_count(module, len(x)) else "list")
    return [x], Form(("x",))


def _is_nest(x: Any) -> bool:
    """Whether inputs are nested themselves: a dict or a tuple of arrays among them, or a list of fewer than the samples."""
    items = list(x.values()) if isinstance(x, dict) else list(x)
    counts = {len(each) for each in items if is_array(each) and len(getattr(each, "shape", ()))}

    def nests(item: Any) -> bool:
        if isinstance(item, dict):
            return True
        arrays = isinstance(item, (list, tuple)) and bool(item) and all(map(is_array, leaves(item)))
        if not arrays or not (isinstance(x, dict) or counts):
            return False
        return isinstance(item, tuple) or (bool(counts) and len(item) not in counts)

    return any(map(nests, items))


def _taken_apart(module: nn.Module, x: Any) -> tuple[list[Any], Form]:
    """The arrays of nested inputs, and how the module takes them."""
    names = ["/".join(map(str, path)) for path, _ in leaves_with_path(x)]
    rest = iter(range(len(names)))
    inner = map_leaves(lambda _: Place(next(rest)), x)
    style: Any = "dict" if isinstance(x, dict) else "list"
    if isinstance(x, dict) and _accepts_names(module, tuple(x)):
        style = "keywords"
    elif not isinstance(x, dict) and _accepts_count(module, len(x)):
        style = "positional"
    return list(leaves(x)), Form(tuple(names), style, inner=inner)


def as_items(value: Any, count: int) -> Any:
    """A list of numbers or rows, given for one slot, as one item; what has one item each, as it is."""
    if not isinstance(value, (list, tuple)) or count != 1:
        return value
    return value if len(value) == 1 and is_array(value[0]) else [value]


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    """The parameters of a forward that stand for inputs."""
    parameters = inspect.signature(module.forward).parameters.values()
    return [each for each in parameters if each.name not in ("training", "mask")]


def _accepts_names(module: nn.Module, names: Sequence[str]) -> bool:
    parameters = _parameters(module)
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return True
    return set(names) <= {each.name for each in parameters if each.kind is not each.POSITIONAL_ONLY}


def _are_inputs(module: nn.Module, items: Sequence[Any]) -> bool:
    """Whether a list holds the arrays of several inputs, rather than the rows of one."""
    arrays = bool(items) and all(map(is_array, items))
    return arrays and (_accepts_count(module, len(items)) or all(len(each.shape) > 1 for each in items))


def _accepts_count(module: nn.Module, count: int) -> bool:
    parameters = _parameters(module)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([each for each in parameters if each.kind in positional]) >= count
