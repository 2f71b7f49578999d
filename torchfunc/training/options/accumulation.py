"""Accumulation: the gradients of several batches as the gradient of one batch that holds them all.

What a loss divides its sum by, the number of values or the sum of what counts, is known of each batch alone. So a
batch's gradient is multiplied by its divisor, and the sum of all is divided by the sum of the divisors, for each
part of the loss that has divisors of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchfunc.distributed.fully_sharded import placed_as
from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import ConfigError
from torchfunc.fields import item, listed, number, record, refused, whole

# parts that are divided by the number of samples, and by nothing
SAMPLES, SUMS = "samples", "sums"
WEIGHTS = "weights"  # of weights that lie in shards, whose gradients are of all ranks, by the number of their samples


class Part(NamedTuple):
    """A part of the loss of a batch.

    Attributes:
        name: of what it is divided by: an output, `SAMPLES`, `SUMS` or `WEIGHTS`.
        value: to be derived.
        divisor: what its sum was divided by, up to a factor that is the same for all batches.
    """

    name: str
    value: Tensor
    divisor: Any


class Sums:
    """What the batches of a step have added up to so far.

    Attributes:
        count: how many batches there are.
    """

    def __init__(self) -> None:
        self.count = 0
        self._totals: dict[str, Any] = {}
        self._sums: dict[str, list[Tensor | None]] = {}
        self._joined: dict[str, list[Tensor | None]] = {}  # of all ranks, as means over them

    def add(self, gradients: Sequence[tuple[str, Any, list[Tensor | None]]]) -> None:
        """Take the gradients of a batch, by the parts of its loss and what these were divided by."""
        self.count += 1
        divisors: dict[str, Any] = {}
        for part, divisor, grads in gradients:
            present = [each for each in grads if each is not None]
            if present:
                torch._foreach_mul_(present, divisor)
            name = SAMPLES if part == WEIGHTS else part
            divisors[name] = divisor
            _add(self._joined if part == WEIGHTS else self._sums, name, grads)
        for name, divisor in divisors.items():
            self._totals[name] = self._totals.get(name, 0.0) + divisor

    def join(self, ranks: Ranks, parameters: Sequence[Tensor]) -> None:
        """Have on each rank what all of them have, who all call it."""
        for name, held in self._sums.items():
            _add(self._joined, name, _placed(ranks.mean(held, parameters), parameters))
        self._sums = {}

    def share(self, parameters: Sequence[Tensor]) -> None:
        """Take what a file says for that of all ranks."""
        self._joined = {name: _placed(held, parameters) for name, held in self._sums.items()}
        self._sums = {}

    def take(self, ranks: Ranks | None, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """The gradients of all batches, and their means over the ranks if there are any, as of one; then there are none.

        Args:
            ranks: the processes, which all call it.
            parameters: whose gradients these are.
        """
        found, joined = (self._divided(held, len(parameters)) for held in (self._sums, self._joined))
        self.__init__()  # type: ignore[misc]
        if ranks is not None:
            found = _placed(ranks.mean(found, parameters), parameters)
        return list(map(_plus, found, joined))

    def _divided(self, sums: Mapping[str, list[Tensor | None]], count: int) -> list[Tensor | None]:
        """The gradients of so many parameters, those of each part by what it is divided by."""
        found: list[Tensor | None] = [None] * count
        for name, held in sums.items():
            total = 1.0 if name == SUMS else self._totals[name]
            if isinstance(total, Tensor):  # of what counts, where nothing may have
                total = torch.where(total == 0, 1, total)
            present = [each for each in held if each is not None]
            if present:
                torch._foreach_div_(present, total)
            found = list(map(_plus, found, held))
        return found

    def state(self, names: Sequence[str]) -> dict[str, Any]:
        """What there is so far, by the names of the parameters."""
        held = {name: list(each) for name, each in self._joined.items()}
        for name, grads in self._sums.items():
            _add(held, name, grads, in_place=False)
        sums = {
            part: {name: each for name, each in zip(names, grads, strict=True) if each is not None}
            for part, grads in held.items()
        }
        totals = {part: float(total) for part, total in self._totals.items()}
        return {"count": self.count, "totals": totals, "sums": sums}

    def load(self, state: Mapping[str, Any], parameters: Mapping[str, Tensor]) -> None:
        """Take what `state` gave."""
        self.count, self._totals = state["count"], dict(state["totals"])
        self._sums = {
            part: [
                held[name].detach().to(parameter.device, parameter.dtype, copy=True) if name in held else None
                for name, parameter in parameters.items()
            ]
            for part, held in state["sums"].items()
        }


def _add(
    sums: dict[str, list[Tensor | None]], name: str, grads: list[Tensor | None], *, in_place: bool = True
) -> None:
    """Add the gradients of a part to what there is of it."""
    held = sums.setdefault(name, [None] * len(grads))
    for index, grad in enumerate(grads):
        mine = held[index]
        if grad is not None:
            held[index] = grad if mine is None else mine.add_(grad) if in_place else mine + grad


def _placed(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients that all ranks have, in shards where the parameters are."""
    return [
        None if each is None else placed_as(each, like, source=None)
        for each, like in zip(gradients, parameters, strict=True)
    ]


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one.add_(other)


def check_sums(state: Any, place: str, parameters: Mapping[str, Tensor]) -> None:
    """Refuse what `Sums.state` does not give for such parameters.

    Raises:
        ConfigError: with the place of it.
    """
    record(state, place, ("count", "totals", "sums"))
    whole(state["count"], f"{place}.count", 1, 2**31)
    for name in ("totals", "sums"):
        if not isinstance(state[name], Mapping):
            raise refused(f"{place}.{name}", state[name], "an object by the parts of the loss")
    listed(list(state["sums"]), f"{place}.sums", 10_000, "parts")
    if state["totals"].keys() != state["sums"].keys():
        raise ConfigError(f"{place}: expected the same parts in 'totals' and 'sums'.")
    for part, held in state["sums"].items():
        number(state["totals"][part], item(f"{place}.totals", part), 0, 1e30)
        where = item(f"{place}.sums", part)
        if not isinstance(held, Mapping):
            raise refused(where, held, "an object by the names of parameters")
        for name, each in held.items():
            mine = parameters.get(name)
            if mine is None or not isinstance(each, Tensor) or each.shape != mine.shape:
                raise refused(item(where, name), each, "a gradient of a parameter")
            if each.dtype != mine.dtype:
                raise refused(item(where, name), each, f"a gradient in {mine.dtype}")
