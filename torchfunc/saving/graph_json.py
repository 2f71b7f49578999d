"""A graph as plain JSON, and back: through the registries and the list of functions, and nothing else.

Nothing in a config is imported or evaluated. A call may refer to earlier calls only, so that a config
cannot hold a circle, and is read in one pass without recursion over calls.

In a file each call says what it returns, and each layer within a layer what it was built for: so a file is
read as the table that it is, and nothing in it is called. A config without these has its calls tried on
tensors without data, within the bounds of `graph.probing.bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import functions, registry
from torchfunc.config import described, made, plain
from torchfunc.errors import ConfigError, SavingError, TorchfuncError, UnknownNameError, explain, shorten
from torchfunc.graph import symbolic
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, MOST_LETTERS, is_name
from torchfunc.graph.graph import Call, Drawn, Graph, Ref, StateRef
from torchfunc.graph.probing.bounds import ShapesNeededError, ValuesNeededError, bounded, current
from torchfunc.graph.probing.results import Absent
from torchfunc.graph.run import rerecorded, restated, result, specs_of, tensor_of
from torchfunc.graph.spec import WORLDS, Number, Spec
from torchfunc.graph.symbolic import SYMBOLS
from torchfunc.saving.allowed_calls import check_call, check_saved
from torchfunc.tree import at, leaves, map_leaves

_KEYS = {"name", "trainable", "layers", "tensors", "calls", "inputs", "outputs"}
_DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128 "
    "float8_e4m3fn float8_e5m2".split()
)
_MOST_DIMENSIONS = 16
_FORMATS = ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format")


_whole: ContextVar[bool] = ContextVar("whole", default=False)


@contextmanager
def in_a_file() -> Iterator[None]:
    """Within it, what is written is for a file, and what is read comes from one: with the shapes of all calls."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def is_in_a_file() -> bool:
    return _whole.get()


@contextmanager
def bounded_by(config: Any) -> Iterator[None]:
    """Within it, what is tried is bounded in proportion to a config."""
    with bounded(lambda: _objects_in(config)):
        yield


def _objects_in(config: Any) -> int:
    count, waiting = 0, [config]
    while waiting:
        each = waiting.pop()
        count += isinstance(each, dict)
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return count


def to_json(
    graph: Graph,
    modules: Mapping[str, nn.Module | None],
    state: Mapping[str, Tensor],
    *,
    name: str | None = None,
    trainable: bool = True,
) -> dict[str, Any]:
    """A graph with its modules as plain data.

    Raises:
        SavingError: a module, function or constant that no registry knows.
    """
    return {
        "name": name,
        "trainable": trainable,
        "layers": {each: described(modules[each], each) for each in graph.module_names},
        "tensors": {key: _tensor_config(value) for key, value in state.items()},
        **table_config(graph, modules),
    }


def table_config(graph: Graph, modules: Mapping[str, nn.Module | None]) -> dict[str, Any]:
    """The calls of a graph as plain data, and in a file what the layers within its layers were built for."""
    built = built_config({each: modules[each] for each in graph.module_names}) if is_in_a_file() else {}
    return {
        "calls": [_call_config(call, graph) for call in graph.calls],
        "inputs": encode(graph.inputs, graph, "inputs"),
        "outputs": encode(graph.outputs, graph, "outputs"),
        **({"built": built} if built else {}),
    }


def needs_specs(graph: Graph) -> bool:
    """Whether what a call returns shows on numbers only, so that even a config has to say it."""
    return any(map(_by_values, graph.calls))


def _by_values(call: Call) -> bool:
    return any(getattr(each, "by_values", False) for each in leaves(call.specs))


def _tensor_config(tensor: Tensor) -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": plain(tensor.dtype),
        "kind": "parameter" if isinstance(tensor, nn.Parameter) else "buffer",
        "trainable": tensor.requires_grad,
    }


def _call_config(call: Call, graph: Graph) -> dict[str, Any]:
    if call.kind == "input":
        written = {"name": call.name, "input": list(call.specs.shape), "dtype": plain(call.specs.dtype)}
        return {**written, "optional": True} if call.specs.optional else written
    found: dict[str, Any] = {"name": call.name, call.kind: _target_name(call)}
    check_saved(call, found[call.kind])
    if call.args:
        found["args"] = [encode(arg, graph, call.name) for arg in call.args]
    if call.kwargs:
        found["kwargs"] = {key: encode(value, graph, call.name) for key, value in call.kwargs.items()}
    if is_in_a_file() or _by_values(call):
        found["returns"] = encode(call.specs, graph, call.name)
    return found


def _target_name(call: Call) -> Any:
    if call.kind == "size":
        return "shape"
    if call.kind != "function":
        return _instead(call.target, "x.") if call.kind == "method" else call.target
    spelled = functions.spelling_of(call.target)
    name = functions.name_of(call.target) or functions.INSTEAD.get(spelled or "")
    name = name or registry.custom_name_of(call.target)
    if name is None:
        raise SavingError(
            explain(
                f"The call {call.name!r}",
                got=f"the function {spelled or shorten(getattr(call.target, '__qualname__', call.target))}",
                expected="a function of torch that a file may name",
                why=functions.WITHHELD.get(spelled or "", "a file holds data and never code"),
                fix="put the function inside a Layer, or keep the weights alone with save_weights",
            )
        )
    return name


def _instead(name: Any, prefix: str = "") -> Any:
    """The name under which a file has a function or method: its own, or that of the one in its place."""
    found = functions.INSTEAD.get(f"{prefix}{name}") if isinstance(name, str) else None
    return name if found is None else found.removeprefix("x.")


def encode(value: Any, graph: Graph, owner: str) -> Any:
    """An argument as plain data; what JSON has no word for stands in an object with one key."""
    if isinstance(value, Ref):
        return {"from": graph.calls[value.row].name, **({"path": list(value.path)} if value.path else {})}
    if isinstance(value, StateRef):
        return {"tensor": value.name}
    if isinstance(value, Spec):
        return {"shape": _sizes(value), "dtype": plain(value.dtype), **_found(value)}
    if isinstance(value, Number):
        return {"number": [encode(each, graph, owner) for each in value.worlds], **_found(value)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Absent):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [encode(each, graph, owner) for each in value]
    if isinstance(value, tuple) and not hasattr(value, "stands_for"):
        return {"tuple": [encode(each, graph, owner) for each in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encode(each, graph, owner) for key, each in value.items()}}
    if isinstance(value, slice):
        return {"slice": [encode(each, graph, owner) for each in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, torch.dtype):
        return {"dtype": plain(value)}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    raise SavingError(
        explain(
            f"The call {owner!r}",
            got=f"an argument of type {type(value).__name__}",
            expected="plain data",
            why="a file holds data and never code",
            fix="put the call inside a Layer",
        )
    )


def _sizes(spec: Spec) -> list[Any]:
    """Each dimension: a size, null where it is unknown, or the sizes in all worlds where it moves with another."""
    return [
        sizes[0] if len(set(sizes)) == 1 else None if sizes == WORLDS else list(sizes)
        for sizes in zip(*spec.worlds, strict=True)
    ]


def _found(value: Spec | Number) -> dict[str, bool]:
    return {"by_values": True} if value.by_values else {}


def built_config(modules: Mapping[str, nn.Module | None], *, themselves: bool = False) -> dict[str, Any]:
    """What the layers inside of other modules were built for, by their dotted names.

    Such a layer may be built when the one around it calls it, and nothing is called when a file is read.

    Args:
        modules: what to look into, by name.
        themselves: whether these count too.
    """
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, bool]] = [(name, module, themselves) for name, module in modules.items()]
    while waiting:
        name, module, counts = waiting.pop()
        if counts and hasattr(module, "_build_as") and module.built:
            found[name] = {"shapes": plain(module._built_on), **({"casts": True} if module._casts else {})}
        if module is not None and getattr(module, "graph", None) is None:
            waiting += [(f"{name}.{key}", child, True) for key, child in module.named_children()]
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Restored:
    """A model's parts as a config says them."""

    drawn: Drawn
    name: str | None
    trainable: bool


def from_json(config: Any, place: str = "$") -> Restored:
    """The graph that a config says, with new modules, built for the shapes in it.

    Args:
        config: what `to_json` gave.
        place: where the config stands in a larger one, for messages.

    Raises:
        ConfigError: the config is of another form; the message starts with the place in it.
        UnknownNameError: a name that no registry has.
        GraphError: calls that do not fit each other.
        LimitError: it takes too much to find out what the calls return.
    """
    expect_object(config, place, _KEYS, optional={"built"})
    name, trainable = config["name"], config["trainable"]
    fits = name is None or (isinstance(name, str) and name.isprintable() and len(name) <= MOST_LETTERS)
    if not fits or not isinstance(trainable, bool):
        raise ConfigError(
            f"{place}: expected a name and `trainable`, got {shorten(name)} and {shorten(trainable)}."
        )
    for key, kind in (("layers", "layer"), ("tensors", "tensor")):
        for each in dict(_items(config[key], f"{place}.{key}")):
            _check_name(each, f"{place}.{key}", kind)
    if both := config["layers"].keys() & config["tensors"].keys():
        raise ConfigError(f"{place}: {shorten(min(both))} is the name of a layer and of a tensor.")
    modules = {key: made(value, f"{place}.layers.{key}", key) for key, value in config["layers"].items()}
    state = {key: _tensor(value, f"{place}.tensors.{key}") for key, value in config["tensors"].items()}
    graph = read_table(config, modules, state, place)
    return Restored(Drawn(graph, modules, state), name, trainable)


def read_table(
    config: Mapping[str, Any], modules: Mapping[str, nn.Module], state: Mapping[str, Tensor], place: str
) -> Graph:
    """The graph that `table_config` wrote, with its modules built.

    Args:
        config: an object with the keys `calls`, `inputs`, `outputs` and, in a file, `built`.
        modules: what the calls call, by name.
        state: tensors that they take, by name.
        place: where the config stands.

    Raises:
        TorchfuncError: as `from_json`.
    """
    calls = _list(config["calls"], f"{place}.calls")
    tells = is_in_a_file() and all(
        isinstance(each, dict) and ("returns" in each or "input" in each) for each in calls
    )
    reader = _Table(modules, state) if tells else _Reader(modules, state)
    for row, call in enumerate(calls):
        reader.read(call, f"{place}.calls[{row}]")
    if tells:
        build_inner(modules, config.get("built", {}), f"{place}.built")
    inputs, outputs = (
        reader.decode(config[key], f"{place}.{key}", only_refs=True) for key in ("inputs", "outputs")
    )
    begin = [Ref(row) for row, call in enumerate(reader.calls) if call.kind == "input"]
    if not begin or list(leaves(inputs)) != begin or begin[-1].row >= len(begin):
        raise ConfigError(
            f"{place}.inputs: expected the first calls, all that are inputs, each once in its order."
        )
    if next(leaves(outputs), None) is None:
        raise ConfigError(f"{place}.outputs: expected at least one.")
    return Graph(tuple(reader.calls), inputs, outputs)


def _check_name(name: str, place: str, kind: str) -> None:
    # what the user's own program copies may be called as that calls it
    fits = is_name(name) or (current() is None and "." not in name)
    if not fits or (kind != "call" and name in MODULE_ATTRIBUTES):
        why = ", which every module uses for itself" if name in MODULE_ATTRIBUTES else ""
        raise ConfigError(f"{place}: no {kind} may be called {shorten(name)}{why}.")


def build_inner(modules: Mapping[str, nn.Module | None], config: Any, place: str) -> None:
    """Build the layers inside of modules for the shapes that `built_config` wrote.

    Raises:
        ConfigError: there is no such layer, or it cannot be built for these shapes.
    """
    for path, entry in _items(config, place):
        where = f"{place}.{path}"
        first, *rest = path.split(".")
        layer: Any = modules.get(first)
        for part in rest:
            layer = None if layer is None else dict(layer.named_children()).get(part)
        expect_object(entry, where, {"shapes"}, optional={"casts"})
        if not hasattr(layer, "_build_as"):
            raise ConfigError(f"{where}: no layer of the model is called so.")
        shapes = _list(entry["shapes"], f"{where}.shapes")
        with _refusals(where):
            layer._build_as([_shape(each, f"{where}.shapes") for each in shapes], entry.get("casts") is True)


class _refusals:
    """Within it, what a layer cannot be built for is an error of ours."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, _NOT_BUILT) and not isinstance(error, TorchfuncError):
            raise ConfigError(
                f"{self._place}: the layer cannot be built for what stands there: {shorten(str(error))}."
            ) from error


_NOT_BUILT = (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError)


def _shape(value: Any, place: str) -> Any:
    """A shape, or several in a list or dict, as `build` takes them."""
    if isinstance(value, dict):
        return {key: _shape(each, place) for key, each in value.items()}
    if isinstance(value, list):
        if all(each is None or _is_count(each) for each in value):
            return tuple(value)
        return [_shape(each, place) for each in value]
    if value is not None:
        raise ConfigError(f"{place}: expected a shape of numbers and nulls, got {shorten(value)}.")
    return None


class _Reader:
    """The calls read so far: the table, and what each returned, which is found by trying it."""

    def __init__(self, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> None:
        self.modules = modules
        self.state = state
        self.calls: list[Call] = []
        self.results: list[Any] = []
        self.rows: dict[str, int] = {}

    def read(self, config: Any, place: str) -> None:
        """One call: decoded, and added to the table with the specs of what it returns."""
        if not isinstance(config, dict) or not isinstance(config.get("name"), str):
            raise ConfigError(f"{place}: expected an object with a name, got {shorten(config)}.")
        name = config["name"]
        _check_name(name, place, "call")
        if name in self.rows:
            raise ConfigError(f"{place}: the name {shorten(name)} stands there twice.")
        kinds = [kind for kind in ("input", *_TARGETS) if kind in config]
        more = {"optional"} if kinds == ["input"] else {"args", "kwargs", "returns"}
        if len(kinds) != 1 or set(config) - {"name", kinds[0], "dtype"} - more:
            raise ConfigError(
                f"{place}: expected one of input, {', '.join(_TARGETS)}, got the keys {shorten(sorted(config))}."
            )
        call, returned = (
            self._input(config, place) if kinds[0] == "input" else self._call(config, kinds[0], place)
        )
        self.rows[name] = len(self.calls)
        self.calls.append(call)
        self.results.append(returned)

    def _input(self, config: dict[str, Any], place: str) -> tuple[Call, Any]:
        shape = config["input"]
        whole = (
            isinstance(shape, list)
            and all(each is None or _is_count(each) for each in shape)
            and len(shape) <= _MOST_DIMENSIONS
        )
        optional = config.get("optional", True) is True and "optional" in config
        if not whole or set(config) - ({"optional"} if optional else set()) != {"name", "input", "dtype"}:
            raise ConfigError(
                f"{place}: expected a shape of numbers and nulls, and a dtype, got {shorten(config)}."
            )
        spec = replace(Spec.of(shape, _dtype(config["dtype"], place)), optional=optional)
        return Call(config["name"], "input", None, specs=spec), self._given(spec, config["name"])

    def _given(self, spec: Spec, name: str) -> Any:
        return symbolic.placeholder(spec, name)

    def _call(self, config: dict[str, Any], kind: str, place: str) -> tuple[Call, Any]:
        args = tuple(
            self.decode(each, f"{place}.args") for each in _list(config.get("args", []), f"{place}.args")
        )
        kwargs = {
            key: self.decode(each, f"{place}.kwargs.{shorten(key)}")
            for key, each in _items(config.get("kwargs", {}), f"{place}.kwargs")
        }
        target = _TARGETS[kind](self, config[kind], place)
        check_call(kind, _instead(config[kind], "x." if kind == "method" else ""), args, kwargs, place)
        call = Call(config["name"], kind, target, args, kwargs)  # type: ignore[arg-type]
        if kind == "size":
            self._check_size(args, place)
        return self._returned(call, config, place)

    def _returned(self, call: Call, config: dict[str, Any], place: str) -> tuple[Call, Any]:
        """The call with the specs of what it returns, and that."""
        module = self.modules[call.target] if call.kind == "module" else None
        if any(self._at(ref) is UNKNOWN for ref in call.refs()):
            _check_built(module, place)
            return call, UNKNOWN
        try:
            returned = result(call, self.results, self.modules, self.state, rerecorded)
        except ValuesNeededError:
            if "returns" not in config:
                _check_built(module, place)
                return call, UNKNOWN
            call = replace(call, specs=self._specs(config["returns"], f"{place}.returns"))
            return call, result(call, self.results, self.modules, self.state, restated)
        return replace(call, specs=specs_of(returned)), returned

    def _check_size(self, args: tuple[Any, ...], place: str) -> None:
        tensor = self._at(args[0]) if args and isinstance(args[0], Ref) else None
        spec = getattr(tensor, "spec", tensor)
        if (
            len(args) != 2
            or not isinstance(spec, Spec)
            or not _is_count(args[1])
            or args[1] >= len(spec.worlds[0])
        ):
            raise ConfigError(f"{place}: expected a tensor and one of its dimensions.")

    def _at(self, ref: Ref) -> Any:
        found = self.results[ref.row]
        return found if found is UNKNOWN else at(found, ref.path)

    def _specs(self, value: Any, place: str) -> Any:
        """What a call returns: a spec for each tensor and each number that moves."""
        if isinstance(value, list):
            return [self._specs(each, place) for each in value]
        if isinstance(value, dict):
            keys = set(value) - {"by_values"}
            if keys == {"shape", "dtype"}:
                return _spec(value, place)
            if keys == {"number"}:
                return _number(self, value, place)
            if keys == {"tuple"}:
                return tuple(self._specs(each, place) for each in _list(value["tuple"], place))
            if keys == {"dict"}:
                return {key: self._specs(each, place) for key, each in _items(value["dict"], place)}
            if keys & {"from", "tensor"}:
                raise ConfigError(f"{place}: expected shapes and dtypes, got {shorten(value)}.")
        return self.decode(value, place)

    def decode(self, value: Any, place: str, *, only_refs: bool = False) -> Any:
        """An argument from plain data: the opposite of `encode`."""
        if isinstance(value, list):
            return [self.decode(each, place, only_refs=only_refs) for each in value]
        if isinstance(value, dict):
            return self._object(value, place, only_refs)
        if only_refs or not (value is None or isinstance(value, (bool, int, float, str))):
            raise ConfigError(f"{place}: expected a reference to a call, got {shorten(value)}.")
        return value

    def _object(self, value: dict[str, Any], place: str, only_refs: bool) -> Any:
        if set(value) in ({"from"}, {"from", "path"}):
            return self._ref(value, place)
        if len(value) != 1:
            raise ConfigError(f"{place}: expected an object with one key, got {shorten(sorted(value))}.")
        ((key, inner),) = value.items()
        if key == "tuple":
            return tuple(self.decode(each, place, only_refs=only_refs) for each in _list(inner, place))
        if key == "dict":
            return {
                name: self.decode(each, place, only_refs=only_refs) for name, each in _items(inner, place)
            }
        if only_refs or key not in _CONSTANTS:
            raise ConfigError(
                f"{place}: expected one of from, tuple, dict, {', '.join(_CONSTANTS)}, got {shorten(key)}."
            )
        return _CONSTANTS[key](self, inner, place)

    def _ref(self, value: dict[str, Any], place: str) -> Ref:
        name, path = value["from"], value.get("path", [])
        if not isinstance(name, str) or name not in self.rows:
            raise ConfigError(f"{place}: {shorten(name)} is no earlier call.")
        if not isinstance(path, list) or not all(isinstance(key, str) or _is_count(key) for key in path):
            raise ConfigError(f"{place}: expected a path of keys and indices, got {shorten(path)}.")
        ref = Ref(self.rows[name], tuple(path))
        leaf = self.results[ref.row]
        if leaf is UNKNOWN:
            return ref
        for key in path:
            # never into a symbol, which would record one more call
            leaf = _part(leaf, key)
        if not isinstance(leaf, (*SYMBOLS, Spec, Number)):
            raise ConfigError(f"{place}: {shorten(name)} returns nothing at {shorten(path)}.")
        return ref


UNKNOWN = object()  # what a call returns whose shape the first who asks for it works out


def _check_built(module: nn.Module | None, place: str) -> None:
    """Refuse a module of which a layer still has to be built, for what is unknown.

    Raises:
        ShapesNeededError: there is one.
    """
    for each in () if module is None else module.modules():
        if getattr(each, "built", True) is False and getattr(each, "_has_build", lambda: False)():
            raise ShapesNeededError(
                f"{place}: the shapes with which {type(each).__name__} is called show on numbers only, on which nothing "
                "is computed because a config asks for it. Fix: load the model from a file of model.save(path) of "
                "this version, which keeps the shapes."
            )


class _Table(_Reader):
    """The calls of a file, which say what they return: nothing is tried, and a layer is built for what stands there."""

    def _given(self, spec: Spec, name: str) -> Any:
        return spec

    def _returned(self, call: Call, config: dict[str, Any], place: str) -> tuple[Call, Any]:
        specs = self._specs(config["returns"], f"{place}.returns")
        module: Any = self.modules[call.target] if call.kind == "module" else None
        if hasattr(module, "_prepare_for"):
            args, kwargs = map_leaves(self._symbol, call.args), map_leaves(self._symbol, call.kwargs)
            with _refusals(place):
                module._prepare_for(args, kwargs)
        return replace(call, specs=specs), specs

    def _symbol(self, leaf: Any) -> Any:
        if isinstance(leaf, Ref):
            return symbolic.placeholder(self._at(leaf), self.calls[leaf.row].name)
        return tensor_of(leaf.name, self.modules, self.state) if isinstance(leaf, StateRef) else leaf


def _part(tree: Any, key: Any) -> Any:
    """One item of a list, tuple or dict, or None."""
    if isinstance(tree, dict):
        return tree.get(key)
    if isinstance(tree, (list, tuple)) and isinstance(key, int):
        return tree[key] if key < len(tree) else None
    return None


def _module_target(reader: _Reader, name: Any, place: str) -> Any:
    if not isinstance(name, str) or name not in reader.modules:
        raise ConfigError(f"{place}.module: {shorten(name)} is none of the layers.")
    if isinstance(reader.modules[name], nn.ModuleList):
        raise ConfigError(f"{place}.module: {shorten(name)} is a list of modules, which cannot be called.")
    return name


def _function_target(reader: _Reader, name: Any, place: str) -> Any:
    name = _instead(name)
    known = functions.named(name)
    if known is not None:
        return known
    custom = registry.custom_object(name) if isinstance(name, str) else None
    if custom is None:
        _check_not_withheld(name, name, place)
        raise UnknownNameError("function", name, functions.by_name())
    return custom


def _check_not_withheld(name: Any, key: str, place: str) -> None:
    """Refuse a function that older versions wrote into files, with what to do about it.

    Raises:
        ConfigError: it is one of those.
    """
    why = functions.WITHHELD.get(key) if isinstance(name, str) else None
    if why is None:
        return
    fix = "make the model in code, with that call inside a Layer, and model.load_weights(path)"
    if key == name:
        fix = f"if you trust the file, load_model(path, custom_objects={{{name!r}: ...}}) with that function; or {fix}"
    raise ConfigError(
        explain(place, got=f"the call of {key}", expected="one that a file may name", why=why, fix=fix)
    )


def _listed(kind: str, names: frozenset[str]) -> Callable[[_Reader, Any, str], Any]:
    def target(reader: _Reader, name: Any, place: str) -> Any:
        name = _instead(name, "x." if kind == "method" else "")
        if not isinstance(name, str) or name not in names:
            _check_not_withheld(name, f"x.{name}", place)
            raise UnknownNameError(f"{kind} of a tensor", name, names)
        return name

    return target


_TARGETS: dict[str, Callable[[_Reader, Any, str], Any]] = {
    "module": _module_target,
    "function": _function_target,
    "method": _listed("method", functions.METHODS),
    "attribute": _listed("attribute", functions.ATTRIBUTES),
    "size": lambda reader, name, place: None,
}


def _slice(reader: _Reader, value: Any, place: str) -> slice:
    parts = [reader.decode(each, place) for each in _list(value, place)]
    if len(parts) != 3:
        raise ConfigError(f"{place}: expected a slice of three parts, got {len(parts)}.")
    return slice(*parts)


def _state(reader: _Reader, name: Any, place: str) -> StateRef:
    if not isinstance(name, str):
        raise ConfigError(f"{place}: expected the name of a tensor, got {shorten(name)}.")
    try:
        tensor_of(name, reader.modules, reader.state)
    except KeyError:
        raise ConfigError(f"{place}: no tensor of the model is called {shorten(name)}.") from None
    return StateRef(name)


def _float(reader: _Reader, value: Any, place: str) -> float:
    if value not in ("inf", "-inf", "nan"):
        raise ConfigError(f"{place}: expected inf, -inf or nan, got {shorten(value)}.")
    return float(value)


def _format(reader: _Reader, value: Any, place: str) -> torch.memory_format:
    if value not in _FORMATS:
        raise ConfigError(f"{place}: expected one of {', '.join(_FORMATS)}, got {shorten(value)}.")
    found: torch.memory_format = {name: getattr(torch, name) for name in _FORMATS}[value]
    return found


def _device(reader: _Reader, value: Any, place: str) -> torch.device:
    if value not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"{place}: expected cpu, cuda or mps, got {shorten(value)}.")
    return torch.device(value)


_CONSTANTS: dict[str, Callable[[_Reader, Any, str], Any]] = {
    "tensor": _state,
    "slice": _slice,
    "ellipsis": lambda reader, value, place: Ellipsis,
    "float": _float,
    "dtype": lambda reader, value, place: _dtype(value, place),
    "memory_format": _format,
    "device": _device,
}


def _dtype(name: Any, place: str) -> torch.dtype:
    if name not in _DTYPES:
        raise ConfigError(f"{place}: expected a dtype, got {shorten(name)}.")
    found: torch.dtype = {each: getattr(torch, each) for each in _DTYPES}[name]
    return found


def _spec(config: dict[str, Any], place: str) -> Spec:
    """A spec from what `_sizes` wrote of it."""
    sizes = _list(config["shape"], place)
    moving = [each for each in sizes if isinstance(each, list)]
    count = len(moving[0]) if moving else len(WORLDS)
    whole = all(each is None or _is_count(each) for each in sizes if not isinstance(each, list))
    whole = whole and all(len(each) == count and all(map(_is_count, each)) for each in moving)
    if not whole or not 1 < count <= len(WORLDS) or len(sizes) > _MOST_DIMENSIONS:
        raise ConfigError(f"{place}: expected a shape of numbers and nulls, got {shorten(sizes)}.")
    worlds = tuple(
        tuple(
            WORLDS[world] if each is None else each[world] if isinstance(each, list) else each
            for each in sizes
        )
        for world in range(count)
    )
    return Spec(_dtype(config["dtype"], place), worlds, config.get("by_values") is True)


def _number(reader: _Reader, config: dict[str, Any], place: str) -> Number:
    worlds = tuple(reader.decode(each, place) for each in _list(config["number"], place))
    if not 1 <= len(worlds) <= len(WORLDS) or not all(type(each) in (int, float) for each in worlds):
        raise ConfigError(
            f"{place}: expected a number in each of {len(WORLDS)} worlds, got {shorten(config)}."
        )
    return Number(worlds, config.get("by_values") is True)


def _tensor(config: Any, place: str) -> Tensor:
    expect_object(config, place, {"shape", "dtype", "kind", "trainable"})
    shape = config["shape"]
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not all(_is_count(each) for each in shape)
    ):
        raise ConfigError(f"{place}.shape: expected a list of numbers, got {shorten(shape)}.")
    kind, trainable = config["kind"], config["trainable"]
    if kind not in ("parameter", "buffer") or not isinstance(trainable, bool):
        expected = "a parameter or buffer, and true or false for `trainable`"
        raise ConfigError(explain(place, got=f"{shorten(kind)} and {shorten(trainable)}", expected=expected))
    value = torch.zeros(shape, dtype=_dtype(config["dtype"], place))
    return nn.Parameter(value, requires_grad=trainable) if kind == "parameter" else value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{place}: expected a list, got {type(value).__name__}.")
    return value


def _items(value: Any, place: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{place}: expected an object, got {type(value).__name__}.")
    return list(value.items())


def expect_object(value: Any, place: str, keys: set[str], optional: Collection[str] = ()) -> None:
    """Refuse what is no object with these keys.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected an object, got {type(value).__name__}.")
    missing, unknown = keys - set(value), set(value) - keys - set(optional)
    if missing or unknown:
        problem = (
            f"{sorted(missing)[0]!r} is missing" if missing else f"{shorten(sorted(unknown)[0])} is unknown"
        )
        raise ConfigError(f"{place}: expected the keys {', '.join(sorted(keys))}: {problem}.")
