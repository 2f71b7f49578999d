"""Tensor parallel: layers whose weights are divided among the ranks, which compute every batch together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from torchfunc.errors import CompileError, explain

STYLES = ("colwise", "rowwise")


def checked_plan(plan: Any, module: nn.Module) -> Mapping[str, Any]:
    """A plan by names of layers, of which each is an `nn.Linear` or an `nn.Embedding` and is divided in a known way.

    Raises:
        CompileError: another plan.
    """
    if not isinstance(plan, Mapping):
        expected = "a dict such as {'hidden': 'colwise', 'out': 'rowwise'}"
        raise CompileError(explain("parallelize", got=f"a {type(plan).__name__}", expected=expected))
    known = dict(module.named_modules())
    for name, style in plan.items():
        layer = known.get(name)
        if not isinstance(layer, (nn.Linear, nn.Embedding)):
            got = "no layer of that name" if layer is None else f"a {type(layer).__name__}"
            fix = "leave it out, or use torch.nn.Linear in its place"
            expected = "an nn.Linear or an nn.Embedding"
            raise CompileError(explain(f"parallelize[{name!r}]", got=got, expected=expected, fix=fix))
        if isinstance(style, str) and style not in STYLES:
            expected = "'colwise', 'rowwise' or a ParallelStyle of torch.distributed.tensor.parallel"
            raise CompileError(explain(f"parallelize[{name!r}]", got=repr(style), expected=expected))
    return plan


def parallelize(module: nn.Module, plan: Mapping[str, Any]) -> None:
    """Divide the layers of a plan among the ranks: "colwise" by outputs, "rowwise" by inputs.

    A layer divided by outputs gives each rank its part of them, which one divided by inputs takes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh(next(module.parameters()).device.type, (torch.distributed.get_world_size(),))
    made: dict[str, Any] = {"colwise": ColwiseParallel, "rowwise": RowwiseParallel}
    styles = {name: made[style]() if isinstance(style, str) else style for name, style in plan.items()}
    parallelize_module(module, mesh, styles)
