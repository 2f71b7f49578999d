"""Activations as ops: Keras's names and defaults, on tensors, arrays and symbols."""

from __future__ import annotations

from torch import Tensor

from torchfunc import activations
from torchfunc.ops.conversion import Array, Axis, to_tensor
from torchfunc.ops.op import op


@op
def relu(x: Array) -> Tensor:
    """`max(x, 0)`."""
    return to_tensor(x).relu()


@op
def relu6(x: Array) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return activations.relu6(to_tensor(x))


@op
def sigmoid(x: Array) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return activations.sigmoid(to_tensor(x))


@op
def sparse_sigmoid(x: Array) -> Tensor:
    """`(x + 1) / 2` held between 0 and 1."""
    return activations.sparse_sigmoid(to_tensor(x))


@op
def softplus(x: Array) -> Tensor:
    """`log(exp(x) + 1)`."""
    return activations.softplus(to_tensor(x))


@op
def softsign(x: Array) -> Tensor:
    """`x / (abs(x) + 1)`."""
    return activations.softsign(to_tensor(x))


@op
def sparse_plus(x: Array) -> Tensor:
    """Zero up to -1, `x` from 1 on, and a quarter of `(x + 1)^2` between."""
    return activations.sparse_plus(to_tensor(x))


@op
def silu(x: Array) -> Tensor:
    """`x * sigmoid(x)`."""
    return activations.silu(to_tensor(x))


swish = silu


@op
def log_sigmoid(x: Array) -> Tensor:
    """`log(sigmoid(x))`."""
    return activations.log_sigmoid(to_tensor(x))


@op
def hard_sigmoid(x: Array) -> Tensor:
    """`x / 6 + 1 / 2` held between 0 and 1."""
    return activations.hard_sigmoid(to_tensor(x))


@op
def hard_silu(x: Array) -> Tensor:
    """`x * hard_sigmoid(x)`."""
    return activations.hard_silu(to_tensor(x))


hard_swish = hard_silu


@op
def selu(x: Array) -> Tensor:
    """The `elu` that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return activations.selu(to_tensor(x))


@op
def tanh_shrink(x: Array) -> Tensor:
    """`x - tanh(x)`."""
    return activations.tanh_shrink(to_tensor(x))


@op
def hard_tanh(x: Array) -> Tensor:
    """`x` held between -1 and 1."""
    return activations.hard_tanh(to_tensor(x))


@op
def soft_shrink(x: Array, threshold: float = 0.5) -> Tensor:
    """`x` drawn towards zero by `threshold`, and zero within it."""
    return activations.soft_shrink(to_tensor(x), threshold)


@op
def hard_shrink(x: Array, threshold: float = 0.5) -> Tensor:
    """`x` outside `threshold`, zero within it."""
    return activations.hard_shrink(to_tensor(x), threshold)


@op
def squareplus(x: Array, b: float = 4) -> Tensor:
    """`(x + sqrt(x^2 + b)) / 2`."""
    return activations.squareplus(to_tensor(x), b)


@op
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below."""
    return activations.leaky_relu(to_tensor(x), negative_slope)


@op
def elu(x: Array, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below."""
    return activations.elu(to_tensor(x), alpha)


@op
def celu(x: Array, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` below."""
    return activations.celu(to_tensor(x), alpha)


@op
def gelu(x: Array, approximate: bool = True) -> Tensor:
    """`x * P(X <= x)` for a standard normal X, by the tanh formula unless told otherwise."""
    return activations.gelu(to_tensor(x), approximate)


@op
def glu(x: Array, axis: int = -1) -> Tensor:
    """One half of `x` times the sigmoid of the other half."""
    return activations.glu(to_tensor(x), axis)


@op
def threshold(x: Array, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere."""
    return activations.threshold(to_tensor(x), threshold, default_value)


@op
def softmax(x: Array, axis: Axis = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along one axis, several, or (None) all of them."""
    return activations.softmax(to_tensor(x), axis)


@op
def log_softmax(x: Array, axis: Axis = -1) -> Tensor:
    """`log(softmax(x))`, computed in one go."""
    return activations.log_softmax(to_tensor(x), axis)


@op
def sparsemax(x: Array, axis: int = -1) -> Tensor:
    """The nearest point of the probability simplex (Martins and Astudillo 2016)."""
    return activations.sparsemax(to_tensor(x), axis)
