"""State: the optimizer of a module, and what it remembers by the names of the parameters, as plain data and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from torchfunc import optimizers
from torchfunc.errors import CompileError, explain
from torchfunc.tree import map_leaves


class Optimization:
    """The optimizer of one module, built when its parameters are known.

    Args:
        module: whose parameters are changed.
        identifier: a Keras name or object, an optimizer of `torch.optim`, its class or a partial of it.

    Raises:
        UnknownNameError: an optimizer of that name does not exist.
        CompileError: one that does not work step by step.
    """

    def __init__(self, module: nn.Module, identifier: Any) -> None:
        self.module = module
        self.optimizer: Any = optimizers.get(identifier)
        self.built: torch.optim.Optimizer | None = None
        self.parameters: list[nn.Parameter] = []
        self._trainable: list[nn.Parameter] = []
        self._saved: Mapping[str, Any] | None = None
        self._given = identifier if isinstance(identifier, torch.optim.Optimizer) else None
        known = {id(each) for each in module.parameters()}
        self._known = [each for each in held_by(self._by_hand()) if id(each) in known]
        source = getattr(self.optimizer, "source", None)
        if isinstance(source, torch.optim.LBFGS) or source is torch.optim.LBFGS:
            why = "it computes the loss several times a step"
            raise CompileError(
                explain("optimizer", got="LBFGS", why=why, fix="another one, or a loop of your own")
            )

    def ready(self) -> None:
        """Have an optimizer for the parameters that are trainable now; what is known of them is kept.

        Raises:
            CompileError: there are none, or a given optimizer holds none of them.
        """
        trainable = [each for each in self.module.parameters() if each.requires_grad]
        if not trainable:
            raise self._nothing_to_train()
        if self.built is not None and list(map(id, trainable)) == list(map(id, self._trainable)):
            return
        state = self._saved if self.built is None else self.state()
        before, self.built = self.built, self._built_for(trainable)
        self._trainable, self._saved = trainable, None
        if state is not None and before is not self.built:
            load_optimizer_state(self.built, self.module, state)
        held = held_by(self.built)
        ours = {id(each) for each in trainable}
        if ours.isdisjoint(map(id, held)):
            got = "an optimizer that holds none of the module's parameters"
            raise CompileError(
                explain("optimizer", got=got, fix="make it with module.parameters(), or give its class")
            )
        # one of the user's may hold more than the module does, such as the weights of a loss
        self.parameters = trainable + [each for each in held if id(each) not in ours]

    def _by_hand(self) -> torch.optim.Optimizer | None:
        """The optimizer that the user built, with the groups that the user wanted; None where that is ours to do."""
        by_hand = getattr(self.optimizer, "built_by_hand", False)
        built = self.optimizer.torch_optimizer if by_hand else None
        mine = {id(each) for each in self.module.parameters()}
        return self._given or (None if mine.isdisjoint(map(id, held_by(built))) else built)

    def _built_for(self, trainable: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of the user, or one for these parameters.

        Raises:
            CompileError: the user's holds parameters that were replaced in the module, and not the new ones.
        """
        by_hand = self._by_hand()
        if by_hand is None:
            made: torch.optim.Optimizer = self.optimizer.build(trainable)
            self.optimizer.built_by_hand = False
            return made
        names = {id(each): name for name, each in self.module.named_parameters()}
        held = {id(each) for each in held_by(by_hand)}
        new = next((names[id(each)] for each in trainable if id(each) not in held), None)
        if new is not None and any(id(each) not in names for each in self._known):
            raise CompileError(
                explain(
                    "optimizer",
                    got="parameters that are no longer the module's",
                    why=f"a layer was replaced since, and {new!r} would not be trained",
                    fix="compile again, with an optimizer that is made of module.parameters()",
                )
            )
        return by_hand

    def _nothing_to_train(self) -> CompileError:
        frozen = sum(1 for _ in self.module.parameters())
        return CompileError(
            explain(
                type(self.module).__name__,
                got=f"no trainable parameters ({frozen} frozen)",
                expected="at least one",
                fix="layer.trainable = True, or parameter.requires_grad_()"
                if frozen
                else "add a layer that has weights",
            )
        )

    def state(self) -> Mapping[str, Any] | None:
        """What the optimizer remembers, by the names of the parameters; None before it is built."""
        made = self._by_hand() if self.built is None else self.built
        if made is None:
            return self._saved
        held = {id(each) for each in held_by(made)}
        whole = all(id(each) in held for each in self._trainable or self.module.parameters())
        return {**optimizer_state(made, self.module), "whole": whole}

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Take what `state` gave, now or when the parameters are known."""
        if self.built is None or state is None:
            self._saved = state
        else:
            load_optimizer_state(self.built, self.module, state)

    def finish(self) -> None:
        """At the end of a training: put averaged weights in their place, if the optimizer keeps any."""
        if getattr(self.optimizer, "use_ema", False):
            self.optimizer.finalize_variable_values()


def held_by(optimizer: Optimizer | None) -> list[Any]:
    """The parameters of an optimizer, of all its groups."""
    return [] if optimizer is None else [each for group in optimizer.param_groups for each in group["params"]]


def optimizer_state(optimizer: Optimizer, module: nn.Module) -> dict[str, Any]:
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


def copied_state(module: nn.Module, optimizer: Optimizer) -> Callable[[], None]:
    """Weights, buffers and the state of the optimizer, copied to the host; called, it puts them back."""
    tensors = [
        (each, each.detach().to("cpu", copy=True)) for each in (*module.parameters(), *module.buffers())
    ]
    state = optimizer_state(optimizer, module)
    state["slots"] = {
        name: {
            key: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
            for key, value in slot.items()
        }
        for name, slot in state["slots"].items()
    }

    @torch.no_grad()
    def put_back() -> None:
        for tensor, copy in tensors:
            tensor.copy_(copy)
        load_optimizer_state(optimizer, module, state)

    return put_back


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


def load_optimizer_state(optimizer: Optimizer, module: nn.Module, state: Mapping[str, Any]) -> None:
    """Give an optimizer what `optimizer_state` told of one; parameters that it does not name begin anew."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    _regroup(optimizer, names, state["groups"], whole=state.get("whole", True))
    target = optimizer.state_dict()
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = {}
    for index, parameter in enumerate(ordered):
        slot = state["slots"].get(names.get(id(parameter), str(index)))
        if slot is not None:
            slots[index] = {key: _copied(value, parameter) for key, value in slot.items()}
    groups = [
        {**group, **_restored(group, saved)}
        for group, saved in zip(
            target["param_groups"], _padded(state["groups"], len(target["param_groups"])), strict=True
        )
    ]
    optimizer.load_state_dict({**target, "state": slots, "param_groups": groups})


def _regroup(
    optimizer: Optimizer, names: Mapping[int, str], saved: Sequence[Mapping[str, Any]], *, whole: bool
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
    return value.detach().to(parameter.device if value.ndim else value.device, copy=True)


def _restored(group: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """The saved settings in the types of the group's own."""
    return {
        key: _typed(value, group.get(key))
        for key, value in saved.items()
        # a torch.optim.lr_scheduler that goes on asks for the last
        if key not in ("params", "param_names") and (key in group or key == "initial_lr")
    }


def _typed(value: Any, own: Any) -> Any:
    if isinstance(own, Tensor):
        return torch.as_tensor(value, dtype=own.dtype, device=own.device)
    return tuple(value) if isinstance(own, tuple) and isinstance(value, list) else value


def _padded(groups: Iterable[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """One saved group for each; where there are more groups than were saved they take the last one's."""
    known = list(groups)
    return (known + [known[-1] if known else {}] * count)[:count]


class Epoch(int):
    """The number of an epoch, which knows how many of its batches are done."""

    done: int

    def __new__(cls, number: int, done: int = 0) -> Epoch:
        epoch = super().__new__(cls, number)
        epoch.done = done
        return epoch


def sums_of(objective: Any) -> dict[str, Any] | None:
    """What the figures of an epoch have summed up so far; None where a metric of others does not tell."""
    held = {name: getattr(each.metric, "state", None) for name, each in objective.measures.items()}
    summed = all(
        isinstance(each, dict) and all(isinstance(value, (int, float, Tensor)) for value in each.values())
        for each in held.values()
    )
    if not summed:
        return None
    outputs = [each.running.state() for each in objective.heads]
    return {
        "loss": objective.total.state(),
        "outputs": outputs,
        "metrics": {name: dict(each or {}) for name, each in held.items()},
    }


def restore_sums(objective: Any, sums: Mapping[str, Any], device: torch.device) -> None:
    """Have figures go on from what `sums_of` gave, where they are the same ones."""
    settled = all(
        isinstance(getattr(each.metric, "state", None), dict) for each in objective.measures.values()
    )
    if (
        not settled
        or sums["metrics"].keys() != objective.measures.keys()
        or len(sums["outputs"]) != len(objective.heads)
    ):
        return
    placed = map_leaves(lambda each: each.to(device) if isinstance(each, Tensor) else each, dict(sums))
    objective.total.load(placed["loss"])
    for head, state in zip(objective.heads, placed["outputs"], strict=True):
        head.running.load(state)
    for name, measure in objective.measures.items():
        measure.metric.state = placed["metrics"][name]


# The seed that PyTorch drew for this process, and those that came back with a state: nobody chose them anew.
_UNCHOSEN = {torch.initial_seed()}


def is_seeded() -> bool:
    """Whether the user has seeded PyTorch in this process."""
    return torch.initial_seed() not in _UNCHOSEN


def random_state() -> dict[str, Tensor]:
    """The states of PyTorch's random generators, by device type."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Tensor]) -> None:
    """Set PyTorch's random generators to what `random_state` gave."""
    seeded = is_seeded()
    torch.set_rng_state(state["cpu"].cpu())
    if not seeded:
        _UNCHOSEN.add(torch.initial_seed())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
