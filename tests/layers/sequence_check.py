"""One helper for layers over sequences: ours and Keras's, made by the same line, must agree in everything."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
from torch import Tensor

from torchfunc import layers
from torchfunc.config import described, made
from torchfunc.tree import leaves, map_leaves

TOLERANCE = 1e-5
Make = Callable[[Any], Any]

# a sample for each way in which steps can be masked: none, right, left, in between, all but one, all
MASK = torch.tensor(
    [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1],
        [0, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ],
    dtype=torch.bool,
)


def check(make: Make, shape: tuple[int, ...], mask: Tensor | None = None, states: Any = None) -> None:
    """Outputs, states and gradients as Keras's; a symbol and a copy as the layer's own.

    Args:
        make: makes the layer from a module of layers, ours or Keras's.
        shape: of the input, with the batch.
        mask: a mask to call it with.
        states: the shapes of the states to begin with.
    """
    inputs = torch.randn(shape)
    keywords: dict[str, Any] = {}
    if mask is not None:
        keywords["mask"] = mask
    if states is not None:
        keywords["initial_state"] = [torch.randn(each) for each in states]
    ours = make(layers)
    symbol = ours(layers.Input(batch_shape=(None, None, *shape[2:])))
    ours.set_weights([np.random.randn(*each.shape) * 0.5 for each in ours.get_weights()])
    theirs = make(keras.layers)
    theirs(inputs)
    theirs.set_weights(ours.get_weights())
    check_values(ours, theirs, inputs, keywords)
    check_symbol(symbol, ours(inputs))
    check_copy(ours, inputs, keywords)


def check_values(ours: Any, theirs: Any, inputs: Tensor, keywords: dict[str, Any]) -> None:
    ours.eval()
    mine, my_gradients = evaluated(ours, inputs, keywords)
    ours_as_keras = copy.deepcopy(ours)
    for parameter, twin in zip(ours.parameters(), ours_as_keras.parameters(), strict=True):
        twin.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    yours, your_gradients = evaluated(theirs, inputs, keywords)
    assert len(mine) == len(yours)
    for index, (a, b) in enumerate(zip(mine, yours, strict=True)):
        close(a, b, f"output {index}")
    for a, b in zip(my_gradients, your_gradients, strict=True):
        close(a, b, "gradient of an input or a state")
    for weight, variable in zip(ours_as_keras.get_weights(), theirs.trainable_weights, strict=True):
        close(torch.as_tensor(weight), variable.value.grad, f"gradient of {variable.path}")


def evaluated(layer: Any, inputs: Tensor, keywords: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """What a layer returns, and the gradients of a fixed sum of it by the input and the states."""

    def leaf(value: Any) -> Any:
        return value.clone().requires_grad_() if value.is_floating_point() else value

    inputs, keywords = leaf(inputs), map_leaves(leaf, keywords)
    outputs = list(leaves(layer(inputs, **keywords)))
    torch.manual_seed(1)
    sum((each * torch.randn(each.shape)).sum() for each in outputs).backward()
    sources = [each for each in leaves((inputs, keywords)) if each.requires_grad]
    return [each.detach() for each in outputs], [each.grad for each in sources]


def check_symbol(symbol: Any, output: Any) -> None:
    """The symbol's shape, where batch and time are unknown, fits the output's."""
    pairs = list(zip(leaves(symbol), leaves(output), strict=True))
    for known, real in pairs:
        assert known.dtype == real.dtype
        assert known.spec.shape[0] is None
        assert all(a == b for a, b in zip(known.spec.shape, real.shape, strict=True) if a is not None)


def check_copy(layer: Any, inputs: Tensor, keywords: dict[str, Any]) -> None:
    """A layer made from its config, through JSON, and given its weights returns the same."""
    written = json.loads(json.dumps(described(layer, layer.name)))
    twin = made(written, "layer").eval()
    twin(inputs)
    assert [each.shape for each in twin.get_weights()] == [each.shape for each in layer.get_weights()]
    twin.set_weights(layer.get_weights())
    equal(twin(inputs, **keywords), layer(inputs, **keywords), 0)
    equal(copy.deepcopy(layer)(inputs, **keywords), layer(inputs, **keywords), 0)


def check_compiled(layer: Any, inputs: Tensor, **keywords: Any) -> None:
    """What a compiled layer returns is what the layer returns, and nothing interrupts its graph."""
    layer(inputs)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    equal(compiled(inputs, **keywords), layer(inputs, **keywords), 1e-6)


def equal(a: Any, b: Any, tolerance: float = TOLERANCE) -> None:
    for x, y in zip(leaves(a), leaves(b), strict=True):
        close(x, y, "output", tolerance)


def close(a: Tensor, b: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    assert a.shape == b.shape, f"{what}: {tuple(a.shape)} and {tuple(b.shape)}"
    difference = (a - b).abs().max().item() if a.numel() else 0.0
    assert difference <= tolerance, f"{what} differs by {difference}"
