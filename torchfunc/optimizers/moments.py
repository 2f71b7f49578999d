"""Rules that average gradients and their squares: Adam, AdamW, Adamax, Nadam."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.optimizers.optimizer import Common, CommonButDecay, LearningRate, Optimizer
from torchfunc.optimizers.stepper import Update


@registry.optimizers.register("Adam", "adam")
class Adam(Optimizer):
    """Running means of gradients over the root of running means of their squares (Kingma and Ba 2014).

    The bias correction is part of the learning rate, and epsilon is added to the uncorrected root (the
    paper's "epsilon hat"): `learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: A number or a schedule.
        beta_1: How much of the mean of gradients stays at each step.
        beta_2: How much of the mean of squares stays at each step.
        epsilon: What is added to the root.
        amsgrad: Whether to divide by the largest mean of squares so far (Reddi et al. 2018).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> optimizer, w = optimizers.Adam(0.1), torch.tensor([1.0, 1.0])
        >>> optimizer.apply([torch.tensor([5.0, -0.02])], [w])
        >>> w  # a first step is as long as the rate, whatever the gradient
        tensor([0.9000, 1.1000])
    """

    hyperparameters = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = _check_betas(self, beta_1, beta_2)
        self.epsilon, self.amsgrad = epsilon, amsgrad

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return dict.fromkeys(("momentum", "velocity", "velocity_hat")[: 2 + group["amsgrad"]], 0.0)

    def update(self, update: Update) -> None:
        if update.fused():
            for part in update.alike():
                self._fused(part)
        else:
            self._foreach(update)

    def _fused(self, update: Update) -> None:
        """PyTorch's kernel adds epsilon to the corrected root, so it gets epsilon corrected likewise."""
        group = update.group
        torch._fused_adam_(
            update.params,
            update.grads,
            update.slots["momentum"],
            update.slots["velocity"],
            update.slots.get("velocity_hat", []),
            update.step_numbers(),
            lr=update.lr,
            beta1=group["beta_1"],
            beta2=group["beta_2"],
            weight_decay=0.0,
            eps=group["epsilon"] / math.sqrt(1 - group["beta_2"] ** update.step),
            amsgrad=bool(group["amsgrad"]),
            maximize=False,
        )

    def _foreach(self, update: Update) -> None:
        group, slots = update.group, update.slots
        means, squares = slots["momentum"], slots["velocity"]
        torch._foreach_lerp_(means, update.grads, 1 - group["beta_1"])
        torch._foreach_mul_(squares, group["beta_2"])
        torch._foreach_addcmul_(squares, update.grads, update.grads, 1 - group["beta_2"])
        if group["amsgrad"]:
            torch._foreach_maximum_(slots["velocity_hat"], squares)
            squares = slots["velocity_hat"]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["epsilon"])
        rate = (
            update.lr * math.sqrt(1 - group["beta_2"] ** update.step) / (1 - group["beta_1"] ** update.step)
        )
        torch._foreach_addcdiv_(update.params, means, roots, -rate)


@registry.optimizers.register("AdamW", "adamw")
class AdamW(Adam):
    """Adam with weight decay (Loshchilov and Hutter 2017).

    Args:
        learning_rate: A number or a schedule.
        weight_decay: The share of itself, times the learning rate, that every parameter loses in every step.
        beta_1: How much of the mean of gradients stays at each step.
        beta_2: How much of the mean of squares stays at each step.
        epsilon: What is added to the root.
        amsgrad: Whether to divide by the largest mean of squares so far (Reddi et al. 2018).
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> w = torch.tensor([1.0])
        >>> optimizers.AdamW(0.1, weight_decay=0.5).apply([torch.tensor([0.0])], [w])
        >>> w  # 1 - 0.1 * 0.5
        tensor([0.9500])
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[CommonButDecay],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)


@registry.optimizers.register("Adamax", "adamax")
class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean of squares (Kingma and Ba 2014).

    Args:
        learning_rate: A number or a schedule.
        beta_1: How much of the mean of gradients stays at each step.
        beta_2: How much of the largest gradient stays at each step.
        epsilon: What is added to the largest gradient.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> optimizer, w = optimizers.Adamax(0.1), torch.tensor([1.0])
        >>> optimizer.apply([torch.tensor([5.0])], [w])
        >>> w
        tensor([0.9000])
    """

    hyperparameters = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = _check_betas(self, beta_1, beta_2)
        self.epsilon = epsilon

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0, "norm": 0.0}

    def update(self, update: Update) -> None:
        group, means, norms = update.group, update.slots["momentum"], update.slots["norm"]
        torch._foreach_lerp_(means, update.grads, 1 - group["beta_1"])
        torch._foreach_mul_(norms, group["beta_2"])
        torch._foreach_maximum_(norms, torch._foreach_abs(update.grads))
        divisors = torch._foreach_add(norms, group["epsilon"])
        rate = update.lr / (1 - group["beta_1"] ** update.step)
        torch._foreach_addcdiv_(update.params, means, divisors, -rate)


@registry.optimizers.register("Nadam", "nadam")
class Nadam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016).

    Args:
        learning_rate: A number or a schedule.
        beta_1: How much of the mean of gradients stays at each step.
        beta_2: How much of the mean of squares stays at each step.
        epsilon: What is added to the root.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> optimizer, w = optimizers.Nadam(0.1), torch.tensor([1.0])
        >>> optimizer.apply([torch.tensor([5.0])], [w])
        >>> w
        tensor([0.8937])
    """

    hyperparameters = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = _check_betas(self, beta_1, beta_2)
        self.epsilon = epsilon

    def defaults(self) -> dict[str, Any]:
        return {**super().defaults(), "momentum_product": 1.0}

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, update: Update) -> None:
        group, grads = update.group, update.grads
        means, squares = update.slots["momentum"], update.slots["velocity"]
        now, next_ = (group["beta_1"] * (1 - 0.5 * 0.96**t) for t in (update.step, update.step + 1))
        group["momentum_product"] *= now
        product = group["momentum_product"]
        torch._foreach_lerp_(means, grads, 1 - group["beta_1"])
        torch._foreach_mul_(squares, group["beta_2"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["beta_2"])
        roots = torch._foreach_div(squares, 1 - group["beta_2"] ** update.step)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["epsilon"])
        torch._foreach_addcdiv_(update.params, means, roots, -update.lr * next_ / (1 - product * next_))
        torch._foreach_addcdiv_(update.params, grads, roots, -update.lr * (1 - now) / (1 - product))


def _check_betas(optimizer: Optimizer, beta_1: float, beta_2: float) -> tuple[float, float]:
    for name, value in (("beta_1", beta_1), ("beta_2", beta_2)):
        if not 0 <= value < 1:
            raise optimizer._error(f"{name}={value}", "a number from 0 to below 1")
    return beta_1, beta_2


@registry.optimizers.register("Lamb", "lamb")
class Lamb(Optimizer):
    """Adam's direction, in each parameter as long as the parameter itself times the learning rate (You et al. 2019).

    Args:
        learning_rate: A number or a schedule.
        beta_1: How much of the mean of gradients stays at each step.
        beta_2: How much of the mean of squares stays at each step.
        epsilon: What is added to the root.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Example:
        >>> w = torch.tensor([30.0, 40.0])  # of length 50
        >>> optimizers.Lamb(0.1).apply([torch.tensor([0.0, 7.0])], [w])
        >>> w  # a step of length 5
        tensor([30., 35.])
    """

    hyperparameters = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = _check_betas(self, beta_1, beta_2)
        self.epsilon = epsilon

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, update: Update) -> None:
        group, means, squares = update.group, update.slots["momentum"], update.slots["velocity"]
        torch._foreach_lerp_(means, update.grads, 1 - group["beta_1"])
        torch._foreach_mul_(squares, group["beta_2"])
        torch._foreach_addcmul_(squares, update.grads, update.grads, 1 - group["beta_2"])
        roots = torch._foreach_div(squares, 1 - group["beta_2"] ** update.step)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["epsilon"])
        steps = torch._foreach_div(means, 1 - group["beta_1"] ** update.step)
        torch._foreach_div_(steps, roots)
        lengths = zip(torch._foreach_norm(update.params), torch._foreach_norm(steps), strict=True)
        ratios = [torch.where((own > 0) & (other > 0), own / other, 1.0) for own, other in lengths]
        torch._foreach_mul_(steps, ratios)
        torch._foreach_add_(update.params, steps, alpha=-update.lr)


@registry.optimizers.register("ScheduleFreeAdamW", "schedulefreeadamw")
class ScheduleFreeAdamW(Optimizer):
    """Adam without a schedule: gradients are taken between where steps lead and the mean of all that was reached.

    The parameters are that point between, `(1 - beta_1) * momentum + beta_1 * mean`. Source: Defazio et al. 2024.

    Args:
        learning_rate: A number or a schedule.
        beta_1: The share of the mean in the parameters; above 0.
        beta_2: How much of the mean of squares stays at each step.
        epsilon: What is added to the root.
        warmup_steps: Over how many steps the learning rate rises to its value.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: a `beta_1` of 0, betas out of range, or what `Optimizer` refuses.

    Example:
        >>> optimizer, w = optimizers.ScheduleFreeAdamW(0.1), torch.tensor([1.0])
        >>> optimizer.apply([torch.tensor([5.0])], [w])
        >>> w
        tensor([0.9000])
    """

    hyperparameters = ("beta_1", "beta_2", "epsilon", "warmup_steps")

    def __init__(
        self,
        learning_rate: LearningRate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = _check_betas(self, beta_1, beta_2)
        if not beta_1 > 0:
            raise self._error(f"beta_1={beta_1}", "a number above 0")
        self.epsilon, self.warmup_steps = epsilon, warmup_steps

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": None, "velocity": 0.0}

    def update(self, update: Update) -> None:
        group, points, squares = update.group, update.slots["momentum"], update.slots["velocity"]
        beta_1, warmup = group["beta_1"], group["warmup_steps"]
        lr = update.lr * min(update.step / warmup, 1.0) if warmup > 0 else update.lr
        torch._foreach_mul_(squares, group["beta_2"])
        torch._foreach_addcmul_(squares, update.grads, update.grads, 1 - group["beta_2"])
        roots = torch._foreach_div(squares, 1 - group["beta_2"] ** update.step)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["epsilon"])
        # the mean that the parameters were made of
        torch._foreach_add_(update.params, points, alpha=-(1 - beta_1))
        torch._foreach_div_(update.params, beta_1)
        torch._foreach_addcdiv_(points, update.grads, roots, -lr)
        torch._foreach_lerp_(update.params, points, 1 / update.step)
        torch._foreach_lerp_(update.params, points, 1 - beta_1)
