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
    """`max(x, 0)`; below `threshold` the slope is `negative_slope`, above `max_value` it is flat.

    Args:
        x: a tensor, or numbers that become one.
        negative_slope: below `threshold` the value is `negative_slope * (x - threshold)`.
        max_value: the greatest value; None for no bound.
        threshold: from where on `x` is passed as it is.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.relu([-2.0, 0.5, 8.0])
        tensor([0.0000, 0.5000, 8.0000])
        >>> tf.activations.relu([-2.0, 0.5, 8.0], negative_slope=0.1, max_value=6.0, threshold=1.0)
        tensor([-0.3000, -0.0500,  6.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    if max_value is None and threshold == 0.0:
        return F.leaky_relu(x, negative_slope) if negative_slope else torch.relu(x)
    above = torch.where(x > threshold, x, torch.zeros_like(x))
    if max_value is not None:
        above = above.clamp(0.0, max_value)
    return above - negative_slope * torch.relu(threshold - x) if negative_slope else above


@registry.activations.register()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below. Keras's slope is 0.2, PyTorch's 0.01.

    Args:
        x: a tensor, or numbers that become one.
        negative_slope: the slope below zero.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.leaky_relu([-1.0, 2.0])
        tensor([-0.2000,  2.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.leaky_relu(x, negative_slope)


@registry.activations.register()
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.relu6([-1.0, 2.0, 8.0])
        tensor([0., 2., 6.])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.relu6(x)


@registry.activations.register()
def softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along one axis, several, or (None) all of them.

    Args:
        x: logits: a tensor, or numbers that become one.
        axis: the axis, or axes, along which the result sums to 1; None for all.

    Returns:
        A tensor of the shape of `x`: probabilities.

    Example:
        >>> tf.activations.softmax([0.0, 1.0])
        tensor([0.2689, 0.7311])
        >>> tf.activations.softmax([[0.0, 0.0], [0.0, 0.0]], axis=None)
        tensor([[0.2500, 0.2500],
                [0.2500, 0.2500]])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    if isinstance(axis, int):
        return torch.softmax(x, axis)
    return log_softmax(x, axis).exp()


@registry.activations.register()
def log_softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """`log(softmax(x))`, computed in one go so that nothing underflows.

    Args:
        x: logits: a tensor, or numbers that become one.
        axis: the axis of the classes, several, or None for all.

    Returns:
        A tensor of the shape of `x`: logarithms of probabilities, in nats.

    Example:
        >>> tf.activations.log_softmax([0.0, 0.0, -1000.0])
        tensor([-6.9315e-01, -6.9315e-01, -1.0007e+03])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    if isinstance(axis, int):
        return torch.log_softmax(x, axis)
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
    return x - torch.logsumexp(x, axes, keepdim=True)


@registry.activations.register()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below.

    Args:
        x: a tensor, or numbers that become one.
        alpha: minus the value that is approached far below zero.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.elu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.elu(x, alpha)


@registry.activations.register()
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` below.

    Args:
        x: a tensor, or numbers that become one.
        alpha: minus the value that is approached far below zero.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.celu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.celu(x, alpha)


@registry.activations.register()
def selu(x: Tensor) -> Tensor:
    """The `elu` whose scale and alpha keep mean 0 and variance 1 (Klambauer et al. 2017).

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`: `1.0507 * x` above zero, `1.7581 * (exp(x) - 1)` below.

    Example:
        >>> tf.activations.selu([-1.0, 2.0])
        tensor([-1.1113,  2.1014])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.selu(x)


@registry.activations.register()
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal X; `approximate` takes the tanh formula.

    Args:
        x: a tensor, or numbers that become one.
        approximate: whether it is `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.gelu([-1.0, 0.0, 2.0])
        tensor([-0.1587,  0.0000,  1.9545])
        >>> tf.activations.gelu([-1.0, 0.0, 2.0], approximate=True)
        tensor([-0.1588,  0.0000,  1.9546])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.gelu(x, approximate="tanh" if approximate else "none")


@registry.activations.register()
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """One half of `x` times the sigmoid of the other half.

    Args:
        x: a tensor of floating numbers, of even size along `axis`.
        axis: the axis that is halved: what comes first is multiplied by the sigmoid of the rest.

    Returns:
        A tensor with half the size along `axis`.

    Example:
        >>> tf.activations.glu([6.0, 8.0, 0.0, 100.0])  # 6 * sigmoid(0), 8 * sigmoid(100)
        tensor([3., 8.])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.glu(x, axis)


@registry.activations.register("silu", "swish")
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.silu([-1.0, 0.0, 2.0])
        tensor([-0.2689,  0.0000,  1.7616])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.silu(x)


swish = silu


@registry.activations.register()
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.mish([-1.0, 0.0, 2.0])
        tensor([-0.3034,  0.0000,  1.9440])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.mish(x)


@registry.activations.register()
def softplus(x: Tensor) -> Tensor:
    """`log(exp(x) + 1)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, above 0.

    Example:
        >>> tf.activations.softplus([-1.0, 0.0, 100.0])
        tensor([  0.3133,   0.6931, 100.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softplus(x)


@registry.activations.register()
def softsign(x: Tensor) -> Tensor:
    """`x / (abs(x) + 1)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, between -1 and 1.

    Example:
        >>> tf.activations.softsign([-1.0, 0.0, 3.0])
        tensor([-0.5000,  0.0000,  0.7500])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softsign(x)


@registry.activations.register()
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x^2 + b)) / 2`, a softplus without exponentials.

    Args:
        x: a tensor, or numbers that become one.
        b: how round the bend is: the value at 0 is `sqrt(b) / 2`.

    Returns:
        A tensor of the shape of `x`, above 0.

    Example:
        >>> tf.activations.squareplus([-1.0, 0.0, 3.0])
        tensor([0.6180, 1.0000, 3.3028])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return (x + torch.sqrt(x * x + b)) / 2


@registry.activations.register()
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` drawn towards zero by `threshold`, and zero within it.

    Args:
        x: a tensor, or numbers that become one.
        threshold: how far numbers move.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.soft_shrink([-1.0, 0.2, 2.0])
        tensor([-0.5000,  0.0000,  1.5000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.softshrink(x, threshold)


@registry.activations.register()
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` outside `threshold`, zero within it.

    Args:
        x: a tensor, or numbers that become one.
        threshold: the absolute value up to which numbers become 0.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.hard_shrink([-1.0, 0.2, 2.0])
        tensor([-1.,  0.,  2.])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardshrink(x, threshold)


@registry.activations.register()
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.tanh_shrink([-1.0, 0.0, 2.0])
        tensor([-0.2384,  0.0000,  1.0360])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.tanhshrink(x)


@registry.activations.register()
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere.

    Args:
        x: a tensor, or numbers that become one.
        threshold: what `x` must exceed to be passed.
        default_value: what stands for the rest.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.threshold([0.5, 1.5], threshold=1.0, default_value=-1.0)
        tensor([-1.0000,  1.5000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.threshold(x, threshold, default_value)


@registry.activations.register()
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, from -1 to 1.

    Example:
        >>> tf.activations.tanh([-1.0, 0.0, 2.0])
        tensor([-0.7616,  0.0000,  0.9640])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.tanh(x)


@registry.activations.register()
def hard_tanh(x: Tensor) -> Tensor:
    """`x` held between -1 and 1.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.hard_tanh([-4.0, 0.5, 4.0])
        tensor([-1.0000,  0.5000,  1.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardtanh(x)


@registry.activations.register()
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, from 0 to 1.

    Example:
        >>> tf.activations.sigmoid([-1.0, 0.0, 1.0])
        tensor([0.2689, 0.5000, 0.7311])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.sigmoid(x)


@registry.activations.register()
def hard_sigmoid(x: Tensor) -> Tensor:
    """`x / 6 + 1 / 2` held between 0 and 1.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, from 0 (where `x` is -3 or less) to 1 (where it is 3 or more).

    Example:
        >>> tf.activations.hard_sigmoid([-4.0, 0.0, 1.5])
        tensor([0.0000, 0.5000, 0.7500])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardsigmoid(x)


@registry.activations.register()
def log_sigmoid(x: Tensor) -> Tensor:
    """`log(sigmoid(x))`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`, finite where the sigmoid is 0 as a float.

    Example:
        >>> tf.activations.log_sigmoid([-200.0, 0.0])
        tensor([-200.0000,   -0.6931])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.logsigmoid(x)


@registry.activations.register()
def sparse_sigmoid(x: Tensor) -> Tensor:
    """`(x + 1) / 2` held between 0 and 1.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.sparse_sigmoid([-2.0, 0.5, 3.0])
        tensor([0.0000, 0.7500, 1.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return (0.5 * (x + 1)).clamp(0.0, 1.0)


@registry.activations.register()
def sparse_plus(x: Tensor) -> Tensor:
    """Zero up to -1, `x` from 1 on, and a quarter of `(x + 1)^2` between.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.sparse_plus([-2.0, 0.0, 3.0])
        tensor([0.0000, 0.2500, 3.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.where(x < 1, 0.25 * (x + 1).clamp(min=0.0).square(), x)


@registry.activations.register("hard_silu", "hard_swish")
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`: 0 up to -3, `x` itself from 3 on.

    Example:
        >>> tf.activations.hard_silu([-4.0, -1.5, 4.0])
        tensor([-0.0000, -0.3750,  4.0000])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return F.hardswish(x)


hard_swish = hard_silu


@registry.activations.register()
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.exponential([0.0, 1.0])
        tensor([1.0000, 2.7183])
    """
    x = x if type(x) is Tensor else tensor_of(x)
    return torch.exp(x)


@registry.activations.register()
def linear(x: Tensor) -> Tensor:
    """`x` itself.

    Args:
        x: a tensor, or numbers that become one.

    Returns:
        The same tensor.

    Example:
        >>> tf.activations.linear([-1.0, 2.0])
        tensor([-1.,  2.])
    """
    return x if type(x) is Tensor else tensor_of(x)


@registry.activations.register()
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest point of the probability simplex: a softmax with exact zeros.

    Source: Martins and Astudillo 2016, algorithm 1.

    Args:
        x: a tensor, or numbers that become one.
        axis: the axis along which the result sums to 1.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> tf.activations.sparsemax([1.0, 0.8, -1.0])
        tensor([0.6000, 0.4000, 0.0000])
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

    Args:
        function: an activation, such as `relu`.

    Returns:
        A function from a tensor to the same tensor with new values, or `function`.

    Example:
        >>> x = torch.tensor([-1.0, 2.0])
        >>> tf.activations.in_place(tf.activations.relu)(x) is x, x
        (True, tensor([0., 2.]))
        >>> tf.activations.in_place(tf.activations.gelu) is tf.activations.gelu  # it has no twin
        True
    """
    return _IN_PLACE.get(function, function)


def get(identifier: Any) -> Activation:
    """The activation for a name, a config, a module class or any callable; None is `linear`.

    Args:
        identifier: `"relu"`, `{"class_name": ..., "config": {...}}`, `nn.GELU`, a function or an object that is called.

    Returns:
        What is called on a tensor and gives a tensor.

    Raises:
        UnknownNameError: a name that is no activation, with the nearest one that is.

    Example:
        >>> tf.activations.get("relu") is tf.activations.relu, tf.activations.get(None) is tf.activations.linear
        (True, True)
    """
    if identifier is None:
        return linear
    found: Activation = config.find(identifier, registry.activations)
    return found


def serialize(activation: Any) -> Any:
    """The name of an activation function; a config for an object that has one.

    Args:
        activation: what `get` gives.

    Returns:
        A string, or `{"class_name": ..., "config": {...}}`.

    Raises:
        SavingError: a function without a name.

    Example:
        >>> tf.activations.serialize(tf.activations.softmax)
        'softmax'
    """
    return config.serialize(activation, registry.activations)


def deserialize(config: str | Mapping[str, Any]) -> Activation:
    """What `serialize` wrote.

    Args:
        config: a name, or `{"class_name": ..., "config": {...}}`.

    Returns:
        The activation, as `get` gives it.

    Example:
        >>> tf.activations.deserialize("gelu") is tf.activations.gelu
        True
    """
    return get(config)
