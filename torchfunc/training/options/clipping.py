"""Clipping: gradients made smaller before a step, for any optimizer, by Keras's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchfunc.distributed.fully_sharded import norms


def clip(
    parameters: Sequence[Tensor],
    clipnorm: float | None = None,
    clipvalue: float | None = None,
    global_clipnorm: float | None = None,
) -> None:
    """Make the gradients of parameters smaller, in place.

    Args:
        parameters: those without a gradient are passed over.
        clipnorm: the largest norm of one parameter's gradient.
        clipvalue: the largest absolute value in a gradient.
        global_clipnorm: the largest norm of all gradients together.
    """
    grads = [each.grad for each in parameters if each.grad is not None]
    if not grads:
        return
    if clipnorm is not None:
        scales = norms(grads)
        torch._foreach_clamp_min_(scales, clipnorm)
        torch._foreach_reciprocal_(scales)
        torch._foreach_mul_(scales, clipnorm)
        torch._foreach_mul_(grads, scales)
    elif global_clipnorm is not None:
        norm = nn.utils.get_total_norm(grads)
        scale = global_clipnorm / norm.clamp(min=global_clipnorm)
        for grad in grads:
            grad.mul_(scale.to(grad.device))
    elif clipvalue is not None:
        torch._foreach_clamp_max_(grads, clipvalue)
        torch._foreach_clamp_min_(grads, -clipvalue)
