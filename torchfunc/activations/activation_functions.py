"""Activation functions by Keras's names and with Keras's mathematics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import config, registry
from torchfunc.arrays_in import tensor_of

Activation = Callable[[Tensor], Tensor]


@registry.activations.register()
def relu(
    x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """`max(x, 0)`; below `threshold` the slope is `negative_slope`, above `max_value` it is flat."""
    x = x if type(x) is Tensor else tensor_of(x)
    if max_value is None and threshold == 0.0:
        return F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    above = torch.where(x > threshold, x, torch.zeros_like(x))
    if max_value is not None:
        above = above.clamp(0.0, max_value)
    return above - negative_slope * torch.relu(threshold - x) if negative_slope else above


@registry.activations.register()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below. Keras's slope is 0.2, PyTorch's 0.01."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.leaky_relu(x, negative_slope)


@registry.activations.register()
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.relu6(x)


@registry.activations.register()
def softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along one axis, several, or (None) all of them."""
    x = x if type(x) is Tensor else tensor_of(x)
    if isinstance(axis, int):
        return torch.softmax(x, axis)
    return log_softmax(x, axis).exp()


@registry.activations.register()
def log_softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """`log(softmax(x))`, computed in one go so that nothing underflows."""
    x = x if type(x) is Tensor else tensor_of(x)
    if isinstance(axis, int):
        return torch.log_softmax(x, axis)
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
    return x - torch.logsumexp(x, axes, keepdim=True)


@registry.activations.register()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.elu(x, alpha)


@registry.activations.register()
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` below."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.celu(x, alpha)


@registry.activations.register()
def selu(x: Tensor) -> Tensor:
    """The `elu` whose scale and alpha keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.selu(x)


@registry.activations.register()
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal X; `approximate` takes the tanh formula."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.gelu(x, approximate="tanh" if approximate else "none")


@registry.activations.register()
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """One half of `x` times the sigmoid of the other half."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.glu(x, axis)


@registry.activations.register("silu", "swish")
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.silu(x)


swish = silu


@registry.activations.register()
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.mish(x)


@registry.activations.register()
def softplus(x: Tensor) -> Tensor:
    """`log(exp(x) + 1)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softplus(x)


@registry.activations.register()
def softsign(x: Tensor) -> Tensor:
    """`x / (abs(x) + 1)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softsign(x)


@registry.activations.register()
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x^2 + b)) / 2`, a softplus without exponentials."""
    x = x if type(x) is Tensor else tensor_of(x)
    return (x + torch.sqrt(x * x + b)) / 2


@registry.activations.register()
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` drawn towards zero by `threshold`, and zero within it."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softshrink(x, threshold)


@registry.activations.register()
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` outside `threshold`, zero within it."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardshrink(x, threshold)


@registry.activations.register()
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.tanhshrink(x)


@registry.activations.register()
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.threshold(x, threshold, default_value)


@registry.activations.register()
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.tanh(x)


@registry.activations.register()
def hard_tanh(x: Tensor) -> Tensor:
    """`x` held between -1 and 1."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardtanh(x)


@registry.activations.register()
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.sigmoid(x)


@registry.activations.register()
def hard_sigmoid(x: Tensor) -> Tensor:
    """`x / 6 + 1 / 2` held between 0 and 1."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardsigmoid(x)


@registry.activations.register()
def log_sigmoid(x: Tensor) -> Tensor:
    """`log(sigmoid(x))`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.logsigmoid(x)


@registry.activations.register()
def sparse_sigmoid(x: Tensor) -> Tensor:
    """`(x + 1) / 2` held between 0 and 1."""
    x = x if type(x) is Tensor else tensor_of(x)
    return (0.5 * (x + 1)).clamp(0.0, 1.0)


@registry.activations.register()
def sparse_plus(x: Tensor) -> Tensor:
    """Zero up to -1, `x` from 1 on, and a quarter of `(x + 1)^2` between."""
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.where(x < 1, 0.25 * (x + 1).clamp(min=0.0).square(), x)


@registry.activations.register("hard_silu", "hard_swish")
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardswish(x)


hard_swish = hard_silu


@registry.activations.register()
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`."""
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.exp(x)


@registry.activations.register()
def linear(x: Tensor) -> Tensor:
    """`x` itself."""
    return x if type(x) is Tensor else tensor_of(x)


@registry.activations.register()
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest point of the probability simplex: a softmax with exact zeros.

    Source: Martins and Astudillo 2016, algorithm 1.
    """
    x = x if type(x) is Tensor else tensor_of(x)
    ordered = x.sort(dim=axis, descending=True).values
    excess = ordered.cumsum(axis) - 1
    rank = torch.arange(1, x.shape[axis] + 1, device=x.device, dtype=x.dtype)
    rank = rank.view([-1 if d == axis % x.ndim else 1 for d in range(x.ndim)])
    support = (rank * ordered > excess).sum(axis, keepdim=True)
    return torch.relu(x - excess.gather(axis, support - 1) / support)


# Only functions whose gradient PyTorch computes from their result, so that overwriting the argument loses
# nothing and changes no bit.
_IN_PLACE: dict[Activation, Activation] = {
    relu: torch.relu_,
    leaky_relu: partial(F.leaky_relu_, negative_slope=0.2),
    relu6: partial(F.hardtanh_, min_val=0.0, max_val=6.0),
    tanh: torch.tanh_,
    hard_tanh: F.hardtanh_,
    sigmoid: torch.sigmoid_,
    exponential: torch.exp_,
}


def in_place(function: Activation) -> Activation:
    """The twin of `function` that overwrites its argument, or `function` itself where there is none.

    The twin may only be given a fresh tensor: one that nothing else holds, and whose own gradient
    does not need its value (the result of a matmul, a convolution or a sum does not).
    """
    return _IN_PLACE.get(function, function)


def get(identifier: Any) -> Activation:
    """The activation for a name, a config, a module class or any callable; None is `linear`.

    Raises:
        UnknownNameError: a name that is no activation, with the nearest one that is.
    """
    if identifier is None:
        return linear
    found: Activation = config.find(identifier, registry.activations)
    return found


def serialize(activation: Any) -> Any:
    """The name of an activation function; a config for an object that has one.

    Raises:
        SavingError: a function without a name.
    """
    return config.serialize(activation, registry.activations)


def deserialize(config: str | Mapping[str, Any]) -> Activation:
    """What `serialize` wrote."""
    return get(config)
