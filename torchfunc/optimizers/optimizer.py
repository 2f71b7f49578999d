"""Keras's optimizer: an object that is made before there are parameters, and holds its arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Never

from torchfunc import registry, schedules, signatures
from torchfunc.config import Configurable, Self, argument_names, checked
from torchfunc.errors import CompileError, TorchfuncError, explain, nearest, shorten
from torchfunc.optimizers.stepper import Stepper, Update

LearningRate = float | Callable[[int], float]


# What PyTorch calls these arguments.
TORCH_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho", "betas": "beta_1", "params": "build"}


class CommonButDecay(TypedDict, total=False):
    """The arguments that every optimizer takes after its own; see `Optimizer`."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    name: str | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None


class Common(CommonButDecay, total=False):
    """Those, and weight decay, which AdamW has among its own."""

    weight_decay: float | None


class Optimizer(Configurable):
    """The base of all optimizers here. `build(params)` makes the `torch.optim.Optimizer`.

    A rule of yours names its `hyperparameters`, says in `slots` what it remembers of each parameter,
    and changes the parameters in `update`.

    Args:
        learning_rate: A number, or a schedule: a function of the number of steps taken.
        weight_decay: The share of itself, times the learning rate, that every parameter loses in
            every step (decoupled: not through the gradient).
        clipnorm: The largest norm of one parameter's gradient.
        clipvalue: The largest absolute value in a gradient.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether to keep an exponential moving average of the parameters.
        ema_momentum: How much of the average stays at each step.
        ema_overwrite_frequency: After how many steps the parameters are set to their averages; None
            leaves that to `finalize_variable_values`.
        name: Its name; the class's in lower case if None.
        loss_scale_factor: By what `scale_loss` multiplies a loss and `apply` divides gradients.
        gradient_accumulation_steps: Of how many steps the gradients are averaged before the parameters change
            once; each if None.
        **unknown: What is no argument, to be refused.

    Raises:
        CompileError: arguments out of range, more than one way of clipping, or an argument that does
            not exist, with the one that was meant.

    Example:
        >>> class SignDescent(Optimizer):
        ...     def update(self, update):
        ...         for parameter, grad in zip(update.params, update.grads):
        ...             parameter.sub_(update.lr * grad.sign())
        >>> w = torch.tensor([1.0, -2.0])
        >>> SignDescent(learning_rate=0.5).apply([torch.tensor([3.0, -0.1])], [w])
        >>> w
        tensor([ 0.5000, -1.5000])
    """

    _registry = registry.optimizers
    _unless_none = ("loss_scale_factor", "gradient_accumulation_steps")
    hyperparameters: ClassVar[tuple[str, ...]] = ()
    flat: ClassVar[tuple[str, ...]] = ()
    __signature__ = signatures.WrittenOut()
    built_by_hand = (
        False  # whether `torch_optimizer` was made by a call of the user's, with groups of the user's
    )

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        name: str | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        **unknown: Never,
    ) -> None:
        self._refuse(unknown)
        if sum(clip is not None for clip in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise self._error(
                f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}",
                "at most one of the three",
            )
        if not 0 <= ema_momentum <= 1:
            raise self._error(f"ema_momentum={ema_momentum}", "a number from 0 to 1")
        if loss_scale_factor is not None and not (
            _is_number(loss_scale_factor) and 0 < loss_scale_factor < 1e30
        ):
            raise self._error(f"loss_scale_factor={shorten(loss_scale_factor)}", "a number above 0")
        steps = gradient_accumulation_steps
        if steps is not None and (
            not isinstance(steps, int) or isinstance(steps, bool) or not 2 <= steps < 2**31
        ):
            raise self._error(
                f"gradient_accumulation_steps={shorten(steps)}", "None or a whole number from 2"
            )
        self.loss_scale_factor, self.gradient_accumulation_steps = loss_scale_factor, steps
        self._undecayed: tuple[list[Tensor], str | None] = ([], None)
        self.torch_optimizer: Stepper | None = None
        self.schedule: Callable[[int], float] | None = None
        self._rate = 0.0
        self._set_rate(learning_rate)
        self.weight_decay, self.name = weight_decay, name or type(self).__name__.lower()
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency

    @property
    def unwrapped(self) -> Optimizer:
        """The optimizer that changes the parameters: this one, or that inside it.

        Example:
            >>> inner = optimizers.Adam()
            >>> optimizers.LossScaleOptimizer(inner).unwrapped is inner, inner.unwrapped is inner
            (True, True)
        """
        return self

    def slots(self, group: Mapping[str, Any]) -> dict[str, float | None]:
        """What is remembered of each parameter, by name, and what it is filled with at first: None is its own value.

        Args:
            group: the group's hyperparameters.

        Returns:
            A number for each name, or None.

        Example:
            >>> optimizer = optimizers.Adam()
            >>> optimizer.slots(optimizer.defaults())
            {'momentum': 0.0, 'velocity': 0.0}
        """
        return {}

    def slot_shapes(self, slot: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes that a slot of a parameter of this shape may have.

        Args:
            slot: its name, one of `slots`.
            shape: of the parameter.

        Returns:
            One shape or several; the parameter's own unless a rule says otherwise.

        Example:
            >>> optimizers.Adam().slot_shapes("momentum", (3, 4))
            ((3, 4),)
            >>> optimizers.Adafactor().slot_shapes("row", (3, 4))
            ((3, 1),)
        """
        return (shape,)

    def start(self, slot: str, parameter: Tensor, fill: float | None, name: str) -> Tensor:
        """A slot of a parameter, which is called `name` if that is known, at first.

        Args:
            slot: its name, one of `slots`.
            parameter: the parameter.
            fill: what the slot is filled with; None copies the parameter.
            name: of the parameter; empty where it is not known.

        Returns:
            A tensor, of the parameter's device and dtype.

        Example:
            >>> optimizers.Adagrad().start("accumulator", torch.ones(2), 0.1, "dense.weight")
            tensor([0.1000, 0.1000])
        """
        if fill is None:
            return parameter.detach().clone()
        return torch.full_like(parameter, fill, requires_grad=False)

    def decay(self, update: Update) -> None:
        """Take from each parameter its share, but for those that `exclude_from_weight_decay` told of.

        Args:
            update: the step of a group; its parameters are changed in place.

        Example:
            >>> class Undecayed(optimizers.SGD):
            ...     def decay(self, update):
            ...         pass
            >>> w = torch.tensor([1.0])
            >>> Undecayed(0.1, weight_decay=0.5).apply([torch.tensor([0.0])], [w])
            >>> w
            tensor([1.])
        """
        if share := update.group["weight_decay"]:
            every = self._undecayed == ([], None)
            params = update.params if every else [p for p in update.params if self.decays(p, update.names)]
            lessen(params, update.lr * share)

    def decays(self, parameter: Tensor, names: Mapping[Tensor, str]) -> bool:
        """Whether weight decay is for this parameter.

        Args:
            parameter: a parameter.
            names: of the parameters, as far as they are known.

        Returns:
            False for what `exclude_from_weight_decay` named, True for others.

        Example:
            >>> optimizer, w = optimizers.AdamW(), torch.zeros(3)
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
            >>> optimizer.decays(w, {w: "dense.weight"}), optimizer.decays(w, {w: "dense.bias"})
            (True, False)
        """
        listed, words = self._undecayed
        told = any(each is parameter for each in listed)
        return not told and (words is None or re.search(words, names.get(parameter, "")) is None)

    def exclude_from_weight_decay(
        self, var_list: Iterable[Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Say which parameters have no weight decay.

        Args:
            var_list: the parameters themselves.
            var_names: words (regular expressions) of which one stands in the parameter's name, such as "bias". In
                `fit` the names are those of the model; an optimizer that you build knows them if it gets
                `model.named_parameters()`.

        Example:
            >>> optimizer, weight, bias = optimizers.SGD(0.1, weight_decay=0.5), torch.ones(1), torch.ones(1)
            >>> optimizer.exclude_from_weight_decay(var_list=[bias])
            >>> optimizer.apply([torch.zeros(1), torch.zeros(1)], [weight, bias])
            >>> weight, bias
            (tensor([0.9500]), tensor([1.]))
        """
        words = "|".join(var_names or ())
        self._undecayed = (list(var_list or ()), words or None)

    def update(self, update: Update) -> None:
        """Change `update.params` and `update.slots` in place.

        Args:
            update: the step of a group: its gradients, and what is to be changed.

        Raises:
            NotImplementedError: a subclass that does not define it.

        Example:
            >>> class Halving(Optimizer):
            ...     def update(self, update):
            ...         for parameter in update.params:
            ...             parameter.mul_(0.5)
            >>> w = torch.tensor([8.0])
            >>> Halving().apply([torch.zeros(1)], [w])
            >>> w
            tensor([4.])
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(update).")

    def defaults(self) -> dict[str, Any]:
        """What a parameter group of PyTorch's optimizer holds.

        Returns:
            `lr`, `weight_decay`, `iterations` and the hyperparameters, by name.

        Example:
            >>> optimizers.SGD(0.1, momentum=0.9).defaults()
            {'lr': 0.1, 'weight_decay': 0.0, 'iterations': 0, 'momentum': 0.9, 'nesterov': False}
        """
        settings = {name: getattr(self, name) for name in self.hyperparameters}
        return {"lr": self._rate, "weight_decay": self.weight_decay or 0.0, "iterations": 0, **settings}

    def build(self, params: Iterable[Any]) -> Stepper:
        """PyTorch's optimizer over `params`: parameters, named parameters or groups of them.

        Args:
            params: parameters, pairs of a name and a parameter, or groups of them, as `torch.optim` takes
                them.

        Returns:
            A `torch.optim.Optimizer`: `step`, `zero_grad`, `state_dict`. It is kept as `torch_optimizer`.

        Example:
            >>> layer = nn.Linear(2, 1)
            >>> stepper = optimizers.Adam(0.01).build(layer.parameters())
            >>> layer(torch.ones(1, 2)).sum().backward()
            >>> stepper.step()
            >>> stepper.param_groups[0]["lr"], len(stepper.state)
            (0.01, 2)
        """
        self.torch_optimizer, self.built_by_hand = Stepper(self, params), True
        return self.torch_optimizer

    def apply(self, grads: Iterable[Tensor | None], params: Iterable[Tensor] | None = None) -> None:
        """Change parameters by gradients given one by one, for a training step written by hand.

        Args:
            grads: a gradient for each parameter; None leaves it as it is. They are divided by
                `loss_scale_factor`.
            params: the parameters, in the order of the gradients; those it was built over if None.

        Raises:
            TorchfuncError: no parameters, and none known from an earlier `build`.

        Example:
            >>> optimizer, w = optimizers.SGD(0.1), torch.tensor([1.0])
            >>> optimizer.apply([torch.tensor([2.0])], [w])
            >>> w, optimizer.iterations
            (tensor([0.8000]), 1)
        """
        params = None if params is None else list(params)
        if self.torch_optimizer is None:
            if params is None:
                raise TorchfuncError(
                    explain(self.name, got="gradients without parameters", fix="apply(grads, params)")
                )
            self.build(params)
        stepper = self.torch_optimizer
        assert stepper is not None
        held = {id(p) for group in stepper.param_groups for p in group["params"]}
        stepper.param_groups[0]["params"] += [p for p in params or () if id(p) not in held]
        known = [p for group in stepper.param_groups for p in group["params"]]
        before = [p.grad for p in known]
        for parameter in known:
            parameter.grad = None
        for parameter, grad in zip(known if params is None else params, grads, strict=True):
            parameter.grad = grad
        if self.loss_scale_factor is not None:
            scaled = [each for each in known if each.grad is not None]
            for parameter in scaled:
                parameter.grad = parameter.grad / self.loss_scale_factor
        stepper.step()
        for parameter, grad in zip(known, before, strict=True):
            parameter.grad = grad

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Tensor]]) -> int:
        """`apply` of pairs of a gradient and its parameter.

        Args:
            grads_and_vars: pairs of a gradient, or None, and its parameter.

        Returns:
            How many steps were taken so far.

        Example:
            >>> optimizer, w = optimizers.SGD(0.1), torch.tensor([1.0])
            >>> optimizer.apply_gradients([(torch.tensor([2.0]), w)])
            1
        """
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [parameter for _, parameter in pairs])
        return self.iterations

    def scale_loss(self, loss: Tensor) -> Tensor:
        """A loss times `loss_scale_factor`, whose gradients `apply` takes.

        Args:
            loss: a scalar.

        Returns:
            The loss to call `backward` on.

        Example:
            >>> optimizer, w = optimizers.SGD(0.1, loss_scale_factor=1024.0), torch.ones(1, requires_grad=True)
            >>> optimizer.scale_loss((w * 2).sum()).backward()
            >>> optimizer.apply([w.grad], [w])
            >>> w.grad, w.data  # the step is that of a gradient of 2
            (tensor([2048.]), tensor([0.8000]))
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    @property
    def variables(self) -> list[Tensor]:
        """The number of steps, the learning rate, and all that is remembered of the parameters.

        Example:
            >>> optimizer = optimizers.SGD(0.5, momentum=0.9)
            >>> stepper = optimizer.build([torch.ones(2)])
            >>> optimizer.variables
            [tensor(0), tensor(0.5000), tensor([0., 0.])]
        """
        held = [torch.tensor(self._calls), torch.tensor(float(self.learning_rate))]
        return [*held, *(state[name] for state, name in self._remembered())]

    def _remembered(self) -> list[tuple[dict[str, Tensor], str]]:
        """Where each tensor that is remembered of a parameter stands; those of a first step are made."""
        stepper = self.torch_optimizer
        if stepper is None:
            return []
        stepper.prepare()
        states = [stepper.state[p] for group in stepper.param_groups for p in group["params"]]
        return [(state, name) for state in states for name in state]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take what `variables` held: the number of steps, the learning rate, and a tensor for each that is remembered.

        Args:
            weights: tensors or arrays in the order of `variables`.

        Raises:
            TorchfuncError: another number of them, or another shape; nothing is changed then.

        Example:
            >>> optimizer = optimizers.SGD(0.5)
            >>> stepper = optimizer.build([torch.ones(2)])
            >>> optimizer.set_weights([7, 0.25])
            >>> optimizer.iterations, optimizer.learning_rate
            (7, 0.25)
        """
        places, given = self._remembered(), [torch.as_tensor(each) for each in weights]
        if self.torch_optimizer is None:
            fix = "build(params) or a first step before it"
            raise TorchfuncError(
                explain(f"{self.name!r}.set_weights", got="an optimizer without parameters", fix=fix)
            )
        expected = [(), (), *(tuple(state[name].shape) for state, name in places)]
        found = [tuple(each.shape) for each in given]
        if found != expected:
            raise TorchfuncError(
                explain(
                    f"{self.name!r}.set_weights",
                    got=f"the shapes {shorten(found)}",
                    expected=shorten(expected),
                )
            )
        for group in self.torch_optimizer.param_groups:
            group["iterations"] = int(given[0])
        if self.schedule is None:
            self.learning_rate = float(given[1])
        for (state, name), value in zip(places, given[2:], strict=True):
            state[name].copy_(value)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Put each of `variables` into a dict, as arrays by their numbers.

        Args:
            store: a dict that is filled, with keys "0", "1", ...

        Example:
            >>> store = {}
            >>> optimizers.SGD(0.5).save_own_variables(store)
            >>> store
            {'0': array(0), '1': array(0.5, dtype=float32)}
        """
        store.update({str(index): each.detach().cpu().numpy() for index, each in enumerate(self.variables)})

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """`set_weights` of what `save_own_variables` gave.

        Args:
            store: arrays by the numbers "0", "1", ...

        Raises:
            TorchfuncError: another number of them, or another shape; nothing is changed then.

        Example:
            >>> optimizer, store = optimizers.SGD(0.5), {}
            >>> stepper = optimizer.build([torch.ones(2)])
            >>> optimizer.save_own_variables(store)
            >>> optimizer.load_own_variables({**store, "0": 7})
            >>> optimizer.iterations
            7
        """
        self.set_weights([store[str(index)] for index in range(len(store))])

    @staticmethod
    def assign(variable: Tensor, value: Any) -> None:
        """Give a parameter other values.

        Args:
            variable: a tensor, changed in place.
            value: a tensor, an array, a list or a number that broadcasts to its shape.

        Example:
            >>> w = torch.tensor([1.0, 2.0])
            >>> Optimizer.assign(w, [3.0, 4.0])
            >>> w
            tensor([3., 4.])
        """
        with torch.no_grad():
            variable.copy_(torch.as_tensor(value))

    def finalize_variable_values(self) -> None:
        """Put the averages that `use_ema` keeps in the place of the parameters.

        Example:
            >>> optimizer, w = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5), torch.tensor([0.0])
            >>> for _ in range(2):  # w becomes 2, where the average begins, and 4
            ...     optimizer.apply([torch.tensor([-2.0])], [w])
            >>> optimizer.finalize_variable_values()
            >>> w
            tensor([3.])
        """
        if self.torch_optimizer is not None:
            self.torch_optimizer.use_averages()

    @property
    def iterations(self) -> int:
        """How many steps were taken.

        Example:
            >>> optimizer, w = optimizers.SGD(0.1, gradient_accumulation_steps=2), torch.ones(1)
            >>> for _ in range(4):
            ...     optimizer.apply([torch.ones(1)], [w])
            >>> optimizer.iterations
            2
        """
        return self._calls // (self.gradient_accumulation_steps or 1)

    @property
    def _calls(self) -> int:
        """How often gradients came, of which several may make a step."""
        return 0 if self.torch_optimizer is None else int(self.torch_optimizer.param_groups[0]["iterations"])

    @property
    def learning_rate(self) -> Rate:
        """The learning rate of the next step. Setting it takes effect at once, and so does its `assign`.

        Example:
            >>> optimizer = optimizers.Adam(0.1)
            >>> optimizer.learning_rate = 0.01
            >>> optimizer.learning_rate
            0.01
            >>> optimizers.Adam(schedules.InverseTimeDecay(0.1, 1, 1.0)).learning_rate
            0.1
        """
        if self.schedule is not None:
            rate = self.schedule(self._calls)
        else:
            rate = self._rate if self.torch_optimizer is None else self.torch_optimizer.param_groups[0]["lr"]
        return Rate(rate)._of(self)

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if self.schedule is not None and not callable(value):
            raise TorchfuncError(
                explain(
                    f"Optimizer {self.name!r}",
                    got=f"learning_rate={value!r}",
                    why="its learning rate is a schedule, which would overwrite the number at once",
                    fix="assign another schedule, or make the optimizer with a number",
                )
            )
        self._set_rate(value)
        for group in self.torch_optimizer.param_groups if self.torch_optimizer is not None else ():
            group["lr"] = self._rate

    def _set_rate(self, value: Any) -> None:
        if callable(value):
            self.schedule = value if _takes_step(value) else _Ignoring(value)
            self._rate = float(self.schedule(self._calls))
            return
        if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
            raise self._error(f"learning_rate={value!r}", "a number or a schedule")
        if not float(value) >= 0:
            raise self._error(f"learning_rate={value!r}", "a number of at least 0")
        self._rate = float(value)

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data; the learning rate as it is now, a schedule as its config.

        Returns:
            The arguments by name, as JSON can hold them.

        Raises:
            SavingError: a learning rate that is a function without a name.

        Example:
            >>> config = optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0).get_config()
            >>> config["learning_rate"], config["momentum"], config["clipnorm"]
            (0.1, 0.9, 1.0)
        """
        names = [name for name in self._told() if name != "learning_rate"]
        rate = float(self.learning_rate) if self.schedule is None else schedules.serialize(self.schedule)
        return {"learning_rate": rate, **{name: getattr(self, name) for name in names}}

    @classmethod
    @checked
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The optimizer that `get_config` described. Keras's own configs are understood too.

        Args:
            config: what `get_config` gave.

        Raises:
            ConfigError: an argument that is missing or of another kind.

        Example:
            >>> optimizers.Adam.from_config(optimizers.Adam(0.1).get_config()).learning_rate
            0.1
        """
        arguments = dict(config)
        if isinstance(arguments.get("learning_rate"), (dict, str)):
            arguments["learning_rate"] = schedules.get(arguments["learning_rate"])
        return cls(**arguments)

    def _refuse(self, unknown: Mapping[str, Any]) -> None:
        """Raise an error that names the argument that was meant by the first unknown one."""
        for name in unknown:
            known = [TORCH_NAMES[name]] if name in TORCH_NAMES else argument_names(type(self))
            meant = known[0] if len(known) == 1 else nearest(name, known)
            fix = f"write {meant}" if meant else "it takes " + ", ".join(known)
            raise CompileError(explain(type(self).__name__, got=f"unknown argument {name!r}", fix=fix))

    def _error(self, got: str, expected: str) -> CompileError:
        return CompileError(explain(type(self).__name__, got=got, expected=expected))


class Rate(float):
    """A learning rate as the number that it is, with Keras's `assign`, `value` and `numpy`."""

    _optimizer: Any = None

    def _of(self, optimizer: Any) -> Rate:
        self._optimizer = optimizer
        return self

    def assign(self, value: LearningRate) -> None:
        """Set the learning rate of the optimizer that this one was read from."""
        self._optimizer.learning_rate = value

    @property
    def value(self) -> float:
        """The number."""
        return float(self)

    def numpy(self) -> Any:
        """The number as NumPy's, in float32."""
        return np.float32(self)

    def __reduce__(self) -> Any:  # a copy is a number, and holds no optimizer
        return float, (float(self),)


def lessen(params: list[Tensor], share: float) -> None:
    """Take that share from each parameter."""
    if params:
        torch._foreach_mul_(params, 1 - share)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class _Ignoring:
    """Keras also takes a function without arguments; as a schedule it ignores the step."""

    def __init__(self, function: Callable[[], float]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", None)

    def __call__(self, step: int) -> float:
        return self.function()


def _takes_step(function: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return True
