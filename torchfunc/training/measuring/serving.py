"""Serving: an array like the last one that `predict` was given goes straight to the module.

A row at a time is how a model is served. What `predict` finds out of module and data is the same for each of them, and
takes ten times as long as a small model. So it is remembered once it was plain: one array of floats as the module takes
it, one tensor that came back, no option that changes how it is computed. What could have changed since is compared.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from torchfunc.distributed.launch import ranks_for
from torchfunc.training.batches import Batch
from torchfunc.training.convert import Collected, to_numpy
from torchfunc.training.measuring.forwards import forwards_of
from torchfunc.training.step import Step, modes_kept

Array = np.ndarray[Any, Any]


class Plain(NamedTuple):
    """What a module was asked for the last time.

    Attributes:
        dtype: of the array.
        weights_dtype: of the tensor that it became, and of the first weight.
        shape: of one sample.
        graph: of the module, if it has one.
        holder: the module that has the first weight, by whose dtype and device data are converted.
        name: of that weight in it.
        weight: the weight.
        step: the step that did it.
    """

    dtype: np.dtype[Any]
    weights_dtype: torch.dtype
    shape: tuple[int, ...]
    graph: Any
    holder: weakref.ref[nn.Module]
    name: str
    weight: weakref.ref[nn.Parameter]
    step: weakref.ref[Step]

    def fits(self, module: nn.Module, step: Step | None, x: Any, most: int) -> bool:
        """Whether the module would do with `x` what it did with the last array."""
        if type(x) is not np.ndarray or x.dtype is not self.dtype or x.shape[1:] != self.shape:
            return False
        holder, weight = self.holder(), self.weight()
        return (
            0 < len(x) <= most
            and _lies_plainly(x)
            and (step is None or (step is self.step() and getattr(step.own, "predict", None) is None))
            and holder is not None
            and weight is not None
            and holder._parameters.get(self.name) is weight
            and weight.is_cpu
            and weight.dtype is self.weights_dtype
            and getattr(module, "graph", None) is self.graph
        )


def plainly(
    x: Any = None,
    batch_size: Any = None,
    verbose: Any = "auto",
    steps: Any = None,
    callbacks: Any = None,
    *_: Any,
    **unknown: Any,
) -> int | None:
    """How many samples make one batch, where `predict` is asked for nothing but outputs; else None."""
    silent = verbose == 0 and steps is None and callbacks is None and not unknown
    most = 32 if batch_size is None else batch_size
    return most if silent and type(most) is int and most > 0 else None


def whole(*_: Any, **__: Any) -> int:
    """The same of `predict_on_batch`, which takes as many as come."""
    return sys.maxsize


_served: weakref.WeakKeyDictionary[nn.Module, Plain] = weakref.WeakKeyDictionary()


def answer(module: nn.Module, step: Step | None, x: Any, most: int) -> Any:
    """What `predict` returns for an array, or None where it has to look at it.

    Args:
        module: that is asked, in a turn of this thread's.
        step: that would be taken; None where a new one would be made, without an option.
        x: what `predict` was given.
        most: how many samples one batch of it holds.
    """
    plain = _served.get(module)
    if plain is None or not plain.fits(module, step, x, most) or ranks_for(module, None) is not None:
        return None
    forwards = None if step is None else forwards_of(step)
    if forwards is None:
        outputs = _called(module, torch.tensor(x))  # a copy, which the module may change in place
    elif (outputs := forwards.answer(torch.from_numpy(x))) is None:
        outputs = forwards.learn(partial(_called, module), torch.tensor(x))
    elif type(outputs) is Tensor:
        return outputs.numpy() if outputs.dtype is not torch.bfloat16 else to_numpy(outputs)
    if type(outputs) is Tensor and outputs.ndim:
        return to_numpy(outputs).copy()  # it may be the module's own
    collected = Collected()
    collected.add(outputs)
    return collected.joined()


def _called(module: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), _in_inference(module):
        return module(x)


@contextmanager
def _in_inference(module: nn.Module) -> Iterator[None]:
    """As `modes_kept` and `eval`; where no class has ways of its own, without nn.Module's look at each value that is set."""
    modules = list(module.modules())
    training = [each for each in modules if each.training]
    if not training:
        yield
    elif any(
        type(each).train is not nn.Module.train or type(each).eval is not nn.Module.eval for each in modules
    ):
        with modes_kept(module):
            module.eval()
            yield
    else:
        for each in training:
            vars(each)["training"] = False
        try:
            yield
        finally:
            for each in training:
                vars(each)["training"] = True


def remember(step: Step, x: Any, batch: Batch, outputs: Any) -> None:
    """After a prediction: keep what it was, where the next one like it needs no more than a call of the module.

    Args:
        step: that predicted.
        x: what `predict` was given.
        batch: what was made of it.
        outputs: what came of it.
    """
    module, inputs = step.module, step.ports.inputs
    _served.pop(module, None)
    first = next(_held(module), None)
    plain = (
        type(x) is np.ndarray
        and x.ndim > 0
        and x.dtype.isnative
        and x.dtype.kind in "fc"
        and _lies_plainly(x)
        and first is not None
        and step.device.type == "cpu"
        and step.ranks is None
        and step.mixed is None
        and not step.options.deterministic
        and getattr(step.own, "predict", None) is None
        and not any(vars(each)["_losses"] for each in step.extras.collecting)
        and type(outputs) is np.ndarray
        and batch.form.style == "positional"
        and batch.form.inner is None
        and (inputs is None or inputs.batch_size is None)
        and [(each.shape, each.dtype) for each in batch.inputs] == [(x.shape, first.weight.dtype)]
        and torch.from_numpy(x[:0]).dtype is first.weight.dtype
    )
    if plain and first is not None:
        _served[module] = Plain(
            x.dtype,
            first.weight.dtype,
            x.shape[1:],
            getattr(module, "graph", None),
            weakref.ref(first.holder),
            first.name,
            weakref.ref(first.weight),
            weakref.ref(step),
        )


class _Held(NamedTuple):
    """A weight and where it stands."""

    holder: nn.Module
    name: str
    weight: nn.Parameter


def _held(module: nn.Module) -> Iterator[_Held]:
    """All weights that have numbers."""
    for each in module.modules():
        for name, weight in each._parameters.items():
            if weight is not None:
                yield _Held(each, name, weight)


def _lies_plainly(x: Array) -> bool:
    """Whether PyTorch takes an array as it lies, without a copy and without a warning."""
    return x.flags.carray
