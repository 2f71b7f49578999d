"""Binning: numbers put into ranges, whose bounds are given or learned as quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.config import checked
from torchfunc.errors import GraphError, explain
from torchfunc.layers.arguments import count
from torchfunc.layers.layer import Common
from torchfunc.layers.preprocessing.adapting import Adapted, numbers_of
from torchfunc.layers.preprocessing.encoding import dense, encoded, encoded_shape, mode_of

_Summary = np.ndarray[Any, Any]  # values in order, and below them how many numbers each stands for


@registry.layers.register()
class Discretization(Adapted):
    """Each number as that of the range that it lies in.

    Shapes: (batch, ...) to the same of whole numbers; in the other modes as for CategoryEncoding. A bound belongs to
    the range above it: with [0, 1] there are three, below 0, from 0 to below 1, and from 1 on.

    Args:
        bin_boundaries: the bounds in rising order.
        num_bins: how many ranges of about equally many numbers `adapt` is to find; instead of `bin_boundaries`.
        epsilon: how far a quantile may be off, as a share of the numbers.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: not here: the output is dense.
        dtype: that of the output in the other modes than "int", which has int32.
        name, trainable, activity_regularizer, input_shape: as for every Layer.

    Raises:
        GraphError: both or neither of the first two; a call without bounds.

    Example:
        >>> layers.Discretization(bin_boundaries=[0.0, 1.0])([-1.0, 0.5, 1.0])
        tensor([0, 1, 2], dtype=torch.int32)
        >>> layer = layers.Discretization(num_bins=2)
        >>> layer.adapt([1.0, 2.0, 3.0, 4.0])
        >>> layer([1.5, 3.5])
        tensor([0, 1], dtype=torch.int32)
    """

    _autocast = False
    _bounds: Tensor
    _summary: _Summary

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        if (bin_boundaries is None) == (num_bins is None):
            got = "neither of them" if num_bins is None else "both"
            expected, fix = "either bin_boundaries or num_bins", "num_bins=10, and adapt"
            raise GraphError(explain("Discretization", got=got, expected=expected, fix=fix))
        self.num_bins = None if num_bins is None else count("Discretization", "num_bins", num_bins)
        self.epsilon = epsilon
        self.output_mode = mode_of("Discretization", output_mode, ("int", "one_hot", "multi_hot", "count"))
        self.sparse = dense("Discretization", sparse)
        self._take(bin_boundaries)
        self.reset_state()

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer with these arguments; one that was adapted has both bounds and their number."""
        given = dict(config)
        bounds = given.pop("bin_boundaries", None) if given.get("num_bins") is not None else None
        layer = cls(**given)
        if bounds is not None:
            layer._take(bounds)
        return layer

    def _take(self, bounds: Any) -> None:
        self.bin_boundaries = None if bounds is None else [float(each) for each in bounds]
        # from an array, which has its numbers on the meta device too
        array = np.array(self.bin_boundaries or [], dtype=np.float64)
        kind = self._kind() if self._kind().is_floating_point else torch.get_default_dtype()
        self.register_buffer("_bounds", torch.from_numpy(array).to(kind), persistent=False)

    def update_state(self, data: Any) -> None:
        """Learn from one more batch.

        Raises:
            GraphError: the bounds were given.
        """
        if self.num_bins is None:
            got, fix = "bin_boundaries when it was made", "num_bins=... instead"
            raise GraphError(
                explain(f"Discretization {self.name!r}.adapt", got=got, expected="none", fix=fix)
            )
        numbers = numbers_of(f"Discretization {self.name!r}.adapt", data)
        summary = _summary_of(numbers.detach().cpu().to(torch.float32).numpy(), self.epsilon)
        merged = np.concatenate((summary, self._summary), axis=1)
        self._summary = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Have the quantiles of what was learned as bounds."""
        if self.num_bins is not None and self._summary.size:
            self._take(_compressed(self._summary, 1 / self.num_bins)[0, :-1])

    def reset_state(self) -> None:
        """Forget what was learned since `finalize_state`."""
        self._summary = np.zeros((2, 0), dtype=np.float32)

    def _depth(self) -> int:
        if self.bin_boundaries is None:
            raise GraphError(
                explain(
                    f"Discretization {self.name!r}",
                    got="no bounds yet",
                    expected="some",
                    fix="layer.adapt(data), or bin_boundaries=[...]",
                )
            )
        return len(self.bin_boundaries) + 1

    def output_shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return encoded_shape(shape, self.output_mode, self._depth())

    def output_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.int32 if self.output_mode == "int" else self._kind()

    def forward(self, inputs: Tensor) -> Tensor:
        depth = self._depth()
        places = torch.bucketize(inputs, self._bounds.to(inputs.device), right=True)
        return encoded(places, self.output_mode, depth, self.output_dtype(inputs.dtype))


def _summary_of(numbers: _Summary, epsilon: float) -> _Summary:
    """About 1 / epsilon of the numbers, evenly spaced in their order; all where there are no more."""
    ordered = np.sort(numbers.reshape(-1))
    step = max(ordered.size * epsilon, 1)
    values = ordered[int(step - 1) :: int(step)]
    return np.stack([values, np.full_like(values, step)])


def _compressed(summary: _Summary, epsilon: float) -> _Summary:
    """About 1 / epsilon values, between those that there are."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    weights = summary[1].cumsum()
    known = weights / weights[-1]
    values = np.interp(shares, known, summary[0])
    weights = np.interp(shares, known, weights)
    return np.stack((values, np.diff(weights, prepend=0))).astype(np.float32)
