"""The watcher: what a forward calls, as a torch.fx graph of modules, functions and methods.

torch.fx runs a forward on proxies, which are no tensors, so that `isinstance(x, Tensor)`, `x.device.type` or a
cache that is written to stop it. Here the forward runs on tensors that are tensors, but hold no numbers, and
whose unknown dimensions are symbols: those of torch.export. It writes ATen's calls down; what is written down
here is what the forward says: its own modules, and the functions of torch.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from torchfunc.graph.symbolic import SYMBOLS, SymbolicTensor
from torchfunc.graph.targets import Method, applied
from torchfunc.interop.walking import opened
from torchfunc.interop.watching.autocasts import Casts, in_precision
from torchfunc.interop.watching.sizes import Sizes, UnknownError, not_asked, shapes, without_data
from torchfunc.tree import leaves, leaves_with_path, map_leaves
from torchfunc.tree.branches import Path

IsLeaf = Callable[[nn.Module, str], bool]
_SYMBOLIC_NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool)
_PARTS = frozenset("T mT H mH real imag data".split())
_ABOUT = frozenset(
    "dim ndimension size stride numel nelement storage_offset element_size is_contiguous is_floating_point is_complex "
    "is_signed is_tensor is_inference is_conj is_neg get_device result_type can_cast promote_types is_same_size "
    "requires_grad_ retain_grad register_hook is_storage is_shared is_pinned has_names dim_order is_coalesced "
    "__format__ __repr__ __hash__ __reduce_ex__ __dir__ data_ptr __deepcopy__ iinfo finfo".split()
)
_VALUES = frozenset(
    "item tolist numpy is_nonzero equal allclose __bool__ __int__ __float__ __index__ __complex__ __contains__ "
    "__array__ _local_scalar_dense".split()
)
_RANDOM = frozenset(
    "rand rand_like randn randn_like randint randint_like randperm normal bernoulli multinomial poisson".split()
)
_OPERATORS: dict[str, Any] = {
    **{name: getattr(operator, name) for name in "add sub mul pow matmul gt ge lt le eq ne neg".split()},
    **{
        f"__{word.strip('_')}__": getattr(operator, word)
        for word in "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift eq ne lt le gt ge neg "
        "invert getitem setitem".split()
    },
    "div": operator.truediv,
    "bitwise_not": operator.invert,
}
_BACKWARDS = {
    f"__r{word}__": _OPERATORS[f"__{word}__"]
    for word in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
} | {"__rdiv__": operator.truediv}


class Watcher(TorchFunctionMode):
    """One run of a forward, and the graph of what it called.

    Args:
        root: the module whose forward it is.
        is_leaf: whether a submodule stays one call.
        line: the line of the user's code that is running now.
        is_machinery: whether a file is PyTorch's or ours.
    """

    def __init__(
        self, root: nn.Module, is_leaf: IsLeaf, line: Callable[[], str], is_machinery: Callable[[str], bool]
    ) -> None:
        super().__init__()
        self.root = root
        self.graph = fx.Graph()
        self.symbols: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.module_stack: OrderedDict[str, tuple[str, Any]] = OrderedDict()
        self._is_leaf = is_leaf
        self._line = line
        self._is_machinery = is_machinery
        environment = shapes().ShapeEnv()
        self._fake = torch._subclasses.fake_tensor.FakeTensorMode(
            shape_env=environment, allow_non_fake_inputs=True
        )
        self._sizes = Sizes(environment, lambda function, args: self._node("call_function", function, args))
        self._values: dict[int, tuple[Tensor, fx.Node, Path]] = {}
        self._items: dict[tuple[fx.Node, Path], fx.Node] = {}
        self._constants: dict[int, fx.Node] = {}
        self._devices: list[tuple[torch.device, Tensor]] = []
        self._graded: set[int] = set()  # what a gradient may flow through
        self._at_rest = False
        self._casts = Casts()

    def trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Graph:
        """Run the forward on arguments with symbolic tensors among them."""
        count = iter(range(0, 10_000, 16))
        args, kwargs = (
            map_leaves(lambda leaf: self._placeholder(leaf, next(count)), each) for each in (args, kwargs)
        )
        with not_asked(self._is_machinery), self._calls_of_modules(), self._casts.watched(), self:
            outputs = self.root.forward(*args, **kwargs)
        outputs = map_leaves(self._written, opened(outputs))
        self._node("output", "output", (outputs,))
        self._drop_unused()
        return self.graph

    def _placeholder(self, leaf: Any, count: int) -> Any:
        if not isinstance(leaf, SYMBOLS):
            return leaf
        if not isinstance(leaf, SymbolicTensor):
            raise UnknownError("an argument is an unknown dimension")
        node = self._node("placeholder", f"input_{len(self.symbols)}", ())
        self.symbols[node.name] = leaf
        tensor = without_data(self._fake, leaf.spec, node.name, count)
        self._values[id(tensor)] = tensor, node, ()
        self._sizes.add(tensor, node)
        if tensor.is_floating_point():
            self._graded.add(id(tensor))
        return tensor

    @contextmanager
    def _calls_of_modules(self) -> Iterator[None]:
        """Within it calls of modules and of custom autograd functions are seen."""
        call, apply = nn.Module.__call__, vars(Function)["apply"]
        watcher = self

        def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return watcher._module(call, module, args, kwargs)

        def applied_whole(cls: Any, *args: Any, **kwargs: Any) -> Any:
            function = apply.__get__(None, cls)
            if watcher._at_rest or not cls.__dict__.get("backward"):
                return function(*args, **kwargs)
            return watcher._made("call_function", applied(cls), function, args, kwargs)

        nn.Module.__call__ = called  # type: ignore[method-assign]
        Function.apply = classmethod(applied_whole)  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            nn.Module.__call__ = call  # type: ignore[method-assign]
            Function.apply = apply  # type: ignore[method-assign]

    def _module(self, call: Any, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self._module_paths.get(id(module))
        if path is None or self._at_rest:
            return call(module, *args, **kwargs)
        self.module_stack[path] = path, type(module)
        try:
            if not self._is_leaf(module, path):
                return call(module, *args, **kwargs)
            if self._casts.current:
                raise UnknownError("a module is called under torch.autocast")
            function = _bound(call, module)
            return self._made("call_module", path, function, args, kwargs, without_data=True)
        finally:
            self.module_stack.popitem()

    @cached_property
    def _module_paths(self) -> dict[int, str]:
        return {id(module): path for path, module in self.root.named_modules() if path}

    @cached_property
    def _paths(self) -> dict[int, str]:
        held = (*self.root.named_buffers(), *self.root.named_parameters())
        return {id(tensor): path for path, tensor in held}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if self._at_rest or name in _ABOUT:
            return func(*args, **kwargs)
        if name == "__get__":
            return self._attribute(func, args[0])
        if name in ("__set__", "__delete__"):
            if func.__self__.__name__ == "data":
                raise UnknownError("`.data` of a tensor is replaced")
            return func(*args, **kwargs)
        if name in _VALUES:
            if any(_is_fake(leaf) for leaf in leaves((args, kwargs))):
                raise UnknownError("it depends on the values in a tensor")
            return func(*args, **kwargs)
        if name == "__len__":
            return _counted(args[0])
        if name == "__iter__":
            _counted(args[0])
            return iter(self.__torch_function__(Tensor.unbind, types, (args[0], 0)))
        if kwargs.get("out") is not None:
            raise UnknownError("a call writes into another tensor (`out=`)")
        return self._function(func, name, args, kwargs)

    def _attribute(self, func: Any, tensor: Tensor) -> Any:
        """An attribute of a tensor: a part of it is a call, and what is known of it is told."""
        name = func.__self__.__name__
        if name in _PARTS:
            return self._made("call_function", getattr, lambda each, _: func(each), (tensor, name), {})
        found = func(tensor)
        if name == "device":
            self._devices.append((found, tensor))  # kept, so that it is known again when it is used
        return found

    def _function(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function or method of torch."""
        is_method = (
            getattr(Tensor, name, None) is func or getattr(func, "__objclass__", None) is torch._C.TensorBase
        )
        whole = not kwargs and len(args) == (
            1 if name in ("neg", "__neg__", "__invert__", "bitwise_not") else 2
        )
        if is_method and name in _BACKWARDS and whole:
            swapped = (args[1], args[0])
            return self._made("call_function", _BACKWARDS[name], lambda a, b: func(b, a), swapped, {})
        if is_method and name in _OPERATORS and (whole or name == "__setitem__"):
            return self._made("call_function", _OPERATORS[name], func, args, kwargs)
        if is_method and name.startswith("__i") and name != "__invert__":
            name = f"{_IN_PLACE.get(name, name[3:-2])}_"
        if is_method:
            return self._made("call_method", name, func, args, kwargs)
        return self._made("call_function", func, func, args, kwargs, without_data=name in _RANDOM)

    def _made(
        self,
        kind: str,
        target: Any,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        without_data: bool = False,
    ) -> Any:
        """Make a call, and write it down with what it was called on."""
        written = tuple(self._written_tree(args)), self._written_tree(kwargs)
        is_graded = any(id(leaf) in self._graded for leaf in _tensors((args, kwargs)))
        result = self._run(function, args, kwargs, without_data=without_data)
        found = leaves_with_path(result)
        tensors = [(path, leaf) for path, leaf in found if isinstance(leaf, Tensor)]
        if not tensors and not (kind == "call_module" or target is operator.setitem):
            return result
        if self._casts.current and kind != "call_module" and self._casts.matters(target):
            called = Method(target) if kind == "call_method" else target
            kind, target = "call_function", in_precision(called, self._casts.current)
        node = self._node(kind, target, *written)
        given = {id(leaf) for leaf in _tensors((args, kwargs))}
        result = (
            self._as_new(result, given)
            if given and not changes_its_argument(target, args, kwargs)
            else result
        )
        for path, leaf in leaves_with_path(result):
            if isinstance(leaf, Tensor):
                self._keep(leaf, node, path, is_graded)
        return result

    def _as_new(self, result: Any, given: set[int]) -> Any:
        """What a call returns, where what is one of its arguments becomes another object with another name."""

        def new(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or id(leaf) not in given:
                return leaf
            with self._resting():
                return torch.ops.aten.alias.default(leaf)

        return map_leaves(new, result)

    def _keep(self, tensor: Tensor, node: fx.Node, path: Path, is_graded: bool) -> None:
        """Note which call made a tensor; one that is made without gradient lets none through."""
        if is_graded and tensor.is_floating_point():
            if torch.is_grad_enabled():
                self._graded.add(id(tensor))
            else:
                node, path = self._node("call_method", "detach", (self._item(node, path),)), ()
        self._values[id(tensor)] = tensor, node, path

    def _run(self, function: Any, args: Any, kwargs: Any, *, without_data: bool) -> Any:
        with self._resting():
            if not without_data and not any(
                _is_fake(leaf) or isinstance(leaf, _SYMBOLIC_NUMBERS) for leaf in leaves((args, kwargs))
            ):
                return function(*args, **kwargs)
            try:
                with self._fake:
                    return function(*args, **kwargs)
            except torch._subclasses.fake_tensor.DataDependentOutputException as error:
                raise UnknownError("it depends on the values in a tensor") from error

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """Within it nothing is written down."""
        before, self._at_rest = self._at_rest, True
        try:
            yield
        finally:
            self._at_rest = before

    def _node(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> fx.Node:
        node = self.graph.create_node(kind, target, args, kwargs or {})
        node.meta["line"] = self._line()
        node.meta["hands over"] = True
        node.meta["owner"] = [path for path, _ in self.module_stack.values()]
        return node

    def _written_tree(self, tree: Any) -> Any:
        return map_leaves(self._written, tree)

    def _written(self, leaf: Any) -> Any:
        """An argument as it stands in the graph: a node for what other calls made, a number as it is."""
        if isinstance(leaf, Tensor):
            return self._tensor(leaf)
        if isinstance(leaf, _SYMBOLIC_NUMBERS):
            if isinstance(leaf, torch.SymBool):
                raise UnknownError("whether a dimension is as large as another one is used as a value")
            return self._sizes.written(leaf)
        if isinstance(leaf, torch.device):
            owner = next((tensor for device, tensor in self._places() if device is leaf), None)
            return (
                leaf
                if owner is None
                else self._node("call_function", getattr, (self._tensor(owner), "device"))
            )
        return leaf

    def _places(self) -> Iterator[tuple[torch.device, Tensor]]:
        """The devices that were asked for, and those of tensors without data, which hand out one object each."""
        yield from self._devices
        for tensor, _, _ in self._values.values():
            if _is_fake(tensor):
                yield getattr(tensor, "fake_device"), tensor  # noqa: B009

    def _tensor(self, tensor: Tensor) -> fx.Node:
        if id(tensor) in self._values:
            _, node, path = self._values[id(tensor)]
            return self._item(node, path)
        held = self._paths.get(id(tensor))
        if held is None and _is_fake(tensor):
            raise UnknownError("a tensor is used that a call made which cannot be followed")
        if id(tensor) not in self._constants:
            held = f"_tensor_constant{len(self._constants)}" if held is None else held
            self.attributes[held] = tensor
            self._constants[id(tensor)] = self._node("get_attr", held, ())
            if tensor.requires_grad:
                self._graded.add(id(tensor))
        return self._constants[id(tensor)]

    def _item(self, node: fx.Node, path: Path) -> fx.Node:
        """A part of what a call returns."""
        for depth, key in enumerate(path):
            here = node, path[: depth + 1]
            known = self._items.get(here)
            if known is None:
                known = self._items[here] = self._node("call_function", operator.getitem, (node, key))
            node = known
        return node

    def _drop_unused(self) -> None:
        """Take out the calls that nothing needs; one that changes its argument is needed."""
        for node in reversed(self.graph.nodes):
            if node.users or node.op in ("output", "placeholder") or _changes(node, self.root):
                continue
            self.graph.erase_node(node)


_IN_PLACE = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__idiv__": "div",
             "__ipow__": "pow", "__iand__": "bitwise_and", "__ior__": "bitwise_or", "__ixor__": "bitwise_xor",
             "__ifloordiv__": "floor_divide", "__imod__": "remainder"}  # fmt: skip


def changes_its_argument(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call changes the tensor that it is called on, by its name or its arguments."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    if target is operator.setitem or kwargs.get("inplace"):
        return True
    return name.endswith("_") and not name.endswith("__") and target not in (operator.and_, operator.or_)


def _changes(node: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return getattr(root.get_submodule(str(node.target)), "inplace", False) is True
    return node.op != "get_attr" and changes_its_argument(node.target, node.args, dict(node.kwargs))


def _is_fake(value: Any) -> bool:
    return isinstance(value, torch._subclasses.fake_tensor.FakeTensor)


def _bound(call: Any, module: nn.Module) -> Callable[..., Any]:
    return lambda *args, **kwargs: call(module, *args, **kwargs)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in leaves(tree) if isinstance(leaf, Tensor))


def _counted(tensor: Tensor) -> int:
    if not tensor.ndim:
        raise TypeError("len() of a 0-d tensor")
    if isinstance(tensor.shape[0], torch.SymInt):
        raise UnknownError("a dimension that may differ from batch to batch is used as a number")
    return tensor.shape[0]
