"""Batch moments: the mean and the variance over the batches of all ranks, with their gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn

from torchfunc.distributed.launch import counts_now

Native = nn.modules.batchnorm._BatchNorm


class Summed(torch.autograd.Function):
    """The sum over ranks, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        distributed.all_reduce(gradient)
        return gradient


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel, the second axis, over all ranks, and of how many numbers they are.

    A batch that only makes up the step of a rank without samples counts nothing.
    """
    axes, counts = [0, *range(2, x.ndim)], float(counts_now())
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    x = x.float() if x.dtype.itemsize < 4 else x
    number = x.new_tensor([counts * x.numel() / x.shape[1]])
    sums: Tensor = Summed.apply(torch.cat([x.sum(axes) * counts, number]))  # type: ignore[no-untyped-call]
    mean = sums[:-1] / sums[-1]
    squares = (x - mean.view(shape)).square().sum(axes) * counts
    variance = Summed.apply(squares) / sums[-1]  # type: ignore[no-untyped-call]
    return mean, variance, sums[-1].detach()


def normalized(x: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """Numbers with these means and variances of their channels, in their dtype."""
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    return ((x - mean.view(shape)) * torch.rsqrt(variance.view(shape) + epsilon)).to(x.dtype)


class Synchronized:
    """The batch normalization of a module, taken over all ranks until `leave`: its own layers, and ours."""

    def __init__(self, module: nn.Module) -> None:
        found = [each for each in module.modules() if isinstance(each, Native)]
        self._native = [each for each in found if not hasattr(each, "synchronized")]
        self._native = [each for each in self._native if not isinstance(each, nn.SyncBatchNorm)]
        self._ours = [each for each in found if getattr(each, "synchronized", None) is False]
        for layer in self._native:
            vars(layer)["forward"] = partial(_forward, layer)
        for each in self._ours:
            vars(each)["synchronized"] = True

    def leave(self) -> None:
        """Have every layer as it was."""
        for layer in self._native:
            vars(layer).pop("forward", None)
        for each in self._ours:
            vars(each)["synchronized"] = False


def _forward(layer: Any, x: Tensor) -> Tensor:
    """The forward of a BatchNorm of PyTorch, over all ranks where it learns."""
    if not layer.training:
        return type(layer).forward(layer, x)  # type: ignore[no-any-return]
    layer._check_input_dim(x)
    mean, variance, number = moments(x)
    if layer.track_running_stats:
        layer.num_batches_tracked.add_(1)
        momentum = 1 / layer.num_batches_tracked if layer.momentum is None else layer.momentum
        with torch.no_grad():
            unbiased = variance * number / (number - 1)
            layer.running_mean += momentum * (mean.to(layer.running_mean.dtype) - layer.running_mean)
            layer.running_var += momentum * (unbiased.to(layer.running_var.dtype) - layer.running_var)
    outputs: Tensor = normalized(x, mean, variance, layer.eps)
    if not layer.affine:
        return outputs
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    scaled: Tensor = outputs * layer.weight.view(shape) + layer.bias.view(shape)
    return scaled
