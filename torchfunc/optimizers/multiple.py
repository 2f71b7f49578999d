"""MultiOptimizer: different optimizers for different parameters, as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer as TorchOptimizer

from torchfunc import config, registry
from torchfunc.config import Self, checked
from torchfunc.errors import CompileError, ConfigError, SavingError, TorchfuncError, explain, shorten
from torchfunc.optimizers.optimizer import Optimizer
from torchfunc.optimizers.scaling import LossScaleOptimizer
from torchfunc.optimizers.stepper import Stepper


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by the paths of the variables that they change, such as "encoder/dense/kernel".

    A key is a path or a pattern for whole paths, `"encoder/.*"`.

    Args:
        default_optimizer: For variables that no key is for.
        optimizer_map: Optimizers by paths or patterns.

    Raises:
        CompileError: something that is no optimizer, or a key that is taken; of a path that two patterns fit, when
            it is looked up.

    Example:
        >>> chosen = optimizers.OptimizerMap(optimizers.Adam(1e-3), {"encoder/.*": optimizers.SGD(0.1)})
        >>> chosen["encoder/dense/kernel"].name, chosen["head/kernel"].name
        ('sgd', 'adam')
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None
    ) -> None:
        self.default_optimizer = _simple(default_optimizer, "default_optimizer")
        self._map: dict[str, Optimizer] = {}
        self.update(optimizer_map or {})

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._map:
            return self._map[key]
        fitting = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            got = f"{key!r}, which fits {' and '.join(map(repr, fitting))}"
            raise CompileError(explain("OptimizerMap", got=got, expected="one pattern for each variable"))
        return self._map[fitting[0]] if fitting else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str) or key in self._map:
            got = f"the key {shorten(key)}" + " a second time" * (key in self._map)
            raise CompileError(explain("OptimizerMap", got=got, expected="a new path or pattern"))
        self._map[key] = _simple(optimizer, repr(key))

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __call__(self, variable: Any) -> Optimizer:
        """The optimizer for a variable, which has a `path`."""
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The optimizers as plain data."""
        written = {key: config.serialize(each, registry.optimizers) for key, each in self._map.items()}
        default = config.serialize(self.default_optimizer, registry.optimizers)
        return {"default_optimizer": default, "optimizer_map": written}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> OptimizerMap:
        """The map that `get_config` described.

        Raises:
            ConfigError: a pattern that could take for ever on a path: one with more than two `.*`, or with other
                signs of regular expressions.
        """
        for key in config["optimizer_map"]:
            if not isinstance(key, str) or key.count("*") > 2 or not re.fullmatch(r"[\w/.*-]{1,1024}", key):
                expected, fix = (
                    "a path, or one with at most two '.*'",
                    "compile with a map that is made in Python",
                )
                raise ConfigError(explain("OptimizerMap", got=shorten(key), expected=expected, fix=fix))
        with registry.custom_object_scope(custom_objects):
            others = {key: _made(each) for key, each in config["optimizer_map"].items()}
            return cls(_made(config["default_optimizer"]), others)


@registry.optimizers.register("MultiOptimizer", "multioptimizer")
class MultiOptimizer(Optimizer):
    """Has each variable changed by the optimizer that a map or a function gives for it.

    `optimizers` holds them all; each has a learning rate of its own.

    Args:
        optimizer_map: An `OptimizerMap`, or a function of a variable, which has a `path`, that gives an optimizer.
        loss_scale_factor: as in `Optimizer`.
        name: Its name.

    Raises:
        CompileError: something that is no map and no function.

    Example:
        >>> chosen = optimizers.OptimizerMap(optimizers.Adam(1e-3), {"head/.*": optimizers.SGD(0.1)})
        >>> model.compile(optimizers.MultiOptimizer(chosen), loss="mse")
        >>> chosen["head/kernel"].learning_rate, chosen["hidden/kernel"].learning_rate
        (0.1, 0.001)
    """

    def __init__(
        self, optimizer_map: Any, loss_scale_factor: float | None = None, name: str | None = None
    ) -> None:
        if isinstance(optimizer_map, Mapping) and not isinstance(optimizer_map, OptimizerMap):
            try:
                optimizer_map = OptimizerMap.from_config(optimizer_map)
            except (KeyError, AttributeError, TypeError):
                optimizer_map = None
        if not callable(optimizer_map):
            raise CompileError(
                explain(
                    "MultiOptimizer", got=shorten(optimizer_map), expected="an OptimizerMap or a function"
                )
            )
        self.optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            self._know([*optimizer_map.values(), optimizer_map.default_optimizer])

    def _know(self, optimizers: Iterable[Optimizer]) -> None:
        self.optimizers += [each for each in dict.fromkeys(optimizers) if each not in self.optimizers]

    def build(self, params: Iterable[Any]) -> Any:
        """PyTorch's optimizer over `params`, parameters or pairs of a name and one, made of one for each optimizer."""
        choose: Callable[[Any], Optimizer] = self.optimizer_map
        shares: dict[Optimizer, list[tuple[str, Tensor]]] = {}
        for number, each in enumerate(params):
            name, parameter = each if isinstance(each, tuple) else (str(number), each)
            path = getattr(parameter, "path", None) or name.replace(".", "/")
            chosen = _simple(choose(Known(path, parameter)), f"what is given for {path!r}")
            shares.setdefault(chosen, []).append((name, parameter))
        self._know(shares)
        self.built_by_hand = True
        self.torch_optimizer = Steppers([each.build(share) for each, share in shares.items()])  # type: ignore[assignment]
        return self.torch_optimizer

    @property
    def use_ema(self) -> bool:
        """Whether one of them keeps averages."""
        return any(each.use_ema for each in self.optimizers)

    @use_ema.setter
    def use_ema(self, value: bool) -> None:
        if value:
            raise self._error("use_ema=True", "that argument in the optimizers that it has")

    @property
    def iterations(self) -> int:
        return max((each.iterations for each in self.optimizers), default=0)

    @property
    def variables(self) -> list[Tensor]:
        """Those of all optimizers, one after another."""
        return [variable for each in self.optimizers for variable in each.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take what `variables` held."""
        left = list(weights)
        for each in self.optimizers:
            count = len(each.variables)
            each.set_weights(left[:count])
            del left[:count]

    def finalize_variable_values(self) -> None:
        for each in self.optimizers:
            if each.use_ema:
                each.finalize_variable_values()

    @property
    def learning_rate(self) -> Any:
        """None: each of `optimizers` has its own.

        Raises:
            TorchfuncError: always.
        """
        if not self.optimizers:
            return 0.0
        fix = "for each in optimizer.optimizers: each.learning_rate"
        raise TorchfuncError(
            explain(self.name, got="a question for one learning rate", why="each has its own", fix=fix)
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        fix = "for each in optimizer.optimizers: each.learning_rate = ..."
        raise TorchfuncError(
            explain(self.name, got=f"learning_rate={value!r}", why="each has its own", fix=fix)
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data.

        Raises:
            SavingError: a function chooses the optimizers.
        """
        if not isinstance(self.optimizer_map, OptimizerMap):
            raise SavingError(
                explain("MultiOptimizer", got="a function", expected="an OptimizerMap, which a file can hold")
            )
        told = {"loss_scale_factor": self.loss_scale_factor, "name": self.name}
        return {"optimizer_map": self.optimizer_map.get_config(), **told}

    @classmethod
    @checked
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The optimizer that `get_config` described."""
        return cls(**config)


class Known:
    """A parameter and its path, for who chooses an optimizer for it."""

    def __init__(self, path: str, value: Tensor) -> None:
        self.path, self.name, self.value = path, path.rpartition("/")[2], value
        self.shape, self.dtype = value.shape, value.dtype


class Steppers(TorchOptimizer):
    """Several steppers over different parameters as one optimizer of PyTorch: they share its state and its groups."""

    def __init__(self, steppers: list[Stepper]) -> None:
        self.steppers = steppers
        super().__init__([each for stepper in steppers for each in _held(stepper)], {})
        self.param_groups = [group for stepper in steppers for group in stepper.param_groups]
        for stepper in steppers:
            stepper.state = self.state

    def step(self, closure: Any = None) -> Any:
        """Have each change its parameters."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for stepper in self.steppers:
            stepper.step()
        return loss

    def prepare(self) -> None:
        """Have what a first step would make."""
        for stepper in self.steppers:
            stepper.prepare()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        groups = iter(self.param_groups)
        for stepper in self.steppers:
            stepper.state, stepper._flat = self.state, {}
            stepper.param_groups = [next(groups) for _ in stepper.param_groups]


def _held(stepper: Stepper) -> list[nn.Parameter]:
    return [each for group in stepper.param_groups for each in group["params"]]


def _simple(optimizer: Any, what: str) -> Optimizer:
    """An optimizer of torchfunc that has no other inside.

    Raises:
        CompileError: something else.
    """
    if isinstance(optimizer, Optimizer) and not isinstance(optimizer, (MultiOptimizer, LossScaleOptimizer)):
        return optimizer
    raise CompileError(
        explain(what, got=shorten(optimizer), expected="an optimizer of torchfunc without others inside")
    )


def _made(described: Any) -> Any:
    return config.find(described, registry.optimizers)
