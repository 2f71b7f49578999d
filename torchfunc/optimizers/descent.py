"""Rules that follow the gradient, or its sign: SGD, Lion, Ftrl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.distributed.fully_sharded import parts_of
from torchfunc.optimizers.optimizer import Common, LearningRate, Optimizer
from torchfunc.optimizers.stepper import Update


@registry.optimizers.register("SGD", "sgd")
class SGD(Optimizer):
    """Gradient descent, with `velocity = momentum * velocity - learning_rate * gradient` if asked for.

    Unlike in `torch.optim.SGD` the learning rate is part of the velocity: a change of it takes effect
    on what comes, not on what is under way.

    Args:
        learning_rate: A number or a schedule.
        momentum: How much of the velocity stays at each step, from 0 to 1.
        nesterov: Whether to look ahead (Nesterov 1983).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: a momentum outside of 0 to 1, or what `Optimizer` refuses.

    Example:
        >>> optimizer, w = optimizers.SGD(0.1, momentum=0.9), torch.tensor([1.0])
        >>> optimizer.apply([torch.tensor([1.0])], [w])  # the velocity is -0.1
        >>> optimizer.apply([torch.tensor([1.0])], [w])  # 0.9 * -0.1 - 0.1
        >>> w
        tensor([0.7100])
    """

    hyperparameters = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if not 0 <= momentum <= 1:
            raise self._error(f"momentum={momentum}", "a number from 0 to 1")
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0} if group["momentum"] else {}

    def update(self, update: Update) -> None:
        momentum = update.group["momentum"]
        if not momentum:
            torch._foreach_add_(update.params, update.grads, alpha=-update.lr)
        elif update.group["nesterov"] or not update.fused():
            self._foreach(update, momentum)
        else:
            for part in update.alike():
                self._fused(part, momentum)

    def _foreach(self, update: Update, momentum: float) -> None:
        velocities = update.slots["momentum"]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, update.grads, alpha=-update.lr)
        if update.group["nesterov"]:
            torch._foreach_add_(update.params, velocities, alpha=momentum)
            torch._foreach_add_(update.params, update.grads, alpha=-update.lr)
        else:
            torch._foreach_add_(update.params, velocities)

    def _fused(self, update: Update, momentum: float) -> None:
        """PyTorch's kernel does `v = momentum * v - (1 - dampening) * g; p = p - lr * v`."""
        torch._fused_sgd_(
            update.params,
            update.grads,
            update.slots["momentum"],
            weight_decay=0.0,
            momentum=momentum,
            lr=-1.0,
            dampening=1.0 - update.lr,
            nesterov=False,
            maximize=True,
            is_first_step=False,
        )


@registry.optimizers.register("Lion", "lion")
class Lion(Optimizer):
    """Steps of one size in every direction: the sign of a mean of gradients (Chen et al. 2023).

    Args:
        learning_rate: A number or a schedule; smaller than Adam's by a factor of 3 to 10.
        beta_1: The share of the mean, against the gradient, in the sign; above 0, up to 1.
        beta_2: How much of the mean stays at each step.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: a `beta_1` out of range, or what `Optimizer` refuses.

    Example:
        >>> w = torch.tensor([1.0, 1.0])
        >>> optimizers.Lion(0.1).apply([torch.tensor([5.0, -0.02])], [w])
        >>> w
        tensor([0.9000, 1.1000])
    """

    hyperparameters = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if not 0 < beta_1 <= 1:
            raise self._error(f"beta_1={beta_1}", "a number above 0, up to 1")
        self.beta_1, self.beta_2 = beta_1, beta_2

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0}

    def update(self, update: Update) -> None:
        group, means, grads = update.group, parts_of(update.slots["momentum"]), parts_of(update.grads)
        signs = torch._foreach_lerp(means, grads, 1 - group["beta_1"])
        torch._foreach_sign_(signs)
        torch._foreach_add_(parts_of(update.params), signs, alpha=-update.lr)
        torch._foreach_lerp_(means, grads, 1 - group["beta_2"])


@registry.optimizers.register("Ftrl", "ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader, for large sparse linear models (McMahan et al. 2013).

    Args:
        learning_rate: A number or a schedule.
        learning_rate_power: How the learning rate falls with the sum of squares; 0 or below.
        initial_accumulator_value: Where the sums of squares start.
        l1_regularization_strength: At least 0.
        l2_regularization_strength: At least 0.
        l2_shrinkage_regularization_strength: At least 0; on the gradient, not on the solution.
        beta: The paper's beta.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: an argument on the wrong side of 0, or what `Optimizer` refuses.

    Example:
        >>> w = torch.tensor([1.0, 1.0])
        >>> optimizers.Ftrl(0.1, l1_regularization_strength=1.0).apply([torch.tensor([0.5, 50.0])], [w])
        >>> w
        tensor([0.2119, 0.8917])
    """

    hyperparameters = (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    )

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if learning_rate_power > 0:
            raise self._error(f"learning_rate_power={learning_rate_power}", "at most 0")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in self.hyperparameters[1:5]:
            if getattr(self, name) < 0:
                raise self._error(f"{name}={getattr(self, name)}", "at least 0")

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"accumulator": group["initial_accumulator_value"], "linear": 0.0}

    def update(self, update: Update) -> None:
        group, lr, power = update.group, update.lr, -update.group["learning_rate_power"]
        l1, l2 = group["l1_regularization_strength"], group["l2_regularization_strength"]
        sums, linears = parts_of(update.slots["accumulator"]), parts_of(update.slots["linear"])
        params, grads = parts_of(update.params), parts_of(update.grads)
        shrunk = torch._foreach_mul(params, 2 * group["l2_shrinkage_regularization_strength"])
        torch._foreach_add_(shrunk, grads)
        before = torch._foreach_pow(sums, power)
        torch._foreach_addcmul_(sums, grads, grads, 1.0)
        after = torch._foreach_pow(sums, power)
        torch._foreach_add_(linears, shrunk)
        torch._foreach_addcmul_(linears, torch._foreach_sub(after, before), params, -1 / lr)
        torch._foreach_div_(after, lr)
        torch._foreach_add_(after, 2 * l2 + group["beta"] / lr)
        clipped = torch._foreach_clamp_min(linears, -l1)
        torch._foreach_clamp_max_(clipped, l1)
        torch._foreach_sub_(clipped, linears)
        torch._foreach_copy_(params, torch._foreach_div(clipped, after))
