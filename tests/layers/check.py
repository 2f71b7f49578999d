"""The laws that every layer keeps, checked for one layer, its arguments and its inputs at a time."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import torch
from torch import Tensor

from torchfunc import layers
from torchfunc.tree import leaves, map_leaves

TOLERANCE = 1e-5
PERMUTATIONS = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


@dataclass
class Case:
    """One row of the table.

    Attributes:
        kind: the name of the class, the same in Keras and here.
        arguments: what its constructor is given, the same in both.
        inputs: the shape of its input with the batch, or a list of shapes for several.
        integers: the inputs are whole numbers below this one.
        random: it draws random numbers in training, so that only inference is compared.
        oracle: the truth where Keras's is wrong: (layer, inputs) -> output, in float64.
        mask: the shape of a mask to call it with.
        keras_arguments: the arguments of the Keras twin where they differ.
    """

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: Any = (2, 4)
    integers: int | None = None
    random: bool = False
    oracle: Callable[..., Any] | None = None
    mask: tuple[int, ...] | None = None
    keras_arguments: dict[str, Any] | None = None

    def __str__(self) -> str:
        arguments = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        masked = ",masked" if self.mask else ""
        return f"{self.kind}({arguments}){self.inputs}{masked}".replace(" ", "")

    def layer(self) -> Any:
        return getattr(layers, self.kind)(**self.arguments)


def check_layer(case: Case) -> None:
    """Compare a layer with its Keras twin, its symbol, its copy, its compiled and its other form."""
    generator = torch.Generator().manual_seed(0)
    inputs = drawn(case, generator)
    layer = case.layer()
    symbol = layer(symbolic(case, inputs))
    give_weights(layer, generator)
    check_against_truth(case, layer, inputs, generator)
    layer.eval()
    output = called(case, layer, inputs)
    check_symbol(symbol, output)
    check_config(case, layer, inputs, output)
    check_copies(case, layer, inputs, output)
    check_batches(case, layer, inputs, output)
    check_compiled(case, layer, inputs, output)
    if "data_format" in layer.get_config() and case.kind != "Flatten" and not along_an_axis(case):
        check_data_formats(case, layer, inputs, output)


def along_an_axis(case: Case) -> bool:
    """Whether the activation works along the last axis, which is another one in the other data format."""
    return case.arguments.get("activation") in ("softmax", "glu")


def drawn(case: Case, generator: torch.Generator) -> Any:
    """Inputs of the shapes in the row: normal numbers, or whole ones below `integers`."""

    def one(shape: tuple[int, ...]) -> Tensor:
        if case.integers is not None:
            return torch.randint(case.integers, shape, generator=generator)
        return torch.randn(shape, generator=generator)

    return [one(shape) for shape in case.inputs] if isinstance(case.inputs, list) else one(case.inputs)


def symbolic(case: Case, inputs: Any) -> Any:
    return map_leaves(lambda x: layers.Input(x.shape[1:], dtype=x.dtype), inputs)


def give_weights(layer: Any, generator: torch.Generator) -> None:
    """Random weights, so that a weight in the wrong place shows; variances must not be negative."""
    weights = [torch.randn(each.shape, generator=generator).numpy() for each in layer.get_weights()]
    if hasattr(layer, "running_var"):
        weights[-1] = np.abs(weights[-1]) + 0.1
    layer.set_weights(weights)


def called(case: Case, layer: Any, inputs: Any, **kwargs: Any) -> Any:
    if case.mask is not None:
        kwargs["mask"] = mask_of(case)
    return layer(inputs, **kwargs)


def mask_of(case: Case) -> Tensor:
    assert case.mask is not None
    return torch.arange(int(np.prod(case.mask))).reshape(case.mask) % 3 != 0


def twin_of(case: Case, layer: Any, inputs: Any) -> Any:
    """The Keras layer with the same arguments and weights."""
    arguments = case.arguments if case.keras_arguments is None else case.keras_arguments
    twin = getattr(keras.layers, case.kind)(**arguments)
    shapes = map_leaves(lambda x: tuple(x.shape), inputs)
    if not twin.built:
        twin.build(shapes)
    theirs = [tuple(each.shape) for each in twin.weights if "seed" not in each.path]
    assert [each.shape for each in layer.get_weights()] == theirs
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in theirs)
    for variable, value in zip(twin.weights, layer.get_weights(), strict=False):
        variable.assign(value)
    return twin


def check_against_truth(case: Case, layer: Any, inputs: Any, generator: torch.Generator) -> None:
    """Output, input gradients and weight gradients equal those of Keras or the oracle, in both modes."""
    for training in (False,) if case.random else (False, True):
        layer.train(training)
        ours, our_gradients = output_and_gradients(case, layer, lambda x: called(case, layer, x), inputs)
        if case.oracle is not None:
            theirs, their_gradients = by_oracle(case, layer, inputs)
            moved = None
        else:
            theirs, their_gradients, moved = by_keras(case, layer, inputs, training)
        close(ours, theirs, "output")
        for index, (mine, yours) in enumerate(zip(our_gradients, their_gradients, strict=True)):
            close(mine, yours, f"gradient {index}")
        if moved is not None:
            for mine, yours in zip(layer.get_weights(), moved, strict=True):
                close(mine, yours, "weights afterwards")


def output_and_gradients(case: Case, layer: Any, function: Any, inputs: Any) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of a weighting of it: inputs first, then weights in Keras's layout."""
    given = map_leaves(lambda x: x.clone().requires_grad_(x.is_floating_point()), inputs)
    layer.zero_grad()
    output = function(given)
    moving = [x for x in leaves(given) if x.requires_grad]
    trained = [(n, p) for n, p in layer.named_parameters() if p.requires_grad]
    if output.requires_grad:
        (output * weighting(output)).sum().backward()
    gradients = [zeros_for(x) for x in moving]
    for name, parameter in trained:
        gradients.append(layer.keras_view(name, zeros_for(parameter)))
    return output.detach(), gradients


def weighting(output: Tensor) -> Tensor:
    """Eighths from -3/8 to 3/8, whose sums have no rounding error, so that what differs is the layer."""
    return ((torch.arange(output.numel()) % 7 - 3) / 8).to(output.dtype).reshape(output.shape)


def zeros_for(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.grad is None else x.grad


def by_keras(case: Case, layer: Any, inputs: Any, training: bool) -> tuple[Tensor, list[Tensor], Any]:
    """Keras's output, gradients, and weights after the call; our own weights before the call are its own."""
    twin = twin_of(case, layer if not training else layer_before(case, layer), inputs)
    given = map_leaves(lambda x: x.clone().requires_grad_(x.is_floating_point()), inputs)
    kwargs: dict[str, Any] = {} if case.mask is None else {"mask": mask_of(case)}
    if training and "training" in twin._call_signature.parameters:
        kwargs["training"] = True
    output = twin(given, **kwargs)
    if output.requires_grad:
        (output * weighting(output)).sum().backward()
    gradients = [zeros_for(x) for x in leaves(given) if x.requires_grad]
    gradients += [zeros_for(each.value) for each in twin.trainable_weights]
    weights = [each.value.detach().numpy() for each in twin.weights if "seed" not in each.path]
    return output.detach(), gradients, weights


def layer_before(case: Case, layer: Any) -> Any:
    """The layer as it was before its one call in training mode: with its moving averages one step back."""
    if not hasattr(layer, "running_var"):
        return layer
    before = case.layer()
    before(layers.Input(case.inputs[1:]))
    generator = torch.Generator().manual_seed(0)
    drawn(case, generator)
    give_weights(before, generator)
    return before


def by_oracle(case: Case, layer: Any, inputs: Any) -> tuple[Tensor, list[Tensor]]:
    """The oracle's output and gradients, computed on a copy of the layer: inputs first, then weights."""
    layer = copy.deepcopy(layer)
    layer.zero_grad()
    given = map_leaves(lambda x: x.double().requires_grad_(), inputs)
    output = case.oracle(layer, given)  # type: ignore[misc]
    (output * weighting(output)).sum().backward()
    gradients = [x.grad.float() for x in leaves(given)]
    gradients += [layer.keras_view(name, zeros_for(each)) for name, each in layer.named_parameters()]
    return output.detach().float(), gradients


def close(mine: Any, yours: Any, what: str) -> None:
    """Equal within 1e-5 of the largest number that is compared."""
    mine, yours = np.asarray(mine), np.asarray(yours)
    assert mine.shape == yours.shape, f"{what}: {mine.shape} and {yours.shape}"
    scale = max(1.0, float(np.abs(yours).max()) if yours.size else 1.0)
    np.testing.assert_allclose(mine / scale, yours / scale, atol=TOLERANCE, rtol=0, err_msg=what)


def check_symbol(symbol: Any, output: Tensor) -> None:
    """What was said while the graph was built is what comes out: with an unknown batch."""
    assert symbol.shape == (None, *output.shape[1:])
    assert symbol.dtype == output.dtype


def check_config(case: Case, layer: Any, inputs: Any, output: Tensor) -> None:
    """A layer made from the config as JSON has the same config, and with the same weights the same output."""
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    assert json.loads(json.dumps(twin.get_config())) == config
    twin(symbolic(case, inputs))
    twin.load_state_dict(layer.state_dict())
    twin.eval()
    torch.testing.assert_close(called(case, twin, inputs), output, rtol=0, atol=0)


def check_copies(case: Case, layer: Any, inputs: Any, output: Tensor) -> None:
    """A deep copy and a pickled layer give the same output, and share no weights with the original."""
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(called(case, twin, inputs), output, rtol=0, atol=0)
        assert not {id(each) for each in twin.weights} & {id(each) for each in layer.weights}


def check_batches(case: Case, layer: Any, inputs: Any, output: Tensor) -> None:
    """A sample's output does not depend on how many are in the batch."""
    if case.mask is None:
        one = layer(map_leaves(lambda x: x[:1], inputs))
        torch.testing.assert_close(one, output[:1], rtol=1e-5, atol=1e-6)


def check_compiled(case: Case, layer: Any, inputs: Any, output: Tensor) -> None:
    """One whole graph under torch.compile, with the same output."""
    torch._dynamo.reset()
    layer._losses = ()  # what a training step has read, it forgets
    compiled = torch.compile(layer, fullgraph=True, backend="eager", dynamic=False)
    torch.testing.assert_close(called(case, compiled, inputs), output, rtol=0, atol=1e-6)
    if case.random:
        assert called(case, compiled, inputs, training=True).shape == output.shape


def check_data_formats(case: Case, layer: Any, inputs: Tensor, output: Tensor) -> None:
    """With the channels in the other place, the same weights give the same output."""
    config = layer.get_config()
    other = type(layer).from_config({**config, "data_format": "channels_first"})
    swapped = inputs.permute(PERMUTATIONS[inputs.ndim]).contiguous()
    if config["data_format"] == "channels_first":
        other = type(layer).from_config({**config, "data_format": "channels_last"})
        swapped = inputs.permute(np.argsort(PERMUTATIONS[inputs.ndim]).tolist()).contiguous()
    symbol = other(layers.Input(swapped.shape[1:]))
    other.set_weights(layer.get_weights())
    result = called(case, other.eval(), swapped)
    check_symbol(symbol, result)
    if result.ndim > 2:
        order = PERMUTATIONS[result.ndim]
        result = result.permute(
            np.argsort(order).tolist() if config["data_format"] == "channels_last" else order
        )
    close(result.detach(), output.detach(), "the other data format")
