"""To torch: a model's graph once more, in modules of torch.nn and functions of torch alone."""

from __future__ import annotations

import copy as copying
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import activations, ops
from torchfunc.errors import GraphError, TorchfuncError, explain
from torchfunc.graph import symbolic
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, between
from torchfunc.graph.emit import emit
from torchfunc.graph.graph import Call, Drawn, Graph, Names, StateRef
from torchfunc.graph.run import inputs_like, picked, results
from torchfunc.graph.symbolic import SYMBOLS, Method, SymbolicTensor
from torchfunc.graph.text import identifier
from torchfunc.layers.layer import Layer, in_mode
from torchfunc.models.model import Model
from torchfunc.tree import leaves, map_leaves


def to_torch(model: Any, copy: bool = True) -> nn.Module:
    """The same graph in modules of `torch.nn` and functions of `torch`: nothing of this library runs in it.

    `Dense` becomes `nn.Linear` and a call of its activation, `Conv2D` an `nn.Conv2d` between permutes that
    stand at the borders only, and so on; what PyTorch has no module for stays as the calls that it makes, in
    a small module of its own where it has weights. Submodules keep the names of the layers.

    What only `fit` of this library knows is left behind: regularizers, constraints, seeds of dropout.
    PyTorch's batch normalization averages the unbiased variance, Keras's the biased one.

    Args:
        model: a model that is a graph.
        copy: whether the weights are copies, which lie contiguously as `torch.nn` makes them. If not, they
            are the model's own: training one trains the other. A weight that has another shape there (a
            projection of an attention) shares its memory as a view; `bias_hh` of a recurrent layer, which
            Keras has not, stays zero and is not trained.

    Returns:
        A module with a plain `forward`, whose text is `module.code`.

    Raises:
        GraphError: a model without a graph, or a layer for which there is no such form, by its name.

    Example:
        >>> tf.interop.to_torch(model).head
        Linear(in_features=8, out_features=2, bias=True)
    """
    if not isinstance(model, Model):
        fix = "a module that holds no layer of this library is plain PyTorch already"
        raise GraphError(explain("to_torch", got=type(model).__name__, expected="a Model", fix=fix))
    plain = _Translation(copy).of_model(model, None)
    return plain.train(model.training)


def weights_from_torch(model: Any, state: Mapping[str, Tensor]) -> None:
    """Give a model the weights of its twin, `to_torch(model)`, from the twin's `state_dict`.

    Args:
        model: the model that takes the weights.
        state: tensors under the names of the twin.

    Raises:
        RuntimeError: names or shapes that are not those of the twin.

    Example:
        >>> twin = tf.interop.to_torch(model)
        >>> _ = nn.init.zeros_(twin.head.bias)
        >>> tf.interop.weights_from_torch(model, twin.state_dict())
    """
    to_torch(model, copy=False).load_state_dict(state)


class PlainModule(nn.Module):
    """A graph as a module: `code` is its forward, and each such graph has a class of its own."""

    graph: Graph

    @property
    def code(self) -> str:
        """The forward as text."""
        return emit(self.graph).source

    def __reduce__(self) -> Any:
        return _empty, (type(self).__name__, type(self).__doc__, self.graph), self.__dict__.copy()


def _empty(name: str, doc: str, graph: Graph) -> PlainModule:
    """A module of this graph, without submodules and tensors."""
    code = emit(graph)
    forward = replace(code, running=code.source).compile(name)
    members = {"forward": forward, "graph": graph, "__module__": PlainModule.__module__, "__doc__": doc}
    kind: type[PlainModule] = type(name, (PlainModule,), members)
    return kind.__new__(kind)


class _Translation:
    """What the modules of one translation share: which tensor and which module stands for which."""

    def __init__(self, copy: bool) -> None:
        self.copy = copy
        self._tensors: dict[int, Tensor] = {}
        self._models: dict[Any, PlainModule] = {}
        self._alive: list[Any] = []  # so that no id is given twice

    def tensor(self, tensor: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """The tensor that stands for another one, in another shape where that is wanted."""
        if id(tensor) not in self._tensors:
            twin = tensor.detach()
            if shape is not None and tuple(shape) != tuple(twin.shape):
                twin = twin.view(*shape)
            elif not self.copy:
                return tensor
            if self.copy:
                twin = twin.clone(memory_format=torch.contiguous_format)
            if isinstance(tensor, nn.Parameter):
                twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
            self._tensors[id(tensor)] = twin
            self._alive.append(tensor)
        return self._tensors[id(tensor)]

    def native(self, module: nn.Module) -> nn.Module:
        """A module that holds nothing of this library: itself, or a copy of it."""
        if not self.copy:
            return module
        memo: dict[int, Any] = {
            id(each): self.tensor(each) for each in (*module.parameters(), *module.buffers())
        }
        return copying.deepcopy(module, memo)

    def of_model(self, model: Model, training: bool | None) -> PlainModule:
        """The twin of a model, once for all its calls."""
        key = id(model), training
        if key not in self._models:
            graph = model._require_graph("twin in PyTorch")
            drawn = Drawn(graph, dict(model._modules), model._own_state())  # type: ignore[arg-type]
            doc = f"The model {model.name!r} in modules of torch.nn."
            kind = "Network" if model.given_name is None else _class_name(model.given_name)
            self._models[key] = self.of_graph(drawn, kind, doc, training, frozenset(model.state_dict()))
            self._models[key].train(model.training)
            self._alive.append(model)
        return self._models[key]

    def of_graph(
        self, drawn: Drawn, name: str, doc: str, training: bool | None, persistent: frozenset[str]
    ) -> PlainModule:
        """The twin of a graph."""
        into = _Into(self, training, persistent)
        rows = results(drawn.graph, inputs_like(drawn.graph), drawn.modules, drawn.state, into.make)
        into.own_names.update({id(self.tensor(each)): key for key, each in drawn.state.items()})
        inputs, outputs = (picked(each, rows) for each in (drawn.graph.inputs, drawn.graph.outputs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an input without use, which was told when the model was made
            return _assembled(between(inputs, outputs, reserved=MODULE_ATTRIBUTES), into, name, doc)


def _class_name(name: str) -> str:
    """The name of a class for a model's name: `mnist_model` as `MnistModel`."""
    words = identifier(name).split("_")
    text = "".join(word[:1].upper() + word[1:] for word in words)
    return text if text.isidentifier() else f"Model{text}"


def _assembled(drawn: Drawn, into: _Into, name: str, doc: str) -> PlainModule:
    """The module of a graph that was drawn, under the names of the layers."""
    modules = dict(into.modules)
    owned = {
        id(tensor): f"{key}.{path}"
        for key, module in reversed(modules.items())
        for path, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    names = {**into.own_names, **owned}
    found = _renamed(drawn, {id(module): key for key, module in modules.items()}, names)
    used = {name.partition(".")[0] for name in (*found.graph.module_names, *found.state)}
    kept = {key: module for key, module in modules.items() if key in used}
    state = {key: each for key, each in found.state.items() if id(each) not in owned}
    return _filled(_empty(name, doc, found.graph), kept, state, into.persistent)


def _renamed(drawn: Drawn, modules: Mapping[int, str], tensors: Mapping[int, str]) -> Drawn:
    """A drawn graph with these names for its modules and tensors, by their ids; what is not among them keeps its own."""
    renamed = {key: modules.get(id(module), key) for key, module in drawn.modules.items()}
    taken = Names(*renamed.values(), *modules.values())
    places: dict[str, str] = {}
    for key, tensor in drawn.state.items():
        place = tensors.get(id(tensor), key)
        places[key] = place if "." in place else taken.new(place)

    def own(leaf: Any) -> Any:
        if not isinstance(leaf, StateRef):
            return leaf
        head, _, rest = leaf.name.partition(".")
        return StateRef(places[leaf.name] if leaf.name in places else f"{renamed[head]}.{rest}")

    calls = tuple(
        replace(call, args=map_leaves(own, call.args), kwargs=map_leaves(own, call.kwargs))
        for call in drawn.graph.calls
    )
    return Drawn(
        replace(drawn.graph, calls=calls).renamed(renamed),
        {renamed[key]: module for key, module in drawn.modules.items()},
        {places[key]: tensor for key, tensor in drawn.state.items()},
    )


def _filled(
    plain: PlainModule,
    modules: Mapping[str, nn.Module],
    state: Mapping[str, Tensor],
    persistent: frozenset[str],
) -> PlainModule:
    nn.Module.__init__(plain)
    plain._modules.update(modules)
    for key, tensor in state.items():
        if isinstance(tensor, nn.Parameter):
            plain.register_parameter(key, tensor)
        else:
            plain.register_buffer(key, tensor, persistent=key in persistent)
    return plain


class _Into:
    """One module while it is written: what a layer's `native_form` is given to write itself into.

    Attributes:
        training: the mode in which the call stays, whatever that of the module is; None where it follows it.
    """

    def __init__(
        self, whole: _Translation, training: bool | None, persistent: frozenset[str] = frozenset()
    ) -> None:
        self._whole = whole
        self.training = training
        self.persistent = persistent
        self.modules: dict[str, nn.Module] = {}
        self.own_names: dict[int, str] = {}
        self._names = Names()
        self._made: dict[Any, nn.Module] = {}
        self._name = ""
        self._laid: dict[Any, tuple[Any, tuple[int, ...], Any]] = {}
        self._permuted: dict[Any, Any] = {}

    def make(self, call: Call, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The way to make a call of the model's graph."""
        if call.kind == "module":
            with self._as(call.target):
                return self._called(target, args, kwargs)
        args, kwargs = map_leaves(self._twin, args), map_leaves(self._twin, kwargs)
        if call.kind == "size":
            return target(*args)
        if call.kind == "function" and _is_ours(target):
            return self.called(target, *args, **kwargs)
        return self._carried(target, args, kwargs)

    def _twin(self, leaf: Any) -> Any:
        plain = isinstance(leaf, Tensor) and not isinstance(leaf, SYMBOLS)
        return self._whole.tensor(leaf) if plain else leaf

    @contextmanager
    def _as(self, name: str) -> Iterator[None]:
        """Within it, modules are made for the layer of this name."""
        before, self._name = self._name, f"{self._name}_{name}" if self._name else name
        mode = self.training
        try:
            yield
        finally:
            self._name, self.training = before, mode

    def _called(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a layer or module of the model."""
        if "training" in kwargs and isinstance(module, Layer):
            kwargs = dict(kwargs)
            mode = kwargs.pop("training")
            self.training = self.training if mode is None else bool(mode)
        if isinstance(module, Model) and module.graph is not None:
            _refuse(kwargs, module, self._name)
            twin = self._once(
                (id(module), self.training), lambda: self._whole.of_model(module, self.training)
            )
            return self._recorded(twin, args)
        if isinstance(module, Layer):
            args, kwargs = _cast(module, args, kwargs)
            return module.native_form(self, *args, **kwargs)
        if any(isinstance(each, Layer) for each in module.modules()):
            return self.recorded(module, *args, **kwargs)
        if self.training is not None and any(isinstance(each, _MODAL) for each in module.modules()):
            raise _no_form(
                module, self._name, f"it is called with training={self.training}, which it does not take"
            )
        return self._recorded(self._once(id(module), lambda: self._whole.native(module)), args, kwargs)

    def _recorded(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = map_leaves(self._twin, args), map_leaves(self._twin, kwargs or {})
        name = next(key for key, each in reversed(self.modules.items()) if each is module)
        return symbolic.record(module, args, kwargs, name=name)

    def _once(self, key: Any, make: Callable[[], nn.Module], word: str = "") -> nn.Module:
        """A module under the name of the layer, made at its first call."""
        if key not in self._made:
            name = self._names.new(f"{self._name}_{word}" if word else self._name)
            self._made[key] = self.modules[name] = make()
        return self._made[key]

    def module(
        self,
        layer: Any,
        kind: Callable[..., nn.Module],
        *args: Any,
        state: Mapping[str, Any] | None = None,
        word: str = "",
        **kwargs: Any,
    ) -> Callable[..., Any]:
        """A module of torch.nn that stands for a layer, to be called on symbols.

        Args:
            layer: the layer.
            kind: the class.
            args: what the class is made with; keyword arguments too.
            state: the layer's tensors by the module's names, None where it has none; what it has besides is zero.
            word: what its name ends in, where the layer becomes several.
        """
        key = id(layer), word, str((args, kwargs))
        made = self._once(key, lambda: self._filled(kind, args, kwargs, state or {}), word)
        return lambda *inputs: self._recorded(made, inputs)

    def layer(self, layer: nn.Module, name: str, *args: Any, **kwargs: Any) -> Any:
        """A call of a layer that another one holds, under a name that begins with the other's."""
        with self._as(name):
            return self._called(layer, args, kwargs)

    def tensor(self, tensor: Any, word: str) -> Any:
        """A tensor of a layer, for operators of torch, as one of the model itself."""
        twin = self._whole.tensor(tensor)
        self.own_names.setdefault(id(twin), f"{self._name}_{word}")
        return twin

    def held(
        self, layer: Any, kind: Callable[..., nn.Module], *args: Any, state: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        """As `module`, for a function of torch to take its tensors."""
        key = id(layer), "", str((args, kwargs))
        return self._once(key, lambda: self._filled(kind, args, kwargs, state))

    def _filled(
        self, kind: Callable[..., nn.Module], args: Any, kwargs: Any, state: Mapping[str, Any]
    ) -> nn.Module:
        with torch.device("meta"):
            module = kind(*args, **kwargs)
        given = [each for each in state.values() if each is not None]
        like = given[0] if given else torch.empty(0)
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            found = state.get(name)
            if name in state and found is None:
                module.register_parameter(name, None)
                continue
            if found is None:
                kept = tensor.dtype if not tensor.is_floating_point() else like.dtype
                found = torch.zeros(tensor.shape, dtype=kept, device=like.device)
                found = (
                    nn.Parameter(found, requires_grad=False) if isinstance(tensor, nn.Parameter) else found
                )
            else:
                trained = found.requires_grad
                found = self._whole.tensor(found, tensor.shape)
                if isinstance(tensor, nn.Parameter) and not isinstance(found, nn.Parameter):
                    found = nn.Parameter(found.detach(), requires_grad=trained)
            held: dict[str, Any] = module._parameters if isinstance(tensor, nn.Parameter) else module._buffers
            held[name] = found
        return module

    def refusal(self, layer: nn.Module, why: str, fix: str) -> GraphError:
        """The error for a layer that has no such form as it is made or called, with the way out."""
        return _no_form(layer, self._name, why, fix)

    def recorded(self, layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """What the forward of a layer calls: in line where it has no weights, else as a module of its own.

        Raises:
            GraphError: it looks at values, or at its mode.
        """
        symbols, inputs = _stand_ins(layer, args, kwargs)
        drawn = self._drawn(layer, symbols, inputs, args, kwargs)
        used = _used_rows(drawn.graph)
        if not used.issuperset(range(len(inputs))):  # such as a mask that makes no difference
            symbols, inputs = ([x for row, x in enumerate(each) if row in used] for each in (symbols, inputs))
            drawn = self._drawn(layer, symbols, inputs, args, kwargs)
        if not layer.state_dict():
            rows = results(drawn.graph, symbols, drawn.modules, drawn.state, self.make)
            return picked(drawn.graph.outputs, rows)
        key = id(layer), self.training, emit(drawn.graph).source
        doc = f"The layer {self._name!r}, a {type(layer).__name__}, in calls of torch."
        name, persistent = type(layer).__name__, frozenset(layer.state_dict())
        made = lambda: self._whole.of_graph(drawn, name, doc, self.training, persistent)  # noqa: E731
        return self._recorded(self._once(key, made), tuple(symbols))

    def _drawn(
        self, layer: nn.Module, symbols: list[Any], inputs: list[Any], args: Any, kwargs: Any
    ) -> Drawn:
        """The calls that a forward makes of `inputs` for `symbols`, which must be the same in both modes."""
        places = {symbol.key: each for symbol, each in zip(symbols, inputs, strict=True)}

        def stand_in(leaf: Any) -> Any:
            return places.get(leaf.key, leaf) if isinstance(leaf, SymbolicTensor) else leaf

        args, kwargs = map_leaves(stand_in, args), map_leaves(stand_in, kwargs)
        modes = (False, True) if self.training is None else (self.training,)
        try:
            found = [self._drawn_in_mode(layer, mode, inputs, args, kwargs) for mode in modes]
        except TorchfuncError as error:
            why = " ".join(str(error).partition(" Fix:")[0].split()).rstrip(".")
            raise _no_form(layer, self._name, why) from error
        except Exception as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise _no_form(layer, self._name, why) from error
        if len({emit(each.graph).source for each in found}) > 1:
            raise _no_form(layer, self._name, "it calls other functions in training than in inference mode")
        return found[0]

    def _drawn_in_mode(
        self, layer: nn.Module, mode: bool, inputs: list[Any], args: Any, kwargs: Any
    ) -> Drawn:
        outputs = in_mode(layer, mode, lambda: layer.forward(*args, **kwargs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an argument that is not used
            drawn = between(inputs, outputs)
        names = {id(each): path.replace(".", "_") for path, each in layer.named_modules() if path}
        tensors = {
            id(each): path.replace(".", "_")
            for path, each in (*layer.named_buffers(), *layer.named_parameters())
        }
        found = _renamed(drawn, names, tensors)
        calls = [_without_mode(call, mode) if self.training is None else call for call in found.graph.calls]
        calls[: len(inputs)] = [
            replace(call, name=each.name) for call, each in zip(calls, inputs, strict=False)
        ]
        return replace(found, graph=replace(found.graph, calls=tuple(calls)))

    def permuted(self, x: Any, order: Sequence[int]) -> Any:
        """`x.permute(order)`; where `x` itself was permuted just before, both at once or none."""
        origin, before, _ = self._laid.get(x.key, (x, range(x.ndim), x))
        whole = tuple(before[axis] for axis in order)
        if whole == tuple(range(x.ndim)):
            return origin
        key = origin.key, whole
        if key not in self._permuted:
            found = symbolic.record(Method("permute"), (origin, *whole))
            self._permuted[key] = found
            self._laid[found.key] = origin, whole, found
        return self._permuted[key]

    def is_permuted(self, x: Any) -> bool:
        """Whether `x` is the permute of something that a call may as well take."""
        return x.key in self._laid

    def elementwise(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """`function(*inputs)`, which looks at single numbers, and so may come before the inputs' last permute."""
        order = next((self._laid[x.key][1] for x in inputs if x.key in self._laid), None)
        if order is None or len({x.ndim for x in inputs}) > 1:
            return function(*inputs)
        back = _inverse(order)
        return self.permuted(function(*(self.permuted(x, back) for x in inputs)), order)

    def activated(self, activation: Any, x: Any) -> Any:
        """What an activation makes of `x`."""
        if activation is activations.linear:
            return x
        single = activation in _ELEMENTWISE_ACTIVATIONS
        return self.elementwise(activation, x) if single else self.called(activation, x)

    def called(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What any function makes of symbols, modules of yours and of this library among what it calls."""
        if isinstance(function, nn.Module):
            return self._called(function, args, kwargs)
        if not _is_ours(function):
            return function(*args, **kwargs)
        try:
            return function.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
        except Exception as error:
            name = f"ops.{function.__name__}"
            got, fix = "no form in calls of torch", "the function of torch in its place"
            why = f"it looks at what only a tensor with values has: {' '.join(str(error).split())[:200]}"
            raise GraphError(explain(f"to_torch: {name}", got=got, why=why, fix=fix)) from error

    def _joined(self, target: Any, parts: Any, axis: Any) -> Any:
        """Tensors put together along an axis, before their last permutes."""
        order = next((self._laid[x.key][1] for x in parts if x.key in self._laid), None)
        if order is None or not isinstance(axis, int):
            return symbolic.record(target, (parts, axis))
        firsts = tuple(self.permuted(x, _inverse(order)) for x in parts)
        return self.permuted(symbolic.record(target, (firsts, order[axis])), order)

    def _carried(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a function, before the last permutes of its arguments where it looks at single numbers."""
        name = target.name if isinstance(target, Method) else getattr(target, "__name__", "")
        if name == "permute" and args and isinstance(args[0], SymbolicTensor) and not kwargs:
            order = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
            if all(type(axis) is int for axis in order):
                return self.permuted(args[0], [axis % args[0].ndim for axis in order])
        if name in ("cat", "concat", "concatenate") and args and len(args) + len(kwargs) == 2:
            return self._joined(target, args[0], args[1] if len(args) > 1 else next(iter(kwargs.values())))
        found = list(leaves((args, kwargs)))
        symbols = [leaf for leaf in found if isinstance(leaf, SymbolicTensor)]
        plain = all(
            isinstance(leaf, SymbolicTensor) or not isinstance(leaf, Tensor) or not leaf.ndim
            for leaf in found
        )
        if name not in _ELEMENTWISE or not symbols or not plain:
            return symbolic.record(target, args, kwargs)

        def made(*given: Any) -> Any:
            replaced = iter(given)
            both = map_leaves(
                lambda leaf: next(replaced) if isinstance(leaf, SymbolicTensor) else leaf, (args, kwargs)
            )
            return symbolic.record(target, *both)

        return self.elementwise(made, *symbols)


_MODAL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
_ELEMENTWISE_ACTIVATIONS = frozenset(
    getattr(activations, name)
    for name in "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid mish relu "
    "relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus tanh tanh_shrink".split()
)
_ELEMENTWISE = frozenset(
    """
    abs add and_ ceil celu clamp clip cos div divide dropout elu eq erf exp expm1 floor ge gelu gt hardshrink
    hardsigmoid hardswish hardtanh invert le leaky_relu log log1p logical_and logical_not logical_or logsigmoid lt
    masked_fill maximum minimum mish mul multiply ne neg ones_like or_ pow reciprocal relu relu6 round rsqrt selu
    sigmoid sign silu sin softplus softshrink softsign sqrt square sub subtract tanh tanhshrink threshold to
    true_divide truediv where zeros_like
    """.split()
)


def _is_ours(function: Any) -> bool:
    """Whether a function is an op of this library, which records itself as one call."""
    return hasattr(function, "__wrapped__") and function.__module__.startswith(f"{ops.__name__}.")


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _stand_ins(layer: nn.Module, args: Any, kwargs: Any) -> tuple[list[Any], list[Any]]:
    """The symbols among the arguments of a forward, and an input for each, named after its argument."""
    found: dict[Any, Any] = {}
    names = Names()
    for name, value in inspect.signature(layer.forward).bind(*args, **kwargs).arguments.items():
        for leaf in leaves(value):
            if isinstance(leaf, SymbolicTensor) and leaf.key not in found:
                found[leaf.key] = leaf, symbolic.placeholder(leaf.spec, names.new(name), given=False)
    return [symbol for symbol, _ in found.values()], [each for _, each in found.values()]


def _used_rows(graph: Graph) -> set[int]:
    """The rows that another row or an output takes."""
    taken = [ref for call in graph.calls for ref in call.refs()]
    return {ref.row for ref in (*taken, *leaves(graph.outputs))}


def _without_mode(call: Call, mode: bool) -> Call:
    """A call without the mode that its module has anyway."""
    if call.kind != "module" or call.kwargs.get("training") is not mode:
        return call
    return replace(call, kwargs={key: value for key, value in call.kwargs.items() if key != "training"})


def _cast(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The arguments in the dtype to which the layer casts them."""
    own = layer._computes_in()

    def cast(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        if leaf.dtype.is_floating_point:
            wanted = own if layer._casts or not layer._autocast else None
        else:
            wanted = own or layer._kind() if layer._integers == "cast" else None
        return leaf if wanted in (None, leaf.dtype) else symbolic.record(Method("to"), (leaf, wanted))

    kept = {key: value if key.endswith("mask") else map_leaves(cast, value) for key, value in kwargs.items()}
    return map_leaves(cast, args), kept


def _refuse(kwargs: dict[str, Any], model: Model, name: str) -> None:
    if kwargs:
        raise _no_form(
            model, name, f"it is called with {', '.join(kwargs)}, which a plain forward does not take"
        )


_FIX = (
    "give its class a `native_form(self, into, x)` that returns what modules and functions of torch make of the "
    "symbol x, as `into.module(self, torch.nn.Linear, 4, 2)(x)` does"
)


def _no_form(layer: nn.Module, name: str, why: str, fix: str = _FIX) -> GraphError:
    """The error for a layer that cannot be written so."""
    where = f"to_torch: {type(layer).__name__} {name!r}"
    return GraphError(explain(where, got="no form in torch.nn", why=why, fix=fix))
