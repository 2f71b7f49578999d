"""Averages: an exponential moving average of the parameters beside any optimizer, by Keras's arguments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from torchfunc.distributed.fully_sharded import copy_each, is_in_shards, placed_as
from torchfunc.fields import item, refused


class Averages:
    """An average of each parameter that moves a little towards it after every step.

    Args:
        momentum: how much of the average stays at each step.
        overwrite_frequency: after how many steps the parameters are set to their averages; None for never.
    """

    def __init__(self, momentum: float, overwrite_frequency: int | None) -> None:
        self.momentum, self.overwrite_frequency = momentum, overwrite_frequency
        self.held: dict[str, Tensor] = {}
        self._parameters: Mapping[str, Tensor] = {}

    @torch.no_grad()
    def after_step(self, parameters: Mapping[str, Tensor], step: int) -> None:
        """Move each average towards its parameter, and now and then the parameters onto their averages."""
        self._parameters = parameters
        held = [self._of(name, each) for name, each in parameters.items()]
        now = list(parameters.values())
        torch._foreach_lerp_(held, now, 1 - self.momentum)
        if self.overwrite_frequency and step % self.overwrite_frequency == 0:
            copy_each(now, held)

    def _of(self, name: str, parameter: Tensor) -> Tensor:
        average = self.held.get(name)
        if average is None:
            average = self.held[name] = parameter.detach().clone()
        elif is_in_shards(parameter) and not is_in_shards(average):  # one from a file
            average = self.held[name] = placed_as(average, parameter)
        elif average.device != parameter.device or average.dtype != parameter.dtype:
            average = self.held[name] = average.to(parameter)
        return average

    @torch.no_grad()
    def use(self) -> None:
        """Put the averages in the place of the parameters."""
        for name, parameter in self._parameters.items():
            parameter.copy_(self.held[name])

    @torch.no_grad()
    def swap_averages(self) -> None:
        """Let parameters and their averages change places."""
        for name, parameter in self._parameters.items():
            kept = parameter.clone()
            parameter.copy_(self.held[name])
            self.held[name].copy_(kept)


def check_averages(held: object, place: str, parameters: Mapping[str, Tensor]) -> None:
    """Refuse what are no averages of such parameters.

    Raises:
        ConfigError: with the place of it.
    """
    if not isinstance(held, Mapping):
        raise refused(place, held, "an object with an average of each parameter")
    for name, each in held.items():
        mine = parameters.get(name)
        if (
            mine is None
            or not isinstance(each, Tensor)
            or (each.shape, each.dtype) != (mine.shape, mine.dtype)
        ):
            raise refused(item(place, name), each, "an average of a parameter")
