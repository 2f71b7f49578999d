"""Verbs: compile, fit, evaluate and predict: what a Model says to its Trainer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch

from torchfunc.errors import CompileError, explain
from torchfunc.graph.graph import Graph
from torchfunc.graph.symbolic import Input
from torchfunc.layers.layer import Layer
from torchfunc.models.graph_ports import ports_of
from torchfunc.training.ports import Ports
from torchfunc.training.step import is_waiting
from torchfunc.training.trainer import Trainer
from torchfunc.tree import is_branch, leaves, map_leaves
from torchfunc.turns import turn

P = ParamSpec("P")
R = TypeVar("R")

_TORCH = inspect.signature(torch.compile).parameters.keys() - {"model"}  # they differ between versions

_STEPS = {
    "fit": "train_step", "train_on_batch": "train_step", "evaluate": "test_step", "test_on_batch": "test_step",
    "predict": "predict_step", "predict_on_batch": "predict_step",
}  # fmt: skip


def as_in(
    method: Callable[Concatenate[Trainer, P], R], *, compiled: bool = True
) -> Callable[Concatenate[Any, P], R]:
    """A method of the Trainer as one of the Model, with its signature and its docstring.

    Args:
        method: what the model's trainer is told to do; its first argument is `x`.
        compiled: whether the model must have been compiled for it.
    """

    def verb(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with turn(self, method.__name__):
            # where the user has a step of that kind, the forward need not take the data at all
            if not self._overrides(_STEPS[method.__name__]) or any(map(is_waiting, self.modules())):
                self._build_from(args[0] if args else kwargs.get("x"))
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
    stop_training = False

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
        **torch_options: Any,
    ) -> None:
        """Say how the model is trained.

        Called with keywords of `torch.compile` alone, or with nothing, it is `nn.Module.compile`.

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
            torch_options: keywords of `torch.compile`, for `jit_compile=True`.

        Raises:
            UnknownNameError: a loss, metric or optimizer of that name does not exist.
            CompileError: something that does not fit the model's outputs, or that compile does not take.
        """
        ours = (optimizer, loss, loss_weights, metrics, weighted_metrics, jit_compile, device)
        not_needed = (run_eagerly, steps_per_execution, auto_scale_loss)
        if torch_options.keys() <= _TORCH and all(each is None for each in (*ours, *not_needed)):
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
            steps_per_execution=1 if steps_per_execution in (None, "auto") else steps_per_execution,  # type: ignore[arg-type]
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
        self.__dict__["trainer"] = trainer

    def _own_steps(self) -> SimpleNamespace:
        """The steps that a subclass has overridden, under the Trainer's names for them."""
        own = {"train": "train_step", "measure": "test_step", "predict": "predict_step"}
        own |= {name: name for name in ("compute_loss", "compute_metrics")}
        return SimpleNamespace(
            **{act: getattr(self, name) for act, name in own.items() if self._overrides(name)}
        )

    def _overrides(self, name: str) -> bool:
        """Whether a subclass has a method of its own in the place of one of these."""
        return getattr(type(self), name) is not getattr(Training, name)

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
        """
        return self._trainer().step.compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The logs after a batch, which this takes into the metrics of `compile`. Override it to have others."""
        return self._trainer().step.compute_metrics(x, y, y_pred, sample_weight)

    def train_step(self, batch: Any) -> Any:
        """Learn from one batch. Override it to train in another way.

        Args:
            batch: what the Trainer made of the data: `batch.inputs`, `batch.targets`, `batch.weights`.

        Returns:
            The logs, as tensors or numbers by name; None to have those of `compile`.
        """
        return self._trainer().step.train(batch)

    def test_step(self, batch: Any) -> Any:
        """Measure one batch; returns what `train_step` does."""
        return self._trainer().step.measure(batch)

    def predict_step(self, batch: Any) -> Any:
        """What the model returns for one batch."""
        return self._trainer().step.predict(batch)

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
        return self.trainer or Trainer(self, ports=self._ports())

    fit = as_in(Trainer.fit)
    evaluate = as_in(Trainer.evaluate)
    predict = as_in(Trainer.predict, compiled=False)
    train_on_batch = as_in(Trainer.train_on_batch)
    test_on_batch = as_in(Trainer.test_on_batch)
    predict_on_batch = as_in(Trainer.predict_on_batch, compiled=False)

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
    def optimizer(self) -> Any:
        """The optimizer of `compile`, or None."""
        return None if self.trainer is None else self.trainer.optimizer

    @property
    def loss(self) -> Any:
        """The loss of `compile`, or None."""
        return None if self.trainer is None else self.trainer.loss

    @property
    def metrics_names(self) -> list[str]:
        """The names under which `evaluate` returns its values; none before `compile`."""
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
