"""State: the optimizer of a module, and what it remembers by the names of the parameters, as plain data and tensors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from torchfunc import optimizers
from torchfunc.distributed.fully_sharded import is_in_shards
from torchfunc.errors import CompileError, ConfigError, DataError, TorchfuncError, explain
from torchfunc.fields import item, listed, number, record, refused, whole
from torchfunc.graph import blame
from torchfunc.optimizers.memory import check_memory, fitting, load_optimizer_state, optimizer_state, short
from torchfunc.optimizers.stepper import Stepper
from torchfunc.training.options.learning import check_learning
from torchfunc.training.options.remembered import check_callbacks
from torchfunc.tree import leaves, map_leaves


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
        self._warned = False
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
            CompileError: a given optimizer holds none of them.
        """
        trainable = [each for each in self.module.parameters() if each.requires_grad]
        if self.built is not None and list(map(id, trainable)) == list(map(id, self._trainable)):
            return
        state = self._saved if self.built is None else self.state()
        made = self._built_for(trainable)
        if state is not None and made is not self.built:
            state = fitting(state, made, self.module)
            check_memory(state, "the state of the optimizer", made, self.module)
            load_optimizer_state(made, self.module, state)
        self.built, self._trainable, self._saved = made, trainable, None
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
            try:
                made: torch.optim.Optimizer = self.optimizer.build(self._as_asked_for(trainable))
            except (TypeError, ValueError, RuntimeError) as error:
                if isinstance(error, TorchfuncError):
                    raise
                raise CompileError(f"optimizer: {short(error)}") from error
            self.optimizer.built_by_hand = False
            if isinstance(made, Stepper):
                made.names = {each: name for name, each in self.module.named_parameters()}
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

    def nothing(self) -> None:
        """Have nothing to change; that is told once, for as in Keras a module without weights is measured."""
        self.parameters, self._trainable = [], []
        if self._warned:
            return
        self._warned, frozen = True, sum(1 for _ in self.module.parameters())
        told = explain(
            type(self.module).__name__,
            got=f"no trainable parameters ({frozen} frozen)",
            expected="at least one",
            why="nothing is learned, and fit measures alone",
            fix="layer.trainable = True, or parameter.requires_grad_()"
            if frozen
            else "add a layer that has weights",
        )
        warnings.warn(told, stacklevel=blame.level())

    def _as_asked_for(self, trainable: list[nn.Parameter]) -> list[Any]:
        """Parameters, with their names where the optimizer goes by these."""
        if not isinstance(self.optimizer, optimizers.MultiOptimizer):
            divided = [each for each in trainable if is_in_shards(each)]
            if not 0 < len(divided) < len(trainable):
                return list(trainable)
            # kernels take tensors of one kind at a time
            whole = [each for each in trainable if not is_in_shards(each)]
            return [{"params": whole}, {"params": divided}]
        getattr(self.module, "weights", None)  # which has them know their paths
        names = {id(each): name for name, each in self.module.named_parameters()}
        return [(names[id(each)], each) for each in trainable]

    def state(self) -> Mapping[str, Any] | None:
        """What the optimizer remembers, by the names of the parameters; None before it is built."""
        made = self._by_hand() if self.built is None else self.built
        if made is None:
            return self._saved
        held = {id(each) for each in held_by(made)}
        whole = all(id(each) in held for each in self._trainable or self.module.parameters())
        return {**optimizer_state(made, self.module), "whole": whole}

    def check(self, state: Any, place: str) -> None:
        """Refuse a state that `state` did not give for such an optimizer and such parameters.

        Raises:
            ConfigError: what is no state of an optimizer, or not of this one.
            WeightMismatchError: tensors that do not fit the parameters.
        """
        if state is None:
            return
        built = self.built
        if isinstance(self.optimizer, optimizers.MultiOptimizer):
            self.ready()  # only then it is known whose each parameter is
        try:
            check_memory(state, place, self.built or self._by_hand() or self.optimizer, self.module)
        except TorchfuncError:
            self.built, self._trainable = built, self._trainable if built else []
            raise

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


class Epoch(int):
    """The number of an epoch, which knows how many of its batches are done."""

    done: int

    def __new__(cls, number: int, done: int = 0) -> Epoch:
        epoch = super().__new__(cls, number)
        epoch.done = done
        return epoch


def check_state(state: Any, place: str, optimization: Optimization) -> None:
    """Refuse what is no state of a training with this optimizer, before anything of it is used.

    Raises:
        ConfigError: with the place of what it does not hold, or holds in another form.
        WeightMismatchError: tensors that do not fit the parameters.
    """
    # older files know no position in an epoch
    record(
        state,
        place,
        ("epoch", "step", "seed", "random_state", "optimizer"),
        ("within", "learning", "callbacks", "base"),
    )
    for name in ("epoch", "step"):
        whole(state[name], f"{place}.{name}")
    if "base" in state:
        whole(state["base"], f"{place}.base")
    if state["seed"] is not None:
        whole(state["seed"], f"{place}.seed", below=2**63)
    _check_random_state(state["random_state"], f"{place}.random_state")
    optimization.check(state["optimizer"], f"{place}.optimizer")
    if state.get("learning") is not None:
        check_learning(state["learning"], f"{place}.learning", optimization.module)
    if state.get("callbacks") is not None:
        check_callbacks(state["callbacks"], f"{place}.callbacks")
    if state.get("within") is None:
        return
    within, place = state["within"], f"{place}.within"
    record(within, place, ("done", "steps", "begun", "sums"))
    done = whole(within["done"], f"{place}.done")
    if within["steps"] is not None:
        whole(within["steps"], f"{place}.steps", least=done)
    for index, each in enumerate(listed(within["begun"], f"{place}.begun", 1, "random states")):
        _check_generator(each, f"{place}.begun[{index}]")
    if within["sums"] is not None:
        _check_sums(within["sums"], f"{place}.sums")


def _check_random_state(state: Any, place: str) -> None:
    record(state, place, ("cpu",), ("cuda",))
    _check_generator(state["cpu"], f"{place}.cpu")
    if "cuda" in state:
        _check_bytes(state["cuda"], f"{place}.cuda", 16)
        offset = int.from_bytes(bytes(state["cuda"].tolist()[8:]), "little")
        if offset % 4 or offset >= 2**63:
            raise refused(f"{place}.cuda", offset, "an offset that is a multiple of 4")


_WORDS = 624


def _check_generator(state: Any, place: str) -> None:
    """Refuse what is no state of PyTorch's generator on the CPU.

    PyTorch looks at `left` and `next` one by one, and reads behind its words where they do not go together.
    """
    generator = torch.Generator()
    _check_bytes(state, place, generator.get_state().numel())
    fields = bytes(state.cpu().contiguous().numpy())[:24]
    left, seeded, following = (
        int.from_bytes(fields[a:b], "little") for a, b in ((8, 12), (12, 16), (16, 24))
    )
    if seeded != 1 or not 1 <= left <= _WORDS or not 0 <= following <= _WORDS + 1 - left:
        got = f"{left} words left from word {following}"
        expected = f"a place among the {_WORDS} words of PyTorch's generator"
        raise ConfigError(explain(place, got=got, expected=expected))
    try:
        generator.set_state(state.cpu().contiguous())
    except RuntimeError as error:
        raise ConfigError(f"{place}: {short(error)}") from error


def _check_bytes(value: Any, place: str, count: int) -> None:
    if not (isinstance(value, Tensor) and value.dtype is torch.uint8 and tuple(value.shape) == (count,)):
        raise refused(place, value, f"a tensor of shape ({count},) uint8")


def _check_sums(sums: Any, place: str) -> None:
    record(sums, place, ("loss", "outputs", "metrics"))
    _check_mean(sums["loss"], f"{place}.loss")
    for index, each in enumerate(listed(sums["outputs"], f"{place}.outputs", 10_000, "means")):
        _check_mean(each, f"{place}.outputs[{index}]")
    if not isinstance(sums["metrics"], Mapping):
        raise refused(f"{place}.metrics", sums["metrics"], "an object with the sums of metrics")
    for name, held in sums["metrics"].items():
        where = item(f"{place}.metrics", name)
        if not isinstance(held, Mapping):
            raise refused(where, held, "an object with the sums of a metric")
        for key, value in held.items():
            _check_sum(value, item(where, key))


def _check_mean(value: Any, place: str) -> None:
    """The total of a `RunningMean` and how many samples are in it."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise refused(place, value, "a total and a count")
    if isinstance(value[0], Tensor) and value[0].ndim:
        raise refused(f"{place}[0]", value[0], "one number")
    _check_sum(value[0], f"{place}[0]")
    whole(value[1], f"{place}[1]")


def _check_sum(value: Any, place: str) -> None:
    if not isinstance(value, Tensor):
        number(value, place, -sys.float_info.max, sys.float_info.max)
    elif value.dtype not in _OF_SUMS:
        raise refused(place, value, "numbers")


_OF_SUMS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32)


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
        if not placed["metrics"][name]:
            continue
        measure.metric.state = placed["metrics"][name]
        try:
            fits = all(isinstance(each, (int, float, Tensor)) for each in leaves(measure.metric.result()))
        except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError):
            fits = False
        if not fits:
            measure.metric.reset_state()
            raise DataError(
                explain(
                    f"The sums of the metric {name!r}, where the training goes on",
                    got="others than it sums up",
                    fix="begin the epoch anew: fit(initial_epoch=int(trainer.epoch))",
                )
            )


def check_capturable(optimizer: Optimizer | None) -> None:
    """Refuse what only a GPU does; asked of the weights, since to ask PyTorch for GPUs may open a library.

    Raises:
        CompileError: capturable, and weights on the CPU.
    """
    for group in [] if optimizer is None else optimizer.param_groups:
        if group.get("capturable") and any(each.device.type == "cpu" for each in group["params"]):
            got = "capturable=True and weights on the CPU"
            raise CompileError(explain("optimizer", got=got, fix="capturable=False, or train on a GPU"))


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
