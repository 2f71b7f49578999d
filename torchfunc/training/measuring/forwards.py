"""Forwards: what a module returns in inference mode, recorded once for each shape and repeated with plain calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.batches import Batch
from torchfunc.training.measuring.programs import Program, Programs, alike, code_of
from torchfunc.training.recording.lines import Reader, Unknown
from torchfunc.training.recording.permitted import why_not_called
from torchfunc.training.recording.replaying import held_by
from torchfunc.training.recording.tape import Tape
from torchfunc.training.step import Act, Step


def forwards_of(step: Step) -> Forwards:
    """What was recorded of the module of a step, in the mode in which the user has it."""
    if step.notes.forwards is None:
        step.notes.forwards = Forwards(step)
    forwards: Forwards = step.notes.forwards
    return forwards


def predicting(step: Step) -> Act:
    """What is done with a batch that is predicted: recorded where that is known to be right."""
    act = step.act("predict")
    if why_not_predicted(step):
        return act
    if step.notes.predictions is None:
        step.notes.predictions = Forwards(step)
    forwards: Forwards = step.notes.predictions

    def predict(batch: Batch) -> Any:
        plain = (
            isinstance(batch, Batch)
            and len(batch.inputs) == 1
            and batch.form.style == "positional"
            and batch.form.inner is None
            and batch.form.nesting is None
            and type(batch.inputs[0]) is Tensor
            and batch.inputs[0].is_contiguous()
        )
        if not plain:
            return act(batch)
        outputs = forwards.answer(batch.inputs[0])
        return forwards.learn(lambda _: act(batch), batch.inputs[0]) if outputs is None else outputs

    return predict


def why_not_predicted(step: Step) -> str:
    """Why batches of `predict` are not recorded, besides what a forward does; empty where they are."""
    if getattr(step.own, "predict", None) is not None:
        return "it is a step of your own"
    if step.mixed is not None or step.options.deterministic:
        return "it was compiled with options that it does not know"
    if step.ports.inputs is not None and len(step.ports.inputs.ports) != 1:
        return "it does not take one input"
    return "" if step.ranks is None else "other processes predict too"


def predict_code(step: Step) -> str:
    """What `predict` repeats, as Python, or a comment that says why it does not."""
    return code_of(why_not_predicted(step), step.notes.forwards, step.notes.predictions)


class Forwards(Programs):
    """The forwards of a module that were recorded."""

    def answer(self, x: Tensor) -> Any:
        """What the module returns for a tensor, which is left as it is; None where it has to be called for that."""
        program = self.ready((x.shape, x.dtype))
        if program is None or not self.holds():
            return None
        self.repetitions += 1
        return program(x)

    @torch.no_grad()
    def learn(self, call: Callable[..., Any], x: Tensor) -> Any:
        """What the module returns, by its own call in inference mode; where it pays, that is written down or compared."""
        self.holds()
        key = (x.shape, x.dtype)
        program = self.found.get(key)
        if isinstance(program, Program):
            found, outputs = program(x), call(x)
            if alike(found, outputs):
                program.checked = True
            else:
                self.refuse("it returned something else when it was repeated")
            return outputs
        return self._recorded(call, x) if self.is_due(key) else call(x)

    def _recorded(self, call: Callable[..., Any], x: Tensor) -> Any:
        reason = why_not_called(self.step)
        if reason:
            self.refuse(reason)
            return call(x)
        before, tape = self.glance or self._look(self.step), Tape()
        with tape:
            outputs = call(x)
        try:
            if tape.refused or not before.holds():
                raise Unknown(tape.refused or "a forward changes what the next one goes by")
            if any(vars(each)["_losses"] for each in self.step.extras.collecting):
                raise Unknown("its layers keep what they add to a loss")
            reader = Reader([x], dict(self.step.module.named_parameters()), held_by(self.step))
            program = Program(reader.lines(tape.rows, (), outputs))
            self.found[x.shape, x.dtype] = self.take(program, before)
        except Unknown as error:
            self.refuse(str(error))
        return outputs
