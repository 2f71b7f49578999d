"""Replaying: the training step, recorded at a first batch, checked at a second, repeated while nothing has changed."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from torchfunc.callbacks import CallbackList
from torchfunc.graph import blame
from torchfunc.training.batches import Arrays, Batch, Data
from torchfunc.training.capturing import cuda_graphs
from torchfunc.training.capturing.captured import Captured, NotCaptured, first_line
from torchfunc.training.figures import Added, split, sums_apart, take
from torchfunc.training.recording.fingerprint import Fingerprint
from torchfunc.training.recording.flat_memory import FlatOptimizer, Gradients, flattens, is_shared
from torchfunc.training.recording.glance import Glance, GlanceAtFigures, marks_of_metrics
from torchfunc.training.recording.lines import Reader, Unknown, Value
from torchfunc.training.recording.passes.kept_memory import in_kept_memory, in_place, with_activations
from torchfunc.training.recording.passes.tidying import tidied
from torchfunc.training.recording.permitted import of_metrics, why_not
from torchfunc.training.recording.spelling import spelled
from torchfunc.training.recording.tape import Tape, place_of
from torchfunc.training.step import Act, Step
from torchfunc.tree import leaves

FEWEST = 8  # batches in an epoch, for which a step is recorded
MOST = 3  # how often it is, in one epoch
NEAR = 1e-5  # of the largest number, by which a graph may differ where kernels are not deterministic
LASTING = 2**24  # bytes of gradients, for which a program outlives a `fit`
# the loss, outputs, losses of outputs, masks, and what metrics add
Told = tuple[Tensor, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor | None], Sequence[Tensor]]


@contextmanager
def recorded(
    step: Step,
    data: Data,
    events: CallbackList,
    told: Callable[[str], None] = lambda text: None,
    *,
    alone: bool = True,
) -> Iterator[Act]:
    """Within it, what is done with a batch of an epoch that is learned from: recorded where that is known to be right.

    Args:
        step: what is trained.
        data: of which the batches are.
        events: what hears of them.
        told: is told once why nothing is recorded.
        alone: whether the loop does nothing else between two batches.
    """
    act = step.act("train")
    hooks = events.methods("on_train_batch_begin") + events.methods("on_train_batch_end")
    recorder = Recorder(step, act, alone=alone and isinstance(data, Arrays) and not hooks)
    if data.steps is not None and data.steps < FEWEST:
        recorder.refuse(f"an epoch has {data.steps} batches, and it takes {FEWEST} to gain by it")
        step.notes.said = True
    try:
        yield recorder.train
    finally:
        recorder.leave()
    if step.options.cuda_graph and not (recorder.refused or recorder.used):
        step.notes.why_not = "no batch is like the one before it"
    if recorder.refused and not step.notes.said:
        step.notes.said = True
        told(f"The training step runs as it is, not recorded, because {step.notes.why_not}.")


def warn_not_captured(step: Step, reason: str) -> None:
    """Tell once for each reason why a step is not captured, for which somebody has asked; none where it is."""
    if reason and step.notes.warned != reason:
        step.notes.warned = reason
        text = (
            f"cuda_graph=True does nothing: the training step runs as it is, not captured, because {reason}."
        )
        warnings.warn(text, stacklevel=blame.level())


@dataclass(frozen=True)
class Program:
    """A recorded step: what a batch for it looks like, and what repeats it.

    Attributes:
        key: of the batch.
        run: takes the tensors of a batch, leaves gradients in their memory, and returns what there is to tell.
        gradients: that memory.
        generators: those that it draws random numbers from, besides PyTorch's own.
        added: to which sums of metrics it makes what is added; None where metrics are given outputs instead.
        metrics: what these go by.
    """

    key: Any
    run: Callable[..., Told]
    gradients: Gradients
    generators: Sequence[torch.Generator]
    text: str
    added: Sequence[Added] | None
    metrics: Sequence[Any]

    def __call__(self, *tensors: Tensor) -> Told:
        # as it was recorded: below autograd, of which some kernels want to know that it is on
        with torch.enable_grad(), torch._C._AutoDispatchBelowAutograd():
            return self.run(*tensors)


@dataclass(frozen=True)
class Kept:
    """What an epoch repeated: the next one does so too where the step is still as it was `seen`."""

    program: Program
    flat: FlatOptimizer | None
    seen: Fingerprint

    @property
    def is_small(self) -> bool:
        """Whether it is kept from one `fit` to the next, though it has memory for gradients and more."""
        run, gradients = self.program.run, self.program.gradients.whole
        return sum(each.nbytes for each in gradients) + getattr(run, "nbytes", 0) <= LASTING

    def fits(self, step: Step) -> bool:
        """Whether nothing that it goes by has changed."""
        having = [parameter for parameter, _ in self.program.gradients.of]
        movable = flattens(step.optimization.built, having) and not any(map(is_shared, having))
        measured = self.program.added is None or self.program.metrics == marks_of_metrics(step.objective)
        return (self.flat is None or movable) and measured and Fingerprint(step) == self.seen


class Recorder:
    """The training step of one epoch, or of one batch after the other.

    Args:
        step: what is trained.
        eager: how a batch is learned from as it is.
        alone: whether nobody else can do anything between two batches.
        wait: how many batches that are alike come before one is recorded; more after each that was recorded in vain.
    """

    def __init__(self, step: Step, eager: Act, *, alone: bool, wait: int = 0) -> None:
        self.step, self.eager, self.alone = step, eager, alone
        self.wait, self.most = wait, MOST if wait == 0 else math.inf
        # how many batches were like this since a program was used
        self.passed: Counter[tuple[Any, ...]] = Counter()
        self.notes = step.notes
        self.program: Program | None = None
        self.flat: FlatOptimizer | None = None
        self.seen: Glance | None = None
        self.recordings = 0
        self.refused = self.movable = self.used = False
        self._look()
        self.notes.release()
        kept, self.notes.kept = self.notes.kept, None
        if not self.refused and kept is not None and kept.fits(step):
            self._take(kept)
            self._settle()

    def _look(self) -> None:
        """See whether the step, as it is now, is one that is recorded."""
        reason, failed = why_not(self.step), self.notes.failed
        if not reason and failed is not None and failed[0] == Fingerprint(self.step):
            reason = failed[1]
        if reason:
            self.refuse(reason)

    def _take(self, kept: Kept) -> None:
        """Have what is repeated from now on."""
        self.notes.kept, self.program, self.flat = kept, kept.program, kept.flat
        if self.flat is not None:
            self.flat.take()
        look = Glance if kept.program.added is None else GlanceAtFigures
        self.seen = None if self.alone else look(self.step, learns=True)
        self.notes.code, self.notes.why_not = kept.program.text, ""

    def refuse(self, reason: str) -> None:
        """Record nothing in this epoch."""
        self.forget()
        self.refused, self.notes.why_not, self.notes.code = True, reason, ""

    def forget(self) -> None:
        """Repeat no more what was recorded."""
        self.leave()
        self.notes.kept = None

    def leave(self) -> None:
        """Have parameters and optimizer as they were before the epoch, but for their numbers."""
        flat, program, self.flat, self.program = self.flat, self.program, None, None
        if flat is not None:
            flat.give_back()
        if program is not None:
            program.gradients.leave()

    def train(self, batch: Any) -> Any:
        """Learn from one batch."""
        if self.program is not None and not self.alone and not self.is_as_recorded():
            self.forget()
            self._look()
        if self.refused:
            return self.eager(batch)
        key = key_of(batch)
        if key is None:
            return self.eager(batch)
        if self.program is None or key != self.program.key:
            return self._first(batch, key)
        self.passed.clear()
        if not self.alone and self.program.gradients.are_held():
            return self.eager(batch)
        if not self.is_trusted:
            try:
                right = self._is_right(self.program, batch)
            except NotCaptured as error:
                return self._failed(str(error), batch)
            if not right:
                return self._failed("it did another thing when it was repeated", batch)
        return self.repeated(batch)

    def _failed(self, reason: str, batch: Batch) -> Any:
        """Learn from a batch as it is, after a program was found to be of no use; a graph is not captured once more."""
        if self.captures and self.notes.kept is not None:
            self.notes.failed = self.notes.kept.seen, reason
        self.refuse(reason)
        return self.eager(batch)

    @property
    def captures(self) -> bool:
        """Whether what is recorded is captured in a graph."""
        return self.step.options.cuda_graph

    @property
    def is_trusted(self) -> bool:
        """Whether the program was seen to do what the step does; a graph each by itself."""
        program = self.program
        if program is None or self.captures > isinstance(program.run, Captured):
            return False
        return hash(program.text) in self.notes.checked

    def _first(self, batch: Batch, key: tuple[Any, ...]) -> Any:
        """Learn from a batch that no program is for; it is recorded where enough of them have come."""
        self.passed[key] += 1
        wait = self.wait if self.program is None else max(self.wait, 1)
        if self.recordings >= self.most or self.passed[key] <= wait:
            return self.eager(batch)
        self.forget()
        self.wait *= 4
        self.passed.clear()
        logs = self._recorded(batch, key)
        self._settle()
        return logs

    def _settle(self) -> None:
        """From now on whoever comes to have the memory of the program is somebody else."""
        if self.program is not None:
            self.program.gradients.settle()
        if self.flat is not None:
            self.flat.settle()

    def is_as_recorded(self) -> bool:
        """Whether the step is as it was when it was recorded."""
        if self.flat is not None and not self.flat.still_steps():
            return False
        return self.seen is not None and self.seen.holds()

    def _recorded(self, batch: Batch, key: Any) -> Mapping[str, Any] | None:
        """Learn from a batch as it is, and write down how."""
        step, watch = self.step, self.step.watch
        self.recordings += 1
        if not step.objective.settled:
            step.settle(batch)
        before, tape = Fingerprint(step), Tape(step.device, halves=step.mixed is not None)
        self.notes.release()
        parameters = step.optimization.parameters
        self.movable = not any(map(is_shared, parameters))  # what is recorded holds views of them
        watch.begin_step()
        with tape:
            loss, returned = step._passed(batch, learning=True)
            trained = [each for each in parameters if each.requires_grad]
            made = iter(torch.autograd.grad(loss, trained, allow_unused=True))
            told, added = self._told(loss, returned, batch)
        gradients = [next(made) if each.requires_grad else None for each in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else torch.empty_like(parameter).copy_(gradient)
        number = watch.is_number(loss)
        logs = self._counted(told, batch, added) if number or step.quiet else step._before()
        if not self._learned(loss, number=number and watch.passes(loss, parameters)):
            return logs
        now = Fingerprint(step)
        changes = "a forward changes what the next one goes by" if now != before else ""
        if not (changes or tape.refused):
            try:
                self._write(tape, batch, key, gradients, told, added, now)
            except Exception as error:
                if not self.captures:
                    raise
                self.notes.failed = now, f"it could not be written out: {first_line(error)}"
                self.refuse(self.notes.failed[1])
        elif self.recordings > 1:  # a first forward may make what later ones use
            self.refuse(changes or tape.refused)
        return logs

    def _told(self, loss: Tensor, returned: Any, batch: Batch) -> tuple[Told, Sequence[Added] | None]:
        """What there is to tell of a batch: what metrics add, where that is known, or what they are to be given."""
        step, objective = self.step, self.step.objective
        outputs = step._flat(returned)
        latest = [head.latest for head in objective.losing if head.latest is not None]
        if next(of_metrics(objective), None) is None:
            with suppress(Unknown):
                with sums_apart(objective.measures.values()) as sums:
                    objective.measure(outputs, batch, step.masks)
                added, values = split(sums)
                return (loss, (), latest, (), values), added
        return (loss, list(outputs), latest, list(step.masks.values()), ()), None

    def _write(
        self,
        tape: Tape,
        batch: Batch,
        key: Any,
        gradients: Sequence[Tensor | None],
        told: Told,
        added: Sequence[Added] | None,
        seen: Fingerprint,
    ) -> None:
        """Make the program of what is on a tape."""
        step, parameters = self.step, self.step.optimization.parameters
        names = dict(step.module.named_parameters())
        reader = Reader(tensors_in(batch), names, held_by(step))
        try:
            lines = reader.lines(tape.rows, gradients, told)
        except Unknown as error:
            self.refuse(str(error))
            return
        calls = lines.lines
        weights = {each.memory for line in calls for each in line.takes() if each.kind == "parameter"}
        if any(each.memory in weights for line in calls for each in line.changes()):
            self.refuse("a forward writes into a parameter")
            return
        generators = [
            each
            for row in tape.rows
            for each in leaves((row.args, dict(row.kwargs)))
            if isinstance(each, torch.Generator)
        ]
        having = [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
        memory, flat = Gradients(having), None
        if self.movable and flattens(step.optimization.built, having):
            flat = FlatOptimizer(step.optimization.built, memory)  # type: ignore[arg-type]
            flat.take()
        places = {id(parameter): gradient for parameter, gradient in memory.of}
        called = {id(each): name for name, each in names.items()}
        lines = tidied(
            lines,
            [
                None if gradient is None else _place(called[id(parameter)], places[id(parameter)])
                for parameter, gradient in zip(parameters, gradients, strict=True)
            ],
            on_cpu=not self.captures,
        )
        # a graph has memory of its own, and other kernels need not round alike
        code = spelled(lines if self.captures else in_kept_memory(with_activations(in_place(lines))))
        with torch.no_grad():
            run = code.compile("step")
        metrics = marks_of_metrics(step.objective)
        program = Program(key, run, memory, generators, code.source, added, metrics)
        self._take(Kept(program, flat, seen))

    def repeated(self, batch: Batch) -> Mapping[str, Any] | None:
        """Learn from a batch by the program."""
        step, program = self.step, self.program
        assert program is not None
        self.used = True
        step.watch.begin_step()
        told = program(*tensors_in(batch))
        loss = told[0]
        number = not step.watch.reads or math.isfinite(loss.item())
        # elsewhere one kernel looks at all, and what it found is read when figures are
        on_cpu = step.device.type == "cpu"
        finite = number and on_cpu and step.watch.reads and program.gradients.are_numbers()
        program.gradients.show()
        keeping = [head for head in step.objective.losing if head.keeps_running]
        for head, latest in zip(keeping, told[2], strict=True):
            head.latest = latest
        logs = self._counted(told, batch, program.added) if number or step.quiet else step._before()
        # a sum may be too large for its dtype
        looked = () if on_cpu else program.gradients.looked
        finite = finite or step.watch.passes(loss, step.optimization.parameters, looked)
        self._learned(loss, number=number and finite)
        return logs

    def _counted(self, told: Told, batch: Batch, added: Sequence[Added] | None) -> Mapping[str, Any] | None:
        """Take a batch into the figures."""
        (loss, outputs, _, masks, values), step = told, self.step
        objective = step.objective
        objective.count(loss, batch.size)
        if added is not None:
            take(added, values)
        elif objective.measures:
            objective.measure(outputs, batch, dict(zip(step.masked, masks, strict=True)))  # type: ignore[arg-type]
        return None

    def _learned(self, loss: Tensor, *, number: bool) -> bool:
        """Change the parameters by their gradients; nothing is changed where these are no numbers."""
        step = self.step
        if not number:
            step._pass_over(loss.item())
            return False
        step.watch.steady = True
        if self.flat is None:
            step.optimization.built.step()  # type: ignore[union-attr]
        else:
            self.flat.step()
        if step.extras.constraints:
            step.extras.constrain()
        return True

    def _is_right(self, program: Program, batch: Batch) -> bool:
        """Whether the program does with another batch than its first what the step does; nothing is changed by that."""
        step = self.step
        buffers = [(each, each.clone()) for each in step.module.buffers()]
        drawn = [torch.default_generator, *cuda_graphs.generators(step.device), *program.generators]
        states = [(each, each.get_state()) for each in drawn]
        inputs = [each.clone() for each in tensors_in(batch)]
        # the step first, for the program can do with the memory that it leaves
        loss, returned = step._passed(_with_tensors(batch, inputs), learning=True)
        having = [parameter for parameter, _ in program.gradients.of]
        gradients = torch.autograd.grad(loss, having, allow_unused=True)
        with torch.no_grad():
            (_, outputs, _, _, values), added = self._told(loss, returned, batch)
        for head in step.objective.losing:
            head.latest = None
        expected = [loss.detach(), *outputs, *values, *gradients, *(each.clone() for each, _ in buffers)]
        _set_back(buffers, states)
        try:
            if self.captures:
                program = self._captured(program, batch)
                _set_back(buffers, states)
                for _, gradient in program.gradients.of:  # which the calls before the capture have left there
                    gradient.fill_(math.nan)
            told = program(*(each.clone() for each in tensors_in(batch)))
        except NotCaptured:
            _set_back(buffers, states)
            raise
        except Exception:  # whatever is wrong with it, the step itself can still be made
            _set_back(buffers, states)
            return False
        found = [told[0].detach(), *told[1], *told[4], *(each for _, each in program.gradients.of)]
        found += [each.clone() for each, _ in buffers]
        _set_back(buffers, states)
        alike = _is_near if self.captures else _alike
        right = added == program.added and len(found) == len(expected) and all(map(alike, found, expected))
        if right:
            self.notes.checked.add(hash(program.text))
        return right

    def _captured(self, program: Program, batch: Batch) -> Program:
        """The program as a graph, which is used from now on; statistics and random numbers have gone on.

        Raises:
            NotCaptured: it cannot be.
        """
        assert self.notes.kept is not None
        like = tensors_in(batch)
        with torch.no_grad():
            run = Captured(program, like, self.step.device, program.generators)
        self.program = replace(program, run=run)
        self.notes.kept = replace(self.notes.kept, program=self.program)
        return self.program


def _set_back(
    buffers: Sequence[tuple[Tensor, Tensor]], states: Sequence[tuple[torch.Generator, Tensor]]
) -> None:
    """Have buffers and generators be as they were."""
    with torch.no_grad():
        for buffer, copy in buffers:
            buffer.copy_(copy)
    for generator, state in states:
        generator.set_state(state)


def _is_near(one: Tensor, other: Tensor | None) -> bool:
    """Whether a graph's result is that of the step: to the bit where PyTorch takes deterministic algorithms alone, else
    to 1e-5 of the largest number, or one rounding of halves, for some kernels add in the order in which threads come."""
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    other = other.detach()
    if not other.is_floating_point():
        return torch.equal(one, other)
    if torch.are_deterministic_algorithms_enabled():
        return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
    size = float(other.abs().amax()) if other.numel() else 0.0
    relative = max(NEAR, torch.finfo(other.dtype).eps) if other.dtype.itemsize < 4 else NEAR
    tolerance = relative * size if math.isfinite(size) else 0.0
    return torch.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True)


def _alike(one: Tensor, other: Tensor | None) -> bool:
    """Whether two results are the same but for rounding."""
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    other = other.detach()
    if not other.is_floating_point():
        return torch.equal(one, other)
    size = float(other.abs().amax()) if other.numel() else 0.0
    tolerance = 1e-5 * size if math.isfinite(size) else 0.0
    return torch.allclose(one, other, rtol=1e-4, atol=tolerance, equal_nan=True)


def key_of(batch: Any) -> tuple[Any, ...] | None:
    """What a recorded step takes for granted of a batch; None where it is one that none is recorded for."""
    if not isinstance(batch, Batch) or batch.form.nesting is not None or batch.waiting is not None:
        return None
    tensors = tensors_in(batch)
    if len({id(each) for each in tensors}) < len(tensors):
        return None
    marks: list[Any] = [batch.size, batch.form.style, len(batch.inputs)]
    marks += [each is None for each in batch.targets]
    marks += [each is None for each in batch.weights or ()]
    for each in tensors:
        if type(each) is not Tensor or each.requires_grad:
            return None
        marks += [each.shape, each.stride(), each.dtype]
    return tuple(marks)


def tensors_in(batch: Batch) -> list[Tensor]:
    """The tensors of a batch, one by one."""
    return [each for each in (*batch.inputs, *batch.targets, *(batch.weights or ())) if each is not None]


def _with_tensors(batch: Batch, tensors: Sequence[Tensor]) -> Batch:
    """The batch with other tensors, in the order of `tensors_in`."""
    following = iter(tensors)

    def other(each: Tensor | None) -> Any:
        return None if each is None else next(following)

    inputs, targets = list(map(other, batch.inputs)), list(map(other, batch.targets))
    return batch._replace(
        inputs=inputs, targets=targets, weights=batch.weights and list(map(other, batch.weights))
    )


def held_by(step: Step) -> dict[str, Tensor]:
    """Tensors that the module, its losses and its metrics keep, by names."""
    found: dict[str, Tensor] = dict(step.module.named_buffers())
    for name, module in step.module.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_buffers", "_modules", "_losses"):
                found |= _tensors(f"{name}.{attribute}" if name else attribute, value)
    for head in step.objective.losing:
        found |= _tensors(f"loss_{head.name}", vars(head.loss))
    for name, measure in step.objective.measures.items():
        own = vars(measure.metric).items() if measure.metric is not None else ()
        found |= {f"{name}.{key}": each for key, each in own if type(each) is Tensor}
    return found


def _tensors(name: str, value: Any) -> dict[str, Tensor]:
    if isinstance(value, nn.Module):
        return {f"{name}.{key}": each for key, each in value.named_buffers()}
    if isinstance(value, dict):
        return {
            key: each
            for part, item in value.items()
            for key, each in _tensors(f"{name}.{part}", item).items()
        }
    if isinstance(value, (list, tuple)):
        return {
            key: each for at, item in enumerate(value) for key, each in _tensors(f"{name}.{at}", item).items()
        }
    return {name: value} if type(value) is Tensor else {}


def _place(name: str, gradient: Tensor) -> Value:
    memory = gradient.untyped_storage()._cdata
    return Value("held", f"{name}.grad", memory, place_of(gradient), gradient)
