"""Linear algebra: factors, inverses and solutions of matrices, and of batches of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.graph.symbolic import has_symbol
from torchfunc.ops.conversion import Array, Axis, floating, tensors, to_tensor
from torchfunc.ops.op import op


def _square(name: str, x: Array) -> Tensor:
    found = to_tensor(x)
    if found.ndim < 2 or found.shape[-1] != found.shape[-2]:
        got = f"shape {tuple(found.shape)}"
        raise ShapeError(
            explain(name, got=got, expected="(..., n, n), square matrices", fix="x @ x.mT, or pinv")
        )
    return found


@op
def cholesky(x: Array, upper: bool = False) -> Tensor:
    """The triangular L of `x = L L'`; its transpose where `upper`."""
    found: Tensor = torch.linalg.cholesky(_square("cholesky", x), upper=upper)
    return found


@op
def cholesky_inverse(x: Array, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor this is."""
    return torch.cholesky_inverse(_square("cholesky_inverse", x), upper=upper)


@op
def det(x: Array) -> Tensor:
    """The determinant."""
    found: Tensor = torch.linalg.det(_square("det", x))
    return found


@op
def eig(x: Array) -> Any:
    """Eigenvalues and eigenvectors, both complex."""
    return torch.linalg.eig(_square("eig", x))


@op
def eigh(x: Array) -> Any:
    """Eigenvalues, in ascending order, and eigenvectors of a symmetric matrix."""
    return torch.linalg.eigh(_square("eigh", x))


@op
def inv(x: Array) -> Tensor:
    """The inverse."""
    found: Tensor = torch.linalg.inv(_square("inv", x))
    return found


@op
def lu_factor(x: Array) -> tuple[Tensor, Tensor]:
    """The factors L and U in one matrix, and the rows exchanged, counted from 0."""
    factors, pivots = torch.linalg.lu_factor(to_tensor(x))
    return factors, pivots - 1


@op
def norm(x: Array, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """A norm of vectors (one axis) or matrices (two axes); the 2-norm of all numbers if neither is said."""
    found: Tensor = torch.linalg.norm(floating(x), ord, axis, keepdim=keepdims)
    return found


@op
def qr(x: Array, mode: str = "reduced") -> Any:
    """Q and R of `x = Q R`, where Q's columns are orthonormal.

    Raises:
        GraphError: a mode that is neither "reduced" nor "complete".
    """
    if mode not in ("reduced", "complete"):
        raise GraphError(
            explain("mode", got=repr(mode), expected="'reduced' or 'complete'", fix="mode='reduced'")
        )
    return torch.linalg.qr(to_tensor(x), mode)


@op
def solve(a: Array, b: Array) -> Tensor:
    """The x of `a x = b`."""
    a, b = tensors(a, b)
    found: Tensor = torch.linalg.solve(_square("solve", a), b)
    return found


@op
def solve_triangular(a: Array, b: Array, lower: bool = False) -> Tensor:
    """The x of `a x = b` for a triangular `a`."""
    a, b = tensors(a, b)
    is_vector = b.ndim == _square("solve_triangular", a).ndim - 1
    columns = b.unsqueeze(-1) if is_vector else b
    found: Tensor = torch.linalg.solve_triangular(a, columns, upper=not lower)
    return found.squeeze(-1) if is_vector else found


@op
def svd(x: Array, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, the singular values S and V' of `x = U diag(S) V'`; S alone where not `compute_uv`."""
    x = to_tensor(x)
    return torch.linalg.svd(x, full_matrices=full_matrices) if compute_uv else torch.linalg.svdvals(x)


@op
def lstsq(a: Array, b: Array, rcond: float | None = None) -> Tensor:
    """The x that makes the squares of `a x - b` least; singular values below `rcond` times the largest are 0."""
    a, b = tensors(a, b)
    plain = rcond is None and not a.is_meta
    found: Tensor = torch.linalg.lstsq(a, b).solution if plain else torch.linalg.pinv(a, rtol=rcond) @ b
    return found


@op
def matrix_rank(x: Array, tol: float | None = None) -> Tensor:
    """How many singular values are above `tol`, int32."""
    found: Tensor = torch.linalg.matrix_rank(to_tensor(x), atol=tol).to(torch.int32)
    return found


@op
def pinv(x: Array, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose inverse; singular values below `rcond` times the largest are 0."""
    found: Tensor = torch.linalg.pinv(to_tensor(x), rtol=rcond)
    return found


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """What a function returns at `primals`, and how it changes along `tangents`.

    Raises:
        GraphError: called on symbols.
    """
    if has_symbol(primals, tangents):
        raise GraphError(
            "jvp takes a Python function, which no graph can hold. Fix: write it inside a Layer's call."
        )
    points, ways = (tuple(map(to_tensor, each)) for each in (primals, tangents))
    return torch.func.jvp(fun, points, ways, has_aux=has_aux)
