"""Tape: every call of PyTorch's kernels that a step makes, below autograd, with the very tensors it made them on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchfunc.tree import leaves
from torchfunc.variables import Variable


class Row(NamedTuple):
    """One call: a kernel, what it was given, and what it returned.

    `turned` is how its first argument lay in memory before and afterwards, where it changes that in place. `constant` is a
    copy of a number that was written in Python, which a later call may change.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any
    turned: tuple[Any, Any] | None = None
    constant: Tensor | None = None


# what their results hold, or how large they are, depends on numbers that the tags of PyTorch do not tell of
_BY_VALUE = frozenset("_pack_padded_sequence _pad_packed_sequence _ctc_loss set_ resize_ resize_as_".split())
_LAYING = (torch.ops.aten.set_.source_Storage, torch.ops.aten.set_.source_Storage_storage_offset)
_WRITING_AT = frozenset("index_put index_put_ _index_put_impl_ _unsafe_index_put".split())
CPU = torch.device("cpu")
LARGE = 2**16  # bytes of memory that it is worth to look after
_BY_VALUE_TAGS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what passes through it.

    Args:
        device: where all of it has to compute.
        halves: whether autocast is on because the training asks for it: its casts are on the tape.

    Attributes:
        rows: the calls so far. They hold their tensors, so that the identity of none is given to another, but not the
            memory of those that nobody else holds any more.
        refused: why what is on it cannot be repeated; empty while it can.
    """

    def __init__(self, device: torch.device = CPU, *, halves: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.halves = device, halves
        self.rows: list[Row] = []
        self.refused = ""
        self._large: dict[int, Held] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch is to hide this from its compiler, which it would load for that at the first call."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        for key in [key for key, held in self._large.items() if held.let_go()]:
            del self._large[key]
        turns = torch.Tag.inplace_view in func.tags
        before = place_of(args[0]) if turns else None
        constant = args[0].clone() if func is torch.ops.aten.lift_fresh.default else None
        out = func(*args, **kwargs)
        row = Row(func, args, kwargs, out, (before, place_of(out)) if turns else None, constant)
        self.rows.append(row)
        self.refused = self.refused or _reason(row, self.device, halves=self.halves)
        for each in () if self.refused else tensors_of(row):
            storage = each.untyped_storage()
            if storage.nbytes() >= LARGE and storage.resizable():
                self._large.setdefault(storage._cdata, Held(storage)).add(each)
        return out


class Held:
    """A large piece of memory, and the tensors on a tape that lie in it."""

    def __init__(self, storage: torch.UntypedStorage) -> None:
        self.storage = storage
        self.tensors: dict[int, Tensor] = {}
        self.times: Counter[int] = Counter()  # that rows have a tensor

    def add(self, tensor: Tensor) -> None:
        """Take in a tensor that a row has; once for each time that it has it."""
        self.tensors[id(tensor)] = tensor
        self.times[id(tensor)] += 1

    def let_go(self) -> bool:
        """Give the memory back, if without the tape all tensors in it would be gone; whether that is so."""
        if torch._C._storage_Use_Count(self.storage._cdata) > len(self.tensors) + 1:
            return False
        # a view holds what it is of, and whoever holds a tensor below Python has it hold its Python object
        views = Counter(id(each._base) for each in self.tensors.values() if each._is_view())
        for key, times in self.times.items():
            below = self.tensors[key]._use_count() - 1  # type: ignore[attr-defined]
            if below > views[key] or self.references(key) > times + _beside_the_rows() + (below > 0):
                return False
        self.storage.resize_(0)
        return True

    def references(self, key: int) -> int:
        """How often Python holds a tensor, and this function among others."""
        return sys.getrefcount(self.tensors[key])


@cache
def _beside_the_rows() -> int:
    """How many references there are to a tensor that rows alone hold, besides theirs; Python's versions count them apart."""
    tensor = torch.empty(1)
    row, held = (tensor,), Held(tensor.untyped_storage())
    held.add(tensor)
    key = id(tensor)
    del tensor
    return held.references(key) - len(row)


def place_of(tensor: Tensor) -> tuple[Any, ...]:
    """The dtype, shape, strides and offset of a tensor: all but the memory itself."""
    return (tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset())


def _reason(row: Row, device: torch.device, *, halves: bool) -> str:
    """Why a call cannot be repeated on other numbers; empty where it can."""
    name = str(row.function)
    if getattr(row.function, "namespace", "") != "aten":
        return f"it calls {name}, which is no kernel of PyTorch's own"
    if not halves and any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        return "it runs under autocast"
    if _goes_by_value(row, device):
        return f"what it does depends on the numbers in a tensor, which {name} reads"
    if any(not isinstance(each, Tensor | None) for each in leaves(row.out)):
        return f"{name} returns something else than tensors"
    for each in tensors_of(row):
        if each.device != device:
            return f"it computes on {each.device}"
        if type(each) not in (Tensor, torch.nn.Parameter, Variable):
            return f"it computes with a {type(each).__name__}"
        if each.layout is not torch.strided or each.is_conj() or each.is_neg():
            return "it computes with a tensor that is sparse, conjugated or laid out in another way"
    return ""


def is_laid(row: Row) -> bool:
    """Whether an empty tensor is laid over memory that is there, as PyTorch does to find the weights of a cuDNN LSTM."""
    return row.function in _LAYING and row.turned is not None and row.turned[0][1] == (0,)


def _goes_by_value(row: Row, device: torch.device) -> bool:
    """Whether a call reads numbers to know what to do; an index does where it is a mask.

    To write by a mask is the CPU's to do number by number; elsewhere the places are counted first.
    """
    name = row.function._schema.name.removeprefix("aten::")
    if is_laid(row):
        return False
    if name == "index" or (name in _WRITING_AT and device.type != "cpu"):
        return any(each is not None and each.dtype in (torch.bool, torch.uint8) for each in row.args[1])
    return name in _BY_VALUE or any(tag in row.function.tags for tag in _BY_VALUE_TAGS)


def tensors_of(row: Row) -> Iterator[Tensor]:
    """The tensors that a call was given, and those that it returned."""
    for each in leaves((row.args, dict(row.kwargs), row.out)):
        if isinstance(each, Tensor):
            yield each
