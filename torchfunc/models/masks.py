"""Masks of a model: its graph called anew with masks at its inputs, so that it gives those of its outputs.

A graph says which masks its layers take; which masks its outputs have is found again from the layers
whenever somebody asks, so that no file holds it and nothing is paid where nobody does.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from torchfunc.graph.drawing import between
from torchfunc.graph.emit import emit
from torchfunc.graph.graph import Drawn, Graph, StateRef
from torchfunc.graph.run import Modules, inputs_like, recorded, run
from torchfunc.graph.symbolic import Input, SymbolicTensor
from torchfunc.layers import lost
from torchfunc.layers.layer import Layer, masks_of
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


def masked(graph: Graph, modules: Modules, tensors: Mapping[str, Tensor], pattern: Pattern) -> Masked:
    """The graph with a mask at each input where `pattern` says so."""
    inputs, masks = _inputs(graph, pattern)
    outputs = run(graph, inputs, modules, tensors, recorded)
    # a constant that a Lambda was given for a mask is no value of the graph
    found = {
        at: mask for at, mask in enumerate(leaves(masks_of(outputs))) if isinstance(mask, SymbolicTensor)
    }
    with warnings.catch_warnings():
        # of an input that nothing needs, which was told when the model was made
        warnings.simplefilter("ignore")
        drawn = between([*inputs, *masks], (outputs, list(found.values())))
    table = _under_own_names(drawn, modules, tensors)
    used = {ref.row for call in table.calls for ref in call.refs()}
    first = len(inputs)
    is_asked = bool(found) or any(first + index in used for index in range(len(masks)))
    tensors_out = (each for each in leaves(outputs) if isinstance(each, SymbolicTensor))
    loses = any(each.mask is None and lost.mask_end(each) is not None for each in tensors_out)
    return Masked(table, tuple(found), is_asked, loses)


def _inputs(graph: Graph, pattern: Pattern) -> tuple[list[Any], list[Any]]:
    """New Inputs like those of the graph, one by one, and those for their masks."""
    inputs, masks = list(leaves(inputs_like(graph))), []
    for each in itertools.compress(inputs, pattern):
        # a mask of steps, which is what layers take; one of another rank is tried as it comes
        steps = each.spec.shape[: max(2, each.ndim - 1)]
        each.mask = Input(batch_shape=steps, dtype=torch.bool, name=f"{each.name}_mask")
        masks.append(each.mask)
    return inputs, masks


def _under_own_names(drawn: Drawn, modules: Modules, tensors: Mapping[str, Tensor]) -> Graph:
    """The table with the names that the model has for its modules and tensors."""
    names = {id(module): name for name, module in modules.items()}
    owned = {id(tensor): name for name, tensor in tensors.items()}
    renamed = {name: names[id(module)] for name, module in drawn.modules.items()}

    def own(leaf: Any) -> Any:
        if not isinstance(leaf, StateRef):
            return leaf
        if leaf.name in drawn.state:
            tensor = drawn.state[leaf.name]
            # one that a `compute_mask` brings is none of the model's
            return StateRef(owned[id(tensor)]) if id(tensor) in owned else tensor
        module, _, rest = leaf.name.partition(".")
        return StateRef(f"{renamed[module]}.{rest}")

    calls = (
        replace(call, args=map_leaves(own, call.args), kwargs=map_leaves(own, call.kwargs))
        for call in drawn.graph.calls
    )
    return replace(drawn.graph, calls=tuple(calls)).renamed(renamed)


class Variants:
    """The graphs of a table with masks, made when they are first asked for, and their forwards."""

    def __init__(self, known: Mapping[Pattern, Masked] | None = None) -> None:
        self.known: dict[Pattern, Masked] = {}
        self.forwards: dict[Pattern, Callable[..., Any]] = {}
        for pattern, each in (known or {}).items():
            self.add(pattern, each)

    def add(self, pattern: Pattern, variant: Masked) -> None:
        self.known[pattern] = variant
        self.forwards[pattern] = emit(variant.graph, is_called_on_tensors=True).compile("masked")

    def __reduce__(self) -> Any:
        return Variants, (self.known,)


class MaskedCalls(Layer):
    """The calls of a model with masks, symbolic ones and those on tensors."""

    _live: Any
    _current: Any
    _own_state: Any
    _require_graph: Any
    _take_forward: Any
    # whether the forward takes masks too, which it does once somebody asks
    _takes_masks = False

    def output_masks(self) -> tuple[bool, ...]:
        """Which of the outputs have a mask; `model(x, masks=[None])` returns (outputs, [these masks]) from then on.

        `masks` has one mask, or None, for each input. A forward of the model's own takes none.

        Returns:
            A bool for each output, in the order of `outputs`.

        Example:
            >>> x = tf.Input((3,), dtype="int64")
            >>> tf.Model(x, tf.layers.Embedding(10, 4, mask_zero=True)(x)).output_masks()
            (True,)
        """
        graph = self._require_graph("output masks")
        if not self._runs_graph or not self._may_make_masks():
            return tuple(False for _ in leaves(graph.outputs))
        found = tuple(isinstance(mask, SymbolicTensor) for mask in leaves(masks_of(self.output)))
        if any(found):
            self._take_masks()
        return found

    def _may_make_masks(self) -> bool:
        return any(
            isinstance(each, Layer) and each._makes_mask and each.supports_masking for each in self.modules()
        )

    def _take_masks(self) -> None:
        """Have the forward take masks too."""
        if not self._takes_masks:
            self._takes_masks = True
            if self._runs_graph:
                self._take_forward()

    @property
    def _runs_graph(self) -> bool:
        """Whether the forward is the emitted one, and not the model's own."""
        return hasattr(type(self), "_base")

    def _variant(self, pattern: Pattern) -> Masked:
        """The graph with a mask at each input where `pattern` says so."""
        live = self._current()
        if pattern not in live.variants.known:
            live.variants.add(pattern, masked(live.graph, self._modules, self._own_state(), pattern))
        found: Masked = live.variants.known[pattern]
        return found

    def _forward_with(self, pattern: Pattern) -> Callable[..., Any]:
        """What computes that graph on tensors."""
        # what is being compiled was called before, on the layers that it has
        if not torch.compiler.is_compiling() or pattern not in self._live.variants.forwards:
            self._variant(pattern)
        found: Callable[..., Any] = self._live.variants.forwards[pattern]
        return found

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """What `model(x)` does where `x` is symbolic, without the masks that a call among layers also returns.

        Args:
            args: the symbols, and what goes with them.
            kwargs: likewise, by name.

        Returns:
            The symbolic outputs, nested as those of the model.

        Example:
            >>> model.symbolic_call(tf.Input((8, 8, 3))).shape
            (None, 2)
        """
        outputs = super().symbolic_call(*args, **kwargs)
        was_added = (
            self._runs_graph and "masks" in next(leaves(outputs)).node.kwargs and "masks" not in kwargs
        )
        return outputs[0] if was_added else outputs

    def get_output_at(self, index: int) -> Any:
        """The symbolic output of the call number `index` of this model in other graphs, in the order of the calls.

        Args:
            index: the number of the call, from 0, or from -1 backwards.

        Returns:
            The symbolic tensor or tensors of that call.

        Example:
            >>> _ = model(tf.Input((8, 8, 3)))
            >>> model.get_output_at(0).shape
            (None, 2)
        """
        node = self._call_at(index)
        return node.outputs[0] if self._runs_graph and "masks" in node.kwargs else node.outputs

    @property
    def _uses_up_mask(self) -> bool:
        if not self._runs_graph:
            return super()._uses_up_mask
        return not any(each.loses for each in self._live.variants.known.values())

    def _with_masks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if not self._runs_graph:
            return super()._with_masks(args, kwargs)
        given = kwargs.get("masks", kwargs.get("mask"))
        masks = self._masks_for(args, given)
        kwargs = {key: value for key, value in kwargs.items() if key not in ("mask", "masks")}
        if given is None and not self._asks_for(_pattern_of(masks)):
            return kwargs
        self._take_masks()
        return {**kwargs, "masks": masks}

    def _masks_for(self, args: tuple[Any, ...], given: Any) -> list[Any]:
        """One mask or None for each input: those given, or those that the arguments have."""
        if given is not None:
            return list(leaves(given))
        names, first = self._live.graph.input_names, args[0] if len(args) == 1 else args
        if isinstance(first, dict) and set(first) == set(names):
            first = [first[name] for name in names]
        return list(leaves(masks_of(first)))

    def _asks_for(self, pattern: Pattern) -> bool:
        """Whether a call with masks at these inputs differs from one without."""
        if not any(pattern):
            return any(self.output_masks())
        return len(pattern) == len(self._live.graph.input_names) and self._variant(pattern).is_asked

    def _hand_on_mask(self, outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._runs_graph:
            super()._hand_on_mask(outputs, args, kwargs)
        elif "masks" in kwargs:
            flat, variant = list(leaves(outputs[0])), self._variant(_pattern_of(kwargs["masks"]))
            for place, mask in zip(variant.places, outputs[1], strict=True):
                flat[place].mask = mask


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
            forward_with = self._forward_with(_pattern_of(given))
            pair = forward_with(self, *values, *[each for each in given if each is not None])
        return pair[0] if masks is None else pair

    # masks are no inputs, and who asks for them knows of them
    with_masks.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return with_masks


def _pattern_of(masks: Sequence[Any]) -> Pattern:
    return tuple([mask is not None for mask in masks])


def takers(graph: Graph, modules: Modules) -> list[MaskedCalls]:
    """The models that a graph calls with masks for their inputs."""
    names = dict.fromkeys(
        call.target for call in graph.calls if call.kind == "module" and "masks" in call.kwargs
    )
    return [module for name in names if isinstance(module := modules.get(name), MaskedCalls)]
