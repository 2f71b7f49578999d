"""Sparse rows: a matrix of SciPy's that stays sparse as a whole, and is dense in each batch alone."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse matrix or array of SciPy's."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def as_rows(value: Any) -> Tensor:
    """A sparse matrix as a tensor in PyTorch's layout of compressed rows, sharing memory where it lies so already."""
    rows = value.tocsr()
    starts, columns, values = map(torch.from_numpy, (rows.indptr, rows.indices, rows.data))
    return _made(starts, columns, values, tuple(rows.shape))


def holds_rows(tensor: Tensor) -> bool:
    """Whether a tensor lies in compressed rows."""
    return tensor.layout is torch.sparse_csr


def _made(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch warns that what it does with sparse tensors may change; nothing here is left to it
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def cut(tensor: Tensor, start: int, stop: int | None) -> Tensor:
    """The rows from `start` to `stop`, in the memory of the whole and in its layout."""
    if not holds_rows(tensor):
        return tensor[start:stop]
    start, stop, _ = slice(start, stop).indices(len(tensor))
    starts = tensor.crow_indices()[start : stop + 1]
    first, last = int(starts[0]), int(starts[-1])
    columns, values = tensor.col_indices()[first:last], tensor.values()[first:last]
    return _made(starts - first, columns, values, (stop - start, *tensor.shape[1:]))


def rows_at(tensor: Tensor, index: Tensor) -> Tensor:
    """The rows with these numbers; dense."""
    if not holds_rows(tensor):
        return tensor.index_select(0, index)
    starts = tensor.crow_indices()
    begins, counts = starts[index], starts[index + 1] - starts[index]
    row = torch.repeat_interleave(torch.arange(len(index), device=index.device), counts)
    # the place of a number in its row, and by that in the memory of the whole
    place = torch.arange(len(row), device=index.device) - (counts.cumsum(0) - counts)[row] + begins[row]
    made = torch.zeros(len(index), *tensor.shape[1:], dtype=tensor.dtype, device=tensor.device)
    columns = tensor.col_indices()[place]
    return made.index_put_((row, columns.long()), tensor.values()[place], accumulate=True)


def dense(tensor: Tensor) -> Tensor:
    """A tensor without compressed rows."""
    return rows_at(tensor, torch.arange(len(tensor), device=tensor.device)) if holds_rows(tensor) else tensor


def number_at(tensor: Tensor, place: tuple[int, ...]) -> float:
    """The number at a place."""
    row, *rest = place
    return float(dense(cut(tensor, row, row + 1))[(0, *rest)])
