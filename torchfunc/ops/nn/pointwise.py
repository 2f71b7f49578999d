"""Activations as ops: Keras's names and defaults, on tensors, arrays and symbols."""

from __future__ import annotations

from torch import Tensor

from torchfunc import activations
from torchfunc.ops.conversion import Array, Axis, to_tensor
from torchfunc.ops.op import op


@op
def relu(x: Array) -> Tensor:
    """`max(x, 0)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.relu([-1.0, 2.0])
        tensor([0., 2.])
    """
    return to_tensor(x).relu()


@op
def relu6(x: Array) -> Tensor:
    """`min(max(x, 0), 6)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.relu6([-1.0, 2.0, 8.0])
        tensor([0., 2., 6.])
    """
    return activations.relu6(to_tensor(x))


@op
def sigmoid(x: Array) -> Tensor:
    """`1 / (1 + exp(-x))`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sigmoid([0.0, 2.0])
        tensor([0.5000, 0.8808])
    """
    return activations.sigmoid(to_tensor(x))


@op
def sparse_sigmoid(x: Array) -> Tensor:
    """`(x + 1) / 2` held between 0 and 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sparse_sigmoid([-2.0, 0.0, 2.0])
        tensor([0.0000, 0.5000, 1.0000])
    """
    return activations.sparse_sigmoid(to_tensor(x))


@op
def softplus(x: Array) -> Tensor:
    """`log(exp(x) + 1)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.softplus([0.0, 2.0])
        tensor([0.6931, 2.1269])
    """
    return activations.softplus(to_tensor(x))


@op
def softsign(x: Array) -> Tensor:
    """`x / (abs(x) + 1)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.softsign([-1.0, 3.0])
        tensor([-0.5000,  0.7500])
    """
    return activations.softsign(to_tensor(x))


@op
def sparse_plus(x: Array) -> Tensor:
    """Zero up to -1, `x` from 1 on, and a quarter of `(x + 1)^2` between.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sparse_plus([-2.0, 0.0, 2.0])
        tensor([0.0000, 0.2500, 2.0000])
    """
    return activations.sparse_plus(to_tensor(x))


@op
def silu(x: Array) -> Tensor:
    """`x * sigmoid(x)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.silu([0.0, 2.0])
        tensor([0.0000, 1.7616])
    """
    return activations.silu(to_tensor(x))


swish = silu


@op
def log_sigmoid(x: Array) -> Tensor:
    """`log(sigmoid(x))`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log_sigmoid([0.0, 2.0])
        tensor([-0.6931, -0.1269])
    """
    return activations.log_sigmoid(to_tensor(x))


@op
def hard_sigmoid(x: Array) -> Tensor:
    """`x / 6 + 1 / 2` held between 0 and 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.hard_sigmoid([-1.0, 0.0, 1.5])
        tensor([0.3333, 0.5000, 0.7500])
    """
    return activations.hard_sigmoid(to_tensor(x))


@op
def hard_silu(x: Array) -> Tensor:
    """`x * hard_sigmoid(x)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.hard_silu([-1.0, 0.0, 1.5])
        tensor([-0.3333,  0.0000,  1.1250])
    """
    return activations.hard_silu(to_tensor(x))


hard_swish = hard_silu


@op
def selu(x: Array) -> Tensor:
    """The `elu` that keeps mean 0 and variance 1 (Klambauer et al. 2017).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.selu([-1.0, 2.0])
        tensor([-1.1113,  2.1014])
    """
    return activations.selu(to_tensor(x))


@op
def tanh_shrink(x: Array) -> Tensor:
    """`x - tanh(x)`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.tanh_shrink([0.0, 2.0])
        tensor([0.0000, 1.0360])
    """
    return activations.tanh_shrink(to_tensor(x))


@op
def hard_tanh(x: Array) -> Tensor:
    """`x` held between -1 and 1.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.hard_tanh([-3.0, 0.5])
        tensor([-1.0000,  0.5000])
    """
    return activations.hard_tanh(to_tensor(x))


@op
def soft_shrink(x: Array, threshold: float = 0.5) -> Tensor:
    """`x` drawn towards zero by `threshold`, and zero within it.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        threshold: the border.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.soft_shrink([-2.0, 0.2, 1.0])
        tensor([-1.5000,  0.0000,  0.5000])
    """
    return activations.soft_shrink(to_tensor(x), threshold)


@op
def hard_shrink(x: Array, threshold: float = 0.5) -> Tensor:
    """`x` outside `threshold`, zero within it.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        threshold: the border.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.hard_shrink([-2.0, 0.2, 1.0])
        tensor([-2.,  0.,  1.])
    """
    return activations.hard_shrink(to_tensor(x), threshold)


@op
def squareplus(x: Array, b: float = 4) -> Tensor:
    """`(x + sqrt(x^2 + b)) / 2`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        b: how smooth it is.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.squareplus([0.0, 2.0])
        tensor([1.0000, 2.4142])
    """
    return activations.squareplus(to_tensor(x), b)


@op
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        negative_slope: the slope below 0.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.leaky_relu([-1.0, 2.0])
        tensor([-0.2000,  2.0000])
    """
    return activations.leaky_relu(to_tensor(x), negative_slope)


@op
def elu(x: Array, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        alpha: what it falls to.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.elu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return activations.elu(to_tensor(x), alpha)


@op
def celu(x: Array, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` below.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        alpha: what it falls to.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.celu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return activations.celu(to_tensor(x), alpha)


@op
def gelu(x: Array, approximate: bool = True) -> Tensor:
    """`x * P(X <= x)` for a standard normal X, by the tanh formula unless told otherwise.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        approximate: whether the tanh stands for the bell curve.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.gelu([-1.0, 2.0])
        tensor([-0.1588,  1.9546])
    """
    return activations.gelu(to_tensor(x), approximate)


@op
def glu(x: Array, axis: int = -1) -> Tensor:
    """One half of `x` times the sigmoid of the other half.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis that is halved.

    Returns:
        A tensor that is half as long along `axis`.

    Example:
        >>> ops.glu([1.0, 2.0, 0.0, 0.0])
        tensor([0.5000, 1.0000])
    """
    return activations.glu(to_tensor(x), axis)


@op
def threshold(x: Array, threshold: float, default_value: float) -> Tensor:
    """`x` above `threshold`, `default_value` elsewhere.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        threshold: the border.
        default_value: what stands where it is not above the border.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.threshold([-1.0, 2.0], 0.5, -7.0)
        tensor([-7.,  2.])
    """
    return activations.threshold(to_tensor(x), threshold, default_value)


@op
def softmax(x: Array, axis: Axis = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along one axis, several, or (None) all of them.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.softmax([0.0, 0.0])
        tensor([0.5000, 0.5000])
    """
    return activations.softmax(to_tensor(x), axis)


@op
def log_softmax(x: Array, axis: Axis = -1) -> Tensor:
    """`log(softmax(x))`, computed in one go.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.log_softmax([0.0, 0.0])
        tensor([-0.6931, -0.6931])
    """
    return activations.log_softmax(to_tensor(x), axis)


@op
def sparsemax(x: Array, axis: int = -1) -> Tensor:
    """The nearest point of the probability simplex (Martins and Astudillo 2016).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.sparsemax([0.0, 0.5, 2.0])
        tensor([0., 0., 1.])
    """
    return activations.sparsemax(to_tensor(x), axis)
