"""Callback: the moments of a training at which something else may happen."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torchfunc.callbacks.loggers.curves import Picture, drawn
from torchfunc.errors import TorchfuncError, UnknownNameError, explain
from torchfunc.fields import listed, record, refused, whole

Logs = Mapping[str, Any] | None
Mode = Literal["train", "test", "predict"]


class Callback:
    """Does something at the moments whose methods a subclass overrides.

    A method that is not overridden is never called. `logs` holds the loss and the metrics by name: of
    the epoch in `on_epoch_end`, of the epoch so far in `on_train_batch_end`. Setting
    `self.model.stop_training = True` ends the training after this batch.

    In a loop of your own, call `set_model` with a compiled model, and then the methods.

    Attributes:
        model: the module in training.
        remembers: its attributes that a training which goes on from a file needs, each with the kind of its values:
            "count", "number" (or None), "flag", "weights" (or None).
        writes_once: whether it writes down what it hears, so that of several processes the first alone has it.
        params: `epochs`, `steps` (None where unknown) and `verbose` of this run.

    Example:
        >>> class Telling(callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(f"epoch {epoch}:", *sorted(logs))
        >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(4, 2), torch.zeros(4, 1)
        >>> history = trainer.fit(x, y, epochs=2, validation_data=(x, y), verbose=0, callbacks=[Telling()])
        epoch 0: loss val_loss
        epoch 1: loss val_loss
    """

    model: Any = None
    params: Mapping[str, Any] = {}
    remembers: ClassVar[Mapping[str, str]] = {}
    writes_once: ClassVar[bool] = False
    _trainer: Any = None

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on needs of it, as plain data and tensors; it is saved with the model.

        Returns:
            A value for each name in `remembers`.

        Example:
            >>> callbacks.ReduceLROnPlateau().state_dict()
            {'best': None, 'wait': 0, 'cooldown_counter': 0}
        """
        return {name: getattr(self, name) for name in self.remembers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave, after `on_train_begin`.

        Args:
            state: what `state_dict` gave; names that are not in `remembers` are passed over.

        Raises:
            ConfigError: values of another kind.

        Example:
            >>> callback = callbacks.ReduceLROnPlateau()
            >>> callback.load_state_dict({"best": 0.25, "wait": 3})
            >>> callback.best, callback.wait
            (0.25, 3)
        """
        for name, value in state.items():
            if name in self.remembers:
                place = f"the state of {type(self).__name__}.{name}"
                setattr(self, name, _of_kind(value, self.remembers[name], place, self.model))

    @property
    def trainer(self) -> Any:
        """The Trainer that trains the model; `trainer.learning_rate` may be read and set.

        Raises:
            TorchfuncError: nothing was said of it, and there is no model that was compiled.

        Example:
            >>> callback = callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
            >>> model.compile(optimizers.SGD(0.1), loss="mse")
            >>> callback.set_model(model)
            >>> callback.on_epoch_begin(2)
            >>> callback.trainer.learning_rate
            0.25
        """
        trainer = self._trainer or getattr(self.model, "trainer", None)
        if trainer is None:
            got = "no model" if self.model is None else f"a {type(self.model).__name__} without a Trainer"
            fix = (
                "callback.set_model(model) with a compiled model, or callback.trainer = Trainer(module, ...)"
            )
            raise TorchfuncError(explain(type(self).__name__, got=got, fix=fix))
        return trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self._trainer = trainer

    def set_model(self, model: Any) -> None:
        """Told once, before anything else, what is trained.

        Args:
            model: the module in training.

        Example:
            >>> callback = callbacks.EarlyStopping()
            >>> callback.set_model(model)
            >>> callback.model is model
            True
        """
        self.model = model
        if getattr(self._trainer, "module", model) is not model:
            self._trainer = None  # that of another run

    def _known_model(self) -> Any:
        """The model.

        Raises:
            TorchfuncError: `set_model` was not called.
        """
        if self.model is None:
            raise TorchfuncError(
                explain(
                    type(self).__name__,
                    got="no model",
                    fix="callback.set_model(model) before the first epoch",
                )
            )
        return self.model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told once, before anything else, how long the run is.

        Args:
            params: `epochs`, `steps` and `verbose` of the run, by name.

        Example:
            >>> callback = callbacks.ProgbarLogger()
            >>> callback.set_params({"epochs": 2, "steps": 10})
            >>> callback.on_epoch_begin(0)
            Epoch 1/2
        """
        self.params = params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called when `fit` begins.

        Args:
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_train_begin(self, logs=None):
            ...         print(f"{self.params['epochs']} epochs of {self.params['steps']} steps")
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = trainer.fit(torch.zeros(64, 2), torch.zeros(64, 1), epochs=3, verbose=0, callbacks=[Telling()])
            3 epochs of 2 steps
        """

    def on_train_end(self, logs: Logs = None) -> None:
        """Called when `fit` ends, with the logs of the last epoch.

        Args:
            logs: of the last epoch, by name.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_train_end(self, logs=None):
            ...         print(sorted(logs))
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(4, 2), torch.zeros(4, 1)
            >>> history = trainer.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[Telling()])
            ['loss', 'val_loss']
        """

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch begins; the first is number 0.

        Args:
            epoch: its number, from 0.
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_epoch_begin(self, epoch, logs=None):
            ...         print("begins", epoch)
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(4, 2), torch.zeros(4, 1)
            >>> history = trainer.fit(x, y, epochs=2, verbose=0, callbacks=[Telling()])
            begins 0
            begins 1
        """

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch ends, with its loss, metrics and `val_*`.

        Args:
            epoch: its number, from 0.
            logs: the loss and the metrics of the epoch by name, and those of its validation as `val_*`; a
                dict, to which a callback may add.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_epoch_end(self, epoch, logs=None):
            ...         logs["third"] = epoch / 3  # which callbacks after it and the History see
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(4, 2), torch.zeros(4, 1)
            >>> trainer.fit(x, y, epochs=4, verbose=0, callbacks=[Telling()])["third"][3]
            1.0
        """

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_begin`.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_batch_begin(self, batch, logs=None):
            ...         print("before batch", batch)
            >>> callbacks.CallbackList(Telling()).on_train_batch_begin(0)
            before batch 0
        """

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_end`.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: the loss and the metrics of the epoch so far, by name.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_batch_end(self, batch, logs=None):
            ...         print("after batch", batch, logs)
            >>> callbacks.CallbackList(Telling()).on_train_batch_end(0, {"loss": 0.5})
            after batch 0 {'loss': 0.5}
        """

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each step of the training.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_train_batch_begin(self, batch, logs=None):
            ...         print("before batch", batch)
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> history = trainer.fit(torch.zeros(64, 2), torch.zeros(64, 1), verbose=0, callbacks=[Telling()])
            before batch 0
            before batch 1
        """
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each step of the training; overriding it reads the device at every step.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: the loss and the metrics of the epoch so far, by name, as numbers.

        Example:
            >>> class Once(callbacks.Callback):
            ...     def on_train_batch_end(self, batch, logs=None):
            ...         self.model.stop_training = True
            >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(64, 2), torch.zeros(64, 1)
            >>> history = trainer.fit(x, y, epochs=9, verbose=0, callbacks=[Once()])
            >>> trainer.step.count
            1
        """
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, begins.

        Args:
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_test_begin(self, logs=None):
            ...         print("is measured")
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse")
            >>> figures = trainer.evaluate(torch.zeros(4, 2), torch.zeros(4, 1), verbose=0, callbacks=[Telling()])
            is measured
        """

    def on_test_end(self, logs: Logs = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, ends.

        Args:
            logs: the loss and the metrics of all batches, by name.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_test_end(self, logs=None):
            ...         print(sorted(logs))
            >>> trainer = Trainer(nn.Linear(2, 1), loss="mse", metrics=["mae"])
            >>> figures = trainer.evaluate(torch.zeros(4, 2), torch.zeros(4, 1), verbose=0, callbacks=[Telling()])
            ['loss', 'mae']
        """

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of an evaluation.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_test_batch_begin(self, batch, logs=None):
            ...         print("before batch", batch)
            >>> callbacks.CallbackList(Telling()).on_test_batch_begin(0)
            before batch 0
        """

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of an evaluation.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: the loss and the metrics of the batches so far, by name.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_test_batch_end(self, batch, logs=None):
            ...         print("after batch", batch, logs)
            >>> callbacks.CallbackList(Telling()).on_test_batch_end(0, {"loss": 0.5})
            after batch 0 {'loss': 0.5}
        """

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when `predict` begins.

        Args:
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_predict_begin(self, logs=None):
            ...         print("predicts")
            >>> trainer = Trainer(nn.Linear(2, 1))
            >>> trainer.predict(torch.zeros(4, 2), verbose=0, callbacks=[Telling()]).shape
            predicts
            (4, 1)
        """

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when `predict` ends.

        Args:
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_predict_end(self, logs=None):
            ...         print("has predicted")
            >>> trainer = Trainer(nn.Linear(2, 1))
            >>> trainer.predict(torch.zeros(4, 2), verbose=0, callbacks=[Telling()]).shape
            has predicted
            (4, 1)
        """

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before each batch of a prediction.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: empty.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_predict_batch_begin(self, batch, logs=None):
            ...         print("before batch", batch)
            >>> callbacks.CallbackList(Telling()).on_predict_batch_begin(0)
            before batch 0
        """

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after each batch of a prediction; `logs["outputs"]` is what the module returned.

        Args:
            batch: its number within the epoch or the run, from 0.
            logs: `{"outputs": ...}`.

        Example:
            >>> class Telling(callbacks.Callback):
            ...     def on_predict_batch_end(self, batch, logs=None):
            ...         print(tuple(logs["outputs"].shape))
            >>> trainer = Trainer(nn.Linear(2, 1))
            >>> trainer.predict(torch.zeros(64, 2), verbose=0, callbacks=[Telling()]).shape
            (32, 1)
            (32, 1)
            (64, 1)
        """


def _of_kind(value: Any, kind: str, place: str, model: Any) -> Any:
    """A value as it comes from a file, if it is of the kind that is kept."""
    if kind == "count":
        return whole(value, place)
    if kind == "flag":
        if not isinstance(value, bool):
            raise refused(place, value, "True or False")
        return value
    if value is None:
        return None
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise refused(place, value, "a number or None")
        return value
    own = {name: each.shape for name, each in model.state_dict().items()}
    fits = isinstance(value, Mapping) and {name: getattr(each, "shape", 0) for name, each in value.items()}
    if fits != own:
        raise refused(place, value, "the weights of the model or None")
    return dict(value)


EVENTS = {name: inspect.signature(method) for name, method in vars(Callback).items() if name[:3] == "on_"}


class CallbackList:
    """Several callbacks as one, in the order given; only those that have a method for an event hear of it.

    It is told of an event by the method of that name, as a callback is: `callbacks.on_epoch_end(0, logs)`.

    Args:
        callbacks: one or several; those of another list are taken out of it.
        add_history: whether a History is appended where there is none.
        model: what is trained.
        trainer: what trains it; by default what the model was compiled to.
        params: see `Callback`; they may be given by name too.
        **named_params: what `params` holds, by name.

    Example:
        >>> told = callbacks.CallbackList([callbacks.ProgbarLogger()], add_history=True, epochs=1, steps=8)
        >>> told.on_epoch_begin(0)
        Epoch 1/1
        >>> told.on_epoch_end(0, {"loss": torch.tensor(0.5)})
        8/8 - loss: 0.5000
        >>> told.callbacks[-1].history
        {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        *,
        model: Any = None,
        trainer: Any = None,
        params: Mapping[str, Any] | None = None,
        **named_params: Any,
    ) -> None:
        given = [callbacks] if hasattr(callbacks, "on_epoch_end") else callbacks or []
        self.callbacks: list[Any] = []
        self.telling: tuple[str, tuple[Any, ...], int] | None = None
        for each in given:
            self.callbacks += each.callbacks if isinstance(each, CallbackList) else [each]
        if add_history and not any(isinstance(each, History) for each in self.callbacks):
            self.callbacks.append(History())
        self.set_params({**(params or {}), **named_params})
        self.set_model(model)
        for callback in self.callbacks if trainer is not None else ():
            callback.trainer = trainer

    def set_model(self, model: Any) -> None:
        """Tell every callback what is trained; None is passed over."""
        self.model = model
        for callback in self.callbacks if model is not None else ():
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell every callback how long the run is."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(dict(params))

    def append(self, callback: Any) -> None:
        """Add one more, called after the others."""
        self.callbacks.append(callback)

    def methods(self, event: str) -> list[Callable[..., Any]]:
        """The methods that are called at an event such as "on_epoch_end"."""
        return [getattr(callback, event) for callback in self.callbacks if _has_own(callback, event)]

    def call(self, event: str, *args: Any) -> None:
        """Tell every callback of an event; `telling` says of what, and which of them, while one is told."""
        before = self.telling
        try:
            for place, callback in enumerate(self.callbacks):
                if _has_own(callback, event):
                    self.telling = event, args, place
                    getattr(callback, event)(*args)
        finally:
            self.telling = before

    def __getattr__(self, event: str) -> Callable[..., None]:
        """The method that tells every callback of an event, with the arguments of a callback's own."""
        if event not in EVENTS:
            raise AttributeError(f"CallbackList has no attribute {event!r}.")

        def tell(*args: Any, **kwargs: Any) -> None:
            bound = EVENTS[event].bind(self, *args, **kwargs)
            bound.apply_defaults()
            bound.arguments["logs"] = _as_numbers(bound.arguments["logs"] or {})
            self.call(event, *bound.args[1:])

        return tell


def _as_numbers(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs whose tensors of one value are numbers, as those of `fit` are."""
    return {
        name: value.item() if hasattr(value, "item") and math.prod(value.shape) == 1 else value
        for name, value in logs.items()
    }


def _has_own(callback: Any, event: str) -> bool:
    """Whether a callback does anything at an event."""
    if _overrides(callback, event):
        return True
    alias = event.replace("on_train_batch", "on_batch")
    return alias != event and hasattr(callback, alias) and _overrides(callback, alias)


def _overrides(callback: Any, event: str) -> bool:
    method = getattr(callback, event, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, event)


class History(Callback):
    """What `fit` returns: the loss and the metrics of every epoch.

    `history["loss"]` is the list of one value, `history[-1]` the values of the last epoch by name, and
    `history[2:]` a History of some of the epochs.

    Attributes:
        history: a list of values for each name in the logs.
        epoch: the numbers of the epochs.

    Example:
        >>> trainer, x, y = Trainer(nn.Linear(2, 1), loss="mse"), torch.zeros(4, 2), torch.zeros(4, 1)
        >>> history = trainer.fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
        >>> sorted(history.history), len(history["loss"]), history.epoch
        (['loss', 'val_loss'], 3, [0, 1, 2])
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}  # of each name, as not every epoch is validated

    def state_dict(self) -> dict[str, Any]:
        """All that it holds, as plain data.

        Returns:
            The epochs, the values by name, and of which epochs they are.

        Example:
            >>> history = callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.state_dict()
            {'epoch': [0], 'history': {'loss': [0.5]}, 'measured': {'loss': [0]}}
        """
        return {
            "epoch": list(self.epoch),
            "history": {name: list(values) for name, values in self.history.items()},
            "measured": {name: list(epochs) for name, epochs in self._epochs.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave.

        Args:
            state: what `state_dict` gave.

        Raises:
            ConfigError: values of another kind.

        Example:
            >>> history = callbacks.History()
            >>> history.load_state_dict({"epoch": [0], "history": {"loss": [0.5]}, "measured": {"loss": [0]}})
            >>> history["loss"]
            [0.5]
        """
        place = "the state of History"
        record(state, place, ("epoch", "history", "measured"))

        def numbers(each: Any, name: str) -> list[int]:
            return [whole(number, name) for number in listed(each, name, 2**31, "epochs")]

        def by_name(key: str) -> Mapping[str, Any]:
            if not isinstance(state[key], Mapping):
                raise refused(f"{place}.{key}", state[key], "an object with a list for each name")
            return state[key]  # type: ignore[no-any-return]

        epochs = numbers(state["epoch"], f"{place}.epoch")
        values = {
            name: listed(each, f"{place}.history", 2**31, "values")
            for name, each in by_name("history").items()
        }
        measured = {name: numbers(each, f"{place}.measured") for name, each in by_name("measured").items()}
        if {name: len(each) for name, each in values.items()} != {
            name: len(each) for name, each in measured.items()
        }:
            raise refused(f"{place}.measured", state["measured"], "a number of an epoch for each value")
        self.epoch, self.history, self._epochs = epochs, values, measured

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the logs of an epoch; of an epoch that a limit had ended early the later ones stand.

        Args:
            epoch: its number, from 0.
            logs: the loss and the metrics of the epoch, by name.

        Example:
            >>> history = callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.on_epoch_end(1, {"loss": 0.25, "val_loss": 0.75})
            >>> history.history, history[-1], history[0]
            ({'loss': [0.5, 0.25], 'val_loss': [0.75]}, {'loss': 0.25, 'val_loss': 0.75}, {'loss': 0.5})
        """
        if self.epoch[-1:] == [epoch]:  # which a limit had ended early
            for name, epochs in self._epochs.items():
                if epochs[-1:] == [epoch]:
                    epochs.pop()
                    self.history[name].pop()
            self.epoch.pop()
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.history[key]
        if not isinstance(key, slice):
            epoch = self.epoch[key]
            return {name: found[epoch] for name, found in self._by_epoch() if epoch in found}
        part, by_epoch = History(), self._by_epoch()
        for epoch in self.epoch[key]:
            part.on_epoch_end(epoch, {name: found[epoch] for name, found in by_epoch if epoch in found})
        return part

    def __len__(self) -> int:
        return len(self.epoch)

    def __bool__(self) -> bool:
        return True

    def _by_epoch(self) -> list[tuple[str, dict[int, Any]]]:
        """For each name its values by the number of the epoch."""
        return [
            (name, dict(zip(self._epochs.get(name, self.epoch), values, strict=False)))
            for name, values in self.history.items()
        ]

    def _repr_html_(self) -> str:
        """What a notebook shows: the curves."""
        return self.plot().svg

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each epoch; what was not measured in one is NaN.

        Returns:
            A `pandas.DataFrame` whose index is the number of the epoch, from 0, with a column for each name.

        Raises:
            TorchfuncError: pandas is not installed.

        Example:
            >>> history = callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.on_epoch_end(1, {"loss": 0.25, "val_loss": 0.75})
            >>> table = history.to_pandas()
            >>> table.shape, float(table.loc[1, "val_loss"])
            ((2, 2), 0.75)
        """
        try:
            import pandas
        except ImportError as error:
            raise TorchfuncError(
                explain("to_pandas", got="no package 'pandas'", fix="pip install pandas")
            ) from error
        index = pandas.Index(self.epoch, name="epoch")
        return pandas.DataFrame({name: pandas.Series(found) for name, found in self._by_epoch()}, index=index)

    def plot(self, names: str | Sequence[str] | None = None) -> Picture:
        """A picture of the values over the epochs, those of training and validation together.

        Args:
            names: of which, such as "loss", one or several; all by default.

        Returns:
            A Picture, which a notebook shows; `history.plot().save("history.svg")` writes it.

        Raises:
            UnknownNameError: nothing of that name was logged.

        Example:
            >>> history = callbacks.History()
            >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
            >>> history.plot("loss").save("loss.svg")
            >>> open("loss.svg").read(4)
            '<svg'
        """
        lines = {
            name: [(epoch + 1, float(value)) for epoch, value in found.items() if hasattr(value, "__float__")]
            for name, found in self._by_epoch()
        }
        known = list(dict.fromkeys(name.removeprefix("val_") for name, points in lines.items() if points))
        wanted = known if names is None else [names] if isinstance(names, str) else names
        for name in wanted:
            if name not in known:
                raise UnknownNameError("value", name, known)
        panels = {
            name: {
                said: lines[key]
                for said, key in (("train", name), ("validation", f"val_{name}"))
                if lines.get(key)
            }
            for name in wanted
        }
        return drawn(panels, "epoch")
