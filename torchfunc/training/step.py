"""Step: one batch, learned from, measured or predicted; what `fit` repeats."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torchfunc.distributed.fully_sharded import (
    Shards,
    gather_for,
    is_ours,
    is_sharded,
    reshard,
    whole,
    whole_of,
)
from torchfunc.distributed.joining import cannot_merge, merged
from torchfunc.distributed.launch import checked_mode, is_wrapped, ranks_for
from torchfunc.distributed.ranks import Ranks, buffers_of
from torchfunc.distributed.replicas import Replicas
from torchfunc.distributed.tensor_parallel import checked_plan, parallelize
from torchfunc.errors import CompileError, DataError, TorchfuncError, explain
from torchfunc.graph import blame
from torchfunc.metrics.metric import Metric, figures
from torchfunc.training.batches import Batch, Data
from torchfunc.training.convert import is_array
from torchfunc.training.figures import read
from torchfunc.training.finite import Watch, culprit
from torchfunc.training.objective import NO_MASKS, Objective, shared_means
from torchfunc.training.options.accumulation import SAMPLES, Part
from torchfunc.training.options.compiled import Options
from torchfunc.training.options.learning import Learning
from torchfunc.training.options.precision import HALVES, computing_in, modes, widened
from torchfunc.training.ports import Ports, ports_of_outputs
from torchfunc.training.recording.heap import keep_freed_memory
from torchfunc.training.recording.notes import Notes
from torchfunc.training.sources.records import parted
from torchfunc.training.sources.sparse_rows import cut
from torchfunc.training.state import Optimization, check_capturable, restore_sums, sums_of
from torchfunc.tree import leaves, map_leaves

NO_LOSS = "There is no loss to train towards. Fix: compile with a loss, such as loss='mse'."
OWN_LOSS_GONE = (
    "The module returned no loss, as it did for the batch that it was tried on. Fix: labels in every batch."
)

Logs = dict[str, Any]
Act = Callable[[Batch], Any]


class Step:
    """A module with all that one batch changes: its optimizer, the sums of its objective, its own losses.

    Args:
        module: what is trained; called in one place, `outputs_of`.
        ports: what it takes and gives.
        objective: what it is trained towards and measured by.
        optimizer: a Keras name or object, an optimizer of `torch.optim`, its class or a partial of it.
        device: where to train: CUDA where there is one, or where the module already is.
        own: an object whose `train`, `measure` or `predict` takes the place of ours, or whose `compute_loss` or
            `compute_metrics`, which are called with Keras's keywords. The acts that its `takes_data` names are given
            the data of a batch as Keras gives them, x, (x, y) or (x, y, sample_weight), nested as they came.
        options: what else belongs to the training, such as its precision.
        distribute: "ddp" or "fsdp"; None for "ddp" where torchrun has begun several processes; False for each by itself.
        sync_batchnorm: whether batch normalization is over the batches of all of them.
        parallelize: how layers are divided among them, "colwise" or "rowwise" by name; all compute the same batch then.

    Attributes:
        ranks: the processes that train together; None where this one is alone.
        guest: whether somebody else has wrapped the module for them, who shares the data out too.
        count: the number of batches that were learned from.
        epoch: the number of the epoch, while one is under way, or of the next.
        done: how many batches of it are done.
        steps: how many batches it has, where that is known.
        begun: the random state in which the data of the epoch were begun, if that matters.
        sums: what the figures of the epoch had summed up where a training goes on.
        steps_per_execution: how many batches the hooks of batches are told of at a time.
        quiet: whether a loss that is no number is passed over without a step, for a callback to see it.
    """

    def __init__(
        self,
        module: nn.Module,
        ports: Ports,
        objective: Objective,
        optimizer: Any,
        *,
        device: torch.device | str | None = None,
        own: Any = None,
        options: Options | None = None,
        distribute: Any = None,
        sync_batchnorm: bool = False,
        parallelize: Any = None,
    ) -> None:
        self.parallelize = parallelize
        self.sync_batchnorm = bool(sync_batchnorm)
        self.distribute = checked_mode(distribute)
        self.ranks: Ranks | None = None
        self.replicas: Replicas | Shards | None = None
        self.guest = self.sharded = False
        self._joined: Tensor | None = None  # the loss of the last batch over all ranks
        self.module, self.ports, self.objective, self.own = module, ports, objective, own
        self.options = options or Options()
        self.learning = Learning.asked_for(self.options, module)
        objective.divides = self.learning is not None and self.learning.sums is not None
        self.mixed: Callable[[], Any] | None = None  # makes the context of a forward in halves
        objective.widens = self.options.precision in HALVES
        self.optimization = Optimization(module, optimizer)
        self.options.check_beside(self.optimization.optimizer)
        self.wanted_device = usable(device)
        self.device = torch.device("cpu")
        self.extras = Extras(module)
        self.masked: Sequence[int] = ()
        self.masks: Mapping[int, Tensor] = NO_MASKS
        self._said: Mapping[str, Any] | None = None  # the last logs of who computes them himself
        self._named_by_targets = self.returns_loss = False
        self.held: Sequence[Any] = ()
        self.watch = Watch(module, self.device)
        self.begun: list[Tensor] = []
        self.notes = Notes()  # of its recording
        self.steps: int | None = None
        self.sums: Mapping[str, Any] | None = None
        self.quiet, self.steps_per_execution = False, 1
        self.count = self.epoch = self.done = 0
        self.epochs, self.base = 1, 0
        self.fitted: Callable[[Any], Batch] | None = None  # makes a batch that fits of data
        if ports.outputs is not None:
            objective.take(ports.outputs, module)

    @property
    def steps_taken(self) -> int:
        """How many steps the optimizer has taken, of which each may be of several batches."""
        return self.count if self.learning is None else self.learning.steps

    def act(self, name: str) -> Act:
        """What is done with a batch to "train", "measure" or "predict": our own, or what the user has by that name."""
        own: Act | None = getattr(self.own, name, None)
        act: Act
        if own is None:
            act = getattr(self, name)
            return act
        if name == "train" and self.learning is not None:
            act = partial(self._with_options, own)
        else:
            act = partial(self._with_data, own) if self.takes_data(name) else own
        return act if self.mixed is None else partial(_within, self.mixed, act)

    def takes_data(self, name: str) -> bool:
        """Whether the user has an act of this name that takes data as they come."""
        return name in getattr(self.own, "takes_data", ())

    def _with_data(self, act: Act, batch: Batch) -> Any:
        """What an act of the user's makes of the data of a batch; what it changed is constrained, as in Keras."""
        if batch.form.nesting is not None:
            result = act(batch.form.data(batch.inputs))
        else:
            words = self._in_words_of_keras(batch)
            result = act(packed(words["x"], words["y"], words["sample_weight"]))
        if self.extras.constraints and self.module.training:
            self.extras.constrain()
        return result

    def _with_options(self, act: Act, batch: Batch) -> Any:
        """What a step of the user's own returns, which has to leave the options of the training to ours.

        Raises:
            CompileError: it learns without ours, so that they would do nothing.
        """
        assert self.learning is not None
        result = self._with_data(act, batch) if self.takes_data("train") else act(batch)
        if not self.learning.heard:
            asked = ", ".join(sorted(self.options.get_config()))
            name = getattr(act, "__name__", "train")
            raise CompileError(
                explain(
                    asked,
                    got=f"a {name} of one's own that learns by itself",
                    why="it would do nothing there",
                    fix=f"super().{name}(data) in it, or leave it out and write it there",
                )
            )
        return result

    def _fitting(self, given: Any) -> Batch:
        """A batch that fits the module: itself, or made of data as Keras's steps are given them."""
        if isinstance(given, Batch):
            if given.form.nesting is None:
                return given
            given = given.form.data(given.inputs)
        assert self.fitted is not None
        return self.fitted(given)

    def train(self, batch: Any) -> Mapping[str, Any] | None:
        """Learn from one batch, or from data such as (x, y).

        Returns:
            The logs, as tensors or numbers; None to have those of the objective.
        """
        batch = self._fitting(batch)
        watch, parameters = self.watch, self.optimization.parameters
        watch.begin_step()
        loss, returned = self._learning(batch)
        figure = loss if self._joined is None else self._joined
        counts = watch.is_number(figure)
        logs = self._counted(figure, returned, batch) if counts or self.quiet else self._before()
        del returned  # outputs may be large, and backward needs room
        if not parameters:  # of a module without weights, which was warned of
            return logs
        for parameter in parameters:
            parameter.grad = None
        if self.sharded:
            self._gather(loss)
        if self.learning is not None:
            return self._learn(self.learning, loss, figure, counts, logs)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.replicas is not None:
            self.replicas.after_backward()
        if not (watch.passes(figure, parameters) and counts):
            self._pass_over(figure.item())
            return logs
        watch.steady = True
        self.optimization.built.step()  # type: ignore[union-attr]
        if self.extras.constraints:
            self.extras.constrain()
        return logs

    def _gather(self, loss: Tensor) -> None:
        """Have the backward of a loss, or of its parts, gather the weights that it begins with."""
        objective = self.objective
        layers = [self.module, *objective.layers_of_logits(self.module)]
        for each in (part.value for part in objective.parts) if objective.divides else [loss]:
            if each.requires_grad:
                gather_for(each, layers)

    def _learn(
        self,
        learning: Learning,
        loss: Tensor,
        figure: Tensor,
        counts: bool,
        logs: Mapping[str, Any] | None,
    ) -> Mapping[str, Any] | None:
        """The rest of `train`, where the options of the training ask for more than gradients and a step."""
        learning.backward(loss, self.objective.parts)
        if self.replicas is not None:
            self.replicas.after_backward()
        # scaled gradients may be infinite, which the scaler sees to
        looked = self.optimization.parameters if learning.scaler is None else ()
        if not (self.watch.passes(figure, looked) and counts):
            learning.forget()
            self._pass_over(figure.item())
            return logs
        self.watch.steady = True
        learning.take()
        if learning.due:
            self._change(learning)
        return logs

    def _change(self, learning: Learning) -> None:
        """A step of the optimizer, as the options of the training want it."""
        assert self.optimization.built is not None
        learning.gather()
        if self.sharded and learning.sums is not None and learning.scaler is None:
            zero = torch.zeros((), device=self.device)
            if not self.watch.passes(zero, self.optimization.parameters):
                self._pass_over(0.0)
        if self.replicas is not None:
            self.replicas.after_step()
        if learning.step(self.optimization.built) and self.extras.constraints:
            self.extras.constrain()

    def end_batches(self) -> None:
        """At the end of an epoch: a step of the batches that wait for more of them."""
        if self.learning is not None and self.learning.waits:
            self._change(self.learning)

    def finish(self) -> None:
        """At the end of a training: put averaged weights in their place, if any are kept."""
        self.optimization.finish()
        if self.learning is not None and self.learning.averages is not None:
            self.learning.averages.use()

    def end_epoch(self, logs: Logs) -> None:
        """At the end of an epoch, after its validation: a scheduler that goes by epochs takes a step."""
        if self.learning is not None and self.learning.rates is not None:
            self.learning.rates.after_epoch(logs)

    def _pass_over(self, loss: float) -> None:
        """Take a batch back whose loss or gradient is no number; a lone one is passed over with a warning.

        Raises:
            DataError: no batch that was learned from came just before, or other processes learn from this one.
        """
        watch, ends = self.watch, self.quiet and not math.isfinite(loss)
        shared = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not ends and (not watch.steady or self.steps == 1 or shared):
            raise self._no_number(self._culprit(loss))
        watch.back()
        watch.steady = False
        if ends:
            return
        self.count -= 1  # which the loop counts
        watch.skipped += 1
        if watch.skipped == 1:
            why = "it was skipped: nothing was learned from it. A second in a row is an error"
            warnings.warn(self._words(self._culprit(loss), why), stacklevel=blame.level())

    def _before(self) -> Mapping[str, Any] | None:
        """The logs that a batch leaves as they are; nothing is known where it is the first of its epoch."""
        if self._said is None and not self.objective.total.count:
            return dict.fromkeys(self.objective.names, math.nan)
        return self._said

    def _no_number(self, got: str, back: str = "before this batch") -> DataError:
        """Take back what was done with what is no number: the error that says so."""
        self.watch.back()
        return DataError(
            self._words(got, f"nothing was learned from it: weights and optimizer are as {back}")
        )

    def _words(self, got: str, why: str) -> str:
        return explain(
            "The batch" if self.watch.alone else f"Epoch {self.epoch + 1}, batch {self.done + 1}",
            got=got,
            expected="finite numbers",
            why=why,
            fix="look for NaN in the data of this batch, take a smaller learning rate or clipnorm=1.0 in the "
            "optimizer, or have callbacks=[TerminateOnNaN()] end the training quietly",
        )

    def _culprit(self, loss: float) -> str:
        """What is no number in the last batch: its loss, with the output that it comes from, or a gradient."""
        if math.isfinite(loss):
            name = culprit(self.module, self.optimization.parameters)
            return f"a gradient of {name} that holds NaN or infinity"
        if hasattr(self.own, "compute_loss"):
            return f"the loss {loss} of compute_loss"
        losing = self.objective.losing
        wrong = [each for each in losing if each.latest is not None and not each.latest.isfinite()]
        if not wrong and len(losing) == 1 and not self.extras.has_losses:
            wrong = losing
        names = ", ".join(repr(each.name) for each in wrong)
        source = f"output{'s' * (len(wrong) > 1)} {names}" if names else "losses that the module adds"
        return f"the loss {loss} of the {source}"

    def _look(self) -> None:
        """Where batches are not looked at one by one: whether one since the begin of the epoch was no number."""
        if not self.watch.reads and self.watch.found():
            raise self._no_number(
                "a loss or a gradient in this batch or one before", "at the begin of the epoch"
            )

    def measure(self, batch: Any) -> Mapping[str, Any] | None:
        """Measure one batch, or data such as (x, y); returns what `train` does."""
        batch = self._fitting(batch)
        loss, returned = self._passed(batch, learning=False)
        return self._counted(loss if self._joined is None else self._joined, returned, batch)

    def predict(self, batch: Any) -> Any:
        """What the module returns for one batch, or for data such as x."""
        if self.mixed is None:
            return self._apart(self.outputs_of(self._fitting(batch)), flat=False)[1]
        with self.mixed():
            return widened(self._apart(self.outputs_of(self._fitting(batch)), flat=False)[1])

    def outputs_of(self, batch: Batch) -> Any:
        """What the module returns for the inputs of a batch: the one place where it is called."""
        self.extras.begin()
        return batch.form.call(self.module, batch.inputs)

    def _learning(self, batch: Batch) -> tuple[Tensor, Any]:
        """Run the module on a batch to learn from it; with several ranks DDP sees what it does."""
        if self.replicas is None:
            return self._passed(batch, learning=True)
        returned: list[Any] = []

        def passed() -> Tensor:
            loss, outputs = self._passed(batch, learning=True)
            returned.append(outputs)
            return loss

        return self.replicas.run(passed), returned.pop()

    def _passed(self, batch: Batch, *, learning: bool) -> tuple[Tensor, Any]:
        """Run the module on a batch: its loss, and what the module returned."""
        if self.mixed is not None:
            return self._in_halves(self.mixed, batch, learning=learning)
        objective, self._joined = self.objective, None
        if not objective.settled:
            self.settle(batch)
        returned = self._with_masks(batch) if self.masked else self.outputs_of(batch)
        if self._named_by_targets:
            self._name_by(returned)
        loss: Any
        if hasattr(self.own, "compute_loss") or hasattr(self.own, "compute_metrics"):
            compute = getattr(self.own, "compute_loss", self.compute_loss)
            told = {"training": learning} if _takes(compute, "training") else {}
            loss = compute(**self._in_words_of_keras(batch, returned), **told)
            if self.ranks is not None and loss is not None:
                (loss,), (self._joined,), _ = shared_means(
                    self.ranks, [loss], [float(batch.size)], [False], counts=batch.size > 0
                )
            if loss is not None:
                size = batch.size if self.ranks is None else self.ranks.size
                objective.parts = [Part(SAMPLES, loss, size)]
        else:
            found, returned = self._apart(returned)
            returned = self._flat(returned)
            added = self.extras.losses() if found is None else [*self.extras.losses(), found]
            if self.ranks is None:
                loss = objective.sum(returned, batch, added, self.masks)
            else:
                loss, self._joined = objective.sum_over(self.ranks, returned, batch, added, self.masks)
        _check_learnable(loss, learning=learning and bool(self.optimization.parameters))
        if learning and loss is None:
            raise CompileError(OWN_LOSS_GONE if self.returns_loss else NO_LOSS)
        return loss, returned

    def _apart(self, returned: Any, *, flat: bool = True) -> tuple[Tensor | None, Any]:
        """The loss that a module returned by itself, which counts where no other was asked for, and its outputs."""
        if self.ports.outputs is not None or isinstance(returned, Tensor):
            return None, returned
        asked = self.objective.loss_given is not None
        if asked and type(returned) is dict:
            return None, returned
        loss, outputs = parted(returned, flat=flat)
        return None if asked else loss, outputs

    def _in_halves(self, mixed: Callable[[], Any], batch: Batch, *, learning: bool) -> tuple[Tensor, Any]:
        """`_passed` within the context of a forward in halves."""
        self.mixed = None
        try:
            with mixed():
                return self._passed(batch, learning=learning)
        finally:
            self.mixed = mixed

    def _counted(self, loss: Tensor | None, returned: Any, batch: Batch) -> Mapping[str, Any] | None:
        """Take a batch into the figures: the logs, where somebody else computes the metrics."""
        objective, own = self.objective, self.own
        if loss is not None:
            objective.count(loss, batch.size if self.ranks is None else self.ranks.size)
        if not batch.size:  # it only makes up the step of a rank that has no samples left
            return self._said
        if hasattr(own, "compute_metrics"):
            self._said = own.compute_metrics(**self._in_words_of_keras(batch, returned))
            return self._said
        if objective.measures:
            objective.measure(self._flat(returned), batch, self.masks)
        return None

    def _with_masks(self, batch: Batch) -> Any:
        """What the module returns; the masks of its outputs are kept by their places."""
        self.extras.begin()
        outputs, masks = batch.form.call(self.module, batch.inputs, masks=[None] * len(batch.inputs))
        self.masks = dict(zip(self.masked, masks, strict=True))
        return outputs

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor | None:
        """The loss of the objective and what the module adds, for outputs that it returned."""
        outputs, batch = self._as_batch(y, y_pred, sample_weight)
        return self.objective.sum(outputs, batch, self.extras.losses(), self.masks)

    def compute_metrics(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Take outputs into the metrics of the objective: all figures so far, on the device."""
        self.take_metrics(y, y_pred, sample_weight)
        return self.figures()

    def take_metrics(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take outputs into the metrics of the objective."""
        if y is not None or self.objective.measures:
            outputs, batch = self._as_batch(y, y_pred, sample_weight)
            self.objective.measure(outputs, batch, self.masks)

    def figures(self) -> dict[str, Any]:
        """Every figure so far by its name in the logs, on the device: those of the objective, and of the metrics that
        the module or a layer in it keeps and updates itself."""
        found = self.objective.running()
        for metric in self.held:
            if isinstance(metric, Metric) and metric.state:
                found |= {
                    name: each for name, each in figures(metric.name, metric).items() if name not in found
                }
        return found

    def _in_words_of_keras(self, batch: Batch, returned: Any = None) -> dict[str, Any]:
        """A batch as Keras passes it: alone what is alone, by name what the module takes or returns by name."""
        keys, slots = None, self.objective.outputs
        returned = slots.nesting if returned is None and slots is not None else returned
        if isinstance(returned, dict) and slots is not None:
            named = {slots.keys.get(key, key): key for key in returned}
            keys = [named.get(name, name) for name in slots.names]
        weights = batch.weights if any(each is not None for each in batch.weights or ()) else None
        return {
            "x": _alone(batch.inputs, batch.form.names if batch.form.style in ("keywords", "dict") else None),
            "y": _alone(batch.targets, keys),
            "y_pred": returned,
            "sample_weight": None if weights is None else _alone(weights, keys),
        }

    def _as_batch(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Sequence[Tensor], Batch]:
        """Outputs one by one, and the targets and weights that belong to them."""
        objective = self.objective
        if objective.outputs is None:
            objective.take(ports_of_outputs(y_pred), self.module)
        outputs, slots = self._flat(y_pred), objective.outputs
        assert slots is not None
        targets, weights = (
            None if each is None else slots.arrange(each, name, DataError, partial=True)
            for name, each in (("y", y), ("sample_weight", sample_weight))
        )
        batch = Batch([], targets or [], weights, len(outputs[0]) if outputs[0].ndim else 1)
        if not objective.settled:
            objective.settle(outputs if objective.asks_outputs else None, batch)
        return outputs, batch

    def _flat(self, outputs: Any) -> Sequence[Tensor]:
        """The outputs one by one, in the order of their names."""
        objective: Any = self.objective
        if isinstance(outputs, Tensor) and len(objective.heads) == 1:
            return [outputs]
        found: list[Tensor] = objective.outputs.arrange(outputs, "what the module returned", CompileError)
        return found

    def reset(self) -> None:
        """Forget all batches; where the user's own steps measure, so do the metrics that the module holds."""
        self.objective.reset()
        self._said = None
        for metric in self.held:
            metric.reset_state() if hasattr(metric, "reset_state") else metric.reset()
        if hasattr(self.own, "reset"):
            self.own.reset()

    def resume_sums(self, batch: Batch | None) -> None:
        """Have the figures of an epoch go on from where they were, before the first batch that is left, if one is."""
        sums, self.sums = self.sums, None
        if sums is not None and not hasattr(self.own, "train"):
            if batch is not None and not self.objective.settled:
                self.settle(batch)
            if self.ranks is not None and not self.ranks.is_first:
                # what is added up over the ranks counts once
                sums = {**sums, "metrics": {name: {} for name in sums["metrics"]}}
            restore_sums(self.objective, sums, self.device)

    def logs(self, result: Mapping[str, Any] | None) -> Logs:
        """What a step returned, or the objective's sums, as numbers: the one place that reads the device."""
        if self.ranks is None:
            logs = read(self.figures() if result is None else result)
        elif result is None:
            metrics = self._metrics()
            with merged(metrics, self.ranks, self.device):
                logs = read(self.figures())
            if cannot_merge(metrics):
                logs = self.ranks.averaged(logs)
        else:
            logs = self.ranks.averaged(read(result))
        self._look()
        return logs

    def _metrics(self) -> list[Any]:
        """Every metric whose figures stand in the logs."""
        return [each.metric for each in self.objective.measures.values() if each.metric] + list(self.held)

    def settle(self, batch: Batch) -> None:
        """Choose what only the first batch can tell, before it is learned from; most objectives need none."""
        outputs = None
        if self.objective.asks_outputs:
            cuda = [self.device] if self.device.type == "cuda" else []
            with torch.random.fork_rng(cuda):
                outputs = self._flat(self.tried(batch, batch.size))
        self.objective.settle(outputs, batch)

    def known(self, batch: Batch, y: Any = None, *, shapes: bool) -> Objective:
        """The objective with its outputs named; the module is tried on the batch where only it knows them.

        With a step of the user's own it is never tried: whether it takes these inputs is not ours to say. What
        the targets are called stands for the names of the outputs then.
        """
        objective = self.objective
        if hasattr(self.own, "train") and objective.outputs is None:
            several = isinstance(y, dict) or (
                isinstance(y, (list, tuple)) and len(y) > 1 and all(map(is_array, y))
            )
            objective.take(ports_of_outputs(y if several else torch.empty(0)), self.module)
            self._named_by_targets = True
        if hasattr(self.own, "train"):
            return objective
        if objective.outputs is None or (shapes and any(head.shape is None for head in objective.heads)):
            outputs = self.tried(batch)
            if shapes:
                objective.take_shapes(self._flat(outputs))
        return objective

    @torch.no_grad()
    def tried(self, batch: Batch, count: int | None = None) -> Any:
        """What the module returns for a few samples in inference mode, which builds it, and names its outputs."""
        count = count or (self.ports.inputs and self.ports.inputs.batch_size) or 32
        with modes_kept(self.module):
            self.module.eval()
            inputs = [cut(each, 0, count).to(self.device, copy=True) for each in batch.inputs]
            outputs = self.outputs_of(batch._replace(inputs=inputs, targets=[]).ready())
        loss, outputs = self._apart(outputs)
        self.returns_loss = self.returns_loss or loss is not None
        if self.objective.outputs is None:
            self.objective.take(ports_of_outputs(outputs), self.module)
        return outputs

    def begin(self) -> None:
        """Put the module on its device, and look at it as it is now."""
        keep_freed_memory()
        self.ranks = ranks_for(self.module, self.distribute)
        if self.parallelize is not None:
            self.ranks = None  # each of them has all data, and all figures
        self.guest = self.ranks is not None and is_wrapped(self.module)
        if self.ranks is None or self.guest:
            self.replicas = None
        elif self.replicas is not None and self.replicas.module is self.module:
            pass
        elif self.distribute == "fsdp" or is_ours(self.module):
            self.replicas = Shards(self.module, self.ranks, accumulates=self.objective.divides)
        else:
            self.replicas = Replicas(
                self.module,
                self.ranks,
                own=hasattr(self.own, "train"),
                sync_batchnorm=self.sync_batchnorm,
                accumulates=self.objective.divides,
            )
        if self.guest and self.objective.divides:
            raise CompileError(
                explain(
                    "gradient_accumulation_steps",
                    got=f"a {type(self.module).__name__} that was wrapped for several processes by hand",
                    why="whoever wrapped it averages the gradients of each batch",
                    fix="compile the module itself, which is trained by all of them too",
                )
            )
        self.device = placed(self.module, self.wanted_device)
        self.mixed = computing_in(self.options.precision, self.device)
        if self.learning is not None:
            self.learning.begin(self.device)
        self.extras = Extras(self.module)
        self.objective.forget_shapes()

    def _name_by(self, returned: Any) -> None:
        """Call the outputs what the module does, now that it was called, instead of what the targets are called.

        Raises:
            DataError: targets by other names.
        """
        named, actual = self.objective.outputs, ports_of_outputs(returned)
        assert named is not None
        self._named_by_targets = False
        if set(named.names) == set(actual.names):
            return
        if not all(name.startswith("output") for name in named.names):
            got = f"the names {list(named.names)}"
            raise DataError(explain("y", got=got, expected=f"one for each output: {list(actual.names)}"))
        self.objective.take(actual, self.module)
        self.objective.to(self.device)

    def build(self, data: Data, name: str = "measure") -> None:
        """Make the weights of a module that waits for its first inputs to make them.

        Args:
            data: what the module is tried on, except where the user has a step of that name.
            name: what will be done with the data: "train" or "measure".
        """
        own = hasattr(self.own, name)
        if own and any(map(is_waiting, self.module.modules())):
            with suppress(TorchfuncError, RuntimeError, TypeError):  # that step may know what to do with it
                self.tried(self._fitting(data.sample()))
        elif not own and (is_unbuilt(self.module) or self.objective.outputs is None):
            self.tried(self._fitting(data.sample()))
        placed(self.module, self.device)
        self._divide()
        self.extras = Extras(self.module)
        self.held = list(metrics_in(self.module))
        self.masked, self.masks = masked_outputs(self.module), NO_MASKS
        self.objective.to(self.device)

    def _divide(self) -> None:
        """Divide the layers of a plan among the processes, once."""
        if self.parallelize is None:
            return
        plan = checked_plan(self.parallelize, self.module)
        ranks = ranks_for(self.module, self.distribute)
        if ranks is not None and not is_sharded(self.module):
            ranks.align([*self.module.parameters(), *buffers_of(self.module)])
            parallelize(self.module, plan)

    def prepare(self, data: Data) -> None:
        """Everything that a training needs besides data.

        Raises:
            CompileError: no loss, or no parameters to train, or a CUDA graph asked for elsewhere.
        """
        self.options.check_device(self.device)
        self.build(data, "train")
        if isinstance(self.replicas, Shards) and self.masked and not is_ours(self.module):
            with torch.no_grad(), modes_kept(self.module):  # how masks pass is found on whole layers alone
                self._with_masks(self._fitting(data.sample()))
        self.ready()
        self.module.stop_training = False  # type: ignore[assignment]
        own = hasattr(self.own, "train") or hasattr(self.own, "compute_loss")
        if not (self.objective.losing or self.extras.has_losses or own or self.returns_loss):
            raise CompileError(NO_LOSS)

    def ready(self) -> None:
        """Have an optimizer for what is trainable now; where nothing is, that is told, and what there is measured."""
        if isinstance(self.replicas, Shards):
            self.replicas.ready()  # whose parameters are the optimizer's
        self.sharded = is_sharded(self.module)
        if self.sharded:
            reshard(self.module)
        if any(each.requires_grad for each in self.module.parameters()):
            self.optimization.ready()
            check_capturable(self.optimization.built)
            if self.learning is not None and self.optimization.built is not None:
                built, parameters = self.optimization.built, self.optimization.parameters
                self.learning.copies = self.replicas
                self.learning.ready(built, parameters, self.steps, self.epochs)
        elif not hasattr(self.own, "train"):
            self.optimization.nothing()
        if self.replicas is not None:
            self.replicas.ready()

    def align(self) -> None:
        """Before something is measured or predicted: have the weights and statistics of the first rank on all of them."""
        if self.replicas is not None and self.ranks is not None:
            self.replicas.ready()
            self.ranks.align(buffers_of(self.module))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within it the weights and the memory of the optimizer are whole, though they lie in shards; for who saves them."""
        if not is_sharded(self.module):
            yield
            return
        if self.learning is not None:
            self.learning.join()
        holders = [each for each in (self.optimization, self.learning) if each is not None]
        for each in holders:
            vars(each)["state"] = partial(_itself, map_leaves(whole_of, each.state()))
        try:
            with whole(self.module):
                yield
        finally:
            for each in holders:
                del vars(each)["state"]

    def join(self) -> None:
        """Have what a state of the training within an epoch says be that of all ranks, who all call it."""
        if self.ranks is None:
            self.sums = sums_of(self.objective)
            return
        with merged(self._metrics(), self.ranks, self.device):
            self.sums = sums_of(self.objective)
        if self.learning is not None:
            self.learning.join()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Within it the module is trained or measured; whatever happens, it is afterwards as before."""
        options = self.options
        with (
            modes_kept(self.module),
            self.objective.asking(self.module),
            modes(options.precision, options.deterministic, self.device),
        ):
            yield


def _itself(value: Any) -> Any:
    return value


def _within(mixed: Callable[[], Any], act: Act, batch: Batch) -> Any:
    """What an act of the user's own makes of a batch, computed in halves."""
    with mixed():
        return widened(act(batch))


def metrics_in(module: nn.Module) -> Iterator[Any]:
    """The metrics that a module and those in it keep as attributes, alone or in lists, each once."""
    seen: set[int] = set()
    for each in module.modules():
        held = [
            value
            for name, value in vars(each).items()
            if type(value) not in _PLAIN and name not in _NO_METRICS
        ]
        for metric in (each, *leaves(held)):
            if _is_metric(type(metric)) and id(metric) not in seen:
                seen.add(id(metric))
                yield metric


def _is_metric(kind: Any) -> bool:
    """Whether a class is that of a metric, ours or torchmetrics'."""
    if hasattr(kind, "reset_state"):
        return hasattr(kind, "update_state")
    return hasattr(kind, "compute") and hasattr(kind, "update") and hasattr(kind, "reset")


_PLAIN = frozenset((bool, int, float, str, type(None), Tensor, nn.Parameter))
# what every module and layer keeps for itself, or holds the objective
_NO_METRICS = frozenset(vars(nn.Module())) | frozenset(
    "trainer _config_arguments _weight_infos _new_weights _waiting_state _built_on built_for _told _losses _nodes "
    "_models _live".split()
)


def packed(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Data as Keras gives them to a step: x, (x, y) or (x, y, sample_weight); a lone list of inputs in a tuple."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple)) else x


def _alone(items: Sequence[Any], keys: Sequence[str] | None) -> Any:
    """Items by their keys, where there are any; else as a list, one item as it is, and None for none."""
    if keys is not None and len(keys) == len(items):
        return dict(zip(keys, items, strict=True))
    return list(items) if len(items) > 1 else next(iter(items), None)


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name."""
    parameters = inspect.signature(function).parameters.values()
    return any(each.name == name or each.kind is each.VAR_KEYWORD for each in parameters)


def _check_learnable(loss: Tensor | None, *, learning: bool) -> None:
    """Refuse a loss that no parameter can be changed by.

    Raises:
        CompileError: it was to be learned from.
    """
    if not learning or loss is None or loss.requires_grad:
        return
    raise CompileError(
        "The loss does not depend on any parameter in training, so nothing can be learned. Fix: look for "
        "`detach`, `torch.no_grad` or a conversion to NumPy in the forward or in the loss."
    )


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Whatever happens within it, every submodule is in training or in inference mode afterwards as before."""
    modes = [(each, each.training) for each in module.modules()]
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


class Extras:
    """What a module brings to a step besides its forward, found once before a run; most modules have nothing.

    A module says so by attributes, whatever its class: `losses`, a list of tensors that are added to the
    loss; `_losses`, where it collects them during a forward; `_weight_infos`, which may hold a `regularizer`
    and a `constraint` for each of its weights.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.collecting = [each for each in module.modules() if isinstance(vars(each).get("_losses"), list)]
        self.constraints = list(_constraints(module))
        self.has_losses = hasattr(type(module), "losses") or "losses" in vars(module)
        # a layer of yours may begin to add losses at any batch, and a frozen weight may be trained again
        self.may_have_losses = any(info.regularizer is not None for *_, info in _infos(module)) or any(
            not type(each).__module__.startswith("torchfunc.") for each in self.collecting
        )
        self._decided = False

    def begin(self) -> None:
        """Before a forward: forget what the one before it added."""
        if self.has_losses:
            for each in self.collecting:
                vars(each)["_losses"] = []

    def losses(self) -> Sequence[Tensor]:
        """After a forward: what the module adds to the loss, each as one number: the sum of several.

        If that can be nothing at first, it is nothing at last.
        """
        if not self.has_losses:
            return ()
        found: Any = self.module.losses
        if not self._decided:
            listed = isinstance(found, (list, tuple)) and all(isinstance(each, Tensor) for each in found)
            self._decided, self.has_losses = True, listed and (bool(found) or self.may_have_losses)
        return [each.sum() if each.ndim else each for each in found] if self.has_losses else ()

    @torch.no_grad()
    def constrain(self) -> None:
        """After a step of the optimizer: put the weights that it changed through their constraints."""
        for weight, layout, constraint in self.constraints:
            if not weight.requires_grad or weight.grad is None:
                continue
            view = weight if layout is None else weight.permute(layout)
            view.copy_(constraint(view))


def _constraints(module: nn.Module) -> Sequence[tuple[Tensor, Any, Callable[[Tensor], Tensor]]]:
    """(weight, permutation to the layout that its constraint is meant for, constraint) where there is any."""
    return [
        (getattr(each, name), info.layout, info.constraint)
        for each, name, info in _infos(module)
        if info.constraint is not None
    ]


def _infos(module: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """(module, name of a weight, what is known of it) for every weight that something is known of."""
    for each in module.modules():
        for name, info in getattr(each, "_weight_infos", {}).items():
            yield each, name, info


def placed(module: nn.Module, device: torch.device | str | None) -> torch.device:
    """The device to train on, and the module there: the given one, else where it is, else CUDA if any."""
    first = next((each for each in (*module.parameters(), *module.buffers())), None)
    current = torch.device("cpu") if first is None else first.device
    if device is None and current.type == "cpu" and torch.cuda.is_available():
        device = "cuda"
    chosen = current if device is None else torch.device(device)
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", torch.cuda.current_device())
    if first is not None and chosen != current:
        module.to(chosen)
    return chosen


def usable(device: torch.device | str | None) -> torch.device | None:
    """A device that PyTorch finds here.

    Raises:
        CompileError: another one.
    """
    if device is None:
        return None
    try:
        return torch.empty(0, device=torch.device(device)).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CompileError(
            explain(
                "device",
                got=repr(str(device)),
                expected="a device that PyTorch finds here",
                why=reason.rstrip("."),
                fix="device='cpu', or leave it out",
            )
        ) from error


def masked_outputs(module: nn.Module) -> Sequence[int]:
    """The places of the outputs that have a mask, which a module with `output_masks` gives if asked."""
    module = module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module
    ask = getattr(module, "output_masks", None)
    if ask is None or getattr(module, "graph", None) is None:
        return ()
    return [place for place, has_mask in enumerate(ask()) if has_mask]


def is_unbuilt(module: nn.Module) -> bool:
    """Whether some weights wait for the first inputs to say their shapes."""
    return any(getattr(each, "built", True) is False or is_waiting(each) for each in module.modules())


def is_waiting(module: nn.Module) -> bool:
    """Whether a module itself, without those in it, has yet to make weights."""
    waiting = (UninitializedParameter, UninitializedBuffer)
    own = (*module._parameters.values(), *module._buffers.values())
    unbuilt = getattr(module, "built", True) is False and not module._modules
    return unbuilt or any(isinstance(each, waiting) for each in own)
