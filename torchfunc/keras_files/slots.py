"""Slots: what an optimizer remembers, in the order in which Keras's files list it; said once and used both ways.

Keras 3 lists the number of steps, the learning rate where it is no schedule, and then slot by slot what is kept of
each weight that is trained, two slots of one weight beside each other where they are made together. Its line 2 has
no learning rate there, and had all of one slot before all of the next until 2.11. Source: `build` of
keras/src/optimizers, Keras 3.15.1, and of tf_keras/src/optimizers/legacy, 2.15.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchfunc.keras_files.places import Weight, weights_of
from torchfunc.optimizers import Optimizer

Group = Mapping[str, Any]

# which slots of a weight are made together, in Keras's order, under our names
_ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "SGD": (("momentum",),),
    "RMSprop": (("scaled_velocity",), ("momentum",), ("average_gradient",)),
    "Adam": (("momentum", "velocity"), ("velocity_hat",)),
    "AdamW": (("momentum", "velocity"), ("velocity_hat",)),
    "Adamax": (("momentum", "norm"),),
    "Nadam": (("momentum", "velocity"),),
    "Adagrad": (("accumulator",),),
    "Adadelta": (("accumulated_grad", "accumulated_delta_var"),),
    "Ftrl": (("accumulator", "linear"),),
    "Lion": (("momentum",),),
    "Lamb": (("momentum", "velocity"),),
    "Muon": (("momentum", "velocity"),),
    "ScheduleFreeAdamW": (("momentum", "velocity"),),
}
# what is kept in another form: from Keras's to ours, and back
_FORMS: dict[tuple[str, str], tuple[Callable[[Tensor, Group], Tensor], Callable[[Tensor, Group], Tensor]]] = {
    ("RMSprop", "scaled_velocity"): (
        lambda value, group: (value + group["epsilon"]) / (1 - group["rho"]),
        lambda value, group: (value * (1 - group["rho"]) - group["epsilon"]).clamp(min=0),
    ),
    ("Adagrad", "accumulator"): (
        lambda value, group: value + group["epsilon"],
        lambda value, group: value - group["epsilon"],
    ),
}
_PRODUCT = "momentum_product"


class Variable(NamedTuple):
    """One variable of an optimizer in a file: a number of the optimizer, or a slot of a weight.

    Attributes:
        name: "iteration", "learning_rate", that of a slot or of a setting; "" for one that says nothing.
        weight: whose slot it is, or None.
    """

    name: str
    weight: Weight | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape that it has; None where any will do."""
        return self.weight.shape if self.weight is not None and self.name else None if not self.name else ()


def variables_of(
    rule: Optimizer,
    weights: Sequence[Weight],
    *,
    rate: bool = True,
    in_blocks: bool = False,
    fillers: int = 0,
) -> list[Variable]:
    """What a file lists of an optimizer for weights that are trained, in Keras's order.

    Args:
        rule: the optimizer.
        weights: those that are trained, in Keras's order.
        rate: whether the learning rate is among them.
        in_blocks: whether all of one slot come before all of the next.
        fillers: how many variables that say nothing follow.
    """
    kind = type(rule).__name__
    found = [Variable("iteration")]
    if rate and rule.schedule is None:
        found.append(Variable("learning_rate"))
    if kind == "Nadam" and in_blocks:
        found.append(Variable(_PRODUCT))
    if rule.use_ema:
        found += [Variable("average", each) for each in weights]
    if rule.gradient_accumulation_steps:
        found += [Variable("accumulated", each) for each in weights]
    kept = rule.slots(rule.defaults())
    for names in _ORDER[kind]:
        names = tuple(name for name in names if name in kept)
        pairs = ((name, each) for each in weights for name in names)
        if in_blocks:
            pairs = ((name, each) for name in names for each in weights)
        found += [Variable(name, each) for name, each in pairs if not _is_left_out(rule, name, each)]
    if kind == "Nadam" and not in_blocks:
        found.append(Variable(_PRODUCT))
    return found + [Variable("")] * fillers


def _is_left_out(rule: Optimizer, slot: str, weight: Weight) -> bool:
    """Whether nothing is kept under a slot of this weight, as Muon keeps no velocity of a matrix."""
    if type(rule).__name__ != "Muon" or not weight.tensor.numel():
        return False
    with torch.device("meta"):
        like = torch.empty(weight.tensor.shape)
    return rule.start(slot, like, 0.0, weight.path).numel() == 0


def is_known(rule: Any) -> bool:
    """Whether it is known in which order Keras lists what an optimizer remembers."""
    return (
        isinstance(rule, Optimizer)
        and type(rule).__name__ in _ORDER
        and type(rule).__module__.startswith("torchfunc.")
    )


def trained(model: Any, order: Any = None) -> list[Weight]:
    """The weights that are trained, in Keras's order."""
    known = {id(each.tensor): each for each in weights_of(model, order)}
    return [known[id(each)] for each in model.trainable_weights if id(each) in known]


def written(model: Any) -> Iterator[tuple[Variable, Tensor | int | float]]:
    """Each variable of a model's optimizer with its value, in Keras's layout, as Keras lists them."""
    optimization = model.trainer.step.optimization
    rule, weights = optimization.optimizer, trained(model)
    state = optimization.state()
    slots: Mapping[str, Any] = {} if state is None else state["slots"]
    group: dict[str, Any] = dict(rule.defaults() if state is None else state["groups"][0])
    names = {id(each): name for name, each in model.named_parameters()}
    first = rule.slots(group)
    for variable in variables_of(rule, weights):
        weight = variable.weight
        if weight is None:
            yield variable, _number(variable.name, rule, group)
            continue
        held = slots.get(names[id(weight.tensor)], {})
        value = held.get(variable.name)
        if value is None:
            value = _first(rule, variable.name, weight, first)
        _, back = _FORMS.get((type(rule).__name__, variable.name), (None, None))
        yield variable, weight.to_keras(value if back is None else back(value, group))


def _number(name: str, rule: Optimizer, group: Group) -> int | float:
    if name == "iteration":
        return int(group.get("iterations", 0))
    if name == "learning_rate":
        return float(rule.learning_rate)
    return float(group.get(name, 1.0))


def _first(rule: Optimizer, name: str, weight: Weight, first: Mapping[str, float | None]) -> Tensor:
    """What a slot is before the first step."""
    if name not in first:  # an average, or gradients that wait
        return torch.zeros_like(weight.tensor, requires_grad=False)
    return rule.start(name, weight.tensor.detach(), first[name], weight.path)


def load(
    model: Any, weights: Sequence[Weight], expected: Sequence[Variable], values: Iterable[Tensor]
) -> None:
    """Have the optimizer of a compiled model go on with what a file says of it.

    Args:
        model: compiled, with its weights.
        weights: what `trained` gave.
        expected: what `variables_of` gave.
        values: the values of these, in their order and of their shapes.

    Raises:
        ConfigError: a number that is none of such an optimizer; nothing is changed then.
    """
    optimization = model.trainer.step.optimization
    kind = type(optimization.optimizer).__name__
    optimization.ready()
    state: dict[str, Any] = dict(optimization.state())
    groups = [dict(each) for each in state["groups"]]
    names = {id(each): name for name, each in model.named_parameters()}
    slots: dict[str, dict[str, Tensor]] = {names[id(each.tensor)]: {} for each in weights}
    for variable, value in zip(expected, values, strict=True):
        if variable.weight is not None and variable.name:
            made = variable.weight.from_keras(value)
            forth, _ = _FORMS.get((kind, variable.name), (None, None))
            slots[names[id(variable.weight.tensor)]][variable.name] = (
                made if forth is None else forth(made, groups[0])
            )
        for group in groups if variable.weight is None else ():
            if variable.name == "iteration":
                group["iterations"] = int(value)
            elif variable.name == "learning_rate":
                group["lr"] = float(value)
            elif variable.name:
                group[variable.name] = float(value)
    if kind == "Nadam" and all(each.name != _PRODUCT for each in expected):
        for group in groups:
            group[_PRODUCT] = _product(group)
    if kind == "Muon":
        empty = {"velocity": torch.zeros(0)}
        slots = {name: {**empty, **slot} for name, slot in slots.items()}
    optimization.check({**state, "slots": slots, "groups": groups}, "$.optimizer")
    optimization.load({**state, "slots": slots, "groups": groups})


def _product(group: Group) -> float:
    """What Nadam has multiplied up after its steps, in files that do not say it."""
    found = 1.0
    # after some hundred factors of about beta_1 it is 0
    for step in range(1, min(int(group.get("iterations", 0)), 100_000) + 1):
        found *= group["beta_1"] * (1 - 0.5 * 0.96**step)
        if not found:
            break
    return found


def warn_of_unknown(kind: str) -> None:
    """Say that training begins anew."""
    warnings.warn(
        f"What the optimizer {kind} remembers is not read from a file of Keras: its training begins anew.",
        stacklevel=2,
    )
