"""LossScaleOptimizer: another optimizer, whose losses are multiplied so that halves can hold their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from torchfunc import config, registry
from torchfunc.config import Self, checked
from torchfunc.errors import TorchfuncError, explain, shorten
from torchfunc.optimizers.optimizer import Optimizer
from torchfunc.optimizers.stepper import Stepper, Update


@registry.optimizers.register("LossScaleOptimizer", "lossscaleoptimizer")
class LossScaleOptimizer(Optimizer):
    """`scale_loss` before the gradients, `apply` after them: a step whose gradients are no numbers is passed over.

    The scale is halved then, and doubled after `dynamic_growth_steps` steps that went well. In `fit`, where the
    steps are the trainer's, the optimizer inside is used as it is. Source: Micikevicius et al. 2018.

    Args:
        inner_optimizer: The optimizer that changes the parameters.
        initial_scale: Where the scale starts.
        dynamic_growth_steps: After how many steps it is doubled.
        name: Its name.

    Raises:
        TorchfuncError: what is no optimizer of torchfunc inside, or a scale that is not above 0.

    Example:
        >>> optimizer, w = LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=1024.0), torch.tensor([1.0])
        >>> optimizer.apply([torch.tensor([float("inf")])], [w])  # passed over
        >>> optimizer.dynamic_scale, w
        (512.0, tensor([1.]))
        >>> optimizer.apply([torch.tensor([512.0])], [w])
        >>> w
        tensor([0.9000])
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            got = f"inner_optimizer={shorten(inner_optimizer)}"
            raise TorchfuncError(explain("LossScaleOptimizer", got=got, expected="an optimizer of torchfunc"))
        for argument, value in (
            ("initial_scale", initial_scale),
            ("dynamic_growth_steps", dynamic_growth_steps),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e30:
                raise self._error(f"{argument}={shorten(value)}", "a number above 0")
        super().__init__(0.0, name=name)
        self.inner_optimizer, self.initial_scale = inner_optimizer, initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.dynamic_scale, self.step_counter = float(initial_scale), 0

    @property
    def unwrapped(self) -> Optimizer:
        return self.inner_optimizer.unwrapped

    def build(self, params: Iterable[Any]) -> Stepper:
        """The optimizer inside over `params`."""
        self.torch_optimizer, self.built_by_hand = self.inner_optimizer.build(params), True
        return self.torch_optimizer

    def scale_loss(self, loss: Tensor) -> Tensor:
        """A loss times the scale."""
        return loss * self.dynamic_scale

    def apply(self, grads: Iterable[Tensor | None], params: Iterable[Tensor] | None = None) -> None:
        """Change parameters by gradients of a scaled loss; not where one of them is no number."""
        grads = list(grads)
        if self.torch_optimizer is None and params is not None:
            params = list(params)
            self.build(params)
        if not all(torch.isfinite(each).all() for each in grads if each is not None):
            self.dynamic_scale, self.step_counter = self.dynamic_scale / 2, 0
            return
        scale = self.dynamic_scale
        self.step_counter += 1
        if self.step_counter >= self.dynamic_growth_steps:
            self.dynamic_scale, self.step_counter = scale * 2, 0
        self.inner_optimizer.apply([None if each is None else each / scale for each in grads], params)

    def update(self, update: Update) -> None:
        self.inner_optimizer.update(update)

    @property
    def learning_rate(self) -> Any:
        """That of the optimizer inside."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> int:
        """How many steps the optimizer inside took."""
        return self.inner_optimizer.iterations

    def finalize_variable_values(self) -> None:
        """Put the averages that the optimizer inside keeps in the place of the parameters."""
        self.inner_optimizer.finalize_variable_values()

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data, the optimizer inside as its config."""
        inner = config.serialize(self.inner_optimizer, registry.optimizers)
        return {
            "name": self.name,
            "inner_optimizer": inner,
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    @checked
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The optimizer that `get_config` described."""
        return cls(**{**config, "inner_optimizer": _made(config.get("inner_optimizer"))})


def _made(described: Any) -> Any:
    return config.find(described, registry.optimizers) if isinstance(described, (str, Mapping)) else described
