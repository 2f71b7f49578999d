"""What every metric is: sums that grow batch by batch on the device, and a result read from them.

Nothing here reads the device. `update_state` adds tensors to tensors; counts that shapes give are
Python numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from torchfunc import functions, initializers, registry, schemas
from torchfunc.config import Configurable, Self, checked, deserialize, serialize
from torchfunc.errors import ConfigError, DataError, explain
from torchfunc.graph.targets import snake_case
from torchfunc.losses.loss import Loss, align, as_tensor, divide, fit_weights
from torchfunc.settings import compute_dtype, floatx
from torchfunc.tree import map_leaves

Number = Tensor | float

# what an `update` of others may call the weights of samples
_WEIGHTS = ("sample_weight", "sample_weights", "weight", "weights")


class Metric(Configurable):
    """A running figure: `update_state` per batch, `result` at any time, `reset_state` between epochs.

    A subclass of yours calls `self.add(name, value)` in `update_state` and reads
    `self.total(name)` in `result`.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: of what `result_in_dtype` and `add_variable` make, by its name; float32 and the usual one if
            None.

    Attributes:
        name: Its name in the logs.
        state: The sums by name: tensors on the device of the predictions, or Python numbers.
        takes_masks: Whether it is weighed by the mask of an output. As in Keras means of values are, but
            for RootMeanSquaredError, and nothing else is.

    Example:
        >>> class Largest(Metric):
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.add("total", (y_true - y_pred).abs().amax())
        ...         self.add("batches", 1)
        ...     def result(self):
        ...         return self.result_in_dtype(self.total("total") / self.total("batches"))
        >>> largest = Largest()
        >>> largest(torch.zeros(3), torch.tensor([1.0, -4.0, 2.0])), largest(torch.zeros(2), torch.tensor([2.0, 0.0]))
        (tensor(4.), tensor(3.))
    """

    _registry = registry.metrics
    _unless_none = ("dtype",)
    takes_masks: ClassVar[bool] = False

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.dtype = compute_dtype(dtype)
        self.state: dict[str, Number] = {}

    @property
    def variables(self) -> list[Variable]:
        """What is summed up, each sum as an object with `value`, `assign` and `assign_add`.

        Example:
            >>> metric = metrics.Mean()
            >>> metric.update_state([1.0, 3.0])
            >>> [(each.name, float(each)) for each in metric.variables]
            [('total', 4.0), ('count', 2.0)]
        """
        return [Variable(self, name) for name in self.state]

    def add_variable(
        self, shape: Sequence[int], initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """A tensor that a metric of yours keeps, and that `reset_state` sets to zeros.

        Args:
            shape: its shape.
            initializer: what fills it at first, as in `initializers.get`; zeros if None.
            dtype: its dtype; the metric's or the usual one if None.
            name: its name in `state`.

        Returns:
            The variable: an object with `value`, `assign`, `assign_add` and `assign_sub`.

        Example:
            >>> metric = metrics.Mean()
            >>> seen = metric.add_variable((3,), name="seen")
            >>> seen.assign_add([1.0, 0.0, 2.0])
            tensor([1., 0., 2.])
        """
        kind = getattr(torch, compute_dtype(dtype) or self.dtype or floatx())
        name = name or f"variable_{len(self.state)}"
        made = initializers.get(initializer or "zeros")
        assert made is not None
        self.state[name] = made(tuple(shape), dtype=kind)
        return Variable(self, name)

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """`add_variable`, by the name that Keras's guides have.

        Args:
            shape: its shape; one number unless given.
            initializer: what fills it at first, as in `initializers.get`; zeros if None.
            dtype: its dtype; the metric's or the usual one if None.
            name: its name in `state`.

        Returns:
            The variable: an object with `value`, `assign`, `assign_add` and `assign_sub`.

        Example:
            >>> metrics.Mean().add_weight(name="total").value
            tensor(0.)
        """
        return self.add_variable(shape, initializer, dtype, name)

    def result_in_dtype(self, value: Number) -> Number:
        """A figure in the dtype that the metric was given; float32 if none, which logs and callbacks are used to.

        Args:
            value: a tensor, or a number, which stays as it is.

        Returns:
            The figure as `result` returns it.

        Example:
            >>> metrics.Mean(dtype="float64").result_in_dtype(torch.tensor(0.5))
            tensor(0.5000, dtype=torch.float64)
        """
        return value.to(getattr(torch, self.dtype or "float32")) if isinstance(value, Tensor) else value

    def add(self, name: str, value: Number) -> None:
        """Add `value` to the sum `name`.

        Float sums are kept in float64 where the device has it: over 16 million samples float32 stops
        counting.

        Args:
            name: of the sum.
            value: what is added: a tensor, which is detached, or a number.

        Raises:
            DataError: a tensor of another shape than the sum's.

        Example:
            >>> metric = metrics.Mean()
            >>> metric.add("total", torch.tensor(3.0))
            >>> metric.add("total", torch.tensor(4.0))
            >>> metric.state
            {'total': tensor(7., dtype=torch.float64)}
        """
        value = as_summed(value) if isinstance(value, Tensor) else value
        held = self.state.get(name)
        try:
            self.state[name] = value if held is None else held + value
        except RuntimeError as error:  # as where a training goes on with sums that are not its own
            if _shape(value) == _shape(held):
                raise
            raise DataError(
                explain(
                    f"Metric {self.name!r}",
                    got=f"{_shape(value)} for the sum {name!r} of {_shape(held)}",
                    expected="the same shape in every batch",
                    fix="fit(initial_epoch=int(trainer.epoch)) begins the epoch anew",
                )
            ) from error

    def total(self, name: str) -> Number:
        """The sum `name` so far; 0 before the first batch.

        Args:
            name: of the sum.

        Returns:
            What `add` summed up: a tensor on its device, or a number.

        Example:
            >>> metric = metrics.Mean()
            >>> metric.total("count"), metric(torch.tensor([1.0, 3.0])), metric.total("count")
            (0.0, tensor(2.), 2)
        """
        return self.state.get(name, 0.0)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: targets (n, ...): a tensor, an array or a list.
            y_pred: predictions (n, ...).
            sample_weight: weights (n,), or one for each value; None counts all as one.

        Raises:
            NotImplementedError: a subclass that does not define it.

        Example:
            >>> metric = metrics.MeanSquaredError()
            >>> metric.update_state([[1.0], [2.0]], [[1.0], [4.0]], sample_weight=[1.0, 3.0])
            >>> metric.result()
            tensor(3.)
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_state(y_true, y_pred).")

    def result(self) -> Number:
        """The figure over all batches since the last reset: a tensor on the device, or a number.

        Returns:
            A tensor, a number, or a mapping of several by name.

        Raises:
            NotImplementedError: a subclass that does not define it.

        Example:
            >>> metric = metrics.MeanSquaredError()
            >>> metric.update_state([[1.0]], [[1.0]])
            >>> metric.update_state([[2.0]], [[4.0]])
            >>> metric.result()
            tensor(2.)
        """
        raise NotImplementedError(f"{type(self).__name__} must define result().")

    def reset_state(self) -> None:
        """Forget all batches.

        Example:
            >>> metric = metrics.Sum()
            >>> metric([1.0, 2.0])
            tensor(3.)
            >>> metric.reset_state()
            >>> metric.result()
            0.0
        """
        own = [each.name for each in vars(self).values() if isinstance(each, Variable)]
        self.state = {name: torch.zeros_like(torch.as_tensor(self.state[name])) for name in own}

    def __call__(self, *args: Any, **kwargs: Any) -> Number:
        """Take a batch into account and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()


class Variable:
    """A tensor that a metric keeps under a name of its `state`: `value`, `assign`, `assign_add`, and arithmetic."""

    def __init__(self, metric: Metric, name: str) -> None:
        self.metric, self.name = metric, name

    @property
    def value(self) -> Tensor:
        """What is kept."""
        return torch.as_tensor(self.metric.state[self.name])

    @property
    def shape(self) -> torch.Size:
        """Its shape."""
        return self.value.shape

    @property
    def dtype(self) -> str:
        """The name of its dtype."""
        return str(self.value.dtype).removeprefix("torch.")

    def assign(self, value: Any) -> Tensor:
        """Keep another value of the same shape and dtype.

        Raises:
            DataError: one of another shape.
        """
        held, value = self.value, as_tensor(value).detach()
        if value.shape != held.shape:
            where = f"The variable {self.name!r} of the metric {self.metric.name!r}"
            raise DataError(explain(where, got=_shape(value), expected=_shape(held)))
        kept: Tensor = value.to(held.dtype, copy=True)
        self.metric.state[self.name] = kept
        return kept

    def assign_add(self, value: Any) -> Tensor:
        """Add to what is kept."""
        return self.assign(self.value + as_tensor(value))

    def assign_sub(self, value: Any) -> Tensor:
        """Subtract from what is kept."""
        return self.assign(self.value - as_tensor(value))

    def numpy(self) -> Any:
        """What is kept, as an array of NumPy's."""
        return self.value.cpu().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.value.cpu(), dtype)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return function(*map_leaves(_value, args), **map_leaves(_value, kwargs or {}))

    def __float__(self) -> float:
        return float(self.value)

    def __getitem__(self, index: Any) -> Tensor:
        return self.value[index]


def _value(each: Any) -> Any:
    return each.value if isinstance(each, Variable) else each


def _install_operators() -> None:
    """Give a variable the arithmetic and the comparisons of its value."""
    for word in "add sub mul truediv floordiv mod pow matmul".split():
        for name in (f"__{word}__", f"__r{word}__"):
            setattr(Variable, name, _of_value(name))
    for name in "neg abs lt le gt ge eq ne".split():
        setattr(Variable, f"__{name}__", _of_value(f"__{name}__"))


def _of_value(name: str) -> Callable[..., Any]:
    def operate(self: Variable, *others: Any) -> Any:
        return getattr(self.value, name)(*map(_value, others))

    return operate


_install_operators()


@registry.metrics.register("Sum", "sum")
class Sum(Metric):
    """The weighted sum of values.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> total = metrics.Sum()
        >>> total([1.0, 2.0]), total([3.0], sample_weight=[2.0])
        (tensor(3.), tensor(9.))
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the sum of `values`."""
        values = as_tensor(values)
        if sample_weight is not None:
            values = values * fit_weights(f"Metric {self.name!r}", as_tensor(sample_weight), values)
        self.add("total", values.sum())

    def result(self) -> Number:
        return self.result_in_dtype(self.total("total"))


@registry.metrics.register("Mean", "mean")
class Mean(Metric):
    """The weighted mean of values. A sample counts once, however many values it has.

    Args:
        name: its name in the logs; that of its class in snake case if None.
        dtype: the dtype of the result; float32 if None.

    Example:
        >>> mean = metrics.Mean()
        >>> mean([1.0, 3.0]), mean([5.0])
        (tensor(2.), tensor(3.))
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take `values` (n, ...) into account, weighted sample by sample or value by value."""
        values = as_tensor(values)
        samples = values.shape[0] if values.ndim else 1
        each = max(1, values.numel() // max(1, samples)) if values.ndim > 1 else 1
        if sample_weight is None:
            self.add("total", values.sum() if each == 1 else values.sum() / each)
            self.add("count", samples)
            return
        values = values if values.is_floating_point() else values.float()
        weights = fit_weights(f"Metric {self.name!r}", as_tensor(sample_weight), values).expand_as(values)
        self.add("total", (values * weights).sum() / each)
        self.add("count", weights.sum() / each)

    def result(self) -> Number:
        return self.result_in_dtype(divide(torch.as_tensor(self.total("total")), self.total("count")))


class PairMetric(Mean):
    """A metric of ours: the mean of `values(y_true, y_pred)`, one value a sample or more."""

    takes_masks: ClassVar[bool] = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values to average."""
        raise NotImplementedError

    def mask(self, y_true: Tensor) -> Tensor | None:
        """Which values count where values are weighted; None if all do."""
        return None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take targets and predictions into account."""
        y_true = as_tensor(y_true)
        values = self.values(y_true, as_tensor(y_pred).detach())
        mask = None if sample_weight is None else self.mask(y_true)
        if mask is not None:
            weights = fit_weights(f"Metric {self.name!r}", as_tensor(sample_weight), values)
            sample_weight = weights * mask.view_as(values)
        Mean.update_state(self, values, sample_weight)


@registry.metrics.register("MeanMetricWrapper")
class MeanMetricWrapper(PairMetric):
    """The mean of what a function `f(y_true, y_pred)` returns for each sample.

    Args:
        fn: The function, called with targets and predictions.
        name: Its name in the logs; the function's own if None.
        dtype: The dtype of the result; float32 if None.
        **kwargs: Further arguments of the function.

    Example:
        >>> def within(y_true, y_pred, distance):
        ...     return ((y_true - y_pred).abs() <= distance).float().mean(-1)
        >>> metrics.MeanMetricWrapper(within, name="within", distance=1.0)([[1.0], [2.0]], [[1.5], [4.0]])
        tensor(0.5000)
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None) or getattr(fn, "name", None), dtype=dtype)
        self.fn = fn
        self.arguments = kwargs
        self._function = partial(fn, **kwargs) if kwargs else fn

    def get_config(self) -> dict[str, Any]:
        """The names of the metric and of the function, and the function's arguments."""
        return {
            "name": self.name,
            "fn": serialize(self.fn, registry.metrics),
            **({} if self.dtype is None else {"dtype": self.dtype}),
            **self.arguments,
        }

    @classmethod
    @checked
    def from_config(cls: type[Self], config: Mapping[str, Any]) -> Self:
        """The metric that `get_config` described; the function is looked up by its name."""
        arguments: dict[str, Any] = dict(config)
        if "fn" not in arguments:
            raise ConfigError(explain("MeanMetricWrapper", got="no 'fn'", expected="the name of a function"))
        found = deserialize(arguments.pop("fn"), registry.metrics)
        function = found().values if isinstance(found, type) else found
        if functions.name_of(function) is not None:
            given = {name: value for name, value in arguments.items() if name not in ("name", "dtype")}
            schemas.check_keywords(function, given, cls.__name__)
        build: Any = cls
        wrapper: Self = build(function, **arguments)
        return wrapper

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self._function(*align(y_true, y_pred))  # type: ignore[no-any-return]

    def mask(self, y_true: Tensor) -> Tensor | None:
        loss = getattr(self.fn, "__self__", None)
        return loss.mask(y_true) if isinstance(loss, Loss) else None


class TorchMetric(Metric):
    """A metric of torchmetrics, or whatever has `update(preds, target)`, `compute()` and `reset()`.

    Args:
        metric: an object with `update(preds, target)`, `compute()` and `reset()`.
        name: its name in the logs; that of its class in snake case if None.
        dtype: taken as every Metric does; the result is of the metric's own.

    Example:
        >>> class Largest:
        ...     def reset(self): self.found = torch.tensor(0.0)
        ...     def update(self, preds, target): self.found = torch.maximum(self.found, (preds - target).abs().max())
        ...     def compute(self): return self.found
        >>> metric = metrics.TorchMetric(Largest())
        >>> metric.reset_state()
        >>> metric([1.0, 2.0], [1.5, 5.0])  # the target first, as for every Metric
        tensor(3.)
    """

    _wraps = "metric"

    def __init__(self, metric: Any, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or snake_case(type(metric).__name__), dtype=dtype)
        self.metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Pass the batch on, and its weights to an `update` that has an argument for them.

        Raises:
            DataError: sample weights for a metric that does not take them.
        """
        y_pred, weights = as_tensor(y_pred).detach(), {}
        if sample_weight is not None:
            weights = {self._argument_of_weights(): as_tensor(sample_weight)}
        if hasattr(self.metric, "to"):
            self.metric = self.metric.to(y_pred.device)
        self.metric.update(y_pred, as_tensor(y_true), **weights)

    def _argument_of_weights(self) -> str:
        names = [name for name in inspect.signature(self.metric.update).parameters if name in _WEIGHTS]
        if not names:
            raise DataError(
                explain(
                    f"Metric {self.name!r}",
                    got="sample weights",
                    expected="none",
                    why=f"{type(self.metric).__name__}.update takes no weights",
                    fix="list it in metrics= instead of weighted_metrics=",
                )
            )
        return names[0]

    def result(self) -> Number:
        result: Number = self.metric.compute()
        return result

    def reset_state(self) -> None:
        self.metric.reset()


def as_summed(value: Tensor) -> Tensor:
    """What is added to a sum in the dtype of the sum: in float64 where the device has it."""
    value = value.detach() if value.requires_grad else value
    return value.double() if value.is_floating_point() and value.device.type != "mps" else value


def expanded(identifier: Any) -> list[Any]:
    """The metrics of a collection of torchmetrics, each under its name there; anything else alone."""
    if isinstance(identifier, nn.ModuleDict) and hasattr(identifier, "compute"):
        return [TorchMetric(metric, name) for name, metric in identifier.items()]
    return [identifier]


def figures(name: str, metric: Metric) -> dict[str, Number]:
    """The result of a metric that is logged as `name`; where it is several by name, each under its own.

    What the logs put before or after the metric's name stands before or after those.
    """
    result: Any = metric.result()
    if not isinstance(result, Mapping):
        return {name: result}
    before, _, after = name.rpartition(metric.name)
    return {f"{before}{key}{after}": value for key, value in result.items()}


def _shape(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else "a number"
