"""Layout: whether the channels of an image come first or last, and the way from one order to the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torchfunc.errors import GraphError, ShapeError, explain
from torchfunc.settings import image_data_format


def is_last(data_format: str | None) -> bool:
    """Whether the channels come last; the global setting where None is given.

    Raises:
        GraphError: neither "channels_last" nor "channels_first".
    """
    found = image_data_format() if data_format is None else data_format
    if found not in ("channels_last", "channels_first"):
        ways = "data_format='channels_last' or 'channels_first'"
        raise GraphError(explain("data_format", got=repr(data_format), expected="an order", fix=ways))
    return found == "channels_last"


def inward(x: Tensor, data_format: str | None) -> Tensor:
    """A batch with its channels second, as PyTorch's kernels want them."""
    return x.movedim(-1, 1) if is_last(data_format) else x


def outward(x: Tensor, data_format: str | None) -> Tensor:
    """A batch whose channels are second, in the user's order."""
    return x.movedim(1, -1) if is_last(data_format) else x


def each(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    """One number for each dimension of space.

    Raises:
        ShapeError: another number of numbers.
    """
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank:
        raise ShapeError(
            explain(name, got=repr(value), expected=f"one number or {rank} of them", fix=f"{name}=1")
        )
    return found


def batch_of(images: Tensor, rank: int = 2) -> tuple[Tensor, bool]:
    """Images as a batch, and whether they were one alone.

    Raises:
        ShapeError: neither one image nor a batch.
    """
    if images.ndim not in (rank + 1, rank + 2):
        expected = f"{rank + 1} dimensions (one image) or {rank + 2} (a batch)"
        got = f"shape {tuple(images.shape)}"
        raise ShapeError(explain("images", got=got, expected=expected, fix="images.reshape(...)"))
    alone = images.ndim == rank + 1
    return (images.unsqueeze(0) if alone else images), alone
