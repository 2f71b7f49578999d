"""Graph: the calls between some inputs and some outputs, gathered into a flat table."""

from __future__ import annotations

import keyword
import warnings
from typing import Any

from torch import Tensor, nn

from torchfunc.errors import DisconnectedError, GraphError, NameTakenError, explain, shorten
from torchfunc.graph import blame, symbolic
from torchfunc.graph.graph import Call as Call
from torchfunc.graph.graph import Drawn as Drawn
from torchfunc.graph.graph import Graph as Graph
from torchfunc.graph.graph import Kind
from torchfunc.graph.graph import Names as Names
from torchfunc.graph.graph import Ref as Ref
from torchfunc.graph.graph import StateRef as StateRef
from torchfunc.graph.spec import Number, Spec
from torchfunc.graph.symbolic import SYMBOLS, Attribute, Method, Node, SymbolicTensor
from torchfunc.tree import leaves_with_path, map_leaves


def between(inputs: Any, outputs: Any, *, reserved: frozenset[str] = frozenset()) -> Drawn:
    """Gather the calls that `outputs` need, down to `inputs`, and give each its name.

    Args:
        inputs: symbolic tensors, nested as the user likes: Inputs, or the results of calls.
        outputs: symbolic tensors, nested likewise.
        reserved: names that no module may have.

    Raises:
        DisconnectedError: an output needs an Input that is not among `inputs`.
        NameTakenError: two layers or inputs were given one name.
        GraphError: something among them is no symbolic tensor.
    """
    given = _checked(inputs, "inputs")
    wanted = _checked(outputs, "outputs")
    if len({symbol.key for symbol in given}) != len(given):
        raise GraphError("inputs: one Input stands there twice. Fix: list each once.")
    nodes = _needed(given, wanted)
    return _Table(given, nodes, reserved).drawn(inputs, outputs)


def _checked(tree: Any, role: str) -> list[Any]:
    """The leaves of `inputs` or `outputs`, each of which must be symbolic."""
    found = []
    for path, leaf in leaves_with_path(tree):
        if not isinstance(leaf, SYMBOLS):
            place = role + "".join(f"[{key!r}]" for key in path)
            if isinstance(leaf, nn.Module):
                raise GraphError(
                    f"{place}: expected a symbolic tensor, got the layer {symbolic.name_of(leaf)!r} itself. "
                    f"A layer was passed instead of its output. Fix: call it: {symbolic.name_of(leaf)}(x)."
                )
            raise GraphError(
                explain(
                    place,
                    got=f"{type(leaf).__name__}",
                    expected="a symbolic tensor",
                    fix="make it from an Input",
                )
            )
        found.append(leaf)
    if not found:
        raise GraphError(
            f"{role}: expected at least one symbolic tensor, got {shorten(tree)}. Fix: Input(shape=...)."
        )
    return found


def _needed(given: list[Any], wanted: list[Any]) -> list[Node]:
    """The nodes that `wanted` depend on, without those that lie before `given`, in the order of birth."""
    stop = {symbol.key for symbol in given}
    reached: set[Any] = set()
    askers: dict[Node, Node | None] = {}
    waiting: list[tuple[Any, Node | None]] = [(symbol, None) for symbol in wanted]
    while waiting:
        symbol, asker = waiting.pop()
        node = symbol.node
        if symbol.key in stop:
            reached.add(symbol.key)
        elif node not in askers:
            askers[node] = asker
            if node.target is None:
                raise _disconnected(node, askers, given)
            waiting += [(each, node) for each in node.inputs()]
    for symbol in given:
        if symbol.key not in reached:
            warnings.warn(
                f"Input {symbol.name!r} is not used by any output of the model: it would have to be given, "
                "and would change nothing. Fix: leave it out of `inputs`, or use it.",
                stacklevel=blame.level(),
            )
    return sorted(askers, key=lambda node: node.birth)


def _disconnected(node: Node, askers: dict[Node, Node | None], given: list[Any]) -> DisconnectedError:
    """The error for an Input that nobody gave, with the way from it to an output."""
    way, asker = [node.name], askers[node]
    while asker is not None and len(way) < 8:
        way.append(asker.name)
        asker = askers[asker]
    names = [symbol.name for symbol in given]
    shown = names if len(names) <= 8 else [*names[:8], "..."]
    return DisconnectedError(
        f"An output needs {node.name!r}, which is not among the inputs. Inputs: {shown}. "
        f"It is reached by {' -> '.join(way)}. Fix: Model(inputs=[{', '.join([*shown, node.name])}], ...)."
    )


def _in_a_loop(node: Node) -> GraphError:
    """The error for a call whose arguments were changed after it was made, so that they come after it."""
    return GraphError(
        f"The call {node.name!r} is needed by a call that was made before it, so each would wait for the "
        "other. A call takes only what exists when it is made, and its arguments were changed afterwards. "
        "Fix: make a new call on the values that it shall take, and leave `node.args` as they are."
    )


# what every module has: a submodule of such a name would hide it
MODULE_ATTRIBUTES = frozenset(dir(nn.Module()))


class _Table:
    """The table while it is being filled: what has a name, and in which row each symbol is."""

    def __init__(self, given: list[Any], nodes: list[Node], reserved: frozenset[str]) -> None:
        self.given = given
        self.nodes = nodes
        self.modules: dict[str, nn.Module] = {}
        self.state: dict[str, Tensor] = {}
        self._module_names: dict[int, str] = {}
        self._state_names: dict[int, str] = {}
        self._rows: dict[Any, Ref] = {}
        self._sizes: dict[Any, Ref] = {}
        self._called: set[str] = set()
        self.names = Names(*self._given_names())
        self._reserved = reserved
        self._owned: dict[int, str] | None = None

    def _given_names(self) -> dict[str, object]:
        """The names that the user gave, each to one thing."""
        owners: dict[str, object] = {}
        for thing in (
            *(s.node for s in self.given),
            *(n.target for n in self.nodes if isinstance(n.target, nn.Module)),
        ):
            name = _given_name(thing)
            if name is None:
                continue
            _check_name(name, thing)
            if owners.setdefault(name, thing) is not thing:
                kinds = " and ".join(_kind(each) for each in (owners[name], thing))
                raise NameTakenError(
                    f"The name {name!r} was given twice, to {kinds}. A name stands for one layer or input. "
                    f"Fix: name one of them {name + '_1'!r}."
                )
        return owners

    def drawn(self, inputs: Any, outputs: Any) -> Drawn:
        calls: list[Call] = []
        rows: list[Any] = list(self.given)
        for symbol in self.given:
            self._rows[symbol.key] = Ref(len(calls))
            # the result of a call that is an input here leaves its name to the call
            wanted = symbol.node.name if symbol.node.target is None else "input"
            name = _given_name(symbol.node) or self.names.new(wanted)
            calls.append(Call(name, "input", None, specs=symbol.spec))
        for node in self.nodes:
            if node.target is symbolic.size and self._is_known_size(node, len(calls)):
                continue
            if type(node.specs) is Spec:
                self._rows.setdefault((id(node), ()), Ref(len(calls)))
            else:
                for path, leaf in leaves_with_path(node.specs):
                    if isinstance(leaf, (Spec, Number)):
                        self._rows.setdefault((id(node), path), Ref(len(calls), path))
            calls.append(self._row(node))
            rows.append(node)
        tables = (map_leaves(lambda symbol: self._rows[symbol.key], tree) for tree in (inputs, outputs))
        return Drawn(Graph(tuple(calls), *tables), self.modules, self.state, rows)

    def _is_known_size(self, node: Node, row: int) -> bool:
        """Whether an earlier row is the same dimension of the same tensor; it stands for this one then."""
        tensor, dim = node.args
        known = self._sizes.setdefault((self._rows[tensor.key], dim), Ref(row))
        self._rows[id(node), ()] = known
        return known.row != row

    def _row(self, node: Node) -> Call:
        kind, target, name = self._target(node)
        args = node.args
        if len(args) == 1 and type(args[0]) is SymbolicTensor:  # most calls
            args = (self._argument(args[0]),)
        else:
            args = map_leaves(self._argument, args)
        kwargs = map_leaves(self._argument, node.kwargs) if node.kwargs else {}
        return Call(name, kind, target, args, kwargs, node.specs)

    def _target(self, node: Node) -> tuple[Kind, Any, str]:
        target = node.target
        if isinstance(target, nn.Module):
            name = self._module_name(target, node.name)
            first = name not in self._called
            self._called.add(name)
            return "module", name, name if first else self.names.new(name)
        name = self.names.new(node.name)
        if target is symbolic.size:
            return "size", None, name
        if isinstance(target, Method):
            return "method", target.name, name
        return (
            ("attribute", target.name, name) if isinstance(target, Attribute) else ("function", target, name)
        )

    def _module_name(self, module: nn.Module, wanted: str) -> str:
        """The name of a module, given to it when it is first met."""
        name = self._module_names.get(id(module))
        if name is None:
            name = self._new_module_name(module, wanted)
            self._module_names[id(module)] = name
            self.modules[name] = module
        return name

    def _new_module_name(self, module: nn.Module, wanted: str) -> str:
        given = _given_name(module)
        if given is not None:
            return given
        name = self.names.new(wanted)
        while name in self._reserved or keyword.iskeyword(name):
            name = self.names.new(wanted)
        return name

    def _argument(self, leaf: Any) -> Any:
        if isinstance(leaf, SYMBOLS):
            try:
                return self._rows[leaf.key]
            except KeyError:
                raise _in_a_loop(leaf.node) from None
        return StateRef(self._state_name(leaf)) if isinstance(leaf, Tensor) else leaf

    def _state_name(self, tensor: Tensor) -> str:
        """The name of a tensor met as an argument: where a module of the graph holds it, or a new one."""
        if id(tensor) not in self._state_names:
            name = self._owned_by_modules().get(id(tensor))
            if name is None:
                name = self.names.new("parameter" if isinstance(tensor, nn.Parameter) else "tensor")
                self.state[name] = tensor
            self._state_names[id(tensor)] = name
        return self._state_names[id(tensor)]

    def _owned_by_modules(self) -> dict[int, str]:
        """The dotted name of each tensor that a module of the graph holds."""
        if self._owned is None:
            self._owned = {}
            for node in self.nodes:
                if isinstance(node.target, nn.Module):
                    prefix = self._module_name(node.target, node.name)
                    for name, tensor in (*node.target.named_parameters(), *node.target.named_buffers()):
                        self._owned.setdefault(id(tensor), f"{prefix}.{name}")
        return self._owned


def is_name(name: str) -> bool:
    """Whether a layer, input or tensor of a file may be called so: it becomes a part of dotted names."""
    return 0 < len(name) <= MOST_LETTERS and name.isprintable() and "." not in name


def _given_name(thing: Any) -> str | None:
    if isinstance(thing, Node):
        return thing.name if thing.target is None and thing.kwargs.get("given") else None
    name = getattr(thing, "given_name", None)
    return name if isinstance(name, str) else None


def _kind(thing: Any) -> str:
    return "an Input" if isinstance(thing, Node) else f"a {type(thing).__name__}"


MOST_LETTERS = 1024  # of a name in a file, which becomes that of tensors


def _check_name(name: str, thing: Any) -> None:
    """A name becomes an attribute of the model and a prefix of its state_dict."""
    if "." in name or not name:
        raise GraphError(
            f"{_kind(thing)} was given the name {name!r}, which cannot be the name of a submodule. "
            f"Fix: {name.replace('.', '_') or 'layer'!r}."
        )
    if isinstance(thing, nn.Module) and name in MODULE_ATTRIBUTES:
        raise GraphError(
            f"{_kind(thing)} was given the name {name!r}, which every torch.nn.Module uses for itself. "
            f"Fix: {name + '_layer'!r}."
        )
