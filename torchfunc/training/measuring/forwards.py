"""Forwards: what a module returns in inference mode, recorded once for each shape and repeated with plain calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.measuring.programs import Program, Programs, alike
from torchfunc.training.recording.lines import Reader, Unknown
from torchfunc.training.recording.permitted import why_not_called
from torchfunc.training.recording.replaying import held_by
from torchfunc.training.recording.tape import Tape


class Forwards(Programs):
    """The forwards of a module that were recorded."""

    def answer(self, x: Tensor) -> Any:
        """What the module returns for a tensor, which is left as it is; None where it has to be called for that."""
        program = self.ready(x.shape)
        if program is None or not self.holds():
            return None
        self.repetitions += 1
        return program(x)

    @torch.no_grad()
    def learn(self, call: Callable[..., Any], x: Tensor) -> Any:
        """What the module returns, by its own call in inference mode; where it pays, that is written down or compared."""
        self.holds()
        program = self.found.get(x.shape)
        if isinstance(program, Program):
            found, outputs = program(x), call(x)
            if alike(found, outputs):
                program.checked = True
            else:
                self.refuse("it returned something else when it was repeated")
            return outputs
        return self._recorded(call, x) if self.is_due(x.shape) else call(x)

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
            reader = Reader([x], dict(self.step.module.named_parameters()), held_by(self.step))
            self.found[x.shape] = Program(reader.lines(tape.rows, (), outputs))
            self.glance = before
        except Unknown as error:
            self.refuse(str(error))
        return outputs
