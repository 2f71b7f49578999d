"""Measures: what `evaluate` does with a batch, recorded once for each shape: forward, loss, and what metrics add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchfunc.callbacks import CallbackList
from torchfunc.training.batches import Arrays, Batch, Data
from torchfunc.training.figures import Added, split, sums_apart, take
from torchfunc.training.measuring.additive import adds_up, together
from torchfunc.training.measuring.programs import Program, Programs, alike, code_of
from torchfunc.training.recording.glance import GlanceAtFigures
from torchfunc.training.recording.lines import Reader, Unknown
from torchfunc.training.recording.permitted import foreign, of_metrics, why_not_called
from torchfunc.training.recording.replaying import held_by, key_of, tensors_in
from torchfunc.training.recording.tape import Tape
from torchfunc.training.step import Act, Step

MEASURED = object()  # a batch that was measured together with the one before it
ENOUGH = 8  # blocks for which it pays to have them


class Part(NamedTuple):
    """A batch, or several together, of which nothing but the tensors is needed any more, and the program for it."""

    tensors: tuple[Tensor, ...]
    program: Program
    size: int


def measuring(step: Step, data: Data, events: CallbackList) -> tuple[Act, Iterable[Any]]:
    """What is done with each batch of a pass that is measured, and these: recorded where that is known to be right."""
    if getattr(step.own, "measure", None) is not None:
        return step.act("measure"), data.epoch(0)
    if step.notes.measures is None:
        step.notes.measures = Measures(step)
    measures: Measures = step.notes.measures
    hooks = events.methods("on_test_batch_begin") + events.methods("on_test_batch_end")
    if isinstance(data, Arrays) and not hooks and measures.holds():
        measures.alone = True
        return measures.measure, measures.batches(data)
    measures.alone = False
    return measures.measure, data.epoch(0)


def evaluate_code(step: Step) -> str:
    """What `evaluate` repeats, as Python, or a comment that says why it does not."""
    own = getattr(step.own, "measure", None) is not None
    return code_of("it is a step of your own" if own else "", step.notes.measures)


class Measures(Programs):
    """The measuring of batches that was recorded.

    Attributes:
        alone: whether nobody else can do anything between two batches.
    """

    def __init__(self, step: Step) -> None:
        super().__init__(step, GlanceAtFigures)
        self.alone = False

    def batches(self, data: Arrays) -> Iterator[Any]:
        """The batches of one pass: from where there is a program for them on, their tensors alone."""
        taken, whole = 0, data.whole
        full = min(data.steps, whole.size // data.batch_size)
        for batch in data.epoch(0):
            yield batch
            taken += 1
            program = self.ready(key_of(batch)) if full - taken > 0 else None
            if program is not None and data.ranks is None and data.device is None and whole.waiting is None:
                break
        else:
            return
        size, end = data.batch_size, full * data.batch_size
        columns, at = [each[:end] for each in tensors_in(whole)], taken * size
        count = program.together
        block = self._block(data, program, at, end) if count > 1 else None
        while block is not None and end - at >= count * size:
            yield Part(tuple(each[at : at + count * size] for each in columns), block, count * size)
            yield from repeat(MEASURED, count - 1)
            at += count * size
        for start in range(at, end, size):
            yield Part(tuple(each[start : start + size] for each in columns), program, size)
        yield from data.epoch(0, full)

    def _block(self, data: Arrays, program: Program, at: int, end: int) -> Program | None:
        """What measures several batches as one, where it pays; it is compared on two blocks with what measures each."""
        rows = program.together * data.batch_size
        if end - at < (rows if program.block else ENOUGH * rows):
            return None
        if program.block is None and self.glance is not None:
            first, second = (data.part(start, start + rows) for start in (at, at + rows))
            tape = Tape()
            try:
                with tape:
                    told, added = self._as_it_is(first)
                found = self._written(first, tape, told, added)
                if found.together and all(
                    self._adds_up(of, found, program, block)
                    for of, block in ((told, first), (found(*tensors_in(second)), second))
                ):
                    program.block = self.take(found, self.glance)
            except Unknown:
                pass
            for head in self.step.objective.losing:
                head.latest = None
            program.together *= program.block is not None
        return program.block

    def _adds_up(self, told: Any, block: Program, program: Program, batch: Batch) -> bool:
        """Whether what a block told is what its batches tell one by one."""
        columns = [torch.split(each, len(each) // program.together) for each in tensors_in(batch)]
        parts = [program(*tensors) for tensors in zip(*columns, strict=True)]
        times = [each._replace(value=each.value and each.value * len(parts)) for each in program.kept]
        return adds_up(told, parts) and _constants(times) == _constants(block.kept)

    def measure(self, batch: Any) -> Mapping[str, Any] | None:
        """Measure a batch as `Step.measure` does."""
        if batch is MEASURED:
            return None
        if type(batch) is Part:
            self.repetitions += 1
            self._take(batch.program(*batch.tensors), batch.program.kept, batch.size)
            return None
        key = key_of(batch)
        program = self.ready(key)
        if program is not None and (self.alone or self.holds()):
            self.repetitions += 1
            self._take(program(*tensors_in(batch)), program.kept, batch.size)
            return None
        return self.step.measure(batch) if key is None or self.why_not else self._learn(key, batch)

    def _take(self, told: Any, added: Sequence[Added], size: int) -> None:
        """Take what a program returned into the figures."""
        loss, latest, values = told
        if latest:
            for head, each in zip(self.step.objective.losing, latest, strict=True):
                head.latest = each
        if loss is not None:
            self.step.objective.count(loss, size)
        take(added, values)

    def _learn(self, key: Any, batch: Batch) -> Mapping[str, Any] | None:
        """Measure a batch as it is; where it pays, that is written down or compared."""
        step = self.step
        self.holds()
        program = self.found.get(key)
        if isinstance(program, Program):
            found = program(*tensors_in(batch))
            told, added = self._as_it_is(batch)
            if alike(found, told) and _constants(program.kept) == _constants(added):
                program.checked = True
            else:
                self.refuse("it did another thing when it was repeated")
            self._take(told, added, batch.size)
            return None
        if not step.objective.settled or not self.is_due(key):
            return step.measure(batch)
        reason = why_not_called(step) or next(_reasons(step), "")
        if reason:
            self.refuse(reason)
            return step.measure(batch)
        before, tape = self.glance or self._look(step), Tape()
        try:
            with tape:
                told, added = self._as_it_is(batch)
        except Unknown as error:
            self.refuse(str(error))
            return step.measure(batch)
        self._take(told, added, batch.size)
        try:
            if not before.holds():
                raise Unknown(tape.refused or "a forward changes what the next one goes by")
            self.found[key] = self.take(self._written(batch, tape, told, added), before)
        except Unknown as error:
            self.refuse(str(error))
        return None

    def _written(self, batch: Batch, tape: Tape, told: Any, added: Sequence[Added]) -> Program:
        """The program of what is on a tape.

        Raises:
            Unknown: it cannot be repeated.
        """
        if tape.refused:
            raise Unknown(tape.refused)
        reader = Reader(tensors_in(batch), dict(self.step.module.named_parameters()), held_by(self.step))
        lines = reader.lines(tape.rows, (), told)
        program = Program(lines, added)
        program.together = together(lines, batch.size)
        return program

    def _as_it_is(self, batch: Batch) -> tuple[Any, list[Added]]:
        """The loss of a batch and of its outputs, and what its metrics add, none of which is taken yet.

        Raises:
            Unknown: a metric goes by more than the batch.
        """
        step, objective = self.step, self.step.objective
        loss, returned = step._passed(batch, learning=False)
        with sums_apart(objective.measures.values()) as sums:
            if objective.measures:
                objective.measure(step._flat(returned), batch, step.masks)
        latest = [head.latest for head in objective.losing if head.keeps_running]
        added, values = split(sums)
        return (None if loss is None else loss.detach(), latest, values), added


def _constants(added: Sequence[Added]) -> list[Any]:
    return [(id(metric), name, value) for metric, name, value in added]


def _reasons(step: Step) -> Iterator[str]:
    """Why a measuring is not recorded, besides what its forward does."""
    if any(hasattr(step.own, name) for name in ("measure", "compute_loss", "compute_metrics")):
        yield "it is a step of your own"
    if step.options != type(step.options)() or step.mixed is not None:
        yield "it was compiled with options that it does not know"
    if step.ranks is not None:
        yield "other processes measure too"
    if step.held:
        yield "the module has metrics of its own"
    for head in step.objective.losing:
        for each in foreign(head.loss, 3):
            yield f"the loss of {head.name!r} calls {each}"
    yield from of_metrics(step.objective)
    for module in step.module.modules():
        for info in getattr(module, "_weight_infos", {}).values():
            for each in foreign(info.regularizer, 3):
                yield f"the loss holds {each}"
