"""Programs: what was recorded of a step that does not learn, by the shapes of what it takes, and when it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchfunc.training.recording.glance import Glance
from torchfunc.training.recording.lines import Lines, Unknown, Value
from torchfunc.training.recording.passes.kept_memory import given, in_kept_memory, in_place, with_activations
from torchfunc.training.recording.passes.tidying import tidied
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.step import Step
from torchfunc.tree import leaves

SHAPES = 4  # that programs are kept for
FEWEST = 4  # calls with one shape before it is recorded
CHANGES = 4  # after which a step that changed each time is recorded no more
WORTH = 8  # repetitions that a recording is worth


class Program:
    """Lines as a function that can be had again and again.

    Attributes:
        text: it as Python.
        checked: whether it was seen to do what the step does.
        kept: what else belongs to it.
        viewed: the tensors that it has views of.
        together: how many batches may be done as one.
        block: the program that does that, if there is one.
    """

    def __init__(self, lines: Lines, kept: Any = None) -> None:
        lines = repeatable(tidied(lines, ()))
        taken = {value for line in lines.before for value in line.takes() if value.tensor is not None}
        self.viewed = [value.tensor for value in taken if value.tensor is not None]
        self._code = spelled(lines, aliases=False)
        self.text, self.kept, self.checked = self._code.source, kept, False
        self.together = 1
        self.block: Program | None = None
        self._run: Callable[..., Any] | None = None

    def __call__(self, *tensors: Tensor) -> Any:
        """What it returns, run without gradients and below autograd as it was recorded."""
        grad = torch.is_grad_enabled()
        if grad:
            torch._C._set_grad_enabled(False)
        try:
            with torch._C._AutoDispatchBelowAutograd():
                return (self._run or self._made())(*tensors)
        finally:
            if grad:
                torch._C._set_grad_enabled(True)

    def _made(self) -> Callable[..., Any]:
        """The function, with views of parameters."""
        self._run = run = self._code.compile("forward")
        return run

    def release(self) -> None:
        """Hold no views of parameters, whose memory may be left then; the next call makes them anew."""
        run, self._run = self._run, None
        if run is not None:
            run.__globals__.clear()
        if self.block is not None:
            self.block.release()


class Programs:
    """What was recorded of one step, and is repeated while that is as it was.

    Args:
        step: what is called.
        look: what tells whether it is as it was.

    Attributes:
        why_not: why nothing is recorded, in words that go on after "because"; empty while it is.
    """

    def __init__(self, step: Step, look: Callable[[Step], Glance] = Glance) -> None:
        self.step, self._look = step, look
        self.why_not = ""
        self.glance: Glance | None = None
        self.found: dict[Any, Program | int] = {}  # by shape; before it is recorded the number of calls
        self.repetitions, self.changes = 0, 0

    def ready(self, key: Any) -> Program | None:
        """What may be repeated without another look, but for that at the step."""
        program = self.found.get(key)
        return program if type(program) is Program and program.checked else None

    def holds(self) -> bool:
        """Whether the step is as it was; what was recorded is forgotten where not."""
        if self.glance is None or self.glance.holds():
            return True
        self.changes = self.changes + 1 if self.repetitions < WORTH else 0
        self.glance, self.repetitions = None, 0
        self.release()
        self.found.clear()
        if self.changes >= CHANGES:
            self.refuse("it changes from one call to the next")
        return False

    def take(self, program: Program, glance: Glance) -> Program:
        """Have a program for what the glance sees, which goes by the places of what is viewed alone."""
        viewed = {id(each): each for each in program.viewed}
        if self.glance is glance:
            viewed |= {id(each): each for each in glance.viewed}
        self.glance = glance
        glance.watch(list(viewed.values()))
        return program

    def is_due(self, key: Any) -> bool:
        """Whether a call with this key is to be recorded; it is counted."""
        count = self.found.get(key, 0)
        if self.why_not or (not count and len(self.found) >= SHAPES):
            return False
        assert isinstance(count, int)
        self.found[key] = count + 1
        return count + 1 >= FEWEST

    def refuse(self, reason: str) -> None:
        """Record nothing."""
        self.glance, self.why_not = None, reason
        self.release()
        self.found.clear()

    def release(self) -> None:
        """Hold no views of parameters."""
        for each in self.found.values():
            if isinstance(each, Program):
                each.release()


def code_of(why_not: str, *recorded: Programs | None) -> str:
    """The program that was recorded last, as Python; where there is none, a comment says why.

    Args:
        why_not: why nothing can be recorded now; empty where it can.
        recorded: where it may be.
    """
    there = [each for each in recorded if each is not None]
    texts = [program.text for each in there for program in each.found.values() if type(program) is Program]
    why = why_not or next((each.why_not for each in there if each.why_not), "")
    if texts and not why_not:
        return texts[-1]
    return f"# Not recorded, because {why or f'it takes {FEWEST} batches of one shape to gain by it'}.\n"


def repeatable(lines: Lines) -> Lines:
    """The lines of a step that does not learn, with what they need kept from one call to the next.

    Raises:
        Unknown: it draws random numbers, changes what it is given, or hands out what is not its own.
    """
    made = {each.memory for line in lines.lines for each in line.makes()}
    there = {each.memory for each in given(lines)}
    for line in lines.lines:
        if torch.Tag.nondeterministic_seeded in line.function.tags:
            raise Unknown("it draws random numbers")
        silent = line.name == "native_batch_norm" and line.args[5] is False
        if not silent and any(value.memory in there for value in line.changes()):
            raise Unknown("it changes what it is given or what it keeps")
    for leaf in leaves(lines.returned):
        if leaf is not None and (
            not isinstance(leaf, Value) or leaf.memory in there or leaf.memory not in made
        ):
            raise Unknown("it returns something that it did not make")
    return in_kept_memory(with_activations(in_place(lines)))


def alike(one: Any, other: Any) -> bool:
    """Whether two results are the same to the bit."""
    mine, theirs = list(leaves(one)), list(leaves(other))
    return len(mine) == len(theirs) and all(map(_is_same, mine, theirs))


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not Tensor or type(other) is not Tensor:
        return one is None and other is None
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
