"""Own steps: the figures of `compile` as metrics, for a step that is written in Keras's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from torchfunc.metrics.metric import Metric, Number, Variable
from torchfunc.training.figures import RunningMean
from torchfunc.training.step import Step


def compiled_metrics(step: Step) -> Iterator[Metric]:
    """What `compile` has measured, in Keras's order: the loss, the metrics under one name, the loss of each output."""
    objective = step.objective
    yield LossTracker(step, "loss", objective.total)
    if objective.metrics is not None or objective.weighted_metrics is not None:
        yield CompiledMetrics(step)
    if len(objective.losing) > 1:
        for head in objective.losing:
            yield LossTracker(step, f"{head.name}_loss", head.running)


class LossTracker(Metric):
    """The mean of a loss over the epoch so far, which `fit` logs under the same name."""

    def __init__(self, step: Step, name: str, mean: RunningMean) -> None:
        super().__init__(name)
        self.step, self.mean = step, mean

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a loss into account, which is that of `sample_weight` samples."""
        value, count = torch.as_tensor(values).detach(), 1 if sample_weight is None else int(sample_weight)
        if self.name == "loss":
            self.step.objective.count(value, count)
        else:
            self.mean.add(value, count)

    def result(self) -> Number:
        return self.mean.result() if self.mean.count else 0.0

    def reset_state(self) -> None:
        self.mean.reset()


class CompiledMetrics(Metric):
    """The metrics of `compile` as one, whose result is a figure for each name."""

    def __init__(self, step: Step) -> None:
        super().__init__("compile_metrics")
        self.step = step

    @property
    def metrics(self) -> list[Metric]:
        """Each of them, as far as the first batch is not needed to tell which is meant."""
        return [each.metric for each in self.step.objective.measures.values() if each.metric is not None]

    @property
    def variables(self) -> list[Variable]:
        """What each of them sums up."""
        return [variable for each in self.metrics for variable in each.variables]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take targets and outputs into each of them."""
        self.step.take_metrics(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        return self.step.objective.measured()

    def reset_state(self) -> None:
        for each in self.metrics:
            each.reset_state()
