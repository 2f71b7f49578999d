"""From Keras: the model that a config of Keras describes, without values in its weights."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn

from torchfunc.errors import (
    ConfigError,
    GraphError,
    LimitError,
    TorchfuncError,
    UnknownNameError,
    explain,
    shorten,
)
from torchfunc.graph.drawing import MODULE_ATTRIBUTES, MOST_LETTERS
from torchfunc.graph.probing.bounds import ShapesNeededError, ValuesNeededError, current
from torchfunc.graph.symbolic import Input, SymbolicTensor
from torchfunc.keras_files import dialect, keras_ops
from torchfunc.keras_files.places import CLASS_NAMES, snake_case
from torchfunc.layers.layer import masks_of
from torchfunc.layers.recurrent.rnn import RNN
from torchfunc.layers.wrappers import Bidirectional
from torchfunc.models.keras_order import flat
from torchfunc.models.model import Model, keeping_trained
from torchfunc.models.sequential import Sequential
from torchfunc.tree import leaves, map_leaves

T = TypeVar("T")
_MOST_NODES = 1_000_000
MOST_TEXTS = 4096
_MODELS = ("Functional", "Model", "Sequential")


@dataclass(frozen=True)
class Past:
    """What a call of a layer returned: its name, the number of the call among the layer's, and which tensor of it."""

    layer: str
    node: int
    tensor: int


class Key(NamedTuple):
    """One call of a layer."""

    layer: str
    node: int


@dataclass
class Listed:
    """One entry of a model's list of layers.

    Attributes:
        place: where it stands in the config.
        thing: the layer, or the function of an op; None for an input.
        calls: the arguments of each call: (args, kwargs).
        config: the arguments of an op's constructor.
        spec: what an input is.
    """

    place: str
    thing: Any
    calls: list[tuple[list[Any], dict[str, Any]]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    is_op: bool = False


class Reader:
    """Makes models and layers from configs of Keras.

    Args:
        keras: the first number of the version that wrote the file.
        asset: what the file holds under `assets/` for a layer, by its path and the name of the asset; None for nothing.
        numbers: likewise what it holds of a layer's variables under a path.

    Attributes:
        order: by `id` of each model that was made, its layers in the order of the file, with the names of their classes.
        were: by `id` of a recurrent cell, the older class whose weights the file has for it.
    """

    def __init__(
        self,
        keras: int = 3,
        asset: Callable[[str], bytes | None] = lambda path: None,
        numbers: Callable[[str], torch.Tensor | None] = lambda path: None,
    ) -> None:
        self.keras, self.asset, self.numbers = keras, asset, numbers
        self.order: dict[int, list[tuple[str, Any]]] = {}
        self.were: dict[int, str] = {}
        self._kept: list[Any] = []
        self._shared: dict[Any, Any] = {}

    def model(self, config: Any, place: str = "$") -> Any:
        """The model of a whole config.

        Raises:
            ConfigError: it describes none, or one that needs code.
            UnknownNameError: a class or function that nobody knows.
            LimitError: it takes too much to find out what its calls return.
        """
        found = self.layer(config, place)
        if not isinstance(found, Model):
            raise ConfigError(f"{place}: expected a model, got {type(found).__name__}.")
        return found

    def layer(self, entry: Any, place: str, path: str = "") -> Any:
        """The layer or model that an entry describes, which stands at a path among the weights."""
        if not dialect.is_object(entry):
            expected = "an object with 'class_name' and 'config'"
            raise ConfigError(explain(place, got=shorten(entry), expected=expected))
        label = entry.get("shared_object_id")
        if isinstance(label, int) and label in self._shared:
            return self._shared[label]
        found = self._made(entry, place, path)
        if isinstance(label, int):
            self._shared[label] = found
        return found

    def _made(self, entry: Mapping[str, Any], place: str, path: str) -> Any:
        name, config = entry["class_name"], entry["config"]
        if not isinstance(config, Mapping):
            raise ConfigError(explain(f"{place}.config", got=shorten(config), expected="an object"))
        where = f"{place}.config"
        if name in _MODELS and name != "Sequential" and "layers" in config:
            return self._functional(config, where, Model, path)
        if name == "Sequential":
            return self._sequential(config, where, entry.get("build_config"), path)
        kind = dialect.layer_class(entry, place)
        if (
            isinstance(kind, type)
            and issubclass(kind, Model)
            and {"layers", "output_layers"} <= config.keys()
        ):
            return self._functional(config, where, kind, path)
        arguments = self._arguments(dialect.named(entry), config, where, path)
        if name == "Lambda" and dialect.is_object(config.get("function")):
            arguments["function"] = dialect.function_name(config["function"], f"{where}.function")
        learns_words = hasattr(kind, "set_vocabulary")
        # what it makes of a vocabulary is in no file, so that its memory must not be empty
        with torch.device("cpu") if learns_words else nullcontext():
            found = refusing(place, lambda: dialect.made(kind, arguments, place))
            if learns_words and config.get("vocabulary") is None:
                self._take_vocabulary(found, path, place)
        if not isinstance(found, nn.Module):
            raise ConfigError(f"{place}: expected a layer, got {type(found).__name__}.")
        if isinstance(found, Model):
            self._build(found, entry.get("build_config"), place)
        if isinstance(entry.get("was"), str) and isinstance(found, RNN):
            self.were[id(found.cell)] = entry["was"]
        return found

    def _arguments(self, name: str, config: Mapping[str, Any], place: str, path: str) -> dict[str, Any]:
        """The arguments of a layer, of which some may be layers."""
        inner = {key: each for key, each in config.items() if key in dialect.LAYERS and each is not None}
        found = dialect.arguments(
            name, {key: each for key, each in config.items() if key not in inner}, place
        )
        for key, each in inner.items():
            if isinstance(each, list):
                found[key] = [self.layer(one, f"{place}.{key}[{index}]") for index, one in enumerate(each)]
            else:
                found[key] = self.layer(each, f"{place}.{key}", f"{path}{key}/")
        if isinstance(found.get("name"), str):
            found["name"] = own_name(found["name"])
        return found

    def _take_vocabulary(self, layer: Any, path: str, place: str) -> None:
        """Give a layer the vocabulary that it learned from data, which stands in a file of its own, a word a line."""
        text = self.asset(f"{path}vocabulary.txt")
        if text is None:
            warnings.warn(
                f"The file holds no vocabulary for the layer {layer.name!r}, as no .h5 does that Keras writes. "
                "Fix: adapt the layer or set_vocabulary(...) before you use the model, or save it in Keras as .keras.",
                stacklevel=2,
            )
            return
        try:
            words: list[Any] = text.decode().splitlines()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{place}: its vocabulary.txt is no text in UTF-8.") from error
        while words and not words[-1]:
            words.pop()
        if getattr(layer, "vocabulary_dtype", "string") != "string":
            words = refusing(place, lambda: [int(each) for each in words])
        weights = self.numbers(f"{path}vars/idf_weights")
        refusing(place, lambda: layer.set_vocabulary(words, *([] if weights is None else [weights])))

    def _build(self, model: Any, config: Any, place: str) -> None:
        """Build a model whose forward is somebody's own, for the shapes that Keras wrote down."""
        if model.built or not isinstance(config, Mapping):
            return
        shapes = config.get("input_shape", config.get("shapes_dict"))
        if isinstance(shapes, Mapping):
            shapes = next(iter(shapes.values()), None) if len(shapes) == 1 else dict(shapes)
        if shapes is not None:
            refusing(f"{place}.build_config", lambda: model.build(_shape(shapes, f"{place}.build_config")))

    def _sequential(self, config: Mapping[str, Any], place: str, build: Any, path: str) -> Any:
        entries = _listed(config.get("layers"), f"{place}.layers")
        chain: list[Any] = []
        named: list[tuple[str, Any]] = []
        names = Numbers()
        text: Any = None
        for index, entry in enumerate(entries):
            where = f"{place}.layers[{index}]"
            if dialect.is_object(entry) and entry["class_name"] == "InputLayer":
                text = _shape_of_text(entry, f"{where}.config")
                if text is None or chain:
                    chain.append(self._input(entry, where))
                continue
            layer = self.layer(entry, where, names.path_of(path, entry))
            named.append((own_class_name(entry), layer))
            chain.append(layer)
        shape = build.get("input_shape") if isinstance(build, Mapping) else config.get("build_input_shape")
        if shape is not None and named and text is None and not isinstance(chain[0], SymbolicTensor):
            known = isinstance(named[0][1], Model) and named[0][1].graph is not None
            shape = _shape(shape, f"{place}.build_input_shape")
            if not known and isinstance(shape, tuple):
                chain.insert(0, refusing(place, lambda: Input(batch_shape=(None, *shape[1:]))))
        common = self._common(config, place)

        def make() -> Any:
            with keeping_trained([each for _, each in named]):
                model = Sequential(chain, **common)
                if text is not None and not model._reads_text:
                    raise GraphError("its input is text, which only a layer of text takes as the first one.")
                if text is not None:
                    with torch.device("cpu"):
                        numbers = model.layers[0](np.full(text, ""))
                    model._draw_after_text(text, numbers.dtype)
                return model

        return self._known(refusing(place, make), named)

    def _common(self, config: Mapping[str, Any], place: str) -> dict[str, Any]:
        """What a config says of a model as a whole."""
        name, trainable = config.get("name"), config.get("trainable", True)
        if name is not None and not (
            isinstance(name, str) and name.isprintable() and len(name) <= MOST_LETTERS
        ):
            raise ConfigError(explain(f"{place}.name", got=shorten(name), expected="a name"))
        return {"name": name or None, "trainable": trainable is not False}

    def _known(self, model: Any, named: list[tuple[str, Any]]) -> Any:
        """The model, of which is known in which order its file has its layers."""
        self.order[id(model)] = named
        self._kept.append(model)  # so that no other object has its id
        return model

    def _input(self, entry: Mapping[str, Any], place: str) -> Any:
        """An input of a model, which some older files describe by the words of then."""
        config = entry["config"] if isinstance(entry["config"], Mapping) else {}
        shape = config.get("batch_shape")
        for key in ("sparse", "ragged", "optional"):
            if config.get(key):
                got, fix = f"{key}=true", "a model of dense inputs that are always there"
                raise ConfigError(explain(f"{place}.config", got=got, expected="false", fix=fix))
        if shape is None:
            raise ConfigError(f"{place}.config: expected the 'batch_shape' of an input.")
        shape, dtype = _shape(shape, f"{place}.config.batch_shape"), config.get("dtype")
        name = config.get("name")
        dtype = dialect.dtype(dtype, f"{place}.config.dtype")
        given = None if not isinstance(name, str) else own_name(name)
        return refusing(place, lambda: Input(batch_shape=shape, dtype=dtype, name=given))

    def _functional(self, config: Mapping[str, Any], place: str, kind: Any, path: str) -> Any:
        """The model that a list of layers and their calls describes."""
        entries = _listed(config.get("layers"), f"{place}.layers")
        listed: dict[str, Listed] = {}
        named: list[tuple[str, Any]] = []
        results: dict[Key, list[Any]] = {}
        names = Numbers()
        for index, entry in enumerate(entries):
            where = f"{place}.layers[{index}]"
            name = entry.get("name") if isinstance(entry, Mapping) else None
            if not isinstance(name, str) or name in listed:
                raise ConfigError(
                    explain(where, got=f"the name {shorten(name)}", expected="a name of its own")
                )
            if not dialect.is_object(entry):
                raise ConfigError(explain(where, got=shorten(entry), expected="the config of a layer"))
            if entry["class_name"] == "InputLayer":
                listed[name] = Listed(where, None)
                results[Key(name, 0)] = [self._input(_with_name(entry, name), where)]
            elif keras_ops.is_operation(entry):
                function = keras_ops.function_of(entry["class_name"], where)
                settings = keras_ops.checked_config(entry["config"], f"{where}.config")
                listed[name] = Listed(where, function, config=settings, is_op=True)
            else:
                layer = self.layer(_with_name(entry, name), where, names.path_of(path, entry))
                named.append((own_class_name(entry), layer))
                listed[name] = Listed(where, layer)
        for name, entry in zip(listed, entries, strict=True):
            self._read_calls(listed[name], entry, listed)
        _Calls(self, listed, results, self._outputs(config, place, listed)).make()
        trees = [
            _nested(config.get(key), f"{place}.{key}", listed, self)
            for key in ("input_layers", "output_layers")
        ]
        inputs, outputs = refusing(
            f"{place}.output_layers", lambda: map_leaves(lambda past: _picked(past, results), trees)
        )
        common = self._common(config, place)

        def make() -> Any:
            with keeping_trained([each for _, each in named]):
                return kind(inputs, outputs, **common)

        return self._known(refusing(place, make), named)

    def _outputs(self, config: Mapping[str, Any], place: str, listed: Mapping[str, Listed]) -> set[Key]:
        tree = _nested(config.get("output_layers"), f"{place}.output_layers", listed, self)
        return {Key(past.layer, past.node) for past in leaves(tree)}

    def _read_calls(self, row: Listed, entry: Mapping[str, Any], listed: Mapping[str, Listed]) -> None:
        nodes = _listed(entry.get("inbound_nodes", []), f"{row.place}.inbound_nodes")
        for index, node in enumerate(nodes):
            where = f"{row.place}.inbound_nodes[{index}]"
            if row.thing is None:
                raise ConfigError(f"{where}: an input is not called.")
            if isinstance(node, Mapping):
                args = _decoded(node.get("args", []), f"{where}.args", listed)
                kwargs = _decoded(node.get("kwargs", {}), f"{where}.kwargs", listed)
                if not isinstance(args, list) or not isinstance(kwargs, dict):
                    raise ConfigError(
                        explain(where, got=shorten(node), expected="a list and an object of arguments")
                    )
            else:
                args, kwargs = _older_call(node, where, listed)
                if (
                    len(args) == 1
                    and isinstance(args[0], list)
                    and isinstance(row.thing, (RNN, Bidirectional))
                ):
                    first, *states = args[0]
                    args, kwargs = [first], {"initial_state": states, **kwargs}
            row.calls.append((args, kwargs))

    def offset(self, name: str, listed: Mapping[str, Listed], *, at_end: bool) -> int:
        """How many calls Keras counts of a model before those that the file has: one by which it was made."""
        thing = listed[name].thing
        if not isinstance(thing, Model):
            return 0
        functional = not isinstance(thing, Sequential)
        return int(functional and at_end) if self.keras >= 3 else int(thing.graph is not None)


def own_class_name(entry: Mapping[str, Any]) -> str:
    """What the class of a layer is called in Keras's code, by which its place is; a file may have a public name."""
    return CLASS_NAMES.get(entry["class_name"], str(entry["class_name"]))


class Numbers:
    """The names of the layers of a model in paths: that of the class, and a number from the second on."""

    def __init__(self) -> None:
        self._met: Counter[str] = Counter()

    def path_of(self, path: str, entry: Any) -> str:
        snake = snake_case(own_class_name(entry)) if dialect.is_object(entry) else ""
        self._met[snake] += 1
        number = self._met[snake] - 1
        return f"{path}layers/{snake}{f'_{number}' if number else ''}/"


class _Calls:
    """Makes the calls of a functional model, each when all is there that it takes, in the order of the file otherwise.

    An op that only makes masks for layers is not called until a layer needs it: layers here find their masks.
    """

    def __init__(
        self, reader: Reader, listed: dict[str, Listed], results: dict[Key, list[Any]], outputs: set[Key]
    ) -> None:
        self.reader, self.listed, self.results = reader, listed, results
        self.keys = [Key(name, index) for name, row in listed.items() for index in range(len(row.calls))]
        if len(self.keys) > _MOST_NODES:
            raise LimitError(f"The config has {len(self.keys):,} calls, expected at most {_MOST_NODES:,}.")
        self._settle_offsets()
        self.uses: dict[Key, list[tuple[Key, bool]]] = {}
        self.waits: dict[Key, int] = {}
        known = set(self.keys) | set(results)
        for key in self.keys:
            parents = set()
            for past, as_mask in self._pasts(key):
                parent = Key(past.layer, past.node)
                if parent not in known:
                    raise ConfigError(
                        f"{self._place(key)}: {shorten(past.layer)} is not called so often: call {past.node} is not there."
                    )
                self.uses.setdefault(parent, []).append((key, as_mask))
                parents.add(parent)
            self.waits[key] = sum(parent not in results for parent in parents)
        self.masks = self._only_masks(outputs)

    def _place(self, key: Key) -> str:
        return f"{self.listed[key.layer].place}.inbound_nodes[{key.node}]"

    def _pasts(self, key: Key) -> Iterator[tuple[Past, bool]]:
        """What a call takes, and whether as a mask."""
        args, kwargs = self.listed[key.layer].calls[key.node]
        is_layer = not self.listed[key.layer].is_op
        for each in leaves(args):
            if isinstance(each, Past):
                yield each, False
        for name, value in kwargs.items():
            for each in leaves(value):
                if isinstance(each, Past):
                    yield each, is_layer and name.endswith("mask")

    def _settle_offsets(self) -> None:
        """Count the calls of a model within the model from 0, whatever Keras counts from."""
        models = {name for name, row in self.listed.items() if isinstance(row.thing, Model)}
        if not models:
            return
        for name in models:
            shift = self.reader.offset(name, self.listed, at_end=False)
            used = {past.node for key in self.keys for past, _ in self._pasts(key) if past.layer == name}
            count = len(self.listed[name].calls)
            if used and shift and min(used) == 0:
                shift = 0
            elif used and not shift and max(used) == count:
                shift = 1
            if shift:
                self._shift(name)

    def _shift(self, name: str) -> None:
        def moved(leaf: Any) -> Any:
            return (
                replace(leaf, node=leaf.node - 1) if isinstance(leaf, Past) and leaf.layer == name else leaf
            )

        for row in self.listed.values():
            row.calls = [(map_leaves(moved, args), map_leaves(moved, kwargs)) for args, kwargs in row.calls]

    def _only_masks(self, outputs: set[Key]) -> set[Key]:
        """The calls of ops whose results are masks of layers, or go into such, and nothing else."""
        found: set[Key] = set()
        left = {key: len(self.uses.get(key, ())) for key in self.keys if self.listed[key.layer].is_op}
        waiting = []
        for key in left:
            left[key] -= sum(as_mask for _, as_mask in self.uses.get(key, ()))
            if left[key] == 0 and self.uses.get(key) and key not in outputs:
                waiting.append(key)
        while waiting:
            key = waiting.pop()
            found.add(key)
            for parent in {Key(past.layer, past.node) for past, _ in self._pasts(key)}:
                if parent in left:
                    left[parent] -= sum(user == key for user, _ in self.uses[parent])
                    if left[parent] == 0 and parent not in outputs:
                        waiting.append(parent)
        return found

    def make(self) -> None:
        """Make them all.

        Raises:
            ConfigError: some wait for each other, or a layer cannot be called so.
        """
        place = {key: index for index, key in enumerate(self.keys)}
        ready = [place[key] for key in self.keys if self.waits[key] == 0]
        ready.sort()
        done = 0
        while ready:
            key = self.keys[heappop(ready)]
            done += 1
            if key not in self.masks:
                refusing(self._place(key), lambda key=key: self._make(key))  # type: ignore[misc]
            for user in {user for user, _ in self.uses.get(key, ())}:
                self.waits[user] -= 1
                if self.waits[user] == 0:
                    heappush(ready, place[user])
        if done < len(self.keys):
            stuck = next(key for key in self.keys if self.waits[key] > 0)
            raise ConfigError(
                f"{self._place(stuck)}: the call waits for one that waits for it: the calls are no graph."
            )

    def _make(self, key: Key) -> None:
        """Make one call, and those of the masks that it needs before it."""
        waiting = [key]
        while waiting:
            now = waiting[-1]
            missing = self._missing_masks(now)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if now not in self.results:
                self._call(now)

    def _missing_masks(self, key: Key) -> list[Key]:
        found = []
        for past, as_mask in self._pasts(key):
            parent = Key(past.layer, past.node)
            if parent not in self.results and not (as_mask and self._has_own_masks(key)):
                found.append(parent)
        return found

    def _has_own_masks(self, key: Key) -> bool:
        """Whether what a layer is called on brings masks of its own."""
        args, _ = self.listed[key.layer].calls[key.node]
        return any(each is not None for each in leaves(masks_of(map_leaves(self._value, args))))

    def _value(self, leaf: Any) -> Any:
        if not isinstance(leaf, Past):
            return leaf
        return _picked(leaf, self.results)

    def _call(self, key: Key) -> None:
        row = self.listed[key.layer]
        args, kwargs = row.calls[key.node]
        where = self._place(key)
        if row.is_op:
            values = refusing(where, lambda: self._operation(row, args, kwargs))
        else:
            own = self._has_own_masks(key)
            kept = {
                name: value
                for name, value in kwargs.items()
                if value is not None
                and not self._is_left_out(name, value)
                and not (own and name.endswith("mask") and self._is_found(value))
            }
            values = refusing(
                where, lambda: row.thing(*map_leaves(self._value, args), **map_leaves(self._value, kept))
            )
        self.results[key] = flat(values)

    def _operation(self, row: Listed, args: list[Any], kwargs: dict[str, Any]) -> Any:
        values = map_leaves(self._value, args)
        if row.thing is keras_ops.GET_ITEM and len(values) == 2:
            values[1] = _as_index(values[1])
        return row.thing(*values, **{**row.config, **map_leaves(self._value, kwargs)})

    def _is_left_out(self, name: str, value: Any) -> bool:
        """Whether an argument says nothing: Keras 3 writes down `training=False` where nobody gave it, and goes by the
        mode of the whole model whatever was given."""
        return name == "training" and (value is False and self.reader.keras >= 3)

    def _is_found(self, value: Any) -> bool:
        """Whether a mask is one that layers find, and not one that somebody gave by hand."""
        pasts = [each for each in leaves(value) if isinstance(each, Past)]
        return all(Key(past.layer, past.node) in self.masks for past in pasts)


def refusing(place: str, make: Callable[[], T]) -> T:
    """What is made for a place of a config; whatever goes wrong is an error of ours that begins with the place.

    Raises:
        ConfigError: it cannot be made.
    """
    with _refusals(place):
        return make()


@contextmanager
def _refusals(place: str) -> Iterator[None]:
    try:
        yield
    except UnknownNameError as error:
        if "$" not in str(error):
            error.args = (f"{place}: {error}",)
        raise
    except LimitError:
        raise
    except TorchfuncError as error:
        bounds = current()
        if isinstance(error, ValuesNeededError) and bounds is not None and not bounds.may_import:
            # no file of Keras says all shapes: it is read again, and PyTorch may import what it works them out with
            raise ShapesNeededError(str(error)) from error
        text = str(error)
        if isinstance(error, ConfigError) and text.startswith("$"):
            raise
        text = text if len(text) <= 600 else f"{text[:400]} ... {text[-150:]}"
        raise ConfigError(f"{place}: {text}") from error
    except Exception as error:
        why = shorten(str(error), 300)
        raise ConfigError(f"{place}: {type(error).__name__}: {why}") from error


def own_name(name: str) -> str:
    """A name of Keras's as the name of a module: parts of dotted names have no dot, and no name of every module's."""
    name = name.replace(".", "_").replace("/", "_") or "layer"
    return f"{name}_layer" if name in MODULE_ATTRIBUTES else name


def _with_name(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entry with the name under which its model lists it in its config too, where that was lost."""
    config = entry["config"]
    if isinstance(config, Mapping) and config.get("name") is None:
        return {**entry, "config": {**config, "name": name}}
    return dict(entry)


def _listed(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(explain(place, got=shorten(value), expected="a list"))
    return value


def _shape(value: Any, place: str) -> Any:
    """A shape, or several in a list or object, as tuples.

    Raises:
        ConfigError: something else.
    """
    if isinstance(value, Mapping):
        return {key: _shape(each, place) for key, each in value.items()}
    if not isinstance(value, list) or len(value) > 16:
        raise ConfigError(explain(place, got=shorten(value), expected="a shape"))
    if value and all(isinstance(each, (list, Mapping)) for each in value):
        return [_shape(each, place) for each in value]
    if not all(each is None or (type(each) is int and 0 <= each < 2**40) for each in value):
        raise ConfigError(explain(place, got=shorten(value), expected="sizes from 0, or null"))
    return tuple(value)


def _shape_of_text(entry: Mapping[str, Any], place: str) -> tuple[int, ...] | None:
    """The shape of one text, or row of texts, that an input stands for; None if it stands for numbers.

    Raises:
        ConfigError: a shape that is none, or of more than MOST_TEXTS.
    """
    config = entry["config"] if isinstance(entry["config"], Mapping) else {}
    if config.get("dtype") != "string":
        return None
    shape = _shape(config.get("batch_shape"), f"{place}.batch_shape")
    if not isinstance(shape, tuple) or not shape or prod(each or 1 for each in shape[1:]) > MOST_TEXTS:
        raise ConfigError(
            explain(f"{place}.batch_shape", got=shorten(shape), expected=f"at most {MOST_TEXTS} texts a row")
        )
    return (1, *(each or 1 for each in shape[1:]))


def _picked(past: Past, results: Mapping[Key, list[Any]]) -> Any:
    found = results.get(Key(past.layer, past.node))
    if found is None or past.tensor >= len(found):
        raise ConfigError(f"{shorten(past.layer)} returns no tensor {past.tensor} in its call {past.node}.")
    return found[past.tensor]


def _past(history: Any, place: str, listed: Mapping[str, Listed]) -> Past:
    fits = (
        isinstance(history, list)
        and len(history) >= 3
        and isinstance(history[0], str)
        and all(type(each) is int and 0 <= each < 2**31 for each in history[1:3])
    )
    if not fits or history[0] not in listed:
        expected = "the name of a layer of the model, the number of its call and of its tensor"
        raise ConfigError(explain(place, got=shorten(history), expected=expected))
    return Past(*history[:3])


def _nested(value: Any, place: str, listed: Mapping[str, Listed], reader: Reader) -> Any:
    """Inputs or outputs as they are nested, with a Past at each leaf; one alone in a list stands for itself."""
    if isinstance(value, Mapping):
        return {key: _nested(each, f"{place}.{key}", listed, reader) for key, each in value.items()}
    if not isinstance(value, list) or not value:
        raise ConfigError(explain(place, got=shorten(value), expected="the names of layers"))
    if isinstance(value[0], str):
        past = _past(value, place, listed)
        shift = reader.offset(past.layer, listed, at_end=True)
        if shift and past.node == 0:
            shift = 0
        return replace(past, node=past.node - shift)
    found = [_nested(each, f"{place}[{index}]", listed, reader) for index, each in enumerate(value)]
    return found[0] if len(found) == 1 else found


def _decoded(value: Any, place: str, listed: Mapping[str, Listed]) -> Any:
    """An argument of a call: what stands for a result of another call as a Past, and constants as they are."""
    if isinstance(value, list):
        return [_decoded(each, f"{place}[{index}]", listed) for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if not dialect.is_object(value):
        return {key: _decoded(each, f"{place}.{key}", listed) for key, each in value.items()}
    name, config = value["class_name"], value["config"]
    inner = config if isinstance(config, Mapping) else {}
    if name == "__keras_tensor__":
        return _past(inner.get("keras_history"), place, listed)
    if name in ("__tensor__", "__numpy__"):
        return _constant(inner, place)
    if name == "__slice__":
        return slice(*(_decoded(inner.get(part), place, listed) for part in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return Ellipsis
    if name in ("DTypePolicy", "DType"):
        return inner.get("name")
    if name == "__lambda__":
        raise ConfigError(f"{place}: {dialect.CODE}.")
    expected = "tensors, numbers, texts and slices"
    raise ConfigError(explain(place, got=f"an object of the class {shorten(name)}", expected=expected))


def _constant(config: Mapping[str, Any], place: str) -> Any:
    """A tensor that is written down in the config."""
    dtype = getattr(torch, str(config.get("dtype")), None)
    if not isinstance(dtype, torch.dtype):
        raise ConfigError(explain(f"{place}.dtype", got=shorten(config.get("dtype")), expected="a dtype"))
    return refusing(place, lambda: torch.tensor(config.get("value"), dtype=dtype, device="cpu"))


def _as_index(value: Any) -> Any:
    """The key of `x[...]`, whose tuple Keras writes as a list."""
    return tuple(value) if isinstance(value, list) else value


def _older_call(node: Any, place: str, listed: Mapping[str, Listed]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call as Keras 2 writes them: a list of [layer, call, tensor, keywords], nested or not."""

    def decoded(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if len(value) == 3 and value[:2] == ["_CONSTANT_VALUE", -1]:
            return value[2]
        is_past = (
            len(value) == 3 and isinstance(value[0], str) and all(type(each) is int for each in value[1:])
        )
        return (
            _past(value, place, listed)
            if is_past and value[0] in listed
            else [decoded(each) for each in value]
        )

    kwargs: dict[str, Any] = {}

    def first(value: Any) -> Any:
        if isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str):
            if len(value) == 4 and isinstance(value[3], Mapping):
                kwargs.update({key: decoded(each) for key, each in value[3].items()})
            return value[2] if value[0] == "_CONSTANT_VALUE" else _past(value, place, listed)
        if isinstance(value, Mapping):
            return {key: first(each) for key, each in value.items()}
        if not isinstance(value, list):
            raise ConfigError(explain(place, got=shorten(value), expected="a list of layers and their calls"))
        return [first(each) for each in value]

    found = first(node)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return [found], kwargs
