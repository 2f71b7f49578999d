"""Trainer: the loop that fits a module to data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc import losses, metrics, optimizers, rooms
from torchfunc.callbacks import BackupAndRestore, CallbackList, History, LearningRateFinder, TerminateOnNaN
from torchfunc.config import plain
from torchfunc.distributed import sharded_folders
from torchfunc.distributed.fully_sharded import Shards, is_sharded, reshard, whole_of, write_whole
from torchfunc.distributed.launch import is_first, ranks_for
from torchfunc.distributed.parts import Dealt, Sampled, Shared
from torchfunc.distributed.ranks import Ranks, together
from torchfunc.errors import CompileError, DataError, SavingError, explain
from torchfunc.graph import blame
from torchfunc.training import progress
from torchfunc.training.batches import Arrays, Batch, Data, Stream, drawn_seed, unpacked
from torchfunc.training.checks import validation_epochs, whole_number
from torchfunc.training.convert import Collected
from torchfunc.training.feed import Feed, checked_batch_size, divided
from torchfunc.training.finite import Watch
from torchfunc.training.loop import Plan, Run, measure, over_batches, over_epochs
from torchfunc.training.measuring import serving
from torchfunc.training.measuring.forwards import predicting
from torchfunc.training.objective import Objective
from torchfunc.training.options.compiled import Options
from torchfunc.training.options.limits import Clock, Limits, Profiled, several
from torchfunc.training.options.precision import Precision, denormals_flushed, of_policy
from torchfunc.training.options.recounting import Recount, normalizers
from torchfunc.training.options.remembered import of_callbacks
from torchfunc.training.options.termination import heeding
from torchfunc.training.ports import Ports
from torchfunc.training.progress import Display
from torchfunc.training.recording import by_batch
from torchfunc.training.state import (
    Epoch,
    Optimization,
    check_state,
    is_seeded,
    random_state,
    restore_random_state,
    sums_of,
)
from torchfunc.training.step import Step, is_unbuilt
from torchfunc.tree import map_leaves
from torchfunc.turns import in_turn

# What writes and reads the file of a backup: saving stands beside this room, and is brought here by the models.
backups: dict[str, Callable[[Trainer, Any], None]] = {}


class Trainer:
    """Fits any `nn.Module` to data. It owns no weights and is no module; `Model.compile` makes one.

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
        step: an object whose `train(batch)`, `measure(batch)` or `predict(batch)` takes the place of ours;
            the first two return the logs, or None to have those of the objective. Those that its `takes_data`
            names are given x, (x, y) or (x, y, sample_weight) instead, as Keras gives them. Or one whose
            `compute_loss(x, y, y_pred, sample_weight, training)` returns the loss, or whose
            `compute_metrics(x, y, y_pred, sample_weight)` the logs.
        steps_per_execution: how many batches callbacks are told of at a time.
        precision: "bf16" or "fp16" to compute in halves beside weights in float32, by `torch.autocast` (and a
            `GradScaler` for "fp16"); "tf32" for matrix products in NVIDIA's 19 bits. None goes by Keras's global policy.
        deterministic: whether PyTorch takes deterministic algorithms alone while it trains or measures.
        gradient_accumulation_steps: of how many batches a step is made, as if they were one; what is left at the
            end of an epoch is stepped too.
        clipnorm: the largest norm of one parameter's gradient, for any optimizer.
        clipvalue: the largest absolute value in a gradient.
        global_clipnorm: the largest norm of all gradients together.
        lr_scheduler: what sets the learning rate of any optimizer: a schedule of torchfunc, by steps; a scheduler of
            `torch.optim.lr_scheduler`, its class, a partial of it or a function of the optimizer, by epochs
            (OneCycleLR and CyclicLR by steps; ReduceLROnPlateau by `val_loss`, or else `loss`); or a dict such as
            `{"scheduler": ..., "interval": "step", "frequency": 1, "monitor": "val_accuracy"}`.
        use_ema: whether averages of the weights are kept beside any optimizer, which take their place when `fit` ends.
        ema_momentum: how much of an average stays at each step.
        ema_overwrite_frequency: after how many steps the weights are set to their averages; None for never.
        cuda_graph: whether the recorded step is captured in a CUDA graph, on CUDA alone: not yet measured on a GPU, and
            off by default until it is.
        distribute: how several processes train together: "ddp" or "fsdp"; None for "ddp" where torchrun has begun them
            or a process group runs; False for each process by itself.
        sync_batchnorm: whether batch normalization is over the batches of all processes, rather than of each.
        parallelize: instead of sharing data out, divide layers among the processes: {"name": "colwise"} by outputs,
            "rowwise" by inputs, or a ParallelStyle of PyTorch's, for `nn.Linear` and `nn.Embedding`.

    Attributes:
        step: the `Step` that batches go through.
        history: what the last `fit` returned.

    Raises:
        UnknownNameError: a loss, metric or optimizer of that name does not exist.
        CompileError: something that does not fit the outputs.

    Example:
        >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.Adam(0.1), loss="mse", metrics=["mae"])
        >>> x = torch.randn(320, 2)
        >>> history = trainer.fit(x, x.sum(1, keepdim=True) + 1, epochs=10, verbose=0)
        >>> history["loss"][-1] < 0.01, trainer.evaluate(x, x.sum(1, keepdim=True) + 1, verbose=0)[1] < 0.1
        (True, True)
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
        step: Any = None,
        steps_per_execution: int = 1,
        precision: Precision | None = None,
        deterministic: bool = False,
        gradient_accumulation_steps: int | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        lr_scheduler: Any = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        cuda_graph: bool = False,
        distribute: Any = None,
        sync_batchnorm: bool = False,
        parallelize: Any = None,
    ) -> None:
        options = Options(
            precision or of_policy(), deterministic, gradient_accumulation_steps, clipnorm, clipvalue,
            global_clipnorm, lr_scheduler, use_ema, ema_momentum, ema_overwrite_frequency, cuda_graph,
        )  # fmt: skip
        self.loss, self.loss_weights = loss, loss_weights
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        self.step = Step(
            module,
            ports or Ports.named(input_names, output_names),
            Objective(loss, loss_weights, metrics, weighted_metrics),
            optimizer,
            device=device,
            own=step,
            options=options,
            distribute=distribute,
            sync_batchnorm=sync_batchnorm,
            parallelize=parallelize,
        )
        self.step.steps_per_execution = whole_number("steps_per_execution", steps_per_execution, least=1)
        self.step.fitted = self._fitted
        self.history: History | None = None
        self._seed: int | None = None
        self._random_state: Mapping[str, Tensor] | None = None
        self._remembered: Mapping[str, Any] | None = None  # by the callbacks of a training that may go on
        self._interrupted = False
        self._under_way: CallbackList | None = None
        self._data: Data | None = None  # of the training that is under way

    def __getstate__(self) -> dict[str, Any]:
        """A copy, or what is pickled, is of no training that is under way."""
        return {**self.__dict__, "_under_way": None, "_data": None}

    @in_turn
    @together
    def fit(
        self,
        x: Any = None,
        y: Any = None,
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
        *,
        max_steps: int | None = None,
        max_time: Any = None,
        val_check_interval: int | None = None,
        fast_dev_run: bool | int = False,
        overfit_batches: int | float | None = None,
        anomaly: bool = False,
        profile: str | Path | None = None,
    ) -> History:
        """Pass over the data `epochs` times, measuring on validation data after each pass.

        Args:
            x: arrays, tensors or lists of numbers: one, a list, or a dict by input name. Or what yields
                batches (x, y) or (x, y, sample_weight): a Dataset, a DataLoader, a generator, any iterable,
                or a function that returns one.
            y: targets: one, a list, or a dict by output name.
            batch_size: samples in a step, 32 by default; the last batch may be smaller. What yields batches has
                sizes of its own.
            epochs: the number of the last epoch, counted from `initial_epoch`.
            verbose: 0 silent, 1 or "auto" a bar, 2 a line an epoch.
            callbacks: one or a list.
            validation_split: the fraction of arrays, from their end, that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or what yields batches; a dict with several of these by
                name, whose figures are called `val_name_loss` and so on.
            shuffle: whether arrays are taken in a new order each epoch; `torch.manual_seed` settles it.
            class_weight: a weight for each class of a single output; of one that it leaves out 1.
            sample_weight: a weight for each sample; a list or dict for several outputs.
            initial_epoch: where a training that was interrupted goes on.
            steps_per_epoch: how many batches make an epoch, if not all; the next epoch goes on after them.
            validation_steps: how many batches of validation data are used.
            validation_batch_size: `batch_size` by default.
            validation_freq: validate every so many epochs, or after these (counted from 1).
            max_steps: after how many steps of the optimizer the training ends, within an epoch too;
                `initial_epoch=trainer.epoch` goes on there.
            max_time: after how long it ends: seconds, a timedelta, or a text "DD:HH:MM:SS".
            val_check_interval: validate after every so many batches instead of after epochs; an epoch logs the last.
            fast_dev_run: whether one epoch of one batch, or of so many, of training and of validation is tried,
                without callbacks that write files.
            overfit_batches: how many batches, or which share of them, are learned again and again, and validated on.
            anomaly: whether the first layer, or the derivative, that makes NaN is named in an error; slow.
            profile: a file for a trace of ten batches, which chrome://tracing and Perfetto show.

        A batch whose loss or gradient is NaN or infinite is not learned from: weights, statistics and optimizer
        are afterwards as before it. A lone one is skipped with a warning, and a loss that is no number is left out of
        the figures of the epoch; one at the begin of a training, a second in a row, the only one of an epoch, and
        any where several processes train together, is an error. Where reading the device has to wait, as on CUDA,
        any is an error at the end of the epoch. `TerminateOnNaN` ends the training quietly.

        Returns:
            A History, whose `history` holds a list of values for each name in the logs.

        Raises:
            CompileError: no loss.
            DataError: data that do not fit the module, its losses, or each other.

        Example:
            >>> x, y = tf.Input((1,)), np.arange(8.0)
            >>> line = tf.Model(x, tf.layers.Dense(1)(x))
            >>> line.compile(tf.optimizers.SGD(0.01), "mse")
            >>> history = line.fit(y[:, None], 2 * y[:, None], epochs=3, batch_size=4, verbose=0)
            >>> history.epoch, history.history["loss"][0] > history.history["loss"][-1]
            ([0, 1, 2], True)
        """
        limits = Limits(
            max_steps, max_time, val_check_interval, fast_dev_run, overfit_batches, anomaly, profile
        )
        plan = Plan(
            whole_number("initial_epoch", initial_epoch, least=0),
            whole_number("epochs", epochs, least=0),
            validation_epochs(validation_freq),
        )
        validation_batch_size = checked_batch_size(validation_batch_size, "validation_batch_size")
        if validation_steps is not None:
            validation_steps = whole_number("validation_steps", validation_steps, least=1)
        display, feed = progress.display(verbose), self._begin("train")
        initial_epoch, plan = self._restored(callbacks, initial_epoch, plan)
        goes_on = self._goes_on(initial_epoch)
        train = feed.data(
            x, y, sample_weight,
            batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle,
            seed=self._seed_for(goes_on, shuffle=shuffle), class_weight=class_weight,
        )  # fmt: skip
        validations: dict[str, Data] = {}
        if validation_data is not None:
            size = validation_batch_size or batch_size
            validations = self._validations(validation_data, size, validation_steps)
        elif validation_split:
            train, validations["val_"] = divided(
                train, validation_split, validation_batch_size, validation_steps
            )
        train, validations = limits.data(train, validations)
        if limits.fast_dev_run:
            plan = replace(plan, epochs=min(plan.epochs, plan.first + 1))
        self.step.epochs = plan.epochs
        self._position(train, goes_on)
        self.step.prepare(train)
        history = self.history = History()
        params = {
            "epochs": plan.epochs,
            "steps": train.steps,
            "verbose": verbose,
            "validated": bool(validations),
        }
        events = self._events(callbacks, params, history, limits)
        step = self.step
        step.base = step.base if goes_on else step.steps_taken
        run = Run(
            limits, Clock(limits, step.base), self._remembered if goes_on and self._interrupted else None
        )
        if profile is not None and is_first():
            run.profiled = Profiled(profile, 1)
        self._tell_of_ranks(verbose)
        with (
            self._training(run, events, train, goes_on=goes_on),
            heeding(self.module, events, run.asked, step.ranks),
            self._session(display),
            denormals_flushed(),
            limits.looking(self.module),
        ):
            try:
                over_epochs(step, plan, train, validations, events, display, run)
                if step.ranks is not None:
                    step.ranks.any(False)  # nobody goes on before the first one has written its files
            except BaseException:
                if step.sums is None:  # for who goes on within the epoch
                    step.sums = sums_of(step.objective)
                raise
        return history

    def _validations(self, given: Any, batch_size: int | None, steps: int | None) -> dict[str, Data]:
        """The validation data by what goes before the names of their figures in the logs."""
        sets = several(given)
        named = {"val_": given} if sets is None else {f"val_{name}_": each for name, each in sets.items()}
        feed = Feed(self.step, "measure")
        return {
            prefix: feed.validation(each, batch_size=batch_size, steps=steps)
            for prefix, each in named.items()
        }

    @contextmanager
    def _training(self, run: Run, events: CallbackList, train: Data, *, goes_on: bool) -> Iterator[None]:
        """Within it the step learns; whatever happens, the trainer knows afterwards what goes on from there."""
        step = self.step
        step.notes.rest()
        watch = step.watch = Watch(self.module, step.device)
        watch.ranks = self.ranks() if is_sharded(self.module) else None
        watch.steady = goes_on and step.count > 0
        stops = (TerminateOnNaN, LearningRateFinder)  # which see what is no number, and end the training
        step.quiet = any(isinstance(each, stops) for each in events.callbacks)
        self._remembered, self._interrupted, self._under_way, self._data = None, True, events, train
        try:
            yield
            self._interrupted = False
        finally:
            with suppress(SavingError):  # which is told where the training is saved
                self._remembered = of_callbacks(events)
            self._under_way = self._data = None
            if step.notes.kept is not None and not step.notes.kept.is_small:
                step.notes.kept = None
            if run.profiled is not None:
                run.profiled.end()
            step.quiet = False
            if step.replicas is not None:
                step.replicas.leave()
            if watch.skipped > 1:
                told = f"fit skipped {watch.skipped} batches whose loss or gradient was no number."
                warnings.warn(told, stacklevel=blame.level())

    @in_turn
    @together
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, in inference mode; arguments as in `fit`.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: samples in a step, 32 by default.
            verbose: as in `fit`.
            sample_weight: as in `fit`.
            steps: how many batches are measured, if not all.
            callbacks: one or a list.
            return_dict: whether the figures come by name.

        Returns:
            The loss; with metrics or several losses a list of all, in the order of the logs; a dict by
            name if `return_dict`.

        Raises:
            DataError: data that do not fit the module, its losses, or each other.

        Example:
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> figures = model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0, return_dict=True)
            >>> sorted(figures)
            ['loss', 'mae']
        """
        feed, display = self._begin("measure"), progress.display(verbose)
        data = feed.data(x, y, sample_weight, batch_size=batch_size, steps=steps)
        self.step.build(data)
        events = self._events(callbacks, {"steps": data.steps, "verbose": verbose})
        with self._session(display):
            display.start(data.steps)
            done, logs = measure(self.step, data, events, display)
            display.finish(done, logs)
        return logs if return_dict else _as_list(logs)

    @in_turn
    @together
    def predict(
        self,
        x: Any,
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

        Returns:
            An array with the samples of all batches, or several, nested as the outputs.

        Raises:
            DataError: data that do not fit the module.

        Example:
            >>> model.predict(np.zeros((5, 8, 8, 3)), batch_size=2, verbose=0).shape
            (5, 2)
        """
        most = serving.plainly(x, batch_size, verbose, steps, callbacks)
        if most and (served := serving.answer(self.module, self.step, x, most)) is not None:
            return served
        feed, display, collected = self._begin("predict"), progress.display(verbose), Collected()
        data = feed.data(x, batch_size=batch_size, steps=steps, inputs_only=True)
        events = self._events(callbacks, {"steps": data.steps, "verbose": verbose})
        predict = predicting(self.step)
        with self._session(display), torch.no_grad():
            self.module.eval()
            events.call("on_predict_begin", {})
            display.start(data.steps)
            self.step.align()
            done, _ = over_batches(
                self.step,
                lambda batch: collected.add(predict(batch), counts=batch.size > 0),
                data.epoch(0),
                "predict",
                events,
                display,
            )
            display.finish(done, {})
            events.call("on_predict_end", {})
        source = getattr(data, "source", None)
        if self.step.ranks is not None and (
            getattr(data, "ranks", None) or isinstance(source, (Dealt, Sampled, Shared))
        ):
            collected.gather(self.step.ranks, by_samples=isinstance(source, Sampled))
        outputs = collected.joined()
        if most and isinstance(data, Arrays):
            serving.remember(self.step, x, data.whole, outputs)
        return outputs

    @in_turn
    @together
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch: its loss, or a list of the loss and the metrics of this batch alone.

        Args:
            x: as in `predict_on_batch`.
            y: the targets, likewise.
            sample_weight: a weight for each sample, or None.
            class_weight: a weight for each class of a single output.
            return_dict: whether the figures come by name.

        Returns:
            A number; with metrics a list of numbers, or a dict.

        Example:
            >>> x = tf.Input((1,))
            >>> line = tf.Model(x, tf.layers.Dense(1, kernel_initializer="zeros")(x))
            >>> line.compile(tf.optimizers.SGD(0.25), "mse")
            >>> line.train_on_batch([[1.0]], [[3.0]]), line.train_on_batch([[1.0]], [[3.0]])
            (9.0, 0.0)
        """
        done = self._trained_again(x, y, sample_weight, class_weight, return_dict)
        if done is not None:
            return done
        batch = self._begin("train").batch(x, y, sample_weight, class_weight)
        self.step.prepare(Arrays(batch, batch.size))
        step, fits = self.step, (self.step.watch, self.step.done)
        step.watch = Watch(self.module, step.device, alone=True)
        try:
            with self._session(), denormals_flushed():
                self.module.train()
                # where this is in a callback of `fit`, the step is recorded there
                act = by_batch.act(step) if self._under_way is None else step.act("train")
                _, logs = over_batches(step, act, [batch], "train")
        finally:
            step.watch, step.done = fits
        if self._under_way is None:
            by_batch.after_call(step)
        return logs if return_dict else _as_list(logs)

    def _trained_again(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """What `train_on_batch` returns, where its step is recorded and all is as it was; else nothing is done."""
        if self._under_way is not None:
            return None
        logs = by_batch.repeated(self.step, x, y, sample_weight, class_weight)
        return logs if logs is None or return_dict else _as_list(logs)

    @in_turn
    @together
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss, or a list of the loss and the metrics, of one batch in inference mode.

        Args:
            x: as in `predict_on_batch`.
            y: the targets, likewise.
            sample_weight: a weight for each sample, or None.
            return_dict: whether the figures come by name.

        Returns:
            A number; with metrics a list of numbers, or a dict.

        Example:
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> sorted(model.test_on_batch(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), return_dict=True))
            ['loss', 'mae']
        """
        batch = self._begin("measure").batch(x, y, sample_weight)
        data = Arrays(batch, batch.size)
        self.step.build(data)
        with self._session():
            _, logs = measure(self.step, data, CallbackList())
        return logs if return_dict else _as_list(logs)

    @in_turn
    @together
    def predict_on_batch(self, x: Any) -> Any:
        """What the module returns for one batch in inference mode, as NumPy arrays.

        Args:
            x: an array or a tensor with the batch first, or several in a list or dict.

        Returns:
            An array, or several, nested as the outputs.

        Example:
            >>> model.predict_on_batch(np.zeros((5, 8, 8, 3))).shape
            (5, 2)
        """
        if (served := serving.answer(self.module, self.step, x, serving.whole())) is not None:
            return served
        batch, collected = self._begin("predict").batch(x), Collected()
        with self._session(), torch.no_grad():
            self.module.eval()
            collected.add(self.step.act("predict")(batch))
        outputs = collected.joined()
        serving.remember(self.step, x, batch, outputs)
        return outputs

    def ranks(self) -> Ranks | None:
        """The processes that this one trains together with, if there are any.

        Returns:
            The processes, or None where this one trains by itself.

        Example:
            >>> Trainer(nn.Linear(2, 1), loss="mse").ranks() is None
            True
        """
        return ranks_for(self.module, self.step.distribute)

    def _tell_of_ranks(self, verbose: str | int) -> None:
        """Have ranks that nobody has seeded begin with one random state, and say who trains together."""
        ranks = self.ranks()
        if ranks is None:
            return
        states = ranks.gathered((is_seeded(), random_state()))
        alike = all(torch.equal(state["cpu"], states[0][1]["cpu"]) for _, state in states)
        if not alike and not any(seeded for seeded, _ in states):
            restore_random_state(states[0][1])
            alike = True
        if ranks.is_first and verbose and not ranks.told:
            seeds = (
                "seeded alike"
                if alike
                else "each with a seed of its own; weights and orders are those of rank 0"
            )
            print(f"{ranks.world} processes train together ({ranks.kind}), {seeds}", flush=True)
        ranks.told = True

    def _begin(self, act: str) -> Feed:
        """What makes batches for an act of the step, on the device of the module and for it as it is now."""
        self.step.begin()
        return Feed(self.step, act)

    def _fitted(self, data: Any) -> Batch:
        """A batch that fits the module, made of data such as (x, y)."""
        return Feed(self.step).batch(*unpacked(data))

    @contextmanager
    def _session(self, display: Display | None = None) -> Iterator[None]:
        """Within it batches pass; whatever happens, the module is afterwards as before."""
        try:
            with self.step.session():
                yield
        finally:
            if display is not None:
                display.leave()

    def _events(
        self,
        callbacks: Any,
        params: Mapping[str, Any],
        history: History | None = None,
        limits: Limits | None = None,
    ) -> CallbackList:
        """The callbacks of the user, and after them the history."""
        given = [callbacks] if hasattr(callbacks, "set_model") else list(callbacks or [])
        given = given if limits is None else limits.callbacks(given)
        for each in given:
            if isinstance(each, type) or not hasattr(each, "set_model"):
                got = f"the class {each.__name__}" if isinstance(each, type) else f"a {type(each).__name__}"
                fix = f"{each.__name__}()" if isinstance(each, type) else "LambdaCallback(on_epoch_end=...)"
                raise CompileError(explain("callbacks", got=got, expected="callback objects", fix=fix))
        ranks = self.ranks()
        if ranks is not None and not ranks.is_first:
            given = [each for each in given if not getattr(each, "writes_once", False)]
        return CallbackList(
            [*given, *([history] if history else [])], model=self.module, trainer=self, params=params
        )

    def _restored(self, callbacks: Any, initial_epoch: int, plan: Plan) -> tuple[int, Plan]:
        """Where a training begins that a callback has backed up: there, and where it was to begin otherwise."""
        given = [callbacks] if hasattr(callbacks, "set_model") else callbacks or []
        for each in getattr(given, "callbacks", given):
            found = each.restore(self) if isinstance(each, BackupAndRestore) else None
            if found is not None:
                return found, replace(plan, first=int(found))
        return initial_epoch, plan

    def _goes_on(self, initial_epoch: int) -> bool:
        """Whether a training goes on where it stopped: `initial_epoch=trainer.epoch` says so of the first epoch too."""
        return initial_epoch == self.epoch and (initial_epoch > 0 or getattr(initial_epoch, "done", 0) > 0)

    def _position(self, train: Data, goes_on: bool) -> None:
        """Where in the epoch the training begins: after what was done of it, where that is an epoch of these data."""
        step = self.step
        if step.done and goes_on and step.steps != train.steps:
            warnings.warn(
                f"epoch {self.epoch + 1} begins anew: it stopped after {step.done} of {step.steps} batches, and these "
                f"data make {train.steps}. Fix: fit(...) on the data and with the batch_size of before.",
                stacklevel=4,
            )
            step.done = 0
        if not goes_on:
            step.done = 0
            if step.learning is not None:
                step.learning.begin_anew()
        if not step.done:
            step.sums = None
        step.steps = train.steps
        if isinstance(train, Stream):
            train.begun[:] = step.begun
            step.begun = train.begun

    def _seed_for(self, goes_on: bool, *, shuffle: bool) -> int | None:
        """The seed of the orders; a training that goes on where it stopped has one, and a random state."""
        state, self._random_state = self._random_state, None
        if state is not None and (goes_on or not is_seeded()):
            restore_random_state(state)
        if shuffle and not (goes_on and self._seed is not None):
            seed = self._seed = drawn_seed()
            ranks = self.ranks()
            if ranks is not None:
                self._seed = ranks.of_first(lambda: seed)
        return self._seed if shuffle else None

    def take_ports(self, ports: Ports) -> None:
        """Fit a module that has other inputs or outputs than before, as after one of its layers was replaced.

        Args:
            ports: what it takes and gives now.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse", output_names=["price"])
            >>> trainer.take_ports(trainer.step.ports)  # the same: nothing changes
            >>> [port.name for port in trainer.step.ports.outputs.ports]
            ['price']
        """
        before = self.step.ports
        if (before.inputs, before.outputs) == (ports.inputs, ports.outputs):
            return
        self.step.ports = ports
        if ports.outputs is not None:
            self.step.objective.take(ports.outputs, self.module)

    @property
    def module(self) -> nn.Module:
        """What is trained.

        Example:
            >>> module = nn.Linear(2, 1)
            >>> Trainer(module, loss="mse").module is module
            True
        """
        return self.step.module

    @property
    def step_code(self) -> str:
        """The training step that the last epoch repeated, as Python; where it was not recorded, a comment says why.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> print(trainer.step_code, end="")
            # Not recorded, because nothing was trained yet.
            >>> history = trainer.fit(torch.zeros(256, 2), torch.zeros(256, 1), epochs=2, verbose=0)
            >>> "def forward(batch_0, batch_1):" in trainer.step_code
            True
        """
        notes = self.step.notes
        return notes.code or f"# Not recorded, because {notes.why_not or 'nothing was trained yet'}.\n"

    @property
    def epoch(self) -> int:
        """The number of the next epoch: `fit(initial_epoch=trainer.epoch)` goes on with it, or within it.

        Example:
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(64, 2), torch.zeros(64, 1)
            >>> history = trainer.fit(x, y, epochs=2, verbose=0)
            >>> trainer.epoch
            2
            >>> history = trainer.fit(x, y, epochs=5, initial_epoch=trainer.epoch, verbose=0)
            >>> history.epoch
            [2, 3, 4]
        """
        return Epoch(self.step.epoch, self.step.done)

    @property
    def optimizer(self) -> Any:
        """The optimizer that was given; it has `learning_rate`, `get_config` and `torch_optimizer`.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), optimizer="adam", loss="mse")
            >>> trainer.optimizer.name
            'adam'
            >>> trainer.optimizer = torch.optim.SGD(trainer.module.parameters(), lr=0.1)
            >>> trainer.optimizer.learning_rate
            0.1
        """
        return self.step.optimization.optimizer

    @optimizer.setter
    def optimizer(self, identifier: Any) -> None:
        optimization = Optimization(self.module, identifier)
        self.step.options.check_beside(optimization.optimizer)
        self.step.notes.rest()
        self.step.optimization = optimization

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. Setting it takes effect at once.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.1), loss="mse")
            >>> trainer.learning_rate = 0.01
            >>> trainer.learning_rate
            0.01
        """
        return float(self._ready_optimizer().learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._ready_optimizer().learning_rate = value

    def _ready_optimizer(self) -> Any:
        """The optimizer, built and with the state that was loaded for it, if the module has what it needs."""
        trainable = any(each.requires_grad for each in self.module.parameters())
        if self.step.optimization.built is None and trainable and not is_unbuilt(self.module):
            self.step.optimization.ready()
        return self.optimizer

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in their order.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse", metrics=["mae", "r2_score"])
            >>> figures = trainer.evaluate(torch.randn(4, 2), torch.randn(4, 1), verbose=0)
            >>> trainer.metrics_names, len(figures)
            (['loss', 'mae', 'r2_score'], 3)
        """
        return self.step.objective.names

    def state_dict(self) -> dict[str, Any]:
        """What a training needs besides weights to go on as if it had not stopped: plain data and tensors.

        Returns:
            The epoch, the number of steps, the seed and the random state, what the optimizer remembers, the
            place within an epoch, and what the callbacks do.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = trainer.fit(torch.zeros(64, 2), torch.zeros(64, 1), verbose=0)
            >>> state = trainer.state_dict()
            >>> state["epoch"], state["step"], sorted(state["optimizer"]["slots"])
            (1, 2, ['bias', 'weight'])
        """
        waiting = (
            self.step.sums,
            self._random_state,
        )  # which came from a file, for a `fit` that is still to come
        within = {
            "done": self.step.done,
            "steps": self.step.steps,
            "begun": list(self.step.begun),
            "sums": sums_of(self.step.objective) if waiting[0] is None else waiting[0],
        }
        return {
            "epoch": int(self.epoch),
            "step": self.step.count,
            "seed": self._seed,
            "random_state": random_state() if waiting[1] is None else waiting[1],
            "optimizer": self.step.optimization.state(),
            **({"within": within} if self.step.done else {}),
            **({} if self.step.learning is None else {"learning": self.step.learning.state()}),
            **({"base": self.step.base} if self.step.base else {}),
            **self._of_callbacks(),
        }

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within it all that a file says of the training is whole, though it lies in shards; for who saves it.

        Yields:
            None. All processes have to enter it.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), optimizer="adam", loss="mse")
            >>> with trainer.whole():
            ...     state = trainer.state_dict()
        """
        held = self._of_callbacks()
        if is_sharded(self.module):
            held = map_leaves(whole_of, held)
        vars(self)["_of_callbacks"] = lambda: held
        try:
            with self.step.whole():
                yield
        finally:
            del vars(self)["_of_callbacks"]

    def _of_callbacks(self) -> dict[str, Any]:
        held = self._remembered if self._under_way is None else of_callbacks(self._under_way)
        return {} if held is None else {"callbacks": held}

    def load_state_dict(self, state: Mapping[str, Any], *, place: str = "state") -> None:
        """Take what `state_dict` gave; `fit(initial_epoch=trainer.epoch)` then goes on to the bit.

        PyTorch's random state is restored by that call of `fit`, and not before. Where nobody has seeded
        PyTorch, the next `fit` restores it whatever its `initial_epoch`; a seed of yours is honoured.

        Args:
            state: what `state_dict` gave.
            place: what errors call it.

        Raises:
            ConfigError: something that `state_dict` does not give for such an optimizer; nothing is changed.
            WeightMismatchError: tensors that do not fit the parameters; nothing is changed.

        Example:
            >>> x, y = torch.randn(64, 2), torch.randn(64, 1)
            >>> one = Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = one.fit(x, y, verbose=0)
            >>> other = Trainer(nn.Linear(2, 1), loss="mse")
            >>> other.module.load_state_dict(one.module.state_dict())
            <All keys matched successfully>
            >>> other.load_state_dict(one.state_dict())
            >>> other.epoch
            1
        """
        check_state(state, place, self.step.optimization)
        self.step.epoch, self.step.count = state["epoch"], state["step"]
        self._seed, self._random_state = state["seed"], state["random_state"]
        within = state.get("within") or {}  # older files know no position in an epoch
        self.step.done, self.step.steps = within.get("done", 0), within.get("steps")
        self.step.begun, self.step.sums = list(within.get("begun", ())), within.get("sums")
        self.step.optimization.load(state["optimizer"])
        self.step.base = state.get("base", 0)
        self._remembered, self._interrupted = state.get("callbacks"), True
        if self.step.learning is not None:
            self.step.learning.load(state.get("learning") or {})

    def back_up(self, filepath: Any) -> None:
        """Write the weights and the state of the training to a file, without the architecture, for `restore_backup`.

        Its tensors are those of `module.state_dict()`, in the format of safetensors, and those of the optimizer under
        the prefix `optimizer/`.

        Args:
            filepath: where to: a `.safetensors` file.

        Example:
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.randn(64, 2), torch.randn(64, 1)
            >>> history = trainer.fit(x, y, verbose=0)
            >>> trainer.back_up("training.safetensors")
            >>> [each.name for each in inspect("training.safetensors").tensors][:2]
            ['bias', 'optimizer/optimizer/slots/bias/scaled_velocity']
        """
        write_whole(self.module, lambda: rooms.filled(backups, "write")(self, filepath))

    def restore_backup(self, filepath: Any) -> None:
        """Take what `back_up` wrote of a module with the same weights, compiled alike.

        `fit(initial_epoch=trainer.epoch)` then goes on to the bit.

        Args:
            filepath: what `back_up` wrote.

        Raises:
            TorchfuncError: another file, or what does not fit the module; nothing is changed then.

        Example:
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.randn(64, 2), torch.randn(64, 1)
            >>> history = trainer.fit(x, y, epochs=2, verbose=0)
            >>> trainer.back_up("training.safetensors")
            >>> other = Trainer(nn.Linear(2, 1), loss="mse")
            >>> other.restore_backup("training.safetensors")
            >>> other.epoch, torch.equal(other.module.weight, trainer.module.weight)
            (2, True)
        """
        rooms.filled(backups, "read")(self, filepath)

    @together
    def save_checkpoint(self, folder: str | Path) -> None:
        """Write weights and training to a folder, of which each process writes its shards.

        Any number of processes reads it: `load_checkpoint`. All processes call it; what stood there stays whole until
        the new one does.

        Args:
            folder: where to; it is made where it is not there.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = trainer.fit(torch.zeros(64, 2), torch.zeros(64, 1), verbose=0)
            >>> trainer.save_checkpoint("checkpoint")
            >>> other = Trainer(nn.Linear(2, 1), loss="mse")
            >>> other.load_checkpoint("checkpoint")
            >>> other.epoch
            1
        """
        reshard(self.module)
        weights = {name: each.detach() for name, each in self.module.state_dict().items()}
        sums = self.step.sums
        if sums is None:
            self.step.join()
        try:
            sharded_folders.write(folder, {"model": weights, "training": self.state_dict()})
        finally:
            self.step.sums = sums

    @together
    def load_checkpoint(self, folder: str | Path) -> None:
        """Take what `save_checkpoint` wrote; `fit(initial_epoch=trainer.epoch)` then goes on.

        Args:
            folder: what `save_checkpoint` wrote, by any number of processes.

        Raises:
            CorruptFileError: a folder without such files.
            WeightMismatchError: weights of other names or shapes; nothing is changed then.

        Example:
            >>> trainer, other = Trainer(nn.Linear(2, 1), loss="mse"), Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = trainer.fit(torch.zeros(64, 2), torch.zeros(64, 1), verbose=0)
            >>> trainer.save_checkpoint("checkpoint")
            >>> other.load_checkpoint("checkpoint")
            >>> torch.equal(other.module.weight, trainer.module.weight)
            True
        """
        self.step.begin()
        if isinstance(self.step.replicas, Shards) and not is_unbuilt(self.module):
            self.step.replicas.ready()
        reshard(self.module)
        weights = {f"model/{name}": each for name, each in self.module.state_dict().items()}
        found = sharded_folders.read(folder, weights)
        check_state(found["training"], str(folder), self.step.optimization)
        self.module.load_state_dict(found["model"])
        self.load_state_dict(found["training"], place=str(folder))

    @in_turn
    @together
    def update_bn(self, x: Any = None, batch_size: int | None = None) -> None:
        """Count the statistics of batch normalizations anew: as means over the batches of one pass, in training mode.

        For weights that were put together of others, as `torch.optim.swa_utils.update_bn` does it.

        Args:
            x: inputs, or what yields batches, as in `fit`; in a callback None for what the training learns from.
            batch_size: 32 by default.

        Raises:
            DataError: no data, outside a training.

        Example:
            >>> trainer, x = Trainer(nn.BatchNorm1d(2), loss="mse"), torch.randn(64, 2) + 3
            >>> trainer.update_bn(x, batch_size=64)
            >>> torch.allclose(trainer.module.running_mean, x.mean(0), atol=1e-5)
            True
        """
        layers = normalizers(self.module)
        if not layers:
            return
        data = (
            self._data
            if x is None
            else self._begin("predict").data(x, batch_size=batch_size, inputs_only=True)
        )
        if data is None:
            raise DataError(explain("update_bn", got="no data", expected="inputs, outside a training"))
        if x is None and self._data is not None and isinstance(data, Stream) and data.one_shot:
            kind = type(data.source).__name__
            fix = (
                "trainer.update_bn(x), or fit on arrays, a DataLoader or a function that returns a generator"
            )
            told = explain(
                "update_bn", got=f"a {kind}, which is used up", why="statistics stay as they are", fix=fix
            )
            warnings.warn(told, stacklevel=blame.level())
            return
        recount = Recount(layers)

        def passed(batch: Batch) -> None:
            recount.counts = batch.size > 0
            self.step.predict(batch)

        with self._session(), torch.no_grad(), recount.going(self.step.ranks):
            self.module.train()
            over_batches(self.step, passed, data.epoch(0), "predict")

    def get_config(self) -> dict[str, Any]:
        """The arguments of `compile` as plain data.

        Returns:
            A dict by the names of the arguments.

        Raises:
            SavingError: a function or an object among them that no file can name.

        Example:
            >>> trainer = Trainer(nn.Linear(2, 1), optimizer=optimizers.SGD(0.1), loss="mse", metrics=["mae"])
            >>> config = trainer.get_config()
            >>> config["loss"], config["metrics"], config["optimizer"]["class_name"]
            ('mse', ['mae'], 'SGD')
        """
        weights = self.loss_weights
        several = self.step.steps_per_execution
        return {
            "optimizer": optimizers.serialize(self.optimizer),
            "loss": plain(self.loss, lambda each, name: losses.serialize(each)),
            "loss_weights": None if weights is None else plain(map_leaves(float, weights)),
            "metrics": plain(self.metrics, lambda each, name: metrics.serialize(each)),
            "weighted_metrics": plain(self.weighted_metrics, lambda each, name: metrics.serialize(each)),
            **({"steps_per_execution": several} if several > 1 else {}),
            **self.step.options.get_config(),
        }


def _as_list(logs: Mapping[str, Any]) -> Any:
    """The values of the logs in their order; a single one as it is."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
