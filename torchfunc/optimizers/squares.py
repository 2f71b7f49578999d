"""Rules that divide the gradient by the root of its squares: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.optimizers.optimizer import Common, LearningRate, Optimizer
from torchfunc.optimizers.stepper import Update


@registry.optimizers.register("RMSprop", "rmsprop")
class RMSprop(Optimizer):
    """Gradients over the root of the running mean of their squares.

    `velocity = rho * velocity + (1 - rho) * gradient^2`, and the step is
    `learning_rate * gradient / sqrt(velocity + epsilon)`: epsilon is inside the root, in
    `torch.optim.RMSprop` outside.

    The state holds `(velocity + epsilon) / (1 - rho)` under "scaled_velocity". Of that the recurrence
    is `s = rho * s + epsilon + gradient^2`, and everything after the first two terms is what PyTorch's
    fused Adagrad kernel does. Nor does it ever decay to numbers so small that arithmetic becomes slow.

    Args:
        learning_rate: A number or a schedule.
        rho: How much of the running mean stays at each step, from 0 to below 1.
        momentum: How much of the last step is added to this one.
        epsilon: What keeps the root off zero.
        centered: Whether to divide by the standard deviation instead (Graves 2013).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: a `rho` out of range, or what `Optimizer` refuses.

    Example:
        >>> w = torch.tensor([1.0])
        >>> optimizers.RMSprop(0.1).apply([torch.tensor([5.0])], [w])
        >>> w  # 1 - 0.1 / sqrt(0.1)
        tensor([0.6838])
    """

    hyperparameters = ("rho", "momentum", "epsilon", "centered")
    flat = ("scaled_velocity",)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if not 0 <= rho < 1:
            raise self._error(f"rho={rho}", "a number from 0 to below 1")
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        names = {"scaled_velocity": group["epsilon"] / (1 - group["rho"])}
        if group["momentum"] > 0:
            names["momentum"] = 0.0
        if group["centered"]:
            names["average_gradient"] = 0.0
        return names

    def update(self, update: Update) -> None:
        group, scaled = update.group, update.slots["scaled_velocity"]
        _decay(update.whole["scaled_velocity"], group["rho"], group["epsilon"])
        # On CUDA the fused kernel of Adagrad is younger than the PyTorch that we support.
        plain = not group["momentum"] and not group["centered"]
        if plain and update.fused() and update.params[0].device.type == "cpu":
            for part in update.alike():
                _fused_adagrad(part, "scaled_velocity", part.lr / math.sqrt(1 - group["rho"]))
            return
        torch._foreach_addcmul_(scaled, update.grads, update.grads, 1.0)
        roots = torch._foreach_mul(scaled, 1 - group["rho"])
        if group["centered"]:
            means = update.slots["average_gradient"]
            torch._foreach_lerp_(means, update.grads, 1 - group["rho"])
            torch._foreach_addcmul_(roots, means, means, -1.0)
        torch._foreach_sqrt_(roots)
        if not group["momentum"]:
            torch._foreach_addcdiv_(update.params, update.grads, roots, -update.lr)
            return
        steps = update.slots["momentum"]
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, update.grads, roots, update.lr)
        torch._foreach_sub_(update.params, steps)


def _decay(tensors: list[Tensor], rho: float, epsilon: float) -> None:
    """`s = rho * s + epsilon`."""
    if len(tensors) == 1:
        # The same as a step towards the fixed point, in one kernel.
        tensors[0].lerp_(tensors[0].new_full((), epsilon / (1 - rho)), 1 - rho)
        return
    torch._foreach_mul_(tensors, rho)
    torch._foreach_add_(tensors, epsilon)


@registry.optimizers.register("Adagrad", "adagrad")
class Adagrad(Optimizer):
    """Gradients over the root of the sum of their squares (Duchi et al. 2011).

    The state holds `accumulator + epsilon` under "accumulator", which leaves the step as Keras has it,
    `learning_rate * gradient / sqrt(accumulator + epsilon)`.

    Args:
        learning_rate: A number or a schedule.
        initial_accumulator_value: Where the sums start.
        epsilon: What keeps the root off zero.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: sums that start below 0, or what `Optimizer` refuses.

    Example:
        >>> optimizer, w = optimizers.Adagrad(1.0, initial_accumulator_value=0.0), torch.tensor([0.0])
        >>> optimizer.apply([torch.tensor([-3.0])], [w])  # 3 / sqrt(9)
        >>> optimizer.apply([torch.tensor([-4.0])], [w])  # 4 / sqrt(9 + 16)
        >>> w
        tensor([1.8000])
    """

    hyperparameters = ("initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if initial_accumulator_value < 0:
            raise self._error(f"initial_accumulator_value={initial_accumulator_value}", "at least 0")
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"accumulator": group["initial_accumulator_value"] + group["epsilon"]}

    def update(self, update: Update) -> None:
        if update.fused() and update.params[0].device.type == "cpu":
            for part in update.alike():
                _fused_adagrad(part, "accumulator", part.lr)
            return
        sums = update.slots["accumulator"]
        torch._foreach_addcmul_(sums, update.grads, update.grads, 1.0)
        torch._foreach_addcdiv_(update.params, update.grads, torch._foreach_sqrt(sums), -update.lr)


def _fused_adagrad(update: Update, slot: str, lr: float) -> None:
    """`s = s + g^2; p = p - lr * g / sqrt(s)` in one kernel a parameter."""
    torch._fused_adagrad_(
        update.params,
        update.grads,
        update.slots[slot],
        update.step_numbers(),
        lr=lr,
        lr_decay=0.0,
        weight_decay=0.0,
        eps=0.0,
        maximize=False,
    )


@registry.optimizers.register("Adadelta", "adadelta")
class Adadelta(Optimizer):
    """Steps whose size follows from the sizes of earlier steps and gradients (Zeiler 2012).

    Args:
        learning_rate: A number or a schedule; 1.0 is the paper's.
        rho: How much of the running means stays at each step.
        epsilon: What keeps the roots off zero.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> w = torch.tensor([1.0])
        >>> optimizers.Adadelta(1.0, epsilon=1e-2).apply([torch.tensor([5.0])], [w])
        >>> w
        tensor([0.5546])
    """

    hyperparameters = ("rho", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho, self.epsilon = rho, epsilon

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update(self, update: Update) -> None:
        rho, epsilon = update.group["rho"], update.group["epsilon"]
        squares, steps = update.slots["accumulated_grad"], update.slots["accumulated_delta_var"]
        torch._foreach_mul_(squares, rho)
        torch._foreach_addcmul_(squares, update.grads, update.grads, 1 - rho)
        deltas = torch._foreach_add(steps, epsilon)
        torch._foreach_div_(deltas, torch._foreach_add(squares, epsilon))
        torch._foreach_sqrt_(deltas)
        torch._foreach_mul_(deltas, update.grads)
        torch._foreach_mul_(steps, rho)
        torch._foreach_addcmul_(steps, deltas, deltas, 1 - rho)
        torch._foreach_add_(update.params, deltas, alpha=-update.lr)
