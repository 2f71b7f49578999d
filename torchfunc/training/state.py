"""State: the optimizer of a module, and what it remembers by the names of the parameters, as plain data and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from torchfunc import optimizers
from torchfunc.errors import CompileError, explain


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
        self._saved: Mapping[str, Any] | None = None
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
        if self.built is not None and list(map(id, trainable)) == list(map(id, self.parameters)):
            return
        state = self._saved if self.built is None else optimizer_state(self.built, self.module)
        before, self.built = self.built, self.optimizer.build(trainable)
        self.parameters, self._saved = trainable, None
        if state is not None and before is not self.built:
            load_optimizer_state(self.built, self.module, state)
        held = {id(each) for group in self.built.param_groups for each in group["params"]}
        if held.isdisjoint(map(id, trainable)):
            got = "an optimizer that holds none of the module's parameters"
            raise CompileError(
                explain("optimizer", got=got, fix="make it with module.parameters(), or give its class")
            )

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
        given = getattr(self.optimizer, "source", None)
        made = given if self.built is None and isinstance(given, torch.optim.Optimizer) else self.built
        return self._saved if made is None else optimizer_state(made, self.module)

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
    _regroup(optimizer, names, state["groups"])
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


def _regroup(optimizer: Optimizer, names: Mapping[int, str], saved: Sequence[Mapping[str, Any]]) -> None:
    """Divide the parameters of an optimizer that was made anew, in one group, as they were divided before."""
    if len(optimizer.param_groups) != 1 or len(saved) < 2:
        return
    (whole,) = optimizer.param_groups
    place = {name: index for index, group in enumerate(saved) for name in group["params"]}
    divided: list[list[Tensor]] = [[] for _ in saved]
    for parameter in whole["params"]:
        divided[place.get(names.get(id(parameter), ""), 0)].append(parameter)
    optimizer.param_groups[:] = [{**whole, "params": parameters} for parameters in divided]


def _copied(value: Any, parameter: Tensor) -> Any:
    """A tensor of its own, so that two optimizers never share one."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().to(parameter.device if value.ndim else value.device, copy=True)


def _restored(group: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """The saved settings in the types of the group's own."""
    return {
        key: _typed(value, group[key])
        for key, value in saved.items()
        if key in group and key not in ("params", "param_names")
    }


def _typed(value: Any, own: Any) -> Any:
    if isinstance(own, Tensor):
        return torch.as_tensor(value, dtype=own.dtype, device=own.device)
    return tuple(value) if isinstance(own, tuple) and isinstance(value, list) else value


def _padded(groups: Iterable[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """One saved group for each; where there are more groups than were saved they take the last one's."""
    known = list(groups)
    return (known + [known[-1] if known else {}] * count)[:count]


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
