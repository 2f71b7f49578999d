"""Forwards: what a module returns in inference mode, recorded once for each shape and repeated with plain calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.measuring.glance import Glance
from torchfunc.training.measuring.kept_memory import in_kept_memory, in_place, with_activations
from torchfunc.training.recording.lines import Lines, Reader, Unknown, Value
from torchfunc.training.recording.permitted import why_not_called
from torchfunc.training.recording.replaying import held_by
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.recording.tape import Tape
from torchfunc.training.recording.tidying import tidied
from torchfunc.training.step import Step
from torchfunc.tree import leaves

SHAPES = 4  # for which one module's forward is kept
CHANGES = 4  # after which one that changed each time is recorded no more
FEWEST = 8  # answers that a recording is worth


@dataclass
class Forward:
    """A recorded forward.

    Attributes:
        run: takes tensors, and returns what the module does, in memory of its own.
        text: it as Python.
        checked: whether it was seen to return what the module returns.
    """

    run: Callable[..., Any]
    text: str
    checked: bool = False


class Forwards:
    """What was recorded of one module, and is repeated while that is as it was.

    Attributes:
        why_not: why nothing is recorded, in words that go on after "because"; empty while it is.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.why_not = ""
        self.glance: Glance | None = None
        self.found: dict[Any, Forward | None] = {}  # by shape; None after the first call
        self.answers, self.changes = 0, 0

    def answer(self, *inputs: Tensor) -> Any:
        """What the module returns for tensors, which are left as they are; None where it has to be called for that."""
        forward = self.found.get(tuple(each.shape for each in inputs))
        if forward is None or not forward.checked or self.glance is None:
            return None
        if not self.glance.holds():
            self._forget()
            return None
        self.answers += 1
        return repeated(forward.run, inputs)

    def parts(self) -> frozenset[int] | None:
        """The identities of all modules in the module; None where that needs a look at each."""
        return None if self.glance is None else self.glance.parts()

    @torch.no_grad()
    def learn(self, call: Callable[..., Any], *inputs: Tensor) -> Any:
        """What the module returns, by its own call in inference mode; where it pays, that is written down or compared."""
        key = tuple(each.shape for each in inputs)
        forward = self.found.get(key)
        if self.why_not or (key not in self.found and len(self.found) >= SHAPES):
            return call(*inputs)
        if self.glance is not None and not self.glance.holds():
            self._forget()
            forward = None
        if forward is not None:
            outputs = call(*inputs)
            if alike(repeated(forward.run, inputs), outputs):
                forward.checked = True
            else:
                self._refuse("it returned something else when it was repeated")
            return outputs
        if key not in self.found:
            self.found[key] = None
            return call(*inputs)
        return self._recorded(key, call, inputs)

    def _recorded(self, key: Any, call: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
        reason = why_not_called(self.step)
        if reason:
            self._refuse(reason)
            return call(*inputs)
        before, tape = self.glance or Glance(self.step), Tape()
        with tape:
            outputs = call(*inputs)
        try:
            if tape.refused:
                raise Unknown(tape.refused)
            if not before.holds():
                raise Unknown("a forward changes what the next one goes by")
            reader = Reader(inputs, dict(self.step.module.named_parameters()), held_by(self.step))
            code = spelled(repeatable(tidied(reader.lines(tape.rows, (), outputs), ())))
        except Unknown as error:
            self._refuse(str(error))
            return outputs
        self.glance = before
        self.found[key] = Forward(code.compile("forward"), code.source)
        return outputs

    def _forget(self) -> None:
        """Repeat no more what was recorded; where that happens again and again, record nothing either."""
        self.changes = self.changes + 1 if self.answers < FEWEST else 0
        self.glance, self.answers = None, 0
        self.found.clear()
        if self.changes >= CHANGES:
            self._refuse("it changes from one call to the next")

    def _refuse(self, reason: str) -> None:
        self.glance, self.why_not = None, reason
        self.found.clear()


def repeated(run: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
    """What a text returns, run without gradients and below autograd as it was recorded."""
    grad = torch.is_grad_enabled()
    torch._C._set_grad_enabled(False)
    try:
        with torch._C._AutoDispatchBelowAutograd():
            return run(*inputs)
    finally:
        torch._C._set_grad_enabled(grad)


def repeatable(lines: Lines) -> Lines:
    """The lines of a forward, with what they need kept from one call to the next.

    Raises:
        Unknown: it draws random numbers, changes what it is given, or hands out what is not its own.
    """
    made = {each.memory for line in lines.lines for each in line.makes()}
    given = {each.memory for each in (*lines.batch, *_there_before(lines))}
    for line in lines.lines:
        if torch.Tag.nondeterministic_seeded in line.function.tags:
            raise Unknown("it draws random numbers")
        silent = line.name == "native_batch_norm" and line.args[5] is False
        if not silent and any(value.memory in given for value in line.changes()):
            raise Unknown("it changes what it is given or what it keeps")
    for leaf in leaves(lines.returned):
        if not isinstance(leaf, Value) or leaf.memory in given or leaf.memory not in made:
            raise Unknown("it returns something that it did not make")
    return in_kept_memory(with_activations(in_place(lines)))


def _there_before(lines: Lines) -> Iterator[Value]:
    for line in lines.lines:
        yield from (value for value in line.takes() if value.kind != "made")
    for line in lines.before:
        yield from line.makes()


def alike(one: Any, other: Any) -> bool:
    """Whether two results are the same to the bit."""
    mine, theirs = list(leaves(one)), list(leaves(other))
    return len(mine) == len(theirs) and all(
        type(a) is Tensor
        and type(b) is Tensor
        and a.dtype == b.dtype
        and a.shape == b.shape
        and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
        for a, b in zip(mine, theirs, strict=True)
    )
