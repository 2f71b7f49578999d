"""Places: where each weight of a model stands in Keras's files, said once and used for reading and for writing.

In the files of Keras 3 a weight stands where its layer is: `layers/dense_1/vars/0` is the first weight of the
second Dense among the layers, in the order of Keras, and `layers/lstm/cell/vars/1` the second one of the cell that
an LSTM keeps as `cell`. Layers here keep what is inside of them under Keras's names, and know of each weight how
Keras lays it out (`layout` and `blocks` of `add_weight`): that is the table of conversions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchfunc import registry
from torchfunc.layers.attention.heads import GroupQueryAttention
from torchfunc.layers.layer import Layer
from torchfunc.layers.preprocessing.lookup import IndexLookup
from torchfunc.layers.preprocessing.vectorization import TextVectorization
from torchfunc.layers.tracking import follow
from torchfunc.layers.weights import Weights, in_keras_layout, own_weights, write_in_keras_layout
from torchfunc.models.keras_order import modules_in_keras_order
from torchfunc.models.sequential import Sequential

# Keras's own names of classes whose first name in the registry is another
CLASS_NAMES = {
    "GroupQueryAttention": "GroupedQueryAttention", "Model": "Functional", "StochasticDepthOfKeras": "StochasticDepth",
}  # fmt: skip


class Weight(NamedTuple):
    """One weight: its path in Keras's files, and what it is here.

    Attributes:
        path: as `layers/dense/vars/0`.
        module: the module that has it.
        attribute: under which name.
        tensor: itself.
    """

    path: str
    module: nn.Module
    attribute: str
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in Keras's layout."""
        return tuple(in_keras_layout(self.module, self.attribute, self.tensor).shape)

    def to_keras(self, tensor: Tensor | None = None) -> Tensor:
        """The weight, or numbers that are kept beside it, in Keras's layout."""
        return in_keras_layout(
            self.module, self.attribute, self.tensor if tensor is None else tensor.detach()
        )

    def from_keras(self, value: Tensor) -> Tensor:
        """Numbers in Keras's layout as a new tensor that lies as the weight does."""
        weight = self.tensor
        made = torch.empty_strided(weight.shape, weight.stride(), dtype=weight.dtype, device="cpu")
        with torch.no_grad():
            write_in_keras_layout(self.module, self.attribute, made, value.to(weight.dtype))
        return made


Order = Mapping[int, Sequence[tuple[str, Any]]]


def weights_of(model: nn.Module, order: Order | None = None, path: str = "") -> Iterator[Weight]:
    """Every weight once, at the place where it stands in a file of Keras 3.

    Args:
        model: the model, or a layer.
        order: for models by `id`, their layers with the names of their classes, in the order of the file; by
            default in that of Keras.
        path: where the model stands.
    """
    for where, module in _walk(model, order, path):
        if isinstance(module, Weights):
            module._name_new_weights()
        for index, (owner, name, tensor) in enumerate(numbered_weights(module)):
            yield Weight(f"{where}vars/{index}", owner, name, tensor)


def weights_of_words(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """How much each word of a vocabulary counts, which Keras writes beside the weights, and where."""
    for where, module in _walk(model):
        if isinstance(module, IndexLookup) and module.idf_weights is not None:
            yield f"{where}vars/idf_weights", module.idf_weights
            if isinstance(module, TextVectorization):
                yield f"{where}_lookup_layer/vars/idf_weights", module.idf_weights


def _walk(model: nn.Module, order: Order | None = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every module once, after the path at which it stands in a file of Keras 3."""
    seen: set[int] = set()
    # an explicit stack: models may be nested deeply
    waiting: list[tuple[str, Any]] = [(path, model)]
    while waiting:
        where, module = waiting.pop()
        if module is None or id(module) in seen:
            continue
        seen.add(id(module))
        yield where, module
        waiting += reversed([(f"{where}{name}/", child) for name, child in inner(module, order)])


def numbered_weights(module: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """What Keras's files number as a layer's own; the tensors in a graph are constants there."""
    return [] if getattr(module, "_live", None) is not None else own_weights(module)


def inner(module: Any, order: Order | None = None) -> list[tuple[str, Any]]:
    """What is inside a module, under the names that Keras's files have for it."""
    if isinstance(module, Layer) and module._keeps_lists:
        follow(module)
    layers = (order or {}).get(id(module))
    if layers is None and (getattr(module, "_live", None) is not None or isinstance(module, Sequential)):
        layers = layers_of(module)
    if layers is not None:
        return [(f"layers/{name}", each) for name, each in _numbered(layers)]
    found: list[tuple[str, Any]] = []
    for name, child in sorted(module._modules.items(), key=_private_last):
        if isinstance(child, nn.ModuleList):
            found += [
                (f"{name}/{each}", one) for each, one in _numbered([(class_name(one), one) for one in child])
            ]
        else:
            found.append((f"_{name}" if isinstance(module, GroupQueryAttention) else name, child))
    return found


def _private_last(item: tuple[str, Any]) -> str:
    return f"~{item[0]}" if item[0].startswith("_") else item[0]


def layers_of(model: Any) -> list[tuple[str, Any]]:
    """The layers of a model with the names of their classes, in Keras's order."""
    if model._live is None:
        return [(class_name(each), each) for each in model._modules.values() if isinstance(each, Layer)]
    found = [model._modules[name] for name in modules_in_keras_order(model._live.graph)]
    if isinstance(model, Sequential) and model._reads_text:  # then its first layer stands before the graph
        found.insert(0, model.layers[0])
    return [(class_name(each), each) for each in found]


def class_name(module: Any) -> str:
    """What Keras calls the class of a layer."""
    kind = getattr(module, "config_class", type(module))
    name = registry.layers.name_of(kind) or kind.__name__
    return CLASS_NAMES.get(name, name)


def _numbered(layers: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The layers under their classes' names, each further one of a class with a number, in their order."""
    met: Counter[str] = Counter()
    for name, layer in layers:
        snake = snake_case(name)
        yield (f"{snake}_{met[snake]}" if met[snake] else snake), layer
        met[snake] += 1


def snake_case(name: str) -> str:
    """`Conv2DTranspose` as `conv2d_transpose`. Source: keras/src/utils/naming.py, Keras 3.15.1."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def by_layers(
    layers: Sequence[tuple[str, Any]], order: Order | None = None
) -> Iterator[tuple[Any, list[Weight]]]:
    """The weights of each layer as the older `.h5` files list them: what is trained, and then what is not."""
    for _, layer in layers:
        known = {id(each.tensor): each for each in weights_of(layer, order)}
        listed = dict.fromkeys(id(tensor) for tensor in _as_made(layer, order or {}) if id(tensor) in known)
        weights = [known[each] for each in listed]
        yield layer, sorted(weights, key=lambda each: not _is_trained(each.tensor))


def _as_made(module: Any, order: Order) -> Iterator[Tensor]:
    """The weights of a module in the order in which Keras's layers were made: its own, and then those of what is inside."""
    yield from (tensor for _, _, tensor in numbered_weights(module))
    inside = [layer for _, layer in order[id(module)]] if id(module) in order else None
    if inside is None:
        inside = module._children_in_order() if isinstance(module, Weights) else module.children()
    for each in inside:
        yield from _as_made(each, order)


def _is_trained(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) and tensor.requires_grad
