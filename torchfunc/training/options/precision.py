"""Precision: in which dtype a module computes while it is trained, beside weights that stay as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from torchfunc.dtype_policies.policy import dtype_policy
from torchfunc.errors import CompileError, explain
from torchfunc.tree import map_leaves

Precision = Literal["bf16", "fp16", "tf32"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_OF_POLICIES = {"mixed_bfloat16": "bf16", "mixed_float16": "fp16"}


def of_policy() -> str | None:
    """The precision that Keras's global policy asks for; None where that is one dtype for all."""
    return _OF_POLICIES.get(dtype_policy().name)


def computing_in(precision: str | None, device: torch.device) -> Callable[[], Any] | None:
    """What makes a context in which a forward and its loss are computed in halves; None where nothing is to be done.

    Raises:
        CompileError: a precision that the device does not have.
    """
    if precision == "tf32" and device.type != "cuda":
        why = "TF32 is a mode of NVIDIA's matrix units, and would change nothing here"
        fix = "precision='bf16', or leave it out"
        raise CompileError(explain("precision", got=f"'tf32' on the device {device}", why=why, fix=fix))
    if precision not in HALVES:
        return None
    return lambda: torch.autocast(device.type, HALVES[precision])


def widened(outputs: Any) -> Any:
    """Outputs whose halves are turned to float32, which NumPy has."""
    halves = (torch.bfloat16, torch.float16)
    return map_leaves(
        lambda each: each.float() if isinstance(each, Tensor) and each.dtype in halves else each, outputs
    )


@contextmanager
def modes(precision: str | None, deterministic: bool, device: torch.device) -> Iterator[None]:
    """Within it PyTorch computes in TF32 and by deterministic algorithms where these are asked for; then as before."""
    switches: list[tuple[Any, str, Any]] = []
    if precision == "tf32":
        backends: Any = torch.backends
        switches += [
            (backends.cuda.matmul, "fp32_precision", "tf32"),
            (backends.cudnn.conv, "fp32_precision", "tf32"),
            (backends.cudnn.rnn, "fp32_precision", "tf32"),
        ]
    if deterministic:
        switches.append((torch.backends.cudnn, "benchmark", False))
    before = [getattr(owner, name) for owner, name, _ in switches]
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        if deterministic:
            if device.type == "cuda":  # which cuBLAS reads when it is first used
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        if deterministic:
            torch.use_deterministic_algorithms(strict, warn_only=warns)
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


_SMALL = sys.float_info.min  # half of it is denormal


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Within it numbers too small to be normal, below 1e-38 in float32, count as 0 in this thread; then as before.

    Processors take a hundred times as long for them, and squares of gradients come there where a gradient stays away.
    A thread keeps for its life what the one that began it had, and PyTorch cannot change it in the threads that it
    computes with: they flush, then and afterwards, where the first large call of a process was made within this, and
    do not where it was made before.
    """
    flushed = _SMALL / 2 == 0.0
    if not flushed:
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if not flushed:
            torch.set_flush_denormal(False)
