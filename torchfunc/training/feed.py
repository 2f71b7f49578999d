"""Feed: from what the user gave to batches that fit the module, checked and on its device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from torchfunc.arrays_in import is_numbers
from torchfunc.distributed.parts import Marked, source_for
from torchfunc.errors import DataError, explain
from torchfunc.losses.class_weight import product_of_weights, weights_of_classes
from torchfunc.training import checks
from torchfunc.training.batches import (
    Arrays,
    Batch,
    Data,
    Stream,
    first_of,
    moved,
    sent,
    stream_source,
    unpacked,
)
from torchfunc.training.convert import (
    as_given,
    cast,
    check_castable,
    is_array,
    is_number,
    waits,
    wanted_dtype,
)
from torchfunc.training.objective import Head, Objective
from torchfunc.training.ports import Form, Place, Port, as_items, taken
from torchfunc.training.sources.columns import holds_columns
from torchfunc.training.sources.records import Labelled, as_record
from torchfunc.training.sources.sparse_rows import cut, dense
from torchfunc.training.step import Step, packed
from torchfunc.tree import leaves, like


class Feed:
    """Makes batches for one step: for the module that it calls, and the losses that it takes.

    Args:
        step: whose batches they are.
        act: what is done with them: "train", "measure" or "predict". Where the user has an act that takes data as
            they come, they are handed on so.
    """

    def __init__(self, step: Step, act: str = "") -> None:
        self.as_they_come = step.takes_data(act)
        self.step, self.module, self.inputs = step, step.module, step.ports.inputs
        self.device = step.device
        self.floating = next(
            (p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.get_default_dtype()
        )

    def data(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool = False,
        seed: int | None = None,
        class_weight: Mapping[Any, float] | None = None,
        inputs_only: bool = False,
    ) -> Data:
        """Batches of arrays, or of whatever yields them.

        Raises:
            DataError: data that do not fit the module, its losses, or each other.
        """
        batch_size = checked_batch_size(batch_size)
        steps = None if steps is None else checks.whole_number("steps", steps, least=1)
        if isinstance(x, TensorDataset) and len(x.tensors) <= 3 and y is None:
            x, y, sample_weight = unpacked(tuple(x.tensors))
            y, sample_weight = (None, None) if inputs_only else (y, sample_weight)
        x = _held_by_name(x)
        listed = self._lists_batches(x, y)
        source = x if listed else stream_source(x, batch_size, shuffle=shuffle, device=self.device)
        if source is None:
            whole = self.whole(*self._apart((x, y, sample_weight), inputs_only=inputs_only))
            data = self.arrays(whole, batch_size, steps, seed if shuffle else None)
            if class_weight is not None:
                data.whole = self._weighed(whole, class_weight)
            return data
        for name, value in {"y": y, "sample_weight": sample_weight}.items():
            if value is not None:
                raise DataError(
                    explain(name, got=f"values beside a {type(x).__name__}", why="it yields them with x")
                )
        own = seed if source is not x or hasattr(x, "batches") else None
        source = source_for(source, self.step.ranks, shares=not self.step.guest)
        if self.as_they_come and class_weight is None:
            return Stream(source, self._counted(self._moved_as_it_came), steps, seed=own)
        known = self._labelled.of_columns if holds_columns(x) else lambda item: item
        if inputs_only:
            return Stream(
                source,
                self._counted(lambda item: self.batch(self._apart(known(item), inputs_only=True)[0])),
                steps,
            )
        convert = self._counted(lambda item: self.batch(*self._apart(known(item)), class_weight))
        return Stream(source, convert, steps, seed=own)

    def _counted(self, convert: Callable[[Any], Batch]) -> Callable[[Any], Batch]:
        """What makes batches of what a source yields, which may say how many of its samples count."""
        if self.step.ranks is None:
            return convert
        return lambda item: (
            first_of(convert(item.item), item.samples) if isinstance(item, Marked) else convert(item)
        )

    def _lists_batches(self, x: Any, y: Any) -> bool:
        """Whether a list holds batches, `[(x, y), (x, y)]` or records, rather than inputs."""
        if not isinstance(x, list) or not x or y is not None:
            return False
        if all(isinstance(each, tuple) and 2 <= len(each) <= 3 and not _numbers(each) for each in x):
            return True
        nested = (
            self.inputs is not None
            and isinstance(self.inputs.nesting, list)
            and any(isinstance(each, (dict, list, tuple)) for each in self.inputs.nesting)
        )
        records = [None if isinstance(each, tuple) else as_record(each) for each in x]
        return not nested and all(
            each is not None and each.keys() == (records[0] or {}).keys() for each in records
        )

    @cached_property
    def _labelled(self) -> Labelled:
        objective = self.step.objective
        return Labelled(
            self.module,
            self.inputs,
            objective.outputs,
            learns=objective.loss_given is not None,
            measured=bool(objective.metrics or objective.weighted_metrics),
        )

    def _apart(self, item: Any, *, inputs_only: bool = False) -> tuple[Any, Any, Any]:
        """x, y and sample_weight of what a source yields: by place, or by name where it is a record."""
        by_place = isinstance(item, (tuple, list)) and not self._labelled.fits(item)
        x, y, sample_weight = unpacked(item) if by_place else (item, None, None)
        record = as_record(x) if y is None and sample_weight is None and not self.as_they_come else None
        if record is None or (isinstance(x, tuple) and not self._labelled.fits(x)):
            return x, y, sample_weight
        return self._labelled.apart(record, inputs_only=inputs_only)

    def validation(self, given: Any, *, batch_size: int | None, steps: int | None) -> Data:
        """Batches of `validation_data`: (x, y), (x, y, sample_weight), or what yields batches."""
        named = self._labelled.fits(given) or self._lists_batches(given, None)
        if not isinstance(given, (tuple, list)) or named:
            return self.data(given, batch_size=batch_size, steps=steps)
        if not 2 <= len(given) <= 3:
            got = f"a {type(given).__name__} of {len(given)}"
            raise DataError(explain("validation_data", got=got, expected="(x, y) or (x, y, sample_weight)"))
        return self.data(*given, batch_size=batch_size, steps=steps)

    def arrays(self, whole: Batch, batch_size: int | None, steps: int | None, seed: int | None) -> Arrays:
        """Batches of tensors; with a seed in another order each epoch."""
        inputs = () if self.as_they_come or self.inputs is None else self.inputs
        size = batch_size or (inputs and inputs.batch_size) or 32
        checks.check_fixed_batch(inputs, whole.size, size)
        device = None if self._holds(whole) else self.device
        ranks = None if self.step.guest else self.step.ranks
        data = Arrays(whole, size, seed=seed, device=device, ranks=ranks)
        data.even = not (inputs and inputs.batch_size)
        return limited(data, steps, "steps")

    def whole(self, x: Any, y: Any, sample_weight: Any) -> Batch:
        """Arrays as one batch of all samples, on the device if they fit there."""
        if self.as_they_come:
            batch = self._as_it_came(packed(x, y, sample_weight))
            checks.count_of({f"array {index}": each for index, each in enumerate(batch.inputs)})
        else:
            batch = self._fitted_batch(x, y, sample_weight, look=True)
        try:
            return moved(batch, self.device)
        except torch.OutOfMemoryError:
            return batch

    def batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
    ) -> Batch:
        """One batch on the device."""
        if self.as_they_come:
            batch = self._moved_as_it_came(packed(x, y, sample_weight))
        else:
            batch = sent(self._fitted_batch(x, y, sample_weight, look=False), self.device)
        return batch if class_weight is None else self._weighed(batch, class_weight)

    def _weighed(self, batch: Batch, class_weight: Mapping[Any, float]) -> Batch:
        """A batch whose one target is weighed by its labels, besides its own weights.

        Raises:
            DataError: several outputs, no target, a target that holds no labels, or a class without a weight.
        """
        if batch.form.nesting is not None:
            return self._weighed_as_it_came(batch, class_weight)
        heads = self.step.known(batch, shapes=False).heads
        target = batch.targets[0] if batch.targets else None
        if len(heads) != 1 or target is None:
            got = f"the outputs {[head.name for head in heads]}" if len(heads) != 1 else "no targets"
            raise DataError(
                explain("class_weight", got=got, expected="one output with targets", fix="use sample_weight")
            )
        _check_class_weight(class_weight)
        head, given = heads[0], batch.weights[0] if batch.weights else None
        weights = weights_of_classes(target, class_weight, head.loss, head.shape, self.floating)
        return batch._replace(weights=[weights if given is None else product_of_weights(weights, given)])

    def _weighed_as_it_came(self, batch: Batch, class_weight: Mapping[Any, float]) -> Batch:
        x, y, given = unpacked(batch.form.data(batch.inputs))
        if not isinstance(y, Tensor):
            got = "no targets" if y is None else f"a {type(y).__name__} of targets"
            raise DataError(explain("class_weight", got=got, expected="one array of targets"))
        _check_class_weight(class_weight)
        weights = weights_of_classes(y, class_weight, None, None, self.floating)
        return self._as_it_came((x, y, weights if given is None else product_of_weights(weights, given)))

    def _as_it_came(self, data: Any) -> Batch:
        """Data of any nesting, with their arrays as tensors in the dtypes that a module takes; texts and None stay."""
        tensors: list[Tensor] = []

        def placed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: placed(each) for key, each in value.items()}
            if isinstance(value, (list, tuple)) and not is_numbers(value):
                return like(value, [placed(each) for each in value])
            if value is None or isinstance(value, str):
                return value
            tensor = as_given(value, "the data")
            tensors.append(tensor.to(wanted_dtype(tensor, None, self.floating)))
            return Place(len(tensors) - 1)

        form = Form(nesting=placed(data))
        if not tensors:
            raise DataError(explain("x", got=f"a {type(data).__name__} without arrays", expected="an array"))
        return Batch(tensors, [], None, len(tensors[0]) if tensors[0].ndim else 1, form)

    def _moved_as_it_came(self, data: Any) -> Batch:
        return sent(self._as_it_came(data), self.device)

    def _holds(self, whole: Batch) -> bool:
        """Whether tensors are where the module is."""
        return all(each.device.type == self.device.type for each in whole.inputs)

    def _fitted_batch(self, x: Any, y: Any, sample_weight: Any, *, look: bool) -> Batch:
        """Checked tensors, where they are; `look` reads numbers even from another device than the host."""
        named, form, waiting = self._inputs(x, look)
        inputs = list(named.values())
        size = checks.count_of(named)
        if look:
            for port, tensor in zip(self._ports(form), inputs, strict=False):
                if port.table is not None:
                    checks.check_rows(tensor, port.name, port.table)
        if y is None and sample_weight is None:
            return _batch(inputs, [], None, size, form, waiting, [])
        few = Batch(inputs, [], None, size, form, (waiting, []))
        objective = self.step.known(few, y, shapes=look)
        targets, targets_waiting = self._targets(y, objective, look) if y is not None else ([], [])
        weights = self._weights(sample_weight, objective)
        others = {
            f"the target of {n!r}": t
            for n, t in zip((head.name for head in objective.heads), targets, strict=False)
            if t is not None
        }
        if len(others) == 1:
            others = {"y": next(iter(others.values()))}
        size = checks.count_of({**named, **others})
        if look:
            self._check_finite(few)
        for weight in weights or []:
            if weight is not None:
                checks.count_of({"x": inputs[0], "sample_weight": weight})
        return _batch(inputs, targets, weights, size, form, waiting, targets_waiting)

    def _check_finite(self, batch: Batch) -> None:
        """Refuse NaN and infinity in the inputs, unless the module knows what to do with them.

        Raises:
            DataError: with the first place that makes its output no number.
        """
        for name, tensor in zip(batch.form.names, batch.inputs, strict=True):
            place = checks.first_not_finite(tensor)
            if place is not None and self._spoils(batch, place[0]):
                why = "the model's output for this sample is no number either"
                raise checks.not_finite(f"input {name!r}", tensor, place, why=why)

    @torch.no_grad()
    def _spoils(self, batch: Batch, row: int) -> bool:
        """Whether what the module returns for one sample holds NaN or infinity."""
        count = (None if self.inputs is None else self.inputs.batch_size) or 1
        sample = [dense(cut(each, row, row + 1)).repeat_interleave(count, 0) for each in batch.inputs]
        outputs = self.step.tried(batch._replace(inputs=sample, size=count), count)
        return any(isinstance(each, Tensor) and not bool(each.isfinite().all()) for each in leaves(outputs))

    def _inputs(self, x: Any, look: bool) -> tuple[dict[str, Tensor], Form, list[torch.dtype | None]]:
        """The inputs as tensors, by the names that messages give them, how the module takes them, and the dtypes
        of those that wait for a cast."""
        record = None if isinstance(x, (dict, list, tuple)) else as_record(x)
        values, form = taken(self.module, x if record is None else record, self.inputs)
        ports = map(Port, form.names) if self.inputs is None else self._ports(form)
        tensors: dict[str, Tensor] = {}
        waiting: list[torch.dtype | None] = []
        for value, port in zip(values, ports, strict=True):
            where = "x" if len(values) == 1 else f"input {port.name!r}"
            tensor = as_given(value, f"input {port.name!r}", whole=look)
            wanted = wanted_dtype(tensor, port.dtype, self.floating)
            tensor, to = self._cast(value, tensor, f"input {port.name!r}", wanted, look)
            waiting.append(to)
            # an empty array is told as such, whatever its other axes are
            known = port.shape is not None and tensor.ndim and len(tensor)
            tensors[where] = checks.fitted_input(tensor, port.shape or (), port.name) if known else tensor
        return tensors, form, waiting

    def _ports(self, form: Form) -> list[Port]:
        """What is known of the inputs that are there; an optional one may not be."""
        return [port for port in self.inputs or () if port.name in form.names]

    def _cast(
        self, value: Any, tensor: Tensor, where: str, dtype: torch.dtype, look: bool
    ) -> tuple[Tensor, torch.dtype | None]:
        """A tensor in this dtype, or as it is and the dtype, if the cast is left to each batch."""
        if look and waits(value, tensor, dtype):
            check_castable(tensor, where, dtype)
            return tensor, dtype
        return cast(tensor, where, dtype), None

    def _targets(
        self, y: Any, objective: Objective, look: bool
    ) -> tuple[list[Tensor | None], list[torch.dtype | None]]:
        slots: Any = objective.outputs
        values = _for_losses(y, objective)
        if values is None:
            values = slots.arrange(as_items(y, len(slots)), "y", DataError, partial=True)
        found: list[Tensor | None] = []
        waiting: list[torch.dtype | None] = []
        for value, head in zip(values, objective.heads, strict=True):
            tensor, to = (None, None) if value is None else self._target(value, head, look)
            found.append(tensor)
            waiting.append(to)
        return found, waiting

    def _target(self, value: Any, head: Head, look: bool) -> tuple[Tensor, torch.dtype | None]:
        """One target as a tensor, and its dtype if it waits for a cast."""
        where = f"the target of the output {head.name!r}"
        tensor = as_given(value, where)
        wanted = wanted_dtype(tensor, None, self.floating)
        tensor, to = self._cast(value, tensor, where, wanted, look)
        if tensor.ndim and len(tensor):
            seen = look or tensor.device.type == "cpu"
            wanted = checks.target_dtype(tensor, head, floating=self.floating, look=seen)
            waiting = look and waits(value, tensor, wanted)
            return (tensor, wanted) if waiting else (tensor.to(wanted), None)
        return tensor, to

    def _weights(self, sample_weight: Any, objective: Objective) -> list[Tensor | None] | None:
        if sample_weight is None:
            return None
        slots: Any = objective.outputs
        if isinstance(sample_weight, (list, tuple, dict)) and not _numbers(sample_weight):
            given = slots.arrange(
                as_items(sample_weight, len(slots)), "sample_weight", DataError, partial=True
            )
        else:
            given = [sample_weight] * len(slots)
        return [
            None if each is None else cast(as_given(each, "sample_weight"), "sample_weight", self.floating)
            for each in given
        ]


def _for_losses(y: Any, objective: Objective) -> list[Any] | None:
    """Targets by place for the outputs that have a loss, or else metrics, where there are as many, and not one for each."""
    outputs = len(objective.heads)
    losing = objective.losing or [head for head in objective.heads if head.measures]
    few = [y] if is_array(y) else list(leaves(y)) if isinstance(y, (list, tuple)) else []
    if not 0 < len(losing) < outputs or len(few) != len(losing) or not all(map(is_array, few)):
        return None
    placed = dict(zip((head.index for head in losing), few, strict=True))
    return [placed.get(index) for index in range(outputs)]


def _check_class_weight(weights: Any) -> None:
    wrong = (
        f"a {type(weights).__name__}"
        if not isinstance(weights, Mapping)
        else next(
            (f"{value!r} for the class {key!r}" for key, value in weights.items() if not is_number(value)),
            None,
        )
    )
    if wrong is not None:
        expected = "a dict with a number for each class"
        raise DataError(
            explain("class_weight", got=wrong, expected=expected, fix="class_weight={0: 1.0, 1: 2.0}")
        )


def _batch(
    inputs: list[Tensor],
    targets: list[Tensor | None],
    weights: list[Tensor | None] | None,
    size: int,
    form: Form,
    *waiting: list[torch.dtype | None],
) -> Batch:
    """A batch, with the dtypes that its inputs and its targets wait for, if any do."""
    waits_for = (waiting[0], waiting[1]) if any(map(any, waiting)) else None
    return Batch(inputs, targets, weights, size, form, waits_for)


def _numbers(value: Any) -> bool:
    """Whether a list holds numbers rather than one item for each output."""
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], (int, float))


def _held_by_name(x: Any) -> Any:
    """A mapping or a dataclass that yields nothing as a dict; anything else as it is."""
    yields = hasattr(x, "__iter__") or hasattr(x, "__getitem__") or callable(x)
    record = as_record(x) if isinstance(x, Mapping) or not yields else None
    return x if record is None else record


def checked_batch_size(batch_size: Any, what: str = "batch_size") -> int | None:
    """A positive whole number, or None where the user left it to us.

    Raises:
        DataError: something else.
    """
    return None if batch_size is None else checks.whole_number(what, batch_size, least=1, fix=f"{what}=32")


def limited(data: Arrays, steps: int | None, what: str) -> Arrays:
    """Arrays of which an epoch takes so many batches.

    Raises:
        DataError: more than there are.
    """
    if steps is not None and steps > data.steps:
        expected = f"at most {data.steps}, the batches that the arrays make"
        raise DataError(explain(what, got=f"{steps} steps", expected=expected))
    data.limit = steps
    return data


def divided(data: Data, fraction: float, batch_size: int | None, steps: int | None) -> tuple[Arrays, Arrays]:
    """Arrays as those to train on and, from their end, those to validate on.

    Raises:
        DataError: no arrays, or a fraction that leaves nothing on one side.
    """
    where = f"validation_split={fraction}"
    if not isinstance(data, Arrays):
        why = "only arrays can be divided"
        raise DataError(explain(where, got="data that come in batches", why=why, fix="give validation_data"))
    if not is_number(fraction) or not 0 < fraction < 1:
        raise DataError(
            explain("validation_split", got=f"{fraction!r}", expected="a fraction between 0 and 1")
        )
    count = data.whole.size
    border = math.floor(count * (1 - fraction))
    if border in (0, count):
        side = "train" if border == 0 else "validate"
        raise DataError(explain(where, got=f"{count} samples", why=f"nothing is left to {side} on"))
    shared: dict[str, Any] = {"device": data.device, "ranks": data.ranks}
    train = Arrays(data.part(0, border), data.batch_size, seed=data.seed, **shared)
    train.limit, train.even = data.limit, data.even
    # what the classes weigh is of the training alone
    validation = Arrays(data.part(border, count, of=data.measured), batch_size or data.batch_size, **shared)
    validation.even = data.even
    return train, limited(validation, steps, "validation_steps")
