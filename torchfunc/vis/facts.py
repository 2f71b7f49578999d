"""Facts: the calls of a graph gathered by layer, and what each layer weighs.

The summary and the plot are two ways to write these down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from torchfunc import functions
from torchfunc.graph.graph import Call, Graph, Ref, StateRef, mask_rows
from torchfunc.graph.spec import Spec
from torchfunc.tree import at, leaves, leaves_with_path
from torchfunc.tree.branches import Path

Kind = Literal["input", "layer", "model", "function", "weight", "uncalled"]
Modules = Mapping[str, "nn.Module | None"]


@dataclass(frozen=True)
class Link:
    """One tensor that a layer takes.

    Attributes:
        source: the name of the layer (or weight) that it comes from.
        call: which of that layer's calls returned it; None for a weight, which no call returns.
        tensor: which of the tensors that this call returned.
        path: where in the structure that the call returned it stands.
        text: what is written for it: Keras's `name[call][tensor]`, or the dotted name of a weight.
    """

    source: str
    call: int | None
    tensor: int
    path: Path
    text: str


@dataclass(frozen=True, eq=False)
class LayerFacts:
    """One layer of a graph with all its calls; a function or method is a layer of one call.

    Attributes:
        name: the one name that the model knows it by.
        kind: an Input, a module, a module with a graph of its own, a function or method, a weight that the
            model itself holds, or a module that it holds and never calls.
        type: what it is: `Dense`, `torch.cat`, `operator +`.
        module: the module, where it is one.
        calls: its rows in the graph's table.
        takes: for each call, the tensors that it takes.
        taken: for each call, the specs of these: one alone, or a list.
        specs: for each call, what it returns.
        tensors: its weights and those of all modules inside it, which may be another layer's too.
    """

    name: str
    kind: Kind
    type: str
    module: nn.Module | None
    calls: tuple[Call, ...]
    takes: tuple[tuple[Link, ...], ...]
    taken: tuple[Any, ...]
    specs: tuple[Any, ...]
    tensors: tuple[Tensor, ...] = ()

    @property
    def links(self) -> tuple[Link, ...]:
        """What it takes in all its calls."""
        return tuple(link for links in self.takes for link in links)


def layers_of(graph: Graph, modules: Modules, *, apart: bool = False) -> list[LayerFacts]:
    """The layers of a graph in the order of their first calls.

    Args:
        graph: the table of calls.
        modules: the modules under the names that the table calls them by; the model itself, where it holds
            weights of its own, under the empty name.
        apart: whether a module without weights is a layer of its own at each of its calls: such as one ReLU of all
            blocks, to which all arrows of a picture would lead back.

    Returns:
        Inputs; weights that the model itself holds; layers; and last the modules that it never calls.
    """
    return _Gathering(graph, modules, apart).layers()


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of a nested model, in the form that `layers_of` takes."""
    return {**{name: each for name, each in model._modules.items() if each is not None}, "": model}


def link_to(graph: Graph, ref: Ref, modules: Modules, *, apart: bool = False) -> Link:
    """The tensor that a Ref of a graph leads to, with the layer that it comes from."""
    return next(_Gathering(graph, modules, apart).tensors_at(ref))


def inner_layers(layer: LayerFacts, *, apart: bool = False) -> list[LayerFacts]:
    """The layers of a layer that is a model with a graph; of any other none."""
    graph = getattr(layer.module, "graph", None)
    return (
        layers_of(graph, modules_of(layer.module), apart=apart)
        if layer.module is not None and isinstance(graph, Graph)
        else []
    )


def is_model(module: nn.Module | None) -> bool:
    """Whether a module can be looked into: it has a graph."""
    return isinstance(getattr(module, "graph", None), Graph)


class _Gathering:
    """The rows of one table under the names of their layers."""

    def __init__(self, graph: Graph, modules: Modules, apart: bool) -> None:
        self.graph = graph
        self.apart = apart
        owner = modules.get("")
        self.modules = {**(modules_of(owner) if owner is not None else {}), **modules}
        self.places: dict[int, tuple[str, int]] = {}  # row -> its layer, and which of its calls it is
        self.rows: dict[str, list[int]] = {}
        # a Sequential is its list of layers; in any other graph Keras shows what makes the masks, too
        listed = getattr(owner, "_shows_masks", True) is False
        self.hidden = mask_rows(graph, self.modules) if listed else set[int]()
        for row, call in enumerate(graph.calls):
            if call.kind != "size" and row not in self.hidden:
                name = self._name_of(call)
                rows = self.rows.setdefault(name, [])
                self.places[row] = (name, len(rows))
                rows.append(row)

    def _name_of(self, call: Call) -> str:
        """The layer that a call belongs to."""
        module = self.modules.get(call.target) if call.kind == "module" else None
        weightless = module is not None and not weights_of(module) and not is_model(module)
        return call.name if call.kind != "module" or (self.apart and weightless) else str(call.target)

    def layers(self) -> list[LayerFacts]:
        called = [self._layer(name, rows) for name, rows in self.rows.items()]
        inputs = [layer for layer in called if layer.kind == "input"]
        others = [layer for layer in called if layer.kind != "input"]
        return [*inputs, *self._own_weights(), *others, *self._uncalled()]

    def _layer(self, name: str, rows: list[int]) -> LayerFacts:
        calls = tuple(self.graph.calls[row] for row in rows)
        takes = tuple(tuple(self._links(call)) for call in calls)
        module = self.modules.get(calls[0].target) if calls[0].kind == "module" else None
        return LayerFacts(
            name,
            _kind_of(calls[0], module),
            _type_of(calls[0], module),
            module,
            calls,
            takes=takes,
            taken=tuple(self._taken(links) for links in takes),
            specs=tuple(_specs_of(call, module) for call in calls),
            tensors=tuple(weights_of(module)) if module is not None else (),
        )

    def _own_weights(self) -> list[LayerFacts]:
        """What the model itself holds: tensors met in the graph that are no layer's."""
        owner = self.modules.get("")
        return [] if owner is None else own_weights(owner)

    def _uncalled(self) -> list[LayerFacts]:
        called = {call.target for call in self.graph.calls if call.kind == "module"}
        held = ((name, module) for name, module in self.modules.items() if name and name not in called)
        return [uncalled(name, module) for name, module in held if module is not None]

    def _links(self, call: Call) -> Iterator[Link]:
        """What a call takes; a size stands for the tensor it measures, unless the call takes that too."""
        taken = [leaf for leaf in leaves((call.args, call.kwargs)) if isinstance(leaf, (Ref, StateRef))]
        sources = [leaf for leaf in taken if isinstance(leaf, StateRef) or leaf.row not in self.hidden]
        direct = [leaf for leaf in sources if not self._is_size(leaf)]
        measured = dict.fromkeys(self._measured(leaf) for leaf in sources if self._is_size(leaf))
        for leaf in [*direct, *(leaf for leaf in measured if leaf not in direct)]:
            if isinstance(leaf, StateRef):
                yield Link(leaf.name.split(".")[0], None, 0, (), leaf.name)
            else:
                yield from self.tensors_at(leaf)

    def _taken(self, links: tuple[Link, ...]) -> Any:
        calls = self.graph.calls
        found = [
            at(calls[self.rows[link.source][link.call]].specs, link.path)
            for link in links
            if link.call is not None
        ]
        return found[0] if len(found) == 1 else found

    def _is_size(self, leaf: Ref | StateRef) -> bool:
        return isinstance(leaf, Ref) and self.graph.calls[leaf.row].kind == "size"

    def _measured(self, leaf: Ref | StateRef) -> Ref | StateRef:
        while isinstance(leaf, Ref) and self._is_size(leaf):
            leaf = next(self.graph.calls[leaf.row].refs())
        return leaf

    def tensors_at(self, ref: Ref) -> Iterator[Link]:
        """The tensors that a Ref leads to: it may lead to a list of several."""
        name, call = self.places[ref.row]
        for index, (path, _) in enumerate(leaves_with_path(self.graph.calls[ref.row].specs)):
            if path[: len(ref.path)] == ref.path:
                yield Link(name, call, index, path, f"{name}[{call}][{index}]")


def _specs_of(call: Call, module: nn.Module | None) -> Any:
    """The specs of the outputs; a model that is called with masks returns those of its outputs beside them."""
    return call.specs[0] if hasattr(module, "output_masks") and "masks" in call.kwargs else call.specs


def _kind_of(call: Call, module: nn.Module | None) -> Kind:
    if call.kind == "input":
        return "input"
    if call.kind == "module":
        return "model" if is_model(module) else "layer"
    return "function"


def _type_of(call: Call, module: nn.Module | None) -> str:
    """What stands in parentheses behind the name: `Dense`, `torch.cat`, `operator +`, `Tensor.relu`."""
    if call.kind == "input":
        return "InputLayer"
    if call.kind == "module":
        return type(module).__name__
    if call.kind in ("method", "attribute"):
        return f"Tensor.{call.target}"
    return _function_name(call.target)


def _function_name(function: Any) -> str:
    name = functions.spelling_of(function) or ""
    if name.startswith("operator."):
        short = name.removeprefix("operator.")
        return f"operator {functions.OPERATORS.get(short) or functions.UNARY.get(short) or '[]'}"
    return name or getattr(function, "__name__", type(function).__name__)


def own_weights(owner: nn.Module) -> list[LayerFacts]:
    """The tensors that a module holds itself, each as a layer that is never called."""
    found = []
    for name, tensor in _own_tensors(owner):
        kind = "Parameter" if isinstance(tensor, nn.Parameter) else "Buffer"
        spec = None if is_lazy(tensor) else Spec.of(tensor.shape, tensor.dtype)
        found.append(LayerFacts(name, "weight", kind, None, (), (), (), (spec,), (tensor,)))
    return found


def uncalled(name: str, module: nn.Module) -> LayerFacts:
    """A module that no call of a graph names, as a layer."""
    return LayerFacts(
        name, "uncalled", type(module).__name__, module, (), (), (), (), tuple(weights_of(module))
    )


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters of one module and those of its buffers that count as weights.

    A buffer counts if Keras has it as a weight: BatchNormalization's moving statistics do, the number of
    batches that torch tracks beside them does not, nor does what is not saved.
    """
    skipped = {*module._non_persistent_buffers_set, "num_batches_tracked"}
    yield from ((name, each) for name, each in module._parameters.items() if each is not None)
    yield from (
        (name, each) for name, each in module._buffers.items() if each is not None and name not in skipped
    )


def weights_of(module: nn.Module) -> list[Tensor]:
    """Every weight of a module and of those inside it, each tensor once."""
    found = {id(each): each for inner in module.modules() for _, each in _own_tensors(inner)}
    return list(found.values())


def is_trained(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) and tensor.requires_grad


def count(tensors: Iterable[Tensor]) -> int:
    """How many numbers some tensors hold; a weight that is still to be made holds none."""
    return sum(0 if is_lazy(each) else each.numel() for each in tensors)


def training_state(layer: LayerFacts) -> Literal["trained", "frozen", "partly", "weightless"]:
    """Whether a layer's weights are trained; buffers, which never are, count where nothing else does."""
    if not layer.tensors:
        return "weightless"
    states = {each.requires_grad for each in layer.tensors if isinstance(each, nn.Parameter)}
    if len(states) > 1:
        return "partly"
    return "trained" if states == {True} else "frozen"


def printable(text: str) -> str:
    """A name without what could steer a terminal or break a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def is_unbuilt(layer: LayerFacts) -> bool:
    """Whether weights of a layer are still to be made, by its first call."""
    inner = [] if layer.module is None else list(layer.module.modules())
    return any(getattr(each, "built", True) is False for each in inner) or any(map(is_lazy, layer.tensors))
