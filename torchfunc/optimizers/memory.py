"""Memory: what an optimizer remembers, by the names of the parameters, as plain data and tensors.

All of it is checked against the parameters, by shapes and ranges alone, before any of it is used: PyTorch's own
`load_state_dict` takes nearly anything, and fails in a later step.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from torchfunc import native
from torchfunc.distributed.fully_sharded import placed_as
from torchfunc.errors import ConfigError, TorchfuncError, WeightMismatchError, explain, shorten
from torchfunc.fields import COUNTS, item, listed, number, record, refused, shape_of, told, whole
from torchfunc.optimizers.multiple import MultiOptimizer, Steppers
from torchfunc.optimizers.optimizer import Optimizer
from torchfunc.optimizers.stepper import Stepper
from torchfunc.optimizers.torch_optimizer import TorchOptimizer

# what PyTorch's optimizers keep of each parameter: a number of steps, another number, or a tensor with the
# shape of the parameter, of its rows or of its columns; with a "?" where the settings decide whether
_SLOTS = {
    "ASGD": "step:count eta:number mu:number ax:whole",
    "Adadelta": "step:count square_avg:whole acc_delta:whole",
    "Adafactor": "step:count row_var:rows col_var:columns variance:vector",
    "Adagrad": "step:count sum:whole",
    "Adam": "step:count exp_avg:whole exp_avg_sq:whole max_exp_avg_sq?amsgrad:whole",
    "AdamW": "step:count exp_avg:whole exp_avg_sq:whole max_exp_avg_sq?amsgrad:whole",
    "Adamax": "step:count exp_avg:whole exp_inf:whole",
    "NAdam": "step:count mu_product:share exp_avg:whole exp_avg_sq:whole",
    "RAdam": "step:count exp_avg:whole exp_avg_sq:whole",
    "RMSprop": "step:count square_avg:whole momentum_buffer?momentum:whole grad_avg?centered:whole",
    "Rprop": "step:count prev:whole step_size:whole",
    "SGD": "momentum_buffer?never:whole",
    "SparseAdam": "step:count exp_avg:whole exp_avg_sq:whole",
}

_BIG = 1e9  # products of a few such numbers are finite in float32
_BELOW_1, _ABOVE_1 = math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0)

# From where to where the settings of optimizers go, ours and PyTorch's; those of a pair have a range each.
# What one class takes in another range stands under its name.
_RANGES: dict[str, Any] = {
    "lr": (0, _BIG), "learning_rate": (0, _BIG), "Ftrl.lr": (1e-20, _BIG), "initial_lr": (0, _BIG),
    "weight_decay": (-_BIG, _BIG), "momentum": (0, _BIG), "dampening": (-_BIG, _BIG), "momentum_product": (0, 1),
    "beta_1": (0, 1), "beta_2": (0, 1), "betas": [(0, _BELOW_1), (0, _BELOW_1)], "rho": (0, 1),
    "epsilon": (0, _BIG), "eps": (0, _BIG), "Adafactor.eps": [(0, _BIG), (0, _BIG)],
    "alpha": (0, 2), "RMSprop.alpha": (0, 1), "lambd": (0, 1e3), "t0": (0, 1e15),
    "etas": [(math.ulp(0.0), _BELOW_1), (_ABOVE_1, _BIG)], "step_sizes": [(0, _BIG), (0, _BIG)],
    "lr_decay": (0, _BIG), "momentum_decay": (0, _BIG), "beta2_decay": (-_BIG, 0), "d": (1, _BIG),
    "initial_accumulator_value": (0, _BIG), "learning_rate_power": (-10, 0), "beta": (0, _BIG),
    "l1_regularization_strength": (0, _BIG), "l2_regularization_strength": (0, _BIG),
    "l2_shrinkage_regularization_strength": (0, _BIG),
    "beta_2_decay": (-100, 0), "epsilon_1": (0, _BIG), "epsilon_2": (0, _BIG), "clip_threshold": (1e-20, _BIG),
    "warmup_steps": (0, _BIG), "adam_beta_1": (0, 1), "adam_beta_2": (0, 1), "adam_weight_decay": (-_BIG, _BIG),
    "muon_a": (-1e3, 1e3), "muon_b": (-1e3, 1e3), "muon_c": (-1e3, 1e3), "adam_lr_ratio": (0, _BIG), "ns_steps": (1, 100),
    "rms_rate": (0, _BIG), "clipnorm": (0, _BIG), "clipvalue": (0, _BIG), "global_clipnorm": (0, _BIG),
    "ema_momentum": (0, 1),
}  # fmt: skip
_MAY_BE_NONE = ("rms_rate", "adam_weight_decay")
_OF_EACH = ("lr", "learning_rate", "initial_lr", "weight_decay", "iterations")
_OF_ALL = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum")

# how PyTorch computes a step, which is for who makes the optimizer to say, and what makes Adam AdamW
_KEPT = ("foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")


_NOTHING = inspect.Parameter.empty


@dataclass(frozen=True)
class Owner:
    """What is known of the optimizer that a memory is for.

    Attributes:
        name: of its class.
        settings: those of a group, with values of the right kinds; None where they are not known.
        slots: what it keeps of each parameter; None where that is not known.
        rule: ours, if it is one.
    """

    name: str
    settings: Mapping[str, Any] | None
    slots: Mapping[str, tuple[str, str]] | None
    rule: Optimizer | None = None

    @property
    def ours(self) -> bool:
        """Whether its class is torchfunc's or PyTorch's, and not somebody's own."""
        return self.rule is None or type(self.rule).__module__.startswith("torchfunc.")

    @classmethod
    def of(cls, optimizer: Any) -> Owner:
        """What is known of an optimizer, whether it was built or not."""
        if isinstance(optimizer, Stepper) and isinstance(optimizer.rule, Optimizer):
            optimizer = optimizer.rule
        if isinstance(optimizer, Optimizer):
            optimizer = optimizer.unwrapped
            return cls(type(optimizer).__name__, optimizer.defaults(), None, optimizer)
        source = optimizer.source if isinstance(optimizer, TorchOptimizer) else optimizer
        kind, given = (source.func, source.keywords) if isinstance(source, partial) else (source, {})
        if isinstance(source, torch.optim.Optimizer):
            kind, given = type(source), source.param_groups[0]
        if not isinstance(kind, type) or native.name_of(kind) not in native.optimizers():
            return cls("optimizer", None, None)
        # a kind is that of the default, where the argument has one
        stated = {key: each.default for key, each in inspect.signature(kind).parameters.items()}
        settings = {key: given.get(key) if each is _NOTHING else each for key, each in stated.items()}
        del settings["params"]
        parts = (each.split(":") for each in _SLOTS[kind.__name__].split())
        forms = {key.partition("?")[0]: (form, key.partition("?")[2]) for key, form in parts}
        return cls(kind.__name__, settings, forms)

    def setting(self, name: str, value: Any, place: str) -> None:
        """Refuse a value that such an optimizer does not take under this name."""
        own = (self.settings or {}).get(name)
        place = f"{place}.{name}"
        if value is None and self.ours and name in _MAY_BE_NONE:
            return
        if name in _KEPT or isinstance(own, bool):
            told_by_number = isinstance(value, int) and value in (0, 1)
            if not told_by_number and not (value is None and name in _KEPT):
                raise refused(place, value, "a truth value")
            return
        ranges = _RANGES.get(f"{self.name}.{name}", _RANGES.get(name))
        if self.settings is None or not (self.ours or name in (*_OF_EACH, *_OF_ALL)):
            ranges = None  # the name may mean something else in a class of somebody's own
        if name == "iterations" and self.rule is not None:
            whole(value, place)
        elif isinstance(ranges, list):
            if not isinstance(value, (list, tuple)) or len(value) != len(ranges):
                raise refused(place, value, f"{len(ranges)} numbers")
            for index, (each, limits) in enumerate(zip(value, ranges, strict=True)):
                if each is not None or (name, index) != ("eps", 0):
                    number(each, f"{place}[{index}]", *limits)
        elif ranges is not None:
            if isinstance(value, Tensor) or value is not None or own is not None:
                number(value, place, *ranges)
        elif isinstance(own, (int, float, Tensor)):
            number(value, place, -sys.float_info.max, sys.float_info.max)
        elif not _is_plain(value):
            raise refused(place, value, "plain data")

    def needed(
        self, group: Mapping[str, Any], *, has_columns: bool
    ) -> tuple[set[str], dict[str, str]] | None:
        """The slots that a parameter of the group must have, and the forms of all that it may have."""
        if self.rule is not None:
            now, first = self.rule.slots(group), self.rule.slots(self.rule.defaults())
            own = {**first, **now, **({"average": 0.0} if self.rule.use_ema else {})}
            own |= {"accumulated": 0.0} if self.rule.gradient_accumulation_steps else {}
            return now.keys() & first.keys(), dict.fromkeys(own, "whole")
        if self.slots is None:
            return None
        forms = {key: form for key, (form, _) in self.slots.items()}
        if self.name == "Adafactor":
            for key in ("variance",) if has_columns else ("row_var", "col_var"):
                del forms[key]
        asked = {key: when for key, (_, when) in self.slots.items() if key in forms}
        return {key for key, when in asked.items() if not when or group.get(when)}, forms


class _Kept:
    """What an optimizer keeps of the parameters of each group, found once."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self._found: dict[tuple[int, bool], Any] = {}

    def of(self, group: Mapping[str, Any], has_columns: bool) -> Any:
        key = id(group), has_columns
        if key not in self._found:
            self._found[key] = self.owner.needed(group, has_columns=has_columns)
        return self._found[key]


class _Owners:
    """What is known of the owner of each group: of one optimizer, or of several that have their own groups."""

    def __init__(self, optimizer: Any, module: nn.Module) -> None:
        self.kept: list[_Kept] | None = None
        if isinstance(optimizer, Steppers):
            names = {id(parameter): name for name, parameter in module.named_parameters()}
            groups = [(group, each) for each in optimizer.steppers for group in each.param_groups]
            self.kept = [_Kept(Owner.of(each)) for _, each in groups]
            self.held = [{names.get(id(p), "") for p in group["params"]} for group, _ in groups]
        else:
            self.one = _Kept(Owner.of(optimizer))

    def of(self, index: int, group: Mapping[str, Any], place: str) -> _Kept:
        """The one of a group.

        Raises:
            ConfigError: there are several optimizers, and none of them has these parameters.
        """
        if self.kept is None:
            return self.one
        if index >= len(self.kept) or self.held[index] != set(group["params"]):
            got, expected = shorten(group["params"], 60), "the parameters of each of the optimizers"
            raise ConfigError(explain(f"{place}.params", got=got, expected=expected))
        return self.kept[index]


def check_memory(state: Any, place: str, optimizer: Any, module: nn.Module) -> None:
    """Refuse a memory that does not fit an optimizer and the parameters of a module.

    Raises:
        ConfigError: a number, a name or a structure that `optimizer_state` does not write.
        WeightMismatchError: a tensor of another shape or dtype than is kept of its parameter.
    """
    record(state, place, ("slots", "groups"), ("whole",))
    if not isinstance(state.get("whole", True), bool):
        raise refused(f"{place}.whole", state["whole"], "a truth value")
    owners, parameters = _Owners(optimizer, module), dict(module.named_parameters())
    group_of = _check_groups(state["groups"], f"{place}.groups", owners, parameters)
    if not isinstance(state["slots"], Mapping):
        raise refused(f"{place}.slots", state["slots"], "an object with the names of parameters")
    for name, slot in state["slots"].items():
        where = item(f"{place}.slots", name)
        if name not in group_of:
            raise ConfigError(explain(where, got="no such parameter", expected="one that a group names"))
        if not isinstance(slot, Mapping):
            raise refused(where, slot, "an object with what is kept of the parameter")
        if slot:
            waits = isinstance(parameters.get(name), UninitializedParameter)
            group, kept = group_of[name]
            _check_slot(slot, where, kept, group, None if waits else parameters.get(name))


def _check_groups(
    groups: Any, place: str, owners: _Owners, parameters: Mapping[str, Tensor]
) -> dict[str, tuple[Mapping[str, Any], _Kept]]:
    """The group of each name in them, and what its owner keeps."""
    found: dict[str, tuple[Mapping[str, Any], _Kept]] = {}
    # an optimizer may hold others than the module's, such as the weights of a loss, under their numbers
    for index, group in enumerate(listed(groups, place, len(parameters) + 1000, "groups of parameters")):
        where = f"{place}[{index}]"
        if not isinstance(group, Mapping) or "params" not in group:
            raise refused(where, group, "an object with 'params'")
        names = listed(group["params"], f"{where}.params", len(parameters) + 1000, "names")
        own: list[str] = []
        for name in names:
            known = isinstance(name, str) and (
                name in parameters or (name.isdecimal() and name.isascii() and len(name) < 10)
            )
            if not known or name in found:
                expected = "the names of parameters, each in one group"
                raise ConfigError(explain(f"{where}.params", got=shorten(name, 60), expected=expected))
            own.append(name)
            found[name] = None  # type: ignore[assignment]
        kept = owners.of(index, group, where)
        found |= dict.fromkeys(own, (group, kept))
        _check_settings(group, where, kept.owner)
    if not found and parameters:
        raise ConfigError(explain(place, got="no parameters", expected="at least one group that has some"))
    return found


def _check_settings(group: Mapping[str, Any], place: str, owner: Owner) -> None:
    for name, value in group.items():
        # what is not its own, as of a scheduler, is left out when it is loaded
        own = owner.settings is None or name in owner.settings
        if name != "params" and (own or name in _KEPT or name == "initial_lr"):
            owner.setting(name, value, place)
    missing = next((each for each in owner.settings or () if each not in (*group, *_KEPT)), None)
    if missing is not None:
        own = (owner.settings or {})[missing]
        if _is_plain(_plain(own)):  # others are not written
            raise ConfigError(explain(place, got=f"no {missing!r}", expected=f"the settings of {owner.name}"))
    rule = owner.rule
    if rule is None:
        return
    if rule.schedule is not None and "initial_lr" in group:
        raise ConfigError(explain(place, got="'initial_lr' beside a schedule", expected="one of the two"))
    if owner.ours:
        _check_rule(rule, group, place)


def _check_rule(rule: Optimizer, group: Mapping[str, Any], place: str) -> None:
    """Have the constructor of a rule of ours judge its settings, and see what a schedule makes of the step."""
    kind: Any = type(rule)
    try:
        kind(float(group["lr"]), **{name: group[name] for name in kind.hyperparameters})
        schedule: Any = rule.schedule
        if schedule is not None and type(schedule).__module__.startswith("torchfunc.schedules"):
            number(schedule(group["iterations"]), f"{place}.iterations, as its schedule makes it", 0, _BIG)
    except ConfigError:
        raise
    except (TorchfuncError, ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"{place}: {short(error)}") from error


def short(error: BaseException) -> str:
    """What an error says, short enough to stand in another."""
    text = str(error)
    return text if text.isprintable() and len(text) <= 300 else shorten(text, 300)


def _check_slot(
    slot: Mapping[Any, Any], place: str, kept: _Kept, group: Mapping[str, Any], parameter: Tensor | None
) -> None:
    owner = kept.owner
    found = None if parameter is None else kept.of(group, parameter.ndim > 1)
    # nobody knows yet what is kept of a parameter that has no shape, or here what another optimizer keeps
    if parameter is None or found is None:
        for key, value in slot.items():
            if not isinstance(key, str) or not (isinstance(value, Tensor) or _is_plain(value)):
                raise refused(item(place, key), value, "a tensor or plain data")
        return
    needed, forms = found
    missing = next((each for each in forms if each in needed and each not in slot), None)
    if missing is not None:
        got, expected = f"no {missing!r}", f"what {owner.name} keeps: {', '.join(forms)}"
        raise WeightMismatchError(explain(place, got=got, expected=expected))
    for key, value in slot.items():
        form = forms.get(key)
        if form is None:
            got, expected = shorten(key, 60), f"what {owner.name} keeps: {', '.join(forms)}"
            raise ConfigError(explain(place, got=got, expected=expected))
        if value is None and key not in needed and owner.name == "SGD":
            continue  # PyTorch's SGD keeps None of what it has no momentum for
        if form in _LIMITS:
            _check_number(value, f"{place}.{key}", form)
        else:
            shape = tuple(parameter.shape)
            shapes = owner.rule.slot_shapes(key, shape) if owner.rule is not None else (_shape(form, shape),)
            _check_tensor(value, f"{place}.{key}", shapes, parameter)


_LIMITS: dict[str, tuple[float, float]] = {"count": (0, COUNTS - 1), "number": (0, _BIG), "share": (0, 1)}


def _check_number(value: Any, place: str, form: str) -> None:
    """A number, which PyTorch keeps as a tensor without axes."""
    least, most = _LIMITS[form]
    if isinstance(value, Tensor):
        if value.ndim or not value.is_floating_point():
            raise WeightMismatchError(explain(place, got=shape_of(value), expected="shape () float32"))
        value = value.item()
    number(value, place, least, most)
    if form == "count" and value != int(value):
        raise refused(place, value, "a whole number")


def _shape(form: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what PyTorch keeps in a form of a parameter of a shape."""
    if form == "rows":
        return (*shape[:-1], 1)
    return (*shape[:-2], 1, shape[-1]) if form == "columns" else shape


def _check_tensor(value: Any, place: str, shapes: Sequence[tuple[int, ...]], parameter: Tensor) -> None:
    # it is turned to the dtype of the parameter, as after `model.double()`
    fits = (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and tuple(value.shape) in shapes
        and value.is_floating_point() == parameter.is_floating_point()
        and value.is_complex() == parameter.is_complex()
    )
    if not fits:
        got = shape_of(value) if isinstance(value, Tensor) else told(value)
        dtype = str(parameter.dtype).removeprefix("torch.")
        raise WeightMismatchError(explain(place, got=got, expected=f"shape {shapes[0]} {dtype}"))


def check_arguments(optimizer: Any, place: str) -> None:
    """Refuse an optimizer whose arguments, from a file, would only fail in a step.

    Raises:
        ConfigError: an argument of another kind or out of range.
    """
    owner = Owner.of(optimizer)
    if isinstance(optimizer, MultiOptimizer):
        for each in optimizer.optimizers:
            check_arguments(each, place)
        return
    if owner.rule is not None:
        rule = owner.rule
        defaults = {key: each.default for key, each in inspect.signature(type(rule)).parameters.items()}
        kinds = Owner(owner.name, {**defaults, "lr": 0.0}, None)
        for name, value in rule.defaults().items():
            if name in kinds.settings:  # type: ignore[operator]
                kinds.setting(name, value, place)
        for name in _OF_ALL:
            kinds.setting(name, getattr(rule, name), place)
        if rule.ema_overwrite_frequency is not None:
            whole(rule.ema_overwrite_frequency, f"{place}.ema_overwrite_frequency")
        return
    source = optimizer.source if isinstance(optimizer, TorchOptimizer) else None
    if owner.slots is None or not isinstance(source, partial):
        return
    given = source.keywords
    for name, value in given.items():
        owner.setting(name, value, place)
    momentum, dampening = given.get("momentum", 0), given.get("dampening", 0)
    if given.get("nesterov") and owner.name == "SGD" and (momentum == 0 or dampening != 0):
        expected = "momentum above 0 and no dampening"
        raise ConfigError(explain(f"{place}.nesterov", got=f"momentum {momentum}", expected=expected))
    if (given.get("foreach") and given.get("fused")) or given.get("differentiable"):
        raise ConfigError(
            explain(place, got="foreach and fused, or differentiable", expected="one of the two")
        )


def optimizer_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Any]:
    """What an optimizer remembers of each parameter, and its settings.

    Returns:
        `slots`: for each parameter's name the tensors and numbers kept for it; `groups`: for each
        group of parameters its names and its settings such as `lr`.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    saved = optimizer.state_dict()
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    order = {index: names.get(id(parameter), str(index)) for index, parameter in enumerate(ordered)}
    slots = {order[index]: dict(slot) for index, slot in saved["state"].items() if index in order}
    groups = [
        {"params": [order[index] for index in group["params"]], **_settings(group)}
        for group in saved["param_groups"]
    ]
    return {"slots": slots, "groups": groups}


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a group that are plain data."""
    items = {key: _plain(value) for key, value in group.items() if key != "params"}
    return {key: value for key, value in items.items() if _is_plain(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim == 0:
        return value.item()
    return list(value) if isinstance(value, tuple) else value


def _is_plain(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, (bool, int, float, str))
        or (isinstance(value, list) and all(map(_is_plain, value)))
    )


def fitting(state: Mapping[str, Any], optimizer: Any, module: nn.Module) -> dict[str, Any]:
    """A memory without what is of parameters that were replaced since by others of another shape."""
    owners, parameters = _Owners(optimizer, module), dict(module.named_parameters())
    group_of = {
        name: (index, group) for index, group in enumerate(state["groups"]) for name in group["params"]
    }
    slots = {}
    for name, slot in state["slots"].items():
        index, group = group_of[name]
        try:
            _check_slot(slot, "", owners.of(index, group, ""), group, parameters.get(name))
        except (WeightMismatchError, ConfigError):
            continue
        slots[name] = slot
    return {**state, "slots": slots}


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, module: nn.Module, state: Mapping[str, Any]
) -> None:
    """Give an optimizer what `optimizer_state` told of one; parameters that it does not name begin anew."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    _regroup(optimizer, names, state["groups"], whole=state.get("whole", True))
    target = optimizer.state_dict()
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = {}
    at_first: Mapping[int, Any] = {}
    if isinstance(
        optimizer, torch.optim.Adagrad
    ):  # before PyTorch 2.13 it makes its state with itself, never later
        value = optimizer.defaults["initial_accumulator_value"]
        at_first = torch.optim.Adagrad(ordered, initial_accumulator_value=value).state_dict()["state"]
    for index, parameter in enumerate(ordered):
        slot = state["slots"].get(names.get(id(parameter), str(index)))
        if slot is not None:
            slots[index] = {key: _copied(value, parameter) for key, value in slot.items()}
        elif index in at_first:
            slots[index] = at_first[index]
    groups = [
        {**group, **_restored(group, saved)}
        for group, saved in zip(
            target["param_groups"], _padded(state["groups"], len(target["param_groups"])), strict=True
        )
    ]
    optimizer.load_state_dict({**target, "state": slots, "param_groups": groups})


def _regroup(
    optimizer: torch.optim.Optimizer,
    names: Mapping[int, str],
    saved: Sequence[Mapping[str, Any]],
    *,
    whole: bool,
) -> None:
    """Divide the parameters of an optimizer that was made anew, in one group, as they were divided before.

    Args:
        optimizer: made anew.
        names: those of the parameters.
        saved: the groups of before.
        whole: whether they held all that was trainable; else what they do not name stays out.
    """
    if len(optimizer.param_groups) != 1 or (len(saved) < 2 and whole):
        return
    (only,) = optimizer.param_groups
    place = {name: index for index, group in enumerate(saved) for name in group["params"]}
    divided: list[list[Tensor]] = [[] for _ in saved]
    for parameter in only["params"]:
        found = place.get(names.get(id(parameter), ""), 0 if whole else None)
        if found is not None:
            divided[found].append(parameter)
    optimizer.param_groups[:] = [{**only, "params": parameters} for parameters in divided]


def _copied(value: Any, parameter: Tensor) -> Any:
    """A tensor of its own, so that two optimizers never share one."""
    if not isinstance(value, Tensor):
        return value
    value = placed_as(value, parameter)
    return value.detach().to(parameter.device if value.ndim else value.device, copy=True)


def _restored(group: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """The saved settings in the types of the group's own."""
    return {
        key: _typed(value, group.get(key))
        for key, value in saved.items()
        # a torch.optim.lr_scheduler that goes on asks for the last
        if key not in ("params", "param_names", *_KEPT) and (key in group or key == "initial_lr")
    }


def _typed(value: Any, own: Any) -> Any:
    if isinstance(own, Tensor):
        return torch.as_tensor(value, dtype=own.dtype, device=own.device)
    return tuple(value) if isinstance(own, tuple) and isinstance(value, list) else value


def _padded(groups: Iterable[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """One saved group for each; where there are more groups than were saved they take the last one's."""
    known = list(groups)
    return (known + [known[-1] if known else {}] * count)[:count]
