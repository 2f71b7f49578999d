"""FLOPs: what each call of a graph costs on inputs of a given size, counted by its shapes without computing it.

The formulas are those of `torch.utils.flop_counter`: of matrix products, convolutions and attention, where a
multiplication and an addition are two. What is done number by number costs next to nothing beside these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.graph.graph import Call, Graph
from torchfunc.graph.probing.meta import OnMeta
from torchfunc.graph.probing.unchanged import Unchanged
from torchfunc.graph.run import called, picked, results
from torchfunc.graph.spec import Spec
from torchfunc.tree import leaves
from torchfunc.vis import facts
from torchfunc.vis.facts import LayerFacts, Modules

_RECURRENCES = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})


@dataclass(frozen=True)
class Cost:
    """What calls cost.

    Attributes:
        flops: the multiplications and additions of its matrix products, convolutions and attentions.
        memory: the bytes of what they return.
    """

    flops: int = 0
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.memory + other.memory)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.flops - other.flops, self.memory - other.memory)


class Costs:
    """The costs of all calls of a graph and of the models in it.

    Attributes:
        sizes: the shape of each input that they were counted for.
        total: all of them. What a model in the graph costs is what the calls inside it do.
    """

    def __init__(self, sizes: list[tuple[int, ...]]) -> None:
        self.sizes = sizes
        self.total = Cost()
        self._calls: dict[int, tuple[Call, Cost]] = {}

    def add(self, call: Call, cost: Cost) -> None:
        """Note what a call costs, in addition to what is known of it: a model that is called twice calls twice."""
        self._calls[id(call)] = call, self._calls.get(id(call), (call, Cost()))[1] + cost

    def of(self, layer: LayerFacts) -> Cost:
        """What the calls of a layer cost together."""
        return sum((self._calls.get(id(call), (call, Cost()))[1] for call in layer.calls), Cost())


def costs_of(graph: Graph, modules: Modules, input_size: Any = None) -> Costs:
    """What each call costs in inference mode.

    Args:
        graph: the table of calls.
        modules: its modules under their names, and the model itself under the empty name.
        input_size: the shape of the input with its batch; a list or dict of shapes for several. By default that
            of the Inputs, with a batch of one.

    Raises:
        ShapeError: another number of shapes, one that does not fit, or an unknown size that is not the batch.
        GraphError: a layer cannot be called on inputs of this size, or looks at numbers that are not there.
    """
    sizes = _sizes(graph, input_size)
    counted = Costs(sizes)
    model = modules.get("")
    with Unchanged(model), _without_data() as counter, _at_rest(model):
        specs = [graph.spec(ref) for ref in leaves(graph.inputs)]
        values = [torch.zeros(size, dtype=spec.dtype) for size, spec in zip(sizes, specs, strict=True)]
        _count(graph, values, modules, counter, counted)
    return counted


def _count(graph: Graph, values: Any, modules: Modules, counter: _Counter, counted: Costs) -> list[Any]:
    """Make the calls of a graph one by one, and note what each costs."""

    def make(call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inner = _inputs_of(target, args, kwargs)
        if inner is None:
            before = counter.flops
            try:
                result = called(call, target, args, kwargs)
            except Exception as error:
                raise GraphError(
                    f"The FLOPs of {call.name!r} cannot be counted by shapes alone: {error}"
                ) from error
            cost = Cost(counter.flops - before, _bytes(result))
            counted.total += cost
        else:
            before_it = counted.total
            rows = _count(target.graph, inner, facts.modules_of(target), counter, counted)
            result = picked(target.graph.outputs, rows)
            cost = counted.total - before_it
        counted.add(call, cost)
        return result

    owner = modules.get("")
    own = {} if owner is None else {**owner._parameters, **owner._buffers}
    return results(graph, values, modules, own, make)


def _inputs_of(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any] | None:
    """The inputs of a model that is called plainly, in the order of its graph; None for any other call."""
    if not facts.is_model(target) or kwargs or len(args) != 1:
        return None
    names = target.graph.input_names
    if isinstance(args[0], dict):
        return [args[0][name] for name in names] if set(args[0]) == set(names) else None
    values = list(leaves(args[0]))
    return values if len(values) == len(names) else None


def _bytes(result: Any) -> int:
    tensors = {id(leaf): leaf for leaf in leaves(result) if isinstance(leaf, Tensor)}
    return sum(each.numel() * each.element_size() for each in tensors.values())


def _sizes(graph: Graph, given: Any) -> list[tuple[int, ...]]:
    """The shape of each input, with no size unknown."""
    names = graph.input_names
    specs: list[Spec] = [graph.calls[row].specs for row in range(len(names))]
    if given is None:
        shapes: list[Any] = [spec.shape for spec in specs]
    elif isinstance(given, Mapping):
        shapes = [given.get(name) for name in names]
    else:
        shapes = [given] if all(isinstance(each, int) or each is None for each in given) else list(given)
    if len(shapes) != len(names):
        raise ShapeError(
            explain("input_size", got=f"{len(shapes)} shapes", expected=f"one for each of {names}")
        )
    return [_size(name, spec, shape) for name, spec, shape in zip(names, specs, shapes, strict=True)]


def _size(name: str, spec: Spec, shape: Sequence[int | None] | None) -> tuple[int, ...]:
    fits = shape is not None and len(shape) == len(spec.shape)
    if not fits or any(
        a not in (b, None) for a, b in zip(shape or (), spec.shape, strict=False) if b is not None
    ):
        expected = f"the shape {spec.shape} of the input {name!r}, with sizes for what is unknown"
        raise ShapeError(explain("input_size", got=f"{shape}", expected=expected))
    assert shape is not None
    sizes = (
        known if known is not None else size if size is not None else None
        for size, known in zip(shape, spec.shape, strict=True)
    )
    found = tuple(1 if size is None and axis == 0 else size for axis, size in enumerate(sizes))
    if None in found:
        fix = f"input_size={tuple(32 if size is None else size for size in found)}, or other sizes"
        expected = "a number for each size but the batch"
        raise ShapeError(explain("input_size", got=f"{spec.shape} for {name!r}", expected=expected, fix=fix))
    return found  # type: ignore[return-value]


@contextmanager
def _at_rest(model: nn.Module | None) -> Iterator[None]:
    """Within it a model is in inference mode and has stand-ins for its buffers, so that nothing is written to these."""
    inside = [] if model is None else list(model.modules())
    held = [(each, each.training, each._buffers.copy()) for each in inside]
    try:
        for each, _, buffers in held:
            each.training = False
            each._buffers.update({n: b if b is None else torch.empty_like(b) for n, b in buffers.items()})
        yield
    finally:
        for each, training, buffers in held:
            each.training = training
            each._buffers.update(buffers)


class _Products(TorchDispatchMode):
    """Counts what PyTorch has a formula for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


class _Counter(OnMeta):
    """Within it tensors have shapes and no numbers, and what is done to them is counted."""

    states_results = False

    def __init__(self, products: _Products) -> None:
        super().__init__()
        self._products = products
        self._recurrent = 0

    @property
    def flops(self) -> int:
        return self._products.flops + self._recurrent

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _RECURRENCES:  # stated, since PyTorch would try them step by step
            is_packed = isinstance(args[1 if func is torch.lstm else 2], Tensor)
            matrices = (each for each in args[3 if is_packed else 2] if each.ndim == 2)
            self._recurrent += 2 * math.prod(args[0].shape[:-1]) * facts.count(matrices)
        return super().__torch_function__(func, types, args, kwargs)


@contextmanager
def _without_data() -> Iterator[_Counter]:
    """Within it what is done to tensors is counted and not done."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        # one kernel for a whole block would be counted as nothing
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        stack.enter_context(sdpa_kernel([SDPBackend.MATH]))
        stack.enter_context(torch.no_grad())
        products = stack.enter_context(_Products())
        yield stack.enter_context(_Counter(products))
