"""Walking: the calls that torch.fx saw, made again on symbolic tensors."""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from torchfunc.errors import GraphError, TorchfuncError, explain
from torchfunc.graph import symbolic
from torchfunc.graph.interception import symbolic_call
from torchfunc.graph.spec import Spec
from torchfunc.graph.symbolic import SYMBOLS, Attribute, Dimension, Method, SymbolicTensor
from torchfunc.graph.targets import stated_keywords
from torchfunc.interop.in_place import Storages, is_in_place, out_of_place, twin
from torchfunc.tree import as_named_tuple, leaves, like, map_leaves

# what a comparison with an unknown dimension gives: neither true nor false while the graph is being built
LIVE = type("Live", (), {"__repr__": lambda self: "<known at run time>"})()

# functions that make a tensor from sizes alone, which torch.fx sees only if it is told to look
FACTORIES: tuple[Callable[..., Any], ...] = tuple(
    getattr(torch, name)
    for name in "arange empty eye full linspace logspace ones rand randint randn randperm tensor "
    "tril_indices triu_indices zeros".split()
)
_COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}


@dataclass(frozen=True)
class _Device:
    """The device of a tensor, which is known when the model runs."""

    of: Any


@dataclass(frozen=True)
class _Hole:
    """The place of a tensor among the arguments that an InMode keeps."""

    index: int


@dataclass(frozen=True)
class Beside:
    """A function that takes a device, called with the device of a tensor: `Beside(torch.arange)(x, 4)`."""

    function: Callable[..., Any]

    @property
    def __name__(self) -> str:
        return f"{symbolic.name_of(self.function)}_beside"

    def __call__(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, device=tensor.device, **kwargs)

    def __reduce__(self) -> Any:
        return _beside, (self.function,)


@cache  # one for each function, so that equal models have equal code
def _beside(function: Callable[..., Any]) -> Beside:
    return Beside(function)


class InMode(nn.Module):
    """A function that is called with other constants in training mode than in inference mode.

    Args:
        function: what is called.
        training: its arguments and keyword arguments in training mode, with a hole for each tensor.
        inference: the same in inference mode.
    """

    def __init__(self, function: Callable[..., Any], training: Any, inference: Any) -> None:
        super().__init__()
        self.function = function
        self.arguments = {True: training, False: inference}

    def forward(self, *tensors: Tensor) -> Any:
        args, kwargs = map_leaves(
            lambda leaf: tensors[leaf.index] if isinstance(leaf, _Hole) else leaf,
            self.arguments[self.training],
        )
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return symbolic.name_of(self.function)


class Walk:
    """One walk over the nodes of a torch.fx graph, as far as it has come.

    Args:
        root: the module that was traced.
        symbols: a symbolic tensor for each placeholder.
        attributes: what the graph reads from the module, by path.
        in_training: the same node of the other mode's graph, where its constants differ.
    """

    def __init__(
        self,
        root: nn.Module,
        symbols: dict[str, Any],
        attributes: dict[str, Any],
        in_training: dict[fx.Node, fx.Node],
    ) -> None:
        self.root = root
        self.symbols = symbols
        self.attributes = attributes
        self.in_training = in_training
        self._storages = Storages()
        self._by_name: dict[str, fx.Node] = {}
        self._last: fx.Node | None = None
        self._twins: dict[nn.Module, nn.Module] = {}

    def upto(self, node: fx.Node) -> Any:
        """What a node returns, once all before it were walked."""
        while node.name not in self._by_name:
            following = next(iter(node.graph.nodes)) if self._last is None else self._last.next
            self._step(following)
            self._by_name[following.name] = self._last = following
        return self._storages.read(node)

    def _step(self, node: fx.Node) -> None:
        try:
            args, kwargs = (_plain(each, self._value) for each in (node.args, node.kwargs))
            changes, value = getattr(self, f"_{node.op}")(node, args, kwargs)
            (self._storages.change if changes else self._storages.write)(node, value)
        except TorchfuncError as error:
            raise _placed(error, node) from error.__cause__
        except Exception as error:
            raise GraphError(
                explain(
                    f"`{node.name}`{node.meta['line']}",
                    got=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
                    fix="keep the submodule around it as one node with leaf=",
                )
            ) from error

    def _value(self, leaf: Any) -> Any:
        return self._storages.read(self._by_name[leaf.name]) if isinstance(leaf, fx.Node) else leaf

    # each of these returns whether the call changes its first argument, and what it returns

    def _placeholder(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        return False, self.symbols[node.name]

    def _get_attr(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        return False, self.attributes[str(node.target)]

    def _output(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        return False, args[0]

    def _call_module(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        module = original = attribute_at(self.root, str(node.target))
        node.meta["kind"] = symbolic.snake_case(type(module).__name__)
        changes = is_in_place(node, module, args[0] if args else None)
        if changes and not any(True for _ in module.parameters()):
            module = self._twins.setdefault(original, twin(original))
        return changes, _called(module, args, kwargs, identifier(str(node.target)))

    def _call_function(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        function: Any = node.target
        found = list(leaves((args, kwargs)))
        if node in self.in_training:
            return False, self._in_mode(node, function, args, kwargs)
        if function is torch._assert or getattr(function, "__name__", "") == "_assert_is_none":
            _assert_now(*args)
            return False, None
        if function is getattr:
            return False, _attribute(*args)
        if any(each is LIVE for each in found) or (function in _COMPARISONS and _is_open(found)):
            return False, LIVE
        if _is_on_container(function, args):
            return False, function(*args)
        if "hands over" in node.meta:  # PyTorch hands over every default too
            kwargs = stated_keywords(function, kwargs)
        if isinstance(kwargs.get("device"), _Device):
            return False, _on_device(function, args, kwargs)
        if is_in_place(node, function, args[0] if args else None):
            return True, out_of_place(function, args, kwargs)
        has_tensor = any(isinstance(leaf, (Tensor, SymbolicTensor)) for leaf in found)
        if isinstance(function, type) or not (has_tensor or function in FACTORIES):
            return False, function(*args, **kwargs)
        return False, symbolic.record(function, args, kwargs)

    def _call_method(self, node: fx.Node, args: Any, kwargs: Any) -> tuple[bool, Any]:
        name, owner = str(node.target), args[0]
        method = Method(name)
        if node in self.in_training:
            return False, self._in_mode(node, method, args, kwargs)
        if name in ("dim", "ndimension", "size", "is_floating_point", "is_complex"):
            return False, owner.ndim if name == "ndimension" else method(*args, **kwargs)
        device = next((leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, _Device)), None)
        if device is not None:
            others = tuple(arg for arg in args if arg is not device)
            return False, _on_device(getattr(Tensor, name), others, {**kwargs, "device": device})
        if is_in_place(node, method, owner):
            return True, out_of_place(method, args, kwargs)
        if isinstance(owner, Tensor):
            return False, symbolic.record(method, args, kwargs)
        return False, method(*args, **kwargs)

    def _in_mode(self, node: fx.Node, function: Any, args: Any, kwargs: Any) -> Any:
        """One call of a module that looks at its mode, for a call that differs between the modes."""
        other = self.in_training[node]
        inference, training = (
            (args, kwargs),
            (_plain(other.args, self._value), _plain(other.kwargs, self._value)),
        )
        module = _dropout(function, training, inference)
        if module is None:
            module = InMode(function, _with_holes(training), _with_holes(inference))
        owner = node.meta["owner"][-1] if node.meta["owner"] else ""
        module.train(attribute_at(self.root, owner).training)
        tensors = tuple(leaf for leaf in leaves(inference) if isinstance(leaf, (Tensor, SymbolicTensor)))
        name = identifier(f"{owner}.{symbolic.name_of(function)}".lstrip("."))
        return symbolic.record(module, tensors, name=name)


# modules whose output is like their input, so that they need not be tried
_ELEMENTWISE = frozenset(
    getattr(nn, name)
    for name in "Dropout ELU GELU Hardsigmoid Hardswish Hardtanh Identity LeakyReLU Mish ReLU ReLU6 SELU "
    "SiLU Sigmoid Softplus Tanh".split()
)
_RANKS: dict[type[nn.Module], int] = {nn.BatchNorm2d: 4, nn.BatchNorm3d: 5}


def _called(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
    """A call of a module on symbols, under the name that its path makes, or the one that it was given."""
    if hasattr(type(module), "symbolic_call"):
        made = symbolic_call(module, args, kwargs)
    elif (shape_of := _stated_shape(module, args, kwargs)) is not None:
        made = symbolic.record_stated(module, args, kwargs, shape_of, None)
    else:
        return symbolic.record(module, args, kwargs, name=name)
    first = next(leaf for leaf in leaves(made) if isinstance(leaf, SYMBOLS))
    first.node.name = getattr(module, "given_name", None) or name
    return made


def _stated_shape(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[tuple[int, ...]], tuple[int, ...]] | None:
    """How the shape of the output follows from that of the input, where it is known without a try; else None.

    Batch norms and convolutions cost most to try, and networks are full of them.
    """
    if len(args) != 1 or kwargs or not isinstance(args[0], SymbolicTensor):
        return None
    spec = args[0].spec
    if spec.dtype is not torch.float32:
        return None
    if type(module) is nn.Conv2d:
        shape_of = partial(_convolved, module)
        return shape_of if _takes(module, spec) and all(map(shape_of, spec.worlds[:2])) else None
    fits = _RANKS.get(type(module)) == len(spec.shape) and spec.shape[1] == module.num_features
    return (lambda shape: shape) if fits or type(module) in _ELEMENTWISE else None


def _takes(module: nn.Conv2d, spec: Spec) -> bool:
    """Whether a convolution is the plain one, and takes such a tensor."""
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    plain = plain and not module._forward_hooks and not module._forward_pre_hooks
    return (
        plain
        and module.weight.dtype is spec.dtype
        and spec.shape[1:2] == (module.in_channels,)
        and len(spec.shape) == 4
    )


def _convolved(module: nn.Conv2d, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what a convolution returns, by PyTorch's formula; () where the kernel does not fit.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """
    padding: Any = module.padding
    ways = zip(shape[2:], module.kernel_size, module.stride, padding, module.dilation, strict=True)
    sizes = [
        (size + 2 * pad - apart * (kernel - 1) - 1) // step + 1 for size, kernel, step, pad, apart in ways
    ]
    return (shape[0], module.out_channels, *sizes) if min(sizes) > 0 else ()


def _plain(tree: Any, value: Callable[[Any], Any]) -> Any:
    """Arguments of torch.fx, whose lists and dicts are of its own kinds, in Python's, values for nodes."""
    if isinstance(tree, dict):
        return {key: _plain(each, value) for key, each in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_plain(each, value) for each in tree))
    if isinstance(tree, (list, tuple)):
        return (list if isinstance(tree, list) else tuple)(_plain(each, value) for each in tree)
    if isinstance(tree, slice):
        return slice(*(_plain(each, value) for each in (tree.start, tree.stop, tree.step)))
    return value(tree)


def _attribute(owner: Any, name: str) -> Any:
    """An attribute of a value: sizes as they are known, a device when the model runs."""
    if not isinstance(owner, (Tensor, SymbolicTensor)):
        return getattr(owner, name)
    if name == "device":
        return _Device(owner)
    if isinstance(owner, SymbolicTensor) or name in ("shape", "ndim", "dtype", "requires_grad", "layout"):
        return getattr(owner, name)
    return symbolic.record(Attribute(name), (owner,))


def _assert_now(condition: Any, message: str = "") -> None:
    """An assertion of the forward: checked now where its outcome is known, and else left out."""
    if condition is None or condition is LIVE or isinstance(condition, (Tensor, SymbolicTensor)) or condition:
        return
    raise GraphError(explain("The forward", got="shapes that it refuses", why=str(message)))


def _is_on_container(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operator works on a list, tuple or dict of tensors rather than on tensors."""
    if function in (operator.getitem, operator.setitem):
        return not isinstance(args[0], (Tensor, SymbolicTensor))
    is_operator = getattr(function, "__module__", "") == operator.add.__module__
    return is_operator and any(isinstance(arg, (list, tuple, dict)) for arg in args)


def _is_open(found: list[Any]) -> bool:
    """Whether a comparison is between sizes, one of which is unknown."""
    return any(isinstance(leaf, Dimension) for leaf in found) and not any(
        isinstance(leaf, SymbolicTensor) or (isinstance(leaf, Tensor) and not isinstance(leaf, Dimension))
        for leaf in found
    )


def _on_device(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call with the device of a tensor among its arguments."""
    like = kwargs["device"].of
    others = {key: each for key, each in kwargs.items() if key != "device"}
    return symbolic.record(_beside(function), (like, *args), others, name=symbolic.name_of(function))


def _dropout(function: Any, training: Any, inference: Any) -> nn.Module | None:
    """PyTorch's own module for `F.dropout(x, p, self.training)`."""
    kind = _DROPOUTS.get(function)
    if kind is None:
        return None
    given, other = (_bound(function, *each) for each in (training, inference))
    if given.pop("training") is not True or other.pop("training") is not False:
        return None
    given.pop("inplace"), other.pop("inplace")
    return kind(p=given["p"]) if given == other else None


def _bound(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return {key: value for key, value in bound.arguments.items() if key != "input"}


def _with_holes(arguments: Any) -> Any:
    """Arguments with a numbered hole for each tensor."""
    tensors = iter(range(len(list(leaves(arguments)))))
    return map_leaves(
        lambda leaf: _Hole(next(tensors)) if isinstance(leaf, (Tensor, SymbolicTensor)) else leaf, arguments
    )


def opened(outputs: Any) -> Any:
    """What a forward returns, where a dataclass is the dict of those of its fields that hold tensors."""
    if hasattr(type(outputs), "__dataclass_fields__"):
        items = outputs if isinstance(outputs, dict) else as_named_tuple(outputs)._asdict()
        fields = {key: opened(each) for key, each in items.items()}
        return {key: each for key, each in fields.items() if _holds_tensors(each)}
    if isinstance(outputs, dict):
        return {key: opened(each) for key, each in outputs.items()}
    return like(outputs, list(map(opened, outputs))) if isinstance(outputs, (list, tuple)) else outputs


def _holds_tensors(tree: Any) -> bool:
    found = list(leaves(tree))
    return bool(found) and all(isinstance(leaf, (Tensor, SymbolicTensor)) for leaf in found)


def _placed(error: TorchfuncError, node: fx.Node) -> TorchfuncError:
    """The error with the line of the forward at which it arose."""
    place = node.meta["line"]
    if not place or place in str(error) or type(error).__init__ is not TorchfuncError.__init__:
        return error
    return type(error)(f"{error} It is called in the forward{place}.")


def attribute_at(root: Any, path: str) -> Any:
    """What a module holds under a dotted path, without the detours of `__getattr__`."""
    for name in path.split(".") if path else ():
        places = [vars(root).get(each, {}) for each in ("_parameters", "_buffers", "_modules")]
        found = next((place[name] for place in places if name in place), None)
        root = getattr(root, name) if found is None else found
    return root


def identifier(path: str) -> str:
    """A dotted path as an attribute: `features.0` as `features_0`, a lone `0` as `layer_0`."""
    text = re.sub(r"\W", "_", path)
    return text if text[:1].isalpha() or text[:1] == "_" else f"layer_{text}"
