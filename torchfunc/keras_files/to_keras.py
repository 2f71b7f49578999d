"""To Keras: the config of a model as Keras 3 reads it, in the names of Keras's own classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import registry
from torchfunc.config import plain
from torchfunc.graph.graph import Call, Graph, Ref, StateRef
from torchfunc.graph.run import inputs_like, restated, results
from torchfunc.graph.spec import Spec
from torchfunc.graph.symbolic import SymbolicTensor
from torchfunc.keras_files import dialect, keras_ops, of_applications
from torchfunc.keras_files.places import class_name
from torchfunc.layers.layer import Layer, masks_of
from torchfunc.layers.recurrent.cell import StackedRNNCells
from torchfunc.models.keras_order import flat, modules_in_keras_order
from torchfunc.models.model import Model
from torchfunc.models.sequential import Sequential
from torchfunc.tree import at, leaves, map_leaves

_MOST_NUMBERS = 10_000  # of a constant, which stands in the config


def model_config(model: Any, name: str) -> dict[str, Any]:
    """A model as Keras writes it.

    Args:
        model: of Keras-named layers.
        name: what it is called where it is.

    Raises:
        SavingError: a layer, a module or a function in it that Keras has not.
    """
    where = f"{type(model).__name__} {name!r}"
    if isinstance(model, Sequential):
        return _sequential(model, name)
    if not isinstance(model, Model) or model.config_class is not Model:
        raise dialect.not_kerass(where, f"a model of the class {class_name(model)}")
    if model.graph is None:
        raise dialect.not_kerass(where, "a model whose forward is written by hand")
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": _Functional(model, model.graph, name).config(),
        "registered_name": "Functional",
    }


def _sequential(model: Sequential, name: str) -> dict[str, Any]:
    layers: list[dict[str, Any]] = []
    names = {id(module): key for key, module in model._modules.items()}
    shape: list[Any] | None = None
    if model.graph is not None:
        call = model.graph.calls[0]
        shape = list(call.specs.shape)
        layers.append(_input_layer(call.name, call.specs))
        if model._reads_text:
            # what the graph begins with is what the layer of text returns; texts come one a row, as Keras has them
            shape = [None, 1]
            layers[0]["config"] |= {"batch_shape": shape, "dtype": "string"}
    layers += [layer_config(each, names[id(each)]) for each in model._chain]
    config = {"name": name, "trainable": model._trainable, "layers": layers}
    if shape is not None:
        config["build_input_shape"] = shape
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def _input_layer(name: str, spec: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": list(spec.shape),
            "dtype": plain(spec.dtype),
            "sparse": False,
            "name": name,
        },
        "registered_name": None,
    }


def layer_config(layer: Any, name: str) -> dict[str, Any]:
    """A layer as Keras writes it.

    Raises:
        SavingError: no layer that Keras has.
    """
    if isinstance(layer, Model):
        return model_config(layer, name)
    where = f"{type(layer).__name__} {name!r}"
    known = registry.layers.name_of(type(layer))
    of_application = type(layer) in of_applications.MODULES
    if known is None or not (type(layer).__module__.startswith("torchfunc.layers.") or of_application):
        kind = "a native module" if not isinstance(layer, Layer) else "a layer of a class of yours"
        raise dialect.not_kerass(where, f"{kind}, {type(layer).__name__}")
    inner = _inner_layers(layer)
    dtype = layer._computes_in() or layer.dtype or torch.float32
    told = {"name": name, "trainable": _is_trained(layer, where), "dtype": plain(dtype)}
    own = {key: value for key, value in {**layer.get_config(), **told}.items() if key not in inner}
    config = dialect.config_for_keras(class_name(layer), own, where)
    config |= {key: _many(each, key) for key, each in inner.items()}
    _check_names(config, where)
    return {
        "module": of_applications.MODULES.get(type(layer), "keras.layers"),
        "class_name": "GroupQueryAttention" if known == "GroupQueryAttention" else class_name(layer),
        "config": config,
        "registered_name": class_name(layer) if of_application else None,
    }


def _inner_layers(layer: Any) -> dict[str, Any]:
    """The layers among the arguments of a layer."""
    if isinstance(layer, StackedRNNCells):
        return {"cells": list(layer.cells)}
    told = {
        key
        for key, value in layer.get_config().items()
        if dialect.is_object(value) or isinstance(value, Mapping)
    }
    found = {key: getattr(layer, key, None) for key in dialect.LAYERS if key in told}
    if "layer" in told and hasattr(layer, "forward_layer"):
        found["layer"] = layer.forward_layer
    return {key: each for key, each in found.items() if isinstance(each, nn.Module)}


def _many(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_many(each, f"{name}_{index}") for index, each in enumerate(value)]
    return layer_config(value, getattr(value, "given_name", None) or name)


def _is_trained(layer: Layer, where: str) -> bool:
    """Whether Keras is to train a layer: it knows no weights of which some are frozen.

    Raises:
        SavingError: some of a layer's own weights are, and others not.
    """
    own = {each.requires_grad for each in layer._parameters.values() if each is not None}
    if len(own) > 1:
        raise dialect.not_kerass(where, "weights of which some are trained and others not")
    return layer._trainable and own != {False}


def _check_names(config: Mapping[str, Any], where: str) -> None:
    """Refuse the name of a function that Keras has not."""
    for key, value in config.items():
        if key.endswith("activation") and isinstance(value, str):
            found = registry.activations.names().get(value)
            if getattr(found, "__module__", "") != "torchfunc.activations.activation_functions":
                raise dialect.not_kerass(where, f"{key}={value!r}")


class _Functional:
    """Writes a graph as Keras's list of layers, each with its calls.

    Args:
        model: the model.
        graph: its table.
        name: what it is called.
    """

    def __init__(self, model: Model, graph: Graph, name: str) -> None:
        self.model, self.graph, self.name = model, graph, name
        met: Counter[str] = Counter()
        self.node: dict[int, int] = {}
        for row, call in enumerate(graph.calls):
            self.node[row] = met[self._owner(call)]
            met[self._owner(call)] += 1
        self.automatic = _automatic_masks(model, graph)
        self.needed = self._needed()

    def _owner(self, call: Call) -> str:
        """The name under which Keras lists what is called."""
        return str(call.target) if call.kind == "module" else call.name

    def _needed(self) -> set[int]:
        """The rows that are written: not those by which masks are found that Keras finds itself."""
        found: set[int] = set()
        waiting = [ref.row for ref in leaves(self.graph.outputs)]
        while waiting:
            row = waiting.pop()
            if row not in found:
                found.add(row)
                args, kwargs = self._arguments(row)
                waiting += [leaf.row for leaf in leaves((args, kwargs)) if isinstance(leaf, Ref)]
        return found | {row for row, call in enumerate(self.graph.calls) if call.kind == "input"}

    def _arguments(self, row: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        call = self.graph.calls[row]
        kept = {key: value for key, value in call.kwargs.items() if (row, key) not in self.automatic}
        return call.args, kept

    def config(self) -> dict[str, Any]:
        entries: dict[str, dict[str, Any]] = {}
        for row, call in enumerate(self.graph.calls):
            if row not in self.needed:
                continue
            name = self._owner(call)
            if call.kind == "input":
                entries[name] = {**_input_layer(name, call.specs), "name": name, "inbound_nodes": []}
            elif call.kind == "module":
                if name not in entries:
                    layer = self.model._modules[name]
                    entries[name] = {**layer_config(layer, name), "name": name, "inbound_nodes": []}
                entries[name]["inbound_nodes"].append(self._node(row, *self._arguments(row)))
            else:
                entries[name] = self._operation(row, call)
        order = [*self.graph.input_names, *modules_in_keras_order(self.graph), *entries]
        return {
            "name": self.name,
            "trainable": self.model._trainable,
            "layers": [entries[name] for name in dict.fromkeys(order) if name in entries],
            "input_layers": map_leaves(self._history, _as_lists(self.graph.inputs)),
            "output_layers": map_leaves(
                lambda ref: self._history(ref, at_end=True), _as_lists(self.graph.outputs)
            ),
        }

    def _operation(self, row: int, call: Call) -> dict[str, Any]:
        args, kwargs = self._arguments(row)
        found = keras_ops.written(replace(call, args=args, kwargs=kwargs))
        return {
            "module": found.module,
            "class_name": found.name,
            "config": {
                "name": call.name,
                **{key: self._value(each, call) for key, each in found.config.items()},
            },
            "registered_name": found.name,
            "name": call.name,
            "inbound_nodes": [self._node(row, tuple(found.args), found.kwargs)],
        }

    def _node(self, row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        call = self.graph.calls[row]
        return {
            "args": [self._value(each, call) for each in args],
            "kwargs": {key: self._value(each, call) for key, each in kwargs.items()},
        }

    def _value(self, value: Any, call: Call) -> Any:
        """An argument of a call as Keras writes it.

        Raises:
            SavingError: a tensor of the model itself, or something that is no plain data.
        """
        if isinstance(value, Ref):
            spec = self.graph.spec(value)
            if not isinstance(spec, Spec):
                raise dialect.not_kerass(
                    f"The call {call.name!r}", "a size that is known when the model runs"
                )
            history = {
                "shape": list(spec.shape),
                "dtype": plain(spec.dtype),
                "keras_history": self._history(value),
            }
            return {"class_name": "__keras_tensor__", "config": history}
        if isinstance(value, StateRef):
            tensor = self.model._own_state().get(value.name)
            if tensor is None or isinstance(tensor, nn.Parameter) or tensor.numel() > _MOST_NUMBERS:
                got = f"the tensor {value.name!r}, which no layer has"
                raise dialect.not_kerass(f"The call {call.name!r}", got)
            constant = {"value": plain(tensor), "dtype": plain(tensor.dtype)}
            return {"class_name": "__tensor__", "config": constant}
        if isinstance(value, (list, tuple)):
            return [self._value(each, call) for each in value]
        if isinstance(value, Mapping):
            return {key: self._value(each, call) for key, each in value.items()}
        if isinstance(value, slice):
            parts = {part: self._value(getattr(value, part), call) for part in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": parts}
        if value is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if isinstance(value, torch.dtype):
            return plain(value)
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise dialect.not_kerass(f"The call {call.name!r}", f"an argument of type {type(value).__name__}")
        return value

    def _history(self, ref: Ref, *, at_end: bool = False) -> list[Any]:
        """Which tensor of which call of which layer something is; at the ends of the graph Keras counts the call by which a
        functional model was made."""
        call = self.graph.calls[ref.row]
        path, specs = ref.path, call.specs
        if call.kind == "module" and "masks" in call.kwargs and path[:1] == (0,):
            path, specs = path[1:], specs[0]  # it returns its masks too
        elif call.kind == "module" and "masks" in call.kwargs:
            raise dialect.not_kerass(
                f"The call {call.name!r}", "a mask of a model within the model, used by hand"
            )
        layer = self.model._modules.get(str(call.target)) if call.kind == "module" else None
        offset = int(at_end and isinstance(layer, Model) and not isinstance(layer, Sequential))
        return [self._owner(call), self.node[ref.row] + offset, at(_numbered(specs), path)]


def _numbered(specs: Any) -> Any:
    """The same structure with the number of each tensor in Keras's order."""
    marks = map_leaves(_Mark, specs)
    numbers = {id(mark): number for number, mark in enumerate(flat(marks))}
    return map_leaves(lambda mark: numbers[id(mark)], marks)


class _Mark:
    """A leaf that is itself."""

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf


def _as_lists(tree: Any) -> Any:
    if isinstance(tree, (list, tuple)):
        return [_as_lists(each) for each in tree]
    return {key: _as_lists(each) for key, each in tree.items()} if isinstance(tree, dict) else tree


def _automatic_masks(model: Model, graph: Graph) -> set[tuple[int, str]]:
    """The masks, by row and keyword, that a layer would be given without them: Keras finds these itself.

    The calls are made on symbols once more, as the table says them, so that every layer hands on its masks; a mask
    that stands in the table is one of these where it was made by the same calls from the same tensors.
    """
    if not any(key.endswith(("mask", "masks")) for call in graph.calls for key in call.kwargs):
        return set()
    rows = results(graph, inputs_like(graph), model._modules, model._own_state(), restated)
    same = _Same()
    found = set()
    for row, call in enumerate(graph.calls):
        layer = model._modules.get(str(call.target)) if call.kind == "module" else None
        if not isinstance(layer, Layer):
            continue
        given = {key: value for key, value in call.kwargs.items() if key.endswith(("mask", "masks"))}
        if not given:
            continue
        args = map_leaves(
            lambda leaf: at(rows[leaf.row], leaf.path) if isinstance(leaf, Ref) else leaf, call.args
        )
        others = {key: value for key, value in call.kwargs.items() if key not in given}
        others = map_leaves(
            lambda leaf: at(rows[leaf.row], leaf.path) if isinstance(leaf, Ref) else leaf, others
        )
        wanted = (
            layer._with_masks(tuple(args), others) if "masks" not in given else {"masks": _masks_of_all(args)}
        )
        for key, value in given.items():
            now = map_leaves(
                lambda leaf: at(rows[leaf.row], leaf.path) if isinstance(leaf, Ref) else leaf, value
            )
            if key in wanted and same.trees(now, wanted[key]):
                found.add((row, key))
    return found


def _masks_of_all(args: Any) -> list[Any]:
    return list(leaves(masks_of(args[0] if len(args) == 1 else args)))


class _Same:
    """Whether symbols come from the same calls on the same tensors."""

    def __init__(self) -> None:
        self._labels: dict[int, Any] = {}
        self._known: dict[Any, int] = {}
        self._kept: list[Any] = []

    def trees(self, one: Any, other: Any) -> bool:
        pairs = list(leaves(one)), list(leaves(other))
        if len(pairs[0]) != len(pairs[1]):
            return False
        return all(self._leaf(a) == self._leaf(b) for a, b in zip(*pairs, strict=True))

    def _leaf(self, leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return repr(leaf) if not isinstance(leaf, Tensor) else id(leaf)
        return self._label(leaf.node), leaf.key[1]

    def _label(self, node: Any) -> int:
        """A number for each call that is the same for equal ones; parents first, without recursion."""
        waiting = [node]
        while waiting:
            now = waiting[-1]
            if id(now) in self._labels:
                waiting.pop()
                continue
            parents = [each.node for each in now.inputs() if id(each.node) not in self._labels]
            if parents:
                waiting += parents
                continue
            waiting.pop()
            self._kept.append(now)
            self._labels[id(now)] = self._known.setdefault(self._what(now), len(self._known))
        return int(self._labels[id(node)])

    def _what(self, node: Any) -> Any:
        if node.target is None or isinstance(node.target, nn.Module):
            return id(node)  # an input, or a call of a layer, which is what it is
        return repr(node.target), repr(map_leaves(self._told, (node.args, node.kwargs)))

    def _told(self, leaf: Any) -> Any:
        if isinstance(leaf, SymbolicTensor):
            return ("symbol", self._labels[id(leaf.node)], leaf.key[1])
        return leaf
