"""What every loss is: values per sample, made of a target and a prediction, then weighted and reduced."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from torchfunc import registry
from torchfunc.config import Configurable
from torchfunc.errors import CompileError, DataError, explain
from torchfunc.graph.targets import snake_case
from torchfunc.losses import torch_losses
from torchfunc.settings import compute_dtype

Reduction = Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"] | None

MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
REDUCTIONS = (*MEANS, "sum", "none", None)


class Loss(Configurable):
    """A loss as Keras has it: `loss(y_true, y_pred, sample_weight=None)`.

    A subclass of yours defines `call(y_true, y_pred)`, which returns one value a sample (or a step
    of a sample). Weights and the reduction are applied here.

    Args:
        name: Its name in messages and in the logs; that of its class in snake case if None.
        reduction: "sum_over_batch_size" or "mean" (the mean of all values), "sum", "mean_with_sample_weight"
            (divided by the sum of the weights), "none" or None.
        dtype: What it is computed in, but for halves, which are summed up in float32 and then rounded; the
            dtype of the predictions if None.

    Raises:
        CompileError: a reduction that does not exist.

    Example:
        >>> class Cubic(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ((y_true - y_pred).abs() ** 3).mean(-1)
        >>> Cubic()(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
        tensor(4.)
        >>> Cubic(reduction="none")(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
        tensor([0., 8.])
    """

    _registry = registry.losses
    _unless_none = ("dtype",)
    from_logits: bool = False
    _of_probabilities: ClassVar[bool] = False

    def __init__(
        self, name: str | None = None, reduction: Reduction = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            expected = "one of " + ", ".join(map(repr, REDUCTIONS))
            raise CompileError(
                explain(type(self).__name__, got=f"reduction={reduction!r}", expected=expected)
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = compute_dtype(dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values, one a sample: the last axis of the arguments reduced.

        Args:
            y_true: targets, a tensor (n, ...).
            y_pred: predictions, a tensor (n, ...).

        Returns:
            A tensor with one value a sample, or a step or a pixel of one; a scalar if the loss is one of
            whole batches.

        Raises:
            NotImplementedError: a subclass that does not define it.

        Example:
            >>> losses.MeanAbsoluteError().call(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
            tensor([1.])
        """
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred).")

    def per_sample(self, y_true: Any, y_pred: Any) -> Tensor:
        """The values before weights and reduction, one a sample (or a step of a sample).

        Args:
            y_true: targets (n, ...): a tensor, an array or a list.
            y_pred: predictions (n, ...).

        Returns:
            What `call` returns.

        Example:
            >>> losses.MeanSquaredError().per_sample([1.0, 2.0], [1.0, 4.0])
            tensor([0., 4.])
        """
        return self.call(as_tensor(y_true), as_tensor(y_pred))

    @property
    def takes(self) -> torch_losses.Takes | None:
        """What the outputs have to be: logits, log-probabilities or probabilities; None for any numbers.

        Example:
            >>> losses.BinaryCrossentropy().takes, losses.BinaryCrossentropy(from_logits=True).takes
            ('probabilities', 'logits')
            >>> losses.MeanSquaredError().takes is None
            True
        """
        if self.from_logits:
            return "logits"
        return "probabilities" if self._of_probabilities else None

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The mean of all values; a loss for which PyTorch has one kernel takes that.

        Args:
            y_true: targets, a tensor (n, ...).
            y_pred: predictions, a tensor (n, ...).

        Returns:
            A scalar: what the loss is where nothing is weighted, masked or ignored and the reduction is a
            mean.

        Example:
            >>> losses.MeanSquaredError().mean(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
            tensor(2.)
        """
        return self.per_sample(y_true, y_pred).mean()

    def mask(self, y_true: Tensor) -> Tensor | None:
        """Which values count, or None if all do.

        Args:
            y_true: targets, a tensor (n, ...).

        Returns:
            A boolean tensor shaped like the values, or None.

        Example:
            >>> losses.SparseCategoricalCrossentropy(ignore_class=-1).mask(torch.tensor([2, -1, 0]))
            tensor([ True, False,  True])
            >>> losses.MeanSquaredError().mask(torch.tensor([1.0])) is None
            True
        """
        return None

    def to(self, device: torch.device | str) -> Loss:
        """This loss with the tensors that it holds on `device`.

        Args:
            device: as `torch.device` takes it.

        Returns:
            The loss itself.

        Example:
            >>> loss = losses.get(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])))
            >>> loss.to("cpu").function.weight.device
            device(type='cpu')
        """
        return self

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """The loss of a batch: a scalar, or the weighted values if the reduction is "none".

        Args:
            y_true: Targets (n, ...).
            y_pred: Predictions (n, ...).
            sample_weight: Weights (n,), or one for each value that `per_sample` returns.
            mask: The mask of the predictions (n, ...): where it is False, nothing counts.

        Raises:
            DataError: shapes that do not fit each other.
        """
        if self.dtype is not None:
            return self._in_dtype(y_true, y_pred, sample_weight, mask).to(getattr(torch, self.dtype))
        return self._figure(as_tensor(y_true), as_tensor(y_pred), sample_weight, mask)

    def _in_dtype(self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Tensor | None) -> Tensor:
        """The loss of targets and predictions that are turned to its dtype, and at least to float32."""
        dtype = torch.promote_types(getattr(torch, str(self.dtype)), torch.float32)
        y_true = as_tensor(y_true)
        y_true = y_true.to(dtype) if y_true.is_floating_point() else y_true
        return self._figure(y_true, as_tensor(y_pred).to(dtype), sample_weight, mask)

    @torch.no_grad()
    def divisor(
        self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Tensor | None
    ) -> Tensor | int | None:
        """By what the loss of a batch was divided, up to a factor that is the same for all batches; None for a sum.

        Args:
            y_true: targets (n, ...).
            y_pred: predictions (n, ...).
            sample_weight: weights as they were given to the loss; None if there were none.
            mask: the mask of the predictions; None if there was none.

        Returns:
            How many values, or how much weight, a mean was taken over; None where the reduction is "sum".

        Example:
            >>> losses.MeanSquaredError().divisor(torch.ones(4, 1), torch.ones(4, 1), None, None)
            4
            >>> labels, found = torch.tensor([0, 1]), torch.ones(2, 3)
            >>> losses.SparseCategoricalCrossentropy(ignore_class=0).divisor(labels, found, None, None)
            tensor(1.)
        """
        if self.reduction == "sum":
            return None
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        counted, weighted = self._counted(y_true), self.reduction == "mean_with_sample_weight"
        if counted is None and mask is None and not (weighted and sample_weight is not None):
            size: int = y_pred.numel()
            return size
        values = self.per_sample(y_true, y_pred)
        weights = torch.ones_like(values) if counted is None else counted.view_as(values).to(values.dtype)
        if mask is not None:
            weights = weights * fit_mask(f"Loss {self.name!r}", mask, values)
        if weighted and sample_weight is not None:
            weights = weights * fit_weights(f"Loss {self.name!r}", as_tensor(sample_weight), values)
        total: Tensor = weights.sum()
        return total

    def _counted(self, y_true: Tensor) -> Tensor | None:
        """How much each value counts in a mean, by the targets; None if all count as one."""
        return self.mask(y_true)

    def _figure(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any, mask: Tensor | None) -> Tensor:
        counted = self.mask(y_true)
        # the mean of no values is 0 here, and NaN in PyTorch's kernels
        plain = sample_weight is None and counted is None and mask is None
        if plain and self.reduction in MEANS and y_pred.numel():
            return self.mean(y_true, y_pred)
        return self._reduce(self.per_sample(y_true, y_pred), sample_weight, counted, mask)

    def _reduce(
        self, values: Tensor, sample_weight: Any, counted: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """The values weighted and reduced.

        Args:
            values: before that.
            sample_weight: as given.
            counted: how much each value counts in a mean, by the targets; None if all count as one.
            mask: which values count, by the mask of the predictions; None if all do.
        """
        where, weights = f"Loss {self.name!r}", None
        if values.ndim == 0:
            if sample_weight is not None:
                raise _already_reduced(self.name)
            return values
        if mask is not None:
            mask = fit_mask(where, mask, values)
            values = values.masked_fill(~mask, 0)
            counted = mask if counted is None else counted.view_as(values) * mask
        if sample_weight is not None:
            weights = fit_weights(where, as_tensor(sample_weight), values)
            values = values * weights
        if self.reduction in MEANS:
            divisor: Tensor | int = values.numel() if counted is None else counted.sum()
            if self.reduction == "mean_with_sample_weight" and weights is not None:
                weights = weights if counted is None else weights * counted.view_as(values)
                divisor = weights.expand_as(values).sum()
            return divide(values.sum(), divisor)
        return values.sum() if self.reduction == "sum" else values


class PairLoss(Loss):
    """A loss that compares target and prediction element by element, by a function of its own.

    Args:
        reduction: See `Loss`.
        name: The function's own name if None.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name or type(self).function.__name__, reduction, dtype=dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return type(self).function(y_true, y_pred)

    def per_sample(self, y_true: Any, y_pred: Any) -> Tensor:
        """The values before weights and reduction; of two (n,) tensors each number is a sample."""
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        if y_true.ndim == y_pred.ndim == 1:
            y_true, y_pred = y_true.unsqueeze(-1), y_pred.unsqueeze(-1)
        return self.call(y_true, y_pred)


class FunctionLoss(Loss):
    """A loss made of a function `f(y_true, y_pred)`, Keras's order of arguments.

    Args:
        function: called with targets and predictions; it returns one value a sample, or one for the batch,
            which cannot be weighted.
        name: its name in messages and in the logs; the function's own if None.
        reduction: how the values become one, as in `Loss`.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> def worst(y_true, y_pred):
        ...     return (y_true - y_pred).abs().amax(-1)
        >>> losses.FunctionLoss(worst)(torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]))
        tensor(2.)
    """

    _wraps = "function"

    def __init__(
        self,
        function: Callable[..., Tensor],
        name: str | None = None,
        reduction: Reduction = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name or getattr(function, "__name__", None), reduction, dtype=dtype)
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(*align(y_true, y_pred))


class TorchLoss(Loss):
    """A loss of PyTorch, a module or a function of `torch.nn.functional`: `f(input, target)`.

    It is called as it is, with targets in the dtype that it wants; only where samples are weighted it is
    asked for unreduced values, which are reduced as it would.

    Args:
        function: a module such as `nn.HuberLoss()`, a function such as `F.l1_loss`, or a partial of one.
        name: its name in messages and in the logs; the function's own if None.
        reduction: as in `Loss`; a "sum" or "none" of the module's own stands.
        dtype: what it is computed in, as in `Loss`; the dtype of the predictions if None.

    Example:
        >>> loss = losses.TorchLoss(nn.CrossEntropyLoss(label_smoothing=0.1))
        >>> loss.takes
        'logits'
        >>> loss([1, 0], torch.tensor([[0.0, 1.0], [2.0, 0.0]]))  # the target first, as for every Loss
        tensor(0.2951)
    """

    _wraps = "function"

    def __init__(
        self,
        function: Callable[..., Tensor],
        name: str | None = None,
        reduction: Reduction = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        unwrapped = function.func if isinstance(function, partial) else function
        own_name = getattr(unwrapped, "__name__", snake_case(type(unwrapped).__name__))
        own_reduction = torch_losses.setting(function, "reduction", "mean")
        super().__init__(
            name or own_name, own_reduction if own_reduction in ("sum", "none") else reduction, dtype=dtype
        )
        self.function = function
        self._per_batch = own_reduction == "batchmean"
        self.signature = torch_losses.signature(function)

    @property
    def takes(self) -> torch_losses.Takes | None:
        return None if self.signature is None else self.signature.outputs

    def _figure(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any, mask: Tensor | None) -> Tensor:
        y_true, y_pred = self._fitted(y_true, y_pred)
        if not y_pred.numel():
            nothing: Tensor = y_pred.sum()
            return nothing  # 0, where the mean of PyTorch is NaN
        if sample_weight is None and mask is None:
            return self.function(y_pred, y_true)
        values = self._unreduced()(y_pred, y_true)
        counted = torch_losses.counted(self.signature, self.function, y_true)
        loss = self._reduce(values, sample_weight, counted, mask)
        return loss * y_pred[0].numel() if self._per_batch else loss

    def _fitted(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        y_true, y_pred = align(y_true, y_pred)
        return torch_losses.fitted(self.name, self.signature, y_true, y_pred), y_pred

    def _counted(self, y_true: Tensor) -> Tensor | None:
        return None if self._per_batch else torch_losses.counted(self.signature, self.function, y_true)

    def mean(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self(y_true, y_pred)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = self._unreduced()(*reversed(self._fitted(y_true, y_pred)))
        if values.ndim == 0 and y_pred.ndim > 0:
            raise _already_reduced(self.name)
        return values

    def _unreduced(self) -> Callable[..., Tensor]:
        if isinstance(self.function, nn.Module):
            module: Any = copy.copy(self.function)
            module.reduction = "none"
            return partial(module)
        if "reduction" in inspect.signature(self.function).parameters:
            return partial(self.function, reduction="none")
        return self.function

    def to(self, device: torch.device | str) -> Loss:
        if isinstance(self.function, nn.Module):
            self.function.to(device)
        return self


def as_tensor(value: Any) -> Tensor:
    """A tensor as it is, anything else as a tensor."""
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def align(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """The two with equal rank, if one of them lacks just a last axis of length 1."""
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred.unsqueeze(-1)) if y_pred.ndim == 1 else (y_true.squeeze(-1), y_pred)
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        return (y_true.unsqueeze(-1), y_pred) if y_true.ndim == 1 else (y_true, y_pred.squeeze(-1))
    return y_true, y_pred


def pair(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Target and prediction as tensors of one shape and one floating dtype, at least float32.

    Raises:
        DataError: two shapes that differ by more than a last axis of length 1. They would broadcast
            to a loss over every pair of samples.
    """
    y_true, y_pred = align(as_tensor(y_true), floating(y_pred))
    if y_true.shape != y_pred.shape:
        raise DataError(
            explain(
                f"Loss {name!r}",
                got=f"targets of shape {tuple(y_true.shape)} for outputs of shape {tuple(y_pred.shape)}",
                expected="targets shaped like the outputs",
                fix="reshape the targets, or give the last layer as many units as a target has values",
            )
        )
    return y_true.to(y_pred.dtype), y_pred


def floating(y_pred: Any) -> Tensor:
    """A prediction in float32 or more: sums over halves lose too much."""
    tensor = as_tensor(y_pred)
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def fit_weights(where: str, weights: Tensor, values: Tensor) -> Tensor:
    """Sample weights with as many axes as the values, so that they broadcast sample by sample.

    Raises:
        DataError: weights that are neither one a sample nor one a value.
    """
    weights = weights.to(device=values.device, dtype=values.dtype)
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = weights.squeeze(-1)
    shape = weights.shape
    if len(shape) > values.ndim or any(w not in (1, v) for w, v in zip(shape, values.shape, strict=False)):
        raise DataError(
            explain(
                where,
                got=f"sample weights of shape {tuple(shape)}",
                expected=f"one weight a sample, or the shape {tuple(values.shape)}",
            )
        )
    return weights.reshape([*shape, *[1] * (values.ndim - len(shape))])


def fit_mask(where: str, mask: Tensor, values: Tensor) -> Tensor:
    """A mask of predictions as one of the values that a loss makes of them.

    Raises:
        DataError: a mask of another shape.
    """
    mask = mask.to(values.device, torch.bool)
    if mask.ndim == values.ndim + 1 and mask.shape[-1] == 1:
        mask = mask.squeeze(-1)
    shape = mask.shape
    if len(shape) > values.ndim or any(m not in (1, v) for m, v in zip(shape, values.shape, strict=False)):
        raise DataError(
            explain(
                where,
                got=f"values of shape {tuple(values.shape)} for an output with a mask of shape {tuple(shape)}",
                expected="a value for each place of the mask",
                fix="an output with an axis more, or without a mask",
            )
        )
    return mask.reshape([*shape, *[1] * (values.ndim - len(shape))]).expand_as(values)


def masked_weights(where: str, sample_weight: Any, mask: Tensor) -> Tensor:
    """Sample weights that are 0 where a mask is False."""
    if sample_weight is None:
        return mask.float()
    weights = as_tensor(sample_weight)
    if weights.ndim > mask.ndim and not (weights.ndim == mask.ndim + 1 and weights.shape[-1] == 1):
        return weights * fit_mask(where, mask, weights)
    return fit_weights(where, weights, mask.to(weights.dtype)) * mask


def divide(total: Tensor, count: Tensor | float) -> Tensor:
    """`total / count`, and 0 where nothing was counted."""
    if isinstance(count, Tensor):
        none = count == 0  # divided by it, a total would have no gradient but NaN
        return (total / count.masked_fill(none, 1)).masked_fill(none, 0)
    return total / count if count else total * 0  # which has a gradient, of zeros


def _already_reduced(name: str) -> DataError:
    return DataError(
        explain(
            f"Loss {name!r}",
            got="sample weights for a loss that returns one number for the whole batch",
            expected="one value a sample",
            fix="return the values before their mean (Dice and Tversky: axis=-1), or leave out sample_weight "
            "and class_weight",
        )
    )
