"""Objective: losses, their weights and metrics, matched to a module's outputs by name.

Nothing here reads the device.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import losses, metrics
from torchfunc.distributed.fully_sharded import is_in_shards, whole_of
from torchfunc.distributed.ranks import Ranks
from torchfunc.errors import CompileError, DataError, explain, shorten
from torchfunc.graph import blame
from torchfunc.losses.loss import masked_weights
from torchfunc.metrics.metric import expanded, figures
from torchfunc.training.batches import Batch
from torchfunc.training.convert import is_number
from torchfunc.training.figures import RunningMean
from torchfunc.training.logits import Logits, logits_of, submodule, warn_of_misfit
from torchfunc.training.options.accumulation import SAMPLES, SUMS, WEIGHTS, Part
from torchfunc.training.ports import Port, Slots

LOSSES_BY_SHAPE = ("crossentropy", "ce")
_BINARY = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
_OF_PROBABILITIES = (
    *_BINARY,
    losses.CategoricalCrossentropy,
    losses.CategoricalFocalCrossentropy,
    losses.SparseCategoricalCrossentropy,
)
_ROUNDING = 1e-3  # a probability in bfloat16 may be that far beside

NO_MASKS: Mapping[int, Tensor] = {}
METRICS_BY_SHAPE = ("accuracy", "acc", *LOSSES_BY_SHAPE)


class Objective:
    """What a module is trained towards and measured by.

    Args:
        loss: one for every output, a list with one for each, or a dict by name; None for no loss.
        loss_weights: a number for each loss, as a list or a dict.
        metrics: for one output a metric or a list of them; for several a list of those or a dict by name.
        weighted_metrics: likewise; these take sample weights into account.

    Attributes:
        outputs: the module's outputs; None until they are known.
        settled: whether nothing is left that only a batch can tell.
        widens: whether outputs in halves, beside weights that are wider, are measured in float32.
        divides: whether the parts of a loss are told by what they were divided by, in `parts`.

    Raises:
        UnknownNameError: a loss or metric of that name does not exist.
    """

    widens = divides = False
    parts: Sequence[Part] = ()

    def __init__(
        self,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
    ) -> None:
        _check_names(loss, metrics, weighted_metrics)
        self.loss_given, self.loss_weights = loss, loss_weights
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        self.outputs: Slots | None = None
        self.heads: list[Head] = []
        self.losing: list[Head] = []
        self.measures: dict[str, Measure] = {}
        self.total = RunningMean()
        self.settled = False
        self._figures: dict[str, list[str]] = {}  # by metric, which may have several

    def take(self, outputs: Slots, module: nn.Module) -> None:
        """Match losses, weights and metrics to the outputs of a module.

        Args:
            outputs: what is known of them.
            module: whose submodules the outputs name. Where the `activation` of one made an output, a
                softmax or sigmoid, its crossentropy is taken of what the activation was given.

        Raises:
            CompileError: names or numbers that do not fit the outputs.
        """
        self.outputs = outputs
        each = zip(
            outputs,
            _arranged_losses(outputs, self.loss_given),
            _arranged_weights(outputs, self.loss_weights),
            _arranged_metrics(outputs, self.metrics, "metrics"),
            _arranged_metrics(outputs, self.weighted_metrics, "weighted_metrics"),
            strict=True,
        )
        self.heads = [
            Head(index, *of_this, widens=self.widens, divides=self.divides)
            for index, of_this in enumerate(each)
        ]
        for head, port in zip(self.heads, outputs, strict=True):
            head.logits = logits_of(port, module, head.loss)
            if isinstance(head.loss, losses.Loss):
                warn_of_misfit(port, module, head.loss)
        self.losing = [head for head in self.heads if head.loss is not None]
        for head in self.heads:
            head.keeps_running = len(self.losing) > 1
            head.settle_by_ports()
        self.measures = self._named_measures()
        self.settled = not any(head.asks_batch for head in self.heads)

    def _named_measures(self) -> dict[str, Measure]:
        """Every metric under its name in the logs: `accuracy`, with several outputs `department_accuracy`.

        Weighted ones come last; the second of a name is told apart.
        """
        several = len(self.heads) > 1
        named: dict[str, Measure] = {}
        for weighted in (False, True):
            for head in self.heads:
                for measure in (each for each in head.measures if each.weighted is weighted):
                    name = f"{head.name}_{measure.name}" if several else measure.name
                    if weighted and name in named:
                        name = (
                            f"{head.name}_weighted_{measure.name}" if several else f"weighted_{measure.name}"
                        )
                    named[_free(name, named)] = measure
        return named

    def sum(
        self,
        outputs: Sequence[Tensor],
        batch: Batch,
        extra: Sequence[Tensor] = (),
        masks: Mapping[int, Tensor] = NO_MASKS,
    ) -> Tensor | None:
        """The loss of a batch: the weighted sum over the outputs, and what the module adds; None if there is neither.

        Its figure does not hear of it yet. `masks` are those of outputs by their places.

        Raises:
            DataError: an output with a loss has no target.
        """
        parts = [
            head.weighted(head.value(outputs[head.index], batch, masks.get(head.index)))
            for head in self.losing
        ]
        if self.divides:
            divisors = [head.divisor for head in self.losing]
            self.parts = self._divided(parts, divisors, extra, batch.size)
        parts += map(whole_of, extra)
        if not parts:
            return None
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _divided(
        self,
        values: Sequence[Tensor],
        divisors: Sequence[Any],
        extra: Sequence[Tensor],
        size: int,
        of_weights: Sequence[Tensor] = (),
    ) -> list[Part]:
        """The parts of a loss, and what each was divided by: samples alone, where that is all there is to it."""
        alone = len(values) == 1 and not extra and not of_weights
        parts = [Part(SAMPLES, each, size) for each in extra]
        parts += [Part(WEIGHTS, each, size) for each in of_weights]
        for head, value, divisor in zip(self.losing, values, divisors, strict=True):
            if head.divisor is None:
                parts.append(Part(SUMS, value, 1))
            elif alone or (not head.long and not isinstance(head.divisor, Tensor)):
                parts.append(Part(SAMPLES, value, divisor if alone else size))
            else:
                parts.append(Part(f"output {head.name}", value, divisor))
        return parts

    def sum_over(
        self,
        ranks: Ranks,
        outputs: Sequence[Tensor],
        batch: Batch,
        extra: Sequence[Tensor] = (),
        masks: Mapping[int, Tensor] = NO_MASKS,
    ) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """`sum` of the joined batch of all ranks: what its gradient is that of, averaged over them, and the number."""
        # what lies in shards is the same on all ranks, and its gradient is no mean over them
        of_weights = [whole_of(each) for each in extra if is_in_shards(each)]
        extra = [each for each in extra if not is_in_shards(each)]
        heads = [(head, outputs[head.index], masks.get(head.index)) for head in self.losing]
        values = [*(head.value(output, batch, mask) for head, output, mask in heads), *extra]
        divisors = [
            *(head.mean_over(output, batch, mask) for head, output, mask in heads),
            *([float(batch.size)] * len(extra)),
        ]
        if not values and not of_weights:
            return None, None
        sums = [*(head.loss.reduction == "sum" for head in self.losing), *([False] * len(extra))]
        learned, joined, over = (
            shared_means(ranks, values, divisors, sums, counts=batch.size > 0) if values else ([], [], [])
        )
        if self.divides:
            count = len(self.losing)
            losing = [head.weighted(each) for head, each in zip(self.losing, learned, strict=False)]
            self.parts = self._divided(losing, over[:count], learned[count:], ranks.size, of_weights)
        for head, each in zip(self.losing, joined, strict=False):
            head.latest = each if head.keeps_running else None
        weights = [*(head.weight for head in self.losing), *([1.0] * len(extra))]
        each_of = zip(weights, learned, joined, strict=True)
        both = [(one * weight, other * weight) for weight, one, other in each_of]
        both += [(each, each.detach()) for each in of_weights]
        return torch.stack([one for one, _ in both]).sum(), torch.stack([other for _, other in both]).sum()

    def count(self, loss: Tensor, size: int) -> None:
        """Take the loss of a batch into account, and what `sum` found for each output."""
        self.total.add(loss, size)
        for head in self.losing:
            if head.latest is not None:
                head.running.add(head.latest, size)
                head.latest = None

    @torch.no_grad()
    def measure(
        self, outputs: Sequence[Tensor], batch: Batch, masks: Mapping[int, Tensor] = NO_MASKS
    ) -> None:
        """Take a batch into the metrics; `masks` are those of outputs by their places."""
        for head in self.heads:
            if head.measures:
                head.measure(outputs[head.index], batch, masks.get(head.index))

    def reset(self) -> None:
        """Forget all batches."""
        self.total.reset()
        for head in self.heads:
            head.reset()

    def take_shapes(self, outputs: Sequence[Tensor]) -> None:
        """Learn the outputs' shapes, but for the number of samples."""
        for head, output in zip(self.heads, outputs, strict=True):
            head.shape = (None, *output.shape[1:])

    def forget_shapes(self) -> None:
        """Take nothing for granted about the outputs' shapes, which were those of other data."""
        for head, port in zip(self.heads, self.outputs or (), strict=True):
            head.shape = port.shape

    def running(self) -> dict[str, Any]:
        """Every figure by its name in the logs: the loss, the loss of each output, the metrics."""
        running: dict[str, Any] = {"loss": self.total.result()} if self.total.count else {}
        if len(self.losing) > 1:
            running |= {
                f"{head.name}_loss": head.running.result() for head in self.losing if head.running.count
            }
        return running | self.measured()

    def measured(self) -> dict[str, Any]:
        """What the metrics have, by the names in the logs."""
        measured: dict[str, Any] = {}
        for name, each in self.measures.items():
            if each.metric:
                found = figures(name, each.metric)
                self._figures[name] = list(found)
                measured |= found
        return measured

    @property
    def names(self) -> list[str]:
        """The names in the logs, in their order; none while the outputs are unknown."""
        if self.outputs is None:
            return []
        losing = [f"{head.name}_loss" for head in self.losing]
        measured = [each for name in self.measures for each in self._figures.get(name, [name])]
        return ["loss", *(losing if len(losing) > 1 else []), *measured]

    @property
    def asks_outputs(self) -> bool:
        """Whether the outputs of the first batch have to be seen for it."""
        return any(head.asks_output for head in self.heads)

    def settle(self, outputs: Sequence[Tensor] | None, batch: Batch) -> None:
        """Choose what only a batch can tell: the kinds of accuracy and of crossentropy by its shapes.

        Args:
            outputs: what the module returns for the batch; None where nothing asks for them.
            batch: the first one.

        Raises:
            DataError: an output with a loss has no target.
        """
        for head in self.heads:
            if head.asks_batch:
                head.settle(None if outputs is None else outputs[head.index], batch)
        self.settled = True

    def to(self, device: torch.device) -> None:
        """Have the tensors of the losses on the device."""
        for head in self.losing:
            head.loss = head.loss if isinstance(head.loss, str) else head.loss.to(device)

    def layers_of_logits(self, module: nn.Module) -> list[nn.Module | None]:
        """The layers whose logits losses take, rather than what they return."""
        return [submodule(module, head.logits.layer) for head in self.heads if head.logits is not None]

    @contextmanager
    def asking(self, module: nn.Module) -> Iterator[None]:
        """Within it the layers of the module tell the logits that losses take."""
        with ExitStack() as asked:
            for head in self.heads:
                if head.logits is not None:
                    asked.enter_context(head.logits.asked(module))
            yield


@dataclass
class Measure:
    """A metric of one output; `metric` is None until the first batch says which one is meant."""

    identifier: Any
    name: str
    weighted: bool
    metric: Any = None


class Head:
    """One output: its loss, the weight of that loss, and its metrics."""

    def __init__(
        self,
        index: int,
        port: Port,
        loss: Any,
        weight: float,
        measures: list[Measure],
        weighted_measures: list[Measure],
        *,
        widens: bool = False,
        divides: bool = False,
    ) -> None:
        self.widens, self.divides = widens, divides
        self.divisor: Any = None  # of its last loss
        self.index, self.name, self.loss, self.weight = index, port.name, loss, weight
        self.measures = measures + weighted_measures
        self.shape = port.shape
        self.running = RunningMean()
        self.keeps_running = False
        self.long = False  # whether its samples may have several steps
        self.latest: Tensor | None = None  # of its losses, which is not counted yet
        self.logits: Logits | None = None

    @property
    def _takes_probabilities(self) -> bool:
        probable = isinstance(self.loss, _OF_PROBABILITIES) and not self.loss.from_logits
        return probable and self.logits is None

    @property
    def asks_batch(self) -> bool:
        """Whether there is something that only a batch can tell."""
        by_shape = isinstance(self.loss, str) or any(each.metric is None for each in self.measures)
        return by_shape or self._takes_probabilities

    @property
    def asks_output(self) -> bool:
        """Whether what the module returns for it has to be seen too."""
        unknown = self.shape is None or self.shape[-1:] == (None,)
        return self.asks_batch and (unknown or isinstance(self.loss, str) or self._takes_probabilities)

    def settle_by_ports(self) -> None:
        """Choose what the loss and the shape of the output decide: a crossentropy says what targets are like."""
        known = self.shape is not None and self.shape[-1:] != (None,)
        for each in self.measures:
            if not isinstance(each.identifier, str):
                each.metric = each.identifier
            elif known and isinstance(self.loss, _OF_PROBABILITIES):
                each.metric = metrics.resolve(each.identifier, self.shape or (), None, self.loss)

    def settle(self, output: Tensor | None, batch: Batch) -> None:
        """Choose what depends on the shapes of output and target, and look at the output once."""
        target = self._target(batch)
        shape: Any = self.shape if output is None else tuple(output.shape)
        if isinstance(self.loss, str):
            self.loss = losses.resolve(self.loss, shape, tuple(target.shape))
        if output is not None and self._takes_probabilities:
            self._check_probabilities(output)
        for each in self.measures:
            if each.metric is None:
                each.metric = metrics.resolve(each.identifier, shape, tuple(target.shape), self.loss)

    def _check_probabilities(self, output: Tensor) -> None:
        """Warn of what cannot be probabilities where the loss takes them for such: it is clipped, and not learned from.

        What is no probability in a linear output shows in the first batch.
        """
        low, high = (each.item() for each in torch.aminmax(output))
        # the categorical ones divide by the sum, so that numbers above 1 are fine there
        binary = isinstance(self.loss, _BINARY)
        if low < -_ROUNDING or (binary and high > 1 + _ROUNDING):
            activation = "sigmoid" if binary else "softmax"
            told = explain(
                f"output {self.name!r}",
                got=f"numbers from {low:.3g} to {high:.3g}",
                expected=f"probabilities, by the loss {self.loss.name!r}",
                why="what is beyond them is clipped, as in Keras, and not learned from",
                fix=f"activation={activation!r} in its layer, or "
                f"loss=losses.{type(self.loss).__name__}(from_logits=True)",
            )
            warnings.warn(told, stacklevel=blame.level())

    def _target(self, batch: Batch) -> Tensor:
        target = batch.targets[self.index] if batch.targets else None
        if target is None:
            why = "it has a loss" if self.loss is not None else "it has metrics"
            raise DataError(
                explain("y", got="no target", expected=f"one for the output {self.name!r}", why=why)
            )
        return target

    def value(self, output: Tensor, batch: Batch, mask: Tensor | None = None) -> Tensor:
        """The loss of this output, which `weight` says the part of."""
        target, weight = self._target(batch), batch.weights[self.index] if batch.weights else None
        loss, logits = self.loss, None if self.logits is None else self.logits.taken(output)
        if self.logits is not None and logits is not None:
            loss, output = self.logits.loss, logits
        if self.widens:
            output = _wide(output)
        masked = {} if mask is None else {"mask": mask}
        value: Tensor = loss(target, output, weight, **masked)
        if self.divides:
            self.divisor = loss.divisor(target, output, weight, mask)
            self.long = output.ndim > 2
        if value.ndim:
            value = value.mean()
        if self.keeps_running:
            self.latest = value.detach()
        return value

    def weighted(self, value: Tensor) -> Tensor:
        """What a loss of this output adds to that of the batch."""
        return value if self.weight == 1 else value * self.weight

    def mean_over(self, output: Tensor, batch: Batch, mask: Tensor | None = None) -> Tensor | float:
        """What the mean of `value` is divided by; 1 where it is a sum."""
        weight = batch.weights[self.index] if batch.weights else None
        found: Tensor | int | None = self.loss.divisor(self._target(batch), output, weight, mask)
        return 1.0 if found is None else found

    def measure(self, output: Tensor, batch: Batch, mask: Tensor | None = None) -> None:
        """Take a batch into the metrics of this output; a mask weighs those that take one."""
        target, output = self._target(batch), output.detach()
        if self.widens:
            output = _wide(output)
        for each in self.measures:
            weight = batch.weights[self.index] if each.weighted and batch.weights else None
            if mask is not None and each.metric.takes_masks:
                weight = masked_weights(f"Metric {each.metric.name!r}", weight, mask)
            each.metric.update_state(target, output, weight)

    def reset(self) -> None:
        self.running.reset()
        for each in self.measures:
            if each.metric is not None:
                each.metric.reset_state()


def _wide(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def shared_means(
    ranks: Ranks,
    values: Sequence[Tensor],
    divisors: Sequence[Tensor | float],
    sums: Sequence[bool],
    *,
    counts: bool,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Means and sums over the batch of one rank as those over the batches of all.

    Returns:
        Numbers to learn from, whose gradients have to be averaged over the ranks; the numbers over all; what the means
        over all are divided by.
    """
    held = torch.stack(
        [each.detach().double() if each.device.type != "mps" else each.detach() for each in values]
    )
    by = torch.stack([torch.as_tensor(each, dtype=held.dtype, device=held.device) for each in divisors])
    added = torch.tensor(sums, device=held.device)
    by = torch.where(added, 1.0, by) if counts else torch.zeros_like(by)
    all_by, totals = ranks.summed(torch.cat([by, torch.where(by == 0, 0.0, held * by)])).chunk(2)
    nothing = all_by == 0
    joined = torch.where(added, totals, torch.where(nothing, 0.0, totals / all_by))
    share = torch.where(added, by, torch.where(nothing, 0.0, by / all_by)) * ranks.world
    learned = [each * part.to(each.dtype) for each, part in zip(values, share, strict=True)]
    return learned, [each.to(value.dtype) for each, value in zip(joined, values, strict=True)], list(all_by)


def is_identifier(value: Any) -> bool:
    """Whether a dict is the config of one object rather than objects by name."""
    return isinstance(value, dict) and "class_name" in value


def _arranged_losses(outputs: Slots, loss: Any) -> list[Any]:
    """The loss of each output as an object; only what shapes decide stays a name."""
    if loss is None or not isinstance(loss, (list, tuple, dict)) or is_identifier(loss):
        given = [copy.copy(loss) if index else loss for index in range(len(outputs))]
    else:
        given = outputs.arrange(loss, "loss", CompileError, partial=True)
    return [each if isinstance(each, str) and each in LOSSES_BY_SHAPE else losses.get(each) for each in given]


def _arranged_weights(outputs: Slots, weights: Any) -> list[float]:
    if weights is None:
        return [1.0] * len(outputs)
    given = outputs.arrange(weights, "loss_weights", CompileError, partial=True)
    for name, each in zip(outputs.names, given, strict=True):
        if each is not None and not is_number(each):
            where = f"loss_weights of the output {name!r}"
            raise CompileError(explain(where, got=repr(each), expected="a number"))
    return [1.0 if each is None else float(each) for each in given]


def _arranged_metrics(outputs: Slots, given: Any, what: str) -> list[list[Measure]]:
    """A list of metrics for each output; every name among them is known."""
    if given is None:
        return [[] for _ in outputs.names]
    listed = isinstance(given, (list, tuple))
    nested = listed and len(given) == 1 and isinstance(given[0], (list, tuple))
    if isinstance(given, dict) and not is_identifier(given):
        arranged = outputs.arrange(given, what, CompileError, partial=True)
    elif len(outputs) == 1 and not nested:
        arranged = [given]
    elif listed and len(given) == len(outputs):
        arranged = list(given)
    else:
        expected = f"a list with one item for each output, or a dict: {list(outputs.names)}"
        raise CompileError(explain(what, got=shorten(given), expected=expected))
    lists = [each if isinstance(each, (list, tuple)) else [each] for each in arranged]
    weighted = what == "weighted_metrics"
    return [
        [_measure(one, weighted) for each in items if each is not None for one in expanded(each)]
        for items in lists
    ]


def _measure(identifier: Any, weighted: bool) -> Measure:
    if isinstance(identifier, str) and identifier in METRICS_BY_SHAPE:
        return Measure(identifier, identifier, weighted)
    metric: Any = metrics.get(identifier)
    return Measure(metric, metric.name, weighted)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A name, with a number if it is taken."""
    names = itertools.chain([name], (f"{name}_{count}" for count in itertools.count(1)))
    return next(each for each in names if each not in taken)


def _check_names(loss: Any, *measured: Any) -> None:
    """Look every name up, so that a misspelled one is told at once."""
    _check(loss, losses.get, LOSSES_BY_SHAPE)
    for given in measured:
        _check(given, metrics.get, METRICS_BY_SHAPE)


def _check(given: Any, look_up: Callable[[Any], Any], chosen_later: Sequence[str]) -> None:
    if isinstance(given, (list, tuple)) or (isinstance(given, dict) and not is_identifier(given)):
        for each in given.values() if isinstance(given, dict) else given:
            _check(each, look_up, chosen_later)
    elif not isinstance(given, str) or given not in chosen_later:
        look_up(given)
