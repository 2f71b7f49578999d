"""The optimizer that PyTorch sees: a `torch.optim.Optimizer` whose mathematics is a Keras rule."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer as TorchOptimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from torchfunc.distributed.fully_sharded import copy_each, norms
from torchfunc.errors import CompileError, explain

Slots = dict[str, list[Tensor]]


@dataclass(slots=True)
class Update:
    """One step of one parameter group, all parameters with a gradient at once.

    Args:
        group: The group's hyperparameters.
        lr: Its learning rate at this step.
        step: The number of this step, counted from 1.
        params: The parameters, to be changed in place.
        grads: Their gradients, which belong to the caller and are not to be changed.
        slots: What the rule remembers of each parameter, by name, to be changed in place.
        whole: The slots named by the rule's `flat`, as few large tensors over the same memory where
            that is possible.
        ordered: Whether parameters, gradients and slots lie in memory in the same order, without gaps.
        names: What the parameters are called, as far as that is known.

    Example:
        >>> class Telling(optimizers.SGD):
        ...     def update(self, update):
        ...         print(update.step, update.lr, update.grads)
        >>> Telling(0.1).apply([torch.tensor([2.0])], [torch.tensor([1.0])])
        1 0.1 [tensor([2.])]
    """

    group: dict[str, Any]
    lr: float
    step: int
    params: list[Tensor]
    grads: list[Tensor]
    slots: Slots
    whole: Slots
    ordered: bool = True
    names: Mapping[Tensor, str] = field(default_factory=dict)

    def fused(self) -> bool:
        """Whether PyTorch's fused kernels can take these parameters: plain floats on CPU or CUDA."""
        first = self.params[0]
        return (
            self.ordered
            and (type(first) is Tensor or isinstance(first, nn.Parameter))
            and not is_traceable_wrapper_subclass(first)
            and first.device.type in ("cpu", "cuda")
            and first.is_floating_point()
        )

    def step_numbers(self) -> list[Tensor]:
        """The number of the step as fused kernels take it: a tensor for each parameter, here one for all."""
        number = torch.full((), float(self.step), device=self.params[0].device)
        return [number] * len(self.params)

    def alike(self) -> list[Update]:
        """The update in parts of one device and dtype each, as fused kernels want them.

        On the CPU they take tensors one by one, whatever their dtype.
        """
        if {p.device.type for p in self.params} == {"cpu"}:
            return [self]
        lists: list[Any] = [self.params, self.grads, *self.slots.values()]
        parts: Any = TorchOptimizer._group_tensors_by_device_and_dtype(lists)
        return [
            Update(
                self.group,
                self.lr,
                self.step,
                part[0],
                part[1],
                dict(zip(self.slots, part[2:], strict=True)),
                {},
                names=self.names,
            )
            for part, _ in parts.values()
        ]


class Rule(Protocol):
    """What the stepper asks of Keras's optimizer: see `torchfunc.optimizers.Optimizer`."""

    hyperparameters: ClassVar[tuple[str, ...]]
    flat: ClassVar[tuple[str, ...]]
    schedule: Callable[[int], float] | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None

    def defaults(self) -> dict[str, Any]: ...
    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]: ...
    def start(self, slot: str, parameter: Tensor, fill: float | None, name: str) -> Tensor: ...
    def decay(self, update: Update) -> None: ...
    def update(self, update: Update) -> None: ...


@dataclass(slots=True)
class Flat:
    """A slot of many parameters in one buffer, and its parts, shaped like the parameters."""

    params: list[Tensor]
    buffer: Tensor
    parts: list[Tensor]


class Stepper(TorchOptimizer):
    """A Keras rule as PyTorch's optimizer: `step`, `state_dict`, `param_groups` as everywhere.

    How many steps were taken stands in each group under "iterations", so that `state_dict` holds it.
    A parameter without a gradient is passed over.

    Args:
        rule: The mathematics.
        params: Parameters, named parameters, or groups of them.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0]))
        >>> stepper = optimizers.Stepper(optimizers.SGD(0.5), [w])
        >>> (w**2).sum().backward()
        >>> stepper.step()
        >>> w.data, stepper.param_groups[0]["iterations"]
        (tensor([0.]), 1)
    """

    def __init__(self, rule: Rule, params: Iterable[Any]) -> None:
        self.rule = rule
        self._flat: dict[tuple[int, str], Flat] = {}
        self.names: dict[Tensor, str] = {}
        super().__init__(params, rule.defaults())
        for group in self.param_groups:
            self.names.update(zip(group["params"], group.pop("param_names", ()), strict=False))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _bare(TorchOptimizer.add_param_group)(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = _bare(TorchOptimizer.state_dict)(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        _bare(TorchOptimizer.load_state_dict)(self, state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.detach_().zero_()

    def step(self, closure: Any = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: A function that computes the loss anew, called before the step.

        Returns:
            What the closure returned.
        """
        watched = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or torch._C._autograd._profiler_enabled()
        )
        return _watched_step(self, closure) if watched else _step(self, closure)

    # PyTorch wraps every `step` to call hooks and to name it in profiles, which costs 15 microseconds
    # a step. Ours goes through that wrapper only when somebody listens.
    step.hooked = True  # type: ignore[attr-defined]

    def _apply(self) -> None:
        if self.rule.gradient_accumulation_steps and not self._accumulate(
            self.rule.gradient_accumulation_steps
        ):
            return
        updates = [update for i, group in enumerate(self.param_groups) if (update := self._gather(i, group))]
        if not updates:
            return
        self._clip(updates)
        for update in updates:
            self.rule.decay(update)
            self.rule.update(update)
        for group in self.param_groups:
            group["iterations"] += 1
        if self.rule.use_ema:
            self._average()

    def _accumulate(self, steps: int) -> bool:
        """Add gradients to those that wait, or put the mean of all in their place.

        Returns:
            Whether the parameters are to change now.
        """
        now: bool = (self.param_groups[0]["iterations"] + 1) % steps == 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                waiting = state.get("accumulated")
                total = parameter.grad if waiting is None else waiting.to(parameter) + parameter.grad
                if now:
                    parameter.grad = total / steps
                    state["accumulated"] = torch.zeros_like(parameter)
                else:
                    state["accumulated"] = total.clone()
            if not now:
                group["iterations"] += 1
        return now

    def _gather(self, index: int, group: dict[str, Any]) -> Update | None:
        """The group's parameters that have gradients, with all that the rule needs to change them."""
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return None
        if self.rule.schedule is not None:
            if "initial_lr" in group:
                raise _two_schedules(self.rule)
            group["lr"] = self.rule.schedule(group["iterations"])
        grads = [p.grad if p.grad.layout is torch.strided else p.grad.to_dense() for p in params]
        slots = self._slots(params, self.rule.slots(group))
        ordered = all(map(Tensor.is_contiguous, chain(params, grads, *slots.values())))
        ordered = ordered or self._order(params, grads, slots)
        whole = {
            name: self._whole(index, name, params, slots[name]) for name in self.rule.flat if name in slots
        }
        step = group["iterations"] // (self.rule.gradient_accumulation_steps or 1) + 1
        return Update(group, float(group["lr"]), step, params, grads, slots, whole, ordered, self.names)

    def prepare(self) -> None:
        """Have what a first step would make: what is remembered of each parameter."""
        for group in self.param_groups:
            if group["params"]:
                self._slots(group["params"], self.rule.slots(group))

    def whole(self, name: str, params: list[Tensor]) -> list[Tensor]:
        """A slot of parameters of the first group as one buffer, in which the small ones come first."""
        return self._whole(0, name, params, [self.state[each][name] for each in params])

    def _slots(self, params: list[Tensor], fills: dict[str, float | None]) -> Slots:
        """What is remembered of each parameter; where nothing is yet, a tensor filled as the rule says."""
        states = [self.state[p] for p in params]
        try:
            slots = {name: [state[name] for state in states] for name in fills}
        except KeyError:
            for parameter, state in zip(params, states, strict=True):
                for name, fill in fills.items():
                    if name not in state:
                        state[name] = self.rule.start(name, parameter, fill, self.names.get(parameter, ""))
            return self._slots(params, fills)
        first = next(iter(slots.values()))[0] if slots else params[0]
        if first.dtype == params[0].dtype and first.device == params[0].device:
            return slots
        # The model was moved or cast since the last step.
        for parameter, state in zip(params, states, strict=True):
            for name in fills:
                state[name] = state[name].to(parameter)
        return {name: [state[name] for state in states] for name in fills}

    def _order(self, params: list[Tensor], grads: list[Tensor], slots: Slots) -> bool:
        """Bring gradients and slots into the order in memory of their parameters.

        Fused kernels take memory as it lies: a state saved from a model in another memory format, or a
        gradient that was transposed, would be added to the wrong weights.

        Returns:
            Whether that is possible: not for a parameter with gaps, such as a slice.
        """
        for i, parameter in enumerate(params):
            for name, tensors in (("", grads), *slots.items()):
                if tensors[i].shape == parameter.shape and tensors[i].stride() != parameter.stride():
                    tensors[i] = torch.empty_like(parameter).copy_(tensors[i])
                    if name:
                        self.state[parameter][name] = tensors[i]
        return all(map(_dense, params))

    def _whole(self, index: int, name: str, params: list[Tensor], parts: list[Tensor]) -> list[Tensor]:
        """A slot as one buffer, so that one kernel does for all parameters what each would need one for.

        The state always holds the parts, which are views of the buffer. Where somebody replaced them
        (a loaded state, a move to another device), a new buffer takes over what they hold.
        """
        flat = self._flat.get((index, name))
        if flat is not None and len(flat.parts) == len(parts) and all(map(operator.is_, flat.parts, parts)):
            return [flat.buffer]
        same = flat is None or (
            len(flat.params) == len(params) and all(map(operator.is_, flat.params, params))
        )
        if not same or not _flattens(parts):
            return parts
        flat = _flatten(params, parts)
        self._flat[index, name] = flat
        for parameter, part in zip(params, flat.parts, strict=True):
            self.state[parameter][name] = part
        parts[:] = flat.parts
        return [flat.buffer]

    def _clip(self, updates: list[Update]) -> None:
        """Gradients clipped as the rule's arguments say, as new tensors."""
        rule = self.rule
        if rule.clipnorm:
            for update in updates:
                scales = norms(update.grads)
                torch._foreach_clamp_min_(scales, rule.clipnorm)
                torch._foreach_reciprocal_(scales)
                torch._foreach_mul_(scales, rule.clipnorm)
                update.grads = list(torch._foreach_mul(update.grads, scales))
        elif rule.global_clipnorm:
            norm = nn.utils.get_total_norm([grad for update in updates for grad in update.grads])
            # The last term lets a norm that is infinite or no number show in every weight, as in Keras.
            scale = rule.global_clipnorm / norm.clamp(min=rule.global_clipnorm) + (norm - norm)
            for update in updates:
                update.grads = [grad * scale.to(grad.device) for grad in update.grads]
        elif rule.clipvalue:
            for update in updates:
                update.grads = list(torch._foreach_clamp_max(update.grads, rule.clipvalue))
                torch._foreach_clamp_min_(update.grads, -rule.clipvalue)

    def _average(self) -> None:
        """Move each parameter's average towards it, and now and then the parameter onto the average."""
        rule = self.rule
        for group in self.param_groups:
            params = group["params"]
            step = group["iterations"] // (rule.gradient_accumulation_steps or 1)
            for parameter in params:
                if "average" not in self.state[parameter]:
                    self.state[parameter]["average"] = parameter.detach().clone()
            if not params:
                continue
            averages = [self.state[parameter]["average"] for parameter in params]
            torch._foreach_lerp_(averages, params, 1 - rule.ema_momentum)
            if rule.ema_overwrite_frequency and step % rule.ema_overwrite_frequency == 0:
                copy_each(params, averages)

    def use_averages(self) -> None:
        """Put the averages that `use_ema` keeps in the place of the parameters."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if "average" in self.state[parameter]:
                        parameter.copy_(self.state[parameter]["average"])

    def take_averages(self) -> None:
        """Let the averages be what the parameters are."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if "average" in self.state[parameter]:
                        self.state[parameter]["average"].copy_(parameter)

    def swap_averages(self) -> None:
        """Let parameters and their averages change places."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    average = self.state[parameter].get("average")
                    if average is not None:
                        held = parameter.clone()
                        parameter.copy_(average)
                        average.copy_(held)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "names": self.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._flat = {}
        super().__setstate__(state)


def _two_schedules(rule: Rule) -> CompileError:
    return CompileError(
        explain(
            type(rule).__name__,
            got="a torch.optim.lr_scheduler beside a learning rate that is a schedule",
            why="the schedule sets the rate at every step, so that the scheduler would do nothing",
            fix="make the optimizer with a number, learning_rate=0.1, or leave the scheduler out",
        )
    )


def _bare(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of PyTorch's without the wrapper that hides it from the compiler.

    At its first call that wrapper loads the whole compiler, which takes a second or two.
    """
    bare: Callable[..., Any] = getattr(method, "__wrapped__", method)
    return bare


def _step(self: Stepper, closure: Any = None) -> Any:
    loss = None
    if closure is not None:
        with torch.enable_grad():
            loss = closure()
    with torch.no_grad():
        self._apply()
    return loss


_watched_step = TorchOptimizer.profile_hook_step(_step)


def _flattens(parts: list[Tensor]) -> bool:
    """Whether parts may live in one buffer: small plain tensors on the CPU, where a kernel costs a call."""
    first = parts[0]
    return (
        len(parts) > 1
        and first.device.type == "cpu"
        and all(type(p) is Tensor and p.dtype == first.dtype and p.device == first.device for p in parts)
        and all(map(_dense, parts))
    )


def _dense(tensor: Tensor) -> bool:
    """Whether a tensor fills its memory without gaps and overlaps, in whatever order of axes."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


# numbers from which PyTorch divides a tensor among threads; below, calling a kernel costs as much as what it does
SMALL = 2**15
# Numbers that kernels take at once, or a multiple of that: what is left at the end of a tensor they take one by one, and
# some then round differently. Tensors that leave nothing may lie one behind the other.
TOGETHER = 64


def is_small(tensor: Tensor) -> bool:
    """Whether a tensor may lie in one piece with others, in which all is rounded as it is alone."""
    return tensor.numel() < SMALL and tensor.numel() % TOGETHER == 0


def _flatten(params: list[Tensor], parts: list[Tensor]) -> Flat:
    """One buffer that holds what the parts hold, the small ones first, and the views of it that take their place."""
    buffer = parts[0].new_empty(sum(p.numel() for p in parts))
    views, start = list(parts), 0
    for at in sorted(range(len(parts)), key=lambda at: not is_small(parts[at])):
        part = parts[at]
        views[at] = buffer.as_strided(part.size(), part.stride(), start)
        views[at].copy_(part)
        start += part.numel()
    return Flat(params, buffer, views)
