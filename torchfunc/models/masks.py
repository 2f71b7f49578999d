"""Masks of a model: its graph called anew with masks at its inputs, so that it gives those of its outputs.

A graph says which masks its layers take; which masks its outputs have is found again from the layers
whenever somebody asks, so that no file holds it and nothing is paid where nobody does.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.graph.drawing import between
from torchfunc.graph.emit import emit
from torchfunc.graph.graph import Graph, StateRef
from torchfunc.graph.symbolic import Input, SymbolicTensor
from torchfunc.layers import lost
from torchfunc.models.cloning import called_anew
from torchfunc.tree import leaves, map_leaves

Pattern = tuple[bool, ...]


@dataclass(frozen=True)
class Masked:
    """A graph that takes masks behind its inputs, and returns (outputs, [masks of outputs]).

    Attributes:
        graph: the table.
        places: which of the outputs have the masks, in order.
        is_asked: whether a mask that comes in changes anything, or one comes out.
        loses: whether an output is without a mask because a call before it did not hand one on.
    """

    graph: Graph
    places: tuple[int, ...]
    is_asked: bool
    loses: bool


def masked(
    graph: Graph, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], pattern: Pattern
) -> Masked:
    """The graph with a mask at each input where `pattern` says so."""
    inputs, masks = _inputs(graph, pattern)
    given, outputs = called_anew(graph, modules, state, inputs)
    flat = list(leaves(outputs))
    # a constant that a Lambda was given for a mask is no value of the graph
    found = {at: each.mask for at, each in enumerate(flat) if isinstance(each.mask, SymbolicTensor)}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of an input that nothing needs, which was told when the model was made
        drawn = between([*leaves(given), *masks], (outputs, list(found.values())))
    table = _under_own_names(drawn.graph, drawn.modules, drawn.state, modules, state)
    used = {ref.row for call in table.calls for ref in call.refs()}
    first = len(inputs)
    is_asked = bool(found) or any(first + index in used for index in range(len(masks)))
    loses = any(symbol.mask is None and lost.mask_end(symbol) is not None for symbol in flat)
    return Masked(table, tuple(found), is_asked, loses)


def _inputs(graph: Graph, pattern: Pattern) -> tuple[list[Any], list[Any]]:
    """New Inputs like those of the graph, and those for their masks."""
    inputs, masks = [], []
    for ref, is_masked in zip(leaves(graph.inputs), pattern, strict=True):
        call = graph.calls[ref.row]
        inputs.append(Input(batch_shape=call.specs.shape, dtype=call.specs.dtype, name=call.name))
        if is_masked:
            # a mask of steps, which is what layers take; one of another rank is tried as it comes
            steps = call.specs.shape[: max(2, len(call.specs.shape) - 1)]
            inputs[-1].mask = Input(batch_shape=steps, dtype=torch.bool, name=f"{call.name}_mask")
            masks.append(inputs[-1].mask)
    return inputs, masks


def _under_own_names(
    graph: Graph, found: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], modules: Any, state: Any
) -> Graph:
    """The table with the names that the model has for its modules and tensors."""
    names = {id(module): name for name, module in modules.items()}
    owned = {id(tensor): name for name, tensor in state.items()}
    renamed = {name: names[id(module)] for name, module in found.items()}

    def own(leaf: Any) -> Any:
        if not isinstance(leaf, StateRef):
            return leaf
        if leaf.name in tensors:
            return StateRef(owned[id(tensors[leaf.name])])
        module, _, rest = leaf.name.partition(".")
        return StateRef(f"{renamed[module]}.{rest}")

    calls = (
        replace(call, args=map_leaves(own, call.args), kwargs=map_leaves(own, call.kwargs))
        for call in graph.calls
    )
    return replace(graph, calls=tuple(calls)).renamed(renamed)


class Variants:
    """The graphs of a model with masks, made when they are first asked for, and their forwards."""

    def __init__(self, graph: Any = None, known: dict[Pattern, Masked] | None = None) -> None:
        self.graph = graph  # the one that they belong to
        self.known: dict[Pattern, Masked] = known or {}
        self.forwards = {
            pattern: emit(each.graph, is_called_on_tensors=True).compile("masked")
            for pattern, each in self.known.items()
        }

    def at(self, model: Any, pattern: Pattern) -> Masked:
        """The graph of a model with a mask at each input where `pattern` says so."""
        model._refresh()
        if self.graph is not model.graph:
            self.__init__(model.graph)  # type: ignore[misc]
        if pattern not in self.known:
            found = masked(model.graph, model._modules, model._state_by_name(), pattern)
            self.__init__(self.graph, {**self.known, pattern: found})  # type: ignore[misc]
        return self.known[pattern]

    def forward(self, model: Any, pattern: Pattern) -> Callable[..., Any]:
        self.at(model, pattern)
        return self.forwards[pattern]

    def __reduce__(self) -> Any:
        return Variants, (self.graph, self.known)


def taking_masks(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The forward of a model that also takes `masks`, one for each input or None, and then returns
    (outputs, [masks of outputs]); or `mask`, and returns the outputs alone."""

    def with_masks(
        self: Any, *inputs: Any, training: Any = None, mask: Any = None, masks: Any = None, **named: Any
    ) -> Any:
        if mask is None and masks is None:
            return forward(self, *inputs, training=training, **named)
        values = self._arguments(*inputs, *named.values())
        given = list(leaves(mask if masks is None else masks))
        if training is True or training is False:
            pair = self._in_mode(training, *values, masks=given)
        else:
            pattern = tuple([each is not None for each in given])
            run = self._masked.forwards.get(pattern) or self._masked.forward(self, pattern)
            pair = run(self, *values, *[each for each in given if each is not None])
        return pair[0] if masks is None else pair

    # masks are no inputs, and who asks for them knows of them
    with_masks.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return with_masks


def masks_for(names: Sequence[str], args: tuple[Any, ...], given: Any) -> list[Any]:
    """One mask or None for each input of a model that is called on symbols: those given, or their own."""
    if given is not None:
        return list(leaves(given))
    first = args[0] if len(args) == 1 else args
    if isinstance(first, dict) and set(first) == set(names):
        first = [first[name] for name in names]
    return [getattr(leaf, "mask", None) for leaf in leaves(first)]


def takers(graph: Graph) -> set[str]:
    """The names of the modules that a graph calls with masks for their inputs."""
    return {call.target for call in graph.calls if call.kind == "module" and "masks" in call.kwargs}
