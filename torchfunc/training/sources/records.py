"""Records: a batch that names what it holds, a dict, a dataclass or a NamedTuple, told apart into x, y and weights."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from torchfunc.training.ports import Slots
from torchfunc.tree import leaves

# What a batch may call its targets, if a module has one output and says no better name for it.
LABELS = ("labels", "label", "targets", "target", "y", "label_ids")
_WHOLE = ({"x", "y"}, {"inputs", "targets"}, {"inputs", "labels"})


def as_record(item: Any) -> dict[str, Any] | None:
    """What a mapping, a dataclass or a NamedTuple holds by name; None for anything else.

    What is None in a dataclass or a NamedTuple is left out.
    """
    if isinstance(item, Mapping):
        return dict(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        held = {each.name: getattr(item, each.name) for each in dataclasses.fields(item)}
    elif isinstance(item, tuple) and hasattr(item, "_fields"):
        held = dict(zip(item._fields, item, strict=True))
    else:
        return None
    return {name: each for name, each in held.items() if each is not None}


class Labelled:
    """How a module's batches are told apart by the names in them.

    Args:
        module: what is called with the inputs.
        inputs: its inputs, where they are known; else what its forward takes.
        outputs: its outputs, where they are known.
        learns: whether it is given a loss. A module that has one of its own is handed the labels as an input.
        measured: whether it is given metrics.
    """

    def __init__(
        self, module: nn.Module, inputs: Slots | None, outputs: Slots | None, *, learns: bool, measured: bool
    ) -> None:
        self.outputs, self.learns, self.measured = outputs, learns, measured
        self.takes, self.takes_any, self.asks = set[str](), False, set[str]()
        if inputs is not None:
            top = inputs.nesting.keys() if isinstance(inputs.nesting, dict) else ()
            self.takes = {*inputs.names, *inputs.keys, *top}
            return
        for each in inspect.signature(module.forward).parameters.values():
            if each.kind is each.VAR_KEYWORD:
                self.takes_any = True
            elif each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
                self.takes.add(each.name)
                self.asks |= {each.name} if each.default is each.empty else set()

    def fits(self, item: Any) -> bool:
        """Whether a NamedTuple is a batch by names, and not one by places such as (x, y)."""
        names = getattr(item, "_fields", ())
        return bool(self.takes.intersection(names)) or set(names) - {"sample_weight"} in _WHOLE

    def apart(self, record: Mapping[str, Any], *, inputs_only: bool = False) -> tuple[Any, Any, Any]:
        """x, y and sample_weight; what nobody knows stays in x, where it is told of."""
        rest = dict(record)
        weight = None if "sample_weight" in self.takes else rest.pop("sample_weight", None)
        for pair in _WHOLE:
            first, second = sorted(pair, key=lambda name: name not in ("x", "inputs"))
            if rest.keys() == pair and second not in self.takes:
                return rest[first], None if inputs_only else rest[second], weight
        own = not self.learns and not inputs_only and "labels" in self.takes
        taken = self.takes if own or "labels" in self.asks else self.takes - {"labels"}
        label = next((each for each in LABELS if each in rest and each not in taken), None)
        if own:
            if label is not None and "labels" not in rest:
                rest["labels"] = rest.pop(label)
            return rest, rest.get("labels") if self.measured else None, weight
        y: Any = {name: rest.pop(name) for name in self._targets(rest)}
        if label is not None and not y:
            y = rest.pop(label)
        return rest, None if inputs_only or (isinstance(y, dict) and not y) else y, weight

    def of_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that the module takes or is trained by; a dataset has others, such as texts and numbers of rows."""
        outputs = () if self.outputs is None else {*self.outputs.names, *self.outputs.keys}
        known = {*self.takes, *outputs, *LABELS, "sample_weight"}
        kept = {name: each for name, each in columns.items() if name in known}
        return dict(columns) if self.takes_any or not self.takes.intersection(kept) else kept

    def _targets(self, rest: Mapping[str, Any]) -> list[str]:
        """The names that are those of outputs; where nobody knows these, of what the forward does not take."""
        if self.outputs is not None:
            known = {*self.outputs.names, *self.outputs.keys}
            return [name for name in rest if name in known and name not in self.takes]
        if not (self.learns or self.measured) or self.takes_any or not self.takes.intersection(rest):
            return []
        return [name for name in rest if name not in self.takes and name not in LABELS]


def parted(returned: Any, *, flat: bool = True) -> tuple[Tensor | None, Any]:
    """The loss that a module returned among its outputs, as `outputs.loss` or `outputs["loss"]`, and the outputs by name.

    A plain dict without a loss, and what is neither a mapping nor a dataclass, is returned as it is. Of the others
    only the tensors are outputs, unless `flat` is False, with lists and tuples of tensors: a cache is none.
    """
    if isinstance(returned, Tensor) or type(returned) in (list, tuple):
        return None, returned
    record = as_record(returned)
    if record is None or (type(returned) is dict and "loss" not in record):
        return None, returned
    loss = record.pop("loss", None)
    loss = loss if isinstance(loss, Tensor) and loss.is_floating_point() else None
    outputs = {
        name: each
        for name, each in record.items()
        if isinstance(each, Tensor)
        or not (flat or any(not isinstance(leaf, Tensor) for leaf in leaves(each)))
    }
    return (loss.mean() if loss is not None and loss.ndim else loss), outputs
