"""Rules that know the rows and columns of a matrix: Adafactor and Muon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from torchfunc import registry
from torchfunc.optimizers.optimizer import Common, CommonButDecay, LearningRate, Optimizer, lessen
from torchfunc.optimizers.stepper import Update


@registry.optimizers.register("Adafactor", "adafactor")
class Adafactor(Optimizer):
    """Gradients over the root of their mean squares, of which a matrix keeps rows and columns alone.

    The last two axes of a parameter are its rows and columns: of a kernel of a convolution, in PyTorch's layout,
    those of space. Source: Shazeer and Stern 2018.

    Args:
        learning_rate: A number or a schedule; at most `1 / sqrt(step)` is taken of it.
        beta_2_decay: The exponent of the step by which means of squares forget; below 0.
        epsilon_1: What is added to a square.
        epsilon_2: The least size of a parameter, which the step is in proportion to.
        clip_threshold: The largest root mean square of an update; above 0.
        relative_step: Taken as in Keras, where it changes nothing: the learning rate is held below
            `1 / sqrt(step)` with or without it.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: a threshold that is not above 0, or what `Optimizer` refuses.

    Example:
        >>> w = torch.full((3, 4), 2.0)
        >>> optimizer = optimizers.Adafactor(0.1)
        >>> optimizer.apply([torch.ones(3, 4)], [w])
        >>> {name: tuple(kept.shape) for name, kept in optimizer.torch_optimizer.state[w].items()}
        {'row': (3, 1), 'column': (1, 4), 'velocity': (0,)}
    """

    hyperparameters = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if not clip_threshold > 0:
            raise self._error(f"clip_threshold={clip_threshold}", "a number above 0")
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"row": 0.0, "column": 0.0, "velocity": 0.0}

    def slot_shapes(self, slot: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        if slot == "velocity":
            return ((0,) if len(shape) > 1 else shape,)
        if slot not in ("row", "column"):
            return (shape,)
        if len(shape) < 2:
            return ((0,),)
        return ((*shape[:-1], 1) if slot == "row" else (*shape[:-2], 1, shape[-1]),)

    def start(self, slot: str, parameter: Tensor, fill: float | None, name: str) -> Tensor:
        return parameter.detach().new_zeros(self.slot_shapes(slot, tuple(parameter.shape))[0])

    def update(self, update: Update) -> None:
        group, slots = update.group, update.slots
        rate = min(update.lr, 1 / math.sqrt(update.step))
        new = update.step ** group["beta_2_decay"]
        for index, (parameter, grad) in enumerate(zip(update.params, update.grads, strict=True)):
            squares = grad.square() + group["epsilon_1"]
            if parameter.ndim > 1:
                row, column = slots["row"][index], slots["column"][index]
                row.lerp_(squares.mean(-1, keepdim=True), new)
                column.lerp_(squares.mean(-2, keepdim=True), new)
                means = row / row.mean(-2, keepdim=True) * column
            else:
                means = slots["velocity"][index].lerp_(squares, new)
            change = grad / means.sqrt()
            size = rate * _root_mean_square(parameter).clamp(min=group["epsilon_2"])
            limit = (_root_mean_square(change) / group["clip_threshold"]).clamp(min=1.0)
            parameter.sub_(change * (size / limit))


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()


@registry.optimizers.register("Muon", "muon")
class Muon(Optimizer):
    """The momentum of a matrix with all its singular values near 1; what is no matrix takes the steps of Adam.

    Source: Jordan et al. 2024; the scale of the steps is that of Liu et al. 2025.

    Args:
        learning_rate: A number or a schedule.
        adam_beta_1: See `Adam`.
        adam_beta_2: See `Adam`.
        adam_weight_decay: The weight decay of what is no matrix.
        epsilon: See `Adam`.
        weight_decay: The weight decay of matrices.
        exclude_layers: Text of which any, in the name of a matrix, makes it take the steps of Adam. Names are
            known in `fit`, and where it is built of `model.named_parameters()`.
        exclude_embeddings: Whether "embedding" is such a text.
        muon_a: The factors of `a * x + b * (x x^T) x + c * (x x^T)^2 x`, by which singular values come near 1.
        muon_b: See there.
        muon_c: See there.
        adam_lr_ratio: What Adam's learning rate is of the other.
        momentum: How much of the momentum stays at each step.
        ns_steps: How often that polynomial is taken, from 1 to 100.
        nesterov: Whether the gradient is added once more.
        rms_rate: What the root of the longer side is multiplied by for the scale of a step; None takes no scale.
        clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, name,
        loss_scale_factor, gradient_accumulation_steps: as for Optimizer.

    Raises:
        CompileError: factors or a number of steps by which singular values grow without end, or what
            `Optimizer` refuses.

    Example:
        >>> w = torch.zeros(2, 2)
        >>> optimizers.Muon(1.0, rms_rate=None).apply([torch.diag(torch.tensor([9.0, 1.0]))], [w])
        >>> torch.linalg.svdvals(w)  # of one size, where those of the gradient are 9 and 1
        tensor([0.7529, 0.7034])
    """

    hyperparameters = (
        "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "muon_a", "muon_b", "muon_c",
        "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **common: Unpack[CommonButDecay],
    ) -> None:
        super().__init__(learning_rate, weight_decay, **common)
        for name, beta in (("adam_beta_1", adam_beta_1), ("adam_beta_2", adam_beta_2)):
            if not 0 <= beta < 1:
                raise self._error(f"{name}={beta}", "a number from 0 to below 1")
        if not isinstance(ns_steps, int) or not 1 <= ns_steps <= 100:
            raise self._error(f"ns_steps={ns_steps!r}", "a whole number from 1 to 100")
        if not _stays(muon_a, muon_b, muon_c, ns_steps):
            got = f"muon_a={muon_a}, muon_b={muon_b}, muon_c={muon_c}"
            raise self._error(got, f"factors by which no singular value leaves [-10, 10] in {ns_steps} steps")
        if isinstance(exclude_layers, str) or not all(isinstance(each, str) for each in exclude_layers or ()):
            raise self._error(f"exclude_layers={exclude_layers!r}", "a list of names or parts of names")
        self.adam_beta_1, self.adam_beta_2, self.adam_weight_decay = (
            adam_beta_1,
            adam_beta_2,
            adam_weight_decay,
        )
        self.epsilon, self.muon_a, self.muon_b, self.muon_c = epsilon, muon_a, muon_b, muon_c
        self.exclude_layers, self.exclude_embeddings = list(exclude_layers or ()), exclude_embeddings
        self.adam_lr_ratio, self.momentum, self.ns_steps = adam_lr_ratio, momentum, ns_steps
        self.nesterov, self.rms_rate = nesterov, rms_rate

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        return {"momentum": 0.0, "velocity": 0.0}

    def slot_shapes(self, slot: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return (shape, (0,)) if slot == "velocity" and len(shape) == 2 else (shape,)

    def start(self, slot: str, parameter: Tensor, fill: float | None, name: str) -> Tensor:
        if slot == "velocity" and not self._by_adam(parameter, name):
            return parameter.detach().new_zeros(0)
        return super().start(slot, parameter, fill, name)

    def _by_adam(self, parameter: Tensor, name: str) -> bool:
        kept_out = any(word in name for word in self.exclude_layers)
        return parameter.ndim != 2 or kept_out or (self.exclude_embeddings and "embedding" in name.lower())

    def decay(self, update: Update) -> None:
        decayed = [each for each in update.params if self.decays(each, update.names)]
        for by_adam, share in (
            (True, update.group["adam_weight_decay"]),
            (False, update.group["weight_decay"]),
        ):
            if share:
                held = [p for p in decayed if self._by_adam(p, update.names.get(p, "")) is by_adam]
                lessen(held, update.lr * share)

    def update(self, update: Update) -> None:
        slots = update.slots
        for parameter, grad, mean, squares in zip(
            update.params, update.grads, slots["momentum"], slots["velocity"], strict=True
        ):
            if squares.shape == parameter.shape:  # which it has where the steps are Adam's
                self._step_of_adam(update, parameter, grad, mean, squares)
            else:
                self._step_of_muon(update, parameter, grad, mean)

    def _step_of_adam(
        self, update: Update, parameter: Tensor, grad: Tensor, mean: Tensor, squares: Tensor
    ) -> None:
        group, step = update.group, update.step
        beta_1, beta_2 = group["adam_beta_1"], group["adam_beta_2"]
        mean.lerp_(grad, 1 - beta_1)
        squares.lerp_(grad.square(), 1 - beta_2)
        rate = update.lr * group["adam_lr_ratio"] * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        parameter.addcdiv_(mean, squares.sqrt().add_(group["epsilon"]), value=-rate)

    def _step_of_muon(self, update: Update, parameter: Tensor, grad: Tensor, mean: Tensor) -> None:
        group = update.group
        mean.mul_(group["momentum"]).add_(grad)
        direction = grad + group["momentum"] * mean if group["nesterov"] else mean
        rate = update.lr
        if group["rms_rate"] is not None:
            rate *= math.sqrt(max(parameter.shape)) * group["rms_rate"]
        parameter.sub_(rate * _orthogonal(direction, group))


def _stays(a: float, b: float, c: float, steps: int) -> bool:
    """Whether the polynomial keeps singular values, which are 1 at most before it, from growing without end."""
    values = [index / 50 for index in range(51)]
    for _ in range(steps):
        values = [x * (a + x * x * (b + c * x * x)) for x in values]
        if not all(abs(x) <= 10 for x in values):
            return False
    return True


def _orthogonal(matrix: Tensor, group: Mapping[str, Any]) -> Tensor:
    """The matrix with singular values near 1, by a few steps of a polynomial in it (Newton and Schulz)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)
    for _ in range(group["ns_steps"]):
        product = x @ x.T
        x = group["muon_a"] * x + (group["muon_b"] * product + group["muon_c"] * product @ product) @ x
    return x.t() if tall else x
