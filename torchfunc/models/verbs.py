"""Verbs: compile, fit, evaluate and predict: what a Model says to its Trainer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import torch

from torchfunc.errors import CompileError, TorchfuncError, explain
from torchfunc.graph.graph import Graph
from torchfunc.graph.symbolic import Input
from torchfunc.layers.layer import Layer
from torchfunc.models.graph_ports import ports_of
from torchfunc.models.own_steps import compiled_metrics
from torchfunc.models.resuming import restore_training
from torchfunc.saving.archive import Place
from torchfunc.training.measuring import serving
from torchfunc.training.options.compiled import Options
from torchfunc.training.options.precision import Precision
from torchfunc.training.ports import Ports
from torchfunc.training.step import NO_LOSS, is_waiting, metrics_in
from torchfunc.training.trainer import Trainer
from torchfunc.tree import is_branch, leaves, map_leaves
from torchfunc.turns import turn

P = ParamSpec("P")
_ACTS = {"train": "train_step", "measure": "test_step", "predict": "predict_step"}
R = TypeVar("R")

_TORCH = inspect.signature(torch.compile).parameters.keys() - {"model"}  # they differ between versions

_STEPS = {
    "fit": "train_step", "train_on_batch": "train_step", "evaluate": "test_step", "test_on_batch": "test_step",
    "predict": "predict_step", "predict_on_batch": "predict_step",
}  # fmt: skip


def as_in(
    method: Callable[Concatenate[Trainer, P], R],
    *,
    compiled: bool = True,
    alone: Callable[..., int | None] | None = None,
    again: Callable[Concatenate[Trainer, P], R | None] | None = None,
) -> Callable[Concatenate[Any, P], R]:
    """A method of the Trainer as one of the Model, with its signature and its docstring.

    Args:
        method: what the model's trainer is told to do; its first argument is `x`.
        compiled: whether the model must have been compiled for it.
        alone: how many samples a call takes as one batch, if it asks for nothing but what the model returns.
        again: what does the same where all is as it was at the last call, or returns None.
    """

    def verb(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with turn(self, method.__name__):
            x = args[0] if args else kwargs.get("x")
            own = self._overrides(_STEPS[method.__name__])
            if alone is not None and not own and (most := alone(*args, **kwargs)):
                step = None if self.trainer is None else self.trainer.step
                if (served := serving.answer(self, step, x, most)) is not None:
                    return cast(R, served)
            repeats = again is not None and not own and self.trainer is not None
            if repeats and (done := again(self.trainer, *args, **kwargs)) is not None:  # type: ignore[misc]
                return done
            if not own:
                self._build_from(x)
            elif any(map(is_waiting, self.modules())):
                with suppress(
                    TorchfuncError, RuntimeError, TypeError
                ):  # its forward need not take the data at all
                    self._build_from(x)
            trainer, ports = self._trainer(compiled), self._ports()
            if ports is not None:
                trainer.take_ports(ports)
            return method(trainer, *args, **kwargs)

    functools.update_wrapper(verb, method)
    verb.__qualname__ = f"Training.{method.__name__}"
    return verb


class Training(Layer):
    """`compile`, `fit`, `evaluate` and `predict`: Keras's words for a Trainer that the model holds.

    The Trainer is a plain object and no submodule: a loss with weights of its own does not appear in
    the model's `state_dict`.
    """

    graph: Graph | None = None
    trainer: Trainer | None = None
    stop_training = stop_evaluating = stop_predicting = False
    run_eagerly = jit_compile = False

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool | None = None,
        steps_per_execution: int | str | None = None,
        jit_compile: bool | str | None = None,
        auto_scale_loss: bool | None = None,
        *,
        device: torch.device | str | None = None,
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
        sync_batchnorm: bool | None = None,
        parallelize: Any = None,
        **torch_options: Any,
    ) -> None:
        """Say how the model is trained.

        Called with keywords of `torch.compile` alone, or with nothing, it is `nn.Module.compile`; with nothing
        Keras's all the same where the class has a step or a `compile` of its own.

        Args:
            optimizer: a Keras name ("rmsprop" by default), an optimizer of torchfunc or of `torch.optim`.
            loss: a Keras name, a loss, a function (y_true, y_pred), a loss module of `torch.nn`; a list
                or a dict by output name for several outputs.
            loss_weights: a number for each loss, as a list or a dict.
            metrics: names, metrics or functions; one, a list, or for several outputs a list of lists or a dict.
            weighted_metrics: metrics that take `sample_weight` and `class_weight` into account.
            run_eagerly: True turns `jit_compile` off; without that, all runs eagerly anyway.
            steps_per_execution: how many batches callbacks are told of at a time; "auto" is 1.
            jit_compile: True puts the forward through `torch.compile`.
            auto_scale_loss: no loss is scaled here, so that True is refused where weights in float16 would need it.
            device: where to train; CUDA where there is one, else the CPU.
            precision: "bf16" or "fp16" to compute in halves beside weights in float32, "tf32" for matrix products in
                NVIDIA's 19 bits; None goes by Keras's global policy.
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
            distribute: how several processes train together: "ddp" or "fsdp"; None for "ddp" where torchrun has begun
                them; False for each process by itself.
            sync_batchnorm: whether batch normalization is over the batches of all processes, rather than of each.
            parallelize: instead of sharing data out, divide layers among the processes, "colwise" or "rowwise" by name.
            torch_options: keywords of `torch.compile`, for `jit_compile=True`.

        Raises:
            UnknownNameError: a loss, metric or optimizer of that name does not exist.
            CompileError: something that does not fit the model's outputs, or that compile does not take.

        Example:
            >>> model.compile(optimizer="adam", loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
            >>> model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros(4, int), verbose=0, return_dict=True).keys()
            dict_keys(['loss', 'accuracy'])
        """
        ours = (
            optimizer,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            jit_compile,
            device,
            distribute,
            sync_batchnorm,
            parallelize,
        )
        not_needed = (run_eagerly, steps_per_execution, auto_scale_loss)
        options: dict[str, Any] = {
            "precision": precision,
            "deterministic": deterministic,
            "gradient_accumulation_steps": gradient_accumulation_steps,
            "clipnorm": clipnorm,
            "clipvalue": clipvalue,
            "global_clipnorm": global_clipnorm,
            "lr_scheduler": lr_scheduler,
            "use_ema": use_ema,
            "ema_momentum": ema_momentum,
            "ema_overwrite_frequency": ema_overwrite_frequency,
            "cuda_graph": cuda_graph,
        }
        said = Options(**options) != Options() or any(each is not None for each in (*ours, *not_needed))
        alone = torch_options.keys() <= _TORCH and not said
        if alone and (torch_options or not self._trains_itself()):
            super().compile(**torch_options)
            return
        _check_options(torch_options, jit_compile)
        trainer = Trainer(
            self,
            optimizer="rmsprop" if optimizer is None else optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            ports=self._ports(),
            device=device,
            step=self._own_steps(),
            distribute=distribute,
            sync_batchnorm=bool(sync_batchnorm),
            parallelize=parallelize,
            steps_per_execution=1 if steps_per_execution in (None, "auto") else steps_per_execution,  # type: ignore[arg-type]
            **options,
        )
        if auto_scale_loss and any(each.dtype is torch.float16 for each in self.parameters()):
            raise CompileError(
                explain(
                    "auto_scale_loss",
                    got="True with weights in float16",
                    why="no loss is scaled here, so that small gradients would become 0",
                    fix="model.bfloat16(), which needs no scaling, or auto_scale_loss=False",
                )
            )
        if jit_compile is True and not run_eagerly:
            super().compile(**torch_options)
        self.__dict__.pop("_optimizer", None)
        if self.trainer is not None:
            self.trainer.step.notes.rest()
        self.__dict__["trainer"] = trainer
        self.run_eagerly, self.jit_compile = bool(run_eagerly), jit_compile is True and not run_eagerly

    def _own_steps(self) -> SimpleNamespace:
        """The steps that a subclass has overridden, under the Trainer's names for them."""
        acts = {act: name for act, name in _ACTS.items() if self._overrides(name)}
        own = acts | {name: name for name in ("compute_loss", "compute_metrics") if self._overrides(name)}
        if self._overrides("reset_metrics") or self._overrides("metrics"):
            own["reset"] = "reset_metrics"
        # Keras hands data on as they came; a method that calls its argument `batch` is given a Batch
        takes_data = frozenset(act for act, name in acts.items() if not self._takes_batch(name))
        return SimpleNamespace(
            takes_data=takes_data, **{act: getattr(self, name) for act, name in own.items()}
        )

    def _takes_batch(self, name: str) -> bool:
        return next(iter(inspect.signature(getattr(self, name)).parameters), "") == "batch"

    def _trains_itself(self) -> bool:
        """Whether a subclass says in Python how it is compiled or trained."""
        return any(map(self._overrides, ("compile", "compute_loss", *_ACTS.values())))

    def _overrides(self, name: str) -> bool:
        """Whether a subclass, or the object, has a method of its own in the place of one of these."""
        return name in vars(self) or getattr(type(self), name) is not getattr(Training, name)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch: that of `compile`, and what the model adds. Override it to have another.

        Args:
            x: the inputs.
            y: the targets.
            y_pred: what the model returned for the inputs.
            sample_weight: the weights of the samples, or None.
            training: whether it is learned from.

        Returns:
            A scalar tensor.

        Raises:
            CompileError: there is no loss.

        Example:
            >>> model.compile("sgd", "mse")
            >>> model.compute_loss(y=torch.zeros(1, 2), y_pred=torch.tensor([[1.0, 3.0]]))  # (1 + 9) / 2
            tensor(5.)
        """
        loss = self._trainer(compiled=False).step.compute_loss(x, y, y_pred, sample_weight, training)
        if loss is None:
            raise CompileError(NO_LOSS)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The logs after a batch, which this takes into the metrics of `compile`. Override it to have others.

        Args:
            x: the inputs.
            y: the targets.
            y_pred: what the model returned for the inputs.
            sample_weight: the weights of the samples, or None.

        Returns:
            The figures so far by name.

        Example:
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> logs = model.compute_metrics(None, torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]))
            >>> float(logs["mae"])
            2.0
        """
        return self._trainer(compiled=False).step.compute_metrics(x, y, y_pred, sample_weight)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from one batch. Override it to train in another way.

        Args:
            data: x, (x, y) or (x, y, sample_weight), as tensors on the device, nested as they came. Where the
                argument of your method is called `batch`, it is the batch of a Step instead: its `inputs`, `targets`
                and `weights` are lists of tensors.

        Returns:
            The logs, as tensors or numbers by name.

        Example:
            >>> class Halved(tf.Model):
            ...     def train_step(self, data):
            ...         return {"half": super().train_step(data)["loss"] / 2}
            >>> x = tf.Input((3,))
            >>> halved = Halved(x, tf.layers.Dense(1)(x))
            >>> halved.compile("sgd", "mse")
            >>> list(halved.fit(np.zeros((4, 3)), np.zeros((4, 1)), verbose=0).history)
            ['half']
        """
        return self._logs_of(self._trainer(compiled=False).step.train(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure one batch; takes and returns what `train_step` does.

        Args:
            data: x, (x, y) or (x, y, sample_weight), as `train_step` takes it.

        Returns:
            The logs, as tensors or numbers by name.

        Example:
            >>> model.compile(loss="mse")
            >>> _ = model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
            >>> list(model.test_step((torch.zeros(4, 8, 8, 3), torch.zeros(4, 2))))
            ['loss']
        """
        return self._logs_of(self._trainer(compiled=False).step.measure(data))

    def predict_step(self, data: Any) -> Any:
        """What the model returns for one batch, of which x is taken.

        Args:
            data: x, (x, y) or (x, y, sample_weight), as `train_step` takes it.

        Returns:
            Tensors, nested as the outputs.

        Example:
            >>> model.predict_step(torch.zeros(5, 8, 8, 3)).shape
            torch.Size([5, 2])
        """
        return self._trainer(compiled=False).step.predict(data)

    def _logs_of(self, logs: Any) -> dict[str, Any]:
        """What a step says, or all figures so far."""
        return self._trainer(compiled=False).step.figures() if logs is None else dict(logs)

    @property
    def metrics(self) -> list[Any]:
        """The loss, the metrics of `compile` and the loss of each output, then those that the model and its layers keep.

        Each has `name`, `update_state`, `result` and `reset_state`. `fit` sets those back at each epoch. Override it
        to say yourself which these are.

        Example:
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> _ = model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
            >>> [each.name for each in model.metrics]
            ['loss', 'compile_metrics']
        """
        compiled = [] if self.trainer is None else compiled_metrics(self.trainer.step)
        return [*compiled, *metrics_in(self)]

    def reset_metrics(self) -> None:
        """Set all `metrics` back.

        Example:
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> _ = model.evaluate(np.zeros((4, 8, 8, 3)), np.ones((4, 2)), verbose=0)
            >>> model.reset_metrics()
            >>> float(model.get_metrics_result()["mae"])
            0.0
        """
        for each in self.metrics:
            each.reset_state() if hasattr(each, "reset_state") else each.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """The results of all `metrics` by name.

        Returns:
            Numbers or tensors by the names of the metrics.

        Example:
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> _ = model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
            >>> sorted(model.get_metrics_result())
            ['loss', 'mae']
        """
        found: dict[str, Any] = {}
        for each in self.metrics:
            result = each.result() if hasattr(each, "result") else each.compute()
            found |= result if isinstance(result, dict) else {each.name: result}
        return found

    def _ports(self) -> Ports | None:
        """What the Trainer has to know of the graph, if there is one, with inputs in the dtype of all weights."""
        if self.graph is None:
            return None
        ports = ports_of(self.graph, self._modules)
        dtypes = {each.dtype for each in self.parameters() if each.is_floating_point()}
        default = torch.get_default_dtype()
        if len(dtypes) == 1 and dtypes != {default} and ports.inputs is not None:
            cast = [
                replace(each, dtype=next(iter(dtypes))) if each.dtype is default else each
                for each in ports.inputs
            ]
            ports.inputs = replace(ports.inputs, ports=tuple(cast))
        return ports

    def _trainer(self, compiled: bool = True) -> Trainer:
        """The trainer of `compile`; what needs none of its arguments can do with a new one."""
        if self.trainer is None and compiled:
            raise CompileError(
                f"The model {self.name!r} was not compiled. "
                "Fix: model.compile(optimizer='adam', loss='mse') before training it."
            )
        own = self._own_steps()
        if self.trainer is None:
            return Trainer(self, ports=self._ports(), step=own)
        if self.trainer.step.own != own:  # a step may have been set on the object since
            self.trainer.step.own = own
        return self.trainer

    fit = as_in(Trainer.fit)
    evaluate = as_in(Trainer.evaluate)
    predict = as_in(Trainer.predict, compiled=False, alone=serving.plainly)
    train_on_batch = as_in(Trainer.train_on_batch, again=Trainer._trained_again)
    test_on_batch = as_in(Trainer.test_on_batch)
    predict_on_batch = as_in(Trainer.predict_on_batch, compiled=False, alone=serving.whole)

    def _build_from(self, x: Any) -> None:
        """Build a model that has no graph yet for the shapes of its data, without computing."""
        if getattr(self, "built", True) or x is None:
            return
        leaf = next(leaves(x), None)
        if not all(hasattr(each, "shape") and hasattr(each, "dtype") for each in leaves(x)) or leaf is None:
            first = next(iter(x), None) if not is_branch(x) else None
            if isinstance(first, (tuple, list)) and hasattr(x, "__len__"):
                batched = not hasattr(x, "__getitem__")
                given = (
                    first[0] if batched else map_leaves(lambda each: torch.as_tensor(each)[None], first[0])
                )
                self._build_from(given)
            return
        symbols = map_leaves(lambda each: Input(tuple(each.shape[1:]), dtype=_input_dtype(each)), x)
        self.symbolic_call(symbols)
        self._nodes.clear()
        self.built = True

    @property
    def compiled(self) -> bool:
        """Whether `compile` said how the model is trained.

        Example:
            >>> before = model.compiled
            >>> model.compile("sgd", "mse")
            >>> before, model.compiled
            (False, True)
        """
        return self.trainer is not None

    @property
    def optimizer(self) -> Any:
        """The optimizer of `compile`, or None; another may be set.

        Example:
            >>> model.compile(tf.optimizers.SGD(0.5), "mse")
            >>> type(model.optimizer).__name__
            'SGD'
        """
        return self.__dict__.get("_optimizer") if self.trainer is None else self.trainer.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        if self.trainer is None:
            self.__dict__["_optimizer"] = optimizer
        else:
            self.trainer.optimizer = optimizer

    @property
    def loss(self) -> Any:
        """The loss of `compile`, or one that was set; the latter is not trained towards.

        Example:
            >>> model.compile("sgd", "mse")
            >>> model.loss
            'mse'
        """
        compiled = None if self.trainer is None else self.trainer.loss
        return self.__dict__.get("loss") if compiled is None else compiled

    @loss.setter
    def loss(self, loss: Any) -> None:
        self.__dict__["loss"] = loss

    @property
    def history(self) -> Any:
        """What the last `fit` returned, or None.

        Example:
            >>> model.compile("sgd", "mse")
            >>> _ = model.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), epochs=2, verbose=0)
            >>> model.history.epoch
            [0, 1]
        """
        return self.__dict__.get("history", None if self.trainer is None else self.trainer.history)

    @history.setter
    def history(self, history: Any) -> None:
        self.__dict__["history"] = history

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile` as plain data; nothing before it.

        Returns:
            A dict that `compile_from_config` takes.

        Raises:
            SavingError: a function or an object among them that no file can name.

        Example:
            >>> model.compile("sgd", "mse")
            >>> model.get_compile_config()["loss"]
            'mse'
        """
        return {} if self.trainer is None else self.trainer.get_config()

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` said; where the class has a `compile` of its own, that is for you to call.

        Args:
            config: what `get_compile_config` gave; an empty one compiles nothing.

        Raises:
            ConfigError: another argument, or one that `get_compile_config` does not write so.
            UnknownNameError: a loss, a metric or an optimizer that nobody knows.

        Example:
            >>> model.compile_from_config({"optimizer": "sgd", "loss": "mse"})
            >>> model.compiled
            True
        """
        if config:
            restore_training(self, dict(config), None, {})

    def back_up(self, filepath: Place) -> None:
        """Write the weights and the state of the training, without the architecture; see `BackupAndRestore`.

        Args:
            filepath: the file to write.

        Example:
            >>> model.compile("sgd", "mse")
            >>> model.back_up("training.safetensors")
            >>> model.restore_backup("training.safetensors")
        """
        self._trainer().back_up(filepath)

    def restore_backup(self, filepath: Place) -> None:
        """Take what `back_up` wrote of a model with the same weights, compiled alike.

        Args:
            filepath: the file that `back_up` wrote.

        Raises:
            TorchfuncError: another file, or what does not fit the model; nothing is changed then.

        Example:
            >>> model.compile("sgd", "mse")
            >>> model.back_up("training.safetensors")
            >>> model.restore_backup("training.safetensors")
        """
        self._trainer().restore_backup(filepath)

    @property
    def metrics_variables(self) -> list[Any]:
        """What all `metrics` sum up, from the first update on.

        Example:
            >>> class Counting(tf.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.seen = tf.metrics.Sum(name="seen")
            >>> counting = Counting()
            >>> counting.seen.update_state([1.0, 2.0])
            >>> [float(each) for each in counting.metrics_variables]
            [3.0]
        """
        return [each for metric in self.metrics for each in getattr(metric, "variables", ())]

    @property
    def metrics_names(self) -> list[str]:
        """The names under which `evaluate` returns its values; none before `compile`.

        Example:
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> _ = model.evaluate(np.zeros((4, 8, 8, 3)), np.zeros((4, 2)), verbose=0)
            >>> model.metrics_names
            ['loss', 'mae']
        """
        return [] if self.trainer is None else self.trainer.metrics_names


def _check_options(torch_options: Mapping[str, Any], jit_compile: Any) -> None:
    """Refuse what neither Keras's `compile` nor PyTorch's takes, and what PyTorch's would not be asked for."""
    name = next(iter(sorted(torch_options, key=_TORCH.__contains__)), None)
    if name is not None and name not in _TORCH:
        known = [each for each in inspect.signature(Training.compile).parameters if each != "self"]
        raise CompileError(f"compile has no argument {name!r}. It takes: {', '.join(known)}.")
    if name is not None and jit_compile is not True:
        fix = f"give jit_compile=True too, or call compile({name}=...) by itself"
        raise CompileError(
            explain(name, got="an argument of torch.compile beside those of training", fix=fix)
        )


def _input_dtype(array: Any) -> torch.dtype:
    """The dtype in which an array reaches a model that does not say: float64 arrives as float32."""
    dtype = (
        array.dtype
        if isinstance(array.dtype, torch.dtype)
        else getattr(torch, str(array.dtype), torch.float32)
    )
    return torch.float32 if dtype is torch.float64 else dtype
