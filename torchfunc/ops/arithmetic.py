"""Arithmetic: what two tensors make, element by element or as a product."""

from __future__ import annotations

import torch
from torch import Tensor

from torchfunc.ops.conversion import Array, tensors
from torchfunc.ops.op import op


@op
def add(x1: Array, x2: Array) -> Tensor:
    """`x1 + x2`."""
    return torch.add(*tensors(x1, x2))
