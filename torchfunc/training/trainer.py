"""Trainer: the loop that fits a module to data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from torchfunc.callbacks import History
from torchfunc.training import progress
from torchfunc.training.batches import Arrays, Data
from torchfunc.training.checks import whole_number
from torchfunc.training.config import check_names, compile_config
from torchfunc.training.feed import checked_batch_size
from torchfunc.training.loop import Logs, Loop
from torchfunc.training.objective import Objective
from torchfunc.training.optimization import Optimization
from torchfunc.training.ports import Ports, Slots
from torchfunc.training.prediction import Collected
from torchfunc.training.run import Run, as_list, divided, validation_epochs
from torchfunc.training.state import random_state


class Trainer(Loop):
    """Fits any `nn.Module` to data. It owns no weights and is no module; `Model.compile` makes one.

    ```python
    trainer = Trainer(module, optimizer="adam", loss="mse")
    history = trainer.fit(x, y, epochs=5, batch_size=64)
    ```

    Args:
        module: what is trained; called with its inputs one by one.
        optimizer: a Keras name or object, an optimizer of `torch.optim`, its class or a partial of it.
        loss: a Keras name, a function (y_true, y_pred), a loss of `torch.nn`; a list or a dict by
            output name for several outputs.
        loss_weights: a number for each loss, likewise.
        metrics: one or a list; for several outputs a list of lists or a dict by output name.
        weighted_metrics: likewise; these take sample weights into account.
        ports: what the module takes and gives, where that is known before there are data.
        input_names: instead of ports, what data for the inputs may be called; without them a dict's own keys.
        output_names: instead of ports, what losses, targets and logs call the outputs; without them a
            dict's own keys, or `output_0`, `output_1`, ...
        device: where to train: CUDA where there is one, or where the module already is.
        steps: an object whose `train_step(data)` or `test_step(data)` takes the place of ours: given
            (x, y) or (x, y, sample_weight), it returns the logs.

    Raises:
        UnknownNameError: a loss, metric or optimizer of that name does not exist.
        CompileError: something that does not fit the outputs.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        ports: Ports | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
        steps: Any = None,
    ) -> None:
        self.loss, self.loss_weights = loss, loss_weights
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        check_names(loss, metrics, weighted_metrics)
        super().__init__(
            module,
            Optimization(module, optimizer),
            self._objective_for,
            ports=ports or Ports.named(input_names, output_names),
            device=device,
            steps=steps,
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
    ) -> History:
        """Pass over the data `epochs` times, measuring on validation data after each pass.

        Args:
            x: arrays, tensors or lists of numbers: one, a list, or a dict by input name. Or what yields
                batches (x, y) or (x, y, sample_weight): a Dataset, a DataLoader, a generator, any iterable,
                or a function that returns one.
            y: targets: one, a list, or a dict by output name.
            batch_size: samples in a step, 32 by default; the last batch may be smaller.
            epochs: the number of the last epoch, counted from `initial_epoch`.
            verbose: 0 silent, 1 or "auto" a bar, 2 a line an epoch.
            callbacks: one or a list.
            validation_split: the fraction of arrays, from their end, that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or what yields batches.
            shuffle: whether arrays are taken in a new order each epoch; `torch.manual_seed` settles it.
            class_weight: a weight for each class of a single output.
            sample_weight: a weight for each sample; a list or dict for several outputs.
            initial_epoch: where a training that was interrupted goes on.
            steps_per_epoch: how many batches make an epoch, if not all.
            validation_steps: how many batches of validation data are used.
            validation_batch_size: `batch_size` by default.
            validation_freq: validate every so many epochs, or after these (counted from 1).

        Returns:
            A History, whose `history` holds a list of values for each name in the logs.

        Raises:
            CompileError: no loss, or no parameters to train.
            DataError: data that do not fit the module, its losses, or each other.
        """
        epochs = whole_number("epochs", epochs, least=0)
        initial_epoch = whole_number("initial_epoch", initial_epoch, least=0)
        validation_batch_size = checked_batch_size(validation_batch_size, "validation_batch_size")
        if validation_steps is not None:
            validation_steps = whole_number("validation_steps", validation_steps, least=1)
        display, due = progress.display(verbose), validation_epochs(validation_freq)
        self._begin()
        seed = self._seed_for(initial_epoch, shuffle=shuffle)
        train = self._feed.data(
            x, y, sample_weight,
            batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle, seed=seed,
            class_weight=class_weight,
        )  # fmt: skip
        validation: Data | None = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            validation = self._feed.validation(validation_data, batch_size=size, steps=validation_steps)
        elif validation_split:
            train, validation = divided(train, validation_split, validation_batch_size, validation_steps)
        self._prepare(train)
        run = Run(epochs, self._feed, self._extras, train, validation, due, display)
        history = History()
        params = {
            "epochs": epochs,
            "steps": train.steps,
            "verbose": verbose,
            "validated": validation is not None,
        }
        events = self._events(callbacks, params, history)
        logs: Logs = {}
        with self._session(run.display):
            events.call("on_train_begin", {})
            for epoch in range(initial_epoch, epochs):
                logs = self._epoch(epoch, run, events)
                if self.module.stop_training:
                    break
            self._optimization.finish()
            events.call("on_train_end", logs)
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, in inference mode; arguments as in `fit`.

        Returns:
            The loss; with metrics or several losses a list of all, in the order of the logs; a dict by
            name if `return_dict`.

        Raises:
            DataError: data that do not fit the module, its losses, or each other.
        """
        self._begin()
        data = self._feed.data(x, y, sample_weight, batch_size=batch_size, steps=steps)
        self._build(data)
        events = self._events(callbacks, {"steps": data.steps, "verbose": verbose})
        display = progress.display(verbose)
        with self._session(display):
            display.start(data.steps)
            done, logs = self._measured(data, events, display)
            display.finish(done, logs)
        return logs if return_dict else as_list(logs)

    def predict(
        self,
        x: Any,
        *,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """What the module returns in inference mode, as NumPy arrays nested as its outputs are.

        Args:
            x: as in `fit`; of what yields tuples the first item is taken.
            batch_size: 32 by default.
            verbose: as in `fit`.
            steps: how many batches are taken.
            callbacks: one or a list.

        Raises:
            DataError: data that do not fit the module.
        """
        self._begin()
        data = self._feed.data(x, batch_size=batch_size, steps=steps, inputs_only=True)
        events = self._events(callbacks, {"steps": data.steps, "verbose": verbose})
        display = progress.display(verbose)
        collected = Collected()
        with self._session(display), torch.no_grad():
            self.module.eval()
            events.call("on_predict_begin", {})
            display.start(data.steps)
            done, _ = self._run(data.epoch(0), self._collecting(collected), "predict", events, display)
            display.finish(done, {})
            events.call("on_predict_end", {})
        return collected.joined()

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch: its loss, or a list of the loss and the metrics of this batch alone."""
        self._begin()
        batch = self._feed.batch(x, y, sample_weight, class_weight)
        self._prepare(Arrays(batch, batch.size))
        with self._session():
            self.module.train()
            _, logs = self._run([batch], self._step_of("train_step"), "train")
        return logs if return_dict else as_list(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss, or a list of the loss and the metrics, of one batch in inference mode."""
        self._begin()
        batch = self._feed.batch(x, y, sample_weight)
        self._build(Arrays(batch, batch.size))
        with self._session():
            _, logs = self._measured(Arrays(batch, batch.size))
        return logs if return_dict else as_list(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """What the module returns for one batch in inference mode, as NumPy arrays."""
        self._begin()
        batch, collected = self._feed.batch(x), Collected()
        with self._session(), torch.no_grad():
            self.module.eval()
            collected.add(self.predict_step(batch))
        return collected.joined()

    def _objective_for(self, outputs: Slots) -> Objective:
        return Objective(
            outputs,
            loss=self.loss,
            loss_weights=self.loss_weights,
            metrics=self.metrics,
            weighted_metrics=self.weighted_metrics,
            module=self.module,
        )

    @property
    def optimizer(self) -> Any:
        """The optimizer that was given; it has `learning_rate`, `get_config` and `torch_optimizer`."""
        return self._optimization.optimizer

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. Setting it takes effect at once."""
        return float(self.optimizer.learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.learning_rate = value

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in their order."""
        return [] if self.objective is None else self.objective.names

    def state_dict(self) -> dict[str, Any]:
        """What a training needs besides weights to go on as if it had not stopped: plain data and tensors."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seed": self._seed,
            "random_state": random_state(),
            "optimizer": self._optimization.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave; `fit(initial_epoch=trainer.epoch)` then goes on to the bit.

        PyTorch's random state is restored by that call of `fit`, and not before. Where nobody has seeded
        PyTorch, the next `fit` restores it whatever its `initial_epoch`; a seed of yours is honoured.
        """
        self.epoch, self.step, self._seed = state["epoch"], state["step"], state["seed"]
        self._random_state = state["random_state"]
        self._optimization.load(state["optimizer"])

    def get_config(self) -> dict[str, Any]:
        """The arguments of `compile` as plain data.

        Raises:
            SavingError: a function or an object among them that no file can name.
        """
        return compile_config(
            self.optimizer, self.loss, self.loss_weights, self.metrics, self.weighted_metrics
        )
