"""Loop: one over epochs, one over batches, and the steps by which training and measuring differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.callbacks import CallbackList, History
from torchfunc.callbacks.callback import Mode
from torchfunc.errors import CompileError, explain
from torchfunc.training import progress
from torchfunc.training.batches import Batch, Data, drawn_seed
from torchfunc.training.extras import Extras
from torchfunc.training.feed import Feed
from torchfunc.training.figures import read
from torchfunc.training.objective import Objective
from torchfunc.training.optimization import Optimization
from torchfunc.training.ports import Ports, Slots, ports_of_outputs
from torchfunc.training.prediction import Collected
from torchfunc.training.preparation import is_unbuilt, placed, usable
from torchfunc.training.run import Run
from torchfunc.training.state import is_seeded, restore_random_state

NO_LOSS = "There is no loss to train towards. Fix: compile with a loss, such as loss='mse'."

Logs = dict[str, Any]
Step = Callable[[Batch], Mapping[str, Any] | None]


class Loop:
    """A module, and the way in which batches pass through it.

    Args:
        module: what is trained.
        optimization: its optimizer.
        objective: makes the objective when the outputs are known.
        ports: what the module takes and gives.
        device: where to train; see `preparation.placed`.
        steps: what replaces our own steps; see `Trainer`.
    """

    def __init__(
        self,
        module: nn.Module,
        optimization: Optimization,
        objective: Callable[[Slots], Objective],
        *,
        ports: Ports,
        device: torch.device | str | None,
        steps: Any,
    ) -> None:
        self.module, self.device, self.steps = module, usable(device), steps
        self.ports = ports
        self.epoch = self.step = 0
        self._optimization = optimization
        self._make_objective = objective
        self.objective = None if ports.outputs is None else objective(ports.outputs)
        self._seed: int | None = None
        self._random_state: Mapping[str, Tensor] | None = None

    def _epoch(self, epoch: int, run: Run, events: CallbackList) -> Logs:
        """One pass over the training data, and one over the validation data if they are due."""
        # a callback may have evaluated other data meanwhile
        self._feed, self._extras = run.feed, run.extras
        self._optimization.ready()
        run.display.epoch(epoch, run.epochs)
        events.call("on_epoch_begin", epoch, {})
        self.module.train()
        run.display.start(run.train.steps)
        done, logs = self._run(
            run.train.epoch(epoch), self._step_of("train_step"), "train", events, run.display
        )
        self.epoch = epoch + 1
        if run.validation is not None and run.validates_after(epoch):
            run.display.pause(done, logs)
            _, measured = self._measured(run.validation, events)
            logs |= {f"val_{name}": value for name, value in measured.items()}
        run.display.finish(done, logs)
        events.call("on_epoch_end", epoch, logs)
        return logs

    def _measured(
        self, data: Data, events: CallbackList | None = None, display: progress.Display | None = None
    ) -> tuple[int, Logs]:
        """One pass in inference mode: the number of batches and the logs."""
        events = events or CallbackList()
        self.module.eval()
        events.call("on_test_begin", {})
        # not torch.inference_mode, which is no faster here: what a module keeps of its forward could
        # never be trained on again
        with torch.no_grad():
            done, logs = self._run(data.epoch(0), self._step_of("test_step"), "test", events, display)
        events.call("on_test_end", logs)
        return done, logs

    def _run(
        self,
        batches: Iterable[Batch],
        step: Step,
        mode: Mode,
        events: CallbackList | None = None,
        display: progress.Display | None = None,
    ) -> tuple[int, Logs]:
        """One pass over batches: their number and the logs. Every batch of torchfunc goes through here."""
        events, display = events or CallbackList(), display or progress.Display()
        begin, end = events.methods(f"on_{mode}_batch_begin"), events.methods(f"on_{mode}_batch_end")
        logs: Callable[[Any], Logs] = dict if mode == "predict" else self._logs
        done, result = 0, None
        if self.objective is not None and mode != "predict":
            self.objective.reset()
        for batch in batches:
            for tell in begin:
                tell(done, {})
            result = step(batch)
            if end:
                current = logs(result)
                for tell in end:
                    tell(done, current)
            done += 1
            if time.perf_counter() >= display.due:
                display.draw(done, partial(logs, {} if mode == "predict" else result))
            if mode == "train" and self.module.stop_training:
                break
        return done, {} if mode == "predict" else logs(result)

    def _logs(self, result: Mapping[str, Any] | None) -> Logs:
        """What a step returned, or the objective's sums, as numbers: the one place that reads the device."""
        if result is not None:
            return read(result)
        return self.objective.results() if self.objective is not None else {}

    def _step_of(self, name: str) -> Step:
        """Our own step, or the one that `steps` has by this name."""
        custom = getattr(self.steps, name, None)
        if custom is None:
            return getattr(self, name)  # type: ignore[no-any-return]

        def step(batch: Batch) -> Mapping[str, Any] | None:
            self.step += name == "train_step"
            return custom(self._as_given(batch))  # type: ignore[no-any-return]

        return step

    def _as_given(self, batch: Batch) -> tuple[Any, ...]:
        """A batch as users know it: (x, y), or (x, y, sample_weight) where there are weights."""
        parts: list[Any] = [batch.inputs, batch.targets, batch.weights]
        x, y, weights = [part[0] if part and len(part) == 1 else part for part in parts]
        return (x, y) if batch.weights is None else (x, y, weights)

    def _collecting(self, collected: Collected) -> Step:
        """`predict_step`, with its outputs kept."""

        def step(batch: Batch) -> Mapping[str, Any]:
            outputs = self.predict_step(batch)
            collected.add(outputs)
            return {"outputs": outputs}

        return step

    def train_step(self, batch: Batch) -> Mapping[str, Any] | None:
        """Learn from one batch. Override it to train in another way.

        Returns:
            The logs, as tensors or numbers; None to have those of the objective.
        """
        loss = self._loss(batch, training=True)
        for parameter in self._optimization.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimization.built.step()  # type: ignore[union-attr]
        if self._extras.constraints:
            self._extras.constrain()
        self.step += 1
        return None

    def test_step(self, batch: Batch) -> Mapping[str, Any] | None:
        """Measure one batch; returns what `train_step` does."""
        self._loss(batch, training=False)
        return None

    def predict_step(self, batch: Batch) -> Any:
        """What the module returns for one batch."""
        self._extras.begin()
        return batch.form.call(self.module, batch.inputs)

    def _loss(self, batch: Batch, *, training: bool) -> Tensor:
        """Run the module on a batch and take it into the objective."""
        objective: Any = self.objective
        self._extras.begin()
        outputs = self._flat(batch.form.call(self.module, batch.inputs))
        loss: Any = objective.loss(outputs, batch, self._extras.losses())
        if training and (loss is None or not loss.requires_grad):
            raise self._unlearnable(loss)
        if objective.measures:
            objective.measure(outputs, batch)
        return loss  # type: ignore[no-any-return]

    def _flat(self, outputs: Any) -> list[Tensor]:
        """The outputs one by one, in the order of their names."""
        objective: Any = self.objective
        if isinstance(outputs, Tensor) and len(objective.heads) == 1:
            return [outputs]
        found: list[Tensor] = objective.outputs.arrange(outputs, "what the module returned", CompileError)
        return found

    def _unlearnable(self, loss: Tensor | None) -> CompileError:
        if loss is None:
            return CompileError(NO_LOSS)
        return CompileError(
            "The loss does not depend on any parameter in training, so nothing can be learned. Fix: look for "
            "`detach`, `torch.no_grad` or a conversion to NumPy in the forward or in the loss."
        )

    @contextmanager
    def _session(self, display: progress.Display | None = None) -> Iterator[None]:
        """Within it the module is trained or measured; whatever happens, its mode is afterwards as before."""
        modes = [(each, each.training) for each in self.module.modules()]
        try:
            with self.objective.tapped() if self.objective is not None else nullcontext():
                yield
        finally:
            for each, mode in modes:
                each.training = mode
            if display is not None:
                display.leave()

    def _begin(self) -> None:
        """Put the module on its device, and look at it as it is now."""
        device = placed(self.module, self.device)
        self._extras = Extras(self.module)
        if self.objective is not None:
            self.objective.forget_shapes()
        self._feed = Feed(
            self.module,
            inputs=self.ports.inputs,
            device=device,
            objective=self._known_objective,
        )

    def _prepare(self, data: Data) -> None:
        """Everything that a training needs besides data.

        Raises:
            CompileError: no loss, or no parameters to train.
        """
        self._build(data)
        self._optimization.ready()
        self.module.stop_training = False  # type: ignore[assignment]
        has_loss = self.objective is None or self.objective.has_loss
        if not (has_loss or self._extras.has_losses or hasattr(self.steps, "train_step")):
            raise CompileError(NO_LOSS)

    def _build(self, data: Data) -> None:
        """Make the weights of a module that waits for its first inputs to make them."""
        if is_unbuilt(self.module) or self.objective is None:
            self._tried(data.sample())
        placed(self.module, self._feed.device)
        self._extras = Extras(self.module)

    def _known_objective(self, batch: Batch, whole: bool) -> Objective:
        """The objective; the module is tried on a few of the inputs where only it knows its outputs."""
        if self.objective is None or (whole and self.objective.heads[0].shape is None):
            objective, outputs = self._tried(batch)
            if whole:
                objective.take_shapes(self._flat(outputs))
            return objective
        return self.objective

    @torch.no_grad()
    def _tried(self, batch: Batch) -> tuple[Objective, Any]:
        """What the module returns for a few samples, which builds it, and the objective over that."""
        with self._session():
            self.module.eval()
            few = [each[:32].to(self._feed.device, copy=True) for each in batch.inputs]
            outputs = batch.form.call(self.module, few)
        if self.objective is None:
            self.objective = self._make_objective(ports_of_outputs(outputs))
        return self.objective, outputs

    def _events(
        self, callbacks: Any, params: Mapping[str, Any], history: History | None = None
    ) -> CallbackList:
        """The callbacks of the user, and after them the history."""
        given = [callbacks] if hasattr(callbacks, "set_model") else list(callbacks or [])
        for each in given:
            if isinstance(each, type) or not hasattr(each, "set_model"):
                got = f"the class {each.__name__}" if isinstance(each, type) else f"a {type(each).__name__}"
                fix = f"{each.__name__}()" if isinstance(each, type) else "LambdaCallback(on_epoch_end=...)"
                raise CompileError(explain("callbacks", got=got, expected="callback objects", fix=fix))
        return CallbackList(
            [*given, *([history] if history else [])], model=self.module, trainer=self, params=params
        )

    def _seed_for(self, initial_epoch: int, *, shuffle: bool) -> int | None:
        """The seed of the orders; a training that goes on where it stopped has one, and a random state."""
        state, self._random_state = self._random_state, None
        goes_on = initial_epoch > 0 and initial_epoch == self.epoch
        if state is not None and (goes_on or not is_seeded()):
            restore_random_state(state)
        if shuffle and not (goes_on and self._seed is not None):
            self._seed = drawn_seed()
        return self._seed if shuffle else None
