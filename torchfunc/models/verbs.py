"""Training: what a Model says to its Trainer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from torchfunc.callbacks import History
from torchfunc.errors import CompileError
from torchfunc.graph.graph import Graph
from torchfunc.graph.symbolic import Input
from torchfunc.layers.layer import Layer
from torchfunc.models.graph_ports import ports_of
from torchfunc.training.ports import Ports
from torchfunc.training.trainer import Trainer
from torchfunc.tree import is_branch, leaves, map_leaves

_KERAS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "jit_compile", "device")
_TORCH = inspect.signature(torch.compile).parameters.keys() - {"model"}  # they differ between versions


class Training(Layer):
    """`compile`, `fit`, `evaluate` and `predict`: Keras's words for a Trainer that the model holds.

    The Trainer is a plain object and no submodule: a loss with weights of its own does not appear in
    the model's `state_dict`.
    """

    graph: Graph | None = None
    trainer: Trainer | None = None
    stop_training = False

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Say how the model is trained.

        Called with keywords of `torch.compile` alone, or with nothing, it is `nn.Module.compile`.

        Args:
            optimizer: a Keras name ("rmsprop" by default), an optimizer of torchfunc or of `torch.optim`.
            loss: a Keras name, a loss, a function (y_true, y_pred), a loss module of `torch.nn`; a list
                or a dict by output name for several outputs.
            loss_weights: a number for each loss, as a list or a dict.
            metrics: names, metrics or functions; one, a list, or for several outputs a list of lists or a dict.
            weighted_metrics: metrics that take `sample_weight` and `class_weight` into account.
            jit_compile: whether the forward is put through `torch.compile`.
            device: where to train; CUDA where there is one, else the CPU.

        Raises:
            UnknownNameError: a loss, metric or optimizer of that name does not exist.
            CompileError: something that does not fit the model's outputs.
        """
        if not args and all(key in _TORCH for key in kwargs):
            super().compile(**kwargs)
            return
        given = {**dict(zip(_KERAS, args, strict=False)), **kwargs}
        unknown = [key for key in given if key not in (*_KERAS, *_IGNORED)]
        if unknown or len(args) > len(_KERAS):
            raise CompileError(
                f"compile has no argument {unknown[0] if unknown else args[-1]!r}. It takes: {', '.join(_KERAS)}."
            )
        if given.pop("jit_compile", False) is True:
            super().compile()
        options = {key: value for key, value in given.items() if key not in _IGNORED}
        self.__dict__["trainer"] = Trainer(self, **options, ports=self._ports(), step=self._own_steps())

    def _own_steps(self) -> SimpleNamespace:
        """The steps that a subclass has overridden, under the Trainer's names for them."""
        known = {"train": "train_step", "measure": "test_step", "predict": "predict_step"}
        return SimpleNamespace(
            **{
                act: getattr(self, name)
                for act, name in known.items()
                if getattr(type(self), name) is not getattr(Training, name)
            }
        )

    def _refresh(self) -> None:
        """Bring the graph up to date with the submodules, for a model that has one."""

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
        """What the Trainer has to know of the graph, if there is one."""
        self._refresh()
        return None if self.graph is None else ports_of(self.graph, self._modules)

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise CompileError(
                f"The model {self.name!r} was not compiled. "
                "Fix: model.compile(optimizer='adam', loss='mse') before training it."
            )
        return self.trainer

    def fit(self, x: Any = None, y: Any = None, **options: Any) -> History:
        """Train on data; see `Trainer.fit` for the arguments.

        Returns:
            A History, whose `history` holds a list of values for each loss and metric.

        Raises:
            CompileError: the model was not compiled.
            DataError: data that do not fit the model.
        """
        self._build_from(x)
        return self._trainer().fit(x, y, **options)

    def evaluate(self, x: Any = None, y: Any = None, **options: Any) -> Any:
        """The loss and the metrics on data; see `Trainer.evaluate`."""
        self._build_from(x)
        return self._trainer().evaluate(x, y, **options)

    def predict(self, x: Any, **options: Any) -> Any:
        """What the model returns for data, as NumPy; see `Trainer.predict`."""
        self._build_from(x)
        trainer = self.trainer or Trainer(self, ports=self._ports())
        return trainer.predict(x, **options)

    def train_on_batch(self, x: Any, y: Any = None, **options: Any) -> Any:
        """One step on one batch; see `Trainer.train_on_batch`."""
        self._build_from(x)
        return self._trainer().train_on_batch(x, y, **options)

    def test_on_batch(self, x: Any, y: Any = None, **options: Any) -> Any:
        """The loss and the metrics on one batch."""
        self._build_from(x)
        return self._trainer().test_on_batch(x, y, **options)

    def predict_on_batch(self, x: Any) -> Any:
        """What the model returns for one batch, as NumPy."""
        self._build_from(x)
        return (self.trainer or Trainer(self, ports=self._ports())).predict_on_batch(x)

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


# arguments of Keras's `compile` that change how its backends run, and nothing of the result
_IGNORED: Sequence[str] = ("run_eagerly", "steps_per_execution", "auto_scale_loss")


def _input_dtype(array: Any) -> torch.dtype:
    """The dtype in which an array reaches a model that does not say: float64 arrives as float32."""
    dtype = (
        array.dtype
        if isinstance(array.dtype, torch.dtype)
        else getattr(torch, str(array.dtype), torch.float32)
    )
    return torch.float32 if dtype is torch.float64 else dtype
