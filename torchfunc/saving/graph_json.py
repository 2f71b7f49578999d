"""A graph as plain JSON, and back: through the registries and the list of functions, and nothing else.

Nothing in a config is imported or evaluated. A call may refer to earlier calls only, so that a config
cannot hold a circle, and is read in one pass without recursion over calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import functions, registry
from torchfunc.config import described, made, plain
from torchfunc.errors import ConfigError, SavingError, UnknownNameError, explain, shorten
from torchfunc.graph import symbolic
from torchfunc.graph.graph import Call, Drawn, Graph, Ref, StateRef
from torchfunc.graph.run import picked, rerecorded, result, specs_of, tensor_of
from torchfunc.graph.symbolic import SYMBOLS, SymbolicTensor
from torchfunc.saving.allowed_calls import check_call, check_saved

_KEYS = {"name", "trainable", "layers", "tensors", "calls", "inputs", "outputs"}
_DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128 "
    "float8_e4m3fn float8_e5m2".split()
)
_FORMATS = ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format")


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
        "calls": [_call_config(call, graph) for call in graph.calls],
        "inputs": encode(graph.inputs, graph, "inputs"),
        "outputs": encode(graph.outputs, graph, "outputs"),
    }


def _tensor_config(tensor: Tensor) -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": plain(tensor.dtype),
        "kind": "parameter" if isinstance(tensor, nn.Parameter) else "buffer",
        "trainable": tensor.requires_grad,
    }


def _call_config(call: Call, graph: Graph) -> dict[str, Any]:
    if call.kind == "input":
        return {"name": call.name, "input": list(call.specs.shape), "dtype": plain(call.specs.dtype)}
    found: dict[str, Any] = {"name": call.name, call.kind: _target_name(call)}
    check_saved(call, found[call.kind])
    if call.args:
        found["args"] = [encode(arg, graph, call.name) for arg in call.args]
    if call.kwargs:
        found["kwargs"] = {key: encode(value, graph, call.name) for key, value in call.kwargs.items()}
    return found


def _target_name(call: Call) -> Any:
    if call.kind == "size":
        return "shape"
    if call.kind != "function":
        return call.target
    name = functions.name_of(call.target) or registry.custom_name_of(call.target)
    if name is None:
        spelled = functions.spelling_of(call.target)
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


def encode(value: Any, graph: Graph, owner: str) -> Any:
    """An argument as plain data; what JSON has no word for stands in an object with one key."""
    if isinstance(value, Ref):
        return {"from": graph.calls[value.row].name, **({"path": list(value.path)} if value.path else {})}
    if isinstance(value, StateRef):
        return {"tensor": value.name}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [encode(each, graph, owner) for each in value]
    if isinstance(value, tuple):
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
    """
    _expect_object(config, place, _KEYS)
    name, trainable = config["name"], config["trainable"]
    if not (name is None or isinstance(name, str)) or not isinstance(trainable, bool):
        raise ConfigError(
            f"{place}: expected a name and `trainable`, got {shorten(name)} and {shorten(trainable)}."
        )
    modules = {
        key: made(value, f"{place}.layers.{key}", key)
        for key, value in _items(config["layers"], f"{place}.layers")
    }
    state = {
        key: _tensor(value, f"{place}.tensors.{key}")
        for key, value in _items(config["tensors"], f"{place}.tensors")
    }
    reader = _Reader(modules, state)
    calls = config["calls"]
    if not isinstance(calls, list):
        raise ConfigError(f"{place}.calls: expected a list, got {type(calls).__name__}.")
    for row, call in enumerate(calls):
        reader.read(call, f"{place}.calls[{row}]")
    graph = Graph(
        tuple(reader.calls),
        reader.decode(config["inputs"], f"{place}.inputs", only_refs=True),
        reader.decode(config["outputs"], f"{place}.outputs", only_refs=True),
    )
    return Restored(Drawn(graph, modules, state), name, trainable)


class _Reader:
    """The calls read so far: the table, and what each returned."""

    def __init__(self, modules: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> None:
        self.modules = modules
        self.state = state
        self.calls: list[Call] = []
        self.results: list[Any] = []
        self.rows: dict[str, int] = {}

    def read(self, config: Any, place: str) -> None:
        """One call: decoded, made on symbolic tensors, and added to the table."""
        if not isinstance(config, dict) or not isinstance(config.get("name"), str):
            raise ConfigError(f"{place}: expected an object with a name, got {shorten(config)}.")
        name = config["name"]
        if name in self.rows:
            raise ConfigError(f"{place}: the name {shorten(name)} stands there twice.")
        kinds = [kind for kind in ("input", *_TARGETS) if kind in config]
        if len(kinds) != 1 or set(config) - {"name", kinds[0], "args", "kwargs", "dtype"}:
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
            and len(shape) <= 16
        )
        if not whole or set(config) != {"name", "input", "dtype"}:
            raise ConfigError(
                f"{place}: expected a shape of numbers and nulls, and a dtype, got {shorten(config)}."
            )
        symbol = symbolic.Input(batch_shape=shape, dtype=_dtype(config["dtype"], place), name=config["name"])
        return Call(config["name"], "input", None, specs=symbol.spec), symbol

    def _call(self, config: dict[str, Any], kind: str, place: str) -> tuple[Call, Any]:
        args = tuple(
            self.decode(each, f"{place}.args") for each in _list(config.get("args", []), f"{place}.args")
        )
        kwargs = {
            key: self.decode(each, f"{place}.kwargs.{key}")
            for key, each in _items(config.get("kwargs", {}), f"{place}.kwargs")
        }
        target = _TARGETS[kind](self, config[kind], place)
        check_call(kind, config[kind], args, kwargs, place)
        call = Call(config["name"], kind, target, args, kwargs)  # type: ignore[arg-type]
        if kind == "size":
            self._check_size(args, place)
        returned = result(call, self.results, self.modules, self.state, rerecorded)
        return replace(call, specs=specs_of(returned)), returned

    def _check_size(self, args: tuple[Any, ...], place: str) -> None:
        tensor = picked(args[0], self.results) if args and isinstance(args[0], Ref) else None
        if (
            len(args) != 2
            or not isinstance(tensor, SymbolicTensor)
            or not _is_count(args[1])
            or args[1] >= tensor.ndim
        ):
            raise ConfigError(f"{place}: expected a tensor and one of its dimensions.")

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
        for key in path:
            # never into a symbol, which would record one more call
            leaf = _part(leaf, key)
        if not isinstance(leaf, SYMBOLS):
            raise ConfigError(f"{place}: {shorten(name)} returns nothing at {path}.")
        return ref


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
    return name


def _function_target(reader: _Reader, name: Any, place: str) -> Any:
    known = functions.by_name()
    if isinstance(name, str) and name in known:
        return known[name]
    custom = registry.custom_object(name) if isinstance(name, str) else None
    if custom is None:
        raise UnknownNameError("function", name, known)
    return custom


def _listed(kind: str, names: frozenset[str]) -> Callable[[_Reader, Any, str], Any]:
    def target(reader: _Reader, name: Any, place: str) -> Any:
        if not isinstance(name, str) or name not in names:
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


def _tensor(config: Any, place: str) -> Tensor:
    _expect_object(config, place, {"shape", "dtype", "kind", "trainable"})
    shape = config["shape"]
    if not isinstance(shape, list) or len(shape) > 16 or not all(_is_count(each) for each in shape):
        raise ConfigError(f"{place}.shape: expected a list of numbers, got {shorten(shape)}.")
    value = torch.zeros(shape, dtype=_dtype(config["dtype"], place))
    if config["kind"] == "parameter":
        return nn.Parameter(value, requires_grad=config["trainable"] is True)
    return value


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


def _expect_object(value: Any, place: str, keys: set[str]) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected an object, got {type(value).__name__}.")
    missing, unknown = keys - set(value), set(value) - keys
    if missing or unknown:
        problem = (
            f"{sorted(missing)[0]!r} is missing" if missing else f"{shorten(sorted(unknown)[0])} is unknown"
        )
        raise ConfigError(f"{place}: expected the keys {', '.join(sorted(keys))}: {problem}.")
