"""Scaling: what a mean, a variance, a norm or a weight of attention makes of a tensor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from torchfunc import settings
from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.ops.conversion import Array, Axis, axes_of, floating, kind_of, result_type, tensors, to_tensor
from torchfunc.ops.op import op

Maybe = Array | None


@op
def moments(
    x: Array, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean and the variance along axes; those of float16 are computed in float32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axes: the axes.
        keepdims: whether the axes that are reduced stay, with size 1.
        synchronized: must be False.

    Returns:
        Two tensors: the mean and the variance.

    Raises:
        GraphError: synchronized=True.

    Example:
        >>> ops.moments([1.0, 3.0], axes=0)
        (tensor(2.), tensor(1.))
    """
    if synchronized:
        raise GraphError("moments(synchronized=True) is of a layer's. Fix: torch.nn.SyncBatchNorm.")
    x = to_tensor(x)
    wide = x.float() if x.dtype is torch.float16 else x
    variance, mean = torch.var_mean(wide, axes_of(axes, x.ndim), correction=0, keepdim=keepdims)
    if wide is not x:
        limit = torch.finfo(x.dtype).max
        mean, variance = (found.clamp(-limit, limit).to(x.dtype) for found in (mean, variance))
    return mean, variance


@op
def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    axis: int,
    offset: Maybe = None,
    scale: Maybe = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`, with one number for each place of `axis`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        mean: the mean.
        variance: the variance.
        axis: the axis, counted from the end where negative.
        offset: what is added at the end.
        scale: what is multiplied at the end; None leaves it out.
        epsilon: what is added so that nothing is divided by 0; None is the global setting.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.batch_normalization([[1.0], [3.0]], [2.0], [1.0], axis=-1, epsilon=0.0)
        tensor([[-1.],
                [ 1.]])
    """
    x = to_tensor(x)
    shape = [1] * x.ndim
    shape[axis] = -1
    factor = torch.rsqrt(to_tensor(variance).reshape(shape) + epsilon)
    if scale is not None:
        factor = factor * to_tensor(scale).reshape(shape)
    scaled = (x - to_tensor(mean).reshape(shape)) * factor
    return scaled if offset is None else scaled + to_tensor(offset).reshape(shape)


def _broadcast(weight: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    if weight.ndim != len(axes):
        return weight
    return weight.reshape([size if axis in axes else 1 for axis, size in enumerate(x.shape)])


@op
def layer_normalization(
    x: Array, gamma: Maybe = None, beta: Maybe = None, axis: Axis = -1, epsilon: float | None = None
) -> Tensor:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` along axes, computed in float32 at least.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        gamma: what is multiplied at the end; None leaves it out.
        beta: what is added at the end; None leaves it out.
        axis: the axis, counted from the end where negative.
        epsilon: what is added so that nothing is divided by 0; None is the global setting.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.layer_normalization([1.0, 3.0])
        tensor([-1.,  1.])
    """
    x = to_tensor(x)
    wide, axes = x.to(result_type(x.dtype, torch.float32)), tuple(sorted(axes_of(axis, x.ndim)))
    variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
    found = (wide - mean) * torch.rsqrt(variance + (settings.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        found = found * _broadcast(to_tensor(gamma, wide.dtype), x, axes)
    if beta is not None:
        found = found + _broadcast(to_tensor(beta, wide.dtype), x, axes)
    return found.to(x.dtype)


@op
def rms_normalization(x: Array, scale: Maybe = None, axis: Axis = -1, epsilon: float | None = None) -> Tensor:
    """`x / sqrt(mean(x^2) + epsilon) * scale` along axes, in float32 at least (Zhang and Sennrich 2019).

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        scale: what is multiplied at the end; None leaves it out.
        axis: the axis, counted from the end where negative.
        epsilon: what is added so that nothing is divided by 0; None is the global setting.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> ops.rms_normalization([1.0, 3.0])
        tensor([0.4472, 1.3416])
    """
    x = to_tensor(x)
    wide, axes = x.to(result_type(x.dtype, torch.float32)), tuple(sorted(axes_of(axis, x.ndim)))
    squares = wide.square().mean(axes, keepdim=True)
    found = wide * torch.rsqrt(squares + (settings.epsilon() if epsilon is None else epsilon))
    if scale is not None:
        found = found * _broadcast(to_tensor(scale, wide.dtype), x, axes)
    return found.to(x.dtype)


@op
def normalize(x: Array, axis: Axis = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """`x` over its norm of an order along axes, which counts as `epsilon` where it is less.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        axis: the axis, counted from the end where negative.
        order: the order of the norm.
        epsilon: what a norm is at least; None is the global setting.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        GraphError: an order that is no positive integer.

    Example:
        >>> ops.normalize([3.0, 4.0])
        tensor([0.6000, 0.8000])
    """
    if not isinstance(order, int) or order < 1:
        raise GraphError(explain("order", got=repr(order), expected="a positive integer", fix="order=2"))
    x = floating(x)
    x = x if x.ndim else x.unsqueeze(0)
    norm = torch.linalg.vector_norm(x, order, axes_of(axis, x.ndim), keepdim=True)
    found: Tensor = x / norm.clamp(min=settings.epsilon() if epsilon is None else epsilon)
    return found


@op
def polar(abs_: Array, angle: Array) -> Tensor:
    """The complex numbers of these magnitudes and angles.

    Args:
        abs_: the lengths.
        angle: the angles, in radians.

    Returns:
        A complex tensor.

    Example:
        >>> ops.polar([2.0], [0.0])
        tensor([2.+0.j])
    """
    return torch.polar(*tensors(abs_, angle))


@op
def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    bias: Maybe = None,
    mask: Maybe = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """`softmax(query key' * scale + bias) value` of (batch, length, heads, width).

    Key and value may have fewer heads, each for a group of the query's. PyTorch chooses the kernel, so
    `flash_attention` changes nothing.

    Args:
        bias: added to the logits; not with `mask`.
        mask: True where attention is paid, broadcast to (batch, heads, query length, key length).
        scale: 1 / sqrt(width) if None.
        is_causal: whether a place sees only those up to its own.
        attn_logits_soft_cap: `cap * tanh(logits / cap)` of the logits.
        value: the values (batch, keys, heads, width).
        flash_attention: must be None: PyTorch chooses the kernel.

    Returns:
        A tensor (batch, queries, heads, width).

    Raises:
        ShapeError: not 4 dimensions.
        GraphError: both bias and mask.

    Example:
        >>> x = ops.ones((1, 5, 2, 4))
        >>> ops.dot_product_attention(x, x, x).shape
        torch.Size([1, 5, 2, 4])
    """
    query, key, value = tensors(query, key, value)
    if not query.ndim == key.ndim == value.ndim == 4:
        got = ", ".join(str(tuple(each.shape)) for each in (query, key, value))
        fix = "x.unflatten(-1, (heads, -1))"
        raise ShapeError(
            explain("dot_product_attention", got=got, expected="(batch, length, heads, width)", fix=fix)
        )
    if bias is not None and mask is not None:
        raise GraphError(
            "dot_product_attention takes bias= or mask=, not both. Fix: a bias of -inf where it masks."
        )
    dtype = result_type(*map(kind_of, (query, key, value)))
    q, k, v = (each.to(dtype).transpose(1, 2) for each in (query, key, value))
    if q.shape[1] > k.shape[1] > 1:
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    added = None if bias is None else to_tensor(bias, dtype)
    seen = None if mask is None else to_tensor(mask, torch.bool)
    if is_causal and (added is not None or seen is not None or attn_logits_soft_cap is not None):
        before = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        seen, is_causal = before if seen is None else seen & before, False
    if seen is not None:
        lowest = -0.7 * (65500.0 if dtype is torch.float16 else 3.38953e38)
        hidden = torch.zeros(seen.shape, dtype=dtype, device=q.device).masked_fill(~seen, lowest)
        added = hidden if added is None else added + hidden
    if attn_logits_soft_cap is None:
        found = F.scaled_dot_product_attention(q, k, v, added, is_causal=is_causal, scale=scale)
        return found.transpose(1, 2)
    logits = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    logits = attn_logits_soft_cap * torch.tanh(logits / attn_logits_soft_cap)
    return ((logits if added is None else logits + added).softmax(-1) @ v).transpose(1, 2)
