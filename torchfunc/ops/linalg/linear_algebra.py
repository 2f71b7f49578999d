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
    """The triangular L of `x = L L'`; its transpose where `upper`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        upper: whether the upper triangle is given instead of the lower.

    Returns:
        A triangular matrix.

    Example:
        >>> ops.cholesky([[4.0, 2.0], [2.0, 5.0]])
        tensor([[2., 0.],
                [1., 2.]])
    """
    found: Tensor = torch.linalg.cholesky(_square("cholesky", x), upper=upper)
    return found


@op
def cholesky_inverse(x: Array, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor this is.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        upper: whether `x` is an upper triangle.

    Returns:
        The inverse of the matrix that was factored.

    Example:
        >>> ops.cholesky_inverse([[2.0, 0.0], [2.0, 1.0]])
        tensor([[ 1.2500, -1.0000],
                [-1.0000,  1.0000]])
    """
    return torch.cholesky_inverse(_square("cholesky_inverse", x), upper=upper)


@op
def det(x: Array) -> Tensor:
    """The determinant.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        The determinants.

    Example:
        >>> ops.det([[1.0, 2.0], [3.0, 4.0]])
        tensor(-2.)
    """
    found: Tensor = torch.linalg.det(_square("det", x))
    return found


@op
def eig(x: Array) -> Any:
    """Eigenvalues and eigenvectors, both complex.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Two tensors: the eigenvalues and the eigenvectors.

    Example:
        >>> values, vectors = ops.eig([[2.0, 0.0], [0.0, 3.0]])
        >>> values
        tensor([2.+0.j, 3.+0.j])
    """
    return torch.linalg.eig(_square("eig", x))


@op
def eigh(x: Array) -> Any:
    """Eigenvalues, in ascending order, and eigenvectors of a symmetric matrix.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Two tensors: the eigenvalues and the eigenvectors.

    Example:
        >>> values, vectors = ops.eigh([[2.0, 0.0], [0.0, 3.0]])
        >>> values
        tensor([2., 3.])
    """
    return torch.linalg.eigh(_square("eigh", x))


@op
def inv(x: Array) -> Tensor:
    """The inverse.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        The inverse matrices.

    Example:
        >>> ops.inv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    found: Tensor = torch.linalg.inv(_square("inv", x))
    return found


@op
def lu_factor(x: Array) -> tuple[Tensor, Tensor]:
    """The factors L and U in one matrix, and the rows exchanged, counted from 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.

    Returns:
        Two tensors: both factors in one matrix, and the pivots.

    Example:
        >>> factors, pivots = ops.lu_factor([[4.0, 2.0], [2.0, 5.0]])
        >>> factors
        tensor([[4.0000, 2.0000],
                [0.5000, 4.0000]])
    """
    factors, pivots = torch.linalg.lu_factor(to_tensor(x))
    return factors, pivots - 1


@op
def norm(x: Array, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """A norm of vectors (one axis) or matrices (two axes); the 2-norm of all numbers if neither is said.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        ord: the order of the norm.
        axis: the axis, counted from the end where negative; None stands for all values.
        keepdims: whether the axes that are reduced stay, with size 1.

    Returns:
        The norms, without `axis`.

    Example:
        >>> ops.norm([3.0, 4.0])
        tensor(5.)
    """
    found: Tensor = torch.linalg.norm(floating(x), ord, axis, keepdim=keepdims)
    return found


@op
def qr(x: Array, mode: str = "reduced") -> Any:
    """Q and R of `x = Q R`, where Q's columns are orthonormal.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        mode: "reduced" or "complete".

    Returns:
        Two matrices.

    Raises:
        GraphError: a mode that is neither "reduced" nor "complete".

    Example:
        >>> q, r = ops.qr([[1.0, 2.0], [3.0, 4.0]])
        >>> q.shape, r.shape
        (torch.Size([2, 2]), torch.Size([2, 2]))
    """
    if mode not in ("reduced", "complete"):
        raise GraphError(
            explain("mode", got=repr(mode), expected="'reduced' or 'complete'", fix="mode='reduced'")
        )
    return torch.linalg.qr(to_tensor(x), mode)


@op
def solve(a: Array, b: Array) -> Tensor:
    """The x of `a x = b`.

    Args:
        a: the matrices.
        b: the right side.

    Returns:
        The solutions, of the shape of `b`.

    Example:
        >>> ops.solve([[2.0, 0.0], [0.0, 4.0]], [[2.0], [4.0]])
        tensor([[1.],
                [1.]])
    """
    a, b = tensors(a, b)
    found: Tensor = torch.linalg.solve(_square("solve", a), b)
    return found


@op
def solve_triangular(a: Array, b: Array, lower: bool = False) -> Tensor:
    """The x of `a x = b` for a triangular `a`.

    Args:
        a: the triangular matrices.
        b: the right side.
        lower: whether the triangle is the lower one.

    Returns:
        The solutions, of the shape of `b`.

    Example:
        >>> ops.solve_triangular([[2.0, 1.0], [0.0, 4.0]], [[4.0], [8.0]])
        tensor([[1.],
                [2.]])
    """
    a, b = tensors(a, b)
    is_vector = b.ndim == _square("solve_triangular", a).ndim - 1
    columns = b.unsqueeze(-1) if is_vector else b
    found: Tensor = torch.linalg.solve_triangular(a, columns, upper=not lower)
    return found.squeeze(-1) if is_vector else found


@op
def svd(x: Array, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, the singular values S and V' of `x = U diag(S) V'`; S alone where not `compute_uv`.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        full_matrices: whether u and v are square.
        compute_uv: whether u and v are computed.

    Returns:
        Three tensors: u, the singular values and v; the values alone without `compute_uv`.

    Example:
        >>> u, s, v = ops.svd([[3.0, 0.0], [0.0, 4.0]])
        >>> s
        tensor([4., 3.])
    """
    x = to_tensor(x)
    return torch.linalg.svd(x, full_matrices=full_matrices) if compute_uv else torch.linalg.svdvals(x)


@op
def lstsq(a: Array, b: Array, rcond: float | None = None) -> Tensor:
    """The x that makes the squares of `a x - b` least; singular values below `rcond` times the largest are 0.

    Args:
        a: the matrix.
        b: the right side.
        rcond: what counts as 0 beside the largest singular value.

    Returns:
        The solution.

    Example:
        >>> ops.lstsq([[1.0], [1.0]], [1.0, 3.0]).round(decimals=3)
        tensor([2.])
    """
    a, b = tensors(a, b)
    plain = rcond is None and not a.is_meta
    found: Tensor = torch.linalg.lstsq(a, b).solution if plain else torch.linalg.pinv(a, rtol=rcond) @ b
    return found


@op
def matrix_rank(x: Array, tol: float | None = None) -> Tensor:
    """How many singular values are above `tol`, int32.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        tol: what counts as 0.

    Returns:
        The ranks.

    Example:
        >>> ops.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
        tensor(1, dtype=torch.int32)
    """
    found: Tensor = torch.linalg.matrix_rank(to_tensor(x), atol=tol).to(torch.int32)
    return found


@op
def pinv(x: Array, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose inverse; singular values below `rcond` times the largest are 0.

    Args:
        x: the values: a tensor, an array, a list, a number or a symbol.
        rcond: what counts as 0 beside the largest singular value.

    Returns:
        The pseudo-inverse.

    Example:
        >>> ops.pinv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    found: Tensor = torch.linalg.pinv(to_tensor(x), rtol=rcond)
    return found


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """What a function returns at `primals`, and how it changes along `tangents`.

    Args:
        fun: the function.
        primals: where it is called: a list.
        tangents: the directions: a list.
        has_aux: whether it gives something else too.

    Returns:
        A pair: what the function gives, and its change along the tangents; with `has_aux` what else it
        gave.

    Raises:
        GraphError: called on symbols.

    Example:
        >>> ops.jvp(lambda x: x**2, [torch.tensor(3.0)], [torch.tensor(1.0)])
        (tensor(9.), tensor(6.))
    """
    if has_symbol(primals, tangents):
        raise GraphError(
            "jvp takes a Python function, which no graph can hold. Fix: write it inside a Layer's call."
        )
    points, ways = (tuple(map(to_tensor, each)) for each in (primals, tangents))
    return torch.func.jvp(fun, points, ways, has_aux=has_aux)
