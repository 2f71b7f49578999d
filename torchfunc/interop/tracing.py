"""Tracing: the forward of a module run once through torch.fx, in training mode and in inference mode."""

from __future__ import annotations

import functools
import gc
import inspect
import linecache
import os
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from torchfunc.errors import GraphError, TorchfuncError, explain
from torchfunc.graph.probing.unchanged import Unchanged
from torchfunc.graph.symbolic import SYMBOLS, Dimension, SymbolicTensor
from torchfunc.interop.walking import FACTORIES, LIVE, Walk, attribute_at
from torchfunc.interop.watching.watcher import Watcher
from torchfunc.layers.layer import Layer
from torchfunc.tree import map_leaves

IsLeaf = Callable[[nn.Module, str], bool]
_TORCH = f"{Path(torch.__file__).parent}{os.sep}"  # torchvision is not torch
_HERE = f"{Path(__file__).parent}{os.sep}"


@dataclass
class Traced:
    """What a forward did: its calls, and where the other mode calls the same with other constants.

    Attributes:
        graph: the calls in inference mode.
        symbols: the symbolic tensor of each placeholder, by its name.
        attributes: what the graph reads from the module, by path.
        in_training: the node of the same call in training mode, where its constants differ.
    """

    graph: fx.Graph
    symbols: dict[str, Any]
    attributes: dict[str, Any]
    in_training: dict[fx.Node, fx.Node]

    @property
    def output(self) -> fx.Node:
        """The node of what the forward returns."""
        return self.graph.output_node()


def traced(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    is_leaf: IsLeaf,
    *,
    watching: bool = False,
) -> Traced:
    """Trace a module in both modes.

    A submodule whose calls differ between the modes becomes one call: it sees its mode when it runs.

    Args:
        module: what is traced.
        args: the arguments of its forward, with symbolic tensors among them.
        kwargs: its keyword arguments, likewise.
        is_leaf: whether a submodule stays one call.
        watching: whether it runs on tensors without data, rather than on torch.fx's proxies.

    Raises:
        GraphError: the forward cannot be traced; the message names the line.
    """
    follow = _watch if watching else _trace
    whole: set[str] = set()

    def stays_whole(each: nn.Module, path: str) -> bool:
        return path in whole or is_leaf(each, path)

    while True:
        training = follow(module, args, kwargs, stays_whole, mode=True)
        inference = follow(module, args, kwargs, stays_whole, mode=False)
        two_ways = _going_two_ways(inference, training)
        if two_ways:
            whole |= two_ways
            continue
        index, differing = _compare(inference, training)
        if index is None:
            return Traced(inference.graph, inference.symbols, inference.attributes, differing)
        owner = _owner(inference, training, index)
        if not owner:
            raise _two_ways(module, inference, training, index)
        whole.add(owner)


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it nobody looks for garbage: a trace makes thousands of objects that live, and each look takes longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def is_own_leaf(module: nn.Module, path: str) -> bool:
    """Whether a module stays one call unasked: PyTorch's own, torchfunc's layers, and those with hooks."""
    forward = inspect.unwrap(type(module).forward)
    home = getattr(forward, "__module__", "") or ""
    native = home.startswith(("torch.nn", "torch.ao.nn")) and forward is not nn.Sequential.forward
    return native or isinstance(module, (Layer, torch.jit.ScriptModule)) or _has_hooks(module)


def _has_hooks(module: nn.Module) -> bool:
    return any(
        vars(module).get(name)
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    )


class _Known:
    """What the arguments' shapes tell of a value of the trace: it can be counted, and used as a size."""

    tracer: Any

    def __len__(self) -> int:
        return len(self.tracer.known(self, "its length is not known"))

    def __index__(self) -> int:
        value = self.tracer.known(self, "a dimension that may differ from batch to batch is used as a number")
        if isinstance(value, int):
            return value
        raise _NotTraceable("a tensor is used as a number")

    __int__ = __index__


class _Proxy(_Known, fx.Proxy):
    def __getattr__(self, k: str) -> Any:
        return _Attribute(self, k)


class _Attribute(_Known, fx.proxy.Attribute):
    def __getattr__(self, k: str) -> Any:
        return _Attribute(self, k)


class _NotTraceable(Exception):
    """The forward asks for a value that only data have."""


class Tracer(fx.Tracer):
    """torch.fx's tracer, which knows the arguments' shapes, and where in the user's code each call stands."""

    proxy_buffer_attributes = True
    keeps_functions_whole = True

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], is_leaf: IsLeaf) -> None:
        super().__init__(autowrap_functions=FACTORIES)
        self._autowrap_search.append(torch)  # so that `torch.arange(n)` is seen by its name in torch too
        self.arguments = args, kwargs
        self.is_leaf = is_leaf
        self.symbols: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self._originals = nn.Module.__call__, nn.Module.__getattr__

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        self.walk = Walk(self.root, self.symbols, self.attributes, {})
        args, kwargs = (map_leaves(self._placeholder, each) for each in self.arguments)
        return _plainly(functools.partial(root_fn, **kwargs)), [self.root, *args]

    def _placeholder(self, leaf: Any) -> Any:
        if not isinstance(leaf, SYMBOLS):
            return leaf
        proxy = self.create_proxy("placeholder", f"input_{len(self.symbols)}", (), {})
        self.symbols[proxy.node.name] = leaf
        return proxy

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self.is_leaf(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_node(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, target, *args, **kwargs)
        node.meta["line"] = _users_line()
        node.meta["owner"] = [path for path, _ in self.module_stack.values()]
        if kind == "get_attr":
            self.attributes[str(target)] = attribute_at(self.root, str(target))
        return node

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A parameter or buffer as a node; torch.fx would look through all of them each time."""
        path = self.paths.get(id(attr_val)) if isinstance(attr_val, Tensor) else None
        if path is None:
            return attr_val
        if path not in parameter_proxy_cache:
            parameter_proxy_cache[path] = self.create_proxy("get_attr", path, (), {})
        return parameter_proxy_cache[path]

    @cached_property
    def paths(self) -> dict[int, str]:
        """The path of each parameter and buffer."""
        held = (*self.root.named_buffers(), *self.root.named_parameters())
        return {id(tensor): path for path, tensor in held}

    def known(self, proxy: fx.Proxy, problem: str) -> Any:
        """What is known of a value from the arguments' shapes."""
        with _unpatched(self._originals):
            value = self.walk.upto(proxy.node)
        if value is LIVE or isinstance(value, Dimension):
            raise _NotTraceable(problem)
        return value

    def to_bool(self, obj: fx.Proxy) -> bool:
        value = self.known(
            obj, "which way it goes depends on a dimension that may differ from batch to batch"
        )
        if isinstance(value, (Tensor, SymbolicTensor)):
            raise _NotTraceable("which way it goes depends on the values in a tensor")
        return bool(value)

    def iter(self, obj: Any) -> Iterator[Any]:
        value = self.known(obj, "its length is not known")
        return (obj[index] for index in range(len(value)))


@contextmanager
def _unpatched(originals: tuple[Any, Any]) -> Iterator[None]:
    """Within it modules are called as ever, though a trace is under way, which it leaves undisturbed."""
    patched = nn.Module.__call__, nn.Module.__getattr__
    numbers = torch.get_rng_state()
    nn.Module.__call__, nn.Module.__getattr__ = originals  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__, nn.Module.__getattr__ = patched  # type: ignore[method-assign]
        torch.set_rng_state(numbers)


def _plainly(function: functools.partial[Any]) -> Any:
    """A partial as a function, which is what torch.fx expects."""

    def forward(*args: Any) -> Any:
        return function(*args)

    return forward


def _trace(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], is_leaf: IsLeaf, *, mode: bool
) -> Traced:
    tracer = Tracer(args, kwargs, is_leaf)
    return _followed(module, tracer, lambda: tracer.trace(module), mode)


def _watch(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], is_leaf: IsLeaf, *, mode: bool
) -> Traced:
    watcher = Watcher(module, is_leaf, _users_line, _is_machinery)
    return _followed(module, watcher, lambda: watcher.trace(args, kwargs), mode)


def _followed(module: nn.Module, tracer: Any, follow: Callable[[], fx.Graph], mode: bool) -> Traced:
    """What a tracer finds in one mode, with nothing left behind."""
    numbers = _random_state()
    with Unchanged(module, with_values=True):
        for each in module.modules():
            each.training = mode
        try:
            graph = follow()
        except Exception as error:
            raise _dressed(module, tracer, error) from error
        if _random_state() != numbers:
            raise _drawing(module, tracer)
    return Traced(graph, tracer.symbols, tracer.attributes, {})


def _drawing(module: nn.Module, tracer: Any) -> GraphError:
    return GraphError(
        explain(
            f"{type(module).__name__}",
            got="random numbers that its forward draws by itself",
            expected="a forward whose every value follows from its arguments",
            why="they would be drawn once, now, and be the same ever after",
            fix=_ways(module, tracer),
        )
    )


def _random_state() -> tuple[Any, ...]:
    return bytes(torch.get_rng_state().numpy().data), random.getstate()


def _going_two_ways(inference: Traced, training: Traced) -> set[str]:
    """The submodules whose own code makes other calls in one mode than in the other."""
    ours, theirs = _calls_by_owner(inference), _calls_by_owner(training)
    return {path for path in {*ours, *theirs} if path and ours.get(path) != theirs.get(path)}


def _calls_by_owner(found: Traced) -> dict[str, list[Any]]:
    calls: dict[str, list[Any]] = {}
    for node in found.graph.nodes:
        owners = [] if node.op == "output" else _owners(node)
        is_constant = node.op == "get_attr" and str(node.target).startswith("_tensor_constant")
        made = (node.op, "" if is_constant else node.target)
        calls.setdefault(owners[-1] if owners else "", []).append(made)
    return calls


def _compare(inference: Traced, training: Traced) -> tuple[int | None, dict[fx.Node, fx.Node]]:
    """Where two traces first go different ways (None if nowhere), and the nodes whose constants differ."""
    differing: dict[fx.Node, fx.Node] = {}
    ours, theirs = list(inference.graph.nodes), list(training.graph.nodes)
    for index, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if (a.op, a.target, a.name) != (b.op, b.target, b.name):
            return index, {}
        if a.op == "get_attr" and not _same(inference, training, str(a.target)):
            return index, {}
        (shape_a, constants_a), (shape_b, constants_b) = _form(a), _form(b)
        if shape_a != shape_b:
            return index, {}
        if constants_a != constants_b:
            if a.op not in ("call_function", "call_method"):
                return index, {}
            differing[a] = b
    return (min(len(ours), len(theirs)), {}) if len(ours) != len(theirs) else (None, differing)


def _same(inference: Traced, training: Traced, path: str) -> bool:
    """Whether both modes read the same under a path: a constant of the forward is made anew in each."""
    a, b = inference.attributes[path], training.attributes[path]
    return a is b or (
        isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype is b.dtype and torch.equal(a, b)
    )


def _form(node: fx.Node) -> tuple[str, list[Any]]:
    """A node's arguments: their structure with the nodes in it by name, and the constants in it."""
    constants: list[Any] = []

    def leaf(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return value.name
        constants.append((type(value), value))
        return "constant"

    return repr(map_leaves(leaf, (list(node.args), dict(node.kwargs)))), constants


def _owner(inference: Traced, training: Traced, index: int) -> str:
    """The submodule in which two traces part, which is the one that was running before, if it still is."""
    ours, theirs = list(inference.graph.nodes), list(training.graph.nodes)
    before = _owners(ours[index - 1]) if index else []
    candidates = [_owners(nodes[index]) for nodes in (ours, theirs) if index < len(nodes)]
    return max((["", *each] for each in candidates), key=lambda each: (_common(each[1:], before), len(each)))[
        -1
    ]


def _owners(node: fx.Node) -> list[str]:
    """The submodules that were being traced when a node was made, outermost first."""
    stack: list[str] = node.meta["owner"]
    return stack[:-1] if node.op == "call_module" else stack


def _common(a: list[str], b: list[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _two_ways(module: nn.Module, inference: Traced, training: Traced, index: int) -> GraphError:
    nodes = [list(each.graph.nodes)[index:] for each in (inference, training)]
    node = next(each[0] for each in nodes if each and each[0].op != "output")
    return GraphError(
        explain(
            f"{type(module).__name__}{node.meta['line']}",
            got="a forward that makes other calls in training mode than in inference mode",
            expected="one graph for both modes",
            why="`self.training` decides which calls it makes",
            fix="call it as one node: module(x); or put what depends on the mode into a submodule",
        )
    )


def _dressed(module: nn.Module, tracer: Any, error: Exception) -> GraphError:
    """The error that a user sees: the line of the forward at which the trace stopped, why, and what to do."""
    if isinstance(error, TorchfuncError) and type(error).__init__ is TorchfuncError.__init__:
        return type(error)(str(error))  # type: ignore[return-value]
    line, text = _failed_line(error)
    return GraphError(
        explain(
            f"{type(module).__name__}{line}",
            got=f"`{text}`" if text else "a forward that torch.fx cannot follow",
            expected="a forward that torch.fx can follow",
            why=_reason(error),
            fix=_ways(module, tracer),
        )
    )


def is_about_proxies(error: GraphError) -> bool:
    """Whether a trace failed because somebody was given a proxy of torch.fx where a tensor was expected."""
    cause = error.__cause__
    return cause is not None and not isinstance(cause, (_NotTraceable, TorchfuncError))


def _reason(error: Exception) -> str:
    if isinstance(error, _NotTraceable) or type(error).__name__ == "UnknownError":
        return str(error)
    return (
        " ".join(str(error).split()).split(" See the torch.fx docs")[0].rstrip(".")[:300]
        or type(error).__name__
    )


def _ways(module: nn.Module, tracer: Any) -> str:
    """The ways out: the whole module as one node, or the submodule that was being traced."""
    way = "call it as one node: module(x)"
    inside = list(tracer.module_stack.values())
    return way if not inside else f"{way}; or keep {inside[-1][0]!r} one node: leaf={inside[-1][1].__name__}"


def _failed_line(error: BaseException) -> tuple[str, str]:
    """The last line of the user's own code that an error came through: its place and its text."""
    found = "", ""
    trace: types.TracebackType | None = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not _is_machinery(file):
            text = linecache.getline(file, trace.tb_lineno).strip()
            found = f" ({Path(file).name}, line {trace.tb_lineno})", text
        trace = trace.tb_next
    return found


@functools.cache
def _file_name(path: str) -> str:
    return Path(path).name  # which takes longer than to make a node


def _users_line() -> str:
    """`(net.py, line 12)`: the line of the forward that is being traced."""
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None and _is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return f" ({_file_name(frame.f_code.co_filename)}, line {frame.f_lineno})" if frame is not None else ""


def _is_machinery(file: str) -> bool:
    return file.startswith((_TORCH, _HERE, "<frozen", "<string"))
